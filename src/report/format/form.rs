//! What every form of a report is.

use std::io;

use crate::report::envelope::AnyReport;
use crate::terminal::WriteColor;

/// A form of a report.
pub trait Format {
    /// Writes a report of any kind in this form.
    ///
    /// # Errors
    /// Those of the writer.
    fn write(&self, report: AnyReport<'_>, out: &mut dyn WriteColor) -> io::Result<()>;

    /// Why it has no form for a report of this kind; `None`: it has.
    fn refusal(&self, _report: AnyReport<'_>) -> Option<&'static str> {
        None
    }
}
