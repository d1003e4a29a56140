//! `approval.standing`: how far reviewers may let further calls pass.

use std::time::Duration;

use crate::call::{Open, Risk, StandingOffer, json};
use crate::policy::duration;
use crate::policy::glob::Glob;
use crate::policy::model::Standing;
use crate::policy::source::{At, Reader};

/// Most calls that one standing approval may let pass.
const MOST_USES: u64 = 1000;

/// The longest that one may last: what is decided today is looked at again tomorrow.
const LONGEST: Duration = Duration::from_secs(86_400);

/// Most arguments that may be left open: a reviewer chooses among them in seconds.
const MOST_OPEN: usize = 20;

/// Reads the block.
pub(super) fn standing(reader: &mut Reader<'_>, at: &At<'_, '_>) -> Option<Standing> {
    let fields = reader.object(at, &["uses", "for", "arguments", "access"])?;
    let uses = reader.required(&fields, "uses", "write how many calls may pass at most, such as 10");
    let uses = uses.and_then(|at| reader.whole(&at, 1, MOST_USES)).and_then(|uses| u32::try_from(uses).ok());
    let lasts = reader.required(&fields, "for", "write how long it may last at most, such as \"30m\"");
    let lasts = lasts.and_then(|at| reader.parsed(&at, "write a duration up to a day, such as \"30m\"", up_to_a_day));
    let access = fields.get("access").and_then(|at| reader.flag(&at)).unwrap_or(false);
    let arguments = fields.get("arguments");
    if arguments.is_none() {
        let words = "no argument may differ, so only the very same call passes, and as long as its result is kept that \
                     is answered with it";
        let hint = "name the arguments that may differ: \"arguments\": { \"body\": \"*\" }";
        reader.warn(at.node.span.start, &at.pointer, words, hint);
    }
    let open = arguments.map(|at| open(reader, &at)).unwrap_or_default();
    Some(Standing { offer: StandingOffer { uses: uses?, lasts: lasts?, open }, access })
}

fn up_to_a_day(text: &str) -> Result<Duration, String> {
    let lasts = duration::positive_duration(text)?;
    if lasts > LONGEST { Err(format!("{text:?} is longer than a day")) } else { Ok(lasts) }
}

fn open(reader: &mut Reader<'_>, at: &At<'_, '_>) -> Open {
    let members = reader.map(at).unwrap_or_default();
    if members.is_empty() && at.node.as_object().is_some() {
        reader.error(at, "this names no argument", "name the arguments that may differ, or leave it out");
    }
    if members.len() > MOST_OPEN {
        let message =
            format!("these are {} arguments; a reviewer cannot choose among more than {MOST_OPEN}", members.len());
        reader.error(at, message, "name only those that differ from call to call");
    }
    let mut open = Open::new();
    for (name, offset, at) in members {
        if name.starts_with("args.") || name.is_empty() {
            let hint = name.strip_prefix("args.").map_or("name an argument", |_| "write it without \"args.\"");
            let message = format!("{} is no argument's name", json::quote(name));
            reader.error_at(offset, &at.pointer, message, hint.to_owned());
        }
        let read = |text: &str| match Glob::new(text) {
            Ok(_) => Ok(text.to_owned()),
            Err(why) => Err(format!("{text:?} is not a glob: {why}")),
        };
        let pattern = reader.parsed(&at, "write \"*\" for any value, or a glob such as \"/srv/reports/*\"", read);
        open.extend(pattern.map(|pattern| (name.to_owned(), pattern)));
    }
    open
}

/// What the block may not say beside what else its entry says.
pub(super) fn contradictions(reader: &mut Reader<'_>, block: &At<'_, '_>, risk: Option<Risk>) {
    let Some(at) = block.get("standing") else { return };
    let several = block.get("approvals").and_then(|at| at.node.as_number().and_then(|text| text.parse::<u64>().ok()));
    if several.is_some_and(|approvals| approvals > 1) {
        let message = "where several people must approve, one of them cannot let further calls pass";
        reader.error(&at, message, "leave \"standing\" out, or ask for one approval");
    }
    let wanted = at.get("access").and_then(|at| at.node.as_bool()) == Some(true);
    if risk == Some(Risk::Access) && !wanted {
        let message = "a call of risk access is looked at each time";
        reader.error(&at, message, "leave \"standing\" out; or, if you mean it, add \"access\": true to it");
    }
}
