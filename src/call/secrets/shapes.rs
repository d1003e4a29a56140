//! Which pieces of a text look like a secret, whatever they are called. One pass over the words: every rule either
//! covers what it has read or has read a bounded number of neighbours. Rules that look at more than a word (command
//! lines, markup, indented blocks, encoded texts) make a pass of their own.

use super::scan::{merged, starts};
use super::{Look, Span, assigned, blocks, commands, encoded, issued, markup, scan, tables, urls};

/// Whether an AWS access key id stands in the text.
pub(super) fn mentions_aws_key(text: &str) -> bool {
    starts(text.as_bytes(), scan::is_word).any(|at| issued::aws_key_id(text, at).is_some())
}

/// The places to cover, ascending, apart from each other.
pub(super) fn find(text: &str, look: Look) -> Vec<Span> {
    let mut found = words(text, look.aws_key);
    found.extend(commands::find(text));
    found.extend(markup::find(text));
    found.extend(blocks::find(text));
    found.extend(tables::find(text));
    found.extend(encoded::find(text, look));
    merged(text, found)
}

/// What a word and its neighbours tell. With `aws_key` also runs of 40 characters, which is how AWS secret keys look.
fn words(text: &str, aws_key: bool) -> Vec<Span> {
    let bytes = text.as_bytes();
    let mut found: Vec<Span> = Vec::new();
    let mut pairs = assigned::Pairs::default();
    let mut free_from = 0;
    for at in starts(bytes, scan::is_word) {
        if at < free_from {
            continue;
        }
        let hit = issued::find(text, at, aws_key)
            .or_else(|| urls::find(text, at))
            .or_else(|| issued::bearer(text, at))
            .or_else(|| assigned::find(text, at, &mut pairs));
        if let Some(Span { start, end }) = hit {
            found.push(Span { start: start.max(free_from), end });
            free_from = end;
        }
    }
    found
}
