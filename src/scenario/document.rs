//! Typed reading of a parsed TOML file, with a place for every fault.
//!
//! [`Table`] hands out the value of each key once and at the end reports the keys
//! that were not read; [`Entry`] turns a value into a type or reports why
//! not. Both know the [`Document`] that they are a part of, and their path in it.
//! Reading never stops at a fault. Nothing here knows a key of the config or a
//! default.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashSet;
use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::env::{ReferenceFault, fill};
use super::fault::{FaultList, PlanFault, PlanFaults, quoted, said, shortened};
use super::shown::Shown;
use super::written::WrittenAt;
use crate::address;
use crate::error::nearest;
use crate::template::{self, Expression, Piece};
use crate::text::escaped;
use crate::units;

/// What all reading of one file shares.
pub(super) struct Document<'a> {
    /// `None`: there is no config.
    file: Option<&'a Path>,
    text: &'a str,
    /// Both, for faults that are found when the plan is used.
    kept: OnceCell<Option<Arc<(PathBuf, String)>>>,
    /// The values of variables.
    pub(super) env: &'a dyn Fn(&str) -> Option<OsString>,
    faults: RefCell<FaultList>,
    /// Variables that are not set, and where. They are no faults yet: see
    /// [`forgive_unset`](Self::forgive_unset).
    unset: RefCell<Vec<(Origin, String)>>,
    secrets: RefCell<Vec<String>>,
    /// Whether what is not a template is text: the config has neither flows nor data, whose
    /// values templates could name.
    is_lenient: Cell<bool>,
    /// What was taken for text in a lenient config, with the key that it belongs to.
    unknown: RefCell<Vec<(String, String)>>,
    /// Templates that were read since [`take_uses`](Self::take_uses).
    uses: RefCell<Vec<Use>>,
    /// Keys that were probably meant where an unknown one was told, each with the table
    /// that it is missing from.
    meant: RefCell<HashSet<(String, String)>>,
}

/// A template, and what holds it.
pub(super) type Use = (Origin, Expression);

/// Who gave a value: what a fault of it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    /// The path of the key, or the flag as it is typed.
    pub(super) key: String,
    /// Bytes from the start of the file; `None`: the command line.
    offset: Option<usize>,
}

impl Origin {
    /// A flag of the command line, as it is typed.
    pub(super) fn flag(name: &str) -> Self {
        Self {
            key: name.to_string(),
            offset: None,
        }
    }

    /// A key that should be somewhere in the file.
    pub(super) fn missing(key: &str) -> Self {
        Self {
            key: key.to_string(),
            offset: Some(FaultList::AT_THE_END),
        }
    }

    pub(super) fn is_flag(&self) -> bool {
        self.offset.is_none()
    }
}

/// What a key or flag gave.
#[derive(Debug, Clone)]
pub(super) struct Field<T> {
    /// `None`: neither the config nor a flag gave it.
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
    /// Whether the config or a flag gave it, at fault or not.
    pub(super) fn is_given(&self) -> bool {
        self.origin.is_some()
    }

    /// The flag's value where there is one.
    pub(super) fn or_flag(mut self, flag: &'static str, value: Option<T>) -> Self {
        self.give_way(flag, value);
        self
    }

    /// Takes the flag's value where there is one.
    pub(super) fn give_way(&mut self, flag: &'static str, value: Option<T>) {
        if value.is_some() {
            self.origin = Some(Origin::flag(flag));
            self.value = value;
        }
    }
}

impl<'a> Document<'a> {
    /// Nothing is read yet.
    pub(super) fn new(
        file: Option<&'a Path>,
        text: &'a str,
        env: &'a dyn Fn(&str) -> Option<OsString>,
    ) -> Self {
        Self {
            file,
            text,
            kept: OnceCell::new(),
            env,
            faults: RefCell::default(),
            unset: RefCell::default(),
            secrets: RefCell::default(),
            is_lenient: Cell::new(true),
            unknown: RefCell::default(),
            uses: RefCell::default(),
            meant: RefCell::default(),
        }
    }

    /// From now on what is not a template is at fault.
    pub(super) fn be_strict(&self) {
        self.is_lenient.set(false);
    }

