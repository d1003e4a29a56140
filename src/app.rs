//! The whole service: everything made, tied together, served, stopped.

mod log;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::approvals::{Approvals, Forward, Rules, Seal, Settings, may_decide};
use crate::audit::Entry;
use crate::clock::{Clock, Entropy};
use crate::config::{self, Config};
use crate::control::{self, Desk};
use crate::gateway::upstream::{Transport, UpstreamConfig, Upstreams};
use crate::gateway::{self, Gateway};
use crate::health;
use crate::identity::{Identity, SessionLimits};
use crate::in_force::{InForce, Listing};
use crate::lifecycle::Tasks;
use crate::notary::{LogAtStart, Notary};
use crate::notify::{self, BadSender, Judgement, Links, Mailer, Security, Smtp, Worker};
use crate::overview::Whole;
use crate::pins::{Checked, Pins};
use crate::policy::Defaults;
use crate::review::{self, Review, Site};
use crate::store::{HoldLimits, Restoration, Store};
use crate::tasks;
use crate::telemetry::Metrics;

/// So many calls of unknown outcome may be read about at once: people press buttons twice.
const READINGS: usize = 4;

/// What a process brings along, so that a test can bring its own.
#[derive(Debug)]
pub struct Outside {
    /// The time.
    pub clock: Clock,
    /// Randomness.
    pub entropy: Entropy,
    /// How mails leave; `None`: nobody is mailed.
    pub mailer: Option<Mailer>,
    /// Where it listens.
    pub listener: TcpListener,
    /// What it counts.
    pub metrics: Metrics,
    /// Further routes beside its own: the demo's mail viewer.
    pub routes: Router,
}

/// A running service.
#[derive(Debug)]
pub struct App {
    /// Where it listens.
    pub address: SocketAddr,
    /// The database.
    pub store: Store,
    /// The held calls.
    pub approvals: Approvals,
    /// Who is who.
    pub identity: Identity,
    /// The policy in force.
    pub policy: Arc<InForce>,
    /// The servers behind.
    pub upstreams: Upstreams,
    /// Who signs the log.
    pub notary: Notary,
    /// How the log stood to what was signed of it before this start.
    pub log_at_start: LogAtStart,
    /// This start found that the database was put back.
    pub restored: Option<Restoration>,
    /// Every request that was open at the stop has its answer.
    drained: CancellationToken,
    tasks: Tasks,
}

impl App {
    /// Starts everything and serves. When this returns, calls are taken.
    ///
    /// # Errors
    /// Whatever keeps it from being safe to serve: data folder, keys, policy, upstreams, log.
    pub async fn start(config: &Config, outside: Outside) -> anyhow::Result<Self> {
        let Outside { clock, entropy, mailer, listener, metrics, routes } = outside;
        let address = listener.local_addr()?;
        let tasks = Tasks::default();
        let store = Store::open(&config.data_dir, clock.clone(), &tasks).await?;
        let (notary, log_at_start, restored) = log::open(&store, config, &entropy).await?;
        let seal = Seal::load_or_create(&config.data_dir, &entropy)?;
        let configs: Vec<_> = config.upstreams.iter().map(upstream_config).collect();
        let upstreams = Upstreams::new(&configs, &tasks, &clock, &entropy)?;
        let policy = Arc::new(load_policy(config, &upstreams, &clock)?);
        policy.resume_limits(&store, clock.now()).await?;
        let forward: Arc<dyn Forward> = Arc::new(upstreams.clone());
        let pins = Pins::load(store.clone()).await?;
        let rules: Arc<dyn Rules> = Arc::new(Checked { policy: Arc::clone(&policy), pins: pins.clone() });
        let settings = settings(config);
        let approvals = Approvals::new(store.clone(), entropy.clone(), tasks.clone(), seal, forward, rules, settings);
        let limits = SessionLimits { idle: config.server.session_idle, max: config.server.session_max };
        let identity = Identity::new(store.clone(), clock.clone(), entropy.clone(), limits);
        log_start(&store, &policy, config).await?;
        failpoint!("start.logged");
        approvals.recover().await?;
        failpoint!("start.recovered");

        let gateway = Gateway::new(gateway::Parts {
            hosts: gateway::Hosts::new(&config.public_url, address, &config.server.allowed_hosts),
            hold_budget: config.hold.budget,
            upstreams: upstreams.clone(),
            approvals: approvals.clone(),
            identity: identity.clone(),
            policy: Arc::clone(&policy),
            pins: pins.clone(),
            store: store.clone(),
            clock: clock.clone(),
            entropy: entropy.clone(),
            tasks: tasks.clone(),
        });
        let overview = Arc::new(Whole {
            policy: Arc::clone(&policy),
            pins: pins.clone(),
            upstreams: upstreams.clone(),
            gateway: gateway.clone(),
            readings: Semaphore::new(READINGS),
            store: store.clone(),
            reached: config.upstreams.iter().map(|upstream| (upstream.name.clone(), reached(upstream))).collect(),
            mails: mailer.is_some(),
        });
        let review = Review::new(review::Parts {
            store: store.clone(),
            identity: identity.clone(),
            approvals: approvals.clone(),
            clock: clock.clone(),
            entropy: entropy.clone(),
            tasks: tasks.clone(),
            site: Site::new(&config.public_url, address, &config.server.allowed_hosts, &config.server.trusted_proxies)?,
            overview,
        });
        let router = Router::new()
            .merge(gateway::router(gateway))
            .merge(health::router(store.clone(), tasks.clone(), metrics.clone()))
            .merge(routes)
            .merge(review::router(review));

        let desk = Desk { identity: identity.clone(), store: store.clone(), notary: Some(notary.clone()), entropy };
        control::listen(&config.data_dir, desk, &tasks)?;
        start_tasks(&tasks, &approvals, &policy, &store, &clock, &metrics);
        log::start(&notary, &store, &clock, config, mailer.as_ref(), &tasks);
        let keep = config.retention.arguments;
        tasks.spawn_vital("retention", tasks::retention(store.clone(), keep, clock.clone(), tasks.clone()));
        pins.save_on(&tasks);
        let (learning, stopping) = (upstreams.clone(), tasks.clone());
        tasks.spawn("learn_tools", async move {
            tokio::select! {
                () = stopping.stopped() => {}
                () = learning.learn_tools(&pins) => {}
            }
        });
        if let Some(mailer) = mailer.clone() {
            start_letters(&tasks, &policy, &store, &clock, mailer, config);
        }
        start_mails(&tasks, &approvals, &store, &clock, mailer, &config.public_url);
        let drained = serve(listener, router, &tasks);
        Ok(Self {
            address,
            store,
            approvals,
            identity,
            policy,
            upstreams,
            notary,
            log_at_start,
            restored,
            drained,
            tasks,
        })
    }

