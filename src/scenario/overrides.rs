//! What the command line may replace or add, as plain values, and which keys they replace.
//!
//! The fields' docstrings name the flags that messages speak of. How they are
//! typed and parsed is the command line's, but for stages, which have a small
//! grammar of their own.

use std::time::Duration;

use super::document::Field;
use super::header::Header;
use super::plan::HistogramMode;
use super::raw::{Settings, constant_think};
use super::shown::Shown;
use crate::load::{Segment, VuStage};
use crate::network::{AddressUse, ConnectionUse};
use crate::protocol::{Arguments, ProtocolChoice, Topic, TraceMode};
use crate::units;

/// What the command line gives. `None` and empty: not given.
///
/// It may hold secrets, so it has no debug form.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Overrides {
    /// The server's address, the first argument.
    pub url: Option<String>,
    /// The address where neither the first argument nor the config gives one:
    /// for checking configs that leave it to the command line.
    pub default_url: Option<String>,
    /// `--vus`
    pub vus: Option<u32>,
    /// `--duration`
    pub duration: Option<Duration>,
    /// `--iterations`
    pub iterations: Option<u64>,
    /// `--timeout`
    pub timeout: Option<Duration>,
    /// `--task-timeout`
    pub task_timeout: Option<Duration>,
    /// `--task`
    pub task: bool,
    /// `--graceful-stop`
    pub graceful_stop: Option<Duration>,
    /// `--ramp-up`
    pub ramp_up: Option<Duration>,
    /// `--stage`, see [`parse_stages`]
    pub stages: Option<Vec<VuStage>>,
    /// `--rate`, arrivals a second
    pub rate: Option<f64>,
    /// `--max-vus`
    pub max_vus: Option<u32>,
    /// `--pacing`
    pub pacing: Option<Duration>,
    /// `--think`, always this long
    pub think: Option<Duration>,
    /// `--warm-up`
    pub warm_up: Option<Duration>,
    /// `--header`; each takes the place of those of the same name in the config
    pub headers: Vec<Header>,
    /// Sent where neither the config nor `--header` has the name: a bearer
    /// token from the environment.
    pub default_headers: Vec<Header>,
    /// `--token-command`
    pub token_command: Option<String>,
    /// `--token-file`
    pub token_file: Option<String>,
    /// `--protocol`
    pub protocol: Option<ProtocolChoice>,
    /// `--seed`
    pub seed: Option<u64>,
    /// `--workers`
    pub workers: Option<usize>,
    /// `--no-pin` is `Some(false)`
    pub pin: Option<bool>,
    /// `--no-preflight` is `Some(false)`
    pub preflight: Option<bool>,
    /// `--cookies`
    pub cookies: Option<bool>,
    /// `--respect-retry-after`
    pub respect_retry_after: Option<bool>,
    /// `--no-listen` is `Some(false)`
    pub listen: Option<bool>,
    /// `--subscribe`
    pub subscribe: Option<Vec<Topic>>,
    /// How the server is reached
    pub network: NetworkFlags,
    /// `--busy-poll`
    pub busy_poll: Option<bool>,
    /// `--strict` is `Some(true)`
    pub strict: Option<bool>,
    /// `--on-break stop` is `Some(true)`
    pub stop_on_break: Option<bool>,
    /// `--trace`
    pub trace: Option<TraceMode>,
    /// `--streams`
    pub streams: Option<bool>,
    /// `--histograms`
    pub histograms: Option<HistogramMode>,
    /// `--probe`: at the config's rate, or the default one
    pub probe: bool,
    /// `--population`: this one alone
    pub population: Option<String>,
    /// `try`: one user does it all, however many the config has.
    pub is_trial: bool,
    /// `--segment`
    pub segment: Option<Segment>,
    /// `--assert`, `--max-p99` and the like, beside the thresholds of the config: each
    /// with the flag that gave it
    pub thresholds: Vec<(&'static str, String)>,
    /// `--tool` with the arguments of `--args`: takes the place of the scenario.
    /// Without arguments, the scenario's steps that call this tool are kept, where
    /// there are any
    pub tool: Option<(String, Option<Arguments>)>,
}

/// The flags that say how the server is reached.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct NetworkFlags {
    /// `--connect-timeout`
    pub connect_timeout: Option<Duration>,
    /// `--proxy`
    pub proxy: Option<String>,
    /// `--no-proxy`
    pub no_proxy: Option<String>,
    /// `--resolve`; they come before those of the config
    pub resolve: Vec<String>,
    /// `--bind`; in place of the config's
    pub bind: Vec<String>,
    /// `--addresses`
    pub addresses: Option<AddressUse>,
    /// `--no-keepalive` is 1
    pub calls_per_connection: Option<u32>,
    /// `--connection`
    pub connection: Option<ConnectionUse>,
    /// `--backend-header`
    pub backend_header: Option<String>,
    /// What is peculiar to TLS
    pub tls: TlsFlags,
}

/// The flags that are peculiar to TLS.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct TlsFlags {
    /// `--ca`, in place of the config's
    pub ca: Vec<String>,
    /// `--client-cert`
    pub client_cert: Option<String>,
    /// `--client-key`
    pub client_key: Option<String>,
    /// `--server-name`
    pub server_name: Option<String>,
    /// `--insecure` is `Some(true)`
    pub insecure: Option<bool>,
}

