//! The database's own tables, indices and triggers: those that the migrations make, and no others.
//!
//! A trigger that somebody planted runs inside Placet's own writes: it could change a row before it is sealed, or keep an
//! entry out of the log. So nothing is opened, and nothing written, with one that is not ours.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Row as _};

use super::{StoreError, open};

/// The triggers, as one text: compared before every write. Within a trigger of the writer's connection too.
#[cfg(not(feature = "failpoints"))]
pub(super) const TRIGGERS: &str =
    "(SELECT group_concat(name || ' ' || sql, char(10) ORDER BY name) FROM main.sqlite_schema WHERE type = 'trigger')";

/// As it is in tests, which make single writes fail by triggers of this name.
#[cfg(feature = "failpoints")]
pub(super) const TRIGGERS: &str = "(SELECT group_concat(name || ' ' || sql, char(10) ORDER BY name)
    FROM main.sqlite_schema WHERE type = 'trigger' AND name NOT LIKE 'failpoint%')";

/// What a write fails with where a trigger is not ours.
pub(super) const PLANTED: &str = "the database has a trigger that Placet did not make";

/// Refuses a database whose schema is not what the migrations make of an empty one. Gives the triggers that it has then.
pub(super) async fn check(connection: &mut SqliteConnection, folder: &Path) -> Result<String, StoreError> {
    let mut model = SqliteConnectOptions::new().in_memory(true).connect().await?;
    open::migrate(&mut model, Path::new(":memory:")).await?;
    let (ours, found) = (objects(&mut model).await?, objects(connection).await?);
    #[cfg(feature = "failpoints")]
    let found: Vec<_> = found.into_iter().filter(|(_, name, _)| !name.starts_with("failpoint")).collect();
    let planted = found.iter().find(|object| !ours.contains(object));
    let Some((kind, name, _)) = planted.or_else(|| ours.iter().find(|object| !found.contains(object))) else {
        return Ok(triggers(&mut model).await?);
    };
    Err(StoreError::Folder {
        path: folder.to_owned(),
        problem: format!(
            "holds a placet.db whose {kind} {name:?} is not as Placet made it, so somebody changed the database by hand; \
             find out who, check the log with `placet audit verify`, and restore a backup"
        ),
    })
}

/// Kind, name and text of everything that was created; but for the tables of ANALYZE, which an operator may well have
/// run, and which change how rows are found and not which.
async fn objects(connection: &mut SqliteConnection) -> Result<Vec<(String, String, String)>, StoreError> {
    let sql = "SELECT type, name, coalesce(sql, '') AS sql FROM sqlite_schema
               WHERE NOT (type = 'table' AND name LIKE 'sqlite\\_stat%' ESCAPE '\\') ORDER BY type, name";
    let rows = sqlx::query(sql).fetch_all(connection).await?;
    let object = |row: &sqlx::sqlite::SqliteRow| {
        Ok::<_, sqlx::Error>((row.try_get("type")?, row.try_get("name")?, row.try_get("sql")?))
    };
    Ok(rows.iter().map(object).collect::<Result<_, _>>()?)
}

/// The triggers as they are now.
pub(super) async fn triggers(connection: &mut SqliteConnection) -> Result<String, sqlx::Error> {
    sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT coalesce({TRIGGERS}, '')"))).fetch_one(connection).await
}
