//! What may lie behind the figures, and what to do about it.
//!
//! Each piece of advice is one function: a rule that looks at the plan and the
//! figures, the stable name in the report, and a text that says what was seen
//! before what it may mean. A rule that would fire on a healthy server has no place
//! here, nor has a fault of the generator: the verdict tells of that.
//!
//! To add one: its function, its line in [`advise`], its test.

mod rate_limit;

use std::time::Duration;

use self::rate_limit::{FoundLimit, LimitedSecond};
use super::model::AdviceNote;
use crate::load::ThinkTime;
use crate::metrics::{
    ConnectFailure, ConnectionFailure, Failure, FailureCounts, FailureGroup, Histogram,
    ProtocolFailure, RowStats, ServerTally, TokenError,
};
use crate::outcome::{Ended, RowKind, Rows, RunOutcome};
use crate::scenario::{Load, Plan};
use crate::template::{self, Piece};
use crate::units::{format_count, format_duration, format_latency, part_of, plural};

/// Everything that the user may want to act on, most telling first. `calls`
/// are all calls together.
pub(super) fn advise(plan: &Plan, outcome: &RunOutcome, calls: &RowStats) -> Vec<AdviceNote> {
    [
        not_isolated(outcome),
        isolation_unseen(outcome),
        kept_from_other_runs(outcome),
        all_failed_alike(plan, calls),
        no_session(plan, outcome, calls),
        rate_limited(plan, outcome),
        no_retry_after(plan, outcome),
        accepted_unanswered(calls),
        header_mismatch(calls),
        cookies_not_kept(plan, outcome),
        session_per_backend(outcome),
        hung(plan, outcome, calls),
        delayed_ack(outcome),
        dead_addresses(outcome),
        lost_reused(plan, outcome, calls),
        reconnects(plan, outcome, calls),
        streams_left_open(outcome, calls),
        events_held_back(calls),
        results_without_content(outcome),
        one_at_a_time(plan, outcome, calls),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A few failures alone may be chance.
const ALIKE_MIN: u64 = 3;

fn all_failed_alike(plan: &Plan, calls: &RowStats) -> Option<AdviceNote> {
    let ranked = calls.failures.ranked();
    let [(failure, count)] = ranked.as_slice() else {
        return None;
    };
    // These have advice of their own.
    let is_own =
        *failure == Failure::Protocol(ProtocolFailure::Accepted) || failure.is_header_mismatch();
    (calls.ok == 0 && *count >= ALIKE_MIN && !is_own).then(|| {
        let text = format!(
            "every call ({}) failed with {failure}: {}",
            format_count(*count),
            remedy(*failure, plan)
        );
        AdviceNote::new("all_failed_alike", text)
    })
}

fn no_session(plan: &Plan, outcome: &RunOutcome, calls: &RowStats) -> Option<AdviceNote> {
    let handshake = Rows::new(&outcome.start.rows, &outcome.totals).sum_of(RowKind::Handshake)?;
    let ranked = handshake.failures.ranked();
    let [(failure, count)] = ranked.as_slice() else {
        return None;
    };
    (calls.started == 0 && handshake.ok == 0).then(|| {
        let text = format!(
            "no call was made: {} to open a session failed with {failure}: {}",
            plural(*count, "attempt", "attempts"),
            remedy(*failure, plan)
        );
        AdviceNote::new("no_session", text)
    })
}

/// The worst that a server can do: it is told before all else.
fn not_isolated(outcome: &RunOutcome) -> Option<AdviceNote> {
    let foreign = outcome.totals.isolation.foreign;
    (foreign > 0).then(|| {
        let text = format!(
            "{} held what another user had sent: the server mixes its clients up; look for what \
             is kept by the id of a request alone (ids begin at 1 in each session), in a variable \
             that all requests share, or in a cache without the user in its key; users that are \
             one account to the server may see each other's data by right",
            plural(foreign, "answer", "answers")
        );
        AdviceNote::new("not_isolated", text)
    })
}

/// A search that could find nothing.
fn isolation_unseen(outcome: &RunOutcome) -> Option<AdviceNote> {
    let found = outcome.totals.isolation;
    (found.marked > 0 && found.returned == 0).then(|| {
        let text = format!(
            "no answer brought back the marker of its own call, out of {} that had one: what \
             never comes back cannot come to somebody else, so this run shows nothing of \
             isolation; mark an argument that the answer repeats, or add a step that reads what \
             another has written",
            format_count(found.marked)
        );
        AdviceNote::new("isolation_unseen", text)
    })
}

/// Whose markers of before are, nobody knows any more.
fn kept_from_other_runs(outcome: &RunOutcome) -> Option<AdviceNote> {
    let other_runs = outcome.totals.isolation.other_runs;
    (other_runs > 0).then(|| {
        let text = format!(
            "{} had markers of other runs: the server keeps what it is sent, or another run goes \
             on beside this one; whether they came to who had sent them cannot be told, so none \
             counts as a failure: begin with a server that holds nothing",
            plural(other_runs, "answer", "answers")
        );
        AdviceNote::new("kept_from_other_runs", text)
    })
}

/// What the server lets through, where it turns calls away for their number.
fn rate_limited(plan: &Plan, outcome: &RunOutcome) -> Option<AdviceNote> {
    let seconds = outcome.seconds.iter().map(|second| LimitedSecond {
        passed: (second.ok + second.failed).saturating_sub(second.rate_limited),
        limited: second.rate_limited,
        length: second.length,
    });
    let seconds: Vec<LimitedSecond> = seconds.collect();
    let users_wait = outcome.totals.waits.kept.count > 0;
    let limit = rate_limit::find(&seconds, users_wait)?;
    let next = match plan.target.respect_retry_after {
        true if users_wait => {
            "users who wait as they are asked offer less than the limit: leave out \
             `--respect-retry-after` to see it"
        }
        true => "users wait as long as it asks, and it asked for no wait",
        false => "`--respect-retry-after` lets users wait as long as the server asks",
    };
    if matches!(limit, FoundLimit::Unshown { .. }) {
        return Some(AdviceNote::new(
            "rate_limited",
            format!("{}; {next}", limit.text()),
        ));
    }
    let n_tokens = outcome.tokens.as_ref().map_or(0, |tokens| tokens.holders);
    let holds_for = match n_tokens {
        2.. => format!(
            "the users have {} tokens: if it holds for each token, it is {} for each",
            format_count(n_tokens),
            limit.of_each(n_tokens)
        ),
        _ if has_own_credentials(plan) => "whether that holds for each of the users' \
                                           credentials, an address or all clients together does \
                                           not show"
            .to_string(),
        _ => "whether that holds for a token, an address or all clients together, users with \
              tokens of their own show"
            .to_string(),
    };
    let text = format!(
        "{}, and answers 429 to the rest; {holds_for}; {next}",
        limit.text()
    );
    Some(AdviceNote::new("rate_limited", text))
}

/// Whether a template in the header `Authorization` gives users credentials of their own.
fn has_own_credentials(plan: &Plan) -> bool {
    let mut headers = plan.target.headers.iter();
    headers.any(|header| {
        let template = template::parse(&header.value);
        let is_filled = |piece: &Piece| matches!(piece, Piece::Expression(_));
        header.name.eq_ignore_ascii_case("authorization")
            && template.is_ok_and(|template| template.pieces().iter().any(is_filled))
    })
}

/// Who respects what is asked for hears where nothing is.
fn no_retry_after(plan: &Plan, outcome: &RunOutcome) -> Option<AdviceNote> {
    let waits = &outcome.totals.waits;
    let count = waits.absent + waits.unreadable;
    let is_respected = plan.target.respect_retry_after;
    (is_respected && count > 0).then(|| {
        let unreadable = match waits.unreadable {
            0 => String::new(),
            n => format!(
                " ({} with one that is neither seconds nor a date: the examples of the failures \
                 show it)",
                format_count(n)
            ),
        };
        let text = format!(
            "{} that turned a call away named no time in `Retry-After`{unreadable}: there users \
             did not wait, for all that the run respects it; a pace (`--pacing`) or a rate \
             offers less",
            plural(count, "answer", "answers")
        );
        AdviceNote::new("no_retry_after", text)
    })
}

fn accepted_unanswered(calls: &RowStats) -> Option<AdviceNote> {
    let count = count_of(
        &calls.failures,
        Failure::Protocol(ProtocolFailure::Accepted),
    );
    (count > 0).then(|| {
        let text = format!(
            "the server answered {} with 202 Accepted and no result: it may send results on \
             another stream of the session, or it took the request for a notification",
            plural(count, "request", "requests")
        );
        AdviceNote::new("accepted_unanswered", text)
    })
}

/// The tools are listed before the load and not again: a client that lists them within a
/// call would be another load.
fn header_mismatch(calls: &RowStats) -> Option<AdviceNote> {
    let ranked = calls.failures.ranked();
    let mismatches = ranked
        .iter()
        .filter(|(failure, _)| failure.is_header_mismatch());
    let count: u64 = mismatches.map(|(_, count)| count).sum();
    (count > 0).then(|| {
        let text = format!(
            "the server refused {} with -32020: headers do not match the body. Arguments go into \
             headers as the tool's schema said before the load: it may have changed since, or \
             differ between instances, or a proxy changes headers (`Mcp-Method`, `Mcp-Name`, \
             `Mcp-Param-…`); `try` shows a call, and another run lists the tools anew",
            plural(count, "call", "calls")
        );
        AdviceNote::new("header_mismatch", text)
    })
}

/// Calls that a run cuts off are common where iterations are short of time;
/// those as old as the whole grace hung.
fn hung(plan: &Plan, outcome: &RunOutcome, calls: &RowStats) -> Option<AdviceNote> {
    let oldest_ns = calls.cancelled_age.as_ref().and_then(Histogram::max_ns)?;
    let oldest = Duration::from_nanos(oldest_ns);
    let is_over = oldest >= plan.graceful_stop && outcome.ended != Ended::Interrupted;
    is_over.then(|| {
        let text = format!(
            "{} had no answer when the run ended, the oldest after {}; such calls \
             count as cancelled, and are in no rate and no latency",
            plural(calls.cancelled, "call", "calls"),
            format_duration(oldest)
        );
        AdviceNote::new("hung", text)
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

fn delayed_ack(outcome: &RunOutcome) -> Option<AdviceNote> {
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
    let (row, stats) = rows
        .filter(|(_, stats)| is_plateau(&stats.service_ok))
        .max_by_key(|(_, stats)| stats.ok)?;
    let text = format!(
        "nearly all calls of {} take about 40 ms (p50 {}) while the fastest are \
         far quicker: typical of a server that writes its answer in two pieces without \
         TCP_NODELAY and then waits for a delayed acknowledgement; set TCP_NODELAY on \
         the server's connections",
        row.label(),
        format_latency(stats.service_ok.quantile_ns(0.5)?)
    );
    Some(AdviceNote::new("delayed_ack", text))
}

/// Of several addresses, those that took fewer connections than they were asked for.
fn dead_addresses(outcome: &RunOutcome) -> Option<AdviceNote> {
    /// All are in the report.
    const NAMED_MAX: usize = 4;
    let all = outcome.totals.addresses.as_deref()?;
    let failing: Vec<_> = all.iter().filter(|(_, tally)| tally.failed > 0).collect();
    let named = failing.iter().take(NAMED_MAX).map(|(address, tally)| {
        format!(
            "{address} took {} (the last failure: {})",
            part_of(
                tally.connected,
                tally.connected + tally.failed,
                "connection",
                "connections"
            ),
            tally.last_failure.as_deref().unwrap_or_default()
        )
    });
    let mut named: Vec<String> = named.collect();
    if failing.len() > NAMED_MAX {
        named.push(format!("{} more", failing.len() - NAMED_MAX));
    }
    (!failing.is_empty()).then(|| {
        let text = format!(
            "of {} addresses that the name leads to, {}; whoever meets that tries the next one, \
             so the others have its load: mend it, or leave it out with \
             `--resolve host:port:address`",
            all.iter().count(),
            named.join("; ")
        );
        AdviceNote::new("dead_address", text)
    })
}

fn lost_reused(plan: &Plan, outcome: &RunOutcome, calls: &RowStats) -> Option<AdviceNote> {
    let count = count_of(
        &calls.failures,
        Failure::Connection(ConnectionFailure::LostReused),
    );
    (count > 0).then(|| {
        let text = format!(
            "{} died on a kept-alive connection before any byte of the answer; such a \
             request is not sent again, since the tool may have run{}",
            plural(count, "request", "requests"),
            match (has_long_pauses(plan), proxy_between(outcome)) {
                (true, _) =>
                    ". The server seems to close idle connections (uvicorn after 5 s, Node after \
                     6 s): raise its keep-alive timeout above the users' pauses"
                        .to_string(),
                (false, Some(proxy)) => format!(
                    ": the proxy {proxy} or the server may be closing connections, or restarting"
                ),
                (false, None) =>
                    ": the server may be closing connections under load, or restarting".to_string(),
            }
        );
        AdviceNote::new("lost_reused", text)
    })
}

/// From one reconnect in this many calls on, they matter for the latency.
const CALLS_PER_RECONNECT: u64 = 20;

/// Fewer may be a restart.
const RECONNECTS_MIN: u64 = 10;

fn reconnects(plan: &Plan, outcome: &RunOutcome, calls: &RowStats) -> Option<AdviceNote> {
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
    (reconnects >= RECONNECTS_MIN && is_often).then(|| {
        let text = format!(
            "{} for {}: {}",
            plural(reconnects, "reconnect", "reconnects"),
            plural(calls.finished(), "call", "calls"),
            if has_long_pauses(plan) {
                "the server closes idle connections between the users' calls (uvicorn after \
                 5 s, Node after 6 s); service time leaves out the time to connect again"
            } else {
                "the server does not keep connections open, so each call pays for a new one; \
                 look for `Connection: close` or a proxy without keep-alive"
            }
        );
        AdviceNote::new("reconnects", text)
    })
}

fn cookies_not_kept(plan: &Plan, outcome: &RunOutcome) -> Option<AdviceNote> {
    let counters = &outcome.totals.counters;
    let (expired, cookies) = (counters.sessions_expired, counters.cookies_set);
    (!plan.target.cookies && expired > 0 && cookies > 0).then(|| {
        let text = format!(
            "{} lost, and the server set cookies in {}, which were not sent back: a balancer \
             may keep a client at its server by a cookie; `--cookies` (`cookies = true` in \
             [settings]) keeps them, as clients on Python's httpx do and those on Node's \
             fetch do not",
            plural(expired, "session was", "sessions were"),
            plural(cookies, "answer", "answers")
        );
        AdviceNote::new("cookies_not_kept", text)
    })
}

/// Sessions that are lost where calls go to several servers.
fn session_per_backend(outcome: &RunOutcome) -> Option<AdviceNote> {
    let spread = outcome.totals.spread.as_deref()?;
    let addresses = spread.addresses.named.values();
    let backends = spread.backends.named.values();
    let (n_addresses, n_backends) = (addresses.len(), backends.len());
    let expired = |count: u64, it: &ServerTally| count + it.sessions_expired;
    let (what, n_servers, n_expired) = match n_backends > 1 {
        true => (
            "servers named themselves",
            n_backends,
            backends.fold(0, expired),
        ),
        false => (
            "addresses served calls",
            n_addresses,
            addresses.fold(0, expired),
        ),
    };
    (n_servers > 1 && n_expired > 0).then(|| {
        let text = format!(
            "{n_servers} {what}, and some calls met one that did not know their session: what \
             keeps a session at its server is the connection, or chance; a balancer has to go by \
             the session's id or a cookie, or the servers have to share their sessions"
        );
        AdviceNote::new("session_per_backend", text)
    })
}

fn streams_left_open(outcome: &RunOutcome, calls: &RowStats) -> Option<AdviceNote> {
    let count = outcome.totals.counters.streams_left_open;
    let is_often = count.saturating_mul(100) >= calls.finished();
    (count > 0 && is_often).then(|| {
        let text = format!(
            "the server left {} open after the final answer; each costs a new connection, \
             and the protocol asks it to close them",
            plural(count, "event stream", "event streams")
        );
        AdviceNote::new("streams_left_open", text)
    })
}

/// Fewer may be chance.
const TELLING_MIN: u64 = 5;

/// Events that a server tells of progress by and that arrive with the answer. Only calls
/// count that were read early enough to be told apart.
fn events_held_back(calls: &RowStats) -> Option<AdviceNote> {
    let times = calls.answers.as_deref()?;
    let is_most = times.held_back.saturating_mul(10) >= times.telling.saturating_mul(9);
    (times.telling >= TELLING_MIN && is_most).then(|| {
        let wish = match times.held_back_unbuffered {
            0 => {
                "the answers have no header `X-Accel-Buffering: no`, by which a server asks \
                 proxies such as nginx to pass events on at once"
            }
            _ => "though the answers say `X-Accel-Buffering: no`",
        };
        let text = format!(
            "all events of {} arrived at once with the answer: something between buffers event \
             streams, or the server does, and users see no progress; {wish}",
            part_of(times.held_back, times.telling, "long call", "long calls")
        );
        AdviceNote::new("events_held_back", text)
    })
}

/// Clients that read what the protocol promises would find nothing.
fn results_without_content(outcome: &RunOutcome) -> Option<AdviceNote> {
    let count = outcome.totals.counters.results_without_content;
    (count > 0).then(|| {
        let text = format!(
            "{} of `tools/call` had no list of `content`, which MCP demands; they count as \
             ok, and clients that read `content` find nothing",
            plural(count, "result", "results")
        );
        AdviceNote::new("results_without_content", text)
    })
}

/// With fewer users, one at a time and a few at a time look alike.
const USERS_TO_TELL: u32 = 8;

/// One call at a time, each taking S: N users wait N·S each, nearly all the
/// same, and a call is done every S. A server that takes several at once does
/// more than one call per shortest latency.
fn one_at_a_time(plan: &Plan, outcome: &RunOutcome, calls: &RowStats) -> Option<AdviceNote> {
    let Load::Closed { pacing: None, .. } = plan.load else {
        return None;
    };
    let vus = plan.vus_max();
    let latency = &calls.service_ok;
    let min_ns = latency.min_ns()?;
    let quantile = |q| latency.quantile_ns(q).map(|ns| ns as f64);
    let (p10, p50) = (quantile(0.1)?, quantile(0.5)?);
    let calls_per_min = calls.ok as f64 / outcome.elapsed.as_secs_f64() * min_ns as f64 / 1e9;
    let is_one = (0.7..=1.1).contains(&calls_per_min);
    let users = f64::from(vus) * min_ns as f64;
    let waits_for_all = (0.5..=1.5).contains(&(p50 / users)) && p10 >= 0.6 * p50;
    let can_tell = vus >= USERS_TO_TELL && !has_pauses(plan) && calls.ok >= 10 * u64::from(vus);
    (can_tell && is_one && waits_for_all).then(|| {
        let text = format!(
            "{} get no more calls done than one alone would (one per {}, the shortest \
             latency): the server looks as if it served one call at a time",
            plural(u64::from(vus), "user", "users"),
            format_latency(min_ns)
        );
        AdviceNote::new("one_at_a_time", text)
    })
}

/// Whether a user's connection is idle between calls.
fn has_pauses(plan: &Plan) -> bool {
    plan.has_intended_starts() || plan.think != ThinkTime::None || !plan.pause_after_call.is_zero()
}

/// Whether a connection may be idle between calls for as long as a server waits that
/// closes idle ones.
fn has_long_pauses(plan: &Plan) -> bool {
    /// Some close them after a second. Times to think are longer than their mean at times.
    const LONG: Duration = Duration::from_millis(500);
    let pause = plan.think.mean().saturating_add(plan.pause_after_call);
    let pacing = plan.load.pacing().unwrap_or_default();
    matches!(plan.load, Load::Open { .. }) || pause.max(pacing) >= LONG
}

/// The address of the proxy that calls go through.
fn proxy_between(outcome: &RunOutcome) -> Option<&str> {
    let proxy = outcome.start.server().proxy.as_ref();
    let through = proxy.filter(|proxy| proxy.past.is_none());
    through.map(|proxy| proxy.address.as_str())
}

fn count_of(counts: &FailureCounts, failure: Failure) -> u64 {
    counts
        .ranked()
        .into_iter()
        .find(|(known, _)| *known == failure)
        .map_or(0, |(_, count)| count)
}

/// What to try where nothing but this failure occurs.
fn remedy(failure: Failure, plan: &Plan) -> &'static str {
    let mut headers = plan.target.headers.iter();
    let has_header = headers.any(|it| it.name.eq_ignore_ascii_case("authorization"));
    match failure {
        Failure::Connect(ConnectFailure::Refused) => "is the server running on that port?",
        Failure::Connect(ConnectFailure::Proxy) => {
            "check the proxy's address, name and password, or go past it with `--no-proxy`"
        }
        Failure::Connect(ConnectFailure::NoResources) => {
            "this machine has no more file descriptors or ports; raise `ulimit -n`"
        }
        Failure::Denied {
            error: TokenError::InvalidToken,
            ..
        } if plan.token.is_none() => {
            "the token has expired, or is another server's: give one that lasts for the run, or \
             have it renewed with `--token-command` or `--token-file`"
        }
        Failure::Denied {
            error: TokenError::InsufficientScope,
            ..
        } => "the token is good but does not allow this: get one with the scope that is named",
        denial if denial.is_denial() && plan.token.is_some() => {
            "no token that came is taken: they may be another server's, or have ended before \
             they came"
        }
        denial if denial.is_denial() && has_header => {
            "the credentials that are sent are not taken: they may be another server's, or have \
             ended"
        }
        denial if denial.is_denial() => {
            "give credentials with `--api-key` or `-H 'Authorization: …'`, or log in with \
             `cargo pmcp loadtest login URL` where tokens come by OAuth"
        }
        Failure::Http {
            status: 404 | 405, ..
        } => "is the URL's path right?",
        Failure::Rpc(-32602) => "check the steps' names and arguments against the server's schema",
        Failure::Rpc(-32601) => "the server does not know the method",
        missing if missing.rpc_code() == Some(-32021) => {
            "the server demands a capability that users do not declare; for tasks, `task = true` \
             or `--task` does"
        }
        _ => match failure.group() {
            FailureGroup::Connect => "can the server be reached from here?",
            FailureGroup::Timeout => "the server is slower than the timeout; see `--timeout`",
            FailureGroup::Tool => "the tools themselves report failure; check their arguments",
            FailureGroup::Session => "the server does not keep its sessions",
            FailureGroup::Extract | FailureGroup::Expect => {
                "see what the answer said; `try` shows the whole of it"
            }
            FailureGroup::Isolation => {
                "the server gives users what is others': the evidence shows an exchange"
            }
            FailureGroup::Task => {
                "tasks take longer than they may; see `task_timeout`, or who cancels them"
            }
            FailureGroup::Auth => "no token was available: the summary's head says why",
            FailureGroup::Template => "a line end in a value for a header: mend the data",
            FailureGroup::RateLimit => "the server limits the rate; lower the load",
            FailureGroup::Http | FailureGroup::Rpc | FailureGroup::Protocol => {
                "see the example message"
            }
        },
    }
}

#[cfg(test)]
mod tests;
