//! Which pieces of a text look like a secret, whatever they are called. One pass: every
//! rule either covers what it has read or has read a bounded number of neighbours.

use super::names::{Name, secret_name};
use super::{MASK, Span};

/// `(prefix, fewest characters behind it)` of tokens that name their issuer: AWS ids are
/// apart, these are GitHub, GitLab, Slack, OpenAI and Anthropic, Stripe, Google, npm,
/// PyPI, Hugging Face, SendGrid, DigitalOcean, Shopify, age, and Placet itself.
const PREFIXES: &[(&str, usize)] = &[
    ("ghp_", 20),
    ("gho_", 20),
    ("ghu_", 20),
    ("ghs_", 20),
    ("ghr_", 20),
    ("github_pat_", 20),
    ("glpat-", 16),
    ("xoxa-", 10),
    ("xoxb-", 10),
    ("xoxp-", 10),
    ("xoxr-", 10),
    ("xoxs-", 10),
    ("xoxe-", 10),
    ("xoxe.", 10),
    ("xapp-", 10),
    ("sk-", 20),
    ("sk_live_", 16),
    ("sk_test_", 16),
    ("rk_live_", 16),
    ("rk_test_", 16),
    ("whsec_", 16),
    ("AIza", 30),
    ("ya29.", 20),
    ("npm_", 30),
    ("pypi-", 30),
    ("hf_", 30),
    ("SG.", 30),
    ("dop_v1_", 30),
    ("shpat_", 30),
    ("AGE-SECRET-KEY-1", 30),
    ("plt_agent_", 16),
    ("plt_api_", 16),
    ("plt_session_", 16),
    ("plt_link_", 16),
];

/// Whether an AWS access key id stands in the text.
pub(super) fn mentions_aws_key(text: &str) -> bool {
    starts(text.as_bytes(), is_word).any(|at| aws_key_id(text, at).is_some())
}

/// The places to cover, ascending, apart from each other. With `aws_key` also runs of 40
/// characters, which is how AWS secret keys look.
pub(super) fn find(text: &str, aws_key: bool) -> Vec<Span> {
    let bytes = text.as_bytes();
    let mut found: Vec<Span> = Vec::new();
    let mut free_from = 0;
    for at in starts(bytes, is_word) {
        if at < free_from {
            continue;
        }
        let hit = private_key(text, at)
            .or_else(|| aws_key_id(text, at))
            .or_else(|| prefixed(text, at))
            .or_else(|| web_token(bytes, at))
            .or_else(|| bearer(text, at))
            .or_else(|| url_password(text, at))
            .or_else(|| assigned(text, at))
            .or_else(|| aws_key.then(|| aws_secret(bytes, at)).flatten());
        if let Some(Span { start, end }) = hit {
            found.push(Span { start: start.max(free_from), end });
            free_from = end;
        }
    }
    found
}

/// The offsets where a run of bytes of that class begins.
fn starts(bytes: &[u8], class: fn(u8) -> bool) -> impl Iterator<Item = usize> {
    (0..bytes.len()).filter(move |&at| class(bytes[at]) && (at == 0 || !class(bytes[at - 1])))
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn is_token(byte: u8) -> bool {
    is_word(byte) || byte == b'-'
}

/// Where the run of bytes of that class ends that begins at `at`.
fn run_end(bytes: &[u8], at: usize, class: impl Fn(u8) -> bool) -> usize {
    let run = bytes[at..].iter().take_while(|&&byte| class(byte)).count();
    at + run
}

fn aws_key_id(text: &str, at: usize) -> Option<Span> {
    const LENGTH: usize = 20;
    let rest = &text[at..];
    let end = at + LENGTH;
    let long = (rest.starts_with("AKIA") || rest.starts_with("ASIA"))
        && run_end(text.as_bytes(), at, |b| b.is_ascii_uppercase() || b.is_ascii_digit()) == end
        && !text.as_bytes().get(end).is_some_and(|&b| is_word(b));
    long.then_some(Span { start: at, end })
}

fn aws_secret(bytes: &[u8], at: usize) -> Option<Span> {
    const LENGTH: usize = 40;
    let class = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'+');
    let signs = bytes[..at].iter().rev().take_while(|&&b| matches!(b, b'/' | b'+'));
    let start = at - signs.count();
    if start > 0 && class(bytes[start - 1]) {
        return None;
    }
    let end = run_end(bytes, at, class);
    let run = &bytes[start..end];
    let mixed = run.iter().any(u8::is_ascii_uppercase)
        && run.iter().any(u8::is_ascii_lowercase)
        && run.iter().any(u8::is_ascii_digit);
    (run.len() == LENGTH && mixed).then_some(Span { start, end })
}

fn prefixed(text: &str, at: usize) -> Option<Span> {
    let rest = &text[at..];
    let (prefix, fewest) = PREFIXES.iter().find(|(prefix, _)| rest.starts_with(prefix))?;
    // "task-…" holds "sk-", "risk-…" too: only a whole word may begin a token.
    if at > 0 && text.as_bytes()[at - 1] == b'-' {
        return None;
    }
    let body = at + prefix.len();
    let end = run_end(text.as_bytes(), body, |b| is_token(b) || b == b'.');
    (end - body >= *fewest).then_some(Span { start: at, end })
}

/// A JSON Web Token: three parts of base64url, the first of which begins with `{"`.
fn web_token(bytes: &[u8], at: usize) -> Option<Span> {
    if !bytes[at..].starts_with(b"eyJ") || (at > 0 && bytes[at - 1] == b'-') {
        return None;
    }
    let header = run_end(bytes, at, is_token);
    let payload = bytes.get(header).filter(|&&b| b == b'.').map(|_| header + 1)?;
    let payload_end = run_end(bytes, payload, is_token);
    if payload_end == payload {
        return None;
    }
    let signed = bytes.get(payload_end) == Some(&b'.');
    let end = if signed { run_end(bytes, payload_end + 1, is_token) } else { payload_end };
    Some(Span { start: at, end })
}

