//! What limits cost: reservations from one to eight threads, on one counter that all share and on counters of their own,
//! of calls counted and amounts added up, in fixed and sliding windows. `cargo bench --bench limits` prints one table;
//! nothing is asserted.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]
#![expect(clippy::disallowed_methods, reason = "a bench measures with the machine's clock")]

use std::sync::Mutex;
use std::time::{Duration, Instant};

use placet::call::json::{Limits, read_strict};
use placet::call::{AgentId, Millis, UpstreamName};
use placet::policy::{Call, Counters, Defaults, LimitScope, Policy, parse};
use uuid::Uuid;

/// Reservations of each thread in one round.
const EACH: usize = 50_000;
const ROUNDS: usize = 5;

/// What is measured: its name, and the limits of the tool `x`.
const LIMITS: [(&str, &str); 4] = [
    ("one, fixed", r#"{"counter": "a", "window": "day", "max": 9000000000, "scope": "SCOPE"}"#),
    ("one, sliding", r#"{"counter": "a", "window": "hour", "sliding": true, "max": 9000000000, "scope": "SCOPE"}"#),
    (
        "a sum, sliding",
        r#"{"counter": "a", "window": "hour", "sliding": true, "add": "args.n", "max": 1e300, "scope": "SCOPE"}"#,
    ),
    (
        "three of them",
        r#"{"counter": "a", "window": "minute", "max": 9000000000, "scope": "SCOPE"},
           {"counter": "b", "window": "day", "sliding": true, "max": 9000000000, "scope": "SCOPE"},
           {"counter": "c", "window": "day", "add": "args.n", "max": 1e300, "scope": "SCOPE"}"#,
    ),
];

fn main() {
    // `cargo test --benches` and `cargo bench -- --list` run every bench target too: nothing to do for them.
    if std::env::args().any(|argument| argument == "--test" || argument == "--list") {
        return;
    }
    println!("| limits | threads | one counter for all, /s | a counter for each, /s |");
    println!("|---|---|---|---|");
    for (name, limits) in LIMITS {
        for threads in [1, 2, 8] {
            let rates = ["global", "agent"].map(|scope| {
                let policy = policy(&limits.replace("SCOPE", scope));
                let mut rates: Vec<_> = (0..=ROUNDS).map(|_| rate(&policy, threads)).skip(1).collect();
                rates.sort_by(f64::total_cmp);
                rates[rates.len() / 2]
            });
            println!("| {name} | {threads} | {:.0} | {:.0} |", rates[0], rates[1]);
        }
    }
}

fn policy(limits: &str) -> Policy {
    let text = format!(r#"{{"version": "1", "tools": {{"x": {{"limits": [{limits}]}}}}}}"#);
    let defaults = Defaults { timeout: Duration::from_secs(900), upstreams: vec![] };
    parse(&text, &defaults).expect("a valid policy").policy
}

/// Reservations a second: found in the policy, reserved, and made ready to be written down.
fn rate(policy: &Policy, threads: usize) -> f64 {
    let (counters, upstream) = (Mutex::new(Counters::new()), UpstreamName::new("iam").expect("a name"));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (counters, upstream) = (&counters, &upstream);
            scope.spawn(move || {
                let document = read_strict(br#"{"n": 12.34}"#, &Limits::default()).expect("JSON");
                let (agent, arguments) = (AgentId(Uuid::from_u128(thread as u128)), Some(document.root()));
                for at in 0..EACH {
                    let limits = policy.limits(&Call { arguments, ..Call::new(upstream, "x") });
                    let who = LimitScope { agent, upstream, tool: "x", arguments };
                    // An hour passes in a round, so that sliding windows have all their parts.
                    let now = Millis((at * 3_600_000 / EACH) as i64);
                    let reserved = counters.lock().expect("no panic").reserve(&limits, &who, now);
                    std::hint::black_box(reserved.expect("there is room").kept());
                }
            });
        }
    });
    (threads * EACH) as f64 / begun.elapsed().as_secs_f64()
}
