//! The disk is full, broken, read-only: nothing happens that could not be written down, everybody is told, and when it
//! is mended everything goes on by itself.

use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::check;
use super::process::Process;
use super::world::{PATIENCE, Template, World};
use crate::support::agent::{Agent, Stream, refusal};
use crate::support::disk::{BROKEN, Disk, Failing, NO_SPACE, READ_ONLY};
use crate::support::upstream::json_answer;

/// A served folder on a disk that fails as it is told.
struct Sick {
    template: Template,
    world: World,
    disk: Arc<Disk>,
    process: Process,
    url: String,
    http: reqwest::Client,
}

/// The ways in which a disk takes nothing, and what is said of each.
const ILLS: [(Failing, &str); 4] = [
    (Failing { write: 0, growth: NO_SPACE, sync: 0, open: 0 }, "the disk is full"),
    (Failing { write: BROKEN, growth: 0, sync: 0, open: 0 }, "the disk reports an error"),
    (Failing { write: 0, growth: 0, sync: BROKEN, open: 0 }, "the disk reports an error"),
    (Failing { write: READ_ONLY, growth: 0, sync: 0, open: 0 }, "the disk reports an error"),
];

impl Sick {
    async fn start() -> Self {
        Self::start_with(None).await
    }

    /// Where one file is named, only that fails.
    async fn start_with(only: Option<&str>) -> Self {
        let template = Template::make().await;
        let world = World::new(&template).await;
        let disk = Arc::new(Disk::failing_only(&world.data(), only));
        let (process, url) = serve(&world, &disk).await;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { template, world, disk, process, url, http }
    }

    async fn agent(&self) -> Agent {
        let mut agent = Agent::new(format!("{}/mcp", self.url), &self.template.agent);
        agent.initialize("2025-11-25").await;
        agent
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        let request = self.http.get(format!("{}{path}", self.url)).bearer_auth(&self.template.mira);
        let response = request.send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    }

