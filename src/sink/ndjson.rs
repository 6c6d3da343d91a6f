//! A line of JSON for each second and operation.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::point::{RowsTold, SinkPoint};
use super::pump::SinkWriter;
use super::run::SinkRun;
use super::sum::SinkSum;
use crate::clock::Utc;
use crate::error::UserError;
use crate::files::reason;
use crate::report::place::{is_deleted, open_stream, place_error};
use crate::text::harmless_json;
use crate::units::{ms, secs, tidy};

/// Lines, each whole.
pub(super) struct Ndjson {
    out: Box<dyn Write + Send>,
    /// The same, where it is a file.
    file: Option<File>,
    /// The last write failed, maybe amid a line.
    is_torn: bool,
}

/// What happened to one operation in one second.
#[derive(Debug, Serialize)]
struct NdjsonLine<'a> {
    /// The second's start, RFC 3339, UTC.
    time: String,
    /// The same on the run's clock.
    at_secs: f64,
    /// How long it was: a second, or several where the file's reader was slow.
    length_secs: f64,
    warm_up: bool,
    kind: &'a str,
    operation: String,
    method: &'a str,
    subject: Option<String>,
    flow: Option<String>,
    population: Option<&'a str>,
    started: u64,
    ok: u64,
    failed: u64,
    cancelled: u64,
    min_ms: Option<f64>,
    mean_ms: Option<f64>,
    p50_ms: Option<f64>,
    p95_ms: Option<f64>,
    p99_ms: Option<f64>,
    max_ms: Option<f64>,
    failures: BTreeMap<String, u64>,
    vus: u32,
    in_flight: u64,
    /// Of a search.
    level: Option<f64>,
}

impl Ndjson {
    /// Opens the place: a file, which is emptied, a pipe, or `-`, the standard output.
    ///
    /// # Errors
    /// Where nothing can be written there.
    pub(super) fn open(path: &Path) -> Result<Self, UserError> {
        let (out, file) =
            open_stream(path).map_err(|fault| place_error("the seconds", path, fault))?;
        Ok(Self {
            out,
            file,
            is_torn: false,
        })
    }
}

impl SinkWriter for Ndjson {
    fn write(&mut self, run: &SinkRun, point: &SinkPoint, _: &SinkSum) -> Result<(), String> {
        let mut text = String::new();
        if self.is_torn {
            text.push('\n');
        }
        for (told, is_warm_up) in [(&point.warm_up, true), (&point.load, false)] {
            push_lines(&mut text, run, point, told, is_warm_up).map_err(|it| it.to_string())?;
        }
        let written = self
            .out
            .write_all(text.as_bytes())
            .and_then(|()| self.out.flush());
        self.is_torn = written.is_err();
        written.map_err(|error| reason(&error))
    }

    fn sums_every(&self) -> Option<Duration> {
        None
    }

    fn close(&mut self) -> Result<(), String> {
        match &self.file {
            Some(file) if is_deleted(file) => {
                Err("the file was deleted, or another took its place, during the run".to_string())
            }
            _ => Ok(()),
        }
    }
}

fn push_lines(
    text: &mut String,
    run: &SinkRun,
    point: &SinkPoint,
    told: &RowsTold,
    is_warm_up: bool,
) -> serde_json::Result<()> {
    let at_ns = u64::try_from(point.at.as_nanos()).unwrap_or(u64::MAX);
    let unix_ms = run.start_unix_ns.saturating_add(at_ns) / 1_000_000;
    let time = Utc::from_unix_ms(unix_ms).rfc3339();
    for (at, stats) in &told.rows {
        let Some(row) = run.rows.get(*at) else {
            continue;
        };
        let own = |text: &Option<String>| text.clone().map(|it| run.redactor.clean(it));
        let latency = stats.measured(run.has_intended_starts);
        let quantile = |q| latency.quantile_ns(q).map(ms);
        let histogram = latency.histogram();
        let failures = stats.failures.ranked().into_iter();
        let line = NdjsonLine {
            time: time.clone(),
            at_secs: secs(point.at),
            length_secs: secs(point.length),
            warm_up: is_warm_up,
            kind: row.kind.id(),
            operation: run.operation(row),
            method: &row.method,
            subject: own(&row.subject),
            flow: own(&row.flow),
            population: row.population.as_deref(),
            started: stats.started,
            ok: stats.ok,
            failed: stats.failed,
            cancelled: stats.cancelled,
            min_ms: histogram.min_ns().map(ms),
            mean_ms: histogram.mean_ns().map(|ns| tidy(ns / 1e6)),
            p50_ms: quantile(0.5),
            p95_ms: quantile(0.95),
            p99_ms: quantile(0.99),
            max_ms: histogram.max_ns().map(ms),
            failures: failures
                .map(|(failure, count)| (failure.id(), count))
                .collect(),
            vus: point.vus,
            in_flight: point.in_flight,
            level: point.level,
        };
        // Whoever looks at the file sees what a stranger called a tool.
        text.push_str(&harmless_json(&serde_json::to_string(&line)?));
        text.push('\n');
    }
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_deleted_is_told_and_one_that_was_renamed_is_kept() {
        let name = format!("pmcp-ndjson-{}-{:x}", std::process::id(), fastrand::u64(..));
        let path = std::env::temp_dir().join(name);
        let old = path.with_extension("old");
        let mut renamed = Ndjson::open(&path).expect("a file");
        std::fs::rename(&path, &old).expect("renamed");
        assert_eq!(renamed.close(), Ok(()));
        std::fs::remove_file(&old).expect("deleted");
        let mut deleted = Ndjson::open(&path).expect("a file");
        assert_eq!(deleted.close(), Ok(()));
        std::fs::remove_file(&path).expect("deleted");
        let why = deleted.close().expect_err("nobody can read it");
        assert!(why.contains("deleted"), "{why}");
    }
}
