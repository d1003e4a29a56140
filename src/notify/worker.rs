//! One pass over the outbox: address what is new, mail what is due, settle what became of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::email::{Composed, Mailer, SendError, Why};
use super::facts;
use super::message::{CallMail, Headline, Links, write};
use super::schedule::{GIVE_UP, LEASE, Waiting, backoff};
use crate::call::{Digest, Email, HeldCall, Millis, ReviewerId};
use crate::clock::Clock;
use crate::store::{ClaimedMail, MailGroup, Notice, Person, Settled, Store, StoreError};
use crate::telemetry::{self, Mailed};

/// The longest time between two passes, in case a signal was lost.
const PERIOD: Duration = Duration::from_secs(30);

/// The most notices in one mail.
const MOST: u32 = 200;

/// How long what became of notices is remembered.
const KEEP: Duration = Duration::from_secs(30 * 24 * 3600);

/// The longest wait before a server that could not be reached is tried again: a mail about a call leaves within a minute
/// of its coming back, whatever single mails wait for.
const CLOSED: Duration = Duration::from_secs(55);

/// How often old notices are forgotten.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

/// Says in one line what a held call would do.
pub type HeadlineOf = dyn Fn(&HeldCall) -> Option<Headline> + Send + Sync;

/// Whether a person may decide a call.
pub type MayDecide = dyn Fn(&HeldCall, &Person) -> bool + Send + Sync;

/// What the worker asks of the parts that know.
#[derive(Clone)]
pub struct Judgement {
    /// Says in one line what a held call would do; `None` where nothing is known beyond its arguments.
    pub headline: Arc<HeadlineOf>,
    /// Whether this person may decide this call. A mail gives no right: this only chooses who hears of it.
    pub may_decide: Arc<MayDecide>,
}

/// Mails what the outbox holds.
pub struct Worker {
    store: Store,
    clock: Clock,
    /// `None`: no mail server is configured.
    mailer: Option<Mailer>,
    links: Links,
    judgement: Judgement,
    /// Attempts in a row that did not reach the server.
    unreached: u32,
    /// No attempt before then.
    closed_until: Millis,
    prune_at: Millis,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("mailer", &self.mailer).field("links", &self.links).finish_non_exhaustive()
    }
}

/// A group's rows after a look at their calls.
#[derive(Default)]
struct Sorted {
    told: Vec<(ClaimedMail, CallMail)>,
    settled: Vec<(Notice, Settled)>,
}

impl Sorted {
    fn supersede(&mut self, claimed: &ClaimedMail) {
        telemetry::mailed(Mailed::Superseded);
        self.settled.push((claimed.notice, Settled::Superseded));
    }
}

