//! Placet's own requests on a link: sent under an id of Placet's, waited for, and called off.

use std::borrow::Cow;
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::envelope::{Envelope, Key, has_meta};
use super::router::{Sender, asks_for_input};
use super::{Exchange, Link, Message, SendError, UpstreamError};
use crate::call::json::quote;
use crate::call::{Answer, Era};

/// The stateless revision.
pub(super) const STATELESS: &str = "2026-07-28";
/// How long an upstream may take to say how a request ended that was called off.
const AFTER_CANCEL: Duration = Duration::from_secs(10);
/// How long an agent may take to hear one message.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the word that a request is called off may take to leave.
const CALLING_OFF: Duration = Duration::from_secs(1);

/// One request of Placet's.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    /// Needs no escapes in JSON.
    pub(super) id: &'a str,
    pub(super) method: &'a str,
    pub(super) params: &'a str,
    pub(super) headers: &'a [(String, String)],
    pub(super) deadline: Duration,
    /// Takes what the upstream says before its answer.
    pub(super) relay: Option<mpsc::Sender<Message>>,
    pub(super) cancel: CancellationToken,
}

impl<'a> Ask<'a> {
    pub(super) fn new(
        id: &'a str,
        method: &'a str,
        params: &'a str,
        headers: &'a [(String, String)],
        deadline: Duration,
    ) -> Self {
        Self { id, method, params, headers, deadline, relay: None, cancel: CancellationToken::new() }
    }
}

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// It did not leave, or not surely.
    Send(UpstreamError),
    /// It left, and nothing came back.
    Unknown(String),
    /// The upstream answered with an HTTP error that holds no JSON-RPC answer.
    Refused(u16),
}

impl From<UpstreamError> for Failure {
    fn from(error: UpstreamError) -> Self {
        Self::Send(error)
    }
}

impl From<Failure> for SendError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Send(error) => error.into(),
            Failure::Unknown(why) => Self::Unknown(why),
            Failure::Refused(status) => {
                Self::Unknown(format!("the upstream answered with HTTP status {status} and did not say whether it ran"))
            }
        }
    }
}

impl Link {
    /// Sends the request and waits for its answer, its cancel or the deadline.
    pub(super) async fn ask(&self, ask: Ask<'_>) -> Result<Answer, Failure> {
        let conversation = self.converse(&ask);
        tokio::pin!(conversation);
        tokio::select! {
            answer = &mut conversation => return answer,
            () = self.clock.sleep(ask.deadline) => {
                self.call_off(&ask).await;
                let seconds = ask.deadline.as_secs_f32();
                return Err(Failure::Unknown(format!("the upstream gave no answer within {seconds} s")));
            }
            () = ask.cancel.cancelled() => {}
        }
        if self.is_http() && self.era == Era::Stateless {
            // Closing the stream, which happens here, is the cancel.
            return Err(Failure::Unknown("it was cancelled, and the upstream cannot say how it ended".to_owned()));
        }
        self.call_off(&ask).await;
        tokio::select! {
            answer = conversation => answer,
            () = self.clock.sleep(AFTER_CANCEL) => {
                Err(Failure::Unknown("it was cancelled, and the upstream did not say how it ended".to_owned()))
            }
        }
    }

    async fn converse(&self, ask: &Ask<'_>) -> Result<Answer, Failure> {
        let Ask { id, method, params, .. } = ask;
        let method = quote(method);
        let message = format!(r#"{{"jsonrpc":"2.0","id":"{id}","method":{method},"params":{params}}}"#);
        failpoint!("upstream.post");
        let posted = self.post(Bytes::from(message), ask.headers, Sender::Placet).await?;
        failpoint!("upstream.posted");
        let mut messages = match posted {
            Exchange::Messages(messages) => messages,
            Exchange::Accepted => return Err(Failure::Unknown("the upstream gave no answer".to_owned())),
            Exchange::Refused { status, body, .. } => {
                // The answer may stand in the body, under the request's id or none.
                let envelope = Envelope::read(&body);
                let ours =
                    envelope.filter(|answer| answer.id().is_none_or(|other| Key::of(other) == Key::Text((*id).into())));
                return ours.as_ref().and_then(answer).ok_or(Failure::Refused(status));
            }
        };
        let mut relay = ask.relay.clone();
        while let Some(message) = messages.recv().await {
            let Some(envelope) = Envelope::read(&message.bytes) else { continue };
            if let Some(answer) = answer(&envelope) {
                return Ok(answer);
            }
            self.hear(&envelope, &message, &mut relay).await;
        }
        let why = self.ended_because().map_or_else(String::new, |why| format!(": {why}"));
        Err(Failure::Unknown(format!("the connection to the upstream ended before its answer{why}")))
    }

    /// What the upstream says before its answer. Its questions for input are never passed on: what was approved may
    /// not be steered afterwards. An agent that takes nothing hears no more: the answer must not wait for it.
    async fn hear(&self, envelope: &Envelope<'_>, message: &Message, relay: &mut Option<mpsc::Sender<Message>>) {
        let method = envelope.method().unwrap_or_default();
        let for_placet = envelope.is_request() && (self.own || asks_for_input(method));
        if let Some(to) = relay.as_ref().filter(|_| !for_placet) {
            tokio::select! {
                heard = to.send(message.clone()) => if heard.is_ok() {
                    return;
                },
                () = self.clock.sleep(PATIENCE) => *relay = None,
            }
        }
        self.reply(envelope).await;
    }

    /// Placet's own answer to a request of the upstream's: it is there, and can do nothing.
    pub(super) async fn reply(&self, envelope: &Envelope<'_>) {
        let Some(id) = envelope.id().filter(|_| envelope.is_request()) else { return };
        let answer = match envelope.method() {
            Some("ping") => r#""result":{}"#,
            _ => r#""error":{"code":-32601,"message":"Placet does not answer this for the agent"}"#,
        };
        let message = Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},{answer}}}"#));
        if let Err(error) = self.send(message, &[]).await {
            tracing::debug!(upstream = %self.upstream, %error, "a reply could not be sent");
        }
    }

    async fn call_off(&self, ask: &Ask<'_>) {
        if ask.method == "initialize" || (self.is_http() && self.era == Era::Stateless) {
            return;
        }
        let message = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":"{}","reason":"Placet no longer waits"}}}}"#,
            ask.id
        );
        // A clogged pipe takes no word; the request then ends with the process.
        let _ = tokio::time::timeout(CALLING_OFF, self.send(Bytes::from(message), &[])).await;
    }
}

