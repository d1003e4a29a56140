//! Signed notes as C2SP specifies them (<https://c2sp.org/signed-note>), with Ed25519: a text, an empty line, and a
//! line for each signature, `— name base64(key id ‖ signature)`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _};
use sha2::{Digest as _, Sha256};

/// The byte that stands for Ed25519 in keys and key ids.
const ED25519: u8 = 1;
/// No note is longer, in bytes.
const LONGEST: usize = 1_000_000;
/// No note has more signatures; the specification asks for room for 16.
const MOST_SIGNATURES: usize = 100;
/// What a signature's line begins with: an em dash and a space.
const LINE: &str = "\u{2014} ";
/// What a private key's line begins with, as Go's `sumdb/note` writes it.
const PRIVATE: &str = "PRIVATE+KEY+";

/// Why a note or a key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not of the form that the specification asks for.
    #[error("this is no signed note: {0}")]
    Malformed(&'static str),
    /// A signature under a known key does not fit the text.
    #[error("the signature by {0} does not fit the text: one of them was altered")]
    BadSignature(String),
    /// Nobody known signed it.
    #[error("none of the known keys signed this note; it is signed by {0}")]
    Unknown(String),
    /// A key that cannot be read.
    #[error("this is no {0}")]
    BadKey(&'static str),
}

/// What names a key: neither empty, nor with white space, control characters or a plus.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

fn key_id(name: &str, key: &[u8; 32]) -> [u8; 4] {
    let hash = Sha256::new().chain_update(name).chain_update([b'\n', ED25519]).chain_update(key).finalize();
    [hash[0], hash[1], hash[2], hash[3]]
}

/// A key's fields as its line has them: name, id, and the 32 bytes.
fn fields(line: &str) -> Option<(&str, [u8; 4], [u8; 32])> {
    let mut parts = line.splitn(3, '+');
    let (name, id, key) = (parts.next()?, parts.next()?, parts.next()?);
    let hex = id.len() == 8 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let bytes = STANDARD.decode(key).ok()?;
    let key = bytes.strip_prefix(&[ED25519])?.try_into().ok()?;
    (is_name(name) && hex).then_some((name, u32::from_str_radix(id, 16).ok()?.to_be_bytes(), key))
}

fn line(name: &str, id: [u8; 4], key: &[u8; 32]) -> String {
    let id = u32::from_be_bytes(id);
    format!("{name}+{id:08x}+{}", STANDARD.encode([&[ED25519], &key[..]].concat()))
}

/// A key that signs notes. Its bytes are wiped when it is dropped, and never printed by `Debug`.
#[derive(Clone)]
pub struct SigningKey {
    name: String,
    key: ed25519_dalek::SigningKey,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.verifying_key())
    }
}

impl SigningKey {
    /// The key that these 32 secret bytes are, under this name.
    ///
    /// # Errors
    /// The name cannot name a key.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, NoteError> {
        if !is_name(name) {
            return Err(NoteError::BadKey("name for a key: it is empty, or has white space or a plus"));
        }
        Ok(Self { name: name.to_owned(), key: ed25519_dalek::SigningKey::from_bytes(seed) })
    }

    /// Reads what [`SigningKey::to_secret_line`] wrote.
    ///
    /// # Errors
    /// It is something else; the error does not repeat it.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        const BAD: NoteError = NoteError::BadKey("private key in the form PRIVATE+KEY+name+id+base64");
        let (name, id, seed) = text.strip_prefix(PRIVATE).and_then(fields).ok_or(BAD)?;
        let key = Self::from_seed(name, &seed)?;
        if key.verifying_key().id == id { Ok(key) } else { Err(BAD) }
    }

    /// The private key as one line, in the form of Go's `sumdb/note`. A secret.
    #[must_use]
    pub fn to_secret_line(&self) -> String {
        format!("{PRIVATE}{}", line(&self.name, self.verifying_key().id, self.key.as_bytes()))
    }

    /// What others check its signatures with.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey {
        let key = self.key.verifying_key();
        VerifyingKey { id: key_id(&self.name, key.as_bytes()), name: self.name.clone(), key }
    }

    /// The text as a note signed by this key.
    ///
    /// # Errors
    /// The text cannot be one of a note: empty, without a newline at its end, too long, or with control characters.
    pub fn sign(&self, text: &str) -> Result<String, NoteError> {
        sign(text, &[self])
    }
}

/// The text as a note signed by each of these keys, in their order.
///
/// # Errors
/// As [`SigningKey::sign`], or there is no key.
pub fn sign(text: &str, keys: &[&SigningKey]) -> Result<String, NoteError> {
    check_text(text)?;
    if keys.is_empty() || keys.len() > MOST_SIGNATURES {
        return Err(NoteError::Malformed("it has too few or too many signatures"));
    }
    let mut note = format!("{text}\n");
    for key in keys {
        let signature = key.key.sign(text.as_bytes()).to_bytes();
        let encoded = STANDARD.encode([&key.verifying_key().id[..], &signature].concat());
        note.push_str(&format!("{LINE}{} {encoded}\n", key.name));
    }
    if note.len() > LONGEST { Err(NoteError::Malformed("it is too long")) } else { Ok(note) }
}

