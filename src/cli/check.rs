//! `placet check`: what is wrong with placet.toml and the policy, all of it, one problem a line. Groups and numbers of
//! reviewers are judged by the accounts in the data folder, once there are any; anchors by what is on this machine.

mod anchors;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::files::Files;
use super::identity::perform;
use super::{Exit, complain, say};
use crate::call::json;
use crate::config::{Config, ConfigProblem, Partial, unreadable};
use crate::control::{Command, Reply, ReviewerLine};
use crate::policy::{self, Asked, Defaults, Policy, Problem, Severity, Syntax};

/// Arguments of `placet check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    files: Files,
    /// Print a JSON list
    #[arg(long)]
    json: bool,
    /// Print the policy in its canonical form, whatever form and syntax it has; problems go to stderr
    #[arg(long, conflicts_with = "json")]
    print: bool,
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
    /// The policy as it is printed, if it is valid and to be printed.
    canonical: Option<String>,
}

/// Checks both files and prints what is wrong with them.
pub fn run(args: &Args) -> Exit {
    let report = check(args);
    if args.print {
        report.problems.iter().for_each(complain);
        report.canonical.iter().for_each(|text| say(text.trim_end()));
        return report.exit();
    }
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
    // A file that cannot be read has no lines; in JSON they count from 1 all the same.
    Line { severity: *severity, file, line: (*line).max(1), column: (*column).max(1), pointer, message, hint }
}

fn check(args: &Args) -> Report {
    let mut report = Report::default();
    let (config, known) = match args.files.config() {
        Some(file) => report.config(&file),
        None => (None, Some(Partial::default())),
    };
    let path = args.files.policy.clone().or_else(|| known.as_ref().map(|known| known.policy.clone()));
    if let Some(path) = path
        && let Some((text, policy)) = report.policy(&path, known.unwrap_or_default())
    {
        report.canonical = args.print.then(|| policy.print());
        let Some(config) = config else { return report };
        let people = reviewers(&config);
        let problems =
            policy.asked().iter().flat_map(|asked| judge(Syntax::of(&path), &text, asked, &people)).collect::<Vec<_>>();
        report.problems.extend(problems.into_iter().map(|problem| ConfigProblem { file: path.clone(), problem }));
    }
    report
}

/// Who can decide: live accounts in the role. Nobody where there is no database, which is not made for this.
fn reviewers(config: &Config) -> Vec<ReviewerLine> {
    if !config.data_dir.join("placet.db").exists() {
        return Vec::new();
    }
    let live = |one: &ReviewerLine| one.disabled_at.is_none() && one.roles.iter().any(|role| role == "reviewer");
    match perform(config, &|| Command::ReviewerList) {
        Ok(Reply::Reviewers { reviewers }) => reviewers.into_iter().filter(live).collect(),
        Ok(_) | Err(_) => {
            complain("so groups and numbers of reviewers were not judged");
            Vec::new()
        }
    }
}

