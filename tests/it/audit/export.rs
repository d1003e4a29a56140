//! `placet audit export`: what is in it, what is not, and how it says no.

use placet::audit::SealedEntry;
use serde_json::Value;

use super::{audit, decide, history};
use crate::support::bench::Bench;
use crate::support::command::placet;
use placet::call::Verdict;

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn every_line_is_what_was_hashed_and_the_chain_is_whole() {
    let bench = Bench::new().await;
    history(&bench).await;
    let said = audit(&bench, &["export"]).await;
    assert_eq!(said.code, 0, "{}", said.err);
    let mut prev = "0".repeat(64);
    for (n, line) in said.out.lines().enumerate() {
        let body: Value = serde_json::from_str(line).unwrap();
        assert_eq!((body["seq"].as_u64(), body["prev"].as_str()), (Some(n as u64 + 1), Some(prev.as_str())));
        prev = SealedEntry::leaf_of(line.as_bytes()).to_string();
    }
    assert_eq!(said.out.lines().count() as u64, bench.store.log_size().await.unwrap());
    assert!(!said.out.contains("\"n\":"), "no arguments");
}

#[tokio::test]
async fn filters_choose_and_wrong_ones_say_what_is_wrong() {
    let bench = Bench::new().await;
    let [executed, rejected, ..] = history(&bench).await;
    let count = async |arguments: &[&str]| {
        let said = audit(&bench, &[&["export"], arguments].concat()).await;
        assert_eq!(said.code, 0, "{arguments:?}: {}", said.err);
        lines(&said.out)
    };
    let all = count(&[]).await;
    assert_eq!(count(&["--kind", "call.held"]).await.len(), 5);
    assert_eq!(count(&["--kind", "call."]).await.len(), 11);
    let mira = count(&["--reviewer", "Mira@example.com", "--kind", "call."]).await;
    assert_eq!(mira.iter().map(|entry| &entry["kind"]).collect::<Vec<_>>(), ["call.approved"]);
    assert_eq!(
        count(&["--reviewer", &bench.mira.to_string()]).await.len(),
        count(&["--reviewer", "mira@example.com"]).await.len()
    );
    for (outcome, call) in [("executed", &executed), ("approved-executed", &executed), ("rejected", &rejected)] {
        let of = count(&["--outcome", outcome]).await;
        assert!(!of.is_empty() && of.iter().all(|entry| entry["call"] == call.submission.id.to_string()), "{outcome}");
    }
    assert_eq!(count(&["--state", "denied-not-executed"]).await.len(), 6);
    assert_eq!(count(&["--agent", "ci-bot", "--upstream", "iam", "--tool", "put_user_policy"]).await.len(), 11);
    // The clock went on by 901 seconds before the last entries.
    let early = count(&["--until", "2026-11-22T14:03"]).await;
    let late = count(&["--from", "2026-11-22T15:03:00+01:00"]).await;
    assert!(!early.is_empty() && !late.is_empty() && early.len() + late.len() == all.len());
    // A kind that Placet writes, of which there is none yet, and one that it does not.
    for kind in ["call.outcome_unknown", "alarm."] {
        let none = audit(&bench, &["export", "--kind", kind]).await;
        assert_eq!((none.code, none.out.as_str()), (0, ""));
        assert!(none.err.contains("no entry"), "{}", none.err);
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    for (option, name, why) in [
        ("--kind", "call.approoved", "did you mean \"call.approved\"?"),
        ("--kind", "calls.", "it has "),
        ("--agent", "ci-bott", "did you mean \"ci-bot\"?"),
        ("--upstream", "aim", "did you mean \"iam\"?"),
        ("--tool", "put_user_polcy", "did you mean \"put_user_policy\"?"),
        ("--tool", "execute_sql", "it has \"put_user_policy\""),
        ("--reviewer", "myra@example.com", "did you mean \"mira@example.com\"?"),
    ] {
        let said = audit(&bench, &["export", option, name, "--out", out.to_str().unwrap()]).await;
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{option} {name}: {}", said.err);
        assert!(said.err.contains(why) && said.err.contains("the log has never seen"), "{name}: {}", said.err);
        assert!(!out.exists(), "{option} {name}: nothing is written");
    }

    for (wrong, why) in [
        (&["--from", "yesterday"][..], "2026-11-22T14:00"),
        (&["--from", "2026-11-23", "--until", "2026-11-22"], "nothing can fit"),
        (&["--reviewer", "mira"], "neither an address"),
        (&["--agent", "a b"], "letters, digits"),
        (&["--upstream", ""], "letters, digits"),
        (&["--outcome", "done"], "denied-not-executed"),
        (&["--kind", "call"], "call.approved"),
        (&["--format", "xml"], "jsonl"),
        (&["--format", "agentack", "--kind", "call."], "every step"),
        (&["--unknown"], "--unknown"),
        (&["--json", "--format", "csv"], "contradict"),
    ] {
        let said = audit(&bench, &[&["export"], wrong].concat()).await;
        assert_eq!((said.code, said.out.as_str()), (64, ""), "{wrong:?}: {}", said.err);
        assert!(said.err.contains(why), "{wrong:?}: {}", said.err);
    }
}

/// A kind that is written but not listed would count as mistyped until there is one.
#[test]
fn every_kind_that_the_sources_write_can_be_asked_for() {
    const MADE: [&str; 2] = ["Entry::new(\"", "entry_of(call, \""];
    // Notices, and a page.
    const OTHERS: [&str; 3] = ["call.finished", "call.decided", "call.html"];
    let is_word = |c: char| c.is_ascii_lowercase() || c == '_' || c == '.';
    let mut written = Vec::new();
    let mut folders = vec![std::path::PathBuf::from("src")];
    while let Some(folder) = folders.pop() {
        for file in std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
            if file.is_dir() {
                folders.push(file);
                continue;
            }
            let Ok(source) = std::fs::read_to_string(&file) else { continue };
            let source = source.split("#[cfg(test)]").next().unwrap();
            for begin in MADE.into_iter().chain(["\"call.", "\"alarm."]) {
                for (at, _) in source.match_indices(begin) {
                    let quote = at + begin.find('"').unwrap() + 1;
                    let (word, _) = source[quote..].split_once('"').unwrap();
                    written.push((file.clone(), word.to_owned()));
                }
            }
        }
    }
    let kinds = written.iter().filter(|(_, word)| word.chars().all(is_word) && !OTHERS.contains(&word.as_str()));
    let kinds: Vec<_> = kinds.collect();
    assert!(kinds.len() > 100, "{}", kinds.len());
    for (file, kind) in kinds {
        assert!(placet::audit::kinds::is_kind(kind), "{}: {kind}", file.display());
    }
}

