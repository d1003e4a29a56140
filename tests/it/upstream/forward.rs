//! Approved calls on their way.

use std::time::Duration;

use placet::call::{Answer, CallId, Era, ToolName};
use placet::gateway::upstream::{Outgoing, SendError};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{Bench, agent, name, tool};

const ID: CallId = CallId(Uuid::from_u128(9));

async fn forward(bench: &Bench, era: Era, params: &str) -> Result<Value, SendError> {
    let call = Outgoing {
        id: ID,
        agent: agent(),
        upstream: &name(),
        tool: &ToolName::new("any").unwrap(),
        params,
        headers: &[],
        era,
        deadline: Duration::from_secs(60),
    };
    bench.upstreams.forward(call).await.map(|answer| match answer {
        Answer::Result(text) => serde_json::from_str(&text).unwrap(),
        Answer::Error(text) => json!({"error": text}),
    })
}

#[tokio::test]
async fn what_is_sent_is_what_was_approved() {
    let params = r#"{ "arguments":{"n":12345678901234567890123,"z":1.0},"name" : "echo","_meta":{"progressToken":0} }"#;
    let line = format!(r#"{{"jsonrpc":"2.0","id":"placet-{ID}","method":"tools/call","params":{params}}}"#);
    for (mode, era) in [("legacy", Era::Sessions), ("modern", Era::Stateless)] {
        let bench = Bench::stub(mode);
        assert_eq!(forward(&bench, era, params).await.unwrap()["line"], line.as_str(), "{mode}");
        assert_eq!(
            forward(&bench, era, r#"{"name":"none"}"#).await.unwrap()["error"],
            r#"{"code":-32602,"message":"no"}"#
        );
    }
}

#[tokio::test]
async fn the_agents_own_link_is_used_while_it_lives() {
    let bench = Bench::stub("legacy");
    let (older, newer) = (bench.open().await, bench.open().await);
    let pids = [tool(&older, "pid").await, tool(&newer, "pid").await];
    let _older = bench.upstreams.register(ID, older.clone(), None);
    let registered = bench.upstreams.register(ID, newer.clone(), None);
    assert_eq!(forward(&bench, Era::Sessions, r#"{"name":"pid"}"#).await.unwrap(), pids[1]);
    drop(registered);
    assert_eq!(forward(&bench, Era::Sessions, r#"{"name":"pid"}"#).await.unwrap(), pids[0]);
    older.close().await;
    assert!(bench.upstreams.registered(ID).is_none());
    let own = forward(&bench, Era::Sessions, r#"{"name":"pid"}"#).await.unwrap();
    assert!(!pids.contains(&own));
}

#[tokio::test]
async fn the_agent_hears_of_its_call_but_is_never_asked() {
    let bench = Bench::stub("legacy");
    let link = bench.open().await;
    let mut listener = link.listen().await.unwrap();
    let (relay, mut relayed) = mpsc::channel(16);
    let _registered = bench.upstreams.register(ID, link.clone(), Some(relay));
    let asks = r#"{"name":"ask","arguments":{"method":"elicitation/create"}}"#;
    let told = forward(&bench, Era::Sessions, asks).await.unwrap();
    assert!(told["told"].as_str().unwrap().contains("-32601"), "{told}");
    assert!(relayed.try_recv().is_err() && listener.try_recv().is_err());

    forward(&bench, Era::Sessions, r#"{"name":"progress","_meta":{"progressToken":"t"}}"#).await.unwrap();
    for _ in 0..3 {
        assert!(String::from_utf8_lossy(&relayed.recv().await.unwrap().bytes).contains("notifications/progress"));
    }
}

#[tokio::test]
async fn a_cancel_is_passed_on_and_silence_afterwards_is_not_waited_for() {
    let bench = Bench::stub("legacy");
    let link = bench.open().await;
    let _registered = bench.upstreams.register(ID, link.clone(), None);
    assert!(!bench.upstreams.cancel(ID).await);
    let hangs = forward(&bench, Era::Sessions, r#"{"name":"hang"}"#);
    tokio::pin!(hangs);
    assert!(futures_util::poll!(&mut hangs).is_pending());
    let twice = forward(&bench, Era::Sessions, r#"{"name":"hang"}"#).await.unwrap_err();
    assert!(matches!(twice, SendError::NotSent(_)), "{twice}");
    assert!(bench.upstreams.cancel(ID).await);
    let seen = async {
        loop {
            let seen = tool(&link, "seen").await;
            if seen.to_string().contains(&format!("placet-{ID}")) {
                return;
            }
        }
    };
    tokio::select! {
        _ = &mut hangs => panic!("it hangs"),
        () = seen => {}
    }
    assert!(futures_util::poll!(&mut hangs).is_pending());
    bench.clock.advance(Duration::from_secs(10));
    assert!(matches!(hangs.await.unwrap_err(), SendError::Unknown(_)));
}

#[tokio::test]
async fn who_dies_may_have_run_it_and_who_never_started_has_not() {
    let bench = Bench::stub("legacy");
    let error = forward(&bench, Era::Sessions, r#"{"name":"die"}"#).await.unwrap_err();
    assert!(matches!(&error, SendError::Unknown(why) if why.contains("exit status: 4")), "{error}");
    let crashing = Bench::stub("crash");
    let error = forward(&crashing, Era::Sessions, r#"{"name":"echo"}"#).await.unwrap_err();
    assert!(matches!(error, SendError::NotSent(_)), "initialize failed, so the call was not sent: {error}");
}
