//! Accounts, sessions, links and tokens over a real database, with a clock that the test moves.

use std::net::IpAddr;

use secrecy::SecretString;

use super::throttle::Source;
use super::*;
use crate::call::{AgentName, GroupName, Millis};
use crate::lifecycle::Tasks;
use crate::store::EntryFilter;

struct World {
    identity: Identity,
    store: Store,
    clock: Clock,
    _folder: tempfile::TempDir,
}

const PASSWORD: &str = "correct horse battery";

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::manual(Millis(1_000_000));
        let store = Store::open(folder.path(), clock.clone(), &Tasks::default()).await.unwrap();
        let identity = Identity::new(store.clone(), clock.clone(), Entropy::seeded(1), SessionLimits::default());
        Self { identity, store, clock, _folder: folder }
    }

    async fn person(&self, email: &str, password: Option<&str>) -> Reviewer {
        let add = AddReviewer {
            email: Email::parse(email).unwrap(),
            name: None,
            roles: Roles { reviewer: true, ..Roles::default() },
            groups: [GroupName::new("iam").unwrap()].into(),
            password: password.map(SecretString::from),
        };
        self.identity.reviewer_add(add).await.unwrap()
    }

    async fn sign_in(&self, email: &str, password: &str) -> Result<SignedIn, SignInError> {
        self.sign_in_over(email, password, None).await
    }

    async fn sign_in_over(&self, email: &str, password: &str, old: Option<&str>) -> Result<SignedIn, SignInError> {
        self.identity.sign_in(email, SecretString::from(password), home(), "Firefox".into(), old).await
    }

    async fn is_live(&self, cookie: &str) -> bool {
        matches!(self.identity.session(cookie).await.unwrap(), SessionState::Live(_))
    }

    async fn kinds(&self) -> Vec<String> {
        let entries = self.store.entries(EntryFilter { limit: 100, ..EntryFilter::default() }).await.unwrap();
        entries.into_iter().rev().map(|entry| entry.kind).collect()
    }
}

fn home() -> Source {
    Source::new(Some(IpAddr::from([192, 0, 2, 1])))
}

fn hours(count: u64) -> Duration {
    Duration::from_secs(count * 3600)
}

#[tokio::test]
async fn an_agent_is_known_by_its_token_until_it_is_revoked() {
    let world = World::new().await;
    let (name, owner) = (AgentName::new("ci-bot").unwrap(), Email::parse("o@example.com").unwrap());
    let added = world.identity.agent_add(name.clone(), owner.clone(), vec![]).await.unwrap();
    assert!(!added.owner_is_known);
    let token = added.token.reveal();
    assert_eq!(world.identity.agent_by_token(token).await.unwrap(), Some(added.agent.clone()));
    let again = world.identity.agent_add(name.clone(), owner.clone(), vec![]).await;
    assert!(matches!(again, Err(IdentityError::AgentExists(_))));
    world.identity.agent_revoke(name.clone()).await.unwrap();
    assert_eq!(world.identity.agent_by_token(token).await.unwrap(), None);
    assert!(matches!(world.identity.agent_revoke(name.clone()).await, Err(IdentityError::NoAgent(_))));
    let renewed = world.identity.agent_add(name, owner, vec![]).await.unwrap();
    assert_ne!(renewed.agent.id, added.agent.id, "the name is free again");
    assert_eq!(world.kinds().await, ["agent.added", "agent.revoked", "agent.added"]);
    let entries = world.store.entries(EntryFilter { limit: 9, ..EntryFilter::default() }).await.unwrap();
    assert!(entries.iter().all(|e| !e.body.contains(token) && !e.body.contains("o@example.com")));
}

#[tokio::test]
async fn a_refused_sign_in_does_not_tell_whom_it_met() {
    let world = World::new().await;
    world.person("mira@example.com", Some(PASSWORD)).await;
    world.person("link@example.com", None).await;
    world.person("gone@example.com", Some(PASSWORD)).await;
    world.identity.reviewer_disable(Email::parse("gone@example.com").unwrap()).await.unwrap();
    let tries = [
        ("mira@example.com", "wrong password 1"),
        ("nobody@example.com", PASSWORD),
        ("link@example.com", ""),
        ("gone@example.com", PASSWORD),
        ("no address", PASSWORD),
        ("mira@example.com\u{0}", PASSWORD),
    ];
    for (email, password) in tries {
        let refused = world.sign_in(email, password).await.unwrap_err();
        assert_eq!(refused.to_string(), "address or password are wrong", "{email}");
    }
    assert!(world.sign_in(" MIRA@example.com ", PASSWORD).await.is_ok());
}

