//! Asks a server once what it offers.

use std::sync::Arc;
use std::time::Duration;

use super::offer::Offer;
use crate::address;
use crate::client::{
    ListProgress, Listed, Lists, ServerSettings, Trouble, excluded_tools, find_and_open,
    is_unknown_method, list,
};
use crate::clock::Utc;
use crate::error::{ErrorKind, UserError};
use crate::host::refused_by_system;
use crate::http::resolve;
use crate::metrics::Failure;
use crate::network::Network;
use crate::protocol::{Era, ProtocolChoice};
use crate::redact::{Redactor, secrets_of_header};
use crate::scheduler::block_on;

/// The largest message that is read, in bytes.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The end of the session may take this long.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// Whom to ask, and how.
#[derive(Debug, Clone)]
pub struct DiscoverOptions {
    /// The server.
    pub url: String,
    /// Sent with every request: name and value.
    pub headers: Vec<(String, String)>,
    /// Whether a token among them came by OAuth.
    pub has_oauth_token: bool,
    /// The protocol's era or revision, or finding it.
    pub protocol: ProtocolChoice,
    /// The longest that one request may take.
    pub timeout: Duration,
    /// Whether cookies that the server sets are sent back.
    pub cookies: bool,
    /// Whether the handshake waits as long as a busy server asks to.
    pub respect_retry_after: bool,
    /// How the server is reached.
    pub network: Arc<Network>,
}

/// Opens a session, reads all pages of all lists, and ends it. `keep_going` is
/// asked a few times a second, and told what is read just then.
///
/// # Errors
/// When no session can be opened, or `keep_going` says no. A list that cannot
/// be read does not end the discovery: it is one of the offer's problems, and
/// counted there.
pub fn discover(
    options: &DiscoverOptions,
    keep_going: &dyn Fn(Option<&str>) -> bool,
) -> Result<Offer, UserError> {
    let endpoint = resolve(&options.url, &options.network, &|| keep_going(None))?;
    let of_headers = options.headers.iter();
    let mut secrets: Vec<String> = of_headers
        .flat_map(|(name, value)| secrets_of_header(name, value))
        .collect();
    secrets.extend(address::secrets(&options.url));
    let redactor = Redactor::new(secrets.iter().map(String::as_str));
    let settings = Arc::new(ServerSettings {
        timeout: options.timeout,
        message_bytes_max: MESSAGE_BYTES_MAX,
        headers: options.headers.clone(),
        has_oauth_token: options.has_oauth_token,
        cookies: options.cookies,
        respect_retry_after: options.respect_retry_after,
        network: Arc::clone(&options.network),
        redactor: redactor.clone(),
    });
    let choice = options.protocol;
    let progress = ListProgress::default();
    let shown = progress.clone();
    let offer = block_on(&|| keep_going(shown.text().as_deref()), move || {
        let (found, mut session) = find_and_open(endpoint, choice, settings)?;
        let offered = &found.capabilities;
        let mut notes = Notes {
            problems: found.notices,
            n_unread: 0,
        };
        let mut lists = Lists::new(progress);
        let tools = list(&mut session, &mut lists);
        let tools = notes.items(tools, offered.tools);
        if found.server.dialect().era() == Era::Modern {
            notes.problems.extend(excluded_tools(&tools));
        }
        let resources = list(&mut session, &mut lists);
        let resources = notes.items(resources, offered.resources);
        let templates = list(&mut session, &mut lists);
        let templates = notes.items(templates, offered.resources);
        let prompts = list(&mut session, &mut lists);
        let prompts = notes.items(prompts, offered.prompts);
        session.close(CLOSE_WAIT);
        Ok::<_, UserError>(Offer {
            url: found.server.endpoint().url(),
            server: found.identity,
            revision: found.server.dialect().revision().as_str().to_string(),
            asked_at: Some(Utc::now().rfc3339()),
            tools,
            resources,
            templates,
            prompts,
            problems: notes.problems,
            n_unread_lists: notes.n_unread,
            ..Offer::default()
        })
    })
    .map_err(|error| refused_by_system("the server cannot be asked", &error))?;
    if !keep_going(None) {
        return Err(UserError::new(ErrorKind::Interrupted, "interrupted"));
    }
    let mut offer = offer
        .map_err(|error| error.map_texts(|text| redactor.clean(text)))?
        .cleaned(&redactor);
    offer.auth_header_names = options
        .headers
        .iter()
        .map(|(name, _)| name.clone())
        .collect();
    Ok(offer)
}

/// What there is to say of the lists.
struct Notes {
    problems: Vec<String>,
    n_unread: usize,
}

impl Notes {
    /// The entries of a list; `is_declared` where the server says that it has
    /// such.
    fn items<T>(&mut self, listed: Listed<T>, is_declared: bool) -> Vec<T> {
        let trouble = listed.nothing_read();
        if !trouble.is_some_and(is_unknown_method) {
            self.problems.extend(listed.notices());
        }
        if trouble.is_some_and(|it| !is_refused(it) || (is_declared && !is_unknown_method(it))) {
            self.n_unread += 1;
        }
        listed.items
    }
}

/// An error of JSON-RPC: to a list of what the server never said that it has,
/// any code means that it has none.
fn is_refused(trouble: &Trouble) -> bool {
    matches!(
        trouble,
        Trouble::Failed {
            failure: Failure::Rpc(_)
                | Failure::RpcWithoutCode
                | Failure::Http {
                    rpc_code: Some(_),
                    ..
                },
            ..
        }
    )
}
