//! Typed reading of a parsed TOML file, with a place for every fault.
//!
//! [`Table`] hands out the value of each key once and at the end reports those
//! that nobody asked for; [`Entry`] turns a value into a type or reports why
//! not. Reading never stops at a fault. Nothing here knows a key of the config
//! or a default.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::env::{ReferenceFault, fill};
use super::fault::{Fault, FaultList, Faults, quoted, shortened};
use crate::error::nearest;
use crate::text::escaped;
use crate::units;

/// What all reading of one file shares.
pub(super) struct Document<'a> {
    /// `None`: there is no config.
    file: Option<&'a Path>,
    text: &'a str,
    env: &'a dyn Fn(&str) -> Option<String>,
    faults: RefCell<FaultList>,
    /// Variables that are not set, and where. They are no faults yet: see
    /// [`forgive_unset`](Self::forgive_unset).
    unset: RefCell<Vec<(Place, String)>>,
    secrets: RefCell<Vec<String>>,
}

/// Where a value stands: what a fault of it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The path of the key.
    pub(super) key: String,
    /// Bytes from the start of the file.
    pub(super) offset: usize,
}

/// Who gave a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// A key of the file.
    File(Place),
    /// A flag of the command line, as it is typed.
    Flag(&'static str),
}

/// What a key or flag gave.
#[derive(Debug, Clone)]
pub(super) struct Field<T> {
    /// `None`: nobody gave it.
    pub(super) origin: Option<Origin>,
    /// `None`: not given, or at fault (and reported).
    pub(super) value: Option<T>,
}

impl<T> Default for Field<T> {
    fn default() -> Self {
        Self {
            origin: None,
            value: None,
        }
    }
}

impl<T> Field<T> {
    /// Whether somebody gave it, at fault or not.
    pub(super) fn is_given(&self) -> bool {
        self.origin.is_some()
    }

    /// The flag's value where there is one.
    pub(super) fn or_flag(self, flag: &'static str, value: Option<T>) -> Self {
        match value {
            None => self,
            Some(value) => Self {
                origin: Some(Origin::Flag(flag)),
                value: Some(value),
            },
        }
    }
}

/// A text with its references filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text {
    /// To use, never to show: it may hold values of the environment.
    pub(super) value: String,
    /// To show: as written, with `${NAME}`.
    pub(super) written: String,
}

impl<'a> Document<'a> {
    /// Nothing is read yet.
    pub(super) fn new(
        file: Option<&'a Path>,
        text: &'a str,
        env: &'a dyn Fn(&str) -> Option<String>,
    ) -> Self {
        Self {
            file,
            text,
            env,
            faults: RefCell::default(),
            unset: RefCell::default(),
            secrets: RefCell::new(Vec::new()),
        }
    }

