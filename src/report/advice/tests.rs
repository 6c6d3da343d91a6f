//! Each rule fires where it should and keeps silent on a healthy run.

use super::*;
use crate::metrics::{ConnectFailure, Recorder, ServedCall};
use crate::report::samples::{cancelled, failed, ok, outcome, plan};

/// The advice on a run of one tool.
fn advice(plan: &Plan, fill: impl Fn(&mut Recorder)) -> Vec<AdviceNote> {
    let mut outcome = outcome(&[("tools/call", Some("echo"))]);
    fill(&mut outcome.totals);
    let advice = advise(plan, &outcome, &outcome.totals.rows[0]);
    for advice in &advice {
        assert!(!advice.text.ends_with('.'), "{}", advice.text);
        assert!(!advice.text.contains("  "), "{}", advice.text);
    }
    advice
}

/// The ids of the same.
fn ids(plan: &Plan, fill: impl Fn(&mut Recorder)) -> Vec<String> {
    let advice = advice(plan, fill);
    advice.into_iter().map(|note| note.id).collect()
}

fn healthy(recorder: &mut Recorder) {
    for i in 0..1_000 {
        ok(recorder, 0, 5_000_000 + i * 1_000);
        recorder.generator_delay.record(20_000);
    }
    recorder.counters.connections = 50;
}

#[test]
fn a_healthy_run_needs_no_advice() {
    assert_eq!(ids(&plan(), healthy), [""; 0]);
    assert_eq!(ids(&plan(), |_| {}), [""; 0]);
}

#[test]
fn one_failure_for_all_is_explained() {
    let refused = Failure::Connect(ConnectFailure::Refused);
    let refuse = |n| move |r: &mut Recorder| (0..n).for_each(|_| failed(r, 0, 1, refused, ""));
    assert_eq!(ids(&plan(), refuse(3)), ["all_failed_alike"]);
    assert_eq!(ids(&plan(), refuse(2)), [""; 0]);
    let two_kinds = |r: &mut Recorder| {
        refuse(3)(r);
        failed(r, 0, 1, Failure::Tool, "");
    };
    assert_eq!(ids(&plan(), two_kinds), [""; 0]);
}

#[test]
fn a_run_without_a_session_says_why() {
    let refused = Failure::Connect(ConnectFailure::Refused);
    let refuse = |r: &mut Recorder| failed(r, 1, 1, refused, "");
    assert_eq!(ids(&plan(), refuse), ["no_session"]);
    let one_opened = |r: &mut Recorder| {
        refuse(r);
        ok(r, 1, 1);
    };
    assert_eq!(ids(&plan(), one_opened), [""; 0]);
}

#[test]
fn a_202_is_never_just_a_failure() {
    let accepted = Failure::Protocol(ProtocolFailure::Accepted);
    let all = |r: &mut Recorder| (0..5).for_each(|_| failed(r, 0, 1, accepted, ""));
    assert_eq!(ids(&plan(), all), ["accepted_unanswered"]);
}

#[test]
fn headers_that_do_not_match_have_advice_of_their_own() {
    let refused = Failure::Http {
        status: 400,
        rpc_code: Some(-32020),
    };
    let all = |r: &mut Recorder| (0..5).for_each(|_| failed(r, 0, 1, refused, ""));
    assert_eq!(ids(&plan(), all), ["header_mismatch"]);
    let one = |r: &mut Recorder| {
        healthy(r);
        failed(r, 0, 1, Failure::Rpc(-32020), "");
    };
    assert_eq!(ids(&plan(), one), ["header_mismatch"]);
}

#[test]
fn a_plateau_at_forty_milliseconds_is_seen() {
    let plateau = |fast_ns: u64| {
        move |r: &mut Recorder| {
            ok(r, 0, fast_ns);
            (0..200).for_each(|i| ok(r, 0, 43_800_000 + i * 1_000));
        }
    };
    assert_eq!(ids(&plan(), plateau(300_000)), ["delayed_ack"]);
    // A server that takes 42 ms by itself is never fast.
    assert_eq!(ids(&plan(), plateau(42_000_000)), [""; 0]);
}

