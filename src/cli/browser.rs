//! A user's login in the browser of this host.

use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use super::common::under_signals;
use crate::auth::Fault;
use crate::auth::oauth::{self, LoggedIn};
use crate::error::{ErrorKind, UserError};
use crate::host::refused_by_system;
use crate::http::split_hint;
use crate::network::Network;
use crate::report::LiveChoice;
use crate::scenario::OAuthWish;
use crate::terminal::Terminal;

/// What the thread of a login says.
enum LoginNews {
    /// The browser has to open this address.
    Address(String),
    Done(Box<Result<LoggedIn, Fault>>),
}

/// A user who presses Ctrl-C notices no less than this.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The user's login, in a browser, until an interrupt: the thread that waits for the user
/// and the issuer is left behind then.
pub(super) fn log_in(
    wish: &OAuthWish,
    url: &str,
    network: &Network,
    timeout: Option<Duration>,
    is_without_browser: bool,
    terminal: &Terminal,
) -> Result<LoggedIn, UserError> {
    let (tell, told) = mpsc::channel();
    let (wish, url, network) = (wish.clone(), url.to_string(), network.clone());
    let thread = thread::Builder::new().name("login".to_string());
    let started = thread.spawn(move || {
        // Nobody listens any more after an interrupt.
        let mut ask = |address: &str| drop(tell.send(LoginNews::Address(address.to_string())));
        let login = oauth::login(&wish, &url, &network, timeout, &mut ask);
        drop(tell.send(LoginNews::Done(Box::new(login))));
    });
    started.map_err(|error| refused_by_system("no thread", &error))?;
    let ask = |address: &str| {
        let minutes = oauth::BROWSER_TIMEOUT.as_secs() / 60;
        terminal.print_notice(&format!(
            "log in with a browser within {minutes} minutes: {address}"
        ));
        if !is_without_browser {
            open_browser(address);
        }
    };
    let (login, _) = under_signals(LiveChoice::Line, terminal, |_, interrupts| {
        loop {
            match told.recv_timeout(LOOK_EVERY) {
                Ok(LoginNews::Address(address)) => ask(&address),
                Ok(LoginNews::Done(login)) => return login.map_err(no_login),
                Err(RecvTimeoutError::Timeout) if interrupts.is_pending() => {
                    let text = "interrupted before the login was made";
                    return Err(UserError::new(ErrorKind::Interrupted, text));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(UserError::could_not_run("no login: it broke off"));
                }
            }
        }
    })?;
    Ok(login)
}

fn no_login(fault: Fault) -> UserError {
    let (Fault::Again { message, .. } | Fault::Final { message }) = fault;
    let (what, hint) = split_hint(&message);
    let error = UserError::could_not_run(format!("no login: {what}"));
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// Opens the user's browser. Where there is none, the terminal shows the address.
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
            let wait = thread::Builder::new().name("browser".to_string());
            let _ = wait.spawn(move || child.wait());
            return;
        }
    }
}
