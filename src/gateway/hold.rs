//! The stream of a held call: it keeps its caller company while people decide, and ends with the result, the refusal,
//! or, once the budget is spent, with "pending, come back".

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::mpsc;

use super::context::Context;
use super::envelope::{Id, Message};
use super::relay::COMMENT_EVERY;
use super::reply::To;
use super::respond::Reply;
use super::sessions::{Busy, Held};
use super::sse::Frame;
use super::upstream;
use crate::approvals::{Attached, How, NotCancelled, Submitted};
use crate::call::{CallId, HeldCall, Millis};

/// How often a caller that wants to hear of progress does.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);
/// Frames that may wait for a slow reader before signs of life are left out.
const QUEUE: usize = 64;

/// A request whose answer waits for people.
#[derive(Debug)]
pub struct Asked {
    /// Its id.
    id: Id,
    /// The token's text, if the caller wants to hear of progress.
    progress: Option<String>,
    /// When it came.
    at: Millis,
}

impl Asked {
    /// The request that this message is.
    pub fn new(context: &Context, message: &Message<'_>, id: &Id) -> Self {
        let progress = message.progress_token().map(str::to_owned);
        Self { id: id.clone(), progress, at: context.gateway.clock().now() }
    }
}

/// Answers a request whose call is in the hands of people: at once if all is said, else with a stream.
pub async fn hold(context: &Arc<Context>, asked: Asked, to: To, submitted: Submitted) -> Reply {
    let Submitted { call, how } = submitted;
    begin(context, asked, to, call, how, Purpose::Call).await
}

/// Whether the request is the call itself or only waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// `tools/call` of the held tool: taking it back takes the call back.
    Call,
    /// `placet_wait`: taking it back takes nothing back.
    Wait,
}

/// As [`hold`], for either purpose.
pub async fn begin(context: &Arc<Context>, asked: Asked, to: To, call: HeldCall, how: How, purpose: Purpose) -> Reply {
    if call.state.is_terminal() || !call.genuine {
        return Reply::message(ended(context, &to, &call, asked.at).await);
    }
    let (frames, receiver) = mpsc::channel(QUEUE);
    let (said, relayed) = mpsc::channel(QUEUE);
    let approvals = context.gateway.approvals();
    let id = call.submission.id;
    let waiting = Waiting {
        context: Arc::clone(context),
        attached: approvals.attach(id),
        _registered: context.session().map(|session| {
            let link = Arc::clone(&session.link);
            context.gateway.parts().upstreams.register(id, link, Some(said))
        }),
        request: context.session().map(|session| (session.hold(&asked.id), session.busy())),
        to,
        asked,
        call,
        purpose,
        frames,
    };
    let came_back = how == How::Joined;
    context.gateway.tasks().spawn("hold", async move {
        if came_back {
            waiting.context.gateway.approvals().returned(id).await;
        }
        waiting.run(relayed).await;
    });
    // The first frame goes out at once, so that whoever counts seconds to the first byte is content.
    let rest = stream::unfold(receiver, |mut frames| async move { Some((frames.recv().await?, frames)) });
    Reply::Stream(stream::iter([Frame::Comment]).chain(rest).boxed())
}

struct Waiting {
    context: Arc<Context>,
    attached: Attached,
    _registered: Option<upstream::Registered>,
    request: Option<(Held, Busy)>,
    to: To,
    asked: Asked,
    call: HeldCall,
    purpose: Purpose,
    frames: mpsc::Sender<Frame>,
}

/// Why the waiting ends.
enum End {
    Answer(Box<HeldCall>),
    NoWord,
    BudgetSpent,
    CallerGone,
    TakenBack,
}

impl Waiting {
    fn id(&self) -> CallId {
        self.call.submission.id
    }

    async fn run(mut self, relayed: mpsc::Receiver<upstream::Message>) {
        let end = self.wait(relayed).await;
        let message = match end {
            End::Answer(call) => Some(ended(&self.context, &self.to, &call, self.asked.at).await),
            End::NoWord => Some(self.to.unreadable()),
            End::BudgetSpent => Some(self.tell_to_return().await),
            End::CallerGone => return self.caller_gone().await,
            End::TakenBack => return self.take_back().await,
        };
        if let Some(message) = message {
            // Who left in this very moment finds the answer when it comes back.
            let _ = self.frames.send(Frame::Message(message.into())).await;
        }
    }

