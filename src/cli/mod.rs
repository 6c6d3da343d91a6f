//! The command line: what was typed, which command that is, and its exit code.
//!
//! The only module that knows all others by name, and how none of them works.
//! Each command has a file; `args.rs` holds what can be typed.

mod args;
mod calibrate;
mod check;
mod demo;
pub mod exit;
mod find;
mod init;
mod options;
mod run;
mod signals;

use std::path::Path;
use std::process::ExitCode;

use argh::{EarlyExit, FromArgs};

use crate::error::UserError;
use crate::terminal::{ColorChoice, Line, Terminal};
use args::{Command, LoadTest};

/// Runs the program. `args` are those of the process, with its name first. May
/// be called more than once in a process.
pub fn main(args: impl IntoIterator<Item = std::ffi::OsString>) -> ExitCode {
    ExitCode::from(run_command_line(args))
}

fn run_command_line(args: impl IntoIterator<Item = std::ffi::OsString>) -> u8 {
    let mut words = Vec::new();
    for arg in args {
        match arg.into_string() {
            Ok(word) => words.push(word),
            // Not shown, since it may be a secret.
            Err(_) => {
                let fault =
                    UserError::usage(format!("argument {} is not valid UTF-8", words.len()));
                Terminal::detect(ColorChoice::Auto).print_error(&fault);
                return exit::USAGE;
            }
        }
    }
    let program = words.first().cloned().unwrap_or_default();
    let typed = match normalize(&program, words.get(1..).unwrap_or_default()) {
        Ok(typed) => typed,
        Err(answer) => return answer.print(),
    };
    let typed: Vec<&str> = typed.iter().map(String::as_str).collect();
    match LoadTest::from_args(&["cargo pmcp loadtest"], &typed) {
        Ok(load_test) => dispatch(load_test, &words),
        Err(early) => answer_early(&early, &typed),
    }
}

fn dispatch(load_test: LoadTest, words: &[String]) -> u8 {
    if load_test.version {
        return Answer::Version.print();
    }
    let Some(command) = load_test.command else {
        return Answer::Help.print();
    };
    let result = match command {
        Command::Run(args) => run::run(*args, words),
        Command::Find(args) => find::find(*args, words),
        Command::Init(args) => init::init(args),
        Command::Check(args) => check::check(args),
        Command::Calibrate(args) => calibrate::calibrate(args, words),
        Command::Demo(args) => demo::demo(args),
    };
    match result {
        Ok(code) => code,
        Err(Failed { error, color }) => {
            Terminal::detect(color).print_error(&error);
            exit::of_error(&error)
        }
    }
}

/// An error, and how it is to be shown.
struct Failed {
    error: UserError,
    color: ColorChoice,
}

/// What a command gives back.
type CommandResult = Result<u8, Failed>;

/// Adds the colour choice to an error, on its way out of a command.
fn shown_in(color: ColorChoice) -> impl Fn(UserError) -> Failed {
    move |error| Failed { error, color }
}

/// Something to say instead of running a command.
enum Answer {
    Version,
    Help,
    Wrong(UserError),
}

impl Answer {
    fn print(self) -> u8 {
        let terminal = Terminal::detect(ColorChoice::Auto);
        match self {
            Self::Version => {
                let line = format!("pmcp-loadtest {}", env!("CARGO_PKG_VERSION"));
                let _ = terminal.print(&[Line::of(crate::terminal::Role::Plain, line)]);
                exit::PASSED
            }
            Self::Help => {
                print_text(&terminal, &help_text());
                exit::PASSED
            }
            Self::Wrong(error) => {
                terminal.print_error(&error);
                exit::USAGE
            }
        }
    }
}

