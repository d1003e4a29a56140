//! How SQLite means to answer what is asked all the time: by an index, so that costs do not grow with history.

use sqlx::{AssertSqlSafe, Row as _};

use super::{Store, calls, calls_read, findings, policies, restored, retention, row, tally, tool_letters, visible};
use crate::clock::Clock;
use crate::lifecycle::Tasks;

/// SQLite's plan for a statement, a line each step.
async fn plan(store: &Store, sql: &str) -> Vec<String> {
    let rows = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"))).fetch_all(store.readers()).await;
    rows.unwrap().iter().map(|row| row.try_get("detail").unwrap()).collect()
}

async fn empty() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Clock::system(), &Tasks::default()).await.unwrap();
    (folder, store)
}

#[tokio::test]
async fn nothing_that_is_asked_all_the_time_looks_through_all_calls() {
    let (_folder, store) = empty().await;
    let asked = [
        row::SELECT_ONE,
        calls_read::DUE,
        calls_read::UNFINISHED,
        calls_read::PAGES[0][1],
        calls_read::PAGES[0][2],
        calls_read::PAGES[1][1],
        calls_read::PAGES[1][2],
        calls::CALLERS_ARE_GONE[0],
        calls::CALLERS_ARE_GONE[1],
        restored::LIVE_CALLS,
        visible::RISKIEST,
        visible::OLDEST,
        visible::COUNT,
        findings::OLDEST,
        findings::COUNT,
        retention::OLD,
    ];
    for sql in asked {
        let plan = plan(&store, sql).await;
        let looks_through = |step: &&String| {
            let scans = |table: &str| step.starts_with(&format!("SCAN {table}"));
            // These are as long as the calls that are open or unknown, not as those that ever were.
            let of_open_calls = ["calls_queue", "calls_deadline", "calls_usable", "calls_unknown"];
            (scans("calls") || scans("c") || scans("votes")) && !of_open_calls.iter().any(|name| step.ends_with(name))
        };
        assert_eq!(plan.iter().find(looks_through), None, "{sql}\n{plan:#?}");
    }
}

#[tokio::test]
async fn what_is_asked_about_policy_and_tools_looks_through_no_history() {
    let (_folder, store) = empty().await;
    for (sql, wanted) in [
        (policies::STEPS, "INDEX entries_policy"),
        (tally::COUNT, "USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
        (tool_letters::LAST, "INDEX entries_tool"),
    ] {
        let plan = plan(&store, sql).await;
        assert!(plan.iter().any(|step| step.contains(wanted)), "{sql}\n{plan:#?}");
    }
}

#[tokio::test]
async fn the_check_can_fail() {
    let (_folder, store) = empty().await;
    let plan = plan(&store, "SELECT id FROM calls WHERE tool = 'x'").await;
    assert!(plan.iter().any(|step| step == "SCAN calls"), "{plan:#?}");
}
