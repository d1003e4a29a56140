//! Reads YAML 1.2 into the tree that JSON is read into, so that one reader judges both.
//!
//! Of YAML's scalars only those that are written plainly can be anything but strings, by the core schema: `null`,
//! `true`, `false`, and numbers as JSON spells them. Other spellings of numbers (`0x1f`, `.5`, `+1`, `.inf`) are
//! refused instead of guessed at; `yes`, `no`, `on` and `off` are strings, and refused wherever a truth value stands.
//! Anchors, aliases, tags, merge keys and several documents are refused: what stands in the file is what counts.

use std::borrow::Cow;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use super::source::Reader;
use crate::call::json::{Kind, Member, Node, Span};

/// Lists and mappings may be nested so deep.
const DEEPEST: usize = 64;

const NO_ALIAS: &str = "write the value where it is used";

/// A list or mapping that is not complete yet.
enum Open<'t> {
    List(usize, Vec<Node<'t>>),
    /// With the key whose value comes next.
    Mapping(usize, Vec<Member<'t>>, Option<(Cow<'t, str>, Span)>),
}

/// Reads the text; `None` where it cannot be read, which is then reported.
pub(super) fn read<'t>(reader: &mut Reader<'_>, text: &'t str) -> Option<Node<'t>> {
    let mut build = Build { text, places: Places::new(text), open: Vec::new(), root: None, broken: false };
    let mut documents = 0;
    for event in Parser::new_from_str(text) {
        let (event, span) = match event {
            Ok((event, span)) => (event, build.places.span(span.start.index(), span.end.index())),
            Err(error) => {
                let at = build.places.byte(error.marker().index());
                let hint = "indent with spaces, two for each level; quote a string that has a colon in it";
                reader.error_at(at, "", format!("this is not YAML: {}", error.info()), hint.to_owned());
                return None;
            }
        };
        if matches!(event, Event::DocumentStart(_)) {
            documents += 1;
            if documents > 1 {
                let hint = "keep one; a policy is one document".to_owned();
                reader.error_at(span.start, "", "a second document begins here", hint);
                return None;
            }
        }
        build.take(reader, event, span)?;
    }
    if build.root.is_none() && !build.broken {
        reader.error_at(0, "", "the file is empty", "start from what `placet init` writes".to_owned());
    }
    // With what was refused in it, so that everything else that is wrong is reported too.
    build.root
}

struct Build<'t> {
    text: &'t str,
    places: Places<'t>,
    open: Vec<Open<'t>>,
    root: Option<Node<'t>>,
    /// Something was refused, so the tree is not quite what stands in the file.
    broken: bool,
}

