//! Whether a calibration was made on this host, with this program.

use crate::outcome::{CalibratedHost, CalibrationSamples};

/// A difference between the host of a calibration and this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// What differs.
    pub what: &'static str,
    /// As it was when the calibration was made.
    pub then: String,
    /// As it is now.
    pub now: String,
    /// It is another machine, or another share of it: the figures say nothing of
    /// this one.
    pub is_other_host: bool,
}

/// What differs between the host and the program of a calibration and these, most
/// telling first. What is unknown on either side differs in nothing.
pub fn misfits(made: &CalibrationSamples, here: &CalibratedHost, version: &str) -> Vec<Misfit> {
    let then = &made.host;
    let count = |number: Option<usize>| number.map(|number| number.to_string());
    // That there is no quota is known, too.
    let quota = |cpus: Option<f64>| match cpus {
        Some(cpus) => Some(format!("{cpus} CPUs")),
        None => Some("none".to_string()),
    };
    let text = |text: &Option<String>| text.clone();
    let versions = [&made.version, version].map(|version| Some(version.to_string()));
    let [then_version, now_version] = versions;
    let compared = [
        (
            "CPU model",
            true,
            text(&then.cpu_model),
            text(&here.cpu_model),
        ),
        ("number of CPUs", true, count(then.cpus), count(here.cpus)),
        (
            "CPU quota",
            true,
            quota(then.quota_cpus),
            quota(here.quota_cpus),
        ),
        ("kernel", false, text(&then.kernel), text(&here.kernel)),
        (
            "governor",
            false,
            text(&then.governor),
            text(&here.governor),
        ),
        ("program version", false, then_version, now_version),
    ];
    let differing = compared
        .into_iter()
        .filter_map(|(what, is_other_host, then, now)| {
            let (then, now) = then.zip(now).filter(|(then, now)| then != now)?;
            Some(Misfit {
                what,
                then,
                now,
                is_other_host,
            })
        });
    differing.collect()
}

impl Misfit {
    /// `CPU model: EPYC then, Xeon now`.
    pub fn text(&self) -> String {
        format!("{}: {} then, {} now", self.what, self.then, self.now)
    }
}
