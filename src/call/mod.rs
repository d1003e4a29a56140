//! The domain of a call, pure: what was asked for, exactly as it was received.

pub mod arguments;
pub mod json;
pub mod secrets;
