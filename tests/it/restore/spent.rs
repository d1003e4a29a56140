//! The list beside the database, which an older database does not fit.

use std::sync::Arc;
use std::time::Duration;

use placet::call::{CallState, Email, HeldCall, Quorum, Requirement, Verdict};
use placet::notary::LogAtStart;
use placet::store::Witness;
use reqwest::StatusCode;
use serde_json::json;
use sqlx::{Connection as _, SqliteConnection};

use super::{Client, DAY, MIRA, POLICY, agent, ask_and_leave, copy_files, in_state, named, script};
use crate::support::agent::Agent;
use crate::support::app::Setup;
use crate::support::bench::Bench;
use crate::support::command::placet;
use crate::support::upstream::Upstream;

/// The database is put back together with its published checkpoint, and only the list of what is spent is not: it knows
/// what ran and what ended, so that even a new approval runs nothing twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_list_beside_the_database_knows_stays_so() {
    let upstream = Upstream::start().await;
    script(&upstream);
    let app = Setup::http(&upstream.url).policy(POLICY).start().await;
    app.reviewer(MIRA, &["iam"]).await;
    app.reviewer("gone@example.com", &["iam"]).await;
    app.reviewer("back@example.com", &["iam"]).await;
    let (token, revoked) = (app.agent("ci").await, app.agent("old").await);
    let bot = agent(&app, &token).await;
    let runs = ask_and_leave(&app, &bot, "runs").await;
    let rejected = ask_and_leave(&app, &bot, "rejected").await;
    let waits = ask_and_leave(&app, &bot, "waits").await;
    let (setup, folder) = (app.setup.clone(), Arc::clone(&app.folder));
    assert!(app.app.stop(Duration::from_secs(20)).await);
    let (data, kept) = (folder.path().join("data"), tempfile::tempdir().unwrap());
    copy_files(&data, kept.path(), |_| true);

    let app = setup.clone().start_in(Arc::clone(&folder)).await;
    let mira = Client::new(&app).await;
    mira.approve(&runs).await;
    let bot = agent(&app, &token).await;
    bot.result("put_user_policy", named("runs")).await;
    in_state(&app, "runs", "executed").await;
    let verdict = json!({"verdict": "reject", "digest": rejected.digest, "reason": "no"});
    mira.post(rejected.submission.id, "decision", verdict).await;
    app.app.identity.agent_revoke("old".parse().unwrap()).await.unwrap();
    for address in ["gone@example.com", "back@example.com"] {
        app.app.store.reviewer_disable(Email::parse(address).unwrap()).await.unwrap().unwrap();
    }
    app.reviewer("back@example.com", &["iam"]).await;
    let (log, _) = app.app.store.log_end().await.unwrap();
    assert!(app.app.stop(Duration::from_secs(20)).await);

    copy_files(kept.path(), &data, |name| name.starts_with("placet.db") || name == "audit.checkpoint");
    let app = setup.clone().start_in(Arc::clone(&folder)).await;
    assert!(matches!(app.app.log_at_start, LogAtStart::Continues { .. }), "its checkpoint fits");
    let restored = app.app.restored.clone().unwrap();
    let witness = restored.found.witness.clone().unwrap();
    assert!(witness.source == "spent" && witness.checkpoint <= log, "{witness:?}");
    let done = restored.done;
    assert_eq!((done.unknown, done.ended, done.pending, done.agents, done.reviewers), (1, 1, 1, 1, 1));
    let words = restored.to_string();
    assert!(words.contains("spent, the list of what was sent, knows of entry"), "{words}");
    assert!(words.contains("ended again: 1 calls, 1 agents, 1 reviewers"), "{words}");
    let state = async |call: &HeldCall| app.app.store.call(call.submission.id).await.unwrap().unwrap();
    let runs = state(&runs).await;
    let CallState::OutcomeUnknown { why, .. } = &runs.state else { panic!("{:?}", runs.state) };
    assert!(why.ends_with("but that it was sent") && runs.genuine, "{why}");
    let rejected = state(&rejected).await;
    assert!(matches!(rejected.state, CallState::Cancelled { .. }) && rejected.genuine);
    assert!(state(&waits).await.state.is_pending());
    let accounts = app.app.store.reviewers().await.unwrap();
    let stands = |address: &str| {
        let account = accounts.iter().find(|account| account.email.as_str() == address).unwrap();
        assert!(account.genuine, "{address}");
        account.disabled_at.is_none()
    };
    assert!(stands(MIRA) && stands("back@example.com") && !stands("gone@example.com"));
    let refused = Agent::new(app.mcp(), &revoked).post(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);

    // Whoever wants it again asks again, and nothing of before runs by a new approval.
    let bot = agent(&app, &token).await;
    let unknown = bot.result("put_user_policy", named("runs")).await;
    assert_eq!(unknown["result"]["_meta"]["placet/call"]["state"], "outcome_unknown", "{unknown}");
    assert_eq!(upstream.calls("put_user_policy").len(), 1);
    let app = app.restart().await;
    assert_eq!(app.app.restored, None, "it is settled once");
    let data = app.folder.path().join("data");
    // It is never called intact by itself, and is for who knows of the restore.
    let verify = ["audit", "verify", "--data-dir", data.to_str().unwrap()];
    let verified = placet(&verify).await;
    assert!(verified.code == 2 && verified.out.contains("PUT BACK: what is there is intact"), "{verified:?}");
    let told = super::entries(&app, "store.restored").await[0].seq.to_string();
    let verified = placet(&[&verify[..], &["--restored", &told]].concat()).await;
    assert!(verified.code == 0 && verified.out.ends_with("INTACT\n"), "{verified:?}");
}

