//! Exact bytes of the live line.

use std::io::Write;

use super::*;
use crate::metrics::{Counters, Failure, Histogram};
use crate::outcome::{BreakKind, BreakingPoint, Phase, Recorder, Rows};
use crate::report::samples::outcome;
use proptest::prelude::*;
use termcolor::NoColor;

/// Calls `f` with the state after `secs` seconds.
fn with_progress(secs: u64, mut f: impl FnMut(Progress<'_>)) {
    let recorder = Recorder::new(0);
    let mut latency = Histogram::new();
    (0..100).for_each(|_| latency.record(1_200_000));
    f(Progress {
        elapsed: Duration::from_secs(secs),
        vus: 50,
        vus_ready: 50,
        in_flight: 50,
        ok: 17_000,
        failed: 0,
        iterations: 17_000,
        rate: 1_420.3,
        latency: &latency,
        failures: &[],
        rows: Rows::new(&[], &recorder),
        counters: &Counters::default(),
        phase: Phase::Running { stage: None },
        breaking_point: None,
        generator_limit: None,
    });
}

fn shown(style: LiveStyle, f: impl FnOnce(&mut LiveLine<NoColor<Vec<u8>>>)) -> String {
    let mut live = LiveLine::new(NoColor::new(Vec::new()), style);
    f(&mut live);
    String::from_utf8(live.into_inner().into_inner()).expect("we write text")
}

/// A terminal of a fixed width.
fn terminal(columns: usize) -> LiveStyle {
    LiveStyle::Redrawn(Rc::new(move || Some(Layout::terminal(columns))))
}

/// A server that says nothing leaves no blank terminal, and its silence no line in a log.
#[test]
fn whom_is_waited_for_is_drawn_and_taken_away() {
    let ask = |live: &mut LiveLine<_>| {
        let timeout = Duration::from_secs(15);
        live.asking(Duration::from_millis(3_200), "http://x/mcp", timeout);
        live.preparing(None);
    };
    let text = shown(terminal(80), ask);
    let (drawn, rest) = text
        .split_once("3s  asking http://x/mcp (timeout 15s)")
        .expect(&text);
    assert!(!drawn.contains('\n'), "{text:?}");
    assert!(
        rest.ends_with(std::str::from_utf8(CLEAR).expect("ASCII")),
        "{text:?}"
    );
    for style in [LiveStyle::Lines, LiveStyle::Notices, LiveStyle::Quiet] {
        assert_eq!(shown(style, ask), "");
    }
}

/// A terminal on which nothing is drawn again has its width all the same.
#[test]
fn notices_are_broken_where_nothing_is_drawn_again() {
    let told = |layout: Option<Layout>| {
        let live = LiveLine::new(NoColor::new(Vec::new()), LiveStyle::Notices);
        let mut live = live.breaking(move || layout);
        live.notice("one two three four");
        String::from_utf8(live.into_inner().into_inner()).expect("we write text")
    };
    assert_eq!(told(None), "notice: one two three four\n");
    assert_eq!(
        told(Some(Layout::terminal(16))),
        "notice: one two\nthree four\n"
    );
}

/// Where an iteration may be several calls, how many there were is told beside them.
#[test]
fn iterations_of_flows_are_told_beside_the_calls() {
    let shown = |iterations, has_flows| {
        let limits = Limits {
            iterations,
            has_flows,
            ..Limits::default()
        };
        let mut text = String::new();
        with_progress(12, |mut progress| {
            progress.iterations = 3_400;
            text = progress_line(&progress, limits).text();
        });
        text
    };
    assert_eq!(
        shown(None, true),
        "12s  50 VUs  1,420/s  3,400 iterations  p99 1.20 ms"
    );
    assert_eq!(shown(None, false), "12s  50 VUs  1,420/s  p99 1.20 ms");
    // They end the run, and stand with the time already.
    assert_eq!(
        shown(Some(9_000), true),
        "12s  3,400 of 9,000  50 VUs  1,420/s  p99 1.20 ms"
    );
}

const START: &str = "testing http://127.0.0.1:8080/mcp, demo 0.1.0, MCP 2025-11-25 (legacy)\n";

#[test]
fn on_a_terminal_one_line_is_redrawn_and_cleared() {
    let text = shown(terminal(80), |live| {
        live.started(&outcome(&[]).start);
        with_progress(12, |progress| live.progress(&progress));
        live.notice("the server\nmoved");
        live.ended();
        live.ended();
    });
    let line = "\r\x1b[?7l12s, 18s left  50 VUs  1,420/s  p99 1.20 ms\x1b[J\x1b[?7h\r";
    assert_eq!(
        text,
        format!("{START}{line}\r\x1b[Jnotice: the server moved\n{line}\r\x1b[J")
    );
}

#[test]
fn elsewhere_a_plain_line_comes_every_few_seconds() {
    let text = shown(LiveStyle::Lines, |live| {
        live.started(&outcome(&[]).start);
        for quarter in 0..50 {
            with_progress(0, |mut progress| {
                progress.elapsed = Duration::from_millis(250 * quarter);
                live.progress(&progress);
            });
        }
        live.ended();
    });
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert_eq!(lines[1], "1s, 29s left  50 VUs  1,420/s  p99 1.20 ms");
    assert!(lines[2].starts_with("5s, 25s left"));
    assert!(lines[3].starts_with("10s, 20s left"));
    assert!(!text.contains(['\r', '\u{1b}']));
}

#[test]
fn a_line_says_at_once_what_is_waited_for_at_the_end() {
    let text = shown(LiveStyle::Lines, |live| {
        live.started(&outcome(&[]).start);
        for quarter in 4..8 {
            with_progress(0, |mut progress| {
                progress.elapsed = Duration::from_millis(250 * quarter);
                if quarter > 5 {
                    progress.phase = Phase::Stopping;
                }
                live.progress(&progress);
            });
        }
        live.ended();
    });
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(
        lines[2].contains("stopping, 50 in flight, Ctrl-C ends at once"),
        "{text}"
    );
}

#[test]
fn quiet_is_quiet() {
    let text = shown(LiveStyle::Quiet, |live| {
        live.started(&outcome(&[]).start);
        live.notice("something");
        with_progress(12, |progress| live.progress(&progress));
        live.ended();
    });
    assert_eq!(text, "");
}

/// The text of a progress line.
fn line_of(change: impl FnOnce(&mut Progress<'_>)) -> String {
    line_with(&[], change)
}

/// The same where these failures occurred.
fn line_with(failures: &[(Failure, u64)], change: impl FnOnce(&mut Progress<'_>)) -> String {
    let mut change = Some(change);
    let mut text = String::new();
    with_progress(12, |progress| {
        let mut progress = Progress {
            failures,
            ..progress
        };
        let change = change.take().expect("called once");
        change(&mut progress);
        text = progress_line(&progress, Limits::default()).text();
    });
    text
}

#[test]
fn what_goes_wrong_is_in_the_line() {
    let http = Failure::Http {
        status: 503,
        rpc_code: None,
    };
    let text = line_with(&[(http, 1_200)], |progress| progress.failed = 1_234);
    assert_eq!(
        text,
        "12s  1,234 errors  50 VUs  1,420/s  p99 1.20 ms  most errors http.503"
    );
    let text = line_with(&[(http, 7)], |progress| progress.vus_ready = 3);
    assert_eq!(
        text,
        "12s  http.503 7  50 VUs (3 ready)  1,420/s  p99 1.20 ms"
    );
}

/// However narrow the terminal is.
#[test]
fn what_goes_wrong_is_never_cut_off() {
    let failures = [(Failure::Rpc(-32001), 25)];
    for width in [30, 40, 59] {
        let text = shown(terminal(width), |live| {
            live.started(&outcome(&[]).start);
            with_progress(2, |progress| {
                let failed = 25;
                live.progress(&Progress {
                    failures: &failures,
                    failed,
                    ..progress
                });
            });
        });
        assert!(
            text.contains("2s, 28s left  25 errors"),
            "{width}: {text:?}"
        );
    }
}

#[test]
fn each_phase_is_told() {
    let empty = Histogram::new();
    let text = line_of(|progress| {
        progress.phase = Phase::Stopping;
        progress.rate = 0.0;
    });
    assert_eq!(
        text,
        "12s  stopping, 50 in flight, Ctrl-C ends at once  50 VUs  0.00/s  p99 1.20 ms"
    );
    let stage = Some((1, 3));
    let text = line_of(|progress| progress.phase = Phase::Running { stage });
    assert!(text.starts_with("12s  stage 2 of 3  50 VUs"), "{text}");
    assert!(line_of(|progress| progress.phase = Phase::WarmUp).starts_with("12s  warm-up  "));
    let mut p99 = String::new();
    with_progress(1, |progress| {
        let progress = Progress {
            latency: &empty,
            ..progress
        };
        p99 = progress_line(&progress, Limits::default()).text();
    });
    assert_eq!(p99, "1s  50 VUs  1,420/s  p99 -");
}

#[test]
fn a_breaking_point_stays_in_sight() {
    let point = BreakingPoint {
        how: BreakKind::Errors { share: 0.5 },
        load: Some(34.0),
        last_good_load: None,
        at: Duration::from_secs(5),
        noticed_at: Duration::from_secs(8),
        evidence: String::new(),
    };
    let mut text = String::new();
    with_progress(12, |progress| {
        let progress = Progress {
            breaking_point: Some(&point),
            ..progress
        };
        text = progress_line(&progress, Limits::default()).text();
    });
    assert!(text.starts_with("12s  broke at 34  50 VUs"), "{text}");
}

#[test]
fn iterations_that_end_a_run_are_shown_beside_the_time() {
    let limits = Limits {
        duration: None,
        iterations: Some(20_000),
        ..Limits::default()
    };
    let mut text = String::new();
    with_progress(12, |progress| {
        text = progress_line(&progress, limits).text()
    });
    assert!(text.starts_with("12s  17,000 of 20,000  50 VUs"), "{text}");
}

#[test]
fn a_stream_that_fails_is_no_fault_of_the_run() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }
    let mut live = LiveLine::new(NoColor::new(Closed), terminal(80));
    live.started(&outcome(&[]).start);
    live.notice("x");
    let mut n_calls = 0;
    with_progress(12, |progress| {
        live.progress(&progress);
        n_calls += 1;
    });
    live.ended();
    assert_eq!(n_calls, 1);
}

/// The screen of a terminal that breaks its lines anew when it is resized, as
/// most do: the cursor stays with the character that it stood at.
struct Reflowing {
    columns: usize,
    /// Lines as they were written; each takes as many rows as it needs.
    lines: Vec<Vec<char>>,
    /// Line and character.
    cursor: (usize, usize),
}

impl Reflowing {
    fn new(columns: usize) -> Self {
        Self {
            columns,
            lines: vec![Vec::new()],
            cursor: (0, 0),
        }
    }

    /// The first character of the cursor's row.
    fn row_start(&self) -> usize {
        self.cursor.1 / self.columns * self.columns
    }

    fn feed(&mut self, text: &str) {
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            let (line, at) = self.cursor;
            match c {
                '\r' => self.cursor.1 = self.row_start(),
                '\n' => {
                    self.cursor = (line + 1, 0);
                    if self.lines.len() == line + 1 {
                        self.lines.push(Vec::new());
                    }
                }
                '\u{1b}' => {
                    if let Some(after) = rest.strip_prefix("[J") {
                        self.lines.truncate(line + 1);
                        self.lines[line].truncate(at);
                        rest = after;
                    } else {
                        let after = rest.strip_prefix("[?7l").or(rest.strip_prefix("[?7h"));
                        rest = after.expect("no other sequence is written");
                    }
                }
                c => {
                    if self.lines[line].len() == at {
                        self.lines[line].push(c);
                    } else {
                        self.lines[line][at] = c;
                    }
                    self.cursor.1 += 1;
                }
            }
        }
    }

    fn text(&self) -> String {
        let lines = self
            .lines
            .iter()
            .map(|line| line.iter().collect::<String>());
        lines.collect::<Vec<_>>().join("\n")
    }
}

