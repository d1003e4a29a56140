//! The log as a whole: what is signed of it, who else knows, what is wrong with it; and the note and the keys to take
//! along.

use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};

use super::Review;
use super::failure::{Answer, Failure};
use super::session::Visitor;
use super::timeline::log_alarm;
use super::view::Text;
use super::view::audit::{AnchorFacts, LogAlarm, LogFacts, RestoredFacts, SignedFacts};
use super::view::error::Problem;
use crate::call::secrets;
use crate::identity::Reviewer;
use crate::store::{AnchorState, LogEntry};

/// How long an alarm stands on top of the page; it stays in the log for ever.
const ALARMED: Duration = Duration::from_secs(30 * 24 * 3600);
/// Most alarms on top of the page.
const ALARMS: usize = 5;

/// `GET /audit/checkpoint`: the latest signed note.
pub async fn checkpoint(State(review): State<Review>, _: Visitor) -> Answer {
    match review.0.store.last_checkpoint().await? {
        Some(last) => Ok(text("placet.checkpoint", last.note)),
        None => Err(Problem::NotFound.into()),
    }
}

/// `GET /audit/key`: every key that ever signed the log, oldest first, one a line.
pub async fn key(State(review): State<Review>, _: Visitor) -> Answer {
    let mut keys: Vec<String> = Vec::new();
    for entry in review.0.store.log_entries().await? {
        for name in ["vkey", "old", "new"] {
            if let Some(key) = entry.detail[name].as_str().filter(|key| !keys.iter().any(|known| known == key)) {
                keys.push(key.to_owned());
            }
        }
    }
    if keys.is_empty() {
        return Err(Problem::NotFound.into());
    }
    Ok(text("audit.pub", keys.join("\n") + "\n"))
}

fn text(name: &str, content: String) -> Response {
    let kind = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    (kind, content).into_response()
}

impl Review {
    /// What the audit page tells of the log to this person.
    pub(super) async fn log_facts(&self, reader: &Reviewer) -> Result<LogFacts, Failure> {
        let (store, everything) = (&self.0.store, reader.roles.read_everything());
        let now = self.0.clock.now();
        let entries = store.log_entries().await?;
        let alarms = entries.iter().rev().filter(|entry| entry.kind.starts_with("alarm."));
        let restored = store.restoration().await?.filter(|restored| now.since(restored.at) < ALARMED);
        let lately = alarms.filter(|entry| now.since(entry.at) < ALARMED).take(ALARMS);
        Ok(LogFacts {
            size: store.log_size().await?,
            checkpoint: store.last_checkpoint().await?.map(|last| SignedFacts {
                size: last.size,
                at: self.time(last.at),
                root: last.root.to_string(),
            }),
            anchors: store.anchors().await?.iter().map(|anchor| self.anchor_facts(anchor, everything)).collect(),
            alarms: lately.map(|entry| self.log_alarm(entry)).collect(),
            restored: restored.map(|restored| RestoredFacts {
                at: self.time(restored.at),
                as_of: self.time(restored.found.as_of),
                unknown: restored.done.unknown,
                pending: restored.done.pending,
                ended_again: restored.done.agents + restored.done.reviewers,
                tools: restored.done.tools,
            }),
        })
    }

    fn log_alarm(&self, entry: &LogEntry) -> LogAlarm {
        let words = log_alarm(&entry.kind, &entry.detail);
        let words = words.strip_prefix("ALARM: ").unwrap_or(&words);
        LogAlarm { seq: entry.seq, at: self.time(entry.at), what: Text::new(words) }
    }

    /// The words of other systems are for who reads everything.
    fn anchor_facts(&self, anchor: &AnchorState, everything: bool) -> AnchorFacts {
        let words = |text: &String| Text::new(&secrets::mask_text(text));
        let error = anchor.error.as_ref().zip(anchor.tried_at);
        AnchorFacts {
            kind: match anchor.kind.as_str() {
                "file" => "File",
                "command" => "Command",
                "url" => "URL",
                _ => "Mail",
            },
            place: Text::new(&anchor.shown),
            id: anchor.id.clone(),
            last: anchor.last.map(|(size, at)| (size, self.time(at))),
            failures: anchor.failures,
            said: error.and_then(|(missed, _)| missed.said.as_ref().filter(|_| everything).map(words)),
            error: error.map(|(missed, at)| (words(&missed.why), self.time(at))),
        }
    }
}
