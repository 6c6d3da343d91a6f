//! What the help of a command says, as a model that the terminal and the man page are made
//! of. All of it is read from the parser; [`super::groups`] says where a flag stands.
//!
//! Does not know widths, colours or files.

use argh::{CommandInfoWithArgs, ErrorCodeInfo, FlagInfo, FlagInfoKind, Optionality};

use super::groups::{GROUPS, VARIABLES};
use crate::report::FormatChoice;
use crate::terminal::COMMAND;

/// The help of a command, or of the program.
pub(crate) struct HelpPage {
    /// As it is typed: `cargo pmcp loadtest run`.
    pub(crate) name: String,
    /// What follows the name: `[URL] [options]`.
    pub(crate) usage: String,
    /// What it does.
    pub(crate) about: String,
    pub(crate) blocks: Vec<HelpBlock>,
    pub(crate) examples: Vec<HelpExample>,
    pub(crate) notes: Vec<String>,
}

/// Terms under a title, each with what it means.
pub(crate) struct HelpBlock {
    pub(crate) title: &'static str,
    pub(crate) terms: Vec<HelpTerm>,
}

/// An argument, a flag, a command, a variable or an exit code.
pub(crate) struct HelpTerm {
    /// As it is typed, `-c, --vus <n>`; where others of the block have a short form and
    /// this one has none, with blanks in its place.
    pub(crate) term: String,
    pub(crate) means: String,
}

/// Commands, with what they are an example of, unless that is plain.
pub(crate) struct HelpExample {
    pub(crate) about: Option<String>,
    pub(crate) commands: Vec<String>,
}

impl HelpPage {
    /// The page of the program itself.
    pub(crate) fn of_program(program: &CommandInfoWithArgs) -> Self {
        let commands = program.commands.iter().map(|of| HelpTerm {
            term: of.name.to_string(),
            means: first_clause(of.command.description).to_string(),
        });
        let commands = HelpBlock {
            title: "Commands",
            terms: commands.collect(),
        };
        let mut page = Self::new(COMMAND.to_string(), "<command> [options]", program);
        page.blocks.insert(0, commands);
        page
    }

    /// The page of a command.
    pub(crate) fn of_command(command: &CommandInfoWithArgs) -> Self {
        let arguments = command.positionals.iter().map(|it| {
            let name = it.name.to_uppercase();
            match it.optionality {
                Optionality::Required => format!("<{name}> "),
                Optionality::Optional => format!("[{name}] "),
                Optionality::Repeating | Optionality::Greedy => format!("[{name}…] "),
            }
        });
        let arguments: Vec<String> = arguments.collect();
        let usage = format!("{}[options]", arguments.concat());
        let mut page = Self::new(format!("{COMMAND} {}", command.name), &usage, command);
        let terms = command.positionals.iter().zip(arguments);
        let terms = terms.map(|(it, term)| HelpTerm {
            term: term.trim_end().to_string(),
            means: it.description.to_string(),
        });
        let arguments = HelpBlock {
            title: "Arguments",
            terms: terms.collect(),
        };
        if !arguments.terms.is_empty() {
            page.blocks.insert(0, arguments);
        }
        page
    }

    fn new(name: String, usage: &str, info: &CommandInfoWithArgs) -> Self {
        let filled = |text: &&str| in_words(text, &name);
        let examples = info.examples.iter().map(filled);
        let mut blocks = flag_blocks(info);
        let has = |flag: &str| {
            info.flags
                .iter()
                .any(|it| it.long.trim_start_matches('-') == flag)
        };
        blocks.push(HelpBlock {
            title: "Environment",
            terms: variables(has),
        });
        blocks.push(HelpBlock {
            title: "Exit codes",
            terms: info.error_codes.iter().map(exit_code).collect(),
        });
        blocks.retain(|block| !block.terms.is_empty());
        Self {
            usage: usage.to_string(),
            about: info.description.to_string(),
            blocks,
            examples: examples.map(|text| example(&text)).collect(),
            notes: info.notes.iter().map(filled).collect(),
            name,
        }
    }
}

/// The flags by their groups. One that no group has would stand at the end; a test says
/// that there is none.
fn flag_blocks(info: &CommandInfoWithArgs) -> Vec<HelpBlock> {
    let shown = || info.flags.iter().filter(|flag| !flag.hidden);
    let mut blocks: Vec<HelpBlock> = Vec::new();
    for (title, names) in GROUPS {
        let of_group = names.split_whitespace();
        let flags = of_group.filter_map(|name| shown().find(|flag| bare(flag) == name));
        let terms = flags.map(|flag| flag_term(info.name, flag)).collect();
        blocks.push(HelpBlock { title, terms });
    }
    let others = shown().filter(|flag| group_of(bare(flag)).is_none());
    blocks.push(HelpBlock {
        title: "More",
        terms: others.map(|flag| flag_term(info.name, flag)).collect(),
    });
    blocks
}

/// The title of a flag's group.
pub(super) fn group_of(flag: &str) -> Option<&'static str> {
    let has = |names: &str| names.split_whitespace().any(|name| name == flag);
    let group = GROUPS.iter().find(|(_, names)| has(names));
    group.map(|(title, _)| *title)
}

fn bare<'a>(flag: &FlagInfo<'a>) -> &'a str {
    flag.long.trim_start_matches('-')
}

