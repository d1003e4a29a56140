//! Secrets that are known by their own shape: keys and tokens as their issuers make them.

use super::Span;
use super::scan::{is_token, is_word, run_end, run_start, run_within, step};

/// `(prefix, fewest characters behind it)` of tokens that name their issuer. Behind the prefix stands something
/// random, so a digit or both cases: `npm_config_registry` is no token.
const PREFIXES: &[(&str, usize)] = &[
    // GitHub, GitLab, Bitbucket, Atlassian.
    ("ghp_", 20),
    ("gho_", 20),
    ("ghu_", 20),
    ("ghs_", 20),
    ("ghr_", 20),
    ("github_pat_", 20),
    ("glpat-", 16),
    ("gldt-", 16),
    ("glrt-", 16),
    ("glcbt-", 16),
    ("glptt-", 16),
    ("glft-", 16),
    ("glsoat-", 16),
    ("glagent-", 16),
    ("gloas-", 16),
    ("GR1348941", 16),
    ("ATATT3", 30),
    ("ATCTT3", 30),
    ("ATBB", 28),
    // Slack.
    ("xoxa-", 10),
    ("xoxb-", 10),
    ("xoxc-", 10),
    ("xoxd-", 10),
    ("xoxo-", 10),
    ("xoxp-", 10),
    ("xoxr-", 10),
    ("xoxs-", 10),
    ("xoxe-", 10),
    ("xoxe.", 10),
    ("xapp-", 10),
    // OpenAI, Anthropic and others that make models.
    ("sk-", 20),
    ("hf_", 30),
    ("gsk_", 30),
    ("xai-", 30),
    ("pplx-", 30),
    ("r8_", 30),
    ("lsv2_", 30),
    ("pcsk_", 30),
    // Payments.
    ("sk_live_", 16),
    ("sk_test_", 16),
    ("rk_live_", 16),
    ("rk_test_", 16),
    ("whsec_", 16),
    ("sq0atp-", 20),
    ("sq0csp-", 20),
    ("shpat_", 30),
    ("shpca_", 30),
    ("shppa_", 30),
    ("shpss_", 30),
    // Google.
    ("AIza", 30),
    ("ya29.", 20),
    ("GOCSPX-", 20),
    // Registries.
    ("npm_", 30),
    ("pypi-", 30),
    ("rubygems_", 30),
    ("dckr_pat_", 20),
    ("dckr_oat_", 20),
    // Clouds, vaults and what runs in them.
    ("hvs.", 20),
    ("hvb.", 20),
    ("hvr.", 20),
    ("dop_v1_", 30),
    ("doo_v1_", 30),
    ("dor_v1_", 30),
    ("dapi", 32),
    ("dp.pt.", 30),
    ("dp.st.", 30),
    ("pscale_tkn_", 30),
    ("pscale_pw_", 30),
    ("pul-", 40),
    ("tskey-", 20),
    ("ops_eyJ", 30),
    ("sbp_", 30),
    ("sb_secret_", 20),
    ("nfp_", 30),
    ("fm2_", 30),
    ("HRKU-", 30),
    ("CCIPAT_", 20),
    ("bkua_", 30),
    ("NRAK-", 20),
    ("glc_", 30),
    ("glsa_", 30),
    ("sntrys_", 30),
    ("sntryu_", 30),
    // Mail and office.
    ("SG.", 30),
    ("xkeysib-", 30),
    ("key-", 32),
    ("lin_api_", 30),
    ("ntn_", 30),
    ("secret_", 40),
    ("PMAK-", 30),
    ("figd_", 30),
    ("EAACEdEose0cBA", 10),
    // Keys of files, and Placet itself.
    ("AGE-SECRET-KEY-1", 30),
    ("plt_agent_", 16),
    ("plt_api_", 16),
    ("plt_session_", 16),
    ("plt_link_", 16),
];

/// Marks of password hashes, which stand between dollar signs.
const HASHES: &[&str] = &["1$", "5$", "6$", "y$", "gy$", "2a$", "2b$", "2y$", "7$", "argon2i$", "argon2id$", "scrypt$"];

