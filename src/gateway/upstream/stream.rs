//! Carries what an upstream answers over HTTP to whoever waits for it: one JSON body, or an event stream that may be
//! cut and taken up again.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Response, StatusCode};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Message;
use super::envelope::{Envelope, Key, split};
use super::http::{Endpoint, Session};
use super::sse;

/// Longest message that an upstream may say.
const MAX_MESSAGE: usize = 64 << 20;
/// How often a stream is taken up again without an event of a new id, before the answer counts as lost.
const ATTEMPTS: u32 = 5;
/// The pause before that where the upstream names none, and the shortest and longest that it may name.
const PAUSE: Duration = Duration::from_secs(1);
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What kind of body an answer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Json,
    Events,
}

/// The kind of body that the headers name.
pub(super) fn body(answer: &Response) -> Option<Body> {
    let media = answer.headers().get(CONTENT_TYPE)?.to_str().ok()?;
    match media.split(';').next()?.trim().to_ascii_lowercase().as_str() {
        "application/json" => Some(Body::Json),
        "text/event-stream" => Some(Body::Events),
        _ => None,
    }
}

/// One answer on its way.
pub(super) struct Pump {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) session: Session,
    pub(super) to: mpsc::Sender<Message>,
    /// The request that is answered; `None` for the upstream's own messages.
    pub(super) answers: Option<Key>,
    pub(super) stop: CancellationToken,
    /// Held until the end, so that the link does not count as idle.
    pub(super) _busy: Arc<()>,
}

/// How a stream ended.
enum End {
    /// With the response, or nobody listens any more.
    Done,
    /// Before the response.
    Cut,
}

/// Where a stream stands.
#[derive(Default)]
struct Place {
    last: Option<String>,
    retry: Option<u64>,
    /// An event with a new id has come.
    moved: bool,
}

impl Pump {
    /// Carries an answer to its end. A reader that goes away closes the connection: to a stateless upstream that is
    /// the cancel.
    pub(super) async fn run(self, body: Body, answer: Response) {
        let (to, stop) = (self.to.clone(), self.stop.clone());
        let carry = async {
            match body {
                Body::Json => self.json(answer).await,
                Body::Events => self.events(answer).await,
            }
        };
        tokio::select! {
            () = carry => {}
            () = to.closed() => {}
            () = stop.cancelled() => {}
        }
    }

    /// Carries the upstream's own messages and returns the last event's id.
    pub(super) async fn listen(self, answer: Response) -> Option<String> {
        let mut place = Place::default();
        let (to, stop) = (self.to.clone(), self.stop.clone());
        tokio::select! {
            _ = self.stream(answer, &mut place) => {}
            () = to.closed() => {}
            () = stop.cancelled() => {}
        }
        place.last
    }

    async fn json(&self, mut answer: Response) {
        let mut text = BytesMut::new();
        loop {
            match answer.chunk().await {
                Ok(Some(piece)) if text.len() + piece.len() <= MAX_MESSAGE => text.extend_from_slice(&piece),
                Ok(Some(_)) => return self.too_long(),
                Ok(None) => break,
                Err(_) => return,
            }
        }
        self.deliver(text.freeze()).await;
    }

    async fn events(&self, answer: Response) {
        let mut place = Place::default();
        let mut next = Some(answer);
        let mut attempts = 0;
        loop {
            if let Some(answer) = next.take()
                && matches!(self.stream(answer, &mut place).await, End::Done)
            {
                return;
            }
            attempts = if std::mem::take(&mut place.moved) { 1 } else { attempts + 1 };
            // Only a session's streams can be taken up again, and only behind an event with an id.
            let Some(last) = place.last.as_deref().filter(|last| !last.is_empty()) else { return };
            if self.session.id.is_none() || attempts > ATTEMPTS {
                return;
            }
            let pause = place.retry.map_or(PAUSE, Duration::from_millis).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
            self.endpoint.clock.sleep(pause).await;
            next = match self.endpoint.events(&self.session, Some(last)).await {
                Ok(answer) if answer.status() == StatusCode::OK && body(&answer) == Some(Body::Events) => Some(answer),
                Ok(answer) if answer.status().is_server_error() => None,
                Ok(_) => return,
                Err(_) => None,
            };
        }
    }

    async fn stream(&self, mut answer: Response, place: &mut Place) -> End {
        let mut reader = sse::Reader::new(MAX_MESSAGE);
        while let Ok(Some(piece)) = answer.chunk().await {
            let Ok(events) = reader.push(&piece) else {
                self.too_long();
                return End::Done;
            };
            for event in events {
                place.moved |= event.id.is_some() && event.id != place.last;
                place.last = event.id.or(place.last.take());
                place.retry = event.retry.or(place.retry);
                if matches!(self.deliver(event.data).await, End::Done) {
                    return End::Done;
                }
            }
        }
        End::Cut
    }

    /// Passes on the messages of one body or event.
    async fn deliver(&self, text: Bytes) -> End {
        if text.trim_ascii().is_empty() {
            return End::Cut;
        }
        for bytes in split(text) {
            let Some(envelope) = Envelope::read(&bytes) else {
                tracing::debug!(upstream = %self.endpoint.upstream, "an event that is no JSON-RPC message was dropped");
                continue;
            };
            let is_response = envelope.is_response();
            // Where no request is answered there is none: it would pass for the answer to a call that Placet holds.
            if is_response && (self.answers.is_none() || envelope.id().map(Key::of) != self.answers) {
                tracing::debug!(upstream = %self.endpoint.upstream, "a response to another request was dropped");
                continue;
            }
            if self.to.send(Message { bytes: bytes.clone(), is_response }).await.is_err() || is_response {
                return End::Done;
            }
        }
        End::Cut
    }

    fn too_long(&self) {
        tracing::warn!(upstream = %self.endpoint.upstream, limit = MAX_MESSAGE, "an upstream's message is too long");
    }
}
