//! The file: a head of two lines, then a line for each thing.
//!
//! ```text
//! placet spent 1 SEAL-KEY-ID
//! horizon ENTRY fits|missing|ahead ENTRY eras LOG:ID,LOG:ID,… group GROUP/LINES CHECK
//! ```

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use super::Found;
use super::line::{Line, check};
use crate::seal::{Era, Seal};

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// What is not named by a line and names this entry or an earlier one had ended when it was written.
    pub horizon: i64,
    pub found: Found,
    /// Each time that the database was put back.
    pub eras: Vec<Era>,
    pub lines: Vec<Line>,
    /// The group of the last append; while it is read, that of what the file began with.
    pub group: u64,
    /// How many lines the file began with.
    pub count: usize,
    /// A part of the last append is missing: it was never acknowledged.
    pub torn: bool,
}

/// The open file.
#[derive(Debug)]
pub(super) struct Out {
    file: File,
    /// Where the next line begins. What stands behind it is of an attempt that failed.
    end: u64,
    /// The group of the next append.
    pub group: u64,
    /// How many of the lines handed in are in it.
    pub written: u64,
}

impl Out {
    pub(super) fn open(path: &Path, group: u64) -> io::Result<Self> {
        let file = File::options().write(true).open(path)?;
        let end = file.metadata()?.len();
        Ok(Self { file, end, group, written: 0 })
    }

    /// Whether this is the file of that name, as long as it was written. Else somebody moved it away, or a new one was
    /// named and not yet opened: a line in this one would be lost.
    pub(super) fn is_in_place(&self, path: &Path) -> bool {
        let (Ok(own), Ok(there)) = (self.file.metadata(), std::fs::metadata(path)) else { return false };
        (own.dev(), own.ino()) == (there.dev(), there.ino()) && own.len() >= self.end
    }

    /// Appends text; when this returns it is on the disk.
    pub(super) fn append(&mut self, text: &str) -> io::Result<()> {
        failpoint!("spent.write" => io::Error);
        self.file.write_all_at(text.as_bytes(), self.end)?;
        failpoint!("spent.written" => io::Error);
        self.file.sync_data()?;
        failpoint!("spent.synced");
        self.end += text.len() as u64;
        self.group += 1;
        Ok(())
    }
}

impl Content {
    /// The whole file.
    pub(super) fn text(&self, seal: &Seal) -> String {
        let found = match self.found {
            Found::Fits => "fits".to_owned(),
            Found::Missing => "missing".to_owned(),
            Found::Ahead(entry) => format!("ahead {entry}"),
        };
        let (group, count) = (self.group, self.lines.len());
        let head = format!("horizon {} {found} eras {} group {group}/{count}", self.horizon, eras_text(&self.eras));
        let check = check(seal, &head);
        let mut text = format!("{}\n{head} {check}\n", first(seal));
        text.push_str(&Line::write_all(&self.lines, group, seal));
        text
    }

