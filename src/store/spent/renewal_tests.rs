//! The list written anew, at a start and while Placet runs.

use std::fs;

use super::tests::{call, is_older, kept, line, open};
use super::*;

#[tokio::test]
async fn what_ended_is_not_live_whoever_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (spent, _) = open(&folder, None, 0);
    let gone = [line(Kind::Agent, "bot", How::Ended, 5), line(Kind::Reviewer, "r", How::Ended, 5)];
    kept(&spent, [vec![call("a", 4)], gone.to_vec()].concat()).await;
    let live = |entry| {
        let of = |kind, id| line(kind, id, How::Live, entry);
        vec![of(Kind::Call, "a"), of(Kind::Agent, "bot"), of(Kind::Reviewer, "r")]
    };
    spent.renew(live(4), 9).await.unwrap();
    assert!(spent.claim(call("a", 9)).is_none());
    assert!(is_older(&spent, Kind::Agent, "bot", 4) && is_older(&spent, Kind::Reviewer, "r", 4));
    spent.renew(live(8), 9).await.unwrap();
    assert!(is_older(&spent, Kind::Agent, "bot", 8), "no agent is ever added again under its id");
    assert!(!is_older(&spent, Kind::Reviewer, "r", 8), "an account may be opened again");
}

/// Written anew while it is used: what comes meanwhile stays, and who looked before sees what was known then.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_comes_while_it_is_written_anew_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (spent, _) = open(&folder, None, 0);
    spent.renew(vec![], 1).await.unwrap();
    let renewing = async {
        for horizon in 2..40 {
            let live = (0..200).map(|n| line(Kind::Call, &n.to_string(), How::Live, 1)).collect();
            spent.renew(live, horizon).await.unwrap();
        }
    };
    let claiming = (0..200).map(|n| {
        let spent = spent.clone();
        async move { spent.synced(spent.claim(call(&n.to_string(), 1)).unwrap()).await.unwrap() }
    });
    tokio::join!(renewing, futures_util::future::join_all(claiming));
    for spent in [spent, open(&folder, Some(vec![]), 40).0] {
        for n in 0..200 {
            assert_eq!(spent.what_became(Kind::Call, &n.to_string()), Some((How::Claimed, 1)), "{n}");
        }
    }
}

#[tokio::test]
async fn one_that_cannot_be_written_anew_is_appended_to_as_before() {
    let folder = tempfile::tempdir().unwrap();
    let (spent, _) = open(&folder, None, 0);
    spent.0.long.store(2, Ordering::Relaxed);
    kept(&spent, vec![call("a", 1), call("b", 1)]).await;
    assert!(!spent.is_long(), "what was found at the start is not settled yet");
    spent.renew(vec![line(Kind::Agent, "bot", How::Live, 1)], 1).await.unwrap();
    assert!(!spent.is_long());
    kept(&spent, vec![call("c", 2)]).await;
    spent.0.long.store(1, Ordering::Relaxed);
    assert!(spent.is_long());
    let in_the_way = folder.path().join("spent.new");
    fs::create_dir(&in_the_way).unwrap();
    spent.renew(vec![line(Kind::Agent, "bot", How::Live, 1)], 2).await.unwrap_err();
    spent.put_off();
    assert!(!spent.is_long(), "it is not tried again at once");
    kept(&spent, vec![call("d", 3)]).await;
    let known = |spent: &Spent| ["a", "b", "c", "d"].iter().all(|id| is_older(spent, Kind::Call, id, 9));
    assert!(known(&spent) && known(&open(&folder, Some(vec![]), 3).0));
    fs::remove_dir(&in_the_way).unwrap();
    spent.renew(vec![line(Kind::Agent, "bot", How::Live, 1)], 3).await.unwrap();
    let (again, found) = open(&folder, Some(vec![]), 3);
    assert!(known(&again) && found == Found::Fits && !is_older(&again, Kind::Agent, "bot", 1));
}

/// The writer does it by itself, between two transactions.
#[tokio::test]
async fn a_list_that_has_grown_long_is_written_anew_while_placet_runs() {
    use crate::call::{AgentId, AgentName, Digest, Email};
    use crate::clock::{Clock, Entropy};
    use crate::store::{NewAgent, Store};

    let folder = tempfile::tempdir().unwrap();
    let (clock, entropy, tasks) = (Clock::system(), Entropy::seeded(1), Tasks::default());
    let store = Store::open(folder.path(), clock.clone(), &tasks).await.unwrap();
    let long = 40;
    let mut ids = Vec::new();
    for n in 0..60 {
        store.spent.0.long.store(long, Ordering::Relaxed);
        let new = NewAgent {
            id: AgentId(entropy.uuid(clock.now())),
            name: AgentName::new(if n == 0 { "stays" } else { "bot" }).unwrap(),
            owner: Email::parse("owner@example.com").unwrap(),
            upstreams: vec![],
            token_hash: Digest::of(&[n]),
        };
        let name = new.name.clone();
        ids.push(store.agent_add(new).await.unwrap().unwrap().id);
        if n > 0 {
            store.agent_revoke(name).await.unwrap().unwrap();
        }
        let lines = fs::read_to_string(folder.path().join(FILE)).unwrap().lines().count() as u64;
        // The agents that were revoked, those that the last renewal named as live, and what came since.
        assert!(lines < 2 + u64::from(n) + 2 + long + 6, "after {n} it has {lines} lines");
    }
    let text = fs::read_to_string(folder.path().join(FILE)).unwrap();
    let head = text.lines().nth(1).unwrap();
    assert!(!head.starts_with("horizon 0 "), "{head}");
    assert!(text.contains(&format!("agent {} live ", ids[0])), "{text}");
    let stand = async |store: &Store| {
        let agents = store.agents().await.unwrap();
        assert!(agents.len() == ids.len() && agents.iter().all(|agent| agent.genuine));
        agents.into_iter().filter(|agent| agent.revoked_at.is_none()).map(|agent| agent.id).collect::<Vec<_>>()
    };
    assert_eq!(stand(&store).await, [ids[0]]);
    tasks.begin_stop();
    drop(store);
    assert!(tasks.ended(Duration::from_secs(10)).await);
    let tasks = Tasks::default();
    let store = Store::open(folder.path(), clock, &tasks).await.unwrap();
    assert_eq!((stand(&store).await, store.spent_at_start()), (vec![ids[0]], None));
}
