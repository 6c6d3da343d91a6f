//! Whether a result is valid: the figures of the server, or of the machine that
//! made the load. Pure: plain figures in, a verdict out.
//!
//! A load tester that is itself the limit measures itself. So every run is
//! judged by what it noticed about its own threads, its host and its load:
//! [`bounds()`] says by how much that may have changed each figure, [`judge`]
//! holds that and the other [`Evidence`] against the tables below and gives a
//! [`Verdict`]: a [`Reason`] where a figure is endangered, a note where something
//! was seen that changed none. **A rule that a slow, full or broken server can
//! trigger has no place here**, but for rates whose time is mostly that of the last calls,
//! and searches in which the server was not the same at all levels.
//!
//! *Valid*: nothing speaks against the figures. *Suspect*: they may be used with
//! the reason in mind. *Invalid*: they answer another question than the one that
//! was asked.
//!
#![doc = include_str!("self_check.md")]
//!
//! Little's law is one-sided on purpose: calls are in flight for us from before
//! their connection is made to after their stream has ended, so that more of
//! them than the latencies explain is a server's doing. The thresholds were
//! tuned with runs that starve the generator for real (`tests/e2e/validity.rs`).

mod aftermath;
mod bounds;
mod evidence;
mod late_end;
mod reason;
mod rules;
mod second;
mod shown;
mod signal;
mod slowed;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::named;

pub use aftermath::{Aftermath, LoadSecond};
pub use bounds::{Bounds, Measured, P50AndP99, bounds};
pub use evidence::{
    Evidence, LocalResource, LocalResources, Quantiles, Reference, SecondSignals, WorkerEvidence,
};
pub use late_end::{LateEnd, RateSecond, last_busy};
pub use reason::Reason;
pub use rules::{judge, lateness_is_ours};
pub use second::{GeneratorLimit, SecondLoad, Watch, generator_limit, is_stall};
pub use signal::Signal;
pub use slowed::{Harm, Slowed};

named! {
    /// How far a result can be trusted, worst last.
    #[derive(
        Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema,
    )]
    #[serde(rename_all = "snake_case")]
    pub enum Grade {
        /// Nothing speaks against it.
        #[default]
        Valid = "valid",
        /// To be used with the reasons in mind.
        Suspect = "suspect",
        /// It answers another question than the one that was asked.
        Invalid = "invalid",
    }
    /// `valid`, `suspect` or `invalid`.
    fn as_str
}

/// Whether a result is valid, and why not.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The worst of its reasons; valid without any.
    pub grade: Grade,
    /// Worst first.
    pub reasons: Vec<(Grade, Reason)>,
    /// What was seen and changes no figure.
    pub notes: Vec<Reason>,
    /// By how much figures may be wrong for what this machine did.
    pub bounds: Bounds,
}

impl Verdict {
    /// The verdict of these reasons.
    pub fn of(mut reasons: Vec<(Grade, Reason)>) -> Self {
        // Stable: reasons of one grade stay in the order of the table.
        reasons.sort_by_key(|(grade, _)| std::cmp::Reverse(*grade));
        let grade = reasons.first().map_or(Grade::Valid, |(grade, _)| *grade);
        Self {
            grade,
            reasons,
            notes: Vec::new(),
            bounds: Bounds::default(),
        }
    }

    /// Whether a reason or a note of this name is among them.
    pub fn has(&self, id: &str) -> bool {
        let reasons = self.reasons.iter().map(|(_, reason)| reason);
        reasons.chain(&self.notes).any(|reason| reason.id() == id)
    }
}

#[cfg(test)]
mod tests;
