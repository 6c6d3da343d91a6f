//! `report`: a stored report, shown as the fresh one or in another form.

use std::path::Path;

use super::args::ShowReport;
use super::exit;
use crate::error::UserError;
use crate::files::is_stdin;
use crate::report::{ReportFile, read_stored, show};
use crate::terminal::Terminal;

pub(super) fn report(args: &ShowReport, terminal: &Terminal) -> Result<u8, UserError> {
    let file = match args.files.as_slice() {
        [file] => file,
        [] => {
            return Err(UserError::usage("`report` needs the file of a report")
                .hint("they lie in `.pmcp/reports/`; `-` is the standard input"));
        }
        [_, more @ ..] => {
            let n_more = more.len();
            return Err(UserError::usage(format!(
                "`report` shows one report, and {n_more} more are named"
            )));
        }
    };
    let stored = read_stored(Path::new(file))?;
    if let Some(notice) = &stored.notice {
        terminal.print_notice(notice);
    }
    let output = ReportFile::open(Path::new(args.output.as_deref().unwrap_or("-")))?;
    let path = Some(file.as_str()).filter(|file| !is_stdin(Path::new(file)));
    show(stored, path, args.format, output, terminal)?;
    Ok(exit::PASSED)
}