    async fn wait(&mut self, mut relayed: mpsc::Receiver<upstream::Message>) -> End {
        let clock = self.context.gateway.clock().clone();
        let tasks = self.context.gateway.tasks().clone();
        let start = self.asked.at;
        // A caller that hears of progress has all the patience there is.
        let budget = self.asked.progress.is_none().then_some(self.context.gateway.parts().hold_budget);
        let ends_at = budget.map_or(Millis::MAX, |budget| start.after(budget));
        let mut comment_at = start.after(COMMENT_EVERY);
        let mut progress_at = start.after(PROGRESS_EVERY);
        let mut steps = 0_u64;
        loop {
            let taken_back = async {
                match &self.request {
                    Some((held, _)) => held.cancelled.cancelled().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                call = self.attached.finished() => return match call {
                    Ok(call) => End::Answer(Box::new(call)),
                    Err(error) => {
                        tracing::error!(call = %self.id(), %error, "a held call could not be read");
                        End::NoWord
                    }
                },
                () = taken_back => return End::TakenBack,
                () = self.frames.closed() => return End::CallerGone,
                () = tasks.stopped() => return End::BudgetSpent,
                Some(said) = relayed.recv() => {
                    if let Some(session) = self.context.session() {
                        session.hears(&said.bytes);
                    }
                    // Our own progress goes on and must only ever rise, so the upstream's is left out.
                    if !is_progress(&said.bytes) && self.frames.send(Frame::Message(said.bytes)).await.is_err() {
                        return End::CallerGone;
                    }
                }
                () = clock.sleep_until(ends_at) => return End::BudgetSpent,
                () = clock.sleep_until(comment_at) => {
                    comment_at = clock.now().after(COMMENT_EVERY);
                    // Where the queue is full the reader has enough to live on.
                    let _ = self.frames.try_send(Frame::Comment);
                }
                () = clock.sleep_until(progress_at), if self.asked.progress.is_some() => {
                    progress_at = clock.now().after(PROGRESS_EVERY);
                    steps += 1;
                    let _ = self.frames.try_send(Frame::Message(self.progress(steps)));
                }
            }
        }
    }

    fn progress(&self, steps: u64) -> Bytes {
        let token = self.asked.progress.as_deref().unwrap_or("null");
        let params = format!(r#"{{"progressToken":{token},"progress":{steps},"message":"Waiting for a reviewer"}}"#);
        format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{params}}}"#).into()
    }

    /// The caller is told that the call goes on without it, once that is noted.
    async fn tell_to_return(&self) -> String {
        let approvals = self.context.gateway.approvals();
        if let Err(error) = approvals.told_to_return(self.id()).await {
            tracing::error!(call = %self.id(), %error, "that a caller comes back was not noted");
            return self.to.unreadable();
        }
        match approvals.call(self.id()).await {
            Ok(call) if call.state.is_terminal() => ended(&self.context, &self.to, &call, self.asked.at).await,
            Ok(call) => self.to.open(&call),
            Err(_) => self.to.open(&self.call),
        }
    }

    /// The caller closed the stream. In the stateless era that takes the request back.
    async fn caller_gone(self) {
        if self.context.is_stateless() && self.purpose == Purpose::Call {
            return self.take_back().await;
        }
        let approvals = self.context.gateway.approvals().clone();
        let (id, told_before) = (self.id(), self.call.told_to_return);
        drop(self);
        if !told_before {
            approvals.caller_gone(id).await;
        }
    }

    /// The caller took the request back. It gets no answer any more.
    async fn take_back(self) {
        let (context, id, purpose) = (Arc::clone(&self.context), self.id(), self.purpose);
        // No longer waited for by this request; if by another one, the call stays.
        drop(self);
        if purpose == Purpose::Wait {
            return;
        }
        match context.gateway.approvals().cancel(id, context.agent.id).await {
            Ok(_) => {}
            Err(NotCancelled::TooLate(call)) if !call.state.is_terminal() => {
                // It runs: the upstream is asked to stop, and the call ends as the upstream ends it.
                let under_way = context.gateway.parts().upstreams.cancel(id).await;
                tracing::info!(call = %id, under_way, "a running call was taken back");
            }
            Err(error) => tracing::info!(call = %id, %error, "a call was not taken back"),
        }
    }
}

/// What an ended call's caller is told: its answer only if it is the one that was recorded.
async fn ended(context: &Context, to: &To, call: &HeldCall, asked_at: Millis) -> String {
    match context.gateway.approvals().vouches_for(call).await {
        Ok(true) => to.ended(call, asked_at),
        Ok(false) if call.finding.is_some() => to.ended(&HeldCall { finding: None, ..call.clone() }, asked_at),
        Ok(false) => to.untrue(call),
        Err(error) => {
            tracing::error!(call = %call.submission.id, %error, "a kept answer could not be compared with the log");
            to.unreadable()
        }
    }
}

fn is_progress(message: &[u8]) -> bool {
    let words = b"notifications/progress";
    message.len() < 64 * 1024 && message.windows(words.len()).any(|window| window == words)
}
