//! A simulated server under load, in virtual time: the truth that the breaking
//! point and the capacity search are tested against.
//!
//! A server of `slots` equal places and one first-in-first-out queue is driven by a
//! population of virtual users (closed) or by a stream of arrivals (open). Its knee
//! and its ceiling are known, [`Server::knee`] and [`Server::ceiling`]. The same seed
//! gives the same run. It does not know what is decided from its figures.
//!
//! Start with [`Simulation::tick`]; for loads that change inside a tick use
//! [`Simulation::run_until`] with [`Simulation::take_tick`].

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use crate::units::nanos;

/// What one tick of a simulated run yields: interval figures, never cumulative.
#[derive(Debug, Clone)]
pub(crate) struct Tick {
    /// The tick's end, since the run's start.
    pub(crate) end: Duration,
    /// The tick's length.
    pub(crate) length: Duration,
    /// Time integral of the living virtual users, divided by the length.
    pub(crate) mean_vus: f64,
    /// Requests sent (closed) or arrived (open).
    pub(crate) started: u64,
    /// Requests answered well.
    pub(crate) ok: u64,
    /// Requests answered with an error.
    pub(crate) failed: u64,
    /// Requests under way at the tick's end, those in the queue included.
    pub(crate) in_flight: u64,
    /// Time integral of the requests under way, divided by the length.
    pub(crate) mean_in_flight: f64,
    /// Response times of the requests answered well, in ns, in order of their ends.
    pub(crate) latencies_ns: Vec<u64>,
}

impl Tick {
    /// Requests that arrived per second: the offered load of an open run.
    pub(crate) fn arrival_rate(&self) -> f64 {
        self.started as f64 / self.length.as_secs_f64()
    }
}

/// A server being driven. Build one, then alternate loads and ticks.
pub(crate) struct Simulation {
    server: Server,
    traffic: Traffic,
    random: fastrand::Rng,
    /// A stream of its own, so that the drift does not depend on the load.
    drift_random: fastrand::Rng,
    now_ns: u64,
    n_events: u64,
    events: BinaryHeap<Reverse<Event>>,
    queue: VecDeque<Request>,
    n_busy: u32,
    in_flight: u64,
    vus: Vec<Vu>,
    target_vus: u32,
    n_alive: u64,
    rate_per_ns: f64,
    /// Expected arrivals left until the next one, at `arrival_since_ns`.
    arrival_left: f64,
    arrival_since_ns: u64,
    arrival_generation: u32,
    drift_values: Vec<f64>,
    tick: TickState,
}

/// What is simulated of a server. Times in seconds.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    /// Requests it serves at once.
    pub(crate) slots: u32,
    /// How long one of them takes, alone and undisturbed.
    pub(crate) service: Distribution,
    /// Requests that may wait; one more is refused after 1 ms. `None`: any number.
    pub(crate) queue_limit: Option<usize>,
    /// Share of the requests that end with an error after their service.
    pub(crate) error_share: f64,
    /// Between these instants each request is answered with an error after 1 ms.
    pub(crate) outage: Option<(f64, f64)>,
    /// Speed that wanders.
    pub(crate) drift: Option<Drift>,
    /// Moments in which nothing moves.
    pub(crate) stalls: Option<Stalls>,
    /// The service time has doubled after this many seconds, and grows on.
    pub(crate) wear_secs: Option<f64>,
    /// Each waiting request prolongs the service by this share: overload costs throughput.
    pub(crate) contention: f64,
}

/// First-order autoregressive speed: `x' = phi x + noise`, speed `1 + x`, one step a second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Drift {
    /// Stationary standard deviation of the speed, as a share of it.
    pub(crate) relative_sd: f64,
    /// Correlation between one second and the next.
    pub(crate) phi: f64,
}

/// Stops of the whole server, the first at `first_secs`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stalls {
    pub(crate) first_secs: f64,
    pub(crate) every_secs: f64,
    pub(crate) length_secs: f64,
}

/// Distributions of a time in seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Distribution {
    Constant(f64),
    /// By its mean.
    Exponential(f64),
    /// `sigma` is that of the logarithm: 1 gives p99 = 10 × median.
    LogNormal {
        mean: f64,
        sigma: f64,
    },
    /// `shape` above 1; at 2 and below the variance is infinite.
    Pareto {
        mean: f64,
        shape: f64,
    },
    /// `slow` with probability `share`, else `fast`.
    Bimodal {
        fast: f64,
        slow: f64,
        share: f64,
    },
}

