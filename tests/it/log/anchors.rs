//! Anchors: every kind with its worst failures, on a schedule, and a folder that was put back whole.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::routing::any;
use placet::anchor::{Means, Parcel, Place, last_note};
use placet::audit::Checkpoint;
use placet::audit::note::SigningKey;
use placet::call::Digest;
use placet::notify::{Mailer, Security, Smtp, Transport};
use tokio::task::JoinSet;

use super::command::placet;
use super::public;
use crate::support::app::{Setup, TestApp};
use crate::support::bench::START;
use crate::support::smtp::SmtpSink;
use crate::support::upstream::Upstream;

fn note(size: u64) -> String {
    let key = SigningKey::from_seed("placet.log/x", &[1; 32]).unwrap();
    Checkpoint { origin: "placet.log/x".into(), size, root: Digest::of(b"root") }.sign(&[&key]).unwrap()
}

fn means(mailer: Option<Mailer>) -> Means {
    Means { mailer, host: "placet.example.com".into(), patience: Duration::from_secs(20) }
}

async fn deliver(place: &Place, size: u64) -> Result<(), String> {
    deliver_with(&means(None), place, size).await
}

async fn deliver_with(means: &Means, place: &Place, size: u64) -> Result<(), String> {
    let delivered = means.deliver(place, Parcel { note: &note(size), size, at: START }).await;
    delivered.map_err(|undelivered| undelivered.to_string())
}

fn sh(script: &str) -> Place {
    Place::Command(["sh", "-c", script].map(str::to_owned).to_vec())
}

#[tokio::test]
async fn a_file_gets_note_after_note_and_what_a_crash_left_of_one_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("placet.checkpoints");
    let place = Place::File(path.clone());
    assert_eq!(last_note(&path).unwrap(), None);
    for size in 1..=3 {
        deliver(&place, size).await.unwrap();
        assert_eq!(last_note(&path).unwrap().unwrap(), note(size).as_bytes());
    }
    let three = [note(1), note(2), note(3)].join("\n");
    assert_eq!(fs::read_to_string(&path).unwrap(), three);
    for torn in [
        "\nplacet.log/x\n",
        "\nplacet.log/x\n4\nAAAA\n\n",
        "\nplacet.log/x\n4\nAAAA\n\n\u{2014} placet.log/x AAA",
        "\0\0",
    ] {
        fs::write(&path, format!("{three}{torn}")).unwrap();
        assert_eq!(last_note(&path).unwrap().unwrap(), note(3).as_bytes(), "{torn:?}");
        deliver(&place, 4).await.unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{three}\n{}", note(4)), "{torn:?}");
    }
    // A long file is read at its end alone; what is no file of notes is not cut.
    let long: String = (0..3000).map(|size| note(size) + "\n").collect();
    fs::write(&path, long).unwrap();
    assert_eq!(last_note(&path).unwrap().unwrap(), note(2999).as_bytes());
    for other in ["", "\n\n\n", "shopping list\n", "a\n\nb\n\nc"] {
        fs::write(&path, other).unwrap();
        assert_eq!(last_note(&path).unwrap(), None, "{other:?}");
        deliver(&place, 7).await.unwrap();
        let now = fs::read_to_string(&path).unwrap();
        assert!(now.starts_with(other) && now.ends_with(&note(7)), "{now:?}");
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_written_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| Place::File(folder.path().join(path));
    assert!(deliver(&at("none/x"), 1).await.unwrap_err().contains("its folder is not there"));
    assert!(deliver(&at("."), 1).await.unwrap_err().contains("it is a folder"));
    // Not even root writes there; a device takes everything and keeps nothing.
    assert!(deliver(&Place::File("/sys/placet".into()), 1).await.is_err());
    assert!(deliver(&Place::File("/dev/null".into()), 1).await.unwrap_err().contains("not a plain file"));
    assert!(last_note(folder.path()).is_err());
}

#[tokio::test]
async fn a_command_gets_the_note_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    deliver(&sh(&format!("cat > {0}; env > {0}.env", out.display())), 5).await.unwrap();
    assert_eq!(fs::read_to_string(&out).unwrap(), note(5));
    let env = fs::read_to_string(out.with_extension("env")).unwrap();
    let names: Vec<_> = env.lines().map(|line| line.split('=').next().unwrap()).collect();
    // The shell sets some of its own.
    assert!(
        names.contains(&"PATH") && names.iter().all(|name| ["PATH", "PWD", "SHLVL", "_", "OLDPWD"].contains(name)),
        "{env}"
    );
    deliver(&sh("exit 0"), 5).await.unwrap();
    deliver(&sh("sleep 1000 & cat"), 5).await.unwrap();
}

