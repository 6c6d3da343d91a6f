//! The summary of a search, as lines of text: the two numbers first.

use super::model::{FindEnd, FindReport, TrialFigures, TrialVerdict};
use super::plot::plot;
use super::words;
use crate::outcome::StreamOffer;
use crate::report::page::{P99_NEEDS, Page, ns_text};
use crate::report::summary::head::token;
use crate::report::summary::notes::left_out;
use crate::report::summary::verdict::{reasons, verdict};
use crate::report::table::{Cell, Table};
use crate::terminal::{Line, Role};
use crate::units::{format_count, format_percent, format_rate, format_whole_secs};

/// Lays the whole summary out on a page.
pub(in crate::report) fn find_summary(
    page: &mut Page,
    report: &FindReport,
    report_path: Option<&str>,
) {
    answer(page, report);
    trials(page, report);
    let bars = plot(report, page.columns(), page.drawing());
    if !bars.is_empty() {
        page.gap();
        bars.into_iter().for_each(|line| page.push(line));
    }
    head(page, report);
    reasons(page, &report.verdict);
    notices(page, report);
    left_out(page);
    page.report_path(report_path);
}

fn head(page: &mut Page, report: &FindReport) {
    page.gap();
    page.labelled("target", Line::of(Role::Accent, &report.target_url));
    let server = &report.server;
    let name = match (&server.name, &server.version) {
        (Some(name), Some(version)) => format!("{name} {version}, "),
        (Some(name), None) => format!("{name}, "),
        _ => String::new(),
    };
    let stream = server.stream.as_ref().map(StreamOffer::in_words);
    let server = format!(
        "{name}MCP {} ({}){}",
        server.revision,
        server.era,
        stream.unwrap_or_default()
    );
    page.labelled("server", Line::of(Role::Plain, server));
    if let Some(tokens) = &report.tokens {
        page.labelled("token", token(tokens));
    }
    let words = words::search_in_words(&report.search);
    page.labelled_text("search", Role::Plain, &words);
    page.labelled("duration", duration(report));
    verdict(page, &report.verdict);
}

fn duration(report: &FindReport) -> Line {
    let line = Line::of(Role::Plain, format_whole_secs(report.elapsed_secs));
    match report.ended {
        FindEnd::Deadline => line.add(Role::Warning, ", ended by its deadline"),
        FindEnd::Interrupted => line.add(Role::Warning, ", interrupted"),
        FindEnd::NoToken => line.add(Role::Error, ", ended: the server took no token any more"),
        FindEnd::GeneratorLimited => {
            line.add(Role::Warning, ", ended: the generator was the limit")
        }
        FindEnd::Refused => line.add(Role::Error, ", refused: the baseline breaks a limit"),
        _ => line,
    }
}

/// The two numbers.
fn answer(page: &mut Page, report: &FindReport) {
    let unit = report.search.by;
    let figures = |trial| words::load_and_figures(&report.search, trial);
    match (&report.sustains, &report.passed) {
        (Some(trial), _) => {
            let line = Line::of(Role::Success, figures(trial)).add(Role::Plain, " (verified)");
            page.labelled("sustains", line);
        }
        (None, Some(trial)) => {
            let words = words::not_verified(&report.search);
            let line = Line::of(Role::Warning, figures(trial)).add(Role::Plain, words);
            page.labelled("passed", line);
        }
        (None, None) => page.labelled("sustains", Line::of(Role::Error, "no level")),
    }
    match &report.fails_at {
        Some(failure) => {
            let level = words::level(unit, failure.trial.level);
            if failure.certain {
                let words = format!(" by {}", failure.why);
                page.labelled(
                    "fails at",
                    Line::of(Role::Error, level).add(Role::Plain, words),
                );
            } else {
                let words = format!(": undecided by {}", failure.why);
                let line = Line::of(Role::Warning, level).add(Role::Plain, words);
                page.labelled("not passed", line);
            }
            if let Some(evidence) = &failure.trial.evidence {
                page.labelled_text("", Role::Dim, evidence);
            }
            if let Some(sure) = &report.fails_surely_at
                && sure.trial.level > failure.trial.level
            {
                let level = words::level(unit, sure.trial.level);
                let words = format!("{level} by {}, for certain", sure.why);
                page.labelled("", Line::of(Role::Plain, words));
            }
        }
        None if report.ended == FindEnd::ReachedTo => {
            let words = "nothing up to the highest level allowed: try a higher `--to`";
            page.labelled("fails at", Line::of(Role::Plain, words));
        }
        None => page.labelled("fails at", Line::of(Role::Dim, "no level so far")),
    }
    if let Some((low, high)) = words::gap(report) {
        let (low, high) = (words::level(unit, low), words::level(unit, high));
        page.labelled(
            "undecided",
            Line::of(Role::Dim, format!("between {low} and {high}")),
        );
    }
    if let Some(limit) = &report.generator_limit {
        page.labelled_text("generator", Role::Warning, limit);
    }
}

fn trials(page: &mut Page, report: &FindReport) {
    if report.trials.is_empty() {
        return;
    }
    page.gap();
    let mut table = Table::new(&[
        "trial", "load", "calls/s", "p50", "p95", "p99", "errors", "n",
    ])
    .dispensable(&[7, 3, 4, 6, 2]);
    for trial in &report.trials {
        let shown = |quantile, value_ns: Option<u64>| match value_ns {
            Some(value_ns) => {
                words::latency_beside(value_ns, words::limit_on(&report.search, quantile))
            }
            None => ns_text(None),
        };
        let rough = if trial.requests < P99_NEEDS && trial.p99_ns.is_some() {
            "~"
        } else {
            ""
        };
        let level = words::level(report.search.by, trial.level);
        table.row(vec![
            name(trial),
            Cell::plain(level),
            Cell::plain(format_rate(trial.rate_per_sec).trim_end_matches("/s")),
            Cell::plain(shown(0.5, trial.p50_ns)),
            Cell::plain(shown(0.95, trial.p95_ns)),
            Cell::plain(format!("{rough}{}", shown(0.99, trial.p99_ns))),
            Cell::plain(format_percent(trial.error_rate)),
            Cell::plain(format_count(trial.requests)),
        ]);
    }
    page.table(table);
    if report.trials.iter().any(|trial| trial.repeated) {
        let words = "repeated: the host was disturbed or a token refused; the level was held again";
        page.push(Line::of(Role::Warning, words));
    }
}

/// `verify: passed`, `bracket: latency`.
fn name(trial: &TrialFigures) -> Cell {
    let phase = trial.phase.word();
    let why = trial.why.as_deref().unwrap_or_default();
    let (role, verdict) = match trial.verdict {
        TrialVerdict::Passed => (Role::Success, "passed".to_string()),
        TrialVerdict::Plausible => (Role::Success, "plausible".to_string()),
        TrialVerdict::Failed => (Role::Error, format!("failed, {why}")),
        TrialVerdict::Undecided => (Role::Warning, format!("undecided, {why}")),
        TrialVerdict::GeneratorLimited => (Role::Warning, "generator limit".to_string()),
        TrialVerdict::Unfinished => (Role::Dim, "unfinished".to_string()),
    };
    let repeated = if trial.repeated { ", repeated" } else { "" };
    Cell::of(role, format!("{phase}: {verdict}{repeated}"))
}

fn notices(page: &mut Page, report: &FindReport) {
    if !report.notices.is_empty() {
        page.gap();
    }
    for notice in &report.notices {
        page.labelled_text("notice", Role::Warning, notice);
    }
}