#[tokio::test]
async fn a_sign_in_gets_a_new_session_and_ends_the_one_it_came_with() {
    let world = World::new().await;
    world.person("mira@example.com", Some(PASSWORD)).await;
    let first = world.sign_in("mira@example.com", PASSWORD).await.unwrap();
    assert!(world.is_live(first.cookie.reveal()).await);
    let second = world.sign_in_over("mira@example.com", PASSWORD, Some(first.cookie.reveal())).await.unwrap();
    assert!(!world.is_live(first.cookie.reveal()).await);
    assert!(world.is_live(second.cookie.reveal()).await);
    assert!(!world.is_live("plt_session_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").await);
}

#[tokio::test]
async fn sessions_end_when_idle_at_their_limit_and_when_ended() {
    let world = World::new().await;
    let person = world.person("mira@example.com", Some(PASSWORD)).await;
    let idle = world.sign_in("mira@example.com", PASSWORD).await.unwrap();
    world.clock.advance(hours(12));
    assert!(!world.is_live(idle.cookie.reveal()).await);

    let busy = world.sign_in("mira@example.com", PASSWORD).await.unwrap();
    for _ in 0..(7 * 24 / 8 - 1) {
        world.clock.advance(hours(8));
        assert!(world.is_live(busy.cookie.reveal()).await);
    }
    world.clock.advance(hours(8));
    assert!(!world.is_live(busy.cookie.reveal()).await, "seven days are the limit");

    let one = world.sign_in("mira@example.com", PASSWORD).await.unwrap();
    let two = world.sign_in("mira@example.com", PASSWORD).await.unwrap();
    let mut endings = world.identity.endings();
    let listed = world.identity.sessions(person.id).await.unwrap();
    assert_eq!(listed.len(), 2);
    let SessionState::Live(session) = world.identity.session(one.cookie.reveal()).await.unwrap() else {
        panic!("a fresh session lives")
    };
    assert!(world.identity.session_end(person.id, session.id.clone()).await.unwrap());
    assert!(!world.identity.session_end(person.id, session.id).await.unwrap());
    assert!(endings.has_changed().unwrap());
    endings.mark_unchanged();
    assert!(!world.is_live(one.cookie.reveal()).await);
    assert!(world.is_live(two.cookie.reveal()).await);
}

#[tokio::test]
async fn disabling_an_account_ends_everything_of_it_and_adding_it_again_revives_nothing() {
    let world = World::new().await;
    let person = world.person("mira@example.com", Some(PASSWORD)).await;
    let email = person.email.clone();
    let session = world.sign_in("mira@example.com", PASSWORD).await.unwrap();
    let token = world.identity.api_token_make(email.clone(), true, hours(1)).await.unwrap();
    let link = world.identity.link_make(email.clone()).await.unwrap();
    assert!(world.identity.api_token(token.token.reveal()).await.unwrap().is_some());
    world.identity.reviewer_disable(email.clone()).await.unwrap();
    let state = world.identity.session(session.cookie.reveal()).await.unwrap();
    assert!(matches!(state, SessionState::Disabled));
    assert!(world.identity.api_token(token.token.reveal()).await.unwrap().is_none());
    assert!(!world.identity.link_is_open(link.link.token.reveal()).await.unwrap());
    assert!(matches!(world.identity.link_make(email).await, Err(IdentityError::NoReviewer(_))));

    let again = world.person("mira@example.com", None).await;
    assert_eq!(again.id, person.id, "the same person in the log");
    assert!(!world.is_live(session.cookie.reveal()).await);
    assert!(world.identity.api_token(token.token.reveal()).await.unwrap().is_none());
    assert!(world.sign_in("mira@example.com", PASSWORD).await.is_err(), "the old password is gone");
}

