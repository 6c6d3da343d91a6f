//! What a run will do: valid by construction, immutable, shared by all threads.
//!
//! A plan does not know where its values came from (a config, flags, defaults)
//! and holds nothing that only a terminal would care for.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use crate::load::{Burst, Distribution, RateStage, ThinkTime, VuStage};
use crate::protocol::{Operation, ProtocolChoice};
use crate::redact::{Redactor, SECRET_CHARS_MIN, secrets_of_header};
use crate::validity::Reference;

/// What a run will do.
#[derive(Clone, PartialEq)]
pub struct Plan {
    /// The server and how to speak to it.
    pub target: Target,
    /// How much load, and when.
    pub load: Load,
    /// When the run ends.
    pub stop: StopRule,
    /// The longest a request may take, from connecting to the last byte.
    pub timeout: Duration,
    /// How long requests in flight at the end may still take.
    pub graceful_stop: Duration,
    /// What virtual users do. Not empty.
    pub steps: Vec<Step>,
    /// Who does which of the steps. Not empty.
    pub populations: Vec<Population>,
    /// The pause between a user's iterations.
    pub think: ThinkTime,
    /// The pause after each call (`request_interval_ms` of old configs).
    pub pause_after_call: Duration,
    /// When a user ends its session and starts another.
    pub session: SessionRule,
    /// Run and shown, but left out of the figures.
    pub warm_up: Duration,
    /// What counts as broken, and what is done then.
    pub breaking: BreakRule,
    /// The largest message accepted from the server, in bytes.
    pub message_bytes_max: usize,
    /// One quiet session beside the load that starts so many iterations a second,
    /// to compare its latency with the load's; above 0, at most 1000. `None`: no probe.
    pub probe: Option<f64>,
    /// Makes choices and generated data repeatable.
    pub seed: u64,
    /// Threads and CPUs.
    pub workers: WorkerRule,
    /// An invalid result makes the program fail.
    pub strict: bool,
    /// What this host was calibrated to, for the verdict.
    pub reference: Option<Reference>,
    /// What the user should know of how the config was read.
    pub notices: Vec<String>,
    /// What to show in place of values that may be secrets. `default()` where
    /// nothing came from the environment: then the plan's own values are shown.
    pub as_written: AsWritten,
}

/// Shows what may be shown only.
impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<_> = (0..self.steps.len())
            .filter_map(|step_idx| self.shown_action(step_idx))
            .collect();
        f.debug_struct("Plan")
            .field("url", &self.shown_url())
            .field("headers", &self.target.headers)
            .field("protocol", &self.target.protocol)
            .field("load", &self.load)
            .field("stop", &self.stop)
            .field("timeout", &self.timeout)
            .field("steps", &shown)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

/// Texts as the user wrote them, with `${NAME}` where a value came from the
/// environment and `***` for credentials.
#[derive(Clone, PartialEq, Default)]
pub struct AsWritten {
    /// `None`: the target's own.
    pub(super) url: Option<String>,
    /// One for each step, or none at all.
    pub(super) actions: Vec<Action>,
    /// Values from the environment and credentials outside of headers.
    pub(super) secrets: Vec<String>,
    /// Neither config nor flag names the seed: each run draws another.
    pub(super) is_seed_drawn: bool,
}

/// Never shows the secrets.
impl fmt::Debug for AsWritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsWritten")
            .field("url", &self.url)
            .field("actions", &self.actions)
            .finish_non_exhaustive()
    }
}

/// The server and how to speak to it.
#[derive(Clone, PartialEq)]
pub struct Target {
    /// An absolute `http` or `https` URL without user info.
    pub url: String,
    /// Sent with every request, in this order.
    pub headers: Vec<Header>,
    /// The protocol's era or revision, or finding it.
    pub protocol: ProtocolChoice,
    /// Whether each user keeps the cookies that the server sets.
    pub cookies: bool,
}

/// The address may hold a secret: the plan knows how to show it.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("headers", &self.headers)
            .field("protocol", &self.protocol)
            .field("cookies", &self.cookies)
            .finish_non_exhaustive()
    }
}

