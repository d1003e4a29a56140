//! `placet agent` and `placet reviewer`, as a script meets them: with and without a running server.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use placet::clock::{Clock, Entropy};
use placet::control::{self, Desk};
use placet::identity::{Identity, SessionLimits};
use placet::lifecycle::Tasks;
use placet::notary::Notary;
use placet::store::Store;

fn configured() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let toml = "listen = \"127.0.0.1:8080\"\npublic_url = \"http://localhost:8080\"\ndata_dir = \"data\"\n\
                policy = \"policy.json\"\n\n[[upstreams]]\nname = \"iam\"\ncommand = [\"true\"]\n";
    std::fs::write(folder.path().join("placet.toml"), toml).unwrap();
    folder
}

fn placet(folder: &Path, arguments: &str, input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_placet"))
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads nothing may have closed its end already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn code(folder: &Path, arguments: &str, input: &str) -> i32 {
    placet(folder, arguments, input).status.code().unwrap()
}

fn said(folder: &Path, arguments: &str) -> String {
    let output = placet(folder, arguments, "");
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A server that holds the folder and takes commands.
async fn serving(folder: &Path) -> Tasks {
    let (tasks, data) = (Tasks::default(), folder.join("data"));
    let store = Store::open(&data, Clock::System, &tasks).await.unwrap();
    let identity = Identity::new(store.clone(), Clock::System, Entropy::System, SessionLimits::default());
    let (notary, _) = Notary::open(store, &Entropy::System).await.unwrap();
    let desk = Desk { identity, notary: Some(notary), entropy: Entropy::System };
    control::listen(&data, desk, &tasks).unwrap();
    tasks
}

/// Everything that a script does, in whichever process owns the database.
fn the_same_either_way(folder: &Path) {
    let token = said(folder, "agent add ci-bot --owner owner@example.com --upstream iam");
    assert!(token.starts_with("plt_agent_") && token.lines().count() == 1, "only the secret: {token}");
    assert_eq!(code(folder, "agent add ci-bot --owner owner@example.com", ""), 1);
    assert_eq!(code(folder, "agent add other --owner owner@example.com --upstream none", ""), 1);
    assert_eq!(code(folder, "agent add bad/name --owner owner@example.com", ""), 64);
    assert_eq!(code(folder, "agent add nobodys", ""), 64);
    assert!(said(folder, "agent list --json").contains(r#""name":"ci-bot""#));
    assert_eq!(code(folder, "agent revoke ci-bot", ""), 0);
    assert_eq!(code(folder, "agent revoke ci-bot", ""), 1);

    let add = "reviewer add mira@example.com --group iam --role reviewer --role auditor --password-stdin";
    assert_eq!(code(folder, add, "short\n"), 1);
    assert_eq!(code(folder, add, ""), 64);
    assert_eq!(code(folder, add, "correct horse battery\n"), 0);
    assert_eq!(code(folder, add, "correct horse battery\n"), 1);
    assert!(said(folder, "reviewer list --json").contains(r#""roles":["reviewer","auditor"]"#));
    let link = said(folder, "reviewer link mira@example.com");
    let lines: Vec<_> = link.lines().collect();
    assert!(lines[0].starts_with("http://localhost:8080/login/link/plt_link_"), "{link}");
    assert!(lines[1].strip_prefix("code: ").unwrap().parse::<u32>().is_ok(), "{link}");
    assert!(said(folder, "reviewer token mira@example.com --decide").starts_with("plt_api_"));
    assert_eq!(code(folder, "reviewer token mira@example.com --days 0", ""), 64);
    assert_eq!(code(folder, "reviewer link nobody@example.com", ""), 1);
    assert_eq!(code(folder, "reviewer disable mira@example.com", ""), 0);
    assert_eq!(code(folder, "reviewer disable mira@example.com", ""), 1);
}

#[test]
fn without_a_server_commands_open_the_database() {
    let folder = configured();
    the_same_either_way(folder.path());
    assert_eq!(code(folder.path(), "agent list --config nowhere.toml", ""), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_server_they_go_through_it() {
    let folder = configured();
    let tasks = serving(folder.path()).await;
    let path = folder.path().to_owned();
    tokio::task::spawn_blocking(move || the_same_either_way(&path)).await.unwrap();
    tasks.begin_stop();
}
