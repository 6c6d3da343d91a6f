//! Comma-separated values for spreadsheets and scripts: a line of names, then one
//! for each row of the report (RFC 4180, lines end with a line feed).
//!
//! Names of columns are the JSON's. A text that a spreadsheet would take for a
//! formula gets a `'` before it.

use std::io;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Format;
use crate::report::calibration::{CalibrationReport, ModeFigures};
use crate::report::compare::ComparisonReport;
use crate::report::envelope::AnyReport;
use crate::report::find::FindReport;
use crate::report::model::{Figures, Report};
use crate::terminal::WriteColor;
use crate::text::blanked;

/// A table of a report's rows.
#[derive(Debug, Clone, Copy)]
pub(in crate::report) struct Csv;

/// Of a run: totals, calls, sessions, flows, populations, stages and seconds, as `kind`
/// says.
const RUN_COLUMNS: &str = "kind method subject name flow population at_secs length_secs vus \
    started ok failed cancelled dropped rate_per_sec error_rate latency_from min_ms mean_ms \
    p50_ms p90_ms p95_ms p99_ms p99_9_ms max_ms bytes_request_mean bytes_request_max \
    bytes_answer_mean bytes_answer_max";

/// Of a search: the levels that were held.
const FIND_COLUMNS: &str = "level phase verdict grade why evidence repeated rate_per_sec \
    offered_per_sec error_rate requests dropped duration_secs mean_ms p50_ms p95_ms p99_ms";

/// Of a calibration: its steps.
const CALIBRATION_COLUMNS: &str = "mode model vus rate_per_sec calls_per_sec ok failed dropped \
    cpu_us_per_call worker_busy_share server_cpu_share latency_p50_ms latency_p99_ms \
    latency_p99_9_ms latency_max_ms lateness_p50_ms lateness_p99_ms lateness_p99_9_ms \
    lateness_max_ms";

/// Of a comparison: its figures.
const COMPARISON_COLUMNS: &str = "label name flow population metric base new change \
    interval_low interval_high confidence margin decides verdict detectable why";

impl Format for Csv {
    fn write(&self, report: AnyReport<'_>, out: &mut dyn WriteColor) -> io::Result<()> {
        let (columns, rows) = match report {
            AnyReport::Run(report) => (RUN_COLUMNS, run_rows(report)),
            AnyReport::Find(report) => (FIND_COLUMNS, find_rows(report)),
            AnyReport::Calibration(report) => (CALIBRATION_COLUMNS, calibration_rows(report)),
            AnyReport::Comparison(report) => (COMPARISON_COLUMNS, comparison_rows(report)),
        };
        let columns: Vec<&str> = columns.split_whitespace().collect();
        writeln!(out, "{}", columns.join(","))?;
        for row in rows {
            let cells = columns.iter().map(|column| cell(row.get(*column)));
            writeln!(out, "{}", cells.collect::<Vec<_>>().join(","))?;
        }
        Ok(())
    }
}

/// A row's values by the names of their columns.
type Cells = Map<String, Value>;

