//! The notary: keeps the log's key, signs what the log is at one size, publishes it, and says at the start whether the
//! log still is what was signed.
//!
//! `audit.checkpoint` in the data folder is the note that was signed last. It stands beside the database on purpose: who
//! puts an older database back, and forgets it, is found out at the next start. Who puts the whole folder back is found
//! out by an anchor elsewhere.

mod files;
mod key;
mod start;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{Mutex, watch};

pub use start::LogAtStart;

use crate::audit::note::{NoteError, SigningKey, VerifyingKey};
use crate::audit::{Checkpoint, Entry};
use crate::call::Millis;
use crate::clock::Entropy;
use crate::durable;
use crate::store::{Store, StoreError, StoredCheckpoint};
use crate::telemetry;

/// The published checkpoint's file.
const CHECKPOINT: &str = "audit.checkpoint";

/// Why the log cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum NotaryError {
    /// A key's file is not as it must be.
    #[error("the log's key {path} {problem}")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The private key is gone.
    #[error(
        "the log's key {path} is missing, but the log is signed by {vkey}; restore the file from a backup, or, if it is \
         lost for good, `placet audit rotate-key --lost` makes a new one and says so in the log"
    )]
    Missing {
        /// Where it should be.
        path: PathBuf,
        /// The key that the log names.
        vkey: String,
    },
    /// The private key is another log's.
    #[error(
        "the log's key {path} is {found}, but the log is signed by {vkey}; put the right file there. If this database is \
         a backup from before the key was replaced, put the audit.pub of this folder back as well, which has both keys: \
         then the newer one goes on. If the right key is lost for good, `placet audit rotate-key --lost` goes on with \
         this one and says so in the log"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// The key that the log names.
        vkey: String,
    },
    /// The log names a key that is none.
    #[error(
        "entry {0} of the log should name a key of the log and does not; `placet audit verify` says what was altered"
    )]
    BadEntry(i64),
    /// The log is not what was signed before.
    #[error(
        "nothing was signed: {0}; `placet audit verify` says more, and starting `placet serve` records it in the log"
    )]
    Wrong(LogAtStart),
    /// The key is there, so it is not lost.
    #[error("the log's key is not lost: leave out --lost")]
    NotLost,
    /// A file cannot be read or written.
    #[error("{path} cannot be read or written: {error}; check its owner and mode, and the room on the disk")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A note that cannot be made.
    #[error(transparent)]
    Note(#[from] NoteError),
}

/// Signs the log of one data folder. Clones share it.
#[derive(Clone, Debug)]
pub struct Notary(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    state: Mutex<State>,
    /// How many entries the latest checkpoint covers; 0 while there is none.
    signed: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    key: SigningKey,
    /// The key before, until a checkpoint bears the signatures of both.
    former: Option<SigningKey>,
    public: Vec<VerifyingKey>,
    last: Option<StoredCheckpoint>,
    /// Whether `audit.checkpoint` is `last`.
    published: bool,
    /// What is wrong with the log, until the log itself says so.
    wrong: Option<LogAtStart>,
}

/// What to do where the private key does not fit the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Misfit {
    Refuse,
    Replace,
}

/// A key that came after another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// The one before, as vkey.
    pub old: String,
    /// The one in force, as vkey.
    pub new: String,
}

impl Notary {
    /// Reads the log's key, or makes it where the log has none yet, and compares the log with what was signed of it.
    /// Where that is wrong nothing is signed until [`Notary::record`].
    ///
    /// # Errors
    /// The key is missing, is another log's or may be read by others, or the database does not answer.
    pub async fn open(store: Store, entropy: &Entropy) -> Result<(Self, LogAtStart), NotaryError> {
        let (notary, found, _) = Self::open_with(store, entropy, Misfit::Refuse).await?;
        Ok((notary, found))
    }

    /// As [`Notary::open`], where the private key is lost: makes a new one, or goes on with the one that lies there.
    ///
    /// # Errors
    /// The key is not lost, or as [`Notary::open`].
    pub async fn open_without_key(store: Store, entropy: &Entropy) -> Result<(Self, Rotated), NotaryError> {
        match Self::open_with(store, entropy, Misfit::Replace).await? {
            (_, found, _) if found.is_wrong() => Err(NotaryError::Wrong(found)),
            (notary, _, Some(rotated)) => Ok((notary, rotated)),
            (_, _, None) => Err(NotaryError::NotLost),
        }
    }

