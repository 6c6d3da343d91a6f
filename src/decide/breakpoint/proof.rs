//! The detector against simulated servers whose truth is known, driven by the real
//! stages in virtual time. Rates are asserted, not single runs; seeds are fixed, and
//! a part of them runs outside of `.ci/run`: `n_seeds(few, all)`.
//!
//! "Early" and "false" speak of saturation: a latency of three times the baseline is
//! rightly noticed before the knee where queues form early (one slot, random times).

use std::time::Duration;

use super::*;
use crate::decide::simulation::{Distribution, Drift, Server, Simulation, Stalls, Tick, Traffic};
use crate::load::Stages;
use crate::seeds::{least_of, most_of, n_seeds};

/// A ramp from nothing to twice the knee.
struct Ramp {
    slots: u32,
    service: f64,
    think: f64,
    secs: f64,
    tick_secs: f64,
}

/// From 20 s to half an hour, from 10 ms to 5 s a request, from 2 to 1616 users.
const RAMPS: [Ramp; 13] = [
    ramp(4, 0.02, 0.0, 60.0, 1.0),
    ramp(8, 0.05, 0.0, 120.0, 1.0),
    ramp(8, 0.05, 1.0, 120.0, 1.0),
    ramp(32, 0.1, 0.0, 120.0, 1.0),
    ramp(32, 0.1, 1.0, 300.0, 1.0),
    ramp(2, 0.05, 0.5, 120.0, 1.0),
    ramp(1, 0.02, 1.0, 120.0, 1.0),
    ramp(8, 0.05, 1.0, 20.0, 0.2),
    ramp(8, 0.01, 1.0, 60.0, 1.0),
    ramp(64, 1.0, 0.0, 120.0, 1.0),
    ramp(16, 5.0, 0.0, 1800.0, 1.0),
    ramp(16, 5.0, 10.0, 1800.0, 1.0),
    ramp(8, 0.05, 0.2, 300.0, 5.0),
];

const fn ramp(slots: u32, service: f64, think: f64, secs: f64, tick_secs: f64) -> Ramp {
    Ramp {
        slots,
        service,
        think,
        secs,
        tick_secs,
    }
}

type Kind = fn(f64) -> Distribution;

const fn log_normal(mean: f64) -> Distribution {
    Distribution::LogNormal { mean, sigma: 1.0 }
}

const fn pareto(mean: f64) -> Distribution {
    Distribution::Pareto { mean, shape: 2.2 }
}

const KINDS: [Kind; 4] = [
    Distribution::Constant,
    Distribution::Exponential,
    log_normal,
    pareto,
];

/// What came of ramps through the knee.
#[derive(Debug, Default)]
struct Tally {
    n: u64,
    n_found: u64,
    n_early: u64,
    n_near: u64,
    n_near_at_alarm: u64,
}

impl Tally {
    /// `at_alarm`: the break as it was noticed, and the load then.
    fn add(&mut self, knee: f64, at_alarm: Option<(Break, f64)>, at_end: Option<Break>) {
        let is_near = |found: &Break| (found.load / knee - 1.0).abs() <= 0.15;
        self.n += 1;
        if let (Some((at_alarm, load)), Some(at_end)) = (at_alarm, at_end) {
            self.n_found += 1;
            self.n_early += u64::from(load < 0.7 * knee);
            self.n_near += u64::from(is_near(&at_end));
            self.n_near_at_alarm += u64::from(is_near(&at_alarm));
        }
    }
}

fn through_the_knee(
    kinds: &[Kind],
    seeds: std::ops::Range<u64>,
    disturb: fn(Server) -> Server,
) -> Tally {
    let mut tally = Tally::default();
    for kind in kinds {
        for ramp in &RAMPS {
            let server = disturb(Server::new(ramp.slots, kind(ramp.service)));
            let knee = server.knee(ramp.think);
            let stages = Stages::new(0, &[(secs(ramp.secs), (2.0 * knee).ceil() as u32)]);
            for seed in seeds.clone() {
                let mut at_alarm = None;
                let run = Run::closed(&server, think(ramp.think, seed), &stages, seed);
                let detector = run.ticks(secs(ramp.tick_secs)).drive(|detector, load| {
                    if at_alarm.is_none() {
                        at_alarm = saturation_of(detector).map(|found| (found, load));
                    }
                });
                tally.add(knee, at_alarm, saturation_of(&detector));
            }
        }
    }
    tally
}

