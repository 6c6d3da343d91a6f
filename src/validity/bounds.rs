//! By how much the figures of a run may be wrong because of the machine that
//! made it: never what the server did, always what this program's own threads
//! could not do in time.
//!
//! A latency that we made longer is too high and never too low. Where `e` of the
//! calls are longer by more than `z`, a percentile `q` is too high by at most
//! `z + Q(q) − Q(q − e)`, `Q` being the percentiles as reported: all the others
//! are longer by `z` at most, and those `e` may all be ones that belong below. It
//! holds for each `z`; the least is told. How many calls a stop can have touched
//! is known from what the kernel counts: how often and for how long a thread had
//! no CPU, and how long the loop took.

use super::{Aftermath, LateEnd};
use crate::metrics::Histogram;

/// By how much figures may be wrong, for what this machine did. Nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Bounds {
    /// The latency from the first byte sent may be too high by as much.
    pub service: P50AndP99,
    /// The latency from the intended start; `None` where there is no such start.
    pub response: Option<P50AndP99>,
    /// Closed model: the share of the users' time for which their answers lay
    /// unread, 0 to 1. The rate may be too low by `share ÷ (1 − share)`.
    pub idle_share: Option<f64>,
    /// The last calls ended so late that the rate is lower than while load was offered:
    /// the server's doing, and the only bound that is.
    pub late_end: Option<LateEnd>,
}

/// By how much percentiles may be too high, in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct P50AndP99 {
    /// The median.
    pub p50_ns: u64,
    /// The 99th percentile.
    pub p99_ns: u64,
}

impl Bounds {
    /// Of the latency that stands for the run.
    pub fn headline(&self) -> P50AndP99 {
        self.response.unwrap_or(self.service)
    }

    /// By what part of itself the rate may be too low.
    pub fn rate_too_low(&self) -> Option<f64> {
        let share = self.idle_share?;
        (share < 1.0).then(|| share / (1.0 - share))
    }
}

/// What a run measured of itself, of which the bounds are made.
#[derive(Debug)]
pub struct Measured<'a> {
    /// Latency of successful calls, from the first byte sent.
    pub service: &'a Histogram,
    /// From the intended start, where there is one.
    pub response: Option<&'a Histogram>,
    /// Sent less the moment at which it could have been.
    pub lateness: &'a Histogram,
    /// The lateness is our own: few calls had to connect, at which a server may
    /// be slow.
    pub lateness_is_ours: bool,
    /// How long answers waited for our reading them, where the kernel timed them.
    pub unread: &'a Histogram,
    /// Arrivals had to wait for a user, of which one may have been busy only
    /// because we had not read its answer.
    pub was_pool_full: bool,
    /// How long workers' loops took.
    pub loop_time: &'a Histogram,
    /// The time of all workers together.
    pub wall_ns: u64,
    /// Of it, that for which they could have run and did not, since others had
    /// the CPU; `None`: this system does not tell.
    pub stopped_ns: Option<u64>,
    /// How often the CPU was taken from them, if the system tells, the
    /// hypervisor's doing aside.
    pub stops: Option<u64>,
    /// The time that the hypervisor took.
    pub stolen_ns: u64,
    /// The time for which they ran: they lost their CPU somewhere in it.
    pub running_ns: u64,
    /// Calls sent.
    pub calls: u64,
    /// The share of the reads that the kernel did not time, 0 to 1.
    pub untimed_share: f64,
    /// Closed model: all users' time together.
    pub user_time_ns: Option<f64>,
    /// The share of the time for which this process was stopped, as by Ctrl-Z, 0 to 1.
    pub frozen_share: f64,
    /// The queues of calls that began with our standing still.
    pub aftermath: Aftermath,
}

/// What an undisturbed run may be wrong by: the way through the kernel, and the
/// resolution of a histogram. `benches/accuracy` holds a quiet machine to it.
const QUIET: P50AndP99 = P50AndP99 {
    p50_ns: 50_000,
    p99_ns: 250_000,
};

