//! What the program writes to: colour or not, how wide, and the writers.
//!
//! It knows roles (a warning, a hint) and how each looks; it does not know
//! what is written. Start with [`Terminal`], which decides once from the flag
//! and the environment, and [`Line`], text in roles that fits a width.

mod text;

use std::io::{self, IsTerminal, Write};
use std::str::FromStr;

use termcolor::{Color, ColorSpec, StandardStream};

/// A stream that takes colours.
pub use termcolor::WriteColor;
pub use text::{Align, Line, cut, display_width, pad, wrap};

use crate::error::UserError;

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColorChoice {
    /// Where a terminal reads it and the environment does not forbid it.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl FromStr for ColorChoice {
    type Err = String;

    /// Reads `auto`, `always` or `never`.
    ///
    /// # Errors
    /// A message for the user that lists what is accepted.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "always" => Ok(Self::Always),
            "never" => Ok(Self::Never),
            _ => Err(format!(
                "`{text}` is not a colour choice; accepted are `auto`, `always`, `never`"
            )),
        }
    }
}

/// What a piece of text is, from which its colour follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// Ordinary text.
    #[default]
    Plain,
    /// A heading, or the one figure that matters.
    Strong,
    /// All is well.
    Success,
    /// To be looked at.
    Warning,
    /// Something failed.
    Error,
    /// What to try next.
    Hint,
    /// A name, a path, a bar.
    Accent,
    /// Of less weight.
    Dim,
}

impl Role {
    /// How the role looks where there is colour. Only the eight colours that
    /// every palette defines, so that it reads on dark and light grounds.
    pub fn color_spec(self) -> ColorSpec {
        let mut spec = ColorSpec::new();
        match self {
            Self::Plain => {}
            Self::Strong => {
                spec.set_bold(true);
            }
            Self::Success => {
                spec.set_fg(Some(Color::Green));
            }
            Self::Warning => {
                spec.set_fg(Some(Color::Yellow));
            }
            Self::Error => {
                spec.set_fg(Some(Color::Red)).set_bold(true);
            }
            Self::Hint => {
                spec.set_fg(Some(Color::Cyan)).set_bold(true);
            }
            Self::Accent => {
                spec.set_fg(Some(Color::Cyan));
            }
            Self::Dim => {
                spec.set_dimmed(true);
            }
        }
        spec
    }
}

/// The environment variables that matter here; `None`: not set, or not text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// Set and not empty: no colour (no-color.org).
    pub no_color: Option<String>,
    /// Set and neither empty nor `0`: colour without a terminal too.
    pub clicolor_force: Option<String>,
    /// `dumb`: a terminal that understands no control sequences.
    pub term: Option<String>,
    /// The width that the shell tells, where it exports it.
    pub columns: Option<String>,
}

impl Environment {
    /// As this process was given it.
    pub fn read() -> Self {
        let read = |name| std::env::var(name).ok();
        Self {
            no_color: read("NO_COLOR"),
            clicolor_force: read("CLICOLOR_FORCE"),
            term: read("TERM"),
            columns: read("COLUMNS"),
        }
    }

    /// Whether to colour a stream. The flag wins over the environment, and a
    /// wish for no colour over a wish for it.
    pub fn wants_color(&self, choice: ColorChoice, is_terminal: bool) -> bool {
        let is_set = |value: &Option<String>| value.as_deref().is_some_and(|v| !v.is_empty());
        match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto if is_set(&self.no_color) => false,
            ColorChoice::Auto if is_set(&self.clicolor_force) => {
                self.clicolor_force.as_deref() != Some("0") || (is_terminal && !self.is_dumb())
            }
            ColorChoice::Auto => is_terminal && !self.is_dumb(),
        }
    }

    /// The width of the terminal in columns.
    pub fn width(&self) -> usize {
        self.columns
            .as_deref()
            .and_then(|columns| columns.trim().parse().ok())
            .filter(|columns| (WIDTH_MIN..=WIDTH_MAX).contains(columns))
            .unwrap_or(WIDTH_DEFAULT)
    }

    /// Whether the terminal understands no control sequences.
    fn is_dumb(&self) -> bool {
        self.term.as_deref() == Some("dumb")
    }
}

/// The width where none is told, or the output is a file or a pipe.
pub const WIDTH_DEFAULT: usize = 80;

/// A narrower claim is a mistake, not a terminal.
const WIDTH_MIN: usize = 20;

/// A wider claim is a mistake, not a terminal.
const WIDTH_MAX: usize = 10_000;

/// The standard streams, with what was decided for each.
#[derive(Debug, Clone)]
pub struct Terminal {
    choice: ColorChoice,
    environment: Environment,
    stdout_is_terminal: bool,
    stderr_is_terminal: bool,
}

impl Terminal {
    /// From the flag and what this process was given.
    pub fn detect(choice: ColorChoice) -> Self {
        Self {
            choice,
            environment: Environment::read(),
            stdout_is_terminal: io::stdout().is_terminal(),
            stderr_is_terminal: io::stderr().is_terminal(),
        }
    }

    /// A writer to stdout, flushed at each newline.
    pub fn stdout(&self) -> StandardStream {
        StandardStream::stdout(self.color(self.stdout_is_terminal))
    }

    /// A writer to stderr, not buffered.
    pub fn stderr(&self) -> StandardStream {
        StandardStream::stderr(self.color(self.stderr_is_terminal))
    }

