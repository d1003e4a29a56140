//! Who a message of a child process is for. Everything arrives on one channel: responses find their request by id,
//! progress by its token, and what belongs to no request goes where somebody listens.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::Message;
use super::envelope::{Envelope, Key};
use crate::call::Millis;
use crate::clock::Clock;

/// Messages that wait for one reader before the process is made to wait.
const QUEUE: usize = 256;
/// Messages kept for a listener that is not there yet; the oldest is dropped.
const BACKLOG: usize = 256;
/// Bytes of them.
const BACKLOG_BYTES: usize = 16 << 20;
/// Ids kept of requests whose caller has gone, so that a late answer never reaches a later request of the same id.
const ABANDONED: usize = 4096;
/// How long a reader that takes nothing may hold up the other readers of the same process, once.
const PATIENCE: Duration = Duration::from_secs(30);

/// What keeps an id and a token from being used twice at a time.
#[derive(Debug)]
pub(super) struct Ties {
    pub(super) id: Key,
    pub(super) token: Option<Key>,
}

impl Ties {
    fn meet(&self, other: &Self) -> bool {
        self.id == other.id || (self.token.is_some() && self.token == other.token)
    }
}

/// Who sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    Agent,
    /// Questions for input that arrive meanwhile are taken to belong to this request: what was approved may not be
    /// steered by the agent afterwards.
    Placet,
}

#[derive(Debug)]
struct Open {
    ties: Ties,
    sender: Sender,
    to: mpsc::Sender<Message>,
    /// A place in the queue that only the response takes, so that it never waits.
    last: mpsc::OwnedPermit<Message>,
    stuck: bool,
}

#[derive(Debug, Default)]
struct State {
    open: Vec<Open>,
    reserved: Vec<(u64, Ties)>,
    tickets: u64,
    listener: Option<mpsc::Sender<Message>>,
    backlog: VecDeque<Message>,
    ended: Option<String>,
    spoke: bool,
    /// When something last went in or out.
    used: Millis,
}

/// Routes the messages of one process.
#[derive(Debug)]
pub(super) struct Router {
    /// Never held across an await: every use is a few comparisons.
    state: Mutex<State>,
    /// Whether what belongs to nobody is kept for a listener; pooled processes have none.
    keeps: bool,
    clock: Clock,
}

/// Why a request cannot be opened.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotOpened {
    InUse,
    Ended(String),
}

enum Target {
    Last(mpsc::OwnedPermit<Message>),
    Reader(mpsc::Sender<Message>, bool),
    Kept,
    Nobody,
}

