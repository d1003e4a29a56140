//! Standing approvals: a reviewer who approved one call lets the next ones like it pass, for a while, so many times, for
//! that agent alone; where the policy offers that, and no further than it does.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{AgentId, AgentName, CallId, Digest, Millis, ReviewerId, StandingId, ToolName, UpstreamName};

/// The glob that any value of any type matches.
pub const ANY: &str = "*";

/// Names of arguments that may differ from call to call, each with the glob that its value must match, or [`ANY`].
pub type Open = BTreeMap<String, String>;

/// How far a reviewer may go, as the policy says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingOffer {
    /// Most calls that one standing approval lets pass.
    pub uses: u32,
    /// The longest that it lasts.
    pub lasts: Duration,
    /// Arguments that may be left open; every other one is the same in every call.
    #[serde(default)]
    pub open: Open,
}

/// What a person granted, as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingApproval {
    /// Its id.
    pub id: StandingId,
    /// The call that was approved when it was granted; what is not open is as in this one.
    pub call: CallId,
    /// Whose calls pass.
    pub agent: AgentId,
    /// That agent's name.
    pub agent_name: AgentName,
    /// Where they go.
    pub upstream: UpstreamName,
    /// Hash of that upstream's configuration.
    pub upstream_config: Digest,
    /// The tool.
    pub tool: ToolName,
    /// Hash of the tool as its server listed it, if it was listed.
    pub tool_schema: Option<Digest>,
    /// Arguments that may differ.
    pub open: Open,
    /// A keyed hash of all the others, and of the headers that go with the call.
    pub fixed: Digest,
    /// Most calls that pass.
    pub uses: u32,
    /// How many have passed.
    pub used: u32,
    /// When it was granted.
    pub at: Millis,
    /// Until when it holds (exclusive).
    pub until: Millis,
    /// Who granted it.
    pub by: ReviewerId,
    /// Why.
    pub reason: String,
    /// How it ended before its time, if it did.
    pub ended: Option<StandingEnd>,
    /// The row is as Placet wrote it last. Otherwise nothing else of this counts.
    pub genuine: bool,
}

/// How a standing approval ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingEnd {
    /// When.
    pub at: Millis,
    /// Who ended it; `None`: nobody, its uses were spent or the database was put back.
    pub by: Option<ReviewerId>,
    /// In words.
    pub why: String,
}

impl StandingApproval {
    /// Whether it lets calls pass at this moment.
    #[must_use]
    pub fn is_in_force(&self, now: Millis) -> bool {
        self.genuine && self.ended.is_none() && now < self.until && self.used < self.uses
    }

    /// How many calls it still lets pass.
    #[must_use]
    pub fn left(&self) -> u32 {
        self.uses.saturating_sub(self.used)
    }

    /// Whether what the policy offers for a call today still goes as far as this: a policy that was tightened since
    /// tightens it as well.
    #[must_use]
    pub fn is_within(&self, offer: &StandingOffer, now: Millis) -> bool {
        let open = self.open.iter().all(|(name, glob)| offer.open.get(name) == Some(glob));
        open && self.used < offer.uses && now < self.at.after(offer.lasts)
    }
}
