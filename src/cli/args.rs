//! What can be typed. The doc comments are the help.
//!
//! This is the one list of flags: hints, the splitting of `--name=value` and the
//! tests read it back from the parser ([`flags`]). The parser cannot include one
//! struct in another, so `command!` writes the flags that commands share into
//! each of them.

use std::path::Path;
use std::time::Duration;

use argh::{ArgsInfo, FlagInfoKind, FromArgs};

use super::oauth;
use super::options::{self, GivenArguments, LevelText};
use super::outputs::OutputWish;
use super::secrets::{bearer, header_of_environment};
use crate::clock::Utc;
use crate::decide::compare::Tolerance;
use crate::error::{ACCEPTED, UserError, choice, nearest};
use crate::files::is_stdin;
use crate::load::{Segment, VuStage};
use crate::network::{AddressUse, ConnectionUse};
use crate::outcome::LoadUnit;
use crate::protocol::{Arguments, ProtocolChoice, Topic, TraceMode};
use crate::report::{FormatChoice, LiveChoice, OperationOrder};
use crate::scenario::{
    Header, HistogramMode, NetworkFlags, OAuthWish, Overrides, TlsFlags, parse_stages,
};
use crate::servers::demo::{AnswerForm, Capacity, DemoLatency, Eras, FaultShares};
use crate::sink::SinkWish;
use crate::terminal::{ColorChoice, Terminal};
use crate::units::{parse_duration, parse_rate};