    /// The templates that were read since this was asked for.
    pub(super) fn take_uses(&self) -> Vec<Use> {
        self.uses.take()
    }

    /// What is not a template and is sent as it stands, each with the key that it belongs to.
    pub(super) fn take_unknown(&self) -> Vec<(String, String)> {
        self.unknown.take()
    }

    /// The text in canonical form, and as it is shown; `fill` fills in what is not a template.
    /// `None` where something in it is at fault.
    pub(super) fn understand(
        &self,
        place: &Origin,
        written: &str,
        mut fill: impl FnMut(&str) -> Option<Shown<String>>,
    ) -> Option<Shown<String>> {
        // What stands as it is written is shown so.
        let mut is_escaped = true;
        let text = match template::parse(written) {
            _ if self.is_lenient.get() => {
                let (text, unknown) = template::parse_leniently(written);
                is_escaped = unknown.is_empty();
                let unknown = unknown.into_iter().map(|text| (place.key.clone(), text));
                self.unknown.borrow_mut().extend(unknown);
                text
            }
            Ok(text) => text,
            Err(fault) => {
                let nearest = fault.nearest.as_deref();
                let accepted = Some(fault.accepted).filter(|_| nearest.is_none());
                self.report_typo(place, said(&fault.what), accepted, nearest);
                return None;
            }
        };
        let pieces = text.pieces().iter().map(|piece| match piece {
            Piece::Literal(literal) => {
                let literal = fill(literal)?;
                Some(Shown {
                    value: template::escape(&literal.value),
                    shown: match is_escaped {
                        true => template::escape(&literal.shown),
                        false => literal.shown,
                    },
                })
            }
            Piece::Expression(expression) => {
                let found = (place.clone(), expression.clone());
                self.uses.borrow_mut().push(found);
                Some(format!("{{{{{expression}}}}}").into())
            }
        });
        let pieces = all_or_none(pieces)?.into_iter();
        let (value, shown): (Vec<_>, Vec<_>) =
            pieces.map(|piece| (piece.value, piece.shown)).unzip();
        Some(Shown {
            value: value.concat(),
            shown: shown.concat(),
        })
    }

