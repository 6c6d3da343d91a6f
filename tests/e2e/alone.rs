//! What needs the machine for itself: the generator is starved by other work on its
//! CPUs, or by a quota.
//!
//! libtest starts tests in the order of their names, so these come first and wait for
//! nobody to end. A machine that lets nobody make a control group skips one, and says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use serde_json::Value;

use crate::demo::{ECHO, demo_with_latency, time_echo};
use crate::load_run::{LoadRun, number};
use crate::program::Program;
use crate::share;
use crate::validity::{in_shell, reasons, said, skipped, text_of};

/// The grade that the bounds of a closed load deserve, by the table of
/// `validity/self_check.md`.
fn grade_by_bounds(report: &Value) -> &'static str {
    let bounds = &report["verdict"]["bounds"];
    let latency = &report["totals"]["latency"];
    let is_part = |name: &str, least_ms: f64, part: f64| {
        let too_high = number(&bounds[format!("service_{name}_ms")]);
        too_high >= least_ms && too_high >= part * number(&latency[format!("{name}_ms")])
    };
    let idle = bounds["idle_share"].as_f64().unwrap_or(0.0);
    if is_part("p50", 1.0, 0.5) || idle >= 2.0 / 3.0 {
        "invalid"
    } else if is_part("p50", 0.25, 0.25) || is_part("p99", 1.0, 0.2) || idle >= 0.2 {
        "suspect"
    } else {
        "valid"
    }
}

#[test]
fn a_hog_on_the_workers_core_is_noticed() {
    share::alone();
    let server = demo_with_latency(Duration::ZERO);
    let cpu = last_cpu();
    let _hogs = [Hog::start(cpu), Hog::start(cpu), Hog::start(cpu)];
    let mut arguments = vec!["loadtest", "run"];
    let url = server.url();
    arguments.extend([
        url.as_str(),
        "--workers",
        "1",
        "--vus",
        "32",
        "--duration",
        "2s",
        "--quiet",
    ]);
    arguments.extend(ECHO);
    let finished = Program::new(&arguments).run().expect_code(0);
    let report = finished.checked_report();
    assert_eq!(report["host"]["workers"][0]["cpu"], cpu, "{finished}");
    // One reason, or a note where the figures hold; and what it was seen by.
    let reason = said(&report, "host_busy");
    assert_eq!(reason["signals"][0]["id"], "waiting_for_cpu", "{finished}");
    let text = text_of(&report, "host_busy");
    assert!(text.contains("other work had it"), "{text}");
    // Where the figures hold all the same it is a note, which has no grade.
    let grade = reason["grade"].as_str().unwrap_or("valid");
    assert_eq!(grade, grade_by_bounds(&report), "{finished}");
    // Its cause stands in the line, and all of it below the figures.
    let cause = reason["cause"].as_str().expect("a cause");
    let first_line = finished.stdout.split("\nverdict     ").nth(1);
    let line = first_line.and_then(|rest| rest.split("\n\n").next());
    let line = line.expect("a verdict").split_whitespace();
    let line = line.collect::<Vec<_>>().join(" ");
    assert!(
        line.contains(cause) || line.contains("more, below") || line.contains("notes below"),
        "{finished}"
    );
    let (_, below) = finished.stdout.split_once("\noperation ").expect("a table");
    assert!(below.contains("waited for a CPU"), "{finished}");
}

/// What a neighbour does is told, and fails nobody, where it changed no figure.
#[test]
fn hogs_beside_an_idle_generator_change_no_figure() {
    share::alone();
    let server = demo_with_latency(Duration::from_millis(300));
    let url = &server.url();
    let _hogs: Vec<Hog> = (0..=last_cpu()).map(Hog::start).collect();
    let check = |load: &[&str]| {
        let arguments = [load, &["--duration", "2s", "--strict"]].concat();
        let finished = time_echo(url, &arguments);
        let report = finished.checked_report();
        assert_eq!(report["verdict"]["grade"], "valid", "{finished}");
        let bounds = &report["verdict"]["bounds"];
        let p99 = number(&report["totals"]["latency"]["p99_ms"]);
        for bound in ["service_p99_ms", "response_p99_ms"] {
            // No response without intended starts.
            let too_high = bounds[bound].as_f64().unwrap_or(0.0);
            assert!(too_high < 0.2 * p99, "{finished}");
        }
        assert!(
            finished.stdout.contains("\nverdict     valid"),
            "{finished}"
        );
    };
    // Each is idle, so they are no hogs to each other.
    thread::scope(|scope| {
        scope.spawn(|| check(&["--vus", "8", "--graceful-stop", "2s"]));
        scope.spawn(|| check(&["--rate", "40/s", "--max-vus", "80"]));
    });
}

