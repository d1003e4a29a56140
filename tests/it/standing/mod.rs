//! Standing approvals: what passes, what does not, and what is written down of it.

mod attack;
mod gate;
mod grant;
mod pages;

use std::collections::BTreeSet;
use std::time::Duration;

use placet::approvals::{Channel, EndError, Grant, Settings};
use placet::call::{CallState, HeldCall, Requirement, StandingApproval, StandingOffer, Verdict};
use serde_json::{Value, json};

use crate::support::bench::{Bench, START};

const MINUTE: Duration = Duration::from_secs(60);

/// A policy that offers ten uses within half an hour; `body` may differ, and `path` below /srv.
fn offer() -> StandingOffer {
    let open = [("body", "*"), ("path", "/srv/*")];
    let open = open.into_iter().map(|(name, glob)| (name.to_owned(), glob.to_owned())).collect();
    StandingOffer { uses: 10, lasts: 30 * MINUTE, open }
}

fn offering(offer: StandingOffer) -> Requirement {
    Requirement { standing: Some(offer), ..Requirement::plain(15 * MINUTE) }
}

pub(crate) fn arguments(body: &str) -> String {
    json!({ "to": "team@example.com", "body": body }).to_string()
}

impl Bench {
    /// Holds a call under the usual offer, which Mira approves and which runs.
    async fn approved(&self, arguments: &str) -> HeldCall {
        let call = self.submit(arguments, offering(offer())).await.call;
        assert!(Self::pending(&call), "{:?}", call.state);
        self.approvals.decide(self.decision(&call, self.mira, Verdict::Approve)).await.unwrap();
        self.approvals.returned(call.submission.id).await;
        self.until(&call, "executed").await
    }

    fn wish(&self, call: &HeldCall, open: &[&str]) -> Grant {
        Grant {
            call: call.submission.id,
            open: open.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>(),
            uses: 3,
            lasts: 10 * MINUTE,
            reason: "the report goes to the whole team".to_owned(),
            by: self.mira,
            channel: Channel::Page,
            confirmed: false,
        }
    }

    /// Mira lets calls pass whatever their `body`.
    pub(crate) async fn granted(&self) -> StandingApproval {
        let call = self.approved(&arguments("first")).await;
        self.approvals.grant(self.wish(&call, &["body"])).await.unwrap()
    }

    /// Submits a call under the usual offer: whether it passed. One that did runs.
    pub(crate) async fn passes(&self, arguments: &str) -> bool {
        self.passes_under(arguments, offering(offer())).await
    }

    async fn passes_under(&self, arguments: &str, requirement: Requirement) -> bool {
        let call = self.submit(arguments, requirement).await.call;
        if Self::pending(&call) {
            return false;
        }
        self.approvals.returned(call.submission.id).await;
        self.until(&call, "executed").await;
        true
    }

    async fn the_standing(&self) -> StandingApproval {
        self.store.standing_list(10).await.unwrap().remove(0)
    }

    /// What the log says of standing approvals, oldest first.
    async fn told(&self) -> Vec<Value> {
        let filter = placet::store::EntryFilter { limit: 1000, ..Default::default() };
        let entries = self.store.entries(filter).await.unwrap();
        let ours = entries.into_iter().rev().filter(|entry| entry.kind.starts_with("standing."));
        ours.map(|entry| serde_json::from_str(&entry.body).unwrap()).collect()
    }
}

