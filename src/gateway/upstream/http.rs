//! One upstream that is reached over Streamable HTTP, and one agent's session there.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::envelope::{Envelope, Key};
use super::starts::Starts;
use super::stream::{self, Pump};
use super::{Exchange, Message, UpstreamError};
use crate::call::{Millis, UpstreamName};
use crate::clock::Clock;
use crate::lifecycle::Tasks;

/// How long a connection may take to be made, TLS included.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an unused connection is kept. Common servers drop theirs after 5 s, and a request that meets a dropped
/// connection may or may not have run.
const UNUSED: Duration = Duration::from_secs(3);
/// Most of an error's body that is passed on.
const MAX_ERROR: usize = 1 << 20;
/// How long the goodbye to a session may take.
const GOODBYE: Duration = Duration::from_secs(5);
/// Messages that wait for their reader.
pub(super) const QUEUE: usize = 64;

pub(super) const SESSION: &str = "mcp-session-id";
const VERSION: &str = "mcp-protocol-version";
const LAST_EVENT: &str = "last-event-id";

/// Where the upstream is, and what every request to it carries.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) upstream: UpstreamName,
    client: reqwest::Client,
    url: Url,
    headers: HeaderMap,
    pub(super) starts: Starts,
    pub(super) tasks: Tasks,
    pub(super) clock: Clock,
}

/// What an agent's session at the upstream is known by.
#[derive(Clone, Debug, Default)]
pub(super) struct Session {
    pub(super) id: Option<HeaderValue>,
    version: Option<HeaderValue>,
    /// The last event of the GET stream, so that the next one goes on where it broke.
    last_event: Option<String>,
    ended: Option<String>,
    used: Millis,
}

/// One agent's link: with a session once the upstream has given one.
#[derive(Debug)]
pub(super) struct HttpLink {
    endpoint: Arc<Endpoint>,
    /// Never held across an await.
    session: Arc<Mutex<Session>>,
    /// Counts what is under way by its clones.
    busy: Arc<()>,
    stop: CancellationToken,
}

