//! Small files that must be whole, whatever happens: keys, published checkpoints.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Makes or replaces a file. When this returns it is on the disk under its name; after a crash or power cut at any
/// moment whoever reads it finds the old content or the new one. Nobody else may write in its folder.
///
/// # Errors
/// It could not be made durable; which content is there is not known then.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let mut new = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    new.push(".new");
    let new = folder.join(new);
    // What an earlier attempt left behind.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    failpoint!("file.make" => io::Error);
    let mut file = File::options().write(true).create_new(true).mode(mode).open(&new)?;
    file.write_all(content)?;
    failpoint!("file.written" => io::Error);
    file.sync_all()?;
    fs::rename(&new, path)?;
    failpoint!("file.named" => io::Error);
    // The name is the folder's content.
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_even_where_a_crash_left_half_of_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(folder.path().join("key.new"), "half, and readable by everybody").unwrap();
        for (content, mode) in [(b"first".as_slice(), 0o644), (b"2nd", 0o600)] {
            replace(&path, content, mode).unwrap();
            assert_eq!(fs::read(&path).unwrap(), content);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(replace(&folder.path().join("no/key"), b"x", 0o600).is_err());
    }
}
