//! Secrets: named in the file as `env:NAME` or `file:PATH`, read when the service starts, never printed.

use std::path::{Path, PathBuf};

use secrecy::SecretString;

/// Where secrets come from.
pub(crate) struct Secrets<'e> {
    source: Source<'e>,
}

enum Source<'e> {
    /// They are not needed.
    Skip,
    /// This environment, and files.
    Read(&'e dyn Fn(&str) -> Option<String>),
}

fn process_environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl<'e> Secrets<'e> {
    pub fn read() -> Self {
        Self { source: Source::Read(&process_environment) }
    }

    pub fn skip() -> Self {
        Self { source: Source::Skip }
    }

    #[cfg(test)]
    pub fn from(environment: &'e dyn Fn(&str) -> Option<String>) -> Self {
        Self { source: Source::Read(environment) }
    }

    /// The secret that `text` names; `None` if it names none and is a value itself.
    pub fn named(&self, text: &str, folder: &Path) -> Option<Result<SecretString, String>> {
        if let Some(name) = text.strip_prefix("env:") {
            return Some(self.variable(name));
        }
        text.strip_prefix("file:").map(|path| self.file(&folder.join(path)))
    }

    fn variable(&self, name: &str) -> Result<SecretString, String> {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err("env: names no environment variable".to_owned());
        }
        match self.source {
            Source::Skip => Ok(SecretString::default()),
            Source::Read(environment) => match environment(name) {
                Some(value) if !value.is_empty() => Ok(value.into()),
                _ => Err(format!("the environment variable {name} is not set")),
            },
        }
    }

    fn file(&self, path: &PathBuf) -> Result<SecretString, String> {
        if matches!(self.source, Source::Skip) {
            return Ok(SecretString::default());
        }
        let text =
            std::fs::read_to_string(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        // Editors end a file with a line break that belongs to no secret.
        let secret = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
        if secret.is_empty() { Err(format!("{} is empty", path.display())) } else { Ok(secret.into()) }
    }
}
