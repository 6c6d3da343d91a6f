//! The open model's intended starts: when arrival number n is due.
//!
//! Pure arithmetic over a rate profile. It does not know who obeys it, whether
//! anybody is free to, or what time it is. Start with [`ArrivalSchedule`], then
//! [`ArrivalInstants`].
//!
//! # Exactness
//!
//! A rate is a whole number of millionths of an arrival an hour ([`Rate`]) and a
//! stage's length a whole number of nanoseconds, so the area under the profile,
//! the count of arrivals due by an instant, is a fraction of whole numbers.
//! Arrival n is placed by comparing such fractions, never by adding up rounded
//! gaps: each instant is the true one rounded down to a nanosecond, the first
//! as much as the 10^9th, and there is nothing that could drift.

use std::sync::Arc;
use std::time::Duration;

use super::deal::DealtArrivals;
use super::segment::Segment;
use crate::units::nanos;

/// When the arrivals of an open load model are due, from the start of the load.
///
/// Arrival `n` (counted from 0) of a constant distribution is due where the
/// area under the rate profile reaches `n`, in the stage in which it goes on
/// rising from there. So a stage of 10/s for 1 s holds ten arrivals, at 0,
/// 100, … 900 ms; what is due "at" its end belongs to the next stage with a
/// rate above zero, and nothing is due at the end of the schedule.
///
/// With a Poisson distribution the `n`th arrival is due where the area reaches
/// the sum of `n + 1` exponential gaps of mean 1 (the inverse of the integrated
/// rate: exact for any profile, no draw is thrown away). With a scattered one
/// it is due where the area reaches `n` and a random part of 1 beyond it.
///
/// Cheap to clone; every worker builds its share from the same schedule.
#[derive(Debug, Clone)]
pub struct ArrivalSchedule {
    shape: Shape,
    length_ns: u64,
}

#[derive(Debug, Clone)]
enum Shape {
    Rates {
        stages: Arc<[PlacedStage]>,
        distribution: Spacing,
    },
    Bursts {
        burst: u64,
        every_ns: u64,
    },
}

/// How arrivals spread about the rate profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spacing {
    /// Evenly: the gaps follow the rate exactly.
    Constant,
    /// As independent users arrive: exponential gaps from this seed.
    Poisson {
        /// Every worker must be given the same one.
        seed: u64,
    },
    /// One at a random instant of each interval: as many as `Constant`, and in
    /// step with nothing else that recurs. So a probe sees what a load in
    /// bursts or at fixed gaps does to the server at any moment alike
    /// (stratified sampling).
    Scattered {
        /// Every worker must be given the same one.
        seed: u64,
    },
}

/// One part of a rate profile: the rate moves linearly over its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateSegment {
    /// The rate at the stage's beginning.
    pub from: Rate,
    /// The rate at the stage's end; equal to `from` for a hold.
    pub to: Rate,
    /// Zero is allowed and makes a jump. At most `LENGTH_MAX` is used.
    pub length: Duration,
}

/// Arrivals over time, kept as whole millionths of an arrival an hour.
///
/// So any rate a second, minute or hour with up to six decimals an hour is
/// exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate {
    /// 0..=RATE_MAX
    micros_an_hour: u64,
}

/// The longest length of one stage: no run lasts longer than a year.
pub(super) const LENGTH_MAX: Duration = Duration::from_secs(366 * 86_400);

/// Ten million a second: above what any generator can send, and small enough
/// that the area under a stage fits 128 bits.
const RATE_MAX: u64 = 10_000_000 * MICROS_AN_HOUR_OF_ONE_A_SECOND;
const MICROS_AN_HOUR_OF_ONE_A_SECOND: u64 = 3_600_000_000;

/// One arrival as an area under the profile, in halves of a millionth of an
/// arrival an hour, times a nanosecond. Halves, because the area of a ramp is
/// `(from + to) / 2 * length`.
const AREA_OF_ONE: u128 = 2 * 1_000_000 * 3_600 * 1_000_000_000;

impl Rate {
    /// No arrivals.
    pub const ZERO: Rate = Rate { micros_an_hour: 0 };