    /// Parses the text. `None` where its syntax is at fault: the first such
    /// fault is reported, for those after it may only follow from it. Keys
    /// given twice are all reported, and do not keep the rest from being read.
    pub(super) fn parse(&self) -> Option<Spanned<DeTable<'a>>> {
        let (root, errors) = DeTable::parse_recoverable(self.text);
        let is_duplicate = |error: &toml::de::Error| error.message().contains("duplicate key");
        if let Some(error) = errors.iter().find(|error| !is_duplicate(error)) {
            let message = error.message();
            let message = match message.contains("recursion") {
                true => "it nests too deeply",
                false => message,
            };
            self.report_syntax(error, message);
            return None;
        }
        for error in &errors {
            self.report_syntax(error, "the key is given twice");
        }
        Some(root)
    }

    fn report_syntax(&self, error: &toml::de::Error, message: &str) {
        let place = Origin {
            key: String::new(),
            offset: Some(error.span().map_or(self.text.len(), |span| span.start)),
        };
        self.report(&place, message, None);
    }

    /// Reports a fault of what `place` gave, and what would be accepted.
    pub(super) fn report<'s>(
        &self,
        place: &Origin,
        message: impl Into<String>,
        accepted: impl Into<Option<&'s str>>,
    ) {
        self.report_typo(place, message, accepted, None);
    }

    /// The same, with what was probably meant.
    pub(super) fn report_typo<'s>(
        &self,
        place: &Origin,
        message: impl Into<String>,
        accepted: impl Into<Option<&'s str>>,
        suggestion: Option<&str>,
    ) {
        let file = self.file.filter(|_| !place.is_flag());
        let fault = PlanFault {
            file: file.map(Path::to_path_buf),
            line: None,
            column: None,
            key: place.key.clone(),
            message: message.into(),
            accepted: accepted.into().map(str::to_string),
            suggestion: suggestion.map(str::to_string),
        };
        self.faults.borrow_mut().push(place.offset, fault);
    }

    /// Reports that a table, whose keys have been read, has none of `keys`; not where an
    /// unknown key that was told is probably one of them: one mistake is one fault.
    pub(super) fn report_lack<'s>(
        &self,
        table: &Origin,
        keys: &[&str],
        message: impl Into<String>,
        accepted: impl Into<Option<&'s str>>,
    ) {
        if !self.is_mistyped(&table.key, keys) {
            self.report(table, message, accepted);
        }
    }

    /// Whether an unknown key that was told is probably one of `keys` of that table, whose
    /// path is empty for the whole file.
    pub(super) fn is_mistyped(&self, table: &str, keys: &[&str]) -> bool {
        let meant = self.meant.borrow();
        let mut keys = keys.iter();
        keys.any(|key| meant.contains(&(table.to_string(), key.to_string())))
    }

    /// The same of any table.
    pub(super) fn is_mistyped_anywhere(&self, key: &str) -> bool {
        self.meant.borrow().iter().any(|(_, meant)| meant == key)
    }

    /// Where a value was given, as faults name it that are found when the plan is used.
    pub(super) fn place(&self, origin: &Origin) -> WrittenAt {
        let kept = self.kept.get_or_init(|| {
            let file = self.file?;
            Some(Arc::new((file.to_path_buf(), self.text.to_string())))
        });
        WrittenAt::new(kept.clone(), origin.key.clone(), origin.offset)
    }

    /// Reports a fault of another file, which the value at `place` names.
    pub(super) fn report_in(
        &self,
        place: &Origin,
        file: &Path,
        line: Option<usize>,
        message: impl Into<String>,
    ) {
        let fault = PlanFault {
            file: Some(file.to_path_buf()),
            line,
            column: None,
            key: String::new(),
            message: message.into(),
            accepted: None,
            suggestion: None,
        };
        self.faults.borrow_mut().push(place.offset, fault);
    }

    /// A path as the config means it: relative to the config itself.
    pub(super) fn beside(&self, path: &str) -> PathBuf {
        let folder = self.file.and_then(Path::parent);
        folder.map_or_else(|| PathBuf::from(path), |folder| folder.join(path))
    }

    /// Whether a fault there will be told. It is counted where not: enough faults
    /// come before it.
    fn tells(&self, offset: Option<usize>) -> bool {
        let mut faults = self.faults.borrow_mut();
        let is_told = offset.is_none_or(|offset| faults.is_told(offset));
        faults.n_more += usize::from(!is_told);
        is_told
    }

    /// Forgets that variables were not set, below keys of which `is_unused` says
    /// that nothing of them is needed.
    pub(super) fn forgive_unset(&self, is_unused: impl Fn(&str) -> bool) {
        let mut unset = self.unset.borrow_mut();
        unset.retain(|(place, _)| !is_unused(&place.key));
    }

    /// Notes values that must never be shown.
    pub(super) fn keep_secret(&self, secrets: impl IntoIterator<Item = String>) {
        self.secrets.borrow_mut().extend(secrets);
    }

    /// The faults reported, and the values that must never be shown: those of the
    /// environment, and credentials in arguments.
    pub(super) fn into_parts(self) -> (PlanFaults, Vec<String>) {
        for (place, name) in self.unset.take() {
            if self.tells(place.offset) {
                let message = format!("the environment variable {} is not set", quoted(&name));
                let name = escaped(&shortened(&name));
                let accepted = format!("it to be set, or a default: `${{{name}:-default}}`");
                self.report(&place, message, &*accepted);
            }
        }
        let faults = self.faults.into_inner();
        (
            faults.placed(self.file, self.text),
            self.secrets.into_inner(),
        )
    }
}

/// A table, and which of its keys were asked for.
pub(super) struct Table<'a> {
    /// What it is a part of.
    pub(super) document: &'a Document<'a>,
    pub(super) place: Origin,
    entries: &'a DeTable<'a>,
    known: Vec<&'static str>,
    lacks: Vec<Lack>,
}

/// Keys of which a table needs one and has none, and how that is told.
struct Lack {
    keys: Vec<&'static str>,
    message: String,
    accepted: String,
}