fn assert_found(tally: &Tally) {
    assert_eq!(tally.n_found, tally.n, "{tally:?}");
    assert!(tally.n_early <= most_of(0.01, tally.n), "{tally:?}");
    assert!(tally.n_near >= least_of(0.9, tally.n), "{tally:?}");
    assert!(tally.n_near_at_alarm >= least_of(0.9, tally.n), "{tally:?}");
}

#[test]
fn the_knee_is_found_with_constant_service_times() {
    assert_found(&through_the_knee(&KINDS[..1], 0..n_seeds(1, 6), |server| {
        server
    }));
}

#[test]
fn the_knee_is_found_with_exponential_service_times() {
    assert_found(&through_the_knee(
        &KINDS[1..2],
        0..n_seeds(1, 6),
        |server| server,
    ));
}

#[test]
fn the_knee_is_found_with_log_normal_service_times() {
    assert_found(&through_the_knee(
        &KINDS[2..3],
        0..n_seeds(1, 6),
        |server| server,
    ));
}

#[test]
fn the_knee_is_found_with_pareto_service_times() {
    assert_found(&through_the_knee(&KINDS[3..], 0..n_seeds(1, 6), |server| {
        server
    }));
}

#[test]
fn the_knee_is_found_in_spite_of_stalls() {
    let (n_kinds, seeds) = (n_seeds(1, 4) as usize, 50..50 + n_seeds(1, 2));
    let tally = through_the_knee(&KINDS[..n_kinds], seeds, |server| {
        server.with_stalls(10.0, 0.2)
    });
    assert_found(&tally);
}

/// A speed that wanders by 10 % makes the knee itself wander.
#[test]
fn the_knee_is_found_in_spite_of_drift() {
    let (n_kinds, seeds) = (n_seeds(1, 4) as usize, 70..70 + n_seeds(1, 2));
    let tally = through_the_knee(&KINDS[..n_kinds], seeds, |server| server.with_drift(0.1));
    assert!(tally.n_found >= least_of(0.98, tally.n), "{tally:?}");
    assert!(tally.n_early <= most_of(0.01, tally.n), "{tally:?}");
    assert!(tally.n_near >= least_of(0.85, tally.n), "{tally:?}");
    assert!(
        tally.n_near_at_alarm >= least_of(0.82, tally.n),
        "{tally:?}"
    );
}

/// Alarms of saturation in runs whose load stays below three quarters of the knee.
fn false_alarms(
    n_runs: u64,
    purpose: Purpose,
    with_steady: bool,
    disturb: fn(Server, u64) -> Server,
) -> u64 {
    const LOADS: [Ramp; 7] = [
        ramp(8, 0.05, 0.0, 300.0, 1.0),
        ramp(8, 0.05, 1.0, 120.0, 1.0),
        ramp(32, 0.1, 0.0, 300.0, 1.0),
        ramp(2, 0.05, 0.5, 120.0, 1.0),
        ramp(1, 0.02, 1.0, 300.0, 1.0),
        ramp(16, 5.0, 0.0, 1800.0, 1.0),
        ramp(8, 0.01, 0.2, 60.0, 1.0),
    ];
    (0..n_runs)
        .filter(|seed| {
            let ramp = &LOADS[*seed as usize % LOADS.len()];
            let kind = KINDS[*seed as usize / LOADS.len() % KINDS.len()];
            let server = disturb(Server::new(ramp.slots, kind(ramp.service)), *seed);
            let top = (0.75 * server.knee(ramp.think)).round().max(1.0) as u32;
            let quarter = secs(ramp.secs / 4.0);
            let stages = match seed % 5 {
                0 if with_steady => Stages::new(top, &[(secs(ramp.secs), top)]),
                1 if with_steady => Stages::new(0, &[(quarter, top), (3 * quarter, top)]),
                2 if with_steady => Stages::new(0, &[(2 * quarter, top), (2 * quarter, 0)]),
                _ => Stages::new(0, &[(secs(ramp.secs), top)]),
            };
            let mut run = Run::closed(&server, think(ramp.think, *seed), &stages, *seed);
            run.options.purpose = purpose;
            let found = saturation_of(&run.drive(|_, _| ()));
            found.is_some()
        })
        .count() as u64
}

