//! The probe: what the server saw is the load's calls and the probe's, each
//! counted once; and what its latency says of the load's.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::demo::{ECHO, MS, demo_with_capacity, demo_with_latency, time_echo};
use crate::fake_server::{FakeServer, legacy};
use crate::load_run::{LoadRun, check_report, count, list, load_run, number};
use crate::program::{Finished, Program};
use crate::share;

const STEP: &str =
    "[[scenario]]\ntype = \"tools/call\"\ntool = \"echo\"\narguments = { text = \"hi\" }\n";

/// Calls `echo` with a probe beside, which must end well.
fn run(url: &str, arguments: &[&str]) -> Finished {
    time_echo(url, &[&["--probe"], arguments].concat())
}

/// Runs this config with one step that calls `echo`, which must end well.
fn run_config(url: &str, config: &str) -> Finished {
    run_whole(url, &format!("{config}\n{STEP}"))
}

/// Runs this config as it is, which must end well.
fn run_whole(url: &str, config: &str) -> Finished {
    share::beside(5);
    load_run(url, &[])
        .file(".pmcp/loadtest.toml", config)
        .run()
        .expect_code(0)
}

/// Calls begun by the load and by the probe, those of a warm-up as well.
fn started(report: &Value) -> (u64, u64) {
    let of = |block: &Value, figures: &str| {
        let warm_up = block["warm_up"]["figures"]["started"].as_u64();
        count(&block[figures]["started"]) + warm_up.unwrap_or(0)
    };
    (of(report, "totals"), of(&report["probe"], "figures"))
}

#[test]
fn the_server_saw_the_load_and_the_probe_and_each_is_counted_once() {
    let server = demo_with_latency(5 * MS);
    let report = run(&server.url(), &["--vus", "4", "--iterations", "600"]).checked_report();
    let (of_load, of_probe) = started(&report);
    let stats = server.stop();
    assert_eq!(stats.tool_calls, of_load + of_probe);
    // The probe takes nothing from the iterations, and is in no figure of the load.
    assert_eq!(report["totals"]["ok"], 600);
    assert_eq!(report["counters"]["iterations_completed"], 600);
    assert_eq!(report["run"]["ended"], "iterations");
    assert_eq!(report["run"]["vus_max"], 4);
    let probe = &report["probe"];
    assert!(of_probe >= 1, "{probe:#}");
    assert_eq!(probe["figures"]["failed"], 0);
    assert_eq!(probe["figures"]["latency_from"], "intended_start");
    assert_eq!(probe["counters"]["connections"], 1);
    assert_eq!(report["counters"]["connections"], 4);
    assert!(count(&probe["counters"]["bytes_received"]) > 0);
    assert_eq!(report["handshake"]["ok"], 4);
    assert_eq!(probe["handshake"]["ok"], 1);
    // Tests do not pin, and so there is no CPU that workers leave free.
    assert_eq!(
        (&probe["pinned"], &probe["cpu"]),
        (&false.into(), &Value::Null)
    );
}

#[test]
fn the_probe_keeps_its_pace() {
    let server = demo_with_latency(2 * MS);
    let config = "[settings]\nprobe = \"25/s\"\nvirtual_users = 2\nduration = \"4s\"";
    let finished = run_config(&server.url(), config);
    let report = finished.checked_report();
    let probe = &report["probe"];
    assert_eq!(probe["rate_per_sec"], 25.0);
    // One start in each twenty-fifth of a second, exactly; a noisy machine may
    // be late for the last few.
    let (intended, dropped) = (
        count(&probe["counters"]["arrivals"]),
        count(&probe["counters"]["arrivals_dropped"]),
    );
    assert!((90..=100).contains(&intended), "{probe:#}");
    assert_eq!(started(&report).1, intended - dropped);
    assert!((80..=100).contains(&started(&report).1), "{probe:#}");
    let rate = number(&probe["figures"]["rate_per_sec"]);
    assert!((18.0..=26.0).contains(&rate), "{rate}");
    // Both measure from the first byte sent, beside the intended start.
    let service = number(&probe["figures"]["service_latency"]["p50_ms"]);
    let response = number(&probe["figures"]["latency"]["p50_ms"]);
    assert!(service >= 2.0 && response >= service, "{probe:#}");
    assert!(count(&probe["lateness"]["count"]) > 0);
    for part in ["one session at 25.0/s", "not pinned"] {
        assert!(finished.stdout.contains(part), "{part}: {finished}");
    }
    assert_eq!(report["plan"]["probe_rate_per_sec"], 25.0);
    assert_eq!(server.stop().tool_calls, {
        let (of_load, of_probe) = started(&report);
        of_load + of_probe
    });
}

