//! What became of calls, on the list beside the database: none is sent twice, and none that ended is open again,
//! whatever is done to its row and to the log.

use std::io;

use super::restored::Witness;
use super::spent::{self, Found, How, Kind, Line, MARGIN};
use super::{Store, StoreError};
use crate::call::{CallId, CallState, HeldCall};

/// A call's claim, which is on its way to the disk.
#[derive(Clone, Copy, Debug)]
pub struct Claimed(u64);

/// What the list says of a call that its row says is pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpentCall {
    /// It was sent, or may have been.
    Sent,
    /// It ended; in words, after "it was".
    Ended(&'static str),
}

impl Store {
    /// Puts a call that was just claimed on the list; `None` if it was claimed before. It must not be sent before
    /// [`Store::claim_kept`].
    #[must_use]
    pub fn claim_once(&self, claimed: &HeldCall) -> Option<Claimed> {
        self.spent.claim(line(claimed, How::Claimed)).map(Claimed)
    }

    /// Returns once the claim is on the disk.
    ///
    /// # Errors
    /// It is not yet: the call must not be sent. It may be asked again.
    pub async fn claim_kept(&self, claimed: Claimed) -> Result<(), StoreError> {
        self.spent.synced(claimed.0).await.map_err(|error| self.unlisted(error))
    }

    /// Whether the call was claimed before.
    #[must_use]
    pub fn is_claimed(&self, id: CallId) -> bool {
        matches!(self.spent.what_became(Kind::Call, &id.to_string()), Some((How::Claimed, _)))
    }

    /// Puts a call that ended by somebody's doing on the list. It counts in any case; what is not on the disk gets there
    /// with the next line.
    pub(super) async fn note_end(&self, call: &HeldCall) {
        let how = match call.state {
            CallState::Rejected { .. } => How::Rejected,
            CallState::Cancelled { .. } => How::Cancelled,
            CallState::Revoked { .. } => How::Revoked,
            CallState::OutcomeUnknown { .. } => How::Claimed,
            // A deadline passes again; whatever else ends a call came after its claim.
            CallState::Pending { .. }
            | CallState::Approved { .. }
            | CallState::Releasing { .. }
            | CallState::Executed { .. }
            | CallState::ToolError { .. }
            | CallState::Expired { .. }
            | CallState::Lapsed { .. } => return,
        };
        if let Err(error) = self.spent.keep(vec![line(call, how)]).await {
            tracing::error!(%error, "a call's end is not on the disk yet in the list beside the database");
        }
    }

    /// Pending calls of which the list knows that they were sent or ended: their rows are older than that.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn spent_pending(&self) -> Result<Vec<(CallId, SpentCall)>, StoreError> {
        let ids = sqlx::query_scalar::<_, String>("SELECT id FROM calls WHERE state = 'pending' ORDER BY id");
        let ids = ids.fetch_all(self.readers()).await?;
        let known = ids.into_iter().filter_map(|id| {
            let (how, _) = self.spent.what_became(Kind::Call, &id)?;
            let spent = if how == How::Claimed { SpentCall::Sent } else { SpentCall::Ended(how.as_str()) };
            Some((id.parse().ok()?, spent))
        });
        Ok(known.collect())
    }

    /// What the list says against the database as it was found at the start.
    #[must_use]
    pub fn spent_at_start(&self) -> Option<Witness> {
        match self.found_spent {
            Found::Fits => None,
            Found::Missing => Some(Witness { source: spent::FILE.to_owned(), checkpoint: 0 }),
            Found::Ahead(entry) => {
                Some(Witness { source: spent::FILE.to_owned(), checkpoint: u64::try_from(entry).unwrap_or(0) })
            }
        }
    }

    pub(super) fn unlisted(&self, error: io::Error) -> StoreError {
        StoreError::Unlisted { path: self.folder.join(spent::FILE), error: error.into() }
    }
}

fn line(call: &HeldCall, how: How) -> Line {
    // An approval is made before the deadline and can be used for so long.
    let last_use = call.expires_at.max(call.changed_at).after(call.submission.requirement.execute_within);
    let id = call.submission.id.to_string();
    Line { kind: Kind::Call, id, how, entry: call.entry, until: Some(last_use.after(MARGIN)) }
}
