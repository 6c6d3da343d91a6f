//! Is the result valid? The generator is starved for real: of its core, of CPU
//! time by a quota, of descriptors, of ports. Each run has to name what it
//! suffered from. And servers that are slow, full or dead must not be taken for
//! a generator that is.
//!
//! What a machine does not allow (making a control group or a network namespace)
//! is skipped, and says so.

use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::demo::{ECHO, demo_with_capacity, demo_with_latency, run_echo, time_echo};
use crate::load_run::{LoadRun, count, list, load_run, number};
use crate::program::Program;
use crate::share;

/// What a machine that does other work beside the tests causes by itself.
const NOISE: [&str; 7] = [
    "host_busy",
    "worker_stalled",
    "slow_reading",
    "late_starts",
    "behind_schedule",
    "long_loops",
    "steal",
];

fn reasons(report: &Value) -> Vec<(&str, &str)> {
    list(&report["verdict"]["reasons"])
        .iter()
        .filter_map(|reason| Some((reason["id"].as_str()?, reason["grade"].as_str()?)))
        .collect()
}

/// The reason or the note of this name.
fn said<'a>(report: &'a Value, id: &str) -> &'a Value {
    let verdict = &report["verdict"];
    let all = list(&verdict["reasons"])
        .iter()
        .chain(list(&verdict["notes"]));
    let found = all.into_iter().find(|said| said["id"] == id);
    found.unwrap_or_else(|| panic!("no {id} in {verdict:#}"))
}

fn text_of<'a>(report: &'a Value, id: &str) -> &'a str {
    said(report, id)["text"].as_str().expect("a text")
}

/// No reason is given but these, and what the machine's other work
/// really did to it, which the self-check must then have seen.
#[track_caller]
fn check_not_blamed(report: &Value, expected: &[&str]) {
    // The CPU was taken from a worker, or it waited for one: other work was there.
    let is_noisy = list(&report["self_check"]["workers"]).iter().any(|worker| {
        let waited = worker["run_delay_share"].as_f64().unwrap_or(0.0);
        let switches = worker["involuntary_switches"].as_u64().unwrap_or(0);
        waited >= 0.005 || switches >= 10
    });
    for (id, _) in reasons(report) {
        let is_noise = is_noisy && NOISE.contains(&id);
        assert!(
            expected.contains(&id) || is_noise,
            "{id}: {:#}\n{:#}",
            report["verdict"],
            report["self_check"]
        );
    }
    for id in expected {
        text_of(report, id);
    }
}

/// The figures of the self-check are there and possible.
#[track_caller]
fn check_self_check(report: &Value, users: f64) {
    let check = &report["self_check"];
    for worker in list(&check["workers"]) {
        let busy = number(&worker["busy_share"]);
        assert!((0.0..=1.01).contains(&busy), "{check:#}");
    }
    let in_flight = &check["in_flight"];
    let (mean, most) = (number(&in_flight["mean"]), number(&in_flight["max"]));
    assert!(mean <= most && most <= users, "{check:#}");
    // Little's law: what was counted explains all latencies.
    let by_latency = number(&in_flight["by_latency"]);
    let whole = number(&in_flight["mean_whole"]);
    assert!(by_latency <= 1.05 * whole + 0.5, "{check:#}");
    let reads = &check["reads"];
    assert!(
        count(&reads["kernel"]) + count(&reads["user_space"]) > 0,
        "{check:#}"
    );
    assert_eq!(check["clock_steps"], 0, "{check:#}");
}

#[test]
fn an_ordinary_run_is_not_blamed_and_shows_its_self_check() {
    let server = demo_with_latency(Duration::from_millis(20));
    let finished = time_echo(&server.url(), &["--vus", "8", "--duration", "2s"]);
    let report = finished.checked_report();
    check_not_blamed(&report, &[]);
    check_self_check(&report, 8.0);
    let mean = number(&report["self_check"]["in_flight"]["mean"]);
    assert!(mean > 4.0, "users without pauses: {report:#}");
    assert!(finished.stdout.contains("\nverdict  "), "{finished}");
    assert!(finished.stdout.contains("\nin flight "), "{finished}");
    #[cfg(target_os = "linux")]
    {
        assert_eq!(report["host"]["kernel_timestamps"], true);
        assert!(number(&report["self_check"]["workers"][0]["cpu_share"]) > 0.0);
    }
    let seconds = list(&report["seconds"]);
    assert!(number(&seconds[0]["in_flight_mean"]) > 4.0, "{report:#}");
    assert!(number(&seconds[0]["busy_share"]) > 0.0, "{report:#}");
    assert!(!report["loop_time"].is_null());
}

