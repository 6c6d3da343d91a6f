//! Several reports of one load as one: what hosts measured that made it together.
//!
//! Exact: counts are added and histograms are added, and percentiles come from the
//! sums, never from percentiles. Merged as if started together: seconds are aligned by
//! their offset, and the length is the longest. What cannot be told of the whole from
//! its parts is `null`, and said. [`fit`] is the table of what keeps reports from being
//! merged.

mod blocks;
mod fit;
mod seconds;
mod thresholds;

use std::collections::BTreeSet;

use blocks::{Parts, causes};
use fit::{Fitness, fits};

use super::envelope::{ReportKind, Stored, StoredReport};
use super::make::{
    distribution, errors, merged_addresses, merged_isolation, merged_listening, merged_tls,
    merged_waits, metrics, over, share, users_secs,
};
use super::model::{
    BoundsFigures, BreakingPointFacts, InFlight, ReasonNote, Report, SelfCheckFigures, StoredKind,
    StoredRow, VerdictNotes,
};
use crate::error::UserError;
use crate::outcome::{Ended, TokenFigures};
use crate::units::{few_of, plural, tidy};
use crate::validity::{Grade, LateEnd};

/// Merges reports of runs, each with the name of its file. With `is_forced` what the
/// table says may be forced is only told.
///
/// # Errors
/// Where they are not to be merged: every reason, and what to do.
pub fn merge(reports: &[(String, Report)], is_forced: bool) -> Result<Report, UserError> {
    let found = fits(reports);
    let is_refused =
        |fit: &Fitness| *fit == Fitness::Never || (*fit == Fitness::IfForced && !is_forced);
    let refused: Vec<&str> = found
        .iter()
        .filter(|(fit, _)| is_refused(fit))
        .map(|(_, what)| what.as_str())
        .collect();
    if !refused.is_empty() {
        let error = UserError::usage(format!(
            "these reports cannot be merged: {}",
            refused.join("; ")
        ));
        let may_be_forced = !found.iter().any(|(fit, _)| *fit == Fitness::Never);
        return Err(match may_be_forced {
            true => error.hint("`--force` merges them all the same"),
            false => error,
        });
    }
    let told = found.into_iter().map(|(_, what)| what).collect();
    merged(reports, told).map_err(UserError::usage)
}

/// The same of what was read from these files. Where each compares two populations,
/// `compare_sides` does so with the sum.
///
/// # Errors
/// Also where one is not a report of a run.
pub fn merge_stored(
    files: &[String],
    stored: Vec<Stored>,
    is_forced: bool,
    compare_sides: impl Fn(&mut Report),
) -> Result<Stored, UserError> {
    let mut reports = Vec::new();
    for (file, stored) in files.iter().zip(stored) {
        match stored.report {
            StoredReport::Run(report) => reports.push((file.clone(), *report)),
            _ => {
                return Err(UserError::usage(format!(
                    "only reports of runs can be merged, and `{file}` is not one"
                )));
            }
        }
    }
    let mut report = merge(&reports, is_forced)?;
    if reports.iter().all(|(_, report)| report.ab.is_some()) {
        compare_sides(&mut report);
    }
    let document = serde_json::to_string_pretty(&report)
        .map_err(|error| UserError::could_not_run(format!("the sum has no JSON: {error}")))?;
    Ok(Stored {
        report: StoredReport::Run(Box::new(report)),
        document: document + "\n",
        notice: None,
    })
}

