//! The job that writes one entry which stands alone.

use tokio::sync::oneshot;

use super::{Batch, Job, Reply, Wanted};
use crate::audit::Entry;
use crate::store::StoreError;

/// One entry.
pub(in crate::store) struct Append {
    entry: Entry,
    reply: Reply<()>,
}

impl Append {
    pub(in crate::store) fn new(entry: Entry, to: oneshot::Sender<Result<(), StoreError>>) -> Self {
        Self { entry, reply: Reply::new(to) }
    }
}

impl Job for Append {
    fn wants(&self, _: &mut Wanted) {}

    fn run(&mut self, batch: &mut Batch<'_>) {
        let now = batch.now();
        self.reply.outcome = Some(batch.append(&self.entry, now));
    }

    fn answer(self: Box<Self>, written: Result<(), StoreError>) {
        self.reply.send(written);
    }
}
