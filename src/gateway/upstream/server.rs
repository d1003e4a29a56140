//! One configured upstream: the links to it, by agent, and when they end.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::account::Account;
use super::envelope::{Envelope, Key};
use super::http::{Endpoint, HttpLink};
use super::link::{IDLE, Kind, Place};
use super::probe::Eras;
use super::process::{Process, Program, Purpose};
use super::router::Ties;
use super::starts::Starts;
use super::tools::{Catalogue, KnownTool};
use super::{Link, Transport, UpstreamConfig, UpstreamError};
use crate::call::{AgentId, Digest, Era, Millis, UpstreamName};
use crate::clock::{Clock, Entropy};
use crate::lifecycle::Tasks;

/// Most links and pooled processes that one agent may hold at one upstream.
const MAX_LINKS: usize = 32;

/// One configured upstream.
#[derive(Debug)]
pub struct Upstream {
    name: UpstreamName,
    config_hash: Digest,
    shared: bool,
    reach: Reach,
    /// By agent; `None` is everybody, where processes are shared. Never held across an await.
    held: Mutex<HashMap<Option<AgentId>, Held>>,
    pub(super) eras: tokio::sync::Mutex<Option<Eras>>,
    tools: Catalogue,
    tasks: Tasks,
    pub(super) clock: Clock,
    entropy: Entropy,
}

#[derive(Debug)]
enum Reach {
    Process(Arc<Program>),
    Http(Arc<Endpoint>),
}

/// What one agent holds.
#[derive(Debug, Default)]
struct Held {
    sessions: Vec<Weak<Link>>,
    pool: Vec<Arc<Process>>,
    own: OwnSlot,
}

/// Placet's own session on an agent's behalf; locked while it is being opened, so that it is opened once.
pub(super) type OwnSlot = Arc<tokio::sync::Mutex<Option<Arc<Link>>>>;

