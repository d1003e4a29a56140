//! `placet check`: what is wrong with placet.toml and the policy, all of it, one problem a line.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Exit, complain, say};
use crate::call::json;
use crate::config::{Config, ConfigProblem, Partial, unreadable};
use crate::policy::{self, Defaults, Problem, Severity};

/// Arguments of `placet check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration file [default: placet.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Policy file, in place of the one that the configuration names
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Print a JSON list
    #[arg(long)]
    json: bool,
}

/// One problem as `--json` prints it.
#[derive(Debug, Serialize)]
struct Line<'p> {
    severity: Severity,
    file: String,
    line: usize,
    column: usize,
    pointer: &'p str,
    message: &'p str,
    hint: Option<&'p str>,
}

/// What was found.
#[derive(Debug, Default)]
struct Report {
    checked: Vec<PathBuf>,
    problems: Vec<ConfigProblem>,
    /// Files that could not be opened, and are in `problems` too.
    unopened: usize,
}

/// Checks both files and prints what is wrong with them.
pub fn run(args: &Args) -> Exit {
    let report = check(args);
    if args.json {
        let lines: Vec<_> = report.problems.iter().map(line).collect();
        match serde_json::to_string_pretty(&lines) {
            Ok(text) => say(text),
            Err(error) => {
                complain(format!("the problems could not be written as JSON: {error}"));
                return Exit::Failed;
            }
        }
    } else {
        report.problems.iter().for_each(say);
    }
    let exit = report.exit();
    if exit == Exit::Done && !args.json {
        let names: Vec<_> = report.checked.iter().map(|path| path.display().to_string()).collect();
        complain(format!("valid: {}", names.join(", ")));
    }
    exit
}

fn line(found: &ConfigProblem) -> Line<'_> {
    let Problem { severity, line, column, pointer, message, hint } = &found.problem;
    let (file, hint) = (found.file.display().to_string(), hint.as_deref());
    Line { severity: *severity, file, line: *line, column: *column, pointer, message, hint }
}

fn check(args: &Args) -> Report {
    let mut report = Report::default();
    let config = args.config.clone().unwrap_or_else(|| PathBuf::from("placet.toml"));
    // A policy can be checked by itself, where no configuration lies about and none was asked for.
    let alone = args.config.is_none() && args.policy.is_some() && !config.exists();
    let known = if alone { Some(Partial::default()) } else { report.config(&config) };
    let path = args.policy.clone().or_else(|| known.as_ref().map(|known| known.policy.clone()));
    if let Some(path) = path {
        report.policy(&path, known.unwrap_or_default());
    }
    report
}

impl Report {
    fn exit(&self) -> Exit {
        let errors = self.problems.iter().filter(|found| found.problem.severity == Severity::Error).count();
        match errors {
            0 => Exit::Done,
            only_unopened if only_unopened == self.unopened => Exit::Failed,
            _ => Exit::No,
        }
    }

    /// Checks the configuration; `None` if it cannot be opened.
    fn config(&mut self, path: &Path) -> Option<Partial> {
        let text = self.read(path)?;
        let (config, partial) = Config::check(&text, path);
        self.problems.extend(config.map_or_else(|problems| problems, |config| config.warnings));
        Some(partial)
    }

    fn policy(&mut self, path: &Path, known: Partial) {
        let Some(text) = self.read(path) else { return };
        let defaults = Defaults { timeout: known.timeout, upstreams: known.upstreams };
        let problems = policy::parse(&text, &defaults).map_or_else(|problems| problems, |parsed| parsed.warnings);
        let found = |problem| ConfigProblem { file: path.to_owned(), problem };
        self.problems.extend(problems.into_iter().map(found));
    }

    fn read(&mut self, path: &Path) -> Option<String> {
        self.checked.push(path.to_owned());
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.unopened += 1;
                self.problems.push(unreadable(path, &error));
                return None;
            }
        };
        String::from_utf8(bytes)
            .map_err(|error| {
                let mut found = unreadable(path, &std::io::Error::new(ErrorKind::InvalidData, "it is not UTF-8"));
                let (good, _) = error.as_bytes().split_at(error.utf8_error().valid_up_to());
                let good = String::from_utf8_lossy(good);
                (found.problem.line, found.problem.column) = json::line_column(&good, good.len());
                self.problems.push(found);
            })
            .ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        folder
    }

    fn report(folder: &Path, policy: Option<&str>) -> (Exit, Vec<String>) {
        let policy = policy.map(|name| folder.join(name));
        let report = check(&Args { config: Some(folder.join("placet.toml")), policy, json: false });
        let prefix = format!("{}/", folder.display());
        let lines = report.problems.iter().map(|found| found.to_string().replace(&prefix, "")).collect();
        (report.exit(), lines)
    }

    const CONFIG: &[u8] = b"[[upstreams]]\nname = \"iam\"\ncommand = [\"iam\"]\n";
    const POLICY: &[u8] = br#"{"version": "1", "tools": {"get_*": {}}}"#;

    #[test]
    fn good_files_are_done() {
        let folder = folder(&[("placet.toml", CONFIG), ("policy.json", POLICY), ("other.json", b"{}")]);
        assert_eq!(report(folder.path(), None), (Exit::Done, vec![]));
        let (exit, lines) = report(folder.path(), Some("other.json"));
        let missing = "other.json:1:1 : \"version\" is missing (write \"version\": \"1\")".to_owned();
        assert_eq!((exit, lines), (Exit::No, vec![missing]));
    }

    #[test]
    fn both_files_are_judged_even_where_the_first_is_wrong() {
        let config = [b"liste = \"127.0.0.1:1\"\n", CONFIG].concat();
        let policy = br#"{"version": "1", "tool": {}}"#;
        let folder = folder(&[("placet.toml", &config), ("policy.json", policy)]);
        let expected = vec![
            "placet.toml:1:1 /liste: unknown key \"liste\" (did you mean \"listen\"?)".to_owned(),
            "policy.json:1:18 /tool: unknown key \"tool\" (did you mean \"tools\"?)".to_owned(),
        ];
        assert_eq!(report(folder.path(), None), (Exit::No, expected));
    }

    #[test]
    fn what_cannot_be_opened_cannot_be_judged_and_what_is_no_text_is_wrong() {
        let folder = folder(&[("placet.toml", CONFIG), ("bad.json", b"{\n \"version\": \"\xff\"}")]);
        let (exit, lines) = report(folder.path(), None);
        assert_eq!(exit, Exit::Failed);
        assert!(lines[0].starts_with("policy.json:1:1 : this file cannot be read: No such file"), "{lines:?}");
        let (exit, lines) = report(folder.path(), Some("bad.json"));
        assert_eq!(exit, Exit::No);
        assert!(lines[0].starts_with("bad.json:2:14 : this file cannot be read: it is not UTF-8"), "{lines:?}");
        assert_eq!(report(&folder.path().join("nowhere"), None).0, Exit::Failed);
    }
}
