//! Where checkpoints also go, and what became of it.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::{Store, StoreError};
use crate::audit::Entry;
use crate::call::Millis;

/// A place that placet.toml names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnchorPlace {
    /// The same for the same place.
    pub id: String,
    /// file, command, url or mail.
    pub kind: &'static str,
    /// As shown to people.
    pub shown: String,
}

/// What became of the checkpoints for one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnchorState {
    /// The place.
    pub id: String,
    /// file, command, url or mail.
    pub kind: String,
    /// As shown to people.
    pub shown: String,
    /// How many entries the checkpoint covered that it got last, and when.
    pub last: Option<(u64, Millis)>,
    /// The last attempt.
    pub tried_at: Option<Millis>,
    /// Attempts that failed since the last one that did not.
    pub failures: u64,
    /// Why the last attempt failed.
    pub error: Option<Missed>,
}

/// Why a place did not get its checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missed {
    /// In Placet's words.
    pub why: String,
    /// What the other side said.
    pub said: Option<String>,
}

impl Store {
    /// Writes down which places are configured. One that is new, or not named any more, is said in the log: without
    /// its address, since the log cannot forget.
    ///
    /// # Errors
    /// It was not written.
    pub async fn anchors_configured(&self, places: Vec<AnchorPlace>) -> Result<(), StoreError> {
        self.write("anchors_configured", move |tx| {
            Box::pin(async move {
                let sql = "SELECT id, kind FROM anchors WHERE configured = 1 ORDER BY id";
                let rows = sqlx::query(sql).fetch_all(tx.connection()).await?;
                for row in rows {
                    let (id, kind): (String, String) = (row.try_get("id")?, row.try_get("kind")?);
                    if !places.iter().any(|place| place.id == id) {
                        let sql = "UPDATE anchors SET configured = 0 WHERE id = $1";
                        sqlx::query(sql).bind(&id).execute(tx.connection()).await?;
                        tx.append(Entry::new("anchor.removed").with("anchor", id).with("kind", kind))?;
                    }
                }
                for place in places {
                    // The place is the same, but how it is shown may have been decided by an earlier version.
                    let sql = "UPDATE anchors SET place = $2 WHERE id = $1 AND place <> $2";
                    sqlx::query(sql).bind(&place.id).bind(&place.shown).execute(tx.connection()).await?;
                    let sql = "INSERT INTO anchors (id, kind, place, configured) VALUES ($1, $2, $3, 1)
                               ON CONFLICT (id) DO UPDATE SET configured = 1 WHERE configured = 0";
                    let query = sqlx::query(sql).bind(&place.id).bind(place.kind).bind(&place.shown);
                    if query.execute(tx.connection()).await?.rows_affected() > 0 {
                        tx.append(Entry::new("anchor.added").with("anchor", place.id).with("kind", place.kind))?;
                    }
                }
                Ok(())
            })
        })
        .await
    }

    /// The configured places and what became of them.
    ///
    /// # Errors
    /// The database does not answer, or a row is damaged.
    pub async fn anchors(&self) -> Result<Vec<AnchorState>, StoreError> {
        let sql = "SELECT id, kind, place, size, at, tried_at, failures, error FROM anchors WHERE configured = 1
                   ORDER BY kind, place, id";
        sqlx::query(sql).fetch_all(self.readers()).await?.iter().map(anchor).collect()
    }

    /// A place got the checkpoint over `size` entries.
    ///
    /// # Errors
    /// It was not written.
    pub async fn anchor_reached(&self, id: &str, size: u64) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.write("anchor_reached", move |tx| {
            Box::pin(async move {
                let sql =
                    "UPDATE anchors SET size = $2, at = $3, tried_at = $3, failures = 0, error = NULL WHERE id = $1";
                let (size, now) = (i64::try_from(size).unwrap_or(i64::MAX), tx.now().0);
                sqlx::query(sql).bind(id).bind(size).bind(now).execute(tx.connection()).await?;
                Ok(())
            })
        })
        .await
    }

    /// A place did not get its checkpoint, for a reason of one line, and `said` something. The first time in a row is
    /// said in the log.
    ///
    /// # Errors
    /// It was not written.
    pub async fn anchor_missed(&self, id: &str, why: &str, said: Option<&str>) -> Result<(), StoreError> {
        // One column: what was said begins behind the line's end.
        let (id, why) = (id.to_owned(), [&[why][..], said.as_slice()].concat().join("\n"));
        self.write("anchor_missed", move |tx| {
            Box::pin(async move {
                let sql = "UPDATE anchors SET tried_at = $2, failures = failures + 1, error = $3 WHERE id = $1
                           RETURNING failures, kind";
                let query = sqlx::query(sql).bind(&id).bind(tx.now().0).bind(why);
                let row = query.fetch_one(tx.connection()).await?;
                if row.try_get::<i64, _>("failures")? == 1 {
                    let kind: String = row.try_get("kind")?;
                    tx.append(Entry::new("anchor.failed").with("anchor", id).with("kind", kind))?;
                }
                Ok(())
            })
        })
        .await
    }
}

fn missed(text: &str) -> Missed {
    match text.split_once('\n') {
        Some((why, said)) => Missed { why: why.to_owned(), said: Some(said.to_owned()) },
        None => Missed { why: text.to_owned(), said: None },
    }
}

fn anchor(row: &SqliteRow) -> Result<AnchorState, StoreError> {
    let size: Option<i64> = row.try_get("size")?;
    let at: Option<i64> = row.try_get("at")?;
    Ok(AnchorState {
        id: row.try_get("id")?,
        kind: row.try_get("kind")?,
        shown: row.try_get("place")?,
        last: size.and_then(|size| u64::try_from(size).ok()).zip(at.map(Millis)),
        tried_at: row.try_get::<Option<i64>, _>("tried_at")?.map(Millis),
        failures: u64::try_from(row.try_get::<i64, _>("failures")?).unwrap_or(0),
        error: row.try_get::<Option<String>, _>("error")?.as_deref().map(missed),
    })
}
