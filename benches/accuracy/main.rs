//! Whether what the program reports is what happened.
//!
//! ```text
//! cargo bench --bench accuracy
//! cargo bench --bench accuracy -- --rounds 3 --seconds 5 open/two-point freeze
//! ```
//!
//! The release binary runs, as users run it, against a server that takes
//! exactly as long as it is told to and keeps a record of every call
//! (`server.rs` says which instants). The report's percentiles, mean, maximum
//! and share above a limit stand beside those of the record, in the closed and
//! in the open model, from an idle generator to one that is busy 95 % of the
//! time. Generator and server have a CPU each.
//!
//! Nothing here fails because something was slow. It fails when the two do not
//! speak of the same calls, or a run gives no figures.
//!
//! ```text
//! cargo bench --bench accuracy -- beside
//! cargo bench --bench accuracy -- strict
//! ```
//!
//! `beside`: with 0, 1, 2 and 4 busy processes on the same CPUs, are the figures
//! within the bounds that the verdict gives for them? `strict`: an idle generator
//! beside a busy process on each CPU is to pass with `--strict`, 20 times of 20;
//! one with a fifth of a CPU and a rate beyond it is to fail, 20 of 20. Both fail
//! where it is not so.

#![allow(clippy::disallowed_methods, reason = "a benchmark measures")]

pub(crate) mod answer;
pub(crate) mod beside;
pub(crate) mod cases;
pub(crate) mod compare;
pub(crate) mod delay;
pub(crate) mod generator;
#[path = "../whole_program/process.rs"]
#[allow(
    dead_code,
    reason = "of it, pinning and the limit of open files are used"
)]
mod process;
pub(crate) mod request;
pub(crate) mod server;
pub(crate) mod table;
pub(crate) mod truth;

use std::collections::HashMap;
use std::io::{self, Write};
use std::process::ExitCode;
use std::str::FromStr;

use argh::FromArgs;

use cases::{Behaviour, Case, Model};
use compare::Judged;
use generator::{Generator, Load};
use server::{Options, TruthServer};
use table::Group;

/// Measures how true the reported figures are.
#[derive(FromArgs)]
struct Arguments {
    /// cases whose names contain one of these, such as open/two-point or
    /// freeze; all unless given; or `beside` or `strict` alone
    #[argh(positional)]
    filters: Vec<String>,
    /// how long each run lasts; 4
    #[argh(option, default = "4.0", arg_name = "n")]
    seconds: f64,
    /// runs of each case, of which the medians are shown; 1
    #[argh(option, default = "1", arg_name = "n")]
    rounds: usize,
    /// how busy the generator is to be, in percent; 5,25,50,80,95
    #[argh(option, default = "Loads(vec![5, 25, 50, 80, 95])", arg_name = "n,..")]
    loads: Loads,
    /// of the server's delays; 1
    #[argh(option, default = "1", arg_name = "n")]
    seed: u64,
    /// measure this binary rather than the one just built
    #[argh(
        option,
        default = "env!(\"CARGO_BIN_EXE_cargo-pmcp\").to_string()",
        arg_name = "file"
    )]
    program: String,
    /// show the names of the cases and run none
    #[argh(switch)]
    list: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Loads(Vec<u32>);

impl FromStr for Loads {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = |number: &str| {
            let number = number.trim().parse().ok();
            number.filter(|percent| (1..=100).contains(percent))
        };
        text.split(',')
            .map(read)
            .collect::<Option<_>>()
            .map(Self)
            .ok_or_else(|| format!("`{text}` is not a list of percentages such as `5,50,80`"))
    }
}

