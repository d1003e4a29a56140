//! `placet test`: what the policy makes of calls, written down in a file or recorded in the log, without a server.

mod line;
mod recorded;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use self::line::{Asked, Expected};
use super::files::Files;
use super::{Exit, complain, say, visible};
use crate::call::{Millis, UpstreamName};
use crate::clock::Clock;
use crate::config::{Config, ConfigProblem, Partial, unreadable};
use crate::policy::duration::positive_duration;
use crate::policy::rehearse::{Decision, Rehearsal, Ruled};
use crate::policy::{self, Call, Circumstances, Defaults, Policy, Severity, Syntax, ToolFacts};

/// As many lines are told in the summary; the others are counted.
const MOST_TOLD: usize = 20;

/// Arguments of `placet test`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A file with a call on each line, {"tool", "arguments", "agent", "upstream", "at", "expect"}, all but the tool
    /// optional; or {"method", "params", …}. `-` reads standard input
    #[arg(value_name = "CALLS.jsonl", required_unless_present = "recorded", conflicts_with = "recorded")]
    calls: Option<PathBuf>,
    /// In place of a file: the calls that the log tells of, from the last days, as 7d (or 12h), and what would change
    #[arg(long, value_name = "DAYS", value_parser = days)]
    recorded: Option<Duration>,
    #[command(flatten)]
    files: Files,
    /// Print a JSON object for each call; with --recorded one object
    #[arg(long)]
    json: bool,
}

/// `7d`, `12h`, or a number of days.
fn days(text: &str) -> Result<Duration, String> {
    let bare = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    positive_duration(&if bare { format!("{text}d") } else { text.to_owned() })
        .map_err(|why| format!("{why}; write days, as 7d"))
}

/// Rules the calls and prints what became of each.
pub fn run(args: &Args) -> Exit {
    match work(args) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn work(args: &Args) -> Result<Exit, Exit> {
    let config = config(args)?;
    let policy = policy(args, config.as_ref())?;
    if let Some(span) = args.recorded {
        let Some(config) = config else {
            complain("placet.toml: there is no such file; it names the data folder with the recorded calls (--config)");
            return Err(Exit::Failed);
        };
        return recorded::run(&config.data_dir, &policy, span, args.json);
    }
    let calls = args.calls.as_deref().unwrap_or(Path::new("-"));
    let text = read(calls).map_err(|error| {
        complain(unreadable_calls(calls, &error));
        Exit::Failed
    })?;
    let upstreams: Vec<_> =
        config.iter().flat_map(|config| &config.upstreams).map(|upstream| upstream.name.clone()).collect();
    Ok(rehearse(&text, &policy, &upstreams, args.json))
}

fn read(calls: &Path) -> std::io::Result<Vec<u8>> {
    if calls != Path::new("-") {
        return std::fs::read(calls);
    }
    let mut text = Vec::new();
    std::io::stdin().lock().read_to_end(&mut text)?;
    Ok(text)
}

fn unreadable_calls(path: &Path, error: &std::io::Error) -> String {
    let mut found = unreadable(path, error);
    found.problem.hint = Some("name a file with a call on each line, such as {\"tool\": \"get_user\"}".to_owned());
    found.to_string()
}

/// The configuration; `None` where a policy is tried by itself and none lies about.
fn config(args: &Args) -> Result<Option<Config>, Exit> {
    let Some(path) = args.files.config() else { return Ok(None) };
    if let Err(error) = std::fs::read(&path) {
        complain(unreadable(&path, &error));
        return Err(Exit::Failed);
    }
    Config::load_without_secrets(&path).map(Some).map_err(|problems| {
        problems.iter().for_each(complain);
        Exit::No
    })
}

/// The policy, if it is valid; what is wrong with it is told.
fn policy(args: &Args, config: Option<&Config>) -> Result<Policy, Exit> {
    let partial = Partial::default();
    let path =
        args.files.policy.clone().or_else(|| config.map(|config| config.policy.clone())).unwrap_or(partial.policy);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        complain(unreadable(&path, &error));
        // Text that is none is a policy that is wrong; a file that does not open is none that could be judged.
        if error.kind() == std::io::ErrorKind::InvalidData { Exit::No } else { Exit::Failed }
    })?;
    let defaults = Defaults {
        timeout: config.map_or(partial.timeout, |config| config.hold.timeout),
        upstreams: config.iter().flat_map(|c| &c.upstreams).map(|upstream| upstream.name.clone()).collect(),
    };
    policy::parse_as(Syntax::of(&path), &text, &defaults).map(|parsed| parsed.policy).map_err(|problems| {
        let errors = problems.into_iter().filter(|problem| problem.severity == Severity::Error);
        errors.for_each(|problem| complain(ConfigProblem { file: path.clone(), problem }));
        Exit::No
    })
}

