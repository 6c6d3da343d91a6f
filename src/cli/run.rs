//! `run`: from what was typed to a report.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::args::Run;
use super::options::{Whole, api_key_of_environment, bearer, headers, redacted_command_line};
use super::signals::Listener;
use super::{CommandResult, calibrate, exit, shown_in};
use crate::address;
use crate::clock::Utc;
use crate::coordinator::{self, Interrupts};
use crate::demo::{DemoOptions, DemoServer};
use crate::error::UserError;
use crate::files::{WRITTEN_BYTES_MAX, read_text};
use crate::outcome::Ended;
use crate::report::{
    BuildInfo, LiveLine, LiveStyle, Report, ReportFile, ReportKind, build, deliver,
};
use crate::scenario::{self, Overrides, Plan, Source};
use crate::terminal::Terminal;
use crate::worker::raise_file_limit;

pub(super) fn run(args: Run, words: &[String], terminal: &Terminal) -> CommandResult {
    let color = args.color.choice(args.no_color);
    let terminal = terminal.colored(color);
    run_in(args, words, &terminal).map_err(shown_in(color))
}

fn run_in(mut args: Run, words: &[String], terminal: &Terminal) -> Result<u8, UserError> {
    let report_wish = ReportWish::new(args.report.take(), args.no_report)?;
    let calibration = args.calibration.take();
    let is_quiet = args.quiet;
    let style = live_style(is_quiet, terminal);
    // Started before anything is pinned: its thread inherits our CPUs.
    let demo = args.demo.then(start_demo).transpose()?;
    let source = find_source(&args)?;
    let mut plan = load_plan(args, source.as_ref(), demo.as_ref())?;
    terminal.hide_all(&plan.redactor());
    calibrate_plan(&mut plan, calibration.as_deref())?;
    if demo.is_some() {
        // Both ends of every connection are ours. Where the limit cannot be
        // raised, the run itself will say so.
        let _ = raise_file_limit(2 * u64::from(plan.vus_max()));
    }
    let command_line = redacted_command_line(words, &terminal.redactor());
    let report_file = report_wish.open(ReportKind::Run)?;

    let (interrupter, interrupts) = Interrupts::new();
    let listener = Listener::start(interrupter);
    let mut live = LiveLine::new(terminal.stderr(), style);
    let outcome = coordinator::run(plan.clone(), &mut live, &interrupts)?;
    drop(listener);
    drop(live);

    let info = BuildInfo {
        version: env!("CARGO_PKG_VERSION").to_string(),
        command_line,
        finished_at: Utc::now(),
    };
    let report = build(&plan, scenario::to_json(&plan), &outcome, &info);
    let delivered = deliver(report_file, report, is_quiet, terminal);
    let session = match outcome.ended {
        Ended::NoSession => Err(no_session(&delivered.report)),
        _ => Ok(()),
    };
    let is_interrupted = interrupts.is_pending();
    let grade = outcome.verdict.grade;
    let code = exit::of_run(outcome.ended, is_interrupted, grade, plan.strict);
    let results = [delivered.written, delivered.shown, session];
    Ok(tell_all(terminal, code, results))
}

/// Says each thing that went wrong after a load, and gives the code of it all.
pub(super) fn tell_all(
    terminal: &Terminal,
    code: u8,
    results: impl IntoIterator<Item = Result<(), UserError>>,
) -> u8 {
    let errors = results.into_iter().filter_map(Result::err);
    let codes = errors.map(|error| {
        terminal.print_error(&error);
        exit::of_error(&error)
    });
    exit::strongest(std::iter::once(code).chain(codes))
}

/// Nobody ever got a session, so nothing was measured; or nobody got one any
/// more, so the iterations were not done.
fn no_session(report: &Report) -> UserError {
    let why = report
        .handshake
        .as_ref()
        .and_then(|handshake| handshake.failures.first())
        .map(|cause| match cause.examples.first() {
            Some(example) => format!(": {} ({example})", cause.id),
            None => format!(": {}", cause.id),
        })
        .unwrap_or_default();
    let n_opened = report.counters.sessions_opened;
    if n_opened > 0 {
        return UserError::could_not_run(format!(
            "the run was ended before its iterations were done: for 30s no virtual user had a \
             session that lasted for a call{why}"
        ))
        .hint("look at the server's log for what became of its sessions");
    }
    UserError::could_not_run(format!("no virtual user could open a session{why}"))
        .hint("the server answered before the load began: look at its log for what changed")
}

pub(super) fn start_demo() -> Result<DemoServer, UserError> {
    DemoServer::start(DemoOptions::default())
        .map_err(|error| UserError::could_not_run(format!("cannot start the demo server: {error}")))
}

/// The config: the one that is named, or the nearest one. A tool on the command
/// line needs none, and the demo server is not what a found one is for.
pub(super) fn find_source(args: &Run) -> Result<Option<Source>, UserError> {
    if let Some(path) = &args.config {
        return read_source(Path::new(path)).map(Some);
    }
    if args.demo {
        let text = include_str!("demo_scenario.toml").to_string();
        let path = PathBuf::from("the demo's scenario");
        return Ok(args.tool.is_none().then_some(Source { path, text }));
    }
    // A folder that is gone holds no config.
    let Ok(here) = current_folder() else {
        return Ok(None);
    };
    scenario::find_config(&here)
        .map(|path| read_source(&path))
        .transpose()
}

