//! Thresholds by made-up figures.

use super::*;
use crate::metrics::{Failure, Outcome};
use crate::outcome::BreakKind;
use crate::threshold::INTERRUPTED;
use crate::threshold::parse;
use proptest::prelude::*;

const ELAPSED: Duration = Duration::from_secs(10);

fn rows() -> Vec<Row> {
    let echo_of = |population: &str| Row {
        subject: Some("echo".to_string()),
        population: Some(population.to_string()),
        ..Row::new(RowKind::Call, "tools/call")
    };
    let row = |kind, method: &str, subject: Option<&str>| Row {
        subject: subject.map(str::to_string),
        ..Row::new(kind, method)
    };
    vec![
        row(RowKind::Call, "tools/call", Some("echo")),
        row(RowKind::Call, "tools/call", Some("stage:2")),
        row(RowKind::Call, "resources/read", Some("echo")),
        row(RowKind::Turn, "tools/call", Some("echo")),
        row(RowKind::Handshake, "initialize", None),
        Row {
            name: Some("sign in".to_string()),
            flow: Some("checkout".to_string()),
            ..row(RowKind::Call, "tools/call", Some("login"))
        },
        Row::of_flow(RowKind::Flow, "checkout"),
        Row::of_flow(RowKind::FlowBusy, "checkout"),
        echo_of("agents"),
        echo_of("browsers"),
        Row {
            population: Some("agents".to_string()),
            ..row(RowKind::Handshake, "initialize", None)
        },
    ]
}

const ECHO: usize = 0;
const OTHER: usize = 1;
const HANDSHAKE: usize = 4;
const SIGN_IN: usize = 5;
const FLOW: usize = 6;
const FLOW_BUSY: usize = 7;
const ECHO_OF_AGENTS: usize = 8;
const ECHO_OF_BROWSERS: usize = 9;
const HANDSHAKE_OF_AGENTS: usize = 10;

/// A run to be.
struct Run {
    thresholds: Vec<Threshold>,
    recorder: Recorder,
    ended: Ended,
    breaking_point: Option<BreakingPoint>,
    load_reached: f64,
    aborted: Option<abort::Abort>,
    stages: Vec<StageOutcome>,
    late_end: Option<LateEnd>,
    is_part: bool,
}

