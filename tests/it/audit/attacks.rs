//! The eight attacks on the log, by direct writes to the database of a real run; and attacks on the rows beside it.
//!
//! What is caught, and by whom it was done:
//!
//! | attack | database alone | whole folder, no anchor | with an anchor and the key kept elsewhere |
//! |---|---|---|---|
//! | edit, delete, reorder, insert, recompute | caught | caught | caught |
//! | edit a reviewer's role, put a token back, null the columns by which entries are found | caught | caught | caught |
//! | truncate with its checkpoints, roll back and regrow, re-sign with the stolen key | caught | not noticed | caught |

use std::path::PathBuf;
use std::time::Duration;

use placet::audit::Entry;
use placet::call::Digest;
use placet::clock::{Clock, Entropy};
use placet::lifecycle::Tasks;
use placet::notary::Notary;
use placet::store::{NewApiToken, Store};
use serde_json::Value;

use super::forged::Forged;
use super::history;
use crate::support::bench::{Bench, START};

/// A run with a checkpoint after each step, and what an auditor kept of it.
struct Run {
    bench: Bench,
    notary: Notary,
    kept: tempfile::TempDir,
}

impl Run {
    async fn new() -> Self {
        let bench = Bench::new().await;
        let (notary, _) = Notary::open(bench.store.clone(), &bench.entropy).await.unwrap();
        let run = Self { bench, notary, kept: tempfile::tempdir().unwrap() };
        run.refuse("before").await;
        history(&run.bench).await;
        for word in ["one", "two", "three", "four", "five", "six"] {
            run.refuse(word).await;
        }
        run
    }

    /// An entry that concerns no call, and a checkpoint over it.
    async fn refuse(&self, why: &str) {
        self.bench.store.append(Entry::new("session.refused").with("why", why)).await.unwrap();
        self.notary.checkpoint().await.unwrap();
    }

    /// The number of the entry that says this.
    async fn seq(&self, why: &str) -> i64 {
        let filter = placet::store::EntryFilter { limit: 1000, ..Default::default() };
        let entries = self.bench.store.entries(filter).await.unwrap();
        entries.iter().find(|entry| entry.body.contains(&format!("\"why\":\"{why}\""))).unwrap().seq
    }

    /// What was copied elsewhere until now: every note, and the public key.
    fn keep(&self) -> [PathBuf; 2] {
        let notes: Vec<String> = rusqlite::Connection::open(self.bench.folder.path().join("placet.db"))
            .unwrap()
            .prepare("SELECT note FROM checkpoints ORDER BY number")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let (anchor, key) = (self.kept.path().join("anchor"), self.kept.path().join("key"));
        std::fs::write(&anchor, notes.join("\n")).unwrap();
        std::fs::copy(self.bench.folder.path().join("audit.pub"), &key).unwrap();
        [anchor, key]
    }
}