#[tokio::test]
async fn what_looks_like_a_secret_or_a_formula_leaves_in_no_form() {
    let bench = Bench::new().await;
    let call = bench.hold("{}").await;
    let secret = "ghp_0123456789abcdefghijklmnopqrstuvwxyz";
    decide(&bench, &call, bench.mira, Verdict::Reject, &format!("=HYPERLINK(\"x\") {secret}")).await;
    for format in ["jsonl", "csv", "ocsf", "agentack"] {
        let said = audit(&bench, &["export", "--format", format]).await;
        assert_eq!(said.code, 0, "{}", said.err);
        assert!(!said.out.contains(secret), "{format}");
    }
    let csv = audit(&bench, &["export", "--format", "csv", "--kind", "call.rejected"]).await.out;
    assert!(csv.starts_with("seq,at,kind,") && csv.ends_with("\r\n"), "{csv}");
    assert!(csv.contains(",mira@example.com,") && csv.contains(",\"'=HYPERLINK(\"\"x\"\")"), "{csv}");
}

#[tokio::test]
async fn a_file_is_replaced_only_by_a_whole_one() {
    let bench = Bench::new().await;
    history(&bench).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log.jsonl");
    std::fs::write(&file, "before").unwrap();
    let path = file.to_str().unwrap();
    assert_eq!(audit(&bench, &["export", "--out", path, "--reviewer", "x"]).await.code, 64);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "before");
    let said = audit(&bench, &["export", "--out", path]).await;
    assert_eq!((said.code, said.out.as_str()), (0, ""), "{}", said.err);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), audit(&bench, &["export"]).await.out);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let nowhere = folder.path().join("none/log.jsonl");
    let said = audit(&bench, &["export", "--out", nowhere.to_str().unwrap()]).await;
    assert!(said.code == 2 && said.err.contains("cannot be written: the folder "), "{}", said.err);
    assert!(said.err.contains("none is not there") && !said.err.contains("none/."), "{}", said.err);
    let said = audit(&bench, &["export", "--out", folder.path().to_str().unwrap()]).await;
    assert!(said.code == 2 && said.err.contains("it is a folder; name a file in it"), "{}", said.err);
}

#[tokio::test]
async fn a_folder_without_a_log_is_said_so_and_nothing_is_made_there() {
    let folder = tempfile::tempdir().unwrap();
    let said = placet(&["audit", "export", "--data-dir", folder.path().to_str().unwrap()]).await;
    assert!(said.code == 2 && said.err.contains("no placet.db"), "{}", said.err);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    std::fs::write(folder.path().join("placet.db"), "this is no database").unwrap();
    let said = placet(&["audit", "export", "--data-dir", folder.path().to_str().unwrap()]).await;
    assert!(said.code == 2 && said.err.contains("cannot be read"), "{}", said.err);
    let said = placet(&["audit", "export", "--config", folder.path().join("x.toml").to_str().unwrap()]).await;
    assert!(said.code == 2 && said.err.contains("--data-dir"), "{}", said.err);
}

#[tokio::test]
async fn a_copy_on_a_medium_that_takes_no_writes_is_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let bench = Bench::new().await;
    history(&bench).await;
    let whole = audit(&bench, &["export"]).await.out;
    let bench = bench.restart().await;
    let copy = tempfile::tempdir().unwrap();
    let file = copy.path().join("placet.db");
    let sql = format!("VACUUM INTO '{}'", file.display());
    crate::attack::edit_any(&bench, &sql).await;
    std::fs::set_permissions(copy.path(), std::fs::Permissions::from_mode(0o500)).unwrap();
    let said = placet(&["audit", "export", "--data-dir", copy.path().to_str().unwrap()]).await;
    std::fs::set_permissions(copy.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.starts_with(&whole[..200]), "{}", said.err);
}
