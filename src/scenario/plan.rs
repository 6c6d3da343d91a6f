//! What a run will do: valid by construction, immutable, shared by all threads.
//!
//! A plan does not know where its values came from: a config, flags or defaults. It keeps
//! only where each call is written, for faults that are found at the server.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use super::defaults;
use super::env;
use super::header::Header;
use super::json::{
    as_data, as_names, as_on_break, as_segment, as_shared, as_text, as_think, as_thresholds,
    as_topics, think_json,
};
use super::marked::MarkedPlace;
use super::oauth::OAuthWish;
use super::shown::Shown;
use super::written::WrittenCall;
use crate::address;
use crate::clock::Utc;
use crate::data::DataSet;
use crate::error::UserError;
use crate::expect::{Expectations, Extract, Source};
use crate::load::{Burst, Deal, Distribution, LoadUnit, RateStage, Segment, ThinkTime, VuStage};
use crate::network::{Network, ProxyUse};
use crate::protocol::{Operation, ProtocolChoice, Topic, TraceMode};
use crate::redact::{
    LiveSecrets, Redactor, SECRET_CHARS_MIN, each_text, names_secret, secrets_of_command,
    secrets_of_header,
};
use crate::template::{self, Piece};
use crate::text::named;
use crate::threshold::Threshold;
use crate::units::{as_ms, as_secs, plural};
use crate::validity::Reference;

/// What a run will do. [`Plan::new`] makes one; its fields may be set.
///
/// It serialises to the `config` of a report: headers by name only, other texts
/// as they may be shown, durations in the unit that their key ends with.
#[derive(Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// The server and how to speak to it.
    #[serde(flatten)]
    pub target: Target,
    /// How the server is reached.
    #[serde(skip_serializing_if = "is_usual", serialize_with = "as_shared")]
    pub network: Arc<Network>,
    /// How much load, and when: of all hosts together, where `segment` is a part.
    pub load: Load,
    /// Which part of the load, its users and its iterations is this host's.
    #[serde(serialize_with = "as_segment")]
    pub segment: Segment,
    /// When the load begins; `None`: as soon as all is ready.
    #[serde(skip)]
    pub start_at: Option<Utc>,
    /// When the run ends.
    #[serde(flatten)]
    pub stop: StopRule,
    /// What is due or sent in it is run and shown, but left out of the figures.
    #[serde(rename = "warm_up_secs", serialize_with = "as_secs")]
    pub warm_up: Duration,
    /// What virtual users do: each iteration is one of these. Not empty.
    #[serde(flatten, serialize_with = "as_flows")]
    pub(crate) flows: Vec<Flow>,
    /// Where each request's token comes from, where it is not a header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<TokenPlan>,
    /// Rows that templates take values from.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_data")]
    pub(crate) data: Vec<Arc<DataSet>>,
    /// Hold the plan against what the server lists before any load.
    pub(crate) preflight: bool,
    /// Who does which of the flows.
    #[serde(
        skip_serializing_if = "Populations::is_unnamed",
        serialize_with = "as_populations"
    )]
    pub(crate) populations: Populations,
    /// The pause between a user's iterations.
    #[serde(serialize_with = "as_think")]
    pub think: ThinkTime,
    /// The pause after each call (`request_interval_ms` of old configs).
    #[serde(rename = "request_interval_ms", serialize_with = "as_ms")]
    pub pause_after_call: Duration,
    /// When a user ends its session and starts another.
    pub session: SessionRule,
    /// The longest a request may take, from connecting to the last byte.
    #[serde(rename = "timeout_ms", serialize_with = "as_ms")]
    pub timeout: Duration,
    /// The longest that a call may take that is answered with a task.
    #[serde(
        rename = "task_timeout_ms",
        serialize_with = "as_ms",
        skip_serializing_if = "is_usual_for_tasks"
    )]
    pub task_timeout: Duration,
    /// How long requests in flight at the end may still take.
    #[serde(rename = "graceful_stop_ms", serialize_with = "as_ms")]
    pub graceful_stop: Duration,
    /// What counts as broken, and what is done then.
    pub breaking: BreakRule,
    /// What the run has to keep.
    #[serde(serialize_with = "as_thresholds")]
    pub(crate) thresholds: Vec<Threshold>,
    /// The largest message accepted from the server, in bytes.
    pub message_bytes_max: usize,
    /// One quiet session beside the load that starts this many iterations a second,
    /// to compare its latency with the load's; above 0, at most 1000. `None`: no probe.
    #[serde(rename = "probe_rate_per_sec")]
    pub probe: Option<f64>,
    /// Whether it is measured of each call how its answer comes: its first byte, and the events
    /// of streams.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub streams: bool,
    /// Where each call says which trace it is part of.
    #[serde(skip_serializing_if = "TraceMode::is_off")]
    pub trace: TraceMode,
    /// Which histograms the report keeps.
    pub histograms: HistogramMode,
    /// Makes choices and generated data repeatable.
    pub seed: u64,
    /// Threads and CPUs.
    #[serde(flatten)]
    pub workers: WorkerRule,
    /// An invalid result makes the program fail.
    pub strict: bool,
    /// What this host was calibrated to, for the verdict.
    #[serde(skip)]
    pub reference: Option<Reference>,
    /// What the user should know of how the config was read.
    #[serde(skip)]
    pub notices: Vec<String>,
    /// Values from the environment, and credentials in the address and in arguments.
    #[serde(skip)]
    pub(crate) secrets: Vec<String>,
    /// The files that the rows of data sets are from.
    #[serde(skip)]
    pub(crate) data_files: Vec<PathBuf>,
    /// Neither config nor flag names the seed: each run draws another.
    #[serde(skip)]
    pub(crate) is_seed_drawn: bool,
}

