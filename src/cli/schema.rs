//! `schema`: prints the JSON Schema of what this program reads and writes.

use super::args::{Schema, SchemaOf};
use super::common::write_to_stdout;
use super::exit;
use crate::error::UserError;
use crate::report::{ReportKind, report_schema};
use crate::scenario::config_schema;
use crate::terminal::Terminal;

pub(super) fn schema(args: &Schema, terminal: &Terminal) -> Result<u8, UserError> {
    let schema = match args.of {
        SchemaOf::Report => report_schema(ReportKind::Run),
        SchemaOf::Find => report_schema(ReportKind::Find),
        SchemaOf::Calibration => report_schema(ReportKind::Calibration),
        SchemaOf::Comparison => report_schema(ReportKind::Comparison),
        SchemaOf::Config => config_schema(),
    };
    let text = format!("{schema:#}\n");
    write_to_stdout(&text, terminal)?;
    Ok(exit::PASSED)
}
