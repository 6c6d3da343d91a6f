//! Values of options: read from text, with an error that shows what is accepted.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use crate::address;
use crate::files::{ARGUMENTS_BYTES_MAX, read_text};
use crate::load::VuStage;
use crate::outcome::FindBy;
use crate::protocol::Arguments;
use crate::redact::{Redactor, is_scheme, secrets_of_header};
use crate::scenario::defaults::{VUS_MAX, WORKERS_MAX};
use crate::scenario::{Header, parse_stages};
use crate::terminal::ColorChoice;
use crate::units;

/// A whole number from `LOW` to `HIGH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Whole<const LOW: u64, const HIGH: u64>(u64);

/// Virtual users.
pub(super) type Users = Whole<1, { VUS_MAX as u64 }>;
/// Worker threads.
pub(super) type Workers = Whole<1, WORKERS_MAX>;
/// Iterations of all users together.
pub(super) type Iterations = Whole<1, { u64::MAX }>;
/// A seed.
pub(super) type Seed = Whole<0, { u64::MAX }>;
/// A port to listen on; 0 is any that is free.
pub(super) type Port = Whole<0, { u16::MAX as u64 }>;

impl<const LOW: u64, const HIGH: u64> Whole<LOW, HIGH> {
    pub(super) fn get(self) -> u64 {
        self.0
    }

    /// For bounds that lie within.
    pub(super) fn get_u32(self) -> u32 {
        u32::try_from(self.0).unwrap_or(u32::MAX)
    }
}

impl<const LOW: u64, const HIGH: u64> FromStr for Whole<LOW, HIGH> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.parse().ok();
        let has_digits_only = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        number
            .filter(|number| (LOW..=HIGH).contains(number))
            .map(Self)
            .ok_or_else(|| match HIGH {
                u64::MAX if has_digits_only && number.is_none() => {
                    format!("`{text}` is too large: the most is {HIGH}")
                }
                u64::MAX => format!("`{text}` is not a whole number from {LOW} up"),
                _ => format!("`{text}` is not a whole number from {LOW} to {HIGH}"),
            })
    }
}

/// A duration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span(pub(super) Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        units::parse_duration(text)
            .map(Self)
            .map_err(|error| error.to_string())
    }
}

/// A rate, a second.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate(pub(super) f64);

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        units::parse_rate(text)
            .map(Self)
            .map_err(|error| error.to_string())
    }
}

/// A share: `1%` or `0.01`; above 0 and below 1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share(pub(super) f64);

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, per) = match text.trim().strip_suffix('%') {
            Some(number) => (number, 100.0),
            None => (text, 1.0),
        };
        let share = number.trim().parse::<f64>().map(|number| number / per);
        match share {
            Ok(share) if share > 0.0 && share < 1.0 => Ok(Self(share)),
            _ => Err(format!(
                "`{text}` is not a share above 0% and below 100%, such as `1%` or `0.01`"
            )),
        }
    }
}

/// A level of a search: virtual users, or a rate.
#[derive(Debug, Clone, Copy)]
pub(super) struct LevelText {
    /// Above 0 and finite.
    pub(super) value: f64,
    /// It was written as a rate, such as `200/s`.
    pub(super) is_rate: bool,
}

impl FromStr for LevelText {
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct VuList(pub(super) Vec<u32>);

impl FromStr for VuList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const VUS_MAX: u32 = 100_000;
        const ENTRIES_MAX: usize = 16;
        let read = |number: &str| {
            let vus = number.trim().parse().ok();
            vus.filter(|vus| (1..=VUS_MAX).contains(vus))
        };
        let mut vus: Vec<u32> = text
            .split(',')
            .map(read)
            .collect::<Option<_>>()
            .ok_or_else(|| {
                format!(
                    "`{text}` is not a list of numbers from 1 to {VUS_MAX}, such as `1,64,1000`"
                )
            })?;
        vus.sort_unstable();
        vus.dedup();
        match vus.len() {
            n if n <= ENTRIES_MAX => Ok(Self(vus)),
            n => Err(format!(
                "{n} numbers of users, and at most {ENTRIES_MAX} are taken"
            )),
        }
    }
}

/// Seconds, perhaps with a fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seconds(pub(super) Duration);

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let seconds = text.trim().parse().ok();
        seconds
            .filter(|seconds: &f64| (0.25..=60.0).contains(seconds))
            .map(|seconds| Self(Duration::from_secs_f64(seconds)))
            .ok_or_else(|| format!("`{text}` is not a number of seconds from 0.25 to 60"))
    }
}

/// `--by`.
pub(super) fn level_kind(text: &str) -> Result<FindBy, String> {
    match text {
        "vus" => Ok(FindBy::Vus),
        "rate" => Ok(FindBy::Rate),
        _ => Err(format!("`{text}` is neither `vus` nor `rate`")),
    }
}

/// Stages of virtual users.
#[derive(Debug, Clone)]
pub(super) struct StageList(pub(super) Vec<VuStage>);

impl FromStr for StageList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse_stages(text).map(Self)
    }
}

/// `--on-break`.
#[derive(Debug, Clone, Copy)]
pub(super) struct OnBreak {
    pub(super) stop: bool,
}

