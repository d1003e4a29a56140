//! What those outside were told: nothing of it may turn out untrue.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// A verdict that was acknowledged with HTTP 200.
#[derive(Clone, Debug)]
pub(super) struct Acknowledged {
    pub(super) call: String,
    pub(super) by: &'static str,
    pub(super) verdict: &'static str,
    /// The state of the call in the answer.
    pub(super) state: String,
    /// When, by the run's own count of moments.
    pub(super) at: u64,
}

/// What an agent was told of its call.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) call: String,
    pub(super) state: String,
    pub(super) at: u64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Records {
    pub(super) acknowledged: Vec<Acknowledged>,
    pub(super) told: Vec<Told>,
    /// Every call that anybody was shown, and when first.
    pub(super) shown: BTreeMap<String, u64>,
    /// What was refused and came about all the same.
    pub(super) lies: Vec<String>,
    /// By number of the plan: the call that waits for reviewers now.
    waiting: BTreeMap<usize, String>,
    /// Numbers whose caller has left, or was told to come back.
    left: BTreeSet<usize>,
    /// What each caller does that is not done, by number: its last steps, and how many there were.
    pub(super) busy: BTreeMap<usize, Trail>,
}

/// The last steps of a caller.
#[derive(Clone, Debug, Default)]
pub(super) struct Trail {
    steps: usize,
    last: VecDeque<(Duration, String)>,
}

/// So many steps of a caller are remembered.
const STEPS: usize = 12;

/// The records of one run.
pub(super) struct Book {
    records: Mutex<Records>,
    /// When the process that answers now began to.
    begun: Mutex<Instant>,
    changed: Notify,
    /// What moment it is, where that matters.
    moment: Option<Box<dyn Fn() -> u64 + Send + Sync>>,
}

impl Default for Book {
    fn default() -> Self {
        let begun = Mutex::new(Instant::now());
        Self { records: Mutex::default(), begun, changed: Notify::new(), moment: None }
    }
}

impl Book {
    /// With moments of its own.
    pub(super) fn with(moment: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self { moment: Some(Box::new(moment)), ..Self::default() }
    }

    pub(super) fn moment(&self) -> u64 {
        self.moment.as_ref().map_or(0, |moment| moment())
    }

    pub(super) fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap()
    }

    /// Another process answers from here on.
    pub(super) fn begin(&self) {
        *self.begun.lock().unwrap() = Instant::now();
        let mut records = self.records();
        records.waiting.clear();
        records.left.clear();
        records.busy.clear();
    }

    pub(super) fn acknowledge(&self, acknowledged: Acknowledged) {
        self.records().acknowledged.push(acknowledged);
    }

    pub(super) fn lie(&self, lie: String) {
        self.records().lies.push(lie);
    }

    pub(super) fn tell(&self, call: String, state: String) {
        let at = self.moment();
        let mut records = self.records();
        records.shown.entry(call.clone()).or_insert(at);
        records.told.push(Told { call, state, at });
    }

    /// Reviewers see this call waiting.
    pub(super) fn show(&self, number: usize, call: &str) {
        let at = self.moment();
        let mut records = self.records();
        records.shown.entry(call.to_owned()).or_insert(at);
        records.waiting.insert(number, call.to_owned());
        drop(records);
        self.changed.notify_waiters();
    }

    /// The call of this number, once reviewers see it waiting.
    pub(super) async fn waiting(&self, number: usize) -> String {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(call) = self.records().waiting.get(&number) {
                return call.clone();
            }
            changed.await;
        }
    }

    pub(super) fn note(&self, number: usize, does: impl Into<String>) {
        let since = self.begun.lock().unwrap().elapsed();
        let mut records = self.records();
        let trail = records.busy.entry(number).or_default();
        trail.steps += 1;
        trail.last.push_back((since, does.into()));
        if trail.last.len() > STEPS {
            trail.last.pop_front();
        }
    }

    pub(super) fn done(&self, number: usize) {
        self.records().busy.remove(&number);
    }

    pub(super) fn leave(&self, number: usize) {
        self.records().left.insert(number);
    }

    pub(super) fn has_left(&self, number: usize) -> bool {
        self.records().left.contains(&number)
    }
}
