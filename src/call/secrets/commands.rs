//! Secrets in command lines that no telling name announces: `mysql -psecret`, `curl -u user:secret`.
//!
//! A [`Line`] reads the words of a command one by one, from a text or from a list of arguments, and says which part of
//! a word is secret.

mod known;

use super::Span;
use super::names::secret_name;
use super::scan::{is_name, is_quote, quoted, run_end, run_within, step};
use known::{Form, Known, Put, known};

/// What a word says of secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// Nothing.
    Nothing,
    /// Its bytes from here on are secret.
    From(usize),
    /// The next word is a value of this form.
    Next(Form),
    /// What follows in quotes without a blank is a value of this form.
    Joined(Form),
}

/// A command line, read so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Line {
    command: Option<&'static Known>,
    /// Whether the word was read without which the command's flags mean something else.
    armed: bool,
    /// The value that is due.
    due: Option<Form>,
    /// `set NAME value`: whether the name is next.
    setting: bool,
}

impl Line {
    /// Reads the next argument of a list.
    pub(super) fn argument(&mut self, word: &str) -> Said {
        match self.word(word) {
            Said::Next(_) | Said::Joined(_) => Said::Nothing,
            said => said,
        }
    }

    fn word(&mut self, word: &str) -> Said {
        if let Some(from) = self.due.take().and_then(|form| secret_from(word, form)) {
            return Said::From(from);
        }
        if std::mem::take(&mut self.setting) && is_variable(word) && secret_name(word).is_some() {
            return self.next(Form::Whole);
        }
        if known::SETTERS.contains(&word) {
            self.setting = true;
        }
        if let Some(command) = known(word) {
            (self.command, self.armed) = (Some(command), command.needs.is_empty());
            return Said::Nothing;
        }
        let Some(command) = self.command else { return Said::Nothing };
        self.armed |= command.needs.iter().any(|needed| word.eq_ignore_ascii_case(needed));
        if !self.armed {
            return Said::Nothing;
        }
        step(command.flags.len());
        for (flag, put, form) in command.flags {
            if word == *flag && !matches!(put, Put::Joined) {
                return self.next(*form);
            }
            let joined = match put {
                Put::Joined | Put::Either => word.strip_prefix(flag),
                Put::Apart => word.strip_prefix(flag).filter(|rest| rest.starts_with('=')),
            };
            if let Some(rest) = joined {
                let start = word.len() - rest.len() + usize::from(flag.starts_with("--") && rest.starts_with('='));
                if start == word.len() {
                    return Said::Joined(*form);
                }
                return secret_from(&word[start..], *form).map_or(Said::Nothing, |from| Said::From(start + from));
            }
            if command.bundles && is_bundle(word, flag) {
                return self.next(*form);
            }
        }
        if command.assignments && !word.starts_with('-') {
            return secret_from(word, Form::Behind('=')).map_or(Said::Nothing, Said::From);
        }
        Said::Nothing
    }

    fn next(&mut self, form: Form) -> Said {
        self.due = Some(form);
        Said::Next(form)
    }
}

/// `-sSu`: short flags in one word, the last of which takes the value.
fn is_bundle(word: &str, flag: &str) -> bool {
    const LONGEST: usize = 7;
    let (Some(letters), Some(last)) = (word.strip_prefix('-'), flag.strip_prefix('-')) else { return false };
    word.len() <= LONGEST
        && letters.len() > 1
        && last.len() == 1
        && letters.ends_with(last)
        && letters.bytes().all(|b| b.is_ascii_alphabetic())
}

/// `TOKEN`, `_authToken`, `user.password`: not a word of prose.
fn is_variable(word: &str) -> bool {
    word.bytes().all(is_name)
        && (word.contains(['_', '.']) || word.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()))
}

/// The offset from which a value of that form is secret.
fn secret_from(value: &str, form: Form) -> Option<usize> {
    let ports = |text: &str| text.contains(':') && text.bytes().all(|b| b.is_ascii_digit() || b == b':' || b == b'.');
    let from = match form {
        // Another option, or a container's ports.
        Form::Whole if value.starts_with('-') || ports(value) => return None,
        Form::Whole => 0,
        Form::Behind(sign) => value.find(sign)? + sign.len_utf8(),
        Form::Pass if !value.starts_with("pass:") => return None,
        Form::Pass => "pass:".len(),
    };
    (from < value.len()).then_some(from)
}

/// What of a text's command lines is secret.
pub(super) fn find(text: &str) -> Vec<Span> {
    let bytes = text.as_bytes();
    let mut reader = Reader { text, bytes, at: 0, line: Line::default(), echoed: None, found: Vec::new() };
    reader.read();
    reader.found
}

/// Reads a text's words, always onwards: what a value takes is not read as words again.
struct Reader<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    line: Line,
    /// What `echo` prints in this pipeline.
    echoed: Option<Echo>,
    found: Vec<Span>,
}