#[tokio::test]
async fn a_command_that_fails_hangs_or_is_missing_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain");
    fs::write(&plain, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o644)).unwrap();
    let program = |path: &Path| Place::Command(vec![path.to_str().unwrap().to_owned()]);
    for (place, wanted) in [
        (sh("cat >/dev/null; printf 'no\\033[31m\\nroom' >&2; exit 3"), "the command ended with 3: no [31m room"),
        (sh("exit 1"), "the command ended with 1"),
        (sh("kill -9 $$"), "the command was killed"),
        (sh("yes broken >&2 & cat >/dev/null; sleep 0.2; kill %1; exit 4"), "the command ended with 4: broken broken"),
        (program(&folder.path().join("missing")), "the command was not found"),
        (program(&plain), "the command may not be run"),
        (Place::Command(vec![]), "it names no program"),
    ] {
        let why = deliver(&place, 1).await.unwrap_err();
        assert!(why.starts_with(wanted) && why.len() < 400, "{why}");
    }
    // One that hangs is ended with everything that it started.
    let pid = folder.path().join("pid");
    let hangs = sh(&format!("sleep 1000 & echo $! > {}; wait", pid.display()));
    let short = Means { patience: Duration::from_millis(500), ..means(None) };
    let why = deliver_with(&short, &hangs, 1).await.unwrap_err();
    assert!(why.contains("longer than 0.5 s"), "{why}");
    let child = fs::read_to_string(&pid).unwrap();
    let stat = format!("/proc/{}/stat", child.trim());
    for _ in 0..500 {
        // Gone, or only waiting to be counted by whoever reaps orphans.
        if fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z ")) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("process {child} still runs");
}

/// A server that answers as its path says, counts, and keeps what it got last.
struct Witness {
    url: String,
    hits: Arc<AtomicUsize>,
    got: Arc<Mutex<(String, String)>>,
    _serving: JoinSet<()>,
}