fn main() -> ExitCode {
    let typed: Vec<String> = std::env::args()
        .skip(1)
        // Cargo's mark for benchmarks.
        .filter(|argument| argument != "--bench")
        .collect();
    let typed: Vec<&str> = typed.iter().map(String::as_str).collect();
    let arguments = match Arguments::from_args(&["accuracy"], &typed) {
        Ok(arguments) => arguments,
        Err(exit) => {
            say(&exit.output);
            return match exit.status {
                Ok(()) => ExitCode::SUCCESS,
                Err(()) => ExitCode::from(2),
            };
        }
    };
    if cfg!(debug_assertions) && !arguments.list {
        // `cargo test --all-targets` comes here, unoptimised and in a hurry.
        if arguments.filters.is_empty() {
            say("nothing measured: not an optimised build; use `cargo bench`, or name cases");
            return ExitCode::SUCCESS;
        }
        say(
            "not an optimised build: the server needs more time for each call, and so does the \
             program unless `--program` names an optimised one\n",
        );
    }
    let result = match arguments.filters.as_slice() {
        [only] if only == "beside" => measure_beside(&arguments),
        [only] if only == "strict" => measure_strict(&arguments),
        _ => measure(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Busy processes beside the generator.
const HOGS: [usize; 4] = [0, 1, 2, 4];

/// Holds each figure against the bound of its run, with busy processes beside.
fn measure_beside(arguments: &Arguments) -> Result<(), String> {
    process::allow_many_files();
    let mut bench = Bench::new(arguments);
    // Idle, and with some work; the median and the p99 of the exponential move
    // with each stop, those of a fixed delay stand out.
    let cases = [
        (Model::Open, Behaviour::Fixed, 5),
        (Model::Open, Behaviour::Exponential, 25),
        (Model::Closed, Behaviour::Exponential, 25),
        (Model::Closed, Behaviour::Fixed, 50),
    ];
    say("| case | verdict | reported (true, from to), error of bound; us |\n|---|---|---|");
    let (mut n_within, mut n_all) = (0, 0);
    for (model, behaviour, percent) in cases {
        let case = Case {
            model,
            behaviour,
            percent,
        };
        let rate = bench.rate(model, percent)?;
        let load = match case.load(rate) {
            // Whoever waits for a user would wait for the server.
            Load::Arrivals { per_sec, .. } => Load::Arrivals {
                per_sec,
                max_vus: 2_000,
            },
            users => users,
        };
        for n_hogs in HOGS {
            for _ in 0..arguments.rounds {
                let _hogs = beside::Hog::on(&bench.all_cores(), n_hogs)?;
                let server = bench.server(behaviour)?;
                let ran = bench
                    .generator
                    .run(server.url(), load, case.seconds(arguments.seconds));
                let served = server.stop()?;
                let ran = ran?;
                let found = beside::compare(&ran, &served)?;
                n_all += found.len();
                n_within += found.iter().filter(|one| one.holds()).count();
                say(&beside::line(
                    &case.name(),
                    n_hogs,
                    &ran.report.grade,
                    &found,
                ));
            }
        }
    }
    say(&format!(
        "\nwithin the bound of the verdict: {n_within} of {n_all}"
    ));
    match n_within == n_all {
        true => Ok(()),
        false => Err("figures are further from the truth than the verdict said".to_string()),
    }
}

/// Rounds of each kind that `strict` makes.
const STRICT_ROUNDS: usize = 20;

/// Counts the runs that pass and fail with `--strict`.
fn measure_strict(arguments: &Arguments) -> Result<(), String> {
    process::allow_many_files();
    let bench = Bench::new(arguments);
    let delay = Behaviour::Fixed;
    let mut n_passed = 0;
    {
        let cores = bench.all_cores();
        let _hogs = beside::Hog::on(&cores, cores.len().max(1))?;
        for round in 0..STRICT_ROUNDS {
            let server = bench.server(delay)?;
            let load = beside::idle_load(round);
            let run = beside::strict(
                &bench.generator,
                server.url(),
                load,
                arguments.seconds,
                None,
            );
            server.stop()?;
            let run = run?;
            n_passed += usize::from(run.code == Some(0));
            say(&format!("idle, {load:?}: {run:?}"));
        }
    }
    say(&format!(
        "idle beside a busy process on each CPU: {n_passed} of {STRICT_ROUNDS} passed"
    ));
    let quota = match beside::Quota::of_a_fifth() {
        Ok(quota) => quota,
        Err(why) => return Err(format!("no control group with a quota here: {why}")),
    };
    let mut n_failed = 0;
    for _ in 0..STRICT_ROUNDS {
        let server = bench.server(delay)?;
        let load = beside::starved_load();
        let seconds = arguments.seconds;
        let run = beside::strict(&bench.generator, server.url(), load, seconds, Some(&quota));
        server.stop()?;
        let run = run?;
        n_failed += usize::from(run.code == Some(4));
        say(&format!("starved: {run:?}"));
    }
    say(&format!(
        "starved by a quota of a fifth of a CPU: {n_failed} of {STRICT_ROUNDS} failed"
    ));
    match (n_passed, n_failed) {
        (STRICT_ROUNDS, STRICT_ROUNDS) => Ok(()),
        _ => Err("`--strict` judged some runs wrongly".to_string()),
    }
}

/// Runs the chosen cases and shows the table.
fn measure(arguments: &Arguments) -> Result<(), String> {
    let is_chosen = |case: &Case| {
        let name = case.name();
        arguments.filters.is_empty() || arguments.filters.iter().any(|part| name.contains(part))
    };
    let cases: Vec<Case> = cases::all(&arguments.loads.0)
        .into_iter()
        .filter(is_chosen)
        .collect();
    if cases.is_empty() {
        return Err("no case has such a name; `--list` shows them".to_string());
    }
    if arguments.list {
        for case in &cases {
            say(&case.name());
        }
        return Ok(());
    }
    if !(arguments.seconds >= 0.5 && arguments.seconds <= 3600.0) || arguments.rounds == 0 {
        return Err("at least half a second and one round are needed".to_string());
    }
    // Inherited by the generator: one connection for each of thousands.
    process::allow_many_files();
    let mut bench = Bench::new(arguments);
    say(&bench.setting(arguments));
    say(&table::heading());
    let mut groups = Vec::new();
    let mut n_broken = 0;
    for case in cases {
        let mut rounds = Vec::new();
        for _ in 0..arguments.rounds {
            match bench.run(&case, arguments.seconds) {
                Ok(judged) => rounds.push(judged),
                Err(error) => {
                    say(&format!("{}: {error}", case.name()));
                    n_broken += 1;
                }
            }
        }
        if !rounds.is_empty() {
            let group = Group::new(case, rounds);
            say(&group.lines());
            groups.push(group);
        }
    }
    say(&format!(
        "\n{}\n\n{}",
        table::LEGEND,
        table::verdict(&groups)
    ));
    match n_broken {
        0 => Ok(()),
        _ => Err(format!("{n_broken} runs could not be compared")),
    }
}

/// The two sides, on their CPUs.
struct Bench {
    generator: Generator,
    server_core: Option<usize>,
    seed: u64,
    /// Calls a second that make the generator so busy (in percent).
    rates: HashMap<(Model, u32), f64>,
}

impl Bench {
    fn new(arguments: &Arguments) -> Self {
        let cores = core_affinity::get_core_ids().unwrap_or_default();
        // Where there is only one, it is shared, and all is disturbed.
        let (server, generator) = match cores.as_slice() {
            [first, .., last] => (Some(first.id), Some(last.id)),
            _ => (None, None),
        };
        Self {
            generator: Generator {
                program: arguments.program.clone(),
                core: generator,
            },
            server_core: server,
            seed: arguments.seed,
            rates: HashMap::new(),
        }
    }

    fn setting(&self, arguments: &Arguments) -> String {
        let on = |core: Option<usize>| {
            core.map_or("no CPU of its own".to_string(), |core| {
                format!("CPU {core}")
            })
        };
        format!(
            "{}: server on {}, generator on {}; {} rounds of {} s, medians; seed {}\n",
            self.generator.program,
            on(self.server_core),
            on(self.generator.core),
            arguments.rounds,
            arguments.seconds,
            self.seed,
        )
    }

    /// The CPUs of both sides, the generator's first; none where they share one.
    fn all_cores(&self) -> Vec<usize> {
        [self.generator.core, self.server_core]
            .into_iter()
            .flatten()
            .collect()
    }

    /// One that takes its time as told, on its CPU.
    fn server(&self, behaviour: Behaviour) -> Result<TruthServer, String> {
        TruthServer::start(Options {
            delay: behaviour.delay(),
            seed: self.seed,
            framing: behaviour.framing(),
            freeze: behaviour.freeze(),
            push_every: behaviour.push_every(),
            core: self.server_core,
        })
    }

    fn run(&mut self, case: &Case, seconds: f64) -> Result<Judged, String> {
        let rate = self.rate(case.model, case.percent)?;
        self.run_at(case, case.load(rate), case.seconds(seconds))
    }

    fn run_at(&self, case: &Case, load: Load, seconds: f64) -> Result<Judged, String> {
        let behaviour = case.behaviour;
        let server = self.server(behaviour)?;
        let ran = self.generator.run(server.url(), load, seconds);
        let served = server.stop()?;
        let rate_per_sec = match load {
            Load::Users(_) => None,
            Load::Arrivals { per_sec, .. } => Some(f64::from(per_sec)),
        };
        compare::judge(&ran?, &served, rate_per_sec, behaviour.limit_ms())
    }

    /// How many calls a second make the generator so busy, found by trying: a
    /// call costs less CPU the more there are at once.
    fn rate(&mut self, model: Model, percent: u32) -> Result<f64, String> {
        const CPU_SECS_OF_CALL: f64 = 40e-6;
        const N_TRIES: usize = 3;
        const TRY_SECS: f64 = 1.5;
        if let Some(rate) = self.rates.get(&(model, percent)) {
            return Ok(*rate);
        }
        let case = Case {
            model,
            behaviour: Behaviour::Fixed,
            percent,
        };
        let wanted = f64::from(percent) / 100.0;
        let mut rate = wanted / CPU_SECS_OF_CALL;
        for _ in 0..N_TRIES {
            let judged = self.run_at(&case, case.load(rate), TRY_SECS)?;
            // Without a CPU time, the first guess has to do.
            let Some(share) = judged.cpu_share.filter(|share| *share > 0.0) else {
                break;
            };
            // A saturated generator made fewer than it was asked for.
            rate = judged.calls_per_sec * wanted / share;
        }
        self.rates.insert((model, percent), rate);
        Ok(rate)
    }
}

/// A line on standard output; that nobody reads it is no reason to stop.
fn say(line: &str) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}
