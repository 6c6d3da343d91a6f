//! Data sets of CSV (RFC 4180), of JSON lines, and of rows in a config.

use std::collections::HashMap;
use std::ops::Range;

use csv::{ReaderBuilder, StringRecord};

use super::{AtEnd, DataMode, DataSet};
use crate::error::nearest;
use crate::protocol::{json_text, read_members};
use crate::redact::names_secret;
use crate::template::push_json_string;

/// The largest file of a data set, in bytes.
pub const DATA_BYTES_MAX: u64 = 256 << 20;

/// More columns are refused.
const COLUMNS_MAX: usize = 1000;

/// After this many faults no more rows are looked at.
const FAULTS_MAX: usize = 50;

/// What is known of a data set beside its rows.
#[derive(Debug, Clone, Copy)]
pub struct DataSettings<'a> {
    /// As templates name it.
    pub name: &'a str,
    /// Which row an iteration takes.
    pub mode: DataMode,
    /// What follows the last row of a sequential set.
    pub at_end: AtEnd,
    /// Columns whose cells are secrets, beside those with the name of a credential.
    pub secret: &'a [String],
}

/// What is wrong with the rows of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFault {
    /// The line of the file, or the row of a config, from 1; `None`: it is the set as
    /// a whole.
    pub line: Option<usize>,
    /// What is wrong, as a fragment. Without what a cell holds: it may be a secret.
    pub message: String,
}

impl DataSet {
    /// Of CSV: the first row names the columns, each cell is a text, lines without
    /// anything are no rows.
    ///
    /// # Errors
    /// What is wrong with it, line by line, at most 50.
    pub fn from_csv(settings: DataSettings<'_>, text: &str) -> Result<Self, Vec<DataFault>> {
        let mut lines = LineCount::new(text);
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(text.as_bytes());
        let mut rows = RowReader::default();
        let mut record = StringRecord::new();
        while rows.takes_more() {
            let start = reader.position().byte();
            match reader.read_record(&mut record) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    rows.fault(Some(lines.at(start)), format!("is not CSV: {error}"));
                    break;
                }
            }
            if let Some((at, what)) = quote_fault(text, start..reader.position().byte()) {
                rows.fault(Some(lines.at(at)), what);
                // What the columns are called is not known, or all that follows was taken
                // for one cell.
                if rows.columns.is_empty() || what == OPEN_QUOTE {
                    break;
                }
                continue;
            }
            if rows.columns.is_empty() {
                rows.name_columns(record.iter().map(str::trim), || lines.at(start));
                if rows.columns.is_empty() {
                    break;
                }
            } else if record.len() == rows.columns.len() {
                for cell in &record {
                    push_json_string(cell, &mut rows.cells);
                    rows.end_cell();
                }
            } else {
                let message = format!(
                    "has {} where the first row names {}",
                    crate::units::plural(record.len() as u64, "column", "columns"),
                    rows.columns.len()
                );
                rows.fault(Some(lines.at(start)), message);
            }
        }
        rows.finish(settings, "a first row with the names of the columns")
    }

    /// Of JSON lines: each is an object, and all have the same members. Cells are what
    /// they are, with their types and digits. LineCount without anything are no rows.
    ///
    /// # Errors
    /// What is wrong with it, line by line, at most 50.
    pub fn from_jsonl(settings: DataSettings<'_>, text: &str) -> Result<Self, Vec<DataFault>> {
        let mut rows = RowReader::default();
        let lines = (1..)
            .zip(text.lines())
            .map(|(line, text)| (line, text.trim()));
        for (line, text) in lines.filter(|(_, text)| !text.is_empty()) {
            if !rows.takes_more() {
                break;
            }
            if let Some(half) = half_letter(text) {
                rows.fault(
                    Some(line),
                    format!("has `{half}`, which is half of a letter"),
                );
                continue;
            }
            match read_members(text, COLUMNS_MAX + 1) {
                Some((members, _)) => rows.add(line, &members),
                None => rows.fault(Some(line), not_an_object(text)),
            }
        }
        rows.finish(settings, "a line with an object")
    }

    /// Of rows that a config holds: objects with the same members.
    ///
    /// # Errors
    /// What is wrong with them, row by row, at most 50.
    pub fn from_rows(
        settings: DataSettings<'_>,
        objects: &[serde_json::Map<String, serde_json::Value>],
    ) -> Result<Self, Vec<DataFault>> {
        let mut rows = RowReader::default();
        for (number, object) in (1..).zip(objects) {
            if !rows.takes_more() {
                break;
            }
            let members = object
                .iter()
                .map(|(name, value)| (name.clone(), json_text(value)));
            rows.add(number, &members.collect::<Vec<_>>());
        }
        rows.finish(settings, "a row")
    }
}