#[test]
fn a_resize_leaves_no_remains() {
    let columns = Rc::new(std::cell::Cell::new(80));
    let asked = Rc::clone(&columns);
    let style = LiveStyle::Redrawn(Rc::new(move || Some(Layout::terminal(asked.get()))));
    let mut screen = Reflowing::new(80);
    let mut live = LiveLine::new(NoColor::new(Vec::new()), style);
    let mut shown = |live: &mut LiveLine<NoColor<Vec<u8>>>, columns: usize| {
        let bytes = std::mem::take(live.out.get_mut());
        screen.columns = columns;
        screen.feed(&String::from_utf8(bytes).expect("we write text"));
        screen.text()
    };
    live.started(&outcome(&[]).start);
    with_progress(12, |progress| live.progress(&progress));
    let line = "12s, 18s left  50 VUs  1,420/s  p99 1.20 ms";
    assert_eq!(shown(&mut live, 80), format!("{START}{line}"));
    // Four rows of the old line at 12 columns.
    for (width, expected) in [
        (12, "12s, 18s l…"),
        (80, line),
        (30, "12s, 18s left  50 VUs…"),
    ] {
        columns.set(width);
        with_progress(12, |progress| live.progress(&progress));
        assert_eq!(shown(&mut live, width), format!("{START}{expected}"));
    }
    columns.set(7);
    live.notice("the server moved");
    let text = shown(&mut live, 7);
    assert_eq!(text, format!("{START}notice:\nthe\nserver\nmoved\n12s, …"));
    // What is to be copied is broken by the terminal alone.
    live.notice("see http://a.example/b");
    let text = shown(&mut live, 7);
    assert!(
        text.ends_with("moved\nnotice:\nsee\nhttp://a.example/b\n12s, …"),
        "{text}"
    );
    columns.set(3);
    live.ended();
    let text = shown(&mut live, 3);
    assert!(
        text.ends_with("moved\nnotice:\nsee\nhttp://a.example/b\n"),
        "{text}"
    );
}

