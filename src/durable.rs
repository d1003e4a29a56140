//! Small files that must be whole or not there, whatever happens: keys.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Makes a file of this user alone (mode 0600), or replaces it. When this returns it is on the disk under its name; a
/// crash or power cut at any moment leaves the whole of it, or what was there before.
///
/// # Errors
/// It could not be made durable; it is not there then, or must not be relied on.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let mut new = name.to_owned();
    new.push(".new");
    let new = folder.join(new);
    // What an earlier attempt left behind.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    failpoint!("start.key" => io::Error);
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(content)?;
    failpoint!("start.key.written" => io::Error);
    file.sync_all()?;
    fs::rename(&new, path)?;
    failpoint!("start.key.named" => io::Error);
    // The name is the folder's content.
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_is_ours_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(folder.path().join("key.new"), "left behind by a crash, and readable by everybody").unwrap();
        for content in [b"first".as_slice(), b"2nd"] {
            write(&path, content).unwrap();
            assert_eq!(fs::read(&path).unwrap(), content);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(write(&folder.path().join("no/key"), b"x").is_err());
    }
}
