//! Each row of the table fires where it should, and keeps silent on healthy runs
//! and on runs against slow, broken and overloaded servers.

use super::*;
use crate::load::LoadUnit;
use crate::metrics::{ReadTimes, WorkerUsage};

use std::time::Duration;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;

/// A run of ten seconds that can be changed.
#[derive(Clone)]
struct Run {
    evidence: Evidence<'static>,
    workers: Vec<WorkerEvidence>,
    seconds: Vec<SecondSignals>,
}

const QUIET: P50AndP99 = P50AndP99 {
    p50_ns: 50_000,
    p99_ns: 250_000,
};

/// Two workers, a fifth busy; 10,000 calls of 5 ms, five in flight.
fn healthy() -> Run {
    let usage = WorkerUsage {
        wall_ns: 10 * SECOND,
        busy_ns: 2 * SECOND,
        cpu_ns: Some(2 * SECOND + SECOND / 2),
        run_delay_ns: Some(100 * MS),
        involuntary_switches: Some(50),
        turn_max_ns: 251 * MS,
        in_flight_ns: 25 * u128::from(SECOND),
        in_flight_max: 5,
        ..WorkerUsage::default()
    };
    let worker = WorkerEvidence {
        usage,
        busy_poll: false,
    };
    let second = SecondSignals {
        busy_share: Some(0.25),
        run_delay_share: Some(0.02),
        turn_max_ns: 251 * MS,
        ..SecondSignals::default()
    };
    let spread = |p50_ns, p99_ns| Quantiles {
        count: 10_000,
        p50_ns,
        p99_ns,
        max_ns: 2 * p99_ns,
    };
    Run {
        evidence: Evidence {
            load_unit: LoadUnit::Vus,
            elapsed: Duration::from_secs(10),
            workers: &[],
            seconds: &[],
            ok: 10_000,
            failed: 0,
            cancelled: 0,
            connects: 10,
            service: spread(5 * MS, 9 * MS),
            headline: spread(5 * MS, 9 * MS),
            lateness: Quantiles::default(),
            generator_delay: spread(20_000, 400_000),
            unread_share: Some(0.01),
            loop_time: spread(15_000, 500_000),
            arrivals: 0,
            arrivals_dropped: 0,
            dropped_after_stalls: 0,
            in_flight_mean: Some(5.1),
            in_flight_by_latency: Some(5.0),
            resources: LocalResources {
                attempts: 10_010,
                users: 10,
                ..LocalResources::default()
            },
            steal_share: Some(0.01),
            throttled_share: Some(0.0),
            reads: ReadTimes {
                kernel: 20_000,
                user_space: 3,
                unusable: 0,
            },
            clock_steps: 0,
            clock_step_max_ns: 0,
            n_not_pinned: 0,
            usable_cpus: 4,
            was_stopped: false,
            bounds: Bounds {
                service: QUIET,
                response: None,
                idle_share: Some(0.01),
                late_end: None,
            },
            reference: None,
        },
        workers: vec![worker; 2],
        seconds: vec![second; 10],
    }
}

/// The same in the open model, with arrivals that are kept.
fn open() -> Run {
    let mut run = healthy();
    run.evidence.load_unit = LoadUnit::Rate;
    run.evidence.arrivals = 10_000;
    run.evidence.bounds = Bounds {
        service: QUIET,
        response: Some(QUIET),
        idle_share: None,
        late_end: None,
    };
    run.evidence.lateness = Quantiles {
        count: 10_000,
        p50_ns: 60_000,
        p99_ns: 200_000,
        max_ns: MS,
    };
    run
}