/// Percentiles of a histogram are as wide as a thousandth of themselves.
const RESOLUTION_PART: u64 = 1_000;

/// The bounds of a run.
pub fn bounds(measured: &Measured<'_>) -> Bounds {
    let service = of_both(|q, quiet_ns| service_error(measured, q, quiet_ns));
    let response = measured.response.map(|response| {
        of_both(|q, quiet_ns| {
            let own = service_error(measured, q, quiet_ns);
            own.saturating_add(start_error(measured, response, q))
        })
    });
    Bounds {
        service,
        response,
        idle_share: idle_share(measured),
        late_end: None,
    }
}

fn of_both(error: impl Fn(f64, u64) -> u64) -> P50AndP99 {
    P50AndP99 {
        p50_ns: error(0.5, QUIET.p50_ns),
        p99_ns: error(0.99, QUIET.p99_ns),
    }
}

/// Of the latency from the first byte sent: a thread that loses its CPU between
/// its look at the clock and the kernel's taking the bytes, and answers that the
/// kernel did not time.
fn service_error(measured: &Measured<'_>, q: f64, quiet_ns: u64) -> u64 {
    let latency = measured.service;
    let resolution_ns = latency.quantile_ns(q).unwrap_or(0) / RESOLUTION_PART;
    let longest_ns = measured.loop_time.max_ns().unwrap_or(0);
    let sent = least(latency, q, longest_ns, |z| sent_late(measured, z));
    let read = match measured.untimed_share > 0.0 {
        true => least(latency, q, longest_ns, |z| {
            // As many as there are, or those that came while we did not look.
            measured.untimed_share * unlooked_share(measured, z)
        }),
        false => 0,
    };
    quiet_ns
        .max(resolution_ns)
        .saturating_add(sent)
        .saturating_add(read)
}

/// From the look at the clock until the kernel has the bytes.
const SENDING_NS: f64 = 4_000.0;

/// The share of the calls that can have been held up for more than `z` between
/// the look at the clock and the kernel. Each took more than `z` of a stop and of
/// a turn of the loop; a stop comes anywhere in the time that the worker runs,
/// and of that, calls are at this point for some microseconds each.
fn sent_late(measured: &Measured<'_>, z_ns: u64) -> f64 {
    let calls = measured.calls.max(1) as f64;
    let per_z = |ns: u64| match z_ns {
        0 => f64::INFINITY,
        z_ns => (ns / z_ns) as f64,
    };
    let stolen = match measured.stolen_ns {
        0 => 0.0,
        ns => per_z(ns),
    };
    let stopped = measured.stopped_ns.map_or(f64::INFINITY, per_z);
    let by_time = stopped + stolen;
    let by_count = measured
        .stops
        .map_or(f64::INFINITY, |stops| stops as f64 + stolen);
    let by_turns: f64 = match z_ns {
        0 => f64::INFINITY,
        _ => over(measured.loop_time, z_ns)
            .map(|(ns, count)| count as f64 * (ns / z_ns) as f64)
            .sum(),
    };
    let n_stops = by_time.min(by_count).min(by_turns);
    let sending = SENDING_NS * calls / measured.running_ns.max(1) as f64;
    let n_held = n_stops * sending.min(1.0);
    // As many as there may be by chance, at two standard deviations.
    const NONE: f64 = 0.05;
    let by_chance = match n_held > NONE {
        true => n_held + 2.0 * n_held.sqrt() + 1.0,
        false => 0.0,
    };
    by_chance.min(n_stops) / calls
}

/// The share of the time after which nobody would look for more than `z`.
fn unlooked_share(measured: &Measured<'_>, z_ns: u64) -> f64 {
    let in_turns: f64 = over(measured.loop_time, z_ns)
        .map(|(ns, count)| ns as f64 * count as f64)
        .sum();
    let stopped = (measured.stopped_ns.unwrap_or(0) + measured.stolen_ns) as f64;
    ((in_turns + stopped) / measured.wall_ns.max(1) as f64).min(1.0)
}