/// Whatever the order in which they are named, the result is the same: the first to
/// start comes first.
fn merged(reports: &[(String, Report)], mut told: Vec<String>) -> Result<Report, String> {
    let mut all: Vec<&Report> = reports.iter().map(|(_, report)| report).collect();
    let key = |report: &&Report| (report.run.started_at.clone(), report.timestamp.clone());
    all.sort_by_cached_key(key);
    let parts = Parts::new(&all);
    let first = all[0];
    let totals = parts.block(StoredKind::Total, |report| Some(&report.totals))?;
    let totals = totals.ok_or("there is no report")?;
    let operations = parts.operations(StoredKind::Call, |report| &report.operations)?;
    let turns = parts.operations(StoredKind::Turn, |report| &report.turns)?;
    let task_steps = parts.operations(StoredKind::TaskStep, |report| &report.task_steps)?;
    let flows = parts.flows()?;
    let populations = parts.populations()?;
    let handshake = parts.block(StoredKind::Handshake, |report| report.handshake.as_ref())?;
    let close = parts.block(StoredKind::Close, |report| report.close.as_ref())?;
    let listen_parts = || all.iter().filter_map(|report| report.listen.as_ref());
    let opening = parts.block(StoredKind::Listen, |report| {
        report.listen.as_ref().map(|listen| &listen.opening)
    })?;
    let (stages, warm_up) = (parts.stages()?, parts.warm_up()?);
    let lateness = parts.beside(StoredKind::Lateness, |report| report.lateness)?;
    let delay = parts.beside(StoredKind::GeneratorDelay, |report| report.generator_delay)?;
    let loop_time = parts.beside(StoredKind::LoopTime, |report| report.loop_time)?;
    let tls_parts: Vec<_> = all.iter().filter_map(|it| it.tls.as_ref()).collect();
    let handshake_of = |report: &Report| report.tls.as_ref().map(|tls| tls.handshake);
    let tls = parts.beside(StoredKind::TlsHandshake, handshake_of)?;
    let mut addresses = merged_addresses(all.iter().flat_map(|report| &report.addresses));
    let (mut of_addresses, mut rows_of_servers) = parts.served(StoredKind::Address, |report| {
        let calls = report.addresses.iter();
        let calls = calls.filter_map(|it| Some((Some(&*it.address), false, it.calls?)));
        calls.collect()
    })?;
    for address in &mut addresses {
        let own = of_addresses
            .iter()
            .position(|it| it.name.as_ref() == Some(&address.address));
        address.calls = own.map(|at| of_addresses.swap_remove(at).calls);
    }
    let (backends, rows) = parts.served(StoredKind::Backend, |report| {
        let calls = report.backends.iter();
        let calls = calls.map(|it| (it.name.as_deref(), it.is_rest, it.calls));
        calls.collect()
    })?;
    rows_of_servers.extend(rows);
    let figures = &totals.figures;
    let latency = totals
        .latency
        .as_ref()
        .ok_or("its histogram of all calls is missing")?;
    let operation_figures = firsts(&operations);
    let mut report = Report {
        schema_version: ReportKind::Run.schema_version().to_string(),
        timestamp: latest(&all),
        duration_secs: parts.length,
        metrics: metrics(figures, &operation_figures),
        errors: errors(&figures.failures),
        per_tool: parts.per_tool(&operation_figures)?,
        breaking_point: breaking_point(&all, &mut told),
        verdict: verdict(&all, figures.rate_per_sec),
        self_check: self_check(&all),
        totals: figures.clone(),
        operations: operation_figures,
        turns: firsts(&turns),
        task_steps: firsts(&task_steps),
        flows: firsts(&flows),
        populations: firsts(&populations),
        ab: None,
        unchecked: parts.unchecked(),
        evidence: parts.evidence(),
        handshake: handshake.as_ref().map(|block| block.figures.clone()),
        close: close.as_ref().map(|block| block.figures.clone()),
        listen: opening.as_ref().map(|block| {
            let broken_by = causes(listen_parts().flat_map(|part| &part.broken_by));
            merged_listening(listen_parts(), block.figures.clone(), broken_by)
        }),
        failures: figures.failures.clone(),
        distribution: distribution(latency),
        over: over(latency),
        stages: firsts(&stages),
        warm_up: warm_up.as_ref().map(|(figures, _)| figures.clone()),
        probe: None,
        lateness: lateness.as_ref().map(|(figures, _)| *figures),
        generator_delay: delay.as_ref().map(|(figures, _)| *figures),
        loop_time: loop_time.as_ref().map(|(figures, _)| *figures),
        tls: tls
            .as_ref()
            .map(|(figures, _)| merged_tls(&tls_parts, *figures)),
        addresses,
        backends,
        ..first.clone()
    };
    for other in &all[1..] {
        report.counters.merge(&other.counters);
    }
    if all.iter().any(|report| report.probe.is_some()) {
        told.push("the probes of the parts are left out: each is of its own host".to_string());
    }
    let beside_calls = [handshake, close, opening].into_iter().flatten();
    let beside = [lateness, delay, loop_time, tls].into_iter().flatten();
    // In the order of a fresh report.
    let rows: Vec<StoredRow> = std::iter::once(totals.row.clone())
        .chain(
            operations
                .into_iter()
                .chain(turns)
                .chain(task_steps)
                .map(|(_, row)| row),
        )
        .chain(flows.into_iter().flat_map(|(_, rows)| rows).map(Some))
        .chain(beside_calls.map(|block| block.row))
        .chain(stages.into_iter().map(|(_, row)| row))
        .chain(warm_up.map(|(_, row)| row))
        .chain(populations.into_iter().flat_map(|(_, rows)| rows).map(Some))
        .chain(beside.map(|(_, row)| row))
        .chain(rows_of_servers.into_iter().map(Some))
        .flatten()
        .collect();
    let intervals = parts.intervals(&rows)?;
    report.seconds = seconds::merged(&all, intervals.as_ref());
    report.histograms = Some(parts.stored(rows, intervals));
    run_facts(&mut report, &all);
    host_and_plan(&mut report, &all);
    report.tokens = tokens(&all, users_secs(&report.seconds));
    let waits = all.iter().filter_map(|part| part.retry_after.as_ref());
    report.retry_after = merged_waits(waits, users_secs(&report.seconds));
    report.isolation = merged_isolation(all.iter().filter_map(|part| part.isolation.as_ref()));
    report.exports = all.iter().flat_map(|part| part.exports.clone()).collect();
    thresholds::decide_again(&mut report, &all);
    let mut notices: Vec<String> = Vec::new();
    for notice in all.iter().flat_map(|report| &report.notices) {
        if !notices.contains(notice) && !notice.starts_with(MERGED_FROM) {
            notices.push(notice.clone());
        }
    }
    let names = reports.iter().map(|(name, _)| format!("`{name}`"));
    let count = plural(reports.len() as u64, "report", "reports");
    notices.insert(0, format!("{MERGED_FROM}{count}: {}", few_of(names, 10)));
    notices.extend(
        told.into_iter()
            .filter(|what| !report.notices.contains(what)),
    );
    report.notices = notices;
    report.advice = Vec::new();
    for advice in all.iter().flat_map(|report| &report.advice) {
        if !report.advice.iter().any(|other| other.id == advice.id) {
            report.advice.push(advice.clone());
        }
    }
    Ok(report)
}

