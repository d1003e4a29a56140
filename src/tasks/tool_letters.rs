//! A tool that says something else of itself than was accepted is told to administrators by mail, once for each change:
//! the pages say so as well, but only to who looks at them.
//!
//! Changes that come together are one mail, and a server that says something else all the time gets few of them sent.
//! What the policy lets run, and what nobody may call, is not told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::administrators::administrators;
use crate::call::tool::Pin;
use crate::call::{Digest, Millis, ReviewerId, UpstreamName};
use crate::clock::Clock;
use crate::in_force::InForce;
use crate::lifecycle::Tasks;
use crate::notify::{ChangedTool, Letter, Links, Mailer, tools_changed};
use crate::policy::ToolChanges;
use crate::store::{Reviewer, Store, StoreError, ToolsTold};

/// How often it is looked at.
const PERIOD: Duration = Duration::from_secs(5);

/// A list of tools may have many pages: what changes within so long of the last change is told with it,
const QUIET: Duration = Duration::from_secs(10);

/// but no change waits longer than this for further ones.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long after a mail the next one leaves to the same person.
const SPACING: Duration = Duration::from_secs(600);

/// How long after a mail that was not taken the next attempt is made.
const AGAIN: Duration = Duration::from_secs(60);

/// What the task works with.
#[derive(Clone, Debug)]
pub struct ToolLetters {
    /// What the policy makes of a changed tool.
    pub policy: Arc<InForce>,
    /// The configured upstreams.
    pub upstreams: Vec<UpstreamName>,
    /// The database.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// How mails leave.
    pub mailer: Mailer,
    /// Under which address the pages are found.
    pub public_url: String,
    /// Where a tool's page is below that, by upstream and tool.
    pub page: fn(&str, &str) -> String,
}

/// What is remembered from one look to the next.
#[derive(Default)]
struct Sent {
    /// There is nothing to be told until an entry follows this one, or another policy is loaded.
    settled: Option<(i64, Millis)>,
    /// The mail that a person gets next is fixed by its last entry once it was tried.
    begun: BTreeMap<ReviewerId, i64>,
    not_before: BTreeMap<ReviewerId, Millis>,
}

/// A change that is to be told.
struct News {
    entry: i64,
    at: Millis,
    tool: ChangedTool,
}

/// Tells administrators of changed tools until the process stops.
pub async fn tool_letters(with: ToolLetters, tasks: Tasks) {
    let mut sent = Sent::default();
    while !tasks.is_stopping() {
        if let Err(error) = with.look(&mut sent).await {
            tracing::error!(%error, "which tools have changed could not be looked at; trying again");
        }
        tokio::select! {
            () = tasks.stopped() => {}
            () = with.clock.sleep(PERIOD) => {}
        }
    }
}

impl ToolLetters {
    async fn look(&self, sent: &mut Sent) -> Result<(), StoreError> {
        let now = (self.store.last_tool_entry().await?, self.policy.loaded().at);
        if sent.settled == Some(now) {
            return Ok(());
        }
        let waiting = self.store.tools_waiting().await?;
        let mut told = self.store.tools_told().await?;
        // Whatever was decided meanwhile, and whoever is told no more, is forgotten.
        let entries: BTreeSet<i64> = waiting.iter().map(|(entry, _)| *entry).collect();
        told.values_mut().for_each(|told| told.retain(|entry| entries.contains(entry)));
        told.retain(|_, told| !told.is_empty());
        let news = self.news(waiting);
        if news.is_empty() {
            sent.settled = Some(now);
            return Ok(());
        }
        let people = administrators(self.store.reviewers().await?);
        let mut all = !people.is_empty();
        for person in &people {
            all &= self.tell(person, &news, &mut told, sent).await?;
        }
        sent.settled = all.then_some(now);
        Ok(())
    }

    /// What matters of it: not what the policy lets run, and not what nobody may call.
    fn news(&self, waiting: Vec<(i64, Pin)>) -> Vec<News> {
        let loaded = self.policy.loaded();
        let news = |(entry, pin): (i64, Pin)| {
            let (upstream, tool) = (&pin.upstream, pin.tool.as_str());
            let matters = self.upstreams.contains(upstream) && loaded.policy.lists(upstream, tool);
            let refused = match loaded.policy.tool_changes(upstream, tool).0 {
                ToolChanges::Allow => return None,
                ToolChanges::Hold => false,
                ToolChanges::Deny => true,
            };
            let pending = pin.pending.as_ref().filter(|_| matters)?;
            let tool = ChangedTool {
                upstream: upstream.to_string(),
                tool: tool.to_owned(),
                page: (self.page)(upstream.as_str(), tool),
                refused,
                accepted: pin.accepted.map(|accepted| accepted.said.json),
                now: pending.said.as_ref().map(|said| Arc::clone(&said.json)),
            };
            Some(News { entry, at: pending.at, tool })
        };
        waiting.into_iter().filter_map(news).collect()
    }

    /// Mails one person what they have not heard of; `false` if something is left to be told.
    async fn tell(
        &self,
        person: &Reviewer,
        news: &[News],
        told: &mut ToolsTold,
        sent: &mut Sent,
    ) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let known = told.get(&person.id).cloned().unwrap_or_default();
        let fresh: Vec<_> = news.iter().filter(|news| !known.contains(&news.entry)).collect();
        let (Some(first), Some(last)) =
            (fresh.iter().map(|news| news.at).min(), fresh.iter().map(|news| news.at).max())
        else {
            return Ok(true);
        };
        let is_quiet = now.since(last) >= QUIET || now.since(first) >= PATIENCE;
        let begun = sent.begun.get(&person.id).copied();
        if sent.not_before.get(&person.id).is_some_and(|at| now < *at) || !is_quiet && begun.is_none() {
            return Ok(false);
        }
        let upto = begun.unwrap_or(i64::MAX);
        let batch: Vec<_> = fresh.iter().filter(|news| news.entry <= upto).collect();
        let Some(newest) = batch.iter().max_by_key(|news| news.entry) else {
            // All that it was to tell was decided meanwhile.
            sent.begun.remove(&person.id);
            return Ok(false);
        };
        sent.begun.insert(person.id, newest.entry);
        let tools: Vec<_> = batch.iter().map(|news| news.tool.clone()).collect();
        if let Err(why) = self.mailer.post(self.letter(&tools, newest, person), now).await {
            tracing::error!(why, "an administrator was not mailed that a tool has changed; trying again");
            sent.not_before.insert(person.id, now.after(AGAIN));
            return Ok(false);
        }
        sent.begun.remove(&person.id);
        sent.not_before.insert(person.id, now.after(SPACING));
        told.entry(person.id).or_default().extend(batch.iter().map(|news| news.entry));
        self.store.keep_tools_told(told).await?;
        Ok(batch.len() == fresh.len())
    }

    fn letter(&self, tools: &[ChangedTool], newest: &News, person: &Reviewer) -> Letter {
        let links = Links::new(&self.public_url);
        let (subject, text) = tools_changed(tools, &links);
        let whose = Digest::of(person.email.as_str().as_bytes()).short();
        Letter {
            to: person.email.clone(),
            message_id: format!("tools-{}-{}-{whose}@{}", newest.entry, newest.at.0, links.host()),
            subject,
            text,
            attached: None,
        }
    }
}
