//! The trace of a call: a `traceparent` of W3C Trace Context (level 1, section 3.2), new
//! for each call, by which the server's own traces are found again.

use super::fields::read_fields;
use serde::Serialize;

/// What a header of it is called, and a member of `_meta`.
pub(super) const TRACEPARENT: &str = "traceparent";

/// Where a call says which trace it is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TraceMode {
    /// Nowhere: it has none.
    #[default]
    Off,
    /// In the `_meta` of its request.
    Meta,
    /// In a header of its request.
    Header,
}

impl TraceMode {
    /// Whether calls have none.
    pub fn is_off(&self) -> bool {
        *self == Self::Off
    }
}

/// What a request carries beside what it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CallExtras {
    /// A token by which the server may tell of its progress, another one each time.
    pub progress: bool,
    /// Its trace, another one each time.
    pub trace: TraceMode,
}

/// The trace's id in a `traceparent`, given as the JSON text that it is; `None` where it is
/// no such text.
pub fn trace_id(traceparent_json: &str) -> Option<u128> {
    const ID_CHARS: usize = 32;
    let text = traceparent_json.trim_matches('"').strip_prefix("00-")?;
    let (id, _) = text.split_once('-')?;
    let id = (id.len() == ID_CHARS).then_some(id)?;
    u128::from_str_radix(id, 16).ok()
}

/// The id of the trace in the `_meta` of a request, where it names one.
pub fn trace_of_request(request: &str) -> Option<u128> {
    let [params] = read_fields(request, ["params"])?;
    let [meta] = read_fields(params?, ["_meta"])?;
    let [trace] = read_fields(meta?, [TRACEPARENT])?;
    trace_id(trace?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_read_out_of_the_text() {
        let text = "\"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\"";
        let id = trace_id(text).expect("a trace");
        assert_eq!(format!("{id:032x}"), "4bf92f3577b34da6a3ce929d0e0e4736");
        for other in ["", "null", "\"00-4bf9-00f067aa0ba902b7-01\"", "\"01-\""] {
            assert_eq!(trace_id(other), None, "{other}");
        }
        let request = format!(r#"{{"params":{{"_meta":{{"traceparent":{text}}}}}}}"#);
        assert_eq!(trace_of_request(&request), Some(id));
        assert_eq!(trace_of_request("{}"), None);
    }
}
