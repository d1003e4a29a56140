//! Anchors: checkpoints of the log carried to places that who owns this machine does not own: a file in another folder,
//! a command, a URL, a mailbox. With one of them even a folder that was put back whole is found out.
//!
//! A delivery is no entry of the log: it would change the log, and so be a reason for the next delivery. What was
//! delivered last stands in a table; only that a place cannot be reached any more is an entry, once for each such time.

mod address;
mod command;
mod file;
mod mail;
mod shown;
mod url;

use std::path::PathBuf;
use std::time::Duration;

pub use address::is_public;
pub use file::last_note;

use crate::call::{Digest, Email, Millis};
use crate::notify::Mailer;

/// How long one delivery may take.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Where checkpoints go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Appended to a file.
    File(PathBuf),
    /// To a program's standard input.
    Command(Vec<String>),
    /// By POST.
    Url {
        /// https, or http on this machine.
        url: String,
        /// Whether it may be in a private network.
        allow_private: bool,
    },
    /// To a mailbox.
    Mail(Email),
}

impl Place {
    /// The word for its kind: file, command, url, mail.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Command(_) => "command",
            Self::Url { .. } => "url",
            Self::Mail(_) => "mail",
        }
    }

    /// How people know it, without what may be secret.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Command(command) => shown::command(command),
            Self::Url { url, .. } => shown::url(url),
            Self::Mail(email) => email.to_string(),
        }
    }

    /// The same for the same place through every restart.
    #[must_use]
    pub fn id(&self) -> String {
        let whole = match self {
            Self::Command(command) => command.join("\0"),
            Self::Url { url, .. } => url.clone(),
            Self::File(path) => path.display().to_string(),
            Self::Mail(email) => email.to_string(),
        };
        Digest::of(format!("{}\0{whole}", self.kind()).as_bytes()).short()
    }
}

/// One place and how often it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Where.
    pub place: Place,
    /// The shortest time between two deliveries.
    pub every: Duration,
}

/// A signed checkpoint on its way.
#[derive(Clone, Copy, Debug)]
pub struct Parcel<'n> {
    /// The signed note.
    pub note: &'n str,
    /// How many entries it covers.
    pub size: u64,
    /// Now.
    pub at: Millis,
}

/// What deliveries are made with.
#[derive(Clone, Debug)]
pub struct Means {
    /// How mails leave; `None`: they do not.
    pub mailer: Option<Mailer>,
    /// This service's host name, for the ids of mails.
    pub host: String,
    /// How long one delivery may take.
    pub patience: Duration,
}

/// Why a checkpoint did not get to its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}{}", said.as_ref().map(|said| format!(": {said}")).unwrap_or_default())]
pub struct Undelivered {
    /// In words that may stand in a log.
    pub why: String,
    /// What the other side said: for the operator's eyes, on the page.
    pub said: Option<String>,
}

impl<T: Into<String>> From<T> for Undelivered {
    fn from(why: T) -> Self {
        Self { why: why.into(), said: None }
    }
}

impl Means {
    /// Delivers one checkpoint. When this returns without an error, the place has it.
    ///
    /// # Errors
    /// Why it did not get there.
    pub async fn deliver(&self, place: &Place, parcel: Parcel<'_>) -> Result<(), Undelivered> {
        let delivered = async {
            match place {
                Place::File(path) => Ok(file::append(path.clone(), parcel.note.to_owned()).await?),
                Place::Command(command) => command::run(command, parcel.note).await,
                Place::Url { url, allow_private } => Ok(url::post(url, *allow_private, parcel.note).await?),
                Place::Mail(to) => Ok(mail::send(self.mailer.as_ref(), to, &self.host, parcel).await?),
            }
        };
        let late = || format!("it took longer than {} s and was given up", self.patience.as_secs_f32());
        tokio::time::timeout(self.patience, delivered).await.unwrap_or_else(|_| Err(late().into()))
    }
}
