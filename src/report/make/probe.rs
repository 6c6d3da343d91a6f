//! The probe's block of the report.

use super::figures::{Part, latency_if_any};
use crate::outcome::{ProbeOutcome, RowKind, Rows, RunOutcome};
use crate::report::model::{AdviceNote, ProbeFigures, WarmUp};
use crate::report::probe::{Beside, Compared, finding};
use crate::scenario::{Arrivals, Load, Plan};
use crate::units::secs;

/// What the probe measured, beside the load; `None` without a probe.
pub(super) fn probe(plan: &Plan, outcome: &RunOutcome) -> Option<ProbeFigures> {
    let probe = outcome.probe.as_ref()?;
    let totals = &probe.totals;
    let rows = Rows::new(&probe.rows, totals);
    let measured = Part {
        elapsed: probe.elapsed,
        has_intended_starts: true,
        examples: &totals.examples,
    };
    let beside_calls = |kind| rows.sum_of(kind).map(|row| measured.beside_calls(&row));
    Some(ProbeFigures {
        rate_per_sec: probe.rate,
        pinned: probe.cpu.is_some(),
        cpu: probe.cpu.map(|cpu| cpu as u64),
        length_secs: secs(probe.elapsed),
        figures: measured.calls(&rows.totals()),
        operations: measured.operations(rows.in_totals()),
        handshake: beside_calls(RowKind::Handshake),
        close: beside_calls(RowKind::Close),
        counters: totals.counters,
        lateness: latency_if_any(&totals.lateness),
        generator_delay: latency_if_any(&totals.generator_delay),
        warm_up: warm_up(probe),
        finding: compared(plan, outcome, probe),
    })
}

fn warm_up(probe: &ProbeOutcome) -> Option<WarmUp> {
    let (length, recorded) = probe.warm_up.as_ref()?;
    let measured = Part {
        elapsed: *length,
        has_intended_starts: true,
        examples: &recorded.examples,
    };
    Some(WarmUp {
        length_secs: secs(*length),
        figures: measured.calls(&Rows::new(&probe.rows, recorded).totals()),
    })
}

fn compared(plan: &Plan, outcome: &RunOutcome, probe: &ProbeOutcome) -> AdviceNote {
    let of_load = Rows::new(&outcome.start.rows, &outcome.totals).totals();
    let of_probe = Rows::new(&probe.rows, &probe.totals).totals();
    finding(&Beside {
        load: Compared {
            service: &of_load.service_ok,
            read_delay: &outcome.totals.generator_delay,
            lateness: &outcome.totals.lateness,
        },
        probe: Compared {
            service: &of_probe.service_ok,
            read_delay: &probe.totals.generator_delay,
            lateness: &probe.totals.lateness,
        },
        kernel_timestamps: outcome.start.generator.kernel_timestamps,
        has_own_cpu: probe.cpu.is_some(),
        calls_at_once: calls_at_once(plan),
    })
}

/// Whether calls of the load begin together by its plan.
fn calls_at_once(plan: &Plan) -> bool {
    let in_bursts = matches!(
        &plan.load,
        Load::Open {
            arrivals: Arrivals::Bursts(burst),
            ..
        } if burst.size > 1
    );
    let mut steps = plan
        .flows
        .iter()
        .filter(|flow| flow.weight > 0)
        .flat_map(|flow| &flow.steps);
    in_bursts || steps.any(|step| step.calls_at_once() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Recorder;
    use crate::report::Report;
    use crate::report::model::LatencyFrom;
    use crate::report::samples::{busy_outcome, ok_intended, plan, probe_outcome, report};
    use std::time::Duration;

    #[test]
    fn a_run_without_a_probe_has_no_block() {
        assert_eq!(report(&plan(), &busy_outcome()).probe, None);
    }

    #[test]
    fn the_probe_s_counts_are_whole_and_in_no_figure_of_the_load() {
        let without = report(&plan(), &busy_outcome());
        let mut outcome = busy_outcome();
        outcome.probe = Some(probe_outcome(298, 2_000_000));
        let with = report(&plan(), &outcome);
        let probe = with.probe.as_ref().expect("a probe");
        let figures = &probe.figures;
        assert_eq!(
            (
                figures.started,
                figures.ok,
                figures.failed,
                figures.cancelled
            ),
            (300, 298, 1, 1)
        );
        assert_eq!(figures.latency_from, LatencyFrom::IntendedStart);
        assert_eq!(figures.failures[0].examples, ["no more room"]);
        assert_eq!(probe.operations[0].label, "tools/list");
        assert_eq!(&probe.operations[0].figures, figures);
        assert_eq!(probe.handshake.as_ref().map(|row| row.ok), Some(1));
        assert_eq!((probe.pinned, probe.cpu), (true, Some(0)));
        let text = serde_json::to_string(&with).expect("a report is JSON");
        let back: Report = serde_json::from_str(&text).expect("a report reads back");
        assert_eq!(back, with);
        assert_eq!(
            Report {
                probe: None,
                ..with
            },
            without
        );
    }

    #[test]
    fn the_warm_up_of_the_probe_stands_apart() {
        let mut outcome = busy_outcome();
        let mut probe = probe_outcome(10, 2_000_000);
        let mut warm = Recorder::new(2);
        ok_intended(&mut warm, 0, 1_000_000, 1_000_000);
        probe.warm_up = Some((Duration::from_secs(2), warm));
        outcome.probe = Some(probe);
        let report = report(&plan(), &outcome);
        let probe = report.probe.expect("a probe");
        let warm_up = probe.warm_up.expect("a warm-up");
        assert_eq!((warm_up.figures.ok, warm_up.length_secs), (1, 2.0));
        assert_eq!(probe.figures.ok, 10);
    }

    #[test]
    fn plans_that_call_at_once_are_known() {
        let mut plan = plan();
        assert!(!calls_at_once(&plan));
        plan.flows[0].steps[0].parallel = 3;
        assert!(calls_at_once(&plan));
        plan.flows[0].weight = 0;
        assert!(!calls_at_once(&plan));
        plan.load = Load::Open {
            arrivals: Arrivals::Bursts(crate::load::Burst {
                size: 5,
                every: Duration::from_secs(1),
            }),
            max_vus: 5,
            queue_max: 5,
        };
        assert!(calls_at_once(&plan));
    }
}
