//! How long users kept away because the server asked them to, or waited for another token:
//! of a run, and of the parts of one.

use crate::metrics::{AskedWaits, WaitTally};
use crate::outcome::TokenFigures;
use crate::report::model::{SecondFigures, WaitFigures};
use crate::scenario::Plan;
use crate::units::{format_duration, format_percent, format_whole_secs, plural, secs, tidy};

use std::time::Duration;

/// Beyond this share of the users' time, the figures are those of a load that was hardly
/// there.
const MOSTLY: f64 = 0.5;

/// Waits for tokens beyond this share make the load noticeably smaller than planned, and
/// nobody asked for them.
const NOTICEABLE: f64 = 0.05;

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
    let waited_secs = in_secs(asked.kept.waited_ns);
    WaitFigures {
        waits: asked.kept.count,
        waited_secs,
        share: share(waited_secs, users_secs),
        asked_max_secs: (asked.asked_ns_max > 0).then(|| in_secs(asked.asked_ns_max)),
        absent: asked.absent,
        unreadable: asked.unreadable,
    }
}

fn in_secs(ns: u64) -> f64 {
    secs(Duration::from_nanos(ns))
}

/// The tokens of a run, with how long its users waited for others.
pub(super) fn token_waits(
    tokens: &TokenFigures,
    waited: &WaitTally,
    users_secs: f64,
) -> TokenFigures {
    let waited_secs = in_secs(waited.waited_ns);
    TokenFigures {
        waits: waited.count,
        waited_secs,
        waited_share: share(waited_secs, users_secs),
        ..tokens.clone()
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

pub(in crate::report) fn share(waited_secs: f64, users_secs: f64) -> Option<f64> {
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

impl TokenFigures {
    /// Whether the users waited for tokens for most of the run.
    pub(in crate::report) fn is_most(&self) -> bool {
        self.waited_share.is_some_and(|share| share > MOSTLY)
    }

    /// `34% of the users' time, for another token after the server had refused theirs (12
    /// waits)`; `None`: nobody waited.
    pub(in crate::report) fn waits_in_words(&self) -> Option<String> {
        (self.waits > 0).then(|| {
            // A run of less than a second does not know its users' time.
            let how_long = match self.waited_share {
                Some(share) => format!("{} of the users' time", format_percent(share)),
                None => {
                    let waited = Duration::try_from_secs_f64(self.waited_secs);
                    format_duration(waited.unwrap_or_default())
                }
            };
            let waits = plural(self.waits, "wait", "waits");
            format!("{how_long}, for another token after the server had refused theirs ({waits})")
        })
    }

    /// What to tell before all else, where the waits made the load smaller.
    pub(super) fn notice(&self) -> Option<String> {
        let is_noticeable = self.waited_share.is_some_and(|share| share > NOTICEABLE);
        let words = self.waits_in_words().filter(|_| is_noticeable)?;
        Some(format!(
            "users waited for {words}: no latency from the first byte sent has these waits in it, \
             and rates are those of the load that was left; tokens that are refused soon after \
             they came are followed by pauses, up to 1m"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::plan;

    fn of(waited_secs: u64, asked_secs: u64) -> WaitFigures {
        let asked = AskedWaits {
            kept: WaitTally {
                count: 4,
                waited_ns: waited_secs * 1_000_000_000,
            },
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
    fn a_run_whose_users_waited_for_tokens_says_so() {
        let of = |millis: u64| {
            let mut waited = WaitTally::default();
            waited.add(Duration::from_millis(millis));
            waited.add(Duration::from_millis(millis));
            token_waits(&TokenFigures::default(), &waited, 10.0)
        };
        let tokens = of(1_700);
        assert_eq!((tokens.waits, tokens.waited_secs), (2, 3.4));
        assert_eq!(tokens.waited_share, Some(0.34));
        let notice = tokens.notice().expect("a third of the time");
        let told = "users waited for 34% of the users' time, for another token after the server \
                    had refused theirs (2 waits): ";
        assert!(notice.starts_with(told), "{notice}");
        // A short one is told in the summary alone.
        assert_eq!(of(200).notice(), None);
        assert!(of(200).waits_in_words().is_some());
        assert_eq!(TokenFigures::default().waits_in_words(), None);
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
