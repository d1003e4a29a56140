//! Tools as they were pinned: what a service does with them is intact, and every row that is not what the log tells is
//! named.

use std::time::Duration;

use placet::call::tool::Said;
use placet::call::{ToolName, UpstreamName};
use placet::notary::Notary;
use placet::store::Acceptance;
use serde_json::{Value, json};

use super::audit_in;
use super::forged::Forged;
use crate::attack::edit_any;
use crate::support::bench::Bench;

/// A server may call its tools as it likes.
const HOSTILE: &str = "wipe\u{1b}[2J\u{202e}";

fn said(tool: &str, words: &str) -> (ToolName, Said) {
    let said = Said::parse(&json!({"name": tool, "description": words}).to_string()).unwrap();
    (ToolName::new(tool).unwrap(), said)
}

/// A listing says this of these tools.
async fn listed(bench: &Bench, tools: &[(&str, &str)]) {
    bench.clock.advance(Duration::from_secs(1));
    let said = tools.iter().map(|(tool, words)| said(tool, words)).collect();
    bench.store.note_tools(UpstreamName::new("iam").unwrap(), said).await.unwrap();
}

/// Mira accepts that a tool says this.
async fn accepted(bench: &Bench, tool: &str, words: &str) {
    bench.clock.advance(Duration::from_secs(1));
    let (tool, said) = said(tool, words);
    let (upstream, reason) = (UpstreamName::new("iam").unwrap(), format!("{words} is right"));
    let acceptance = Acceptance { upstream, tool, digest: said.digest, by: bench.mira, reason };
    bench.store.accept_tool(acceptance, |_| Ok::<_, ()>(())).await.unwrap().unwrap();
}

/// Every tool is pinned to its first words.
async fn pinned(bench: &Bench) -> Notary {
    let (notary, _) = Notary::open(bench.store.clone(), &bench.entropy).await.unwrap();
    let tools = ["accepted", "back", "deleted", "edited", "quiet", "twice", "waits", HOSTILE];
    listed(bench, &tools.map(|tool| (tool, "one"))).await;
    notary
}

/// Everything that becomes of a pin: changed, accepted, kept as it was, changed by hand, deleted.
async fn lived(bench: &Bench) {
    listed(bench, &[("accepted", "two"), ("back", "two"), ("twice", "two"), ("waits", "two")]).await;
    accepted(bench, "accepted", "two").await;
    listed(bench, &[("back", "one"), ("twice", "three")]).await;
    accepted(bench, "back", "one").await;
    edit_any(bench, "UPDATE tool_pins SET accepted_at = 1 WHERE tool = 'edited'").await;
    edit_any(bench, "DELETE FROM tool_pins WHERE tool = 'deleted'").await;
    listed(bench, &[("edited", "one"), ("deleted", "one"), ("quiet", "one")]).await;
    accepted(bench, "deleted", "one").await;
    listed(bench, &[("edited", "two"), ("late", "one")]).await;
    edit_any(bench, "DELETE FROM tool_pins WHERE tool = 'edited'").await;
    listed(bench, &[("edited", "three")]).await;
}

fn line<'a>(answer: &'a Value, check: &str) -> &'a Value {
    answer["checks"].as_array().unwrap().iter().find(|line| line["check"] == check).unwrap()
}

#[tokio::test]
async fn whatever_becomes_of_a_pin_is_intact() {
    let bench = Bench::new().await;
    let notary = pinned(&bench).await;
    lived(&bench).await;
    notary.checkpoint().await.unwrap();
    let (code, answer) = Forged::copy(&bench).await.verify(&[]).await;
    assert_eq!(code, 0, "{answer}");
    assert_eq!(line(&answer, "tools")["right"], 9, "{answer}");
    // An agent and two people besides.
    assert_eq!(line(&answer, "seals")["right"], 12, "{answer}");
}

