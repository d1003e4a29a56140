//! The keys of the log: `audit.key` in the data folder holds the private one, `audit.pub` every public one, and the log
//! says which is in force.
//!
//! While a key is replaced, `audit.key` holds two lines, the old one first: which of them counts is what the log says,
//! so that a crash at any moment of it leaves a key that fits.

use std::path::{Path, PathBuf};

use super::{NotaryError, files};
use crate::audit::note::{SigningKey, VerifyingKey};
use crate::durable;
use crate::store::LogEntry;

/// The private key's file.
pub(super) const PRIVATE: &str = "audit.key";
/// The public keys' file.
pub(super) const PUBLIC: &str = "audit.pub";

/// The private keys of this folder, none to two.
pub(super) fn private(folder: &Path) -> Result<Vec<SigningKey>, NotaryError> {
    let path = folder.join(PRIVATE);
    let refuse = |problem: String| NotaryError::Key { path: path.clone(), problem };
    let Some(content) = files::read_secret(&path).map_err(refuse)? else { return Ok(Vec::new()) };
    let damaged = || refuse("is damaged; restore it from a backup".to_owned());
    let text = String::from_utf8(content).map_err(|_| damaged())?;
    let keys: Vec<_> = text.lines().map(SigningKey::parse).collect::<Result<_, _>>().map_err(|_| damaged())?;
    if keys.is_empty() || keys.len() > 2 { Err(damaged()) } else { Ok(keys) }
}

pub(super) fn write_private(folder: &Path, keys: &[&SigningKey]) -> Result<(), NotaryError> {
    let path = folder.join(PRIVATE);
    let text: String = keys.iter().map(|key| key.to_secret_line() + "\n").collect();
    durable::replace(&path, text.as_bytes(), 0o600).map_err(|error| NotaryError::File { path, error })
}

/// The public keys of this folder, oldest first; none where there is no such file.
pub(super) fn public(folder: &Path) -> Result<Vec<VerifyingKey>, NotaryError> {
    let path = folder.join(PUBLIC);
    let content = files::read(&path).map_err(|error| NotaryError::File { path: path.clone(), error })?;
    let Some(content) = content else { return Ok(Vec::new()) };
    let text = String::from_utf8(content).ok();
    text.and_then(|text| VerifyingKey::parse_all(&text).ok()).ok_or_else(|| NotaryError::Key {
        path,
        problem: "is damaged; move it away, and it is written anew from the log".to_owned(),
    })
}

pub(super) fn write_public(folder: &Path, keys: &[VerifyingKey]) -> Result<(), NotaryError> {
    let path: PathBuf = folder.join(PUBLIC);
    durable::replace(&path, lines(keys).as_bytes(), 0o644).map_err(|error| NotaryError::File { path, error })
}

/// Public keys as their file has them.
pub(super) fn lines(keys: &[VerifyingKey]) -> String {
    keys.iter().map(|key| format!("{key}\n")).collect()
}

/// The public keys that the log names, oldest first; the last one is in force.
pub(super) fn of_log(entries: &[LogEntry]) -> Result<Vec<VerifyingKey>, NotaryError> {
    let mut keys = Vec::new();
    for entry in entries {
        let named: &[&str] = match entry.kind.as_str() {
            "log.key_made" => &["vkey"],
            "log.key_rotated" => &["old", "new"],
            _ => continue,
        };
        for name in named {
            let text = entry.detail[*name].as_str().unwrap_or_default();
            let key = VerifyingKey::parse(text).map_err(|_| NotaryError::BadEntry(entry.seq))?;
            // One that comes into force again stands last.
            keys.retain(|known| *known != key);
            keys.push(key);
        }
    }
    Ok(keys)
}
