//! The log as auditors use it: exported, verified, proved, attacked.

mod accounts;
mod attacks;
mod export;
mod forged;
mod ocsf;
mod put_back;
mod receipt;
mod schema;
mod standing;
mod tools;
mod verify;

use std::path::Path;
use std::time::Duration;

use placet::approvals::Decision;
use placet::call::{HeldCall, Requirement, ReviewerId, Verdict};

use crate::support::bench::Bench;
use crate::support::command::{Said, placet};

/// `placet audit` on this bench's folder, beside the process that has it open.
async fn audit(bench: &Bench, arguments: &[&str]) -> Said {
    audit_in(bench.folder.path(), arguments).await
}

pub(crate) async fn audit_in(folder: &Path, arguments: &[&str]) -> Said {
    placet(&[&["audit"], arguments, &["--data-dir", folder.to_str().unwrap()]].concat()).await
}

async fn decide(bench: &Bench, call: &HeldCall, by: ReviewerId, verdict: Verdict, reason: &str) -> HeldCall {
    let decision = Decision { reason: reason.into(), ..bench.decision(call, by, verdict) };
    bench.approvals.decide(decision).await.unwrap()
}

/// Calls of every end that needs no second process: executed, rejected, expired, cancelled; and one that is open.
pub(crate) async fn history(bench: &Bench) -> [HeldCall; 5] {
    let executed = bench.hold(r#"{"n":1}"#).await;
    decide(bench, &executed, bench.mira, Verdict::Approve, "as agreed").await;
    bench.approvals.returned(executed.submission.id).await;
    bench.until(&executed, "executed").await;
    let rejected = bench.hold(r#"{"n":2}"#).await;
    decide(bench, &rejected, bench.noor, Verdict::Reject, "not on a Friday").await;
    let cancelled = bench.hold(r#"{"n":3}"#).await;
    bench.approvals.cancel(cancelled.submission.id, bench.agent.id).await.unwrap();
    let expired = bench.hold(r#"{"n":4}"#).await;
    bench.clock.advance(Duration::from_secs(901));
    bench.approvals.expire().await.unwrap();
    bench.until(&expired, "expired").await;
    let open = bench.submit(r#"{"n":5}"#, Requirement::plain(Duration::from_secs(900))).await.call;
    [executed, rejected, cancelled, expired, open]
}
