//! `placet test`: written calls and recorded ones, ruled without a server.

use serde_json::{Value, json};

use crate::support::agent::{Agent, Stream};
use crate::support::app::Setup;
use crate::support::command::{Said, placet};
use crate::support::upstream::Upstream;

const CONFIG: &str = "[[upstreams]]\nname = \"iam\"\ncommand = [\"iam\"]\n";

const POLICY: &str = r#"{ "version": "1", "hide": ["delete_user"],
  "tools": {
    "get_*": {},
    "list_users": { "limits": [ { "counter": "l", "window": "minute", "max": 2 } ] },
    "create_user": { "action": "deny", "reason": "users come from the directory" },
    "put_*": { "action": "require_approval", "approval": { "message": "ask iam" } },
    "tag_user": { "deny_if": [ { "path": "args.key", "op": "eq", "value": "owner", "on_deny": "not that key" } ] } },
  "methods": { "resources/*": {} } }"#;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    async fn test(&self, calls: &str, more: &[&str]) -> Said {
        std::fs::write(self.0.path().join("calls.jsonl"), calls).unwrap();
        let (calls, config) = (self.path("calls.jsonl"), self.path("placet.toml"));
        placet(&[&["test", &calls, "--config", &config], more].concat()).await
    }
}

fn rulings(said: &Said) -> Vec<(String, Option<String>, Option<String>)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let line = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap();
        assert_eq!(value.as_object().unwrap().len(), 3, "{value}");
        (text(&value["ruling"]).unwrap(), text(&value["rule"]), text(&value["reason"]))
    };
    said.out.lines().map(line).collect()
}

#[tokio::test]
async fn every_line_is_ruled_and_nothing_is_made() {
    let folder = Folder::new(&[("placet.toml", CONFIG), ("policy.json", POLICY)]);
    let calls = r#"{"tool": "get_user", "arguments": {}, "expect": "allow"}
{"tool": "put_user_policy", "arguments": {"user_name": "x"}, "expect": "require_approval", "note": "held"}

{"tool": "create_user", "arguments": {}, "expect": "deny"}
{"tool": "delete_user", "expect": "deny"}
{"tool": "unheard_of", "agent": "ci-bot", "upstream": "iam", "expect": "deny"}
{"tool": "tag_user", "arguments": {"key": "owner"}, "expect": "deny"}
{"tool": "tag_user", "arguments": {"key": "team"}, "expect": "allow"}
{"method": "resources/read", "params": {"uri": "x"}, "expect": "allow"}
{"method": "prompts/get", "expect": "deny"}
{"method": "ping", "expect": "allow"}
{"tool": "get_user", "arguments": {"a": 1, "a": 2}, "expect": "deny"}
{"tool": "get_user", "upstream": "other"}"#;
    let said = folder.test(calls, &["--json"]).await;
    assert_eq!(said.code, 0, "{}", said.err);
    let got = rulings(&said);
    let brief: Vec<_> = got.iter().map(|(ruling, rule, _)| (ruling.as_str(), rule.as_deref())).collect();
    let wanted = [
        ("allow", Some("/tools/get_*")),
        ("require_approval", Some("/tools/put_*")),
        ("deny", Some("/tools/create_user")),
        ("deny", Some("/hide/0")),
        ("deny", Some("/default")),
        ("deny", Some("/tools/tag_user/deny_if/0")),
        ("allow", Some("/tools/tag_user")),
        ("allow", Some("/methods/resources~1*")),
        ("deny", Some("/default")),
        ("allow", Some("/default")),
        ("deny", None),
        ("deny", None),
    ];
    assert_eq!(brief, wanted);
    assert_eq!(got[1].2.as_deref(), Some("ask iam"));
    assert_eq!(got[2].2.as_deref(), Some("users come from the directory"));
    assert_eq!(got[5].2.as_deref(), Some("not that key"));
    assert!(got[10].2.as_deref().unwrap().contains("occurs twice"), "{got:?}");
    assert!(said.err.contains("line 12 cannot be accepted") && said.err.contains("line 13 cannot"), "{}", said.err);
    let plain = folder.test(calls, &[]).await;
    assert!(plain.out.contains("2: put_user_policy: require_approval /tools/put_*: ask iam\n"), "{}", plain.out);
    let mut left: Vec<_> = std::fs::read_dir(folder.0.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["calls.jsonl", "placet.toml", "policy.json"], "it made something");
}

