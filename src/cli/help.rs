//! Help, and how it is laid out.

use argh::FromArgs;

use super::args::LoadTest;
use crate::terminal::{COMMAND, Line, Role, Terminal};

/// The help of the program.
pub(super) fn help_text() -> String {
    match LoadTest::from_args(&[COMMAND], &["--help"]) {
        Err(early) => early.output,
        Ok(_) => String::new(),
    }
}

/// Shows a help text.
pub(super) fn print_text(terminal: &Terminal, text: &str) {
    let columns = terminal.stdout_layout().columns;
    let lines: Vec<Line> = help_lines(text, columns)
        .into_iter()
        .map(|line| Line::of(Role::Plain, line))
        .collect();
    // A reader that has gone away is not an error.
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
        let whole = Line::of(Role::Plain, line);
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
}
