//! A backup is put in the place of the database: what a tool says counts as accepted only where nothing is known to have
//! changed since.

use std::path::Path;

use placet::call::HeldCall;
use placet::identity::Roles;
use placet::store::{CallFilter, Witness};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Stage, saying_all};
use crate::audit::audit_in;
use crate::support::pages::Browser;

const REVIEWER: Roles = Roles { reviewer: true, auditor: true, administrator: false };

/// What the tools say when the backup is made, and after it.
const THEN: &[(&str, &str)] = &[("get_user_policy", "version 2")];
const SINCE: &[(&str, &str)] = &[
    ("get_user_policy", "version 2"),
    ("list_users", "version 2"),
    ("echo", "version 2"),
    ("list_roles", "the roles, new in version 2"),
];

impl Stage {
    /// `get_user_policy` was accepted anew before the backup; since then `list_users` was, `echo` changed and was not,
    /// and `list_roles` was seen for the first time.
    async fn backed_up() -> (Self, TempDir) {
        let stage = Self::new().await;
        stage.upstream.lists(saying_all(THEN));
        stage.list().await;
        stage.accept_as("then@example.com", "get_user_policy").await;
        let copies = tempfile::tempdir().unwrap();
        stage.app.app.store.backup(&copies.path().join("copy.db"), "the-copy".into()).await.unwrap();
        stage.upstream.lists(saying_all(SINCE));
        stage.list().await;
        stage.accept_as("since@example.com", "list_users").await;
        stage.pending("echo").await;
        stage.until_logged("tools.pinned", 2).await;
        assert!(stage.runs("list_users").await && stage.runs("list_roles").await);
        (stage, copies)
    }

    /// The copy is put in the place of the database.
    async fn put_back(self, copies: &TempDir, keeps_list: bool) -> Self {
        let place = async |data: &Path| {
            for side in ["placet.db-wal", "placet.db-shm"] {
                let _ = std::fs::remove_file(data.join(side));
            }
            std::fs::copy(copies.path().join("copy.db"), data.join("placet.db")).unwrap();
            if !keeps_list {
                std::fs::remove_file(data.join("spent")).unwrap();
            }
        };
        let stage = self.restart_over(place).await;
        assert!(stage.app.app.restored.is_some(), "it says that it was put back");
        stage
    }

    /// Whether a call of this tool runs; otherwise it is held because the tool has changed.
    async fn runs(&self, tool: &str) -> bool {
        let before = self.upstream.calls(tool).len();
        let response = self.agent.call(tool, json!({"n": before})).await;
        let held = self.app.until("what becomes of the call", async || {
            if self.upstream.calls(tool).len() > before {
                return Some(None);
            }
            let pending = CallFilter { state: Some("pending".into()), limit: 100, ..CallFilter::default() };
            let calls = self.app.app.store.calls(pending).await.unwrap().calls;
            calls.into_iter().find(|call| call.submission.tool.as_str() == tool).map(Some)
        });
        let held: Option<HeldCall> = held.await;
        drop(response);
        if let Some(held) = &held {
            let changed = held.submission.requirement.tool_changed;
            assert!(changed.is_some_and(|changed| changed.only), "{tool}: {changed:?}");
        }
        held.is_none()
    }
}

#[tokio::test]
async fn nothing_that_is_known_to_have_changed_since_runs_whatever_the_server_says_then() {
    // As it says since, as it said then, and nothing at all.
    for says in [Some(SINCE), Some(THEN), None] {
        let (stage, copies) = Stage::backed_up().await;
        match says {
            Some(says) => stage.upstream.lists(saying_all(says)),
            None => stage.upstream.on_result("tools/list", "null"),
        }
        let stage = stage.put_back(&copies, true).await;
        for tool in ["list_users", "echo", "list_roles"] {
            assert!(!stage.runs(tool).await, "{tool}, where the server says {says:?}");
        }
        assert!(stage.runs("get_user_policy").await, "what was accepted before is known, where it says {says:?}");
        let restored = stage.app.app.restored.clone().unwrap();
        assert_eq!(restored.done.tools, 2, "{restored}");
        assert!(restored.to_string().ends_with("a reviewer must accept again: 2"), "{restored}");
        let told: Vec<Value> = stage.logged("tool.changed").await;
        let told = told.iter().filter(|entry| entry["detail"]["restored"] == true);
        let told: Vec<_> = told.map(|entry| entry["tool"].as_str().unwrap()).collect();
        assert_eq!(told, ["echo", "list_users"]);
        stage.app.person("mira@example.com", &["iam"], REVIEWER).await;
        let mira = Browser::signed_in(&stage.app.url, "mira@example.com").await;
        let audit = mira.page("/audit").await;
        assert!(audit.contains("that a reviewer must accept again: 2."), "{audit}");
        let page = mira.page("/tools/iam/echo").await;
        let words = match says {
            Some(SINCE) => "It changed what it says of itself",
            _ => "What was accepted of this tool is not known any more",
        };
        assert!(page.contains(words), "{page}");
    }
}

#[tokio::test]
async fn what_was_accepted_since_is_accepted_again_and_then_runs_and_the_log_tells_of_it() {
    let (stage, copies) = Stage::backed_up().await;
    let stage = stage.put_back(&copies, true).await;
    stage.until_logged("tool.changed", 6).await;
    stage.accept_as("again@example.com", "list_users").await;
    stage.accept_as("also@example.com", "list_roles").await;
    let stage = stage.restart().await;
    assert!(stage.runs("list_users").await && stage.runs("list_roles").await && !stage.runs("echo").await);
    stage.app.app.notary.checkpoint().await.unwrap();
    let told = stage.logged("store.restored").await;
    let (entry, data) = (told[0]["seq"].to_string(), stage.app.folder.path().join("data"));
    let said = audit_in(&data, &["verify", "--restored", &entry]).await;
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let tools = said.out.lines().find(|line| line.contains(" tools ")).unwrap();
    assert_eq!(tools.split_whitespace().take(3).collect::<Vec<_>>(), ["ok", "tools", "8"]);
}

/// Then only what the copy has is known, and every difference from that is a change.
#[tokio::test]
async fn without_the_list_beside_the_database_what_the_copy_has_counts() {
    let (stage, copies) = Stage::backed_up().await;
    let stage = stage.put_back(&copies, false).await;
    let restored = stage.app.app.restored.clone().unwrap();
    let missing = Witness { source: "spent".into(), checkpoint: 0 };
    assert!(restored.found.copy.is_some() && restored.done.tools == 0, "{restored}");
    assert!(restored.found.witness.is_none_or(|witness| witness == missing || witness.source == "audit.checkpoint"));
    stage.until_logged("tools.pinned", 2).await;
    assert!(!stage.runs("list_users").await && !stage.runs("echo").await);
    assert!(stage.runs("get_user_policy").await);
    assert!(stage.runs("list_roles").await, "seen for the first time, as far as anybody knows");
}