#[test]
fn below_the_knee_it_is_quiet() {
    let n_runs = n_seeds(6, 200);
    let n = false_alarms(n_runs, Purpose::Report, true, |server, seed| {
        if seed % 2 == 0 {
            server
        } else {
            server.with_stalls(10.0, 0.2)
        }
    });
    assert!(n <= most_of(0.01, n_runs), "{n} alarms in {n_runs} runs");
}

#[test]
fn below_the_knee_drift_is_seldom_taken_for_it() {
    let n_runs = n_seeds(6, 200);
    let n = false_alarms(n_runs, Purpose::Report, true, |server, _| {
        server.with_drift(0.1)
    });
    assert!(n <= most_of(0.075, n_runs), "{n} alarms in {n_runs} runs");
}

/// Ramps alone, whose every disturbance has a load of its own.
#[test]
fn below_the_knee_drift_in_ramps_is_seldom_taken_for_it() {
    let n_runs = n_seeds(6, 200);
    let n = false_alarms(n_runs, Purpose::Report, false, |server, _| {
        server.with_drift(0.1)
    });
    assert!(n <= most_of(0.075, n_runs), "{n} alarms in {n_runs} runs");
}

#[test]
fn what_stops_a_run_needs_more_evidence() {
    let n_runs = n_seeds(6, 200);
    let n = false_alarms(n_runs, Purpose::Stop, true, |mut server, _| {
        server.drift = Some(Drift {
            relative_sd: 0.1,
            phi: 0.7,
        });
        server
    });
    assert!(n <= most_of(0.015, n_runs), "{n} alarms in {n_runs} runs");
}

/// Open model: arrivals keep coming, completions lag behind.
#[test]
fn an_open_ramp_saturates_at_the_ceiling() {
    let mut tally = Tally::default();
    for (slots, service, length, tick) in [
        (8, 0.05, 120.0, 1.0),
        (1, 0.01, 60.0, 1.0),
        (32, 1.0, 600.0, 1.0),
        (4, 0.02, 20.0, 0.2),
    ] {
        for kind in KINDS {
            for seed in 0..n_seeds(1, 6) {
                let server = Server::new(slots, kind(service));
                let ceiling = server.ceiling();
                let run = Run::open(
                    &server,
                    poisson(seed),
                    (0.0, 2.0 * ceiling),
                    secs(length),
                    seed,
                );
                let mut at_alarm = None;
                let detector = run.ticks(secs(tick)).drive(|detector, load| {
                    if at_alarm.is_none() {
                        at_alarm = saturation_of(detector).map(|found| (found, load));
                    }
                });
                tally.add(ceiling, at_alarm, saturation_of(&detector));
            }
        }
    }
    assert_found(&tally);
}

#[test]
fn open_runs_below_the_ceiling_are_quiet() {
    let n_runs = n_seeds(4, 60);
    let n_alarms = (0..n_runs)
        .filter(|seed| {
            let kind = KINDS[*seed as usize % KINDS.len()];
            let server = Server::new(8, kind(0.05));
            let top = 0.8 * server.ceiling();
            let from = if seed % 3 == 0 { top } else { 0.0 };
            let run = Run::open(&server, poisson(*seed), (from, top), secs(200.0), *seed);
            saturation_of(&run.drive(|_, _| ())).is_some()
        })
        .count() as u64;
    assert!(
        n_alarms <= most_of(1.0 / 60.0, n_runs),
        "{n_alarms} alarms in {n_runs} runs"
    );
}

/// A server that gets slower under overload: the knee is where the rate is highest.
#[test]
fn a_server_that_collapses_breaks_at_its_peak() {
    for kind in KINDS {
        for seed in 0..n_seeds(1, 3) {
            let mut server = Server::new(8, kind(0.05));
            server.contention = 0.02;
            let stages = Stages::new(0, &[(secs(180.0), 40)]);
            let run = Run::closed(&server, Distribution::Constant(0.0), &stages, seed);
            let found = saturation_of(&run.drive(|_, _| ())).expect("it saturates");
            assert!((found.load / 8.0 - 1.0).abs() < 0.25, "{found:?}");
        }
    }
}

