//! A mail that is about no call: handed over at once or not at all; who sends it tries again.

use super::email::{Mailer, SendError};
use super::message::Message;
use crate::call::{Email, Millis};

/// Such a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// To whom.
    pub to: Email,
    /// The same for every attempt at the same mail, with a host name: `x@placet.example.com`.
    pub message_id: String,
    /// One line.
    pub subject: String,
    /// What it says, in plain text.
    pub text: String,
    /// The name and the text of the file that goes with it.
    pub attached: Option<(String, String)>,
}

impl Mailer {
    /// Makes one attempt, within the transport's time limits.
    ///
    /// # Errors
    /// Why the server did not take it, without addresses.
    pub async fn post(&self, letter: Letter, at: Millis) -> Result<(), String> {
        let Letter { to, message_id, subject, text, attached } = letter;
        let message = Message { subject, text, html: String::new() };
        let mail = self.compose(&to, &message_id, at, message, attached).map_err(|error| error.to_string())?;
        self.send(mail).await.map_err(|error| match error {
            SendError::Unreachable(why) | SendError::Stalled(why) | SendError::Later(why) | SendError::Never(why) => {
                why.plain
            }
        })
    }
}
