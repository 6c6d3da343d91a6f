//! From what was written and typed to what will be done: the plan.
//!
//! Here defaults are filled in, and keys that exclude each other are reported, once
//! flags have taken the place of keys ([`Overrides`]). Start at [`resolve`]. It knows no
//! TOML.

mod data;
mod flows;
mod network;
mod populations;
mod shape;
mod threshold;
mod tls;

use std::path::PathBuf;
use std::time::Duration;

use super::defaults::{
    DURATION_SECS_MAX, GRACEFUL_STOP_MAX, PROBE_RATE, SEGMENT_SEED, TASK_TIMEOUT, TIMEOUT, VUS_MAX,
    WORKERS_MAX,
};
use super::document::{Document, Field, Origin, Use};
use super::fault::{NO_SERVER, quoted};
use super::header::{Header, check_header};
use super::overrides::Overrides;
use super::plan::{Plan, Target, TokenOrigin, TokenPlan};
use super::raw::{Config, PopulationEntry, Settings, TokenText, is_there};
use super::shown::Shown;
use crate::address;
use crate::protocol::{Era, ProtocolChoice};
use crate::template;
use crate::units;

/// The plan. Where a fault was reported, by the reading before or here, it
/// holds a default instead and must not be run.
pub(super) fn resolve(
    document: &Document<'_>,
    config: Option<Config>,
    overrides: &Overrides,
    default_seed: u64,
) -> Plan {
    let has_config = config.is_some();
    let config = config.unwrap_or_default();
    let mut resolver = Resolver {
        document,
        overrides,
        notices: Vec::new(),
        data_files: Vec::new(),
    };
    let mut settings = config.settings;
    overrides.apply_to(&mut settings);
    let protocol = settings.protocol.value.unwrap_or_default();
    if !settings.url.is_given() {
        settings.url = resolver.first_url(&config.populations);
    }
    let url = resolver.url(&settings.url);
    let credentials = token_keys(&settings).chain(config.header_names);
    let credentials = credentials.chain(names_beside(&config.populations));
    let mut withheld = resolver.withheld(&settings.url, &url.value, credentials.collect());
    for entry in beside(&config.populations).filter(|_| !withheld.is_empty()) {
        let headers = format!("{}.headers.", entry.place.key);
        document.forgive_unset(|key| key.starts_with(&headers));
    }
    let not_sent = withheld.clone();
    let mut header_uses = config.header_uses;
    let token = resolver.token(&mut settings, &config.headers, &withheld);
    let token = token.map(|(token, uses)| {
        header_uses.extend(uses);
        // Nothing else takes its place, from the environment least of all.
        withheld.push(AUTHORIZATION.to_string());
        token
    });
    let mut target = Target::checked(url);
    target.headers = resolver.headers(config.headers, &withheld);
    header_uses.extend(document.take_uses());
    target.protocol = protocol;
    target.cookies = settings.cookies.value.unwrap_or(target.cookies);
    target.respect_retry_after = settings.respect_retry_after.value.unwrap_or_default();
    let n_stages = config.stages.value.as_ref().map_or(0, Vec::len);
    // One user that tries each step once needs none.
    target.listen = settings.listen.value.unwrap_or(target.listen) && !overrides.is_trial;
    target.subscribe = settings.subscribe.value.take().unwrap_or_default();
    if overrides.is_trial {
        target.subscribe.clear();
    }
    let flow_names = resolver.flow_names([&config.scenario, &config.flows]);
    let has_other_load = config.stages.is_given() || config.arrivals.is_given();
    resolver.count_users(&config.populations, &mut settings, has_other_load);
    let flows = [&config.scenario, &config.flows];
    let names = resolver.configured_names(flows, &config.populations, n_stages);
    let mut data = resolver.data(config.data);
    resolver.check_of_session(&header_uses, &mut data);
    resolver.tell_of_sessions(&header_uses, &data);
    let flows = resolver.flows(
        has_config,
        config.scenario,
        config.flows,
        &mut data,
        protocol,
    );
    let mut plan = Plan::new(target, flows);
    plan.token = token;

    if settings.expected_interval_ms.is_given() {
        resolver.notices.push(
            "`settings.expected_interval_ms` is ignored: samples are never invented".to_string(),
        );
    }
    (plan.load, plan.stop) = resolver.load(&settings, config.stages, config.arrivals);
    plan.network = resolver.network(&settings, &plan.target.url.value).into();
    resolver.check_subscribe(&settings, &config.populations);
    let populations = config.populations;
    plan.populations = resolver.populations(populations, &flow_names, &not_sent, &mut data, &plan);
    resolver.use_data(data, &mut plan);
    plan.data_files = std::mem::take(&mut resolver.data_files);
    plan.segment = resolver.segment(&plan);
    if is_modern(protocol) && settings.session.is_given() {
        resolver.notices.push(format!(
            "`settings.session` has no effect: the protocol `{protocol}` has no sessions"
        ));
    }

    plan.timeout = resolver.above_zero(&settings.timeout).unwrap_or(TIMEOUT);
    let task_timeout = resolver.above_zero(&settings.task_timeout);
    plan.task_timeout = task_timeout.unwrap_or(TASK_TIMEOUT);
    let has_tasks = plan.calls().any(|call| call.task);
    if let (Some(place), false) = (&settings.task_timeout.origin, has_tasks) {
        resolver.notices.push(format!(
            "`{}` has no effect: no call takes a task for an answer, as with `--task` or \
             `task = true` on a step",
            place.key
        ));
    }
    let longest = match has_tasks {
        true => plan.timeout.max(plan.task_timeout),
        false => plan.timeout,
    };
    let graceful_stop = settings.graceful_stop.value;
    plan.graceful_stop = graceful_stop.unwrap_or(longest.min(GRACEFUL_STOP_MAX));
    plan.pause_after_call = settings.request_interval_ms.value.unwrap_or_default();
    plan.session = settings.session.value.unwrap_or_default();
    plan.preflight = settings.preflight.value.unwrap_or(plan.preflight);
    plan.warm_up = settings.warm_up.value.unwrap_or_default();
    let breaking = &mut plan.breaking;
    breaking.stop = settings.on_break.value.unwrap_or(breaking.stop);
    breaking.latency_max = settings.break_p99.value;
    let error_share_max = settings.break_error_share.value;
    breaking.error_share_max = error_share_max.unwrap_or(breaking.error_share_max);
    let message_bytes_max = settings.message_bytes_max.value;
    plan.message_bytes_max = message_bytes_max
        .and_then(|bytes| usize::try_from(bytes).ok())
        .unwrap_or(plan.message_bytes_max);
    // The flag only says that there is one: the rate is the config's.
    let probe_of_flag = overrides.probe.then_some(PROBE_RATE);
    plan.probe = settings.probe.value.or(probe_of_flag);
    // Parts of one load have to agree on it.
    let of_parts = (!plan.segment.is_whole()).then_some(SEGMENT_SEED);
    let seed = settings.seed.value.or(of_parts);
    plan.streams = settings.streams.value.unwrap_or_default();
    plan.trace = settings.trace.value.unwrap_or_default();
    plan.histograms = settings.histograms.value.unwrap_or(plan.histograms);
    plan.is_seed_drawn = seed.is_none();
    plan.seed = seed.unwrap_or(default_seed);
    resolver.check_workers(&settings.workers);
    plan.workers.count = settings.workers.value;
    plan.workers.pin = settings.pin.value.unwrap_or(plan.workers.pin);
    plan.workers.busy_poll = settings.busy_poll.value.unwrap_or(plan.workers.busy_poll);
    plan.strict = settings.strict.value.unwrap_or(plan.strict);
    plan.think = settings.think.value.unwrap_or_default();
    let mut plan = resolver.one_population(plan);
    if !plan.takes_tokens() {
        plan.token = None;
    }
    resolver.check_targets(&settings, &plan);
    plan.thresholds = resolver.thresholds(config.thresholds, &names, &plan);
    resolver.tell_unknown();
    plan.notices = resolver.notices;
    plan
}

