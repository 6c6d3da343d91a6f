//! A user's login in the browser of this host.

use std::process::{Command, Stdio};

use crate::auth::Fault;
use crate::auth::oauth::{self, LoggedIn};
use crate::error::UserError;
use crate::network::Network;
use crate::scenario::OAuthWish;
use crate::terminal::Terminal;

/// The user's login, in a browser.
pub(super) fn log_in(
    wish: &OAuthWish,
    url: &str,
    network: &Network,
    is_without_browser: bool,
    terminal: &Terminal,
) -> Result<LoggedIn, UserError> {
    let login = oauth::login(wish, url, network, &mut |address| {
        let minutes = oauth::BROWSER_TIMEOUT.as_secs() / 60;
        terminal.print_notice(&format!(
            "log in with a browser within {minutes} minutes: {address}"
        ));
        if !is_without_browser {
            open_browser(address);
        }
    });
    login.map_err(|fault| {
        let (Fault::Again { message, .. } | Fault::Final { message }) = fault;
        UserError::could_not_run(format!("no login: {message}"))
    })
}

/// Opens the user's browser. Where there is none, the address stands in the terminal.
fn open_browser(address: &str) {
    const OPENERS: &[&[&str]] = if cfg!(target_os = "macos") {
        &[&["open"]]
    } else if cfg!(windows) {
        // Not `start`, for which `&` ends a command.
        &[&["rundll32", "url.dll,FileProtocolHandler"]]
    } else {
        &[&["xdg-open"], &["wslview"]]
    };
    for words in OPENERS {
        let opened = Command::new(words[0])
            .args(&words[1..])
            .arg(address)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        if let Ok(mut child) = opened {
            // It may last as long as the browser; on a thread, so that it leaves no zombie.
            let wait = std::thread::Builder::new().name("browser".to_string());
            let _ = wait.spawn(move || child.wait());
            return;
        }
    }
}
