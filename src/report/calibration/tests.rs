//! The report, its text, and its way to a later run.

use super::samples::{report, report_of};
use super::*;
use crate::error::ErrorKind;
use crate::report::{Format, Json, ReportFile, Reported, SummaryOptions, Text, read};
use crate::validity::Reference;
use serde_json::{Value, json};
use std::path::PathBuf;

/// A folder of its own, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("pmcp-calibration-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn write(&self, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join("calibration.json");
        std::fs::write(&path, content).expect("a file");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn what_was_written_is_read() {
    let folder = Folder::new("round");
    let path = folder.0.join("c.json");
    let file = ReportFile::open(&path).expect("opens");
    let json = crate::terminal::in_memory(false, |out| Json::default().write(report().any(), out));
    file.commit(json).expect("writes");
    let whole: CalibrationReport = read(&path).expect("a calibration");
    assert_eq!(whole, report());
    let read = read_calibration(&path).expect("a calibration");
    assert_eq!(Some(&read), report().samples().as_ref());
    let expected = Reference {
        calls_per_sec_per_worker: 51_200.0,
        latency_noise_p50_ns: 40_000,
        latency_noise_p99_ns: 90_000,
        lateness_p99_ns: 180_000,
    };
    assert_eq!(read.normal, expected);
    let expected = Reference {
        calls_per_sec_per_worker: 50_900.0,
        latency_noise_p50_ns: 30_000,
        latency_noise_p99_ns: 55_000,
        lateness_p99_ns: 29_000,
    };
    assert_eq!(read.busy_poll, expected);
}

#[test]
fn what_is_no_calibration_is_said() {
    let folder = Folder::new("bad");
    let good = serde_json::to_value(report()).expect("JSON");
    let check = |content: Value, part: &str| {
        let path = folder.write(content.to_string());
        let error = read_calibration(&path).expect_err("no calibration");
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.what().contains(part), "{error}");
        assert!(error.what().contains("calibration.json"), "{error}");
        assert!(error.hints()[0].contains("calibrate"), "{error}");
    };
    let with = |pointer: &str, value: Value| {
        let mut changed = good.clone();
        *changed.pointer_mut(pointer).expect("a field") = value;
        changed
    };
    check(json!([1, 2]), "is not a calibration");
    check(json!({}), "is not a calibration");
    check(json!({"schema_version": "2.0"}), "the report of a run");
    check(with("/kind", json!("find")), "its kind is `find`");
    check(with("/schema_version", json!("2.0")), "reads `1.0`");
    check(with("/schema_version", json!(1)), "schema version");
    check(with("/normal/closed", json!("many")), "not a whole");
    check(with("/normal/lateness", Value::Null), "missing");
    check(with("/busy_poll/latency_noise", Value::Null), "missing");
    check(
        with("/normal/calls_per_sec_per_worker", json!(0)),
        "missing",
    );
    check(with("/normal/lateness/p99_ms", json!(-1.0)), "missing");
    check(with("/complete", json!(false)), "missing");
    let mut newer = with("/schema_version", json!("1.7"));
    newer["more"] = json!(1);
    assert_eq!(
        newer["kind"], "calibration",
        "a newer minor version adds fields only"
    );

    let error = read_calibration(&folder.write("{")).expect_err("no JSON");
    assert!(error.what().contains("is not a calibration"), "{error}");
    let error = read_calibration(&folder.0.join("none.json")).expect_err("no file");
    assert!(error.what().contains("no such file"), "{error}");
    assert!(read_calibration(&folder.0).is_err(), "a folder");
}

#[test]
fn another_host_is_noticed() {
    let made = report().samples().expect("whole");
    let misfits_of = |change: &dyn Fn(&mut CalibratedHost)| {
        let mut here = made.host.clone();
        change(&mut here);
        let found = misfits(&made, &here, "1.2.3");
        let texts = found
            .iter()
            .map(|misfit| (misfit.text(), misfit.is_other_host));
        texts.collect::<Vec<_>>()
    };
    assert_eq!(misfits_of(&|_| {}), []);
    assert_eq!(
        misfits_of(&|here| here.cpu_model = Some("Slow CPU".to_string())),
        [("CPU model: Fast CPU then, Slow CPU now".to_string(), true)]
    );
    assert_eq!(
        misfits_of(&|here| here.quota_cpus = Some(0.2)),
        [("CPU quota: none then, 0.2 CPUs now".to_string(), true)]
    );
    assert_eq!(
        misfits_of(&|here| {
            here.cpus = Some(8);
            here.kernel = Some("Linux 6.2".to_string());
        }),
        [
            ("number of CPUs: 2 then, 8 now".to_string(), true),
            ("kernel: Linux 6.1 then, Linux 6.2 now".to_string(), false)
        ]
    );
    assert_eq!(
        misfits_of(&|here| here.cpu_model = None),
        [],
        "unknown differs in nothing"
    );
    let newer = misfits(&made, &made.host, "1.3.0");
    assert_eq!(newer.len(), 1);
    assert!(!newer[0].is_other_host && newer[0].text().contains("1.3.0"));
}