/// Who sends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Traffic {
    /// Virtual users: send at once, wait for the answer, think, again. Set by [`Simulation::set_vus`].
    Closed { think: Distribution },
    /// Arrivals at even spaces, whatever the answers. Set by [`Simulation::set_rate`].
    OpenConstant,
    /// Arrivals of a Poisson process.
    OpenPoisson,
}

impl Server {
    /// An undisturbed server with an unbounded queue.
    pub(crate) fn new(slots: u32, service: Distribution) -> Self {
        Self {
            slots,
            service,
            queue_limit: None,
            error_share: 0.0,
            outage: None,
            drift: None,
            stalls: None,
            wear_secs: None,
            contention: 0.0,
        }
    }

    /// With a speed that wanders by `relative_sd` (AR(1), correlation 0.9 from second to second).
    pub(crate) fn with_drift(mut self, relative_sd: f64) -> Self {
        self.drift = Some(Drift {
            relative_sd,
            phi: 0.9,
        });
        self
    }

    /// With a stop of `length_secs` every `every_secs`.
    pub(crate) fn with_stalls(mut self, every_secs: f64, length_secs: f64) -> Self {
        self.stalls = Some(Stalls {
            first_secs: every_secs,
            every_secs,
            length_secs,
        });
        self
    }

    /// The highest rate it sustains, per second: `slots / mean service time`,
    /// less what stalls take.
    pub(crate) fn ceiling(&self) -> f64 {
        let awake = self
            .stalls
            .map_or(1.0, |stalls| 1.0 - stalls.length_secs / stalls.every_secs);
        f64::from(self.slots) / self.service.mean() * awake
    }

    /// The number of virtual users at which the asymptotic bounds meet:
    /// `slots × (service + think) / service`.
    pub(crate) fn knee(&self, mean_think_secs: f64) -> f64 {
        let service = self.service.mean();
        f64::from(self.slots) * (service + mean_think_secs) / service
    }
}

impl Distribution {
    pub(crate) fn mean(self) -> f64 {
        match self {
            Self::Constant(value) | Self::Exponential(value) => value,
            Self::LogNormal { mean, .. } | Self::Pareto { mean, .. } => mean,
            Self::Bimodal { fast, slow, share } => fast * (1.0 - share) + slow * share,
        }
    }

    fn draw(self, random: &mut fastrand::Rng) -> f64 {
        match self {
            Self::Constant(value) => value,
            Self::Exponential(mean) => mean * exponential(random),
            Self::LogNormal { mean, sigma } => {
                (mean.ln() - sigma * sigma / 2.0 + sigma * normal(random)).exp()
            }
            Self::Pareto { mean, shape } => {
                mean * (shape - 1.0) / shape * above_zero(random).powf(-1.0 / shape)
            }
            Self::Bimodal { fast, slow, share } => {
                if random.f64() < share {
                    slow
                } else {
                    fast
                }
            }
        }
    }
}

impl Simulation {
    /// An idle server at time zero: no users, no arrivals.
    pub(crate) fn new(server: Server, traffic: Traffic, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let drift_random = random.fork();
        Self {
            server,
            traffic,
            random,
            drift_random,
            now_ns: 0,
            n_events: 0,
            events: BinaryHeap::new(),
            queue: VecDeque::new(),
            n_busy: 0,
            in_flight: 0,
            vus: Vec::new(),
            target_vus: 0,
            n_alive: 0,
            rate_per_ns: 0.0,
            arrival_left: 1.0,
            arrival_since_ns: 0,
            arrival_generation: 0,
            drift_values: Vec::new(),
            tick: TickState::default(),
        }
    }

    /// Time since the run's start.
    pub(crate) fn now(&self) -> Duration {
        Duration::from_nanos(self.now_ns)
    }

    /// Sets the number of virtual users, from now. New ones send at once; of those
    /// that are too many the thinking leave at once, the others after their answer.
    pub(crate) fn set_vus(&mut self, n_vus: u32) {
        assert!(matches!(self.traffic, Traffic::Closed { .. }));
        let (from, to) = (self.target_vus, n_vus);
        self.target_vus = n_vus;
        for vu_idx in to..from {
            let vu = &mut self.vus[vu_idx as usize];
            if vu.state == VuState::Thinking {
                vu.state = VuState::Gone;
                vu.generation += 1;
                self.integrate();
                self.n_alive -= 1;
            }
        }
        for vu_idx in from..to {
            if self.vus.len() <= vu_idx as usize {
                self.vus.push(Vu {
                    state: VuState::Gone,
                    generation: 0,
                });
            }
            // One that is still waiting for its last answer simply stays.
            if self.vus[vu_idx as usize].state == VuState::Gone {
                self.integrate();
                self.n_alive += 1;
                self.send_from(vu_idx);
            }
        }
    }

