//! Where a copy of the database goes: under a name of its own until it is whole, then under the one that was asked for,
//! which is never another file's.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::BackupError;

/// The file that was asked for, and the one that is written until it is whole. That one is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    wanted: PathBuf,
    folder: PathBuf,
    partial: PathBuf,
}

impl Place {
    /// Judges `file` and makes the empty partial one, for this user alone. `id` makes its name one that nobody else has.
    pub(super) fn take(file: &Path, data: &Path, id: &str) -> Result<Self, BackupError> {
        let name = file.file_name().ok_or_else(|| BackupError::NoFile(file.to_owned()))?;
        let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = fs::canonicalize(parent).map_err(|error| unwritten(parent, &error))?;
        let data = fs::canonicalize(data).map_err(|error| unwritten(data, &error))?;
        if folder.starts_with(&data) {
            return Err(BackupError::Inside(file.to_owned()));
        }
        let place = Self { wanted: folder.join(name), partial: folder.join(format!(".placet-{id}.partial")), folder };
        place.refuse_existing()?;
        let mut options = File::options();
        options.write(true).create_new(true).mode(0o600);
        options.open(&place.partial).map_err(|error| unwritten(&place.folder, &error))?;
        Ok(place)
    }

    /// The file that is being written, as SQLite takes it.
    pub(super) fn partial(&self) -> Result<&str, BackupError> {
        self.partial.to_str().ok_or_else(|| BackupError::NotText(self.folder.clone()))
    }

    fn refuse_existing(&self) -> Result<(), BackupError> {
        match fs::symlink_metadata(&self.wanted) {
            Ok(_) => Err(BackupError::Exists(self.wanted.clone())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(unwritten(&self.wanted, &error)),
        }
    }

    /// Brings what was written to the disk and gives it its name; answers with its size in bytes.
    pub(super) fn finish(&self) -> Result<u64, BackupError> {
        let failed = |error: io::Error| unwritten(&self.wanted, &error);
        let file = File::open(&self.partial).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        // A link never replaces a file, as a rename would. Not every file system has links.
        match fs::hard_link(&self.partial, &self.wanted) {
            Ok(()) => fs::remove_file(&self.partial).map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(BackupError::Exists(self.wanted.clone()));
            }
            Err(_) => {
                self.refuse_existing()?;
                fs::rename(&self.partial, &self.wanted).map_err(failed)?;
            }
        }
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        Ok(bytes)
    }

    /// Takes a finished copy away again.
    pub(super) fn withdraw(&self) {
        if let Err(error) = fs::remove_file(&self.wanted) {
            tracing::warn!(%error, "a copy of the database that is not in the log could not be removed");
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        match fs::remove_file(&self.partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "an unfinished copy of the database could not be removed");
            }
            _ => {}
        }
    }
}

/// A failed file operation, in words.
fn unwritten(path: &Path, error: &io::Error) -> BackupError {
    let problem = match error.kind() {
        io::ErrorKind::NotFound => "there is no such folder; make it first, or name another one".into(),
        io::ErrorKind::PermissionDenied => {
            "this user may not write there; give it the right, or name a file in another folder".into()
        }
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only; name a file on another one".into(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => super::FULL.into(),
        io::ErrorKind::NotADirectory => "a part of its path is not a folder; name another file".into(),
        _ => format!("{error}; name a file in another folder"),
    };
    BackupError::Unwritten { path: path.to_owned(), problem }
}
