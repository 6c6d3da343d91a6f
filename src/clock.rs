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
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
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

    /// `2026-11-23T12:41:07.250Z` (RFC 3339).
    pub fn rfc3339(self) -> String {
        let (year, month, day, hour, minute, second) = self.fields();
        let ms = self.unix_ms % 1000;
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
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
}
