//! Values of flags: read from text, with an error that shows what is accepted.

use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use crate::clock::Utc;
use crate::error::choice;
use crate::files::{ARGUMENTS_BYTES_MAX, read_text};
use crate::load::{SEGMENT_FORM, Segment};
use crate::network::{AddressUse, BACKEND_HEADER_FORM, ConnectionUse};
use crate::outcome::{LatencyLimit, LoadUnit};
use crate::protocol::{Arguments, Topic};
use crate::report::compare::HISTORY_RUNS_MAX;
use crate::scenario::defaults::{VUS_MAX, WORKERS_MAX};
use crate::scenario::{Header, HistogramMode};
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

/// Servers behind the demo's balancer.
pub(super) fn backends(text: &str) -> Result<u16, String> {
    whole(text, 1..=1000)
}

/// Runs of a history that make a base.
pub(super) fn history_runs(text: &str) -> Result<usize, String> {
    whole(text, 1..=HISTORY_RUNS_MAX as u64)
}

/// Any number makes a seed.
pub(super) fn seed(text: &str) -> Result<u64, String> {
    whole(text, 0..=u64::MAX)
}

/// A part of the load: `2/4`, or `job/4` in a pod of an Indexed Job.
pub(super) fn segment(text: &str) -> Result<Segment, String> {
    segment_in(text, |name| std::env::var_os(name))
}

fn segment_in(text: &str, env: impl Fn(&str) -> Option<OsString>) -> Result<Segment, String> {
    /// The number of a pod, from 0: set by Kubernetes where a Job's `completionMode`
    /// is `Indexed`.
    const INDEX: &str = "JOB_COMPLETION_INDEX";
    let Some(of) = text.trim().strip_prefix("job/") else {
        let segment = text.parse();
        return segment.map_err(|error| match text.contains('/') {
            true => error,
            false => format!("`{text}` is not {SEGMENT_FORM}, or `job/4`"),
        });
    };
    let Some(index) = env(INDEX) else {
        return Err(format!(
            "`{text}` takes the number of the part from {INDEX}, which is not set: Kubernetes sets \
             it in the pods of an Indexed Job; elsewhere give it, as in `2/4`"
        ));
    };
    let index = index
        .into_string()
        .map_err(|_| format!("the environment variable `{INDEX}` is not UTF-8"))?;
    let ordinal = index
        .trim()
        .parse::<u32>()
        .ok()
        .and_then(|n| n.checked_add(1));
    let segment = ordinal.and_then(|ordinal| format!("{ordinal}/{of}").parse().ok());
    segment.ok_or_else(|| {
        format!(
            "`{text}` with {INDEX} `{index}` makes no part of the load: the number counts from 0, \
             so it has to be below the number of parts, from 1 to 10000"
        )
    })
}

/// When the load begins: a time, or so long from now.
pub(super) fn start_at(text: &str) -> Result<Utc, String> {
    start_at_from(text, Utc::now())
}

fn start_at_from(text: &str, now: Utc) -> Result<Utc, String> {
    /// A load that is further away is a slip of the pen.
    const AHEAD_MAX: Duration = Duration::from_secs(86_400);
    let time = match text.trim().strip_prefix('+') {
        Some(length) => units::parse_duration(length)
            .ok()
            .map(|length| Utc::from_unix_ms(now.unix_ms() + units::nanos(length) / 1_000_000)),
        None => Utc::parse_rfc3339(text.trim()),
    };
    let time = time.ok_or_else(|| {
        format!(
            "`{text}` is not a time such as `{}`, or `+30s`",
            now.rfc3339()
        )
    })?;
    let between = |from: Utc, to: Utc| {
        let ms = to.unix_ms().checked_sub(from.unix_ms())?;
        (ms > 0).then(|| units::format_duration(Duration::from_millis(ms)))
    };
    if let Some(ago) = between(time, now) {
        // Hours of years tell nobody anything.
        let is_recent = now.unix_ms() - time.unix_ms() <= AHEAD_MAX.as_secs() * 1000;
        let ago = if is_recent {
            format!(" by {ago}")
        } else {
            String::new()
        };
        return Err(format!(
            "`{text}` is in the past{ago}: this host's clock says {}",
            now.rfc3339()
        ));
    }
    match between(
        Utc::from_unix_ms(now.unix_ms() + AHEAD_MAX.as_secs() * 1000),
        time,
    ) {
        Some(_) => Err(format!(
            "`{text}` is more than a day ahead by the clock of this host, {}",
            now.rfc3339()
        )),
        None => Ok(time),
    }
}

