//! Stored reports are strangers' files: whatever stands in them, every form is
//! written or the file is refused.

use serde_json::{Number, Value, json};

use crate::report::calibration::CalibrationReport;
use crate::report::calibration::samples::report as calibration;
use crate::report::envelope::{Reported, StoredReport};
use crate::report::find::FindReport;
use crate::report::find::samples::{found, report as find};
use crate::report::format::FormatChoice;
use crate::report::github::annotations;
use crate::report::model::Report;
use crate::report::samples::{busy_outcome, flow_outcome, plan, report};
use crate::report::{SummaryOptions, cleaned};
use crate::seeds::n_seeds;
use crate::terminal::{Layout, in_memory};

/// A text that tries to leave its place in every form.
const TEXT: &str =
    "a|b`c``d\n::error::x\r\n##[error] <img src=x> @user ]]> =1 \u{1b}[1m\u{202e} \u{ffff}";

/// What a value can be changed to, so that it is still read.
fn changes(value: &Value) -> Vec<Value> {
    match value {
        Value::Number(number) if number.is_f64() => {
            let numbers = [f64::MAX, f64::MIN, 1e-300];
            numbers
                .into_iter()
                .filter_map(Number::from_f64)
                .map(Value::Number)
                .collect()
        }
        Value::Number(_) => vec![json!(0), json!(u64::MAX), json!(u32::MAX)],
        Value::String(_) => vec![json!(TEXT)],
        Value::Array(items) => {
            let many = items.iter().cycle().take(items.len() * 100);
            vec![json!([]), many.cloned().collect()]
        }
        Value::Object(_) => vec![json!({}), Value::Null],
        Value::Bool(it) => vec![json!(!it), Value::Null],
        Value::Null => vec![json!(1e308), json!(TEXT), json!({})],
    }
}

/// The paths of all values.
fn pointers(value: &Value, at: String, found: &mut Vec<String>) {
    let mut inner = |name: &str, value| {
        let name = name.replace('~', "~0").replace('/', "~1");
        pointers(value, format!("{at}/{name}"), found);
    };
    match value {
        // The first of a list stands for the others.
        Value::Array(items) => items.first().into_iter().for_each(|item| inner("0", item)),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| inner(name, value)),
        _ => {}
    }
    found.push(at);
}

fn check_forms(stored: &StoredReport) {
    let report = stored.any();
    for (name, choice) in FormatChoice::WORDS.iter().copied() {
        if choice.refusal(report).is_some() {
            continue;
        }
        let layouts = match choice {
            FormatChoice::Text => vec![Layout::endless(), Layout::terminal(60)],
            _ => vec![Layout::endless()],
        };
        for layout in layouts {
            let format = choice.format(SummaryOptions {
                layout,
                report_path: None,
                ..SummaryOptions::endless()
            });
            let bytes = in_memory(false, |out| format.write(report, out)).expect(name);
            let text = String::from_utf8(bytes).expect("UTF-8");
            if choice != FormatChoice::Text {
                let is_command = |line: &str| line.trim_start().starts_with("::");
                assert!(!text.lines().any(is_command), "{name}: {text}");
            }
            assert!(!text.contains(['\u{1b}', '\u{202e}']), "{name}: {text}");
        }
    }
    assert!(
        annotations(report)
            .iter()
            .all(|line| line.lines().count() == 1)
    );
}

fn check<R: Reported>(report: R, stored: impl Fn(R) -> StoredReport) {
    let whole = serde_json::to_value(cleaned(report, &Default::default())).expect("JSON");
    let mut found = Vec::new();
    pointers(&whole, String::new(), &mut found);
    let found: Vec<String> = found.into_iter().step_by(n_seeds(11, 1) as usize).collect();
    let mut n_read = 0;
    for pointer in &found {
        let value = whole.pointer(pointer).expect("a value");
        for change in changes(value) {
            let mut changed = whole.clone();
            *changed.pointer_mut(pointer).expect("a value") = change;
            // A file that is not a whole report is refused.
            if let Ok(report) = serde_json::from_value(changed) {
                check_forms(&stored(report));
                n_read += 1;
            }
        }
    }
    assert!(n_read > found.len() / 2, "{n_read} of {}", found.len());
}

#[test]
fn every_form_of_a_run_is_written_whatever_stands_in_its_report() {
    let of_flows = report(&plan(), &flow_outcome());
    let report = Report {
        operations: of_flows.operations,
        flows: of_flows.flows,
        unchecked: of_flows.unchecked,
        evidence: of_flows.evidence,
        ..report(&plan(), &busy_outcome())
    };
    check(report, |report| StoredReport::Run(Box::new(report)));
}

#[test]
fn every_form_of_a_search_is_written_whatever_stands_in_its_report() {
    let report: FindReport = find(&found());
    check(report, |report| StoredReport::Find(Box::new(report)));
}

#[test]
fn every_form_of_a_calibration_is_written_whatever_stands_in_its_report() {
    let report: CalibrationReport = calibration();
    check(report, |report| StoredReport::Calibration(Box::new(report)));
}
