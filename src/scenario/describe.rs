//! A plan for people and for the report: everything resolved, no secret.
//!
//! Does not know what the values were before they were resolved, nor who
//! prints them.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::plan::{Action, Arrivals, Call, Flow, HistogramMode, Load, Plan, SessionRule};
use super::secret::HIDDEN;
use crate::load::{Distribution, ThinkTime};
use crate::protocol::Method;
use crate::redact::Redacted;
use crate::text::escaped;
use crate::threshold::{Severity, Threshold};
use crate::units::{format_bytes, format_duration, format_percent, format_rate, plural};

/// The plan as labelled lines, in the order to be read. Texts of the user have
/// no control characters left.
pub fn describe(plan: &Plan) -> Vec<(String, String)> {
    let mut lines = Lines(Vec::new());
    lines.add("target", plan.target.url.shown.clone());
    lines.add("protocol", plan.target.protocol.to_string());
    if plan.target.cookies {
        lines.add("cookies", "kept by each user".to_string());
    }
    for header in &plan.target.headers {
        lines.add("header", format!("{}: {HIDDEN}", header.name));
    }
    describe_load(plan, &mut lines);
    describe_segment(plan, &mut lines);
    lines.add("stops", stops(plan));
    if !plan.warm_up.is_zero() {
        let warm_up = format_duration(plan.warm_up);
        lines.add("warm-up", format!("{warm_up}, left out of the figures"));
    }
    let weights: u64 = plan.flows.iter().map(|flow| u64::from(flow.weight)).sum();
    for flow in &plan.flows {
        let share = if weights == 0 {
            0.0
        } else {
            f64::from(flow.weight) / weights as f64
        };
        for step in &flow.steps {
            for call in &step.calls {
                lines.add("step", describe_call(call, step.parallel, share));
            }
        }
    }
    if plan.think != ThinkTime::None {
        lines.add("think", describe_think(plan.think));
    }
    if !plan.pause_after_call.is_zero() {
        let pause = format_duration(plan.pause_after_call);
        lines.add("pause", format!("{pause} after each call"));
    }
    if let Some(session) = describe_session(plan.session) {
        lines.add("session", session);
    }
    lines.add(
        "timeout",
        format!("{} for each request", format_duration(plan.timeout)),
    );
    lines.add(
        "at the end",
        format!(
            "up to {} for requests in flight",
            format_duration(plan.graceful_stop)
        ),
    );
    lines.add("breaks", describe_breaking(plan));
    for threshold in &plan.thresholds {
        lines.add("threshold", describe_threshold(threshold));
    }
    lines.add(
        "messages",
        format!("up to {}", format_bytes(plan.message_bytes_max as u64)),
    );
    lines.add("workers", describe_workers(plan));
    if let Some(rate) = plan.probe {
        let rate = format_rate(rate);
        lines.add(
            "probe",
            format!("{rate} in a session of its own, on a thread of its own"),
        );
    }
    match plan.histograms {
        HistogramMode::Off => lines.add("histograms", "none in the report".to_string()),
        HistogramMode::Totals => lines.add("histograms", "of the whole run only".to_string()),
        HistogramMode::Seconds => {}
    }
    if plan.strict {
        lines.add("strict", "a result that is not valid fails".to_string());
    }
    let seed = match plan.is_seed_drawn {
        true => "drawn for each run".to_string(),
        false => plan.seed.to_string(),
    };
    lines.add("seed", seed);
    lines.0
}

struct Lines(Vec<(String, String)>);

impl Lines {
    fn add(&mut self, label: &str, text: String) {
        self.0.push((label.to_string(), escaped(&text)));
    }
}

