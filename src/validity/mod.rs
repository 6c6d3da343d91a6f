//! Whether a result is valid: the figures of the server, or of the machine that
//! made the load. Pure: plain figures in, a verdict out.
//!
//! A load tester that is itself the limit measures itself. So every run is
//! judged by what it noticed about its own threads, its host and its load:
//! [`judge`] holds the [`Evidence`] against the table below and gives a
//! [`Verdict`] with a [`Reason`] for each row that it is beyond. **A rule that a
//! slow or broken server can trigger has no place here**, with one exception that
//! blames nobody: arrivals that were dropped are load that was never sent.
//!
//! *Valid*: nothing speaks against the figures. *Suspect*: they may be used with
//! the reason in mind. *Invalid*: they answer another question than the one that
//! was asked.
//!
//! # The self-check
//!
//! | signal | source | suspect from | invalid from | why |
//! |---|---|---|---|---|
//! | `worker_busy` | turns of a worker's loop that had something to do (or its CPU time, unless it polls busily) ÷ time | 0.9 over the run, or 0.95 in a fifth of the seconds | the same, where the kernel timed less than 99 % of the answers, or seconds were behind schedule | a busy worker cannot offer more load; with the kernel's timestamps the latencies are still the server's |
//! | `waiting_for_cpu` | time runnable and not running (`schedstat`) ÷ time, worst worker | 0.1 over the run, or 0.25 in a fifth of the seconds | 0.4 over the run | others have its CPU: it sends late and reads late |
//! | `switched_out` | involuntary context switches, where the system does not tell the above | 100 a second | | the same, seen less well |
//! | `long_loops` | p99 of the loop time | 10 ms and half the median latency | | requests leave, and answers are read, in bursts that long |
//! | `slow_reading` | answers' wait for our reading them | p99 1 ms and a tenth of the median latency | in half of the seconds, median 1 ms and above the median latency | answers waited longer for us than we for them: fewer were at the server than the load says |
//! | `late_starts` | lateness (sent less the moment at which it could have been) | p99 1 ms and a tenth of the median latency | median 1 ms and half the median latency | response times contain it; not judged where one call in a hundred had to connect, which the server may have caused |
//! | `behind_schedule` | begun ÷ due below 0.98, p99 lateness above 20 ms, users free at both ends of the second | one second | a twentieth of the seconds, at least two | the rate was not offered, and the server did not prevent it |
//! | `worker_stalled` | longest time between two looks at the kernel | 400 ms | a twentieth of the seconds, at least three | nobody sent or read in that time |
//! | `throttled` | time stopped by the control group's quota ÷ time | 0.01 | 0.1 | all threads stand still at once |
//! | `steal` | time that the hypervisor took ÷ time, of the workers' CPUs | 0.05 | 0.2 | the same, seen from outside |
//! | `no_local_resources` | connections that this machine had no descriptor, port or memory for ÷ attempts, and users left without a session ÷ users | one | 0.01 | load that was not there, and errors that are not the server's |
//! | `arrivals_dropped` | dropped ÷ arrivals | 0.005 | | load that was not sent, whoever is to blame |
//! | `little` | calls in flight, counted, below those that rate × latency need (Little's law) | 10 % | 50 % | latencies longer than calls were in flight cannot be true |
//! | `clock_stepped` | wall less monotonic clock | one step | | answers around it are timed in user space |
//! | `user_space_times` | reads that the kernel did not time | 1 %, and p99 loop time 100 us and a tenth of the median latency | | latencies then contain our own delay |
//! | `not_pinned` | workers that were to keep to a CPU and do not | one | | they move, and share CPUs |
//! | `short_run`, `few_samples` | length; successful calls | below 1 s; below 100 | | high percentiles are the largest few |
//! | `near_calibrated_rate` | rate ÷ what this host was calibrated to generate | 0.8 | | the next thing to give way is the generator |
//! | `at_noise_floor` | median latency ÷ the noise of this host | below 2 | | differences are the host's |
//! | `noisier_than_calibrated` | p99 lateness ÷ the calibrated | above 3, and 1 ms | | the host is not what it was |
//!
//! Little's law is one-sided on purpose: calls are in flight for us from before
//! their connection is made to after their stream has ended, so that more of
//! them than the latencies explain is a server's doing. The thresholds were
//! tuned with runs that starve the generator for real (`tests/e2e/validity.rs`).

mod evidence;
mod reason;
mod rules;
mod second;

pub use evidence::{
    Evidence, LocalResource, LocalResources, Model, Reference, SecondSignals, Spread,
    WorkerEvidence,
};
pub use reason::{Limits, Reason};
pub use rules::judge;
pub use second::{GeneratorLimit, SecondLoad, Watch, generator_limit};

/// How far a result can be trusted, worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// Nothing speaks against it.
    Valid,
    /// To be used with the reasons in mind.
    Suspect,
    /// It answers another question than the one that was asked.
    Invalid,
}

impl Grade {
    /// `valid`, `suspect` or `invalid`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Suspect => "suspect",
            Self::Invalid => "invalid",
        }
    }
}

/// Whether a result is valid, and why not.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The worst of its reasons; valid without any.
    pub grade: Grade,
    /// Worst first.
    pub reasons: Vec<(Grade, Reason)>,
}

impl Verdict {
    /// The verdict of these reasons.
    pub fn of(mut reasons: Vec<(Grade, Reason)>) -> Self {
        // Stable: reasons of one grade stay in the order of the table.
        reasons.sort_by_key(|(grade, _)| std::cmp::Reverse(*grade));
        let grade = reasons.first().map_or(Grade::Valid, |(grade, _)| *grade);
        Self { grade, reasons }
    }

    /// Whether a reason of this name is among them.
    pub fn has(&self, id: &str) -> bool {
        self.reasons.iter().any(|(_, reason)| reason.id() == id)
    }
}

#[cfg(test)]
mod tests;
