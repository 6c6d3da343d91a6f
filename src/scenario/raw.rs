//! A config as written: each key with its type checked, nothing decided yet.
//!
//! Does not know defaults or flags, nor which keys exclude each other, but for
//! two spellings of the same one.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Value, json};

use super::defaults::{
    CODE_FORMAT, DURATION_SECS_MAX, MESSAGE_BYTES_HIGH, MESSAGE_BYTES_LOW, PARALLEL_MAX,
    POPULATIONS_MAX, PROBE_RATE_MAX, RATE_MAX, REPEAT_MAX, UNTIL_AT_MOST, UNTIL_EVERY, VUS_MAX,
    WEIGHT, WORKERS_MAX,
};
use super::document::{Document, Entry, Field, Object, Origin, Table, Use};
use super::fault::said;
use super::form::{
    AddressText, Fraction, KeyForm, Keys, Length, Name, Own, Property, Quantity, TemplateName,
    Truth, Which, Whole, WholeTime, Words, keys, object, read_key, words,
};
use super::header::{Header, check_header};
use super::marked::{MarkedPlace, with_marker};
use super::plan::{Action, HistogramMode, OnError, SessionRule, Until};
use super::secret::hide_credentials;
use super::shown::Shown;
use crate::data::{AtEnd, DataMode};
use crate::expect::{Awaited, Expectations, SchemaShare, Source, TextPattern};
use crate::load::{Distribution, ThinkTime};
use crate::network::{
    AddressUse, BACKEND_HEADER_FORM, BIND_FORM, ConnectionUse, EXCEPTION_FORM, PROXY_FORM,
    RESOLVE_FORM, backend_header,
};
use crate::protocol::{
    Arguments, Method, NAME_ROOT, Operation, ProtocolChoice, Revision, TOPIC_FORM, Topic, TraceMode,
};
use crate::template::{self, Expression};
use crate::threshold::Severity;
use crate::units;

/// The whole file.
#[derive(Default)]
pub(super) struct Config {
    pub(super) settings: Settings,
    pub(super) headers: Vec<Header>,
    /// Of all headers, those at fault too.
    pub(super) header_names: Vec<String>,
    /// The templates in the headers.
    pub(super) header_uses: Vec<Use>,
    pub(super) data: Vec<DataEntry>,
    pub(super) flows: Field<Vec<FlowEntry>>,
    pub(super) scenario: Field<Vec<FlowEntry>>,
    pub(super) stages: Field<Vec<StageEntry>>,
    /// Given: `[arrivals]` is there.
    pub(super) arrivals: Field<ArrivalsEntry>,
    pub(super) thresholds: Field<Vec<ThresholdEntry>>,
    pub(super) populations: Field<Vec<PopulationEntry>>,
}

keys! {
    /// The tables of the file.
    struct Root {
        /// The server, how much load there is, and how it is made.
        settings: Settings = Own {
            read: |entry| entry.table("the table `[settings]`").map(read_settings),
            schema: || object(Settings::properties(), &[]),
        },
        /// Sent with every request to the scheme, host and port of `settings.url`: any
        /// names, each with text. Shown nowhere.
        headers: Headers = HEADERS,
        /// What virtual users do: each iteration is one of these steps, or one of the flows,
        /// by weight.
        scenario: Vec<FlowEntry> = Own {
            read: |entry| entry.tables("entries that begin with `[[scenario]]`", read_entry),
            schema: || json!({
                "type": "array", "minItems": 1, "items": step_schema(StepLevel::Scenario),
            }),
        },
        /// What virtual users do: steps in order, in one session.
        flow: Vec<FlowEntry> = Own {
            read: |entry| entry.tables("entries that begin with `[[flow]]`", read_flow),
            schema: || json!({
                "type": "array", "minItems": 1,
                "items": object(FlowKeys::properties(), &["name", "step"]),
            }),
        },
        /// Rows that templates take values from: `{{data.NAME.COLUMN}}`.
        data: Vec<DataEntry> = Own {
            read: |entry| entry.table("tables such as `[data.users]`").map(|table| read_data(&table)),
            schema: || {
                let mut set = object(DataKeys::properties(), &[]);
                set["oneOf"] = json!([{ "required": ["file"] }, { "required": ["rows"] }]);
                json!({
                    "type": "object", "propertyNames": { "pattern": "^[A-Za-z0-9_-]+$" },
                    "additionalProperties": set,
                })
            },
        },
        /// Parts of the run, each moving the load from that of the one before.
        stage: Vec<StageEntry> = Own {
            read: |entry| entry.tables("entries that begin with `[[stage]]`", read_stage),
            schema: || json!({ "type": "array", "items": stage_schema() }),
        },
        /// Open model: iterations start at their own times, whether earlier ones have
        /// ended or not.
        arrivals: ArrivalsEntry = Own {
            read: |entry| entry.table("the table `[arrivals]`").map(read_arrivals),
            schema: || object(ArrivalsEntry::properties(), &[]),
        },
        /// Classes of users that divide the load among them, each with its flows.
        population: Vec<PopulationEntry> = Own {
            read: |entry| entry.tables("entries that begin with `[[population]]`", read_population),
            schema: || {
                let mut entry = object(PopulationKeys::properties(), &["name"]);
                entry["oneOf"] = json!([{ "required": ["share"] }, { "required": ["vus"] }]);
                json!({
                    "type": "array", "minItems": 1, "maxItems": POPULATIONS_MAX, "items": entry,
                })
            },
        },
        /// What the run has to keep.
        threshold: Vec<ThresholdEntry> = Own {
            read: |entry| entry.tables("entries that begin with `[[threshold]]`", read_threshold),
            schema: || {
                let entry = object(ThresholdEntry::properties(), &["assert"]);
                json!({ "type": "array", "items": entry })
            },
        },
    }
}