impl Upstream {
    /// Prepares the upstream; nothing is started yet.
    pub(super) fn new(
        config: &UpstreamConfig,
        tasks: &Tasks,
        clock: &Clock,
        entropy: &Entropy,
    ) -> Result<Self, UpstreamError> {
        let wrong = |problem: String| UpstreamError::Config { upstream: config.name.clone(), problem };
        let reach = match &config.transport {
            Transport::Stdio { command, env, user } => {
                let [program, arguments @ ..] = &command[..] else { return Err(wrong("command is empty".to_owned())) };
                if user.is_none() {
                    tracing::warn!(upstream = %config.name, "runs as Placet's own user, so it could read Placet's keys; set user");
                }
                Reach::Process(Arc::new(Program {
                    upstream: config.name.clone(),
                    command: program.clone(),
                    arguments: arguments.to_vec(),
                    env: env.clone(),
                    account: user.as_deref().map(Account::find).transpose().map_err(wrong)?,
                    starts: Starts::default(),
                }))
            }
            Transport::Http { url, headers } => {
                let endpoint = Endpoint::new(config.name.clone(), url, headers, tasks.clone(), clock.clone());
                Reach::Http(Arc::new(endpoint.map_err(wrong)?))
            }
        };
        Ok(Self {
            name: config.name.clone(),
            config_hash: config.hash(),
            shared: config.shared,
            reach,
            held: Mutex::default(),
            eras: tokio::sync::Mutex::default(),
            tools: Catalogue::default(),
            tasks: tasks.clone(),
            clock: clock.clone(),
            entropy: entropy.clone(),
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &UpstreamName {
        &self.name
    }

    /// Hash of its configuration.
    #[must_use]
    pub fn config_hash(&self) -> Digest {
        self.config_hash
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Option<AgentId>, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn unavailable(&self, why: String) -> UpstreamError {
        UpstreamError::Unavailable { upstream: self.name.clone(), why }
    }

    pub(super) fn starts(&self) -> &Starts {
        match &self.reach {
            Reach::Process(program) => &program.starts,
            Reach::Http(endpoint) => &endpoint.starts,
        }
    }

    fn start(&self, program: &Arc<Program>, purpose: Purpose) -> Result<Arc<Process>, UpstreamError> {
        program.start(&self.tasks, &self.clock, purpose).map_err(|why| self.unavailable(why))
    }

    fn link(&self, kind: Kind, era: Era, own: bool) -> Link {
        let (clock, entropy) = (self.clock.clone(), self.entropy.clone());
        Link { upstream: self.name.clone(), kind, era, own, clock, entropy, held: AtomicUsize::new(0) }
    }

    /// A link of its own for `era`.
    pub(super) fn connect(&self, era: Era, own: bool, purpose: Purpose) -> Result<Link, UpstreamError> {
        let kind = match &self.reach {
            Reach::Process(program) => Kind::Process(self.start(program, purpose)?, Place::Alone),
            Reach::Http(endpoint) => Kind::Http(HttpLink::new(Arc::clone(endpoint))),
        };
        Ok(self.link(kind, era, own))
    }

    /// A fresh link for one session of an agent: a process of its own, or an HTTP session, whose id at the upstream
    /// stays inside the link. Dropping the last reference closes it. Where the agent holds too many, the one that was
    /// not used for longest ends, if nothing is under way on it.
    ///
    /// # Errors
    /// It cannot be started, or the agent has too many.
    pub async fn open(&self, agent: AgentId) -> Result<Arc<Link>, UpstreamError> {
        let mut held = self.held();
        let mine = held.entry(Some(agent)).or_default();
        self.make_room(mine)?;
        let link = Arc::new(self.connect(Era::Sessions, false, Purpose::Session)?);
        mine.sessions.push(Arc::downgrade(&link));
        Ok(link)
    }

    /// A link for one request of the stateless era, where no open request has the same id or progress token (both
    /// exact JSON text). The place is kept for this request while the link is held.
    ///
    /// # Errors
    /// As [`Upstream::open`].
    pub async fn stateless(
        &self,
        agent: AgentId,
        request_id: Option<&str>,
        progress_token: Option<&str>,
    ) -> Result<Arc<Link>, UpstreamError> {
        let ties = || request_id.map(|id| Ties { id: Key::of(id), token: progress_token.map(Key::of) });
        self.pooled(agent, ties, false)
    }

    /// A place in the pool. An id or token that is in use in every process gets a process more.
    pub(super) fn pooled(
        &self,
        agent: AgentId,
        ties: impl Fn() -> Option<Ties>,
        own: bool,
    ) -> Result<Arc<Link>, UpstreamError> {
        let program = match &self.reach {
            Reach::Process(program) => program,
            Reach::Http(_) => return self.connect(Era::Stateless, own, Purpose::Pool).map(Arc::new),
        };
        let place = |process: &Arc<Process>| match ties() {
            None => Some(Place::Pooled(None)),
            Some(ties) => process.router.reserve(ties).map(|ticket| Place::Pooled(Some(ticket))),
        };
        let mut held = self.held();
        let mine = held.entry((!self.shared).then_some(agent)).or_default();
        mine.pool.retain(|process| process.is_alive());
        let found = mine.pool.iter().find_map(|process| place(process).map(|place| (Arc::clone(process), place)));
        let (process, place) = match found {
            Some(found) => found,
            None => {
                self.make_room(mine)?;
                let process = self.start(program, Purpose::Pool)?;
                let place = place(&process).ok_or(UpstreamError::IdInUse)?;
                mine.pool.push(Arc::clone(&process));
                (process, place)
            }
        };
        Ok(Arc::new(self.link(Kind::Process(process, place), Era::Stateless, own)))
    }

    /// Ends the longest unused link where the agent holds as many as it may.
    fn make_room(&self, mine: &mut Held) -> Result<(), UpstreamError> {
        mine.sessions.retain(|link| link.upgrade().is_some_and(|link| link.is_alive()));
        mine.pool.retain(|process| process.is_alive());
        if mine.sessions.len() + mine.pool.len() < MAX_LINKS {
            return Ok(());
        }
        let session = mine.sessions.iter().filter_map(Weak::upgrade).filter(|link| link.is_free());
        let session = session.min_by_key(|link| link.used());
        let pooled = mine.pool.iter().filter(|process| !process.router.is_busy());
        let pooled = pooled.min_by_key(|process| process.router.used()).cloned();
        match (session, pooled) {
            (Some(link), pooled) if pooled.as_ref().is_none_or(|process| link.used() <= process.router.used()) => {
                mine.sessions.retain(|other| !std::ptr::eq(other.as_ptr(), Arc::as_ptr(&link)));
                self.tasks.spawn("upstream close", async move { link.close().await });
                Ok(())
            }
            (_, Some(process)) => {
                mine.pool.retain(|other| !Arc::ptr_eq(other, &process));
                self.tasks.spawn("upstream close", async move { process.close().await });
                Ok(())
            }
            _ => Err(UpstreamError::TooManyLinks { upstream: self.name.clone(), max: MAX_LINKS }),
        }
    }

    /// Where Placet's own session for this agent is kept.
    pub(super) fn own_slot(&self, agent: AgentId) -> OwnSlot {
        Arc::clone(&self.held().entry(Some(agent)).or_default().own)
    }

    /// Answers, until the link ends, what the upstream asks of Placet's own session between requests.
    pub(super) async fn answer_alone(&self, link: &Arc<Link>) {
        if link.is_http() {
            return;
        }
        if let Ok(mut messages) = link.listen().await {
            let link = Arc::downgrade(link);
            self.tasks.spawn("upstream questions", async move {
                while let Some(message) = messages.recv().await {
                    let Some(link) = link.upgrade() else { return };
                    if let Some(envelope) = Envelope::read(&message.bytes) {
                        link.reply(&envelope).await;
                    }
                }
            });
        }
    }

    /// Closes a link without waiting for it.
    pub(super) fn dismiss(&self, link: Arc<Link>) {
        self.tasks.spawn("upstream close", async move { link.close().await });
    }

    /// Closes what has not been used for long, at `now`; with `None` everything. Returns when it has ended.
    pub(super) async fn sweep(&self, now: Option<Millis>) {
        let over = |used: Millis| now.is_none_or(|now| now.since(used) >= IDLE);
        let (mut links, mut processes) = (Vec::new(), Vec::new());
        self.held().retain(|_, mine| {
            mine.sessions.retain(|link| {
                let Some(link) = link.upgrade() else { return false };
                let ends = over(link.used()) && (now.is_none() || link.is_free());
                if ends {
                    links.push(link);
                }
                !ends
            });
            mine.pool.retain(|process| {
                let ends = over(process.router.used()) && (now.is_none() || !process.router.is_busy());
                if ends {
                    processes.push(Arc::clone(process));
                }
                !ends
            });
            // A slot that is locked is being opened.
            if let Ok(mut own) = own_slot(mine).try_lock_owned()
                && let Some(link) = own.take_if(|link| over(link.used()) && (now.is_none() || is_quiet(link)))
            {
                links.push(link);
            }
            let used = Arc::strong_count(&mine.own) > 1 || mine.own.try_lock().map_or(true, |own| own.is_some());
            used || !mine.sessions.is_empty() || !mine.pool.is_empty()
        });
        let links = links.iter().map(|link| link.close());
        let processes = processes.iter().map(|process| process.close());
        tokio::join!(futures_util::future::join_all(links), futures_util::future::join_all(processes));
    }

    /// Remembers the tools of a `tools/list` result (its exact JSON text).
    pub fn note_tools(&self, list_result: &str) {
        self.tools.note(self.name(), list_result);
    }

    /// A tool as last listed.
    #[must_use]
    pub fn tool(&self, name: &str) -> Option<KnownTool> {
        self.tools.get(name)
    }

    /// All tools that were listed, by name.
    #[must_use]
    pub fn tools(&self) -> Vec<KnownTool> {
        self.tools.all()
    }
}

fn own_slot(mine: &Held) -> OwnSlot {
    Arc::clone(&mine.own)
}

/// Placet listens on its own sessions itself, which keeps none of them: only who holds a reference counts.
fn is_quiet(link: &Arc<Link>) -> bool {
    Arc::strong_count(link) == 1
}
