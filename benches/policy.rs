//! What a ruling costs: a policy of five hundred entries, half of them globs, each with conditions on arguments, agent and
//! time. `cargo bench --bench policy` prints one table; nothing is asserted.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]
#![expect(clippy::disallowed_methods, reason = "a bench measures with the machine's clock")]

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use placet::call::json::{Limits, read_strict};
use placet::call::{Millis, UpstreamName};
use placet::policy::{Call, Circumstances, Defaults, Policy, parse};

/// Rulings of each kind of call.
const EACH: usize = 200_000;

/// The kinds of calls: what is ruled, and the tool's name, in which `#` is a number.
const KINDS: [(&str, &str); 4] = [
    ("an exact name", "tool_#_run"),
    ("under one glob", "group_#_anything"),
    ("listed nowhere", "nothing_of_the_kind"),
    ("under ten globs", "busy"),
];

/// Ten globs for one name.
const BUSY: [&str; 10] = ["b*", "bu*", "bus*", "*y", "*sy", "b*y", "?usy", "b?sy", "[ab]usy", "*s*"];

/// Every operator, on arguments such as those of `put_user_policy`.
const CONDITIONS: &str = r#""require": [
        {"path": "args.user_name", "op": "regex", "value": "^[a-z][a-z0-9-]{2,40}$"},
        {"path": "args.amount", "op": "lte", "value": 500.25},
        {"path": "args.tags[*].key", "op": "in", "value": ["team", "env", "cost"]},
        {"path": "agent.name", "op": "glob", "value": ["ci-*", "deploy-*"]}],
    "deny_if": [
        {"any": [{"path": "args.policy_name", "op": "eq", "value": "root"},
                 {"all": [{"path": "args.source", "op": "cidr", "value": "10.0.0.0/8"}, {"path": "args.force", "op": "exists"}]}]},
        {"not": {"time": {"zone": "Europe/Berlin", "from": "06:00", "to": "23:00"}}}]"#;

const ARGUMENTS: &str = r#"{"user_name": "build-robot", "policy_name": "deploy", "amount": 499.99, "source": "192.168.1.7",
    "tags": [{"key": "team", "value": "a"}, {"key": "env", "value": "b"}, {"key": "cost", "value": "c"}],
    "policy_document": "{\"Version\": \"2012-10-17\", \"Statement\": []}"}"#;

fn main() {
    // `cargo test --benches` and `cargo bench -- --list` run every bench target too: nothing to do for them.
    if std::env::args().any(|argument| argument == "--test" || argument == "--list") {
        return;
    }
    let policy = policy();
    println!("| call | p50 µs | p99 µs | p99.9 µs |");
    println!("|---|---|---|---|");
    for (kind, name) in KINDS {
        let times = times(&policy, name);
        let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e6;
        println!("| {kind} | {:.2} | {:.2} | {:.2} |", at(0.5), at(0.99), at(0.999));
    }
}

fn policy() -> Policy {
    let mut tools = String::new();
    for number in 0..250 {
        write!(tools, r#""tool_{number}_run": {{{CONDITIONS}}}, "#).expect("a string takes everything");
        // Ten of them match the same name.
        let glob = BUSY.get(number).map_or_else(|| format!("group_{number}_*"), ToString::to_string);
        let when =
            r#""action": "require_approval", "approval": {"when": {"path": "args.amount", "op": "gt", "value": 400}}"#;
        write!(tools, r#""{glob}": {{{CONDITIONS}, {when}}}, "#).expect("a string takes everything");
    }
    let text = format!(r#"{{"version": "1", "tools": {{{}}}}}"#, tools.trim_end_matches([',', ' ']));
    let defaults = Defaults { timeout: Duration::from_secs(900), upstreams: vec![] };
    parse(&text, &defaults).unwrap_or_else(|problems| panic!("{problems:#?}")).policy
}

/// How long each ruling took, the shortest first.
fn times(policy: &Policy, name: &str) -> Vec<Duration> {
    let upstream = UpstreamName::new("iam").expect("a name");
    let document = read_strict(ARGUMENTS.as_bytes(), &Limits::default()).expect("JSON");
    let now = Millis(1_795_000_000_000);
    let around = Circumstances { agent: Some("ci-bot"), owner: Some("o@example.com"), listed: None, now: Some(now) };
    let names: Vec<String> = (0..250).map(|number| name.replace('#', &number.to_string())).collect();
    let mut times = Vec::with_capacity(EACH);
    for at in 0..EACH {
        let tool = names[at % names.len()].as_str();
        let call = Call { arguments: Some(document.root()), around, ..Call::new(&upstream, tool) };
        let begun = Instant::now();
        std::hint::black_box(policy.rule(std::hint::black_box(&call)));
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    times
}
