//! What reports of all kinds have in common: the version of their form, their
//! names, their default places, and how one is read back.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::calibration::model::CalibrationReport;
use super::find::model::FindReport;
use super::model::Report;
use crate::clock::Utc;
use crate::error::UserError;
use crate::files::{WRITTEN_BYTES_MAX, read_text};
use crate::redact::{Redacted, Redactor};

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

/// What a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportKind {
    /// A run.
    Run,
    /// A capacity search.
    Find,
    /// A calibration.
    Calibration,
}

impl ReportKind {
    /// The version of the form. A reader accepts the same major number. A new
    /// field may come with a new minor number; a field that goes or changes its
    /// meaning needs a new major number.
    pub fn schema_version(self) -> &'static str {
        match self {
            Self::Run => "2.0",
            Self::Find | Self::Calibration => "1.0",
        }
    }

    /// What the report says that it is, as `kind`. The report of a run has no such
    /// field.
    pub(super) fn id(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Find => "find",
            Self::Calibration => "calibration",
        }
    }

    /// `.pmcp/reports/loadtest-20261123T124107Z.json` under the given folder.
    pub fn default_path(self, folder: &Path, now: Utc) -> PathBuf {
        let prefix = match self {
            Self::Run => "loadtest",
            Self::Find | Self::Calibration => self.id(),
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
}

/// A report of one kind.
pub trait Reported: Serialize + DeserializeOwned {
    /// The kind.
    const KIND: ReportKind;

    /// The report for a format.
    fn any(&self) -> AnyReport<'_>;
}

impl Reported for Report {
    const KIND: ReportKind = ReportKind::Run;

    fn any(&self) -> AnyReport<'_> {
        AnyReport::Run(self)
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

/// The report without secrets. Formats may cut a text where a secret stands, so it
/// is cleaned before they see it.
pub fn cleaned<R: Reported>(report: R, redactor: &Redactor) -> R {
    let json = serde_json::to_value(Redacted::new(&report, redactor));
    // A report reads back as it was written: that is tested.
    json.and_then(serde_json::from_value).unwrap_or(report)
}

/// The report of a run of days, with a row for each second.
const REPORT_BYTES_MAX: u64 = 256 << 20;

/// Reads a report back.
///
/// # Errors
/// Where there is no such file, it is no report of this kind, or one of a version
/// that this program cannot read.
pub fn read<R: Reported>(path: &Path) -> Result<R, UserError> {
    let kind = R::KIND;
    let (name, bytes_max, hint) = match kind {
        ReportKind::Calibration => (
            "calibration",
            WRITTEN_BYTES_MAX,
            "`cargo pmcp loadtest calibrate --report FILE` writes a calibration of this host",
        ),
        ReportKind::Run | ReportKind::Find => (
            "report",
            REPORT_BYTES_MAX,
            "reports are the JSON files that `run` and `find` write to `.pmcp/reports/`",
        ),
    };
    let shown = path.display();
    let fault = |what: String| UserError::usage(format!("`{shown}` {what}")).hint(hint);
    let text = read_text(path, bytes_max).map_err(fault)?;
    let head: Head =
        serde_json::from_str(&text).map_err(|error| fault(format!("is not a {name}: {error}")))?;
    match &head.kind {
        Some(other) if other != kind.id() => {
            return Err(fault(format!("is not a {name}: its kind is `{other}`")));
        }
        None if kind != ReportKind::Run => {
            return Err(fault(format!("is not a {name} but the report of a run")));
        }
        _ => {}
    }
    let version = head.schema_version.as_str().unwrap_or_default();
    let major = |version: &str| version.split('.').next().map(str::to_string);
    if major(version) != major(kind.schema_version()) {
        let error = fault(format!(
            "has schema version `{version}`; this program reads `{}`",
            kind.schema_version()
        ));
        return Err(match kind {
            ReportKind::Run => {
                error.hint("reports of cargo-pmcp 0.29 have `1.1`: run the test again")
            }
            ReportKind::Find | ReportKind::Calibration => error,
        });
    }
    serde_json::from_str(&text).map_err(|error| fault(format!("is not a whole {name}: {error}")))
}

/// What tells whether the rest can be read at all.
#[derive(Deserialize)]
struct Head {
    kind: Option<String>,
    schema_version: Value,
}
