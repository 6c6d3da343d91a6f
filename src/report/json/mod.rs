//! The report as a file: its place opened before the run, complete or not there
//! at all, and without the user's secrets whoever said them.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::model::{Report, SCHEMA_VERSION};
use super::place::{Place, place_error};
use crate::clock::Utc;
use crate::error::UserError;
use crate::files::{read_text, reason};
use crate::redact::{Redacted, Redactor};

/// A report's place, ready to be written to.
///
/// Dropped without [`ReportFile::commit`], it leaves nothing behind.
#[derive(Debug)]
pub struct ReportFile {
    place: Place,
    redactor: Redactor,
}

impl ReportFile {
    /// Opens the place given by the user; `-` is stdout. Its folder must exist:
    /// making one would hide a typo.
    ///
    /// # Errors
    /// Where nothing can be written there.
    pub fn open(path: &Path) -> Result<Self, UserError> {
        Self::of(path, Place::open(path))
    }

    /// Opens a place that the program has named, and makes the folders on the
    /// way to it. Another run's report of that name is left alone: this one gets
    /// a number.
    ///
    /// # Errors
    /// Where nothing can be written there.
    pub fn open_in_folder(path: &Path) -> Result<Self, UserError> {
        Self::of(path, Place::open_new(path)).map_err(|error| {
            error.hint("name another place with `--report FILE`, or none with `--no-report`")
        })
    }

    fn of(path: &Path, place: Result<Place, (String, Option<String>)>) -> Result<Self, UserError> {
        Ok(Self {
            place: place.map_err(|fault| place_error("the report", path, fault))?,
            redactor: Redactor::default(),
        })
    }

    /// Takes these secrets out of whatever is written.
    #[must_use]
    pub fn hiding(self, redactor: Redactor) -> Self {
        Self { redactor, ..self }
    }

    /// Where the report will be, but for a number; `None`: stdout.
    pub fn path(&self) -> Option<&Path> {
        self.place.path()
    }

    /// Writes the report, on disk for good once this returns, and says where it
    /// is.
    ///
    /// # Errors
    /// Where the file system refuses; nothing is left behind then.
    pub fn commit(self, report: &impl Serialize) -> Result<Option<PathBuf>, UserError> {
        let place = match self.path() {
            None => "stdout".to_string(),
            Some(path) => format!("`{}`", path.display()),
        };
        let report = Redacted::new(report, &self.redactor);
        let written = self.place.write(|out| {
            serde_json::to_writer_pretty(&mut *out, &report)?;
            out.write_all(b"\n")
        });
        written.map_err(|error| {
            UserError::could_not_run(format!(
                "the report cannot be written to {place}: {}",
                reason(&error)
            ))
        })
    }
}

/// The report as it may be shown: what is laid out from it may cut a text where a
/// secret stands.
pub fn cleaned<T: Serialize + DeserializeOwned>(report: T, redactor: &Redactor) -> T {
    let json = serde_json::to_value(Redacted::new(&report, redactor));
    // A report reads back as it was written: that is tested.
    json.and_then(serde_json::from_value).unwrap_or(report)
}

/// `.pmcp/reports/loadtest-20261123T124107Z.json` under the given folder.
pub fn default_path(folder: &Path, now: Utc) -> PathBuf {
    let name = format!("loadtest-{}.json", now.compact());
    folder.join(".pmcp").join("reports").join(name)
}

/// The report of a run of days, with a row for each second.
const REPORT_BYTES_MAX: u64 = 256 << 20;

/// Reads a report back.
///
/// # Errors
/// Where there is no such file, it is no report, or one of a version that this
/// program cannot read.
pub fn read(path: &Path) -> Result<Report, UserError> {
    let shown = path.display();
    let text = read_text(path, REPORT_BYTES_MAX)
        .map_err(|why| UserError::usage(format!("`{shown}` {why}")))?;
    let version = serde_json::from_str::<Version>(&text).map_err(|error| {
        UserError::usage(format!("`{shown}` is not a report: {error}"))
            .hint("reports are the JSON files that `run` writes to `.pmcp/reports/`")
    })?;
    let major = |version: &str| version.split('.').next().map(str::to_string);
    if major(&version.schema_version) != major(SCHEMA_VERSION) {
        return Err(UserError::usage(format!(
            "`{shown}` has schema version `{}`; this program reads `{SCHEMA_VERSION}`",
            version.schema_version
        ))
        .hint("reports of cargo-pmcp 0.29 have `1.1`: run the test again"));
    }
    serde_json::from_str(&text)
        .map_err(|error| UserError::usage(format!("`{shown}` is not a whole report: {error}")))
}

/// What tells whether the rest can be read at all.
#[derive(Deserialize)]
struct Version {
    schema_version: String,
}

#[cfg(test)]
mod tests;
