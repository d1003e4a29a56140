//! What agents are told of their calls: one plain sentence that says whether the tool ran, why, and what to do, and
//! the same in `_meta` for programs. Never who decided.

use super::error::{INTERNAL, INVALID_PARAMS, RpcError};
use super::meta::{self, Facts, Remediation};
use crate::approvals::SubmitError;
use crate::call::json::quote;
use crate::call::{Answer, CallState, Era, Finding, HeldCall, Millis};

/// To whom an answer goes: the request's id as it was written, and the era, which decides what a result must have.
#[derive(Clone, Debug)]
pub struct To {
    /// The id's text.
    pub id: String,
    /// The era.
    pub era: Era,
}

impl To {
    /// A tool result that is an error, so that clients do not check it against the tool's output schema.
    fn result(&self, text: &str, facts: &Facts) -> String {
        let kind = match self.era {
            Era::Sessions => "",
            Era::Stateless => r#""resultType":"complete","#,
        };
        format!(
            r#"{{"jsonrpc":"2.0","id":{},"result":{{{kind}"content":[{{"type":"text","text":{}}}],"isError":true,"_meta":{{{}}}}}}}"#,
            self.id,
            quote(text),
            facts.members()
        )
    }

    /// A call that was never held; `state` is `denied`, `limited` or `refused`.
    fn not_held(&self, text: &str, state: &'static str, remedy: Option<Remediation>) -> String {
        self.result(text, &Facts { state, authorization: remedy, ..Facts::default() })
    }

    /// The policy denies the call.
    pub fn denied(&self, reason: Option<&str>) -> String {
        let why = reason.map_or(String::new(), |reason| format!(": {}", sentence(reason)));
        let text = format!(
            "This call did not run, because the policy here does not allow it{why}. Do not call it again; if it is \
             needed, ask the person you work for."
        );
        self.not_held(&text, "denied", Some(Remediation::Unavailable))
    }

    /// The call is not as it must be, so that nobody is asked.
    pub fn refused(&self, why: &str) -> String {
        self.not_held(&format!("This call did not run: {why}"), "refused", None)
    }

    /// A limit of the policy is reached.
    pub fn limited(&self, retry_at: Option<Millis>, reason: Option<&str>) -> String {
        let why = reason.map_or(String::new(), |reason| format!(": {}", sentence(reason)));
        let again = again(retry_at, "called");
        let text = format!("This call did not run, because a limit on such calls is reached{why}. {again}");
        self.result(&text, &Facts { state: "limited", retry_at, ..Facts::default() })
    }

    /// What a limit of the policy adds up is no number of 0 or more.
    pub fn uncountable(&self, argument: &str, why: &str) -> String {
        let text = format!(
            "This call did not run, because a limit on such calls adds up {argument}, which {why}. Call it again with a \
             number of 0 or more there."
        );
        self.not_held(&text, "denied", None)
    }

    /// There is no such tool, or none that this agent may know of.
    pub fn unknown_tool(&self, name: &str) -> String {
        RpcError::answer(INVALID_PARAMS, format!("Unknown tool: {name}")).message(&self.id)
    }

    /// The call could not be held.
    pub fn not_submitted(&self, error: &SubmitError) -> String {
        let text = match error {
            SubmitError::TooManyPending(max) => format!(
                "This call did not run and nobody was asked: {max} of your calls are waiting for approval, which is as \
                 many as may wait at once. Wait for one of them, then call again."
            ),
            SubmitError::TooManyNew { max, retry_at } => format!(
                "This call did not run and nobody was asked: {max} of your calls needed approval within one hour, which \
                 is as many as may. It may be called again at {retry_at}."
            ),
            SubmitError::Stopping => {
                "This call did not run: Placet is restarting. Call it again in a minute.".to_owned()
            }
            SubmitError::Store(_) => {
                "This call did not run: it needs approval, and Placet cannot record it at the moment. Call it again \
                 later; the operator finds the cause in Placet's log."
                    .to_owned()
            }
        };
        let (state, retry_at) = match error {
            SubmitError::TooManyPending(_) => ("limited", None),
            SubmitError::TooManyNew { retry_at, .. } => ("limited", Some(*retry_at)),
            SubmitError::Stopping | SubmitError::Store(_) => ("refused", None),
        };
        self.result(&text, &Facts { state, retry_at, ..Facts::default() })
    }

    /// `placet_wait` was asked for a call that this agent does not have here.
    pub fn no_such_call(&self) -> String {
        let text = "There is no such call. placet_wait takes {\"call_id\": \"…\"} with the id from the answer that said \
                    that a call is waiting for approval.";
        self.not_held(text, "unknown", None)
    }

    /// The call goes on without its caller's waiting.
    pub fn open(&self, call: &HeldCall) -> String {
        if !call.genuine {
            return self.changed(call);
        }
        let (id, tool) = (call.submission.id, call.submission.tool.as_str());
        let again = format!(
            "To get its result call {} again with exactly the same arguments, or call placet_wait with \
             {{\"call_id\": \"{id}\"}}.",
            quote(tool)
        );
        let message = call.submission.requirement.message.as_deref();
        let said = message.map_or(String::new(), |message| format!(" {}.", sentence(message)));
        let (text, authorization) = match call.state {
            CallState::Releasing { .. } => {
                (format!("This call was approved and is running now; it has not answered yet. {again}"), None)
            }
            CallState::Approved { .. } => (format!("This call was approved but has not run yet. {again}"), None),
            _ => {
                let until = call.expires_at;
                let text = format!(
                    "This call has not run yet: it is waiting for a person's approval until {until}. {again}{said}"
                );
                (text, Some(Remediation::Available))
            }
        };
        self.result(&text, &Facts { id: Some(id), state: call.state.name(), authorization, ..Facts::default() })
    }

