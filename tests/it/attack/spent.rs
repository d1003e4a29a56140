//! Somebody can write to the database file, puts older rows and older files back, and lets the log say what they like:
//! what the list beside the database knows must hold against all of it, and against bad luck as well.

use std::path::{Path, PathBuf};
use std::time::Duration;

use placet::approvals::settle;
use placet::call::{Email, GroupName, HeldCall, OnTimeout, Requirement, Risk, Verdict};
use sqlx::Connection as _;

use super::database::approve;
use super::people::{columns, forge, keep, put_back};
use crate::support::bench::Bench;
use crate::support::pages::{PASSWORD, Pages};
use crate::support::triggers;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn plain() -> Requirement {
    Requirement::plain(Duration::from_secs(900))
}

fn noor() -> Email {
    Email::parse("noor@example.com").unwrap()
}

/// Keeps calls, votes and answers as they are, for [`rewind`]; says how long the log is.
async fn keep_calls(bench: &Bench) -> u64 {
    for table in ["calls", "votes", "call_answers"] {
        keep(bench, table).await;
    }
    bench.store.log_size().await.unwrap()
}

/// Puts calls, votes and answers back, and lets the log say nothing of what came after its first `log` entries.
async fn rewind(bench: &Bench, log: u64) {
    let hide = format!("UPDATE entries SET call_id = NULL, kind = 'mail.sent' WHERE seq > {log};");
    forge(bench, &[triggers::AWAY, &hide, triggers::back()].concat()).await;
    for table in ["call_answers", "votes", "calls"] {
        put_back(bench, table).await;
    }
}

/// A copy of the database as it is, in no way marked as one.
async fn copy(bench: &Bench, name: &str) -> PathBuf {
    let copies = bench.folder.path().join("copies");
    std::fs::create_dir_all(&copies).unwrap();
    let file = copies.join(name);
    let url = format!("sqlite://{}", bench.folder.path().join("placet.db").display());
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    sqlx::query("VACUUM INTO $1").bind(file.to_str().unwrap()).execute(&mut connection).await.unwrap();
    file
}

/// Puts a copy in the database's place.
fn replace(folder: &Path, copy: &Path) {
    for side in ["placet.db-wal", "placet.db-shm"] {
        let _ = std::fs::remove_file(folder.join(side));
    }
    std::fs::copy(copy, folder.join("placet.db")).unwrap();
}

/// Lets everything that could make the call run do so, and waits until nothing of it is under way.
pub(super) async fn try_to_run(bench: &Bench, call: &HeldCall) -> String {
    bench.approvals.expire().await.unwrap();
    bench.approvals.returned(call.submission.id).await;
    let mut events = bench.approvals.events();
    loop {
        let now = bench.store.call(call.submission.id).await.unwrap().unwrap();
        let moves = matches!(now.state.name(), "approved" | "releasing");
        if !moves {
            return now.state.name().to_owned();
        }
        tokio::time::timeout(Duration::from_secs(10), events.recv()).await.expect("nothing happens").unwrap();
    }
}

/// A call that the policy itself approves when nobody answers does so whenever its pending row is met: its line must not
/// go before the row.
#[tokio::test]
async fn what_ran_is_known_for_as_long_as_its_row_could_be_approved_again() {
    let bench = Bench::new().await;
    let asks = Requirement { on_timeout: OnTimeout::Approve, risk: Some(Risk::Write), ..plain() };
    let call = bench.submit("{}", asks).await.call;
    bench.approvals.told_to_return(call.submission.id).await.unwrap();
    let log = keep_calls(&bench).await;
    approve(&bench, &call, bench.mira).await.unwrap();
    bench.until(&call, "executed").await;
    bench.clock.advance(DAY * 8);
    let bench = bench.restart().await;
    rewind(&bench, log).await;
    bench.approvals.expire().await.unwrap();
    let state = try_to_run(&bench, &call).await;
    assert_eq!(bench.sent(), 1, "it ran twice, and is {state}");
}

/// Its deadline passes again, but what follows from that is a new deadline.
#[tokio::test]
async fn a_call_whose_time_was_over_gets_no_other() {
    let mut ran = Vec::new();
    let escalates = OnTimeout::Escalate(vec![GroupName::new("night").unwrap()]);
    for (on_timeout, asks_again) in [(OnTimeout::Approve, false), (escalates, true)] {
        let bench = Bench::new().await;
        let asks = Requirement { on_timeout, risk: Some(Risk::Write), ..plain() };
        let call = bench.submit("{}", asks).await.call;
        let log = keep_calls(&bench).await;
        for _ in 0..2 {
            bench.clock.advance(Duration::from_secs(3601));
            bench.approvals.expire().await.unwrap();
        }
        let ended = bench.store.call(call.submission.id).await.unwrap().unwrap();
        assert!(["lapsed", "expired"].contains(&ended.state.name()), "{ended:?}");
        rewind(&bench, log).await;
        bench.approvals.expire().await.unwrap();
        if asks_again {
            let _ = approve(&bench, &call, bench.noor).await;
        }
        let state = try_to_run(&bench, &call).await;
        if bench.sent() > 0 {
            ran.push(format!("{} before, {state} now", ended.state.name()));
        }
    }
    assert_eq!(ran, Vec::<String>::new());
}

