//! Style, scripts and icons, embedded in the binary under addresses that name their content.
//!
//! `/assets/<stem>.<hash>.<extension>` never changes what it means, so browsers keep it for ever.

use std::fmt::Write as _;
use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};

/// The JSON Schema (draft 7) of policy files, for editors. It knows a file's shape; the policy's own reader knows more.
pub const POLICY_SCHEMA: &str = include_str!("../../static/policy.schema.json");

/// An embedded file.
#[derive(Debug, Clone, Copy)]
pub struct Asset {
    /// Its content.
    pub bytes: &'static [u8],
    /// For `Content-Type`.
    pub content_type: &'static str,
    /// For `ETag`, quotation marks included.
    pub etag: &'static str,
}

/// The files there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum File {
    /// The style of every page.
    Css,
    /// Symbols, used with `<use href="…#name">`.
    Icons,
    /// The picture in the browser's tab.
    Favicon,
    /// Live updates.
    Live,
    /// Countdowns.
    Countdown,
    /// Keyboard.
    Keys,
    /// Typed reasons that survive signing in again.
    Draft,
}

struct Entry {
    stem: &'static str,
    extension: &'static str,
    bytes: &'static [u8],
}

const CSS: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";
const JS: &str = "text/javascript; charset=utf-8";

static FILES: [Entry; 7] = [
    Entry { stem: "placet", extension: "css", bytes: include_bytes!("../../static/placet.css") },
    Entry { stem: "icons", extension: "svg", bytes: include_bytes!("../../static/icons.svg") },
    Entry { stem: "favicon", extension: "svg", bytes: include_bytes!("../../static/favicon.svg") },
    Entry { stem: "live", extension: "js", bytes: include_bytes!("../../static/live.js") },
    Entry { stem: "countdown", extension: "js", bytes: include_bytes!("../../static/countdown.js") },
    Entry { stem: "keys", extension: "js", bytes: include_bytes!("../../static/keys.js") },
    Entry { stem: "draft", extension: "js", bytes: include_bytes!("../../static/draft.js") },
];

struct Address {
    url: String,
    etag: String,
}

static ADDRESSES: LazyLock<[Address; FILES.len()]> = LazyLock::new(|| {
    FILES.each_ref().map(|entry| {
        let mut hash = String::new();
        for byte in &Sha256::digest(entry.bytes)[..8] {
            // Writing into a String cannot fail.
            let _ = write!(hash, "{byte:02x}");
        }
        Address { url: format!("/assets/{}.{hash}.{}", entry.stem, entry.extension), etag: format!("\"{hash}\"") }
    })
});

/// The address of a file, for templates.
#[must_use]
pub fn url(file: File) -> &'static str {
    // The table has one row for each variant, in its order: the test compares them.
    &ADDRESSES[file as usize].url
}

/// The file at a path such as `/assets/placet.0123456789abcdef.css`; `None` for any other path, an
/// older hash included.
#[must_use]
pub fn lookup(path: &str) -> Option<Asset> {
    let at = ADDRESSES.iter().position(|address| address.url == path)?;
    let content_type = match FILES[at].extension {
        "css" => CSS,
        "svg" => SVG,
        _ => JS,
    };
    Some(Asset { bytes: FILES[at].bytes, content_type, etag: &ADDRESSES[at].etag })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_found_under_its_own_address() {
        let names = [
            (File::Css, "placet", "text/css; charset=utf-8"),
            (File::Icons, "icons", "image/svg+xml"),
            (File::Favicon, "favicon", "image/svg+xml"),
            (File::Live, "live", "text/javascript; charset=utf-8"),
            (File::Countdown, "countdown", "text/javascript; charset=utf-8"),
            (File::Keys, "keys", "text/javascript; charset=utf-8"),
            (File::Draft, "draft", "text/javascript; charset=utf-8"),
        ];
        assert_eq!(names.len(), FILES.len());
        for (file, stem, content_type) in names {
            assert!(url(file).starts_with(&format!("/assets/{stem}.")));
            let found = lookup(url(file)).unwrap();
            assert_eq!(found.content_type, content_type);
            assert!(!found.bytes.is_empty() && found.etag.starts_with('"'));
        }
    }

    #[test]
    fn nothing_else_is_found() {
        for path in ["", "/assets/", "/assets/placet.css", "/assets/../Cargo.toml", "placet.css"] {
            assert!(lookup(path).is_none(), "{path}");
        }
    }
}
