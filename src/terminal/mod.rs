//! What the program writes to: colour or not, how wide, and the writers.
//!
//! It knows roles (a warning, a hint) and how each looks; it does not know
//! what is written. Start with [`Terminal`], which decides from the flag and
//! the environment, [`Layout`], what it says of a stream, and [`Line`], text in
//! roles that fits a width.

mod canvas;
mod chart;
mod clusters;
mod drawing;
mod guard;
mod names;
mod role;
mod streams;
mod text;

use std::io::{self, IsTerminal, Write};
use std::str::FromStr;

use termcolor::{Ansi, NoColor, StandardStream};

pub use canvas::{CLEAR, Canvas};
pub use chart::{Curve, MEETING};
pub use clusters::plain_names;
pub use drawing::Drawing;
pub use guard::{COMMAND, Guarded};
pub use names::shorten;
pub use role::Role;
pub use streams::{are_streams_taken, is_stderr_taken, n_bytes_typed};
/// A stream that takes colours.
pub use termcolor::WriteColor;
pub use text::{Align, Line, LongWords, cut, display_width, pad, wrap};

use crate::error::{UserError, choice};
use crate::redact::Redactor;
use guard::Guard;

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
        let choices = [
            ("auto", Self::Auto),
            ("always", Self::Always),
            ("never", Self::Never),
        ];
        choice(text, "a choice of colours", &choices)
    }
}

/// The variable that names the summary of a step of GitHub Actions.
pub const STEP_SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// The environment variables that matter here; `None`: not set, or not text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// Set and not empty: no colour (no-color.org).
    pub no_color: Option<String>,
    /// Set and neither empty nor `0`: colour without a terminal too.
    pub clicolor_force: Option<String>,
    /// `dumb`: a terminal that understands no control sequences.
    pub term: Option<String>,
    /// The width that the user asks for: shells do not export their own.
    pub columns: Option<String>,
    /// The locale's character set, from the first of `LC_ALL`, `LC_CTYPE` and
    /// `LANG` that is set and not empty.
    pub locale: Option<String>,
    /// `true`: a runner of GitHub Actions reads what is written, and takes lines that
    /// begin with `::` for commands.
    pub github_actions: Option<String>,
    /// Set and not empty: the same, for the summary of its step is there.
    pub github_step_summary: Option<String>,
    /// Set and neither empty, `0` nor `false`: a runner keeps what is written, and draws
    /// nothing of it again, whatever its terminal says.
    pub ci: Option<String>,
}

impl Environment {
    /// As this process was given it.
    pub fn read() -> Self {
        // What is set counts, whether it is UTF-8 or not.
        let read = |name| Some(std::env::var_os(name)?.to_string_lossy().into_owned());
        Self {
            no_color: read("NO_COLOR"),
            clicolor_force: read("CLICOLOR_FORCE"),
            term: read("TERM"),
            columns: read("COLUMNS"),
            github_actions: read("GITHUB_ACTIONS"),
            github_step_summary: read(STEP_SUMMARY),
            ci: read("CI"),
            locale: ["LC_ALL", "LC_CTYPE", "LANG"]
                .into_iter()
                .find_map(|name| read(name).filter(|value| !value.is_empty())),
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

    /// The columns to lay out for on a terminal of that width; `None` or 0:
    /// it does not say.
    pub fn columns(&self, of_terminal: Option<usize>) -> usize {
        let wished = self.columns.as_deref();
        wished
            .and_then(|columns| columns.trim().parse().ok())
            .filter(|columns| (COLUMNS_MIN..=COLUMNS_MAX).contains(columns))
            .or(of_terminal.filter(|columns| *columns > 0))
            .unwrap_or(COLUMNS_DEFAULT)
    }

    /// What can be drawn. A locale that is named decides; where none is, as in
    /// most containers, terminals read UTF-8 all the same.
    pub fn drawing(&self) -> Drawing {
        let is_utf8 = |locale: &str| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        };
        match self.locale.as_deref() {
            Some(locale) if !is_utf8(locale) => Drawing::Ascii,
            _ => Drawing::Unicode,
        }
    }

    /// Whether a runner of GitHub Actions reads what is written.
    fn is_read_by_runner(&self) -> bool {
        let summary = self.github_step_summary.as_deref().unwrap_or_default();
        self.github_actions.as_deref() == Some("true") || !summary.is_empty()
    }

    /// Whether the terminal understands no control sequences.
    fn is_dumb(&self) -> bool {
        self.term.as_deref() == Some("dumb")
    }

    fn is_ci(&self) -> bool {
        let ci = self.ci.as_deref().unwrap_or("");
        !["", "0", "false"].contains(&ci) || self.is_read_by_runner()
    }
}

/// The width of a terminal that does not say.
const COLUMNS_DEFAULT: usize = 80;

/// A wish for less is a mistake.
const COLUMNS_MIN: usize = 20;

/// A wish for more is a mistake.
const COLUMNS_MAX: usize = 10_000;

/// What a stream is laid out for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Columns of the terminal that shows it. `None`: a file or a pipe, where
    /// nothing is cut and a name takes the room that it needs.
    pub columns: Option<usize>,
    /// Rows of the terminal. `None`: a file or a pipe, or a terminal that does not say.
    pub rows: Option<usize>,
    /// What bars and marks are drawn with.
    pub drawing: Drawing,
}

