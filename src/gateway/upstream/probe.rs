//! What an upstream speaks, found out by asking it, and the sessions that Placet opens for itself.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::ask::{Ask, Failure, meta_added, standard_headers};
use super::link::Kind;
use super::{Link, Upstream, UpstreamError};
use crate::call::{AgentId, Answer, Era};

/// How long an upstream may take to start and answer the first question.
const PATIENCE: Duration = Duration::from_secs(20);
/// An own session that was not used for so long is tried with a ping before a call is entrusted to it.
const FRESH: Duration = Duration::from_secs(30);
/// How long that ping may take.
const PING: Duration = Duration::from_secs(5);
/// The session revision that Placet asks for on its own behalf.
const SESSIONS: &str = "2025-11-25";

/// Which eras an upstream speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Eras {
    /// Up to 2025-11-25: `initialize` and sessions.
    pub sessions: bool,
    /// 2026-07-28.
    pub stateless: bool,
}

impl Upstream {
    /// Which eras it speaks: probed once and remembered; a failed probe is tried again after a while.
    ///
    /// # Errors
    /// It cannot be started or reached, or does not answer (20 s a question).
    pub async fn eras(&self) -> Result<Eras, UpstreamError> {
        // Held while probing, so that agents who come together wait for one probe.
        let mut known = self.eras.lock().await;
        if let Some(eras) = *known {
            return Ok(eras);
        }
        self.starts().check(self.clock.now()).map_err(|why| self.unavailable(why))?;
        match self.probe().await {
            Ok(eras) => {
                tracing::info!(upstream = %self.name(), sessions = eras.sessions, stateless = eras.stateless, "an upstream was probed");
                self.starts().worked();
                *known = Some(eras);
                Ok(eras)
            }
            Err(why) => {
                // A process that ended at its start has been counted already.
                if self.starts().check(self.clock.now()).is_ok() {
                    self.starts().failed(self.clock.now(), &why);
                }
                Err(self.unavailable(why))
            }
        }
    }

    /// A process is locked to the era of its first request, so each question has a link of its own.
    async fn probe(&self) -> Result<Eras, String> {
        let stateless = match self.discover().await {
            Ok(Answer::Result(_)) => true,
            Ok(Answer::Error(_)) => return Ok(Eras { sessions: true, stateless: false }),
            Err(Failure::Refused(status)) if speaks_otherwise(status) => {
                return Ok(Eras { sessions: true, stateless: false });
            }
            Err(Failure::Refused(status)) => return Err(refused(status)),
            Err(Failure::NotSent(why)) => return Err(why),
            // Some servers of the session era fall silent or end at a question that is not initialize.
            Err(Failure::Unknown(_)) => false,
        };
        let link = Arc::new(self.connect(Era::Sessions, true).map_err(|error| error.to_string())?);
        let answer = initialize(&link).await;
        self.dismiss(link);
        match answer {
            Ok(Answer::Result(_)) => Ok(Eras { sessions: true, stateless }),
            Ok(Answer::Error(_)) if stateless => Ok(Eras { sessions: false, stateless }),
            Ok(Answer::Error(_)) => Err("it answers neither era of the protocol".to_owned()),
            Err(Failure::Refused(status)) if stateless && speaks_otherwise(status) => {
                Ok(Eras { sessions: false, stateless })
            }
            Err(Failure::Refused(status)) => Err(refused(status)),
            Err(Failure::NotSent(why) | Failure::Unknown(why)) => Err(why),
        }
    }

    async fn discover(&self) -> Result<Answer, Failure> {
        let link = Arc::new(self.connect(Era::Stateless, true)?);
        let params = meta_added(Era::Stateless, "{}");
        let headers = standard_headers(Era::Stateless, "server/discover", &params, &[]);
        let answer = link.ask(Ask::new("placet-discover", "server/discover", &params, &headers, PATIENCE)).await;
        self.dismiss(link);
        answer
    }

    /// A link for Placet's own calls on an agent's behalf, declaring no client capabilities: kept while it is used,
    /// opened anew where it has ended.
    ///
    /// # Errors
    /// As [`Upstream::open`]; the upstream refuses to initialise.
    pub async fn own(&self, agent: AgentId) -> Result<Arc<Link>, UpstreamError> {
        if self.eras().await?.stateless { self.pooled(agent, || None, true) } else { self.own_session(agent).await }
    }

    /// As [`Upstream::own`], a session in any case.
    pub(super) async fn own_session(&self, agent: AgentId) -> Result<Arc<Link>, UpstreamError> {
        let slot = self.own_slot(agent);
        let mut slot = slot.lock().await;
        if let Some(link) = slot.take() {
            let fresh = self.clock.now().since(link.used()) < FRESH;
            if link.is_alive() && (fresh || link.request("ping", "{}", &[], PING).await.is_ok()) {
                return Ok(Arc::clone(slot.insert(link)));
            }
            self.dismiss(link);
        }
        let link = Arc::new(self.connect(Era::Sessions, true)?);
        self.answer_alone(&link).await;
        let why = match initialize(&link).await {
            Ok(Answer::Result(_)) => return Ok(Arc::clone(slot.insert(link))),
            Ok(Answer::Error(_)) => "it refuses to initialize".to_owned(),
            Err(Failure::Refused(status)) => refused(status),
            Err(Failure::NotSent(why) | Failure::Unknown(why)) => why,
        };
        self.dismiss(link);
        Err(self.unavailable(why))
    }
}

/// HTTP statuses that say "not in this protocol", as against "not now" or "not you".
fn speaks_otherwise(status: u16) -> bool {
    (400..500).contains(&status) && !matches!(status, 401 | 403 | 407 | 408 | 425 | 429)
}

fn refused(status: u16) -> String {
    match status {
        401 | 403 => format!("it refuses Placet's credentials (HTTP status {status})"),
        _ => format!("it answers with HTTP status {status}"),
    }
}

/// Begins a session that declares no client capabilities.
async fn initialize(link: &Link) -> Result<Answer, Failure> {
    #[derive(Deserialize)]
    struct Agreed {
        #[serde(rename = "protocolVersion")]
        version: String,
    }
    let params = format!(
        r#"{{"protocolVersion":"{SESSIONS}","capabilities":{{}},"clientInfo":{{"name":"placet","version":"{}"}}}}"#,
        env!("CARGO_PKG_VERSION")
    );
    let answer = link.ask(Ask::new("placet-initialize", "initialize", &params, &[], PATIENCE)).await?;
    if let Answer::Result(result) = &answer {
        if let (Kind::Http(http), Ok(agreed)) = (&link.kind, serde_json::from_str::<Agreed>(result)) {
            http.speaks(&agreed.version);
        }
        let ready = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        link.send(ready[..].into(), &[]).await?;
    }
    Ok(answer)
}
