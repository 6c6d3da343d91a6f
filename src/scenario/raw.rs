//! A config as written: each key with its type checked, nothing decided yet.
//!
//! Does not know defaults or flags, nor which keys exclude each other, but for
//! two spellings of the same one.

use std::collections::HashSet;
use std::time::Duration;

use super::defaults::{
    CODE_FORMAT, DURATION_SECS_MAX, MESSAGE_BYTES_HIGH, MESSAGE_BYTES_LOW, PARALLEL_MAX,
    PROBE_RATE_MAX, RATE_MAX, VUS_MAX, WEIGHT, WORKERS_MAX,
};
use super::document::{Document, Entry, Field, Origin, Table};
use super::header::{Header, check_header};
use super::plan::{Action, SessionRule};
use super::secret::hide_credentials;
use super::shown::Shown;
use crate::load::{Distribution, ThinkTime};
use crate::protocol::{Arguments, Method, Operation, ProtocolChoice};
use crate::units;

/// The whole file.
#[derive(Default)]
pub(super) struct Config {
    pub(super) settings: Settings,
    pub(super) headers: Vec<Header>,
    /// Of all headers, those at fault too.
    pub(super) header_names: Vec<String>,
    pub(super) scenario: Field<Vec<StepEntry>>,
    pub(super) stages: Field<Vec<StageEntry>>,
    /// Given: `[arrivals]` is there.
    pub(super) arrivals: Field<ArrivalsEntry>,
}

/// `[settings]`
#[derive(Default)]
pub(super) struct Settings {
    pub(super) url: Field<Shown<String>>,
    pub(super) virtual_users: Field<u32>,
    pub(super) duration_secs: Field<Duration>,
    pub(super) duration: Field<Duration>,
    pub(super) timeout: Field<Duration>,
    pub(super) graceful_stop: Field<Duration>,
    pub(super) ramp_up: Field<Duration>,
    pub(super) iterations: Field<u64>,
    pub(super) seed: Field<u64>,
    pub(super) workers: Field<usize>,
    pub(super) pin: Field<bool>,
    pub(super) busy_poll: Field<bool>,
    pub(super) cookies: Field<bool>,
    pub(super) strict: Field<bool>,
    pub(super) protocol: Field<ProtocolChoice>,
    pub(super) request_interval: Field<Duration>,
    pub(super) expected_interval_ms: Field<u64>,
    pub(super) think: Field<ThinkTime>,
    pub(super) pacing: Field<Duration>,
    pub(super) warm_up: Field<Duration>,
    pub(super) session: Field<SessionRule>,
    pub(super) stop_on_break: Field<bool>,
    pub(super) break_p99: Field<Duration>,
    pub(super) break_error_share: Field<f64>,
    pub(super) message_bytes_max: Field<u64>,
    pub(super) probe: Field<f64>,
}

/// An entry of `[[scenario]]`.
pub(super) struct StepEntry {
    /// The path of its key: `scenario[1]`.
    pub(super) key: String,
    /// The tool that it calls; `None`: it calls none, or its name is at fault.
    pub(super) tool: Option<String>,
    /// `None`: at fault.
    pub(super) action: Option<Shown<Action>>,
    pub(super) weight: u32,
    pub(super) parallel: u32,
}

/// An entry of `[[stage]]`.
pub(super) struct StageEntry {
    pub(super) place: Origin,
    pub(super) target_vus: Field<u32>,
    pub(super) target_rate: Field<f64>,
    pub(super) duration: Field<Duration>,
}

/// `[arrivals]`
#[derive(Default)]
pub(super) struct ArrivalsEntry {
    pub(super) rate: Field<f64>,
    pub(super) distribution: Field<Distribution>,
    pub(super) burst: Field<u32>,
    pub(super) every: Field<Duration>,
    pub(super) max_vus: Field<u32>,
    pub(super) queue_max: Field<u32>,
}

