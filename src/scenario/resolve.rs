//! From what was written and typed to what will be done: the plan.
//!
//! Here defaults are filled in, flags take the place of keys, and keys that
//! exclude each other are reported. Start at [`resolve`]. It knows no TOML.

mod shape;

use std::collections::HashSet;
use std::time::Duration;

use self::shape::Shape;
use super::defaults::{
    BREAK_ERROR_SHARE, DURATION_SECS_MAX, GRACEFUL_STOP_MAX, MESSAGE_BYTES_MAX, PROBE_RATE,
    TIMEOUT, VUS_MAX, WORKERS_MAX,
};
use super::document::{Document, Field, Origin, Text};
use super::fault::{NO_SERVER, quoted};
use super::header::check_header;
use super::overrides::Overrides;
use super::plan::{
    Action, AsWritten, BreakRule, Header, Plan, Population, SessionRule, Step, Target, WorkerRule,
};
use super::raw::{Config, Settings, StepEntry, constant_think, is_there};
use super::secret::{hide_credentials, without_credentials};
use crate::address;
use crate::protocol::{Arguments, Era, Operation, ProtocolChoice};
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
        as_written: AsWritten {
            secrets: config.secrets,
            ..AsWritten::default()
        },
    };
    let mut settings = config.settings;
    give_way_to_flags(&mut settings, overrides);
    let seed = settings.seed.or_flag("--seed", overrides.seed).value;
    resolver.as_written.is_seed_drawn = seed.is_none();
    let protocol = settings
        .protocol
        .or_flag("--protocol", overrides.protocol)
        .value
        .unwrap_or_default();
    let cookies = settings
        .cookies
        .or_flag("--cookies", overrides.cookies)
        .value
        .unwrap_or(false);
    let own_url = settings.url.clone();
    let url = resolver.url(settings.url);
    let withheld = resolver.withheld(&own_url, &url, config.header_names);
    let headers = resolver.headers(config.headers, &withheld);
    let steps = resolver.steps(has_config, config.scenario, protocol);

    let think = overrides.think.map(constant_think);
    let shape = Shape {
        vus: settings.virtual_users,
        duration_secs: settings.duration_secs,
        duration: settings.duration.or_flag("--duration", overrides.duration),
        iterations: settings
            .iterations
            .or_flag("--iterations", overrides.iterations),
        ramp_up: settings.ramp_up.or_flag("--ramp-up", overrides.ramp_up),
        pacing: settings.pacing.or_flag("--pacing", overrides.pacing),
        think: settings.think.or_flag("--think", think),
        pause_after_call: settings.request_interval,
        warm_up: settings.warm_up.or_flag("--warm-up", overrides.warm_up),
    };
    if settings.expected_interval_ms.is_given() {
        resolver.notices.push(
            "`settings.expected_interval_ms` is ignored: samples are never invented".to_string(),
        );
    }
    let (load, stop) = resolver.load(&shape, config.stages, config.arrivals);
    resolver.check_session(&settings.session, protocol);

    let timeout = settings.timeout.or_flag("--timeout", overrides.timeout);
    let timeout = resolver.above_zero(&timeout).unwrap_or(TIMEOUT);
    let graceful_stop = settings
        .graceful_stop
        .or_flag("--graceful-stop", overrides.graceful_stop)
        .value
        .unwrap_or(timeout.min(GRACEFUL_STOP_MAX));
    let message_bytes_max = settings
        .message_bytes_max
        .value
        .and_then(|bytes| usize::try_from(bytes).ok())
        .unwrap_or(MESSAGE_BYTES_MAX);

    Plan {
        target: Target {
            url,
            headers,
            protocol,
            cookies,
        },
        load,
        stop,
        timeout,
        graceful_stop,
        populations: Population::everyone(&steps),
        steps,
        think: shape.think.value.unwrap_or_default(),
        pause_after_call: shape.pause_after_call.value.unwrap_or_default(),
        session: settings.session.value.unwrap_or(SessionRule {
            iterations: None,
            lifetime: None,
            abandon: 0.0,
        }),
        warm_up: shape.warm_up.value.unwrap_or_default(),
        breaking: BreakRule {
            stop: settings
                .stop_on_break
                .or_flag("--on-break", overrides.stop_on_break)
                .value
                .unwrap_or(false),
            latency_max: settings.break_p99.value,
            error_share_max: settings
                .break_error_share
                .value
                .unwrap_or(BREAK_ERROR_SHARE),
        },
        message_bytes_max,
        // The flag only says that there is one: the rate is the config's.
        probe: settings
            .probe
            .value
            .or(overrides.probe.then_some(PROBE_RATE)),
        seed: seed.unwrap_or(default_seed),
        workers: resolver.workers(settings.workers, settings.pin, settings.busy_poll),
        strict: settings
            .strict
            .or_flag("--strict", overrides.strict)
            .value
            .unwrap_or(false),
        // A matter of the host, not of the config.
        reference: None,
        notices: resolver.notices,
        as_written: resolver.as_written,
    }
}

