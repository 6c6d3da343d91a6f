//! What shows a run while it goes on: a panel, a line, or plain lines.
//!
//! On a terminal it is drawn again in its place; elsewhere a plain line comes
//! every few seconds. It is the only writer of its stream during a run, so
//! nothing tears it: notices pass through it too. A stream that fails is
//! ignored; a run does not end because nobody watches. Nor does it wait: what a stream
//! does not take now is left out.
//!
//! No mode of the terminal is changed for it, and nothing is asked of the terminal:
//! libraries that draw within the page ask it where its cursor is, and wait for seconds
//! where it does not answer, or take what the user types for the answer.

mod line;
mod panel;

use std::io;
use std::rc::Rc;
use std::str::FromStr;
use std::time::Duration;

use crate::error::choice;
use crate::outcome::{Observer, Phase, Progress, RunStart};
use crate::terminal::{CLEAR, Canvas, Drawing, Layout, Line, WriteColor, display_width, in_memory};

use line::{Limits, asking_line, notice_line, preparing_line, progress_line, start_line};
use panel::Panel;

/// How a run is shown.
#[derive(Clone)]
pub enum LiveStyle {
    /// Several lines, drawn again in their place, where the terminal has room for them; else
    /// one. The terminal is asked for its layout at each drawing, since it may be resized at
    /// any moment, and has none while another program has the screen.
    Panel(Rc<dyn Fn() -> Option<Layout>>),
    /// One line, drawn again in its place.
    Redrawn(Rc<dyn Fn() -> Option<Layout>>),
    /// A plain line every few seconds, for files and pipes.
    Lines,
    /// Notices alone.
    Notices,
    /// Nothing at all. Notices are in the summary and the report as well.
    Quiet,
}

/// How a user wants a run to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LiveChoice {
    /// A panel where the terminal has room for one, else a line.
    #[default]
    Panel,
    /// One line.
    Line,
    /// Notices alone.
    Off,
    /// Not even these.
    Quiet,
}

impl LiveChoice {
    /// The same, or nothing at all.
    #[must_use]
    pub fn or_quiet(self, is_quiet: bool) -> Self {
        match is_quiet {
            true => Self::Quiet,
            false => self,
        }
    }
}

impl FromStr for LiveChoice {
    type Err = String;

    /// Reads `panel`, `line` or `off`.
    ///
    /// # Errors
    /// A message for the user that lists what is accepted.
    fn from_str(text: &str) -> Result<Self, String> {
        let choices = [
            ("panel", Self::Panel),
            ("line", Self::Line),
            ("off", Self::Off),
        ];
        choice(text, "a way to show a run", &choices)
    }
}

/// The first plain line comes after this long, so that a log shows early
/// whether anything is answered.
const FIRST_LINE_AFTER: Duration = Duration::from_secs(1);

/// And then one at each multiple of this.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// An observer that shows a run on a stream.
pub struct LiveLine<W> {
    style: LiveStyle,
    out: W,
    limits: Limits,
    /// What the terminal is laid out for where nothing is drawn again on it.
    plain_layout: Rc<dyn Fn() -> Option<Layout>>,
    /// Whether the stream takes what is written to it now.
    is_taken: fn() -> bool,
    /// The bytes of the lines that were typed at the terminal so far.
    n_bytes_typed: fn() -> u64,
    /// Where it is drawn.
    canvas: Canvas,
    /// What is on the terminal now and has to be drawn again after a notice.
    shown: Vec<Line>,
    /// How that was drawn.
    last: Option<LastDrawn>,
    /// What the panel remembers of the run.
    panel: Panel,
    /// When the next plain line is due, from the start of the load.
    next_line: Duration,
    /// That the load is over and what began is waited for was shown.
    is_stopping: bool,
}

impl<W: WriteColor> LiveLine<W> {
    /// Shows a run on `out`, which is stderr but in tests.
    pub fn new(out: W, style: LiveStyle) -> Self {
        Self {
            style,
            out,
            limits: Limits::default(),
            plain_layout: Rc::new(|| None),
            is_taken: || true,
            n_bytes_typed: || 0,
            canvas: Canvas::default(),
            shown: Vec::new(),
            last: None,
            panel: Panel::default(),
            next_line: FIRST_LINE_AFTER,
            is_stopping: false,
        }
    }

    /// Draws at this place, which others may take away.
    #[must_use]
    pub fn on(mut self, canvas: Canvas) -> Self {
        self.canvas = canvas;
        self
    }

