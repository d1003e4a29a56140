//! The agents' side, over HTTP.

mod hold;
mod input;
mod pass;
mod process;
mod sessions;
mod stateless;