/// A load on the command line takes the place of the config's, with all that
/// belonged to that one alone.
fn give_way_to_flags(settings: &mut Settings, overrides: &Overrides) {
    if overrides.stages.is_some() {
        settings.duration = Field::default();
        settings.duration_secs = Field::default();
        settings.ramp_up = Field::default();
    }
    if overrides.rate.is_some() {
        settings.ramp_up = Field::default();
        settings.pacing = Field::default();
        settings.think = Field::default();
        settings.request_interval = Field::default();
    }
}

/// What grows while the parts are resolved.
struct Resolver<'a> {
    document: &'a Document<'a>,
    overrides: &'a Overrides,
    notices: Vec<String>,
    as_written: AsWritten,
}

impl Resolver<'_> {
    fn url(&mut self, configured: Field<Text>) -> String {
        if let Some(url) = &self.overrides.url {
            self.document.forgive_unset(|key| key == "settings.url");
            return self.checked_url(&Origin::Flag("URL"), url, true);
        }
        if let Some(origin) = &configured.origin {
            let Some(text) = configured.value else {
                return String::new();
            };
            let has_references = text.written.contains("${");
            if has_references {
                // A password in a default would be shown with the rest.
                self.as_written.url = Some(address::shown(&text.written));
            }
            return self.checked_url(origin, &text.value, !has_references);
        }
        if let Some(url) = &self.overrides.default_url {
            self.notices.push(
                "the config has no `settings.url`: a run needs an address as its first argument"
                    .to_string(),
            );
            return self.checked_url(&Origin::Flag("URL"), url, true);
        }
        let accepted = format!(
            "{} as an argument, or as `url` under `[settings]`",
            address::FORM
        );
        self.document.report_flag("URL", NO_SERVER, Some(&accepted));
        String::new()
    }

    fn checked_url(&mut self, origin: &Origin, url: &str, may_be_quoted: bool) -> String {
        match address::check(url) {
            Ok(url) => {
                self.as_written.secrets.extend(address::secrets(&url));
                url
            }
            Err(fault) => {
                let accepted = match fault.suggestion {
                    Some(url) if may_be_quoted => format!("`{url}`"),
                    _ => address::FORM.to_string(),
                };
                self.document.blame(origin, fault.message, Some(&accepted));
                String::new()
            }
        }
    }

    /// The names of the config's headers where they must not be sent: they are
    /// for the origin of the config's own address, and `url` is elsewhere. A
    /// config without an address says that they go wherever the user goes.
    fn withheld(&mut self, own: &Field<Text>, url: &str, names: Vec<String>) -> Vec<String> {
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
            Some(text) if address::check(&text.written).is_ok() => format!(
                "they belong to its own address, {}, and this run goes to {}",
                address::origin(&text.written),
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

    /// Those of the config, less those that a flag replaces or that are
    /// withheld, then the flags'.
    fn headers(&self, configured: Vec<Header>, withheld: &[String]) -> Vec<Header> {
        let is_withheld = |header: &Header| {
            withheld
                .iter()
                .any(|name| name.eq_ignore_ascii_case(&header.name))
        };
        let mut given = Vec::new();
        for header in &self.overrides.headers {
            given.extend(self.checked_header(header));
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
                headers.extend(self.checked_header(header));
            }
        }
        headers
    }

    fn checked_header(&self, header: &Header) -> Option<Header> {
        match check_header(&header.name, &header.value) {
            Ok(header) => Some(header),
            Err(message) => {
                let name = quoted(&header.name);
                self.document
                    .report_flag("--header", format!("{name} {message}"), None);
                None
            }
        }
    }

    fn steps(
        &mut self,
        has_config: bool,
        scenario: Field<Vec<StepEntry>>,
        protocol: ProtocolChoice,
    ) -> Vec<Step> {
        let one = |operation| {
            vec![Step {
                action: Action::Call(operation),
                weight: 1,
                parallel: 1,
            }]
        };
        let mut scenario = scenario;
        if let Some((name, arguments)) = &self.overrides.tool {
            let mut of_tool = scenario.value.take().unwrap_or_default();
            of_tool.retain(|entry| arguments.is_none() && entry.tool.as_ref() == Some(name));
            // By key, since there may be many of either.
            let kept: HashSet<&str> = of_tool.iter().map(|entry| entry.key.as_str()).collect();
            self.document.forgive_unset(|key| {
                let end = key.find(']').map_or(key.len(), |at| at + 1);
                key.starts_with("scenario[") && !kept.contains(&key[..end])
            });
            if of_tool.is_empty() {
                return one(self.tool(name, arguments.clone()));
            }
            // The user asks for them, whatever the weights say.
            if of_tool.iter().all(|entry| entry.weight == 0) {
                for entry in &mut of_tool {
                    entry.weight = 1;
                }
            }
            scenario.value = Some(of_tool);
        }
        let Some(origin) = &scenario.origin else {
            if has_config {
                self.document.report_missing(
                    "scenario",
                    "there is nothing to do",
                    "at least one entry that begins with `[[scenario]]`",
                );
            } else {
                self.notices.push(
                    "this only lists the server's tools, again and again: \
                     `--tool NAME --args JSON` calls one, and `init` writes a config that calls \
                     them all"
                        .to_string(),
                );
            }
            return one(Operation::ListTools);
        };
        let entries = scenario.value.unwrap_or_default();
        let total: u64 = entries.iter().map(|entry| u64::from(entry.weight)).sum();
        if entries.is_empty() {
            self.document.blame(origin, "there is nothing to do", None);
        } else if total == 0 {
            let accepted = Some("a `weight` above 0 for at least one entry");
            self.document
                .blame(origin, "every weight is zero", accepted);
        } else if total > u64::from(u32::MAX) {
            let accepted = format!("a sum of at most {}", u32::MAX);
            self.document
                .blame(origin, "the weights are too large", Some(&accepted));
        }
        let mut steps = Vec::new();
        for entry in entries {
            let Some((action, shown)) = entry.action else {
                continue;
            };
            if is_modern(protocol) && action == Action::Call(Operation::Ping) && entry.weight > 0 {
                let message = "has a `ping`, which the chosen protocol does not know";
                let accepted = Some("another step, or a legacy protocol");
                self.document.blame(origin, message, accepted);
            }
            self.as_written.actions.push(shown);
            steps.push(Step {
                action,
                weight: entry.weight,
                parallel: entry.parallel,
            });
        }
        steps
    }

    fn tool(&mut self, name: &str, arguments: Option<Arguments>) -> Operation {
        if name.trim().is_empty() {
            let accepted = Some("the name of a tool");
            self.document.report_flag("--tool", "is empty", accepted);
        }
        let shown = arguments.as_ref().map(|arguments| {
            let mut values = arguments.values().clone();
            hide_credentials(&mut values, &mut self.as_written.secrets);
            // The text, since it has every digit, unless it cannot be read again.
            Arguments::read(&without_credentials(arguments.json()))
                .unwrap_or_else(|_| values.into())
        });
        let call = |arguments| Operation::CallTool {
            name: name.to_string(),
            arguments,
        };
        self.as_written.actions = vec![Action::Call(call(shown))];
        call(arguments)
    }

    fn check_session(&mut self, session: &Field<SessionRule>, protocol: ProtocolChoice) {
        if is_modern(protocol) && session.is_given() {
            self.notices.push(format!(
                "`settings.session` has no effect: the protocol `{protocol}` has no sessions"
            ));
        }
    }

    fn workers(&self, count: Field<usize>, pin: Field<bool>, busy_poll: Field<bool>) -> WorkerRule {
        let count = count.or_flag("--workers", self.overrides.workers);
        if let (Some(value), Some(origin)) = (count.value, &count.origin)
            && !(1..=WORKERS_MAX).contains(&(value as u64))
        {
            let accepted = format!("a whole number from 1 to {WORKERS_MAX}");
            self.document
                .blame(origin, "is out of bounds", Some(&accepted));
        }
        WorkerRule {
            count: count.value,
            pin: pin
                .or_flag("--no-pin", self.overrides.pin)
                .value
                .unwrap_or(true),
            busy_poll: busy_poll
                .or_flag("--busy-poll", self.overrides.busy_poll)
                .value
                .unwrap_or(false),
        }
    }

    /// The value, where it is more than zero and no longer than a year.
    fn above_zero(&self, field: &Field<Duration>) -> Option<Duration> {
        let (value, origin) = (field.value?, field.origin.as_ref()?);
        if value.is_zero() {
            self.document
                .blame(origin, "is zero", Some(units::DURATION_FORM));
            return None;
        }
        if value > YEAR {
            self.too_long(field);
            return None;
        }
        Some(value)
    }

    fn too_long(&self, field: &Field<Duration>) {
        if let Some(origin) = &field.origin {
            let accepted = Some(units::DURATION_FORM);
            self.document
                .blame(origin, "is longer than a year", accepted);
        }
    }

    /// A number of users, from 1.
    fn count(&self, field: &Field<u32>) -> Option<u32> {
        let (value, origin) = (field.value?, field.origin.as_ref()?);
        if !(1..=VUS_MAX).contains(&value) {
            let message = if value == 0 {
                "is zero".to_string()
            } else {
                format!("`{value}` is out of bounds")
            };
            let accepted = format!("a whole number from 1 to {VUS_MAX}");
            self.document.blame(origin, message, Some(&accepted));
            return None;
        }
        Some(value)
    }
}

fn is_modern(protocol: ProtocolChoice) -> bool {
    match protocol {
        ProtocolChoice::Auto => false,
        ProtocolChoice::Era(era) => era == Era::Modern,
        ProtocolChoice::Revision(revision) => revision.era() == Era::Modern,
    }
}

const YEAR: Duration = Duration::from_secs(DURATION_SECS_MAX);
