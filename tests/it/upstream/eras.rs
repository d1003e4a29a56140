//! Which eras an upstream speaks.

use std::time::Duration;

use placet::gateway::upstream::Eras;

use super::{Bench, agent};

#[tokio::test]
async fn processes_are_asked() {
    for (mode, sessions, stateless) in
        [("legacy", true, false), ("modern", false, true), ("both", true, true), ("exits", true, false)]
    {
        let bench = Bench::stub(mode);
        assert_eq!(bench.upstream().eras().await.unwrap(), Eras { sessions, stateless }, "{mode}");
        let own = bench.upstream().own(agent()).await.unwrap();
        assert_eq!(super::tool(&own, "echo").await["line"].as_str().unwrap().contains("_meta"), stateless, "{mode}");
    }
}

#[tokio::test]
async fn a_server_that_falls_silent_at_the_question_is_of_the_session_era() {
    let bench = Bench::stub("silent");
    let upstream = bench.upstream();
    let eras = upstream.eras();
    tokio::pin!(eras);
    // Once the question waits, only the deadline can end it.
    assert!(futures_util::poll!(&mut eras).is_pending());
    bench.clock.advance(Duration::from_secs(20));
    assert_eq!(eras.await.unwrap(), Eras { sessions: true, stateless: false });
}

#[tokio::test]
async fn a_failed_probe_is_not_remembered() {
    let bench = Bench::stub("crash");
    let first = bench.upstream().eras().await.unwrap_err();
    assert!(first.surely_not_sent());
    let second = bench.upstream().eras().await.unwrap_err().to_string();
    assert!(second.contains("it is tried again in"), "{second}");
    bench.clock.advance(Duration::from_secs(60));
    let third = bench.upstream().eras().await.unwrap_err().to_string();
    assert!(!third.contains("it is tried again in"), "it was tried: {third}");
}