/// Without the list nobody knows what ran: what was approved does not run, and the log says why.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_was_taken_away_is_told_and_nothing_approved_runs() {
    let upstream = Upstream::start().await;
    script(&upstream);
    let app = Setup::http(&upstream.url).policy(POLICY).start().await;
    app.reviewer(MIRA, &["iam"]).await;
    let token = app.agent("ci").await;
    let parked = ask_and_leave(&app, &agent(&app, &token).await, "parked").await;
    Client::new(&app).await.approve(&parked).await;
    let (setup, folder) = (app.setup.clone(), Arc::clone(&app.folder));
    assert!(app.app.stop(Duration::from_secs(20)).await);
    std::fs::remove_file(folder.path().join("data/spent")).unwrap();
    let app = setup.start_in(folder).await;
    let restored = app.app.restored.clone().unwrap();
    assert_eq!(restored.found.witness, Some(Witness { source: "spent".into(), checkpoint: 0 }));
    assert!(restored.to_string().contains("spent, the list of what was sent and what ended, is missing"), "{restored}");
    let unknown = agent(&app, &token).await.result("put_user_policy", named("parked")).await;
    assert_eq!(unknown["result"]["_meta"]["placet/call"]["state"], "outcome_unknown", "{unknown}");
    assert_eq!(upstream.calls("put_user_policy").len(), 0);
    assert_eq!(app.restart().await.app.restored, None);
}

/// Time goes on from what the database has kept of it: a moment in it that is far away makes every line of the list one
/// that nothing needs any more, and the next start an older database that fits the list.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moment_in_the_database_does_not_empty_the_list() {
    let upstream = Upstream::start().await;
    script(&upstream);
    let app = Setup::http(&upstream.url).policy(POLICY).start().await;
    app.reviewer(MIRA, &["iam"]).await;
    let token = app.agent("ci").await;
    let parked = ask_and_leave(&app, &agent(&app, &token).await, "parked").await;
    Client::new(&app).await.approve(&parked).await;
    let (mut setup, folder) = (app.setup.clone(), Arc::clone(&app.folder));
    assert!(app.app.stop(Duration::from_secs(20)).await);
    let (data, kept) = (folder.path().join("data"), tempfile::tempdir().unwrap());
    copy_files(&data, kept.path(), |_| true);

    setup.clock = setup.clock.restarted();
    let app = setup.clone().start_in(Arc::clone(&folder)).await;
    agent(&app, &token).await.result("put_user_policy", named("parked")).await;
    assert_eq!(upstream.calls("put_user_policy").len(), 1);
    assert!(app.app.stop(Duration::from_secs(20)).await);

    let url = format!("sqlite://{}", data.join("placet.db").display());
    let mut database = SqliteConnection::connect(&url).await.unwrap();
    let ten_years = "UPDATE meta SET value = json_set(value, '$.zero', json_extract(value, '$.zero') + 315360000000)
                     WHERE key = 'clock'";
    assert_eq!(sqlx::query(ten_years).execute(&mut database).await.unwrap().rows_affected(), 1);
    database.close().await.unwrap();
    setup.clock = setup.clock.restarted();
    let app = setup.clone().start_in(Arc::clone(&folder)).await;
    assert!(app.app.stop(Duration::from_secs(20)).await);

    copy_files(kept.path(), &data, |name| name.starts_with("placet.db") || name == "audit.checkpoint");
    setup.clock = setup.clock.restarted();
    let app = setup.start_in(folder).await;
    let told = agent(&app, &token).await.result("put_user_policy", named("parked")).await;
    assert_eq!(upstream.calls("put_user_policy").len(), 1, "{told}");
    assert!(app.app.restored.is_some(), "nobody was told that the database is an older one");
}

/// Since the copy was made, a first vote of two was cast and Placet started anew: the copy has the call as it was before.
#[tokio::test]
async fn a_call_that_went_a_step_further_since_the_copy_waits_as_it_was_then() {
    let bench = Bench::new().await;
    let two = Requirement { quorum: Quorum::new(2).unwrap(), ..Requirement::plain(DAY) };
    let call = bench.submit("{}", two).await.call;
    let copies = tempfile::tempdir().unwrap();
    let copy = copies.path().join("copy.db");
    bench.store.backup(&copy, "one".into()).await.unwrap();
    bench.approvals.decide(bench.decision(&call, bench.mira, Verdict::Approve)).await.unwrap();
    let bench = bench.restart().await;
    let bench = bench
        .restart_over(|folder| {
            for side in ["placet.db-wal", "placet.db-shm"] {
                let _ = std::fs::remove_file(folder.join(side));
            }
            std::fs::copy(&copy, folder.join("placet.db")).unwrap();
        })
        .await;
    let found = bench.store.call(call.submission.id).await.unwrap().unwrap();
    assert!(found.genuine && found.as_of.is_some() && found.votes.is_empty(), "{found:?}");
    bench.approvals.decide(bench.decision(&found, bench.mira, Verdict::Approve)).await.unwrap();
    bench.approvals.decide(bench.decision(&found, bench.noor, Verdict::Approve)).await.unwrap();
    bench.approvals.returned(call.submission.id).await;
    bench.until(&call, "executed").await;
    assert_eq!(bench.sent(), 1);
}
