//! `placet suggest`: a policy to start from, out of what an upstream lists.

use serde_json::{Value, json};

use crate::support::command::placet;
use crate::support::upstream::{Upstream, json_answer};

/// Lists these tools, two a page.
fn lists(upstream: &Upstream, tools: Vec<Value>) {
    upstream.on("tools/list", move |message| {
        let from: usize = message["params"]["cursor"].as_str().map_or(0, |cursor| cursor.parse().unwrap());
        let page = &tools[from..tools.len().min(from + 2)];
        let mut result = json!({"tools": page});
        if from + 2 < tools.len() {
            result["nextCursor"] = (from + 2).to_string().into();
        }
        json_answer(json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string())
    });
}

fn folder(url: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = format!("[[upstreams]]\nname = \"iam\"\nurl = \"{url}\"\n");
    std::fs::write(folder.path().join("placet.toml"), config).unwrap();
    folder
}

#[tokio::test]
async fn what_it_prints_is_a_policy_that_check_and_test_take() {
    let upstream = Upstream::start().await;
    let tool = |name: &str| json!({"name": name, "inputSchema": {"type": "object"}});
    let long = "get_".repeat(2500);
    let mut tools: Vec<_> =
        ["put_user_policy", "get_user", "get_*", "delete_user", "a/b", "x\u{202e}\n\u{1b}[2J", "frobnicate", "", &long]
            .map(tool)
            .to_vec();
    let sql = json!({"name": "query", "inputSchema": {"properties": {"sql": {"type": "string"}}}});
    let top = json!({"name": "pods_top", "annotations": {"readOnlyHint": true}, "inputSchema": {}});
    tools.extend([sql, top]);
    lists(&upstream, tools.clone());
    let folder = folder(&upstream.url);
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let config = path("placet.toml");

    let said = placet(&["suggest", "iam", "--config", &config]).await;
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.err.contains("1 have names that are empty") || said.err.contains("2 have names"), "{}", said.err);
    assert!(!said.out.contains(['\u{202e}', '\u{1b}']), "{}", said.out);
    let entries = said.out.lines().filter(|line| line.contains("\"note\": \"")).count();
    assert_eq!(entries, tools.len() - 1, "one line each, but for the tool without a name\n{}", said.out);
    for wanted in [
        "    \"get_user\": { \"action\": \"allow\", \"risk\": \"read\", \"note\": \"Read: its name begins with \\\"get\\\"\" }",
        "    \"put_user_policy\": { \"action\": \"require_approval\", \"risk\": \"access\", \"note\": \"Access: ",
        "    \"query\": { \"action\": \"require_approval\", \"risk\": \"execute\", \"note\": \"Execute: it takes ",
        "    \"frobnicate\": { \"action\": \"require_approval\", \"note\": \"Unknown: ",
        "    \"pods_top\": { \"action\": \"allow\", \"risk\": \"read\", \"note\": \"Read: its name says ",
        "    \"get_\\\\*\": { ",
        "    \"iam/a/b\": { ",
    ] {
        assert!(said.out.contains(wanted), "{wanted}\n{}", said.out);
    }
    tools.reverse();
    lists(&upstream, tools);
    assert_eq!(placet(&["suggest", "iam", "--config", &config]).await.out, said.out, "the order of the list shows");

    let policy = path("policy.json");
    std::fs::write(&policy, &said.out).unwrap();
    let checked = placet(&["check", "--config", &config]).await;
    assert_eq!((checked.code, checked.out.as_str()), (0, ""), "{}", checked.err);
    let calls = [
        json!({"tool": "get_user", "expect": "allow"}),
        json!({"tool": "get_*", "expect": "allow"}),
        json!({"tool": "get_users", "expect": "deny"}),
        json!({"tool": "put_user_policy", "expect": "require_approval"}),
        json!({"tool": "a/b", "expect": "require_approval"}),
        json!({"tool": "x\u{202e}\n\u{1b}[2J", "expect": "require_approval"}),
        json!({"tool": "unlisted", "expect": "deny"}),
    ]
    .map(|call| call.to_string());
    std::fs::write(folder.path().join("calls.jsonl"), calls.join("\n")).unwrap();
    let tested = placet(&["test", &path("calls.jsonl"), "--config", &config]).await;
    assert_eq!(tested.code, 0, "{}\n{}", tested.out, tested.err);
}

#[tokio::test]
async fn what_cannot_be_asked_is_said() {
    let upstream = Upstream::start().await;
    upstream.on("tools/list", |message| {
        let error = json!({"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32603, "message": "no"}});
        json_answer(error.to_string())
    });
    let refusing = folder(&upstream.url);
    let gone = folder("http://127.0.0.1:1/mcp");
    let path = |folder: &tempfile::TempDir| folder.path().join("placet.toml").to_str().unwrap().to_owned();
    for (arguments, code, why) in [
        (vec!["suggest", "iam", "--config", &path(&refusing)], 2, "it answered with an error"),
        (vec!["suggest", "iam", "--config", &path(&gone)], 2, "the tools of iam could not be listed"),
        (vec!["suggest", "other", "--config", &path(&gone)], 2, "no upstream is called other; placet.toml has iam"),
        (vec!["suggest", "iam", "--config", "/nowhere/placet.toml"], 2, "there is no such file"),
        (vec!["serve", "--config", "/nowhere/placet.toml"], 2, "there is no such file"),
        (vec!["suggest"], 64, "UPSTREAM"),
        (vec!["suggest", "a b"], 64, "letters, digits"),
    ] {
        let said = placet(&arguments).await;
        assert_eq!((said.code, said.out.as_str()), (code, ""), "{arguments:?} {}", said.err);
        assert!(said.err.contains(why), "{arguments:?} {}", said.err);
    }
}
