//! A command of the binary, run to its end.

use std::process::Stdio;

use tokio::process::Command;

/// What a command said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs `placet` with these arguments.
pub(crate) async fn placet(arguments: &[&str]) -> Said {
    run(env!("CARGO_BIN_EXE_placet"), arguments).await
}

/// Runs a program with these arguments.
pub(crate) async fn run(program: &str, arguments: &[&str]) -> Said {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}
