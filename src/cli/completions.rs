//! `completions`: scripts for shells, which `argh_complete` writes of the parser's flags.
//!
//! It writes for one program by its name. Here its scripts are made to hold for what cargo
//! is asked for (`cargo pmcp loadtest …`), too, and mended where a shell would offer
//! nothing: the end-to-end tests try each in its shell.

use std::cell::RefCell;
use std::collections::BTreeSet;

use argh::{ArgsInfo, CommandInfoWithArgs, SubCommandInfo};
use argh_complete::Generator;
use argh_complete::bash::Bash;
use argh_complete::fish::Fish;
use argh_complete::nushell::Nushell;
use argh_complete::zsh::Zsh;

use super::args::{Completions, LoadTest, ShellName, choices};
use super::common::write_to_stdout;
use super::exit;
use super::help::first_clause;
use crate::error::UserError;
use crate::terminal::Terminal;

/// `is_own_binary`: the program is the binary that has no other commands.
pub(super) fn completions(
    args: &Completions,
    is_own_binary: bool,
    terminal: &Terminal,
) -> Result<u8, UserError> {
    let called = match is_own_binary {
        false => &Called {
            program: "cargo-pmcp",
            of_cargo: "pmcp",
            words: &["loadtest"],
        },
        true => &Called {
            program: "cargo-pmcp-loadtest",
            of_cargo: "pmcp-loadtest",
            words: &[],
        },
    };
    let text = match args.shell {
        ShellName::Bash => called.bash(),
        ShellName::Zsh => called.zsh(),
        ShellName::Fish => called.fish(),
        ShellName::Nushell => called.nushell(),
    };
    write_to_stdout(&text, terminal)?;
    Ok(exit::PASSED)
}

/// How the program is called.
struct Called {
    program: &'static str,
    /// What follows `cargo`.
    of_cargo: &'static str,
    /// What comes before the commands, in both.
    words: &'static [&'static str],
}

impl Called {
    fn bash(&self) -> String {
        let script = Bash::generate(self.program, &below(self.words));
        // It takes any word for a command, such as the one behind `--tool`.
        let n_words = self.words.len() + 2;
        let first = format!("\"${{COMP_WORDS[@]:0:{n_words}}}\"");
        let script = script.replace("in ${COMP_WORDS[@]};", &format!("in {first};"));
        // Its `--` would be in the way of words and files: bash offers these where there is
        // nothing else.
        let flags = BASH_ALL.replace(" ${cmds}", "");
        let by_word = format!("if [[ ${{cur}} == -* ]]; then {flags}; else {BASH_COMMANDS}");
        let script = script.replace(BASH_ALL, &by_word);
        let (mut command, mut flag) = (String::new(), String::new());
        let find = |line: &str| {
            let line = line.trim();
            if line == "COMPREPLY=()" || line.ends_with(BASH_COMMANDS) {
                return Some((command.clone(), flag.clone()));
            }
            match line.strip_suffix(')') {
                Some("*") => flag.clear(),
                Some(flags) if flags.starts_with("--") => {
                    flag = flags.split(' ').next().unwrap_or_default().to_string();
                }
                Some(name) => command = name.rsplit('_').next().unwrap_or_default().to_string(),
                None => {}
            }
            None
        };
        let script = with_choices(&script, find, |line, words| {
            let offered = format!("COMPREPLY=( $(compgen -W \"{words}\" -- \"${{cur}}\") )");
            let line = line.replace("COMPREPLY=()", &offered);
            line.replace("\"${cmds}\"", &format!("\"{words}\""))
        });
        let of_cargo = BASH_OF_CARGO.replace("PROGRAM", self.program);
        script + &of_cargo.replace("OF_CARGO", self.of_cargo)
    }

    fn zsh(&self) -> String {
        let script = Zsh::generate(self.program, &below(self.words));
        // It offers nothing for values and arguments. Files are what the other shells offer.
        let script = script.replace("': :'", "':value:_files'");
        let mut command = String::new();
        let find = |line: &str| {
            if let Some(name) = line.strip_suffix("() {") {
                command = name.rsplit('_').next().unwrap_or_default().to_string();
            }
            if line == ZSH_FILES {
                return Some((command.clone(), String::new()));
            }
            let (_, long) = line.split_once("--")?;
            let mut name = long.split(|c: char| c != '-' && !c.is_ascii_alphanumeric());
            Some((command.clone(), format!("--{}", name.next()?)))
        };
        let script = script.replace("        && return 0", ZSH_FILES);
        with_choices(&script, find, |line, words| {
            let line = line.replace("':value:_files'", &format!("':value:({words})'"));
            line.replace("'*:file:_files'", &format!("':argument:({words})'"))
        })
    }

    fn fish(&self) -> String {
        let of_cargo = [&[self.of_cargo], self.words].concat();
        let name = format!("__fish_cargo_{}_using_command", self.of_cargo);
        let script = Fish::generate("cargo", &below(&of_cargo));
        let script = script.replace("__fish_cargo_using_command", &name);
        let own = Fish::generate(self.program, &below(self.words));
        mended_fish(&own, self.words.len() + 1) + &mended_fish(&script, of_cargo.len() + 1)
    }

