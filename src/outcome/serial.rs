//! How plain figures stand in JSON: times in the units of the reports, shares and
//! rates to six decimals. For `serde(with)` and `serde(serialize_with)`.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

use crate::units::{ns_of_ms, tidy};

/// Milliseconds of a report as nanoseconds.
fn ns_of<E: serde::de::Error>(ms: f64) -> Result<u64, E> {
    match ms >= 0.0 {
        true => Ok(ns_of_ms(ms)),
        false => Err(E::custom("figures are missing: a time is below 0")),
    }
}

/// Nanoseconds, as milliseconds with their fraction.
pub(crate) mod ms {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(ns: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(crate::units::ms(*ns))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        ns_of(f64::deserialize(from)?)
    }
}

/// The same where there may be none.
pub(crate) mod ms_if_any {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(ns: &Option<u64>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_some(&ns.map(crate::units::ms))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
        Option::<f64>::deserialize(from)?.map(ns_of).transpose()
    }
}

/// A fraction of nanoseconds where there may be one, as microseconds.
pub(crate) mod us_if_any {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(ns: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_some(&ns.map(|ns| tidy(ns / 1e3)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
        Ok(Option::<f64>::deserialize(from)?.map(|us| us * 1e3))
    }
}

/// A duration, in seconds to the microsecond.
pub(crate) mod secs {
    use super::*;
    use std::time::Duration;

    pub(crate) fn serialize<S: Serializer>(length: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(crate::units::secs(*length))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// The same where there may be none.
pub(crate) mod secs_if_any {
    use super::*;
    use std::time::Duration;

    pub(crate) fn serialize<S: Serializer>(
        length: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_some(&length.map(crate::units::secs))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        let secs = Option::<f64>::deserialize(from)?;
        secs.map(|secs| Duration::try_from_secs_f64(secs).map_err(D::Error::custom))
            .transpose()
    }
}

/// Thousandths of a CPU where there may be some, as CPUs.
pub(crate) mod cpus_if_any {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(milli: &Option<u64>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_some(&milli.map(|milli| milli as f64 / 1e3))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
        // A cast from a float saturates.
        let cpus = Option::<f64>::deserialize(from)?;
        Ok(cpus.map(|cpus| (cpus * 1e3).round() as u64))
    }
}

/// The CPU of each worker, and whether it was pinned to one.
pub(crate) mod workers {
    use super::*;
    use serde::Serialize;

    #[derive(Serialize, Deserialize)]
    struct Worker {
        pinned: bool,
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