#[tokio::test]
async fn a_link_is_spent_once_by_its_code_alone() {
    let world = World::new().await;
    let person = world.person("mira@example.com", None).await;
    let made = world.identity.link_make(person.email.clone()).await.unwrap().link;
    let (token, code) = (made.token.reveal(), made.code.expose());
    let wrong = if code == "000000" { "000001" } else { "000000" };
    for _ in 0..50 {
        assert!(world.identity.link_is_open(token).await.unwrap());
    }
    let enter = async |code: &str| world.identity.sign_in_link(token, code, home(), String::new(), None).await;
    assert!(matches!(enter(wrong).await, Err(LinkError::WrongCode(4))));
    let signed_in = enter(code).await.unwrap();
    assert!(world.is_live(signed_in.cookie.reveal()).await);
    assert!(matches!(enter(code).await, Err(LinkError::Dead)));
    assert!(!world.identity.link_is_open(token).await.unwrap());
}

#[tokio::test]
async fn a_link_dies_of_time_of_wrong_codes_and_of_a_newer_one() {
    let world = World::new().await;
    let person = world.person("mira@example.com", None).await;
    let enter = async |made: &link::SignInLink, code: &str| {
        let used = world.identity.sign_in_link(made.token.reveal(), code, home(), String::new(), None).await;
        used.map(|signed_in| signed_in.reviewer.id)
    };
    let late = world.identity.link_make(person.email.clone()).await.unwrap().link;
    world.clock.advance(link::LIFETIME);
    assert!(matches!(enter(&late, late.code.expose()).await, Err(LinkError::Dead)));

    let guessed = world.identity.link_make(person.email.clone()).await.unwrap().link;
    for left in (0..link::TRIES).rev() {
        assert!(matches!(enter(&guessed, "x").await, Err(LinkError::WrongCode(n)) if n == left));
    }
    world.clock.advance(Duration::from_secs(60));
    assert!(matches!(enter(&guessed, guessed.code.expose()).await, Err(LinkError::Dead)), "even with the right code");

    let older = world.identity.link_make(person.email.clone()).await.unwrap().link;
    let newer = world.identity.link_make(person.email.clone()).await.unwrap().link;
    assert!(matches!(enter(&older, older.code.expose()).await, Err(LinkError::Dead)));
    assert!(enter(&newer, newer.code.expose()).await.is_ok());
}

#[tokio::test]
async fn changing_the_password_ends_the_other_sessions() {
    let world = World::new().await;
    let person = world.person("mira@example.com", Some(PASSWORD)).await;
    let here = world.sign_in("mira@example.com", PASSWORD).await.unwrap();
    let there = world.sign_in("mira@example.com", PASSWORD).await.unwrap();
    let SessionState::Live(session) = world.identity.session(here.cookie.reveal()).await.unwrap() else {
        panic!("a fresh session lives")
    };
    let change = |current: &str, new: &str| {
        world.identity.change_password(&session, home(), SecretString::from(current), SecretString::from(new))
    };
    let wrong = change("something else", "another good password").await;
    assert!(matches!(wrong, Err(IdentityError::WrongPassword)));
    assert!(matches!(change(PASSWORD, "short").await, Err(IdentityError::BadPassword(_))));
    assert!(world.is_live(there.cookie.reveal()).await);
    change(PASSWORD, "another good password").await.unwrap();
    assert!(world.is_live(here.cookie.reveal()).await);
    assert!(!world.is_live(there.cookie.reveal()).await);
    assert!(world.sign_in("mira@example.com", PASSWORD).await.is_err());
    assert!(world.sign_in("mira@example.com", "another good password").await.is_ok());
    assert!(world.identity.has_password(&person).await.unwrap());
}

#[tokio::test]
async fn api_tokens_expire_and_end() {
    let world = World::new().await;
    let person = world.person("mira@example.com", None).await;
    let made = world.identity.api_token_make(person.email.clone(), false, hours(1)).await.unwrap();
    let access = world.identity.api_token(made.token.reveal()).await.unwrap().unwrap();
    assert!(!access.may_decide);
    assert_eq!(world.identity.api_tokens(person.id).await.unwrap().len(), 1);
    world.clock.advance(hours(1));
    assert!(world.identity.api_token(made.token.reveal()).await.unwrap().is_none());
    let made = world.identity.api_token_make(person.email, true, hours(1)).await.unwrap();
    let access = world.identity.api_token(made.token.reveal()).await.unwrap().unwrap();
    assert!(access.may_decide);
    assert!(world.identity.api_token_end(person.id, access.token).await.unwrap());
    assert!(world.identity.api_token(made.token.reveal()).await.unwrap().is_none());
}