/// Declares a command: its name as a type, then its flags in the order of the
/// help, its own in braces, those it shares with others by the name of their group.
macro_rules! command {
    ($(#[$($attribute:tt)*])* $name:ident: $($parts:tt)*) => {
        command!(@ [$(#[$($attribute)*])*] $name [] $($parts)*);
    };

    // What is run, and against what.
    (@ $head:tt $name:ident [$($fields:tt)*] what $($rest:tt)*) => {
        command!(@ $head $name [$($fields)*
            /// the server, such as http://127.0.0.1:8080/mcp; takes the place of the
            /// config's
            #[argh(positional)]
            pub(super) url: Option<String>,
            /// use the embedded demo server
            #[argh(switch)]
            pub(super) demo: bool,
            /// config file, - is the standard input; without it .pmcp/loadtest.toml here or
            /// above
            #[argh(option, arg_name = "file")]
            pub(super) config: Option<String>,
            /// call this tool and nothing else: as the config's scenario does, or
            /// with a sample of its schema
            #[argh(option, arg_name = "name")]
            pub(super) tool: Option<String>,
            /// the tool's arguments, in place of the config's: a JSON object, or @file
            #[argh(option, arg_name = "json", from_str_fn(options::arguments))]
            pub(super) args: Option<GivenArguments>,
            /// let tools answer with a task, which is asked for until it has ended; MCP
            /// 2026-07-28
            #[argh(switch)]
            pub(super) task: bool,
            /// the longest that such a task may take; 5m unless given
            #[argh(option, arg_name = "time", from_str_fn(parse_duration))]
            pub(super) task_timeout: Option<Duration>,
            /// test this population of the config and no other, with its part of the load;
            /// a load on the command line is for it alone
            #[argh(option, arg_name = "name")]
            pub(super) population: Option<String>,
        ] $($rest)*);
    };

    // How to speak to the server.
    (@ $head:tt $name:ident [$($fields:tt)*] server $($rest:tt)*) => {
        command!(@ $head $name [$($fields)*
            /// legacy (sessions), modern (stateless), a revision such as 2025-11-25, or
            /// auto, which asks the server and is the default
            #[argh(option, arg_name = "which")]
            pub(super) protocol: Option<ProtocolChoice>,
            /// keep the cookies that the server sets, each user its own, as clients on
            /// Python's httpx do and those on Node's fetch do not
            #[argh(switch)]
            pub(super) cookies: bool,
            /// wait as long as the Retry-After of a 429 or a 503 asks to, in the handshake
            /// too
            #[argh(switch)]
            pub(super) respect_retry_after: bool,
            /// header sent with every request, such as 'X-Team: blue'; may be given
            /// several times
            #[argh(option, short = 'H', long = "header", arg_name = "header", from_str_fn(options::header))]
            pub(super) headers: Vec<Header>,
            /// sent as a bearer token; better put it into the environment as MCP_API_KEY,
            /// where other users do not see it
            #[argh(option, arg_name = "key")]
            pub(super) api_key: Option<String>,
            /// a command line for the shell that prints the token of each request, alone
            /// or as JSON with its expiry; run again before the token ends
            #[argh(option, arg_name = "line")]
            pub(super) token_command: Option<String>,
            /// a file that holds the token of each request; read again and again
            #[argh(option, arg_name = "file")]
            pub(super) token_file: Option<String>,
        ] $($rest)*);
    };

    // How the server is reached.
    (@ $head:tt $name:ident [$($fields:tt)*] network $($rest:tt)*) => {
        command!(@ $head $name [$($fields)*
            /// the longest that it may take to open a connection, TLS and proxies included;
            /// the timeout unless given
            #[argh(option, arg_name = "time", from_str_fn(parse_duration))]
            pub(super) connect_timeout: Option<Duration>,
            /// HTTP proxy such as `proxy.example:3128`, perhaps with `name:password@`,
            /// in place of those that HTTP_PROXY, HTTPS_PROXY and ALL_PROXY name; for
            /// servers on this machine too
            #[argh(option, arg_name = "url")]
            pub(super) proxy: Option<String>,
            /// what is reached without a proxy, in place of NO_PROXY, such as
            /// '.example.com, 10.0.0.0/8, host:8080', or '*' for all
            #[argh(option, arg_name = "hosts")]
            pub(super) no_proxy: Option<String>,
            /// the address of a name, such as mcp.example:443:10.0.0.7; several addresses
            /// with commas between; may be given several times
            #[argh(option, arg_name = "rule")]
            pub(super) resolve: Vec<String>,
            /// address of this host that connections come from; may be given several
            /// times: connections take them in turn
            #[argh(option, arg_name = "address")]
            pub(super) bind: Vec<String>,
        ] $($rest)*);
    };

    // How the connections of a load are used; a login has none.
    (@ $head:tt $name:ident [$($fields:tt)*] connections $($rest:tt)*) => {
        command!(@ $head $name [$($fields)*
            /// of several addresses of the server, connections take the next one, in-turn,
            /// which is the default, or each user keeps to one: pinned
            #[argh(option, arg_name = "how", from_str_fn(options::addresses))]
            pub(super) addresses: Option<AddressUse>,
            /// open a connection for each request
            #[argh(switch)]
            pub(super) no_keepalive: bool,
            /// use a connection for one session, per-session, which is the default, keep it
            /// across sessions: keep, or close it after each answer without a word to the
            /// server: per-call
            #[argh(option, arg_name = "how", from_str_fn(options::connection))]
            pub(super) connection: Option<ConnectionUse>,
            /// header of answers that names who served them, such as x-served-by: the report
            /// counts calls by its values
            #[argh(option, arg_name = "name", from_str_fn(options::backend_header))]
            pub(super) backend_header: Option<String>,
        ] $($rest)*);
    };

    // Whose tokens are sent. The names are those of cargo-pmcp, where it has them.
    (@ $head:tt $name:ident [$($fields:tt)*] oauth $($rest:tt)*) => {
        command!(@ $head $name [$($fields)*
            /// the client that is registered with the issuer; also MCP_OAUTH_CLIENT_ID
            #[argh(option, arg_name = "id")]
            pub(super) oauth_client_id: Option<String>,
            /// the issuer of tokens, where the server names several; also
            /// MCP_OAUTH_ISSUER
            #[argh(option, arg_name = "url")]
            pub(super) oauth_issuer: Option<String>,
            /// scopes that are asked for, separated by commas, in place of those that the
            /// server wants; also MCP_OAUTH_SCOPES
            #[argh(option, arg_name = "scope,..")]
            pub(super) oauth_scopes: Option<String>,
            /// the port of this host that the browser comes back to; 8080 unless given;
            /// also MCP_OAUTH_REDIRECT_PORT
            #[argh(option, arg_name = "n", from_str_fn(options::port))]
            pub(super) oauth_redirect_port: Option<u16>,
            /// the client's own secret: the client gets its tokens for itself, as in a CI
            /// job; better put it into the environment as MCP_OAUTH_CLIENT_SECRET
            #[argh(option, arg_name = "secret")]
            pub(super) oauth_client_secret: Option<String>,
            /// the same with a private key, in PEM; also MCP_OAUTH_PRIVATE_KEY
            #[argh(option, arg_name = "file")]
            pub(super) oauth_private_key: Option<String>,
            /// neither read nor write the tokens that cargo-pmcp and `login` keep
            #[argh(switch)]
            pub(super) oauth_no_cache: bool,
            /// same as --oauth-no-cache
            #[argh(switch)]
            pub(super) no_stored_token: bool,
        ] $($rest)*);
    };

    // How TLS is spoken.
    (@ $head:tt $name:ident [$($fields:tt)*] tls $($rest:tt)*) => {
        command!(@ $head $name [$($fields)*
            /// file with the certificate of an authority that is trusted beside the
            /// platform's; may be given several times
            #[argh(option, arg_name = "file")]
            pub(super) ca: Vec<String>,
            /// file with this client's certificate, and those between it and its authority
            #[argh(option, arg_name = "file")]
            pub(super) client_cert: Option<String>,
            /// file with the private key of the client's certificate, where that file
            /// has none
            #[argh(option, arg_name = "file")]
            pub(super) client_key: Option<String>,
            /// name that the server's certificate must have, in place of the URL's host
            #[argh(option, arg_name = "name")]
            pub(super) server_name: Option<String>,
            /// check no certificate: whoever answers is believed
            #[argh(switch)]
            pub(super) insecure: bool,
        ] $($rest)*);
    };

    // What makes the load.
    (@ $head:tt $name:ident [$($fields:tt)*] engine $($rest:tt)*) => {
        command!(@ $head $name [$($fields)*
            /// pause of each user between iterations
            #[argh(option, arg_name = "time", from_str_fn(parse_duration))]
            pub(super) think: Option<Duration>,
            /// the longest that one request may take; 5s unless given
            #[argh(option, arg_name = "time", from_str_fn(parse_duration))]
            pub(super) timeout: Option<Duration>,
            /// the seed of a run whose choices and generated data are to be repeated;
            /// every report names its own
            #[argh(option, arg_name = "n", from_str_fn(options::seed))]
            pub(super) seed: Option<u64>,
            /// worker threads; the usable CPUs unless given, less one where there are
            /// more than two
            #[argh(option, arg_name = "n", from_str_fn(options::workers))]
            pub(super) workers: Option<usize>,
            /// do not pin workers to CPUs
            #[argh(switch)]
            pub(super) no_pin: bool,
            /// do not hold the steps against what the server lists before any load
            #[argh(switch)]
            pub(super) no_preflight: bool,
            /// hold no GET stream; otherwise each session holds one where the server offers
            /// it, on a connection of its own, as clients on SDKs do
            #[argh(switch)]
            pub(super) no_listen: bool,
            /// what each user of a modern server subscribes to: tools, prompts, resources,
            /// uri:URI, or several with commas between
            #[argh(option, arg_name = "topics", from_str_fn(options::topics))]
            pub(super) subscribe: Option<Vec<Topic>>,
            /// measure of each call how its answer comes: the time to its first byte, and to
            /// the events of an event stream
            #[argh(switch)]
            pub(super) streams: bool,
            /// give each call a trace of its own (W3C Trace Context), in the `_meta` of its
            /// request; the slowest calls and the evidence of failures name theirs
            #[argh(switch)]
            pub(super) trace: bool,
            /// spin rather than sleep while waiting, on a host that does nothing else
            #[argh(switch)]
            pub(super) busy_poll: bool,
            /// what `calibrate` wrote: the verdict then knows what this host can do
            #[argh(option, arg_name = "file")]
            pub(super) calibration: Option<String>,
            /// end with exit code 4 where the verdict is that the result is invalid: the
            /// generator, not the server, was the limit
            #[argh(switch)]
            pub(super) strict: bool,
        ] $($rest)*);
    };

    // Limits on latency and errors.
    (@ $head:tt $name:ident [$($fields:tt)*] limits $($rest:tt)*) => {
        command!(@ $head $name [$($fields)*
            /// limit on the median latency, such as 50ms; a number alone is seconds
            #[argh(option, long = "max-p50", arg_name = "time", from_str_fn(parse_duration))]
            pub(super) max_p50: Option<Duration>,
            /// limit on the 95th percentile
            #[argh(option, long = "max-p95", arg_name = "time", from_str_fn(parse_duration))]
            pub(super) max_p95: Option<Duration>,
            /// limit on the 99th percentile
            #[argh(option, long = "max-p99", arg_name = "time", from_str_fn(parse_duration))]
            pub(super) max_p99: Option<Duration>,
            /// limit on the share of failed requests, such as 0.5%; a search has 1%
            /// unless given
            #[argh(option, arg_name = "share", from_str_fn(options::error_share))]
            pub(super) max_errors: Option<f64>,
        ] $($rest)*);
    };

    // What is written.
    (@ $head:tt $name:ident [$($fields:tt)*] report $($rest:tt)*) => {
        command!(@ $head $name [$($fields)*
            /// JSON report; a new file in .pmcp/reports unless given, - is stdout
            #[argh(option, short = 'o', arg_name = "file")]
            pub(super) report: Option<String>,
            /// write no JSON report
            #[argh(switch)]
            pub(super) no_report: bool,
            /// nothing on stderr but errors; with --report - the JSON report alone
            #[argh(switch)]
            pub(super) quiet: bool,
            /// how the load is shown on stderr while it goes on: panel, the default, for a
            /// run where the terminal has 60 columns and 15 rows, else a line; line; or off
            #[argh(option, arg_name = "how", default = "LiveChoice::default()")]
            pub(super) live: LiveChoice,
        ] $($rest)*);
    };

    // What else is written, for a CI job.
    (@ $head:tt $name:ident [$($fields:tt)*] forms $($rest:tt)*) => {
        command!(@ $head $name [$($fields)*
            /// figures for other programs while it runs: ndjson=FILE, a line for each second
            /// and operation; prometheus=FILE or openmetrics=FILE, a text file written anew
            /// each second; otlp=URL, a collector, with the headers of
            /// OTEL_EXPORTER_OTLP_HEADERS; may be given several times
            #[argh(option, long = "out", arg_name = "form=place")]
            pub(super) outs: Vec<SinkWish>,
            /// JUnit XML too, as CI systems show it: each threshold is a test case; - is
            /// stdout
            #[argh(option, arg_name = "file")]
            pub(super) junit: Option<String>,
            /// a form for a pull request's comment or a wiki too, in Markdown; - is stdout
            #[argh(option, arg_name = "file")]
            pub(super) markdown: Option<String>,
            /// a picture too, for a pull request or a wiki: latency and rate over time, and
            /// the distribution; - is stdout
            #[argh(option, arg_name = "file")]
            pub(super) svg: Option<String>,
            /// for GitHub Actions: annotations, and the summary of the step; on where
            /// GITHUB_STEP_SUMMARY is set
            #[argh(switch)]
            pub(super) github: bool,
            /// nothing for GitHub Actions
            #[argh(switch)]
            pub(super) no_github: bool,
        ] $($rest)*);
    };

    (@ $head:tt $name:ident [$($fields:tt)*] { $($own:tt)* } $($rest:tt)*) => {
        command!(@ $head $name [$($fields)* $($own)*] $($rest)*);
    };

    // All flags are there but those that each command has.
    (@ [$($head:tt)*] $name:ident [$($fields:tt)*]) => {
        #[derive(FromArgs, ArgsInfo)]
        $($head)*
        #[argh(help_triggers("-h", "--help", "help"))]
        pub(super) struct $name {
            $($fields)*
            /// when to colour: auto, always or never
            #[argh(option, default = "ColorChoice::Auto", arg_name = "when")]
            pub(super) color: ColorChoice,
            /// same as --color never, whatever --color says
            #[argh(switch)]
            pub(super) no_color: bool,
            /// draw bars and charts in ASCII, as where the locale is not UTF-8
            #[argh(switch)]
            pub(super) ascii: bool,
        }

        impl $name {
            fn terminal(&self, terminal: &Terminal) -> Terminal {
                let terminal = match self.no_color {
                    true => terminal.colored(ColorChoice::Never),
                    false => terminal.colored(self.color),
                };
                match self.ascii {
                    true => terminal.in_ascii(),
                    false => terminal,
                }
            }
        }
    };
}

/// What the flags of the groups `report` and `forms` ask for.
macro_rules! output_wish {
    ($args:ident) => {
        OutputWish {
            report: $args.report.take(),
            has_no_report: $args.no_report,
            forms: vec![
                ("--junit", FormatChoice::Junit, $args.junit.take()),
                ("--markdown", FormatChoice::Markdown, $args.markdown.take()),
                ("--svg", FormatChoice::Svg, $args.svg.take()),
            ],
            outs: std::mem::take(&mut $args.outs),
            inputs: [
                &$args.config,
                &$args.calibration,
                &$args.token_file,
                &$args.oauth_private_key,
                &$args.client_cert,
                &$args.client_key,
            ]
            .into_iter()
            .flatten()
            .chain(&$args.ca)
            .chain($args.args.iter().filter_map(|it| it.file.as_ref()))
            .cloned()
            .collect(),
            github: $args.github,
            has_no_github: $args.no_github,
        }
    };
}

/// What the flags of the groups `network`, `connections` and `tls` say.
macro_rules! network_flags {
    ($args:ident) => {
        NetworkFlags {
            addresses: $args.addresses,
            calls_per_connection: $args.no_keepalive.then_some(1),
            connection: $args.connection,
            backend_header: $args.backend_header.clone(),
            ..way_flags!($args)
        }
    };
}

/// What the flags of the groups `network` and `tls` say.
macro_rules! way_flags {
    ($args:ident) => {
        NetworkFlags {
            connect_timeout: $args.connect_timeout,
            proxy: $args.proxy.clone(),
            no_proxy: $args.no_proxy.clone(),
            resolve: $args.resolve.clone(),
            bind: $args.bind.clone(),
            tls: TlsFlags {
                ca: $args.ca.clone(),
                client_cert: $args.client_cert.clone(),
                client_key: $args.client_key.clone(),
                server_name: $args.server_name.clone(),
                insecure: $args.insecure.then_some(true),
            },
            ..NetworkFlags::default()
        }
    };
}

/// What the flags of the groups `server` and `network` override.
macro_rules! server_overrides {
    ($args:ident) => {{
        let mut headers = $args.headers;
        let of_environment = match $args.api_key.as_deref() {
            Some(key) => {
                headers.push(bearer("--api-key", key)?);
                None
            }
            None => header_of_environment()?,
        };
        Overrides {
            protocol: $args.protocol,
            cookies: $args.cookies.then_some(true),
            respect_retry_after: $args.respect_retry_after.then_some(true),
            headers,
            default_headers: of_environment.into_iter().collect(),
            network: network_flags!($args),
            token_command: $args.token_command,
            token_file: $args.token_file,
            ..Overrides::default()
        }
    }};
}

/// What the flags of the groups `what`, `server`, `network` and `engine` override.
macro_rules! load_overrides {
    ($args:ident) => {
        Overrides {
            url: $args.url,
            tool: tool($args.tool, $args.args)?,
            population: $args.population,
            think: $args.think,
            timeout: $args.timeout,
            task: $args.task,
            task_timeout: $args.task_timeout,
            seed: $args.seed,
            workers: $args.workers,
            pin: $args.no_pin.then_some(false),
            preflight: $args.no_preflight.then_some(false),
            listen: $args.no_listen.then_some(false),
            subscribe: $args.subscribe,
            busy_poll: $args.busy_poll.then_some(true),
            streams: $args.streams.then_some(true),
            trace: $args.trace.then_some(TraceMode::Meta),
            strict: $args.strict.then_some(true),
            ..server_overrides!($args)
        }
    };
}

fn tool(
    name: Option<String>,
    arguments: Option<GivenArguments>,
) -> Result<Option<(String, Option<Arguments>)>, UserError> {
    match (name, arguments) {
        (None, Some(_)) => Err(UserError::usage("`--args` goes with `--tool`")),
        (name, arguments) => Ok(name.map(|name| (name, arguments.map(|it| it.values)))),
    }
}

/// Load tests MCP servers: latency percentiles, throughput, errors by cause,
/// per tool.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    help_triggers("-h", "--help", "help"),
    example = "See a report at once, against the embedded demo server:\n  $ {command_name} run --demo",
    example = "Write a config from what your server offers, then run it:\n  $ {command_name} init http://127.0.0.1:8080/mcp\n  $ {command_name} run",
    note = "Each command has a --help of its own; `man` prints all of them as one page.",
    error_code(0, "all is well"),
    error_code(1, "could not run: no server, no session, no file"),
    error_code(2, "the command line or the config is at fault"),
    error_code(
        3,
        "a threshold was not kept, every call failed, or no level could be verified"
    ),
    error_code(4, "not valid: the generator was the limit"),
    error_code(130, "interrupted; the report was written")
)]
pub(super) struct LoadTest {
    /// print the version
    #[argh(switch, short = 'V')]
    pub(super) version: bool,
    #[argh(subcommand)]
    pub(super) command: Option<CommandArgs>,
}

/// The commands.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
pub(super) enum CommandArgs {
    Run(Run),
    Find(Find),
    Init(Init),
    Login(Login),
    Check(Check),
    Try(Try),
    Calibrate(Calibrate),
    Report(ShowReport),
    Compare(Compare),
    Demo(Demo),
    Schema(Schema),
    Completions(Completions),
    Man(Man),
}

impl CommandArgs {
    /// The terminal as the flags want it.
    pub(super) fn terminal(&self, terminal: &Terminal) -> Terminal {
        match self {
            Self::Run(args) => args.terminal(terminal),
            Self::Find(args) => args.terminal(terminal),
            Self::Init(args) => args.terminal(terminal),
            Self::Login(args) => args.terminal(terminal),
            Self::Check(args) => args.terminal(terminal),
            Self::Try(args) => args.terminal(terminal),
            Self::Calibrate(args) => args.terminal(terminal),
            Self::Report(args) => args.terminal(terminal),
            Self::Compare(args) => args.terminal(terminal),
            Self::Demo(args) => args.terminal(terminal),
            Self::Schema(args) => args.terminal(terminal),
            Self::Completions(args) => args.terminal(terminal),
            Self::Man(args) => args.terminal(terminal),
        }
    }

    /// Whether a file that it reads is the standard input.
    pub(super) fn reads_stdin(&self) -> bool {
        let is_typed = |file: &String| is_stdin(Path::new(file));
        match self {
            Self::Run(args) => args.config.iter().any(is_typed),
            Self::Find(args) => args.config.iter().any(is_typed),
            Self::Check(args) => args.config.iter().any(is_typed),
            Self::Try(args) => args.config.iter().any(is_typed),
            Self::Report(args) => args.files.iter().any(is_typed),
            Self::Compare(args) => args.files.iter().chain(&args.base).any(is_typed),
            Self::Init(_)
            | Self::Login(_)
            | Self::Calibrate(_)
            | Self::Demo(_)
            | Self::Schema(_)
            | Self::Completions(_)
            | Self::Man(_) => false,
        }
    }
}

command! {
    /// Runs a load test. Without a config (.pmcp/loadtest.toml here or above, or
    /// --config), --tool names what is called; without that, the tools are listed,
    /// which is safe on any server.
    #[argh(
        subcommand,
        name = "run",
        example = "50 virtual users call one tool for a minute:\n  $ {command_name} http://127.0.0.1:8080/mcp --tool echo --args '{{\"text\":\"hi\"}}' --vus 50 --duration 1m",
        example = "Ramp up to 100 users, hold, ramp down, and find where the server breaks:\n  $ {command_name} http://127.0.0.1:8080/mcp --stage 1m:100,2m:100,30s:0",
        example = "Fail where the server is too slow or more than 1% of the calls fail:\n  $ {command_name} http://127.0.0.1:8080/mcp --assert 'p99<500ms' --assert 'errors<1%'",
        note = "Thresholds of the command line hold beside those of the config.",
        error_code(0, "the run was made, and each threshold kept"),
        error_code(1, "could not run: no server, no session, no file"),
        error_code(2, "the command line or the config is at fault"),
        error_code(3, "a threshold was not kept, no call succeeded, or an answer held what was another user's"),
        error_code(4, "not valid, with --strict: the generator was the limit"),
        error_code(130, "interrupted; the report was written")
    )]
    Run:
    what
    {
        /// virtual users, each with a connection and a session of its own; 10
        /// unless given
        #[argh(option, short = 'c', arg_name = "n", from_str_fn(options::users))]
        pub(super) vus: Option<u32>,
        /// how long to make load, such as 30s or 5m; 30s unless given
        #[argh(option, short = 'd', arg_name = "time", from_str_fn(parse_duration))]
        pub(super) duration: Option<Duration>,
        /// stop after exactly this number of iterations in all, if that comes first
        #[argh(option, short = 'n', arg_name = "n", from_str_fn(options::iterations))]
        pub(super) iterations: Option<u64>,
        /// stages of virtual users: 30s:50,2m:50,30s:0 ramps to 50, holds, ramps
        /// down
        #[argh(option, long = "stage", arg_name = "time:vus,..", from_str_fn(parse_stages))]
        pub(super) stages: Option<Vec<VuStage>>,
        /// let the users start evenly across this time
        #[argh(option, arg_name = "time", from_str_fn(parse_duration))]
        pub(super) ramp_up: Option<Duration>,
        /// open model: iterations start at this rate, such as 200/s, whether
        /// earlier ones have ended or not
        #[argh(option, short = 'r', arg_name = "rate", from_str_fn(parse_rate))]
        pub(super) rate: Option<f64>,
        /// open model: the pool of users that serve arrivals; 100 unless given
        #[argh(option, arg_name = "n", from_str_fn(options::users))]
        pub(super) max_vus: Option<u32>,
        /// start each user's iterations at this fixed interval
        #[argh(option, arg_name = "time", from_str_fn(parse_duration))]
        pub(super) pacing: Option<Duration>,
        /// run this long before anything is counted
        #[argh(option, arg_name = "time", from_str_fn(parse_duration))]
        pub(super) warm_up: Option<Duration>,
        /// at the breaking point, `stop` the run or `continue`, which is the default
        #[argh(option, arg_name = "what", from_str_fn(options::on_break))]
        pub(super) on_break: Option<bool>,
        /// call from one quiet session beside the load too, 10 times a second unless
        /// the config says otherwise: tells a queue in this client from one in the
        /// server
        #[argh(switch)]
        pub(super) probe: bool,
        /// this host's part of a load that several hosts make together, such as 2/4:
        /// its share of users, iterations and arrivals; job/4 takes the number from
        /// JOB_COMPLETION_INDEX, as Kubernetes sets it
        #[argh(option, arg_name = "n/of", from_str_fn(options::segment))]
        pub(super) segment: Option<Segment>,
        /// begin the load at this time, such as 2026-11-23T12:41:00Z or +30s
        #[argh(option, arg_name = "when", from_str_fn(options::start_at))]
        pub(super) start_at: Option<Utc>,
        /// how long requests in flight at the end may still take; the timeout
        /// unless given, at most 30s
        #[argh(option, arg_name = "time", from_str_fn(parse_duration))]
        pub(super) graceful_stop: Option<Duration>,
        /// histograms that the JSON report keeps, for `report`, `compare` and other
        /// programs: off, totals, or seconds, which is the default
        #[argh(option, arg_name = "which", from_str_fn(options::histograms))]
        pub(super) histograms: Option<HistogramMode>,
        /// a log in the form of HdrHistogram too: latencies by second and operation; - is
        /// stdout
        #[argh(option, arg_name = "file")]
        pub(super) hlog: Option<String>,
        /// by what the summary and Markdown sort operations: time, which is the default,
        /// p99, rate, errors or name; equals by time
        #[argh(option, arg_name = "what", default = "OperationOrder::default()")]
        pub(super) sort: OperationOrder,
    }
    limits
    {
        /// what the run has to keep, such as 'p99<500ms', 'errors<1%' or
        /// 'tool:echo p95<200ms'; may be given several times
        #[argh(option, long = "assert", arg_name = "condition")]
        pub(super) asserts: Vec<String>,
    }
    engine
    server
    oauth
    network
    connections
    tls
    report
    forms
}

