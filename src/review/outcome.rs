//! What a tool answered, to a released call or to a read made for the reviewer, ready to be shown.

use super::Review;
use super::arguments::{document, masked};
use super::call::sentence;
use super::view::Text;
use super::view::call::{Outcome, OutcomeBody, Read, ReadAnswer};
use super::view::tree::CodeLine;
use crate::approvals::Kept;
use crate::call::json::{Limits, Node, read_strict};
use crate::call::{Answer, CallState, ContextResult, HeldCall, secrets};
use crate::explain::tree::Reveal;

/// The parts of an MCP tool result that a reader needs.
struct ToolResult {
    is_error: bool,
    body: Body,
}

enum Body {
    Document(Vec<CodeLine>),
    Text(String),
}

/// Reads a `CallToolResult`: its texts, a text that holds JSON as a document; the whole result where it has none.
fn read(result: &str, reveal: Reveal) -> ToolResult {
    let limits = Limits { max_bytes: usize::MAX, ..Limits::default() };
    let Ok(parsed) = read_strict(result.as_bytes(), &limits) else {
        return ToolResult { is_error: false, body: Body::Text(masked(result, reveal)) };
    };
    let root = parsed.root();
    let is_error = root.get("isError").and_then(Node::as_bool).unwrap_or(false);
    let blocks = root.get("content").and_then(Node::as_array).unwrap_or_default();
    let texts: Vec<&str> = blocks.iter().filter_map(|block| block.get("text")?.as_str()).collect();
    let body = match texts.as_slice() {
        [] => document(result, reveal).map_or_else(|| Body::Text(masked(result, reveal)), Body::Document),
        [text] => match document(text, reveal) {
            Some(lines) => Body::Document(lines),
            None => Body::Text(plain(text, reveal)),
        },
        // Each for itself: one of them may be JSON, whose secrets are known by the names of their members.
        several => Body::Text(several.iter().map(|text| masked(text, reveal)).collect::<Vec<_>>().join("\n")),
    };
    ToolResult { is_error, body }
}

fn plain(text: &str, reveal: Reveal) -> String {
    match reveal {
        Reveal::Masked => secrets::mask_text(text),
        Reveal::Revealed => text.to_owned(),
    }
}

impl Review {
    /// What came back from a call that was sent; `None` where nothing was.
    pub(super) fn outcome(&self, call: &HeldCall, kept: Kept, reveal: Reveal) -> Option<Outcome> {
        let at = match call.state {
            CallState::Executed { at } | CallState::ToolError { at } => self.time(at),
            _ => return None,
        };
        let (is_error, body) = match &call.answer {
            _ if !kept.answer => (matches!(call.state, CallState::ToolError { .. }), OutcomeBody::Untrue),
            None => (matches!(call.state, CallState::ToolError { .. }), OutcomeBody::Gone),
            Some(Answer::Result(text)) => {
                let ToolResult { is_error, body } = read(text, reveal);
                (is_error, shown(body))
            }
            Some(Answer::Error(text)) => {
                let body = document(text, reveal).map_or_else(|| Body::Text(masked(text, reveal)), Body::Document);
                (true, shown(body))
            }
        };
        Some(Outcome { at, is_error, took: None, body })
    }

    /// The reads that were made for the reviewer, or are still awaited; none where they are not those that were recorded.
    pub(super) fn reads(&self, call: &HeldCall, kept: Kept, reveal: Reveal) -> Vec<Read> {
        match &call.context {
            _ if !kept.context => Vec::new(),
            Some(results) => results.iter().map(|result| self.context_read(result, reveal)).collect(),
            None => {
                let reads = call.submission.requirement.context.iter();
                let awaited = |read: &crate::call::ContextRead| Read {
                    tool: Text::new(&read.tool),
                    arguments: match &read.arguments {
                        Ok(text) => Text::new(&masked(text, reveal)),
                        Err(_) => Text::default(),
                    },
                    at: self.time(call.submission.created_at),
                    answer: match &read.arguments {
                        Ok(_) => ReadAnswer::Loading,
                        Err(why) => ReadAnswer::Failed(Text::new(&sentence(&secrets::mask_text(why)))),
                    },
                };
                reads.map(awaited).collect()
            }
        }
    }

    pub(super) fn context_read(&self, result: &ContextResult, reveal: Reveal) -> Read {
        let answer = match &result.result {
            Err(why) => ReadAnswer::Failed(Text::new(&sentence(&secrets::mask_text(why)))),
            Ok(text) => match read(text, reveal) {
                ToolResult { is_error: true, body: Body::Text(text) } => ReadAnswer::ToolError(Text::new(&text)),
                ToolResult { is_error: true, body: Body::Document(_) } => {
                    ReadAnswer::ToolError(Text::new(&masked(text, reveal)))
                }
                ToolResult { body: Body::Document(lines), .. } => ReadAnswer::Document(lines),
                ToolResult { body: Body::Text(text), .. } => ReadAnswer::Text(Text::new(&text)),
            },
        };
        Read {
            tool: Text::new(&result.tool),
            arguments: Text::new(&masked(&result.arguments, reveal)),
            at: self.time(result.at),
            answer,
        }
    }
}

fn shown(body: Body) -> OutcomeBody {
    match body {
        Body::Document(lines) => OutcomeBody::Document(lines),
        Body::Text(text) => OutcomeBody::Text(Text::new(&text)),
    }
}
