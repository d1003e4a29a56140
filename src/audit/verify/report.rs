//! What a verification found: each check with its count, what is wrong and where, and the verdict over all.

use serde::Serialize;

use super::put_back::PutBack;

/// How many findings are kept; of the others only their number.
const KEPT: usize = 200;

/// What is checked, in the order in which it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// The database has the tables, indices and triggers that Placet makes, and no others.
    Schema,
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
    /// Agents, people, sessions, tokens and links stand as the log tells.
    Accounts,
    /// Tools are pinned to what the log tells.
    Tools,
    /// Seals of calls, votes, accounts and tools are those of this service.
    Seals,
}

impl Check {
    /// Every check, in order.
    pub const ALL: [Self; 15] = [
        Self::Schema,
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
        Self::Accounts,
        Self::Tools,
        Self::Seals,
    ];

    /// Whether it is about the log itself, and not about what stands beside it.
    #[must_use]
    pub fn is_of_log(self) -> bool {
        (Self::Sequence..=Self::Anchors).contains(&self)
    }

    /// Its name, and what it says of what it counts.
    #[must_use]
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Schema => ("schema", "tables, indices and triggers, as Placet makes them and no others"),
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
            Self::Accounts => ("accounts", "agents, people, sessions, tokens and links that stand as the log tells"),
            Self::Tools => ("tools", "tools whose pins stand as the log tells"),
            Self::Seals => ("seals", "seals of calls, votes, accounts and tools that are this service's"),
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
    /// Nothing else was found, and the log tells of a restore that whoever verifies did not say they know of: what came
    /// after the restored state is not in it.
    PutBack,
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
    /// Restores that the log itself tells of.
    pub put_back: Vec<PutBack>,
    /// It was said that nobody was ever served from this folder: that nothing is signed is no news then.
    pub unserved: bool,
    /// Whoever verifies asked for the seals not to be looked at.
    pub without_seals: bool,
}

impl Default for Report {
    fn default() -> Self {
        let line = |check| Line { check, grade: Grade::Skipped, right: 0, wrong: 0, notes: Vec::new() };
        Self {
            lines: Check::ALL.map(line).into(),
            findings: Vec::new(),
            unknown: Vec::new(),
            unsigned: 0,
            alarms: 0,
            put_back: Vec::new(),
            unserved: false,
            without_seals: false,
        }
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
        } else if self.put_back.iter().any(|told| !told.known) {
            Verdict::PutBack
        } else if self.unknown.is_empty() {
            Verdict::Intact
        } else {
            Verdict::Incomplete
        }
    }

    /// How much of this check is wrong so far.
    #[must_use]
    pub fn count_wrong(&self, check: Check) -> u64 {
        self.lines[check as usize].wrong
    }

    /// What is wrong first. The log's own entries go before the rows beside it, and there the lowest entry, an exactly
    /// known one before a stretch that contains it; where no entry is named, the first of the others.
    #[must_use]
    pub fn first(&self) -> Option<&Finding> {
        let of_log = |finding: &&Finding| finding.check.is_of_log();
        self.lowest(of_log).or_else(|| self.lowest(|finding| !of_log(finding))).or_else(|| self.findings.first())
    }

    fn lowest(&self, which: impl Fn(&&Finding) -> bool + Copy) -> Option<&Finding> {
        let numbered = || self.findings.iter().filter(which).filter(|finding| finding.seq.is_some());
        let lowest = numbered().min_by_key(|finding| finding.seq)?;
        let Some(until) = lowest.until else { return Some(lowest) };
        let exact = numbered().filter(|finding| finding.until.is_none() && finding.seq <= Some(until));
        exact.min_by_key(|finding| finding.seq).or(Some(lowest))
    }

    /// The verdict in words, the last line of what is told: what is wrong first, and which entry that is.
    #[must_use]
    pub fn last_word(&self) -> String {
        let skipped = if self.without_seals { "; the seals were not looked at, as asked" } else { "" };
        match self.verdict() {
            Verdict::Intact => format!("INTACT{skipped}"),
            Verdict::Incomplete => {
                format!("INCOMPLETE: nothing wrong was found, but not everything could be checked{skipped}")
            }
            Verdict::PutBack => {
                let told: Vec<_> = self.put_back.iter().filter(|told| !told.known).map(PutBack::words).collect();
                format!("PUT BACK: what is there is intact{skipped}; but {}", told.join("; and "))
            }
            Verdict::Tampered => match self.first() {
                Some(finding) => format!("TAMPERED. {}: {}", finding.place(), finding.text),
                None => "TAMPERED".to_owned(),
            },
        }
    }
}

impl Finding {
    /// Which entry it names, in words.
    fn place(&self) -> String {
        match (self.check.is_of_log(), self.seq, self.until) {
            (true, Some(seq), None) => format!("First bad entry: {seq}"),
            (true, Some(seq), Some(until)) => format!("First bad entry: one of {seq} to {until}"),
            (false, Some(seq), _) => format!("No bad entry, but a row beside the log, of which entry {seq} tells"),
            (_, None, _) => "No bad entry, but something beside the log".to_owned(),
        }
    }
}