proptest! {
    #[test]
    fn the_line_never_reaches_the_edge(
        width in 1_usize..120,
        secs in any::<u32>(),
        vus in any::<u32>(),
        rate in any::<f64>(),
        n in any::<u64>(),
    ) {
        let failures = [(Failure::Rpc(i64::MIN), n)];
        let text = shown(terminal(width), |live| {
            with_progress(u64::from(secs), |progress| {
                let mut progress = Progress { failures: &failures, ..progress };
                progress.vus = vus;
                progress.rate = rate;
                progress.failed = n;
                progress.in_flight = n;
                progress.phase = Phase::Stopping;
                live.progress(&progress);
            });
        });
        let inner = text
            .trim_start_matches("\r\x1b[?7l")
            .trim_end_matches("\x1b[J\x1b[?7h\r");
        prop_assert!(display_width(inner) < width, "{inner}");
    }
}

/// A terminal of this size.
fn screen(rows: usize, columns: usize) -> Layout {
    Layout {
        rows: Some(rows),
        ..Layout::terminal(columns)
    }
}

/// What the panel shows on a screen of this size, of a run with so many operations and
/// causes of failure.
fn panel_lines(layout: Layout, n_operations: usize, n_causes: i64) -> Vec<Line> {
    let name = |n: usize| format!("道具👩‍👩‍👧 number {n} of a server that likes long names");
    let names: Vec<String> = (0..n_operations).map(name).collect();
    let calls: Vec<_> = names
        .iter()
        .map(|it| ("tools/call", Some(it.as_str())))
        .collect();
    let mut outcome = outcome(&calls);
    for row in 0..n_operations {
        for _ in 0..=row {
            crate::report::samples::ok(&mut outcome.totals, row, 1_000_000 * (row as u64 + 1));
        }
    }
    let failures: Vec<_> = (0..n_causes).map(|n| (Failure::Rpc(n), 7)).collect();
    let mut panel = Panel::default();
    let limits = Limits {
        duration: Some(Duration::from_secs(90)),
        ..Limits::default()
    };
    let mut lines = Vec::new();
    for secs in 0..70 {
        with_progress(secs, |progress| {
            let progress = Progress {
                failures: &failures,
                failed: secs,
                rows: Rows::new(&outcome.start.rows, &outcome.totals),
                ..progress
            };
            panel.note(&progress);
            lines = panel.lines(&progress, limits, layout);
        });
    }
    lines
}

