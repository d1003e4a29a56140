//! Which calls and entries a person may read, as part of the queries that list them, so that pages stay full and
//! counts true.

use std::collections::BTreeSet;

use sqlx::Row as _;

use super::row::{self, select_calls};
use super::{Store, StoreError};
use crate::call::{CallId, GroupName, HeldCall, ReviewerId};

/// How far a person sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sight {
    /// Everything: auditors, administrators, and the service itself.
    #[default]
    All,
    /// What reviewers of these groups decide, and what concerns this person.
    Groups(ReviewerId, BTreeSet<GroupName>),
}

impl Sight {
    /// The groups as a JSON list to bind; null where everything is seen.
    pub(super) fn groups(&self) -> Result<Option<String>, StoreError> {
        match self {
            Self::All => Ok(None),
            Self::Groups(_, groups) => Ok(Some(serde_json::to_string(groups)?)),
        }
    }

    pub(super) fn person(&self) -> Option<String> {
        match self {
            Self::All => None,
            Self::Groups(id, _) => Some(id.to_string()),
        }
    }
}

/// Whether the call `c` may be read by reviewers of the groups that `$groups` binds as a JSON list; null: by all.
macro_rules! visible {
    ($groups:literal) => {
        concat!(
            "(",
            $groups,
            " IS NULL OR json_array_length(c.requirement, '$.reviewers') = 0 ",
            "OR EXISTS (SELECT 1 FROM json_each(c.requirement, '$.reviewers') r JOIN json_each(",
            $groups,
            ") g ON g.value = r.value) ",
            "OR ((c.escalated = 1 OR c.state <> 'pending') AND EXISTS (SELECT 1 ",
            "FROM json_each(c.requirement, '$.on_timeout.escalate') r JOIN json_each(",
            $groups,
            ") g ON g.value = r.value)))"
        )
    };
}
pub(super) use visible;

/// [`visible`] for pending calls, out of the queue's index alone: the few audiences that differ are judged, not each
/// call.
macro_rules! audience_within {
    ($groups:literal) => {
        concat!(
            "(",
            $groups,
            " IS NULL OR audience IN (SELECT a.audience FROM (SELECT DISTINCT audience FROM calls INDEXED BY calls_queue ",
            "WHERE state = 'pending') a WHERE json_array_length(a.audience, '$[0]') = 0 ",
            "OR EXISTS (SELECT 1 FROM json_each(a.audience, '$[0]') r JOIN json_each(",
            $groups,
            ") g ON g.value = r.value) ",
            "OR (a.audience ->> '$[2]' = 1 AND EXISTS (SELECT 1 FROM json_each(a.audience, '$[1]') r JOIN json_each(",
            $groups,
            ") g ON g.value = r.value))))"
        )
    };
}

/// A page of the ids of pending calls, riskiest first, made into calls.
pub(super) const RISKIEST: &str = select_calls!(concat!(
    "WHERE c.id IN (SELECT id FROM calls INDEXED BY calls_queue WHERE state = 'pending' AND ",
    audience_within!("$1"),
    " ORDER BY risk_rank, id LIMIT $2 OFFSET $3) ORDER BY c.risk_rank, c.id"
));

/// The pending call that waits longest.
pub(super) const OLDEST: &str = select_calls!(concat!(
    "WHERE c.id = (SELECT min(id) FROM calls INDEXED BY calls_queue WHERE state = 'pending' AND ",
    audience_within!("$1"),
    ")"
));

/// How many calls are pending.
pub(super) const COUNT: &str = concat!(
    "SELECT count(*) AS count FROM calls INDEXED BY calls_queue WHERE state = 'pending' AND ",
    audience_within!("$1")
);

/// Pending calls as a reviewer meets them.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// One page, riskiest first, then oldest.
    pub calls: Vec<HeldCall>,
    /// How many wait on all pages.
    pub total: u64,
    /// The one that waits longest.
    pub oldest: Option<HeldCall>,
}

impl Store {
    /// A page of the pending calls within sight.
    ///
    /// # Errors
    /// The database does not answer, or a row is damaged.
    pub async fn waiting(&self, sight: &Sight, limit: u32, offset: u32) -> Result<Waiting, StoreError> {
        let groups = sight.groups()?;
        let trust = self.trust();
        let rows = sqlx::query(RISKIEST)
            .bind(groups.as_deref())
            .bind(i64::from(limit))
            .bind(i64::from(offset))
            .fetch_all(self.readers())
            .await?;
        let calls = self.listed(&rows, &trust).await?;
        let oldest = sqlx::query(OLDEST).bind(groups.as_deref()).fetch_optional(self.readers()).await?;
        let oldest = oldest.as_ref().map(|row| row::held_call(row, &trust)).transpose()?;
        Ok(Waiting { calls, total: self.pending_within(sight).await?, oldest })
    }

    /// Whether a call is within sight, without reading it.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn is_within(&self, id: CallId, sight: &Sight) -> Result<bool, StoreError> {
        const ONE: &str = concat!("SELECT 1 FROM calls c WHERE c.id = $2 AND ", visible!("$1"));
        let query = sqlx::query(ONE).bind(sight.groups()?).bind(id.to_string());
        Ok(query.fetch_optional(self.readers()).await?.is_some())
    }

    /// How many calls within sight are pending.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn pending_within(&self, sight: &Sight) -> Result<u64, StoreError> {
        let row = sqlx::query(COUNT).bind(sight.groups()?).fetch_one(self.readers()).await?;
        Ok(u64::try_from(row.try_get::<i64, _>("count")?).unwrap_or(0))
    }
}
