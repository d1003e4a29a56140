//! The list beside the database is written by Placet, of rows that anybody wrote who can write to the database: what
//! stands in them must not spoil it, and nobody must be able to hide from it what ends.

use std::time::Duration;

use placet::call::{Email, GroupName, OnTimeout, Requirement, Risk, Verdict};

use super::database::approve;
use super::people::{columns, forge, keep, put_back};
use super::spent::try_to_run;
use crate::support::bench::Bench;
use crate::support::triggers;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// What the list's file has.
fn list(bench: &Bench) -> String {
    std::fs::read_to_string(bench.folder.path().join("spent")).unwrap()
}

/// A row like the bench's agent or reviewer, under another id and with these other values.
async fn decoy(bench: &Bench, table: &str, which: &str, other: &[(&str, &str)]) {
    let columns = columns(bench, table).await;
    let value = |column: &str| {
        let other = other.iter().find(|(name, _)| *name == column);
        other.map_or_else(|| column.to_owned(), |(_, value)| (*value).to_owned())
    };
    let values: Vec<_> = columns.split(", ").map(value).collect();
    let sql = format!("INSERT INTO {table} ({columns}) SELECT {} FROM {table} WHERE {which}", values.join(", "));
    forge(bench, &sql).await;
}

/// A forged row gives nobody a right, and its id is whatever somebody wrote there: a list that it made unreadable would
/// have to be thrown away, with all that it knows.
#[tokio::test]
async fn no_id_in_a_row_makes_the_list_unreadable() {
    for id in ["x'0a'", "'a b'", "''", "'-'", "'%'", "'call' || char(10) || char(0) || 'b'", "'é '"] {
        let bench = Bench::new().await;
        let id = if id.starts_with('x') { format!("CAST({id} AS TEXT)") } else { id.to_owned() };
        decoy(&bench, "agents", "true", &[("id", &id), ("name", "'another'"), ("token_hash", "'none'")]).await;
        bench.store.agent_revoke(bench.agent.name.clone()).await.unwrap().unwrap();
        let bench = bench.restart().await.restart().await;
        assert_eq!(bench.store.restoration().await.unwrap(), None, "{id}");
        let agent = bench.store.agent(bench.agent.id).await.unwrap().unwrap();
        assert!(agent.genuine && agent.revoked_at.is_some(), "{id}");
    }
}

/// A row can name any entry. The list must not say that the log was so long: every start from then on would be one after a
/// restore, with nobody signed in and nothing approved.
#[tokio::test]
async fn no_row_makes_the_log_look_shorter_than_it_was() {
    let bench = Bench::new().await;
    let call = bench.hold("{}").await;
    approve(&bench, &call, bench.mira).await.unwrap();
    let far = ("entry", "1000000000000");
    let another = [("id", "'another'"), ("name", "'another'"), ("token_hash", "'none'"), far];
    decoy(&bench, "agents", "true", &another).await;
    let bench = bench.restart().await.restart().await;
    assert_eq!(bench.store.restoration().await.unwrap(), None);
    bench.approvals.returned(call.submission.id).await;
    bench.until(&call, "executed").await;
}

/// Whoever is ended by name is found by the name in their row: with another row under that name it is that one which is
/// ended, and the operator is told that it is done.
#[tokio::test]
async fn whoever_hides_behind_a_forged_row_of_their_name_is_ended_with_it() {
    let bench = Bench::new().await;
    let noor = Email::parse("noor@example.com").unwrap();
    forge(&bench, "UPDATE agents SET name = 'hidden'; UPDATE reviewers SET email = 'hidden' WHERE name = 'noor'").await;
    let id = ("id", "'ffffffff-ffff-7fff-bfff-ffffffffffff'");
    decoy(&bench, "agents", "true", &[id, ("name", "'ci-bot'"), ("token_hash", "'none'")]).await;
    decoy(&bench, "reviewers", "name = 'noor'", &[id, ("email", "'noor@example.com'")]).await;
    bench.store.agent_revoke(bench.agent.name.clone()).await.unwrap().unwrap();
    bench.store.reviewer_disable(noor).await.unwrap().unwrap();
    let unmask = "DELETE FROM agents WHERE name = 'ci-bot'; UPDATE agents SET name = 'ci-bot';
                  DELETE FROM reviewers WHERE email = 'noor@example.com';
                  UPDATE reviewers SET email = 'noor@example.com' WHERE email = 'hidden'";
    forge(&bench, unmask).await;
    let stands = async |bench: &Bench| {
        let agent = bench.store.agent(bench.agent.id).await.unwrap().unwrap();
        let account = bench.store.reviewer(bench.noor).await.unwrap().unwrap();
        (agent.revoked_at.is_none(), account.disabled_at.is_none())
    };
    assert_eq!(stands(&bench).await, (false, false), "they live on");
    let bench = bench.restart().await;
    assert_eq!(stands(&bench).await, (false, false), "they live on after a restart");
}

