//! The command line: what was typed, which command that is, and its exit code.
//!
//! The only module that knows all others by name, and how none of them works.
//! Each command has a file; `args.rs` holds what can be typed.

mod args;
mod browser;
mod calibrate;
mod check;
mod common;
mod compare;
mod completions;
mod demo;
pub mod exit;
mod find;
mod help;
mod init;
mod login;
mod man;
mod oauth;
mod options;
mod outputs;
mod reference;
mod report;
mod run;
mod schema;
mod secrets;
mod signals;
mod sinks;
mod trial;
mod words;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic;
use std::process::ExitCode;

use argh::FromArgs;

use crate::error::UserError;
use crate::terminal::{ColorChoice, Line, Role, Terminal};
use args::{CommandArgs, LoadTest};
use common::no_stdout;
use help::print_help;
use secrets::{given_secrets, secrets_of_environment};
use words::{Instead, is_own_binary, mistake, normalize, program_name};

/// Runs the program. `args` are those of the process, with its name first. May
/// be called more than once in a process.
pub fn main(args: impl IntoIterator<Item = std::ffi::OsString>) -> ExitCode {
    let terminal = Terminal::detect(ColorChoice::Auto);
    let before = panic::take_hook();
    tell_of_panics(&terminal);
    signals::outlive_large_files();
    let code = run_command_line(args, &terminal);
    panic::set_hook(before);
    ExitCode::from(code)
}

/// Lets panics be told as other faults are: a text in their message may hold a secret.
fn tell_of_panics(terminal: &Terminal) {
    let terminal = terminal.clone();
    panic::set_hook(Box::new(move |fault| {
        terminal.print_error(&panicked(fault))
    }));
}

/// A fault of the program itself.
fn panicked(fault: &panic::PanicHookInfo<'_>) -> UserError {
    let place = fault
        .location()
        .map_or(String::new(), |place| format!(" at {place}"));
    let payload = fault.payload();
    let why = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no reason told");
    let trace = Backtrace::capture();
    let trace = match trace.status() {
        BacktraceStatus::Captured => format!("\n{trace}"),
        _ => String::new(),
    };
    UserError::could_not_run(format!("this program failed{place}: {why}{trace}"))
        .hint("that is a fault of ours: please report it, with the command line")
}

fn run_command_line(args: impl IntoIterator<Item = std::ffi::OsString>, terminal: &Terminal) -> u8 {
    let mut words = Vec::new();
    for arg in args {
        match arg.into_string() {
            Ok(word) => words.push(word),
            // Not shown, since it may be a secret.
            Err(_) => {
                let fault =
                    UserError::usage(format!("argument {} is not valid UTF-8", words.len()));
                terminal.print_error(&fault);
                return exit::USAGE;
            }
        }
    }
    let secrets = given_secrets(&words, secrets_of_environment());
    terminal.hide(secrets.iter().map(String::as_str));
    let program = words.first().cloned().unwrap_or_default();
    let own_words = words.get(1..).unwrap_or_default();
    let name = program_name(&program, own_words);
    terminal.call_it(&name);
    let typed = match normalize(&program, own_words) {
        Ok(typed) => typed,
        Err(answer) => return say(answer, terminal),
    };
    let typed: Vec<&str> = typed.iter().map(String::as_str).collect();
    match LoadTest::from_args(&[&name], &typed) {
        Ok(load_test) => dispatch(load_test, &words, terminal),
        // Help goes to stdout, a mistake to stderr with what would have been right.
        Err(early) if early.status.is_ok() => {
            let mut words = typed.iter().copied();
            let command = words.find(|word| args::commands().contains(word));
            code_of(print_help(terminal, command.unwrap_or_default()), terminal)
        }
        Err(early) => say(Instead::Wrong(mistake(&early, &typed)), terminal),
    }
}

