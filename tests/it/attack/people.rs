//! Somebody can write to the database file and tries to become a person, or an agent, or more of one than they are.

use placet::approvals::DecideError;
use placet::call::{Digest, Email, Verdict};
use placet::identity::throttle::Source;
use placet::identity::{IdentityError, Roles, SessionState};
use placet::store::{EntryFilter, StoreError};
use reqwest::{Method, StatusCode};
use sqlx::Connection as _;

use crate::support::bench::Bench;
use crate::support::pages::{Browser, PASSWORD, Pages};
use crate::support::triggers;

/// Runs what the attacker has thought out.
pub(crate) async fn forge(bench: &Bench, sql: &str) {
    let url = format!("sqlite://{}", bench.folder.path().join("placet.db").display());
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    let done = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    assert!(done.rows_affected() > 0, "{sql}");
}

/// The columns of a table that can be written, as a list.
pub(crate) async fn columns(bench: &Bench, table: &str) -> String {
    let url = format!("sqlite://{}", bench.folder.path().join("placet.db").display());
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    let names = sqlx::query_scalar("SELECT group_concat(name, ', ') FROM pragma_table_info($1)");
    names.bind(table).fetch_one(&mut connection).await.unwrap()
}

/// Keeps a table's rows as they are.
pub(crate) async fn keep(bench: &Bench, table: &str) {
    let columns = columns(bench, table).await;
    forge(
        bench,
        &format!("CREATE TABLE failpoint_kept_{table} AS SELECT {columns} FROM {table}; UPDATE meta SET value = value"),
    )
    .await;
}

/// Puts the rows back that were kept.
pub(crate) async fn put_back(bench: &Bench, table: &str) {
    let columns = columns(bench, table).await;
    let sql = format!(
        "PRAGMA foreign_keys = OFF; DELETE FROM {table}; INSERT INTO {table} ({columns}) SELECT {columns} FROM failpoint_kept_{table};
         UPDATE meta SET value = value"
    );
    forge(bench, &sql).await;
}

/// What the log has of alarms about such a row.
async fn alarms(bench: &Bench, what: &str) -> usize {
    let filter = EntryFilter { kind: Some("alarm.".into()), limit: 100, ..EntryFilter::default() };
    let entries = bench.store.entries(filter).await.unwrap();
    entries.iter().filter(|entry| entry.body.contains(&format!("\"what\":\"{what}\""))).count()
}

async fn refused(browser: &Browser) -> bool {
    let answer = browser.get("/").await;
    answer.status() == StatusCode::FORBIDDEN && answer.text().await.unwrap().contains("changed behind Placet")
}

fn email(text: &str) -> Email {
    Email::parse(text).unwrap()
}

#[tokio::test]
async fn a_session_row_of_their_own_is_nobodys() {
    let pages = Pages::new().await;
    pages.reviewer("ada@example.com", &["iam"]).await;
    let theirs = format!("plt_session_{}", "A".repeat(32));
    for (n, hash) in [Digest::of(theirs.as_bytes()).to_string(), "0".repeat(64)].into_iter().enumerate() {
        let sql = format!(
            "INSERT INTO sessions (id, reviewer_id, token_hash, device, created_at, seen_at, expires_at, entry, seal)
             SELECT 'forged-{n}', reviewer_id, '{hash}', '', created_at, seen_at, expires_at, entry, seal FROM sessions LIMIT 1"
        );
        forge(&pages.bench, &sql).await;
        let mut browser = pages.stranger();
        browser.cookie = Some(theirs.clone());
        assert_eq!(browser.get("/").await.status(), StatusCode::SEE_OTHER, "it leads to the sign-in");
        assert!(matches!(pages.identity.session(&theirs).await.unwrap(), SessionState::None));
    }
}