/// A request header given by the user.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    /// A valid HTTP header name.
    pub name: String,
    /// A valid HTTP header value; every value counts as a secret.
    pub value: String,
}

/// Never shows the value.
impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ***", self.name)
    }
}

/// How much load, and when.
#[derive(Debug, Clone, PartialEq)]
pub enum Load {
    /// A fixed number of users, each waiting for its answer before it goes on.
    Closed {
        /// At least 1.
        vus: u32,
        /// The users start evenly across this time.
        ramp_up: Duration,
        /// Iterations start at this fixed interval, per user.
        pacing: Option<Duration>,
    },
    /// Like `Closed`, with a number of users that changes.
    Staged {
        /// Not empty.
        stages: Vec<VuStage>,
        /// Iterations start at this fixed interval, per user.
        pacing: Option<Duration>,
    },
    /// Iterations start at their own rate, whether earlier ones have ended or not.
    Open {
        /// Not empty; one stage at constant rate has the same rate before it.
        arrivals: Arrivals,
        /// The pool of users that serve arrivals; at least 1.
        max_vus: u32,
        /// Arrivals that may wait for a free user; those beyond are dropped.
        queue_max: u32,
    },
}

/// When iterations of the open model start.
#[derive(Debug, Clone, PartialEq)]
pub enum Arrivals {
    /// At a constant rate a second, above zero.
    Rate {
        /// Arrivals a second.
        per_second: f64,
        /// How they spread.
        distribution: Distribution,
    },
    /// At a rate that changes.
    Staged {
        /// Not empty.
        stages: Vec<RateStage>,
        /// How they spread.
        distribution: Distribution,
    },
    /// In groups.
    Bursts(Burst),
}

/// When a run ends: whichever comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopRule {
    /// Time from the start of the load; `None`: only the iterations stop it.
    /// With stages, the sum of their durations.
    pub duration: Option<Duration>,
    /// Iterations of all users together; `None`: only the time stops it.
    pub iterations: Option<u64>,
}

/// A class of users, who do the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Population {
    /// Its share of the users is weight ÷ sum of weights; above zero.
    pub weight: u32,
    /// Which of the plan's steps they do: not empty, and some weight of them is
    /// above zero.
    pub steps: Range<usize>,
}

impl Population {
    /// The only one: its users do all of these steps.
    pub fn everyone(steps: &[Step]) -> Vec<Self> {
        vec![Self {
            weight: 1,
            steps: 0..steps.len(),
        }]
    }
}

/// An entry of the scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What it does.
    pub action: Action,
    /// Its share of the iterations is weight ÷ sum of weights. 0: never.
    pub weight: u32,
    /// Calls of one session issued at once, each on its own connection; at
    /// least 1.
    pub parallel: u32,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// One call.
    Call(Operation),
    /// `validate_code`, then `execute_code` with the approval token that the
    /// first returned (pmcp servers in code mode). Two calls, each measured.
    CodeMode {
        /// The code.
        code: String,
        /// Its language, as the server names it.
        format: String,
    },
}

/// When a user ends its session and starts another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SessionRule {
    /// After this many iterations; `None`: no bound.
    pub iterations: Option<u64>,
    /// After this time; `None`: no bound.
    pub lifetime: Option<Duration>,
    /// The share of sessions left without a DELETE, 0 to 1.
    pub abandon: f64,
}

/// What counts as broken while a ramp runs, and what is done then.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BreakRule {
    /// Stop the run at the breaking point.
    pub stop: bool,
    /// The p99 latency that counts as broken; `None`: three times the baseline.
    pub latency_max: Option<Duration>,
    /// The share of failed requests that counts as broken, 0 to 1.
    pub error_share_max: f64,
}

/// Threads and CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerRule {
    /// `None`: the CPUs that this process may use, less one for the
    /// coordinator where there are more than two.
    pub count: Option<usize>,
    /// Pin each worker to its CPU.
    pub pin: bool,
    /// Spin rather than sleep while waiting, for dedicated hosts.
    pub busy_poll: bool,
}

