//! What those outside were told: nothing of it may turn out untrue.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use tokio::sync::Notify;

/// A verdict that was acknowledged with HTTP 200.
#[derive(Clone, Debug)]
pub(super) struct Acknowledged {
    pub(super) call: String,
    pub(super) by: &'static str,
    pub(super) verdict: &'static str,
    /// The state of the call in the answer.
    pub(super) state: String,
}

/// What an agent was told of its call.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) call: String,
    pub(super) state: String,
}

#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) acknowledged: Vec<Acknowledged>,
    pub(super) told: Vec<Told>,
    /// Every call that anybody was shown.
    pub(super) shown: BTreeSet<String>,
    /// What was refused and came about all the same.
    pub(super) lies: Vec<String>,
    /// By number of the plan: the call that waits for reviewers now.
    waiting: BTreeMap<usize, String>,
    /// Numbers whose caller has left, or was told to come back.
    left: BTreeSet<usize>,
}

/// The records of one run.
#[derive(Debug, Default)]
pub(super) struct Book {
    records: Mutex<Records>,
    changed: Notify,
}

impl Book {
    pub(super) fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap()
    }

    /// Another process answers from here on.
    pub(super) fn begin(&self) {
        let mut records = self.records();
        records.waiting.clear();
        records.left.clear();
    }

    pub(super) fn acknowledge(&self, acknowledged: Acknowledged) {
        self.records().acknowledged.push(acknowledged);
    }

    pub(super) fn lie(&self, lie: String) {
        self.records().lies.push(lie);
    }

    pub(super) fn tell(&self, call: String, state: String) {
        let mut records = self.records();
        records.shown.insert(call.clone());
        records.told.push(Told { call, state });
    }

    /// Reviewers see this call waiting.
    pub(super) fn show(&self, number: usize, call: &str) {
        let mut records = self.records();
        records.shown.insert(call.to_owned());
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

    pub(super) fn leave(&self, number: usize) {
        self.records().left.insert(number);
    }

    pub(super) fn has_left(&self, number: usize) -> bool {
        self.records().left.contains(&number)
    }
}
