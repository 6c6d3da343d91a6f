//! The words of a command line: from what was typed to what the parser takes, and
//! from what the parser says to what the user reads.

use std::path::Path;

use argh::EarlyExit;

use super::args::{self, commands, flags};
use crate::error::{UserError, nearest, shortened};
use crate::files::STDIN;
use crate::terminal::COMMAND;

/// Something to say instead of running a command.
pub(super) enum Instead {
    Version,
    Help,
    Wrong(UserError),
}

/// What the user calls the program by.
pub(super) fn program_name(program: &str, words: &[String]) -> String {
    if !is_own_binary(program) {
        return COMMAND.to_string();
    }
    let stem = stem(program);
    // Cargo says the name once more.
    match words.first() {
        Some(first) if first == OWN_NAME => format!("cargo {OWN_NAME}"),
        _ => stem,
    }
}

/// The program that has no other commands.
const OWN_NAME: &str = "pmcp-loadtest";

/// Whether the program is the binary that has no other commands.
pub(super) fn is_own_binary(program: &str) -> bool {
    stem(program).ends_with(OWN_NAME)
}

fn stem(program: &str) -> String {
    Path::new(program)
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// `cargo-pmcp pmcp loadtest …` as cargo calls it, `cargo-pmcp loadtest …` as
/// people do, and `cargo-pmcp-loadtest pmcp-loadtest …`: what follows is the
/// same. `--name=value` becomes two words, which is all the parser knows.
pub(super) fn normalize(program: &str, words: &[String]) -> Result<Vec<String>, Instead> {
    let mut rest = words;
    let is_own_binary = is_own_binary(program);
    if let [first, more @ ..] = rest
        && (first == "pmcp" || first == OWN_NAME)
    {
        rest = more;
    }
    match rest {
        [first, more @ ..] if first == "loadtest" => rest = more,
        _ if is_own_binary => {}
        [] => return Err(Instead::Help),
        [flag, ..] if flag == "--version" || flag == "-V" => return Err(Instead::Version),
        [flag, ..] if matches!(flag.as_str(), "--help" | "-h" | "help") => {
            return Err(Instead::Help);
        }
        [other, ..] => {
            let error = UserError::usage(format!(
                "unknown command `{}`",
                shortened(&without_value(other))
            ))
            .hint("the command is `loadtest`: `cargo pmcp loadtest --help`");
            return Err(Instead::Wrong(error));
        }
    }
    if rest.first().is_some_and(|flag| flag == "-V") {
        return Err(Instead::Version);
    }
    separated(rest).map_err(Instead::Wrong)
}

/// `--name=value`, `-HName: value` and `-c50` as two words, which is all the parser
/// knows. What follows a flag that takes a value, or `--`, is not read as a flag.
fn separated(words: &[String]) -> Result<Vec<String>, UserError> {
    let command = words.first().map_or("", String::as_str);
    let flags = flags(command);
    let takes_value = |name: &str| {
        let flag = flags.iter().find(|flag| flag.name == name);
        flag.map(|flag| flag.takes_value)
    };
    let takes_files = matches!(command, "report" | "compare" | "check" | "try");
    let mut separate = Vec::with_capacity(words.len());
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        if word == "--" {
            separate.push(word.clone());
            separate.extend(rest.cloned());
            break;
        }
        // `-HName: value`, as curl takes it.
        if let Some((short, value)) =
            split_short(word).filter(|(name, _)| takes_value(name) == Some(true))
        {
            separate.extend([short.to_string(), value.to_string()]);
            continue;
        }
        let Some((name, value)) = split_value(word) else {
            // The parser takes a lone `-` for a flag.
            separate.push(match word.as_str() {
                "-" if takes_files => STDIN.to_string(),
                _ => word.clone(),
            });
            if takes_value(word) == Some(true) {
                let value = rest.next();
                let is_flag = |value: &&String| {
                    let name = split_value(value).map_or(value.as_str(), |(name, _)| name);
                    takes_value(name).is_some()
                };
                // Whoever forgot a value would find out by what it did.
                if let Some(next) = value.filter(is_flag) {
                    return Err(value_forgotten(word, next));
                }
                separate.extend(value.cloned());
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

/// A flag is followed by another, where its value belongs.
fn value_forgotten(flag: &str, next: &str) -> UserError {
    let between = if flag.starts_with("--") { "=" } else { "" };
    let next = split_value(next).map_or(next, |(name, _)| name);
    UserError::usage(format!(
        "`{flag}` takes a value, and `{next}` behind it is a flag"
    ))
    .hint(format!(
        "if the value is meant to be `{next}`, write both as one word: `{flag}{between}{next}`"
    ))
}

/// A short flag and the value that is written behind its letter.
fn split_short(word: &str) -> Option<(&str, &str)> {
    let mut chars = word.char_indices().skip(1);
    let (_, letter) = chars.next()?;
    let (at, behind) = chars.next()?;
    let is_short = word.starts_with('-') && letter.is_ascii_alphabetic() && behind != '=';
    is_short.then(|| word.split_at(at))
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

/// The mistake that the parser found.
pub(super) fn mistake(early: &EarlyExit, typed: &[&str]) -> UserError {
    let text = early.output.trim();
    let command = typed.first().copied().unwrap_or_default();
    let command = match commands().contains(&command) {
        true => command,
        false => "",
    };
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
    error.hint(format!("see `{COMMAND}{command} --help`"))
}

/// The parser's message in our words: `--vus: …`. The parser repeats the value that
/// it could not read, which may be a secret; ours repeats only what is not secret.
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
    for value in typed {
        let of_value = text
            .strip_prefix("Error parsing positional argument '")
            .and_then(|rest| rest.split_once("' with value '"))
            .and_then(|(name, rest)| Some((name, rest.strip_prefix(value)?)))
            .and_then(|(name, rest)| Some((name, rest.strip_prefix("': ")?)));
        if let Some((name, why)) = of_value {
            return format!("{name}: {}", head(why));
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
            let near = nearest(word, commands())?;
            return Some(format!("did you mean `{near}`?"));
        }
        return match command {
            "run" | "find" | "init" => Some(format!(
                "`{command}` takes one argument, the server's address; quote what has blanks in it"
            )),
            _ => None,
        };
    }
    if matches!(command, "check" | "try") && word == "--config" {
        return Some(format!(
            "`{command}` takes the config as an argument: `{command} FILE`"
        ));
    }
    if matches!(command, "find" | "calibrate") && matches!(word, "--segment" | "--start-at") {
        return Some(format!(
            "`{word}` is a flag of `run`: what `{command}` does next follows from what this host \
             measured, so it is not divided among hosts"
        ));
    }
    let has_it = |command: &&str| flags(command).iter().any(|flag| flag.name == word);
    if let Some(owner) = commands().into_iter().find(has_it) {
        return Some(match command {
            "" => format!("flags follow their command: `{COMMAND} {owner} {word} …`"),
            _ => format!("`{word}` is a flag of `{owner}`"),
        });
    }
    let near = args::nearest_flag(word, command)?;
    Some(format!("did you mean `{near}`?"))
}

/// The word that the parser did not know.
fn unknown_word(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once(UNKNOWN)?;
    rest.split_whitespace().next()
}

/// What the parser says of a word that it did not know.
const UNKNOWN: &str = "Unrecognized argument: ";

/// An unknown word, as it may be shown: what follows a name in it may be a secret.
fn without_value(word: &str) -> String {
    if word.starts_with("http://") || word.starts_with("https://") {
        return crate::address::shown(word);
    }
    match word.find([':', '=']) {
        Some(at) if at + 1 < word.len() => format!("{}…", &word[..=at]),
        _ => word.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use argh::FromArgs;

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
            Some(&["run", "-h"]),
        );
        check("cargo-pmcp", &["loadtest", "-h"], Some(&["-h"]));
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
        check(
            &["run", "-c50", "-d", "-c5", "-c=5", "-é5", "-"],
            &["run", "-c", "50", "-d", "-c5", "-c=5", "-é5", "-"],
        );
        check(
            &["report", "a", "-", "--output", "-"],
            &["report", "a", STDIN, "--output", "-"],
        );
        check(
            &["run", "--tool=--live", "-o--live", "--tool", "--lives"],
            &[
                "run", "--tool", "--live", "-o", "--live", "--tool", "--lives",
            ],
        );
        let words = ["run", "--demo=true"].map(String::from);
        let error = separated(&words).expect_err("a switch");
        assert_eq!(error.what(), "`--demo` takes no value");
    }

    /// Of every flag that takes a value, whichever flag of its command comes next.
    #[test]
    fn a_flag_is_not_taken_for_the_value_of_another() {
        let mut n_checked = 0;
        for command in commands() {
            let flags = flags(command);
            for pair in flags.windows(2).filter(|pair| pair[0].takes_value) {
                let (flag, next) = (&pair[0].name, &pair[1].name);
                let words = [command, flag, next].map(String::from);
                let error = separated(&words).expect_err("a flag without its value");
                let expected = format!("`{flag}` takes a value, and `{next}` behind it is a flag");
                assert_eq!(error.what(), expected);
                n_checked += 1;
            }
        }
        assert!(n_checked > 100, "{n_checked}");
        let words = ["run", "--api-key", "--header=X: secret99"].map(String::from);
        let error = separated(&words).expect_err("a flag without its value");
        assert_eq!(
            error.what(),
            "`--api-key` takes a value, and `--header` behind it is a flag"
        );
        assert_eq!(
            error.hints(),
            [
                "if the value is meant to be `--header`, write both as one word: \
              `--api-key=--header`"
            ]
        );
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
    fn a_wrong_argument_is_told_as_a_wrong_flag_is() {
        let typed = ["completions", "tcsh"];
        let Err(early) = args::LoadTest::from_args(&["x"], &typed) else {
            panic!("a shell of ours");
        };
        let error = mistake(&early, &typed);
        let expected = "shell: `tcsh` is not a shell; accepted are ";
        assert!(error.what().starts_with(expected), "{}", error.what());
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
        for other in ["--no-progress", "--no-tui", "--silent"] {
            check(other, "run", Some("did you mean `--live off`?"));
            check(other, "find", Some("did you mean `--live off`?"));
        }
        check("--rps", "run", Some("did you mean `--rate`?"));
        check(
            "--deadline",
            "run",
            Some("`--deadline` is a flag of `find`"),
        );
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
}
