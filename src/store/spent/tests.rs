//! The list over restarts, damage and restores.

use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::line::Place;
use super::*;

pub(super) fn seal() -> Seal {
    Seal::new([7; 32])
}

pub(super) fn open(folder: &TempDir, kept: Option<Vec<Era>>, last: i64) -> (Spent, Found) {
    Spent::open(folder.path(), &seal(), kept, last).unwrap()
}

pub(super) fn call(id: &str, entry: i64) -> Line {
    Line { kind: Kind::Call, id: id.into(), how: How::Claimed, entry, kept: None }
}

pub(super) fn line(kind: Kind, id: &str, how: How, entry: i64) -> Line {
    Line { kind, id: id.into(), how, entry, kept: None }
}

pub(super) async fn kept(spent: &Spent, lines: Vec<Line>) {
    spent.synced(spent.keep(lines)).await.unwrap();
}

pub(super) fn is_older(spent: &Spent, kind: Kind, id: &str, entry: i64) -> bool {
    spent.view().is_older(&Right { kind, id, of: None, entry })
}

#[tokio::test]
async fn what_was_kept_is_known_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (spent, found) = open(&folder, None, 0);
    assert_eq!(found, Found::Fits);
    let claimed = spent.claim(call("a", 5)).unwrap();
    spent.synced(claimed).await.unwrap();
    let lines = vec![line(Kind::Session, "s", How::Ended, 6), line(Kind::Reviewer, "r", How::Live, 7)];
    kept(&spent, lines).await;
    for spent in [spent, open(&folder, Some(vec![]), 7).0] {
        assert!(spent.claim(call("a", 9)).is_none(), "it was claimed");
        assert!(is_older(&spent, Kind::Call, "a", 4) && is_older(&spent, Kind::Call, "a", 40), "no call begins again");
        assert!(is_older(&spent, Kind::Session, "s", 100), "no session begins again");
        assert!(is_older(&spent, Kind::Reviewer, "r", 6) && !is_older(&spent, Kind::Reviewer, "r", 7));
        assert!(!is_older(&spent, Kind::Call, "b", 1) && !is_older(&spent, Kind::Agent, "a", 1));
    }
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn what_ended_otherwise_is_not_claimed() {
    let folder = tempfile::tempdir().unwrap();
    let (spent, _) = open(&folder, None, 0);
    for how in [How::Rejected, How::Cancelled, How::Revoked, How::Expired, How::Lapsed] {
        spent.keep(vec![Line { how, ..call(how.as_str(), 5) }]);
        assert!(spent.claim(call(how.as_str(), 6)).is_none(), "it was {}", how.as_str());
    }
    spent.keep(vec![Line { how: How::Live, ..call("live", 5) }]);
    assert!(spent.claim(call("live", 6)).is_some());
}

#[tokio::test]
async fn all_that_a_person_had_ends_but_what_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (spent, _) = open(&folder, None, 0);
    let of = |id: &'static str, of: &'static str, entry| Right { kind: Kind::Session, id, of: Some(of), entry };
    kept(&spent, vec![Line { kept: Some("k".into()), ..line(Kind::Session, "mira", How::AllEnded, 10) }]).await;
    for spent in [&spent, &open(&folder, Some(vec![]), 10).0] {
        let view = spent.view();
        assert!(view.is_older(&of("a", "mira", 10)) && !view.is_older(&of("a", "mira", 11)));
        assert!(!view.is_older(&of("k", "mira", 3)) && !view.is_older(&of("a", "noor", 3)));
        assert!(!view.is_older(&Right { kind: Kind::Token, ..of("a", "mira", 3) }));
    }
}