    fn nushell(&self) -> String {
        let program = below(self.words);
        let of_cargo = format!("cargo {}", self.of_cargo);
        let script =
            Nushell::generate(self.program, &program) + &Nushell::generate(&of_cargo, &program);
        let mut command = String::new();
        let find = |line: &str| {
            if let Some(name) = line.strip_prefix("export extern \"") {
                let name = name.trim_end_matches("\" [");
                command = name.rsplit(' ').next()?.to_string();
            }
            let (name, _) = line.trim_start().split_once(": string")?;
            let flag = name.split('(').next().filter(|name| name.starts_with("--"));
            Some((command.clone(), flag.unwrap_or_default().to_string()))
        };
        // Words come from a command of its own, which each list has once.
        let lists = RefCell::new(BTreeSet::new());
        let script = with_choices(&script, find, |line, words| {
            lists.borrow_mut().insert(words.to_string());
            let completed = format!(": string@\"nu-complete {} {words}\"", self.program);
            line.replacen(": string", &completed, 1)
        });
        let lists = lists.into_inner();
        let lists = lists.iter().map(|words| {
            let quoted = format!("\"{}\"", words.replace(' ', "\" \""));
            let name = format!("nu-complete {} {words}", self.program);
            format!("def \"{name}\" [] {{ [ {quoted} ] }}\n")
        });
        lists.collect::<String>() + "\n" + &script
    }
}

/// What offers a command's flags and the commands below it, in the script for bash.
const BASH_ALL: &str = "COMPREPLY=( $(compgen -W \"${opts} ${cmds}\" -- \"${cur}\") )";

/// Where flags are offered only for a word that begins like one, the rest of it.
const BASH_COMMANDS: &str = "COMPREPLY=( $(compgen -W \"${cmds}\" -- \"${cur}\") ); fi";

/// What offers files, in the script for zsh.
const ZSH_FILES: &str = "        '*:file:_files' && return 0";

/// `n_words` lead to a command.
fn mended_fish(script: &str, n_words: usize) -> String {
    // Known to fish 4 only; what is known to all is the same here.
    let script = script.replace("commandline -xpc", "commandline -opc");
    // It would offer a command's flags only as long as no argument is there.
    let is_other = "test $count_cleaned -ne $count_target";
    let is_short = format!(
        "test $count_cleaned -lt $count_target; or begin; \
         test $count_target -lt {n_words}; and {is_other}; end"
    );
    let script = script.replace(is_other, &is_short);
    // Where a command takes no argument, its flags may take files all the same.
    let script = script.replace(" -f -l ", " -l ");
    let find = |line: &str| {
        let (condition, rest) = line.split_once("' ")?;
        let (_, long) = line.split_once(" -l ").filter(|_| !rest.is_empty())?;
        let command = condition.rsplit(' ').next()?.to_string();
        match long.split(' ').next()? {
            // Each command has it once: its line brings another, for the argument.
            "help" => Some((command, String::new())),
            flag => Some((command, format!("--{flag}"))),
        }
    };
    with_choices(&script, find, |line, words| {
        match line.split_once(" -l help ") {
            Some((condition, _)) => format!("{line}\n{condition} -f -a '{words}'"),
            None => line.replacen(" -r ", &format!(" -x -a '{words}' "), 1),
        }
    })
}

/// The script with the words that flags and arguments take, where they take no others: its
/// generator knows flags, but not their values. `find` says of which command's flag a line is
/// (`""`: of its argument), and `put` puts the words into it.
fn with_choices(
    script: &str,
    mut find: impl FnMut(&str) -> Option<(String, String)>,
    put: impl Fn(&str, &str) -> String,
) -> String {
    let mut whole = String::with_capacity(script.len());
    for line in script.lines() {
        let words = find(line).map_or(Vec::new(), |(command, flag)| choices(&command, &flag));
        match words.is_empty() {
            true => whole.push_str(line),
            false => whole.push_str(&put(line, &words.join(" "))),
        }
        whole.push('\n');
    }
    whole
}

/// Cargo's own completion knows no other subcommands; it is asked for all but ours.
const BASH_OF_CARGO: &str = r#"
_cargo_or_OF_CARGO() {
    if [[ $COMP_CWORD -ge 2 && ${COMP_WORDS[1]} == OF_CARGO ]]; then
        COMP_WORDS=(PROGRAM "${COMP_WORDS[@]:2}")
        COMP_CWORD=$((COMP_CWORD - 1))
        _PROGRAM
        return
    fi
    if ! declare -F _cargo > /dev/null && command -v rustc > /dev/null; then
        source "$(rustc --print sysroot)/etc/bash_completion.d/cargo" 2> /dev/null
        complete -F _cargo_or_OF_CARGO -o bashdefault -o default cargo
    fi
    # It asks for what the package bash-completion brings.
    if declare -F _cargo > /dev/null && declare -F _get_comp_words_by_ref > /dev/null; then
        _cargo "$@"
    fi
}
complete -F _cargo_or_OF_CARGO -o bashdefault -o default cargo
"#;

/// What there is to complete behind these words.
fn below(words: &[&'static str]) -> CommandInfoWithArgs {
    let mut command = LoadTest::get_args_info();
    for of in &mut command.commands {
        // All of a description would fill the screen.
        of.command.description = first_clause(of.command.description);
    }
    for name in words.iter().rev() {
        command.name = name;
        let commands = vec![SubCommandInfo { name, command }];
        command = CommandInfoWithArgs {
            commands,
            ..CommandInfoWithArgs::default()
        };
    }
    command
}