/// Shows what may be shown only.
impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("target", &self.target)
            .field("load", &self.load)
            .field("stop", &self.stop)
            .field("timeout", &self.timeout)
            .field("flows", &self.flows)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

/// The server and how to speak to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Target {
    /// An absolute `http` or `https` URL without user info. Shown with `${NAME}`
    /// for what came from the environment, and `***` for the values of its query.
    pub url: Shown<String>,
    /// Sent with every request, in this order.
    #[serde(serialize_with = "as_names")]
    pub headers: Vec<Header>,
    /// The protocol's era or revision, or finding it.
    #[serde(serialize_with = "as_text")]
    pub protocol: ProtocolChoice,
    /// Whether each user keeps the cookies that the server sets.
    pub cookies: bool,
    /// Whether users wait as long as a 429 or a 503 asks to (`Retry-After`).
    pub respect_retry_after: bool,
    /// Whether each session holds the stream that it may listen on, where the server
    /// offers one.
    pub listen: bool,
    /// What each user of a modern server subscribes to; empty: nothing.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_topics")]
    pub subscribe: Vec<Topic>,
}

impl Target {
    /// Where the requests go, references filled in, for the eyes of the user who
    /// has set the variables: without what may be a credential. `None`: the
    /// address holds no reference.
    pub fn filled_url(&self) -> Option<String> {
        let filled = address::shown(&self.url.value);
        (filled != self.url.shown).then_some(filled)
    }

    /// The server at an address, with no headers of the user. Its era is found
    /// when the run begins.
    ///
    /// # Errors
    /// Where the address is not one that requests can be sent to.
    pub fn new(url: &str) -> Result<Self, UserError> {
        let url = address::check(url)?;
        Ok(Self::checked(Shown {
            shown: address::shown(&url),
            value: url,
        }))
    }

    /// Where the requests go, as a report tells it: the address that is used where the
    /// config has all of it, be it as defaults of references that took effect, and where
    /// the environment says no more than which server it is. Where a part of the path came
    /// from the environment, with `${NAME}` for each such part, and without the default
    /// that did not count.
    pub fn spoken_to(&self) -> String {
        let Shown { value, shown } = &self.url;
        if !shown.contains("${") {
            return shown.clone();
        }
        let used = address::shown(value);
        let named = env::without_defaults(shown);
        if !address::path(&named).contains("${") {
            return used;
        }
        let by_default = env::fill(shown, &|_| None).ok();
        let by_default = by_default.and_then(|filled| address::check(&filled.value).ok());
        match by_default.is_some_and(|url| address::shown(&url) == used) {
            true => used,
            false => named,
        }
    }

    pub(super) fn checked(url: Shown<String>) -> Self {
        Self {
            url,
            headers: Vec::new(),
            protocol: ProtocolChoice::Auto,
            cookies: false,
            respect_retry_after: false,
            listen: true,
            subscribe: Vec::new(),
        }
    }
}

/// Where tokens come from that are fetched before a run and renewed in it.
#[derive(Clone)]
pub struct TokenPlan {
    /// What is asked for them.
    pub origin: TokenOrigin,
    /// The tokens while the run goes on, for whatever takes secrets out of texts.
    pub(crate) live: Arc<LiveSecrets>,
}

