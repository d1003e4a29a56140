//! Secrets in base64: a JSON document with a password in it, `user:password`, a key's file.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::scan::{run_end, run_within, step};
use super::{Look, Span, holds_secret};

/// What is shorter says nothing.
const SHORTEST: usize = 12;

/// Lines of at least this length, all filled, are one text broken into lines.
const LINE: usize = 60;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Words before a colon that say what follows, and who is no user.
const LABELS: &[&str] = &[
    "arn",
    "urn",
    "http",
    "https",
    "mailto",
    "data",
    "gid",
    "sha1",
    "sha256",
    "sha384",
    "sha512",
    "md5",
    "cursor",
    "arrayconnection",
    "offset",
    "page",
    "id",
    "node",
    "spiffe",
    "did",
];

/// The runs of base64 that hold a secret once decoded. Each is decoded once as a whole and once in the parts between
/// slashes, as a path may have it; `look` says how many texts inside texts are opened.
pub(super) fn find(text: &str, look: Look) -> Vec<Span> {
    let mut found = Vec::new();
    if look.levels == 0 {
        return found;
    }
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let end = run_end(bytes, at, is_base64);
        if end - at < SHORTEST {
            at = end + 1;
            continue;
        }
        let block = Span { start: at, end: block_end(bytes, at, end) };
        let whole = &text[block.start..block.end];
        if opens(whole, look) {
            found.push(block);
        } else {
            let mut start = block.start;
            for part in whole.split('/') {
                if part.len() >= SHORTEST && part.len() < whole.len() && opens(part, look) {
                    found.push(Span { start, end: start + part.len() });
                }
                start += part.len() + 1;
            }
        }
        at = block.end + 1;
    }
    found
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

/// Where the text ends whose first line ends at `end`, padding included.
fn block_end(bytes: &[u8], start: usize, mut end: usize) -> usize {
    let length = end - start;
    while length >= LINE && length.is_multiple_of(4) && matches!(bytes.get(end), Some(b'\n' | b'\r')) {
        let next = run_within(bytes, end, 80, |b| b.is_ascii_whitespace());
        let next_end = run_within(bytes, next, length + 1, is_base64);
        if next_end == next || next_end - next > length {
            break;
        }
        end = next_end;
        if next_end - next < length {
            break;
        }
    }
    run_within(bytes, end, 2, |b| b == b'=')
}

/// Whether the run decodes to a text with a secret in it.
fn opens(run: &str, look: Look) -> bool {
    decoded(run).is_some_and(|text| is_user_and_password(&text) || holds_secret(&text, look.inner()))
}

/// The text that the run stands for, if it is one.
fn decoded(run: &str) -> Option<String> {
    const HEAD: usize = 16;
    step(run.len());
    let url_safe = run.contains(['-', '_']);
    let engine = if url_safe { &URL_SAFE } else { &STANDARD };
    let is_text = |bytes: &[u8]| bytes.iter().all(|&b| b >= b' ' && b != 0x7f || b.is_ascii_whitespace());
    // Images and hashes are told by their first bytes; so the most of them are not decoded at all.
    let head =
        run.get(..HEAD).filter(|head| !head.contains(char::is_whitespace)).and_then(|head| engine.decode(head).ok());
    if head.is_some_and(|head| !is_text(&head)) {
        return None;
    }
    let joined: String = run.split_ascii_whitespace().collect();
    let bytes = engine.decode(joined).ok()?;
    String::from_utf8(bytes).ok().filter(|text| is_text(text.as_bytes()))
}

/// `user:password` and nothing else: no time, address, digest or cursor.
fn is_user_and_password(text: &str) -> bool {
    const LONGEST: usize = 256;
    let Some((user, password)) = text.trim_end_matches('\n').split_once(':') else {
        return false;
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let user_like = |b: u8| b.is_ascii_alphanumeric() || b"._@+-\\$|".contains(&b);
    let named_id = user.starts_with(|c: char| c.is_ascii_uppercase()) || user.contains('.');
    let label = LABELS.iter().any(|label| user.eq_ignore_ascii_case(label));
    (1..=64).contains(&user.len())
        && user.bytes().all(user_like)
        && (3..=LONGEST).contains(&password.len())
        && password.bytes().all(|b| b.is_ascii_graphic())
        && !label
        && !password.starts_with("//")
        && !(digits(password) && named_id)
        && !user.starts_with(|c: char| c.is_ascii_digit())
}