#[test]
fn reconnects_are_explained_by_pauses_or_without() {
    let often = |r: &mut Recorder| {
        healthy(r);
        r.counters.reconnects = 200;
        r.counters.reconnects_server_closed = 200;
    };
    assert_eq!(ids(&plan(), often), ["reconnects"]);
    let seldom = |r: &mut Recorder| {
        healthy(r);
        r.counters.reconnects = 9;
        r.counters.reconnects_server_closed = 9;
    };
    assert_eq!(ids(&plan(), seldom), [""; 0]);
    // Connections that we gave up say nothing of the server.
    let ours = |r: &mut Recorder| {
        healthy(r);
        r.counters.reconnects = 200;
        r.counters.reconnects_server_closed = 3;
    };
    assert_eq!(ids(&plan(), ours), [""; 0]);
    let mut pausing = plan();
    pausing.think = ThinkTime::Constant(Duration::from_secs(6));
    let lost = Failure::Connection(ConnectionFailure::LostReused);
    let die = |r: &mut Recorder| {
        healthy(r);
        failed(r, 0, 1, lost, "");
    };
    assert_eq!(ids(&pausing, die), ["lost_reused"]);
    let text = |plan: &Plan| advice(plan, die).remove(0).text;
    assert!(text(&pausing).contains("keep-alive timeout"));
    assert!(!text(&plan()).contains("keep-alive timeout"));
}

#[test]
fn results_without_content_are_told() {
    let lacking = |n| {
        move |r: &mut Recorder| {
            healthy(r);
            r.counters.results_without_content = n;
        }
    };
    assert_eq!(ids(&plan(), lacking(1)), ["results_without_content"]);
    assert_eq!(ids(&plan(), lacking(0)), [""; 0]);
}

#[test]
fn open_streams_are_counted() {
    let open = |n| {
        move |r: &mut Recorder| {
            healthy(r);
            r.counters.streams_left_open = n;
        }
    };
    assert_eq!(ids(&plan(), open(500)), ["streams_left_open"]);
    assert_eq!(ids(&plan(), open(1)), [""; 0]);
}

#[test]
fn one_call_at_a_time_is_recognised() {
    // 50 users, 10 ms a call: 3000 calls in 30 s, each waits for 49 others.
    let one = |r: &mut Recorder| {
        (1..50).for_each(|i| ok(r, 0, i * 10_000_000));
        (0..2_950).for_each(|_| ok(r, 0, 500_000_000));
    };
    assert_eq!(ids(&plan(), one), ["one_at_a_time"]);
    // Five at a time: five times as many calls.
    let five = |r: &mut Recorder| {
        (1..10).for_each(|i| ok(r, 0, i * 10_000_000));
        (0..15_000).for_each(|_| ok(r, 0, 100_000_000));
    };
    assert_eq!(ids(&plan(), five), [""; 0]);
}

#[test]
fn calls_that_hung_are_told_from_those_cut_off() {
    let cut = |age_ns| {
        move |r: &mut Recorder| {
            healthy(r);
            cancelled(r, 0, age_ns);
        }
    };
    assert_eq!(ids(&plan(), cut(5_000_000_000)), ["hung"]);
    assert_eq!(ids(&plan(), cut(4_000_000_000)), [""; 0]);
}

#[test]
fn sessions_that_one_of_several_servers_does_not_know_are_told() {
    let lost = |names: &'static [&str], n_expired| {
        move |r: &mut Recorder| {
            healthy(r);
            let spread = r.spread.get_or_insert_default();
            for (at, name) in names.iter().enumerate() {
                let call = ServedCall {
                    is_ok: at >= n_expired,
                    is_expired: at < n_expired,
                    latency_ns: 1,
                };
                spread.record_backend(Some(name), call);
            }
        }
    };
    let two = &["a", "b", "a"];
    assert_eq!(ids(&plan(), lost(two, 1)), ["session_per_backend"]);
    assert_eq!(ids(&plan(), lost(two, 0)), [""; 0]);
    assert_eq!(ids(&plan(), lost(&["a", "a"], 1)), [""; 0]);
}

#[test]
fn events_are_held_back_where_nearly_all_come_at_the_end() {
    let long = |n_telling, n_held_back, n_unbuffered| {
        move |r: &mut Recorder| {
            healthy(r);
            let answers = r.rows[0].answers.get_or_insert_default();
            answers.telling = n_telling;
            answers.held_back = n_held_back;
            answers.held_back_unbuffered = n_unbuffered;
        }
    };
    for (n_unbuffered, named) in [(0, "have no header"), (1, "though the answers say")] {
        let told = advice(&plan(), long(10, 9, n_unbuffered));
        let texts: Vec<_> = told.iter().map(|it| it.text.as_str()).collect();
        assert!(
            matches!(texts[..], [text] if text.contains(named)),
            "{texts:?}"
        );
    }
    assert_eq!(ids(&plan(), long(10, 8, 0)), [""; 0]);
    assert_eq!(ids(&plan(), long(4, 4, 0)), [""; 0]);
    assert_eq!(ids(&plan(), long(0, 0, 0)), [""; 0]);
}
