//! How plain figures stand in JSON: times in the units of the reports, shares and
//! rates to six decimals. For `serde(with)` and `serde(serialize_with)`.

use std::time::Duration;

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

use crate::units::{ns_of_ms, tidy};

/// Milliseconds of a report as nanoseconds.
fn ns_of(ms: f64) -> Result<u64, &'static str> {
    match ms >= 0.0 {
        true => Ok(ns_of_ms(ms)),
        false => Err("figures are missing: a time is below 0"),
    }
}

/// Makes the module of a value from its conversion to the number in JSON and the
/// one back.
macro_rules! number {
    ($(#[$doc:meta])* $name:ident: $value:ty, $to:expr, $from:expr) => {
        $(#[$doc])*
        pub(crate) mod $name {
            use super::*;

            pub(crate) fn serialize<S: Serializer>(value: &$value, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_f64(($to)(*value))
            }

            pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
                from: D,
            ) -> Result<$value, D::Error> {
                ($from)(f64::deserialize(from)?).map_err(D::Error::custom)
            }
        }
    };
}

/// The same for a value that there may be.
macro_rules! number_if_any {
    ($(#[$doc:meta])* $name:ident: $value:ty, $to:expr, $from:expr) => {
        $(#[$doc])*
        pub(crate) mod $name {
            use super::*;

            pub(crate) fn serialize<S: Serializer>(
                value: &Option<$value>,
                to: S,
            ) -> Result<S::Ok, S::Error> {
                to.serialize_some(&value.map($to))
            }

            pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
                from: D,
            ) -> Result<Option<$value>, D::Error> {
                let number = Option::<f64>::deserialize(from)?;
                number.map($from).transpose().map_err(D::Error::custom)
            }
        }
    };
}

number! {
    /// Nanoseconds, as milliseconds with their fraction.
    ms: u64, crate::units::ms, ns_of
}
number_if_any! {
    /// The same.
    ms_if_any: u64, crate::units::ms, ns_of
}
number! {
    /// A duration, in seconds to the microsecond.
    secs: Duration, crate::units::secs, Duration::try_from_secs_f64
}
number_if_any! {
    /// The same.
    secs_if_any: Duration, crate::units::secs, Duration::try_from_secs_f64
}
number_if_any! {
    /// A fraction of nanoseconds, as microseconds.
    us_if_any: f64, |ns: f64| tidy(ns / 1e3), |us: f64| Ok::<f64, &str>(us * 1e3)
}
number_if_any! {
    /// Thousandths of a CPU, as CPUs.
    cpus_if_any: u64, |milli: u64| milli as f64 / 1e3, millicpus_of
}

/// A cast from a float saturates.
fn millicpus_of(cpus: f64) -> Result<u64, &'static str> {
    Ok((cpus * 1e3).round() as u64)
}

/// The CPU of each worker, and whether it was pinned to one.
pub(crate) mod workers {
    use super::*;
    use serde::Serialize;

    /// A thread that makes load.
    #[derive(Serialize, Deserialize, JsonSchema)]
    pub(crate) struct Worker {
        /// It keeps to one CPU.
        pinned: bool,
        /// That CPU; `null` where it was not pinned.
        cpu: Option<usize>,
    }

    pub(crate) fn serialize<S: Serializer>(
        cpus: &[Option<usize>],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(cpus.iter().map(|cpu| Worker {
            pinned: cpu.is_some(),
            cpu: *cpu,
        }))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<Option<usize>>, D::Error> {
        let workers = Vec::<Worker>::deserialize(from)?;
        Ok(workers.into_iter().map(|worker| worker.cpu).collect())
    }
}

/// To six decimals.
pub(crate) fn tidied<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(tidy(*value))
}

/// The same where there may be none.
pub(crate) fn tidied_if_any<S: Serializer>(value: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_some(&value.map(tidy))
}