impl Run {
    fn with(mut self, change: impl FnOnce(&mut Evidence<'static>)) -> Self {
        change(&mut self.evidence);
        self
    }

    fn worker(mut self, change: impl FnOnce(&mut WorkerUsage)) -> Self {
        change(&mut self.workers[1].usage);
        self
    }

    /// The first `n` seconds are like that.
    fn seconds(mut self, n: usize, change: impl Fn(&mut SecondSignals)) -> Self {
        self.seconds[..n].iter_mut().for_each(change);
        self
    }

    fn verdict(&self) -> Verdict {
        let verdict = judge(&Evidence {
            workers: &self.workers,
            seconds: &self.seconds,
            ..self.evidence.clone()
        });
        let reasons = verdict.reasons.iter().map(|(_, reason)| reason);
        for reason in reasons.chain(&verdict.notes) {
            let text = reason.text();
            assert!(!text.ends_with('.') && !text.contains("  "), "{text}");
            assert!(!reason.figures().is_empty(), "{text}");
            let signals = reason.signals().iter().flat_map(Signal::figures);
            let mut figures = reason.figures().into_iter().chain(signals);
            assert!(figures.all(|(_, n)| n.is_finite()), "{text}");
            // With "suspect: " and the label it is one line of 80 columns.
            let cause = reason.cause();
            assert!(cause.len() <= 59 && !cause.is_empty(), "{cause}");
        }
        verdict
    }
}

/// It is found to be valid, and nothing is noted.
#[track_caller]
fn check_valid(run: &Run) {
    let verdict = run.verdict();
    assert_eq!((&*verdict.reasons, &*verdict.notes), (&[][..], &[][..]));
    assert_eq!(verdict.grade, Grade::Valid);
}

/// It is valid, and this is noted and nothing else.
#[track_caller]
fn check_note(run: &Run, id: &str, words: &str) {
    let verdict = run.verdict();
    assert_eq!(verdict.reasons, []);
    assert_eq!(verdict.grade, Grade::Valid);
    let found: Vec<_> = verdict.notes.iter().map(Reason::id).collect();
    assert_eq!(found, [id], "{verdict:?}");
    let text = verdict.notes[0].text();
    assert!(text.contains(words), "{text}");
}

/// It has this reason with this grade and no other; its text holds the words.
#[track_caller]
fn check(run: &Run, grade: Grade, id: &str, words: &str) {
    let verdict = run.verdict();
    let found: Vec<_> = verdict.reasons.iter().map(|(g, r)| (*g, r.id())).collect();
    assert_eq!(found, [(grade, id)], "{verdict:?}");
    assert_eq!(verdict.notes, []);
    assert_eq!(verdict.grade, grade);
    let text = verdict.reasons[0].1.text();
    assert!(text.contains(words), "{text}");
}

/// What the reason was seen by, the cause first.
#[track_caller]
fn check_signals(run: &Run, expected: &[&str]) {
    let verdict = run.verdict();
    let reasons = verdict.reasons.iter().map(|(_, reason)| reason);
    let reason = reasons.chain(&verdict.notes).next().expect("a reason");
    let found: Vec<_> = reason.signals().iter().map(Signal::id).collect();
    assert_eq!(found, expected, "{verdict:?}");
}

use Grade::{Invalid, Suspect};

impl Run {
    /// Percentiles may be too high by so much.
    fn too_high(self, p50_ns: u64, p99_ns: u64) -> Self {
        self.with(|e| {
            let error = P50AndP99 { p50_ns, p99_ns };
            e.bounds.service = error;
            e.bounds.response = e.bounds.response.map(|_| error);
        })
    }

