//! Runs of the load tester as the tests make them, and their reports, which
//! are read in one place only: [`LoadRun::checked_report`] refuses every report
//! whose counts do not add up, whatever the test was about.

use serde_json::Value;

use crate::program::{Finished, Program, loadtest};

/// `run URL` with these further arguments: not pinned, since tests share the
/// CPUs, and with nothing on stderr but what matters.
pub(crate) fn load_run(url: &str, arguments: &[&str]) -> Program {
    loadtest(&[&["run", url, "--no-pin", "--quiet"], arguments].concat())
}

/// `run URL --tool work` with these further arguments, as a user types it: pinned, and
/// with all that it says.
pub(crate) fn run_work(url: &str, arguments: &[&str]) -> Program {
    loadtest(&[&["run", url, "--tool", "work"], arguments].concat())
}

/// The report of a run, checked.
pub(crate) trait LoadRun {
    /// The newest report in the default folder; the test fails unless its
    /// counts add up.
    fn checked_report(&self) -> Value;
}

impl LoadRun for Finished {
    #[track_caller]
    fn checked_report(&self) -> Value {
        let report = self.report();
        check_report(&report);
        report
    }
}

/// Fails the test unless the report's counts add up and its percentiles rise.
#[track_caller]
pub(crate) fn check_report(report: &Value) {
    assert_eq!(report["schema_version"], "2.5");
    let duration = number(&report["duration_secs"]);
    check_figures("totals", &report["totals"], duration);
    for name in ["handshake", "close"] {
        // Their rates, too, are per second of load.
        if !report[name].is_null() {
            check_figures(name, &report[name], duration);
        }
    }
    for name in ["operations", "turns"] {
        for operation in list(&report[name]) {
            let label = operation["label"].as_str().expect("a label");
            check_figures(label, &operation["figures"], duration);
            let bytes = &operation["bytes"];
            let is_told = name == "operations" && count(&operation["figures"]["ok"]) > 0;
            assert_eq!(!bytes.is_null(), is_told, "{operation:#}");
            for of in ["request", "answer"].map(|of| &bytes[of]) {
                assert!(
                    !is_told || number(&of["mean"]) <= number(&of["max"]),
                    "{of}"
                );
            }
        }
    }
    for flow in list(&report["flows"]) {
        check_figures("flow", &flow["figures"], duration);
        assert_eq!(flow["busy"]["count"], flow["figures"]["ok"], "{flow:#}");
    }
    check_populations(report, duration);
    for stage in list(&report["stages"]) {
        check_figures("stage", &stage["figures"], number(&stage["length_secs"]));
    }
    for key in ["started", "ok", "failed", "cancelled"] {
        let operations = list(&report["operations"]).iter();
        let sum: u64 = operations
            .map(|operation| count(&operation["figures"][key]))
            .sum();
        assert_eq!(sum, count(&report["totals"][key]), "{key}: {report:#}");
    }
    let warm_up = &report["warm_up"];
    if !warm_up.is_null() {
        check_figures(
            "warm-up",
            &warm_up["figures"],
            number(&warm_up["length_secs"]),
        );
    }
    check_probe(&report["probe"]);
    for key in ["started", "ok", "failed"] {
        let seconds = list(&report["seconds"]).iter();
        let sum: u64 = seconds.map(|second| count(&second[key])).sum();
        // The seconds are the only figures that show the warm-up, too.
        let of_warm_up = warm_up["figures"][key].as_u64().unwrap_or(0);
        assert_eq!(
            sum,
            count(&report["totals"][key]) + of_warm_up,
            "{key} of the seconds: {report:#}"
        );
    }
    check_old_names(report);
    let classes = list(&report["distribution"]).iter();
    let in_classes: u64 = classes.map(|class| count(&class["count"])).sum();
    assert_eq!(in_classes, count(&report["totals"]["ok"]), "{report:#}");
    let over: Vec<u64> = list(&report["over"])
        .iter()
        .map(|limit| count(&limit["count"]))
        .collect();
    assert!(over.is_sorted_by(|a, b| a >= b), "{report:#}");
    assert!(
        over.first().copied().unwrap_or(0) <= in_classes,
        "{report:#}"
    );
    let counters = &report["counters"];
    assert!(
        count(&counters["iterations_completed"]) <= count(&counters["iterations_started"]),
        "{report:#}"
    );
}

/// What populations do adds up to what is done.
#[track_caller]
fn check_populations(report: &Value, duration: f64) {
    let populations = list(&report["populations"]);
    if populations.is_empty() {
        return;
    }
    for field in ["started", "ok", "failed", "cancelled"] {
        let sum = |of: &dyn Fn(&Value) -> u64| populations.iter().map(of).sum::<u64>();
        let calls = sum(&|it| count(&it["figures"][field]));
        assert_eq!(calls, count(&report["totals"][field]), "{field}");
        let handshakes = sum(&|it| count(&it["handshake"][field]));
        assert_eq!(handshakes, count(&report["handshake"][field]), "{field}");
        for (at, stage) in list(&report["stages"]).iter().enumerate() {
            let in_stage = sum(&|it| count(&it["stages"][at][field]));
            assert_eq!(
                in_stage,
                count(&stage["figures"][field]),
                "stage {at}: {field}"
            );
        }
    }
    for it in populations {
        check_figures("population", &it["figures"], duration);
        let name = &it["name"];
        let own = list(&report["operations"]).iter();
        let own = own.filter(|operation| operation["population"] == *name);
        let ok: u64 = own.map(|it| count(&it["figures"]["ok"])).sum();
        assert_eq!(ok, count(&it["figures"]["ok"]), "{name}");
    }
}