#[tokio::test]
async fn written_anew_it_names_what_gives_a_right_and_no_other_does() {
    let folder = tempfile::tempdir().unwrap();
    let (spent, _) = open(&folder, None, 0);
    kept(&spent, vec![call("ran", 3)]).await;
    let before = spent.view();
    spent.renew(vec![line(Kind::Call, "open", How::Live, 4), line(Kind::Agent, "bot", How::Live, 1)], 9).await.unwrap();
    for spent in [spent.clone(), open(&folder, Some(vec![]), 9).0] {
        assert!(!is_older(&spent, Kind::Call, "open", 4) && is_older(&spent, Kind::Call, "open", 3));
        assert!(!is_older(&spent, Kind::Agent, "bot", 1) && is_older(&spent, Kind::Agent, "gone", 9));
        assert!(is_older(&spent, Kind::Call, "never seen", 9) && !is_older(&spent, Kind::Call, "new", 10));
        assert_eq!(spent.what_became(Kind::Call, "ran"), Some((How::Claimed, 3)));
        assert!(spent.is_beyond(Kind::Call, "gone", 9) && !spent.is_beyond(Kind::Call, "open", 4));
    }
    // A row that was read before that is judged by what was known then.
    assert!(!before.is_older(&Right { kind: Kind::Call, id: "gone", of: None, entry: 8 }));
    // The first line to the last before are of the same append, whatever came of it.
    assert_eq!(open(&folder, Some(vec![]), 8).1, Found::Ahead(9), "it knows how long the log was");
}

#[tokio::test]
async fn a_tool_whose_row_is_gone_is_remembered_and_gives_no_right_again() {
    let folder = tempfile::tempdir().unwrap();
    let (spent, _) = open(&folder, None, 0);
    kept(&spent, vec![line(Kind::Tool, "a", How::Live, 3), line(Kind::Tool, "b", How::Live, 3)]).await;
    spent.renew(vec![line(Kind::Tool, "a", How::Live, 3)], 9).await.unwrap();
    for spent in [spent.clone(), open(&folder, Some(vec![]), 9).0] {
        assert_eq!(spent.what_became(Kind::Tool, "a"), Some((How::Live, 3)));
        assert_eq!(spent.what_became(Kind::Tool, "b"), Some((How::Ended, 3)));
        assert!(is_older(&spent, Kind::Tool, "b", 3) && !is_older(&spent, Kind::Tool, "a", 3));
    }
    // Once somebody accepts what it says, it does.
    kept(&spent, vec![line(Kind::Tool, "b", How::Live, 11)]).await;
    assert!(!is_older(&spent, Kind::Tool, "b", 11) && is_older(&spent, Kind::Tool, "b", 10));
}

#[tokio::test]
async fn a_tool_that_was_accepted_after_its_change_has_its_right_again_and_no_older_row_does() {
    let folder = tempfile::tempdir().unwrap();
    let (spent, _) = open(&folder, None, 0);
    let both = |entry| vec![line(Kind::Tool, "a", How::Live, entry), line(Kind::Tool, "b", How::Live, entry)];
    kept(&spent, both(3)).await;
    kept(&spent, vec![line(Kind::Tool, "a", How::Ended, 5), line(Kind::Tool, "b", How::Ended, 5)]).await;
    assert!(is_older(&spent, Kind::Tool, "a", 3) && is_older(&spent, Kind::Tool, "a", 5));
    // The row is committed before its line is written; a crash may come between.
    assert!(!is_older(&spent, Kind::Tool, "a", 7));
    spent.renew(vec![line(Kind::Tool, "a", How::Live, 7), line(Kind::Tool, "b", How::Live, 3)], 9).await.unwrap();
    for spent in [spent.clone(), open(&folder, Some(vec![]), 9).0] {
        assert_eq!(spent.what_became(Kind::Tool, "a"), Some((How::Live, 7)));
        assert_eq!(spent.what_became(Kind::Tool, "b"), Some((How::Ended, 5)));
    }
}

#[tokio::test]
async fn of_many_calls_that_ended_the_latest_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (spent, _) = open(&folder, None, 0);
    let many = (1..=KEPT_CALLS + 5).map(|n| call(&n.to_string(), i64::try_from(n).unwrap()));
    kept(&spent, many.collect()).await;
    spent.renew(vec![], i64::MAX).await.unwrap();
    let text = fs::read_to_string(folder.path().join(FILE)).unwrap();
    assert_eq!(text.lines().count(), KEPT_CALLS + 2);
    assert_eq!(spent.what_became(Kind::Call, "5"), None);
    assert_eq!(spent.what_became(Kind::Call, "6"), Some((How::Claimed, 6)));
    assert!(is_older(&spent, Kind::Call, "5", 4), "and it is over all the same");
}