keys! {
    /// `[settings]`
    struct Settings {
        /// The longest that one request may take, in milliseconds; as `timeout`.
        timeout_ms: Duration = millis(1),
        /// The longest that one request may take, from connecting to the last byte;
        /// `5s` unless given.
        timeout: Duration = LENGTH,
        /// The longest that a call may take that is answered with a task (`task = true`),
        /// until the task has ended; `5m` unless given.
        task_timeout: Duration = LENGTH,
        /// The longest that it may take until a connection is open, TLS and proxies included;
        /// the timeout unless given.
        connect_timeout: Duration = LENGTH,
        /// The HTTP proxy, in place of those of the environment; for targets on this machine
        /// too.
        proxy: Shown<String> = Name(PROXY_FORM),
        /// What is reached without a proxy, in place of `NO_PROXY`: hosts, those below them,
        /// blocks of addresses, each with a port or without; `*` for all.
        no_proxy: Vec<String> = Own {
            read: |entry| read_entries(entry, EXCEPTION_FORM),
            schema: texts_schema,
        },
        /// Where names lead, as curl has it: `host:port:address`.
        resolve: Vec<String> = Own {
            read: |entry| read_entries(entry, RESOLVE_FORM),
            schema: texts_schema,
        },
        /// Addresses of this host that connections come from, in turn.
        bind: Vec<String> = Own {
            read: |entry| read_entries(entry, BIND_FORM),
            schema: texts_schema,
        },
        /// Which of the server's addresses a connection goes to: the next one, which it is
        /// unless given, or always the same for each user.
        addresses: AddressUse = Words(AddressUse::WORDS),
        /// Look the server's name up again after this time; once unless given.
        dns_ttl: Duration = LENGTH,
        /// Close each connection after this many requests; never unless given.
        calls_per_connection: u32 = Whole(1..=u32::MAX),
        /// How long a connection is used: for one session, which it is unless given, across
        /// the sessions of its user, or for one call, after whose answer it is closed without
        /// `Connection: close`.
        connection: ConnectionUse = Words(ConnectionUse::WORDS),
        /// The header of answers that names who served them, such as `x-served-by`: calls are
        /// counted apart by its values.
        backend_header: String = BACKEND_HEADER,
        /// The server; an address on the command line takes its place.
        url: Shown<String> = AddressText,
        /// Users of the closed model, each waiting for its answer before it goes on; 10
        /// unless given.
        virtual_users: u32 = Whole(0..=VUS_MAX),
        /// How long to make load, in seconds; as `duration`.
        duration_secs: Duration = seconds(0),
        /// How long to make load; `30s` unless `iterations` is given. Not with stages.
        duration: Duration = LENGTH,
        /// How long requests in flight at the end may still take; the timeout unless
        /// given, of plans with tasks the one for tasks, at most `30s`.
        graceful_stop: Duration = LENGTH_OR_ZERO,
        /// Users start evenly across this time.
        ramp_up: Duration = LENGTH_OR_ZERO,
        /// Exactly this many iterations in all, or the duration, whichever ends first.
        iterations: u64 = Whole(1..=u64::MAX),
        /// Makes choices and generated data repeatable; drawn unless given.
        seed: u64 = Whole(0..=u64::MAX),
        /// Threads that make load; the usable CPUs unless given, less one where there
        /// are more than two.
        workers: usize = Own {
            read: |entry| usize::try_from(WORKERS.read(entry)?).ok(),
            schema: || WORKERS.schema(),
        },
        /// Whether each worker keeps to a CPU; true unless given.
        pin: bool = Truth,
        /// Spin rather than sleep while waiting, on a host that does nothing else.
        busy_poll: bool = Truth,
        /// Whether each user keeps the cookies that the server sets.
        cookies: bool = Truth,
        /// Whether a user waits as long as a 429 or a 503 asks to (`Retry-After`), in the
        /// handshake too; false unless given.
        respect_retry_after: bool = Truth,
        /// Whether each session holds a GET stream and listens on it, as clients on SDKs
        /// do, where the server offers one; true unless given.
        listen: bool = Truth,
        /// What each user of a modern server subscribes to, and holds a stream for:
        /// `tools`, `prompts` and `resources` for changes of these lists, `uri:…` for a
        /// resource; nothing unless given.
        subscribe: Vec<Topic> = TOPICS,
        /// Files with certificates of authorities that are trusted beside the platform's.
        ca: Vec<String> = Own {
            read: |entry| read_texts(entry, CA_FORM, |text| Ok(text.to_string())),
            schema: texts_schema,
        },
        /// The file with this client's certificate and those between it and its authority.
        client_cert: Shown<String> = Name("the path of a file"),
        /// The file with its private key; `client_cert` has it too unless given.
        client_key: Shown<String> = Name("the path of a file"),
        /// The name that is asked for in TLS and that the certificate must have, in place of
        /// the URL's host.
        server_name: Shown<String> = Name("the name of a host, or an IP address"),
        /// Believe whoever answers: no certificate is checked.
        insecure: bool = Truth,
        /// Whether a user that connects again goes on with its session of TLS; true unless
        /// given.
        tls_resumption: bool = Truth,
        /// A command line that prints the token of each request, run again before the
        /// token ends; with templates, one for each user.
        token_command: TokenText = Own {
            read: |entry| entry.template_with_uses("a command line such as `\"vault print token\"`"),
            schema: || Name("").schema(),
        },
        /// A file that holds the token of each request, read again and again; with
        /// templates in its path, one for each user.
        token_file: TokenText = Own {
            read: |entry| entry.template_with_uses("the path of a file"),
            schema: || Name("").schema(),
        },
        /// End with exit code 4 where the verdict is that the result is invalid.
        strict: bool = Truth,
        /// How to speak to the server: `auto` asks it.
        protocol: ProtocolChoice = PROTOCOL,
        /// A pause after each call, in milliseconds.
        request_interval_ms: Duration = millis(0),
        /// Accepted and ignored: samples are never invented.
        expected_interval_ms: u64 = Whole(0..=u64::MAX),
        /// A user's pause after each iteration: a duration, or a table with its
        /// distribution.
        think: ThinkTime = Own { read: read_think, schema: think_schema },
        /// Each user starts an iteration at this interval; not with `think`.
        pacing: Duration = LENGTH,
        /// What is due or sent in this time is run and shown, but left out of the figures.
        warm_up: Duration = LENGTH_OR_ZERO,
        /// When a user ends its session and opens another; kept for the whole run unless
        /// given.
        session: SessionRule = Own { read: read_session, schema: session_schema },
        /// What is done at the breaking point; `continue` unless given.
        on_break: bool = Words(&[("continue", false), ("stop", true)]),
        /// The p99 latency that counts as broken; three times that at low load unless
        /// given.
        break_p99: Duration = LENGTH,
        /// The share of failed requests that counts as broken: `0.05`, or `\"5%\"`.
        break_error_share: f64 = Own { read: read_share, schema: share_schema },
        /// Hold the steps against what the server lists before any load; true unless given.
        preflight: bool = Truth,
        /// The largest message accepted from the server: bytes, or a size such as
        /// `\"16MiB\"`.
        message_bytes_max: u64 = Own {
            read: read_bytes,
            schema: || either(BYTES.schema(), Whole(BYTES_BOUNDS).schema()),
        },
        /// Measure of each call how its answer comes: the time to its first byte, and to the
        /// events of an event stream; false unless given.
        streams: bool = Truth,
        /// Give each call a trace of its own (W3C Trace Context): `true` in the `_meta` of its
        /// request, `\"header\"` in a header; none unless given.
        trace: TraceMode = Own {
            read: read_trace,
            schema: || either(json!({ "type": "boolean" }), json!({ "const": "header" })),
        },
        /// Histograms that the report keeps; `seconds` unless given.
        histograms: HistogramMode = Words(HistogramMode::WORDS),
        /// One quiet session beside the load, at this rate of at most `1000/s`.
        probe: f64 = Own {
            read: read_probe,
            schema: || RATE.schema(),
        },
    }
}

/// Says where tokens come from, with the templates in it.
pub(super) type TokenText = (Shown<String>, Vec<Use>);

/// An entry of `[[flow]]`, or one of `[[scenario]]`, which has one step and no name.
pub(super) struct FlowEntry {
    /// Its key is `flow[1]` or `scenario[1]`.
    pub(super) place: Origin,
    pub(super) name: Field<Shown<String>>,
    pub(super) weight: u32,
    pub(super) on_error: OnError,
    pub(super) steps: Vec<StepEntry>,
}

keys! {
    /// The keys of an entry of `[[flow]]`.
    struct FlowKeys {
        /// What the report calls it; no two have the same.
        name: Shown<String> = FLOW_NAME,
        /// Its share of the iterations: weight ÷ sum of weights; 1 unless given, 0: never.
        weight: u32 = Whole(0..=u32::MAX),
        /// What a step that fails means for those after it; `end-iteration` unless given.
        on_error: OnError = Words(OnError::WORDS),
        /// What is done, in this order, in one session.
        step: Vec<StepEntry> = Own {
            read: |entry| entry.tables(FLOW_STEPS, read_step),
            schema: || json!({ "type": "array", "minItems": 1, "items": step_schema(StepLevel::Step) }),
        },
    }
}

/// A step of a flow.
pub(super) struct StepEntry {
    pub(super) place: Origin,
    pub(super) name: Field<Shown<String>>,
    /// `true`, where it is given.
    pub(super) once: Field<bool>,
    pub(super) repeat: u32,
    pub(super) until: Field<Until>,
    pub(super) think: Option<ThinkTime>,
    pub(super) parallel: Field<u32>,
    /// Empty: at fault.
    pub(super) calls: Vec<CallEntry>,
}

/// A call of a step.
pub(super) struct CallEntry {
    pub(super) place: Origin,
    /// In a step of several calls.
    pub(super) name: Field<Shown<String>>,
    /// The tool that it calls; `None`: it calls none, or its name is at fault.
    pub(super) tool: Option<String>,
    /// `None`: at fault.
    pub(super) action: Option<Shown<Action>>,
    /// Where it names what it calls.
    pub(super) subject: Option<Origin>,
    /// Where it gives arguments.
    pub(super) arguments: Option<Origin>,
    /// Where it says that it is marked.
    pub(super) marked: Option<Origin>,
    pub(super) generate: bool,
    pub(super) isolation: Option<MarkedPlace>,
    pub(super) progress: bool,
    pub(super) task: Field<bool>,
    pub(super) extract: Field<Vec<ExtractEntry>>,
    pub(super) secret: Field<Vec<(Origin, String)>>,
    pub(super) expect: Expectations,
    /// The templates in it.
    pub(super) uses: Vec<Use>,
}

/// A value that is taken out of an answer.
pub(super) struct ExtractEntry {
    pub(super) place: Origin,
    pub(super) name: String,
    /// `None`: at fault.
    pub(super) source: Option<Source>,
}

keys! {
    /// The keys of `until`.
    struct UntilKeys {
        /// Where in the answer the value is.
        path: Source = SOURCE,
        /// The value that ends it.
        equals: Value = ANY,
        /// From the end of one call to the start of the next; `1s` unless given.
        every: Duration = LENGTH_OR_ZERO,
        /// After this many calls the step has failed; 60 unless given.
        at_most: u32 = Whole(1..=REPEAT_MAX),
    }
}