fn check_text(text: &str) -> Result<(), NoteError> {
    if text.len() > LONGEST {
        return Err(NoteError::Malformed("it is too long"));
    }
    if text.is_empty() || !text.ends_with('\n') {
        return Err(NoteError::Malformed("its text does not end in a newline"));
    }
    if text.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
        return Err(NoteError::Malformed("it has control characters; were its line ends converted?"));
    }
    Ok(())
}

/// A key that checks notes; printed and parsed as a vkey, `name+id+base64`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyingKey {
    name: String,
    id: [u8; 4],
    key: ed25519_dalek::VerifyingKey,
}

impl VerifyingKey {
    /// Reads a vkey.
    ///
    /// # Errors
    /// It is none, not of Ed25519, or its id does not fit it.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        const BAD: NoteError = NoteError::BadKey("public key in the form name+id+base64 (a vkey, for Ed25519)");
        let (name, id, bytes) = fields(text).ok_or(BAD)?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(&bytes).map_err(|_| BAD)?;
        if key_id(name, &bytes) != id || key.is_weak() {
            return Err(BAD);
        }
        Ok(Self { name: name.to_owned(), id, key })
    }

    /// Reads a file of vkeys, one a line.
    ///
    /// # Errors
    /// A line is none, or there is no line.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, NoteError> {
        if text.is_empty() {
            return Err(NoteError::BadKey("public key: it is empty"));
        }
        text.lines().map(Self::parse).collect()
    }

    /// Whose it is: for a log's key, the log's origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id that signatures bear, in eight hexadecimal digits. Not a fingerprint: too short to trust.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{:08x}", u32::from_be_bytes(self.id))
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&line(&self.name, self.id, self.key.as_bytes()))
    }
}

/// A note whose signatures were checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// What was signed, with its last newline.
    pub text: String,
    /// Which of the known keys signed it, each once, in the order of the signatures; at least one.
    pub by: Vec<VerifyingKey>,
}

/// Reads a note and checks it against known keys. Signatures by other keys are ignored, as the specification wants;
/// one by a known key that does not fit refuses the note, also where another one does.
///
/// # Errors
/// It is no note, a known key's signature does not fit, or no known key signed it.
pub fn open(note: impl AsRef<[u8]>, keys: &[VerifyingKey]) -> Result<Opened, NoteError> {
    let note = note.as_ref();
    if note.len() > LONGEST {
        return Err(NoteError::Malformed("it is too long"));
    }
    let note = std::str::from_utf8(note).map_err(|_| NoteError::Malformed("it is not UTF-8"))?;
    check_text(note)?;
    let end = note.rfind("\n\n").ok_or(NoteError::Malformed("no empty line before its signatures"))?;
    let (text, signatures) = (&note[..=end], &note[end + 2..]);
    let signatures: Vec<_> = signatures.lines().collect();
    if signatures.is_empty() || signatures.len() > MOST_SIGNATURES {
        return Err(NoteError::Malformed("it has too few or too many signatures"));
    }
    let (mut by, mut others) = (Vec::<VerifyingKey>::new(), Vec::new());
    for signature in signatures {
        let (name, id, bytes) = signature_line(signature)?;
        let Some(key) = keys.iter().find(|key| key.name == name && key.id == id) else {
            others.push(name);
            continue;
        };
        let fits = Signature::from_slice(&bytes).is_ok_and(|s| key.key.verify_strict(text.as_bytes(), &s).is_ok());
        if !fits {
            return Err(NoteError::BadSignature(name.to_owned()));
        }
        if !by.contains(key) {
            by.push(key.clone());
        }
    }
    if by.is_empty() {
        return Err(NoteError::Unknown(others.join(", ")));
    }
    Ok(Opened { text: text.to_owned(), by })
}

/// A signature's line: name, key id, signature.
fn signature_line(line: &str) -> Result<(&str, [u8; 4], Vec<u8>), NoteError> {
    const BAD: NoteError = NoteError::Malformed("a signature is not in the form \u{201c}\u{2014} name base64\u{201d}");
    let (name, encoded) = line.strip_prefix(LINE).and_then(|rest| rest.split_once(' ')).ok_or(BAD)?;
    let bytes = STANDARD.decode(encoded).map_err(|_| BAD)?;
    let (id, signature) = bytes.split_first_chunk::<4>().filter(|(_, rest)| !rest.is_empty()).ok_or(BAD)?;
    if is_name(name) { Ok((name, *id, signature.to_vec())) } else { Err(BAD) }
}
