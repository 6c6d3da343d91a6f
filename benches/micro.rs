//! What the pieces of the hot path cost, one by one.
//!
//! ```text
//! cargo bench --bench micro
//! cargo bench --bench micro -- sse        # only names that contain `sse`
//! ```
//!
//! Each piece runs for a number of rounds of equal length; shown are the median
//! and the least time per operation. No statistics beyond that: a difference
//! that needs more is too small to act on. A piece that runs alone finds its
//! memory in the cache and its branches learned, so these are lower bounds of
//! what the same piece costs among a thousand users.

#![allow(clippy::disallowed_methods, reason = "a benchmark measures")]

use std::cell::Cell;
use std::hint::black_box;
use std::io::{self, Write};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use pmcp_loadtest::internal::metrics::{Outcome, Recorder, Sample};
use pmcp_loadtest::internal::protocol::{
    ClientInfo, Dialect, Expect, Item, Method, Operation, Prepared, ReplyReader, RequestBody,
    Revision, SseDecoder, ToolCatalog, read_json_reply,
};
use pmcp_loadtest::internal::scheduler::{
    Scheduler, SchedulerOptions, TaskId, Wake, current_task, park, sleep_until, unpark,
};
use serde_json::json;

fn main() -> ExitCode {
    let filter = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with("--"));
    let bench = Bench {
        filter: filter.unwrap_or_default(),
        // `cargo test --all-targets` comes here, unoptimised and in a hurry.
        round: match cfg!(debug_assertions) {
            true => Duration::from_millis(1),
            false => Duration::from_millis(100),
        },
    };
    match run_all(&bench) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run_all(bench: &Bench) -> Result<(), String> {
    say(&format!(
        "{:<46} {:>10} {:>10}",
        "ns for each", "median", "least"
    ));
    sse(bench)?;
    json_rpc(bench)?;
    recording(bench);
    switching(bench).map_err(|error| error.to_string())
}

/// Decoding an event as an SDK sends it, and finding the answer in it.
fn sse(bench: &Bench) -> Result<(), String> {
    const LIMIT_BYTES: usize = 16 * 1024 * 1024;
    let event = format!("event: message\r\nid: 17\r\ndata: {ANSWER}\r\n\r\n");
    let event = event.as_bytes();
    let mut decoder = SseDecoder::new(LIMIT_BYTES);
    if !matches!(decoder.feed(event), Ok((_, Some(_)))) {
        return Err("the event is none".to_string());
    }
    bench.measure("SSE: an event in one piece", || {
        decoder.reset();
        black_box(decoder.feed(black_box(event))).is_ok()
    });
    let (start, end) = event.split_at(event.len() / 2);
    bench.measure("SSE: an event cut in two", || {
        decoder.reset();
        let is_ok = decoder.feed(black_box(start)).is_ok();
        is_ok && black_box(decoder.feed(black_box(end))).is_ok()
    });
    let expect = Expect::reply(ANSWER_ID, Method::CallTool);
    let mut reader = ReplyReader::new(expect, LIMIT_BYTES);
    if !matches!(reader.feed(event), Ok((_, Some(Item::Reply(_))))) {
        return Err("the event holds no answer".to_string());
    }
    bench.measure("SSE and JSON-RPC: the answer in an event", || {
        reader.reset(expect);
        black_box(reader.feed(black_box(event))).is_ok()
    });
    Ok(())
}

/// Writing a call and reading its answer.
fn json_rpc(bench: &Bench) -> Result<(), String> {
    for revision in [Revision::LATEST_LEGACY, Revision::LATEST_MODERN] {
        let prepared = prepare(revision)?;
        let mut body = RequestBody::default();
        let mut id = 0;
        bench.measure(&format!("JSON-RPC: write a call, {revision}"), || {
            id += 1;
            prepared.render(black_box(id), &[], &mut body);
            black_box(body.bytes().len())
        });
    }
    let expect = Expect::reply(ANSWER_ID, Method::CallTool);
    let large = ANSWER.replace("hello", &"hello ".repeat(2000));
    for (name, body) in [
        ("JSON-RPC: read an answer", ANSWER),
        ("JSON-RPC: read an answer of 12 kB", &large),
    ] {
        read_json_reply(body.as_bytes(), &expect).map_err(|fault| fault.to_string())?;
        bench.measure(name, || {
            black_box(read_json_reply(black_box(body.as_bytes()), &expect)).is_ok()
        });
    }
    Ok(())
}

/// Recording the start and the end of a call.
fn recording(bench: &Bench) {
    const N_ROWS: usize = 4;
    let mut recorder = Recorder::new(N_ROWS);
    // Latencies between 0.1 and 10 ms, since their buckets are what is touched.
    let mut random = fastrand::Rng::with_seed(1);
    let samples: Vec<(usize, Sample)> = (0..4096)
        .map(|_| {
            let sample = Sample {
                service_ns: random.u64(100_000..10_000_000),
                response_ns: None,
                outcome: Outcome::Ok,
            };
            (random.usize(..N_ROWS), sample)
        })
        .collect();
    let mut at = 0;
    bench.measure("metrics: record a call", || {
        let (row, sample) = &samples[at % samples.len()];
        at += 1;
        recorder.start(*row);
        recorder.end(*row, black_box(sample));
    });
    black_box(&recorder);
}

