//! Where to go after signing in: a path of this site, never another one.

/// Longest path that is carried along, in bytes.
const LONGEST: usize = 1000;

/// The path if it leads to a page of ours, else the queue.
#[must_use]
pub fn local_path(next: &str) -> &str {
    let second = next.as_bytes().get(1);
    let local = next.starts_with('/')
        && !matches!(second, Some(b'/' | b'\\'))
        && next.len() <= LONGEST
        && next.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
        && !next.starts_with("/login")
        && !next.starts_with("/logout");
    if local { next } else { "/" }
}

/// The sign-in page that comes back to `next`.
#[must_use]
pub fn login_then(next: &str) -> String {
    match local_path(next) {
        "/" => "/login".to_owned(),
        path => format!("/login?next={}", query_value(path)),
    }
}

/// Text as the value of a query parameter.
#[must_use]
pub fn query_value(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'/') {
            out.push(char::from(byte));
        } else {
            // Writing into a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leads_nowhere_else() {
        for good in ["/", "/calls/1?prepare=approve", "/audit?from=2026-11-22T14:02"] {
            assert_eq!(local_path(good), good);
        }
        let long = format!("/{}", "x".repeat(LONGEST));
        for bad in [
            "",
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "/\\/evil",
            "javascript:alert(1)",
            "calls/1",
            "/x\r\nSet-Cookie: a=b",
            "/a b",
            "/login?next=/login",
            "/logout",
            "/\t/evil.example",
            "/é",
            &long,
        ] {
            assert_eq!(local_path(bad), "/", "{bad:?}");
        }
    }

    #[test]
    fn comes_back_whole() {
        assert_eq!(login_then("/calls/1?prepare=approve&x=y"), "/login?next=/calls/1%3Fprepare%3Dapprove%26x%3Dy");
        assert_eq!(login_then("//evil.example"), "/login");
    }
}
