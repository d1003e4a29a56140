//! A receipt: what the log tells of one call, proved without the database.
//!
//! A JSON object:
//!
//! - `format`: `placet-receipt/v1`. A reader that knows another number only must refuse it.
//! - `call`: the call's id.
//! - `checkpoint`: a C2SP checkpoint, the signed note byte for byte; its size and root are those of the log then.
//! - `keys`: the vkeys that signed it. Whoever keeps the log's key elsewhere takes that one instead.
//! - `entries`: every entry about the call up to that size, in order. Each has `seq`, its number from 1; `path`, the
//!   inclusion proof of RFC 9162 section 2.1.3 for leaf `seq - 1`, hashes in hex, lowest first; and either `body`, the
//!   stored text, whose UTF-8 bytes give the leaf `SHA-256(0x00 ‖ body)`; or, where something in the text looks like a
//!   secret, `leaf`, that hash in hex, and `covered`, the text with the secret covered, which the proof does not reach.
//!
//! To check it: open the note, compute each leaf and with its path the root, compare with the note's root; each body
//! must name the call and its own number. Arguments and results are never in it: entries have only their hashes. It
//! proves that these entries are in the log, and not that no other one is: `placet audit verify` does that.

use serde::{Deserialize, Serialize};

use super::note::{self, VerifyingKey};
use super::verify::{Finding, ToldFinding, life_of};
use super::{Checkpoint, InclusionProof, Row, Said, SealedEntry, Shown, shown};
use crate::call::{Digest, Millis};

/// The form that is written and read.
pub const FORMAT: &str = "placet-receipt/v1";

/// A receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The form.
    pub format: String,
    /// The call.
    pub call: String,
    /// The signed note.
    pub checkpoint: String,
    /// The keys that signed it.
    pub keys: Vec<String>,
    /// Every entry about the call up to then.
    pub entries: Vec<Proved>,
}

/// An entry with its proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proved {
    /// Its number, from 1.
    pub seq: u64,
    /// Its text.
    #[serde(flatten)]
    pub text: Text,
    /// The hashes beside the way to the root, lowest first.
    pub path: Vec<Digest>,
}

/// The text of an entry in a receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Text {
    /// As it is stored.
    Stored {
        /// The stored bytes.
        body: String,
    },
    /// Without what looks like a secret.
    Covered {
        /// The hash of the stored bytes.
        leaf: Digest,
        /// What may be shown of them.
        covered: String,
    },
}

impl Text {
    /// Of this body.
    #[must_use]
    pub fn of(body: &str) -> Self {
        match shown(body) {
            Shown::AsStored => Self::Stored { body: body.to_owned() },
            Shown::Covered(covered) | Shown::Unreadable(covered) => {
                Self::Covered { leaf: SealedEntry::leaf_of(body.as_bytes()), covered }
            }
        }
    }

    fn leaf(&self) -> Digest {
        match self {
            Self::Stored { body } => SealedEntry::leaf_of(body.as_bytes()),
            Self::Covered { leaf, .. } => *leaf,
        }
    }

    fn shown(&self) -> &str {
        match self {
            Self::Stored { body } => body,
            Self::Covered { covered, .. } => covered,
        }
    }
}

/// Why a receipt proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadReceipt {
    /// Not of this form.
    #[error("this is no receipt that this version reads: {0}")]
    Malformed(String),
    /// Its checkpoint.
    #[error("its checkpoint does not open: {0}")]
    Checkpoint(#[from] super::CheckpointError),
    /// An entry that is not what was signed.
    #[error("entry {0} is not in the log that was signed: it was changed, or never was in it")]
    NotInLog(u64),
    /// An entry about something else, or out of place.
    #[error("entry {0} {1}")]
    Misplaced(u64, &'static str),
    /// Entries that tell what cannot have happened.
    #[error("{0}")]
    Impossible(String),
}

/// What a receipt proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The signed checkpoint.
    pub checkpoint: Checkpoint,
    /// The keys that signed it.
    pub by: Vec<VerifyingKey>,
    /// What the call came to, by its entries; `None` where some of their texts are covered, which proves nothing of it.
    pub state: Option<&'static str>,
    /// Each entry: number, time and kind.
    pub told: Vec<(u64, String, String)>,
    /// What a person found out of an unknown outcome; as little proved as `state` where texts are covered.
    pub finding: Option<ToldFinding>,
    /// Entries of which only the hash is proved.
    pub covered: Vec<u64>,
}

