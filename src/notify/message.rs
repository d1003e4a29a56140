//! One mail's words: subject, plain text and HTML, made of facts. Nothing of a call reaches a line unbounded or with
//! hidden characters, and every link begins with the configured public URL.

use askama::Template;

use crate::call::{CallId, Millis, Verdict};

use super::text::{bounded, header, name, visible};

/// The longest subject, in characters.
const SUBJECT: usize = 150;
/// The most lines of arguments shown of one call; the page shows the rest.
const LINES: usize = 30;
/// The most lines of arguments shown of each call where a mail tells of several.
const LINES_OF_SEVERAL: usize = 8;
/// The most calls told in full; more are counted.
const CALLS: usize = 20;

/// What a mail tells of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallMail {
    /// The call.
    pub id: CallId,
    /// What happened.
    pub about: About,
    /// For a call of a database that was put back, of when it is known: it may have been decided and run since.
    pub as_of: Option<Millis>,
    /// What the call would do, in one line; `None` where nothing is known beyond tool and arguments.
    pub headline: Option<Headline>,
    /// Whether the policy declares the call critical.
    pub critical: bool,
    /// The agent's name.
    pub agent: String,
    /// Where the call goes.
    pub upstream: String,
    /// The tool's name, as the agent sent it.
    pub tool: String,
    /// The arguments as readable lines, secrets masked.
    pub arguments: Vec<String>,
    /// Why the agent makes the call, in its own words, secrets masked.
    pub agent_reason: Option<String>,
}

/// What a call would do, as the explanation says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headline {
    /// One sentence without a full stop: "Lets user ci-bot make itself administrator".
    pub line: String,
    /// Whether a wrong approval could give everything away.
    pub critical: bool,
}

/// What happened to the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// It waits for a decision.
    Held {
        /// Until then.
        deadline: Millis,
        /// What happens at the deadline.
        then: Then,
    },
    /// Nobody decided in time; further reviewers are asked.
    Escalated {
        /// The new deadline.
        deadline: Millis,
    },
    /// Somebody decided.
    Decided {
        /// Which way.
        verdict: Verdict,
        /// Who; `None` if the policy did.
        by: Option<String>,
        /// When.
        at: Millis,
        /// Why, in the reviewer's words.
        reason: String,
        /// Whether it has run, as a sentence.
        outcome: String,
    },
    /// Nobody decided in time.
    Expired {
        /// When the time was over.
        at: Millis,
    },
    /// It was approved, but its caller did not come back for it.
    Lapsed {
        /// When the approval's time was over.
        at: Millis,
    },
    /// Its caller took it back.
    Cancelled {
        /// When.
        at: Millis,
    },
    /// It may have run.
    OutcomeUnknown {
        /// What is known.
        why: String,
    },
}

/// What happens at a pending call's deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It does not run.
    Rejected,
    /// Further groups are asked.
    Escalated,
    /// The policy itself approves.
    Approved,
}

/// Where links lead.
#[derive(Clone, Debug)]
pub struct Links {
    base: String,
}

impl Links {
    /// Links below the configured public URL.
    #[must_use]
    pub fn new(public_url: &str) -> Self {
        Self { base: public_url.trim_end_matches('/').to_owned() }
    }

    /// The call's page.
    #[must_use]
    pub fn call(&self, id: CallId) -> String {
        format!("{}/calls/{id}", self.base)
    }

    /// The call's page with that choice prepared; whoever opens it still signs in and decides there.
    #[must_use]
    pub fn prepared(&self, id: CallId, verdict: Verdict) -> String {
        format!("{}/calls/{id}?prepare={}", self.base, verdict.as_str())
    }

    /// A page by its path.
    #[must_use]
    pub fn page(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The host that messages are named after.
    #[must_use]
    pub fn host(&self) -> &str {
        let rest = self.base.split_once("://").map_or(self.base.as_str(), |(_, rest)| rest);
        let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        host.strip_prefix('[')
            .and_then(|h| h.split(']').next())
            .unwrap_or_else(|| host.split(':').next().unwrap_or(host))
    }
}

/// A mail's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// One line without control characters.
    pub subject: String,
    /// The plain text part.
    pub text: String,
    /// The HTML part, saying the same.
    pub html: String,
}

