//! Error pages: what happened, why, and what to do.

use askama::Template;

use super::{Chrome, State, Text};

/// Any page that is not the one asked for.
#[derive(Debug, Clone, Template)]
#[template(path = "error.html")]
pub struct ErrorPage {
    /// Top bar and banners; `person` may be `None`.
    pub chrome: Chrome,
    /// What happened.
    pub problem: Problem,
}

/// What went wrong.
#[derive(Debug, Clone)]
pub enum Problem {
    /// 400: the request makes no sense; what about it.
    BadRequest(Text),
    /// 401: nobody is signed in; where to go after signing in.
    SignIn {
        /// Where to go afterwards.
        next: String,
    },
    /// 403: signed in, but not allowed; why.
    Forbidden(Text),
    /// 403: the form's token or origin is not ours.
    ForeignForm,
    /// 404: no such page or call, or not for this person.
    NotFound,
    /// 409: the call is decided already.
    Decided {
        /// The call's id.
        call: String,
        /// Where it stands now.
        state: State,
        /// The reason that was typed, given back.
        reason: Text,
    },
    /// 409: the deadline was over when the decision came, and nobody had noticed yet.
    TooLate {
        /// The call's id.
        call: String,
        /// The reason that was typed, given back.
        reason: Text,
    },
    /// 409: the form's digest is not that of the call.
    Stale {
        /// The call's id.
        call: String,
        /// The reason that was typed, given back.
        reason: Text,
    },
    /// 413: more than is read.
    TooLarge,
    /// 429: too many requests; how long to wait.
    TooMany {
        /// "2 min".
        wait: String,
    },
    /// 500: our fault.
    Internal {
        /// The id to quote, as in the log.
        correlation: String,
    },
    /// 503: not now; why ("The disk is full: decisions cannot be recorded.").
    Unavailable {
        /// What is wrong.
        why: Text,
        /// The id to quote, as in the log.
        correlation: String,
    },
}

impl Problem {
    /// The HTTP status that goes with the page.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::BadRequest(_) => 400,
            Self::SignIn { .. } => 401,
            Self::Forbidden(_) | Self::ForeignForm => 403,
            Self::NotFound => 404,
            Self::Decided { .. } | Self::TooLate { .. } | Self::Stale { .. } => 409,
            Self::TooLarge => 413,
            Self::TooMany { .. } => 429,
            Self::Internal { .. } => 500,
            Self::Unavailable { .. } => 503,
        }
    }

    /// What happened, as a heading and title.
    #[must_use]
    pub fn heading(&self) -> &'static str {
        match self {
            Self::BadRequest(_) => "This request makes no sense",
            Self::SignIn { .. } => "You are signed out",
            Self::Forbidden(_) => "You may not do this",
            Self::ForeignForm => "This form is not valid any more",
            Self::NotFound => "There is nothing here",
            Self::Decided { .. } => "Already decided",
            Self::TooLate { .. } => "Too late",
            Self::Stale { .. } => "The call is not the one you read",
            Self::TooLarge => "That was too much",
            Self::TooMany { .. } => "Too many tries",
            Self::Internal { .. } => "Something broke",
            Self::Unavailable { .. } => "Not possible right now",
        }
    }
}
