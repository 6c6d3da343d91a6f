//! `find`: from what was typed to the highest load that the server sustains.

use super::args::{Find, Run};
use super::options::{LevelText, Whole, redacted_command_line};
use super::run::{
    ReportWish, calibrate_plan, find_source, live_style, load_plan, start_demo, tell_all,
};
use super::signals::Listener;
use super::{CommandResult, exit, shown_in};
use crate::clock::Utc;
use crate::coordinator::{self, Interrupts};
use crate::error::UserError;
use crate::outcome::{FindBy, FindOptions, LatencyLimit};
use crate::report::find::build_find;
use crate::report::{BuildInfo, LiveLine, ReportKind, deliver};
use crate::scenario;
use crate::terminal::Terminal;
use crate::units::{format_duration, nanos};

/// Where neither is given.
const FROM_DEFAULT: f64 = 1.0;
const TO_DEFAULT: f64 = 2000.0;
const ERROR_SHARE_DEFAULT: f64 = 0.01;
const MAX_VUS_DEFAULT: u32 = 10_000;

pub(super) fn find(args: Find, words: &[String], terminal: &Terminal) -> CommandResult {
    let color = args.color.choice(args.no_color);
    let terminal = terminal.colored(color);
    find_in(args, words, &terminal).map_err(shown_in(color))
}

fn find_in(args: Find, words: &[String], terminal: &Terminal) -> Result<u8, UserError> {
    let options = options(&args)?;
    let is_quiet = args.quiet;
    let style = live_style(is_quiet, terminal);
    let report_wish = ReportWish::new(args.report.clone(), false)?;
    let calibration = args.calibration.clone();
    let connection = connection(args);
    // Started before anything is pinned: its thread inherits our CPUs.
    let demo = connection.demo.then(start_demo).transpose()?;
    let source = find_source(&connection)?;
    let mut plan = load_plan(connection, source.as_ref(), demo.as_ref())?;
    terminal.hide_all(&plan.redactor());
    calibrate_plan(&mut plan, calibration.as_deref())?;
    let command_line = redacted_command_line(words, &terminal.redactor());
    let report_file = report_wish.open(ReportKind::Find)?;

    let (interrupter, interrupts) = Interrupts::new();
    let listener = Listener::start(interrupter);
    let mut live = LiveLine::new(terminal.stderr(), style);
    let plan_json = scenario::to_json(&plan);
    let is_strict = plan.strict;
    let outcome = coordinator::find(plan, options, &mut live, &interrupts)?;
    drop(listener);
    drop(live);

    let info = BuildInfo {
        version: env!("CARGO_PKG_VERSION").to_string(),
        command_line,
        finished_at: Utc::now(),
    };
    let report = build_find(plan_json, &outcome, &info);
    let delivered = deliver(report_file, report, is_quiet, terminal);
    let is_interrupted = interrupts.is_pending();
    let code = exit::of_find(outcome.ended, is_interrupted, outcome.grade(), is_strict);
    let results = [delivered.written, delivered.shown];
    Ok(tell_all(terminal, code, results))
}

/// What is searched. The levels are checked here for what the search cannot
/// word in terms of flags.
fn options(args: &Find) -> Result<FindOptions, UserError> {
    let latency = [
        (0.5, args.max_p50),
        (0.95, args.max_p95),
        (0.99, args.max_p99),
    ];
    let latency: Vec<LatencyLimit> = latency
        .into_iter()
        .filter_map(|(quantile, limit)| {
            let limit_ns = nanos(limit?.0);
            Some(LatencyLimit { quantile, limit_ns })
        })
        .collect();
    if latency.is_empty() && args.max_errors.is_none() {
        return Err(
            UserError::usage("a search needs a limit that a level can break").hint(
                "give `--max-p99 250ms`, `--max-p95`, `--max-p50` or `--max-errors 1%`; errors \
                 are limited to 1% unless given",
            ),
        );
    }
    if let Some(limit) = latency.iter().find(|limit| limit.limit_ns == 0) {
        let name = (limit.quantile * 100.0).round();
        return Err(UserError::usage(format!(
            "`--max-p{name}` has to be above 0"
        )));
    }
    let deadline = args.deadline.as_ref().map(|span| span.0);
    if deadline.is_some_and(|deadline| deadline.is_zero()) {
        return Err(UserError::usage("`--deadline` has to be above 0")
            .hint("give a few minutes, such as `--deadline 5m`"));
    }
    let verification = coordinator::FIND_VERIFICATION;
    if let Some(deadline) = deadline
        && deadline < verification
        && !args.quick
    {
        return Err(UserError::usage(format!(
            "`--deadline` ({}) is shorter than the verification of an answer, which alone takes {}",
            format_duration(deadline),
            format_duration(verification)
        ))
        .hint("give a few minutes, such as `--deadline 5m`")
        .hint("`--quick` searches without a verification, within any deadline"));
    }
    let by = args.by.unwrap_or(FindBy::Vus);
    let from = level("--from", args.from, FROM_DEFAULT, by)?;
    let to = level("--to", args.to, TO_DEFAULT, by)?;
    if to < from {
        return Err(UserError::usage(format!(
            "`--to` ({to}) is below `--from` ({from})"
        )));
    }
    Ok(FindOptions {
        by,
        from,
        to,
        latency,
        error_share_max: Some(args.max_errors.map_or(ERROR_SHARE_DEFAULT, |share| share.0)),
        deadline,
        quick: args.quick,
        max_vus: args.max_vus.map_or(MAX_VUS_DEFAULT, Whole::get_u32),
    })
}