    /// Returns when the process begins to stop of itself, because something without which nothing works has ended.
    pub async fn broken(&self) {
        self.tasks.stopped().await;
    }

    /// Stops: no new holds, sockets closed, releasing calls finish; what still runs after `patience` is cut off.
    /// Held calls stay pending and are found again. `false` if something was cut off.
    pub async fn stop(self, patience: Duration) -> bool {
        let Self { tasks, store, approvals, identity, policy, upstreams, notary, drained, .. } = self;
        tasks.begin_stop();
        // What runs at an upstream ends first: closing its link would leave nobody knowing whether it ran.
        let running = async { tokio::join!(approvals.releases_ended(), drained.cancelled()) };
        if tokio::time::timeout(patience * 3 / 4, running).await.is_err() {
            tracing::warn!("calls are still running at their upstreams and are cut off");
        }
        upstreams.close().await;
        match tokio::time::timeout(patience / 4, notary.checkpoint()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::error!(%error, "the log was not signed at the stop; the next start signs it"),
            Err(_) => tracing::error!("the log could not be signed in time at the stop; the next start signs it"),
        }
        drop((store, approvals, identity, policy, upstreams, notary));
        tasks.ended(patience / 4).await
    }
}

fn settings(config: &Config) -> Settings {
    Settings {
        limits: HoldLimits {
            pending: config.hold.max_pending_per_agent,
            new_per_hour: config.hold.max_new_per_agent_per_hour,
            result_ttl: config.hold.result_ttl,
            ..Settings::default().limits
        },
        self_approval: config.hold.self_approval,
    }
}

fn load_policy(config: &Config, upstreams: &Upstreams, clock: &Clock) -> anyhow::Result<InForce> {
    let names = upstreams.names();
    let hashes: BTreeMap<_, _> =
        names.iter().filter_map(|name| Some((name.clone(), upstreams.get(name)?.config_hash()))).collect();
    let defaults = Defaults { timeout: config.hold.timeout, upstreams: names };
    Ok(InForce::load(&config.policy, defaults, hashes, listing(upstreams), clock.now())?)
}

/// What the upstreams say of their tools.
fn listing(upstreams: &Upstreams) -> Listing {
    let upstreams = upstreams.clone();
    Listing(Arc::new(move |upstream, tool| Some(upstreams.get(upstream)?.tool(tool)?.facts)))
}

async fn log_start(store: &Store, policy: &InForce, config: &Config) -> anyhow::Result<()> {
    let started = Entry::new("service.started")
        .with("version", env!("CARGO_PKG_VERSION"))
        .with("self_approval", config.hold.self_approval);
    store.append(started).await?;
    Ok(policy.log_start(store).await?)
}

