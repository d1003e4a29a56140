//! Why a request was not done, until it becomes a page or a problem document.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::view::Text;
use super::view::error::Problem;
use crate::identity::password::HashError;
use crate::store::StoreError;

/// A failure on its way out.
#[derive(Clone, Debug)]
pub struct Failure {
    pub(super) status: StatusCode,
    pub(super) what: What,
    retry_after: Option<Duration>,
}

/// What failed.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// Something that the client did, or must know.
    Client(Box<Problem>),
    /// Something of ours; the log gets the chain, the client an id.
    Ours(Arc<dyn std::error::Error + Send + Sync>),
}

/// What handlers answer.
pub type Answer = Result<Response, Failure>;

impl Failure {
    /// 400 and its relatives: `what` is wrong with the request.
    #[must_use]
    pub fn request(status: StatusCode, what: &str) -> Self {
        Self::from(Problem::BadRequest(Text::new(what))).with(status)
    }

    /// 403: signed in, but not allowed.
    #[must_use]
    pub fn forbidden(why: &str) -> Self {
        Self::from(Problem::Forbidden(Text::new(why)))
    }

    /// 429: too early.
    #[must_use]
    pub fn too_many(wait: Duration) -> Self {
        let failure = Self::from(Problem::TooMany { wait: wait_words(wait) });
        Self { retry_after: Some(wait), ..failure }
    }

    /// The same under another status.
    #[must_use]
    pub fn with(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// What a bare answer of the router stands for, by its status.
    #[must_use]
    pub fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Problem::NotFound.into(),
            StatusCode::PAYLOAD_TOO_LARGE => Problem::TooLarge.into(),
            StatusCode::METHOD_NOT_ALLOWED => Self::request(status, "This address does not take that method."),
            _ => Self::request(status, status.canonical_reason().unwrap_or("The request could not be understood.")),
        }
    }
}

/// How long, as a page says it.
#[must_use]
pub fn wait_words(wait: Duration) -> String {
    match wait.as_secs() {
        0..=1 => "a second".to_owned(),
        s @ 2..=119 => format!("{s} s"),
        s => format!("{} min", s.div_ceil(60)),
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let status = StatusCode::from_u16(problem.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, what: What::Client(Box::new(problem)), retry_after: None }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        if let StoreError::Changed(_) = error {
            let text = error.to_string();
            let first = text.chars().next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
            return Self::forbidden(&format!("{first}{}.", &text[first.len()..]));
        }
        let status = match error {
            StoreError::NotWritten(_) | StoreError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            _ if error.trouble().is_some() => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { status, what: What::Ours(Arc::new(error)), retry_after: None }
    }
}

impl From<askama::Error> for Failure {
    fn from(error: askama::Error) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, what: What::Ours(Arc::new(error)), retry_after: None }
    }
}

impl From<HashError> for Failure {
    fn from(error: HashError) -> Self {
        let (status, retry_after) = match error {
            HashError::Busy => (StatusCode::SERVICE_UNAVAILABLE, Some(Duration::from_secs(5))),
            HashError::Failed => (StatusCode::INTERNAL_SERVER_ERROR, None),
        };
        Self { status, what: What::Ours(Arc::new(error)), retry_after }
    }
}

/// Carries itself to `finish`, which alone knows who asks and in what form the answer is wanted.
impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(wait) = self.retry_after {
            let seconds = HeaderValue::from(wait.as_secs().max(1));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response.extensions_mut().insert(self);
        response
    }
}
