//! `placet watch`: every change of every call as it happens, over the web socket.

use futures_util::StreamExt as _;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::api::{Failure, Server, block_on, not_accepted};
use super::{Exit, complain, say};

/// Arguments of `placet watch`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    server: Server,
    /// Print JSON, a line each
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: Args) -> Exit {
    match block_on(watch(args)) {
        Ok(()) => Exit::Done,
        Err(Failure { exit, message }) => {
            complain(message);
            exit
        }
    }
}

async fn watch(args: Args) -> Result<(), Failure> {
    let api = args.server.open()?;
    // `http` becomes `ws`, `https` becomes `wss`.
    let url = format!("{}/live", api.base().replacen("http", "ws", 1));
    let bad = |error: &dyn std::fmt::Display| Failure::failed(format!("{url} cannot be watched: {error}"));
    let mut request = url.as_str().into_client_request().map_err(|error| bad(&error))?;
    let token = HeaderValue::from_str(&format!("Bearer {}", api.token())).map_err(|error| bad(&error))?;
    request.headers_mut().insert("authorization", token);
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.map_err(|error| match error {
        Error::Http(response) if response.status() == StatusCode::UNAUTHORIZED => not_accepted(),
        Error::Http(response) if response.status().is_client_error() => {
            Failure { exit: Exit::No, message: format!("{url} refused (HTTP {})", response.status()) }
        }
        error => bad(&error),
    })?;
    complain(format!("watching {url}"));
    while let Some(message) = socket.next().await {
        match message.map_err(|error| bad(&error))? {
            Message::Text(text) if args.json => say(text.as_str()),
            Message::Text(text) => describe(text.as_str()),
            Message::Close(_) => break,
            _ => {}
        }
    }
    Err(Failure::failed("the connection was closed; Placet stopped, or the token ended"))
}

fn describe(text: &str) {
    let event: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    if event["type"] == "call" {
        let word = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        say(format!("{}  {}", word("id"), word("state")));
    }
}
