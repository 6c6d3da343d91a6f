//! `man`: the manual of all commands, in roff, made of the pages that `--help` shows.

use roff::{Inline, Roff, bold, italic, roman};

use super::common::write_to_stdout;
use super::exit;
use super::help::{HelpBlock, HelpExample, HelpPage, command_pages, page_of};
use crate::error::UserError;
use crate::terminal::Terminal;

pub(super) fn man(terminal: &Terminal) -> Result<u8, UserError> {
    let text = manual();
    write_to_stdout(&text, terminal)?;
    Ok(exit::PASSED)
}

/// A version and its date: that of a build would make another page of the same sources.
const VERSION: (&str, &str) = ("0.1.0", "2026-11-28");

fn manual() -> String {
    let program = page_of("");
    let mut roff = Roff::new();
    let source = concat!("pmcp-loadtest ", env!("CARGO_PKG_VERSION"));
    roff.control("TH", ["CARGO-PMCP-LOADTEST", "1", VERSION.1, source]);
    roff.control("SH", ["NAME"]);
    roff.text([roman(
        "cargo-pmcp-loadtest - load tests MCP (Model Context Protocol) servers",
    )]);
    roff.control("SH", ["SYNOPSIS"]);
    roff.text(synopsis(&program));
    roff.control("SH", ["DESCRIPTION"]);
    roff.text([roman(program.about.as_str())]);
    write_blocks(&mut roff, &program, "SH");
    for page in command_pages() {
        let title = page
            .name
            .rsplit(' ')
            .next()
            .unwrap_or_default()
            .to_uppercase();
        roff.control("SH", [title.as_str()]);
        roff.text(synopsis(&page));
        roff.control("PP", []);
        roff.text([roman(page.about.as_str())]);
        write_blocks(&mut roff, &page, "SS");
    }
    roff.control("SH", ["FILES"]);
    for (name, means) in FILES {
        write_term(&mut roff, [italic(name)], means);
    }
    // What is no ASCII is written by its name: not each reader takes UTF-8.
    roff.render().replace('…', "\\[u2026]")
}

/// What a user finds on disk.
const FILES: [(&str, &str); 3] = [
    (
        ".pmcp/loadtest.toml",
        "the config, here or in a folder above",
    ),
    (
        ".pmcp/reports/",
        "the JSON reports, where no place is named",
    ),
    (
        "~/.pmcp/oauth-cache.json",
        "the tokens of `login`, which cargo-pmcp shares",
    ),
];

fn synopsis(page: &HelpPage) -> [Inline; 2] {
    [bold(page.name.as_str()), roman(format!(" {}", page.usage))]
}

fn write_blocks(roff: &mut Roff, page: &HelpPage, heading: &str) {
    let title_of = |title: &str| match heading {
        "SH" => title.to_uppercase(),
        _ => title.to_string(),
    };
    for HelpBlock { title, terms } in &page.blocks {
        roff.control(heading, [title_of(title).as_str()]);
        for term in terms {
            write_term(roff, words(term.term.trim_start()), &term.means);
        }
    }
    if !page.examples.is_empty() {
        roff.control(heading, [title_of("Examples").as_str()]);
    }
    for (i, HelpExample { about, commands }) in page.examples.iter().enumerate() {
        if i > 0 && about.is_some() {
            roff.control("PP", []);
        }
        if let Some(about) = about {
            roff.text([roman(format!("{about}:"))]);
        }
        // Commands keep their lines.
        roff.control("RS", ["4"]);
        roff.control("nf", []);
        for command in commands {
            roff.text([roman(command.as_str())]);
        }
        roff.control("fi", []);
        roff.control("RE", []);
    }
    for note in &page.notes {
        roff.control("PP", []);
        roff.text([roman(note.as_str())]);
    }
}

fn write_term(roff: &mut Roff, term: impl IntoIterator<Item = Inline>, means: &str) {
    roff.control("TP", []);
    roff.text(term.into_iter().collect::<Vec<_>>());
    roff.text([roman(means)]);
}

/// `-c, --vus <n>`: flags in bold, values in italics.
fn words(term: &str) -> Vec<Inline> {
    let mut words = Vec::new();
    for word in term.split_inclusive(' ') {
        words.push(match word.chars().next() {
            Some('<' | '[') => italic(word),
            _ => bold(word),
        });
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{commands, flags};

    #[test]
    fn the_date_is_that_of_this_version() {
        assert_eq!(VERSION.0, env!("CARGO_PKG_VERSION"), "give it its date");
    }

    #[test]
    fn the_manual_has_all_commands_and_flags() {
        let manual = manual().replace("\\-", "-");
        for command in commands() {
            let heading = format!(".SH {}\n", command.to_uppercase());
            let (_, rest) = manual.split_once(&heading).expect(command);
            let section = rest.split("\n.SH ").next().expect("a section");
            for flag in flags(command) {
                assert!(section.contains(&flag.name), "{command} {}", flag.name);
            }
        }
        assert!(manual.contains(".SH \"EXIT CODES\"\n"), "{manual}");
    }
}