impl Endpoint {
    /// Prepares requests to `url`; says what is wrong with it or with a header.
    pub(super) fn new(
        upstream: UpstreamName,
        url: &str,
        configured: &[(String, SecretString)],
        tasks: Tasks,
        clock: Clock,
    ) -> Result<Self, String> {
        let url = Url::parse(url).map_err(|error| format!("url is not a URL ({error})"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err("url must begin with http:// or https:// and name a host".to_owned());
        }
        let mut headers = HeaderMap::new();
        for (name, value) in configured {
            let bad = |what| format!("header {name:?} {what}");
            let key = HeaderName::try_from(name.as_str()).map_err(|_| bad("is not a header's name"))?;
            let mut value = HeaderValue::from_str(value.expose_secret())
                .map_err(|_| bad("has a value that no header can carry"))?;
            value.set_sensitive(true);
            headers.append(key, value);
        }
        // A proxy named by the environment would see the upstream's credentials; none is used.
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .connect_timeout(CONNECT)
            .pool_idle_timeout(UNUSED)
            .user_agent(concat!("placet/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| format!("no HTTP client could be made ({error})"))?;
        Ok(Self { upstream, client, url, headers, starts: Starts::default(), tasks, clock })
    }

    fn ask(&self, method: Method, session: &Session) -> RequestBuilder {
        let mut request = self.client.request(method, self.url.clone());
        if let Some(id) = &session.id {
            request = request.header(SESSION, id.clone());
        }
        request.headers(self.headers.clone())
    }

    /// Opens the stream of the upstream's own messages, behind the event `last` where there is one.
    pub(super) async fn events(&self, session: &Session, last: Option<&str>) -> reqwest::Result<Response> {
        let mut request = self.ask(Method::GET, session).header(ACCEPT, "text/event-stream");
        if let Some(version) = &session.version {
            request = request.header(VERSION, version.clone());
        }
        if let Some(last) = last {
            request = request.header(LAST_EVENT, last);
        }
        request.send().await
    }

    fn lost(&self, why: String) -> UpstreamError {
        UpstreamError::Lost { upstream: self.upstream.clone(), why }
    }

    fn failed(&self, error: &reqwest::Error) -> UpstreamError {
        let mut cause: &dyn std::error::Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        // Nothing of HTTP is written before there is a connection.
        if error.is_connect() || error.is_builder() {
            tracing::warn!(upstream = %self.upstream, %cause, "an upstream cannot be reached");
            let why = if error.is_timeout() { "it does not answer" } else { "it cannot be reached" };
            return UpstreamError::Unavailable { upstream: self.upstream.clone(), why: why.to_owned() };
        }
        tracing::warn!(upstream = %self.upstream, %cause, "an upstream's connection broke");
        self.lost("the connection ended before an answer".to_owned())
    }
}

impl HttpLink {
    pub(super) fn new(endpoint: Arc<Endpoint>) -> Self {
        let session = Session { used: endpoint.clock.now(), ..Session::default() };
        Self { endpoint, session: Arc::new(Mutex::new(session)), busy: Arc::default(), stop: CancellationToken::new() }
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why no more messages can be sent; `None` while they can.
    pub(super) fn ended(&self) -> Option<String> {
        self.session().ended.clone()
    }

    fn check(&self) -> Result<Session, UpstreamError> {
        let session = {
            let mut session = self.session();
            session.used = self.endpoint.clock.now();
            session.clone()
        };
        match session.ended {
            Some(why) => Err(UpstreamError::Closed { upstream: self.endpoint.upstream.clone(), why }),
            None => Ok(session),
        }
    }

    /// Posts one message.
    pub(super) async fn send(&self, message: Bytes, headers: &[(String, String)]) -> Result<Exchange, UpstreamError> {
        let session = self.check()?;
        let busy = Arc::clone(&self.busy);
        let text = message.clone();
        let envelope = Envelope::read(&text).ok_or(UpstreamError::Malformed)?;
        let mut request = self
            .endpoint
            .ask(Method::POST, &session)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json, text/event-stream");
        let version = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(VERSION));
        match (version, &session.version) {
            (Some((_, version)), _) => self.speaks(version),
            (None, Some(version)) => request = request.header(VERSION, version.clone()),
            (None, None) => {}
        }
        for (name, value) in headers.iter().filter(|(name, _)| passes(name)) {
            request = request.header(name, value);
        }
        let answer = tokio::select! {
            answer = request.body(message).send() => answer.map_err(|error| self.endpoint.failed(&error))?,
            () = self.stop.cancelled() => return Err(self.endpoint.lost("Placet closed it".to_owned())),
        };
        if envelope.method() == Some("initialize")
            && let Some(id) = answer.headers().get(SESSION)
        {
            self.session().id = Some(id.clone());
        }
        let status = answer.status();
        if status.is_redirection() {
            return Ok(self.redirected(status));
        }
        if !status.is_success() {
            return self.refused(answer, session.id.is_some()).await;
        }
        if !envelope.is_request() {
            return Ok(Exchange::Accepted);
        }
        let Some(id) = envelope.id().map(Key::of) else { return Err(UpstreamError::Malformed) };
        let (to, from) = mpsc::channel(QUEUE);
        let session = self.session().clone();
        let pump = Pump {
            endpoint: Arc::clone(&self.endpoint),
            session,
            to,
            answers: Some(id),
            stop: self.stop.clone(),
            _busy: busy,
        };
        match stream::body(&answer) {
            Some(body) => self.endpoint.tasks.spawn("upstream answer", pump.run(body, answer)),
            None => return Err(self.endpoint.lost("its answer is neither JSON nor an event stream".to_owned())),
        }
        Ok(Exchange::Messages(from))
    }

    fn redirected(&self, status: StatusCode) -> Exchange {
        tracing::warn!(upstream = %self.endpoint.upstream, %status, "an upstream answered with a redirect");
        let body = format!(
            "Upstream {} answered with a redirect ({}). Placet follows none; the operator has to configure the final URL.\n",
            self.endpoint.upstream,
            status.as_u16()
        );
        Exchange::Refused { status: 502, content_type: Some("text/plain; charset=utf-8".to_owned()), body: body.into() }
    }

    /// The upstream's own error. An unknown session means that this link has ended.
    async fn refused(&self, mut answer: Response, had_session: bool) -> Result<Exchange, UpstreamError> {
        let status = answer.status();
        if status == StatusCode::NOT_FOUND && had_session {
            self.session().ended = Some("the upstream no longer knows the session".to_owned());
        }
        let content_type = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut body = Vec::new();
        while let Ok(Some(piece)) = answer.chunk().await {
            body.extend_from_slice(&piece);
            if body.len() > MAX_ERROR {
                body.truncate(MAX_ERROR);
                break;
            }
        }
        Ok(Exchange::Refused { status: status.as_u16(), content_type, body: body.into() })
    }

    /// Opens the GET stream.
    pub(super) async fn listen(&self) -> Result<mpsc::Receiver<Message>, UpstreamError> {
        let session = self.check()?;
        let busy = Arc::clone(&self.busy);
        let last = session.last_event.clone();
        let answer = self.endpoint.events(&session, last.as_deref()).await;
        let answer = answer.map_err(|error| self.endpoint.failed(&error))?;
        let upstream = self.endpoint.upstream.clone();
        match answer.status() {
            StatusCode::OK if stream::body(&answer) == Some(stream::Body::Events) => {}
            StatusCode::NOT_FOUND if session.id.is_some() => {
                let why = "the upstream no longer knows the session".to_owned();
                self.session().ended = Some(why.clone());
                return Err(UpstreamError::Closed { upstream, why });
            }
            _ => return Err(UpstreamError::NoStream { upstream }),
        }
        let (to, from) = mpsc::channel(QUEUE);
        let pump = Pump {
            endpoint: Arc::clone(&self.endpoint),
            session,
            to,
            answers: None,
            stop: self.stop.clone(),
            _busy: busy,
        };
        let remembered = Arc::clone(&self.session);
        self.endpoint.tasks.spawn("upstream events", async move {
            if let Some(last) = pump.listen(answer).await {
                remembered.lock().unwrap_or_else(PoisonError::into_inner).last_event = Some(last);
            }
        });
        Ok(from)
    }

    /// Whether something is under way.
    pub(super) fn is_busy(&self) -> bool {
        Arc::strong_count(&self.busy) > 1
    }

    /// When something was last sent.
    pub(super) fn used(&self) -> Millis {
        self.session().used
    }

    /// Sets the protocol version that requests carry which name none themselves.
    pub(super) fn speaks(&self, version: &str) {
        self.session().version = HeaderValue::from_str(version).ok();
    }

    /// Ends every stream and deletes the session.
    pub(super) async fn close(&self) {
        self.stop.cancel();
        if let Some(goodbye) = self.take_leave() {
            goodbye.await;
        }
    }

    /// The DELETE, where there is a session to delete.
    fn take_leave(&self) -> Option<impl Future<Output = ()> + Send + use<>> {
        let session = {
            let mut session = self.session();
            let before = session.clone();
            session.ended.get_or_insert_with(|| "Placet closed it".to_owned());
            before
        };
        if session.id.is_none() || session.ended.is_some() {
            return None;
        }
        let mut request = self.endpoint.ask(Method::DELETE, &session);
        if let Some(version) = session.version {
            request = request.header(VERSION, version);
        }
        Some(async move {
            // Servers may refuse (405), and then forget the session by themselves.
            let _ = tokio::time::timeout(GOODBYE, request.send()).await;
        })
    }
}

impl Drop for HttpLink {
    fn drop(&mut self) {
        if tokio::runtime::Handle::try_current().is_ok()
            && let Some(goodbye) = self.take_leave()
        {
            self.endpoint.tasks.spawn("upstream goodbye", goodbye);
        }
    }
}

/// Which of an agent's headers go upstream: never its credentials, never what belongs to its own session.
fn passes(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("mcp-") && name != SESSION
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agents_credentials_never_pass() {
        for no in ["Authorization", "cookie", "Mcp-Session-Id", "Host", "Last-Event-ID", "X-Forwarded-For", "Origin"] {
            assert!(!passes(no), "{no}");
        }
        for yes in ["MCP-Protocol-Version", "Mcp-Method", "mcp-name", "Mcp-Param-Region"] {
            assert!(passes(yes), "{yes}");
        }
    }

    #[tokio::test]
    async fn what_cannot_work_is_said_at_once() {
        let make = |url: &str, header: (&str, &str)| {
            let headers = [(header.0.to_owned(), SecretString::from(header.1.to_owned()))];
            let name = UpstreamName::new("up").unwrap();
            Endpoint::new(name, url, &headers, Tasks::default(), Clock::system()).map(|_| ())
        };
        assert_eq!(make("https://mcp.example.com/mcp", ("Authorization", "Bearer x")), Ok(()));
        for url in ["", "mcp.example.com", "ftp://example.com/", "file:///etc/passwd", "unix:/run/x"] {
            assert!(make(url, ("A", "b")).is_err(), "{url}");
        }
        let error = make("http://localhost/", ("A", "secret\nInjected: yes")).unwrap_err();
        assert!(!error.contains("secret"), "{error}");
        assert!(make("http://localhost/", ("A b", "c")).is_err());
    }
}
