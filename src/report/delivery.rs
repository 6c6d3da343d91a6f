//! What becomes of a report at the end of a command: files, and the summary.

use std::io;

use super::compare::ComparisonReport;
use super::envelope::{AnyReport, Reported, Stored, cleaned};
use super::file::ReportFile;
use super::format::json::Json;
use super::format::text::{SummaryOptions, Text};
use super::format::{Format, FormatChoice};
use super::format::{junit, markdown};
use super::github::{StepSummary, annotations, failure_annotations};
use super::summary::OperationOrder;
use crate::error::UserError;
use crate::files::reason;
use crate::terminal::{Layout, Line, Terminal, forgive_broken_pipe, in_memory};
use crate::text::harmless_json;
use crate::units::few_of;

/// Where a report goes beside the terminal, each place opened before there is
/// anything to write.
#[derive(Debug, Default)]
pub struct Outputs {
    /// The JSON report.
    pub report: Option<ReportFile>,
    /// Other forms of it.
    pub more: Vec<(FormatChoice, ReportFile)>,
    /// Something else is written to stdout: the summary goes to stderr.
    pub has_stdout_taken: bool,
    /// Whether annotations are written, for GitHub's runner to read.
    pub annotates: bool,
    /// The summary of GitHub's step.
    pub step_summary: Option<StepSummary>,
    /// Why that cannot be written, where it should be: among the notices of the report too.
    pub step_summary_notice: Option<String>,
    /// By what the summary sorts the operations of a run.
    pub order: OperationOrder,
}

/// A report that was delivered.
#[derive(Debug)]
pub struct Delivered<R> {
    /// The report, without secrets.
    pub report: R,
    /// What could not be written, if it was wished for, or shown.
    pub faults: Vec<UserError>,
}

/// Writes the report in all forms that are wished for, and shows the summary. Each
/// is written whatever becomes of the others, and what was measured is shown even
/// where nothing can be written.
///
/// The summary goes to stdout, or to stderr where a form is on stdout. There `quiet`
/// leaves it out.
pub fn deliver<R: Reported>(
    outputs: Outputs,
    report: R,
    quiet: bool,
    terminal: &Terminal,
) -> Delivered<R> {
    let redactor = terminal.redactor();
    let report = cleaned(report, &redactor);
    let any = report.any();
    if let Some(word) = own_word(any) {
        terminal.keep(word);
    }
    let Outputs {
        report: file,
        more,
        order,
        ..
    } = outputs;
    let mut files = file.iter().chain(more.iter().map(|(_, file)| file));
    let is_on_stdout = outputs.has_stdout_taken || files.any(|file| file.path().is_none());
    // What waits for a reader comes last: one that never reads takes nothing else away.
    let (read_by_others, before) = more
        .into_iter()
        .partition::<Vec<_>, _>(|(_, file)| file.may_wait());
    let (before, after) = match &file {
        Some(file) if file.may_wait() => (before, read_by_others),
        _ => (
            Vec::new(),
            before.into_iter().chain(read_by_others).collect(),
        ),
    };
    let in_form = |(choice, file): (FormatChoice, ReportFile)| {
        let options = SummaryOptions {
            order,
            ..SummaryOptions::endless()
        };
        let bytes = in_memory(false, |out| choice.format(options).write(any, out));
        file.commit(bytes).err()
    };
    let mut faults: Vec<_> = before.into_iter().filter_map(in_form).collect();
    let written = file.map(|file| {
        let bytes = in_memory(false, |out| Json { redactor }.write(any, out));
        file.commit(bytes)
    });
    let written = written.transpose().map(Option::flatten);
    let path = written.unwrap_or_else(|fault| {
        faults.push(fault);
        None
    });
    let report_path = path.map(|path| path.display().to_string());
    if let Some(path) = &report_path {
        terminal.keep(path);
    }
    let text = |layout: Layout| {
        Text(SummaryOptions {
            layout,
            report_path,
            order,
        })
    };
    faults.extend(after.into_iter().filter_map(in_form));
    let shown = match (is_on_stdout, quiet) {
        (true, true) => {
            // Nothing else shows the notices.
            if let Some(notice) = &outputs.step_summary_notice {
                terminal.print_notice(notice);
            }
            Ok(())
        }
        (true, false) => text(terminal.stderr_layout())
            .write(any, &mut terminal.stderr())
            .or_else(forgive_broken_pipe),
        (false, _) => {
            let mut lines = text(terminal.stdout_layout()).lines(any);
            // Apart from what was told while it went on, where both are read on one screen.
            if !quiet && terminal.is_one_screen() {
                lines.insert(0, Line::new());
            }
            terminal.print(&lines)
        }
    };
    faults.extend(shown.map_err(could_not_show).err());
    if let Some(summary) = outputs.step_summary {
        let place = summary.path().display().to_string();
        if let Err(error) = summary.append(any, order) {
            // It was not asked for by a flag, and fails no job.
            let why = reason(&error);
            terminal.print_notice(&format!(
                "the summary of GitHub's step, `{place}`, is without this report: {why}"
            ));
        }
    }
    if outputs.annotates {
        let told = terminal.tell_runner(&annotations(any), is_on_stdout);
        faults.extend(told.map_err(could_not_show).err());
    }
    Delivered { report, faults }
}

