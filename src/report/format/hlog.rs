//! The latencies as a HdrHistogram log, version 1.3, as the tools of Java and the
//! `hdrhistogram` of Python read it.
//!
//! One line an interval and operation, with the operation as its tag; values are the
//! nanoseconds of successful calls. There is no line for all calls together, which a
//! reader would add to the others, and none for handshakes. An operation without
//! intervals has one line for the whole run, so that the lines hold every call.

use std::collections::HashSet;
use std::io;

use super::Format;
use crate::clock::Utc;
use crate::report::envelope::AnyReport;
use crate::report::model::{ExactFigures, Report, StoredHistograms, StoredKind, StoredRow};
use crate::terminal::WriteColor;
use crate::text::blank_if_unseen;

/// The log of a run's report.
#[derive(Debug, Clone, Copy)]
pub struct Hlog;

impl Format for Hlog {
    fn write(&self, report: AnyReport<'_>, out: &mut dyn WriteColor) -> io::Result<()> {
        match report {
            AnyReport::Run(report) => write_log(report, out),
            AnyReport::Find(_) | AnyReport::Calibration(_) | AnyReport::Comparison(_) => Ok(()),
        }
    }

    fn refusal(&self, report: AnyReport<'_>) -> Option<&'static str> {
        match report {
            AnyReport::Run(report) if report.histograms.is_none() => Some(
                "it holds no histograms: the run was made with `--histograms off` or by an \
                 earlier version",
            ),
            AnyReport::Run(report) => {
                let texts = report.histograms.iter().flat_map(StoredHistograms::texts);
                let is_text = |c: u8| c.is_ascii_alphanumeric() || b"+/=".contains(&c);
                // It could end a line and begin another.
                (!texts.flat_map(str::bytes).all(is_text))
                    .then_some("one of its histograms is not base64")
            }
            _ => Some("only the report of a run has histograms"),
        }
    }
}

/// A line of the log.
struct LogLine<'a> {
    at_secs: f64,
    length_secs: f64,
    max_ns: u64,
    tag: &'a str,
    histogram: &'a str,
}

fn write_log(report: &Report, out: &mut dyn WriteColor) -> io::Result<()> {
    let Some(stored) = &report.histograms else {
        return Ok(());
    };
    let rows = operations(stored);
    let tags = tags(&rows);
    writeln!(out, "#[Histogram log format version 1.3]")?;
    if let Some(start) = Utc::parse_rfc3339(&report.run.started_at) {
        let secs = start.unix_ms() as f64 / 1e3;
        let text = start.rfc3339();
        writeln!(out, "#[StartTime: {secs:.3} (seconds since epoch), {text}]")?;
        writeln!(out, "#[BaseTime: {secs:.3} (seconds since epoch)]")?;
    }
    comment(
        out,
        "latencies of successful calls, in nanoseconds; Interval_Max in milliseconds",
    )?;
    if let Some(warm_up) = &report.warm_up {
        let secs = warm_up.length_secs;
        comment(out, &format!("the warm-up is in it: the first {secs} s"))?;
    }
    if let Some(note) = &stored.note {
        comment(out, note)?;
    }
    writeln!(
        out,
        "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\""
    )?;
    let mut entries: Vec<LogLine<'_>> = Vec::new();
    for (row, tag) in rows.iter().zip(&tags) {
        entries.extend(entries_of(row, tag, report));
    }
    entries.sort_by(|a, b| a.at_secs.total_cmp(&b.at_secs));
    for entry in entries {
        let max_ms = entry.max_ns as f64 / 1e6;
        let (at, length) = (entry.at_secs, entry.length_secs);
        let (tag, histogram) = (entry.tag, entry.histogram);
        writeln!(out, "Tag={tag},{at:.3},{length:.3},{max_ms:.3},{histogram}")?;
    }
    Ok(())
}

fn operations(stored: &StoredHistograms) -> Vec<&StoredRow> {
    let rows = stored.rows.iter();
    rows.filter(|row| row.kind == StoredKind::Call).collect()
}

fn entries_of<'a>(row: &'a StoredRow, tag: &'a str, report: &Report) -> Vec<LogLine<'a>> {
    let whole = |exact: &ExactFigures| LogLine {
        at_secs: report.warm_up.as_ref().map_or(0.0, |warm| warm.length_secs),
        length_secs: report.duration_secs,
        max_ns: exact.max_ns,
        tag,
        histogram: &row.total,
    };
    if row.intervals.is_empty() {
        return row.exact.iter().map(whole).collect();
    }
    let some = row.intervals.iter().filter_map(|interval| {
        Some(LogLine {
            at_secs: interval.at_secs,
            length_secs: interval.length_secs,
            max_ns: interval.max_ns?,
            tag,
            histogram: interval.histogram.as_ref()?,
        })
    });
    some.collect()
}