keys! {
    /// The keys of `expect`, or of one of its tables.
    struct ExpectKeys {
        /// Where `contains`, `matches` and `equals` look; the whole result unless given.
        path: Source = SOURCE,
        /// A text that must occur, or several.
        contains: Vec<String> = Own {
            read: |entry| read_texts(entry, "a text that must occur, or a list", |text| Ok(text.to_string())),
            schema: texts_schema,
        },
        /// A regular expression that must match a part, or several.
        matches: Vec<TextPattern> = Own {
            read: |entry| read_texts(entry, "a regular expression, or a list", TextPattern::new),
            schema: texts_schema,
        },
        /// The value that must be there.
        equals: Value = ANY,
        /// Whether structured content must keep to the tool's output schema: of each
        /// result, or of a share such as `0.1` or `\"10%\"`.
        schema: Option<SchemaShare> = Own {
            read: |entry| match entry.is_truth() {
                true => entry.truth().map(|is_on| is_on.then_some(SchemaShare::ALL)),
                false => read_share(entry).and_then(SchemaShare::new).map(Some),
            },
            schema: || {
                let mut schema = share_schema();
                if let Value::Array(forms) = &mut schema["anyOf"] {
                    forms.push(json!({ "type": "boolean" }));
                }
                schema
            },
        },
        /// The most bytes of the answer: a number, or a size such as `\"20KiB\"`.
        max_bytes: u64 = Own {
            read: |entry| match entry.is_text() {
                true => ANSWER_BYTES.read(entry),
                false => Whole(ANSWER_BYTES_BOUNDS).read(entry),
            },
            schema: || either(ANSWER_BYTES.schema(), Whole(ANSWER_BYTES_BOUNDS).schema()),
        },
        /// Whether the tool must say that it failed.
        is_error: bool = Truth,
        /// The code of the JSON-RPC error that must come.
        code: i64 = Own {
            read: |entry| entry.signed(),
            schema: || json!({ "type": "integer" }),
        },
        /// The HTTP status that must come.
        status: u16 = Whole(100..=599_u16),
    }
}

/// `[data.NAME]`
pub(super) struct DataEntry {
    pub(super) place: Origin,
    pub(super) name: String,
    pub(super) keys: DataKeys,
}

keys! {
    /// The keys of `[data.NAME]`.
    struct DataKeys {
        /// A file of CSV, or of JSON lines where its name ends with `.jsonl`; relative to
        /// this file.
        file: Shown<String> = Name("the path of a file such as `users.csv`"),
        /// The rows themselves, in place of a file: tables with the same keys.
        rows: Vec<Object> = Own {
            read: read_rows,
            schema: || json!({ "type": "array", "minItems": 1, "items": { "type": "object" } }),
        },
        /// Which row an iteration takes; `sequential` unless given: by its number over the
        /// whole run.
        mode: DataMode = Words(DataMode::WORDS),
        /// What follows the last row of a sequential set: the end of the run, which it is
        /// unless given, or the first row.
        at_end: AtEnd = Words(AtEnd::WORDS),
        /// Columns whose cells are shown nowhere, beside those with the name of a
        /// credential.
        secret: Vec<(Origin, String)> = NAMES,
    }
}

keys! {
    /// The keys of a step or a call beside `type`. Which of them go with a level and a
    /// type, [`StepLevel`] and [`STEP_KINDS`] say.
    struct StepKeys {
        /// Its share of the iterations: weight ÷ sum of weights; 1 unless given, 0: never.
        weight: u32 = Whole(0..=u32::MAX),
        /// What the report calls it; the method and what is called unless given.
        name: Shown<String> = Name("a name such as `sign in`"),
        /// `session`: done when a session begins, and not again in that session.
        once: bool = Words(&[("session", true)]),
        /// This many times, one after the other; 1 unless given.
        repeat: u32 = Whole(1..=REPEAT_MAX),
        /// Repeats the call until its answer has a value.
        until: Until = Own {
            read: read_until,
            schema: || object(UntilKeys::properties(), &["path", "equals"]),
        },
        /// The pause after it: a duration, or a table with its distribution.
        think: ThinkTime = Own { read: read_think, schema: think_schema },
        /// This many calls at once in one session, each on its own connection.
        parallel: u32 = Whole(1..=PARALLEL_MAX),
        /// The name of the tool.
        tool: Shown<String> = TOOL,
        /// The name of the prompt.
        prompt: Shown<String> = PROMPT,
        /// The address of the resource.
        uri: Shown<String> = URI,
        /// The code to validate and run.
        code: Shown<String> = CODE,
        /// The method of the request.
        method: Shown<String> = METHOD,
        /// The arguments; of a prompt, texts only.
        arguments: Shown<Object> = Own {
            read: |entry| entry.json_object(),
            schema: || json!({ "type": "object" }),
        },
        /// Fills arguments that are not given from the tool's schema, other values each time.
        generate: bool = Truth,
        /// Sends a text that tells whose call it is, in the first argument that takes any
        /// text or in the one that is named, and looks for it in all other users' answers.
        isolation: Option<MarkedPlace> = Own {
            read: |entry| match entry.is_truth() {
                true => entry.truth().map(|is_on| is_on.then_some(MarkedPlace::First)),
                false => MARKED_PATH.read(entry).map(Some),
            },
            schema: || either(MARKED_PATH.schema(), Truth.schema()),
        },
        /// Asks the server to tell of the call's progress, and measures how the answer comes;
        /// values that do not grow fail the call.
        progress: bool = Truth,
        /// The tool's answer may be a task, which is asked for until it has ended: one call,
        /// from the request to the result. Needs MCP 2026-07-28.
        task: bool = Truth,
        /// What is sent with the request.
        params: Shown<Object> = Own {
            read: |entry| entry.json_object(),
            schema: || json!({
                "type": "object", "properties": { "_meta": {
                    "type": "object", "description": "Goes into the one that a modern request has.",
                } },
            }),
        },
        /// Where the text is that a modern request repeats in its header `Mcp-Name`, such as
        /// `params.name`.
        name_header: String = NAME_HEADER,
        /// The language of the code; `graphql` unless given.
        format: Shown<String> = TemplateName("a language such as `graphql` or `sql`"),
        /// Values of the answer for later steps: their names, and where they are.
        extract: Vec<ExtractEntry> = Own {
            read: read_extract,
            schema: || json!({
                "type": "object", "propertyNames": { "pattern": NAME_PATTERN },
                "additionalProperties": SOURCE.schema(),
            }),
        },
        /// Which of the extracted values are shown nowhere, beside those with the name of a
        /// credential.
        secret: Vec<(Origin, String)> = NAMES,
        /// What the answer must be like.
        expect: Expectations = Own {
            read: read_expect,
            schema: || {
                let mut one = object(ExpectKeys::properties(), &[]);
                one["minProperties"] = json!(1);
                let rules = ["contains", "matches", "equals"].map(|key| json!({ "required": [key] }));
                one["dependentSchemas"] = json!({ "path": { "anyOf": rules } });
                let list = json!({ "type": "array", "minItems": 1, "items": one });
                either(one, list)
            },
        },
    }
}

/// An entry of `[[population]]`.
pub(super) struct PopulationEntry {
    pub(super) place: Origin,
    pub(super) keys: PopulationKeys,
}

keys! {
    /// The keys of an entry of `[[population]]`.
    struct PopulationKeys {
        /// What the report calls it; no two have the same.
        name: Shown<String> = POPULATION_NAME,
        /// Its share of the users, or of the arrivals: `0.8`, or `\"80%\"`. All sum up to 1.
        share: f64 = Own { read: read_share, schema: share_schema },
        /// In place of shares: its users, which sum up to those of the run.
        vus: u32 = Whole(1..=VUS_MAX),
        /// The names of the flows and entries of the scenario that it does; all unless given.
        flows: Vec<(Origin, String)> = NAMES,
        /// A user's pause after each iteration, in place of that of the settings.
        think: ThinkTime = Own { read: read_think, schema: think_schema },
        /// Sent with its requests, in place of headers of the same name.
        headers: Headers = HEADERS,
        /// How to speak to the server, in place of what the settings say.
        protocol: ProtocolChoice = PROTOCOL,
        /// What its users subscribe to, in place of what the settings say.
        subscribe: Vec<Topic> = TOPICS,
        /// Another server: only the headers of this population go there.
        url: Shown<String> = AddressText,
    }
}

/// An entry of `[[stage]]`.
pub(super) struct StageEntry {
    pub(super) place: Origin,
    pub(super) target_vus: Field<u32>,
    pub(super) target_rate: Field<f64>,
    pub(super) duration: Field<Duration>,
}

keys! {
    /// The keys of an entry of `[[stage]]`.
    struct StageKeys {
        /// How long the stage is, in seconds; as `duration`.
        duration_secs: Duration = seconds(1),
        /// How long the stage is.
        duration: Duration = LENGTH,
        /// Virtual users at its end.
        target_vus: u32 = Whole(0..=VUS_MAX),
        /// With `[arrivals]`: their rate at its end.
        target_rate: f64 = Quantity { parse: parse_rate_or_zero, ..RATE },
    }
}

