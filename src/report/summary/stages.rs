//! Stages, warm-up, and the point where the server broke.

use super::head::secs_text;
use crate::outcome::LoadUnit;
use crate::report::model::{Figures, Report};
use crate::report::page::{P50_NEEDS, P95_NEEDS, P99_NEEDS, Page, ms_text, rate_text};
use crate::report::table::{Cell, Table};
use crate::terminal::{Line, Role};
use crate::units::{format_count, format_percent, plural};

/// A row for each stage.
pub(super) fn stages(page: &mut Page, report: &Report) {
    if report.stages.is_empty() {
        return;
    }
    page.gap();
    let mut table = Table::new(&[
        "stage", "length", "requests", "rate", "errors", "p50", "p95", "p99",
    ])
    .dispensable(&[1, 6, 5, 2, 3, 4]);
    for (i, stage) in report.stages.iter().enumerate() {
        let figures = &stage.figures;
        let place = if stage.number == 0 {
            i + 1
        } else {
            stage.number
        };
        let (from, to) = (number(stage.load_from), number(stage.load_to));
        let unit = match stage.load_unit {
            LoadUnit::Vus => " VUs",
            LoadUnit::Rate => "/s",
        };
        let name = format!("{place}  {from} → {to}{unit}");
        let length = secs_text(stage.length_secs);
        table.row(cells(page, name, length, figures));
        for population in &report.populations {
            if let Some(figures) = population.stages.get(i) {
                let name = format!("   {}", population.name);
                table.row(cells(page, name, String::new(), figures));
            }
        }
    }
    page.table(table);
}

fn cells(page: &mut Page, name: String, length: String, figures: &Figures) -> Vec<Cell> {
    let latency = &figures.latency;
    let errors = figures
        .error_rate
        .map_or_else(|| "-".to_string(), format_percent);
    let errors_role = if figures.failed > 0 {
        Role::Error
    } else {
        Role::Plain
    };
    vec![
        Cell::plain(name),
        Cell::plain(length),
        Cell::plain(format_count(figures.ended())),
        Cell::plain(rate_text(figures.rate_per_sec)),
        Cell::of(errors_role, errors),
        page.percentile(latency, latency.p50_ms, P50_NEEDS),
        page.percentile(latency, latency.p95_ms, P95_NEEDS),
        page.percentile(latency, latency.p99_ms, P99_NEEDS),
    ]
}

/// One line on what was left out.
pub(super) fn warm_up(page: &mut Page, report: &Report) {
    let Some(warm_up) = &report.warm_up else {
        return;
    };
    page.gap();
    let figures = &warm_up.figures;
    let words = format!(
        "{}, {}, {}, p50 {}; left out of all other figures",
        secs_text(warm_up.length_secs),
        plural(figures.ended(), "request", "requests"),
        rate_text(figures.rate_per_sec),
        ms_text(figures.latency.p50_ms)
    );
    page.labelled("warm-up", Line::of(Role::Plain, words));
}

/// Where the server broke. Nothing is said of runs where it did not: the
/// detector may have missed a breaking point.
pub(super) fn breaking_point(page: &mut Page, report: &Report) {
    let point = &report.breaking_point;
    if !point.detected {
        return;
    }
    let unit = match point.load_unit {
        Some(LoadUnit::Rate) => " arrivals/s",
        _ => " virtual users",
    };
    page.title("breaking point");
    let load = match point.load {
        Some(load) => format!("  {}{unit}", number(load)),
        None => "  under a load that did not change".to_string(),
    };
    let mut line = Line::of(Role::Warning, load);
    if let Some(reason) = &point.reason {
        line = line.add(Role::Warning, format!(", by {reason}"));
    }
    if let Some(at_secs) = point.at_secs {
        line = line.add(Role::Plain, format!(", after {}", secs_text(at_secs)));
    }
    if let Some(last_good) = point.last_good_load {
        line = line.add(Role::Plain, format!("; last good: {}", number(last_good)));
    }
    page.push_wrapped(line, 2);
    if let Some(detail) = &point.detail {
        let width = page.width().saturating_sub(2);
        for part in page.wrap(detail, width) {
            page.push(Line::of(Role::Plain, format!("  {part}")));
        }
    }
}

/// A load without needless decimals: `50`, `12.5`.
fn number(load: f64) -> String {
    if load.fract() == 0.0 && load >= 0.0 {
        // A cast from a float saturates.
        format_count(load as u64)
    } else {
        format!("{load:.1}")
    }
}
