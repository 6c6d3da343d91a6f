//! Metrics to a collector of OpenTelemetry: OTLP/HTTP with JSON, a request every five
//! seconds and one at the end.
//!
//! Sums and histograms are cumulative, so a request that is lost costs resolution only.

mod model;

use std::io::Read as _;
use std::thread;
use std::time::Duration;

use ureq::{Agent, Body};

use super::point::SinkPoint;
use super::pump::SinkWriter;
use super::run::SinkRun;
use super::sum::SinkSum;
use crate::address;
use crate::clock;
use crate::error::UserError;
use crate::files::reason;
use crate::http::{blocking_agent, blocking_proxy};
use crate::network::{Network, ProxyChoice};
use crate::protocol::read_retry_after;
use crate::report::exposition::families;
use crate::scenario::Header;
use crate::text::shown_text;
use crate::units::{format_bytes, format_duration, plural, without_zeros};
use model::{OtlpAnswer, OtlpRequest};

/// Between two requests.
const SEND_EVERY: Duration = Duration::from_secs(5);

/// A request may take so long: after one that is under way as a run ends, sinks have time
/// for a last one.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The last request is tried again for so long where the collector says that it is busy:
/// with one request that is under way before it, that is within what all sinks have.
const LAST_TRIES_MAX: Duration = Duration::from_millis(2_500);

/// The first pause between two of these, where the collector asks for none; each further
/// one is twice as long.
const TRY_PAUSE: Duration = Duration::from_millis(250);

/// Answers after which the specification has clients try again (OTLP 1.x, "Failures" of
/// OTLP/HTTP).
const BUSY_STATUSES: [u16; 4] = [429, 502, 503, 504];

/// The largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// Characters that are told of an answer.
const ANSWER_TOLD: usize = 200;

/// Where metrics are sent to where the address names no path, as exporters do it.
const METRICS_PATH: &str = "/v1/metrics";

/// A collector.
pub(super) struct Otlp {
    agent: Agent,
    url: String,
    proxy: ProxyChoice,
    headers: Vec<Header>,
    remark: Option<String>,
}

/// Why a request brought nothing.
struct SendFault {
    why: String,
    busy: Option<CollectorBusy>,
}

/// A collector may take later what it did not take now.
struct CollectorBusy {
    /// What its `Retry-After` asks for.
    wait: Option<Duration>,
}

impl From<String> for SendFault {
    fn from(why: String) -> Self {
        Self { why, busy: None }
    }
}

impl Otlp {
    /// `target`: the server under load, to which names for its certificate belong.
    ///
    /// # Errors
    /// Where the address is not valid, or a file for TLS cannot be used.
    pub(super) fn open(
        url: &str,
        target: &str,
        network: &Network,
        headers: &[Header],
    ) -> Result<Self, UserError> {
        let url = endpoint(url)?;
        let agent = blocking_agent(target, network)?;
        Ok(Self {
            agent,
            url,
            proxy: network.proxy.clone(),
            headers: headers.to_vec(),
            remark: None,
        })
    }

    /// Sends a request, and says what the collector remarks where it took everything.
    fn send(&self, body: &[u8], timeout: Duration) -> Result<Option<String>, SendFault> {
        let mut request = self.agent.post(&self.url);
        request = request.header("Content-Type", "application/json");
        for header in &self.headers {
            request = request.header(header.name.as_str(), header.value.as_str());
        }
        let proxy = blocking_proxy(&self.proxy, &self.url)?;
        let request = request.config().timeout_global(Some(timeout)).proxy(proxy);
        let answer = request.build().send(body);
        let mut answer = answer.map_err(|error| match error {
            ureq::Error::Timeout(_) => format!("no answer within {}", format_duration(timeout)),
            other => why(other),
        })?;
        let status = answer.status();
        let asked = answer.headers().get("retry-after");
        // The clocks of two hosts may be further apart than a date is.
        let wait = asked.and_then(|it| read_retry_after(it.as_bytes(), 0, |_| None));
        let (body, fault) = read(answer.body_mut(), timeout);
        if !status.is_success() {
            let said = match body.trim() {
                "" => String::new(),
                said => format!(": {}", shown_text(said, ANSWER_TOLD)),
            };
            let is_busy = BUSY_STATUSES.contains(&status.as_u16());
            return Err(SendFault {
                why: format!("the collector answered {}{said}", status.as_u16()),
                busy: is_busy.then_some(CollectorBusy { wait }),
            });
        }
        // Whether it took all points stands in the answer.
        if let Some(fault) = fault {
            let status = status.as_u16();
            return Err(format!("the collector answered {status}, but its answer {fault}").into());
        }
        let Ok(answer) = OtlpAnswer::read(&body) else {
            let what = format!(
                "what answered {} is no collector, or not of OTLP/HTTP with JSON: {}",
                status.as_u16(),
                shown_text(body.trim(), ANSWER_TOLD)
            );
            return Err(what.into());
        };
        let (n_rejected, said) = answer.partial();
        let said = shown_text(said.trim(), ANSWER_TOLD);
        if n_rejected > 0 {
            let values = plural(n_rejected, "value", "values");
            let what = format!("the collector refused {values} of the last of them: {said}");
            return Err(what.into());
        }
        Ok(Some(said).filter(|it| !it.is_empty()))
    }
}

/// How long to wait before a try that ends by `left` from now; `None`: there is no time
/// for one.
fn pause(busy: &CollectorBusy, n_tries: u32, left: Duration) -> Option<Duration> {
    let usual = TRY_PAUSE.saturating_mul(2u32.saturating_pow(n_tries.saturating_sub(1)));
    let pause = busy.wait.unwrap_or(usual).max(TRY_PAUSE);
    (pause < left).then_some(pause)
}

