//! Every kind of entry that Placet writes: what a filter may ask for although a log has none of it yet.

/// The kinds, in order.
pub const KINDS: &[&str] = &[
    "accounts.sealed",
    "agent.added",
    "agent.revoked",
    "alarm.call_tampered",
    "alarm.finding_tampered",
    "alarm.log_behind",
    "alarm.log_disagrees",
    "alarm.log_unwitnessed",
    "alarm.result_tampered",
    "alarm.row_changed",
    "anchor.added",
    "anchor.failed",
    "anchor.removed",
    "call.allowed",
    "call.approved",
    "call.cancelled",
    "call.denied",
    "call.erased",
    "call.escalated",
    "call.executed",
    "call.expired",
    "call.finding",
    "call.held",
    "call.lapsed",
    "call.limited",
    "call.not_sent",
    "call.outcome_unknown",
    "call.rejected",
    "call.released",
    "call.restored",
    "call.revealed",
    "call.revoked",
    "call.tool_error",
    "call.voted",
    "clock.jumped",
    "context.read",
    "context.recorded",
    "link.made",
    "log.key_made",
    "log.key_rotated",
    "mail.failed",
    "method.denied",
    "password.changed",
    "policy.loaded",
    "policy.refused",
    "reviewer.added",
    "reviewer.disabled",
    "reviewer.set_aside",
    "service.started",
    "session.refused",
    "session.signed_in",
    "session.signed_out",
    "standing.ended",
    "standing.granted",
    "standing.used",
    "store.backed_up",
    "store.restored",
    "token.made",
    "token.revoked",
    "tool.accepted",
    "tool.changed",
    "tools.pinned",
];

/// Whether some kind is this, or, with a dot at its end, begins so.
#[must_use]
pub fn is_kind(asked: &str) -> bool {
    KINDS.iter().any(|kind| *kind == asked || (asked.ends_with('.') && kind.starts_with(asked)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::trace::{ENDS, STEPS};

    #[test]
    fn the_kinds_are_in_order_and_a_beginning_stands_for_all_of_them() {
        assert!(KINDS.is_sorted_by(|a, b| a < b));
        assert!(ENDS.iter().chain(STEPS).all(|kind| is_kind(kind)));
        for (asked, known) in [("call.", true), ("call.held", true), ("call.hel", false), ("call", false), ("", false)]
        {
            assert_eq!(is_kind(asked), known, "{asked}");
        }
    }
}
