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

impl Judged {
    /// So much else went on that the row says little of a quiet machine.
    pub(crate) fn is_disturbed(&self) -> bool {
        const STOLEN_MAX: f64 = 0.005;
        const OTHERS_MAX: f64 = 0.03;
        const SERVER_LATE_US_MAX: f64 = 1_000.0;
        let is_over = |share: Option<f64>, most: f64| share.is_some_and(|share| share > most);
        is_over(self.noise.stolen, STOLEN_MAX)
            || is_over(self.noise.others, OTHERS_MAX)
            || self.frozen_secs == 0.0 && self.server_late_p99_us > SERVER_LATE_US_MAX
    }
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
        .map(|rate| Sorted::new(response_ns(calls, rate, report.least_late_us * 1e3)));
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
