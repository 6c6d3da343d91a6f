//! Values of flags: read from text, with an error that shows what is accepted.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use crate::files::{ARGUMENTS_BYTES_MAX, read_text};
use crate::outcome::LoadUnit;
use crate::protocol::Arguments;
use crate::scenario::Header;
use crate::scenario::defaults::{VUS_MAX, WORKERS_MAX};
use crate::units;

fn whole<T: TryFrom<u64>>(text: &str, bounds: RangeInclusive<u64>) -> Result<T, String> {
    let (low, high) = bounds.into_inner();
    let number = text.parse().ok();
    let has_digits_only = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    number
        .filter(|number| (low..=high).contains(number))
        .and_then(|number: u64| T::try_from(number).ok())
        .ok_or_else(|| match high {
            u64::MAX if has_digits_only && number.is_none() => {
                format!("`{text}` is too large: the most is {high}")
            }
            u64::MAX => format!("`{text}` is not a whole number from {low} up"),
            _ => format!("`{text}` is not a whole number from {low} to {high}"),
        })
}

/// Virtual users.
pub(super) fn users(text: &str) -> Result<u32, String> {
    whole(text, 1..=VUS_MAX.into())
}

/// Worker threads.
pub(super) fn workers(text: &str) -> Result<usize, String> {
    whole(text, 1..=WORKERS_MAX)
}

/// Iterations of all users together.
pub(super) fn iterations(text: &str) -> Result<u64, String> {
    whole(text, 1..=u64::MAX)
}

/// Any number makes a seed.
pub(super) fn seed(text: &str) -> Result<u64, String> {
    whole(text, 0..=u64::MAX)
}

/// A port to listen on; 0 is any that is free.
pub(super) fn port(text: &str) -> Result<u16, String> {
    whole(text, 0..=u16::MAX.into())
}

/// A share: `1%` or `0.01`; above 0 and below 1.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let (number, per) = match text.trim().strip_suffix('%') {
        Some(number) => (number, 100.0),
        None => (text, 1.0),
    };
    let share = number.trim().parse::<f64>().map(|number| number / per);
    share
        .ok()
        .filter(|share| *share > 0.0 && *share < 1.0)
        .ok_or_else(|| {
            format!("`{text}` is not a share above 0% and below 100%, such as `1%` or `0.01`")
        })
}

/// A level of a search: virtual users, or a rate.
#[derive(Debug, Clone, Copy)]
pub(super) struct LevelText {
    /// Above 0 and finite.
    pub(super) value: f64,
    /// It was written as a rate, such as `200/s`.
    pub(super) is_rate: bool,
}

impl std::str::FromStr for LevelText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_rate = text.contains('/');
        let value = if is_rate {
            units::parse_rate(text).ok()
        } else {
            text.trim().parse().ok()
        };
        value
            .filter(|value: &f64| *value > 0.0 && value.is_finite())
            .map(|value| Self { value, is_rate })
            .ok_or_else(|| {
                format!("`{text}` is not a level; expected a number above 0, or a rate as `200/s`")
            })
    }
}

/// Numbers of virtual users: `1,64,1000`; ascending, each once.
pub(super) fn vu_list(text: &str) -> Result<Vec<u32>, String> {
    const ENTRIES_MAX: usize = 16;
    let vus = text.split(',').map(|number| users(number.trim()));
    let mut vus: Vec<u32> = vus.collect::<Result<_, _>>().map_err(|_| {
        format!("`{text}` is not a list of numbers from 1 to {VUS_MAX}, such as `1,64,1000`")
    })?;
    vus.sort_unstable();
    vus.dedup();
    match vus.len() {
        n if n <= ENTRIES_MAX => Ok(vus),
        n => Err(format!(
            "{n} numbers of users, and at most {ENTRIES_MAX} are taken"
        )),
    }
}

/// Seconds, perhaps with a fraction.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.trim().parse().ok();
    seconds
        .filter(|seconds: &f64| (0.25..=60.0).contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| format!("`{text}` is not a number of seconds from 0.25 to 60"))
}

