//! Load shapes as the program really makes them: stages, arrivals, bursts,
//! thinking, churn, calls at once, warm-up, and the breaking point. What was
//! planned is compared with the report and with what the server itself saw.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pmcp_loadtest::demo::DemoOptions;
use serde_json::Value;

use crate::demo::{ECHO, MS, demo, demo_with_capacity, demo_with_latency, run_echo, time_echo};
use crate::fake_server::FakeServer;
use crate::load_run::{LoadRun, causes, count, list, load_run, number};
use crate::program::Finished;
use crate::share;

/// Runs this config with one step that calls `echo`, which must end well.
fn run_config(url: &str, config: &str, arguments: &[&str]) -> Finished {
    let step =
        "[[scenario]]\ntype = \"tools/call\"\ntool = \"echo\"\narguments = { text = \"hi\" }";
    run_exact_config(url, &format!("{config}\n{step}\n"), arguments)
}

/// Runs this config as it is, which must end well.
fn run_exact_config(url: &str, config: &str, arguments: &[&str]) -> Finished {
    share::beside(7);
    load_run(url, arguments)
        .file(".pmcp/loadtest.toml", config)
        .run()
        .expect_code(0)
}

/// A value of each second.
fn by_second(report: &Value, key: &str) -> Vec<u64> {
    let seconds = list(&report["seconds"]).iter();
    seconds.map(|second| count(&second[key])).collect()
}

/// The summary with every run of white space as one blank: it wraps lines.
fn words(finished: &Finished) -> String {
    let words: Vec<&str> = finished.stdout.split_whitespace().collect();
    words.join(" ")
}

#[track_caller]
fn check_within(what: &str, value: f64, low: f64, high: f64) {
    assert!(
        (low..=high).contains(&value),
        "{what}: {value} is not within {low} to {high}"
    );
}

/// The stages' calls together are all calls, each with its share of the time.
#[track_caller]
fn check_stages(report: &Value, expected: &[(f64, f64, f64)]) {
    let stages = list(&report["stages"]);
    assert_eq!(stages.len(), expected.len(), "{stages:#?}");
    let mut at_secs = 0.0;
    for (stage, &(length, from, to)) in stages.iter().zip(expected) {
        check_within("a start", number(&stage["at_secs"]), at_secs, at_secs + 0.6);
        let real_length = number(&stage["length_secs"]);
        check_within("a length", real_length, length - 0.6, length + 1.0);
        assert_eq!(stage["load_from"], from, "{stage:#}");
        assert_eq!(stage["load_to"], to, "{stage:#}");
        assert!(count(&stage["figures"]["ok"]) > 0, "{stage:#}");
        at_secs += length;
    }
    for key in ["started", "ok", "failed"] {
        let sum: u64 = stages.iter().map(|s| count(&s["figures"][key])).sum();
        assert_eq!(sum, count(&report["totals"][key]), "{key} of the stages");
    }
}

#[test]
fn stages_raise_hold_and_lower_the_users() {
    let server = demo_with_latency(10 * MS);
    let limits = ["--stage", "2s:10,1s:10,1s:0", "--protocol", "legacy"];
    let finished = time_echo(&server.url(), &limits);
    let report = finished.checked_report();
    // From the first call on, which a ramp from 0 begins a little later.
    check_within("the length", number(&report["duration_secs"]), 3.4, 5.0);
    check_stages(
        &report,
        &[(2.0, 0.0, 10.0), (1.0, 10.0, 10.0), (1.0, 10.0, 0.0)],
    );
    let vus = by_second(&report, "vus");
    assert!((4..=7).contains(&vus[0]), "{vus:?}");
    assert!((9..=10).contains(&vus[1]), "{vus:?}");
    assert_eq!(vus[2], 10, "{vus:?}");
    assert!(vus[3..].iter().all(|&vus| vus <= 2), "{vus:?}");
    assert_eq!(report["run"]["vus_max"], 10);
    assert_eq!(report["run"]["ended"], "duration");
    // Who leaves finishes his iteration, and ends his session.
    assert_eq!(report["totals"]["cancelled"], 0);
    assert_eq!(report["totals"]["failed"], 0);
    assert_eq!(report["handshake"]["ok"], 10);
    assert_eq!(report["close"]["ok"], 10);
    let stats = server.stop();
    assert_eq!(stats.sessions_deleted, stats.sessions_opened);
    assert_eq!(stats.tool_calls, count(&report["totals"]["ok"]));
    let words = words(&finished);
    for row in ["1 0 → 10 VUs", "2 10 → 10 VUs", "3 10 → 0 VUs"] {
        assert!(words.contains(row), "{row}: {finished}");
    }
}

#[test]
fn users_come_back_after_a_valley() {
    let server = demo_with_latency(10 * MS);
    let limits = [
        "--stage",
        "1s:6,1s:0,1s:6",
        "--protocol",
        "legacy",
        "--workers",
        "2",
    ];
    let report = time_echo(&server.url(), &limits).checked_report();
    let vus = by_second(&report, "vus");
    assert!(vus[0] >= 5 && vus[1] <= 1 && vus[2] >= 5, "{vus:?}");
    let started = by_second(&report, "started");
    assert!(started[2] > 50, "{started:?}");
    let stats = server.stop();
    assert!(stats.sessions_opened >= 11, "{}", stats.sessions_opened);
    assert_eq!(stats.sessions_deleted, stats.sessions_opened);
}