/// Of the latency from the intended start beside that: requests that left late,
/// and users that were not free because we had not read their answers, or had stood
/// still before. Had all left in time, none would have taken less than from its first
/// byte: nor would any percentile.
fn start_error(measured: &Measured<'_>, response: &Histogram, q: f64) -> u64 {
    let late = match measured.lateness_is_ours {
        true => share_least(response, q, measured.lateness),
        false => 0,
    };
    let unread = match measured.was_pool_full {
        true => share_least(response, q, measured.unread),
        false => 0,
    };
    let Aftermath {
        calls_share,
        longest_ns,
        ..
    } = measured.aftermath;
    let queued = least(response, q, longest_ns, |_| calls_share);
    let beyond_service = response
        .quantile_ns(q)
        .zip(measured.service.quantile_ns(q))
        .map_or(u64::MAX, |(response, service)| {
            response.saturating_sub(service)
        });
    late.saturating_add(unread)
        .saturating_add(queued)
        .min(beyond_service)
}

fn share_least(latency: &Histogram, q: f64, fault: &Histogram) -> u64 {
    let n_faults = fault.len().max(1) as f64;
    least(latency, q, fault.max_ns().unwrap_or(0), |z| {
        fault.count_over(z) as f64 / n_faults
    })
}

/// The least of `z + Q(q) − Q(q − e(z))` over some `z` up to the longest, beyond
/// which nothing is.
fn least(latency: &Histogram, q: f64, longest_ns: u64, e: impl Fn(u64) -> f64) -> u64 {
    const FIRST_NS: u64 = 4_096;
    let Some(reported_ns) = latency.quantile_ns(q) else {
        return 0;
    };
    let doubling = std::iter::successors(Some(FIRST_NS), |z| {
        // Steps of a half: finer than a bound needs to be.
        z.checked_add(z / 2)
    });
    let candidates = std::iter::once(0).chain(doubling.take_while(|z| *z < longest_ns));
    let shifted = candidates.filter_map(|z| {
        let e = e(z);
        // Written so that NaN is not below.
        let is_below = e >= 0.0 && e < q;
        let least_ns = is_below.then(|| latency.quantile_ns(q - e))??;
        Some(z.saturating_add(reported_ns.saturating_sub(least_ns)))
    });
    shifted.fold(longest_ns, u64::min)
}

/// The values above `z`, and how often each was.
fn over(histogram: &Histogram, z_ns: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
    histogram.recorded().filter(move |(ns, _)| *ns > z_ns)
}