impl<'t> Build<'t> {
    /// Takes one event; `None` where nothing behind it can be read.
    fn take(&mut self, reader: &mut Reader<'_>, event: Event<'t>, span: Span) -> Option<()> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.plain(reader, span, anchor, tag.as_deref());
                self.scalar(reader, text, style, span);
            }
            Event::SequenceStart(anchor, tag) => {
                self.plain(reader, span, anchor, tag.as_deref());
                self.begin(reader, Open::List(span.start, Vec::new()), span)?;
            }
            Event::MappingStart(anchor, tag) => {
                self.plain(reader, span, anchor, tag.as_deref());
                self.begin(reader, Open::Mapping(span.start, Vec::new(), None), span)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let (start, kind) = match self.open.pop()? {
                    Open::List(start, elements) => (start, Kind::Array(elements)),
                    Open::Mapping(start, members, _) => (start, Kind::Object(members)),
                };
                self.put(Node { span: Span { start, end: span.end.max(start) }, kind });
            }
            Event::Alias(_) => {
                self.fail(reader, span, "aliases are not read", NO_ALIAS);
                self.put(Node { span, kind: Kind::Null });
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {}
        }
        Some(())
    }

    fn fail(&mut self, reader: &mut Reader<'_>, span: Span, message: impl Into<String>, hint: &str) {
        self.broken = true;
        reader.error_at(span.start, "", message, hint.to_owned());
    }

    /// Refuses what a value may carry besides itself.
    fn plain(&mut self, reader: &mut Reader<'_>, span: Span, anchor: usize, tag: Option<&Tag>) {
        if anchor != 0 {
            self.fail(reader, span, "anchors are not read", NO_ALIAS);
        }
        if tag.is_some() {
            self.fail(reader, span, "tags are not read", "leave it out; put quotes around what is a string");
        }
    }

    fn begin(&mut self, reader: &mut Reader<'_>, open: Open<'t>, span: Span) -> Option<()> {
        if let Some(Open::Mapping(_, _, key @ None)) = self.open.last_mut() {
            *key = Some((Cow::Borrowed(""), span));
            self.fail(reader, span, "a key is a list or a mapping", "write a name, then a colon");
            return None;
        }
        if self.open.len() == DEEPEST {
            let message = format!("lists and mappings are nested deeper than {DEEPEST} levels");
            self.fail(reader, span, message, "write it flatter");
            return None;
        }
        self.open.push(open);
        Some(())
    }

    fn scalar(&mut self, reader: &mut Reader<'_>, text: Cow<'t, str>, style: ScalarStyle, span: Span) {
        let is_key = matches!(self.open.last(), Some(Open::Mapping(_, _, None)));
        if is_key {
            if text == "<<" && style == ScalarStyle::Plain {
                self.fail(reader, span, "merge keys are not read", NO_ALIAS);
            }
            if let Some(Open::Mapping(_, _, key)) = self.open.last_mut() {
                *key = Some((text, span));
            }
            return;
        }
        let kind = if style == ScalarStyle::Plain { self.resolve(reader, text, span) } else { Kind::String(text) };
        self.put(Node { span, kind });
    }

    /// What a plain scalar is.
    fn resolve(&mut self, reader: &mut Reader<'_>, text: Cow<'t, str>, span: Span) -> Kind<'t> {
        match &*text {
            "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
            "true" | "True" | "TRUE" => Kind::Bool(true),
            "false" | "False" | "FALSE" => Kind::Bool(false),
            other if is_json_number(other) => match self.text.get(span.start..span.end) {
                Some(written) if written == other => Kind::Number(written),
                // With an anchor or a tag before it, which is refused already.
                _ if self.broken => Kind::Null,
                _ => {
                    self.fail(reader, span, "this number cannot be read", "write it on one line, in digits");
                    Kind::Null
                }
            },
            other if is_number_elsewhere(other) => {
                let message = format!("{other} is a number in a spelling that is not read");
                self.fail(reader, span, message, "write it in decimal digits, or in quotes if it is a string");
                Kind::Number("1")
            }
            _ => Kind::String(text),
        }
    }

    fn put(&mut self, node: Node<'t>) {
        match self.open.last_mut() {
            Some(Open::List(_, elements)) => elements.push(node),
            Some(Open::Mapping(_, members, key)) => {
                if let Some((key, key_span)) = key.take() {
                    members.push(Member { key, key_span, value: node });
                }
            }
            None => self.root = Some(node),
        }
    }
}

/// RFC 8259 §6.
fn is_json_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(digits)
}

/// What some reader of YAML takes for a number, of version 1.1 or 1.2, and JSON does not write.
fn is_number_elsewhere(text: &str) -> bool {
    let bare = text.strip_prefix(['-', '+']).unwrap_or(text);
    let lower = bare.to_ascii_lowercase();
    if matches!(&*lower, ".inf" | ".nan") {
        return true;
    }
    let based = |prefix: &str, base: u32| {
        lower
            .strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c == '_' || c.is_digit(base)))
    };
    if based("0x", 16) || based("0o", 8) || based("0b", 2) {
        return true;
    }
    let mut rest = lower.chars();
    let first = rest.next();
    let begins =
        first.is_some_and(|c| c.is_ascii_digit() || (c == '.' && rest.next().is_some_and(|c| c.is_ascii_digit())));
    let (mantissa, exponent) = lower.split_once('e').unwrap_or((&lower, "0"));
    let figures = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    begins
        && mantissa.matches('.').count() <= 1
        && figures(&mantissa.replace('.', ""))
        && !exponent.is_empty()
        && figures(exponent)
}

/// From the parser's places, in characters, to byte offsets.
struct Places<'t> {
    text: &'t str,
    /// Byte offset of every 64th character.
    steps: Vec<usize>,
}

/// How many characters lie between two known places.
const STEP: usize = 64;

