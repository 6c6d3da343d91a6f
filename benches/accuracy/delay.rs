//! How long the truth server takes for a call: a pure function of the call's
//! number and a seed, so that every run of as many calls has the same delays.

use std::fmt;
use std::time::Duration;

/// What delays are drawn from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Delay {
    /// The same for every call.
    Fixed(Duration),
    /// One of two.
    TwoPoint {
        /// Of most calls.
        fast: Duration,
        /// Of the others.
        slow: Duration,
        /// The share of the slow, 0 to 1.
        share_slow: f64,
    },
    /// Exponential with this mean.
    Exponential(Duration),
}

impl Delay {
    /// 99 % take 1 ms, 1 % take 50 ms.
    pub(crate) const TWO_POINT: Self = Self::TwoPoint {
        fast: Duration::from_millis(1),
        slow: Duration::from_millis(50),
        share_slow: 0.01,
    };

    /// The delay of a call, by its number: the distribution's inverse at a
    /// hash of the two.
    pub(crate) fn of(self, seed: u64, number: u64) -> Duration {
        let u = uniform(seed, number);
        match self {
            Self::Fixed(delay) => delay,
            Self::TwoPoint {
                slow, share_slow, ..
            } if u < share_slow => slow,
            Self::TwoPoint { fast, .. } => fast,
            // 1 − u is above 0.
            Self::Exponential(mean) => mean.mul_f64(-(1.0 - u).ln()),
        }
    }

    /// The mean of the distribution.
    pub(crate) fn mean(self) -> Duration {
        match self {
            Self::Fixed(delay) | Self::Exponential(delay) => delay,
            Self::TwoPoint {
                fast,
                slow,
                share_slow,
            } => fast.mul_f64(1.0 - share_slow) + slow.mul_f64(share_slow),
        }
    }
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(delay) => write!(f, "fixed {delay:?}"),
            Self::TwoPoint {
                fast,
                slow,
                share_slow,
            } => write!(f, "{fast:?}, {:.0}% {slow:?}", share_slow * 100.0),
            Self::Exponential(mean) => write!(f, "exponential {mean:?}"),
        }
    }
}

/// Evenly spread over 0 (included) to 1 (not), by SplitMix64's finalizer
/// (Steele, Lea, Flood: "Fast splittable pseudorandom number generators").
fn uniform(seed: u64, number: u64) -> f64 {
    const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut z = seed.wrapping_add(number.wrapping_add(1).wrapping_mul(GOLDEN_GAMMA));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    (z >> 11) as f64 / (1_u64 << 53) as f64
}
