//! `/login` and `/login/link/{token}`: the ways in.

use askama::Template;

use super::Chrome;

/// `/login`: address and password, posted to `/login` with `email`, `password`, `next`, `csrf`.
#[derive(Debug, Clone, Template)]
#[template(path = "login.html")]
pub struct LoginPage {
    /// `person` is `None`, `live` is false.
    pub chrome: Chrome,
    /// Where to go afterwards: a path of this site, checked by the handler.
    pub next: String,
    /// The address typed at the last try.
    pub email: String,
    /// Form token bound to a short-lived cookie; empty where the handler relies on Origin alone.
    pub csrf: String,
    /// What happened before.
    pub notice: Option<LoginNotice>,
}

impl LoginPage {
    /// Whether the way goes on to a call.
    #[must_use]
    pub fn returns_to_call(&self) -> bool {
        self.next.starts_with("/calls/")
    }
}

/// What happened before the sign-in page.
#[derive(Debug, Clone)]
pub enum LoginNotice {
    /// Address or password were wrong.
    Wrong,
    /// Too many tries.
    Throttled {
        /// How long to wait: "2 min".
        wait: String,
    },
    /// Signed out by the person.
    SignedOut,
    /// The session ended meanwhile.
    Expired,
    /// Somebody disabled the account.
    Disabled,
}

/// `/login/link/{token}`: the code of a one-time link, posted to the same address with `code`, `next`, `csrf`.
#[derive(Debug, Clone, Template)]
#[template(path = "login_link.html")]
pub struct LinkPage {
    /// `person` is `None`, `live` is false.
    pub chrome: Chrome,
    /// The link's token, as in the address.
    pub token: String,
    /// Where to go afterwards: a path of this site, checked by the handler.
    pub next: String,
    /// Form token bound to a short-lived cookie; empty where the handler relies on Origin alone.
    pub csrf: String,
    /// What happened before.
    pub notice: Option<LinkNotice>,
}

impl LinkPage {
    /// Whether the form makes sense still.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !matches!(self.notice, Some(LinkNotice::Spent))
    }
}

/// What happened before the code page.
#[derive(Debug, Clone)]
pub enum LinkNotice {
    /// The code was wrong.
    WrongCode {
        /// Tries left.
        left: u32,
    },
    /// Too many tries from here.
    Throttled {
        /// How long to wait: "2 min".
        wait: String,
    },
    /// Used, expired, out of tries, or never made: one answer for all, so that nothing is told.
    Spent,
}
