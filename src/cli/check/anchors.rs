//! Whether checkpoints could get to their anchors, as far as that shows without sending any: programs and folders are
//! looked at, nothing goes over the network.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use reqwest::Url;
use rustix::fs::Access;

use crate::anchor::is_public;
use crate::call::json;
use crate::config::{AnchorTo, Config, ConfigProblem};
use crate::policy::{Problem, Severity};

/// Whether this user may use a file or folder so.
type May<'m> = &'m dyn Fn(&Path, Access) -> io::Result<()>;

/// What is wrong with a place, and what to do.
#[derive(Debug, PartialEq, Eq)]
struct Wrong {
    severity: Severity,
    message: String,
    hint: &'static str,
}

impl Wrong {
    /// Nobody could deliver there.
    fn gone(message: String, hint: &'static str) -> Self {
        Self { severity: Severity::Error, message, hint }
    }

    /// This user could not, but Placet may run as another.
    fn barred(message: String) -> Self {
        Self { severity: Severity::Warning, message, hint: "give the user that Placet runs as the right to" }
    }
}

/// The anchors of this configuration that would get nothing; `text` is the file that it was read from.
pub(super) fn unusable(config: &Config, text: &str, file: &Path) -> Vec<ConfigProblem> {
    let may = |path: &Path, access| Ok(rustix::fs::access(path, access)?);
    let mut problems = Vec::new();
    for (at, anchor) in config.anchors.iter().enumerate() {
        if let Err(Wrong { severity, message, hint }) = judge(&anchor.to, &may) {
            let (line, column) = json::line_column(text, anchor.offset);
            let pointer = format!("/anchors/{at}/{}", kind(&anchor.to));
            let problem = Problem { severity, line, column, pointer, message, hint: Some(hint.to_owned()) };
            problems.push(ConfigProblem { file: file.to_owned(), problem });
        }
    }
    problems
}

fn kind(to: &AnchorTo) -> &'static str {
    match to {
        AnchorTo::File(_) => "file",
        AnchorTo::Command(_) => "command",
        AnchorTo::Url { .. } => "url",
        AnchorTo::Mail(_) => "mail",
    }
}

fn judge(to: &AnchorTo, may: May<'_>) -> Result<(), Wrong> {
    match to {
        AnchorTo::File(path) => file(path, may),
        AnchorTo::Command(words) => command(words.first().map(String::as_str).unwrap_or_default(), may),
        AnchorTo::Url { allow_private: true, .. } => Ok(()),
        AnchorTo::Url { url, allow_private: false } => public(url),
        // Whether mails leave, the file itself tells.
        AnchorTo::Mail(_) => Ok(()),
    }
}

/// A file is appended to, or made in its folder.
fn file(path: &Path, may: May<'_>) -> Result<(), Wrong> {
    let shown = path.display();
    match fs::metadata(path) {
        Ok(about) if about.is_file() => {
            may(path, Access::WRITE_OK).map_err(|error| Wrong::barred(format!("{shown} cannot be written: {error}")))
        }
        Ok(_) => Err(Wrong::gone(format!("{shown} is not a plain file"), "name a file, which need not be there yet")),
        Err(_) => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            if !folder.is_dir() {
                let message = format!("the folder {} is not there", folder.display());
                return Err(Wrong::gone(message, "make it, or mount what should be there"));
            }
            let barred =
                |error| Wrong::barred(format!("the folder {} cannot be written to: {error}", folder.display()));
            may(folder, Access::WRITE_OK | Access::EXEC_OK).map_err(barred)
        }
    }
}