#[test]
fn a_panel_has_its_room_and_counts_what_finds_none() {
    for (rows, columns) in [(15, 60), (24, 80), (50, 200), (1_000, 1_000)] {
        for (n_operations, n_causes) in [(0, 0), (1, 0), (3, 1), (3, 40), (100, 0), (100, 40)] {
            let layout = screen(rows, columns);
            let lines = panel_lines(layout, n_operations, n_causes);
            let text: Vec<String> = lines.iter().map(Line::text).collect();
            let text = text.join("\n");
            // Half of the columns can go at a time, and no row is broken.
            assert!(lines.len() <= (rows / 3 * 2).max(14), "{rows}:\n{text}");
            let columns_max = (columns / 2).max(59);
            for line in &lines {
                assert!(line.width() <= columns_max, "{columns}:\n{text}");
            }
            for part in ["1m09s, 21s left", "50 in flight", "1,420/s", "1.20 ms"] {
                assert!(text.contains(part), "{part}:\n{text}");
            }
            assert_eq!(
                text.contains("slowest operations"),
                n_operations > 0,
                "{text}"
            );
            assert_eq!(text.contains("failures by cause"), n_causes > 0, "{text}");
            let n_expected = usize::from(n_operations == 100) + usize::from(n_causes == 40);
            assert_eq!(text.matches("  and ").count(), n_expected, "{text}");
            if n_operations == 100 {
                // The slowest first.
                assert!(text.contains(" 100 ms"), "{text}");
            }
        }
    }
}

