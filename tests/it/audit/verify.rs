//! `placet audit verify` on logs that nobody attacked: beside the running process, after erasures, with a changed key,
//! and what it says where it cannot tell.

use std::time::Duration;

use placet::approvals::{Channel, Find, ForwardError};
use placet::audit::Entry;
use placet::call::Verdict;
use placet::clock::Entropy;
use placet::notary::Notary;
use serde_json::Value;

use super::forged::Forged;
use super::{audit, decide, history};
use crate::support::bench::Bench;

async fn signed(bench: &Bench) -> Notary {
    let (notary, _) = Notary::open(bench.store.clone(), &bench.entropy).await.unwrap();
    notary.checkpoint().await.unwrap();
    notary
}

#[tokio::test]
async fn every_check_is_told_with_its_count_beside_the_running_process() {
    let bench = Bench::new().await;
    history(&bench).await;
    let notary = signed(&bench).await;
    bench.store.append(Entry::new("session.refused").with("why", "late")).await.unwrap();
    let said = audit(&bench, &["verify"]).await;
    assert_eq!(said.code, 0, "{} {}", said.out, said.err);
    let size = bench.store.log_size().await.unwrap();
    let lines: Vec<Vec<&str>> = said.out.lines().map(|line| line.split_whitespace().collect()).collect();
    let entries = size.to_string();
    for (check, count) in [
        ("sequence", entries.as_str()),
        ("hashes", &entries),
        ("chain", &entries),
        ("columns", &entries),
        ("tree", "1"),
        ("signatures", "1"),
        ("calls", "5"),
        ("votes", "2"),
        ("digests", "5"),
        ("answers", "1"),
        ("accounts", "3"),
        ("seals", "15"),
    ] {
        assert!(lines.iter().any(|line| line.starts_with(&["ok", check, count])), "{check}: {}", said.out);
    }
    assert!(said.out.contains("1 entries after the last checkpoint") && said.out.ends_with("INTACT\n"), "{}", said.out);
    assert!(said.out.contains("--key FILE") && said.out.contains("--anchor"), "it says what it does not prove");
    drop(notary);
}

#[tokio::test]
async fn what_retention_erased_is_counted_as_such() {
    let bench = Bench::new().await;
    let [executed, ..] = history(&bench).await;
    bench.clock.advance(Duration::from_secs(100));
    let erased = bench.store.erase_ended(Duration::from_secs(50), 100).await.unwrap();
    assert_eq!(erased, 4);
    let _notary = signed(&bench).await;
    let said = audit(&bench, &["verify"]).await;
    assert_eq!(said.code, 0, "{} {}", said.out, said.err);
    assert!(said.out.contains("4 calls were erased by retention"), "{}", said.out);
    // Whoever erases by hand is not retention.
    let forged = Forged::copy(&bench).await;
    forged.change("DELETE FROM call_params");
    assert_eq!(forged.verify(&[]).await.0, 1);
    let said = audit(&bench, &["proof", &executed.submission.id.to_string()]).await;
    assert!(said.code == 0 && said.out.contains("call.erased"), "{} {}", said.out, said.err);
}

#[tokio::test]
async fn a_changed_key_is_followed_from_the_one_that_was_kept() {
    let bench = Bench::new().await;
    let notary = signed(&bench).await;
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("old");
    std::fs::copy(bench.folder.path().join("audit.pub"), &old).unwrap();
    notary.rotate(&bench.entropy).await.unwrap();
    history(&bench).await;
    notary.checkpoint().await.unwrap();
    for arguments in [&["verify"][..], &["verify", "--key", old.to_str().unwrap()]] {
        let said = audit(&bench, arguments).await;
        assert_eq!(said.code, 0, "{} {}", said.out, said.err);
    }
    // Another log's key is not.
    let other = Bench::new().await;
    let (theirs, _) = Notary::open(other.store.clone(), &Entropy::seeded(77)).await.unwrap();
    theirs.checkpoint().await.unwrap();
    let key = other.folder.path().join("audit.pub");
    let said = audit(&bench, &["verify", "--key", key.to_str().unwrap()]).await;
    assert!(said.code == 2 && said.err.contains("the key of another log"), "{} {}", said.out, said.err);
    assert!(said.out.contains("INCOMPLETE"), "{}", said.out);
}

