//! Each row of the table fires where it should, and keeps silent on healthy runs
//! and on runs against slow, broken and overloaded servers.

use super::*;
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
    let spread = |p50_ns, p99_ns| Spread {
        count: 10_000,
        p50_ns,
        p99_ns,
        max_ns: 2 * p99_ns,
    };
    Run {
        evidence: Evidence {
            model: Model::Closed,
            elapsed: Duration::from_secs(10),
            workers: &[],
            seconds: &[],
            ok: 10_000,
            failed: 0,
            connects: 10,
            service: spread(5 * MS, 9 * MS),
            headline: spread(5 * MS, 9 * MS),
            lateness: Spread::default(),
            generator_delay: spread(20_000, 400_000),
            loop_time: spread(15_000, 500_000),
            arrivals: 0,
            arrivals_dropped: 0,
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
            reference: None,
        },
        workers: vec![worker; 2],
        seconds: vec![second; 10],
    }
}

/// The same in the open model, with arrivals that are kept.
fn open() -> Run {
    let mut run = healthy();
    run.evidence.model = Model::Open;
    run.evidence.arrivals = 10_000;
    run.evidence.lateness = Spread {
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
        for (_, reason) in &verdict.reasons {
            let text = reason.text();
            assert!(!text.ends_with('.') && !text.contains("  "), "{text}");
            assert!(!reason.figures().is_empty(), "{text}");
            assert!(
                reason.figures().iter().all(|(_, n)| n.is_finite()),
                "{text}"
            );
        }
        verdict
    }
}

/// It is found to be valid.
#[track_caller]
fn check_valid(run: &Run) {
    let verdict = run.verdict();
    assert_eq!(verdict.reasons, [], "{verdict:?}");
    assert_eq!(verdict.grade, Grade::Valid);
}

/// It has this reason with this grade and no other; its text holds the words.
#[track_caller]
fn check(run: &Run, grade: Grade, id: &str, words: &str) {
    let verdict = run.verdict();
    let found: Vec<_> = verdict.reasons.iter().map(|(g, r)| (*g, r.id())).collect();
    assert_eq!(found, [(grade, id)], "{verdict:?}");
    assert_eq!(verdict.grade, grade);
    let text = verdict.reasons[0].1.text();
    assert!(text.contains(words), "{text}");
}

use Grade::{Invalid, Suspect};

#[test]
fn a_healthy_run_is_valid() {
    check_valid(&healthy());
    check_valid(&open());
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
                *spread = Spread::default();
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
    check(
        &full(300),
        Suspect,
        "arrivals_dropped",
        "dropped arrivals 3%",
    );
    check(
        &full(300),
        Suspect,
        "arrivals_dropped",
        "the server is slower",
    );
    check_valid(&full(10));
}

#[test]
fn a_busy_worker_limits_the_load() {
    let busy = |run: Run| run.worker(|usage| usage.busy_ns = 99 * SECOND / 10);
    let words = "worker 1 was busy 99% of the time: latencies are the server's all the same, but \
                 the offered load was limited by this host";
    check(&busy(healthy()), Suspect, "worker_busy", words);
    check(&busy(open()), Suspect, "worker_busy", "the rate was kept");
    // By CPU time, which counts the kernel's work too.
    let by_cpu = healthy().worker(|usage| usage.cpu_ns = Some(95 * SECOND / 10));
    check(&by_cpu, Suspect, "worker_busy", "95%");
    // Without the kernel's timestamps its latencies are its own.
    let blind = busy(healthy()).with(|e| {
        e.reads.user_space = 20_000;
        e.loop_time.p99_ns = 50_000;
    });
    check(&blind, Invalid, "worker_busy", "contain its own delay");
    check_valid(&healthy().worker(|usage| usage.busy_ns = 8 * SECOND));
}

#[test]
fn a_full_worker_that_drops_arrivals_blames_no_server() {
    let dropping = || open().with(|e| e.arrivals_dropped = e.arrivals / 3);
    let all_along = dropping().worker(|usage| usage.busy_ns = 99 * SECOND / 10);
    let at_times = dropping().seconds(3, |second| second.busy_share = Some(0.99));
    for run in [all_along, at_times] {
        let verdict = run.verdict();
        let reasons = verdict.reasons.iter();
        let ids: Vec<_> = reasons.map(|(_, reason)| reason.id()).collect();
        assert_eq!(ids, ["worker_busy", "arrivals_dropped"]);
        let text = |at: usize| verdict.reasons[at].1.text();
        assert!(text(0).contains("could not offer the rate"), "{}", text(0));
        assert!(text(1).contains("this machine could not"), "{}", text(1));
    }
}

#[test]
fn busy_polling_is_no_work() {
    let mut run = healthy().worker(|usage| usage.cpu_ns = Some(10 * SECOND));
    for worker in &mut run.workers {
        worker.busy_poll = true;
    }
    check_valid(&run);
    let busy = run.worker(|usage| usage.busy_ns = 95 * SECOND / 10);
    check(&busy, Suspect, "worker_busy", "95%");
}

#[test]
fn busy_seconds_count_where_they_last() {
    let busy = |n| healthy().seconds(n, |second| second.busy_share = Some(0.99));
    check_valid(&busy(2));
    check(&busy(3), Suspect, "worker_busy", "fully in 3 of 10 seconds");
}

