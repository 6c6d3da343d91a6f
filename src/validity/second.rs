//! Whether a second's figures are the server's, or ours.
//!
//! For runs, of whose verdict this is a part, and for capacity searches: a level
//! that the generator could not make says nothing of the server. Each rule is
//! one that a slow server cannot cause.

use std::time::Duration;

use crate::units::{format_duration, format_latency, nanos};

/// A second as the self-check sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SecondLoad {
    /// By rate: iterations that were due in it. `None` in the closed model.
    pub due: Option<f64>,
    /// Iterations begun in it.
    pub begun: u64,
    /// 99th percentile of sent less intended start, nanoseconds.
    pub lateness_p99_ns: Option<u64>,
    /// Connections opened in it.
    pub connects: u64,
    /// Requests in flight at its end.
    pub in_flight: u64,
    /// Users at its end.
    pub users: u64,
    /// The longest time for which a worker did not look at the kernel.
    pub silence: Duration,
    /// Median time from an answer's arrival to our reading it, nanoseconds.
    pub delay_p50_ns: Option<u64>,
    /// Median latency, nanoseconds.
    pub latency_p50_ns: Option<u64>,
}

/// What was the limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum GeneratorLimit {
    /// Arrivals were begun late although users were free.
    Behind {
        /// Begun of those due, 0 to 1.
        share: f64,
        /// 99th percentile of the lateness.
        lateness_ns: u64,
    },
    /// A worker stood still.
    Stalled {
        /// For this long.
        silence: Duration,
    },
    /// Answers waited longer for us than we for them.
    Reading {
        /// Median time that an answer waited.
        delay_ns: u64,
        /// Median latency.
        latency_ns: u64,
    },
}

/// What is remembered from second to second of one level.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Watch {
    /// Seconds in a row in which answers waited longer for us than we for them.
    n_slow_reading: u32,
    /// Users were free at the end of the second before.
    had_free_users: bool,
}

/// Fewer of the arrivals due are begun: behind.
const BEGUN_MIN: f64 = 0.98;
/// Lateness that no scheduling noise explains.
const LATENESS_MAX: Duration = Duration::from_millis(20);
/// Users are free where requests in flight occupy at most this share of them.
const FREE_SHARE: f64 = 0.9;
/// Workers look up every quarter of a second at least, to tell of themselves.
const SILENCE_MAX: Duration = Duration::from_millis(400);
/// A delay below this limits nothing worth speaking of.
const DELAY_MIN: Duration = Duration::from_millis(1);
/// Where more than one call in this many had to connect, lateness contains the
/// making of connections, which the server may be slow at.
pub(super) const CALLS_PER_CONNECT: u64 = 100;
/// This many seconds in a row with slow reading are no accident.
const SLOW_READING_SECONDS: u32 = 3;

/// Whether a worker stood still that did not look at the kernel for so long, in nanoseconds.
pub fn is_stall(turn_ns: u64) -> bool {
    turn_ns > nanos(SILENCE_MAX)
}

/// Whether the generator was the limit in this second.
pub fn generator_limit(second: &SecondLoad, watch: &mut Watch) -> Option<GeneratorLimit> {
    let has_free_users = second.in_flight as f64 <= FREE_SHARE * second.users as f64;
    // Both ends of the second: a pool that was empty in between makes arrivals
    // late too, and that is the server's doing.
    let had_free_users = std::mem::replace(&mut watch.had_free_users, has_free_users);
    let reading = slow_reading(second);
    watch.n_slow_reading = match reading {
        Some(_) => watch.n_slow_reading.saturating_add(1),
        None => 0,
    };
    if is_stall(nanos(second.silence)) {
        return Some(GeneratorLimit::Stalled {
            silence: second.silence,
        });
    }
    if let (Some(due), Some(lateness_ns)) = (second.due, second.lateness_p99_ns)
        && (second.begun as f64) < BEGUN_MIN * due
        && Duration::from_nanos(lateness_ns) > LATENESS_MAX
        && had_free_users
        && has_free_users
        && second.connects.saturating_mul(CALLS_PER_CONNECT) <= second.begun
    {
        let share = second.begun as f64 / due;
        return Some(GeneratorLimit::Behind { share, lateness_ns });
    }
    reading.filter(|_| watch.n_slow_reading >= SLOW_READING_SECONDS)
}