impl FromStr for OnBreak {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "stop" => Ok(Self { stop: true }),
            "continue" => Ok(Self { stop: false }),
            _ => Err(format!("`{text}` is neither `stop` nor `continue`")),
        }
    }
}

/// When to colour.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Color(pub(super) ColorChoice);

impl FromStr for Color {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self)
    }
}

impl Color {
    /// With the old flag taken into account.
    pub(super) fn choice(self, no_color: bool) -> ColorChoice {
        if no_color { ColorChoice::Never } else { self.0 }
    }
}

/// The arguments of a tool.
#[derive(Debug, Clone)]
pub(super) struct Args(pub(super) Arguments);

impl FromStr for Args {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (json, place) = match text.strip_prefix('@') {
            Some(file) => {
                let json = read_text(Path::new(file), ARGUMENTS_BYTES_MAX)
                    .map_err(|why| format!("`{file}` {why}"))?;
                (json, format!("`{file}`"))
            }
            None => (text.to_string(), "it".to_string()),
        };
        match Arguments::read(&json) {
            Ok(arguments) => Ok(Self(arguments)),
            Err(error) if error.is_data() => Err(format!(
                "{place} is JSON, but not an object such as `{{\"text\":\"hi\"}}`"
            )),
            Err(error) => Err(format!(
                "{place} is not JSON ({error}); expected an object such as \
                 `{{\"text\":\"hi\"}}`, or `@file`"
            )),
        }
    }
}

/// `Name: value`. Errors never show the value.
#[derive(Debug, Clone)]
pub(super) struct HeaderText(pub(super) Header);

impl FromStr for HeaderText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text
            .split_once(':')
            .ok_or("a header has the form `Name: value`")?;
        Ok(Self(Header {
            name: name.trim().to_string(),
            value: value.trim().to_string(),
        }))
    }
}

/// The headers of the command line, with the bearer token of `--api-key`.
pub(super) fn headers(given: Vec<HeaderText>, api_key: Option<String>) -> Vec<Header> {
    let mut headers: Vec<Header> = given.into_iter().map(|header| header.0).collect();
    headers.extend(api_key.map(|key| bearer(&key)));
    headers
}

/// A token as a header.
pub(super) fn bearer(key: &str) -> Header {
    Header {
        name: "Authorization".to_string(),
        value: format!("Bearer {}", key.trim()),
    }
}

/// The token of the environment, if there is one.
pub(super) fn api_key_of_environment() -> Option<String> {
    std::env::var("MCP_API_KEY")
        .ok()
        .filter(|key| !key.trim().is_empty())
}

/// A scheme and what follows it.
const UNQUOTED_WORDS_MAX: usize = 2;

/// The flags whose value is a secret.
const SECRET_FLAGS: [&str; 3] = ["--api-key", "--header", "-H"];

/// Everything secret that the user gave outside of a config, known before a word
/// of it is understood: keys, headers, what stands in addresses.
pub(super) fn given_secrets(words: &[String], api_key: Option<String>) -> Vec<String> {
    let mut secrets: Vec<String> = api_key.map(|key| bearer(&key).value).into_iter().collect();
    let mut unquoted: Vec<&String> = Vec::new();
    let mut of_flag = |flag: &str, value: &str| {
        if flag == "--api-key" {
            secrets.push(value.trim().to_string());
        } else {
            match value.split_once(':') {
                Some((name, value)) => secrets.extend(secrets_of_header(name, value)),
                // A header without its name is a secret all the same.
                None => secrets.push(value.to_string()),
            }
        }
    };
    for (i, word) in words.iter().enumerate() {
        // As curl takes it.
        if let Some(header) = word.strip_prefix("-H").filter(|header| !header.is_empty()) {
            of_flag("-H", header.trim_start_matches('='));
        }
        let before = i.checked_sub(1).and_then(|before| words.get(before));
        if let Some(flag) = before.filter(|flag| SECRET_FLAGS.contains(&flag.as_str())) {
            of_flag(flag, word);
            // Without quotes around the header, its value is the next words.
            if flag != "--api-key" && word.ends_with(':') {
                let behind = words[i + 1..].iter().take(UNQUOTED_WORDS_MAX);
                let mut behind = behind.take_while(|word| !word.starts_with('-')).peekable();
                behind.next_if(|word| is_scheme(word));
                unquoted.extend(behind.next());
            }
        } else if let Some((flag, value)) = word.split_once('=')
            && SECRET_FLAGS.contains(&flag)
        {
            of_flag(flag, value);
        }
    }
    secrets.extend(unquoted.into_iter().cloned());
    for word in words {
        if word.contains("://") || word.contains('@') || word.contains('?') {
            secrets.extend(address::secrets(word));
        }
    }
    let of_key: Vec<String> = secrets
        .iter()
        .filter_map(|secret| secret.strip_prefix("Bearer "))
        .map(str::to_string)
        .collect();
    secrets.extend(of_key);
    secrets
}