/// What was made, and the places for its report. Where nothing was made, they tell why.
///
/// # Errors
/// That of `made`.
pub fn made_or_told<T>(
    made: Result<T, UserError>,
    outputs: Outputs,
    terminal: &Terminal,
) -> Result<(T, Outputs), UserError> {
    match made {
        Ok(made) => Ok((made, outputs)),
        Err(error) => {
            tell_failure(outputs, &error, terminal);
            Err(error)
        }
    }
}

/// What becomes of the places of a report that there will be none of: a file of an earlier
/// run must not be taken for this one's. The forms that a CI system shows say why nothing was
/// measured, and whatever else stands at these places is removed, which is told.
fn tell_failure(outputs: Outputs, error: &UserError, terminal: &Terminal) {
    let redactor = terminal.redactor();
    let error = &error.clone().map_texts(|text| redactor.clean(text));
    let (mut removed, mut faults) = (Vec::new(), Vec::new());
    let is_on_stdout = outputs.has_stdout_taken;
    let report = outputs.report.map(|file| (FormatChoice::Json, file));
    for (choice, file) in outputs.more.into_iter().chain(report) {
        let written = match choice {
            FormatChoice::Junit => {
                let bytes = in_memory(false, |out| junit::could_not_run(error, out));
                file.commit(bytes).map(|_| None)
            }
            FormatChoice::Markdown => {
                let text = markdown::could_not_run(error);
                file.commit(Ok(text.into_bytes())).map(|_| None)
            }
            _ => file.withdraw(),
        };
        match written {
            Ok(path) => removed.extend(path),
            Err(fault) => faults.push(fault.what().to_string()),
        }
    }
    if !removed.is_empty() {
        let names = removed.iter().map(|path| format!("`{}`", path.display()));
        let reports = if removed.len() == 1 {
            "report"
        } else {
            "reports"
        };
        faults.push(format!(
            "removed {reports} of an earlier run, since nothing was measured now: {}",
            few_of(names, removed.len())
        ));
    }
    if let Some(summary) = outputs.step_summary {
        let place = summary.path().display().to_string();
        if let Err(error) = summary.append_failure(error) {
            let why = reason(&error);
            faults.push(format!(
                "the summary of GitHub's step, `{place}`, does not say that nothing was measured: \
                 {why}"
            ));
        }
    }
    faults.iter().for_each(|text| terminal.print_notice(text));
    if outputs.annotates {
        // The command fails already.
        let _ = terminal.tell_runner(&failure_annotations(error), is_on_stdout);
    }
}

/// Writes a stored report in a form: the text as the fresh one was shown, JSON as it
/// is stored. `path` names its file; `None` where it has none.
///
/// # Errors
/// Where a report of this kind has no such form, or the file system or the stream
/// refuses.
pub fn show(
    stored: Stored,
    path: Option<&str>,
    format: FormatChoice,
    order: OperationOrder,
    output: ReportFile,
    terminal: &Terminal,
) -> Result<(), UserError> {
    let report = stored.report.cleaned(&terminal.redactor());
    let report = report.any();
    if let Some(why) = format.refusal(report) {
        return Err(UserError::usage(why).hint("`--format` text, json, csv or markdown shows it"));
    }
    let own = [own_word(report), path];
    own.into_iter().flatten().for_each(|own| terminal.keep(own));
    let document = Some(stored.document.as_str());
    write_in(report, path, document, (format, order), output, terminal)
}

/// Writes a report in a form. `document` is its JSON as it was stored, where it was.
fn write_in(
    report: AnyReport<'_>,
    path: Option<&str>,
    document: Option<&str>,
    (format, order): (FormatChoice, OperationOrder),
    output: ReportFile,
    terminal: &Terminal,
) -> Result<(), UserError> {
    let is_on_stdout = output.path().is_none();
    let options = SummaryOptions {
        layout: match is_on_stdout {
            true => terminal.stdout_layout(),
            false => Layout::endless(),
        },
        report_path: path.map(str::to_string),
        order,
    };
    if (format, is_on_stdout) == (FormatChoice::Text, true) {
        let lines = Text(options).lines(report);
        return terminal.print(&lines).map_err(could_not_show);
    }
    let bytes = match (format, document) {
        (FormatChoice::Json, Some(document)) => Ok(harmless_json(document).into_bytes()),
        _ => in_memory(false, |out| format.format(options).write(report, out)),
    };
    output.commit(bytes).map(|_| ())
}

/// Shows a comparison, or writes it in another form.
///
/// # Errors
/// Where the file system or the stream refuses.
pub fn show_comparison(
    report: ComparisonReport,
    format: FormatChoice,
    output: ReportFile,
    terminal: &Terminal,
) -> Result<(), UserError> {
    let report = cleaned(report, &terminal.redactor());
    let form = (format, OperationOrder::default());
    write_in(report.any(), None, None, form, output, terminal)
}

fn could_not_show(error: io::Error) -> UserError {
    UserError::could_not_run(format!("cannot write the summary: {}", reason(&error)))
}

/// A word of the program's own that is shown as it is, though a secret may be
/// spelled alike: the revision of the protocol.
fn own_word(report: AnyReport<'_>) -> Option<&str> {
    match report {
        AnyReport::Run(report) => Some(&report.server.revision),
        AnyReport::Find(report) => Some(&report.server.revision),
        AnyReport::Calibration(_) | AnyReport::Comparison(_) => None,
    }
}
