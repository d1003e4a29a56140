//! A JSON value as lines of a readable tree.
//!
//! The tree is flat, a row for each opening, leaf and closing, so that depth costs no recursion and
//! a template loops over it. Fill it with [`Tree::open`], [`Tree::leaf`] and [`Tree::close`].

use super::Text;

/// A value as rows.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// In document order; every [`Row::Open`] has its [`Row::Close`].
    pub rows: Vec<Row>,
    open: Vec<Brackets>,
}

/// The two kinds of container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Brackets {
    /// An object.
    Object,
    /// An array.
    Array,
}

impl Brackets {
    /// "object of 2", "array of 1".
    #[must_use]
    pub fn words(self, len: &usize) -> String {
        match self {
            Self::Object => format!("object of {len}"),
            Self::Array => format!("list of {len}"),
        }
    }
}

/// The kinds of leaf: each has its own colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string, shown without quotation marks unless it is empty or has outer blanks.
    String,
    /// A number, in its exact spelling.
    Number,
    /// true, false or null.
    Word,
    /// A secret that is masked; its value is not in the page.
    Secret,
    /// `{}` or `[]`.
    Empty,
}

impl Kind {
    /// Its class.
    #[must_use]
    pub fn slug(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Number => "number",
            Self::Word => "word",
            Self::Secret => "secret",
            Self::Empty => "nothing",
        }
    }

    /// Whether its value is masked.
    #[must_use]
    pub fn is_secret(self) -> bool {
        self == Self::Secret
    }
}

/// One row of the tree.
#[derive(Debug, Clone)]
pub enum Row {
    /// An object or array begins.
    Open {
        /// The member's name, or the element's number from 0.
        key: Text,
        /// What it is.
        brackets: Brackets,
        /// How many members or elements.
        len: usize,
        /// A remark by Placet: "a JSON document inside a string", "key given twice".
        note: Option<String>,
    },
    /// A value without parts.
    Leaf {
        /// The member's name, or the element's number from 0.
        key: Text,
        /// What it is.
        kind: Kind,
        /// Its text: the decoded string, the number's exact spelling, the mask of a secret.
        value: Text,
        /// A remark by Placet: "claimed by the agent", "unknown to the tool's schema".
        note: Option<String>,
    },
    /// A document (such as an IAM policy) pretty-printed as one block of code.
    Document {
        /// The member's name.
        key: Text,
        /// A remark by Placet: "policy document, given as a string".
        note: Option<String>,
        /// Pretty-printed text, two blanks a level.
        lines: Vec<CodeLine>,
    },
    /// The innermost open object or array ends.
    Close,
}

/// One line of pretty-printed JSON.
#[derive(Debug, Clone)]
pub struct CodeLine {
    /// Levels of indentation.
    pub indent: usize,
    /// The member's name, where the line has one.
    pub key: Option<Text>,
    /// What stands there: the value or brackets, with its trailing comma outside.
    pub value: Text,
    /// The value's kind; `None` for brackets.
    pub kind: Option<Kind>,
    /// Whether a comma follows.
    pub comma: bool,
    /// A remark by Placet, shown at the line's end: "key given twice", "JSON text inside a string".
    pub note: Option<String>,
}

impl CodeLine {
    /// Levels of indentation that the style knows; deeper lines hang as the deepest.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.indent.min(12)
    }

    /// The blanks before it, so that what is copied stays indented.
    #[must_use]
    pub fn blanks(&self) -> String {
        "  ".repeat(self.indent)
    }

    /// The class of its value.
    #[must_use]
    pub fn class(&self) -> &'static str {
        self.kind.map_or("brackets", Kind::slug)
    }
}

impl Tree {
    /// An empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins an object or array of `len` parts.
    pub fn open(&mut self, key: impl Into<Text>, brackets: Brackets, len: usize, note: Option<String>) {
        self.open.push(brackets);
        self.rows.push(Row::Open { key: key.into(), brackets, len, note });
    }

    /// Adds a value without parts.
    pub fn leaf(&mut self, key: impl Into<Text>, kind: Kind, value: impl Into<Text>, note: Option<String>) {
        self.rows.push(Row::Leaf { key: key.into(), kind, value: value.into(), note });
    }

    /// Adds a pretty-printed document.
    pub fn document(&mut self, key: impl Into<Text>, lines: Vec<CodeLine>, note: Option<String>) {
        self.rows.push(Row::Document { key: key.into(), note, lines });
    }

    /// Ends the innermost open object or array; without one it does nothing.
    pub fn close(&mut self) {
        if self.open.pop().is_some() {
            self.rows.push(Row::Close);
        }
    }

    /// Closes whatever is still open, so that the page's elements are balanced.
    #[must_use]
    pub fn finish(mut self) -> Self {
        while !self.open.is_empty() {
            self.close();
        }
        self
    }

    /// Whether there is nothing to show.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}
