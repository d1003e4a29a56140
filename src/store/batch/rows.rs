//! Rows on their way into the database: the text of all of them in one run of bytes, and for each row a JSON list of
//! numbers that says where its texts stand in it. Text itself never becomes JSON, so that nothing has to be quoted and
//! a NUL stays a NUL.

use std::fmt::{Display, Write as _};

/// A column of a table, or a named value of a change. Either may be null.
#[derive(Clone, Copy)]
pub(super) enum Column {
    /// Text: two numbers in the row, where it begins (from 1) and how many bytes it has.
    Text(&'static str),
    /// An integer, which stands in the row itself.
    Number(&'static str),
}

impl Column {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Text(name) | Self::Number(name) => name,
        }
    }
}

/// SQL that takes `columns` out of a row, each under its name: `text` is where the run of bytes stands, `value` the row.
pub(super) fn cells(text: &str, columns: &[Column]) -> String {
    let (mut sql, mut at) = (String::new(), 0);
    for column in columns {
        let comma = if at == 0 { "" } else { ", " };
        let written = match column {
            Column::Text(name) => {
                at += 2;
                write!(sql, "{comma}CAST(substr({text}, value ->> {}, value ->> {}) AS TEXT) AS {name}", at - 2, at - 1)
            }
            Column::Number(name) => {
                at += 1;
                write!(sql, "{comma}value ->> {} AS {name}", at - 1)
            }
        };
        debug_assert!(written.is_ok(), "a string takes everything");
    }
    sql
}

/// The text of all rows of a batch.
#[derive(Debug, Default)]
pub(super) struct Text(Vec<u8>);

impl Text {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// The rows of one table.
#[derive(Debug, Default)]
pub(super) struct Rows(String);

impl Rows {
    /// Begins a row; its cells follow in the order of the columns.
    pub(super) fn row<'r>(&'r mut self, text: &'r mut Text) -> Row<'r> {
        self.0.push(if self.0.is_empty() { '[' } else { ',' });
        self.0.push('[');
        Row { list: &mut self.0, text: &mut text.0, first: true }
    }

    /// The JSON list of all rows; `None` where there is none.
    pub(super) fn into_json(mut self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        self.0.push(']');
        Some(self.0)
    }
}

/// A row that is being written; complete when dropped.
pub(super) struct Row<'r> {
    list: &'r mut String,
    text: &'r mut Vec<u8>,
    first: bool,
}

impl Row<'_> {
    fn cell(&mut self, value: impl Display) {
        let comma = if self.first { "" } else { "," };
        self.first = false;
        let written = write!(self.list, "{comma}{value}");
        debug_assert!(written.is_ok(), "a string takes everything");
    }

    pub(super) fn text(mut self, value: &str) -> Self {
        self.cell(format_args!("{},{}", self.text.len() + 1, value.len()));
        self.text.extend_from_slice(value.as_bytes());
        self
    }

    /// Text of anything that writes itself as text, without a string of its own.
    pub(super) fn display(mut self, value: impl Display) -> Self {
        use std::io::Write as _;
        let before = self.text.len();
        let written = write!(self.text, "{value}");
        debug_assert!(written.is_ok(), "memory takes everything");
        self.cell(format_args!("{},{}", before + 1, self.text.len() - before));
        self
    }

    pub(super) fn display_if(mut self, value: Option<impl Display>) -> Self {
        let Some(value) = value else {
            self.cell("null,null");
            return self;
        };
        self.display(value)
    }

    pub(super) fn text_if(self, value: Option<&str>) -> Self {
        self.display_if(value)
    }

    pub(super) fn number(mut self, value: i64) -> Self {
        self.cell(value);
        self
    }

    pub(super) fn number_if(mut self, value: Option<i64>) -> Self {
        match value {
            Some(value) => self.cell(value),
            None => self.cell("null"),
        }
        self
    }
}

impl Drop for Row<'_> {
    fn drop(&mut self) {
        self.list.push(']');
    }
}