fn dispatch(load_test: LoadTest, words: &[String], terminal: &Terminal) -> u8 {
    if load_test.version {
        return say(Instead::Version, terminal);
    }
    let Some(command) = load_test.command else {
        return say(Instead::Help, terminal);
    };
    let terminal = &command.terminal(terminal);
    if command.reads_stdin() && terminal.stdin_is_terminal() {
        terminal.print_notice("reads what you type here, until Ctrl-D; Ctrl-C ends the program");
    }
    let result = match command {
        CommandArgs::Run(args) => run::run(args, words, terminal),
        CommandArgs::Find(args) => find::find(args, words, terminal),
        CommandArgs::Init(args) => init::init(args, terminal),
        CommandArgs::Login(args) => login::login(args, terminal),
        CommandArgs::Check(args) => check::check(&args, terminal),
        CommandArgs::Try(args) => trial::trial(args, terminal),
        CommandArgs::Calibrate(args) => calibrate::calibrate(args, words, terminal),
        CommandArgs::Report(args) => report::report(&args, terminal),
        CommandArgs::Compare(args) => compare::compare(args, words, terminal),
        CommandArgs::Demo(args) => demo::demo(args, terminal),
        CommandArgs::Schema(args) => schema::schema(&args, terminal),
        CommandArgs::Completions(args) => {
            let program = words.first().map_or("", String::as_str);
            completions::completions(&args, is_own_binary(program), terminal)
        }
        CommandArgs::Man(_) => man::man(terminal),
    };
    result.unwrap_or_else(|error| {
        terminal.print_error(&error);
        exit::of_error(&error)
    })
}

fn say(answer: Instead, terminal: &Terminal) -> u8 {
    match answer {
        Instead::Version => {
            let line = format!("pmcp-loadtest {}", env!("CARGO_PKG_VERSION"));
            let printed = terminal.print(&[Line::of(Role::Plain, line)]);
            code_of(printed.map_err(|error| no_stdout(&error)), terminal)
        }
        Instead::Help => code_of(print_help(terminal, ""), terminal),
        Instead::Wrong(error) => code_of(Err(error), terminal),
    }
}

/// Tells what went wrong, if anything did.
fn code_of(done: Result<(), UserError>, terminal: &Terminal) -> u8 {
    match done {
        Ok(()) => exit::PASSED,
        Err(error) => {
            terminal.print_error(&error);
            exit::of_error(&error)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::thread;

    use super::*;

    /// In a process of its own, since a process has one hook.
    #[test]
    fn a_panic_shows_no_secret() {
        const CHILD: &str = "PMCP_TEST_OF_PANICS";
        const SECRET: &str = "panic-geheim-1";
        if std::env::var_os(CHILD).is_some() {
            let terminal = Terminal::detect(ColorChoice::Auto);
            tell_of_panics(&terminal);
            terminal.hide([SECRET]);
            let ended = thread::spawn(|| panic!("of a thread: {SECRET}")).join();
            assert!(ended.is_err());
            panic!("{{\"token\": \"{SECRET}\"}}");
        }
        let this = std::env::current_exe().expect("this program");
        let test = "cli::tests::a_panic_shows_no_secret";
        let output = Command::new(this)
            .args(["--exact", test, "--nocapture"])
            .env(CHILD, "1")
            .env("RUST_BACKTRACE", "1")
            .output()
            .expect("the child ran");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert_eq!(said.matches("this program failed at").count(), 2, "{said}");
        assert!(said.contains("of a thread: ***"), "{said}");
        assert!(said.contains("{\"token\": \"***\"}"), "{said}");
        assert!(said.contains("that is a fault of ours"), "{said}");
        assert!(!said.contains("geheim"), "{said}");
    }

    #[test]
    fn it_can_be_called_more_than_once() {
        let terminal = Terminal::detect(ColorChoice::Auto);
        let version = ["cargo-pmcp", "loadtest", "--version"];
        let call = || run_command_line(version.map(Into::into), &terminal);
        assert_eq!((call(), call()), (exit::PASSED, exit::PASSED));
    }
}
