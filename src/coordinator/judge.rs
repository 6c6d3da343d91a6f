//! From what a run recorded to the evidence that it is judged by.

use std::time::Duration;

use super::signals::Signals;
use crate::load::LoadUnit;
use crate::metrics::{
    ConnectFailure, Failure, Histogram, ReadTimes, Recorder, RowStats, WorkerUsage,
};
use crate::outcome::{Row, RowKind, Rows, Second, SelfCheck};
use crate::scenario::Plan;
use crate::units::nanos;
use crate::validity::{
    Aftermath, Bounds, Evidence, LateEnd, LoadSecond, LocalResource, LocalResources, Measured,
    Quantiles, RateSecond, SecondSignals, Verdict, WorkerEvidence, bounds, is_stall, judge,
    last_busy, lateness_is_ours,
};

/// What is judged.
pub(super) struct Recorded<'a> {
    pub(super) plan: &'a Plan,
    pub(super) rows: &'a [Row],
    /// Without the warm-up.
    pub(super) totals: &'a Recorder,
    pub(super) warm_up: Option<&'a Recorder>,
    pub(super) signals: &'a Signals,
    pub(super) seconds: &'a [Second],
    pub(super) elapsed: Duration,
    /// Of the time that the workers were measured for, that before the first call.
    pub(super) unbegun: Duration,
    /// When the load that counts began and ended.
    pub(super) load: (Duration, Duration),
    /// Until when it was offered, where time or a stop ended it.
    pub(super) offered_until: Option<Duration>,
    /// From the start of the load, warm-up included, to the moment after which no
    /// call was in flight.
    pub(super) in_flight_for: Duration,
    /// Which workers are pinned.
    pub(super) worker_cpus: &'a [Option<usize>],
    pub(super) vus_max: u32,
    pub(super) users_without: u32,
    /// How often this process was stopped and went on.
    pub(super) n_resumed: u32,
}