fn level(flag: &str, given: Option<LevelText>, default: f64, by: FindBy) -> Result<f64, UserError> {
    let Some(level) = given else {
        return Ok(default);
    };
    if by == FindBy::Vus && (level.is_rate || level.value.fract() != 0.0) {
        return Err(UserError::usage(format!(
            "`{flag}` is a number of virtual users: a whole one"
        ))
        .hint("`--by rate` searches arrivals a second"));
    }
    // A hundred thousand users or ten million arrivals: beyond any one machine.
    let most = match by {
        FindBy::Vus => 1e5,
        FindBy::Rate => 1e7,
    };
    if level.value > most {
        return Err(UserError::usage(format!("`{flag}` is at most {most}")));
    }
    Ok(level.value)
}

/// The flags that `find` and `run` have in common, as those of a run.
fn connection(args: Find) -> Run {
    Run {
        url: args.url,
        demo: args.demo,
        config: args.config,
        vus: None,
        duration: None,
        iterations: None,
        stages: None,
        ramp_up: None,
        rate: None,
        max_vus: None,
        pacing: None,
        think: args.think,
        warm_up: None,
        on_break: None,
        probe: false,
        tool: args.tool,
        args: args.args,
        timeout: args.timeout,
        graceful_stop: None,
        protocol: args.protocol,
        cookies: args.cookies,
        headers: args.headers,
        api_key: args.api_key,
        seed: args.seed,
        workers: args.workers,
        no_pin: args.no_pin,
        busy_poll: args.busy_poll,
        calibration: None,
        strict: args.strict,
        report: None,
        no_report: false,
        quiet: args.quiet,
        color: args.color,
        no_color: args.no_color,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use argh::FromArgs;

    fn typed(words: &[&str]) -> Result<FindOptions, UserError> {
        let args = Find::from_args(&["find"], words).expect("words that parse");
        options(&args)
    }

    #[test]
    fn limits_and_levels_have_defaults() {
        let found = typed(&["http://x/mcp", "--max-p99", "250ms"]).expect("options");
        assert_eq!((found.by, found.from, found.to), (FindBy::Vus, 1.0, 2000.0));
        assert_eq!(found.error_share_max, Some(0.01));
        let limit = LatencyLimit {
            quantile: 0.99,
            limit_ns: 250_000_000,
        };
        assert_eq!(found.latency, [limit]);
        let found = typed(&[
            "http://x/mcp",
            "--max-errors",
            "0.5%",
            "--by",
            "rate",
            "--from",
            "2.5",
            "--to",
            "600/m",
            "--deadline",
            "10m",
        ])
        .expect("options");
        assert_eq!((found.by, found.from, found.to), (FindBy::Rate, 2.5, 10.0));
        assert_eq!(found.error_share_max, Some(0.005));
        assert_eq!(found.deadline.map(|deadline| deadline.as_secs()), Some(600));
    }

    #[test]
    fn what_makes_no_search_is_said_in_terms_of_flags() {
        let check = |words: &[&str], part: &str| {
            let error = typed(words).expect_err("no search");
            assert!(error.what().contains(part), "{words:?}: {error}");
        };
        check(&["http://x/mcp"], "a limit");
        let limit = ["--max-p99", "1s"];
        check(
            &[&limit[..], &["--from", "10", "--to", "5"]].concat(),
            "--to",
        );
        check(&[&limit[..], &["--from", "2.5"]].concat(), "whole");
        check(&[&limit[..], &["--to", "5/s"]].concat(), "whole");
        check(&[&limit[..], &["--to", "1000000"]].concat(), "at most");
        check(&["--max-p95", "0s"], "--max-p95");
        for quick in [&[][..], &["--quick"]] {
            let words = [&limit[..], &["--deadline", "0s"], quick].concat();
            check(&words, "`--deadline` has to be above 0");
        }
        for deadline in ["1s", "48s", "89.9s"] {
            check(&[&limit[..], &["--deadline", deadline]].concat(), "1m30s");
        }
        for words in [&["--deadline", "90s"][..], &["--quick", "--deadline", "1s"]] {
            let found = typed(&[&limit[..], words].concat()).expect("a search");
            assert_eq!(found.quick, words.len() > 2);
        }
    }
}