/// A ramp that begins beyond the knee says so instead of inventing one.
#[test]
fn a_knee_below_all_loads_is_marked() {
    let server = Server::new(2, Distribution::Exponential(0.05));
    let stages = Stages::new(10, &[(secs(120.0), 60)]);
    let run = Run::closed(&server, Distribution::Constant(0.0), &stages, 1);
    let found = saturation_of(&run.drive(|_, _| ())).expect("it saturates");
    let Cause::Saturation(evidence) = &found.cause else {
        unreachable!("it was asked for")
    };
    assert!(evidence.is_at_or_below, "{found:?}");
    assert!(
        (evidence.ceiling_per_second / 40.0 - 1.0).abs() < 0.1,
        "{found:?}"
    );
}

/// Throughput of answers rises on, but they are errors: it must break by errors, and
/// near the load where they begin.
#[test]
fn fast_errors_break_by_errors() {
    for kind in KINDS {
        for seed in 0..n_seeds(1, 4) {
            let mut server = Server::new(8, kind(0.05));
            server.queue_limit = Some(0);
            let stages = Stages::new(0, &[(secs(240.0), 120)]);
            let run = Run::closed(&server, Distribution::Exponential(0.2), &stages, seed);
            let detector = run.drive(|_, _| ());
            let found = error_of(&detector).expect("errors");
            // By Erlang's loss formula 5 % are lost at 4.5 of 8 places in use: 23 users.
            assert!(found.load > 15.0 && found.load < 32.0, "{found:?}");
            assert!(found.last_good_load.is_some_and(|load| load <= found.load));
        }
    }
}

#[test]
fn an_outage_is_noticed_within_seconds() {
    for seed in 0..n_seeds(3, 10) {
        let mut server = Server::new(16, Distribution::Exponential(0.05));
        server.outage = Some((60.0, 80.0));
        let stages = Stages::new(0, &[(secs(120.0), 12)]);
        let run = Run::closed(&server, Distribution::Exponential(0.1), &stages, seed);
        let found = error_of(&run.drive(|_, _| ())).expect("an outage");
        assert!(
            matches!(found.cause, Cause::Errors(ErrorEvidence::Outage { .. })),
            "{found:?}"
        );
        assert_eq!(found.began, secs(60.0));
        assert!(found.noticed <= secs(64.0), "{found:?}");
        assert!((found.load - 6.0).abs() < 0.6, "{found:?}");
    }
}

#[test]
fn silence_is_noticed() {
    for seed in 0..n_seeds(3, 10) {
        let mut server = Server::new(16, Distribution::Exponential(0.05));
        server.stalls = Some(Stalls {
            first_secs: 40.5,
            every_secs: 1e6,
            length_secs: 60.0,
        });
        let stages = Stages::new(0, &[(secs(120.0), 12)]);
        let run = Run::closed(&server, Distribution::Exponential(0.1), &stages, seed);
        let found = error_of(&run.drive(|_, _| ())).expect("silence");
        assert!(
            matches!(found.cause, Cause::Errors(ErrorEvidence::Silence { .. })),
            "{found:?}"
        );
        assert_eq!(found.began, secs(41.0));
        assert_eq!(found.noticed, secs(51.0));
    }
}

/// Errors at a rate below the limit, and slow requests of a slow server, are no break.
#[test]
fn steady_noise_never_fires() {
    let mut n_runs = 0;
    for (idx, kind) in KINDS.iter().enumerate() {
        for (slots, service, n_vus) in [(8, 0.05, 6), (8, 0.005, 6), (16, 5.0, 12), (4, 1.0, 1)] {
            for seed in 0..n_seeds(1, 6) {
                let mut server = Server::new(slots, kind(service));
                server.error_share = 0.02;
                let stages = Stages::new(n_vus, &[(secs(600.0 * service.max(0.5)), n_vus)]);
                let think = Distribution::Exponential(service);
                let run = Run::closed(&server, think, &stages, seed * 4 + idx as u64);
                let detector = run.drive(|_, _| ());
                assert_eq!(detector.breaks(), &[], "{idx} {service} {seed}");
                n_runs += 1;
            }
        }
    }
    assert_eq!(n_runs, 16 * n_seeds(1, 6));
}