async fn witness() -> Witness {
    let (hits, got) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::default()));
    let (counted, kept) = (Arc::clone(&hits), Arc::clone(&got));
    let answer = move |request: axum::extract::Request| {
        let (hits, got) = (Arc::clone(&counted), Arc::clone(&kept));
        async move {
            hits.fetch_add(1, Ordering::SeqCst);
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
            let kind = parts.headers["content-type"].to_str().unwrap().to_owned();
            *got.lock().unwrap() = (format!("{} {kind}", parts.method), String::from_utf8(body.to_vec()).unwrap());
            match parts.uri.path() {
                "/hang" => std::future::pending().await,
                "/elsewhere" => (StatusCode::FOUND, [("location", "/200")]).into_response(),
                "/kept" => (StatusCode::TEMPORARY_REDIRECT, [("location", "/200")]).into_response(),
                path => StatusCode::from_u16(path[1..].parse().unwrap()).unwrap().into_response(),
            }
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let router = axum::Router::new().fallback(any(answer));
    let mut serving = JoinSet::new();
    serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
    Witness { url, hits, got, _serving: serving }
}

#[tokio::test]
async fn a_url_gets_the_note_unless_it_redirects_fails_or_is_inside() {
    let Witness { url: base, hits, got, _serving } = witness().await;
    let url = |path: &str| Place::Url { url: format!("{base}{path}"), allow_private: true };
    for path in ["/200", "/201", "/204"] {
        deliver(&url(path), 9).await.unwrap();
        assert_eq!(*got.lock().unwrap(), ("POST text/plain; charset=utf-8".to_owned(), note(9)));
    }
    for (path, wanted) in [
        ("/elsewhere", "the server answered 302, and redirects are not followed"),
        ("/kept", "the server answered 307, and redirects are not followed"),
        ("/500", "the server answered 500"),
        ("/404", "the server answered 404"),
    ] {
        let before = hits.load(Ordering::SeqCst);
        assert_eq!(deliver(&url(path), 9).await.unwrap_err(), wanted);
        assert_eq!(hits.load(Ordering::SeqCst), before + 1, "{path}: asked once");
    }
    let short = Means { patience: Duration::from_millis(300), ..means(None) };
    let late = deliver_with(&short, &url("/hang"), 1).await.unwrap_err();
    assert!(late.contains("longer than 0.3 s"), "{late}");

    let before = hits.load(Ordering::SeqCst);
    let port = base.rsplit_once(':').unwrap().1;
    for inside in [
        "http://127.0.0.1",
        "https://127.0.0.1",
        "https://localhost",
        "https://[::1]",
        "https://0.0.0.0",
        "https://2130706433",
    ] {
        let place = Place::Url { url: format!("{inside}:{port}/200?token=hunter2"), allow_private: false };
        let why = deliver(&place, 1).await.unwrap_err();
        assert!(why.contains("private network") && !why.contains("hunter2"), "{inside}: {why}");
    }
    let unprotected = Place::Url { url: "http://192.168.0.1/200".into(), allow_private: true };
    assert!(deliver(&unprotected, 1).await.unwrap_err().contains("only https"));
    assert_eq!(hits.load(Ordering::SeqCst), before, "nobody was asked");
    // Allowed inside, it still has to speak TLS there; the query, which may be a secret, is in no message.
    let place = Place::Url { url: format!("https://127.0.0.1:{port}/200?token=hunter2"), allow_private: true };
    let why = deliver(&place, 1).await.unwrap_err();
    assert!(!why.contains("hunter2") && !why.contains("200"), "{why}");
    let nowhere = Place::Url { url: "https://nowhere.invalid/".into(), allow_private: false };
    assert!(deliver(&nowhere, 1).await.unwrap_err().contains("its host was not found"));
    assert_eq!(place.shown(), format!("https://127.0.0.1:{port}/200?…"));
}

#[tokio::test]
async fn a_mail_carries_the_note_and_is_the_same_mail_when_sent_again() {
    let mut sink = SmtpSink::start().await;
    let smtp = Smtp::new("127.0.0.1".into(), sink.port(), Security::Plain);
    let mailer = Mailer::new(Transport::Smtp(smtp), "Placet <placet@example.com>").unwrap();
    let means = means(Some(mailer));
    let place = Place::Mail("auditor@example.com".parse().unwrap());
    let send = async |size: u64| deliver_with(&means, &place, size).await;
    sink.behave(|behaviour| behaviour.later = 1);
    assert!(send(12).await.unwrap_err().contains("the mail server answered 451"));
    send(12).await.unwrap();
    send(12).await.unwrap();
    send(13).await.unwrap();
    let mails = sink.has(3).await;
    let ids: Vec<_> = mails.iter().map(|mail| mail.header("Message-ID").unwrap()).collect();
    assert_eq!(ids[0], ids[1], "the same checkpoint, the same mail");
    assert_ne!(ids[1], ids[2]);
    assert!(ids[0].starts_with("<checkpoint-12-") && ids[0].ends_with("@placet.example.com>"), "{}", ids[0]);
    assert_eq!(mails[0].to, ["auditor@example.com"]);
    assert!(mails[0].header("Subject").unwrap().contains("12 entries"));
    let attached = mails[0].raw.split("\r\n--=_").find(|part| part.contains("filename=\"placet.checkpoint\""));
    let (head, body) = attached.unwrap_or_else(|| panic!("{}", mails[0].raw)).split_once("\r\n\r\n").unwrap();
    assert_eq!(decoded(head, body), note(12));
    sink.down().await;
    assert!(send(14).await.unwrap_err().contains("no connection to the mail server"));
    assert!(deliver(&place, 14).await.unwrap_err().contains("placet.toml has no [mail]"));
}

/// A part's content, which must be bytes that no mail program touches.
fn decoded(head: &str, body: &str) -> String {
    use base64::Engine as _;
    let head = head.to_ascii_lowercase();
    assert!(head.contains("base64") && head.contains("application/octet-stream"), "{head}");
    let body: String = body.split_whitespace().collect();
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(body).unwrap()).unwrap()
}