/// The secret that begins at a word, or has that word near its beginning.
pub(super) fn find(text: &str, at: usize, aws_key: bool) -> Option<Span> {
    let bytes = text.as_bytes();
    private_key(text, at)
        .or_else(|| putty_key(text, at))
        .or_else(|| aws_key_id(text, at))
        .or_else(|| prefixed(text, at))
        .or_else(|| web_token(bytes, at))
        .or_else(|| password_hash(text, at))
        .or_else(|| bot_token(bytes, at))
        .or_else(|| twilio_key(bytes, at))
        .or_else(|| azure_secret(bytes, at))
        .or_else(|| aws_secret(bytes, at, aws_key))
}

pub(super) fn aws_key_id(text: &str, at: usize) -> Option<Span> {
    const LENGTH: usize = 20;
    let rest = &text[at..];
    let end = at + LENGTH;
    let long = (rest.starts_with("AKIA") || rest.starts_with("ASIA"))
        && run_within(text.as_bytes(), at, LENGTH + 1, |b| b.is_ascii_uppercase() || b.is_ascii_digit()) == end
        && !text.as_bytes().get(end).is_some_and(|&b| is_word(b));
    long.then_some(Span { start: at, end })
}

/// 40 characters of base64. Near an access key id all that are mixed are taken for its secret; elsewhere those that
/// are as irregular as random ones: not paths, not names in camel case. A SHA-1 in hex has no capitals.
fn aws_secret(bytes: &[u8], at: usize, near_key_id: bool) -> Option<Span> {
    const LENGTH: usize = 40;
    let class = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'+');
    let start = run_start(bytes, at, LENGTH, |b| matches!(b, b'/' | b'+'));
    if start > 0 && class(bytes[start - 1]) {
        return None;
    }
    let end = run_within(bytes, start, LENGTH + 1, class);
    let run = &bytes[start..end];
    let mixed = run.iter().any(u8::is_ascii_uppercase)
        && run.iter().any(u8::is_ascii_lowercase)
        && run.iter().any(u8::is_ascii_digit);
    let joins = |b: Option<&u8>| b.is_some_and(|b| matches!(b, b'-' | b'_' | b'.'));
    let alone = !joins(bytes.get(end).filter(|_| bytes.get(end + 1).is_some_and(|&b| class(b))))
        && bytes.get(end) != Some(&b'=')
        && !(start > 0 && joins(bytes.get(start - 1)));
    (run.len() == LENGTH && mixed && (near_key_id || (alone && irregular(run)))).then_some(Span { start, end })
}

/// Whether the sorts of character change as often as in random text, and few words stand in it. The key of AWS's
/// documentation is written to be read, and stands in every demonstration.
fn irregular(run: &[u8]) -> bool {
    let sort = |b: u8| (b.is_ascii_uppercase(), b.is_ascii_lowercase(), b.is_ascii_digit());
    let parts = run.chunk_by(|&a, &b| sort(a) == sort(b));
    let (count, in_words) = parts.fold((0, 0), |(count, in_words), part| {
        let word = part[0].is_ascii_alphabetic() && part.len() >= 4;
        (count + 1, in_words + if word { part.len() } else { 0 })
    });
    let others = run.iter().filter(|b| !b.is_ascii_alphabetic()).count();
    let few_words = in_words * 3 < run.len() || (others >= 3 && in_words * 2 < run.len());
    (count * 3 > run.len() && few_words) || run.ends_with(b"EXAMPLEKEY")
}

/// Whether a text has what random ones have: a digit, or both cases.
pub(super) fn is_random(bytes: &[u8]) -> bool {
    bytes.iter().any(u8::is_ascii_digit)
        || (bytes.iter().any(u8::is_ascii_uppercase) && bytes.iter().any(u8::is_ascii_lowercase))
}

