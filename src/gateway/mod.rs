//! The agents' side: MCP over HTTP in front, the upstream servers behind.

pub mod upstream;