#[test]
fn the_probe_has_a_session_of_its_own_that_it_ends() {
    let server = demo_with_latency(2 * MS);
    let limits = ["--vus", "3", "--duration", "1500ms", "--protocol", "legacy"];
    let report = run(&server.url(), &limits).checked_report();
    assert_eq!(report["handshake"]["ok"], 3);
    assert_eq!(report["close"]["ok"], 3);
    let probe = &report["probe"];
    assert_eq!(probe["handshake"]["ok"], 1);
    assert_eq!(probe["close"]["ok"], 1);
    assert_eq!(probe["counters"]["sessions_opened"], 1);
    let stats = server.stop();
    assert_eq!(stats.sessions_deleted, stats.sessions_opened);
    let (of_load, of_probe) = started(&report);
    assert_eq!(stats.tool_calls, of_load + of_probe);
    assert!(of_probe >= 5, "{probe:#}");
}

#[test]
fn it_goes_with_arrivals_and_stages_and_a_warm_up() {
    let shapes = [
        "[settings]\nprobe = \"20/s\"\nduration = \"3s\"\nwarm_up = \"1s\"\n\
         [arrivals]\nrate = \"50/s\"\nmax_vus = 10",
        "[settings]\nprobe = \"20/s\"\nwarm_up = \"1s\"\n\
         [[stage]]\ntarget_vus = 4\nduration = \"2s\"\n\
         [[stage]]\ntarget_vus = 1\nduration = \"1s\"",
        "[settings]\nprobe = \"20/s\"\nduration = \"3s\"\nwarm_up = \"1s\"\npacing = \"50ms\"",
    ];
    share::beside(5);
    // They mostly wait.
    thread::scope(|scope| {
        for shape in shapes {
            scope.spawn(move || check_shape(shape));
        }
    });
}

fn check_shape(shape: &str) {
    let server = demo_with_latency(5 * MS);
    let report = run_config(&server.url(), shape).checked_report();
    let (of_load, of_probe) = started(&report);
    assert_eq!(server.stop().tool_calls, of_load + of_probe, "{shape}");
    let probe = &report["probe"];
    let warm_up = count(&probe["warm_up"]["figures"]["started"]);
    assert!((10..=25).contains(&warm_up), "{probe:#}");
    assert!((25..=45).contains(&(of_probe - warm_up)), "{probe:#}");
    // That of the load is counted from its first call on.
    let length = number(&probe["warm_up"]["length_secs"]);
    let of_load = number(&report["warm_up"]["length_secs"]);
    assert!(of_load <= length && of_load > 0.2, "{report:#}");
    assert_eq!(length, 1.0, "{report:#}");
}

#[test]
fn a_fan_out_is_called_one_by_one_in_the_same_mix() {
    let server = demo_with_latency(2 * MS);
    let config = "[settings]\nprobe = \"50/s\"\nvirtual_users = 2\nduration = \"3s\"\n\
         [[scenario]]\ntype = \"tools/list\"\nparallel = 4";
    let report = run_config(&server.url(), config).checked_report();
    assert_eq!(list(&report["turns"]).len(), 1);
    let probe = &report["probe"];
    let of = |label: &str| {
        let mut operations = list(&probe["operations"]).iter();
        let found = operations.find(|operation| operation["label"] == label);
        count(&found.expect("an operation")["figures"]["ok"])
    };
    // Four to one in the load, and so in the probe: 120 of 150.
    let (lists, echoes) = (of("tools/list"), of("tools/call echo"));
    assert!(lists > 2 * echoes && echoes > 0, "{lists} and {echoes}");
    // One connection: nothing was called at once.
    assert_eq!(probe["counters"]["connections"], 1);
    let stats = server.stop();
    assert_eq!(stats.tool_calls, {
        let mut operations = list(&report["operations"]).iter();
        let echo = operations.find(|operation| operation["label"] == "tools/call echo");
        count(&echo.expect("an operation")["figures"]["started"]) + echoes
    });
}