/// A port to listen on; 0 is any that is free.
pub(super) fn port(text: &str) -> Result<u16, String> {
    whole(text, 0..=u16::MAX.into())
}

/// A share: `1%` or `0.01`; above 0 and below 1.
pub(super) fn share(text: &str) -> Result<f64, String> {
    fraction(text)
        .filter(|share| *share > 0.0 && *share < 1.0)
        .ok_or_else(|| {
            format!("`{text}` is not a share above 0% and below 100%, such as `1%` or `0.01`")
        })
}

/// A share of none, some or all: `0`, `10%`, `1`.
pub(super) fn any_share(text: &str) -> Result<f64, String> {
    fraction(text)
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| format!("`{text}` is not a share from 0% to 100%, such as `1%` or `0.01`"))
}

fn fraction(text: &str) -> Option<f64> {
    let (number, per) = match text.trim().strip_suffix('%') {
        Some(number) => (number, 100.0),
        None => (text, 1.0),
    };
    let number = number.trim().parse::<f64>();
    number.ok().map(|number| number / per)
}

/// A share of errors that a limit may be: none too.
pub(super) fn error_share(text: &str) -> Result<f64, String> {
    match text.trim() {
        "0" | "0%" => Ok(0.0),
        text => share(text),
    }
}

/// The limits that `--max-p50`, `--max-p95` and `--max-p99` give, with their flags.
pub(super) fn latency_limits(
    p50: Option<Duration>,
    p95: Option<Duration>,
    p99: Option<Duration>,
) -> impl Iterator<Item = (&'static str, LatencyLimit)> {
    let limits = [
        ("--max-p50", 0.5, p50),
        ("--max-p95", 0.95, p95),
        ("--max-p99", 0.99, p99),
    ];
    limits.into_iter().filter_map(|(flag, quantile, limit)| {
        let limit_ns = units::nanos(limit?);
        Some((flag, LatencyLimit { quantile, limit_ns }))
    })
}

/// The same as a threshold: `p99<=250ms`.
pub(super) fn latency_threshold(limit: LatencyLimit) -> String {
    let percentile = (limit.quantile * 100.0).round();
    // Exactly, whatever it is.
    let (value, unit) = match limit.limit_ns {
        ns if ns % 1_000_000 == 0 => (ns / 1_000_000, "ms"),
        ns if ns % 1_000 == 0 => (ns / 1_000, "us"),
        ns => (ns, "ns"),
    };
    format!("p{percentile}<={value}{unit}")
}

/// `errors<=1%`, `errors<=0`
pub(super) fn error_threshold(share: f64) -> String {
    if share <= 0.0 {
        return "errors<=0".to_string();
    }
    let percent = (share * 1e11).round() / 1e9;
    format!("errors<={percent}%")
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
    let choices = [("vus", LoadUnit::Vus), ("rate", LoadUnit::Rate)];
    choice(text, "a unit of load", &choices)
}

/// `--on-break`: whether the run stops.
pub(super) fn on_break(text: &str) -> Result<bool, String> {
    choice(text, "an action", &[("stop", true), ("continue", false)])
}

/// Which of the server's addresses connections go to.
pub(super) fn addresses(text: &str) -> Result<AddressUse, String> {
    choice(text, "a use of addresses", AddressUse::WORDS)
}

/// How long a connection is used.
pub(super) fn connection(text: &str) -> Result<ConnectionUse, String> {
    choice(text, "a use of connections", ConnectionUse::WORDS)
}

/// What users subscribe to, with commas between. A URI goes on where no topic follows.
pub(super) fn topics(text: &str) -> Result<Vec<Topic>, String> {
    let mut topics: Vec<String> = Vec::new();
    for part in text.split(',') {
        let is_topic = part.trim().parse::<Topic>().is_ok();
        match topics
            .last_mut()
            .filter(|last| !is_topic && last.starts_with("uri:"))
        {
            Some(uri) => *uri += &format!(",{part}"),
            None => topics.push(part.trim().to_string()),
        }
    }
    topics.iter().map(|topic| topic.parse()).collect()
}

/// The header of answers that names who served them.
pub(super) fn backend_header(text: &str) -> Result<String, String> {
    let name = crate::network::backend_header(text);
    name.ok_or_else(|| format!("`{text}` is not {BACKEND_HEADER_FORM}"))
}

