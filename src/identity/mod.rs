//! Who may ask and who may decide: agents, reviewers, their secrets and their sessions.

pub mod csrf;
pub mod link;
pub mod password;
pub mod throttle;
pub mod token;
