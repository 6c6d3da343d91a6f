//! What `--calibration` gives to a run: figures that its verdict is measured by.

use std::path::Path;

use crate::error::UserError;
use crate::host;
use crate::host::Cpus;
use crate::outcome::CalibratedHost;
use crate::report::calibration::{Misfit, misfits, read_calibration};
use crate::scenario::Plan;

/// Lets the run be measured by what a calibration found, if one is named. The plan's
/// notices say where it fits this host badly; one of another host is not used.
pub(super) fn calibrate_plan(plan: &mut Plan, path: Option<&str>) -> Result<(), UserError> {
    let Some(path) = path else { return Ok(()) };
    let made = read_calibration(Path::new(path))?;
    let cpus = Cpus::of_this_process();
    let facts = host::read(Path::new("/"), &cpus.allowed);
    let here = CalibratedHost::of(&facts, cpus.quota_millicpus, &cpus.allowed);
    let misfits = misfits(&made, &here, env!("CARGO_PKG_VERSION"));
    let is_other_host = misfits.iter().any(|misfit| misfit.is_other_host);
    let reference = match plan.workers.busy_poll {
        true => made.busy_poll,
        false => made.normal,
    };
    plan.reference = (!is_other_host).then_some(reference);
    let notice = notice(path, &misfits).or_else(|| {
        made.is_disturbed.then(|| {
            format!(
                "the calibration `{path}` was made while other work had the worker's CPU, and \
                 promises too little: calibrate again on an idle host"
            )
        })
    });
    plan.notices.extend(notice);
    Ok(())
}

fn notice(path: &str, misfits: &[Misfit]) -> Option<String> {
    if misfits.is_empty() {
        return None;
    }
    let texts: Vec<String> = misfits.iter().map(Misfit::text).collect();
    let texts = texts.join("; ");
    let is_other_host = misfits.iter().any(|misfit| misfit.is_other_host);
    Some(match is_other_host {
        true => format!(
            "the calibration `{path}` was made on another host ({texts}) and is not used: \
             `cargo pmcp loadtest calibrate` makes one of this host"
        ),
        false => format!(
            "the calibration `{path}` was made under other conditions ({texts}): calibrate again \
             where it matters"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn misfit(is_other_host: bool) -> Misfit {
        Misfit {
            what: "kernel",
            then: "a".to_string(),
            now: "b".to_string(),
            is_other_host,
        }
    }

    #[test]
    fn a_notice_says_whether_the_calibration_is_used() {
        assert_eq!(notice("c.json", &[]), None);
        let text = notice("c.json", &[misfit(false)]).expect("a notice");
        assert!(text.contains("(kernel: a then, b now)"), "{text}");
        assert!(!text.contains("not used"), "{text}");
        let text = notice("c.json", &[misfit(false), misfit(true)]).expect("a notice");
        assert!(text.contains("is not used"), "{text}");
    }
}
