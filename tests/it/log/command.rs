//! `placet audit checkpoint` and `rotate-key` as a script meets them, with and without a server, and after a kill.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use placet::audit::{Checkpoint, note};
use placet::clock::{Clock, Entropy};
use placet::lifecycle::Tasks;
use placet::store::Store;

use super::{public, tamper};
use crate::support::app::Setup;
use crate::support::upstream::Upstream;

pub(super) fn configured() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let toml = "listen = \"127.0.0.1:0\"\npublic_url = \"http://localhost:8080\"\ndata_dir = \"data\"\n\
                policy = \"policy.json\"\n\n[[upstreams]]\nname = \"iam\"\nurl = \"http://127.0.0.1:9\"\n";
    fs::write(folder.path().join("placet.toml"), toml).unwrap();
    fs::write(folder.path().join("policy.json"), r#"{"version":"1","default":"deny","tools":{}}"#).unwrap();
    folder
}

pub(super) fn placet(folder: &Path, arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_placet")).args(arguments.split_whitespace()).current_dir(folder).output().unwrap()
}

fn said(folder: &Path, arguments: &str) -> String {
    let output = placet(folder, arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn refused(folder: &Path, arguments: &str, code: i32) -> String {
    let output = placet(folder, arguments);
    assert_eq!((output.status.code(), output.stdout), (Some(code), vec![]), "{arguments}");
    String::from_utf8(output.stderr).unwrap()
}

fn opened(data: &Path, note: &str) -> Checkpoint {
    Checkpoint::open(note, &public(data)).unwrap()
}

#[test]
fn without_a_server_a_fresh_note_is_made_and_keys_are_changed() {
    let folder = configured();
    let (folder, data) = (folder.path(), folder.path().join("data"));
    let error = refused(folder, "audit checkpoint", 2);
    assert!(error.contains("there is no log in"), "{error}");
    assert!(!data.exists(), "asking makes none");
    refused(folder, "audit rotate-key", 2);
    refused(folder, "audit", 64);
    refused(folder, "audit checkpoint --lost", 64);

    said(folder, "agent add ci-bot --owner owner@example.com");
    let note = said(folder, "audit checkpoint");
    let first = opened(&data, &note);
    assert_eq!(first.size, 2, "the agent, and the key that is made now");
    assert_eq!(note, fs::read_to_string(data.join("audit.checkpoint")).unwrap(), "byte for byte");
    assert_eq!(said(folder, "audit checkpoint"), note);
    said(folder, "agent revoke ci-bot");
    let second = opened(&data, &said(folder, "audit checkpoint"));
    assert_eq!((second.size, &second.origin), (3, &first.origin));

    let new = said(folder, "audit rotate-key");
    assert_eq!(new.trim_end(), public(&data)[1].to_string());
    let note = said(folder, "audit checkpoint");
    assert_eq!(note::open(&note, &public(&data)).unwrap().by.len(), 2);
    let json: serde_json::Value = serde_json::from_str(&said(folder, "audit rotate-key --json")).unwrap();
    assert_eq!(json["old"], new.trim_end());

    refused(folder, "audit rotate-key --lost", 1);
    fs::remove_file(data.join("audit.key")).unwrap();
    let error = refused(folder, "audit rotate-key", 2);
    assert!(error.contains("rotate-key --lost"), "{error}");
    // Without the key the last published note is still a good one, and nothing was signed.
    let last = placet(folder, "audit checkpoint");
    assert_eq!(last.status.code(), Some(2));
    assert_eq!(opened(&data, &String::from_utf8(last.stdout).unwrap()).size, 5);
    said(folder, "audit rotate-key --lost");
    assert_eq!(public(&data).len(), 4);
    assert_eq!(opened(&data, &said(folder, "audit checkpoint")).size, 6);
}

#[test]
fn over_an_altered_log_nothing_is_signed() {
    let folder = configured();
    let (folder, data) = (folder.path(), folder.path().join("data"));
    said(folder, "agent add ci-bot --owner owner@example.com");
    said(folder, "audit checkpoint");
    tamper(&data, "UPDATE entries SET body = replace(body, 'ci-bot', 'ci-not')");
    for command in ["audit checkpoint", "audit rotate-key"] {
        let error = refused(folder, command, 1);
        assert!(error.contains("nothing was signed: the log is not the one that"), "{error}");
        assert!(error.contains("placet audit verify"), "{error}");
    }
    assert_eq!(public(&data).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_service_signs_by_itself_when_asked_and_at_its_stop() {
    let upstream = Upstream::start().await;
    let app = Setup::http(&upstream.url).start().await;
    let (folder, data) = (app.folder.path().to_owned(), app.folder.path().join("data"));
    assert!(!data.join("audit.checkpoint").exists());
    let file = data.join("audit.checkpoint");
    app.pinned().await;
    app.until("a checkpoint", async || {
        // It sleeps from when it sees the change.
        app.setup.clock.advance(std::time::Duration::from_secs(2));
        file.exists().then_some(())
    })
    .await;
    let first = opened(&data, &fs::read_to_string(&file).unwrap());
    let counted = reqwest::get(format!("{}/metrics", app.url)).await.unwrap().text().await.unwrap();
    assert!(counted.contains("placet_log_checkpoint_entries "), "{counted}");

    app.agent("ci-bot").await;
    let asked = folder.clone();
    let note = tokio::task::spawn_blocking(move || said(&asked, "audit checkpoint")).await.unwrap();
    let second = opened(&data, &note);
    assert_eq!(second.size, first.size + 1);
    let asked = folder.clone();
    let new = tokio::task::spawn_blocking(move || said(&asked, "audit rotate-key")).await.unwrap();
    assert_eq!(public(&data)[1].to_string(), new.trim_end());
    let asked = folder.clone();
    let error = tokio::task::spawn_blocking(move || refused(&asked, "audit rotate-key --lost", 2)).await.unwrap();
    assert!(error.contains("stop it first") && error.contains("without --lost"), "{error}");
    let note = fs::read_to_string(&file).unwrap();
    assert_eq!((note::open(&note, &public(&data)).unwrap().by.len(), opened(&data, &note).size), (2, second.size + 1));

    app.agent("other").await;
    let before = app.app.store.log_size().await.unwrap();
    let app = app.restart().await;
    assert_eq!(app.app.log_at_start, placet::notary::LogAtStart::Continues { size: before }, "signed at the stop");
    let third = opened(&data, &app.app.notary.checkpoint().await.unwrap().note);
    for (from, to) in [(&first, &second), (&first, &third), (&second, &third)] {
        let proof = app.app.store.consistency_proof(from.size, to.size).await.unwrap().unwrap();
        assert!(proof.verify(&from.root, &to.root));
    }
}

/// The process is killed again and again, at moments that nobody chose, while the log grows and is signed.
#[test]
fn kills_leave_a_log_that_continues_what_was_signed() {
    let folder = configured();
    let (folder, data) = (folder.path(), folder.path().join("data"));
    let mut signed: Vec<Checkpoint> = Vec::new();
    for round in 0..6_u64 {
        let mut server = Command::new(env!("CARGO_BIN_EXE_placet"))
            .args(["serve", "--config", "placet.toml"])
            .current_dir(folder)
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let grown = said(folder, &format!("agent add bot-{round} --owner owner@example.com"));
        assert!(grown.starts_with("plt_agent_"));
        if round % 2 == 0 {
            signed.push(opened(&data, &said(folder, "audit checkpoint")));
        }
        server.kill().unwrap();
        server.wait().unwrap();
    }
    signed.push(opened(&data, &said(folder, "audit checkpoint")));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(&data, Clock::system(), &Tasks::default()).await.unwrap();
        for pair in signed.windows(2) {
            let proof = store.consistency_proof(pair[0].size, pair[1].size).await.unwrap().unwrap();
            assert!(proof.verify(&pair[0].root, &pair[1].root));
        }
        let kinds: Vec<_> = store.log_entries().await.unwrap().into_iter().map(|entry| entry.kind).collect();
        assert_eq!(kinds, ["log.key_made"], "no alarm was raised");
        let (_, found) = placet::notary::Notary::open(store, &Entropy::System).await.unwrap();
        assert_eq!(found, placet::notary::LogAtStart::Continues { size: signed.last().unwrap().size });
    });
}
