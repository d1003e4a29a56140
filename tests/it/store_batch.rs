//! What reaches the writer at one moment is one batch: each operation sees those before it, each answer is what the
//! database holds afterwards, and a bad operation harms no other. These tests run on one thread, so that everything
//! that is awaited together is taken from the queue together.

use std::time::Duration;

use futures_util::future::join_all;
use placet::approvals::{DecideError, NewCall, Settings, SubmitError};
use placet::audit::{Entry, SealedEntry};
use placet::call::{
    Answer, Approver, CallId, CallState, ClaimId, Digest, Event, HeldCall, Outcome, Quorum, Requirement, StoredVote,
    Verdict, Vote,
};
use placet::store::{
    ApprovalProof, CallChange, EntryFilter, HoldLimits, NewAgent, NotChanged, Scene, StoreError, StoredEntry,
};

use crate::support::bench::{Bench, START};

const NEXT: Duration = Duration::from_secs(900);

async fn entries(bench: &Bench) -> Vec<StoredEntry> {
    let mut entries = bench.store.entries(EntryFilter { limit: 10_000, ..EntryFilter::default() }).await.unwrap();
    entries.reverse();
    entries
}

/// The log has no gap, and every entry its place.
async fn whole(bench: &Bench) -> Vec<StoredEntry> {
    let entries = entries(bench).await;
    let mut prev = "0".repeat(64);
    for (at, entry) in entries.iter().enumerate() {
        assert_eq!(entry.seq, i64::try_from(at).unwrap() + 1);
        assert_eq!(SealedEntry::leaf_of(entry.body.as_bytes()), entry.leaf);
        let body: serde_json::Value = serde_json::from_str(&entry.body).unwrap();
        assert_eq!((body["seq"].as_i64(), body["prev"].as_str()), (Some(entry.seq), Some(prev.as_str())));
        prev = entry.leaf.to_string();
    }
    entries
}

fn quorum(approvals: u8) -> Requirement {
    Requirement { quorum: Quorum::new(approvals).unwrap(), ..Requirement::plain(NEXT) }
}

#[tokio::test]
async fn the_same_call_many_times_at_once_is_held_once() {
    let bench = Bench::new().await;
    let calls = (0..25).map(|_| bench.approvals.submit(bench.call("{}", Requirement::plain(NEXT))));
    let calls: Vec<_> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
    assert!(calls.iter().all(|call| call.call == calls[0].call));
    let new = calls.iter().filter(|call| call.how == placet::approvals::How::New).count();
    assert_eq!((new, bench.kinds(&calls[0].call).await), (1, vec!["call.held".to_owned()]));
}

#[tokio::test]
async fn votes_of_one_moment_see_each_other() {
    let bench = Bench::new().await;
    let call = bench.submit("{}", quorum(2)).await.call;
    let (mira, noor) = tokio::join!(
        bench.approvals.decide(bench.decision(&call, bench.mira, Verdict::Approve)),
        bench.approvals.decide(bench.decision(&call, bench.noor, Verdict::Approve)),
    );
    assert!(Bench::pending(&mira.unwrap()));
    let approved = noor.unwrap();
    assert!(matches!(&approved.state, CallState::Approved { by: Approver::Reviewers(votes), .. } if votes.len() == 2));
    assert_eq!(bench.store.call(call.submission.id).await.unwrap().unwrap(), approved);
    assert_eq!(bench.kinds(&call).await, ["call.held", "call.voted", "call.approved"]);

    let call = bench.submit("[]", quorum(1)).await.call;
    let (first, twice, other) = tokio::join!(
        bench.approvals.decide(bench.decision(&call, bench.mira, Verdict::Reject)),
        bench.approvals.decide(bench.decision(&call, bench.mira, Verdict::Approve)),
        bench.approvals.decide(bench.decision(&call, bench.noor, Verdict::Approve)),
    );
    assert!(matches!(first.unwrap().state, CallState::Rejected { .. }));
    for lost in [twice, other] {
        let Err(DecideError::NotPending(stands)) = lost else { panic!("{lost:?}") };
        assert!(matches!(stands.state, CallState::Rejected { by, .. } if by == bench.mira));
    }
}