#[tokio::test]
async fn a_pin_that_the_log_does_not_tell_of_is_named_with_its_entry() {
    let bench = Bench::new().await;
    let notary = pinned(&bench).await;
    lived(&bench).await;
    notary.checkpoint().await.unwrap();
    let accept = "UPDATE tool_pins SET digest = pending_digest, json = pending_json, accepted_by = NULL, reason = NULL,
                  pending_digest = NULL, pending_json = NULL, pending_at = NULL WHERE tool = 'waits'";
    let copied = "upstream, 'planted', seen_at, digest, json, accepted_at, accepted_by, reason, NULL, NULL, NULL";
    let planted =
        format!("INSERT INTO tool_pins SELECT 'x', {copied}, entry, seal FROM tool_pins WHERE tool = 'quiet'");
    let unnamed = format!("INSERT INTO tool_pins SELECT 'x', {copied}, NULL, NULL FROM tool_pins WHERE tool = 'quiet'");
    // The SQL, whose entry is named, and what is said; what was put in has none.
    for (sql, entry, says) in [
        (accept, Some(("tools.pinned", "waits")), "tool waits of iam: it has another accepted digest than entry"),
        (
            "UPDATE tool_pins SET digest = (SELECT digest FROM tool_pins p WHERE p.tool = 'late') WHERE tool = 'quiet'",
            Some(("tools.pinned", "quiet")),
            "tool quiet of iam: it has another accepted digest than entry",
        ),
        (
            "UPDATE tool_pins SET json = replace(json, 'one', 'two') WHERE tool = 'quiet'",
            Some(("tools.pinned", "quiet")),
            "it has other accepted words than entry",
        ),
        (
            "UPDATE tool_pins SET json = 'no json' WHERE tool = 'accepted'",
            Some(("tool.accepted", "accepted")),
            "it has other accepted words than entry",
        ),
        (
            "UPDATE tool_pins SET pending_digest = NULL, pending_json = NULL, pending_at = NULL WHERE tool = 'waits'",
            Some(("tool.changed", "waits")),
            "it has another time of its change than entry",
        ),
        (
            "UPDATE tool_pins SET pending_digest = digest WHERE tool = 'waits'",
            Some(("tool.changed", "waits")),
            "it has another digest of what waits to be accepted than entry",
        ),
        (
            "UPDATE tool_pins SET pending_json = json WHERE tool = 'waits'",
            Some(("tool.changed", "waits")),
            "it has other words that wait to be accepted than entry",
        ),
        (
            "UPDATE tool_pins SET accepted_by = (SELECT id FROM reviewers WHERE email LIKE 'noor%') WHERE tool = 'accepted'",
            Some(("tool.accepted", "accepted")),
            "it has another person who accepted it than entry",
        ),
        (
            "UPDATE tool_pins SET accepted_at = accepted_at + 1 WHERE tool = 'accepted'",
            Some(("tool.accepted", "accepted")),
            "it has another time of acceptance than entry",
        ),
        (
            "UPDATE tool_pins SET reason = 'looks fine' WHERE tool = 'accepted'",
            Some(("tool.accepted", "accepted")),
            "it has another reason for its acceptance than entry",
        ),
        (
            "UPDATE tool_pins SET seen_at = 1 WHERE tool = 'quiet'",
            Some(("tools.pinned", "quiet")),
            "it has another time of making than entry",
        ),
        (
            "UPDATE tool_pins SET tool = 'other' WHERE tool = 'quiet'",
            Some(("tools.pinned", "quiet")),
            "tool other of iam: it has another name than entry",
        ),
        (
            "UPDATE tool_pins SET entry = (SELECT min(seq) FROM entries WHERE kind = 'tools.pinned') WHERE tool = 'waits'",
            Some(("tool.changed", "waits")),
            "an older row was put back",
        ),
        (
            "DELETE FROM tool_pins WHERE tool = 'quiet'",
            Some(("tools.pinned", "quiet")),
            "tells of the tool quiet of iam, and the database does not have it",
        ),
        (
            "UPDATE tool_pins SET id = 'x' WHERE tool = 'quiet'",
            Some(("tools.pinned", "quiet")),
            "tells of the tool quiet of iam, and the database does not have it",
        ),
        (&planted, None, "tool planted of iam: entry"),
        (&unnamed, None, "tool planted of iam: no entry of the log tells of it: its row was put in"),
    ] {
        let forged = Forged::copy(&bench).await;
        forged.change(sql);
        // The seals would tell of each of them; this does not need their key.
        let (code, answer) = forged.verify(&["--without-seals"]).await;
        let findings = answer["findings"].as_array().unwrap();
        let found = findings.iter().find(|finding| finding["text"].as_str().unwrap().contains(says));
        let found = found.unwrap_or_else(|| panic!("{sql}: {answer}"));
        assert_eq!((code, &found["check"]), (1, &json!("tools")), "{sql}: {answer}");
        let entry = entry.map(|(kind, tool)| forged.first_of(kind, &format!("\"{tool}\"")));
        assert_eq!(found["seq"].as_u64(), entry, "{sql}: {found}");
        assert_eq!(line(&answer, "accounts")["grade"], "ok", "{sql}: {answer}");
        let (code, answer) = forged.verify(&[]).await;
        assert_eq!(code, 1, "{sql}: {answer}");
    }
    let forged = Forged::copy(&bench).await;
    forged.change("UPDATE tool_pins SET seal = NULL WHERE tool = 'quiet'");
    let (code, answer) = forged.verify(&[]).await;
    let says = "tool quiet of iam: its row does not bear this service's seal";
    assert!(code == 1 && answer.to_string().contains(says), "{answer}");
}

#[tokio::test]
async fn pins_that_are_put_back_to_before_their_tools_changed_are_named() {
    let bench = Bench::new().await;
    let notary = pinned(&bench).await;
    let before = Forged::copy(&bench).await;
    lived(&bench).await;
    notary.checkpoint().await.unwrap();
    let forged = Forged::copy(&bench).await;
    forged.put_back("tool_pins", &before);
    for arguments in [&[][..], &["--without-seals"]] {
        let (code, answer) = forged.verify(arguments).await;
        assert_eq!(code, 1, "{answer}");
        let findings: Vec<_> =
            answer["findings"].as_array().unwrap().iter().map(|finding| finding["text"].as_str().unwrap()).collect();
        for tool in ["accepted", "back", "deleted", "edited", "twice", "waits"] {
            let named = |text: &&&str| text.starts_with(&format!("tool {tool} of iam: it names entry"));
            let found = findings.iter().find(named).unwrap_or_else(|| panic!("{tool}: {findings:?}"));
            assert!(found.ends_with("an older row was put back"), "{found}");
        }
        assert!(findings.iter().any(|text| text.contains("tells of the tool late of iam")), "{findings:?}");
        assert_eq!(findings.len(), 7, "{findings:?}");
    }
}

#[tokio::test]
async fn what_a_tool_is_called_moves_no_cursor() {
    let bench = Bench::new().await;
    let notary = pinned(&bench).await;
    notary.checkpoint().await.unwrap();
    let forged = Forged::copy(&bench).await;
    forged.change("DELETE FROM tool_pins WHERE instr(tool, 'wipe')");
    let answer = audit_in(forged.path(), &["verify"]).await;
    assert!(answer.code == 1 && answer.out.contains("tells of the tool wipe⟦"), "{}", answer.out);
    assert!(!answer.out.contains(['\u{1b}', '\u{202e}']), "{}", answer.out);
}
