//! `/policy/versions/{entry}`: what the policy was from a moment on, and what was changed.

use axum::extract::{Path, State};

use super::Review;
use super::chrome::html;
use super::diff::{self, Edit};
use super::failure::{Answer, Failure};
use super::session::Visitor;
use super::view::error::Problem;
use super::view::policy::{Step, StepWhat};
use super::view::versions::{Changes, Line, VersionPage};
use super::view::{Nav, Text};
use crate::store::{PolicyStep, PolicyWhat};

/// Steps that the tools page lists.
const LISTED: usize = 20;

/// Entries read at once: each start of the service is one too.
const READ: u32 = 200;

/// Lines shown around a change.
const AROUND: usize = 3;

/// As much of a version's name as pages show.
const SHOWN: usize = 8;

/// `GET /policy/versions/{entry}`
pub async fn page(State(review): State<Review>, Visitor(session): Visitor, Path(entry): Path<i64>) -> Answer {
    let store = &review.0.store;
    let steps = store.policy_steps(entry.saturating_add(1), READ).await?;
    let mut loads = steps.iter().filter_map(|step| match &step.what {
        PolicyWhat::Loaded(version) => Some((step, version)),
        PolicyWhat::Refused(_) => None,
    });
    let found = loads.next().filter(|(step, _)| step.seq == entry);
    let Some((step, version)) = found else { return Err(Failure::from(Problem::NotFound)) };
    let before = loads.find(|(_, other)| *other != version);
    let text = store.policy_text(version).await?;
    let text_before = match before {
        Some((_, before)) => store.policy_text(before).await?,
        None => None,
    };
    let changes = text_before.as_deref().zip(text.as_deref()).map(|(before, after)| changes(before, after));
    html(&VersionPage {
        chrome: review.chrome(&session, "A version of the policy".into(), Nav::Tools).await?,
        version: short(version),
        digest: version.clone(),
        at: review.time(step.at),
        before: before.map(|(step, before)| (short(before), review.time(step.at))),
        text: text.map(|text| Text::new(&text)),
        changes,
    })
}

fn short(version: &str) -> String {
    version.chars().take(SHOWN).collect()
}

impl Review {
    /// The policy's latest steps, the newest first. That a version came into force again at a start is no step.
    ///
    /// # Errors
    /// The database does not answer.
    pub(super) async fn policy_history(&self) -> Result<Vec<Step>, Failure> {
        let steps = self.0.store.policy_steps(i64::MAX, READ).await?;
        let mut shown: Vec<Step> = Vec::new();
        let mut current: Option<&str> = None;
        // In the order of time, so that of the same version one after the other the first one stays.
        for step in steps.iter().rev() {
            if let PolicyWhat::Loaded(version) = &step.what {
                if current == Some(version) {
                    continue;
                }
                current = Some(version);
            }
            shown.push(self.step(step));
        }
        shown.reverse();
        shown.truncate(LISTED);
        Ok(shown)
    }

    fn step(&self, step: &PolicyStep) -> Step {
        let what = match &step.what {
            PolicyWhat::Loaded(version) => StepWhat::Loaded { version: short(version), entry: step.seq },
            PolicyWhat::Refused(problems) => {
                let mut lines = problems.lines();
                let problem = Text::new(lines.next().unwrap_or_default());
                StepWhat::Refused { problem, more: lines.count() }
            }
        };
        Step { at: self.time(step.at), what }
    }
}

/// The lines that differ, with a few around them.
fn changes(before: &str, after: &str) -> Changes {
    let all = diff::lines(before, after);
    let changed: Vec<_> = (0..all.len()).filter(|at| all[*at].0 != Edit::Kept).collect();
    let near = |at: usize| {
        let next = changed.partition_point(|changed| *changed + AROUND < at);
        changed.get(next).is_some_and(|changed| *changed <= at + AROUND)
    };
    let (mut lines, mut skipped) = (Vec::new(), 0);
    for (at, (edit, line)) in all.iter().enumerate() {
        if !near(at) {
            skipped += 1;
            continue;
        }
        if skipped > 0 {
            lines.push(Line::Skipped(std::mem::take(&mut skipped)));
        }
        let line = Text::new(line);
        lines.push(match edit {
            Edit::Kept => Line::Kept(line),
            Edit::Removed => Line::Removed(line),
            Edit::Added => Line::Added(line),
        });
    }
    if skipped > 0 && !lines.is_empty() {
        lines.push(Line::Skipped(skipped));
    }
    let count = |wanted: Edit| all.iter().filter(|(edit, _)| *edit == wanted).count();
    Changes { added: count(Edit::Added), removed: count(Edit::Removed), lines }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_shown_with_a_few_lines_around() {
        let text = |changed: &str| {
            (0..20).map(|n| if n == 10 { changed.to_owned() } else { n.to_string() }).collect::<Vec<_>>().join("\n")
        };
        let Changes { added, removed, lines } = changes(&text("x"), &text("y"));
        let shown: Vec<_> = lines
            .iter()
            .map(|line| match line {
                Line::Kept(line) => format!(" {}", line.flat()),
                Line::Removed(line) => format!("-{}", line.flat()),
                Line::Added(line) => format!("+{}", line.flat()),
                Line::Skipped(count) => format!("…{count}"),
            })
            .collect();
        assert_eq!((added, removed), (1, 1));
        assert_eq!(shown.join("|"), "…7| 7| 8| 9|-x|+y| 11| 12| 13|…6");
        assert!(changes("a\nb", "a\nb").lines.is_empty());
    }
}
