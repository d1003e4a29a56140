//! What a call would do, told from the call itself and never from the agent's words: pure, and over `call` only.

pub mod difference;
mod embedded;
pub mod said;
pub mod tree;
pub mod trickery;
