//! The figures of all calls, and what was tested, with what.

use crate::metrics::{CensoredReadings, Counters};
use crate::outcome::{Ended, GeneratorFacts, TokenFigures};
use crate::report::model::{LatencyFigures, OtherLatency, Report, ServerNames, StoredKind};
use crate::report::page::{Page, ms_text, rate_text};
use crate::terminal::{Line, Role};
use crate::text::escaped;
use crate::units::{
    format_bytes, format_count, format_duration, format_latency, format_percent, format_rate,
    part_of, plural,
};

use std::time::Duration;

/// Target, server and load.
pub(super) fn target_and_load(page: &mut Page, report: &Report) {
    page.gap();
    page.labelled("target", Line::of(Role::Accent, &report.target_url));
    let server = &report.server;
    let mut line = Line::new();
    if let Some(name) = &server.name {
        let version = server.version.as_deref().unwrap_or_default();
        let both = format!("{name} {version}");
        line = line
            .add(Role::Plain, both.trim_end())
            .add(Role::Plain, ", ");
    }
    line = line.add(
        Role::Plain,
        format!("MCP {} ({})", server.revision, server.era),
    );
    if server.era == "legacy" && !server.has_sessions {
        line = line.add(Role::Plain, ", without sessions");
    }
    let n_addresses = server.addresses.unwrap_or(1) as u64;
    if n_addresses > 1 {
        let words = format!(", {n_addresses} addresses");
        line = line.add(Role::Plain, words);
    }
    line = line.add(Role::Plain, held(report, server, 0));
    page.labelled("server", line);
    populations(page, report);
    if let Some(tokens) = &report.tokens {
        page.labelled("token", token(tokens));
    }
    if let Some(proxy) = &server.proxy {
        page.labelled_text("proxy", Role::Plain, &proxy.in_words());
    }
    tls(page, report);
    let load = format!("{}, seed {}", report.run.load, report.run.seed);
    page.labelled_text("load", Role::Plain, &load);
    page.labelled("duration", duration(report));
}

/// What made the load, and how it fared.
pub(super) fn load_generator(page: &mut Page, report: &Report) {
    page.labelled_text("generator", Role::Plain, &generator(&report.host));
    in_flight(page, report);
    delays(page, report);
}

/// `agents: 80%` of the users, and what they spoke to where that differs.
fn populations(page: &mut Page, report: &Report) {
    let of_first = held(report, &report.server, 0);
    for (at, it) in report.populations.iter().enumerate() {
        let share = format_percent(it.share);
        let mut line = Line::of(Role::Accent, &it.name).add(Role::Plain, format!(": {share}"));
        let server = &it.server;
        if server.url != report.target_url {
            line = line.add(Role::Plain, ", ").add(Role::Accent, &server.url);
        }
        if (&server.era, &server.revision) != (&report.server.era, &report.server.revision) {
            let words = format!(", MCP {} ({})", server.revision, server.era);
            line = line.add(Role::Plain, words);
        }
        let held = held(report, server, at);
        if held.is_empty() && of_first.ends_with(" held)") {
            line = line.add(Role::Plain, ", no stream held");
        } else if held != of_first {
            line = line.add(Role::Plain, held);
        }
        if it.arrivals_dropped > 0 {
            let (dropped, all) = (it.arrivals_dropped, it.arrivals);
            let words = format!(", {} dropped", part_of(dropped, all, "arrival", "arrivals"));
            line = line.add(Role::Warning, words);
        }
        page.labelled("population", line);
    }
}

/// `TLS 1.3, TLS_AES_256_GCM_SHA384, 50 handshakes, p50 1.2 ms, p99 3.4 ms`.
fn tls(page: &mut Page, report: &Report) {
    let Some(tls) = &report.tls else {
        return;
    };
    let mut line = Line::new();
    if !tls.is_verified {
        line = line.add(Role::Error, "certificates NOT checked (--insecure); ");
    }
    if let Some(most) = tls.agreed.first() {
        line = line.add(Role::Plain, format!("{}, {}, ", most.protocol, most.cipher));
    }
    if tls.agreed.len() > 1 {
        let others = plural(tls.agreed.len() as u64 - 1, "other", "others");
        line = line.add(Role::Plain, format!("and {others}, "));
    }
    let n_resumed = tls
        .agreed
        .iter()
        .fold(0, |sum: u64, it| sum.saturating_add(it.resumed));
    let resumed = match n_resumed {
        0 => String::new(),
        n => format!(" ({} resumed)", format_count(n)),
    };
    let handshake = &tls.handshake;
    let words = format!(
        "{}{resumed}: p50 {}, p99 {}",
        plural(handshake.count, "handshake", "handshakes"),
        ms_text(handshake.p50_ms),
        ms_text(handshake.p99_ms)
    );
    page.labelled("tls", line.add(Role::Plain, words));
}

