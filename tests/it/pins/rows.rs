//! The pins outlive the process, and whoever writes rows by hand accepts nothing.

use std::path::{Path, PathBuf};

use placet::call::tool::{Said, row_id};
use serde_json::json;
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use super::{Stage, echo, saying};
use crate::support::pages::Browser;
use crate::support::triggers;
use crate::support::upstream::tools;

impl Stage {
    fn database(&self) -> PathBuf {
        self.app.folder.path().join("data/placet.db")
    }

    /// Stops, has this done to the database, and starts again.
    async fn meanwhile(self, statements: &[&str]) -> Self {
        let edit = async |data: &Path| {
            let file = SqliteConnectOptions::new().filename(data.join("placet.db"));
            let mut database = SqliteConnection::connect_with(&file).await.unwrap();
            let run = |sql: &str| sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()));
            run(triggers::AWAY).execute(&mut database).await.unwrap();
            for statement in statements {
                let done = run(statement).execute(&mut database).await.unwrap();
                assert!(done.rows_affected() > 0, "{statement}");
            }
            run(triggers::back()).execute(&mut database).await.unwrap();
            database.close().await.unwrap();
        };
        self.restart_over(edit).await
    }

    /// A call of `echo` is held because the tool counts as changed.
    async fn is_held(&self, text: &str) {
        drop(self.agent.call("echo", json!({"text": text})).await);
        let held = self.app.pending().await;
        assert!(held.submission.requirement.tool_changed.is_some_and(|changed| changed.only));
        assert!(self.upstream.calls("echo").is_empty());
    }
}

#[tokio::test]
async fn a_change_that_nobody_accepted_holds_after_a_restart_before_the_tools_are_listed_again() {
    let stage = Stage::new().await;
    stage.says("echo", "version 2").await;
    stage.pending("echo").await;
    // From now on the server does not say what its tools are.
    stage.upstream.on_result("tools/list", "null");
    let stage = stage.restart().await;
    stage.is_held("after the restart").await;
    assert!(Browser::new(&stage.app.url).get("/login").await.status().is_success());
    assert_eq!(stage.logged("tool.changed").await.len(), 1);
}

#[tokio::test]
async fn what_changed_while_nobody_looked_is_noticed_at_the_start() {
    let stage = Stage::new().await;
    stage.upstream.lists(saying("echo", "version 2"));
    let stage = stage.restart().await;
    stage.until_logged("tool.changed", 1).await;
    stage.is_held("after the restart").await;
}

