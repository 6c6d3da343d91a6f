//! The report as a file: opened before the run, complete or not there at all.
//!
//! It writes beside the target and renames, so that a reader never sees half
//! a report and a run that dies leaves an earlier one as it was.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::model::{Report, SCHEMA_VERSION};
use crate::clock::Utc;
use crate::error::UserError;
use crate::files::{read_text, reason};
use crate::terminal::forgive_broken_pipe;

/// A report's place, ready to be written to.
///
/// Dropped without [`ReportFile::commit`], it leaves nothing behind.
#[derive(Debug)]
pub struct ReportFile {
    place: Place,
}

#[derive(Debug)]
enum Place {
    Stdout,
    /// A pipe or a device, which must be written to and not replaced.
    Device {
        path: PathBuf,
        file: File,
    },
    File {
        target: PathBuf,
        temporary: Temporary,
        file: File,
    },
}

impl ReportFile {
    /// Opens the place given by the user; `-` is stdout. Its folder must exist:
    /// making one would hide a typo.
    ///
    /// # Errors
    /// Where nothing can be written there.
    pub fn open(path: &Path) -> Result<Self, UserError> {
        if path == Path::new("-") {
            let place = Place::Stdout;
            return Ok(Self { place });
        }
        let fault = |reason: String| {
            UserError::could_not_run(format!(
                "the report cannot be written to `{}`: {reason}",
                path.display()
            ))
        };
        if path.is_dir() {
            return Err(fault("it is a folder".to_string())
                .hint("name a file in it, as in `--report reports/today.json`"));
        }
        // A link stays a link: what it points to is replaced.
        let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        if path.exists() && !path.is_file() {
            let file = OpenOptions::new().write(true).open(path);
            let place = Place::Device {
                path: path.clone(),
                file: file.map_err(|error| fault(reason(&error)))?,
            };
            return Ok(Self { place });
        }
        let Some(name) = path.file_name() else {
            return Err(fault("it names no file".to_string()));
        };
        // The process id keeps two runs with one target apart.
        let mut temporary_name = std::ffi::OsString::from(".");
        temporary_name.push(name);
        temporary_name.push(format!(".{}.partial", std::process::id()));
        let temporary = path.with_file_name(temporary_name);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&temporary)
            .map_err(|error| fault(reason(&error)))?;
        Ok(Self {
            place: Place::File {
                target: path.to_path_buf(),
                temporary: Temporary { path: temporary },
                file,
            },
        })
    }

    /// Opens a place and makes the folders on the way to it.
    ///
    /// # Errors
    /// Where nothing can be written there.
    pub fn open_in_folder(path: &Path) -> Result<Self, UserError> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|error| {
                UserError::could_not_run(format!(
                    "the folder `{}` cannot be made: {}",
                    parent.display(),
                    reason(&error)
                ))
                .hint("name another place with `--report FILE`, or none with `--no-report`")
            })?;
        }
        Self::open(path)
    }

    /// Where the report will be; `None`: stdout.
    pub fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::Stdout => None,
            Place::Device { path, .. } | Place::File { target: path, .. } => Some(path),
        }
    }

    /// Writes the report, on disk for good once this returns.
    ///
    /// # Errors
    /// Where the file system refuses; nothing is left behind then.
    pub fn commit(self, report: &impl Serialize) -> Result<(), UserError> {
        let place = match self.path() {
            None => "stdout".to_string(),
            Some(path) => format!("`{}`", path.display()),
        };
        let written = match self.place {
            Place::Stdout => write(io::stdout().lock(), report).or_else(forgive_broken_pipe),
            Place::Device { file, .. } => write(&file, report).or_else(forgive_broken_pipe),
            Place::File {
                target,
                temporary,
                file,
            } => write(&file, report)
                .and_then(|()| file.sync_all())
                .and_then(|()| fs::rename(&temporary.path, &target)),
        };
        written.map_err(|error| {
            UserError::could_not_run(format!(
                "the report cannot be written to {place}: {}",
                reason(&error)
            ))
        })
    }
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

fn write(out: impl Write, report: &impl Serialize) -> io::Result<()> {
    let mut out = BufWriter::new(out);
    serde_json::to_writer_pretty(&mut out, report)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// A file that is gone when this is dropped. After the rename there is none,
/// and removing it fails unseen.
#[derive(Debug)]
struct Temporary {
    path: PathBuf,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests;