/// What is asked for tokens. Texts with templates make one for each user; all others
/// have the same.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum TokenOrigin {
    /// A command line that prints one. It may hold secrets: the program alone is shown.
    Command(String),
    /// The path of a file that holds one.
    File(Shown<String>),
    /// An issuer, by a login that is kept or by what the client itself is.
    OAuth(Box<OAuthWish>),
}

/// As many keep secrets at once without waiting for each other.
pub(crate) const SECRET_SHARDS: usize = 16;

impl TokenPlan {
    /// Tokens from there.
    pub fn new(origin: TokenOrigin) -> Self {
        Self {
            origin,
            live: LiveSecrets::new(SECRET_SHARDS),
        }
    }

    /// Where they come from, in a few words.
    pub fn shown(&self) -> String {
        match &self.origin {
            TokenOrigin::Command(line) => format!("from the command `{}`", shown_program(line)),
            TokenOrigin::File(path) => format!("from the file `{}`", path.shown),
            TokenOrigin::OAuth(wish) => format!("by OAuth, {}", wish.shown()),
        }
    }
}

/// Tokens that come are not part of a plan.
impl PartialEq for TokenPlan {
    fn eq(&self, other: &Self) -> bool {
        self.origin == other.origin
    }
}

/// By the key of the config.
impl Serialize for TokenPlan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_map(Some(1))?;
        match &self.origin {
            TokenOrigin::Command(line) => {
                fields.serialize_entry("command", shown_program(line))?;
            }
            TokenOrigin::File(path) => fields.serialize_entry("file", path)?,
            TokenOrigin::OAuth(wish) => fields.serialize_entry("oauth", &wish.shown())?,
        }
        fields.end()
    }
}

/// The program that a command's line begins with: the rest may hold secrets.
pub(crate) fn shown_program(line: &str) -> &str {
    let is_plain = |word: &&str| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-+/".contains(c);
        word.len() <= 60 && word.chars().all(is_plain)
    };
    let first = line.split_whitespace().next().filter(is_plain);
    let name = first.and_then(|first| Path::new(first).file_name()?.to_str());
    name.unwrap_or("sh")
}

/// How much load, and when.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "model", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Load {
    /// A fixed number of users, each waiting for its answer before it goes on.
    Closed {
        /// At least 1.
        #[serde(rename = "virtual_users")]
        vus: u32,
        /// The users start evenly across this time.
        #[serde(rename = "ramp_up_secs", serialize_with = "as_secs")]
        ramp_up: Duration,
        /// Iterations start at this fixed interval, per user.
        #[serde(rename = "pacing_ms", serialize_with = "as_ms")]
        pacing: Option<Duration>,
    },
    /// Like `Closed`, with a number of users that changes.
    Staged {
        /// Not empty.
        stages: Vec<VuStage>,
        /// Iterations start at this fixed interval, per user.
        #[serde(rename = "pacing_ms", serialize_with = "as_ms")]
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

impl Load {
    /// What it is counted in.
    pub fn unit(&self) -> LoadUnit {
        match self {
            Load::Closed { .. } | Load::Staged { .. } => LoadUnit::Vus,
            Load::Open { .. } => LoadUnit::Rate,
        }
    }

    /// The fixed interval at which each user's iterations start, where there is one.
    pub fn pacing(&self) -> Option<Duration> {
        match self {
            Load::Closed { pacing, .. } | Load::Staged { pacing, .. } => *pacing,
            Load::Open { .. } => None,
        }
    }
}

/// When iterations of the open model start.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Arrivals {
    /// At a constant rate a second, above zero.
    Rate {
        /// Arrivals a second.
        #[serde(rename = "rate_per_sec")]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StopRule {
    /// Time from the start of the load; `None`: only the iterations stop it.
    /// With stages, the sum of their durations.
    #[serde(rename = "duration_secs", serialize_with = "as_secs")]
    pub duration: Option<Duration>,
    /// Iterations of all users of all hosts together; `None`: only the time stops it.
    pub iterations: Option<u64>,
}

/// A class of users, who do the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Population {
    /// What the report calls it; `None`: there is no other, and rows have no population.
    pub name: Option<String>,
    /// Its share of the users and arrivals is weight ÷ sum of weights; above zero.
    pub weight: u32,
    /// Which of the plan's flows they do, by their places: not empty, and some weight of
    /// them is above zero.
    pub flows: Vec<usize>,
    /// What the config calls these, where it names them; empty: all of the plan's.
    pub flow_names: Vec<String>,
    /// The pause between a user's iterations, in place of the plan's.
    pub think: Option<ThinkTime>,
    /// What its users subscribe to, in place of what the plan's target says.
    pub subscribe: Option<Vec<Topic>>,
    /// What its users speak to, and how, in place of the plan's.
    pub target: Option<PopulationTarget>,
}

