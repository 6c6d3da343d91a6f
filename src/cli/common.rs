//! What several commands do alike: find the config, make the plan, run under
//! signals, deliver the report.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::exit;
use super::secrets::redacted_command_line;
use super::signals::{Listener, is_in_foreground};
use crate::address;
use crate::clock::Utc;
use crate::coordinator::{Interrupts, raise_file_limit};
use crate::decide::compare::compare_populations;
use crate::error::{UserError, shortened};
use crate::files::{WRITTEN_BYTES_MAX, is_stdin, read_stdin, read_text, reason};
use crate::report::compare::{sample, whole};
use crate::report::{BuildInfo, LiveChoice, LiveLine, LiveStyle, Report};
use crate::scenario::{self, Overrides, Plan, Source};
use crate::servers::demo::{DemoOptions, DemoServer};
use crate::terminal::{
    Canvas, Stream, Terminal, forgive_broken_pipe, is_stderr_taken, n_bytes_typed,
};

/// The plan of a load, from the config that `config` names and from flags; with the
/// demo server, where it is wanted. The server is started before anything is pinned:
/// its thread inherits our CPUs.
pub(super) fn plan_of(
    config: Option<&str>,
    is_demo: bool,
    mut overrides: Overrides,
) -> Result<(Plan, Option<DemoServer>), UserError> {
    if let (true, Some(url)) = (is_demo, &overrides.url) {
        return Err(UserError::usage(format!(
            "`--demo` and the URL `{}` exclude each other",
            shortened(&address::shown(url))
        )));
    }
    let source = source_of(config, is_demo, overrides.tool.is_some())?;
    let demo = is_demo.then(start_demo).transpose()?;
    if let Some(demo) = &demo {
        overrides.url = Some(demo.url());
    }
    let mut plan = load_plan(source.as_ref(), &overrides)?;
    // Not named by the user, it may be another one than the user thinks of.
    if let Some(source) = source.filter(|source| config.is_none() && source.path.is_absolute()) {
        let notice = format!("the config is `{}`", source.path.display());
        plan.notices.insert(0, notice);
    }
    Ok((plan, demo))
}

/// The config: the one that is named, or the nearest one. A tool on the command
/// line needs none, and the demo has its own.
fn source_of(
    config: Option<&str>,
    is_demo: bool,
    has_tool: bool,
) -> Result<Option<Source>, UserError> {
    if let Some(path) = config {
        return read_source(Path::new(path)).map(Some);
    }
    if is_demo {
        let text = include_str!("demo_scenario.toml").to_string();
        let path = PathBuf::from("the demo's scenario");
        return Ok((!has_tool).then_some(Source { path, text }));
    }
    // A folder that is gone holds no config.
    let Ok(here) = current_folder() else {
        return Ok(None);
    };
    let path = scenario::find_config(&here);
    path.map(|path| read_source(&path)).transpose()
}

/// The plan of a config and flags, in the environment of this process.
pub(super) fn load_plan(source: Option<&Source>, overrides: &Overrides) -> Result<Plan, UserError> {
    let environment = |name: &str| std::env::var_os(name);
    // Small enough to be typed again.
    let seed = fastrand::u64(..1_000_000_000);
    Ok(scenario::load(source, overrides, &environment, seed)?)
}

fn start_demo() -> Result<DemoServer, UserError> {
    DemoServer::start(DemoOptions::default()).map_err(|error| {
        let why = reason(&error);
        UserError::could_not_run(format!("cannot start the demo server: {why}"))
    })
}

/// Does something that signals interrupt, and that a live line tells of.
pub(super) fn under_signals<T>(
    live: LiveChoice,
    terminal: &Terminal,
    run: impl FnOnce(&mut LiveLine<Stream>, &Interrupts) -> Result<T, UserError>,
) -> Result<(T, Interrupts), UserError> {
    heeding_signals(false, live, terminal, run)
}

/// The same for what has nothing to finish: the first signal ends it at once.
pub(super) fn under_first_signal<T>(
    live: LiveChoice,
    terminal: &Terminal,
    run: impl FnOnce(&mut LiveLine<Stream>, &Interrupts) -> Result<T, UserError>,
) -> Result<(T, Interrupts), UserError> {
    heeding_signals(true, live, terminal, run)
}

fn heeding_signals<T>(
    is_hasty: bool,
    live: LiveChoice,
    terminal: &Terminal,
    run: impl FnOnce(&mut LiveLine<Stream>, &Interrupts) -> Result<T, UserError>,
) -> Result<(T, Interrupts), UserError> {
    let (interrupter, interrupts) = Interrupts::new();
    let canvas = Canvas::default();
    let (_listener, interrupts) = match is_hasty {
        true => (
            Listener::at_once(interrupter, canvas.clone()),
            interrupts.at_once(),
        ),
        false => (Listener::start(interrupter, canvas.clone()), interrupts),
    };
    let mut live = live_line(live, terminal).on(canvas);
    let done = run(&mut live, &interrupts)?;
    Ok((done, interrupts))
}

