//! Secrets in addresses: who signs in, signatures and keys in the query, and hooks whose address is the secret.

use super::Span;
use super::issued::is_random;
use super::scan::{run_end, run_within};

/// `(host, path)` of hooks: whoever knows such an address may post to it. A host that begins with a dot may have
/// anything before it.
const HOOKS: &[(&str, &str)] = &[
    ("hooks.slack.com", "/services/"),
    ("hooks.slack.com", "/workflows/"),
    ("hooks.slack.com", "/triggers/"),
    ("hooks.slack-gov.com", "/services/"),
    ("discord.com", "/webhooks/"),
    (".discord.com", "/webhooks/"),
    ("discordapp.com", "/webhooks/"),
    (".discordapp.com", "/webhooks/"),
    (".webhook.office.com", "/webhookb2/"),
    ("outlook.office.com", "/webhook/"),
    ("chat.googleapis.com", "/messages?"),
    ("hooks.zapier.com", "/catch/"),
    ("maker.ifttt.com", "/key/"),
];

/// Names in a query that stand for a secret there and nowhere else. `key` and `code` only with something random.
const QUERY: &[(&str, bool)] =
    &[("sig", false), ("signature", false), ("hmac", false), ("auth", false), ("key", true), ("code", true)];

/// The secret in an address whose scheme, or whose query's name, begins at a word.
pub(super) fn find(text: &str, at: usize) -> Option<Span> {
    in_query(text, at).or_else(|| in_address(text, at))
}

/// `?sig=…`, `&key=…`.
fn in_query(text: &str, at: usize) -> Option<Span> {
    const LONGEST_NAME: usize = 12;
    const SHORTEST: usize = 8;
    let bytes = text.as_bytes();
    let before = at.checked_sub(1).map(|before| bytes[before]);
    // `&amp;sig=` in HTML.
    if !matches!(before, Some(b'?' | b'&')) && !text[..at].ends_with("&amp;") {
        return None;
    }
    let name_end = run_within(bytes, at, LONGEST_NAME, |b| b.is_ascii_alphabetic());
    let name = &text[at..name_end];
    let (_, random) = QUERY.iter().find(|(known, _)| name.eq_ignore_ascii_case(known))?;
    if bytes.get(name_end) != Some(&b'=') {
        return None;
    }
    let start = name_end + 1;
    let end = run_end(bytes, start, |b| !b.is_ascii_whitespace() && !b"?&#\"'<>\\`;,)]}".contains(&b));
    let value = &bytes[start..end];
    let told = !random || (value.len() >= 16 && is_random(value));
    (value.len() >= SHORTEST && told).then_some(Span { start, end })
}

/// What is secret in `scheme://user:password@host/path`.
fn in_address(text: &str, at: usize) -> Option<Span> {
    let bytes = text.as_bytes();
    let scheme_end = run_end(bytes, at, |b| b.is_ascii_alphanumeric() || b == b'_');
    let after = text[scheme_end..].strip_prefix("://")?;
    let start = scheme_end + "://".len();
    let outside = |b: u8| b.is_ascii_whitespace() || b"/?#\"'<>\\`".contains(&b);
    let authority = &after[..run_end(after.as_bytes(), 0, |b| !outside(b))];
    let signed_in = authority.rsplit_once('@').and_then(|(user_info, _)| {
        let span = user_info_secret(&text[at..scheme_end], user_info)?;
        Some(Span { start: start + span.start, end: start + span.end })
    });
    signed_in.or_else(|| hook(text, start, authority))
}

/// The password before the host; where there is none, a token in the user's place.
fn user_info_secret(scheme: &str, user_info: &str) -> Option<Span> {
    let all = Span { start: 0, end: user_info.len() };
    let random = |user: &str| user.len() >= 16 && is_random(user.as_bytes());
    match user_info.split_once(':') {
        Some((user, "" | "x-oauth-basic")) => random(user).then_some(Span { start: 0, end: user.len() }),
        Some((user, _)) => Some(Span { start: user.len() + 1, end: user_info.len() }),
        None => (scheme.starts_with("http") && random(user_info)).then_some(all),
    }
}

/// The part of a hook's address behind what all hooks of its sort share.
fn hook(text: &str, start: usize, authority: &str) -> Option<Span> {
    const LONGEST: usize = 400;
    let known = |host: &str| match host.strip_prefix('.') {
        Some(_) => authority.len() > host.len() && authority.ends_with(host),
        None => authority == host,
    };
    if !HOOKS.iter().any(|(host, _)| known(host)) {
        return None;
    }
    let bytes = text.as_bytes();
    let inside = |b: u8| !b.is_ascii_whitespace() && !b"\"'<>\\`)]}".contains(&b);
    let path_start = start + authority.len();
    let near = text.floor_char_boundary(run_within(bytes, path_start, LONGEST, inside));
    let path = &text[path_start..near];
    let behind =
        HOOKS.iter().filter(|(host, _)| known(host)).find_map(|(_, known)| Some(path.find(known)? + known.len()))?;
    let hidden = path_start + behind;
    // What is read to its end is covered, so nothing is read twice.
    Some(Span { start: hidden, end: run_end(bytes, hidden, inside) }).filter(|span| span.start < span.end)
}
