//! What a person found out about a call of which nobody knew whether it ran. It stands beside the call: the state stays
//! what it was, and the call is never sent again.

use super::{Digest, Email, Millis, ReviewerId};

/// One person's finding. A call has at most one, and it is final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The call took effect; otherwise it did not, and may be asked for anew.
    pub ran: bool,
    /// Who looked.
    pub by: ReviewerId,
    /// When it was committed.
    pub at: Millis,
    /// How they know.
    pub reason: String,
}

/// A finding with what proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFinding {
    /// The finding.
    pub finding: Finding,
    /// The person's address then.
    pub by_email: Email,
    /// HMAC-SHA-256 over the call's digest and the finding, under a key that is not in the database.
    pub mac: Digest,
}