/// Suspending a task and resuming another.
fn switching(bench: &Bench) -> io::Result<()> {
    for (name, n_pairs) in [
        ("scheduler: resume, 2 tasks, epoll each time", 1),
        ("scheduler: resume, 128 tasks", 64),
        ("scheduler: resume, 2000 tasks", 1000),
        ("scheduler: resume, 10000 tasks", 5000),
    ] {
        if bench.wants(name) {
            switch_between_pairs(bench, name, n_pairs)?;
        }
    }
    let name = "scheduler: spawn a task and run it to its end";
    if bench.wants(name) {
        let mut scheduler = Scheduler::new(SchedulerOptions::default())?;
        bench.measure(name, || {
            let spawned = scheduler.spawn(|| {
                black_box(current_task());
            });
            spawned.is_ok() && scheduler.turn(Some(Instant::now())).is_ok()
        });
    }
    Ok(())
}

/// The two of a pair wake each other in turns, so that in every turn of the
/// loop half of all tasks run, and the kernel is asked once.
fn switch_between_pairs(bench: &Bench, name: &str, n_pairs: usize) -> io::Result<()> {
    let mut scheduler = Scheduler::new(SchedulerOptions::default())?;
    let n_resumed = Rc::new(Cell::new(0_u64));
    let has_ended = Rc::new(Cell::new(false));
    for _ in 0..n_pairs {
        let partners: Rc<[Cell<Option<TaskId>>; 2]> = Rc::default();
        for side in [0, 1] {
            let (n_resumed, has_ended) = (Rc::clone(&n_resumed), Rc::clone(&has_ended));
            let partners_here = Rc::clone(&partners);
            let id = scheduler.spawn(move || {
                if side == 0 {
                    // The other must wait before it can be woken.
                    let next = Instant::now() + Duration::from_millis(1);
                    assert_eq!(sleep_until(next), Wake::Deadline);
                }
                while !has_ended.get() {
                    if side == 0 || n_resumed.get() > 0 {
                        wake(partners_here[1 - side].get());
                    }
                    assert_eq!(park(None), Wake::Ready);
                    n_resumed.set(n_resumed.get() + 1);
                }
                wake(partners_here[1 - side].get());
            })?;
            partners[side].set(Some(id));
        }
    }
    let mut turn = || scheduler.turn(Some(Instant::now()));
    while n_resumed.get() < 4 * n_pairs as u64 {
        turn()?;
    }
    bench.measure_counted(name, || {
        let before = n_resumed.get();
        let is_ok = turn().is_ok();
        black_box(is_ok);
        n_resumed.get() - before
    });
    has_ended.set(true);
    while scheduler.n_tasks() > 0 {
        scheduler.turn(Some(Instant::now()))?;
    }
    Ok(())
}

fn wake(task: Option<TaskId>) {
    if let Some(task) = task {
        unpark(task);
    }
}

const ANSWER_ID: u64 = 54_321;
const ANSWER: &str = concat!(
    r#"{"jsonrpc":"2.0","id":54321,"result":{"content":[{"type":"text","text":"hello"}],"#,
    r#""structuredContent":{"text":"hello"},"isError":false,"resultType":"complete"}}"#
);

fn prepare(revision: Revision) -> Result<Prepared, String> {
    let client = ClientInfo::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    let operation = Operation::CallTool {
        name: "echo".to_string(),
        arguments: json!({"text": "hello"})
            .as_object()
            .cloned()
            .map(Into::into),
    };
    Dialect::new(revision, client)
        .prepare(&operation, &ToolCatalog::empty())
        .map_err(|error| error.to_string())
}

struct Bench {
    /// Only pieces whose name contains it run.
    filter: String,
    /// How long each round lasts at least.
    round: Duration,
}

impl Bench {
    const N_ROUNDS: usize = 11;

    fn wants(&self, name: &str) -> bool {
        name.to_lowercase().contains(&self.filter.to_lowercase())
    }

    /// Times `act`, one operation a call.
    fn measure<R>(&self, name: &str, mut act: impl FnMut() -> R) {
        self.measure_counted(name, || {
            /// So many for each look at the clock, which costs as much as one.
            const BATCH: u64 = 64;
            for _ in 0..BATCH {
                black_box(act());
            }
            BATCH
        });
    }

    /// Times `act`, which says how many operations it did.
    fn measure_counted(&self, name: &str, mut act: impl FnMut() -> u64) {
        if !self.wants(name) {
            return;
        }
        let mut round = || {
            let start = Instant::now();
            let mut n_operations = 0;
            loop {
                n_operations += act();
                let elapsed = start.elapsed();
                if elapsed >= self.round {
                    return elapsed.as_nanos() as f64 / n_operations as f64;
                }
            }
        };
        // The first one warms up.
        round();
        let mut results: Vec<f64> = (0..Self::N_ROUNDS).map(|_| round()).collect();
        results.sort_by(f64::total_cmp);
        let (least, median) = (results[0], results[Self::N_ROUNDS / 2]);
        say(&format!("{name:<46} {median:>10.1} {least:>10.1}"));
    }
}

/// A line on standard output; that nobody reads it is no reason to stop.
fn say(line: &str) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}
