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

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic;
use std::path::Path;
use std::process::ExitCode;

use argh::{EarlyExit, FromArgs};

use crate::error::{UserError, nearest};
use crate::terminal::{COMMAND, ColorChoice, Line, Terminal};
use args::{Command, LoadTest};
use options::{api_key_of_environment, given_secrets};

/// Runs the program. `args` are those of the process, with its name first. May
/// be called more than once in a process.
pub fn main(args: impl IntoIterator<Item = std::ffi::OsString>) -> ExitCode {
    let terminal = Terminal::detect(ColorChoice::Auto);
    // A text in a panic's message may hold a secret as any other may.
    let before = panic::take_hook();
    let of_panics = terminal.clone();
    panic::set_hook(Box::new(move |fault| {
        of_panics.print_error(&panicked(fault))
    }));
    let code = run_command_line(args, &terminal);
    panic::set_hook(before);
    ExitCode::from(code)
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
    let secrets = given_secrets(&words, api_key_of_environment());
    terminal.hide(secrets.iter().map(String::as_str));
    let program = words.first().cloned().unwrap_or_default();
    let own_words = words.get(1..).unwrap_or_default();
    let name = program_name(&program, own_words);
    terminal.call_it(&name);
    let typed = match normalize(&program, own_words) {
        Ok(typed) => typed,
        Err(answer) => return answer.print(terminal),
    };
    let typed: Vec<&str> = typed.iter().map(String::as_str).collect();
    match LoadTest::from_args(&[&name], &typed) {
        Ok(load_test) => dispatch(load_test, &words, terminal),
        Err(early) => answer_early(&early, &typed, terminal),
    }
}

fn dispatch(load_test: LoadTest, words: &[String], terminal: &Terminal) -> u8 {
    if load_test.version {
        return Answer::Version.print(terminal);
    }
    let Some(command) = load_test.command else {
        return Answer::Help.print(terminal);
    };
    let result = match command {
        Command::Run(args) => run::run(*args, words, terminal),
        Command::Find(args) => find::find(*args, words, terminal),
        Command::Init(args) => init::init(args, terminal),
        Command::Check(args) => check::check(args, terminal),
        Command::Calibrate(args) => calibrate::calibrate(args, words, terminal),
        Command::Demo(args) => demo::demo(args, terminal),
    };
    match result {
        Ok(code) => code,
        Err(Failed { error, color }) => {
            terminal.colored(color).print_error(&error);
            exit::of_error(&error)
        }
    }
}

/// What the user calls the program by.
fn program_name(program: &str, words: &[String]) -> String {
    let stem = stem(program);
    if !stem.ends_with(OWN_NAME) {
        return COMMAND.to_string();
    }
    // Cargo says the name once more.
    match words.first() {
        Some(first) if first == OWN_NAME => format!("cargo {OWN_NAME}"),
        _ => stem,
    }
}

/// The program that has no other commands.
const OWN_NAME: &str = "pmcp-loadtest";

