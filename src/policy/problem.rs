//! What is wrong with a file that a person wrote: where, why, and what to do about it.

use std::fmt;

use serde::Serialize;

/// Whether a file can be used in spite of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file is not used.
    Error,
    /// The file does what it says, which may not be what was meant.
    Warning,
}

/// One problem of a policy or configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Whether it keeps the file from being used.
    pub severity: Severity,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// JSON Pointer (RFC 6901) of the value; for an unknown key the key's, for a missing one its parent's.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

/// `LINE:COLUMN /pointer: message (hint)`, to be put behind `FILE:`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { severity, line, column, pointer, message, hint } = self;
        let severity = if *severity == Severity::Warning { "warning: " } else { "" };
        write!(f, "{line}:{column} {pointer}: {severity}{message}")?;
        hint.iter().try_for_each(|hint| write!(f, " ({hint})"))
    }
}

/// The known word that `word` was probably meant to be: at most a third of its letters differ.
#[must_use]
pub(crate) fn closest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let word: Vec<char> = word.to_lowercase().chars().take(64).collect();
    known
        .iter()
        .map(|candidate| (distance(&word, &candidate.chars().collect::<Vec<_>>()), *candidate))
        .filter(|(distance, candidate)| *distance <= 1.max(candidate.len() / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let changed = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + changed);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        (before, last) = (last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant_and_nothing_far_fetched() {
        let known = ["allow", "deny", "require_approval", "timeout"];
        for (word, meant) in [
            ("alow", Some("allow")),
            ("Allow", Some("allow")),
            ("dney", Some("deny")),
            ("require-approval", Some("require_approval")),
            ("requires_aproval", Some("require_approval")),
            ("time_out", Some("timeout")),
            ("ask", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(closest(word, &known), meant, "{word}");
        }
    }
}
