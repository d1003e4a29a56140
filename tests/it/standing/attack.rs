//! Somebody can write to the database file, and wants more calls to pass than anybody granted.

use placet::store::EntryFilter;

use super::arguments;
use crate::attack::people::{columns, forge, keep, put_back};
use crate::support::bench::Bench;
use crate::support::triggers;

/// What the log has of alarms about standing approvals.
async fn alarms(bench: &Bench) -> usize {
    let filter = EntryFilter { kind: Some("alarm.row_changed".into()), limit: 100, ..EntryFilter::default() };
    let entries = bench.store.entries(filter).await.unwrap();
    entries.iter().filter(|entry| entry.body.contains("standing approval")).count()
}

#[tokio::test]
async fn a_row_that_was_edited_lets_nothing_pass_and_is_an_alarm() {
    for edit in [
        "UPDATE standing SET uses = 1000",
        "UPDATE standing SET used = 0",
        "UPDATE standing SET until = until + 86400000",
        "UPDATE standing SET granted_at = granted_at + 60000",
        r#"UPDATE standing SET open = '{"body":"*","to":"*"}'"#,
        "UPDATE standing SET fixed = upper(fixed)",
        "UPDATE standing SET tool_schema = NULL, upstream_config = upstream_config || ''  , agent_name = 'other'",
        "UPDATE standing SET granted_by = (SELECT id FROM reviewers WHERE email = 'noor@example.com')",
        "UPDATE standing SET entry = entry + 1",
        "UPDATE standing SET entry = entry - 1",
        "UPDATE standing SET seal = NULL",
    ] {
        let bench = Bench::new().await;
        bench.granted().await;
        assert!(bench.passes(&arguments("before")).await);
        forge(&bench, edit).await;
        assert!(!bench.passes(&arguments("after")).await, "{edit}");
        assert_eq!((alarms(&bench).await, bench.sent()), (1, 2), "{edit}");
        assert!(bench.store.standing_in_force().await.unwrap().is_empty(), "{edit}");
    }
}

#[tokio::test]
async fn a_twin_of_a_row_lets_nothing_pass() {
    let bench = Bench::new().await;
    let granted = bench.granted().await;
    for n in 0..3 {
        assert!(bench.passes(&arguments(&format!("{n}"))).await);
    }
    let mine = columns(&bench, "standing").await;
    let twin = "'ffffffff-ffff-7fff-bfff-ffffffffffff'";
    let its = mine.replacen("id", twin, 1).replace("used", "0").replace("ended_at", "NULL");
    forge(&bench, &format!("INSERT INTO standing ({mine}) SELECT {its} FROM standing")).await;
    assert!(!bench.passes(&arguments("by a twin")).await);
    assert!(alarms(&bench).await > 0);
    assert_eq!(bench.the_standing().await.id.to_string(), twin.trim_matches('\''));
    assert!(!bench.the_standing().await.genuine);
    assert_ne!(granted.id.to_string(), twin);
}

#[tokio::test]
async fn a_row_of_before_gives_no_use_back() {
    for restarts in [false, true] {
        let bench = Bench::new().await;
        bench.granted().await;
        keep(&bench, "standing").await;
        assert!(bench.passes(&arguments("one")).await);
        put_back(&bench, "standing").await;
        let bench = if restarts { bench.restart().await } else { bench };
        assert!(!bench.passes(&arguments("two")).await, "{restarts}");
        assert!(alarms(&bench).await > 0);
    }
}

#[tokio::test]
async fn a_row_of_before_its_end_is_no_more_in_force() {
    for hides_the_log in [false, true] {
        let bench = Bench::new().await;
        let granted = bench.granted().await;
        keep(&bench, "standing").await;
        bench.approvals.end_standing(granted.id, bench.noor).await.unwrap();
        put_back(&bench, "standing").await;
        if hides_the_log {
            // The columns beside the log's bodies are covered by no hash.
            let hide = "UPDATE entries SET kind = 'x' WHERE kind = 'standing.ended'";
            let sql = format!("{}{hide};{};UPDATE meta SET value = value", triggers::AWAY, triggers::back());
            forge(&bench, &sql).await;
        }
        assert!(!bench.passes(&arguments("x")).await, "{hides_the_log}");
        assert!(alarms(&bench).await > 0, "{hides_the_log}");
        let bench = bench.restart().await;
        assert!(!bench.passes(&arguments("y")).await, "{hides_the_log}");
    }
}