/// As many slow answers as the quantile allows: p99 jumps between the two modes.
#[test]
fn two_modes_at_the_quantile_are_no_break() {
    for seed in 0..n_seeds(4, 30) {
        let service = Distribution::Bimodal {
            fast: 0.01,
            slow: 0.1,
            share: 0.01,
        };
        let server = Server::new(64, service);
        let n_vus = [2, 8, 30][seed as usize % 3];
        let stages = Stages::new(n_vus, &[(secs(300.0), n_vus)]);
        let run = Run::closed(&server, Distribution::Exponential(0.1), &stages, seed);
        assert_eq!(run.drive(|_, _| ()).breaks(), &[], "{seed}");
    }
}

/// With equal service times response time is `users × service / slots`: three times
/// the baseline at three times the slots.
#[test]
fn latency_breaks_at_three_times_the_baseline() {
    for kind in [Distribution::Constant] {
        for seed in 0..n_seeds(2, 6) {
            let server = Server::new(8, kind(0.05));
            let stages = Stages::new(1, &[(secs(240.0), 80)]);
            let run = Run::closed(&server, Distribution::Constant(0.0), &stages, seed);
            let mut noticed_load = None;
            let detector = run.drive(|detector, load| {
                if noticed_load.is_none() && latency_of(detector).is_some() {
                    noticed_load = Some(load);
                }
            });
            let found = latency_of(&detector).expect("latency");
            assert!((found.load / 24.0 - 1.0).abs() < 0.15, "{found:?}");
            assert!(noticed_load.is_some_and(|load| found.load <= load));
            assert!(found.last_good_load.is_some_and(|load| load < found.load));
            let saturation = saturation_of(&detector).expect("it saturates before");
            assert!(saturation.began <= found.began, "{saturation:?} {found:?}");
        }
    }
}

/// M/M/1, 1000/s: p99 ≤ 50 ms holds up to 907.9/s. Alarms as with the 6-of-10 rule's
/// own simulations: none at 0.95, all at 1.05.
#[test]
fn a_given_limit_is_kept_to() {
    let n_runs = n_seeds(2, 8);
    let alarms = |share: f64| {
        (0..n_runs)
            .filter(|seed| {
                let server = Server::new(1, Distribution::Exponential(0.001));
                let rate = share * 907.9;
                let mut run = Run::open(
                    &server,
                    Traffic::OpenPoisson,
                    (rate, rate),
                    secs(200.0),
                    *seed,
                );
                run.options.latency_limit_ns = Some(50_000_000);
                latency_of(&run.drive(|_, _| ())).is_some()
            })
            .count() as u64
    };
    assert_eq!(alarms(0.9), 0);
    assert_eq!(alarms(0.95), 0);
    assert!(alarms(1.05) >= n_runs - 1);
}

#[test]
fn a_given_limit_breaks_a_ramp_where_it_is_reached() {
    for seed in 0..n_seeds(1, 8) {
        let server = Server::new(1, Distribution::Exponential(0.001));
        let mut run = Run::open(
            &server,
            Traffic::OpenPoisson,
            (100.0, 1100.0),
            secs(200.0),
            seed,
        );
        run.options.latency_limit_ns = Some(50_000_000);
        let found = latency_of(&run.drive(|_, _| ())).expect("latency");
        assert!((found.load / 907.9 - 1.0).abs() < 0.15, "{found:?}");
    }
}

/// One slow request a second is too little for any judgement.
#[test]
fn with_few_requests_it_says_nothing() {
    for (slots, service, n_vus) in [(4, 1.0, 1), (8, 0.05, 8)] {
        let server = Server::new(slots, Distribution::Exponential(service));
        let stages = Stages::new(n_vus, &[(secs(60.0), n_vus)]);
        let run = Run::closed(&server, Distribution::Constant(0.0), &stages, 3);
        assert_eq!(run.drive(|_, _| ()).breaks(), []);
    }
}

/// A run of the simulator under a schedule.
struct Run {
    options: DetectorOptions,
    simulation: Simulation,
    schedule: Schedule,
    length: Duration,
    tick: Duration,
}

enum Schedule {
    Vus {
        stages: Stages,
        next: Option<Duration>,
    },
    Rate {
        from: f64,
        to: f64,
    },
}