impl Overrides {
    /// Lets each flag take the place of its key. A load on the command line takes the
    /// place of the config's, with all that belonged to that one alone.
    pub(super) fn apply_to(&self, settings: &mut Settings) {
        if self.stages.is_some() {
            settings.duration = Field::default();
            settings.duration_secs = Field::default();
            settings.ramp_up = Field::default();
        }
        if self.rate.is_some() {
            settings.ramp_up = Field::default();
            settings.pacing = Field::default();
            settings.think = Field::default();
            settings.request_interval_ms = Field::default();
        }
        let to = settings;
        to.busy_poll.give_way("--busy-poll", self.busy_poll);
        to.cookies.give_way("--cookies", self.cookies);
        to.duration.give_way("--duration", self.duration);
        to.graceful_stop
            .give_way("--graceful-stop", self.graceful_stop);
        to.histograms.give_way("--histograms", self.histograms);
        to.iterations.give_way("--iterations", self.iterations);
        to.listen.give_way("--no-listen", self.listen);
        to.on_break.give_way("--on-break", self.stop_on_break);
        to.pacing.give_way("--pacing", self.pacing);
        to.pin.give_way("--no-pin", self.pin);
        to.preflight.give_way("--no-preflight", self.preflight);
        to.protocol.give_way("--protocol", self.protocol);
        to.ramp_up.give_way("--ramp-up", self.ramp_up);
        to.respect_retry_after
            .give_way("--respect-retry-after", self.respect_retry_after);
        to.seed.give_way("--seed", self.seed);
        to.streams.give_way("--streams", self.streams);
        to.strict.give_way("--strict", self.strict);
        to.subscribe.give_way("--subscribe", self.subscribe.clone());
        to.task_timeout
            .give_way("--task-timeout", self.task_timeout);
        to.think.give_way("--think", self.think.map(constant_think));
        to.timeout.give_way("--timeout", self.timeout);
        to.trace.give_way("--trace", self.trace);
        to.warm_up.give_way("--warm-up", self.warm_up);
        to.workers.give_way("--workers", self.workers);
        self.network.apply_to(to);
    }
}

impl NetworkFlags {
    fn apply_to(&self, to: &mut Settings) {
        to.addresses.give_way("--addresses", self.addresses);
        to.backend_header
            .give_way("--backend-header", self.backend_header.clone());
        to.bind.give_way("--bind", some_of(&self.bind));
        to.calls_per_connection
            .give_way("--no-keepalive", self.calls_per_connection);
        to.connect_timeout
            .give_way("--connect-timeout", self.connect_timeout);
        to.connection.give_way("--connection", self.connection);
        let no_proxy = self.no_proxy.clone().map(|list| vec![list]);
        to.no_proxy.give_way("--no-proxy", no_proxy);
        to.proxy.give_way("--proxy", shown(&self.proxy));
        to.resolve.give_way("--resolve", some_of(&self.resolve));
        self.tls.apply_to(to);
    }
}

impl TlsFlags {
    fn apply_to(&self, to: &mut Settings) {
        // A certificate of the command line does not go with a key of the config.
        if self.client_cert.is_some() {
            to.client_key = Field::default();
        }
        to.ca.give_way("--ca", some_of(&self.ca));
        to.client_cert
            .give_way("--client-cert", shown(&self.client_cert));
        to.client_key
            .give_way("--client-key", shown(&self.client_key));
        to.insecure.give_way("--insecure", self.insecure);
        to.server_name
            .give_way("--server-name", shown(&self.server_name));
    }
}

fn some_of(list: &[String]) -> Option<Vec<String>> {
    (!list.is_empty()).then(|| list.to_vec())
}

fn shown(text: &Option<String>) -> Option<Shown<String>> {
    text.clone().map(Shown::from)
}

/// The accepted form of stages.
pub const STAGES_FORM: &str = "stages such as `30s:50,2m:50,30s:0` (duration:users)";

/// Reads `30s:50,2m:50,30s:0`: durations with the users at their end.
///
/// # Errors
/// A message for the user that says which part is at fault.
pub fn parse_stages(text: &str) -> Result<Vec<VuStage>, String> {
    text.split(',').map(parse_stage).collect()
}

fn parse_stage(text: &str) -> Result<VuStage, String> {
    let text = text.trim();
    let error = || {
        let text = super::fault::quoted(text);
        format!("{text} is not a stage; expected {STAGES_FORM}")
    };
    let (duration, target_vus) = text.split_once(':').ok_or_else(error)?;
    let duration = units::parse_duration(duration).map_err(|_| error())?;
    let target_vus = target_vus.trim().parse().map_err(|_| error())?;
    Ok(VuStage {
        duration,
        target_vus,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_read() {
        let stages = parse_stages("30s:50, 2m:50,30s:0").expect("three stages");
        let stages: Vec<_> = stages
            .iter()
            .map(|stage| (stage.duration.as_secs(), stage.target_vus))
            .collect();
        assert_eq!(stages, [(30, 50), (120, 50), (30, 0)]);
    }

    #[test]
    fn what_is_no_stage_is_quoted() {
        for text in ["", "30s", "30s:", ":5", "30s:-1", "30s:5,", "x:5", "5:5:5"] {
            assert!(parse_stages(text).is_err(), "{text}");
        }
        assert_eq!(
            parse_stages("30s:5,abc"),
            Err(format!("`abc` is not a stage; expected {STAGES_FORM}"))
        );
    }
}