/// What the users of a population speak to.
#[derive(Debug, Clone, PartialEq)]
pub struct PopulationTarget {
    /// The server, the headers and the protocol.
    pub target: Target,
    /// The plan's tokens go there, where it has any: it is the plan's server, and no
    /// header has a token of its own.
    pub takes_tokens: bool,
    /// The population names its server.
    pub has_url: bool,
}

/// The populations of a plan, at least one, and who of the users is in which.
#[derive(Debug, Clone, PartialEq)]
pub struct Populations {
    all: Vec<Population>,
    deal: Arc<Deal>,
}

impl Populations {
    /// At least one.
    pub fn new(all: Vec<Population>) -> Self {
        let weights: Vec<u32> = all.iter().map(|it| it.weight).collect();
        Self {
            deal: Arc::new(Deal::new(&weights)),
            all,
        }
    }

    /// A single one: all users do all of these flows.
    pub fn everyone(flows: &[Flow]) -> Self {
        Self::new(vec![Population {
            name: None,
            weight: 1,
            flows: (0..flows.len()).collect(),
            flow_names: Vec::new(),
            think: None,
            subscribe: None,
            target: None,
        }])
    }

    /// All, in order.
    pub fn all(&self) -> &[Population] {
        &self.all
    }

    /// How users and arrivals are dealt among them.
    pub(crate) fn deal(&self) -> &Arc<Deal> {
        &self.deal
    }

    /// The share of a population among users and arrivals, 0 to 1.
    pub fn share(&self, population: usize) -> f64 {
        let sum: u64 = self.all.iter().map(|it| u64::from(it.weight)).sum();
        f64::from(self.all[population].weight) / sum.max(1) as f64
    }

    /// Whether the plan names none.
    pub fn is_unnamed(&self) -> bool {
        self.all.iter().all(|it| it.name.is_none())
    }
}

/// Steps in order, in one session: an iteration.
#[derive(Debug, Clone, PartialEq)]
pub struct Flow {
    /// What the report calls it; `None` where the flow is an entry of `[[scenario]]`,
    /// which has one step and no row of its own.
    pub name: Option<String>,
    /// Its share of the iterations is weight ÷ sum of weights. 0: never.
    pub weight: u32,
    /// What a step that fails means for those after it.
    pub on_error: OnError,
    /// Not empty.
    pub steps: Vec<Step>,
}

impl Flow {
    /// These steps, not empty, without a name and with weight 1.
    pub fn new(steps: Vec<Step>) -> Self {
        Self {
            name: None,
            weight: defaults::WEIGHT,
            on_error: OnError::EndIteration,
            steps,
        }
    }

    /// All calls of all steps, in order.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        self.steps.iter().flat_map(|step| &step.calls)
    }
}

/// A flow of one step that makes one call.
impl<A: Into<Shown<Action>>> From<A> for Flow {
    fn from(action: A) -> Self {
        Self::new(vec![Step::new(action)])
    }
}

named! {
    /// What is done when a step has failed.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub enum OnError {
        /// The steps after it are left out.
        #[default]
        EndIteration = "end-iteration",
        /// The steps after it are done all the same.
        Continue = "continue",
        /// The steps after it are left out, and the next iteration has a new session.
        EndSession = "end-session",
    }
    /// What it is called in a config.
    fn word
}

/// One step of a flow: a call, or several at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What the report calls it.
    pub name: Option<String>,
    /// Done in the first iteration of each session only.
    pub is_once: bool,
    /// This many times, one after the other; at least 1.
    pub repeat: u32,
    /// Done again and again, instead, until an answer says enough.
    pub until: Option<Until>,
    /// The pause after it.
    pub think: Option<ThinkTime>,
    /// The same call this many times at once, each on a connection of its own; at
    /// least 1, and 1 where there are several calls.
    pub parallel: u32,
    /// Not empty; several are made at once, each on a connection of its own.
    pub calls: Vec<Call>,
}

