//! `compare`: what changed from one set of runs to another.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use super::args::Compare;
use super::common::build_info;
use super::exit;
use super::outputs::refuse_input;
use crate::decide::compare::{
    Objection, Tolerances, compare as decide, is_comparable, objections, selectors_of,
};
use crate::error::{UserError, nearest};
use crate::files::is_stdin;
use crate::outcome::{ComparisonVerdict, RunSample, SampleKey};
use crate::report::compare::{ComparisonWish, build_comparison, history, sample};
use crate::report::{Report, ReportFile, read, show_comparison};
use crate::terminal::Terminal;
use crate::units::few_of;

/// Names told in a message.
const NAMES_TOLD: usize = 12;

/// Files of a side. Each may be as large as a report may.
const FILES_MAX: usize = 20;

/// Runs of a folder that make the base, unless the user says how many.
const HISTORY_RUNS: usize = 5;

pub(super) fn compare(
    args: Compare,
    words: &[String],
    terminal: &Terminal,
) -> Result<u8, UserError> {
    check_words(&args)?;
    let tolerances = Tolerances::new(args.tolerances).map_err(|metric| {
        UserError::usage(format!("`--tolerance` names `{metric}` twice"))
            .hint("write what it may change by into one: `--tolerance 'p99 +10% +5ms'`")
    })?;
    let output = ReportFile::open(Path::new(args.output.as_deref().unwrap_or("-")))?;
    let mut notices = Vec::new();
    let new = read_all(&args.files, &mut notices)?;
    let mut base = read_all(&args.base, &mut notices)?;
    if let Some(folder) = &args.history {
        base = earlier(
            folder,
            args.last.unwrap_or(HISTORY_RUNS),
            &new,
            &mut notices,
        )?;
    }
    let of_history = base.iter().map(|run| &run.file);
    refuse_input(
        output.path(),
        args.files.iter().chain(&args.base).chain(of_history),
    )?;
    check_sides(&base, &new)?;
    let all: Vec<&RunSample> = base.iter().chain(&new).collect();
    let (refused, told): (Vec<Objection>, Vec<Objection>) =
        objections(&all).into_iter().partition(|it| it.is_refused);
    if !refused.is_empty() && !args.force {
        let why: Vec<String> = refused.into_iter().map(|it| it.what).collect();
        let error = UserError::usage(format!("these runs are not comparable: {}", why.join("; ")));
        return Err(error.hint("`--force` compares them all the same"));
    }
    let spoken = refused.into_iter().chain(told).map(|it| it.what);
    let spoken = notices.into_iter().chain(spoken).collect();
    check_selectors(&tolerances, &all)?;
    let outcome = decide(&base, &new, &tolerances);
    let verdict = outcome.verdict;
    let wish = ComparisonWish {
        warn_only: args.warn,
        fail_on_unclear: args.fail_on_unclear,
    };
    let report = build_comparison(outcome, spoken, wish, &build_info(words, terminal));
    show_comparison(report, args.format, output, terminal)?;
    Ok(match verdict {
        ComparisonVerdict::Worse if !args.warn => exit::FAILED,
        ComparisonVerdict::Unclear | ComparisonVerdict::Undecided if args.fail_on_unclear => {
            exit::FAILED
        }
        _ => exit::PASSED,
    })
}

/// A tolerance of what no run has would have no effect.
fn check_selectors(tolerances: &Tolerances, all: &[&RunSample]) -> Result<(), UserError> {
    let rows = all.iter().flat_map(|run| run.rows());
    let keys: Vec<&SampleKey> = rows.map(|row| &row.key).collect();
    let Some(strange) = tolerances.strange(&keys) else {
        return Ok(());
    };
    let known: BTreeSet<String> = keys
        .into_iter()
        .flat_map(selectors_of)
        .map(|it| it.to_string())
        .collect();
    let error = UserError::usage(format!(
        "`--tolerance` names `{strange}`, and these runs have no such operation or flow"
    ));
    let near = nearest(&strange.to_string(), known.iter().map(String::as_str));
    Err(match near {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => {
            let known = known.iter().map(|it| format!("`{it}`"));
            error.hint(format!("they have {}", few_of(known, NAMES_TOLD)))
        }
    })
}