    /// # Errors
    /// It is another key's, or damaged where that can be no append which was cut short.
    pub(super) fn read(bytes: &[u8], seal: &Seal) -> io::Result<Self> {
        let bad = |problem: String| io::Error::new(io::ErrorKind::InvalidData, problem);
        let mut lines = bytes.split(|byte| *byte == b'\n').map(|line| std::str::from_utf8(line).unwrap_or_default());
        if lines.next() != Some(first(seal).as_str()) {
            return Err(bad("its first line is not that of a list under this seal.key".to_owned()));
        }
        let head = lines.next().and_then(|head| read_head(head, seal));
        let mut content = head.ok_or_else(|| bad("its second line is damaged".to_owned()))?;
        let (mut damaged, mut groups) = (None, BTreeMap::from([(content.group, (0, content.count))]));
        let mut places = Vec::new();
        let whole = bytes.ends_with(b"\n");
        let rest: Vec<_> = lines.collect();
        // Behind the last end of a line nothing stands, or what was cut off.
        let count = rest.len().saturating_sub(1);
        for (n, text) in rest.into_iter().take(count).enumerate() {
            let Some((line, place)) = Line::read(text, seal) else {
                damaged = damaged.or(Some(n + 3));
                continue;
            };
            content.lines.push(line);
            groups.entry(place.group).or_insert((0, place.of)).0 += 1;
            places.push((place.group, place.number));
        }
        // An append begins when the one before is on the disk: of the last one alone a power cut may leave a part, and
        // of what was put in the file's place at once none.
        let (begun, last) = (content.group, groups.last_key_value().map_or(content.group, |(group, _)| *group));
        let is_whole = |group: u64| groups.get(&group).is_some_and(|(found, of)| found == of);
        let mut acknowledged = (begun..last).chain([begun]);
        if let Some(group) = acknowledged.find(|group| !is_whole(*group)) {
            let line =
                damaged.map_or_else(String::new, |n| format!("line {n} was not written by Placet, or is damaged; "));
            return Err(bad(format!("{line}lines of append {group} are missing")));
        }
        // What a power cut leaves of the last append may be of two attempts at it. Elsewhere each line stands in its
        // place, and once.
        let mut misplaced = places.windows(2).filter(|pair| pair[0] >= pair[1]).map(|pair| pair[1].0).peekable();
        let jumbled = misplaced.peek().is_some();
        if let Some(group) = misplaced.find(|group| *group != last || last == begun) {
            return Err(bad(format!("lines of append {group} do not stand where Placet wrote them")));
        }
        content.torn = damaged.is_some() || jumbled || !whole || !is_whole(last);
        content.group = last;
        Ok(content)
    }
}

fn first(seal: &Seal) -> String {
    format!("placet spent 1 {}", seal.id())
}

fn read_head(head: &str, seal: &Seal) -> Option<Content> {
    let (head, found) = head.rsplit_once(' ')?;
    if found != check(seal, head) {
        return None;
    }
    let (head, group) = head.rsplit_once(" group ")?;
    let (group, count) = group.split_once('/')?;
    let words: Vec<_> = head.split(' ').collect();
    let (horizon, found, eras) = match words[..] {
        ["horizon", horizon, "fits", "eras", eras] => (horizon, Found::Fits, eras),
        ["horizon", horizon, "missing", "eras", eras] => (horizon, Found::Missing, eras),
        ["horizon", horizon, "ahead", entry, "eras", eras] => (horizon, Found::Ahead(entry.parse().ok()?), eras),
        _ => return None,
    };
    let (group, count) = (group.parse().ok()?, count.parse().ok()?);
    Some(Content { horizon: horizon.parse().ok()?, found, eras: read_eras(eras)?, group, count, ..Content::default() })
}

fn eras_text(eras: &[Era]) -> String {
    if eras.is_empty() {
        return "-".to_owned();
    }
    eras.iter().map(|Era { log, id }| format!("{log}:{id:016x}")).collect::<Vec<_>>().join(",")
}

fn read_eras(text: &str) -> Option<Vec<Era>> {
    let era = |text: &str| {
        let (log, id) = text.split_once(':')?;
        Some(Era { log: log.parse().ok()?, id: u64::from_str_radix(id, 16).ok()? })
    };
    if text == "-" { Some(Vec::new()) } else { text.split(',').map(era).collect() }
}

/// The eras as the database keeps them: they are those of its rows, also where it is put back to an older state.
pub(in crate::store) fn sealed_eras(eras: &[Era], seal: &Seal) -> String {
    let text = eras_text(eras);
    let check = check(seal, &text);
    format!("{text} {check}")
}

/// Reads what [`sealed_eras`] wrote; none where that is not it.
pub(in crate::store) fn opened_eras(text: &str, seal: &Seal) -> Vec<Era> {
    let eras = text.rsplit_once(' ').filter(|(text, found)| *found == check(seal, text));
    eras.and_then(|(text, _)| read_eras(text)).unwrap_or_default()
}
