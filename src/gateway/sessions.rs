//! Sessions of the era up to 2025-11-25: each is one agent's link to one upstream, under an id that nobody can guess
//! and that is worth nothing to another agent.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::envelope::Id;
use super::upstream::{Link, question};
use crate::call::{AgentId, Millis, UpstreamName};

/// A session that nobody used for so long, and on which nothing is open, ends.
pub const IDLE: Duration = Duration::from_secs(3600);
/// As many sessions one agent has with one upstream; beyond, the one that was idle longest ends. Clients that never
/// say goodbye would otherwise keep a process each.
const MOST: usize = 32;
/// As many questions of the server's may wait for the client's answer; beyond, the oldest is forgotten.
const MOST_ASKED: usize = 1000;

/// One session.
#[derive(Debug)]
pub struct Session {
    /// Its id on the wire.
    pub id: String,
    /// Whose it is.
    pub agent: AgentId,
    /// Which upstream it leads to.
    pub upstream: UpstreamName,
    /// The link.
    pub link: Arc<Link>,
    /// The revision that the upstream agreed to.
    pub version: String,
    /// What the client calls itself.
    pub client: Option<String>,
    used_at: AtomicI64,
    open: AtomicUsize,
    /// Held calls by request id: how to take them back. A plain mutex, held for map operations only.
    held: Mutex<HashMap<String, Vec<CancellationToken>>>,
    /// Ids of what the server asked of the client and the client has not answered, the newest last.
    asked: Mutex<VecDeque<String>>,
}

/// Something is open on a session until this is dropped, so the session is not idle.
#[derive(Debug)]
pub struct Busy(Arc<Session>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A held request of a session, until this is dropped.
#[derive(Debug)]
pub struct Held {
    session: Arc<Session>,
    key: String,
    /// Cancelled when the client takes the request back.
    pub cancelled: CancellationToken,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self.session.held();
        if let Some(tokens) = held.get_mut(&self.key) {
            // Any one of them: those that are cancelled go first, else they are alike.
            let at = tokens.iter().position(|t| t.is_cancelled() == self.cancelled.is_cancelled());
            at.map(|at| tokens.swap_remove(at));
            if tokens.is_empty() {
                held.remove(&self.key);
            }
        }
    }
}

impl Session {
    fn held(&self) -> MutexGuard<'_, HashMap<String, Vec<CancellationToken>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something is open from now on.
    pub fn busy(self: &Arc<Self>) -> Busy {
        self.open.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }

    /// A request is held from now on.
    pub fn hold(self: &Arc<Self>, id: &Id) -> Held {
        let cancelled = CancellationToken::new();
        self.held().entry(id.key.clone()).or_default().push(cancelled.clone());
        Held { session: Arc::clone(self), key: id.key.clone(), cancelled }
    }

    /// The client takes a request back. `false` if it is not one that is held.
    pub fn cancel(&self, id: &Id) -> bool {
        let held = self.held();
        let Some(tokens) = held.get(&id.key) else { return false };
        tokens.iter().for_each(CancellationToken::cancel);
        true
    }

    /// The client hears this message of the server's; if it is a question, the client may answer it.
    pub fn hears(&self, message: &[u8]) {
        let Some(question) = question(message) else { return };
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.len() >= MOST_ASKED {
            asked.pop_front();
        }
        asked.push_back(question);
    }

    /// Whether the client answers what it was asked; each question is answered once.
    pub fn may_answer(&self, id: &Id) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let at = asked.iter().position(|question| *question == id.key);
        at.and_then(|at| asked.remove(at)).is_some()
    }

    fn is_idle(&self, now: Millis) -> bool {
        let used_at = Millis(self.used_at.load(Ordering::Relaxed));
        self.open.load(Ordering::Relaxed) == 0 && now.since(used_at) >= IDLE
    }
}

/// All sessions.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<HashMap<String, Arc<Session>>>);

/// What a session is opened with.
#[derive(Debug)]
pub struct Opening {
    /// Its id: random, at least 128 bits.
    pub id: String,
    /// Whose it is.
    pub agent: AgentId,
    /// Which upstream it leads to.
    pub upstream: UpstreamName,
    /// The link.
    pub link: Arc<Link>,
    /// The revision that the upstream agreed to.
    pub version: String,
    /// What the client calls itself.
    pub client: Option<String>,
}

impl Sessions {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a session. Returns it, and the one that had to make room for it, to be closed.
    pub fn open(&self, opening: Opening, now: Millis) -> (Arc<Session>, Option<Arc<Session>>) {
        let Opening { id, agent, upstream, link, version, client } = opening;
        let mut all = self.all();
        let same = all.values().filter(|s| s.agent == agent && s.upstream == upstream);
        let (mut count, mut oldest) = (0, None::<&Arc<Session>>);
        for session in same {
            count += 1;
            let used = |s: &Session| (s.open.load(Ordering::Relaxed) > 0, s.used_at.load(Ordering::Relaxed));
            if oldest.is_none_or(|other| used(session) < used(other)) {
                oldest = Some(session);
            }
        }
        let oldest = oldest.filter(|_| count >= MOST).map(|session| session.id.clone());
        let displaced = oldest.and_then(|id| all.remove(&id));
        let used_at = AtomicI64::new(now.0);
        let (open, held, asked) = (AtomicUsize::new(0), Mutex::default(), Mutex::default());
        let session =
            Arc::new(Session { id: id.clone(), agent, upstream, link, version, client, used_at, open, held, asked });
        all.insert(id, Arc::clone(&session));
        (session, displaced)
    }

    /// The session of that id, if it is this agent's with this upstream and still alive.
    pub fn get(&self, id: &str, agent: AgentId, upstream: &UpstreamName, now: Millis) -> Option<Arc<Session>> {
        let mut all = self.all();
        let session = all.get(id).filter(|s| s.agent == agent && s.upstream == *upstream)?;
        if !session.link.is_alive() || session.is_idle(now) {
            all.remove(id);
            return None;
        }
        session.used_at.store(now.0, Ordering::Relaxed);
        Some(Arc::clone(session))
    }

    /// Ends a session.
    pub fn remove(&self, id: &str) -> Option<Arc<Session>> {
        self.all().remove(id)
    }

    /// Takes out the sessions that are idle or whose link has ended.
    pub fn take_idle(&self, now: Millis) -> Vec<Arc<Session>> {
        let mut all = self.all();
        let over = all.extract_if(|_, session| session.is_idle(now) || !session.link.is_alive());
        over.map(|(_, session)| session).collect()
    }

    /// Takes out the sessions of these agents.
    pub fn take_of(&self, agents: impl Fn(AgentId) -> bool) -> Vec<Arc<Session>> {
        self.all().extract_if(|_, session| agents(session.agent)).map(|(_, session)| session).collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all().len()
    }
}
