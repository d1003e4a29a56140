//! Rows that give a right, each sealed: of people and agents, of what they sign in with, of tools as they were pinned, of what was let pass.
//! They are compared with what the entries tell of them, both ways.
//!
//! The entries are found by what their bodies say, in the one walk over the log, and only what lives is remembered. A
//! row of something that ended is judged by the entry that it names.
//!
//! A further kind of row needs a [`Holder`], what its entries make of it ([`Told::entry`]), which of them its row may
//! name (`compare::tells_of`), and where its row is read (`store/right_rows.rs`).

mod compare;
mod told;

use super::report::{Check, Finding, Report};
use crate::call::Millis;

pub use told::{Told, tool_name};

/// Whose rows they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holder {
    /// A program that calls tools.
    Agent,
    /// A person's account.
    Reviewer,
    /// A sign-in at the pages.
    Session,
    /// An API token.
    Token,
    /// A one-time sign-in link.
    Link,
    /// A tool, as it was pinned.
    Tool,
    /// What a reviewer lets pass.
    Standing,
}

impl Holder {
    /// Every one.
    pub const ALL: [Self; 7] =
        [Self::Agent, Self::Reviewer, Self::Session, Self::Token, Self::Link, Self::Tool, Self::Standing];

    /// What one is called, and several.
    #[must_use]
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Agent => ("agent", "agents"),
            Self::Reviewer => ("reviewer", "reviewers"),
            Self::Session => ("session", "sessions"),
            Self::Token => ("API token", "API tokens"),
            Self::Link => ("sign-in link", "sign-in links"),
            Self::Tool => ("tool", "tools"),
            Self::Standing => ("standing approval", "standing approvals"),
        }
    }

    /// Which check counts them.
    #[must_use]
    pub fn check(self) -> Check {
        match self {
            Self::Agent | Self::Reviewer | Self::Session | Self::Token | Self::Link | Self::Standing => Check::Accounts,
            Self::Tool => Check::Tools,
        }
    }

    /// One of them in words. A link has no name that may be shown; a tool's id says nothing to anybody.
    fn named(self, id: &str, name: Option<&str>) -> String {
        let (one, _) = self.words();
        match self {
            Self::Link => one.to_owned(),
            Self::Tool => format!("{one} {}", name.unwrap_or(id)),
            _ => format!("{one} {id}"),
        }
    }
}

/// A row that gives somebody a right, as the database has it.
#[derive(Clone, Debug)]
pub struct RightRow {
    /// Whose.
    pub holder: Holder,
    /// Its id; of a link nothing that may be shown.
    pub id: String,
    /// Whose session, token or link it is: a reviewer's id.
    pub of: Option<String>,
    /// When it was made.
    pub made_at: Millis,
    /// When it ended.
    pub ended_at: Option<Millis>,
    /// The entry that it says made it so.
    pub entry: Option<i64>,
    /// That entry's body.
    pub body: Option<String>,
    /// What the log tells as well, by the names that its entries have for it.
    pub facts: serde_json::Map<String, serde_json::Value>,
    /// Whether it bears this service's seal; `None`: the key is not known.
    pub sealed: Option<bool>,
}

/// Compares rows, one after another, with what was told.
#[derive(Debug)]
pub struct Rights {
    told: Told,
    /// How many rows of each there are that ended, as the log tells.
    ended: std::collections::BTreeMap<Holder, u64>,
    /// Accounts that were taken out of the way since they had been changed by hand.
    aside: u64,
}

impl Rights {
    /// Before the first row, after the last entry.
    #[must_use]
    pub fn new(told: Told) -> Self {
        Self { told, ended: std::collections::BTreeMap::new(), aside: 0 }
    }

    /// The next row.
    pub fn row(&mut self, row: &RightRow, report: &mut Report) {
        let which = match (row.holder, row.entry) {
            (Holder::Link, Some(entry)) => format!("the sign-in link of entry {entry}"),
            (Holder::Link, None) => "a sign-in link".to_owned(),
            _ => row.holder.named(&row.id, row.facts.get("name").and_then(serde_json::Value::as_str)),
        };
        let aside = row.holder == Holder::Reviewer && self.told.is_aside(&row.id);
        let check = row.holder.check();
        let wrong = self.compare(row, aside);
        report.right(check, u64::from(wrong.is_empty()));
        for (seq, text) in wrong {
            let seq = seq.and_then(|seq| u64::try_from(seq).ok());
            let text = format!("{which}: {text}");
            report.wrong(Finding { check, seq, until: None, call: None, text });
        }
        match row.sealed {
            // Its seal was taken off for good.
            _ if aside => self.aside += 1,
            Some(true) => report.right(Check::Seals, 1),
            Some(false) => {
                let text = format!("{which}: its row does not bear this service's seal");
                let seq = row.entry.and_then(|seq| u64::try_from(seq).ok());
                report.wrong(Finding { check: Check::Seals, seq, until: None, call: None, text });
            }
            None => {}
        }
    }

    /// After the last row: what the log tells of and the database does not have.
    pub fn end(self, report: &mut Report) {
        let mut gone = |holder: Holder, seq: Option<i64>, text: String| {
            let seq = seq.and_then(|seq| u64::try_from(seq).ok());
            report.wrong(Finding { check: holder.check(), seq, until: None, call: None, text });
        };
        for (holder, which, seq) in self.told.left() {
            let text =
                format!("entry {seq} tells of the {which}, and the database does not have it: its row was deleted");
            gone(holder, Some(seq), text);
        }
        for holder in Holder::ALL {
            let (told, found) = (self.told.ended(holder), self.ended.get(&holder).copied().unwrap_or(0));
            if found < told {
                let (_, several) = holder.words();
                let text = format!(
                    "the log tells of {told} {several} that ended, and the database has {found} of them: rows were deleted"
                );
                gone(holder, None, text);
            }
        }
        if self.aside > 0 {
            let text = format!(
                "{} accounts were changed by hand once and then set aside, as the log tells; they are nobody's",
                self.aside
            );
            report.note(Check::Accounts, text);
        }
    }
}