    async fn open_with(
        store: Store,
        entropy: &Entropy,
        misfit: Misfit,
    ) -> Result<(Self, LogAtStart, Option<Rotated>), NotaryError> {
        let size = store.tree().size();
        let of_log = key::of_log(&store.log_entries().await?)?;
        let mut public = key::public(store.folder())?;
        let of_file = public.clone();
        public.extend(of_log.iter().filter(|key| !of_file.contains(key)).cloned());
        let (key, former, rotated) = fitting_key(&store, entropy, of_log.last(), &public, misfit).await?;
        if !public.contains(&key.verifying_key()) {
            public.push(key.verifying_key());
        }
        if public != of_file {
            key::write_public(store.folder(), &public)?;
        }
        let (found, last, published) = look_back(&store, size, &public).await?;
        let wrong = found.is_wrong().then(|| found.clone());
        let signed = watch::Sender::new(last.as_ref().map_or(0, |last| last.size));
        let state = State { key, former, public, last, published, wrong };
        Ok((Self(Arc::new(Inner { store, state: Mutex::new(state), signed })), found, rotated))
    }

    /// Compares the log with a note that was kept elsewhere; `source` names it to people.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn compare(&self, source: &str, note: &[u8]) -> Result<LogAtStart, NotaryError> {
        let public = self.0.state.lock().await.public.clone();
        Ok(start::compare(&self.0.store, self.0.store.tree().size(), source, note, &public).await?)
    }

    /// Says in the log what is wrong with it, and from then on signs again. The note that says otherwise is kept beside
    /// the new one. What the log says already is not said twice.
    ///
    /// # Errors
    /// It could not be written down.
    pub async fn record(&self, found: &LogAtStart) -> Result<(), NotaryError> {
        let mut state = self.0.state.lock().await;
        if let Some(alarm) = found.alarm() {
            tracing::error!(found = %found, "the audit log is not as it was signed");
            let detail = serde_json::Value::Object(alarm.detail.clone());
            let known = self.0.store.log_entries().await?;
            if !known.iter().any(|entry| entry.kind == alarm.kind && entry.detail == detail) {
                self.0.store.append(alarm).await?;
            }
        }
        if state.wrong.take().is_some() {
            keep_aside(self.0.store.folder(), self.0.store.now())?;
            (state.last, state.published) = (None, false);
            self.0.signed.send_replace(0);
        }
        Ok(())
    }

    /// Signs the log as it is, if it has grown since the last time, stores and publishes the note. Returns the latest.
    ///
    /// # Errors
    /// It could not be signed, stored or published; the next time tries again.
    pub async fn checkpoint(&self) -> Result<StoredCheckpoint, NotaryError> {
        let mut state = self.0.state.lock().await;
        let signed = self.sign(&mut state).await;
        match &signed {
            Ok(checkpoint) => telemetry::checkpointed(checkpoint.size),
            Err(_) => telemetry::checkpoint_failed(),
        }
        signed
    }

    async fn sign(&self, state: &mut State) -> Result<StoredCheckpoint, NotaryError> {
        if let Some(wrong) = &state.wrong {
            return Err(NotaryError::Wrong(wrong.clone()));
        }
        let (store, tree) = (&self.0.store, self.0.store.tree());
        let last = state.last.take_if(|last| last.size == tree.size() && state.former.is_none());
        let last = match last {
            Some(last) => last,
            None => {
                let origin = state.key.verifying_key().name().to_owned();
                let checkpoint = Checkpoint { origin, size: tree.size(), root: tree.root() };
                let mut keys = vec![&state.key];
                keys.extend(&state.former);
                let note = checkpoint.sign(&keys)?;
                // The file before the row: one that is ahead of the database is no news at a start after a crash, one
                // that is missing is an alarm.
                state.published = false;
                self.publish(&note)?;
                failpoint!("checkpoint.store");
                let signed = store.checkpoint_add(&checkpoint, &note).await?;
                failpoint!("checkpoint.stored");
                state.published = true;
                self.0.signed.send_replace(signed.size);
                signed
            }
        };
        state.last = Some(last.clone());
        if !state.published {
            self.publish(&last.note)?;
            state.published = true;
        }
        if state.former.is_some() {
            key::write_private(store.folder(), &[&state.key])?;
            state.former = None;
        }
        Ok(last)
    }

    fn publish(&self, note: &str) -> Result<(), NotaryError> {
        let path = self.0.store.folder().join(CHECKPOINT);
        failpoint!("checkpoint.publish");
        durable::replace(&path, note.as_bytes(), 0o644).map_err(|error| NotaryError::File { path, error })
    }

    /// Replaces the key: the log says so, and the next checkpoint bears the signatures of both. It is made at once; where
    /// that fails, as soon as it can be.
    ///
    /// # Errors
    /// The key was not replaced: the old one stays.
    pub async fn rotate(&self, entropy: &Entropy) -> Result<Rotated, NotaryError> {
        let mut state = self.0.state.lock().await;
        // A change of keys that is still under way ends first.
        self.sign(&mut state).await?;
        let folder = self.0.store.folder();
        let old = state.key.verifying_key();
        let new = SigningKey::from_seed(old.name(), &entropy.bytes())?;
        key::write_private(folder, &[&state.key, &new])?;
        let rotated = Rotated { old: old.to_string(), new: new.verifying_key().to_string() };
        let entry = Entry::new("log.key_rotated").with("old", rotated.old.as_str()).with("new", rotated.new.as_str());
        if let Err(error) = self.0.store.append(entry).await {
            key::write_private(folder, &[&state.key])?;
            return Err(error.into());
        }
        state.public.push(new.verifying_key());
        state.former = Some(std::mem::replace(&mut state.key, new));
        // Both are made good at the next checkpoint and the next start.
        if let Err(error) = key::write_public(folder, &state.public) {
            tracing::error!(%error, "the new public key could not be written beside the old ones");
        }
        if let Err(error) = self.sign(&mut state).await {
            telemetry::checkpoint_failed();
            tracing::error!(%error, "the log could not be signed with the new key yet");
        }
        Ok(rotated)
    }

    /// How many entries the latest checkpoint covers; 0 while there is none.
    #[must_use]
    pub fn size(&self) -> u64 {
        *self.0.signed.borrow()
    }

    /// Returns when the latest checkpoint is another than the one over `size` entries.
    pub async fn signed_another(&self, size: u64) {
        // The sender lives in `self`, so the wait can only end by a checkpoint.
        let _ = self.0.signed.subscribe().wait_for(|signed| *signed != 0 && *signed != size).await;
    }
}