/// `echo secret | login --password-stdin`.
#[derive(Clone, Copy)]
struct Echo {
    printed: Option<Span>,
    piped: bool,
}

fn is_border(byte: u8) -> bool {
    byte.is_ascii_whitespace() || b"\"'`;|&()<>[]{},\\".contains(&byte)
}

impl Reader<'_> {
    fn read(&mut self) {
        while self.at < self.bytes.len() {
            let start = self.at;
            self.at = run_end(self.bytes, start, |b| !is_border(b));
            if start == self.at {
                self.border();
            } else {
                self.word(start);
            }
        }
    }

    fn word(&mut self, start: usize) {
        let word = &self.text[start..self.at];
        self.echo(start, word);
        match self.line.word(word) {
            Said::Nothing => {}
            Said::From(from) => self.cover(start + from, Form::Whole),
            Said::Joined(form) => {
                let flag_is_quoted = start > 0 && is_quote(self.bytes[start - 1]);
                if !flag_is_quoted && quoted(self.bytes, self.at).is_some() {
                    self.cover(self.at, form);
                }
            }
            Said::Next(form) => {
                self.line.due = None;
                self.skip_to_value(start > 0 && is_quote(self.bytes[start - 1]));
                self.cover(self.at, form);
            }
        }
    }

    /// Over what stands between a flag and its value: the quote that closes the flag, blanks and commas, the end of a
    /// line that goes on, the dash of a list.
    fn skip_to_value(&mut self, flag_is_quoted: bool) {
        if flag_is_quoted {
            let escapes = run_end(self.bytes, self.at, |b| b == b'\\');
            self.at = escapes + usize::from(self.bytes.get(escapes).is_some_and(|&b| is_quote(b)));
        }
        self.at = run_end(self.bytes, self.at, |b| matches!(b, b' ' | b'\t' | b','));
        let line_end = run_within(self.bytes, self.at, 3, |b| matches!(b, b'\\' | b'\r' | b'\n'));
        if line_end > self.at && self.bytes[line_end - 1] == b'\n' {
            let next = run_end(self.bytes, line_end, |b| b == b' ');
            let listed = self.bytes[next..].starts_with(b"- ");
            if listed || self.bytes[self.at] == b'\\' {
                self.at = if listed { next + 2 } else { next };
            }
        }
    }

    /// Covers what is secret in the value that begins at `start`, and reads on behind it.
    fn cover(&mut self, start: usize, form: Form) {
        let value = quoted(self.bytes, start).unwrap_or_else(|| self.bare(start));
        let text = &self.text[value.start..value.end];
        if let Some(from) = secret_from(text, form) {
            self.found.push(Span { start: value.start + from, end: value.end });
        } else if form == Form::Behind(':')
            && text.ends_with(':')
            && let Some(password) = quoted(self.bytes, value.end)
        {
            // `-u user:"pass word"`
            self.found.push(password);
            self.at = self.at.max(password.end);
        }
        self.at = self.at.max(value.end);
    }

    /// A value without quotes.
    fn bare(&self, start: usize) -> Span {
        let inside = |b: u8| !b.is_ascii_whitespace() && !b"\"'`;|&()<>".contains(&b);
        let end = run_end(self.bytes, start, inside);
        let kept = self.text[start..end].trim_end_matches([',', ']', '}', '\\']).len();
        Span { start, end: start + kept }
    }

    /// One byte that is part of no word.
    fn border(&mut self) {
        let byte = self.bytes[self.at];
        let before = self.bytes[..self.at].strip_suffix(b"\r").unwrap_or(&self.bytes[..self.at]);
        self.at += 1;
        match byte {
            b'|' => {
                self.line = Line::default();
                self.echoed = self.echoed.filter(|echo| !echo.piped).map(|echo| Echo { piped: true, ..echo });
            }
            b'\n' if before.ends_with(b"\\") || before.ends_with(b"`") || before.ends_with(b"^") => {}
            b'\n' => {
                // A list in YAML goes on with a dash.
                let next = run_end(self.bytes, self.at, |b| b == b' ');
                if !self.bytes[next..].starts_with(b"- ") {
                    (self.line, self.echoed) = (Line::default(), None);
                }
                self.at = next;
            }
            b';' | b'&' => (self.line, self.echoed) = (Line::default(), None),
            _ => {}
        }
    }

    fn echo(&mut self, start: usize, word: &str) {
        if matches!(word, "echo" | "printf") {
            self.echoed = Some(Echo { printed: None, piped: false });
            return;
        }
        let Some(echo) = &mut self.echoed else { return };
        match echo.printed {
            Some(printed) if echo.piped && known::FROM_INPUT.contains(&word) => {
                self.found.push(printed);
                self.echoed = None;
            }
            Some(printed) if !echo.piped => echo.printed = Some(Span { start: printed.start, end: self.at }),
            None if !(echo.piped || (word.len() == 2 && word.starts_with('-'))) => {
                echo.printed = Some(Span { start, end: self.at });
            }
            _ => {}
        }
    }
}
