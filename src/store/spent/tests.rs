//! The list over restarts, damage and time.

use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const NOW: Millis = Millis(1_795_356_131_000);

fn seal() -> Seal {
    Seal::new([7; 32])
}

fn open(folder: &TempDir, kept: bool, last: i64) -> (Spent, Found) {
    Spent::open(folder.path(), &seal(), &Clock::manual(NOW), kept, last).unwrap()
}

fn call(id: &str, entry: i64) -> Line {
    Line { kind: Kind::Call, id: id.into(), how: How::Claimed, entry, until: Some(NOW) }
}

#[tokio::test]
async fn what_was_kept_is_known_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (spent, found) = open(&folder, false, 0);
    assert_eq!(found, Found::Fits);
    let claimed = spent.claim(call("a", 5)).unwrap();
    spent.synced(claimed).await.unwrap();
    let session = Line { kind: Kind::Session, id: "s".into(), how: How::Ended, entry: 6, until: None };
    let account = Line { kind: Kind::Reviewer, id: "r".into(), how: How::Changed, entry: 7, until: None };
    spent.keep(vec![session, account]).await.unwrap();
    for spent in [spent, open(&folder, true, 7).0] {
        assert!(spent.claim(call("a", 9)).is_none(), "it was claimed");
        assert!(spent.view().is_older(Kind::Call, "a", 4));
        assert!(spent.view().is_older(Kind::Session, "s", 100), "no session begins again");
        assert!(spent.view().is_older(Kind::Reviewer, "r", 6) && !spent.view().is_older(Kind::Reviewer, "r", 7));
        assert!(!spent.view().is_older(Kind::Call, "b", 1) && !spent.view().is_older(Kind::Agent, "a", 1));
    }
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_torn_line_was_never_acknowledged_and_anything_else_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let (spent, _) = open(&folder, false, 0);
    spent.keep(vec![call("a", 1), call("b", 2)]).await.unwrap();
    drop(spent);
    let whole = fs::read_to_string(&path).unwrap();
    for cut in whole.find('\n').unwrap() + 1..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let (spent, _) = open(&folder, true, 2);
        assert!(!spent.view().is_older(Kind::Call, "b", 0), "{cut}");
        spent.keep(vec![call("c", 2)]).await.unwrap();
        assert!(open(&folder, true, 2).0.view().is_older(Kind::Call, "c", 0), "what follows a torn line is read");
    }
    let damaged = [
        whole.replace(" 1 ", " 3 "),
        whole.replace("call a", "call c"),
        whole.replacen("spent 1", "spent 2", 1),
        whole.replace("claimed", "claimed "),
        whole.lines().skip(1).map(|line| format!("{line}\n")).collect(),
        String::new(),
    ];
    for text in damaged {
        fs::write(&path, &text).unwrap();
        let refused = Spent::open(folder.path(), &seal(), &Clock::manual(NOW), true, 2);
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::InvalidData, "{text}");
    }
    fs::write(&path, whole).unwrap();
    let other = Spent::open(folder.path(), &Seal::new([8; 32]), &Clock::manual(NOW), true, 2);
    assert_eq!(other.unwrap_err().kind(), io::ErrorKind::InvalidData, "another key's");
}

#[tokio::test]
async fn it_knows_of_a_log_that_is_behind_and_of_itself_that_it_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        assert_eq!(open(&folder, true, 3).1, Found::Missing, "until it is settled");
    }
    let (spent, _) = open(&folder, true, 3);
    spent.settle(3).await.unwrap();
    spent.keep(vec![call("a", 9)]).await.unwrap();
    assert_eq!(open(&folder, true, 9).1, Found::Fits);
    assert_eq!(open(&folder, true, 3).1, Found::Ahead(9));
    // Somebody's command, with no server, adds to the log meanwhile.
    let (spent, found) = open(&folder, true, 20);
    assert_eq!(found, Found::Ahead(9));
    spent.settle(4).await.unwrap();
    let (spent, found) = open(&folder, true, 4);
    assert_eq!(found, Found::Fits);
    assert!(spent.view().is_older(Kind::Call, "a", 3) && !spent.view().is_older(Kind::Call, "a", 4));
}

