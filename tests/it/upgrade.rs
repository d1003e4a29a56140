//! A database of before there were seals is sealed once, at its upgrade, and never again.

use std::path::Path;
use std::time::Duration;

use placet::audit::{Entry, Head};
use placet::call::{AgentName, Digest, Millis, ReviewerId};
use placet::clock::{Clock, Entropy};
use placet::identity::{Identity, SessionLimits, SessionState};
use placet::lifecycle::Tasks;
use placet::seal::Seal;
use placet::store::{EntryFilter, Store, StoreError};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{ConnectOptions as _, Connection as _, SqlSafeStr as _, SqliteConnection};

use crate::support::bench::START;

const AGENT: &str = "01a20390-7eb8-72db-b3e5-60859d948f01";
const ADA: &str = "01a20390-7eb8-72db-b3e5-60859d948f02";

fn secret(kind: &str) -> String {
    format!("plt_{kind}_{}", "A".repeat(32))
}

fn hash(kind: &str) -> String {
    Digest::of(secret(kind).as_bytes()).to_string()
}

async fn connect(folder: &Path) -> SqliteConnection {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.join("placet.db")).create_if_missing(true);
    options.connect().await.unwrap()
}

/// What version 0.1.0 left behind: an agent, a reviewer with a session and a token, their entries, and a key of 32 bytes.
async fn before(folder: &Path) {
    let files = [
        (1, "calls", include_str!("../../migrations/0001_calls.sql")),
        (2, "identity", include_str!("../../migrations/0002_identity.sql")),
        (3, "outbox", include_str!("../../migrations/0003_outbox.sql")),
        (4, "meta", include_str!("../../migrations/0004_meta.sql")),
        (5, "hold_seal", include_str!("../../migrations/0005_hold_seal.sql")),
    ];
    let migrations = files.map(|(version, name, sql)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    let mut database = connect(folder).await;
    Migrator::with_migrations(migrations.into()).run_direct(None, &mut database, false).await.unwrap();
    let mut head = Head::EMPTY;
    let ada: ReviewerId = ADA.parse().unwrap();
    let name = AgentName::new("ci-bot").unwrap();
    for entry in [
        Entry::new("agent.added").agent(&name).with("agent_id", AGENT),
        Entry::new("reviewer.added").reviewer(ada),
        Entry::new("session.signed_in").reviewer(ada).with("session", "s1"),
        Entry::new("token.made").reviewer(ada).with("token", "t1"),
    ] {
        let sealed = head.seal(&entry, START).unwrap();
        let sql =
            "INSERT INTO entries (seq, at, kind, agent, reviewer_id, body, leaf) VALUES ($1, $2, $3, $4, $5, $6, $7)";
        sqlx::query(sql)
            .bind(sealed.seq)
            .bind(START.0)
            .bind(entry.kind)
            .bind(entry.agent)
            .bind(entry.reviewer.map(|id| id.to_string()))
            .bind(sealed.body)
            .bind(sealed.leaf.to_string())
            .execute(&mut database)
            .await
            .unwrap();
    }
    let rows = format!(
        "INSERT INTO agents VALUES ('{AGENT}', 'ci-bot', 'owner@example.com', '[]', '{}', {at}, NULL);
         INSERT INTO reviewers VALUES ('{ADA}', 'ada@example.com', 'Ada', NULL, 1, 0, 0, '[\"iam\"]', {at}, NULL);
         INSERT INTO sessions VALUES ('s1', '{ADA}', '{}', 'Firefox', {at}, {at}, {at} + 86400000, NULL);
         INSERT INTO api_tokens VALUES ('t1', '{ADA}', '{}', 1, {at}, {at} + 86400000, NULL, NULL);
         INSERT INTO sign_in_links VALUES ('{}', '{}', '{ADA}', {at}, {at} + 600000, 0, NULL)",
        hash("agent"),
        hash("session"),
        hash("api"),
        hash("link"),
        hash("code"),
        at = START.0,
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(rows)).execute(&mut database).await.unwrap();
    database.close().await.unwrap();
    std::fs::write(folder.join("seal.key"), [7; 32]).unwrap();
}

struct Opened {
    tasks: Tasks,
    store: Store,
    identity: Identity,
}

async fn open(folder: &Path) -> Opened {
    let (tasks, clock) = (Tasks::default(), Clock::manual(START));
    let store = Store::open(folder, clock.clone(), &tasks).await.unwrap();
    let identity = Identity::new(store.clone(), clock, Entropy::System, SessionLimits::default());
    Opened { tasks, store, identity }
}

impl Opened {
    async fn close(self) {
        let Self { tasks, store, identity } = self;
        drop((store, identity));
        assert!(tasks.ended(Duration::from_secs(10)).await);
    }

    async fn everybody_is_known(&self) {
        assert!(self.identity.agent_by_token(&secret("agent")).await.unwrap().is_some());
        let session = self.identity.session(&secret("session")).await.unwrap();
        assert!(matches!(session, SessionState::Live(_)), "{session:?}");
        assert!(self.identity.api_token(&secret("api")).await.unwrap().unwrap().may_decide);
        assert!(!self.identity.link_is_open(&secret("link")).await.unwrap(), "a link of before is made anew");
    }

    async fn sealed(&self) -> usize {
        let filter = EntryFilter { kind: Some("accounts.sealed".into()), limit: 9, ..EntryFilter::default() };
        self.store.entries(filter).await.unwrap().len()
    }
}

#[tokio::test]
async fn what_was_there_before_is_sealed_once_and_goes_on_working() {
    let folder = tempfile::tempdir().unwrap();
    before(folder.path()).await;
    let opened = open(folder.path()).await;
    opened.everybody_is_known().await;
    assert_eq!(opened.sealed().await, 1);
    opened.close().await;
    assert_eq!(std::fs::read(folder.path().join("seal.key")).unwrap().len(), 64);
    let opened = open(folder.path()).await;
    opened.everybody_is_known().await;
    assert_eq!(opened.sealed().await, 1);
    // What an earlier version wrote stands as its entries tell, as far as they tell it.
    let said = crate::audit::audit_in(folder.path(), &["verify"]).await;
    assert!(said.code == 2 && said.out.contains("nothing wrong was found"), "{}{}", said.out, said.err);
    let accounts = said.out.lines().find(|line| line.contains(" accounts ")).unwrap();
    assert_eq!(accounts.split_whitespace().take(3).collect::<Vec<_>>(), ["ok", "accounts", "4"]);
}

/// Whoever can write to the database alone does not get Placet to seal anything a second time.
#[tokio::test]
async fn a_seal_that_was_taken_off_is_not_put_on_again() {
    for strip in [
        "UPDATE agents SET seal = NULL, upstreams = '[]', owner = 'x@example.com'",
        "UPDATE agents SET seal = NULL; DELETE FROM meta",
        "UPDATE agents SET seal = NULL, entry = NULL; DELETE FROM meta WHERE key = 'seal_key'",
    ] {
        let folder = tempfile::tempdir().unwrap();
        before(folder.path()).await;
        open(folder.path()).await.close().await;
        let mut database = connect(folder.path()).await;
        sqlx::raw_sql(strip).execute(&mut database).await.unwrap();
        database.close().await.unwrap();
        let opened = open(folder.path()).await;
        let refused = opened.identity.agent_by_token(&secret("agent")).await;
        assert!(matches!(refused, Err(StoreError::Changed(_))), "{strip}: {refused:?}");
        assert_eq!(opened.sealed().await, 1);
    }
}

/// As when the process is killed between the commit and the mark in the key's file.
#[tokio::test]
async fn an_upgrade_that_stopped_before_its_last_step_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    before(folder.path()).await;
    open(folder.path()).await.close().await;
    std::fs::write(folder.path().join("seal.key"), [7; 32]).unwrap();
    let opened = open(folder.path()).await;
    opened.everybody_is_known().await;
    assert_eq!(opened.sealed().await, 1);
    opened.close().await;
    assert!(Seal::load(folder.path()).unwrap().unwrap().marked);
}

#[tokio::test]
async fn without_its_key_a_database_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).await.close().await;
    let error = async || {
        let opened = Store::open(folder.path(), Clock::manual(START), &Tasks::default()).await;
        opened.unwrap_err().to_string()
    };
    let key = folder.path().join("seal.key");
    std::fs::rename(&key, folder.path().join("elsewhere")).unwrap();
    let lost = error().await;
    assert!(lost.contains("has lost seal.key") && lost.contains("restore it"), "{lost}");
    assert!(!key.exists(), "no other key is made in its place");
    Seal::create(folder.path(), &Entropy::System).unwrap();
    let other = error().await;
    assert!(other.contains("has another seal.key") && other.contains("restore both"), "{other}");
    std::fs::write(&key, "short").unwrap();
    let bad = error().await;
    assert!(bad.contains("holds no key; restore it from a backup"), "{bad}");
    std::fs::rename(folder.path().join("elsewhere"), &key).unwrap();
    Store::open(folder.path(), Clock::manual(Millis(0)), &Tasks::default()).await.unwrap();
}
