//! `report`: a stored report, shown as the fresh one or in another form; or several of
//! one load as one, which is judged like a run.

use std::path::Path;

use super::args::ShowReport;
use super::common::{compare_sides, tell_all};
use super::exit;
use super::outputs::refuse_input;
use super::run::gate;
use crate::error::{ErrorKind, UserError};
use crate::files::is_stdin;
use crate::report::{ReportFile, StoredReport, merge_stored, read_stored, show};
use crate::terminal::Terminal;

pub(super) fn report(args: &ShowReport, terminal: &Terminal) -> Result<u8, UserError> {
    let output = ReportFile::open(Path::new(args.output.as_deref().unwrap_or("-")))?;
    refuse_input(output.path(), &args.files)?;
    let mut stored = Vec::new();
    for file in &args.files {
        stored.push(read_stored(Path::new(file))?);
    }
    for notice in stored.iter().filter_map(|it| it.notice.as_ref()) {
        terminal.print_notice(notice);
    }
    let is_merge = stored.len() > 1;
    let (stored, path) = match (stored.pop(), args.files.as_slice()) {
        (Some(stored), [file]) => {
            let path = Some(file.as_str()).filter(|file| !is_stdin(Path::new(file)));
            (stored, path)
        }
        (Some(last), files) => {
            stored.push(last);
            (
                merge_stored(files, stored, args.force, compare_sides)?,
                None,
            )
        }
        (None, _) => {
            return Err(UserError::usage("`report` needs the file of a report")
                .hint("they lie in `.pmcp/reports/`; `-` is the standard input"));
        }
    };
    let fault = match &stored.report {
        StoredReport::Run(sum) if is_merge => gate(sum).or_else(|| {
            let why = sum.gate.why.as_deref()?;
            Some(UserError::new(
                ErrorKind::NotKept,
                format!("{why}: the sum is not whole"),
            ))
        }),
        _ => None,
    };
    show(stored, path, args.format, args.sort, output, terminal)?;
    Ok(tell_all(terminal, exit::PASSED, fault))
}
