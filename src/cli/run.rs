//! `run`: from what was typed to a report.

use super::args::Run;
use super::common::{build_info, compare_sides, make_room, plan_of, tell_all, under_signals};
use super::exit;
use super::oauth::{authorize, no_token, of_origin};
use super::reference::calibrate_plan;
use super::sinks::{export_notices, open_sinks};
use crate::auth::oauth::login_command;
use crate::coordinator;
use crate::error::{ErrorKind, UserError};
use crate::http::RAISE_FILES;
use crate::metrics::{ConnectFailure, Failure};
use crate::outcome::{Ended, GateGrade};
use crate::report::{CauseCount, Report, ReportKind, build, deliver, load_in_words, made_or_told};
use crate::scenario::{self, HistogramMode, TokenOrigin};
use crate::sink::{Feed, SinkContext};
use crate::terminal::Terminal;
use crate::units::plural;

pub(super) fn run(mut args: Run, words: &[String], terminal: &Terminal) -> Result<u8, UserError> {
    let wants_log = args.hlog.is_some();
    let output_wish = args.output_wish();
    if output_wish.github {
        terminal.expect_runner();
    }
    let (is_quiet, calibration) = (args.quiet, args.calibration.take());
    let (demo, config) = (args.demo, args.config.take());
    let (order, live) = (args.sort, args.live.or_quiet(is_quiet));
    let start_at = args.start_at.take();
    let wish = args.oauth_wish()?;
    let (mut plan, _server) = plan_of(config.as_deref(), demo, args.overrides()?)?;
    plan.start_at = start_at;
    if !demo {
        authorize(&mut plan, &wish, terminal)?;
    }
    terminal.hide_all(&plan.redactor());
    if wants_log && plan.histograms == HistogramMode::Off {
        let fault = "`--hlog` writes histograms, and this run keeps none: `histograms` is `off`";
        return Err(UserError::usage(fault).hint("give `--histograms seconds` too"));
    }
    calibrate_plan(&mut plan, calibration.as_deref())?;
    make_room(plan.connections_max(plan.may_hold_streams()), demo);
    let outs = output_wish.outs.clone();
    let mut outputs = output_wish.open(ReportKind::Run, &plan.files_read(), &mut plan.notices)?;
    outputs.order = order;
    let sinks = open_sinks(&outs, &plan)?;
    let context = SinkContext::of_run(&plan, load_in_words(&plan), terminal.redactor());
    let made = under_signals(live, terminal, |live, interrupts| {
        let mut feed = Feed::new(live, sinks, context);
        let outcome = coordinator::run(plan.clone(), &mut feed, interrupts)?;
        Ok((outcome, feed.finish()))
    });
    let (made, outputs) = made_or_told(made, outputs, terminal)?;
    let ((mut outcome, exports), interrupts) = made;
    outcome.notices.extend(export_notices(&exports));
    let info = build_info(words, terminal);
    let mut report = build(&plan, scenario::to_json(&plan), &outcome, &info);
    report.exports = exports;
    if plan.is_ab() {
        compare_sides(&mut report);
    }
    let delivered = deliver(outputs, report, is_quiet, terminal);
    let origin = plan.token.as_ref().map(|token| &token.origin);
    let session = match outcome.ended {
        Ended::NoSession => Some(no_session(&delivered.report, origin)),
        Ended::Denied => Some(denied(&delivered.report, origin)),
        _ => None,
    };
    let is_interrupted = interrupts.is_pending();
    let grade = outcome.verdict.grade;
    let code = exit::of_run(outcome.ended, is_interrupted, grade, plan.strict);
    let gate = gate(&delivered.report);
    let faults = delivered.faults.into_iter().chain(session).chain(gate);
    Ok(tell_all(terminal, code, faults))
}

/// What failed the run, if its gate did: a code alone tells nothing in a log.
pub(super) fn gate(report: &Report) -> Option<UserError> {
    const TOLD_MAX: usize = 3;
    let failed = || {
        let thresholds = report.thresholds.iter();
        thresholds.filter(|it| it.grade == GateGrade::Failed)
    };
    let cut_off = report.run.ended.why_cut_off();
    let is_cut_off = cut_off.is_some() && report.gate.why.as_deref() == cut_off;
    let what = match (&report.gate.why, failed().count()) {
        _ if report.gate.grade != GateGrade::Failed => return None,
        // That it was is told already, or by its code.
        (_, 0) if is_cut_off => return None,
        (Some(why), _) if !is_cut_off => {
            format!("the run failed: {why}")
        }
        (_, n_failed) => {
            let texts = failed().take(TOLD_MAX).map(|it| format!("`{}`", it.text));
            let texts: Vec<_> = texts.collect();
            let more = if n_failed > TOLD_MAX { ", …" } else { "" };
            let thresholds = plural(n_failed as u64, "threshold was", "thresholds were");
            format!("{thresholds} not kept: {}{more}", texts.join(", "))
        }
    };
    Some(UserError::new(ErrorKind::NotKept, what))
}