/// What became of one line.
struct Judged {
    /// What it asks, in a word.
    what: String,
    ruled: Ruled,
    /// Why it is not as expected.
    differs: Option<String>,
}

/// Rules every line, in order.
fn rehearse(text: &[u8], policy: &Policy, upstreams: &[UpstreamName], json: bool) -> Exit {
    let mut rehearsal = Rehearsal::new(policy);
    let mut at = Clock::system().now();
    let (mut lines, mut differing) = (0, Vec::new());
    for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        lines += 1;
        let judged = judge(&mut rehearsal, line, upstreams, &mut at);
        print(number, &judged, json);
        differing.extend(judged.differs.map(|why| format!("line {number}: {}: {why}", judged.what)));
    }
    if lines == 0 {
        complain("there is no call in this file, so nothing was ruled");
    }
    if differing.is_empty() {
        return Exit::Done;
    }
    complain(format!("{} of {lines} lines are not ruled as expected:", differing.len()));
    differing.iter().take(MOST_TOLD).for_each(complain);
    if let Some(more) = differing.len().checked_sub(MOST_TOLD).filter(|more| *more > 0) {
        complain(format!("and {more} more"));
    }
    if upstreams.is_empty() {
        let somewhere = line::SOMEWHERE;
        complain(format!(
            "no placet.toml was read, so a line without \"upstream\" goes to one that is called {somewhere}"
        ));
    }
    Exit::No
}

/// Rules one line, and moves the time on to the one that it names.
fn judge(rehearsal: &mut Rehearsal<'_>, line: &[u8], upstreams: &[UpstreamName], at: &mut Millis) -> Judged {
    let document = line::document(line);
    let read = match &document {
        Ok(document) => line::line(document, upstreams),
        Err(why) => Err(why.clone()),
    };
    let (what, ruled) = match read {
        Err(why) => ("cannot be accepted".to_owned(), Ruled::unacceptable(why)),
        Ok(line) => {
            *at = line.at.unwrap_or(*at);
            match line.asked {
                Asked::Tool { tool, arguments } => {
                    // Owners, and what servers say of their tools, are not known here.
                    let named = ToolFacts::named(&line.upstream, tool);
                    let (agent, listed, now) = (Some(line.agent), Some(&named), Some(*at));
                    let around = Circumstances { agent, listed, now, owner: None };
                    let call = Call { upstream: &line.upstream, tool, arguments, around };
                    (visible(tool), rehearsal.call(line.agent, &call, *at))
                }
                Asked::Method(method) => (visible(method), rehearsal.method(line.agent, &line.upstream, method, *at)),
            }
        }
    };
    let differs = match line::expected(line) {
        Expected::Nothing => None,
        Expected::Decision(expected) if expected == ruled.decision => None,
        Expected::Decision(expected) => {
            let rule = ruled.rule.as_ref().map_or_else(String::new, |rule| format!(" ({})", visible(rule)));
            Some(format!("{}{rule}, expected {expected}", ruled.decision))
        }
        Expected::Unreadable(why) => Some(why),
    };
    Judged { what, ruled, differs }
}

fn print(number: usize, judged: &Judged, json: bool) {
    let Judged { what, ruled: Ruled { decision, rule, reason, .. }, differs } = judged;
    if rule.is_none() {
        let why = reason.as_deref().unwrap_or_default();
        complain(format!("line {number} cannot be accepted, so it is denied: {}", visible(why)));
    }
    if json {
        return say(json!({"ruling": decision.as_str(), "rule": rule, "reason": reason}));
    }
    let rule = rule.as_ref().map_or_else(String::new, |rule| format!(" {}", visible(rule)));
    let reason = reason.as_ref().map_or_else(String::new, |reason| format!(": {}", visible(reason)));
    let mark = if differs.is_some() { "  ← not as expected" } else { "" };
    say(format!("{number}: {what}: {decision}{rule}{reason}{mark}"));
}

/// What a decision is called where it is told of calls that were made.
fn done(ruled: &Ruled) -> crate::store::Made {
    use crate::store::Made;
    match ruled.decision {
        Decision::Allow => Made::Allowed,
        Decision::RequireApproval => Made::Held,
        Decision::Deny if ruled.limited => Made::Limited,
        Decision::Deny => Made::Denied,
    }
}
