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
mod changed;
mod email;
mod facts;
mod letter;
mod message;
mod schedule;
mod text;
mod worker;

use std::future::Future;
use std::time::Duration;

pub use changed::{ChangedTool, tools_changed};
pub use email::{BadSender, Delivered, Mailer, MemoryMailbox, Security, Smtp, Transport};
pub use letter::Letter;
pub use message::{About, CallMail, Headline, Links, Message, Then, write};
pub use worker::{HeadlineOf, Judgement, MayDecide, Worker};

use crate::lifecycle::Tasks;

/// How long a mail may still take when the process stops.
const GRACE: Duration = Duration::from_secs(5);

async fn long_after_stop(tasks: &Tasks) {
    tasks.stopped().await;
    tokio::time::sleep(GRACE).await;
}

/// Runs the worker until the process stops. `changed` returns when the outbox may have something new.
pub async fn run<W: Future<Output = ()> + Send>(mut worker: Worker, tasks: Tasks, changed: impl Fn() -> W + Send) {
    if !worker.mails() {
        tracing::warn!("no [mail] in placet.toml: reviewers are not mailed; they see calls only on the queue page");
    }
    worker.recover().await;
    while !tasks.is_stopping() {
        // At a stop the mail that is under way may still leave; cut off, it is sent again after the next start.
        let next = tokio::select! {
            next = worker.pass() => next,
            () = long_after_stop(&tasks) => return,
        };
        tokio::select! {
            () = tasks.stopped() => {}
            () = changed() => {}
            () = worker.clock().sleep_until(next) => {}
        }
    }
}