/// What grows while the parts are resolved.
struct Resolver<'a> {
    document: &'a Document<'a>,
    overrides: &'a Overrides,
    notices: Vec<String>,
    data_files: Vec<PathBuf>,
}

impl Resolver<'_> {
    /// Tells what has the braces of a template and is sent as it stands.
    fn tell_unknown(&mut self) {
        let unknown = self.document.take_unknown();
        let told = unknown.iter().take(UNKNOWN_TOLD);
        let mut told: Vec<String> = told
            .map(|(key, text)| format!("{} ({key})", quoted(text)))
            .collect();
        if told.is_empty() {
            return;
        }
        if unknown.len() > told.len() {
            told.push("…".to_string());
        }
        self.notices.push(format!(
            "what is not a template is sent as it stands in a config without `[[flow]]` and \
             `[data]`: {}",
            told.join(", ")
        ));
    }

    fn url(&mut self, configured: &Field<Shown<String>>) -> Shown<String> {
        if let Some(url) = &self.overrides.url {
            self.document.forgive_unset(|key| key == "settings.url");
            return self.checked_url(&Origin::flag("URL"), url, None);
        }
        if let Some(place) = &configured.origin {
            let Some(text) = &configured.value else {
                return Shown::from(String::new());
            };
            let written = Some(text.shown.as_str()).filter(|written| *written != text.value);
            return self.checked_url(place, &text.value, written);
        }
        if let Some(url) = &self.overrides.default_url {
            self.notices.push(
                "the config has no `settings.url`: a run needs an address as its first argument"
                    .to_string(),
            );
            return self.checked_url(&Origin::flag("URL"), url, None);
        }
        let accepted = format!(
            "{} as an argument, or as `url` under `[settings]`",
            address::FORM
        );
        let is_mistyped = |table, key| self.document.is_mistyped(table, &[key]);
        if !is_mistyped("settings", "url") && !is_mistyped("", "settings") {
            self.refuse_flag("URL", NO_SERVER, &*accepted);
        }
        Shown::from(String::new())
    }

    /// `written`: as it is in the config, where it has references in it. It is
    /// shown then, and the values of the references are not.
    fn checked_url(&self, place: &Origin, url: &str, written: Option<&str>) -> Shown<String> {
        match address::check(url) {
            Ok(url) => Shown {
                // A password in a default would be shown with the rest.
                shown: address::shown(written.unwrap_or(&url)),
                value: url,
            },
            Err(fault) => {
                let accepted = match fault.suggestion {
                    Some(url) if written.is_none() => format!("`{url}`"),
                    _ => address::FORM.to_string(),
                };
                self.document.report(place, fault.message, &*accepted);
                Shown::from(String::new())
            }
        }
    }

    /// The names of the config's headers where they must not be sent: they are
    /// for the origin of the config's own address, and `url` is elsewhere. A
    /// config without an address says that they go wherever the user goes.
    fn withheld(
        &mut self,
        own: &Field<Shown<String>>,
        url: &str,
        names: Vec<String>,
    ) -> Vec<String> {
        if self.overrides.url.is_none() || !own.is_given() || names.is_empty() {
            return Vec::new();
        }
        let own_url = own
            .value
            .as_ref()
            .and_then(|text| address::check(&text.value).ok());
        let is_same = own_url.as_ref().is_some_and(|own_url| {
            url.is_empty() || address::origin(own_url) == address::origin(url)
        });
        if is_same {
            return Vec::new();
        }
        self.document
            .forgive_unset(|key| key.starts_with("headers."));
        let of_whom = match &own.value {
            Some(text) if address::check(&text.shown).is_ok() => format!(
                "they belong to its own address, {}, and this run goes to {}",
                address::origin(&text.shown),
                address::origin(url)
            ),
            _ if own_url.is_some() => format!(
                "they belong to its own address, and this run goes to {}",
                address::origin(url)
            ),
            _ => format!(
                "the config has no address (`settings.url`) that they belong to, and this run \
                 goes to {}",
                address::origin(url)
            ),
        };
        let shown: Vec<String> = names.iter().take(5).map(|name| quoted(name)).collect();
        let more = if names.len() > shown.len() {
            ", …"
        } else {
            ""
        };
        self.notices.push(format!(
            "the headers of the config ({}{more}) are not sent: {of_whom}; give the headers for it \
             with `-H`",
            shown.join(", "),
        ));
        names
    }

    /// Where tokens come from, with the templates in it. A flag takes the place of what
    /// the config says of tokens and of the header that carries them; two of one kind
    /// exclude each other.
    fn token(
        &self,
        settings: &mut Settings,
        configured: &[Header],
        withheld: &[String],
    ) -> Option<(TokenPlan, Vec<Use>)> {
        let flags = self.overrides;
        let is_token = |header: &Header| header.name.eq_ignore_ascii_case(AUTHORIZATION);
        let is_by_flag = flags.token_command.is_some() || flags.token_file.is_some();
        let is_withheld = |key: &str| withheld.iter().any(|name| name == key);
        let (command, file) = match is_by_flag {
            true => (
                self.token_of_flag("--token-command", flags.token_command.as_deref()),
                self.token_of_flag("--token-file", flags.token_file.as_deref()),
            ),
            false => (
                std::mem::take(&mut settings.token_command),
                std::mem::take(&mut settings.token_file),
            ),
        };
        let counts =
            |key, it: &Field<TokenText>| it.is_given() && (is_by_flag || !is_withheld(key));
        let has_command = counts(TOKEN_COMMAND, &command);
        let has_file = counts(TOKEN_FILE, &file);
        let first = match (has_command, has_file) {
            (false, false) => return None,
            (true, _) => &command,
            (false, true) => &file,
        };
        if has_command && has_file {
            let message = "is given beside a token command";
            self.refuse(&file, message, "a token command or a token file");
        }
        let has_header = match flags.headers.iter().any(is_token) {
            // The flag is all that is said of tokens.
            true if !is_by_flag => return None,
            true => true,
            false => !is_by_flag && configured.iter().any(is_token),
        };
        if has_header {
            let message = "is given beside the header `Authorization`, which carries the token";
            self.refuse(first, message, "one of them");
        }
        let command = command.value.filter(|_| has_command);
        let (origin, uses) = match (command, file.value) {
            (Some((line, uses)), _) => (TokenOrigin::Command(line.value), uses),
            (None, Some((path, uses))) => (TokenOrigin::File(path), uses),
            (None, None) => return None,
        };
        Some((TokenPlan::new(origin), uses))
    }

    /// What a flag says of tokens. Its templates are taken with those of the headers.
    fn token_of_flag(&self, flag: &str, written: Option<&str>) -> Field<TokenText> {
        let Some(written) = written else {
            return Field::default();
        };
        let origin = Origin::flag(flag);
        if written.trim().is_empty() {
            self.refuse_flag(flag, "is empty", None);
        }
        let as_it_stands = |text: &str| Some(text.to_string().into());
        let text = self.document.understand(&origin, written, as_it_stands);
        Field {
            value: text.map(|text| (text, Vec::new())),
            origin: Some(origin),
        }
    }

    /// Those of the config, less those that a flag replaces or that are
    /// withheld, then the flags'.
    fn headers(&self, configured: Vec<Header>, withheld: &[String]) -> Vec<Header> {
        let is_withheld = |header: &Header| {
            withheld
                .iter()
                .any(|name| name.eq_ignore_ascii_case(&header.name))
        };
        let mut given = Vec::new();
        let as_it_stands = |text: &str| Some(text.to_string().into());
        for header in &self.overrides.headers {
            let place = Origin::flag("--header");
            let value = self
                .document
                .understand(&place, &header.value, as_it_stands);
            if let Some(Shown { value, .. }) = value {
                let name = header.name.clone();
                given.extend(self.checked_header(&Header { name, value }));
            }
        }
        let mut headers: Vec<Header> = configured
            .into_iter()
            .filter(|header| !is_there(&given, header) && !is_withheld(header))
            .collect();
        headers.extend(given);
        for header in &self.overrides.default_headers {
            // What the config has for one address is not taken from the
            // environment for another.
            if !is_there(&headers, header) && !is_withheld(header) {
                let literal = Header {
                    name: header.name.clone(),
                    value: template::escape(&header.value),
                };
                headers.extend(self.checked_header(&literal));
            }
        }
        headers
    }

    fn checked_header(&self, header: &Header) -> Option<Header> {
        match check_header(&header.name, &header.value) {
            Ok(header) => Some(header),
            Err(message) => {
                let name = quoted(&header.name);
                self.refuse_flag("--header", format!("{name} {message}"), None);
                None
            }
        }
    }

    fn check_workers(&self, count: &Field<usize>) {
        let is_possible = |count: usize| (1..=WORKERS_MAX).contains(&(count as u64));
        if count.value.is_some_and(|count| !is_possible(count)) {
            let accepted = format!("a whole number from 1 to {WORKERS_MAX}");
            self.refuse(count, "is out of bounds", &*accepted);
        }
    }

    /// Reports a fault of what a key or flag gave.
    fn refuse<'s, T>(
        &self,
        field: &Field<T>,
        message: impl Into<String>,
        accepted: impl Into<Option<&'s str>>,
    ) {
        if let Some(place) = &field.origin {
            self.document.report(place, message, accepted);
        }
    }

    /// Reports a fault of a flag, or of a variable.
    fn refuse_flag<'s>(
        &self,
        flag: &str,
        message: impl Into<String>,
        accepted: impl Into<Option<&'s str>>,
    ) {
        self.document.report(&Origin::flag(flag), message, accepted);
    }

    /// The value, where it is more than zero and no longer than a year.
    fn above_zero(&self, field: &Field<Duration>) -> Option<Duration> {
        let message = match field.value? {
            value if value.is_zero() => "is zero",
            value if value > YEAR => "is longer than a year",
            value => return Some(value),
        };
        self.refuse(field, message, units::DURATION_FORM);
        None
    }

    /// A number of users, from 1.
    fn count(&self, field: &Field<u32>) -> Option<u32> {
        let message = match field.value? {
            0 => "is zero".to_string(),
            value if value > VUS_MAX => format!("`{value}` is out of bounds"),
            value => return Some(value),
        };
        let accepted = format!("a whole number from 1 to {VUS_MAX}");
        self.refuse(field, message, &*accepted);
        None
    }
}

