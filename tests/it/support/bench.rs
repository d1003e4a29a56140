//! Approvals over a real database with a clock that stands still and an upstream that only counts.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use placet::approvals::{
    Approvals, BoxFuture, Channel, Decision, Forward, ForwardError, NewCall, Rules, Seal, Settings, Submitted, settle,
};
use placet::call::{
    AgentId, AgentName, Answer, CallState, Caller, Digest, Email, Era, GroupName, HeldCall, Millis, Requirement,
    ReviewerId, StandingOffer, Submission, ToolName, UpstreamName, Verdict,
};
use placet::clock::{Clock, Entropy};
use placet::lifecycle::Tasks;
use placet::store::{NewAgent, NewReviewer, Roles, Store};
use tempfile::TempDir;

/// An upstream that writes down what reaches it and answers as it is told.
pub(crate) struct Counter {
    pub(crate) received: Mutex<Vec<String>>,
    pub(crate) answer: Mutex<Result<Answer, ForwardError>>,
}

impl Forward for Counter {
    fn forward<'a>(&'a self, call: &'a Submission) -> BoxFuture<'a, Result<Answer, ForwardError>> {
        Box::pin(async move {
            self.received.lock().unwrap().push(call.params.clone());
            self.answer.lock().unwrap().clone()
        })
    }
}

/// Today's policy: allows until it is told not to.
#[derive(Default)]
pub(crate) struct Today(pub(crate) Mutex<Option<String>>);

impl Rules for Today {
    fn still_allow(&self, _: &Submission, _: Millis) -> Result<(), String> {
        self.0.lock().unwrap().clone().map_or(Ok(()), Err)
    }

    fn standing(&self, call: &Submission, _: Millis) -> Option<StandingOffer> {
        call.requirement.standing.clone()
    }
}

/// A process that can be stopped and started again on the same folder.
pub(crate) struct Bench {
    pub(crate) folder: Arc<TempDir>,
    pub(crate) clock: Clock,
    pub(crate) entropy: Entropy,
    pub(crate) tasks: Tasks,
    pub(crate) store: Store,
    pub(crate) approvals: Approvals,
    pub(crate) upstream: Arc<Counter>,
    pub(crate) today: Arc<Today>,
    pub(crate) agent: Caller,
    pub(crate) mira: ReviewerId,
    pub(crate) noor: ReviewerId,
    settings: Settings,
}

