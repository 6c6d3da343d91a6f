//! When each piece of advice is due.

use std::time::Duration;

use super::Advice;
use crate::load::ThinkTime;
use crate::metrics::{
    ConnectionFailure, Failure, FailureCounts, Histogram, ProtocolFailure, RowStats,
};
use crate::outcome::{Ended, RowKind, Rows, RunOutcome};
use crate::scenario::{Load, Plan};

/// Everything that the user may want to act on, most telling first. `calls`
/// are all calls together.
pub fn advise(plan: &Plan, outcome: &RunOutcome, calls: &RowStats) -> Vec<Advice> {
    [
        all_failed_alike(calls),
        no_session(outcome, calls),
        accepted_unanswered(calls),
        cookies_not_kept(plan, outcome),
        hung(plan, outcome, calls),
        delayed_ack(outcome),
        lost_reused(plan, calls),
        reconnects(plan, outcome, calls),
        streams_left_open(outcome, calls),
        one_at_a_time(plan, outcome, calls),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A few failures alone may be chance.
const ALIKE_MIN: u64 = 3;

fn all_failed_alike(calls: &RowStats) -> Option<Advice> {
    let ranked = calls.failures.ranked();
    let [(failure, count)] = ranked.as_slice() else {
        return None;
    };
    // A 202 has advice of its own.
    let is_own = *failure == Failure::Protocol(ProtocolFailure::Accepted);
    (calls.ok == 0 && *count >= ALIKE_MIN && !is_own).then_some(Advice::AllFailedAlike {
        failure: *failure,
        count: *count,
    })
}

fn no_session(outcome: &RunOutcome, calls: &RowStats) -> Option<Advice> {
    let handshake = Rows::new(&outcome.start.rows, &outcome.totals).sum_of(RowKind::Handshake)?;
    let ranked = handshake.failures.ranked();
    let [(failure, count)] = ranked.as_slice() else {
        return None;
    };
    (calls.started == 0 && handshake.ok == 0).then_some(Advice::NoSession {
        failure: *failure,
        count: *count,
    })
}

fn accepted_unanswered(calls: &RowStats) -> Option<Advice> {
    let count = count_of(
        &calls.failures,
        Failure::Protocol(ProtocolFailure::Accepted),
    );
    (count > 0).then_some(Advice::AcceptedUnanswered { count })
}

/// Calls that a run cuts off are common where iterations are short of time;
/// those as old as the whole grace hung.
fn hung(plan: &Plan, outcome: &RunOutcome, calls: &RowStats) -> Option<Advice> {
    let oldest_ns = calls.cancelled_age.as_ref().and_then(Histogram::max_ns)?;
    let oldest = Duration::from_nanos(oldest_ns);
    let is_over = oldest >= plan.graceful_stop && outcome.ended != Ended::Interrupted;
    is_over.then_some(Advice::Hung {
        count: calls.cancelled,
        oldest,
    })
}

/// Linux delays an acknowledgement by 40 ms. The plateau: a quarter to three
/// quarters of the calls lie between these, in nanoseconds.
const DELAYED_ACK_NS: std::ops::RangeInclusive<u64> = 38_000_000..=50_000_000;

/// The first call on a connection is acknowledged at once; a server that is
/// slow by itself has no call this fast.
const DELAYED_ACK_FAST_NS: u64 = 20_000_000;

/// Fewer calls may lie there by chance.
const PLATEAU_CALLS_MIN: u64 = 50;

fn delayed_ack(outcome: &RunOutcome) -> Option<Advice> {
    let rows = Rows::new(&outcome.start.rows, &outcome.totals).in_totals();
    let is_plateau = |latency: &Histogram| {
        let within = |q| {
            latency
                .quantile_ns(q)
                .is_some_and(|ns| DELAYED_ACK_NS.contains(&ns))
        };
        let has_fast = latency.min_ns().is_some_and(|ns| ns < DELAYED_ACK_FAST_NS);
        latency.len() >= PLATEAU_CALLS_MIN && has_fast && within(0.25) && within(0.75)
    };
    rows.filter(|(_, stats)| is_plateau(&stats.service_ok))
        .max_by_key(|(_, stats)| stats.ok)
        .and_then(|(row, stats)| {
            Some(Advice::DelayedAck {
                operation: row.label(),
                p50_ns: stats.service_ok.quantile_ns(0.5)?,
            })
        })
}

fn lost_reused(plan: &Plan, calls: &RowStats) -> Option<Advice> {
    let count = count_of(
        &calls.failures,
        Failure::Connection(ConnectionFailure::LostReused),
    );
    (count > 0).then(|| Advice::LostReused {
        count,
        has_pauses: has_pauses(plan),
    })
}

/// From one reconnect in this many calls on, they matter for the latency.
const CALLS_PER_RECONNECT: u64 = 20;

/// Fewer may be a restart.
const RECONNECTS_MIN: u64 = 10;

fn reconnects(plan: &Plan, outcome: &RunOutcome, calls: &RowStats) -> Option<Advice> {
    // Where we gave a connection up, after a timeout or a stream that was left
    // open, the server has not closed it. Calls that it cut off are told by
    // their cause.
    let cut_off = [
        Failure::Connection(ConnectionFailure::LostNew),
        Failure::Connection(ConnectionFailure::LostReused),
        Failure::Protocol(ProtocolFailure::ClosedEarly),
    ];
    let n_cut_off: u64 = cut_off
        .into_iter()
        .map(|failure| count_of(&calls.failures, failure))
        .sum();
    let counters = &outcome.totals.counters;
    let reconnects = counters.reconnects_server_closed.saturating_sub(n_cut_off);
    let is_often = reconnects.saturating_mul(CALLS_PER_RECONNECT) >= calls.finished();
    (reconnects >= RECONNECTS_MIN && is_often).then(|| Advice::Reconnects {
        reconnects,
        finished: calls.finished(),
        has_pauses: has_pauses(plan),
    })
}

fn cookies_not_kept(plan: &Plan, outcome: &RunOutcome) -> Option<Advice> {
    let counters = &outcome.totals.counters;
    let (expired, cookies) = (counters.sessions_expired, counters.cookies_set);
    (!plan.target.cookies && expired > 0 && cookies > 0)
        .then_some(Advice::CookiesNotKept { expired, cookies })
}

fn streams_left_open(outcome: &RunOutcome, calls: &RowStats) -> Option<Advice> {
    let count = outcome.totals.counters.streams_left_open;
    let is_often = count.saturating_mul(100) >= calls.finished();
    (count > 0 && is_often).then_some(Advice::StreamsLeftOpen { count })
}

/// With fewer users, one at a time and a few at a time look alike.
const USERS_TO_TELL: u32 = 8;

/// One call at a time, each taking S: N users wait N·S each, nearly all the
/// same, and a call is done every S. A server that takes several at once does
/// more than one call per shortest latency.
fn one_at_a_time(plan: &Plan, outcome: &RunOutcome, calls: &RowStats) -> Option<Advice> {
    let Load::Closed {
        vus, pacing: None, ..
    } = plan.load
    else {
        return None;
    };
    let latency = &calls.service_ok;
    let min_ns = latency.min_ns()?;
    let quantile = |q| latency.quantile_ns(q).map(|ns| ns as f64);
    let (p10, p50) = (quantile(0.1)?, quantile(0.5)?);
    let calls_per_min = calls.ok as f64 / outcome.elapsed.as_secs_f64() * min_ns as f64 / 1e9;
    let is_one = (0.7..=1.1).contains(&calls_per_min);
    let users = f64::from(vus) * min_ns as f64;
    let waits_for_all = (0.5..=1.5).contains(&(p50 / users)) && p10 >= 0.6 * p50;
    let can_tell = vus >= USERS_TO_TELL && !has_pauses(plan) && calls.ok >= 10 * u64::from(vus);
    (can_tell && is_one && waits_for_all).then_some(Advice::OneAtATime { vus, min_ns })
}

/// Whether a user's connection is idle between calls.
fn has_pauses(plan: &Plan) -> bool {
    let is_scheduled = match &plan.load {
        Load::Closed { pacing, .. } | Load::Staged { pacing, .. } => pacing.is_some(),
        Load::Open { .. } => true,
    };
    is_scheduled || plan.think != ThinkTime::None || !plan.pause_after_call.is_zero()
}

fn count_of(counts: &FailureCounts, failure: Failure) -> u64 {
    counts
        .ranked()
        .into_iter()
        .find(|(known, _)| *known == failure)
        .map_or(0, |(_, count)| count)
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