/// Moves time on until `look` finds what it looks for.
async fn on(app: &TestApp, step: u64, what: &str, mut look: impl AsyncFnMut() -> bool) {
    app.until(what, async || {
        app.setup.clock.advance(Duration::from_secs(step));
        look().await.then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_schedule_an_anchor_gets_what_has_changed_and_nothing_else() {
    let upstream = Upstream::start().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let path = elsewhere.path().join("notes");
    let anchors = format!(
        "[[upstreams]]\nname = \"iam\"\nurl = \"{}\"\n[[anchors]]\nfile = \"{}\"\nevery = \"1h\"\n\
         [[anchors]]\ncommand = [\"false\"]\nevery = \"1h\"\n",
        upstream.url,
        path.display()
    );
    let app = Setup::toml(anchors).start().await;
    let notes = || fs::read_to_string(&path).unwrap_or_default().matches("\n\n\u{2014} ").count();
    let failing = async |app: &TestApp| {
        let anchors = app.app.store.anchors().await.unwrap();
        anchors.into_iter().find(|anchor| anchor.kind == "command").unwrap()
    };
    on(&app, 2, "the first note", async || notes() == 1).await;
    on(&app, 60, "some failures", async || failing(&app).await.failures > 3).await;
    let state = failing(&app).await;
    let missed = state.error.unwrap();
    assert_eq!(
        (missed.why.as_str(), missed.said, state.last, state.shown.as_str()),
        ("the command ended with 1", None, None, "false")
    );
    let counted = reqwest::get(format!("{}/metrics", app.url)).await.unwrap().text().await.unwrap();
    assert!(counted.contains("placet_log_anchor_failures_total{kind=\"command\""), "{counted}");
    assert!(counted.contains("placet_log_anchor_entries{kind=\"file\""), "{counted}");

    // The failure itself is one entry, signed and anchored once more; after that nothing happens, however long.
    on(&app, 600, "the second note", async || notes() == 2).await;
    let (size, signed) = (app.app.store.log_size().await.unwrap(), app.app.notary.size());
    assert_eq!(size, signed);
    let before = failing(&app).await.failures;
    on(&app, 3600, "days", async || failing(&app).await.failures > before + 5).await;
    assert_eq!((app.app.store.log_size().await.unwrap(), notes()), (size, 2), "an idle log is left in peace");
    let kinds = app
        .app
        .store
        .entries(placet::store::EntryFilter { limit: 100, kind: Some("anchor.".into()), ..Default::default() })
        .await
        .unwrap();
    let kinds: Vec<_> = kinds.iter().rev().map(|entry| entry.kind.as_str()).collect();
    assert_eq!(kinds, ["anchor.added", "anchor.added", "anchor.failed"]);

    // A restart alone sends nothing; what the restart wrote in the log goes out when it is due.
    let app = app.restart().await;
    assert_eq!(app.app.log_at_start, placet::notary::LogAtStart::Continues { size });
    on(&app, 60, "the third note", async || notes() == 3).await;
    let last = Checkpoint::open(last_note(&path).unwrap().unwrap(), &public(&app.folder.path().join("data"))).unwrap();
    assert!(last.size > size);
    let mine = fs::read_to_string(&path).unwrap();
    let keys = public(&app.folder.path().join("data"));
    let opened: Vec<_> = mine
        .split("\n\nplacet.log/")
        .map(|note| {
            let note = note.strip_prefix("placet.log/").unwrap_or(note).trim_end();
            Checkpoint::open(format!("placet.log/{note}\n"), &keys).unwrap()
        })
        .collect();
    for pair in opened.windows(2) {
        let proof = app.app.store.consistency_proof(pair[0].size, pair[1].size).await.unwrap().unwrap();
        assert!(proof.verify(&pair[0].root, &pair[1].root));
    }
}

struct Server(Child);

impl Server {
    fn start(folder: &Path) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_placet"))
            .args(["serve", "--config", "placet.toml"])
            .current_dir(folder)
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
}

fn wait_for(what: &str, mut look: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if look() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{what} did not happen");
}

/// The whole folder is put back, keys and published checkpoint included: only the file elsewhere knows better.
#[test]
fn a_folder_put_back_whole_is_found_out_by_the_file_elsewhere() {
    let (folder, elsewhere) = (super::command::configured(), tempfile::tempdir().unwrap());
    let (folder, data, notes) = (folder.path(), folder.path().join("data"), elsewhere.path().join("notes"));
    let toml = fs::read_to_string(folder.join("placet.toml")).unwrap();
    let anchors = format!("{toml}[[anchors]]\nfile = \"{}\"\nevery = \"1s\"\n", notes.display());
    fs::write(folder.join("placet.toml"), anchors).unwrap();
    let anchored = || last_note(&notes).unwrap().map(|note| Checkpoint::open(note, &public(&data)).unwrap().size);
    let server = Server::start(folder);
    wait_for("the first note", || anchored().is_some());
    drop(server);
    let yesterday = folder.join("yesterday");
    copy(&data, &yesterday);
    let before = anchored();
    // The start itself is an entry.
    let server = Server::start(folder);
    wait_for("a later note", || anchored() > before);
    drop(server);
    let known = anchored().unwrap();
    fs::remove_dir_all(&data).unwrap();
    fs::rename(&yesterday, &data).unwrap();
    let server = Server::start(folder);
    wait_for("the alarm", || {
        let database = rusqlite::Connection::open(data.join("placet.db")).unwrap();
        let alarm = "SELECT body FROM entries WHERE kind = 'alarm.log_behind'";
        database.query_row(alarm, [], |row| row.get::<_, String>(0)).is_ok_and(|body| {
            assert!(body.contains(&format!("\"checkpoint\":{known}")) && body.contains("the anchor"), "{body}");
            true
        })
    });
    drop(server);
    assert_eq!(placet(folder, "agent list").status.code(), Some(0));
    let noted = fs::read_to_string(&notes).unwrap();
    assert!(noted.contains(&format!("\n{known}\n")), "what gave it away is still there");
}
