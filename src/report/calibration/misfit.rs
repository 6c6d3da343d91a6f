//! Whether a calibration was made on this host, with this program.

use super::model::{CalibratedHost, CalibrationReport};

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

impl CalibrationReport {
    /// What differs between the calibrated host and program and these, most
    /// telling first. What is unknown on either side differs in nothing.
    pub fn misfits(&self, here: &CalibratedHost, version: &str) -> Vec<Misfit> {
        let then = &self.host;
        let text = |number: Option<u64>| number.map(|number| number.to_string());
        let quota = |cpus: Option<f64>| match cpus {
            Some(cpus) => format!("{cpus} CPUs"),
            None => "none".to_string(),
        };
        let mut misfits = Vec::new();
        let mut compare = |what, is_other_host, then: Option<String>, now: Option<String>| {
            if let (Some(then), Some(now)) = (then, now)
                && then != now
            {
                misfits.push(Misfit {
                    what,
                    then,
                    now,
                    is_other_host,
                });
            }
        };
        compare(
            "CPU model",
            true,
            then.cpu_model.clone(),
            here.cpu_model.clone(),
        );
        compare("number of CPUs", true, text(then.cpus), text(here.cpus));
        // That there is no quota is known, too.
        let quotas = (quota(then.quota_cpus), quota(here.quota_cpus));
        compare("CPU quota", true, Some(quotas.0), Some(quotas.1));
        compare("kernel", false, then.kernel.clone(), here.kernel.clone());
        compare(
            "governor",
            false,
            then.governor.clone(),
            here.governor.clone(),
        );
        let versions = (self.version.clone(), version.to_string());
        compare("program version", false, Some(versions.0), Some(versions.1));
        misfits
    }
}

impl Misfit {
    /// `CPU model: EPYC then, Xeon now`.
    pub fn text(&self) -> String {
        format!("{}: {} then, {} now", self.what, self.then, self.now)
    }
}
