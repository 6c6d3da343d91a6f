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

pub(crate) mod answer;
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
    /// freeze; all unless given
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
            .ok_or_else(|| format!("`{text}` is no list of percentages such as `5,50,80`"))
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
    // `cargo test --all-targets` comes here, unoptimised and in a hurry.
    if cfg!(debug_assertions) && !arguments.list {
        say("nothing measured: not an optimised build; use `cargo bench`");
        return ExitCode::SUCCESS;
    }
    match measure(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
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

    fn run(&mut self, case: &Case, seconds: f64) -> Result<Judged, String> {
        let rate = self.rate(case.model, case.percent)?;
        self.run_at(case, case.load(rate), case.seconds(seconds))
    }

    fn run_at(&self, case: &Case, load: Load, seconds: f64) -> Result<Judged, String> {
        let behaviour = case.behaviour;
        let server = TruthServer::start(Options {
            delay: behaviour.delay(),
            seed: self.seed,
            framing: behaviour.framing(),
            freeze: behaviour.freeze(),
            core: self.server_core,
        })?;
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