#[tokio::test]
async fn what_nothing_needs_any_more_leaves_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let (spent, _) = open(&folder, false, 0);
    let old = Line { until: Some(Millis(NOW.0 - 1)), ..call("old", 1) };
    let mut many: Vec<_> = (0..PRUNED_AFTER).map(|n| Line { id: n.to_string(), ..old.clone() }).collect();
    many.push(call("new", 2));
    spent.keep(many).await.unwrap();
    let text = fs::read_to_string(folder.path().join(FILE)).unwrap();
    assert_eq!(text.lines().count(), 2, "the first line and what is needed");
    spent.keep(vec![call("next", 2)]).await.unwrap();
    let (spent, _) = open(&folder, true, 2);
    assert!(spent.view().is_older(Kind::Call, "new", 1) && spent.view().is_older(Kind::Call, "next", 1));
    assert!(!spent.view().is_older(Kind::Call, "7", 0));
}

/// Who read a row before the list knew better has read no older row than there was.
#[tokio::test]
async fn a_view_knows_what_the_list_knew_when_it_was_taken() {
    let folder = tempfile::tempdir().unwrap();
    let (spent, _) = open(&folder, false, 0);
    let before = spent.view();
    spent.keep(vec![call("a", 5)]).await.unwrap();
    assert!(!before.is_older(Kind::Call, "a", 4) && spent.view().is_older(Kind::Call, "a", 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_claims_of_a_call_is_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let (spent, _) = open(&folder, false, 0);
    let claims = (0..64).map(|n| {
        let spent = spent.clone();
        async move {
            let claimed = spent.claim(call("a", n))?;
            spent.synced(claimed).await.unwrap();
            Some(())
        }
    });
    let first = futures_util::future::join_all(claims).await;
    assert_eq!(first.into_iter().flatten().count(), 1);
}

/// A step towards the release that was made before a rejection got on the list.
#[tokio::test]
async fn what_ended_otherwise_is_not_claimed() {
    let folder = tempfile::tempdir().unwrap();
    let (spent, _) = open(&folder, false, 0);
    for how in [How::Rejected, How::Cancelled, How::Revoked] {
        spent.keep(vec![Line { how, ..call(how.as_str(), 5) }]).await.unwrap();
        assert!(spent.claim(call(how.as_str(), 6)).is_none(), "it was {}", how.as_str());
    }
}

/// A power cut in the middle of an append keeps any of its pages, not the first ones alone: what was read back of a page
/// that was not written are zeros.
#[tokio::test]
async fn an_append_that_a_power_cut_kept_the_end_of_was_never_acknowledged() {
    const PAGE: usize = 4096;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let (spent, _) = open(&folder, false, 0);
    let mut number = 0;
    let (acknowledged, whole) = loop {
        let before = fs::read(&path).unwrap();
        number += 1;
        spent.keep(vec![call(&number.to_string(), number)]).await.unwrap();
        let after = fs::read(&path).unwrap();
        if before.len() / PAGE != after.len() / PAGE {
            break (before.len(), after);
        }
    };
    drop(spent);
    let mut cut = whole;
    cut[acknowledged..PAGE].fill(0);
    fs::write(&path, &cut).unwrap();
    let opened = Spent::open(folder.path(), &seal(), &Clock::manual(NOW), true, number);
    let (spent, _) = opened.expect("nobody was told that the last line was written");
    assert!(spent.view().is_older(Kind::Call, &(number - 1).to_string(), 0), "what was acknowledged is known");
}

proptest! {
    #[test]
    fn a_line_is_read_as_it_was_written(id in "[!-~]{1,60}", entry: i64, until: Option<i64>, kind in 0..6usize) {
        let kinds = [Kind::Call, Kind::Agent, Kind::Reviewer, Kind::Session, Kind::Token, Kind::Link];
        let hows = [How::Claimed, How::Rejected, How::Cancelled, How::Revoked, How::Ended, How::Changed];
        let line = Line { kind: kinds[kind], id, how: hows[kind], entry, until: until.map(Millis) };
        let text = line.write(&seal());
        prop_assert_eq!(Line::read(text.trim_end_matches('\n'), &seal()), Some(line));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, text in "\\PC*") {
        let _ = read(&bytes, &seal());
        prop_assert_eq!(Line::read(&text, &seal()), None);
    }
}