/// `--by`.
pub(super) fn level_kind(text: &str) -> Result<LoadUnit, String> {
    match text {
        "vus" => Ok(LoadUnit::Vus),
        "rate" => Ok(LoadUnit::Rate),
        _ => Err(format!("`{text}` is neither `vus` nor `rate`")),
    }
}

/// `--on-break`: whether the run stops.
pub(super) fn on_break(text: &str) -> Result<bool, String> {
    match text {
        "stop" => Ok(true),
        "continue" => Ok(false),
        _ => Err(format!("`{text}` is neither `stop` nor `continue`")),
    }
}

/// The arguments of a tool.
pub(super) fn arguments(text: &str) -> Result<Arguments, String> {
    let (json, place) = match text.strip_prefix('@') {
        Some(file) => {
            let json = read_text(Path::new(file), ARGUMENTS_BYTES_MAX)
                .map_err(|why| format!("`{file}` {why}"))?;
            (json, format!("`{file}`"))
        }
        None => (text.to_string(), "it".to_string()),
    };
    Arguments::read(&json).map_err(|error| match error.is_data() {
        true => format!("{place} is JSON, but not an object such as `{{\"text\":\"hi\"}}`"),
        false => format!(
            "{place} is not JSON ({error}); expected an object such as \
             `{{\"text\":\"hi\"}}`, or `@file`"
        ),
    })
}

/// `Name: value`. Errors never show the value.
pub(super) fn header(text: &str) -> Result<Header, String> {
    let (name, value) = text
        .split_once(':')
        .ok_or("a header has the form `Name: value`")?;
    Ok(Header {
        name: name.trim().to_string(),
        value: value.trim().to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_say_what_is_accepted() {
        let check = |error: Option<String>, expected: &str| {
            assert_eq!(error.as_deref(), Some(expected));
        };
        check(
            users("-1").err(),
            "`-1` is not a whole number from 1 to 1000000",
        );
        check(seed("x").err(), "`x` is not a whole number from 0 up");
        check(
            seed("18446744073709551616").err(),
            "`18446744073709551616` is too large: the most is 18446744073709551615",
        );
        for text in [
            "",
            " ",
            "0",
            "1.5",
            "1e3",
            "NaN",
            "٣",
            "99999999999999999999",
            "0x10",
        ] {
            assert!(users(text).is_err(), "{text}");
        }
        assert_eq!(users("1000000"), Ok(1_000_000));
        assert!(port("70000").is_err());
    }

    #[test]
    fn arguments_are_objects() {
        assert!(arguments("{\"a\":1}").is_ok());
        for text in ["[]", "1", "{", "", "@/no/such/file"] {
            assert!(arguments(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shares_are_percent_or_fractions() {
        for (text, expected) in [("1%", 0.01), ("0.5 %", 0.005), ("0.02", 0.02)] {
            assert_eq!(share(text), Ok(expected), "{text}");
        }
        for text in ["0", "0%", "100%", "1", "-1%", "x", "", "NaN", "inf%"] {
            assert!(share(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lists_of_users_are_ascending() {
        assert_eq!(vu_list("64, 1,1000,64"), Ok(vec![1, 64, 1000]));
        let many = vec!["1"; 17].join(",");
        assert_eq!(vu_list(&many), Ok(vec![1]));
        let many: Vec<String> = (1..=17).map(|vus| vus.to_string()).collect();
        for text in ["", "0", "1,", "-1", "1;2", "1000001", "x", &many.join(",")] {
            assert!(vu_list(text).is_err(), "{text}");
        }
    }

    #[test]
    fn seconds_have_bounds() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for text in ["0", "0.2", "61", "-1", "NaN", "inf", "1s", ""] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn levels_are_numbers_or_rates() {
        for (text, value, is_rate) in [("5", 5.0, false), ("0.5", 0.5, false), ("90/m", 1.5, true)]
        {
            let level = text.parse::<LevelText>().expect("a level");
            assert_eq!((level.value, level.is_rate), (value, is_rate), "{text}");
        }
        for text in ["0", "-1", "NaN", "inf", "", "5/x", "0/s"] {
            assert!(text.parse::<LevelText>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_bad_header_is_not_shown() {
        let error = header("secret-without-colon").expect_err("no colon");
        assert!(!error.contains("secret"));
    }
}
