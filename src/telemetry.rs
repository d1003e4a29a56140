//! Logs and metrics: where they go, and every name they use.
//!
//! Logs go to stderr: text for a person where stderr is a terminal, one JSON object a line elsewhere; `PLACET_LOG`
//! sets the level (`debug`, or `placet=debug,info`), `PLACET_LOG_FORMAT` (`text` or `json`) overrides the form. Labels of
//! metrics come from small closed sets or from the configuration, never from a call.

use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::util::TryInitError;

/// Logs or metrics could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `PLACET_LOG` cannot be read.
    #[error(
        "PLACET_LOG={0:?} is not a log filter; use a level such as info or debug, or a list such as placet=debug,info"
    )]
    Filter(String),
    /// `PLACET_LOG_FORMAT` cannot be read.
    #[error("PLACET_LOG_FORMAT={0:?} is neither text nor json")]
    Format(String),
    /// Something in this process logs elsewhere already.
    #[error("logging is set up already")]
    LogTaken(#[from] TryInitError),
    /// Something in this process counts elsewhere already.
    #[error("metrics are recorded elsewhere in this process already")]
    MetricsTaken,
    /// The histogram's bounds were refused.
    #[error("metrics could not be set up: {0}")]
    Metrics(#[from] BuildError),
}

/// Sends this process's logs to stderr, as the environment says, else from `level` on.
///
/// # Errors
/// `PLACET_LOG` or `PLACET_LOG_FORMAT` cannot be read, or logging is set up already.
pub fn init_logs(level: &str) -> Result<(), TelemetryError> {
    let terminal = std::io::stderr().is_terminal();
    let filter = filter(std::env::var("PLACET_LOG").ok().as_deref().unwrap_or(level))?;
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter);
    if wants_json(std::env::var("PLACET_LOG_FORMAT").ok().as_deref(), terminal)? {
        log.json().flatten_event(true).with_current_span(true).with_span_list(false).finish().try_init()?;
    } else {
        log.with_ansi(terminal).with_target(false).finish().try_init()?;
    }
    Ok(())
}

fn filter(level: &str) -> Result<EnvFilter, TelemetryError> {
    let level = Some(level).filter(|level| !level.trim().is_empty()).unwrap_or("info");
    let filter = EnvFilter::builder().parse(level).map_err(|_| TelemetryError::Filter(level.to_owned()))?;
    // Every statement, at length, would drown what Placet says itself: at `trace` only, or where it is asked for.
    let asked = |part: &str| part.trim().eq_ignore_ascii_case("trace") || part.trim().starts_with("sqlx");
    if level.split(',').any(asked) {
        return Ok(filter);
    }
    let quiet = "sqlx::query=info".parse().map_err(|_| TelemetryError::Filter(level.to_owned()))?;
    Ok(filter.add_directive(quiet))
}

fn wants_json(format: Option<&str>, terminal: bool) -> Result<bool, TelemetryError> {
    match format {
        None | Some("") => Ok(!terminal),
        Some("json") => Ok(true),
        Some("text") => Ok(false),
        Some(other) => Err(TelemetryError::Format(other.to_owned())),
    }
}

/// What this process has counted. Clones render the same numbers.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

/// A process counts once, however many services it starts (tests start many).
static INSTALLED: Mutex<Option<Metrics>> = Mutex::new(None);

impl Metrics {
    /// Starts to count, or returns what counts already.
    ///
    /// # Errors
    /// Another recorder was installed in this process.
    pub fn install() -> Result<Self, TelemetryError> {
        let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(metrics) = &*installed {
            return Ok(metrics.clone());
        }
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Full(HOLD.into()), &HOLD_BUCKETS)?
            .set_buckets_for_metric(Matcher::Full(MAIL_DELAY.into()), &MAIL_BUCKETS)?
            .build_recorder();
        let metrics = Self(recorder.handle());
        metrics::set_global_recorder(recorder).map_err(|_| TelemetryError::MetricsTaken)?;
        describe();
        *installed = Some(metrics.clone());
        Ok(metrics)
    }

    /// Everything in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Folds what was observed since into the histograms; called now and then, so that memory stays bounded while
    /// nobody scrapes.
    pub fn upkeep(&self) {
        self.0.run_upkeep();
    }
}

