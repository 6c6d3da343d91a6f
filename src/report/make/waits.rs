//! How long users kept away because the server asked them to: of a run, and of the parts
//! of one.

use crate::metrics::AskedWaits;
use crate::report::model::{SecondFigures, WaitFigures};
use crate::scenario::Plan;
use crate::units::{format_percent, format_whole_secs, secs, tidy};

use std::time::Duration;

/// Beyond this share of the users' time, the figures are those of a load that was hardly
/// there.
const MOSTLY: f64 = 0.5;

/// Of a plan that respects what is asked; `seconds` are all of the run.
pub(super) fn waits(
    plan: &Plan,
    asked: &AskedWaits,
    seconds: &[SecondFigures],
) -> Option<WaitFigures> {
    let is_something = *asked != AskedWaits::default();
    let is_told = plan.target.respect_retry_after && is_something;
    is_told.then(|| figures(asked, users_secs(seconds)))
}

fn figures(asked: &AskedWaits, users_secs: f64) -> WaitFigures {
    let in_secs = |ns| secs(Duration::from_nanos(ns));
    let waited_secs = in_secs(asked.waited_ns);
    WaitFigures {
        waits: asked.waits,
        waited_secs,
        share: share(waited_secs, users_secs),
        asked_max_secs: (asked.asked_ns_max > 0).then(|| in_secs(asked.asked_ns_max)),
        absent: asked.absent,
        unreadable: asked.unreadable,
    }
}

/// Of parts, whose users were there for this many seconds together.
pub(in crate::report) fn merged_waits<'a>(
    parts: impl Iterator<Item = &'a WaitFigures>,
    users_secs: f64,
) -> Option<WaitFigures> {
    let merged = parts.cloned().reduce(|sum, part| {
        let longest = [sum.asked_max_secs, part.asked_max_secs];
        let waited_secs = tidy(sum.waited_secs + part.waited_secs);
        WaitFigures {
            waits: sum.waits.saturating_add(part.waits),
            waited_secs,
            share: None,
            asked_max_secs: longest.into_iter().flatten().reduce(f64::max),
            absent: sum.absent.saturating_add(part.absent),
            unreadable: sum.unreadable.saturating_add(part.unreadable),
        }
    });
    merged.map(|merged| WaitFigures {
        share: share(merged.waited_secs, users_secs),
        ..merged
    })
}

/// How long all users were there. Seconds know how many there were at their end, so that
/// this is as exact as users come and go seldom.
pub(in crate::report) fn users_secs(seconds: &[SecondFigures]) -> f64 {
    let each = seconds.iter();
    each.map(|it| f64::from(it.vus) * it.length_secs).sum()
}

fn share(waited_secs: f64, users_secs: f64) -> Option<f64> {
    (users_secs > 0.0).then(|| tidy((waited_secs / users_secs).min(1.0)))
}

impl WaitFigures {
    /// Whether the users were away for most of the run.
    pub(in crate::report) fn is_most(&self) -> bool {
        self.share.is_some_and(|share| share > MOSTLY)
    }

    /// `98% of the users' time, as the server asked (`Retry-After`, up to 1h)`.
    pub(in crate::report) fn in_words(&self) -> String {
        let longest = self
            .asked_max_secs
            .map(|secs| format!(", up to {}", format_whole_secs(secs)));
        format!(
            "{} of the users' time, as the server asked (`Retry-After`{})",
            self.share.map_or("-".to_string(), format_percent),
            longest.unwrap_or_default()
        )
    }

    /// What to tell before all else, where the users were away for most of the run.
    pub(super) fn notice(&self) -> Option<String> {
        self.is_most().then(|| {
            format!(
                "users kept away for {}: rates and latencies are those of the load that was \
                 left, and tell little of what the server can do; offer less, or leave out \
                 `--respect-retry-after` to see the limit itself",
                self.in_words()
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::plan;

    fn of(waited_secs: u64, asked_secs: u64) -> WaitFigures {
        let asked = AskedWaits {
            waits: 4,
            waited_ns: waited_secs * 1_000_000_000,
            asked_ns_max: asked_secs * 1_000_000_000,
            ..AskedWaits::default()
        };
        figures(&asked, 10.0)
    }

    #[test]
    fn a_run_whose_users_slept_says_so() {
        let figures = of(9, 3_600);
        assert_eq!(figures.share, Some(0.9));
        let notice = figures.notice().expect("most of the time");
        let told = "90% of the users' time, as the server asked (`Retry-After`, up to 1h)";
        assert!(notice.contains(told), "{notice}");
        assert_eq!(of(3, 3).notice(), None);
        // A wait may last longer than the last second that was counted.
        assert_eq!(of(100, 3_600).share, Some(1.0));
        assert_eq!(share(1.0, 0.0), None);
        assert_eq!(waits(&plan(), &AskedWaits::default(), &[]), None);
    }

    #[test]
    fn parts_are_added() {
        let parts = [of(9, 3), of(1, 7)];
        let whole = merged_waits(parts.iter(), 20.0).expect("waits");
        assert_eq!((whole.waits, whole.share), (8, Some(0.5)));
        assert_eq!(whole.asked_max_secs, Some(7.0));
        assert_eq!(merged_waits([].into_iter(), 1.0), None);
    }
}
