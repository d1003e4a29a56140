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
    let (mut model, ours) = model().await?;
    let found = objects(connection).await?;
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

/// What the schema is compared with, and how it differs.
#[derive(Debug)]
pub struct SchemaFound {
    /// How many tables, indices and triggers are as Placet made them.
    pub right: u64,
    /// What is not, each as a sentence.
    pub wrong: Vec<String>,
    /// A table is missing, or is not as it was made: what is in it cannot be read as it should.
    pub unreadable: bool,
}

/// Every difference between the schema and what the migrations make of an empty database.
pub(super) async fn compare(connection: &mut SqliteConnection) -> Result<SchemaFound, StoreError> {
    let (_, ours) = model().await?;
    let found = objects(connection).await?;
    let named =
        |all: &[Object], wanted: &Object| all.iter().any(|(kind, name, _)| (kind, name) == (&wanted.0, &wanted.1));
    let mut differs = SchemaFound { right: 0, wrong: Vec::new(), unreadable: false };
    for object @ (kind, name, _) in &ours {
        let text = match (found.contains(object), named(&found, object)) {
            (true, _) => {
                differs.right += 1;
                continue;
            }
            (false, true) => format!("the {kind} {name} is not as Placet made it: somebody changed it by hand"),
            (false, false) => format!("the {kind} {name} is gone: somebody dropped it by hand"),
        };
        differs.unreadable |= kind == "table";
        differs.wrong.push(text);
    }
    for (kind, name, _) in found.iter().filter(|object| !named(&ours, object)) {
        let does = if kind == "trigger" { ", and it runs inside Placet's own writes" } else { "" };
        differs.wrong.push(format!("the {kind} {name} is none of Placet's: somebody put it in by hand{does}"));
    }
    Ok(differs)
}

/// An empty database as the migrations make it, and what is in it.
async fn model() -> Result<(SqliteConnection, Vec<Object>), StoreError> {
    let mut model = SqliteConnectOptions::new().in_memory(true).connect().await?;
    open::migrate(&mut model, Path::new(":memory:")).await?;
    let ours = objects(&mut model).await?;
    Ok((model, ours))
}

/// Kind, name and text.
type Object = (String, String, String);

/// Kind, name and text of everything that was created; but for the tables of ANALYZE, which an operator may well have
/// run, and which change how rows are found and not which.
async fn objects(connection: &mut SqliteConnection) -> Result<Vec<Object>, StoreError> {
    let sql = "SELECT type, name, coalesce(sql, '') AS sql FROM sqlite_schema
               WHERE NOT (type = 'table' AND name LIKE 'sqlite\\_stat%' ESCAPE '\\') ORDER BY type, name";
    let rows = sqlx::query(sql).fetch_all(connection).await?;
    let object = |row: &sqlx::sqlite::SqliteRow| {
        Ok::<_, sqlx::Error>((row.try_get("type")?, row.try_get("name")?, row.try_get("sql")?))
    };
    let objects: Vec<Object> = rows.iter().map(object).collect::<Result<_, _>>()?;
    #[cfg(feature = "failpoints")]
    let objects: Vec<_> = objects.into_iter().filter(|(_, name, _)| !name.starts_with("failpoint")).collect();
    Ok(objects)
}

/// The triggers as they are now.
pub(super) async fn triggers(connection: &mut SqliteConnection) -> Result<String, sqlx::Error> {
    sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT coalesce({TRIGGERS}, '')"))).fetch_one(connection).await
}