    /// Parses the text. `None` where its syntax is at fault: the first such
    /// fault is reported, for those after it may only follow from it. Keys
    /// given twice are all reported, and do not keep the rest from being read.
    pub(super) fn parse(&self) -> Option<Spanned<DeTable<'a>>> {
        let (root, errors) = DeTable::parse_recoverable(self.text);
        let is_duplicate = |error: &toml::de::Error| error.message().contains("duplicate key");
        if let Some(error) = errors.iter().find(|error| !is_duplicate(error)) {
            self.report_syntax(error, error.message().to_string());
            return None;
        }
        for error in &errors {
            self.report_syntax(error, "the key is given twice".to_string());
        }
        Some(root)
    }

    fn report_syntax(&self, error: &toml::de::Error, message: String) {
        let offset = error.span().map_or(self.text.len(), |span| span.start);
        self.push(String::new(), Some(offset), message, None, None);
    }

    /// Reports a fault of the value at `place`.
    pub(super) fn report(&self, place: &Place, message: impl Into<String>, accepted: Option<&str>) {
        self.push(
            place.key.clone(),
            Some(place.offset),
            message.into(),
            accepted.map(str::to_string),
            None,
        );
    }

    /// Reports a fault of what `origin` gave.
    pub(super) fn blame(
        &self,
        origin: &Origin,
        message: impl Into<String>,
        accepted: Option<&str>,
    ) {
        match origin {
            Origin::File(place) => self.report(place, message, accepted),
            Origin::Flag(flag) => self.report_flag(flag, message, accepted),
        }
    }

    /// Reports a fault of the command line.
    pub(super) fn report_flag(
        &self,
        flag: &str,
        message: impl Into<String>,
        accepted: Option<&str>,
    ) {
        self.faults.borrow_mut().push_flag(Fault {
            file: None,
            line: None,
            column: None,
            key: flag.to_string(),
            message: message.into(),
            accepted: accepted.map(str::to_string),
            suggestion: None,
        });
    }

    /// Whether a fault there would be told: not where enough stand before it.
    fn is_told(&self, offset: usize) -> bool {
        self.faults.borrow().is_told(offset)
    }

    /// Counts a fault that is not told.
    fn count_fault(&self) {
        self.faults.borrow_mut().n_more += 1;
    }

    /// The same as [`report`](Self::report), with what was probably meant.
    pub(super) fn report_typo(
        &self,
        place: &Place,
        message: impl Into<String>,
        accepted: Option<&str>,
        suggestion: Option<&str>,
    ) {
        self.push(
            place.key.clone(),
            Some(place.offset),
            message.into(),
            accepted.map(str::to_string),
            suggestion.map(str::to_string),
        );
    }

    /// Reports that something is missing from the file as a whole.
    pub(super) fn report_missing(&self, key: &str, message: &str, accepted: &str) {
        let accepted = Some(accepted.to_string());
        self.push(key.to_string(), None, message.to_string(), accepted, None);
    }

    fn push(
        &self,
        key: String,
        offset: Option<usize>,
        message: String,
        accepted: Option<String>,
        suggestion: Option<String>,
    ) {
        let fault = Fault {
            file: self.file.map(Path::to_path_buf),
            line: None,
            column: None,
            key,
            message,
            accepted,
            suggestion,
        };
        self.faults.borrow_mut().push(offset, fault);
    }

    /// Forgets that variables were not set, below keys of which `is_unused` says
    /// that nothing of them is needed.
    pub(super) fn forgive_unset(&self, is_unused: impl Fn(&str) -> bool) {
        let mut unset = self.unset.borrow_mut();
        unset.retain(|(place, _)| !is_unused(&place.key));
    }

    /// The faults reported, and the values that came from the environment.
    pub(super) fn into_parts(self) -> (Faults, Vec<String>) {
        for (place, name) in self.unset.take() {
            if !self.is_told(place.offset) {
                self.count_fault();
                continue;
            }
            self.report(
                &place,
                format!("the environment variable {} is not set", quoted(&name)),
                Some(&format!(
                    "it to be set, or a default: `${{{}:-default}}`",
                    escaped(&shortened(&name))
                )),
            );
        }
        let faults = self.faults.into_inner();
        (faults.placed(self.text), self.secrets.into_inner())
    }

    /// Fills in the references of a text; `None` where one is at fault.
    fn fill(&self, place: &Place, written: &str) -> Option<(Text, Vec<String>)> {
        match fill(written, self.env) {
            Ok(filled) => {
                // Where nothing was filled in, it is shown as what it means.
                let written = if filled.has_references {
                    written.to_string()
                } else {
                    filled.value.clone()
                };
                let text = Text {
                    value: filled.value,
                    written,
                };
                Some((text, filled.from_environment))
            }
            Err(faults) => {
                for fault in faults {
                    match fault {
                        ReferenceFault::Missing(name) => {
                            self.unset.borrow_mut().push((place.clone(), name));
                        }
                        ReferenceFault::Malformed => self.report(
                            place,
                            "a `${` begins no reference",
                            Some("`${NAME}`, `${NAME:-default}`, or `$${` for a literal `${`"),
                        ),
                    }
                }
                None
            }
        }
    }

    /// A text that may hold secrets: what comes from the environment is noted.
    fn free_text(&self, place: &Place, written: &str) -> Option<Text> {
        let (text, from_environment) = self.fill(place, written)?;
        self.secrets.borrow_mut().extend(from_environment);
        Some(text)
    }
}

/// A table, and which of its keys were asked for.
pub(super) struct Table<'a> {
    place: Place,
    entries: &'a DeTable<'a>,
    known: Vec<&'static str>,
}

/// A key's value.
#[derive(Clone)]
pub(super) struct Entry<'a> {
    place: Place,
    value: &'a DeValue<'a>,
}

impl<'a> Table<'a> {
    /// The root of the file.
    pub(super) fn root(entries: &'a DeTable<'a>) -> Self {
        Self {
            place: Place {
                key: String::new(),
                offset: 0,
            },
            entries,
            known: Vec::new(),
        }
    }

