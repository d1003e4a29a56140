//! A file in another folder, to which notes are appended, one after another with an empty line between them.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// How much of the file's end is read: many notes.
const TAIL: u64 = 64 * 1024;
/// What the line of a signature begins with.
const SIGNATURE: &str = "\u{2014} ";

/// Appends a note and has it written down for good.
pub(super) async fn append(path: PathBuf, note: String) -> Result<(), String> {
    let written = tokio::task::spawn_blocking(move || write(&path, &note)).await;
    written.map_err(|_| "writing it broke off".to_owned())?.map_err(|error| problem(&error))
}

fn problem(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "its folder is not there; make it, or mount what should be there".to_owned(),
        io::ErrorKind::PermissionDenied => "this user may not write there".to_owned(),
        io::ErrorKind::StorageFull => "its disk is full".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem => "its file system is read-only".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder, not a file".to_owned(),
        _ => format!("it cannot be written: {error}"),
    }
}

fn write(path: &Path, note: &str) -> io::Result<()> {
    let mut file = File::options().read(true).append(true).create(true).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a plain file"));
    }
    let (start, tail) = tail(&mut file)?;
    let whole = complete(&tail);
    // What a crash left of a note would spoil the next one.
    if tail[whole..].iter().any(|byte| *byte != b'\n') {
        file.set_len(start + whole as u64)?;
    }
    let before = file.metadata()?.len();
    let text = if before == 0 { note.to_owned() } else { format!("\n{note}") };
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    if let Err(error) = written {
        // Half a note is worth nothing; where even this fails, the next attempt cuts it off.
        let _ = file.set_len(before);
        return Err(error);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Where the end of the file begins that is read, and what stands there.
fn tail(file: &mut File) -> io::Result<(u64, Vec<u8>)> {
    let start = file.metadata()?.len().saturating_sub(TAIL);
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail)?;
    Ok((start, tail))
}

/// Up to where the last note is whole: behind the last line that is a signature and has its end.
fn complete(tail: &[u8]) -> usize {
    let (mut at, mut whole) = (0, 0);
    for line in tail.split_inclusive(|byte| *byte == b'\n') {
        at += line.len();
        if line.starts_with(SIGNATURE.as_bytes()) && line.ends_with(b"\n") {
            whole = at;
        }
    }
    // Without any signature it is no file of notes: nothing of it is ours to cut off.
    if whole == 0 { tail.len() } else { whole }
}

/// The last whole note in the file; `None` where there is no file, or no note in its end.
///
/// # Errors
/// The file cannot be read.
pub fn last_note(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    if fs::metadata(path)?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let (_, tail) = tail(&mut file)?;
    let tail = &tail[..complete(&tail)];
    let signature = |paragraph: &[u8]| paragraph.starts_with(SIGNATURE.as_bytes());
    // A note is two paragraphs: its text, then its signatures.
    let mut at = tail.len();
    let mut second: Option<usize> = None;
    loop {
        let before = tail[..at].windows(2).rposition(|pair| pair == b"\n\n");
        let begins = before.map_or(0, |before| before + 2);
        match second {
            None if signature(&tail[begins..]) => second = Some(begins),
            None => {}
            Some(_) => {
                let skip = tail[begins..].iter().take_while(|byte| **byte == b'\n').count();
                let end = complete(tail);
                return Ok(Some(tail[begins + skip..end].to_vec()));
            }
        }
        match before {
            Some(before) => at = before + 1,
            None => return Ok(None),
        }
    }
}
