//! `schema`: prints the JSON Schema of what this program reads and writes.

use std::io::Write;

use super::args::{Schema, SchemaOf};
use super::exit;
use crate::error::UserError;
use crate::report::{ReportKind, report_schema};
use crate::scenario::config_schema;
use crate::terminal::{Terminal, forgive_broken_pipe};

pub(super) fn schema(args: &Schema, terminal: &Terminal) -> Result<u8, UserError> {
    let schema = match args.of {
        SchemaOf::Report => report_schema(ReportKind::Run),
        SchemaOf::Find => report_schema(ReportKind::Find),
        SchemaOf::Calibration => report_schema(ReportKind::Calibration),
        SchemaOf::Comparison => report_schema(ReportKind::Comparison),
        SchemaOf::Config => config_schema(),
    };
    let text = format!("{schema:#}\n");
    let mut out = terminal.stdout();
    out.write_all(text.as_bytes())
        .or_else(forgive_broken_pipe)
        .map_err(|error| UserError::could_not_run(format!("cannot write to stdout: {error}")))?;
    Ok(exit::PASSED)
}
