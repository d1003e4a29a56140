//! People, agents, and what they sign in with: what a service does with them is intact, and every row that is not what
//! the log tells is named.

use std::time::Duration;

use placet::call::{AgentName, Email};
use placet::identity::throttle::Source;
use placet::identity::{AddReviewer, Identity, Roles, SessionLimits, SessionState};
use placet::notary::Notary;
use serde_json::Value;

use super::forged::Forged;
use super::{audit, audit_in};
use crate::support::bench::Bench;
use crate::support::pages::PASSWORD;

const HOUR: Duration = Duration::from_secs(3600);

fn email(text: &str) -> Email {
    Email::parse(text).unwrap()
}

fn adding(text: &str, roles: Roles) -> AddReviewer {
    let password = Some(PASSWORD.to_owned().into());
    AddReviewer { email: email(text), name: None, roles, groups: ["iam".parse().unwrap()].into(), password }
}

async fn sign_in(identity: &Identity, who: &str, replaces: Option<&str>) -> String {
    let (password, source) = (PASSWORD.to_owned().into(), Source::new(None));
    let signed_in = identity.sign_in(who, password, source, "a test".into(), replaces).await.unwrap();
    signed_in.cookie.reveal().to_owned()
}

async fn link(identity: &Identity, who: &str) {
    let made = identity.link_make(email(who)).await.unwrap();
    let (token, code) = (made.link.token.reveal().to_owned(), made.link.code.expose().to_owned());
    identity.sign_in_link(&token, &code, Source::new(None), "a test".into(), None).await.unwrap();
}

/// Everything that is done with accounts: made, changed, ended one by one and all at once, opened again.
async fn lived(bench: &Bench) -> Notary {
    let (notary, _) = Notary::open(bench.store.clone(), &bench.entropy).await.unwrap();
    let identity =
        Identity::new(bench.store.clone(), bench.clock.clone(), bench.entropy.clone(), SessionLimits::default());
    let reviewer = Roles { reviewer: true, ..Roles::default() };
    for name in ["revoked", "again", "prod"] {
        let name = AgentName::new(name).unwrap();
        let upstreams = vec!["iam".parse().unwrap()];
        identity.agent_add(name.clone(), email("lee@example.com"), upstreams.clone()).await.unwrap();
        bench.clock.advance(Duration::from_secs(1));
        if name.as_str() != "prod" {
            identity.agent_revoke(name.clone()).await.unwrap();
        }
        if name.as_str() == "again" {
            identity.agent_add(name, email("lee@example.com"), upstreams).await.unwrap();
        }
    }
    identity.reviewer_add(adding("ada@example.com", reviewer)).await.unwrap();
    identity.reviewer_add(adding("zoe@example.com", reviewer)).await.unwrap();
    let first = sign_in(&identity, "ada@example.com", None).await;
    let second = sign_in(&identity, "ada@example.com", Some(&first)).await;
    sign_in(&identity, "ada@example.com", None).await;
    link(&identity, "ada@example.com").await;
    let SessionState::Live(session) = identity.session(&second).await.unwrap() else { panic!() };
    let (source, new) = (Source::new(None), format!("{PASSWORD} anew"));
    let current = PASSWORD.to_owned().into();
    identity.change_password(&session, source, current, new.into()).await.unwrap();
    bench.clock.advance(Duration::from_secs(120));
    identity.session(&second).await.unwrap();
    let ada = session.reviewer.id;
    for _ in 0..2 {
        identity.api_token_make(email("ada@example.com"), false, HOUR).await.unwrap();
    }
    let tokens = identity.api_tokens(ada).await.unwrap();
    identity.api_token_end(ada, tokens[0].id.clone()).await.unwrap();
    identity.link_make(email("ada@example.com")).await.unwrap();
    identity.link_make(email("ada@example.com")).await.unwrap();
    for again in [false, true] {
        sign_in(&identity, "zoe@example.com", None).await;
        identity.api_token_make(email("zoe@example.com"), true, HOUR).await.unwrap();
        link(&identity, "zoe@example.com").await;
        identity.link_make(email("zoe@example.com")).await.unwrap();
        bench.clock.advance(Duration::from_secs(1));
        identity.reviewer_disable(email("zoe@example.com")).await.unwrap();
        if !again {
            let roles = Roles { auditor: true, ..reviewer };
            identity.reviewer_add(adding("zoe@example.com", roles)).await.unwrap();
        }
    }
    identity.reviewer_add(adding("kim@example.com", reviewer)).await.unwrap();
    for _ in 0..3 {
        sign_in(&identity, "kim@example.com", None).await;
    }
    let kim = bench.store.reviewer_by_email(&email("kim@example.com")).await.unwrap().unwrap().0.id;
    let keep = identity.sessions(kim).await.unwrap()[0].id.clone();
    identity.sessions_end(kim, Some(keep)).await.unwrap();
    identity.sessions_end(kim, None).await.unwrap();
    notary.checkpoint().await.unwrap();
    notary
}

