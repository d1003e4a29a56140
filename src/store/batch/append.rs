//! The job that writes one entry which stands alone.

use tokio::sync::oneshot;

use super::{Batch, Job, Reply, Wanted};
use crate::audit::Entry;
use crate::store::{CounterRow, StoreError};

/// One entry, or none, with what the call that it is about took of its limits.
pub(in crate::store) struct Append {
    entry: Option<Entry>,
    counted: Vec<CounterRow>,
    reply: Reply<()>,
}

impl Append {
    pub(in crate::store) fn new(entry: Entry, to: oneshot::Sender<Result<(), StoreError>>) -> Self {
        Self::counted(Some(entry), Vec::new(), to)
    }

    pub(in crate::store) fn counted(
        entry: Option<Entry>,
        counted: Vec<CounterRow>,
        to: oneshot::Sender<Result<(), StoreError>>,
    ) -> Self {
        Self { entry, counted, reply: Reply::new(to) }
    }
}

impl Job for Append {
    fn wants(&self, _: &mut Wanted) {}

    fn run(&mut self, batch: &mut Batch<'_>) {
        let now = batch.now();
        let appended = self.entry.as_ref().map_or(Ok(()), |entry| batch.append(entry, now).map(drop));
        if appended.is_ok() {
            batch.count(&self.counted);
        }
        self.reply.outcome = Some(appended);
    }

    fn answer(self: Box<Self>, written: Result<(), StoreError>) {
        self.reply.send(written);
    }
}
