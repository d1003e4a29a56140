//! MCP servers, and the AWS that one of them needs.

use super::{Env, Program, installed, root, text};

/// An AWS on loopback, empty but for the managed policies.
pub struct Moto {
    /// Where it answers, without a slash at the end.
    pub url: String,
    _program: Program,
}

impl Moto {
    /// Starts one of its own on a free port and returns when it listens.
    pub async fn start() -> Self {
        let command = [installed("python/moto/bin/python"), installed("python/moto/bin/moto_server")];
        let arguments = ["-H", "127.0.0.1", "-p", "0"].map(str::to_owned);
        let env = Env::from([("MOTO_IAM_LOAD_MANAGED_POLICIES".to_owned(), "true".to_owned())]);
        // Its web server tells the chosen port on stderr.
        let shell = ["sh", "-c", r#"exec "$@" 2>&1"#, "moto"].map(str::to_owned);
        let mut program = Program::start(&[&shell[..], &command, &arguments].concat(), &env);
        let lines = program.stdout();
        let url = program
            .wait_for_line(lines, |line| line.split("Running on ").nth(1).map(|url| url.trim().to_owned()))
            .await;
        Self { url, _program: program }
    }

    /// What an AWS client needs in its environment to talk to this one.
    pub fn env(&self) -> Env {
        [
            ("AWS_ENDPOINT_URL", self.url.as_str()),
            ("AWS_ACCESS_KEY_ID", "testing"),
            ("AWS_SECRET_ACCESS_KEY", "testing"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }
}

/// The AWS IAM server over stdio, allowed to write: its command and the whole environment it needs.
pub fn iam_server_command(moto: &Moto) -> (Vec<String>, Env) {
    let command = [
        installed("python/iam/bin/python"),
        installed("python/iam/bin/awslabs.iam-mcp-server"),
        "--allow-write".to_owned(),
    ];
    (command.into(), moto.env())
}

/// The time server over stdio, which speaks both eras.
pub fn time_server_command() -> Vec<String> {
    [installed("python/time/bin/python"), "-m".to_owned(), "mcp_server_time".to_owned()].into()
}

/// The reference server over Streamable HTTP, up to 2025-11-25.
pub struct Everything {
    /// Its MCP endpoint.
    pub url: String,
    _program: Program,
}

/// Starts the reference server on a free port of 127.0.0.1.
pub async fn everything_http() -> Everything {
    let command = [
        "node".to_owned(),
        "--require".to_owned(),
        text(&root().join("tests/components/loopback.cjs")),
        installed("node/node_modules/@modelcontextprotocol/server-everything/dist/index.js"),
        "streamableHttp".to_owned(),
    ];
    let mut program = Program::start(&command, &Env::from([("PORT".to_owned(), "0".to_owned())]));
    let lines = program.stdout();
    let port: u16 = program.wait_for_line(lines, |line| line.strip_prefix("listening ")?.trim().parse().ok()).await;
    Everything { url: format!("http://127.0.0.1:{port}/mcp"), _program: program }
}