pub(super) fn read_source(path: &Path) -> Result<Source, UserError> {
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
        UserError::could_not_run(format!("no current folder: {error}"))
            .hint("change to a folder that exists, or say where to write with `--report FILE`")
    })
}

pub(super) fn load_plan(
    args: Run,
    source: Option<&Source>,
    demo: Option<&DemoServer>,
) -> Result<Plan, UserError> {
    if args.args.is_some() && args.tool.is_none() {
        return Err(UserError::usage("`--args` goes with `--tool`"));
    }
    if let (Some(_), Some(url)) = (demo, &args.url) {
        return Err(UserError::usage(format!(
            "`--demo` and the URL `{}` exclude each other",
            super::shortened(&address::shown(url))
        )));
    }
    // Where nobody has named it, it may not be the one that the user thinks of.
    let found_above = source
        .filter(|source| args.config.is_none() && source.path.is_absolute())
        .map(|source| format!("the config is `{}`", source.path.display()));
    let has_key = args.api_key.is_some();
    let overrides = Overrides {
        url: demo.map(DemoServer::url).or(args.url),
        vus: args.vus.map(Whole::get_u32),
        duration: args.duration.map(|span| span.0),
        iterations: args.iterations.map(Whole::get),
        timeout: args.timeout.map(|span| span.0),
        graceful_stop: args.graceful_stop.map(|span| span.0),
        ramp_up: args.ramp_up.map(|span| span.0),
        stages: args.stages.map(|stages| stages.0),
        rate: args.rate.map(|rate| rate.0),
        max_vus: args.max_vus.map(Whole::get_u32),
        pacing: args.pacing.map(|span| span.0),
        think: args.think.map(|span| span.0),
        warm_up: args.warm_up.map(|span| span.0),
        headers: headers(args.headers, args.api_key),
        default_headers: api_key_of_environment()
            .filter(|_| !has_key)
            .map(|key| bearer(&key))
            .into_iter()
            .collect(),
        protocol: args.protocol,
        cookies: args.cookies.then_some(true),
        seed: args.seed.map(Whole::get),
        workers: args
            .workers
            .and_then(|workers| usize::try_from(workers.get()).ok()),
        pin: args.no_pin.then_some(false),
        busy_poll: args.busy_poll.then_some(true),
        probe: args.probe,
        strict: args.strict.then_some(true),
        stop_on_break: args.on_break.map(|on_break| on_break.stop),
        tool: args
            .tool
            .map(|tool| (tool, args.args.map(|arguments| arguments.0))),
        ..Overrides::default()
    };
    let environment = |name: &str| std::env::var(name).ok();
    // Small enough to be typed again.
    let seed = fastrand::u64(..1_000_000_000);
    let mut plan = scenario::load(source, &overrides, &environment, seed)?;
    if let Some(notice) = found_above {
        plan.notices.insert(0, notice);
    }
    Ok(plan)
}

pub(super) fn live_style(quiet: bool, terminal: &Terminal) -> LiveStyle {
    if quiet {
        LiveStyle::Quiet
    } else if terminal.stderr_is_redrawable() {
        let terminal = terminal.clone();
        LiveStyle::Redrawn(Rc::new(move || terminal.redrawn_layout()))
    } else {
        LiveStyle::Lines
    }
}

/// Lets the run be measured by what a calibration found, if one is named.
pub(super) fn calibrate_plan(plan: &mut Plan, path: Option<&str>) -> Result<(), UserError> {
    let Some(path) = path else { return Ok(()) };
    let calibrated = calibrate::read_for_run(path, plan.workers.busy_poll)?;
    plan.reference = calibrated.reference;
    plan.notices.extend(calibrated.notice);
    Ok(())
}

/// Where the JSON report goes.
pub(super) enum ReportWish {
    Nowhere,
    Default,
    File(PathBuf),
}

impl ReportWish {
    /// From `--report` and `--no-report`.
    pub(super) fn new(report: Option<String>, no_report: bool) -> Result<Self, UserError> {
        match (report, no_report) {
            (Some(_), true) => Err(UserError::usage(
                "`--report` and `--no-report` exclude each other",
            )),
            (Some(path), false) => Ok(Self::File(PathBuf::from(path))),
            (None, true) => Ok(Self::Nowhere),
            (None, false) => Ok(Self::Default),
        }
    }

    /// Opens it, so that a bad path is known before the load begins.
    /// The default one is in the current folder, and named by the kind and the time.
    pub(super) fn open(self, kind: ReportKind) -> Result<Option<ReportFile>, UserError> {
        match self {
            Self::Nowhere => Ok(None),
            Self::File(path) => ReportFile::open(&path).map(Some),
            Self::Default => {
                let path = kind.default_path(&current_folder()?, Utc::now());
                ReportFile::open_in_folder(&path).map(Some)
            }
        }
    }
}
