//! The id of a legacy session: which one a server gave, and whether an answer
//! says that the server no longer knows it.
//!
//! Pure decisions on headers, a status and a text.

use super::fault::{FaultKind, ProtocolFault};
use super::jsonrpc::{INVALID_PARAMS, METHOD_NOT_FOUND, RpcError};

/// The longest session id that is kept and sent back, in bytes. Real ones have
/// 32 to 300 (a signed token).
pub const SESSION_ID_BYTES_MAX: usize = 4 * 1024;

/// The session id in an answer to `initialize`, from the values of all its
/// `Mcp-Session-Id` headers. `None` where there is none, or an empty one.
///
/// # Errors
/// Two different ids, or one beyond [`SESSION_ID_BYTES_MAX`].
pub fn read_session_id<'a>(
    values: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Option<&'a [u8]>, ProtocolFault> {
    let mut found = None;
    for value in values {
        let id = value.trim_ascii();
        if id.is_empty() {
            continue;
        }
        if id.len() > SESSION_ID_BYTES_MAX {
            let n_bytes = id.len();
            return Err(ProtocolFault::new(
                FaultKind::BadResult,
                format!(
                    "a session id of {n_bytes} bytes; at most {SESSION_ID_BYTES_MAX} are accepted"
                ),
            ));
        }
        if found.is_some_and(|found| found != id) {
            return Err(ProtocolFault::new(
                FaultKind::BadResult,
                "two different `Mcp-Session-Id` headers in one answer",
            ));
        }
        found = Some(id);
    }
    Ok(found)
}

/// More codes for a request that was understood and is at fault itself.
const INTERNAL_ERROR: i64 = -32603;
const RESOURCE_NOT_FOUND: i64 = -32002;

/// Whether an HTTP error to a request that carried our session id says that
/// the server no longer knows the session.
///
/// 404 does by the specification, unless its body is a JSON-RPC error about
/// the request itself. 400 and 410 do only where their text says so of the
/// session (`Session not found`), of its id or of the header. A text about
/// something else that is called a session, such as an argument of a tool, does
/// not.
pub fn says_session_gone(status: u16, error: Option<&RpcError>, text: &str) -> bool {
    let code = error.and_then(|error| error.code);
    match status {
        404 => {
            let is_of_request = matches!(
                code,
                Some(METHOD_NOT_FOUND | INVALID_PARAMS | INTERNAL_ERROR | RESOURCE_NOT_FOUND)
            );
            !is_of_request || names_lost_session(text, code)
        }
        400 | 410 => names_lost_session(text, code),
        _ => false,
    }
}

/// Words of a text that are looked at.
const WORDS_MAX: usize = 100;

/// Said before `session`: the session does not count.
const BEFORE: &str = "no invalid unknown missing expired bad unrecognized stale wrong nonexistent terminated \
     inactive closed without";

/// May be between one of these and `session`.
const BETWEEN: &str = "valid active such known existing or missing expired mcp a the matching current open \
     invalid";

/// Said after `session`: it is gone.
const AFTER: &str = "expired invalid unknown missing terminated gone ended closed deleted lost unrecognized \
     stale evicted destroyed inactive";

/// Said after `session … not`.
const AFTER_NOT: &str =
    "found exist valid recognized recognised provided known initialized active present supplied";

/// How far behind `session` these are looked for: an id may be between.
const REACH: usize = 8;

/// The text is about a part of the request, not about its session.
const OF_REQUEST: &str = "argument arguments parameter parameters param params property properties field fields \
     input schema tool key";

fn is_in(word: &str, words: &str) -> bool {
    words.split(' ').any(|known| known == word)
}

fn names_lost_session(text: &str, code: Option<i64>) -> bool {
    let text = text.to_ascii_lowercase();
    let words: Vec<&str> = text
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .take(WORDS_MAX)
        .collect();
    let names_header = text.contains("mcp-session-id");
    if !names_header && words.iter().any(|word| is_in(word, OF_REQUEST)) {
        return false;
    }
    let lost = (0..words.len()).any(|at| is_lost(&words, at));
    let is_uninitialized = || {
        // The TypeScript SDK after a restart: `Bad Request: Server not initialized`.
        let is_said = text.contains("server not initialized");
        is_said && matches!(code, None | Some(-32000))
    };
    match code {
        // The parameters are at fault: only a text about the id itself counts.
        Some(INVALID_PARAMS | METHOD_NOT_FOUND | INTERNAL_ERROR | RESOURCE_NOT_FOUND) => {
            lost && (names_header || text.contains("session id"))
        }
        _ => lost || is_uninitialized(),
    }
}