command! {
    /// Searches the highest load that a server sustains within limits on latency
    /// and errors: doubles it until a level fails, halves what lies between, and
    /// verifies the answer. Two levels are reported, both tested: the highest that
    /// was sustained, the lowest that was not.
    #[argh(
        subcommand,
        name = "find",
        example = "How many users at once, with p99 at most 250 ms and 1% errors:\n  $ {command_name} http://127.0.0.1:8080/mcp --tool echo --args '{{\"text\":\"hi\"}}' --max-p99 250ms --max-errors 1%",
        example = "How many arrivals a second, with an answer after ten minutes at the latest:\n  $ {command_name} http://127.0.0.1:8080/mcp --by rate --max-p95 250ms --deadline 10m",
        note = "Each level has fresh connections and sessions. A session that cannot be opened counts as a failed request.",
        error_code(0, "found"),
        error_code(1, "could not run"),
        error_code(2, "the command line or the config is at fault"),
        error_code(
            3,
            "no answer: the server alone breaks a limit, all levels failed, or the deadline came first"
        ),
        error_code(
            4,
            "the generator was the limit; the report has the highest good level"
        ),
        error_code(130, "interrupted; the report was written")
    )]
    Find:
    what
    limits
    {
        /// what a level is: vus (virtual users, the default) or rate (arrivals a
        /// second, whether earlier ones have ended or not)
        #[argh(option, arg_name = "what", from_str_fn(options::level_kind))]
        pub(super) by: Option<LoadUnit>,
        /// the first level after the baseline; 1 unless given
        #[argh(option, arg_name = "n")]
        pub(super) from: Option<LevelText>,
        /// the highest level tried; 2000 unless given
        #[argh(option, arg_name = "n")]
        pub(super) to: Option<LevelText>,
        /// end after this time, with what is known by then; 90s or more, unless --quick
        #[argh(option, arg_name = "time", from_str_fn(parse_duration))]
        pub(super) deadline: Option<Duration>,
        /// end with the bracket, sought with less evidence: nothing is verified
        #[argh(switch)]
        pub(super) quick: bool,
        /// by rate: the largest pool of users that serve arrivals
        #[argh(option, arg_name = "n", from_str_fn(options::users))]
        pub(super) max_vus: Option<u32>,
    }
    engine
    server
    oauth
    network
    connections
    tls
    report
    forms
}

