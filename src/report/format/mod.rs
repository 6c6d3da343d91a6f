//! The forms that a report is written in, behind one trait.
//!
//! To add one: a file here with a type and its `write`, and its lines in
//! [`FormatChoice`]. A format sees the report alone, without secrets, so that it
//! writes a stored report as it wrote the fresh one.

pub(super) mod csv;
mod form;
pub(super) mod hlog;
pub(super) mod json;
pub(super) mod junit;
pub(super) mod markdown;
mod openmetrics;
mod svg;
pub(super) mod text;
mod xml;

use std::str::FromStr;

use self::csv::Csv;
use super::envelope::AnyReport;
use crate::error::nearest;
pub use form::Format;
use hlog::Hlog;
use json::Json;
use junit::Junit;
use markdown::{COMMENT_BYTES_MAX, Markdown};
use openmetrics::Openmetrics;
use svg::Svg;
use text::{SummaryOptions, Text};

/// A format by its name, as `--format` takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormatChoice {
    /// The summary for people.
    Text,
    /// All that there is, to be read back.
    Json,
    /// For a comment or a wiki.
    Markdown,
    /// Test cases, for a CI system.
    Junit,
    /// Rows, for a spreadsheet.
    Csv,
    /// Latencies, for the tools of HdrHistogram.
    Hlog,
    /// Charts, as a picture.
    Svg,
    /// Metrics, for programs that read OpenMetrics.
    Openmetrics,
}

/// The names, in the order in which messages list them.
const NAMES: [(&str, FormatChoice); 8] = [
    ("text", FormatChoice::Text),
    ("json", FormatChoice::Json),
    ("markdown", FormatChoice::Markdown),
    ("junit", FormatChoice::Junit),
    ("csv", FormatChoice::Csv),
    ("hlog", FormatChoice::Hlog),
    ("svg", FormatChoice::Svg),
    ("openmetrics", FormatChoice::Openmetrics),
];

impl FormatChoice {
    /// Why a report of this kind has no such form; `None`: it has.
    pub(super) fn refusal(self, report: AnyReport<'_>) -> Option<&'static str> {
        self.format(SummaryOptions::endless()).refusal(report)
    }

    /// Reads the name of a format that comparisons have.
    ///
    /// # Errors
    /// A message for the user that lists what is accepted.
    pub fn of_comparison(text: &str) -> Result<Self, String> {
        // A comparison has no histograms and no seconds of its own.
        let is_there = |it| !matches!(it, Self::Hlog | Self::Svg | Self::Openmetrics);
        named(text, "a format of a comparison", is_there)
    }

    /// The format. Only the text has anything to be laid out; Markdown is sorted as it is.
    pub fn format(self, options: SummaryOptions) -> Box<dyn Format> {
        match self {
            Self::Text => Box::new(Text(options)),
            Self::Json => Box::new(Json::default()),
            Self::Markdown => Box::new(Markdown {
                bytes_max: COMMENT_BYTES_MAX,
                order: options.order,
            }),
            Self::Junit => Box::new(Junit),
            Self::Csv => Box::new(Csv),
            Self::Hlog => Box::new(Hlog),
            Self::Svg => Box::new(Svg),
            Self::Openmetrics => Box::new(Openmetrics),
        }
    }
}

/// The format of this name, of those that there are.
fn named(
    text: &str,
    what: &str,
    is_there: impl Fn(FormatChoice) -> bool,
) -> Result<FormatChoice, String> {
    let there = NAMES.iter().filter(|(_, format)| is_there(*format));
    if let Some((_, format)) = there.clone().find(|(name, _)| *name == text) {
        return Ok(*format);
    }
    let names: Vec<&str> = there.map(|(name, _)| *name).collect();
    let accepted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let near = match nearest(text, names) {
        Some(near) => format!("; did you mean `{near}`?"),
        None => String::new(),
    };
    Err(format!(
        "`{text}` is not {what}; accepted are {}{near}",
        accepted.join(", ")
    ))
}

impl FromStr for FormatChoice {
    type Err = String;

    /// Reads a name.
    ///
    /// # Errors
    /// A message for the user that lists what is accepted.
    fn from_str(text: &str) -> Result<Self, String> {
        named(text, "a format", |_| true)
    }
}

#[cfg(test)]
mod hostile_tests;
