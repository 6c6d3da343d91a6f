//! One step: call, classify, record. Calls at once, and pmcp's code mode.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use super::script::{Script, ScriptAction, ScriptStep, execute_code};
use super::virtual_user::{After, VirtualUser, pause};
use crate::client::{CallReport, PreparedCall, Session, Trouble};
use crate::metrics::{Failure, ProtocolFailure};
use crate::protocol::ToolCatalog;
use crate::scheduler::run_all;

impl VirtualUser {
    /// Picks a step and does it. `intended` is the iteration's start, where it
    /// has one to be late for.
    pub(super) fn do_step(&mut self, intended: Option<Instant>) -> After {
        let script = Arc::clone(&self.shared().script);
        let step = script.pick(&mut self.random);
        let pause_after = script.plan.pause_after_call;
        let after = match &step.action {
            ScriptAction::Call { call, row } if step.parallel <= 1 => {
                let report = self.measured(*row, intended, |session| session.call(call, &[]));
                Self::after(&report)
            }
            ScriptAction::Call { call, row } => self.fan_out(step, call, *row, intended),
            ScriptAction::CodeMode { .. } => self.code_mode(&script, step, intended),
        };
        if after != After::Cancelled {
            pause(self, pause_after);
        }
        after
    }

    /// One call of the row, recorded.
    fn measured(
        &mut self,
        row: usize,
        intended: Option<Instant>,
        call: impl FnOnce(&mut Session) -> CallReport,
    ) -> CallReport {
        self.shared().start(row);
        let report = call(&mut self.session);
        if let Some(intended) = intended {
            self.shared().late(self.could_start(intended), report.sent);
        }
        self.shared().end(row, &report, intended);
        report
    }

    /// Issues a step's calls at once, each on a connection of its own. The
    /// turn ends with the slowest of them, and fails with the first that does.
    #[inline(never)]
    fn fan_out(
        &mut self,
        step: &ScriptStep,
        call: &PreparedCall,
        row: usize,
        intended: Option<Instant>,
    ) -> After {
        let shared = Rc::clone(self.shared());
        let n_lanes = step.parallel as usize;
        while self.lanes.len() < n_lanes {
            self.lanes.push(Some(self.session.beside()));
        }
        let began = crate::clock::now();
        if let Some(turn_row) = step.turn_row {
            shared.start(turn_row);
        }
        let mut begun = Vec::new();
        let mut calls: Vec<Box<dyn FnOnce() -> (Session, CallReport)>> = Vec::new();
        for (at, lane) in self.lanes.iter_mut().take(n_lanes).enumerate() {
            let Some(mut session) = lane.take() else {
                continue;
            };
            shared.start(row);
            let call = call.clone();
            begun.push(at);
            calls.push(Box::new(move || {
                let report = session.call(&call, &[]);
                (session, report)
            }));
        }
        let mut turn: Option<CallReport> = None;
        let mut after = After::Fine;
        for (at, ended) in begun.into_iter().zip(run_all(calls.into_iter())) {
            let Some((mut session, report)) = ended else {
                let report = no_stack(began);
                shared.end(row, &report, intended);
                turn = Some(report);
                continue;
            };
            if let Some(intended) = intended {
                shared.late(self.could_start(intended), report.sent);
            }
            shared.end(row, &report, intended);
            if Self::after(&report) != After::Fine {
                after = Self::after(&report);
            }
            shared.count_session(&mut session);
            self.lanes[at] = Some(session);
            turn = Some(match turn {
                None => report,
                Some(slower) => slowest(slower, report),
            });
        }
        if let (Some(turn_row), Some(turn)) = (step.turn_row, &turn) {
            shared.end(turn_row, turn, intended);
        }
        after
    }

    /// `validate_code`, then `execute_code` with the token that it returned.
    #[inline(never)]
    fn code_mode(
        &mut self,
        script: &Script,
        step: &ScriptStep,
        intended: Option<Instant>,
    ) -> After {
        let ScriptAction::CodeMode {
            validate,
            validate_row,
            execute_row,
            code,
            format,
        } = &step.action
        else {
            return After::Fine;
        };
        let mut token = None;
        let report = self.measured(*validate_row, intended, |session| {
            let mut report = session.call_for_result(validate, &[]);
            if report.result.is_ok() {
                token = report.result_text.as_deref().and_then(approval_token);
                if token.is_none() {
                    report.result = Err(Trouble::Failed {
                        failure: Failure::Protocol(ProtocolFailure::BadResult),
                        message: "the result of `validate_code` has no `approval_token`"
                            .to_string(),
                    });
                }
            }
            report
        });
        let Some(token) = token else {
            return Self::after(&report);
        };
        let operation = execute_code(code, format, Some(&token));
        let prepared = script.server.prepare(&operation, &ToolCatalog::empty());
        let Ok(execute) = prepared else {
            // The first call of the two was prepared in the same way.
            return After::Fine;
        };
        let begins = intended.map(|_| crate::clock::now());
        let report = self.measured(*execute_row, begins, |session| session.call(&execute, &[]));
        Self::after(&report)
    }
}

/// Of two calls of a turn: from the first sent to the last end, failed if one is.
fn slowest(a: CallReport, b: CallReport) -> CallReport {
    let sent = a.sent.min(b.sent);
    let end = a.end.max(b.end);
    let failed = if a.result.is_err() { a } else { b };
    CallReport {
        sent,
        end,
        delay: None,
        ..failed
    }
}

fn no_stack(began: Instant) -> CallReport {
    CallReport {
        result: Err(Trouble::Failed {
            failure: Failure::Connect(crate::metrics::ConnectFailure::NoResources),
            message: "no memory for the stack of another call".to_string(),
        }),
        sent: began,
        end: crate::clock::now(),
        delay: None,
        session_gone: false,
        result_text: None,
    }
}

/// The token in the result of `validate_code`: in `structuredContent`, or in
/// the JSON that the first text of its content holds.
fn approval_token(result: &str) -> Option<String> {
    let result: Value = serde_json::from_str(result).ok()?;
    let of = |value: &Value| Some(value.get("approval_token")?.as_str()?.to_string());
    result
        .get("structuredContent")
        .and_then(of)
        .or_else(|| of(&result))
        .or_else(|| {
            let text = result.get("content")?.get(0)?.get("text")?.as_str()?;
            of(&serde_json::from_str(text).ok()?)
        })
}

#[cfg(test)]
mod tests {
    use super::approval_token;

    #[test]
    fn the_token_is_found_where_servers_put_it() {
        let check = |result: &str, expected: Option<&str>| {
            assert_eq!(approval_token(result).as_deref(), expected, "{result}");
        };
        check(r#"{"structuredContent":{"approval_token":"a"}}"#, Some("a"));
        check(
            r#"{"content":[{"type":"text","text":"{\"approval_token\":\"b\"}"}]}"#,
            Some("b"),
        );
        check(r#"{"content":[]}"#, None);
        check("not json", None);
    }
}
