//! `try`: one user does each flow once, and each request is shown.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::args::Try;
use super::common::{no_stdout, plan_of, under_first_signal};
use super::exit;
use super::oauth::authorize;
use crate::coordinator::{trial_plan, try_out};
use crate::error::{ErrorKind, UserError};
use crate::outcome::{Ended, Observer, RowKind, Rows, RunOutcome, RunStart, Seen, Witness};
use crate::report::LiveChoice;
use crate::report::trial::{TrialPage, secrets};
use crate::scenario::Plan;
use crate::terminal::{Line, Role, Terminal};
use crate::units::plural;

pub(super) fn trial(mut args: Try, terminal: &Terminal) -> Result<u8, UserError> {
    let is_address = |word: &String| word.starts_with("http://") || word.starts_with("https://");
    let mut config = args.config.take();
    if args.url.is_none() {
        args.url = config.take_if(|word| is_address(word));
    }
    let is_demo = args.demo;
    let wish = args.oauth_wish()?;
    let (mut plan, _server) = plan_of(config.as_deref(), is_demo, args.overrides()?)?;
    if !is_demo {
        authorize(&mut plan, &wish, terminal)?;
    }
    let n_all = plan.flows.len();
    let plan = trial_plan(plan);
    terminal.hide_all(&plan.redactor());
    let n_off = n_all - plan.flows.len();
    let page = Arc::new(Screen::new(terminal, &plan));
    // It has no figures to complete: what was seen is shown already.
    let (outcome, interrupts) =
        under_first_signal(LiveChoice::Line, terminal, |live, interrupts| {
            let shown = Arc::clone(&page);
            let witness = Witness::new(move |seen| shown.show(&seen));
            let mut watching = TrialObserver { live, terminal };
            try_out(plan, witness, &mut watching, interrupts)
        })?;
    let ends = page.end();
    let calls = Rows::new(&outcome.start.rows, &outcome.totals).totals();
    let mut last = Line::of(Role::Strong, plural(calls.started, "call", "calls"));
    last = match calls.failed {
        0 => last.add(Role::Success, format!(", {} ok", calls.ok)),
        n_failed => last.add(Role::Error, format!(", {n_failed} failed")),
    };
    if calls.cancelled > 0 {
        last = last.add(Role::Plain, format!(", {} cancelled", calls.cancelled));
    }
    if n_off > 0 {
        let entries = plural(n_off as u64, "entry", "entries");
        last = last.add(Role::Plain, format!("; {entries} of weight 0 left out"));
    }
    let written = ends.and_then(|()| terminal.print(&[Line::new(), last]));
    written.map_err(|error| no_stdout(&error))?;
    let code = match outcome.ended {
        _ if interrupts.is_pending() => exit::INTERRUPTED,
        Ended::NoSession => return Err(no_session(&outcome)),
        _ => exit::PASSED,
    };
    if code == exit::PASSED && calls.failed > 0 {
        let failed = plural(calls.failed, "call", "calls");
        return Err(UserError::new(
            ErrorKind::NotKept,
            format!("{failed} failed"),
        ));
    }
    Ok(code)
}

fn no_session(outcome: &RunOutcome) -> UserError {
    let handshakes = Rows::new(&outcome.start.rows, &outcome.totals).sum_of(RowKind::Handshake);
    let n_tries = handshakes.map_or(0, |handshakes| handshakes.failed);
    let tries = plural(n_tries, "try", "tries");
    UserError::could_not_run(format!("no session could be opened in {tries}"))
}

/// Where the requests are shown, from a worker's thread.
struct Screen {
    terminal: Terminal,
    inner: Mutex<(TrialPage, io::Result<()>)>,
}

impl Screen {
    fn new(terminal: &Terminal, plan: &Plan) -> Self {
        let page = TrialPage::new(terminal.stdout_layout(), plan);
        Self {
            terminal: terminal.clone(),
            inner: Mutex::new((page, Ok(()))),
        }
    }

    fn show(&self, seen: &Seen) {
        // From here on they are in nothing that is written.
        let found = secrets(seen);
        self.terminal.hide(found.iter().map(String::as_str));
        self.print(|page| {
            let taken = page.secrets_taken(seen);
            self.terminal.hide(taken.iter().map(String::as_str));
            page.lines(seen, &self.terminal.redactor())
        });
    }

    /// What could not be written, if anything.
    fn end(&self) -> io::Result<()> {
        self.print(TrialPage::end);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut inner.1, Ok(()))
    }

    fn print(&self, lines: impl FnOnce(&mut TrialPage) -> Vec<Line>) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = lines(&mut inner.0);
        if inner.1.is_ok() {
            inner.1 = self.terminal.print(&lines);
        }
    }
}

/// Passes on what the user should know, and shows which server was found. How a load
/// goes on is no news of a trial.
struct TrialObserver<'a> {
    live: &'a mut dyn Observer,
    terminal: &'a Terminal,
}

impl Observer for TrialObserver<'_> {
    fn notice(&mut self, text: &str) {
        self.live.notice(text);
    }

    fn preparing(&mut self, doing: Option<(Duration, &str)>) {
        self.live.preparing(doing);
    }

    fn asking(&mut self, elapsed: Duration, url: &str, timeout: Duration) {
        self.live.asking(elapsed, url, timeout);
    }

    fn started(&mut self, start: &RunStart) {
        let server = start.server();
        let said = [&server.name, &server.version].into_iter().flatten();
        let said: Vec<&str> = said.map(String::as_str).collect();
        let revision = format!("MCP {}", server.revision.as_str());
        let told = [said.join(" "), revision];
        let told: Vec<&str> = told
            .iter()
            .map(String::as_str)
            .filter(|it| !it.is_empty())
            .collect();
        let line =
            Line::of(Role::Accent, &server.url).add(Role::Plain, format!(" ({})", told.join(", ")));
        // Who does not read it misses no request.
        let _ = self.terminal.print(&[line]);
    }
}
