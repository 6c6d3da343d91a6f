//! `report`: a stored report, shown as the fresh one or in another form; or several of
//! one load as one.

use std::path::Path;

use super::args::ShowReport;
use super::exit;
use super::outputs::refuse_input;
use crate::error::UserError;
use crate::files::is_stdin;
use crate::report::{ReportFile, merge_stored, read_stored, show};
use crate::terminal::Terminal;

pub(super) fn report(args: &ShowReport, terminal: &Terminal) -> Result<u8, UserError> {
    let output = ReportFile::open(Path::new(args.output.as_deref().unwrap_or("-")))?;
    refuse_input(&output, &args.files)?;
    let mut stored = Vec::new();
    for file in &args.files {
        stored.push(read_stored(Path::new(file))?);
    }
    for notice in stored.iter().filter_map(|it| it.notice.as_ref()) {
        terminal.print_notice(notice);
    }
    let (stored, path) = match (stored.pop(), args.files.as_slice()) {
        (Some(stored), [file]) => {
            let path = Some(file.as_str()).filter(|file| !is_stdin(Path::new(file)));
            (stored, path)
        }
        (Some(last), files) => {
            stored.push(last);
            (merge_stored(files, stored, args.force)?, None)
        }
        (None, _) => {
            return Err(UserError::usage("`report` needs the file of a report")
                .hint("they lie in `.pmcp/reports/`; `-` is the standard input"));
        }
    };
    show(stored, path, args.format, output, terminal)?;
    Ok(exit::PASSED)
}
