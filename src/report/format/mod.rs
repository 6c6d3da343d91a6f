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
use crate::error::choice;
use crate::text::named;
pub use form::Format;
use hlog::Hlog;
use json::Json;
use junit::Junit;
use markdown::{COMMENT_BYTES_MAX, Markdown};
use openmetrics::Openmetrics;
use svg::Svg;
use text::{SummaryOptions, Text};

named! {
    /// A format by its name, as `--format` takes it, in the order in which messages list them.
    /// The first ones are [`Self::OF_COMPARISONS`].
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum FormatChoice {
        /// The summary for people.
        Text = "text",
        /// All that there is, to be read back.
        Json = "json",
        /// For a comment or a wiki.
        Markdown = "markdown",
        /// Test cases, for a CI system.
        Junit = "junit",
        /// Rows, for a spreadsheet.
        Csv = "csv",
        /// Latencies, for the tools of HdrHistogram.
        Hlog = "hlog",
        /// Charts, as a picture.
        Svg = "svg",
        /// Metrics, for programs that read OpenMetrics.
        Openmetrics = "openmetrics",
    }
    /// Its name.
    fn word
}

impl FormatChoice {
    /// Those that comparisons have, which have no histograms and no seconds of their own.
    pub const OF_COMPARISONS: &[(&str, Self)] = Self::WORDS.split_at(5).0;

    /// Why a report of this kind has no such form; `None`: it has.
    pub(super) fn refusal(self, report: AnyReport<'_>) -> Option<&'static str> {
        self.format(SummaryOptions::endless()).refusal(report)
    }

    /// Reads the name of a format that comparisons have.
    ///
    /// # Errors
    /// A message for the user that lists what is accepted.
    pub fn of_comparison(text: &str) -> Result<Self, String> {
        choice(text, "a format of a comparison", Self::OF_COMPARISONS)
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

impl FromStr for FormatChoice {
    type Err = String;

    /// Reads a name.
    ///
    /// # Errors
    /// A message for the user that lists what is accepted.
    fn from_str(text: &str) -> Result<Self, String> {
        choice(text, "a format", Self::WORDS)
    }
}

#[cfg(test)]
mod hostile_tests;