impl Run {
    fn of(texts: &[&str]) -> Self {
        let thresholds: Vec<_> = texts
            .iter()
            .map(|text| parse(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}")))
            .collect();
        Self {
            recorder: empty_recorder(&thresholds, &rows()),
            thresholds,
            ended: Ended::Duration,
            breaking_point: None,
            load_reached: 0.0,
            aborted: None,
            stages: Vec::new(),
            late_end: None,
            is_part: false,
        }
    }

    fn call(&mut self, row: usize, ns: u64) {
        self.recorder.record(row, ns, Outcome::Ok);
    }

    fn fail(&mut self, row: usize, failure: Failure) {
        self.recorder.record(row, 1, Outcome::Failed(failure, ""));
    }

    fn judge(&self) -> (Vec<ThresholdFigures>, GateOutcome) {
        // As the coordinator has them: merged from what workers recorded.
        let mut totals = Recorder::new(self.recorder.rows.len());
        totals.merge(&self.recorder);
        let rows = rows();
        let figures = RunFigures {
            ended: self.ended,
            rows: Rows::new(&rows, &totals),
            counters: &totals.counters,
            arrivals: &totals.arrivals,
            n_foreign: totals.isolation.foreign,
            elapsed: ELAPSED,
            late_end: self.late_end,
            is_part: self.is_part,
            has_intended_starts: false,
            stages: &self.stages,
            breaking_point: self.breaking_point.as_ref(),
            load_reached: self.load_reached,
            aborted: self.aborted.as_ref(),
        };
        judge(&self.thresholds, &figures)
    }

    fn passes(&self) -> Vec<bool> {
        let (judged, _) = self.judge();
        let passed = judged.iter().map(|it| it.grade == GateGrade::Passed);
        passed.collect()
    }
}

#[test]
fn a_value_at_the_limit_passes_at_most_and_fails_below() {
    let signs = ["<", "<=", ">", ">=", "=", "!="];
    let check = |ns: u64, expected: [bool; 6]| {
        for (sign, passes) in signs.into_iter().zip(expected) {
            for metric in ["p50", "p99", "max", "mean"] {
                let mut run = Run::of(&[&format!("{metric}{sign}200ms")]);
                (0..1000).for_each(|_| run.call(ECHO, ns));
                let (judged, gate) = run.judge();
                let it = &judged[0];
                assert_eq!(it.grade == GateGrade::Passed, passes, "{ns} {it:?}");
                assert_eq!(gate.grade, it.grade);
                // What is shown agrees with it.
                let shown = it.value.expect("a value").total_cmp(&it.limit);
                assert_eq!(it.comparison.holds(shown), passes, "{it:?}");
            }
        }
    };
    check(199_999_999, [true, true, false, false, false, true]);
    check(200_000_000, [false, true, false, true, true, false]);
    check(200_000_001, [false, false, true, true, false, true]);
}

#[test]
fn shares_and_counts_are_exact() {
    let check = |failed: u64, ok: u64, text: &str, passes: bool| {
        let mut run = Run::of(&[text]);
        (0..ok).for_each(|_| run.call(ECHO, 5));
        (0..failed).for_each(|_| run.fail(OTHER, Failure::Tool));
        let (judged, _) = run.judge();
        assert_eq!(judged[0].grade == GateGrade::Passed, passes, "{judged:?}");
        let shown = judged[0]
            .value
            .expect("a value")
            .total_cmp(&judged[0].limit);
        assert_eq!(judged[0].comparison.holds(shown), passes, "{judged:?}");
        if let Some([low, high]) = judged[0].interval {
            let value = judged[0].value.expect("a value");
            assert!(low <= value && value <= high && 0.0 <= low && high <= 1.0);
        }
    };
    check(1, 99, "errors<1%", false);
    check(1, 99, "errors<=1%", true);
    check(7, 993, "errors<=0.7%", true);
    check(7, 993, "errors<0.7%", false);
    check(3, 297, "errors=1%", true);
    check(5, 10, "errors<5", false);
    check(5, 10, "errors<=5", true);
    check(0, 10, "errors=0", true);
    check(0, 10, "errors.http=0", true);
    check(2, 10, "errors.http=0", true);
    check(2, 10, "errors.tool=0", false);
    check(2, 10, "errors.tool.is_error<=2", true);
    check(10, 0, "errors<100%", false);
    check(10, 0, "errors<=100%", true);
    check(10, 0, "errors>99%", true);
    check(0, 10, "tool:echo errors<1%", true);
    check(2, 10, "tool:stage:2 errors<1%", false);
}

#[test]
fn nothing_to_take_a_value_from_is_not_kept() {
    let texts = [
        "p95<1s",
        "errors<1%",
        "errors=0",
        "rate<10",
        "goodput<10",
        "bytes.max<1MiB",
        "dropped=0",
        "sessions.lost=0",
        "handshake.p95<1s",
        "breaking_point>100",
        "stage:2 errors=0",
    ];
    let mut run = Run::of(&texts);
    // Begun, and cut off by the end.
    run.recorder.record(ECHO, 5, Outcome::Cancelled);
    let (judged, gate) = run.judge();
    for it in &judged {
        assert_eq!((it.value, it.grade), (None, GateGrade::Failed), "{it:?}");
        assert!(it.why.is_some() && it.margin.is_none() && it.interval.is_none());
    }
    assert_eq!(gate.grade, GateGrade::Failed);
    let json = serde_json::to_string(&judged).expect("JSON");
    assert!(json.contains(r#""value":null"#), "{json}");
    // A latency needs a success, a rate an end.
    let mut run = Run::of(&["p95<1s", "rate>0", "goodput>=0", "tool:echo p95<1s"]);
    run.fail(ECHO, Failure::Tool);
    let (judged, _) = run.judge();
    let why: Vec<_> = judged.iter().map(|it| it.why.as_deref()).collect();
    assert_eq!(why, [Some(NO_SUCCESS), None, None, Some(NO_SUCCESS)]);
    assert_eq!(run.passes(), [false, true, true, false]);
}

#[test]
fn a_rate_that_the_last_calls_made_low_is_said_to_be() {
    let texts = [
        "rate>12/s",
        "goodput>12/s",
        "rate>9/s",
        "rate>20/s",
        "p95<1s",
    ];
    let mut run = Run::of(&texts);
    (0..100).for_each(|_| run.call(ECHO, 5));
    run.late_end = Some(LateEnd {
        after_secs: 4.8,
        rate_per_sec: 15.0,
        goodput_per_sec: 15.0,
    });
    let (judged, _) = run.judge();
    let why: Vec<_> = judged.iter().map(|it| it.why.as_deref()).collect();
    let said = "the last call ended 4.8s after the load: about 15.0/s while load was offered";
    // Where the limit is not between the two, nothing depends on it.
    assert_eq!(why, [Some(said), Some(said), None, None, None]);
    assert_eq!(run.passes(), [false, false, true, false, true]);
}

/// Of 344 calls five hung for three seconds until the run ended.
#[test]
fn calls_without_an_answer_count_for_their_age() {
    let texts = [
        "p99<200ms",
        "p99<4s",
        "p99>1s",
        "p95<200ms",
        "max<200ms",
        "mean<50ms",
        "mean<200ms",
        "errors<1%",
        "errors<2%",
        "errors.timeout=0",
        "errors.http=0",
        "handshake.p50<1s",
        "tool:echo p99<200ms",
    ];
    let mut run = Run::of(&texts);
    (0..339).for_each(|_| run.call(ECHO, 43_500_000));
    run.call(HANDSHAKE, 5);
    let cut_off = |run: &mut Run, row, age_ns| run.recorder.record(row, age_ns, Outcome::Cancelled);
    (0..5).for_each(|n| cut_off(&mut run, OTHER, 3_000_000_000 + n * 1_000_000));
    (0..2).for_each(|_| cut_off(&mut run, HANDSHAKE, 2_000_000_000));
    // Young ones say nothing.
    (0..9).for_each(|_| cut_off(&mut run, ECHO, 1_000_000));
    let (judged, _) = run.judge();
    let passes = [
        false, true, true, true, false, false, true, true, true, true, true, false, true,
    ];
    assert_eq!(run.passes(), passes);
    for it in &judged {
        let shown = it.value.expect("a value").total_cmp(&it.limit);
        let is_kept = it.grade == GateGrade::Passed;
        assert_eq!(it.comparison.holds(shown), is_kept, "{it:?}");
    }
    let at_least: Vec<_> = judged.iter().filter(|it| it.at_least).collect();
    let texts: Vec<_> = at_least.iter().map(|it| &*it.text).collect();
    let moved = [
        "p99<200ms",
        "p99>1s",
        "max<200ms",
        "mean<50ms",
        "handshake.p50<1s",
    ];
    assert_eq!(texts, moved);
    let why = at_least[0].why.as_deref().expect("a reason");
    assert!(why.contains("the oldest after 3"), "{why}");
    assert!(why.ends_with("without them it is 43.5 ms"), "{why}");
    let told: Vec<_> = judged[7..11].iter().map(|it| it.why.is_some()).collect();
    assert_eq!(told, [true, false, true, false]);
}

#[test]
fn one_segment_judges_no_rate_of_the_whole() {
    let mut run = Run::of(&[
        "rate>100/s",
        "goodput>100/s",
        "rate<1/s",
        "p99<1s",
        "errors<1%",
    ]);
    (0..300).for_each(|_| run.call(ECHO, 5));
    (0..30).for_each(|_| run.fail(ECHO, Failure::Tool));
    assert_eq!(run.passes(), [false, false, false, true, false]);
    run.is_part = true;
    assert_eq!(run.passes(), [true, true, true, true, false]);
    let (judged, _) = run.judge();
    let deferred: Vec<bool> = judged.iter().map(|it| it.deferred).collect();
    assert_eq!(deferred, [true, true, true, false, false]);
    assert_eq!((judged[0].value, judged[0].margin), (Some(33.0), None));
    assert_eq!(judged[0].why.as_deref(), Some(DEFERRED));
}

#[test]
fn rows_are_selected_by_kind_and_name() {
    let mut run = Run::of(&[
        "p50<=1ms",
        "tool:echo p50<=1ms",
        "tool:stage:2 p50<=1ms",
        "handshake.p50<=1ms",
        "tool:echo rate=0.4/s",
        "rate=0.6/s",
        "resource:echo p50<=1ms",
    ]);
    for _ in 0..4 {
        run.call(ECHO, 1_000_000);
        // Turns are no calls.
        run.call(3, 9_000_000);
    }
    run.call(OTHER, 3_000_000);
    run.call(OTHER, 3_000_000);
    run.call(HANDSHAKE, 1_000_001);
    assert_eq!(run.passes(), [true, true, false, false, true, true, false]);
}

#[test]
fn stages_are_judged_by_their_own_calls() {
    let mut run = Run::of(&["stage:2 p99<2ms", "stage:2 rate=1/s", "stage:1 errors=0"]);
    run.call(ECHO, 1_999_999);
    let calls = run.recorder.rows[ECHO].clone();
    run.call(ECHO, 9_000_000);
    run.stages = vec![StageOutcome {
        populations: Vec::new(),
        number: 2,
        at: ELAPSED,
        length: Duration::from_secs(1),
        load_from: 0.0,
        load_to: 1.0,
        calls,
        examples: crate::metrics::Examples::default(),
    }];
    assert_eq!(run.passes(), [true, true, false]);
    let (judged, _) = run.judge();
    assert_eq!(judged[2].why.as_deref(), Some("the stage did not begin"));
}

#[test]
fn few_values_decide_unless_they_must_not() {
    let mut run = Run::of(&["p99<1s", "p99<1s", "p50<1s"]);
    run.thresholds[1].few_fails = true;
    (0..99).for_each(|_| run.call(ECHO, 5));
    let (judged, _) = run.judge();
    assert_eq!(run.passes(), [true, false, true]);
    let few: Vec<_> = judged.iter().map(|it| it.few).collect();
    assert_eq!(few, [true, true, false]);
    let why = judged[1].why.as_deref();
    assert_eq!(why, Some("99 values, and p99 takes 100"));
    run.call(ECHO, 5);
    assert_eq!(run.passes(), [true; 3]);
    assert!(!run.judge().0[0].few);
}

#[test]
fn a_run_without_a_success_fails_unless_failures_were_asked_for() {
    let gate = |texts: &[&str], ended, n_ok: u64| {
        let mut run = Run::of(texts);
        run.ended = ended;
        (0..n_ok).for_each(|_| run.call(ECHO, 5));
        (0..3).for_each(|_| run.fail(ECHO, Failure::Tool));
        run.judge().1
    };
    let none = GateOutcome {
        grade: GateGrade::Failed,
        why: Some(NO_SUCCESS.to_string()),
    };
    assert_eq!(gate(&[], Ended::Duration, 0), none);
    assert_eq!(gate(&["rate>0"], Ended::Duration, 0), none);
    let passed = GateOutcome::default();
    assert_eq!(gate(&[], Ended::Duration, 1), passed);
    assert_eq!(gate(&[], Ended::Interrupted, 0), passed);
    assert_eq!(gate(&["errors>99%"], Ended::Duration, 0), passed);
    assert_eq!(
        gate(&["tool:echo errors.tool>=1"], Ended::Duration, 0),
        passed
    );
    assert_eq!(gate(&["errors=100%"], Ended::Duration, 0), passed);
    assert_eq!(gate(&["errors.tool!=0"], Ended::Duration, 0), passed);
    // No failure would keep these too, and a negative test that fails is not one.
    for text in [
        "errors.http=0",
        "errors<=100%",
        "errors>=0",
        "errors<1%",
        "errors.http>1",
        "errors=4",
    ] {
        assert_eq!(gate(&[text], Ended::Duration, 0), none, "{text}");
    }
    // No call was begun, or none ended.
    assert_eq!(Run::of(&[]).judge().1, passed);
    let mut hanging = Run::of(&[]);
    hanging.recorder.record(ECHO, 5, Outcome::Cancelled);
    assert_eq!(hanging.judge().1.why.as_deref(), Some(NONE_ENDED));
    hanging.ended = Ended::Interrupted;
    assert_eq!(hanging.judge().1, passed);
    // What was kept of a part says nothing of the whole.
    let interrupted = GateOutcome {
        grade: GateGrade::Failed,
        why: Some(INTERRUPTED.to_string()),
    };
    assert_eq!(gate(&["rate>0"], Ended::Interrupted, 1), interrupted);
    for ended in [Ended::NoSession, Ended::Denied] {
        let why = ended.why_cut_off().map(str::to_string);
        let cut_off = GateOutcome {
            grade: GateGrade::Failed,
            why,
        };
        assert_eq!(gate(&["rate>0"], ended, 1), cut_off);
        assert_eq!(gate(&[], ended, 1), passed);
    }
}

/// Whatever else holds, and however the run ended.
#[test]
fn what_leaks_fails_a_run() {
    for ended in [Ended::Duration, Ended::Interrupted] {
        let mut run = Run::of(&["errors<1%"]);
        run.ended = ended;
        run.call(ECHO, 1);
        run.recorder.isolation.foreign = 1;
        let (judged, gate) = run.judge();
        assert_eq!(judged[0].grade, GateGrade::Passed);
        let failed = GateOutcome {
            grade: GateGrade::Failed,
            why: Some(NOT_ISOLATED.to_string()),
        };
        assert_eq!(gate, failed);
    }
}

#[test]
fn a_warning_fails_nothing() {
    let mut run = Run::of(&["p99<1ms", "max<1s"]);
    run.thresholds[0].severity = Severity::Warn;
    run.call(ECHO, 5_000_000);
    let (judged, gate) = run.judge();
    assert_eq!(
        (judged[0].grade, gate.grade),
        (GateGrade::Warned, GateGrade::Warned)
    );
    assert_eq!(gate.why, None);
}

#[test]
fn a_breaking_point_is_decided_where_the_load_says_so() {
    let at = |load| BreakingPoint {
        how: BreakKind::Errors { share: 1.0 },
        load,
        last_good_load: None,
        at: ELAPSED,
        noticed_at: ELAPSED,
        evidence: String::new(),
    };
    let texts = [
        "breaking_point>100",
        "breaking_point>=100",
        "breaking_point<100",
    ];
    let check = |point: Option<Option<f64>>, load_reached, expected: [bool; 3]| {
        let mut run = Run::of(&texts);
        run.breaking_point = point.map(at);
        run.load_reached = load_reached;
        assert_eq!(run.passes(), expected, "{point:?} {load_reached}");
    };
    check(None, 99.0, [false; 3]);
    check(None, 100.0, [true, true, false]);
    check(Some(Some(100.0)), 200.0, [false, true, false]);
    check(Some(Some(50.0)), 200.0, [false, false, true]);
    check(Some(Some(150.0)), 200.0, [true, true, false]);
    // The unit is told.
    let why = |text: &str| {
        let mut run = Run::of(&[text]);
        run.load_reached = 40.0;
        run.judge().0[0].why.clone()
    };
    let told = |load: &str| Some(format!("undecided: the load reached {load} only"));
    assert_eq!(why("breaking_point>100"), told("40 users"));
    assert_eq!(why("breaking_point>100/s"), told("40.0/s"));
    // It broke with time: that is no figure of a load.
    check(Some(None), 200.0, [false; 3]);
}

#[test]
fn margins_are_shares_of_the_limit() {
    let check = |text: &str, n: u64, expected: Option<f64>| {
        let mut run = Run::of(&[text]);
        (0..n).for_each(|_| run.call(ECHO, 50_000_000));
        assert_eq!(run.judge().0[0].margin, expected, "{text}");
    };
    check("max<200ms", 1, Some(0.75));
    check("max<40ms", 1, Some(-0.25));
    check("max<=50ms", 1, Some(0.0));
    let mut run = Run::of(&["max<50ms", "max>50ms"]);
    run.call(ECHO, 50_000_000);
    for it in run.judge().0 {
        let margin = it.margin.expect("a margin");
        assert!(margin == 0.0 && margin.is_sign_positive(), "{it:?}");
    }
    check("rate>1/s", 20, Some(1.0));
    check("rate>4/s", 20, Some(-0.5));
    check("errors<=0", 1, None);
    check("max!=50ms", 1, None);
    check("max<1s", 0, None);
}

#[test]
fn what_ended_the_run_has_failed() {
    let mut run = Run::of(&["p99<1s", "max<1s"]);
    run.call(ECHO, 5);
    run.aborted = Some(abort::Abort {
        threshold: 1,
        why: "plainly".to_string(),
    });
    let (judged, _) = run.judge();
    assert_eq!(run.passes(), [true, false]);
    assert_eq!(
        (judged[1].aborted, judged[1].why.as_deref()),
        (true, Some("plainly"))
    );
}

/// Of a flow the time without thinking counts; of a step its calls alone.
#[test]
fn a_step_is_all_its_calls_or_one_of_them() {
    let row = |name: &str| Row {
        name: Some(name.to_string()),
        ..Row::new(RowKind::Call, "tools/list")
    };
    let check = |text: &str, expected: &[&str]| {
        let threshold = parse(text).expect("a threshold");
        let names = [
            "page",
            "page: tools/list",
            "page: tools/call add",
            "pages",
            "own",
        ];
        let selected = |name: &&str| selects(threshold.selector.as_ref(), &row(name));
        let found: Vec<&str> = names.into_iter().filter(selected).collect();
        assert_eq!(found, expected, "{text}");
    };
    check(
        "step:page p99<1s",
        &["page", "page: tools/list", "page: tools/call add"],
    );
    check("step:\"page: tools/list\" p99<1s", &["page: tools/list"]);
    check("step:own p99<1s", &["own"]);
}

#[test]
fn flows_and_steps_are_selected_by_their_names() {
    let ms = 1_000_000;
    let mut run = Run::of(&[
        "flow:checkout p95<2s",
        "flow:checkout errors<=50%",
        "step:\"sign in\" max<200ms",
        "step:\"sign in\" bytes.max<2KiB",
        "flow:checkout max<=1500ms",
        "max<150ms",
    ]);
    for row in [ECHO, SIGN_IN] {
        run.call(row, 100 * ms);
        run.recorder.transferred(row, 10, 1_000);
    }
    run.call(FLOW, 9_000 * ms);
    run.call(FLOW_BUSY, 1_500 * ms);
    run.fail(FLOW, Failure::Tool);
    run.fail(FLOW_BUSY, Failure::Tool);
    assert_eq!(run.passes(), [true; 6]);
    let value = |at: usize| run.judge().0[at].value;
    assert_eq!(
        (value(0), value(1), value(2)),
        (Some(1500.0), Some(0.5), Some(100.0))
    );
}

/// Of one population alone, in the whole run and in a stage.
#[test]
fn a_population_and_an_operation_are_selected_at_once() {
    let ms = 1_000_000;
    let mut run = Run::of(&[
        "population:agents tool:echo max<20ms",
        "tool:echo population:browsers max<20ms",
        "tool:echo max<20ms",
        "population:agents tool:login p95<1s",
        "population:agents stage:1 rate=1/s",
        "population:browsers stage:1 rate=3/s",
        "population:others stage:1 rate=3/s",
    ]);
    run.call(ECHO_OF_AGENTS, 10 * ms);
    run.call(ECHO_OF_BROWSERS, 30 * ms);
    run.call(SIGN_IN, ms);
    let calls = |n: u64| {
        let mut recorder = Recorder::new(1);
        (0..n).for_each(|_| recorder.record(0, ms, Outcome::Ok));
        recorder.rows.remove(0)
    };
    run.stages.push(StageOutcome {
        number: 1,
        at: Duration::ZERO,
        length: Duration::from_secs(1),
        load_from: 1.0,
        load_to: 1.0,
        calls: calls(4),
        populations: vec![calls(1), calls(3)],
        examples: Default::default(),
    });
    assert_eq!(run.passes(), [true, false, false, false, true, true, false]);
}

#[test]
fn arrivals_and_sessions_are_those_of_a_population() {
    let ms = 1_000_000;
    let mut run = Run::of(&[
        "population:agents dropped<=20%",
        "population:browsers dropped=2",
        "population:others dropped=0",
        "dropped<3",
        "population:agents handshake.max<20ms",
        "population:browsers handshake.max<20ms",
        "handshake.max<20ms",
    ]);
    for _ in 0..4 {
        run.recorder.begin_iteration(0, true);
    }
    run.recorder.drop_arrivals(0, 1);
    run.recorder.drop_arrivals(1, 2);
    run.recorder.counters.arrivals = 7;
    run.call(HANDSHAKE_OF_AGENTS, 10 * ms);
    run.call(HANDSHAKE, 30 * ms);
    assert_eq!(run.passes(), [true, true, false, false, true, false, false]);
}

#[test]
fn bytes_are_counted_where_they_are_asked_for() {
    let mut run = Run::of(&["tool:echo bytes.p50<1KiB", "tool:echo bytes.max<=1KiB"]);
    for n_bytes in [1023, 1023, 1024] {
        run.call(ECHO, 5);
        run.recorder.transferred(ECHO, 100, n_bytes);
        run.call(OTHER, 5);
        run.recorder.transferred(OTHER, 100, 9_999);
    }
    assert_eq!(run.passes(), [true, true]);
    assert!(run.recorder.rows[OTHER].sizes.is_none());
    assert_eq!(run.judge().0[0].value, Some(1023.0));
}

proptest! {
    /// Whatever was recorded, value and limit as shown give the grade, and the grade
    /// is that of the values themselves by nearest rank.
    #[test]
    fn the_grade_is_that_of_the_values_and_of_what_is_shown(
        mut values in prop::collection::vec(199_800_000_u64..200_200_000, 1..500),
        limit in 199_800_000_u64..200_200_000,
        sign in prop::sample::select(vec!["<", "<=", ">", ">=", "=", "!="]),
        (metric, q) in prop::sample::select(vec![("p50", 0.5), ("p95", 0.95), ("p99.9", 0.999)]),
    ) {
        let mut run = Run::of(&[&format!("{metric}{sign}{limit}ns")]);
        for (at, value) in values.iter().enumerate() {
            run.call([ECHO, OTHER][at % 2], *value);
        }
        let (judged, _) = run.judge();
        let it = &judged[0];
        values.sort_unstable();
        let rank = (q * values.len() as f64).ceil() as usize;
        let exact = values[rank.max(1) - 1].cmp(&limit);
        let passes = it.grade == GateGrade::Passed;
        prop_assert_eq!(passes, it.comparison.holds(exact));
        let shown = it.value.expect("a value").total_cmp(&it.limit);
        prop_assert_eq!(passes, it.comparison.holds(shown), "{:?}", it);
    }
}
