//! A calibration while it goes on: each step as a line that stays, and one below
//! it that is drawn again.

use super::summary::mode_name;
use crate::outcome::{CalibrationObserver, CalibrationProgress, CalibrationStep, StepKind};
use crate::report::live::LiveLine;
use crate::report::page::ns_text;
use crate::terminal::{Line, Role, WriteColor};
use crate::units::{format_duration, format_rate, plural};

use std::time::Duration;

impl<W: WriteColor> CalibrationObserver for LiveLine<W> {
    fn calibrating(&mut self, progress: &CalibrationProgress) {
        self.show(progress.elapsed, || progress_line(progress));
    }

    fn step(&mut self, step: &CalibrationStep) {
        self.say(|| step_line(step));
    }
}

/// `7s  step 3 of 10  1,000 VUs, normal  31,200/s`.
fn progress_line(progress: &CalibrationProgress) -> Line {
    let elapsed = Duration::from_secs(progress.elapsed.as_secs());
    let step = format!("  step {} of {}", progress.step_idx + 1, progress.n_steps);
    let mode = mode_name(progress.busy_poll);
    Line::of(Role::Strong, format_duration(elapsed))
        .add(Role::Dim, step)
        .add(Role::Plain, format!("  {}, {mode}", kind(progress.kind)))
        .add(Role::Accent, format!("  {}", format_rate(progress.rate)))
}

/// `64 VUs, normal      51,200/s  latency p50 …`.
fn step_line(step: &CalibrationStep) -> Line {
    let (kind, busy_poll, rate, label, spread) = match step {
        CalibrationStep::Closed(step) => {
            let kind = kind(StepKind::Closed { vus: step.vus });
            let rate = Some(step.calls_per_sec);
            (kind, step.busy_poll, rate, "latency", step.latency)
        }
        CalibrationStep::Open(step) => {
            let rate_per_sec = step.rate_per_sec;
            let kind = kind(StepKind::Open { rate_per_sec });
            (kind, step.busy_poll, None, "lateness", step.lateness)
        }
    };
    let what = format!("{kind}, {}", mode_name(busy_poll));
    let mut line = Line::of(Role::Dim, format!("{what:<29}"));
    if let Some(rate) = rate {
        line = line.add(Role::Accent, format!("{}  ", format_rate(rate)));
    }
    let figures = format!(
        "{label} p50 {}, p99 {}",
        ns_text(spread.map(|spread| spread.p50_ns)),
        ns_text(spread.map(|spread| spread.p99_ns))
    );
    line.add(Role::Plain, figures)
}

fn kind(kind: StepKind) -> String {
    match kind {
        StepKind::Closed { vus } => plural(u64::from(vus), "VU", "VUs"),
        StepKind::Open { rate_per_sec } => format!("arrivals {}", format_rate(rate_per_sec)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::calibration::samples;

    #[test]
    fn the_line_says_step_mode_and_rate() {
        let progress = CalibrationProgress {
            elapsed: Duration::from_millis(7_300),
            step_idx: 2,
            n_steps: 10,
            kind: StepKind::Closed { vus: 1000 },
            busy_poll: false,
            rate: 31_200.4,
        };
        assert_eq!(
            progress_line(&progress).text(),
            "7s  step 3 of 10  1,000 VUs, normal  31,200/s"
        );
        let open = CalibrationProgress {
            kind: StepKind::Open {
                rate_per_sec: 10_000.0,
            },
            busy_poll: true,
            rate: 9_990.0,
            ..progress
        };
        assert_eq!(
            progress_line(&open).text(),
            "7s  step 3 of 10  arrivals 10,000/s, busy-poll  9,990/s"
        );
    }

    #[test]
    fn a_step_is_a_line() {
        let outcome = samples::outcome();
        assert_eq!(
            step_line(&CalibrationStep::Closed(outcome.closed[0])).text(),
            "1 VU, normal                 12,000/s  latency p50 40.0 us, p99 90.0 us"
        );
        assert_eq!(
            step_line(&CalibrationStep::Open(outcome.open[0])).text(),
            "arrivals 1,000/s, normal     lateness p50 52.0 us, p99 180 us"
        );
    }
}
