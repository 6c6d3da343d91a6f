//! What one whole call costs in instructions and allocations, and one more user in
//! memory, repeatably.
//!
//! ```text
//! cargo bench --profile profiling --bench step                  # all variants, beside the committed figures
//! cargo bench --profile profiling --bench step -- check         # fails where a call costs more than it may
//! cargo bench --profile profiling --bench step -- write         # commits the figures of this machine
//! cargo bench --profile profiling --bench step -- table         # whose instructions they are
//! cargo bench --profile profiling --bench step -- allocations   # each allocation of a call, and who makes it
//! ```
//!
//! The program itself runs under valgrind, with one user and one worker, against
//! a server in this process that answers at once. Callgrind counts instructions
//! in user space, of the worker's thread alone: rendering, `ureq`, our transport
//! and scheduler, reading and checking the answer, recording it. What the kernel
//! does, the server and the network are in no figure, nor is the time that
//! anything took, so a busy machine gives the same count as a quiet one. Two
//! runs with different numbers of calls are subtracted and divided: what comes
//! before and after the calls cancels out. A figure repeats within 0.1 %; ticks,
//! which come with time, can only add to it, so the least of three counts.
//!
//! What it is not: time. One user alone has its memory in the cache; with a
//! thousand users the same instructions take longer (`whole_program` measures
//! that). With one user there is one turn of the loop for each call, which many
//! users share. Valgrind gives no vDSO, so clock reads count as system calls:
//! some 40 instructions less for each than outside of it.
//!
//! The `profiling` profile is what ships, with debug information added, by which
//! instructions and allocations are told apart; the count is the same without.
//! A cheaper profile would not do: without LTO a call costs other instructions
//! in other places. `-- --program FILE` measures a binary that exists already.
//!
//! The figures in `instructions.toml` are those of one toolchain and one
//! processor family (the C library picks its `memcpy` by the processor).

#![allow(clippy::disallowed_methods, reason = "a benchmark measures")]

mod allocations;
mod callgrind;
mod committed;
mod memory;
mod origin;
#[path = "../whole_program/process.rs"]
#[allow(dead_code, reason = "whole_program needs the rest of it")]
mod process;
mod server;
mod valgrind;

use std::io::{self, Write};
use std::process::ExitCode;

use argh::FromArgs;

use committed::Committed;
use server::Variant;
use valgrind::Valgrind;

/// A call may cost so much more than committed, in percent.
const GROWTH_MAX_PERCENT: f64 = 5.0;

/// One more user may take so much more memory than committed, in percent.
const MEMORY_GROWTH_MAX_PERCENT: f64 = 20.0;

/// Measures what a call costs in instructions and allocations.
#[derive(FromArgs)]
struct Arguments {
    /// measure this binary rather than the one just built
    #[argh(option, arg_name = "file")]
    program: Option<String>,
    /// only variants whose name contains this
    #[argh(option, default = "String::new()", arg_name = "text")]
    only: String,
    /// measure so often, and show the spread; 1
    #[argh(option, default = "1", arg_name = "n")]
    rounds: usize,
    #[argh(subcommand)]
    command: Option<Command>,
}

#[derive(FromArgs)]
#[argh(subcommand)]
enum Command {
    Check(Check),
    Write(WriteFigures),
    Table(Table),
    Allocations(Allocations),
}

/// Fails where a call costs more than 5 % more instructions than committed, or
/// more allocations of our own, or one more user more than 20 % more memory; or where
/// templates or extraction cost more than they may beside the plain call.
#[derive(FromArgs)]
#[argh(subcommand, name = "check")]
struct Check {}

/// Writes the figures into `benches/step/instructions.toml`.
#[derive(FromArgs)]
#[argh(subcommand, name = "write")]
struct WriteFigures {}

/// Shows whose instructions a call takes.
#[derive(FromArgs)]
#[argh(subcommand, name = "table")]
struct Table {
    /// and so many functions with the most
    #[argh(option, default = "0", arg_name = "n")]
    functions: usize,
}

/// Lists the allocations of a call.
#[derive(FromArgs)]
#[argh(subcommand, name = "allocations")]
struct Allocations {}