/// What these people cannot do of what the policy asks. Where nobody is known nothing is judged.
fn judge(syntax: Syntax, text: &str, asked: &Asked, people: &[ReviewerLine]) -> Vec<Problem> {
    if people.is_empty() {
        return Vec::new();
    }
    let problem = |pointer: String, message: String, hint: &str| {
        let (line, column) = policy::place(syntax, text, &pointer).unwrap_or((1, 1));
        Problem { severity: Severity::Error, line, column, pointer, message, hint: Some(hint.to_owned()) }
    };
    let mut problems = Vec::new();
    for (key, groups) in [("reviewers", &asked.reviewers), ("escalate_to", &asked.escalate_to)] {
        for (at, group) in groups.iter().enumerate() {
            if !people.iter().any(|one| one.groups.iter().any(|own| own == group.as_str())) {
                let message = format!("no reviewer is in the group {group}");
                let hint =
                    "`placet reviewer list` shows the groups; `placet reviewer add EMAIL --group G` adds someone";
                problems.push(problem(format!("{}/{key}/{at}", asked.pointer), message, hint));
            }
        }
    }
    let in_a_group = |one: &&ReviewerLine| {
        asked.reviewers.is_empty()
            || asked.reviewers.iter().any(|group| one.groups.iter().any(|own| own == group.as_str()))
    };
    let (able, needed) = (people.iter().filter(in_a_group).count(), usize::from(asked.quorum.approvals()));
    if able > 0 && able < needed {
        let message = format!("{needed} approvals are asked for, but only {able} may decide");
        problems.push(problem(format!("{}/approvals", asked.pointer), message, "ask for fewer, or add reviewers"));
    }
    problems
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

    /// Checks the configuration: all of it if it is valid, and what of it the policy needs if it can be opened.
    fn config(&mut self, path: &Path) -> (Option<Config>, Option<Partial>) {
        let Some(text) = self.read(path) else { return (None, None) };
        let (config, partial) = Config::check(&text, path);
        match config {
            Ok(mut config) => {
                self.problems.append(&mut config.warnings);
                self.problems.extend(anchors::unusable(&config, &text, path));
                (Some(config), Some(partial))
            }
            Err(problems) => {
                self.problems.extend(problems);
                (None, Some(partial))
            }
        }
    }

    /// Checks the policy; gives its text and itself if it is valid.
    fn policy(&mut self, path: &Path, known: Partial) -> Option<(String, Policy)> {
        let text = self.read(path)?;
        let defaults = Defaults { timeout: known.timeout, upstreams: known.upstreams };
        let (policy, problems) = match policy::parse_as(Syntax::of(path), &text, &defaults) {
            Ok(parsed) => (Some(parsed.policy), parsed.warnings),
            Err(problems) => (None, problems),
        };
        let found = |problem| ConfigProblem { file: path.to_owned(), problem };
        self.problems.extend(problems.into_iter().map(found));
        Some((text, policy?))
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
        let files = Files { config: Some(folder.join("placet.toml")), policy };
        let report = check(&Args { files, json: false, print: false });
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
    fn an_anchor_that_would_get_nothing_is_an_error_where_it_stands() {
        let anchors = "[[anchors]]\nurl = \"https://witness.example.com/x\"\n[[anchors]]\nfile = \"none/notes\"\n";
        let folder = folder(&[("placet.toml", &[CONFIG, anchors.as_bytes()].concat()), ("policy.json", POLICY)]);
        let (exit, lines) = report(folder.path(), None);
        assert_eq!((exit, lines.len()), (Exit::No, 1), "{lines:?}");
        assert!(lines[0].starts_with("placet.toml:7:8 /anchors/1/file: the folder "), "{lines:?}");
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
    fn groups_and_quorums_are_judged_by_who_there_is() {
        let text = r#"{"version": "1", "tools": {
            "x": {"action": "require_approval", "approval": {"approvals": 3, "reviewers": ["iam", "none"]}},
            "y": {"action": "require_approval", "approval": {"on_timeout": "escalate", "escalate_to": ["gone"]}},
            "z": {"action": "require_approval", "approval": {"approvals": 3}}}}"#;
        let defaults = Defaults { timeout: std::time::Duration::from_secs(1), upstreams: Vec::new() };
        let policy = policy::parse(text, &defaults).unwrap().policy;
        let one = |groups: &[&str]| ReviewerLine {
            email: String::new(),
            name: String::new(),
            roles: vec!["reviewer".to_owned()],
            groups: groups.iter().map(ToString::to_string).collect(),
            disabled_at: None,
            changed_by_hand: false,
        };
        let judged = |people: &[ReviewerLine]| -> Vec<_> {
            let problems =
                policy.asked().iter().flat_map(|asked| judge(Syntax::Json, text, asked, people)).collect::<Vec<_>>();
            problems.iter().map(|p| format!("{}:{} {}: {}", p.line, p.column, p.pointer, p.message)).collect()
        };
        assert!(judged(&[]).is_empty());
        let expected = [
            "2:99 /tools/x/approval/reviewers/1: no reviewer is in the group none",
            "2:75 /tools/x/approval/approvals: 3 approvals are asked for, but only 2 may decide",
            "3:104 /tools/y/approval/escalate_to/0: no reviewer is in the group gone",
        ];
        assert_eq!(judged(&[one(&["iam"]), one(&["iam", "b"]), one(&[])]), expected);
    }

    #[test]
    fn what_cannot_be_opened_cannot_be_judged_and_what_is_no_text_is_wrong() {
        let folder = folder(&[("placet.toml", CONFIG), ("bad.json", b"{\n \"version\": \"\xff\"}")]);
        let (exit, lines) = report(folder.path(), None);
        assert_eq!(exit, Exit::Failed);
        assert!(lines[0].starts_with("policy.json: there is no such file (`placet init` writes"), "{lines:?}");
        let (exit, lines) = report(folder.path(), Some("bad.json"));
        assert_eq!(exit, Exit::No);
        assert!(lines[0].starts_with("bad.json:2:14 : this file cannot be read: it is not UTF-8"), "{lines:?}");
        assert_eq!(report(&folder.path().join("nowhere"), None).0, Exit::Failed);
    }
}