#[test]
fn iterations_end_a_staged_run() {
    let server = demo_with_latency(10 * MS);
    let limits = ["--stage", "5s:5,20s:5", "--iterations", "50"];
    let report = time_echo(&server.url(), &limits).checked_report();
    assert_eq!(report["run"]["ended"], "iterations");
    assert_eq!(report["totals"]["ok"], 50);
    assert_eq!(server.stop().tool_calls, 50);
    assert!(number(&report["duration_secs"]) < 4.0, "{report:#}");
    assert_eq!(list(&report["stages"]).len(), 1, "only one had begun");
}

#[test]
fn what_contradicts_stages_and_arrivals_is_refused() {
    let cases: [(&[&str], &str); 7] = [
        (&["--stage", "2s:5", "--duration", "5s"], "--duration"),
        (&["--stage", "2s:5", "--vus", "5"], "--vus"),
        (&["--stage", "2s:5", "--ramp-up", "1s"], "--ramp-up"),
        (&["--stage", "2s:5", "--rate", "5/s"], "--stage"),
        (&["--rate", "5/s", "--vus", "5"], "--vus"),
        (&["--rate", "5/s", "--think", "5ms"], "--think"),
        (&["--stage", "2s:0"], "--stage"),
    ];
    let server = demo_with_latency(MS);
    for (arguments, flag) in cases {
        let finished = load_run(&server.url(), &[&ECHO, arguments].concat())
            .run()
            .expect_code(2);
        assert!(finished.stderr.contains(flag), "{flag}: {finished}");
    }
    assert_eq!(server.stop().requests, 0);
}

#[test]
fn a_flat_run_ramps_up_and_then_holds() {
    let server = demo_with_latency(10 * MS);
    let config = "[settings]\nvirtual_users = 8\nramp_up = \"2s\"\nduration = \"3s\"";
    let finished = run_config(&server.url(), config, &[]);
    let report = finished.checked_report();
    let vus = by_second(&report, "vus");
    assert!((3..=5).contains(&vus[0]), "{vus:?}");
    assert!((7..=8).contains(&vus[1]), "{vus:?}");
    assert_eq!(vus[2], 8, "{vus:?}");
    assert!(list(&report["stages"]).is_empty());
    assert!(words(&finished).contains("ramp-up 2s"), "{finished}");
}

#[test]
fn arrivals_start_by_the_schedule_and_count_from_it() {
    let server = demo_with_latency(20 * MS);
    let limits = ["--rate", "100/s", "--duration", "3s", "--workers", "1"];
    let finished = time_echo(&server.url(), &limits);
    let report = finished.checked_report();
    let counters = &report["counters"];
    check_within(
        "arrivals",
        count(&counters["arrivals"]) as f64,
        299.0,
        301.0,
    );
    assert_eq!(counters["iterations_started"], counters["arrivals"]);
    assert_eq!(counters["iterations_completed"], counters["arrivals"]);
    assert_eq!(counters["arrivals_dropped"], 0);
    assert_eq!(server.stop().tool_calls, count(&counters["arrivals"]));
    for second in &by_second(&report, "started")[..3] {
        assert!((85..=115).contains(second), "{report:#}");
    }
    assert_eq!(report["run"]["latency_from"], "intended_start");
    let totals = &report["totals"];
    assert_eq!(totals["latency_from"], "intended_start");
    let headline = number(&report["metrics"]["latency"]["p50_ms"]);
    assert_eq!(headline, number(&totals["latency"]["p50_ms"]));
    let service = number(&totals["service_latency"]["p50_ms"]);
    check_within("service", service, 19.9, 35.0);
    for key in ["p50_ms", "p90_ms", "max_ms"] {
        let response = number(&totals["latency"][key]);
        // Never less than the service, but for a histogram's rounding.
        assert!(
            response >= number(&totals["service_latency"][key]) * 0.998,
            "{key}"
        );
    }
    assert_eq!(
        report["lateness"]["count"], counters["iterations_started"],
        "{finished}"
    );
    for label in ["arrivals", "lateness"] {
        assert!(finished.stdout.contains(label), "{label}: {finished}");
    }
}

#[test]
fn rates_per_minute_are_rates() {
    let server = demo_with_latency(5 * MS);
    let limits = ["--rate", "1200/m", "--duration", "2s"];
    let report = time_echo(&server.url(), &limits).checked_report();
    let n_arrivals = count(&report["counters"]["arrivals"]);
    assert!((39..=41).contains(&n_arrivals), "{n_arrivals}");
}

