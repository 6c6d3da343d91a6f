//! A request rendered once and sent many times: only the id changes.
//!
//! Does not know where the bytes go, nor which headers a session adds.

use super::input::InputAnswers;

const HEAD: &[u8] = br#"{"jsonrpc":"2.0","id":"#;

/// A request, ready to be written with any id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    method: &'static str,
    headers: Vec<(String, String)>,
    /// All that follows the id, to the closing brace.
    tail: Vec<u8>,
    /// Where in `tail` the members of `params` end: the index of its closing
    /// brace. `None` where the request has no `params`.
    params_end: Option<usize>,
}

impl Prepared {
    /// A request for `method`; `params` is the text of a JSON object.
    pub(super) fn new(
        method: &'static str,
        headers: Vec<(String, String)>,
        params: Option<&str>,
    ) -> Self {
        let mut tail = format!(r#","method":"{method}""#);
        if let Some(params) = params {
            tail.push_str(r#","params":"#);
            tail.push_str(params);
        }
        tail.push('}');
        let tail = tail.into_bytes();
        Self {
            method,
            headers,
            params_end: params.map(|_| tail.len() - 2),
            tail,
        }
    }

    /// The method as it stands on the wire.
    pub fn method(&self) -> &'static str {
        self.method
    }

    /// The MCP headers of this request, names and values, without `Accept`,
    /// `Content-Type` and the session's id.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// How many bytes [`write`](Self::write) appends at most.
    pub fn max_len(&self) -> usize {
        HEAD.len() + DIGITS_MAX + self.tail.len()
    }

    /// Appends the request to `out`. Allocates only where `out` must grow.
    pub fn write(&self, id: u64, out: &mut Vec<u8>) {
        out.reserve(self.max_len());
        out.extend_from_slice(HEAD);
        write_decimal(id, out);
        out.extend_from_slice(&self.tail);
    }

    /// Appends the request again, with the answers that a modern server
    /// required. `id` must not be the id of the first try.
    ///
    /// A request without `params` is written as it was: only modern requests
    /// are retried so, and they all have `params`.
    pub fn write_retry(&self, id: u64, answers: &InputAnswers, out: &mut Vec<u8>) {
        let Some(params_end) = self.params_end else {
            return self.write(id, out);
        };
        let (before, after) = self.tail.split_at(params_end);
        out.extend_from_slice(HEAD);
        write_decimal(id, out);
        out.extend_from_slice(before);
        for (name, value) in [
            ("inputResponses", answers.responses_json()),
            ("requestState", answers.state_json()),
        ] {
            if let Some(value) = value {
                if !out.ends_with(b"{") {
                    out.push(b',');
                }
                out.extend_from_slice(b"\"");
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(b"\":");
                out.extend_from_slice(value.as_bytes());
            }
        }
        out.extend_from_slice(after);
    }
}

/// A notification: sent once, answered by nothing that is worth reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Its MCP headers, as of [`Prepared::headers`].
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

/// The most digits of a `u64`.
const DIGITS_MAX: usize = 20;

/// Appends `number` in decimal, without allocating a string.
pub(super) fn write_decimal(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0_u8; DIGITS_MAX];
    // 0 < start <= DIGITS_MAX: a `u64` never has more digits than the array.
    let mut start = DIGITS_MAX;
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(prepared: &Prepared, id: u64) -> String {
        let mut out = b"kept ".to_vec();
        prepared.write(id, &mut out);
        String::from_utf8(out).expect("requests are UTF-8")
    }

    #[test]
    fn only_the_id_changes() {
        let prepared = Prepared::new("ping", Vec::new(), None);
        assert_eq!(
            written(&prepared, 0),
            r#"kept {"jsonrpc":"2.0","id":0,"method":"ping"}"#
        );
        assert_eq!(
            written(&prepared, u64::MAX),
            r#"kept {"jsonrpc":"2.0","id":18446744073709551615,"method":"ping"}"#
        );
        assert_eq!(prepared.max_len(), written(&prepared, u64::MAX).len() - 5);
    }

    #[test]
    fn a_retry_adds_to_the_params() {
        let answers =
            InputAnswers::new(Some(r#"{"a":{}}"#.to_string()), Some(r#""s""#.to_string()));
        for (params, expected) in [
            (
                r#"{"name":"x"}"#,
                r#"{"jsonrpc":"2.0","id":9,"method":"m","params":{"name":"x","inputResponses":{"a":{}},"requestState":"s"}}"#,
            ),
            (
                "{}",
                r#"{"jsonrpc":"2.0","id":9,"method":"m","params":{"inputResponses":{"a":{}},"requestState":"s"}}"#,
            ),
        ] {
            let prepared = Prepared::new("m", Vec::new(), Some(params));
            let mut out = Vec::new();
            prepared.write_retry(9, &answers, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }

    #[test]
    fn what_was_not_given_is_not_sent_back() {
        let prepared = Prepared::new("m", Vec::new(), Some(r#"{"name":"x"}"#));
        let mut out = Vec::new();
        prepared.write_retry(
            2,
            &InputAnswers::new(None, Some("\"s\"".to_string())),
            &mut out,
        );
        assert_eq!(
            String::from_utf8_lossy(&out),
            r#"{"jsonrpc":"2.0","id":2,"method":"m","params":{"name":"x","requestState":"s"}}"#
        );
    }
}