#[test]
fn the_calls_of_a_group_are_called_one_by_one_too() {
    let server = demo_with_latency(2 * MS);
    let config = "[settings]\nprobe = \"20/s\"\nvirtual_users = 2\nduration = \"2s\"\n\
         [[flow]]\nname = \"visit\"\n[[flow.step]]\ntype = \"tools/list\"\n\
         [[flow.step]]\n[[flow.step.call]]\ntype = \"prompts/list\"\n\
         [[flow.step.call]]\ntype = \"resources/list\"";
    let report = run_whole(&server.url(), config).checked_report();
    let counts = |block: &Value| -> Vec<(String, u64)> {
        let operations = list(&block["operations"]).iter();
        let of = |it: &Value| (it["label"].to_string(), count(&it["figures"]["ok"]));
        operations.map(of).collect()
    };
    let (load, probe) = (counts(&report), counts(&report["probe"]));
    let labels = |rows: &[(String, u64)]| rows.iter().map(|it| it.0.clone()).collect::<Vec<_>>();
    assert_eq!(labels(&load), labels(&probe));
    // Each iteration makes one call of each; the last one may be cut off.
    let most = probe.iter().map(|it| it.1).max().unwrap_or(0);
    assert!(
        probe.iter().all(|it| it.1 + 1 >= most) && most > 10,
        "{probe:?}"
    );
    assert_eq!(report["probe"]["counters"]["connections"], 1);
}

#[test]
fn a_queue_in_the_server_is_one_that_the_probe_waits_in_too() {
    // Eight users and one slot of 20 ms: whoever comes waits some 160 ms.
    let server = demo_with_capacity("1/fixed:20ms");
    let config = "[settings]\nprobe = \"4/s\"\nvirtual_users = 8\nduration = \"5s\"";
    let finished = run_config(&server.url(), config);
    let report = finished.checked_report();
    let of_load = number(&report["totals"]["latency"]["p50_ms"]);
    let probe = &report["probe"];
    let of_probe = number(&probe["figures"]["service_latency"]["p50_ms"]);
    assert!(of_load > 120.0, "{finished}");
    assert!(of_probe > 100.0, "{finished}");
    if report["host"]["kernel_timestamps"] == true {
        assert_eq!(probe["finding"]["id"], "server", "{finished}");
    }
}