impl Step {
    /// A step of one call, done once in each iteration.
    pub fn new(action: impl Into<Shown<Action>>) -> Self {
        Self {
            name: None,
            is_once: false,
            repeat: 1,
            until: None,
            think: None,
            parallel: 1,
            calls: vec![Call::new(action)],
        }
    }

    /// What the row of an operation of one of its calls goes by, as it is shown; `None`:
    /// by the operation alone. The step's name is that of a single one; where several
    /// would share it, each has its own behind it.
    pub fn row_name(&self, call: &Call, shown: &Operation) -> Option<String> {
        let name = call.name.as_ref().or(self.name.as_ref())?;
        let is_code_mode = matches!(call.action.value, Action::CodeMode { .. });
        let is_shared = is_code_mode || call.name.is_none() && self.calls.len() > 1;
        Some(match is_shared {
            true => format!("{name}: {}", template::named(&shown.label())),
            false => name.clone(),
        })
    }

    /// The calls that it makes at once.
    pub fn calls_at_once(&self) -> u64 {
        u64::from(self.parallel.max(1)) * self.calls.len() as u64
    }
}

/// When a step that polls has polled enough.
#[derive(Debug, Clone, PartialEq)]
pub struct Until {
    /// Where in the answer it is said.
    pub source: Source,
    /// What is said there then. Numbers are equal by value.
    pub equals: Value,
    /// The pause between two polls.
    pub every: Duration,
    /// After this many polls the last one fails; at least 1.
    pub at_most: u32,
}

/// One call of a step.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// What the report calls it, in a step of several calls.
    pub name: Option<String>,
    /// What it does. Shown as the user wrote it, with `${NAME}` where a value came
    /// from the environment and `***` for credentials.
    pub action: Shown<Action>,
    /// Its arguments are made from the tool's schema, others each time.
    pub generate: bool,
    /// Where a marker goes that tells whose call it is; `None`: it has none.
    pub isolation: Option<MarkedPlace>,
    /// Its request carries a token by which the server may tell of its progress, and it is
    /// measured how the answer comes.
    pub progress: bool,
    /// Its answer may be a task.
    pub task: bool,
    /// What is taken out of its answer.
    pub extracts: Vec<Extract>,
    /// What is awaited of its answer.
    pub expectations: Expectations,
    /// Where it is written; `None`: neither in a config nor on the command line.
    pub(crate) written: Option<WrittenCall>,
}

impl Call {
    /// A call of which nothing is taken or expected.
    pub fn new(action: impl Into<Shown<Action>>) -> Self {
        Self {
            name: None,
            action: action.into(),
            generate: false,
            isolation: None,
            progress: false,
            task: false,
            extracts: Vec::new(),
            expectations: Expectations::default(),
            written: None,
        }
    }
}

/// What a call does.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
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

/// By the keys of the config: `scenario` has the flows of one step, `flow` those with a
/// name.
fn as_flows<S: Serializer>(flows: &[Flow], serializer: S) -> Result<S::Ok, S::Error> {
    let (named, entries): (Vec<_>, Vec<_>) = flows.iter().partition(|flow| flow.name.is_some());
    let mut fields = serializer.serialize_map(None)?;
    fields.serialize_entry("scenario", &entries)?;
    if !named.is_empty() {
        fields.serialize_entry("flow", &named)?;
    }
    fields.end()
}

/// By the keys of the config.
fn as_populations<S: Serializer>(
    populations: &Populations,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let each = populations.all.iter().enumerate().map(|(at, it)| {
        let own = it.target.as_ref().map(|own| &own.target);
        let mut shown = json!({
            "name": it.name,
            "share": populations.share(at),
            "flows": it.flow_names,
            "think": it.think.as_ref().map(think_json),
            "headers": own.map(|own| own.headers.iter().map(|it| &it.name).collect::<Vec<_>>()),
            "protocol": own.map(|own| own.protocol.to_string()),
            "url": own.filter(|_| has_url(it)).map(|own| &own.url),
        });
        if let Some(topics) = &it.subscribe {
            let topics: Vec<String> = topics.iter().map(Topic::to_string).collect();
            shown["subscribe"] = topics.into();
        }
        shown
    });
    serializer.collect_seq(each)
}

/// When a user ends its session and starts another.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct SessionRule {
    /// After this many iterations; `None`: no bound.
    pub iterations: Option<u64>,
    /// After this time; `None`: no bound.
    #[serde(rename = "lifetime_secs", serialize_with = "as_secs")]
    pub lifetime: Option<Duration>,
    /// The share of sessions left without a DELETE, 0 to 1.
    pub abandon: f64,
}