#[tokio::test]
async fn a_torn_line_was_never_acknowledged_and_anything_else_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let (spent, _) = open(&folder, None, 0);
    kept(&spent, vec![call("a", 1)]).await;
    kept(&spent, vec![call("b", 2), call("b2", 2)]).await;
    drop(spent);
    let whole = fs::read_to_string(&path).unwrap();
    let head = whole.match_indices('\n').nth(1).unwrap().0 + 1;
    let last = whole.find("call b").unwrap();
    for cut in head..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let (spent, _) = open(&folder, Some(vec![]), 2);
        assert_eq!(is_older(&spent, Kind::Call, "a", 1), cut >= last, "{cut}");
        assert!(!is_older(&spent, Kind::Call, "b2", 1), "{cut}");
        kept(&spent, vec![call("c", 2)]).await;
        assert!(is_older(&open(&folder, Some(vec![]), 2).0, Kind::Call, "c", 1), "what follows a torn line is read");
    }
    // A power cut keeps any part of the last append, not the first part alone.
    let mut zeroed = whole.clone().into_bytes();
    zeroed[last..last + 20].fill(0);
    fs::write(&path, &zeroed).unwrap();
    let (spent, _) = open(&folder, Some(vec![]), 2);
    assert!(is_older(&spent, Kind::Call, "a", 1) && is_older(&spent, Kind::Call, "b2", 1));
    let damaged = [
        whole.replace("call a claimed 1", "call a claimed 0"),
        whole.replace("call a", "call c"),
        whole.replace("call a", "call a "),
        whole.replacen("spent 1", "spent 2", 1),
        whole.replacen("horizon 0", "horizon 1", 1),
        whole.replacen("fits", "missing", 1),
        whole.lines().skip(1).map(|line| format!("{line}\n")).collect(),
        String::new(),
    ];
    for text in damaged {
        fs::write(&path, &text).unwrap();
        let refused = Spent::open(folder.path(), &seal(), Some(vec![]), 2);
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::InvalidData, "{text}");
    }
    fs::write(&path, whole).unwrap();
    let other = Spent::open(folder.path(), &Seal::new([8; 32]), Some(vec![]), 2);
    assert_eq!(other.unwrap_err().kind(), io::ErrorKind::InvalidData, "another key's");
}

#[tokio::test]
async fn it_knows_of_a_log_that_is_behind_and_of_itself_that_it_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        assert_eq!(open(&folder, Some(vec![]), 3).1, Found::Missing, "until it is settled");
    }
    let (spent, _) = open(&folder, Some(vec![]), 3);
    spent.renew(vec![], 3).await.unwrap();
    kept(&spent, vec![call("a", 9)]).await;
    assert_eq!(open(&folder, Some(vec![]), 9).1, Found::Fits);
    assert_eq!(open(&folder, Some(vec![]), 3).1, Found::Ahead(9));
    // Somebody adds to the log meanwhile.
    let (spent, found) = open(&folder, Some(vec![]), 20);
    assert_eq!(found, Found::Ahead(9));
    let era = Era { log: 3, id: 77 };
    spent.begin_era(era).await.unwrap();
    spent.renew(vec![], 4).await.unwrap();
    assert_eq!(open(&folder, Some(vec![era]), 4).1, Found::Fits);
    // A database of another era is another database, however long its log is.
    assert_eq!(open(&folder, Some(vec![]), 40).1, Found::Ahead(4));
}

#[test]
fn eras_are_kept_under_the_seal() {
    let eras = vec![Era { log: 3, id: 77 }, Era { log: 1, id: u64::MAX }];
    for eras in [vec![], eras] {
        let text = sealed_eras(&eras, &seal());
        assert_eq!(opened_eras(&text, &seal()), eras);
        assert_eq!(opened_eras(&text, &Seal::new([8; 32])), []);
        assert_eq!(opened_eras(&text.replace(['3', '-'], "4"), &seal()), []);
    }
}

/// Who read a row before the list knew better has read no older row than there was.
#[tokio::test]
async fn a_view_knows_what_the_list_knew_when_it_was_taken() {
    let folder = tempfile::tempdir().unwrap();
    let (spent, _) = open(&folder, None, 0);
    let (before, row) = (spent.view(), Right { kind: Kind::Call, id: "a", of: None, entry: 4 });
    kept(&spent, vec![call("a", 5)]).await;
    assert!(!before.is_older(&row) && spent.view().is_older(&row));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_claims_of_a_call_is_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let (spent, _) = open(&folder, None, 0);
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

/// Nobody need wait for a line for it to be written.
#[tokio::test]
async fn what_nobody_waits_for_is_written_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (spent, tasks) = (open(&folder, None, 0).0, Tasks::default());
    spent.write_on(&tasks);
    spent.keep(vec![call("a", 1)]);
    while fs::read_to_string(folder.path().join(FILE)).unwrap().lines().count() < 3 {
        tokio::task::yield_now().await;
    }
    drop(spent);
    assert!(tasks.ended(Duration::from_secs(10)).await);
    assert!(is_older(&open(&folder, Some(vec![]), 1).0, Kind::Call, "a", 1));
}

