//! Standing approvals: what becomes of them is intact, and every row that is not what the log tells is named.

use std::time::Duration;

use placet::notary::Notary;

use super::forged::Forged;
use crate::standing::arguments;
use crate::support::bench::Bench;

/// One that is ended, one that is spent, one that was used once and is in force.
async fn lived(bench: &Bench) -> Notary {
    let (notary, _) = Notary::open(bench.store.clone(), &bench.entropy).await.unwrap();
    let ended = bench.granted().await;
    bench.approvals.end_standing(ended.id, bench.noor).await.unwrap();
    bench.clock.advance(Duration::from_secs(4000));
    bench.granted().await;
    for n in 0..3 {
        assert!(bench.passes(&arguments(&format!("spent {n}"))).await);
    }
    bench.clock.advance(Duration::from_secs(4000));
    bench.granted().await;
    assert!(bench.passes(&arguments("in force")).await);
    notary.checkpoint().await.unwrap();
    notary
}

#[tokio::test]
async fn whatever_becomes_of_one_is_intact() {
    let bench = Bench::new().await;
    lived(&bench).await;
    let (code, answer) = Forged::copy(&bench).await.verify(&[]).await;
    assert_eq!(code, 0, "{answer}");
}

#[tokio::test]
async fn a_row_that_the_log_does_not_tell_of_is_named() {
    let bench = Bench::new().await;
    lived(&bench).await;
    let live = "WHERE ended_at IS NULL";
    for (sql, says) in [
        (format!("UPDATE standing SET used = 0 {live}"), "another number of calls that passed"),
        (format!("UPDATE standing SET uses = 1000 {live}"), "another number of uses"),
        (format!("UPDATE standing SET until = until + 1 {live}"), "another end of its time"),
        (format!("UPDATE standing SET open = '{{\"to\":\"*\"}}' {live}"), "other arguments that may differ"),
        (format!("UPDATE standing SET fixed = upper(fixed) {live}"), "another hash of what may not differ"),
        (format!("UPDATE standing SET agent_id = 'x' {live}"), "another agent"),
        (format!("UPDATE standing SET tool = 'x' {live}"), "another name"),
        (format!("UPDATE standing SET upstream_config = 'x' {live}"), "another configuration of its upstream"),
        (format!("UPDATE standing SET granted_by = 'x' {live}"), "another person who"),
        (format!("UPDATE standing SET entry = entry - 1 {live}"), "an older row was put back"),
        (format!("DELETE FROM standing {live}"), "its row was deleted"),
        ("DELETE FROM standing WHERE ended_at IS NOT NULL".into(), "2 standing approvals that ended"),
        ("UPDATE standing SET ended_at = NULL, ended_by = NULL, ended_why = NULL".into(), "lives in the database"),
        ("UPDATE standing SET ended_at = ended_at + 1 WHERE ended_at IS NOT NULL".into(), "another time of its end"),
        (format!("UPDATE standing SET ended_at = until {live}"), "it has ended in the database, and by entry"),
        (
            "INSERT INTO standing SELECT 'x', call_id, agent_id, agent_name, upstream, upstream_config, tool, tool_schema,
             open, fixed, uses, 0, granted_at, until, granted_by, reason, NULL, NULL, NULL, entry, seal FROM standing"
                .replace("FROM standing", "FROM standing WHERE ended_at IS NULL"),
            "its row was put in",
        ),
    ] {
        for args in [&[][..], &["--without-seals"]] {
            let forged = Forged::copy(&bench).await;
            forged.open().execute_batch(&sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
            let (code, answer) = forged.verify(args).await;
            assert_eq!(code, 1, "{sql}: {answer}");
            assert!(answer.to_string().contains(says), "{sql}: {answer}");
        }
    }
}
