//! Servers that are child processes.

use std::time::Duration;

use placet::call::{AgentId, Answer};
use placet::gateway::upstream::{Link, SendError, Transport, UpstreamError};
use serde_json::Value;
use uuid::Uuid;

use super::{Bench, agent, all, begin, call, process, stub, tool, until};

#[tokio::test]
async fn every_byte_goes_there_and_back() {
    let link = Bench::stub("legacy").open().await;
    let sent = "{\"id\": \"\\u0061é\" , \"jsonrpc\":\"2.0\",\r\n \"method\":\"tools/call\",\"x\":12345678901234567890123,\
                \"params\":{\"name\":\"echo\",\"arguments\":{\"n\":1.0,\"e\":1E2}}}";
    let answers = all(begin(&link, sent).await).await;
    let line = sent.replace(['\r', '\n'], " ");
    let wanted = serde_json::json!({"line": line});
    let got: Value = serde_json::from_str(&answers[0]).unwrap();
    assert_eq!((answers.len(), &got["result"]), (1, &wanted), "only line breaks become spaces");

    let exact = all(begin(&link, call("0", r#"{"name":"exact"}"#)).await).await;
    let wanted =
        r#"{ "id" : 0, "result": {"n": 12345678901234567890123, "n": 1.0, "s": "\ud800"}, "jsonrpc":"2.0", "x":[] }"#;
    assert_eq!(exact, [wanted]);
}

#[tokio::test]
async fn progress_finds_its_request_and_the_rest_goes_to_who_listens() {
    let link = Bench::stub("legacy").open().await;
    let mut listener = link.listen().await.unwrap();
    let waits = begin(&link, call("1", r#"{"name":"keep","_meta":{"progressToken":1}}"#)).await;
    let newer = begin(&link, call("2", r#"{"name":"progress","_meta":{"progressToken":"1"}}"#)).await;
    let newest = begin(&link, call("3", r#"{"name":"release"}"#)).await;
    let texts = all(newer).await;
    assert_eq!(texts.len(), 4, "{texts:?}");
    assert!(texts[..3].iter().all(|text| text.contains(r#""progressToken":"1""#)), "{texts:?}");
    assert_eq!((all(waits).await.len(), all(newest).await.len()), (1, 1));
    assert!(listener.recv().await.unwrap().bytes.ends_with(br#"{"data":"unrelated"}}"#));

    let question = all(begin(&link, call("4", r#"{"name":"hang"}"#)).await);
    let asks = begin(&link, call("5", r#"{"name":"ask","arguments":{"method":"roots/list"}}"#)).await;
    assert!(listener.recv().await.unwrap().bytes.starts_with(br#"{"jsonrpc":"2.0","id":"q0""#));
    let reply = r#"{"jsonrpc":"2.0","id":"q0","result":{"roots":[]}}"#;
    link.send(reply.into(), &[]).await.unwrap();
    assert!(all(asks).await[0].contains("roots"));
    drop(question);
}

#[tokio::test]
async fn noise_garbage_and_second_answers_disturb_nobody() {
    let link = Bench::stub("legacy").open().await;
    for (id, name) in [("1", "noise"), ("2", "garbage"), ("3", "twice"), ("4", "echo")] {
        let answers = all(begin(&link, call(id, &format!(r#"{{"name":"{name}"}}"#))).await).await;
        assert_eq!(answers.len(), 1, "{name}: {answers:?}");
        assert!(answers[0].starts_with(&format!(r#"{{"jsonrpc":"2.0","id":{id}"#)), "{answers:?}");
    }
    for not_a_message in ["", "[]", "{}", r#"{"jsonrpc":"2.0"}"#] {
        let error = link.send(not_a_message.into(), &[]).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Malformed) && error.surely_not_sent(), "{error}");
    }
}

#[tokio::test]
async fn who_dies_in_the_middle_ends_the_exchange_without_a_response() {
    let bench = Bench::stub("legacy");
    let link = bench.open().await;
    let first = begin(&link, call("1", r#"{"name":"echo"}"#)).await;
    assert_eq!(all(first).await.len(), 1);
    let waits = begin(&link, call("2", r#"{"name":"keep"}"#)).await;
    let dies = begin(&link, call("3", r#"{"name":"die"}"#)).await;
    assert_eq!((all(dies).await.len(), all(waits).await.len()), (0, 0));
    assert!(!link.is_alive());
    assert_eq!(link.ended_because().unwrap(), "its process ended (exit status: 4)");
    let error = link.send(call("4", "{}"), &[]).await.unwrap_err();
    assert!(error.surely_not_sent(), "{error}");
    let error = link.request("ping", "{}", &[], Duration::from_secs(9)).await.unwrap_err();
    assert!(matches!(error, SendError::NotSent(_)), "{error}");
    assert!(link.listen().await.is_err());
    assert!(bench.open().await.is_alive(), "it had worked, so it is started again at once");
}

#[tokio::test]
async fn a_server_that_fails_at_start_is_left_alone_for_a_while() {
    let bench = Bench::stub("crash");
    let link = bench.open().await;
    // Depending on who is faster, the pipe is closed before the message or behind it.
    if let Ok(placet::gateway::upstream::Exchange::Messages(messages)) = link.send(call("1", "{}"), &[]).await {
        assert_eq!(all(messages).await.len(), 0);
    }
    until(|| link.ended_because().is_some()).await;
    let error = bench.upstream().open(agent()).await.unwrap_err();
    assert!(error.surely_not_sent());
    let text = error.to_string();
    assert!(text.contains("ended as soon as it was started (exit status: 3); it is tried again in 1 s"), "{text}");
    assert!(!text.contains("configuration is missing"), "an agent does not see what the server printed: {text}");
    bench.clock.advance(Duration::from_secs(1));
    assert!(bench.upstream().open(agent()).await.is_ok());

    let nowhere = Bench::new(&[process(&["/nonexistent/server"])]);
    for tried_again in ["1 s", "1 s"] {
        let error = nowhere.upstream().open(agent()).await.unwrap_err().to_string();
        assert!(error.contains("its command was not found"), "{error}");
        assert!(!error.contains("tried again") || error.contains(tried_again), "{error}");
    }
}

#[tokio::test]
async fn the_environment_is_what_was_configured_and_little_more() {
    let link = Bench::stub("legacy").open().await;
    let env = tool(&link, "env").await;
    // Where Python is started by a script, that sets variables of its own.
    let own = |name: &str| {
        ["PATH", "HOME", "LANG", "TMPDIR", "PWD", "OLDPWD", "SHLVL", "_"].contains(&name) || name.contains("PYENV")
    };
    let theirs = env.as_object().unwrap();
    let leaked: Vec<_> =
        std::env::vars().map(|(name, _)| name).filter(|name| theirs.contains_key(name) && !own(name)).collect();
    assert_eq!(leaked, [""; 0]);
    assert!(env["PATH"].is_string());
    assert_eq!(env["GIVEN"], "a=b");
}

#[tokio::test]
async fn grandchildren_end_with_their_upstream() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("held");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let link = Bench::stub("legacy").open().await;
    let reader = tokio::task::spawn_blocking({
        let pipe = pipe.clone();
        move || std::fs::read(pipe)
    });
    let params = format!(r#"{{"name":"fork","arguments":{{"hold":"{}"}}}}"#, pipe.display());
    assert_eq!(all(begin(&link, call("1", &params)).await).await.len(), 1);
    link.close().await;
    assert!(!link.is_alive());
    // The pipe ends when the last process that holds it is gone.
    let read = tokio::time::timeout(Duration::from_secs(60), reader).await.expect("the grandchild ends");
    assert_eq!(read.unwrap().unwrap(), b"");
}

#[tokio::test]
async fn a_message_without_end_ends_the_link() {
    let link = Bench::stub("legacy").open().await;
    assert_eq!(all(begin(&link, call("1", r#"{"name":"huge"}"#)).await).await.len(), 0);
    assert_eq!(link.ended_because().unwrap(), "it sent a message of more than 64 MiB");
}

#[tokio::test]
async fn a_request_that_hangs_is_called_off_at_its_deadline() {
    let bench = Bench::stub("legacy");
    let link = bench.open().await;
    let hangs = link.request("tools/call", r#"{"name":"hang"}"#, &[], Duration::from_secs(9));
    tokio::pin!(hangs);
    // The echo is answered behind the hanging request, so that has been taken.
    tokio::select! {
        _ = &mut hangs => panic!("it hangs"),
        _ = tool(&link, "echo") => {}
    }
    bench.clock.advance(Duration::from_secs(9));
    let error = hangs.await.unwrap_err();
    assert_eq!(error, SendError::Unknown("the upstream gave no answer within 9 s".into()));
    let seen = tool(&link, "seen").await;
    assert!(seen[0].as_str().unwrap().contains("notifications/cancelled"), "{seen}");
}

#[tokio::test]
async fn a_server_that_reads_nothing_can_still_be_ended() {
    let bench = Bench::stub("deaf");
    let link = bench.open().await;
    // Once this is written, the writer waits for the next.
    link.send(r#"{"jsonrpc":"2.0","method":"small"}"#.into(), &[]).await.unwrap();
    let large = format!(r#"{{"x":"{}"}}"#, "y".repeat(1 << 20));
    let request = link.request("tools/call", &large, &[], Duration::from_secs(9));
    tokio::pin!(request);
    for _ in 0..8 {
        assert!(futures_util::poll!(&mut request).is_pending());
        tokio::task::yield_now().await;
    }
    link.close().await;
    let error = request.await.unwrap_err();
    assert!(matches!(error, SendError::Unknown(_)), "a part of it lies in the pipe: {error:?}");
}

#[tokio::test]
async fn no_two_open_requests_of_a_pool_share_an_id_in_one_process() {
    let bench = Bench::stub("modern");
    let upstream = bench.upstream();
    let stateless = async |id, token| upstream.stateless(agent(), Some(id), token).await.unwrap();

    let first = stateless("0", Some("0")).await;
    let (same_id, same_token, neither) =
        (stateless("0", None).await, stateless("1", Some("0")).await, stateless("2", Some("1")).await);
    let home = pid(&first).await;
    assert_ne!(pid(&same_id).await, home);
    assert_ne!(pid(&same_token).await, home);
    assert_eq!(pid(&neither).await, home);

    let waits = begin(&first, call("0", r#"{"name":"keep","_meta":{"progressToken":0}}"#)).await;
    drop((first, same_id));
    assert_ne!(pid(&stateless("0", None).await).await, home, "still open, though its link is gone");
    drop(waits);
    assert_ne!(pid(&stateless("0", None).await).await, home, "its answer may still come");
    assert_eq!(pid(&stateless("\"0\"", None).await).await, home);
    let other = upstream.stateless(AgentId(Uuid::from_u128(2)), None, None).await.unwrap();
    let others = pid(&other).await;
    assert_ne!(others, home);
    other.close().await;
    assert_eq!(pid(&other).await, others, "a place in a pool ends without ending the process");
}

#[tokio::test]
async fn shared_processes_serve_every_agent() {
    let mut config = stub("modern");
    config.shared = true;
    let upstream = Bench::new(&[config]).upstream();
    let mut pids = Vec::new();
    for n in 0..3 {
        let link = upstream.stateless(AgentId(Uuid::from_u128(n)), Some("1"), None).await.unwrap();
        pids.push(tool(&link, "pid").await);
    }
    pids.dedup();
    assert_eq!(pids.len(), 1);
}

#[tokio::test]
async fn links_are_limited_and_the_longest_unused_makes_room() {
    let bench = Bench::new(&[process(&["cat"])]);
    let mut links = Vec::new();
    for _ in 0..32 {
        bench.clock.advance(Duration::from_millis(1));
        links.push(bench.open().await);
    }
    let newest = bench.open().await;
    until(|| !links[0].is_alive()).await;
    assert_eq!(links.iter().filter(|link| link.is_alive()).count(), 31);
    assert!(newest.is_alive());
    links[0] = newest;
    let mut busy = Vec::new();
    for link in &links {
        busy.push(link.listen().await.unwrap());
    }
    let error = bench.upstream().open(agent()).await.unwrap_err();
    assert!(matches!(error, UpstreamError::TooManyLinks { max: 32, .. }), "{error}");
    assert!(bench.upstream().open(AgentId(Uuid::from_u128(2))).await.is_ok(), "another agent is not concerned");
    bench.upstreams.close().await;
    assert!(links.iter().all(|link| !link.is_alive()));
}

#[tokio::test]
async fn unused_links_end_and_used_ones_stay() {
    let bench = Bench::stub("legacy");
    let (unused, listened, own) =
        (bench.open().await, bench.open().await, bench.upstream().own(agent()).await.unwrap());
    let _listener = listened.listen().await.unwrap();
    let own_again = bench.upstream().own(agent()).await.unwrap();
    assert!(std::sync::Arc::ptr_eq(&own, &own_again), "kept");
    let watch = std::sync::Arc::downgrade(&own);
    drop((own, own_again));
    // The sweeper must be waiting when the clock moves.
    tokio::task::yield_now().await;
    bench.clock.advance(Duration::from_secs(31 * 60));
    until(|| !unused.is_alive() && watch.upgrade().is_none()).await;
    assert!(listened.is_alive());
}

#[tokio::test]
async fn what_cannot_work_is_refused_at_once() {
    let tasks = placet::lifecycle::Tasks::default();
    let (clock, entropy) = (placet::clock::Clock::system(), placet::clock::Entropy::System);
    let refuse = |configs: &[_]| {
        placet::gateway::upstream::Upstreams::new(configs, &tasks, &clock, &entropy).unwrap_err().to_string()
    };
    assert!(refuse(&[process(&[])]).contains("command is empty"));
    assert!(refuse(&[process(&["cat"]), process(&["cat"])]).contains("occurs twice"));
    let mut config = process(&["cat"]);
    if let Transport::Stdio { user, .. } = &mut config.transport {
        *user = Some("nobody-of-this-name".to_owned());
    }
    assert!(refuse(&[config]).contains("no system user"));
}

#[tokio::test]
async fn own_sessions_answer_pings_and_nothing_else() {
    let own = Bench::stub("legacy").upstream().own(agent()).await.unwrap();
    for (method, told) in [("ping", r#""result":{}"#), ("roots/list", "-32601"), ("elicitation/create", "-32601")] {
        let params = format!(r#"{{"name":"ask","arguments":{{"method":"{method}"}}}}"#);
        let answer = own.request("tools/call", &params, &[], Duration::from_secs(60)).await.unwrap();
        let Answer::Result(text) = answer else { panic!("{answer:?}") };
        let text: Value = serde_json::from_str(&text).unwrap();
        assert!(text["told"].as_str().unwrap().contains(told), "{method}: {text}");
    }
    let seen = tool(&own, "seen").await;
    assert_eq!(seen, serde_json::json!([r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#]));
}

async fn pid(link: &std::sync::Arc<Link>) -> Value {
    tool(link, "pid").await
}
