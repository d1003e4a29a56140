//! `/account`: password, sessions and API tokens of the person who is signed in.

use askama::Template;

use super::{Chrome, Text, Time};

/// The account page.
#[derive(Debug, Clone, Template)]
#[template(path = "account.html")]
pub struct AccountPage {
    /// Top bar and banners; `nav` is Account.
    pub chrome: Chrome,
    /// Display name.
    pub name: Text,
    /// Address.
    pub email: Text,
    /// "Reviewer", "Auditor" or "Administrator".
    pub role: &'static str,
    /// Groups.
    pub groups: Vec<Text>,
    /// Whether there is a password already (a person who came by link may have none): then the
    /// form asks for it as `current`. It posts to `/account/password` with `current`, `new`, `repeat`.
    pub has_password: bool,
    /// What became of the last password change.
    pub password_notice: Option<PasswordNotice>,
    /// Open sessions, this one first; `POST /account/sessions/{id}/revoke` ends one.
    pub sessions: Vec<Session>,
    /// API tokens; `POST /account/tokens/{id}/revoke` ends one.
    pub tokens: Vec<Token>,
}

/// What became of a password change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordNotice {
    /// Done; all other sessions are signed out.
    Changed,
    /// The current password was wrong.
    WrongCurrent,
    /// The two new ones differ.
    Differ,
    /// Shorter than 12 characters.
    TooShort,
    /// Longer than 1,024 bytes.
    TooLong,
}

/// An open session.
#[derive(Debug, Clone)]
pub struct Session {
    /// A public id of it, never the secret.
    pub id: String,
    /// This very one.
    pub current: bool,
    /// Browser and system as the browser says: "Firefox on Linux".
    pub device: Text,
    /// When it was opened.
    pub created: Time,
    /// When it was last used.
    pub seen: Time,
    /// When it ends by itself.
    pub expires: Time,
}

/// An API token.
#[derive(Debug, Clone)]
pub struct Token {
    /// A public id of it, never the secret.
    pub id: String,
    /// What it may do: "reads" or "reads and decides".
    pub scope: &'static str,
    /// When it was made.
    pub created: Time,
    /// When it ends by itself.
    pub expires: Time,
    /// When it was last used.
    pub used: Option<Time>,
}