#[test]
fn a_quota_that_stops_the_process_is_noticed() {
    // Who has to wait for a CPU besides is stopped by the quota for less of the time. Each
    // may use a tenth of a CPU, so they leave enough to each other.
    share::alone();
    let server = demo_with_latency(Duration::ZERO);
    let url = &server.url();
    let check = |group: &Group, load: &[&str]| {
        let enter = format!(
            "echo $$ > '{}/cgroup.procs' && exec \"$@\"",
            group.folder.display()
        );
        let mut arguments = vec!["run", url, "--duration", "1s", "--no-pin", "--quiet"];
        arguments.extend(load);
        arguments.push("--strict");
        arguments.extend(ECHO);
        let finished = in_shell(&enter, &arguments).run().expect_code(4);
        let report = finished.checked_report();
        assert!(
            reasons(&report).contains(&("throttled", "invalid")),
            "{finished}"
        );
        assert_eq!(report["host"]["quota_cpus"], 0.1, "{finished}");
        let share = number(&report["self_check"]["throttled_share"]);
        assert!((0.1..=1.05).contains(&share), "{finished}");
        assert!(
            text_of(&report, "throttled").contains("raise the quota"),
            "{finished}"
        );
    };
    let groups = [1, 2].map(Group::with_quota_of_a_tenth);
    let [first, second] = match &groups {
        [Ok(first), Ok(second)] => [first, second],
        [Err(why), _] | [_, Err(why)] => {
            return skipped("no control group with a CPU quota can be made", why);
        }
    };
    thread::scope(|scope| {
        // Polling busily it wants the whole CPU, of which it gets far more than a tenth
        // however much else this machine does.
        scope.spawn(|| check(first, &["--vus", "32", "--busy-poll"]));
        // More than a tenth of a CPU can send.
        scope.spawn(|| check(second, &["--rate", "20000/s", "--max-vus", "200"]));
    });
}

/// The CPU that the only worker of a run is pinned to.
fn last_cpu() -> usize {
    let own = sched_getaffinity(Pid::from_raw(0)).expect("an affinity mask");
    let allowed = (0..CpuSet::count()).filter(|cpu| own.is_set(*cpu).unwrap_or(false));
    allowed.max().expect("a CPU")
}

/// A thread that keeps a CPU busy until it is dropped.
struct Hog {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Hog {
    fn start(cpu: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut set = CpuSet::new();
            set.set(cpu).expect("a CPU of this machine");
            sched_setaffinity(Pid::from_raw(0), &set).expect("one of ours");
            while !stopped.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Hog {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A control group of its own, gone when dropped.
struct Group {
    folder: PathBuf,
}

impl Group {
    /// 10 ms of CPU time in each 100 ms, by version 2 or 1, for the group of that number.
    fn with_quota_of_a_tenth(nth: usize) -> Result<Self, String> {
        let text = |error: std::io::Error| error.to_string();
        let name = format!("pmcp-e2e-{}-{nth}", std::process::id());
        let two = Path::new("/sys/fs/cgroup");
        let one = two.join("cpu");
        let controllers = fs::read_to_string(two.join("cgroup.controllers")).unwrap_or_default();
        let is_two = controllers.split_whitespace().any(|name| name == "cpu");
        if is_two {
            // Where it is enabled already, this changes nothing.
            let _ = fs::write(two.join("cgroup.subtree_control"), "+cpu");
        }
        let folder = if is_two {
            two.join(name)
        } else {
            one.join(name)
        };
        fs::create_dir(&folder).map_err(text)?;
        let group = Self { folder };
        if is_two {
            fs::write(group.folder.join("cpu.max"), "10000 100000").map_err(text)?;
        } else {
            fs::write(group.folder.join("cpu.cfs_period_us"), "100000").map_err(text)?;
            fs::write(group.folder.join("cpu.cfs_quota_us"), "10000").map_err(text)?;
        }
        Ok(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Fails only while something still runs in it.
        let _ = fs::remove_dir(&self.folder);
    }
}
