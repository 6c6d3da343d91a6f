//! The loopback address that a browser comes back to (RFC 8252 §7.3).
//!
//! Whoever can reach it may send anything: each request is bounded in bytes and time, as
//! many as [`AT_ONCE_MAX`] are read at once, and one without the right `state` changes
//! nothing. No text of a request is ever shown in a page.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use super::urls;
use crate::clock;

/// The path of the redirect address, as cargo-pmcp has it.
const PATH: &str = "/callback";

/// The longest request line that is read, in bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// How long a browser may take to send it. Some open connections that they do not use.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
const AT_ONCE_MAX: usize = 16;

/// How often it is looked for another connection.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Listens for a browser.
pub(super) struct Callback {
    listeners: Vec<TcpListener>,
    port: u16,
}

/// What a browser brought: the parameters of an authorization response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct BrowserResponse {
    pub(super) code: Option<String>,
    /// The issuer that answers (RFC 9207).
    pub(super) iss: Option<String>,
    pub(super) error: Option<String>,
    pub(super) error_description: Option<String>,
}

impl Callback {
    /// Listens on that port of loopback; 0 is any.
    pub(super) fn listen(port: u16) -> std::io::Result<Self> {
        let first = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let port = first.local_addr()?.port();
        // `localhost` may be the other one, where this host has it.
        let second = TcpListener::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, port)));
        let listeners: Vec<_> = std::iter::once(first).chain(second).collect();
        for listener in &listeners {
            listener.set_nonblocking(true)?;
        }
        Ok(Self { listeners, port })
    }

    /// The redirect address.
    pub(super) fn url(&self) -> String {
        format!("http://localhost:{}{PATH}", self.port)
    }

    /// Waits for the response with this `state`; `None`: it did not come by the deadline.
    pub(super) fn wait(&self, state: &str, deadline: Instant) -> Option<BrowserResponse> {
        let (send, received) = mpsc::channel();
        // As many clones of it are alive as requests are read.
        let being_read = Arc::new(());
        while clock::now() < deadline {
            self.accept(&send, &being_read);
            let found = next(&received, state);
            if found.is_some() {
                return found;
            }
        }
        None
    }

    fn accept(&self, send: &Sender<(String, TcpStream)>, being_read: &Arc<()>) {
        for listener in &self.listeners {
            while Arc::strong_count(being_read) <= AT_ONCE_MAX {
                let Ok((stream, _)) = listener.accept() else {
                    break;
                };
                let (send, mark) = (send.clone(), Arc::clone(being_read));
                // Where there is no thread, the connection is closed.
                let _ = thread::Builder::new()
                    .name("callback".to_string())
                    .spawn(move || {
                        let read = read_target(stream);
                        let sent = read.map(|read| send.send(read));
                        drop((sent, mark));
                    });
            }
        }
    }
}

/// The next request, if one comes soon and is the one that is waited for.
fn next(received: &Receiver<(String, TcpStream)>, state: &str) -> Option<BrowserResponse> {
    let (target, mut stream) = received.recv_timeout(LOOK_EVERY).ok()?;
    let (status, text, found) = match judge(&target, state) {
        Visit::Awaited(response) if response.code.is_some() => {
            let text = "You are logged in. This window can be closed.";
            ("200 OK", text, Some(response))
        }
        Visit::Awaited(response) => {
            let text = "No access was granted. The terminal says more.";
            ("400 Bad Request", text, Some(response))
        }
        Visit::Other => (
            "400 Bad Request",
            "This is not the login that is waited for.",
            None,
        ),
        Visit::Nowhere => ("404 Not Found", "There is nothing here.", None),
    };
    let page = format!("<!doctype html><meta charset=utf-8><title>Login</title><p>{text}</p>\n");
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nConnection: close\r\n\r\n",
        page.len()
    );
    // A browser that has gone knows already.
    let _ = stream.write_all((head + &page).as_bytes());
    found
}

enum Visit {
    Awaited(BrowserResponse),
    /// An answer to another login, or made up.
    Other,
    Nowhere,
}

