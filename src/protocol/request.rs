//! A request compiled once and sent many times, and its body as it was rendered.
//!
//! Does not know where the bytes go, nor which headers a session adds.

use std::ops::Range;

use super::input::InputAnswers;
use crate::template::Template;

const HEAD: &[u8] = br#"{"jsonrpc":"2.0","id":"#;

/// A request, ready to be rendered with any id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    headers: Vec<(String, String)>,
    /// Further MCP headers: their names, and the template of the JSON value that each
    /// of them mirrors (see `header_value_of_json`); one of `null` is left out.
    pub slot_headers: Vec<(String, Template)>,
    /// All that follows the id, to the closing brace.
    tail: Template,
    has_params: bool,
}

impl Prepared {
    /// A request for `method`; `params` is the text of a JSON object.
    pub(super) fn new(
        method: &str,
        headers: Vec<(String, String)>,
        params: Option<&Template>,
    ) -> Self {
        let mut tail = Template::from(format!(r#","method":"{method}""#).as_str());
        if let Some(params) = params {
            tail.push_str(r#","params":"#);
            tail.push(params);
        }
        tail.push_str("}");
        Self {
            headers,
            slot_headers: Vec::new(),
            tail,
            has_params: params.is_some(),
        }
    }

    /// The same with headers whose values are known only when the slots are filled.
    pub(super) fn with_slot_headers(self, slot_headers: Vec<(String, Template)>) -> Self {
        Self {
            slot_headers,
            ..self
        }
    }

    /// The MCP headers of this request, names and values, without `Accept`,
    /// `Content-Type` and the session's id.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// Which values it takes.
    pub fn slots(&self) -> impl Iterator<Item = usize> {
        self.tail.slots()
    }

    /// Renders the request into `body`, with `values` in the slots of its
    /// arguments.
    pub fn render(&self, id: u64, values: &[String], body: &mut RequestBody) {
        let bytes = &mut body.bytes;
        bytes.clear();
        bytes.extend_from_slice(HEAD);
        write_decimal(id, bytes);
        body.id_end = bytes.len();
        self.tail.fill(values, bytes);
        // Behind the members of `params` two braces close.
        let end = bytes.len().saturating_sub(2);
        body.answers = self.has_params.then_some(end..end);
    }
}

/// The body of a request as it was rendered. Its buffer is used again.
#[derive(Debug, Default)]
pub struct RequestBody {
    bytes: Vec<u8>,
    /// The id lies between `HEAD` and here; `HEAD.len() <= id_end <= bytes.len()`.
    id_end: usize,
    /// Where the answers to the server's questions are, behind the other members
    /// of `params`; empty in the first try. `None` where there are no `params`.
    answers: Option<Range<usize>>,
}

impl RequestBody {
    /// The request.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Makes the same request once more, with the answers that a modern server
    /// required in place of those of an earlier try. Nothing is rendered again: a
    /// value that is different each time would not fit the server's state.
    /// `id` must not be the id of an earlier try.
    ///
    /// A request without `params` gets the id alone: only modern requests are
    /// retried so, and they all have `params`.
    pub fn retry(&mut self, id: u64, answers: &InputAnswers) {
        if let Some(place) = self.answers.clone() {
            let mut members = Vec::new();
            for (name, value) in [
                ("inputResponses", answers.responses_json.as_deref()),
                ("requestState", answers.state_json.as_deref()),
            ] {
                let Some(value) = value else { continue };
                let is_first = members.is_empty() && self.bytes[..place.start].ends_with(b"{");
                let comma = if is_first { "" } else { "," };
                members.extend_from_slice(format!("{comma}\"{name}\":").as_bytes());
                members.extend_from_slice(value.as_bytes());
            }
            self.answers = Some(place.start..place.start + members.len());
            self.bytes.splice(place, members);
        }
        let mut digits = Vec::new();
        write_decimal(id, &mut digits);
        let id_end = HEAD.len() + digits.len();
        if let Some(place) = &mut self.answers {
            *place = place.start + id_end - self.id_end..place.end + id_end - self.id_end;
        }
        self.bytes.splice(HEAD.len()..self.id_end, digits);
        self.id_end = id_end;
    }

    /// Gives the buffer back where it is larger than `n_bytes`.
    pub fn release_beyond(&mut self, n_bytes: usize) {
        if self.bytes.capacity() > n_bytes {
            *self = Self::default();
        }
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

    fn rendered(prepared: &Prepared, id: u64) -> RequestBody {
        let mut body = RequestBody::default();
        prepared.render(u64::MAX, &[], &mut body);
        prepared.render(id, &["\"v\"".to_string()], &mut body);
        body
    }

    fn text(body: &RequestBody) -> &str {
        std::str::from_utf8(body.bytes()).expect("requests are UTF-8")
    }

    fn answers(responses: Option<&str>, state: Option<&str>) -> InputAnswers {
        InputAnswers::new(responses.map(str::to_string), state.map(str::to_string))
    }

    #[test]
    fn only_the_id_changes() {
        let prepared = Prepared::new("ping", Vec::new(), None);
        assert_eq!(
            text(&rendered(&prepared, 0)),
            r#"{"jsonrpc":"2.0","id":0,"method":"ping"}"#
        );
        let mut body = rendered(&prepared, u64::MAX);
        assert_eq!(
            text(&body),
            r#"{"jsonrpc":"2.0","id":18446744073709551615,"method":"ping"}"#
        );
        body.retry(3, &answers(None, Some("1")));
        assert_eq!(text(&body), r#"{"jsonrpc":"2.0","id":3,"method":"ping"}"#);
    }

    #[test]
    fn a_retry_adds_to_the_params_and_keeps_the_rest() {
        for (params, kept) in [(r#"{"name":"x"}"#, r#""name":"x","#), ("{}", "")] {
            let prepared = Prepared::new("m", Vec::new(), Some(&Template::from(params)));
            let mut body = rendered(&prepared, 9);
            for id in [10, 9_999, 3] {
                body.retry(id, &answers(Some(r#"{"a":{}}"#), Some(r#""s""#)));
                let expected = format!(
                    r#"{{"jsonrpc":"2.0","id":{id},"method":"m","params":{{{kept}"inputResponses":{{"a":{{}}}},"requestState":"s"}}}}"#,
                );
                assert_eq!(text(&body), expected);
                // What was not required this time is not sent once more.
                body.retry(id + 1, &answers(None, Some("7")));
                let expected = format!(
                    r#"{{"jsonrpc":"2.0","id":{},"method":"m","params":{{{kept}"requestState":7}}}}"#,
                    id + 1
                );
                assert_eq!(text(&body), expected);
            }
        }
    }

    #[test]
    fn a_retry_sends_the_values_of_the_first_try() {
        let mut params = Template::from(r#"{"a":"#);
        params.push_slot(0);
        params.push_str("}");
        let prepared = Prepared::new("m", Vec::new(), Some(&params));
        let mut body = rendered(&prepared, 1);
        assert_eq!(
            text(&body),
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":"v"}}"#
        );
        body.retry(2, &answers(None, Some("0")));
        assert_eq!(
            text(&body),
            r#"{"jsonrpc":"2.0","id":2,"method":"m","params":{"a":"v","requestState":0}}"#
        );
    }

    #[test]
    fn a_large_buffer_is_given_back() {
        let prepared = Prepared::new("ping", Vec::new(), None);
        let mut body = rendered(&prepared, 1);
        body.release_beyond(1 << 20);
        assert!(!body.bytes().is_empty());
        body.release_beyond(1);
        assert!(body.bytes().is_empty());
    }
}
