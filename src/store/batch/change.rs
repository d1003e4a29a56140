//! The job that takes one call one step further.

use tokio::sync::oneshot;

use super::{Batch, Job, Reply, Wanted};
use crate::call::{CallId, HeldCall, ReviewerId};
use crate::store::{CallChange, NotChanged, Scene, StoreError};

type Outcome<R> = Result<HeldCall, NotChanged<R>>;

/// One step. `D` sees the call and answers with the step, or declines with an `R`.
pub(in crate::store) struct Change<R, D> {
    id: CallId,
    by: Option<ReviewerId>,
    decide: D,
    reply: Reply<Outcome<R>>,
}

impl<R, D: Fn(&Scene<'_>) -> Result<CallChange, R>> Change<R, D> {
    pub(in crate::store) fn new(
        id: CallId,
        by: Option<ReviewerId>,
        decide: D,
        to: oneshot::Sender<Result<Outcome<R>, StoreError>>,
    ) -> Self {
        Self { id, by, decide, reply: Reply::new(to) }
    }

    fn change(&self, batch: &mut Batch<'_>) -> Result<Outcome<R>, StoreError> {
        let now = batch.now();
        let Some(found) = batch.call(self.id)? else { return Ok(Err(NotChanged::NoSuchCall)) };
        let call = &found.call;
        let people = batch.people(call.votes.iter().map(|stored| stored.vote.by).chain(self.by))?;
        let scene = Scene { call, now, people: &people, agent_is_active: found.agent_is_active };
        let change = match (self.decide)(&scene) {
            Ok(change) => change,
            Err(declined) => return Ok(Err(NotChanged::Declined(declined))),
        };
        let next = match call.state.clone().apply(change.event.clone()) {
            Ok(next) => next,
            Err(invalid) => return Ok(Err(NotChanged::Invalid(Box::new(call.clone()), invalid))),
        };
        batch.change(self.id, next, change, now).map(Ok)
    }
}

impl<R: Send, D: Fn(&Scene<'_>) -> Result<CallChange, R> + Send> Job for Change<R, D> {
    fn wants(&self, wanted: &mut Wanted) {
        wanted.call(self.id, self.by);
    }

    fn run(&mut self, batch: &mut Batch<'_>) {
        self.reply.outcome = Some(self.change(batch));
    }

    fn answer(self: Box<Self>, written: Result<(), StoreError>) {
        self.reply.send(written);
    }
}
