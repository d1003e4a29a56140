//! The live socket: who may open it, what it tells, and when it closes.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use placet::call::{Email, GroupName, Requirement, Verdict};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::support::pages::{Browser, Pages};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn open(pages: &Pages, headers: &[(&'static str, &str)]) -> Result<Socket, u16> {
    let mut request = format!("ws://localhost:{}/live", pages.address.port()).into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    match connect_async(request).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(other) => panic!("{other}"),
    }
}

async fn open_as(pages: &Pages, browser: &Browser) -> Socket {
    let cookie = format!("placet={}", browser.cookie.as_deref().unwrap());
    open(pages, &[("origin", &pages.url), ("cookie", &cookie)]).await.unwrap()
}

/// The next message that is not a ping; fails after a second.
async fn next(socket: &mut Socket) -> Message {
    loop {
        let message = tokio::time::timeout(Duration::from_secs(1), socket.next()).await.expect("nothing came");
        match message.unwrap().unwrap() {
            Message::Ping(_) => {}
            message => return message,
        }
    }
}

async fn told(socket: &mut Socket) -> Value {
    serde_json::from_str(next(socket).await.to_text().unwrap()).unwrap()
}

async fn closes_with(socket: &mut Socket, code: CloseCode) {
    match next(socket).await {
        Message::Close(Some(frame)) => assert_eq!(frame.code, code),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn it_opens_for_our_own_pages_and_for_tokens_only() {
    let pages = Pages::new().await;
    let ada = pages.reviewer("ada@example.com", &["iam"]).await;
    let cookie = format!("placet={}", ada.cookie.as_deref().unwrap());
    let own = pages.url.clone();
    assert_eq!(open(&pages, &[]).await.unwrap_err(), 403);
    assert_eq!(open(&pages, &[("cookie", &cookie)]).await.unwrap_err(), 403, "no origin");
    for foreign in ["https://evil.example", "null", "http://localhost:1"] {
        let headers = [("origin", foreign), ("cookie", cookie.as_str())];
        assert_eq!(open(&pages, &headers).await.unwrap_err(), 403, "{foreign}");
    }
    assert_eq!(open(&pages, &[("origin", &own)]).await.unwrap_err(), 401, "no session");
    let stale = [("origin", own.as_str()), ("cookie", "placet=plt_session_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")];
    assert_eq!(open(&pages, &stale).await.unwrap_err(), 401);
    assert_eq!(open(&pages, &[("authorization", "Bearer plt_api_x")]).await.unwrap_err(), 401);
    let email = Email::parse("ada@example.com").unwrap();
    let token = pages.identity.api_token_make(email, false, Duration::from_secs(60)).await.unwrap();
    let bearer = format!("Bearer {}", token.token.reveal());
    assert!(open(&pages, &[("authorization", &bearer)]).await.is_ok());
    let foreign = [("authorization", bearer.as_str()), ("origin", "https://evil.example")];
    assert_eq!(open(&pages, &foreign).await.unwrap_err(), 403);
}

#[tokio::test]
async fn it_tells_of_the_calls_that_a_person_may_see_and_decides_nothing() {
    let pages = Pages::new().await;
    let (ada, dan) =
        (pages.reviewer("ada@example.com", &["iam"]).await, pages.reviewer("dan@example.com", &["db"]).await);
    let (mut ada, mut dan) = (open_as(&pages, &ada).await, open_as(&pages, &dan).await);
    let of = |group: &str| Requirement {
        reviewers: vec![GroupName::new(group).unwrap()],
        ..Requirement::plain(Duration::from_secs(900))
    };
    let first = pages.bench.submit(r#"{"a":1}"#, of("iam")).await.call;
    let second = pages.bench.submit(r#"{"b":1}"#, of("db")).await.call;
    let tells =
        |call: &placet::call::HeldCall, state: &str| json!({"type": "call", "id": call.submission.id, "state": state});
    assert_eq!(told(&mut ada).await, tells(&first, "pending"));
    assert_eq!(told(&mut ada).await, json!({"type": "queue", "pending": 1}));
    assert_eq!(told(&mut dan).await, tells(&second, "pending"), "and nothing of the first");

    let words = json!({ "type": "decision", "id": first.submission.id, "verdict": "approve", "digest": first.digest });
    ada.send(Message::text(words.to_string())).await.unwrap();
    pages.bench.approvals.decide(pages.bench.decision(&first, pages.bench.mira, Verdict::Reject)).await.unwrap();
    assert_eq!(told(&mut ada).await, tells(&first, "rejected"));
}

#[tokio::test]
async fn it_closes_when_the_session_ends() {
    let pages = Pages::new().await;
    let ada = pages.reviewer("ada@example.com", &["iam"]).await;
    let mut socket = open_as(&pages, &ada).await;
    let csrf = ada.csrf().await;
    ada.post("/logout", &[("csrf", &csrf)]).await;
    closes_with(&mut socket, CloseCode::Policy).await;

    let again = pages.sign_in("ada@example.com").await;
    let mut socket = open_as(&pages, &again).await;
    pages.identity.reviewer_disable("ada@example.com".parse().unwrap()).await.unwrap();
    closes_with(&mut socket, CloseCode::Policy).await;
}

#[tokio::test]
async fn a_session_that_runs_out_closes_its_socket_and_an_open_socket_does_not_keep_it_alive() {
    let pages = Pages::new().await;
    let ada = pages.reviewer("ada@example.com", &["iam"]).await;
    let mut socket = open_as(&pages, &ada).await;
    pages.bench.clock.advance(Duration::from_secs(12 * 3600));
    closes_with(&mut socket, CloseCode::Policy).await;
}

#[tokio::test]
async fn it_says_goodbye_when_the_service_stops() {
    let pages = Pages::new().await;
    let ada = pages.reviewer("ada@example.com", &["iam"]).await;
    let mut socket = open_as(&pages, &ada).await;
    pages.bench.tasks.begin_stop();
    closes_with(&mut socket, CloseCode::Away).await;
}