fn firsts<A: Clone, B>(pairs: &[(A, B)]) -> Vec<A> {
    pairs.iter().map(|(first, _)| first.clone()).collect()
}

/// How the notice begins that names the parts.
const MERGED_FROM: &str = "merged from ";

fn latest(all: &[&Report]) -> String {
    let times = all.iter().map(|report| report.timestamp.clone());
    times.max().unwrap_or_default()
}

/// The load of one part is not that of the whole.
fn breaking_point(all: &[&Report], told: &mut Vec<String>) -> BreakingPointFacts {
    let found = all.iter().map(|report| &report.breaking_point);
    let found = found.filter(|point| point.detected);
    let at = |point: &&BreakingPointFacts| point.at_secs.unwrap_or(f64::MAX);
    let Some(first) = found.min_by(|a, b| at(a).total_cmp(&at(b))) else {
        return BreakingPointFacts::default();
    };
    let what = "the breaking point is the first that a part saw: at which load of all parts, \
                nobody saw";
    if first.load.is_some() {
        told.push(what.to_string());
    }
    BreakingPointFacts {
        vus: None,
        load: None,
        last_good_load: None,
        ceiling_per_sec: None,
        ..first.clone()
    }
}

/// The worst of the parts', with the reasons of all.
fn verdict(all: &[&Report], rate_per_sec: Option<f64>) -> VerdictNotes {
    let each = || all.iter().map(|report| &report.verdict);
    let distinct = |of: fn(&VerdictNotes) -> &Vec<ReasonNote>| {
        let mut notes: Vec<ReasonNote> = Vec::new();
        for note in each().flat_map(of) {
            if !notes.contains(note) {
                notes.push(note.clone());
            }
        }
        notes.sort_by_key(|note| std::cmp::Reverse(note.grade));
        notes
    };
    // Whether any are missing is a matter of all of them.
    let of_segments = fit::segment_reasons(all);
    let mut reasons = distinct(|verdict| &verdict.reasons);
    reasons.retain(|reason| reason.id != fit::SEGMENTS_MISSING);
    for reason in of_segments {
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.grade));
    let of_reasons = reasons.iter().filter_map(|reason| reason.grade).max();
    // That of a part may have been for what was missing then.
    let of_parts = each().map(|verdict| {
        let mut others = verdict
            .reasons
            .iter()
            .filter(|it| it.id != fit::SEGMENTS_MISSING);
        match verdict.reasons.is_empty() || others.next().is_some() {
            true => verdict.grade,
            false => Grade::Valid,
        }
    });
    let grade = of_parts.chain(of_reasons).max().unwrap_or_default();
    let bounds: Option<Vec<BoundsFigures>> = each().map(|verdict| verdict.bounds).collect();
    let worst = |of: fn(&BoundsFigures) -> Option<f64>| {
        let all: Vec<f64> = bounds.iter().flatten().filter_map(of).collect();
        all.into_iter().reduce(f64::max)
    };
    VerdictNotes {
        grade,
        reasons,
        notes: distinct(|verdict| &verdict.notes),
        bounds: bounds.as_ref().map(|_| BoundsFigures {
            service_p50_ms: worst(|it| Some(it.service_p50_ms)).unwrap_or(0.0),
            service_p99_ms: worst(|it| Some(it.service_p99_ms)).unwrap_or(0.0),
            response_p50_ms: worst(|it| it.response_p50_ms),
            response_p99_ms: worst(|it| it.response_p99_ms),
            idle_share: worst(|it| it.idle_share),
            late_end: late_end(all).filter(|end| end.is_told(rate_per_sec.unwrap_or(0.0))),
        }),
    }
}

