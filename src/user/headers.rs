//! Headers of the user that are templates: filled once for each session.

use std::sync::Arc;

use super::cells::DataCell;
use crate::data::DataSet;
use crate::scenario::Plan;
use crate::template::{FillMoment, Generators, Scope, Template};

/// The headers of a plan that are templates.
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
    /// Those of a plan, and apart from them the headers that are the same in all
    /// sessions, as they are sent.
    pub fn of(plan: &Plan) -> (Vec<(String, String)>, Self) {
        /// No flow has this number.
        const NUMBER: usize = usize::MAX;
        let mut scope = Scope::new(NUMBER);
        let (mut fixed, mut headers) = (Vec::new(), Vec::new());
        for header in &plan.target.headers {
            let template = scope.raw(&header.value);
            if template.slots().next().is_some() {
                headers.push((header.name.clone(), template));
            } else {
                fixed.push((header.name.clone(), template.filled(&[])));
            }
        }
        let templates = Self {
            cells: DataCell::of(&scope, &plan.data),
            data: plan.data.clone(),
            scope,
            headers,
        };
        (fixed, templates)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.headers.is_empty()
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