impl Worker {
    /// A worker for this store; without a mailer notices are put aside and nobody is mailed.
    #[must_use]
    pub fn new(store: Store, clock: Clock, mailer: Option<Mailer>, links: Links, judgement: Judgement) -> Self {
        Self {
            store,
            clock,
            mailer,
            links,
            judgement,
            unreached: 0,
            closed_until: Millis(i64::MIN),
            prune_at: Millis(i64::MIN),
        }
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(super) fn mails(&self) -> bool {
        self.mailer.is_some()
    }

    /// After a start: what was under way when the process ended is mailed again.
    pub async fn recover(&mut self) {
        failpoint!("mail.recover");
        match self.store.mails_recover(Millis::MAX).await {
            Ok(0) => {}
            Ok(notices) => tracing::info!(notices, "mails that were under way at the last stop are sent again"),
            Err(error) => tracing::error!(%error, "mails that were under way could not be taken up"),
        }
        failpoint!("mail.recovered");
    }

    /// One pass. Returns when the next one is due.
    pub async fn pass(&mut self) -> Millis {
        let latest = self.clock.now().after(PERIOD);
        match self.try_pass().await {
            Ok(next) => next.unwrap_or(latest).min(latest),
            Err(error) => {
                tracing::error!(%error, "the outbox could not be worked through; it is tried again");
                latest
            }
        }
    }

    async fn try_pass(&mut self) -> Result<Option<Millis>, StoreError> {
        self.prune().await?;
        let next = match self.mailer.clone() {
            None => {
                self.store.notices_unmailed().await?;
                None
            }
            Some(mailer) => {
                self.store.mails_recover(self.clock.now()).await?;
                self.address().await?;
                self.mail(&mailer).await?
            }
        };
        telemetry::mails_waiting(self.store.mails_waiting().await?);
        Ok(next)
    }

    async fn prune(&mut self) -> Result<(), StoreError> {
        let now = self.clock.now();
        if now >= self.prune_at {
            self.prune_at = now.after(PRUNE_EVERY);
            self.store.outbox_prune(now.before(KEEP)).await?;
        }
        Ok(())
    }

    /// Writes down who gets each new notice.
    async fn address(&self) -> Result<(), StoreError> {
        loop {
            let notices = self.store.notices_queued().await?;
            if notices.is_empty() {
                return Ok(());
            }
            let people = self.store.people_enabled().await?;
            for notice in notices {
                let found = match notice {
                    Ok(notice) => self.recipients(notice, &people).await.map_err(|error| (notice.id, error)),
                    Err(broken) => Err(broken),
                };
                match found {
                    Ok((notice, to)) => {
                        failpoint!("mail.address");
                        self.store.notice_addressed(notice, to).await?;
                        failpoint!("mail.addressed");
                    }
                    Err((id, error @ StoreError::BadRow { .. })) => {
                        tracing::error!(notice = id, %error, "a notice cannot be read; nobody is mailed about it");
                        telemetry::mailed(Mailed::Broken);
                        self.store.notice_broken(id).await?;
                    }
                    Err((_, error)) => return Err(error),
                }
            }
        }
    }

    async fn recipients(&self, notice: Notice, people: &[Person]) -> Result<(Notice, Vec<ReviewerId>), StoreError> {
        let Some(call) = self.store.call(notice.call).await? else { return Ok((notice, Vec::new())) };
        let told = self.store.told_of(notice.call).await?;
        let may_decide = |who: &Person| (self.judgement.may_decide)(&call, who);
        let to = people.iter().filter(|who| {
            let told = told.iter().find(|told| told.reviewer == who.id);
            facts::concerns(notice.kind, &call, who, told, may_decide)
        });
        Ok((notice, to.map(|who| who.id).collect()))
    }

    /// Mails every group that is due. Returns when the next one is.
    async fn mail(&mut self, mailer: &Mailer) -> Result<Option<Millis>, StoreError> {
        let groups = self.store.mail_groups().await?;
        if groups.is_empty() {
            return Ok(None);
        }
        let people = self.store.people_enabled().await?;
        let mut next: Option<Millis> = None;
        for group in groups {
            // Asked anew each time: handing a mail over takes time, and may close the way for the rest.
            let now = self.clock.now();
            let due = due(&group).max(self.closed_until);
            if due > now {
                next = Some(next.map_or(due, |next| next.min(due)));
                continue;
            }
            let again = self.mail_group(mailer, group, &people).await?;
            next = next.into_iter().chain(again).min();
        }
        Ok(next)
    }

    /// Mails one group. Returns when something of it is due again.
    async fn mail_group(
        &mut self,
        mailer: &Mailer,
        group: MailGroup,
        people: &[Person],
    ) -> Result<Option<Millis>, StoreError> {
        let to = group.reviewer;
        let name = move |notices: &[i64]| mail_name(notices, to);
        let lease = self.clock.now().after(LEASE);
        failpoint!("mail.claim");
        let (message, claimed) = self.store.mails_claim(group, MOST, lease, name).await?;
        failpoint!("mail.claimed");
        let Some(who) = people.iter().find(|who| who.id == to) else {
            let mut sorted = Sorted::default();
            claimed.iter().for_each(|claimed| sorted.supersede(claimed));
            self.store.mails_settle(to, sorted.settled).await?;
            return Ok(None);
        };
        let Sorted { told, mut settled } = self.sort(claimed, who).await?;
        let mut again = None;
        if !told.is_empty() {
            let (told, calls): (Vec<_>, Vec<_>) = told.into_iter().unzip();
            let composed = self.compose(mailer, &who.email, &message, &calls);
            let result = match composed {
                Err(problem) => Err(Failure::Unwritable(problem)),
                Ok(mail) => mailer.send(mail).await.map_err(Failure::Unsent),
            };
            let outcome = self.judge(&told, &result, to);
            again = outcome.iter().filter_map(|(_, how)| due_again(how, self.clock.now())).min();
            settled.extend(outcome);
        }
        failpoint!("mail.settle");
        self.store.mails_settle(to, settled).await?;
        failpoint!("mail.settled");
        Ok(again.map(|at| at.max(self.closed_until)))
    }

    /// Looks at each notice's call: what there is to tell, what no longer has to be, what cannot be read.
    async fn sort(&self, claimed: Vec<ClaimedMail>, who: &Person) -> Result<Sorted, StoreError> {
        let mut sorted = Sorted::default();
        for claimed in claimed {
            match self.tell(claimed.notice, who).await {
                Ok(Some(mail)) => {
                    // Several notices about one call in one mail: the last one says it.
                    if let Some(at) = sorted.told.iter().position(|(_, earlier)| earlier.id == mail.id) {
                        let (earlier, _) = sorted.told.remove(at);
                        sorted.supersede(&earlier);
                    }
                    sorted.told.push((claimed, mail));
                }
                Ok(None) => sorted.supersede(&claimed),
                Err(problem @ Trouble::Row(_)) => {
                    let why = problem.to_string();
                    tracing::error!(notice = claimed.notice.id, problem = why, "a notice cannot be mailed");
                    telemetry::mailed(Mailed::Broken);
                    let plain = "the call cannot be read".to_owned();
                    sorted.settled.push((claimed.notice, Settled::Failed { plain, why }));
                }
                Err(Trouble::Database(error)) => return Err(error),
            }
        }
        Ok(sorted)
    }

    async fn tell(&self, notice: Notice, who: &Person) -> Result<Option<CallMail>, Trouble> {
        let call = match self.store.call(notice.call).await {
            Ok(Some(call)) => call,
            Ok(None) => return Ok(None),
            Err(error @ StoreError::BadRow { .. }) => return Err(Trouble::Row(error.to_string())),
            Err(error) => return Err(Trouble::Database(error)),
        };
        let still = |call: &HeldCall| facts::may_be_asked(call, who) && (self.judgement.may_decide)(call, who);
        let tell = || facts::tell(notice.kind, &call, still, &*self.judgement.headline);
        caught(tell).map_err(Trouble::Row)
    }

    fn compose(&self, mailer: &Mailer, to: &Email, message: &str, calls: &[CallMail]) -> Result<Composed, String> {
        let id = format!("{message}@{}", self.links.host());
        caught(|| {
            let words = write(calls, &self.links).map_err(|e| e.to_string())?;
            mailer.compose(to, &id, self.clock.now(), words, None).map_err(|e| e.to_string())
        })?
    }

    /// What an attempt means for each of its notices.
    fn judge(&mut self, told: &[ClaimedMail], result: &Result<(), Failure>, to: ReviewerId) -> Vec<(Notice, Settled)> {
        let now = self.clock.now();
        match result {
            Ok(()) => {
                self.unreached = 0;
                told.iter().for_each(|claimed| telemetry::mail_delay(now.since(claimed.notice.at)));
            }
            Err(Failure::Unsent(SendError::Unreachable(why) | SendError::Stalled(why))) => {
                self.unreached = self.unreached.saturating_add(1);
                let wait = backoff(self.unreached).min(CLOSED);
                self.closed_until = now.after(wait);
                tracing::warn!(
                    why = why.plain,
                    tried = self.unreached,
                    "no mail leaves; the next attempt is in {wait:?}"
                );
            }
            Err(Failure::Unsent(SendError::Later(why) | SendError::Never(why))) => {
                self.unreached = 0;
                tracing::warn!(why = why.plain, notices = told.len(), "a mail was not taken");
            }
            Err(Failure::Unwritable(problem)) => {
                tracing::error!(problem, notices = told.len(), "a mail could not be written");
            }
        }
        told.iter()
            .map(|claimed| {
                let (how, counted) = verdict(claimed, told.len(), result.as_ref().err(), now, to);
                telemetry::mailed(counted);
                (claimed.notice, how)
            })
            .collect()
    }
}

/// Why a notice's facts could not be had.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0}")]
    Row(String),
    #[error(transparent)]
    Database(StoreError),
}