keys! {
    /// `[arrivals]`
    struct ArrivalsEntry {
        /// How often iterations start; one of this, `burst` with `every`, and stages.
        rate: f64 = RATE,
        /// How arrivals are spread; `constant` unless given. `poisson` comes in clumps,
        /// as independent clients do.
        distribution: Distribution = Words(&[
            ("constant", Distribution::Constant),
            ("poisson", Distribution::Poisson),
        ]),
        /// This many arrivals at once, at every multiple of `every`.
        burst: u32 = Whole(1..=VUS_MAX),
        /// The time from one burst to the next.
        every: Duration = LENGTH,
        /// The pool of users that serve arrivals; 100, or the burst, unless given.
        max_vus: u32 = Whole(1..=VUS_MAX),
        /// Arrivals that may wait for a free user; ten for each user unless given.
        queue_max: u32 = Whole(0..=u32::MAX),
    }
}

keys! {
    /// An entry of `[[threshold]]`.
    struct ThresholdEntry {
        /// What has to hold: `p99<500ms`, `errors<1%`, `tool:echo p95<200ms`.
        assert: Shown<String> = CONDITION,
        /// Whether a run that does not keep it fails, or is only warned of; `fail` unless
        /// given.
        severity: Severity = Words(&[("fail", Severity::Fail), ("warn", Severity::Warn)]),
        /// What decides a percentile of too few calls: their value, or that there are too
        /// few; `value` unless given.
        few: bool = Words(&[("value", false), ("fail", true)]),
        /// Ends the run as soon as it is plainly not kept.
        abort: bool = Truth,
        /// With `abort`: what comes so early does not count; `0s` unless given.
        grace: Duration = LENGTH_OR_ZERO,
    }
}

const HEADERS: Own<Headers> = Own {
    read: |entry| {
        let table = entry.table("a table of headers such as `X-Team = \"blue\"`");
        table.map(|table| read_headers(&table))
    },
    schema: || json!({ "type": "object", "additionalProperties": { "type": "string" } }),
};
const PROTOCOL: Own<ProtocolChoice> = Own {
    read: |entry| {
        let accepted = "`auto`, `legacy`, `modern` or a revision such as `2025-11-25`";
        entry.parse(accepted, |text| text.parse::<ProtocolChoice>().ok())
    },
    schema: || {
        let revisions = Revision::ALL.into_iter().map(Revision::as_str);
        words(["auto", "legacy", "modern"].into_iter().chain(revisions))
    },
};
const POPULATION_NAME: Name = Name("a name such as `agents`");
const CONDITION: Name = Name("a condition such as `p99<500ms`");
const FLOW_NAME: Name = Name("a name such as `checkout`");
const FLOW_STEPS: &str = "entries that begin with `[[flow.step]]`";
const METHOD: Quantity<Shown<String>> = Quantity {
    accepted: "a method such as `tasks/get`, of letters, digits and `/`, `.`, `_`, `-`, `$`; no \
               notification, which has no answer",
    pattern: r"(?!notifications/)[A-Za-z0-9/._$-]+",
    examples: &["tasks/get", "completion/complete"],
    parse: |text| {
        let is_sign = |c: char| c.is_ascii_alphanumeric() || "/._$-".contains(c);
        let is_right = !text.is_empty() && text.chars().all(is_sign);
        (is_right && !text.starts_with("notifications/")).then(|| text.to_string().into())
    },
};
const BACKEND_HEADER: Quantity<String> = Quantity {
    accepted: BACKEND_HEADER_FORM,
    pattern: r"[A-Za-z0-9!#$%&'*+.^_`|~-]+",
    examples: &["x-served-by", "x-backend"],
    parse: backend_header,
};
const NAME_HEADER: Quantity<String> = Quantity {
    accepted: "a path such as `params.name`",
    pattern: r"params\..+",
    examples: &["params.name", "params.taskId"],
    parse: |text| text.starts_with(NAME_ROOT).then(|| text.to_string()),
};
const MARKED_PATH: Quantity<MarkedPlace> = Quantity {
    accepted: "`true`, or the name of an argument such as `text` or `customer.note`",
    pattern: r"[^.]+(\.[^.]+){0,7}",
    examples: &["text", "customer.note"],
    parse: MarkedPlace::path,
};
const ANSWER_BYTES_BOUNDS: RangeInclusive<u64> = 1..=MESSAGE_BYTES_HIGH;
const ANSWER_BYTES: Quantity<u64> = Quantity {
    accepted: "a size from `1B` to `1GiB`",
    parse: |text| {
        let bytes = units::parse_bytes(text).ok()?;
        ANSWER_BYTES_BOUNDS.contains(&bytes).then_some(bytes)
    },
    ..BYTES
};
const SOURCE_FORM: &str = "a path such as `$.structuredContent.id` or \
                           `$.content[0].text | json | $.id`, or `header NAME`";
const SOURCE: Own<Source> = Own {
    read: |entry| {
        let text = entry.name(SOURCE_FORM)?;
        match Source::parse(&text.value) {
            Ok(source) => Some(source),
            // What came from the environment is not repeated.
            Err(_) if text.value != text.shown => entry.refuse("is not a path", SOURCE_FORM),
            Err(fault) => entry.refuse(said(&fault.to_string()), SOURCE_FORM),
        }
    },
    schema: || json!({ "type": "string", "pattern": r"^\s*(\$|header\s)|\$\{" }),
};
const ANY: Own<Value> = Own {
    read: |entry| entry.json().map(|value| value.value),
    schema: || json!({}),
};
/// Names, each with its place.
const NAMES: Own<Vec<(Origin, String)>> = Own {
    read: |entry| {
        let accepted = "a list of names such as `[\"token\"]`";
        if !entry.is_list() {
            return entry.refuse_type(accepted);
        }
        let names = entry.one_or_more().into_iter();
        let names: Vec<_> = names
            .map(|entry| Some((entry.place.clone(), entry.name(accepted)?.value)))
            .collect();
        names.into_iter().collect()
    },
    schema: || json!({ "type": "array", "items": { "type": "string", "pattern": r"\S" } }),
};
/// What `template::is_name` accepts, but for the words of the language.
const NAME_PATTERN: &str = "^[A-Za-z_][A-Za-z0-9_-]*$";
const TOOL: TemplateName = TemplateName("the name of a tool");
const PROMPT: TemplateName = TemplateName("the name of a prompt");
const URI: TemplateName = TemplateName("the address of a resource");
const CODE: TemplateName = TemplateName("the code to validate and run");
const LENGTH: Length = Length { above_zero: true };
const LENGTH_OR_ZERO: Length = Length { above_zero: false };
const WORKERS: Whole<u64> = Whole(1..=WORKERS_MAX);
const RATE: Quantity<f64> = Quantity {
    accepted: units::RATE_FORM,
    pattern: units::RATE_PATTERN,
    examples: &["200/s", "90/m", "1000/h"],
    parse: parse_bounded_rate,
};
const BYTES_BOUNDS: RangeInclusive<u64> = MESSAGE_BYTES_LOW..=MESSAGE_BYTES_HIGH;
const BYTES: Quantity<u64> = Quantity {
    accepted: "a size from `1KiB` to `1GiB`",
    pattern: units::BYTES_PATTERN,
    examples: &["64KiB", "16MiB"],
    parse: |text| {
        let bytes = units::parse_bytes(text).ok()?;
        BYTES_BOUNDS.contains(&bytes).then_some(bytes)
    },
};

const fn millis(low: u64) -> WholeTime {
    WholeTime {
        bounds: low..=DURATION_SECS_MAX * 1000,
        unit: Duration::from_millis,
    }
}

const fn seconds(low: u64) -> WholeTime {
    WholeTime {
        bounds: low..=DURATION_SECS_MAX,
        unit: Duration::from_secs,
    }
}

/// Reads the whole file; what is at fault is reported and left out.
pub(super) fn read_config(mut root: Table<'_>) -> Config {
    if ["flow", "data", "population"].iter().any(|it| root.has(it)) {
        root.document.be_strict();
    }
    let tables = Root::read(&mut root, Which::Given);
    root.finish();
    let headers = tables.headers.value.unwrap_or_default();
    Config {
        settings: tables.settings.value.unwrap_or_default(),
        headers: headers.right,
        header_names: headers.names,
        header_uses: headers.uses,
        data: tables.data.value.unwrap_or_default(),
        flows: tables.flow,
        scenario: tables.scenario,
        stages: tables.stage,
        arrivals: tables.arrivals,
        thresholds: tables.threshold,
        populations: tables.population,
    }
}