/// The `Content-Type` of [`Metrics::render`].
pub const METRICS_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const RULED: &str = "placet_calls_ruled_total";
const DECIDED: &str = "placet_calls_decided_total";
const ENDED: &str = "placet_calls_ended_total";
const PENDING: &str = "placet_calls_pending";
const UNFOUND: &str = "placet_calls_outcome_unknown";
const HOLD: &str = "placet_hold_seconds";
const UNELIGIBLE: &str = "placet_calls_without_reviewer";
const SIGN_INS: &str = "placet_sign_ins_total";
const MAILS: &str = "placet_mails_total";
const MAIL_WAITING: &str = "placet_mails_waiting";
const MAIL_DELAY: &str = "placet_mail_delay_seconds";
const UPSTREAM_ERRORS: &str = "placet_upstream_errors_total";
const CLOCK_JUMPS: &str = "placet_clock_jumps_total";
const CLOCK_AHEAD: &str = "placet_clock_ahead_seconds";
const ALARMS: &str = "placet_alarms_total";
const STORE_FAILURES: &str = "placet_store_failures_total";
const CHECKPOINT_SIZE: &str = "placet_log_checkpoint_entries";
const CHECKPOINT_FAILURES: &str = "placet_log_checkpoint_failures_total";
const ANCHOR_SIZE: &str = "placet_log_anchor_entries";
const ANCHOR_FAILURES: &str = "placet_log_anchor_failures_total";
const POLICY_BROKEN: &str = "placet_policy_reload_failed";

const HOLD_BUCKETS: [f64; 10] = [1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 14_400.0, 86_400.0];
const MAIL_BUCKETS: [f64; 8] = [5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 86_400.0];

fn describe() {
    describe_counter!(RULED, "Calls by what the policy said: allowed, held, denied, limited");
    describe_counter!(DECIDED, "Reviewers' verdicts, by verdict and channel");
    describe_counter!(ENDED, "Held calls that ended, by the state they ended in");
    describe_gauge!(PENDING, "Calls that wait for a reviewer now");
    describe_gauge!(UNELIGIBLE, "Pending calls that no reviewer may decide");
    describe_gauge!(UNFOUND, "Calls that may have run, and that nobody has looked into");
    describe_histogram!(HOLD, Unit::Seconds, "From holding a call to its decision or expiry");
    describe_counter!(SIGN_INS, "Sign-ins, by outcome: ok, refused, throttled");
    describe_counter!(
        MAILS,
        "Notices to one reviewer each, by what became of their mail: sent, retried, refused, given_up, broken, superseded"
    );
    describe_gauge!(MAIL_WAITING, "Notices that wait to be mailed now");
    describe_histogram!(MAIL_DELAY, Unit::Seconds, "From an event to the mail about it leaving");
    describe_counter!(UPSTREAM_ERRORS, "Released calls that an upstream did not answer");
    describe_counter!(
        CLOCK_JUMPS,
        "Times that the machine's clock was found set; what came within a minute counts once"
    );
    describe_gauge!(
        CLOCK_AHEAD,
        Unit::Seconds,
        "How far Placet's time is ahead of the machine's clock, which was set back"
    );
    describe_counter!(ALARMS, "Alarms in the log: something was changed behind Placet's back");
    describe_counter!(STORE_FAILURES, "Batches of writes that the database refused");
    describe_gauge!(CHECKPOINT_SIZE, "Entries that the last signed checkpoint of the audit log covers");
    describe_gauge!(ANCHOR_SIZE, "Entries that the last checkpoint covers which an anchor got, by kind and id");
    describe_gauge!(POLICY_BROKEN, "1 while the policy file is broken, and the last good policy stays in force");
    describe_counter!(ANCHOR_FAILURES, "Checkpoints that did not reach an anchor, by kind and id");
    describe_counter!(
        CHECKPOINT_FAILURES,
        "Checkpoints of the audit log that could not be signed, stored or published"
    );
}

/// What the policy said of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruled {
    /// Forwarded without asking.
    Allowed,
    /// Held for a reviewer.
    Held,
    /// Refused by a rule.
    Denied,
    /// Refused by a limit.
    Limited,
}

/// Counts one ruling.
pub fn ruled(how: Ruled) {
    let ruling = match how {
        Ruled::Allowed => "allowed",
        Ruled::Held => "held",
        Ruled::Denied => "denied",
        Ruled::Limited => "limited",
    };
    counter!(RULED, "ruling" => ruling).increment(1);
}

/// Counts one vote: its verdict's word, and `page` or `api`.
pub fn decided(verdict: &'static str, via: &'static str) {
    counter!(DECIDED, "verdict" => verdict, "via" => via).increment(1);
}

/// Counts a held call that reached a terminal state of this name.
pub fn ended(state: &'static str) {
    counter!(ENDED, "state" => state).increment(1);
}

/// Records how long a call was held before it was decided or expired.
pub fn held_for(span: Duration) {
    histogram!(HOLD).record(span);
}

/// Tells how many calls are pending, and how many of them nobody may decide.
pub fn pending(calls: u64, without_reviewer: u64) {
    gauge!(PENDING).set(gauge_value(calls));
    gauge!(UNELIGIBLE).set(gauge_value(without_reviewer));
}

/// Tells how many calls may have run without anybody having found out.
pub fn outcome_unknown(calls: u64) {
    gauge!(UNFOUND).set(gauge_value(calls));
}

/// How a sign-in ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignIn {
    /// Signed in.
    Ok,
    /// Wrong password, code or link.
    Refused,
    /// Too many attempts.
    Throttled,
}