pub(crate) const START: Millis = Millis(1_795_356_131_000);

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let (clock, entropy) = (Clock::manual(START), Entropy::seeded(1));
        let upstream = Arc::new(Counter {
            received: Mutex::default(),
            answer: Mutex::new(Ok(Answer::Result(r#"{"content":[]}"#.into()))),
        });
        let today = Arc::new(Today::default());
        let agent = Caller {
            id: AgentId(entropy.uuid(START)),
            name: AgentName::new("ci-bot").unwrap(),
            owner: Email::parse("owner@example.com").unwrap(),
        };
        let (tasks, store, approvals) = open(folder.path(), &clock, &entropy, &upstream, &today, settings).await;
        store
            .agent_add(NewAgent {
                id: agent.id,
                name: agent.name.clone(),
                owner: agent.owner.clone(),
                upstreams: vec![],
                token_hash: Digest::of(b"token"),
            })
            .await
            .unwrap();
        let mira = add_reviewer(&store, &entropy, "mira@example.com", &["iam"]).await;
        let noor = add_reviewer(&store, &entropy, "noor@example.com", &["iam", "night"]).await;
        Self { folder, clock, entropy, tasks, store, approvals, upstream, today, agent, mira, noor, settings }
    }

    /// Stops the process without a word and starts it again.
    pub(crate) async fn restart(self) -> Self {
        self.restart_over(|_| {}).await
    }

    /// As [`Bench::restart`], and something happens to the folder while nothing runs; if the list beside the database
    /// does not fit it then, or it is marked as a copy, that is settled as the service does it.
    pub(crate) async fn restart_over(self, happens: impl FnOnce(&Path)) -> Self {
        let Self { folder, clock, entropy, tasks, store, approvals, upstream, today, agent, mira, noor, settings } =
            self;
        tasks.begin_stop();
        drop((store, approvals));
        assert!(tasks.ended(Duration::from_secs(10)).await, "a task did not end");
        happens(folder.path());
        let clock = clock.restarted();
        let (tasks, store, approvals) = open(folder.path(), &clock, &entropy, &upstream, &today, settings).await;
        let (log, as_of) = store.log_end().await.unwrap();
        settle(&store, store.spent_at_start(), log, as_of).await.unwrap();
        approvals.recover().await.unwrap();
        Self { folder, clock, entropy, tasks, store, approvals, upstream, today, agent, mira, noor, settings }
    }

    pub(crate) fn call(&self, arguments: &str, requirement: Requirement) -> NewCall {
        let head = r#"{"name":"put_user_policy","arguments":"#;
        NewCall {
            agent: self.agent.clone(),
            upstream: UpstreamName::new("iam").unwrap(),
            upstream_config: Digest::of(b"config"),
            tool: ToolName::new("put_user_policy").unwrap(),
            tool_schema: None,
            params: format!("{head}{arguments}}}"),
            arguments_at: Some((head.len(), head.len() + arguments.len())),
            canonical_arguments: arguments.to_owned(),
            headers: vec![],
            policy: Digest::of(b"policy"),
            rule: "/tools/put_user_policy".into(),
            requirement,
            era: Era::Sessions,
            client: None,
            agent_reason: None,
        }
    }

    /// Holds a call with these arguments, fifteen minutes.
    pub(crate) async fn hold(&self, arguments: &str) -> HeldCall {
        self.submit(arguments, Requirement::plain(Duration::from_secs(900))).await.call
    }

    pub(crate) async fn submit(&self, arguments: &str, requirement: Requirement) -> Submitted {
        self.approvals.submit(self.call(arguments, requirement)).await.unwrap()
    }

    pub(crate) fn decision(&self, call: &HeldCall, by: ReviewerId, verdict: Verdict) -> Decision {
        Decision {
            call: call.submission.id,
            digest: call.digest,
            verdict,
            reason: "scope Resource to one bucket".into(),
            by,
            channel: Channel::Page,
            confirmed: false,
        }
    }

    pub(crate) fn sent(&self) -> usize {
        self.upstream.received.lock().unwrap().len()
    }

    /// Waits until the call is in this state.
    pub(crate) async fn until(&self, call: &HeldCall, state: &str) -> HeldCall {
        let mut events = self.approvals.events();
        loop {
            let now = self.store.call(call.submission.id).await.unwrap().unwrap();
            if now.state.name() == state {
                return now;
            }
            assert!(!now.state.is_terminal(), "{state} was expected, but it is {:?}", now.state);
            tokio::time::timeout(Duration::from_secs(10), events.recv()).await.expect("nothing happens").unwrap();
        }
    }

    pub(crate) async fn kinds(&self, call: &HeldCall) -> Vec<String> {
        let entries = self.store.entries_of(call.submission.id).await.unwrap();
        entries.into_iter().map(|entry| entry.kind).collect()
    }

    pub(crate) fn pending(call: &HeldCall) -> bool {
        matches!(call.state, CallState::Pending { .. })
    }
}

async fn open(
    folder: &Path,
    clock: &Clock,
    entropy: &Entropy,
    upstream: &Arc<Counter>,
    today: &Arc<Today>,
    settings: Settings,
) -> (Tasks, Store, Approvals) {
    let tasks = Tasks::default();
    let store = Store::open(folder, clock.clone(), &tasks).await.unwrap();
    let seal = Seal::load_or_create(folder, entropy).unwrap();
    let forward: Arc<dyn Forward> = Arc::clone(upstream) as _;
    let rules: Arc<dyn Rules> = Arc::clone(today) as _;
    let approvals = Approvals::new(store.clone(), entropy.clone(), tasks.clone(), seal, forward, rules, settings);
    (tasks, store, approvals)
}

async fn add_reviewer(store: &Store, entropy: &Entropy, email: &str, groups: &[&str]) -> ReviewerId {
    let id = ReviewerId(entropy.uuid(START));
    let new = NewReviewer {
        id,
        email: Email::parse(email).unwrap(),
        name: email.split('@').next().unwrap().to_owned(),
        roles: Roles { reviewer: true, auditor: false, administrator: false },
        groups: groups.iter().map(|name| GroupName::new(*name).unwrap()).collect(),
        password: None,
    };
    store.reviewer_add(new).await.unwrap().unwrap();
    id
}