#[test]
fn a_slow_server_is_not_blamed_on_the_generator() {
    share::third();
    let check = |load: &[&str]| {
        let server = demo_with_latency(Duration::from_millis(400));
        let words = [load, &["--duration", "2s"]].concat();
        check_not_blamed(&time_echo(&server.url(), &words).checked_report(), &[]);
    };
    // They mostly wait.
    thread::scope(|scope| {
        scope.spawn(|| check(&["--vus", "60"]));
        scope.spawn(|| check(&["--rate", "100/s", "--max-vus", "100"]));
    });
}

#[test]
fn arrivals_that_a_full_server_drops_are_told_and_blame_nobody() {
    let server = demo_with_capacity("4/fixed:20ms");
    let open = ["--rate", "600/s", "--max-vus", "12", "--duration", "3s"];
    let report = time_echo(&server.url(), &open).checked_report();
    check_not_blamed(&report, &[]);
    let text = text_of(&report, "arrivals_dropped");
    assert!(
        text.contains("the server is slower than the rate"),
        "{text}"
    );
    assert!(list(&report["notices"]).is_empty(), "said once: {report:#}");
}

#[test]
fn a_server_that_dies_is_not_blamed_on_the_generator() {
    let server = demo_with_latency(Duration::from_millis(5));
    let arguments = ["--vus", "8", "--duration", "3s"];
    let mut running = load_run(&server.url(), &[&ECHO[..], &arguments].concat()).spawn();
    running.wait_until("calls are made", |_| server.stats().tool_calls > 200);
    server.stop();
    let report = running.wait().expect_code(0).checked_report();
    assert!(count(&report["totals"]["failed"]) > 0, "{report:#}");
    check_not_blamed(&report, &[]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_run_out_of_descriptors_names_them_and_fails_where_the_user_is_strict() {
    let server = demo_with_latency(Duration::from_millis(5));
    let url = server.url();
    let limited = |strict: &[&str]| {
        let arguments = ["--vus", "100", "--duration", "2s", "--no-pin", "--quiet"];
        in_shell(
            "ulimit -n 64; exec \"$@\"",
            &[&["run", &url], &ECHO[..], &arguments, strict].concat(),
        )
    };
    let finished = limited(&["--strict"]).run().expect_code(4);
    let report = finished.checked_report();
    assert!(
        reasons(&report).contains(&("no_local_resources", "invalid")),
        "{finished}"
    );
    let text = text_of(&report, "no_local_resources");
    assert!(text.contains("ran out of open files"), "{text}");
    assert!(text.contains("never had a session"), "{text}");
    assert_eq!(report["verdict"]["grade"], "invalid");
    assert!(
        finished
            .stdout
            .contains("\nverdict     invalid: this machine ran out of open files"),
        "{finished}"
    );
    // The rest of the load was made, and the others' figures are right.
    assert!(count(&report["totals"]["ok"]) > 100, "{finished}");
    let lenient = limited(&[]).run().expect_code(0).checked_report();
    assert_eq!(lenient["verdict"]["grade"], "invalid");
}

#[test]
#[cfg(target_os = "linux")]
fn a_run_out_of_ports_names_them() {
    // A network of its own, in which only twenty ports may be used: for the
    // server's listener and the clients.
    let in_network = "ip link set lo up && \
                      echo '40000 40019' > /proc/sys/net/ipv4/ip_local_port_range && exec \"$@\"";
    let probe = Program::other("unshare", &["-n", "sh", "-c", in_network, "sh", "true"]).run();
    if probe.code != Some(0) {
        return skipped("no network namespace can be made", &probe.stderr);
    }
    let program = env!("CARGO_BIN_EXE_cargo-pmcp");
    let mut arguments = vec![
        "-n", "sh", "-c", in_network, "sh", program, "loadtest", "run",
    ];
    arguments.extend([
        "--demo",
        "--vus",
        "60",
        "--duration",
        "2s",
        "--no-pin",
        "--quiet",
    ]);
    arguments.extend(ECHO);
    let finished = Program::other("unshare", &arguments).run().expect_code(0);
    let report = finished.checked_report();
    assert!(
        reasons(&report).contains(&("no_local_resources", "invalid")),
        "{finished}"
    );
    let text = text_of(&report, "no_local_resources");
    assert!(text.contains("ran out of local ports"), "{text}");
}

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
#[cfg(target_os = "linux")]
fn a_hog_on_the_workers_core_is_noticed() {
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
#[cfg(target_os = "linux")]
fn hogs_beside_an_idle_generator_change_no_figure() {
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

/// A run in which no call ended has no answer, whoever is to blame.
#[test]
fn a_run_without_an_ended_call_is_not_valid() {
    let server = demo_with_latency(Duration::from_secs(60));
    let load = ["--vus", "3", "--duration", "1s", "--graceful-stop", "0s"];
    let never = [&load[..], &["--timeout", "3s", "--strict"]].concat();
    let arguments = [&ECHO[..], &never].concat();
    let finished = load_run(&server.url(), &arguments).run().expect_code(4);
    let report = finished.checked_report();
    assert_eq!(reasons(&report), [("no_calls", "invalid")], "{finished}");
    assert!(
        text_of(&report, "no_calls").contains("3 were cut off"),
        "{finished}"
    );
    let line = "\nverdict     invalid: no call has ended";
    assert!(finished.stdout.contains(line), "{finished}");
    // Calls that time out have ended: those figures are the server's.
    let times_out = [&load[..], &["--timeout", "200ms", "--strict"]].concat();
    let report = run_echo(&server.url(), &times_out).checked_report();
    assert!(count(&report["totals"]["failed"]) > 0, "{report:#}");
    check_not_blamed(&report, &[]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_quota_that_stops_the_process_is_noticed() {
    // Who has to wait for a CPU besides is stopped by the quota for less of the time. Each
    // may use a tenth of a CPU, so they leave enough to each other.
    share::whole();
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

/// Our program with these arguments, begun by a line of shell that ends in
/// `exec "$@"`.
#[cfg(target_os = "linux")]
fn in_shell(line: &str, arguments: &[&str]) -> Program {
    let program = env!("CARGO_BIN_EXE_cargo-pmcp");
    let head = ["-c", line, "sh", program, "loadtest"];
    Program::other("sh", &[&head, arguments].concat())
}

/// Says so, and loudly: a test that silently does nothing is worth nothing.
#[cfg(target_os = "linux")]
fn skipped(what: &str, why: &str) {
    use std::io::Write;
    // Past the capture of the test harness.
    let mut stderr = std::io::stderr();
    let _ = writeln!(stderr, "\nSKIPPED: {what} here ({})\n", why.trim());
}

/// The CPU that the only worker of a run is pinned to.
#[cfg(target_os = "linux")]
fn last_cpu() -> usize {
    use nix::sched::{CpuSet, sched_getaffinity};
    let own = sched_getaffinity(nix::unistd::Pid::from_raw(0)).expect("an affinity mask");
    let allowed = (0..CpuSet::count()).filter(|cpu| own.is_set(*cpu).unwrap_or(false));
    allowed.max().expect("a CPU")
}

/// A thread that keeps a CPU busy until it is dropped.
#[cfg(target_os = "linux")]
struct Hog {
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

#[cfg(target_os = "linux")]
impl Hog {
    fn start(cpu: usize) -> Self {
        share::whole();
        use nix::sched::{CpuSet, sched_setaffinity};
        use std::sync::atomic::{AtomicBool, Ordering};
        let stop = std::sync::Arc::new(AtomicBool::new(false));
        let stopped = std::sync::Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut set = CpuSet::new();
            set.set(cpu).expect("a CPU of this machine");
            sched_setaffinity(nix::unistd::Pid::from_raw(0), &set).expect("one of ours");
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

#[cfg(target_os = "linux")]
impl Drop for Hog {
    fn drop(&mut self) {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A control group of its own, gone when dropped.
#[cfg(target_os = "linux")]
struct Group {
    folder: std::path::PathBuf,
}

#[cfg(target_os = "linux")]
impl Group {
    /// 10 ms of CPU time in each 100 ms, by version 2 or 1, for the group of that number.
    fn with_quota_of_a_tenth(nth: usize) -> Result<Self, String> {
        use std::fs;
        let text = |error: std::io::Error| error.to_string();
        let name = format!("pmcp-e2e-{}-{nth}", std::process::id());
        let two = std::path::Path::new("/sys/fs/cgroup");
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

#[cfg(target_os = "linux")]
impl Drop for Group {
    fn drop(&mut self) {
        // Fails only while something still runs in it.
        let _ = std::fs::remove_dir(&self.folder);
    }
}
