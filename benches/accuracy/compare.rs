//! A run against the server's record of it: figures side by side, and whether
//! the two speak of the same calls.

use super::generator::{Figures, Noise, Ran, Report};
use super::server::Served;
use super::truth::{Call, Sorted, response_ns};

/// A reported figure and the true one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pair {
    pub(crate) reported: f64,
    pub(crate) truth: f64,
}

impl Pair {
    /// By how much the report is above the truth.
    pub(crate) fn error(self) -> f64 {
        self.reported - self.truth
    }
}

/// The figures of one distribution, in microseconds, in the order of
/// [`FIGURES`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Comparison(pub(crate) [Pair; FIGURES.len()]);

/// What is compared.
pub(crate) const FIGURES: [&str; 6] = ["p50", "p90", "p99", "p99.9", "mean", "max"];
/// Where p50 is among the figures.
pub(crate) const P50: usize = 0;
/// Where p99 is.
pub(crate) const P99: usize = 2;

/// One run, judged.
#[derive(Debug, Clone)]
pub(crate) struct Judged {
    pub(crate) n_calls: u64,
    /// Arrivals given up.
    pub(crate) n_dropped: u64,
    pub(crate) calls_per_sec: f64,
    pub(crate) cpu_share: Option<f64>,
    /// From sent to the last byte.
    pub(crate) service: Comparison,
    /// From the intended start; `None` in the closed model, and where arrivals
    /// were dropped: which ones, the server cannot know.
    pub(crate) response: Option<Comparison>,
    /// The share above the limit, of responses or else of services.
    pub(crate) over: Option<Pair>,
    /// How long the server was frozen, in seconds; 0 if it never was.
    pub(crate) frozen_secs: f64,
    /// Length of the load, in seconds.
    pub(crate) seconds: f64,
    pub(crate) noise: Noise,
    /// How late the server's answers were by its own clock, at p99, in
    /// microseconds. Part of the truth, and a sign of a disturbed server.
    pub(crate) server_late_p99_us: f64,
}

/// Compares.
///
/// # Errors
/// The two do not speak of the same calls.
pub(crate) fn judge(
    ran: &Ran,
    served: &Served,
    rate_per_sec: Option<f64>,
    limit_ms: f64,
) -> Result<Judged, String> {
    let report = &ran.report;
    check_counts(report, served)?;
    let calls = &served.calls;
    let service = Sorted::new(calls.iter().map(Call::service_ns).collect());
    let response = rate_per_sec
        .filter(|_| report.dropped == 0)
        .map(|rate| Sorted::new(response_ns(calls, rate)));
    let late = Sorted::new(calls.iter().map(Call::late_ns).collect());
    let of_limit = match (&response, report.response) {
        (Some(response), Some(_)) => Some(response),
        (None, None) => Some(&service),
        _ => None,
    };
    let over = of_limit.and_then(|truth| {
        let (_, count) = report.over.iter().find(|(limit, _)| *limit == limit_ms)?;
        Some(Pair {
            reported: *count as f64 / report.ok as f64,
            truth: truth.share_over((limit_ms * 1e6) as u64),
        })
    });
    Ok(Judged {
        n_calls: report.ok,
        n_dropped: report.dropped,
        calls_per_sec: report.ok as f64 / report.seconds,
        cpu_share: ran.cpu_share,
        service: compare(&report.service, &service).ok_or("no calls")?,
        response: response
            .zip(report.response)
            .and_then(|(truth, reported)| compare(&reported, &truth)),
        over,
        frozen_secs: served.frozen.map_or(0.0, |frozen| frozen.as_secs_f64()),
        seconds: report.seconds,
        noise: ran.noise,
        server_late_p99_us: late.quantile(0.99).map_or(0.0, |ns| ns as f64 / 1e3),
    })
}

/// Every call that was begun succeeded, and the server answered just those.
fn check_counts(report: &Report, served: &Served) -> Result<(), String> {
    let Report {
        started,
        ok,
        failed,
        cancelled,
        ..
    } = *report;
    if started != ok + failed + cancelled {
        return Err(format!(
            "the report does not add up: {started} started, {ok} ok, {failed} failed, \
             {cancelled} cancelled"
        ));
    }
    if ok == 0 || failed + cancelled > 0 {
        return Err(format!(
            "{ok} calls succeeded, {failed} failed, {cancelled} were cancelled: \
             all must succeed to be compared"
        ));
    }
    let is_answered = |call: &&Call| call.answered_ns > 0;
    let n_answered = served.calls.iter().filter(is_answered).count();
    let (n_read, n_lost) = (served.calls.len(), served.n_lost);
    if n_read as u64 != ok || n_answered != n_read || n_lost > 0 {
        return Err(format!(
            "the report has {ok} calls, the server read {n_read}, answered {n_answered} and \
             lost {n_lost} answers"
        ));
    }
    Ok(())
}

