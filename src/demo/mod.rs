//! `placet demo`: everything in one process, nothing to configure, nothing left behind.

pub mod agent;
pub mod iam;
pub mod mails;
pub mod run;
pub mod server;