fn run_rows(report: &Report) -> Vec<Cells> {
    let mut rows = vec![row(
        "total",
        &json!({"length_secs": report.duration_secs}),
        &report.totals,
    )];
    let calls = report
        .operations
        .iter()
        .map(|call| row("call", call, &call.figures));
    rows.extend(calls);
    let none = Value::Null;
    let handshake = report
        .handshake
        .iter()
        .map(|of| row("handshake", &none, of));
    let close = report.close.iter().map(|of| row("close", &none, of));
    let listen = report
        .listen
        .iter()
        .map(|of| row("listen", &none, &of.opening));
    let turns = report
        .turns
        .iter()
        .map(|turn| row("turn", turn, &turn.figures));
    let task_steps = report
        .task_steps
        .iter()
        .map(|step| row("task_step", step, &step.figures));
    let flows = report.flows.iter().flat_map(|flow| {
        let of = json!({"flow": flow.name, "population": flow.population});
        let busy = json!({"latency": flow.busy});
        [
            row("flow", &of, &flow.figures),
            row("flow_busy", &of, &busy),
        ]
    });
    let populations = report.populations.iter().flat_map(|it| {
        let of = json!({"population": it.name});
        let beside = [("handshake", &it.handshake), ("close", &it.close)];
        let beside = beside.map(|(kind, figures)| Some(row(kind, &of, figures.as_ref()?)));
        let whole = row("population", &of, &it.figures);
        std::iter::once(whole).chain(beside.into_iter().flatten())
    });
    let warm_up = report
        .warm_up
        .iter()
        .map(|of| row("warm_up", of, &of.figures));
    let probe = report.probe.iter().map(|probe| {
        let length = json!({"length_secs": probe.length_secs});
        row("probe", &length, &probe.figures)
    });
    let stages = report.stages.iter().enumerate().flat_map(|(at, stage)| {
        let cells = move |figures: &Figures, population: Option<&str>| {
            let mut row = row("stage", stage, figures);
            row.insert("name".to_string(), json!(at + 1));
            row.insert("population".to_string(), json!(population));
            row
        };
        let own = report.populations.iter();
        let own = own.filter_map(move |it| Some(cells(it.stages.get(at)?, Some(it.name.as_str()))));
        std::iter::once(cells(&stage.figures, None)).chain(own)
    });
    let of_populations = report.populations.iter().flat_map(|it| {
        let seconds = it.seconds.iter();
        seconds.map(|second| {
            let mut row = row("second", second, &Value::Null);
            row.insert("population".to_string(), json!(it.name));
            row
        })
    });
    let seconds = report
        .seconds
        .iter()
        .map(|second| row("second", second, &none))
        .chain(of_populations);
    let others = handshake
        .chain(close)
        .chain(listen)
        .chain(turns)
        .chain(task_steps)
        .chain(flows)
        .chain(populations)
        .chain(warm_up)
        .chain(probe);
    rows.extend(others.chain(stages).chain(seconds));
    rows
}

/// What a row is of, and its figures.
fn row(kind: &str, of: &impl Serialize, figures: &impl Serialize) -> Cells {
    let mut cells = Cells::new();
    cells.insert("kind".to_string(), json!(kind));
    flatten(of, "", &mut cells);
    flatten(figures, "", &mut cells);
    // Of a row there is one latency; a second has its names at once.
    let latency: Vec<_> = cells
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix("latency_")?, value)))
        .map(|(name, value)| (name.to_string(), value.clone()))
        .collect();
    cells.extend(latency);
    cells
}

fn find_rows(report: &FindReport) -> Vec<Cells> {
    let row = |trial| {
        let mut cells = Cells::new();
        flatten(trial, "", &mut cells);
        cells
    };
    report.trials.iter().map(row).collect()
}

fn comparison_rows(report: &ComparisonReport) -> Vec<Cells> {
    let mut rows = Vec::new();
    for row in &report.comparison.rows {
        for figure in &row.figures {
            let mut cells = Cells::new();
            flatten(row, "", &mut cells);
            flatten(figure, "", &mut cells);
            let (low, high) = figure.interval;
            cells.insert("interval_low".to_string(), json!(low));
            cells.insert("interval_high".to_string(), json!(high));
            rows.push(cells);
        }
    }
    rows
}

fn calibration_rows(report: &CalibrationReport) -> Vec<Cells> {
    let mut rows = Vec::new();
    let modes: [(&str, &ModeFigures); 2] =
        [("normal", &report.normal), ("busy_poll", &report.busy_poll)];
    for (mode, figures) in modes {
        let mut add = |model: &str, step: Value| {
            let mut cells = Cells::new();
            cells.insert("mode".to_string(), json!(mode));
            cells.insert("model".to_string(), json!(model));
            flatten(&step, "", &mut cells);
            rows.push(cells);
        };
        figures
            .closed
            .iter()
            .for_each(|step| add("closed", json!(step)));
        figures
            .open
            .iter()
            .for_each(|step| add("open", json!(step)));
    }
    rows
}