impl Recorded<'_> {
    /// The figures of the self-check, and what they say.
    pub(super) fn judge(&self) -> (SelfCheck, Verdict) {
        let self_check = self.self_check();
        let seconds: Vec<SecondSignals> = self
            .seconds
            .iter()
            .filter(|second| self.is_judged(second))
            .map(|second| second.signals)
            .collect();
        let workers: Vec<WorkerEvidence> = self_check
            .workers
            .iter()
            .map(|usage| WorkerEvidence {
                usage: *usage,
                busy_poll: self.plan.workers.busy_poll,
            })
            .collect();
        let calls = Rows::new(self.rows, self.totals).totals();
        let headline = headline(&calls, self.plan.has_intended_starts());
        let load_unit = self.plan.load.unit();
        let n_pinned = self.worker_cpus.iter().flatten().count();
        let counters = &self.totals.counters;
        let aftermath = self.aftermath();
        let verdict = judge(&Evidence {
            load_unit,
            elapsed: self.elapsed,
            workers: &workers,
            seconds: &seconds,
            ok: calls.ok,
            failed: calls.failed,
            cancelled: calls.cancelled,
            connects: self.signals.connects,
            service: Quantiles::of(&calls.service_ok),
            headline: Quantiles::of(headline),
            lateness: Quantiles::of(&self.totals.lateness),
            generator_delay: Quantiles::of(&self.totals.generator_delay),
            unread_share: self.unread_share(&calls),
            loop_time: Quantiles::of(&self.totals.loop_time),
            arrivals: counters.arrivals,
            arrivals_dropped: counters.arrivals_dropped,
            dropped_after_stalls: aftermath.dropped,
            in_flight_mean: self_check.in_flight_whole,
            in_flight_by_latency: self_check.in_flight_by_latency,
            resources: self.resources(&calls),
            steal_share: self_check.steal_share,
            throttled_share: self_check.throttled_share,
            reads: self_check.reads,
            clock_steps: self_check.clock_steps,
            clock_step_max_ns: self_check.clock_step_max_ns,
            n_not_pinned: match self.plan.workers.pin {
                true => self.worker_cpus.len() - n_pinned,
                false => 0,
            },
            usable_cpus: usable_cpus(),
            was_stopped: self.n_resumed > 0,
            bounds: Bounds {
                late_end: self.late_end(calls.finished()),
                ..self.bounds(&self_check, &calls, load_unit, aftermath)
            },
            reference: self.plan.reference,
        });
        (self_check, verdict)
    }

    /// By how much the figures may be wrong.
    fn bounds(
        &self,
        self_check: &SelfCheck,
        calls: &RowStats,
        load_unit: LoadUnit,
        aftermath: Aftermath,
    ) -> Bounds {
        let workers = &self_check.workers;
        let sum = |figure: fn(&WorkerUsage) -> Option<u64>| -> Option<u64> {
            workers.iter().map(figure).sum()
        };
        let wall_ns: u64 = workers.iter().map(|usage| usage.wall_ns).sum();
        let of_wall = |share: Option<f64>| (share.unwrap_or(0.0) * wall_ns as f64) as u64;
        // A quota may stop a thread without its being told of as a wait.
        let throttled_ns = of_wall(self_check.throttled_share);
        let busy_ns = workers.iter().map(|usage| usage.busy_ns).sum();
        let response = calls.response_ok.as_ref();
        let users_secs = self.users_mean() * self.elapsed.as_secs_f64();
        bounds(&Measured {
            service: &calls.service_ok,
            response: response.filter(|_| self.plan.has_intended_starts()),
            lateness: &self.totals.lateness,
            lateness_is_ours: lateness_is_ours(self.signals.connects, calls.ok + calls.failed),
            unread: &self.totals.generator_delay,
            was_pool_full: load_unit == LoadUnit::Rate && self.was_pool_full(),
            loop_time: &self.totals.loop_time,
            wall_ns,
            stopped_ns: sum(|usage| usage.run_delay_ns).map(|ns| ns + throttled_ns),
            running_ns: sum(|usage| usage.cpu_ns).unwrap_or(busy_ns),
            stops: sum(|usage| usage.involuntary_switches),
            stolen_ns: of_wall(self_check.steal_share),
            calls: calls.started,
            untimed_share: self_check.reads.fallback_share().unwrap_or(0.0),
            user_time_ns: (load_unit == LoadUnit::Vus).then_some(users_secs * 1e9),
            frozen_share: match self.n_resumed {
                0 => 0.0,
                _ => self.still_share(workers),
            },
            aftermath,
        })
    }

    /// What the last calls alone did to the rate.
    fn late_end(&self, finished: u64) -> Option<LateEnd> {
        // A warm-up that ended within a second leaves the rest of it out.
        let is_of_load = |second: &&Second| self.signals.is_measured(second.at);
        let seconds: Vec<RateSecond> = self
            .seconds
            .iter()
            .filter(is_of_load)
            .map(|second| RateSecond {
                at: second.at,
                length: second.length,
                begun: second.signals.begun,
                in_flight_mean: second.signals.in_flight_mean,
                ok: second.ok,
                finished: second.ok + second.failed,
            })
            .collect();
        let offered_until = self.offered_until.unwrap_or_else(|| last_busy(&seconds));
        LateEnd::of(&seconds, self.load, offered_until, finished)
    }

    /// What followed when this machine stood still, in shorter last seconds too.
    fn aftermath(&self) -> Aftermath {
        let measured = |second: &&Second| self.signals.is_measured(second.at);
        Aftermath::of(
            self.seconds
                .iter()
                .filter(measured)
                .map(|second| LoadSecond {
                    turn_max_ns: second.signals.turn_max_ns,
                    in_flight_max: second.signals.in_flight_max,
                    vus: u64::from(second.vus),
                    started: second.started,
                    dropped: second.dropped,
                }),
        )
    }

    /// The share of the time for which some worker stood still.
    fn still_share(&self, workers: &[WorkerUsage]) -> f64 {
        let judged = self.seconds.iter().filter(|second| self.is_judged(second));
        // Each is of the second that it ended in, which may be no whole one.
        let turns = judged.map(|second| second.signals.turn_max_ns);
        let in_seconds: u64 = turns.filter(|ns| is_stall(*ns)).sum();
        let longest = workers.iter().map(|usage| usage.turn_max_ns);
        let longest = longest.filter(|ns| is_stall(*ns)).max().unwrap_or(0);
        let still_ns = in_seconds.max(longest);
        (still_ns as f64 / nanos(self.elapsed).max(1) as f64).min(1.0)
    }

    /// Virtual users over the time that counts, the mean.
    fn users_mean(&self) -> f64 {
        let judged = self.seconds.iter().filter(|second| self.is_judged(second));
        let (mut sum, mut n_seconds) = (0.0, 0.0);
        for second in judged {
            sum += f64::from(second.vus);
            n_seconds += 1.0;
        }
        match n_seconds > 0.0 {
            true => sum / n_seconds,
            // Too short for a whole second.
            false => f64::from(self.vus_max),
        }
    }

    /// Whether arrivals had to wait for a user.
    fn was_pool_full(&self) -> bool {
        let counters = &self.totals.counters;
        counters.arrivals_dropped > 0
            || self
                .seconds
                .iter()
                .any(|second| second.signals.in_flight_max >= u64::from(second.vus))
    }

    /// Of the time that calls were in flight, the share for which they lay unread.
    fn unread_share(&self, calls: &RowStats) -> Option<f64> {
        let unread = &self.totals.generator_delay;
        let unread_ns = unread.sum_ns() as f64;
        let failed = calls.service_failed.as_ref();
        let at_server_ns = calls.service_ok.sum_ns() + failed.map_or(0, |failed| failed.sum_ns());
        let all_ns = unread_ns + at_server_ns as f64;
        (!unread.is_empty() && all_ns > 0.0).then(|| unread_ns / all_ns)
    }

    /// Whole seconds of the load that counts.
    fn is_judged(&self, second: &Second) -> bool {
        second.length >= Duration::from_secs(1)
            && self.signals.is_measured(second.at)
            && self.signals.is_measured(second.at + second.length)
    }

    fn self_check(&self) -> SelfCheck {
        let workers = &self.signals.measured;
        let whole = &self.signals.whole;
        let mut reads = ReadTimes::default();
        whole.iter().for_each(|usage| reads.merge(&usage.reads));
        let most = |figure: fn(&WorkerUsage) -> u64| whole.iter().map(figure).max().unwrap_or(0);
        // The workers live on while sessions are ended, without a call in flight.
        let load_ns = self.in_flight_for.as_nanos();
        let per_time = |sum_ns: u128| (load_ns > 0).then(|| sum_ns as f64 / load_ns as f64);
        let unbegun_ns = nanos(self.unbegun);
        let means = workers.iter().filter_map(|usage| {
            let of_load = WorkerUsage {
                wall_ns: usage.wall_ns.saturating_sub(unbegun_ns),
                ..*usage
            };
            // Within a turn of the loop the number is taken to change evenly, which may
            // count the turn of the first calls a little too high.
            let most = usage.in_flight_max as f64;
            of_load.in_flight_mean().map(|mean| mean.min(most))
        });
        let judged = || self.seconds.iter().filter(|second| self.is_judged(second));
        let mean = |share: fn(&SecondSignals) -> Option<f64>| {
            let shares: Vec<f64> = judged().filter_map(|s| share(&s.signals)).collect();
            let sum: f64 = shares.iter().sum();
            // Too short for a whole second: what there is.
            let any = || self.seconds.iter().find_map(|s| share(&s.signals));
            (!shares.is_empty())
                .then(|| sum / shares.len() as f64)
                .or_else(any)
        };
        SelfCheck {
            workers: workers.clone(),
            in_flight_mean: means.reduce(|a, b| a + b),
            in_flight_max: workers.iter().map(|usage| usage.in_flight_max).sum(),
            in_flight_whole: per_time(whole.iter().map(|usage| usage.in_flight_ns).sum()),
            in_flight_by_latency: per_time(self.latency_sum_ns()),
            steal_share: mean(|signals| signals.steal_share),
            // The kernel counts a stop when it ends: one that began before is in it, too.
            throttled_share: mean(|signals| signals.throttled_share).map(|share| share.min(1.0)),
            reads,
            // Each worker notices each step.
            clock_steps: most(|usage| usage.clock_steps),
            clock_step_max_ns: most(|usage| usage.clock_step_max_ns),
            limited_seconds: judged().filter(|s| s.signals.limit.is_some()).count(),
        }
    }

    /// All time that calls took, however they ended, those of the warm-up too.
    fn latency_sum_ns(&self) -> u128 {
        let recorders = [Some(self.totals), self.warm_up].into_iter().flatten();
        let calls = recorders.flat_map(|recorder| Rows::new(self.rows, recorder).in_totals());
        calls
            .map(|(_, stats)| {
                let others = [&stats.service_failed, &stats.cancelled_age];
                let others = others.into_iter().flatten();
                stats.service_ok.sum_ns() + others.map(|h| h.sum_ns()).sum::<u128>()
            })
            .sum()
    }

    fn resources(&self, calls: &RowStats) -> LocalResources {
        let missing = local_failures;
        let handshakes = Rows::new(self.rows, self.totals).sum_of(RowKind::Handshake);
        let handshakes = handshakes.unwrap_or_default();
        // The server turned users away: that is not our fault.
        let is_ours = 2 * missing(&handshakes) > handshakes.failed;
        let examples = &self.totals.examples;
        let messages = [&examples.calls, &examples.sessions].map(|of| of.of(MISSING));
        let mut which: Vec<LocalResource> = messages
            .into_iter()
            .flatten()
            .filter_map(|message| LocalResource::of_message(message))
            .collect();
        which.sort_unstable();
        which.dedup();
        LocalResources {
            failures: missing(calls) + missing(&handshakes),
            attempts: calls.finished() + handshakes.finished(),
            users_without: if is_ours {
                u64::from(self.users_without)
            } else {
                0
            },
            users: u64::from(self.vus_max),
            which,
        }
    }
}