fn not_an_object(text: &str) -> String {
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => "is not a JSON object".to_string(),
        // Its line is always the first: each line is a text of its own.
        Err(error) => format!("is not JSON (column {})", error.column()),
    }
}

/// RowReader while they are read.
#[derive(Default)]
struct RowReader {
    columns: Vec<String>,
    /// Columns by their names.
    places: HashMap<String, usize>,
    cells: String,
    ends: Vec<u32>,
    faults: Vec<DataFault>,
    is_too_large: bool,
}

impl RowReader {
    fn takes_more(&self) -> bool {
        self.faults.len() < FAULTS_MAX && !self.is_too_large
    }

    fn fault(&mut self, line: Option<usize>, message: impl Into<String>) {
        let message = message.into();
        self.faults.push(DataFault { line, message });
    }

    /// Takes the names of the columns; none where something is wrong with them.
    fn name_columns<'a>(
        &mut self,
        names: impl Iterator<Item = &'a str>,
        mut line: impl FnMut() -> usize,
    ) {
        let n_faults = self.faults.len();
        for (at, name) in names.enumerate() {
            if at >= COLUMNS_MAX {
                self.fault(Some(line()), format!("has more than {COLUMNS_MAX} columns"));
                break;
            }
            if name.trim().is_empty() {
                self.fault(Some(line()), format!("column {} has no name", at + 1));
            } else if self.places.insert(name.to_string(), at).is_some() {
                self.fault(
                    Some(line()),
                    format!("two columns are named {}", quoted(name)),
                );
            }
            self.columns.push(name.to_string());
        }
        if self.faults.len() > n_faults {
            self.columns.clear();
        }
    }

    /// Adds a row of named cells; the first names the columns.
    fn add(&mut self, line: usize, members: &[(String, impl AsRef<str>)]) {
        if self.columns.is_empty() {
            if !self.faults.is_empty() {
                // The names were wrong: what is wrong with the others cannot be told.
                return;
            }
            if members.is_empty() {
                return self.fault(Some(line), "names no column");
            }
            self.name_columns(members.iter().map(|(name, _)| name.as_str()), || line);
            if self.columns.is_empty() {
                return;
            }
        }
        let mut cells: Vec<Option<&str>> = vec![None; self.columns.len()];
        for (name, cell) in members {
            let Some(place) = self.places.get(name) else {
                let message = format!("has {}, which the first row does not have", quoted(name));
                return self.fault(Some(line), message);
            };
            if cells[*place].replace(cell.as_ref()).is_some() {
                return self.fault(Some(line), format!("has {} twice", quoted(name)));
            }
        }
        if let Some(missing) = cells.iter().position(Option::is_none) {
            let message = format!("has no {}", quoted(&self.columns[missing]));
            return self.fault(Some(line), message);
        }
        for cell in cells.into_iter().flatten() {
            self.cells.push_str(cell);
            self.end_cell();
        }
    }

    fn end_cell(&mut self) {
        match u32::try_from(self.cells.len()) {
            Ok(end) => self.ends.push(end),
            Err(_) => self.is_too_large = true,
        }
    }

    fn finish(
        mut self,
        settings: DataSettings<'_>,
        needed: &str,
    ) -> Result<DataSet, Vec<DataFault>> {
        if self.is_too_large {
            self.fault(None, "is larger than 4 GiB as JSON");
        }
        if self.faults.is_empty() && self.columns.is_empty() {
            self.fault(None, format!("is empty: it needs {needed}"));
        } else if self.faults.is_empty() && self.ends.is_empty() {
            self.fault(None, "has no rows");
        }
        let mut are_secret: Vec<bool> =
            self.columns.iter().map(|name| names_secret(name)).collect();
        for name in settings.secret {
            match self.places.get(name) {
                Some(place) if !self.columns.is_empty() => are_secret[*place] = true,
                _ if self.columns.is_empty() => {}
                _ => {
                    let columns = self.columns.iter().map(String::as_str);
                    let near = nearest(name, columns)
                        .map(|near| format!("; did you mean {}?", quoted(near)));
                    let near = near.unwrap_or_default();
                    self.fault(None, format!("has no column {}{near}", quoted(name)));
                }
            }
        }
        if !self.faults.is_empty() {
            return Err(self.faults);
        }
        self.cells.shrink_to_fit();
        self.ends.shrink_to_fit();
        Ok(DataSet {
            name: settings.name.to_string(),
            mode: settings.mode,
            at_end: settings.at_end,
            columns: self.columns,
            are_secret,
            cells: self.cells,
            ends: self.ends,
        })
    }
}