#[test]
fn a_worker_without_a_cpu_is_starved() {
    let waiting = |ms| healthy().worker(|usage| usage.run_delay_ns = Some(ms * MS));
    check_valid(&waiting(900));
    check(
        &waiting(1_500),
        Suspect,
        "waiting_for_cpu",
        "15% of the time",
    );
    check(
        &waiting(5_000),
        Invalid,
        "waiting_for_cpu",
        "other work had it",
    );
    let at_times = healthy().seconds(4, |second| second.run_delay_share = Some(0.3));
    check(&at_times, Suspect, "waiting_for_cpu", "waited for a CPU");
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
    check(
        &switched(None),
        Suspect,
        "switched_out",
        "200 times a second",
    );
}

#[test]
fn long_loops_delay_requests() {
    let long = |p99_ns| healthy().with(|e| e.loop_time.p99_ns = p99_ns);
    check_valid(&long(9 * MS));
    check(&long(12 * MS), Suspect, "long_loops", "12.0 ms");
    // Beside slow answers they are short.
    check_valid(&long(12 * MS).with(|e| e.service.p50_ns = 100 * MS));
}

#[test]
fn answers_that_wait_for_us_are_ours() {
    let slow = |p99_ns| healthy().with(|e| e.generator_delay.p99_ns = p99_ns);
    check_valid(&slow(900_000));
    check(&slow(2 * MS), Suspect, "slow_reading", "2.00 ms (p99)");
    check_valid(&slow(2 * MS).with(|e| e.service.p50_ns = 50 * MS));
    let longer = |n| {
        healthy().seconds(n, |second| {
            second.limit = Some(GeneratorLimit::Reading {
                delay_ns: 9 * MS,
                latency_ns: 5 * MS,
            });
        })
    };
    check_valid(&longer(4));
    check(
        &longer(5),
        Invalid,
        "slow_reading",
        "longer than the server",
    );
}

#[test]
fn late_requests_are_ours() {
    let late = |p50_ns, p99_ns| {
        open().with(|e| {
            e.lateness.p50_ns = p50_ns;
            e.lateness.p99_ns = p99_ns;
        })
    };
    check_valid(&late(100_000, 900_000));
    check(
        &late(100_000, 2 * MS),
        Suspect,
        "late_starts",
        "2.00 ms (p99)",
    );
    check(&late(3 * MS, 20 * MS), Invalid, "late_starts", "was late");
    let few = late(3 * MS, 20 * MS).with(|e| e.lateness.count = 99);
    check_valid(&few);
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
    check(&behind(1), Suspect, "behind_schedule", "only 80%");
    check(&behind(2), Invalid, "behind_schedule", "in 2 of 10 seconds");
    let busy = behind(2).worker(|usage| usage.busy_ns = 10 * SECOND);
    let verdict = busy.verdict();
    assert!(verdict.has("behind_schedule") && verdict.has("worker_busy"));
    assert!(verdict.reasons.iter().all(|(grade, _)| *grade == Invalid));
}

#[test]
fn a_worker_that_stands_still_is_seen() {
    let stalled = |n| {
        let run = healthy().worker(|usage| usage.turn_max_ns = 700 * MS);
        run.seconds(n, |second| second.turn_max_ns = 700 * MS)
    };
    check(&stalled(1), Suspect, "worker_stalled", "for up to 700 ms");
    check(&stalled(3), Invalid, "worker_stalled", "in 3 of 10 seconds");
    // In a run too short for a whole second.
    let mut short = stalled(0);
    short.seconds.clear();
    check(&short, Suspect, "worker_stalled", "in 1 of 1 second");
}

#[test]
fn a_host_that_takes_its_cpus_back_is_seen() {
    let throttled = |share| healthy().with(|e| e.throttled_share = Some(share));
    check(&throttled(0.05), Suspect, "throttled", "CPU quota");
    check(&throttled(0.8), Invalid, "throttled", "80% of the time");
    let steal = |share| healthy().with(|e| e.steal_share = Some(share));
    check(&steal(0.07), Suspect, "steal", "7%");
    check(&steal(0.3), Invalid, "steal", "hypervisor");
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
    check(&stepped, Suspect, "clock_stepped", "12 answers were timed");
}

#[test]
fn latencies_without_kernel_timestamps_matter_where_loops_are_long() {
    let blind = |p99_ns| {
        healthy().with(|e| {
            e.reads.kernel = 0;
            e.reads.user_space = 20_000;
            e.loop_time.p99_ns = p99_ns;
        })
    };
    check_valid(&blind(400_000));
    check(
        &blind(2 * MS),
        Suspect,
        "user_space_times",
        "100% of the answers",
    );
}

#[test]
fn workers_that_move_are_told_of() {
    let moving = healthy().with(|e| e.n_not_pinned = 2);
    check(&moving, Suspect, "not_pinned", "2 of 2 workers");
}

#[test]
fn little_data_is_suspect_at_most() {
    let few = healthy().with(|e| e.ok = 99);
    check(&few, Suspect, "few_samples", "99 calls succeeded");
    let short = healthy().with(|e| e.elapsed = Duration::from_millis(400));
    check(&short, Suspect, "short_run", "400ms");
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
    check(&tiny, Suspect, "at_noise_floor", "noise floor");
    let noisy = calibrated(open()).with(|e| {
        e.lateness.p99_ns = 2 * MS;
        e.headline.p50_ns = 100 * MS;
    });
    check(&noisy, Suspect, "noisier_than_calibrated", "2.00 ms");
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
        e.throttled_share = Some(0.5);
        e.clock_steps = 1;
    });
    let verdict = run.verdict();
    let ids: Vec<_> = verdict.reasons.iter().map(|(_, r)| r.id()).collect();
    assert_eq!(ids, ["throttled", "clock_stepped", "not_pinned"]);
    assert_eq!(verdict.grade, Invalid);
}
