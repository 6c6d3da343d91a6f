//! The clocks of the machine, monotonic and of the wall. Beside this module only
//! `http` and `scheduler` ask them; clippy holds the others to that.
//!
//! What decides takes the time as a parameter. This module does not know what the
//! time is used for.

#![expect(clippy::disallowed_methods, reason = "others ask this module")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The machine's monotonic clock, with its origin at the moment of creation.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock that starts at zero now.
    pub fn start() -> Self {
        Self { origin: now() }
    }

    /// A clock whose zero is the given instant.
    pub fn since(origin: Instant) -> Self {
        Self { origin }
    }

    /// The instant of this clock's zero.
    pub fn origin(&self) -> Instant {
        self.origin
    }

    /// Time since the clock's zero; zero before it.
    pub fn now(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// The monotonic instant now.
pub fn now() -> Instant {
    Instant::now()
}

/// The wall clock now.
pub fn system_now() -> SystemTime {
    SystemTime::now()
}

/// Time since that instant; zero before it.
pub fn since(earlier: Instant) -> Duration {
    earlier.elapsed()
}

/// A moment of UTC, in whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Utc {
    unix_ms: u64,
}

impl Utc {
    /// The wall clock now. A clock set before 1970 reads as 1970.
    pub fn now() -> Self {
        Self::of(SystemTime::now())
    }

