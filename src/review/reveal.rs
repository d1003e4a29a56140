//! `POST …/reveal`: a call with its secrets in clear, once the log knows who looked.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse as _;

use super::Review;
use super::api::call_json;
use super::call::Shown;
use super::failure::{Answer, Failure};
use super::session::{Script, SignedForm};
use crate::approvals::{Channel, Kept};
use crate::audit::Entry;
use crate::call::{Answer as Outcome, HeldCall, ReviewerId, secrets};
use crate::explain::tree::Reveal;

/// How many secrets a call carries, and where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Secrets {
    arguments: usize,
    reads: usize,
    result: usize,
}

impl Secrets {
    /// Counts what a page of this call masks.
    #[must_use]
    pub fn of(call: &HeldCall, kept: Kept) -> Self {
        let reads = call.context.iter().flatten().filter(|_| kept.context);
        let result = call.answer.as_ref().filter(|_| kept.answer).map(|answer| match answer {
            Outcome::Result(text) | Outcome::Error(text) => text,
        });
        Self {
            arguments: call.arguments().map_or(0, secrets::count),
            reads: reads
                .map(|read| {
                    secrets::count(&read.arguments) + read.result.as_ref().map_or(0, |text| secrets::count(text))
                })
                .sum(),
            result: result.map_or(0, |text| secrets::count(text)),
        }
    }

    /// How many in all.
    #[must_use]
    pub fn all(self) -> usize {
        self.arguments + self.reads + self.result
    }
}

/// `POST /calls/{id}/reveal`
pub async fn page(State(review): State<Review>, Path(id): Path<String>, form: SignedForm) -> Answer {
    let call = review.visible(&form.session, &id).await?;
    review.log_reveal(&call, form.session.reviewer.id, Channel::Page).await?;
    review.call_page(&form.session, &call, Shown { reveal: Reveal::Revealed, ..Shown::default() }).await
}

/// `POST /api/v1/calls/{id}/reveal`: for a token that may decide; one that only reads sees what is masked.
pub async fn api(State(review): State<Review>, Script(access): Script, Path(id): Path<String>) -> Answer {
    if !access.may_decide {
        let why = "This token reads only, and reading shows secrets masked. `placet reviewer token EMAIL --decide` makes \
                   one that may reveal them.";
        return Err(Failure::forbidden(why));
    }
    let call = review.visible_to(&access.reviewer, &id).await?;
    let kept = review.log_reveal(&call, access.reviewer.id, Channel::Api).await?;
    Ok(Json(call_json(&call, kept, Reveal::Revealed)).into_response())
}

impl Review {
    /// Writes down who looks at what, before it is shown. How much and where, not under which names: the log keeps no
    /// part of the arguments.
    async fn log_reveal(&self, call: &HeldCall, by: ReviewerId, channel: Channel) -> Result<Kept, Failure> {
        let submission = &call.submission;
        let kept = self.0.approvals.kept(call, &self.0.store.entries_of(submission.id).await?);
        let Secrets { arguments, reads, result } = Secrets::of(call, kept);
        let entry = Entry::new("call.revealed")
            .call(submission.id)
            .agent(&submission.agent.name)
            .upstream(&submission.upstream)
            .tool(&submission.tool)
            .reviewer(by)
            .with("channel", channel.as_str())
            .with("arguments", arguments)
            .with("reads", reads)
            .with("result", result);
        self.0.store.append(entry).await?;
        Ok(kept)
    }
}
