//! What an upstream speaks, found out by asking it, and the sessions that Placet opens for itself.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::ask::{Ask, Failure, meta_added, standard_headers};
use super::link::Kind;
use super::process::Purpose;
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
            Err(error) => {
                // A process that ended at its start has been counted already.
                if let (UpstreamError::Unavailable { why, .. }, Ok(())) =
                    (&error, self.starts().check(self.clock.now()))
                {
                    self.starts().failed(self.clock.now(), why);
                }
                Err(error)
            }
        }
    }

    /// A process is locked to the era of its first request, so each question has a link of its own.
    async fn probe(&self) -> Result<Eras, UpstreamError> {
        let link = Arc::new(self.connect(Era::Stateless, true, Purpose::Probe)?);
        let answer = discover(&link).await;
        self.dismiss(Arc::clone(&link));
        let stateless = match answer {
            Ok(Answer::Result(_)) => true,
            Ok(Answer::Error(_)) => return Ok(Eras { sessions: true, stateless: false }),
            Err(Failure::Refused(status)) if speaks_otherwise(status) => {
                return Ok(Eras { sessions: true, stateless: false });
            }
            // Some servers of the session era fall silent or end at a question that is not initialize.
            Err(Failure::Unknown(_)) => false,
            Err(Failure::Send(_)) if !link.is_http() => false,
            Err(failure) => return Err(self.no_answer(&link, failure)),
        };
        let link = Arc::new(self.connect(Era::Sessions, true, Purpose::Session)?);
        let answer = initialize(&link).await;
        self.dismiss(Arc::clone(&link));
        match answer {
            Ok(Answer::Result(_)) => Ok(Eras { sessions: true, stateless }),
            Ok(Answer::Error(_)) if stateless => Ok(Eras { sessions: false, stateless }),
            Ok(Answer::Error(_)) => Err(self.unavailable("it answers neither era of the protocol".to_owned())),
            Err(Failure::Refused(status)) if stateless && speaks_otherwise(status) => {
                Ok(Eras { sessions: false, stateless })
            }
            Err(failure) => Err(self.no_answer(&link, failure)),
        }
    }

    /// Why there was no answer on `link`, told of the upstream.
    fn no_answer(&self, link: &Link, failure: Failure) -> UpstreamError {
        let why = match failure {
            Failure::Refused(status @ (401 | 403)) => format!("it refuses Placet's credentials (HTTP status {status})"),
            Failure::Refused(status) => format!("it answers with HTTP status {status}"),
            Failure::Send(error @ UpstreamError::Unavailable { .. }) => return error,
            Failure::Send(error) => link.ended_because().unwrap_or_else(|| error.to_string()),
            Failure::Unknown(why) => link.ended_because().unwrap_or(why),
        };
        self.unavailable(why)
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
        let link = Arc::new(self.connect(Era::Sessions, true, Purpose::Session)?);
        self.answer_alone(&link).await;
        let error = match initialize(&link).await {
            Ok(Answer::Result(_)) => return Ok(Arc::clone(slot.insert(link))),
            Ok(Answer::Error(_)) => self.unavailable("it refuses to initialize".to_owned()),
            Err(failure) => self.no_answer(&link, failure),
        };
        self.dismiss(link);
        Err(error)
    }
}

/// HTTP statuses that say "not in this protocol", as against "not now" or "not you".
fn speaks_otherwise(status: u16) -> bool {
    (400..500).contains(&status) && !matches!(status, 401 | 403 | 407 | 408 | 425 | 429)
}

async fn discover(link: &Link) -> Result<Answer, Failure> {
    let params = meta_added(Era::Stateless, "{}");
    let headers = standard_headers(Era::Stateless, "server/discover", &params, &[]);
    link.ask(Ask::new("placet-discover", "server/discover", &params, &headers, PATIENCE)).await
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