command! {
    /// Writes a commented starter config: every tool, resource and prompt that the
    /// server offers, with sample arguments. Without a URL, a template.
    #[argh(
        subcommand,
        name = "init",
        example = "  $ {command_name} http://127.0.0.1:8080/mcp --api-key KEY",
        error_code(0, "written"),
        error_code(1, "could not ask the server, or the file could not be written"),
        error_code(2, "the command line is at fault, or the file exists already")
    )]
    Init:
    {
        /// the server to ask
        #[argh(positional)]
        pub(super) url: Option<String>,
        /// where to write; .pmcp/loadtest.toml unless given, - is stdout
        #[argh(option, short = 'o', arg_name = "file")]
        pub(super) output: Option<String>,
        /// switch on the tools that may change something, too: by the specification, a
        /// tool that is not marked may be destructive
        #[argh(switch)]
        pub(super) all: bool,
        /// overwrite the file if it exists
        #[argh(switch)]
        pub(super) force: bool,
        /// same as --force
        #[argh(switch)]
        pub(super) yes: bool,
        /// the longest that one request may take; 10s unless given
        #[argh(option, arg_name = "time", from_str_fn(parse_duration))]
        pub(super) timeout: Option<Duration>,
    }
    server
    oauth
    network
    connections
    tls
}