fn describe_load(plan: &Plan, lines: &mut Lines) {
    match &plan.load {
        Load::Closed { vus, ramp_up, .. } => {
            let users = users(*vus);
            if ramp_up.is_zero() {
                lines.add("load", format!("{users}, all from the start"));
            } else {
                let ramp_up = format_duration(*ramp_up);
                lines.add("load", format!("{users}, started across {ramp_up}"));
            }
        }
        Load::Staged { stages, .. } => {
            for stage in stages {
                let duration = format_duration(stage.duration);
                lines.add(
                    "stage",
                    format!("{duration} to {}", users(stage.target_vus)),
                );
            }
        }
        Load::Open {
            arrivals,
            max_vus,
            queue_max,
        } => {
            describe_arrivals(arrivals, lines);
            lines.add(
                "served by",
                format!("up to {}; {queue_max} arrivals may wait", users(*max_vus)),
            );
        }
    }
    if let Load::Closed { pacing, .. } | Load::Staged { pacing, .. } = &plan.load
        && let Some(pacing) = pacing
    {
        let pacing = format_duration(*pacing);
        lines.add(
            "pacing",
            format!("each user starts an iteration every {pacing}"),
        );
    }
}

/// What of the load above is this host's.
fn describe_segment(plan: &Plan, lines: &mut Lines) {
    if plan.segment.is_whole() {
        return;
    }
    let mut own = format!("{} of this load: {}", plan.segment, users(plan.vus_max()));
    if let Some(iterations) = plan.iterations() {
        own += &format!(", {}", plural(iterations, "iteration", "iterations"));
    }
    if matches!(plan.load, Load::Open { .. }) {
        let one_in = u64::from(plan.segment.count());
        own += &format!(", one in {one_in} arrivals");
    }
    lines.add("segment", own);
}

fn users(count: u32) -> String {
    plural(u64::from(count), "virtual user", "virtual users")
}

fn describe_arrivals(arrivals: &Arrivals, lines: &mut Lines) {
    match arrivals {
        Arrivals::Rate {
            per_second,
            distribution,
        } => {
            let rate = format_rate(*per_second);
            lines.add("arrivals", format!("{rate}, {}", spread(*distribution)));
        }
        Arrivals::Staged {
            stages,
            distribution,
        } => {
            for stage in stages {
                let duration = format_duration(stage.duration);
                let rate = format_rate(stage.target_rate);
                lines.add("stage", format!("{duration} to {rate}"));
            }
            lines.add("arrivals", spread(*distribution).to_string());
        }
        Arrivals::Bursts(burst) => {
            let every = format_duration(burst.every);
            lines.add("arrivals", format!("{} at once, every {every}", burst.size));
        }
    }
}

fn spread(distribution: Distribution) -> &'static str {
    match distribution {
        Distribution::Constant => "evenly spaced",
        Distribution::Poisson => "as a Poisson process",
    }
}

fn stops(plan: &Plan) -> String {
    let iterations = plan
        .stop
        .iterations
        .map(|count| plural(count, "iteration", "iterations"));
    match (plan.stop.duration.map(format_duration), iterations) {
        (Some(duration), Some(iterations)) => {
            format!("after {duration} or {iterations}, whichever comes first")
        }
        (Some(duration), None) => format!("after {duration}"),
        (None, Some(iterations)) => format!("after {iterations}"),
        (None, None) => "when it is interrupted".to_string(),
    }
}

fn describe_call(call: &Call, parallel: u32, share: f64) -> String {
    let mut text = match &call.action.shown {
        Action::Call(operation) => {
            let mut text = operation.label();
            if let Some(arguments) = operation.arguments() {
                text.push(' ');
                text.push_str(arguments.json());
            }
            text
        }
        Action::CodeMode { code, format } => format!("code_mode {format} {code}"),
    };
    text.push_str(&format!(", {} of the iterations", format_percent(share)));
    if parallel > 1 {
        text.push_str(&format!(", {parallel} at once"));
    }
    text
}

fn describe_think(think: ThinkTime) -> String {
    match think {
        ThinkTime::None => "not at all".to_string(),
        ThinkTime::Constant(pause) => format_duration(pause),
        ThinkTime::Uniform { low, high } => format!(
            "from {} to {}, evenly spread",
            format_duration(low),
            format_duration(high)
        ),
        ThinkTime::Exponential { mean } => {
            format!("{} on average, exponential", format_duration(mean))
        }
        ThinkTime::LogNormal { median, sigma } => format!(
            "half of the pauses under {}, log-normal with sigma {sigma}",
            format_duration(median)
        ),
    }
}