fn main() -> ExitCode {
    let typed: Vec<String> = std::env::args()
        .skip(1)
        // Cargo's mark for benchmarks.
        .filter(|argument| argument != "--bench")
        .collect();
    let typed: Vec<&str> = typed.iter().map(String::as_str).collect();
    let arguments = match Arguments::from_args(&["step"], &typed) {
        Ok(arguments) => arguments,
        Err(exit) => {
            say(&exit.output);
            return match exit.status {
                Ok(()) => ExitCode::SUCCESS,
                Err(()) => ExitCode::from(2),
            };
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let program = match &arguments.program {
        Some(program) => program.clone(),
        // `cargo test --all-targets` comes here, unoptimised and in a hurry.
        None if cfg!(debug_assertions) => {
            say("nothing measured: not an optimised build; use `cargo bench`");
            return Ok(());
        }
        None => env!("CARGO_BIN_EXE_cargo-pmcp").to_string(),
    };
    let variants: Vec<Variant> = Variant::ALL
        .into_iter()
        .filter(|variant| variant.name().contains(&arguments.only))
        .collect();
    if variants.is_empty() {
        let known = Variant::ALL.map(Variant::name).join(", ");
        return Err(format!(
            "no variant has `{}` in its name: there are {known}",
            arguments.only
        ));
    }
    let valgrind = Valgrind::find(&program)?;
    match &arguments.command {
        None => show(&valgrind, &variants, arguments.rounds),
        Some(Command::Check(_)) => check(&valgrind, &program, &variants),
        Some(Command::Write(_)) if variants.len() < Variant::ALL.len() => {
            Err("`write` writes all variants: leave `--only` out".to_string())
        }
        Some(Command::Write(_)) => write(&valgrind, &program, &variants),
        Some(Command::Table(table)) => show_table(&valgrind, &variants, table.functions),
        Some(Command::Allocations(_)) => show_allocations(&valgrind, &variants),
    }
}

/// Instructions for each call, in as many rounds as are wanted.
fn show(valgrind: &Valgrind, variants: &[Variant], n_rounds: usize) -> Result<(), String> {
    let committed = Committed::read().ok();
    say(&format!(
        "{:<14} {:>12} {:>10} {:>8}",
        "instructions", "a call", "committed", "change"
    ));
    for &variant in variants {
        let mut figures = Vec::new();
        for _ in 0..n_rounds.max(1) {
            figures.push(valgrind.instructions(variant)?.per_call());
        }
        figures.sort_by(f64::total_cmp);
        let (least, most) = (figures[0], figures[figures.len() - 1]);
        let before = committed
            .as_ref()
            .and_then(|committed| committed.instructions.get(variant.name()).copied());
        let spread = match figures.len() {
            1 => String::new(),
            n => format!("   {n} rounds: spread {:.3} %", percent_above(most, least)),
        };
        say(&format!(
            "{:<14} {least:>12.0} {:>10} {:>8}{spread}",
            variant.name(),
            before.map_or("-".to_string(), |before| before.to_string()),
            before.map_or("-".to_string(), |before| format!(
                "{:+.2} %",
                percent_above(least, before as f64)
            )),
        ));
    }
    Ok(())
}

/// The least of three measurements, or the first that is within the limit.
fn least(valgrind: &Valgrind, variant: Variant, limit: Option<f64>) -> Result<f64, String> {
    const N_TRIES: usize = 3;
    let mut least = f64::INFINITY;
    for _ in 0..N_TRIES {
        least = least.min(valgrind.instructions(variant)?.per_call());
        if limit.is_some_and(|limit| least <= limit) {
            break;
        }
    }
    Ok(least)
}

fn percent_above(value: f64, base: f64) -> f64 {
    100.0 * (value - base) / base
}

fn check(valgrind: &Valgrind, program: &str, variants: &[Variant]) -> Result<(), String> {
    let committed = Committed::read()?;
    let mut faults = Vec::new();
    for &variant in variants {
        let name = variant.name();
        let Some(&before) = committed.instructions.get(name) else {
            faults.push(format!("{name}: no committed figure"));
            continue;
        };
        let limit = before as f64 * (1.0 + GROWTH_MAX_PERCENT / 100.0);
        let allowed = variant.most();
        let both = allowed.map_or(limit, |allowed| limit.min(allowed));
        let found = least(valgrind, variant, Some(both))?;
        let n_own = valgrind.allocations(variant)?.n_own_per_call();
        let growth = percent_above(found, before as f64);
        say(&format!(
            "{name:<14} {found:>8.0} instructions a call, {growth:+.2} % to {before}; \
             {n_own:.2} allocations of our own"
        ));
        if growth > GROWTH_MAX_PERCENT {
            faults.push(format!(
                "{name}: {found:.0} instructions a call, {growth:.1} % more than {before}"
            ));
        }
        if let Some(allowed) = allowed.filter(|allowed| found > *allowed) {
            faults.push(format!(
                "{name}: {found:.0} instructions a call, at most {allowed:.0} are allowed"
            ));
        }
        let allowed = committed.own_allocations.get(name).copied().unwrap_or(0);
        // Whatever happens at ticks is far below one for each call.
        if n_own.round() > allowed as f64 {
            faults.push(format!(
                "{name}: {n_own:.2} allocations of our own a call, committed are {allowed}; \
                 `-- allocations` lists them"
            ));
        }
    }
    if let Some(found) = memory::kib_per_user(program)? {
        let before = committed.kib_per_user;
        let growth = percent_above(found, before as f64);
        say(&format!(
            "one more user  {found:>8.1} KiB, {growth:+.1} % to {before}"
        ));
        if growth > MEMORY_GROWTH_MAX_PERCENT {
            faults.push(format!(
                "one more user takes {found:.1} KiB, {growth:.0} % more than {before}: look for \
                 a large value on the stack of what a call goes through"
            ));
        }
    }
    if faults.is_empty() {
        return Ok(());
    }
    let toolchain = committed::toolchain()?;
    if toolchain != committed.toolchain {
        faults.push(format!(
            "the figures were committed with {}, this is {toolchain}: the compiler may be \
             the reason",
            committed.toolchain
        ));
    }
    faults.push(
        "if the call has to cost that, commit it: \
         `cargo bench --profile profiling --bench step -- write`"
            .to_string(),
    );
    Err(faults.join("\n  "))
}

fn write(valgrind: &Valgrind, program: &str, variants: &[Variant]) -> Result<(), String> {
    let Some(kib_per_user) = memory::kib_per_user(program)? else {
        return Err("this system does not tell the memory of a process".to_string());
    };
    say(&format!("one more user  {kib_per_user:>8.1} KiB"));
    let mut figures = Committed {
        toolchain: committed::toolchain()?,
        kib_per_user: kib_per_user.round() as u64,
        ..Committed::default()
    };
    for &variant in variants {
        let name = variant.name().to_string();
        let n_instructions = least(valgrind, variant, None)?.round() as u64;
        let n_own = valgrind.allocations(variant)?.n_own_per_call().round() as u64;
        say(&format!(
            "{name:<14} {n_instructions:>8} instructions a call, {n_own} allocations of our own"
        ));
        figures.instructions.insert(name.clone(), n_instructions);
        figures.own_allocations.insert(name, n_own);
    }
    figures.write()
}

fn show_table(valgrind: &Valgrind, variants: &[Variant], n_functions: usize) -> Result<(), String> {
    let mut columns = Vec::new();
    for &variant in variants {
        columns.push((variant, valgrind.instructions(variant)?));
    }
    say(&callgrind::table(&columns));
    if n_functions > 0 {
        for (variant, difference) in &columns {
            say(&format!("\n{}", variant.name()));
            say(&difference.most_expensive(n_functions));
        }
    }
    Ok(())
}

fn show_allocations(valgrind: &Valgrind, variants: &[Variant]) -> Result<(), String> {
    for &variant in variants {
        say(&format!(
            "{}\n{}",
            variant.name(),
            valgrind.allocations(variant)?
        ));
    }
    Ok(())
}

/// A line on standard output; that nobody reads it is no reason to stop.
fn say(line: &str) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}
