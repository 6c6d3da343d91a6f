//! The run second by second, drawn: rate, latency, users, failures.
//!
//! A second without a successful call has no percentile, and its place stays empty.
//! Where there are more seconds than columns, a column shows the rate of its seconds
//! together, and the worst second's percentiles and failures.

use crate::report::model::{Report, SecondFigures, without_tail};
use crate::report::page::{Page, ms_text};
use crate::report::summary::head::secs_text;
use crate::terminal::{Align, Curve, Drawing, Line, MEETING, Role, pad};
use crate::units::{format_count, format_rate};

/// Fewer seconds make no course.
const SECONDS_MIN: usize = 3;

/// Columns of the names and of the values beside a chart.
const NAME_WIDTH: usize = 9;
const VALUE_WIDTH: usize = 8;
const GAP: usize = 2;

/// Columns of the longest chart.
const CHART_WIDTH_MAX: usize = 72;

/// A shorter one tells nothing.
const CHART_WIDTH_MIN: usize = 12;

/// What a file or a pipe is laid out for.
const COLUMNS: usize = 80;

const RATE_ROWS: usize = 3;
const LATENCY_ROWS: usize = 4;

/// The charts, where the run was long enough for any.
pub(super) fn over_time(page: &mut Page, report: &Report) {
    let seconds = &report.seconds;
    let whole = without_tail(seconds);
    if whole.len() < SECONDS_MIN {
        return;
    }
    // The last column stays free: some terminals wrap on filling it.
    let columns = page.columns().map_or(COLUMNS, |columns| columns - 1);
    let width = columns.saturating_sub(NAME_WIDTH + VALUE_WIDTH + GAP);
    if width < CHART_WIDTH_MIN {
        page.leave_out("charts over time".to_string());
        return;
    }
    let charts = Charts {
        seconds,
        whole,
        width: width.min(CHART_WIDTH_MAX),
        drawing: page.drawing(),
    };
    page.title("over time");
    for line in charts.lines() {
        page.push(line);
    }
}

struct Charts<'a> {
    seconds: &'a [SecondFigures],
    /// Without a very short last second: what it counts is part of the second before, and
    /// it has no percentiles that could be held against those of others.
    whole: &'a [SecondFigures],
    width: usize,
    drawing: Drawing,
}

impl Charts<'_> {
    fn lines(&self) -> Vec<Line> {
        let mut lines = self.rate();
        lines.extend(self.latency());
        let users = self.slots(self.width, self.seconds, |of| {
            let most = of.iter().map(|second| second.vus).max();
            most.map(f64::from)
        });
        lines.push(self.spark("users", Role::Plain, &users));
        let failures = self.slots(self.width, self.seconds, |of| {
            let most = of.iter().map(|second| second.failed).max();
            most.map(|n| n as f64)
        });
        if greatest(&failures) > 0.0 {
            lines.push(self.spark("failures", Role::Error, &failures));
        }
        lines.push(self.axis());
        lines
    }

    fn rate(&self) -> Vec<Line> {
        let rate = self.slots(self.width, self.seconds, |of| {
            let ended = of.iter().map(|it| it.ok.saturating_add(it.failed));
            let ended = ended.fold(0, u64::saturating_add);
            let secs: f64 = of.iter().map(|second| second.length_secs).sum();
            (secs > 0.0).then(|| ended as f64 / secs)
        });
        let most = greatest(&rate);
        let rows = self.drawing.upright(&rate, most, RATE_ROWS);
        let rows = rows.iter().enumerate().map(|(at, row)| {
            let line = match at {
                0 => head(Line::of(Role::Dim, "calls"), &format_rate(most)),
                _ => head(Line::new(), ""),
            };
            line.add(Role::Accent, row)
        });
        rows.collect()
    }

    fn latency(&self) -> Vec<Line> {
        let n_slots = self.drawing.slots_of_curves(self.width);
        let worst = |of: &[SecondFigures], figure: fn(&SecondFigures) -> Option<f64>| {
            let some = of.iter().filter_map(figure);
            some.reduce(f64::max)
        };
        let p99 = self.slots(n_slots, self.whole, |of| worst(of, |second| second.p99_ms));
        let p50 = self.slots(n_slots, self.whole, |of| worst(of, |second| second.p50_ms));
        let most = greatest(&p99);
        if most <= 0.0 {
            return Vec::new();
        }
        let curves = [
            ("p99", '*', Role::Accent, &p99),
            ("p50", 'o', Role::Plain, &p50),
        ];
        let drawn = self.drawing.curves(
            &curves.map(|(_, mark, role, values)| Curve { role, mark, values }),
            most,
            LATENCY_ROWS,
        );
        let rows = drawn.into_iter().enumerate().map(|(at, row)| {
            let named = match (curves.get(at), self.drawing) {
                (Some((name, _, role, _)), Drawing::Unicode) => Line::of(*role, name),
                (Some((name, mark, role, _)), Drawing::Ascii) => {
                    Line::of(*role, format!("{name} {mark}"))
                }
                (None, Drawing::Ascii) if at == curves.len() => {
                    Line::of(Role::Dim, format!("both {MEETING}"))
                }
                (None, _) => Line::new(),
            };
            let value = match at {
                0 => ms_text(Some(most)),
                _ => String::new(),
            };
            head(named, &value).join(row)
        });
        rows.collect()
    }

    fn spark(&self, name: &str, role: Role, values: &[Option<f64>]) -> Line {
        let most = greatest(values);
        // A cast from a float saturates.
        head(Line::of(Role::Dim, name), &format_count(most as u64))
            .add(role, self.drawing.spark(values, most))
    }

    /// Where the time begins and ends.
    fn axis(&self) -> Line {
        let (first, last) = (self.seconds.first(), self.seconds.last());
        let from = secs_text(first.map_or(0.0, |second| second.at_secs));
        let to = secs_text(last.map_or(0.0, |second| second.at_secs + second.length_secs));
        let room = self.width.saturating_sub(from.len());
        let to = pad(&to, room, Align::Right);
        head(Line::new(), "").add(Role::Dim, format!("{from}{to}"))
    }

    /// The values of this many slots of equal length. What `seconds` has behind the whole
    /// ones is in the last slot.
    fn slots(
        &self,
        n: usize,
        seconds: &[SecondFigures],
        value: impl Fn(&[SecondFigures]) -> Option<f64>,
    ) -> Vec<Option<f64>> {
        let n_whole = self.whole.len();
        let slot = |at: usize| {
            let from = at * n_whole / n;
            let to = match ((at + 1) * n_whole / n).max(from + 1) {
                to if to == n_whole => seconds.len(),
                to => to,
            };
            value(&seconds[from..to]).filter(|value| value.is_finite())
        };
        (0..n).map(slot).collect()
    }
}