#[tokio::test]
async fn what_cannot_be_told_is_said_with_its_own_exit_code() {
    let bench = Bench::new().await;
    history(&bench).await;
    let said = audit(&bench, &["verify"]).await;
    assert!(
        said.code == 2 && said.err.contains("nobody was ever served from this folder"),
        "{} {}",
        said.out,
        said.err
    );
    let _notary = signed(&bench).await;
    assert_eq!(audit(&bench, &["verify"]).await.code, 0);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (empty, nonsense) = (file("empty", ""), file("nonsense", "nonsense\n"));
    let other = Bench::new().await;
    let foreign = signed(&other).await.checkpoint().await.unwrap().note;
    let foreign = file("foreign", &foreign);
    let theirs = other.folder.path().join("audit.pub").to_str().unwrap().to_owned();
    let missing = folder.path().join("missing").to_str().unwrap().to_owned();
    for arguments in [
        ["--anchor", missing.as_str()],
        ["--anchor", &empty],
        ["--anchor", &nonsense],
        ["--anchor", &foreign],
        ["--key", &missing],
        ["--key", &empty],
        ["--key", &nonsense],
        ["--key", &theirs],
    ] {
        let said = audit(&bench, &[&["verify"][..], &arguments].concat()).await;
        assert_eq!(said.code, 2, "{arguments:?}: {} {}", said.out, said.err);
        assert!(said.err.contains("could not tell") && said.out.contains("INCOMPLETE"), "{arguments:?}: {}", said.err);
        // What is wrong goes before what is unknown.
        let forged = Forged::copy(&bench).await;
        forged.change("DELETE FROM entries WHERE seq = 3");
        assert_eq!(forged.verify(&arguments).await.0, 1, "{arguments:?}");
    }
    for arguments in [&["verify", "--anchor"][..], &["verify", "x"], &["verify", "--kee", "x"]] {
        assert_eq!(audit(&bench, arguments).await.code, 64, "{arguments:?}");
    }
    let said = audit(&bench, &["verify", "--json"]).await;
    let answer: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((answer["verdict"].as_str(), answer["checks"].as_array().map(Vec::len)), (Some("intact"), Some(15)));
}

/// Each is told as what it is, and not as something milder or other.
#[tokio::test]
async fn a_hash_that_was_taken_out_and_an_entry_in_the_middle_are_told_as_that() {
    let bench = Bench::new().await;
    history(&bench).await;
    let notary = signed(&bench).await;
    let size = notary.size();
    let texts = |answer: &Value| -> Vec<String> {
        answer["findings"].as_array().unwrap().iter().map(|finding| finding["text"].to_string()).collect()
    };
    let forged = Forged::copy(&bench).await;
    forged.change("UPDATE entries SET body = json_remove(body, '$.detail.result') WHERE kind = 'call.executed'");
    let (code, answer) = forged.verify(&[]).await;
    assert!(
        code == 1 && texts(&answer).iter().any(|text| text.contains("an answer is kept, and the log tells of none"))
    );
    assert!(!answer.to_string().contains("earlier version"), "{answer}");
    // Where no salt was made either, an earlier version wrote it.
    forged.change("UPDATE call_answers SET salt = NULL");
    assert!(forged.verify(&[]).await.1.to_string().contains("1 answers and reads were recorded by an earlier version"));

    let forged = Forged::copy(&bench).await;
    forged.change("DELETE FROM entries WHERE seq = 5");
    let (code, answer) = forged.verify(&[]).await;
    let says = format!("covers the first {size} entries, and entry 5 is missing among them");
    assert!(code == 1 && texts(&answer).iter().any(|text| text.contains(&says)), "{answer}");
    assert!(!answer.to_string().contains("cut off"), "{answer}");
    assert!(answer["says"].as_str().unwrap().starts_with("TAMPERED. First bad entry: 5: "), "{answer}");
}

#[tokio::test]
async fn an_alarm_of_the_service_itself_is_no_tampering_of_the_log() {
    let bench = Bench::new().await;
    let call = bench.hold("{}").await;
    crate::attack::edit_any(&bench, "UPDATE calls SET client = 'a trusted client'").await;
    bench.clock.advance(Duration::from_secs(901));
    bench.approvals.expire().await.unwrap();
    bench.until(&call, "expired").await;
    let _notary = signed(&bench).await;
    let said = audit(&bench, &["verify"]).await;
    // The row's terms are still not those that were sealed; the log and the state are in order.
    assert!(said.code == 1 && said.out.contains("terms on which it was held"), "{}", said.out);
    assert!(said.out.contains("alarms that the log itself tells"), "{}", said.out);
    assert!(!said.out.contains("by the log"), "{}", said.out);
}

#[tokio::test]
async fn a_finding_on_an_unknown_outcome_is_part_of_the_call() {
    let bench = Bench::new().await;
    *bench.upstream.answer.lock().unwrap() = Err(ForwardError::Unknown("the connection was lost".into()));
    let call = bench.hold("{}").await;
    decide(&bench, &call, bench.mira, Verdict::Approve, "as agreed").await;
    bench.approvals.returned(call.submission.id).await;
    bench.until(&call, "outcome_unknown").await;
    let find = Find {
        call: call.submission.id,
        ran: false,
        reason: "the policy is not there".into(),
        by: bench.noor,
        channel: Channel::Page,
    };
    bench.approvals.find(find).await.unwrap();
    let _notary = signed(&bench).await;
    let said = audit(&bench, &["verify"]).await;
    assert_eq!(said.code, 0, "{} {}", said.out, said.err);
    for (sql, says) in [
        ("UPDATE findings SET ran = 1", "its finding is not the one of entry"),
        ("DELETE FROM findings", "its finding is not the one of entry"),
        ("UPDATE findings SET mac = (SELECT digest FROM calls)", "its finding does not bear this service's seal"),
    ] {
        let forged = Forged::copy(&bench).await;
        forged.change(sql);
        let (code, answer) = forged.verify(&[]).await;
        assert!(code == 1 && answer.to_string().contains(says), "{sql}: {answer}");
    }
}
