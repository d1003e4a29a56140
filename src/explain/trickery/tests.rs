//! What is made visible, what is reported and where, and what is left in peace.

use proptest::prelude::*;

use super::*;
use crate::call::json::{self, Limits, quote};

fn found(text: &str) -> Vec<Trick> {
    tricks(&json::read_strict(text.as_bytes(), &Limits::default()).unwrap())
}

/// The tricks of one string, as `(kind, shown)`.
fn in_string(text: &str) -> Vec<(TrickKind, String)> {
    found(&quote(text)).into_iter().map(|trick| (trick.kind, trick.shown)).collect()
}

fn kinds(text: &str) -> Vec<TrickKind> {
    in_string(text).into_iter().map(|(kind, _)| kind).collect()
}

/// Puts a text together again from what would be shown of it.
fn reconstructed(segments: &[Segment<'_>]) -> String {
    segments
        .iter()
        .map(|segment| match segment {
            Segment::Text(text) => (*text).to_owned(),
            Segment::Badge { label, .. } => {
                let (number, count) = label.split_once('×').unwrap_or((label, "1"));
                let number = u32::from_str_radix(number.strip_prefix("U+").unwrap(), 16).unwrap();
                char::from_u32(number).unwrap().to_string().repeat(count.parse().unwrap())
            }
        })
        .collect()
}

#[test]
fn hidden_characters_become_badges_with_their_names() {
    let badge = |label: &str, name, kind| Segment::Badge { label: label.to_owned(), name, kind };
    assert_eq!(
        segments("a\u{202e}b\u{200b}\u{200b}\n\tc\u{1b}[2J"),
        [
            Segment::Text("a"),
            badge("U+202E", "right-to-left override", TrickKind::Bidi),
            Segment::Text("b"),
            badge("U+200B×2", "zero width space", TrickKind::ZeroWidth),
            Segment::Text("\n\tc"),
            badge("U+001B", "escape, begins a terminal command", TrickKind::Control),
            Segment::Text("[2J"),
        ]
    );
    assert_eq!(segments(""), []);
    assert_eq!(segments("für Zoë\n東京 1 + 1"), [Segment::Text("für Zoë\n東京 1 + 1")]);
}

#[test]
fn every_sort_of_hidden_character_is_known() {
    use TrickKind::{Bidi, Control, Whitespace, ZeroWidth};
    for (characters, kind) in [
        ("\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}", Bidi),
        ("\u{200b}\u{200c}\u{200d}\u{2060}\u{feff}\u{ad}\u{34f}\u{180e}\u{2063}\u{206f}", ZeroWidth),
        ("\u{3164}\u{115f}\u{1160}\u{ffa0}\u{2800}\u{fe0f}\u{e0100}\u{e0041}\u{e007f}\u{e0001}\u{1d173}", ZeroWidth),
        ("\0\u{1}\u{7}\u{8}\r\u{1b}\u{7f}\u{80}\u{85}\u{9b}\u{2028}\u{2029}\u{ffff}\u{fdd0}\u{e000}", Control),
        ("\u{a0}\u{1680}\u{2000}\u{2009}\u{202f}\u{205f}\u{3000}", Whitespace),
    ] {
        for c in characters.chars() {
            let text = c.to_string();
            let segments = segments(&text);
            assert!(matches!(&segments[..], [Segment::Badge { kind: k, .. }] if *k == kind), "U+{:04X}", u32::from(c));
        }
    }
}

#[test]
fn blanks_are_text_until_they_push_something_out_of_sight() {
    let short = format!("a{}b", " ".repeat(39));
    assert_eq!(segments(&short), [Segment::Text(&short)]);
    let long = format!("ls{}; rm -rf /", " ".repeat(40));
    assert_eq!(in_string(&long), [(TrickKind::Whitespace, "ls⟦U+0020×40⟧; rm -rf / (40 in all)".to_owned())]);
    let mixed = format!("a{}b c", " \n\n\t".repeat(10));
    assert_eq!(reconstructed(&segments(&mixed)), mixed);
    assert_eq!(segments(&mixed).len(), 32);
    assert_eq!(kinds(&mixed), [TrickKind::Whitespace]);
    let document = "{\n    \"a\": [\n        1\n    ]\n}";
    assert_eq!(segments(document), [Segment::Text(document)]);
}

#[test]
fn look_alikes_are_reported() {
    for (text, kind) in [
        ("p\u{430}ypal", TrickKind::MixedScript),
        ("user \u{440}\u{430}\u{443}\u{440}\u{430} x", TrickKind::Confusable),
        ("\u{430}", TrickKind::Confusable),
        ("\u{ff41}\u{ff44}min", TrickKind::Confusable),
        ("\u{1d41a}dmin", TrickKind::Confusable),
        ("arn\u{ff1a}aws", TrickKind::Confusable),
        ("my\u{2010}user", TrickKind::Confusable),
        ("s3\u{a789}*", TrickKind::Confusable),
        ("iam:Cre\u{3b1}teUser", TrickKind::MixedScript),
    ] {
        assert_eq!(kinds(text), [kind], "{text}");
    }
    assert_eq!(
        in_string("\u{440}\u{430}\u{443} now")[0].1,
        "“\u{440}\u{430}\u{443}” looks like “pay”, but has \u{440} (U+0440), \u{430} (U+0430), \u{443} (U+0443)"
    );
}

#[test]
fn honest_text_in_any_language_is_left_alone() {
    for text in [
        "naïve café, Zoë — “quoted” don’t… 10 €",
        "Привет, мир и другие слова",
        "user-Иван",
        "東京タワー と 서울 한국어",
        "שלום العربية ١٢٣",
        "Ελληνικά κείμενα",
        "e\u{301}te\u{301}",
        "plain ASCII, with\nlines\tand {braces} [INFO]",
        "🎉 done",
        "",
    ] {
        assert_eq!(in_string(text), [], "{text}");
    }
}

#[test]
fn places_are_pointers_into_decoded_values_and_keys() {
    let text = r#"{"a/b":["x",{"c":"\u202e"}],"k\u200b":1,"doc":" {\"Statement\":[{\"Sid\":\"a\\u202eb\"}]}"}"#;
    let told: Vec<_> = found(text).into_iter().map(|t| (t.kind.as_str(), t.where_, t.shown)).collect();
    let expect = |kind, place: &str, shown: &str| (kind, place.to_owned(), shown.to_owned());
    assert_eq!(
        told,
        [
            expect("bidi", "/a~1b/1/c", "⟦U+202E⟧"),
            expect("zero_width", "/k\u{200b}", "the key k⟦U+200B⟧"),
            expect("bidi", "/doc#/Statement/0/Sid", "a⟦U+202E⟧b"),
        ]
    );
}

#[test]
fn documents_inside_strings_must_be_read_alike_by_everybody() {
    let trick = |text: &str| {
        let tricks = in_string(text);
        assert_eq!(tricks.len(), 1, "{tricks:?}");
        tricks[0].clone()
    };
    let (kind, shown) = trick(r#"{"Effect":"Deny","Effect":"Allow"}"#);
    assert_eq!(kind, TrickKind::DuplicateKey);
    assert!(shown.contains("the key \"Effect\" occurs twice"), "{shown}");
    assert_eq!(trick(r#"{"Statement": [}"#).0, TrickKind::Unparsable);
    assert_eq!(trick("{'Statement': []}").0, TrickKind::Unparsable);
    assert_eq!(trick("[{\"a\":1},]").0, TrickKind::Unparsable);
    assert_eq!(kinds("\u{feff}{\"a\":1}"), [TrickKind::Unparsable, TrickKind::ZeroWidth]);
    let (kind, shown) = trick(r#"{"a":"{\"b\":1}"}"#);
    assert_eq!((kind, &*shown), (TrickKind::Encoded, "JSON inside a string, 2 times over"));
    let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
    assert_eq!(trick(&deep).0, TrickKind::Unparsable);
}

#[test]
fn long_lines_are_reported_unless_they_are_laid_out() {
    assert_eq!(kinds(&"x ".repeat(1000)), []);
    let (kind, shown) = in_string(&format!("a\n{}", "x ".repeat(1001))).remove(0);
    assert_eq!((kind, &*shown), (TrickKind::LongLine, "a line of 2002 characters"));
    assert_eq!(kinds(&format!("[\"{}\"]", "x".repeat(1999))), []);
}

#[test]
fn one_sort_cannot_crowd_out_another() {
    let spaces = vec!["\"\u{a0}\""; 1000].join(",");
    let tricks = found(&format!("[{spaces},\"\u{202e}\"]"));
    assert_eq!(tricks.len(), 42);
    assert_eq!(tricks[40].kind, TrickKind::Bidi);
    assert_eq!(tricks[40].where_, "/1000");
    assert_eq!(tricks[41].shown, "and 960 more of this sort");
}

#[test]
fn what_is_reported_stays_small() {
    let key = "k".repeat(200_000);
    let value = "\u{200b}\u{430}b".repeat(100_000);
    let items = vec!["\"\u{202e}\""; 1000].join(",");
    let text = format!("{{\"{key}\":[{items},{}]}}", quote(&value));
    let limits = Limits { max_bytes: usize::MAX, ..Limits::default() };
    let tricks = tricks(&json::read_strict(text.as_bytes(), &limits).unwrap());
    let size: usize = tricks.iter().map(|trick| trick.where_.len() + trick.shown.len()).sum();
    assert!(size < 100_000, "{size}");
}

#[test]
fn worst_inputs_take_linear_time() {
    for part in
        ["\u{200b}", "\u{200b}\u{200c}", " \t", "\u{430}", "\u{430}a ", "a\u{ff1a}", "\u{a0}x", "\u{301}", "[\"", "{\""]
    {
        let text = part.repeat(200_000 / part.len());
        assert_eq!(reconstructed(&segments(&text)), text);
        let _ = in_string(&text);
    }
}

fn hostile_text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        any::<String>(),
        "[ \t\n]{0,60}",
        "[\u{200b}\u{202e}\u{1b}\u{a0}\u{430}a:{}\"\\[\\]]{0,12}",
        any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn nothing_is_lost_between_text_and_badges(text in hostile_text()) {
        let segments = segments(&text);
        prop_assert_eq!(reconstructed(&segments), &*text);
        for pair in segments.windows(2) {
            prop_assert!(!matches!(pair, [Segment::Text(_), Segment::Text(_)]));
        }
        for segment in &segments {
            if let Segment::Text(text) = segment {
                prop_assert!(!text.is_empty());
                prop_assert!(!text.contains(|c: char| c.is_control() && c != '\n' && c != '\t'));
            }
        }
    }

    #[test]
    fn what_is_reported_shows_itself(text in hostile_text(), key in hostile_text()) {
        for trick in found(&format!("{{{}:[{}]}}", quote(&key), quote(&text))) {
            prop_assert!(segments(&trick.shown).iter().all(|s| matches!(s, Segment::Text(_))), "{:?}", trick);
            prop_assert!(!trick.shown.contains('\n'));
        }
    }
}