impl Router {
    pub(super) fn new(keeps: bool, clock: Clock) -> Self {
        let state = State { used: clock.now(), ..State::default() };
        Self { state: Mutex::new(state), keeps, clock }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps id and token for a request to come; `None` if they are taken or the process has ended.
    pub(super) fn reserve(&self, ties: Ties) -> Option<u64> {
        let mut state = self.state();
        if state.ended.is_some() || state.meets(&ties, None) {
            return None;
        }
        state.tickets += 1;
        let ticket = state.tickets;
        state.reserved.push((ticket, ties));
        Some(ticket)
    }

    /// Gives a reserved place back.
    pub(super) fn unreserve(&self, ticket: u64) {
        self.state().reserved.retain(|(other, _)| *other != ticket);
    }

    /// Opens a request; what arrives for it comes out of the channel, the response last.
    pub(super) fn open(
        &self,
        ties: Ties,
        sender: Sender,
        ticket: Option<u64>,
    ) -> Result<mpsc::Receiver<Message>, NotOpened> {
        let mut state = self.state();
        if let Some(why) = &state.ended {
            return Err(NotOpened::Ended(why.clone()));
        }
        if state.meets(&ties, ticket) {
            return Err(NotOpened::InUse);
        }
        let (to, from) = mpsc::channel(QUEUE + 1);
        let Ok(last) = to.clone().try_reserve_owned() else { return Err(NotOpened::InUse) };
        state.used = self.clock.now();
        state.reserved.retain(|(other, reserved)| Some(*other) != ticket || reserved.id != ties.id);
        state.forget_abandoned();
        if sender == Sender::Agent && !state.is_listening() {
            for message in std::mem::take(&mut state.backlog) {
                // The queue is as long as the backlog.
                let _ = to.try_send(message);
            }
        }
        state.open.push(Open { ties, sender, to, last, stuck: false });
        Ok(from)
    }

    /// Takes a request back that was never sent.
    pub(super) fn withdraw(&self, id: &Key) {
        self.state().open.retain(|open| open.ties.id != *id);
    }

    /// Hears what belongs to no request from now on, and what was kept until now.
    pub(super) fn listen(&self) -> Result<mpsc::Receiver<Message>, String> {
        let mut state = self.state();
        if let Some(why) = &state.ended {
            return Err(why.clone());
        }
        let (to, from) = mpsc::channel(QUEUE);
        for message in std::mem::take(&mut state.backlog) {
            let _ = to.try_send(message);
        }
        state.listener = Some(to);
        Ok(from)
    }

    /// Takes one line of the process.
    pub(super) async fn route(&self, bytes: Bytes) {
        let Some(envelope) = Envelope::read(&bytes) else {
            tracing::debug!(bytes = bytes.len(), "a line that is no JSON-RPC message was dropped");
            return;
        };
        let message = Message { bytes: bytes.clone(), is_response: envelope.is_response() };
        let target = {
            let mut state = self.state();
            state.used = self.clock.now();
            state.target(&envelope, self.keeps)
        };
        match target {
            Target::Last(place) => drop(place.send(message)),
            Target::Reader(to, false) => {
                tokio::select! {
                    _ = to.send(message) => {}
                    () = self.clock.sleep(PATIENCE) => {
                        tracing::warn!("a message was dropped: its reader takes nothing");
                        self.state().stuck(&to);
                    }
                }
            }
            Target::Reader(to, true) => {
                if to.try_send(message).is_err() {
                    tracing::debug!("a message was dropped: its reader takes nothing");
                }
            }
            Target::Kept => self.state().keep(message),
            Target::Nobody => tracing::debug!("a message that belongs to no open request was dropped"),
        }
    }

    /// Ends every request and listener. The first reason stays.
    pub(super) fn end(&self, why: String) {
        let mut state = self.state();
        state.ended.get_or_insert(why);
        state.open.clear();
        state.reserved.clear();
        state.listener = None;
        state.backlog.clear();
    }

    /// Why it ended.
    pub(super) fn ended(&self) -> Option<String> {
        self.state().ended.clone()
    }

    /// Whether the process has ever said anything.
    pub(super) fn spoke(&self) -> bool {
        self.state().spoke
    }

    /// When something last went in or out.
    pub(super) fn used(&self) -> Millis {
        self.state().used
    }

    /// Whether somebody waits for something.
    pub(super) fn is_busy(&self) -> bool {
        let state = self.state();
        state.is_listening() || !state.reserved.is_empty() || state.open.iter().any(|open| !open.to.is_closed())
    }
}

impl State {
    fn meets(&self, ties: &Ties, ticket: Option<u64>) -> bool {
        self.open.iter().any(|open| open.ties.meet(ties))
            || self.reserved.iter().any(|(other, reserved)| Some(*other) != ticket && reserved.meet(ties))
    }

    fn is_listening(&self) -> bool {
        self.listener.as_ref().is_some_and(|to| !to.is_closed())
    }

    fn forget_abandoned(&mut self) {
        if self.open.len() >= ABANDONED
            && let Some(oldest) = self.open.iter().position(|open| open.to.is_closed())
        {
            self.open.remove(oldest);
        }
    }

    fn keep(&mut self, message: Message) {
        self.backlog.push_back(message);
        let bytes = |kept: &VecDeque<Message>| kept.iter().map(|message| message.bytes.len()).sum::<usize>();
        while self.backlog.len() > BACKLOG || bytes(&self.backlog) > BACKLOG_BYTES {
            self.backlog.pop_front();
            tracing::warn!("the oldest message that nobody listens for was dropped");
        }
    }