/// Counts one sign-in.
pub fn sign_in(how: SignIn) {
    let outcome = match how {
        SignIn::Ok => "ok",
        SignIn::Refused => "refused",
        SignIn::Throttled => "throttled",
    };
    counter!(SIGN_INS, "outcome" => outcome).increment(1);
}

/// What became of a notice to one reviewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mailed {
    /// The server took its mail.
    Sent,
    /// It was not taken; tried again later.
    Retried,
    /// The server will never take it.
    Refused,
    /// Tried for too long.
    GivenUp,
    /// It could not be written.
    Broken,
    /// No longer true when its turn came.
    Superseded,
}

/// Counts what became of one notice to one reviewer.
pub fn mailed(how: Mailed) {
    let outcome = match how {
        Mailed::Sent => "sent",
        Mailed::Retried => "retried",
        Mailed::Refused => "refused",
        Mailed::GivenUp => "given_up",
        Mailed::Broken => "broken",
        Mailed::Superseded => "superseded",
    };
    counter!(MAILS, "outcome" => outcome).increment(1);
}

/// Records how long after its event a mail left.
pub fn mail_delay(span: Duration) {
    histogram!(MAIL_DELAY).record(span);
}

/// Tells how many notices wait to be mailed.
pub fn mails_waiting(notices: u64) {
    gauge!(MAIL_WAITING).set(gauge_value(notices));
}

/// Counts a released call that this configured upstream did not answer.
pub fn upstream_failed(upstream: &str) {
    counter!(UPSTREAM_ERRORS, "upstream" => upstream.to_owned()).increment(1);
}

/// Counts a batch of writes that the database refused.
pub fn store_failed() {
    counter!(STORE_FAILURES).increment(1);
}

/// Tells whether the policy file on disk is one that cannot be put in force.
pub fn policy_broken(broken: bool) {
    gauge!(POLICY_BROKEN).set(if broken { 1.0 } else { 0.0 });
}

/// Counts alarms in the log.
pub fn alarms(count: u64) {
    counter!(ALARMS).increment(count);
}

/// Counts that the machine's clock was found set.
pub fn clock_jumped() {
    counter!(CLOCK_JUMPS).increment(1);
}

/// Tells how far Placet's time is ahead of the machine's clock.
pub fn clock_ahead(ahead: Duration) {
    gauge!(CLOCK_AHEAD).set(ahead.as_secs_f64());
}

/// Tells how many entries of the log the last checkpoint covers.
pub fn checkpointed(size: u64) {
    gauge!(CHECKPOINT_SIZE).set(gauge_value(size));
}

/// Counts a checkpoint that could not be made.
pub fn checkpoint_failed() {
    counter!(CHECKPOINT_FAILURES).increment(1);
}

/// Tells how many entries of the log the checkpoint covers that a configured anchor got last.
pub fn anchored(kind: &'static str, anchor: &str, size: u64) {
    gauge!(ANCHOR_SIZE, "kind" => kind, "anchor" => anchor.to_owned()).set(gauge_value(size));
}

/// Counts a checkpoint that did not reach a configured anchor.
pub fn anchor_failed(kind: &'static str, anchor: &str) {
    counter!(ANCHOR_FAILURES, "kind" => kind, "anchor" => anchor.to_owned()).increment(1);
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; counts stay far below 2^53")]
fn gauge_value(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_rendered_with_its_description() {
        let metrics = Metrics::install().unwrap();
        ruled(Ruled::Limited);
        held_for(Duration::from_secs(20));
        pending(3, 1);
        metrics.upkeep();
        let text = Metrics::install().unwrap().render();
        for line in [
            "# HELP placet_calls_ruled_total Calls by what the policy said",
            "placet_calls_ruled_total{ruling=\"limited\"}",
            "placet_hold_seconds_bucket{le=\"60\"}",
            "placet_calls_pending",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }

    #[test]
    fn a_bad_environment_is_named() {
        assert!(filter("").is_ok() && filter("placet=debug,info").is_ok());
        for (level, statements) in [
            ("debug", false),
            ("placet=trace,debug", false),
            ("trace", true),
            ("info,sqlx=debug", true),
            ("debug,sqlx::query=debug", true),
        ] {
            let log = tracing_subscriber::fmt().with_writer(std::io::sink).with_env_filter(filter(level).unwrap());
            let told = tracing::subscriber::with_default(
                log.finish(),
                || tracing::enabled!(target: "sqlx::query", tracing::Level::DEBUG),
            );
            assert_eq!(told, statements, "{level}");
        }
        let error = filter("placet=loud").map(|_| ()).map_err(|e| e.to_string());
        assert!(error.is_err_and(|e| e.starts_with("PLACET_LOG=\"placet=loud\" is not a log filter")));
        assert!(wants_json(Some("xml"), true).is_err());
        assert_eq!(wants_json(None, true).ok(), Some(false));
        assert_eq!(wants_json(None, false).ok(), Some(true));
    }
}