#[tokio::test]
async fn a_row_that_is_written_by_hand_accepts_nothing_and_raises_an_alarm() {
    let stage = Stage::new().await;
    stage.says("echo", "version 2").await;
    stage.pending("echo").await;
    let stage = stage
        .meanwhile(&["UPDATE tool_pins SET digest = pending_digest, json = pending_json, pending_digest = NULL,
                          pending_json = NULL, pending_at = NULL WHERE tool = 'echo'"])
        .await;
    stage.is_held("forged").await;
    let alarm = &stage.until_logged("alarm.row_changed", 1).await[0];
    assert_eq!((&alarm["detail"]["what"], &alarm["tool"]), (&json!("tool"), &json!("echo")));
    // What it says now can be accepted by a person, and by nothing else.
    stage.list().await;
    stage.accept("echo").await;
    assert!(stage.agent.result("echo", echo()).await["result"]["isError"].is_null());
    let stage = stage.restart().await;
    assert!(stage.agent.result("echo", json!({"text": "later"})).await["result"]["isError"].is_null());
}

#[tokio::test]
async fn a_pin_of_another_tool_or_of_other_words_is_no_pin() {
    for forgery in [
        "UPDATE tool_pins SET json = replace(json, 'stub', 'stud') WHERE tool = 'echo'",
        "UPDATE tool_pins SET digest = (SELECT p.digest FROM tool_pins p WHERE p.tool = 'list_users') WHERE tool = 'echo'",
        "UPDATE tool_pins SET seal = (SELECT p.seal FROM tool_pins p WHERE p.tool = 'list_users') WHERE tool = 'echo'",
        "UPDATE tool_pins SET json = 'no json' WHERE tool = 'echo'",
        "UPDATE tool_pins SET seal = NULL WHERE tool = 'echo'",
    ] {
        let stage = Stage::new().await.meanwhile(&[forgery]).await;
        stage.is_held("forged").await;
        stage.until_logged("alarm.row_changed", 1).await;
    }
}

#[tokio::test]
async fn a_pin_that_is_deleted_makes_no_new_tool_of_a_known_one() {
    let stage = Stage::new().await;
    stage.upstream.lists(saying("echo", "version 2"));
    let stage = stage.meanwhile(&["DELETE FROM tool_pins WHERE tool = 'echo'"]).await;
    stage.until_logged("tool.changed", 1).await;
    stage.until_logged("alarm.row_changed", 1).await;
    stage.is_held("deleted").await;
    // As well where it had changed before.
    let stage = stage.meanwhile(&["DELETE FROM tool_pins WHERE tool = 'echo'"]).await;
    stage.until_logged("tool.changed", 2).await;
    drop(stage.agent.call("echo", json!({"text": "deleted again"})).await);
    stage.app.pending().await;
    assert!(stage.upstream.calls("echo").is_empty());
}

#[tokio::test]
async fn a_pin_that_is_deleted_lets_no_call_run_before_the_tools_are_listed_again() {
    let stage = Stage::new().await;
    stage.says("echo", "version 2").await;
    stage.pending("echo").await;
    stage.upstream.on_result("tools/list", "null");
    let stage = stage.meanwhile(&["DELETE FROM tool_pins WHERE tool = 'echo'"]).await;
    stage.is_held("deleted, and not listed").await;
}

#[tokio::test]
async fn a_row_that_is_put_in_for_a_tool_that_nobody_has_seen_pins_nothing() {
    let stage = Stage::new().await;
    let mut more = tools();
    more.as_array_mut().unwrap().push(json!({"name": "echo_all", "description": "echoes everything"}));
    let (id, words) = (row_id("iam", "echo_all"), more.as_array().unwrap().last().unwrap().to_string());
    let digest = Said::parse(&words).unwrap().digest;
    let plant = format!(
        "INSERT INTO tool_pins SELECT '{id}', upstream, 'echo_all', seen_at, '{digest}', '{words}', accepted_at, NULL, NULL,
             NULL, NULL, NULL, entry, seal FROM tool_pins WHERE tool = 'echo'"
    );
    stage.upstream.lists(more.to_string());
    let stage = stage.meanwhile(&[&plant]).await;
    stage.until_logged("alarm.row_changed", 1).await;
    assert_eq!(stage.until_logged("tool.changed", 1).await[0]["tool"], "echo_all");
    assert_eq!(stage.pending("echo_all").await, digest, "it waits for somebody");
}

#[tokio::test]
async fn an_older_row_that_is_put_back_with_its_seal_counts_for_nothing() {
    let stage = Stage::new().await;
    let mut database =
        SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(stage.database()).read_only(true))
            .await
            .unwrap();
    let kept: (String, String, i64) = sqlx::query_as("SELECT json, seal, entry FROM tool_pins WHERE tool = 'echo'")
        .fetch_one(&mut database)
        .await
        .unwrap();
    database.close().await.unwrap();
    let old = kept.0;
    stage.says("echo", "version 2").await;
    stage.accept("echo").await;
    // The row of before and its entry are genuine; the log has a later word, and so has the list beside the database.
    let put_back = format!(
        "UPDATE tool_pins SET json = '{old}', seal = '{}', entry = {}, accepted_by = NULL, reason = NULL,
             accepted_at = seen_at, digest = '{}' WHERE tool = 'echo'",
        kept.1,
        kept.2,
        Said::parse(&old).unwrap().digest
    );
    let forget = "UPDATE entries SET kind = 'call.denied' WHERE kind IN ('tool.changed', 'tool.accepted')";
    let stage = stage.meanwhile(&[&put_back, forget]).await;
    stage.until_logged("alarm.row_changed", 1).await;
    drop(stage.agent.call("echo", json!({"text": "put back"})).await);
    stage.app.pending().await;
}