/// While all offered load: the rate of each in that time. That of a part without a late
/// end is its rate.
fn late_end(all: &[&Report]) -> Option<LateEnd> {
    let of = |report: &Report| report.verdict.bounds.and_then(|bounds| bounds.late_end);
    let after = all
        .iter()
        .filter_map(|report| of(report))
        .map(|end| end.after_secs);
    let after_secs = after.reduce(f64::max)?;
    let sum = |late: fn(LateEnd) -> f64, whole: fn(&Report) -> Option<f64>| {
        let each = all
            .iter()
            .map(|report| of(report).map(late).or(whole(report)));
        tidy(each.flatten().sum())
    };
    Some(LateEnd {
        after_secs,
        rate_per_sec: sum(|end| end.rate_per_sec, |report| report.totals.rate_per_sec),
        goodput_per_sec: sum(
            |end| end.goodput_per_sec,
            |report| report.totals.goodput_per_sec,
        ),
    })
}

/// Of all parts that fetched some.
fn tokens(all: &[&Report], users_secs: f64) -> Option<TokenFigures> {
    let mut parts = all.iter().filter_map(|report| report.tokens.as_ref());
    let first = parts.next()?.clone();
    let sum = parts.fold(first, |sum, part| TokenFigures {
        fetched: sum.fetched.saturating_add(part.fetched),
        refused: sum.refused.saturating_add(part.refused),
        failed: sum.failed.saturating_add(part.failed),
        expired: sum.expired.saturating_add(part.expired),
        last_failure: sum.last_failure.or_else(|| part.last_failure.clone()),
        about: sum.about,
        // One for all is the same everywhere; others are those of the users of a part.
        holders: match (sum.holders, part.holders) {
            (0 | 1, 0 | 1) => sum.holders.max(part.holders),
            (some, more) => some.saturating_add(more),
        },
        waits: sum.waits.saturating_add(part.waits),
        waited_secs: tidy(sum.waited_secs + part.waited_secs),
        waited_share: None,
    });
    Some(TokenFigures {
        waited_share: share(sum.waited_secs, users_secs),
        ..sum
    })
}