command! {
    /// Logs in to a server by OAuth: the browser opens at the server's issuer and comes
    /// back here. The token is kept where cargo-pmcp keeps its own, and runs against
    /// that server use it, and refresh it.
    #[argh(
        subcommand,
        name = "login",
        example = "  $ {command_name} https://mcp.example.com/mcp",
        example = "With a client that was registered before:\n  $ {command_name} https://mcp.example.com/mcp --oauth-client-id my-client",
        note = "On a host without a browser, open the address that is printed on another, with `ssh -L 8080:localhost:8080` to here.",
        error_code(0, "logged in"),
        error_code(1, "no login: the server, the issuer or the user said no"),
        error_code(2, "the command line is at fault"),
        error_code(130, "interrupted")
    )]
    Login:
    {
        /// the server to log in to
        #[argh(positional)]
        pub(super) url: String,
        /// print the address and open no browser
        #[argh(switch)]
        pub(super) no_browser: bool,
        /// the longest that each answer of the server or the issuer may take; 30s unless
        /// given
        #[argh(option, arg_name = "time", from_str_fn(parse_duration))]
        pub(super) timeout: Option<Duration>,
    }
    oauth
    network
    tls
}

command! {
    /// Validates a config: prints the resolved plan, or every fault with its line.
    #[argh(
        subcommand,
        name = "check",
        example = "The config that another program writes:\n  $ generate | {command_name} -",
        error_code(0, "no faults"),
        error_code(1, "a file that the config names cannot be used, or stdout not written to"),
        error_code(2, "the command line or the config is at fault")
    )]
    Check:
    {
        /// the config, - is the standard input; .pmcp/loadtest.toml here or above unless
        /// given
        #[argh(positional)]
        pub(super) config: Option<String>,
        /// show what `run --segment` would do: this part of the load, such as 2/4
        #[argh(option, arg_name = "n/of", from_str_fn(options::segment))]
        pub(super) segment: Option<Segment>,
    }
    network
    connections
    tls
}

command! {
    /// Tries a config out before a load: one user does each entry of the scenario and
    /// each flow once, in order, and each request is shown with its answer. Nobody
    /// thinks between, and what has weight 0 is left out, as in a run.
    #[argh(
        subcommand,
        name = "try",
        example = "The config of this project, against another server:\n  $ {command_name} --url http://127.0.0.1:8080/mcp",
        example = "One tool:\n  $ {command_name} --url http://127.0.0.1:8080/mcp --tool echo --args '{{\"text\":\"hi\"}}'",
        note = "Values of secrets, and of names such as token or password, are not shown.",
        error_code(0, "each call succeeded"),
        error_code(1, "could not try: no server, no session, no file"),
        error_code(2, "the command line or the config is at fault"),
        error_code(3, "a call failed"),
        error_code(130, "interrupted")
    )]
    Try:
    {
        /// the config, - is the standard input; .pmcp/loadtest.toml here or above unless
        /// given. An address is that of the server
        #[argh(positional)]
        pub(super) config: Option<String>,
        /// the server, such as http://127.0.0.1:8080/mcp; takes the place of the
        /// config's
        #[argh(option, arg_name = "url")]
        pub(super) url: Option<String>,
        /// use the embedded demo server
        #[argh(switch)]
        pub(super) demo: bool,
        /// call this tool and nothing else: as the config's scenario does, or
        /// with a sample of its schema
        #[argh(option, arg_name = "name")]
        pub(super) tool: Option<String>,
        /// the tool's arguments, in place of the config's: a JSON object, or @file
        #[argh(option, arg_name = "json", from_str_fn(options::arguments))]
        pub(super) args: Option<GivenArguments>,
        /// let tools answer with a task, which is asked for until it has ended; MCP
        /// 2026-07-28
        #[argh(switch)]
        pub(super) task: bool,
        /// the longest that such a task may take; 5m unless given
        #[argh(option, arg_name = "time", from_str_fn(parse_duration))]
        pub(super) task_timeout: Option<Duration>,
        /// this population of the config; the first unless given
        #[argh(option, arg_name = "name")]
        pub(super) population: Option<String>,
        /// the longest that one request may take; 5s unless given
        #[argh(option, arg_name = "time", from_str_fn(parse_duration))]
        pub(super) timeout: Option<Duration>,
        /// the seed of choices and generated data that are to be repeated
        #[argh(option, arg_name = "n", from_str_fn(options::seed))]
        pub(super) seed: Option<u64>,
        /// do not hold the steps against what the server lists
        #[argh(switch)]
        pub(super) no_preflight: bool,
    }
    server
    oauth
    network
    connections
    tls
}

