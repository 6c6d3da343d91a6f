//! The forms that a report is written in, behind one trait.
//!
//! To add one: a file here with a type and its `write`, and its line below. A
//! format sees the report alone, without secrets, so that it writes a stored
//! report as it wrote the fresh one.

pub(super) mod json;
pub(super) mod text;

use std::io;

use super::envelope::AnyReport;
use crate::terminal::WriteColor;

/// A form of a report.
pub trait Format {
    /// Writes a report of any kind in this form.
    ///
    /// # Errors
    /// Those of the writer.
    fn write(&self, report: AnyReport<'_>, out: &mut dyn WriteColor) -> io::Result<()>;
}