/// The schema of a config (JSON Schema 2020-12), from the same tables of keys that it
/// is read by.
pub(super) fn schema() -> Value {
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Config of cargo pmcp loadtest",
        "description": "TOML. Every text may hold `${NAME}` or `${NAME:-default}`, which are filled \
                        from the environment.",
    });
    if let (Value::Object(all), Value::Object(root)) =
        (&mut schema, object(Root::properties(), &[]))
    {
        all.extend(root);
    }
    schema
}

fn either(one: Value, other: Value) -> Value {
    json!({ "anyOf": [one, other] })
}

fn read_settings(mut table: Table<'_>) -> Settings {
    let mut settings = Settings::read(&mut table, Which::Given);
    settings.timeout = one_spelling(
        table.document,
        std::mem::take(&mut settings.timeout_ms),
        std::mem::take(&mut settings.timeout),
        "`timeout_ms`",
    );
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

/// Text that [`read_share`] takes for a percentage.
const PERCENT_PATTERN: &str = r"\+?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*%";

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

/// `true`, `false` or `"header"`
fn read_trace(entry: &Entry<'_>) -> Option<TraceMode> {
    if entry.is_text() {
        let is_header = |text: &str| (text == "header").then_some(TraceMode::Header);
        return entry.parse("`true`, `false` or `\"header\"`", is_header);
    }
    entry.truth().map(|is_on| match is_on {
        true => TraceMode::Meta,
        false => TraceMode::Off,
    })
}

fn share_schema() -> Value {
    let percent = Quantity {
        accepted: "",
        pattern: PERCENT_PATTERN,
        examples: &["5%"],
        parse: |_| Some(()),
    };
    let number = json!({ "type": "number", "exclusiveMinimum": 0, "maximum": 1 });
    either(percent.schema(), number)
}

const TOPICS: Own<Vec<Topic>> = Own {
    read: |entry| read_texts(entry, TOPIC_FORM, |text| text.parse()),
    schema: || {
        let pattern = r"^(tools|prompts|resources|uri:.+)$|\$\{";
        one_or_more_texts(json!({ "type": "string", "pattern": pattern }))
    },
};

const CA_FORM: &str = "the path of a file, or a list of such";

/// A text, or a list of them, each made into something; what is wrong with one is told.
fn read_texts<T>(
    entry: &Entry<'_>,
    accepted: &str,
    make: fn(&str) -> Result<T, String>,
) -> Option<Vec<T>> {
    let made: Vec<Option<T>> = entry
        .one_or_more()
        .into_iter()
        .map(|entry| {
            let text = entry.text(accepted)?;
            let made = make(&text.value);
            made.map_err(|fault| entry.refuse::<()>(said(&fault), accepted))
                .ok()
        })
        .collect();
    let made: Vec<T> = made.into_iter().collect::<Option<_>>()?;
    if made.is_empty() {
        return entry.refuse("is empty", accepted);
    }
    Some(made)
}

/// A text, or a list of them, that may not be empty.
fn read_entries(entry: &Entry<'_>, accepted: &str) -> Option<Vec<String>> {
    read_texts(entry, accepted, |text| Ok(text.to_string()))
}

fn texts_schema() -> Value {
    one_or_more_texts(json!({ "type": "string" }))
}

fn one_or_more_texts(text: Value) -> Value {
    let list = json!({ "type": "array", "minItems": 1, "items": text });
    either(text, list)
}

/// `{ token = "$.structuredContent.token" }`
fn read_extract(entry: &Entry<'_>) -> Option<Vec<ExtractEntry>> {
    let table = entry.table("a table such as `{ id = \"$.structuredContent.id\" }`")?;
    let read = |(name, entry): (String, Entry<'_>)| {
        let mut source = SOURCE.read(&entry);
        if !template::is_name(&name) {
            let accepted = "letters, digits, `_` and `-`, no digit first, and no word of the \
                            language of templates such as `now`";
            source = entry.refuse("is not a name for a value", accepted);
        }
        ExtractEntry {
            place: entry.place.clone(),
            name,
            source,
        }
    };
    Some(table.all().into_iter().map(read).collect())
}

/// `{ path = "$.structuredContent.state", equals = "done" }`
fn read_until(entry: &Entry<'_>) -> Option<Until> {
    let mut table = entry.table("a table such as `{ path = \"$.state\", equals = \"done\" }`")?;
    let keys = UntilKeys::read(&mut table, Which::Given);
    for (is_given, key, accepted) in [
        (keys.path.is_given(), "path", SOURCE_FORM),
        (keys.equals.is_given(), "equals", "the value that ends it"),
    ] {
        if !is_given {
            table.lacks(key, accepted);
        }
    }
    table.finish();
    Some(Until {
        source: keys.path.value?,
        equals: keys.equals.value?,
        every: keys.every.value.unwrap_or(UNTIL_EVERY),
        at_most: keys.at_most.value.unwrap_or(UNTIL_AT_MOST),
    })
}

/// `{ contains = "u", max_bytes = 20000 }`, or a list of such tables, where several paths
/// are looked at.
fn read_expect(entry: &Entry<'_>) -> Option<Expectations> {
    let accepted = "a table such as `{ contains = \"ok\" }`, or a list of them";
    let mut all = Expectations::default();
    let tables = entry.one_or_more();
    if tables.is_empty() {
        return entry.refuse("is empty", accepted);
    }
    for entry in tables {
        let mut table = entry.table(accepted)?;
        if table.is_empty() {
            return entry.refuse("is empty", accepted);
        }
        let keys = ExpectKeys::read(&mut table, Which::Given);
        table.finish();
        let is_looked_at =
            keys.contains.is_given() || keys.matches.is_given() || keys.equals.is_given();
        if let (Some(place), false) = (&keys.path.origin, is_looked_at) {
            let accepted = "one of `contains`, `matches`, `equals` beside it";
            entry
                .document
                .report(place, "has nothing to be compared with", accepted);
        }
        let source = keys.path.value;
        let contains = keys.contains.value.into_iter().flatten();
        all.contains
            .extend(contains.map(|value| awaited(&source, value)));
        let matches = keys.matches.value.into_iter().flatten();
        all.matches
            .extend(matches.map(|value| awaited(&source, value)));
        all.equals
            .extend(keys.equals.value.map(|value| awaited(&source, value)));
        let document = entry.document;
        let schema = Field {
            origin: keys.schema.origin,
            value: keys.schema.value.flatten(),
        };
        once(document, &mut all.schema, schema);
        once(document, &mut all.max_bytes, keys.max_bytes);
        once(document, &mut all.code, keys.code);
        once(document, &mut all.status, keys.status);
        all.is_error |= keys.is_error.value.unwrap_or(false);
        if let (true, Some(_)) = (all.is_error, all.code) {
            let message = "awaits a tool's failure and an error of JSON-RPC: an answer has one";
            entry.refuse::<()>(message, "one of `is_error`, `code`");
        }
    }
    Some(all)
}

fn awaited<T>(source: &Option<Source>, value: T) -> Awaited<T> {
    Awaited {
        source: source.clone(),
        value,
    }
}

/// What is asked of the answer as a whole is asked in one of the tables.
fn once<T>(document: &Document<'_>, found: &mut Option<T>, field: Field<T>) {
    if let (Some(place), Some(_)) = (&field.origin, &found) {
        document.report(place, "is given twice", "it in one of the tables");
    }
    *found = found.take().or(field.value);
}

/// `[{ name = "a" }, { name = "b" }]`
fn read_rows(entry: &Entry<'_>) -> Option<Vec<Object>> {
    let accepted = "rows such as `[{ name = \"a\" }, { name = \"b\" }]`";
    if !entry.is_list() {
        return entry.refuse_type(accepted);
    }
    let read = |entry: Entry<'_>| match entry.is_table() {
        true => match entry.json()?.value {
            Value::Object(row) => Some(row),
            _ => None,
        },
        false => entry.refuse_type(accepted),
    };
    let rows: Vec<Option<Object>> = entry.one_or_more().into_iter().map(read).collect();
    let rows: Vec<Object> = rows.into_iter().collect::<Option<_>>()?;
    if rows.is_empty() {
        return entry.refuse("is empty", accepted);
    }
    Some(rows)
}

