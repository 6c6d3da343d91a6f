//! The beginning of the load at a set time, so that several hosts begin together.
//!
//! The server is found before the wait, so that what is at fault is known at once.
//! Closed users open their sessions when the time has come, as without a set time.
//! Sessions that are opened before the load (those of an open load, and the
//! probe's) are opened shortly before it: a server may forget older ones.

use std::time::Duration;

use super::interrupts::Interrupts;
use super::prepare::opening_limit;
use crate::clock::Utc;
use crate::error::{ErrorKind, UserError};
use crate::outcome::Observer;
use crate::scenario::{Load, Plan};
use crate::units::format_duration;

/// What is told of the wait changes this often.
const SHOW_EVERY: Duration = Duration::from_millis(250);

/// Workers begin in less.
const WORKERS_LEAD: Duration = Duration::from_millis(200);

/// A load that begins this much after the set time is out of step with others: about
/// what clocks of hosts differ by.
const LATE: Duration = Duration::from_millis(100);

/// Waits until it is time to get ready for the plan's start, if it has one.
///
/// # Errors
/// Where an interrupt came first.
pub(super) fn await_start(
    plan: &Plan,
    observer: &mut dyn Observer,
    interrupts: &Interrupts,
) -> Result<(), UserError> {
    let Some(start_at) = plan.start_at else {
        return Ok(());
    };
    let opens_before = matches!(plan.load, Load::Open { .. }) || plan.probe.is_some();
    let lead = match opens_before {
        true => opening_limit(plan),
        false => WORKERS_LEAD,
    };
    let began = crate::clock::now();
    // The clock of the wall may be set meanwhile: it is asked each time.
    while let Some(left) = start_at
        .until()
        .checked_sub(lead)
        .filter(|left| !left.is_zero())
    {
        let to_go = Duration::from_secs(start_at.until().as_secs() + 1);
        let what = format!(
            "begins at {}, {} to go",
            start_at.rfc3339(),
            format_duration(to_go)
        );
        observer.preparing(Some((crate::clock::since(began), &what)));
        interrupts.wait(left.min(SHOW_EVERY));
        if interrupts.is_pending() {
            observer.preparing(None);
            return Err(UserError::new(
                ErrorKind::Interrupted,
                "interrupted before the load began",
            ));
        }
    }
    observer.preparing(None);
    Ok(())
}

/// What there is to say of a load that began at `began`, where it should have before.
pub(super) fn late_notice(plan: &Plan, began: Utc) -> Option<String> {
    let start_at = plan.start_at?;
    let late_ms = began.unix_ms().saturating_sub(start_at.unix_ms());
    let late = Duration::from_millis(late_ms);
    (late > LATE).then(|| {
        format!(
            "the load began {} after {}, the time set by `--start-at`: to find the server and to \
             open the sessions took longer",
            format_duration(late),
            start_at.rfc3339()
        )
    })
}
