//! Requests to authorization servers: few, blocking, each with a deadline, bounded in
//! what is read. The load never passes here.

use std::time::{Duration, Instant};

use serde_json::Value;
use ureq::http::Response;
use ureq::{Agent, Body, Proxy};

use super::grant::clipped;
use super::urls;
use crate::auth::Fault;
use crate::clock;
use crate::http::{blocking_agent, blocking_fault, blocking_proxy};
use crate::network::{Network, ProxyChoice};
use crate::protocol::read_retry_after;

/// The largest answer that is read, in bytes. Metadata of large services has some 10 KiB.
const BODY_BYTES_MAX: u64 = 256 << 10;

/// Redirects that metadata may make, at most. Nothing else is redirected.
const REDIRECTS_MAX: u32 = 3;

/// What was answered.
pub(super) struct IssuerReply {
    pub(super) status: u16,
    pub(super) body: String,
    /// The values of `Content-Encoding` and `Content-Type`.
    coding: Option<String>,
    content_type: Option<String>,
    /// The value of `WWW-Authenticate`; several are joined.
    pub(super) challenge: Option<String>,
    /// `Retry-After`, where it says seconds: as many as it says.
    pub(super) retry_after: Option<Duration>,
}

impl IssuerReply {
    /// The body as a JSON object; `None` where it is not one.
    pub(super) fn object(&self) -> Option<Value> {
        let value = serde_json::from_str(&self.body).ok();
        value.filter(Value::is_object)
    }

    /// For the user, what came where a JSON object was wanted: `answered 404`, `answered 200
    /// with `text/html` and not with a JSON object`.
    pub(super) fn told(&self) -> String {
        let status = self.status;
        let coding = self.coding.as_deref().filter(|it| *it != "identity");
        let content_type = self.content_type.as_deref();
        let content_type = content_type.and_then(|it| it.split(';').next());
        match (status, coding, content_type) {
            (200..300, Some(coding), _) => format!(
                "answered {status} in the coding `{}`, which nobody asked for",
                clipped(coding)
            ),
            (200..300, None, Some(content_type)) => format!(
                "answered {status} with `{}` and not with a JSON object",
                clipped(content_type)
            ),
            (200..300, None, None) => format!("answered {status} and not with a JSON object"),
            _ => format!("answered {status}"),
        }
    }
}

/// Makes the requests of one login or run.
pub(super) struct Wire {
    /// Reaches issuers by the rules, from the addresses and with the trust of the load.
    agent: Agent,
    /// Which proxy issuers are reached by.
    proxy: ProxyChoice,
    /// The MCP server: what it is reached by says what else may be.
    pub(super) target: String,
}

impl Wire {
    /// # Errors
    /// When a file that the user named cannot be used.
    pub(super) fn new(target: &str, network: &Network) -> Result<Self, String> {
        let agent = blocking_agent(target, network);
        Ok(Self {
            agent: agent.map_err(|error| error.what().to_string())?,
            proxy: network.proxy.clone(),
            target: target.to_string(),
        })
    }

    /// Gets a document, such as metadata.
    pub(super) fn get(&self, url: &str, deadline: Instant) -> Result<IssuerReply, Fault> {
        self.ask(url, deadline, |agent, left, proxy| {
            let request = agent.get(url).header("Accept", "application/json");
            let request = request.config().timeout_global(Some(left));
            let request = request
                .proxy(proxy)
                .max_redirects(REDIRECTS_MAX)
                .https_only(url.starts_with("https:"));
            request.build().call()
        })
    }

    /// Posts a form, such as a token request; `authorization` is the header's value.
    pub(super) fn post_form(
        &self,
        url: &str,
        form: &[(&str, &str)],
        authorization: Option<&str>,
        deadline: Instant,
    ) -> Result<IssuerReply, Fault> {
        let mut headers = vec![
            ("Accept", "application/json"),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ];
        headers.extend(authorization.map(|value| ("Authorization", value)));
        self.post(url, &headers, &urls::form(form), deadline)
    }

    /// Posts a JSON value.
    pub(super) fn post_json(
        &self,
        url: &str,
        accept: &str,
        value: &Value,
        deadline: Instant,
    ) -> Result<IssuerReply, Fault> {
        let headers = [("Accept", accept), ("Content-Type", "application/json")];
        self.post(url, &headers, &value.to_string(), deadline)
    }

    fn post(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        body: &str,
        deadline: Instant,
    ) -> Result<IssuerReply, Fault> {
        self.ask(url, deadline, |agent, left, proxy| {
            let mut request = agent.post(url);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let request = request.config().timeout_global(Some(left));
            request.proxy(proxy).build().send(body)
        })
    }

    fn ask(
        &self,
        url: &str,
        deadline: Instant,
        send: impl Fn(&Agent, Duration, Option<Proxy>) -> Result<Response<Body>, ureq::Error>,
    ) -> Result<IssuerReply, Fault> {
        if !urls::may_follow(url, &self.target) {
            let url = clipped(url);
            return Err(finally(format!(
                "the server names `{url}`, which is no `https` address"
            )));
        }
        let proxy = blocking_proxy(&self.proxy, url).map_err(finally)?;
        let failed = |error: ureq::Error| again(blocking_fault(&clipped(url), &error));
        let left = deadline.saturating_duration_since(clock::now());
        if left.is_zero() {
            return Err(again(format!(
                "`{}`: no time was left for it",
                clipped(url)
            )));
        }
        let answer = send(&self.agent, left, proxy);
        answer.and_then(read).map_err(failed)
    }
}

/// A fault that asking again does not mend.
pub(super) fn finally(message: impl Into<String>) -> Fault {
    let message = message.into();
    Fault::Final { message }
}

fn again(message: String) -> Fault {
    let after = None;
    Fault::Again { message, after }
}

fn read(mut answer: Response<Body>) -> Result<IssuerReply, ureq::Error> {
    let status = answer.status().as_u16();
    let headers = answer.headers();
    let values = |name: &str| {
        let values = headers.get_all(name).iter();
        let values: Vec<_> = values.filter_map(|value| value.to_str().ok()).collect();
        Some(values.join(", ")).filter(|text| !text.is_empty())
    };
    let challenge = values("www-authenticate");
    let (coding, content_type) = (values("content-encoding"), values("content-type"));
    // Of a date nothing is made: the clocks of two hosts may be further apart than it is.
    let retry_after = values("retry-after");
    let retry_after = retry_after.and_then(|text| read_retry_after(text.as_bytes(), 0, |_| None));
    let body = answer.body_mut().with_config();
    let body = body.limit(BODY_BYTES_MAX).lossy_utf8(true);
    Ok(IssuerReply {
        status,
        body: body.read_to_string()?,
        coding,
        content_type,
        challenge,
        retry_after,
    })
}