/// The command line for the report: what follows a flag that carries a secret
/// is left out, and so is every known secret elsewhere.
pub(super) fn redacted_command_line(words: &[String], redactor: &Redactor) -> Vec<String> {
    const MASK: &str = crate::redact::MASK;
    let mut shown: Vec<String> = Vec::with_capacity(words.len());
    let mut hide_next = false;
    for word in words {
        if std::mem::take(&mut hide_next) {
            shown.push(match word.split_once(':') {
                Some((name, _)) if shown.last().is_some_and(|flag| flag != "--api-key") => {
                    format!("{name}: {MASK}")
                }
                _ => MASK.to_string(),
            });
            continue;
        }
        if let Some(header) = word.strip_prefix("-H")
            && let Some((name, _)) = header.split_once(':')
        {
            shown.push(format!("-H{name}: {MASK}"));
            continue;
        }
        match word.split_once('=') {
            Some((flag, _)) if SECRET_FLAGS.contains(&flag) => {
                shown.push(format!("{flag}={MASK}"));
                continue;
            }
            _ => hide_next = SECRET_FLAGS.contains(&word.as_str()),
        }
        let word = match word.contains("://") {
            true => address::shown(word),
            false => word.clone(),
        };
        shown.push(redactor.clean(word));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_leave_the_command_line() {
        let words: Vec<String> = [
            "cargo-pmcp",
            "loadtest",
            "run",
            "http://x/mcp?key=tok-123",
            "--api-key",
            "tok-123",
            "-H",
            "X-Key: abc",
            "--header=A: b",
            "-HB: c",
            "--vus",
            "5",
        ]
        .map(String::from)
        .to_vec();
        let shown = redacted_command_line(&words, &Redactor::new(["tok-123"])).join(" ");
        assert_eq!(
            shown,
            "cargo-pmcp loadtest run http://x/mcp?key=*** --api-key *** -H X-Key: *** \
             --header=*** -HB: *** --vus 5"
        );
    }

    #[test]
    fn what_is_secret_is_known_before_it_is_understood() {
        let words = [
            "x",
            "--api-key",
            "tok-123",
            "-H",
            "X-Key: abc",
            "-H=Y-Key: def",
            "-HZ-Key: ghi",
            "-H",
            "Authorization:",
            "Bearer",
            "jkl",
            "http://u:pw@h/?token=t4",
            "--header",
            "no-colon",
        ];
        let words = words.map(String::from);
        let secrets = given_secrets(&words, Some("env-key".to_string()));
        for secret in [
            "tok-123", "abc", "def", "ghi", "jkl", "u:pw", "pw", "t4", "no-colon", "env-key",
        ] {
            assert!(
                secrets.iter().any(|known| known == secret),
                "{secret}: {secrets:?}"
            );
        }
    }

    #[test]
    fn numbers_say_what_is_accepted() {
        let check = |error: Option<String>, expected: &str| {
            assert_eq!(error.as_deref(), Some(expected));
        };
        check(
            "-1".parse::<Users>().err(),
            "`-1` is not a whole number from 1 to 1000000",
        );
        check(
            "x".parse::<Seed>().err(),
            "`x` is not a whole number from 0 up",
        );
        check(
            "18446744073709551616".parse::<Seed>().err(),
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
            assert!(text.parse::<Users>().is_err(), "{text}");
        }
        assert_eq!("1000000".parse::<Users>().map(Whole::get), Ok(1_000_000));
        assert!("70000".parse::<Port>().is_err());
    }

    #[test]
    fn arguments_are_objects() {
        assert!("{\"a\":1}".parse::<Args>().is_ok());
        for text in ["[]", "1", "{", "", "@/no/such/file"] {
            assert!(text.parse::<Args>().is_err(), "{text}");
        }
    }

    #[test]
    fn shares_are_percent_or_fractions() {
        for (text, expected) in [("1%", 0.01), ("0.5 %", 0.005), ("0.02", 0.02)] {
            let share = text.parse::<Share>().map(|share| share.0);
            assert_eq!(share, Ok(expected), "{text}");
        }
        for text in ["0", "0%", "100%", "1", "-1%", "x", "", "NaN", "inf%"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
    }

    #[test]
    fn lists_of_users_are_ascending() {
        let list = "64, 1,1000,64".parse::<VuList>();
        assert_eq!(list, Ok(VuList(vec![1, 64, 1000])));
        let many = vec!["1"; 17].join(",");
        assert_eq!(many.parse::<VuList>(), Ok(VuList(vec![1])));
        let many: Vec<String> = (1..=17).map(|vus| vus.to_string()).collect();
        for text in ["", "0", "1,", "-1", "1;2", "1000000", "x", &many.join(",")] {
            assert!(text.parse::<VuList>().is_err(), "{text}");
        }
    }

    #[test]
    fn seconds_have_bounds() {
        let half = Seconds(Duration::from_millis(500));
        assert_eq!("0.5".parse::<Seconds>(), Ok(half));
        for text in ["0", "0.2", "61", "-1", "NaN", "inf", "1s", ""] {
            assert!(text.parse::<Seconds>().is_err(), "{text}");
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
        let error = "secret-without-colon"
            .parse::<HeaderText>()
            .expect_err("no colon");
        assert!(!error.contains("secret"));
    }
}
