//! `placet audit export --format ocsf`: every entry is an event that the schema takes.

mod schema;

use std::collections::BTreeMap;
use std::time::Duration;

use placet::approvals::{Channel, Find, ForwardError};
use placet::audit::kinds::KINDS;
use placet::audit::ocsf::{Beside, SCHEMA, ocsf};
use placet::audit::{Entry, Head, Row, SealedEntry};
use placet::call::{Answer, Millis, OnTimeout, Quorum, Requirement, Verdict};
use serde_json::{Value, json};

use self::schema::Schema;
use super::{audit, decide, history};
use crate::attack::edit_any;
use crate::support::bench::Bench;
use crate::support::command::placet;
use crate::support::triggers;

/// What else can become of a held call, besides [`history`].
async fn other_ends(bench: &Bench) {
    let answers = [
        Ok(Answer::Error(r#"{"code":-32602,"message":"x"}"#.into())),
        Err(ForwardError::NotSent("connection refused".into())),
        Err(ForwardError::Unknown("the connection broke".into())),
    ];
    for (n, answer) in answers.into_iter().enumerate() {
        *bench.upstream.answer.lock().unwrap() = answer;
        let call = bench.hold(&format!(r#"{{"other":{n}}}"#)).await;
        let attached = bench.approvals.attach(call.submission.id);
        decide(bench, &call, bench.mira, Verdict::Approve, "").await;
        let ended = attached.finished().await.unwrap();
        if ended.state.name() == "outcome_unknown" {
            let by = bench.noor;
            let reason = "it is not there".to_owned();
            let find = Find { call: call.submission.id, ran: false, reason, by, channel: Channel::Page };
            bench.approvals.find(find).await.unwrap();
        }
    }
    let two = Requirement { quorum: Quorum::new(2).unwrap(), ..Requirement::plain(Duration::from_secs(900)) };
    let lapsed = bench.submit(r#"{"other":"lapsed"}"#, two.clone()).await.call;
    decide(bench, &lapsed, bench.mira, Verdict::Approve, "").await;
    decide(bench, &lapsed, bench.noor, Verdict::Approve, "").await;
    let revoked = bench.hold(r#"{"other":"revoked"}"#).await;
    decide(bench, &revoked, bench.mira, Verdict::Approve, "").await;
    *bench.today.0.lock().unwrap() = Some("the policy denies it now".into());
    bench.approvals.returned(revoked.submission.id).await;
    bench.until(&revoked, "revoked").await;
    let waits = Requirement { on_timeout: OnTimeout::Escalate(Vec::new()), ..two };
    let escalated = bench.submit(r#"{"other":"escalated"}"#, waits).await.call;
    for _ in 0..4 {
        bench.clock.advance(Duration::from_secs(1000));
        bench.approvals.expire().await.unwrap();
    }
    bench.until(&lapsed, "lapsed").await;
    bench.until(&escalated, "expired").await;
}

fn events(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn no_faults(schema: &Schema, event: &Value) {
    let faults = schema.faults(event);
    assert!(faults.is_empty(), "{}\n{event:#}", faults.join("\n"));
}

#[tokio::test]
async fn every_entry_of_a_log_is_an_event_that_the_schema_takes() {
    let bench = Bench::new().await;
    let [executed, rejected, ..] = history(&bench).await;
    other_ends(&bench).await;
    bench.store.session_refused(None, "wrong password").await.unwrap();
    let stored = audit(&bench, &["export"]).await.out;
    let said = audit(&bench, &["export", "--format", "ocsf"]).await;
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    let (schema, events) = (Schema::read(), events(&said.out));
    assert_eq!(events.len(), stored.lines().count());
    for (line, event) in stored.lines().zip(&events) {
        no_faults(&schema, event);
        let body: Value = serde_json::from_str(line).unwrap();
        let metadata = &event["metadata"];
        assert_eq!(metadata["uid"], SealedEntry::leaf_of(line.as_bytes()).to_string());
        assert_eq!((&metadata["sequence"], &metadata["event_code"]), (&body["seq"], &body["kind"]));
        assert_eq!((&metadata["original_time"], metadata.get("correlation_uid")), (&body["at"], body.get("call")));
        assert_ne!(event["class_uid"], 0, "{event}");
    }
    // What became of calls, in the words of the classes.
    let of = |code: &str| events.iter().filter(|event| event["metadata"]["event_code"] == code).collect::<Vec<_>>();
    for (code, class, activity, disposition) in [
        ("call.held", 3004, "Create", Some("Delayed")),
        ("call.voted", 3004, "Vote", None),
        ("call.approved", 3004, "Approve", Some("Approved")),
        ("call.rejected", 3004, "Reject", Some("Rejected")),
        ("call.escalated", 3004, "Escalate", None),
        ("call.expired", 3004, "Expire", Some("Blocked")),
        ("call.cancelled", 3004, "Cancel", None),
        ("call.lapsed", 3004, "Lapse", Some("Blocked")),
        ("call.revoked", 3004, "Revoke", Some("Access Revoked")),
        ("call.finding", 3004, "Find", None),
        ("call.released", 6003, "Release", Some("Allowed")),
        ("call.executed", 6003, "Execute", None),
        ("call.tool_error", 6003, "Execute", None),
        ("call.not_sent", 6003, "Send", None),
        ("call.outcome_unknown", 6003, "Execute", None),
        ("session.refused", 3002, "Logon", None),
        ("reviewer.added", 3001, "Create", None),
        ("agent.added", 3001, "Create", None),
    ] {
        let found = of(code);
        assert!(!found.is_empty(), "no {code}");
        for event in found {
            assert_eq!((&event["class_uid"], &event["activity_name"]), (&json!(class), &json!(activity)), "{code}");
            assert_eq!(event["disposition"].as_str(), disposition, "{code}");
        }
    }
    let rejection = of("call.rejected")[0];
    assert_eq!(
        (&rejection["comment"], &rejection["entity"]["uid"]),
        (&json!("not on a Friday"), &json!(rejected.submission.id))
    );
    assert_eq!(rejection["actor"]["user"]["email_addr"], "noor@example.com");
    let ran = of("call.executed")[0];
    assert_eq!((&ran["api"]["operation"], &ran["api"]["service"]["name"]), (&json!("put_user_policy"), &json!("iam")));
    assert_eq!((&ran["api"]["request"]["uid"], &ran["status"]), (&json!(executed.submission.id), &json!("Success")));
    assert_eq!(of("call.not_sent")[0]["status_detail"], "connection refused");
}

/// Also those kinds that the log above has none of, with as much and as little as an entry can say.
#[test]
fn every_kind_is_an_event_that_the_schema_takes() {
    let schema = Schema::read();
    assert_eq!(schema.version(), SCHEMA);
    let id = "0199a3c2-0000-7000-8000-000000000001";
    for address in ["mira@example.com", "mira@localhost"] {
        let addresses = BTreeMap::from([(id.to_owned(), address.to_owned())]);
        for kind in KINDS {
            let bare = Entry::new(kind);
            let mut full = Entry {
                call: Some(id.parse().unwrap()),
                agent: Some("ci-bot".into()),
                upstream: Some("iam".into()),
                tool: Some("put_user_policy".into()),
                reviewer: Some(id.parse().unwrap()),
                ..bare.clone()
            };
            for key in
                ["why", "reason", "digest", "policy", "session", "anchor", "old", "new", "vkey", "method", "agent_id"]
            {
                full = full.with(key, key);
            }
            let numbers =
                ["why", "reason", "digest", "policy", "session", "token", "anchor", "new", "method", "version"];
            let odd = numbers.iter().fold(bare.clone(), |entry, key| entry.with(key, 7));
            let agent = Entry { agent: full.agent.clone(), ..bare.clone() };
            let reviewer = Entry { reviewer: full.reviewer, ..bare.clone() };
            let again = full.clone().with("again", true).with("old_lost", true).with("restored", true);
            for entry in [&bare, &full, &odd, &agent, &reviewer, &again] {
                let mut head = Head::EMPTY;
                let sealed = head.seal(entry, Millis(1_795_356_131_000)).unwrap();
                let row = Row {
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
                };
                let line = ocsf(&row, &Beside { log: None, addresses: &addresses });
                no_faults(&schema, &serde_json::from_str(&line).unwrap());
            }
        }
    }
}

#[tokio::test]
async fn filters_choose_secrets_are_covered_and_damage_is_told() {
    let bench = Bench::new().await;
    let [_, rejected, ..] = history(&bench).await;
    let secret = "ghp_0123456789abcdefghijklmnopqrstuvwxyz";
    let call = bench.hold(r#"{"n":9}"#).await;
    decide(&bench, &call, bench.mira, Verdict::Reject, &format!("never paste {secret}")).await;
    let of = async |arguments: &[&str]| {
        let said = audit(&bench, &[&["export", "--format", "ocsf"], arguments].concat()).await;
        assert_eq!(said.code, 0, "{}", said.err);
        said.out
    };
    let some = events(&of(&["--kind", "call.rejected", "--reviewer", "noor@example.com"]).await);
    assert_eq!(some.len(), 1);
    assert_eq!(some[0]["metadata"]["correlation_uid"], json!(rejected.submission.id));
    assert!(!of(&[]).await.contains(secret));
    let none = audit(&bench, &["export", "--format", "ocsf", "--kind", "alarm."]).await;
    assert!(none.code == 0 && none.out.is_empty() && none.err.contains("no entry"), "{}", none.err);

    let damage = "UPDATE entries SET body = replace(body, '\"at\"', '\"AT\"') WHERE seq = 2;";
    edit_any(&bench, &[triggers::AWAY, damage, triggers::back()].concat()).await;
    let (schema, damaged) = (Schema::read(), events(&of(&[]).await));
    damaged.iter().for_each(|event| no_faults(&schema, event));
    assert_eq!((&damaged[1]["class_uid"], &damaged[1]["metadata"]["sequence"]), (&json!(0), &json!(2)));
    assert!(damaged[1]["raw_data"].as_str().unwrap().contains("\"AT\""), "{}", damaged[1]);
    assert_eq!(damaged.len() as u64, bench.store.log_size().await.unwrap());
}

/// The schema's rules are only as good as the reading of them.
#[test]
fn what_the_schema_does_not_take_is_found() {
    let schema = Schema::read();
    let mut head = Head::EMPTY;
    let entry = Entry { agent: Some("ci-bot".into()), tool: Some("t".into()), ..Entry::new("call.denied") };
    let sealed = head.seal(&entry, Millis(1_795_356_131_000)).unwrap();
    let row = Row {
        seq: 1,
        at: sealed.at,
        kind: "call.denied".into(),
        call: None,
        agent: None,
        upstream: None,
        tool: None,
        reviewer: None,
        body: sealed.body,
        leaf: sealed.leaf.to_string(),
    };
    let line = ocsf(&row, &Beside { log: None, addresses: &BTreeMap::new() });
    let good: Value = serde_json::from_str(&line).unwrap();
    no_faults(&schema, &good);
    for (pointer, wrong, found) in [
        ("/class_uid", json!(6004), "not in the extract"),
        ("/type_uid", json!(600_301), "type_uid"),
        ("/category_uid", json!(3), "category_uid"),
        ("/activity_id", json!(5), "none of"),
        ("/activity_name", json!("Other"), "says only"),
        ("/severity", json!("High"), "not \"Low\""),
        ("/severity_id", json!(7), "none of"),
        ("/time", json!("2026"), "time is no timestamp_t"),
        ("/actor", json!({}), "at least one"),
        ("/api", json!({"service": {"name": "iam"}}), "api.operation is missing"),
        ("/metadata/version", json!("1.7.0"), "metadata.version"),
        ("/metadata/profiles", json!([]), "belongs to a profile"),
        ("/metadata/profiles", json!("x"), "no array"),
        ("/src_endpoint/type", Value::Null, "type"),
        ("/src_endpoint", json!({"name": "x", "place": 1}), "src_endpoint.place is no attribute"),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = wrong;
        let faults = schema.faults(&bad).join("\n");
        assert!(faults.contains(found), "{pointer}: {faults}");
    }
    for name in ["metadata", "time", "severity_id", "activity_id", "src_endpoint", "api", "actor"] {
        let mut bad = good.clone();
        bad.as_object_mut().unwrap().remove(name);
        assert!(schema.faults(&bad).contains(&format!("{name} is missing")), "{name}");
    }
}

#[tokio::test]
async fn help_names_the_format() {
    let said = placet(&["audit", "export", "--help"]).await;
    assert!(said.out.contains(&format!("an event of OCSF {SCHEMA}")), "{}", said.out);
}
