//! The last thing that all output passes: what must not be shown is taken out,
//! and the program is called by the name that the user called it by.
//!
//! It does not know what is written. Layout comes before it, so who cuts or
//! wraps a stranger's text takes secrets out of it before; what was forgotten
//! there does not get past here.

use std::io::{self, Write};
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

use termcolor::{ColorSpec, WriteColor};

use crate::redact::{MASK, Redactor};

/// How the program calls itself in all texts.
pub const COMMAND: &str = "cargo pmcp loadtest";

/// More than this is written though no line ends.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// What is taken out of all output. Its clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Guard {
    rules: Arc<RwLock<Rules>>,
}

#[derive(Debug, Clone, Default)]
struct Rules {
    redactor: Redactor,
    /// What is written as it is, though a secret may be spelled alike.
    own: Vec<String>,
    /// What takes the place of [`COMMAND`].
    command: Option<String>,
    /// Lines that GitHub's runner would take for commands are changed, so that it does not.
    defuses_commands: bool,
}

impl Guard {
    /// Takes these out of all that is written from now on, too.
    pub(super) fn hide<'a>(&self, secrets: impl IntoIterator<Item = &'a str>) {
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        rules.redactor = rules.redactor.and(secrets);
    }

    /// Takes all that this one takes out, too.
    pub(super) fn hide_all(&self, redactor: &Redactor) {
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        rules.redactor = rules.redactor.and_all(redactor);
    }

    /// Writes this text as it is from now on.
    pub(super) fn keep(&self, text: &str) {
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        if !text.is_empty() && !rules.own.iter().any(|own| own == text) {
            rules.own.push(text.to_string());
        }
    }

    /// Calls the program so from now on.
    pub(super) fn call_it(&self, command: &str) {
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        rules.command = (command != COMMAND).then(|| command.to_string());
    }

    /// Whether lines lose what makes GitHub's runner take them for commands.
    pub(super) fn defuse_commands(&self, wanted: bool) {
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        rules.defuses_commands = wanted;
    }

    /// What it takes out.
    pub(super) fn redactor(&self) -> Redactor {
        self.rules().redactor
    }

    /// The text with the program's name as the user knows it.
    pub(super) fn renamed(&self, text: &str) -> String {
        match self.rules().command {
            Some(command) => text.replace(COMMAND, &command),
            None => text.to_string(),
        }
    }

    fn rules(&self) -> Rules {
        self.rules
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Rules {
    /// What is put where, in place of what; ascending, apart from each other.
    fn edits(&self, text: &str) -> Vec<(Range<usize>, &str)> {
        let mut hidden = self.redactor.find(text);
        for own in &self.own {
            let places: Vec<Range<usize>> = text
                .match_indices(own.as_str())
                .map(|(at, own)| at..at + own.len())
                .collect();
            let is_inside = |range: &Range<usize>| {
                let mut places = places.iter();
                places.any(|own| own.start <= range.start && range.end <= own.end)
            };
            hidden.retain(|range| !is_inside(range));
        }
        let is_hidden = |range: &Range<usize>| {
            hidden
                .iter()
                .any(|other| other.start < range.end && range.start < other.end)
        };
        let mut edits: Vec<(Range<usize>, &str)> = Vec::new();
        if let Some(command) = &self.command {
            let names = text.match_indices(COMMAND);
            let names = names.map(|(at, name)| at..at + name.len());
            edits.extend(
                names
                    .filter(|range| !is_hidden(range))
                    .map(|range| (range, command.as_str())),
            );
        }
        if self.defuses_commands {
            let is_seen = |(range, _): &(Range<usize>, _)| !is_hidden(range);
            for edit in defused(text).filter(is_seen) {
                edits.push(edit);
            }
        }
        edits.extend(hidden.into_iter().map(|range| (range, MASK)));
        edits.sort_by_key(|(range, _)| range.start);
        edits
    }
}

/// What begins a command for GitHub's runner, with what stands in its place: `::` at
/// the start of a line, behind blanks too, and `##[` anywhere.
fn defused(text: &str) -> impl Iterator<Item = (Range<usize>, &'static str)> {
    let mut at = 0;
    let starts = text.split_inclusive('\n').filter_map(move |line| {
        let start = at + line.len() - line.trim_start().len();
        at += line.len();
        line.trim_start()
            .starts_with("::")
            .then_some((start..start + 2, ": :"))
    });
    let old = text
        .match_indices("##[")
        .map(|(at, _)| (at..at + 3, "# #["));
    starts.chain(old)
}

/// A writer behind a `Guard`. It holds a line back until it ends or is
/// flushed, since a secret may come in pieces, of different colours too.
pub struct Guarded<W: WriteColor> {
    out: W,
    guard: Guard,
    /// What is held back.
    line: Vec<u8>,
    /// Changes of the colour, each before a byte of `line`; ascending.
    colors: Vec<(usize, Option<ColorSpec>)>,
}

impl<W: WriteColor> Guarded<W> {
    pub(super) fn new(out: W, guard: Guard) -> Self {
        Self {
            out,
            guard,
            line: Vec::new(),
            colors: Vec::new(),
        }
    }

    /// Writes what was held back.
    fn release(&mut self) -> io::Result<()> {
        if self.line.is_empty() && self.colors.is_empty() {
            return Ok(());
        }
        let line = std::mem::take(&mut self.line);
        let colors = std::mem::take(&mut self.colors);
        let text = match std::str::from_utf8(&line) {
            Ok(text) => text,
            // Nothing here writes anything but text: bytes pass as they are.
            Err(_) => return self.out.write_all(&line),
        };
        let rules = self.guard.rules();
        let mut colors = colors.into_iter().peekable();
        let mut at = 0;
        let edits = rules.edits(text);
        let end = (text.len()..text.len(), "");
        for (range, instead) in edits.into_iter().chain([end]) {
            while let Some((color_at, color)) =
                colors.next_if(|(color_at, _)| *color_at < range.end)
            {
                // Inside of what is taken out it changes before it.
                let until = color_at.clamp(at, range.start.max(at));
                self.out.write_all(&text.as_bytes()[at..until])?;
                at = until;
                self.color(color)?;
            }
            self.out.write_all(&text.as_bytes()[at..range.start])?;
            self.out.write_all(instead.as_bytes())?;
            at = range.end;
        }
        for (_, color) in colors {
            self.color(color)?;
        }
        Ok(())
    }

    fn color(&mut self, color: Option<ColorSpec>) -> io::Result<()> {
        match color {
            Some(spec) => self.out.set_color(&spec),
            None => self.out.reset(),
        }
    }
}

impl<W: WriteColor> Write for Guarded<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        if bytes.contains(&b'\n') || self.line.len() > LINE_BYTES_MAX {
            self.release()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.release()?;
        self.out.flush()
    }
}

