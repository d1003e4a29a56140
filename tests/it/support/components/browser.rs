//! A real Chromium, around the programs in `tests/browser`.

use serde_json::Value;
use tokio::io::{BufReader, Lines};
use tokio::process::ChildStdout;

use super::{Env, PATIENCE, Program, installed, root, text};

/// A program of `tests/browser`, with a real Chromium; killed when dropped.
pub struct Browser {
    program: Program,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Browser {
    /// Starts `tests/browser/{script}` with `args`, and `env` added to the environment.
    pub fn start(script: &str, args: &[&str], env: &Env) -> Self {
        let _ = installed("node/load.mjs");
        let script = text(&root().join("tests/browser").join(script));
        let command = ["node".to_owned(), script].into_iter().chain(args.iter().map(|arg| (*arg).to_owned()));
        let mut program = Program::start(&command.collect::<Vec<_>>(), env);
        let lines = program.stdout();
        Self { program, lines }
    }

    /// The next JSON line that it prints; the test fails with its complaint where it ends instead.
    pub async fn next(&mut self) -> Value {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await.expect("the browser goes on in time");
        let Some(line) = line.expect("stdout is readable") else {
            let status = self.program.child.wait().await.expect("its status is known");
            panic!("the browser program ended: {status}\n{}", self.program.said());
        };
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("not JSON ({error}): {line}"))
    }

    /// Reads on until `{"event": name, …}`.
    pub async fn event(&mut self, name: &str) -> Value {
        loop {
            let line = self.next().await;
            if line["event"] == name {
                return line;
            }
        }
    }

    /// Waits for its end: the last line, and whether the program says that all was well.
    pub async fn end(mut self) -> (Value, bool) {
        let mut last = Value::Null;
        let in_time = "the browser goes on in time";
        while let Ok(Some(line)) = tokio::time::timeout(PATIENCE, self.lines.next_line()).await.expect(in_time) {
            last = serde_json::from_str(&line).unwrap_or_else(|error| panic!("not JSON ({error}): {line}"));
        }
        let status = tokio::time::timeout(PATIENCE, self.program.child.wait()).await.expect(in_time);
        let status = status.expect("its status is known");
        assert!(!last.is_null(), "{}: {status}\n{}", self.program.name, self.program.said());
        (last, status.success())
    }

    /// As [`Browser::end`]; the test fails where the program does.
    pub async fn finish(self) -> Value {
        let (last, succeeded) = self.end().await;
        assert!(succeeded, "{last:#}");
        last
    }
}
