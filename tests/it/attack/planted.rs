//! Somebody can write to the database file and changes what it does itself, or the columns by which entries are found.

use std::time::Duration;

use placet::approvals::{Channel, Find, FindError, How};
use placet::call::{HeldCall, Requirement, Verdict};
use placet::clock::Clock;
use placet::lifecycle::Tasks;
use placet::store::{Receipted, Store};

use super::database::{alarmed, approve};
use super::edit_any;
use super::people::{forge, keep, put_back};
use crate::support::bench::Bench;
use crate::support::triggers;

fn plain() -> Requirement {
    Requirement::plain(Duration::from_secs(900))
}

/// A call that was approved and sent.
async fn ran(bench: &Bench, arguments: &str) -> HeldCall {
    let call = bench.hold(arguments).await;
    bench.approvals.decide(bench.decision(&call, bench.mira, Verdict::Approve)).await.unwrap();
    bench.approvals.returned(call.submission.id).await;
    bench.until(&call, "executed").await
}

/// A trigger runs inside Placet's own writes, before what they wrote is sealed.
#[tokio::test]
async fn with_a_planted_trigger_nothing_is_written_and_nothing_opens() {
    for trigger in [
        "CREATE TRIGGER planted AFTER INSERT ON reviewers BEGIN UPDATE reviewers SET is_administrator = 1; END",
        "CREATE TRIGGER planted BEFORE INSERT ON entries BEGIN SELECT RAISE(IGNORE); END",
        "CREATE TRIGGER planted AFTER UPDATE ON calls BEGIN UPDATE calls SET state = 'approved'; END",
        "DROP TRIGGER entries_are_never_changed",
    ] {
        let bench = Bench::new().await;
        let call = bench.hold("{}").await;
        edit_any(&bench, trigger).await;
        let held = bench.approvals.submit(bench.call("{\"n\":2}", plain())).await;
        assert!(held.unwrap_err().to_string().contains("did not take the write"), "{trigger}");
        assert!(approve(&bench, &call, bench.mira).await.is_err(), "{trigger}");
        assert!(bench.store.reviewer_disable("noor@example.com".parse().unwrap()).await.is_err(), "{trigger}");
        assert!(bench.store.check_writable().await.is_err(), "{trigger}: readiness says so");
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("placet.db");
        edit_any(&bench, &format!("VACUUM INTO '{}'", copy.display())).await;
        let refused = Store::open(folder.path(), Clock::system(), &Tasks::default()).await.unwrap_err().to_string();
        let name = if trigger.starts_with("DROP") { "entries_are_never_changed" } else { "planted" };
        assert!(refused.contains(&format!("trigger {name:?}")) && refused.contains("audit verify"), "{refused}");
    }
}

/// What an operator may well have done to a database is no tampering.
#[tokio::test]
async fn an_analysed_database_opens_and_is_written() {
    let bench = Bench::new().await;
    let call = bench.hold("{}").await;
    edit_any(&bench, "ANALYZE").await;
    let bench = bench.restart().await;
    approve(&bench, &call, bench.mira).await.unwrap();
}

/// A call runs, its row is put back to before that, and the log is treated with `traces`; where `stopped`, Placet was
/// stopped and started in between, so that nothing is left in memory.
async fn runs_once_though_put_back(traces: &str, stopped: bool) {
    let mut bench = Bench::new().await;
    let call = bench.hold("{}").await;
    bench.approvals.decide(bench.decision(&call, bench.mira, Verdict::Approve)).await.unwrap();
    let tables = ["calls", "votes", "call_answers"];
    for table in tables {
        keep(&bench, table).await;
    }
    bench.approvals.returned(call.submission.id).await;
    bench.until(&call, "executed").await;
    forge(&bench, &[triggers::AWAY, traces, triggers::back()].concat()).await;
    for table in tables {
        put_back(&bench, table).await;
    }
    if stopped {
        bench = bench.restart().await;
    }
    bench.approvals.returned(call.submission.id).await;
    bench.until(&call, "revoked").await;
    assert_eq!(bench.sent(), 1, "{traces}");
    assert!(alarmed(&bench, &call).await, "{traces}");
}

/// Entries are found by columns, which are no part of what was hashed.
#[tokio::test]
async fn a_call_whose_run_is_hidden_from_its_row_does_not_run_again() {
    let hide = "UPDATE entries SET call_id = NULL WHERE kind IN ('call.released', 'call.executed');";
    runs_once_though_put_back(hide, false).await;
}

#[tokio::test]
async fn a_call_that_an_earlier_process_ran_does_not_run_again() {
    for traces in [
        "UPDATE entries SET call_id = NULL WHERE kind IN ('call.released', 'call.executed');",
        "UPDATE entries SET kind = 'mail.sent' WHERE kind IN ('call.released', 'call.executed');",
        "UPDATE entries SET body = replace(body, 'call.released', 'mail.sent'), kind = 'mail.sent'
         WHERE kind = 'call.released'; UPDATE entries SET call_id = NULL WHERE kind = 'call.executed';",
    ] {
        runs_once_though_put_back(traces, true).await;
    }
}