/// From `BEGIN … PRIVATE KEY` to its end; without an end, everything that follows.
fn private_key(text: &str, at: usize) -> Option<Span> {
    const LABEL: usize = 60;
    let rest = text[at..].strip_prefix("BEGIN ")?;
    if !text[..at].ends_with("-----") {
        return None;
    }
    let label = &rest[..rest.floor_char_boundary(LABEL)];
    let label = label.split("-----").next().filter(|l| l.contains("PRIVATE KEY"))?;
    let footer = format!("-----END {label}-----");
    let end = rest.find(&footer).map_or(text.len(), |found| text.len() - rest.len() + found + footer.len());
    Some(Span { start: at - "-----".len(), end })
}

/// The credentials behind `Bearer` or `Basic`.
fn bearer(text: &str, at: usize) -> Option<Span> {
    let bytes = text.as_bytes();
    let word = bytes.get(at..run_end(bytes, at, is_word))?;
    if !word.eq_ignore_ascii_case(b"bearer") && !word.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let start = run_end(bytes, at + word.len(), |b| b == b' ');
    let end = run_end(bytes, start, |b| is_token(b) || b"+/=.~".contains(&b));
    let token = &bytes[start..end];
    // "Basic authentication" is prose.
    let random = token.len() >= 24 || token.iter().any(|b| b.is_ascii_digit() || *b == b'=');
    (start > at + word.len() && token.len() >= 8 && random).then_some(Span { start, end })
}

/// The password in `scheme://user:password@host`, found at the scheme.
fn url_password(text: &str, at: usize) -> Option<Span> {
    let bytes = text.as_bytes();
    let scheme_end = run_end(bytes, at, is_word);
    let after = text[scheme_end..].strip_prefix("://")?;
    let outside = |b: u8| b.is_ascii_whitespace() || b"/?#\"'<>\\`".contains(&b);
    let authority = &after[..run_end(after.as_bytes(), 0, |b| !outside(b))];
    let (user_info, _) = authority.rsplit_once('@')?;
    let (user, password) = user_info.split_once(':')?;
    let start = scheme_end + "://".len() + user.len() + 1;
    (!password.is_empty()).then_some(Span { start, end: start + password.len() })
}

/// The value given to a telling name: `NAME=value`, `name: value`, `"name": "value"`,
/// `--name value`, and the like with escaped quotes.
fn assigned(text: &str, at: usize) -> Option<Span> {
    let bytes = text.as_bytes();
    let is_name = |b: u8| is_token(b) || b == b'.';
    // A name of several words is judged at its first.
    let is_option = option_dash(bytes, at);
    if at > 0 && is_name(bytes[at - 1]) && !is_option {
        return None;
    }
    let name_end = run_end(bytes, at, is_name);
    let quotes = |at| run_end(bytes, at, |b| matches!(b, b'\\' | b'"' | b'\''));
    let spaces = |at| run_end(bytes, at, |b| matches!(b, b' ' | b'\t'));
    let sign = spaces(quotes(name_end));
    let (behind, told_by_space) = match bytes.get(sign)? {
        b'=' => (run_end(bytes, sign + 1, |b| matches!(b, b'=' | b'>')), false),
        b':' => (run_end(bytes, sign + 1, |b| b == b'='), true),
        _ if is_option && sign > name_end => (sign, false),
        _ => return None,
    };
    let name = secret_name(&text[at..name_end])?;
    let value = spaces(behind);
    let escapes = run_end(bytes, value, |b| b == b'\\') - value;
    let quote = bytes.get(value + escapes).filter(|b| matches!(b, b'"' | b'\''));
    // `arn:aws:secretsmanager:…:secret:name` assigns nothing.
    if told_by_space && value == behind && quote.is_none() && name != Name::Header {
        return None;
    }
    let span = if let Some(&quote) = quote {
        let start = value + escapes + 1;
        let end = closing_quote(bytes, start, quote, escapes);
        Span { start, end }
    } else {
        let inside = |b: u8| match name {
            Name::Header => !matches!(b, b'\r' | b'\n' | b'"' | b'\''),
            _ => !b.is_ascii_whitespace() && !b"\"'`,;&|<>()[]{}\\".contains(&b),
        };
        let end = run_end(bytes, value, inside);
        Span { start: value, end }
    };
    let another_option = is_option && bytes.get(value) == Some(&b'-');
    let masked = text[span.start..].starts_with(MASK);
    (span.start < span.end && !masked && !another_option).then_some(span)
}

/// Whether the word at `at` is an option's name, `-name` or `--name`.
fn option_dash(bytes: &[u8], at: usize) -> bool {
    let dashes = bytes[..at].iter().rev().take(3).take_while(|&&b| b == b'-').count();
    let before = at.checked_sub(dashes + 1).map(|before| bytes[before]);
    (1..3).contains(&dashes) && !before.is_some_and(is_token)
}

/// The offset of the quote that ends the text beginning at `from`: one with as many
/// backslashes before it as the opening one had. Without one, the end of the text.
fn closing_quote(bytes: &[u8], from: usize, quote: u8, escapes: usize) -> usize {
    let mut backslashes = 0;
    for (at, &byte) in bytes.iter().enumerate().skip(from) {
        let ends = backslashes == escapes || (escapes == 0 && backslashes % 2 == 0);
        if byte == quote && ends {
            return at - backslashes.min(escapes);
        }
        backslashes = if byte == b'\\' { backslashes + 1 } else { 0 };
    }
    bytes.len()
}
