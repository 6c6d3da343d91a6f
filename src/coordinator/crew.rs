//! Worker threads, from their start to their last words.
//!
//! For a run, for each level of a search, and for the probe. It does not know
//! what is measured, nor when the load begins or ends.

use std::sync::Arc;
use std::thread::{self, Scope};

use crossbeam_channel::{Receiver, bounded, never};

use crate::auth::Subscription;
use crate::error::UserError;
use crate::host::refused_by_system;
use crate::load::{ArrivalSchedule, Segment};
use crate::metrics::Recorder;
use crate::user::{Budget, Script, WaitingArrivals};
use crate::worker::{
    self, Command, EVENTS_BOUND, Handle, Tick, WorkerEnd, WorkerEvent, WorkerOptions,
};

/// What the workers of a crew are to do.
pub(super) struct CrewOptions<'a> {
    /// What the threads are called, in messages too.
    pub(super) role: CrewRole,
    pub(super) script: &'a Arc<Script>,
    /// The CPU for each worker; `None`: wherever the system likes.
    pub(super) cpus: &'a [Option<usize>],
    /// The iterations of all these workers together.
    pub(super) budget: Arc<Budget>,
    /// The arrivals of the whole load, in the open model.
    pub(super) arrivals: Option<ArrivalSchedule>,
    /// The users of the whole load that serve them.
    pub(super) users_max: u32,
}

/// Whether the threads make the load or watch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CrewRole {
    Worker,
    Probe,
}

/// Worker threads. Dropped before all have ended, it tells them to give up
/// everything: the scope that they run in joins them.
#[derive(Debug)]
pub(super) struct Crew {
    role: CrewRole,
    workers: Vec<Handle>,
    pub(super) cpus: Vec<Option<usize>>,
    /// Closed once all workers have ended; then it is replaced by one that is silent.
    pub(super) events: Receiver<WorkerEvent>,
    n_ended: usize,
    /// While it lives, new tokens reach the workers.
    tokens: Option<Subscription>,
}

/// What a worker said.
#[derive(Debug)]
pub(super) enum Word {
    Tick(Box<Tick>),
    End(Box<WorkerEnd>),
}

impl Crew {
    /// Starts the threads, without users.
    ///
    /// # Errors
    /// When the system gives no thread. Those that were started then end.
    pub(super) fn engage<'scope>(
        scope: &'scope Scope<'scope, '_>,
        options: &CrewOptions<'_>,
    ) -> Result<Self, UserError> {
        let n_workers = options.cpus.len();
        let (event_sender, events) = bounded(EVENTS_BOUND * n_workers);
        let mut crew = Self {
            role: options.role,
            workers: Vec::with_capacity(n_workers),
            cpus: Vec::with_capacity(n_workers),
            events,
            n_ended: 0,
            tokens: None,
        };
        let waiting = WaitingArrivals::new(&options.script.plan, n_workers);
        for (index, cpu) in options.cpus.iter().copied().enumerate() {
            let (handle, inbox) = Handle::new();
            let worker_options = WorkerOptions {
                index,
                n_workers,
                cpu,
                script: Arc::clone(options.script),
                budget: Arc::clone(&options.budget),
                arrivals: options.arrivals.clone(),
                users_max: options.users_max,
                waiting: waiting.clone(),
            };
            let events = event_sender.clone();
            let (tell_pinned, pinned) = bounded(1);
            thread::Builder::new()
                .name(options.role.name(index))
                .spawn_scoped(scope, move || {
                    worker::run(&worker_options, &inbox, &events, &tell_pinned);
                })
                .map_err(|error| refused_by_system("no thread", &error))?;
            crew.workers.push(handle);
            let is_pinned = pinned.recv().unwrap_or(false);
            crew.cpus.push(cpu.filter(|_| is_pinned));
        }
        // Before there are users: each begins with a token.
        crew.tokens = options.script.tokens.as_ref().map(|tokens| {
            let workers = crew.workers.clone();
            tokens.subscribe(move |held| {
                for worker in &workers {
                    worker.send(Command::SetTokens(Arc::clone(&held)));
                }
            })
        });
        Ok(crew)
    }

    /// How many workers there are.
    pub(super) fn len(&self) -> usize {
        self.workers.len()
    }

    /// All workers have said their last word.
    pub(super) fn have_all_ended(&self) -> bool {
        self.n_ended >= self.workers.len()
    }

    /// Takes note of what came from [`Crew::events`]; `None`: they are closed.
    ///
    /// # Errors
    /// When a worker cannot go on, or ended without its last word.
    pub(super) fn heard(&mut self, event: Option<WorkerEvent>) -> Result<Word, UserError> {
        match event {
            Some(WorkerEvent::Tick(tick)) => Ok(Word::Tick(tick)),
            Some(WorkerEvent::Ended(end)) => {
                self.n_ended += 1;
                if self.have_all_ended() {
                    self.events = never();
                }
                Ok(Word::End(end))
            }
            Some(WorkerEvent::Failed(worker, why)) => {
                let name = match self.role {
                    CrewRole::Worker => self.role.name(worker),
                    CrewRole::Probe => "the probe".to_string(),
                };
                Err(refused_by_system(&format!("{name} cannot go on"), &why))
            }
            None => Err(UserError::could_not_run(format!(
                "{} ended unexpectedly",
                match self.role {
                    CrewRole::Worker => "a worker",
                    CrewRole::Probe => "the probe",
                }
            ))),
        }
    }

    /// Gives a worker an empty recorder back.
    pub(super) fn recycle(&self, worker: usize, recorder: Box<Recorder>) {
        self.workers[worker].send(Command::Recycle(recorder));
    }

    /// Sets the number of users that all workers have together.
    pub(super) fn set_users(&self, users: u32) {
        let n_workers = u32::try_from(self.workers.len()).unwrap_or(u32::MAX);
        for (index, worker) in (0..).zip(&self.workers) {
            let of_worker = Segment::WHOLE.part(index, n_workers);
            worker.send(Command::SetUsers(of_worker.share_of_users(users)));
        }
    }

    /// Tells all workers the same.
    pub(super) fn broadcast(&self, command: impl Fn() -> Command) {
        for worker in &self.workers {
            worker.send(command());
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        if !self.have_all_ended() {
            self.broadcast(|| Command::CancelAll);
        }
    }
}

impl CrewRole {
    fn name(self, index: usize) -> String {
        match self {
            Self::Worker => format!("worker {index}"),
            Self::Probe => "probe".to_string(),
        }
    }
}