fn describe_session(rule: SessionRule) -> Option<String> {
    let iterations = rule
        .iterations
        .map(|count| plural(count, "iteration", "iterations"));
    let end = match (iterations, rule.lifetime.map(format_duration)) {
        (Some(iterations), Some(lifetime)) => format!("renewed after {iterations} or {lifetime}"),
        (Some(bound), None) | (None, Some(bound)) => format!("renewed after {bound}"),
        (None, None) if rule.abandon > 0.0 => "kept to the end".to_string(),
        (None, None) => return None,
    };
    if rule.abandon > 0.0 {
        let share = format_percent(rule.abandon);
        Some(format!("{end}; {share} left without a DELETE"))
    } else {
        Some(end)
    }
}

fn describe_breaking(plan: &Plan) -> String {
    let latency = match plan.breaking.latency_max {
        Some(latency) => format!("a p99 above {}", format_duration(latency)),
        None => "a p99 above three times the baseline".to_string(),
    };
    let errors = format_percent(plan.breaking.error_share_max);
    let then = if plan.breaking.stop {
        "the run stops there"
    } else {
        "the run goes on"
    };
    format!("{latency} or errors above {errors}; {then}")
}

fn describe_threshold(threshold: &Threshold) -> String {
    let mut text = threshold.text.clone();
    if threshold.severity == Severity::Warn {
        text.push_str(", warned of");
    }
    if threshold.few_fails {
        text.push_str(", fails with too few calls");
    }
    match threshold.abort_after {
        Some(grace) if grace.is_zero() => text.push_str(", ends the run"),
        Some(grace) => {
            let grace = format_duration(grace);
            text.push_str(&format!(", ends the run after {grace} or later"));
        }
        None => {}
    }
    text
}

fn describe_workers(plan: &Plan) -> String {
    let mut text = match plan.workers.count {
        Some(count) => count.to_string(),
        None => "one for each CPU to spare".to_string(),
    };
    if !plan.workers.pin {
        text.push_str(", not pinned");
    }
    if plan.workers.busy_poll {
        text.push_str(", busy polling");
    }
    text
}

/// The plan as it is told in a report, without any of its secrets.
pub fn to_json(plan: &Plan) -> Value {
    let redactor = plan.redactor();
    let plan = serde_json::to_value(Redacted::new(plan, &redactor));
    // All keys are texts: each plan has a form in JSON.
    let mut plan = plan.unwrap_or_default();
    let steps = plan["scenario"].as_array_mut();
    for step in steps.into_iter().flatten() {
        // The names in arguments are the user's, all other keys are ours.
        if let Some(arguments) = step.get_mut("arguments") {
            *arguments = redactor.clean_json(arguments.take());
        }
    }
    plan
}

/// A flow of one call as an entry of `[[scenario]]`. Only what is shown of the action.
impl Serialize for Flow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_map(None)?;
        let step = &self.steps[0];
        match &step.calls[0].action.shown {
            Action::Call(operation) => {
                fields.serialize_entry("type", operation.method())?;
                if let Some(subject) = operation.subject() {
                    let key = match operation.kind() {
                        Method::CallTool => "tool",
                        Method::GetPrompt => "prompt",
                        _ => "uri",
                    };
                    fields.serialize_entry(key, subject)?;
                }
                if let Some(arguments) = operation.arguments() {
                    fields.serialize_entry("arguments", arguments.values())?;
                }
            }
            Action::CodeMode { code, format } => {
                fields.serialize_entry("type", "code_mode")?;
                fields.serialize_entry("code", code)?;
                fields.serialize_entry("format", format)?;
            }
        }
        fields.serialize_entry("weight", &self.weight)?;
        fields.serialize_entry("parallel", &step.parallel)?;
        fields.end()
    }
}
