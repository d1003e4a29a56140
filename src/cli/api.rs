//! The API of a running Placet, for the commands that review from a terminal.

use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::Exit;

/// Where the running Placet is and who asks.
#[derive(Clone, Debug, clap::Args)]
pub struct Server {
    /// Address of the running Placet; without it, public_url of placet.toml
    #[arg(long, env = "PLACET_URL", value_name = "URL")]
    server: Option<String>,
    /// File with an API token (from `placet reviewer token EMAIL`); without it, the variable PLACET_TOKEN
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Configuration file
    #[arg(long, default_value = "placet.toml", value_name = "FILE")]
    config: PathBuf,
}

/// What to do without a token that counts.
const GIVE_ONE: &str =
    "make one with `placet reviewer token EMAIL`, then set PLACET_TOKEN to it or give a file with --token-file";

/// A failure, with the exit code that it means.
#[derive(Debug)]
pub struct Failure {
    /// How the command ends.
    pub exit: Exit,
    /// What to tell.
    pub message: String,
}

impl Failure {
    /// Could not tell.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, message: message.into() }
    }
}

/// The token does not count.
pub fn not_accepted() -> Failure {
    let why = "this API token is not accepted: it was mistyped, has expired or was ended";
    Failure::failed(format!("{why}; {GIVE_ONE}"))
}

/// An open API.
#[derive(Debug)]
pub struct Api {
    client: reqwest::Client,
    base: String,
    token: SecretString,
}

impl Server {
    /// Finds address and token.
    ///
    /// # Errors
    /// One of them is not to be had, with how to give it.
    pub fn open(&self) -> Result<Api, Failure> {
        let base = match &self.server {
            Some(url) => url.clone(),
            None => crate::config::Config::load_without_secrets(&self.config)
                .map_err(|problems| {
                    let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
                    Failure::failed(format!("{}\nor give the address with --server URL", problems.join("\n")))
                })?
                .public_url
                .to_string(),
        };
        let token = match &self.token_file {
            Some(file) => std::fs::read_to_string(file)
                .map_err(|error| Failure::failed(format!("{} cannot be read: {error}", file.display())))?,
            None => std::env::var("PLACET_TOKEN").unwrap_or_default(),
        };
        if token.trim().is_empty() {
            return Err(Failure::failed(format!("no API token: {GIVE_ONE}")));
        }
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Failure::failed(format!("no HTTP client could be made: {error}")))?;
        Ok(Api { client, base: base.trim_end_matches('/').to_owned(), token: token.trim().to_owned().into() })
    }
}

impl Api {
    /// The address, without a slash at its end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The token.
    pub fn token(&self) -> &str {
        self.token.expose_secret()
    }

    /// Reads.
    ///
    /// # Errors
    /// Nobody answers, or the answer is a problem.
    pub async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.send(self.client.get(format!("{}{path}", self.base))).await
    }

    /// Writes.
    ///
    /// # Errors
    /// Nobody answers, or the answer is a problem.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let request = self.client.post(format!("{}{path}", self.base)).header("content-type", "application/json");
        self.send(request.body(body.to_string())).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Value, Failure> {
        let response = request.bearer_auth(self.token()).send().await.map_err(|error| {
            Failure::failed(format!("{} does not answer ({error}); is `placet serve` running?", self.base))
        })?;
        let status = response.status();
        let text = response.text().await.map_err(|error| Failure::failed(format!("the answer broke off: {error}")))?;
        if status.is_success() {
            return serde_json::from_str(&text)
                .map_err(|error| Failure::failed(format!("{} answered something else than JSON: {error}", self.base)));
        }
        if status == reqwest::StatusCode::UNAUTHORIZED {
            return Err(not_accepted());
        }
        let problem: Value = serde_json::from_str(&text).unwrap_or_default();
        let words = ["detail", "title"].iter().find_map(|key| problem.get(key).and_then(Value::as_str));
        let exit = if status.is_client_error() { Exit::No } else { Exit::Failed };
        Err(Failure { exit, message: words.map_or_else(|| format!("HTTP {status}"), str::to_owned) })
    }
}

/// Runs a future on a small runtime of this command's own.
pub fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::failed(format!("the runtime did not start: {error}")))?.block_on(future)
}