    /// Breaks lines for this layout where nothing is drawn again; `None`: no terminal reads
    /// them, and they stay whole.
    #[must_use]
    pub fn breaking(mut self, layout: impl Fn() -> Option<Layout> + 'static) -> Self {
        self.plain_layout = Rc::new(layout);
        self
    }

    /// Leaves out what the stream does not take now, as this tells.
    #[must_use]
    pub fn where_taken(mut self, is_taken: fn() -> bool) -> Self {
        self.is_taken = is_taken;
        self
    }

    /// Looks here for what was typed meanwhile.
    #[must_use]
    pub fn where_typed(mut self, n_bytes_typed: fn() -> u64) -> Self {
        self.n_bytes_typed = n_bytes_typed;
        self
    }

    /// The stream, once the run is over.
    pub fn into_inner(self) -> W {
        self.out
    }

    /// What the terminal is laid out for now, where something is drawn again on it.
    fn layout(&self) -> Option<Layout> {
        match &self.style {
            LiveStyle::Panel(layout) | LiveStyle::Redrawn(layout) => {
                let layout = layout();
                if layout.is_none() {
                    // Others have written below since, or will have: nothing is erased.
                    self.canvas.lock().is_there = false;
                }
                layout
            }
            LiveStyle::Lines | LiveStyle::Notices | LiveStyle::Quiet => None,
        }
    }

    /// Writes a line that stays, above what is drawn again.
    fn keep(&mut self, line: &Line) -> io::Result<()> {
        let Some(layout) = self.layout() else {
            let lines = match (self.plain_layout)() {
                Some(layout) => broken(line, layout),
                None => vec![line.clone()],
            };
            return self.write(|out| lines.iter().try_for_each(|line| write_line(line, out)));
        };
        let lines = broken(line, layout);
        let canvas = self.canvas.clone();
        let mut place = canvas.lock();
        let redrawn = fitted(&self.shown, layout);
        let (was_there, goes_back) = (place.is_there, self.has_to_go_back(layout));
        let n_bytes_typed = (self.n_bytes_typed)();
        self.write(|out| {
            if was_there {
                clear_at(goes_back, out)?;
            }
            for line in &lines {
                write_line(line, out)?;
            }
            match redrawn.is_empty() {
                true => Ok(()),
                // Where the cursor is now, nothing was ever drawn.
                false => draw(&redrawn, DrawingStart::Anew, out),
            }
        })?;
        place.is_there = !redrawn.is_empty();
        self.last = Some(LastDrawn {
            layout,
            n_rows: redrawn.len(),
            n_bytes_typed,
        });
        Ok(())
    }

    /// Whether somebody typed an Enter at what is drawn, and the terminal remembers where it
    /// begins. One that was resized may have moved what is on it, and knows of the place that it
    /// was to remember no more than before.
    fn has_to_go_back(&self, layout: Layout) -> bool {
        self.last.as_ref().is_some_and(|last| {
            layout == last.layout && last.n_rows > 1 && last.n_bytes_typed != (self.n_bytes_typed)()
        })
    }

    /// Draws these lines over those that are there.
    fn redraw(&mut self, lines: Vec<Line>, layout: Layout) -> io::Result<()> {
        let canvas = self.canvas.clone();
        let mut place = canvas.lock();
        let drawn = fitted(&lines, layout);
        let n_rows = drawn.len();
        let n_bytes_typed = (self.n_bytes_typed)();
        let last = self.last.as_ref().filter(|_| place.is_there);
        let start = match last {
            Some(last) if last.layout != layout => DrawingStart::Resized,
            Some(_) if self.has_to_go_back(layout) => DrawingStart::Remembered,
            // More rows than before may have moved all that is on the screen.
            Some(last) if last.n_rows >= n_rows => DrawingStart::Here,
            _ => DrawingStart::Anew,
        };
        self.shown = lines;
        self.write(|out| draw(&drawn, start, out))?;
        self.last = Some(LastDrawn {
            layout,
            n_rows,
            n_bytes_typed,
        });
        place.is_there = true;
        Ok(())
    }

    /// Writes all at once: what is torn in two flickers.
    fn write(
        &mut self,
        content: impl FnOnce(&mut dyn WriteColor) -> io::Result<()>,
    ) -> io::Result<()> {
        let bytes = in_memory(self.out.supports_color(), content)?;
        if !(self.is_taken)() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.out.write_all(&bytes)?;
        self.out.flush()
    }

