//! `/audit`: the log's entries, filtered, as they print.

use askama::Template;

use super::{Chrome, Paging, Text, Time};

/// The audit log with its filters.
#[derive(Debug, Clone, Template)]
#[template(path = "audit.html")]
pub struct AuditPage {
    /// Top bar and banners; `nav` is Audit.
    pub chrome: Chrome,
    /// The filters as asked for; the form sends them as GET parameters of the same names.
    pub filter: AuditFilter,
    /// Kinds of entry to choose from: the name as stored, the words as shown.
    pub kinds: Vec<(String, String)>,
    /// This page's entries, newest first.
    pub rows: Vec<AuditRow>,
    /// The log as a whole.
    pub log: LogFacts,
    /// Whether this person sees some of them only.
    pub partial: bool,
    /// What is wrong with the filter ("from: 2026-13-01 is no date"), shown above the rows.
    pub problem: Option<String>,
    /// Neighbouring pages; their addresses keep the filters.
    pub paging: Paging,
    /// When this page was made: printed with it.
    pub printed: Time,
}

/// How the log stands: its size, what is signed of it, who else knows, and what is wrong with it.
#[derive(Debug, Clone)]
pub struct LogFacts {
    /// Entries altogether.
    pub size: u64,
    /// The latest checkpoint.
    pub checkpoint: Option<SignedFacts>,
    /// The configured anchors.
    pub anchors: Vec<AnchorFacts>,
    /// What was found wrong with the log lately, the newest first.
    pub alarms: Vec<LogAlarm>,
    /// The database was put back lately.
    pub restored: Option<RestoredFacts>,
}

/// That the database was put back from a copy.
#[derive(Debug, Clone)]
pub struct RestoredFacts {
    /// When that was found.
    pub at: Time,
    /// The moment of the copy.
    pub as_of: Time,
    /// Calls whose outcome is unknown for it.
    pub unknown: u64,
    /// Calls that still waited for a decision.
    pub pending: u64,
    /// Agents and accounts that are known to have ended since, and are so again.
    pub ended_again: u64,
    /// Tools that are known to have changed, or to have been accepted anew, since.
    pub tools: u64,
}

/// The latest checkpoint.
#[derive(Debug, Clone)]
pub struct SignedFacts {
    /// How many entries it covers.
    pub size: u64,
    /// When it was signed.
    pub at: Time,
    /// The tree's root, hex; the page shows its first twelve digits.
    pub root: String,
}

impl SignedFacts {
    /// The first twelve digits of the root.
    #[must_use]
    pub fn root_short(&self) -> &str {
        self.root.get(..12).unwrap_or(&self.root)
    }
}

/// One anchor.
#[derive(Debug, Clone)]
pub struct AnchorFacts {
    /// File, Command, URL or Mail.
    pub kind: &'static str,
    /// Where it is, without what may be secret.
    pub place: Text,
    /// What entries of the log call it.
    pub id: String,
    /// How many entries the checkpoint covers that it got last, and when.
    pub last: Option<(u64, Time)>,
    /// Attempts that failed since.
    pub failures: u64,
    /// Why the last attempt failed, and when.
    pub error: Option<(Text, Time)>,
    /// What the other side said then; `None` for who may not read everything.
    pub said: Option<Text>,
}

/// Something that was found wrong with the log at a start.
#[derive(Debug, Clone)]
pub struct LogAlarm {
    /// The entry's number.
    pub seq: i64,
    /// When it was found.
    pub at: Time,
    /// In a sentence.
    pub what: Text,
}

/// GET parameters of the audit page; empty strings mean "all".
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// `from`: `YYYY-MM-DDTHH:MM`, UTC, included.
    pub from: String,
    /// `to`: `YYYY-MM-DDTHH:MM`, UTC, not included.
    pub to: String,
    /// `kind`: as stored.
    pub kind: String,
    /// `agent`: exact name.
    pub agent: String,
    /// `reviewer`: address.
    pub reviewer: String,
    /// `tool`: exact name.
    pub tool: String,
    /// `call`: id.
    pub call: String,
}

impl AuditFilter {
    /// Whether everything is shown.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set().is_empty()
    }

    /// What is asked for, each with its name: a printed page says what it leaves out.
    #[must_use]
    pub fn set(&self) -> Vec<(&'static str, &str)> {
        let all = [
            ("from", &self.from),
            ("to", &self.to),
            ("kind", &self.kind),
            ("agent", &self.agent),
            ("reviewer", &self.reviewer),
            ("tool", &self.tool),
            ("call", &self.call),
        ];
        all.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name, value.as_str())).collect()
    }
}

/// One entry.
#[derive(Debug, Clone)]
pub struct AuditRow {
    /// Its number in the log, from 0.
    pub seq: u64,
    /// When it was written.
    pub at: Time,
    /// Its kind as stored: `call.held`.
    pub kind: String,
    /// Who acted: agent, reviewer, or "Placet".
    pub who: Text,
    /// What happened, in one line.
    pub what: Text,
    /// The call it is about.
    pub call: Option<String>,
    /// Leaf hash, hex; the page shows its first twelve digits, title and paper all.
    pub leaf: String,
}

impl AuditRow {
    /// The first twelve digits of the leaf hash.
    #[must_use]
    pub fn leaf_short(&self) -> &str {
        self.leaf.get(..12).unwrap_or(&self.leaf)
    }

    /// The digits after those.
    #[must_use]
    pub fn leaf_rest(&self) -> &str {
        self.leaf.get(12..).unwrap_or_default()
    }
}