/// What counts as broken while a ramp runs, and what is done then.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct BreakRule {
    /// Stop the run at the breaking point.
    #[serde(rename = "on_break", serialize_with = "as_on_break")]
    pub stop: bool,
    /// The p99 latency that counts as broken; `None`: three times the baseline.
    #[serde(rename = "break_p99_ms", serialize_with = "as_ms")]
    pub latency_max: Option<Duration>,
    /// The share of failed requests that counts as broken, 0 to 1.
    #[serde(rename = "break_error_share")]
    pub error_share_max: f64,
}

named! {
    /// Which histograms a report keeps.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum HistogramMode {
        /// None: reports cannot be merged or compared.
        Off = "off",
        /// Of the run as a whole.
        Totals = "totals",
        /// Of each second too.
        Seconds = "seconds",
    }
    /// What it is called in a config and on the command line.
    fn word
}

/// Threads and CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WorkerRule {
    /// `None`: the CPUs that this process may use, less one for the
    /// coordinator where there are more than two.
    #[serde(rename = "workers")]
    pub count: Option<usize>,
    /// Pin each worker to its CPU.
    pub pin: bool,
    /// Spin rather than sleep while waiting, for dedicated hosts.
    pub busy_poll: bool,
}

impl Plan {
    /// What 10 users do with a server for 30 seconds, with every other setting at
    /// its default and the seed 0. `flows` must not be empty, and one of their
    /// weights must be above zero.
    pub fn new(target: Target, flows: Vec<Flow>) -> Self {
        Self {
            load: Load::Closed {
                vus: defaults::VUS,
                ramp_up: Duration::ZERO,
                pacing: None,
            },
            network: Arc::default(),
            segment: Segment::WHOLE,
            start_at: None,
            stop: StopRule {
                duration: Some(defaults::DURATION),
                iterations: None,
            },
            warm_up: Duration::ZERO,
            populations: Populations::everyone(&flows),
            flows,
            token: None,
            data: Vec::new(),
            preflight: true,
            think: ThinkTime::None,
            pause_after_call: Duration::ZERO,
            session: SessionRule::default(),
            timeout: defaults::TIMEOUT,
            task_timeout: defaults::TASK_TIMEOUT,
            graceful_stop: defaults::TIMEOUT,
            breaking: BreakRule {
                stop: false,
                latency_max: None,
                error_share_max: defaults::BREAK_ERROR_SHARE,
            },
            thresholds: Vec::new(),
            message_bytes_max: defaults::MESSAGE_BYTES_MAX,
            probe: None,
            streams: false,
            trace: TraceMode::Off,
            histograms: HistogramMode::Seconds,
            seed: 0,
            workers: WorkerRule {
                count: None,
                pin: true,
                busy_poll: false,
            },
            strict: false,
            reference: None,
            notices: Vec::new(),
            secrets: address::secrets(&target.url.value),
            data_files: Vec::new(),
            is_seed_drawn: false,
            target,
        }
    }

    /// The users that a run needs at most, of those in its segment.
    pub fn vus_max(&self) -> u32 {
        self.segment.share_of_users(self.whole_vus_max())
    }

    /// The iterations of its segment after which a run ends, if they end it.
    pub fn iterations(&self) -> Option<u64> {
        let all = self.stop.iterations?;
        Some(self.segment.share(all))
    }