command! {
    /// Measures what this host can generate, against a server of its own that costs
    /// next to nothing: the highest rate of one worker, the noise floor of the
    /// latency, how exactly a schedule is kept; with advice. The report can be named
    /// in later runs: --calibration FILE.
    #[argh(
        subcommand,
        name = "calibrate",
        example = "Half a minute, then a run that is measured by it:\n  $ {command_name} --report here.json\n  $ cargo pmcp loadtest run --calibration here.json",
        note = "Let nothing else run meanwhile. Each step takes half a second more than --seconds.",
        error_code(0, "measured"),
        error_code(1, "could not run, or no file could be written"),
        error_code(2, "the command line is at fault"),
        error_code(130, "interrupted; what was measured is shown, no report is written")
    )]
    Calibrate:
    {
        /// numbers of virtual users; 1,64,1000 unless given
        #[argh(option, arg_name = "n,..", from_str_fn(options::vu_list))]
        pub(super) vus: Option<Vec<u32>>,
        /// how long figures are taken in each step; 2 unless given
        #[argh(option, arg_name = "n", from_str_fn(options::seconds))]
        pub(super) seconds: Option<Duration>,
    }
    report
}

command! {
    /// Shows a stored report of `run`, `find` or `calibrate` as the fresh one, or
    /// writes it in another form. Several reports of one load are merged: counts and
    /// histograms are added.
    #[argh(
        subcommand,
        name = "report",
        example = "What a run showed at its end:\n  $ {command_name} .pmcp/reports/loadtest-20261123T124107Z.json",
        example = "One report of what three hosts measured together:\n  $ {command_name} host-1.json host-2.json host-3.json --format json -o all.json",
        note = "A report of a newer minor version is shown as far as this version knows it; --format json keeps all of it.",
        error_code(0, "shown, whatever the report says; of several files: each threshold is kept"),
        error_code(1, "the output could not be written"),
        error_code(2, "the command line is at fault, or a file is no report or cannot be merged"),
        error_code(3, "of several files: the sum does not keep a threshold, or no call succeeded")
    )]
    ShowReport:
    {
        /// the JSON report, or several of one load; - is the standard input
        #[argh(positional)]
        pub(super) files: Vec<String>,
        /// how it is written; text unless given
        #[argh(option, arg_name = "form", default = "FormatChoice::Text")]
        pub(super) format: FormatChoice,
        /// where to write; - is stdout, and so it is unless given
        #[argh(option, short = 'o', arg_name = "file")]
        pub(super) output: Option<String>,
        /// by what text and Markdown sort the operations of a run: time, which is the
        /// default, p99, rate, errors or name; equals by time
        #[argh(option, arg_name = "what", default = "OperationOrder::default()")]
        pub(super) sort: OperationOrder,
        /// merge reports of other plans, targets or times too
        #[argh(switch)]
        pub(super) force: bool,
    }
}

command! {
    /// Says what changed from one or more runs, the base, to others: rate, errors and
    /// percentiles, of all calls and per operation, and whether that is more than such
    /// runs vary.
    #[argh(
        subcommand,
        name = "compare",
        example = "Two runs; several a side, made in turn, tell more:\n  $ {command_name} --base before.json after.json\n  $ {command_name} --base a1.json --base a2.json --base a3.json b1.json b2.json b3.json",
        example = "The latest run with the last five of the same plan:\n  $ {command_name} --history .pmcp/reports latest.json",
        note = "Beyond its margin a figure is worse or better: 5% of p50 and rate, 10% of p95 and p99, 0.1 percentage points of errors. p50, p95 and errors decide, of all calls, of operations with 5% of them and of flows; the rate of all calls too, p99 of all calls where it changed by more than its margin, and what --tolerance names.",
        error_code(0, "nothing is worse, or there is not enough data to say"),
        error_code(1, "the output could not be written"),
        error_code(2, "the command line is at fault, or the runs are not comparable"),
        error_code(3, "worse; with --fail-on-unclear also not enough data")
    )]
    Compare:
    {
        /// reports of the runs to compare; - is the standard input
        #[argh(positional)]
        pub(super) files: Vec<String>,
        /// report of a run to compare with; may be given several times
        #[argh(option, arg_name = "file")]
        pub(super) base: Vec<String>,
        /// folder whose last runs of the same plan are the base
        #[argh(option, arg_name = "folder")]
        pub(super) history: Option<String>,
        /// how many runs of --history; 5 unless given
        #[argh(option, arg_name = "n", from_str_fn(options::history_runs))]
        pub(super) last: Option<usize>,
        /// what a metric may change by, such as 'p99 +10% +5ms': beyond both it matters.
        /// p50, p95, p99, rate or errors; the metric decides then. 'tool:NAME p99 +20%' is
        /// for one operation (resource:, prompt:, step: and flow: too); may be given
        /// several times
        #[argh(option, long = "tolerance", arg_name = "tolerance")]
        pub(super) tolerances: Vec<Tolerance>,
        /// exit 0 where something is worse; it is told all the same
        #[argh(switch)]
        pub(super) warn: bool,
        /// exit 3 where there is not enough data to say that nothing is worse
        #[argh(switch)]
        pub(super) fail_on_unclear: bool,
        /// compare runs of other plans, targets and the like too
        #[argh(switch)]
        pub(super) force: bool,
        /// how it is written; text unless given
        #[argh(
            option,
            arg_name = "form",
            default = "FormatChoice::Text",
            from_str_fn(FormatChoice::of_comparison)
        )]
        pub(super) format: FormatChoice,
        /// where to write; - is stdout, and so it is unless given
        #[argh(option, short = 'o', arg_name = "file")]
        pub(super) output: Option<String>,
    }
}

