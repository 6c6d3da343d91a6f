//! The report as it is kept and read back: all that there is, as JSON.

use std::io;

use super::Format;
use crate::redact::{Redacted, Redactor};
use crate::report::envelope::AnyReport;
use crate::terminal::WriteColor;
use crate::text::harmless_json;

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
        out.write_all(harmless_json(&document).as_bytes())?;
        out.write_all(b"\n")
    }
}
