//! The line that shows a run while it goes on.
//!
//! On a terminal it is drawn again in its place; elsewhere a plain line comes
//! every few seconds. It is the only writer of its stream during a run, so
//! nothing tears it: notices pass through it too. A stream that fails is
//! ignored; a run does not end because nobody watches.

mod line;

use std::io;
use std::rc::Rc;
use std::time::Duration;

use crate::outcome::{Observer, Phase, Progress, RunStart};
use crate::terminal::{Layout, Line, WriteColor, in_memory};

use line::{Limits, notice_line, preparing_line, progress_line, start_line};

/// How a run is shown.
#[derive(Clone)]
pub enum LiveStyle {
    /// One line, drawn again in its place. The terminal is asked for its layout
    /// at each drawing, since it may be resized at any moment.
    Redrawn(Rc<dyn Fn() -> Layout>),
    /// A plain line every few seconds, for files and pipes.
    Lines,
    /// Nothing at all. Notices are in the summary and the report as well.
    Quiet,
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
    /// What is on the terminal now and has to be drawn again after a notice.
    shown: Option<Line>,
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
            shown: None,
            next_line: FIRST_LINE_AFTER,
            is_stopping: false,
        }
    }

    /// The stream, once the run is over.
    pub fn into_inner(self) -> W {
        self.out
    }

    /// Writes a line that stays, above the one that is redrawn.
    fn keep(&mut self, line: &Line) -> io::Result<()> {
        let (lines, redrawn) = match &self.style {
            LiveStyle::Redrawn(layout) => {
                let layout = layout();
                let line = line.clone().drawn(layout.drawing);
                let lines = line.wrap(layout.columns.unwrap_or(usize::MAX), 0);
                let shown = self.shown.as_ref();
                (lines, shown.map(|shown| fitted(shown.clone(), layout)))
            }
            _ => (vec![line.clone()], None),
        };
        let is_shown = self.shown.is_some();
        self.write(|out| {
            if is_shown {
                out.write_all(CLEAR)?;
            }
            for line in &lines {
                line.write(out)?;
                out.write_all(b"\n")?;
            }
            redrawn.map_or(Ok(()), |line| draw(&line, out))
        })
    }

    /// Writes all at once: what is torn in two flickers.
    fn write(
        &mut self,
        content: impl FnOnce(&mut dyn WriteColor) -> io::Result<()>,
    ) -> io::Result<()> {
        let bytes = in_memory(self.out.supports_color(), content)?;
        self.out.write_all(&bytes)?;
        self.out.flush()
    }

    /// Shows the state of things as the style wants it; `line` is asked for only
    /// where it is shown.
    pub(super) fn show(&mut self, elapsed: Duration, line: impl FnOnce() -> Line) {
        let _ = match &self.style {
            LiveStyle::Quiet => Ok(()),
            LiveStyle::Redrawn(layout) => {
                let layout = layout();
                let line = line();
                let drawn = fitted(line.clone(), layout);
                self.shown = Some(line);
                self.write(|out| draw(&drawn, out))
            }
            LiveStyle::Lines if elapsed < self.next_line => Ok(()),
            LiveStyle::Lines => {
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

    /// Takes the redrawn line away.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        match self.shown.take() {
            Some(_) => self.write(|out| out.write_all(CLEAR)),
            None => Ok(()),
        }
    }
}

/// A line as it can be drawn now. The last column stays free: some terminals
/// wrap on filling it.
fn fitted(line: Line, layout: Layout) -> Line {
    let line = line.drawn(layout.drawing);
    match layout.columns {
        Some(columns) => line.cut(columns.saturating_sub(1), layout.drawing),
        None => line,
    }
}

/// Draws a line over the one before, and leaves the cursor at its start.
///
/// That is what a resize cannot spoil: a terminal that is made narrower may
/// break the line into several rows, and its cursor stays with the character it
/// stood at, the first of the first row. All that was drawn is at it and below,
/// where nobody else writes.
fn draw(line: &Line, out: &mut dyn WriteColor) -> io::Result<()> {
    out.write_all(BEGIN)?;
    line.write(out)?;
    out.write_all(END)
}

/// To the start of the line, and no wrapping at its end: should the terminal
/// be made narrower just now, it cuts the line rather than tear it.
const BEGIN: &[u8] = b"\r\x1b[?7l";

/// Erases what is left of the line before, wraps again, and goes back.
const END: &[u8] = b"\x1b[J\x1b[?7h\r";

/// An empty line with the cursor at its start.
const CLEAR: &[u8] = b"\r\x1b[J";

impl<W: WriteColor> Observer for LiveLine<W> {
    fn notice(&mut self, text: &str) {
        self.say(|| notice_line(text));
    }

    fn preparing(&mut self, doing: Option<(Duration, &str)>) {
        self.show_preparing(doing);
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
