//! What the log tells of people, agents and what they sign in with: what lives at its end.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Map, Value};

use super::Holder;
use crate::audit::Said;
use crate::call::Millis;

/// Something that lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Live {
    /// The entry that made it.
    pub made: i64,
    /// The last entry that made its row what it is.
    pub last: i64,
    /// When it was made; `None` for an account that was opened again.
    pub made_at: Option<Millis>,
    /// What its entries say of it.
    pub facts: Map<String, Value>,
}

/// What is told, entry by entry.
#[derive(Debug, Default)]
pub struct Told {
    agents: HashMap<String, Live>,
    reviewers: HashMap<String, Live>,
    /// By person, then by their own id.
    sessions: HashMap<String, HashMap<String, i64>>,
    tokens: HashMap<String, HashMap<String, i64>>,
    /// By person: each has one at a time. They have no names in the log.
    links: HashMap<String, i64>,
    /// How many have ended.
    ended: BTreeMap<Holder, u64>,
    aside: HashSet<String>,
}

impl Told {
    /// The next entry.
    pub fn entry(&mut self, said: &Said<'_>) {
        let seq = said.seq;
        let detail = |key: &str| said.text(key).map(str::to_owned);
        let agent = || said.text("agent_id").map(str::to_owned);
        let Some(person) = said.reviewer.as_deref() else {
            match (&*said.kind, agent()) {
                ("agent.added", Some(id)) => {
                    let mut live = Live::of(said, &["upstreams"]);
                    live.facts.extend(said.agent.as_deref().map(|name| ("name".to_owned(), name.into())));
                    self.agents.insert(id, live);
                }
                ("agent.revoked", Some(id)) => {
                    let ended = self.agents.remove(&id).is_some();
                    self.count(Holder::Agent, u64::from(ended));
                }
                // Ends what its own entries about people do not tell.
                ("store.restored", _) => {
                    let links = self.links.drain().count() as u64;
                    self.count(Holder::Link, links);
                }
                // An upgrade deletes every link once.
                ("accounts.sealed", _) => {
                    self.links.clear();
                    self.ended.remove(&Holder::Link);
                }
                _ => {}
            }
            return;
        };
        match &*said.kind {
            "reviewer.added" => {
                let again = said.detail.get("again") == Some(&Value::Bool(true));
                let mut live = Live::of(said, &["roles", "groups"]);
                live.made_at = live.made_at.filter(|_| !again);
                if again && !self.reviewers.contains_key(person) {
                    let ended = self.ended.entry(Holder::Reviewer).or_default();
                    *ended = ended.saturating_sub(1);
                }
                self.reviewers.insert(person.to_owned(), live);
            }
            "reviewer.disabled" => {
                self.end_account(person);
                self.end_all(Holder::Session, person, None);
                self.end_all(Holder::Token, person, None);
                self.end_link(person);
            }
            "reviewer.set_aside" => {
                self.end_account(person);
                self.aside.insert(person.to_owned());
            }
            "password.changed" => {
                if let Some(live) = self.reviewers.get_mut(person) {
                    live.last = seq;
                }
                self.end_all(Holder::Session, person, said.text("kept"));
                self.end_link(person);
            }
            "session.signed_in" => {
                if said.text("by") == Some("link") {
                    self.end_link(person);
                }
                if let Some(id) = detail("session") {
                    self.sessions.entry(person.to_owned()).or_default().insert(id, seq);
                }
            }
            "session.signed_out" => match said.text("session") {
                Some(id) => self.end_one(Holder::Session, person, id),
                None => self.end_all(Holder::Session, person, said.text("kept")),
            },
            "token.made" => {
                if let Some(id) = detail("token") {
                    self.tokens.entry(person.to_owned()).or_default().insert(id, seq);
                }
            }
            "token.revoked" => match said.text("token") {
                Some(id) => self.end_one(Holder::Token, person, id),
                None => self.end_all(Holder::Token, person, None),
            },
            "link.made" => {
                self.end_link(person);
                self.links.insert(person.to_owned(), seq);
            }
            _ => {}
        }
    }

    fn count(&mut self, holder: Holder, more: u64) {
        *self.ended.entry(holder).or_default() += more;
    }

    fn end_account(&mut self, person: &str) {
        let ended = self.reviewers.remove(person).is_some();
        self.count(Holder::Reviewer, u64::from(ended));
    }

    fn end_link(&mut self, person: &str) {
        let ended = self.links.remove(person).is_some();
        self.count(Holder::Link, u64::from(ended));
    }

    fn open(&mut self, holder: Holder) -> &mut HashMap<String, HashMap<String, i64>> {
        if holder == Holder::Session { &mut self.sessions } else { &mut self.tokens }
    }

    fn end_one(&mut self, holder: Holder, person: &str, id: &str) {
        let ended = self.open(holder).get_mut(person).and_then(|own| own.remove(id)).is_some();
        self.count(holder, u64::from(ended));
    }

    fn end_all(&mut self, holder: Holder, person: &str, kept: Option<&str>) {
        let Some(own) = self.open(holder).get_mut(person) else { return };
        let before = own.len();
        own.retain(|id, _| Some(id.as_str()) == kept);
        let ended = before - own.len();
        self.count(holder, ended as u64);
    }

    /// Takes what lives of this row out: it is found once.
    pub(super) fn take(&mut self, holder: Holder, id: &str, of: Option<&str>, entry: Option<i64>) -> Option<Live> {
        let opened = |seq: i64| Live { made: seq, last: seq, made_at: None, facts: Map::new() };
        match holder {
            Holder::Agent => self.agents.remove(id),
            Holder::Reviewer => self.reviewers.remove(id),
            Holder::Session | Holder::Token => self.open(holder).get_mut(of?)?.remove(id).map(opened),
            Holder::Link => {
                let open = self.links.get(of?).copied().filter(|seq| Some(*seq) == entry)?;
                self.links.remove(of?).map(|_| opened(open))
            }
        }
    }

    pub(super) fn is_aside(&self, person: &str) -> bool {
        self.aside.contains(person)
    }

    pub(super) fn ended(&self, holder: Holder) -> u64 {
        self.ended.get(&holder).copied().unwrap_or(0)
    }

    /// What lives and was not taken: what it is, its id, and the entry that made it, in the order of the log.
    pub(super) fn left(&self) -> Vec<(Holder, &str, i64)> {
        let accounts = [(Holder::Agent, &self.agents), (Holder::Reviewer, &self.reviewers)];
        let mut left: Vec<_> = accounts
            .into_iter()
            .flat_map(|(holder, all)| all.iter().map(move |(id, live)| (holder, id.as_str(), live.made)))
            .collect();
        for (holder, all) in [(Holder::Session, &self.sessions), (Holder::Token, &self.tokens)] {
            left.extend(all.values().flatten().map(|(id, seq)| (holder, id.as_str(), *seq)));
        }
        left.extend(self.links.values().map(|seq| (Holder::Link, "", *seq)));
        left.sort_by_key(|(_, _, seq)| *seq);
        left
    }
}

impl Live {
    fn of(said: &Said<'_>, facts: &[&str]) -> Self {
        let told = |key: &&str| said.detail.get(*key).map(|value| ((*key).to_owned(), value.clone()));
        Self {
            made: said.seq,
            last: said.seq,
            made_at: said.at.parse().ok(),
            facts: facts.iter().filter_map(told).collect(),
        }
    }
}
