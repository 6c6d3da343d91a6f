//! The blocks that schema 1.1 had, under its names.
//!
//! Latencies were whole milliseconds there and are fractions here; what no
//! request measured was 0 there and is `null` here.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::outcome::LoadUnit;

/// The settings that schema 1.1 named.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigFacts {
    /// The most virtual users that the plan needs.
    pub virtual_users: u32,
    /// How long the run was to last, in whole seconds rounded up; 0 where
    /// only iterations end it.
    pub duration_secs: u64,
    /// The longest that a request could take.
    pub timeout_ms: u64,
    /// Always 0: samples are never invented, so nothing is expected at any
    /// interval.
    pub expected_interval_ms: u64,
    /// The scenario's steps.
    pub scenario: Vec<Value>,
}

/// All calls together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Metrics {
    /// Calls that ended by themselves: `success_count + error_count`. Those
    /// that the end of the run cut off are in `totals.cancelled` alone.
    pub total_requests: u64,
    /// Calls answered with success.
    pub success_count: u64,
    /// Calls that failed.
    pub error_count: u64,
    /// `error_count ÷ total_requests`, 0 to 1; 0 where nothing has ended.
    pub error_rate: f64,
    /// `total_requests ÷ duration_secs`; 0 where nothing has ended.
    pub throughput_rps: f64,
    /// Latency of the calls; see `run.latency_from` for where it begins.
    pub latency: MetricsLatency,
    /// `total_requests` by MCP method.
    pub operation_counts: BTreeMap<String, u64>,
    /// `error_count` by MCP method; a method without any is absent.
    pub operation_errors: BTreeMap<String, u64>,
}

/// Latency of all calls; `null` without data. The first names are those of
/// successful calls, `error_` ones those of failed calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MetricsLatency {
    /// The least.
    pub min_ms: Option<f64>,
    /// The arithmetic mean.
    pub mean_ms: Option<f64>,
    /// The median.
    pub p50_ms: Option<f64>,
    /// 90th percentile.
    pub p90_ms: Option<f64>,
    /// 95th percentile.
    pub p95_ms: Option<f64>,
    /// 99th percentile.
    pub p99_ms: Option<f64>,
    /// 99.9th percentile.
    pub p99_9_ms: Option<f64>,
    /// The greatest.
    pub max_ms: Option<f64>,
    /// Median of the failed calls.
    pub error_p50_ms: Option<f64>,
    /// 95th percentile of the failed calls.
    pub error_p95_ms: Option<f64>,
    /// 99th percentile of the failed calls.
    pub error_p99_ms: Option<f64>,
}

/// The calls of one tool, resource or prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ToolFigures {
    /// Calls that ended by themselves.
    pub total_requests: u64,
    /// Calls answered with success.
    pub success_count: u64,
    /// Calls that failed.
    pub error_count: u64,
    /// `error_count ÷ total_requests`, 0 to 1; 0 where nothing has ended.
    pub error_rate: f64,
    /// Latency of the successful calls.
    pub latency: ToolLatency,
    /// Failed calls by category.
    pub errors: BTreeMap<String, u64>,
}

/// Latency of one tool's successful calls; `null` without any.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ToolLatency {
    /// The median.
    pub p50_ms: Option<f64>,
    /// 95th percentile.
    pub p95_ms: Option<f64>,
    /// 99th percentile.
    pub p99_ms: Option<f64>,
    /// The least.
    pub min_ms: Option<f64>,
    /// The greatest.
    pub max_ms: Option<f64>,
    /// The arithmetic mean.
    pub mean_ms: Option<f64>,
}

/// Where the server broke. Only `detected` is there where it did not.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BreakingPointFacts {
    /// Whether it did.
    pub detected: bool,
    /// Virtual users where it began; absent in the open model, whose load is
    /// a rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vus: Option<u32>,
    /// `saturation`, `errors`, `latency` or `silence`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The evidence, as a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// When it began, RFC 3339, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    /// What the loads are counted in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_unit: Option<LoadUnit>,
    /// The load where it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<f64>,
    /// The last load at which all was well, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_good_load: Option<f64>,
    /// When it began, on the clock of `seconds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_secs: Option<f64>,
    /// When it was noticed, on the same clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noticed_at_secs: Option<f64>,
    /// Saturation: the calls a second that it does not exceed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ceiling_per_sec: Option<f64>,
    /// Errors: the share that failed, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_rate: Option<f64>,
    /// Latency: the limit that was exceeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_ms: Option<f64>,
    /// Latency: the p99 when it broke.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<f64>,
    /// Silence: how long nothing was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silent_secs: Option<f64>,
}