/// When an older database is put back, the log's numbers are given again: a row of what was there before can name one of
/// them.
#[tokio::test]
async fn what_ended_before_a_restore_is_not_revived_by_rows_from_before_it() {
    let bench = Bench::new().await;
    let call = bench.hold("{}").await;
    let old = copy(&bench, "old").await;
    for _ in 0..10 {
        bench.store.session_refused(None, "anybody can do that").await.unwrap();
    }
    assert!(bench.store.password_set(bench.noor, "$argon2id$x".into(), None).await.unwrap());
    approve(&bench, &call, bench.mira).await.unwrap();
    let (later, log) = (copy(&bench, "later").await, bench.store.log_size().await.unwrap());
    *bench.today.0.lock().unwrap() = Some("the policy denies it now".into());
    bench.approvals.returned(call.submission.id).await;
    bench.until(&call, "revoked").await;
    bench.store.reviewer_disable(noor()).await.unwrap().unwrap();

    let bench = bench.restart_over(|folder| replace(folder, &old)).await;
    assert_eq!(bench.store.call(call.submission.id).await.unwrap().unwrap().state.name(), "cancelled");
    let account = bench.store.reviewer(bench.noor).await.unwrap().unwrap();
    assert!(account.disabled_at.is_some() && account.genuine);
    while bench.store.log_size().await.unwrap() <= log {
        bench.store.session_refused(None, "anybody can do that").await.unwrap();
    }
    *bench.today.0.lock().unwrap() = None;
    let mut sql = format!("ATTACH '{}' AS k; PRAGMA foreign_keys = OFF; {}", later.display(), triggers::AWAY);
    for table in ["calls", "votes", "reviewers"] {
        let columns = columns(&bench, table).await;
        sql += &format!("DELETE FROM {table}; INSERT INTO {table} ({columns}) SELECT {columns} FROM k.{table};");
    }
    let entries = columns(&bench, "entries").await;
    sql += &format!(
        "DELETE FROM entries WHERE seq <= {log}; INSERT INTO entries ({entries}) SELECT {entries} FROM k.entries;
         UPDATE entries SET call_id = NULL, kind = 'mail.sent', reviewer_id = NULL WHERE seq > {log};"
    );
    forge(&bench, &(sql + triggers::back())).await;
    let account = bench.store.reviewer(bench.noor).await.unwrap().unwrap();
    let state = try_to_run(&bench, &call).await;
    assert_eq!(
        (bench.sent(), account.disabled_at.is_some()),
        (0, true),
        "a revoked call ran (it is {state}), and a disabled account stands"
    );
}

/// The wrong copy was put back first, then the right one.
#[tokio::test]
async fn whoever_was_disabled_stays_so_over_two_restores() {
    let bench = Bench::new().await;
    let first = copy(&bench, "first").await;
    for _ in 0..10 {
        bench.store.session_refused(None, "a day passes").await.unwrap();
    }
    assert!(bench.store.password_set(bench.noor, "$argon2id$x".into(), None).await.unwrap());
    let second = copy(&bench, "second").await;
    bench.store.reviewer_disable(noor()).await.unwrap().unwrap();
    let mut bench = bench;
    for copy in [first, second] {
        bench = bench.restart_over(|folder| replace(folder, &copy)).await;
        let account = bench.store.reviewer(bench.noor).await.unwrap().unwrap();
        assert!(account.disabled_at.is_some() && account.genuine, "{}: {account:?}", copy.display());
    }
}

/// Whoever asked for the end goes away before it is answered: the browser's tab is closed, a connection breaks off.
#[tokio::test]
async fn an_end_is_listed_though_nobody_waits_for_its_answer() {
    let bench = Bench::new().await;
    let call = bench.hold("{}").await;
    let log = keep_calls(&bench).await;
    let mut rejects = Box::pin(bench.approvals.decide(bench.decision(&call, bench.mira, Verdict::Reject)));
    assert!(futures_util::poll!(&mut rejects).is_pending(), "it is handed in");
    while bench.store.call(call.submission.id).await.unwrap().unwrap().state.is_pending() {}
    drop(rejects);
    rewind(&bench, log).await;
    let _ = approve(&bench, &call, bench.noor).await;
    let state = try_to_run(&bench, &call).await;
    assert_eq!(bench.sent(), 0, "it was rejected, ran since, and is {state}");
}