/// The verdict of the answer, the entries that its first finding names, and what it says.
fn first(answer: &Value) -> (String, Option<(u64, u64)>, String) {
    let finding = &answer["first"];
    let seq = finding["seq"].as_u64();
    let named = seq.map(|seq| (seq, finding["until"].as_u64().unwrap_or(seq)));
    (answer["verdict"].as_str().unwrap().to_owned(), named, finding["text"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn the_eight_attacks_on_the_log() {
    let run = Run::new().await;
    let token = NewApiToken {
        id: "a-token".into(),
        reviewer: run.bench.mira,
        token_hash: Digest::of(b"a token"),
        may_decide: true,
        lifetime: Duration::from_secs(3600),
    };
    run.bench.store.api_token_add(token).await.unwrap();
    run.notary.checkpoint().await.unwrap();
    let with_token = Forged::copy(&run.bench).await;
    assert!(run.bench.store.api_token_end(run.bench.mira, "a-token".into()).await.unwrap());
    run.notary.checkpoint().await.unwrap();
    let old = Forged::copy(&run.bench).await;
    for word in ["seven", "eight"] {
        run.refuse(word).await;
    }
    let [anchor, key] = run.keep().map(|path| path.to_str().unwrap().to_owned());
    let kept = ["--anchor", anchor.as_str(), "--key", key.as_str()];
    let (three, seven) = (run.seq("three").await, run.seq("seven").await);
    let copy = async || Forged::copy(&run.bench).await;

    let honest = copy().await;
    let (code, answer) = honest.verify(&kept).await;
    assert_eq!((code, answer["verdict"].as_str()), (0, Some("intact")), "{answer}");

    let edit = copy().await;
    edit.change(&format!("UPDATE entries SET body = replace(body, 'three', 'THREE') WHERE seq = {three}"));
    let delete = copy().await;
    delete.change(&format!("DELETE FROM entries WHERE seq = {three}"));
    let reorder = copy().await;
    reorder.change(&format!(
        "UPDATE entries SET seq = -1 WHERE seq = {three}; UPDATE entries SET seq = {three} WHERE seq = {three} + 1;
         UPDATE entries SET seq = {three} + 1 WHERE seq = -1"
    ));
    let insert = copy().await;
    insert.change(&format!(
        "UPDATE entries SET seq = -seq WHERE seq > {three}; UPDATE entries SET seq = 1 - seq WHERE seq < 0;
         INSERT INTO entries SELECT seq + 1, at, kind, call_id, agent, upstream, tool, reviewer_id, body, leaf
         FROM entries WHERE seq = {three}"
    ));
    let recompute = copy().await;
    recompute.recompute(three, |body| body.replace("three", "THREE"));
    // Cut off with their checkpoints, so that the database is one that once was.
    let truncate = copy().await;
    truncate
        .change(&format!("DELETE FROM entries WHERE seq >= {seven}; DELETE FROM checkpoints WHERE size >= {seven}"));
    // The service itself goes on from an older database, and signs with its own key what it then has.
    let regrow = Forged::of(old.path()).await;
    grow(&regrow).await;
    let resign = copy().await;
    resign.recompute(three, |body| body.replace("three", "THREE"));
    resign.sign_again();

    let role = copy().await;
    role.change("UPDATE reviewers SET is_administrator = 1 WHERE email = 'mira@example.com'");
    let mira = role.first_of("reviewer.added", "");
    let token = copy().await;
    token.put_back("api_tokens", &with_token);
    let made = token.first_of("token.made", "");
    let nulled = copy().await;
    let voted = nulled.first_of("call.rejected", "");
    nulled.change(&format!(
        "UPDATE entries SET kind = 'x', call_id = NULL, agent = NULL, upstream = NULL, tool = NULL, reviewer_id = NULL
         WHERE seq >= {voted} AND call_id = (SELECT call_id FROM entries WHERE seq = {voted})"
    ));

    let (three, seven) = (three as u64, seven as u64);
    let attacks = [
        ("edit a reviewer's role", role, (mira, mira), true),
        ("put a token back", token, (made, made), true),
        ("null the columns", nulled, (voted, voted), true),
        ("edit", edit, (three, three), true),
        ("delete", delete, (three, three), true),
        ("reorder", reorder, (three, three), true),
        ("insert", insert, (three + 1, three + 1), true),
        ("recompute", recompute, (three, three), true),
        ("truncate", truncate, (seven, seven), false),
        ("roll back and regrow", regrow, (seven, seven), false),
        ("re-sign with the stolen key", resign, (three, three), false),
    ];
    for (attack, forged, entries, alone) in attacks {
        // Whoever writes to the database alone: the published checkpoint beside it is as it was.
        std::fs::copy(honest.path().join("audit.checkpoint"), forged.path().join("audit.checkpoint")).unwrap();
        let (code, answer) = forged.verify(&[]).await;
        assert_eq!((code, answer["verdict"].as_str()), (1, Some("tampered")), "{attack}: {answer}");
        // Whoever owns the whole folder.
        forged.publish();
        let (code, answer) = forged.verify(&[]).await;
        assert_eq!(code == 1, alone, "{attack} without an anchor: {answer}");
        assert_eq!(code == 0, !alone, "{attack} without an anchor: {answer}");
        // And with what was kept elsewhere.
        let (code, answer) = forged.verify(&kept).await;
        let (verdict, named, text) = first(&answer);
        assert_eq!((code, verdict.as_str(), named), (1, "tampered", Some(entries)), "{attack}: {text}");
        // The last line names it too.
        let last = answer["says"].as_str().unwrap();
        let entry =
            if entries.0 == entries.1 { entries.0.to_string() } else { format!("{} to {}", entries.0, entries.1) };
        assert!(last.starts_with("TAMPERED. ") && last.contains(&entry) && last.ends_with(&text), "{attack}: {last}");
    }
}

/// A service on this folder writes other entries than those that were there, and signs them.
async fn grow(forged: &Forged) {
    let tasks = Tasks::default();
    // What was published last stays behind with the newer state: the old one has its own.
    let store = Store::open(forged.path(), Clock::manual(START), &tasks).await.unwrap();
    let (notary, _) = Notary::open(store.clone(), &Entropy::seeded(9)).await.unwrap();
    for word in ["other", "another", "a third"] {
        store.append(Entry::new("session.refused").with("why", word)).await.unwrap();
        notary.checkpoint().await.unwrap();
    }
    tasks.begin_stop();
    drop((store, notary));
    assert!(tasks.ended(Duration::from_secs(10)).await);
}

#[tokio::test]
async fn a_changed_row_is_named() {
    let run = Run::new().await;
    let bench = &run.bench;
    let attacks: [(&str, &str); 25] = [
        ("UPDATE calls SET state = 'approved' WHERE state = 'pending'", "unusable approved_by"),
        (
            "UPDATE calls SET state = 'approved', approved_by = 'policy', approved_at = 1, usable_until = 2 WHERE state = 'pending'",
            "it is approved in the database and pending",
        ),
        ("UPDATE calls SET state = 'executed' WHERE state = 'rejected'", "it is executed in the database and rejected"),
        ("DELETE FROM calls WHERE state = 'rejected'", "its row was deleted"),
        ("UPDATE calls SET tool = 'get_user_policy' WHERE state = 'expired'", "its tool is not the one of the log"),
        ("UPDATE calls SET agent_name = 'payroll' WHERE state = 'expired'", "its agent is not"),
        ("UPDATE calls SET approved_by = 'policy' WHERE state = 'executed'", "its approver is not"),
        ("UPDATE calls SET usable_until = usable_until + 1 WHERE state = 'executed'", "its deadline of the approval"),
        ("UPDATE calls SET expires_at = expires_at + 1 WHERE state = 'pending'", "its deadline is not"),
        ("UPDATE calls SET changed_at = changed_at + 1 WHERE state = 'cancelled'", "its time of the last change"),
        ("UPDATE calls SET ended_why = 'fine' WHERE state = 'rejected'", "its reason for its end"),
        ("UPDATE calls SET redacted_at = changed_at WHERE state = 'rejected'", "its time of erasure"),
        ("UPDATE calls SET digest = nonce WHERE state = 'executed'", "its digest is not"),
        ("UPDATE call_params SET params = replace(params, '1', '2')", "what is stored of it is not what its digest"),
        ("UPDATE calls SET requirement = replace(requirement, '900', '901')", "the terms on which it was held"),
        ("UPDATE votes SET reason = 'because' WHERE verdict = 'approve'", "is not the one of entry"),
        ("UPDATE votes SET verdict = 'approve' WHERE verdict = 'reject'", "is not the one of entry"),
        ("DELETE FROM votes WHERE verdict = 'approve'", "is gone"),
        (
            "INSERT INTO votes SELECT (SELECT id FROM calls WHERE state = 'pending'), reviewer_id, email, verdict, at, reason, mac FROM votes LIMIT 1",
            "it was put in",
        ),
        ("UPDATE call_answers SET body = '{\"content\":[1]}'", "the kept answer is not the one of entry"),
        ("DELETE FROM call_answers", "its answer is gone"),
        ("UPDATE calls SET as_of = 1 WHERE state = 'pending'", "where it stands does not bear this service's seal"),
        ("UPDATE calls SET entry = entry + 1 WHERE state = 'expired'", "where it stands does not bear"),
        ("UPDATE calls SET told_to_return = 1 WHERE state = 'pending'", "where it stands does not bear"),
        (
            "INSERT INTO votes SELECT 'ffffffff-ffff-7fff-bfff-ffffffffffff', reviewer_id, email, verdict, at, reason, mac FROM votes LIMIT 1",
            "a row of votes belongs to the call",
        ),
    ];
    let mut missed = Vec::new();
    for (sql, says) in attacks {
        let forged = Forged::copy(bench).await;
        forged.change(sql);
        let (code, answer) = forged.verify(&[]).await;
        let findings = answer["findings"].as_array().unwrap();
        let found = findings.iter().any(|finding| finding["text"].as_str().unwrap().contains(says));
        if code != 1 || !found {
            missed.push(format!("{sql}: exit code {code}, {findings:?}"));
        }
    }
    // A call that never was, put beside one that is.
    let forged = Forged::copy(bench).await;
    forged.twin("ffffffff-ffff-7fff-bfff-ffffffffffff");
    let (code, answer) = forged.verify(&[]).await;
    if code != 1 || !answer.to_string().contains("its row was put in") {
        missed.push(format!("a twin: exit code {code}, {answer}"));
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[tokio::test]
async fn an_entry_of_a_call_that_cannot_have_happened_is_named() {
    let run = Run::new().await;
    // Whoever has the key signs what is not true; it still has to be a life that a call can have.
    for (from, to, says) in [
        ("call.approved", "call.voted", "a release of a call that is not approved"),
        ("call.held", "call.seen", "was never held"),
        ("\\\"verdict\\\":\\\"reject\\\"", "\\\"verdict\\\":\\\"approve\\\"", "verdict is not reject"),
    ] {
        let forged = Forged::copy(&run.bench).await;
        let (from, to) = (from.replace('\\', ""), to.replace('\\', ""));
        let seq = {
            let connection = forged.open();
            let sql = "SELECT min(seq) FROM entries WHERE call_id IS NOT NULL AND instr(body, ?1)";
            connection.query_row(sql, [&from], |row| row.get::<_, i64>(0)).unwrap()
        };
        forged.recompute(seq, |body| body.replacen(&from, &to, 1));
        forged.change(&format!("UPDATE entries SET kind = body ->> '$.kind' WHERE seq = {seq}"));
        forged.sign_again();
        forged.publish();
        let (code, answer) = forged.verify(&[]).await;
        let findings = answer["findings"].as_array().unwrap();
        let found = findings.iter().any(|finding| finding["text"].as_str().unwrap().contains(says));
        assert!(code == 1 && found, "{from}: {findings:?}");
    }
}