impl<W: WriteColor> WriteColor for Guarded<W> {
    fn supports_color(&self) -> bool {
        self.out.supports_color()
    }

    fn set_color(&mut self, spec: &ColorSpec) -> io::Result<()> {
        self.colors.push((self.line.len(), Some(spec.clone())));
        Ok(())
    }

    fn reset(&mut self) -> io::Result<()> {
        self.colors.push((self.line.len(), None));
        Ok(())
    }
}

impl<W: WriteColor> Drop for Guarded<W> {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::{Line, Role, write_lines};
    use termcolor::{Ansi, NoColor};

    fn written(guard: &Guard, pieces: &[&str]) -> String {
        let mut out = NoColor::new(Vec::new());
        let mut guarded = Guarded::new(&mut out, guard.clone());
        for piece in pieces {
            guarded.write_all(piece.as_bytes()).expect("a vector");
        }
        drop(guarded);
        String::from_utf8(out.into_inner()).expect("text")
    }

    #[test]
    fn secrets_do_not_get_past_in_pieces() {
        let guard = Guard::default();
        guard.hide(["tok-4711"]);
        assert_eq!(
            written(&guard, &["a tok-", "4711 b\nc tok-4711"]),
            "a *** b\nc ***"
        );
        assert_eq!(written(&guard, &["nothing\n", "", "more"]), "nothing\nmore");
        guard.hide(["more"]);
        assert_eq!(written(&guard, &["more tok-4711"]), "*** ***");
    }

    #[test]
    fn what_is_our_own_is_written_as_it_is() {
        let guard = Guard::default();
        guard.hide(["2026", "2026-07-28 and more"]);
        assert_eq!(written(&guard, &["MCP 2026-07-28"]), "MCP ***-07-28");
        guard.keep("2026-07-28");
        assert_eq!(
            written(&guard, &["MCP 2026-07-28, 2026, 2026-07-28 and more"]),
            "MCP 2026-07-28, ***, ***"
        );
    }

    #[test]
    fn a_runner_that_reads_along_finds_no_command() {
        let guard = Guard::default();
        let text = "::error::x\n  ::add-mask::tok-4711\na ::b\n\u{a0}::c\n##[debug]d ##[error]\n";
        assert_eq!(written(&guard, &[text]), text);
        guard.defuse_commands(true);
        guard.hide(["tok-4711"]);
        assert_eq!(
            written(&guard, &[text]),
            ": :error::x\n  : :add-mask::***\na ::b\n\u{a0}: :c\n# #[debug]d # #[error]\n"
        );
    }

    #[test]
    fn colors_stay_where_they_were() {
        let guard = Guard::default();
        let line = Line::of(Role::Accent, "ab tok-")
            .add(Role::Warning, "4711")
            .add(Role::Plain, " c")
            .add(Role::Strong, "d");
        let colored = |guard: &Guard| {
            let mut out = Ansi::new(Vec::new());
            let mut guarded = Guarded::new(&mut out, guard.clone());
            write_lines(&mut guarded, std::slice::from_ref(&line)).expect("a vector");
            drop(guarded);
            String::from_utf8(out.into_inner()).expect("text")
        };
        let mut direct = Ansi::new(Vec::new());
        write_lines(&mut direct, std::slice::from_ref(&line)).expect("a vector");
        let direct = String::from_utf8(direct.into_inner()).expect("text");
        assert_eq!(colored(&guard), direct);
        guard.hide(["tok-4711"]);
        let hidden = colored(&guard);
        assert!(
            !hidden.contains("tok-") && !hidden.contains("4711"),
            "{hidden:?}"
        );
        assert!(
            hidden.contains("ab ") && hidden.contains("***"),
            "{hidden:?}"
        );
        assert!(hidden.contains(" c"), "{hidden:?}");
    }

    #[test]
    fn the_program_is_called_as_the_user_calls_it() {
        let guard = Guard::default();
        let text = "see `cargo pmcp loadtest run`\n";
        assert_eq!(written(&guard, &[text]), text);
        guard.call_it("cargo-pmcp-loadtest");
        assert_eq!(written(&guard, &[text]), "see `cargo-pmcp-loadtest run`\n");
        assert_eq!(guard.renamed(text), "see `cargo-pmcp-loadtest run`\n");
    }
}
