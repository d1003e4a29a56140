//! What the log says of content that can be erased: a salted hash, from which nobody can guess the content once both
//! content and salt are gone, and which gives away any change while they are kept.
//!
//! `SHA-256(p(domain) ‖ p(salt) ‖ p(call) ‖ p(kind) ‖ p(body))`, where `p(x)` is the length of `x` as 8 bytes, big endian,
//! and then `x`. `call` is the call's id as its 16 bytes. For an answer `domain` is `placet/result/v1`, `kind` is
//! `result` or `error`, and `body` is that member of the upstream's answer, byte for byte. For the reads made for the
//! reviewers `domain` is `placet/context/v1`, `kind` is empty, and `body` is the JSON text that is stored of them.

use sha2::{Digest as _, Sha256};

use super::{Answer, CallId, Digest, HeldCall};

/// Random bytes that are erased together with what they salt.
pub type Salt = [u8; 32];

/// What the log's entry says of an answer, as `result`.
#[must_use]
pub fn answer_digest(call: CallId, salt: &Salt, answer: &Answer) -> Digest {
    let (kind, body) = match answer {
        Answer::Result(body) => ("result", body),
        Answer::Error(body) => ("error", body),
    };
    salted("placet/result/v1", salt, call, kind, body)
}

/// What the log's entry says of the reads made for the reviewers, as `reads`.
#[must_use]
pub fn context_digest(call: CallId, salt: &Salt, stored: &str) -> Digest {
    salted("placet/context/v1", salt, call, "", stored)
}

fn salted(domain: &str, salt: &Salt, call: CallId, kind: &str, body: &str) -> Digest {
    let mut hash = Sha256::new();
    for part in [domain.as_bytes(), salt, call.0.as_bytes(), kind.as_bytes(), body.as_bytes()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    Digest(hash.finalize().into())
}

impl HeldCall {
    /// The salted hash of the answer that is kept; `None` where none is, or no salt was drawn for it.
    #[must_use]
    pub fn answer_digest(&self) -> Option<Digest> {
        Some(answer_digest(self.submission.id, self.answer_salt.as_ref()?, self.answer.as_ref()?))
    }

    /// The salted hash of the reads that are kept; `None` where there are none, or no salt was drawn for them.
    #[must_use]
    pub fn context_digest(&self) -> Option<Digest> {
        let stored = serde_json::to_string(self.context.as_ref()?).ok()?;
        Some(context_digest(self.submission.id, self.context_salt.as_ref()?, &stored))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn every_part_counts_and_none_can_slide_into_the_next() {
        let id = CallId(Uuid::nil());
        let result = |body: &str| Answer::Result(body.into());
        let mut all = vec![
            answer_digest(id, &[1; 32], &result("{}")),
            answer_digest(id, &[2; 32], &result("{}")),
            answer_digest(CallId(Uuid::max()), &[1; 32], &result("{}")),
            answer_digest(id, &[1; 32], &result("{ }")),
            answer_digest(id, &[1; 32], &Answer::Error("{}".into())),
            context_digest(id, &[1; 32], "{}"),
            context_digest(id, &[1; 32], "result{}"),
        ];
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn the_format_is_the_documented_one() {
        let (id, salt, body) = (CallId(Uuid::from_u128(7)), [9; 32], r#"{"content":[]}"#);
        let mut record = Vec::new();
        for part in [b"placet/result/v1".as_slice(), &salt, &7_u128.to_be_bytes(), b"result", body.as_bytes()] {
            record.extend((part.len() as u64).to_be_bytes());
            record.extend(part);
        }
        assert_eq!(answer_digest(id, &salt, &Answer::Result(body.into())), Digest::of(&record));
    }
}