/// What comes before a row of a chart.
fn head(name: Line, value: &str) -> Line {
    let rest = NAME_WIDTH.saturating_sub(name.width());
    let value = pad(value, VALUE_WIDTH, Align::Right);
    name.add(Role::Plain, " ".repeat(rest))
        .add(Role::Plain, value + &" ".repeat(GAP))
}

fn greatest(values: &[Option<f64>]) -> f64 {
    values.iter().flatten().copied().fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::{busy_outcome, plan, report};
    use crate::report::{SummaryOptions, summary};
    use crate::terminal::Layout;

    /// Ten seconds of a rising load, the sixth without an answer, and a moment after them.
    fn sample() -> Report {
        let mut report = report(&plan(), &busy_outcome());
        let second = |at: u32, length_secs: f64| SecondFigures {
            at_secs: f64::from(at),
            length_secs,
            vus: at + 1,
            ok: if at == 5 { 0 } else { 100 * u64::from(at + 1) },
            failed: if at == 5 { 7 } else { 0 },
            p50_ms: (at != 5).then_some(2.0),
            p99_ms: (at != 5).then_some(f64::from(4 * (at + 1))),
            ..SecondFigures::default()
        };
        report.seconds = (0..10).map(|at| second(at, 1.0)).collect();
        // Only the calls that were in flight at the end.
        report.seconds.push(SecondFigures {
            p50_ms: Some(900.0),
            p99_ms: Some(900.0),
            ..second(10, 0.01)
        });
        report
    }

    fn block(layout: Layout) -> String {
        let options = SummaryOptions {
            layout,
            ..SummaryOptions::endless()
        };
        let lines = summary(&sample(), &options);
        let lines = lines.iter().map(|line| line.text().trim_end().to_string());
        let lines = lines.skip_while(|line| line != "over time").skip(1);
        let lines: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
        lines.join("\n")
    }

    #[test]
    fn the_course_of_a_run_is_drawn() {
        let expected = include_str!("golden/over_time.txt");
        let found = block(Layout::terminal(50));
        assert!(found == expected.trim_end_matches('\n'), "found:\n{found}");
        let ascii = Layout {
            drawing: Drawing::Ascii,
            ..Layout::terminal(50)
        };
        let expected = include_str!("golden/over_time_ascii.txt");
        let found = block(ascii);
        assert!(found.is_ascii());
        assert!(found == expected.trim_end_matches('\n'), "found:\n{found}");
    }

    #[test]
    fn a_short_run_and_a_narrow_terminal_have_no_charts() {
        assert_eq!(block(Layout::terminal(30)), "");
        let mut short = sample();
        short.seconds.truncate(2);
        let lines = summary(&short, &SummaryOptions::endless());
        assert!(!lines.iter().any(|line| line.text() == "over time"));
    }
}
