//! The trace of held calls, judged by the program that it is made for: PyPI's agentack.

use std::path::Path;
use std::time::Duration;

use placet::call::{Answer, Requirement};

use crate::audit::{audit_in, history};
use crate::support::bench::Bench;
use crate::support::command::{Said, run};
use crate::support::components::tools;

async fn check(trace: &Path) -> Said {
    let program = tools().join("python/agentack/bin/agentack");
    assert!(program.exists(), "{} is missing: run ./tests/run once", program.display());
    run(program.to_str().unwrap(), &["check", trace.to_str().unwrap()]).await
}

#[tokio::test]
async fn every_end_of_a_call_passes_and_a_call_that_ran_without_an_approval_does_not() {
    let bench = Bench::new().await;
    history(&bench).await;
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace.jsonl");
    let export = async || {
        let said =
            audit_in(bench.folder.path(), &["export", "--format", "agentack", "--out", trace.to_str().unwrap()]).await;
        assert_eq!(said.code, 0, "{}", said.err);
        assert!(said.err.contains("have not ended: 1"), "{}", said.err);
        std::fs::read_to_string(&trace).unwrap()
    };
    let text = export().await;
    for event in ["action_executed", "action_blocked", "\"allow\"", "\"deny\"", "session_end"] {
        assert!(text.contains(event), "{text}");
    }
    assert_eq!(text.matches("action_blocked").count(), 3);
    let passed = check(&trace).await;
    assert!(passed.code == 0 && passed.out.contains("PASS"), "{passed:?}");

    // Each end alone as well.
    for outcome in ["executed", "rejected", "expired", "cancelled"] {
        let arguments = ["export", "--format", "agentack", "--outcome", outcome, "--out", trace.to_str().unwrap()];
        assert_eq!(audit_in(bench.folder.path(), &arguments).await.code, 0);
        assert!(std::fs::read_to_string(&trace).unwrap().lines().count() >= 5, "{outcome}");
        let passed = check(&trace).await;
        assert!(passed.code == 0 && passed.out.contains("PASS"), "{outcome}: {passed:?}");
    }

    // Somebody takes the approval out of the log: the call ran without one, and the trace does not hide it.
    crate::attack::edit_any(
        &bench,
        "DROP TRIGGER entries_are_never_deleted; DELETE FROM entries WHERE kind = 'call.approved'",
    )
    .await;
    export().await;
    let failed = check(&trace).await;
    assert!(failed.code == 1 && failed.out.contains("ACK001"), "{failed:?}");
}

#[tokio::test]
async fn an_unknown_outcome_is_incomplete_until_a_person_has_found_out() {
    for ran in [true, false] {
        let bench = Bench::new().await;
        let lost = crate::finding::lost(&bench, "{}", Requirement::plain(Duration::from_secs(900))).await;
        // What is sent later must not count as sent in spite of an interrupt.
        *bench.upstream.answer.lock().unwrap() = Ok(Answer::Result(r#"{"content":[]}"#.into()));
        history(&bench).await;
        let folder = tempfile::tempdir().unwrap();
        let trace = folder.path().join("trace.jsonl");
        let export = async || {
            let arguments = ["export", "--format", "agentack", "--out", trace.to_str().unwrap()];
            let said = audit_in(bench.folder.path(), &arguments).await;
            assert_eq!(said.code, 0, "{}", said.err);
            said.err
        };
        let err = export().await;
        assert!(err.contains("nobody has looked into: 1") && err.contains("placet calls finding"), "{err}");
        let text = std::fs::read_to_string(&trace).unwrap();
        assert!(text.contains(&format!("nobody knows whether call {} ran", lost.submission.id)), "{text}");
        let unsure = check(&trace).await;
        assert!(unsure.code == 3 && unsure.out.contains("INCOMPLETE"), "{unsure:?}");
        assert!(unsure.out.contains("no terminal execution or block") && !unsure.out.contains("ACK008"), "{unsure:?}");

        bench.approvals.find(crate::finding::find(&lost, ran, bench.noor)).await.unwrap();
        assert!(!export().await.contains("unknown outcome"));
        let events = std::fs::read_to_string(&trace).unwrap();
        let mut events = events.lines().filter(|line| line.contains(&lost.submission.id.to_string()));
        let last = events.next_back().unwrap();
        assert_eq!(
            (last.contains("action_executed"), last.contains("found that it did not run")),
            (ran, !ran),
            "{last}"
        );
        let passed = check(&trace).await;
        assert!(passed.code == 0 && passed.out.contains("PASS"), "{passed:?}");
    }
}