/// The server let nobody in any more; a notice says since when.
fn denied(report: &Report, origin: Option<&TokenOrigin>) -> UserError {
    let failures = report.failures.iter();
    let handshake = report.handshake.iter().flat_map(|it| &it.failures);
    let is_denial = |id: &str| id.starts_with("http.401") || id.starts_with("http.403");
    let cause = failures.chain(handshake).find(|cause| is_denial(&cause.id));
    let why = cause.map_or_else(String::new, told);
    let error = UserError::could_not_run(format!(
        "the run was ended early, since the server let nobody in any more{why}"
    ));
    let id = cause.map_or("", |cause| &cause.id);
    match origin {
        _ if is_of_scope(id) => error.hint(of_scope(origin, last_failure(report))),
        Some(origin) => error.hint(of_origin(origin)),
        None => error
            .hint("give a token that lives as long as the run, and that allows what the steps do")
            .hint(
                "`--token-command`, `--token-file` and a login (`cargo pmcp loadtest login URL`) \
                 have one renewed while the run goes on",
            ),
    }
}

/// Whether this cause says that the token is good, but not for what was asked.
fn is_of_scope(id: &str) -> bool {
    id.ends_with(".insufficient_scope")
}

/// Why no other token could be had, the last time.
fn last_failure(report: &Report) -> Option<&str> {
    report.tokens.as_ref()?.last_failure.as_deref()
}

/// What to do about a token that is good, but not for what was asked. Who asked for a
/// wider one in vain has said what to do.
fn of_scope(origin: Option<&TokenOrigin>, last_failure: Option<&str>) -> String {
    match (origin, last_failure) {
        (Some(TokenOrigin::OAuth(wish)), _) if wish.is_of_client() => {
            "see with the issuer that the client may have the scopes that the server wants, and \
             name them with `--oauth-scopes`"
                .to_string()
        }
        (Some(TokenOrigin::OAuth(_)), Some(why)) => why.to_string(),
        (Some(TokenOrigin::OAuth(wish)), None) => format!(
            "log in again with the scopes that the server wants: `{}`",
            login_command(wish, Some("SCOPES"))
        ),
        (Some(_), _) => "the token is good but does not allow this: whoever makes it has to give \
                         it the scope that the server names"
            .to_string(),
        (None, _) => "the token is good but does not allow this: give one with the scope that \
                      the server names"
            .to_string(),
    }
}

/// A cause of failures, with an example where there is one.
fn told(cause: &CauseCount) -> String {
    match cause.examples.first() {
        Some(example) => format!(": {} ({example})", cause.id),
        None => format!(": {}", cause.id),
    }
}

/// No user ever had a session, so nothing was measured; or no user could open
/// another one, so the iterations were not done.
fn no_session(report: &Report, origin: Option<&TokenOrigin>) -> UserError {
    let handshake = report.handshake.as_ref();
    let cause = handshake.and_then(|handshake| handshake.failures.first());
    let why = cause.map(told).unwrap_or_default();
    let n_opened = report.counters.sessions_opened;
    if let Some(failure) = last_failure(report) {
        return no_token(failure, origin);
    }
    if n_opened > 0 {
        return UserError::could_not_run(format!(
            "the run was ended before its iterations were done: for 30s no virtual user had a \
             session that lasted for a call{why}"
        ))
        .hint("look at the server's log for what became of its sessions");
    }
    let error = UserError::could_not_run(format!("no virtual user could open a session{why}"));
    let id = cause.map_or("", |cause| &cause.id);
    match origin.filter(|_| id.starts_with("http.401")) {
        _ if is_of_scope(id) => error.hint(of_scope(origin, None)),
        Some(origin) => error.hint(of_origin(origin)),
        None if id == Failure::Connect(ConnectFailure::NoResources).id() => error.hint(RAISE_FILES),
        None => error
            .hint("the server answered before the load began: look at its log for what changed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_without_the_scope_leads_to_one_with_it() {
        let login = TokenOrigin::OAuth(Box::default());
        let command = TokenOrigin::Command("get".to_string());
        let why = "log in again with `… login URL --oauth-scopes a,b`";
        assert!(is_of_scope("http.403.insufficient_scope"));
        assert!(!is_of_scope("http.403") && !is_of_scope("http.401.invalid_token"));
        assert_eq!(of_scope(Some(&login), Some(why)), why);
        assert!(of_scope(Some(&login), None).contains("--oauth-scopes"));
        for origin in [Some(&command), None] {
            let told = of_scope(origin, Some(why));
            assert!(
                told.contains("the token is good") && !told.contains("log in"),
                "{told}"
            );
        }
    }
}
