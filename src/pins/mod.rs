//! What each tool says of itself, compared with what was accepted: a server that was harmless when the policy was written
//! must not become another one unseen.
//!
//! The first listing of a tool pins it. A later one that differs counts from the moment in which it is heard, before the
//! agent has it; it is written down by a task, and again and again until the database takes it. What changed stays
//! changed until somebody accepts it, whatever the server says meanwhile.

mod rules;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

pub use rules::Checked;

use crate::call::tool::{Pin, Said, is_news};
use crate::call::{Digest, ToolName, UpstreamName};
use crate::lifecycle::Tasks;
use crate::store::{Acceptance, NotAccepted, Person, Store, StoreError};

/// After a failed write the next attempt is made so much later.
const AGAIN: Duration = Duration::from_secs(1);

/// Most tools that are remembered of one upstream: as many as its list shows on the pages.
const MOST: usize = 5000;

/// The pins of this process. Clones share them.
#[derive(Clone, Debug)]
pub struct Pins(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    tools: Mutex<HashMap<UpstreamName, HashMap<ToolName, Known>>>,
    unsaved: Notify,
}

/// One tool, as far as calls are judged by it.
#[derive(Debug, Default)]
struct Known {
    accepted: Option<Digest>,
    /// It changed; to what, where that is known.
    pending: Option<Option<Digest>>,
    /// What the last listing of this process said.
    latest: Option<Digest>,
    /// A person accepted a change of it, at some time.
    was_accepted: bool,
    takes_reason: bool,
    /// What the database does not have yet, in order.
    unsaved: Vec<Said>,
}

/// A tool that says something else than what was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// What it says now; `None` until it is listed again, where its pin was lost.
    pub to: Option<Digest>,
}

impl Known {
    fn of(pin: &Pin) -> Self {
        if !pin.genuine {
            return Self { pending: Some(None), was_accepted: true, ..Self::default() };
        }
        let pending = pin.pending.as_ref().map(|pending| pending.said.as_ref());
        let latest = pending.flatten().or(pin.accepted.as_ref().map(|accepted| &accepted.said));
        Self {
            accepted: pin.accepted.as_ref().map(|accepted| accepted.said.digest),
            pending: pending.map(|said| said.map(|said| said.digest)),
            was_accepted: pin.pending.is_some() || pin.accepted.as_ref().is_some_and(|a| a.by.is_some()),
            takes_reason: latest.is_some_and(|said| said.takes_reason),
            ..Self::default()
        }
    }

    /// A listing says this.
    fn hear(&mut self, said: Said, was_pinned: bool) {
        (self.latest, self.takes_reason) = (Some(said.digest), said.takes_reason);
        let first = self.accepted.is_none() && self.pending.is_none();
        if first && !was_pinned {
            self.accepted = Some(said.digest);
        } else if first || is_news(self.accepted.as_ref(), self.pending.flatten().as_ref(), &said.digest) {
            (self.pending, self.was_accepted) = (Some(Some(said.digest)), true);
        } else {
            return;
        }
        // While the database takes nothing, the first word and the last are enough.
        self.unsaved.truncate(1);
        self.unsaved.push(said);
    }
}

