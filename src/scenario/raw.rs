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
use super::document::{Document, Entry, Field, Origin, Place, Table, Text};
use super::header::check_header;
use super::plan::{Action, Header, SessionRule};
use super::secret::hide_credentials;
use crate::load::{Distribution, ThinkTime};
use crate::protocol::{Arguments, Operation, ProtocolChoice};
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
    /// Credentials in arguments.
    pub(super) secrets: Vec<String>,
}

/// `[settings]`
#[derive(Default)]
pub(super) struct Settings {
    pub(super) url: Field<Text>,
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
    /// To do and to show; `None`: at fault.
    pub(super) action: Option<(Action, Action)>,
    pub(super) weight: u32,
    pub(super) parallel: u32,
}

/// An entry of `[[stage]]`.
pub(super) struct StageEntry {
    pub(super) place: Place,
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
pub(super) fn read_config(document: &Document<'_>, root: Table<'_>) -> Config {
    let mut root = root;
    let mut secrets = Vec::new();
    let settings = root
        .take("settings")
        .and_then(|entry| entry.table(document, "the table `[settings]`"))
        .map(|table| read_settings(document, table))
        .unwrap_or_default();
    let headers = root
        .take("headers")
        .and_then(|entry| entry.table(document, "the table `[headers]`"));
    let header_names = headers.as_ref().map_or(Vec::new(), |table| {
        table.all().into_iter().map(|(name, _)| name).collect()
    });
    let headers = headers
        .map(|table| read_headers(document, &table))
        .unwrap_or_default();
    let scenario = root.read("scenario", |entry| {
        let tables = entry.tables(document, "entries that begin with `[[scenario]]`")?;
        let steps = tables.into_iter();
        Some(
            steps
                .map(|table| read_step(document, table, &mut secrets))
                .collect(),
        )
    });
    let stages = root.read("stage", |entry| {
        let tables = entry.tables(document, "entries that begin with `[[stage]]`")?;
        let stages = tables.into_iter();
        Some(stages.map(|table| read_stage(document, table)).collect())
    });
    let arrivals = root.read("arrivals", |entry| {
        let table = entry.table(document, "the table `[arrivals]`")?;
        Some(read_arrivals(document, table))
    });
    root.finish(document);
    Config {
        settings,
        headers,
        header_names,
        scenario,
        stages,
        arrivals,
        secrets,
    }
}

fn read_settings(document: &Document<'_>, table: Table<'_>) -> Settings {
    let mut table = table;
    let duration = |entry: &Entry<'_>| entry.duration(document);
    let above_zero = |entry: &Entry<'_>| entry.duration_above_zero(document);
    let truth = |entry: &Entry<'_>| entry.truth(document);
    let ms = |low| move |entry: &Entry<'_>| read_ms(document, entry, low);
    let timeout_ms = table.read("timeout_ms", ms(1));
    let timeout = table.read("timeout", above_zero);
    let settings = Settings {
        url: table.read("url", |entry| entry.text(document, crate::address::FORM)),
        virtual_users: table.read("virtual_users", |entry| {
            entry.whole_u32(document, 0..=VUS_MAX)
        }),
        duration_secs: table.read("duration_secs", |entry| read_secs(document, entry, 0)),
        duration: table.read("duration", above_zero),
        timeout: one_spelling(document, timeout_ms, timeout, "`timeout_ms`"),
        graceful_stop: table.read("graceful_stop", duration),
        ramp_up: table.read("ramp_up", duration),
        iterations: table.read("iterations", |entry| entry.whole(document, 1..=u64::MAX)),
        seed: table.read("seed", |entry| entry.whole(document, 0..=u64::MAX)),
        workers: table.read("workers", |entry| {
            let count = entry.whole(document, 1..=WORKERS_MAX)?;
            usize::try_from(count).ok()
        }),
        pin: table.read("pin", truth),
        busy_poll: table.read("busy_poll", truth),
        cookies: table.read("cookies", truth),
        strict: table.read("strict", truth),
        protocol: table.read("protocol", |entry| {
            let accepted = "`auto`, `legacy`, `modern` or a revision such as `2025-11-25`";
            entry.parse(document, accepted, |text| text.parse().ok())
        }),
        request_interval: table.read("request_interval_ms", ms(0)),
        expected_interval_ms: table.read("expected_interval_ms", |entry| {
            entry.whole(document, 0..=u64::MAX)
        }),
        think: table.read("think", |entry| read_think(document, entry)),
        pacing: table.read("pacing", above_zero),
        warm_up: table.read("warm_up", duration),
        session: table.read("session", |entry| read_session(document, entry)),
        stop_on_break: table.read("on_break", |entry| {
            entry.word(document, &[("continue", false), ("stop", true)])
        }),
        break_p99: table.read("break_p99", above_zero),
        break_error_share: table.read("break_error_share", |entry| read_share(document, entry)),
        message_bytes_max: table.read("message_bytes_max", |entry| read_bytes(document, entry)),
        probe: table.read("probe", |entry| read_probe(document, entry)),
    };
    table.finish(document);
    settings
}

/// Two spellings of one setting, of which one may be used.
fn one_spelling<T>(
    document: &Document<'_>,
    old: Field<T>,
    new: Field<T>,
    old_name: &str,
) -> Field<T> {
    match (&old.origin, &new.origin) {
        (Some(_), Some(origin)) => {
            let message = format!("says the same as {old_name}, which is there too");
            document.blame(origin, message, Some("one of the two"));
            new
        }
        (Some(_), None) => old,
        (None, _) => new,
    }
}

fn read_ms(document: &Document<'_>, entry: &Entry<'_>, low: u64) -> Option<Duration> {
    let bounds = low..=DURATION_SECS_MAX * 1000;
    entry.whole(document, bounds).map(Duration::from_millis)
}

fn read_secs(document: &Document<'_>, entry: &Entry<'_>, low: u64) -> Option<Duration> {
    let bounds = low..=DURATION_SECS_MAX;
    entry.whole(document, bounds).map(Duration::from_secs)
}

/// `0.05` or `"5%"`
fn read_share(document: &Document<'_>, entry: &Entry<'_>) -> Option<f64> {
    let accepted = "a share above 0 such as `0.05` or `\"5%\"`";
    let share = if entry.is_text() {
        entry.parse(document, accepted, |text| {
            let percent: f64 = text.trim().strip_suffix('%')?.trim().parse().ok()?;
            (0.0..=100.0).contains(&percent).then_some(percent / 100.0)
        })?
    } else {
        entry.number(document, 0.0..=1.0)?
    };
    if share <= 0.0 {
        document.report(entry.place(), "is zero", Some(accepted));
        return None;
    }
    Some(share)
}

/// `"10/s"`
fn read_probe(document: &Document<'_>, entry: &Entry<'_>) -> Option<f64> {
    let accepted = format!("a rate above zero such as `10/s`, at most `{PROBE_RATE_MAX}/s`");
    entry.parse(document, &accepted, |text| {
        let rate = units::parse_rate(text).ok()?;
        (rate <= PROBE_RATE_MAX).then_some(rate)
    })
}

/// `1048576` or `"1MiB"`
fn read_bytes(document: &Document<'_>, entry: &Entry<'_>) -> Option<u64> {
    let bounds = MESSAGE_BYTES_LOW..=MESSAGE_BYTES_HIGH;
    if !entry.is_text() {
        return entry.whole(document, bounds);
    }
    let accepted = "a size from `1KiB` to `1GiB`";
    entry.parse(document, accepted, |text| {
        let bytes = units::parse_bytes(text).ok()?;
        bounds.contains(&bytes).then_some(bytes)
    })
}

/// `"500ms"` or `{ distribution = "uniform", low = "1s", high = "3s" }`
fn read_think(document: &Document<'_>, entry: &Entry<'_>) -> Option<ThinkTime> {
    #[derive(Clone, Copy)]
    enum Kind {
        Uniform,
        Exponential,
        LogNormal,
    }
    let accepted = "a duration such as `500ms`, or a table such as \
                    `{ distribution = \"exponential\", mean = \"2s\" }`";
    if !entry.is_table() {
        let constant = entry.parse(document, accepted, |text| units::parse_duration(text).ok())?;
        return Some(constant_think(constant));
    }
    let mut table = entry.table(document, accepted)?;
    let kind = table.require(
        document,
        "distribution",
        "`uniform`, `exponential` or `lognormal`",
        |entry| {
            entry.word(
                document,
                &[
                    ("uniform", Kind::Uniform),
                    ("exponential", Kind::Exponential),
                    ("lognormal", Kind::LogNormal),
                ],
            )
        },
    );
    let think = match kind.value {
        Some(Kind::Uniform) => read_uniform(document, &mut table),
        Some(Kind::Exponential) => {
            let mean = table.require(document, "mean", units::DURATION_FORM, |entry| {
                entry.duration_above_zero(document)
            });
            mean.value.map(|mean| ThinkTime::Exponential { mean })
        }
        Some(Kind::LogNormal) => {
            let median = table.require(document, "median", units::DURATION_FORM, |entry| {
                entry.duration_above_zero(document)
            });
            let sigma = table.require(document, "sigma", "a number from 0 to 3", |entry| {
                entry.number(document, 0.0..=3.0)
            });
            let (median, sigma) = (median.value, sigma.value);
            median
                .zip(sigma)
                .map(|(median, sigma)| ThinkTime::LogNormal { median, sigma })
        }
        None => {
            // Which keys belong here is not known: only those of no kind are
            // at fault.
            for key in ["low", "high", "mean", "median", "sigma"] {
                table.take(key);
            }
            None
        }
    };
    table.finish(document);
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

fn read_uniform(document: &Document<'_>, table: &mut Table<'_>) -> Option<ThinkTime> {
    let low = table.require(document, "low", units::DURATION_FORM, |entry| {
        entry.duration(document)
    });
    let high = table.require(document, "high", units::DURATION_FORM, |entry| {
        entry.duration(document)
    });
    let (low, high_origin, high) = (low.value?, high.origin?, high.value?);
    if high < low {
        document.blame(
            &high_origin,
            "is below `low`",
            Some("a duration not below `low`"),
        );
        return None;
    }
    Some(ThinkTime::Uniform { low, high })
}

/// `{ iterations = 10 }`, `{ lifetime = "30s", leave = { abandon = 0.2 } }`
fn read_session(document: &Document<'_>, entry: &Entry<'_>) -> Option<SessionRule> {
    let accepted = "a table such as `{ iterations = 10 }` or `{ lifetime = \"30s\" }`";
    let mut table = entry.table(document, accepted)?;
    let iterations = table.read("iterations", |entry| entry.whole(document, 1..=u64::MAX));
    let lifetime = table.read("lifetime", |entry| entry.duration_above_zero(document));
    let leave = table.read("leave", |entry| read_leave(document, entry));
    table.finish(document);
    if !(iterations.is_given() || lifetime.is_given() || leave.is_given()) {
        document.report(entry.place(), "is empty", Some(accepted));
        return None;
    }
    Some(SessionRule {
        iterations: iterations.value,
        lifetime: lifetime.value,
        abandon: leave.value.unwrap_or(0.0),
    })
}

/// The share of sessions left without a DELETE.
fn read_leave(document: &Document<'_>, entry: &Entry<'_>) -> Option<f64> {
    if entry.is_text() {
        return entry.word(document, &[("delete", 0.0), ("abandon", 1.0)]);
    }
    let accepted = "`\"delete\"`, `\"abandon\"` or `{ abandon = 0.2 }`";
    let mut table = entry.table(document, accepted)?;
    let share = table.require(document, "abandon", "a number from 0 to 1", |entry| {
        entry.number(document, 0.0..=1.0)
    });
    table.finish(document);
    share.value
}

fn read_headers(document: &Document<'_>, table: &Table<'_>) -> Vec<Header> {
    let mut headers: Vec<Header> = Vec::new();
    let mut names = HashSet::new();
    for (name, entry) in table.all() {
        let accepted = "text such as `\"Bearer ${API_KEY}\"`";
        let Some(text) = entry.text(document, accepted) else {
            continue;
        };
        match check_header(&name, &text.value) {
            Ok(header) if !names.insert(header.name.to_ascii_lowercase()) => {
                let message = "is given twice: letters of either case make the same header";
                document.report(entry.place(), message, None);
            }
            Ok(header) => headers.push(header),
            Err(message) => document.report(entry.place(), message, None),
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

/// What an entry of the scenario may be.
#[derive(Clone, Copy)]
enum StepKind {
    CallTool,
    ReadResource,
    GetPrompt,
    CodeMode,
    ListTools,
    ListResources,
    ListResourceTemplates,
    ListPrompts,
    Ping,
}

const STEP_KINDS: &[(&str, StepKind)] = &[
    ("tools/call", StepKind::CallTool),
    ("resources/read", StepKind::ReadResource),
    ("prompts/get", StepKind::GetPrompt),
    ("code_mode", StepKind::CodeMode),
    ("tools/list", StepKind::ListTools),
    ("resources/list", StepKind::ListResources),
    ("resources/templates/list", StepKind::ListResourceTemplates),
    ("prompts/list", StepKind::ListPrompts),
    ("ping", StepKind::Ping),
];

fn read_step(document: &Document<'_>, table: Table<'_>, secrets: &mut Vec<String>) -> StepEntry {
    let mut table = table;
    let accepted = "a method such as `tools/call` or `resources/read`";
    let kind = table.require(document, "type", accepted, |entry| {
        entry.word(document, STEP_KINDS)
    });
    let weight = table.read("weight", |entry| entry.whole_u32(document, 0..=u32::MAX));
    let mut parallel = Field::default();
    if !matches!(kind.value, Some(StepKind::CodeMode)) {
        parallel = table.read("parallel", |entry| {
            entry.whole_u32(document, 1..=PARALLEL_MAX)
        });
    }
    let key = table.place().key.clone();
    let mut tool = None;
    let action = match kind.value {
        Some(kind) => read_action(document, &mut table, kind, &mut tool, secrets),
        None => {
            for key in ["tool", "arguments", "uri", "prompt", "code", "format"] {
                table.take(key);
            }
            None
        }
    };
    table.finish(document);
    StepEntry {
        key,
        tool,
        action,
        weight: weight.value.unwrap_or(WEIGHT),
        parallel: parallel.value.unwrap_or(1),
    }
}

/// The action to do and the action to show.
fn read_action(
    document: &Document<'_>,
    table: &mut Table<'_>,
    kind: StepKind,
    called: &mut Option<String>,
    secrets: &mut Vec<String>,
) -> Option<(Action, Action)> {
    let mut name = |key, accepted: &str| {
        let field = table.require(document, key, accepted, |entry| {
            entry.name(document, accepted)
        });
        field.value
    };
    let operation = match kind {
        StepKind::CallTool => {
            let tool = name("tool", "the name of a tool");
            *called = tool.as_ref().map(|tool| tool.value.clone());
            let (values, shown) = read_arguments(document, table, secrets, false)?;
            let tool = tool?;
            let call = |name, arguments| Operation::CallTool { name, arguments };
            (call(tool.value, values), call(tool.written, shown))
        }
        StepKind::GetPrompt => {
            let prompt = name("prompt", "the name of a prompt");
            let (values, shown) = read_arguments(document, table, secrets, true)?;
            let prompt = prompt?;
            let get = |name, arguments| Operation::GetPrompt { name, arguments };
            (get(prompt.value, values), get(prompt.written, shown))
        }
        StepKind::ReadResource => {
            let uri = name("uri", "the address of a resource")?;
            let read = |uri| Operation::ReadResource { uri };
            (read(uri.value), read(uri.written))
        }
        StepKind::CodeMode => {
            let code = name("code", "the code to validate and run");
            let format = table.read("format", |entry| {
                entry.name(document, "a language such as `graphql` or `sql`")
            });
            let format = match (format.is_given(), format.value) {
                (true, format) => format?,
                (false, _) => Text {
                    value: CODE_FORMAT.to_string(),
                    written: CODE_FORMAT.to_string(),
                },
            };
            let code = code?;
            let run = |code, format| Action::CodeMode { code, format };
            return Some((
                run(code.value, format.value),
                run(code.written, format.written),
            ));
        }
        StepKind::ListTools => twice(Operation::ListTools),
        StepKind::ListResources => twice(Operation::ListResources),
        StepKind::ListResourceTemplates => twice(Operation::ListResourceTemplates),
        StepKind::ListPrompts => twice(Operation::ListPrompts),
        StepKind::Ping => twice(Operation::Ping),
    };
    Some((Action::Call(operation.0), Action::Call(operation.1)))
}

fn twice(operation: Operation) -> (Operation, Operation) {
    (operation.clone(), operation)
}

/// To send and to show; `None`: at fault.
fn read_arguments(
    document: &Document<'_>,
    table: &mut Table<'_>,
    secrets: &mut Vec<String>,
    are_texts_only: bool,
) -> Option<(Option<Arguments>, Option<Arguments>)> {
    let Some(entry) = table.take("arguments") else {
        return Some((None, None));
    };
    let (values, shown) = entry.json_object(document)?;
    if are_texts_only && !check_prompt_arguments(document, &entry) {
        return None;
    }
    let mut shown = shown;
    hide_credentials(&mut values.clone(), secrets);
    hide_credentials(&mut shown, &mut Vec::new());
    Some((Some(values.into()), Some(shown.into())))
}

/// MCP has texts only in a prompt's arguments.
fn check_prompt_arguments(document: &Document<'_>, entry: &Entry<'_>) -> bool {
    let Some(table) = entry.table(document, "a table") else {
        return false;
    };
    let mut is_right = true;
    for (_, argument) in table.all() {
        if !argument.is_text() {
            argument.report_type(document, "text: a prompt takes nothing else");
            is_right = false;
        }
    }
    is_right
}

fn read_stage(document: &Document<'_>, table: Table<'_>) -> StageEntry {
    let mut table = table;
    let secs = table.read("duration_secs", |entry| read_secs(document, entry, 1));
    let text = table.read("duration", |entry| entry.duration_above_zero(document));
    if !(secs.is_given() || text.is_given()) {
        let message = "the stage has no duration";
        document.report(
            table.place(),
            message,
            Some("a key such as `duration = \"30s\"`"),
        );
    }
    let entry = StageEntry {
        place: table.place().clone(),
        target_vus: table.read("target_vus", |entry| entry.whole_u32(document, 0..=VUS_MAX)),
        target_rate: table.read("target_rate", |entry| {
            entry.parse(document, units::RATE_FORM, parse_rate_or_zero)
        }),
        duration: one_spelling(document, secs, text, "`duration_secs`"),
    };
    table.finish(document);
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

fn read_arrivals(document: &Document<'_>, table: Table<'_>) -> ArrivalsEntry {
    let mut table = table;
    let arrivals = ArrivalsEntry {
        rate: table.read("rate", |entry| {
            entry.parse(document, units::RATE_FORM, parse_bounded_rate)
        }),
        distribution: table.read("distribution", |entry| {
            entry.word(
                document,
                &[
                    ("constant", Distribution::Constant),
                    ("poisson", Distribution::Poisson),
                ],
            )
        }),
        burst: table.read("burst", |entry| entry.whole_u32(document, 1..=VUS_MAX)),
        every: table.read("every", |entry| entry.duration_above_zero(document)),
        max_vus: table.read("max_vus", |entry| entry.whole_u32(document, 1..=VUS_MAX)),
        queue_max: table.read("queue_max", |entry| entry.whole_u32(document, 0..=u32::MAX)),
    };
    table.finish(document);
    arrivals
}

/// A key that is there, for messages.
pub(super) fn key_of(origin: &Origin) -> &str {
    match origin {
        Origin::File(place) => &place.key,
        Origin::Flag(flag) => flag,
    }
}