/// The header that carries a token.
const AUTHORIZATION: &str = "Authorization";
const TOKEN_COMMAND: &str = "settings.token_command";
const TOKEN_FILE: &str = "settings.token_file";

/// The keys that say where tokens come from, of those that are given.
fn token_keys(settings: &Settings) -> impl Iterator<Item = String> + use<> {
    let keys = [
        (TOKEN_COMMAND, settings.token_command.is_given()),
        (TOKEN_FILE, settings.token_file.is_given()),
    ];
    let given = keys.into_iter().filter(|(_, is_given)| *is_given);
    given.map(|(key, _)| key.to_string())
}

/// The populations that speak to the config's own address.
fn beside(populations: &Field<Vec<PopulationEntry>>) -> impl Iterator<Item = &PopulationEntry> {
    let entries = populations.value.iter().flatten();
    entries.filter(|entry| !entry.keys.url.is_given())
}

/// The names of the headers that these send there.
fn names_beside(populations: &Field<Vec<PopulationEntry>>) -> impl Iterator<Item = String> {
    let headers = beside(populations).filter_map(|entry| entry.keys.headers.value.as_ref());
    headers.flat_map(|headers| headers.names.clone())
}

fn is_modern(protocol: ProtocolChoice) -> bool {
    chosen_era(protocol) == Some(Era::Modern)
}

/// `None`: it is found out.
fn chosen_era(protocol: ProtocolChoice) -> Option<Era> {
    match protocol {
        ProtocolChoice::Auto => None,
        ProtocolChoice::Era(era) => Some(era),
        ProtocolChoice::Revision(revision) => Some(revision.era()),
    }
}

/// Texts with braces that are told one by one.
const UNKNOWN_TOLD: usize = 5;

const YEAR: Duration = Duration::from_secs(DURATION_SECS_MAX);