/// Gaps between the calls' arrivals at the server, in ms, ascending in time.
fn gaps_ms(server: &FakeServer) -> Vec<f64> {
    let log = server.log_of("tools/call");
    log.windows(2)
        .map(|pair| (pair[1].at - pair[0].at).as_secs_f64() * 1e3)
        .collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// The standard deviation by the mean: 0 of equal values, 1 of an exponential.
fn variation(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares: Vec<f64> = values.iter().map(|v| (v - mean).powi(2)).collect();
    self::mean(&squares).sqrt() / mean
}

/// Two workers with a schedule each would send pairs at 20 ms.
#[test]
fn workers_share_one_schedule() {
    share::beside(7);
    let check = |workers| {
        let server = FakeServer::on_call(|request, connection| connection.done(request));
        let limits = [
            "--tool",
            "work",
            "--rate",
            "100/s",
            "--duration",
            "2s",
            "--workers",
            workers,
            "--max-vus",
            "20",
        ];
        let report = load_run(&server.url(), &limits)
            .run()
            .expect_code(0)
            .checked_report();
        let n_calls = server.count("tools/call");
        assert!((199..=201).contains(&n_calls), "{n_calls}");
        assert_eq!(count(&report["counters"]["arrivals"]), n_calls as u64);
        let median = median(&gaps_ms(&server));
        check_within("the gaps' median", median, 7.0, 13.0);
    };
    // They mostly wait.
    thread::scope(|scope| {
        for workers in ["2", "3"] {
            scope.spawn(move || check(workers));
        }
    });
}

#[test]
fn poisson_arrivals_scatter_and_repeat_with_the_seed() {
    let poisson = |seed: &str| {
        let server = FakeServer::on_call(|request, connection| connection.done(request));
        let config = "[settings]\nduration = \"3s\"\n\
             [arrivals]\nrate = \"150/s\"\ndistribution = \"poisson\"\nmax_vus = 20\n\
             [[scenario]]\ntype = \"tools/call\"\ntool = \"work\"";
        let report = run_exact_config(&server.url(), config, &["--seed", seed]).checked_report();
        let n_arrivals = count(&report["counters"]["arrivals"]);
        assert_eq!(server.count("tools/call") as u64, n_arrivals);
        (n_arrivals, gaps_ms(&server))
    };
    let [first, again, other] = thread::scope(|scope| {
        ["7", "7", "8"]
            .map(|seed| scope.spawn(move || poisson(seed)))
            .map(|run| run.join().expect("a run"))
    });
    // Of 450 with a standard deviation of 21: five of them.
    for (n_arrivals, gaps) in [&first, &again, &other] {
        check_within("arrivals", *n_arrivals as f64, 345.0, 555.0);
        check_within("the gaps' variation", variation(gaps), 0.75, 1.35);
    }
    assert_eq!(first.0, again.0);
    let difference = |a: &[f64], b: &[f64]| {
        let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| (a - b).abs()).collect();
        median(&differences)
    };
    let same = difference(&first.1, &again.1);
    let different = difference(&first.1, &other.1);
    assert!(same < different / 2.0, "{same} ms, {different} ms");
}

/// The pool of users is one, whatever number of workers they are on: three arrivals at once
/// are served at once by three users.
#[test]
fn arrivals_wait_for_no_worker_while_users_are_free() {
    let server = demo_with_latency(200 * MS);
    let bursts = "[settings]\nduration = \"1900ms\"\n[arrivals]\nburst = 3\nevery = \"400ms\"\n\
                  max_vus = 3\nqueue_max = 0";
    let finished = run_config(&server.url(), bursts, &["--workers=2"]);
    let report = finished.checked_report();
    assert_eq!(report["counters"]["arrivals"], 15, "{finished}");
    assert_eq!(report["counters"]["arrivals_dropped"], 0, "{finished}");
    // Two of one worker's arrivals behind one user would take 400 ms.
    let p50 = number(&report["totals"]["latency"]["p50_ms"]);
    check_within("p50", p50, 200.0, 350.0);
}

#[test]
fn stages_of_arrivals_ramp_the_rate() {
    let server = demo_with_latency(10 * MS);
    let config = "[arrivals]\nmax_vus = 20\n\
         [[stage]]\ntarget_rate = \"100/s\"\nduration = \"2s\"\n\
         [[stage]]\ntarget_rate = \"100/s\"\nduration_secs = 1\n\
         [[stage]]\ntarget_rate = \"0/s\"\nduration = \"1s\"";
    let finished = run_config(&server.url(), config, &["--workers", "2"]);
    let report = finished.checked_report();
    check_stages(
        &report,
        &[(2.0, 0.0, 100.0), (1.0, 100.0, 100.0), (1.0, 100.0, 0.0)],
    );
    for stage in list(&report["stages"]) {
        assert_eq!(stage["load_unit"], "arrivals_per_sec");
    }
    // 100 up, 100 flat, 50 down.
    let n_arrivals = count(&report["counters"]["arrivals"]);
    assert!((247..=253).contains(&n_arrivals), "{n_arrivals}");
    assert_eq!(server.stop().tool_calls, n_arrivals);
    let started = by_second(&report, "started");
    for (second, expected) in started.iter().zip([25_u64, 75, 100, 50]) {
        assert!(second.abs_diff(expected) <= 15, "{started:?}");
    }
    assert!(words(&finished).contains("2 100 → 100/s"), "{finished}");
}

