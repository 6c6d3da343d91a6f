//! Follows what a server tells of the progress of one call.

use super::fields::{read_fields, read_string};
use crate::text::shown_text;

/// The most characters of a value that are told.
const SHOWN_MAX: usize = 50;

/// The progress of the call whose request has this token.
#[derive(Debug, Clone, PartialEq)]
pub struct ProgressWatch {
    token: String,
    last: Option<f64>,
    n_told: u64,
    fault: Option<String>,
}

impl ProgressWatch {
    /// Of a request; `None` where it carries no token.
    pub fn of_request(request: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(request).ok()?;
        let [params] = read_fields(text, ["params"])?;
        let [meta] = read_fields(params?, ["_meta"])?;
        let [token] = read_fields(meta?, ["progressToken"])?;
        Some(Self {
            token: read_string(token?)?,
            last: None,
            n_told: 0,
            fault: None,
        })
    }

    /// Looks at a notification, which may be of anything.
    pub(super) fn look_at(&mut self, message: &[u8]) {
        let told = || {
            let text = std::str::from_utf8(message).ok()?;
            let [method, params] = read_fields(text, ["method", "params"])?;
            let is_progress = read_string(method?)? == "notifications/progress";
            let [token, progress] = read_fields(params?, ["progressToken", "progress"])?;
            let is_ours = read_string(token?)? == self.token;
            (is_progress && is_ours).then(|| progress.unwrap_or("null"))
        };
        let Some(json) = told() else { return };
        self.n_told += 1;
        let value = json.parse::<f64>().ok().filter(|value| value.is_finite());
        let has_grown = match (self.last, value) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(last), Some(value)) => value > last,
        };
        if !has_grown && self.fault.is_none() {
            let after = match self.last {
                Some(last) => format!("after {last}"),
                None => "at first".to_string(),
            };
            self.fault = Some(format!(
                "notification {} of the call's progress says {} {after}: each has to say a number \
                 above the one before",
                self.n_told,
                shown_text(json, SHOWN_MAX)
            ));
        }
        self.last = value.or(self.last);
    }

    /// How many notifications told of it.
    pub fn n_told(&self) -> u64 {
        self.n_told
    }

    /// What was wrong with the first that did not grow.
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch() -> ProgressWatch {
        let request = br#"{"id":1,"params":{"_meta":{"progressToken":"t"}}}"#;
        ProgressWatch::of_request(request).expect("a token")
    }

    fn told(token: &str, progress: &str) -> String {
        format!(
            r#"{{"method":"notifications/progress","params":{{"progressToken":{token},"progress":{progress}}}}}"#
        )
    }

    #[test]
    fn values_have_to_grow() {
        let check = |values: &[&str], fault: Option<&str>| {
            let mut watch = watch();
            for value in values {
                watch.look_at(told(r#""t""#, value).as_bytes());
            }
            assert_eq!(watch.n_told(), values.len() as u64);
            match fault {
                None => assert_eq!(watch.fault(), None, "{values:?}"),
                Some(text) => assert!(watch.fault().is_some_and(|it| it.contains(text))),
            }
        };
        check(&["0", "0.5", "7e2"], None);
        check(&["-3", "-2"], None);
        check(
            &["1", "1", "0"],
            Some("notification 2 of the call's progress says 1 after 1"),
        );
        check(&["1", "2", "0.5"], Some("notification 3"));
        check(&["\"half\""], Some("says \"half\" at first"));
        check(&["1e999"], Some("at first"));
    }

    #[test]
    fn what_is_of_another_call_does_not_count() {
        let mut watch = watch();
        for message in [
            told(r#""u""#, "1"),
            told("7", "1"),
            r#"{"method":"notifications/message","params":{"progressToken":"t"}}"#.to_string(),
            "{".to_string(),
            "[]".to_string(),
        ] {
            watch.look_at(message.as_bytes());
        }
        assert_eq!((watch.n_told(), watch.fault()), (0, None));
        // Whatever way the token is written.
        watch.look_at(told(r#""\u0074""#, "1").as_bytes());
        assert_eq!(watch.n_told(), 1);
        for request in ["{}", r#"{"params":{"_meta":{}}}"#, "", "[]"] {
            assert_eq!(ProgressWatch::of_request(request.as_bytes()), None);
        }
    }
}
