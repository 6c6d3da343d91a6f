//! The summary for people.

use std::io;

use super::Format;
use crate::report::calibration::calibration_summary;
use crate::report::compare::comparison_summary;
use crate::report::envelope::AnyReport;
use crate::report::find::find_summary;
use crate::report::page::Page;
use crate::report::summary::{self, OperationOrder};
use crate::terminal::{Layout, Line, Role, WriteColor, write_lines};

/// What the summary depends on beside the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummaryOptions {
    /// What it is laid out for.
    pub layout: Layout,
    /// Where the JSON report was written, as the user would name it.
    pub report_path: Option<String>,
    /// By what the operations of a run are sorted.
    pub order: OperationOrder,
}

impl SummaryOptions {
    /// For a file: nothing is cut, and it is not said where another one is.
    pub fn endless() -> Self {
        Self {
            layout: Layout::endless(),
            report_path: None,
            order: OperationOrder::default(),
        }
    }
}

/// Lines of text in roles.
#[derive(Debug, Clone)]
pub struct Text(pub SummaryOptions);

impl Text {
    /// The lines of a report's summary.
    pub fn lines(&self, report: AnyReport<'_>) -> Vec<Line> {
        let mut page = Page::new(self.0.layout);
        let path = self.0.report_path.as_deref();
        match report {
            AnyReport::Run(report) => {
                summary::summary(&mut page, report, path, self.0.order);
                page.end_with(&summary::conclusion(report));
            }
            AnyReport::Find(report) => {
                find_summary(&mut page, report, path);
                page.end_with(&Line::of(Role::Strong, &report.answer));
            }
            AnyReport::Calibration(report) => calibration_summary(&mut page, report, path),
            AnyReport::Comparison(report) => comparison_summary(&mut page, report, path),
        }
        page.into_lines()
    }
}

impl Format for Text {
    fn write(&self, report: AnyReport<'_>, out: &mut dyn WriteColor) -> io::Result<()> {
        write_lines(out, &self.lines(report))
    }
}