/// The mark of a copy is a row like any other, so whoever writes the database can have a restore settled; and a row can
/// appear at the very moment at which that is committed.
#[tokio::test]
async fn what_appears_while_a_restore_is_settled_gives_no_right() {
    let bench = Bench::new().await;
    let asks = Requirement { on_timeout: OnTimeout::Approve, risk: Some(Risk::Write), ..Requirement::plain(DAY) };
    let call = bench.submit("{}", asks).await.call;
    bench.approvals.told_to_return(call.submission.id).await.unwrap();
    for table in ["agents", "calls", "votes"] {
        keep(&bench, table).await;
    }
    approve(&bench, &call, bench.mira).await.unwrap();
    bench.until(&call, "executed").await;
    bench.store.agent_revoke(bench.agent.name.clone()).await.unwrap().unwrap();
    let (agents, calls) = (columns(&bench, "agents").await, columns(&bench, "calls").await);
    let appears = format!(
        "{} UPDATE entries SET call_id = NULL, agent = NULL, kind = 'mail.sent' WHERE kind NOT IN ('call.held', 'agent.added');
         {} INSERT INTO meta (key, value) VALUES ('copy', json_object('id', 'x', 'at', 1, 'log', 1));
         CREATE TRIGGER failpoint_appears AFTER INSERT ON entries WHEN NEW.kind = 'store.restored' BEGIN
             DELETE FROM agents; INSERT INTO agents ({agents}) SELECT {agents} FROM failpoint_kept_agents;
             DELETE FROM votes; DELETE FROM calls;
             INSERT INTO calls ({calls}) SELECT {calls} FROM failpoint_kept_calls;
         END",
        triggers::AWAY,
        triggers::back()
    );
    forge(&bench, &appears).await;
    let bench = bench.restart().await;
    assert!(bench.store.restoration().await.unwrap().is_some());
    forge(&bench, "DROP TRIGGER failpoint_appears; UPDATE meta SET value = value").await;
    let agent = bench.store.agent(bench.agent.id).await.unwrap().unwrap();
    assert!(agent.revoked_at.is_some(), "a revoked agent lives: {agent:?}");
    bench.clock.advance(DAY);
    bench.approvals.expire().await.unwrap();
    let state = try_to_run(&bench, &call).await;
    assert_eq!(bench.sent(), 1, "it ran twice, and is {state}");
}

/// Who rejected a call has been told so, and the process dies at that moment.
#[tokio::test]
async fn a_rejection_that_was_acknowledged_is_listed() {
    let bench = Bench::new().await;
    let (rejected, cancelled) = (bench.hold("{}").await, bench.hold("[]").await);
    let overdue = bench.submit("1", Requirement::plain(Duration::from_secs(60))).await.call;
    let revoked = bench.hold("2").await;
    bench.approvals.decide(bench.decision(&rejected, bench.mira, Verdict::Reject)).await.unwrap();
    assert!(list(&bench).contains(&format!("call {} rejected ", rejected.submission.id)), "{}", list(&bench));
    bench.approvals.cancel(cancelled.submission.id, bench.agent.id).await.unwrap();
    assert!(list(&bench).contains(&format!("call {} cancelled ", cancelled.submission.id)), "{}", list(&bench));
    bench.clock.advance(Duration::from_secs(60));
    bench.approvals.expire().await.unwrap();
    assert!(list(&bench).contains(&format!("call {} expired ", overdue.submission.id)), "{}", list(&bench));
    approve(&bench, &revoked, bench.mira).await.unwrap();
    *bench.today.0.lock().unwrap() = Some("the policy denies it now".into());
    let mut events = bench.approvals.events();
    bench.approvals.returned(revoked.submission.id).await;
    while events.recv().await.unwrap().state != "revoked" {}
    assert!(list(&bench).contains(&format!("call {} revoked ", revoked.submission.id)), "{}", list(&bench));
}

/// A deadline that was set by a deadline: with the row of before it would be set again, as often as somebody likes.
#[tokio::test]
async fn no_deadline_is_set_twice() {
    let escalates = OnTimeout::Escalate(vec![GroupName::new("night").unwrap()]);
    for on_timeout in [escalates, OnTimeout::Approve] {
        let bench = Bench::new().await;
        let asks = Requirement { on_timeout, risk: Some(Risk::Write), ..Requirement::plain(Duration::from_secs(900)) };
        let call = bench.submit("{}", asks).await.call;
        keep(&bench, "calls").await;
        bench.clock.advance(Duration::from_secs(900));
        bench.approvals.expire().await.unwrap();
        let before = bench.store.call(call.submission.id).await.unwrap().unwrap();
        assert!(["pending", "approved"].contains(&before.state.name()) && before.genuine, "{before:?}");
        let hide = "UPDATE entries SET call_id = NULL, kind = 'mail.sent'
                    WHERE kind IN ('call.escalated', 'call.approved');";
        forge(&bench, &[triggers::AWAY, hide, triggers::back()].concat()).await;
        put_back(&bench, "calls").await;
        bench.clock.advance(Duration::from_secs(800));
        bench.approvals.expire().await.unwrap();
        let now = bench.store.call(call.submission.id).await.unwrap().unwrap();
        assert_eq!(now.state.name(), "expired", "it has another deadline: {now:?}");
    }
}
