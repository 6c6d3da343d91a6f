//! Proved by simulation: how often two runs of one process are called different, and a
//! real difference is called one.
//!
//! A run is 60 s of 100 calls a second. Latencies are log-normal within a second; 1.5 %
//! of them take 3 to 5 times as long. The level of the seconds wanders by 4 % as a
//! first-order autoregressive process, so that neighbours resemble each other.

use super::*;
use crate::outcome::{GeneratorFacts, Grade, SampleFacts, SampleShape};
use crate::seeds::{least_of, most_of, n_seeds};

/// Of a simulated server.
#[derive(Clone, Copy)]
pub(super) struct Process {
    /// Correlation between one second and the next.
    phi: f64,
    /// All latencies times this.
    scale: f64,
    /// Those above the median times this besides.
    tail: f64,
    secs: u64,
}

const STEADY: Process = Process {
    phi: 0.7,
    scale: 1.0,
    tail: 1.0,
    secs: 60,
};

/// Deviation of the level of the seconds.
const WANDERS: f64 = 0.04;
/// Of the logarithm within a second: the 95th percentile is half as much again as the
/// median.
const SIGMA: f64 = 0.25;
const CALLS_A_SECOND: usize = 100;

/// Two independent values of the standard normal distribution (Box and Muller).
fn normals(random: &mut fastrand::Rng) -> (f64, f64) {
    let radius = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
    let angle = std::f64::consts::TAU * random.f64();
    (radius * angle.cos(), radius * angle.sin())
}

impl Process {
    /// A run of it.
    fn run(self, seed: u64) -> RunSample {
        let mut random = fastrand::Rng::with_seed(seed);
        let noise = WANDERS * (1.0 - self.phi * self.phi).sqrt();
        let mut level = WANDERS * normals(&mut random).0;
        let mut slots = Vec::new();
        for number in 0..self.secs {
            level = self.phi * level + noise * normals(&mut random).0;
            let mut latency = Histogram::new();
            for _ in 0..CALLS_A_SECOND / 2 {
                let (a, b) = normals(&mut random);
                for z in [a, b] {
                    let outlier = match random.f64() < 0.015 {
                        true => 3.0 + 2.0 * random.f64(),
                        false => 1.0,
                    };
                    let tail = if z > 0.0 { self.tail } else { 1.0 };
                    let ms = 10.0 * (SIGMA * z + level).exp() * self.scale * outlier * tail;
                    latency.record((ms * 1e6) as u64);
                }
            }
            slots.push(SampleSlot {
                number,
                offered: CALLS_A_SECOND as u64,
                ok: CALLS_A_SECOND as u64,
                failed: 0,
                latency,
            });
        }
        run_of(slots, format!("{seed}.json"))
    }
}

/// A run in the open model.
pub(super) fn run_of(slots: Vec<SampleSlot>, file: String) -> RunSample {
    let sum = |of: fn(&SampleSlot) -> u64| slots.iter().map(of).sum::<u64>();
    let total = SampleRow {
        key: SampleKey {
            label: "all calls".to_string(),
            ..SampleKey::default()
        },
        whole: WholeFigures {
            ok: sum(|slot| slot.ok),
            failed: sum(|slot| slot.failed),
            rate_per_sec: Some(CALLS_A_SECOND as f64),
            percentiles_ms: [Some(10.0), Some(15.0), Some(30.0)],
        },
        slots,
    };
    let secs = total.slots.last().map_or(0, |slot| slot.number + 1);
    RunSample {
        facts: SampleFacts {
            plan: serde_json::json!({"load": {"rate": 100}, "seed": file.len()}),
            target: "http://127.0.0.1:8080/mcp".to_string(),
            era: "modern".to_string(),
            server: "demo 1".to_string(),
            program: "0.1.0".to_string(),
            host: GeneratorFacts {
                worker_cpus: vec![Some(1)],
                machine_cpus: 2,
                usable_cpus: 2,
                quota_millicpus: None,
                kernel: None,
                cpu_model: None,
                governor: None,
                is_virtual: None,
                kernel_timestamps: true,
                busy_poll: false,
            },
            started_at: "2026-11-26T12:00:00Z".to_string(),
            fingerprint: file.clone(),
            grade: Grade::Valid,
            cut_short: None,
            bounds_ms: (0.0, 0.0),
        },
        shape: SampleShape {
            is_open: true,
            planned_secs: Some(secs as f64),
            ..SampleShape::default()
        },
        file,
        has_histograms: true,
        slot_secs: Some(1.0),
        total,
        operations: Vec::new(),
    }
}

fn pair(base: Process, new: Process, seed: u64) -> ComparisonOutcome {
    let (base, new) = (base.run(2 * seed), new.run(2 * seed + 1));
    compare(&[base], &[new], &Tolerances::default())
}

fn verdict(comparison: &ComparisonOutcome, metric: ComparedMetric) -> ChangeVerdict {
    let figures = &comparison.rows[0].figures;
    let figure = figures.iter().find(|figure| figure.metric == metric);
    figure.and_then(|figure| figure.verdict).expect("a verdict")
}

/// In how many of `n` pairs it holds.
fn count(base: Process, new: Process, n: u64, holds: impl Fn(&ComparisonOutcome) -> bool) -> u64 {
    (0..n).filter(|seed| holds(&pair(base, new, *seed))).count() as u64
}

#[test]
fn two_runs_of_one_process_are_seldom_worse() {
    for (process, few, all) in [
        (STEADY, 8, 100),
        (Process { phi: 0.0, ..STEADY }, 2, 50),
        (Process { phi: 0.9, ..STEADY }, 4, 100),
        (Process { secs: 30, ..STEADY }, 4, 100),
    ] {
        let n = n_seeds(few, all);
        let n_worse = count(process, process, n, |it| {
            it.verdict == ComparisonVerdict::Worse
        });
        assert!(
            n_worse <= most_of(0.02, n),
            "{n_worse} of {n} with phi {}",
            process.phi
        );
    }
}

#[test]
fn a_fifth_more_is_worse() {
    let n = n_seeds(6, 100);
    let is_worse =
        |it: &ComparisonOutcome| verdict(it, ComparedMetric::P95) == ChangeVerdict::Worse;
    for slower in [
        Process {
            scale: 1.2,
            ..STEADY
        },
        // The tail alone, so that the median does not help.
        Process {
            tail: 1.2,
            ..STEADY
        },
    ] {
        let n_worse = count(STEADY, slower, n, is_worse);
        assert!(
            n_worse >= least_of(0.9, n),
            "{n_worse} of {n}, tail {}",
            slower.tail
        );
    }
}

#[test]
fn a_tenth_more_is_seen() {
    let n = n_seeds(6, 100);
    let slower = Process {
        scale: 1.1,
        ..STEADY
    };
    let is_seen = |it: &ComparisonOutcome| {
        use ChangeVerdict::{SmallChange, Worse};
        [SmallChange, Worse].contains(&verdict(it, ComparedMetric::P95))
    };
    let n_seen = count(STEADY, slower, n, is_seen);
    assert!(n_seen >= least_of(0.9, n), "{n_seen} of {n}");
}
