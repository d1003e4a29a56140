//! `placet demo` as a newcomer runs it.

use std::time::Duration;

use super::desk::Desk;
use super::process::Process;
use crate::support::components::Env;

#[tokio::test]
async fn the_demo_shows_the_whole_way_and_leaves_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let env = Env::from([("TMPDIR".to_owned(), temporary.path().to_str().unwrap().to_owned())]);
    let mut demo = Process::start(&["demo", "--listen", "127.0.0.1:0"], &env);

    let mut said = Vec::new();
    let waits = loop {
        let line = demo.line().await;
        if line.starts_with("agent: put_user_policy pending") {
            break line;
        }
        said.push(line);
    };
    assert!(waits.contains("waits for you"), "{waits}");
    let (agent, own): (Vec<_>, Vec<_>) = said.iter().partition(|line| line.starts_with("agent: "));
    assert!(own.len() <= 10, "{own:#?}");
    assert!(agent.iter().all(|line| line.contains(" executed ")), "{agent:#?}");
    let link = own[0];
    let code = own[1].strip_prefix("code: ").expect("the code follows the link");
    assert!(temporary.path().read_dir().unwrap().next().is_some(), "the demo honours TMPDIR");

    let mut desk = Desk::by_link(link, code).await;
    let call = desk.pending().await;
    while !desk.get("/demo/mails").await.text.contains("put_user_policy") {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    desk.decide(&call, "approve", "").await;
    let outcome = demo.line().await;
    assert!(outcome.starts_with("agent: put_user_policy executed"), "{outcome}");
    let read = demo.line().await;
    assert!(read.starts_with("agent: get_user_policy executed") && read.contains("iam:PutUserPolicy"), "{read}");

    let ended = demo.terminate().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stderr, "");
    let left: Vec<_> = temporary.path().read_dir().unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
