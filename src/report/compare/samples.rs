//! What is compared, taken from a run's report.

use std::collections::HashMap;

use serde_json::Value;

use crate::outcome::{
    Ended, Packed, RunSample, SampleFacts, SampleKey, SampleRow, SampleShape, SampleSlot,
    SampleStage, WholeFigures,
};
use crate::report::model::{
    Figures, LatencyFigures, LatencyFrom, Report, StoredHistograms, StoredInterval, StoredKind,
    StoredRow,
};
use crate::scenario;

/// What the row of all calls is called.
const ALL_CALLS: &str = "all calls";

/// Slots of a run of 115 days, by seconds.
const SLOTS_MAX: f64 = 1e7;

/// Calls of a row by time: a million a second for thirty years.
const CALLS_MAX: u128 = 1_000_000_000_000_000;

/// What the histograms of a run take, packed: many times what a report of ours holds.
const PACKED_BYTES_MAX: usize = 64 << 20;

/// The shortest slot.
const SLOT_SECS_MIN: f64 = 0.01;

/// What is compared of a run. `file` is the name that the user gave it.
///
/// # Errors
/// Where its histograms cannot be read, as a fragment.
pub fn sample(report: &Report, file: &str) -> Result<RunSample, String> {
    let histograms = report.histograms.as_ref();
    histograms.map(StoredHistograms::check).transpose()?;
    let by_time = histograms.filter(|stored| stored.interval_secs > 0.0);
    let slot_secs = by_time.map(|stored| stored.interval_secs);
    if slot_secs.is_some_and(|secs| !(SLOT_SECS_MIN..SLOTS_MAX).contains(&secs)) {
        return Err("`histograms.interval_secs` is no length of an interval".to_string());
    }
    let mut rows: HashMap<StoredKey<'_>, &StoredRow> = HashMap::new();
    for row in by_time.iter().flat_map(|stored| &stored.rows) {
        rows.entry((row.kind, row.names())).or_insert(row);
    }
    let mut n_bytes = 0;
    let mut slots = |key: StoredKey<'_>| match (rows.get(&key), slot_secs) {
        (Some(row), Some(secs)) => slots_of(row, secs, &mut n_bytes),
        _ => Ok(Vec::new()),
    };
    let mut total = SampleRow {
        key: SampleKey {
            label: ALL_CALLS.to_string(),
            ..SampleKey::default()
        },
        whole: whole(&report.totals),
        request_bytes: None,
        slots: slots((StoredKind::Total, [None; 5]))?,
    };
    add_dropped(&mut total.slots, report, slot_secs.unwrap_or(1.0));
    let operations = report.operations.iter().map(|operation| {
        let key = SampleKey {
            label: operation.label.clone(),
            method: operation.method.clone(),
            subject: operation.subject.clone(),
            name: operation.name.clone(),
            flow: operation.flow.clone(),
            population: operation.population.clone(),
        };
        let names = [&key.subject, &key.name, &key.flow, &key.population].map(Option::as_deref);
        let [subject, name, flow, population] = names;
        let names = [Some(&*key.method), subject, name, flow, population];
        let bytes = operation.bytes.as_ref();
        Ok(SampleRow {
            whole: whole(&operation.figures),
            request_bytes: bytes.map(|bytes| bytes.request.mean),
            slots: slots((StoredKind::Call, names))?,
            key,
        })
    });
    let operations = operations.collect::<Result<_, String>>()?;
    let flows = report.flows.iter().map(|flow| {
        let (name, population) = (Some(flow.name.as_str()), flow.population.as_deref());
        Ok(SampleRow {
            key: SampleKey {
                population: flow.population.clone(),
                ..SampleKey::of_flow(&flow.name)
            },
            whole: WholeFigures {
                percentiles_ms: percentiles_ms(&flow.busy),
                ..whole(&flow.figures)
            },
            request_bytes: None,
            slots: slots((StoredKind::FlowBusy, [None, None, None, name, population]))?,
        })
    });
    let flows = flows.collect::<Result<_, String>>()?;
    let populations = report.populations.iter().map(|population| {
        let name = Some(population.name.as_str());
        Ok(SampleRow {
            key: SampleKey {
                population: Some(population.name.clone()),
                ..total.key.clone()
            },
            whole: WholeFigures {
                started: offered(population.figures.started, population.arrivals_dropped),
                ..whole(&population.figures)
            },
            request_bytes: None,
            slots: slots((StoredKind::Total, [None, None, None, None, name]))?,
        })
    });
    let populations = populations.collect::<Result<Vec<_>, String>>()?;
    Ok(RunSample {
        file: file.to_string(),
        facts: facts(report),
        shape: shape(report),
        has_histograms: histograms.is_some(),
        slot_secs: slot_secs.filter(|_| !total.slots.is_empty()),
        operations,
        flows,
        populations: populations
            .into_iter()
            .filter(|it| !it.slots.is_empty())
            .collect(),
        total,
    })
}

