//! A search as it might have gone, for the tests of this module.

use std::time::Duration;

use serde_json::Value;

use super::{FindReport, build_find};
use crate::clock::Utc;
use crate::outcome::{
    FindEnded, FindEstimate, FindFailure, FindOptions, FindOutcome, FindPhase, FindTrial,
    FindVerdict, FindWhy, LatencyLimit, LoadUnit,
};
use crate::report::{BuildInfo, samples};
use crate::validity::Grade;

const MS: u64 = 1_000_000;

pub(crate) fn trial(level: f64, phase: FindPhase, verdict: FindVerdict, p99_ns: u64) -> FindTrial {
    FindTrial {
        level,
        phase,
        verdict,
        repeated: false,
        rate: (level * 50.0).min(200.0),
        offered_rate: (level * 50.0).min(200.0),
        p50_ns: Some(p99_ns - MS / 10),
        p95_ns: Some(p99_ns - MS / 20),
        p99_ns: Some(p99_ns),
        mean_ns: Some(p99_ns - MS / 10),
        error_share: 0.0,
        shares_over: vec![match verdict {
            FindVerdict::Failed(_) => 0.12,
            _ => 0.0,
        }],
        n_requests: 2_000,
        n_dropped: 0,
        duration: Duration::from_secs(10),
        little: Some(1.0),
        grade: Grade::Valid,
    }
}

/// Capacity 4 slots of 20 ms, p99 at most 50 ms.
pub(crate) fn found() -> FindOutcome {
    let late = FindWhy::Latency { limit_idx: 0 };
    let (plausible, passed) = (FindVerdict::Plausible, FindVerdict::Passed);
    let failed = FindVerdict::Failed(late);
    let trials = vec![
        trial(1.0, FindPhase::Baseline, plausible, 21 * MS),
        trial(2.0, FindPhase::Bracket, plausible, 21 * MS),
        trial(4.0, FindPhase::Bracket, plausible, 22 * MS),
        trial(8.0, FindPhase::Bracket, passed, 42 * MS),
        trial(16.0, FindPhase::Bracket, failed, 82 * MS),
        trial(11.0, FindPhase::Bisect, failed, 57 * MS),
        trial(9.0, FindPhase::Bisect, passed, 47 * MS),
        trial(9.0, FindPhase::Verify, passed, 47 * MS),
    ];
    FindOutcome {
        options: FindOptions {
            by: LoadUnit::Vus,
            from: 1.0,
            to: 2000.0,
            latency: vec![LatencyLimit {
                quantile: 0.99,
                limit_ns: 50 * MS,
            }],
            error_share_max: Some(0.01),
            deadline: None,
            quick: false,
            max_vus: 0,
        },
        start: samples::outcome(&[("tools/call", Some("echo"))]).start,
        ended: FindEnded::Found,
        sustains: Some(trials[7].clone()),
        passed: Some(trials[7].clone()),
        fails_at: Some(FindFailure {
            trial: trials[5].clone(),
            why: late,
            is_certain: true,
        }),
        fails_surely_at: Some(FindFailure {
            trial: trials[5].clone(),
            why: late,
            is_certain: true,
        }),
        trials,
        estimate: Some(FindEstimate {
            shortest: Duration::from_secs(150),
            longest: Duration::from_secs(700),
            requests_per_unit: 100,
            with_p95: None,
        }),
        elapsed: Duration::from_millis(191_200),
        generator_limit: None,
        verdicts: Vec::new(),
        tokens: None,
        n_foreign: 0,
        notices: vec!["a notice".to_string()],
    }
}

pub(in crate::report) fn report(outcome: &FindOutcome) -> FindReport {
    let info = BuildInfo {
        version: "0.1.0".to_string(),
        command_line: vec!["cargo-pmcp".to_string()],
        finished_at: Utc::from_unix_ms(1_795_000_000_000),
    };
    build_find(Value::Null, outcome, &info)
}
