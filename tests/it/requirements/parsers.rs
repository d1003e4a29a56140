//! What Placet's reader takes, Python's and Node's read alike; what they read differently, it refuses.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use placet::call::json::{Kind, Limits, Node, read_strict};

use crate::support::dice::Dice;

/// Documents that begin well; the dice spoil most of them.
const SEEDS: [&str; 12] = [
    r#"{"a":1,"b":[true,false,null],"c":{"d":"e"}}"#,
    r#"{"n":[0,-0,1e5,1E+2,-1.5e-7,9007199254740993,1e400,123456789012345678901234567890]}"#,
    r#"{"s":"\u0041\ud83d\ude00\n\t\"\\\/","t":"é😀"}"#,
    r#"[[[[[[[[]]]]]]]]"#,
    r#"{"":"","__proto__":1,"constructor":{},"1":2,"0":3}"#,
    " { \"a\" : \"b\" , \"c\" : [ ] } \r\n",
    r#"{"a":1,"a":2}"#,
    r#"["\ud800","\udc00\ud800"]"#,
    r#"[NaN,Infinity,-Infinity]"#,
    r#"{"a":1,}"#,
    "\u{feff}{}",
    "[1 /* two */, 'three', 04, +5, .6, 7., 0x8]",
];

/// What the dice put in.
const BITS: [&str; 24] = [
    "\"", "\\", "{", "}", "[", "]", ",", ":", "0", "-", ".", "e", "\\u", "\\ud800", "\0", "\u{7f}", "\u{2028}", "//",
    "NaN", "null", "tru", " ", "\u{a0}", "\"a\":1,",
];

fn documents() -> Vec<Vec<u8>> {
    let mut dice = Dice::new(3);
    let mut documents: Vec<_> = SEEDS.iter().map(|text| text.as_bytes().to_vec()).collect();
    for _ in 0..1500 {
        let mut bytes = dice.one_of(&SEEDS).as_bytes().to_vec();
        for _ in 0..=dice.throw(2) {
            let at = usize::try_from(dice.throw(bytes.len() as u64 + 1)).unwrap();
            match dice.throw(4) {
                0 => drop(bytes.splice(at..at, dice.one_of(&BITS).bytes())),
                1 if at < bytes.len() => drop(bytes.remove(at)),
                2 if at < bytes.len() => bytes[at] ^= 1 << dice.throw(8),
                _ => {
                    let piece = bytes[at..].iter().take(5).copied().collect::<Vec<_>>();
                    drop(bytes.splice(at..at, piece));
                }
            }
        }
        documents.push(bytes);
    }
    documents
}

/// A value so that every program writes the same one alike: numbers as the bits of a double, text as UTF-16 in
/// hexadecimal, members in the order of that.
fn dump(node: &Node<'_>, out: &mut String) {
    let hex = |text: &str| text.encode_utf16().map(|unit| format!("{unit:04x}")).collect::<String>();
    match &node.kind {
        Kind::Null => out.push('n'),
        Kind::Bool(true) => out.push('t'),
        Kind::Bool(false) => out.push('f'),
        Kind::Number(text) => out.push_str(&format!("#{:016x}", text.parse::<f64>().unwrap().to_bits())),
        Kind::String(text) => out.push_str(&format!("\"{}", hex(text))),
        Kind::Array(items) => {
            out.push('[');
            for item in items {
                dump(item, out);
                out.push(',');
            }
            out.push(']');
        }
        Kind::Object(members) => {
            let mut members: Vec<_> = members.iter().map(|member| (hex(&member.key), &member.value)).collect();
            members.sort_by(|a, b| a.0.cmp(&b.0));
            out.push('{');
            for (key, value) in members {
                out.push_str(&format!("{key}:"));
                dump(value, out);
                out.push(',');
            }
            out.push('}');
        }
    }
}

/// What another program makes of the documents: a line each, `-` where it refuses.
fn ask(program: &str, script: &str, documents: &[Vec<u8>]) -> Vec<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/requirements").join(script);
    let child = Command::new(program).arg(&script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child =
        child.unwrap_or_else(|error| panic!("{program} does not start ({error}); tests/run says how to get it"));
    let mut input = child.stdin.take().unwrap();
    let lines: String = documents
        .iter()
        .map(|document| {
            let hex: String = document.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{hex}\n")
        })
        .collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "{program} failed");
    let answers: Vec<_> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(answers.len(), documents.len(), "{program}");
    answers
}

#[test]
fn what_is_taken_is_read_alike_by_python_and_node() {
    let documents = documents();
    let (python, node) = (ask("python3", "dump.py", &documents), ask("node", "dump.mjs", &documents));
    let (mut taken, mut refused, mut quarrels) = (0, 0, 0);
    for (at, document) in documents.iter().enumerate() {
        quarrels += u32::from(python[at] != node[at]);
        let text = String::from_utf8_lossy(document);
        match read_strict(document, &Limits::default()) {
            Ok(read) => {
                taken += 1;
                let mut ours = String::new();
                dump(read.root(), &mut ours);
                assert_eq!(python[at], ours, "Python reads otherwise: {text:?}");
                assert_eq!(node[at], ours, "Node reads otherwise: {text:?}");
            }
            Err(_) => refused += 1,
        }
    }
    // The dice made enough of each kind for this to mean something.
    assert!(taken > 100 && refused > 300 && quarrels > 5, "{taken} taken, {refused} refused, {quarrels} quarrels");
}
