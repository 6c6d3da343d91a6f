//! Thresholds: what a run has to keep, as it was asked for and as it came out.
//!
//! Plain words: who decides is `decide`.

mod model;

pub use model::{
    Comparison, Gate, GateGrade, LimitUnit, Selector, SelectorKind, Severity, ThresholdFigures,
};
