//! Placet: the approval service between AI agents and the MCP servers they can break.
//!
//! agent → **gateway** → **policy** → allowed: upstream · denied: answer · needs approval: **approvals** holds it →
//! **notify** → **review** → decision → **approvals** releases it once → answer to the agent; all of it in the
//! **audit** log.

pub mod app;
pub mod approvals;
pub mod audit;
pub mod call;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod demo;
pub mod explain;
pub mod gateway;
pub mod health;
pub mod identity;
pub mod in_force;
pub mod lifecycle;
pub mod notify;
pub mod overview;
pub mod policy;
pub mod review;
pub mod store;
pub mod tasks;
pub mod telemetry;
