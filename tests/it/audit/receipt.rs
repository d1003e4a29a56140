//! A call's receipt: made while the service runs, offered on the call's page, checked without the database, and by a
//! program that shares nothing with this one.

use placet::approvals::{Channel, Find, ForwardError};
use placet::clock::Entropy;
use placet::notary::Notary;
use serde_json::Value;

use super::forged::Forged;
use super::{audit, audit_in, decide, history};
use crate::support::bench::Bench;
use crate::support::command::{placet, run};
use crate::support::pages::Pages;
use placet::call::Verdict;

#[tokio::test]
async fn a_receipt_is_made_and_checked_without_the_database() {
    let bench = Bench::new().await;
    let [executed, rejected, ..] = history(&bench).await;
    let id = executed.submission.id.to_string();
    let none = audit(&bench, &["proof", &id]).await;
    assert!(none.code == 2 && none.err.contains("audit checkpoint"), "{none:?}");
    let (notary, _) = Notary::open(bench.store.clone(), &bench.entropy).await.unwrap();
    let note = notary.checkpoint().await.unwrap().note;

    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (file, key, anchor) = (path("receipt.json"), path("key"), path("anchor"));
    let made = audit(&bench, &["proof", &id, "--out", &file]).await;
    assert_eq!((made.code, made.out.as_str()), (0, ""), "{made:?}");
    let again = audit(&bench, &["proof", &id, "--out", &file]).await;
    assert!(again.code == 2 && again.err.contains("there already, and a receipt replaces no file"), "{}", again.err);
    std::fs::copy(bench.folder.path().join("audit.pub"), &key).unwrap();
    std::fs::write(&anchor, &note).unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains("\"n\":1") && !text.contains("content"), "neither arguments nor result: {text}");
    bench.store.append(placet::audit::Entry::new("session.refused")).await.unwrap();
    notary.checkpoint().await.unwrap();
    drop((bench, notary));

    let check = async |arguments: &[&str]| placet(&[&["audit", "check-receipt", &file], arguments].concat()).await;
    let told = check(&["--key", &key, "--anchor", &anchor]).await;
    assert_eq!(told.code, 0, "{told:?}");
    for word in ["executed", "call.held", "call.approved", "call.released", "call.executed", "kept elsewhere"] {
        assert!(told.out.contains(word), "{word}: {}", told.out);
    }
    let own = check(&[]).await;
    assert!(own.code == 0 && own.err.contains("--key"), "it says that it proves less: {own:?}");
    let json: Value = serde_json::from_str(&check(&["--json"]).await.out).unwrap();
    assert_eq!((json["state"].as_str(), json["holds"].as_bool()), (Some("executed"), Some(true)));

    let python = run("python3", &[concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/audit/receipt.py"), &file]).await;
    assert!(
        python.code == 0 && python.out.ends_with("call.held call.approved call.released call.executed\n"),
        "{python:?}"
    );

    for (from, to) in [("as agreed", "as Agreed"), ("call.executed", "call.tool_error"), ("/v1", "/v9")] {
        assert!(text.contains(from), "{from}");
        std::fs::write(&file, text.replace(from, to)).unwrap();
        let told = check(&["--key", &key]).await;
        assert_ne!(told.code, 0, "{from}: {told:?}");
        let python = run("python3", &[concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/audit/receipt.py"), &file]).await;
        assert_ne!(python.code, 0, "{from}: {python:?}");
    }
    std::fs::write(&file, &text).unwrap();
    let other = Bench::new().await;
    let (notary, _) = Notary::open(other.store.clone(), &Entropy::seeded(77)).await.unwrap();
    notary.checkpoint().await.unwrap();
    let theirs = other.folder.path().join("audit.pub");
    let told = check(&["--key", theirs.to_str().unwrap()]).await;
    assert!(told.code == 2 && told.err.contains("with another key than those in"), "{told:?}");
    assert!(!told.err.contains("does not hold"), "{told:?}");
    for wrong in [&["--key", "/nowhere"][..], &["--anchor", "/nowhere"]] {
        assert_eq!(check(wrong).await.code, 2, "{wrong:?}");
    }
    let unknown = audit(&other, &["proof", &rejected.submission.id.to_string()]).await;
    assert!(unknown.code == 1 && unknown.err.contains("does not tell"), "{unknown:?}");
    assert_eq!(audit(&other, &["proof", "x"]).await.code, 64);
}

/// What somebody found out of an unknown outcome is the end of the story.
#[tokio::test]
async fn a_receipt_tells_what_was_found_by_whom_and_when() {
    let bench = Bench::new().await;
    let (notary, _) = Notary::open(bench.store.clone(), &bench.entropy).await.unwrap();
    for (ran, words) in [(true, "found that it ran"), (false, "found that it did not run")] {
        *bench.upstream.answer.lock().unwrap() = Err(ForwardError::Unknown("the connection was lost".into()));
        let call = bench.hold(&format!("{{\"ran\":{ran}}}")).await;
        decide(&bench, &call, bench.mira, Verdict::Approve, "as agreed").await;
        bench.approvals.returned(call.submission.id).await;
        bench.until(&call, "outcome_unknown").await;
        let id = call.submission.id;
        let find =
            Find { call: id, ran, reason: "I looked \u{202e}there".into(), by: bench.noor, channel: Channel::Page };
        bench.approvals.find(find).await.unwrap();
        notary.checkpoint().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("receipt.json").to_str().unwrap().to_owned();
        assert_eq!(audit(&bench, &["proof", &id.to_string(), "--out", &file]).await.code, 0);
        let told = placet(&["audit", "check-receipt", &file]).await;
        assert_eq!(told.code, 0, "{told:?}");
        let line = format!("reviewer {} {words}: \"I looked \\u{{202e}}there\"", bench.noor);
        assert!(told.out.contains(&line), "{line}: {}", told.out);
        let json: Value =
            serde_json::from_str(&placet(&["audit", "check-receipt", &file, "--json"]).await.out).unwrap();
        let finding = &json["finding"];
        assert_eq!((finding["ran"].as_bool(), finding["by"].as_str()), (Some(ran), Some(&*bench.noor.to_string())));
        assert!(finding["at"].as_str().unwrap().starts_with("2026-") && finding["reason"] != "", "{finding}");
    }
}

/// Entries are found by what was signed: one whose column was changed is in the receipt all the same.
#[tokio::test]
async fn a_receipt_has_every_entry_whatever_the_columns_say() {
    let bench = Bench::new().await;
    let [executed, rejected, ..] = history(&bench).await;
    let (notary, _) = Notary::open(bench.store.clone(), &bench.entropy).await.unwrap();
    notary.checkpoint().await.unwrap();
    let id = rejected.submission.id.to_string();
    let honest = audit(&bench, &["proof", &id]).await;
    for sql in [
        "UPDATE entries SET call_id = NULL".to_owned(),
        format!("UPDATE entries SET call_id = '{}' WHERE call_id IS NOT NULL", executed.submission.id),
        format!("UPDATE entries SET call_id = '{id}', kind = 'call.rejected' WHERE call_id IS NULL"),
    ] {
        let forged = Forged::copy(&bench).await;
        forged.change(&sql);
        let made = audit_in(forged.path(), &["proof", &id]).await;
        assert_eq!((made.code, &made.out), (0, &honest.out), "{sql}: {}", made.err);
    }
}

#[tokio::test]
async fn the_page_offers_it_once_it_is_signed_and_to_nobody_else() {
    let pages = Pages::new().await;
    let call = pages.bench.hold(r#"{"n":1}"#).await;
    let mira = pages.reviewer("ada@example.com", &["iam"]).await;
    let (page, receipt) = (format!("/calls/{}", call.submission.id), format!("/calls/{}/receipt", call.submission.id));
    let (notary, _) = Notary::open(pages.bench.store.clone(), &pages.bench.entropy).await.unwrap();
    assert!(mira.page(&page).await.contains("next checkpoint") && !mira.page(&page).await.contains(&receipt));
    let early = mira.get(&receipt).await;
    assert_eq!(early.status(), 409);
    decide(&pages.bench, &call, pages.bench.mira, Verdict::Reject, "no").await;
    notary.checkpoint().await.unwrap();
    assert!(mira.page(&page).await.contains(&format!("href=\"{receipt}\"")));
    let answer = mira.get(&receipt).await;
    assert_eq!(answer.status(), 200);
    let disposition = answer.headers()["content-disposition"].to_str().unwrap().to_owned();
    assert!(disposition.starts_with("attachment") && disposition.contains(&call.submission.id.to_string()));
    let receipt_text = answer.text().await.unwrap();
    let parsed = placet::audit::receipt::Receipt::parse(&receipt_text).unwrap();
    let proof = parsed.check(&parsed.own_keys().unwrap()).unwrap();
    assert_eq!(proof.state, Some("rejected"));
    let nobody = pages.stranger().get(&receipt).await;
    assert!(!nobody.status().is_success(), "{}", nobody.status());
    let missing = mira.get("/calls/00000000-0000-7000-8000-000000000000/receipt").await;
    assert_eq!(missing.status(), 404);
}
