//! Proved by simulation: how often two runs of one process are called different, and a
//! real difference is called one.
//!
//! A run is 60 s of 100 calls a second. Latencies are log-normal within a second; 1.5 %
//! of them take 3 to 5 times as long. The level of the seconds wanders by 4 % as a
//! first-order autoregressive process, so that neighbours resemble each other.

use super::*;
use crate::outcome::{GeneratorFacts, Grade, Histogram, SampleFacts, SampleShape, SampleStage};
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
        self.run_disturbed(seed, |_| 0.0)
    }

    /// A run of it on a machine that is slower in some seconds: by so much, as a logarithm.
    fn run_disturbed(self, seed: u64, slower: impl Fn(u64) -> f64) -> RunSample {
        let mut random = fastrand::Rng::with_seed(seed);
        let noise = WANDERS * (1.0 - self.phi * self.phi).sqrt();
        let mut level = WANDERS * normals(&mut random).0;
        let mut slots = Vec::new();
        for number in 0..self.secs {
            level = self.phi * level + noise * normals(&mut random).0;
            let level_here = level + slower(number);
            let mut latency = Histogram::new();
            for _ in 0..CALLS_A_SECOND / 2 {
                let (a, b) = normals(&mut random);
                for z in [a, b] {
                    let outlier = match random.f64() < 0.015 {
                        true => 3.0 + 2.0 * random.f64(),
                        false => 1.0,
                    };
                    let tail = if z > 0.0 { self.tail } else { 1.0 };
                    let ms = 10.0 * (SIGMA * z + level_here).exp() * self.scale * outlier * tail;
                    latency.record((ms * 1e6) as u64);
                }
            }
            slots.push(SampleSlot {
                number,
                offered: CALLS_A_SECOND as u64,
                ok: CALLS_A_SECOND as u64,
                failed: 0,
                latency: Packed::of(&latency),
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
            started: sum(|slot| slot.offered),
            ok: sum(|slot| slot.ok),
            failed: sum(|slot| slot.failed),
            rate_per_sec: Some(CALLS_A_SECOND as f64),
            percentiles_ms: [Some(10.0), Some(15.0), Some(30.0)],
        },
        request_bytes: None,
        slots,
    };
    let secs = total.slots.last().map_or(0, |slot| slot.number + 1);
    RunSample {
        facts: SampleFacts {
            plan: serde_json::json!({"load": {"rate": 100}, "seed": file.len()}),
            target: "http://127.0.0.1:8080/mcp".to_string(),
            era: "modern".to_string(),
            holds_streams: false,
            server: "demo 1".to_string(),
            program: "0.1.0".to_string(),
            host: GeneratorFacts::of_two_cpus(),
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
        flows: Vec::new(),
        populations: Vec::new(),
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
        (STEADY, 4, 100),
        (Process { phi: 0.0, ..STEADY }, 2, 50),
        (Process { phi: 0.9, ..STEADY }, 2, 100),
        (Process { secs: 30, ..STEADY }, 2, 100),
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

/// Of few calls for a p99, asked for or not.
#[test]
fn a_p99_that_is_asked_for_is_seldom_worse_by_chance() {
    let wished = wished(&["p99 +10%"]);
    for (process, few, all) in [
        (STEADY, 2, 100),
        (Process { phi: 0.0, ..STEADY }, 2, 50),
        (Process { secs: 30, ..STEADY }, 2, 100),
    ] {
        let n = n_seeds(few, all);
        let is_worse = |seed: &u64| {
            let [base, new] = [2 * seed, 2 * seed + 1].map(|seed| [process.run(seed)]);
            compare(&base, &new, &wished).verdict == ComparisonVerdict::Worse
        };
        let n_worse = (0..n).filter(is_worse).count() as u64;
        assert!(n_worse <= most_of(0.02, n), "{n_worse} of {n}");
    }
}

#[test]
fn a_tail_far_beyond_the_margin_is_worse_however_few_calls_make_it() {
    let with = |file, share: f64| {
        by_second(file, move |_, random, slot| {
            calls(slot, 0, || {
                let is_late = random.f64() < share;
                let ms = 10.0 * (0.8 + 0.4 * random.f64());
                if is_late { 500.0 } else { ms }
            });
        })
    };
    let (base, new) = (with("a.json", 0.0), with("bb.json", 0.03));
    let there = of_pair(base.clone(), new.clone());
    let p99 = figure(&there, "all calls", ComparedMetric::P99);
    assert_eq!(p99.verdict, Some(ChangeVerdict::Worse), "{p99:?}");
    assert!(p99.decides && p99.why.is_none(), "{p99:?}");
    assert_eq!(there.verdict, ComparisonVerdict::Worse);
    let back = of_pair(new, base.clone());
    let p99 = figure(&back, "all calls", ComparedMetric::P99);
    assert_eq!(p99.verdict, Some(ChangeVerdict::Better));
    assert!(p99.decides, "{p99:?}");
    // What did not surely change decides nothing, unless it is asked for.
    let other = with("ccc.json", 0.0);
    for texts in [&[][..], &["p99 +10%"]] {
        let sides = [&base, &other].map(std::slice::from_ref);
        let found = compare(sides[0], sides[1], &wished(texts));
        let p99 = figure(&found, "all calls", ComparedMetric::P99);
        assert_eq!(p99.verdict, Some(ChangeVerdict::NotEnoughData));
        assert_eq!(p99.decides, !texts.is_empty());
    }
}

#[test]
fn a_fifth_more_is_worse() {
    let n = n_seeds(4, 100);
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
    let n = n_seeds(4, 100);
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

#[test]
fn swapped_runs_mirror() {
    let mirrored = |verdict| match verdict {
        ChangeVerdict::Worse => ChangeVerdict::Better,
        ChangeVerdict::Better => ChangeVerdict::Worse,
        other => other,
    };
    for (seed, scale) in (0..).zip([1.0, 1.06, 1.2]).take(n_seeds(2, 3) as usize) {
        let (base, new) = (
            STEADY.run(seed),
            Process { scale, ..STEADY }.run(100 + seed),
        );
        let of = |base: &RunSample, new: &RunSample| {
            let both = [base, new].map(|run| vec![run.clone()]);
            compare(&both[0], &both[1], &Tolerances::default())
        };
        let (there, back) = (of(&base, &new), of(&new, &base));
        for (there, back) in there.rows[0].figures.iter().zip(&back.rows[0].figures) {
            assert_eq!(
                there.verdict.map(mirrored),
                back.verdict,
                "{there:?} {back:?}"
            );
            assert_eq!((there.base, there.new), (back.new, back.base));
            // Up by a quarter is down by a fifth. (No call fails: that change is 0.)
            let is_inverse = |there: Option<f64>, back: Option<f64>| {
                let (there, back) = (there.expect("bounded"), back.expect("bounded"));
                ((1.0 + there) * (1.0 + back) - 1.0).abs() < 1e-4
            };
            assert!(is_inverse(there.change, back.change), "{there:?} {back:?}");
            assert!(
                is_inverse(there.interval.0, back.interval.1),
                "{there:?} {back:?}"
            );
        }
    }
}

/// A run of 60 s by its slots: what happens in each second, by its number.
fn by_second(file: &str, second: impl Fn(u64, &mut fastrand::Rng, &mut SampleSlot)) -> RunSample {
    let mut random = fastrand::Rng::with_seed(file.len() as u64);
    let slots = (0..60).map(|number| {
        let mut slot = SampleSlot {
            number,
            offered: 100,
            ok: 0,
            failed: 0,
            latency: Packed::default(),
        };
        second(number, &mut random, &mut slot);
        slot
    });
    run_of(slots.collect(), file.to_string())
}

/// A hundred calls of some latencies in ms, of which some fail.
fn calls(slot: &mut SampleSlot, n_failed: u64, mut ms: impl FnMut() -> f64) {
    slot.failed = n_failed;
    slot.ok = 100 - n_failed;
    let mut latency = Histogram::new();
    (0..slot.ok).for_each(|_| latency.record((ms() * 1e6) as u64));
    slot.latency = Packed::of(&latency);
}

fn of_pair(base: RunSample, new: RunSample) -> ComparisonOutcome {
    compare(&[base], &[new], &Tolerances::default())
}

#[test]
fn the_same_run_twice_is_the_same() {
    let run = STEADY.run(1);
    let found = of_pair(run.clone(), run);
    assert_eq!(found.verdict, ComparisonVerdict::Same);
    assert!(
        found.rows[0]
            .figures
            .iter()
            .all(|figure| figure.change == Some(0.0))
    );
}

#[test]
fn a_second_peak_that_grew_is_not_equivalent() {
    let peaks = |file, share: f64| {
        by_second(file, move |_, random, slot| {
            calls(slot, 0, || {
                let peak = if random.f64() < share { 30.0 } else { 10.0 };
                peak * (0.98 + 0.04 * random.f64())
            });
        })
    };
    let found = of_pair(peaks("few.json", 0.1), peaks("more.json", 0.3));
    let shape = found.rows[0].shape.expect("another shape");
    assert!(
        shape.base_share < 0.12 && shape.new_share > 0.27,
        "{shape:?}"
    );
    for metric in [ComparedMetric::P50, ComparedMetric::P95] {
        assert_eq!(verdict(&found, metric), ChangeVerdict::SmallChange);
    }
    let found = of_pair(peaks("few.json", 0.1), peaks("alike.json", 0.1));
    assert_eq!(
        verdict(&found, ComparedMetric::P95),
        ChangeVerdict::Equivalent
    );
    assert_eq!(found.rows[0].shape, None);
}

#[test]
fn errors_are_compared_as_shares_near_zero_too() {
    let failing = |file, per_second: fn(u64) -> u64| {
        by_second(file, move |at, random, slot| {
            calls(slot, per_second(at), || 10.0 + random.f64());
        })
    };
    let check = |base: fn(u64) -> u64, new: fn(u64) -> u64, expected| {
        let found = of_pair(failing("base.json", base), failing("new.json", new));
        assert_eq!(
            verdict(&found, ComparedMetric::Errors),
            expected,
            "{found:#?}"
        );
    };
    check(|_| 0, |_| 0, ChangeVerdict::Equivalent);
    check(|_| 0, |_| 1, ChangeVerdict::Worse);
    check(|_| 1, |_| 0, ChangeVerdict::Better);
    check(|_| 2, |at| 6 + at % 2, ChangeVerdict::Worse);
    // One error of 6,000 calls beside none may be chance, and is within the margin or not.
    check(
        |_| 0,
        |at| u64::from(at == 30),
        ChangeVerdict::NotEnoughData,
    );
    check(|at| at % 3, |at| (at + 1) % 3, ChangeVerdict::NotEnoughData);
}

/// A run of 10 s, ten calls a second, of which some fail.
fn short(file: &str, n_failed: u64) -> RunSample {
    let mut run = by_second(file, |_, random, slot| {
        calls(slot, 0, || 10.0 + random.f64());
    });
    run.total.slots.truncate(10);
    run.shape.planned_secs = Some(10.0);
    (run.total.whole.ok, run.total.whole.failed) = (100 - n_failed, n_failed);
    run
}

fn errors_of(found: &ComparisonOutcome) -> &ComparedFigure {
    let figures = &found.rows[0].figures;
    let mut errors = figures
        .iter()
        .filter(|of| of.metric == ComparedMetric::Errors);
    errors.next().expect("a share of errors")
}

#[test]
fn errors_of_short_runs_are_decided_by_their_counts() {
    use ChangeVerdict::{Better, NotEnoughData, Worse};
    let of = |base, new| of_pair(short("a.json", base), short("bb.json", new));
    for (base, new, expected) in [
        (0, 30, Worse),
        (30, 0, Better),
        (2, 100, Worse),
        (20, 60, Worse),
        // p is 0.0018, and 0.43.
        (0, 10, NotEnoughData),
        (20, 25, NotEnoughData),
        (0, 0, NotEnoughData),
    ] {
        let found = of(base, new);
        let errors = errors_of(&found);
        assert_eq!(errors.verdict, Some(expected), "{base} {new}: {errors:?}");
        assert_eq!(errors.detectable.is_some(), expected == NotEnoughData);
        let is_worse = found.verdict == ComparisonVerdict::Worse;
        assert_eq!(is_worse, expected == Worse, "{found:#?}");
    }
}

#[test]
fn a_run_without_any_success_is_worse_whatever_is_known() {
    let dead = |n_calls| {
        let mut run = short("dead.json", 100);
        run.total.whole.failed = n_calls;
        run
    };
    let base = short("base.json", 0);
    // Fewer than counts are decided by, and without histograms.
    let mut bare = dead(3);
    bare.has_histograms = false;
    let base_of_two = [base.clone(), short("base2.json", 1)];
    for found in [
        of_pair(base.clone(), dead(100)),
        of_pair(base.clone(), dead(3)),
        of_pair(base.clone(), bare),
        compare(&base_of_two, &[dead(100)], &Tolerances::default()),
    ] {
        assert_eq!(found.verdict, ComparisonVerdict::Worse, "{found:#?}");
        let why = errors_of(&found).why.as_deref();
        assert_eq!(why, Some("no call of a new run succeeded"));
    }
    let back = of_pair(dead(100), base);
    assert_eq!(errors_of(&back).verdict, Some(ChangeVerdict::Better));
    // Neither is worse where nothing succeeds on either side.
    let mut other = dead(100);
    other.facts.fingerprint = "other".to_string();
    let neither = of_pair(dead(100), other);
    assert_ne!(neither.verdict, ComparisonVerdict::Worse);
}

#[test]
fn a_fall_of_all_errors_mirrors_their_rise() {
    let all = by_second("all.json", |_, _, slot| slot.failed = 100);
    let few = by_second("few.json", |at, random, slot| {
        calls(slot, u64::from(at % 9 == 0), || 10.0 + random.f64());
    });
    let none = by_second("none0.json", |_, random, slot| {
        calls(slot, 0, || 10.0 + random.f64());
    });
    for base in [few, none] {
        let there = of_pair(base.clone(), all.clone());
        let back = of_pair(all.clone(), base);
        let (there, back) = (errors_of(&there), errors_of(&back));
        assert!(there.change.is_some_and(|rise| rise > 0.99), "{there:?}");
        let minus = |of: Option<f64>| of.map(|of| -of);
        assert_eq!(there.change, minus(back.change));
        assert_eq!(there.interval.0, minus(back.interval.1));
        assert_eq!(there.interval.1, minus(back.interval.0));
        assert!(there.interval.0.is_some() && there.interval.1.is_some());
    }
}

#[test]
fn latencies_near_zero_have_an_absolute_margin() {
    let short = |file, us: f64| {
        by_second(file, move |_, random, slot| {
            calls(slot, 0, || us * (0.9 + 0.2 * random.f64()) / 1e3);
        })
    };
    let found = of_pair(short("base.json", 20.0), short("new.json", 30.0));
    assert_eq!(
        verdict(&found, ComparedMetric::P50),
        ChangeVerdict::Equivalent
    );
    let found = of_pair(short("base.json", 200.0), short("new.json", 300.0));
    assert_eq!(verdict(&found, ComparedMetric::P50), ChangeVerdict::Worse);
}

#[test]
fn what_was_offered_and_not_served_is_a_rate_that_fell() {
    let served = |file, n_dropped: u64| {
        by_second(file, move |_, random, slot| {
            calls(slot, 0, || 10.0 + random.f64());
            slot.offered = 100 + n_dropped;
        })
    };
    let found = of_pair(served("base.json", 0), served("new.json", 20));
    assert_eq!(verdict(&found, ComparedMetric::Rate), ChangeVerdict::Worse);
    assert_eq!(found.verdict, ComparisonVerdict::Worse);
    // What is shown is what is compared.
    let rate = &found.rows[0].figures[3];
    assert_eq!((rate.name(), rate.base), ("achieved of offered", Some(1.0)));
    let (new, change) = (rate.new.expect("a share"), rate.change.expect("a change"));
    assert!((new - 1.0 / 1.2).abs() < 1e-6 && (1.0 + change - new).abs() < 1e-6);
    // In the closed model the rate is the server's.
    let closed = |mut run: RunSample| {
        run.shape.is_open = false;
        run
    };
    let found = of_pair(
        closed(served("base.json", 0)),
        closed(served("new.json", 20)),
    );
    let rate = &found.rows[0].figures[3];
    assert_eq!((rate.name(), rate.base), ("rate", Some(100.0)));
}

#[test]
fn the_figures_shown_are_those_of_all_calls_together() {
    // For two of ten seconds all takes eight times as long: a mean of batches hides it.
    let bursts = |file, n: u64| {
        by_second(file, move |at, random, slot| {
            let times = if at >= 60 - n { 8.0 } else { 1.0 };
            calls(slot, 0, || times * (10.0 + random.f64()));
        })
    };
    let found = of_pair(bursts("base.json", 0), bursts("new.json", 5));
    let p95 = &found.rows[0].figures[1];
    assert!(p95.new.is_some_and(|ms| ms > 79.0), "{p95:?}");
    assert!(p95.change.is_some_and(|change| change < 1.0), "{p95:?}");
    let even = |file, ms: f64| {
        by_second(file, move |_, random, slot| {
            calls(slot, 0, || ms + random.f64())
        })
    };
    let told = |found: &ComparisonOutcome| {
        let notices = &mut found.notices.iter();
        notices.any(|notice| notice.contains("taken as a whole"))
    };
    // The batches are 10 % faster, and for the last seconds all is slow.
    let slow_at_last = by_second("last.json", |at, random, slot| {
        let ms = if at >= 56 { 60.0 } else { 5.0 };
        calls(slot, 0, || ms + random.f64());
    });
    assert!(told(&of_pair(even("base.json", 10.0), slow_at_last)));
    assert!(!told(&of_pair(
        even("base.json", 10.0),
        even("a.json", 12.0)
    )));
}

#[test]
fn a_run_that_drifts_or_starts_slowly_is_told_of() {
    let moving = |file, level: fn(u64) -> f64| {
        by_second(file, move |at, random, slot| {
            calls(slot, 0, || level(at) * (0.9 + 0.2 * random.f64()));
        })
    };
    let steady = moving("steady.json", |_| 10.0);
    let found = of_pair(
        steady.clone(),
        moving("drift.json", |at| 10.0 + at as f64 * 0.05),
    );
    assert_eq!(found.base[0].drift, None);
    let drift = found.new[0].drift.expect("a drift");
    assert!((0.15..0.35).contains(&drift), "{drift}");
    let told = |part: &str| found.notices.iter().any(|notice| notice.contains(part));
    assert!(
        told("`drift.json` is not steady: its median rose by"),
        "{:?}",
        found.notices
    );
    let slow = moving("slow.json", |at| if at < 9 { 20.0 } else { 10.0 });
    let found = of_pair(steady, slow);
    assert!(found.new[0].slow_start.is_some(), "{:?}", found.new);
}

/// Runs of a server that every start makes faster or slower by 3 %.
fn restarted(n: u64, first_seed: u64, scale: f64, minute: u64) -> Vec<RunSample> {
    let run = |i: u64| {
        let mut random = fastrand::Rng::with_seed(first_seed + i);
        let scale = scale * (0.03 * normals(&mut random).0).exp();
        let mut run = Process {
            scale,
            secs: 30,
            ..STEADY
        }
        .run(first_seed + i);
        let minute = minute + 2 * i;
        run.facts.started_at = format!("2026-11-26T12:{minute:02}:00Z");
        run
    };
    (0..n).map(run).collect()
}

#[test]
fn runs_are_compared_from_run_to_run() {
    let of = |n, scale, minute| {
        let (base, new) = (restarted(n, 10, 1.0, 0), restarted(n, 50, scale, minute));
        compare(&base, &new, &Tolerances::default())
    };
    let told = |found: &ComparisonOutcome, part: &str| {
        found.notices.iter().any(|notice| notice.contains(part))
    };
    let found = of(5, 1.3, 1);
    assert_eq!(found.method, ComparisonMethod::Runs);
    assert_eq!(found.verdict, ComparisonVerdict::Worse, "{found:#?}");
    assert!(
        !told(&found, "say little") && !told(&found, "in turn"),
        "{:?}",
        found.notices
    );
    let found = of(3, 1.0, 30);
    assert_ne!(found.verdict, ComparisonVerdict::Worse, "{found:#?}");
    assert!(
        told(&found, "3 runs on a side say little"),
        "{:?}",
        found.notices
    );
    assert!(told(&found, "make them in turn"), "{:?}", found.notices);
    // Two runs beside one: batches are the unit, and tell no less than those of a pair.
    let of_few = |scale| {
        let (base, new) = (restarted(2, 10, 1.0, 0), restarted(1, 50, scale, 1));
        compare(&base, &new, &Tolerances::default())
    };
    let found = of_few(1.0);
    assert_ne!(found.verdict, ComparisonVerdict::Worse, "{found:#?}");
    for figure in &found.rows[0].figures[..2] {
        let (low, high) = figure.interval;
        assert!(low.is_some_and(|low| low > -0.5), "{figure:?}");
        assert!(high.is_some_and(|high| high < 1.0), "{figure:?}");
    }
    assert_eq!(of_few(2.0).verdict, ComparisonVerdict::Worse);
}

/// Runs of 30 s, made in turn, each of calls of this many ms a second, of which so many
/// of a hundred fail.
fn in_turn(is_new: bool, of_runs: &[(u64, f64, f64)]) -> Vec<RunSample> {
    let run = |(at, (n, ms, failing)): (usize, &(u64, f64, f64))| {
        let minute = 2 * at + usize::from(is_new);
        let file = format!("{is_new}{at}.json");
        let mut random = fastrand::Rng::with_seed(minute as u64);
        let slots = (0..30).map(|number| {
            let mut latency = Histogram::new();
            let n_failed = (0..*n).filter(|_| random.f64() < *failing).count() as u64;
            for _ in n_failed..*n {
                latency.record((ms * 1e6 * (0.8 + 0.4 * random.f64())) as u64);
            }
            SampleSlot {
                number,
                offered: *n,
                ok: n - n_failed,
                failed: n_failed,
                latency: Packed::of(&latency),
            }
        });
        let mut run = run_of(slots.collect(), file);
        run.facts.started_at = format!("2026-11-26T12:{minute:02}:00Z");
        run
    };
    of_runs.iter().enumerate().map(run).collect()
}

/// With few calls a percentile of a batch is not known; that of the whole part is.
#[test]
fn runs_of_few_calls_are_held_against_others_in_one_unit() {
    let base = in_turn(false, &[(50, 20.0, 0.0); 3]);
    for new in [
        [(10, 100.0, 0.0); 3],
        [(50, 100.0, 0.0), (10, 100.0, 0.0), (10, 100.0, 0.0)],
    ] {
        let found = compare(&base, &in_turn(true, &new), &Tolerances::default());
        for metric in [ComparedMetric::P95, ComparedMetric::P99] {
            let figure = figure(&found, "all calls", metric);
            let change = figure.change.expect("a change");
            assert!((3.5..4.5).contains(&change), "{figure:?}");
            assert_eq!(figure.verdict, Some(ChangeVerdict::Worse), "{figure:?}");
        }
    }
    let found = compare(
        &base,
        &in_turn(true, &[(10, 20.0, 0.0); 3]),
        &wished(&["p99 +10%"]),
    );
    assert_ne!(found.verdict, ComparisonVerdict::Worse, "{found:#?}");
}

/// Of batches of 96 calls no 99th percentile is known, of batches of 104 it is.
#[test]
fn sides_of_a_few_calls_more_mirror() {
    for (n_base, n_new) in [(1, 2), (2, 2), (3, 3), (5, 5), (5, 1)] {
        let base = in_turn(false, &vec![(25, 20.0, 0.0); n_base]);
        let new = in_turn(true, &vec![(23, 40.0, 0.0); n_new]);
        let p99 = |base: &[RunSample], new: &[RunSample]| {
            let found = compare(base, new, &Tolerances::default());
            let figure = figure(&found, "all calls", ComparedMetric::P99);
            figure.change.expect("a change")
        };
        let (there, back) = (p99(&base, &new), p99(&new, &base));
        assert!((0.9..1.1).contains(&there), "{n_base} {n_new}: {there}");
        let product = (1.0 + there) * (1.0 + back);
        assert!((product - 1.0).abs() < 1e-4, "{n_base} {n_new}: {product}");
    }
}

/// The new version varies more than the base: that does not hide that all its runs are
/// worse.
#[test]
fn runs_that_are_all_worse_are_worse_however_they_vary() {
    let of = |new: &[(u64, f64, f64)]| {
        let base = vec![(100, 20.0, 0.0); new.len()];
        let (base, new) = (in_turn(false, &base), in_turn(true, new));
        let back = compare(&new, &base, &Tolerances::default());
        (compare(&base, &new, &Tolerances::default()), back)
    };
    let slower = [(100, 26.0, 0.0), (100, 40.0, 0.0), (100, 200.0, 0.0)];
    let failing = [(100, 20.0, 0.01), (100, 20.0, 0.05), (100, 20.0, 0.5)];
    for (new, metric) in [
        (&slower, ComparedMetric::P50),
        (&slower, ComparedMetric::P95),
        (&failing, ComparedMetric::Errors),
    ] {
        let (found, back) = of(new);
        assert_eq!(found.verdict, ComparisonVerdict::Worse, "{found:#?}");
        let there = figure(&found, "all calls", metric);
        assert_eq!(there.verdict, Some(ChangeVerdict::Worse), "{there:?}");
        let back = figure(&back, "all calls", metric);
        assert_eq!(back.verdict, Some(ChangeVerdict::Better), "{back:?}");
    }
}

/// Where no call failed, how many there were decides what that says.
#[test]
fn no_error_in_few_calls_is_not_enough_data() {
    for (n, expected) in [
        (3, ChangeVerdict::NotEnoughData),
        (70, ChangeVerdict::Equivalent),
    ] {
        let [base, new] = [false, true].map(|is_new| in_turn(is_new, &[(n, 20.0, 0.0); 3]));
        let found = compare(&base, &new, &Tolerances::default());
        let errors = errors_of(&found);
        assert_eq!(errors.verdict, Some(expected), "{errors:?}");
        let (low, high) = errors.interval;
        assert!(low.is_some_and(|low| low < 0.0) && high.is_some_and(|high| high > 0.0));
        let why = errors.why.as_deref().unwrap_or_default();
        assert_eq!(why.contains("it takes 3,839 calls"), n == 3, "{why}");
    }
    // Of one operation among others it is not asked.
    let found = of_pair(
        with_flow("a.json", 1.0, 3.0),
        with_flow("bb.json", 1.0, 3.0),
    );
    let decides = |label| figure(&found, label, ComparedMetric::Errors).decides;
    assert!(
        decides("all calls") && !decides("tools/call login"),
        "{found:#?}"
    );
}

/// It makes too few calls to be decided by itself, and is in no share of all calls.
#[test]
fn an_operation_of_few_calls_that_always_fails_is_worse() {
    let run = |file: &str, ok: u64, failed: u64| {
        let mut run = with_flow(file, 1.0, 3.0);
        let rare = &mut run.operations[1].whole;
        (rare.started, rare.ok, rare.failed) = (ok + failed, ok, failed);
        run
    };
    let rare = |found: &ComparisonOutcome| {
        let rare = figure(found, "tools/call rare", ComparedMetric::Errors);
        (rare.decides, rare.verdict)
    };
    let worse = (true, Some(ChangeVerdict::Worse));
    let none = (false, None);
    for (ok, failed, expected) in [(0, 9, worse), (8, 1, none), (0, 2, none)] {
        let found = of_pair(run("a.json", ok + failed, 0), run("bb.json", ok, failed));
        assert_eq!(rare(&found), expected, "{ok} {failed}");
        let is_worse = found.verdict == ComparisonVerdict::Worse;
        assert_eq!(is_worse, expected == worse, "{found:#?}");
    }
    // Three calls of each run are nine of a side, where all runs agree.
    let base = ["a", "bb", "ccc"].map(|file| run(file, 3, 0));
    let new = ["dddd", "eeeee", "ffffff"].map(|file| run(file, 0, 3));
    assert_eq!(rare(&compare(&base, &new, &Tolerances::default())), worse);
    let back = compare(&new, &base, &Tolerances::default());
    assert_eq!(rare(&back), (true, Some(ChangeVerdict::Better)));
    let mut some = new.clone();
    some[1] = run("eeeee", 3, 0);
    assert_eq!(rare(&compare(&base, &some, &Tolerances::default())), none);
}

/// Runs that are too short for batches tell nothing but what nobody can miss.
#[test]
fn a_short_run_that_is_five_times_slower_is_worse() {
    let short = Process { secs: 7, ..STEADY };
    let slower = Process {
        scale: 5.0,
        ..short
    };
    let found = pair(short, slower, 1);
    assert!(found.steady.is_none());
    let p50 = figure(&found, "all calls", ComparedMetric::P50);
    assert_eq!(p50.verdict, Some(ChangeVerdict::Worse), "{p50:?}");
    assert!(p50.interval.0.is_some_and(|low| low > 1.0), "{p50:?}");
    let back = pair(slower, short, 1);
    assert_eq!(verdict(&back, ComparedMetric::P50), ChangeVerdict::Better);
    let alike = pair(short, short, 1);
    let p50 = figure(&alike, "all calls", ComparedMetric::P50);
    assert_eq!(p50.verdict, Some(ChangeVerdict::NotEnoughData));
    assert_eq!(p50.interval, (None, None));
}

#[test]
fn short_runs_of_one_process_are_seldom_worse() {
    for (secs, phi) in [(5, 0.9), (8, 0.9), (14, 0.7)] {
        let process = Process {
            secs,
            phi,
            ..STEADY
        };
        let n = n_seeds(8, 50);
        let n_worse = count(process, process, n, |it| {
            it.verdict == ComparisonVerdict::Worse
        });
        assert!(n_worse <= most_of(0.02, n), "{n_worse} of {n} of {secs} s");
    }
}

/// Whatever the means of a few runs say.
#[test]
fn what_cannot_be_is_in_no_interval() {
    let base = in_turn(false, &[(100, 20.0, 0.0); 3]);
    let new = [(100, 20.0, 0.0), (100, 20.0, 0.0), (100, 20.0, 0.5)];
    let found = compare(&base, &in_turn(true, &new), &Tolerances::default());
    let errors = errors_of(&found);
    assert_eq!(errors.verdict, Some(ChangeVerdict::NotEnoughData));
    assert!(
        errors.interval.0.is_some_and(|low| low > -0.002),
        "{errors:?}"
    );
    assert_eq!(errors.base_runs, [0.0; 3]);
    assert!(errors.new_runs[2] > 0.4 && errors.new_runs[..2] == [0.0; 2]);
}

/// Runs beside each other are no runs before those of the other side.
#[test]
fn runs_at_the_same_time_are_not_one_after_the_other() {
    let told = |base: [u64; 2], new: [u64; 2]| {
        let [base, new] = [(false, base), (true, new)].map(|(is_new, starts)| {
            let mut runs = in_turn(is_new, &[(100, 20.0, 0.0); 2]);
            for (run, secs) in runs.iter_mut().zip(starts) {
                run.facts.started_at = format!("2026-11-26T12:{:02}:{:02}Z", secs / 60, secs % 60);
            }
            runs
        });
        let found = compare(&base, &new, &Tolerances::default());
        found
            .notices
            .iter()
            .any(|notice| notice.contains("make them in turn"))
    };
    assert!(told([0, 60], [120, 180]));
    assert!(told([120, 180], [0, 60]));
    assert!(!told([0, 120], [60, 180]));
    assert!(!told([0, 0], [0, 0]));
    assert!(!told([0, 2], [1, 3]));
    assert!(!told([0, 1], [2, 3]));
}

/// Percentiles of some of the operations cannot be added from whole ones.
#[test]
fn a_reason_is_one_that_holds() {
    let with = |file: &str, labels: &[&str]| {
        let mut run = with_flow(file, 1.0, 3.0);
        run.total.slots.truncate(8);
        run.shape.planned_secs = Some(8.0);
        run.flows.clear();
        run.operations
            .retain(|row| labels.contains(&row.key.label.as_str()));
        run.operations
            .iter_mut()
            .for_each(|row| row.slots.truncate(8));
        run
    };
    let (login, whoami) = ("tools/call login", "tools/call whoami");
    let base = ["a", "bb", "ccc"].map(|file| with(file, &[login, whoami]));
    let new = ["dddd", "eeeee", "ffffff"].map(|file| with(file, &[login]));
    let found = compare(&base, &new, &Tolerances::default());
    let p50 = figure(&found, "all calls", ComparedMetric::P50);
    assert_eq!(
        (p50.base, p50.verdict),
        (None, Some(ChangeVerdict::NotEnoughData))
    );
    let why = p50.why.as_deref().unwrap_or_default();
    assert!(
        why.contains("takes histograms by time") && why.contains("run at least"),
        "{why}"
    );
}

#[test]
fn an_interval_that_bounds_nothing_is_not_shown() {
    for change in [-15.0, 15.0, f64::NEG_INFINITY, f64::INFINITY, f64::NAN] {
        assert_eq!(of_change(ComparedMetric::P50, change), None);
    }
    assert_eq!(of_change(ComparedMetric::Errors, -1.0), Some(-1.0));
    assert_eq!(of_change(ComparedMetric::Errors, 1.2), Some(1.0));
}

#[test]
fn operations_of_one_side_are_named_and_in_no_total() {
    let with = |file: &str, labels: &[&str]| {
        let mut run = by_second(file, |_, random, slot| {
            calls(slot, 0, || 10.0 + random.f64());
        });
        let operation = |label: &&str| {
            let mut row = run.total.clone();
            row.key.label = label.to_string();
            row
        };
        run.operations = labels.iter().map(operation).collect();
        run.shape.is_open = false;
        run
    };
    let (base, new) = (
        with("a.json", &["echo", "old"]),
        with("bb.json", &["new", "echo"]),
    );
    let found = of_pair(base, new);
    assert_eq!(
        (found.only_base, found.only_new),
        (vec!["old".into()], vec!["new".into()])
    );
    let labels: Vec<&str> = found.rows.iter().map(|row| row.label.as_str()).collect();
    assert_eq!(labels, ["all calls", "echo"]);
    // One of two operations is left.
    let rate = found.rows[0]
        .figures
        .iter()
        .find(|of| of.metric == ComparedMetric::Rate);
    let rate = rate.and_then(|figure| figure.new).expect("a rate");
    assert!((rate - 100.0).abs() < 1.0, "{rate}");
}

#[test]
fn with_too_little_nothing_is_claimed_and_what_would_help_is_told() {
    let of = |secs| {
        of_pair(
            Process { secs, ..STEADY }.run(1),
            Process { secs, ..STEADY }.run(2),
        )
    };
    let found = of(10);
    assert_eq!(found.verdict, ComparisonVerdict::Unclear);
    let figure = &found.rows[0].figures[0];
    let why = figure.why.as_deref().expect("a reason");
    assert!(why.contains("7s long: run at least 1m"), "{why}");
    assert!(
        figure.base.is_some() && figure.interval == (None, None),
        "{figure:?}"
    );
    // What its seconds vary by is the least that a change hides in.
    for figure in found.rows[0].figures.iter().filter(|of| of.decides) {
        assert!(
            figure.detectable.is_some_and(|seen| seen < 1.0),
            "{figure:?}"
        );
    }
    let a_second_alone = of(2).rows[0].figures[0].detectable;
    assert_eq!(a_second_alone, None);
    // A percentile that takes more calls than there were.
    let found = of(60);
    let p99 = &found.rows[0].figures[2];
    assert_eq!((p99.metric, p99.decides), (ComparedMetric::P99, false));
    assert_eq!(p99.verdict, Some(ChangeVerdict::NotEnoughData));
    let why = p99.why.as_deref().expect("a reason");
    assert!(
        why.contains("too few calls for this percentile: run at least"),
        "{why}"
    );
    assert!(p99.detectable.is_some_and(|seen| seen > 0.1), "{p99:?}");
    // No histograms, no verdict.
    let mut bare = STEADY.run(1);
    bare.has_histograms = false;
    let found = of_pair(bare, STEADY.run(2));
    assert_eq!(found.verdict, ComparisonVerdict::Undecided);
    assert!(
        found.rows[0]
            .figures
            .iter()
            .all(|figure| figure.verdict.is_none())
    );
    assert!(
        found.rows[0]
            .figures
            .iter()
            .all(|figure| figure.base.is_some())
    );
}

#[test]
fn ramps_and_the_warm_up_are_left_out() {
    let part = |change: fn(&mut SampleShape)| {
        let mut runs = [STEADY.run(1), STEADY.run(2)];
        for run in &mut runs {
            change(&mut run.shape);
        }
        let [base, new] = runs;
        let steady = of_pair(base, new).steady.expect("a part");
        (steady.from_secs, steady.to_secs, steady.left_out)
    };
    assert_eq!(part(|_| ()).0, 5.0);
    assert_eq!(part(|shape| shape.warm_up_secs = 20.0).0, 20.0);
    assert_eq!(part(|shape| shape.ramp_up_secs = 10.0).0, 15.0);
    let (from, to, left_out) = part(|shape| {
        let stage = |at_secs, length_secs, load| SampleStage {
            at_secs,
            length_secs,
            load,
        };
        shape.stages = vec![
            stage(0.0, 10.0, (0.0, 50.0)),
            stage(10.0, 40.0, (50.0, 50.0)),
            stage(50.0, 10.0, (50.0, 0.0)),
        ];
    });
    assert_eq!((from, to), (15.0, 50.0));
    assert!(left_out.contains("stage 2 of 3"), "{left_out}");
}

/// A run with some operations and a flow, whose calls take this many times as long.
fn with_flow(file: &str, of_calls: f64, of_flow: f64) -> RunSample {
    let timed = |scale: f64| {
        by_second(file, move |_, random, slot| {
            calls(slot, 0, || scale * (10.0 + random.f64()));
        })
    };
    let mut run = timed(of_calls);
    let operation = |tool: &str, whole: WholeFigures, slots: &[SampleSlot]| SampleRow {
        key: SampleKey {
            label: format!("tools/call {tool}"),
            method: "tools/call".to_string(),
            subject: Some(tool.to_string()),
            ..SampleKey::default()
        },
        whole,
        request_bytes: None,
        slots: slots.to_vec(),
    };
    let few = WholeFigures {
        ok: 200,
        ..run.total.whole
    };
    run.operations = vec![
        operation("login", run.total.whole, &run.total.slots),
        operation("rare", few, &[]),
        operation("whoami", run.total.whole, &run.total.slots),
    ];
    run.flows = vec![SampleRow {
        key: SampleKey::of_flow("check out"),
        ..timed(of_flow).total
    }];
    run
}

fn wished(texts: &[&str]) -> Tolerances {
    let tolerances = texts.iter().map(|text| text.parse().expect("a tolerance"));
    Tolerances::new(tolerances.collect()).expect("each once")
}

fn figure<'a>(
    found: &'a ComparisonOutcome,
    label: &str,
    metric: ComparedMetric,
) -> &'a ComparedFigure {
    let mut rows = found.rows.iter();
    let row = rows.find(|row| row.label == label).expect(label);
    let mut figures = row.figures.iter();
    figures.find(|of| of.metric == metric).expect("a figure")
}

/// A server that has to be asked twice as often makes a flow longer, and no call.
#[test]
fn a_flow_that_takes_longer_is_worse_and_in_no_total() {
    let (base, new) = (
        with_flow("a.json", 1.0, 3.0),
        with_flow("bb.json", 1.0, 4.5),
    );
    let found = of_pair(base.clone(), new.clone());
    let labels: Vec<&str> = found.rows.iter().map(|row| row.label.as_str()).collect();
    assert_eq!(
        labels,
        [
            "all calls",
            "tools/call login",
            "tools/call rare",
            "tools/call whoami",
            "flow check out"
        ]
    );
    assert!(found.rows[4].is_flow && !found.rows[3].is_flow);
    assert_eq!(found.verdict, ComparisonVerdict::Worse);
    let of_flow = figure(&found, "flow check out", ComparedMetric::P50);
    assert!(of_flow.decides && of_flow.verdict == Some(ChangeVerdict::Worse));
    for metric in [ComparedMetric::P50, ComparedMetric::Rate] {
        let of_all = figure(&found, "all calls", metric);
        assert_eq!(
            of_all.verdict,
            Some(ChangeVerdict::Equivalent),
            "{found:#?}"
        );
    }
    // Within what is tolerated of the flow it is not, and nothing else is tolerated more.
    let tolerances = wished(&["flow:check out p50 +60%", "flow:\"check out\" p95 +60%"]);
    let found = compare(std::slice::from_ref(&base), &[new], &tolerances);
    assert_eq!(found.verdict, ComparisonVerdict::NotWorse, "{found:#?}");
    let margin = |label| figure(&found, label, ComparedMetric::P50).margin;
    assert_eq!((margin("flow check out"), margin("all calls")), (0.6, 0.05));
    // A flow of one side alone changes no total.
    let mut without = with_flow("ccc.json", 1.0, 3.0);
    without.flows.clear();
    let found = of_pair(base, without);
    assert_eq!(found.only_base, ["flow check out"]);
    assert_eq!(found.rows.len(), 4);
    assert_eq!(
        found.rows[0].figures[0].verdict,
        Some(ChangeVerdict::Equivalent)
    );
}

#[test]
fn an_operation_with_a_tolerance_decides_however_few_its_calls() {
    let runs = |scale: f64, names: [&str; 3]| {
        let run = |name: &str| {
            let mut run = with_flow(name, 1.0, 3.0);
            let [p50, p95, p99] = run.operations[1].whole.percentiles_ms;
            let more = scale + name.len() as f64 / 1e3;
            run.operations[1].whole.percentiles_ms =
                [p50, p95, p99].map(|ms| ms.map(|ms| more * ms));
            run
        };
        names.map(run)
    };
    let base = runs(1.0, ["a", "bb", "ccc"]);
    let new = runs(2.0, ["dddd", "eeeee", "ffffff"]);
    let rare = |found: &ComparisonOutcome| {
        let rare = figure(found, "tools/call rare", ComparedMetric::P50);
        (rare.decides, rare.verdict, rare.why.clone())
    };
    let found = of_pair(base[0].clone(), new[0].clone());
    assert_eq!(
        rare(&found),
        (false, None, Some(KEPT_AS_A_WHOLE.to_string()))
    );
    let tolerances = wished(&["tool:rare p50 +20%"]);
    let found = compare(&base[..1], &new[..1], &tolerances);
    let (decides, verdict, why) = rare(&found);
    assert_eq!(
        (decides, verdict),
        (true, Some(ChangeVerdict::NotEnoughData))
    );
    assert!(why.is_some_and(|why| why.contains("give 3 runs a side")));
    let found = compare(&base, &new, &tolerances);
    assert_eq!(rare(&found).1, Some(ChangeVerdict::Worse), "{found:#?}");
    let tolerances = wished(&["tool:rare p50 +150%"]);
    let found = compare(&base, &new, &tolerances);
    assert_eq!(
        rare(&found).1,
        Some(ChangeVerdict::Equivalent),
        "{found:#?}"
    );
}

/// One operation alone is all calls: what is tolerated of it is tolerated of them.
#[test]
fn the_only_operation_s_tolerance_holds_for_all_calls() {
    let only = |file: &str, scale: f64| {
        let mut run = with_flow(file, scale, 3.0);
        run.operations.truncate(1);
        run.flows.clear();
        run
    };
    let (base, new) = (only("a.json", 1.0), only("bb.json", 1.2));
    let found = of_pair(base.clone(), new.clone());
    assert_eq!(found.verdict, ComparisonVerdict::Worse);
    let tolerances = wished(&["tool:login p50 +30%", "tool:login p95 +30%", "p50 +1%"]);
    let found = compare(&[base], &[new], &tolerances);
    assert_eq!(found.verdict, ComparisonVerdict::NotWorse, "{found:#?}");
    for label in ["all calls", "tools/call login"] {
        assert_eq!(figure(&found, label, ComparedMetric::P50).margin, 0.3);
    }
}

/// What is said of all calls is said of the only operation, and of no flow.
#[test]
fn the_only_operation_is_told_apart_from_a_flow() {
    let with = |file: &str, of_flow: f64, n_operations: usize| {
        let mut run = with_flow(file, 1.0, of_flow);
        run.operations.truncate(n_operations);
        run
    };
    for n_operations in [0, 1] {
        let base = with("a.json", 3.0, n_operations);
        let found = of_pair(base, with("bb.json", 4.5, n_operations));
        let of_flow = figure(&found, "flow check out", ComparedMetric::P50);
        assert!(of_flow.decides, "{found:#?}");
        assert_eq!(of_flow.verdict, Some(ChangeVerdict::Worse));
        if let [total, operation, _] = &found.rows[..] {
            let verdicts = |row: &ComparedRow| row.figures.iter().map(|of| of.verdict).collect();
            let both: [Vec<_>; 2] = [verdicts(total), verdicts(operation)];
            assert_eq!(both[0], both[1], "{found:#?}");
        }
    }
}

/// One run of two populations, on a machine that is busy in some seconds: for both.
fn beside(base: Process, new: Process, seed: u64, disturbance: f64) -> ComparisonOutcome {
    let mut random = fastrand::Rng::with_seed(!seed);
    let mut level = 0.0;
    let slower: Vec<f64> = (0..base.secs)
        .map(|_| {
            level = 0.9 * level + 0.44 * disturbance * normals(&mut random).0;
            level
        })
        .collect();
    let of = |process: Process, seed| process.run_disturbed(seed, |at| slower[at as usize]);
    let (base, new) = (of(base, 2 * seed), of(new, 2 * seed + 1));
    let row = |population: &str, of: &RunSample| SampleRow {
        key: SampleKey {
            label: "tools/list".to_string(),
            method: "tools/list".to_string(),
            population: Some(population.to_string()),
            ..SampleKey::default()
        },
        ..of.total.clone()
    };
    let mut run = base.clone();
    run.operations = vec![row("a", &base), row("b", &new)];
    let sides = [("a", base.total.whole), ("b", new.total.whole)];
    compare_populations(&run, sides, true)
}

#[test]
fn populations_of_one_run_are_compared_pair_by_pair() {
    let found = beside(STEADY, STEADY, 1, 0.0);
    assert_eq!(found.method, ComparisonMethod::Pairs);
    assert_eq!((&*found.base[0].file, &*found.new[0].file), ("a", "b"));
    let labels: Vec<&str> = found.rows.iter().map(|row| row.label.as_str()).collect();
    assert_eq!(labels, ["all calls", "tools/list"]);
}

/// Not two seconds are alike, and yet two populations of one server have no difference: two
/// runs that differ as much from second to second have not enough data.
#[test]
fn what_disturbs_both_populations_is_no_difference() {
    let process = Process { phi: 0.0, ..STEADY };
    let n = n_seeds(4, 100);
    let n_none = (0..n)
        .filter(|seed| beside(process, process, *seed, 0.3).verdict == ComparisonVerdict::NotWorse);
    let n_none = n_none.count() as u64;
    assert!(n_none >= least_of(0.8, n), "{n_none} of {n}");
}

#[test]
fn populations_of_one_process_are_seldom_worse() {
    for (process, disturbance, few, all) in [
        (STEADY, 0.0, 2, 100),
        (STEADY, 0.3, 2, 100),
        (Process { phi: 0.9, ..STEADY }, 0.1, 2, 100),
        (Process { secs: 30, ..STEADY }, 0.3, 2, 100),
    ] {
        let n = n_seeds(few, all);
        let is_worse = |seed: &u64| {
            beside(process, process, *seed, disturbance).verdict == ComparisonVerdict::Worse
        };
        let n_worse = (0..n).filter(is_worse).count() as u64;
        let phi = process.phi;
        assert!(
            n_worse <= most_of(0.02, n),
            "{n_worse} of {n} with phi {phi}"
        );
    }
}

#[test]
fn a_population_that_is_a_tenth_slower_is_seen_on_a_busy_machine() {
    let process = Process { phi: 0.0, ..STEADY };
    let slower = Process {
        scale: 1.1,
        ..process
    };
    let n = n_seeds(4, 100);
    let is_seen = |seed: &u64| {
        use ChangeVerdict::{SmallChange, Worse};
        let found = beside(process, slower, *seed, 0.3);
        [SmallChange, Worse].contains(&verdict(&found, ComparedMetric::P50))
    };
    let n_seen = (0..n).filter(is_seen).count() as u64;
    assert!(n_seen >= least_of(0.9, n), "{n_seen} of {n}");
}

/// Two populations of one run: of each its name, how much slower its tool `rare` is, which
/// makes 8 % of its calls, and whether that is kept by time.
fn two_of(rare_ms: [f64; 2], is_by_time: bool) -> RunSample {
    let of = |name: &str, tool: &str, slots: &[SampleSlot]| {
        let sum = |of: fn(&SampleSlot) -> u64| slots.iter().map(of).sum::<u64>();
        SampleRow {
            key: SampleKey {
                label: format!("tools/call {tool}"),
                method: "tools/call".to_string(),
                subject: Some(tool.to_string()),
                population: Some(name.to_string()),
                ..SampleKey::default()
            },
            whole: WholeFigures {
                started: sum(|slot| slot.offered),
                ok: sum(|slot| slot.ok),
                failed: 0,
                rate_per_sec: Some(100.0),
                percentiles_ms: [Some(10.0); 3],
            },
            request_bytes: None,
            slots: slots.to_vec(),
        }
    };
    let seconds = |n: u64, ms: f64, seed: u64| {
        let mut random = fastrand::Rng::with_seed(seed);
        let slot = |number| {
            let mut latency = Histogram::new();
            (0..n).for_each(|_| latency.record(((ms + random.f64()) * 1e6) as u64));
            SampleSlot {
                number,
                offered: n,
                ok: n,
                failed: 0,
                latency: Packed::of(&latency),
            }
        };
        (0..60).map(slot).collect::<Vec<SampleSlot>>()
    };
    let mut run = run_of(seconds(200, 10.0, 1), "run.json".to_string());
    for (name, ms, seed) in [("a", rare_ms[0], 2), ("b", rare_ms[1], 4)] {
        let (often, rare) = (seconds(92, 10.0, seed), seconds(8, ms, seed + 1));
        let both = often.iter().zip(&rare).map(|(often, rare)| SampleSlot {
            offered: 100,
            ok: 100,
            latency: Packed::sum(&[&often.latency, &rare.latency]),
            ..often.clone()
        });
        let all = of(name, "", &both.collect::<Vec<_>>());
        run.populations.push(all);
        run.operations.push(of(name, "often", &often));
        let mut rare = of(name, "rare", &rare);
        if !is_by_time {
            rare.slots.clear();
        }
        run.operations.push(rare);
    }
    run
}

fn beside_each_other(run: &RunSample, are_even: bool) -> ComparisonOutcome {
    let whole = run.populations.iter().map(|row| row.whole);
    let whole: Vec<WholeFigures> = whole.collect();
    compare_populations(run, [("a", whole[0]), ("b", whole[1])], are_even)
}

/// 8 % of the calls take three times as long, so a 95th percentile does.
#[test]
fn all_calls_of_a_population_are_all_of_its_calls() {
    for is_by_time in [true, false] {
        let found = beside_each_other(&two_of([100.0, 300.0], is_by_time), true);
        assert_eq!(found.verdict, ComparisonVerdict::Worse, "{found:#?}");
        let p95 = figure(&found, "all calls", ComparedMetric::P95);
        assert_eq!(p95.verdict, Some(ChangeVerdict::Worse));
        assert!(p95.base.is_some_and(|ms| ms > 99.0), "{p95:?}");
        assert!(p95.new.is_some_and(|ms| ms > 299.0), "{p95:?}");
        let rare = figure(&found, "tools/call rare", ComparedMetric::P50);
        match is_by_time {
            true => assert_eq!(rare.verdict, Some(ChangeVerdict::Worse), "{rare:?}"),
            false => assert_eq!(
                (rare.verdict, rare.why.as_deref()),
                (None, Some(KEPT_AS_A_WHOLE))
            ),
        }
    }
}

/// Nothing is said to have no call that has some.
#[test]
fn populations_that_are_not_kept_by_time_are_said_to_be_so() {
    let mut run = two_of([100.0, 300.0], false);
    let whole = beside_each_other(&run, true);
    assert!(whole.steady.is_some(), "{whole:#?}");
    let sides = [0, 1].map(|at| run.populations[at].whole);
    run.populations.clear();
    let found = compare_populations(&run, [("a", sides[0]), ("b", sides[1])], true);
    assert_ne!(found.verdict, ComparisonVerdict::NotWorse, "{found:#?}");
    let told = found.notices.join("\n");
    assert!(
        told.contains("all calls of `a` are not kept by time"),
        "{told}"
    );
    assert!(!told.contains("no call"), "{told}");
}

/// What only one of them calls is in no total, and neither is what is not kept by time.
#[test]
fn a_sum_that_lacks_an_operation_says_so() {
    let mut run = two_of([100.0, 300.0], false);
    let mut own = run.operations[0].clone();
    own.key.label = "tools/call own".to_string();
    own.key.subject = Some("own".to_string());
    run.operations.push(own);
    let found = beside_each_other(&run, true);
    assert_eq!(found.only_base, ["tools/call own"]);
    let told = found.notices.join("\n");
    assert!(
        told.contains("all calls by time are without `tools/call rare`"),
        "{told}"
    );
}

/// With four times the users it makes four times the calls, in a run of any length.
#[test]
fn rates_of_uneven_shares_are_never_shown_as_they_are() {
    for secs in [60, 12] {
        let mut run = two_of([10.0, 10.0], true);
        run.shape.is_open = false;
        run.shape.planned_secs = Some(secs as f64);
        let rows = run.operations.iter_mut().chain(&mut run.populations);
        for row in rows.chain([&mut run.total]) {
            row.slots.truncate(secs);
        }
        run.populations[0].whole.rate_per_sec = Some(400.0);
        for (are_even, has_histograms) in [(true, true), (false, true), (false, false)] {
            run.has_histograms = has_histograms;
            let found = beside_each_other(&run, are_even);
            let rate = figure(&found, "all calls", ComparedMetric::Rate);
            assert_eq!(rate.of_offered, !are_even, "{secs} {rate:?}");
            let is_share = rate.base == Some(1.0) && rate.new == Some(1.0);
            assert_eq!(is_share, !are_even, "{secs} {rate:?}");
        }
    }
}
