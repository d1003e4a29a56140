//! Placet: the approval service between AI agents and the MCP servers they can break.
//!
//! # The flow
//!
//! An agent's message comes in at the [`gateway`]: who asks, one strict reading of the whole body, one ruling of the
//! [`policy`] in force ([`in_force`]).
//!
//! - *Allowed*: logged, forwarded byte for byte, answered byte for byte.
//! - *Denied, hidden, limited*: answered, logged.
//! - *Needs approval*: [`approvals`] holds it. Call, log entry and notices are one transaction of the [`store`];
//!   [`notify`] mails the reviewers, [`review`] shows the call and takes their verdict, [`approvals`] releases it: asks
//!   everything again, commits the claim, forwards the exact bytes once, records the outcome. The agent hears of it on
//!   the stream that it holds, or when it comes back.
//!
//! Ten minutes: this page, `call/state.rs`, `gateway/intercept.rs`, `approvals/mod.rs` and `release.rs`,
//! `review/call.rs`.
//!
//! # The rules of the modules
//!
//! - **Pure**, no clock, no input or output: [`call`] (imports nothing of ours), [`policy`], [`explain`], [`audit`]
//!   (import [`call`]).
//! - [`store`] has the only SQL, one function for each domain operation, one transaction each, all writes through one
//!   task. [`approvals`] is the only writer of call state, and knows nothing of the web: what it needs of the gateway is
//!   the small trait [`approvals::Forward`], what it needs of today's policy [`approvals::Rules`].
//! - [`notary`] signs what the log is: the key, the checkpoints, and at the start whether the log still is what was
//!   signed; [`anchor`] carries that to places outside.
//! - [`pins`] knows what every tool said of itself when somebody accepted it, and what it says now.
//! - [`gateway`] (agents) and [`review`] (people) do not import each other; what pages tell of upstreams and policy they
//!   get from [`overview`] through a trait of their own.
//! - [`tasks`] are idempotent functions that run on a signal *and* on a period, so that recovery is the normal path.
//! - Time and randomness are passed in ([`clock`]); tasks are counted ([`lifecycle`]), so that a stop can wait for them.
//! - [`app`] ties everything together; [`cli`] and [`demo`] stand on it; only the commands print.
//!
//! `tests/it/house.rs` reads the sources and enforces this, import by import.
//!
//! Deliberately absent: a second JSON reader on the way of a call, a way to send a call twice, a decision by GET, a
//! plain `tokio::spawn`.

#[macro_use]
pub mod failpoint;

pub mod anchor;
pub mod app;
pub mod approvals;
pub mod audit;
pub mod call;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod demo;
pub mod durable;
pub mod explain;
pub mod gateway;
pub mod health;
pub mod identity;
pub mod in_force;
pub mod lifecycle;
pub mod notary;
pub mod notify;
pub mod overview;
pub mod pins;
pub mod policy;
pub mod review;
pub mod seal;
pub mod store;
pub mod tasks;
pub mod telemetry;