#[tokio::test]
async fn calls_of_the_kind_pass_so_many_times_and_each_is_written_down() {
    let bench = Bench::new().await;
    let granted = bench.granted().await;
    assert_eq!((granted.uses, granted.used, granted.by), (3, 0, bench.mira));
    for n in 1..=3_u32 {
        let call = bench.submit(&arguments(&format!("report {n}")), offering(offer())).await.call;
        let CallState::Approved { .. } = call.state else { panic!("{:?}", call.state) };
        let vote = &call.votes[0].vote;
        assert_eq!(vote.by, bench.mira);
        assert_eq!(vote.reason, format!("By standing approval, use {n} of 3: the report goes to the whole team"));
        bench.approvals.returned(call.submission.id).await;
        let call = bench.until(&call, "executed").await;
        let kinds = ["call.held", "standing.used", "call.approved", "call.released", "call.executed"];
        assert_eq!(bench.kinds(&call).await, kinds);
        let entries = bench.store.entries_of(call.submission.id).await.unwrap();
        let approval: Value = serde_json::from_str(&entries[2].body).unwrap();
        assert_eq!(approval["detail"]["standing"], granted.id.to_string());
        assert_eq!(approval["detail"]["channel"], "standing");
        let calls = bench.store.standing_uses(granted.id, 10).await.unwrap();
        assert_eq!(calls.len(), usize::try_from(n).unwrap());
        assert!(calls.iter().any(|(id, _)| *id == call.submission.id));
    }
    let spent = bench.the_standing().await;
    assert_eq!((spent.used, spent.ended.unwrap().why.as_str()), (3, "its uses are spent"));
    assert!(!bench.passes(&arguments("report 4")).await);
    assert_eq!(bench.sent(), 4);
    let told = bench.told().await;
    let kinds: Vec<_> = told.iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["standing.granted", "standing.used", "standing.used", "standing.used"]);
    assert!(told.iter().all(|entry| entry["detail"]["standing"] == granted.id.to_string()));
    assert_eq!(told[0]["detail"]["open"], json!({ "body": "*" }));
    assert_eq!((&told[3]["detail"]["use"], &told[3]["detail"]["of"]), (&json!(3), &json!(3)));
    // What the arguments are stands nowhere in it.
    assert!(told.iter().all(|entry| !entry.to_string().contains("team@example.com")));
}