#[test]
fn a_stalled_server_shows_in_response_times_and_dropped_arrivals() {
    let server = demo_with_capacity("1/fixed:100ms");
    let config = "[settings]\nduration = \"3s\"\n\
         [arrivals]\nrate = \"50/s\"\nmax_vus = 2\nqueue_max = 5";
    let finished = run_config(&server.url(), config, &["--workers", "1"]);
    let report = finished.checked_report();
    let counters = &report["counters"];
    let [n_arrivals, n_dropped, n_started] =
        ["arrivals", "arrivals_dropped", "iterations_started"].map(|key| count(&counters[key]));
    assert!((149..=151).contains(&n_arrivals), "{n_arrivals}");
    // Ten a second are served, two are under way, five wait.
    assert!((100..=125).contains(&n_dropped), "{n_dropped}");
    assert_eq!(
        n_arrivals,
        n_dropped + n_started,
        "none is lost: {counters:#}"
    );
    assert_eq!(server.stop().tool_calls, n_started);
    let in_seconds: u64 = by_second(&report, "dropped").iter().sum();
    assert_eq!(in_seconds, n_dropped);
    let totals = &report["totals"];
    let response = number(&totals["latency"]["p50_ms"]);
    let service = number(&totals["service_latency"]["p50_ms"]);
    check_within("service", service, 150.0, 260.0);
    check_within("response", response, 500.0, 1000.0);
    // That they waited for a free user is the server's doing, not ours.
    assert!(number(&report["lateness"]["p50_ms"]) < 50.0, "{finished}");
    let said = words(&finished);
    assert!(said.contains(&format!("{n_dropped} dropped")), "{finished}");
    // It was the server that was slower than the rate: told, and no blame.
    let mut notes = list(&report["verdict"]["notes"]).iter();
    assert!(
        notes.any(|note| note["id"] == "arrivals_dropped"),
        "{finished}"
    );
}

#[test]
fn bursts_come_all_at_once() {
    share::beside(10);
    // They mostly wait.
    thread::scope(|scope| {
        for workers in ["1", "2"] {
            scope.spawn(move || check_bursts(workers));
        }
    });
}

fn check_bursts(workers: &str) {
    let server = demo_with_latency(100 * MS);
    let config = "[settings]\nduration = \"3500ms\"\n\
         [arrivals]\nburst = 10\nevery = \"1s\"\nmax_vus = 20";
    let finished = run_config(&server.url(), config, &["--workers", workers]);
    let report = finished.checked_report();
    assert_eq!(report["counters"]["arrivals"], 40);
    assert_eq!(report["counters"]["iterations_completed"], 40);
    let started = by_second(&report, "started");
    let is_even = started.iter().take(4).all(|n| (9..=11).contains(n));
    assert!(is_even, "{started:?}");
    let stats = server.stop();
    assert_eq!(stats.tool_calls, 40);
    assert_eq!(stats.in_flight_max, 10, "{finished}");
    assert!(
        words(&finished).contains("bursts of 10 every 1s"),
        "{finished}"
    );
}

/// What comes after the last iteration that is wanted was wanted by nobody, whether users
/// are free by then or arrivals wait for them.
#[test]
fn no_arrival_after_the_last_iteration_is_missed() {
    share::beside(7);
    for (latency, max_vus) in [(Duration::ZERO, "10"), (20 * MS, "2")] {
        let server = demo_with_latency(latency);
        let arguments = [
            "--rate=500/s",
            "--iterations=60",
            "--duration=20s",
            "--max-vus",
            max_vus,
        ];
        let finished = run_config(&server.url(), "", &arguments);
        let report = finished.checked_report();
        let counters = &report["counters"];
        assert_eq!(counters["iterations_completed"], 60, "{finished}");
        assert_eq!(server.stop().tool_calls, 60);
        let dropped = count(&counters["arrivals_dropped"]);
        assert_eq!(count(&counters["arrivals"]), 60 + dropped, "{counters:#}");
        if latency.is_zero() {
            assert_eq!(dropped, 0, "{counters:#}");
        }
    }
}

/// Eight users who think 90 ms on average and are served in 10 ms.
#[track_caller]
fn check_thinking(think: &str, tolerance: f64) {
    let server = demo_with_latency(10 * MS);
    let config =
        format!("[settings]\nvirtual_users = 8\nduration = \"3s\"\nseed = 5\nthink = {think}");
    let finished = run_config(&server.url(), &config, &[]);
    let report = finished.checked_report();
    let rate = number(&report["totals"]["rate_per_sec"]);
    check_within(
        "rate",
        rate,
        80.0 * (1.0 - tolerance),
        80.0 * (1.0 + tolerance),
    );
    // Nobody is late for an iteration that starts after thinking.
    assert_eq!(report["totals"]["latency_from"], "sent");
    let p50 = number(&report["totals"]["latency"]["p50_ms"]);
    check_within("latency", p50, 9.9, 30.0);
    assert_eq!(server.stop().tool_calls, count(&report["totals"]["ok"]));
}

#[test]
fn users_think_as_long_as_told() {
    let uniform = r#"{ distribution = "uniform", low = "30ms", high = "150ms" }"#;
    let exponential = r#"{ distribution = "exponential", mean = "90ms" }"#;
    // Its mean is the median times 1.133.
    let lognormal = r#"{ distribution = "lognormal", median = "79.4ms", sigma = 0.5 }"#;
    let cases = [
        ("\"90ms\"", 0.15),
        (uniform, 0.2),
        (exponential, 0.3),
        (lognormal, 0.25),
    ];
    thread::scope(|scope| {
        for (think, tolerance) in cases {
            scope.spawn(move || check_thinking(think, tolerance));
        }
    });
}

