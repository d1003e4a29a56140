//! The service under attack: each test sends the worst that somebody could, and shows that nothing comes of it.

mod agent;
mod database;
mod disk;
mod list;
pub(crate) mod people;
mod planted;
mod rows;
mod spent;
mod upstream;

use sqlx::Connection as _;

use crate::support::bench::Bench;

/// Changes the database behind the back of the process that has it open, in any way.
pub(crate) async fn edit_any(bench: &Bench, sql: &str) {
    let url = format!("sqlite://{}", bench.folder.path().join("placet.db").display());
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
}