    /// Shows the state of things as the style wants it; `line` is asked for only
    /// where it is shown.
    pub(super) fn show(&mut self, elapsed: Duration, line: impl FnOnce() -> Line) {
        let _ = match self.layout() {
            Some(layout) => self.redraw(with_row_below(line(), layout), layout),
            None if !matches!(self.style, LiveStyle::Lines) || elapsed < self.next_line => Ok(()),
            None => {
                let line = line();
                self.next_line = next_multiple(elapsed, LINE_EVERY);
                self.keep(&line)
            }
        };
    }

    /// What is done before the load.
    pub(super) fn show_preparing(&mut self, doing: Option<(Duration, &str)>) {
        match doing {
            Some((elapsed, what)) => self.show(elapsed, || preparing_line(elapsed, what)),
            None => {
                let _ = self.clear();
                self.next_line = FIRST_LINE_AFTER;
            }
        }
    }

    /// Writes a line that stays, unless nothing is to be shown.
    pub(super) fn say(&mut self, line: impl FnOnce() -> Line) {
        if !matches!(self.style, LiveStyle::Quiet) {
            let _ = self.keep(&line());
        }
    }

    /// Takes what is drawn away.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.shown.clear();
        let layout = self.layout();
        let goes_back = layout.is_some_and(|layout| self.has_to_go_back(layout));
        let canvas = self.canvas.clone();
        let mut place = canvas.lock();
        match std::mem::take(&mut place.is_there) {
            true => self.write(|out| clear_at(goes_back, out)),
            false => Ok(()),
        }
    }
}

/// What was drawn last.
#[derive(Debug)]
struct LastDrawn {
    layout: Layout,
    n_rows: usize,
    /// The bytes of the lines that were typed until then.
    n_bytes_typed: u64,
}

/// A line that stays, in as many as the terminal's width asks for.
fn broken(line: &Line, layout: Layout) -> Vec<Line> {
    let line = line.clone().drawn(layout.drawing);
    line.wrap_whole_words(layout.columns.unwrap_or(usize::MAX), 0)
}

fn write_line(line: &Line, out: &mut dyn WriteColor) -> io::Result<()> {
    line.write(out)?;
    out.write_all(b"\n")
}

/// A line, and an empty row below it where the screen has one: an Enter that the user types
/// goes there, and moves nothing on the screen.
fn with_row_below(line: Line, layout: Layout) -> Vec<Line> {
    match layout.rows {
        Some(ROWS_FOR_TWO..) => vec![line, Line::new()],
        _ => vec![line],
    }
}

/// Rows that a screen has to have for a line with an empty one below.
const ROWS_FOR_TWO: usize = 3;

/// Lines as they can be drawn now, at most as many as the screen holds below one of
/// others. The last column stays free: some terminals wrap on filling it.
fn fitted(lines: &[Line], layout: Layout) -> Vec<Line> {
    let n_lines = layout
        .rows
        .map_or(lines.len(), |rows| rows.saturating_sub(1).max(1));
    let lines = lines.iter().take(n_lines).map(|line| {
        let line = line.clone().drawn(layout.drawing);
        match layout.columns {
            Some(columns) => cut_between(line, columns.saturating_sub(1), layout.drawing),
            None => line,
        }
    });
    lines.collect()
}

/// Cuts a line where two blanks part its figures, if it can: half a figure, or one without
/// its unit, would be read as another.
fn cut_between(line: Line, width: usize, drawing: Drawing) -> Line {
    if line.width() <= width {
        return line;
    }
    let text = line.text();
    let mark_width = display_width(drawing.mark());
    let gaps = text.match_indices("  ").filter(|(at, _)| *at > 0);
    let widths = gaps.map(|(at, _)| display_width(&text[..at]) + mark_width);
    let whole = widths.take_while(|whole| *whole <= width).last();
    line.cut(whole.unwrap_or(width), drawing)
}

