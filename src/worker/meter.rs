//! What a worker's thread uses and does, measured on that thread.
//!
//! Once a turn it adds a few integers; the system is asked once a tick. The
//! thread's files are opened once: a process that is out of descriptors must
//! still be able to say how it fares.

use std::fs::File;
use std::time::Instant;

use crate::host::read_again;
use crate::metrics::WorkerUsage;
use crate::scheduler::Turn;
use crate::units::nanos_between;

/// The meter of one worker. Stays on its thread.
#[derive(Debug)]
pub(super) struct Meter {
    /// Absent where the kernel keeps no such statistics.
    schedstat: Option<File>,
    /// Summed up since it was last taken.
    usage: WorkerUsage,
    /// What the system said when it was last asked.
    last: ThreadReading,
    last_taken: Instant,
    /// The last turn's end, and the calls in flight then.
    returned_at: Instant,
    n_in_flight: u32,
}

impl Meter {
    /// A meter for this thread, from now on.
    pub(super) fn start(now: Instant) -> Self {
        let schedstat = File::open("/proc/thread-self/schedstat").ok();
        let last = ThreadReading::new(schedstat.as_ref());
        crate::http::take_read_counts();
        Self {
            schedstat,
            usage: WorkerUsage::default(),
            last,
            last_taken: now,
            returned_at: now,
            n_in_flight: 0,
        }
    }

    /// A turn of the loop is over; `n_in_flight` calls are in flight, and were
    /// since it asked the kernel. How long the loop took until then, where it
    /// had something to do, in nanoseconds.
    pub(super) fn turn(&mut self, turn: &Turn, n_in_flight: u32) -> Option<u64> {
        let ran_ns = nanos_between(self.returned_at, turn.polled_at);
        let polled_ns = nanos_between(turn.polled_at, turn.returned_at);
        // While tasks ran, calls ended and began: half of the change at a time.
        let while_running = u128::from(self.n_in_flight + n_in_flight) * u128::from(ran_ns) / 2;
        self.usage.in_flight_ns += while_running + u128::from(n_in_flight) * u128::from(polled_ns);
        self.usage.turn_max_ns = self.usage.turn_max_ns.max(ran_ns + polled_ns);
        self.returned_at = turn.returned_at;
        self.n_in_flight = n_in_flight;
        if turn.n_resumed == 0 {
            return None;
        }
        self.usage.busy_ns += ran_ns;
        Some(ran_ns)
    }

    /// What was used since this was last asked; the most calls in flight is the
    /// caller's to add.
    pub(super) fn take(&mut self, now: Instant) -> WorkerUsage {
        let reading = ThreadReading::new(self.schedstat.as_ref());
        let last = std::mem::replace(&mut self.last, reading);
        let since = |now: Option<u64>, last: Option<u64>| Some(now?.saturating_sub(last?));
        let (reads, clock_steps, clock_step_max_ns) = crate::http::take_read_counts();
        let mut usage = std::mem::take(&mut self.usage);
        usage.merge(&WorkerUsage {
            wall_ns: nanos_between(self.last_taken, now),
            cpu_ns: since(self.last.cpu_ns, last.cpu_ns),
            run_delay_ns: since(self.last.run_delay_ns, last.run_delay_ns),
            involuntary_switches: since(self.last.involuntary_switches, last.involuntary_switches),
            reads,
            clock_steps,
            clock_step_max_ns,
            ..WorkerUsage::default()
        });
        self.last_taken = now;
        usage
    }

    /// What was taken and could not be told goes along with the next.
    pub(super) fn give_back(&mut self, usage: &WorkerUsage) {
        self.usage.merge(usage);
    }
}

/// What the system says of a thread: sums since it began.
#[derive(Debug, Default)]
struct ThreadReading {
    cpu_ns: Option<u64>,
    run_delay_ns: Option<u64>,
    involuntary_switches: Option<u64>,
}

impl ThreadReading {
    /// Of this thread. `schedstat` is its file in `/proc`, where it has one.
    fn new(schedstat: Option<&File>) -> Self {
        let text = schedstat.and_then(read_again);
        Self {
            run_delay_ns: text.and_then(|text| parse_run_delay(&text)),
            ..Self::of_system()
        }
    }

    #[cfg(all(target_os = "linux", not(pmcp_portable)))]
    fn of_system() -> Self {
        use nix::sys::resource::{UsageWho, getrusage};
        let cpu = nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID.now().ok();
        let usage = getrusage(UsageWho::RUSAGE_THREAD).ok();
        Self {
            cpu_ns: cpu
                .and_then(|cpu| u64::try_from(std::time::Duration::from(cpu).as_nanos()).ok()),
            involuntary_switches: usage
                .and_then(|usage| u64::try_from(usage.involuntary_context_switches()).ok()),
            run_delay_ns: None,
        }
    }

    #[cfg(not(all(target_os = "linux", not(pmcp_portable))))]
    fn of_system() -> Self {
        Self::default()
    }
}

/// Time on the CPU, time runnable and waiting for one (both nanoseconds),
/// number of time slices (proc_pid_schedstat, Documentation/scheduler/
/// sched-stats.rst).
fn parse_run_delay(text: &str) -> Option<u64> {
    text.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn calls_in_flight_are_integrated_over_time() {
        let origin = crate::clock::now();
        let at = |us| origin + Duration::from_micros(us);
        let mut meter = Meter::start(origin);
        let mut turn = |polled, returned, n_resumed, n_in_flight| {
            let turn = Turn {
                polled_at: at(polled),
                returned_at: at(returned),
                n_resumed,
            };
            meter.turn(&turn, n_in_flight)
        };
        // Four calls begin within 10 us, and are in flight for 90 us more.
        assert_eq!(turn(10, 100, 4, 4), Some(10_000));
        // Nothing to do: an empty poll is no work.
        assert_eq!(turn(101, 200, 0, 4), None);
        // All end within 20 us.
        assert_eq!(turn(220, 300, 4, 0), Some(20_000));
        let usage = meter.take(at(300));
        // 4 · 10/2 + 4 · 190 + 4 · 20/2 call-microseconds.
        assert_eq!(usage.in_flight_ns, 820_000);
        assert_eq!((usage.wall_ns, usage.busy_ns), (300_000, 30_000));
        assert_eq!(usage.turn_max_ns, 100_000);
        assert_eq!(meter.take(at(300)).in_flight_ns, 0);
        meter.give_back(&usage);
        assert_eq!(meter.take(at(400)).wall_ns, 400_000);
    }

    #[test]
    fn the_time_spent_waiting_for_a_cpu_is_the_second_number() {
        assert_eq!(parse_run_delay("60440 1234 7\n"), Some(1234));
        assert_eq!(parse_run_delay(""), None);
    }

    #[test]
    #[cfg(all(target_os = "linux", not(pmcp_portable)))]
    fn the_thread_is_told_of() {
        let cpu_ns = || ThreadReading::new(None).cpu_ns.expect("Linux tells");
        let before = cpu_ns();
        while cpu_ns() < before + 1_000_000 {}
        assert!(ThreadReading::new(None).involuntary_switches.is_some());
    }
}
