//! `/live`: tells open pages and `placet watch` which call changed. It only tells: nothing that comes in is acted on.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

use super::Review;
use super::failure::Failure;
use super::rights::sight;
use super::session::{bearer, cookie};
use super::site::Way;
use super::view::error::Problem;
use crate::approvals::CallChanged;
use crate::identity::SessionState;
use crate::store::{Sight, StoreError};

/// How often a socket that nothing happens on is looked after: pings, and sessions that ran out.
const LOOK_AFTER: Duration = Duration::from_secs(30);
/// A client that takes nothing for so long is gone.
const PATIENCE: Duration = Duration::from_secs(10);
/// Nothing that a client has to say is longer.
const LONGEST_MESSAGE: usize = 4096;

/// What a socket was opened with.
enum Ticket {
    Session(String),
    Api(String),
}

/// `GET /live`: origin and session are checked before the upgrade.
pub async fn upgrade(State(review): State<Review>, request: Request) -> Result<Response, Failure> {
    // Subscribed first: whatever ends or changes during the checks is seen by the socket.
    let (endings, events) = (review.0.identity.endings(), review.0.approvals.events());
    let (mut parts, _) = request.into_parts();
    let ticket = ticket(&review, &parts.headers, parts.extensions.get::<Way>())?;
    let sight = review.sight_of(&ticket).await?.ok_or_else(|| Problem::SignIn { next: "/".to_owned() })?;
    if review.0.tasks.is_stopping() {
        return Err(StoreError::Stopping.into());
    }
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &review).await {
        Ok(upgrade) => upgrade.max_message_size(LONGEST_MESSAGE).max_frame_size(LONGEST_MESSAGE),
        Err(rejection) => {
            let what = "This address speaks web socket only; pages and `placet watch` open it.";
            return Err(Failure::request(rejection.into_response().status(), what));
        }
    };
    let line = Line { review, ticket, sight, events, endings };
    Ok(upgrade.on_upgrade(|socket| line.serve(socket)))
}

/// A cookie comes along whoever opens the socket, so the page that opens it must be ours; a token does not.
fn ticket(review: &Review, headers: &HeaderMap, way: Option<&Way>) -> Result<Ticket, Failure> {
    let origin = headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or("unreadable"));
    let own = origin.map(|origin| way.is_some_and(|way| way.is_own(origin)));
    match (bearer(headers), own) {
        (_, Some(false)) => Err(Problem::ForeignForm.into()),
        (Some(token), _) => Ok(Ticket::Api(token.to_owned())),
        (None, Some(true)) => match cookie(&review.0.site, headers) {
            Some(cookie) => Ok(Ticket::Session(cookie.to_owned())),
            None => Err(Problem::SignIn { next: "/".to_owned() }.into()),
        },
        (None, None) => {
            let what = "Send the Origin of this site with a session, or an API token as Authorization: Bearer.";
            Err(Failure::request(StatusCode::FORBIDDEN, what))
        }
    }
}

impl Review {
    /// How far the holder of a ticket sees; `None` once it is worth nothing.
    async fn sight_of(&self, ticket: &Ticket) -> Result<Option<Sight>, StoreError> {
        let identity = &self.0.identity;
        Ok(match ticket {
            Ticket::Session(cookie) => match identity.peek_session(cookie).await? {
                SessionState::Live(session) => Some(sight(&session.reviewer)),
                _ => None,
            },
            Ticket::Api(token) => identity.peek_api_token(token).await?.map(|(_, access)| sight(&access.reviewer)),
        })
    }
}

/// One open socket.
struct Line {
    review: Review,
    ticket: Ticket,
    sight: Sight,
    events: broadcast::Receiver<CallChanged>,
    endings: watch::Receiver<u64>,
}

impl Line {
    async fn serve(mut self, mut socket: WebSocket) {
        let goodbye = self.tell(&mut socket).await;
        let _ = tokio::time::timeout(PATIENCE, socket.send(Message::Close(goodbye))).await;
    }

    /// Runs until the socket must close, and says why it does.
    async fn tell(&mut self, socket: &mut WebSocket) -> Option<CloseFrame> {
        let (clock, tasks) = (self.review.0.clock.clone(), self.review.0.tasks.clone());
        loop {
            let messages = tokio::select! {
                () = tasks.stopped() => return frame(close_code::AWAY, "Placet is stopping"),
                Ok(()) = self.endings.changed() => Vec::new(),
                () = clock.sleep(LOOK_AFTER) => vec![Message::Ping(bytes::Bytes::new())],
                event = self.events.recv() => match event {
                    Ok(event) => match self.notices(&event).await {
                        Ok(notices) => notices,
                        Err(error) => return broken(&error),
                    },
                    // Some were missed: who connects again reads everything again.
                    Err(RecvError::Lagged(_)) => return frame(close_code::AGAIN, "Too much happened at once"),
                    Err(RecvError::Closed) => return frame(close_code::AWAY, "Placet is stopping"),
                },
                incoming = socket.recv() => match incoming {
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                    Some(Ok(_)) => continue,
                },
            };
            match self.review.sight_of(&self.ticket).await {
                Ok(Some(sight)) => self.sight = sight,
                Ok(None) => return frame(close_code::POLICY, "signed out"),
                Err(error) => return broken(&error),
            }
            for message in messages {
                if !matches!(tokio::time::timeout(PATIENCE, socket.send(message)).await, Ok(Ok(()))) {
                    return None;
                }
            }
        }
    }

    /// The call and how many wait now; nothing about a call that is out of sight.
    async fn notices(&self, event: &CallChanged) -> Result<Vec<Message>, StoreError> {
        let store = &self.review.0.store;
        if !store.is_within(event.id, &self.sight).await? {
            return Ok(Vec::new());
        }
        let call = serde_json::json!({ "type": "call", "id": event.id, "state": event.state });
        let queue = serde_json::json!({ "type": "queue", "pending": store.pending_within(&self.sight).await? });
        Ok([call, queue].map(|notice| Message::text(notice.to_string())).into())
    }
}

fn frame(code: u16, reason: &'static str) -> Option<CloseFrame> {
    Some(CloseFrame { code, reason: reason.into() })
}

fn broken(error: &StoreError) -> Option<CloseFrame> {
    tracing::error!(%error, "a live socket was closed");
    frame(close_code::ERROR, "Something broke; open the page again")
}