/// Why a mail did not leave.
#[derive(Debug)]
enum Failure {
    Unwritable(String),
    Unsent(SendError),
}

/// What became of one notice of a mail that held `of`.
fn verdict(
    claimed: &ClaimedMail,
    of: usize,
    failure: Option<&Failure>,
    now: Millis,
    to: ReviewerId,
) -> (Settled, Mailed) {
    let Some(failure) = failure else { return (Settled::Sent, Mailed::Sent) };
    let (at, reached, why) = match failure {
        Failure::Unwritable(problem) => {
            let why = Why { plain: "it could not be written".into(), full: problem.clone() };
            return (for_good(claimed, of, to, &why), Mailed::Broken);
        }
        Failure::Unsent(SendError::Never(why)) => return (for_good(claimed, of, to, why), Mailed::Refused),
        Failure::Unsent(SendError::Unreachable(why)) => (now, false, why),
        Failure::Unsent(SendError::Stalled(why) | SendError::Later(why)) => {
            (now.after(backoff(claimed.attempts)), true, why)
        }
    };
    if now.since(claimed.notice.at) >= GIVE_UP {
        tracing::error!(call = %claimed.notice.call, why = why.plain, "a mail was given up after a day");
        let plain = format!("given up after a day: {}", why.plain);
        return (Settled::Failed { why: why.full.clone(), plain }, Mailed::GivenUp);
    }
    (Settled::Again { at, reached, why: why.full.clone() }, Mailed::Retried)
}