fn judge(target: &str, state: &str) -> Visit {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if path != PATH {
        return Visit::Nowhere;
    }
    let pairs = urls::pairs_of(query);
    let values = |name: &str| {
        let mut values = pairs.iter().filter(|(known, _)| known == name);
        let first = values.next().map(|(_, value)| value.clone());
        // RFC 6749 §3.1: no parameter comes twice.
        first.filter(|_| values.next().is_none())
    };
    if values("state").as_deref() != Some(state) {
        return Visit::Other;
    }
    let (code, error) = (values("code"), values("error"));
    if code.is_none() && error.is_none() {
        return Visit::Other;
    }
    Visit::Awaited(BrowserResponse {
        // Where it says both, it is not a code.
        code: code.filter(|_| error.is_none()),
        error,
        iss: values("iss"),
        error_description: values("error_description"),
    })
}

/// The target of a request, once its head is there.
fn read_target(mut stream: TcpStream) -> Option<(String, TcpStream)> {
    let deadline = clock::now() + HEAD_TIMEOUT;
    stream.set_nonblocking(false).ok()?;
    stream.set_write_timeout(Some(HEAD_TIMEOUT)).ok()?;
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    while !head.windows(4).any(|part| part == b"\r\n\r\n") {
        let left = deadline.saturating_duration_since(clock::now());
        if left.is_zero() || head.len() > HEAD_BYTES_MAX {
            return None;
        }
        stream.set_read_timeout(Some(left)).ok()?;
        let n = stream.read(&mut buffer).ok().filter(|n| *n > 0)?;
        head.extend_from_slice(&buffer[..n]);
    }
    let head = String::from_utf8_lossy(&head);
    let mut words = head.lines().next()?.split(' ');
    let (verb, target) = (words.next()?, words.next()?);
    (verb == "GET").then(|| (target.to_string(), stream))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(target: &str) -> Result<BrowserResponse, &'static str> {
        match judge(target, "st") {
            Visit::Awaited(response) => Ok(response),
            Visit::Other => Err("other"),
            Visit::Nowhere => Err("nowhere"),
        }
    }

    #[test]
    fn only_the_right_state_is_an_answer() {
        let code = judged("/callback?code=a%2Bb&state=st&iss=https%3A%2F%2Fas");
        let code = code.expect("an answer");
        assert_eq!(code.code.as_deref(), Some("a+b"));
        assert_eq!(code.iss.as_deref(), Some("https://as"));
        let refused = judged("/callback?error=access_denied&error_description=no+way&state=st");
        let refused = refused.expect("an answer");
        assert_eq!(refused.error_description.as_deref(), Some("no way"));
        let both = judged("/callback?error=x&code=y&state=st").expect("an answer");
        assert_eq!(both.code, None);
        for (target, expected) in [
            ("/callback?code=a&state=other", "other"),
            ("/callback?code=a", "other"),
            ("/callback?state=st", "other"),
            ("/callback?code=a&state=st&state=st", "other"),
            ("/callback?code=a&code=b&state=st", "other"),
            ("/favicon.ico", "nowhere"),
            ("/callback/x?code=a&state=st", "nowhere"),
        ] {
            assert_eq!(judged(target), Err(expected), "{target}");
        }
    }

    #[test]
    fn silent_and_endless_connections_do_not_keep_the_browser_out() {
        let callback = Callback::listen(0).expect("a port");
        let connect =
            || TcpStream::connect((Ipv4Addr::LOCALHOST, callback.port)).expect("connects");
        let silent: Vec<_> = (0..3).map(|_| connect()).collect();
        let mut endless = connect();
        endless
            .write_all(&[b'a'; HEAD_BYTES_MAX + 1])
            .expect("is sent");
        let mut browser = connect();
        let request = b"GET /callback?code=c&state=st HTTP/1.1\r\nHost: localhost\r\n\r\n";
        browser.write_all(request).expect("is sent");
        let deadline = clock::now() + Duration::from_secs(30);
        let response = callback.wait("st", deadline).expect("an answer");
        assert_eq!(response.code.as_deref(), Some("c"));
        let mut page = String::new();
        browser.read_to_string(&mut page).expect("a page");
        assert!(
            page.starts_with("HTTP/1.1 200 OK") && !page.contains("code"),
            "{page}"
        );
        drop(silent);
    }

    #[test]
    fn nobody_is_waited_for_beyond_the_deadline() {
        let callback = Callback::listen(0).expect("a port");
        assert_eq!(callback.wait("st", clock::now()), None);
    }
}
