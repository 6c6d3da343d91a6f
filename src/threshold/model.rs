//! The words of thresholds, and how one came out. They stand in reports as they are
//! here.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::redact::own;
use crate::text::named;

/// Which of a run's calls a threshold is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Selector {
    /// What is named.
    pub kind: SelectorKind,
    /// The tool, prompt or URI as the report's rows have it; the name of a flow or of
    /// a step; of a stage, its number from 1.
    pub name: String,
    /// Of these calls, those of this population alone; absent where all count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub population: Option<String>,
}

impl Selector {
    /// The population that is named, where nothing of it is selected.
    pub fn whole_population(&self) -> Option<&str> {
        (self.kind == SelectorKind::Population).then_some(&self.name)
    }
}

named! {
    /// What a selector names.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    #[non_exhaustive]
    pub enum SelectorKind {
        /// Calls of a tool.
        Tool = "tool",
        /// Reads of a resource.
        Resource = "resource",
        /// Gets of a prompt.
        Prompt = "prompt",
        /// All calls that ended in a stage.
        Stage = "stage",
        /// Iterations of a flow, by the time that their calls took.
        Flow = "flow",
        /// Calls of the steps with a name, in whatever flow.
        Step = "step",
        /// All calls of a population.
        Population = "population",
    }
    /// The word before the colon.
    fn word
}

named! {
    /// How a value must relate to its limit.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
    pub enum Comparison {
        /// Below it.
        #[serde(rename = "<")]
        Below = "<",
        /// Below it or at it.
        #[serde(rename = "<=")]
        AtMost = "<=",
        /// Above it.
        #[serde(rename = ">")]
        Above = ">",
        /// Above it or at it.
        #[serde(rename = ">=")]
        AtLeast = ">=",
        /// The same.
        #[serde(rename = "=")]
        Equal = "=",
        /// Another.
        #[serde(rename = "!=")]
        Unequal = "!=",
    }
    /// The sign as an assertion has it.
    fn sign
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sign())
    }
}

/// What a limit and its value are counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitUnit {
    /// Milliseconds.
    Ms,
    /// 0 to 1.
    Share,
    /// A whole number.
    Count,
    /// Calls a second; of `breaking_point`, arrivals.
    PerSec,
    /// Bytes.
    Bytes,
    /// Virtual users.
    Load,
}

/// What becomes of a run that does not keep a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It fails.
    #[default]
    Fail,
    /// It is warned of.
    Warn,
}

/// How a threshold, or a run by all of them, came out.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum GateGrade {
    /// Kept.
    #[default]
    Passed,
    /// Not kept, and only to be warned of.
    Warned,
    /// Not kept.
    Failed,
}

/// How one threshold came out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ThresholdFigures {
    /// As the user wrote it: `tool:echo p99<200ms`.
    pub text: String,
    /// `null`: it is about the whole run.
    pub selector: Option<Selector>,
    /// What is compared: `p99`, `errors`, `errors.http`.
    #[serde(serialize_with = "own")]
    pub metric: String,
    /// How it has to stand to the limit.
    pub comparison: Comparison,
    /// The limit, in `unit`.
    pub limit: f64,
    /// What `limit`, `value` and `interval` are counted in.
    pub unit: LimitUnit,
    /// What was measured, as precisely as it decided; `null`: there was nothing to
    /// take it from, which is not kept.
    pub value: Option<f64>,
    /// `value` is the least that it can be: calls that had no answer when the run ended had
    /// waited so long. Left out where it is not, and in reports before schema 2.5.
    #[serde(default, skip_serializing_if = "is_false")]
    pub at_least: bool,
    /// It is left to the sum of all segments: the run was one of them, and a rate of the whole
    /// load says nothing of a part. It is then neither kept nor broken, and `passed`. Left out
    /// where it is judged, and in reports before schema 2.5.
    #[serde(default, skip_serializing_if = "is_false")]
    pub deferred: bool,
    /// How far within the limit the value is, as a share of the limit; below 0: so
    /// far beyond it. `null` without a value, where the limit is 0, and for `=` and
    /// `!=`.
    pub margin: Option<f64>,
    /// What becomes of a run that does not keep it.
    pub severity: Severity,
    /// How it came out.
    pub grade: GateGrade,
    /// A percentile of fewer calls than it takes, 1 ÷ (1 − q): it is no more than
    /// the maximum under another name.
    pub few: bool,
    /// Between which values the true one lies, with 95 % confidence, if calls are
    /// independent; `null` where the samples do not allow to say.
    pub interval: Option<[f64; 2]>,
    /// Why it was not kept, where the value does not say it: `no call ended`.
    pub why: Option<String>,
    /// The run was ended early by it.
    pub aborted: bool,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// Whether a run passes, by its thresholds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct GateOutcome {
    /// The worst grade of the thresholds, or failed by `why`.
    pub grade: GateGrade,
    /// Why the run fails whatever its thresholds say: `no call succeeded`, or, where
    /// there are thresholds, `the run was interrupted` or what else cut it off; else `null`.
    pub why: Option<String>,
}

impl GateOutcome {
    /// By the thresholds; a `why` fails the run whatever they say.
    pub fn of(thresholds: &[ThresholdFigures], why: Option<String>) -> Self {
        let worst = thresholds.iter().map(|it| it.grade).max();
        let grade = match why {
            Some(_) => GateGrade::Failed,
            None => worst.unwrap_or_default(),
        };
        Self { grade, why }
    }
}