impl<'a> Table<'a> {
    /// The root of the file.
    pub(super) fn root(document: &'a Document<'a>, entries: &'a DeTable<'a>) -> Self {
        Self {
            document,
            place: Origin {
                key: String::new(),
                offset: Some(0),
            },
            entries,
            known: Vec::new(),
            lacks: Vec::new(),
        }
    }

    /// The value of `key`, which is known from now on.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Entry<'a>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        let mut entries = self.entries.iter();
        let (_, value) = entries.find(|(name, _)| name.get_ref().as_ref() == key)?;
        Some(Entry::new(self.document, self.path_of(key), value))
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
                origin: Some(entry.place),
            },
        }
    }

    /// Whether it has no keys.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether there is such a key. It is not known by that.
    pub(super) fn has(&self, key: &str) -> bool {
        let mut names = self.entries.iter().map(|(name, _)| name.get_ref().as_ref());
        names.any(|name| name == key)
    }

    /// Like [`read`](Self::read); reports where the key is not there.
    pub(super) fn require<T>(
        &mut self,
        key: &'static str,
        accepted: &str,
        read: impl FnOnce(&Entry<'a>) -> Option<T>,
    ) -> Field<T> {
        let field = self.read(key, read);
        if !field.is_given() {
            self.lacks(key, accepted);
        }
        field
    }

    /// Notes that the key is missing.
    pub(super) fn lacks(&mut self, key: &'static str, accepted: &str) {
        self.lacks_all(&[key], format!("the key `{key}` is missing"), accepted);
    }

    /// Notes that one of the keys should be there. It is reported with the end of the table,
    /// when it is known which other keys it has.
    pub(super) fn lacks_all(
        &mut self,
        keys: &[&'static str],
        message: impl Into<String>,
        accepted: &str,
    ) {
        self.lacks.push(Lack {
            keys: keys.to_vec(),
            message: message.into(),
            accepted: accepted.to_string(),
        });
    }

    /// All keys with their values, as written, whatever they are called.
    pub(super) fn all(&self) -> Vec<(String, Entry<'a>)> {
        let mut entries: Vec<_> = self.entries.iter().collect();
        // The parser's table is sorted by name.
        entries.sort_by_key(|(name, _)| name.span().start);
        let entry = |(name, value): (&Spanned<_>, _)| {
            let name: &std::borrow::Cow<'_, str> = name.get_ref();
            let entry = Entry::new(self.document, self.path_of(name), value);
            (name.to_string(), entry)
        };
        entries.into_iter().map(entry).collect()
    }

    /// Reports every key that was not read, and what is missing.
    pub(super) fn finish(self) {
        let mut unknown: Vec<(usize, &str)> = self
            .entries
            .iter()
            .map(|(name, _)| (name.span().start, name.get_ref().as_ref()))
            .filter(|(_, name)| !self.known.contains(name))
            .collect();
        // As written: those that come first are told, and the rest costs nothing.
        unknown.sort_unstable();
        for (offset, typed) in unknown {
            if !self.document.tells(Some(offset)) {
                continue;
            }
            let place = Origin {
                key: self.path_of(typed),
                offset: Some(offset),
            };
            let suggestion = nearest(typed, self.known.iter().copied());
            let accepted = one_of(self.known.iter().copied());
            let accepted = Some(&*accepted).filter(|_| suggestion.is_none());
            self.document
                .report_typo(&place, "unknown key", accepted, suggestion);
            if let Some(meant) = suggestion.filter(|meant| !self.has(meant)) {
                let meant = (self.place.key.clone(), meant.to_string());
                self.document.meant.borrow_mut().insert(meant);
            }
        }
        for lack in &self.lacks {
            let accepted = &*lack.accepted;
            self.document
                .report_lack(&self.place, &lack.keys, &*lack.message, accepted);
        }
    }

    fn path_of(&self, key: &str) -> String {
        path(&self.place.key, key)
    }
}

fn one_of<'s>(words: impl Iterator<Item = &'s str>) -> String {
    let words: Vec<String> = words.map(|word| format!("`{word}`")).collect();
    format!("one of {}", words.join(", "))
}