impl Run {
    fn closed(server: &Server, think: Distribution, stages: &Stages, seed: u64) -> Self {
        let mut simulation = Simulation::new(server.clone(), Traffic::Closed { think }, seed);
        simulation.set_vus(stages.target(Duration::ZERO));
        Self {
            options: DetectorOptions::default(),
            simulation,
            length: stages.total(),
            schedule: Schedule::Vus {
                stages: stages.clone(),
                next: stages.next_change(Duration::ZERO),
            },
            tick: secs(1.0),
        }
    }

    fn open(
        server: &Server,
        traffic: Traffic,
        (from, to): (f64, f64),
        length: Duration,
        seed: u64,
    ) -> Self {
        Self {
            options: DetectorOptions {
                load: LoadUnit::Rate,
                ..DetectorOptions::default()
            },
            simulation: Simulation::new(server.clone(), traffic, seed),
            schedule: Schedule::Rate { from, to },
            length,
            tick: secs(1.0),
        }
    }

    fn ticks(mut self, tick: Duration) -> Self {
        self.tick = tick;
        self
    }

    fn drive(mut self, mut each: impl FnMut(&Detector, f64)) -> Detector {
        let mut detector = Detector::new(self.options.clone());
        while self.simulation.now() < self.length {
            let tick = self.next_tick();
            let load = match &self.schedule {
                Schedule::Vus { .. } => tick.mean_vus,
                Schedule::Rate { .. } => self.rate_at(tick.end - tick.length / 2),
            };
            detector.on_window(&window_of(&tick, load));
            each(&detector, load);
        }
        detector
    }

    fn next_tick(&mut self) -> Tick {
        let end = self.simulation.now() + self.tick;
        match &mut self.schedule {
            Schedule::Vus { stages, next } => {
                while let Some(at) = next.filter(|at| *at <= end) {
                    self.simulation.run_until(at);
                    self.simulation.set_vus(stages.target(at));
                    *next = stages.next_change(at);
                }
            }
            Schedule::Rate { .. } => {
                for _ in 0..4 {
                    let middle = self.simulation.now() + self.tick / 8;
                    self.simulation.set_rate(self.rate_at(middle));
                    self.simulation
                        .run_until(self.simulation.now() + self.tick / 4);
                }
            }
        }
        self.simulation.run_until(end);
        self.simulation.take_tick()
    }

    fn rate_at(&self, at: Duration) -> f64 {
        match self.schedule {
            Schedule::Vus { .. } => 0.0,
            Schedule::Rate { from, to } => {
                from + (to - from) * (at.as_secs_f64() / self.length.as_secs_f64())
            }
        }
    }
}

fn window_of(tick: &Tick, load: f64) -> Window<'_> {
    Window {
        end: tick.end,
        length: tick.length,
        load,
        ok: tick.ok,
        failed: tick.failed,
        timed_out: 0,
        in_flight: tick.in_flight,
        latencies: &tick.latencies_ns,
    }
}

/// Thinking times of both kinds, seed by seed.
fn think(mean: f64, seed: u64) -> Distribution {
    if mean > 0.0 && seed.is_multiple_of(2) {
        Distribution::Exponential(mean)
    } else {
        Distribution::Constant(mean)
    }
}

fn poisson(seed: u64) -> Traffic {
    if seed.is_multiple_of(2) {
        Traffic::OpenPoisson
    } else {
        Traffic::OpenConstant
    }
}

fn secs(value: f64) -> Duration {
    Duration::from_secs_f64(value)
}

fn saturation_of(detector: &Detector) -> Option<Break> {
    break_of(detector, |cause| matches!(cause, Cause::Saturation(_)))
}

fn error_of(detector: &Detector) -> Option<Break> {
    break_of(detector, |cause| matches!(cause, Cause::Errors(_)))
}

fn latency_of(detector: &Detector) -> Option<Break> {
    break_of(detector, |cause| matches!(cause, Cause::Latency(_)))
}

fn break_of(detector: &Detector, is_it: fn(&Cause) -> bool) -> Option<Break> {
    let mut breaks = detector.breaks().iter();
    breaks.find(|found| is_it(&found.cause)).cloned()
}