/// Draws lines over those before, and leaves the cursor at the start of the first.
///
/// That is what a resize cannot spoil: a terminal that is made narrower may
/// break a line into several rows, and its cursor stays with the character it
/// stood at, the first of the first row. All that was drawn is at it and below,
/// where nobody else writes. Only where the rows that come about by it push the first ones
/// off the screen, into what can be scrolled back, they stay there: nothing that moves
/// relatively reaches them, and to erase all that can be scrolled back would take what is
/// not ours.
///
/// What the user types is shown by the terminal at the cursor, and an Enter moves it: so of
/// several lines the terminal remembers where the first begins, and only after an Enter the
/// drawing goes back there. A terminal may be resized before this program can know of it (tmux
/// tells up to a quarter of a second later), and then the cursor is right and the place is not.
/// Below a line without another there may be no row: an Enter moves what is on the screen, and
/// no place on it can be remembered.
fn draw(lines: &[Line], start: DrawingStart, out: &mut dyn WriteColor) -> io::Result<()> {
    match start {
        DrawingStart::Remembered => out.write_all(RESTORE)?,
        // Rows that a resize broke are one line for the terminal until they are erased.
        DrawingStart::Resized => out.write_all(CLEAR)?,
        DrawingStart::Here | DrawingStart::Anew => {}
    }
    out.write_all(BEGIN)?;
    for (at, line) in lines.iter().enumerate() {
        if at > 0 {
            out.write_all(NEXT_ROW)?;
        }
        line.write(out)?;
    }
    out.write_all(END)?;
    if lines.len() > 1 {
        write!(out, "\x1b[{}A", lines.len() - 1)?;
        if start != DrawingStart::Here {
            out.write_all(SAVE)?;
        }
    }
    Ok(())
}

/// Where a drawing begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DrawingStart {
    /// Where the cursor is, where nothing is drawn or less than now.
    Anew,
    /// At the cursor, over what was drawn there for another size of the terminal.
    Resized,
    /// At the cursor, over what is there.
    Here,
    /// At the place that the terminal was to remember.
    Remembered,
}

/// Takes away what is drawn, where an Enter moved the cursor as well.
fn clear_at(goes_back: bool, out: &mut dyn WriteColor) -> io::Result<()> {
    if goes_back {
        out.write_all(RESTORE)?;
    }
    out.write_all(CLEAR)
}

/// To the start of the line, and no wrapping at its end: should the terminal
/// be made narrower just now, it cuts the line rather than tear it.
const BEGIN: &[u8] = b"\r\x1b[?7l";

/// Erases what is left of the row before, and goes on in the next one.
const NEXT_ROW: &[u8] = b"\x1b[K\r\n";

/// Erases what is left below, wraps again, and goes to the start of the row.
const END: &[u8] = b"\x1b[J\x1b[?7h\r";

/// Remembers where the cursor is.
const SAVE: &[u8] = b"\x1b7";

/// Goes there.
const RESTORE: &[u8] = b"\x1b8";

impl<W: WriteColor> Observer for LiveLine<W> {
    fn notice(&mut self, text: &str) {
        self.say(|| notice_line(text));
    }

    fn preparing(&mut self, doing: Option<(Duration, &str)>) {
        self.show_preparing(doing);
    }

    fn asking(&mut self, elapsed: Duration, url: &str, timeout: Duration) {
        // A log has no use for it: what comes of it follows in a moment.
        if let Some(layout) = self.layout() {
            let line = asking_line(elapsed, url, timeout);
            let _ = self.redraw(with_row_below(line, layout), layout);
        }
    }

    fn started(&mut self, start: &RunStart) {
        self.limits = Limits {
            duration: start.duration,
            iterations: start.iterations,
            has_flows: start.rows.iter().any(|row| row.flow.is_some()),
        };
        self.say(|| start_line(start));
    }

    fn progress(&mut self, progress: &Progress<'_>) {
        let limits = self.limits;
        let is_stopping = progress.phase == Phase::Stopping && progress.in_flight > 0;
        if is_stopping && !std::mem::replace(&mut self.is_stopping, true) {
            // What is waited for, and how not to wait, is of use at once.
            self.next_line = Duration::ZERO;
        }
        self.panel.note(progress);
        if let (LiveStyle::Panel(_), Some(layout)) = (&self.style, self.layout())
            && Panel::has_room(layout)
        {
            let lines = self.panel.lines(progress, limits, layout);
            let _ = self.redraw(lines, layout);
            return;
        }
        self.show(progress.elapsed, || progress_line(progress, limits));
    }

    fn ended(&mut self) {
        let _ = self.clear();
    }
}

/// The next multiple of `step` after `now`.
fn next_multiple(now: Duration, step: Duration) -> Duration {
    let n_steps = now.as_nanos() / step.as_nanos() + 1;
    let n_steps = u32::try_from(n_steps).unwrap_or(u32::MAX);
    step.saturating_mul(n_steps)
}

#[cfg(test)]
mod tests;