/// Writes one mail about one call or several, the gravest first.
///
/// # Errors
/// A template could not be rendered.
pub fn write(calls: &[CallMail], links: &Links) -> Result<Message, askama::Error> {
    let mut calls = calls.to_vec();
    calls.sort_by_key(|call| (!call.is_critical(), !call.about.is_open()));
    let calls = calls.as_slice();
    let most_lines = if calls.len() == 1 { LINES } else { LINES_OF_SEVERAL };
    let view = View {
        subject: subject(calls),
        title: if calls.len() == 1 { String::new() } else { summary(calls) },
        items: calls.iter().take(CALLS).map(|call| Item::new(call, links, most_lines)).collect(),
        further: calls.len().saturating_sub(CALLS),
        home: links.base.clone(),
    };
    let text = TextMail { view: &view }.render()?;
    let html = HtmlMail { view: &view }.render()?;
    Ok(Message { subject: view.subject, text, html })
}

#[derive(Template)]
#[template(path = "mail/calls.txt", whitespace = "preserve")]
struct TextMail<'a> {
    view: &'a View,
}

#[derive(Template)]
#[template(path = "mail/calls.html")]
struct HtmlMail<'a> {
    view: &'a View,
}

struct View {
    subject: String,
    title: String,
    items: Vec<Item>,
    further: usize,
    home: String,
}

struct Item {
    headline: String,
    critical: bool,
    agent: String,
    wants: &'static str,
    tool: String,
    upstream: String,
    lines: Vec<String>,
    more: String,
    claim: String,
    news: String,
    quote: String,
    page: String,
    approve: String,
    reject: String,
}

impl Item {
    fn new(call: &CallMail, links: &Links, most_lines: usize) -> Self {
        let open = call.about.is_open();
        Self {
            headline: call.headline.as_ref().map_or_else(String::new, |h| header(&h.line, 300)),
            critical: call.is_critical(),
            agent: name(&call.agent),
            wants: if open { "wants to run" } else { "wanted to run" },
            tool: name(&call.tool),
            upstream: name(&call.upstream),
            lines: call.arguments.iter().take(most_lines).map(|line| line_of(line)).collect(),
            more: more_lines(call.arguments.len().saturating_sub(most_lines)),
            claim: call.agent_reason.as_deref().filter(|_| open).map(one_line).unwrap_or_default(),
            news: call.about.news(call.as_of),
            quote: call.about.quote(),
            page: links.call(call.id),
            approve: if open { links.prepared(call.id, Verdict::Approve) } else { String::new() },
            reject: if open { links.prepared(call.id, Verdict::Reject) } else { String::new() },
        }
    }
}

fn more_lines(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => "1 more line".to_owned(),
        _ => format!("{count} more lines"),
    }
}

fn line_of(line: &str) -> String {
    visible(&bounded(line, 400))
}