fn answer(envelope: &Envelope<'_>) -> Option<Answer> {
    let result = envelope.result().map(|text| Answer::Result(text.to_owned()));
    result.or_else(|| envelope.error().map(|text| Answer::Error(text.to_owned())))
}

/// `params` with Placet's `_meta`, where the era asks for one and none is there.
pub(super) fn meta_added(era: Era, params: &str) -> Cow<'_, str> {
    let Some(rest) = params.trim_start().strip_prefix('{') else { return params.into() };
    if era == Era::Sessions || has_meta(params) {
        return params.into();
    }
    let comma = if rest.trim_start().starts_with('}') { "" } else { "," };
    let version = env!("CARGO_PKG_VERSION");
    Cow::Owned(format!(
        "{{\"_meta\":{{\"io.modelcontextprotocol/protocolVersion\":\"{STATELESS}\",\
         \"io.modelcontextprotocol/clientInfo\":{{\"name\":\"placet\",\"version\":\"{version}\"}},\
         \"io.modelcontextprotocol/clientCapabilities\":{{}}}}{comma}{rest}"
    ))
}

/// The headers that the stateless era asks for, made from the body, before those of `headers` that are not among them.
pub(super) fn standard_headers(
    era: Era,
    method: &str,
    params: &str,
    headers: &[(String, String)],
) -> Vec<(String, String)> {
    if era == Era::Sessions {
        return headers.to_vec();
    }
    #[derive(Default, Deserialize)]
    struct Named<'a> {
        #[serde(borrow, default)]
        name: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        uri: Option<Cow<'a, str>>,
        #[serde(borrow, default, rename = "taskId")]
        task: Option<Cow<'a, str>>,
    }
    let named: Named<'_> = serde_json::from_str(params).unwrap_or_default();
    let name = match method {
        "tools/call" | "prompts/get" => named.name,
        "resources/read" => named.uri,
        _ if method.starts_with("tasks/") => named.task,
        _ => None,
    };
    let mut all = vec![
        ("MCP-Protocol-Version".to_owned(), STATELESS.to_owned()),
        ("Mcp-Method".to_owned(), header_text(method).into_owned()),
    ];
    all.extend(name.map(|name| ("Mcp-Name".to_owned(), header_text(&name).into_owned())));
    let made = |name: &str| all.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
    let others: Vec<_> = headers.iter().filter(|(name, _)| !made(name)).cloned().collect();
    all.extend(others);
    all
}

/// A value as a header can carry it: itself, or base64 where a header would change it (2026-07-28, `=?base64?…?=`).
fn header_text(text: &str) -> Cow<'_, str> {
    let plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && text.trim() == text
        && !text.to_ascii_lowercase().starts_with("=?base64?");
    if plain {
        return text.into();
    }
    Cow::Owned(format!("=?base64?{}?=", base64::engine::general_purpose::STANDARD.encode(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meta_is_added_where_it_is_missing_and_nothing_else_changes() {
        assert_eq!(meta_added(Era::Sessions, "{}"), "{}");
        let theirs = r#"{"_meta":{},"n":1.0}"#;
        assert_eq!(meta_added(Era::Stateless, theirs), theirs);
        for (params, tail) in [("{}", "}"), ("{ }", " }"), (r#" {"n":1.0}"#, r#","n":1.0}"#)] {
            let added = meta_added(Era::Stateless, params);
            assert!(added.ends_with(tail) && has_meta(&added), "{added}");
            assert!(serde_json::from_str::<serde_json::Value>(&added).is_ok(), "{added}");
        }
    }

    #[test]
    fn headers_are_made_from_the_body() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let held = [pair("mcp-name", "another"), pair("Mcp-Param-Region", "eu")];
        let made = standard_headers(Era::Stateless, "tools/call", r#"{"name":"put"}"#, &held);
        let wanted = [
            pair("MCP-Protocol-Version", STATELESS),
            pair("Mcp-Method", "tools/call"),
            pair("Mcp-Name", "put"),
            pair("Mcp-Param-Region", "eu"),
        ];
        assert_eq!(made, wanted);
        assert_eq!(standard_headers(Era::Sessions, "tools/call", "{}", &held), held);
        assert_eq!(header_text("é"), "=?base64?w6k=?=");
        for text in [" a", "a\nb", "=?base64?", ""] {
            assert_eq!(header_text(text).starts_with("=?base64?"), !text.is_empty(), "{text:?}");
        }
    }
}
