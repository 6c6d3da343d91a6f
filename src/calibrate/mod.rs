//! What this host can generate: one worker against the canned server, which
//! costs next to nothing, on another CPU.
//!
//! ```text
//!   for each mode, sleeping and busy-polling:
//!     closed model at each number of users ─▶ rate, CPU per call, noise floor
//!   then, at rates that the host can keep:
//!     open model                            ─▶ how exactly a schedule is kept
//! ```
//!
//! Each step is a run like any other, through [`coordinator::run`], whose
//! outcome [`figures`] reads. It does not know how a calibration is shown or
//! kept. Start with [`run`].

pub mod figures;
mod place;

use std::path::Path;
use std::time::Duration;

use crate::clock::{SystemClock, Utc};
use crate::coordinator::{self, Interrupts};
use crate::error::{ErrorKind, UserError};
use crate::host::{self, Cpus};
use crate::outcome::{
    CalibrationEnded, CalibrationObserver, CalibrationOptions, CalibrationOutcome,
    CalibrationProgress, CalibrationStep, Ended, Observer, Progress, RunOutcome, StepKind,
};
use crate::protocol::{Era, ProtocolChoice};
use crate::scenario::{self, HistogramMode, Overrides, Plan};
use crate::servers::canned::{AnswerFraming, Options, ServerThread};

use figures::{closed_step, open_step, schedule_rates};

/// Run before figures are taken: sessions are opened, memory is touched.
const WARM_UP: Duration = Duration::from_millis(500);

/// Sessions that serve arrivals: more than are ever busy at once.
const POOL: u32 = 100;

/// The files that a calibration opens at once at most: both ends of every connection
/// are ours.
pub fn connections_max(options: &CalibrationOptions) -> u64 {
    let users = options.vus.iter().copied().chain([POOL]).max();
    2 * users.map_or(0, u64::from)
}

/// Measures this host.
///
/// # Errors
/// When the canned server or a run cannot be started. An interrupt is not an error:
/// what was measured by then is the outcome.
pub fn run(
    options: CalibrationOptions,
    observer: &mut dyn CalibrationObserver,
    interrupts: &Interrupts,
) -> Result<CalibrationOutcome, UserError> {
    let cpus = Cpus::of_this_process();
    let host = host::read(Path::new("/"), &cpus.allowed);
    // Where the run itself will put its only worker.
    let worker_cpu = cpus.assign(1).first().copied().flatten();
    let server_cpu = worker_cpu.and_then(|worker| place::server_cpu(&cpus.allowed, worker, &host));
    let at_once = Options {
        framing: AnswerFraming::Json,
        delay: Duration::ZERO,
    };
    let server = ServerThread::start(at_once, server_cpu).map_err(|error| {
        UserError::could_not_run(format!("cannot start the canned server: {error}"))
    })?;
    let mut calibration = Calibration {
        clock: SystemClock::start(),
        server: &server,
        observer,
        interrupts,
        step_idx: 0,
        n_steps: 2 * (options.vus.len() + figures::N_RATES),
        outcome: CalibrationOutcome {
            at: Utc::now(),
            elapsed: Duration::ZERO,
            host,
            allowed_cpus: cpus.allowed,
            quota_millicpus: cpus.quota_millicpus,
            worker_cpu: None,
            server_cpu: server.cpu(),
            kernel_timestamps: false,
            closed: Vec::new(),
            open: Vec::new(),
            ended: CalibrationEnded::Complete,
            notices: Vec::new(),
            options,
        },
    };
    let result = calibration.measure();
    calibration.observer.ended();
    let elapsed = calibration.clock.now();
    let mut outcome = calibration.outcome;
    match result {
        Ok(()) => {}
        Err(Stopped::Interrupted) => outcome.ended = CalibrationEnded::Interrupted,
        Err(Stopped::Failed(error)) => return Err(error),
    }
    outcome.elapsed = elapsed;
    Ok(outcome)
}

struct Calibration<'a> {
    clock: SystemClock,
    server: &'a ServerThread,
    observer: &'a mut dyn CalibrationObserver,
    interrupts: &'a Interrupts,
    step_idx: usize,
    n_steps: usize,
    outcome: CalibrationOutcome,
}

/// Why no further step is made.
enum Stopped {
    Interrupted,
    Failed(UserError),
}