/// Reads the whole file; what is at fault is reported and left out.
pub(super) fn read_config(mut root: Table<'_>) -> Config {
    let settings = root
        .take("settings")
        .and_then(|entry| entry.table("the table `[settings]`"))
        .map(read_settings)
        .unwrap_or_default();
    let headers = root
        .take("headers")
        .and_then(|entry| entry.table("the table `[headers]`"));
    let header_names = headers.as_ref().map_or(Vec::new(), |table| {
        table.all().into_iter().map(|(name, _)| name).collect()
    });
    let headers = headers.as_ref().map(read_headers).unwrap_or_default();
    let scenario = root.read("scenario", |entry| {
        entry.tables("entries that begin with `[[scenario]]`", read_step)
    });
    let stages = root.read("stage", |entry| {
        entry.tables("entries that begin with `[[stage]]`", read_stage)
    });
    let arrivals = root.read("arrivals", |entry| {
        entry.table("the table `[arrivals]`").map(read_arrivals)
    });
    root.finish();
    Config {
        settings,
        headers,
        header_names,
        scenario,
        stages,
        arrivals,
    }
}

fn read_settings(mut table: Table<'_>) -> Settings {
    let timeout_ms = table.read("timeout_ms", |entry| read_ms(entry, 1));
    let timeout = table.read("timeout", Entry::duration_above_zero);
    let settings = Settings {
        url: table.read("url", |entry| entry.text(crate::address::FORM)),
        virtual_users: table.read("virtual_users", |entry| entry.whole(0..=VUS_MAX)),
        duration_secs: table.read("duration_secs", |entry| read_secs(entry, 0)),
        duration: table.read("duration", Entry::duration_above_zero),
        timeout: one_spelling(table.document, timeout_ms, timeout, "`timeout_ms`"),
        graceful_stop: table.read("graceful_stop", Entry::duration),
        ramp_up: table.read("ramp_up", Entry::duration),
        iterations: table.read("iterations", |entry| entry.whole(1..=u64::MAX)),
        seed: table.read("seed", |entry| entry.whole(0..=u64::MAX)),
        workers: table.read("workers", |entry| {
            usize::try_from(entry.whole(1..=WORKERS_MAX)?).ok()
        }),
        pin: table.read("pin", Entry::truth),
        busy_poll: table.read("busy_poll", Entry::truth),
        cookies: table.read("cookies", Entry::truth),
        strict: table.read("strict", Entry::truth),
        protocol: table.read("protocol", |entry| {
            let accepted = "`auto`, `legacy`, `modern` or a revision such as `2025-11-25`";
            entry.parse(accepted, |text| text.parse().ok())
        }),
        request_interval: table.read("request_interval_ms", |entry| read_ms(entry, 0)),
        expected_interval_ms: table.read("expected_interval_ms", |entry| entry.whole(0..=u64::MAX)),
        think: table.read("think", read_think),
        pacing: table.read("pacing", Entry::duration_above_zero),
        warm_up: table.read("warm_up", Entry::duration),
        session: table.read("session", read_session),
        stop_on_break: table.read("on_break", |entry| {
            entry.word(&[("continue", false), ("stop", true)])
        }),
        break_p99: table.read("break_p99", Entry::duration_above_zero),
        break_error_share: table.read("break_error_share", read_share),
        message_bytes_max: table.read("message_bytes_max", read_bytes),
        probe: table.read("probe", read_probe),
    };
    table.finish();
    settings
}

/// One setting with two spellings. Only one of them may be used.
fn one_spelling<T>(
    document: &Document<'_>,
    old: Field<T>,
    new: Field<T>,
    old_name: &str,
) -> Field<T> {
    let Some(place) = &new.origin else { return old };
    if old.is_given() {
        let message = format!("says the same as {old_name}, which is there too");
        document.report(place, message, "one of the two");
    }
    new
}

fn read_ms(entry: &Entry<'_>, low: u64) -> Option<Duration> {
    entry
        .whole(low..=DURATION_SECS_MAX * 1000)
        .map(Duration::from_millis)
}

fn read_secs(entry: &Entry<'_>, low: u64) -> Option<Duration> {
    entry
        .whole(low..=DURATION_SECS_MAX)
        .map(Duration::from_secs)
}

/// `0.05` or `"5%"`
fn read_share(entry: &Entry<'_>) -> Option<f64> {
    let accepted = "a share above 0 such as `0.05` or `\"5%\"`";
    let share = if entry.is_text() {
        entry.parse(accepted, |text| {
            let percent: f64 = text.trim().strip_suffix('%')?.trim().parse().ok()?;
            (0.0..=100.0).contains(&percent).then_some(percent / 100.0)
        })?
    } else {
        entry.number(0.0..=1.0)?
    };
    if share <= 0.0 {
        return entry.refuse("is zero", accepted);
    }
    Some(share)
}

