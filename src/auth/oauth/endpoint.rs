//! Token requests to one issuer, for one client and one resource.

use std::time::{Duration, Instant};

use super::client::{ClientIdentity, OAuthClient};
use super::discover::{Discovered, Issuer};
use super::grant::{self, Grant, GrantRefusal};
use super::wire::Wire;
use crate::auth::Fault;
use crate::clock::Utc;
use crate::http::with_hint;
use crate::redact::Redactor;

/// Where tokens are asked for, and what was learnt there.
pub(super) struct TokenEndpoint {
    pub(super) issuer: Issuer,
    pub(super) resource: String,
    /// The server refused `resource`, as Entra does.
    pub(super) is_without_resource: bool,
    /// It wants its token endpoint as the audience of assertions, as older ones do.
    wants_endpoint_as_audience: bool,
}

/// Why a request brought no token.
pub(super) enum NoGrant {
    /// The server says no, or cannot now: then perhaps how long to wait.
    Refused(GrantRefusal, Option<Duration>),
    /// There was no answer.
    Fault(Fault),
}

impl NoGrant {
    /// The fault of a request that `what` names: a fragment such as `the refresh`.
    pub(super) fn into_fault(self, what: &str, endpoint: &TokenEndpoint) -> Fault {
        match self {
            Self::Fault(fault) => fault,
            Self::Refused(refusal, after) => {
                let name = grant::clipped(&endpoint.issuer.name);
                let message = format!("{what}: the issuer `{name}` {}", refusal.told());
                match refusal.is_passing() {
                    true => Fault::Again { message, after },
                    false => match refusal.remedy() {
                        Some(remedy) => Fault::Final {
                            message: with_hint(message, remedy),
                        },
                        None => Fault::Final { message },
                    },
                }
            }
        }
    }
}

impl TokenEndpoint {
    pub(super) fn new(found: &Discovered) -> Self {
        Self {
            issuer: found.issuer.clone(),
            resource: found.resource.clone(),
            is_without_resource: false,
            wants_endpoint_as_audience: false,
        }
    }

    /// Asks for a token with these fields. A server that does not take the resource is
    /// asked once more without, one that does not take the audience with another.
    pub(super) fn ask(
        &mut self,
        wire: &Wire,
        client: &OAuthClient,
        fields: &[(&str, &str)],
        deadline: Instant,
    ) -> Result<Grant, NoGrant> {
        loop {
            let asked = self.ask_once(wire, client, fields, deadline);
            let Err(NoGrant::Refused(refusal, _)) = &asked else {
                return asked;
            };
            let signs = matches!(client.identity, ClientIdentity::Key(_));
            if refusal.is_of_resource() && !self.is_without_resource {
                self.is_without_resource = true;
            } else if refusal.error == "invalid_client" && signs && !self.wants_endpoint_as_audience
            {
                self.wants_endpoint_as_audience = true;
            } else {
                return asked;
            }
        }
    }

    fn ask_once(
        &self,
        wire: &Wire,
        client: &OAuthClient,
        fields: &[(&str, &str)],
        deadline: Instant,
    ) -> Result<Grant, NoGrant> {
        let issuer = &self.issuer;
        let audience = match self.wants_endpoint_as_audience {
            true => &issuer.token_endpoint,
            false => &issuer.name,
        };
        let now = Utc::now().unix_ms() / 1000;
        let shown = client
            .identity
            .shown(&client.id, &issuer.auth_methods, audience, now);
        let mut form = fields.to_vec();
        form.push(("client_id", &client.id));
        if !self.is_without_resource {
            form.push(("resource", &self.resource));
        }
        form.extend(
            shown
                .fields
                .iter()
                .map(|(name, value)| (*name, value.as_str())),
        );
        let authorization = shown.authorization.as_deref();
        let reply = wire.post_form(&issuer.token_endpoint, &form, authorization, deadline);
        let reply = reply.map_err(NoGrant::Fault)?;
        grant::read(reply.status, &reply.body, now).map_err(|refusal| {
            // Servers quote what they were sent.
            const PLAIN: [&str; 5] = [
                "grant_type",
                "client_id",
                "resource",
                "scope",
                "redirect_uri",
            ];
            let secrets = form.iter().filter(|(name, _)| !PLAIN.contains(name));
            let secrets = secrets.map(|(_, value)| *value).chain(authorization);
            let redactor = Redactor::new(secrets);
            let refusal = GrantRefusal {
                error: redactor.clean(refusal.error),
                description: redactor.clean(refusal.description),
                ..refusal
            };
            NoGrant::Refused(refusal, reply.retry_after)
        })
    }
}
