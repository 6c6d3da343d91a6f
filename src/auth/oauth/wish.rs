//! What is done about what the user says of OAuth.

use std::fmt;

use super::client::{ClientIdentity, SigningKey};
use super::source::{self, CLIENT_ID, Held, OAuthSource, TokenWay};
use super::store::Store;
use super::urls;
use super::wire::Wire;
use crate::clock::Utc;
use crate::network::Network;
use crate::scenario::OAuthWish;

/// Where the tokens of a run come from.
pub enum Standing {
    /// From here.
    Source(Box<OAuthSource>),
    /// Nowhere before the user logs in.
    NeedsLogin {
        /// Why, as a fragment.
        why: String,
        /// What to do where nobody is there to log in.
        way_out: String,
    },
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

/// How the client says who it is.
pub(super) fn identity(wish: &OAuthWish) -> Result<ClientIdentity, WishFault> {
    match (&wish.client_secret, &wish.private_key) {
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

/// The command that makes the login which this wish is about, with these scopes.
pub fn login_command(wish: &OAuthWish, scopes: Option<&str>) -> String {
    source::login_command(&[
        (CLIENT_ID, wish.client_id.as_deref()),
        ("--oauth-issuer", wish.issuer.as_deref()),
        ("--oauth-scopes", scopes),
    ])
}

/// Where the tokens for the server at `url` come from. Nobody is asked yet.
///
/// # Errors
/// When what the user said cannot be meant.
pub fn standing(wish: &OAuthWish, url: &str, network: &Network) -> Result<Standing, WishFault> {
    let wire = || Wire::new(url, network).map_err(WishFault);
    let identity = identity(wish)?;
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
    if let Some(login) = &wish.login {
        let way = TokenWay::of_login(Held::of_made(login), None);
        return Ok(Standing::Source(Box::new(OAuthSource::new(wire()?, way))));
    }
    let Some(server) = urls::server_key(url) else {
        return Ok(Standing::Nothing(None));
    };
    let log_in = login_command(wish, None);
    let needs_login = |why: String| match wish.is_explicit() {
        true => Standing::NeedsLogin {
            why,
            way_out: format!("log in before: `{log_in}`"),
        },
        false => Standing::Nothing(Some(why)),
    };
    let Some(store) = wish.store.as_deref().map(Store::at) else {
        return Ok(match wish.is_explicit() {
            // What a login would keep is not looked at.
            true => Standing::NeedsLogin {
                why: "the token store is not to be used, and nobody is here to log in".to_string(),
                way_out: format!(
                    "without `--oauth-no-cache` and `--no-stored-token`, a login that was made \
                     before is used: `{log_in}`; a client with a secret needs none: \
                     `--oauth-client-secret`"
                ),
            },
            false => Standing::Nothing(None),
        });
    };
    let (issuer, record) = match store.find(&server, wish.issuer.as_deref()) {
        // No login could be kept there either.
        Err(why) if wish.is_explicit() => {
            return Ok(Standing::NeedsLogin {
                why: format!("the token store {why}"),
                way_out: format!("move that file away and log in again: `{log_in}`"),
            });
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_done_leads_out_of_what_is_told() {
        let told = |wish: &OAuthWish| {
            let standing = standing(wish, "https://a/mcp", &Network::default());
            match standing {
                Ok(Standing::NeedsLogin { why, way_out }) => (why, way_out),
                _ => panic!("a login is needed"),
            }
        };
        let mut wish = OAuthWish {
            client_id: Some("me".to_string()),
            issuer: Some("https://as".to_string()),
            store: Some("/no/such/store.json".into()),
            ..OAuthWish::default()
        };
        let command = "login URL --oauth-client-id me --oauth-issuer https://as`";
        let (_, way_out) = told(&wish);
        assert_eq!(
            way_out,
            format!("log in before: `cargo pmcp loadtest {command}")
        );
        wish.store = None;
        let (_, way_out) = told(&wish);
        for part in [
            "without `--oauth-no-cache`",
            command,
            "--oauth-client-secret",
        ] {
            assert!(way_out.contains(part), "{part}: {way_out}");
        }
    }
}