/// A program, by its path or looked up in PATH.
fn command(program: &str, may: May<'_>) -> Result<(), Wrong> {
    let places: Vec<PathBuf> = if program.contains('/') {
        vec![program.into()]
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).map(|folder| folder.join(program)).collect()
    };
    let hint = "install it, or name it by its path";
    let found: Vec<_> = places.iter().filter(|place| place.is_file()).collect();
    let Some(first) = found.first() else {
        let place = if program.contains('/') { "" } else { " in PATH" };
        return Err(Wrong::gone(format!("there is no program {program}{place}"), hint));
    };
    if found.iter().any(|place| may(place, Access::EXEC_OK).is_ok()) {
        return Ok(());
    }
    let shown = first.display();
    match may(first, Access::EXEC_OK) {
        Err(error) if error.kind() != ErrorKind::PermissionDenied => {
            Err(Wrong::gone(format!("{shown} cannot be run: {error}"), hint))
        }
        _ if executable(first) => Err(Wrong::barred(format!("this user may not run {shown}"))),
        _ => Err(Wrong::gone(format!("{shown} is not executable"), "make it so with chmod +x")),
    }
}

/// Whether anybody may run it.
fn executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).is_ok_and(|about| about.permissions().mode() & 0o111 != 0)
}

/// A host that is an address says itself where it is; a name is looked up when something is sent.
fn public(url: &str) -> Result<(), Wrong> {
    let host = Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let inside = host == "localhost" || address.is_ok_and(|address| !is_public(address));
    if inside {
        let message = format!("{host} is on this machine or in a private network");
        return Err(Wrong::gone(message, "write allow_private = true if that is meant"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn judged(to: &AnchorTo, may: May<'_>) -> Result<(), (Severity, String)> {
        judge(to, may).map_err(|wrong| (wrong.severity, wrong.message))
    }

    fn yes(_: &Path, _: Access) -> io::Result<()> {
        Ok(())
    }

    fn no(_: &Path, _: Access) -> io::Result<()> {
        Err(ErrorKind::PermissionDenied.into())
    }

    #[test]
    fn files_are_judged_by_their_folder() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| AnchorTo::File(folder.path().join(name));
        fs::write(folder.path().join("notes"), "").unwrap();
        for name in ["notes", "new"] {
            assert_eq!(judged(&at(name), &yes), Ok(()), "{name}");
            let (severity, why) = judged(&at(name), &no).unwrap_err();
            assert!(severity == Severity::Warning && why.contains("cannot be written"), "{why}");
        }
        for (name, wanted) in [("none/notes", "none is not there"), ("notes/x", "notes is not there"), ("", "plain")] {
            let (severity, why) = judged(&at(name), &yes).unwrap_err();
            assert!(severity == Severity::Error && why.contains(wanted), "{why}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was made");
    }

    #[test]
    fn commands_are_looked_up() {
        let folder = tempfile::tempdir().unwrap();
        let plain = folder.path().join("plain");
        fs::write(&plain, "#!/bin/sh\n").unwrap();
        let program = |name: &str| AnchorTo::Command(vec![name.to_owned()]);
        assert_eq!((judged(&program("sh"), &yes), judged(&program("/bin/sh"), &yes)), (Ok(()), Ok(())));
        assert_eq!(judged(&program("/bin/sh"), &no), Err((Severity::Warning, "this user may not run /bin/sh".into())));
        fs::set_permissions(&plain, fs::Permissions::from_mode(0o644)).unwrap();
        for (name, wanted) in [
            ("placet-no-such-program", "there is no program placet-no-such-program in PATH"),
            ("/no/such/program", "there is no program /no/such/program"),
            (plain.to_str().unwrap(), "plain is not executable"),
        ] {
            let (severity, why) = judged(&program(name), &no).unwrap_err();
            assert!(severity == Severity::Error && why.ends_with(wanted), "{why}");
        }
    }

    #[test]
    fn addresses_are_judged_without_a_network() {
        let url = |url: &str, allow_private| AnchorTo::Url { url: url.to_owned(), allow_private };
        for inside in ["https://10.0.0.1/x", "https://[::1]/", "https://localhost:8443/"] {
            assert!(judged(&url(inside, false), &yes).unwrap_err().1.contains("private network"), "{inside}");
            assert_eq!(judged(&url(inside, true), &yes), Ok(()), "{inside}");
        }
        assert_eq!(judged(&url("https://witness.example.com/x", false), &yes), Ok(()));
    }
}