/// `"10/s"`
fn read_probe(entry: &Entry<'_>) -> Option<f64> {
    let accepted = format!("a rate above zero such as `10/s`, at most `{PROBE_RATE_MAX}/s`");
    entry.parse(&accepted, |text| {
        let rate = units::parse_rate(text).ok()?;
        (rate <= PROBE_RATE_MAX).then_some(rate)
    })
}

/// `1048576` or `"1MiB"`
fn read_bytes(entry: &Entry<'_>) -> Option<u64> {
    let bounds = MESSAGE_BYTES_LOW..=MESSAGE_BYTES_HIGH;
    if !entry.is_text() {
        return entry.whole(bounds);
    }
    entry.parse("a size from `1KiB` to `1GiB`", |text| {
        let bytes = units::parse_bytes(text).ok()?;
        bounds.contains(&bytes).then_some(bytes)
    })
}

/// `"500ms"` or `{ distribution = "uniform", low = "1s", high = "3s" }`
fn read_think(entry: &Entry<'_>) -> Option<ThinkTime> {
    type ReadThink = fn(&mut Table<'_>) -> Option<ThinkTime>;
    let accepted = "a duration such as `500ms`, or a table such as \
                    `{ distribution = \"exponential\", mean = \"2s\" }`";
    if !entry.is_table() {
        let constant = entry.parse(accepted, |text| units::parse_duration(text).ok())?;
        return Some(constant_think(constant));
    }
    let mut table = entry.table(accepted)?;
    let accepted = "`uniform`, `exponential` or `lognormal`";
    let kind = table.require("distribution", accepted, |entry| {
        entry.word::<ReadThink>(&[
            ("uniform", read_uniform),
            ("exponential", read_exponential),
            ("lognormal", read_log_normal),
        ])
    });
    let think = match kind.value {
        Some(read) => read(&mut table),
        None => {
            // Which keys belong here is not known: only those of no kind are
            // at fault.
            for key in ["low", "high", "mean", "median", "sigma"] {
                table.take(key);
            }
            None
        }
    };
    table.finish();
    think
}

/// No pause at all where it is zero.
pub(super) fn constant_think(pause: Duration) -> ThinkTime {
    if pause.is_zero() {
        ThinkTime::None
    } else {
        ThinkTime::Constant(pause)
    }
}

fn read_uniform(table: &mut Table<'_>) -> Option<ThinkTime> {
    let low = table.require("low", units::DURATION_FORM, Entry::duration);
    let high = table.require("high", units::DURATION_FORM, Entry::duration);
    let (low, place, high) = (low.value?, high.origin?, high.value?);
    if high < low {
        let accepted = "a duration not below `low`";
        table.document.report(&place, "is below `low`", accepted);
        return None;
    }
    Some(ThinkTime::Uniform { low, high })
}

fn read_exponential(table: &mut Table<'_>) -> Option<ThinkTime> {
    let mean = table.require("mean", units::DURATION_FORM, Entry::duration_above_zero);
    mean.value.map(|mean| ThinkTime::Exponential { mean })
}

fn read_log_normal(table: &mut Table<'_>) -> Option<ThinkTime> {
    let median = table.require("median", units::DURATION_FORM, Entry::duration_above_zero);
    let sigma = table.require("sigma", "a number from 0 to 3", |entry| {
        entry.number(0.0..=3.0)
    });
    Some(ThinkTime::LogNormal {
        median: median.value?,
        sigma: sigma.value?,
    })
}

/// `{ iterations = 10 }`, `{ lifetime = "30s", leave = { abandon = 0.2 } }`
fn read_session(entry: &Entry<'_>) -> Option<SessionRule> {
    let accepted = "a table such as `{ iterations = 10 }` or `{ lifetime = \"30s\" }`";
    let mut table = entry.table(accepted)?;
    let iterations = table.read("iterations", |entry| entry.whole(1..=u64::MAX));
    let lifetime = table.read("lifetime", Entry::duration_above_zero);
    let leave = table.read("leave", read_leave);
    table.finish();
    if !(iterations.is_given() || lifetime.is_given() || leave.is_given()) {
        return entry.refuse("is empty", accepted);
    }
    Some(SessionRule {
        iterations: iterations.value,
        lifetime: lifetime.value,
        abandon: leave.value.unwrap_or(0.0),
    })
}

/// The share of sessions left without a DELETE.
fn read_leave(entry: &Entry<'_>) -> Option<f64> {
    if entry.is_text() {
        return entry.word(&[("delete", 0.0), ("abandon", 1.0)]);
    }
    let mut table = entry.table("`\"delete\"`, `\"abandon\"` or `{ abandon = 0.2 }`")?;
    let share = table.require("abandon", "a number from 0 to 1", |entry| {
        entry.number(0.0..=1.0)
    });
    table.finish();
    share.value
}

fn read_headers(table: &Table<'_>) -> Vec<Header> {
    let mut headers: Vec<Header> = Vec::new();
    let mut names = HashSet::new();
    for (name, entry) in table.all() {
        let Some(text) = entry.text("text such as `\"Bearer ${API_KEY}\"`") else {
            continue;
        };
        let header = check_header(&name, &text.value).and_then(|header| {
            match names.insert(header.name.to_ascii_lowercase()) {
                true => Ok(header),
                false => Err("is given twice: letters of either case make the same header"),
            }
        });
        match header {
            Ok(header) => headers.push(header),
            Err(message) => table.document.report(&entry.place, message, None),
        }
    }
    headers
}

/// Whether a header of that name is among them.
pub(super) fn is_there(headers: &[Header], header: &Header) -> bool {
    headers
        .iter()
        .any(|other| other.name.eq_ignore_ascii_case(&header.name))
}

/// What an entry of the scenario may be; `None`: code mode.
const STEP_KINDS: &[(&str, Option<Method>)] = &[
    ("tools/call", Some(Method::CallTool)),
    ("resources/read", Some(Method::ReadResource)),
    ("prompts/get", Some(Method::GetPrompt)),
    ("code_mode", None),
    ("tools/list", Some(Method::ListTools)),
    ("resources/list", Some(Method::ListResources)),
    (
        "resources/templates/list",
        Some(Method::ListResourceTemplates),
    ),
    ("prompts/list", Some(Method::ListPrompts)),
    ("ping", Some(Method::Ping)),
];

fn read_step(mut table: Table<'_>) -> StepEntry {
    let accepted = "a method such as `tools/call` or `resources/read`";
    let kind = table.require("type", accepted, |entry| entry.word(STEP_KINDS));
    let weight = table.read("weight", |entry| entry.whole(0..=u32::MAX));
    let mut parallel = Field::default();
    if kind.value != Some(None) {
        parallel = table.read("parallel", |entry| entry.whole(1..=PARALLEL_MAX));
    }
    let subject = match kind.value {
        Some(Some(Method::CallTool)) => Some(("tool", "the name of a tool")),
        Some(Some(Method::GetPrompt)) => Some(("prompt", "the name of a prompt")),
        Some(Some(Method::ReadResource)) => Some(("uri", "the address of a resource")),
        Some(None) => Some(("code", "the code to validate and run")),
        _ => None,
    };
    let subject = subject.and_then(|(key, accepted)| {
        let field = table.require(key, accepted, |entry| entry.name(accepted));
        field.value
    });
    let tool = match kind.value {
        Some(Some(Method::CallTool)) => subject.as_ref().map(|tool| tool.value.clone()),
        _ => None,
    };
    let action = match kind.value {
        Some(Some(method)) => {
            read_operation(&mut table, method, subject).map(|call| call.map(Action::Call))
        }
        Some(None) => read_code_mode(&mut table, subject),
        None => {
            for key in ["tool", "arguments", "uri", "prompt", "code", "format"] {
                table.take(key);
            }
            None
        }
    };
    let key = table.place.key.clone();
    table.finish();
    StepEntry {
        key,
        tool,
        action,
        weight: weight.value.unwrap_or(WEIGHT),
        parallel: parallel.value.unwrap_or(1),
    }
}

fn read_operation(
    table: &mut Table<'_>,
    method: Method,
    subject: Option<Shown<String>>,
) -> Option<Shown<Operation>> {
    Some(match method {
        Method::CallTool => {
            let arguments = read_arguments(table, false)?;
            let call = subject?.zip(arguments);
            call.map(|(name, arguments)| Operation::CallTool { name, arguments })
        }
        Method::GetPrompt => {
            let arguments = read_arguments(table, true)?;
            let call = subject?.zip(arguments);
            call.map(|(name, arguments)| Operation::GetPrompt { name, arguments })
        }
        Method::ReadResource => subject?.map(|uri| Operation::ReadResource { uri }),
        Method::ListTools => Operation::ListTools.into(),
        Method::ListResources => Operation::ListResources.into(),
        Method::ListResourceTemplates => Operation::ListResourceTemplates.into(),
        Method::ListPrompts => Operation::ListPrompts.into(),
        Method::Ping => Operation::Ping.into(),
    })
}

fn read_code_mode(table: &mut Table<'_>, code: Option<Shown<String>>) -> Option<Shown<Action>> {
    let format = table.read("format", |entry| {
        entry.name("a language such as `graphql` or `sql`")
    });
    let format = match format.is_given() {
        true => format.value?,
        false => CODE_FORMAT.to_string().into(),
    };
    let run = code?.zip(format);
    Some(run.map(|(code, format)| Action::CodeMode { code, format }))
}

/// `None`: at fault.
fn read_arguments(table: &mut Table<'_>, are_texts_only: bool) -> Option<Shown<Option<Arguments>>> {
    let Some(entry) = table.take("arguments") else {
        return Some(None.into());
    };
    let mut fields = entry.json_object()?;
    if are_texts_only && !check_prompt_arguments(&entry) {
        return None;
    }
    let mut secrets = Vec::new();
    hide_credentials(&mut fields.value.clone(), &mut secrets);
    hide_credentials(&mut fields.shown, &mut Vec::new());
    table.document.keep_secret(secrets);
    Some(fields.map(|fields| Some(fields.into())))
}

/// MCP has texts only in a prompt's arguments.
fn check_prompt_arguments(entry: &Entry<'_>) -> bool {
    let arguments = entry.table("a table").map(|table| table.all());
    let mut is_right = arguments.is_some();
    for (_, argument) in arguments.into_iter().flatten() {
        if !argument.is_text() {
            let _: Option<()> = argument.refuse_type("text: a prompt takes nothing else");
            is_right = false;
        }
    }
    is_right
}

fn read_stage(mut table: Table<'_>) -> StageEntry {
    let secs = table.read("duration_secs", |entry| read_secs(entry, 1));
    let text = table.read("duration", Entry::duration_above_zero);
    if !(secs.is_given() || text.is_given()) {
        let message = "the stage has no duration";
        let accepted = "a key such as `duration = \"30s\"`";
        table.document.report(&table.place, message, accepted);
    }
    let entry = StageEntry {
        place: table.place.clone(),
        target_vus: table.read("target_vus", |entry| entry.whole(0..=VUS_MAX)),
        target_rate: table.read("target_rate", |entry| {
            entry.parse(units::RATE_FORM, parse_rate_or_zero)
        }),
        duration: one_spelling(table.document, secs, text, "`duration_secs`"),
    };
    table.finish();
    entry
}

/// A ramp may begin and end at `0/s`.
fn parse_rate_or_zero(text: &str) -> Option<f64> {
    let (number, unit) = text.split_once('/')?;
    if number.trim().parse::<f64>() == Ok(0.0) {
        return units::parse_rate(&format!("1/{unit}")).ok().map(|_| 0.0);
    }
    parse_bounded_rate(text)
}

fn parse_bounded_rate(text: &str) -> Option<f64> {
    let rate = units::parse_rate(text).ok()?;
    (rate <= RATE_MAX).then_some(rate)
}

fn read_arrivals(mut table: Table<'_>) -> ArrivalsEntry {
    let arrivals = ArrivalsEntry {
        rate: table.read("rate", |entry| {
            entry.parse(units::RATE_FORM, parse_bounded_rate)
        }),
        distribution: table.read("distribution", |entry| {
            entry.word(&[
                ("constant", Distribution::Constant),
                ("poisson", Distribution::Poisson),
            ])
        }),
        burst: table.read("burst", |entry| entry.whole(1..=VUS_MAX)),
        every: table.read("every", Entry::duration_above_zero),
        max_vus: table.read("max_vus", |entry| entry.whole(1..=VUS_MAX)),
        queue_max: table.read("queue_max", |entry| entry.whole(0..=u32::MAX)),
    };
    table.finish();
    arrivals
}
