//! Student's t distribution: how sure a mean of a few values can be.
//!
//! The tail is the regularised incomplete beta function, by its continued fraction
//! (Lentz's method; Press et al., "Numerical Recipes", 3rd edition, 6.4), good to
//! 1e-10. `statrs`, `puruspe` and `special` have it too, and each brings a hundred
//! times more than these two functions.

/// Beyond this many degrees of freedom the distribution is the normal one, within
/// 0.02 %; and the fraction would take ever more terms.
const DF_MAX: f64 = 10_000.0;

/// The probability that a value is above `t`, with `df` degrees of freedom (above 0).
pub(super) fn t_above(t: f64, df: f64) -> f64 {
    let df = df.clamp(1e-3, DF_MAX);
    if t.is_nan() {
        return 1.0;
    }
    let x = df / (df + t * t);
    let tail = 0.5 * beta_share(df / 2.0, 0.5, x);
    if t >= 0.0 { tail } else { 1.0 - tail }
}

/// The value that is exceeded with this probability (above 0, at most 0.5).
pub(super) fn t_exceeded(probability: f64, df: f64) -> f64 {
    // One degree of freedom and a probability of 1e-9 need 3e8.
    let (mut low, mut high) = (0.0, 1e9);
    // Halving the logarithm would not reach 0: so by the mean of both once it is low.
    for _ in 0..200 {
        let middle = if high > 10.0 {
            (f64::max(low, 0.1) * high).sqrt()
        } else {
            f64::midpoint(low, high)
        };
        if t_above(middle, df) > probability {
            low = middle;
        } else {
            high = middle;
        }
        if high - low <= 1e-10 * high {
            break;
        }
    }
    high
}

/// The same of the normal distribution.
pub(super) fn z_exceeded(probability: f64) -> f64 {
    t_exceeded(probability, DF_MAX)
}

/// The regularised incomplete beta function of `a`, `b` and `x` (0 to 1).
fn beta_share(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let front = ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (1.0 - x).ln();
    // The fraction converges on one side of this only.
    if x < (a + 1.0) / (a + b + 2.0) {
        front.exp() * beta_fraction(a, b, x) / a
    } else {
        1.0 - front.exp() * beta_fraction(b, a, 1.0 - x) / b
    }
}

fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let away_from_0 = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away_from_0(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for m in 1..1_000 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / away_from_0(1.0 + even * d);
        c = away_from_0(1.0 + even / c);
        fraction *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away_from_0(1.0 + odd * d);
        c = away_from_0(1.0 + odd / c);
        fraction *= d * c;
        if (d * c - 1.0).abs() < 1e-14 {
            break;
        }
    }
    fraction
}

/// The logarithm of the gamma function of `x` (above 0), by Lanczos's series with the
/// coefficients of Godfrey (g = 7, 9 terms): good to 1e-14.
pub(super) fn ln_gamma(x: f64) -> f64 {
    const COEFFICIENTS: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    let x = x - 1.0;
    let terms = (1_u32..).zip(COEFFICIENTS);
    let sum: f64 = terms.map(|(i, term)| term / (x + f64::from(i))).sum();
    let t = x + 7.5;
    0.5 * std::f64::consts::TAU.ln() + (x + 0.5) * t.ln() - t + (0.999_999_999_999_809_9 + sum).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        let table = [
            (0.025, 1.0, 12.706_2),
            (0.025, 2.0, 4.302_65),
            (0.025, 10.0, 2.228_14),
            (0.025, 18.0, 2.100_92),
            (0.005, 4.0, 4.604_09),
            (0.0005, 8.0, 5.041_31),
            (0.2, 18.0, 0.862_05),
            (0.025, 1e9, 1.960_2),
            (0.5, 7.0, 0.0),
        ];
        for (probability, df, expected) in table {
            let found = t_exceeded(probability, df);
            assert!(
                (found - expected).abs() < 1e-4,
                "{probability} {df}: {found}"
            );
        }
        assert!((z_exceeded(0.025) - 1.96).abs() < 1e-3);
    }

    #[test]
    fn tail_and_quantile_are_inverse_and_symmetric() {
        for df in [1.0, 3.7, 18.0, 400.0] {
            for probability in [1e-6, 0.001, 0.025, 0.2, 0.49] {
                let t = t_exceeded(probability, df);
                assert!((t_above(t, df) / probability - 1.0).abs() < 1e-6, "{df}");
                assert!((t_above(-t, df) - (1.0 - probability)).abs() < 1e-9);
            }
        }
        for t in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 0.0] {
            assert!((0.0..=1.0).contains(&t_above(t, 5.0)), "{t}");
        }
    }

    #[test]
    fn gamma_is_the_factorial() {
        let mut factorial = 0.0;
        for n in 1_u32..40 {
            factorial += f64::from(n).ln();
            assert!(
                (ln_gamma(f64::from(n) + 1.0) - factorial).abs() < 1e-10,
                "{n}"
            );
        }
    }
}
