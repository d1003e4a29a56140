//! The trace of held calls, judged by the program that it is made for: PyPI's agentack.

use std::path::Path;

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