/// The probe's own counts; `null` without one.
#[track_caller]
fn check_probe(probe: &Value) {
    if probe.is_null() {
        return;
    }
    let length = number(&probe["length_secs"]);
    check_figures("probe", &probe["figures"], length);
    for name in ["handshake", "close"] {
        if !probe[name].is_null() {
            check_figures(name, &probe[name], length);
        }
    }
    for key in ["started", "ok", "failed", "cancelled"] {
        let operations = list(&probe["operations"]).iter();
        let sum: u64 = operations
            .map(|operation| count(&operation["figures"][key]))
            .sum();
        assert_eq!(sum, count(&probe["figures"][key]), "{key}: {probe:#}");
    }
    let warm_up = &probe["warm_up"];
    if !warm_up.is_null() {
        let length = number(&warm_up["length_secs"]);
        check_figures("probe's warm-up", &warm_up["figures"], length);
    }
}

/// What readers of schema 1.1 find must say the same.
#[track_caller]
fn check_old_names(report: &Value) {
    let (totals, metrics) = (&report["totals"], &report["metrics"]);
    let ended = count(&totals["ok"]) + count(&totals["failed"]);
    assert_eq!(count(&metrics["total_requests"]), ended, "{report:#}");
    assert_eq!(metrics["success_count"], totals["ok"], "{report:#}");
    assert_eq!(metrics["error_count"], totals["failed"], "{report:#}");
    let errors = report["errors"].as_object().expect("a table of errors");
    let n_errors: u64 = errors.values().map(count).sum();
    assert_eq!(n_errors, count(&totals["failed"]), "{report:#}");
}

#[track_caller]
fn check_figures(name: &str, figures: &Value, duration: f64) {
    let [started, ok, failed, cancelled] =
        ["started", "ok", "failed", "cancelled"].map(|key| count(&figures[key]));
    assert_eq!(started, ok + failed + cancelled, "{name}: {figures:#}");
    let ended = (ok + failed) as f64;
    if ended == 0.0 {
        assert!(figures["error_rate"].is_null(), "{name}: {figures:#}");
        assert!(figures["rate_per_sec"].is_null(), "{name}: {figures:#}");
    } else {
        check_close(number(&figures["error_rate"]), failed as f64 / ended, name);
        if duration > 0.0 {
            check_close(number(&figures["rate_per_sec"]), ended / duration, name);
        }
    }
    let causes = list(&figures["failures"]).iter();
    let n_causes: u64 = causes.map(|cause| count(&cause["count"])).sum();
    assert_eq!(n_causes, failed, "{name}: {figures:#}");
    check_latency(name, &figures["latency"], ok);
    check_latency(name, &figures["failed_latency"], failed);
    check_latency(name, &figures["cancelled_age"], cancelled);
}

/// `n` measured, and in order; `null` for none.
#[track_caller]
fn check_latency(name: &str, latency: &Value, n: u64) {
    if latency.is_null() {
        assert_eq!(n, 0, "{name} has no latencies");
        return;
    }
    assert_eq!(count(&latency["count"]), n, "{name}: {latency:#}");
    let keys = [
        "min_ms", "p50_ms", "p90_ms", "p95_ms", "p99_ms", "p99_9_ms", "max_ms",
    ];
    if n == 0 {
        assert!(keys.iter().all(|key| latency[key].is_null()), "{latency:#}");
        return;
    }
    let values = keys.map(|key| number(&latency[key]));
    assert!(values.is_sorted(), "{name}: {latency:#}");
    assert!(values[0] >= 0.0, "{name}: {latency:#}");
    let mean = number(&latency["mean_ms"]);
    // The mean is exact, so it may pass the extremes by rounding only.
    assert!(
        mean >= values[0] * 0.999 && mean <= values[6] * 1.001,
        "{name}: {latency:#}"
    );
}

#[track_caller]
fn check_close(reported: f64, expected: f64, name: &str) {
    assert!(
        (reported - expected).abs() <= expected.abs() * 0.01 + 0.01,
        "{name}: reported {reported}, counts give {expected}"
    );
}

/// A whole number of a report.
#[track_caller]
pub(crate) fn count(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("`{value}` is not a count"))
}

/// A number of a report.
#[track_caller]
pub(crate) fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("`{value}` is not a number"))
}

/// An array of a report.
#[track_caller]
pub(crate) fn list(value: &Value) -> &[Value] {
    value
        .as_array()
        .unwrap_or_else(|| panic!("`{value}` is not an array"))
}

/// What the report advises under this id; the first, where there are several.
pub(crate) fn advice<'a>(report: &'a Value, id: &str) -> Option<&'a str> {
    let mut notes = list(&report["advice"]).iter();
    let note = notes.find(|note| note["id"] == id)?;
    note["text"].as_str()
}

/// The counts by cause, most frequent first.
pub(crate) fn causes(figures: &Value) -> Vec<(String, u64)> {
    list(&figures["failures"])
        .iter()
        .map(|cause| {
            let id = cause["id"].as_str().expect("an id").to_string();
            (id, count(&cause["count"]))
        })
        .collect()
}
