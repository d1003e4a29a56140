//! What an entry is as an event.

use super::*;
use crate::audit::kinds::KINDS;
use crate::audit::{Entry, Head};
use crate::call::{AgentName, CallId, ReviewerId, ToolName, UpstreamName};

const MIRA: &str = "0199a3c2-0000-7000-8000-000000000001";
const CALL: &str = "0199a3c2-0000-7000-8000-000000000002";

fn row(entry: &Entry) -> Row {
    let sealed = Head::EMPTY.clone().seal(entry, Millis(1_795_356_131_000)).unwrap();
    Row {
        seq: sealed.seq,
        at: sealed.at,
        kind: entry.kind.into(),
        call: None,
        agent: None,
        upstream: None,
        tool: None,
        reviewer: None,
        body: sealed.body,
        leaf: sealed.leaf.to_string(),
    }
}

fn event(row: &Row) -> Value {
    let addresses = BTreeMap::from([(MIRA.to_owned(), "mira@example.com".to_owned())]);
    let line = ocsf(row, &Beside { log: Some("placet-1"), addresses: &addresses });
    assert_eq!(line.find('\n'), Some(line.len() - 1), "{line}");
    serde_json::from_str(&line).unwrap()
}

fn full(kind: &'static str) -> Entry {
    Entry::new(kind)
        .agent(&AgentName::new("ci-bot").unwrap())
        .upstream(&UpstreamName::new("iam").unwrap())
        .tool(&ToolName::new("put_user_policy").unwrap())
        .call(CALL.parse::<CallId>().unwrap())
        .reviewer(MIRA.parse::<ReviewerId>().unwrap())
}

#[test]
fn an_approval_is_an_event_about_the_call_by_the_person() {
    let row = row(&full("call.approved").with("reason", "as agreed").with("digest", "d").with("self_approval", false));
    let event = event(&row);
    assert_eq!((&event["class_uid"], &event["type_uid"]), (&json!(3004), &json!(300_499)));
    assert_eq!(event["activity_name"], "Approve");
    assert_eq!(event["type_name"], "Entity Management: Other");
    assert_eq!(event["time"], 1_795_356_131_000_i64);
    let metadata = &event["metadata"];
    assert_eq!(metadata["uid"], row.leaf.as_str());
    assert_eq!((&metadata["sequence"], &metadata["event_code"]), (&json!(1), &json!("call.approved")));
    assert_eq!((&metadata["log_name"], &metadata["correlation_uid"]), (&json!("placet-1"), &json!(CALL)));
    assert_eq!(metadata["original_time"], "2026-11-22T14:02:11.000Z");
    let address = "mira@example.com";
    let mira = json!({"uid": MIRA, "name": address, "email_addr": address, "type_id": 1, "type": "User"});
    assert_eq!(event["actor"], json!({"user": mira}));
    assert_eq!(event["entity"]["data"], json!({"agent": "ci-bot", "upstream": "iam", "digest": "d"}));
    assert_eq!((&event["comment"], &event["disposition"]), (&json!("as agreed"), &json!("Approved")));
    assert_eq!(event["unmapped"], json!({"prev": "0".repeat(64), "detail": {"self_approval": false}}));
}

#[test]
fn a_call_is_an_event_of_the_api_by_the_agent() {
    let mut entry = full("call.denied").with("rule", "put_*").with("policy", "v");
    entry.reviewer = None;
    let event = event(&row(&entry));
    assert_eq!(event["type_uid"], 600_399);
    assert_eq!(
        event["api"],
        json!({"operation": "put_user_policy", "service": {"name": "iam"}, "request": {"uid": CALL}})
    );
    assert_eq!(event["src_endpoint"], json!({"name": "ci-bot", "type_id": 99, "type": "Agent"}));
    assert_eq!(event["actor"]["user"]["name"], "ci-bot");
    assert_eq!((&event["action"], &event["status"]), (&json!("Denied"), &json!("Failure")));
    // Reads for the reviewers are Placet's own, on the agent's behalf.
    let read = self::event(&row(&Entry { reviewer: None, ..full("context.read") }));
    assert_eq!((&read["actor"], &read["src_endpoint"]), (&json!({"app_name": "Placet"}), &json!({"name": "Placet"})));
    assert_eq!((&read["activity_name"], &read["unmapped"]["agent"]), (&json!("Read"), &json!("ci-bot")));
    let nameless = self::event(&row(&Entry::new("call.denied")));
    assert_eq!((&nameless["actor"]["user"], &nameless["src_endpoint"]["name"]), (&nobody(), &json!("unknown")));
    assert_eq!((&event["policy"]["uid"], &event["unmapped"]["detail"]["rule"]), (&json!("v"), &json!("put_*")));
}