/// A column's name in a message: a file that is not a table may have a long one.
fn quoted(name: &str) -> String {
    const CHARS_MAX: usize = 60;
    let shown: String = name.chars().take(CHARS_MAX).collect();
    let cut = if shown.len() < name.len() { "…" } else { "" };
    format!("`{}{cut}`", crate::text::escaped(&shown))
}

/// LineCount of places that are asked for in ascending order: one pass over the text.
struct LineCount<'a> {
    text: &'a [u8],
    at: usize,
    line: usize,
}

impl<'a> LineCount<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text: text.as_bytes(),
            at: 0,
            line: 1,
        }
    }

    /// The line of the row at or behind a place: line ends are passed over.
    fn at(&mut self, byte: u64) -> usize {
        let place = usize::try_from(byte)
            .unwrap_or(usize::MAX)
            .min(self.text.len());
        let n_ends = self.text[place..]
            .iter()
            .take_while(|byte| b"\r\n".contains(byte))
            .count();
        let place = (place + n_ends).max(self.at);
        let passed = &self.text[self.at..place];
        self.line += passed.iter().filter(|byte| **byte == b'\n').count();
        self.at = place;
        self.line
    }
}

const OPEN_QUOTE: &str = "a quote is opened and never closed";

/// What is wrong with the quotes of a row, and where, though the `csv` crate reads it: it
/// takes the end of the text for the end of a cell, and what is behind a closing
/// quote for a part of the cell.
fn quote_fault(text: &str, row: Range<u64>) -> Option<(u64, &'static str)> {
    let [start, end] = [row.start, row.end].map(|at| usize::try_from(at).unwrap_or(usize::MAX));
    let row = text.as_bytes().get(start..end.min(text.len()))?;
    if !row.contains(&b'"') {
        return None;
    }
    let mut rest = row.iter().zip(start as u64..).peekable();
    let ends_cell = |byte: u8| matches!(byte, b',' | b'\r' | b'\n');
    // Where it was opened.
    let mut open = None;
    let mut begins_cell = true;
    while let Some((byte, at)) = rest.next() {
        match (byte, open) {
            // Two are one that the cell holds.
            (b'"', Some(_)) if rest.next_if(|(next, _)| **next == b'"').is_some() => {}
            (b'"', Some(_)) => {
                open = None;
                if rest.peek().is_some_and(|(next, _)| !ends_cell(**next)) {
                    return Some((at, "has more behind the quote that ends a cell"));
                }
            }
            (b'"', None) if begins_cell => open = Some(at),
            _ => {}
        }
        begins_cell = open.is_none() && ends_cell(*byte);
    }
    open.map(|at| (at, OPEN_QUOTE))
}

/// The number of half a letter in a JSON text, without the other half: JSON's grammar has
/// it, and no text does.
fn half_letter(json: &str) -> Option<&str> {
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let escape = &rest[at..];
        let unit = |at: usize| {
            let digits = escape.get(at..)?.strip_prefix("\\u")?.get(..4)?;
            u16::from_str_radix(digits, 16).ok()
        };
        let n_read = match (unit(0), unit(6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => return escape.get(..6),
            _ => 2,
        };
        rest = escape.get(n_read..)?;
    }
    None
}