/// Raises the limit of open files for these connections. With the demo server both
/// ends of each are ours. Where the limit cannot be raised, the run itself says so.
pub(super) fn make_room(n_connections: u64, is_demo: bool) {
    let ends = if is_demo { 2 } else { 1 };
    raise_file_limit(n_connections.saturating_mul(ends));
}

/// What a report says of this program and its call.
pub(super) fn build_info(words: &[String], terminal: &Terminal) -> BuildInfo {
    BuildInfo {
        version: env!("CARGO_PKG_VERSION").to_string(),
        command_line: redacted_command_line(words, &terminal.redactor()),
        finished_at: Utc::now(),
    }
}

/// Compares the two populations of a report with each other, where it has what that
/// takes.
pub(super) fn compare_sides(report: &mut Report) {
    let [base, new] = report.populations.as_slice() else {
        return;
    };
    let calls = |name: &str| {
        let own = report.operations.iter();
        let own = own.filter(|it| it.population.as_deref() == Some(name));
        own.map(|it| it.label.as_str()).collect::<BTreeSet<_>>()
    };
    // What nobody else calls can be compared with nothing.
    if calls(&base.name).is_disjoint(&calls(&new.name)) {
        return;
    }
    // Whoever wrote the report wrote its histograms; those of another may be broken.
    let Ok(run) = sample(report, "") else {
        return;
    };
    let are_even = base.share == new.share;
    let sides = [base, new].map(|it| (it.name.as_str(), whole(&it.figures)));
    report.ab = Some(compare_populations(&run, sides, are_even));
}

/// Says each thing that went wrong after a load, and gives the code of it all.
pub(super) fn tell_all(
    terminal: &Terminal,
    code: u8,
    errors: impl IntoIterator<Item = UserError>,
) -> u8 {
    let codes = errors.into_iter().map(|error| {
        terminal.print_error(&error);
        exit::of_error(&error)
    });
    exit::strongest(std::iter::once(code).chain(codes))
}

/// Reads a config; `-` is the standard input, whose files are named from the current
/// folder on.
pub(super) fn read_source(path: &Path) -> Result<Source, UserError> {
    if is_stdin(path) {
        let path = PathBuf::from("standard input");
        let text = read_stdin(WRITTEN_BYTES_MAX)
            .map_err(|why| UserError::usage(format!("the config of the standard input {why}")))?;
        return Ok(Source { path, text });
    }
    let text = read_text(path, WRITTEN_BYTES_MAX).map_err(|why| {
        UserError::usage(format!("the config `{}` {why}", path.display()))
            .hint("`cargo pmcp loadtest init` writes one")
    })?;
    let path = match current_folder() {
        Ok(here) => path.strip_prefix(here).unwrap_or(path).to_path_buf(),
        Err(_) => path.to_path_buf(),
    };
    Ok(Source { path, text })
}

pub(super) fn current_folder() -> Result<PathBuf, UserError> {
    std::env::current_dir().map_err(|error| {
        UserError::could_not_run(format!("no current folder: {}", reason(&error)))
            .hint("change to a folder that exists, or say where to write with `--report FILE`")
    })
}

/// Writes a whole text to stdout. A reader that has gone is no fault.
///
/// # Errors
/// Where the stream refuses.
pub(super) fn write_to_stdout(text: &str, terminal: &Terminal) -> Result<(), UserError> {
    let mut out = terminal.stdout();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    let written = written.or_else(forgive_broken_pipe);
    written.map_err(|error| no_stdout(&error))
}

/// Stdout refuses what is written to it.
pub(super) fn no_stdout(error: &io::Error) -> UserError {
    UserError::could_not_run(format!("cannot write to stdout: {}", reason(error)))
}

/// What shows a run on stderr.
pub(super) fn live_line(live: LiveChoice, terminal: &Terminal) -> LiveLine<Stream> {
    let plain = terminal.clone();
    LiveLine::new(terminal.stderr(), live_style(live, terminal))
        .where_taken(is_stderr_taken)
        .where_typed(n_bytes_typed)
        .breaking(move || Some(plain.stderr_layout()).filter(|it| it.columns.is_some()))
}

fn live_style(live: LiveChoice, terminal: &Terminal) -> LiveStyle {
    let drawn = terminal.clone();
    let layout = Rc::new(move || is_in_foreground().then(|| drawn.redrawn_layout()));
    match (live, terminal.stderr_is_redrawable()) {
        (LiveChoice::Quiet, _) => LiveStyle::Quiet,
        (LiveChoice::Off, _) => LiveStyle::Notices,
        (LiveChoice::Panel, true) => LiveStyle::Panel(layout),
        (LiveChoice::Line, true) => LiveStyle::Redrawn(layout),
        (LiveChoice::Panel | LiveChoice::Line, false) => LiveStyle::Lines,
    }
}