    /// The users that all hosts together need at most.
    pub(crate) fn whole_vus_max(&self) -> u32 {
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
    /// Any number of first users keeps the mix (`load::Deal`).
    pub fn population_of(&self, run_index: u32) -> usize {
        self.populations.deal.part_of(run_index.into())
    }

    /// What the users of a population speak to.
    pub fn target_of(&self, population: usize) -> &Target {
        let own = self.populations.all[population].target.as_ref();
        own.map_or(&self.target, |own| &own.target)
    }

    /// What the users of a population subscribe to.
    pub(crate) fn topics_of(&self, population: usize) -> &[Topic] {
        let own = self.populations.all[population].subscribe.as_ref();
        own.unwrap_or(&self.target.subscribe)
    }

    /// Whether any users subscribe to something.
    pub(crate) fn subscribes(&self) -> bool {
        (0..self.populations.all.len()).any(|at| !self.topics_of(at).is_empty())
    }

    /// Whether sessions may hold a stream beside their calls.
    pub fn may_hold_streams(&self) -> bool {
        self.target.listen || self.subscribes()
    }

    /// Whether those of a population have the plan's tokens, where there are any.
    pub(crate) fn has_tokens(&self, population: usize) -> bool {
        self.token.is_some() && takes_tokens(&self.populations.all[population])
    }

    /// Whether there is anybody who would have them.
    pub(crate) fn takes_tokens(&self) -> bool {
        self.populations.all.iter().any(takes_tokens)
    }

    /// The pause between a user's iterations.
    pub fn think_of(&self, population: usize) -> ThinkTime {
        self.populations.all[population].think.unwrap_or(self.think)
    }

    /// Whether some populations speak to another server than others, or in another
    /// protocol.
    pub fn has_several_targets(&self) -> bool {
        let of = |target: &Target| (target.url.value.clone(), target.protocol);
        let first = self.targets().next().map(of);
        self.targets().any(|target| Some(of(target)) != first)
    }

    /// Whether two populations stand beside each other: each names its server, or their
    /// protocols are not the same.
    pub fn is_ab(&self) -> bool {
        let all = self.populations.all();
        all.len() == 2 && (all.iter().all(has_url) || self.has_several_targets())
    }

    /// What is spoken to, by population.
    pub(crate) fn targets(&self) -> impl Iterator<Item = &Target> {
        (0..self.populations.all.len()).map(|at| self.target_of(at))
    }

    /// The connections that a run opens at once at most, if its sessions hold listening
    /// streams, or not.
    pub fn connections_max(&self, holds_streams: bool) -> u64 {
        self.connections_of(self.vus_max(), holds_streams)
    }

    /// The connections that this number of users opens at once at most.
    pub(crate) fn connections_of(&self, vus: u32, holds_streams: bool) -> u64 {
        let lanes = self.steps().map(Step::calls_at_once).max();
        let lanes = lanes
            .filter(|lanes| *lanes > 1)
            .map_or(1, |lanes| lanes + 1);
        u64::from(vus).saturating_mul(lanes + u64::from(holds_streams))
    }

    /// The steps of all flows, in order.
    pub(crate) fn steps(&self) -> impl Iterator<Item = &Step> {
        self.flows.iter().flat_map(|flow| &flow.steps)
    }

    /// The calls of all flows, in order.
    pub(crate) fn calls(&self) -> impl Iterator<Item = &Call> {
        self.flows.iter().flat_map(Flow::calls)
    }

    /// Whether answers are searched for the markers of other users' calls.
    pub fn is_isolated(&self) -> bool {
        self.calls().any(|call| call.isolation.is_some())
    }

    /// The share of each flow in the iterations of all populations, 0 to 1; each of their
    /// users is taken to be as fast as any other.
    pub(crate) fn mix(&self) -> Vec<f64> {
        let mut shares = vec![0.0; self.flows.len()];
        for (at, population) in self.populations.all.iter().enumerate() {
            let weight = |flow: &usize| f64::from(self.flows[*flow].weight);
            let sum: f64 = population.flows.iter().map(weight).sum();
            for flow in &population.flows {
                shares[*flow] += self.populations.share(at) * weight(flow) / sum.max(1.0);
            }
        }
        shares
    }

    /// Whether iterations have an intended start of their own, so that response
    /// time and service time differ.
    pub fn has_intended_starts(&self) -> bool {
        self.load.unit() == LoadUnit::Rate || self.load.pacing().is_some()
    }

    /// The files that the run reads beside its config: rows, certificates and keys, tokens,
    /// logins. A path that is another one for each user is left out.
    pub fn files_read(&self) -> Vec<PathBuf> {
        let tls = &self.network.tls;
        let of_client = tls.client.iter().flat_map(|(cert, key)| [cert, key]);
        let of_tokens = match self.token.as_ref().map(|token| &token.origin) {
            Some(TokenOrigin::File(path)) if !path.value.contains("{{") => {
                Some(PathBuf::from(&path.value))
            }
            Some(TokenOrigin::OAuth(wish)) => wish.store.clone(),
            _ => None,
        };
        let named = self.data_files.iter().chain(&tls.ca).chain(of_client);
        named.cloned().chain(of_tokens).collect()
    }

    /// The proxy that is named for the server, and whether requests go through it.
    pub fn proxy_use(&self) -> Option<ProxyUse> {
        self.proxy_use_of(&self.target)
    }

    /// The same of what a population speaks to.
    pub(crate) fn proxy_use_of(&self, target: &Target) -> Option<ProxyUse> {
        let (is_https, host, port) = address::authority(&target.url.value)?;
        ProxyUse::of(&self.network.proxy, is_https, &host, port)
    }

    /// Takes out of texts what must never be shown: the values of the headers, the
    /// credentials inside them, what came from the environment, and credentials in the
    /// address and in arguments. Very short ones are left out: to replace each `1` in
    /// a report would hide nothing but the report.
    pub fn redactor(&self) -> Redactor {
        let headers = std::iter::once(&self.target).chain(self.targets());
        let of_headers: Vec<String> = headers
            .flat_map(|target| &target.headers)
            .flat_map(|header| secrets_of_header(&header.name, &literals(&header.value)))
            .collect();
        // Of the others, each user keeps its own known.
        let sets = self.data.iter().filter(|set| !set.has_many_secrets());
        let cells = sets.flat_map(|set| set.secrets());
        let mut texts = Vec::new();
        cells.for_each(|cell| each_text(cell, |text| texts.push(text.to_string())));
        match self.token.as_ref().map(|it| &it.origin) {
            Some(TokenOrigin::Command(line)) => texts.extend(secrets_of_command(line)),
            Some(TokenOrigin::OAuth(wish)) => texts.extend(wish.secrets().map(str::to_string)),
            Some(TokenOrigin::File(_)) | None => {}
        }
        let all = of_headers.iter().chain(&self.secrets).chain(&texts);
        let redactor = Redactor::new(all.map(String::as_str));
        match &self.token {
            Some(token) => redactor.watching(&token.live),
            None => redactor,
        }
    }

    /// The secrets that are too short to be taken out of texts, by where they stand: who
    /// keeps such must know that they are shown.
    pub(super) fn short_secrets(&self) -> Vec<String> {
        let is_short = |text: &str| (1..SECRET_CHARS_MIN).contains(&text.trim().chars().count());
        let mut found = Vec::new();
        let targets = std::iter::once(&self.target).chain(self.targets());
        for header in targets.flat_map(|target| &target.headers) {
            let credentials = literals(&header.value);
            let credentials = credentials.trim().rsplit(' ').next().unwrap_or_default();
            if names_secret(&header.name) && is_short(credentials) {
                let what = format!("the value of the header `{}`", header.name);
                if !found.contains(&what) {
                    found.push(what);
                }
            }
        }
        for set in &self.data {
            for (column, name) in set.columns().iter().enumerate() {
                let rows = 0..if set.is_secret(column) {
                    set.n_rows()
                } else {
                    0
                };
                let is_short = |row: &usize| {
                    let cell = set.cell(*row, column);
                    cell != "null" && is_short(&text_of_cell(cell))
                };
                let n = rows.filter(is_short).count() as u64;
                if n > 0 {
                    let rows = plural(n, "row", "rows");
                    found.push(format!("`{name}` in {rows} of the data set `{}`", set.name));
                }
            }
        }
        let told = |what| {
            format!(
                "{what} has fewer than {SECRET_CHARS_MIN} characters: such a secret is not taken \
                 out of what is shown and written"
            )
        };
        found.into_iter().map(told).collect()
    }
}

fn is_usual_for_tasks(timeout: &Duration) -> bool {
    *timeout == defaults::TASK_TIMEOUT
}

fn has_url(population: &Population) -> bool {
    population.target.as_ref().is_some_and(|own| own.has_url)
}

fn takes_tokens(population: &Population) -> bool {
    let own = population.target.as_ref();
    own.is_none_or(|own| own.takes_tokens)
}

fn is_usual(network: &Network) -> bool {
    network.is_usual()
}

/// What of a canonical text is not a template.
fn literals(canonical: &str) -> String {
    let Ok(text) = template::parse(canonical) else {
        return canonical.to_string();
    };
    let literals = text.pieces().iter().filter_map(|piece| match piece {
        Piece::Literal(literal) => Some(literal.as_str()),
        Piece::Expression(_) => None,
    });
    literals.collect()
}

/// What a cell says: a text without its quotes, anything else as it is.
fn text_of_cell(json: &str) -> Cow<'_, str> {
    serde_json::from_str::<String>(json).map_or(Cow::Borrowed(json), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_shown_and_what_follows_them_is_not() {
        for (line, shown) in [
            ("vault read secret", "vault"),
            ("/usr/bin/gcloud auth print-access-token", "gcloud"),
            ("TOKEN=hunter2 x", "sh"),
            ("", "sh"),
            ("..", "sh"),
        ] {
            assert_eq!(shown_program(line), shown, "{line}");
        }
    }
}