    async fn call(&self, id: &str) -> Value {
        let (status, text) = self.get(&format!("/api/v1/calls/{id}")).await;
        assert_eq!(status, StatusCode::OK, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    async fn decide(&self, call: &Value, verdict: &str) -> (StatusCode, String) {
        let body = json!({"verdict": verdict, "digest": call["digest"], "reason": "as planned"});
        let path = format!("{}/api/v1/calls/{}/decision", self.url, call["id"].as_str().unwrap());
        let request = self.http.post(path).bearer_auth(&self.template.mira).header("content-type", "application/json");
        let response = request.body(body.to_string()).send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    }

    /// The call that waits, once there is one.
    async fn pending(&self) -> Value {
        self.until("a pending call", async || {
            let (_, text) = self.get("/api/v1/calls?state=pending").await;
            let list: Value = serde_json::from_str(&text).ok()?;
            list["calls"].get(0).cloned()
        })
        .await
    }

    async fn until<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let found = async {
            loop {
                if let Some(found) = look().await {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, found).await;
        found.unwrap_or_else(|_| panic!("{what} did not come: {}", self.process.said().text()))
    }

    async fn is_ready(&self) {
        self.until("readiness", async || (self.get("/readyz").await.0 == StatusCode::OK).then_some(())).await;
    }

    async fn is_not_ready(&self, why: &str) {
        let refused = async || {
            let (status, text) = self.get("/readyz").await;
            (status == StatusCode::SERVICE_UNAVAILABLE).then_some(text)
        };
        assert_eq!(self.until("a refusal", refused).await, format!("not ready: {why}; see the log\n"));
        assert_eq!(self.get("/healthz").await.0, StatusCode::OK, "a restart would mend nothing");
    }

    fn sent(&self, tool: &str) -> usize {
        self.world.upstream.calls(tool).len()
    }

    /// Everything that lies in the database is whole.
    fn check(&self) {
        let copy = self.world.copy();
        let database = check::open(&copy.path().join("placet.db"), true);
        let mut wrong = Vec::new();
        let mut calls = check::calls(&database);
        check::log(&database, &mut calls, &mut wrong);
        check::lives(&calls, &check::sent(&self.world), &mut wrong);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

async fn serve(world: &World, disk: &Disk) -> (Process, String) {
    let mut process = world.start_with(disk.env());
    let url = process.serving().await;
    let url = url.unwrap_or_else(|| panic!("it does not serve: {}", process.said().text()));
    (process, url)
}

#[tokio::test]
async fn what_cannot_be_held_is_not_held() {
    for (ill, why) in ILLS {
        let sick = Sick::start().await;
        let agent = sick.agent().await;
        sick.disk.fail(ill);
        let answer = agent.result("reject", json!({"n": 1})).await;
        assert!(refusal(&answer).contains("did not run"), "{answer}");
        assert_eq!(answer["result"]["_meta"]["placet/call"]["state"], "refused", "{answer}");
        // What needs nobody's approval needs the log, and before it is sent where a limit counts it.
        let passed = agent.result("get_state", json!({"n": 1})).await;
        assert!(passed["error"]["message"].as_str().unwrap().contains("Nothing was run"), "{passed}");
        assert_eq!(sick.sent("get_state"), 0);
        sick.is_not_ready(why).await;
        let (status, text) = sick.get("/api/v1/calls").await;
        assert_eq!((status, text.contains("\"calls\":[]")), (StatusCode::OK, true), "people can read: {text}");

        sick.disk.fail(Failing::default());
        sick.is_ready().await;
        let held = agent.call("reject", json!({"n": 1})).await;
        let call = sick.pending().await;
        assert_eq!(sick.decide(&call, "reject").await.0, StatusCode::OK);
        assert!(refusal(&Stream::of(held).message().await).contains("as planned"));
        sick.check();
    }
}

#[tokio::test]
async fn what_cannot_be_decided_is_not_decided() {
    for (ill, why) in ILLS {
        let sick = Sick::start().await;
        let agent = sick.agent().await;
        let held = agent.call("two", json!({"n": 1})).await;
        let run = agent.call("fail", json!({"n": 2})).await;
        let call = sick.until("both", async || {
            let (_, text) = sick.get("/api/v1/calls?state=pending").await;
            let list: Value = serde_json::from_str(&text).unwrap();
            let calls = list["calls"].as_array()?;
            (calls.len() == 2).then(|| calls.iter().find(|call| call["tool"] == "fail").unwrap().clone())
        });
        let call = call.await;
        sick.disk.fail(ill);
        let (status, text) = sick.decide(&call, "approve").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{text}");
        assert!(text.contains(why) && text.contains("Nothing was recorded"), "{text}");
        sick.is_not_ready(why).await;
        assert_eq!(sick.call(call["id"].as_str().unwrap()).await["state"], "pending");
        assert_eq!(sick.sent("fail"), 0);

        sick.disk.fail(Failing::default());
        sick.is_ready().await;
        assert_eq!(sick.decide(&call, "approve").await.0, StatusCode::OK);
        sick.world.upstream.until_called("fail", 1).await;
        drop(run);
        let ended = async || (sick.call(call["id"].as_str().unwrap()).await["state"] == "tool_error").then_some(());
        sick.until("its end", ended).await;
        assert_eq!(sick.sent("fail"), 1);
        drop(held);
        sick.check();
    }
}

#[tokio::test]
async fn an_outcome_that_cannot_be_recorded_is_recorded_when_it_can_be() {
    for (ill, why) in ILLS {
        let sick = Sick::start().await;
        let agent = sick.agent().await;
        let disk = Arc::clone(&sick.disk);
        // From the moment at which it has run nothing can be written.
        sick.world.upstream.on("tools/call reject", move |message| {
            disk.fail(ill);
            let result = json!({"content": [{"type": "text", "text": "it ran"}]});
            json_answer(json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string())
        });
        let held = agent.call("reject", json!({"n": 1})).await;
        let call = sick.pending().await;
        assert_eq!(sick.decide(&call, "approve").await.0, StatusCode::OK);
        sick.world.upstream.until_called("reject", 1).await;
        let id = call["id"].as_str().unwrap();
        let tried = "an outcome could not be recorded yet";
        let said = sick.process.said();
        sick.until(tried, async || (said.text().matches(tried).count() > 1).then_some(())).await;
        sick.is_not_ready(why).await;
        assert_eq!(sick.call(id).await["state"], "releasing");

        sick.disk.fail(Failing::default());
        drop(held);
        sick.until("its record", async || (sick.call(id).await["state"] == "executed").then_some(())).await;
        let answer = agent.result("reject", json!({"n": 1})).await;
        assert_eq!(answer["result"]["content"][0]["text"], "it ran", "{answer}");
        assert_eq!(sick.sent("reject"), 1);
        sick.is_ready().await;
        sick.check();
    }
}

#[tokio::test]
async fn a_call_that_could_not_be_claimed_runs_when_it_can_be() {
    let sick = Sick::start().await;
    let agent = sick.agent().await;
    let held = agent.call("auto", json!({"n": 1})).await;
    let call = sick.pending().await;
    sick.disk.fail(ILLS[0].0);
    let late = "deadlines could not be enforced";
    let said = sick.process.said();
    sick.until(late, async || said.text().contains(late).then_some(())).await;
    assert_eq!(sick.call(call["id"].as_str().unwrap()).await["state"], "pending");
    assert_eq!(sick.sent("auto"), 0);
    sick.disk.fail(Failing::default());
    let mut stream = Stream::of(held);
    // Its caller may have been told to come back before the disk was mended.
    let answer = stream.message().await;
    sick.until("its end", async || {
        (sick.call(call["id"].as_str().unwrap()).await["state"] == "executed").then_some(())
    })
    .await;
    assert_eq!(sick.sent("auto"), 1, "{answer}");
    sick.check();
}

/// The claim is committed, and the list beside the database does not take it: not before it does the first byte goes out.
#[tokio::test]
async fn a_claim_that_cannot_be_listed_sends_nothing_until_it_can_be() {
    for (ill, why) in [ILLS[0], ILLS[1], ILLS[2]] {
        let sick = Sick::start_with(Some("spent")).await;
        let agent = sick.agent().await;
        let held = agent.call("run", json!({"n": 1})).await;
        let call = sick.pending().await;
        sick.disk.fail(ill);
        let (status, text) = sick.decide(&call, "approve").await;
        assert_eq!(status, StatusCode::OK, "{text}");
        let id = call["id"].as_str().unwrap();
        let not_yet = "a claimed call was not sent yet";
        let said = sick.process.said();
        sick.until(not_yet, async || said.text().contains(not_yet).then_some(())).await;
        assert_eq!((sick.call(id).await["state"].clone(), sick.sent("run")), (json!("releasing"), 0));
        sick.is_not_ready(why).await;
        sick.disk.fail(Failing::default());
        let mut stream = Stream::of(held);
        let answer = stream.message().await;
        sick.until("its end", async || (sick.call(id).await["state"] == "executed").then_some(())).await;
        assert_eq!(sick.sent("run"), 1, "{answer}");
        sick.is_ready().await;
        sick.check();
    }
}

/// The whole of the refused verdict stands in SQLite's log, but for the sync that failed. It must not come true because
/// the process is killed at that moment.
#[tokio::test]
async fn what_was_refused_does_not_come_true_by_a_crash() {
    let mut sick = Sick::start().await;
    let agent = sick.agent().await;
    let _held = agent.call("reject", json!({"n": 1})).await;
    let call = sick.pending().await;
    sick.disk.fail(Failing { sync: BROKEN, ..Failing::default() });
    let (status, text) = sick.decide(&call, "approve").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{text}");
    sick.process.kill().await;
    sick.disk.fail(Failing::default());
    (sick.process, sick.url) = serve(&sick.world, &sick.disk).await;
    let id = call["id"].as_str().unwrap().to_owned();
    let found = sick.call(&id).await;
    assert_eq!((&found["state"], &found["decisions"]), (&json!("pending"), &json!([])), "{found}");
    assert_eq!(sick.decide(&call, "reject").await.0, StatusCode::OK);
    assert_eq!(sick.sent("reject"), 0);
    sick.check();
}

#[tokio::test]
async fn a_start_on_a_sick_disk_says_what_is_wrong_with_it() {
    let template = Template::make().await;
    let world = World::new(&template).await;
    let disk = Disk::below(&world.data());
    for (ill, why) in [
        (Failing { growth: NO_SPACE, ..Failing::default() }, "full disk"),
        (Failing { open: READ_ONLY, ..Failing::default() }, "read-only file system"),
        (Failing { open: 13, ..Failing::default() }, "cannot be used by this user"),
    ] {
        disk.fail(ill);
        let mut process = world.start_with(disk.env());
        assert!(process.serving().await.is_none(), "{why}");
        assert_eq!(process.ended().await, Some(2));
        let said = process.said().text();
        assert!(said.contains("did not start") && said.contains(why), "{why}: {said}");
    }
    disk.fail(Failing::default());
    let (process, _) = serve(&world, &disk).await;
    assert_eq!(process.terminate().await, Some(0));
}

/// Every page of the database but the first `from` is garbage.
fn damage(world: &World, from: usize) -> Vec<u8> {
    let file = world.data().join("placet.db");
    let whole = std::fs::read(&file).unwrap();
    let mut garbage = whole.clone();
    garbage[from * 4096..].fill(0x5a);
    std::fs::write(file, garbage).unwrap();
    whole
}

#[tokio::test]
async fn a_damaged_database_is_not_served_and_harms_nothing() {
    let sick = Sick::start().await;
    let agent = sick.agent().await;
    let _held = agent.call("reject", json!({"n": 1})).await;
    sick.pending().await;
    assert_eq!(sick.process.terminate().await, Some(0));
    for from in [0, 1, 12] {
        let whole = damage(&sick.world, from);
        let mut process = sick.world.start(None);
        assert!(process.serving().await.is_none(), "from page {from}");
        assert_eq!(process.ended().await, Some(2));
        let said = process.said().text();
        assert!(said.contains("did not start") && said.contains("restore a backup"), "from page {from}: {said}");
        std::fs::write(sick.world.data().join("placet.db"), whole).unwrap();
    }
    let (process, _) = serve(&sick.world, &sick.disk).await;
    process.kill().await;
}

#[tokio::test]
async fn a_database_that_is_damaged_while_it_is_served_lets_nothing_through() {
    let mut sick = Sick::start().await;
    let agent = sick.agent().await;
    let held = agent.call("run", json!({"n": 1})).await;
    let call = sick.pending().await;
    // Everything is moved out of SQLite's log into the file that is damaged then.
    let copy = check::open(&sick.world.data().join("placet.db"), true);
    copy.query_row("PRAGMA wal_checkpoint(FULL)", [], |_| Ok(())).unwrap();
    drop(copy);
    let whole = damage(&sick.world, 1);
    let refused = agent.call("reject", json!({"n": 2})).await;
    let (status, text) = (refused.status(), refused.text().await.unwrap());
    assert!(status == StatusCode::SERVICE_UNAVAILABLE || text.contains("did not run"), "{status} {text}");
    let (status, text) = sick.decide(&call, "approve").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{text}");
    assert!(text.contains("the database file is damaged"), "{text}");
    sick.is_not_ready("the database file is damaged").await;
    assert_eq!((sick.sent("run"), sick.sent("reject")), (0, 0));

    // What SQLite has in its memory stays damaged, so that whoever mends the file starts Placet anew.
    sick.process.kill().await;
    std::fs::write(sick.world.data().join("placet.db"), whole).unwrap();
    (sick.process, sick.url) = serve(&sick.world, &sick.disk).await;
    sick.is_ready().await;
    assert_eq!(sick.decide(&call, "approve").await.0, StatusCode::OK);
    drop(held);
    let answer = sick.agent().await.result("run", json!({"n": 1})).await;
    assert_eq!(answer["result"]["content"][0]["text"], "done", "{answer}");
    assert_eq!(sick.sent("run"), 1);
    sick.check();
}