#[test]
fn thinking_repeats_with_the_seed() {
    let gaps = |seed: &str| {
        let server = FakeServer::on_call(|request, connection| connection.done(request));
        let config = "[settings]\nvirtual_users = 1\niterations = 20\n\
             think = { distribution = \"exponential\", mean = \"100ms\" }\n\
             [[scenario]]\ntype = \"tools/call\"\ntool = \"work\"";
        run_exact_config(&server.url(), config, &["--seed", seed]).checked_report();
        gaps_ms(&server)
    };
    let [first, again, other] = thread::scope(|scope| {
        ["7", "7", "8"]
            .map(|seed| scope.spawn(move || gaps(seed)))
            .map(|run| run.join().expect("a run"))
    });
    let difference = |a: &[f64], b: &[f64]| {
        let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| (a - b).abs()).collect();
        median(&differences)
    };
    assert_eq!(first.len(), 19);
    let (same, different) = (difference(&first, &again), difference(&first, &other));
    assert!(same < 10.0 && different > 20.0, "{same} ms, {different} ms");
}

#[test]
fn paced_users_start_at_intervals() {
    let server = demo_with_latency(10 * MS);
    let config = "[settings]\nvirtual_users = 3\nduration = \"3s\"\npacing = \"200ms\"";
    let finished = run_config(&server.url(), config, &[]);
    let report = finished.checked_report();
    let n_calls = server.stop().tool_calls;
    assert!((42..=48).contains(&n_calls), "{n_calls}");
    assert_eq!(report["totals"]["latency_from"], "intended_start");
    assert_eq!(report["lateness"]["count"], n_calls);
    assert!(
        words(&finished).contains("an iteration every 200ms"),
        "{finished}"
    );
}

/// One answer takes a second: nine more were due meanwhile, and are late.
#[test]
fn a_stall_shows_in_every_paced_iteration_that_it_delayed() {
    share::one_part();
    let n_calls = AtomicU64::new(0);
    let server = FakeServer::on_call(move |request, connection| {
        if n_calls.fetch_add(1, Ordering::SeqCst) == 5 {
            let began = Instant::now();
            connection.wait_until(|| began.elapsed() > 1000 * MS);
        }
        connection.done(request)
    });
    let limits = [
        "--tool",
        "work",
        "--vus",
        "1",
        "--pacing",
        "100ms",
        "--duration",
        "3s",
    ];
    let report = load_run(&server.url(), &limits)
        .run()
        .expect_code(0)
        .checked_report();
    let totals = &report["totals"];
    // None is left out.
    check_within("calls", count(&totals["ok"]) as f64, 28.0, 31.0);
    // A tenth is 3 of 30: 1000, 900, 800; one alone was slow.
    let response = number(&totals["latency"]["p90_ms"]);
    check_within("response", response, 600.0, 1000.0);
    let service = number(&totals["service_latency"]["p90_ms"]);
    assert!(service < 100.0, "{service}");
    assert!(number(&totals["service_latency"]["max_ms"]) >= 1000.0);
    // Waiting for the server is not lateness of ours.
    assert!(number(&report["lateness"]["max_ms"]) < 500.0);
}

#[test]
fn the_old_interval_is_a_pause_after_each_call() {
    let server = demo_with_latency(10 * MS);
    let config = "[settings]\nvirtual_users = 2\nduration_secs = 2\ntimeout_ms = 5000\n\
         request_interval_ms = 90";
    let report = run_config(&server.url(), config, &[]).checked_report();
    // One in 100 ms each.
    let n_calls = server.stop().tool_calls;
    assert!((34..=42).contains(&n_calls), "{n_calls}");
    assert_eq!(report["totals"]["latency_from"], "sent");
    let p50 = number(&report["totals"]["latency"]["p50_ms"]);
    check_within("latency without the pause", p50, 9.9, 40.0);
}

/// Runs with sessions, and gives what the report says was opened and ended,
/// and what the server left.
fn churn(settings: &str) -> (u64, u64, u64) {
    let server = demo_with_latency(5 * MS);
    let config = format!("[settings]\n{settings}");
    let finished = run_config(&server.url(), &config, &["--protocol", "legacy"]);
    let report = finished.checked_report();
    let n_opened = count(&report["handshake"]["ok"]);
    let n_closed = count(&report["close"]["ok"]);
    assert_eq!(report["totals"]["failed"], 0, "{finished}");
    assert_eq!(report["handshake"]["failed"], 0, "{finished}");
    assert_eq!(report["counters"]["sessions_opened"], n_opened);
    assert_eq!(report["counters"]["sessions_reopened"], 0);
    let stats = server.stop();
    assert_eq!(stats.tool_calls, count(&report["totals"]["ok"]));
    let n_left = stats.sessions_opened - stats.sessions_deleted;
    // Whatever the search for the server opened, it ended.
    assert_eq!(n_left, n_opened - n_closed, "{finished}");
    (n_opened, n_closed, n_left)
}

#[test]
fn sessions_end_after_their_iterations() {
    let (n_opened, n_closed, n_left) =
        churn("virtual_users = 4\niterations = 100\nsession = { iterations = 5 }");
    // One more where a user had opened it before the others took the rest.
    assert!((20..=27).contains(&n_opened), "{n_opened}");
    assert_eq!((n_closed, n_left), (n_opened, 0));
}