/// The fields of a value, those of a value in it under both names: `latency_p50_ms`.
/// Lists are left out.
fn flatten(of: &impl Serialize, prefix: &str, cells: &mut Cells) {
    // A figure that cannot be serialised would not be in the JSON either.
    let Ok(Value::Object(fields)) = serde_json::to_value(of) else {
        return;
    };
    for (name, value) in fields {
        let name = format!("{prefix}{name}");
        match value {
            Value::Object(_) => flatten(&value, &format!("{name}_"), cells),
            Value::Array(_) => {}
            value => _ = cells.insert(name, value),
        }
    }
}

/// A value as a cell; no value is an empty one.
fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text_cell(text),
        Some(other) => other.to_string(),
    }
}

/// A text as a cell that no spreadsheet takes for a formula.
fn text_cell(text: &str) -> String {
    let text = blanked(text);
    let is_formula = text.trim_start().starts_with(['=', '+', '-', '@']);
    let quote = if is_formula { "'" } else { "" };
    let needs_quotes = text.contains([',', '"', ';', '\'']) || text.trim() != text;
    match needs_quotes {
        true => format!("\"{quote}{}\"", text.replace('"', "\"\"")),
        false => format!("{quote}{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::{flow_outcome, plan, report};
    use proptest::prelude::*;

    #[test]
    fn formulas_are_texts() {
        let check = |text: &str, expected: &str| assert_eq!(text_cell(text), expected, "{text}");
        check("echo", "echo");
        check("a b", "a b");
        check("a,b", "\"a,b\"");
        check("a\"b", "\"a\"\"b\"");
        check(
            "=HYPERLINK(\"http://x\")",
            "\"'=HYPERLINK(\"\"http://x\"\")\"",
        );
        check("+1", "'+1");
        check("-1", "'-1");
        check("@SUM(1)", "'@SUM(1)");
        check("\t=1", "\"' =1\"");
        check("\u{feff}=1\r\n", "\"' =1  \"");
    }

    #[test]
    fn flows_and_bytes_have_their_cells() {
        let report = report(&plan(), &flow_outcome());
        let rows = run_rows(&report);
        let of_kind = |kind: &str| {
            let found = rows.iter().find(|row| row["kind"] == kind);
            found.expect("a row").clone()
        };
        let call = of_kind("call");
        assert_eq!(
            (&call["name"], &call["flow"]),
            (&json!("sign in"), &json!("checkout"))
        );
        assert_eq!(call["bytes_request_mean"], 400.0);
        assert_eq!(call["bytes_answer_max"], 499);
        let (flow, busy) = (of_kind("flow"), of_kind("flow_busy"));
        assert_eq!(
            (&flow["flow"], &flow["started"]),
            (&json!("checkout"), &json!(200))
        );
        assert!(flow["p95_ms"].as_f64() > Some(1_000.0), "{flow:?}");
        assert!(busy["p95_ms"].as_f64() < Some(30.0), "{busy:?}");
        let is_known = |name: &str| RUN_COLUMNS.split_whitespace().any(|it| it == name);
        assert!(
            ["bytes_request_mean", "bytes_answer_max"]
                .into_iter()
                .all(is_known)
        );
    }

    proptest! {
        #[test]
        fn a_text_is_one_cell_that_reads_back(texts in prop::collection::vec(any::<String>(), 1..5)) {
            let line = texts.iter().map(|text| text_cell(text)).collect::<Vec<_>>().join(",");
            let mut reader = csv::ReaderBuilder::new()
                .has_headers(false)
                .from_reader(line.as_bytes());
            let cells = reader.records().next().transpose().expect("CSV").unwrap_or_default();
            let is_blank = texts.iter().all(String::is_empty) && texts.len() == 1;
            prop_assert_eq!(cells.len(), if is_blank { 0 } else { texts.len() }, "{:?}", line);
            for (cell, text) in cells.iter().zip(&texts) {
                let starts = cell.trim_start().starts_with(['=', '+', '-', '@', '\t', '\r']);
                prop_assert!(!starts, "{cell:?}");
                prop_assert_eq!(cell.strip_prefix('\'').unwrap_or(cell),
                    { let text = blanked(text); text.strip_prefix('\'').unwrap_or(&text).to_string() });
            }
        }
    }
}