fn prefixed(text: &str, at: usize) -> Option<Span> {
    // Shorter than the shortest token: most words end here.
    const SHORTEST: usize = 15;
    let inside = |b: u8| is_token(b) || b == b'.';
    if run_within(text.as_bytes(), at, SHORTEST, inside) < at + SHORTEST {
        return None;
    }
    let rest = &text[at..];
    step(PREFIXES.len());
    let (prefix, fewest) = PREFIXES.iter().find(|(prefix, _)| rest.starts_with(prefix))?;
    // "task-…" holds "sk-", "risk-…" too: only a whole word may begin a token.
    if at > 0 && text.as_bytes()[at - 1] == b'-' {
        return None;
    }
    let body = at + prefix.len();
    let end = run_end(text.as_bytes(), body, inside);
    (end - body >= *fewest && is_random(&text.as_bytes()[body..end])).then_some(Span { start: at, end })
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
    let dashes = if text[..at].ends_with("-----") { "-----" } else { "---- " };
    if !text[..at].ends_with(dashes) {
        return None;
    }
    let label = &rest[..rest.floor_char_boundary(LABEL)];
    let label = label.split("----").next().filter(|l| l.contains("PRIVATE KEY"))?;
    // What is searched is covered, so nothing is searched twice.
    let footer = if dashes == "-----" { format!("-----END {label}-----") } else { format!("---- END {label}----") };
    let end = rest.find(&footer).map_or(text.len(), |found| text.len() - rest.len() + found + footer.len());
    step(end - at);
    Some(Span { start: at - dashes.len(), end })
}

/// The private half of a key as PuTTY writes it: everything behind `Private-Lines: 14`.
fn putty_key(text: &str, at: usize) -> Option<Span> {
    let rest = text[at..].strip_prefix("Private-Lines:")?;
    let line = rest.get(..rest.floor_char_boundary(12))?.find('\n')?;
    Some(Span { start: text.len() - rest.len() + line + 1, end: text.len() })
}

/// `$6$salt$…`, as in a shadow file.
fn password_hash(text: &str, at: usize) -> Option<Span> {
    const FEWEST: usize = 20;
    let bytes = text.as_bytes();
    let rest = &text[at..];
    let mark = HASHES.iter().find(|mark| rest.starts_with(*mark))?;
    if at == 0 || bytes[at - 1] != b'$' {
        return None;
    }
    let end = run_end(bytes, at, |b| is_word(b) || b"$./+=,-".contains(&b));
    (end - at - mark.len() >= FEWEST).then_some(Span { start: at - 1, end })
}

/// A bot's token: Telegram's `number:35 characters`, Discord's three parts divided by dots.
fn bot_token(bytes: &[u8], at: usize) -> Option<Span> {
    const LONGEST: usize = 80;
    let id = run_within(bytes, at, LONGEST, is_token);
    let part = |from: usize| run_within(bytes, from, LONGEST, is_token);
    match bytes.get(id)? {
        b':' => {
            let start = if bytes[at..].starts_with(b"bot") { at + 3 } else { at };
            let digits = id - start;
            let number = (8..=11).contains(&digits) && bytes[start..id].iter().all(u8::is_ascii_digit);
            let end = part(id + 1);
            (number && end - id - 1 == 35).then_some(Span { start, end })
        }
        b'.' if (23..=28).contains(&(id - at)) && matches!(bytes[at], b'M' | b'N' | b'O') => {
            let middle = part(id + 1);
            let end = part(middle + 1);
            let fits =
                middle - id - 1 == 6 && bytes.get(middle) == Some(&b'.') && (27..=40).contains(&(end - middle - 1));
            fits.then_some(Span { start: at, end })
        }
        _ => None,
    }
}

/// `SK` and 32 hexadecimal digits.
fn twilio_key(bytes: &[u8], at: usize) -> Option<Span> {
    const LENGTH: usize = 34;
    if !bytes[at..].starts_with(b"SK") {
        return None;
    }
    let end = run_within(bytes, at + 2, LENGTH, |b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    (end - at == LENGTH && !bytes.get(end).is_some_and(|&b| is_word(b))).then_some(Span { start: at, end })
}

/// A client secret of Microsoft Entra: three characters, a digit, `Q~`, and about thirty more.
fn azure_secret(bytes: &[u8], at: usize) -> Option<Span> {
    const MARK: usize = 6;
    let class = |b: u8| is_token(b) || matches!(b, b'~' | b'.');
    let head = bytes.get(at..at + MARK)?;
    if !(head.ends_with(b"Q~") && head[3].is_ascii_digit()) {
        return None;
    }
    let end = run_within(bytes, at, 48, class);
    (36..=44).contains(&(end - at)).then_some(Span { start: at, end })
}

/// The credentials behind `Bearer` or `Basic`.
pub(super) fn bearer(text: &str, at: usize) -> Option<Span> {
    let bytes = text.as_bytes();
    let word = bytes.get(at..run_within(bytes, at, 7, is_word))?;
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
