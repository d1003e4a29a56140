//! Which entries an export is asked for. A name that the log has never seen is most likely mistyped: an empty export
//! would say that nothing happened.

use super::super::Failure;
use super::{Args, States};
use crate::audit::kinds::is_kind;
use crate::call::json::quote;
use crate::call::{Email, ReviewerId};
use crate::policy::closest;
use crate::store::{ExportFilter, Snapshot, Sort};

/// How many names are listed where none is near.
const LISTED: usize = 8;

/// What the arguments ask for.
///
/// # Errors
/// A name that the log has never seen, with those that it has.
pub(super) async fn filter(snapshot: &mut Snapshot, args: &Args) -> Result<ExportFilter, Failure> {
    // Of a kind that Placet writes there may well be none yet.
    let kind = args.kind.as_deref().filter(|kind| !is_kind(kind));
    for (option, sort, name) in [
        ("--kind", Sort::Kind, kind),
        ("--agent", Sort::Agent, args.agent.as_ref().map(|name| name.as_str())),
        ("--upstream", Sort::Upstream, args.upstream.as_ref().map(|name| name.as_str())),
        ("--tool", Sort::Tool, args.tool.as_deref()),
    ] {
        if let Some(name) = name
            && let Some(names) = snapshot.others_than(sort, name).await?
        {
            return Err(unseen(option, name, &names));
        }
    }
    let reviewer = match &args.reviewer {
        Some(text) => Some(reviewer(snapshot, text).await?),
        None => None,
    };
    Ok(ExportFilter {
        from: args.from,
        until: args.until,
        kind: args.kind.clone(),
        agent: args.agent.as_ref().map(ToString::to_string),
        upstream: args.upstream.as_ref().map(ToString::to_string),
        tool: args.tool.clone(),
        reviewer,
        states: args.outcome.clone().map(|States(states)| states),
    })
}

/// A reviewer's id, by address or id.
async fn reviewer(snapshot: &mut Snapshot, text: &str) -> Result<String, Failure> {
    let known = snapshot.addresses().await?;
    let wanted = text.parse::<ReviewerId>().map(|id| id.to_string());
    let address = Email::parse(text).map(|email| email.to_string());
    if wanted.is_err() && address.is_err() {
        return Err(Failure::usage(format!("--reviewer: {text} is neither an address nor a reviewer's id")));
    }
    let found = known.iter().find(|(id, email)| wanted.as_ref() == Ok(id) || address.as_ref() == Ok(email));
    found.map(|(id, _)| id.clone()).ok_or_else(|| {
        let addresses: Vec<_> = known.into_iter().map(|(_, email)| email).collect();
        unseen("--reviewer", text, &addresses)
    })
}

/// Nothing was exported, and which names there are.
fn unseen(option: &str, name: &str, names: &[String]) -> Failure {
    let known: Vec<_> = names.iter().map(String::as_str).collect();
    let which = match closest(name, &known) {
        Some(near) => format!("did you mean {}?", visible(near)),
        None if known.is_empty() => "it has none of that sort".to_owned(),
        None => {
            let listed: Vec<_> = known.iter().take(LISTED).map(|name| visible(name)).collect();
            let more = known.len().saturating_sub(LISTED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("it has {}{more}", listed.join(", "))
        }
    };
    Failure::failed(format!("{option}: the log has never seen {}, so nothing was exported; {which}", visible(name)))
}

/// Names came from agents: they must not move a terminal's cursor or hide what stands beside them.
fn visible(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_graphic() || c == ' ' || c.is_alphanumeric() { c } else { '\u{fffd}' };
    quote(&name.chars().take(80).map(plain).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_told_or_some_of_those_there_are() {
        let said = |names: &[&str]| {
            unseen("--tool", "get_usr", &names.iter().map(ToString::to_string).collect::<Vec<_>>()).message
        };
        let opening = "--tool: the log has never seen \"get_usr\", so nothing was exported; ";
        assert_eq!(said(&["put_user", "get_user"]), format!("{opening}did you mean \"get_user\"?"));
        assert_eq!(said(&["delete_role"]), format!("{opening}it has \"delete_role\""));
        assert_eq!(said(&[]), format!("{opening}it has none of that sort"));
        assert!(said(&["x"; 20]).ends_with(", \"x\" and 12 more"));
        assert!(!said(&["\u{1b}[2J\u{202e}evil"]).contains(['\u{1b}', '\u{202e}']));
    }
}
