//! What reports of all kinds have in common: the version of their form, their
//! names, their default places, and how one is read back.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::calibration::model::CalibrationReport;
use super::compare::model::ComparisonReport;
use super::find::model::FindReport;
use super::model::{GateGrade, GateOutcome, Report};
use crate::clock::Utc;
use crate::error::{UserError, shortened};
use crate::files::{WRITTEN_BYTES_MAX, is_stdin, read_stdin, read_text};
use crate::redact::{Redacted, Redactor};
use crate::text::named;

/// What the report tells of that the outcome does not know.
#[derive(Debug, Clone)]
pub struct BuildInfo {
    /// This program's version.
    pub version: String,
    /// The command line; the caller has taken the secrets out.
    pub command_line: Vec<String>,
    /// When the run had ended.
    pub finished_at: Utc,
}

named! {
    /// What a report is about.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum ReportKind {
        /// A run.
        Run = "run",
        /// A capacity search.
        Find = "find",
        /// A calibration.
        Calibration = "calibration",
        /// A comparison.
        Comparison = "comparison",
    }
    /// What the report says that it is, as `kind`. The report of a run has no such field.
    fn id
}

impl ReportKind {
    /// The version of the form. A reader accepts the same major number. A new
    /// field may come with a new minor number; a field that goes or changes its
    /// meaning needs a new major number.
    pub fn schema_version(self) -> &'static str {
        match self {
            Self::Run => "2.5",
            Self::Find => "1.1",
            Self::Calibration | Self::Comparison => "1.0",
        }
    }

    fn of_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.id() == id)
    }

    /// What messages call a file of it.
    fn name(self) -> &'static str {
        match self {
            Self::Run | Self::Find | Self::Comparison => "report",
            Self::Calibration => "calibration",
        }
    }

    /// `.pmcp/reports/loadtest-20261123T124107Z.json` under the given folder.
    pub fn default_path(self, folder: &Path, now: Utc) -> PathBuf {
        let prefix = match self {
            Self::Run => "loadtest",
            Self::Find | Self::Calibration | Self::Comparison => self.id(),
        };
        let name = format!("{prefix}-{}.json", now.compact());
        folder.join(".pmcp").join("reports").join(name)
    }
}

/// A report of any kind, as formats take it.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(untagged)]
pub enum AnyReport<'a> {
    /// Of a run.
    Run(&'a Report),
    /// Of a capacity search.
    Find(&'a FindReport),
    /// Of a calibration.
    Calibration(&'a CalibrationReport),
    /// Of a comparison.
    Comparison(&'a ComparisonReport),
}

/// A report of one kind.
pub trait Reported: Serialize + DeserializeOwned {
    /// The kind.
    const KIND: ReportKind;

    /// The report for a format.
    fn any(&self) -> AnyReport<'_>;

    /// Brings what a file says of the whole into agreement with its parts.
    fn settle(&mut self) {}
}

impl Reported for Report {
    const KIND: ReportKind = ReportKind::Run;

    fn any(&self) -> AnyReport<'_> {
        AnyReport::Run(self)
    }

    fn settle(&mut self) {
        let is_untold = self.thresholds.is_empty()
            && self.gate.why.is_none()
            && self.gate.grade != GateGrade::Passed;
        let untold = || "the report does not say why".to_string();
        let why = self.gate.why.take().or_else(|| is_untold.then(untold));
        self.gate = GateOutcome::of(&self.thresholds, why);
    }
}

impl Reported for FindReport {
    const KIND: ReportKind = ReportKind::Find;

    fn any(&self) -> AnyReport<'_> {
        AnyReport::Find(self)
    }
}

impl Reported for CalibrationReport {
    const KIND: ReportKind = ReportKind::Calibration;

    fn any(&self) -> AnyReport<'_> {
        AnyReport::Calibration(self)
    }
}

impl Reported for ComparisonReport {
    const KIND: ReportKind = ReportKind::Comparison;

    fn any(&self) -> AnyReport<'_> {
        AnyReport::Comparison(self)
    }
}

/// The report without secrets. Formats may cut a text where a secret stands, so it
/// is cleaned before they see it.
pub fn cleaned<R: Reported>(report: R, redactor: &Redactor) -> R {
    let json = serde_json::to_value(Redacted::new(&report, redactor));
    // A report reads back as it was written: that is tested.
    json.and_then(serde_json::from_value).unwrap_or(report)
}

/// The report of a run of days, with a row for each second.
const REPORT_BYTES_MAX: u64 = 256 << 20;

/// Reads a report of one kind back.
///
/// # Errors
/// Where there is no such file, it is not a report of this kind, or one of a version
/// that this program cannot read.
pub fn read<R: Reported>(path: &Path) -> Result<R, UserError> {
    let kind = R::KIND;
    let (bytes_max, hint) = match kind {
        ReportKind::Calibration => (
            WRITTEN_BYTES_MAX,
            "`cargo pmcp loadtest calibrate --report FILE` writes a calibration of this host",
        ),
        _ => (REPORT_BYTES_MAX, STORED_HINT),
    };
    let document = StoredText::read(path, kind.name(), bytes_max, hint)?;
    let name = document.name;
    match (document.kind, kind) {
        (of_file, _) if of_file == kind => document.parse(),
        (ReportKind::Run, _) => {
            Err(document.fault(format!("is not a {name} but the report of a run")))
        }
        (other, _) => {
            let other = other.id();
            Err(document.fault(format!("is not a {name}: its kind is `{other}`")))
        }
    }
}