    /// What is stored of the call is not what Placet wrote, so nothing of it is told on.
    fn changed(&self, call: &HeldCall) -> String {
        let text = "Nobody can say here what became of this call: what Placet has stored of it was changed from \
                    outside. Do not repeat it; ask the person you work for. Whoever runs Placet was told.";
        self.result(text, &Facts { id: Some(call.submission.id), state: "unknown", ..Facts::default() })
    }

    /// Nobody knows at the moment where a call stands.
    pub fn unreadable(&self) -> String {
        let message = "Placet cannot read where this call stands at the moment. It does not run twice: ask again in a \
                       minute.";
        RpcError::answer(INTERNAL, message).message(&self.id)
    }

    /// The call ran, and what is kept as its answer is not what was recorded.
    pub fn untrue(&self, call: &HeldCall) -> String {
        let text = format!(
            "This call ran already, at {}, but what is kept as its result was changed since, so it is not passed on. Do \
             not repeat it; ask the person you work for. The operator finds an alarm in Placet's log.",
            call.changed_at
        );
        self.result(&text, &facts(call, true))
    }

    /// The call has ended. `asked_at` is when this request came: a call that had ended before is marked so.
    pub fn ended(&self, call: &HeldCall, asked_at: Millis) -> String {
        if !call.genuine {
            return self.changed(call);
        }
        let before = call.changed_at < asked_at;
        let unavailable = Some(Remediation::Unavailable);
        let (text, authorization) = match &call.state {
            CallState::Executed { .. } | CallState::ToolError { .. } => return self.ran(call, before),
            CallState::Rejected { reason, .. } => (rejected(reason), unavailable),
            CallState::Expired { .. } => (
                "This call did not run, because nobody approved it in time. Do not repeat it at once; ask the person \
                 you work for whether it is still needed."
                    .to_owned(),
                unavailable,
            ),
            CallState::Cancelled { .. } => {
                ("This call did not run, because it was taken back before anybody approved it.".to_owned(), None)
            }
            CallState::Lapsed { .. } => (
                "This call did not run: it was approved, but nobody came back for it in time. If it is still needed, \
                 call it again; it then needs a new approval."
                    .to_owned(),
                unavailable,
            ),
            CallState::Revoked { .. } => (
                "This call did not run: it was approved, but when it was about to run the approval no longer held. If \
                 it is still needed, call it again; it is then judged anew."
                    .to_owned(),
                unavailable,
            ),
            CallState::OutcomeUnknown { .. } => return self.unknown(call),
            CallState::Pending { .. } | CallState::Approved { .. } | CallState::Releasing { .. } => {
                return self.open(call);
            }
        };
        self.result(&text, &Facts { authorization, ..facts(call, false) })
    }

    /// Nobody knows whether the call ran, or a person has found out.
    fn unknown(&self, call: &HeldCall) -> String {
        let finding = call.finding.as_ref().map(|stored| &stored.finding);
        let text = match finding {
            None => {
                "This call may have run: it was approved and sent, but the answer was lost. Do not repeat it; look \
                     first whether its effect is there. A person was told."
                    .to_owned()
            }
            Some(Finding { ran: true, at, .. }) => format!(
                "This call ran: its answer was lost, but a person looked and found, at {at}, that it took effect. Do not \
                 repeat it."
            ),
            Some(Finding { ran: false, at, .. }) => format!(
                "This call did not run: it was approved and sent, but a person looked and found, at {at}, that it did \
                 not take effect. If it is still needed, call it again; it then needs a new approval."
            ),
        };
        self.result(&text, &Facts { ran: finding.map(|finding| finding.ran), ..facts(call, false) })
    }

    /// The call ran: the upstream's own answer, byte for byte but for what Placet says in `_meta`.
    fn ran(&self, call: &HeldCall, before: bool) -> String {
        match &call.answer {
            Some(Answer::Error(error)) => format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, self.id),
            Some(Answer::Result(result)) => match meta::mark(result, &facts(call, before)) {
                Ok(result) => format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, self.id),
                Err(why) => {
                    let text = format!(
                        "This call ran, but its result cannot be passed on, because Placet cannot read it with \
                         certainty: {why}. Do not repeat it; look whether its effect is there."
                    );
                    self.result(&text, &facts(call, before))
                }
            },
            None => {
                let at = call.changed_at;
                let text = format!(
                    "This call ran already, at {at}, but its result is no longer kept. Do not repeat it unless it is \
                     meant to happen twice."
                );
                self.result(&text, &facts(call, before))
            }
        }
    }
}

fn facts(call: &HeldCall, before: bool) -> Facts {
    Facts {
        id: Some(call.submission.id),
        state: call.state.name(),
        disposition: call.state.disposition(),
        already: before.then(|| call.changed_at.to_string()),
        authorization: None,
        ran: None,
        retry_at: None,
    }
}

/// When what a limit kept from running may come again.
pub(super) fn again(retry_at: Option<Millis>, verb: &str) -> String {
    match retry_at {
        Some(at) => format!("It may be {verb} again at {at}."),
        None => "It alone is more than the limit allows: it must not come again unchanged.".to_owned(),
    }
}

fn rejected(reason: &str) -> String {
    match sentence(reason) {
        "" => "This call did not run: it was rejected. Do not retry it unchanged.".to_owned(),
        reason => {
            format!("This call did not run: it was rejected, with the reason: {reason}. Do not retry it unchanged.")
        }
    }
}

/// A person's words as a part of a sentence.
fn sentence(text: &str) -> &str {
    text.trim().trim_end_matches('.')
}

#[cfg(test)]
#[path = "reply_tests.rs"]
mod tests;