/// Which histograms the report keeps.
pub(super) fn histograms(text: &str) -> Result<HistogramMode, String> {
    choice(text, "a choice of histograms", HistogramMode::WORDS)
}

/// What `--args` says.
#[derive(Debug)]
pub(super) struct GivenArguments {
    /// The arguments of the tool.
    pub(super) values: Arguments,
    /// The file that they were read from; `None`: they were typed.
    pub(super) file: Option<String>,
}

/// The arguments of a tool.
pub(super) fn arguments(text: &str) -> Result<GivenArguments, String> {
    let file = text.strip_prefix('@');
    let (json, place) = match file {
        Some(file) => {
            let json = read_text(Path::new(file), ARGUMENTS_BYTES_MAX)
                .map_err(|why| format!("`{file}` {why}"))?;
            (json, format!("`{file}`"))
        }
        None => (text.to_string(), "it".to_string()),
    };
    let values = Arguments::read(&json).map_err(|error| match error.is_data() {
        true => format!("{place} is JSON, but not an object such as `{{\"text\":\"hi\"}}`"),
        false => format!(
            "{place} is not JSON ({error}); expected an object such as \
             `{{\"text\":\"hi\"}}`, or `@file`"
        ),
    })?;
    let file = file.map(str::to_string);
    Ok(GivenArguments { values, file })
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
        for (text, expected) in [("0", 0.0), ("10%", 0.1), ("100 %", 1.0), ("1", 1.0)] {
            assert_eq!(any_share(text), Ok(expected), "{text}");
        }
        for text in ["-1%", "101%", "x", "", "NaN", "inf"] {
            assert!(any_share(text).is_err(), "{text}");
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
    fn a_pod_of_an_indexed_job_finds_its_segment() {
        let check = |text: &str, index: Option<&str>, expected: Result<&str, &str>| {
            let env = |name: &str| {
                assert_eq!(name, "JOB_COMPLETION_INDEX");
                index.map(OsString::from)
            };
            let segment = segment_in(text, env).map(|segment| segment.to_string());
            match (segment, expected) {
                (Ok(segment), Ok(expected)) => assert_eq!(segment, expected, "{text} {index:?}"),
                (Err(error), Err(part)) => assert!(error.contains(part), "{text}: {error}"),
                (segment, _) => panic!("{text} {index:?}: {segment:?}"),
            }
        };
        check("2/4", None, Ok("2/4"));
        check("job/4", Some("0"), Ok("1/4"));
        check("job/4", Some("3"), Ok("4/4"));
        check("job/4", None, Err("JOB_COMPLETION_INDEX, which is not set"));
        check("job/4", Some("4"), Err("below the number of parts"));
        check("job/4", Some("-1"), Err("`-1`"));
        check("job/x", Some("1"), Err("`job/x`"));
        check("job", Some("1"), Err("`job/4`"));
        check("5/4", Some("1"), Err("`2/4`"));
    }

    #[test]
    fn a_start_is_a_time_that_is_near() {
        let now = Utc::from_unix_ms(1_795_437_667_250);
        let check =
            |text: &str, expected: Result<u64, &str>| match (start_at_from(text, now), expected) {
                (Ok(time), Ok(ms)) => assert_eq!(time.unix_ms() - now.unix_ms(), ms, "{text}"),
                (Err(error), Err(part)) => assert!(error.contains(part), "{text}: {error}"),
                (time, _) => panic!("{text}: {time:?}"),
            };
        check("2026-11-23T12:41:08Z", Ok(750));
        check("2026-11-23T13:41:08+01:00", Ok(750));
        check("+30s", Ok(30_000));
        check("+24h", Ok(86_400_000));
        check("2026-11-23T12:41:07.250Z", Ok(0));
        check(
            "2026-11-23T12:41:04Z",
            Err("is in the past by 3.25s: this host's clock says 2026-11-23T12:41:07.250Z"),
        );
        check(
            "2020-01-01T00:00:00Z",
            Err("is in the past: this host's clock says"),
        );
        check("+25h", Err("more than a day ahead"));
        check("2027-11-23T12:41:04Z", Err("more than a day ahead"));
        for text in ["", "30s", "12:41", "+", "+-1s", "tomorrow", "2026-11-23"] {
            check(text, Err("`2026-11-23T12:41:07.250Z`, or `+30s`"));
        }
    }

    #[test]
    fn a_bad_header_is_not_shown() {
        let error = header("secret-without-colon").expect_err("no colon");
        assert!(!error.contains("secret"));
    }
}