    fn stuck(&mut self, to: &mpsc::Sender<Message>) {
        if let Some(open) = self.open.iter_mut().find(|open| open.to.same_channel(to)) {
            open.stuck = true;
        } else if self.listener.as_ref().is_some_and(|listener| listener.same_channel(to)) {
            self.listener = None;
        }
    }

    fn target(&mut self, envelope: &Envelope<'_>, keeps: bool) -> Target {
        self.spoke = true;
        if envelope.is_response() {
            let id = envelope.id().map(Key::of);
            let at = self.open.iter().position(|open| Some(&open.ties.id) == id.as_ref());
            return at.map_or(Target::Nobody, |at| Target::Last(self.open.remove(at).last));
        }
        let reader = |open: &Open| Target::Reader(open.to.clone(), open.stuck);
        if let Some(token) = envelope.progress() {
            let open = self.open.iter().find(|open| open.ties.token.as_ref() == Some(&token));
            return open.map_or(Target::Nobody, reader);
        }
        if let Some(id) = envelope.subscription()
            && let Some(open) = self.open.iter().find(|open| open.ties.id == id)
        {
            return reader(open);
        }
        let newest = |sender: Sender| {
            self.open.iter().rev().find(|open| open.sender == sender && !open.to.is_closed()).map(reader)
        };
        if envelope.method().is_some_and(asks_for_input)
            && let Some(target) = newest(Sender::Placet)
        {
            return target;
        }
        if let Some(to) = self.listener.as_ref().filter(|to| !to.is_closed()) {
            return Target::Reader(to.clone(), false);
        }
        newest(Sender::Agent).or_else(|| newest(Sender::Placet)).unwrap_or(if keeps {
            Target::Kept
        } else {
            Target::Nobody
        })
    }
}

/// Whether an upstream's request asks the agent (its human or its model) for something that steers the call.
pub(super) fn asks_for_input(method: &str) -> bool {
    matches!(method, "elicitation/create" | "sampling/createMessage")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ties(id: &str, token: Option<&str>) -> Ties {
        Ties { id: Key::of(id), token: token.map(Key::of) }
    }

    async fn say(router: &Router, text: &str) {
        router.route(Bytes::from(text.to_owned())).await;
    }

    fn text(message: Option<Message>) -> Option<String> {
        message.map(|message| String::from_utf8(message.bytes.to_vec()).unwrap())
    }

    const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    const ASK: &str = r#"{"jsonrpc":"2.0","id":2,"method":"elicitation/create","params":{}}"#;

    #[tokio::test]
    async fn an_answer_finds_its_request_once_and_whoever_answers_twice_is_not_heard() {
        let router = Router::new(true, Clock::system());
        let mut one = router.open(ties("1", None), Sender::Agent, None).unwrap();
        let mut other = router.open(ties("\"1\"", None), Sender::Agent, None).unwrap();
        for answer in [r#"{"jsonrpc":"2.0","id":"1","result":{}}"#, r#"{"jsonrpc":"2.0","id":"1","result":2}"#] {
            say(&router, answer).await;
        }
        assert!(other.recv().await.unwrap().is_response);
        assert_eq!(other.recv().await, None);
        assert!(one.try_recv().is_err());
        say(&router, r#"{"jsonrpc":"2.0","id":null,"error":{}}"#).await;
        router.end("over".into());
        assert_eq!(one.recv().await, None);
        assert_eq!(router.listen().unwrap_err(), "over");
    }

    #[tokio::test]
    async fn ids_and_tokens_are_never_in_use_twice_even_when_the_caller_has_gone() {
        let router = Router::new(false, Clock::system());
        drop(router.open(ties("1", Some("7")), Sender::Agent, None));
        assert_eq!(router.open(ties("1", None), Sender::Agent, None).unwrap_err(), NotOpened::InUse);
        assert_eq!(router.open(ties("2", Some("7")), Sender::Agent, None).unwrap_err(), NotOpened::InUse);
        let ticket = router.reserve(ties("2", None)).unwrap();
        assert_eq!(router.reserve(ties("2", None)), None);
        assert_eq!(router.open(ties("2", None), Sender::Agent, None).unwrap_err(), NotOpened::InUse);
        assert!(router.open(ties("2", None), Sender::Agent, Some(ticket)).is_ok());
        let ticket = router.reserve(ties("3", None)).unwrap();
        router.unreserve(ticket);
        assert!(router.reserve(ties("3", None)).is_some());
    }

    #[tokio::test]
    async fn what_belongs_to_no_request_goes_to_the_listener_else_the_newest_request_else_waits() {
        let router = Router::new(true, Clock::system());
        say(&router, PING).await;
        let mut first = router.open(ties("1", Some("0")), Sender::Agent, None).unwrap();
        assert_eq!(text(first.recv().await).as_deref(), Some(PING), "kept until there was a request");
        let mut second = router.open(ties("2", None), Sender::Agent, None).unwrap();
        say(&router, PING).await;
        assert_eq!(text(second.recv().await).as_deref(), Some(PING));
        let progress = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":0}}"#;
        say(&router, progress).await;
        assert_eq!(text(first.recv().await).as_deref(), Some(progress));
        let mut listener = router.listen().unwrap();
        say(&router, PING).await;
        assert_eq!(text(listener.recv().await).as_deref(), Some(PING));
        drop((listener, second));
        say(&router, PING).await;
        assert_eq!(text(first.recv().await).as_deref(), Some(PING));
    }

    #[tokio::test]
    async fn a_question_for_input_during_a_released_call_never_reaches_the_agent() {
        let router = Router::new(true, Clock::system());
        let mut released = router.open(ties("\"placet-1\"", None), Sender::Placet, None).unwrap();
        let mut agents = router.open(ties("1", None), Sender::Agent, None).unwrap();
        let mut listener = router.listen().unwrap();
        say(&router, ASK).await;
        say(&router, PING).await;
        assert_eq!(text(released.recv().await).as_deref(), Some(ASK));
        assert_eq!(text(listener.recv().await).as_deref(), Some(PING));
        assert!(agents.try_recv().is_err());
    }

    #[tokio::test]
    async fn a_reader_that_takes_nothing_still_gets_its_answer_and_holds_nobody_up_twice() {
        let clock = Clock::manual(Millis(0));
        let router = Router::new(true, clock.clone());
        let mut slow = router.open(ties("1", None), Sender::Agent, None).unwrap();
        for _ in 0..QUEUE {
            say(&router, PING).await;
        }
        // With a fresh budget of the runtime's, so that what is polled once is truly waiting.
        tokio::task::yield_now().await;
        let waits = say(&router, PING);
        tokio::pin!(waits);
        assert!(futures_util::poll!(&mut waits).is_pending());
        clock.advance(PATIENCE);
        waits.await;
        say(&router, PING).await;
        say(&router, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).await;
        let mut count = 0;
        while let Some(message) = slow.recv().await {
            count += 1;
            assert_eq!(message.is_response, count == QUEUE + 1);
        }
        assert_eq!(count, QUEUE + 1);
    }

    #[tokio::test]
    async fn the_backlog_is_bounded_and_pooled_processes_keep_none() {
        let router = Router::new(true, Clock::system());
        for n in 0..BACKLOG + 5 {
            say(&router, &format!(r#"{{"jsonrpc":"2.0","method":"n{n}"}}"#)).await;
        }
        let mut listener = router.listen().unwrap();
        assert_eq!(text(listener.recv().await).as_deref(), Some(r#"{"jsonrpc":"2.0","method":"n5"}"#));
        let pooled = Router::new(false, Clock::system());
        say(&pooled, PING).await;
        assert!(pooled.listen().unwrap().try_recv().is_err());
    }
}
