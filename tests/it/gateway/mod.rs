//! The agents' side, over HTTP.

mod hold;
mod input;
mod pass;
mod sessions;
mod stateless;