    /// Sets the arrivals per second, from now; progress towards the next one is kept.
    pub(crate) fn set_rate(&mut self, per_second: f64) {
        assert!(!matches!(self.traffic, Traffic::Closed { .. }));
        self.arrival_left -= (self.now_ns - self.arrival_since_ns) as f64 * self.rate_per_ns;
        self.arrival_since_ns = self.now_ns;
        self.rate_per_ns = per_second.max(0.0) / 1e9;
        self.schedule_arrival();
    }

    /// Runs for one tick at the present load and yields its figures.
    pub(crate) fn tick(&mut self, length: Duration) -> Tick {
        self.run_until(self.now() + length);
        self.take_tick()
    }

    /// Runs to an instant; it does nothing if that is past.
    pub(crate) fn run_until(&mut self, until: Duration) {
        let until_ns = nanos(until);
        while let Some(Reverse(event)) = self.events.peek().copied() {
            if event.at_ns > until_ns {
                break;
            }
            self.events.pop();
            self.now_ns = event.at_ns;
            self.integrate();
            match event.what {
                What::Arrival(generation) => {
                    if generation == self.arrival_generation {
                        self.arrive();
                    }
                }
                What::Thought { vu_idx, generation } => {
                    let vu = &self.vus[vu_idx as usize];
                    if vu.generation == generation && vu.state == VuState::Thinking {
                        self.send_from(vu_idx);
                    }
                }
                What::Served { request, ok } => {
                    self.n_busy -= 1;
                    if let Some(next) = self.queue.pop_front() {
                        self.serve(next);
                    }
                    self.answer(request, ok);
                }
                What::Refused(request) => self.answer(request, false),
            }
        }
        self.now_ns = self.now_ns.max(until_ns);
        self.integrate();
    }

    /// The figures since the last call (or the start), which begin anew.
    pub(crate) fn take_tick(&mut self) -> Tick {
        self.integrate();
        let state = std::mem::take(&mut self.tick);
        self.tick.start_ns = self.now_ns;
        self.tick.integrated_ns = self.now_ns;
        let length_ns = (self.now_ns - state.start_ns).max(1);
        Tick {
            end: self.now(),
            length: Duration::from_nanos(length_ns),
            mean_vus: state.vu_ns / length_ns as f64,
            started: state.started,
            ok: state.latencies_ns.len() as u64,
            failed: state.failed,
            in_flight: self.in_flight,
            mean_in_flight: state.in_flight_ns / length_ns as f64,
            latencies_ns: state.latencies_ns,
        }
    }

    fn integrate(&mut self) {
        let elapsed_ns = (self.now_ns - self.tick.integrated_ns) as f64;
        self.tick.vu_ns += elapsed_ns * self.n_alive as f64;
        self.tick.in_flight_ns += elapsed_ns * self.in_flight as f64;
        self.tick.integrated_ns = self.now_ns;
    }

    fn push(&mut self, at_ns: u64, what: What) {
        self.n_events += 1;
        self.events.push(Reverse(Event {
            at_ns,
            order: self.n_events,
            what,
        }));
    }

    fn schedule_arrival(&mut self) {
        self.arrival_generation += 1;
        if self.rate_per_ns > 0.0 {
            let wait_ns = (self.arrival_left / self.rate_per_ns).max(0.0) as u64;
            let generation = self.arrival_generation;
            self.push(
                self.arrival_since_ns.saturating_add(wait_ns),
                What::Arrival(generation),
            );
        }
    }

    fn arrive(&mut self) {
        self.arrival_left = match self.traffic {
            Traffic::OpenPoisson => exponential(&mut self.random),
            _ => 1.0,
        };
        self.arrival_since_ns = self.now_ns;
        self.schedule_arrival();
        self.accept(Request {
            intended_ns: self.now_ns,
            vu_idx: NO_VU,
        });
    }

