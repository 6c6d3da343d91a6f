//! Metrics in a file that collectors read: written whole beside it, and renamed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::point::SinkPoint;
use super::pump::SinkWriter;
use super::run::SinkRun;
use super::sum::SinkSum;
use crate::error::UserError;
use crate::files::reason;
use crate::report::exposition::{TextDialect, families, write_text};
use crate::report::place::{Place, place_error};

/// A file that always holds a whole text.
pub(super) struct Textfile {
    path: PathBuf,
    dialect: TextDialect,
}

impl Textfile {
    /// Looks whether it can be written.
    ///
    /// # Errors
    /// Where it cannot, or is no file: a pipe cannot be written anew.
    pub(super) fn open(path: &Path, dialect: TextDialect) -> Result<Self, UserError> {
        let place = Place::open(path).map_err(|fault| place_error("the metrics", path, fault))?;
        if !place.is_file() {
            return Err(UserError::usage(format!(
                "the metrics cannot be written to `{}`: their file is written anew each second, \
                 and this is not a file",
                path.display()
            ))
            .hint("`--out ndjson=-` writes a line for each second and operation")
            .hint("`cargo pmcp loadtest report FILE --format openmetrics` writes the metrics of a run that has ended"));
        }
        Ok(Self {
            path: path.to_path_buf(),
            dialect,
        })
    }
}

impl SinkWriter for Textfile {
    fn write(&mut self, _: &SinkRun, _: &SinkPoint, sum: &SinkSum) -> Result<(), String> {
        let reading = sum.reading();
        let place = Place::open(&self.path).map_err(|(reason, _)| reason)?;
        let written = place.replace(|out| write_text(&families(&reading), self.dialect, out));
        written.map_err(|error| reason(&error))
    }

    fn sums_every(&self) -> Option<Duration> {
        Some(Duration::from_secs(1))
    }
}