/// Whether the words around the one at `at` say that a session is lost.
fn is_lost(words: &[&str], at: usize) -> bool {
    let is_session = matches!(words[at], "session" | "sessionid" | "session_id" | "sid");
    if !is_session {
        return false;
    }
    let after = &words[at + 1..words.len().min(at + 1 + REACH)];
    let is_of_id =
        words[at] != "session" || matches!(after.first(), Some(&("id" | "ids" | "header")));
    let mut before = words[..at]
        .iter()
        .rev()
        .skip_while(|word| is_in(word, BETWEEN) && !is_in(word, BEFORE));
    if before.next().is_some_and(|word| is_in(word, BEFORE)) {
        return true;
    }
    after.iter().enumerate().any(|(nth, word)| {
        let next = |n: usize| after.get(nth + n).copied().unwrap_or_default();
        match *word {
            "required" | "needed" => is_of_id,
            "not" => (1..=2).any(|n| is_in(next(n), AFTER_NOT)),
            "no" => next(1) == "longer",
            "doesn" | "isn" | "wasn" => is_in(next(2), AFTER_NOT),
            "timed" => next(1) == "out",
            word => is_in(word, AFTER),
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(code: i64) -> RpcError {
        RpcError {
            code: Some(code),
            message: String::new(),
            data: None,
        }
    }

    #[track_caller]
    fn check(status: u16, code: Option<i64>, text: &str, expected: bool) {
        let error = code.map(error);
        assert_eq!(
            says_session_gone(status, error.as_ref(), text),
            expected,
            "{status} {code:?} {text}"
        );
    }

    #[test]
    fn wordings_of_a_lost_session() {
        for (code, text) in [
            (Some(-32000), "Bad Request: No valid session ID provided"),
            (None, "Bad Request: No valid session ID provided"),
            (Some(-32001), "Session not found"),
            (Some(-32600), "Session not found"),
            (None, "session not found"),
            (Some(-32000), "Invalid session ID"),
            (Some(-32602), "Invalid session ID"),
            (Some(-32600), "Bad Request: Missing session ID"),
            (None, "Missing session ID"),
            (None, "session expired"),
            (Some(-32001), "Session has expired, please reinitialize"),
            (None, "Mcp-Session-Id header is required"),
            (
                Some(-32000),
                "Bad Request: Mcp-Session-Id header is required",
            ),
            (Some(-32602), "Mcp-Session-Id header is required"),
            (None, "session 7f3a-99 does not exist"),
            (None, "Session with ID 4dd0bb0e-6ea0 is no longer valid"),
            (None, "No session found for id 12"),
            (None, "unknown session"),
            (None, "Invalid or expired session"),
            (None, "invalid or missing session id"),
            (None, "The session was terminated"),
            (None, "session doesn't exist"),
            (None, "Session ID is required"),
            (None, "session_id not found"),
            (Some(-32000), "Bad Request: Server not initialized"),
            (None, "Session timed out"),
        ] {
            check(400, code, text, true);
            check(404, code, text, true);
            check(410, code, text, true);
            check(500, code, text, false);
            check(401, code, text, false);
        }
    }

    #[test]
    fn what_is_called_a_session_and_is_none() {
        for (code, text) in [
            (Some(-32602), "argument \"session\" is required"),
            (None, "argument \"session\" is required"),
            (Some(-32602), "\"session\" is required"),
            (None, "\"session\" is required"),
            (Some(-32602), "missing required parameter: session"),
            (Some(-32602), "session_id: field required"),
            (Some(-32602), "unknown session `abc`"),
            (Some(-32602), "chat session not found"),
            (Some(-32601), "no method session/open"),
            (Some(-32602), "property session must be a string"),
            (Some(-32603), "database session closed"),
            (Some(-32000), "too many sessions"),
            (None, "the session is busy"),
            (None, "Session already initialized"),
            (None, "session limit of 10 reached"),
            (None, "Bad Request"),
            (None, ""),
            (Some(-32602), "invalid tool in this session"),
            (Some(-32600), "no such resource in your session"),
        ] {
            check(400, code, text, false);
        }
    }

    #[test]
    fn a_404_is_one_unless_it_is_about_the_request() {
        check(404, None, "", true);
        check(404, None, "<html>not here</html>", true);
        check(404, Some(-32000), "gone", true);
        check(404, Some(-32601), "Method not found", false);
        check(404, Some(-32602), "no such tool", false);
        check(404, Some(-32002), "Resource not found", false);
        check(404, Some(-32603), "it broke", false);
    }

    #[test]
    fn ids_of_all_kinds() {
        let of = |values: &[&'static [u8]]| read_session_id(values.iter().copied());
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&[b""]), Ok(None));
        assert_eq!(of(&[b" \t"]), Ok(None));
        assert_eq!(of(&[b" a "]), Ok(Some(b"a".as_slice())));
        assert_eq!(of(&[b"a", b"a"]), Ok(Some(b"a".as_slice())));
        assert_eq!(of(&[b"", b"a"]), Ok(Some(b"a".as_slice())));
        assert_eq!(of(&[b"\xff\xe9 x"]), Ok(Some(b"\xff\xe9 x".as_slice())));
        let two = of(&[b"a", b"b"]).expect_err("two ids");
        assert!(two.to_string().contains("two different"), "{two}");
        let long = vec![b'x'; SESSION_ID_BYTES_MAX + 1];
        let fault = read_session_id([long.as_slice()]).expect_err("too long");
        assert!(fault.to_string().contains("4097 bytes"), "{fault}");
        assert!(read_session_id([&long[1..]]).is_ok());
    }

    proptest! {
        #[test]
        fn any_text_is_judged(status in 200..600u16, code: Option<i64>, text: String) {
            let error = code.map(error);
            says_session_gone(status, error.as_ref(), &text);
        }
    }
}
