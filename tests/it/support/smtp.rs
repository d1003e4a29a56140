//! A mail server for tests: takes, delays, refuses or ignores mails as it is told, and keeps what it took.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How the server behaves.
#[derive(Clone, Debug, Default)]
pub struct Behaviour {
    /// So many mails are answered 451 after their recipient.
    pub later: u32,
    /// These recipients are answered 550.
    pub refused: HashSet<String>,
    /// A mail whose decoded text holds this is answered 554.
    pub refused_text: Option<String>,
    /// After DATA and the content nothing is answered.
    pub stall: bool,
    /// A connection is closed before its greeting.
    pub close: bool,
    /// Whoever hands mails over must sign in with this user and password.
    pub credentials: Option<(String, String)>,
}

#[derive(Default)]
struct State {
    behaviour: Behaviour,
    mails: Vec<Received>,
    connections: u32,
}

/// What tests wait for.
#[derive(Default)]
struct Count {
    mails: usize,
    stalled: usize,
}

/// The server. Dropping it ends it.
pub struct SmtpSink {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    arrived: Arc<watch::Sender<Count>>,
    tasks: JoinSet<()>,
}

/// A mail as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The envelope's sender.
    pub from: String,
    /// The envelope's recipients.
    pub to: Vec<String>,
    /// Header and body, dots unstuffed, lines ended by CR LF.
    pub raw: String,
}

impl SmtpSink {
    /// Starts on a free port of the loopback address.
    pub async fn start() -> Self {
        let mut sink = Self {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            state: Arc::default(),
            arrived: Arc::default(),
            tasks: JoinSet::new(),
        };
        sink.up().await;
        sink
    }

    /// The port, the same after going down and up again.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Refuses connections from now on.
    pub async fn down(&mut self) {
        self.tasks.shutdown().await;
    }

    /// Takes connections (again).
    pub async fn up(&mut self) {
        let listener = TcpListener::bind(self.address).await.expect("the port is free");
        self.address = listener.local_addr().expect("a bound socket has an address");
        let (state, arrived) = (Arc::clone(&self.state), Arc::clone(&self.arrived));
        self.tasks.spawn(async move {
            let mut sessions = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (state, arrived) = (Arc::clone(&state), Arc::clone(&arrived));
                // A client that goes away ends its session, nothing else.
                sessions.spawn(async move { session(stream, &state, &arrived).await.unwrap_or_default() });
            }
        });
    }

    /// Changes how the next mails are answered.
    pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.state.lock().unwrap().behaviour);
    }

    /// What was taken so far.
    pub fn mails(&self) -> Vec<Received> {
        self.state.lock().unwrap().mails.clone()
    }

    /// Connections so far.
    pub fn connections(&self) -> u32 {
        self.state.lock().unwrap().connections
    }

    /// Returns when at least so many mails were taken.
    pub async fn has(&self, mails: usize) -> Vec<Received> {
        self.arrived.subscribe().wait_for(|count| count.mails >= mails).await.expect("the sender lives");
        self.mails()
    }

    /// Returns when a mail was received that is not answered.
    pub async fn stalls(&self) {
        self.arrived.subscribe().wait_for(|count| count.stalled > 0).await.expect("the sender lives");
    }
}

