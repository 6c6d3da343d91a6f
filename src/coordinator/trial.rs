//! A trial: one user does each flow once, and each of its requests is shown.
//!
//! It is a run like any other, of a plan with one user and as many iterations as
//! there are flows. So what a trial shows is what a load does.

use std::sync::Arc;
use std::time::Duration;

use super::interrupts::Interrupts;
use super::run::run_before;
use crate::data::DataSet;
use crate::error::UserError;
use crate::expect::SchemaShare;
use crate::load::{Segment, ThinkTime};
use crate::outcome::{Observer, RunOutcome, Witness};
use crate::scenario::{HistogramMode, Load, Plan, Populations, SessionRule, StopRule, WorkerRule};

/// Does each flow of a plan once, and shows each request to the witness, which is
/// called on another thread. The plan should be that of [`trial_plan`].
///
/// # Errors
/// Those of [`super::run()`].
pub fn try_out(
    plan: Plan,
    witness: Witness,
    observer: &mut dyn Observer,
    interrupts: &Interrupts,
) -> Result<RunOutcome, UserError> {
    run_before(plan, Some(witness), observer, interrupts)
}

/// The rows of a data set, or as many as have all their secrets known.
fn known_rows(set: &Arc<DataSet>) -> Arc<DataSet> {
    match set.has_many_secrets() {
        true => Arc::new(set.first_rows()),
        false => Arc::clone(set),
    }
}

/// One user who does each flow once and does not think between: none of weight 0,
/// which a load never does either, since to switch off what changes data is what that
/// weight is for. Of a data set with very many secrets it has the first rows.
pub fn trial_plan(plan: Plan) -> Plan {
    let mut flows = plan.flows;
    flows.retain(|flow| flow.weight > 0);
    for step in flows.iter_mut().flat_map(|flow| &mut flow.steps) {
        step.think = None;
        for call in &mut step.calls {
            // The one answer that there is belongs to any sample.
            let schema = &mut call.expectations.schema;
            *schema = schema.map(|_| SchemaShare::ALL);
        }
    }
    Plan {
        load: Load::Closed {
            vus: 1,
            ramp_up: Duration::ZERO,
            pacing: None,
        },
        segment: Segment::WHOLE,
        start_at: None,
        stop: StopRule {
            duration: None,
            iterations: Some(flows.len() as u64),
        },
        warm_up: Duration::ZERO,
        populations: Populations::everyone(&flows),
        flows,
        think: ThinkTime::None,
        pause_after_call: Duration::ZERO,
        session: SessionRule::default(),
        data: plan.data.iter().map(known_rows).collect(),
        thresholds: Vec::new(),
        probe: None,
        histograms: HistogramMode::Off,
        workers: WorkerRule {
            count: Some(1),
            pin: false,
            busy_poll: false,
        },
        ..plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Unobserved;
    use crate::scenario::{Action, Flow, Operation, Target};
    use crate::servers::demo::{DemoOptions, DemoServer};

    /// Though the other worker goes on, and nothing but the iterations ends the run.
    #[test]
    fn a_worker_that_panics_ends_the_run() {
        let server = DemoServer::start(DemoOptions::default()).expect("a free port");
        let target = Target::new(&server.url()).expect("an address");
        let mut plan = Plan::new(target, vec![Flow::from(Action::Call(Operation::ListTools))]);
        plan.load = Load::Closed {
            vus: 2,
            ramp_up: Duration::ZERO,
            pacing: None,
        };
        plan.stop.duration = None;
        plan.stop.iterations = Some(1_000);
        plan.workers.count = Some(2);
        plan.workers.pin = false;
        let witness = Witness::new(|_| {
            let thread = std::thread::current();
            assert_ne!(thread.name(), Some("worker 1"), "on purpose");
        });
        let (tell, told) = crossbeam_channel::bounded(1);
        std::thread::spawn(move || {
            let ended = try_out(plan, witness, &mut Unobserved, &Interrupts::none());
            tell.send(ended.map(|_| ()))
        });
        let ended = told.recv_timeout(Duration::from_secs(60));
        let error = ended.expect("it ends").expect_err("it failed");
        assert!(
            error.what().contains("worker 1 cannot go on: it panicked"),
            "{error}"
        );
    }
}
