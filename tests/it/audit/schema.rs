//! A database whose tables and triggers are not those that Placet makes, or that is damaged: what is wrong is said, and
//! no message of SQLite's alone.

use placet::notary::Notary;

use super::audit_in;
use super::forged::Forged;
use super::history;
use crate::support::bench::Bench;

async fn signed() -> (Bench, Notary) {
    let bench = Bench::new().await;
    history(&bench).await;
    let (notary, _) = Notary::open(bench.store.clone(), &bench.entropy).await.unwrap();
    notary.checkpoint().await.unwrap();
    (bench, notary)
}

#[tokio::test]
async fn what_is_not_placets_and_what_is_gone_is_said() {
    let (bench, _notary) = signed().await;
    let trigger = "CREATE TRIGGER planted AFTER INSERT ON entries BEGIN SELECT 1; END";
    for (sql, says) in [
        (trigger, "the trigger planted is none of Placet's"),
        ("CREATE TABLE mine (x)", "the table mine is none of Placet's"),
        ("DROP INDEX calls_same", "the index calls_same is gone"),
        ("DROP TABLE votes", "the table votes is gone"),
        ("DROP TABLE sessions", "the table sessions is gone"),
        ("DROP TABLE meta", "the table meta is gone"),
        ("DROP TABLE checkpoints", "the table checkpoints is gone"),
        ("DROP TABLE entries", "the table entries is gone"),
        ("DROP TABLE _sqlx_migrations", "the table _sqlx_migrations is gone"),
        ("ALTER TABLE agents ADD COLUMN x TEXT", "the table agents is not as Placet made it"),
    ] {
        let forged = Forged::copy(&bench).await;
        forged.open().execute_batch(sql).unwrap();
        let said = audit_in(forged.path(), &["verify"]).await;
        assert!(said.code == 1 && said.out.contains(&format!("wrong: {says}")), "{sql}: {}{}", said.out, said.err);
        let last = said.out.lines().last().unwrap();
        assert!(last.starts_with("TAMPERED. No bad entry, but something beside the log: "), "{sql}: {last}");
        for raw in ["no such table", "no such column", "code:", "answered"] {
            assert!(!said.err.contains(raw) && !said.out.contains(raw), "{sql}: {}{}", said.out, said.err);
        }
    }
    let log = Forged::copy(&bench).await;
    log.open().execute_batch("DROP TRIGGER IF EXISTS entries_are_never_changed").unwrap();
    std::mem::forget(log.open());
    let said = audit_in(log.path(), &["verify"]).await;
    assert!(said.code == 1 && said.out.contains("the trigger entries_are_never_changed is gone"), "{}", said.out);
    // ANALYZE is an operator's right.
    let forged = Forged::copy(&bench).await;
    forged.open().execute_batch("ANALYZE").unwrap();
    assert_eq!(forged.verify(&[]).await.0, 0);
}

#[tokio::test]
async fn a_damaged_database_is_called_that() {
    let (bench, _notary) = signed().await;
    let forged = Forged::copy(&bench).await;
    let file = forged.path().join("placet.db");
    let whole = std::fs::read(&file).unwrap();
    let mut pages = whole.clone();
    // The page that has the first entry about a call.
    let text = b"\"kind\":\"call.held\"";
    let page = whole.windows(text.len()).position(|window| window == text).unwrap() / 4096 * 4096;
    pages[page..page + 4096].fill(7);
    for (bytes, says) in [
        (b"this is no database at all, but some text".repeat(200), "damaged, or is no database; restore a backup"),
        (Vec::new(), "has none of Placet's tables"),
        (pages, "the database file is damaged; restore a backup"),
    ] {
        std::fs::write(&file, bytes).unwrap();
        let said = audit_in(forged.path(), &["verify"]).await;
        assert!(said.code == 2 && said.err.contains(says), "{says}: {} {}", said.out, said.err);
        assert!(!said.err.contains("owner and mode"), "{}", said.err);
    }
}
