//! A call that may have run: what is known of it, what the upstream says now, and what a person found out.

use super::contents::Read;
use super::{Text, Time};

/// What there is to know of a call whose outcome is unknown.
#[derive(Debug, Clone)]
pub struct Unknown {
    /// When it was given up.
    pub at: Time,
    /// What went wrong, in one sentence: "Placet was stopped while the call ran."
    pub why: Text,
    /// Who approved, in order; "the policy" where no person did.
    pub by: Vec<Text>,
    /// When the last approval was given, as the log has it.
    pub approved: Option<Time>,
    /// When it was claimed, just before it was sent, as the log has it.
    pub claimed: Option<Time>,
    /// Names the one attempt to run it.
    pub claim: Option<String>,
    /// What a person found out.
    pub found: Option<Found>,
    /// The form to `/calls/{id}/finding` with `csrf`, `ran=yes|no` and `reason`; `None` where this person may not say, or
    /// somebody has.
    pub form: Option<FindingForm>,
    /// The tools that can be asked again by the form to `/calls/{id}/read-back` with `csrf`; empty where the policy names
    /// none, or this person may not.
    pub readable: Vec<Text>,
    /// Why there is nothing to ask, in a sentence; `None` where there is, or where this person may not.
    pub unreadable: Option<&'static str>,
    /// What they said when the call was held, and say now: the answer to that form.
    pub compared: Vec<Compared>,
}

impl Unknown {
    /// Whether somebody has found out, and nothing is left to do.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.found.as_ref().is_some_and(|found| found.genuine)
    }
}

/// What a person found out.
#[derive(Debug, Clone)]
pub struct Found {
    /// It took effect.
    pub ran: bool,
    /// Who looked.
    pub by: Text,
    /// When.
    pub at: Time,
    /// How they know.
    pub reason: Text,
    /// It was recorded here; otherwise somebody wrote it into the database, which is an alarm.
    pub genuine: bool,
}

/// The form that asks what became of the call.
#[derive(Debug, Clone, Default)]
pub struct FindingForm {
    /// What was wrong with the last try.
    pub error: Option<String>,
    /// The reason typed then.
    pub reason: String,
}

/// One read, then and now.
#[derive(Debug, Clone)]
pub struct Compared {
    /// When the call was held; `None` where nothing was read then.
    pub then: Option<Read>,
    /// A moment ago.
    pub now: Read,
    /// Whether both say the same, byte for byte; `None` where one of them could not be read.
    pub same: Option<bool>,
}
