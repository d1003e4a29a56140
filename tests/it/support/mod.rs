//! What the tests stand on.

pub(crate) mod agent;
pub(crate) mod app;
pub(crate) mod bench;
pub(crate) mod command;
pub(crate) mod components;
pub(crate) mod dice;
pub(crate) mod disk;
pub(crate) mod gate;
pub(crate) mod pages;
pub(crate) mod smtp;
pub(crate) mod triggers;
pub(crate) mod upstream;
