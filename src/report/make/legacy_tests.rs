//! A reader of schema 1.1, and what it finds in a report of ours.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use crate::report::samples::{busy_outcome, plan, report};

/// What a reader of schema 1.1 declares, with latencies as fractions. Fields
/// that it does not know, it ignores.
#[derive(Deserialize)]
struct OldReport {
    schema_version: String,
    timestamp: String,
    target_url: String,
    duration_secs: f64,
    config: OldConfig,
    metrics: OldMetrics,
    errors: HashMap<String, u64>,
    per_tool: HashMap<String, OldTool>,
    breaking_point: OldBreakingPoint,
}

#[derive(Deserialize)]
struct OldConfig {
    virtual_users: u32,
    duration_secs: u64,
    timeout_ms: u64,
    expected_interval_ms: u64,
    scenario: Vec<Value>,
}

#[derive(Deserialize)]
struct OldMetrics {
    total_requests: u64,
    success_count: u64,
    error_count: u64,
    error_rate: f64,
    throughput_rps: f64,
    latency: OldLatency,
    operation_counts: HashMap<String, u64>,
    operation_errors: HashMap<String, u64>,
}

#[derive(Deserialize)]
struct OldLatency {
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    error_p50_ms: f64,
    error_p95_ms: f64,
    error_p99_ms: f64,
}

#[derive(Deserialize)]
struct OldTool {
    total_requests: u64,
    success_count: u64,
    error_count: u64,
    error_rate: f64,
    latency: OldToolLatency,
    errors: HashMap<String, u64>,
}

#[derive(Deserialize)]
struct OldToolLatency {
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    min_ms: f64,
    max_ms: f64,
    mean_ms: f64,
}

#[derive(Deserialize)]
struct OldBreakingPoint {
    detected: bool,
    vus: Option<u32>,
    reason: Option<String>,
    detail: Option<String>,
    timestamp: Option<String>,
}

#[test]
fn a_reader_of_schema_1_1_finds_everything() {
    let json = serde_json::to_value(report(&plan(), &busy_outcome())).expect("a report is JSON");
    let old: OldReport = serde_json::from_value(json).expect("the old reader reads it");
    assert_eq!(old.schema_version, "2.5");
    assert_eq!(old.timestamp, "2026-11-23T12:41:37.250Z");
    assert_eq!(old.target_url, "http://127.0.0.1:8080/mcp");
    assert_eq!(old.duration_secs, 30.0);
    assert_eq!(old.config.virtual_users, 50);
    assert_eq!(old.config.duration_secs, 30);
    assert_eq!(old.config.timeout_ms, 5_000);
    assert_eq!(old.config.expected_interval_ms, 0);
    assert_eq!(old.config.scenario[0]["type"], "tools/list");
    let metrics = &old.metrics;
    assert_eq!(
        metrics.total_requests,
        metrics.success_count + metrics.error_count
    );
    assert_eq!((metrics.success_count, metrics.error_count), (6_961, 21));
    assert!((metrics.error_rate - 0.003).abs() < 0.001);
    assert!((metrics.throughput_rps - 232.73).abs() < 0.01);
    let latency = &metrics.latency;
    assert!(latency.p50_ms < latency.p95_ms && latency.p95_ms < latency.p99_ms);
    assert_eq!(latency.error_p50_ms.round(), 2.0);
    assert_eq!((latency.error_p95_ms, latency.error_p99_ms), (9.0, 9.0));
    assert_eq!(metrics.operation_counts["tools/call"], 6_921);
    assert_eq!(metrics.operation_counts["resources/read"], 60);
    assert_eq!(
        metrics.operation_errors,
        HashMap::from([("tools/call".to_string(), 21)])
    );
    assert_eq!(old.errors["http"], 15);
    let echo = &old.per_tool["echo"];
    assert_eq!(
        (echo.total_requests, echo.success_count, echo.error_count),
        (6_015, 6_000, 15)
    );
    assert!(echo.error_rate > 0.0);
    assert_eq!(echo.errors, HashMap::from([("http".to_string(), 15)]));
    let latency = &echo.latency;
    assert!(latency.min_ms < latency.p50_ms && latency.p50_ms < latency.p95_ms);
    assert!(latency.p99_ms <= latency.max_ms && latency.mean_ms < latency.max_ms);
    assert!(old.per_tool.contains_key("file:///daten/übersicht.txt"));
    let point = &old.breaking_point;
    assert!(!point.detected && point.vus.is_none() && point.reason.is_none());
    assert!(point.detail.is_none() && point.timestamp.is_none());
}
