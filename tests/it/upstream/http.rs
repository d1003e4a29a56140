//! Servers over HTTP.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Response};
use futures_util::stream;
use placet::call::{Answer, CallId, Era, ToolName};
use placet::gateway::upstream::{Eras, Exchange, Link, Outgoing, SendError, Transport, UpstreamConfig, UpstreamError};
use placet::lifecycle::Tasks;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Bench, agent, all, begin, call, name};

/// What the server saw of one request.
#[derive(Clone, Debug)]
struct Seen {
    method: Method,
    headers: HeaderMap,
    body: String,
}

impl Seen {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn is(&self, method: &str) -> bool {
        self.body.contains(&format!(r#""method":"{method}""#))
    }
}

type Log = Arc<Mutex<Vec<Seen>>>;

/// A server that answers as `answer` says, and what it saw.
async fn serve(answer: impl Fn(&Seen) -> Response<Body> + Clone + Send + Sync + 'static) -> (Bench, Log) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp?key=1", listener.local_addr().unwrap());
    let log = Log::default();
    let seen = Arc::clone(&log);
    let app = Router::new().fallback(move |method: Method, headers: HeaderMap, body: Bytes| {
        let request = Seen { method, headers, body: String::from_utf8(body.to_vec()).unwrap() };
        seen.lock().unwrap().push(request.clone());
        let answer = answer(&request);
        async move { answer }
    });
    Tasks::default().spawn("stub", async move { axum::serve(listener, app).await.unwrap() });
    (bench(&url), log)
}

fn bench(url: &str) -> Bench {
    let headers = vec![("Authorization".to_owned(), "Bearer placets".to_owned().into())];
    let transport = Transport::Http { url: url.to_owned(), headers };
    Bench::new(&[UpstreamConfig { name: name(), transport, shared: false }])
}

fn reply(status: u16, media: &str, body: impl Into<Body>) -> Response<Body> {
    Response::builder().status(status).header("content-type", media).body(body.into()).unwrap()
}

fn json(body: &'static str) -> Response<Body> {
    reply(200, "application/json", body)
}

/// Ends with the stream's text, a byte at a time.
fn events(text: &'static str) -> Response<Body> {
    let pieces = text.as_bytes().chunks(1).map(|piece| Ok::<_, Infallible>(Bytes::from_static(piece)));
    reply(200, "text/event-stream; charset=utf-8", Body::from_stream(stream::iter(pieces)))
}

/// Moves the clock on while `work` waits for it.
async fn while_time_passes<T>(bench: &Bench, work: impl Future<Output = T>) -> T {
    let time = async {
        loop {
            tokio::task::yield_now().await;
            bench.clock.advance(Duration::from_millis(10));
        }
    };
    tokio::select! {
        done = work => done,
        () = time => unreachable!("time never ends"),
    }
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}"#;
const RESULT: &str = r#"{ "id":0,"result":{"n":12345678901234567890123,"s":"\ud800"} ,"jsonrpc":"2.0"}"#;

/// Gives a session to who initializes, and a result to every request.
fn session(seen: &Seen) -> Response<Body> {
    let mut answer = match seen.method {
        Method::POST if seen.body.contains("\"id\":") => json(RESULT),
        Method::POST => reply(202, "text/plain", ""),
        Method::DELETE => reply(204, "text/plain", ""),
        _ => reply(405, "text/plain", ""),
    };
    if seen.is("initialize") {
        answer.headers_mut().insert("mcp-session-id", "s-1".parse().unwrap());
    }
    answer
}

#[tokio::test]
async fn a_session_is_kept_and_the_agents_credentials_are_not_passed() {
    let (bench, log) = serve(session).await;
    let link = bench.open().await;
    let headers = [
        pair("Authorization", "Bearer agents"),
        pair("Cookie", "a=b"),
        pair("Mcp-Session-Id", "agents"),
        pair("MCP-Protocol-Version", "2025-11-25"),
    ];
    let Exchange::Messages(messages) = link.send(INITIALIZE.into(), &headers).await.unwrap() else { panic!() };
    assert_eq!(all(messages).await, [RESULT]);
    let ready = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    assert!(matches!(link.send(ready.into(), &headers).await.unwrap(), Exchange::Accepted));
    assert!(matches!(link.listen().await.unwrap_err(), UpstreamError::NoStream { .. }));
    link.close().await;
    assert!(!link.is_alive());
    assert!(link.send(ready.into(), &[]).await.unwrap_err().surely_not_sent());

    let log = log.lock().unwrap().clone();
    let seen: Vec<_> = log.iter().map(|seen| (seen.method.as_str(), seen.header("mcp-session-id"))).collect();
    let session = Some("s-1");
    assert_eq!(seen, [("POST", None), ("POST", session), ("GET", session), ("DELETE", session)]);
    assert_eq!(log[0].body, INITIALIZE);
    for seen in &log {
        assert_eq!(seen.header("authorization"), Some("Bearer placets"));
        assert_eq!((seen.header("cookie"), seen.header("mcp-protocol-version")), (None, Some("2025-11-25")));
    }
    assert_eq!(log[0].header("content-type"), Some("application/json"));
    assert_eq!(log[0].header("accept"), Some("application/json, text/event-stream"));
}

#[tokio::test]
async fn a_dropped_link_takes_leave() {
    let (bench, log) = serve(session).await;
    let link = bench.open().await;
    assert_eq!(all(begin(&link, INITIALIZE).await).await.len(), 1);
    drop(link);
    super::until(|| log.lock().unwrap().last().is_some_and(|seen| seen.method == Method::DELETE)).await;
}

#[tokio::test]
async fn a_stream_is_read_wherever_it_is_cut() {
    let text = ": hello\r\n\r\nid: 1\r\ndata:\r\n\r\nevent: message\rdata: {\"jsonrpc\":\"2.0\",\rdata: \"method\":\"é\"}\r\r\
                data: nonsense\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":8,\"result\":1}\n\n\
                data: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":1}\n\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"late\"}\n\n";
    let (bench, _) = serve(move |_| events(text)).await;
    let link = bench.open().await;
    let messages = all(begin(&link, call("7", "{}")).await).await;
    assert_eq!(messages, ["{\"jsonrpc\":\"2.0\",\n\"method\":\"é\"}", r#"{"jsonrpc":"2.0","id":7,"result":1}"#]);
}

#[tokio::test]
async fn a_stream_that_is_cut_is_taken_up_behind_its_last_event() {
    let (bench, log) = serve(|seen| match (&seen.method, seen.header("last-event-id")) {
        (&Method::POST, _) if seen.is("initialize") => session(seen),
        (&Method::POST, _) => events("id: a\nretry: 0\ndata:\n\n"),
        (_, Some("a")) => events("id: b\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"m\"}\n\n"),
        (_, Some("b")) => events("id: c\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1}\n\n"),
        _ => reply(400, "text/plain", ""),
    })
    .await;
    let link = bench.open().await;
    all(begin(&link, INITIALIZE).await).await;
    let messages = begin(&link, call("1", "{}")).await;
    assert_eq!(while_time_passes(&bench, all(messages)).await.len(), 2);
    assert!(log.lock().unwrap().iter().skip(1).all(|seen| seen.header("mcp-session-id") == Some("s-1")));
}

#[tokio::test]
async fn a_stream_that_never_goes_on_is_given_up() {
    for again in ["id: a\nretry: 0\ndata:\n\n", ": nothing\n\n"] {
        let (bench, log) = serve(move |seen| match seen.method {
            Method::POST if seen.is("initialize") => session(seen),
            Method::POST => events("id: a\nretry: 0\ndata:\n\n"),
            _ => events(again),
        })
        .await;
        let link = bench.open().await;
        all(begin(&link, INITIALIZE).await).await;
        let messages = begin(&link, call("1", "{}")).await;
        assert_eq!(while_time_passes(&bench, all(messages)).await.len(), 0);
        assert_eq!(log.lock().unwrap().len(), 7, "initialize, the call, five attempts");
    }
}

#[tokio::test]
async fn the_upstreams_own_messages_go_on_where_they_broke() {
    let (bench, _) = serve(|seen| match (&seen.method, seen.header("last-event-id")) {
        (&Method::GET, None) => events("id: 1\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"one\"}\n\n"),
        (&Method::GET, Some("1")) => events("data: {\"jsonrpc\":\"2.0\",\"method\":\"two\"}\n\n"),
        _ => session(seen),
    })
    .await;
    let link = bench.open().await;
    all(begin(&link, INITIALIZE).await).await;
    for word in ["one", "two"] {
        let heard = all(link.listen().await.unwrap()).await;
        assert!(heard.len() == 1 && heard[0].contains(word), "{heard:?}");
    }
}

#[tokio::test]
async fn errors_are_passed_on_and_redirects_are_not_followed() {
    let (bench, log) = serve(|seen| match seen.body.as_bytes() {
        body if body.ends_with(b"\"redirect\"}}") => {
            let mut answer = reply(307, "text/plain", "elsewhere");
            answer.headers_mut().insert("location", "http://127.0.0.1:1/other".parse().unwrap());
            answer
        }
        body if body.ends_with(b"\"teapot\"}}") => reply(418, "text/html", "<p>no"),
        body if body.ends_with(b"\"flood\"}}") => reply(500, "text/plain", "x".repeat(3 << 20)),
        body if body.ends_with(b"\"html\"}}") => reply(200, "text/html", "<p>welcome"),
        body if body.ends_with(b"\"garbage\"}}") => json("garbage"),
        _ => reply(202, "text/plain", ""),
    })
    .await;
    let link = bench.open().await;
    let ask = async |what| link.send(call("1", &format!(r#"{{"name":"{what}"}}"#)), &[]).await;
    let refused = async |what| match ask(what).await.unwrap() {
        Exchange::Refused { status, content_type, body } => (status, content_type.unwrap(), body),
        other => panic!("{other:?}"),
    };
    let (status, _, body) = refused("redirect").await;
    let body = String::from_utf8(body.to_vec()).unwrap();
    assert!(status == 502 && body.contains("redirect (307)") && !body.contains("127.0.0.1"), "{body}");
    assert_eq!(refused("teapot").await, (418, "text/html".to_owned(), Bytes::from_static(b"<p>no")));
    assert_eq!(refused("flood").await.2.len(), 1 << 20);
    let error = ask("html").await.unwrap_err();
    assert!(!error.surely_not_sent() && error.to_string().contains("neither JSON nor an event stream"), "{error}");
    let Exchange::Messages(messages) = ask("garbage").await.unwrap() else { panic!() };
    assert_eq!(all(messages).await.len(), 0);
    assert_eq!(log.lock().unwrap().len(), 5, "nothing is sent twice");
    assert!(link.is_alive());
}

#[tokio::test]
async fn a_session_that_the_upstream_forgot_ends_the_link() {
    let (bench, log) =
        serve(|seen| if seen.is("initialize") { session(seen) } else { reply(404, "text/plain", "") }).await;
    let link = bench.open().await;
    assert!(matches!(link.send(call("1", "{}"), &[]).await.unwrap(), Exchange::Refused { status: 404, .. }));
    assert!(link.is_alive(), "there was no session to forget");
    all(begin(&link, INITIALIZE).await).await;
    assert!(matches!(link.send(call("2", "{}"), &[]).await.unwrap(), Exchange::Refused { status: 404, .. }));
    assert_eq!(link.ended_because().unwrap(), "the upstream no longer knows the session");
    assert!(link.send(call("3", "{}"), &[]).await.unwrap_err().surely_not_sent());
    assert_eq!(log.lock().unwrap().len(), 3);
}

async fn request(link: &Link) -> SendError {
    link.request("tools/call", "{}", &[], Duration::from_secs(9)).await.unwrap_err()
}

#[tokio::test]
async fn whether_it_was_sent_is_said_rightly() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let link = bench(&url).open().await;
    let (hung_up, _) = tokio::join!(request(&link), async { listener.accept().await.map(drop) });
    assert!(matches!(hung_up, SendError::Unknown(_)), "it took the connection, perhaps the request: {hung_up:?}");
    drop(listener);
    let refused = request(&link).await;
    let text = refused.to_string();
    assert!(matches!(refused, SendError::NotSent(_)) && text.contains("it cannot be reached"), "{text}");
    assert!(!text.contains("127.0.0.1"), "{text}");
}

#[tokio::test]
async fn a_slow_answer_ends_at_the_deadline_and_closes_the_connection() {
    let closed = CancellationToken::new();
    let (reached, has_reached) = oneshot::channel();
    let reached = Arc::new(Mutex::new(Some(reached)));
    let gone = closed.clone();
    let (bench, _) = serve(move |_| {
        // The server drops its part of the stream when the connection closes.
        let guard = gone.clone().drop_guard();
        let body = stream::StreamExt::map(stream::pending::<Result<Bytes, Infallible>>(), move |piece| {
            let _ = &guard;
            piece
        });
        if let Some(reached) = reached.lock().unwrap().take() {
            reached.send(()).unwrap();
        }
        reply(200, "text/event-stream", Body::from_stream(body))
    })
    .await;
    let link = bench.upstream().stateless(agent(), None, None).await.unwrap();
    let slow = request(&link);
    tokio::pin!(slow);
    tokio::select! {
        _ = &mut slow => panic!("it is slow"),
        reached = has_reached => reached.unwrap(),
    }
    bench.clock.advance(Duration::from_secs(9));
    assert_eq!(slow.await, SendError::Unknown("the upstream gave no answer within 9 s".into()));
    tokio::time::timeout(Duration::from_secs(60), closed.cancelled()).await.expect("the connection closes");
}

#[tokio::test]
async fn eras_are_asked() {
    const RESULT: &str = r#"{"jsonrpc":"2.0","id":"placet-discover","result":{}}"#;
    const REFUSED: &str = r#"{"jsonrpc":"2.0","id":"placet-discover","error":{"code":-32601,"message":"no"}}"#;
    const READY: &str = r#"{"jsonrpc":"2.0","id":"placet-initialize","result":{"protocolVersion":"2025-06-18"}}"#;
    type Stub = fn(&Seen) -> Response<Body>;
    let cases: [(Stub, (bool, bool)); 4] = [
        (|seen| if seen.is("server/discover") { json(RESULT) } else { json(READY) }, (true, true)),
        (|seen| if seen.is("server/discover") { json(RESULT) } else { reply(400, "text/plain", "") }, (false, true)),
        (|_| reply(404, "application/json", REFUSED), (true, false)),
        (|_| reply(400, "text/plain", "Bad Request: no session"), (true, false)),
    ];
    for (answer, (sessions, stateless)) in cases {
        let (bench, log) = serve(answer).await;
        assert_eq!(bench.upstream().eras().await.unwrap(), Eras { sessions, stateless });
        let first = log.lock().unwrap()[0].clone();
        assert_eq!(first.header("mcp-protocol-version"), Some("2026-07-28"));
        assert_eq!(first.header("mcp-method"), Some("server/discover"));
        assert!(first.body.contains(r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#), "{}", first.body);
    }
    for (status, said) in [(401, "refuses Placet's credentials"), (503, "HTTP status 503"), (307, "HTTP status 502")] {
        let (bench, log) = serve(move |_| reply(status, "text/plain", "")).await;
        let error = bench.upstream().eras().await.unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
        let again = bench.upstream().eras().await.unwrap_err().to_string();
        assert!(again.contains("tried again in 1 s") && log.lock().unwrap().len() == 1, "{again}");
        bench.clock.advance(Duration::from_secs(1));
        assert!(bench.upstream().eras().await.is_err() && log.lock().unwrap().len() == 2);
    }
}

#[tokio::test]
async fn an_approved_call_goes_as_it_was_approved() {
    let id = CallId(Uuid::from_u128(9));
    let (bench, log) = serve(move |_| {
        let body = r#"{"jsonrpc":"2.0","id":"placet-00000000-0000-0000-0000-000000000009","result":{"isError":false}}"#;
        reply(200, "application/json", body)
    })
    .await;
    let params = "{ \"name\":\"put é\",\n\"arguments\":{\"n\":1.0},\"_meta\":{\"a\":1} }";
    let outgoing = Outgoing {
        id,
        agent: agent(),
        upstream: &name(),
        tool: &ToolName::new("put é").unwrap(),
        params,
        headers: &[pair("Mcp-Param-Region", "eu"), pair("Mcp-Name", "another"), pair("Authorization", "Bearer agents")],
        era: Era::Stateless,
        deadline: Duration::from_secs(9),
    };
    let answer = bench.upstreams.forward(outgoing).await.unwrap();
    assert_eq!(answer, Answer::Result(r#"{"isError":false}"#.into()));
    let seen = log.lock().unwrap()[0].clone();
    assert_eq!(seen.body, format!(r#"{{"jsonrpc":"2.0","id":"placet-{id}","method":"tools/call","params":{params}}}"#));
    let headers = ["mcp-protocol-version", "mcp-method", "mcp-name", "mcp-param-region", "authorization"];
    let values = headers.map(|name| seen.header(name).unwrap());
    assert_eq!(values, ["2026-07-28", "tools/call", "=?base64?cHV0IMOp?=", "eu", "Bearer placets"]);
    assert_eq!(seen.headers.get_all("mcp-name").iter().count(), 1);
}

#[tokio::test]
async fn own_sessions_are_tried_before_a_call_is_entrusted_to_them() {
    let count = Arc::new(Mutex::new(0));
    let sessions = Arc::clone(&count);
    let (bench, log) = serve(move |seen| {
        let id = seen.body.split(r#""id":""#).nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
        let body = format!(r#"{{"jsonrpc":"2.0","id":"{id}","result":{{"protocolVersion":"2025-06-18"}}}}"#);
        let current = format!("s-{}", sessions.lock().unwrap());
        match seen.method {
            Method::POST if seen.is("server/discover") => reply(400, "text/plain", ""),
            Method::POST if seen.is("initialize") => {
                let mut answer = reply(200, "application/json", body);
                answer.headers_mut().insert("mcp-session-id", current.parse().unwrap());
                answer
            }
            Method::POST if seen.header("mcp-session-id") != Some(&current) => reply(404, "text/plain", ""),
            _ => reply(200, "application/json", body),
        }
    })
    .await;
    let own = bench.upstream().own(agent()).await.unwrap();
    *count.lock().unwrap() += 1;
    bench.clock.advance(Duration::from_secs(31));
    let again = bench.upstream().own(agent()).await.unwrap();
    assert!(!own.is_alive() && again.is_alive());
    let answer = again.request("tools/call", "{}", &[], Duration::from_secs(9)).await.unwrap();
    assert!(matches!(answer, Answer::Result(_)));
    let last = log.lock().unwrap().last().cloned().unwrap();
    assert_eq!((last.header("mcp-session-id"), last.header("mcp-protocol-version")), (Some("s-1"), Some("2025-06-18")));
}
