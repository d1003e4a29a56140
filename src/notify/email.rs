//! Mails on the wire: one message as MIME, one attempt over SMTP. The only file that knows lettre.
//!
//! One connection for each mail: reviewers get few mails, and a connection that never outlives its attempt can neither
//! go stale nor carry one mail's failure into the next.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use lettre::address::{Address, Envelope};
use lettre::message::header::{ContentTransferEncoding, ContentType, Date, Header, HeaderName, HeaderValue};
use lettre::message::{Attachment, Body, Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Severity;
use secrecy::{ExposeSecret as _, SecretString};

use super::message::Message;
use super::text::header;
use crate::call::{Email, Millis};

/// How the connection to the mail server is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// Not at all: a relay on the same machine.
    Plain,
    /// `STARTTLS`, required.
    StartTls,
    /// TLS from the first byte.
    Tls,
}

/// Where mails are handed over.
#[derive(Clone, Debug)]
pub struct Smtp {
    /// The server's host name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is secured.
    pub security: Security,
    /// User and password, where the server asks for them.
    pub credentials: Option<(String, SecretString)>,
    /// How long connecting may take; 10 s by default.
    pub connect_timeout: Duration,
    /// How long handing over one mail may take, connecting included; 30 s by default.
    pub total_timeout: Duration,
}

/// A sender that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("[mail] from = {0:?} is not a sender; use an address, or a name and an address: Placet <placet@example.com>")]
pub struct BadSender(String);

impl Smtp {
    /// A server with the default time limits and without credentials.
    #[must_use]
    pub fn new(host: String, port: u16, security: Security) -> Self {
        Self {
            host,
            port,
            security,
            credentials: None,
            connect_timeout: Duration::from_secs(10),
            total_timeout: Duration::from_secs(30),
        }
    }
}

/// 9999-12-31: httpdate panics beyond it.
const LAST_DATE: Duration = Duration::from_secs(253_402_214_400);

/// A mail that was handed over, as the demo's viewer and tests read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// To whom.
    pub to: Email,
    /// When.
    pub at: Millis,
    /// What it says.
    pub message: Message,
    /// The bytes of the mail.
    pub raw: Vec<u8>,
}

/// A mailbox in memory: keeps the latest 200 mails.
#[derive(Clone, Debug, Default)]
pub struct MemoryMailbox(Arc<Mutex<VecDeque<Delivered>>>);

impl MemoryMailbox {
    const MOST: usize = 200;

    /// What has arrived, oldest first.
    #[must_use]
    pub fn mails(&self) -> Vec<Delivered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn put(&self, mail: Delivered) {
        let mut mails = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if mails.len() == Self::MOST {
            mails.pop_front();
        }
        mails.push_back(mail);
    }
}

/// How mails leave.
#[derive(Clone, Debug)]
pub enum Transport {
    /// Over SMTP.
    Smtp(Smtp),
    /// Into memory: the demo's mail viewer.
    Memory(MemoryMailbox),
}

/// A mail, ready to leave.
#[derive(Clone, Debug)]
pub(super) struct Composed {
    pub raw: Vec<u8>,
    pub to: Email,
    pub at: Millis,
    pub message: Message,
    envelope: Envelope,
}

/// Why a mail could not be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ComposeError {
    #[error("the reviewer's address is not one that mail servers take")]
    Address,
    #[error("the mail could not be put together: {0}")]
    Build(String),
}

/// What became of an attempt. Texts name stage and code; the server's own words are apart, since they may hold
/// addresses, which never reach a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SendError {
    /// The server could not be reached or did not let us in: nothing about this mail.
    Unreachable(Why),
    /// The server stopped answering after the mail was begun: it may have taken it.
    Stalled(Why),
    /// This mail was not taken now.
    Later(Why),
    /// This mail will never be taken.
    Never(Why),
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Why {
    /// Stage and code, for logs.
    pub plain: String,
    /// With the server's words, for the operator's eyes in the database.
    pub full: String,
}

