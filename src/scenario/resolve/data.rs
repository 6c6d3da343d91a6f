//! Data sets, and the templates of headers and calls held against what there is to fill
//! them: rows, and values that earlier steps bring.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::Resolver;
use crate::data::{DATA_BYTES_MAX, DataFault, DataMode, DataSet, DataSettings};
use crate::error::nearest;
use crate::files::{self, Unread};
use crate::scenario::document::{Origin, Use};
use crate::scenario::fault::quoted;
use crate::scenario::plan::Plan;
use crate::scenario::raw::{DataEntry, FlowEntry};
use crate::template::{ACCEPTED, BUILT_IN, Expression};
use crate::units::{few_of, plural};

/// The data sets of a config.
#[derive(Default)]
pub(super) struct DataSets {
    sets: Vec<Set>,
}

struct Set {
    place: Origin,
    name: String,
    /// `None`: at fault.
    rows: Option<Arc<DataSet>>,
    is_used: bool,
}

/// Why there is no value of an answer yet where a template comes before all steps.
pub(super) struct Earliness {
    why: &'static str,
    accepted: &'static str,
}

impl Earliness {
    /// Headers, and what tokens are fetched with.
    pub(super) const OF_SESSION: Self = Self {
        why: "what goes with each request is filled in before the first step of a session",
        accepted: "a template that needs no answer, such as `{{vu}}`, or a column of a data set \
                   (`{{data.SET.COLUMN}}`); a token comes from `--token-command`, `--token-file` \
                   or OAuth",
    };

    /// `--args`.
    pub(super) const OF_FLAGS: Self = Self {
        why: "`--tool` with `--args` makes one call and no other step",
        accepted: "a template that needs no answer, such as `{{vu}}`, or a column of a data set \
                   (`{{data.SET.COLUMN}}`); without `--args`, the steps of the config that bring \
                   the values of its call are made as well",
    };
}

/// What follows the last point of a file's name, in small letters.
fn ending(path: &str) -> Option<String> {
    let ending = Path::new(path).extension()?;
    Some(ending.to_string_lossy().to_lowercase())
}