/// The longest path that grows further, in bytes: each value has a path of its
/// own, so long ones would make the work grow with the square of a file.
const PATH_MAX: usize = 200;

/// `parent.key`, with quotes around a key that needs them.
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

/// A key's value.
#[derive(Clone)]
pub(super) struct Entry<'a> {
    pub(super) document: &'a Document<'a>,
    pub(super) place: Origin,
    value: &'a DeValue<'a>,
}

impl<'a> Entry<'a> {
    fn new(document: &'a Document<'a>, key: String, value: &'a Spanned<DeValue<'a>>) -> Self {
        let offset = Some(value.span().start);
        Self {
            document,
            place: Origin { key, offset },
            value: value.get_ref(),
        }
    }

    /// Whether it is a text.
    pub(super) fn is_text(&self) -> bool {
        matches!(self.value, DeValue::String(_))
    }

    /// Whether it is `true` or `false`.
    pub(super) fn is_truth(&self) -> bool {
        matches!(self.value, DeValue::Boolean(_))
    }

    /// Whether it is a list.
    pub(super) fn is_list(&self) -> bool {
        matches!(self.value, DeValue::Array(_))
    }

    /// Whether it is a table.
    pub(super) fn is_table(&self) -> bool {
        matches!(self.value, DeValue::Table(_))
    }

