//! What is to be written, as it was typed, and its places, opened before the load: a
//! bad path is known before anything begins.

use std::path::{Path, PathBuf};

use super::common::current_folder;
use super::oauth::OAUTH_KEY_VARIABLE;
use crate::clock::Utc;
use crate::error::UserError;
use crate::files::is_stdin;
use crate::report::place::{is_same_place, is_stdout as is_stream_to_stdout};
use crate::report::{FormatChoice, Outputs, ReportFile, ReportKind, StepSummary};
use crate::scenario::find_config;
use crate::sink::SinkWish;
use crate::terminal::STEP_SUMMARY;

/// What is to be written.
#[derive(Debug, Default)]
pub(super) struct OutputWish {
    /// `--report`
    pub(super) report: Option<String>,
    /// `--no-report`
    pub(super) has_no_report: bool,
    /// Other forms, by their flags.
    pub(super) forms: Vec<(&'static str, FormatChoice, Option<String>)>,
    /// `--out`
    pub(super) outs: Vec<SinkWish>,
    /// Files that flags name to be read: no output may replace one.
    pub(super) inputs: Vec<String>,
    /// `--github`
    pub(super) github: bool,
    /// `--no-github`
    pub(super) has_no_github: bool,
}

impl OutputWish {
    /// Opens all places. The default one of the report is in the current folder, and
    /// named by kind and time. `files_read`: what the plan reads, which no output may
    /// replace either; `notices` say what is missing without being a fault.
    ///
    /// # Errors
    /// Where flags contradict each other, two name one place, or nothing can be
    /// written there.
    pub(super) fn open(
        self,
        kind: ReportKind,
        files_read: &[PathBuf],
        notices: &mut Vec<String>,
    ) -> Result<Outputs, UserError> {
        let pairs = [
            ("report", self.has_no_report && self.report.is_some()),
            ("github", self.has_no_github && self.github),
        ];
        if let Some((flag, _)) = pairs.into_iter().find(|(_, both)| *both) {
            return Err(UserError::usage(format!(
                "`--{flag}` and `--no-{flag}` exclude each other"
            )));
        }
        let mut outputs = Outputs::default();
        let mut taken = Taken::default();
        let is_named = self.report.is_some();
        outputs.report = match self.report {
            _ if self.has_no_report => None,
            Some(path) => Some(ReportFile::open(Path::new(&path))?),
            None => {
                let path = kind.default_path(&current_folder()?, Utc::now());
                Some(ReportFile::open_in_folder(&path)?)
            }
        };
        // One that the program names gets out of the way of others.
        if let Some(file) = outputs.report.as_ref().filter(|_| is_named) {
            taken.take("--report", file.path())?;
        }
        for (flag, format, path) in self.forms {
            let Some(path) = path else { continue };
            let file = ReportFile::open(Path::new(&path))?;
            taken.take(flag, file.path())?;
            outputs.more.push((format, file));
        }
        for file in self.outs.iter().filter_map(SinkWish::file) {
            let is_stdout = is_stream_to_stdout(file);
            taken.take("--out", Some(file).filter(|_| !is_stdout))?;
            outputs.has_stdout_taken |= is_stdout;
        }
        // The config that is found, where none is named; in a folder that is gone, none is.
        let folder = current_folder().ok();
        let found = folder.and_then(|folder| find_config(&folder));
        let key = key_of_environment();
        let inputs = self.inputs.iter().map(Path::new);
        let inputs = inputs.chain(files_read.iter().map(PathBuf::as_path));
        taken.refuse_inputs(inputs.chain(found.as_deref()).chain(key.as_deref()))?;
        let step_summary = std::env::var_os(STEP_SUMMARY);
        let step_summary = step_summary.filter(|path| !path.is_empty());
        outputs.annotates = !self.has_no_github && (self.github || step_summary.is_some());
        if let Some(path) = step_summary.filter(|_| outputs.annotates) {
            let path = Path::new(&path);
            taken.take(STEP_SUMMARY, Some(path))?;
            match StepSummary::open(path) {
                Ok(summary) => outputs.step_summary = Some(summary),
                // Of a container, say, into which the variable came and not the file.
                Err(why) => {
                    let place = path.display();
                    let notice = format!(
                        "the summary of GitHub's step cannot be written to `{place}`: {why}"
                    );
                    notices.push(notice.clone());
                    outputs.step_summary_notice = Some(notice);
                }
            }
        }
        Ok(outputs)
    }
}

/// The file of the key that the environment names.
pub(super) fn key_of_environment() -> Option<PathBuf> {
    let path = std::env::var_os(OAUTH_KEY_VARIABLE);
    path.filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// The places so far, by the flags that name them; `None` is stdout.
#[derive(Default)]
struct Taken(Vec<(&'static str, Option<PathBuf>)>);

impl Taken {
    fn take(&mut self, flag: &'static str, path: Option<&Path>) -> Result<(), UserError> {
        if let Some(other) = self.by(path) {
            let place = match path {
                Some(path) => format!("`{}`", path.display()),
                None => "stdout".to_string(),
            };
            return Err(
                UserError::usage(format!("`{other}` and `{flag}` both write to {place}"))
                    .hint("give each a file of its own"),
            );
        }
        self.0.push((flag, path.map(Path::to_path_buf)));
        Ok(())
    }

    /// The flag that has this place already.
    fn by(&self, path: Option<&Path>) -> Option<&'static str> {
        let is_it = |taken: &Option<PathBuf>| match (taken, path) {
            (Some(taken), Some(path)) => is_same_place(taken, path),
            (None, None) => true,
            _ => false,
        };
        let found = self.0.iter().find(|(_, taken)| is_it(taken));
        found.map(|(flag, _)| *flag)
    }

    fn refuse_inputs<'a>(&self, inputs: impl Iterator<Item = &'a Path>) -> Result<(), UserError> {
        for input in inputs.filter(|input| !is_stdin(input)) {
            if let Some(flag) = self.by(Some(input)) {
                return Err(would_replace(flag, input));
            }
        }
        Ok(())
    }
}

/// Refuses an output that would replace one of the files that are read; `None` is stdout.
///
/// # Errors
/// Where it is one of them.
pub(super) fn refuse_input<'a, P: AsRef<Path> + ?Sized + 'a>(
    output: Option<&Path>,
    inputs: impl IntoIterator<Item = &'a P>,
) -> Result<(), UserError> {
    let mut taken = Taken::default();
    if let Some(path) = output {
        taken.take("--output", Some(path))?;
    }
    taken.refuse_inputs(inputs.into_iter().map(AsRef::as_ref))
}

fn would_replace(flag: &str, input: &Path) -> UserError {
    let input = input.display();
    UserError::usage(format!("`{flag}` would replace `{input}`, which is read"))
        .hint("name another file")
}