#[test]
fn bursts_that_wait_behind_each_other_are_told_from_a_slow_server() {
    // Fifty calls of 4 ms at once, twice a second: the last waits for 200 ms, and
    // for more than half of the time there is nobody.
    let server = demo_with_capacity("1/fixed:4ms");
    let config = "[settings]\nprobe = \"10/s\"\nduration = \"6s\"\n\
         [arrivals]\nburst = 50\nevery = \"500ms\"";
    let finished = run_config(&server.url(), config);
    let report = finished.checked_report();
    let probe = &report["probe"];
    assert_eq!(probe["finding"]["id"], "load_waits", "{finished}");
    let text = probe["finding"]["text"].as_str().expect("a text");
    assert!(text.contains("several at once"), "{text}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_signal_leaves_the_counts_of_the_probe_whole() {
    let server = demo_with_latency(40 * MS);
    let arguments = [&ECHO[..], &["--probe", "--vus", "3", "--duration", "50s"]].concat();
    let mut running = load_run(&server.url(), &arguments).spawn();
    running.wait_until("calls came", |_| server.stats().tool_calls >= 60);
    running.signal(Signal::SIGINT);
    let report = running.wait().expect_code(130).checked_report();
    let (of_load, of_probe) = started(&report);
    assert!(of_probe >= 1, "{report:#}");
    assert_eq!(report["probe"]["figures"]["cancelled"], 0);
    assert_eq!(server.stop().tool_calls, of_load + of_probe);
}

#[test]
#[cfg(target_os = "linux")]
fn a_second_signal_cuts_the_probe_off_as_it_does_the_load() {
    let server = FakeServer::on_call(|_, connection| connection.hang());
    let limits = [
        "--tool",
        "work",
        "--probe",
        "--vus",
        "5",
        "--duration",
        "50s",
    ];
    let arguments = [&limits[..], &["--timeout", "30s"]].concat();
    let mut running = load_run(&server.url(), &arguments).spawn();
    running.wait_until("calls came", |_| server.count("tools/call") == 6);
    let began = Instant::now();
    let finished = running.interrupt_twice().expect_code(130);
    assert!(began.elapsed() < Duration::from_secs(5), "{finished}");
    let report = finished.checked_report();
    assert_eq!(report["totals"]["cancelled"], 5);
    assert_eq!(report["probe"]["figures"]["cancelled"], 1);
    // Those that waited for it were never begun.
    let counters = &report["probe"]["counters"];
    assert_eq!(
        count(&counters["arrivals"]),
        1 + count(&counters["arrivals_dropped"])
    );
    assert_eq!(report["probe"]["finding"]["id"], "too_few");
}

#[test]
fn a_server_that_dies_fails_the_probe_s_calls_too() {
    let server = FakeServer::on_call(|request, connection| connection.done(request));
    let limits = [
        "--tool",
        "work",
        "--probe",
        "--vus",
        "2",
        "--duration",
        "4s",
    ];
    let mut running = load_run(&server.url(), &[&limits[..], &["--think", "5ms"]].concat()).spawn();
    running.wait_until("calls came", |_| server.count("tools/call") > 100);
    drop(server);
    let finished = running.wait().expect_code(0);
    let report = finished.checked_report();
    assert!(count(&report["totals"]["failed"]) > 0, "{finished}");
    let figures = &report["probe"]["figures"];
    assert!(count(&figures["ok"]) > 0, "{finished}");
    assert!(count(&figures["failed"]) > 0, "{finished}");
    for cause in list(&figures["failures"]) {
        assert_eq!(cause["group"], "connect", "{finished}");
    }
}

/// Sessions opened before those of the load: to find the server, and to list
/// its tools.
const N_TO_FIND: u64 = 2;

/// Sessions that open before the load are no reason not to listen.
#[test]
#[cfg(target_os = "linux")]
fn a_signal_while_sessions_open_ends_the_run() {
    for extra in [&["--rate", "10/s"][..], &["--probe"]] {
        let n_opened = AtomicU64::new(0);
        let server = FakeServer::start(move |request, connection| {
            let is_opening = request.method() == "initialize";
            if is_opening && n_opened.fetch_add(1, Ordering::SeqCst) >= N_TO_FIND {
                return connection.hang();
            }
            legacy(request, connection)
        });
        let limits = ["--tool", "work", "--timeout", "20s", "--duration", "50s"];
        let arguments = [&limits[..], &["--graceful-stop", "200ms"], extra].concat();
        let mut running = load_run(&server.url(), &arguments).spawn();
        running.wait_until("a session was being opened", |_| {
            server.count("initialize") as u64 > N_TO_FIND
        });
        let began = Instant::now();
        running.signal(Signal::SIGINT);
        let finished = running.wait().expect_code(130);
        assert!(began.elapsed() < Duration::from_secs(10), "{finished}");
        check_report(&finished.report());
    }
}

#[test]
fn the_probe_is_pinned_to_a_cpu_that_no_worker_uses_where_there_is_one() {
    let server = demo_with_latency(2 * MS);
    let limits = ["--workers", "1", "--vus", "2", "--duration", "1s"];
    let words = ["loadtest", "run", &server.url(), "--quiet", "--probe"];
    let report = Program::new(&[&words[..], &limits].concat())
        .run()
        .expect_code(0)
        .checked_report();
    let probe = &report["probe"];
    let worker = &report["host"]["workers"][0];
    let has_two = thread_cpus() >= 2 && worker["pinned"] == true;
    assert_eq!(probe["pinned"], has_two, "{report:#}");
    assert!(!has_two || probe["cpu"] != worker["cpu"], "{report:#}");
    assert_eq!(probe["cpu"].is_u64(), has_two, "{report:#}");
}

/// CPUs that this process, and so the program, may use.
fn thread_cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[test]
fn a_probe_that_is_a_part_of_the_load_is_told() {
    let server = demo_with_latency(MS);
    let finished = run(&server.url(), &["--rate", "10/s", "--duration", "2s"]);
    let report = finished.checked_report();
    let notices = report["notices"].to_string();
    assert!(notices.contains("the probe is not quiet"), "{finished}");
}

#[test]
fn a_search_has_no_probe_and_says_so() {
    let server = demo_with_latency(MS);
    let words = ["loadtest", "find", &server.url(), "--max-p95", "1s"];
    let finished =
        Program::new(&[&words[..], &["--quick", "--deadline", "1s", "--no-pin"]].concat())
            .file(
                ".pmcp/loadtest.toml",
                &format!("[settings]\nprobe = \"10/s\"\n{STEP}"),
            )
            .run();
    assert!(
        finished.stderr.contains("a search has no probe"),
        "{finished}"
    );

    let finished = Program::new(&["loadtest", "find", "http://x/mcp", "--probe"])
        .run()
        .expect_code(2);
    assert!(
        finished.stderr.contains("`--probe` is a flag of `run`"),
        "{finished}"
    );
}

#[test]
fn check_shows_the_probe_and_its_faults() {
    let check = |probe: &str| {
        let config = format!("[settings]\nprobe = \"{probe}\"\n{STEP}");
        Program::new(&["loadtest", "check"])
            .file(".pmcp/loadtest.toml", &config)
            .run()
    };
    let finished = check("5/s").expect_code(0);
    assert!(
        finished.stdout.contains("5.00/s in a session of its own"),
        "{finished}"
    );
    let finished = check("0/s").expect_code(2);
    for part in ["settings.probe", "`0/s`", "at most `1000/s`"] {
        assert!(finished.stderr.contains(part), "{part}: {finished}");
    }
}