#[test]
fn the_last_minute_is_whole_on_each_screen() {
    for (columns, n_bars) in [(60, 30), (110, 30), (200, 60)] {
        let lines = panel_lines(screen(24, columns), 0, 0);
        let rate = lines
            .iter()
            .map(Line::text)
            .find(|it| it.starts_with("rate"));
        let rate = rate.expect("a row of the rate");
        assert_eq!(rate.matches('▇').count(), n_bars, "{columns}: {rate}");
    }
}

/// Percentiles take work to know, and all the counts have to be of one moment.
#[test]
fn the_counts_of_a_panel_are_of_one_moment_each_second() {
    let mut panel = Panel::default();
    let mut shown = |quarters: u32, n_failed: u64| {
        let cause = Failure::Http {
            status: 503,
            rpc_code: None,
        };
        let failures = [(cause, n_failed)];
        let mut text = String::new();
        with_progress(0, |progress| {
            let progress = Progress {
                elapsed: Duration::from_millis(250) * quarters,
                failures: if n_failed > 0 { &failures } else { &[] },
                failed: n_failed,
                ..progress
            };
            let lines = panel.lines(&progress, Limits::default(), screen(24, 80));
            text = lines.iter().map(|line| line.text() + "\n").collect();
        });
        let of = |name: &str| {
            let row = text.lines().find(|row| row.trim_start().starts_with(name));
            row.map_or(String::new(), |row| {
                row.split_whitespace().last().unwrap_or("").into()
            })
        };
        (of("errors"), of("http.503"))
    };
    let pair = |errors: &str, cause: &str| (errors.to_string(), cause.to_string());
    // What had nothing to show is looked at again at once.
    assert_eq!(shown(4, 0), pair("0", ""));
    assert_eq!(shown(5, 3), pair("3", "3"));
    assert_eq!(shown(6, 5), pair("3", "3"));
    assert_eq!(shown(8, 7), pair("7", "7"));
}

/// What is written for the progress of a moment.
fn drawn(live: &mut LiveLine<NoColor<Vec<u8>>>) -> String {
    live.out.get_mut().clear();
    with_progress(12, |progress| live.progress(&progress));
    String::from_utf8(live.out.get_ref().clone()).expect("we write text")
}

