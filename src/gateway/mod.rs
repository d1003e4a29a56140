//! The agents' side.
mod checks;
mod envelope;
mod error;
mod list;
mod meta;
mod sse;
mod stateless;