#[test]
fn sessions_end_after_their_lifetime() {
    let (n_opened, n_closed, n_left) =
        churn("virtual_users = 2\nduration = \"2200ms\"\nsession = { lifetime = \"500ms\" }");
    assert!((8..=10).contains(&n_opened), "{n_opened}");
    assert_eq!((n_closed, n_left), (n_opened, 0));
}

#[test]
fn sessions_may_be_abandoned_all_or_in_part() {
    let (n_opened, n_closed, n_left) = churn(
        "virtual_users = 4\niterations = 100\nsession = { iterations = 5, leave = \"abandon\" }",
    );
    assert!((20..=27).contains(&n_opened), "{n_opened}");
    // Those of the run's end are ended.
    assert!(n_closed <= 4, "{n_closed}");
    assert!(n_left >= 16, "{n_left}");

    let (n_opened, _, n_left) = churn(
        "virtual_users = 4\niterations = 400\nsession = { iterations = 2, leave = { abandon = 0.5 } }",
    );
    assert!((200..=204).contains(&n_opened), "{n_opened}");
    // Half of 200 with a standard deviation of 7: five of them.
    assert!((65..=135).contains(&n_left), "{n_left}");
}

#[test]
fn a_session_of_arrivals_ends_as_well() {
    let server = demo_with_latency(5 * MS);
    let config = "[settings]\nduration = \"2s\"\nsession = { iterations = 5 }\n\
         [arrivals]\nrate = \"100/s\"\nmax_vus = 4";
    let report = run_config(&server.url(), config, &["--protocol", "legacy"]).checked_report();
    let n_opened = count(&report["handshake"]["ok"]);
    assert!((40..=44).contains(&n_opened), "{n_opened}");
    assert_eq!(report["counters"]["arrivals_dropped"], 0);
    let n_arrivals = count(&report["counters"]["arrivals"]);
    let stats = server.stop();
    assert_eq!(stats.sessions_deleted, stats.sessions_opened);
    assert!((199..=201).contains(&n_arrivals), "{n_arrivals}");
    assert_eq!(stats.tool_calls, n_arrivals);
}

#[test]
fn a_step_calls_several_times_at_once() {
    let server = demo(DemoOptions {
        latency: "exponential:40ms".parse().expect("a latency"),
        ..DemoOptions::default()
    });
    let config = "[settings]\nvirtual_users = 1\niterations = 25\n\
         [[scenario]]\ntype = \"tools/call\"\ntool = \"echo\"\narguments = { text = \"hi\" }\n\
         parallel = 4";
    let finished = run_exact_config(&server.url(), config, &["--protocol", "legacy"]);
    let report = finished.checked_report();
    assert_eq!(report["totals"]["ok"], 100);
    assert_eq!(report["counters"]["iterations_completed"], 25);
    assert_eq!(report["handshake"]["ok"], 1, "one session");
    let stats = server.stop();
    assert_eq!(stats.in_flight_max, 4, "{finished}");
    assert_eq!(stats.tool_calls, 100);
    assert!(stats.connections_open_max >= 4, "{finished}");
    assert_eq!(stats.sessions_deleted, stats.sessions_opened);
    let turns = list(&report["turns"]);
    assert_eq!(turns.len(), 1, "{turns:#?}");
    let turn = &turns[0]["figures"];
    assert_eq!(turn["ok"], 25);
    let call = &report["operations"][0]["figures"]["latency"];
    // The slowest of four exponential ones takes 2.08 means.
    let (of_turn, of_call) = (
        number(&turn["latency"]["mean_ms"]),
        number(&call["mean_ms"]),
    );
    assert!(of_turn > of_call * 1.5, "{of_turn} ms, {of_call} ms");
    let slowest = number(&turn["latency"]["max_ms"]);
    assert!(slowest >= number(&call["max_ms"]) * 0.998, "{finished}");
    assert!(
        finished.stdout.to_lowercase().contains("turn"),
        "{finished}"
    );
}

#[test]
fn a_failed_call_fails_its_turn() {
    let n_calls = AtomicU64::new(0);
    let server = FakeServer::on_call(move |request, connection| {
        if n_calls.fetch_add(1, Ordering::SeqCst) % 4 == 1 {
            return connection.answer(500, &[("Content-Type", "text/plain")], "no");
        }
        connection.done(request)
    });
    let config = "[settings]\nvirtual_users = 1\niterations = 10\n\
         [[scenario]]\ntype = \"tools/call\"\ntool = \"work\"\nparallel = 4";
    let report = run_exact_config(&server.url(), config, &[]).checked_report();
    assert_eq!(report["totals"]["ok"], 30);
    assert_eq!(causes(&report["totals"]), [("http.500".to_string(), 10)]);
    let turn = &report["turns"][0]["figures"];
    assert_eq!((count(&turn["ok"]), count(&turn["failed"])), (0, 10));
}

#[test]
fn the_warm_up_is_shown_and_left_out() {
    let server = demo_with_latency(10 * MS);
    let limits = [
        "--vus",
        "4",
        "--think",
        "10ms",
        "--warm-up",
        "1s",
        "--duration",
        "3s",
    ];
    let finished = time_echo(&server.url(), &limits);
    let report = finished.checked_report();
    let warm_up = &report["warm_up"];
    check_within("warm-up", number(&warm_up["length_secs"]), 0.95, 1.3);
    check_within("the rest", number(&report["duration_secs"]), 1.7, 2.6);
    let started = count(&warm_up["figures"]["started"]);
    check_within("calls of the warm-up", started as f64, 60.0, 210.0);
    let n_calls = server.stop().tool_calls;
    assert_eq!(started + count(&report["totals"]["started"]), n_calls);
    assert!(
        words(&finished).contains("left out of all other figures"),
        "{finished}"
    );
}