impl Receipt {
    /// Reads one.
    ///
    /// # Errors
    /// It is none, or of another version.
    pub fn parse(text: &str) -> Result<Self, BadReceipt> {
        let receipt: Self = serde_json::from_str(text).map_err(|error| BadReceipt::Malformed(error.to_string()))?;
        if receipt.format == FORMAT {
            Ok(receipt)
        } else {
            Err(BadReceipt::Malformed(format!("its form is {:?}, and this version reads {FORMAT}", receipt.format)))
        }
    }

    /// Its own keys, which prove no more than that it fits itself.
    ///
    /// # Errors
    /// One of them is none.
    pub fn own_keys(&self) -> Result<Vec<VerifyingKey>, BadReceipt> {
        let parse = |key: &String| VerifyingKey::parse(key).map_err(|error| BadReceipt::Malformed(error.to_string()));
        self.keys.iter().map(parse).collect()
    }

    /// Checks everything: signature, each entry's place in the log, and that they tell one call's life.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check(&self, keys: &[VerifyingKey]) -> Result<Proof, BadReceipt> {
        let checkpoint = Checkpoint::open(&self.checkpoint, keys)?;
        let by = note::open(&self.checkpoint, keys).map_err(super::CheckpointError::from)?.by;
        let mut proof = Proof { checkpoint, by, state: None, told: Vec::new(), finding: None, covered: Vec::new() };
        let mut rows = Vec::new();
        for entry in &self.entries {
            let seq = entry.seq;
            if proof.told.last().is_some_and(|(last, ..)| *last >= seq) {
                return Err(BadReceipt::Misplaced(seq, "is not in the order of the log"));
            }
            let index = seq.checked_sub(1).ok_or(BadReceipt::Misplaced(seq, "has no number of an entry"))?;
            let inclusion = InclusionProof { index, size: proof.checkpoint.size, path: entry.path.clone() };
            if !inclusion.verify(&entry.text.leaf(), &proof.checkpoint.root) {
                return Err(BadReceipt::NotInLog(seq));
            }
            let said = Said::read(entry.text.shown());
            let said = said.map_err(|_| BadReceipt::Misplaced(seq, "cannot be read"))?;
            if said.call.as_deref() != Some(&self.call) {
                return Err(BadReceipt::Misplaced(seq, "is not about this call"));
            }
            if u64::try_from(said.seq) != Ok(seq) {
                return Err(BadReceipt::Misplaced(seq, "bears another number"));
            }
            if matches!(entry.text, Text::Covered { .. }) {
                proof.covered.push(seq);
            }
            proof.told.push((seq, said.at.to_string(), said.kind.to_string()));
            rows.push(row(seq, entry, &said));
        }
        let mut found: Vec<Finding> = Vec::new();
        let (state, finding) = life_of(&self.call, &rows, &mut found);
        // What stands in place of a covered text was written by whoever made the receipt.
        proof.state = Some(state).filter(|_| proof.covered.is_empty());
        proof.finding = finding;
        match found.into_iter().next() {
            Some(finding) => Err(BadReceipt::Impossible(finding.text)),
            None if state.is_empty() => Err(BadReceipt::Impossible("it does not tell that the call was held".into())),
            None => Ok(proof),
        }
    }
}