    /// From arrivals a second, to the nearest millionth of an arrival an hour.
    ///
    /// `None` where it is negative, not a number, or above 10,000,000 a second.
    pub fn per_second(rate: f64) -> Option<Self> {
        let micros = (rate * MICROS_AN_HOUR_OF_ONE_A_SECOND as f64).round();
        (0.0..=RATE_MAX as f64).contains(&micros).then_some(Self {
            micros_an_hour: micros as u64,
        })
    }
}

impl RateSegment {
    /// A hold at one rate.
    pub fn hold(rate: Rate, length: Duration) -> Self {
        Self {
            from: rate,
            to: rate,
            length,
        }
    }
}

impl ArrivalSchedule {
    /// Arrivals that follow a profile of rates, stage after stage.
    pub fn rates(stages: &[RateSegment], distribution: Spacing) -> Self {
        let mut placed = Vec::with_capacity(stages.len());
        let mut start_ns = 0_u64;
        let mut area_before = 0_u128;
        for stage in stages {
            let stage = PlacedStage {
                from: stage.from.micros_an_hour,
                to: stage.to.micros_an_hour,
                length_ns: nanos(stage.length.min(LENGTH_MAX)),
                start_ns,
                area_before,
            };
            start_ns = start_ns.saturating_add(stage.length_ns);
            area_before = stage.area_after();
            placed.push(stage);
        }
        Self {
            shape: Shape::Rates {
                stages: placed.into(),
                distribution,
            },
            length_ns: start_ns,
        }
    }

    /// `burst` arrivals at once at each multiple of `every` before `length`,
    /// the first of them at the start. `every` of zero is taken as 1 ns.
    pub fn bursts(burst: u32, every: Duration, length: Duration) -> Self {
        Self {
            shape: Shape::Bursts {
                burst: u64::from(burst),
                every_ns: nanos(every).max(1),
            },
            length_ns: nanos(length.min(LENGTH_MAX)),
        }
    }

    /// The arrivals of one part of the load, by their number in the whole. All
    /// parts together are exactly the schedule.
    ///
    /// With a Poisson distribution every part draws the whole stream of gaps
    /// and skips the others' (about 10 ns for each arrival of the whole
    /// schedule), which is the price of agreeing without talking.
    pub fn shard(&self, part: Segment) -> ArrivalInstants {
        let (first, step) = part.numbers();
        self.numbered(first, step)
    }

    /// The same where arrivals are dealt among several parts of the load: each with
    /// whose it is. All draw the whole stream of gaps.
    pub fn dealt(&self, numbers: DealtArrivals) -> impl Iterator<Item = (Duration, usize)> + use<> {
        let mut instants = self.numbered(0, 1);
        numbers.map_while(move |(number, part)| {
            let instant_ns = instants.instant_of(number)?;
            Some((Duration::from_nanos(instant_ns), part))
        })
    }

    fn numbered(&self, first: u64, step: u64) -> ArrivalInstants {
        let gaps = match self.shape {
            Shape::Rates {
                distribution: Spacing::Poisson { seed },
                ..
            } => Some(PoissonGaps {
                random: fastrand::Rng::with_seed(seed),
                area: 0,
                n_drawn: 0,
            }),
            _ => None,
        };
        ArrivalInstants {
            schedule: self.clone(),
            next: first,
            step,
            stage_idx: 0,
            gaps,
            is_over: false,
        }
    }
}

/// The intended instants of one worker's arrivals, as time since the start of
/// the load, in order; equal instants may follow each other. Ends with the
/// schedule.
#[derive(Debug, Clone)]
pub struct ArrivalInstants {
    schedule: ArrivalSchedule,
    /// The number, in the whole schedule, of the arrival that comes next.
    next: u64,
    step: u64,
    /// No later arrival lies in a stage before this one.
    stage_idx: usize,
    gaps: Option<PoissonGaps>,
    is_over: bool,
}

impl Iterator for ArrivalInstants {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.is_over {
            return None;
        }
        let instant_ns = self.instant_of(self.next);
        match self.next.checked_add(self.step) {
            Some(next) if instant_ns.is_some() => self.next = next,
            _ => self.is_over = true,
        }
        instant_ns.map(Duration::from_nanos)
    }
}