/// Where the token came from, and what became of those that followed.
pub(in crate::report) fn token(tokens: &TokenFigures) -> Line {
    let mut line = Line::of(Role::Plain, escaped(&tokens.about));
    // The first of each is no news.
    if tokens.fetched > 1 {
        let fetched = plural(tokens.fetched, "token", "tokens");
        line = line.add(Role::Plain, format!(", {fetched} fetched"));
    }
    if tokens.refused > 0 {
        line = line.add(
            Role::Warning,
            format!(", {} refused", format_count(tokens.refused)),
        );
    }
    if tokens.expired > 0 {
        let expired = format_count(tokens.expired);
        let words = format!(", {expired} that had ended by their own word when they came");
        line = line.add(Role::Warning, words);
    }
    if tokens.failed > 0 {
        let failed = plural(tokens.failed, "attempt", "attempts");
        let why = tokens.last_failure.as_deref().unwrap_or_default();
        let words = format!(", {failed} failed, the last one: {}", escaped(why));
        line = line.add(Role::Error, words);
    }
    line
}

/// What users of this population hold beside their calls to this server; what was offered
/// and could not be had is not held.
fn held(report: &Report, server: &ServerNames, population: usize) -> String {
    let listen = report.listen.as_ref();
    let is_none_held = listen.is_some_and(|listen| listen.opening.ok == 0);
    let subscribes = listen.is_some() && subscribes(report, population);
    match (&server.stream, is_none_held) {
        (Some(stream), true) if stream.offered => ", GET stream offered, none held".to_string(),
        (Some(stream), _) => stream.in_words(),
        (None, _) if !subscribes => String::new(),
        (None, true) => ", no subscription held".to_string(),
        (None, false) => ", 2 connections a user (subscription held)".to_string(),
    }
}

/// Whether a population subscribes to something: by its own key, else by that of all.
fn subscribes(report: &Report, population: usize) -> bool {
    let own = &report.plan["populations"][population]["subscribe"];
    let topics = own.as_array().or(report.plan["subscribe"].as_array());
    topics.is_some_and(|topics| !topics.is_empty())
}

/// `30s`, or how long and why it ended where that is worth a word.
fn duration(report: &Report) -> Line {
    let line = Line::of(Role::Plain, secs_text(report.duration_secs));
    match report.run.ended {
        Ended::Duration => line,
        Ended::Iterations => {
            let n_iterations = report.run.planned_iterations.unwrap_or_default();
            let words = plural(n_iterations, "iteration", "iterations");
            line.add(Role::Plain, format!(" for {words}"))
        }
        Ended::Data => {
            let n_iterations = report.run.planned_iterations.unwrap_or_default();
            let words = plural(n_iterations, "iteration", "iterations");
            line.add(
                Role::Plain,
                format!(" for {words}, all that there was data for"),
            )
        }
        Ended::Interrupted => line.add(Role::Warning, ", interrupted"),
        Ended::Broke => line.add(Role::Warning, ", stopped at the breaking point"),
        Ended::Threshold => line.add(Role::Error, ", ended by a threshold"),
        Ended::Denied => line.add(
            Role::Error,
            ", ended since the server let nobody in any more",
        ),
        Ended::NoSession if report.counters.sessions_opened > 0 => {
            line.add(Role::Error, ", ended since no session lasted")
        }
        Ended::NoSession => line.add(Role::Error, ", no session could be opened"),
    }
}

fn generator(host: &GeneratorFacts) -> String {
    let n_workers = host.worker_cpus.len() as u64;
    let mut words = plural(n_workers, "worker", "workers");
    let pinned = host.worker_cpus.iter().flatten();
    let cpus: Vec<String> = pinned.map(ToString::to_string).collect();
    words += &match cpus.len() as u64 {
        0 => ", not pinned".to_string(),
        n_pinned if n_pinned == n_workers => {
            let cpu = if n_pinned == 1 { "CPU" } else { "CPUs" };
            format!(" pinned to {cpu} {}", cpus.join(", "))
        }
        n_pinned => format!(", {n_pinned} of them pinned to CPUs {}", cpus.join(", ")),
    };
    words += if host.kernel_timestamps {
        ", kernel timestamps"
    } else {
        ", timed when read (no kernel timestamps)"
    };
    if host.busy_poll {
        words += ", busy polling";
    }
    words
}

