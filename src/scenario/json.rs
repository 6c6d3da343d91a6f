//! The forms that parts of a plan have in JSON.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::header::Header;
use crate::data::DataSet;
use crate::load::{Segment, ThinkTime};
use crate::protocol::Topic;
use crate::threshold::Threshold;

/// `{ "number": 2, "of": 4 }`, or `null` for all of the load.
pub(super) fn as_segment<S: Serializer>(
    segment: &Segment,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let part = (!segment.is_whole())
        .then(|| json!({ "number": segment.ordinal(), "of": segment.count() }));
    part.serialize(serializer)
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

pub(super) fn as_text<S: Serializer>(
    value: &impl Display,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Headers without their values, which may be secrets.
pub(super) fn as_names<S: Serializer>(
    headers: &[Header],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(headers.iter().map(|header| &header.name))
}

pub(super) fn as_topics<S: Serializer>(topics: &[Topic], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(topics.iter().map(Topic::to_string))
}

pub(super) fn as_on_break<S: Serializer>(stops: &bool, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(if *stops { "stop" } else { "continue" })
}

/// By the keys of the config.
pub(super) fn as_thresholds<S: Serializer>(
    thresholds: &[Threshold],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(thresholds.iter().map(|threshold| {
        json!({
            "assert": threshold.text,
            "severity": threshold.severity,
            "few": if threshold.few_fails { "fail" } else { "value" },
            "abort": threshold.abort_after.is_some(),
            "grace_secs": threshold.abort_after.map(|grace| grace.as_secs_f64()),
        })
    }))
}

/// Without serde's feature `rc`, which only what the tests depend on has.
pub(super) fn as_shared<T: Serialize, S: Serializer>(
    shared: &Arc<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    shared.as_ref().serialize(serializer)
}

/// By name: what is in the sets, but none of their cells.
pub(super) fn as_data<S: Serializer>(
    sets: &[Arc<DataSet>],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(sets.iter().map(|set| {
        json!({
            "name": set.name,
            "rows": set.n_rows(),
            "columns": set.columns(),
            "mode": set.mode.word(),
            "at_end": set.at_end.word(),
        })
    }))
}

/// `null` where there is no pause.
pub(super) fn as_think<S: Serializer>(think: &ThinkTime, serializer: S) -> Result<S::Ok, S::Error> {
    think_json(think).serialize(serializer)
}

/// The same as a value.
pub(super) fn think_json(think: &ThinkTime) -> Value {
    match *think {
        ThinkTime::None => Value::Null,
        ThinkTime::Constant(pause) => json!({"distribution": "constant", "value_ms": ms(pause)}),
        ThinkTime::Uniform { low, high } => {
            json!({"distribution": "uniform", "low_ms": ms(low), "high_ms": ms(high)})
        }
        ThinkTime::Exponential { mean } => {
            json!({"distribution": "exponential", "mean_ms": ms(mean)})
        }
        ThinkTime::LogNormal { median, sigma } => {
            json!({"distribution": "lognormal", "median_ms": ms(median), "sigma": sigma})
        }
    }
}