/// `cargo-pmcp pmcp loadtest …` as cargo calls it, `cargo-pmcp loadtest …` as
/// people do, and `cargo-pmcp-loadtest pmcp-loadtest …`: what follows is the
/// same. `--name=value` becomes two words, which is all the parser knows.
fn normalize(program: &str, words: &[String]) -> Result<Vec<String>, Answer> {
    let name = Path::new(program)
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default();
    let mut rest = words;
    let is_own_binary = name.ends_with("pmcp-loadtest");
    if let [first, more @ ..] = rest
        && (first == "pmcp" || first == "pmcp-loadtest")
    {
        rest = more;
    }
    match rest {
        [first, more @ ..] if first == "loadtest" => rest = more,
        _ if is_own_binary => {}
        [] => return Err(Answer::Help),
        [flag, ..] if flag == "--version" || flag == "-V" => return Err(Answer::Version),
        [flag, ..] if matches!(flag.as_str(), "--help" | "-h" | "help") => {
            return Err(Answer::Help);
        }
        [other, ..] => {
            let error = UserError::usage(format!("unknown command `{other}`"))
                .hint("the command is `loadtest`: `cargo pmcp loadtest --help`");
            return Err(Answer::Wrong(error));
        }
    }
    if rest.first().is_some_and(|flag| flag == "-V") {
        return Err(Answer::Version);
    }
    // The parser knows no short form of `--help`.
    if let [commands @ .., last] = rest
        && last == "-h"
        && commands.len() <= 1
    {
        let help = std::iter::once("--help".to_string());
        return Ok(commands.iter().cloned().chain(help).collect());
    }
    Ok(rest.iter().flat_map(|word| split_value(word)).collect())
}

fn split_value(word: &str) -> Vec<String> {
    if let Some(flag) = word.strip_prefix("--")
        && let Some((name, value)) = flag.split_once('=')
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_lowercase() || c == '-')
    {
        return vec![format!("--{name}"), value.to_string()];
    }
    vec![word.to_string()]
}

/// Help goes to stdout, a mistake to stderr with what would have been right.
fn answer_early(early: &EarlyExit, typed: &[&str]) -> u8 {
    let terminal = Terminal::detect(ColorChoice::Auto);
    if early.status.is_ok() {
        print_text(&terminal, &early.output);
        return exit::PASSED;
    }
    let text = early.output.trim();
    let (what, _) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut what = without_secret(what.trim_end_matches('.'));
    if let Some(first) = what.get(..1) {
        what = first.to_lowercase() + &what[1..];
    }
    let command = typed
        .first()
        .filter(|word| args::COMMANDS.contains(word))
        .map_or(String::new(), |word| format!(" {word}"));
    let mut error = UserError::usage(what);
    if let Some(word) = unknown_word(text)
        && let Some(near) = args::nearest_word(word, typed)
    {
        error = error.hint(match near == word {
            true => format!("`{word}` goes with another command"),
            false => format!("did you mean `{near}`?"),
        });
    }
    terminal.print_error(&error.hint(format!("see `cargo pmcp loadtest{command} --help`")));
    exit::USAGE
}

/// The parser repeats the value that it could not read, which may be a secret.
fn without_secret(what: &str) -> String {
    let is_secret = ["-H", "--header", "--api-key"]
        .iter()
        .any(|flag| what.contains(&format!("option '{flag}' with value '")));
    match what.split_once(" with value '") {
        Some((head, rest)) if is_secret => match rest.rsplit_once("': ") {
            Some((_, why)) => format!("{head}: {why}"),
            None => head.to_string(),
        },
        _ => what.to_string(),
    }
}

/// The word that the parser did not know.
fn unknown_word(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("Unrecognized argument: ")?;
    rest.split_whitespace().next()
}

fn help_text() -> String {
    match LoadTest::from_args(&["cargo pmcp loadtest"], &["--help"]) {
        Err(early) => early.output,
        Ok(_) => String::new(),
    }
}

fn print_text(terminal: &Terminal, text: &str) {
    let columns = terminal.stdout_layout().columns;
    let lines: Vec<Line> = help_lines(text, columns)
        .into_iter()
        .map(|line| Line::of(crate::terminal::Role::Plain, line))
        .collect();
    // Help that nobody reads any more is no fault.
    let _ = terminal.print(&lines);
}