command! {
    /// Serves the embedded MCP server on this machine, until interrupted: both
    /// eras of the protocol, a handful of tools, a resource, a prompt.
    #[argh(
        subcommand,
        name = "demo",
        example = "4 calls at a time, 20 ms each: 200 a second is its limit, at 4 users:\n  $ {command_name} --port 8080 --capacity 4/fixed:20ms",
        error_code(0, "served until it was interrupted"),
        error_code(1, "the port is taken"),
        error_code(2, "the command line is at fault")
    )]
    Demo:
    {
        /// port on 127.0.0.1; a free one unless given
        #[argh(option, arg_name = "n", from_str_fn(options::port))]
        pub(super) port: Option<u16>,
        /// repeat a server's latencies and faults
        #[argh(option, arg_name = "n", from_str_fn(options::seed))]
        pub(super) seed: Option<u64>,
        /// how long calls take: none, fixed:5ms, uniform:1ms..10ms,
        /// exponential:5ms, lognormal:5ms,0.5 or bimodal:5ms,50ms,0.1
        #[argh(option, arg_name = "latency")]
        pub(super) latency: Option<DemoLatency>,
        /// shares of calls that fail, such as http-500=0.01,tool-error=0.02; also
        /// rpc-error, hang, close-before, close-mid, empty-stream, accepted, wrong-id,
        /// not-json, expire-session
        #[argh(option, arg_name = "shares")]
        pub(super) faults: Option<FaultShares>,
        /// share of the answers of the tool `stock` that break its output schema; 10%
        /// unless given
        #[argh(option, arg_name = "share", from_str_fn(options::any_share))]
        pub(super) off_schema: Option<f64>,
        /// calls at a time, with their service time and the length of the queue:
        /// 4/fixed:20ms or 4/exponential:20ms/100
        #[argh(option, arg_name = "capacity")]
        pub(super) capacity: Option<Capacity>,
        /// one call at a time, whatever the number of clients: as --capacity 1/LATENCY
        #[argh(switch)]
        pub(super) one_at_a_time: bool,
        /// share of the calls of tools that mix two clients up: each of them gets the
        /// other's result
        #[argh(option, arg_name = "share", from_str_fn(options::any_share))]
        pub(super) mix: Option<f64>,
        /// form of the answers: json, sse, sse-open (streams are left open) or mixed
        #[argh(option, arg_name = "form")]
        pub(super) answers: Option<AnswerForm>,
        /// eras of the protocol that are spoken: both, legacy (sessions) or modern
        /// (stateless)
        #[argh(option, arg_name = "which")]
        pub(super) eras: Option<Eras>,
        /// legacy without session ids
        #[argh(switch)]
        pub(super) stateless: bool,
        /// sessions are forgotten after this time
        #[argh(option, arg_name = "time", from_str_fn(parse_duration))]
        pub(super) session_ttl: Option<Duration>,
        /// send the events of a stream with its end only, as proxies do that buffer streams
        #[argh(switch)]
        pub(super) hold_streams: bool,
        /// be this many servers behind a balancer: each connection leads to the next, which
        /// names itself in the header X-Served-By and knows no session of the others
        #[argh(option, arg_name = "n", from_str_fn(options::backends))]
        pub(super) backends: Option<u16>,
        /// offer each session a GET stream, and modern clients subscriptions, and send a
        /// notification on each at this interval; none is offered unless given
        #[argh(option, arg_name = "time", from_str_fn(parse_duration))]
        pub(super) stream_every: Option<Duration>,
        /// ask the client on its GET stream too, after each notification
        /// (elicitation/create); goes with --stream-every
        #[argh(switch)]
        pub(super) stream_asks: bool,
    }
}

command! {
    /// Prints the JSON Schema (2020-12) of a report, of a config, or of what `find`
    /// and `calibrate` write, for editors and for those who read reports.
    #[argh(
        subcommand,
        name = "schema",
        example = "  $ {command_name} config > .pmcp/loadtest.schema.json",
        note = "A config whose first line is `#:schema ./loadtest.schema.json` is checked and completed by editors that know TOML; `init` writes both.",
        error_code(0, "printed"),
        error_code(1, "stdout could not be written to"),
        error_code(2, "the command line is at fault")
    )]
    Schema:
    {
        /// of what: report, config, find, calibration or comparison
        #[argh(positional)]
        pub(super) of: SchemaOf,
    }
}

command! {
    /// Prints a script that completes commands, flags and files of this program in a
    /// shell.
    #[argh(
        subcommand,
        name = "completions",
        example = "bash:\n  $ {command_name} bash > ~/.local/share/bash-completion/completions/cargo-pmcp",
        example = "zsh, into a folder of $fpath:\n  $ {command_name} zsh > ~/.zfunc/_cargo-pmcp",
        example = "fish:\n  $ {command_name} fish > ~/.config/fish/completions/cargo-pmcp.fish",
        example = "nushell, then `source` it in config.nu:\n  $ {command_name} nushell > ~/.config/nushell/cargo-pmcp.nu",
        error_code(0, "printed"),
        error_code(1, "stdout could not be written to"),
        error_code(2, "the command line is at fault")
    )]
    Completions:
    {
        /// bash, zsh, fish or nushell
        #[argh(positional)]
        pub(super) shell: ShellName,
    }
}

/// The shells that can be told what there is to complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ShellName {
    Bash,
    Zsh,
    Fish,
    Nushell,
}

impl std::str::FromStr for ShellName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let choices = [
            ("bash", Self::Bash),
            ("zsh", Self::Zsh),
            ("fish", Self::Fish),
            ("nushell", Self::Nushell),
            ("nu", Self::Nushell),
        ];
        choice(text, "a shell", &choices)
    }
}

command! {
    /// Prints the manual as a page for `man`: all commands with all flags.
    #[argh(
        subcommand,
        name = "man",
        example = "Read it:\n  $ {command_name} | man -l -",
        example = "Install it:\n  $ {command_name} > ~/.local/share/man/man1/cargo-pmcp-loadtest.1",
        error_code(0, "printed"),
        error_code(1, "stdout could not be written to"),
        error_code(2, "the command line is at fault")
    )]
    Man:
    {
    }
}

/// What there is a schema of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SchemaOf {
    Report,
    Config,
    Find,
    Calibration,
    Comparison,
}

impl std::str::FromStr for SchemaOf {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let choices = [
            ("report", Self::Report),
            ("config", Self::Config),
            ("find", Self::Find),
            ("calibration", Self::Calibration),
            ("comparison", Self::Comparison),
        ];
        choice(text, "what has a schema", &choices)
    }
}

impl Run {
    pub(super) fn output_wish(&mut self) -> OutputWish {
        let mut wish = output_wish!(self);
        let hlog = ("--hlog", FormatChoice::Hlog, self.hlog.take());
        wish.forms.push(hlog);
        wish
    }

    /// # Errors
    /// Where a flag lacks the one that it goes with.
    pub(super) fn overrides(self) -> Result<Overrides, UserError> {
        let latency = options::latency_limits(self.max_p50, self.max_p95, self.max_p99);
        let latency = latency.map(|(flag, limit)| (flag, options::latency_threshold(limit)));
        let errors = self.max_errors.map(options::error_threshold);
        let errors = errors.map(|text| ("--max-errors", text));
        let asserts = self.asserts.into_iter().map(|text| ("--assert", text));
        Ok(Overrides {
            thresholds: asserts.chain(latency).chain(errors).collect(),
            vus: self.vus,
            duration: self.duration,
            iterations: self.iterations,
            stages: self.stages,
            ramp_up: self.ramp_up,
            rate: self.rate,
            max_vus: self.max_vus,
            pacing: self.pacing,
            warm_up: self.warm_up,
            stop_on_break: self.on_break,
            probe: self.probe,
            segment: self.segment,
            graceful_stop: self.graceful_stop,
            histograms: self.histograms,
            ..load_overrides!(self)
        })
    }
}