fn compare(reported: &Figures, truth: &Sorted) -> Option<Comparison> {
    let us = |ns: u64| ns as f64 / 1e3;
    let quantile = |reported: f64, q: f64| {
        Some(Pair {
            reported,
            truth: us(truth.quantile(q)?),
        })
    };
    Some(Comparison([
        quantile(reported.p50_us, 0.5)?,
        quantile(reported.p90_us, 0.9)?,
        quantile(reported.p99_us, 0.99)?,
        quantile(reported.p99_9_us, 0.999)?,
        Pair {
            reported: reported.mean_us,
            truth: truth.mean()? / 1e3,
        },
        Pair {
            reported: reported.max_us,
            truth: us(truth.max()?),
        },
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const MS: u64 = 1_000_000;

    fn figures(us: f64) -> Figures {
        Figures {
            p50_us: us,
            p90_us: us,
            p99_us: us,
            p99_9_us: us,
            mean_us: us,
            max_us: us,
        }
    }

    /// Ten calls of 1 ms each, one every 2 ms, and a report of them.
    fn ten_calls() -> (Ran, Served) {
        let call = |k: u64| Call {
            received_ns: 2 * k * MS,
            read_ns: 2 * k * MS,
            due_ns: (2 * k + 1) * MS - 3_000,
            answered_ns: (2 * k + 1) * MS,
            handed_ns: (2 * k + 1) * MS + 5_000,
        };
        let report = Report {
            started: 10,
            ok: 10,
            failed: 0,
            cancelled: 0,
            dropped: 0,
            seconds: 0.02,
            service: figures(1010.0),
            response: Some(figures(1020.0)),
            over: vec![(0.5, 10), (1.0, 0)],
        };
        let ran = Ran {
            report,
            cpu_share: Some(0.3),
            noise: Noise::default(),
        };
        let served = Served {
            calls: (0..10).map(call).collect(),
            frozen: Some(Duration::from_secs(2)),
            n_lost: 0,
        };
        (ran, served)
    }

    #[test]
    fn errors_are_reported_less_true() {
        let (ran, served) = ten_calls();
        let judged = judge(&ran, &served, Some(500.0), 0.5).expect("they agree");
        for (pair, name) in judged.service.0.into_iter().zip(FIGURES) {
            assert_eq!((pair.truth, pair.error()), (1000.0, 10.0), "{name}");
        }
        let response = judged.response.expect("an open model");
        assert_eq!(response.0[P99].error(), 20.0);
        let over = judged.over.expect("such a limit");
        assert_eq!((over.reported, over.truth), (1.0, 1.0));
        assert_eq!(judged.server_late_p99_us, 3.0);
        assert_eq!(judged.calls_per_sec, 500.0);
    }

    #[test]
    fn a_call_too_many_or_too_few_is_noticed() {
        let check = |change: fn(&mut Ran, &mut Served), expected: &str| {
            let (mut ran, mut served) = ten_calls();
            change(&mut ran, &mut served);
            let error = judge(&ran, &served, Some(500.0), 0.5).expect_err("they differ");
            assert!(error.contains(expected), "{error}");
        };
        check(|ran, _| ran.report.started = 11, "does not add up");
        check(
            |ran, _| (ran.report.ok, ran.report.failed) = (9, 1),
            "all must succeed",
        );
        check(
            |_, served| served.calls.truncate(9),
            "10 calls, the server read 9",
        );
        check(|_, served| served.calls[3].answered_ns = 0, "answered 9");
        check(|_, served| served.n_lost = 1, "lost 1");
    }

    #[test]
    fn responses_are_not_judged_where_arrivals_were_dropped() {
        let (mut ran, served) = ten_calls();
        ran.report.dropped = 1;
        let judged = judge(&ran, &served, Some(500.0), 0.5).expect("they agree");
        assert_eq!((judged.response, judged.over), (None, None));
    }

    #[test]
    fn a_closed_model_is_judged_by_its_service_times() {
        let (mut ran, served) = ten_calls();
        ran.report.response = None;
        let judged = judge(&ran, &served, None, 1.0).expect("they agree");
        assert_eq!(judged.response, None);
        assert_eq!(judged.over.map(Pair::error), Some(0.0));
    }
}
