//! What the user says of tokens by OAuth, as plain data of flags and variables.

use std::path::PathBuf;

use crate::redact::Secret;

/// What flags and variables say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OAuthWish {
    /// The client that was registered with the issuer; `None`: one is registered at a login.
    pub client_id: Option<String>,
    /// The issuer, where the server names several or none; `None`: the first.
    pub issuer: Option<String>,
    /// What is asked for; none: what the server wants.
    pub scopes: Vec<String>,
    /// Where the browser comes back to; `None`: 8080, or any where that is taken.
    pub redirect_port: Option<u16>,
    /// With it, the client itself is who gets a token: no user logs in.
    pub client_secret: Option<Secret>,
    /// The same with a key, in PEM.
    pub private_key: Option<Secret>,
    /// A flag names the client: other credentials are not meant.
    pub is_by_flag: bool,
    /// The file in which logins are kept; `None`: nothing is read, nothing written.
    pub store: Option<PathBuf>,
    /// A login that the user has just made and that is kept nowhere else.
    pub login: Option<Box<MadeLogin>>,
}

/// A login for the time of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeLogin {
    /// Scheme, host and port of the server that it is for.
    pub server: String,
    /// Who gave it.
    pub issuer: String,
    /// The client that it was given to.
    pub client_id: String,
    /// The type that it was registered with for this login; `None`: the user named it.
    pub application_type: Option<String>,
    /// What that client was registered with, where it was.
    pub client_secret: Option<Secret>,
    /// What is sent.
    pub access_token: Secret,
    /// What another token is got with; `None`: none is.
    pub refresh_token: Option<Secret>,
    /// When the token ends, in seconds since 1970; `None`: nobody said.
    pub expires_at: Option<u64>,
    /// What it allows.
    pub scopes: Vec<String>,
}

impl OAuthWish {
    /// Whether the user said anything of OAuth.
    pub fn is_explicit(&self) -> bool {
        self.client_id.is_some() || self.is_of_client()
    }

    /// The client itself is who gets a token.
    pub fn is_of_client(&self) -> bool {
        self.client_secret.is_some() || self.private_key.is_some()
    }

    /// What the client proves itself by, and what a login brought.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let of_client = self.client_secret.iter().chain(&self.private_key);
        let of_login = self.login.iter().flat_map(|login| {
            let token = std::iter::once(&login.access_token);
            token
                .chain(&login.refresh_token)
                .chain(&login.client_secret)
        });
        of_client.chain(of_login).map(Secret::expose)
    }

    /// Whose tokens they are, as a fragment.
    pub(super) fn shown(&self) -> String {
        match &self.client_id {
            Some(id) if self.is_of_client() => format!("of the client `{id}`"),
            _ if self.login.is_some() => "of a login for this run alone".to_string(),
            _ => "of the login that is kept".to_string(),
        }
    }
}