impl Calibration<'_> {
    fn measure(&mut self) -> Result<(), Stopped> {
        for busy_poll in [false, true] {
            for vus in self.outcome.options.vus.clone() {
                let (run, server_share) = self.step(StepKind::Closed { vus }, busy_poll)?;
                let step = closed_step(vus, busy_poll, &run, server_share);
                self.outcome.closed.push(step);
                self.observer.step(&CalibrationStep::Closed(step));
            }
        }
        // The rate that sleeping reaches is the lower one: both modes keep it.
        let highest = figures::highest_rate(&self.outcome.closed, false).unwrap_or(0.0);
        let Some(rates) = schedule_rates(highest) else {
            return Err(Stopped::Failed(UserError::could_not_run(
                "the generator made no calls to its own canned server",
            )));
        };
        for busy_poll in [false, true] {
            for rate_per_sec in rates {
                let (run, _) = self.step(StepKind::Open { rate_per_sec }, busy_poll)?;
                let step = open_step(rate_per_sec, busy_poll, &run);
                self.outcome.open.push(step);
                self.observer.step(&CalibrationStep::Open(step));
            }
        }
        Ok(())
    }

    /// A run, and the share of one CPU that the server used meanwhile.
    fn step(
        &mut self,
        kind: StepKind,
        busy_poll: bool,
    ) -> Result<(RunOutcome, Option<f64>), Stopped> {
        if self.interrupts.is_pending() {
            return Err(Stopped::Interrupted);
        }
        let plan = self.plan(kind, busy_poll).map_err(Stopped::Failed)?;
        let (began, before) = (self.clock.now(), self.server.cpu_time());
        let mut watcher = Watcher {
            observer: self.observer,
            notices: &mut self.outcome.notices,
            clock: &self.clock,
            progress: CalibrationProgress {
                elapsed: Duration::ZERO,
                step_idx: self.step_idx,
                n_steps: self.n_steps,
                kind,
                busy_poll,
                rate: 0.0,
            },
        };
        let result = coordinator::run(plan, &mut watcher, self.interrupts);
        let (ended, after) = (self.clock.now(), self.server.cpu_time());
        let run = match result {
            Ok(run) if run.ended == Ended::Interrupted => return Err(Stopped::Interrupted),
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                return Err(Stopped::Interrupted);
            }
            Err(error) => return Err(Stopped::Failed(error)),
            Ok(run) => run,
        };
        for notice in &run.notices {
            if !self.outcome.notices.contains(notice) {
                self.outcome.notices.push(notice.clone());
            }
        }
        let generator = &run.start.generator;
        self.outcome.worker_cpu = generator.worker_cpus.first().copied().flatten();
        self.outcome.kernel_timestamps = generator.kernel_timestamps;
        self.step_idx += 1;
        let server_share = after.zip(before).map(|(after, before)| {
            let used = after.saturating_sub(before);
            used.as_secs_f64() / ended.saturating_sub(began).as_secs_f64()
        });
        Ok((run, server_share.filter(|share| share.is_finite())))
    }

    fn plan(&self, kind: StepKind, busy_poll: bool) -> Result<Plan, UserError> {
        let mut arguments = serde_json::Map::new();
        arguments.insert("text".to_string(), "hello".into());
        let (vus, rate) = match kind {
            StepKind::Closed { vus } => (Some(vus), None),
            StepKind::Open { rate_per_sec } => (None, Some(rate_per_sec)),
        };
        let overrides = Overrides {
            url: Some(self.server.url().to_string()),
            tool: Some(("echo".to_string(), Some(arguments.into()))),
            protocol: Some(ProtocolChoice::Era(Era::Legacy)),
            vus,
            rate,
            max_vus: rate.map(|_| POOL),
            warm_up: Some(WARM_UP),
            duration: Some(WARM_UP.saturating_add(self.outcome.options.step)),
            workers: Some(1),
            busy_poll: Some(busy_poll),
            ..Overrides::default()
        };
        let seed = 1;
        let mut plan = scenario::load(None, &overrides, &|_| None, seed)?;
        plan.target.listen = false;
        // Nobody sees them, and what they cost is not part of what this host can do.
        plan.histograms = HistogramMode::Off;
        Ok(plan)
    }
}

/// Passes a run's progress on as that of the calibration.
struct Watcher<'a> {
    observer: &'a mut dyn CalibrationObserver,
    notices: &'a mut Vec<String>,
    clock: &'a SystemClock,
    progress: CalibrationProgress,
}

impl Observer for Watcher<'_> {
    fn notice(&mut self, text: &str) {
        // Each step would say it again.
        if !self.notices.iter().any(|known| known == text) {
            self.notices.push(text.to_string());
            self.observer.notice(text);
        }
    }

    fn progress(&mut self, progress: &Progress<'_>) {
        self.progress.elapsed = self.clock.now();
        self.progress.rate = progress.rate;
        self.observer.calibrating(&self.progress);
    }
}
