//! Reading files in the data folder, and files that must be ours alone.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Nothing that is read here is longer, in bytes.
const LONGEST: u64 = 1_000_001;

/// The content of a file, as far as anything of ours can be long; `None` if there is none.
pub(super) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut content = Vec::new();
    file.take(LONGEST).read_to_end(&mut content)?;
    Ok(Some(content))
}

/// As [`read`], of a file that holds a secret: refused where others could read or could have replaced it.
pub(super) fn read_secret(path: &Path) -> Result<Option<Vec<u8>>, String> {
    let cannot = |error: io::Error| format!("cannot be read: {error}");
    let lies_there = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        metadata => metadata.map_err(cannot)?,
    };
    if lies_there.file_type().is_symlink() {
        return Err("is a symbolic link; put the file itself there".to_owned());
    }
    if !lies_there.is_file() {
        return Err("is not a file; move away what lies there, and restore the file from a backup".to_owned());
    }
    let file = File::open(path).map_err(cannot)?;
    let opened = file.metadata().map_err(cannot)?;
    if (opened.dev(), opened.ino()) != (lies_there.dev(), lies_there.ino()) {
        return Err("was replaced while it was opened; find out by whom, then try again".to_owned());
    }
    let mode = opened.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(format!(
            "may be used by other users of this machine (mode {mode:04o}); if it may have been read, replace it with \
             `placet audit rotate-key` after `chmod 600`"
        ));
    }
    let mut content = Vec::new();
    file.take(LONGEST).read_to_end(&mut content).map_err(cannot)?;
    Ok(Some(content))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    #[test]
    fn a_secret_that_others_could_read_or_lay_there_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.key");
        assert_eq!(read_secret(&path), Ok(None));
        crate::durable::replace(&path, b"secret", 0o600).unwrap();
        assert_eq!(read_secret(&path), Ok(Some(b"secret".to_vec())));
        for mode in [0o640, 0o604, 0o660, 0o601, 0o644] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let refused = read_secret(&path).unwrap_err();
            assert!(refused.contains(&format!("mode {mode:04o}")) && refused.contains("chmod 600"), "{refused}");
        }
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(read_secret(&link).unwrap_err().contains("symbolic link"));
        symlink("/nowhere", folder.path().join("dangling")).unwrap();
        assert!(read_secret(&folder.path().join("dangling")).unwrap_err().contains("symbolic link"));
        assert!(read_secret(folder.path()).unwrap_err().contains("is not a file"));
        fs::write(&path, vec![b'x'; 3_000_000]).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read_secret(&path).unwrap().unwrap().len() as u64, LONGEST);
    }
}
