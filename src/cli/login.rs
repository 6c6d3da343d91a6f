//! `login`: lets the user log in to a server in the browser, and keeps what comes of it.

use super::args::Login;
use super::browser::log_in;
use super::common::load_plan;
use super::exit;
use crate::error::UserError;
use crate::terminal::{Line, Role, Terminal};

pub(super) fn login(mut args: Login, terminal: &Terminal) -> Result<u8, UserError> {
    let wish = args.oauth_wish()?;
    let (is_without_browser, timeout) = (args.no_browser, args.timeout);
    let plan = load_plan(None, &args.overrides())?;
    let (url, network) = (&plan.target.url.value, &plan.network);
    let login = log_in(&wish, url, network, timeout, is_without_browser, terminal)?;
    let mut lines = vec![
        Line::of(Role::Success, "logged in: ")
            .add(Role::Plain, format!("the token {}", login.about())),
    ];
    let notes = login
        .notes
        .iter()
        .map(|note| Line::of(Role::Plain, note.clone()));
    lines.extend(notes);
    if !login.is_refreshable() {
        let text = "the issuer gave no refresh token: after its end, log in again";
        lines.push(Line::of(Role::Plain, text));
    }
    lines.extend(
        login
            .kept_in()
            .map(|path| Line::of(Role::Plain, "kept in ").add(Role::Accent, path)),
    );
    // The login is made; who does not read on has what was asked for.
    let _ = terminal.print(&lines);
    Ok(exit::PASSED)
}