impl ArrivalInstants {
    /// When arrival `number` is due: none is asked for before one that was.
    fn instant_of(&mut self, number: u64) -> Option<u64> {
        let (stages, offset) = match &self.schedule.shape {
            Shape::Rates {
                stages,
                distribution,
            } => (stages, offset_in_interval(*distribution, number)),
            Shape::Bursts { burst, every_ns } => {
                return number
                    .checked_div(*burst)?
                    .checked_mul(*every_ns)
                    .filter(|instant_ns| *instant_ns < self.schedule.length_ns);
            }
        };
        let area = match &mut self.gaps {
            None => u128::from(number) * AREA_OF_ONE + offset,
            Some(gaps) => {
                let area_end = stages.last().map_or(0, PlacedStage::area_after);
                gaps.area_of(number, area_end)
            }
        };
        while let Some(stage) = stages.get(self.stage_idx) {
            if area < stage.area_after() {
                return Some(stage.instant_of(area));
            }
            self.stage_idx += 1;
        }
        None
    }
}

/// How far behind the start of its interval arrival `n` is due, as an area below
/// that of one arrival. A function of the number alone, so that workers agree.
fn offset_in_interval(distribution: Spacing, n: u64) -> u128 {
    /// 2^64 divided by the golden ratio: spreads consecutive numbers over all seeds.
    const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
    let Spacing::Scattered { seed } = distribution else {
        return 0;
    };
    let seed = seed.wrapping_add(n.wrapping_mul(GOLDEN));
    fastrand::Rng::with_seed(seed).u128(..AREA_OF_ONE)
}

/// The stream of unit exponential gaps that all workers draw alike.
#[derive(Debug, Clone)]
struct PoissonGaps {
    random: fastrand::Rng,
    /// The sum of the gaps drawn. Whole, so that adding a small gap to a large
    /// sum loses nothing.
    area: u128,
    n_drawn: u64,
}

impl PoissonGaps {
    /// Where arrival `n` lies; at or beyond `area_end` as soon as the stream
    /// has left the schedule, so that the last call ends too.
    fn area_of(&mut self, n: u64, area_end: u128) -> u128 {
        while self.n_drawn <= n && self.area < area_end {
            // 1 - u lies in (0, 1], so a gap is finite: at most 36.8.
            let gap = -(1.0 - self.random.f64()).ln();
            self.area += (gap * AREA_OF_ONE as f64) as u128;
            self.n_drawn += 1;
        }
        self.area
    }
}

/// A stage with its place in time and in the count of arrivals.
#[derive(Debug, Clone, Copy)]
struct PlacedStage {
    /// Millionths of an arrival an hour, `<= RATE_MAX < 2^56`.
    from: u64,
    to: u64,
    /// `<= LENGTH_MAX < 2^55`
    length_ns: u64,
    start_ns: u64,
    area_before: u128,
}

impl PlacedStage {
    fn area_after(&self) -> u128 {
        // Below 2^112 for one stage; saturating for the sake of many.
        let area = (u128::from(self.from) + u128::from(self.to)) * u128::from(self.length_ns);
        self.area_before.saturating_add(area)
    }

    /// The last nanosecond of the stage by which no more than `area` has
    /// gathered. Asked only for `area_before <= area < area_after()`, where the
    /// area rises strictly from the answer on.
    fn instant_of(&self, area: u128) -> u64 {
        let area = area.saturating_sub(self.area_before);
        let offset_ns = if self.from == self.to {
            // area = 2 * rate * t. The quotient is below the length.
            area / (2 * u128::from(self.from)).max(1)
        } else {
            u128::from(self.offset_on_ramp(area))
        };
        self.start_ns
            .saturating_add(u64::try_from(offset_ns).unwrap_or(u64::MAX))
    }