    /// Where it stands.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// The value of `key`, which is known from now on.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Entry<'a>> {
        self.known.push(key);
        let (_, value) = self
            .entries
            .iter()
            .find(|(name, _)| name.get_ref().as_ref() == key)?;
        Some(Entry {
            place: Place {
                key: self.path_of(key),
                offset: value.span().start,
            },
            value: value.get_ref(),
        })
    }

    /// Reads the value of `key`.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Entry<'a>) -> Option<T>,
    ) -> Field<T> {
        match self.take(key) {
            None => Field::default(),
            Some(entry) => Field {
                value: read(&entry),
                origin: Some(Origin::File(entry.place)),
            },
        }
    }

    /// Like [`read`](Self::read); reports where the key is not there.
    pub(super) fn require<T>(
        &mut self,
        document: &Document<'_>,
        key: &'static str,
        accepted: &str,
        read: impl FnOnce(&Entry<'a>) -> Option<T>,
    ) -> Field<T> {
        let field = self.read(key, read);
        if !field.is_given() {
            let message = format!("the key `{key}` is missing");
            document.report(&self.place, message, Some(accepted));
        }
        field
    }

    /// All keys with their values, whatever they are called.
    pub(super) fn all(&self) -> Vec<(String, Entry<'a>)> {
        let mut entries: Vec<_> = self
            .entries
            .iter()
            .map(|(name, value)| {
                let entry = Entry {
                    place: Place {
                        key: self.path_of(name.get_ref()),
                        offset: value.span().start,
                    },
                    value: value.get_ref(),
                };
                (name.span().start, name.get_ref().to_string(), entry)
            })
            .collect();
        // As written: the parser's table is sorted by name.
        entries.sort_by_key(|(offset, _, _)| *offset);
        entries
            .into_iter()
            .map(|(_, name, entry)| (name, entry))
            .collect()
    }

    /// Reports every key that nobody asked for.
    pub(super) fn finish(self, document: &Document<'_>) {
        let mut unknown: Vec<(usize, &str)> = self
            .entries
            .iter()
            .map(|(name, _)| (name.span().start, name.get_ref().as_ref()))
            .filter(|(_, name)| !self.known.contains(name))
            .collect();
        // As written: those that come first are told, and the rest costs nothing.
        unknown.sort_unstable();
        for (offset, typed) in unknown {
            if !document.is_told(offset) {
                document.count_fault();
                continue;
            }
            let place = Place {
                key: self.path_of(typed),
                offset,
            };
            let suggestion = nearest(typed, self.known.iter().copied());
            let known: Vec<String> = self.known.iter().map(|key| format!("`{key}`")).collect();
            let accepted = match suggestion {
                Some(_) => None,
                None => Some(format!("one of {}", known.join(", "))),
            };
            document.report_typo(&place, "unknown key", accepted.as_deref(), suggestion);
        }
    }

    fn path_of(&self, key: &str) -> String {
        path(&self.place.key, key)
    }
}

/// The longest path that grows further, in bytes: each value has a path of its
/// own, so long ones would make the work grow with the square of a file.
const PATH_MAX: usize = 200;

/// `parent.key`, with a key quoted that could not stand bare.
fn path(parent: &str, key: &str) -> String {
    if parent.len() > PATH_MAX {
        let rest = if parent.ends_with('…') { "" } else { ".…" };
        return format!("{parent}{rest}");
    }
    let key = &*shortened(key);
    let is_bare = !key.is_empty()
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let key = if is_bare {
        key.to_string()
    } else {
        format!("\"{}\"", escaped(key))
    };
    if parent.is_empty() {
        key
    } else {
        format!("{parent}.{key}")
    }
}

/// `list[1]`: entries count from 1.
fn nth(list: &str, i: usize) -> String {
    if list.len() > PATH_MAX {
        return list.to_string();
    }
    format!("{list}[{}]", i + 1)
}

impl<'a> Entry<'a> {
    /// Where it stands.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Whether it is a text.
    pub(super) fn is_text(&self) -> bool {
        matches!(self.value, DeValue::String(_))
    }

    /// Whether it is a table.
    pub(super) fn is_table(&self) -> bool {
        matches!(self.value, DeValue::Table(_))
    }