/// The parser lays its help out for eighty columns, but for the usage, which is
/// one line. A terminal gets both as wide as it is.
fn help_lines(text: &str, columns: Option<usize>) -> Vec<String> {
    const DESCRIPTIONS_FROM: usize = 20;
    const READABLE_MAX: usize = 100;
    let Some(columns) = columns else {
        return text.trim_end().lines().map(str::to_string).collect();
    };
    let columns = columns.min(READABLE_MAX);
    let continues = " ".repeat(DESCRIPTIONS_FROM);
    let mut whole: Vec<String> = Vec::new();
    for line in text.trim_end().lines() {
        match (line.strip_prefix(&continues), whole.last_mut()) {
            (Some(more), Some(last)) => *last += &format!(" {}", more.trim_start()),
            _ => whole.push(line.to_string()),
        }
    }
    let indent = |line: &str| match line.get(..DESCRIPTIONS_FROM) {
        Some(name) if name.starts_with("  ") && name.ends_with("  ") => {
            DESCRIPTIONS_FROM.min(columns / 2)
        }
        _ if line.starts_with("  ") || line.starts_with("Usage:") => 4,
        _ => 0,
    };
    let lines = whole.iter().flat_map(|line| {
        let whole = Line::of(crate::terminal::Role::Plain, line);
        match line.trim_start().starts_with("$ ") {
            // A command that is broken cannot be copied.
            true => vec![whole],
            false => whole.wrap(columns, indent(line)),
        }
    });
    lines.map(|line| line.text()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_as_wide_as_the_terminal() {
        let help = help_text();
        assert_eq!(help_lines(&help, None).join("\n"), help.trim_end());
        let words = |lines: &[String]| -> Vec<String> {
            let words = lines.iter().flat_map(|line| line.split_whitespace());
            words.map(str::to_string).collect()
        };
        let whole = words(&help_lines(&help, None));
        for columns in [40, 60, 80, 200] {
            let lines = help_lines(&help, Some(columns));
            assert_eq!(words(&lines), whole, "{columns}");
            for line in &lines {
                let is_command = line.contains("$ cargo");
                assert!(is_command || line.len() <= columns, "{columns}: {line}");
            }
        }
        assert!(!help_lines(&help, Some(1)).is_empty());
    }

    fn check(program: &str, words: &[&str], expected: Option<&[&str]>) {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        let typed = normalize(program, &words).ok();
        let expected =
            expected.map(|words| words.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(typed, expected, "{program} {words:?}");
    }

    #[test]
    fn all_ways_to_call_it_are_the_same() {
        let run: &[&str] = &["run", "--vus", "5"];
        check(
            "cargo-pmcp",
            &["pmcp", "loadtest", "run", "--vus", "5"],
            Some(run),
        );
        check(
            "/bin/cargo-pmcp",
            &["loadtest", "run", "--vus=5"],
            Some(run),
        );
        check(
            "cargo-pmcp-loadtest",
            &["pmcp-loadtest", "run", "--vus", "5"],
            Some(run),
        );
        check("cargo-pmcp-loadtest.exe", &["run", "--vus", "5"], Some(run));
        check(
            "cargo-pmcp-loadtest",
            &["loadtest", "run", "--vus", "5"],
            Some(run),
        );
        check(
            "cargo-pmcp",
            &["loadtest", "run", "-h"],
            Some(&["run", "--help"]),
        );
        check("cargo-pmcp", &["loadtest", "-h"], Some(&["--help"]));
        check("cargo-pmcp", &["run"], None);
        check("cargo-pmcp", &[], None);
    }

    #[test]
    fn only_flags_are_split() {
        let same = ["--args", r#"{"a":"b=c"}"#, "-H", "X: a=b", "http://x/?a=b"];
        for word in same {
            assert_eq!(split_value(word), [word]);
        }
        assert_eq!(
            split_value("--args={\"a\":\"=\"}"),
            ["--args", "{\"a\":\"=\"}"]
        );
    }

    #[test]
    fn it_can_be_called_more_than_once() {
        let call = || run_command_line(["cargo-pmcp", "loadtest", "--version"].map(Into::into));
        assert_eq!((call(), call()), (exit::PASSED, exit::PASSED));
    }
}
