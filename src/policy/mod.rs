//! The policy: what each call may do. A file becomes a [`Policy`] once, with everything that is wrong with it reported
//! together; a `Policy` then rules any number of calls, purely: no clock, no state, no failure.
//!
//! Every entry whose pattern matches applies, and the strictest action wins: hide, deny, require approval, allow. Only
//! an exact name with `override` loosens what globs say, never what `hide` says. What no entry lists falls to the
//! default, which is deny where the file names none. See [`combine`] for several entries that all ask for approval.

mod about;
mod circumstances;
pub mod classify;
mod combine;
mod condition;
mod context;
mod decimal;
pub(crate) mod duration;
mod glob;
mod limits;
mod methods;
mod model;
mod outline;
mod parse;
mod path;
mod pattern;
mod print;
mod problem;
mod re2;
pub mod rehearse;
mod ruling;
mod schedule;
pub(crate) mod source;
pub mod standing;
pub mod suggest;
mod tool;
mod words;
mod yaml;

pub use circumstances::{Circumstances, ToolFacts};
pub use limits::{
    BadKept, Counters, Exceeded, Kept, LimitScope, LimitUse, NotReserved, Reservation, Scope, Uncountable,
};
pub use model::{AskReason, Defaults, Policy, ToolChanges};
pub use outline::{Conditions, Outline};
pub use parse::{Parsed, Syntax, parse, parse_as, place};
pub(crate) use problem::closest;
pub use problem::{Problem, Severity};
pub use ruling::{Asked, Call, MethodRuling, Ruling};

#[cfg(test)]
mod tests;
