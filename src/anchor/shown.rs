//! A place as people may see it: what could open something is covered.

use reqwest::Url;

use crate::call::secrets;

/// A command line longer than this is cut, in characters.
const LONGEST: usize = 160;
/// A part of a path that mixes letters and digits is a secret from this length on, in bytes: webhooks are made so.
const OPAQUE: usize = 20;

/// Program and arguments, secrets covered.
pub(super) fn command(words: &[String]) -> String {
    // As JSON, so that `["--token", "x"]` is known for what it is.
    let masked = serde_json::to_string(words).map(|list| secrets::mask_json(&list));
    let masked: Vec<String> = masked.ok().and_then(|list| serde_json::from_str(&list).ok()).unwrap_or_default();
    let line = masked.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn quoted(word: &str) -> String {
    if word.is_empty() || word.contains(char::is_whitespace) { format!("'{word}'") } else { word.to_owned() }
}

/// Scheme, host, port and path; whoever it signs in as, and what follows the path, stay out.
pub(super) fn url(text: &str) -> String {
    let Ok(url) = Url::parse(text) else { return "a URL that cannot be read".to_owned() };
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let path: Vec<_> = url.path().split('/').map(|part| if is_opaque(part) { secrets::MASK } else { part }).collect();
    let query = if url.query().is_some() { "?…" } else { "" };
    secrets::mask_text(&format!("{}://{host}{port}{}{query}", url.scheme(), path.join("/")))
}

fn is_opaque(part: &str) -> bool {
    part.len() >= OPAQUE
        && part.bytes().any(|byte| byte.is_ascii_digit())
        && part.bytes().any(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_told_from_others_and_gives_nothing_away() {
        for (given, seen) in [
            ("https://w.example/notes/b", "https://w.example/notes/b"),
            ("https://w.example:8443/", "https://w.example:8443/"),
            ("https://user:hunter2@w.example/notes", "https://w.example/notes"),
            ("https://w.example/notes?sig=hunter2#hunter2", "https://w.example/notes?…"),
            ("https://h.example/services/T00/hunter2hunter2hunter2abc", "https://h.example/services/T00/••• masked"),
            ("hunter2", "a URL that cannot be read"),
        ] {
            assert_eq!(url(given), seen);
        }
        for (given, seen) in [
            (&["/opt/keep", "--slot", "b"][..], "/opt/keep --slot b"),
            (&["keep", "--token", "hunter2"], "keep --token '••• masked'"),
            (&["keep", "--token=hunter2", ""], "keep '--token=••• masked' ''"),
            (&["keep", "ghp_0123456789abcdefghijklmnopqrstuvwxyz"], "keep '••• masked'"),
        ] {
            assert_eq!(command(&given.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()), seen);
        }
        let long = command(&["sh".to_owned(), "-c".to_owned(), "é".repeat(500)]);
        assert!(long.starts_with("sh -c é") && long.ends_with("é…") && long.chars().count() == LONGEST + 1, "{long}");
    }
}