/// An approval and the same call, which joins what the approval made of it.
#[tokio::test]
async fn who_joins_at_the_moment_of_the_verdict_joins_what_it_made() {
    let bench = Bench::new().await;
    let call = bench.hold("{}").await;
    let (decided, joined) = tokio::join!(
        bench.approvals.decide(bench.decision(&call, bench.mira, Verdict::Approve)),
        bench.approvals.submit(bench.call("{}", Requirement::plain(NEXT))),
    );
    assert_eq!(decided.unwrap(), joined.unwrap().call);
    // And the other way round: who was taken back at this moment is held anew.
    let call = bench.hold("[]").await;
    let (cancelled, anew) = tokio::join!(
        bench.approvals.cancel(call.submission.id, bench.agent.id),
        bench.approvals.submit(bench.call("[]", Requirement::plain(NEXT))),
    );
    assert!(matches!(cancelled.unwrap().state, CallState::Cancelled { .. }));
    let anew = anew.unwrap();
    assert!(anew.how == placet::approvals::How::New && anew.call.submission.id != call.submission.id);
}

#[tokio::test]
async fn bounds_on_one_agent_are_counted_across_a_batch() {
    let limits = HoldLimits { pending: 7, new_per_hour: 12, ..Settings::default().limits };
    let bench = Bench::with(Settings { limits, ..Settings::default() }).await;
    let submit = |n: usize| bench.approvals.submit(bench.call(&format!("[{n}]"), Requirement::plain(NEXT)));
    let held: Vec<_> = join_all((0..10).map(submit)).await;
    let open: Vec<_> = held.iter().filter_map(|held| held.as_ref().ok()).map(|held| held.call.submission.id).collect();
    assert_eq!(open.len(), 7);
    assert!(held.iter().all(|held| matches!(held, Ok(_) | Err(SubmitError::TooManyPending(7)))));
    // What closes in a batch makes room in it, for as many and no more.
    let (cancelled, more) = tokio::join!(
        join_all(open[..3].iter().map(|id| bench.approvals.cancel(*id, bench.agent.id))),
        join_all((10..15).map(submit)),
    );
    assert!(cancelled.iter().all(Result::is_ok));
    assert_eq!(more.iter().filter(|held| held.is_ok()).count(), 3);
    // Ten were held within the hour, so two more may be, whatever closes.
    let rest: Vec<_> =
        more.into_iter().flatten().map(|held| held.call.submission.id).chain(open[3..].to_vec()).collect();
    let (_, more) = tokio::join!(
        join_all(rest.iter().map(|id| bench.approvals.cancel(*id, bench.agent.id))),
        join_all((20..25).map(submit)),
    );
    assert_eq!(more.iter().filter(|held| held.is_ok()).count(), 2);
    let retry = START.after(Duration::from_secs(3600));
    for refused in more.into_iter().filter_map(Result::err) {
        assert!(matches!(refused, SubmitError::TooManyNew { max: 12, retry_at } if retry_at == retry), "{refused}");
    }
}