#[test]
fn advice_follows_from_the_figures() {
    let ids = |outcome: &CalibrationOutcome| -> Vec<String> {
        let advice = report_of(outcome).advice;
        advice.into_iter().map(|note| note.id).collect()
    };
    let mut outcome = samples::outcome();
    assert_eq!(ids(&outcome), ["virtual_machine", "busy_poll_pays"]);
    outcome.host.is_virtual = Some(false);
    outcome.open[2].lateness = Some(samples::spread(6, 100));
    assert_eq!(ids(&outcome), [""; 0], "less than twice as exact");
    outcome.closed[1].server_cpu_share = Some(0.97);
    outcome.closed[1].worker_busy_share = Some(0.7);
    outcome.closed[3].failed = 10;
    let report = report_of(&outcome);
    assert_eq!(ids(&outcome), ["calls_failed", "server_limited"]);
    assert!(report.advice[1].text.contains("51,200/s"), "{report:?}");
    // Without any call there is no share of failed ones.
    outcome.closed[3].failed = 0;
    outcome.closed[3].ok = 0;
    assert_eq!(ids(&outcome), ["server_limited"]);
    assert!(!report_of(&outcome).is_disturbed());
    outcome.closed[1].server_cpu_share = None;
    outcome.open[3].disturbed_share = Some(0.45);
    assert_eq!(ids(&outcome), ["disturbed"]);
    let report = report_of(&outcome);
    assert_eq!(report.disturbed_share, Some(0.45));
    assert!(report.is_disturbed());
    assert!(report.advice[0].text.contains("45%"), "{report:?}");
}

fn text(report: &CalibrationReport, width: usize) -> String {
    let options = SummaryOptions {
        layout: crate::terminal::Layout::terminal(width),
        report_path: Some("/tmp/calibration.json".to_string()),
        ..SummaryOptions::endless()
    };
    let lines = Text(options).lines(report.any());
    let lines: Vec<String> = lines.iter().map(crate::terminal::Line::text).collect();
    lines.join("\n")
}

#[test]
fn the_summary_says_what_one_worker_can_do() {
    let text = text(&report(), 100);
    let expected = "\
host        Fast CPU, 2 CPUs, virtual machine, Linux 6.1
generator   one worker on CPU 1, canned server on CPU 0
duration    20.5s

one worker  highest rate  noise p50      p99  lateness p50      p99
normal          51,200/s    40.0 us  90.0 us       52.0 us   180 us
busy-poll       50,900/s    30.0 us  55.0 us       6.00 us  29.0 us

closed model  VUs  calls/s  CPU/call  busy  server      p50      p99    p99.9
normal          1   12,000   19.3 us   98%     41%  40.0 us  90.0 us   180 us
normal         64   51,200   19.3 us   98%     41%  1.10 ms  2.40 ms  4.80 ms
busy-poll       1   21,000         -   98%     41%  30.0 us  55.0 us   110 us
busy-poll      64   50,900         -   98%     41%  1.09 ms  2.30 ms  4.60 ms

open model  arrivals  dropped  lateness p50      p99      max
normal       1,000/s        0       52.0 us   180 us  1.80 ms
normal      10,000/s        0       7.00 us   116 us  1.16 ms
busy-poll    1,000/s        0       6.00 us  29.0 us   290 us
busy-poll   10,000/s        0       4.00 us  22.0 us   220 us
";
    assert!(text.starts_with(expected), "{text}");
    assert!(
        text.contains("advice      this is a virtual machine"),
        "{text}"
    );
    assert!(text.contains("report      /tmp/calibration.json"), "{text}");
}

#[test]
fn what_is_missing_is_shown_as_such() {
    let mut outcome = samples::outcome();
    outcome.ended = CalibrationEnded::Interrupted;
    outcome.closed.truncate(1);
    outcome.closed[0].cpu_ns_per_call = None;
    outcome.closed[0].server_cpu_share = None;
    outcome.open.clear();
    outcome.allowed_cpus = vec![0];
    outcome
        .notices
        .push("this system allows only 10 connections".to_string());
    let report = report_of(&outcome);
    assert_eq!(report.samples(), None);
    assert_eq!(report.busy_poll.calls_per_sec_per_worker, None);
    for width in [30, 60, 80, 200] {
        let text = text(&report, width);
        assert!(text.contains("only CPU"), "{text}");
        assert!(!text.contains("open model"), "{text}");
        let wide = text.lines().filter(|line| !line.contains("/tmp"));
        assert!(
            wide.clone().all(|line| line.chars().count() <= width),
            "{text}"
        );
    }
    let text = text(&report, 100);
    assert!(text.contains("interrupted"), "{text}");
    assert!(text.contains("notice      this system"), "{text}");
}