    fn send_from(&mut self, vu_idx: u32) {
        let vu = &mut self.vus[vu_idx as usize];
        vu.state = VuState::Waiting;
        vu.generation += 1;
        self.accept(Request {
            intended_ns: self.now_ns,
            vu_idx,
        });
    }

    fn accept(&mut self, request: Request) {
        self.tick.started += 1;
        self.in_flight += 1;
        let now_secs = self.now_ns as f64 / 1e9;
        let is_out = self
            .server
            .outage
            .is_some_and(|(from, to)| (from..to).contains(&now_secs));
        let is_full = self
            .server
            .queue_limit
            .is_some_and(|limit| self.n_busy >= self.server.slots && self.queue.len() >= limit);
        if is_out || is_full {
            self.push(self.now_ns + REFUSAL_NS, What::Refused(request));
        } else if self.n_busy < self.server.slots {
            self.serve(request);
        } else {
            self.queue.push_back(request);
        }
    }

    fn serve(&mut self, request: Request) {
        self.n_busy += 1;
        let work_secs = self.server.service.draw(&mut self.random);
        let now_secs = self.now_ns as f64 / 1e9;
        let wear = self
            .server
            .wear_secs
            .map_or(1.0, |wear| 1.0 + now_secs / wear);
        let contention = 1.0 + self.server.contention * self.queue.len() as f64;
        let speed = self.speed_at(self.now_ns);
        let work_ns = (work_secs * wear * contention / speed * 1e9) as u64;
        let ok = self.server.error_share <= 0.0 || self.random.f64() >= self.server.error_share;
        let end_ns = self.server.end_of_work(self.now_ns, work_ns.max(1));
        self.push(end_ns, What::Served { request, ok });
    }

    fn answer(&mut self, request: Request, ok: bool) {
        self.in_flight -= 1;
        if ok {
            self.tick
                .latencies_ns
                .push(self.now_ns - request.intended_ns);
        } else {
            self.tick.failed += 1;
        }
        if request.vu_idx == NO_VU {
            return;
        }
        let vu = &mut self.vus[request.vu_idx as usize];
        if request.vu_idx >= self.target_vus {
            vu.state = VuState::Gone;
            self.n_alive -= 1;
            return;
        }
        vu.state = VuState::Thinking;
        let generation = vu.generation;
        let think_ns = match self.traffic {
            Traffic::Closed { think } => (think.draw(&mut self.random) * 1e9) as u64,
            _ => 0,
        };
        self.push(
            self.now_ns + think_ns,
            What::Thought {
                vu_idx: request.vu_idx,
                generation,
            },
        );
    }

    fn speed_at(&mut self, at_ns: u64) -> f64 {
        let Some(drift) = self.server.drift else {
            return 1.0;
        };
        let second = (at_ns / 1_000_000_000) as usize;
        while self.drift_values.len() <= second {
            let noise = drift.relative_sd * normal(&mut self.drift_random);
            let value = match self.drift_values.last() {
                None => noise,
                Some(last) => drift.phi * last + (1.0 - drift.phi * drift.phi).sqrt() * noise,
            };
            self.drift_values.push(value);
        }
        (1.0 + self.drift_values[second]).max(0.2)
    }
}