/// The private key that signs, and what is to be said of it.
struct Fitting {
    key: SigningKey,
    /// The key before, where no checkpoint bears the signatures of both yet.
    former: Option<SigningKey>,
    /// The key that the log names, where this one takes its place.
    replaces: Option<VerifyingKey>,
    /// The folder has seen that change of keys, and the database was put back to before it: nothing is lost.
    put_back: bool,
    /// Whether `audit.key` is to be written.
    write: bool,
}

/// Finds, makes or refuses the private key, and says in the log what changed.
async fn fitting_key(
    store: &Store,
    entropy: &Entropy,
    in_force: Option<&VerifyingKey>,
    public: &[VerifyingKey],
    misfit: Misfit,
) -> Result<(SigningKey, Option<SigningKey>, Option<Rotated>), NotaryError> {
    let keys = key::private(store.folder())?;
    // A log that was emptied does not name its key; the file beside it does.
    let found = choose(store, entropy, keys, in_force.or(public.last()), public, misfit)?;
    if found.write {
        key::write_private(store.folder(), &[&found.key])?;
    }
    let vkey = found.key.verifying_key().to_string();
    let rotated = found.replaces.map(|old| Rotated { old: old.to_string(), new: vkey.clone() });
    if let Some(Rotated { old, new }) = &rotated {
        let entry = Entry::new("log.key_rotated").with("old", old.as_str()).with("new", new.as_str());
        if found.put_back {
            tracing::warn!(
                "the database is from before the log's key was replaced: the newer key, which lies in the folder, signs \
                 from now on, and the log says so; whoever verifies the log needs both keys, as audit.pub has them"
            );
        }
        store.append(entry.with(if found.put_back { "restored" } else { "old_lost" }, true)).await?;
    } else if in_force.is_none() {
        store.append(Entry::new("log.key_made").with("vkey", vkey)).await?;
    }
    Ok((found.key, found.former, rotated))
}