    /// The kernel timed no answer.
    fn blind(self) -> Self {
        self.with(|e| {
            e.reads.kernel = 0;
            e.reads.user_space = 20_000;
        })
    }
}

#[test]
fn a_healthy_run_is_valid() {
    check_valid(&healthy());
    check_valid(&open());
}

/// Of whatever this machine did, only what it did to a figure counts.
#[test]
fn a_grade_is_that_of_the_figure_endangered() {
    let waiting = |run: Run| run.worker(|usage| usage.run_delay_ns = Some(6 * SECOND));
    let id = "host_busy";
    for run in [healthy(), open()] {
        check_note(&waiting(run.clone()), id, "worker 1 waited for a CPU 60%");
        check_note(&waiting(run.clone()), id, "too high by at most 250 us");
        // The p99 is 9 ms, the median 5 ms.
        let late = |p50, p99| waiting(run.clone()).too_high(p50, p99);
        check_note(
            &late(100_000, 1_700_000),
            id,
            "the figures hold: p99 is too high by at most 1.70 ms",
        );
        let text = "p99 (9.00 ms) may be too high by up to 1.90 ms";
        check(&late(100_000, 1_900_000), Suspect, id, text);
        check(
            &late(1_300_000, 2 * MS),
            Suspect,
            id,
            "p50 (5.00 ms) may be too high",
        );
        check(
            &late(3 * MS, 20 * MS),
            Invalid,
            id,
            "too high by up to 20.0 ms",
        );
        let verdict = late(100_000, 1_900_000).verdict();
        let cause = verdict.reasons[0].1.cause();
        assert_eq!(
            cause,
            "this host's CPUs were busy; p99 up to 1.90 ms too high"
        );
    }
    // Beside slow answers the same is nothing.
    let slow = waiting(healthy()).too_high(100_000, 9 * MS).with(|e| {
        e.headline.p50_ns = 200 * MS;
        e.headline.p99_ns = 400 * MS;
    });
    check_note(&slow, id, "the figures hold");
    // No signal is loud, and still the bound is known.
    let faint = open().too_high(100_000, 2 * MS);
    check(&faint, Suspect, id, "worker 1 waited for a CPU 1%");
    // Too few calls for such percentiles.
    let few = open()
        .too_high(3 * MS, 20 * MS)
        .with(|e| e.headline.count = 99);
    check_valid(&few);
}

#[test]
fn users_who_wait_for_us_are_not_the_load_that_was_asked_for() {
    let idle = |share| healthy().with(|e| e.bounds.idle_share = Some(share));
    check_valid(&idle(0.1));
    let text = "rate may be too low by up to 33.3%";
    check(&idle(0.25), Suspect, "host_busy", text);
    check(&idle(0.6), Suspect, "host_busy", "waited 60% of their time");
    check(&idle(0.7), Invalid, "host_busy", "waited 70% of their time");
    let full = |share| idle(share).worker(|usage| usage.busy_ns = 99 * SECOND / 10);
    check(&full(0.25), Suspect, "worker_busy", "use more workers");
    let cause = full(0.25).verdict().reasons[0].1.cause();
    assert_eq!(cause, "a worker was full; rate up to 33.3% too low");
    // No advice for workers that have no CPU to run on.
    let crowded = full(0.25).with(|e| e.usable_cpus = 2);
    let text = crowded.verdict().reasons[0].1.text();
    assert!(!text.contains("more workers"), "{text}");
}

/// A figure that holds is told with what it may be wrong by.
#[test]
fn a_note_tells_how_much_too_low_the_rate_may_be() {
    let text = |idle_share| {
        let waiting = healthy().worker(|usage| usage.run_delay_ns = Some(6 * SECOND));
        let run = waiting.with(|e| e.bounds.idle_share = idle_share);
        let verdict = run.verdict();
        assert_eq!(verdict.reasons, []);
        verdict.notes[0].text()
    };
    let seen = "worker 1 waited for a CPU 60% of the time, since other work had it";
    let holds = "the figures hold: p99 is too high by at most 250 us";
    let rate = "and the rate too low by at most";
    assert_eq!(text(Some(0.16)), format!("{seen}; {holds} {rate} 19%"));
    assert_eq!(text(Some(0.11)), format!("{seen}; {holds} {rate} 12.4%"));
    for little in [None, Some(0.0), Some(0.005)] {
        assert_eq!(text(little), format!("{seen}; {holds}"));
    }
}

/// What a host that is too busy left unsent, no server is blamed for.
#[test]
fn a_host_that_spoils_the_run_is_blamed_for_dropped_arrivals() {
    let starved = open().worker(|usage| usage.run_delay_ns = Some(797 * SECOND / 100));
    let dropping = starved.with(|e| e.arrivals_dropped = 4_060);
    let text = "dropped arrivals 40.6% (4,060 of 10,000) because of this machine";
    // The median is 5 ms.
    let late = dropping.clone().too_high(3 * MS, 90 * MS);
    check(&late, Invalid, "host_busy", text);
    let cause = late.verdict().reasons[0].1.cause();
    let first = "this host's CPUs were busy; 40.6% of arrivals dropped";
    assert_eq!(cause, first);
    let unread = dropping.clone().with(|e| e.unread_share = Some(0.2));
    check(&unread, Invalid, "host_busy", text);
    check(&dropping.clone().blind(), Invalid, "host_busy", text);
    // In time for all that: the server's.
    let verdict = dropping.verdict();
    assert_eq!((verdict.grade, verdict.reasons), (Grade::Valid, Vec::new()));
    assert!(verdict.notes[1].text().contains("the server is slower"));
}

#[test]
fn signals_of_one_cause_are_one_reason() {
    let crowded = |run: Run| {
        run.worker(|usage| {
            usage.busy_ns = 95 * SECOND / 10;
            usage.run_delay_ns = Some(3 * SECOND);
            usage.turn_max_ns = 700 * MS;
        })
        .with(|e| {
            e.loop_time.p99_ns = 12 * MS;
            e.generator_delay.p99_ns = 4 * MS;
        })
    };
    let seen = [
        "waiting_for_cpu",
        "worker_busy",
        "worker_stalled",
        "slow_reading",
        "long_loops",
    ];
    check_note(&crowded(healthy()), "host_busy", "waited for a CPU 30%");
    check_signals(&crowded(healthy()), &seen);
    let late = crowded(open()).too_high(100_000, 4 * MS).with(|e| {
        e.lateness.p99_ns = 4 * MS;
        e.throttled_share = Some(0.3);
        e.steal_share = Some(0.1);
    });
    check(&late, Suspect, "throttled", "CPU quota");
    let with_late = [
        "throttled",
        "waiting_for_cpu",
        "steal",
        "worker_busy",
        "worker_stalled",
        "slow_reading",
        "late_starts",
        "long_loops",
    ];
    check_signals(&late, &with_late);
    // The hypervisor took more than others here did.
    let stolen = crowded(open()).with(|e| e.steal_share = Some(0.5));
    check_note(&stolen, "steal", "hypervisor gave 50%");
}

#[test]
fn a_run_in_which_no_call_ended_answers_no_question() {
    let empty = |run: Run, cancelled| {
        run.with(|e| {
            e.ok = 0;
            e.cancelled = cancelled;
            e.service = Quantiles::default();
            e.headline = Quantiles::default();
            e.generator_delay = Quantiles::default();
            e.reads = ReadTimes::default();
        })
    };
    check(&empty(healthy(), 0), Invalid, "no_calls", "none was begun");
    let hung = empty(open(), 5);
    check(&hung, Invalid, "no_calls", "5 were cut off by the end");
    // A timeout is an end.
    let failed = empty(healthy(), 5).with(|e| e.failed = 1);
    check_valid(&failed);
}

/// What no server can do: be blamed on the generator.
#[test]
fn a_slow_server_is_not_blamed_on_the_generator() {
    let slow = |run: Run| {
        run.with(|e| {
            e.ok = 200;
            e.service.p50_ns = 2 * SECOND;
            e.service.p99_ns = 4 * SECOND;
            e.headline = e.service;
            e.in_flight_mean = Some(50.0);
            e.in_flight_by_latency = Some(49.0);
        })
    };
    check_valid(&slow(healthy()));
    check_valid(&slow(open()));
}

#[test]
fn a_dead_server_is_not_blamed_on_the_generator() {
    let dead = |run: Run| {
        run.with(|e| {
            e.ok = 0;
            e.failed = 300;
            e.connects = 300;
            for spread in [&mut e.service, &mut e.headline, &mut e.generator_delay] {
                *spread = Quantiles::default();
            }
            e.reads = ReadTimes::default();
        })
    };
    check_valid(&dead(healthy()));
    check_valid(&dead(open()));
}

/// Connections that are closed after each answer, and slow to be made: lateness
/// contains the connecting, and more calls are in flight than latencies explain.
#[test]
fn a_server_that_closes_connections_is_not_blamed_on_the_generator() {
    let run = open().with(|e| {
        e.connects = 10_000;
        e.lateness.p50_ns = 10 * MS;
        e.lateness.p99_ns = 50 * MS;
        e.in_flight_mean = Some(15.0);
    });
    check_valid(&run);
}

#[test]
fn a_server_at_capacity_drops_arrivals_and_nobody_is_blamed() {
    let full = |dropped| {
        open().with(|e| {
            e.arrivals_dropped = dropped;
            e.headline.p50_ns = SECOND;
        })
    };
    let id = "arrivals_dropped";
    check_note(&full(300), id, "dropped arrivals 3%");
    check_note(&full(300), id, "the server is slower");
    check_valid(&full(10));
    // A flood of bytes fills a worker, and others have its CPU: arrivals leave
    // in time and answers are read in time all the same.
    let busy = full(300).worker(|usage| {
        usage.busy_ns = 99 * SECOND / 10;
        usage.run_delay_ns = Some(5 * SECOND);
    });
    let verdict = busy.verdict();
    let ids: Vec<_> = verdict.notes.iter().map(Reason::id).collect();
    assert_eq!(
        (verdict.grade, &*ids),
        (Grade::Valid, &["host_busy", id][..])
    );
}

#[test]
fn a_busy_worker_limits_the_load() {
    let busy = |run: Run| run.worker(|usage| usage.busy_ns = 99 * SECOND / 10);
    let words = "worker 1 was busy 99% of the time; the figures hold: p99 is too high by at most \
                 250 us and the rate too low by at most 1%";
    check_note(&busy(healthy()), "worker_busy", words);
    check_note(&busy(open()), "worker_busy", "the figures hold: p99 is");
    // By CPU time, which counts the kernel's work too.
    let by_cpu = healthy().worker(|usage| usage.cpu_ns = Some(95 * SECOND / 10));
    check_note(&by_cpu, "worker_busy", "95%");
    // Without the kernel's timestamps its latencies are its own.
    let blind = busy(healthy()).blind();
    check(
        &blind,
        Invalid,
        "worker_busy",
        "latencies contain how long they waited",
    );
    check_valid(&healthy().worker(|usage| usage.busy_ns = 8 * SECOND));
}

#[test]
fn a_full_worker_that_drops_arrivals_blames_no_server() {
    let dropping = || {
        open().with(|e| {
            e.arrivals_dropped = e.arrivals / 3;
            e.lateness.p99_ns = 400 * MS;
        })
    };
    let all_along = dropping().worker(|usage| usage.busy_ns = 99 * SECOND / 10);
    let at_times = dropping().seconds(3, |second| second.busy_share = Some(0.99));
    for run in [all_along, at_times] {
        let text = "dropped arrivals 33.3% (3,333 of 10,000) because of this machine";
        check(&run, Invalid, "worker_busy", text);
        check(&run, Invalid, "worker_busy", "use more workers");
    }
    // It was not full, and yet answers lay here for longer than they took.
    let unread = open().with(|e| {
        e.arrivals_dropped = 3_000;
        e.unread_share = Some(0.6);
        e.throttled_share = Some(0.7);
    });
    check(&unread, Invalid, "throttled", "dropped arrivals 30%");
    let throttled = unread.with(|e| e.unread_share = Some(0.05));
    check(&throttled, Invalid, "throttled", "dropped arrivals 30%");
    // Users were late because this machine had stood still.
    let stalled = |after| {
        open()
            .with(|e| {
                e.arrivals_dropped = 3_000;
                e.dropped_after_stalls = after;
            })
            .seconds(1, |second| second.turn_max_ns = 1_500 * MS)
            .worker(|usage| usage.turn_max_ns = 1_500 * MS)
    };
    check(
        &stalled(1_500),
        Invalid,
        "worker_stalled",
        "dropped arrivals 30%",
    );
    assert_ne!(stalled(1_499).verdict().grade, Invalid);
}

#[test]
fn busy_polling_is_no_work() {
    let mut run = healthy().worker(|usage| usage.cpu_ns = Some(10 * SECOND));
    for worker in &mut run.workers {
        worker.busy_poll = true;
    }
    check_valid(&run);
    let busy = run.worker(|usage| usage.busy_ns = 95 * SECOND / 10);
    check_note(&busy, "worker_busy", "95%");
}

#[test]
fn busy_seconds_count_where_they_last() {
    let busy = |n| healthy().seconds(n, |second| second.busy_share = Some(0.99));
    check_valid(&busy(2));
    check_note(&busy(3), "worker_busy", "fully in 3 of 10 seconds");
}

#[test]
fn a_worker_without_a_cpu_is_starved() {
    let waiting = |ms| healthy().worker(|usage| usage.run_delay_ns = Some(ms * MS));
    let id = "host_busy";
    check_valid(&waiting(900));
    check_note(&waiting(1_500), id, "15% of the time");
    check_note(&waiting(5_000), id, "other work had it");
    let at_times = healthy().seconds(4, |second| second.run_delay_share = Some(0.3));
    check_note(&at_times, id, "waited for a CPU");
    // Nobody knows what it did where the kernel did not time the answers.
    check(&waiting(1_500).blind(), Suspect, id, "did not time 100%");
    check(&waiting(5_000).blind(), Invalid, id, "did not time 100%");
}

#[test]
fn switches_count_where_nothing_better_is_known() {
    let switched = |delay| {
        healthy().worker(|usage| {
            usage.run_delay_ns = delay;
            usage.involuntary_switches = Some(2_000);
        })
    };
    check_valid(&switched(Some(100 * MS)));
    check_note(&switched(None), "host_busy", "200 times a second");
    check(&switched(None).blind(), Suspect, "host_busy", "200 times");
}

#[test]
fn users_that_wait_for_checks_are_not_at_the_server() {
    let waiting = |part: u64| {
        healthy().worker(|usage| {
            usage.checks = 1000;
            usage.checks_waited_ns = usage.in_flight_ns as u64 / 100 * part;
        })
    };
    check_valid(&waiting(2));
    check_note(&waiting(10), "checks_behind", "for their checks");
    check(&waiting(50), Suspect, "checks_behind", "33.3%");
    check(&waiting(500), Invalid, "checks_behind", "83.3%");
}

#[test]
fn long_loops_delay_requests() {
    let long = |p99_ns| healthy().with(|e| e.loop_time.p99_ns = p99_ns);
    check_valid(&long(9 * MS));
    check_note(&long(12 * MS), "long_loops", "12.0 ms");
    check(&long(12 * MS).blind(), Suspect, "long_loops", "12.0 ms");
    // Beside slow answers they are short.
    check_valid(&long(12 * MS).with(|e| e.service.p50_ns = 100 * MS));
}

#[test]
fn answers_that_wait_for_us_are_ours() {
    let slow = |p99_ns| healthy().with(|e| e.generator_delay.p99_ns = p99_ns);
    check_valid(&slow(900_000));
    check_note(&slow(2 * MS), "slow_reading", "2.00 ms (p99)");
    check_valid(&slow(2 * MS).with(|e| e.service.p50_ns = 50 * MS));
    let longer = slow(9 * MS).with(|e| e.bounds.idle_share = Some(0.75));
    check(
        &longer,
        Invalid,
        "slow_reading",
        "75% of their time for this machine",
    );
}

#[test]
fn late_requests_are_ours() {
    let late = |p50_ns, p99_ns| {
        let run = open().with(|e| {
            e.lateness.p50_ns = p50_ns;
            e.lateness.p99_ns = p99_ns;
        });
        run.too_high(p50_ns, p99_ns)
    };
    check_valid(&late(100_000, 900_000));
    let id = "late_starts";
    check(&late(100_000, 2 * MS), Suspect, id, "2.00 ms (p99)");
    check(
        &late(3 * MS, 20 * MS),
        Invalid,
        id,
        "response times contain it",
    );
    let cause = late(100_000, 2 * MS).verdict().reasons[0].1.cause();
    assert_eq!(cause, "requests left late; p99 up to 2.00 ms too high");
}

#[test]
fn a_missed_rate_with_free_users_is_ours() {
    let behind = |n| {
        open().seconds(n, |second| {
            second.limit = Some(GeneratorLimit::Behind {
                share: 0.8,
                lateness_ns: 50 * MS,
            });
        })
    };
    let id = "behind_schedule";
    check(&behind(1), Suspect, id, "only 80%");
    check(&behind(2), Invalid, id, "in 2 of 10 seconds");
    let mut short = behind(1);
    short.seconds.truncate(1);
    check(&short, Suspect, id, "in the one whole second arrivals");
    let busy = behind(2).worker(|usage| usage.busy_ns = 10 * SECOND);
    check(
        &busy,
        Invalid,
        "worker_busy",
        "was not offered by this machine",
    );
    check_signals(&busy, &["worker_busy", id]);
}

#[test]
fn a_worker_that_stands_still_is_seen() {
    let stalled = |n| {
        let run = healthy().worker(|usage| usage.turn_max_ns = 700 * MS);
        run.seconds(n, |second| second.turn_max_ns = 700 * MS)
    };
    let id = "worker_stalled";
    check_note(&stalled(1), id, "for up to 700 ms");
    check_note(&stalled(3), id, "in 3 of 10 seconds");
    check(&stalled(1).blind(), Suspect, id, "for up to 700 ms");
    check(&stalled(3).blind(), Invalid, id, "in 3 of 10 seconds");
    let stopped = |n| stalled(n).with(|evidence| evidence.was_stopped = true);
    check_note(&stopped(1), id, "this process was stopped");
    let why = "without a stop";
    check(&stopped(3).blind(), Invalid, id, why);
    // In a run too short for a whole second.
    let mut short = stalled(0);
    short.seconds.clear();
    check_note(&short, id, "stood still for up to 700 ms; the figures hold");
    // A stall may be longer than the second that it is counted in.
    let long = stalled(1).worker(|usage| usage.turn_max_ns = 1_990 * MS);
    let text = long.verdict().notes[0].text();
    let words = "a worker stood still for up to 1.99 s; the figures";
    assert!(text.starts_with(words), "{text}");
    // It stood still before or after the load, which was shorter than that.
    let before = short.with(|e| e.elapsed = Duration::from_millis(600));
    check_note(&before, "short_run", "600ms");
}

#[test]
fn a_host_that_takes_its_cpus_back_is_seen() {
    let throttled = |share| healthy().with(|e| e.throttled_share = Some(share));
    check_note(&throttled(0.05), "throttled", "CPU quota");
    check_note(&throttled(0.8), "throttled", "80% of the time");
    check(
        &throttled(0.05).blind(),
        Suspect,
        "throttled",
        "raise the quota",
    );
    check(
        &throttled(0.8).blind(),
        Invalid,
        "throttled",
        "raise the quota",
    );
    let starved = throttled(0.8).with(|e| e.bounds.idle_share = Some(0.9));
    check(&starved, Invalid, "throttled", "too low by up to 10 times");
    let steal = |share| healthy().with(|e| e.steal_share = Some(share));
    check_note(&steal(0.07), "steal", "7%");
    check_note(&steal(0.3), "steal", "hypervisor");
    check(&steal(0.3).blind(), Invalid, "steal", "a dedicated host");
    let late = steal(0.3).too_high(50_000, 3 * MS);
    check(&late, Suspect, "steal", "too high by up to 3.00 ms");
    check_valid(&healthy().with(|e| {
        e.steal_share = None;
        e.throttled_share = None;
    }));
}

#[test]
fn missing_descriptors_and_ports_are_named() {
    let missing = |failures, users_without, which: &[LocalResource]| {
        let which = which.to_vec();
        healthy().with(|e| {
            e.failed = failures;
            e.resources.failures = failures;
            e.resources.users_without = users_without;
            e.resources.which = which;
        })
    };
    use LocalResource::{Memory, OpenFiles, Ports};
    let id = "no_local_resources";
    check(
        &missing(5, 0, &[OpenFiles]),
        Suspect,
        id,
        "ran out of open files: 5 of",
    );
    check(
        &missing(500, 0, &[Ports]),
        Invalid,
        id,
        "ip_local_port_range",
    );
    check(
        &missing(5, 2, &[Memory]),
        Invalid,
        id,
        "2 virtual users never",
    );
    check(
        &missing(5, 0, &[]),
        Suspect,
        id,
        "open files, ports or memory",
    );
    // Users that the server turned away.
    check_valid(&missing(0, 5, &[]));
    let name = LocalResource::of_message;
    assert_eq!(name("Too many open files (os error 24)"), Some(OpenFiles));
    assert_eq!(
        name("Cannot assign requested address (os error 99)"),
        Some(Ports)
    );
    assert_eq!(
        name("no memory for the stack of another call"),
        Some(Memory)
    );
    assert_eq!(name("Connection refused (os error 111)"), None);
}

#[test]
fn latencies_that_cannot_be_are_seen() {
    let gap = |in_flight| healthy().with(|e| e.in_flight_mean = Some(in_flight));
    check_valid(&gap(4.6));
    check(&gap(4.0), Suspect, "little", "Little's law");
    check(&gap(1.0), Invalid, "little", "1.0 calls were in flight");
    // More in flight than that is a matter of connecting and of open streams.
    check_valid(&gap(50.0));
    check_valid(&healthy().with(|e| {
        e.in_flight_mean = Some(0.1);
        e.in_flight_by_latency = Some(0.4);
    }));
}

#[test]
fn a_clock_that_was_set_is_told_of() {
    let stepped = healthy().with(|e| {
        e.clock_steps = 1;
        e.clock_step_max_ns = 2 * SECOND;
        e.reads.unusable = 12;
    });
    let id = "clock_stepped";
    check_note(&stepped, id, "12 answers were timed");
    let text = "p99 may be too high by up to 2.00 ms";
    let verdict = stepped.too_high(50_000, 2 * MS).verdict();
    let found = verdict.reasons.iter().find(|(_, r)| r.id() == id);
    let (grade, reason) = found.expect("told of");
    assert_eq!(*grade, Suspect);
    assert!(reason.text().contains(text), "{}", reason.text());
}

#[test]
fn latencies_without_kernel_timestamps_matter_where_loops_are_long() {
    let blind = |p50_ns, p99_ns| healthy().blind().too_high(p50_ns, p99_ns);
    check_valid(&blind(100_000, 400_000));
    let text = "p99 may be too high by up to 2.00 ms, and p50 by up to 1.00 ms";
    check(&blind(MS, 2 * MS), Suspect, "user_space_times", text);
    check(
        &blind(3 * MS, 9 * MS),
        Invalid,
        "user_space_times",
        "100% of the answers",
    );
}

#[test]
fn workers_that_move_are_told_of() {
    let moving = healthy().with(|e| e.n_not_pinned = 2);
    check_note(&moving, "not_pinned", "2 of 2 workers");
}

#[test]
fn little_data_is_suspect_at_most() {
    let few = healthy().with(|e| e.ok = 99);
    check_note(&few, "few_samples", "99 calls succeeded");
    let short = healthy().with(|e| e.elapsed = Duration::from_millis(400));
    check_note(&short, "short_run", "400ms");
    // Most of it was one call.
    let one_wave = short.with(|e| e.service.max_ns = 300 * MS);
    check(&one_wave, Suspect, "short_run", "change it by up to 75%");
}

#[test]
fn a_calibrated_host_knows_its_limits() {
    let reference = Reference {
        calls_per_sec_per_worker: 50_000.0,
        latency_noise_p50_ns: 30_000,
        latency_noise_p99_ns: 200_000,
        lateness_p99_ns: 100_000,
    };
    let calibrated = |run: Run| run.with(|e| e.reference = Some(reference));
    check_valid(&calibrated(healthy()));
    check_valid(&calibrated(open()));
    let fast = calibrated(healthy()).with(|e| e.ok = 850_000);
    check(&fast, Suspect, "near_calibrated_rate", "85%");
    let tiny = calibrated(healthy()).with(|e| {
        e.service.p50_ns = 50_000;
        e.headline.p50_ns = 50_000;
    });
    check(&tiny, Suspect, "at_noise_floor", "up to 30.0 us of it");
    let noisy = calibrated(open()).with(|e| {
        e.lateness.p99_ns = 2 * MS;
        e.headline.p50_ns = 100 * MS;
    });
    check_note(&noisy, "noisier_than_calibrated", "2.00 ms");
}

#[test]
fn what_nobody_could_measure_says_nothing() {
    let mut run = healthy();
    run.workers.clear();
    run.seconds.clear();
    let run = run.with(|e| {
        e.in_flight_mean = None;
        e.in_flight_by_latency = None;
        e.steal_share = None;
        e.throttled_share = None;
        e.reads = ReadTimes::default();
    });
    check_valid(&run);
}

#[test]
fn the_worst_reason_comes_first() {
    let run = healthy().with(|e| {
        e.n_not_pinned = 1;
        e.elapsed = Duration::from_millis(400);
        e.service.max_ns = 300 * MS;
        e.bounds.idle_share = Some(0.7);
        e.throttled_share = Some(0.5);
    });
    let verdict = run.verdict();
    let ids: Vec<_> = verdict.reasons.iter().map(|(_, r)| r.id()).collect();
    assert_eq!(ids, ["throttled", "short_run"]);
    assert_eq!(verdict.grade, Invalid);
    assert!(verdict.has("not_pinned") && !verdict.has("steal"));
}

#[test]
fn a_late_end_tells_how_much_too_low_the_rate_is() {
    let late = |after_secs: f64, rate_per_sec: f64| {
        healthy().with(|e| {
            e.bounds.late_end = Some(LateEnd {
                after_secs,
                rate_per_sec,
                goodput_per_sec: rate_per_sec,
            });
        })
    };
    check_note(&late(0.8, 1_100.0), "late_end", "too low by at most 10%");
    let long = late(4.8, 1_420.0);
    check(&long, Suspect, "late_end", "ended 4.8s after the load");
    check(
        &long,
        Suspect,
        "late_end",
        "was about 1,420/s, so that the rate (1,000/s)",
    );
    check(&long, Suspect, "late_end", "the server took so long");
    // Said once, where the run is too short for a rate anyhow.
    let short = long.with(|e| e.elapsed = Duration::from_millis(900));
    assert!(!short.verdict().has("late_end"));
}