#[test]
fn who_did_it_is_whom_the_log_names_and_nobody_else() {
    let by_policy = Entry { reviewer: None, ..full("call.approved").with("by", "policy") };
    assert_eq!(event(&row(&by_policy))["actor"], json!({"app_name": "Placet"}));
    assert_eq!(event(&row(&full("call.cancelled")))["actor"]["user"]["name"], "ci-bot");
    assert_eq!(event(&row(&full("call.cancelled").with("restored", true)))["actor"], json!({"app_name": "Placet"}));
    let disabled = event(&row(&Entry::new("reviewer.disabled").reviewer(MIRA.parse().unwrap())));
    assert!(disabled.get("actor").is_none() && disabled["user"]["uid"] == MIRA, "{disabled}");
    let stranger = event(&row(&Entry::new("session.refused").with("why", "wrong password")));
    assert_eq!(stranger["user"], nobody());
    assert_eq!(stranger["status_detail"], "wrong password");
    let again = event(&row(&Entry::new("reviewer.added").reviewer(MIRA.parse().unwrap()).with("again", true)));
    assert_eq!((&again["activity_id"], &again["type_uid"]), (&json!(2), &json!(300_102)));
    assert_eq!(event(&row(&Entry::new("log.key_rotated").with("old_lost", true)))["severity"], "High");
}

/// Every text and number of every kind of entry is somewhere in its event.
#[test]
fn nothing_that_an_entry_says_is_lost() {
    for kind in KINDS {
        let mut entry = full(kind);
        for key in [
            "why", "reason", "digest", "rule", "policy", "session", "anchor", "kind", "old", "new", "vkey", "method",
            "version", "agent_id", "by", "seq",
        ] {
            entry = entry.with(key, format!("text-{key}"));
        }
        // What stands under this name is taken for a secret unless it is an id.
        entry = entry.with("token", "0199a3c2-0000-7000-8000-000000000003");
        let row = row(&entry.with("count", 77_123).with("problems", json!(["one thing"])));
        let event = event(&row).to_string();
        let body: Value = serde_json::from_str(&row.body).unwrap();
        let said = body.as_object().unwrap().iter().chain(body["detail"].as_object().unwrap());
        for (key, value) in said.filter(|(key, _)| *key != "detail") {
            assert!(event.contains(&value.to_string()), "{kind}: {key} {value} is not in {event}");
        }
    }
}

#[test]
fn a_secret_is_covered() {
    let event = event(&row(&full("call.rejected").with("reason", "password=hunter2-hunter2")));
    assert!(!event.to_string().contains("hunter2"), "{event}");
    assert_eq!(event["unmapped"]["masked"], true);
}

#[test]
fn what_cannot_be_read_or_is_not_known_is_told() {
    let whole = row(&full("call.held"));
    for body in ["no json, password=hunter2-hunter2", "{\"seq\":1,\n\"kind\":\"x\"}", "{}", r#"{"seq":1,"seq":2}"#] {
        let event = event(&Row { body: body.into(), ..whole.clone() });
        assert_eq!((&event["class_uid"], &event["status"]), (&json!(0), &json!("Failure")), "{body}");
        assert_eq!((&event["time"], &event["metadata"]["sequence"]), (&json!(whole.at.0), &json!(1)));
        assert!(!event["raw_data"].as_str().unwrap().is_empty() && !event.to_string().contains("hunter2"), "{event}");
    }
    let strange = event(&row(&full("future.thing").with("x", 1)));
    assert_eq!((&strange["type_uid"], &strange["metadata"]["event_code"]), (&json!(99), &json!("future.thing")));
    assert_eq!((&strange["unmapped"]["agent"], &strange["unmapped"]["detail"]["x"]), (&json!("ci-bot"), &json!(1)));
    // A member that no entry has, and a time that is none.
    let added = whole.body.replacen('{', r#"{"added":"by hand","#, 1).replace("2026-11-22T", "some day ");
    let added = event(&Row { body: added, ..whole.clone() });
    assert_eq!((&added["unmapped"]["added"], &added["time"]), (&json!("by hand"), &json!(whole.at.0)));
}

#[test]
fn an_address_stands_only_where_the_schema_takes_it() {
    for (address, fits) in [
        ("mira@example.com", true),
        ("a+b@x.y", true),
        ("mira@localhost", false),
        ("ä@x.y", false),
        ("@x.y", false),
        ("a@.y", false),
        ("a b@x.y", false),
    ] {
        assert_eq!(is_address(address), fits, "{address}");
    }
}