fn start_tasks(
    tasks: &Tasks,
    approvals: &Approvals,
    policy: &Arc<InForce>,
    store: &Store,
    clock: &Clock,
    metrics: &Metrics,
) {
    tasks.spawn_vital("expiry", tasks::expiry(approvals.clone(), clock.clone(), tasks.clone()));
    tasks.spawn(
        "counting",
        tasks::counting(approvals.clone(), store.clone(), metrics.clone(), clock.clone(), tasks.clone()),
    );
    tasks.spawn_vital("timekeeping", tasks::timekeeping(store.clone(), clock.clone(), tasks.clone()));
    tasks.spawn_vital("limits", tasks::limits(Arc::clone(policy), store.clone(), clock.clone(), tasks.clone()));
    tasks.spawn("tally", tasks::tally(store.clone(), clock.clone(), tasks.clone()));
    tasks.spawn_vital("reload", tasks::reload(Arc::clone(policy), store.clone(), clock.clone(), tasks.clone()));
}

/// The configured way out for mails; `None` where there is no `[mail]`.
///
/// # Errors
/// The sender cannot be used.
pub fn mailer(config: &Config) -> Result<Option<Mailer>, BadSender> {
    let Some(mail) = &config.mail else { return Ok(None) };
    let security = match mail.security {
        config::MailSecurity::Plain => Security::Plain,
        config::MailSecurity::StartTls => Security::StartTls,
        config::MailSecurity::Tls => Security::Tls,
    };
    let mut smtp = Smtp::new(mail.host.clone(), mail.port, security);
    smtp.credentials.clone_from(&mail.credentials);
    Mailer::new(notify::Transport::Smtp(smtp), &mail.sender()).map(Some)
}

/// What administrators are mailed about.
fn start_letters(tasks: &Tasks, policy: &Arc<InForce>, store: &Store, clock: &Clock, mailer: Mailer, config: &Config) {
    let (policy, store, clock, public_url) =
        (Arc::clone(policy), store.clone(), clock.clone(), config.public_url.clone());
    let tools = tasks::ToolLetters {
        policy: Arc::clone(&policy),
        upstreams: config.upstreams.iter().map(|upstream| upstream.name.clone()).collect(),
        store: store.clone(),
        clock: clock.clone(),
        mailer: mailer.clone(),
        public_url: public_url.clone(),
        page: review::view::tool::path,
    };
    tasks.spawn("tool_letters", tasks::tool_letters(tools, tasks.clone()));
    let letters = tasks::PolicyLetters { policy, store, clock, mailer, public_url };
    tasks.spawn("policy_letters", tasks::policy_letters(letters, tasks.clone()));
}

fn start_mails(
    tasks: &Tasks,
    approvals: &Approvals,
    store: &Store,
    clock: &Clock,
    mailer: Option<Mailer>,
    public_url: &str,
) {
    let solo = approvals.settings().self_approval;
    let judgement = Judgement {
        headline: Arc::new(|_| None),
        may_decide: Arc::new(move |call, person| may_decide(call, person, solo).is_ok()),
    };
    let worker = Worker::new(store.clone(), clock.clone(), mailer, Links::new(public_url), judgement);
    let (changes, stopping) = (approvals.clone(), tasks.clone());
    tasks.spawn_vital(
        "mails",
        notify::run(worker, stopping, move || {
            let changes = changes.clone();
            async move { changes.outbox_changed().await }
        }),
    );
}

/// The configuration's upstream as the gateway takes it.
pub(crate) fn upstream_config(upstream: &config::Upstream) -> UpstreamConfig {
    let transport = match &upstream.transport {
        config::Transport::Stdio { command, env, user } => {
            Transport::Stdio { command: command.clone(), env: env.clone(), user: user.clone() }
        }
        config::Transport::Http { url, headers } => Transport::Http { url: url.clone(), headers: headers.clone() },
    };
    UpstreamConfig { name: upstream.name.clone(), transport, shared: upstream.shared }
}

/// How an upstream is reached, without what may be secret: a command's arguments and a URL's query stay out.
fn reached(upstream: &config::Upstream) -> String {
    match &upstream.transport {
        config::Transport::Stdio { command, .. } => {
            format!("command {}", command.first().map_or("", String::as_str))
        }
        config::Transport::Http { url, .. } => url.split(['?', '#']).next().unwrap_or_default().to_owned(),
    }
}

/// Serves until the stop, and says when every request that was open then has its answer.
fn serve(listener: TcpListener, router: Router, tasks: &Tasks) -> CancellationToken {
    // An answer of a few hundred bytes must not wait for the client's acknowledgement of the one before.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
    });
    let stopping = tasks.clone();
    let drained = CancellationToken::new();
    let ended = drained.clone().drop_guard();
    tasks.spawn_vital("http", async move {
        let _ended = ended;
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let served = axum::serve(listener, service).with_graceful_shutdown(async move { stopping.stopped().await });
        if let Err(error) = served.await {
            tracing::error!(%error, "the HTTP server ended");
        }
    });
    drained
}
