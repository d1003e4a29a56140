//! Policy files and calls. The input is a file (JSON, or YAML behind a first `#`), and behind a NUL the arguments of a
//! call. Whatever it is, an answer comes; a file that is read says the same in its canonical form, in either syntax.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use placet::call::json::{Limits, read_strict};
use placet::call::{Millis, UpstreamName};
use placet::policy::{Call, Circumstances, Defaults, Policy, Ruling, Syntax, parse_as};

fuzz_target!(|input: &str| {
    let (file, arguments) = input.split_once('\0').unwrap_or((input, "{}"));
    let syntax = if file.starts_with('#') { Syntax::Yaml } else { Syntax::Json };
    let upstreams = ["iam", "s3"].map(|name| UpstreamName::new(name).expect("a name")).to_vec();
    let defaults = Defaults { timeout: Duration::from_secs(900), upstreams };
    let read = |syntax, text: &str| parse_as(syntax, text, &defaults);
    let policy = match read(syntax, file) {
        Ok(parsed) => parsed.policy,
        Err(problems) => {
            assert!(!problems.is_empty(), "a refusal has a reason");
            problems.iter().for_each(|problem| assert!(problem.line > 0 && problem.column > 0, "{problem}"));
            return;
        }
    };
    let printed = policy.print();
    let canonical = read(Syntax::Json, &printed).unwrap_or_else(|problems| panic!("{printed}\n{problems:#?}")).policy;
    let as_yaml = read(Syntax::Yaml, &printed).unwrap_or_else(|problems| panic!("{printed}\n{problems:#?}")).policy;
    assert_eq!(canonical.print(), printed, "what is canonical stays as it is");
    for tool in ["x", "y", "put_user_policy", "iam/x", "s3/x", "a/b", ""] {
        let ruling = ruled(&policy, &defaults, tool, arguments);
        assert_eq!(kind(&ruled(&canonical, &defaults, tool, arguments)), kind(&ruling), "{tool}\n{printed}");
        assert_eq!(kind(&ruled(&as_yaml, &defaults, tool, arguments)), kind(&ruling), "{tool}\n{printed}");
        let outline = policy.outline(&defaults.upstreams[0], tool);
        if kind(&outline.ruling) == "denied" {
            assert_eq!(kind(&ruling), "denied", "what is denied whatever the arguments is denied with these");
        }
    }
});

fn ruled(policy: &Policy, defaults: &Defaults, tool: &str, arguments: &str) -> Ruling {
    let upstream = &defaults.upstreams[0];
    let around = Circumstances { agent: Some("bot"), owner: Some("o@example.com"), listed: None, now: Some(Millis(0)) };
    let document = read_strict(arguments.as_bytes(), &Limits::default()).ok();
    let arguments = document.as_ref().map(|document| document.root());
    let call = Call { arguments, around, ..Call::new(upstream, tool) };
    let _ = policy.limits(&call);
    policy.rule(&call)
}

fn kind(ruling: &Ruling) -> &'static str {
    match ruling {
        Ruling::Allow { .. } => "allowed",
        Ruling::Deny { .. } => "denied",
        Ruling::RequireApproval { .. } => "held",
    }
}
