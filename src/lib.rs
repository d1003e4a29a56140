//! Placet: the approval service between AI agents and the MCP servers they can break.

pub mod review;
