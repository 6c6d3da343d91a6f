//! The summary as a whole: exact texts, and widths for any names.

use std::time::Duration;

use crate::metrics::{Failure, Recorder};
use crate::outcome::{
    BreakKind, BreakingPoint, Ended, Row, RowKind, RunOutcome, StageOutcome, StreamOffer,
};
use crate::protocol::{Era, Revision, Topic};
use crate::report::samples::{
    busy_outcome, cancelled, failed, flow_outcome, not_opened, ok, ok_intended, outcome, plan,
    report,
};
use crate::report::{SummaryOptions, summary};
use crate::scenario::{Load, Plan, Population, Populations, to_json};
use crate::terminal::{Role, display_width};
use crate::validity::{Grade, Reason, Signal, Slowed, Verdict};
use proptest::prelude::*;

fn text_of(plan: &Plan, outcome: &RunOutcome) -> String {
    let options = SummaryOptions {
        layout: crate::terminal::Layout::terminal(80),
        report_path: Some(".pmcp/reports/x.json".to_string()),
        ..SummaryOptions::endless()
    };
    let lines = summary(&report(plan, outcome), &options);
    let lines: Vec<String> = lines.iter().map(|line| line.text()).collect();
    for line in &lines {
        assert!(display_width(line) <= 80, "{line}");
    }
    let lines: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
    lines.join("\n") + "\n"
}

fn check(outcome: &RunOutcome, expected: &str) {
    let found = text_of(&plan(), outcome);
    assert!(found == expected, "found:\n{found}");
}

/// As a run without an ended call is judged.
fn no_calls() -> Verdict {
    Verdict::of(vec![(Grade::Invalid, Reason::NoCalls { cancelled: 0 })])
}

#[test]
fn a_run_without_calls_claims_nothing() {
    let mut outcome = outcome(&[("tools/call", Some("echo"))]);
    outcome.verdict = no_calls();
    check(&outcome, include_str!("golden/empty.txt"));
}

#[test]
fn a_run_without_a_session_says_why() {
    let mut outcome = outcome(&[("tools/call", Some("echo"))]);
    let unauthorized = Failure::Http {
        status: 401,
        rpc_code: None,
    };
    not_opened(
        &mut outcome.totals,
        1,
        3_000_000,
        unauthorized,
        "missing bearer token",
    );
    outcome.ended = Ended::NoSession;
    outcome.elapsed = Duration::from_millis(3);
    outcome.verdict = no_calls();
    check(&outcome, include_str!("golden/no_session.txt"));
}

/// Three populations, of a modern server, of a legacy one that offers streams, and of a
/// modern one without subscriptions: what the summary says of each. `topics`: of the first.
fn lines_on_streams(topics: Vec<Topic>) -> Vec<String> {
    let mut plan = plan();
    let of = |name: &str, subscribe| Population {
        name: Some(name.to_string()),
        subscribe,
        ..Populations::everyone(&plan.flows).all()[0].clone()
    };
    plan.populations = Populations::new(vec![
        of("new", Some(topics)),
        of("old", None),
        of("bare", None),
    ]);
    let mut outcome = outcome(&[("tools/list", None)]);
    outcome.start.rows.push(Row::new(RowKind::Listen, "GET"));
    outcome.totals = Recorder::new(outcome.start.rows.len());
    ok(&mut outcome.totals, 0, 5_000_000);
    ok(&mut outcome.totals, 2, 5_000_000);
    let mut old = outcome.start.servers[0].clone();
    old.stream = Some(StreamOffer::accepted());
    outcome.start.servers.push(old);
    outcome.start.servers[0].era = Era::Modern;
    outcome.start.servers[0].revision = Revision::LATEST_MODERN;
    let bare = outcome.start.servers[0].clone();
    outcome.start.servers.push(bare);
    let mut report = report(&plan, &outcome);
    report.plan = to_json(&plan);
    let lines = summary(&report, &SummaryOptions::endless());
    let lines = lines.iter().map(|line| line.text());
    let words = lines.filter_map(|line| {
        let (label, words) = line.split_once(' ')?;
        let is_told = ["server", "population"].contains(&label);
        is_told.then(|| words.trim().to_string())
    });
    words.collect()
}

