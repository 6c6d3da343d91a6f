//! What flags and the environment say of OAuth, and the token that comes of it.

use std::path::Path;

use super::browser::log_in;
use super::options;
use super::secrets::variable;
use crate::auth::header_notice;
use crate::auth::oauth::{self, Standing, login_command};
use crate::error::UserError;
use crate::files::read_text;
use crate::redact::Secret;
use crate::scenario::{OAuthWish, Plan, TokenOrigin, TokenPlan};
use crate::terminal::Terminal;

/// The flags, as they were typed.
pub(super) struct OAuthFlags {
    pub(super) client_id: Option<String>,
    pub(super) issuer: Option<String>,
    pub(super) scopes: Option<String>,
    pub(super) redirect_port: Option<u16>,
    pub(super) client_secret: Option<String>,
    pub(super) private_key: Option<String>,
    pub(super) is_without_store: bool,
}

/// Names a file with the private key of the client.
pub(super) const OAUTH_KEY_VARIABLE: &str = "MCP_OAUTH_PRIVATE_KEY";

/// The largest file of a private key. One of RSA with 4096 bits has 3.2 KiB.
const KEY_BYTES_MAX: u64 = 64 << 10;

/// What is wished for: by a flag, or else by its variable.
pub(super) fn wish_of(flags: OAuthFlags) -> Result<OAuthWish, UserError> {
    let of_flag = |flag: Option<String>, name: &str| match flag {
        Some(text) => Ok(Some(text)),
        None => variable(name),
    };
    let is_by_flag = flags.client_id.is_some();
    let environment = |name: &str| std::env::var_os(name);
    let redirect_port = match flags.redirect_port {
        Some(port) => Some(port),
        None => variable("MCP_OAUTH_REDIRECT_PORT")?
            .map(|text| {
                options::port(text.trim()).map_err(|why| {
                    UserError::usage(format!("the variable MCP_OAUTH_REDIRECT_PORT: {why}"))
                })
            })
            .transpose()?,
    };
    let private_key = of_flag(flags.private_key, OAUTH_KEY_VARIABLE)?;
    let private_key = private_key.map(|path| -> Result<Secret, UserError> {
        let pem = read_text(Path::new(&path), KEY_BYTES_MAX);
        let pem = pem.map_err(|why| UserError::usage(format!("the private key `{path}` {why}")))?;
        Ok(Secret::new(&pem))
    });
    let scopes = of_flag(flags.scopes, "MCP_OAUTH_SCOPES")?.unwrap_or_default();
    let scopes = scopes.split([',', ' ']).filter(|scope| !scope.is_empty());
    let client_secret = of_flag(flags.client_secret, "MCP_OAUTH_CLIENT_SECRET")?;
    Ok(OAuthWish {
        client_id: of_flag(flags.client_id, "MCP_OAUTH_CLIENT_ID")?,
        issuer: of_flag(flags.issuer, "MCP_OAUTH_ISSUER")?,
        scopes: scopes.map(str::to_string).collect(),
        redirect_port,
        client_secret: client_secret.map(|secret| Secret::new(&secret)),
        private_key: private_key.transpose()?,
        is_by_flag,
        store: (!flags.is_without_store).then(|| oauth::store_path(&environment)),
        login: None,
    })
}

/// Adds a notice for each header whose token has ended.
fn tell_ended_headers(plan: &mut Plan) {
    let populations = plan.populations.all().iter();
    let own = populations.filter_map(|it| Some(&it.target.as_ref()?.target));
    let headers = std::iter::once(&plan.target)
        .chain(own)
        .flat_map(|it| &it.headers);
    let mut told: Vec<String> = headers
        .filter_map(|header| header_notice(&header.name, &header.value))
        .collect();
    told.dedup();
    plan.notices.extend(told);
}

/// Gives the plan an origin of tokens where it has no credentials of its own: the login
/// that is kept for its server, or what the user wishes. Blocks while a user logs in.
///
/// # Errors
/// When the user asks for a token and none can be had.
pub(super) fn authorize(
    plan: &mut Plan,
    wish: &OAuthWish,
    terminal: &Terminal,
) -> Result<(), UserError> {
    tell_ended_headers(plan);
    if plan.token.is_some() {
        return match wish.is_by_flag {
            true => Err(UserError::usage(
                "`--oauth-client-id` and a token command or a token file exclude each other",
            )),
            false => Ok(()),
        };
    }
    if !plan.takes_tokens() {
        return match wish.is_by_flag {
            true => Err(UserError::usage(
                "`--oauth-client-id` is for nobody: each population has a `url` or an \
                 `Authorization` header of its own",
            )),
            false => Ok(()),
        };
    }
    let mut headers = plan.target.headers.iter();
    if headers.any(|header| header.name.eq_ignore_ascii_case("authorization")) {
        return match wish.is_by_flag {
            true => Err(UserError::usage(
                "`--oauth-client-id` and an `Authorization` header, such as that of `--api-key`, \
                 exclude each other",
            )),
            false => Ok(()),
        };
    }
    let (url, network) = (&plan.target.url.value, &plan.network);
    let mut wish = wish.clone();
    let standing = oauth::standing(&wish, url, network);
    match standing.map_err(|fault| UserError::usage(fault.to_string()))? {
        Standing::Nothing(note) => {
            plan.notices.extend(note);
            return Ok(());
        }
        Standing::Source(_) => {}
        // Somebody is there to log in, as with cargo-pmcp.
        Standing::NeedsLogin { .. } if terminal.stderr_is_redrawable() => {
            let login = log_in(&wish, url, network, None, false, terminal)?;
            if wish.store.is_none() {
                wish.login = Some(Box::new(login.made()));
                terminal.hide(wish.secrets());
            }
        }
        Standing::NeedsLogin { why, way_out } => {
            return Err(UserError::could_not_run(why).hint(way_out));
        }
    }
    plan.token = Some(TokenPlan::new(TokenOrigin::OAuth(Box::new(wish))));
    Ok(())
}

/// What is told where no user had a token that the server takes, and why no other came.
pub(super) fn no_token(failure: &str, origin: Option<&TokenOrigin>) -> UserError {
    let error = UserError::could_not_run(format!(
        "the server refused the token, and no other was available: {failure}"
    ));
    match origin {
        Some(origin) => error.hint(of_origin(origin)),
        None => error,
    }
}

/// What to look at where no token of this origin is taken any more.
pub(super) fn of_origin(origin: &TokenOrigin) -> String {
    let text = match origin {
        TokenOrigin::Command(_) => {
            "run the token command twice: it has to print a new token each time that it is asked, \
             not one out of a cache, and one for this server"
        }
        TokenOrigin::File(_) => {
            "whoever writes the token file has to renew its token before that ends; it is read \
             every 5 s, and when the server refuses the token"
        }
        TokenOrigin::OAuth(wish) if !wish.is_of_client() => {
            return format!(
                "the token of the login has expired, or is another server's: log in again with \
                 `{}`",
                login_command(wish, None)
            );
        }
        TokenOrigin::OAuth(_) => {
            "see what the issuer says of the token: the server it is for, its scopes, its end"
        }
    };
    text.to_string()
}