fn self_check(all: &[&Report]) -> SelfCheckFigures {
    let each = || all.iter().map(|report| &report.self_check);
    let most = |of: fn(&SelfCheckFigures) -> Option<f64>| each().filter_map(of).reduce(f64::max);
    // A sum of some is not the sum of all.
    let sum = |of: fn(&InFlight) -> Option<f64>| {
        let all: Option<Vec<f64>> = each().map(|check| of(&check.in_flight)).collect();
        all.map(|all| all.iter().sum())
    };
    let mut check = SelfCheckFigures {
        workers: each().flat_map(|check| check.workers.clone()).collect(),
        in_flight: InFlight {
            mean: sum(|it| it.mean),
            max: each().map(|check| check.in_flight.max).sum(),
            mean_whole: sum(|it| it.mean_whole),
            by_latency: sum(|it| it.by_latency),
        },
        steal_share: most(|check| check.steal_share),
        throttled_share: most(|check| check.throttled_share),
        clock_steps: each().map(|check| check.clock_steps).sum(),
        clock_step_max_ms: most(|check| Some(check.clock_step_max_ms)).unwrap_or(0.0),
        limited_secs: each().map(|check| check.limited_secs).max().unwrap_or(0),
        ..all[0].self_check.clone()
    };
    for other in &all[1..] {
        check.reads.merge(&other.self_check.reads);
    }
    check
}

fn run_facts(report: &mut Report, all: &[&Report]) {
    // The strongest first.
    const ENDS: [Ended; 8] = [
        Ended::Interrupted,
        Ended::Threshold,
        Ended::Broke,
        Ended::NoSession,
        Ended::Denied,
        Ended::Data,
        Ended::Iterations,
        Ended::Duration,
    ];
    let run = &mut report.run;
    run.elapsed_secs = report.duration_secs;
    let has = |ended: &Ended| all.iter().any(|report| report.run.ended == *ended);
    run.ended = ENDS.into_iter().find(has).unwrap_or(run.ended);
    run.vus_max = all
        .iter()
        .fold(0, |sum: u32, it| sum.saturating_add(it.run.vus_max));
    let iterations: Option<Vec<u64>> = all.iter().map(|it| it.run.planned_iterations).collect();
    run.planned_iterations = iterations.map(|all| all.into_iter().fold(0, u64::saturating_add));
    let parts: Vec<_> = all.iter().map(|it| parts_told(&it.run.load)).collect();
    let n_parts: u64 = parts.iter().map(|(n, _)| n).sum();
    let loads: BTreeSet<&str> = parts.into_iter().flat_map(|(_, loads)| loads).collect();
    let loads: Vec<&str> = loads.into_iter().take(3).collect();
    let each = if loads.len() == 1 { " each" } else { "" };
    run.load = match n_parts {
        1 => run.load.clone(),
        n => format!("{n} parts{each}: {}", loads.join("; ")),
    };
    let config = &mut report.config;
    let vus = all.iter().map(|it| it.config.virtual_users);
    config.virtual_users = vus.fold(0, u32::saturating_add);
}

/// How many parts a report is of, and what their loads are called: a merged one says so
/// itself.
fn parts_told(load: &str) -> (u64, Vec<&str>) {
    let told = load.split_once(" parts").and_then(|(n, rest)| {
        let loads = rest.strip_prefix(" each").unwrap_or(rest);
        Some((n.parse().ok()?, loads.strip_prefix(": ")?))
    });
    match told {
        Some((n, loads)) => (n, loads.split("; ").collect()),
        None => (1, vec![load]),
    }
}

/// Of the workers of all hosts; a plan whose segments are all there is the whole one.
fn host_and_plan(report: &mut Report, all: &[&Report]) {
    let workers = all
        .iter()
        .flat_map(|report| report.host.worker_cpus.clone());
    report.host.worker_cpus = workers.collect();
    if let Some(segment) = report.plan.get_mut("segment") {
        *segment = fit::segments_of_all(all);
    }
}

#[cfg(test)]
mod tests;
