//! A long load on a server that fails in many ways: memory and descriptors stay flat,
//! and what is reported is what the server did. `.ci/run --all` runs it with
//! `CI_SOAK=1`; `PMCP_SOAK_SECS` makes it shorter than its five minutes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::fake_server::{Connection, FakeServer, Next, Request, legacy};
use crate::load_run::{LoadRun, causes, count, load_run};

const USERS: usize = 50;

/// What the server did with the calls of tools, by the cause that it should be.
#[derive(Default)]
struct Done {
    ok: AtomicU64,
    failed: Mutex<BTreeMap<&'static str, u64>>,
    /// Calls whose answer it never gave.
    silent: AtomicU64,
}

/// How the server is, by the second of its life: mostly well, and each twenty seconds
/// it restarts, is overloaded, refuses tokens, and loses its sessions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Well,
    Restarting,
    Overloaded,
    Denying,
    Forgetful,
}

fn mood(age: Duration) -> Mood {
    match age.as_secs() % 20 {
        5 => Mood::Restarting,
        9 => Mood::Overloaded,
        13 => Mood::Denying,
        17 => Mood::Forgetful,
        _ => Mood::Well,
    }
}

const TEXT: (&str, &str) = ("Content-Type", "text/plain");

fn answer(
    request: &Request,
    connection: &mut Connection,
    mood: Mood,
    number: u64,
    done: &Done,
) -> Next {
    if request.method() != "tools/call" {
        return legacy(request, connection);
    }
    let mut fail = |cause, status, headers: &[(&str, &str)], body: &str| {
        let mut failed = done.failed.lock().expect("no handler panics");
        *failed.entry(cause).or_default() += 1;
        drop(failed);
        connection.answer(status, headers, body)
    };
    match (mood, number % 40) {
        (Mood::Overloaded, _) => fail(
            "http.429",
            429,
            &[("Retry-After", "1")],
            "too many requests",
        ),
        (Mood::Denying, 0..20) => {
            let challenge = ("WWW-Authenticate", "Bearer error=\"invalid_token\"");
            fail("http.401.invalid_token", 401, &[challenge], "")
        }
        (Mood::Forgetful, 0..4) => {
            let gone = "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32001,\"message\":\
                        \"Session not found\"}}";
            fail(
                "session.expired",
                404,
                &[("Content-Type", "application/json")],
                gone,
            )
        }
        (_, 1) => fail("http.500", 500, &[TEXT], "it broke"),
        (_, 2) => fail("protocol.content_type", 200, &[TEXT], "<html>"),
        (_, 3) => {
            done.silent.fetch_add(1, Ordering::SeqCst);
            Next::Close
        }
        (mood, _) => {
            done.ok.fetch_add(1, Ordering::SeqCst);
            match mood {
                Mood::Restarting => connection.done_and_close(request),
                _ => connection.done(request),
            }
        }
    }
}

/// Resident memory in KiB and open files of a process.
fn usage(process: &Path) -> Option<(u64, usize)> {
    let status = std::fs::read_to_string(process.join("status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib = line.split_whitespace().next()?.parse().ok()?;
    Some((kib, std::fs::read_dir(process.join("fd")).ok()?.count()))
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

#[test]
#[cfg(target_os = "linux")]
#[ignore = "takes five minutes"]
fn soak_memory_and_descriptors_stay_flat_and_counts_are_the_servers() {
    let wanted = std::env::var("PMCP_SOAK_SECS").ok();
    let secs: u64 = wanted.map_or(300, |secs| secs.parse().expect("seconds"));
    let done = Arc::new(Done::default());
    let of_server = Arc::clone(&done);
    let began = Instant::now();
    let n_calls = AtomicU64::new(0);
    let server = FakeServer::start(move |request, connection| {
        let number = n_calls.fetch_add(1, Ordering::SeqCst);
        answer(
            request,
            connection,
            mood(began.elapsed()),
            number,
            &of_server,
        )
    });
    let (users, duration) = (USERS.to_string(), format!("{secs}s"));
    let arguments = [
        "--tool",
        "work",
        "--vus",
        &users,
        "--pacing",
        "100ms",
        "--duration",
        &duration,
        "--graceful-stop",
        "10s",
        "--respect-retry-after",
    ];
    let mut running = load_run(&server.url(), &arguments)
        .time_limit(Duration::from_secs(secs + 60))
        .spawn();
    let process = running.process_folder();
    let mut samples: Vec<(u64, usize)> = Vec::new();
    let began = Instant::now();
    running.wait_until("the load is nearly over", |_| {
        if began.elapsed()
            >= Duration::from_millis(500) * u32::try_from(samples.len()).expect("few")
        {
            samples.extend(usage(&process));
        }
        began.elapsed() >= Duration::from_secs(secs.saturating_sub(3))
    });
    let finished = running.wait().expect_code(0);
    let report = finished.checked_report();

    // What each second adds is some hundred bytes; the first third warms up.
    let thirds = |at: usize| samples[samples.len() * at / 3..samples.len() * (at + 1) / 3].to_vec();
    let memory = |at| median(thirds(at).iter().map(|(kib, _)| *kib).collect());
    let (middle, last) = (memory(1), memory(2));
    assert!(
        last <= middle + middle / 10 + 2_048,
        "{middle} KiB, then {last} KiB"
    );
    let files = samples.iter().map(|(_, files)| *files).max().unwrap_or(0);
    assert!(files <= USERS + 40, "{files} open files");

    let totals = &report["totals"];
    assert_eq!(
        count(&totals["ok"]),
        done.ok.load(Ordering::SeqCst),
        "{finished}"
    );
    let mut expected: BTreeMap<String, u64> = done
        .failed
        .lock()
        .expect("no handler panics")
        .iter()
        .map(|(cause, count)| ((*cause).to_string(), *count))
        .collect();
    // Lost on a connection that was new, or had served others.
    let mut found: BTreeMap<String, u64> = causes(totals).into_iter().collect();
    let lost = ["connect.lost_new", "connect.lost_reused"];
    let n_lost: u64 = lost.iter().filter_map(|cause| found.remove(*cause)).sum();
    expected.retain(|_, count| *count > 0);
    assert_eq!(found, expected, "{finished}");
    assert_eq!(n_lost, done.silent.load(Ordering::SeqCst), "{finished}");
}
