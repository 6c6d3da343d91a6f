//! What the run had to keep, and whether it did: the same words as in
//! [`outcome`](crate::outcome).

pub use crate::outcome::{GateGrade, GateOutcome, ThresholdFigures};
