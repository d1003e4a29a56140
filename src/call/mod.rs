//! A call and its life, pure: no clock, no database, no network, and nothing of ours but this module.

pub mod arguments;
mod digest;
mod finding;
mod held;
mod ids;
pub mod json;
mod requirement;
pub mod salted;
pub mod secrets;
mod standing;
mod state;
mod time;
pub mod tool;
mod verdict;

pub use digest::{BadDigest, Digest, DigestParts};
pub use finding::{Finding, StoredFinding};
pub use held::{Answer, Caller, ContextResult, Disposition, Era, HeldCall, StoredVote, Submission};
pub use ids::{
    AgentId, AgentName, BadName, CallId, ClaimId, Email, GroupName, ReviewerId, StandingId, ToolName, UpstreamName,
};
pub use requirement::{ContextRead, InputAfterApproval, OnTimeout, ReleaseWhen, Requirement, Risk, ToolChanged};
pub use standing::{ANY, Open, StandingApproval, StandingEnd, StandingOffer};
pub use state::{Approver, CallState, Event, InvalidTransition, Outcome};
pub use time::{BadMoment, Millis};
pub use verdict::{Quorum, Verdict, Vote};