/// `[data]`: tables of any names.
fn read_data(table: &Table<'_>) -> Vec<DataEntry> {
    let mut entries = Vec::new();
    for (name, entry) in table.all() {
        let accepted = "a table such as `[data.users]`";
        let Some(mut table) = entry.table(accepted) else {
            continue;
        };
        if template::parse(&format!("{{{{data.{name}.x}}}}")).is_err() {
            let accepted = "a name of letters, digits, `_` and `-`";
            let _: Option<()> = entry.refuse("is not a name for a data set", accepted);
        }
        let keys = DataKeys::read(&mut table, Which::Given);
        match (&keys.file.origin, &keys.rows.origin) {
            (None, None) => {
                let accepted = "one of `file = \"users.csv\"`, `rows = [{ name = \"a\" }]`";
                let _: Option<()> = entry.refuse("has no rows", accepted);
            }
            (Some(place), Some(_)) => {
                let message = "does not go with `rows`";
                table.document.report(place, message, "one of the two");
            }
            _ => {}
        }
        let is_sequential = keys.mode.value.unwrap_or_default() == DataMode::Sequential;
        if let (Some(place), false) = (&keys.at_end.origin, is_sequential) {
            let message = "goes with `mode = \"sequential\"`: other modes have no end";
            table.document.report(place, message, None);
        }
        table.finish();
        entries.push(DataEntry {
            place: entry.place.clone(),
            name,
            keys,
        });
    }
    entries
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
    match entry.is_text() {
        true => BYTES.read(entry),
        false => Whole(BYTES_BOUNDS).read(entry),
    }
}