    /// Reports that the value is of another type.
    pub(super) fn report_type(&self, document: &Document<'_>, accepted: &str) {
        let found = match self.value {
            DeValue::String(_) => "text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a fraction",
            DeValue::Boolean(_) => "a truth value",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        document.report(&self.place, format!("found {found}"), Some(accepted));
    }

    /// A table.
    pub(super) fn table(&self, document: &Document<'_>, accepted: &str) -> Option<Table<'a>> {
        match self.value {
            DeValue::Table(entries) => Some(Table {
                place: self.place.clone(),
                entries,
                known: Vec::new(),
            }),
            _ => {
                self.report_type(document, accepted);
                None
            }
        }
    }

    /// A list of tables. Those entries that are something else are reported
    /// and left out.
    pub(super) fn tables(&self, document: &Document<'_>, accepted: &str) -> Option<Vec<Table<'a>>> {
        let DeValue::Array(items) = self.value else {
            self.report_type(document, accepted);
            return None;
        };
        let tables = items.iter().enumerate().filter_map(|(i, item)| {
            let entry = Entry {
                place: Place {
                    key: nth(&self.place.key, i),
                    offset: item.span().start,
                },
                value: item.get_ref(),
            };
            entry.table(document, accepted)
        });
        Some(tables.collect())
    }

    /// A text that may hold secrets.
    pub(super) fn text(&self, document: &Document<'_>, accepted: &str) -> Option<Text> {
        let DeValue::String(written) = self.value else {
            self.report_type(document, accepted);
            return None;
        };
        document.free_text(&self.place, written)
    }

    /// The same, where an empty one makes no sense.
    pub(super) fn name(&self, document: &Document<'_>, accepted: &str) -> Option<Text> {
        let text = self.text(document, accepted)?;
        if text.value.trim().is_empty() {
            document.report(&self.place, "is empty", Some(accepted));
            return None;
        }
        Some(text)
    }

    /// A word or quantity in a text: `parse` reads it, or it is reported as
    /// written. Such a value is no secret.
    pub(super) fn parse<T>(
        &self,
        document: &Document<'_>,
        accepted: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let DeValue::String(written) = self.value else {
            self.report_type(document, accepted);
            return None;
        };
        let (text, _) = document.fill(&self.place, written)?;
        let parsed = parse(&text.value);
        if parsed.is_none() {
            let message = format!("{} is not possible", quoted(&text.written));
            document.report(&self.place, message, Some(accepted));
        }
        parsed
    }

    /// One of the given words.
    pub(super) fn word<T: Copy>(&self, document: &Document<'_>, words: &[(&str, T)]) -> Option<T> {
        let names: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        let accepted = format!("one of {}", names.join(", "));
        let DeValue::String(written) = self.value else {
            self.report_type(document, &accepted);
            return None;
        };
        let (text, _) = document.fill(&self.place, written)?;
        let found = words.iter().find(|(word, _)| *word == text.value);
        if found.is_none() {
            let suggestion = nearest(&text.value, words.iter().map(|(word, _)| *word));
            let message = format!("{} is not known", quoted(&text.written));
            document.report_typo(&self.place, message, Some(&accepted), suggestion);
        }
        found.map(|(_, value)| *value)
    }

    /// A duration as text: `30s`, `250ms`.
    pub(super) fn duration(&self, document: &Document<'_>) -> Option<Duration> {
        self.parse(document, units::DURATION_FORM, |text| {
            units::parse_duration(text).ok()
        })
    }

    /// The same, more than zero.
    pub(super) fn duration_above_zero(&self, document: &Document<'_>) -> Option<Duration> {
        let duration = self.duration(document)?;
        if duration.is_zero() {
            document.report(&self.place, "is zero", Some(units::DURATION_FORM));
            return None;
        }
        Some(duration)
    }

    /// A whole number within bounds.
    pub(super) fn whole(
        &self,
        document: &Document<'_>,
        bounds: RangeInclusive<u64>,
    ) -> Option<u64> {
        let (low, high) = (*bounds.start(), *bounds.end());
        let accepted = if high == u64::MAX {
            format!("a whole number from {low}")
        } else {
            format!("a whole number from {low} to {high}")
        };
        let DeValue::Integer(written) = self.value else {
            self.report_type(document, &accepted);
            return None;
        };
        // `-0` is a number too, though no unsigned one.
        let digits = written.as_str().trim_start_matches('+');
        let number = match u64::from_str_radix(digits, written.radix()) {
            Ok(number) => Some(number),
            Err(_) if matches!(digits, "-0") => Some(0),
            Err(_) => None,
        };
        let within = number.filter(|number| bounds.contains(number));
        if within.is_none() {
            let message = format!("{} is out of bounds", quoted(&written.to_string()));
            document.report(&self.place, message, Some(&accepted));
        }
        within
    }

    /// A whole number of 32 bits within bounds.
    pub(super) fn whole_u32(
        &self,
        document: &Document<'_>,
        bounds: RangeInclusive<u32>,
    ) -> Option<u32> {
        let bounds = u64::from(*bounds.start())..=u64::from(*bounds.end());
        let number = self.whole(document, bounds)?;
        u32::try_from(number).ok()
    }

    /// A number, whole or not, within bounds.
    pub(super) fn number(
        &self,
        document: &Document<'_>,
        bounds: RangeInclusive<f64>,
    ) -> Option<f64> {
        let accepted = format!("a number from {} to {}", bounds.start(), bounds.end());
        let (number, written) = match self.value {
            DeValue::Float(float) => (float.as_str().parse::<f64>().ok(), float.to_string()),
            DeValue::Integer(integer) => (
                i64::from_str_radix(integer.as_str(), integer.radix())
                    .ok()
                    .map(|number| number as f64),
                integer.to_string(),
            ),
            _ => {
                self.report_type(document, &accepted);
                return None;
            }
        };
        // No bounds contain a NaN.
        let within = number.filter(|number| bounds.contains(number));
        if within.is_none() {
            let message = format!("{} is out of bounds", quoted(&written));
            document.report(&self.place, message, Some(&accepted));
        }
        within
    }

    /// `true` or `false`.
    pub(super) fn truth(&self, document: &Document<'_>) -> Option<bool> {
        match self.value {
            DeValue::Boolean(value) => Some(*value),
            _ => {
                self.report_type(document, "`true` or `false`");
                None
            }
        }
    }

    /// The value as JSON, to use and to show, where at most `depth` levels follow.
    /// Dates become texts. `None` where something in it has no JSON form; all of
    /// that is reported.
    fn json_within(&self, document: &Document<'_>, depth: usize) -> Option<(Value, Value)> {
        let Some(depth) = depth.checked_sub(1) else {
            let accepted = format!("at most {DEPTH_MAX} levels");
            document.report(&self.place, "nests too deeply", Some(&accepted));
            return None;
        };
        match self.value {
            DeValue::String(written) => {
                let text = document.free_text(&self.place, written)?;
                Some((Value::String(text.value), Value::String(text.written)))
            }
            DeValue::Boolean(value) => Some(twice(Value::Bool(*value))),
            DeValue::Datetime(date) => Some(twice(Value::String(date.to_string()))),
            DeValue::Integer(integer) => {
                let number = i64::from_str_radix(integer.as_str(), integer.radix())
                    .map(Value::from)
                    .or_else(|_| {
                        u64::from_str_radix(integer.as_str(), integer.radix()).map(Value::from)
                    });
                if number.is_err() {
                    let message = format!("{} is out of bounds", quoted(&integer.to_string()));
                    document.report(&self.place, message, Some("a whole number of 64 bits"));
                }
                number.ok().map(twice)
            }
            DeValue::Float(float) => {
                let number = float.as_str().parse::<f64>().ok();
                let number = number.and_then(serde_json::Number::from_f64);
                if number.is_none() {
                    let message = format!("{} has no form in JSON", quoted(&float.to_string()));
                    document.report(&self.place, message, Some("a finite number"));
                }
                number.map(|number| twice(Value::Number(number)))
            }
            DeValue::Array(items) => {
                let items = items.iter().enumerate().map(|(i, item)| {
                    let entry = Entry {
                        place: Place {
                            key: nth(&self.place.key, i),
                            offset: item.span().start,
                        },
                        value: item.get_ref(),
                    };
                    entry.json_within(document, depth)
                });
                let (values, shown): (Vec<_>, Vec<_>) = all_or_none(items)?.into_iter().unzip();
                Some((Value::Array(values), Value::Array(shown)))
            }
            DeValue::Table(_) => {
                let (values, shown) = self.json_object_within(document, depth)?;
                Some((Value::Object(values), Value::Object(shown)))
            }
        }
    }

    /// The same for a table.
    pub(super) fn json_object(&self, document: &Document<'_>) -> Option<(Object, Object)> {
        self.json_object_within(document, DEPTH_MAX)
    }

    fn json_object_within(
        &self,
        document: &Document<'_>,
        depth: usize,
    ) -> Option<(Object, Object)> {
        let table = self.table(document, "a table such as `{ text = \"hello\" }`")?;
        let fields = table.all().into_iter().map(|(name, entry)| {
            let (value, shown) = entry.json_within(document, depth)?;
            Some((name, value, shown))
        });
        let mut values = Object::new();
        let mut all_shown = Object::new();
        for (name, value, shown) in all_or_none(fields)? {
            values.insert(name.clone(), value);
            all_shown.insert(name, shown);
        }
        Some((values, all_shown))
    }
}

/// Levels of a value that becomes JSON. Most readers of JSON take 127.
const DEPTH_MAX: usize = 100;

/// A JSON object.
pub(super) type Object = serde_json::Map<String, Value>;

fn twice(value: Value) -> (Value, Value) {
    (value.clone(), value)
}

/// Collects all, or none where one is missing, but looks at each: the faults
/// of all of them are to be reported.
fn all_or_none<T>(items: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let mut is_complete = true;
    let mut found = Vec::new();
    for item in items {
        match item {
            Some(item) => found.push(item),
            None => is_complete = false,
        }
    }
    is_complete.then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(text: &str, read: impl Fn(&Document<'_>, &mut Table<'_>)) -> Vec<String> {
        let document = Document::new(Some(Path::new("a.toml")), text, &|_| None);
        if let Some(root) = document.parse() {
            let mut table = Table::root(root.get_ref());
            read(&document, &mut table);
            table.finish(&document);
        }
        let (faults, _) = document.into_parts();
        faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_syntax_fault_has_line_and_column() {
        let faults = faults_of("a = 1\nb = [1,\nc = 2\n", |_, _| ());
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].starts_with("a.toml:"), "{faults:?}");
    }

    #[test]
    fn a_key_given_twice_does_not_hide_the_others() {
        let faults = faults_of("port = 1\nport = 2\nhost = 3\n", |_, table| {
            table.take("port");
        });
        assert_eq!(
            faults,
            [
                "a.toml:2:1: the key is given twice",
                "a.toml:3:1: host: unknown key; expected one of `port`"
            ]
        );
    }

    #[test]
    fn numbers_are_bounded() {
        let faults = faults_of(
            "a = -1\nb = 99999999999999999999\nc = 0x10\nd = +3\ne = nan\nf = 1\ng = 2\n",
            |document, table| {
                for key in ["a", "b", "c", "d"] {
                    table.read(key, |entry| entry.whole(document, 0..=15));
                }
                for key in ["e", "f", "g"] {
                    table.read(key, |entry| entry.number(document, 0.0..=1.0));
                }
            },
        );
        assert_eq!(
            faults,
            [
                "a.toml:1:5: a: `-1` is out of bounds; expected a whole number from 0 to 15",
                "a.toml:2:5: b: `99999999999999999999` is out of bounds; expected a whole number from 0 to 15",
                "a.toml:3:5: c: `0x10` is out of bounds; expected a whole number from 0 to 15",
                "a.toml:5:5: e: `nan` is out of bounds; expected a number from 0 to 1",
                "a.toml:7:5: g: `2` is out of bounds; expected a number from 0 to 1",
            ]
        );
    }

    #[test]
    fn values_become_json() {
        let text = "a = { n = 1, f = 0.5, t = true, when = 1979-05-27T07:32:00Z, l = [1, \"x\"], \
                    o = { z = 1, b = 2 } }";
        let document = Document::new(Some(Path::new("a.toml")), text, &|_| None);
        let root = document.parse().expect("the syntax is right");
        let entry = Table::root(root.get_ref()).take("a").expect("a is there");
        let (value, shown) = entry
            .json_within(&document, DEPTH_MAX)
            .expect("it has a form in JSON");
        assert_eq!(
            value.to_string(),
            r#"{"n":1,"f":0.5,"t":true,"when":"1979-05-27T07:32:00Z","l":[1,"x"],"o":{"z":1,"b":2}}"#
        );
        assert_eq!(shown, value);
    }

    #[test]
    fn what_json_has_not_is_all_reported() {
        let faults = faults_of(
            "a = [inf, { b = nan }, 99999999999999999999]",
            |document, table| {
                table.read("a", |entry| entry.json_within(document, DEPTH_MAX));
            },
        );
        assert_eq!(
            faults,
            [
                "a.toml:1:6: a[1]: `inf` has no form in JSON; expected a finite number",
                "a.toml:1:17: a[2].b: `nan` has no form in JSON; expected a finite number",
                "a.toml:1:24: a[3]: `99999999999999999999` is out of bounds; expected a whole number of 64 bits",
            ]
        );
    }

    #[test]
    fn odd_keys_are_quoted() {
        assert_eq!(
            faults_of("\"a\\nb\" = 1", |_, table| {
                table.take("known");
            }),
            ["a.toml:1:1: \"a\\nb\": unknown key; expected one of `known`"]
        );
    }
}
