//! What the log tells of whatever has a right by its row: what lives at its end.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

use super::Holder;
use crate::audit::Said;
use crate::call::{Millis, tool};

/// Something that lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Live {
    /// The entry that made it.
    pub made: i64,
    /// The last entry that made its row what it is.
    pub last: i64,
    /// When it was made; `None` where that is not told, as of an account that was opened again.
    pub made_at: Option<Millis>,
    /// What its entries say of it, each with the entry that says so.
    pub facts: BTreeMap<&'static str, (Value, i64)>,
}

/// What is told, entry by entry.
#[derive(Debug, Default)]
pub struct Told {
    /// What a row of its own stands for, by its id.
    live: HashMap<Holder, HashMap<String, Live>>,
    /// What somebody has several of: by person, then by their own id.
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
        match &*said.kind {
            "agent.added" | "agent.revoked" => self.agent(said),
            "tools.pinned" | "tool.changed" | "tool.accepted" => self.tool(said),
            "standing.granted" | "standing.used" | "standing.ended" => self.standing(said),
            // Ends what its own entries about people do not tell.
            "store.restored" => {
                let links = self.links.drain().count() as u64;
                self.count(Holder::Link, links);
            }
            // An upgrade deletes every link once.
            "accounts.sealed" => {
                self.links.clear();
                self.ended.remove(&Holder::Link);
            }
            _ => {
                if let Some(person) = said.reviewer.as_deref() {
                    self.person(said, person);
                }
            }
        }
    }

    fn agent(&mut self, said: &Said<'_>) {
        let Some(id) = said.text("agent_id") else { return };
        if said.kind == "agent.revoked" {
            self.end(Holder::Agent, id);
            return;
        }
        let mut live = Live::of(said, &["upstreams"]);
        if let Some(name) = said.agent.as_deref() {
            live.tell(said, "name", name.into());
        }
        self.of(Holder::Agent).insert(id.to_owned(), live);
    }

    /// A standing approval ends by itself with its last use.
    fn standing(&mut self, said: &Said<'_>) {
        let Some(id) = said.text("standing") else { return };
        if ends_standing(said) {
            return self.end(Holder::Standing, id);
        }
        if said.kind == "standing.used" {
            if let Some(live) = self.of(Holder::Standing).get_mut(id) {
                live.last = said.seq;
                live.tell(said, "used", said.detail.get("use").cloned().unwrap_or_default());
            }
            return;
        }
        let mut live =
            Live::of(said, &["agent_id", "open", "fixed", "uses", "until", "upstream_config", "tool_schema"]);
        live.tell(said, "name", standing_name(&said.agent, &said.upstream, &said.tool).into());
        live.tell(said, "granted_by", said.reviewer.as_deref().into());
        live.tell(said, "granted_for", said.text("reason").into());
        live.tell(said, "call", said.call.as_deref().into());
        live.tell(said, "used", 0.into());
        self.of(Holder::Standing).insert(id.to_owned(), live);
    }

    /// A tool's pin never ends: it says something else.
    fn tool(&mut self, said: &Said<'_>) {
        let Some(upstream) = said.upstream.as_deref() else { return };
        if said.kind == "tools.pinned" {
            for (tool, digest) in pinned(said) {
                let mut live = Live::tool(said, upstream, tool);
                live.accept(said, Some(digest), None);
                self.of(Holder::Tool).insert(tool::row_id(upstream, tool), live);
            }
            return;
        }
        let Some(tool) = said.tool.as_deref() else { return };
        let known = self.of(Holder::Tool).entry(tool::row_id(upstream, tool));
        let live = known.or_insert_with(|| Live::tool(said, upstream, tool));
        live.last = said.seq;
        let is = said.text("is");
        if said.kind == "tool.accepted" {
            live.accept(said, is, said.reviewer.as_deref());
            return;
        }
        // What was accepted is lost with a row that was deleted or changed by hand: another one was made then.
        if said.detail.get("was") == Some(&Value::Null) {
            let anew = live.facts.get("digest").is_none_or(|(digest, _)| !digest.is_null());
            live.made_at = said.at.parse().ok().filter(|_| anew);
            live.accept(said, None, None);
        }
        live.tell(said, "pending_digest", is.into());
        live.tell(said, "pending_says", is.into());
        live.tell(said, "pending_at", said.at.as_ref().into());
    }

    fn person(&mut self, said: &Said<'_>, person: &str) {
        let seq = said.seq;
        let detail = |key: &str| said.text(key).map(str::to_owned);
        match &*said.kind {
            "reviewer.added" => {
                let again = said.detail.get("again") == Some(&Value::Bool(true));
                let mut live = Live::of(said, &["roles", "groups"]);
                live.made_at = live.made_at.filter(|_| !again);
                let known = self.of(Holder::Reviewer).insert(person.to_owned(), live).is_some();
                if again && !known {
                    let ended = self.ended.entry(Holder::Reviewer).or_default();
                    *ended = ended.saturating_sub(1);
                }
            }
            "reviewer.disabled" => {
                self.end(Holder::Reviewer, person);
                self.end_all(Holder::Session, person, None);
                self.end_all(Holder::Token, person, None);
                self.end_link(person);
            }
            "reviewer.set_aside" => {
                self.end(Holder::Reviewer, person);
                self.aside.insert(person.to_owned());
            }
            "password.changed" => {
                if let Some(live) = self.of(Holder::Reviewer).get_mut(person) {
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

    fn of(&mut self, holder: Holder) -> &mut HashMap<String, Live> {
        self.live.entry(holder).or_default()
    }

    fn count(&mut self, holder: Holder, more: u64) {
        *self.ended.entry(holder).or_default() += more;
    }

    fn end(&mut self, holder: Holder, id: &str) {
        let ended = self.of(holder).remove(id).is_some();
        self.count(holder, u64::from(ended));
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
        match holder {
            Holder::Agent | Holder::Reviewer | Holder::Tool | Holder::Standing => self.of(holder).remove(id),
            Holder::Session | Holder::Token => self.open(holder).get_mut(of?)?.remove(id).map(Live::opened),
            Holder::Link => {
                let open = self.links.get(of?).copied().filter(|seq| Some(*seq) == entry)?;
                self.links.remove(of?).map(|_| Live::opened(open))
            }
        }
    }

    pub(super) fn is_aside(&self, person: &str) -> bool {
        self.aside.contains(person)
    }

    pub(super) fn ended(&self, holder: Holder) -> u64 {
        self.ended.get(&holder).copied().unwrap_or(0)
    }

    /// What lives and was not taken: what it is, what it is called, and the last entry that tells of it, in the order of
    /// the log.
    pub(super) fn left(&self) -> Vec<(Holder, String, i64)> {
        let mut left = Vec::new();
        for (holder, all) in &self.live {
            let name = |live: &Live| live.facts.get("name").and_then(|(name, _)| name.as_str().map(str::to_owned));
            left.extend(all.iter().map(|(id, live)| (*holder, holder.named(id, name(live).as_deref()), live.made)));
        }
        for (holder, all) in [(Holder::Session, &self.sessions), (Holder::Token, &self.tokens)] {
            left.extend(all.values().flatten().map(|(id, seq)| (holder, holder.named(id, None), *seq)));
        }
        left.extend(self.links.values().map(|seq| (Holder::Link, Holder::Link.named("", None), *seq)));
        left.sort_by_key(|(_, _, seq)| *seq);
        left
    }
}

impl Live {
    fn of(said: &Said<'_>, facts: &[&'static str]) -> Self {
        let mut live = Self { made_at: said.at.parse().ok(), ..Self::opened(said.seq) };
        for key in facts {
            if let Some(value) = said.detail.get(*key) {
                live.tell(said, key, value.clone());
            }
        }
        live
    }

    fn tool(said: &Said<'_>, upstream: &str, tool: &str) -> Self {
        let mut live = Self::of(said, &[]);
        live.tell(said, "name", tool_name(upstream, tool).into());
        live
    }

    /// What was opened by this entry, which is all that is remembered of it.
    fn opened(seq: i64) -> Self {
        Self { made: seq, last: seq, made_at: None, facts: BTreeMap::new() }
    }

    fn tell(&mut self, said: &Said<'_>, key: &'static str, value: Value) {
        self.facts.insert(key, (value, said.seq));
    }

    /// What a tool says is accepted, and nothing waits; without a digest nothing is accepted.
    fn accept(&mut self, said: &Said<'_>, digest: Option<&str>, by: Option<&str>) {
        for (key, value) in [
            ("digest", digest.into()),
            ("says", digest.into()),
            ("accepted_at", digest.map(|_| said.at.as_ref()).into()),
            ("accepted_by", by.into()),
            ("reason", said.text("reason").into()),
            ("pending_digest", Value::Null),
            ("pending_says", Value::Null),
            ("pending_at", Value::Null),
        ] {
            self.tell(said, key, value);
        }
    }
}

/// The tools that an entry tells were pinned, each with the digest of what it said.
pub(super) fn pinned<'s>(said: &'s Said<'_>) -> impl Iterator<Item = (&'s str, &'s str)> {
    let listed = |key: &str| said.detail.get(key).and_then(Value::as_array).into_iter().flatten().map(Value::as_str);
    listed("tools").zip(listed("digests")).filter_map(|(tool, digest)| tool.zip(digest))
}

/// What a tool is called.
#[must_use]
pub fn tool_name(upstream: &str, tool: &str) -> String {
    format!("{tool} of {upstream}")
}

/// What a standing approval lets pass.
fn standing_name(agent: &Option<Cow<'_, str>>, upstream: &Option<Cow<'_, str>>, tool: &Option<Cow<'_, str>>) -> String {
    let text = |name: &Option<Cow<'_, str>>| name.as_deref().unwrap_or_default().to_owned();
    format!("{} by {}", tool_name(&text(upstream), &text(tool)), text(agent))
}

/// Whether this entry is the end of a standing approval.
pub(super) fn ends_standing(said: &Said<'_>) -> bool {
    let last_use = || said.detail.get("use").is_some_and(|used| Some(used) == said.detail.get("of"));
    said.kind == "standing.ended" || said.kind == "standing.used" && last_use()
}
