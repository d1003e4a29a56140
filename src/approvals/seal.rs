//! Proof that a vote was cast and an approval given here: HMAC-SHA-256 under a key that is not in the database, so
//! that whoever can edit rows still cannot release a call.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::call::{Approver, Digest, HeldCall, Millis, StoredVote, Submission, Vote};
use crate::clock::Entropy;
use crate::durable;

/// The key of the seals.
#[derive(Clone)]
pub struct Seal([u8; 32]);

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

impl Seal {
    /// A seal with this key.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// Reads `seal.key` in the data folder, or makes it (mode 0600) if it is not there.
    ///
    /// # Errors
    /// The file cannot be read or made, or does not hold 32 bytes.
    pub fn load_or_create(folder: &Path, entropy: &Entropy) -> io::Result<Self> {
        let path = folder.join("seal.key");
        match fs::File::open(&path) {
            Ok(mut file) => {
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes)?;
                let key = bytes.try_into().map_err(|_| {
                    io::Error::new(
                        io::ErrorKind::InvalidData,
                        "seal.key does not hold 32 bytes; restore it from a backup",
                    )
                })?;
                Ok(Self(key))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = entropy.bytes::<32>();
                durable::replace(&path, &key, 0o600)?;
                Ok(Self(key))
            }
            Err(error) => Err(error),
        }
    }

    fn mac<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> Digest {
        // HMAC takes a key of any length, so this cannot fail; an all-zero digest would match nothing.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return Digest([0; 32]) };
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        Digest(mac.finalize().into_bytes().into())
    }

    /// Over the call's digest and the terms on which it was held: what the policy asked, whose agent it is, which part
    /// of it reviewers are shown as its arguments.
    ///
    /// # Errors
    /// The terms cannot be written as JSON.
    pub fn held(&self, call: &Submission) -> serde_json::Result<Digest> {
        // Read from the database and written again it is the same text, as long as a field that is added to the
        // requirement later leaves no trace where it is not used.
        let terms = serde_json::to_vec(&(
            &call.requirement,
            &call.agent.name,
            &call.agent.owner,
            call.era,
            call.arguments_at,
            &call.same_call,
            &call.rule,
            &call.client,
            call.created_at.0,
        ))?;
        Ok(self.mac([b"placet/held/v1".as_slice(), &call.digest().0, &terms]))
    }

    /// Whether this call stands as it was held here.
    #[must_use]
    pub fn is_as_held(&self, call: &HeldCall) -> bool {
        let proof = self.held(&call.submission);
        call.held_mac.zip(proof.ok()).is_some_and(|(mac, proof)| mac.matches(&proof))
    }

    /// Over the call's digest and everything the vote says.
    #[must_use]
    pub fn vote(&self, call: &Digest, vote: &Vote) -> Digest {
        self.mac([
            b"placet/vote/v1".as_slice(),
            &call.0,
            vote.verdict.as_str().as_bytes(),
            vote.by.0.as_bytes(),
            &vote.at.0.to_be_bytes(),
            vote.reason.as_bytes(),
        ])
    }

    /// Over the call's digest, who approved, when, and until when.
    #[must_use]
    pub fn approval(&self, call: &Digest, by: &Approver, at: Millis, usable_until: Millis) -> Digest {
        let (at, until) = (at.0.to_be_bytes(), usable_until.0.to_be_bytes());
        let mut parts: Vec<&[u8]> = vec![b"placet/approval/v1", &call.0, &at, &until];
        match by {
            Approver::Policy => parts.push(b"policy"),
            Approver::Reviewers(votes) => parts.extend(votes.iter().map(|vote| vote.by.0.as_bytes().as_slice())),
        }
        self.mac(parts)
    }

    /// Whether this vote was cast here, on this call.
    #[must_use]
    pub fn is_genuine(&self, call: &Digest, stored: &StoredVote) -> bool {
        self.vote(call, &stored.vote).matches(&stored.mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{Email, ReviewerId, Verdict};
    use uuid::Uuid;

    #[test]
    fn any_changed_fact_breaks_the_seal() {
        let seal = Seal::new([1; 32]);
        let call = Digest([2; 32]);
        let vote = Vote { verdict: Verdict::Reject, by: ReviewerId(Uuid::nil()), at: Millis(7), reason: "no".into() };
        let mac = seal.vote(&call, &vote);
        let by_email = Email::parse("mira@example.com").unwrap();
        let stored = StoredVote { vote: vote.clone(), by_email, mac };
        assert!(seal.is_genuine(&call, &stored));
        assert!(!seal.is_genuine(&Digest([3; 32]), &stored));
        assert!(!Seal::new([9; 32]).is_genuine(&call, &stored));
        for changed in [
            Vote { verdict: Verdict::Approve, ..vote.clone() },
            Vote { by: ReviewerId(Uuid::max()), ..vote.clone() },
            Vote { at: Millis(8), ..vote.clone() },
            Vote { reason: "yes".into(), ..vote.clone() },
        ] {
            assert!(!seal.is_genuine(&call, &StoredVote { vote: changed, ..stored.clone() }));
        }
    }

    #[test]
    fn the_key_is_made_once_and_is_ours_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let first = Seal::load_or_create(folder.path(), &Entropy::seeded(1)).unwrap();
        let again = Seal::load_or_create(folder.path(), &Entropy::seeded(2)).unwrap();
        assert_eq!(first.0, again.0);
        let key = folder.path().join("seal.key");
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&key, b"short").unwrap();
        assert!(Seal::load_or_create(folder.path(), &Entropy::seeded(3)).is_err());
    }
}