    /// Reports a fault of the value, and gives `None`.
    pub(super) fn refuse<'s, T>(
        &self,
        message: impl Into<String>,
        accepted: impl Into<Option<&'s str>>,
    ) -> Option<T> {
        self.document.report(&self.place, message, accepted);
        None
    }

    /// Reports that the value is of another type.
    pub(super) fn refuse_type<T>(&self, accepted: &str) -> Option<T> {
        let found = match self.value {
            DeValue::String(_) => "text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a fraction",
            DeValue::Boolean(_) => "a truth value",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.refuse(format!("found {found}"), accepted)
    }

    /// A table.
    pub(super) fn table(&self, accepted: &str) -> Option<Table<'a>> {
        match self.value {
            DeValue::Table(entries) => Some(Table {
                place: self.place.clone(),
                entries,
                ..Table::root(self.document, entries)
            }),
            _ => self.refuse_type(accepted),
        }
    }

    /// A list of tables, each read by `read`. Those entries that are something else
    /// are reported and left out.
    pub(super) fn tables<T>(
        &self,
        accepted: &str,
        read: impl Fn(Table<'a>) -> T,
    ) -> Option<Vec<T>> {
        let DeValue::Array(items) = self.value else {
            return self.refuse_type(accepted);
        };
        let tables = self.items(items).filter_map(|entry| entry.table(accepted));
        Some(tables.map(read).collect())
    }

    /// A list of values, or one value alone.
    pub(super) fn one_or_more(&self) -> Vec<Entry<'a>> {
        match self.value {
            DeValue::Array(items) => self.items(items).collect(),
            _ => vec![self.clone()],
        }
    }

    fn items(&self, items: &'a DeArray<'a>) -> impl Iterator<Item = Entry<'a>> {
        let items = items.iter().enumerate();
        items.map(|(i, item)| Entry::new(self.document, nth(&self.place.key, i), item))
    }

    /// Fills in the references of a text; with the values of the environment in it.
    /// `None` where a reference is at fault.
    fn filled(&self, written: &str) -> Option<(Shown<String>, Vec<String>)> {
        let faults = match fill(written, self.document.env) {
            Ok(filled) => {
                let (value, shown) = (filled.value, filled.shown);
                return Some((Shown { value, shown }, filled.from_environment));
            }
            Err(faults) => faults,
        };
        for fault in faults {
            match fault {
                ReferenceFault::Missing(name) => {
                    let mut unset = self.document.unset.borrow_mut();
                    unset.push((self.place.clone(), name));
                }
                ReferenceFault::NotText(name) => {
                    let name = quoted(&name);
                    let message = format!("the environment variable {name} is not UTF-8");
                    self.document.report(&self.place, message, None);
                }
                ReferenceFault::Malformed => self.document.report(
                    &self.place,
                    "a `${` begins no reference",
                    "`${NAME}`, `${NAME:-default}`, or `$${` for a literal `${`",
                ),
            }
        }
        None
    }

    /// A text that may hold secrets: what comes from the environment is noted.
    pub(super) fn text(&self, accepted: &str) -> Option<Shown<String>> {
        let DeValue::String(written) = self.value else {
            return self.refuse_type(accepted);
        };
        let (text, from_environment) = self.filled(written)?;
        self.document.keep_secret(from_environment);
        Some(text)
    }

    /// The address of a server: what the environment says of which server it is, is no
    /// secret, since a report has to tell what it is of. What is secret in any address
    /// stays so.
    pub(super) fn address(&self) -> Option<Shown<String>> {
        let DeValue::String(written) = self.value else {
            return self.refuse_type(address::FORM);
        };
        let (text, mut from_environment) = self.filled(written)?;
        from_environment.retain(|part| !address::is_of_server(&text.value, part));
        self.document.keep_secret(from_environment);
        self.document.keep_secret(address::secrets(&text.value));
        Some(text)
    }

    /// The same as [`Self::text`], where an empty one makes no sense.
    pub(super) fn name(&self, accepted: &str) -> Option<Shown<String>> {
        self.not_empty(self.text(accepted)?, accepted)
    }

    fn not_empty(&self, text: Shown<String>, accepted: &str) -> Option<Shown<String>> {
        match text.value.trim().is_empty() {
            true => self.refuse("is empty", accepted),
            false => Some(text),
        }
    }

    /// The same, where it may hold templates: its value is their canonical form.
    pub(super) fn template(&self, accepted: &str) -> Option<Shown<String>> {
        let DeValue::String(written) = self.value else {
            return self.refuse_type(accepted);
        };
        let document = self.document;
        document.understand(&self.place, written, |literal| {
            let (text, from_environment) = self.filled(literal)?;
            document.keep_secret(from_environment);
            Some(text)
        })
    }

    /// The same, where an empty one makes no sense.
    pub(super) fn template_name(&self, accepted: &str) -> Option<Shown<String>> {
        self.not_empty(self.template(accepted)?, accepted)
    }

    /// The same with the templates in it.
    pub(super) fn template_with_uses(&self, accepted: &str) -> Option<(Shown<String>, Vec<Use>)> {
        let before = self.document.take_uses();
        let text = self.template_name(accepted);
        let uses = self.document.uses.replace(before);
        Some((text?, uses))
    }

    /// A word or quantity in a text, which is not a secret.
    fn word_text(&self, accepted: &str) -> Option<Shown<String>> {
        let DeValue::String(written) = self.value else {
            return self.refuse_type(accepted);
        };
        Some(self.filled(written)?.0)
    }

    /// A quantity in a text: `parse` reads it, or it is reported as written. Such
    /// a value is not a secret.
    pub(super) fn parse<T>(
        &self,
        accepted: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.word_text(accepted)?;
        parse(&text.value)
            .or_else(|| self.refuse(format!("{} is not possible", quoted(&text.shown)), accepted))
    }

    /// One of the given words.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let names = || words.iter().map(|(word, _)| *word);
        let accepted = one_of(names());
        let text = self.word_text(&accepted)?;
        let found = words.iter().find(|(word, _)| *word == text.value);
        if found.is_none() {
            let suggestion = nearest(&text.value, names());
            let message = format!("{} is not known", quoted(&text.shown));
            self.document
                .report_typo(&self.place, message, &*accepted, suggestion);
        }
        found.map(|(_, value)| *value)
    }

    /// A duration as text: `30s`, `250ms`.
    pub(super) fn duration(&self) -> Option<Duration> {
        self.parse(units::DURATION_FORM, |text| {
            units::parse_duration(text).ok()
        })
    }

    /// The same, more than zero.
    pub(super) fn duration_above_zero(&self) -> Option<Duration> {
        let duration = self.duration()?;
        if duration.is_zero() {
            return self.refuse("is zero", units::DURATION_FORM);
        }
        Some(duration)
    }

    /// A whole number within bounds.
    pub(super) fn whole<T>(&self, bounds: RangeInclusive<T>) -> Option<T>
    where
        T: Copy + Into<u64> + TryFrom<u64>,
    {
        let (low, high): (u64, u64) = ((*bounds.start()).into(), (*bounds.end()).into());
        let accepted = if high == u64::MAX {
            format!("a whole number from {low}")
        } else {
            format!("a whole number from {low} to {high}")
        };
        let DeValue::Integer(written) = self.value else {
            return self.refuse_type(&accepted);
        };
        // `-0` is a number too, though no unsigned one.
        let digits = written.as_str().trim_start_matches('+');
        let number = match u64::from_str_radix(digits, written.radix()) {
            Ok(number) => Some(number),
            Err(_) if matches!(digits, "-0") => Some(0),
            Err(_) => None,
        };
        number
            .filter(|number| (low..=high).contains(number))
            .and_then(|number| T::try_from(number).ok())
            .or_else(|| self.refuse_bounds(&written.to_string(), &accepted))
    }

    fn refuse_bounds<T>(&self, written: &str, accepted: &str) -> Option<T> {
        self.refuse(format!("{} is out of bounds", quoted(written)), accepted)
    }

    /// A whole number of 64 bits, of either sign.
    pub(super) fn signed(&self) -> Option<i64> {
        let accepted = "a whole number of 64 bits";
        let DeValue::Integer(written) = self.value else {
            return self.refuse_type(accepted);
        };
        i64::from_str_radix(written.as_str(), written.radix())
            .ok()
            .or_else(|| self.refuse_bounds(&written.to_string(), accepted))
    }

    /// A number, whole or not, within bounds.
    pub(super) fn number(&self, bounds: RangeInclusive<f64>) -> Option<f64> {
        let accepted = format!("a number from {} to {}", bounds.start(), bounds.end());
        let (number, written) = match self.value {
            DeValue::Float(float) => (float.as_str().parse::<f64>().ok(), float.to_string()),
            DeValue::Integer(integer) => (
                i64::from_str_radix(integer.as_str(), integer.radix())
                    .ok()
                    .map(|number| number as f64),
                integer.to_string(),
            ),
            _ => return self.refuse_type(&accepted),
        };
        // No bounds contain a NaN.
        number
            .filter(|number| bounds.contains(number))
            .or_else(|| self.refuse_bounds(&written, &accepted))
    }

    /// `true` or `false`.
    pub(super) fn truth(&self) -> Option<bool> {
        match self.value {
            DeValue::Boolean(value) => Some(*value),
            _ => self.refuse_type("`true` or `false`"),
        }
    }

    /// The value as JSON, where at most `depth` levels follow. Dates become texts.
    /// `None` where something in it has no JSON form; all of that is reported.
    fn json_within(&self, depth: usize, texts: Texts) -> Option<Shown<Value>> {
        let Some(depth) = depth.checked_sub(1) else {
            let accepted = format!("at most {DEPTH_MAX} levels");
            return self.refuse("nests too deeply", &*accepted);
        };
        match self.value {
            DeValue::String(_) => {
                let text = match texts {
                    Texts::Templates => self.template("text"),
                    Texts::AsTheyStand => self.text("text"),
                };
                Some(text?.map(Value::String))
            }
            DeValue::Boolean(value) => Some(Value::Bool(*value).into()),
            DeValue::Datetime(date) => Some(Value::String(date.to_string()).into()),
            DeValue::Integer(integer) => {
                let (digits, radix) = (integer.as_str(), integer.radix());
                let signed = i64::from_str_radix(digits, radix).map(Value::from);
                let number =
                    signed.or_else(|_| u64::from_str_radix(digits, radix).map(Value::from));
                let number = number.ok().map(Shown::from);
                number.or_else(|| {
                    self.refuse_bounds(&integer.to_string(), "a whole number of 64 bits")
                })
            }
            DeValue::Float(float) => {
                let number = float.as_str().parse::<f64>().ok();
                let number = number.and_then(serde_json::Number::from_f64);
                number
                    .map(|number| Value::Number(number).into())
                    .or_else(|| {
                        let message = format!("{} has no form in JSON", quoted(&float.to_string()));
                        self.refuse(message, "a finite number")
                    })
            }
            DeValue::Array(items) => {
                let items = self
                    .items(items)
                    .map(|entry| entry.json_within(depth, texts));
                let items = all_or_none(items)?.into_iter();
                let (value, shown) = items.map(|item| (item.value, item.shown)).unzip();
                let items: Shown<Vec<_>> = Shown { value, shown };
                Some(items.map(Value::Array))
            }
            DeValue::Table(_) => Some(self.json_object_within(depth, texts)?.map(Value::Object)),
        }
    }

    /// The same for a table whose texts, names among them, may hold templates.
    pub(super) fn json_object(&self) -> Option<Shown<Object>> {
        self.json_object_within(DEPTH_MAX, Texts::Templates)
    }

    /// A value as JSON, whose texts hold no templates.
    pub(super) fn json(&self) -> Option<Shown<Value>> {
        self.json_within(DEPTH_MAX, Texts::AsTheyStand)
    }

    fn json_object_within(&self, depth: usize, texts: Texts) -> Option<Shown<Object>> {
        let table = self.table("a table such as `{ text = \"hello\" }`")?;
        let fields = table.all().into_iter().map(|(name, entry)| {
            let name = match texts {
                Texts::Templates => {
                    let as_it_stands = |text: &str| Some(text.to_string().into());
                    self.document.understand(&entry.place, &name, as_it_stands)
                }
                Texts::AsTheyStand => Some(name.into()),
            };
            let field = entry.json_within(depth, texts);
            Some((name?, field?))
        });
        let mut object = Shown::from(Object::new());
        for (name, field) in all_or_none(fields)? {
            object.value.insert(name.value, field.value);
            object.shown.insert(name.shown, field.shown);
        }
        Some(object)
    }
}

