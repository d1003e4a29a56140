//! What each kind of entry is in the words of OCSF: a table, and the captions that the schema has for its numbers.

/// A class of events, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// What no other class fits.
    Base = 0,
    /// An alarm.
    Finding = 2004,
    /// An account of a person or an agent.
    Account = 3001,
    /// A sign-in or sign-out.
    Authentication = 3002,
    /// Something that is managed: the approval of a call first of all.
    Entity = 3004,
    /// A start of Placet.
    Lifecycle = 6002,
    /// A call to an upstream.
    Api = 6003,
}

impl Class {
    /// Its caption.
    pub(super) fn caption(self) -> &'static str {
        match self {
            Self::Base => "Base Event",
            Self::Finding => "Detection Finding",
            Self::Account => "Account Change",
            Self::Authentication => "Authentication",
            Self::Entity => "Entity Management",
            Self::Lifecycle => "Application Lifecycle",
            Self::Api => "API Activity",
        }
    }

    /// The number and caption of its category.
    pub(super) fn category(self) -> (i64, &'static str) {
        match self {
            Self::Base => (0, "Uncategorized"),
            Self::Finding => (2, "Findings"),
            Self::Account | Self::Authentication | Self::Entity => (3, "Identity & Access Management"),
            Self::Lifecycle | Self::Api => (6, "Application Activity"),
        }
    }
}

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// The agent that is named.
    Agent,
    /// The reviewer who is named; where none is, Placet on the policy's behalf.
    Reviewer,
    /// Placet, of its own accord.
    Placet,
    /// The log does not say: whom it names is whom it was done to.
    Unsaid,
}

/// A number of the schema and its caption, or for 99 a word of Placet's own.
pub(super) type Id = (i64, &'static str);

/// What the control did: the profile `security_control`, its action and its disposition.
pub(super) type Ruled = (Id, Id);

/// One kind of entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) class: Class,
    pub(super) activity: Id,
    pub(super) by: By,
    pub(super) status: Id,
    pub(super) severity: Id,
    pub(super) ruled: Option<Ruled>,
    /// The type of entity that class 3004 is about.
    pub(super) about: &'static str,
    /// The event's message.
    pub(super) says: &'static str,
}

pub(super) const UNKNOWN: Id = (0, "Unknown");
pub(super) const DONE: Id = (1, "Success");
pub(super) const FAILED: Id = (2, "Failure");
/// The status of a finding.
const NEW: Id = (1, "New");

const CREATE: Id = (1, "Create");
const READ: Id = (2, "Read");
const UPDATE: Id = (3, "Update");
const DELETE: Id = (4, "Delete");
const ACTIVATE: Id = (10, "Activate");

const INFORMATIONAL: Id = (1, "Informational");
const LOW: Id = (2, "Low");
const MEDIUM: Id = (3, "Medium");
pub(super) const HIGH: Id = (4, "High");
const CRITICAL: Id = (5, "Critical");

const ALLOWED: Ruled = ((1, "Allowed"), (1, "Allowed"));
const APPROVED: Ruled = ((1, "Allowed"), (8, "Approved"));
const BLOCKED: Ruled = ((2, "Denied"), (2, "Blocked"));
const REJECTED: Ruled = ((2, "Denied"), (25, "Rejected"));
const REVOKED: Ruled = ((2, "Denied"), (24, "Access Revoked"));
const HELD: Ruled = ((99, "Held"), (14, "Delayed"));

/// An activity that the class has no number for.
const fn other(word: &'static str) -> Id {
    (99, word)
}

const fn kind(name: &'static str, class: Class, activity: Id, by: By, says: &'static str) -> Kind {
    Kind { name, class, activity, by, status: DONE, severity: INFORMATIONAL, ruled: None, about: "", says }
}

/// A step of a held call towards or away from its approval.
const fn step(name: &'static str, activity: Id, by: By, says: &'static str) -> Kind {
    kind(name, Class::Entity, activity, by, says).about("Held call")
}

/// A call to an upstream.
const fn call(name: &'static str, word: &'static str, says: &'static str) -> Kind {
    kind(name, Class::Api, other(word), By::Agent, says)
}

const fn alarm(name: &'static str, severity: Id, says: &'static str) -> Kind {
    kind(name, Class::Finding, CREATE, By::Unsaid, says).severity(severity).status(NEW)
}

const fn account(name: &'static str, activity: Id, says: &'static str) -> Kind {
    kind(name, Class::Account, activity, By::Unsaid, says)
}