/// As [`StoredRow::names`] has them.
type StoredKey<'a> = (StoredKind, [Option<&'a str>; 5]);

/// `n_bytes`: what the histograms of the run have taken so far.
fn slots_of(
    row: &StoredRow,
    slot_secs: f64,
    n_bytes: &mut usize,
) -> Result<Vec<SampleSlot>, String> {
    let n_calls = row
        .intervals
        .iter()
        .map(|of| u128::from(of.ok))
        .sum::<u128>();
    if n_calls > CALLS_MAX {
        return Err("has intervals with more calls than any run".to_string());
    }
    let slot = |interval: &StoredInterval| {
        let number = (interval.at_secs / slot_secs).round();
        if !(0.0..SLOTS_MAX).contains(&number) {
            return Err("has intervals of histograms beyond any run".to_string());
        }
        let latency = Packed::of(&row.histogram_of(interval)?);
        *n_bytes += latency.n_bytes();
        if *n_bytes > PACKED_BYTES_MAX {
            return Err(format!(
                "has more than {} MiB of histograms",
                PACKED_BYTES_MAX >> 20
            ));
        }
        Ok(SampleSlot {
            number: number as u64,
            offered: offered(interval.started, interval.dropped),
            ok: interval.ok,
            failed: interval.failed,
            latency,
        })
    };
    row.intervals.iter().map(slot).collect()
}

/// Arrivals that nobody served were offered too.
fn offered(n_started: u64, n_dropped: u64) -> u64 {
    n_started.saturating_add(n_dropped)
}

/// The dropped arrivals of the whole run are told by second.
fn add_dropped(slots: &mut [SampleSlot], report: &Report, slot_secs: f64) {
    for second in report.seconds.iter().filter(|second| second.dropped > 0) {
        // A cast from a float saturates.
        let number = (second.at_secs / slot_secs) as u64;
        if let Ok(at) = slots.binary_search_by_key(&number, |slot| slot.number) {
            slots[at].offered = offered(slots[at].offered, second.dropped);
        }
    }
}

/// What is compared of the figures of calls as they are.
pub fn whole(figures: &Figures) -> WholeFigures {
    WholeFigures {
        started: figures.started,
        ok: figures.ok,
        failed: figures.failed,
        rate_per_sec: figures.rate_per_sec,
        percentiles_ms: percentiles_ms(&figures.latency),
    }
}

fn percentiles_ms(latency: &LatencyFigures) -> [Option<f64>; 3] {
    [latency.p50_ms, latency.p95_ms, latency.p99_ms]
}

fn facts(report: &Report) -> SampleFacts {
    let (run, server, totals) = (&report.run, &report.server, &report.totals);
    let names = server.name.iter().chain(&server.version);
    let bounds = report.verdict.bounds.map(|bounds| match run.latency_from {
        LatencyFrom::Sent => (Some(bounds.service_p50_ms), Some(bounds.service_p99_ms)),
        LatencyFrom::IntendedStart => (bounds.response_p50_ms, bounds.response_p99_ms),
    });
    let (p50, p99) = bounds.unwrap_or_default();
    SampleFacts {
        plan: scenario::completed(&report.plan),
        target: report.target_url.clone(),
        era: server.era.clone(),
        holds_streams: report.listen.is_some(),
        server: names.map(String::as_str).collect::<Vec<_>>().join(" "),
        program: run.version.clone(),
        host: report.host.clone(),
        started_at: run.started_at.clone(),
        fingerprint: format!(
            "{} {} {} {} {} {}",
            run.started_at, run.seed, run.elapsed_secs, totals.started, totals.ok, totals.failed
        ),
        grade: report.verdict.grade,
        cut_short: match run.ended {
            Ended::Duration | Ended::Iterations | Ended::Data | Ended::Broke => None,
            Ended::Interrupted => Some("it was interrupted".to_string()),
            Ended::Threshold => Some("a threshold aborted it".to_string()),
            Ended::NoSession => Some("no session could be had".to_string()),
            Ended::Denied => Some("the server let nobody in any more".to_string()),
        },
        bounds_ms: (p50.unwrap_or(0.0).max(0.0), p99.unwrap_or(0.0).max(0.0)),
    }
}

fn shape(report: &Report) -> SampleShape {
    let load = &report.plan["load"];
    let secs = |value: &Value| value.as_f64().unwrap_or(0.0).max(0.0);
    SampleShape {
        is_open: load["model"] == "open",
        warm_up_secs: secs(&report.plan["warm_up_secs"]),
        ramp_up_secs: secs(&load["ramp_up_secs"]),
        planned_secs: report.run.planned_secs,
        stages: report
            .stages
            .iter()
            .map(|stage| SampleStage {
                at_secs: stage.at_secs,
                length_secs: stage.length_secs,
                load: (stage.load_from, stage.load_to),
            })
            .collect(),
    }
}
