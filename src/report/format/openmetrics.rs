//! What a run had counted at its end, as OpenMetrics: under the names that `--out` tells
//! while a run goes on.

use std::io;

use super::Format;
use crate::report::envelope::AnyReport;
use crate::report::exposition::{TextDialect, families, reading, write_text};
use crate::terminal::WriteColor;

/// Metrics for programs that read OpenMetrics.
#[derive(Debug, Clone, Copy)]
pub(in crate::report) struct Openmetrics;

impl Format for Openmetrics {
    fn write(&self, report: AnyReport<'_>, mut out: &mut dyn WriteColor) -> io::Result<()> {
        match report {
            AnyReport::Run(report) => {
                let reading = reading(report);
                write_text(&families(&reading), TextDialect::Openmetrics, &mut out)
            }
            AnyReport::Find(_) | AnyReport::Calibration(_) | AnyReport::Comparison(_) => Ok(()),
        }
    }

    fn refusal(&self, report: AnyReport<'_>) -> Option<&'static str> {
        let is_run = matches!(report, AnyReport::Run(_));
        (!is_run).then_some("only the report of a run has metrics")
    }
}