/// What each row is called, no two alike: the form allows no comma, blank or line end.
fn tags(rows: &[&StoredRow]) -> Vec<String> {
    let mut taken = HashSet::new();
    let mut tags = Vec::new();
    for row in rows {
        let words = [
            &row.population,
            &row.flow,
            &row.name,
            &row.method,
            &row.subject,
        ];
        let words: Vec<&str> = words.into_iter().flatten().map(String::as_str).collect();
        let is_kept = |c: char| !c.is_whitespace() && c != ',' && c == blank_if_unseen(c);
        let tag: String = words
            .join(" ")
            .chars()
            .map(|c| if is_kept(c) { c } else { '_' })
            .collect();
        let mut free = tag.clone();
        let mut number = 2;
        while !taken.insert(free.clone()) {
            free = format!("{tag}#{number}");
            number += 1;
        }
        tags.push(free);
    }
    tags
}

fn comment(out: &mut dyn WriteColor, text: &str) -> io::Result<()> {
    let text: String = text.chars().map(blank_if_unseen).collect();
    writeln!(out, "# {text}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::{busy_outcome, outcome, plan, report};
    use crate::terminal::in_memory;

    /// Tag, start and length of each line.
    fn read(log: &str) -> Vec<(&str, &str, &str)> {
        let lines = log.lines().filter_map(|line| line.strip_prefix("Tag="));
        let fields = lines.map(|line| line.split(',').collect::<Vec<_>>());
        fields
            .map(|fields| {
                assert_eq!(fields.len(), 5, "{fields:?}");
                crate::metrics::Histogram::from_text(fields[4], None).expect("a histogram");
                (fields[0], fields[1], fields[2])
            })
            .collect()
    }

    fn log_of(report: &Report) -> String {
        let bytes = in_memory(false, |out| Hlog.write(AnyReport::Run(report), out));
        String::from_utf8(bytes.expect("a log")).expect("UTF-8")
    }

    #[test]
    fn a_log_has_the_head_of_the_standard_form_and_no_total() {
        let log = log_of(&report(&plan(), &busy_outcome()));
        let lines: Vec<&str> = log.lines().take(3).collect();
        assert_eq!(
            lines,
            [
                "#[Histogram log format version 1.3]",
                "#[StartTime: 1795437667.250 (seconds since epoch), 2026-11-23T12:41:07.250Z]",
                "#[BaseTime: 1795437667.250 (seconds since epoch)]",
            ]
        );
        let tags: Vec<&str> = read(&log).into_iter().map(|(tag, ..)| tag).collect();
        let expected = [
            "tools/call_echo",
            "tools/call_search_the_archive_of_everything_ever",
            "resources/read_file:///daten/übersicht.txt",
            "tools/list",
        ];
        assert_eq!(tags, expected);
        let is_whole = |(_, at, length): &(&str, &str, &str)| (*at, *length) == ("0.000", "30.000");
        assert!(read(&log).iter().all(is_whole), "{log}");
    }

    #[test]
    fn no_name_breaks_a_line_and_none_is_another_s() {
        let calls = ["a,b", "a b", "a\nb", "a\r\u{2028}b\u{1b}[1m", "Tag=x"];
        let calls = calls.map(|name| ("tools/call", Some(name)));
        let mut outcome = outcome(&calls);
        (0..5).for_each(|at| crate::report::samples::ok(&mut outcome.totals, at, 1_000));
        let log = log_of(&report(&plan(), &outcome));
        let lines = read(&log);
        assert_eq!(lines.len(), 5);
        let tags: HashSet<&str> = lines.iter().map(|(tag, ..)| *tag).collect();
        assert_eq!(tags.len(), 5, "{tags:?}");
        let is_bad = |c: char| c.is_whitespace() || c.is_control();
        assert!(!tags.iter().any(|tag| tag.contains(is_bad)), "{tags:?}");
    }

    #[test]
    fn a_stranger_s_histogram_makes_no_line() {
        let mut report = report(&plan(), &busy_outcome());
        let stored = report.histograms.as_mut().expect("histograms");
        stored.rows[1].total += "\nTag=other,0,1,2,HISTFAAA";
        assert!(Hlog.refusal(AnyReport::Run(&report)).is_some());
    }

    #[test]
    fn a_report_without_histograms_has_no_log() {
        let mut report = report(&plan(), &busy_outcome());
        assert_eq!(Hlog.refusal(AnyReport::Run(&report)), None);
        report.histograms = None;
        assert!(Hlog.refusal(AnyReport::Run(&report)).is_some());
    }
}
