//! `find`: from what was typed to the highest load that the server sustains.

use super::args::Find;
use super::common::{build_info, make_room, plan_of, tell_all, under_signals};
use super::exit;
use super::oauth::{authorize, no_token};
use super::options::{LevelText, latency_limits};
use super::reference::calibrate_plan;
use super::sinks::{export_notices, open_sinks};
use crate::coordinator;
use crate::error::{ErrorKind, UserError};
use crate::outcome::{FindEnded, FindOptions, LoadUnit};
use crate::report::find::{build_find, search_in_words};
use crate::report::{ReportKind, deliver, made_or_told};
use crate::scenario::{self, defaults};
use crate::sink::{Feed, SinkContext};
use crate::terminal::Terminal;
use crate::units::{format_duration, plural};

pub(super) fn find(mut args: Find, words: &[String], terminal: &Terminal) -> Result<u8, UserError> {
    let options = options(&args)?;
    let output_wish = args.output_wish();
    if output_wish.github {
        terminal.expect_runner();
    }
    let (is_quiet, calibration) = (args.quiet, args.calibration.take());
    let (demo, config) = (args.demo, args.config.take());
    let live = args.live.or_quiet(is_quiet);
    let wish = args.oauth_wish()?;
    let (mut plan, _server) = plan_of(config.as_deref(), demo, args.overrides()?)?;
    if !demo {
        authorize(&mut plan, &wish, terminal)?;
    }
    terminal.hide_all(&plan.redactor());
    calibrate_plan(&mut plan, calibration.as_deref())?;
    let users_max = match options.by {
        // A cast from a float saturates.
        LoadUnit::Vus => options.to as u32,
        LoadUnit::Rate => options.max_vus,
    };
    check_rows(&plan, users_max)?;
    make_room(
        plan.connections_of(users_max, plan.may_hold_streams()),
        demo,
    );
    let outs = output_wish.outs.clone();
    let outputs = output_wish.open(ReportKind::Find, &plan.files_read(), &mut plan.notices)?;
    let sinks = open_sinks(&outs, &plan)?;
    let words_of_load = format!("a search of {}", search_in_words(&options));
    let context = SinkContext::of_search(&plan, options.by, words_of_load, terminal.redactor());
    let plan_json = scenario::to_json(&plan);
    let origin = plan.token.as_ref().map(|token| token.origin.clone());
    let is_strict = plan.strict;
    let made = under_signals(live, terminal, |live, interrupts| {
        let mut feed = Feed::new(live, sinks, context);
        let outcome = coordinator::find(plan, options, &mut feed, interrupts)?;
        Ok((outcome, feed.finish()))
    });
    let (made, outputs) = made_or_told(made, outputs, terminal)?;
    let ((mut outcome, exports), interrupts) = made;
    outcome.notices.extend(export_notices(&exports));
    let mut report = build_find(plan_json, &outcome, &build_info(words, terminal));
    report.exports = exports;
    let delivered = deliver(outputs, report, is_quiet, terminal);
    let is_interrupted = interrupts.is_pending();
    let code = exit::of_find(outcome.ended, is_interrupted, outcome.grade(), is_strict);
    let leaked = (outcome.n_foreign > 0).then(|| {
        let answers = plural(outcome.n_foreign, "answer", "answers");
        let what = format!("{answers} held what was another user's (`isolation.foreign`)");
        UserError::new(ErrorKind::NotKept, what)
            .hint("`run` with the same config shows an exchange, and whose marker it was")
    });
    let lost = (outcome.ended == FindEnded::NoToken).then(|| {
        let tokens = delivered.report.tokens.as_ref();
        let failure = tokens.and_then(|it| it.last_failure.as_deref());
        no_token(failure.unwrap_or_default(), origin.as_ref())
    });
    let faults = delivered.faults.into_iter().chain(leaked).chain(lost);
    Ok(tell_all(terminal, code, faults))
}