/// The database refuses the vote of one reviewer and the call of one agent. Everything else in the same batch is
/// written, the log has no gap, and who was refused is told so.
#[tokio::test]
async fn a_bad_operation_harms_no_other_in_its_batch() {
    for how in ["ABORT", "ROLLBACK"] {
        let bench = Bench::new().await;
        let url = format!("sqlite://{}", bench.folder.path().join("placet.db").display());
        let mut connection = <sqlx::SqliteConnection as sqlx::Connection>::connect(&url).await.unwrap();
        for trigger in [
            format!(
                "CREATE TRIGGER failpoint_a BEFORE INSERT ON votes WHEN new.reason = 'bad' BEGIN SELECT RAISE({how}, 'no'); END"
            ),
            format!(
                "CREATE TRIGGER failpoint_b AFTER INSERT ON calls WHEN new.client = 'bad' BEGIN SELECT RAISE({how}, 'no'); END"
            ),
        ] {
            sqlx::raw_sql(sqlx::AssertSqlSafe(trigger)).execute(&mut connection).await.unwrap();
        }
        let mut calls = Vec::new();
        for n in 0..6 {
            calls.push(bench.hold(&format!("[{n}]")).await);
        }
        let decisions = calls.iter().enumerate().map(|(n, call)| {
            let mut decision = bench.decision(call, bench.mira, Verdict::Reject);
            if n == 2 {
                decision.reason = "bad".into();
            }
            bench.approvals.decide(decision)
        });
        let submits = (10..16).map(|n| {
            let client = if n == 13 { "bad" } else { "good" };
            let call = bench.call(&format!("[{n}]"), Requirement::plain(NEXT));
            bench.approvals.submit(NewCall { client: Some(client.into()), ..call })
        });
        let twin = bench.store.agent_add(NewAgent {
            id: placet::call::AgentId(bench.entropy.uuid(START)),
            name: "other".parse().unwrap(),
            owner: "owner@example.com".parse().unwrap(),
            upstreams: vec![],
            token_hash: Digest::of(b"other"),
        });
        let (decided, held, entry, added) =
            tokio::join!(join_all(decisions), join_all(submits), bench.store.append(Entry::new("call.denied")), twin,);
        // A rare operation shares the transaction: what undoes all of that, undoes it too, and its caller is told.
        assert_eq!((entry.is_ok(), added.is_ok()), (true, how == "ABORT"), "{how}");
        for (n, decided) in decided.into_iter().enumerate() {
            let stands = bench.store.call(calls[n].submission.id).await.unwrap().unwrap();
            if n == 2 {
                let refused = decided.unwrap_err();
                assert!(matches!(refused, DecideError::Store(StoreError::NotWritten(_))), "{refused}");
                assert!(stands.votes.is_empty() && Bench::pending(&stands));
            } else {
                assert_eq!(decided.unwrap(), stands);
            }
        }
        for (n, held) in held.into_iter().enumerate() {
            assert_eq!(held.is_err(), n == 3, "{how} {n}");
        }
        let log = whole(&bench).await;
        let count = |kind: &str| log.iter().filter(|entry| entry.kind == kind).count();
        assert_eq!((count("call.held"), count("call.rejected"), count("call.denied")), (6 + 5, 5, 1), "{how}");
        assert_eq!(count("agent.added"), if how == "ABORT" { 2 } else { 1 }, "{how}");
        // And nothing of it is in the way of what comes next.
        bench.store.append(Entry::new("call.denied")).await.unwrap();
        assert_eq!(whole(&bench).await.len(), log.len() + 1);
    }
}

fn step(scene: &Scene<'_>, event: Event) -> CallChange {
    let entry = Entry::new("call.step").call(scene.call.submission.id);
    CallChange { event, entry, vote: None, approval: None, answer: None, notice: None }
}