#[test]
fn each_population_s_streams_are_told_with_its_own_server() {
    let held = "2 connections a user";
    assert_eq!(
        lines_on_streams(Vec::new()),
        [
            "demo 0.1.0, MCP 2026-07-28 (modern)".to_string(),
            "new: 33.33%".to_string(),
            format!("old: 33.33%, MCP 2025-11-25 (legacy), {held} (GET stream held)"),
            "bare: 33.33%".to_string(),
        ]
    );
    let tools = vec!["tools".parse().expect("a topic")];
    assert_eq!(
        lines_on_streams(tools),
        [
            format!("demo 0.1.0, MCP 2026-07-28 (modern), {held} (subscription held)"),
            "new: 33.33%".to_string(),
            format!("old: 33.33%, MCP 2025-11-25 (legacy), {held} (GET stream held)"),
            "bare: 33.33%, no stream held".to_string(),
        ]
    );
}

#[test]
fn streams_that_nobody_began_until_the_end_are_told() {
    let mut outcome = outcome(&[("tools/list", None)]);
    let row = Row::new(RowKind::Listen, "subscriptions/listen");
    outcome.start.rows.push(row);
    outcome.totals = Recorder::new(outcome.start.rows.len());
    ok(&mut outcome.totals, 0, 5_000_000);
    cancelled(&mut outcome.totals, 2, 4_000_000_000);
    cancelled(&mut outcome.totals, 2, 4_000_000_000);
    let text = text_of(&plan(), &outcome);
    let told = "0 opened, 0 at once, 2 still waiting at the end";
    assert!(text.contains(told), "{text}");
}

#[test]
fn a_run_with_failures_shows_them_by_cause() {
    check(&busy_outcome(), include_str!("golden/busy.txt"));
}

#[test]
fn flows_and_their_steps_stand_together() {
    check(&flow_outcome(), include_str!("golden/flows.txt"));
}

#[test]
fn long_names_in_any_script_are_shortened_by_columns() {
    let mut outcome = outcome(&[
        (
            "tools/call",
            Some("東京都の天気予報を詳しく調べるための道具"),
        ),
        ("tools/call", Some("🦀🦀🦀 crab 👩‍👩‍👧‍👦 family and friends")),
        ("prompts/get", Some("e\u{301}\u{1b}[31mvil\nname")),
    ]);
    for i in 0..150 {
        ok(&mut outcome.totals, 0, 5_000_000 + i * 70_000);
    }
    for _ in 0..3 {
        ok(&mut outcome.totals, 1, 7_000_000);
    }
    failed(
        &mut outcome.totals,
        2,
        90_000,
        Failure::Tool,
        "größer als 10 €\u{7}",
    );
    cancelled(&mut outcome.totals, 2, 6_000_000_000);
    check(&outcome, include_str!("golden/names.txt"));
}

#[test]
fn stages_and_the_breaking_point_are_shown() {
    let mut outcome = outcome(&[("tools/call", Some("echo"))]);
    let stage = |at, load_from, load_to, n: u64| {
        let mut recorded = Recorder::new(2);
        (0..n).for_each(|i| ok(&mut recorded, 0, 2_000_000 + i * 1_000));
        StageOutcome {
            populations: Vec::new(),
            number: 1 + at as usize / 10,
            at: Duration::from_secs(at),
            length: Duration::from_secs(10),
            load_from,
            load_to,
            calls: recorded.rows[0].clone(),
            examples: recorded.examples,
        }
    };
    outcome.stages = vec![
        stage(0, 0.0, 50.0, 3_000),
        stage(10, 50.0, 50.0, 50),
        stage(20, 50.0, 0.0, 0),
    ];
    for stage in &outcome.stages {
        outcome.totals.rows[0].merge(&stage.calls);
    }
    let mut warm_up = Recorder::new(2);
    ok(&mut warm_up, 0, 30_000_000);
    outcome.warm_up = Some((Duration::from_secs(10), warm_up));
    outcome.ended = Ended::Broke;
    outcome.breaking_point = Some(BreakingPoint {
        how: BreakKind::Saturation {
            ceiling_per_second: 340.0,
        },
        load: Some(34.0),
        last_good_load: Some(30.0),
        at: Duration::from_millis(6_800),
        noticed_at: Duration::from_secs(9),
        evidence: "above 34 virtual users the rate stays at 340/s (±10%) while latency grows"
            .to_string(),
    });
    outcome.notices = vec![
        "`expected_interval_ms` is read and not used: samples are never invented here, \
         whatever the interval"
            .to_string(),
    ];
    check(&outcome, include_str!("golden/stages.txt"));
}

