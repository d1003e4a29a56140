//! Proof that something was written here: HMAC-SHA-256 under a key that is not in the database, so that whoever can
//! edit rows still cannot release a call, become a person, or give anybody a right.
//!
//! Every use has a domain of its own, the first part of what is sealed.

mod calls;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

pub use calls::Standing;

use crate::call::Digest;
use crate::clock::Entropy;
use crate::durable;

/// The key's file in the data folder: 32 random bytes, and once the accounts of the database are sealed 32 more that
/// say so, made with the key. So nothing that is done to the database makes Placet seal what somebody else wrote.
const FILE: &str = "seal.key";

/// The key of the seals. Clones share the eras that they know of.
#[derive(Clone)]
pub struct Seal {
    key: [u8; 32],
    eras: Arc<RwLock<Vec<Era>>>,
}

/// What began when the database was put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Era {
    /// How many entries the log had then.
    pub log: i64,
    /// No other era has it, in whatever became of the database elsewhere.
    pub id: u64,
}

/// A key as its file has it.
#[derive(Debug)]
pub struct Kept {
    /// The key.
    pub seal: Seal,
    /// The accounts were sealed before: none without a seal is sealed again, ever.
    pub marked: bool,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

impl Seal {
    /// A seal with this key.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self { key, eras: Arc::default() }
    }

    /// From now on these are the times that the database was put back, in that order. Numbers of entries are given again
    /// after that, so a row's seal is bound to the era of the entry that it names.
    pub fn set_eras(&self, eras: Vec<Era>) {
        *self.eras.write().unwrap_or_else(PoisonError::into_inner) = eras;
    }

    /// See [`Seal::set_eras`].
    #[must_use]
    pub fn eras(&self) -> Vec<Era> {
        self.eras.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What a seal that names this entry has besides: nothing until the database was first put back.
    pub(crate) fn era_part(&self, entry: i64) -> Option<Vec<u8>> {
        let eras = self.eras.read().unwrap_or_else(PoisonError::into_inner);
        // The latest that began before the entry gave its number last.
        let era = eras.iter().rev().find(|era| era.log < entry)?;
        Some([b"era".as_slice(), &era.id.to_be_bytes()].concat())
    }

    /// Reads `seal.key` in the data folder, or makes it (mode 0600) if it is not there.
    ///
    /// # Errors
    /// The file cannot be read or made, or holds no key.
    pub fn load_or_create(folder: &Path, entropy: &Entropy) -> io::Result<Self> {
        Ok(Self::load(folder)?.map_or_else(|| Self::create(folder, entropy), Ok)?.seal)
    }

    /// Reads `seal.key` in the data folder; `None` if there is none.
    ///
    /// # Errors
    /// The file cannot be read, or holds no key.
    pub fn load(folder: &Path) -> io::Result<Option<Kept>> {
        let mut bytes = Vec::new();
        match File::open(folder.join(FILE)) {
            Ok(mut file) => file.read_to_end(&mut bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let bad = || io::Error::new(io::ErrorKind::InvalidData, "seal.key holds no key; restore it from a backup");
        let (key, mark) = bytes.split_first_chunk::<32>().ok_or_else(bad)?;
        let seal = Self::new(*key);
        let marked = mark == seal.mark_bytes();
        if marked || mark.is_empty() { Ok(Some(Kept { seal, marked })) } else { Err(bad()) }
    }

    /// Makes `seal.key`, marked: whatever is in the database without a seal was not written with this key.
    ///
    /// # Errors
    /// The file cannot be made, or is there.
    pub fn create(folder: &Path, entropy: &Entropy) -> io::Result<Kept> {
        let seal = Self::new(entropy.bytes::<32>());
        if folder.join(FILE).exists() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        seal.mark(folder)?;
        Ok(Kept { seal, marked: true })
    }

    /// Notes in the key's file that the accounts are sealed now.
    ///
    /// # Errors
    /// The file cannot be written; the old one is still there then.
    pub fn mark(&self, folder: &Path) -> io::Result<()> {
        durable::replace(&folder.join(FILE), &[self.key, self.mark_bytes()].concat(), 0o600)
    }

    fn mark_bytes(&self) -> [u8; 32] {
        self.mac([b"placet/accounts-are-sealed/v1".as_slice()]).0
    }

    /// Names the key without telling it, so that a database knows its own.
    #[must_use]
    pub fn id(&self) -> Digest {
        self.mac([b"placet/key-id/v1".as_slice()])
    }

    /// What is stored of a secret that somebody carries, given its SHA-256: without the key nobody makes a row that a
    /// secret of theirs would fit.
    #[must_use]
    pub fn keyed(&self, hash: &Digest) -> Digest {
        self.mac([b"placet/token/v1".as_slice(), &hash.0])
    }

    /// Over these parts, each with its length before it; the first is the domain.
    #[must_use]
    pub fn mac<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> Digest {
        // HMAC takes a key of any length, so this cannot fail; an all-zero digest would match nothing.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else { return Digest([0; 32]) };
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        Digest(mac.finalize().into_bytes().into())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_key_is_made_once_and_is_ours_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let first = Seal::load_or_create(folder.path(), &Entropy::seeded(1)).unwrap();
        let again = Seal::load_or_create(folder.path(), &Entropy::seeded(2)).unwrap();
        assert_eq!(first.key, again.key);
        let key = folder.path().join(FILE);
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        for bad in [&b"short"[..], &[7; 33], &[7; 64]] {
            fs::write(&key, bad).unwrap();
            assert!(Seal::load_or_create(folder.path(), &Entropy::seeded(3)).is_err());
        }
    }

    #[test]
    fn an_entry_belongs_to_the_era_that_gave_its_number_last() {
        let seal = Seal::new([7; 32]);
        assert_eq!(seal.era_part(1), None);
        // Put back to 10 entries, then to 4, then to 20.
        seal.set_eras([(10, 1), (4, 2), (20, 3)].into_iter().map(|(log, id)| Era { log, id }).collect());
        let parts: Vec<_> = [1, 4, 5, 10, 11, 20, 21].into_iter().map(|entry| seal.era_part(entry)).collect();
        assert_eq!((&parts[0], &parts[1]), (&None, &None));
        assert!(parts[2].is_some() && parts[2..6].iter().all(|part| *part == parts[2]) && parts[6] != parts[2]);
    }

    #[test]
    fn a_key_of_before_is_marked_once_the_accounts_are_sealed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), [7; 32]).unwrap();
        let kept = Seal::load(folder.path()).unwrap().unwrap();
        assert!(!kept.marked);
        kept.seal.mark(folder.path()).unwrap();
        let kept = Seal::load(folder.path()).unwrap().unwrap();
        assert!(kept.marked && kept.seal.key == [7; 32]);
    }
}
