//! What the tests stand on.

pub(crate) mod bench;
pub(crate) mod components;
pub(crate) mod smtp;
