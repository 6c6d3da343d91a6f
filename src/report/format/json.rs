//! The report as it is kept and read back: all that there is, as JSON.

use std::fmt::Write as _;
use std::io;

use super::Format;
use crate::redact::{Redacted, Redactor};
use crate::report::envelope::AnyReport;
use crate::terminal::WriteColor;
use crate::text::is_unseen;

/// JSON, laid out for people, without what a redactor knows.
#[derive(Debug, Clone, Default)]
pub struct Json {
    /// What is taken out, whoever said it.
    pub redactor: Redactor,
}

impl Format for Json {
    fn write(&self, report: AnyReport<'_>, out: &mut dyn WriteColor) -> io::Result<()> {
        let report = Redacted::new(&report, &self.redactor);
        let document = serde_json::to_string_pretty(&report)?;
        out.write_all(harmless(&document).as_bytes())?;
        out.write_all(b"\n")
    }
}

/// The same document without a character that would act on a terminal: in JSON such
/// a character stands in a text, which has an escape for it. What lays the document
/// out stays as it is.
pub(in crate::report) fn harmless(document: &str) -> String {
    let mut shown = String::with_capacity(document.len());
    for c in document.chars() {
        if is_unseen(c) && !matches!(c, '\n' | '\r' | '\t') {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // A string takes all that is written to it.
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    proptest! {
        #[test]
        fn the_document_stays_the_same_and_acts_on_no_terminal(key: String, text: String) {
            let value = json!({key: [text, 1.5]});
            let document = serde_json::to_string_pretty(&value).expect("JSON");
            let shown = harmless(&document);
            let read: Value = serde_json::from_str(&shown).expect("still JSON");
            prop_assert_eq!(read, value);
            prop_assert!(!shown.contains(|c| is_unseen(c) && c != '\n'), "{shown:?}");
        }
    }
}
