//! Texts that are templates and belong to a user: headers, filled once for each session,
//! and what a token is fetched with.

use std::sync::Arc;

use super::cells::DataCell;
use crate::data::DataSet;
use crate::error::UserError;
use crate::http::HeaderValue;
use crate::scenario::Target;
use crate::template::{FillMoment, Generators, Scope, Template};

/// The headers of a target that are templates.
///
/// A session has no iteration: its headers take the row of a sequential data set by its
/// user's number, which `{{iteration}}` is in them, too.
#[derive(Debug, Default)]
pub struct HeaderTemplates {
    scope: Scope,
    cells: Vec<DataCell>,
    data: Vec<Arc<DataSet>>,
    headers: Vec<(String, Template)>,
}

impl HeaderTemplates {
    /// Those of a target, and apart from them the headers that are the same in all
    /// sessions, as they are sent.
    pub fn of(target: &Target, data: &[Arc<DataSet>]) -> (Vec<(String, String)>, Self) {
        let headers = target.headers.iter();
        let headers = headers.map(|header| (header.name.as_str(), header.value.as_str()));
        Self::of_texts(headers, data)
    }

    /// The same of other texts with names, in canonical form.
    pub fn of_texts<'a>(
        texts: impl Iterator<Item = (&'a str, &'a str)>,
        data: &[Arc<DataSet>],
    ) -> (Vec<(String, String)>, Self) {
        /// No flow has this number.
        const NUMBER: usize = usize::MAX;
        let mut scope = Scope::new(NUMBER);
        let (mut fixed, mut headers) = (Vec::new(), Vec::new());
        for (name, text) in texts {
            let template = scope.raw(text);
            if template.slots().next().is_some() {
                headers.push((name.to_string(), template));
            } else {
                fixed.push((name.to_string(), template.filled(&[])));
            }
        }
        let templates = Self {
            cells: DataCell::of(&scope, data),
            data: data.to_vec(),
            scope,
            headers,
        };
        (fixed, templates)
    }

    /// Whether there are secrets in them that are known while a user holds them.
    pub fn hold_secrets(&self) -> bool {
        self.cells.iter().any(|cell| cell.is_held)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.headers.is_empty()
    }

    /// Names and values for whoever asks before the users do: those of the first of these
    /// users, by their numbers from 1, whose headers HTTP allows.
    ///
    /// # Errors
    /// No such user has any: what is wrong with those of the first.
    pub fn fill_first(
        &self,
        users: impl Iterator<Item = u64>,
        generators: &mut Generators,
    ) -> Result<Vec<(String, String)>, UserError> {
        /// Further users are not asked.
        const USERS_MAX: usize = 1000;
        let is_bad = |(_, value): &(String, String)| HeaderValue::try_from(value.as_str()).is_err();
        let mut first_bad = None;
        for vu in users.take(USERS_MAX) {
            let filled = self.fill(vu, generators);
            match filled.iter().position(is_bad) {
                None => return Ok(filled),
                Some(at) => _ = first_bad.get_or_insert(at),
            }
        }
        let Some(at) = first_bad else {
            return Ok(self.fill(1, generators));
        };
        let (name, template) = &self.headers[at];
        let expressions = template
            .slots()
            .filter_map(|slot| self.scope.expressions().nth(slot));
        let filled: Vec<String> = expressions.map(|it| format!("`{{{{{it}}}}}`")).collect();
        Err(UserError::usage(format!(
            "the header `{name}` has a character that no header may have, such as the end of a \
             line: look at what fills {} for the first user, in the first row of a data set",
            filled.join(" and ")
        )))
    }

    /// Names and values for a session of the user of this number, from 1.
    pub fn fill(&self, vu: u64, generators: &mut Generators) -> Vec<(String, String)> {
        let unix_ms = crate::clock::Utc::now().unix_ms();
        let moment = FillMoment {
            vu,
            iteration: vu,
            unix_ns: unix_ms.saturating_mul(1_000_000),
        };
        let mut values = vec![String::new(); self.scope.len()];
        for (at, value) in values.iter_mut().enumerate() {
            self.scope.fill(at, generators, &moment, value);
        }
        DataCell::fill(&self.cells, &self.data, &moment, generators, &mut values);
        let fill = |(name, template): &(String, Template)| (name.clone(), template.filled(&values));
        self.headers.iter().map(fill).collect()
    }
}
