//! The report and the summary of a sample search.

use super::samples::{found, report, trial};
use super::*;
use proptest::prelude::*;

use crate::outcome::{FindPhase, FindWhy, TokenFigures};
use crate::report::{Reported, SummaryOptions, Text};
use crate::terminal::display_width;
use crate::validity::{Grade, Reason, Signal, Slowed, Verdict};

fn text(outcome: &FindOutcome, width: usize) -> String {
    let options = SummaryOptions {
        layout: crate::terminal::Layout::terminal(width),
        report_path: Some("r.json".to_string()),
        ..SummaryOptions::endless()
    };
    let lines = Text(options).lines(report(outcome).any());
    lines
        .iter()
        .map(|line| line.text().trim_end().to_string() + "\n")
        .collect()
}

#[test]
fn the_answer_is_two_tested_levels() {
    let outcome = found();
    assert_eq!(
        report(&outcome).answer,
        "sustains 9 VUs, 200 calls/s at p99 47.0 ms (verified); fails at 11 VUs by latency (12% \
         of the calls took more than 50.0 ms, 1% may); undecided between"
    );
    let mut next_to_it = found();
    for failure in [&mut next_to_it.fails_at, &mut next_to_it.fails_surely_at] {
        failure.as_mut().expect("one").trial.level = 10.0;
    }
    assert!(!report(&next_to_it).answer.contains("between"));
}

#[test]
fn each_reason_is_told_once_of_the_level_where_it_matters_most() {
    let slowed = |signal| Reason::Slowed(Slowed::by(signal));
    let steal = |share| slowed(Signal::Steal { share });
    let mut outcome = found();
    assert!(text(&outcome, 80).contains("verdict     valid\n"));
    outcome.verdicts = vec![
        (9.0, Verdict::of(vec![(Grade::Suspect, steal(0.06))])),
        (
            11.0,
            Verdict::of(vec![
                (Grade::Invalid, steal(0.3)),
                (Grade::Suspect, slowed(Signal::Throttled { share: 0.02 })),
            ]),
        ),
    ];
    let report = report(&outcome);
    let reasons = report.verdict.reasons.iter();
    let told: Vec<(&str, &str)> = reasons
        .map(|reason| (&*reason.id, &reason.text[..11]))
        .collect();
    assert_eq!(
        told,
        [("steal", "at 11 VUs: "), ("throttled", "at 11 VUs: ")]
    );
    assert_eq!(report.verdict.grade, Grade::Invalid);
    let text = text(&outcome, 80);
    let line = "verdict     invalid: at 11 VUs: the hypervisor took CPU time";
    assert!(text.contains(line), "{text}");
}

#[test]
fn what_was_not_verified_or_not_certain_is_called_so() {
    let mut early = found();
    early.ended = FindEnded::Deadline;
    early.sustains = None;
    early.passed = Some(early.trials[3].clone());
    early.fails_at = Some(FindFailure {
        trial: early.trials[5].clone(),
        why: FindWhy::Errors,
        is_certain: false,
    });
    if let Some(failure) = &mut early.fails_at {
        failure.trial.error_share = 0.025;
    }
    assert_eq!(
        report(&early).answer,
        "passed 8 VUs, 200 calls/s at p99 42.0 ms (not verified); not passed at 11 VUs, \
         undecided by errors (2.5% of the calls failed, 1% may); undecided between"
    );
    let shown = text(&early, 80);
    assert!(shown.contains("ended by its deadline"), "{shown}");
    assert!(shown.contains("(not verified)"), "{shown}");
    assert!(
        shown.contains("\nnot passed  11 VUs: undecided by errors"),
        "{shown}"
    );
    assert!(!shown.contains("fails at"), "{shown}");

    early.ended = FindEnded::NoToken;
    early.tokens = Some(TokenFigures {
        about: "from the command `get`".to_string(),
        failed: 2,
        last_failure: Some("it ended with exit code 5".to_string()),
        ..TokenFigures::default()
    });
    let shown = text(&early, 80);
    let line = "\ntoken       from the command `get`, 2 attempts failed, the last one:";
    assert!(shown.contains(line), "{shown}");
    assert!(shown.contains("no token any more"), "{shown}");

    let mut refused = found();
    refused.ended = FindEnded::Refused(FindWhy::Latency { limit_idx: 0 });
    refused.trials.truncate(1);
    (refused.sustains, refused.passed) = (None, None);
    let shown = text(&refused, 80);
    assert!(shown.contains("no level"), "{shown}");
    assert_eq!(report(&refused).refused_by.as_deref(), Some("latency"));
}