/// What words contradict each other, or are missing.
fn check_words(args: &Compare) -> Result<(), UserError> {
    const HINT: &str = "as in `compare --base before.json after.json`";
    if args.files.is_empty() {
        return Err(UserError::usage("`compare` needs the report of a run to compare").hint(HINT));
    }
    match (args.base.is_empty(), &args.history) {
        (true, None) => {
            let error = UserError::usage("`compare` needs what to compare with: `--base FILE`");
            return Err(error.hint(HINT).hint(
                "`--history .pmcp/reports` takes the last runs of the same plan for the base",
            ));
        }
        (false, Some(_)) => {
            return Err(UserError::usage(
                "`--base` and `--history` exclude each other",
            ));
        }
        _ => {}
    }
    if args.warn && args.fail_on_unclear {
        return Err(UserError::usage(
            "`--warn` and `--fail-on-unclear` exclude each other",
        ));
    }
    if args.last.is_some() && args.history.is_none() {
        return Err(UserError::usage("`--last` goes with `--history`"));
    }
    if args.files.len().max(args.base.len()) > FILES_MAX {
        return Err(UserError::usage(format!(
            "at most {FILES_MAX} runs a side are compared"
        )));
    }
    let named = args.files.iter().chain(&args.base);
    if named.filter(|file| is_stdin(Path::new(file))).count() > 1 {
        return Err(UserError::usage("the standard input can be read once only"));
    }
    Ok(())
}

/// The runs of these files, each run once.
fn read_all(files: &[String], notices: &mut Vec<String>) -> Result<Vec<RunSample>, UserError> {
    let mut runs: Vec<RunSample> = Vec::new();
    for file in files {
        let report: Report = read(Path::new(file))?;
        let run = sample(&report, file)
            .map_err(|why| UserError::usage(format!("`{file}` cannot be compared: {why}")))?;
        let same = |other: &&RunSample| other.facts.fingerprint == run.facts.fingerprint;
        match runs.iter().find(same) {
            Some(other) if other.file == *file => {
                notices.push(format!("`{file}` was given twice: it counts once"));
            }
            Some(other) => notices.push(format!(
                "`{file}` and `{}` are the same run: it counts once",
                other.file
            )),
            None => runs.push(run),
        }
    }
    Ok(runs)
}

/// The last runs of the same plan that were made before the new ones.
fn earlier(
    folder: &str,
    n: usize,
    new: &[RunSample],
    notices: &mut Vec<String>,
) -> Result<Vec<RunSample>, UserError> {
    let Some(first) = new.iter().min_by_key(|run| &run.facts.started_at) else {
        return Ok(Vec::new());
    };
    let mut seen: HashSet<String> = new
        .iter()
        .map(|run| run.facts.fingerprint.clone())
        .collect();
    let found = history(Path::new(folder), n, |run| {
        run.has_histograms
            && run.facts.started_at < first.facts.started_at
            && is_comparable(run, first)
            && seen.insert(run.facts.fingerprint.clone())
    })?;
    if found.is_cut {
        notices.push(format!(
            "`{folder}` holds more files than are looked at: the latest were"
        ));
    }
    if found.runs.is_empty() {
        let n_read = found.n_read;
        return Err(UserError::usage(format!(
            "`--history {folder}` has no earlier run to compare `{}` with",
            first.file
        ))
        .hint(format!(
            "of {n_read} reports read there none is an earlier, whole and valid run of the same \
             plan, target and era, with histograms"
        )));
    }
    Ok(found.runs)
}

/// A run on both sides says something only where all are the same.
fn check_sides(base: &[RunSample], new: &[RunSample]) -> Result<(), UserError> {
    let of = |runs: &[RunSample]| -> HashSet<String> {
        runs.iter()
            .map(|run| run.facts.fingerprint.clone())
            .collect()
    };
    let (of_base, of_new) = (of(base), of(new));
    let on_both = new
        .iter()
        .find(|run| of_base.contains(&run.facts.fingerprint));
    match on_both {
        Some(run) if of_base != of_new => Err(UserError::usage(format!(
            "the run `{}` is on both sides",
            run.file
        ))
        .hint("a run is compared with others, not with itself")),
        _ => Ok(()),
    }
}