impl Layout {
    /// For files and pipes.
    pub fn endless() -> Self {
        Self {
            columns: None,
            rows: None,
            drawing: Drawing::Unicode,
        }
    }

    /// For a terminal of this width.
    pub fn terminal(columns: usize) -> Self {
        Self {
            columns: Some(columns),
            rows: None,
            drawing: Drawing::Unicode,
        }
    }
}

/// The standard streams, with what was decided for each.
#[derive(Debug, Clone)]
pub struct Terminal {
    choice: ColorChoice,
    /// In place of what the locale says.
    drawing: Option<Drawing>,
    environment: Environment,
    stdin_is_terminal: bool,
    stdout_is_terminal: bool,
    stderr_is_terminal: bool,
    guard: Guard,
}

/// A stream of this process: all that goes to it is guarded.
pub type Stream = Guarded<StandardStream>;

impl Terminal {
    /// From the flag and what this process was given.
    pub fn detect(choice: ColorChoice) -> Self {
        let environment = Environment::read();
        let guard = Guard::default();
        guard.defuse_commands(environment.is_read_by_runner());
        Self {
            choice,
            drawing: None,
            environment,
            stdin_is_terminal: io::stdin().is_terminal(),
            stdout_is_terminal: io::stdout().is_terminal(),
            stderr_is_terminal: io::stderr().is_terminal(),
            guard,
        }
    }

    /// The same with another choice of colour. What is hidden from one is hidden
    /// from both.
    #[must_use]
    pub fn colored(&self, choice: ColorChoice) -> Self {
        Self {
            choice,
            ..self.clone()
        }
    }

    /// The same, drawn in ASCII whatever the locale says. What is hidden from one is
    /// hidden from both.
    #[must_use]
    pub fn in_ascii(&self) -> Self {
        Self {
            drawing: Some(Drawing::Ascii),
            ..self.clone()
        }
    }

    /// A runner of GitHub Actions reads all that is written from now on: lines lose what
    /// makes it take them for commands.
    pub fn expect_runner(&self) {
        self.guard.defuse_commands(true);
    }