#[test]
fn the_summary_fits_eighty_columns_and_says_it_all() {
    let outcome = found();
    let shown = text(&outcome, 80);
    for part in [
        "sustains    9 VUs, 200 calls/s at p99 47.0 ms (verified)",
        "fails at    11 VUs by latency",
        "undecided   between 9 VUs and 11 VUs",
        "p99 at most 50.0 ms, errors at most 1%",
        "verify: passed",
        "bracket: failed, latency",
        "a notice",
        "report      r.json",
    ] {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
    for width in [60, 80, 120] {
        for line in text(&outcome, width).lines() {
            assert!(display_width(line) <= width, "{width}: {line}");
        }
    }
}

#[test]
fn the_plot_has_each_level_once_in_order() {
    let lines = super::plot::plot(
        &report(&found()),
        Some(80),
        crate::terminal::Drawing::Unicode,
    );
    let levels: Vec<String> = lines
        .iter()
        .skip(1)
        .map(|line| line.text().trim_start().chars().take(6).collect())
        .collect();
    assert_eq!(
        levels,
        [
            "1 VU  ", "2 VUs ", "4 VUs ", "8 VUs ", "9 VUs ", "11 VUs", "16 VUs"
        ]
    );
    let mut one = found();
    one.trials.truncate(1);
    assert!(
        super::plot::plot(&report(&one), Some(80), crate::terminal::Drawing::Unicode).is_empty()
    );
}

#[test]
fn a_quick_search_says_that_nothing_is_verified() {
    let mut quick = found();
    quick.options.quick = true;
    (quick.sustains, quick.passed) = (None, Some(quick.trials[6].clone()));
    let report = report(&quick);
    assert!(!report.verified && report.search.quick);
    let words = "(not verified: a quick search)";
    assert!(report.answer.contains(words), "{}", report.answer);
    let shown = text(&quick, 80);
    assert!(shown.contains(words), "{shown}");
    assert!(super::tests::report(&found()).verified);
}

#[test]
fn a_repeated_level_is_told() {
    let mut outcome = found();
    outcome.trials[4].repeated = true;
    let shown = text(&outcome, 80);
    assert!(shown.contains("ncy, repeated 16 VUs"), "{shown}");
    assert!(shown.contains("the host was disturbed"), "{shown}");
    assert!(report(&outcome).trials[4].repeated);
}

/// `12%`, `<0.01%` and the like as a number.
fn percent_of(word: &str) -> f64 {
    let digits = word.trim_start_matches(['<', '>']).trim_end_matches('%');
    digits.parse().expect("a number of percent")
}

proptest! {
    /// What a trial says of a figure and its limit never looks the other way round,
    /// nor the same.
    #[test]
    fn evidence_agrees_with_its_limit(
        allowed in prop_oneof![Just(0.01), Just(0.05), Just(0.5), 0.0001_f64..0.5],
        off in prop_oneof![-1.0_f64..1.0, -1e-3_f64..1e-3, -1e-7_f64..1e-7],
        limit_ns in 1_000_u64..10_000_000_000,
        over_ns in prop_oneof![1_u64..5_000, 1_u64..1_000_000_000],
        by_errors in any::<bool>(),
    ) {
        let share = (allowed * (1.0 + off)).min(1.0);
        let why = match by_errors {
            true => FindWhy::Errors,
            false => FindWhy::Latency { limit_idx: 0 },
        };
        let mut outcome = found();
        outcome.options.error_share_max = Some(allowed);
        outcome.options.latency[0].quantile = 1.0 - allowed;
        let mut failed = trial(5.0, FindPhase::Bracket, FindVerdict::Failed(why), 60_000_000);
        failed.shares_over = vec![share];
        failed.error_share = if by_errors { share } else { 0.0 };
        let text = words::evidence(&outcome.options, &failed).expect("evidence");
        let percents: Vec<&str> = text.split(' ').filter(|word| word.ends_with('%')).collect();
        let (shown, limit) = (percents[0], percents[1]);
        if (share - allowed).abs() > 1e-12 {
            prop_assert_ne!(shown, limit);
            let (shown, limit) = (percent_of(shown), percent_of(limit));
            prop_assert!((shown > limit) == (share > allowed) || shown == limit, "{}", text);
        }
        let beside = words::latency_beside(limit_ns + over_ns, Some(limit_ns));
        prop_assert_ne!(beside, crate::units::format_latency(limit_ns));
        let kept = words::latency_beside(limit_ns, Some(limit_ns));
        prop_assert_eq!(kept, crate::units::format_latency(limit_ns));
    }
}

#[test]
fn the_json_reads_back() {
    let mut outcome = found();
    outcome.trials.push(trial(
        10.0,
        FindPhase::Bisect,
        FindVerdict::Undecided(FindWhy::Backlog),
        50_000_000,
    ));
    let report = report(&outcome);
    let json = serde_json::to_string(&report).expect("JSON");
    let back: FindReport = serde_json::from_str(&json).expect("the same form");
    assert_eq!(back, report);
    let value: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(value["kind"], "find");
    assert_eq!(value["sustains"]["level"], 9.0);
    assert_eq!(value["fails_at"]["trial"]["verdict"], "failed");
    assert_eq!(value["trials"][8]["why"], "backlog");
    assert_eq!(value["search"]["latency"][0]["limit_ms"], 50.0);
}