/// Writes and sends mails from one sender.
#[derive(Clone, Debug)]
pub struct Mailer {
    transport: Transport,
    from: Mailbox,
}

/// An attachment that arrives byte for byte: no mail program converts the line ends of what is no text to it.
fn bytes(content: String) -> Result<Body, ComposeError> {
    Body::new_with_encoding(content.into_bytes(), ContentTransferEncoding::Base64)
        .map_err(|_| ComposeError::Build("an attachment could not be encoded".to_owned()))
}

fn binary() -> Result<ContentType, ComposeError> {
    ContentType::parse("application/octet-stream").map_err(|error| ComposeError::Build(error.to_string()))
}

/// RFC 3834: keeps vacation responders quiet.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

impl Mailer {
    /// Mails leave by `transport`, from a sender such as `Placet <placet@example.com>`.
    ///
    /// # Errors
    /// The sender cannot be read.
    pub fn new(transport: Transport, from: &str) -> Result<Self, BadSender> {
        let bad = || BadSender(header(from, 200));
        // lettre 0.11.23 panics on CR, LF and NUL in a display name.
        if from.chars().any(char::is_control) {
            return Err(bad());
        }
        let (name, address) = match from.trim().strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) {
            Some((name, address)) => (name.trim().trim_matches('"'), address),
            None => ("", from.trim()),
        };
        let address: Address = address.parse().map_err(|_| bad())?;
        let name = Some(header(name, 100)).filter(|name| !name.is_empty());
        Ok(Self { transport, from: Mailbox::new(name, address) })
    }

    /// Puts one mail together. `message_id` is the same for every attempt at the same mail. One with a file attached, by
    /// name and text, is plain text alone.
    pub(super) fn compose(
        &self,
        to: &Email,
        message_id: &str,
        at: Millis,
        message: Message,
        attached: Option<(String, String)>,
    ) -> Result<Composed, ComposeError> {
        let address: Address = to.as_str().parse().map_err(|_| ComposeError::Address)?;
        let sent = SystemTime::UNIX_EPOCH + at.since(Millis(0)).min(LAST_DATE);
        // The boundary need only not occur in the parts: quoted-printable and base64 never begin a line with "--=_".
        let boundary = format!("=_{}", header(message_id, 40).replace(|c: char| !c.is_ascii_alphanumeric(), "_"));
        let text = SinglePart::plain(message.text.clone());
        let parts = match attached {
            None if message.html.is_empty() => MultiPart::mixed().boundary(boundary).singlepart(text),
            None => MultiPart::alternative()
                .boundary(boundary)
                .singlepart(text)
                .singlepart(SinglePart::html(message.html.clone())),
            Some((name, content)) => MultiPart::mixed()
                .boundary(boundary)
                .singlepart(text)
                .singlepart(Attachment::new(name).body(bytes(content)?, binary()?)),
        };
        let mail = lettre::Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, address))
            .subject(header(&message.subject, 200))
            .header(Date::new(sent))
            .message_id(Some(format!("<{}>", header(message_id, 200))))
            .header(AutoSubmitted)
            .multipart(parts)
            .map_err(|e| ComposeError::Build(e.to_string()))?;
        let envelope = mail.envelope().clone();
        Ok(Composed { raw: mail.formatted(), to: to.clone(), at, message, envelope })
    }

    /// Makes one attempt, within the transport's time limits.
    pub(super) async fn send(&self, mail: Composed) -> Result<(), SendError> {
        match &self.transport {
            Transport::Memory(mailbox) => {
                let Composed { raw, to, at, message, .. } = mail;
                mailbox.put(Delivered { to, at, message, raw });
                Ok(())
            }
            Transport::Smtp(smtp) => {
                let mut stage = Stage::Connecting;
                match tokio::time::timeout(smtp.total_timeout, hand_over(smtp, &mail, &mut stage)).await {
                    Ok(result) => result,
                    Err(_) => {
                        let why = Why::plain(format!("the mail server did not answer in time {}", stage.words()));
                        Err(if stage == Stage::Connecting {
                            SendError::Unreachable(why)
                        } else {
                            SendError::Stalled(why)
                        })
                    }
                }
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Connecting,
    Sender,
    Recipient,
    Content,
}

impl Stage {
    fn words(self) -> &'static str {
        match self {
            Self::Connecting => "while connecting",
            Self::Sender => "to the sender",
            Self::Recipient => "to the recipient",
            Self::Content => "to the content",
        }
    }
}

impl Why {
    fn plain(text: String) -> Self {
        Self { full: text.clone(), plain: text }
    }

    fn of(stage: Stage, error: &lettre::transport::smtp::Error) -> Self {
        let plain = match error.status() {
            Some(code) => format!("the mail server answered {code} {}", stage.words()),
            None if error.is_timeout() => format!("the mail server did not answer in time {}", stage.words()),
            // Nothing was said yet, so the cause names no one: a refused connection, an unknown certificate.
            None if stage == Stage::Connecting => format!("no connection to the mail server: {}", cause(error)),
            None => format!("the connection to the mail server broke {}", stage.words()),
        };
        Self { full: header(&format!("{plain} ({error})"), 400), plain }
    }
}

/// The innermost cause, in one line.
fn cause(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    header(&error.to_string(), 200)
}

async fn hand_over(smtp: &Smtp, mail: &Composed, stage: &mut Stage) -> Result<(), SendError> {
    use lettre::transport::smtp::Error;
    let unreachable = |error: Error| SendError::Unreachable(Why::of(Stage::Connecting, &error));
    failpoint!("mail.connect");
    let mut connection = connect(smtp).await.map_err(unreachable)?;
    failpoint!("mail.connected");
    let mut conversation = async || {
        *stage = Stage::Sender;
        connection.command(Mail::new(mail.envelope.from().cloned(), Vec::new())).await?;
        *stage = Stage::Recipient;
        for recipient in mail.envelope.to() {
            connection.command(Rcpt::new(recipient.clone(), Vec::new())).await?;
        }
        *stage = Stage::Content;
        connection.command(Data).await?;
        failpoint!("mail.content");
        let taken = connection.message(&mail.raw).await;
        failpoint!("mail.taken");
        taken
    };
    let result: Result<_, Error> = conversation().await;
    match result {
        Ok(_) => {
            // The mail is taken; how the server parts does not matter.
            let _ = connection.quit().await;
            Ok(())
        }
        Err(error) => {
            connection.abort().await;
            let why = Why::of(*stage, &error);
            Err(match error.status().map(|code| code.severity) {
                Some(Severity::PermanentNegativeCompletion) => SendError::Never(why),
                _ => SendError::Later(why),
            })
        }
    }
}

async fn connect(smtp: &Smtp) -> Result<AsyncSmtpConnection, lettre::transport::smtp::Error> {
    let hello = ClientId::default();
    let tls = || TlsParameters::new(smtp.host.clone());
    let implicit = if smtp.security == Security::Tls { Some(tls()?) } else { None };
    let server = (smtp.host.as_str(), smtp.port);
    let mut connection =
        AsyncSmtpConnection::connect_tokio1(server, Some(smtp.connect_timeout), &hello, implicit, None).await?;
    if smtp.security == Security::StartTls {
        connection.starttls(tls()?, &hello).await?;
    }
    if let Some((user, password)) = &smtp.credentials {
        let credentials = Credentials::new(user.clone(), password.expose_secret().to_owned());
        connection.auth(DEFAULT_MECHANISMS, &credentials).await?;
    }
    Ok(connection)
}

#[cfg(test)]
#[path = "email_tests.rs"]
mod tests;