/// Whoever waits for a write may go away: a readiness check that took too long, a request whose sender hung up. The write
/// goes on, and the next one must not be written to the same place beside it.
#[test]
fn a_write_that_nobody_waits_for_any_more_is_alone_all_the_same() {
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let (spent, _) = open(&folder, None, 0);
        let (go_on, busy) = std::sync::mpsc::channel::<()>();
        let slow_disk = tokio::task::spawn_blocking(move || busy.recv());
        let first = spent.keep(vec![call("a", 1)]);
        let mut gives_up = Box::pin(spent.synced(first));
        assert!(futures_util::poll!(&mut gives_up).is_pending(), "it is under way");
        drop(gives_up);
        assert!(spent.0.out.try_lock().is_err(), "two writes would be under way at one place");
        let both = spent.keep(vec![call("b", 2)]);
        let mut second = Box::pin(spent.synced(both));
        assert!(futures_util::poll!(&mut second).is_pending());
        go_on.send(()).unwrap();
        second.await.unwrap();
        slow_disk.await.unwrap().unwrap();
        kept(&spent, vec![call("c", 3)]).await;
        let text = fs::read_to_string(folder.path().join(FILE)).unwrap();
        assert_eq!(text.lines().count(), 5, "{text}");
        let (spent, found) = open(&folder, Some(vec![]), 3);
        assert_eq!(found, Found::Fits);
        for id in ["a", "b", "c"] {
            assert!(is_older(&spent, Kind::Call, id, 9), "{id}");
        }
    });
}

/// A checksum says that a line was written here, and not that it stands where it was written.
#[tokio::test]
async fn each_line_stands_in_its_place_and_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let (spent, _) = open(&folder, None, 0);
    kept(&spent, vec![line(Kind::Call, "l", How::Live, 1)]).await;
    kept(&spent, vec![call("a", 2), call("b", 2)]).await;
    kept(&spent, vec![call("l", 3)]).await;
    kept(&spent, vec![call("y", 4), call("z", 4)]).await;
    let whole = fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = whole.lines().collect();
    let with = |changed: fn(&mut Vec<&str>)| {
        let mut lines = lines.clone();
        changed(&mut lines);
        lines.iter().map(|line| format!("{line}\n")).collect::<String>()
    };
    // A line in another's place, two in each other's, an append before the one that came before it.
    let swaps: [fn(&mut Vec<&str>); 3] =
        [|lines| lines[4] = lines[3], |lines| lines.swap(3, 4), |lines| lines.swap(2, 5)];
    for swapped in swaps {
        let text = with(swapped);
        fs::write(&path, &text).unwrap();
        let refused = Spent::open(folder.path(), &seal(), Some(vec![]), 4).unwrap_err();
        assert!(refused.to_string().contains("do not stand where Placet wrote them"), "{refused}: {text}");
    }
    // Of the last append a power cut may leave anything; what is read is written down in order.
    fs::write(&path, with(|lines| lines[7] = lines[6])).unwrap();
    for _ in 0..2 {
        let (spent, _) = open(&folder, Some(vec![]), 4);
        assert!(is_older(&spent, Kind::Call, "y", 1) && is_older(&spent, Kind::Call, "l", 1));
        kept(&spent, vec![call("new", 4)]).await;
    }
}

/// Somebody moves the file away, puts another there, or empties it, while it is written to.
#[tokio::test]
async fn a_file_that_is_not_the_one_any_more_is_written_anew() {
    let harms: [fn(&Path); 4] = [
        |path| fs::remove_file(path).unwrap(),
        |path| fs::rename(path, path.with_extension("away")).unwrap(),
        |path| {
            let text = fs::read(path).unwrap();
            fs::remove_file(path).unwrap();
            fs::write(path, text).unwrap();
        },
        |path| fs::write(path, "").unwrap(),
    ];
    for harm in harms {
        let folder = tempfile::tempdir().unwrap();
        let (spent, _) = open(&folder, None, 0);
        kept(&spent, vec![call("a", 1)]).await;
        harm(&folder.path().join(FILE));
        kept(&spent, vec![call("b", 2)]).await;
        kept(&spent, vec![call("c", 3)]).await;
        let (spent, found) = open(&folder, Some(vec![]), 3);
        assert_eq!(found, Found::Fits);
        assert!(["a", "b", "c"].iter().all(|id| is_older(&spent, Kind::Call, id, 9)));
    }
}

