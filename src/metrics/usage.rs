//! What a worker's thread used and did between two ticks, beside its samples.
//!
//! Plain sums, so that ticks add up to seconds and to the whole run. Where the
//! system does not tell a figure it is `None`, never a 0 that nobody measured.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What one worker's thread used and did over some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WorkerUsage {
    /// How long that was, in nanoseconds.
    pub wall_ns: u64,
    /// Of it, the turns of the loop that had something to do, from one poll of
    /// the kernel to the next. Empty polls of a busy-polling worker are no work.
    pub busy_ns: u64,
    /// CPU time of the thread.
    pub cpu_ns: Option<u64>,
    /// Time for which it could have run and did not, since something else had
    /// the CPU.
    pub run_delay_ns: Option<u64>,
    /// How often the CPU was taken from it.
    pub involuntary_switches: Option<u64>,
    /// The longest time from one poll's return to the next one's. A worker looks
    /// up at least once a tick: far more than that means that it stood still.
    pub turn_max_ns: u64,
    /// The number of calls in flight, integrated over time: calls times
    /// nanoseconds. Counted as calls begin and end, and made of no latency.
    pub in_flight_ns: u128,
    /// The most calls in flight at once.
    pub in_flight_max: u64,
    /// Answers that were looked at for what they say.
    pub checks: u64,
    /// How long all of them together waited for that, in nanoseconds.
    pub checks_waited_ns: u64,
    /// How reads of answers were timed.
    pub reads: ReadTimes,
    /// Steps of the wall clock that were noticed.
    pub clock_steps: u64,
    /// The largest of them, in nanoseconds, either way.
    pub clock_step_max_ns: u64,
}

/// How reads from connections were timed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReadTimes {
    /// By the kernel, when the bytes arrived.
    pub kernel: u64,
    /// By this program, when it read them: the kernel gave no timestamp.
    pub user_space: u64,
    /// Likewise, since the kernel's timestamp could not be right: the wall clock
    /// was set, or the timestamp lay before the request or in the future.
    #[serde(rename = "timestamps_unusable")]
    pub unusable: u64,
}

impl ReadTimes {
    /// All reads.
    pub fn total(&self) -> u64 {
        self.kernel + self.user_space + self.unusable
    }

    /// Adds those of another time.
    pub fn merge(&mut self, other: &Self) {
        self.kernel += other.kernel;
        self.user_space += other.user_space;
        self.unusable += other.unusable;
    }

    /// The share that the kernel did not time, 0 to 1; `None` without any read.
    pub fn fallback_share(&self) -> Option<f64> {
        let total = self.total();
        (total > 0).then(|| (total - self.kernel) as f64 / total as f64)
    }
}

impl WorkerUsage {
    /// Adds a later time of the same worker.
    pub fn merge(&mut self, later: &Self) {
        self.wall_ns += later.wall_ns;
        self.busy_ns += later.busy_ns;
        self.cpu_ns = sum(self.cpu_ns, later.cpu_ns);
        self.run_delay_ns = sum(self.run_delay_ns, later.run_delay_ns);
        self.involuntary_switches = sum(self.involuntary_switches, later.involuntary_switches);
        self.turn_max_ns = self.turn_max_ns.max(later.turn_max_ns);
        self.in_flight_ns += later.in_flight_ns;
        self.in_flight_max = self.in_flight_max.max(later.in_flight_max);
        self.checks += later.checks;
        self.checks_waited_ns += later.checks_waited_ns;
        self.reads.merge(&later.reads);
        self.clock_steps += later.clock_steps;
        self.clock_step_max_ns = self.clock_step_max_ns.max(later.clock_step_max_ns);
    }

    /// The share of the time in which it worked, 0 to 1; `None` over no time.
    pub fn busy_share(&self) -> Option<f64> {
        self.share(self.busy_ns)
    }

    /// CPU time ÷ time: 1 is a whole CPU.
    pub fn cpu_share(&self) -> Option<f64> {
        self.share(self.cpu_ns?)
    }

    /// The share of the time for which it waited for a CPU, 0 to 1.
    pub fn run_delay_share(&self) -> Option<f64> {
        self.share(self.run_delay_ns?)
    }

    /// The mean number of calls in flight; `None` over no time.
    pub fn in_flight_mean(&self) -> Option<f64> {
        (self.wall_ns > 0).then(|| self.in_flight_ns as f64 / self.wall_ns as f64)
    }

    /// Of the time of users with a call, the share for which their answers waited to be
    /// looked at, 0 to 1; `None` where none were.
    pub fn check_wait_share(&self) -> Option<f64> {
        let waited = self.checks_waited_ns as f64;
        (self.checks > 0).then(|| waited / (waited + self.in_flight_ns as f64).max(1.0))
    }

    fn share(&self, part_ns: u64) -> Option<f64> {
        (self.wall_ns > 0).then(|| part_ns as f64 / self.wall_ns as f64)
    }
}

/// A system tells a figure always or never; what is `None` here and not there
/// is a time over which nothing was asked.
fn sum(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_adds_up_and_nothing_is_made_up() {
        let tick = WorkerUsage {
            wall_ns: 100,
            busy_ns: 25,
            run_delay_ns: Some(10),
            turn_max_ns: 7,
            in_flight_ns: 400,
            in_flight_max: 6,
            ..WorkerUsage::default()
        };
        let mut sum = WorkerUsage::default();
        assert_eq!(sum.busy_share(), None);
        sum.merge(&tick);
        sum.merge(&WorkerUsage {
            turn_max_ns: 3,
            in_flight_ns: 0,
            ..tick
        });
        assert_eq!(sum.busy_share(), Some(0.25));
        assert_eq!(sum.run_delay_share(), Some(0.1));
        assert_eq!(sum.cpu_share(), None);
        assert_eq!(sum.in_flight_mean(), Some(2.0));
        assert_eq!((sum.turn_max_ns, sum.in_flight_max), (7, 6));
    }

    #[test]
    fn reads_without_the_kernels_time_are_a_share() {
        assert_eq!(ReadTimes::default().fallback_share(), None);
        let reads = ReadTimes {
            kernel: 90,
            user_space: 6,
            unusable: 4,
        };
        assert_eq!(reads.fallback_share(), Some(0.1));
    }
}