/// What the texts of a value are.
#[derive(Clone, Copy)]
enum Texts {
    Templates,
    AsTheyStand,
}

/// Levels of a value that becomes JSON. Most readers of JSON take 127.
const DEPTH_MAX: usize = 100;

/// A JSON object.
pub(super) type Object = serde_json::Map<String, Value>;

/// Collects all, or none where one is missing, but looks at each: the faults
/// of all of them are to be reported.
fn all_or_none<T>(items: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let items: Vec<Option<T>> = items.collect();
    items.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(text: &str, read: impl Fn(&mut Table<'_>)) -> Vec<String> {
        let document = Document::new(Some(Path::new("a.toml")), text, &|_| None);
        if let Some(root) = document.parse() {
            let mut table = Table::root(&document, root.get_ref());
            read(&mut table);
            table.finish();
        }
        let (faults, _) = document.into_parts();
        faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_syntax_fault_has_line_and_column() {
        let faults = faults_of("a = 1\nb = [1,\nc = 2\n", |_| ());
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].starts_with("a.toml:"), "{faults:?}");
    }

    #[test]
    fn a_key_given_twice_does_not_hide_the_others() {
        let faults = faults_of("port = 1\nport = 2\nhost = 3\n", |table| {
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
            |table| {
                for key in ["a", "b", "c", "d"] {
                    table.read(key, |entry| entry.whole(0..=15_u64));
                }
                for key in ["e", "f", "g"] {
                    table.read(key, |entry| entry.number(0.0..=1.0));
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
        let entry = Table::root(&document, root.get_ref())
            .take("a")
            .expect("a is there");
        let json = entry
            .json_within(DEPTH_MAX, Texts::AsTheyStand)
            .expect("it has a form in JSON");
        assert_eq!(
            json.value.to_string(),
            r#"{"n":1,"f":0.5,"t":true,"when":"1979-05-27T07:32:00Z","l":[1,"x"],"o":{"z":1,"b":2}}"#
        );
        assert_eq!(json.shown, json.value);
    }

    #[test]
    fn what_json_has_not_is_all_reported() {
        let faults = faults_of("a = [inf, { b = nan }, 99999999999999999999]", |table| {
            table.read("a", |entry| {
                entry.json_within(DEPTH_MAX, Texts::AsTheyStand)
            });
        });
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
            faults_of("\"a\\nb\" = 1", |table| {
                table.take("known");
            }),
            ["a.toml:1:1: \"a\\nb\": unknown key; expected one of `known`"]
        );
    }
}