impl About {
    /// Whether a decision is asked for.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Held { .. } | Self::Escalated { .. })
    }

    /// What the subject begins with where the explanation has no line of its own.
    fn opening(&self) -> String {
        match self {
            Self::Held { .. } => "Needs approval".to_owned(),
            Self::Escalated { .. } => "Still needs approval".to_owned(),
            Self::Decided { verdict, by, .. } => {
                let did = if *verdict == Verdict::Approve { "Approved" } else { "Rejected" };
                format!("{did} by {}", by.as_deref().map_or_else(|| "the policy".to_owned(), name))
            }
            Self::Expired { .. } => "Expired, not run".to_owned(),
            Self::Lapsed { .. } => "Approved, but not run".to_owned(),
            Self::Cancelled { .. } => "Taken back".to_owned(),
            Self::OutcomeUnknown { .. } => "Outcome unknown".to_owned(),
        }
    }

    /// What happened and what follows, in Placet's words.
    fn news(&self, as_of: Option<Millis>) -> String {
        let nothing_has_run = as_of.map_or_else(
            || "Nothing has run.".to_owned(),
            |at| {
                format!(
                    "Placet's database was put back to how it was at {}: this call may have been decided, and have run, since. \
                     Look at the upstream before you approve it.",
                    utc(at)
                )
            },
        );
        match self {
            Self::Held { deadline, then } => {
                let then = match then {
                    Then::Rejected => "then it does not run",
                    Then::Escalated => "then further reviewers are asked",
                    Then::Approved => "then the policy lets it run without you",
                };
                format!("{nothing_has_run} Open until {}, {then}.", utc(*deadline))
            }
            Self::Escalated { deadline } => format!(
                "Nobody decided in time, so further reviewers are asked. {nothing_has_run} Open until {}, then it does not run.",
                utc(*deadline)
            ),
            Self::Decided { at, outcome, .. } => {
                format!("{}, {}. {}", self.opening(), utc(*at), header(outcome, 300))
            }
            Self::Expired { at } => {
                format!("Nobody decided before {}, so it has not run. The agent has been told.", utc(*at))
            }
            Self::Lapsed { at } => {
                format!("It was approved, but the agent did not come back for it before {}. It has not run.", utc(*at))
            }
            Self::Cancelled { at } => {
                format!("The agent took it back, {}. It has not run, and nothing is left to decide.", utc(*at))
            }
            Self::OutcomeUnknown { why } => format!(
                "It was approved and sent, but no answer is known: {}. It may have run, and Placet will not send it again. \
                 Look at the upstream, then say on the call's page whether it ran.",
                header(why, 300).trim_end_matches('.')
            ),
        }
    }

    /// The reviewer's own words.
    fn quote(&self) -> String {
        match self {
            // A person's line breaks are no more than spaces here.
            Self::Decided { reason, .. } => one_line(reason),
            _ => String::new(),
        }
    }
}

/// Somebody's words on one bounded line.
fn one_line(words: &str) -> String {
    header(&words.split_whitespace().collect::<Vec<_>>().join(" "), 500)
}

fn subject(calls: &[CallMail]) -> String {
    let [call] = calls else {
        let first = calls.first().map_or_else(String::new, |call| format!("; {}", call.what(40)));
        let critical = if calls.iter().any(CallMail::is_critical) { "Critical: " } else { "" };
        return header(&format!("{critical}{}{first}", summary(calls)), SUBJECT);
    };
    let headline = call.headline.as_ref().filter(|_| call.about.is_open()).map(|h| header(&h.line, 80));
    let opening = match (&call.about, headline) {
        (About::Escalated { .. }, Some(line)) => format!("Still waiting: {line}"),
        (_, Some(line)) => line,
        (about, None) => about.opening(),
    };
    let critical = if call.is_critical() { "Critical: " } else { "" };
    header(&format!("{critical}{opening}: {}", call.what(60)), SUBJECT)
}

impl CallMail {
    fn is_critical(&self) -> bool {
        self.about.is_open() && (self.critical || self.headline.as_ref().is_some_and(|h| h.critical))
    }

    fn what(&self, most: usize) -> String {
        format!("{} by {} on {}", header(&self.tool, most), header(&self.agent, 40), header(&self.upstream, 40))
    }
}

/// "3 calls need approval, 1 was decided".
fn summary(calls: &[CallMail]) -> String {
    let count = |test: fn(&About) -> bool| calls.iter().filter(|call| test(&call.about)).count();
    let parts = [
        (count(About::is_open), "needs approval", "need approval"),
        (count(|a| matches!(a, About::OutcomeUnknown { .. })), "has an unknown outcome", "have an unknown outcome"),
        (count(|a| matches!(a, About::Decided { .. })), "was decided", "were decided"),
        (count(|a| matches!(a, About::Expired { .. } | About::Lapsed { .. })), "expired", "expired"),
        (count(|a| matches!(a, About::Cancelled { .. })), "was taken back", "were taken back"),
    ];
    let mut out = String::new();
    for (count, one, many) in parts.into_iter().filter(|(count, ..)| *count > 0) {
        let noun = match (out.is_empty(), count) {
            (false, _) => "",
            (true, 1) => " call",
            (true, _) => " calls",
        };
        let comma = if out.is_empty() { "" } else { ", " };
        out.push_str(&format!("{comma}{count}{noun} {}", if count == 1 { one } else { many }));
    }
    out
}

/// Date and time to the minute, rounded down, so that no deadline is shown later than it is.
fn utc(at: Millis) -> String {
    match jiff::Timestamp::from_millisecond(at.0) {
        Ok(moment) => moment.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        Err(_) => at.to_string(),
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
