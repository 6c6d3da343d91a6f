//! What a run or a search is judged by, one by one: the same for every form that
//! tells it, and as the exit code has it.

use super::compare::{ComparisonReport, figure_name, figure_text};
use super::envelope::AnyReport;
use super::find::{FindEnd, FindReport};
use super::measure::threshold_text;
use super::model::{CauseCount, GateGrade, Report, VerdictNotes};
use crate::error::UserError;
use crate::outcome::{ChangeVerdict, ComparisonVerdict};
use crate::units::{format_count, part_of};
use crate::validity::Grade;
use serde_json::Value;

/// One thing that a report is judged by.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::report) struct Check {
    /// What kind of thing it is.
    pub(in crate::report) group: &'static str,
    /// The threshold as the user wrote it, or a few words.
    pub(in crate::report) name: String,
    /// How it came out.
    pub(in crate::report) grade: CheckGrade,
    /// Why, in a line.
    pub(in crate::report) text: String,
    /// What else there is to say, a line each.
    pub(in crate::report) details: Vec<String>,
}

/// How a check came out, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::report) enum CheckGrade {
    /// Kept.
    Passed,
    /// Not kept, and only to be warned of.
    Warned,
    /// The result does not say: the generator was the limit.
    Unclear,
    /// Not kept.
    Failed,
    /// There is no whole result.
    Broken,
}

/// Causes of failure that a check names.
const CAUSES_TOLD: usize = 5;

/// The checks of a report, in the order to be read; none of a calibration, which
/// decides nothing.
pub(in crate::report) fn checks(report: AnyReport<'_>) -> Vec<Check> {
    match report {
        AnyReport::Run(report) => run_checks(report),
        AnyReport::Find(report) => find_checks(report),
        AnyReport::Calibration(_) => Vec::new(),
        AnyReport::Comparison(report) => comparison_checks(report),
    }
}

/// That there is nothing to judge, since nothing could be measured.
pub(in crate::report) fn not_made(error: &UserError) -> Check {
    let hints = error.hints().iter();
    Check {
        group: "run",
        name: "the run takes place".to_string(),
        grade: CheckGrade::Broken,
        text: error.what().to_string(),
        details: hints.map(|hint| format!("hint: {hint}")).collect(),
    }
}

/// The worst of them.
pub(in crate::report) fn worst(checks: &[Check]) -> Option<&Check> {
    // Of equals the first.
    checks.iter().rev().max_by_key(|check| check.grade)
}

fn run_checks(report: &Report) -> Vec<Check> {
    let mut checks: Vec<Check> = report
        .thresholds
        .iter()
        .map(|threshold| Check {
            group: "thresholds",
            name: threshold.text.clone(),
            grade: match threshold.grade {
                GateGrade::Passed => CheckGrade::Passed,
                GateGrade::Warned => CheckGrade::Warned,
                GateGrade::Failed => CheckGrade::Failed,
            },
            text: threshold_text(threshold),
            details: Vec::new(),
        })
        .collect();
    let broken = report.run.ended.why_cut_off();
    // What the thresholds say of failures is enough, a negative test's too.
    if checks.is_empty() || broken.is_some() || report.gate.why.is_some() {
        let totals = &report.totals;
        let ended = totals.ended();
        let counted = match ended {
            0 => "no call ended".to_string(),
            _ => format!("{} succeeded", part_of(totals.ok, ended, "call", "calls")),
        };
        let (grade, text) = match (broken, &report.gate.why) {
            (Some(why), _) => (CheckGrade::Broken, format!("{why}; {counted}")),
            (None, Some(why)) => (CheckGrade::Failed, format!("{why}; {counted}")),
            // Nobody said how many may fail; who reads this line is to know that some did.
            (None, None) if totals.ok < ended => (CheckGrade::Warned, counted),
            (None, None) => (CheckGrade::Passed, counted),
        };
        checks.push(Check {
            group: "run",
            name: "calls succeed".to_string(),
            grade,
            text,
            details: causes(&report.failures),
        });
    }
    checks.push(verdict(&report.verdict, &report.plan));
    checks
}

/// `http.503 (12): the first message`.
fn causes(causes: &[CauseCount]) -> Vec<String> {
    let told = causes.iter().take(CAUSES_TOLD).map(|cause| {
        let example = cause.examples.first();
        let example = example.map_or(String::new(), |text| format!(": {text}"));
        format!("{} ({}){example}", cause.id, format_count(cause.count))
    });
    told.collect()
}

fn find_checks(report: &FindReport) -> Vec<Check> {
    let grade = match report.ended {
        FindEnd::Found | FindEnd::ReachedTo => CheckGrade::Passed,
        FindEnd::Refused | FindEnd::NothingSustained | FindEnd::Deadline => CheckGrade::Failed,
        FindEnd::GeneratorLimited => CheckGrade::Unclear,
        FindEnd::Interrupted | FindEnd::NoToken => CheckGrade::Broken,
    };
    let search = Check {
        group: "search",
        name: "a level keeps the limits".to_string(),
        grade,
        text: report.answer.clone(),
        details: report.generator_limit.iter().cloned().collect(),
    };
    vec![search, verdict(&report.verdict, &report.plan)]
}

/// Each figure that decides; as a whole where none does.
fn comparison_checks(report: &ComparisonReport) -> Vec<Check> {
    let graded = |is_strict: bool, is_failed: bool| match (is_strict, is_failed) {
        (_, false) => CheckGrade::Passed,
        (true, true) => CheckGrade::Failed,
        (false, true) => CheckGrade::Warned,
    };
    let outcome = &report.comparison;
    let figures = outcome
        .rows
        .iter()
        .flat_map(|row| row.figures.iter().map(move |of| (row, of)));
    let deciding = figures.filter(|(_, figure)| figure.decides);
    let checks = deciding.map(|(row, figure)| Check {
        group: "comparison",
        name: figure_name(row, figure),
        grade: match figure.verdict {
            Some(ChangeVerdict::Worse) => graded(!report.warn_only, true),
            Some(ChangeVerdict::NotEnoughData) | None => graded(report.fail_on_unclear, true),
            Some(_) => CheckGrade::Passed,
        },
        text: figure_text(figure),
        details: Vec::new(),
    });
    let mut checks: Vec<Check> = checks.collect();
    if checks.is_empty() {
        let is_undecided = outcome.verdict != ComparisonVerdict::Same;
        checks.push(Check {
            group: "comparison",
            name: "nothing is worse".to_string(),
            grade: graded(report.fail_on_unclear, is_undecided),
            text: report.answer.clone(),
            details: Vec::new(),
        });
    }
    checks
}

/// A result that is not valid fails where the user is strict, as the exit code does.
fn verdict(verdict: &VerdictNotes, plan: &Value) -> Check {
    let is_strict = plan["strict"] == Value::Bool(true);
    let cause = match verdict.reasons.first() {
        Some(reason) => format!(": {}", reason.cause),
        None => String::new(),
    };
    let (grade, word) = match verdict.grade {
        Grade::Valid => (CheckGrade::Passed, "valid"),
        Grade::Suspect => (CheckGrade::Warned, "suspect"),
        Grade::Invalid if is_strict => (CheckGrade::Failed, "invalid"),
        Grade::Invalid => (CheckGrade::Unclear, "invalid"),
    };
    Check {
        group: "run",
        name: "the result is valid".to_string(),
        grade,
        text: format!("{word}{cause}"),
        details: verdict
            .reasons
            .iter()
            .map(|reason| reason.text.clone())
            .collect(),
    }
}