/// A rejection is final, also where everything that tells of it is hidden.
#[tokio::test]
async fn a_rejected_call_that_is_put_back_is_not_approved() {
    let bench = Bench::new().await;
    let (rejected, cancelled) = (bench.hold(r#"{"n":1}"#).await, bench.hold(r#"{"n":2}"#).await);
    let tables = ["calls", "votes"];
    for table in tables {
        keep(&bench, table).await;
    }
    bench.approvals.decide(bench.decision(&rejected, bench.mira, Verdict::Reject)).await.unwrap();
    bench.approvals.cancel(cancelled.submission.id, bench.agent.id).await.unwrap();
    let bench = bench.restart().await;
    let hide = "UPDATE entries SET call_id = NULL WHERE kind IN ('call.rejected', 'call.cancelled');";
    forge(&bench, &[triggers::AWAY, hide, triggers::back()].concat()).await;
    for table in tables {
        put_back(&bench, table).await;
    }
    for call in [&rejected, &cancelled] {
        assert!(bench.approvals.decide(bench.decision(call, bench.noor, Verdict::Approve)).await.is_err());
        assert!(alarmed(&bench, call).await);
    }
    bench.approvals.returned(rejected.submission.id).await;
    assert_eq!(bench.sent(), 0);
}

/// Which call is "the same" decides whose result an agent is given.
#[tokio::test]
async fn no_agent_is_given_the_result_of_another_call() {
    let bench = Bench::new().await;
    let ran = ran(&bench, "{\"n\":1}").await;
    let other = bench.submit("{\"n\":2}", plain()).await.call;
    bench.approvals.cancel(other.submission.id, bench.agent.id).await.unwrap();
    let (from, to) = (other.submission.same_call, ran.submission.id);
    forge(&bench, &format!("UPDATE calls SET same_call = CASE id WHEN '{to}' THEN '{from}' ELSE id END")).await;
    let again = bench.submit("{\"n\":2}", plain()).await;
    assert_eq!(again.how, How::New);
    assert!(alarmed(&bench, &ran).await);
}

/// What is shown of a call that ended is what ran.
#[tokio::test]
async fn an_ended_call_with_other_arguments_is_not_genuine() {
    let bench = Bench::new().await;
    let ran = ran(&bench, "{\"user\":\"alice\"}").await;
    assert!(bench.store.call(ran.submission.id).await.unwrap().unwrap().genuine);
    forge(&bench, "UPDATE call_params SET params = replace(params, 'alice', 'clara')").await;
    assert!(!bench.store.call(ran.submission.id).await.unwrap().unwrap().genuine);
}

#[tokio::test]
async fn a_finding_that_was_deleted_is_not_made_anew() {
    let bench = Bench::new().await;
    let call = crate::finding::lost(&bench, "{}", plain()).await;
    let find =
        |ran| Find { call: call.submission.id, ran, reason: "I looked".into(), by: bench.mira, channel: Channel::Page };
    bench.approvals.find(find(true)).await.unwrap();
    forge(&bench, "DELETE FROM findings").await;
    let refused = bench.approvals.find(find(false)).await.unwrap_err();
    assert!(matches!(refused, FindError::Tampered), "{refused}");
}

/// A receipt without the entry of its end would tell of another one: entries are found by what was signed.
#[tokio::test]
async fn no_receipt_leaves_out_the_entry_that_the_row_names() {
    let bench = Bench::new().await;
    let call = bench.hold("{}").await;
    bench.approvals.decide(bench.decision(&call, bench.mira, Verdict::Reject)).await.unwrap();
    let hide = "UPDATE entries SET call_id = NULL WHERE kind = 'call.rejected';";
    forge(&bench, &[triggers::AWAY, hide, triggers::back()].concat()).await;
    let (notary, _) = placet::notary::Notary::open(bench.store.clone(), &bench.entropy).await.unwrap();
    notary.checkpoint().await.unwrap();
    let receipt = bench.store.receipt(call.submission.id).await.unwrap();
    let Receipted::Ready(receipt) = receipt else { panic!("{receipt:?}") };
    let proof = receipt.check(&receipt.own_keys().unwrap()).unwrap();
    assert_eq!((proof.state, proof.told.len()), (Some("rejected"), 2));
    // An entry that was taken out of the log altogether is missed.
    let gone = "DELETE FROM entries WHERE instr(body, 'call.rejected');";
    forge(&bench, &[triggers::AWAY, gone, triggers::back()].concat()).await;
    let receipt = bench.store.receipt(call.submission.id).await.unwrap();
    assert!(matches!(receipt, Receipted::Broken(_)), "{receipt:?}");
}