/// A crash between an end's commit and its line: the next start can still write the line.
#[tokio::test]
async fn an_end_that_a_crash_kept_from_the_list_is_listed_by_the_next_start() {
    let bench = Bench::new().await;
    let call = bench.hold("{}").await;
    let log = keep_calls(&bench).await;
    let list = std::fs::read(bench.folder.path().join("spent")).unwrap();
    bench.approvals.decide(bench.decision(&call, bench.mira, Verdict::Reject)).await.unwrap();
    let bench = bench.restart_over(|folder| std::fs::write(folder.join("spent"), list).unwrap()).await;
    rewind(&bench, log).await;
    let _ = approve(&bench, &call, bench.noor).await;
    let state = try_to_run(&bench, &call).await;
    assert_eq!(bench.sent(), 0, "it was rejected, ran since, and is {state}");
}

/// A session whose row says already that it ended is passed over when all are ended.
#[tokio::test]
async fn a_session_that_is_hidden_while_all_are_ended_is_ended_too() {
    let pages = Pages::new().await;
    let own = pages.reviewer("ada@example.com", &["iam"]).await;
    let stolen = pages.sign_in("ada@example.com").await;
    keep(&pages.bench, "sessions").await;
    let hide = "UPDATE sessions SET ended_at = created_at WHERE rowid = (SELECT max(rowid) FROM sessions)";
    forge(&pages.bench, hide).await;
    let csrf = own.csrf().await;
    let fields = [
        ("csrf", csrf.as_str()),
        ("current", PASSWORD),
        ("new", "another good password"),
        ("repeat", "another good password"),
    ];
    assert!(own.post("/account/password", &fields).await.status().is_success());
    let silence = "UPDATE entries SET kind = 'mail.sent' WHERE kind = 'password.changed';";
    forge(&pages.bench, &[triggers::AWAY, silence, triggers::back()].concat()).await;
    put_back(&pages.bench, "sessions").await;
    assert!(!stolen.get("/").await.status().is_success(), "a session from before the new password lives");
}

/// A session of before a restore stands in no row of the database that was put back, and so was not ended with the others.
#[tokio::test]
async fn a_restore_ends_what_the_copy_does_not_know_of() {
    let pages = Pages::new().await;
    pages.person("ada@example.com", &["iam"], placet::identity::Roles { reviewer: true, ..Default::default() }).await;
    let old = copy(&pages.bench, "old").await;
    let token = pages.identity.api_token_make("ada@example.com".parse().unwrap(), true, DAY).await.unwrap().token;
    let later = copy(&pages.bench, "later").await;
    pages.bench.store.reviewer_disable(noor()).await.unwrap().unwrap();
    let Pages { bench, identity, .. } = pages;
    drop(identity);
    let pages = Pages::over(bench.restart_over(|folder| replace(folder, &old)).await).await;
    assert!(pages.bench.store.restoration().await.unwrap().is_some());
    assert!(pages.identity.api_token(token.reveal()).await.unwrap().is_none(), "the copy does not know it");
    let tokens = columns(&pages.bench, "api_tokens").await;
    let sql = format!(
        "ATTACH '{}' AS k; {} INSERT INTO api_tokens ({tokens}) SELECT {tokens} FROM k.api_tokens;
         UPDATE entries SET reviewer_id = (SELECT reviewer_id FROM k.api_tokens), kind = 'mail.sent'
            WHERE seq = (SELECT entry FROM k.api_tokens); {}",
        later.display(),
        triggers::AWAY,
        triggers::back()
    );
    forge(&pages.bench, &sql).await;
    let stands = pages.identity.api_token(token.reveal()).await;
    assert!(
        !matches!(stands, Ok(Some(_))),
        "everybody's tokens were ended, and one from before decides calls: {stands:?}"
    );
}

