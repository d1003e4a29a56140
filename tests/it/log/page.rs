//! The log on its page: what is signed, who else knows, what is wrong; the note and the keys to take along.

use placet::audit::Checkpoint;
use placet::audit::note::VerifyingKey;
use placet::clock::Entropy;
use placet::identity::Roles;
use placet::notary::{LogAtStart, Notary};
use placet::store::AnchorPlace;
use reqwest::StatusCode;

use crate::support::pages::{Pages, header};

const NASTY: &str = "<script>alert(1)</script>\u{202e}";

#[tokio::test]
async fn it_shows_what_is_signed_and_gives_note_and_keys() {
    let pages = Pages::new().await;
    let browser = pages.reviewer("ada@example.com", &["iam"]).await;
    let page = browser.page("/audit").await;
    assert!(page.contains("nothing yet") && page.contains("No checkpoint is kept outside"), "{page}");
    for path in ["/audit/checkpoint", "/audit/key"] {
        assert_eq!(browser.get(path).await.status(), StatusCode::NOT_FOUND, "{path}");
        let asked = pages.stranger().get(path).await;
        let login = format!("/login?next={path}");
        assert_eq!((asked.status(), header(&asked, "location")), (StatusCode::SEE_OTHER, login.as_str()));
    }

    let (notary, _) = Notary::open(pages.bench.store.clone(), &Entropy::System).await.unwrap();
    let signed = notary.checkpoint().await.unwrap();
    notary.rotate(&Entropy::System).await.unwrap();
    pages.bench.hold("{}").await;
    let page = browser.page("/audit").await;
    let last = pages.bench.store.last_checkpoint().await.unwrap().unwrap();
    assert!(last.size > signed.size);
    assert!(page.contains(&format!("<dd>{}</dd>", last.size + 1)), "{page}");
    assert!(
        page.contains(&format!("the first {}, ", last.size)) && page.contains(&last.root.to_string()[..12]),
        "{page}"
    );
    notary.checkpoint().await.unwrap();
    assert!(browser.page("/audit").await.contains("<dd>all, "));

    let note = browser.get("/audit/checkpoint").await;
    assert_eq!(header(&note, "content-type"), "text/plain; charset=utf-8");
    assert_eq!(header(&note, "content-disposition"), "attachment; filename=\"placet.checkpoint\"");
    let note = note.text().await.unwrap();
    let keys = browser.get("/audit/key").await.text().await.unwrap();
    assert_eq!(keys, std::fs::read_to_string(pages.bench.folder.path().join("audit.pub")).unwrap());
    let keys = VerifyingKey::parse_all(&keys).unwrap();
    assert_eq!((keys.len(), Checkpoint::open(&note, &keys).unwrap().size), (2, last.size + 1));
}

#[tokio::test]
async fn anchors_and_alarms_stand_on_top_and_other_systems_words_are_for_auditors() {
    let pages = Pages::new().await;
    let reviewer = pages.reviewer("ada@example.com", &["iam"]).await;
    pages.person("otto@example.com", &[], Roles { auditor: true, ..Roles::default() }).await;
    let auditor = pages.sign_in("otto@example.com").await;
    let store = &pages.bench.store;
    let place = |id: &str, kind, shown: &str| AnchorPlace { id: id.into(), kind, shown: shown.into() };
    let places = vec![
        place("a", "file", "/mnt/notes"),
        place("b", "url", "https://w.example/notes"),
        place("c", "mail", "x@example.com"),
        place("d", "url", NASTY),
    ];
    store.anchors_configured(places.clone()).await.unwrap();
    store.anchor_reached("a", 48_211).await.unwrap();
    for _ in 0..3 {
        store.anchor_missed("b", "the server answered 500, password=hunter2hunter2", Some(NASTY)).await.unwrap();
    }
    let page = auditor.page("/audit").await;
    let said = "and said <q><bdi>&#60;script&#62;alert(1)";
    let all =
        ["/mnt/notes", "https://w.example/notes", "48,211 entries", "the server answered 500", "3 attempts failed"];
    for part in all.into_iter().chain([said, "x@example.com"]) {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("<script>alert") && !page.contains("hunter2"));
    let page = reviewer.page("/audit").await;
    for part in all {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("and said") && !page.contains("hunter2"), "{page}");
    store.anchor_reached("b", 48_212).await.unwrap();
    // How a place is shown may be another now; it is the same place all the same.
    let again = [place("a", "file", "/mnt/notes-by-another-name"), places[1].clone()];
    store.anchors_configured(again.to_vec()).await.unwrap();
    let page = auditor.page("/audit").await;
    assert!(page.contains("<code><bdi>/mnt/notes-by-another-name</bdi></code>"), "{page}");
    assert_eq!(page.matches("An anchor was added: file a").count(), 1, "{page}");
    assert!(!page.contains("attempts failed") && !page.contains("x@example.com"), "{page}");
    assert!(
        page.contains("An anchor was removed: mail c")
            && page.contains("An anchor does not get the checkpoints: url b")
    );

    assert!(!page.contains("role=\"alert\""));
    let (notary, _) = Notary::open(store.clone(), &Entropy::System).await.unwrap();
    let behind = LogAtStart::Behind { source: "audit.checkpoint".into(), checkpoint: 90, log: 80 };
    notary.record(&behind).await.unwrap();
    notary.record(&behind).await.unwrap();
    let disagrees = LogAtStart::Disagrees { source: NASTY.into(), checkpoint: 9, why: "altered".into() };
    notary.record(&disagrees).await.unwrap();
    notary.record(&LogAtStart::Unwitnessed { size: 80 }).await.unwrap();
    for browser in [&reviewer, &auditor] {
        let page = browser.page("/audit").await;
        assert_eq!(page.matches("role=\"alert\"").count(), 3, "{page}");
        assert!(
            page.contains("audit.checkpoint was signed over 90 entries, and the log had 80 at the start"),
            "{page}"
        );
        let top = page.find("role=\"alert\"").unwrap();
        assert!(top < page.find("What is signed of the log").unwrap());
    }
    pages.bench.clock.advance(std::time::Duration::from_secs(31 * 24 * 3600));
    let later = pages.sign_in("otto@example.com").await.page("/audit?kind=alarm.").await;
    assert!(
        !later.contains("role=\"alert\"") && later.contains("ALARM: audit.checkpoint was signed over 90"),
        "{later}"
    );
}