impl SinkWriter for Otlp {
    fn write(&mut self, run: &SinkRun, point: &SinkPoint, sum: &SinkSum) -> Result<(), String> {
        let sent = self.send(&body(run, point, sum)?, TIMEOUT);
        self.remark = sent.map_err(|fault| fault.why)?;
        Ok(())
    }

    fn write_last(
        &mut self,
        run: &SinkRun,
        point: &SinkPoint,
        sum: &SinkSum,
    ) -> Result<(), String> {
        let body = body(run, point, sum)?;
        let until = clock::now() + LAST_TRIES_MAX;
        let mut n_tries = 0;
        loop {
            let left = until.saturating_duration_since(clock::now());
            let fault = match self.send(&body, TIMEOUT.min(left)) {
                Ok(remark) => {
                    self.remark = remark;
                    return Ok(());
                }
                Err(fault) => fault,
            };
            n_tries += 1;
            let left = until.saturating_duration_since(clock::now());
            let busy = fault.busy.as_ref();
            let Some(pause) = busy.and_then(|busy| pause(busy, n_tries, left)) else {
                return Err(fault.why);
            };
            #[expect(
                clippy::disallowed_methods,
                reason = "nothing tells of a collector's rest"
            )]
            thread::sleep(pause);
        }
    }

    fn take_remark(&mut self) -> Option<String> {
        self.remark.take()
    }

    fn sums_every(&self) -> Option<Duration> {
        Some(SEND_EVERY)
    }
}

fn body(run: &SinkRun, point: &SinkPoint, sum: &SinkSum) -> Result<Vec<u8>, String> {
    let reading = sum.reading();
    let end = u64::try_from((point.at + point.length).as_nanos()).unwrap_or(u64::MAX);
    let times = [run.start_unix_ns, run.start_unix_ns.saturating_add(end)];
    let request = OtlpRequest::new(&families(&reading), times);
    serde_json::to_vec(&request).map_err(|error| error.to_string())
}

/// The address that requests go to.
fn endpoint(url: &str) -> Result<String, UserError> {
    let checked = address::check(url).map_err(|fault| {
        let shown = address::shown(url);
        if address::has_user_info(url) {
            // `-H` and `[headers]` are for the server under load.
            let what = format!("the collector `{shown}` holds a user name or password");
            return UserError::usage(what).hint(
                "give its credentials as a header in the environment: \
                 `OTEL_EXPORTER_OTLP_HEADERS='Authorization=Bearer%20…'`",
            );
        }
        let error = UserError::usage(format!("the collector `{shown}` {}", fault.message));
        error.hint("give an address such as `otlp=http://127.0.0.1:4318`")
    })?;
    let after_scheme = checked.split_once("://").map_or("", |(_, rest)| rest);
    let is_bare = match after_scheme.split_once('/') {
        None => !after_scheme.contains('?'),
        Some((_, path)) => path.is_empty(),
    };
    Ok(match is_bare {
        true => format!("{}{METRICS_PATH}", checked.trim_end_matches('/')),
        false => checked,
    })
}

/// Without ureq's word for the kind.
fn why(error: ureq::Error) -> String {
    match error {
        ureq::Error::Other(fault) => fault.to_string(),
        ureq::Error::Io(fault) => reason(&fault),
        other => other.to_string(),
    }
}

/// The beginning of an answer, as far as it comes and whatever its bytes are, and why that is
/// not all of it.
fn read(body: &mut Body, timeout: Duration) -> (String, Option<String>) {
    let mut bytes = Vec::new();
    let mut bounded = body.as_reader().take(ANSWER_BYTES_MAX + 1);
    let fault = match bounded.read_to_end(&mut bytes) {
        Ok(n_bytes) if n_bytes as u64 > ANSWER_BYTES_MAX => {
            let most = without_zeros(&format_bytes(ANSWER_BYTES_MAX));
            Some(format!("is longer than {most}"))
        }
        Ok(_) => None,
        Err(error) => match ureq::Error::from(error) {
            ureq::Error::Timeout(_) => {
                Some(format!("did not end within {}", format_duration(timeout)))
            }
            other => Some(format!("broke off: {}", why(other))),
        },
    };
    (String::from_utf8_lossy(&bytes).into_owned(), fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_path_gets_the_usual_one() {
        let check = |url: &str, expected: &str| {
            assert_eq!(endpoint(url).expect("an address"), expected, "{url}");
        };
        check("http://x:4318", "http://x:4318/v1/metrics");
        check("HTTPS://x/", "https://x/v1/metrics");
        check("http://x/otlp/v1/metrics", "http://x/otlp/v1/metrics");
        check("http://x?a=b", "http://x?a=b");
        let error = endpoint("http://me:geheim@x").expect_err("a password");
        assert!(!error.to_string().contains("geheim"), "{error}");
        assert!(!error.to_string().contains("-H"), "{error}");
    }

    #[test]
    fn a_busy_collector_is_asked_again_only_while_there_is_time() {
        let secs = Duration::from_secs;
        let asks = |wait| CollectorBusy { wait };
        let check = |wait, n_tries, left, expected| {
            assert_eq!(
                pause(&asks(wait), n_tries, left),
                expected,
                "{wait:?} {n_tries}"
            );
        };
        check(None, 1, secs(2), Some(TRY_PAUSE));
        check(None, 3, secs(2), Some(TRY_PAUSE * 4));
        check(None, 4, secs(2), None);
        check(None, u32::MAX, secs(2), None);
        check(Some(secs(1)), 1, secs(2), Some(secs(1)));
        check(Some(secs(30)), 1, secs(2), None);
        // One that asks for no pause gets one.
        check(Some(Duration::ZERO), 9, secs(2), Some(TRY_PAUSE));
    }
}
