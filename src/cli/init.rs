//! `placet init`: a commented placet.toml and a policy.json to start from, with the schema that editors check it with.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::{Exit, complain, say};
use crate::review::assets::POLICY_SCHEMA;

/// The files, each by name and content.
const FILES: [(&str, &str); 3] = [
    ("placet.toml", include_str!("../init/placet.toml")),
    ("policy.json", include_str!("../init/policy.json")),
    ("policy.schema.json", POLICY_SCHEMA),
];

/// Arguments of `placet init`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the files go; made if it is not there
    #[arg(default_value = ".", value_name = "DIR")]
    folder: PathBuf,
}

/// Writes all files, or none.
pub fn run(args: &Args) -> Exit {
    match write(&args.folder) {
        Ok(paths) => {
            paths.iter().for_each(|path| say(path.display()));
            complain(
                "next: name your upstream in placet.toml, run `placet check`, add a reviewer and an agent, run `placet serve`",
            );
            Exit::Done
        }
        Err(message) => {
            complain(message);
            Exit::Failed
        }
    }
}

fn write(folder: &Path) -> Result<Vec<PathBuf>, String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{} cannot be made: {error}", folder.display()))?;
    let paths: Vec<_> = FILES.iter().map(|(name, _)| folder.join(name)).collect();
    // Looked at first, so that nothing is written where something is in the way; the writing itself makes sure.
    if let Some(there) = paths.iter().find(|path| path.symlink_metadata().is_ok()) {
        return Err(in_the_way(there));
    }
    for (path, (_, content)) in paths.iter().zip(FILES) {
        let file = OpenOptions::new().write(true).create_new(true).open(path);
        file.and_then(|mut file| file.write_all(content.as_bytes())).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => in_the_way(path),
            _ => format!("{} cannot be written: {error}", path.display()),
        })?;
    }
    Ok(paths)
}

fn in_the_way(path: &Path) -> String {
    let path = path.display();
    format!("{path} is there already, and init overwrites nothing; move it away, or name another folder")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::policy::{Defaults, parse};

    #[test]
    fn what_it_writes_is_valid_and_says_what_the_defaults_are() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("new/one");
        let paths = write(&folder).unwrap();
        let config = Config::load(&paths[0]).unwrap();
        assert_eq!(config.warnings, []);
        assert_eq!(config.policy, paths[1]);
        let text = std::fs::read_to_string(&config.policy).unwrap();
        let upstreams = config.upstreams.iter().map(|upstream| upstream.name.clone()).collect();
        let parsed = parse(&text, &Defaults { timeout: config.hold.timeout, upstreams }).unwrap();
        assert_eq!(parsed.warnings, []);

        // What a line of the file says in a comment or in clear is what counts without the line.
        let bare = folder.join("bare.toml");
        std::fs::write(&bare, "[[upstreams]]\nname = \"iam\"\ncommand = [\"x\"]\n").unwrap();
        let bare = Config::load(&bare).unwrap();
        assert_eq!(
            (&bare.listen, &bare.public_url, &bare.data_dir),
            (&config.listen, &config.public_url, &config.data_dir)
        );
        assert_eq!((bare.hold, bare.server, bare.retention), (config.hold, config.server, config.retention));
    }

    #[test]
    fn every_commented_key_is_valid_too() {
        let text: String = FILES[0]
            .1
            .lines()
            .map(|line| line.strip_prefix("#: ").unwrap_or(line))
            .fold(String::new(), |text, line| text + line + "\n");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("placet.toml");
        std::fs::write(&path, text).unwrap();
        let config = Config::load_without_secrets(&path).unwrap();
        assert!(config.mail.is_some() && !config.anchors.is_empty());
        assert_eq!(config.upstreams.len(), 2);
    }

    #[test]
    fn overwrites_nothing() {
        for name in ["placet.toml", "policy.json"] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(name), "mine").unwrap();
            let message = write(folder.path()).unwrap_err();
            assert!(message.contains(name) && message.contains("overwrites nothing"), "{message}");
            assert_eq!(std::fs::read_to_string(folder.path().join(name)).unwrap(), "mine");
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn says_why_it_cannot_write() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        assert!(write(&folder.path().join("file")).unwrap_err().contains("cannot be made"));
    }
}
