//! The database stops taking writes at the worst moment. A trigger stands for the disk: `ABORT` refuses one statement,
//! `ROLLBACK` undoes the whole transaction, as SQLite does by itself when the disk is full.

use std::time::Duration;

use futures_util::future::join_all;
use placet::approvals::{DecideError, SubmitError};
use placet::call::Requirement;
use placet::store::StoreError;

use super::database::{approve, edit};
use crate::support::bench::Bench;

const MENDED: &str = "DROP TRIGGER failpoint_full";

#[tokio::test]
async fn an_approval_that_cannot_be_logged_is_none() {
    let bench = Bench::new().await;
    let call = bench.hold("{}").await;
    edit(&bench, "CREATE TRIGGER failpoint_full BEFORE INSERT ON entries BEGIN SELECT RAISE(ABORT, 'full'); END").await;
    let refused = approve(&bench, &call, bench.mira).await.unwrap_err();
    assert!(matches!(refused, DecideError::Store(StoreError::NotWritten(_))), "{refused}");
    edit(&bench, MENDED).await;
    assert!(Bench::pending(&bench.store.call(call.submission.id).await.unwrap().unwrap()));
    bench.approvals.returned(call.submission.id).await;
    assert_eq!(bench.sent(), 0);
    approve(&bench, &call, bench.mira).await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_claimed_is_not_sent() {
    let bench = Bench::new().await;
    let call = bench.hold("{}").await;
    let full = "CREATE TRIGGER failpoint_full BEFORE INSERT ON entries WHEN new.kind = 'call.released'
        BEGIN SELECT RAISE(ROLLBACK, 'full'); END";
    edit(&bench, full).await;
    approve(&bench, &call, bench.mira).await.unwrap();
    for _ in 0..3 {
        bench.approvals.returned(call.submission.id).await;
    }
    assert_eq!(bench.sent(), 0);
    edit(&bench, MENDED).await;
    bench.approvals.returned(call.submission.id).await;
    bench.until(&call, "executed").await;
    assert_eq!(bench.sent(), 1);
}

/// The call ran, and what came of it cannot be written down: it is written as soon as that works again, whatever other
/// writes were refused together with it.
#[tokio::test]
async fn an_outcome_is_recorded_when_the_disk_is_mended() {
    for how in ["ABORT", "ROLLBACK"] {
        let bench = Bench::new().await;
        let call = bench.hold("{}").await;
        edit(
            &bench,
            match how {
                "ABORT" => "CREATE TRIGGER failpoint_full BEFORE INSERT ON call_answers BEGIN SELECT RAISE(ABORT, 'full'); END",
                _ => "CREATE TRIGGER failpoint_full BEFORE INSERT ON call_answers BEGIN SELECT RAISE(ROLLBACK, 'full'); END",
            },
        )
        .await;
        approve(&bench, &call, bench.mira).await.unwrap();
        let returned = bench.approvals.returned(call.submission.id);
        let mended = async {
            bench.until(&call, "releasing").await;
            // Some attempts at least, in company.
            for _ in 0..30 {
                let _ = join_all((0..10).map(|_| bench.store.check_writable())).await;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            edit(&bench, MENDED).await;
        };
        tokio::join!(returned, mended);
        let ended = bench.until(&call, "executed").await;
        assert!(ended.answer.is_some());
        assert_eq!(bench.sent(), 1, "{how}");
    }
}

#[tokio::test]
async fn what_is_acknowledged_is_there_and_what_is_refused_is_not() {
    let bench = Bench::new().await;
    let full = "CREATE TRIGGER failpoint_full BEFORE INSERT ON calls WHEN new.rule = '/boom'
        BEGIN SELECT RAISE(ROLLBACK, 'full'); END";
    edit(&bench, full).await;
    for round in 0..4 {
        let submit = |n: usize| {
            let mut call =
                bench.call(&format!(r#"{{"round":{round},"n":{n}}}"#), Requirement::plain(Duration::from_secs(900)));
            if n == 2 {
                call.rule = "/boom".into();
            }
            bench.approvals.submit(call)
        };
        let before = bench.store.pending_count().await.unwrap();
        let mut held = 0;
        for submitted in join_all((0..5).map(submit)).await {
            match submitted {
                Ok(submitted) => {
                    held += 1;
                    assert!(bench.store.call(submitted.call.submission.id).await.unwrap().is_some());
                }
                Err(SubmitError::Store(StoreError::NotWritten(_) | StoreError::Database(_))) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        assert!(held < 5);
        assert_eq!(bench.store.pending_count().await.unwrap(), before + held);
    }
    bench.store.check_writable().await.unwrap();
}
