//! What surrounds every page.

use std::time::Duration;

use axum::response::{Html, IntoResponse as _, Response};

use super::Review;
use super::failure::Failure;
use super::rights::sight;
use super::view::{Banner, Chrome, Nav, Person, Text, Time};
use crate::call::Millis;
use crate::identity::Session;

/// How long every page tells of an alarm.
const ALARMS: Duration = Duration::from_secs(7 * 86_400);

/// Placet's time is told to differ from the machine's clock beyond this.
const ASKEW: Duration = Duration::from_secs(60);

/// A rendered page as an answer.
///
/// # Errors
/// The template failed.
pub fn html(page: &impl askama::Template) -> Result<Response, Failure> {
    Ok(Html(page.render()?).into_response())
}

/// A length of time in words.
fn span(span: Duration) -> String {
    match span.as_secs() {
        seconds if seconds < 7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

impl Review {
    /// The surroundings of a page that nobody is signed in to.
    pub(super) fn chrome_of_nobody(&self, title: &str) -> Chrome {
        Chrome {
            title: title.to_owned(),
            nav: Nav::Elsewhere,
            pending: 0,
            person: None,
            banners: Vec::new(),
            now: self.time(self.0.clock.now()),
            live: false,
        }
    }

    /// The surroundings of a page of this person.
    ///
    /// # Errors
    /// The database does not answer.
    pub(super) async fn chrome(&self, session: &Session, title: String, nav: Nav) -> Result<Chrome, Failure> {
        let reviewer = &session.reviewer;
        let pending = self.0.store.pending_within(&sight(reviewer)).await?;
        let mut banners = self.0.overview.banners(self.0.clock.now()).await;
        let now = self.0.clock.now();
        if let Some(alarms) = self.0.store.alarms_since(now.before(ALARMS)).await? {
            let rows = alarms.of_log < alarms.count;
            banners.insert(0, Banner::Alarms { count: alarms.count, latest: self.time(alarms.latest), rows });
        }
        banners.extend(self.standing_banner().await?);
        let ahead = self.0.store.clock_ahead();
        if ahead > ASKEW {
            banners.push(Banner::ClockSetBack { ahead: span(ahead) });
        }
        if self.0.approvals.settings().self_approval {
            banners.push(Banner::SelfApproval);
        }
        if !self.0.site.is_https() {
            banners.push(Banner::PlainHttp);
        }
        let person = Some(Person { name: Text::new(&reviewer.name), csrf: session.csrf.clone() });
        Ok(Chrome { title, nav, pending, person, banners, now: self.time(self.0.clock.now()), live: true })
    }

    /// A moment as pages say it, now.
    pub(super) fn time(&self, at: Millis) -> Time {
        Time::new(at.0, self.0.clock.now().0)
    }

    /// Whether owners may decide their own agents' calls.
    pub(super) fn solo(&self) -> bool {
        self.0.approvals.settings().self_approval
    }
}