/// Each user needs a row of its own, at the highest level too.
fn check_rows(plan: &scenario::Plan, users: u32) -> Result<(), UserError> {
    for set in &plan.data {
        if let Some(most) = set.users_max().filter(|most| *most < u64::from(users)) {
            let (name, rows) = (&set.name, plural(most, "row", "rows"));
            return Err(UserError::usage(format!(
                "the data set `{name}` has {rows}, and a level of this search may have {users} \
                 users, each of whom needs one"
            ))
            .hint(format!(
                "`--to {most}`, or with `--by rate` `--max-vus {most}`"
            ))
            .hint("as many rows as users, or another `mode`"));
        }
    }
    Ok(())
}

/// What is searched. The levels are checked here for what the search cannot
/// word in terms of flags.
fn options(args: &Find) -> Result<FindOptions, UserError> {
    let latency: Vec<_> = latency_limits(args.max_p50, args.max_p95, args.max_p99).collect();
    if latency.is_empty() && args.max_errors.is_none() {
        return Err(
            UserError::usage("a search needs a limit that a level can break").hint(
                "give `--max-p99 250ms`, `--max-p95`, `--max-p50` or `--max-errors 1%`; errors \
                 are limited to 1% unless given",
            ),
        );
    }
    if let Some((flag, _)) = latency.iter().find(|(_, limit)| limit.limit_ns == 0) {
        return Err(UserError::usage(format!("`{flag}` has to be above 0")));
    }
    if args.max_errors.is_some_and(|share| share <= 0.0) {
        let fault = "`--max-errors` of a search has to be above 0: it weighs shares of errors, and \
                     no number of calls shows that none ever fails";
        return Err(UserError::usage(fault).hint("give a small share, such as `0.1%`"));
    }
    if args.deadline.is_some_and(|deadline| deadline.is_zero()) {
        return Err(UserError::usage("`--deadline` has to be above 0")
            .hint("give a few minutes, such as `--deadline 5m`"));
    }
    let verification = coordinator::FIND_VERIFICATION;
    if let Some(deadline) = args.deadline
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
    let by = args.by.unwrap_or(LoadUnit::Vus);
    let from = level("--from", args.from, defaults::FIND_FROM, by)?;
    let to = level("--to", args.to, defaults::FIND_TO, by)?;
    if to < from {
        return Err(UserError::usage(format!(
            "`--to` ({to}) is below `--from` ({from})"
        )));
    }
    Ok(FindOptions {
        by,
        from,
        to,
        latency: latency.into_iter().map(|(_, limit)| limit).collect(),
        error_share_max: Some(args.max_errors.unwrap_or(defaults::FIND_ERROR_SHARE)),
        deadline: args.deadline,
        quick: args.quick,
        max_vus: args.max_vus.unwrap_or(defaults::FIND_MAX_VUS),
    })
}

fn level(
    flag: &str,
    given: Option<LevelText>,
    default: f64,
    by: LoadUnit,
) -> Result<f64, UserError> {
    let Some(level) = given else {
        return Ok(default);
    };
    if by == LoadUnit::Vus && (level.is_rate || level.value.fract() != 0.0) {
        return Err(UserError::usage(format!(
            "`{flag}` is a number of virtual users: a whole one"
        ))
        .hint("`--by rate` searches arrivals a second"));
    }
    let most = match by {
        LoadUnit::Vus => f64::from(defaults::VUS_MAX),
        LoadUnit::Rate => defaults::RATE_MAX,
    };
    if level.value > most {
        return Err(UserError::usage(format!("`{flag}` is at most {most}")));
    }
    Ok(level.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::LatencyLimit;
    use argh::FromArgs;

    fn typed(words: &[&str]) -> Result<FindOptions, UserError> {
        let args = Find::from_args(&["find"], words).expect("words that parse");
        options(&args)
    }

    #[test]
    fn limits_and_levels_have_defaults() {
        let found = typed(&["http://x/mcp", "--max-p99", "250ms"]).expect("options");
        assert_eq!(
            (found.by, found.from, found.to),
            (LoadUnit::Vus, 1.0, 2000.0)
        );
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
        assert_eq!(
            (found.by, found.from, found.to),
            (LoadUnit::Rate, 2.5, 10.0)
        );
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
        check(&[&limit[..], &["--to", "1000001"]].concat(), "at most");
        check(&["--max-p95", "0s"], "--max-p95");
        check(&["--max-errors", "0"], "--max-errors");
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