#[test]
fn response_time_is_the_headline_where_starts_are_intended() {
    let mut plan = plan();
    plan.load = Load::Closed {
        vus: 50,
        ramp_up: Duration::ZERO,
        pacing: Some(Duration::from_secs(1)),
    };
    let mut outcome = outcome(&[("tools/call", Some("echo"))]);
    for i in 0..1_000 {
        ok_intended(&mut outcome.totals, 0, 2_000_000, 4_000_000 + i);
    }
    let text = text_of(&plan, &outcome);
    assert!(text.contains("\nresponse  4.00 ms"), "{text}");
    assert!(text.contains("\nservice   2.00 ms"), "{text}");
    assert!(text.contains("an iteration every 1s"), "{text}");
}

#[test]
fn colour_adds_no_text() {
    let options = SummaryOptions {
        layout: crate::terminal::Layout::terminal(80),
        report_path: None,
        ..SummaryOptions::endless()
    };
    let lines = summary(&report(&plan(), &busy_outcome()), &options);
    let mut plain = termcolor::NoColor::new(Vec::new());
    let mut colour = termcolor::Ansi::new(Vec::new());
    crate::terminal::write_lines(&mut plain, &lines).expect("a vector takes all");
    crate::terminal::write_lines(&mut colour, &lines).expect("a vector takes all");
    let colour = String::from_utf8(colour.into_inner()).expect("we write text");
    let mut stripped = String::new();
    let mut rest = colour.as_str();
    while let Some((text, sequence)) = rest.split_once('\u{1b}') {
        stripped += text;
        rest = sequence.split_once('m').expect("only colours").1;
    }
    stripped += rest;
    assert_eq!(stripped.into_bytes(), plain.into_inner());
    let roles: Vec<Role> = vec![Role::Error, Role::Success];
    assert_ne!(roles[0].color_spec(), roles[1].color_spec());
}

proptest! {
    #![proptest_config(crate::seeds::cases(8, 24))]
    #[test]
    fn no_line_is_wider_than_asked_for(
        names in prop::collection::vec(any::<String>(), 1..5),
        latencies in prop::collection::vec(any::<u64>(), 0..40),
        message in any::<String>(),
        width in 20_usize..130,
    ) {
        let calls: Vec<_> = names.iter().map(|n| ("tools/call", Some(n.as_str()))).collect();
        let mut outcome = outcome(&calls);
        for (i, ns) in latencies.iter().enumerate() {
            let row = i % names.len();
            match i % 3 {
                0 => ok(&mut outcome.totals, row, *ns),
                1 => failed(&mut outcome.totals, row, *ns, Failure::Rpc(*ns as i64), &message),
                _ => cancelled(&mut outcome.totals, row, *ns),
            }
        }
        outcome.notices.push(message);
        outcome.start.servers[0].name = names.first().cloned();
        let options = SummaryOptions {
            layout: crate::terminal::Layout::terminal(width),
            ..SummaryOptions::endless()
        };
        for line in summary(&report(&plan(), &outcome), &options) {
            prop_assert!(line.width() <= width, "{}", line.text());
        }
    }
}

#[test]
fn reasons_stand_beside_the_verdict_worst_first() {
    use crate::metrics::WorkerUsage;
    let slowed = |signal| Reason::Slowed(Slowed::by(signal));

    let mut outcome = busy_outcome();
    outcome.verdict = Verdict::of(vec![
        (Grade::Suspect, slowed(Signal::Steal { share: 0.07 })),
        (Grade::Invalid, slowed(Signal::Throttled { share: 0.8 })),
    ]);
    outcome.self_check.in_flight_mean = Some(48.26);
    outcome.self_check.in_flight_max = 50;
    outcome.self_check.workers = [100, 230]
        .map(|busy_ns| WorkerUsage {
            wall_ns: 1_000,
            busy_ns,
            ..WorkerUsage::default()
        })
        .to_vec();
    outcome.totals.loop_time.record(2_000_000);
    let text = text_of(&plan(), &outcome);
    let expected = "\
verdict     invalid: stopped by a CPU quota (and 1 more, below)

";
    assert!(text.contains(expected), "{text}");
    // Whole below the figures and above the report's path.
    let (figures, below) = text.split_once("\ninvalid: ").expect("a paragraph");
    assert!(figures.contains("\noperation "), "{text}");
    assert!(
        below.contains("\nsuspect: the hypervisor gave 7%"),
        "{text}"
    );
    assert!(below.contains("\nreport: "), "{text}");
    let expected = "\
in flight   48.3 calls on average, at most 50, of 50 users
workers     busy 10% to 23% of the time
loop time   p50 2.00 ms, p99 2.00 ms, max 2.00 ms
";
    assert!(text.contains(expected), "{text}");
}
