//! What became of calls, on the list beside the database: none is sent twice, and none that ended is open again,
//! whatever is done to its row and to the log.

use std::io;

use super::restored::Witness;
use super::spent::{self, Found, How, Kind, Line};
use super::{Store, StoreError};
use crate::call::{Approver, CallId, CallState, HeldCall};

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
    /// It was over, one way or another.
    Over,
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

    /// Returns when every end that was committed is on the disk in the list, or could not be written: it counts in any
    /// case, and gets there as soon as the disk takes it.
    pub async fn ends_kept(&self) {
        if let Err(error) = self.spent.all_synced().await {
            tracing::error!(%error, "a call's end is not on the disk yet in the list beside the database");
        }
    }

    /// Whether the call was claimed before.
    #[must_use]
    pub fn is_claimed(&self, id: CallId) -> bool {
        matches!(self.spent.what_became(Kind::Call, &id.to_string()), Some((How::Claimed, _)))
    }

    /// Pending calls of which the list knows that they were sent or ended: their rows are older than that.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn spent_pending(&self) -> Result<Vec<(CallId, SpentCall)>, StoreError> {
        let rows = sqlx::query_as::<_, (String, Option<i64>)>(
            "SELECT id, entry FROM calls WHERE state = 'pending' ORDER BY id",
        );
        let rows = rows.fetch_all(self.readers()).await?;
        let known = rows.into_iter().filter_map(|(id, entry)| {
            let spent = match self.spent.what_became(Kind::Call, &id) {
                Some((How::Live, _)) => return None,
                Some((How::Claimed, _)) => SpentCall::Sent,
                Some((how, _)) => SpentCall::Ended(how.as_str()),
                None if self.spent.is_beyond(Kind::Call, &id, entry.unwrap_or_default()) => SpentCall::Over,
                None => return None,
            };
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

    /// For whoever would write to a database that was put back and not served from since.
    ///
    /// # Errors
    /// It was, or the database does not answer.
    pub async fn must_be_settled(&self) -> Result<(), StoreError> {
        if self.spent_at_start().is_none() && self.copy_mark().await?.is_none() {
            return Ok(());
        }
        Err(StoreError::Folder {
            path: self.folder.to_path_buf(),
            problem: "holds a database that was put back, or has lost its file spent, and was not served from since; \
                      start `placet serve` once, which settles what happened in between, and then do this again"
                .into(),
        })
    }

    pub(super) fn unlisted(&self, error: io::Error) -> StoreError {
        StoreError::Unlisted { path: self.folder.join(spent::FILE), error: error.into() }
    }
}

/// The line of a call that has just ended other than by an answer of its upstream: that it was claimed stands there by
/// then. Also of one that a deadline has given another deadline: with the row of before it would get that again.
pub(super) fn step(call: &HeldCall) -> Option<Line> {
    let how = match call.state {
        CallState::Pending { escalated: true, .. } | CallState::Approved { by: Approver::Policy, .. } => How::Live,
        CallState::Rejected { .. } => How::Rejected,
        CallState::Cancelled { .. } => How::Cancelled,
        CallState::Revoked { .. } => How::Revoked,
        CallState::Expired { .. } => How::Expired,
        CallState::Lapsed { .. } => How::Lapsed,
        CallState::OutcomeUnknown { .. } => How::Claimed,
        CallState::Pending { .. }
        | CallState::Approved { .. }
        | CallState::Releasing { .. }
        | CallState::Executed { .. }
        | CallState::ToolError { .. } => return None,
    };
    Some(line(call, how))
}

fn line(call: &HeldCall, how: How) -> Line {
    Line { kind: Kind::Call, id: call.submission.id.to_string(), how, entry: call.entry, kept: None }
}