impl Plan {
    /// The users that a run needs at most.
    pub fn vus_max(&self) -> u32 {
        match &self.load {
            Load::Closed { vus, .. } => *vus,
            Load::Staged { stages, .. } => stages
                .iter()
                .map(|stage| stage.target_vus)
                .max()
                .unwrap_or(0),
            Load::Open { max_vus, .. } => *max_vus,
        }
    }

    /// Which population a user belongs to, by its index among all users of the run.
    /// Each row of as many users as the weights sum up to has all shares exactly.
    pub fn population_of(&self, run_index: u32) -> usize {
        population_of(&self.populations, run_index)
    }

    /// Whether iterations have an intended start of their own, so that response
    /// time and service time differ.
    pub fn has_intended_starts(&self) -> bool {
        match &self.load {
            Load::Closed { pacing, .. } | Load::Staged { pacing, .. } => pacing.is_some(),
            Load::Open { .. } => true,
        }
    }

    /// The target's address as it may be shown: `${NAME}` for what came from
    /// the environment, `***` for the values of its query.
    pub fn shown_url(&self) -> String {
        match &self.as_written.url {
            Some(url) => url.clone(),
            None => crate::address::shown(&self.target.url),
        }
    }

    /// Where the requests go, references filled in, for the eyes of the user who
    /// has set the variables: without what may be a credential. `None`: the
    /// address holds no reference.
    pub fn filled_url(&self) -> Option<String> {
        self.as_written.url.as_ref()?;
        Some(crate::address::shown(&self.target.url))
    }

    /// What a step does, as it may be shown; `None` beyond the last step.
    pub fn shown_action(&self, step_idx: usize) -> Option<&Action> {
        let step = self.steps.get(step_idx)?;
        Some(
            self.as_written
                .actions
                .get(step_idx)
                .unwrap_or(&step.action),
        )
    }

    /// Takes what must never be shown out of texts.
    pub fn redactor(&self) -> Redactor {
        let headers = self.target.headers.iter();
        let of_headers: Vec<String> = headers
            .flat_map(|header| secrets_of_header(&header.name, &header.value))
            .collect();
        Redactor::new(of_headers.iter().map(String::as_str)).and(self.secrets())
    }

    /// Values that must never be shown: those of the headers, the credentials
    /// inside them, what came from the environment, and credentials in the
    /// address and in arguments. The longest first, so that no part of one is
    /// left over. Very short ones are left out: to replace each `1` in a
    /// report would hide nothing but the report.
    pub fn secrets(&self) -> Vec<&str> {
        const OTHER_CHARS_MIN: usize = 6;
        let mut secrets: Vec<&str> = Vec::new();
        for header in &self.target.headers {
            let value = header.value.trim();
            let credentials = value.split_once(' ').map(|(_scheme, rest)| rest.trim());
            let known = secrets_of_header(&header.name, value);
            let shown = [Some(value), credentials].into_iter().flatten();
            secrets.extend(shown.filter(|text| known.iter().any(|secret| secret == text)));
        }
        secrets.retain(|secret| secret.chars().count() >= SECRET_CHARS_MIN);
        let others = self.as_written.secrets.iter().map(|secret| secret.trim());
        secrets.extend(others.filter(|secret| secret.chars().count() >= OTHER_CHARS_MIN));
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        secrets
    }
}

fn population_of(populations: &[Population], run_index: u32) -> usize {
    let weights = || populations.iter().map(|it| u64::from(it.weight));
    let place = u64::from(run_index) % weights().sum::<u64>().max(1);
    let mut before = 0;
    let found = weights().position(|weight| {
        before += weight;
        place < before
    });
    found.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_spread_over_populations_by_weight() {
        let place = |weights: &[u32], user| {
            let populations = weights.iter().map(|weight| Population {
                weight: *weight,
                steps: 0..1,
            });
            population_of(&populations.collect::<Vec<_>>(), user)
        };
        let first = |weights: &[u32]| (0..8).map(|user| place(weights, user)).collect::<Vec<_>>();
        assert_eq!(first(&[7]), [0; 8]);
        assert_eq!(first(&[2, 1, 1]), [0, 0, 1, 2, 0, 0, 1, 2]);
        assert_eq!(place(&[u32::MAX, u32::MAX], u32::MAX), 1);
    }
}
