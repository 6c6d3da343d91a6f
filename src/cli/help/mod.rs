//! Help: what it says is a page (`page.rs`), made of what the parser knows; here it is
//! laid out for a terminal.

mod groups;
mod page;

use argh::ArgsInfo;

use super::args::LoadTest;
use super::common::no_stdout;
use crate::error::UserError;
use crate::terminal::{Line, Role, Terminal, display_width};
pub(super) use page::{HelpBlock, HelpExample, HelpPage, HelpTerm, first_clause};

/// The columns of a pipe or a file.
const COLUMNS_DEFAULT: usize = 80;

/// Longer lines are hard to read.
const COLUMNS_MAX: usize = 100;

/// Where meanings begin, at most: a term that is longer has a line of its own.
const MEANINGS_FROM_MAX: usize = 28;

/// Shows the help of a command; of the program for any other word.
///
/// # Errors
/// Where stdout refuses it.
pub(super) fn print_help(terminal: &Terminal, command: &str) -> Result<(), UserError> {
    let columns = terminal.stdout_layout().columns;
    let lines = help_lines(&page_of(command), columns);
    terminal.print(&lines).map_err(|error| no_stdout(&error))
}

/// The page of a command; of the program for any other word.
pub(super) fn page_of(command: &str) -> HelpPage {
    let program = LoadTest::get_args_info();
    match program.commands.iter().find(|of| of.name == command) {
        Some(of) => HelpPage::of_command(&of.command),
        None => HelpPage::of_program(&program),
    }
}

/// The pages of all commands, in their order.
pub(super) fn command_pages() -> Vec<HelpPage> {
    let commands = LoadTest::get_args_info().commands;
    let pages = commands.iter().map(|of| HelpPage::of_command(&of.command));
    pages.collect()
}

fn help_lines(page: &HelpPage, columns: Option<usize>) -> Vec<Line> {
    let columns = columns.unwrap_or(COLUMNS_DEFAULT).min(COLUMNS_MAX);
    let usage = Line::of(Role::Strong, "Usage: ").add(Role::Accent, page.name.as_str());
    let usage = usage.add(Role::Plain, format!(" {}", page.usage));
    let mut lines = usage.wrap(columns, 4.min(columns / 2));
    lines.push(Line::new());
    lines.extend(paragraph(&page.about, columns));
    for block in &page.blocks {
        lines.extend([Line::new(), heading(block.title)]);
        let from = meanings_from(block).min(columns / 2);
        for term in &block.terms {
            lines.extend(term_lines(term, from, columns));
        }
    }
    if !page.examples.is_empty() {
        lines.extend([Line::new(), heading("Examples")]);
    }
    for example in &page.examples {
        if let Some(about) = &example.about {
            let about = Line::of(Role::Plain, format!("  {about}:"));
            lines.extend(about.wrap(columns, 2));
        }
        // A command that is broken cannot be copied.
        let commands = example.commands.iter();
        lines.extend(commands.map(|it| {
            let line = Line::of(Role::Dim, "    $ ");
            line.add(Role::Accent, it.as_str())
        }));
    }
    for note in &page.notes {
        lines.push(Line::new());
        lines.extend(paragraph(note, columns));
    }
    lines
}

fn heading(title: &str) -> Line {
    Line::of(Role::Strong, format!("{title}:"))
}

fn paragraph(text: &str, columns: usize) -> Vec<Line> {
    Line::of(Role::Plain, text).wrap(columns, 0)
}

/// The column that the meanings of a block begin at.
fn meanings_from(block: &HelpBlock) -> usize {
    let widths = block.terms.iter().map(|term| display_width(&term.term) + 4);
    let fitting = widths.filter(|width| *width <= MEANINGS_FROM_MAX);
    fitting.max().unwrap_or(MEANINGS_FROM_MAX)
}

fn term_lines(term: &HelpTerm, from: usize, columns: usize) -> Vec<Line> {
    let named = Line::of(Role::Plain, "  ").add(Role::Accent, term.term.as_str());
    let width = named.width();
    if width + 2 <= from {
        let blanks = " ".repeat(from - width);
        let line = named.add(Role::Plain, format!("{blanks}{}", term.means));
        return line.wrap(columns, from);
    }
    let means = format!("{}{}", " ".repeat(from), term.means);
    let mut lines = named.wrap(columns, 4.min(columns / 2));
    lines.extend(Line::of(Role::Plain, means).wrap(columns, from));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::commands;

    #[test]
    fn help_is_as_wide_as_the_terminal_and_loses_nothing() {
        // A long word is broken where the terminal is narrower.
        let words = |lines: &[Line]| -> String {
            let text: String = lines.iter().map(Line::text).collect();
            text.split_whitespace().collect()
        };
        for command in commands().into_iter().chain([""]) {
            let page = page_of(command);
            let whole = words(&help_lines(&page, None));
            for columns in [40, 60, 80, 100, 200] {
                let lines = help_lines(&page, Some(columns));
                assert_eq!(words(&lines), whole, "{command} {columns}");
                for line in lines.iter().map(Line::text) {
                    let fits = display_width(&line) <= columns.min(COLUMNS_MAX);
                    assert!(fits || line.contains("$ "), "{columns}: {line}");
                }
            }
            assert!(!help_lines(&page, Some(1)).is_empty());
        }
    }

    #[test]
    fn a_term_that_is_long_stands_on_its_own_line() {
        let term = |term: &str| HelpTerm {
            term: term.to_string(),
            means: "what it means".to_string(),
        };
        let text = |of: &str, from| {
            let lines = term_lines(&term(of), from, 80);
            lines.iter().map(Line::text).collect::<Vec<_>>()
        };
        assert_eq!(
            text("-c, --vus <n>", 20),
            ["  -c, --vus <n>     what it means"]
        );
        assert_eq!(
            text("    --oauth-client-secret <secret>", 20),
            [
                "      --oauth-client-secret <secret>",
                "                    what it means"
            ]
        );
    }
}