/// Every step there is, with the most awkward text that may stand in it: the call that is answered is the call that the
/// database holds.
#[tokio::test]
async fn what_is_answered_is_what_is_stored() {
    const AWKWARD: &str = "\u{0}quote\" back\\slash \u{202e}\u{feff}'; DROP TABLE calls; -- \u{1f600}\r\n\u{0}";
    let bench = Bench::new().await;
    let (by, claim) = (bench.mira, ClaimId(bench.entropy.uuid(START)));
    let vote = |by, verdict| {
        move |scene: &Scene<'_>| {
            let vote = Vote { verdict, by, at: scene.now, reason: AWKWARD.into() };
            let usable_until = scene.now.after(NEXT);
            let quorum = scene.call.submission.requirement.quorum;
            let stored = StoredVote {
                vote: vote.clone(),
                by_email: "mira@example.com".parse().unwrap(),
                mac: Digest::of(AWKWARD.as_bytes()),
            };
            Ok(CallChange {
                vote: Some(stored),
                approval: (verdict == Verdict::Approve).then_some(ApprovalProof(Digest::of(b"proof"))),
                notice: Some("call.decided"),
                ..step(scene, Event::Vote { vote, quorum, usable_until })
            })
        }
    };
    type Step = (Duration, Box<dyn Fn(&Scene<'_>) -> Result<CallChange, ()> + Send>);
    const SOON: Duration = Duration::from_millis(7);
    const AT_ONCE: Duration = Duration::ZERO;
    let votes = |wait, by, verdict| -> Step { (wait, Box::new(vote(by, verdict))) };
    let plain =
        |wait, event: fn(&Scene<'_>) -> Event| -> Step { (wait, Box::new(move |scene| Ok(step(scene, event(scene))))) };
    let finish = |outcome: Outcome, answer: Option<Answer>| -> Vec<Step> {
        vec![
            votes(SOON, bench.noor, Verdict::Approve),
            votes(SOON, by, Verdict::Approve),
            (SOON, Box::new(move |scene| Ok(step(scene, Event::Claim { claim, at: scene.now })))),
            (
                AT_ONCE,
                Box::new(move |scene| {
                    let event = Event::Finish { claim, at: scene.now, outcome: outcome.clone() };
                    Ok(CallChange { answer: answer.clone().map(|answer| (answer, [7; 32])), ..step(scene, event) })
                }),
            ),
        ]
    };
    let usable: fn(&Scene<'_>) -> Event =
        |scene| Event::ApproveByPolicy { at: scene.now, usable_until: scene.now.after(NEXT) };
    let lives: Vec<Vec<Step>> = vec![
        finish(Outcome::Executed, Some(Answer::Result(format!("{{\"x\":{AWKWARD:?}}}")))),
        finish(Outcome::ToolError, Some(Answer::Error(AWKWARD.into()))),
        finish(Outcome::Unknown(AWKWARD.into()), None),
        vec![votes(SOON, bench.noor, Verdict::Approve), votes(AT_ONCE, by, Verdict::Reject)],
        vec![plain(SOON, |scene| Event::Cancel { at: scene.now })],
        vec![
            plain(NEXT, |scene| Event::Escalate { at: scene.now, expires_at: scene.now.after(NEXT) }),
            plain(NEXT, |scene| Event::Expire { at: scene.now }),
        ],
        vec![
            votes(SOON, by, Verdict::Approve),
            plain(NEXT, usable),
            plain(AT_ONCE, |scene| Event::Revoke { at: scene.now, why: AWKWARD.into() }),
        ],
        vec![
            votes(SOON, by, Verdict::Approve),
            votes(AT_ONCE, bench.noor, Verdict::Approve),
            plain(NEXT, |scene| Event::Lapse { at: scene.now }),
        ],
    ];
    for (n, life) in lives.into_iter().enumerate() {
        let arguments = format!("{{\"n\":{n},\"text\":{:?}}}", AWKWARD.replace('\0', ""));
        let new = NewCall {
            client: Some(AWKWARD.into()),
            rule: AWKWARD.into(),
            headers: vec![("Mcp-Param-X".into(), AWKWARD.into())],
            tool_schema: (n % 2 == 0).then(|| Digest::of(b"schema")),
            ..bench.call(&arguments, quorum(2))
        };
        let held = bench.approvals.submit(new).await.unwrap().call;
        let id: CallId = held.submission.id;
        let stored = |bench: &Bench| {
            let store = bench.store.clone();
            async move { store.call(id).await.unwrap().unwrap() }
        };
        assert_eq!(held, stored(&bench).await);
        let mut steps = life.into_iter().peekable();
        while let Some((wait, step)) = steps.next() {
            bench.clock.advance(wait);
            let mut batch = vec![bench.store.change_call(id, Some(by), step)];
            while let Some((_, step)) = steps.next_if(|(wait, _)| *wait == AT_ONCE) {
                batch.push(bench.store.change_call(id, Some(by), step));
            }
            let answers = join_all(batch).await;
            let answers: Vec<HeldCall> = answers.into_iter().map(|answer| answer.unwrap().unwrap()).collect();
            assert_eq!(answers.last(), Some(&stored(&bench).await), "{n}");
        }
        assert!(stored(&bench).await.state.is_terminal(), "{n}");
    }
    whole(&bench).await;
}

/// Somebody else changes the call between the batch's read and its write: it is read again, and nothing is decided on
/// what is not there any more.
#[tokio::test]
async fn what_changed_since_it_was_read_is_read_again() {
    let bench = Bench::new().await;
    let call = bench.hold("{}").await;
    let file = bench.folder.path().join("placet.db");
    let seen = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let times = std::sync::Arc::clone(&seen);
    let decide = move |scene: &Scene<'_>| {
        if times.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
            let other = rusqlite::Connection::open(&file).unwrap();
            other.execute("UPDATE calls SET state = 'cancelled'", []).unwrap();
        }
        Ok::<_, ()>(step(scene, Event::Cancel { at: scene.now }))
    };
    // In company, so that there is a batch to undo.
    let (changed, entry) = tokio::join!(
        bench.store.change_call(call.submission.id, None, decide),
        bench.store.append(Entry::new("call.denied")),
    );
    assert!(matches!(changed.unwrap(), Err(NotChanged::Invalid(..))));
    assert!(entry.is_ok());
    assert_eq!(seen.load(std::sync::atomic::Ordering::SeqCst), 2);
    assert_eq!(bench.kinds(&call).await, ["call.held"]);
    whole(&bench).await;
}