/// A refusal may be owed to one notice of several: each gets a mail of its own before it is final.
fn for_good(claimed: &ClaimedMail, of: usize, to: ReviewerId, why: &Why) -> Settled {
    if of > 1 {
        return Settled::Alone { message: mail_name(&[claimed.notice.id], to), why: why.full.clone() };
    }
    tracing::error!(call = %claimed.notice.call, why = why.plain, "a mail will not be sent");
    Settled::Failed { why: why.full.clone(), plain: why.plain.clone() }
}

fn due(group: &MailGroup) -> Millis {
    let MailGroup { first, latest, last_mail, .. } = *group;
    match group.message {
        Some(_) => group.due,
        None => Waiting { first, latest, last_mail }.due(),
    }
}

fn due_again(how: &Settled, now: Millis) -> Option<Millis> {
    match how {
        Settled::Again { at, .. } => Some(*at),
        Settled::Alone { .. } => Some(now),
        Settled::Sent | Settled::Superseded | Settled::Failed { .. } => None,
    }
}

/// Names a mail by what it tells and whom: the same at every attempt, different from every other.
fn mail_name(notices: &[i64], to: ReviewerId) -> String {
    let facts = format!("placet/mail/v1 {to} {notices:?}");
    Digest::of(facts.as_bytes()).to_string()[..32].to_owned()
}

/// Runs what handles other people's words so that a panic in it costs one mail, not the worker.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        format!("internal error: {}", text.unwrap_or_default())
    })
}