#[test]
fn the_warm_up_of_arrivals_is_left_out_as_well() {
    let server = demo_with_latency(10 * MS);
    let limits = ["--rate", "50/s", "--warm-up", "1s", "--duration", "3s"];
    let report = time_echo(&server.url(), &limits).checked_report();
    let started = count(&report["totals"]["started"]);
    assert!((95..=105).contains(&started), "{started}");
    let warm = count(&report["warm_up"]["figures"]["started"]);
    assert_eq!(started + warm, server.stop().tool_calls);
    assert!((149..=151).contains(&(started + warm)), "{warm}");
    let n_arrivals = count(&report["counters"]["arrivals"]);
    assert!((95..=105).contains(&n_arrivals), "{n_arrivals}");
}

/// A call belongs to the warm-up if it was due or sent in it, whenever it ends.
#[test]
fn what_the_warm_up_began_is_none_of_the_load() {
    let run = |limits: &[&str]| {
        // Nothing is answered before the warm-up is long over.
        let began = OnceLock::new();
        let server = FakeServer::on_call(move |request, connection| {
            let began = began.get_or_init(Instant::now);
            connection.wait_until(|| began.elapsed() > 1000 * MS);
            connection.done(request)
        });
        let common = ["--tool", "work", "--warm-up", "500ms", "--duration", "2s"];
        let finished = load_run(&server.url(), &[&common, limits].concat()).run();
        finished.expect_code(0).checked_report()
    };
    let [open, closed] = thread::scope(|scope| {
        let open = scope.spawn(|| run(&["--rate", "40/s", "--max-vus", "60"]));
        let closed = scope.spawn(|| run(&["--vus", "4", "--think", "20ms"]));
        [open, closed].map(|run| run.join().expect("a run"))
    });
    let warm = |report: &Value, key: &str| count(&report["warm_up"]["figures"][key]);
    assert_eq!((warm(&open, "started"), warm(&open, "ok")), (20, 20));
    let counter = |name: &str| count(&open["counters"][name]);
    let n_started = count(&open["totals"]["started"]);
    assert_eq!(counter("arrivals"), n_started + counter("arrivals_dropped"));
    assert_eq!(counter("arrivals"), 60, "{open:#}");
    assert_eq!(counter("iterations_started"), n_started);
    assert_eq!((warm(&closed, "started"), warm(&closed, "ok")), (4, 4));
    let fastest = &closed["warm_up"]["figures"]["latency"]["min_ms"];
    assert!(number(fastest) >= 500.0, "{closed:#}");
}

#[test]
fn the_warm_up_is_left_out_of_stages() {
    let server = demo_with_latency(10 * MS);
    let limits = ["--stage", "2s:8,1s:8", "--warm-up", "1s"];
    let report = time_echo(&server.url(), &limits).checked_report();
    let stages = list(&report["stages"]);
    assert_eq!(stages.len(), 2);
    for key in ["started", "ok"] {
        let sum: u64 = stages.iter().map(|s| count(&s["figures"][key])).sum();
        assert_eq!(sum, count(&report["totals"][key]), "{key}: {report:#}");
    }
    assert_eq!(number(&stages[0]["at_secs"]), 1.0);
    assert_eq!(number(&stages[0]["load_from"]), 4.0);
}

/// A server that is not up yet has not broken.
#[test]
fn the_warm_up_is_no_breaking_point() {
    // From the first call on: the run may wait for its share of the machine.
    let began = OnceLock::new();
    let server = FakeServer::on_call(move |request, connection| {
        if began.get_or_init(Instant::now).elapsed() > 4000 * MS {
            return connection.done(request);
        }
        connection.answer(500, &[("Content-Type", "text/plain")], "starting")
    });
    let more = ["--duration", "7s", "--warm-up", "5s", "--on-break", "stop"];
    let finished = load_run(&server.url(), &[&STEADY[..], &more].concat())
        .run()
        .expect_code(0);
    let report = finished.checked_report();
    assert!(count(&report["warm_up"]["figures"]["failed"]) > 100);
    assert_eq!(report["totals"]["failed"], 0, "{finished}");
    assert_eq!(report["breaking_point"]["detected"], false, "{finished}");
    assert_eq!(report["run"]["ended"], "duration", "{finished}");
}

/// Four slots of 20 ms: 200 calls a second, with four users or more.
#[test]
fn a_ramp_finds_where_throughput_stops_growing() {
    share::beside(10);
    let server = demo_with_capacity("4/fixed:20ms");
    let finished = run_echo(&server.url(), &["--stage", "16s:20"]);
    let report = finished.checked_report();
    let found = &report["breaking_point"];
    assert_eq!(found["detected"], true, "{finished}");
    assert_eq!(found["reason"], "saturation", "{finished}");
    check_within("users", number(&found["vus"]), 3.0, 7.0);
    check_within("the load", number(&found["load"]), 2.5, 7.0);
    assert_eq!(found["load_unit"], "vus");
    check_within("ceiling", number(&found["ceiling_per_sec"]), 170.0, 215.0);
    let began = number(&found["at_secs"]);
    check_within("the time", began, 2.0, 10.0);
    assert!(began <= number(&found["noticed_at_secs"]));
    assert!(number(&found["last_good_load"]) <= number(&found["load"]));
    let said = words(&finished);
    assert!(said.contains("breaking point"), "{finished}");
    assert!(said.contains("throughput stopped growing"), "{finished}");
    // It goes on unless told otherwise.
    assert_eq!(report["run"]["ended"], "duration");
    // From the first user on, who is due after half a second.
    check_within("length", number(&report["duration_secs"]), 14.5, 17.5);
}

