//! Regular expressions as RE2 reads them. The engine here takes `\d`, `\w`, `\s` and `\b` for those of all of Unicode,
//! so that `^\d+$` would let digits through that its author never thought of, and `&&` in brackets for an intersection,
//! so that `[;&&|]` would match nothing.

use regex::{Regex, RegexBuilder};
use regex_syntax::ast::{self, AssertionKind, Ast, ClassPerl, ClassPerlKind, ClassSetBinaryOp, ClassSetItem, Span};

/// A compiled regular expression may take this much memory.
const LARGEST: usize = 1 << 20;

/// A regular expression, and its text as it was written.
#[derive(Clone, Debug)]
pub(super) struct Re2 {
    text: String,
    regex: Regex,
}

impl Re2 {
    /// Reads it.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn new(text: &str) -> Result<Self, String> {
        // What does not parse is explained by the engine itself.
        let narrowed = match ast::parse::Parser::new().parse(text) {
            Ok(parsed) => narrowed(text, &parsed)?,
            Err(_) => text.to_owned(),
        };
        let built = RegexBuilder::new(&narrowed).size_limit(LARGEST).build();
        let regex = built.map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => format!("{text:?} is too large once it is compiled"),
            // The last line says what is wrong, those before it show where.
            other => {
                let words = other.to_string();
                let why = words.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                format!("{text:?} is not a regular expression: {why}")
            }
        })?;
        Ok(Self { text: text.to_owned(), regex })
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

/// The same expression with the classes and borders of ASCII.
fn narrowed(text: &str, parsed: &Ast) -> Result<String, String> {
    let mut found = ast::visit(parsed, Narrowing::default())?;
    found.sort_by_key(|(span, _)| span.start.offset);
    let (mut narrowed, mut done) = (String::with_capacity(text.len()), 0);
    for (span, ascii) in found {
        narrowed.push_str(&text[done..span.start.offset]);
        narrowed.push_str(ascii);
        done = span.end.offset;
    }
    narrowed.push_str(&text[done..]);
    Ok(narrowed)
}

/// What is to be replaced, and with what.
#[derive(Default)]
struct Narrowing(Vec<(Span, &'static str)>);

impl Narrowing {
    fn class(&mut self, class: &ClassPerl) {
        let ascii = match (&class.kind, class.negated) {
            (ClassPerlKind::Digit, false) => "[0-9]",
            (ClassPerlKind::Digit, true) => "[^0-9]",
            (ClassPerlKind::Space, false) => r"[\t\n\x0c\r\x20]",
            (ClassPerlKind::Space, true) => r"[^\t\n\x0c\r\x20]",
            (ClassPerlKind::Word, false) => "[0-9A-Za-z_]",
            (ClassPerlKind::Word, true) => "[^0-9A-Za-z_]",
        };
        self.0.push((class.span, ascii));
    }
}

impl ast::Visitor for Narrowing {
    type Output = Vec<(Span, &'static str)>;
    type Err = String;

    fn finish(self) -> Result<Self::Output, String> {
        Ok(self.0)
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), String> {
        match ast {
            Ast::ClassPerl(class) => self.class(class),
            Ast::Assertion(assertion) => match assertion.kind {
                AssertionKind::WordBoundary => self.0.push((assertion.span, r"(?-u:\b)")),
                AssertionKind::NotWordBoundary => self.0.push((assertion.span, r"(?-u:\B)")),
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), String> {
        match item {
            ClassSetItem::Perl(class) => self.class(class),
            ClassSetItem::Bracketed(_) => {
                return Err("a \"[\" within brackets is not read alike everywhere; write \"\\\\[\"".to_owned());
            }
            _ => {}
        }
        Ok(())
    }

    fn visit_class_set_binary_op_pre(&mut self, _: &ClassSetBinaryOp) -> Result<(), String> {
        Err("\"&&\", \"--\" and \"~~\" within brackets are not read alike everywhere; write each character once"
            .to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_and_borders_are_those_of_ascii() {
        for (regex, text, expected) in [
            (r"^\d+$", "12", true),
            (r"^\d+$", "١٢", false),
            (r"^\D$", "١", true),
            (r"^[\d.]+$", "1.2", true),
            (r"^[^\d]$", "١", true),
            (r"^\w+$", "a_1", true),
            (r"^\w$", "é", false),
            (r"^\W$", "é", true),
            (r"^[^\W\d]$", "é", false),
            (r"^\s\S$", " \u{2003}", true),
            (r"^[\s\x21]$", "\u{c}", true),
            // Where blanks of the expression mean nothing, those of the class do.
            (r"(?x) ^a \s b$ # \d", "a b", true),
            (r"\bdrop\b", "édropé", true),
            (r"a\Bb", "ab", true),
            (r"é\B", "é", true),
            (r"\\d", r"\d", true),
            (r"\\d", "1", false),
            (r"(?i)É", "é", true),
            (r"^.$", "é", true),
            (r"^\pL[[:digit:]]$", "é1", true),
            (r"^[é-ü&~-]+$", "ê&-~", true),
        ] {
            let read = Re2::new(regex).unwrap();
            assert_eq!((read.is_match(text), read.text()), (expected, regex), "{regex} {text:?}");
        }
    }

    #[test]
    fn what_is_not_read_alike_everywhere_is_refused() {
        for bad in ["[;&&|]", "[a-z&&[^b]]", "[a--b]", "[a~~b]", "[a[bc]]", "(a", r"\w{1000}{1000}"] {
            assert!(Re2::new(bad).is_err(), "{bad}");
        }
    }
}
