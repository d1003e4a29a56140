//! What a verification found: each check with its count, what is wrong and where, and the verdict over all.

use serde::Serialize;

/// How many findings are kept; of the others only their number.
const KEPT: usize = 200;

/// What is checked, in the order in which it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Numbers from 1 without gaps.
    Sequence,
    /// Each body has the leaf hash that stands beside it.
    Hashes,
    /// Each entry names the leaf hash of the one before it, and time never runs backwards.
    Chain,
    /// What stands beside a body is what the body says.
    Columns,
    /// The Merkle root at each stored checkpoint is the one that was signed.
    Tree,
    /// Stored checkpoints are signed by a known key.
    Signatures,
    /// Checkpoints that were kept elsewhere are of this log, and the log still has everything they cover.
    Anchors,
    /// Calls stand as the log tells their lives, and nothing else.
    Calls,
    /// Votes are those that the log tells.
    Votes,
    /// Call digests follow from what is stored of the call.
    Digests,
    /// Answers, and the reads made for reviewers, have the hashes that the log tells.
    Answers,
    /// Seals of calls and votes are those of this service.
    Seals,
}

impl Check {
    /// Every check, in order.
    pub const ALL: [Self; 12] = [
        Self::Sequence,
        Self::Hashes,
        Self::Chain,
        Self::Columns,
        Self::Tree,
        Self::Signatures,
        Self::Anchors,
        Self::Calls,
        Self::Votes,
        Self::Digests,
        Self::Answers,
        Self::Seals,
    ];

    /// Its name, and what it says of what it counts.
    #[must_use]
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Sequence => ("sequence", "entries, numbered from 1 without gaps"),
            Self::Hashes => ("hashes", "bodies that have the leaf hash beside them"),
            Self::Chain => ("chain", "entries that name the one before them, none earlier than it"),
            Self::Columns => ("columns", "entries whose columns say what their bodies say"),
            Self::Tree => ("tree", "stored checkpoints whose root is that of the entries"),
            Self::Signatures => ("signatures", "stored checkpoints signed by a known key"),
            Self::Anchors => ("anchors", "checkpoints kept elsewhere whose root is that of the entries"),
            Self::Calls => ("calls", "held calls that stand as the log tells"),
            Self::Votes => ("votes", "votes that the log tells as well"),
            Self::Digests => ("digests", "call digests that follow from the stored call"),
            Self::Answers => ("answers", "answers and reads that have the logged hash"),
            Self::Seals => ("seals", "seals of calls and votes that are this service's"),
        }
    }
}

/// Something that is wrong, or could not be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which check found it.
    pub check: Check,
    /// The entry it is about; of several that it may be, the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// The last entry that it may be, where that is not known exactly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// The call it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// What is wrong, in a sentence that repeats no arguments.
    pub text: String,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// Everything it looked at is right.
    Ok,
    /// Something is wrong.
    Bad,
    /// Something could not be told.
    Unknown,
    /// There was nothing to look at, or it was not asked for.
    Skipped,
}

/// One check's line.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// Which.
    pub check: Check,
    /// How it ended.
    pub grade: Grade,
    /// How many things were right.
    pub right: u64,
    /// How many were wrong.
    pub wrong: u64,
    /// What else is to be said, as how much was lawfully erased.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// The answer to the question whether the log is intact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything was checked and is right.
    Intact,
    /// Something was altered.
    Tampered,
    /// Nothing was found, but not everything could be checked.
    Incomplete,
}

/// What a verification found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    lines: Vec<Line>,
    findings: Vec<Finding>,
    /// Why the answer is not complete.
    unknown: Vec<String>,
    /// Entries after the last checkpoint: nothing signed speaks of them yet.
    pub unsigned: u64,
    /// Alarms that the log itself tells of.
    pub alarms: u64,
}

impl Default for Report {
    fn default() -> Self {
        let line = |check| Line { check, grade: Grade::Skipped, right: 0, wrong: 0, notes: Vec::new() };
        Self { lines: Check::ALL.map(line).into(), findings: Vec::new(), unknown: Vec::new(), unsigned: 0, alarms: 0 }
    }
}

impl Report {
    fn line(&mut self, check: Check) -> &mut Line {
        // Built with every check, in the order in which they compare.
        &mut self.lines[check as usize]
    }

    /// So many more things of this check are right.
    pub fn right(&mut self, check: Check, count: u64) {
        let line = self.line(check);
        line.right += count;
        if line.grade == Grade::Skipped && count > 0 {
            line.grade = Grade::Ok;
        }
    }

    /// Something is wrong.
    pub fn wrong(&mut self, finding: Finding) {
        let line = self.line(finding.check);
        line.wrong += 1;
        line.grade = Grade::Bad;
        if self.findings.len() < KEPT {
            self.findings.push(finding);
        }
    }

    /// Something could not be told.
    pub fn unknown(&mut self, check: Check, why: impl Into<String>) {
        let line = self.line(check);
        if line.grade != Grade::Bad {
            line.grade = Grade::Unknown;
        }
        self.unknown.push(why.into());
    }

    /// Something to be said beside a check's count.
    pub fn note(&mut self, check: Check, text: impl Into<String>) {
        self.line(check).notes.push(text.into());
    }

    /// Each check, in order.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// What is wrong, as it was found; at most the first 200.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Why the answer is not complete.
    #[must_use]
    pub fn unknowns(&self) -> &[String] {
        &self.unknown
    }

    /// The answer.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if self.lines.iter().any(|line| line.grade == Grade::Bad) {
            Verdict::Tampered
        } else if self.unknown.is_empty() {
            Verdict::Intact
        } else {
            Verdict::Incomplete
        }
    }

    /// What is wrong first: with the lowest entry, an exactly known one before a stretch that contains it; where no
    /// entry is wrong, the first of the others.
    #[must_use]
    pub fn first(&self) -> Option<&Finding> {
        let numbered = || self.findings.iter().filter(|finding| finding.seq.is_some());
        let Some(lowest) = numbered().min_by_key(|finding| finding.seq) else { return self.findings.first() };
        let Some(until) = lowest.until else { return Some(lowest) };
        let exact = numbered().filter(|finding| finding.until.is_none() && finding.seq <= Some(until));
        exact.min_by_key(|finding| finding.seq).or(Some(lowest))
    }
}
