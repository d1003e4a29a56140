//! What the strict reader must accept and must refuse, and where it must point.

use super::{JsonErrorKind as E, Limits, read_strict};

/// `(text, offset, kind)`; the kind of a syntax error is compared without its words.
fn refused() -> Vec<(&'static [u8], usize, E)> {
    let syntax = || E::Syntax("");
    let twice = |key: &str| E::DuplicateKey(key.to_owned());
    vec![
        // Nothing, or more than one value.
        (b"", 0, E::Empty),
        (b" \n\t\r ", 5, E::Empty),
        (b"1 2", 2, E::TrailingText),
        (b"{} {}", 3, E::TrailingText),
        (b"{}}", 2, E::TrailingText),
        (b"[1]]", 3, E::TrailingText),
        (b"\"a\"x", 3, E::TrailingText),
        (b"null\0", 4, E::TrailingText),
        (b"{}#comment", 2, E::TrailingText),
        (b"[]//", 2, E::TrailingText),
        // Encodings.
        (b"\xef\xbb\xbf{}", 0, E::ByteOrderMark),
        (b"\xef\xbb\xbf", 0, E::ByteOrderMark),
        (b"\xfe\xff\0{\0}", 0, E::NotUtf8),
        (b"{\0}\0", 1, syntax()),
        (b"[\"\xff\"]", 2, E::NotUtf8),
        (b"[\"\xc0\xaf\"]", 2, E::NotUtf8),
        (b"[\"\xed\xa0\x80\"]", 2, E::NotUtf8),
        (b"[\"\xf4\x90\x80\x80\"]", 2, E::NotUtf8),
        (b"[\"\xe2\x82\"]", 2, E::NotUtf8),
        (b"[\xe5]", 1, E::NotUtf8),
        (b"\xe2\x80\xaf{}", 0, syntax()),
        (b"[\xc2\xa0]", 1, syntax()),
        (b"{}\xef\xbb\xbf", 2, E::TrailingText),
        // Whitespace that is none.
        (b"[\x0c]", 1, syntax()),
        (b"[\x0b1]", 1, syntax()),
        // Duplicate keys: at any level, decoded, with equal values, many.
        (br#"{"a":1,"a":2}"#, 7, twice("a")),
        (br#"{"a":1,"a":1}"#, 7, twice("a")),
        (br#"{"a":1,"\u0061":2}"#, 7, twice("a")),
        (br#"{"\/":1,"/":2}"#, 8, twice("/")),
        (br#"[{"x":{"":0,"":0}}]"#, 12, twice("")),
        (br#"{"a":1,"b":2,"c":3,"b":4,"a":5}"#, 19, twice("b")),
        (
            br#"{"a":0,"b":0,"c":0,"d":0,"e":0,"f":0,"g":0,"h":0,"i":0,"j":0,"k":0,"l":0,"z":0,"m":0,"z":0,"a":0}"#,
            85,
            twice("z"),
        ),
        // Surrogates.
        (br#""\ud800""#, 1, E::LoneSurrogate),
        (br#""ab\udc00""#, 3, E::LoneSurrogate),
        (br#""\ud800\ud800""#, 1, E::LoneSurrogate),
        (br#""\udc00\ud800""#, 1, E::LoneSurrogate),
        (br#""\ud800\n""#, 1, E::LoneSurrogate),
        (br#""\ud800A""#, 1, E::LoneSurrogate),
        (br#""\ud83d\u0041""#, 1, E::LoneSurrogate),
        (br#"{"\ud800":1}"#, 2, E::LoneSurrogate),
        (br#""\ud800\u12"#, 7, syntax()),
        // Strings.
        (b"\"a\x00b\"", 2, E::ControlCharacter(0)),
        (b"\"\n\"", 1, E::ControlCharacter(0x0a)),
        (b"\"\t\"", 1, E::ControlCharacter(0x09)),
        (b"\"\x1f\"", 1, E::ControlCharacter(0x1f)),
        (b"{\"\r\":0}", 2, E::ControlCharacter(0x0d)),
        (b"\"abc", 4, syntax()),
        (b"\"", 1, syntax()),
        (b"\"\\", 1, syntax()),
        (b"\"\\\"", 3, syntax()),
        (br#""\x41""#, 1, syntax()),
        (br#""\U0041""#, 1, syntax()),
        (br#""\'""#, 1, syntax()),
        (br#""\0""#, 1, syntax()),
        (br#""\u""#, 1, syntax()),
        (br#""\u00""#, 1, syntax()),
        (br#""\u00g0""#, 1, syntax()),
        (br#""\u+041""#, 1, syntax()),
        (br#""\u{41}""#, 1, syntax()),
        ("\"\\u00é\"".as_bytes(), 1, syntax()),
        ("\"\\é\"".as_bytes(), 1, syntax()),
        (b"'a'", 0, syntax()),
        // Numbers.
        (b"01", 1, syntax()),
        (b"-01", 2, syntax()),
        (b"00", 1, syntax()),
        (b"+1", 0, syntax()),
        (b"-", 1, syntax()),
        (b"--1", 1, syntax()),
        (b"-a", 1, syntax()),
        (b"1.", 2, syntax()),
        (b".5", 0, syntax()),
        (b"1.e1", 2, syntax()),
        (b"1e", 2, syntax()),
        (b"1e+", 3, syntax()),
        (b"1e1.5", 3, E::TrailingText),
        (b"1_000", 1, E::TrailingText),
        (b"0x10", 1, E::TrailingText),
        (b"1f", 1, E::TrailingText),
        (b"NaN", 0, syntax()),
        (b"-NaN", 1, syntax()),
        (b"Infinity", 0, syntax()),
        (b"-Infinity", 1, syntax()),
        ("\u{ff11}".as_bytes(), 0, syntax()),
        // Words.
        (b"nul", 0, syntax()),
        (b"True", 0, syntax()),
        (b"truer", 4, E::TrailingText),
        (b"undefined", 0, syntax()),
        (b"a", 0, syntax()),
        // Arrays.
        (b"[", 1, syntax()),
        (b"]", 0, syntax()),
        (b"[1", 2, syntax()),
        (b"[1,", 3, syntax()),
        (b"[1,]", 3, syntax()),
        (b"[,1]", 1, syntax()),
        (b"[1,,2]", 3, syntax()),
        (b"[1 2]", 3, syntax()),
        (b"[1:2]", 2, syntax()),
        (b"[1}", 2, syntax()),
        (b"[*]", 1, syntax()),
        // Objects.
        (b"{", 1, syntax()),
        (b"{]", 1, syntax()),
        (b"{\"a\"", 4, syntax()),
        (b"{\"a\":", 5, syntax()),
        (b"{\"a\":}", 5, syntax()),
        (b"{\"a\" 1}", 5, syntax()),
        (b"{\"a\"::1}", 5, syntax()),
        (b"{\"a\":1", 6, syntax()),
        (b"{\"a\":1,", 7, syntax()),
        (b"{\"a\":1,}", 7, syntax()),
        (b"{,\"a\":1}", 1, syntax()),
        (b"{\"a\":1 \"b\":2}", 7, syntax()),
        (b"{a:1}", 1, syntax()),
        (b"{'a':1}", 1, syntax()),
        (b"{1:1}", 1, syntax()),
        (b"{null:1}", 1, syntax()),
        (b"{\"a\":1/**/}", 6, syntax()),
        (b"{\"a\":1]", 6, syntax()),
    ]
}

const ACCEPTED: &[&str] = &[
    "null",
    "true",
    "false",
    " \t\r\n0 \t\r\n",
    "-0",
    "0.0",
    "-0.0e-0",
    "1E400",
    "1e-9999",
    "123456789012345678901234567890",
    "3.14159265358979323846264338327950288",
    "0e1",
    "0e+01",
    "\"\"",
    "\" \"",
    "\"\u{7f}\"",
    "\"\u{2028}\u{2029}\"",
    "\"\u{10ffff}\u{ffff}\u{e000}\"",
    "\"\u{feff}\"",
    r#""\u0000\u001f""#,
    r#""\"\\\/\b\f\n\r\t""#,
    r#""\ud83d\ude00\uD83D\uDE00""#,
    r#""\uFFFF\ufffe\ufeff""#,
    r#""\\u0041 \\\\""#,
    "[]",
    "[ ]",
    "[1,2 , 3]",
    "[[],[[]],{}]",
    "[null,true,\"x\",{\"a\":[]}]",
    "{}",
    "{ }",
    "{\"\":0}",
    "{\"a\":1,\"A\":2,\" a\":3}",
    "{\"a\":{\"a\":{\"a\":1}}}",
    "[{\"a\":1},{\"a\":2}]",
    "{\"é\":1,\"e\u{301}\":2}",
    "{\"\u{1F600}\":\"\u{1F600}\"}",
];

#[test]
fn refuses_what_is_not_strict_json_and_says_where() {
    for (text, offset, kind) in refused() {
        let shown = String::from_utf8_lossy(text);
        let found = read_strict(text, &Limits::default()).expect_err(&shown);
        assert_eq!(found.offset, offset, "{shown:?}: {found}");
        match (&found.kind, &kind) {
            (E::Syntax(words), E::Syntax(_)) => assert!(!words.is_empty()),
            (found, expected) => assert_eq!(found, expected, "{shown:?}"),
        }
    }
}

#[test]
fn accepts_json_and_agrees_with_a_second_reader_on_it() {
    for text in ACCEPTED {
        let doc =
            read_strict(text.as_bytes(), &Limits::default()).unwrap_or_else(|refusal| panic!("{text:?}: {refusal}"));
        assert_eq!(doc.text(), *text);
        assert_eq!(doc.slice(doc.root().span), text.trim());
        let beyond_floats = text.contains("E400") || text.contains("789012");
        if !beyond_floats {
            super::properties::assert_same(
                doc.root(),
                &serde_json::from_str(text).expect("the second reader accepts it too"),
            );
        }
    }
}

#[test]
fn the_second_reader_refuses_the_grammar_errors_as_well() {
    for (text, _, kind) in refused() {
        // serde_json keeps the last of two keys; all else it refuses as we do.
        if !matches!(kind, E::DuplicateKey(_)) {
            let shown = String::from_utf8_lossy(text);
            assert!(serde_json::from_slice::<serde_json::Value>(text).is_err(), "{shown:?}");
        }
    }
}
