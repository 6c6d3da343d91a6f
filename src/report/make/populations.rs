//! The figures of each population that a plan names.

use super::figures::{Part, server};
use crate::outcome::{RowKind, Rows, RunOutcome};
use crate::report::model::PopulationFigures;
use crate::scenario::Plan;
use crate::units::tidy;

/// In the order of the plan.
pub(super) fn populations(
    plan: &Plan,
    outcome: &RunOutcome,
    measured: &Part<'_>,
) -> Vec<PopulationFigures> {
    let rows = Rows::new(&outcome.start.rows, &outcome.totals);
    let all = plan.populations.all().iter().enumerate();
    let named = all.filter_map(|(at, population)| Some((at, population.name.as_deref()?)));
    let figures = named.map(|(at, name)| {
        let sum = |kind| rows.sum_of_population(kind, name);
        let beside_calls = |kind| sum(kind).map(|row| measured.beside_calls(&row));
        let stages = outcome.stages.iter().filter_map(|stage| {
            let measured = Part {
                elapsed: stage.length,
                examples: &stage.examples,
                ..*measured
            };
            Some(measured.calls(stage.populations.get(at)?))
        });
        let arrivals = outcome.totals.arrivals.get(at).copied();
        let arrivals = arrivals.unwrap_or_default();
        PopulationFigures {
            arrivals: arrivals.begun + arrivals.dropped,
            arrivals_dropped: arrivals.dropped,
            name: name.to_string(),
            share: tidy(plan.populations.share(at)),
            server: server(
                outcome
                    .start
                    .servers
                    .get(at)
                    .unwrap_or(outcome.start.server()),
            ),
            figures: measured.calls(&sum(RowKind::Call).unwrap_or_default()),
            handshake: beside_calls(RowKind::Handshake),
            close: beside_calls(RowKind::Close),
            stages: stages.collect(),
        }
    });
    figures.collect()
}
