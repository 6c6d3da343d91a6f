//! The probe's percentiles beside the load's, and what they say.

use crate::report::model::{Figures, LatencyFigures, ProbeFigures, Report};
use crate::report::page::{P50_NEEDS, P90_NEEDS, P95_NEEDS, P99_NEEDS, Page, ms_text};
use crate::report::table::{Cell, Table};
use crate::terminal::{Line, Role};
use crate::units::{format_count, format_rate};

/// A table of both, and a sentence. Nothing without a probe.
pub(super) fn probe(page: &mut Page, report: &Report) {
    let Some(probe) = &report.probe else {
        return;
    };
    page.gap();
    let mut table = Table::new(&["probe", "count", "p50", "p90", "p95", "p99", "max"])
        .dispensable(&[3, 1, 4, 6, 2]);
    table.row(percentiles(page, "load", from_sent(&report.totals)));
    table.row(percentiles(page, "probe", from_sent(&probe.figures)));
    let delays = [
        ("load, unread", &report.generator_delay),
        ("probe, unread", &probe.generator_delay),
    ];
    for (name, delay) in delays {
        if let Some(delay) = delay {
            table.row(percentiles(page, name, delay));
        }
    }
    // Where the load has no intended starts there is nothing to compare with.
    if let (Some(load), Some(probe)) = (&report.lateness, &probe.lateness) {
        table.row(percentiles(page, "load, late", load));
        table.row(percentiles(page, "probe, late", probe));
    }
    page.table(table);
    paragraph(page, Role::Dim, &legend(probe));
    paragraph(page, Role::Plain, &probe.finding.text);
}

fn paragraph(page: &mut Page, role: Role, text: &str) {
    for part in page.wrap(text, page.width()) {
        page.push(Line::of(role, part));
    }
}

/// Latency from the first byte sent, whatever the headline counts from.
fn from_sent(figures: &Figures) -> &LatencyFigures {
    figures.service_latency.as_ref().unwrap_or(&figures.latency)
}

fn percentiles(page: &mut Page, name: &str, latency: &LatencyFigures) -> Vec<Cell> {
    vec![
        Cell::plain(name),
        Cell::plain(format_count(latency.count)),
        page.percentile(latency, latency.p50_ms, P50_NEEDS),
        page.percentile(latency, latency.p90_ms, P90_NEEDS),
        page.percentile(latency, latency.p95_ms, P95_NEEDS),
        page.percentile(latency, latency.p99_ms, P99_NEEDS),
        Cell::plain(ms_text(latency.max_ms)),
    ]
}

/// `one session at 10/s, pinned to CPU 0, beside the load and in no figure of it`
fn legend(probe: &ProbeFigures) -> String {
    let place = match probe.cpu {
        Some(cpu) => format!("pinned to CPU {cpu}"),
        None => "not pinned to a CPU".to_string(),
    };
    let figures = &probe.figures;
    let mut words = format!(
        "one session at {}, {place}, beside the load and in no figure of it",
        format_rate(probe.rate_per_sec)
    );
    let counts = [
        (figures.failed, "failed"),
        (figures.cancelled, "cancelled"),
        (probe.counters.arrivals_dropped, "starts dropped"),
    ];
    for (n, what) in counts {
        if n > 0 {
            words += &format!(", {} {what}", format_count(n));
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use crate::report::samples::{busy_outcome, plan, probe_outcome, report};
    use crate::report::{SummaryOptions, summary};
    use crate::terminal::Layout;

    fn text(with_probe: bool) -> String {
        let mut outcome = busy_outcome();
        outcome.probe = with_probe.then(|| probe_outcome(298, 2_000_000));
        let options = SummaryOptions {
            layout: Layout::terminal(80),
            report_path: None,
            ..SummaryOptions::endless()
        };
        let lines = summary(&report(&plan(), &outcome), &options);
        let lines: Vec<String> = lines
            .iter()
            .map(|line| line.text().trim_end().to_string())
            .collect();
        lines.join("\n")
    }

    #[test]
    fn both_stand_one_above_the_other() {
        let text = text(true);
        let block: Vec<&str> = text
            .lines()
            .skip_while(|line| !line.starts_with("probe "))
            .take_while(|line| !line.is_empty())
            .collect();
        let expected = "\
probe  count      p50      p90      p95      p99      max
load   6,961  4.42 ms  40.3 ms  75.1 ms   103 ms   110 ms
probe    298  2.00 ms  2.00 ms  2.00 ms  2.00 ms  2.00 ms
one session at 10.0/s, pinned to CPU 0, beside the load and in no figure of it,
1 failed, 1 cancelled
the load's calls took longer than the probe's (p95 75.1 ms, the probe's
2.00 ms), and not for lying unread, which is in neither: the server is sooner
done with a quiet session, so the load's calls wait behind each other; either
this client sends them in clumps, or the server is slower on their connections";
        assert_eq!(block.join("\n"), expected);
    }

    #[test]
    fn without_a_probe_nothing_is_said_of_it() {
        assert!(!text(false).contains("probe"));
    }
}