    /// Solves `2 * from * t + (to - from) * t^2 / length = area` for the whole
    /// `t`: a guess in floating point, then a search by exact comparison from
    /// there, outwards in doubling steps and back by halving.
    fn offset_on_ramp(&self, area: u128) -> u64 {
        let length = self.length_ns as f64;
        let (from, slope) = (
            self.from as f64,
            (self.to as f64 - self.from as f64) / length,
        );
        // The form of the quadratic formula that subtracts nothing alike.
        let root = (from * from + slope * area as f64).max(0.0).sqrt();
        let guess = ((area as f64 / (from + root)) as u64).min(self.length_ns);

        // `low` is at or before the answer, `high` after it.
        let (mut low, mut high, mut stride) = (guess, guess, 1_u64);
        while !self.holds_at_most(area, low) {
            low = low.saturating_sub(stride);
            stride = stride.saturating_mul(2);
        }
        stride = 1;
        while high < self.length_ns && self.holds_at_most(area, high) {
            high = high.saturating_add(stride).min(self.length_ns);
            stride = stride.saturating_mul(2);
        }
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            if self.holds_at_most(area, middle) {
                low = middle;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Whether at most `area` has gathered by `t`: exact.
    ///
    /// Both sides times the length: `t * (2 * from * length + (to - from) * t)
    /// <= area * length`, with up to 170 bits.
    fn holds_at_most(&self, area: u128, t: u64) -> bool {
        let twice_start = 2 * u128::from(self.from) * u128::from(self.length_ns);
        let turn = u128::from(self.from.abs_diff(self.to)) * u128::from(t);
        let factor = if self.to >= self.from {
            twice_start + turn
        } else {
            // Not below zero, for t is at most the length.
            twice_start - turn
        };
        wide_product(factor, t) <= wide_product(area, self.length_ns)
    }
}

/// `a * b` in full, as its upper and its lower part of 128 bits.
fn wide_product(a: u128, b: u64) -> (u128, u128) {
    let b = u128::from(b);
    let low = (a & u128::from(u64::MAX)) * b;
    let high = (a >> 64) * b + (low >> 64);
    (high >> 64, (high << 64) | (low & u128::from(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::super::deal::Deal;
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn rate(per_second: f64) -> Rate {
        Rate::per_second(per_second).expect("a rate within range")
    }

    fn constant(stages: &[(f64, f64, u64)]) -> ArrivalSchedule {
        scheduled(stages, Spacing::Constant)
    }

    /// Stages as (from/s, to/s, milliseconds).
    fn scheduled(stages: &[(f64, f64, u64)], distribution: Spacing) -> ArrivalSchedule {
        let stages: Vec<RateSegment> = stages
            .iter()
            .map(|&(from, to, ms)| RateSegment {
                from: rate(from),
                to: rate(to),
                length: Duration::from_millis(ms),
            })
            .collect();
        ArrivalSchedule::rates(&stages, distribution)
    }

    /// How many even arrivals there will be. Of scattered ones the last may be
    /// missing, where its interval is not whole.
    fn n_arrivals(schedule: &ArrivalSchedule) -> u64 {
        match &schedule.shape {
            Shape::Rates { stages, .. } => {
                let area = stages.last().map_or(0, PlacedStage::area_after);
                u64::try_from(area.div_ceil(AREA_OF_ONE)).expect("a count")
            }
            Shape::Bursts { burst, every_ns } => schedule.length_ns.div_ceil(*every_ns) * burst,
        }
    }

    fn instants_ns(schedule: &ArrivalSchedule) -> Vec<u128> {
        schedule
            .shard(Segment::WHOLE)
            .map(|at| at.as_nanos())
            .collect()
    }

    #[test]
    fn arrivals_are_due_where_the_area_reaches_their_number() {
        let check = |stages: &[(f64, f64, u64)], expected_ns: &[u128]| {
            let schedule = constant(stages);
            assert_eq!(instants_ns(&schedule), expected_ns, "{stages:?}");
        };
        check(
            &[(2.0, 2.0, 2000)],
            &[0, 500_000_000, 1_000_000_000, 1_500_000_000],
        );
        check(&[(3.0, 3.0, 1000)], &[0, 333_333_333, 666_666_666]);
        // From 0 to 8/s in 2 s the area is 2 t^2: n is due at sqrt(n / 2).
        check(
            &[(0.0, 8.0, 2000)],
            &[
                0,
                707_106_781,
                1_000_000_000,
                1_224_744_871,
                1_414_213_562,
                1_581_138_830,
                1_732_050_807,
                1_870_828_693,
            ],
        );
        // And down again: the mirror, n is due at 2 - sqrt(2 * (8 - n) / 4).
        check(
            &[(8.0, 0.0, 2000)],
            &[
                0,
                129_171_306,
                267_949_192,
                418_861_169,
                585_786_437,
                775_255_128,
                1_000_000_000,
                1_292_893_218,
            ],
        );
        // A pause: what would be due at its beginning is due at its end.
        check(
            &[(2.0, 2.0, 1000), (0.0, 0.0, 10_000), (2.0, 2.0, 1000)],
            &[0, 500_000_000, 11_000_000_000, 11_500_000_000],
        );
        // A fraction of an arrival is carried into the next stage.
        check(
            &[(1.0, 1.0, 1500), (2.0, 2.0, 1000)],
            &[0, 1_000_000_000, 1_750_000_000, 2_250_000_000],
        );
        check(&[(0.0, 0.0, 5000)], &[]);
        check(&[(5.0, 5.0, 0)], &[]);
        check(&[], &[]);
    }

    #[test]
    fn bursts_come_at_each_multiple() {
        let schedule = ArrivalSchedule::bursts(3, 5 * SECOND, 12 * SECOND);
        let expected: Vec<Duration> = [0, 0, 0, 5, 5, 5, 10, 10, 10]
            .map(Duration::from_secs)
            .into();
        assert_eq!(schedule.shard(Segment::WHOLE).collect::<Vec<_>>(), expected);
        // The end is not part of the schedule.
        let schedule = ArrivalSchedule::bursts(1, 5 * SECOND, 10 * SECOND);
        assert_eq!(schedule.shard(Segment::WHOLE).count(), 2);
        assert_eq!(
            ArrivalSchedule::bursts(0, SECOND, SECOND)
                .shard(Segment::WHOLE)
                .count(),
            0
        );
    }

    /// Whatever the shape, each population has its arrivals at the instants of the whole.
    #[test]
    fn arrivals_that_are_dealt_are_those_of_the_whole() {
        let deal = Arc::new(Deal::new(&[3, 1]));
        for schedule in [
            ArrivalSchedule::bursts(3, 5 * SECOND, 12 * SECOND),
            scheduled(&[(5.0, 5.0, 2000)], Spacing::Constant),
            scheduled(&[(5.0, 5.0, 2000)], Spacing::Poisson { seed: 7 }),
        ] {
            let whole: Vec<Duration> = schedule.shard(Segment::WHOLE).collect();
            let dealt = schedule.dealt(deal.arrivals(8, |_| true));
            // Not more than there may be, lest a fault runs for ever.
            let dealt: Vec<(Duration, usize)> = dealt.take(whole.len() + 1).collect();
            let expected = whole.iter().zip(0..);
            let expected = expected.map(|(at, number)| (*at, deal.part_of(number)));
            assert_eq!(dealt, expected.collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_thousand_million_arrivals_do_not_drift() {
        // 3/s never falls on whole nanoseconds, and 7/s for years of them.
        for per_second in [3_u64, 7, 1_000, 77_777] {
            let schedule = ArrivalSchedule::rates(
                &[RateSegment::hold(rate(per_second as f64), LENGTH_MAX)],
                Spacing::Constant,
            );
            let n = (LENGTH_MAX.as_secs() * per_second - 1).min(1_000_000_000);
            let mut arrivals = schedule.shard(Segment::WHOLE);
            arrivals.next = n;
            let exact_ns = u128::from(n) * 1_000_000_000 / u128::from(per_second);
            assert_eq!(arrivals.next().map(|at| at.as_nanos()), Some(exact_ns));
        }
        // Thousandths an hour are exact too.
        let slow = Rate::per_second(0.001 / 3600.0).expect("a rate");
        assert_eq!(
            slow,
            Rate {
                micros_an_hour: 1000
            }
        );
    }

    #[test]
    fn a_ramp_of_a_year_is_exact_to_its_last_arrival() {
        let ramp = |from, to| {
            ArrivalSchedule::rates(
                &[RateSegment {
                    from: rate(from),
                    to: rate(to),
                    length: LENGTH_MAX,
                }],
                Spacing::Constant,
            )
        };
        for schedule in [ramp(0.0, 9e6), ramp(9e6, 0.0), ramp(1.0, 1.000_001)] {
            let Shape::Rates { stages, .. } = &schedule.shape else {
                panic!("not a rate profile");
            };
            let last = n_arrivals(&schedule) - 1;
            for n in [0, 1, last / 3, last - 1, last] {
                let area = u128::from(n) * AREA_OF_ONE;
                let at = stages[0].instant_of(area);
                assert!(stages[0].holds_at_most(area, at));
                assert!(!stages[0].holds_at_most(area, at + 1));
            }
        }
    }

    #[test]
    fn poisson_arrivals_have_the_mean_and_the_spread_of_poisson() {
        let schedule = scheduled(
            &[(0.0, 100.0, 200_000), (100.0, 100.0, 800_000)],
            Spacing::Poisson { seed: 7 },
        );
        let mut per_second = vec![0_u32; 1000];
        for at in schedule.shard(Segment::WHOLE) {
            per_second[at.as_secs() as usize] += 1;
        }
        let hold = &per_second[200..];
        let n = hold.len() as f64;
        let mean = hold.iter().sum::<u32>() as f64 / n;
        let variance = hold
            .iter()
            .map(|&k| (f64::from(k) - mean).powi(2))
            .sum::<f64>()
            / n;
        // Standard errors: 0.35 of the mean, 0.05 of the ratio.
        assert!((mean - 100.0).abs() < 1.4, "mean {mean}");
        assert!((variance / mean - 1.0).abs() < 0.2, "variance {variance}");
        // The ramp's area is 10,000 arrivals, half as many in its first 70.7 %.
        let ramp: u32 = per_second[..200].iter().sum();
        let early: u32 = per_second[..141].iter().sum();
        assert!((f64::from(ramp) - 10_000.0).abs() < 400.0, "{ramp}");
        assert!((f64::from(early) / f64::from(ramp) - 0.497).abs() < 0.02);
    }

    #[test]
    fn a_seed_gives_the_same_arrivals_again_and_another_seed_others() {
        let with = |seed| {
            instants_ns(&scheduled(
                &[(50.0, 50.0, 10_000)],
                Spacing::Poisson { seed },
            ))
        };
        assert_eq!(with(1), with(1));
        assert_ne!(with(1), with(2));
    }

    #[test]
    fn scattered_arrivals_come_at_all_moments_of_the_interval_alike() {
        let schedule = scheduled(&[(10.0, 10.0, 1_000_000)], Spacing::Scattered { seed: 3 });
        let mut tenths = [0_u32; 10];
        for at_ns in instants_ns(&schedule) {
            tenths[(at_ns % 100_000_000 / 10_000_000) as usize] += 1;
        }
        // 1000 each, give or take 30 (one standard deviation).
        assert!(tenths.iter().all(|n| (850..1150).contains(n)), "{tenths:?}");
    }

    #[test]
    fn rates_out_of_range_are_refused() {
        for per_second in [-1.0, f64::NAN, f64::INFINITY, 1.1e7] {
            assert_eq!(Rate::per_second(per_second), None, "{per_second}");
        }
    }

    fn any_schedule() -> impl Strategy<Value = ArrivalSchedule> {
        let stage = (0_u64..200_000, 0_u64..200_000, 0_u64..3_000_000_000);
        let stages = proptest::collection::vec(stage, 0..5);
        let distribution = prop_oneof![
            Just(Spacing::Constant),
            any::<u64>().prop_map(|seed| Spacing::Poisson { seed }),
            any::<u64>().prop_map(|seed| Spacing::Scattered { seed }),
        ];
        let rates = (stages, distribution).prop_map(|(stages, distribution)| {
            // Thousandths a second, so up to 200/s.
            let stages: Vec<RateSegment> = stages
                .into_iter()
                .map(|(from, to, ns)| RateSegment {
                    from: rate(from as f64 / 1000.0),
                    to: rate(to as f64 / 1000.0),
                    length: Duration::from_nanos(ns),
                })
                .collect();
            ArrivalSchedule::rates(&stages, distribution)
        });
        let bursts = (0_u32..20, 1_u64..3_000_000_000, 0_u64..20_000_000_000).prop_map(
            |(burst, every, length)| {
                ArrivalSchedule::bursts(
                    burst,
                    Duration::from_nanos(every.max(50_000_000)),
                    Duration::from_nanos(length),
                )
            },
        );
        prop_oneof![3 => rates, 1 => bursts]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn the_shares_of_all_workers_are_the_schedule(
            schedule in any_schedule(),
            n_workers in 1_u32..7,
        ) {
            let whole: Vec<Duration> = schedule.shard(Segment::WHOLE).collect();
            let mut shares: Vec<ArrivalInstants> =
                (0..n_workers).map(|idx| schedule.shard(Segment::WHOLE.part(idx, n_workers))).collect();
            for (n, at) in whole.iter().enumerate() {
                prop_assert_eq!(shares[n % n_workers as usize].next(), Some(*at));
            }
            for share in &mut shares {
                prop_assert_eq!(share.next(), None);
                prop_assert_eq!(share.next(), None);
            }
        }

        #[test]
        fn arrivals_are_in_order_and_before_the_end(schedule in any_schedule()) {
            let mut last = Duration::ZERO;
            for at in schedule.shard(Segment::WHOLE) {
                prop_assert!(last <= at && at < Duration::from_nanos(schedule.length_ns));
                last = at;
            }
        }

        #[test]
        fn the_count_of_even_arrivals_is_foreseen(schedule in any_schedule()) {
            let is_random = matches!(
                schedule.shape,
                Shape::Rates { distribution, .. } if distribution != Spacing::Constant
            );
            prop_assume!(!is_random);
            prop_assert_eq!(schedule.shard(Segment::WHOLE).count() as u64, n_arrivals(&schedule));
        }

        #[test]
        fn each_interval_has_one_scattered_arrival(
            seed in any::<u64>(),
            thousandths in 100_u64..1_000_000,
        ) {
            let per_second = thousandths as f64 / 1000.0;
            let schedule = scheduled(
                &[(per_second, per_second, 5_000)],
                Spacing::Scattered { seed },
            );
            let mut n = 0_u64;
            for at in schedule.shard(Segment::WHOLE) {
                // Rounded down to a nanosecond, each may seem that much earlier.
                let interval = (at.as_nanos() + 1) as f64 / 1e9 * per_second;
                let (low, high) = (n as f64, n as f64 + 1.001);
                prop_assert!((low..high).contains(&interval), "{n}: {interval}");
                n += 1;
            }
            let n_most = n_arrivals(&schedule);
            prop_assert!(n == n_most || n + 1 == n_most, "{n} of {n_most}");
        }

        #[test]
        fn every_even_arrival_is_the_exact_instant_rounded_down(
            from in 0_u64..RATE_MAX,
            to in 0_u64..RATE_MAX,
            length_ns in 1_u64..nanos(LENGTH_MAX),
            position in 0.0_f64..1.0,
        ) {
            let stage = PlacedStage { from, to, length_ns, start_ns: 0, area_before: 0 };
            let area = (stage.area_after() as f64 * position) as u128;
            prop_assume!(area < stage.area_after());
            let at = stage.instant_of(area);
            prop_assert!(at < length_ns);
            prop_assert!(stage.holds_at_most(area, at));
            prop_assert!(!stage.holds_at_most(area, at + 1));
        }

        #[test]
        fn wide_products_are_whole(a in any::<u128>(), b in any::<u64>()) {
            let (high, low) = wide_product(a, b);
            prop_assert_eq!(low, a.wrapping_mul(u128::from(b)));
            let estimate = a as f64 * f64::from((b >> 32) as u32) * 4_294_967_296.0
                / 2_f64.powi(128);
            prop_assert!((high as f64) + 1.0 >= estimate * 0.999_999);
        }
    }
}