fn idle_share(measured: &Measured<'_>) -> Option<f64> {
    let unread_ns = measured.unread.sum_ns() as f64;
    // Each user is at the server, waits for us, or pauses: at least the first two.
    let busy_ns = unread_ns + measured.service.sum_ns() as f64;
    let all_ns = measured.user_time_ns?.max(busy_ns);
    // A server that was stopped with us, as one in this process is, left no answer unread.
    let share = (unread_ns / all_ns).max(measured.frozen_share);
    (all_ns > 0.0 && !measured.unread.is_empty()).then(|| share.min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    const MS: u64 = 1_000_000;

    fn histogram(values: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::new();
        values.into_iter().for_each(|ns| histogram.record(ns));
        histogram
    }

    /// A thousand calls of about 5 ms each, on time, in quiet turns.
    struct Parts {
        service: Histogram,
        response: Histogram,
        lateness: Histogram,
        unread: Histogram,
        loop_time: Histogram,
    }

    fn quiet() -> Parts {
        let latencies = || (0..1_000).map(|i| 5 * MS + i * 1_000);
        Parts {
            service: histogram(latencies()),
            response: histogram(latencies()),
            lateness: histogram([20_000; 1_000]),
            unread: histogram([10_000; 1_000]),
            loop_time: histogram([15_000; 5_000]),
        }
    }

    impl Parts {
        fn measured(&self) -> Measured<'_> {
            Measured {
                service: &self.service,
                response: Some(&self.response),
                lateness: &self.lateness,
                lateness_is_ours: true,
                unread: &self.unread,
                was_pool_full: false,
                loop_time: &self.loop_time,
                wall_ns: 10_000 * MS,
                stopped_ns: Some(0),
                running_ns: 5 * MS,
                stops: Some(0),
                stolen_ns: 0,
                calls: 1_000,
                untimed_share: 0.0,
                user_time_ns: None,
                frozen_share: 0.0,
                aftermath: Aftermath::default(),
            }
        }
    }

    #[test]
    fn an_undisturbed_run_is_as_exact_as_a_quiet_machine() {
        let mut parts = quiet();
        let found = bounds(&parts.measured());
        assert_eq!(found.service, QUIET);
        // From their intended start calls took no longer than from the first byte:
        // whatever lateness there was, it is in no percentile.
        assert_eq!(found.response, Some(QUIET));
        // Each of a thousand requests left 20 us late, and shows it.
        parts.response = histogram((0..1_000).map(|i| 5 * MS + 25_000 + i * 1_000));
        let response = bounds(&parts.measured()).response.expect("intended starts");
        assert!(
            (20_000..=21_000).contains(&(response.p50_ns - QUIET.p50_ns)),
            "{response:?}"
        );
    }

    /// Users who are late because of us make others wait long after we run again.
    #[test]
    fn what_queued_after_a_stop_may_all_be_ours() {
        let mut parts = quiet();
        // Of a thousand calls a fifth waited for up to 1.5 s, and for few was a user free.
        let waits = (0..1_000).map(|i| 5 * MS + u64::saturating_sub(i, 800) * 7 * MS);
        parts.response = histogram(waits);
        (0..4).for_each(|_| parts.lateness.record(1_500 * MS));
        let stopped = |aftermath| {
            let measured = Measured {
                aftermath,
                ..parts.measured()
            };
            bounds(&measured).response.expect("intended starts").p99_ns
        };
        let p99_ns = parts.response.quantile_ns(0.99).expect("calls");
        assert!(stopped(Aftermath::default()) < p99_ns / 10);
        let found = stopped(Aftermath {
            calls_share: 0.3,
            longest_ns: 1_500 * MS,
            dropped: 0,
        });
        assert!((p99_ns - 10 * MS..=p99_ns).contains(&found), "{found}");
        // None waited longer for us than we stood still.
        let short = stopped(Aftermath {
            calls_share: 1.0,
            longest_ns: 500 * MS,
            dropped: 0,
        });
        assert!((500 * MS..550 * MS).contains(&short), "{short}");
    }

    #[test]
    fn few_stops_touch_few_calls() {
        let mut parts = quiet();
        // Ten turns in which the CPU was gone for 20 ms, of a thousand calls.
        (0..10).for_each(|_| parts.loop_time.record(20 * MS));
        let stopped = Measured {
            stops: Some(5),
            stopped_ns: Some(200 * MS),
            ..parts.measured()
        };
        let found = bounds(&stopped).service;
        // Half a percent of the calls: p99 is at worst p98.5.
        assert!(found.p99_ns <= QUIET.p99_ns + 10_000, "{found:?}");
        // Nobody told how often: as many as there were such turns.
        let unknown = Measured {
            stops: None,
            ..stopped
        };
        let found = bounds(&unknown).service;
        assert!(found.p99_ns > MS, "{found:?}");
    }

    #[test]
    fn late_starts_count_only_where_they_are_ours() {
        let mut parts = quiet();
        let late = |i| if i % 20 == 0 { 3 * MS } else { 20_000 };
        parts.lateness = histogram((0..1_000).map(late));
        parts.response = histogram((0..1_000).map(|i| 5 * MS + i * 1_000 + late(i)));
        let ours = bounds(&parts.measured()).response.expect("one");
        assert!((3 * MS..4 * MS).contains(&ours.p99_ns), "{ours:?}");
        assert!(ours.p50_ns < 200_000, "{ours:?}");
        let connecting = Measured {
            lateness_is_ours: false,
            ..parts.measured()
        };
        assert_eq!(bounds(&connecting).response, Some(QUIET));
    }

    #[test]
    fn answers_without_a_timestamp_contain_our_turns() {
        let mut parts = quiet();
        parts.loop_time = histogram([10 * MS; 900]);
        let blind = Measured {
            untimed_share: 1.0,
            ..parts.measured()
        };
        let found = bounds(&blind).service;
        assert!(found.p50_ns >= 10 * MS, "{found:?}");
        // A few of them move a percentile by a few ranks.
        let few = Measured {
            untimed_share: 0.002,
            ..parts.measured()
        };
        assert!(bounds(&few).service.p99_ns < MS, "{:?}", bounds(&few));
    }

    #[test]
    fn users_are_idle_while_their_answers_lie_unread() {
        let mut parts = quiet();
        parts.unread = histogram([5 * MS; 1_000]);
        let share = |user_time_ns| {
            let measured = Measured {
                user_time_ns,
                ..parts.measured()
            };
            bounds(&measured).idle_share
        };
        assert_eq!(share(None), None, "the open model");
        let closed = share(Some(1.0)).expect("a share");
        assert!((0.45..0.5).contains(&closed), "{closed}");
        // They think for most of the time.
        let thinking = share(Some(100_000.0 * MS as f64)).expect("a share");
        assert!((0.049..0.051).contains(&thinking), "{thinking}");
        let frozen = Measured {
            user_time_ns: Some(100_000.0 * MS as f64),
            frozen_share: 0.3,
            ..parts.measured()
        };
        assert_eq!(bounds(&frozen).idle_share, Some(0.3));
        let found = Bounds {
            idle_share: Some(0.2),
            ..Bounds::default()
        };
        assert_eq!(found.rate_too_low(), Some(0.25));
    }

    #[test]
    fn nothing_measured_bounds_nothing() {
        let empty = Histogram::new();
        let parts = quiet();
        let measured = Measured {
            service: &empty,
            response: None,
            lateness: &empty,
            unread: &empty,
            loop_time: &empty,
            calls: 0,
            wall_ns: 0,
            user_time_ns: Some(0.0),
            ..parts.measured()
        };
        let found = bounds(&measured);
        assert_eq!((found.service, found.idle_share), (QUIET, None));
    }

    proptest! {
        #![proptest_config(crate::seeds::cases(16, 256))]

        /// Whatever the server took and however late each request left: the
        /// reported percentile is within the bound of that of a punctual sender.
        #[test]
        fn no_lateness_exceeds_the_bound(
            calls in prop::collection::vec((1_u64..50 * MS, 0_u64..20 * MS), 100..400)
        ) {
            let mut parts = quiet();
            // What the server took for them, users' waits aside.
            parts.service = histogram(calls.iter().map(|(took, _)| took / 2));
            parts.response = histogram(calls.iter().map(|(took, late)| took + late));
            parts.lateness = histogram(calls.iter().map(|(_, late)| *late));
            let punctual = histogram(calls.iter().map(|(took, _)| *took));
            let found = bounds(&parts.measured()).response.expect("intended starts");
            for (q, bound_ns) in [(0.5, found.p50_ns), (0.99, found.p99_ns)] {
                let of = |histogram: &Histogram| histogram.quantile_ns(q).expect("calls");
                let (reported, truth) = (of(&parts.response), of(&punctual));
                // Buckets are a thousandth wide.
                let rounding = reported / RESOLUTION_PART;
                prop_assert!(reported <= truth + bound_ns + rounding, "{reported} {truth} {found:?}");
            }
        }
    }
}
