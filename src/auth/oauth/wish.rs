//! What the user says of OAuth, and what is done about it.

use std::fmt;

use super::client::{ClientIdentity, SigningKey};
use super::source::{Held, OAuthSource, TokenWay};
use super::store::Store;
use super::urls;
use super::wire::Wire;
use crate::clock::Utc;
use crate::network::Network;
use crate::redact::Secret;

/// What flags and variables say.
#[derive(Debug, Clone, Default)]
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
    /// Keep off the store: nothing is read, nothing written.
    pub is_without_store: bool,
}

/// Where the tokens of a run come from.
pub enum Standing {
    /// From here.
    Source(Box<OAuthSource>),
    /// Nowhere before the user logs in. Why, as a fragment.
    NeedsLogin(String),
    /// The user asks for none, and there is none. What to tell of that, if anything.
    Nothing(Option<String>),
}

/// Why a wish cannot be met, as a fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WishFault(pub String);

impl fmt::Display for WishFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl OAuthWish {
    /// Whether the user said anything of OAuth.
    pub fn is_explicit(&self) -> bool {
        self.client_id.is_some() || self.is_of_client()
    }

    /// The client itself is who gets a token.
    fn is_of_client(&self) -> bool {
        self.client_secret.is_some() || self.private_key.is_some()
    }

    /// How the client says who it is.
    pub(super) fn identity(&self) -> Result<ClientIdentity, WishFault> {
        match (&self.client_secret, &self.private_key) {
            (Some(_), Some(_)) => Err(WishFault(
                "`--oauth-client-secret` and `--oauth-private-key` exclude each other".to_string(),
            )),
            (Some(secret), None) => Ok(ClientIdentity::Secret(secret.clone())),
            (None, Some(pem)) => SigningKey::read(pem.expose())
                .map(|key| ClientIdentity::Key(Box::new(key)))
                .map_err(|why| WishFault(format!("the file of `--oauth-private-key` {why}"))),
            (None, None) => Ok(ClientIdentity::Public),
        }
    }
}

/// Where the tokens for the server at `url` come from. Nobody is asked yet.
///
/// # Errors
/// When what the user said cannot be meant.
pub fn standing(
    wish: &OAuthWish,
    url: &str,
    network: &Network,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Standing, WishFault> {
    let wire = || Wire::new(url, network).map_err(WishFault);
    let identity = wish.identity()?;
    if wish.is_of_client() {
        let Some(client_id) = wish.client_id.clone() else {
            let fault =
                "`--oauth-client-secret` and `--oauth-private-key` go with `--oauth-client-id`";
            return Err(WishFault(fault.to_string()));
        };
        let way = TokenWay::of_client(
            client_id,
            identity,
            wish.issuer.clone(),
            wish.scopes.clone(),
        );
        return Ok(Standing::Source(Box::new(OAuthSource::new(wire()?, way))));
    }
    let Some(server) = urls::server_key(url) else {
        return Ok(Standing::Nothing(None));
    };
    let needs_login = |why: String| match wish.is_explicit() {
        true => Standing::NeedsLogin(why),
        false => Standing::Nothing(Some(why)),
    };
    if wish.is_without_store {
        return Ok(match wish.is_explicit() {
            true => Standing::NeedsLogin("the token store is not to be used".to_string()),
            false => Standing::Nothing(None),
        });
    }
    let store = Store::of_user(environment);
    let (issuer, record) = match store.find(&server, wish.issuer.as_deref()) {
        Err(why) => return Ok(needs_login(format!("the token store {why}"))),
        Ok(Some(found)) => found,
        Ok(None) if wish.is_explicit() => {
            return Ok(needs_login(format!("no token is kept for `{server}`")));
        }
        Ok(None) => {
            let outdated = store.outdated().filter(|_| !store.path().exists());
            return Ok(Standing::Nothing(outdated.map(|path| {
                format!(
                    "`{}` is of an older cargo-pmcp and read by nobody any more: its token is \
                     not used",
                    path.display()
                )
            })));
        }
    };
    let wants = wish.client_id.as_ref();
    if let Some(wanted) = wants.filter(|wanted| **wanted != record.client_id) {
        return Ok(needs_login(format!(
            "the token that is kept for `{server}` is of another client than `{wanted}`"
        )));
    }
    let held = Held {
        server,
        issuer,
        record,
    };
    let now = Utc::now().unix_ms() / 1000;
    if held.has_ended(now) && held.record.refresh_token.is_none() {
        return Ok(needs_login(format!(
            "the token that is kept {}",
            held.until()
        )));
    }
    let way = TokenWay::of_login(held, Some(store));
    Ok(Standing::Source(Box::new(OAuthSource::new(wire()?, way))))
}