impl Pins {
    /// The pins as they were stored.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn load(store: Store) -> Result<Self, StoreError> {
        let mut tools: HashMap<UpstreamName, HashMap<ToolName, Known>> = HashMap::new();
        for pin in store.pins().await? {
            let known = Known::of(&pin);
            tools.entry(pin.upstream).or_default().insert(pin.tool, known);
        }
        Ok(Self(Arc::new(Inner { store, tools: Mutex::new(tools), unsaved: Notify::new() })))
    }

    fn tools(&self) -> MutexGuard<'_, HashMap<UpstreamName, HashMap<ToolName, Known>>> {
        self.0.tools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known<T>(&self, upstream: &UpstreamName, tool: &ToolName, look: impl FnOnce(&Known) -> T) -> Option<T> {
        self.tools().get(upstream)?.get(tool).map(look)
    }

    /// An upstream lists these tools. From now on calls are judged by it.
    pub fn listed(&self, upstream: &UpstreamName, said: Vec<(ToolName, Said)>) {
        let mut tools = self.tools();
        let tools = tools.entry(upstream.clone()).or_default();
        for (tool, said) in said {
            if !tools.contains_key(&tool) && tools.len() >= MOST {
                tracing::warn!(%upstream, "an upstream lists more tools than are pinned; calls of the others are ruled by name");
                continue;
            }
            let was_pinned = !tools.contains_key(&tool) && self.0.store.was_pinned(upstream, &tool);
            tools.entry(tool).or_default().hear(said, was_pinned);
        }
        self.0.unsaved.notify_one();
    }

    /// Whether the tool says something else than what was accepted. A tool that nobody has listed yet has not changed:
    /// what the policy says of its name holds. One whose pin is gone may have.
    #[must_use]
    pub fn change(&self, upstream: &UpstreamName, tool: &ToolName) -> Option<Change> {
        match self.known(upstream, tool, |known| known.pending) {
            Some(pending) => pending.map(|to| Change { to }),
            None => self.0.store.was_pinned(upstream, tool).then_some(Change { to: None }),
        }
    }

    /// Whether calls of this tool may have been held because it changed, although it counts as unchanged now.
    #[must_use]
    pub fn was_accepted(&self, upstream: &UpstreamName, tool: &ToolName) -> bool {
        self.known(upstream, tool, |known| known.was_accepted).unwrap_or(false)
    }

    /// Whether some tool of this upstream changed, now or before.
    #[must_use]
    pub fn have_changed(&self, upstream: &UpstreamName) -> bool {
        self.tools().get(upstream).is_some_and(|tools| tools.values().any(|known| known.was_accepted))
    }

    /// Whether the tool has an argument of its own that is called as the one in which agents are asked for a reason.
    #[must_use]
    pub fn takes_reason(&self, upstream: &UpstreamName, tool: &ToolName) -> bool {
        self.known(upstream, tool, |known| known.takes_reason).unwrap_or(false)
    }

    /// Every tool that waits for somebody to accept its change, by name.
    #[must_use]
    pub fn changed(&self) -> Vec<(UpstreamName, ToolName)> {
        let tools = self.tools();
        let all =
            tools.iter().flat_map(|(upstream, tools)| tools.iter().map(move |(tool, known)| (upstream, tool, known)));
        let changed = all.filter(|(.., known)| known.pending.is_some());
        let mut changed: Vec<_> = changed.map(|(upstream, tool, _)| (upstream.clone(), tool.clone())).collect();
        changed.sort();
        changed
    }

    /// Whether the last listing says again what was accepted, although the tool changed in between.
    #[must_use]
    pub fn is_back(&self, upstream: &UpstreamName, tool: &ToolName) -> bool {
        let is_back =
            |known: &Known| known.pending.is_some() && known.latest.is_some() && known.latest == known.accepted;
        self.known(upstream, tool, is_back).unwrap_or(false)
    }

    /// A tool's pin, with all that was heard by now.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn pin(&self, upstream: &UpstreamName, tool: &ToolName) -> Result<Option<Pin>, StoreError> {
        self.save().await?;
        self.0.store.pin(upstream, tool).await
    }

    /// Accepts what a tool says. Only what it said at its last listing can be accepted. `may` is asked about the person's
    /// account as it stands in that moment.
    ///
    /// # Errors
    /// The database did not take it: nothing changed.
    pub async fn accept<R: Send + 'static>(
        &self,
        acceptance: Acceptance,
        may: impl FnOnce(Option<&Person>) -> Result<(), R> + Send + 'static,
    ) -> Result<Result<(), NotAccepted<R>>, StoreError> {
        self.save().await?;
        let Acceptance { upstream, tool, digest, .. } = acceptance.clone();
        let says = |known: &Known| known.latest.or(known.pending.flatten()) == Some(digest);
        if !self.known(&upstream, &tool, says).unwrap_or(false) {
            return Ok(Err(NotAccepted::Stale));
        }
        let accepted = self.0.store.accept_tool(acceptance, may).await?;
        if accepted.is_ok()
            && let Some(known) = self.tools().get_mut(&upstream).and_then(|tools| tools.get_mut(&tool))
        {
            (known.accepted, known.was_accepted) = (Some(digest), true);
            // What was heard in between waits in its turn.
            known.pending = known.pending.filter(|_| known.latest.is_some_and(|latest| latest != digest));
        }
        Ok(accepted)
    }

    /// Writes down what was heard, as long as the process runs.
    pub fn save_on(&self, tasks: &Tasks) {
        let (pins, stopping) = (self.clone(), tasks.clone());
        tasks.spawn_vital("pins", async move {
            loop {
                tokio::select! {
                    () = pins.0.unsaved.notified() => {}
                    () = stopping.stopped() => return,
                }
                while let Err(error) = pins.save().await {
                    tracing::error!(%error, "what tools say of themselves was not written down yet");
                    tokio::select! {
                        () = tokio::time::sleep(AGAIN) => {}
                        () = stopping.stopped() => return,
                    }
                }
            }
        });
    }

    /// Writes down what was heard by now. Two at a time write the same, of which the second changes nothing.
    async fn save(&self) -> Result<(), StoreError> {
        while let Some((upstream, said)) = self.next_unsaved() {
            self.0.store.note_tools(upstream.clone(), said.clone()).await?;
            let mut tools = self.tools();
            let Some(tools) = tools.get_mut(&upstream) else { continue };
            for (tool, said) in &said {
                let unsaved = tools.get_mut(tool).map(|known| &mut known.unsaved);
                if let Some(unsaved) = unsaved.filter(|unsaved| unsaved.first() == Some(said)) {
                    unsaved.remove(0);
                }
            }
        }
        Ok(())
    }

    /// What one upstream's tools said first of what the database does not have.
    fn next_unsaved(&self) -> Option<(UpstreamName, Vec<(ToolName, Said)>)> {
        let tools = self.tools();
        tools.iter().find_map(|(upstream, tools)| {
            let unsaved = tools.iter().filter_map(|(tool, known)| Some((tool.clone(), known.unsaved.first()?.clone())));
            let mut unsaved: Vec<_> = unsaved.collect();
            unsaved.sort_by(|(a, _), (b, _)| a.cmp(b));
            (!unsaved.is_empty()).then(|| (upstream.clone(), unsaved))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Said {
        Said::parse(&format!(r#"{{"name":"t","description":"{text}"}}"#)).unwrap()
    }

    fn heard(texts: &[&str]) -> Known {
        let mut known = Known::default();
        texts.iter().for_each(|text| known.hear(said(text), false));
        known
    }

    #[test]
    fn the_first_word_counts_and_another_one_waits_whatever_follows() {
        let known = heard(&["a", "a"]);
        assert_eq!((known.accepted, known.pending), (Some(said("a").digest), None));
        let known = heard(&["a", "b", "a", "b"]);
        assert_eq!((known.accepted, known.pending), (Some(said("a").digest), Some(Some(said("b").digest))));
        assert_eq!(known.unsaved, [said("a"), said("b")], "each once");
        let known = heard(&["a", "b", "c"]);
        assert_eq!((known.pending, known.unsaved), (Some(Some(said("c").digest)), vec![said("a"), said("c")]));
    }

    #[test]
    fn a_tool_whose_row_is_gone_is_no_new_tool() {
        let mut known = Known::default();
        known.hear(said("a"), true);
        assert_eq!((known.accepted, known.pending), (None, Some(Some(said("a").digest))));
    }
}