/// What others write while this program is in the background is not erased.
#[test]
fn in_the_background_nothing_is_drawn_or_erased() {
    let has_screen = Rc::new(std::cell::Cell::new(true));
    let asked = Rc::clone(&has_screen);
    let style = LiveStyle::Redrawn(Rc::new(move || asked.get().then(|| Layout::terminal(80))));
    let mut live = LiveLine::new(NoColor::new(Vec::new()), style);
    live.started(&outcome(&[]).start);
    assert!(drawn(&mut live).contains("12s, 18s left"));
    has_screen.set(false);
    assert_eq!(drawn(&mut live), "");
    live.out.get_mut().clear();
    live.clear().expect("a vector takes all");
    assert_eq!(live.out.get_ref(), b"");
    has_screen.set(true);
    let again = drawn(&mut live);
    assert!(again.starts_with("\r\x1b[?7l12s"), "{again:?}");
}

#[test]
fn a_panel_goes_back_to_its_first_line_after_an_enter_but_not_after_a_resize() {
    thread_local!(static N_BYTES_TYPED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) });
    let press_enter = || N_BYTES_TYPED.set(N_BYTES_TYPED.get() + 1);
    let size = Rc::new(std::cell::Cell::new((24, 80)));
    let asked = Rc::clone(&size);
    let style = LiveStyle::Panel(Rc::new(move || {
        let (rows, columns) = asked.get();
        Some(screen(rows, columns))
    }));
    let live = LiveLine::new(NoColor::new(Vec::new()), style);
    let mut live = live.where_typed(|| N_BYTES_TYPED.get());
    live.started(&outcome(&[]).start);
    let first = drawn(&mut live);
    assert!(first.starts_with("\r\x1b[?7l12s, 18s left"), "{first:?}");
    // Up to the first of its lines, which is remembered.
    let n_down = first.matches("\r\n").count();
    assert!(n_down >= 5, "{first:?}");
    let end = format!("\x1b[J\x1b[?7h\r\x1b[{n_down}A\x1b7");
    assert!(first.ends_with(&end), "{first:?}");
    // The cursor is right, even where the terminal was resized and has not yet told.
    let again = first.strip_suffix("\x1b7").expect(&first).to_string();
    assert_eq!(drawn(&mut live), again);
    press_enter();
    assert_eq!(drawn(&mut live), format!("\x1b8{first}"));
    assert_eq!(drawn(&mut live), again);
    // Rows that the resize broke are erased before anything is drawn.
    size.set((30, 90));
    assert!(drawn(&mut live).starts_with("\r\x1b[J\r\x1b[?7l12s"));
    size.set((30, 80));
    press_enter();
    assert!(drawn(&mut live).starts_with("\r\x1b[J\r\x1b[?7l12s"));
    // Whoever takes it away gives the place back as it was before.
    live.canvas.lock().is_there = false;
    let anew = drawn(&mut live);
    assert!(
        anew.starts_with("\r\x1b[?7l12s") && anew.ends_with("\x1b7"),
        "{anew:?}"
    );
    // A notice comes above it.
    press_enter();
    live.out.get_mut().clear();
    live.notice("the server moved");
    let text = String::from_utf8(live.out.get_ref().clone()).expect("we write text");
    assert!(text.starts_with("\x1b8\r\x1b[Jnotice: the"), "{text:?}");
    size.set((14, 90));
    let line = drawn(&mut live);
    // One line, and a row below it that takes an Enter.
    assert!(
        line.ends_with("ms\x1b[K\r\n\x1b[J\x1b[?7h\r\x1b[1A\x1b7"),
        "{line:?}"
    );
    press_enter();
    assert!(drawn(&mut live).starts_with("\x1b8\r\x1b[?7l12s"));
    size.set((2, 90));
    let line = drawn(&mut live);
    assert!(
        !line.contains("\r\n") && line.ends_with("\x1b[?7h\r"),
        "{line:?}"
    );
    press_enter();
    assert!(drawn(&mut live).starts_with('\r'));
    live.out.get_mut().clear();
    live.ended();
    assert_eq!(live.out.get_ref(), b"\r\x1b[J");
}