impl Server {
    /// When work of `work_ns` that begins at `from_ns` is done, stalls included.
    fn end_of_work(&self, from_ns: u64, mut work_ns: u64) -> u64 {
        let Some(stalls) = self.stalls else {
            return from_ns + work_ns;
        };
        let as_ns = |secs: f64| (secs * 1e9) as u64;
        let (first, every, length) = (
            as_ns(stalls.first_secs),
            as_ns(stalls.every_secs).max(1),
            as_ns(stalls.length_secs),
        );
        let mut at_ns = from_ns;
        loop {
            let stall = if at_ns < first {
                first
            } else {
                let begun = first + (at_ns - first) / every * every;
                if at_ns < begun + length {
                    at_ns = begun + length;
                }
                begun + every
            };
            if at_ns + work_ns <= stall {
                return at_ns + work_ns;
            }
            work_ns -= stall - at_ns;
            at_ns = stall;
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    at_ns: u64,
    /// Events of one instant happen in the order they were planned in.
    order: u64,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Arrival(u32),
    Thought { vu_idx: u32, generation: u32 },
    Served { request: Request, ok: bool },
    Refused(Request),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Request {
    intended_ns: u64,
    vu_idx: u32,
}

#[derive(Debug, Clone, Copy)]
struct Vu {
    state: VuState,
    generation: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum VuState {
    Thinking,
    Waiting,
    Gone,
}

#[derive(Debug, Default)]
struct TickState {
    start_ns: u64,
    integrated_ns: u64,
    vu_ns: f64,
    in_flight_ns: f64,
    started: u64,
    failed: u64,
    latencies_ns: Vec<u64>,
}

const NO_VU: u32 = u32::MAX;
const REFUSAL_NS: u64 = 1_000_000;

fn above_zero(random: &mut fastrand::Rng) -> f64 {
    1.0 - random.f64()
}

fn exponential(random: &mut fastrand::Rng) -> f64 {
    -above_zero(random).ln()
}

/// Box and Muller's method; the second value is not kept.
fn normal(random: &mut fastrand::Rng) -> f64 {
    (-2.0 * above_zero(random).ln()).sqrt() * (std::f64::consts::TAU * random.f64()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn closed(think: Distribution) -> Traffic {
        Traffic::Closed { think }
    }

    fn run(simulation: &mut Simulation, n_ticks: u32) -> (u64, Vec<u64>) {
        let mut ok = 0;
        let mut latencies = Vec::new();
        for _ in 0..n_ticks {
            let tick = simulation.tick(SECOND);
            ok += tick.ok;
            latencies.extend(tick.latencies_ns);
        }
        latencies.sort_unstable();
        (ok, latencies)
    }

    #[test]
    fn a_closed_run_of_constant_times_is_exact() {
        let server = Server::new(4, Distribution::Constant(0.020));
        let check = |n_vus: u32, expected: u64| {
            let mut simulation =
                Simulation::new(server.clone(), closed(Distribution::Constant(0.0)), 1);
            simulation.set_vus(n_vus);
            assert_eq!(run(&mut simulation, 10).0, expected, "{n_vus} users");
        };
        check(1, 500);
        check(4, 2000);
        check(9, 2000);
        assert!((server.ceiling() - 200.0).abs() < 1e-9);
        assert!((server.knee(0.0) - 4.0).abs() < 1e-9);
    }

    /// M/M/1: response times are exponential with rate µ − λ.
    #[test]
    fn an_open_queue_agrees_with_theory() {
        let server = Server::new(1, Distribution::Exponential(0.001));
        let mut simulation = Simulation::new(server, Traffic::OpenPoisson, 7);
        simulation.set_rate(800.0);
        let (n_ok, latencies) = run(&mut simulation, 600);
        assert!((n_ok as f64 / 600.0 - 800.0).abs() < 8.0);
        let mean_ns = latencies.iter().sum::<u64>() as f64 / n_ok as f64;
        assert!((mean_ns / 1e6 - 5.0).abs() < 0.4, "{mean_ns}");
        let p99_ms = latencies[latencies.len() * 99 / 100] as f64 / 1e6;
        assert!((p99_ms - 23.0).abs() < 2.0, "{p99_ms}");
    }

    /// M/M/1//N by the known state probabilities.
    #[test]
    fn a_closed_queue_agrees_with_theory() {
        let (service, think, n_vus) = (0.01, 1.0, 80);
        let server = Server::new(1, Distribution::Exponential(service));
        let mut simulation = Simulation::new(server, closed(Distribution::Exponential(think)), 3);
        simulation.set_vus(n_vus);
        run(&mut simulation, 20);
        let (n_ok, _) = run(&mut simulation, 600);
        let (mut weight, mut total) = (1.0, 1.0);
        for i in 0..n_vus {
            weight *= f64::from(n_vus - i) * service / think;
            total += weight;
        }
        let expected = (1.0 - 1.0 / total) / service;
        assert!((n_ok as f64 / 600.0 / expected - 1.0).abs() < 0.015);
    }

    #[test]
    fn heavy_tails_have_the_mean_they_were_given() {
        let check = |distribution: Distribution, tolerance: f64| {
            let mut random = fastrand::Rng::with_seed(5);
            let n = 400_000;
            let sum: f64 = (0..n).map(|_| distribution.draw(&mut random)).sum();
            let ratio = sum / f64::from(n) / distribution.mean();
            assert!((ratio - 1.0).abs() < tolerance, "{distribution:?} {ratio}");
        };
        check(
            Distribution::LogNormal {
                mean: 0.05,
                sigma: 1.0,
            },
            0.02,
        );
        check(
            Distribution::Pareto {
                mean: 0.05,
                shape: 2.2,
            },
            0.05,
        );
        check(
            Distribution::Bimodal {
                fast: 0.01,
                slow: 0.1,
                share: 0.01,
            },
            0.02,
        );
    }

    #[test]
    fn a_stall_stops_everything_and_nothing_is_lost() {
        let server = Server::new(1, Distribution::Constant(0.1)).with_stalls(10.0, 0.25);
        assert_eq!(
            server.end_of_work(9_950_000_000, 100_000_000),
            10_300_000_000
        );
        assert_eq!(
            server.end_of_work(10_100_000_000, 100_000_000),
            10_350_000_000
        );
        assert_eq!(
            server.end_of_work(20_300_000_000, 100_000_000),
            20_400_000_000
        );
        let mut simulation = Simulation::new(server, Traffic::OpenConstant, 1);
        simulation.set_rate(8.0);
        let (n_ok, latencies) = run(&mut simulation, 30);
        assert_eq!(n_ok, 240 - 1);
        assert!(
            latencies
                .last()
                .is_some_and(|longest| *longest >= 300_000_000)
        );
    }

    #[test]
    fn users_leave_and_return_and_the_integral_follows() {
        let server = Server::new(2, Distribution::Constant(0.3));
        let mut simulation = Simulation::new(server, closed(Distribution::Constant(0.1)), 1);
        simulation.set_vus(4);
        simulation.run_until(Duration::from_millis(500));
        simulation.set_vus(0);
        simulation.run_until(SECOND);
        let tick = simulation.take_tick();
        assert_eq!(tick.in_flight, 0);
        assert_eq!(tick.started, tick.ok + tick.failed);
        assert!(tick.mean_vus > 2.0 && tick.mean_vus < 4.0);
        simulation.set_vus(1);
        let tick = simulation.tick(SECOND);
        assert!((tick.mean_vus - 1.0).abs() < 1e-9);
        assert!(
            (tick.mean_in_flight - 0.8).abs() < 1e-9,
            "{}",
            tick.mean_in_flight
        );
    }

    #[test]
    fn refusals_outages_and_error_shares_are_failures() {
        let mut server = Server::new(1, Distribution::Constant(0.01));
        server.queue_limit = Some(0);
        let mut simulation = Simulation::new(server.clone(), Traffic::OpenConstant, 1);
        simulation.set_rate(200.0);
        let tick = simulation.tick(SECOND);
        assert!(tick.failed >= 99 && tick.ok >= 99, "{tick:?}");
        assert!((tick.arrival_rate() - 200.0).abs() < 1.5);

        server.queue_limit = None;
        server.outage = Some((1.0, 2.0));
        server.error_share = 0.1;
        let mut simulation = Simulation::new(server, Traffic::OpenConstant, 1);
        simulation.set_rate(50.0);
        let ticks: Vec<Tick> = (0..3).map(|_| simulation.tick(SECOND)).collect();
        assert!(ticks[0].failed < 20 && ticks[2].failed < 20);
        assert!(ticks[1].failed >= 48 && ticks[1].ok <= 1);
    }

    #[test]
    fn the_same_seed_gives_the_same_run() {
        let total = |seed| {
            let server = Server::new(
                4,
                Distribution::LogNormal {
                    mean: 0.05,
                    sigma: 1.0,
                },
            )
            .with_drift(0.1);
            let mut simulation =
                Simulation::new(server, closed(Distribution::Exponential(0.2)), seed);
            simulation.set_vus(30);
            run(&mut simulation, 60).1
        };
        assert_eq!(total(1), total(1));
        assert_ne!(total(1), total(2));
    }

    /// Wear doubles the service time; contention prolongs it while a queue stands.
    #[test]
    fn wear_and_contention_slow_the_server() {
        let mut server = Server::new(1, Distribution::Constant(0.01));
        server.wear_secs = Some(100.0);
        let mut simulation = Simulation::new(server, closed(Distribution::Constant(0.0)), 1);
        simulation.set_vus(1);
        let first = simulation.tick(SECOND).ok;
        run(&mut simulation, 98);
        let last = simulation.tick(SECOND).ok;
        assert!(first >= 99 && (49..=51).contains(&last), "{first} {last}");

        let mut server = Server::new(1, Distribution::Constant(0.01));
        server.contention = 0.1;
        let mut simulation = Simulation::new(server, closed(Distribution::Constant(0.0)), 1);
        simulation.set_vus(12);
        assert!((45..=55).contains(&simulation.tick(SECOND).ok));
    }
}