    /// A moment of the wall clock. One before 1970 reads as 1970.
    pub fn of(moment: SystemTime) -> Self {
        let since_epoch = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            unix_ms: u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// From milliseconds since 1970-01-01T00:00:00Z.
    pub fn from_unix_ms(unix_ms: u64) -> Self {
        Self { unix_ms }
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub fn unix_ms(self) -> u64 {
        self.unix_ms
    }

    /// How long it is until then by the clock of the wall; zero where it is past.
    pub fn until(self) -> Duration {
        Duration::from_millis(self.unix_ms.saturating_sub(Self::now().unix_ms))
    }

    /// Reads `2026-11-23T12:41:07Z`, `2026-11-23T13:41:07.25+01:00` and what else
    /// RFC 3339 allows. Digits beyond milliseconds are cut; a leap second is taken for
    /// the one after it. `None` for other texts and times before 1970.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let (date, time) = text.split_once(['T', 't', ' '])?;
        let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
        let zone_at = time.find(['Z', 'z', '+', '-'])?;
        let (time, zone) = time.split_at(zone_at);
        let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
        let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
        let is_digits = !fraction.is_empty() && fraction.bytes().all(|b| b.is_ascii_digit());
        let ms: u64 = format!("{fraction:0<3.3}")
            .parse()
            .ok()
            .filter(|_| is_digits)?;
        let offset_secs = match zone {
            "Z" | "z" => 0,
            _ => {
                let [hours, minutes] = numbers(&zone[1..], ':', [2, 2])?;
                let secs = i64::try_from(hours * 3600 + minutes * 60).ok()?;
                let is_possible = hours < 24 && minutes < 60;
                let secs = if zone.starts_with('-') { -secs } else { secs };
                is_possible.then_some(secs)?
            }
        };
        let is_time = hour < 24 && minute < 60 && second <= 60;
        let is_date = (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
        if !is_time || !is_date || year < 1970 {
            return None;
        }
        // Days from a civil date, the inverse of what `fields` does.
        let shifted_year = year - u64::from(month <= 2);
        let shifted_month = (month + 9) % 12;
        let era = shifted_year / 400;
        let year_of_era = shifted_year % 400;
        let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let days = era * 146_097 + day_of_era - 719_468;
        let secs = days * 86_400 + hour * 3600 + minute * 60 + second;
        let secs = i64::try_from(secs).ok()? - offset_secs;
        let unix_ms = u64::try_from(secs).ok()? * 1000 + ms;
        Some(Self { unix_ms })
    }

    /// `2026-11-23T12:41:07.250Z` (RFC 3339).
    pub fn rfc3339(self) -> String {
        let mut text = String::with_capacity(24);
        self.push_rfc3339(&mut text);
        text
    }

    /// Appends it. Allocates only where `out` must grow.
    pub fn push_rfc3339(self, out: &mut String) {
        let (year, month, day, hour, minute, second) = self.fields();
        let ms = self.unix_ms % 1000;
        if year > 9999 {
            // No date of RFC 3339, and none that is met.
            out.push_str(&(year / 10_000).to_string());
        }
        push_digits(year % 10_000, 4, out);
        let parts = [
            ("-", month),
            ("-", day),
            ("T", hour),
            (":", minute),
            (":", second),
        ];
        for (sign, number) in parts {
            out.push_str(sign);
            push_digits(number, 2, out);
        }
        out.push('.');
        push_digits(ms, 3, out);
        out.push('Z');
    }

    /// `20261123T124107Z`: fit for a file name.
    pub fn compact(self) -> String {
        let (year, month, day, hour, minute, second) = self.fields();
        format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
    }

    /// Year, month, day, hour, minute, second.
    ///
    /// Days to a civil date by Howard Hinnant's `civil_from_days`
    /// ("chrono-Compatible Low-Level Date Algorithms"), for days since 1970.
    fn fields(self) -> (u64, u64, u64, u64, u64, u64) {
        let seconds = self.unix_ms / 1000;
        let days = seconds / 86_400 + 719_468;
        let era = days / 146_097;
        let day_of_era = days % 146_097;
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 {
            shifted_month + 3
        } else {
            shifted_month - 9
        };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        let of_day = seconds % 86_400;
        (
            year,
            month,
            day,
            of_day / 3600,
            of_day / 60 % 60,
            of_day % 60,
        )
    }
}

/// Appends the last digits of a number, zeros before them.
fn push_digits(number: u64, n_digits: u32, out: &mut String) {
    for place in (0..n_digits).rev() {
        let digit = number / 10_u64.pow(place) % 10;
        out.push(char::from(b'0' + digit as u8));
    }
}

/// Numbers with a sign between them; `n_digits` says how many digits each has.
fn numbers<const N: usize>(text: &str, sign: char, n_digits: [usize; N]) -> Option<[u64; N]> {
    let mut parts = text.split(sign);
    let mut numbers = [0; N];
    for (number, n_digits) in numbers.iter_mut().zip(n_digits) {
        let part = parts.next()?;
        let is_right = part.len() == n_digits && part.bytes().all(|byte| byte.is_ascii_digit());
        *number = part.parse().ok().filter(|_| is_right)?;
    }
    parts.next().is_none().then_some(numbers)
}

/// By the Gregorian calendar; `month` from 1 to 12.
fn days_in(year: u64, month: u64) -> u64 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 => 28 + u64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utc_is_written_as_rfc3339() {
        let check = |unix_ms, expected: &str| {
            assert_eq!(Utc::from_unix_ms(unix_ms).rfc3339(), expected);
        };
        check(0, "1970-01-01T00:00:00.000Z");
        check(951_827_696_789, "2000-02-29T12:34:56.789Z");
        check(1_795_437_667_250, "2026-11-23T12:41:07.250Z");
        check(4_102_444_799_999, "2099-12-31T23:59:59.999Z");
    }

    #[test]
    fn rfc3339_is_read() {
        let check = |text: &str, expected: Option<u64>| {
            let read = Utc::parse_rfc3339(text);
            assert_eq!(read.map(Utc::unix_ms), expected, "{text}");
        };
        check("1970-01-01T00:00:00Z", Some(0));
        check("2000-02-29T12:34:56.789Z", Some(951_827_696_789));
        check("2000-02-29t12:34:56.7890001z", Some(951_827_696_789));
        check("2026-11-23 13:41:07.25+01:00", Some(1_795_437_667_250));
        check("2026-11-23T07:11:07.25-05:30", Some(1_795_437_667_250));
        check("2016-12-31T23:59:60Z", Some(1_483_228_800_000));
        for text in [
            "",
            "now",
            "2026-11-23",
            "2026-11-23T12:41:07",
            "2026-11-23T12:41Z",
            "2026-11-23T12:41:07.Z",
            "2026-11-23T12:41:07.xZ",
            "2026-11-23T24:00:00Z",
            "2026-11-23T12:60:00Z",
            "2026-02-29T12:41:07Z",
            "2026-13-01T12:41:07Z",
            "2026-1-01T12:41:07Z",
            "2026-01-00T12:41:07Z",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+01:00",
            "2026-11-23T12:41:07+24:00",
            "2026-11-23T12:41:07+1",
            "2026-11-23T12:41:07é",
            "99999-11-23T12:41:07Z",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for days in (0..60_000_u64).step_by(7) {
            let moment = Utc::from_unix_ms(days * 86_400_000 + days * 977 % 86_400_000);
            assert_eq!(Utc::parse_rfc3339(&moment.rfc3339()), Some(moment));
        }
    }
}