async fn session(stream: TcpStream, state: &Mutex<State>, arrived: &watch::Sender<Count>) -> std::io::Result<()> {
    let close = {
        let mut state = state.lock().unwrap();
        state.connections += 1;
        state.behaviour.close
    };
    if close {
        return Ok(());
    }
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read);
    write.write_all(b"220 sink.test ESMTP\r\n").await?;
    let mut mail = Received { from: String::new(), to: Vec::new(), raw: String::new() };
    let mut line = String::new();
    let credentials = state.lock().unwrap().behaviour.credentials.clone();
    let mut signed_in = credentials.is_none();
    loop {
        line.clear();
        if lines.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let command = line.trim_end();
        let verb = command.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let answer = match verb.as_str() {
            "EHLO" | "HELO" if credentials.is_some() => "250-sink.test\r\n250-AUTH PLAIN\r\n250 8BITMIME",
            "EHLO" | "HELO" => "250-sink.test\r\n250 8BITMIME",
            "AUTH" => {
                let given = base64(command.rsplit(' ').next().unwrap_or_default());
                signed_in = credentials.as_ref().is_some_and(|(user, word)| given == format!("\0{user}\0{word}"));
                if signed_in { "235 welcome" } else { "535 5.7.8 who are you" }
            }
            "MAIL" | "RCPT" | "DATA" if !signed_in => "530 5.7.0 sign in first",
            "MAIL" => {
                mail = Received { from: address(command), to: Vec::new(), raw: String::new() };
                "250 sender ok"
            }
            "RCPT" => {
                mail.to.push(address(command));
                let mut state = state.lock().unwrap();
                if mail.to.iter().any(|to| state.behaviour.refused.contains(to)) {
                    "550 5.1.1 nobody of that name here"
                } else if state.behaviour.later > 0 {
                    state.behaviour.later -= 1;
                    "451 4.7.1 greylisted, try again later"
                } else {
                    "250 recipient ok"
                }
            }
            "DATA" => {
                write.write_all(b"354 go on\r\n").await?;
                mail.raw = content(&mut lines).await?;
                let behaviour = state.lock().unwrap().behaviour.clone();
                if behaviour.stall {
                    arrived.send_modify(|count| count.stalled += 1);
                    std::future::pending::<()>().await;
                }
                if behaviour.refused_text.is_some_and(|text| mail.text().contains(&text)) {
                    "554 5.7.1 this content is not wanted"
                } else {
                    state.lock().unwrap().mails.push(mail.clone());
                    "250 taken"
                }
            }
            "RSET" | "NOOP" => "250 ok",
            "QUIT" => "221 bye",
            _ => "502 unknown command",
        };
        write.write_all(format!("{answer}\r\n").as_bytes()).await?;
        if answer == "250 taken" {
            // Told after the answer, so that a test that goes on does not cut the conversation.
            arrived.send_modify(|count| count.mails += 1);
        }
        if verb == "QUIT" {
            return Ok(());
        }
    }
}

fn address(command: &str) -> String {
    let inside = command.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inside.map(|(address, _)| address.to_owned()).unwrap_or_default()
}

async fn content(lines: &mut (impl tokio::io::AsyncBufRead + Unpin)) -> std::io::Result<String> {
    let mut content = String::new();
    loop {
        let mut line = String::new();
        // A mail that breaks off is none.
        if lines.read_line(&mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line == ".\r\n" {
            return Ok(content);
        }
        content.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}

impl Received {
    /// A header's value, unfolded and decoded (RFC 2047).
    pub fn header(&self, name: &str) -> Option<String> {
        let (head, _) = self.raw.split_once("\r\n\r\n")?;
        header_of(head, name).map(|value| decode_words(&value))
    }

    /// The text/plain part, decoded.
    pub fn text(&self) -> String {
        self.part("text/plain")
    }

    /// The text/html part, decoded.
    pub fn html(&self) -> String {
        self.part("text/html")
    }

    fn part(&self, kind: &str) -> String {
        let boundary = self.raw.split_once("boundary=\"").and_then(|(_, rest)| rest.split_once('"'));
        let Some((boundary, _)) = boundary else { return String::new() };
        let boundary = format!("--{boundary}");
        let mut parts = self.raw.split(&boundary).filter_map(|part| part.split_once("\r\n\r\n"));
        let found = parts.find(|(head, _)| header_of(head, "Content-Type").is_some_and(|is| is.starts_with(kind)));
        let Some((head, body)) = found else { return String::new() };
        match header_of(head, "Content-Transfer-Encoding").as_deref() {
            Some("quoted-printable") => quoted_printable(body),
            Some("base64") => base64(&body.replace("\r\n", "")),
            _ => body.to_owned(),
        }
        .replace("\r\n", "\n")
    }
}

fn header_of(head: &str, name: &str) -> Option<String> {
    let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
    let lines = unfolded.split("\r\n").filter_map(|line| line.split_once(':'));
    lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned()).next()
}

fn base64(text: &str) -> String {
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn quoted_printable(text: &str) -> String {
    let joined = text.replace("=\r\n", "");
    let (mut out, mut rest) = (Vec::new(), joined.as_bytes());
    while let Some((&byte, tail)) = rest.split_first() {
        let code = tail.get(..2).filter(|_| byte == b'=').and_then(|two| std::str::from_utf8(two).ok());
        match code.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(decoded) => {
                out.push(decoded);
                rest = &tail[2..];
            }
            None => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// `=?utf-8?b?…?=` words decoded and joined.
fn decode_words(value: &str) -> String {
    let mut out = String::new();
    let mut after_word = false;
    for piece in value.split(' ') {
        let word = piece.strip_prefix("=?utf-8?b?").and_then(|rest| rest.strip_suffix("?="));
        let separator = if out.is_empty() || (after_word && word.is_some()) { "" } else { " " };
        out.push_str(separator);
        out.push_str(&word.map_or_else(|| piece.to_owned(), base64));
        after_word = word.is_some();
    }
    out
}