#[test]
fn a_steady_run_on_a_healthy_server_does_not_break() {
    share::beside(10);
    let server = demo_with_latency(10 * MS);
    let finished = run_echo(&server.url(), &["--vus", "4", "--duration", "8s"]);
    let report = finished.checked_report();
    let expected = serde_json::json!({"detected": false});
    assert_eq!(report["breaking_point"], expected, "{finished}");
    assert!(!finished.stdout.contains("breaking point"), "{finished}");
}

/// A server that answers `n_good` calls, and then fails every one.
fn failing_after(n_good: u64) -> FakeServer {
    let n_calls = AtomicU64::new(0);
    FakeServer::on_call(move |request, connection| {
        if n_calls.fetch_add(1, Ordering::SeqCst) < n_good {
            return connection.done(request);
        }
        connection.answer(500, &[("Content-Type", "text/plain")], "out of order")
    })
}

/// Four users, some 200 calls a second.
const STEADY: [&str; 6] = ["--tool", "work", "--vus", "4", "--think", "20ms"];

/// A token that expires, a restart: under a load that does not change, the load is
/// not the cause.
#[test]
fn an_outage_under_a_steady_load_is_a_change_with_time() {
    let server = failing_after(700);
    let limits = [&STEADY[..], &["--duration", "9s"]].concat();
    let finished = load_run(&server.url(), &limits).run().expect_code(0);
    let report = finished.checked_report();
    let none = serde_json::json!({"detected": false});
    assert_eq!(report["breaking_point"], none, "{finished}");
    assert!(
        !finished.stdout.contains("4 virtual users, by"),
        "{finished}"
    );
    let said = words(&finished);
    for part in ["into the run on", "requests failed", "http.500", "steady"] {
        assert!(said.contains(part), "{part}: {finished}");
    }
    assert_eq!(report["run"]["ended"], "duration");
}

/// However short the load had been what it was when it came.
#[test]
fn an_outage_soon_after_a_ramp_is_a_change_with_time() {
    let server = failing_after(450);
    let limits = [&STEADY[..], &["--ramp-up", "1s", "--duration", "9s"]].concat();
    let finished = load_run(&server.url(), &limits).run().expect_code(0);
    let report = finished.checked_report();
    let none = serde_json::json!({"detected": false});
    assert_eq!(report["breaking_point"], none, "{finished}");
    let said = words(&finished);
    for part in ["into the run on", "http.500", "something changed with time"] {
        assert!(said.contains(part), "{part}: {finished}");
    }
}

#[test]
fn a_run_may_stop_where_the_server_breaks() {
    let server = failing_after(700);
    let limits = [&STEADY[..], &["--duration", "40s", "--on-break", "stop"]].concat();
    let finished = load_run(&server.url(), &limits).run().expect_code(0);
    let report = finished.checked_report();
    assert_eq!(report["run"]["ended"], "breaking_point", "{finished}");
    let found = &report["breaking_point"];
    assert_eq!(found["reason"], "errors");
    // The load had not changed, so none is named.
    assert!(
        found["vus"].is_null() && found["load"].is_null(),
        "{found:#}"
    );
    check_within("the time", number(&found["at_secs"]), 2.5, 6.0);
    assert!(number(&report["duration_secs"]) < 20.0, "{finished}");
    assert!(
        words(&finished).contains("stopped at the breaking point"),
        "{finished}"
    );
}

#[test]
fn latency_beyond_the_users_limit_is_a_breaking_point() {
    share::one_part();
    let n_calls = AtomicU64::new(0);
    let server = FakeServer::on_call(move |request, connection| {
        if n_calls.fetch_add(1, Ordering::SeqCst) >= 1000 {
            let began = Instant::now();
            connection.wait_until(|| began.elapsed() > 150 * MS);
        }
        connection.done(request)
    });
    let config = "[settings]\nvirtual_users = 8\nduration = \"30s\"\nthink = \"20ms\"\n\
         break_p99 = \"100ms\"\non_break = \"stop\"\n\
         [[scenario]]\ntype = \"tools/call\"\ntool = \"work\"";
    // No time is judged that a busy machine makes too long.
    let run = load_run(&server.url(), &[]).file(".pmcp/loadtest.toml", config);
    let finished = run.run().expect_code(0);
    let report = finished.checked_report();
    let found = &report["breaking_point"];
    assert_eq!(found["reason"], "latency", "{finished}");
    assert_eq!(found["limit_ms"], 100.0);
    assert!(number(&found["p99_ms"]) >= 149.0, "{found:#}");
    assert_eq!(report["run"]["ended"], "breaking_point", "{finished}");
}
