//! The few ways in which a text is read here. In tests each counts its steps, so that a rule which reads on and on for
//! every word is found by counting, not by waiting.

use super::{MASK, Span};

#[cfg(test)]
pub(super) use counted::{step, take_steps};

#[cfg(not(test))]
pub(super) fn step(_: usize) {}

pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

pub(super) fn is_token(byte: u8) -> bool {
    is_word(byte) || byte == b'-'
}

/// What names of members and options are made of.
pub(super) fn is_name(byte: u8) -> bool {
    is_token(byte) || byte == b'.'
}

pub(super) fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'')
}

/// The offsets where a run of bytes of that class begins.
pub(super) fn starts(bytes: &[u8], class: fn(u8) -> bool) -> impl Iterator<Item = usize> {
    step(bytes.len());
    (0..bytes.len()).filter(move |&at| class(bytes[at]) && (at == 0 || !class(bytes[at - 1])))
}

/// Where the run of bytes of that class ends that begins at `at`.
pub(super) fn run_end(bytes: &[u8], at: usize, class: impl Fn(u8) -> bool) -> usize {
    run_within(bytes, at, bytes.len(), class)
}

/// As [`run_end`], reading `most` bytes at most.
pub(super) fn run_within(bytes: &[u8], at: usize, most: usize, class: impl Fn(u8) -> bool) -> usize {
    let at = at.min(bytes.len());
    let run = bytes[at..].iter().take(most).take_while(|&&byte| class(byte)).count();
    step(run + 1);
    at + run
}

/// Where the run of bytes of that class begins that ends at `at`, reading `most` bytes at most.
pub(super) fn run_start(bytes: &[u8], at: usize, most: usize, class: impl Fn(u8) -> bool) -> usize {
    let run = bytes[..at].iter().rev().take(most).take_while(|&&byte| class(byte)).count();
    step(run + 1);
    at - run
}

/// The offset of the quote that ends the text beginning at `from`: one with as many backslashes before it as the
/// opening one had. Without one, the end of the text.
pub(super) fn closing_quote(bytes: &[u8], from: usize, quote: u8, escapes: usize) -> usize {
    let mut backslashes = 0;
    for (at, &byte) in bytes.iter().enumerate().skip(from) {
        let ends = backslashes == escapes || (escapes == 0 && backslashes % 2 == 0);
        if byte == quote && ends {
            step(at - from);
            return at - backslashes.min(escapes);
        }
        backslashes = if byte == b'\\' { backslashes + 1 } else { 0 };
    }
    step(bytes.len().saturating_sub(from));
    bytes.len()
}

/// What stands between quotes that begin at `at`, escaped ones too, and where reading goes on; `None` where none do.
pub(super) fn quoted(bytes: &[u8], at: usize) -> Option<Span> {
    let behind = run_end(bytes, at, |b| b == b'\\');
    let quote = *bytes.get(behind).filter(|&&b| is_quote(b))?;
    let start = behind + 1;
    Some(Span { start, end: closing_quote(bytes, start, quote, behind - at) })
}

/// The spans in order, those that touch made one, without those that are empty or masked already.
pub(super) fn merged(text: &str, mut spans: Vec<Span>) -> Vec<Span> {
    spans.retain(|span| span.start < span.end && !text[span.start..].starts_with(MASK));
    spans.sort_unstable_by_key(|span| (span.start, span.end));
    let mut apart: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match apart.last_mut() {
            Some(last) if span.start < last.end => last.end = last.end.max(span.end),
            _ => apart.push(span),
        }
    }
    apart
}

/// How many bytes were read on this thread since [`take_steps`].
#[cfg(test)]
mod counted {
    use std::cell::Cell;

    thread_local! { static STEPS: Cell<usize> = const { Cell::new(0) }; }

    pub(in crate::call::secrets) fn step(count: usize) {
        STEPS.with(|steps| steps.set(steps.get() + count));
    }

    pub(in crate::call::secrets) fn take_steps() -> usize {
        STEPS.with(Cell::take)
    }
}