    /// Takes these out of all that is written from now on, through this terminal
    /// and its clones.
    pub fn hide<'a>(&self, secrets: impl IntoIterator<Item = &'a str>) {
        self.guard.hide(secrets);
    }

    /// Takes all that this one takes out, too.
    pub fn hide_all(&self, redactor: &Redactor) {
        self.guard.hide_all(redactor);
    }

    /// What is taken out of all that is written.
    pub fn redactor(&self) -> Redactor {
        self.guard.redactor()
    }

    /// Writes this text as it is from now on, though a secret may be spelled
    /// alike: what the program worded itself.
    pub fn keep(&self, text: &str) {
        self.guard.keep(text);
    }

    /// Calls the program so in all that is written from now on.
    pub fn call_it(&self, command: &str) {
        self.guard.call_it(command);
    }

    /// A text that goes elsewhere, with the program's name as the user knows it.
    pub fn renamed(&self, text: &str) -> String {
        self.guard.renamed(text)
    }

    /// A writer to stdout, flushed at each newline.
    pub fn stdout(&self) -> Stream {
        let out = StandardStream::stdout(self.color(self.stdout_is_terminal));
        Guarded::new(out, self.guard.clone())
    }

    /// A writer to stderr, not buffered.
    pub fn stderr(&self) -> Stream {
        let out = StandardStream::stderr(self.color(self.stderr_is_terminal));
        Guarded::new(out, self.guard.clone())
    }

    /// What stdout is laid out for, now.
    pub fn stdout_layout(&self) -> Layout {
        self.layout(self.stdout_is_terminal.then(|| size_of(&io::stdout())))
    }

    /// What stderr is laid out for, now.
    pub fn stderr_layout(&self) -> Layout {
        self.layout(self.stderr_is_terminal.then(|| size_of(&io::stderr())))
    }

    /// The same for what is drawn again: never wider than the terminal is, whatever the
    /// environment asks for, since it would leave remains.
    pub fn redrawn_layout(&self) -> Layout {
        let layout = self.stderr_layout();
        let (real, _) = size_of(&io::stderr());
        let columns = match (layout.columns, real) {
            (Some(columns), Some(real)) => Some(columns.min(real)),
            (columns, _) => columns,
        };
        Layout { columns, ..layout }
    }

    /// For a terminal of this size; `None`: no terminal.
    fn layout(&self, size: Option<Size>) -> Layout {
        Layout {
            columns: size.map(|(columns, _)| self.environment.columns(columns)),
            rows: size.and_then(|(_, rows)| rows),
            drawing: self.drawing(),
        }
    }

    fn drawing(&self) -> Drawing {
        self.drawing.unwrap_or(self.environment.drawing())
    }

    /// Whether what goes to stdout and what goes to stderr is read on a terminal.
    pub fn is_one_screen(&self) -> bool {
        self.stdout_is_terminal && self.stderr_is_terminal
    }

    /// Whether somebody types what this program reads.
    pub fn stdin_is_terminal(&self) -> bool {
        self.stdin_is_terminal
    }

    /// Whether a line on stderr can be drawn again in its place: a terminal
    /// that understands control sequences reads it, and no runner that keeps them.
    pub fn stderr_is_redrawable(&self) -> bool {
        self.stderr_is_terminal && !self.environment.is_dumb() && !self.environment.is_ci()
    }

    /// Writes to stdout. A reader that has gone away is no fault of ours and
    /// passes in silence, as it does for any filter.
    ///
    /// # Errors
    /// Any other fault of the stream.
    pub fn print(&self, lines: &[Line]) -> io::Result<()> {
        let mut out = self.stdout();
        let lines = self.drawn(lines);
        let written = write_lines(&mut out, &lines).and_then(|()| out.flush());
        written.or_else(forgive_broken_pipe)
    }

    /// Shows an error on stderr. There is nobody to tell where that fails.
    pub fn print_error(&self, error: &UserError) {
        self.tell(&error_lines(error));
    }

    /// Shows on stderr what the user should know. Who does not read it misses no result.
    pub fn print_notice(&self, text: &str) {
        self.tell(&[Line::of(Role::Warning, "notice: ").add(Role::Plain, text)]);
    }

    /// Writes to stderr, on a terminal broken between words.
    fn tell(&self, lines: &[Line]) {
        let columns = self.stderr_layout().columns.unwrap_or(usize::MAX);
        let lines = self.drawn(lines).into_iter();
        let lines: Vec<Line> = lines
            .flat_map(|line| line.wrap_whole_words(columns, 0))
            .collect();
        let _ = write_lines(&mut self.stderr(), &lines);
    }

    /// Writes commands for the runner of GitHub Actions, which reads both streams.
    ///
    /// # Errors
    /// Those of the stream, but that its reader has gone away.
    pub fn tell_runner(&self, commands: &[String], on_stderr: bool) -> io::Result<()> {
        let text: String = commands.iter().map(|line| format!("{line}\n")).collect();
        // Not through the guard, which takes the meaning out of such lines.
        let written = match on_stderr {
            true => io::stderr().lock().write_all(text.as_bytes()),
            false => io::stdout().lock().write_all(text.as_bytes()),
        };
        written.or_else(forgive_broken_pipe)
    }

    fn drawn(&self, lines: &[Line]) -> Vec<Line> {
        let drawing = self.drawing();
        lines
            .iter()
            .map(|line| line.clone().drawn(drawing))
            .collect()
    }

    fn color(&self, is_terminal: bool) -> termcolor::ColorChoice {
        if self.environment.wants_color(self.choice, is_terminal) {
            termcolor::ColorChoice::Always
        } else {
            termcolor::ColorChoice::Never
        }
    }
}