impl Resolver<'_> {
    /// Reads the data sets.
    pub(super) fn data(&mut self, entries: Vec<DataEntry>) -> DataSets {
        let mut sets = Vec::new();
        for entry in entries {
            let rows = self.rows(&entry).map(Arc::new);
            if let (Some(_), Some(file)) = (&rows, &entry.keys.file.value)
                && ending(&file.value).is_none()
            {
                let written = quoted(&file.shown);
                let notice = format!(
                    "the data file {written} has no ending and is read as CSV: a name that ends \
                     with `.jsonl` makes it lines of JSON"
                );
                self.notices.push(notice);
            }
            if let Some(file) = &entry.keys.file.value {
                self.data_files.push(self.document.beside(&file.value));
            }
            sets.push(Set {
                rows,
                place: entry.place,
                name: entry.name,
                is_used: false,
            });
        }
        DataSets { sets }
    }

    fn rows(&self, entry: &DataEntry) -> Option<DataSet> {
        let keys = &entry.keys;
        let secret = keys.secret.value.iter().flatten();
        let secret: Vec<String> = secret.map(|(_, name)| name.clone()).collect();
        let settings = DataSettings {
            name: &entry.name,
            mode: keys.mode.value.unwrap_or_default(),
            at_end: keys.at_end.value.unwrap_or_default(),
            secret: &secret,
        };
        if let (Some(place), Some(rows)) = (&keys.rows.origin, &keys.rows.value) {
            let of_row = |fault: DataFault| match fault.line {
                Some(row) => format!("row {row}: {}", fault.message),
                None => fault.message,
            };
            return DataSet::from_rows(settings, rows)
                .map_err(|faults| {
                    for fault in faults {
                        self.document.report(place, of_row(fault), None);
                    }
                })
                .ok();
        }
        let (place, written) = (keys.file.origin.as_ref()?, keys.file.value.as_ref()?);
        let path = self.document.beside(&written.value);
        // What came from the environment is not repeated.
        let shown = self.document.beside(&written.shown);
        // What has no ending, such as a pipe, is taken for CSV, and that is told.
        let ending = ending(&written.value);
        let is_lines = match ending.as_deref() {
            None | Some("csv") => false,
            Some("jsonl") => true,
            Some(_) => {
                let message = format!("{} is of no kind that is known", quoted(&written.shown));
                let accepted = "a file with rows of CSV (`.csv`) or of JSON (`.jsonl`)";
                self.document.report(place, message, accepted);
                return None;
            }
        };
        let text = match files::read_lines(&path, DATA_BYTES_MAX) {
            Ok(text) => text,
            Err(Unread {
                why,
                line: Some(line),
            }) => {
                self.document.report_in(place, &shown, Some(line), why);
                return None;
            }
            Err(Unread { why, line: None }) => {
                let message = format!("{} {why}", quoted(&written.shown));
                // Of a file that is there another path is no help.
                let accepted = "a path relative to this config, or an absolute one";
                let accepted = Some(accepted).filter(|_| !path.is_file());
                self.document.report(place, message, accepted);
                return None;
            }
        };
        let rows = match is_lines {
            true => DataSet::from_jsonl(settings, &text),
            false => DataSet::from_csv(settings, &text),
        };
        rows.map_err(|faults| {
            for (nth, fault) in faults.into_iter().enumerate() {
                let DataFault { line, mut message } = fault;
                if nth == 0 && ending.is_none() {
                    message += " (the file has no ending and is read as CSV; lines of JSON are \
                                read from one whose name ends with `.jsonl`)";
                }
                self.document.report_in(place, &shown, line, message);
            }
        })
        .ok()
    }

    /// Holds what headers use, which are filled as a session begins, before any step.
    pub(super) fn check_of_session(&self, uses: &[Use], data: &mut DataSets) {
        self.check_first(uses, &Earliness::OF_SESSION, data);
    }

    /// Templates that stand before all steps, in headers and flags: nothing is extracted
    /// there.
    pub(super) fn check_first(&self, uses: &[Use], early: &Earliness, data: &mut DataSets) {
        for (place, expression) in uses {
            match expression {
                Expression::Value(name) => {
                    let written = quoted(&format!("{{{{{name}}}}}"));
                    let message = format!("{}: no answer brings {written} by then", early.why);
                    let near = nearest(name, BUILT_IN);
                    let accepted = Some(early.accepted).filter(|_| near.is_none());
                    self.document.report_typo(place, message, accepted, near);
                }
                Expression::Marker => {
                    let message = "a marker belongs to a call of a step, and this is not one";
                    self.document.report(place, message, "another template");
                }
                _ => self.check_data(place, expression, data),
            }
        }
    }

    /// Headers are filled before a session has an iteration.
    pub(super) fn tell_of_sessions(&mut self, uses: &[Use], data: &DataSets) {
        let is_by_iteration = |expression: &Expression| match expression {
            Expression::Iteration => true,
            Expression::Data { set, .. } => {
                let found = data.sets.iter().find(|found| found.name == *set);
                let rows = found.and_then(|found| found.rows.as_ref());
                rows.is_some_and(|rows| rows.mode == DataMode::Sequential)
            }
            _ => false,
        };
        let told = uses.iter().filter(|(_, it)| is_by_iteration(it));
        let told = told.map(|(place, it)| format!("`{{{{{it}}}}}` ({})", place.key));
        let told: Vec<String> = told.collect();
        if !told.is_empty() {
            self.notices.push(format!(
                "what fills headers is fixed before a session's first iteration, so the user's \
                 number stands for that of the iteration, and its row is the user's in each \
                 session: {}",
                few_of(told, NAMES_TOLD)
            ));
        }
    }

    /// Each name in a template is one that there is where it is asked for.
    /// `elsewhere` says what brings a value in any flow.
    pub(super) fn check_flow(
        &self,
        entry: &FlowEntry,
        elsewhere: &HashMap<&str, &Origin>,
        data: &mut DataSets,
    ) {
        // By value: which step brings it, and where that is written.
        let mut brought: HashMap<&str, (usize, &Origin)> = HashMap::new();
        for (at, step) in entry.steps.iter().enumerate() {
            let values = step.calls.iter().flat_map(|call| call.extract.value.iter());
            for value in values.flatten() {
                if let Some((_, first)) = brought.get(value.name.as_str()) {
                    let message = format!("is `{}` already", first.key);
                    self.document
                        .report(&value.place, message, "a name of its own");
                } else {
                    brought.insert(&value.name, (at, &value.place));
                }
            }
        }
        for (at, step) in entry.steps.iter().enumerate() {
            for (place, expression) in step.calls.iter().flat_map(|call| &call.uses) {
                let Expression::Value(name) = expression else {
                    self.check_data(place, expression, data);
                    continue;
                };
                let written = quoted(&format!("{{{{{name}}}}}"));
                match brought.get(name.as_str()) {
                    Some((by, _)) if *by < at => {}
                    Some((_, by)) => {
                        let message = format!("{written} is not there yet: `{}` brings it", by.key);
                        let accepted = "a step after the one that extracts it";
                        self.document.report(place, message, accepted);
                    }
                    None if elsewhere.contains_key(name.as_str()) => {
                        let by = &elsewhere[name.as_str()].key;
                        let message = format!(
                            "{written} is a value of another flow: `{by}` brings it, and values \
                             stay within their flow"
                        );
                        let accepted = "a step before this one in its flow that extracts it";
                        self.document.report(place, message, accepted);
                    }
                    // Whether it has that name is not known.
                    None if self.document.is_mistyped_anywhere("extract") => {}
                    None => {
                        let names = brought.keys().copied().chain(BUILT_IN);
                        let near = nearest(name, names);
                        let message = format!("{written} is not a template");
                        self.refuse_template(place, message, near);
                    }
                }
            }
        }
    }

    fn refuse_template(&self, place: &Origin, message: String, near: Option<&str>) {
        let accepted = Some(ACCEPTED).filter(|_| near.is_none());
        self.document.report_typo(place, message, accepted, near);
    }

    fn check_data(&self, place: &Origin, expression: &Expression, data: &mut DataSets) {
        let Expression::Data { set, column } = expression else {
            return;
        };
        let Some(found) = data.sets.iter_mut().find(|found| found.name == *set) else {
            if self.document.is_mistyped("", &["data"]) {
                return;
            }
            let names = || data.sets.iter().map(|set| set.name.as_str());
            let message = format!("there is no data set {}", quoted(set));
            let accepted = match names().next() {
                None => format!("a table `[data.{set}]`"),
                Some(_) => one_of(names()),
            };
            let near = nearest(set, names());
            self.document.report_typo(place, message, &*accepted, near);
            return;
        };
        found.is_used = true;
        let Some(rows) = &found.rows else {
            return;
        };
        if !rows.columns().contains(column) {
            let names = || rows.columns().iter().map(String::as_str);
            let message = format!("the data set `{set}` has no column {}", quoted(column));
            let near = nearest(column, names());
            let accepted = one_of(names());
            self.document.report_typo(place, message, &*accepted, near);
        }
    }

    /// Gives the plan its data, and what follows from the number of rows.
    pub(super) fn use_data(&mut self, data: DataSets, plan: &mut Plan) {
        for set in data.sets {
            let Some(rows) = set.rows else { continue };
            if !set.is_used {
                let name = &set.name;
                let notice = format!("the data set `{name}` is not used: no template names it");
                self.notices.push(notice);
                continue;
            }
            let users = match self.overrides.is_trial {
                true => 1,
                false => u64::from(plan.whole_vus_max()),
            };
            if let Some(most) = rows.users_max().filter(|most| *most < users) {
                let rows = plural(most, "row", "rows");
                let message = format!(
                    "has {rows} for {}, and each needs one",
                    plural(users, "user", "users")
                );
                let accepted = "as many rows as users, or another `mode`";
                self.document.report(&set.place, message, accepted);
            }
            if let Some(most) = rows.iterations_max() {
                let iterations = plan.stop.iterations.unwrap_or(u64::MAX);
                plan.stop.iterations = Some(iterations.min(most));
            }
            plan.data.push(rows);
        }
    }
}

/// Names told in a message.
const NAMES_TOLD: usize = 12;

fn one_of<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let told: Vec<String> = names.take(NAMES_TOLD + 1).map(quoted).collect();
    match told.get(..NAMES_TOLD) {
        Some(first) if told.len() > NAMES_TOLD => format!("one of {}, …", first.join(", ")),
        _ => format!("one of {}", told.join(", ")),
    }
}
