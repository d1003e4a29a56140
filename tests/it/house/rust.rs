//! Finds the paths that a Rust source names: enough of the language to pass over comments, text and inline modules.

use super::LIBRARIES;

/// A path's first segment that matters, and where it stands.
pub(super) struct Used {
    pub(super) root: Root,
    pub(super) line: usize,
}

pub(super) enum Root {
    /// A module (or item) at this crate's root; `*` for all of them.
    Ours(String),
    /// One of [`LIBRARIES`].
    Library(String),
}

/// The module path of a file: `src/call/held.rs` is `call::held`, `src/lib.rs` and `src/main.rs` are the root.
pub(super) fn module_of(path: &str) -> Vec<String> {
    let inner = path.trim_start_matches("src/").trim_end_matches(".rs");
    let mut parts: Vec<_> = inner.split('/').map(str::to_owned).collect();
    let last = parts.last().map(String::as_str);
    if last == Some("mod") || (parts.len() == 1 && matches!(last, Some("lib" | "main"))) {
        parts.pop();
    }
    parts
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    /// `::`
    Sep,
    Sign(char),
}

/// All paths of `source` that start at this crate's root or at one of [`LIBRARIES`].
pub(super) fn paths(module: &[String], source: &str) -> Vec<Used> {
    let tokens = tokens(source);
    let token = |at: usize| tokens.get(at).map(|(token, _)| token);
    let is_word = |at: usize, word: &str| matches!(token(at), Some(Token::Word(found)) if found == word);
    let mut inline: Vec<Option<String>> = Vec::new();
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        let (now, line) = &tokens[at];
        let word = match now {
            Token::Sign('{') => {
                let name = at.checked_sub(2).filter(|&before| is_word(before, "mod")).and_then(|_| token(at - 1));
                inline.push(match name {
                    Some(Token::Word(name)) => Some(name.clone()),
                    _ => None,
                });
                continue;
            }
            Token::Sign('}') => {
                inline.pop();
                continue;
            }
            Token::Word(word) if starts_a_path(&tokens, at) => word,
            _ => continue,
        };
        let goes_on = token(at + 1) == Some(&Token::Sep);
        if LIBRARIES.iter().any(|(library, _)| library == word) {
            if goes_on || at.checked_sub(1).is_some_and(|before| is_word(before, "use")) {
                found.push(Used { root: Root::Library(word.clone()), line: *line });
            }
        } else if goes_on && (word == "crate" || word == "super" || word == "self") {
            let mut here: Vec<&String> = module.iter().chain(inline.iter().flatten()).collect();
            let mut next = at;
            if word == "crate" {
                here.clear();
                next += 2;
            }
            while (is_word(next, "super") || is_word(next, "self")) && token(next + 1) == Some(&Token::Sep) {
                if is_word(next, "super") {
                    here.pop();
                }
                next += 2;
            }
            if here.is_empty() {
                let names = heads(&tokens, next);
                found.extend(names.into_iter().map(|(name, line)| Used { root: Root::Ours(name), line }));
            }
        }
    }
    found
}

/// Whether no `something::` stands before the token; a leading `::` does not count.
fn starts_a_path(tokens: &[(Token, usize)], at: usize) -> bool {
    let before = |steps: usize| at.checked_sub(steps).map(|at| &tokens[at].0);
    before(1) != Some(&Token::Sep) || !matches!(before(2), Some(Token::Word(_) | Token::Sign('>')))
}

/// The names at `at`: one, or those that a `{…}` begins its members with.
fn heads(tokens: &[(Token, usize)], at: usize) -> Vec<(String, usize)> {
    let mut names = Vec::new();
    let mut depth = 0;
    let mut expected = true;
    for (token, line) in &tokens[at.min(tokens.len())..] {
        match token {
            Token::Sign('{') => depth += 1,
            Token::Sign('}') => depth -= 1,
            Token::Sign(',') if depth == 1 => expected = true,
            Token::Word(name) if expected => {
                names.push((name.clone(), *line));
                expected = false;
            }
            Token::Sign('*') if expected => {
                names.push(("*".to_owned(), *line));
                expected = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

/// The words and signs of a source with their lines; comments, text and numbers are left out.
fn tokens(source: &str) -> Vec<(Token, usize)> {
    let mut found = Vec::new();
    let (mut rest, mut line) = (source, 1);
    while let Some(first) = rest.chars().next() {
        let taken = if let Some(length) = skipped(rest) {
            length
        } else if first.is_alphanumeric() || first == '_' {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            found.push((Token::Word(rest[..length].to_owned()), line));
            length
        } else if rest.starts_with("::") {
            found.push((Token::Sep, line));
            2
        } else {
            if !first.is_whitespace() {
                found.push((Token::Sign(first), line));
            }
            first.len_utf8()
        };
        line += rest[..taken].matches('\n').count();
        rest = &rest[taken..];
    }
    found
}

/// The length of the comment, text, character or lifetime that `rest` begins with, if it does.
fn skipped(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment(rest));
    }
    let raw = rest.strip_prefix("br").or_else(|| rest.strip_prefix("cr")).or_else(|| rest.strip_prefix('r'));
    if let Some(raw) = raw {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if let Some(text) = raw[hashes..].strip_prefix('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let length = text.find(&end).map_or(text.len(), |found| found + end.len());
            return Some(rest.len() - text.len() + length);
        }
    }
    let text = rest.strip_prefix(['b', 'c']).unwrap_or(rest);
    if text.starts_with('"') {
        return Some(rest.len() - text.len() + quoted(text, '"'));
    }
    if let Some(after) = text.strip_prefix('\'') {
        let mut after = after.chars();
        let (first, second) = (after.next(), after.next());
        // 'a' and '\n' are characters, 'a is a lifetime.
        let character = first == Some('\\') || second == Some('\'');
        return character.then(|| rest.len() - text.len() + quoted(text, '\'')).or(Some(rest.len() - text.len() + 1));
    }
    None
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let step = match &rest.as_bytes()[at..] {
            [b'/', b'*', ..] => {
                depth += 1;
                2
            }
            [b'*', b'/', ..] => {
                depth -= 1;
                2
            }
            _ => 1,
        };
        at += step;
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of the text that begins with `quote`, to its closing one.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == quote && !escaped {
            return at + c.len_utf8();
        }
        escaped = c == '\\' && !escaped;
    }
    text.len()
}