#[cfg(unix)]
use std::os::fd::AsFd as AsStream;
#[cfg(windows)]
use std::os::windows::io::AsHandle as AsStream;

/// Columns and rows of a terminal; `None`: it does not say, or says 0.
type Size = (Option<usize>, Option<usize>);

/// The size of the terminal behind a stream, asked for anew each time: it may be
/// resized at any moment. The system is asked, never the terminal itself, whose answer
/// would come as typed keys, or not at all.
fn size_of(stream: &impl AsStream) -> Size {
    let size = terminal_size::terminal_size_of(stream);
    let told = |n: u16| Some(usize::from(n)).filter(|n| *n > 0);
    size.map_or((None, None), |(columns, rows)| {
        (told(columns.0), told(rows.0))
    })
}

/// What is written to a stream, as bytes: coloured where the stream is.
///
/// # Errors
/// Those of `content`.
pub fn in_memory(
    is_coloured: bool,
    content: impl FnOnce(&mut dyn WriteColor) -> io::Result<()>,
) -> io::Result<Vec<u8>> {
    if is_coloured {
        let mut out = Ansi::new(Vec::new());
        content(&mut out)?;
        Ok(out.into_inner())
    } else {
        let mut out = NoColor::new(Vec::new());
        content(&mut out)?;
        Ok(out.into_inner())
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

/// `error: …` and each hint as a line of its own. Never cut, and no word is broken: a user
/// copies commands and paths from here.
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

    #[test]
    fn the_flag_wins_over_the_environment_and_no_over_yes() {
        let environment = |no_color: &str, force: &str, term: &str| Environment {
            no_color: Some(no_color.to_string()),
            clicolor_force: Some(force.to_string()),
            term: Some(term.to_string()),
            ..Environment::default()
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
    fn the_terminal_says_its_width_and_the_user_another() {
        let check = |wished: Option<&str>, of_terminal, expected| {
            let environment = Environment {
                columns: wished.map(str::to_string),
                ..Environment::default()
            };
            let found = environment.columns(of_terminal);
            assert_eq!(found, expected, "{wished:?}, {of_terminal:?}");
        };
        check(None, None, 80);
        check(None, Some(0), 80);
        check(None, Some(1), 1);
        check(None, Some(200), 200);
        check(Some("120"), Some(200), 120);
        check(Some("120"), None, 120);
        for mistake in ["0", "-3", "3", "99999999999999999999", "wide", ""] {
            check(Some(mistake), Some(60), 60);
            check(Some(mistake), None, 80);
        }
    }

    #[test]
    fn a_locale_without_utf_8_is_drawn_for_in_ascii() {
        let check = |locale: Option<&str>, expected| {
            let environment = Environment {
                locale: locale.map(str::to_string),
                ..Environment::default()
            };
            assert_eq!(environment.drawing(), expected, "{locale:?}");
        };
        check(None, Drawing::Unicode);
        check(Some("C.UTF-8"), Drawing::Unicode);
        check(Some("de_DE.utf8"), Drawing::Unicode);
        check(Some("C"), Drawing::Ascii);
        check(Some("POSIX"), Drawing::Ascii);
        check(Some("de_DE.ISO-8859-1"), Drawing::Ascii);
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