fn slow_reading(second: &SecondLoad) -> Option<GeneratorLimit> {
    let (delay_ns, latency_ns) = (second.delay_p50_ns?, second.latency_p50_ns?);
    let is_slow = delay_ns > latency_ns && Duration::from_nanos(delay_ns) > DELAY_MIN;
    is_slow.then_some(GeneratorLimit::Reading {
        delay_ns,
        latency_ns,
    })
}

impl GeneratorLimit {
    /// What happened, in one sentence.
    pub fn sentence(&self) -> String {
        match self {
            Self::Behind { share, lateness_ns } => format!(
                "the generator began only {:.1}% of the requests due, p99 {} late, with users free",
                share * 100.0,
                format_latency(*lateness_ns)
            ),
            Self::Stalled { silence } => format!(
                "a worker thread of the generator did not run for {}",
                format_duration(*silence)
            ),
            Self::Reading {
                delay_ns,
                latency_ns,
            } => format!(
                "answers waited {} to be read by the generator (median), longer than the server \
                 took for them ({})",
                format_latency(*delay_ns),
                format_latency(*latency_ns)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// All is well: 100 of 100 begun, on time, in a pool of 50.
    fn fine() -> SecondLoad {
        SecondLoad {
            due: Some(100.0),
            begun: 100,
            lateness_p99_ns: Some(MS),
            connects: 0,
            in_flight: 5,
            users: 50,
            silence: Duration::from_millis(250),
            delay_p50_ns: Some(10_000),
            latency_p50_ns: Some(20 * MS),
        }
    }

    /// The verdict after three such seconds.
    fn third(second: SecondLoad) -> Option<GeneratorLimit> {
        let mut watch = Watch::default();
        (0..3).fold(None, |_, _| generator_limit(&second, &mut watch))
    }

    #[test]
    fn late_arrivals_are_ours_only_where_users_were_free() {
        let late = SecondLoad {
            begun: 90,
            lateness_p99_ns: Some(50 * MS),
            ..fine()
        };
        assert_eq!(third(fine()), None);
        assert_eq!(
            third(late),
            Some(GeneratorLimit::Behind {
                share: 0.9,
                lateness_ns: 50 * MS
            })
        );
        let full = SecondLoad {
            in_flight: 50,
            ..late
        };
        assert_eq!(third(full), None, "the server keeps all users busy");
        let punctual = SecondLoad {
            lateness_p99_ns: Some(MS),
            ..late
        };
        assert_eq!(third(punctual), None, "fewer arrivals by chance");
        let connecting = SecondLoad {
            connects: 90,
            ..late
        };
        assert_eq!(third(connecting), None, "it may be slow at connecting");
        let caught_up = SecondLoad { begun: 99, ..late };
        assert_eq!(third(caught_up), None);
        // The pool was empty at the end of the second before.
        let mut watch = Watch::default();
        generator_limit(&full, &mut watch);
        assert_eq!(generator_limit(&late, &mut watch), None);
    }

    #[test]
    fn a_worker_that_stands_still_is_ours() {
        let stalled = SecondLoad {
            silence: Duration::from_millis(500),
            due: None,
            ..fine()
        };
        let mut watch = Watch::default();
        assert!(generator_limit(&stalled, &mut watch).is_some());
        assert_eq!(generator_limit(&fine(), &mut watch), None);
    }

    #[test]
    fn slow_reading_takes_three_seconds_in_a_row() {
        let slow = SecondLoad {
            due: None,
            delay_p50_ns: Some(30 * MS),
            ..fine()
        };
        let mut watch = Watch::default();
        for second in [slow, slow, fine(), slow, slow] {
            assert_eq!(generator_limit(&second, &mut watch), None);
        }
        let found = generator_limit(&slow, &mut watch).expect("the third in a row");
        assert!(found.sentence().contains("30.0 ms"), "{}", found.sentence());
        // A delay of microseconds limits nothing, however fast the server.
        let tiny = SecondLoad {
            delay_p50_ns: Some(200_000),
            latency_p50_ns: Some(50_000),
            ..slow
        };
        assert_eq!(third(tiny), None);
        let unknown = SecondLoad {
            delay_p50_ns: None,
            ..slow
        };
        assert_eq!(third(unknown), None);
    }
}