#[tokio::test]
async fn what_differs_in_anything_else_waits_for_people() {
    let bench = Bench::new().await;
    let call = bench.approved(r#"{"to":"team@example.com","body":"first","path":"/srv/a"}"#).await;
    bench.approvals.grant(bench.wish(&call, &["body", "path"])).await.unwrap();
    for other in [
        r#"{"to":"all@example.com","body":"x","path":"/srv/a"}"#,
        r#"{"body":"x","path":"/srv/a"}"#,
        r#"{"to":"team@example.com","body":"x","path":"/srv/a","cc":"x"}"#,
        r#"{"to":"team@example.com","body":"x","path":"/etc/passwd"}"#,
        r#"{"to":"team@example.com","body":"x","path":"/srv/../etc/passwd"}"#,
        r#"{"to":"team@example.com","body":"x","path":["/srv/a"]}"#,
        // What a reviewer would be warned of is shown to one.
        "{\"to\":\"team@example.com\",\"body\":\"pay\u{202e}yap\",\"path\":\"/srv/a\"}",
        r#"{"to":"team@example.com","body":"{\"a\":1,\"a\":2}","path":"/srv/a"}"#,
    ] {
        assert!(!bench.passes(other).await, "{other}");
    }
    let alike = r#"{"path":"/srv/b/c", "to":"team\u0040example.com","body":["of","any","type"]}"#;
    let mut elsewhere = bench.call(alike, offering(offer()));
    elsewhere.upstream_config = placet::call::Digest::of(b"another server");
    let mut changed = bench.call(&alike.replace("any", "1"), offering(offer()));
    changed.tool_schema = Some(placet::call::Digest::of(b"another tool"));
    let mut stranger = bench.call(&alike.replace("any", "2"), offering(offer()));
    stranger.agent.id = placet::call::AgentId(bench.entropy.uuid(bench.clock.now()));
    let mut beside = bench.call(&alike.replace("any", "4"), offering(offer()));
    beside.headers = vec![("mcp-param-to".to_owned(), "all@example.com".to_owned())];
    for other in [elsewhere, changed, stranger, beside] {
        let held = bench.approvals.submit(other).await.unwrap().call;
        assert!(Bench::pending(&held), "{:?}", held.submission);
    }
    assert_eq!(bench.the_standing().await.used, 0);
    assert!(bench.passes(&alike.replace("any", "3")).await);
    assert_eq!(bench.the_standing().await.used, 1);
}

#[tokio::test]
async fn it_ends_with_its_time_whatever_the_clock_does() {
    let bench = Bench::new().await;
    bench.granted().await;
    bench.clock.advance(10 * MINUTE - Duration::from_millis(1));
    assert!(bench.passes(&arguments("in time")).await);
    bench.clock.advance(Duration::from_millis(1));
    assert!(!bench.passes(&arguments("too late")).await);
    bench.clock.set(START.before(24 * 60 * MINUTE));
    assert!(!bench.passes(&arguments("by a clock set back")).await);
    assert!(bench.store.standing_in_force().await.unwrap().is_empty());
}

#[tokio::test]
async fn any_reviewer_ends_it_and_nothing_passes_from_then_on() {
    let bench = Bench::new().await;
    let granted = bench.granted().await;
    assert!(bench.passes(&arguments("before")).await);
    let ended = bench.approvals.end_standing(granted.id, bench.noor).await.unwrap();
    assert_eq!(ended.ended.unwrap().by, Some(bench.noor));
    assert!(!bench.passes(&arguments("after")).await);
    assert!(matches!(bench.approvals.end_standing(granted.id, bench.noor).await, Err(EndError::Over)));
    let told = bench.told().await;
    assert_eq!(told.last().unwrap()["kind"], "standing.ended");
    assert_eq!(told.last().unwrap()["reviewer"], bench.noor.to_string());
    let bench = bench.restart().await;
    assert!(!bench.passes(&arguments("after a restart")).await);
}

#[tokio::test]
async fn what_the_policy_no_longer_offers_does_not_pass() {
    let bench = Bench::new().await;
    bench.granted().await;
    let narrow = |change: &dyn Fn(&mut StandingOffer)| {
        let mut offer = offer();
        change(&mut offer);
        offering(offer)
    };
    for (n, requirement) in [
        Requirement::plain(15 * MINUTE),
        narrow(&|offer| drop(offer.open.remove("body"))),
        narrow(&|offer| drop(offer.open.insert("body".into(), "x*".into()))),
        narrow(&|offer| offer.lasts = Duration::ZERO),
        narrow(&|offer| offer.uses = 0),
        Requirement { quorum: placet::call::Quorum::new(2).unwrap(), ..offering(offer()) },
        Requirement { reviewers: vec!["night".parse().unwrap()], ..offering(offer()) },
    ]
    .into_iter()
    .enumerate()
    {
        assert!(!bench.passes_under(&arguments(&format!("x{n}")), requirement.clone()).await, "{requirement:?}");
    }
    assert_eq!(bench.the_standing().await.used, 0);
    assert!(bench.passes(&arguments("as before")).await);
    *bench.today.0.lock().unwrap() = Some("the policy denies it".into());
    let held = bench.submit(&arguments("denied since"), offering(offer())).await.call;
    bench.approvals.returned(held.submission.id).await;
    bench.until(&held, "revoked").await;
    assert_eq!(bench.sent(), 2);
}

#[tokio::test]
async fn it_counts_for_nothing_while_its_giver_may_not_decide() {
    let bench = Bench::new().await;
    bench.granted().await;
    bench.store.reviewer_disable("mira@example.com".parse().unwrap()).await.unwrap();
    assert!(!bench.passes(&arguments("x")).await);
    assert_eq!(bench.the_standing().await.used, 0);
}

#[tokio::test]
async fn of_many_calls_at_once_no_more_pass_than_were_granted() {
    let bench = Bench::new().await;
    bench.granted().await;
    let calls: Vec<_> = (0..12).map(|n| bench.call(&arguments(&format!("at once {n}")), offering(offer()))).collect();
    let held = futures_util::future::join_all(calls.into_iter().map(|call| bench.approvals.submit(call))).await;
    let passed = held.iter().filter(|held| !Bench::pending(&held.as_ref().unwrap().call)).count();
    assert_eq!(passed, 3);
    assert_eq!(bench.the_standing().await.used, 3);
}

#[tokio::test]
async fn calls_that_wait_already_pass_as_far_as_the_uses_go() {
    let bench = Bench::new().await;
    let call = bench.approved(&arguments("first")).await;
    let mut waiting = Vec::new();
    for n in 0..4 {
        waiting.push(bench.submit(&arguments(&format!("waits {n}")), offering(offer())).await.call);
    }
    let other = bench.submit(r#"{"to":"all@example.com","body":""}"#, offering(offer())).await.call;
    bench.approvals.grant(bench.wish(&call, &["body"])).await.unwrap();
    for call in &waiting[..3] {
        bench.until(call, "approved").await;
        bench.approvals.returned(call.submission.id).await;
        bench.until(call, "executed").await;
    }
    for call in [&waiting[3], &other] {
        assert!(Bench::pending(&bench.approvals.call(call.submission.id).await.unwrap()));
    }
}

#[tokio::test]
async fn what_passes_does_not_count_towards_what_reviewers_are_spared() {
    let mut settings = Settings::default();
    settings.limits.new_per_hour = 4;
    let bench = Bench::with(settings).await;
    bench.granted().await;
    for n in 0..3 {
        assert!(bench.passes(&arguments(&format!("report {n}"))).await);
    }
    // One was held for people; three more may be.
    for n in 0..3 {
        assert!(!bench.passes(&arguments(&format!("held {n}"))).await);
    }
    let one_more = bench.approvals.submit(bench.call(&arguments("more"), offering(offer()))).await;
    assert!(matches!(one_more, Err(placet::approvals::SubmitError::TooManyNew { max: 4, .. })), "{one_more:?}");
}

#[tokio::test]
async fn it_survives_a_restart_and_ends_when_the_database_is_put_back() {
    let bench = Bench::new().await;
    bench.granted().await;
    assert!(bench.passes(&arguments("before")).await);
    let copies = tempfile::tempdir().unwrap();
    let copy = copies.path().join("copy.db");
    bench.store.backup(&copy, "copy".into()).await.unwrap();
    let bench = bench.restart().await;
    assert!(bench.passes(&arguments("after a restart")).await);
    assert_eq!(bench.the_standing().await.used, 2);
    let bench = bench
        .restart_over(|folder| {
            for side in ["placet.db-wal", "placet.db-shm"] {
                let _ = std::fs::remove_file(folder.join(side));
            }
            std::fs::copy(&copy, folder.join("placet.db")).unwrap();
        })
        .await;
    assert!(!bench.passes(&arguments("after it was put back")).await);
    assert_eq!(bench.the_standing().await.ended.unwrap().why, "the database was put back");
}

#[tokio::test]
async fn the_same_call_again_gets_the_result_that_it_had_and_uses_nothing() {
    let bench = Bench::new().await;
    bench.granted().await;
    assert!(bench.passes(&arguments("once")).await);
    let again = bench.submit(&arguments("once"), offering(offer())).await;
    assert!(matches!(again.call.state, CallState::Executed { .. }));
    assert_eq!((bench.the_standing().await.used, bench.sent()), (1, 2));
}

/// Whatever happens between the use and the vote: the use is lost, nothing runs twice, and people decide.
#[tokio::test]
async fn a_use_that_was_torn_from_its_call_is_lost_and_the_call_waits() {
    let bench = Bench::new().await;
    // Held before anything was granted, so that it waits; then only the use is taken.
    let waits = bench.submit(r#"{"to":"all@example.com","body":"x"}"#, offering(offer())).await.call;
    let granted = bench.granted().await;
    let used = bench.store.use_standing(granted.id, waits.submission.id, offer(), |_| true).await.unwrap();
    assert_eq!(used, Ok(1));
    let bench = bench.restart().await;
    let again = bench.submit(r#"{"to":"all@example.com","body":"x"}"#, offering(offer())).await.call;
    assert!(again.submission.id == waits.submission.id && Bench::pending(&again));
    let twice = bench.store.use_standing(granted.id, waits.submission.id, offer(), |_| true).await.unwrap();
    assert_eq!(twice, Err(placet::store::NotUsed::Again));
    assert_eq!((bench.the_standing().await.used, bench.sent()), (1, 1));
    for n in 2..=3 {
        assert!(bench.passes(&arguments(&format!("{n}"))).await);
    }
    assert!(!bench.passes(&arguments("more")).await);
}
