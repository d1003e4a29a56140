//! The policy in force: the last good file, and what is wrong with a newer one.
//!
//! Every call is ruled by exactly one version, the one that [`InForce::loaded`] gives at that moment; its hash is
//! recorded with the call.

mod limits;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use crate::approvals::Rules;
use crate::audit::Entry;
use crate::call::{Digest, Millis, StandingOffer, Submission, UpstreamName, json};
use crate::policy::{self, Call, Circumstances, Counters, Defaults, Policy, Problem, Ruling, Syntax, ToolFacts};
use crate::store::{Store, StoreError};
use crate::telemetry;

pub use limits::counted;

/// Why the first policy could not be put in force.
#[derive(Debug, thiserror::Error)]
pub enum NoPolicy {
    /// The file cannot be read.
    #[error("the policy {path} cannot be read ({error}); set `policy` in placet.toml to a file that can")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file is wrong.
    #[error("{}", lines(.0, .1))]
    Invalid(PathBuf, Vec<Problem>),
}

fn lines(path: &Path, problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(|problem| format!("{}:{problem}", path.display())).collect();
    lines.join("\n")
}

/// A newer file that is not in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Since when.
    pub since: Millis,
    /// What is wrong with it, a line each.
    pub problems: String,
}

/// What is in force, and since when.
#[derive(Debug)]
pub struct Loaded {
    /// The policy.
    pub policy: Policy,
    /// The file's text.
    pub text: String,
    /// When it was loaded.
    pub at: Millis,
    /// What its author may want to look at.
    pub warnings: Vec<Problem>,
}

/// Looks up what an upstream says of its tool, where it has listed it.
#[derive(Clone)]
pub struct Listing(pub Arc<LookUp>);

/// Finds what is known of an upstream's tool of this name.
pub type LookUp = dyn Fn(&UpstreamName, &str) -> Option<Arc<ToolFacts>> + Send + Sync;

impl std::fmt::Debug for Listing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Listing")
    }
}

/// The policy in force. Shared by everything that rules or shows.
#[derive(Debug)]
pub struct InForce {
    listing: Listing,
    path: PathBuf,
    defaults: Defaults,
    upstreams: BTreeMap<UpstreamName, Digest>,
    current: ArcSwap<Loaded>,
    trouble: ArcSwap<Option<Trouble>>,
    counters: Mutex<Counters>,
}

impl InForce {
    /// Puts the file's policy in force. `upstreams`: the configured ones, with the hash of how each is configured;
    /// `listing`: what they say of their tools.
    ///
    /// # Errors
    /// The file cannot be read or is wrong: without a policy nothing may be served.
    pub fn load(
        path: &Path,
        defaults: Defaults,
        upstreams: BTreeMap<UpstreamName, Digest>,
        listing: Listing,
        now: Millis,
    ) -> Result<Self, NoPolicy> {
        let text =
            std::fs::read_to_string(path).map_err(|error| NoPolicy::Unreadable { path: path.to_owned(), error })?;
        let loaded =
            read(path, text, &defaults, now).map_err(|problems| NoPolicy::Invalid(path.to_owned(), problems))?;
        Ok(Self {
            listing,
            path: path.to_owned(),
            defaults,
            upstreams,
            current: ArcSwap::from_pointee(loaded),
            trouble: ArcSwap::default(),
            counters: Mutex::default(),
        })
    }

    /// What is in force now. Keep it for the whole of one call.
    #[must_use]
    pub fn loaded(&self) -> Arc<Loaded> {
        self.current.load_full()
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What keeps a newer file from being in force.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        self.trouble.load().as_ref().clone()
    }

    /// The counters of the limits; they survive a reload.
    pub fn counters(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the file again. A good one is in force when this returns, and logged; a bad one changes nothing but
    /// [`InForce::trouble`], and is logged once.
    ///
    /// # Errors
    /// The log did not take the entry: the old policy stays in force.
    pub async fn reload(&self, store: &Store, now: Millis) -> Result<(), StoreError> {
        let read = match std::fs::read_to_string(&self.path) {
            Ok(text) if text == self.loaded().text => {
                self.trouble.store(Arc::default());
                telemetry::policy_broken(false);
                return Ok(());
            }
            Ok(text) => read(&self.path, text, &self.defaults, now).map_err(|problems| lines(&self.path, &problems)),
            Err(error) => Err(format!("{}: cannot be read: {error}", self.path.display())),
        };
        match read {
            Ok(loaded) => {
                note(&loaded, store).await?;
                tracing::info!(version = %loaded.policy.version(), "a new policy is in force");
                self.current.store(Arc::new(loaded));
                self.trouble.store(Arc::default());
                telemetry::policy_broken(false);
            }
            Err(problems) => {
                telemetry::policy_broken(true);
                if self.trouble().is_none_or(|known| known.problems != problems) {
                    tracing::error!(problems, "the policy file is not valid; the last good one stays in force");
                    store.append(Entry::new("policy.refused").with("problems", problems.clone())).await?;
                    self.trouble.store(Arc::new(Some(Trouble { since: now, problems })));
                }
            }
        }
        Ok(())
    }

    /// Writes in the log which policy this process starts with.
    ///
    /// # Errors
    /// The log did not take it.
    pub async fn log_start(&self, store: &Store) -> Result<(), StoreError> {
        note(&self.loaded(), store).await
    }
}

fn read(path: &Path, text: String, defaults: &Defaults, at: Millis) -> Result<Loaded, Vec<Problem>> {
    let parsed = policy::parse_as(Syntax::of(path), &text, defaults)?;
    Ok(Loaded { policy: parsed.policy, text, at, warnings: parsed.warnings })
}

/// Writes in the log that it is in force, and keeps its text for the history.
async fn note(loaded: &Loaded, store: &Store) -> Result<(), StoreError> {
    let version = loaded.policy.version();
    let entry = Entry::new("policy.loaded").with("policy", version.to_string());
    store.policy_loaded(version, loaded.text.clone(), entry).await
}

impl InForce {
    /// What the policy in force says of a call that was held.
    fn ruling(&self, call: &Submission, now: Millis) -> Result<Ruling, String> {
        if self.upstreams.get(&call.upstream) != Some(&call.upstream_config) {
            return Err("its upstream is configured differently since the call was held".into());
        }
        // Whatever was held was within the limits of the whole message.
        let limits = json::Limits { max_bytes: usize::MAX, ..json::Limits::default() };
        let params = json::read_strict(call.params.as_bytes(), &limits)
            .map_err(|error| format!("its parameters cannot be read: {error}"))?;
        let arguments = params.root().get("arguments");
        let tool = call.tool.as_str();
        let listed = (self.listing.0)(&call.upstream, tool);
        let around = Circumstances {
            agent: Some(call.agent.name.as_str()),
            owner: Some(call.agent.owner.as_str()),
            listed: listed.as_deref(),
            now: Some(now),
        };
        Ok(self.loaded().policy.rule(&Call { upstream: &call.upstream, tool, arguments, around }))
    }
}

impl Rules for InForce {
    fn still_allow(&self, call: &Submission, now: Millis) -> Result<(), String> {
        match self.ruling(call, now)? {
            Ruling::Deny { rule, .. } => Err(format!("the policy in force denies it ({rule})")),
            Ruling::Allow { .. } | Ruling::RequireApproval { .. } => Ok(()),
        }
    }

    fn standing(&self, call: &Submission, now: Millis) -> Option<StandingOffer> {
        match self.ruling(call, now).ok()? {
            Ruling::RequireApproval { requirement, .. } => requirement.standing,
            Ruling::Deny { .. } | Ruling::Allow { .. } => None,
        }
    }
}