fn stem(program: &str) -> String {
    Path::new(program)
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default()
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
    fn print(self, terminal: &Terminal) -> u8 {
        match self {
            Self::Version => {
                let line = format!("pmcp-loadtest {}", env!("CARGO_PKG_VERSION"));
                let _ = terminal.print(&[Line::of(crate::terminal::Role::Plain, line)]);
                exit::PASSED
            }
            Self::Help => {
                print_text(terminal, &help_text());
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
    let mut rest = words;
    let is_own_binary = stem(program).ends_with(OWN_NAME);
    if let [first, more @ ..] = rest
        && (first == "pmcp" || first == OWN_NAME)
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
            let error = UserError::usage(format!(
                "unknown command `{}`",
                shortened(&without_value(other))
            ))
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
    separated(rest).map_err(Answer::Wrong)
}

/// `--name=value` and `-HName: value` as two words, which is all the parser
/// knows. What follows a flag that takes a value, or `--`, is nobody's flag.
fn separated(words: &[String]) -> Result<Vec<String>, UserError> {
    let command = words.first().map_or("", String::as_str);
    let flags = args::flags(command);
    let takes_value = |name: &str| {
        let flag = flags.iter().find(|flag| flag.name == name);
        flag.map(|flag| flag.takes_value)
    };
    let mut separate = Vec::with_capacity(words.len());
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        if word == "--" {
            separate.push(word.clone());
            separate.extend(rest.cloned());
            break;
        }
        // `-HName: value`, as curl takes it.
        if let Some(header) = word.strip_prefix("-H").filter(|header| !header.is_empty())
            && !header.starts_with('=')
            && takes_value("-H") == Some(true)
        {
            separate.extend(["-H".to_string(), header.to_string()]);
            continue;
        }
        let Some((name, value)) = split_value(word) else {
            separate.push(word.clone());
            if takes_value(word) == Some(true) {
                separate.extend(rest.next().cloned());
            }
            continue;
        };
        if takes_value(name) == Some(false) {
            return Err(UserError::usage(format!("`{name}` takes no value")));
        }
        separate.extend([name.to_string(), value.to_string()]);
    }
    Ok(separate)
}

fn split_value(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let letters = name.strip_prefix("--")?;
    let is_flag = !letters.is_empty()
        && letters
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    is_flag.then_some((name, value))
}

/// Help goes to stdout, a mistake to stderr with what would have been right.
fn answer_early(early: &EarlyExit, typed: &[&str], terminal: &Terminal) -> u8 {
    if early.status.is_ok() {
        print_text(terminal, &early.output);
        return exit::PASSED;
    }
    let text = early.output.trim();
    let command = typed
        .first()
        .filter(|word| args::COMMANDS.contains(word))
        .copied()
        .unwrap_or_default();
    let mut error = UserError::usage(shortened(&wording(text, typed)));
    if let Some(word) = unknown_word(text)
        && let Some(hint) = hint_for(word, command, typed)
    {
        error = error.hint(hint);
    }
    let command = match command {
        "" => String::new(),
        command => format!(" {command}"),
    };
    terminal.print_error(&error.hint(format!("see `{COMMAND}{command} --help`")));
    exit::USAGE
}

/// The parser's words in ours: `--vus: …`. It repeats the value that it could not
/// read, which may be a secret; our own words do so where it is none.
fn wording(text: &str, typed: &[&str]) -> String {
    // Help follows, and may follow a value that has an empty line in it.
    let head = |text: &str| {
        let (head, _) = text.split_once("\n\n").unwrap_or((text, ""));
        head.trim_end_matches('.').to_string()
    };
    for pair in typed.windows(2) {
        let (flag, value) = (pair[0], pair[1]);
        let start = format!("Error parsing option '{flag}' with value '{value}': ");
        match text.strip_prefix(&start).map(head).as_deref() {
            Some("duplicate values provided") => return format!("`{flag}` is given twice"),
            Some(why) => return format!("{flag}: {why}"),
            None => {}
        }
    }
    if let Some(rest) = text.strip_prefix(UNKNOWN) {
        // The longest, where one word begins another.
        let words = typed.iter().filter(|word| rest.starts_with(**word));
        let word = words.max_by_key(|word| word.len()).copied();
        let word = word.or_else(|| unknown_word(text)).unwrap_or_default();
        return format!("unrecognized argument: {}", without_value(word));
    }
    let what = head(text);
    match what.get(..1) {
        Some(first) => first.to_lowercase() + &what[1..],
        None => String::new(),
    }
}

/// What may help with a word that the parser did not know.
fn hint_for(word: &str, command: &str, typed: &[&str]) -> Option<String> {
    if !word.starts_with('-') {
        if typed.first() == Some(&word) {
            let near = nearest(word, args::COMMANDS)?;
            return Some(format!("did you mean `{near}`?"));
        }
        return match command {
            "run" | "find" | "init" => Some(format!(
                "`{command}` takes one argument, the server's address; quote what has blanks in it"
            )),
            _ => None,
        };
    }
    let has_it = |command: &&str| args::flags(command).iter().any(|flag| flag.name == word);
    if command.is_empty()
        && let Some(owner) = args::COMMANDS.iter().find(|command| has_it(command))
    {
        return Some(format!(
            "flags follow their command: `{COMMAND} {owner} {word} …`"
        ));
    }
    if command == "check" && word == "--config" {
        return Some("`check` takes the config as an argument: `check FILE`".to_string());
    }
    if let Some(owner) = args::COMMANDS.iter().find(|command| has_it(command)) {
        return Some(format!("`{word}` is a flag of `{owner}`"));
    }
    let near = args::nearest_flag(word, command)?;
    Some(format!("did you mean `{near}`?"))
}

/// A message without the middle of a word that is too long to be read.
fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 400;
    const END_CHARS: usize = 120;
    let n_chars = text.chars().count();
    if n_chars <= CHARS_MAX {
        return text.to_string();
    }
    let head: String = text.chars().take(CHARS_MAX - END_CHARS).collect();
    let end: String = text.chars().skip(n_chars - END_CHARS).collect();
    format!("{head}…{end}")
}

/// The word that the parser did not know.
fn unknown_word(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once(UNKNOWN)?;
    rest.split_whitespace().next()
}

/// What the parser says of a word that it did not know.
const UNKNOWN: &str = "Unrecognized argument: ";

/// A word that nobody understood, as it may be shown: what follows a name in it
/// may be a secret.
fn without_value(word: &str) -> String {
    if word.starts_with("http://") || word.starts_with("https://") {
        return crate::address::shown(word);
    }
    match word.find([':', '=']) {
        Some(at) if at + 1 < word.len() => format!("{}…", &word[..=at]),
        _ => word.to_string(),
    }
}

fn help_text() -> String {
    match LoadTest::from_args(&[COMMAND], &["--help"]) {
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
        let check = |words: &[&str], expected: &[&str]| {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            let separate = separated(&words).expect("words that can be");
            assert_eq!(separate, expected, "{words:?}");
        };
        for same in [
            &[
                "run",
                "--args",
                r#"{"a":"b=c"}"#,
                "-H",
                "X: a=b",
                "http://x/?a=b",
            ][..],
            &["run", "--tool", "--x=y"],
            &["run", "--", "--vus=5"],
        ] {
            check(same, same);
        }
        check(
            &["run", "--args={\"a\":\"=\"}", "--unknown=5", "--max-p99=1s"],
            &[
                "run",
                "--args",
                "{\"a\":\"=\"}",
                "--unknown",
                "5",
                "--max-p99",
                "1s",
            ],
        );
        check(
            &["run", "-HA: b=c", "-H", "-HA: b", "-H=A: b"],
            &["run", "-H", "A: b=c", "-H", "-HA: b", "-H=A: b"],
        );
        check(&["demo", "-HA: b"], &["demo", "-HA: b"]);
        let words = ["run", "--demo=true"].map(String::from);
        let error = separated(&words).expect_err("a switch");
        assert_eq!(error.what(), "`--demo` takes no value");
    }

    #[test]
    fn what_follows_a_name_in_an_unknown_word_is_not_shown() {
        let check = |word: &str, expected: &str| {
            let text = format!("Unrecognized argument: {word}\n\nRun --help");
            let typed = ["run", "Bearer", word];
            let wording = wording(&text, &typed);
            assert_eq!(wording, format!("unrecognized argument: {expected}"));
        };
        check("Bearer=supersecret99", "Bearer=…");
        check("-HAuthorization: Bearer supersecret99", "-HAuthorization:…");
        check("X-Key:\n\nsupersecret99", "X-Key:…");
        check("http://x/mcp?a=b", "http://x/mcp?a=***");
        check("plain", "plain");
        check("--vsu", "--vsu");
    }

    #[test]
    fn hints_are_of_the_same_command() {
        let check = |word: &str, command: &str, expected: Option<&str>| {
            let hint = hint_for(word, command, &[command, word]);
            assert_eq!(hint.as_deref(), expected, "{command} {word}");
        };
        check("--vsu", "run", Some("did you mean `--vus`?"));
        check("--tools", "run", Some("did you mean `--tool`?"));
        check("--tools", "init", None);
        check("--assert", "run", None);
        check("--max-p99", "run", Some("`--max-p99` is a flag of `find`"));
        check("--port", "run", Some("`--port` is a flag of `demo`"));
        check(
            "--config",
            "check",
            Some("`check` takes the config as an argument: `check FILE`"),
        );
        check(
            "--stateless",
            "run",
            Some("`--stateless` is a flag of `demo`"),
        );
        check(
            "--vus",
            "",
            Some("flags follow their command: `cargo pmcp loadtest run --vus …`"),
        );
    }

    #[test]
    fn what_is_too_long_to_be_read_is_cut_in_its_middle() {
        assert_eq!(shortened("abc"), "abc");
        let text = shortened(&format!("a{}z", "é".repeat(1000)));
        assert_eq!(text.chars().count(), 401);
        assert!(text.starts_with('a') && text.ends_with('z'), "{text}");
    }

    #[test]
    fn the_program_is_called_by_the_name_that_was_typed() {
        let check = |program: &str, words: &[&str], expected: &str| {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            assert_eq!(program_name(program, &words), expected);
        };
        check(
            "/bin/cargo-pmcp",
            &["pmcp", "loadtest"],
            "cargo pmcp loadtest",
        );
        check("/bin/cargo-pmcp", &["loadtest"], "cargo pmcp loadtest");
        check("/bin/cargo-pmcp-loadtest", &["run"], "cargo-pmcp-loadtest");
        check(
            "cargo-pmcp-loadtest",
            &["pmcp-loadtest", "run"],
            "cargo pmcp-loadtest",
        );
    }

    #[test]
    fn it_can_be_called_more_than_once() {
        let terminal = Terminal::detect(ColorChoice::Auto);
        let version = ["cargo-pmcp", "loadtest", "--version"];
        let call = || run_command_line(version.map(Into::into), &terminal);
        assert_eq!((call(), call()), (exit::PASSED, exit::PASSED));
    }
}
