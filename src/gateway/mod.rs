//! The agents' side: MCP over HTTP in front, the upstream servers behind.

mod checks;
mod envelope;
mod error;
mod list;
mod meta;
mod sse;
mod stateless;
pub mod upstream;
