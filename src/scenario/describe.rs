//! A plan for people and for the report: everything resolved, no secret.
//!
//! Does not know what the values were before they were resolved, nor who
//! prints them.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::plan::{Action, Arrivals, Load, Plan, SessionRule, Step};
use super::secret::HIDDEN;
use crate::load::{Distribution, ThinkTime};
use crate::protocol::{Arguments, Method, Operation};
use crate::redact::Redactor;
use crate::text::escaped;
use crate::units::{format_bytes, format_duration, format_percent, format_rate, plural};

/// The plan as labelled lines, in the order to be read. Texts of the user have
/// no control characters left.
pub fn describe(plan: &Plan) -> Vec<(String, String)> {
    let mut lines = Lines(Vec::new());
    lines.add("target", plan.shown_url());
    lines.add("protocol", plan.target.protocol.to_string());
    if plan.target.cookies {
        lines.add("cookies", "kept by each user".to_string());
    }
    for header in &plan.target.headers {
        lines.add("header", format!("{}: {HIDDEN}", header.name));
    }
    describe_load(plan, &mut lines);
    lines.add("stops", stops(plan));
    if !plan.warm_up.is_zero() {
        let warm_up = format_duration(plan.warm_up);
        lines.add("warm-up", format!("{warm_up}, left out of the figures"));
    }
    let weights: u64 = plan.steps.iter().map(|step| u64::from(step.weight)).sum();
    for (step_idx, step) in plan.steps.iter().enumerate() {
        let share = if weights == 0 {
            0.0
        } else {
            f64::from(step.weight) / weights as f64
        };
        lines.add("step", describe_step(plan, step_idx, step, share));
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
    if plan.strict {
        lines.add("strict", "a result that is not valid fails".to_string());
    }
    let seed = match plan.as_written.is_seed_drawn {
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

fn describe_step(plan: &Plan, step_idx: usize, step: &Step, share: f64) -> String {
    let action = plan.shown_action(step_idx).unwrap_or(&step.action);
    let mut text = match action {
        Action::Call(operation) => {
            let mut text = operation.label();
            if let Some(arguments) = arguments(operation) {
                text.push(' ');
                text.push_str(arguments.json());
            }
            text
        }
        Action::CodeMode { code, format } => format!("code_mode {format} {code}"),
    };
    text.push_str(&format!(", {} of the iterations", format_percent(share)));
    if step.parallel > 1 {
        text.push_str(&format!(", {} at once", step.parallel));
    }
    text
}

fn arguments(operation: &Operation) -> Option<&Arguments> {
    match operation {
        Operation::CallTool { arguments, .. } | Operation::GetPrompt { arguments, .. } => {
            arguments.as_ref()
        }
        _ => None,
    }
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

/// The plan as JSON, for the report: headers by name only, other texts as the
/// user wrote them. Durations are numbers in the unit that their key ends
/// with; what is not set is `null`.
pub fn to_json(plan: &Plan) -> Value {
    let headers: Vec<&str> = plan
        .target
        .headers
        .iter()
        .map(|header| header.name.as_str())
        .collect();
    // The names in arguments are the user's, all other keys are ours.
    let redactor = plan.redactor();
    let steps = plan.steps.iter().enumerate();
    let steps: Vec<Value> = steps
        .map(|(step_idx, step)| step_to_json(plan, &redactor, step_idx, step))
        .collect();
    json!({
        "url": plan.shown_url(),
        "headers": headers,
        "protocol": plan.target.protocol.to_string(),
        "cookies": plan.target.cookies,
        "load": load_to_json(&plan.load),
        "duration_secs": plan.stop.duration.map(|duration| duration.as_secs_f64()),
        "iterations": plan.stop.iterations,
        "warm_up_secs": plan.warm_up.as_secs_f64(),
        "scenario": steps,
        "think": think_to_json(plan.think),
        "request_interval_ms": ms(plan.pause_after_call),
        "session": {
            "iterations": plan.session.iterations,
            "lifetime_secs": plan.session.lifetime.map(|lifetime| lifetime.as_secs_f64()),
            "abandon": plan.session.abandon,
        },
        "timeout_ms": ms(plan.timeout),
        "graceful_stop_ms": ms(plan.graceful_stop),
        "breaking": {
            "on_break": if plan.breaking.stop { "stop" } else { "continue" },
            "break_p99_ms": plan.breaking.latency_max.map(ms),
            "break_error_share": plan.breaking.error_share_max,
        },
        "message_bytes_max": plan.message_bytes_max,
        "probe_rate_per_sec": plan.probe,
        "seed": plan.seed,
        "workers": plan.workers.count,
        "pin": plan.workers.pin,
        "busy_poll": plan.workers.busy_poll,
        "strict": plan.strict,
    })
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn load_to_json(load: &Load) -> Value {
    match load {
        Load::Closed {
            vus,
            ramp_up,
            pacing,
        } => json!({
            "model": "closed",
            "virtual_users": vus,
            "ramp_up_secs": ramp_up.as_secs_f64(),
            "pacing_ms": pacing.map(ms),
        }),
        Load::Staged { stages, pacing } => {
            let stages: Vec<Value> = stages
                .iter()
                .map(|stage| {
                    json!({
                        "target_vus": stage.target_vus,
                        "duration_secs": stage.duration.as_secs_f64(),
                    })
                })
                .collect();
            json!({"model": "staged", "stages": stages, "pacing_ms": pacing.map(ms)})
        }
        Load::Open {
            arrivals,
            max_vus,
            queue_max,
        } => json!({
            "model": "open",
            "arrivals": arrivals_to_json(arrivals),
            "max_vus": max_vus,
            "queue_max": queue_max,
        }),
    }
}

fn arrivals_to_json(arrivals: &Arrivals) -> Value {
    match arrivals {
        Arrivals::Rate {
            per_second,
            distribution,
        } => json!({"rate_per_sec": per_second, "distribution": word(*distribution)}),
        Arrivals::Staged {
            stages,
            distribution,
        } => {
            let stages: Vec<Value> = stages
                .iter()
                .map(|stage| {
                    json!({
                        "target_rate_per_sec": stage.target_rate,
                        "duration_secs": stage.duration.as_secs_f64(),
                    })
                })
                .collect();
            json!({"stages": stages, "distribution": word(*distribution)})
        }
        Arrivals::Bursts(burst) => {
            json!({"burst": burst.size, "every_secs": burst.every.as_secs_f64()})
        }
    }
}

fn word(distribution: Distribution) -> &'static str {
    match distribution {
        Distribution::Constant => "constant",
        Distribution::Poisson => "poisson",
    }
}

fn step_to_json(plan: &Plan, redactor: &Redactor, step_idx: usize, step: &Step) -> Value {
    let mut fields = Map::new();
    let mut add = |key: &str, value: Value| {
        fields.insert(key.to_string(), value);
    };
    match plan.shown_action(step_idx).unwrap_or(&step.action) {
        Action::Call(operation) => {
            add("type", operation.method().into());
            if let Some(subject) = operation.subject() {
                let key = match operation.kind() {
                    Method::CallTool => "tool",
                    Method::GetPrompt => "prompt",
                    _ => "uri",
                };
                add(key, subject.into());
            }
            if let Some(arguments) = arguments(operation) {
                let arguments = Value::Object(arguments.values().clone());
                add("arguments", redactor.clean_json(arguments));
            }
        }
        Action::CodeMode { code, format } => {
            add("type", "code_mode".into());
            add("code", code.as_str().into());
            add("format", format.as_str().into());
        }
    }
    add("weight", step.weight.into());
    add("parallel", step.parallel.into());
    Value::Object(fields)
}

fn think_to_json(think: ThinkTime) -> Value {
    match think {
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