/// A name that is given anew, or was ended, was nobody's before.
#[tokio::test]
async fn all_that_bore_a_name_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let (spent, _) = open(&folder, None, 0);
    let named = |id: &'static str, entry| Right { kind: Kind::Reviewer, id, of: Some("ada@example.com"), entry };
    let all = line(Kind::Reviewer, "ada@example.com", How::AllEnded, 7);
    kept(&spent, vec![all, line(Kind::Reviewer, "new", How::Live, 8)]).await;
    for spent in [&spent, &open(&folder, Some(vec![]), 8).0] {
        let view = spent.view();
        assert!(
            view.is_older(&named("hidden", 7)) && view.is_older(&named("new", 7)) && !view.is_older(&named("new", 8))
        );
        // The rows of a database that was put back are all older; who stands in the end is not ended by it.
        let put_back = view.of_one_put_back();
        assert!(put_back.is_older(&named("hidden", 7)) && !put_back.is_older(&named("new", 6)));
    }
}

/// What stands under the name is no list, or somewhere else.
#[tokio::test]
async fn whatever_stands_under_its_name_is_read_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    fs::create_dir(&path).unwrap();
    Spent::open(folder.path(), &seal(), Some(vec![]), 1).unwrap_err();
    fs::remove_dir(&path).unwrap();
    std::os::unix::fs::symlink(folder.path().join("elsewhere"), &path).unwrap();
    assert_eq!(open(&folder, Some(vec![]), 1).1, Found::Missing, "it leads nowhere");
    assert!(fs::symlink_metadata(&path).unwrap().is_file());
    let (spent, _) = open(&folder, Some(vec![]), 1);
    kept(&spent, vec![call("a", 1)]).await;
    fs::rename(&path, folder.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(folder.path().join("elsewhere"), &path).unwrap();
    let (spent, _) = open(&folder, Some(vec![]), 1);
    kept(&spent, vec![call("b", 1)]).await;
    spent.renew(vec![], 1).await.unwrap();
    let (spent, found) = open(&folder, Some(vec![]), 1);
    assert!(found == Found::Fits && is_older(&spent, Kind::Call, "a", 1) && is_older(&spent, Kind::Call, "b", 1));
}

proptest! {
    #[test]
    fn a_line_is_read_as_it_was_written(
        id: String, entry: i64, kept: Option<String>, group: u64, kind in 0..6usize, how in 0..9usize
    ) {
        let kinds = [Kind::Call, Kind::Agent, Kind::Reviewer, Kind::Session, Kind::Token, Kind::Link];
        let hows = [How::Live, How::Claimed, How::Rejected, How::Cancelled, How::Revoked, How::Expired, How::Lapsed,
            How::Ended, How::AllEnded];
        let line = Line { kind: kinds[kind], id, how: hows[how], entry, kept };
        let place = Place { group, number: 3, of: 7 };
        let text = line.write(place, &seal());
        prop_assert!(text.trim_end_matches('\n').bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()));
        prop_assert_eq!(Line::read(text.trim_end_matches('\n'), &seal()), Some((line, place)));
    }

    #[test]
    fn a_word_is_read_as_it_was_written(id in "[a%\\-\n é]{0,4}") {
        let line = Line { kind: Kind::Call, id: id.clone(), how: How::Live, entry: 1, kept: Some(id) };
        let text = line.write(Place { group: 1, number: 1, of: 1 }, &seal());
        prop_assert_eq!(Line::read(text.trim_end_matches('\n'), &seal()).map(|(line, _)| line), Some(line));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, text in "\\PC*") {
        let _ = Content::read(&bytes, &seal());
        let _ = Content::read(&[Content::default().text(&seal()).into_bytes(), bytes].concat(), &seal());
        prop_assert_eq!(Line::read(&text, &seal()), None);
    }
}