/// How long the users kept away, where the server asked for that, and waited for tokens:
/// other figures are read with it.
pub(super) fn waited(page: &mut Page, report: &Report) {
    let asked = report.retry_after.as_ref().filter(|it| it.waits > 0);
    let asked = asked.map(|it| (it.in_words(), it.is_most()));
    let for_tokens = report.tokens.as_ref();
    let for_tokens = for_tokens.and_then(|it| Some((it.waits_in_words()?, it.is_most())));
    for (at, (words, is_most)) in asked.into_iter().chain(for_tokens).enumerate() {
        if at == 0 {
            page.gap();
        }
        let role = match is_most {
            true => Role::Error,
            false => Role::Warning,
        };
        page.labelled_text("waited", role, &words);
    }
}

/// Requests, rate, errors, and what else was counted.
pub(super) fn totals(page: &mut Page, report: &Report) {
    page.gap();
    let totals = &report.totals;
    let ended = totals.ended();
    let mut line = Line::of(Role::Strong, format_count(ended));
    if totals.failed > 0 {
        line = line
            .add(Role::Plain, format!(": {} ok, ", format_count(totals.ok)))
            .add(
                Role::Error,
                format!("{} failed", format_count(totals.failed)),
            );
    } else if totals.ok > 0 {
        line = line.add(Role::Success, ", all ok");
    }
    page.labelled("requests", line);
    if totals.cancelled > 0 {
        let oldest = totals.cancelled_age.and_then(|age| age.max_ms);
        let least = p99_at_least(report).map_or(String::new(), |text| format!(": {text}"));
        let words = format!(
            "{} without an answer at the end, the oldest after {}{least}",
            format_count(totals.cancelled),
            ms_text(oldest)
        );
        page.labelled("cancelled", Line::of(Role::Warning, words));
    }
    let late_end = report.verdict.bounds.and_then(|bounds| bounds.late_end);
    let mut line = Line::of(Role::Strong, rate_text(totals.rate_per_sec));
    if let Some(end) = &late_end {
        let words = format!(
            "; {} while load was offered: the last call ended {} after it",
            format_rate(end.rate_per_sec),
            end.after_text()
        );
        line = line.add(Role::Warning, words);
    }
    page.labelled("rate", line);
    // Beside what was offered, where some of it came to nothing.
    if totals.failed > 0 {
        let offered =
            (report.duration_secs > 0.0).then(|| totals.started as f64 / report.duration_secs);
        let line = Line::of(Role::Strong, rate_text(totals.goodput_per_sec)).add(
            Role::Plain,
            format!(" ok, of {} offered", rate_text(offered)),
        );
        page.labelled("goodput", line);
    }
    let role = if totals.failed > 0 {
        Role::Error
    } else {
        Role::Success
    };
    let errors = match totals.error_rate {
        None => Line::of(Role::Plain, "-"),
        Some(share) => Line::of(role, format_percent(share)),
    };
    page.labelled("error rate", errors);
    isolation(page, report);
    counters(page, &report.counters);
}

/// `with them p99 is at least 3.00 s`: the least that it can be with the calls that had no
/// answer when the run ended, where that is plainly above the p99 of the answered ones.
pub(super) fn p99_at_least(report: &Report) -> Option<String> {
    const PLAINLY: f64 = 1.05;
    let row = report.histograms.as_ref()?.row(StoredKind::Total)?;
    let ages = row.other(OtherLatency::CancelledAge).ok()??;
    let answered = row.histogram().ok()?;
    let p99_ns = answered.quantile_ns(0.99)?;
    let least = CensoredReadings::of((&answered).into(), &ages)?;
    let least_ns = least.readings().quantile_ns(0.99)?;
    let them = if ages.len() == 1 { "it" } else { "them" };
    (least_ns as f64 >= PLAINLY * p99_ns as f64)
        .then(|| format!("with {them} p99 is at least {}", format_latency(least_ns)))
}

/// What came of the markers in calls.
fn isolation(page: &mut Page, report: &Report) {
    let Some(found) = &report.isolation else {
        return;
    };
    let (role, words) = match found.foreign {
        0 => (
            Role::Success,
            "no answer had another user's marker".to_string(),
        ),
        n => {
            let answers = plural(n, "answer", "answers");
            (Role::Error, format!("{answers} had another user's marker"))
        }
    };
    let rest = format!(
        "{} with a marker got their own user's back",
        part_of(found.returned, found.marked, "call", "calls")
    );
    let line = match found.returned {
        // Nothing could be found.
        0 if found.foreign == 0 => Line::of(Role::Warning, "not tested: ").add(Role::Plain, rest),
        _ => Line::of(role, words).add(Role::Plain, format!("; {rest}")),
    };
    page.labelled("isolation", line);
}

