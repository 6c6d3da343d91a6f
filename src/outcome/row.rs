//! The rows of a report: what each is about, and which of them make the totals.

use crate::metrics::{Recorder, RowStats};
use crate::text::named;

/// A line of the report: what its figures are figures of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Row {
    /// Which table it belongs to.
    pub kind: RowKind,
    /// The MCP method, such as `tools/call`; empty for flows.
    pub method: String,
    /// The tool, resource or prompt, as written; `None` for lists and the like.
    pub subject: Option<String>,
    /// The name that the plan gives to the step.
    pub name: Option<String>,
    /// The flow that the step is part of, or that the row is about, if it has a name.
    pub flow: Option<String>,
    /// The population whose requests they are, where the plan names any.
    pub population: Option<String>,
}

named! {
    /// Which table a row belongs to.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
    pub enum RowKind {
        /// A call of a scenario's step.
        #[default]
        Call = "call",
        /// Opening a session: `initialize` with `notifications/initialized`, or
        /// `server/discover`. Never mixed into the calls' figures.
        Handshake = "handshake",
        /// Ending a session: `DELETE`.
        Close = "close",
        /// Opening the listening stream of a session: `GET`, up to its head; or
        /// `subscriptions/listen`, up to its acknowledgement.
        Listen = "listen",
        /// The slowest of the calls that a step issues at once.
        Turn = "turn",
        /// An iteration of a flow, from the start of its first step to the end of its
        /// last, with thinking and waiting between them.
        Flow = "flow",
        /// The same iterations: the time of their calls alone.
        FlowBusy = "flow_busy",
        /// A part of calls that became tasks: until the task was created (the method is that
        /// of the call), or one question for how it stands (`tasks/get`).
        TaskStep = "task_step",
    }
    /// Its stable name for other programs, as in the CSV form.
    fn id
}

impl RowKind {
    /// Whether its requests are calls: they make the totals, the stages, the
    /// seconds and the rate, and what the breaking point is looked for in.
    pub fn is_in_totals(self) -> bool {
        match self {
            Self::Call => true,
            Self::Handshake
            | Self::Close
            | Self::Listen
            | Self::Turn
            | Self::Flow
            | Self::FlowBusy
            | Self::TaskStep => false,
        }
    }

    /// Whether its requests of the warm-up are left out of the totals. Sessions are
    /// opened in the warm-up for the whole run, so they are not.
    pub fn is_in_warm_up(self) -> bool {
        match self {
            Self::Call | Self::Turn | Self::Flow | Self::FlowBusy | Self::TaskStep => true,
            Self::Handshake | Self::Close | Self::Listen => false,
        }
    }
}

impl Row {
    /// Of a method, about no subject, in no flow.
    pub fn new(kind: RowKind, method: &str) -> Self {
        Self {
            kind,
            method: method.to_string(),
            ..Self::default()
        }
    }

    /// Of the iterations of a flow.
    pub fn of_flow(kind: RowKind, name: &str) -> Self {
        Self {
            kind,
            flow: Some(name.to_string()),
            ..Self::default()
        }
    }

    /// The label, with the population where there are several.
    pub fn full_label(&self) -> String {
        with_population(self.label(), self.population.as_deref())
    }

    /// `tools/call echo`, `tools/list`, `sign in`, `checkout: sign in`.
    pub fn label(&self) -> String {
        let step = match (&self.name, &self.subject) {
            (Some(name), _) => name.clone(),
            (None, Some(subject)) => format!("{} {subject}", self.method),
            (None, None) => self.method.clone(),
        };
        match &self.flow {
            Some(flow) => format!("{flow}: {step}"),
            None => step,
        }
    }
}

/// What tells a label from that of another population: `checkout (agents)`.
pub fn with_population(label: String, population: Option<&str>) -> String {
    match population {
        Some(population) => format!("{label} ({population})"),
        None => label,
    }
}

/// The populations of rows, in their order; none where no row has any.
pub fn populations_of(rows: &[Row]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for name in rows.iter().filter_map(|row| row.population.as_deref()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Rows with what was recorded of each.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    rows: &'a [Row],
    recorded: &'a [RowStats],
}

impl<'a> Rows<'a> {
    /// The rows of a recorder, in the same order.
    pub fn new(rows: &'a [Row], recorder: &'a Recorder) -> Self {
        Self {
            rows,
            recorded: &recorder.rows,
        }
    }

    /// Those that make the totals.
    pub fn in_totals(self) -> impl Iterator<Item = (&'a Row, &'a RowStats)> {
        self.all().filter(|(row, _)| row.kind.is_in_totals())
    }

    /// Those of a kind.
    pub fn of(self, kind: RowKind) -> impl Iterator<Item = (&'a Row, &'a RowStats)> {
        self.all().filter(move |(row, _)| row.kind == kind)
    }

    /// The sum of those that make the totals.
    pub fn totals(self) -> RowStats {
        sum(self.in_totals()).unwrap_or_default()
    }

    /// The sum of those of a kind; `None` where there is no such row.
    pub fn sum_of(self, kind: RowKind) -> Option<RowStats> {
        sum(self.of(kind))
    }

    /// The sum of those of a population that are of a kind; `None` where there is no such
    /// row.
    pub fn sum_of_population(self, kind: RowKind, population: &str) -> Option<RowStats> {
        sum(self
            .of(kind)
            .filter(|(row, _)| row.population.as_deref() == Some(population)))
    }

    /// Their populations, in the order in which stages have their figures.
    pub fn populations(self) -> Vec<&'a str> {
        populations_of(self.rows)
    }

    /// All of them.
    pub fn all(self) -> impl Iterator<Item = (&'a Row, &'a RowStats)> {
        self.rows.iter().zip(self.recorded)
    }
}

fn sum<'a>(rows: impl Iterator<Item = (&'a Row, &'a RowStats)>) -> Option<RowStats> {
    let mut sum: Option<RowStats> = None;
    for (_, stats) in rows {
        sum.get_or_insert_default().merge(stats);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_the_sum_of_the_calls_alone() {
        let row = |kind| Row::new(kind, "tools/list");
        let kinds = [
            RowKind::Call,
            RowKind::Handshake,
            RowKind::Call,
            RowKind::Turn,
            RowKind::Flow,
            RowKind::FlowBusy,
        ];
        let rows = kinds.map(row);
        let mut recorder = Recorder::new(rows.len());
        for (at, n) in [
            (0, 1),
            (1, 10),
            (2, 100),
            (3, 1000),
            (4, 10_000),
            (5, 100_000),
        ] {
            (0..n).for_each(|_| recorder.start(at));
        }
        let rows = Rows::new(&rows, &recorder);
        assert_eq!(rows.totals().started, 101);
        let of = |kind| rows.sum_of(kind).map(|sum| sum.started);
        assert_eq!(of(RowKind::Handshake), Some(10));
        assert_eq!(of(RowKind::Turn), Some(1000));
        assert_eq!(of(RowKind::Close), None);
    }

    #[test]
    fn a_row_is_called_by_its_name_and_its_flow() {
        let mut row = Row::new(RowKind::Call, "tools/call");
        assert_eq!(row.label(), "tools/call");
        row.subject = Some("login".to_string());
        assert_eq!(row.label(), "tools/call login");
        row.name = Some("sign in".to_string());
        assert_eq!(row.label(), "sign in");
        row.flow = Some("checkout".to_string());
        assert_eq!(row.label(), "checkout: sign in");
    }
}
