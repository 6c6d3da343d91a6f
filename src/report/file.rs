//! The report as a file: its place opened before the run, complete or not there
//! at all.

use std::io;
use std::path::{Path, PathBuf};

use super::place::{Place, place_error};
use crate::error::UserError;
use crate::files::reason;

/// A report's place, ready to be written to.
///
/// Dropped without [`ReportFile::commit`], it leaves nothing behind.
#[derive(Debug)]
pub struct ReportFile {
    place: Place,
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
        })
    }

    /// Where the report will be, but for a number; `None`: stdout.
    pub fn path(&self) -> Option<&Path> {
        self.place.path()
    }

    /// Whether writing it may wait for a reader.
    pub(super) fn may_wait(&self) -> bool {
        !self.place.is_file()
    }

    /// Removes what an earlier run has left at this place, where it has a name of the user's,
    /// and says where that was.
    ///
    /// # Errors
    /// Where the file system refuses.
    pub(super) fn withdraw(self) -> Result<Option<PathBuf>, UserError> {
        let path = self.path().map(|path| path.display().to_string());
        self.place.withdraw().map_err(|error| {
            UserError::could_not_run(format!(
                "the report of an earlier run stays at `{}`: {}",
                path.unwrap_or_default(),
                reason(&error)
            ))
        })
    }

    /// Writes the report, on disk for good once this returns, and says where it
    /// is. `bytes` are a format's, or why it has none.
    ///
    /// # Errors
    /// Where the file system refuses; nothing is left behind then.
    pub fn commit(self, bytes: io::Result<Vec<u8>>) -> Result<Option<PathBuf>, UserError> {
        let place = match self.path() {
            None => "stdout".to_string(),
            Some(path) => format!("`{}`", path.display()),
        };
        let written = bytes.and_then(|bytes| self.place.write(|out| out.write_all(&bytes)));
        written.map_err(|error| {
            UserError::could_not_run(format!(
                "the report cannot be written to {place}: {}",
                reason(&error)
            ))
        })
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