#[tokio::test]
async fn counters_begin_empty_and_go_by_each_lines_time() {
    let folder = Folder::new(&[("placet.toml", CONFIG), ("policy.json", POLICY)]);
    let at = |at: &str, agent: &str| format!(r#"{{"tool":"list_users","agent":"{agent}","at":"{at}"}}"#);
    let calls = [
        at("2026-11-22T15:02:01+01:00", "a"),
        r#"{"tool":"list_users","agent":"a"}"#.to_owned(),
        at("2026-11-22T14:02:59Z", "a"),
        at("2026-11-22T14:02:59Z", "b"),
        r#"{"tool":"list_users","agent":"b","at":"yesterday"}"#.to_owned(),
        at("2026-11-22T09:03:00-05:00", "a"),
    ];
    for _ in 0..2 {
        let said = folder.test(&calls.join("\n"), &["--json"]).await;
        let got = rulings(&said);
        let brief: Vec<_> = got.iter().map(|(ruling, ..)| ruling.as_str()).collect();
        assert_eq!((said.code, brief), (0, vec!["allow", "allow", "deny", "allow", "deny", "allow"]), "{}", said.out);
        assert_eq!(got[2].1.as_deref(), Some("/tools/list_users/limits/0"));
        assert_eq!(got[2].2.as_deref(), Some("a limit is reached until 2026-11-22 14:03:00 UTC"));
    }
    // Forty holds are no matter: the bounds of holds belong to the service.
    let many = vec![r#"{"tool":"put_user_policy","expect":"require_approval"}"#; 40].join("\n");
    assert_eq!(folder.test(&many, &[]).await.code, 0);
}

#[tokio::test]
async fn a_difference_ends_with_one_and_is_summed_up_at_the_end() {
    let folder = Folder::new(&[("placet.toml", CONFIG), ("policy.json", POLICY)]);
    let calls = [
        r#"{"tool":"get_user","expect":"deny"}"#,
        r#"{"tool":"get_user","expect":"allow"}"#,
        r#"{"tool":"get_\u001b[2Juser","expect":"alow"}"#,
        r#"{"tool":"get_user","expect":"allow""#,
    ];
    let said = folder.test(&calls.join("\n"), &[]).await;
    assert_eq!((said.code, said.out.lines().count()), (1, 4), "{}", said.err);
    for wanted in [
        "3 of 4 lines are not ruled as expected:\n",
        "line 1: get_user: allow (/tools/get_*), expected deny\n",
        "\"expect\" is \"alow\", not one of allow, require_approval, deny\n",
        "line 4: cannot be accepted: what it expects cannot be read",
    ] {
        assert!(said.err.contains(wanted), "{wanted}\n{}", said.err);
    }
    assert!(!said.err.contains('\u{1b}') && !said.out.contains('\u{1b}'), "a tool's name moves the cursor");
}

#[tokio::test]
async fn a_policy_alone_will_do_and_what_cannot_be_judged_has_its_exit_code() {
    let folder = Folder::new(&[
        ("policy.json", POLICY),
        ("broken.json", r#"{"version": "1", "tools": {"x": {"action": "alow"}}, "hide": 7}"#),
        ("placet.toml", "[[upstreams]]\nname = 7\n"),
        (
            "two.toml",
            "policy = \"policy.json\"\n[[upstreams]]\nname = \"a\"\ncommand = [\"a\"]\n[[upstreams]]\nname = \"b\"\ncommand = [\"b\"]\n",
        ),
        ("calls.jsonl", "{\"tool\": \"get_user\"}\n"),
    ]);
    let (calls, policy, broken) = (folder.path("calls.jsonl"), folder.path("policy.json"), folder.path("broken.json"));
    // Run where no placet.toml lies about.
    let alone = placet(&["test", &calls, "--policy", &policy, "--json"]).await;
    assert_eq!((alone.code, rulings(&alone)[0].0.as_str()), (0, "allow"), "{}", alone.err);
    assert!(!alone.err.contains("placet.toml"), "{}", alone.err);
    std::fs::write(folder.path("other.jsonl"), r#"{"tool": "get_user", "expect": "deny"}"#).unwrap();
    let differs = placet(&["test", &folder.path("other.jsonl"), "--policy", &policy]).await;
    let words = "no placet.toml was read, so a line without \"upstream\" goes to one that is called upstream";
    assert!(differs.code == 1 && differs.err.contains(words), "{}", differs.err);
    let invalid = placet(&["test", &calls, "--policy", &broken, "--json"]).await;
    assert_eq!((invalid.code, invalid.out.as_str()), (1, ""));
    assert!(
        invalid.err.contains("broken.json:1:44 /tools/x/action: ") && invalid.err.contains("/hide: "),
        "{}",
        invalid.err
    );
    let several = placet(&["test", &calls, "--config", &folder.path("two.toml")]).await;
    assert!(several.err.contains("\"upstream\" is missing; placet.toml has a, b"), "{}", several.err);
    let config = folder.path("placet.toml");
    for (arguments, code) in [
        (vec!["test", &calls, "--config", &config], 1),
        (vec!["test", "/nowhere/calls.jsonl", "--policy", &policy], 2),
        (vec!["test", &calls, "--policy", "/nowhere/policy.json"], 2),
        (vec!["test", &calls, "--config", "/nowhere/placet.toml"], 2),
        (vec!["test", "--recorded", "7d", "--policy", &policy], 2),
        (vec!["test"], 64),
        (vec!["test", &calls, "--recorded", "7d"], 64),
        (vec!["test", "--recorded", "week"], 64),
        (vec!["test", &calls, "--polcy", &policy], 64),
    ] {
        let said = placet(&arguments).await;
        assert_eq!((said.code, said.out.as_str()), (code, ""), "{arguments:?} {}", said.err);
        assert!(!said.err.is_empty(), "{arguments:?}");
    }
}

const BEFORE: &str = r#"{ "version": "1", "hide": ["delete_user"], "tools": {
    "get_user": { "limits": [ { "counter": "g", "window": "day", "max": 3 } ] }, "echo": {},
    "create_user": { "action": "deny" },
    "put_user_policy": { "action": "require_approval" } } }"#;

const AFTER: &str = r#"{ "version": "1", "tools": {
    "get_*": {}, "create_user": { "action": "require_approval" },
    "echo": { "require": [ { "path": "args.text", "op": "eq", "value": "hi" } ] },
    "put_user_policy": { "action": "require_approval",
      "approval": { "when": [ { "path": "args.user_name", "op": "eq", "value": "root" } ] } } } }"#;