impl Find {
    pub(super) fn output_wish(&mut self) -> OutputWish {
        output_wish!(self)
    }

    /// # Errors
    /// Where a flag lacks the one that it goes with.
    pub(super) fn overrides(self) -> Result<Overrides, UserError> {
        Ok(load_overrides!(self))
    }
}

impl Try {
    /// # Errors
    /// Where a flag lacks the one that it goes with.
    pub(super) fn overrides(self) -> Result<Overrides, UserError> {
        Ok(Overrides {
            url: self.url,
            tool: tool(self.tool, self.args)?,
            population: self.population,
            timeout: self.timeout,
            task: self.task,
            task_timeout: self.task_timeout,
            is_trial: true,
            seed: self.seed,
            preflight: self.no_preflight.then_some(false),
            ..server_overrides!(self)
        })
    }
}

/// Gives commands what their flags of the group `oauth` say.
macro_rules! oauth_wish {
    ($($name:ident)*) => {$(
        impl $name {
            /// # Errors
            /// Where a variable of the environment says nothing that is accepted, or the
            /// file of the key cannot be read.
            pub(super) fn oauth_wish(&mut self) -> Result<OAuthWish, UserError> {
                oauth::wish_of(oauth::OAuthFlags {
                    client_id: self.oauth_client_id.take(),
                    issuer: self.oauth_issuer.take(),
                    scopes: self.oauth_scopes.take(),
                    redirect_port: self.oauth_redirect_port,
                    client_secret: self.oauth_client_secret.take(),
                    private_key: self.oauth_private_key.take(),
                    is_without_store: self.oauth_no_cache || self.no_stored_token,
                })
            }
        }
    )*};
}

oauth_wish! { Run Find Init Try Login }

impl Login {
    pub(super) fn overrides(self) -> Overrides {
        Overrides {
            url: Some(self.url),
            network: way_flags!(self),
            ..Overrides::default()
        }
    }
}

impl Init {
    /// # Errors
    /// Where the token cannot go into a header.
    pub(super) fn overrides(self) -> Result<Overrides, UserError> {
        Ok(Overrides {
            url: self.url,
            timeout: self.timeout,
            ..server_overrides!(self)
        })
    }
}

impl Check {
    pub(super) fn overrides(&self) -> Overrides {
        Overrides {
            segment: self.segment,
            network: network_flags!(self),
            ..Overrides::default()
        }
    }
}

/// What is known of a flag.
pub(super) struct Flag {
    /// With its dashes: `--vus`.
    pub(super) name: String,
    /// A word follows it.
    pub(super) takes_value: bool,
}

/// The commands, as they are typed.
pub(super) fn commands() -> Vec<&'static str> {
    let commands = LoadTest::get_args_info().commands;
    commands.iter().map(|command| command.name).collect()
}

/// The flags of a command; of the program itself for any other word.
pub(super) fn flags(command: &str) -> Vec<Flag> {
    let mut program = LoadTest::get_args_info();
    let of_command = program.commands.iter().position(|of| of.name == command);
    let info = match of_command {
        Some(at) => program.commands.swap_remove(at).command,
        None => program,
    };
    let mut flags = Vec::new();
    for flag in info.flags {
        let takes_value = !matches!(flag.kind, FlagInfoKind::Switch);
        let short = flag.short.map(|letter| format!("-{letter}"));
        for name in short.into_iter().chain([flag.long.to_string()]) {
            flags.push(Flag { name, takes_value });
        }
    }
    flags
}

/// The words that a flag of a command takes, where it takes no others: what its parser says
/// of another. None for any other flag. `""` is the argument that stands without a flag.
pub(super) fn choices(command: &str, flag: &str) -> Vec<String> {
    let typed = [command, flag, "?"];
    let typed: Vec<&str> = typed.into_iter().filter(|word| !word.is_empty()).collect();
    let Err(early) = LoadTest::from_args(&[""], &typed) else {
        return Vec::new();
    };
    let (_, accepted) = early.output.split_once(ACCEPTED).unwrap_or_default();
    let accepted = accepted.lines().next().unwrap_or_default();
    let words = accepted.split(", ").map(|word| word.trim_matches('`'));
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
    // A form such as `ndjson=FILE` is no word.
    let whole = words.filter(|word| !word.is_empty() && word.chars().all(is_word));
    whole.map(str::to_string).collect()
}

/// What is nearest to a flag that `command` does not have: one of its own, since
/// another command's would not help.
pub(super) fn nearest_flag(word: &str, command: &str) -> Option<String> {
    // Words of other tools, and what they are called here.
    const ALIASES: [(&str, &str); 13] = [
        ("--tools", "--tool"),
        ("--users", "--vus"),
        ("--concurrency", "--vus"),
        ("--connections", "--vus"),
        ("--requests", "--iterations"),
        ("--qps", "--rate"),
        ("--rps", "--rate"),
        ("--time", "--duration"),
        ("--headers", "--header"),
        ("--no-progress", "--live off"),
        ("--no-tui", "--live off"),
        ("--silent", "--live off"),
        ("--url", "URL, as an argument without a flag"),
    ];
    let own = flags(command);
    let has = |typed: &str| {
        let name = typed.split(' ').next().unwrap_or_default();
        own.iter().any(|flag| flag.name == name) || name.starts_with("URL")
    };
    let alias = ALIASES
        .iter()
        .find(|(other, name)| *other == word && has(name));
    if let Some((_, name)) = alias {
        return Some((*name).to_string());
    }
    let names = own.iter().map(|flag| flag.name.as_str());
    nearest(word, names.filter(|name| name.starts_with("--"))).map(str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_flag_is_one_of_its_command_and_takes_a_value_in_all_or_in_none() {
        let mut takes_value = BTreeMap::new();
        for command in commands() {
            let of_command = flags(command);
            for (i, flag) in of_command.iter().enumerate() {
                let is_again = of_command[..i].iter().any(|other| other.name == flag.name);
                assert!(!is_again, "{command} {}", flag.name);
                let before = takes_value.insert(flag.name.clone(), flag.takes_value);
                assert!(
                    before.is_none_or(|it| it == flag.takes_value),
                    "{}",
                    flag.name
                );
            }
        }
        assert!(takes_value.len() > 40, "{takes_value:?}");
    }

    #[test]
    fn the_words_that_a_flag_takes_are_known_from_its_parser() {
        assert_eq!(choices("run", "--live"), ["panel", "line", "off"]);
        assert_eq!(choices("schema", "")[..2], ["report", "config"]);
        assert!(choices("run", "").is_empty() && choices("man", "").is_empty());
        assert_eq!(choices("run", "--color"), ["auto", "always", "never"]);
        let of_report = choices("report", "--format");
        assert!(of_report.len() > choices("compare", "--format").len());
        for free in ["--tool", "--duration", "--out", "--task", "--unknown"] {
            assert!(choices("run", free).is_empty(), "{free}");
        }
    }

    #[test]
    fn all_flags_are_explained() {
        let program = LoadTest::get_args_info();
        for command in program.commands {
            for flag in command.command.flags {
                assert!(
                    !flag.description.is_empty(),
                    "{} {}",
                    command.name,
                    flag.long
                );
            }
        }
    }
}
