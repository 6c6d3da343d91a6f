//! Earlier runs of a plan, found in the folder that their reports are in.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::samples::sample;
use crate::error::UserError;
use crate::files::reason;
use crate::outcome::RunSample;
use crate::report::envelope::read;
use crate::report::model::Report;

/// The most runs that are taken for a base.
pub const HISTORY_RUNS_MAX: usize = 20;

/// Entries of a folder that are looked at.
const ENTRIES_MAX: usize = 10_000;

/// Files that are read for the runs that are sought.
const FILES_READ_MAX: usize = 200;

/// What a folder held.
#[derive(Debug)]
pub struct History {
    /// The runs, latest first.
    pub runs: Vec<RunSample>,
    /// Reports that were read.
    pub n_read: usize,
    /// Whether there was more than is looked at.
    pub is_cut: bool,
}

/// The last `n` runs in a folder that `is_wanted` takes, by when their files were
/// written. What is not a report of a run is passed over.
///
/// # Errors
/// Where the folder cannot be read.
pub fn history(
    folder: &Path,
    n: usize,
    mut is_wanted: impl FnMut(&RunSample) -> bool,
) -> Result<History, UserError> {
    let fault = |error: &std::io::Error| {
        let (shown, why) = (folder.display(), reason(error));
        UserError::usage(format!("`--history {shown}` cannot be read: {why}"))
            .hint("name the folder that reports are written to, such as `.pmcp/reports`")
    };
    let entries = fs::read_dir(folder).map_err(|error| fault(&error))?;
    let mut files: Vec<(SystemTime, PathBuf)> = Vec::new();
    let mut is_cut = false;
    for (at, entry) in entries.enumerate() {
        if at >= ENTRIES_MAX {
            is_cut = true;
            break;
        }
        let path = entry.map_err(|error| fault(&error))?.path();
        let is_json = path
            .extension()
            .is_some_and(|extension| extension == "json");
        let written = fs::metadata(&path)
            .ok()
            .filter(|of| is_json && of.is_file());
        let written = written.and_then(|of| of.modified().ok());
        files.extend(written.map(|written| (written, path)));
    }
    // The latest first; of those written at once, by their names, which hold the time.
    files.sort_unstable();
    files.reverse();
    is_cut |= files.len() > FILES_READ_MAX;
    let mut found = History {
        runs: Vec::new(),
        n_read: 0,
        is_cut,
    };
    for (_, path) in files.into_iter().take(FILES_READ_MAX) {
        if found.runs.len() >= n.min(HISTORY_RUNS_MAX) {
            found.is_cut = false;
            break;
        }
        // Searches, calibrations and what is broken lie there too.
        let Ok(report) = read::<Report>(&path) else {
            continue;
        };
        found.n_read += 1;
        let sample = sample(&report, &path.display().to_string());
        found.runs.extend(sample.ok().filter(&mut is_wanted));
    }
    Ok(found)
}