/// Reads a report of whatever kind back; `-` is the standard input.
///
/// # Errors
/// Where there is no such file, it is not a report, or one of a version that this
/// program cannot read.
pub fn read_stored(path: &Path) -> Result<Stored, UserError> {
    let document = StoredText::read(path, "report", REPORT_BYTES_MAX, STORED_HINT)?;
    let report = match document.kind {
        ReportKind::Run => StoredReport::Run(Box::new(document.parse()?)),
        ReportKind::Find => StoredReport::Find(Box::new(document.parse()?)),
        ReportKind::Calibration => StoredReport::Calibration(Box::new(document.parse()?)),
        ReportKind::Comparison => StoredReport::Comparison(Box::new(document.parse()?)),
    };
    Ok(Stored {
        report,
        notice: document.is_newer().then(|| {
            let (kind, version) = (document.kind, &document.version);
            format!(
                "{} is of schema version {version}, and this program knows {}: what is new in it \
                 is not shown; `--format json` keeps it",
                document.shown,
                kind.schema_version()
            )
        }),
        document: document.text,
    })
}

/// What a file held that is a report.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The report.
    pub report: StoredReport,
    /// The whole file, with what this version does not know of.
    pub document: String,
    /// What its reader should know: that it is of a newer version.
    pub notice: Option<String>,
}

/// A report of any kind that was read back.
#[derive(Debug, Clone)]
pub enum StoredReport {
    /// Of a run.
    Run(Box<Report>),
    /// Of a capacity search.
    Find(Box<FindReport>),
    /// Of a calibration.
    Calibration(Box<CalibrationReport>),
    /// Of a comparison.
    Comparison(Box<ComparisonReport>),
}

impl StoredReport {
    /// The report for a format.
    pub fn any(&self) -> AnyReport<'_> {
        match self {
            Self::Run(report) => report.any(),
            Self::Find(report) => report.any(),
            Self::Calibration(report) => report.any(),
            Self::Comparison(report) => report.any(),
        }
    }

    /// The same without secrets: see [`cleaned`].
    #[must_use]
    pub fn cleaned(self, redactor: &Redactor) -> Self {
        match self {
            Self::Run(report) => Self::Run(Box::new(cleaned(*report, redactor))),
            Self::Find(report) => Self::Find(Box::new(cleaned(*report, redactor))),
            Self::Calibration(report) => Self::Calibration(Box::new(cleaned(*report, redactor))),
            Self::Comparison(report) => Self::Comparison(Box::new(cleaned(*report, redactor))),
        }
    }
}

/// Where to find a report.
const STORED_HINT: &str =
    "reports are the JSON files that `run` and `find` write to `.pmcp/reports/`";

/// A file whose head says that it is a report which this program can read.
struct StoredText {
    /// How messages call it: `` `today.json` ``.
    shown: String,
    /// What it was to be.
    name: &'static str,
    hint: &'static str,
    kind: ReportKind,
    version: String,
    text: String,
}

impl StoredText {
    fn read(
        path: &Path,
        name: &'static str,
        bytes_max: u64,
        hint: &'static str,
    ) -> Result<Self, UserError> {
        let shown = match is_stdin(path) {
            true => "the standard input".to_string(),
            false => format!("`{}`", path.display()),
        };
        let mut document = Self {
            shown,
            name,
            hint,
            kind: ReportKind::Run,
            version: String::new(),
            text: String::new(),
        };
        let text = match is_stdin(path) {
            true => read_stdin(bytes_max),
            false => read_text(path, bytes_max),
        };
        document.text = text.map_err(|why| document.fault(why))?;
        let head: Head = serde_json::from_str(&document.text)
            .map_err(|error| document.fault(format!("is not a {name}: {}", told(&error))))?;
        document.kind = match head.kind {
            None => ReportKind::Run,
            Some(id) => ReportKind::of_id(&id).ok_or_else(|| {
                let id = shortened(&id);
                document.fault(format!("is not a {name}: its kind is `{id}`"))
            })?,
        };
        document.version = head.schema_version.as_str().unwrap_or_default().to_string();
        let (major, _) = version_numbers(&document.version);
        if major.is_none() || major != version_numbers(document.kind.schema_version()).0 {
            let newest = document.kind.schema_version();
            let read = match newest.strip_suffix(".0") {
                Some(_) => format!("`{newest}`"),
                None => format!(
                    "`{}.0` to `{newest}`",
                    newest.split('.').next().unwrap_or("")
                ),
            };
            let error = document.fault(format!(
                "has schema version `{}`; this program reads {read}",
                shortened(&document.version),
            ));
            return Err(match document.kind {
                ReportKind::Run => {
                    error.hint("reports of cargo-pmcp 0.29 have `1.1`: run the test again")
                }
                _ => error,
            });
        }
        Ok(document)
    }

    /// A newer version may have fields that this one does not know.
    fn is_newer(&self) -> bool {
        version_numbers(&self.version).1 > version_numbers(self.kind.schema_version()).1
    }

    fn parse<R: Reported>(&self) -> Result<R, UserError> {
        let mut report: R = serde_json::from_str(&self.text).map_err(|error| {
            let name = self.name;
            self.fault(format!("is not a whole {name}: {}", told(&error)))
        })?;
        report.settle();
        Ok(report)
    }

    fn fault(&self, what: String) -> UserError {
        UserError::usage(format!("{} {what}", self.shown)).hint(self.hint)
    }
}

/// Of `2.0`: 2 and 0.
fn version_numbers(version: &str) -> (Option<u64>, Option<u64>) {
    let mut numbers = version.split('.').map(|number| number.parse().ok());
    (numbers.next().flatten(), numbers.next().flatten())
}

/// Why JSON cannot be read. It repeats values of the file, which may be long.
fn told(error: &serde_json::Error) -> String {
    shortened(&error.to_string())
}

/// What tells whether the rest can be read at all.
#[derive(Deserialize)]
struct Head {
    kind: Option<String>,
    schema_version: Value,
}
