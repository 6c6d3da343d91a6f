//! The delays have the distributions that they are named after.

use crate::accuracy::delay::*;
use std::time::Duration;

const N: u64 = 100_000;

#[test]
fn two_points_come_in_their_shares_and_always_the_same() {
    let slow = |seed| -> Vec<u64> {
        (0..N)
            .filter(|n| Delay::TWO_POINT.of(seed, *n) == Duration::from_millis(50))
            .collect()
    };
    // The standard deviation of the count is 31.
    assert!((870..1130).contains(&slow(1).len()), "{}", slow(1).len());
    assert_eq!(slow(1), slow(1));
    assert_ne!(slow(1), slow(2));
    assert_eq!(Delay::TWO_POINT.mean(), Duration::from_micros(1490));
}

#[test]
fn exponential_delays_have_their_mean_and_quantiles() {
    let mean = Duration::from_millis(2);
    let mut ms: Vec<f64> = (0..N)
        .map(|n| Delay::Exponential(mean).of(7, n).as_secs_f64() * 1000.0)
        .collect();
    ms.sort_by(f64::total_cmp);
    let mean_ms = ms.iter().sum::<f64>() / N as f64;
    assert!((mean_ms - 2.0).abs() < 0.04, "{mean_ms}");
    for (q, expected) in [(0.5, 2.0 * 2.0_f64.ln()), (0.99, 2.0 * 100.0_f64.ln())] {
        let value = ms[(q * N as f64) as usize];
        assert!((value / expected - 1.0).abs() < 0.05, "{q}: {value}");
    }
}

#[test]
fn a_fixed_delay_is_fixed() {
    let delay = Delay::Fixed(Duration::from_micros(250));
    assert!((0..100).all(|n| delay.of(3, n) == Duration::from_micros(250)));
}
