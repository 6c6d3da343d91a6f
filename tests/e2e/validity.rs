//! Is the result valid? The generator is starved for real: of descriptors, of ports;
//! in `alone` of its core, and of CPU time by a quota. Each run has to name what it
//! suffered from. And servers that are slow, full or dead must not be taken for
//! a generator that is.
//!
//! What a machine does not allow (making a network namespace) is skipped, and says so.

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

pub(crate) fn reasons(report: &Value) -> Vec<(&str, &str)> {
    list(&report["verdict"]["reasons"])
        .iter()
        .filter_map(|reason| Some((reason["id"].as_str()?, reason["grade"].as_str()?)))
        .collect()
}

/// The reason or the note of this name.
pub(crate) fn said<'a>(report: &'a Value, id: &str) -> &'a Value {
    let verdict = &report["verdict"];
    let all = list(&verdict["reasons"])
        .iter()
        .chain(list(&verdict["notes"]));
    let found = all.into_iter().find(|said| said["id"] == id);
    found.unwrap_or_else(|| panic!("no {id} in {verdict:#}"))
}

pub(crate) fn text_of<'a>(report: &'a Value, id: &str) -> &'a str {
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
    share::beside(7);
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

/// Our program with these arguments, begun by a line of shell that ends in
/// `exec "$@"`.
#[cfg(target_os = "linux")]
pub(crate) fn in_shell(line: &str, arguments: &[&str]) -> Program {
    let program = env!("CARGO_BIN_EXE_cargo-pmcp");
    let head = ["-c", line, "sh", program, "loadtest"];
    Program::other("sh", &[&head, arguments].concat())
}

/// Says so, and loudly: a test that silently does nothing is worth nothing.
#[cfg(target_os = "linux")]
pub(crate) fn skipped(what: &str, why: &str) {
    use std::io::Write;
    // Past the capture of the test harness.
    let mut stderr = std::io::stderr();
    let _ = writeln!(stderr, "\nSKIPPED: {what} here ({})\n", why.trim());
}