fn flag_term(command: &str, flag: &FlagInfo<'_>) -> HelpTerm {
    let short = match (flag.short, flag.long) {
        (Some(letter), _) => format!("-{letter}, "),
        // The parser tells only the long name of its own flag.
        (None, "--help") => "-h, ".to_string(),
        (None, _) => "    ".to_string(),
    };
    let value = match flag.kind {
        FlagInfoKind::Switch => String::new(),
        FlagInfoKind::Option { arg_name } => format!(" <{arg_name}>"),
    };
    HelpTerm {
        term: format!("{short}{}{value}", flag.long),
        means: meaning(command, flag),
    }
}

/// What a flag means. The formats are listed from their own table.
fn meaning(command: &str, flag: &FlagInfo<'_>) -> String {
    let formats = match (command, flag.long) {
        ("report", "--format") => FormatChoice::WORDS,
        ("compare", "--format") => FormatChoice::OF_COMPARISONS,
        _ => return flag.description.to_string(),
    };
    let names: Vec<&str> = formats.iter().map(|(name, _)| *name).collect();
    let names = format!(": {};", names.join(", "));
    flag.description.replacen(';', &names, 1)
}

fn variables(has: impl Fn(&str) -> bool) -> Vec<HelpTerm> {
    let variables = VARIABLES.iter().filter(|(flag, ..)| has(flag));
    let terms = variables.map(|(_, name, means)| HelpTerm {
        term: (*name).to_string(),
        means: (*means).to_string(),
    });
    terms.collect()
}

fn exit_code(of: &ErrorCodeInfo<'_>) -> HelpTerm {
    HelpTerm {
        term: of.code.to_string(),
        means: of.description.to_string(),
    }
}

/// A text of the parser's attributes, where braces are doubled and `{command_name}` is
/// the command.
fn in_words(text: &str, name: &str) -> String {
    let text = text.replace("{command_name}", name);
    text.replace("{{", "{").replace("}}", "}")
}

/// `What it shows:` on a line of its own, and commands, each behind `$ `.
fn example(text: &str) -> HelpExample {
    let mut example = HelpExample {
        about: None,
        commands: Vec::new(),
    };
    for line in text.lines().map(str::trim) {
        match line.strip_prefix("$ ") {
            Some(command) => example.commands.push(command.to_string()),
            None => example.about = Some(line.trim_end_matches(':').to_string()),
        }
    }
    example
}

/// What a description says before it says more.
pub(crate) fn first_clause(text: &str) -> &str {
    let ends = [": ", ". "].into_iter().filter_map(|end| text.find(end));
    let end = ends.min().unwrap_or(text.len());
    text[..end].trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use argh::ArgsInfo;

    use super::*;
    use crate::cli::args::LoadTest;

    #[test]
    fn each_flag_stands_in_one_group_and_each_name_of_a_group_is_a_flag() {
        let program = LoadTest::get_args_info();
        let of_commands = program.commands.iter().flat_map(|of| of.command.flags);
        let mut flags: Vec<&str> = of_commands.chain(program.flags).map(bare).collect();
        flags.sort_unstable();
        flags.dedup();
        for flag in &flags {
            assert!(
                group_of(flag).is_some(),
                "--{flag} has no group: add it to `GROUPS` in cli/help/groups.rs"
            );
        }
        let names = GROUPS
            .iter()
            .flat_map(|(_, names)| names.split_whitespace());
        let mut names: Vec<&str> = names.collect();
        names.sort_unstable();
        assert_eq!(names, flags, "a name is no flag, or stands twice");
    }

    /// Words such as `MCP_API_KEY` in what flags say.
    #[test]
    fn a_variable_that_a_flag_tells_of_is_in_the_table() {
        let program = LoadTest::get_args_info();
        let mut n_named = 0;
        for flag in program.commands.iter().flat_map(|of| of.command.flags) {
            let is_of_variable = |c: char| c.is_ascii_uppercase() || c == '_';
            let words = flag.description.split(|c| !is_of_variable(c));
            for word in words.filter(|word| word.len() > 4 && word.contains('_')) {
                let is_known = VARIABLES
                    .iter()
                    .any(|(_, name, means)| *name == word || means.contains(word));
                assert!(is_known, "{}: {word} is not in `VARIABLES`", flag.long);
                n_named += 1;
            }
        }
        assert!(n_named > 5, "{n_named}");
        for (flag, name, _) in VARIABLES {
            assert!(group_of(flag).is_some(), "{name}: no flag --{flag}");
        }
    }

    #[test]
    fn a_page_has_what_the_parser_knows() {
        let program = LoadTest::get_args_info();
        for of in &program.commands {
            let page = HelpPage::of_command(&of.command);
            assert!(page.name.ends_with(of.name), "{}", page.name);
            let terms = page.blocks.iter().flat_map(|block| &block.terms);
            let terms: Vec<&str> = terms.map(|term| term.term.as_str()).collect();
            for flag in of.command.flags {
                let term = terms.iter().find(|term| {
                    let mut words = term.split([' ', ',']);
                    words.any(|word| word == flag.long)
                });
                assert!(term.is_some(), "{} {}", of.name, flag.long);
            }
            assert_eq!(page.examples.len(), of.command.examples.len());
            for example in &page.examples {
                assert!(!example.commands.is_empty(), "{}", of.name);
                let text = example.commands.concat();
                assert!(!text.contains("{{") && !text.contains("{command"), "{text}");
            }
        }
    }

    #[test]
    fn a_list_has_the_first_clause() {
        let check = |text, expected| assert_eq!(first_clause(text), expected);
        check("Runs a load test. Without a config", "Runs a load test");
        check("Validates a config: prints the plan.", "Validates a config");
        check("Prints it.", "Prints it");
    }
}