impl<'t> Places<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, steps: text.char_indices().step_by(STEP).map(|(at, _)| at).collect() }
    }

    fn byte(&self, character: usize) -> usize {
        let Some(from) = self.steps.get(character / STEP) else { return self.text.len() };
        let mut rest = self.text[*from..].char_indices();
        rest.nth(character % STEP).map_or(self.text.len(), |(at, _)| from + at)
    }

    fn span(&self, start: usize, end: usize) -> Span {
        let start = self.byte(start);
        Span { start, end: self.byte(end).max(start) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::call::json;

    /// The JSON text of what the node holds.
    fn as_json(node: &Node<'_>) -> String {
        match &node.kind {
            Kind::Null => "null".to_owned(),
            Kind::Bool(value) => value.to_string(),
            Kind::Number(text) => (*text).to_owned(),
            Kind::String(text) => json::quote(text),
            Kind::Array(elements) => {
                format!("[{}]", elements.iter().map(as_json).collect::<Vec<_>>().join(","))
            }
            Kind::Object(members) => {
                let member = |member: &Member<'_>| format!("{}:{}", json::quote(&member.key), as_json(&member.value));
                format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(","))
            }
        }
    }

    fn tree(text: &str) -> Result<String, String> {
        let mut reader = Reader::new(text);
        let node = read(&mut reader, text).map(|node| as_json(&node));
        let problems: Vec<_> = reader.finish().iter().map(ToString::to_string).collect();
        node.filter(|_| problems.is_empty()).ok_or(problems.join("\n"))
    }

    #[test]
    fn scalars_are_what_the_core_schema_says() {
        for (written, expected) in [
            ("a", "\"a\""),
            ("yes", "\"yes\""),
            ("No", "\"No\""),
            ("on", "\"on\""),
            ("true", "true"),
            ("\"true\"", "\"true\""),
            ("'5'", "\"5\""),
            ("5", "5"),
            ("-0.50e+3", "-0.50e+3"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("~", "null"),
            ("", "null"),
            ("5/hour", "\"5/hour\""),
            ("15m", "\"15m\""),
            ("1.2.3", "\"1.2.3\""),
            ("2026-11-23", "\"2026-11-23\""),
            ("10.0.0.0/8", "\"10.0.0.0/8\""),
            ("e5", "\"e5\""),
            ("[]", "[]"),
            ("\n- 1\n- ", "[1,null]"),
            (".", "\".\""),
            ("|\n    a\n    b", "\"a\\nb\\n\""),
            ("'é ☃'", "\"é ☃\""),
        ] {
            assert_eq!(tree(&format!("k: {written}\n")), Ok(format!("{{\"k\":{expected}}}")), "{written}");
        }
    }

    #[test]
    fn numbers_that_are_not_the_same_to_everybody_are_refused() {
        for written in ["0x1F", "0o17", "0b101", "017", ".5", "5.", "+5", "1_000", ".inf", "-.Inf", ".NaN", "1e", "00"]
        {
            match (written, tree(&format!("k: {written}"))) {
                ("1e", read) => assert_eq!(read, Ok("{\"k\":\"1e\"}".to_owned())),
                (_, read) => assert!(read.is_err_and(|why| why.contains("a spelling that is not read")), "{written}"),
            }
        }
    }

    #[test]
    fn what_is_not_read_is_said() {
        for (text, words) in [
            ("", "1:1 : the file is empty"),
            ("# nothing\n", "1:1 : the file is empty"),
            ("a: 1\n---\nb: 2\n", "2:1 : a second document"),
            ("a: &x 1\nb: *x\n", "1:4 : anchors are not read"),
            ("a: *x\n", "this is not YAML"),
            ("a: !!str 5\n", "tags are not read"),
            ("<<: {a: 1}\n", "1:1 : merge keys are not read"),
            ("? [a]\n: 1\n", "1:3 : a key is a list or a mapping"),
            ("a: [1\n", "this is not YAML"),
            ("a: 1\n\tb: 2\n", "this is not YAML"),
            ("\"a\\q\": 1\n", "this is not YAML"),
        ] {
            assert!(tree(text).is_err_and(|why| why.contains(words)), "{text:?}: {:?}", tree(text));
        }
        let deep = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(tree(&deep(DEEPEST)).is_ok());
        assert!(tree(&deep(DEEPEST + 1)).is_err_and(|why| why.contains("nested deeper")));
        assert!(tree(&deep(100_000)).is_err());
    }

    #[test]
    fn places_are_those_of_the_text() {
        let text = "é: ☃\nlist:\n  - \"a\"\n  - {b: 17}\n";
        let mut reader = Reader::new(text);
        let root = read(&mut reader, text).unwrap();
        let at = |pointer| {
            let span = root.pointer(pointer).unwrap().span;
            &text[span.start..span.end]
        };
        assert_eq!((at("/é"), at("/list/0"), at("/list/1/b")), ("☃", "\"a\"", "17"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn json_means_the_same(text in "(\\{(\"[a-z]{1,3}\": (1|-2\\.5e3|true|null|\"x y\"|\\[1, \"2\"\\]|\\{\\}), )?\"k\": [0-9]{1,3}\\})") {
            let read = json::read_reporting(text.as_bytes(), &json::Limits::default()).map(|(document, _)| as_json(document.root()));
            prop_assert_eq!(tree(&text).ok(), read.ok());
        }

        #[test]
        fn no_text_makes_it_panic(text in "[a-c:\\-\\[\\]{}&*!|>'\"%@`#? \\n\\t,<é0-9.]{0,60}") {
            let _ = tree(&text);
        }
    }
}