#[tokio::test]
async fn their_own_session_does_not_become_another_persons() {
    let pages = Pages::new().await;
    pages.reviewer("ada@example.com", &["iam"]).await;
    for change in [
        "reviewer_id = (SELECT id FROM reviewers WHERE email = 'ada@example.com')",
        "expires_at = expires_at + 86400000",
        "seen_at = seen_at + 1",
        "created_at = created_at + 1",
        "entry = entry + 1",
        "seal = NULL",
        "id = 'another'",
    ] {
        let eve = pages.reviewer(&format!("eve{}@example.com", change.len()), &[]).await;
        let sql = format!("UPDATE sessions SET {change} WHERE rowid = (SELECT max(rowid) FROM sessions)");
        forge(&pages.bench, &sql).await;
        assert!(refused(&eve).await, "{change}");
        assert_eq!(eve.request(Method::GET, "/live").send().await.unwrap().status(), StatusCode::FORBIDDEN);
        assert!(alarms(&pages.bench, "session").await > 0, "{change}");
    }
}

#[tokio::test]
async fn what_was_ended_stays_ended_though_its_row_is_put_back() {
    let pages = Pages::new().await;
    // Signed out, put out by another session, and by a new password.
    let out = pages.reviewer("out@example.com", &["iam"]).await;
    let put_out = pages.reviewer("put@example.com", &["iam"]).await;
    let by_password = pages.reviewer("pass@example.com", &["iam"]).await;
    let token = pages
        .identity
        .api_token_make(email("out@example.com"), true, std::time::Duration::from_secs(3600))
        .await
        .unwrap();
    for table in ["sessions", "api_tokens", "reviewers"] {
        keep(&pages.bench, table).await;
    }
    let csrf = out.csrf().await;
    let tokens = pages.identity.api_tokens(pages.person_id("out@example.com").await).await.unwrap();
    out.post(&format!("/account/tokens/{}/revoke", tokens[0].id), &[("csrf", &csrf)]).await;
    out.post("/logout", &[("csrf", &csrf)]).await;
    let other = pages.sign_in("put@example.com").await;
    other.post("/account/sessions/revoke", &[("csrf", &other.csrf().await)]).await;
    let csrf = by_password.csrf().await;
    let fields = [
        ("csrf", csrf.as_str()),
        ("current", PASSWORD),
        ("new", "another good password"),
        ("repeat", "another good password"),
    ];
    assert!(by_password.post("/account/password", &fields).await.status().is_success());
    assert_eq!(out.get("/").await.status(), StatusCode::SEE_OTHER);
    assert_eq!(put_out.get("/").await.status(), StatusCode::SEE_OTHER);
    for table in ["sessions", "api_tokens"] {
        put_back(&pages.bench, table).await;
    }
    assert!(refused(&out).await && refused(&put_out).await);
    let api = pages.stranger().request(Method::GET, "/api/v1/calls").bearer_auth(token.token.reveal());
    assert_eq!(api.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    assert!(alarms(&pages.bench, "session").await >= 2 && alarms(&pages.bench, "token").await == 1);
    // The old password comes back with the old row, which counts for nothing.
    put_back(&pages.bench, "reviewers").await;
    let source = Source::new(None);
    let signed_in = pages.identity.sign_in("pass@example.com", PASSWORD.to_owned().into(), source, String::new(), None);
    let error = signed_in.await.unwrap_err().to_string();
    assert!(error.contains("changed behind Placet"), "{error}");
}

/// As above, and nothing in the log says any more what ended.
#[tokio::test]
async fn what_was_ended_stays_ended_though_the_log_tells_nothing_of_it() {
    let pages = Pages::new().await;
    let out = pages.reviewer("out@example.com", &["iam"]).await;
    pages.reviewer("gone@example.com", &["iam"]).await;
    let hour = std::time::Duration::from_secs(3600);
    let token = pages.identity.api_token_make(email("out@example.com"), true, hour).await.unwrap();
    let tables = ["sessions", "api_tokens", "reviewers", "agents"];
    for table in tables {
        keep(&pages.bench, table).await;
    }
    let csrf = out.csrf().await;
    let tokens = pages.identity.api_tokens(pages.person_id("out@example.com").await).await.unwrap();
    out.post(&format!("/account/tokens/{}/revoke", tokens[0].id), &[("csrf", &csrf)]).await;
    out.post("/logout", &[("csrf", &csrf)]).await;
    pages.bench.store.reviewer_disable(email("gone@example.com")).await.unwrap().unwrap();
    pages.bench.store.agent_revoke(pages.bench.agent.name.clone()).await.unwrap().unwrap();
    let hide = "UPDATE entries SET reviewer_id = NULL, agent = NULL, kind = 'mail.sent' WHERE kind IN (
                'session.signed_out', 'token.revoked', 'reviewer.disabled', 'agent.revoked');";
    forge(&pages.bench, &[triggers::AWAY, hide, triggers::back()].concat()).await;
    for table in tables {
        put_back(&pages.bench, table).await;
    }
    assert!(refused(&out).await);
    let api = pages.stranger().request(Method::GET, "/api/v1/calls").bearer_auth(token.token.reveal());
    assert_eq!(api.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    let source = Source::new(None);
    let signed_in = pages.identity.sign_in("gone@example.com", PASSWORD.to_owned().into(), source, String::new(), None);
    let error = signed_in.await.unwrap_err().to_string();
    assert!(error.contains("changed behind Placet"), "{error}");
    let agent = pages.bench.store.agent(pages.bench.agent.id).await.unwrap().unwrap();
    assert!(!agent.genuine && agent.revoked_at.is_some());
}

#[tokio::test]
async fn their_own_api_token_gets_no_further_right() {
    let pages = Pages::new().await;
    let ada = pages.person("ada@example.com", &["iam"], Roles { reviewer: true, ..Roles::default() }).await;
    let hour = std::time::Duration::from_secs(3600);
    for change in [
        "may_decide = 1".to_owned(),
        "expires_at = expires_at * 2".to_owned(),
        format!("reviewer_id = '{}'", ada.id),
        "ended_at = NULL, created_at = created_at - 1".to_owned(),
    ] {
        let eve = pages
            .person(&format!("eve{}@example.com", change.len()), &["iam"], Roles { reviewer: true, ..Roles::default() })
            .await;
        let made = pages.identity.api_token_make(eve.email, false, hour).await.unwrap();
        let sql = format!("UPDATE api_tokens SET {change} WHERE rowid = (SELECT max(rowid) FROM api_tokens)");
        forge(&pages.bench, &sql).await;
        assert!(matches!(pages.identity.api_token(made.token.reveal()).await, Err(StoreError::Changed(_))), "{change}");
    }
    assert_eq!(alarms(&pages.bench, "token").await, 4);
    let theirs = format!("plt_api_{}", "A".repeat(32));
    let sql = format!(
        "INSERT INTO api_tokens (id, reviewer_id, token_hash, may_decide, created_at, expires_at, entry, seal)
         SELECT 'forged', '{}', '{}', 1, created_at, expires_at, entry, seal FROM api_tokens LIMIT 1",
        ada.id,
        Digest::of(theirs.as_bytes())
    );
    forge(&pages.bench, &sql).await;
    assert!(pages.identity.api_token(&theirs).await.unwrap().is_none());
}

#[tokio::test]
async fn an_account_that_was_changed_may_do_nothing() {
    for change in [
        "groups = '[\"night\",\"iam\"]'",
        "is_reviewer = 1",
        "is_administrator = 1",
        "password = (SELECT password FROM reviewers WHERE email = 'eve@example.com')",
        "password = NULL",
        "name = 'Ada Lovelace'",
        "email = 'somebody.else@example.com'",
        "created_at = created_at + 1",
        "entry = entry - 1",
        "seal = (SELECT seal FROM reviewers WHERE email = 'eve@example.com')",
    ] {
        let pages = Pages::new().await;
        pages.reviewer("eve@example.com", &["iam"]).await;
        let auditor = Roles { auditor: true, ..Roles::default() };
        let ada = pages.person("ada@example.com", &["night"], auditor).await;
        let browser = pages.sign_in("ada@example.com").await;
        let call = pages.bench.hold("{}").await;
        forge(&pages.bench, &format!("UPDATE reviewers SET {change} WHERE id = '{}'", ada.id)).await;
        assert!(refused(&browser).await, "{change}");
        let decided = pages.bench.approvals.decide(pages.bench.decision(&call, ada.id, Verdict::Approve)).await;
        assert!(matches!(decided, Err(DecideError::Forbidden(_))), "{change}: {decided:?}");
        let link = pages.identity.link_make(ada.email.clone()).await;
        assert!(
            matches!(link, Err(IdentityError::Store(StoreError::Changed(_)) | IdentityError::NoReviewer(_))),
            "{change}"
        );
        assert!(alarms(&pages.bench, "reviewer").await > 0, "{change}");
        assert_eq!(pages.bench.sent(), 0);
        // Every page says so, and the way back is a new account.
        let eve = pages.sign_in("eve@example.com").await;
        assert!(eve.page("/").await.contains("Something was changed behind Placet"), "{change}");
        let again = pages.person("ada@example.com", &["night"], auditor).await;
        assert_ne!(again.id, ada.id, "{change}");
        pages.sign_in("ada@example.com").await.page("/").await;
    }
}

#[tokio::test]
async fn a_person_is_neither_invented_nor_brought_back() {
    let pages = Pages::new().await;
    let ada = pages.reviewer("ada@example.com", &["iam"]).await;
    let call = pages.bench.hold("{}").await;
    let invented = "INSERT INTO reviewers SELECT 'ffffffff-ffff-7fff-bfff-ffffffffffff', 'ghost@example.com', name,
        password, 1, 1, 1, groups, created_at, NULL, entry, seal FROM reviewers WHERE email = 'ada@example.com'";
    forge(&pages.bench, invented).await;
    let source = Source::new(None);
    let ghost = pages.identity.sign_in("ghost@example.com", PASSWORD.to_owned().into(), source, String::new(), None);
    assert!(ghost.await.unwrap_err().to_string().contains("changed behind Placet"));
    let ghost = "ffffffff-ffff-7fff-bfff-ffffffffffff".parse().unwrap();
    let decided = pages.bench.approvals.decide(pages.bench.decision(&call, ghost, Verdict::Approve)).await;
    assert!(matches!(decided, Err(DecideError::Forbidden(_))), "{decided:?}");
    // Brought back: the row as it was before the account was disabled, seal and all.
    keep(&pages.bench, "reviewers").await;
    pages.identity.reviewer_disable(email("ada@example.com")).await.unwrap();
    put_back(&pages.bench, "reviewers").await;
    assert!(refused(&ada).await);
    let id = pages.person_id("ada@example.com").await;
    let decided = pages.bench.approvals.decide(pages.bench.decision(&call, id, Verdict::Approve)).await;
    assert!(matches!(decided, Err(DecideError::Forbidden(_))), "{decided:?}");
    assert_eq!(alarms(&pages.bench, "reviewer").await, 2);
}

/// A vote that was genuine when it was cast, by a person whose row was changed since.
#[tokio::test]
async fn an_approval_by_a_changed_account_releases_nothing() {
    let bench = Bench::new().await;
    let call = bench.hold("{}").await;
    bench.approvals.decide(bench.decision(&call, bench.mira, Verdict::Approve)).await.unwrap();
    forge(&bench, "UPDATE reviewers SET groups = '[]'").await;
    bench.approvals.returned(call.submission.id).await;
    bench.until(&call, "revoked").await;
    assert!(super::database::alarmed(&bench, &call).await);
    assert_eq!(bench.sent(), 0);
}

#[tokio::test]
async fn an_agent_is_neither_invented_nor_widened_nor_brought_back() {
    let pages = Pages::new().await;
    let identity = &pages.identity;
    let add = async |name: &str| {
        identity
            .agent_add(name.parse().unwrap(), email("o@example.com"), vec!["iam".parse().unwrap()])
            .await
            .unwrap()
            .token
    };
    let theirs = format!("plt_agent_{}", "A".repeat(32));
    let sql = format!(
        "INSERT INTO agents SELECT 'ffffffff-ffff-7fff-bfff-ffffffffffff', 'ghost', owner, '[]', '{}', created_at, NULL,
         entry, seal FROM agents LIMIT 1",
        Digest::of(theirs.as_bytes())
    );
    forge(&pages.bench, &sql).await;
    assert!(identity.agent_by_token(&theirs).await.unwrap().is_none());
    for (n, change) in
        ["upstreams = '[]'", "owner = 'nobody@example.com'", "name = 'payroll'", "created_at = 0", "seal = NULL"]
            .into_iter()
            .enumerate()
    {
        let token = add(&format!("bot-{n}")).await;
        forge(&pages.bench, &format!("UPDATE agents SET {change} WHERE name = 'bot-{n}'")).await;
        assert!(matches!(identity.agent_by_token(token.reveal()).await, Err(StoreError::Changed(_))), "{change}");
    }
    let (one, two) = (add("one").await, add("two").await);
    forge(&pages.bench, "CREATE TABLE kept AS SELECT * FROM agents; UPDATE meta SET value = value").await;
    identity.agent_revoke("one".parse().unwrap()).await.unwrap();
    identity.agent_revoke("two".parse().unwrap()).await.unwrap();
    assert!(identity.agent_by_token(one.reveal()).await.unwrap().is_none());
    forge(&pages.bench, "UPDATE agents SET revoked_at = NULL WHERE name = 'one'").await;
    forge(
        &pages.bench,
        "DELETE FROM agents WHERE name = 'two'; INSERT INTO agents SELECT * FROM kept WHERE name = 'two'",
    )
    .await;
    for token in [one, two] {
        assert!(matches!(identity.agent_by_token(token.reveal()).await, Err(StoreError::Changed(_))));
    }
    assert_eq!(alarms(&pages.bench, "agent").await, 7);
    // Revoked, it can be added anew.
    identity.agent_revoke("one".parse().unwrap()).await.unwrap();
    let anew = add("one").await;
    assert!(identity.agent_by_token(anew.reveal()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_released_call_of_an_agent_whose_row_was_changed_does_not_run() {
    let bench = Bench::new().await;
    let call = bench.hold("{}").await;
    bench.approvals.decide(bench.decision(&call, bench.mira, Verdict::Approve)).await.unwrap();
    bench.store.agent_revoke("ci-bot".parse().unwrap()).await.unwrap();
    forge(&bench, "UPDATE agents SET revoked_at = NULL").await;
    bench.approvals.returned(call.submission.id).await;
    bench.until(&call, "revoked").await;
    assert!(super::database::alarmed(&bench, &call).await);
    assert_eq!(bench.sent(), 0);
}

#[tokio::test]
async fn a_sign_in_link_leads_to_its_own_person_once() {
    let pages = Pages::new().await;
    let ada = pages.person("ada@example.com", &["iam"], Roles { reviewer: true, ..Roles::default() }).await;
    let eve = pages.person("eve@example.com", &[], Roles { reviewer: true, ..Roles::default() }).await;
    let enter = async |made: &placet::identity::MadeLink| {
        let (token, code) = (made.link.token.reveal(), made.link.code.expose());
        pages.identity.sign_in_link(token, code, Source::new(None), String::new(), None).await.map(drop)
    };
    let made = pages.identity.link_make(eve.email.clone()).await.unwrap();
    forge(&pages.bench, &format!("UPDATE sign_in_links SET reviewer_id = '{}' WHERE ended_at IS NULL", ada.id)).await;
    assert!(!pages.identity.link_is_open(made.link.token.reveal()).await.unwrap());
    assert!(enter(&made).await.unwrap_err().to_string().contains("changed behind Placet"));
    let made = pages.identity.link_make(eve.email).await.unwrap();
    forge(
        &pages.bench,
        "CREATE TABLE kept AS SELECT * FROM sign_in_links WHERE ended_at IS NULL; UPDATE meta SET value = value",
    )
    .await;
    enter(&made).await.unwrap();
    forge(&pages.bench, "DELETE FROM sign_in_links; INSERT INTO sign_in_links SELECT * FROM kept").await;
    assert!(enter(&made).await.is_err(), "a spent link is not spent again");
    assert!(alarms(&pages.bench, "link").await > 0);
}