#[tokio::test]
async fn recorded_calls_are_tried_with_a_new_policy() {
    let upstream = Upstream::start().await;
    let app = Setup::http(&upstream.url).policy(BEFORE).real_time().start().await;
    let mut agent = Agent::new(app.mcp(), &app.agent("ci-bot").await);
    agent.initialize("2025-11-25").await;
    for _ in 0..5 {
        agent.result("get_user", json!({})).await;
    }
    agent.result("echo", json!({"text": "hi"})).await;
    agent.result("create_user", json!({})).await;
    agent.result("delete_user", json!({})).await;
    let mut open = Vec::new();
    for name in ["root", "ci", "build"] {
        let mut held = Stream::of(agent.call("put_user_policy", json!({"user_name": name})).await);
        held.next().await;
        open.push(held);
    }
    let (config, new) = (app.folder.path().join("placet.toml"), app.folder.path().join("new.json"));
    std::fs::write(&new, AFTER).unwrap();
    let (config, new) = (config.to_str().unwrap().to_owned(), new.to_str().unwrap().to_owned());
    let replay = async |policy: &str, more: &[&str]| {
        placet(&[&["test", "--recorded", "7d", "--config", &config, "--policy", policy], more].concat()).await
    };

    let said = replay(&new, &[]).await;
    assert_eq!(said.code, 0, "{}", said.err);
    let wanted = "2 calls of get_user: limited → allowed (/tools/get_*)\n\
                  2 calls of put_user_policy: held → allowed (/tools/put_user_policy)\n\
                  1 call of create_user: denied → held (/tools/create_user)\n\
                  11 calls of the last 7 days: 5 would be ruled otherwise, 5 as they were\n\
                  1 call could not be judged: this policy looks at their arguments, which are not kept\n\
                  7 calls were judged by the tool's name: only held calls' arguments are kept, and only until they \
                  are erased\n";
    assert_eq!(said.out, wanted);
    let json: Value = serde_json::from_str(&replay(&new, &["--json"]).await.out).unwrap();
    assert_eq!((&json["calls"], &json["changed"], &json["not_judged"]), (&json!(11), &json!(5), &json!(1)));
    let first = json!({"upstream": "iam", "tool": "get_user", "was": "limited", "now": "allowed",
                       "rule": "/tools/get_*", "calls": 2});
    assert_eq!(json["changes"][0], first);
    let same = app.folder.path().join("policy.json");
    let said = replay(same.to_str().unwrap(), &[]).await;
    assert!(said.out.starts_with("11 calls of the last 7 days: 0 would be ruled otherwise, 11 as"), "{}", said.out);

    drop(open);
    let folder = std::sync::Arc::clone(&app.folder);
    assert!(app.app.stop(std::time::Duration::from_secs(20)).await);
    let database = folder.path().join("data/placet.db");
    let before = std::fs::read(&database).unwrap();
    let said = replay(&new, &[]).await;
    assert!(std::fs::read(&database).unwrap() == before, "a look at the log changed the database");
    assert!(said.code == 0 && said.out.contains("held → allowed"), "{} {}", said.out, said.err);
    std::fs::remove_dir_all(folder.path().join("data")).unwrap();
    let none = replay(&new, &[]).await;
    assert!(none.code == 2 && none.err.contains("holds no placet.db"), "{} {}", none.code, none.err);
    assert!(!folder.path().join("data").exists(), "it made a data folder");
}