    /// Columns of stdout; [`WIDTH_DEFAULT`] where it is no terminal.
    pub fn stdout_width(&self) -> usize {
        self.width(self.stdout_is_terminal)
    }

    /// Columns of stderr; [`WIDTH_DEFAULT`] where it is no terminal.
    pub fn stderr_width(&self) -> usize {
        self.width(self.stderr_is_terminal)
    }

    /// Whether a line on stderr can be drawn again in its place: a terminal
    /// that understands control sequences reads it.
    pub fn stderr_is_redrawable(&self) -> bool {
        self.stderr_is_terminal && !self.environment.is_dumb()
    }

    /// Whether stdout is read by a terminal.
    pub fn stdout_is_terminal(&self) -> bool {
        self.stdout_is_terminal
    }

    /// Writes to stdout. A reader that has gone away is no fault of ours and
    /// passes in silence, as it does for any filter.
    ///
    /// # Errors
    /// Any other fault of the stream.
    pub fn print(&self, lines: &[Line]) -> io::Result<()> {
        let mut out = self.stdout();
        let written = write_lines(&mut out, lines).and_then(|()| out.flush());
        written.or_else(forgive_broken_pipe)
    }

    /// Shows an error on stderr. There is nobody to tell where that fails.
    pub fn print_error(&self, error: &UserError) {
        let _ = write_lines(&mut self.stderr(), &error_lines(error));
    }

    fn color(&self, is_terminal: bool) -> termcolor::ColorChoice {
        if self.environment.wants_color(self.choice, is_terminal) {
            termcolor::ColorChoice::Always
        } else {
            termcolor::ColorChoice::Never
        }
    }

    fn width(&self, is_terminal: bool) -> usize {
        if is_terminal {
            self.environment.width()
        } else {
            WIDTH_DEFAULT
        }
    }
}

/// Writes each line with its newline.
///
/// # Errors
/// Those of the writer.
pub fn write_lines(out: &mut dyn WriteColor, lines: &[Line]) -> io::Result<()> {
    for line in lines {
        line.write(out)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// `error: …` and each hint as a line of its own. Never cut: a user copies
/// commands and paths from here.
pub fn error_lines(error: &UserError) -> Vec<Line> {
    let mut lines = Vec::new();
    for (i, part) in error.what().lines().enumerate() {
        let line = if i == 0 {
            Line::new().add(Role::Error, "error: ")
        } else {
            Line::new()
        };
        lines.push(line.add(Role::Plain, part));
    }
    if !error.hints().is_empty() {
        lines.push(Line::new());
    }
    for hint in error.hints() {
        lines.push(
            Line::new()
                .add(Role::Hint, "hint: ")
                .add(Role::Plain, hint.as_str()),
        );
    }
    lines
}

/// A reader that has gone away ends the output, not the program.
///
/// # Errors
/// Any other error, as it came.
pub fn forgive_broken_pipe(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::BrokenPipe {
        Ok(())
    } else {
        Err(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use termcolor::NoColor;

    #[test]
    fn the_flag_wins_over_the_environment_and_no_over_yes() {
        let environment = |no_color: &str, force: &str, term: &str| Environment {
            no_color: Some(no_color.to_string()),
            clicolor_force: Some(force.to_string()),
            term: Some(term.to_string()),
            columns: None,
        };
        let check = |environment: &Environment, choice, is_terminal, expected| {
            assert_eq!(environment.wants_color(choice, is_terminal), expected);
        };
        let (auto, always, never) = (ColorChoice::Auto, ColorChoice::Always, ColorChoice::Never);
        let bare = Environment::default();
        check(&bare, auto, true, true);
        check(&bare, auto, false, false);
        check(&bare, always, false, true);
        check(&bare, never, true, false);
        let empty = environment("", "", "xterm");
        check(&empty, auto, true, true);
        check(&environment("1", "1", "xterm"), auto, true, false);
        check(&environment("1", "1", "xterm"), always, true, true);
        check(&environment("", "1", "dumb"), auto, false, true);
        check(&environment("", "0", "xterm"), auto, false, false);
        check(&environment("", "0", "xterm"), auto, true, true);
        check(&environment("", "", "dumb"), auto, true, false);
    }

    #[test]
    fn a_width_that_cannot_be_is_not_believed() {
        let check = |columns: Option<&str>, expected| {
            let environment = Environment {
                columns: columns.map(str::to_string),
                ..Environment::default()
            };
            assert_eq!(environment.width(), expected, "{columns:?}");
        };
        check(None, 80);
        check(Some("120"), 120);
        check(Some("0"), 80);
        check(Some("-3"), 80);
        check(Some("99999999999999999999"), 80);
    }

    #[test]
    fn errors_show_their_hints_below() {
        let error = UserError::usage("`--vus 0`\nis not possible").hint("give at least 1");
        let mut out = NoColor::new(Vec::new());
        write_lines(&mut out, &error_lines(&error)).expect("a vector takes all");
        assert_eq!(
            String::from_utf8_lossy(out.get_ref()),
            "error: `--vus 0`\nis not possible\n\nhint: give at least 1\n"
        );
    }

    #[test]
    fn a_reader_that_left_is_forgiven() {
        let check = |kind| forgive_broken_pipe(io::Error::from(kind)).is_ok();
        assert!(check(io::ErrorKind::BrokenPipe));
        assert!(!check(io::ErrorKind::StorageFull));
        assert!("auto".parse::<ColorChoice>().is_ok());
        assert!("purple".parse::<ColorChoice>().is_err());
    }
}