/// The entry as a call's life is read from; times are only compared with rows of a database, which there are none of.
fn row(seq: u64, entry: &Proved, said: &Said<'_>) -> Row {
    Row {
        seq: i64::try_from(seq).unwrap_or(i64::MAX),
        at: Millis(0),
        kind: said.kind.to_string(),
        call: None,
        agent: None,
        upstream: None,
        tool: None,
        reviewer: None,
        body: entry.text.shown().to_owned(),
        leaf: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::note::SigningKey;
    use crate::audit::tree::node;
    use crate::audit::{Entry, Frontier, Head};
    use crate::call::CallId;
    use std::collections::HashMap;
    use uuid::Uuid;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed("placet.log/test", &[seed; 32]).unwrap()
    }

    /// The receipt of a call among others: every third entry is about it.
    fn receipt(kinds: &[&'static str], reason: &str) -> Receipt {
        let id = CallId(Uuid::from_u128(7));
        let (mut head, mut frontier, mut hashes, mut own) = (Head::EMPTY, Frontier::new(), HashMap::new(), Vec::new());
        for (n, kind) in kinds.iter().flat_map(|kind| ["call.denied", *kind, "call.allowed"]).enumerate() {
            let entry = if n % 3 == 1 {
                Entry::new(kind).call(id).with("digest", "d").with("verdict", "approve").with("reason", reason)
            } else {
                Entry::new(kind)
            };
            let sealed = head.seal(&entry, Millis(n as i64)).unwrap();
            frontier.push_noting(sealed.leaf, |level, index, hash| {
                hashes.insert((level, index), *hash);
            });
            own.extend((n % 3 == 1).then_some((sealed.seq as u64, sealed.body)));
        }
        let checkpoint = Checkpoint { origin: "placet.log/test".into(), size: frontier.size(), root: frontier.root() };
        let path = |seq| {
            let of = |level, index| Ok::<_, ()>(hashes[&(level, index)]);
            InclusionProof::build(seq - 1, frontier.size(), of).unwrap().unwrap().path
        };
        Receipt {
            format: FORMAT.into(),
            call: id.to_string(),
            checkpoint: checkpoint.sign(&[&key(1)]).unwrap(),
            keys: vec![key(1).verifying_key().to_string()],
            entries: own
                .iter()
                .map(|(seq, body)| Proved { seq: *seq, text: Text::of(body), path: path(*seq) })
                .collect(),
        }
    }

    const RAN: [&str; 4] = ["call.held", "call.approved", "call.released", "call.executed"];

    #[test]
    fn a_receipt_is_checked_from_its_text_alone() {
        let text = serde_json::to_string(&receipt(&RAN, "as agreed")).unwrap();
        let read = Receipt::parse(&text).unwrap();
        let proof = read.check(&read.own_keys().unwrap()).unwrap();
        assert_eq!((proof.state, proof.told.len(), proof.checkpoint.size), (Some("executed"), 4, 12));
        assert!(proof.covered.is_empty());
        assert!(Receipt::parse(&text.replace("/v1", "/v2")).is_err() && Receipt::parse("{}").is_err());
        assert!(matches!(read.check(&[key(2).verifying_key()]), Err(BadReceipt::Checkpoint(_))));
    }

    #[test]
    fn what_looks_like_a_secret_is_left_out_and_the_rest_still_proved() {
        let receipt = receipt(&RAN, "password=hunter2-hunter2");
        assert!(!serde_json::to_string(&receipt).unwrap().contains("hunter2"));
        let proof = receipt.check(&receipt.own_keys().unwrap()).unwrap();
        assert_eq!((proof.state, proof.covered), (None, vec![2, 5, 8, 11]), "nothing is proved by what was covered");
    }

    #[test]
    fn a_receipt_that_was_touched_proves_nothing() {
        let honest = receipt(&RAN, "as agreed");
        let keys = honest.own_keys().unwrap();
        type Touch = fn(&mut Receipt);
        let hows: [(&str, Touch); 9] = [
            ("body", |r| {
                if let Text::Stored { body } = &mut r.entries[1].text {
                    *body = body.replace("agreed", "AGREED");
                }
            }),
            ("path", |r| r.entries[0].path[0] = node(&Digest([0; 32]), &Digest([1; 32]))),
            ("shorter path", |r| r.entries[0].path.truncate(1)),
            ("number", |r| r.entries[3].seq += 1),
            ("zero", |r| r.entries[0].seq = 0),
            ("order", |r| r.entries.swap(1, 2)),
            ("twice", |r| r.entries.insert(1, r.entries[1].clone())),
            ("left out", |r| drop(r.entries.remove(1))),
            ("call", |r| r.call = Uuid::nil().to_string()),
        ];
        for (how, touch) in hows {
            let mut touched = honest.clone();
            touch(&mut touched);
            assert!(touched.check(&keys).is_err(), "{how}");
        }
        let mut empty = honest;
        empty.entries.clear();
        assert!(empty.check(&keys).is_err());
    }
}