/// After a restore, and before the service is started, the operator looks who has an account, with the documented
/// commands: they wait for the start that settles it, and then nobody was forged.
#[tokio::test]
async fn a_command_between_a_restore_and_the_start_is_told_to_wait_for_it() {
    let bench = Bench::new().await;
    let backup = tempfile::tempdir().unwrap();
    let file = backup.path().join("copy.db");
    bench.store.backup(&file, "one".into()).await.unwrap();
    assert!(bench.store.password_set(bench.noor, "$argon2id$x".into(), None).await.unwrap());
    let Bench { folder, clock, tasks, store, approvals, noor, .. } = bench;
    tasks.begin_stop();
    drop((store, approvals));
    assert!(tasks.ended(Duration::from_secs(10)).await);
    replace(folder.path(), &file);
    let tasks = placet::lifecycle::Tasks::default();
    let store = placet::store::Store::open(folder.path(), clock.restarted(), &tasks).await.unwrap();
    let refused = store.must_be_settled().await.unwrap_err().to_string();
    assert!(refused.contains("start `placet serve` once"), "{refused}");
    let (log, as_of) = store.log_end().await.unwrap();
    settle(&store, store.spent_at_start(), log, as_of).await.unwrap().unwrap();
    let account = store.reviewer(noor).await.unwrap().unwrap();
    assert!(account.genuine && account.disabled_at.is_none(), "{account:?}");
    tasks.begin_stop();
    drop(store);
    assert!(tasks.ended(Duration::from_secs(10)).await);
    let tasks = placet::lifecycle::Tasks::default();
    let store = placet::store::Store::open(folder.path(), clock.restarted(), &tasks).await.unwrap();
    store.must_be_settled().await.unwrap();
}

/// A database from before there was a list, whose rows know what ended then.
#[tokio::test]
async fn what_ended_before_the_list_began_stays_ended() {
    let bench = Bench::new().await;
    let call = bench.hold("{}").await;
    for table in ["agents", "reviewers"] {
        keep(&bench, table).await;
    }
    let log = keep_calls(&bench).await;
    bench.approvals.decide(bench.decision(&call, bench.mira, Verdict::Reject)).await.unwrap();
    bench.store.reviewer_disable(noor()).await.unwrap().unwrap();
    bench.store.agent_revoke(bench.agent.name.clone()).await.unwrap().unwrap();
    forge(&bench, "DELETE FROM meta WHERE key = 'spent'").await;
    let bench = bench.restart_over(|folder| std::fs::remove_file(folder.join("spent")).unwrap()).await;
    assert_eq!(bench.store.restoration().await.unwrap(), None, "it is an upgrade");
    rewind(&bench, log).await;
    for table in ["agents", "reviewers"] {
        put_back(&bench, table).await;
    }
    let agent = bench.store.agent(bench.agent.id).await.unwrap().unwrap();
    let account = bench.store.reviewer(bench.noor).await.unwrap().unwrap();
    let call = bench.store.call(call.submission.id).await.unwrap().unwrap();
    assert_eq!((agent.genuine, account.genuine, call.genuine), (false, false, false), "they are back");
}

/// Without the list only the mark of a pending call says that it may have run since.
#[tokio::test]
async fn the_mark_of_a_call_from_a_copy_does_not_come_off() {
    let bench = Bench::new().await;
    let asks = Requirement { on_timeout: OnTimeout::Approve, risk: Some(Risk::Write), ..plain() };
    let call = bench.submit("{}", asks).await.call;
    bench.approvals.told_to_return(call.submission.id).await.unwrap();
    let log = keep_calls(&bench).await;
    let old = copy(&bench, "old").await;
    approve(&bench, &call, bench.mira).await.unwrap();
    bench.until(&call, "executed").await;
    let bench = bench
        .restart_over(|folder| {
            replace(folder, &old);
            std::fs::remove_file(folder.join("spent")).unwrap();
        })
        .await;
    assert!(bench.store.call(call.submission.id).await.unwrap().unwrap().as_of.is_some());
    rewind(&bench, log).await;
    bench.clock.advance(Duration::from_secs(900));
    let state = try_to_run(&bench, &call).await;
    assert_eq!(bench.sent(), 1, "it ran twice, and is {state}");
}

/// The machine's clock was ahead for a while, and a call lapsed by it. Placet's time goes on from there, until what the
/// database has kept of it is gone.
#[tokio::test]
async fn what_lapsed_by_a_clock_that_was_wrong_has_lapsed() {
    let bench = Bench::new().await;
    let call = bench.hold("{}").await;
    approve(&bench, &call, bench.mira).await.unwrap();
    let (log, then) = (keep_calls(&bench).await, bench.clock.machine());
    bench.clock.set(then.after(Duration::from_secs(3700)));
    bench.approvals.expire().await.unwrap();
    assert_eq!(bench.store.call(call.submission.id).await.unwrap().unwrap().state.name(), "lapsed");
    bench.clock.set(then.after(Duration::from_secs(60)));
    let back = "UPDATE entries SET at = (SELECT min(at) FROM entries); DELETE FROM meta WHERE key = 'clock';";
    forge(&bench, &[triggers::AWAY, back, triggers::back()].concat()).await;
    rewind(&bench, log).await;
    let bench = bench.restart().await;
    let state = try_to_run(&bench, &call).await;
    assert_eq!(bench.sent(), 0, "it had lapsed, ran since, and is {state}");
}