const fn thing(name: &'static str, activity: Id, about: &'static str, by: By, says: &'static str) -> Kind {
    kind(name, Class::Entity, activity, by, says).about(about)
}

const fn base(name: &'static str, word: &'static str, says: &'static str) -> Kind {
    kind(name, Class::Base, other(word), By::Unsaid, says)
}

impl Kind {
    const fn about(self, about: &'static str) -> Self {
        Self { about, ..self }
    }

    const fn status(self, status: Id) -> Self {
        Self { status, ..self }
    }

    const fn severity(self, severity: Id) -> Self {
        Self { severity, ..self }
    }

    const fn ruled(self, ruled: Ruled) -> Self {
        Self { ruled: Some(ruled), ..self }
    }
}

/// A kind that this version does not know: of a later one, or written by another hand.
pub(super) const STRANGE: Kind = base("", "Entry", "An entry of a kind that this version of Placet does not know");

/// An entry that cannot be read.
pub(super) const UNREADABLE: Kind =
    base("", "Unreadable entry", "An entry of the audit log that cannot be read; `placet audit verify` says more")
        .status(FAILED)
        .severity(HIGH);

/// The kinds, in order. API Activity has every call that an upstream may have seen and every one that was kept from it
/// without a person; what is allowed there is one event, `call.allowed` or `call.released`, and its result another.
pub(super) static TABLE: &[Kind] = &[
    base("accounts.sealed", "Seal", "Accounts and calls of an earlier version were sealed"),
    account("agent.added", CREATE, "An agent was added"),
    account("agent.revoked", (5, "Disable"), "An agent was revoked"),
    alarm("alarm.call_tampered", CRITICAL, "A stored call is not the one that was held or approved; it did not run")
        .ruled(BLOCKED),
    alarm("alarm.finding_tampered", CRITICAL, "A stored finding was not recorded here; it counts for nothing"),
    alarm("alarm.log_behind", CRITICAL, "The log is shorter than a checkpoint that was signed: its end is missing"),
    alarm("alarm.log_disagrees", CRITICAL, "The log is not the one that a checkpoint was signed over"),
    alarm("alarm.log_unwitnessed", HIGH, "The file with the last checkpoint is not beside the database"),
    alarm("alarm.result_tampered", CRITICAL, "A kept result is not the one that was recorded; nobody is told it"),
    alarm("alarm.row_changed", CRITICAL, "A row of the database was changed behind Placet's back; it gives no right"),
    thing("anchor.added", CREATE, "Anchor", By::Placet, "An anchor of the log was added"),
    thing("anchor.failed", other("Anchor"), "Anchor", By::Placet, "An anchor does not get the log's checkpoints")
        .status(FAILED)
        .severity(MEDIUM),
    thing("anchor.removed", DELETE, "Anchor", By::Placet, "An anchor of the log was removed").severity(MEDIUM),
    call("call.allowed", "Allow", "A call was allowed by the policy").status(UNKNOWN).ruled(ALLOWED),
    step("call.approved", other("Approve"), By::Reviewer, "A held call was approved").ruled(APPROVED),
    step("call.cancelled", other("Cancel"), By::Agent, "A held call was taken back"),
    call("call.denied", "Deny", "A call was denied by the policy").status(FAILED).severity(LOW).ruled(BLOCKED),
    step("call.erased", other("Erase"), By::Placet, "What a call sent and got was erased, as the retention asks"),
    step("call.escalated", other("Escalate"), By::Placet, "Nobody answered in time; further reviewers are asked")
        .severity(LOW),
    call("call.executed", "Execute", "The tool ran and answered"),
    step("call.expired", other("Expire"), By::Placet, "Nobody answered in time; the call does not run")
        .severity(LOW)
        .ruled(BLOCKED),
    step("call.finding", other("Find"), By::Reviewer, "A person found out what became of a call of unknown outcome"),
    step("call.held", CREATE, By::Agent, "A call was held for approval").ruled(HELD),
    step("call.lapsed", other("Lapse"), By::Placet, "The approval ran out before the caller came back")
        .severity(LOW)
        .ruled(BLOCKED),
    call("call.limited", "Limit", "A call was kept back by a limit").status(FAILED).severity(LOW).ruled(BLOCKED),
    call("call.not_sent", "Send", "An approved call did not reach the upstream").status(FAILED).severity(LOW),
    call("call.outcome_unknown", "Execute", "A call was sent, and nobody knows whether it ran")
        .status(UNKNOWN)
        .severity(MEDIUM),
    step("call.rejected", other("Reject"), By::Reviewer, "A held call was rejected").severity(LOW).ruled(REJECTED),
    call("call.released", "Release", "An approved call was sent to the upstream, once").status(UNKNOWN).ruled(ALLOWED),
    step("call.restored", other("Restore"), By::Placet, "A call came back with a copy of the database")
        .severity(MEDIUM),
    step("call.revealed", READ, By::Reviewer, "A person looked at masked secrets of a call"),
    step("call.revoked", other("Revoke"), By::Placet, "The approval of a call was withdrawn before it was sent")
        .severity(LOW)
        .ruled(REVOKED),
    call("call.tool_error", "Execute", "The tool answered with an error").status(FAILED).severity(LOW),
    step("call.voted", other("Vote"), By::Reviewer, "A held call got one of several approvals"),
    base("clock.jumped", "Jump", "The machine's clock jumped").severity(MEDIUM),
    kind("context.read", Class::Api, READ, By::Reviewer, "The state of things was read for the reviewers")
        .status(UNKNOWN),
    step("context.recorded", UPDATE, By::Placet, "What was read for the reviewers was recorded with the call"),
    thing("link.made", CREATE, "Sign-in link", By::Unsaid, "A sign-in link was made"),
    thing("log.key_made", CREATE, "Log key", By::Placet, "The log got its key"),
    thing("log.key_rotated", UPDATE, "Log key", By::Unsaid, "The log got another key").severity(LOW),
    base("mail.failed", "Mail", "A mail could not be delivered").status(FAILED).severity(LOW),
    call("method.denied", "Deny", "A method was denied by the policy").status(FAILED).severity(LOW).ruled(BLOCKED),
    account("password.changed", (3, "Password Change"), "A reviewer's password was changed"),
    thing("policy.loaded", ACTIVATE, "Policy", By::Placet, "A policy came into force"),
    thing(
        "policy.refused",
        ACTIVATE,
        "Policy",
        By::Placet,
        "A policy file is not valid; the one before stays in force",
    )
    .status(FAILED)
    .severity(MEDIUM),
    account("reviewer.added", CREATE, "A reviewer was added"),
    account("reviewer.disabled", (5, "Disable"), "A reviewer was disabled"),
    account("reviewer.set_aside", other("Set aside"), "An account that was changed behind Placet's back was set aside")
        .severity(HIGH),
    kind("service.started", Class::Lifecycle, (3, "Start"), By::Unsaid, "Placet was started"),
    kind("session.refused", Class::Authentication, (1, "Logon"), By::Unsaid, "A sign-in was refused")
        .status(FAILED)
        .severity(LOW),
    kind("session.signed_in", Class::Authentication, (1, "Logon"), By::Unsaid, "A person signed in"),
    kind("session.signed_out", Class::Authentication, (2, "Logoff"), By::Unsaid, "A session ended"),
    thing("standing.ended", DELETE, "Standing approval", By::Reviewer, "A standing approval ended before its time"),
    thing("standing.granted", CREATE, "Standing approval", By::Reviewer, "A person let further calls like one pass")
        .severity(LOW),
    thing("standing.used", other("Use"), "Standing approval", By::Reviewer, "A standing approval let a call pass"),
    base("store.backed_up", "Back up", "The database was copied"),
    base("store.restored", "Restore", "The database was put back from a copy").severity(HIGH),
    thing("token.made", CREATE, "API token", By::Unsaid, "An API token was made"),
    thing("token.revoked", DELETE, "API token", By::Unsaid, "An API token was revoked"),
    thing("tool.accepted", UPDATE, "Tool", By::Reviewer, "A person accepted what a tool says of itself now"),
    thing("tool.changed", UPDATE, "Tool", By::Placet, "A tool says something else of itself than what was accepted")
        .severity(MEDIUM),
    thing("tools.pinned", CREATE, "Tool", By::Placet, "Tools were seen for the first time"),
];

/// The kind of this name.
pub(super) fn find(name: &str) -> Option<&'static Kind> {
    TABLE.binary_search_by(|kind| kind.name.cmp(name)).ok().and_then(|at| TABLE.get(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::kinds::KINDS;

    #[test]
    fn every_kind_has_its_place() {
        let names: Vec<_> = TABLE.iter().map(|kind| kind.name).collect();
        assert_eq!(names, KINDS);
        for kind in TABLE {
            assert_eq!(kind.class == Class::Entity, !kind.about.is_empty(), "{}", kind.name);
            assert!(std::ptr::eq(find(kind.name).unwrap(), kind));
        }
        assert!(find("call.").is_none() && find("").is_none());
    }
}
