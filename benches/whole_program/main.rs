//! What a call costs the program, as the operating system counts it.
//!
//! ```text
//! cargo bench --bench whole_program
//! cargo bench --bench whole_program -- --seconds 8 --rounds 3 --vus 64,1000,5000
//! ```
//!
//! The release binary runs against the library's canned server, the
//! server on one CPU and the generator on another, each in a process of its
//! own. CPU time and calls of the generator's whole life are divided, sessions
//! opened and closed included. Where `wrk` and `oha` are on the PATH they run
//! beside it, in turns, with the same request: `wrk` as the practical limit, since
//! it sends one rendered request and reads nothing of the answers but their
//! framing; `oha` as what is commonly used. `-- --tls` does the same over TLS, by
//! rustls on the server's side.
//!
//! Nothing here fails because something was slow: it shows figures, beside what
//! is demanded of them. `… -- schedule` measures how exactly arrivals keep to
//! their schedule, `… -- scaling` what a second worker adds, `… -- serve` starts
//! the canned server alone.

#![allow(clippy::disallowed_methods, reason = "a benchmark measures")]

mod generator;
mod process;
mod scaling;
mod schedule;
mod secure;
mod table;

use std::io::{self, Write};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use argh::FromArgs;
use pmcp_loadtest::internal::protocol::Era;
use pmcp_loadtest::internal::{self, AnswerFraming, CannedServer};

use generator::{Generator, Load, Target};
use process::{Cores, Served, ServerProcess};
use table::{Figures, Group};

/// Measures what a call costs the program, and wrk and oha where installed.
#[derive(FromArgs)]
struct Arguments {
    /// how long each run lasts; 8
    #[argh(option, default = "8", arg_name = "n")]
    seconds: u64,
    /// runs of each generator at each number of users; 3
    #[argh(option, default = "3", arg_name = "n")]
    rounds: usize,
    /// numbers of virtual users; 64,1000,5000
    #[argh(option, default = "Users(vec![64, 1000, 5000])", arg_name = "n,..")]
    vus: Users,
    /// legacy or modern; legacy
    #[argh(option, default = "EraArgument(Era::Legacy)", arg_name = "which")]
    protocol: EraArgument,
    /// the server answers calls as event streams
    #[argh(switch)]
    sse: bool,
    /// over TLS, whose certificate nobody looks at
    #[argh(switch)]
    tls: bool,
    /// the server answers after this time, such as 5ms; 0ms
    #[argh(option, default = "Delay(Duration::ZERO)", arg_name = "time")]
    delay: Delay,
    /// measure this binary rather than the one just built
    #[argh(
        option,
        default = "env!(\"CARGO_BIN_EXE_cargo-pmcp\").to_string()",
        arg_name = "file"
    )]
    program: String,
    /// leave wrk and oha out
    #[argh(switch)]
    alone: bool,
    #[argh(subcommand)]
    command: Option<Command>,
}

#[derive(FromArgs)]
#[argh(subcommand)]
enum Command {
    Serve(Serve),
    Schedule(Schedule),
    Scaling(Scaling),
}

/// Measures how exactly the open model keeps its schedule.
#[derive(FromArgs)]
#[argh(subcommand, name = "schedule")]
struct Schedule {}

/// Measures what a second worker adds.
#[derive(FromArgs)]
#[argh(subcommand, name = "scaling")]
struct Scaling {}

/// Serves canned answers until it is killed.
#[derive(FromArgs)]
#[argh(subcommand, name = "serve")]
struct Serve {
    /// pin the server to this CPU
    #[argh(option, arg_name = "n")]
    core: Option<usize>,
    /// answer after this time, such as 5ms; 0ms
    #[argh(option, default = "Delay(Duration::ZERO)", arg_name = "time")]
    delay: Delay,
    /// answer calls as event streams
    #[argh(switch)]
    sse: bool,
    /// over TLS, at once
    #[argh(switch)]
    tls: bool,
    /// end when standard input ends
    #[argh(switch)]
    until_stdin_ends: bool,
}

impl Serve {
    /// Where that is wanted, calls this once standard input has ended.
    fn once_stdin_ends(&self, end: impl FnOnce() + Send + 'static) {
        if self.until_stdin_ends {
            std::thread::spawn(move || {
                // Whatever ends it, and an error too, means that the parent is gone.
                let _ = io::copy(&mut io::stdin(), &mut io::sink());
                end();
            });
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Users(Vec<u32>);

impl FromStr for Users {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = |number: &str| number.trim().parse().ok().filter(|n_vus| *n_vus > 0);
        text.split(',')
            .map(read)
            .collect::<Option<_>>()
            .map(Self)
            .ok_or_else(|| format!("`{text}` is not a list of numbers such as `64,1000`"))
    }
}

#[derive(Debug, Clone, Copy)]
struct Delay(Duration);

impl FromStr for Delay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.strip_suffix("ms")
            .and_then(|number| number.parse().ok())
            .map(|ms| Self(Duration::from_millis(ms)))
            .ok_or_else(|| format!("`{text}` is no time such as `5ms`"))
    }
}

#[derive(Debug, Clone, Copy)]
struct EraArgument(Era);

