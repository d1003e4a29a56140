//! The protocol's own messages that can neither read nor change anything behind an upstream: allowed unless an entry
//! of `methods` says otherwise.

/// Handshake, liveness, lists, the notifications that the protocol's revisions define, and the stream that brings them.
const SAFE: [&str; 23] = [
    "initialize",
    "notifications/cancelled",
    "notifications/elicitation/complete",
    "notifications/initialized",
    "notifications/message",
    "notifications/progress",
    "notifications/prompts/list_changed",
    "notifications/resources/list_changed",
    "notifications/resources/updated",
    "notifications/roots/list_changed",
    "notifications/subscriptions/acknowledged",
    "notifications/tasks",
    "notifications/tasks/status",
    "notifications/tools/list_changed",
    "ping",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "roots/list",
    "server/discover",
    "subscriptions/listen",
    "tasks/list",
    "tools/list",
];

/// Whether a method is allowed where no entry matches it.
pub(super) fn is_safe(method: &str) -> bool {
    SAFE.binary_search(&method).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_holds_nothing_that_reads_or_acts() {
        assert!(SAFE.is_sorted());
        assert!(SAFE.iter().all(|method| is_safe(method)));
        for method in
            ["tools/call", "resources/read", "prompts/get", "completion/complete", "logging/setLevel", "Ping", ""]
        {
            assert!(!is_safe(method), "{method}");
        }
    }
}
