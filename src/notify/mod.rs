//! Tells reviewers by mail: what waits for them, what was decided, what ended otherwise.
//!
//! Notices are written to the outbox in the transaction of what happened. The worker here is activated by a signal and
//! by a period: it writes down who gets each notice, gathers what belongs into one mail ([`schedule`]), writes it
//! ([`message`]) and hands it over ([`email`]). A mail carries no authority: its links open pages behind sign-in.
//!
//! **At least once.** Rows are claimed before a mail leaves and settled after; a crash in between repeats the mail with
//! the same Message-ID. Nothing is mailed twice otherwise. **Nothing blocks.** A mail that cannot be written, or that the
//! server refuses, is settled alone; while the server cannot be reached, everything waits and one mail at a time probes it.

mod arguments;
mod email;
mod facts;
mod message;
mod schedule;
mod text;
mod worker;

use std::sync::Arc;

use tokio::sync::Notify;

pub use email::{BadMailSetting, Delivered, Mailer, MemoryMailbox, Security, Smtp, Transport};
pub use message::{About, CallMail, Headline, Links, Message, Then, write};
pub use worker::Worker;

use crate::call::HeldCall;
use crate::lifecycle::Tasks;

/// Says in one line what a held call would do; `None` where nothing is known beyond its arguments.
pub type Headlines = Arc<dyn Fn(&HeldCall) -> Option<Headline> + Send + Sync>;

/// Wakes the worker: something was written to the outbox. Clones wake the same worker.
#[derive(Clone, Debug, Default)]
pub struct Wake(Arc<Notify>);

impl Wake {
    /// Makes the worker look now. Never blocks, and is not lost while the worker is busy.
    pub fn wake(&self) {
        self.0.notify_one();
    }

    async fn woken(&self) {
        self.0.notified().await;
    }
}

/// Runs the worker until the process stops.
pub async fn run(mut worker: Worker, wake: Wake, tasks: Tasks) {
    if !worker.mails() {
        tracing::warn!("no [mail] in placet.toml: reviewers are not mailed; they see calls only on the queue page");
    }
    worker.recover().await;
    while !tasks.is_stopping() {
        let next = worker.pass().await;
        tokio::select! {
            () = tasks.stopped() => {}
            () = wake.woken() => {}
            () = worker.clock().sleep_until(next) => {}
        }
    }
}
