//! A search while it goes on: each level as a line that stays, and one below it
//! that is drawn again.

use super::words;
use crate::outcome::{
    FindActivity, FindEstimate, FindObserver, FindOptions, FindProgress, FindTrial, FindVerdict,
};
use crate::report::live::LiveLine;
use crate::report::page::ns_text;
use crate::terminal::{Line, Role, WriteColor};
use crate::units::{format_count, format_duration, format_percent, format_rate};

use std::time::Duration;

impl<W: WriteColor> FindObserver for LiveLine<W> {
    fn estimated(&mut self, options: &FindOptions, estimate: &FindEstimate) {
        self.say(|| Line::of(Role::Dim, words::estimate(options, estimate)));
    }

    fn searching(&mut self, progress: &FindProgress) {
        self.show(progress.elapsed, || progress_line(progress));
    }

    fn trial(&mut self, options: &FindOptions, trial: &FindTrial) {
        self.say(|| trial_line(options, trial));
    }
}

/// `1m12s  3 failed  12 VUs  verify  198/s  p99 60.4 ms  between 11 and 13 VUs`.
fn progress_line(progress: &FindProgress) -> Line {
    let elapsed = Duration::from_secs(progress.elapsed.as_secs());
    let (doing, role) = match progress.activity {
        FindActivity::Opening => ("opening sessions".to_string(), Role::Dim),
        FindActivity::Settling(phase) => (format!("{}, settling", phase.word()), Role::Plain),
        FindActivity::Holding(phase) => (phase.word().to_string(), Role::Plain),
        FindActivity::CoolingDown => ("cooling down".to_string(), Role::Dim),
        FindActivity::Draining => ("ending sessions".to_string(), Role::Dim),
    };
    let mut line = Line::of(Role::Strong, format_duration(elapsed));
    // Before what is usual, as in the line of a run: the end may be cut.
    if progress.failed > 0 {
        let failed = format_count(progress.failed);
        line = line.add(Role::Error, format!("  {failed} failed"));
    }
    line = line
        .add(
            Role::Plain,
            format!("  {}", words::level(progress.by, progress.level)),
        )
        .add(role, format!("  {doing}"))
        .add(Role::Accent, format!("  {}", format_rate(progress.rate)))
        .add(Role::Plain, format!("  p99 {}", ns_text(progress.p99_ns)));
    let shown = |level| words::level(progress.by, level);
    let between = match progress.bracket {
        (Some(low), Some(high)) => format!("  between {} and {}", shown(low), shown(high)),
        (Some(low), None) => format!("  above {}", shown(low)),
        (None, Some(high)) => format!("  below {}", shown(high)),
        (None, None) => String::new(),
    };
    line.add(Role::Dim, between)
}

/// `bracket   16 VUs  failed by latency  198/s  p99 80.9 ms`.
fn trial_line(options: &FindOptions, trial: &FindTrial) -> Line {
    let (role, verdict) = match trial.verdict {
        FindVerdict::Passed => (Role::Success, "passed".to_string()),
        FindVerdict::Plausible => (Role::Success, "plausible".to_string()),
        FindVerdict::Failed(why) => (Role::Error, format!("failed by {}", words::why(why))),
        FindVerdict::Undecided(why) => (Role::Warning, format!("undecided by {}", words::why(why))),
        FindVerdict::GeneratorLimited => (Role::Warning, "generator was the limit".to_string()),
        FindVerdict::Unfinished => (Role::Warning, "unfinished".to_string()),
    };
    let mut line = Line::of(Role::Dim, format!("{:<9}", trial.phase.word()))
        .add(
            Role::Strong,
            format!("{:>9}", words::level(options.by, trial.level)),
        )
        .add(role, format!("  {verdict}"))
        .add(Role::Accent, format!("  {}", format_rate(trial.rate)));
    if let Some(p99_ns) = trial.p99_ns {
        let p99 = words::latency_beside(p99_ns, words::limit_on(options, 0.99));
        line = line.add(Role::Plain, format!("  p99 {p99}"));
    }
    if trial.error_share > 0.0 {
        let failed = format_percent(trial.error_share);
        line = line.add(Role::Error, format!("  {failed} failed"));
    }
    if let Some(evidence) = words::evidence(options, trial) {
        line = line.add(Role::Dim, format!("  ({evidence})"));
    }
    if trial.repeated {
        line = line.add(
            Role::Warning,
            "  repeated: the host was disturbed or a token refused",
        );
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{FindPhase, FindWhy, LoadUnit};
    use crate::report::find::samples;

    #[test]
    fn the_line_says_level_phase_figures_and_bracket() {
        let progress = FindProgress {
            elapsed: Duration::from_millis(72_300),
            by: LoadUnit::Vus,
            level: 12.0,
            activity: FindActivity::Settling(FindPhase::Bisect),
            rate: 198.4,
            p99_ns: Some(60_400_000),
            failed: 0,
            bracket: (Some(11.0), Some(13.0)),
        };
        assert_eq!(
            progress_line(&progress).text(),
            "1m12s  12 VUs  bisect, settling  198/s  p99 60.4 ms  between 11 VUs and 13 VUs"
        );
        let first = FindProgress {
            elapsed: Duration::ZERO,
            activity: FindActivity::Opening,
            level: 1.0,
            rate: 0.0,
            p99_ns: None,
            bracket: (None, None),
            failed: 2,
            ..progress
        };
        assert_eq!(
            progress_line(&first).text(),
            "0s  2 failed  1 VU  opening sessions  0.00/s  p99 -"
        );
    }

    #[test]
    fn a_level_is_a_line() {
        let trial = FindTrial {
            error_share: 0.02,
            shares_over: vec![0.035],
            ..samples::trial(
                16.0,
                FindPhase::Bracket,
                FindVerdict::Failed(FindWhy::Latency { limit_idx: 0 }),
                80_900_000,
            )
        };
        assert_eq!(
            trial_line(&samples::found().options, &trial).text(),
            "bracket     16 VUs  failed by latency  200/s  p99 80.9 ms  2% failed  \
             (3.5% of the calls took more than 50.0 ms or failed, 1% may)"
        );
        let repeated = FindTrial {
            repeated: true,
            ..samples::trial(
                16.0,
                FindPhase::Bisect,
                FindVerdict::GeneratorLimited,
                40_000_000,
            )
        };
        assert_eq!(
            trial_line(&samples::found().options, &repeated).text(),
            "bisect      16 VUs  generator was the limit  200/s  p99 40.0 ms  \
             repeated: the host was disturbed or a token refused"
        );
    }
}
