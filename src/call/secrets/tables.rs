//! Secrets in tables: the column under a telling name, in comma-separated lines, in tables drawn with `|`, and in
//! SQL's `INSERT INTO … (name, password) VALUES (…)`.

use super::Span;
use super::names::secret_name;
use super::scan::{closing_quote, is_name, is_quote, run_end, step};

/// More columns are no table that a person reads.
const COLUMNS: usize = 64;

/// A header, read.
struct Table {
    divider: char,
    cells: usize,
    /// Which columns are secret.
    secret: Vec<usize>,
    rows: usize,
    covered: Vec<Span>,
}

/// The cells to cover.
pub(super) fn find(text: &str) -> Vec<Span> {
    let mut found = inserted(text);
    if !text.contains('\n') {
        return found;
    }
    let mut table: Option<Table> = None;
    let mut start = 0;
    for line in text.split('\n') {
        step(line.len() + 1);
        let ruled = !line.is_empty() && line.bytes().all(|b| b"+-|:= \r".contains(&b));
        if !ruled {
            table = table.and_then(|table| table.row(line, start, &mut found)).or_else(|| Table::under(line));
        }
        start += line.len() + 1;
    }
    if let Some(table) = table {
        found.extend(table.covered);
    }
    found
}

impl Table {
    /// The table whose header the line is, if one of its columns is telling. Every cell of a header is a name.
    fn under(line: &str) -> Option<Self> {
        let divider = ['|', '\t', ',', ';'].into_iter().find(|&divider| line.contains(divider))?;
        let cells: Vec<&str> = line.split(divider).take(COLUMNS + 1).map(bare).collect();
        let named = cells.len() <= COLUMNS
            && cells.iter().all(|cell| cell.len() <= 40 && cell.bytes().all(|b| is_name(b) || b == b' '));
        let secret: Vec<usize> = cells
            .iter()
            .enumerate()
            .filter(|(_, cell)| named && secret_name(cell).is_some())
            .map(|(at, _)| at)
            .collect();
        (cells.len() > 1 && !secret.is_empty()).then(|| Self {
            divider,
            cells: cells.len(),
            secret,
            rows: 0,
            covered: Vec::new(),
        })
    }

    /// Covers the secret cells of a row; the table ends at the first line that is none.
    fn row(mut self, line: &str, line_start: usize, found: &mut Vec<Span>) -> Option<Self> {
        if line.matches(self.divider).take(self.cells).count() + 1 != self.cells {
            found.append(&mut self.covered);
            return None;
        }
        self.rows += 1;
        let mut start = line_start;
        for (at, cell) in line.split(self.divider).enumerate() {
            if self.secret.contains(&at) {
                let inner = bare(cell);
                let skipped = inner.as_ptr() as usize - cell.as_ptr() as usize;
                if !inner.is_empty() {
                    self.covered.push(Span { start: start + skipped, end: start + skipped + inner.len() });
                }
            }
            start += cell.len() + self.divider.len_utf8();
        }
        Some(self)
    }
}

/// A cell without blanks and quotes around it.
fn bare(cell: &str) -> &str {
    cell.trim().trim_matches(['"', '\'', '`'])
}

/// The values that SQL inserts into telling columns.
fn inserted(text: &str) -> Vec<Span> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        at = run_end(bytes, at, |b| b != b'(') + 1;
        let columns_end = run_end(bytes, at, |b| is_name(b) || b" ,\"`\n\r\t".contains(&b));
        let word = run_end(bytes, columns_end + 1, |b| b.is_ascii_whitespace());
        let values = bytes.get(word..word + 6).is_some_and(|word| word.eq_ignore_ascii_case(b"values"));
        if bytes.get(columns_end) != Some(&b')') || !values {
            at = columns_end.max(at);
            continue;
        }
        let cells = text[at..columns_end].split(',').take(COLUMNS);
        let secret: Vec<usize> =
            cells.enumerate().filter(|(_, c)| secret_name(bare(c)).is_some()).map(|(n, _)| n).collect();
        at = word + 6;
        if !secret.is_empty() {
            at = rows(text, at, &secret, &mut found);
        }
    }
    found
}

/// Reads `(…), (…)` from `at`, and says where that ends.
fn rows(text: &str, mut at: usize, secret: &[usize], found: &mut Vec<Span>) -> usize {
    let bytes = text.as_bytes();
    loop {
        let open = run_end(bytes, at, |b| b.is_ascii_whitespace() || b == b',');
        if bytes.get(open) != Some(&b'(') {
            return open;
        }
        let (mut column, mut start, mut depth) = (0, open + 1, 0);
        at = open + 1;
        loop {
            step(1);
            let byte = bytes.get(at).copied();
            match byte {
                Some(quote) if is_quote(quote) => at = closing_quote(bytes, at + 1, quote, 0),
                Some(b'(') => depth += 1,
                Some(b')') if depth > 0 => depth -= 1,
                Some(b',' | b')') | None if depth == 0 || byte.is_none() => {
                    let value = &text[start..at.min(bytes.len())];
                    let inner = bare(value);
                    if secret.contains(&column) && !inner.is_empty() && inner != "?" && inner != "NULL" {
                        let from = start + value.find(inner).unwrap_or(0);
                        found.push(Span { start: from, end: from + inner.len() });
                    }
                    (column, start) = (column + 1, at + 1);
                    if byte != Some(b',') {
                        break;
                    }
                }
                _ => {}
            }
            at += 1;
        }
        at += 1;
        if at >= bytes.len() {
            return at;
        }
    }
}
