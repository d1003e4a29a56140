//! The work is linear in the input: counted in bytes read, for the input that is worst for each rule.

use super::super::scan::take_steps;
use super::*;

/// Repeated, each makes some rule read on and on for every word, if it can.
pub(super) const PARTS: &[&str] = &[
    "eyJ.",
    "eyJ-",
    "eyJ_a.b.",
    "sk-",
    "password=\\\"",
    "password=' ",
    "password=a,",
    "password=,a=",
    "://",
    "a://a",
    "http://discord.com/",
    "https://hooks.slack.com/",
    "?key=",
    "?sig=a&",
    "&amp;sig=",
    "bearer ",
    "bearer",
    "basic    ",
    "--token ",
    "--",
    "token \"",
    "tokens:[",
    "tokens:{",
    "tokens: [1,",
    "password '",
    "by '",
    "-----BEGIN ",
    "-----BEGIN PRIVATE KE",
    "---- BEGIN ",
    "Private-Lines:",
    "token:",
    "name:\"password\" ",
    "name: password\nvalue: ",
    "value:",
    "AKIA",
    "a/",
    "a+/",
    "\\",
    "\\\"",
    "ghp_a ",
    "$6$a",
    "1:a.",
    "M.a.",
    "<",
    "<a",
    "<a ",
    "<token>",
    "<token>a",
    "<a name=\"",
    "</token>",
    "<token></a>",
    "<a><token>",
    "<key>password</key>",
    "<![CDATA[",
    "a b=\"",
    "mysql -p",
    "mysql -p'",
    "curl -u ",
    "curl -u a:\"",
    "-p\n- ",
    "echo a",
    "echo|",
    "docker login -p \\\n",
    "set TOKEN ",
    "kv put a=",
    "password:\n ",
    "password: |\n  ",
    "tokens:\n- ",
    "- - ",
    "\n---",
    "kind: Secret\n",
    "data:\n a: b\n",
    "a,password\n",
    "password|",
    "\t",
    "(",
    "(password",
    "(password) values (",
    "(a,password) values ('a',",
    "values (('",
    "Ym9iOmh1",
    "QUFB/",
    "ZXlK",
    "QUJDREVG\n",
    "[",
    "{\"",
    "••• masked",
    "é",
];

/// More steps for each byte than this are more than all rules together take on their way through a text, for each of
/// the texts inside texts.
const STEPS: usize = 150;

fn steps_for(text: &str) -> usize {
    take_steps();
    let _ = mask_text(text);
    let plain = take_steps();
    let _ = mask_json(&format!("{{\"a\":{}}}", quote(text)));
    plain.max(take_steps())
}

#[test]
fn worst_inputs_take_linear_time() {
    let mut wrong = Vec::new();
    for part in PARTS {
        for before in ["", "password=", "mysql ", "password:\n  - ", "(password) values (", "<token>"] {
            let text = |length: usize| format!("{before}{}", part.repeat(length / part.len()));
            let (short, long) = (steps_for(&text(1_000)), steps_for(&text(8_000)));
            if long > 8_000 * STEPS || long > short * 10 + 8_000 {
                wrong.push(format!("{before:?} {part:?}: {short} and {long} steps"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn worst_documents_take_linear_time() {
    // The tree's own work has no counter, so these only must not take for ever.
    let many = |part: &str| vec![part; 4_000].join(",");
    let keyed = |key: &str| (0..4_000).map(|n| format!("\"{key}{n}\":true")).collect::<Vec<_>>().join(",");
    for text in [
        format!("{{\"headers\":[{}]}}", many("\"password\"")),
        format!("[{}]", many("[\"password\",\"x\"]")),
        format!("{{\"tokens\":{{{}}}}}", keyed("a")),
        format!("{{\"tokens\":{{{}}}}}", keyed("••• masked ")),
        format!("{{\"columns\":[{}],\"rows\":[[{}]]}}", many("\"password\""), many("\"x\"")),
        format!("{{{}}}", keyed("password=")),
    ] {
        assert!(contains_secret(&text));
        assert!(read(&mask_json(&text)).is_some(), "no key occurs twice");
    }
}