/// `"500ms"` or `{ distribution = "uniform", low = "1s", high = "3s" }`
fn read_think(entry: &Entry<'_>) -> Option<ThinkTime> {
    let accepted = "a duration such as `500ms`, or a table such as \
                    `{ distribution = \"exponential\", mean = \"2s\" }`";
    if !entry.is_table() {
        let constant = entry.parse(accepted, |text| units::parse_duration(text).ok())?;
        return Some(constant_think(constant));
    }
    let mut table = entry.table(accepted)?;
    let accepted = "`uniform`, `exponential` or `lognormal`";
    let kind = table.require("distribution", accepted, |entry| entry.word(THINK_KINDS));
    let think = match kind.value {
        Some(read) => read(&mut table),
        None => {
            // Which keys belong here is not known: only those of no kind are
            // at fault.
            Uniform::read(&mut table, Which::Known(&[]));
            Exponential::read(&mut table, Which::Known(&[]));
            LogNormal::read(&mut table, Which::Known(&[]));
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

type ReadThink = fn(&mut Table<'_>) -> Option<ThinkTime>;

/// The kinds of thinking time that are tables.
const THINK_KINDS: &[(&str, ReadThink)] = &[
    ("uniform", read_uniform),
    ("exponential", read_exponential),
    ("lognormal", read_log_normal),
];

keys! {
    struct Uniform {
        /// The shortest pause.
        low: Duration = LENGTH_OR_ZERO,
        /// The longest pause.
        high: Duration = LENGTH_OR_ZERO,
    }
}

keys! {
    struct Exponential {
        /// The mean of the pauses.
        mean: Duration = LENGTH,
    }
}

keys! {
    struct LogNormal {
        /// Half of the pauses are shorter.
        median: Duration = LENGTH,
        /// How far they spread.
        sigma: f64 = Fraction(0.0..=3.0),
    }
}

fn think_schema() -> Value {
    let keys = [
        Uniform::properties(),
        Exponential::properties(),
        LogNormal::properties(),
    ];
    let tables = THINK_KINDS.iter().zip(keys).map(|((kind, _), keys)| {
        let required: Vec<&str> = keys.iter().map(|property| property.key).collect();
        let mut table = object(keys, &[&["distribution"], &required[..]].concat());
        table["properties"]["distribution"] = json!({ "const": kind });
        table
    });
    let mut schema = json!({ "anyOf": [LENGTH_OR_ZERO.schema()] });
    if let Value::Array(kinds) = &mut schema["anyOf"] {
        kinds.extend(tables);
    }
    schema
}

fn read_uniform(table: &mut Table<'_>) -> Option<ThinkTime> {
    let keys = Uniform::read(table, Which::Required);
    let (low, place, high) = (keys.low.value?, keys.high.origin?, keys.high.value?);
    if high < low {
        let accepted = "a duration not below `low`";
        table.document.report(&place, "is below `low`", accepted);
        return None;
    }
    Some(ThinkTime::Uniform { low, high })
}

fn read_exponential(table: &mut Table<'_>) -> Option<ThinkTime> {
    let mean = Exponential::read(table, Which::Required).mean.value?;
    Some(ThinkTime::Exponential { mean })
}

fn read_log_normal(table: &mut Table<'_>) -> Option<ThinkTime> {
    let keys = LogNormal::read(table, Which::Required);
    Some(ThinkTime::LogNormal {
        median: keys.median.value?,
        sigma: keys.sigma.value?,
    })
}

/// `{ iterations = 10 }`, `{ lifetime = "30s", leave = { abandon = 0.2 } }`
fn read_session(entry: &Entry<'_>) -> Option<SessionRule> {
    let accepted = "a table such as `{ iterations = 10 }` or `{ lifetime = \"30s\" }`";
    let mut table = entry.table(accepted)?;
    let keys = SessionKeys::read(&mut table, Which::Given);
    table.finish();
    if !(keys.iterations.is_given() || keys.lifetime.is_given() || keys.leave.is_given()) {
        return entry.refuse("is empty", accepted);
    }
    Some(SessionRule {
        iterations: keys.iterations.value,
        lifetime: keys.lifetime.value,
        abandon: keys.leave.value.unwrap_or(0.0),
    })
}

keys! {
    struct SessionKeys {
        /// After this many iterations.
        iterations: u64 = Whole(1..=u64::MAX),
        /// After this time.
        lifetime: Duration = LENGTH,
        /// How it is left: with a DELETE, without (`abandon`), or some of them without
        /// (`{ abandon = 0.2 }`).
        leave: f64 = Own { read: read_leave, schema: leave_schema },
    }
}

keys! {
    struct LeaveKeys {
        /// The share of sessions that are left without a DELETE.
        abandon: f64 = Fraction(0.0..=1.0),
    }
}

/// All or none of the sessions.
const LEAVE: Words<f64> = Words(&[("delete", 0.0), ("abandon", 1.0)]);

fn session_schema() -> Value {
    let mut schema = object(SessionKeys::properties(), &[]);
    schema["minProperties"] = json!(1);
    schema
}

fn leave_schema() -> Value {
    either(
        LEAVE.schema(),
        object(LeaveKeys::properties(), &["abandon"]),
    )
}

/// The share of sessions left without a DELETE.
fn read_leave(entry: &Entry<'_>) -> Option<f64> {
    if entry.is_text() {
        return LEAVE.read(entry);
    }
    let mut table = entry.table("`\"delete\"`, `\"abandon\"` or `{ abandon = 0.2 }`")?;
    let keys = LeaveKeys::read(&mut table, Which::Required);
    table.finish();
    keys.abandon.value
}

/// `[headers]`
#[derive(Default)]
pub(super) struct Headers {
    pub(super) right: Vec<Header>,
    /// Of all, those at fault too.
    pub(super) names: Vec<String>,
    pub(super) uses: Vec<Use>,
}

fn read_headers(table: &Table<'_>) -> Headers {
    let mut headers = Headers::default();
    let mut names = HashSet::new();
    for (name, entry) in table.all() {
        headers.names.push(name.clone());
        let Some(text) = entry.template("text such as `\"Bearer ${API_KEY}\"`") else {
            continue;
        };
        let header = check_header(&name, &text.value).and_then(|header| {
            match names.insert(header.name.to_ascii_lowercase()) {
                true => Ok(header),
                false => Err("is given twice: letters of either case make the same header"),
            }
        });
        match header {
            Ok(header) => headers.right.push(header),
            Err(message) => table.document.report(&entry.place, message, None),
        }
    }
    headers.uses = table.document.take_uses();
    headers
}

/// Whether a header of that name is among them.
pub(super) fn is_there(headers: &[Header], header: &Header) -> bool {
    headers
        .iter()
        .any(|other| other.name.eq_ignore_ascii_case(&header.name))
}

/// Where a step or a call is written, and so which keys it has whatever its type.
#[derive(Clone, Copy, PartialEq, Eq)]
enum StepLevel {
    /// `[[scenario]]`: a flow of one step.
    Scenario,
    /// `[[flow.step]]`
    Step,
    /// `[[flow.step.call]]`
    Call,
}

impl StepLevel {
    /// Those of a type that is one call.
    fn keys(self) -> &'static [&'static str] {
        match self {
            StepLevel::Scenario => &[
                "weight", "name", "repeat", "until", "think", "parallel", "extract", "secret",
                "expect",
            ],
            StepLevel::Step => &[
                "name", "once", "repeat", "until", "think", "parallel", "extract", "secret",
                "expect",
            ],
            StepLevel::Call => &["name", "extract", "secret", "expect"],
        }
    }

    /// All keys of an entry of this type.
    fn keys_of(self, kind: &StepType) -> Vec<&'static str> {
        let common = self.keys().iter().copied();
        let is_of_all = |key: &&str| match kind.method {
            StepMethod::CodeMode => ["weight", "name", "once", "repeat", "think"].contains(key),
            _ => true,
        };
        let common = common.filter(is_of_all);
        common.chain(kind.keys.iter().copied()).collect()
    }

    /// The types that it may have.
    fn kinds(self) -> Vec<(&'static str, StepType)> {
        let kinds = STEP_KINDS.iter().copied();
        let is_of_level = |(_, kind): &(_, StepType)| {
            self != StepLevel::Call || kind.method != StepMethod::CodeMode
        };
        kinds.filter(is_of_level).collect()
    }
}

/// What a type of step is, and which keys go with it beside those of its level.
#[derive(Clone, Copy)]
struct StepType {
    method: StepMethod,
    /// What is called: the key has to be there.
    subject: Option<&'static str>,
    /// Those that go with it.
    keys: &'static [&'static str],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum StepMethod {
    Of(Method),
    /// Two calls, and a value that goes from one to the other.
    CodeMode,
    /// Whatever the user names.
    Any,
}

impl FlowEntry {
    /// Its calls, of all steps.
    pub(super) fn calls(&self) -> impl Iterator<Item = &CallEntry> {
        self.steps.iter().flat_map(|step| &step.calls)
    }
}

impl StepType {
    const fn list(method: Method) -> Self {
        Self {
            method: StepMethod::Of(method),
            subject: None,
            keys: &[],
        }
    }
}

/// What an entry of the scenario, a step or a call may be.
const STEP_KINDS: &[(&str, StepType)] = &[
    (
        "tools/call",
        StepType {
            method: StepMethod::Of(Method::CallTool),
            subject: Some("tool"),
            keys: &[
                "tool",
                "arguments",
                "generate",
                "progress",
                "isolation",
                "task",
            ],
        },
    ),
    (
        "resources/read",
        StepType {
            method: StepMethod::Of(Method::ReadResource),
            subject: Some("uri"),
            keys: &["uri", "progress"],
        },
    ),
    (
        "prompts/get",
        StepType {
            method: StepMethod::Of(Method::GetPrompt),
            subject: Some("prompt"),
            keys: &["prompt", "arguments", "progress", "isolation"],
        },
    ),
    (
        "code_mode",
        StepType {
            method: StepMethod::CodeMode,
            subject: Some("code"),
            keys: &["code", "format"],
        },
    ),
    ("tools/list", StepType::list(Method::ListTools)),
    ("resources/list", StepType::list(Method::ListResources)),
    (
        "resources/templates/list",
        StepType::list(Method::ListResourceTemplates),
    ),
    ("prompts/list", StepType::list(Method::ListPrompts)),
    ("ping", StepType::list(Method::Ping)),
    (
        "request",
        StepType {
            method: StepMethod::Any,
            subject: Some("method"),
            keys: &["method", "params", "name_header", "isolation"],
        },
    ),
];

/// The schema of an entry of the scenario, a step or a call.
fn step_schema(level: StepLevel) -> Value {
    let kinds = level.kinds();
    let of_any: HashSet<&str> = kinds
        .iter()
        .flat_map(|(_, kind)| level.keys_of(kind))
        .collect();
    let mut properties = StepKeys::properties();
    properties.retain(|property| of_any.contains(property.key));
    let keys: Vec<&str> = properties.iter().map(|property| property.key).collect();
    if level == StepLevel::Step {
        properties.extend(GroupKeys::properties());
    }
    let mut schema = object(properties, &[]);
    let mut of_type = words(kinds.iter().map(|(word, _)| *word));
    of_type["description"] = json!("What is called.");
    schema["properties"]["type"] = of_type;
    let mut rules = Vec::new();
    let without = |keys: &mut dyn Iterator<Item = &&str>| {
        let none: Object = keys.map(|key| (key.to_string(), json!(false))).collect();
        json!({ "properties": none })
    };
    for (word, kind) in &kinds {
        let own = level.keys_of(kind);
        let mut then = without(&mut keys.iter().filter(|key| !own.contains(key)));
        if kind.method == StepMethod::Of(Method::GetPrompt) {
            then["properties"]["arguments"] =
                json!({ "additionalProperties": { "type": "string" } });
        }
        if let Some(subject) = kind.subject {
            then["required"] = json!([subject]);
        }
        let of_word = json!({ "properties": { "type": { "const": word } }, "required": ["type"] });
        rules.push(json!({ "if": of_word, "then": then }));
    }
    match level {
        StepLevel::Step => {
            schema["oneOf"] = json!([{ "required": ["type"] }, { "required": ["call"] }]);
            let others = &mut keys.iter().filter(|key| !GROUP_KEYS.contains(key));
            rules.push(json!({ "if": { "required": ["call"] }, "then": without(others) }));
        }
        StepLevel::Scenario | StepLevel::Call => schema["required"] = json!(["type"]),
    }
    schema["allOf"] = json!(rules);
    schema
}

/// The keys of a step whose calls have tables of their own, beside `call`.
const GROUP_KEYS: &[&str] = &["name", "once", "repeat", "think"];

keys! {
    /// The one key that only such a step has.
    struct GroupKeys {
        /// Different calls at once, each on its own connection, in place of one call.
        call: Vec<CallEntry> = Own {
            read: |entry| {
                let accepted = "entries that begin with `[[flow.step.call]]`";
                entry.tables(accepted, |table| {
                    let (_, call) = read_call(table, StepLevel::Call);
                    call
                })
            },
            schema: || json!({
                "type": "array", "minItems": 1, "maxItems": PARALLEL_MAX,
                "items": step_schema(StepLevel::Call),
            }),
        },
    }
}

fn stage_schema() -> Value {
    let mut schema = object(StageKeys::properties(), &[]);
    schema["anyOf"] = json!([{ "required": ["duration"] }, { "required": ["duration_secs"] }]);
    schema
}

/// An entry of `[[scenario]]`.
fn read_entry(table: Table<'_>) -> FlowEntry {
    let place = table.place.clone();
    let (mut keys, call) = read_call(table, StepLevel::Scenario);
    let weight = std::mem::take(&mut keys.weight);
    FlowEntry {
        name: Field::default(),
        weight: weight.value.unwrap_or(WEIGHT),
        on_error: OnError::default(),
        steps: vec![step_of(place.clone(), keys, vec![call])],
        place,
    }
}

/// An entry of `[[flow]]`.
fn read_flow(mut table: Table<'_>) -> FlowEntry {
    let place = table.place.clone();
    let keys = FlowKeys::read(&mut table, Which::Given);
    for (is_given, key, accepted) in [
        (keys.name.is_given(), "name", FLOW_NAME.0),
        (keys.step.is_given(), "step", FLOW_STEPS),
    ] {
        if !is_given {
            table.lacks(key, accepted);
        }
    }
    if let (Some(at), Some([])) = (&keys.step.origin, keys.step.value.as_deref()) {
        table.document.report(at, "is empty", FLOW_STEPS);
    }
    table.finish();
    let steps = keys.step.value.unwrap_or_default();
    FlowEntry {
        place,
        name: keys.name,
        weight: keys.weight.value.unwrap_or(WEIGHT),
        on_error: keys.on_error.value.unwrap_or_default(),
        steps,
    }
}

/// An entry of `[[flow.step]]`: one call, or several at once.
fn read_step(mut table: Table<'_>) -> StepEntry {
    let Some(calls) = table.take("call") else {
        let (keys, call) = read_call(table, StepLevel::Step);
        return step_of(call.place.clone(), keys, vec![call]);
    };
    let keys = StepKeys::read(&mut table, Which::Of(GROUP_KEYS));
    let calls_of_step = GroupKeys::read(&mut table, Which::Given).call;
    if let Some(of_type) = table.take("type") {
        let accepted = "one of the two";
        let _: Option<()> = of_type.refuse("does not go with `call`", accepted);
    }
    let place = table.place.clone();
    table.finish();
    let n_calls = calls_of_step.value.as_ref().map(Vec::len);
    if n_calls.is_some_and(|n_calls| !(1..=PARALLEL_MAX as usize).contains(&n_calls)) {
        let accepted = format!("from 1 to {PARALLEL_MAX} calls at once");
        let message = match n_calls {
            Some(0) => "is empty",
            _ => "has too many entries",
        };
        let _: Option<()> = calls.refuse(message, &*accepted);
    }
    step_of(place, keys, calls_of_step.value.unwrap_or_default())
}

fn step_of(place: Origin, keys: StepKeys, calls: Vec<CallEntry>) -> StepEntry {
    StepEntry {
        place,
        name: keys.name,
        once: keys.once,
        repeat: keys.repeat.value.unwrap_or(1),
        until: keys.until,
        think: keys.think.value,
        parallel: keys.parallel,
        calls,
    }
}

/// One call, and the keys that belong to its step.
fn read_call(mut table: Table<'_>, level: StepLevel) -> (StepKeys, CallEntry) {
    let accepted = match level {
        StepLevel::Step => {
            "a method such as `tools/call` or `resources/read`, or entries that begin with \
             `[[flow.step.call]]`"
        }
        _ => "a method such as `tools/call` or `resources/read`",
    };
    let kinds = level.kinds();
    let kind = table.require("type", accepted, |entry| entry.word(&kinds));
    let own = kind.value.map(|kind| level.keys_of(&kind));
    let which = match &own {
        Some(keys) => Which::Of(keys),
        None => Which::Known(level.keys()),
    };
    let mut keys = StepKeys::read(&mut table, which);
    let given = keys.arguments.origin.clone();
    let action = kind.value.and_then(|kind| {
        let subject = match kind.subject {
            Some("tool") => Some((&keys.tool, TOOL.0)),
            Some("prompt") => Some((&keys.prompt, PROMPT.0)),
            Some("uri") => Some((&keys.uri, URI.0)),
            Some("method") => Some((&keys.method, METHOD.accepted)),
            Some(_) => Some((&keys.code, CODE.0)),
            None => None,
        };
        let missing = subject.filter(|(field, _)| !field.is_given());
        if let (Some(key), Some((_, accepted))) = (kind.subject, missing) {
            table.lacks(key, accepted);
        }
        let subject = subject.and_then(|(field, _)| field.value.clone());
        match kind.method {
            StepMethod::Of(method) => {
                let arguments = std::mem::take(&mut keys.arguments);
                let operation = read_operation(&mut table, method, subject, arguments);
                operation.map(|call| call.map(Action::Call))
            }
            StepMethod::CodeMode => code_mode(subject, std::mem::take(&mut keys.format)),
            StepMethod::Any => any_request(&mut table, subject, &mut keys),
        }
    });
    let isolation = std::mem::take(&mut keys.isolation);
    let marked = isolation.value.clone().flatten();
    let action = match (action, &isolation.origin, &marked) {
        (Some(action), Some(place), Some(marked)) => put_marker(&table, action, place, marked),
        (action, ..) => action,
    };
    let place = table.place.clone();
    let uses = table.document.take_uses();
    table.finish();
    let subjects = [&keys.tool, &keys.prompt, &keys.uri, &keys.method];
    let subject = subjects.into_iter().find_map(|it| it.origin.clone());
    let is_written = uses.iter().any(|(_, it)| *it == Expression::Marker);
    let call = CallEntry {
        place,
        name: match level {
            StepLevel::Call => std::mem::take(&mut keys.name),
            _ => Field::default(),
        },
        tool: std::mem::take(&mut keys.tool).value.map(|tool| tool.value),
        action,
        subject,
        arguments: given,
        marked: isolation.origin,
        generate: keys.generate.value.unwrap_or(false),
        isolation: marked.or(is_written.then_some(MarkedPlace::AsWritten)),
        progress: keys.progress.value.unwrap_or(false),
        task: std::mem::take(&mut keys.task),
        extract: std::mem::take(&mut keys.extract),
        secret: std::mem::take(&mut keys.secret),
        expect: std::mem::take(&mut keys.expect).value.unwrap_or_default(),
        uses,
    };
    (keys, call)
}

/// The action with a marker in the argument that is named; `None`: there can be none.
fn put_marker(
    table: &Table<'_>,
    mut action: Shown<Action>,
    place: &Origin,
    marked: &MarkedPlace,
) -> Option<Shown<Action>> {
    let (is_request, arguments) = match &mut action.value {
        Action::Call(Operation::Request { params, .. }) => (true, params),
        Action::Call(
            Operation::CallTool { arguments, .. } | Operation::GetPrompt { arguments, .. },
        ) => (false, arguments),
        Action::Call(_) | Action::CodeMode { .. } => return Some(action),
    };
    let fault = match marked {
        MarkedPlace::Path(names) => match with_marker(arguments.as_ref(), names) {
            Some(made) => {
                *arguments = Some(made);
                return Some(action);
            }
            None => "leads to a value that is not text",
        },
        // No list tells what the request takes.
        MarkedPlace::First if is_request => "names none of the `params`",
        MarkedPlace::First | MarkedPlace::AsWritten => return Some(action),
    };
    let accepted = "the name of an argument that is a text, or that is not given";
    table.document.report(place, fault, accepted);
    None
}

/// `type = "request"`
fn any_request(
    table: &mut Table<'_>,
    method: Option<Shown<String>>,
    keys: &mut StepKeys,
) -> Option<Shown<Action>> {
    let params = call_arguments(table, "params", std::mem::take(&mut keys.params), false)?;
    let has_no_object = |params: &Arguments| {
        let meta = params.values().get("_meta");
        meta.is_some_and(|meta| !meta.is_object())
    };
    if params.value.as_ref().is_some_and(has_no_object) {
        let entry = table.take("params")?;
        return entry.refuse(
            "has a `_meta` that is not a table",
            "a table, or no `_meta`",
        );
    }
    let name_header = std::mem::take(&mut keys.name_header);
    let path = match name_header.is_given() {
        true => Some(name_header.value?),
        false => None,
    };
    let method = method?;
    let request = method
        .zip(params)
        .map(|(method, params)| Operation::Request {
            method,
            params,
            name_header: path.clone(),
        });
    if let (Some(place), None) = (&name_header.origin, request.value.subject()) {
        let accepted = "the path of a text in `params`, such as `params.name`";
        table.document.report(place, "leads to no text", accepted);
        return None;
    }
    Some(request.map(Action::Call))
}

fn read_operation(
    table: &mut Table<'_>,
    method: Method,
    subject: Option<Shown<String>>,
    arguments: Field<Shown<Object>>,
) -> Option<Shown<Operation>> {
    Some(match method {
        Method::CallTool => {
            let arguments = call_arguments(table, "arguments", arguments, false)?;
            let call = subject?.zip(arguments);
            call.map(|(name, arguments)| Operation::CallTool { name, arguments })
        }
        Method::GetPrompt => {
            let arguments = call_arguments(table, "arguments", arguments, true)?;
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

fn code_mode(code: Option<Shown<String>>, format: Field<Shown<String>>) -> Option<Shown<Action>> {
    let format = match format.is_given() {
        true => format.value?,
        false => CODE_FORMAT.to_string().into(),
    };
    let run = code?.zip(format);
    Some(run.map(|(code, format)| Action::CodeMode { code, format }))
}

/// `None`: at fault.
fn call_arguments(
    table: &mut Table<'_>,
    key: &'static str,
    arguments: Field<Shown<Object>>,
    are_texts_only: bool,
) -> Option<Shown<Option<Arguments>>> {
    if !arguments.is_given() {
        return Some(None.into());
    }
    let mut fields = arguments.value?;
    let written = table.take(key).filter(|_| are_texts_only);
    if written.is_some_and(|entry| !check_prompt_arguments(&entry)) {
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
    let keys = StageKeys::read(&mut table, Which::Given);
    if !(keys.duration_secs.is_given() || keys.duration.is_given()) {
        let accepted = "a key such as `duration = \"30s\"`";
        let keys = ["duration", "duration_secs"];
        table.lacks_all(&keys, "the stage has no duration", accepted);
    }
    let entry = StageEntry {
        place: table.place.clone(),
        target_vus: keys.target_vus,
        target_rate: keys.target_rate,
        duration: one_spelling(
            table.document,
            keys.duration_secs,
            keys.duration,
            "`duration_secs`",
        ),
    };
    table.finish();
    entry
}

fn read_population(mut table: Table<'_>) -> PopulationEntry {
    let place = table.place.clone();
    let keys = PopulationKeys::read(&mut table, Which::Given);
    if !keys.name.is_given() {
        table.lacks("name", POPULATION_NAME.0);
    }
    table.finish();
    PopulationEntry { place, keys }
}

fn read_threshold(mut table: Table<'_>) -> ThresholdEntry {
    let entry = ThresholdEntry::read(&mut table, Which::Given);
    if !entry.assert.is_given() {
        let accepted = "a key such as `assert = \"p99<500ms\"`";
        table.lacks("assert", accepted);
    }
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
    let arrivals = ArrivalsEntry::read(&mut table, Which::Given);
    table.finish();
    arrivals
}

#[cfg(test)]
#[path = "raw_tests.rs"]
mod tests;