impl FromStr for EraArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "legacy" => Ok(Self(Era::Legacy)),
            "modern" => Ok(Self(Era::Modern)),
            _ => Err(format!("`{text}` is neither `legacy` nor `modern`")),
        }
    }
}

fn main() -> ExitCode {
    let typed: Vec<String> = std::env::args()
        .skip(1)
        // Cargo's mark for benchmarks.
        .filter(|argument| argument != "--bench")
        .collect();
    let typed: Vec<&str> = typed.iter().map(String::as_str).collect();
    let arguments = match Arguments::from_args(&["whole_program"], &typed) {
        Ok(arguments) => arguments,
        Err(exit) => {
            say(&exit.output);
            return match exit.status {
                Ok(()) => ExitCode::SUCCESS,
                Err(()) => ExitCode::from(2),
            };
        }
    };
    let result = match &arguments.command {
        Some(Command::Serve(options)) => serve(options),
        Some(Command::Schedule(_)) => schedule::measure(&arguments.program, arguments.seconds, say),
        Some(Command::Scaling(_)) => scaling::measure(
            &arguments.program,
            arguments.protocol.0,
            arguments.seconds,
            arguments.rounds,
            say,
        ),
        // `cargo test --all-targets` comes here, unoptimised and in a hurry.
        None if cfg!(debug_assertions) => {
            say("nothing measured: not an optimised build; use `cargo bench`");
            Ok(())
        }
        None => compare(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn serve(options: &Serve) -> Result<(), String> {
    let text = |error: io::Error| error.to_string();
    if let Some(core) = options.core {
        process::pin_to(core)?;
    }
    process::allow_many_files();
    let framing = match options.sse {
        true => AnswerFraming::EventStream,
        false => AnswerFraming::Json,
    };
    if options.tls {
        let server = secure::SecureServer::bind(framing).map_err(text)?;
        say(&server.url());
        #[expect(clippy::exit, reason = "the parent is gone")]
        options.once_stdin_ends(|| std::process::exit(0));
        return server.serve().map_err(text);
    }
    let server = CannedServer::bind(internal::Options {
        framing,
        delay: options.delay.0,
    })
    .map_err(text)?;
    say(&server.url());
    let waker = server.waker();
    options.once_stdin_ends(move || {
        let _ = waker.wake();
    });
    server.serve().map_err(text)
}

/// Runs every generator at every number of users and shows the figures.
fn compare(arguments: &Arguments) -> Result<(), String> {
    // Inherited by every child: one connection each of thousands of users.
    process::allow_many_files();
    let cores = Cores::choose();
    let scratch = process::Scratch::new()?;
    let served = Served {
        sse: arguments.sse,
        tls: arguments.tls,
        delay: arguments.delay.0,
    };
    if served.tls && !served.delay.is_zero() {
        return Err("the server over TLS answers at once".to_string());
    }
    let server = ServerProcess::start(&cores, served)?;
    let target = Target::new(server.url(), arguments.protocol.0);
    let mut generators = vec![Generator::program(&arguments.program)];
    if !arguments.alone {
        match Generator::wrk() {
            Some(wrk) => generators.push(wrk),
            None => say("wrk is not on the PATH: no ratio (Debian: apt-get install wrk)"),
        }
        match Generator::oha() {
            Some(oha) => generators.push(oha),
            None => say("oha is not on the PATH: no ratio (cargo install oha)"),
        }
    }
    let measure = |generator: &Generator, n_vus, seconds| {
        let load = Load {
            n_vus,
            seconds,
            n_workers: 1,
        };
        generator.run(&target, load, &cores, &server, &scratch)
    };
    say(&format!(
        "{} against a canned server{}, {}, {} answers {}; server on {}, generator on {}; \
         {} rounds of {} s, medians\n",
        arguments.program,
        if arguments.tls { " over TLS" } else { "" },
        arguments.protocol.0,
        if arguments.sse { "SSE" } else { "JSON" },
        match arguments.delay.0 {
            Duration::ZERO => "at once".to_string(),
            delay => format!("after {delay:?}"),
        },
        cores.server_text(),
        cores.generator_text(),
        arguments.rounds,
        arguments.seconds,
    ));
    // What a user adds is told from what the program takes without any.
    let alone = measure(&generators[0], 1, arguments.seconds.min(2))?;
    say(&table::heading());
    let mut n_broken = 0;
    for &n_vus in &arguments.vus.0 {
        let mut group = Group::new(n_vus, alone.peak_kib);
        for _ in 0..arguments.rounds {
            let round = generators
                .iter()
                .map(|generator| {
                    measure(generator, n_vus, arguments.seconds)
                        .inspect_err(|error| {
                            say(&format!("{} at {n_vus}: {error}", generator.name()))
                        })
                        .inspect_err(|_| n_broken += 1)
                        .ok()
                })
                .collect::<Vec<Option<Figures>>>();
            group.add(round);
        }
        let names = generators.iter().map(Generator::name);
        say(&group.render(&names.collect::<Vec<_>>()));
    }
    say(table::LEGEND);
    match n_broken {
        0 => Ok(()),
        _ => Err(format!("{n_broken} runs gave no figures")),
    }
}

/// A line on standard output; that nobody reads it is no reason to stop.
fn say(line: &str) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}