fn choose(
    store: &Store,
    entropy: &Entropy,
    mut keys: Vec<SigningKey>,
    expected: Option<&VerifyingKey>,
    public: &[VerifyingKey],
    misfit: Misfit,
) -> Result<Fitting, NotaryError> {
    let made = |name: &str| SigningKey::from_seed(name, &entropy.bytes());
    let path = || store.folder().join(key::PRIVATE);
    let fitting = |key, write| Fitting { key, former: None, replaces: None, put_back: false, write };
    let (last, expected) = match (keys.pop(), expected) {
        (None, None) => return Ok(fitting(made(&format!("placet.log/{}", entropy.uuid(store.now())))?, true)),
        (Some(key), None) => return Ok(fitting(key, true)),
        (None, Some(expected)) if misfit == Misfit::Replace => {
            return Ok(Fitting { replaces: Some(expected.clone()), ..fitting(made(expected.name())?, true) });
        }
        (None, Some(expected)) => return Err(NotaryError::Missing { path: path(), vkey: expected.to_string() }),
        (Some(last), Some(expected)) => (last, expected),
    };
    let former = keys.pop();
    if last.verifying_key() == *expected {
        return Ok(Fitting { former, ..fitting(last, false) });
    }
    if let Some(former) = former.filter(|former| former.verifying_key() == *expected) {
        // The change of keys did not get into the log: the old one stays.
        return Ok(fitting(former, true));
    }
    // An older database does not know of a change of keys that this folder has seen.
    let at = |wanted: &VerifyingKey| public.iter().position(|key| key == wanted);
    let ours = last.verifying_key();
    let is_later = at(&ours).is_some() && at(&ours) > at(expected);
    if ours.name() != expected.name() || !(is_later || misfit == Misfit::Replace) {
        return Err(NotaryError::Foreign { path: path(), found: ours.to_string(), vkey: expected.to_string() });
    }
    Ok(Fitting { replaces: Some(expected.clone()), put_back: is_later, ..fitting(last, true) })
}

/// Compares the log with its last checkpoints, in the database and beside it.
async fn look_back(
    store: &Store,
    size: u64,
    public: &[VerifyingKey],
) -> Result<(LogAtStart, Option<StoredCheckpoint>, bool), NotaryError> {
    let path = store.folder().join(CHECKPOINT);
    let file = files::read(&path).map_err(|error| NotaryError::File { path, error })?;
    let last = store.last_checkpoint().await?;
    let mut found = match &last {
        None => LogAtStart::Fresh,
        Some(last) => {
            start::compare(store, size, "the last checkpoint in the database", last.note.as_bytes(), public).await?
        }
    };
    match (&file, &last) {
        (Some(note), _) => found = start::compare(store, size, CHECKPOINT, note, public).await?.or_worse(found),
        (None, Some(last)) => found = LogAtStart::Unwitnessed { size: last.size }.or_worse(found),
        (None, None) => {}
    }
    let published = last.as_ref().is_some_and(|last| file.as_deref() == Some(last.note.as_bytes()));
    let last = last.filter(|_| !found.is_wrong());
    Ok((found, last, published))
}

/// Keeps the published note that the log does not fit, under a name of its own.
fn keep_aside(folder: &Path, now: Millis) -> Result<(), NotaryError> {
    let path = folder.join(CHECKPOINT);
    match std::fs::rename(&path, folder.join(format!("{CHECKPOINT}.before-{}", now.0))) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(NotaryError::File { path, error }),
        _ => Ok(()),
    }
}