#[tokio::test]
async fn whatever_a_service_does_with_accounts_is_intact() {
    let bench = Bench::new().await;
    let _notary = lived(&bench).await;
    let said = audit(&bench, &["verify"]).await;
    assert!(said.code == 0 && said.out.ends_with("INTACT\n"), "{} {}", said.out, said.err);
    // Five agents, five people, seven links, ten sessions and four tokens, all of them compared and sealed.
    let json: Value = serde_json::from_str(&audit(&bench, &["verify", "--json"]).await.out).unwrap();
    let check =
        |name: &str| json["checks"].as_array().unwrap().iter().find(|line| line["check"] == name).unwrap().clone();
    let rows = ["agents", "reviewers", "sessions", "api_tokens", "sign_in_links"].map(|table| {
        let database = rusqlite::Connection::open(bench.folder.path().join("placet.db")).unwrap();
        database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0)).unwrap()
    });
    assert!(rows.iter().all(|count| *count > 3), "{rows:?}");
    assert_eq!(check("accounts")["right"], rows.iter().sum::<i64>());
    assert_eq!(check("seals")["right"], rows.iter().sum::<i64>());
}

#[tokio::test]
async fn a_row_that_the_log_does_not_tell_of_is_named() {
    let bench = Bench::new().await;
    let _notary = lived(&bench).await;
    let reopened = "seal = (SELECT seal FROM agents LIMIT 1)";
    let attacks: Vec<(String, &str)> = [
        ("UPDATE reviewers SET is_administrator = 1 WHERE email LIKE 'ada%'", "it has other roles than entry"),
        ("UPDATE reviewers SET groups = '[\"night\"]' WHERE email LIKE 'ada%'", "it has other groups than entry"),
        ("UPDATE reviewers SET disabled_at = NULL WHERE email LIKE 'zoe%'", "the log tells that it was ended"),
        ("UPDATE reviewers SET disabled_at = disabled_at + 1 WHERE email LIKE 'zoe%'", "another time of its end"),
        ("UPDATE reviewers SET disabled_at = 1 WHERE email LIKE 'ada%'", "it has ended in the database, and by entry"),
        ("UPDATE reviewers SET entry = entry - 1 WHERE email LIKE 'ada%'", "an older row was put back"),
        ("DELETE FROM reviewers WHERE email LIKE 'ada%'", "tells of the reviewer"),
        ("DELETE FROM reviewers WHERE email LIKE 'zoe%'", "1 reviewers that ended, and the database has 0"),
        (
            "INSERT INTO reviewers SELECT 'x', 'x@example.com', name, password, 1, 1, 1, groups, created_at, NULL, entry, seal
             FROM reviewers WHERE email LIKE 'ada%'",
            "reviewer x: entry",
        ),
        ("UPDATE agents SET name = 'payroll' WHERE name = 'prod'", "it has another name than entry"),
        ("UPDATE agents SET upstreams = '[]' WHERE name = 'prod'", "it has other upstreams than entry"),
        ("UPDATE agents SET created_at = 1 WHERE name = 'prod'", "it has another time of making than entry"),
        ("UPDATE agents SET revoked_at = NULL WHERE name = 'revoked'", "the log tells that it was ended"),
        (
            "UPDATE agents SET revoked_at = NULL, entry = (SELECT min(seq) FROM entries WHERE instr(body, 'agent.added')
             AND instr(body, agents.id)) WHERE name = 'revoked'",
            "the log tells that it was ended",
        ),
        ("DELETE FROM agents WHERE name = 'prod'", "tells of the agent"),
        ("DELETE FROM agents WHERE name = 'revoked'", "2 agents that ended, and the database has 1"),
        (
            "INSERT INTO agents SELECT 'x', 'x', owner, '[]', 'x', created_at, NULL, entry, seal FROM agents WHERE name = 'prod'",
            "does not tell of it: its row was put in",
        ),
        (
            "INSERT INTO agents (id, name, owner, upstreams, token_hash, created_at) VALUES ('x', 'x', 'x', '[]', 'x', 1)",
            "no entry of the log tells of it",
        ),
        ("UPDATE api_tokens SET ended_at = NULL", "the log tells that it was ended"),
        ("UPDATE api_tokens SET may_decide = 1 WHERE ended_at IS NULL", "another right to decide than entry"),
        ("UPDATE api_tokens SET expires_at = expires_at + 1 WHERE ended_at IS NULL", "another time of expiry"),
        ("DELETE FROM api_tokens WHERE ended_at IS NULL", "tells of the API token"),
        (
            "UPDATE api_tokens SET reviewer_id = (SELECT id FROM reviewers WHERE email LIKE 'mira%') WHERE ended_at IS NULL",
            "does not tell of it",
        ),
        ("UPDATE sessions SET ended_at = NULL", "the log tells that it was ended"),
        ("UPDATE sessions SET ended_at = seen_at WHERE ended_at IS NULL", "it has ended in the database, and by entry"),
        ("DELETE FROM sessions WHERE ended_at IS NOT NULL", "sessions that ended, and the database has 0"),
        (
            "INSERT INTO sessions SELECT 'x', reviewer_id, 'x', device, created_at, seen_at, expires_at, NULL, entry, seal
             FROM sessions WHERE ended_at IS NULL",
            "session x: entry",
        ),
        ("UPDATE sign_in_links SET ended_at = NULL", "the log tells that it was ended"),
        ("DELETE FROM sign_in_links WHERE ended_at IS NULL", "tells of the sign-in link"),
        // What the log does not tell, the seals do.
        ("UPDATE reviewers SET email = 'eve@example.com' WHERE email LIKE 'ada%'", "does not bear this service's seal"),
        ("UPDATE reviewers SET password = 'x' WHERE email LIKE 'ada%'", "does not bear this service's seal"),
        ("UPDATE agents SET owner = 'eve@example.com' WHERE name = 'prod'", "does not bear this service's seal"),
        ("UPDATE agents SET seal = NULL WHERE name = 'revoked'", "does not bear this service's seal"),
        ("UPDATE sessions SET expires_at = expires_at + 1", "does not bear this service's seal"),
        ("UPDATE sign_in_links SET code_hash = token_hash", "does not bear this service's seal"),
    ]
    .map(|(sql, says)| (sql.to_owned(), says))
    .into_iter()
    .chain([(format!("UPDATE agents SET {reopened} WHERE name = 'prod'"), "does not bear this service's seal")])
    .collect();
    let mut missed = Vec::new();
    for (sql, says) in attacks {
        let forged = Forged::copy(&bench).await;
        forged.change(&sql);
        let (code, answer) = forged.verify(&[]).await;
        let findings = answer["findings"].as_array().unwrap();
        if code != 1 || !findings.iter().any(|finding| finding["text"].as_str().unwrap().contains(says)) {
            missed.push(format!("{sql}: exit code {code}, {findings:?}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// What was changed by hand and then ended by whoever runs the service is told by the log, and nobody's any more.
#[tokio::test]
async fn what_was_changed_by_hand_and_ended_since_is_no_tampering_any_more() {
    let bench = Bench::new().await;
    let notary = lived(&bench).await;
    let identity =
        Identity::new(bench.store.clone(), bench.clock.clone(), bench.entropy.clone(), SessionLimits::default());
    for sql in [
        "UPDATE reviewers SET is_administrator = 1 WHERE email LIKE 'ada%'",
        "UPDATE reviewers SET groups = '[]' WHERE email LIKE 'kim%'",
        "UPDATE agents SET owner = 'eve@example.com', upstreams = '[]' WHERE name = 'prod'",
    ] {
        crate::attack::edit_any(&bench, sql).await;
    }
    assert_eq!(audit(&bench, &["verify"]).await.code, 1);
    bench.clock.advance(Duration::from_secs(1));
    identity.reviewer_add(adding("ada@example.com", Roles { reviewer: true, ..Roles::default() })).await.unwrap();
    identity.reviewer_disable(email("kim@example.com")).await.unwrap();
    identity.agent_revoke(AgentName::new("prod").unwrap()).await.unwrap();
    notary.checkpoint().await.unwrap();
    let said = audit(&bench, &["verify"]).await;
    assert!(said.code == 0 && said.out.contains("1 accounts were changed by hand once"), "{}{}", said.out, said.err);
    // Set aside, it does not come back.
    let forged = Forged::copy(&bench).await;
    forged.change("UPDATE reviewers SET disabled_at = NULL WHERE email LIKE '%set-aside%'");
    let (code, answer) = forged.verify(&[]).await;
    assert!(code == 1 && answer.to_string().contains("it was set aside"), "{answer}");
}

/// Entries are found by what was signed: columns that were changed hide nothing and accuse nobody.
#[tokio::test]
async fn changed_columns_are_named_and_nothing_else_is_said() {
    let bench = Bench::new().await;
    super::history(&bench).await;
    let _notary = lived(&bench).await;
    for (sql, column) in [
        ("UPDATE entries SET kind = 'x', call_id = NULL, agent = NULL, reviewer_id = NULL", "kind"),
        ("UPDATE entries SET call_id = (SELECT max(id) FROM calls) WHERE call_id IS NOT NULL", "call_id"),
        ("UPDATE entries SET call_id = 'zzz' WHERE call_id IS NULL", "call_id"),
        ("UPDATE entries SET reviewer_id = NULL WHERE kind = 'reviewer.disabled'", "reviewer_id"),
    ] {
        let forged = Forged::copy(&bench).await;
        forged.change(sql);
        let (code, answer) = forged.verify(&[]).await;
        let findings = answer["findings"].as_array().unwrap();
        assert!(code == 1 && !findings.is_empty(), "{sql}: {answer}");
        for finding in findings {
            assert_eq!(finding["check"], "columns", "{sql}: {finding}");
            assert!(finding["text"].as_str().unwrap().contains(&format!("the column {column} of entry")), "{finding}");
        }
    }
}

/// The key of the seals is asked for, and what goes without it is said.
#[tokio::test]
async fn without_the_key_of_the_seals_the_answer_is_open_unless_nobody_asked_for_it() {
    let bench = Bench::new().await;
    let _notary = lived(&bench).await;
    let other = Bench::new().await;
    let theirs = std::fs::read(other.folder.path().join("seal.key")).unwrap();
    for (key, says) in [
        (None, "has no seal.key"),
        (Some(b"short".to_vec()), "cannot be used"),
        (Some(theirs), "another one than the database was sealed with"),
    ] {
        let forged = Forged::copy(&bench).await;
        let path = forged.path().join("seal.key");
        match key {
            None => std::fs::remove_file(&path).unwrap(),
            Some(key) => std::fs::write(&path, key).unwrap(),
        }
        let said = audit_in(forged.path(), &["verify"]).await;
        assert!(said.code == 2 && said.err.contains(says), "{}{}", said.out, said.err);
        assert!(said.out.contains("INCOMPLETE") && said.err.contains("--without-seals"), "{}{}", said.out, said.err);
        let said = audit_in(forged.path(), &["verify", "--without-seals"]).await;
        assert!(said.code == 0, "{}{}", said.out, said.err);
        assert!(said.out.ends_with("INTACT; the seals were not looked at, as asked\n"), "{}", said.out);
        // The log still tells of roles.
        forged.change("UPDATE reviewers SET is_auditor = 1");
        assert_eq!(forged.verify(&["--without-seals"]).await.0, 1, "{says}");
    }
}