/// CPUs that more workers could use: by affinity mask and quota.
fn usable_cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

const MISSING: Failure = Failure::Connect(ConnectFailure::NoResources);

/// Requests that failed for want of open files, ports or memory of this machine.
pub(super) fn local_failures(row: &RowStats) -> u64 {
    if row.failed == 0 {
        return 0;
    }
    let ranked = row.failures.ranked().into_iter();
    let mut found = ranked.filter(|(failure, _)| *failure == MISSING);
    found.next().map_or(0, |(_, count)| count)
}

/// The latency that counts: from the intended start where there is one.
pub(super) fn headline(row: &RowStats, is_response: bool) -> &Histogram {
    match &row.response_ok {
        Some(response) if is_response => response,
        _ => &row.service_ok,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Outcome;
    use crate::scenario::{Overrides, load};

    const MS: u64 = 1_000_000;
    const CALL: usize = 0;
    const HANDSHAKE: usize = 1;

    fn plan() -> Plan {
        let overrides = Overrides {
            url: Some("http://127.0.0.1:1/mcp".to_string()),
            tool: Some(("echo".to_string(), None)),
            ..Overrides::default()
        };
        load(None, &overrides, &|_| None, 1).expect("a plan without faults")
    }

    /// Two seconds of one worker, with ten calls in flight.
    fn judge_recorded(totals: &Recorder, users_without: u32) -> (SelfCheck, Verdict) {
        judge_begun(totals, users_without, Duration::ZERO)
    }

    /// The same, where the first call began so much later.
    fn judge_begun(
        totals: &Recorder,
        users_without: u32,
        unbegun: Duration,
    ) -> (SelfCheck, Verdict) {
        let row = |kind| Row::new(kind, "m");
        let mut signals = Signals::new(1, Duration::ZERO, false);
        let usage = WorkerUsage {
            wall_ns: 250 * MS,
            in_flight_ns: 10 * 250 * u128::from(MS),
            in_flight_max: 24,
            reads: ReadTimes {
                kernel: 100,
                ..ReadTimes::default()
            },
            clock_steps: 0,
            ..WorkerUsage::default()
        };
        for number in 1..=8 {
            signals.take(number, 0, &usage, totals);
        }
        Recorded {
            plan: &plan(),
            rows: &[row(RowKind::Call), row(RowKind::Handshake)],
            totals,
            warm_up: None,
            signals: &signals,
            seconds: &[],
            elapsed: Duration::from_secs(2) - unbegun,
            load: (unbegun, Duration::from_secs(2)),
            offered_until: None,
            unbegun,
            in_flight_for: Duration::from_secs(2) - unbegun,
            worker_cpus: &[Some(0)],
            vus_max: 10,
            users_without,
            n_resumed: 0,
        }
        .judge()
    }

    #[test]
    fn all_calls_count_for_littles_law_however_they_ended() {
        let mut totals = Recorder::new(2);
        (0..1_000).for_each(|_| totals.record(CALL, 10 * MS, Outcome::Ok));
        let failed = Outcome::Failed(Failure::Tool, "");
        totals.record(CALL, 4_000 * MS, failed);
        totals.record(CALL, 2_000 * MS, Outcome::Cancelled);
        totals.record(HANDSHAKE, 1_000 * MS, Outcome::Ok);
        let (check, verdict) = judge_recorded(&totals, 0);
        assert_eq!(check.in_flight_by_latency, Some(8.0));
        assert_eq!(check.in_flight_whole, Some(10.0));
        assert_eq!(
            (check.in_flight_mean, check.in_flight_max),
            (Some(10.0), 24)
        );
        assert_eq!(verdict.reasons, []);
        // Latencies of more than the ten calls that were in flight.
        (0..1_000).for_each(|_| totals.record(CALL, 10 * MS, Outcome::Ok));
        let (_, verdict) = judge_recorded(&totals, 0);
        assert!(verdict.has("little"), "{verdict:?}");
    }

    #[test]
    fn no_call_was_in_flight_before_the_first() {
        let mut totals = Recorder::new(2);
        (0..1_000).for_each(|_| totals.record(CALL, 20 * MS, Outcome::Ok));
        let (check, _) = judge_begun(&totals, 0, Duration::from_secs(1));
        let twenty = Some(20.0);
        assert_eq!(
            (check.in_flight_mean, check.in_flight_whole),
            (twenty, twenty)
        );
        assert_eq!(check.in_flight_by_latency, twenty);
    }

    #[test]
    fn what_ran_out_is_taken_from_the_messages() {
        let with = |message: &str, n_other: u64| {
            let mut totals = Recorder::new(2);
            (0..1_000).for_each(|_| totals.record(CALL, MS, Outcome::Ok));
            let missing = Failure::Connect(ConnectFailure::NoResources);
            let missing = Outcome::Failed(missing, message);
            totals.record(HANDSHAKE, MS, missing);
            for _ in 0..n_other {
                let full = Failure::Http {
                    status: 503,
                    rpc_code: None,
                };
                totals.record(HANDSHAKE, MS, Outcome::Failed(full, ""));
            }
            judge_recorded(&totals, 5).1
        };
        let verdict = with("Too many open files (os error 24)", 0);
        let (grade, reason) = &verdict.reasons[0];
        assert_eq!(*grade, crate::validity::Grade::Invalid);
        assert!(reason.text().contains("open files"), "{}", reason.text());
        assert!(
            reason.text().contains("5 virtual users"),
            "{}",
            reason.text()
        );
        // It was the server that turned the users away.
        let verdict = with("Too many open files (os error 24)", 9);
        assert_eq!(verdict.grade, crate::validity::Grade::Suspect);
        assert!(!verdict.reasons[0].1.text().contains("virtual users never"));
    }
}
