//! What a rare operation sees and does within its transaction: see [`super::writer`].

use sqlx::sqlite::SqliteConnection;

use super::StoreError;
use super::sealed::Trust;
use super::spent::{Line, Spent};
use crate::audit::{Entry, Head, SealedEntry};
use crate::call::Millis;
use crate::seal::Seal;

/// One operation's view of the transaction it runs in.
pub struct Tx<'c> {
    pub(super) connection: &'c mut SqliteConnection,
    pub(super) head: &'c mut Head,
    pub(super) seal: &'c Seal,
    pub(super) spent: &'c Spent,
    pub(super) ended: &'c mut Vec<Line>,
    pub(super) entries: &'c mut Vec<(Entry, SealedEntry)>,
    pub(super) now: Millis,
}

impl Tx<'_> {
    /// The connection, inside the transaction.
    pub(crate) fn connection(&mut self) -> &mut SqliteConnection {
        self.connection
    }

    /// The moment of this write: never earlier than any moment that was committed before, whatever the clock says.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.now
    }

    /// Adds an entry to the log, committed together with everything else that this operation does.
    ///
    /// # Errors
    /// If the entry cannot be written as JSON.
    pub fn append(&mut self, entry: Entry) -> Result<(), StoreError> {
        self.append_numbered(entry).map(drop)
    }

    /// As [`Tx::append`]; gives the entry's number, for the row that names it.
    ///
    /// # Errors
    /// If the entry cannot be written as JSON.
    pub(crate) fn append_numbered(&mut self, entry: Entry) -> Result<i64, StoreError> {
        let sealed = self.head.seal(&entry, self.now)?;
        let seq = sealed.seq;
        self.entries.push((entry, sealed));
        Ok(seq)
    }

    /// What seals are judged with, and made with.
    pub(super) fn trust(&self) -> Trust {
        Trust::within(self.seal, self.spent, *self.head, self.entries)
    }

    /// The number of the last entry, this operation's own included.
    pub(super) fn last_entry(&self) -> i64 {
        self.head.seq
    }

    /// Puts this on the list of what is spent, once it is committed.
    pub(super) fn spend(&mut self, line: Line) {
        self.ended.push(line);
    }
}