/// Sessions and connections, where they are more than one for each user.
fn counters(page: &mut Page, counters: &Counters) {
    let counted = [
        (
            counters.sessions_expired,
            "session expired",
            "sessions expired",
        ),
        (counters.sessions_reopened, "reopened", "reopened"),
        (counters.reconnects, "reconnect", "reconnects"),
        (
            counters.round_trips,
            "input request answered",
            "input requests answered",
        ),
        (
            counters.streams_resumed,
            "stream resumed",
            "streams resumed",
        ),
        (
            counters.streams_left_open,
            "stream left open",
            "streams left open",
        ),
        (
            counters.server_requests,
            "server request answered",
            "server requests answered",
        ),
        (
            counters.cookies_set,
            "answer that set a cookie",
            "answers that set a cookie",
        ),
    ];
    let some = counted.into_iter().filter(|(n, ..)| *n > 0);
    let words: Vec<String> = some.map(|(n, one, many)| plural(n, one, many)).collect();
    if !words.is_empty() {
        page.labelled_text("sessions", Role::Plain, &words.join(", "));
    }
    if counters.arrivals > 0 {
        let mut line = Line::of(Role::Plain, format_count(counters.arrivals));
        if counters.arrivals_dropped > 0 {
            let dropped = format!(", {} dropped", format_count(counters.arrivals_dropped));
            line = line.add(Role::Warning, dropped);
        }
        page.labelled("arrivals", line);
    }
    if counters.bytes_sent > 0 || counters.bytes_received > 0 {
        let words = format!(
            "{} sent, {} received",
            format_bytes(counters.bytes_sent),
            format_bytes(counters.bytes_received)
        );
        page.labelled("traffic", Line::of(Role::Plain, words));
    }
}

/// Calls in flight beside the users, and how busy that kept the workers.
fn in_flight(page: &mut Page, report: &Report) {
    let check = &report.self_check;
    if let Some(mean) = check.in_flight.mean {
        let users = plural(u64::from(report.run.vus_max), "user", "users");
        let words = format!(
            "{mean:.1} calls on average, at most {}, of {users}",
            format_count(check.in_flight.max)
        );
        // The rest were connecting, or answered and not read yet.
        let whole = check.in_flight.mean_whole;
        let at_server = whole.zip(check.in_flight.by_latency);
        let words = match at_server.filter(|(whole, waited)| *waited < AT_SERVER * whole) {
            Some((_, waited)) => format!("{words}; {waited:.1} by rate and latency"),
            None => words,
        };
        page.labelled("in flight", Line::of(Role::Plain, words));
    }
    let shares: Vec<f64> = check.workers.iter().filter_map(|w| w.busy_share).collect();
    let least = shares.iter().copied().reduce(f64::min);
    let most = shares.iter().copied().reduce(f64::max);
    if let Some((least, most)) = least.zip(most) {
        let whole = |share: f64| format!("{:.0}%", share * 100.0);
        let (least, most) = (whole(least), whole(most));
        let words = match least == most {
            true => format!("busy {most} of the time"),
            false => format!("busy {least} to {most} of the time"),
        };
        page.labelled("workers", Line::of(Role::Plain, words));
    }
}

/// A share of the calls in flight below this waited for the server.
const AT_SERVER: f64 = 0.9;

/// Shorter loops delay nothing that anybody would notice.
const LOOP_SHOWN_MS: f64 = 1.0;

/// How far the generator itself was behind.
fn delays(page: &mut Page, report: &Report) {
    let is_long = |latency: &LatencyFigures| latency.p99_ms.is_some_and(|ms| ms >= LOOP_SHOWN_MS);
    let loop_time = report.loop_time.filter(is_long);
    let labels = [
        ("lateness", &report.lateness),
        ("read delay", &report.generator_delay),
        ("loop time", &loop_time),
    ];
    for (label, latency) in labels {
        if let Some(latency) = latency {
            let words = format!(
                "p50 {}, p99 {}, max {}",
                ms_text(latency.p50_ms),
                ms_text(latency.p99_ms),
                ms_text(latency.max_ms)
            );
            page.labelled(label, Line::of(Role::Dim, words));
        }
    }
}

/// Seconds of a report as a duration; a number that is not a duration reads as 0.
pub(in crate::report) fn secs_text(secs: f64) -> String {
    let duration = Duration::try_from_secs_f64(secs).unwrap_or_default();
    // Beyond ten seconds, milliseconds tell nothing.
    if duration >= Duration::from_secs(10) {
        let rounded = (duration.as_secs_f64() * 10.0).round() / 10.0;
        return format_duration(Duration::try_from_secs_f64(rounded).unwrap_or_default());
    }
    format_duration(duration)
}
