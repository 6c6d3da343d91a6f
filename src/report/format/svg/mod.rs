//! A picture of a report, for a pull request or a wiki: latency and rate over time, and
//! the distribution; of a search, both by load.
//!
//! One file of some ten kilobytes that needs nothing else: no script, no font, no address.
//! It is light or dark as its reader's page is, and where it is drawn small its texts are
//! larger. What strangers have worded is escaped and cut ([`Canvas`]), and however long a
//! run was, there are at most some hundred points ([`Chart`]).

mod axis;
mod canvas;
mod chart;

use std::io;

use super::Format;
use crate::outcome::{Comparison, LoadUnit};
use crate::report::envelope::AnyReport;
use crate::report::find::{
    FindReport, TrialFigures, TrialVerdict, by_level, decisive_percentile, decisive_quantile,
    limit_on,
};
use crate::report::model::{LatencyFrom, Report, SecondFigures, without_tail};
use crate::report::page::ms_text;
use crate::report::summary::conclusion::conclusion;
use crate::report::summary::head::secs_text;
use crate::terminal::{LongWords, WriteColor, display_width, wrap};
use crate::units::{
    format_duration, format_latency, format_percent, format_rate, ms, ns_of_ms, without_zeros,
};
use axis::{Axis, is_drawable};
use canvas::{Canvas, TextSpan};
use chart::{Chart, LEFT};

use std::time::Duration;

/// Charts, as a picture.
#[derive(Debug, Clone, Copy)]
pub(in crate::report) struct Svg;

const STYLE: &str = include_str!("style.css");

const WIDTH: f64 = 800.0;
/// Right of the charts.
const RIGHT: f64 = 28.0;
const CHART_WIDTH: f64 = WIDTH - LEFT - RIGHT;

/// The conclusion and what it is of.
const HEAD_LEFT: f64 = 24.0;
const HEAD_TOP: f64 = 38.0;
const HEAD_LINE_HEIGHT: f64 = 34.0;
const HEAD_LINES_MAX: usize = 4;
/// What is below the conclusion's lines.
const BELOW_HEAD: f64 = 70.0;
const LATENCY_HEIGHT: f64 = 190.0;
const RATE_HEIGHT: f64 = 120.0;
const DISTRIBUTION_HEIGHT: f64 = 150.0;
/// A chart's title and the names of its marks; the gap below it.
const BESIDE_CHART: f64 = 64.0;
const GAP: f64 = 10.0;

/// What fits a line of the head, where its texts are large too.
const HEAD_COLUMNS: usize = 48;
/// What fits a line below it: where the picture is large, and where it is small.
const LINE_COLUMNS: usize = 96;
const SMALL_COLUMNS: usize = 56;

const MARKS_UP: usize = 4;
const MARKS_ACROSS: usize = 6;

/// A report has some ten classes of latencies, and a search some thirty levels.
const CLASSES_DRAWN: usize = 40;
const LEVELS_DRAWN: usize = 200;
/// Borders of stages, and limits of a run's latency.
const STAGES_DRAWN: usize = 50;
const LIMITS_DRAWN: usize = 3;

impl Format for Svg {
    fn write(&self, report: AnyReport<'_>, out: &mut dyn WriteColor) -> io::Result<()> {
        match report {
            AnyReport::Run(report) => run(report, out),
            AnyReport::Find(report) => search(report, out),
            AnyReport::Calibration(_) | AnyReport::Comparison(_) => Ok(()),
        }
    }

    fn refusal(&self, report: AnyReport<'_>) -> Option<&'static str> {
        match report {
            AnyReport::Run(_) | AnyReport::Find(_) => None,
            _ => Some("only the report of a run or of a search has charts"),
        }
    }
}

fn run(report: &Report, out: &mut dyn WriteColor) -> io::Result<()> {
    let has_distribution = report.distribution.len() > 1;
    let server = &report.server;
    let (load, length) = (&report.run.load, secs_text(report.duration_secs));
    let facts = format!("{load}, {length}, MCP {}", server.revision);
    let conclusion = conclusion(report).text();
    let head = PictureHead::new(&conclusion, &report.target_url, facts);
    let mut height = head.height() + LATENCY_HEIGHT + RATE_HEIGHT + 2.0 * (BESIDE_CHART + GAP);
    if has_distribution {
        height += DISTRIBUTION_HEIGHT + BESIDE_CHART + GAP;
    }
    let title = format!("Load test of {}", report.target_url);
    let mut canvas = Canvas::begin(out, [WIDTH, height], STYLE, &title)?;
    head.draw(&mut canvas)?;
    let time = || {
        let first = report.seconds.first().map_or(0.0, |second| second.at_secs);
        let last = seconds(report).last();
        let end = last.map_or(report.duration_secs, |it| it.at_secs + it.length_secs);
        Axis::of_time(first, end, MARKS_ACROSS)
    };
    let top = latency_chart(&mut canvas, head.height(), report, time())?;
    let top = rate_chart(&mut canvas, top + GAP, report, time())?;
    if has_distribution {
        distribution_chart(&mut canvas, top + GAP, report)?;
    }
    canvas.end()
}

/// The conclusion, as many lines as it takes, and what it is of below.
struct PictureHead {
    conclusion: Vec<String>,
    target: String,
    facts: String,
}

impl PictureHead {
    fn new(conclusion: &str, target: &str, facts: String) -> Self {
        let mut lines: Vec<String> = Vec::new();
        // A clause stays whole where it can.
        for clause in conclusion.split_inclusive("; ").map(str::trim_end) {
            match lines.last_mut() {
                Some(last) if display_width(last) + display_width(clause) < HEAD_COLUMNS => {
                    *last += &format!(" {clause}");
                }
                _ => lines.extend(wrap(clause, HEAD_COLUMNS, LongWords::Break)),
            }
        }
        if lines.len() > HEAD_LINES_MAX {
            lines.truncate(HEAD_LINES_MAX);
            if let Some(last) = lines.last_mut() {
                *last += " …";
            }
        }
        Self {
            conclusion: lines,
            target: target.to_string(),
            facts,
        }
    }

    /// Where the charts begin.
    fn height(&self) -> f64 {
        HEAD_LINE_HEIGHT * self.conclusion.len().max(1) as f64 + BELOW_HEAD
    }

    fn draw(&self, canvas: &mut Canvas<'_>) -> io::Result<()> {
        let mut y = HEAD_TOP;
        for line in &self.conclusion {
            canvas.text("head", [HEAD_LEFT, y], HEAD_COLUMNS, line)?;
            y += HEAD_LINE_HEIGHT;
        }
        let bottom = self.height();
        Self::fact(canvas, bottom - 36.0, &self.target)?;
        Self::fact(canvas, bottom - 8.0, &self.facts)
    }

    /// A line that is cut where the picture is: one that is too long for a small one is
    /// there twice, and the style shows one of both.
    fn fact(canvas: &mut Canvas<'_>, y: f64, text: &str) -> io::Result<()> {
        let at = [HEAD_LEFT, y];
        if display_width(text) <= SMALL_COLUMNS {
            return canvas.text("", at, SMALL_COLUMNS, text);
        }
        canvas.text("wide", at, LINE_COLUMNS, text)?;
        canvas.text("small", at, SMALL_COLUMNS, text)
    }
}

/// The limits of what is drawn of a run's latency: of which percentile, in milliseconds.
/// Those of a single operation or population are of none of the lines.
fn limits_of_run(report: &Report) -> Vec<(&str, f64)> {
    let thresholds = report.thresholds.iter();
    let limits = thresholds.filter(|it| {
        let is_most = matches!(it.comparison, Comparison::Below | Comparison::AtMost);
        let is_drawn = matches!(it.metric.as_str(), "p50" | "p99") && is_drawable(it.limit);
        it.selector.is_none() && is_most && is_drawn
    });
    let limits = limits.map(|it| (it.metric.as_str(), it.limit));
    limits.take(LIMITS_DRAWN).collect()
}

/// The median and the 99th percentile of each second.
fn latency_chart(
    canvas: &mut Canvas<'_>,
    top: f64,
    report: &Report,
    time: Axis,
) -> io::Result<f64> {
    let seconds = seconds(report);
    let both = seconds.iter().flat_map(|it| [it.p50_ms, it.p99_ms]);
    let is_empty = !both.clone().flatten().any(is_drawable);
    let mut limits = limits_of_run(report);
    limits.retain(|_| !is_empty);
    let of_limits = limits.iter().map(|(_, limit)| *limit);
    let mut up = Axis::fitting(both.flatten().chain(of_limits), MARKS_UP);
    if is_empty {
        // Of nothing there is no scale.
        up.marks.clear();
    }
    let name = match report.totals.latency_from {
        LatencyFrom::Sent => "Latency",
        LatencyFrom::IntendedStart => "Response time",
    };
    let mut title = vec![TextSpan::new("strong", name)];
    if !is_empty {
        title.push(TextSpan::new("k50", "● p50"));
        title.push(TextSpan::new("k99", "● p99"));
    }
    if up.is_of_magnitudes {
        title.push(TextSpan::new("", "(logarithmic)"));
    }
    if report.warm_up.is_some() {
        title.push(TextSpan::new("kstrip", "■ warm-up"));
    }
    for (name, limit) in &limits {
        let text = format!("┄ {name} limit {}", latency_name(*limit));
        title.push(TextSpan::new("kfailed", text));
    }
    let size = [CHART_WIDTH, LATENCY_HEIGHT];
    let names: [&dyn Fn(f64) -> String; 2] = [&time_name, &latency_name];
    let chart = Chart::begin(canvas, top, size, &title, [time, up], names)?;
    beneath(canvas, &chart, report)?;
    for (_, limit) in limits {
        chart.level(canvas, "limit", limit)?;
    }
    let of = |value: fn(&SecondFigures) -> Option<f64>| points(report, value);
    chart.line(canvas, "line p99", &of(|it| it.p99_ms))?;
    chart.line(canvas, "line p50", &of(|it| it.p50_ms))?;
    if is_empty {
        let why = match (report.totals.ok, report.totals.ended()) {
            (0, 0) => "no call ended",
            (0, _) => "no call succeeded",
            _ => "no second has a latency",
        };
        chart.word(canvas, why)?;
    }
    Ok(chart.end())
}

/// Calls that ended, and of them those that failed, by second.
fn rate_chart(canvas: &mut Canvas<'_>, top: f64, report: &Report, time: Axis) -> io::Result<f64> {
    let seconds = seconds(report);
    let up = Axis::from_zero(seconds.iter().map(|it| it.rate_per_sec), MARKS_UP - 1);
    let mut title = vec![
        TextSpan::new("strong", "Rate"),
        TextSpan::new("krate", "● calls"),
    ];
    let has_failed = seconds.iter().any(|it| it.failed > 0);
    if has_failed {
        title.push(TextSpan::new("kfailed", "● failed"));
    }
    let is_limited = seconds.iter().any(|it| it.limited_by.is_some());
    if is_limited {
        title.push(TextSpan::new("kunclear", "● generator limited"));
    }
    let size = [CHART_WIDTH, RATE_HEIGHT];
    let names: [&dyn Fn(f64) -> String; 2] = [&time_name, &rate_name];
    let chart = Chart::begin(canvas, top, size, &title, [time, up], names)?;
    beneath(canvas, &chart, report)?;
    if has_failed {
        let failed = to_the_ends(report, |it| {
            let length = it.length_secs;
            (length > 0.0).then(|| it.failed as f64 / length)
        });
        chart.area(canvas, "fill", &failed)?;
    }
    chart.line(
        canvas,
        "line rate",
        &to_the_ends(report, |it| Some(it.rate_per_sec)),
    )?;
    let limited = seconds.iter().filter(|it| it.limited_by.is_some());
    let middles = limited.map(|it| it.at_secs + it.length_secs / 2.0);
    chart.ticks(canvas, "limited", middles)?;
    Ok(chart.end())
}

/// The seconds that are drawn: a few calls in a last piece of one would make a rate of
/// thousands.
fn seconds(report: &Report) -> &[SecondFigures] {
    without_tail(&report.seconds)
}

/// A value of each second, at its middle.
fn points(
    report: &Report,
    value: impl Fn(&SecondFigures) -> Option<f64>,
) -> Vec<(f64, Option<f64>)> {
    let seconds = seconds(report).iter();
    seconds
        .map(|it| (it.at_secs + it.length_secs / 2.0, value(it)))
        .collect()
}

/// The same from the beginning of the first second to the end of the last: what is true of
/// a second is true of all of it.
fn to_the_ends(
    report: &Report,
    value: impl Fn(&SecondFigures) -> Option<f64>,
) -> Vec<(f64, Option<f64>)> {
    let of = |second: &SecondFigures, at| (at, value(second));
    let seconds = seconds(report);
    let first = seconds.first().map(|it| of(it, it.at_secs));
    let last = seconds.last().map(|it| of(it, it.at_secs + it.length_secs));
    let middles = points(report, &value).into_iter();
    first.into_iter().chain(middles).chain(last).collect()
}

/// The warm-up, and where stages begin.
fn beneath(canvas: &mut Canvas<'_>, chart: &Chart, report: &Report) -> io::Result<()> {
    if let Some(warm_up) = &report.warm_up {
        let first = report.seconds.first().map_or(0.0, |second| second.at_secs);
        chart.strip(canvas, "strip", [first, first + warm_up.length_secs])?;
    }
    for stage in report.stages.iter().skip(1).take(STAGES_DRAWN) {
        chart.upright(canvas, "stage", stage.at_secs)?;
    }
    Ok(())
}

/// How many calls took how long.
fn distribution_chart(canvas: &mut Canvas<'_>, top: f64, report: &Report) -> io::Result<f64> {
    let classes = report.distribution.iter();
    let classes = classes.filter(|class| is_drawable(class.from_ms) && is_drawable(class.to_ms));
    let classes: Vec<_> = classes.take(CLASSES_DRAWN).collect();
    let counts = report.distribution.iter().map(|class| class.count);
    let n_all = counts.fold(0, u64::saturating_add).max(1) as f64;
    let percent = |count: u64| count as f64 / n_all * 100.0;
    let up = Axis::from_zero(classes.iter().map(|class| percent(class.count)), 3);
    let bounds = classes
        .iter()
        .flat_map(|class| [class.from_ms, class.to_ms]);
    let across = Axis::of_bounds(bounds, MARKS_ACROSS);
    let latency = &report.totals.latency;
    let mut title = vec![TextSpan::new("strong", "Distribution")];
    let shown = [
        ("k50", "p50", "line p50", latency.p50_ms),
        ("k99", "p99", "line p99", latency.p99_ms),
    ];
    for (class, name, _, value) in shown {
        let text = value.map(|_| TextSpan::new(class, format!("{name} {}", ms_text(value))));
        title.extend(text);
    }
    let size = [CHART_WIDTH, DISTRIBUTION_HEIGHT];
    let names: [&dyn Fn(f64) -> String; 2] = [&latency_name, &percent_name];
    let chart = Chart::begin(canvas, top, size, &title, [across, up], names)?;
    for class in classes {
        let span = [class.from_ms, class.to_ms];
        chart.bar(canvas, "bar", span, percent(class.count))?;
    }
    for (_, _, class, value) in shown {
        if let Some(value) = value {
            chart.upright(canvas, class, value)?;
        }
    }
    Ok(chart.end())
}

/// What each level of a search brought.
fn search(report: &FindReport, out: &mut dyn WriteColor) -> io::Result<()> {
    let verified = match report.verified {
        true => "verified",
        false => "not verified",
    };
    let revision = &report.server.revision;
    let facts = format!(
        "MCP {revision}, {verified}, {}",
        report.verdict.grade.as_str()
    );
    let answer = report.answer.split("; ").next().unwrap_or_default();
    let head = PictureHead::new(answer, &report.target_url, facts);
    let charts = LATENCY_HEIGHT + RATE_HEIGHT + 2.0 * (BESIDE_CHART + GAP);
    let height = head.height() + charts;
    let title = format!("Capacity search of {}", report.target_url);
    let mut canvas = Canvas::begin(out, [WIDTH, height], STYLE, &title)?;
    head.draw(&mut canvas)?;
    let mut levels = by_level(&report.trials);
    levels.retain(|trial| is_drawable(trial.level));
    levels.truncate(LEVELS_DRAWN);
    let across = || Axis::fitting(levels.iter().map(|trial| trial.level), MARKS_ACROSS);
    let unit = match report.search.by {
        LoadUnit::Vus => "virtual users",
        LoadUnit::Rate => "arrivals a second",
    };
    let search = &report.search;
    let limit = limit_on(search, decisive_quantile(search)).map(ms);
    let latency = |trial: &&TrialFigures| decisive_percentile(search, trial).1.map(ms);
    let values = levels.iter().filter_map(latency).chain(limit);
    let up = Axis::fitting(values.collect::<Vec<_>>().into_iter(), MARKS_UP);
    let name = levels
        .first()
        .map_or("Latency", |trial| decisive_percentile(search, trial).0);
    let mut title = vec![TextSpan::new("strong", format!("{name} by {unit}"))];
    let of_marks = [
        ("dot passed", "k50", "● kept"),
        ("dot failed", "kfailed", "● failed"),
        ("dot unclear", "kunclear", "● unclear"),
    ];
    let drawn = levels.iter().filter(|trial| latency(trial).is_some());
    let drawn: Vec<_> = drawn.map(|trial| mark_of(trial)).collect();
    let of_marks = of_marks.into_iter().filter(|it| drawn.contains(&it.0));
    title.extend(of_marks.map(|(_, class, text)| TextSpan::new(class, text)));
    if let Some(limit) = limit {
        title.push(TextSpan::new(
            "kfailed",
            format!("┄ limit {}", latency_name(limit)),
        ));
    }
    let size = [CHART_WIDTH, LATENCY_HEIGHT];
    let names: [&dyn Fn(f64) -> String; 2] = [&load_name, &latency_name];
    let chart = Chart::begin(
        &mut canvas,
        head.height(),
        size,
        &title,
        [across(), up],
        names,
    )?;
    if let Some(limit) = limit {
        chart.level(&mut canvas, "limit", limit)?;
    }
    let of = |value: &dyn Fn(&&TrialFigures) -> Option<f64>| {
        let points = levels.iter().map(|trial| (trial.level, value(trial)));
        points.collect::<Vec<_>>()
    };
    chart.line(&mut canvas, "line p50", &of(&latency))?;
    for trial in &levels {
        if let Some(latency) = latency(trial) {
            chart.dot(&mut canvas, mark_of(trial), [trial.level, latency])?;
        }
    }
    let rate = |trial: &&TrialFigures| Some(trial.rate_per_sec).filter(|it| is_drawable(*it));
    let up = Axis::from_zero(levels.iter().filter_map(rate), MARKS_UP - 1);
    let title = [
        TextSpan::new("strong", format!("Rate by {unit}")),
        TextSpan::new("krate", "● calls"),
    ];
    let names: [&dyn Fn(f64) -> String; 2] = [&load_name, &rate_name];
    let size = [CHART_WIDTH, RATE_HEIGHT];
    let top = chart.end() + GAP;
    let chart = Chart::begin(&mut canvas, top, size, &title, [across(), up], names)?;
    chart.line(&mut canvas, "line rate", &of(&rate))?;
    canvas.end()
}

fn mark_of(trial: &TrialFigures) -> &'static str {
    match trial.verdict {
        TrialVerdict::Passed | TrialVerdict::Plausible => "dot passed",
        TrialVerdict::Failed => "dot failed",
        TrialVerdict::Undecided | TrialVerdict::GeneratorLimited | TrialVerdict::Unfinished => {
            "dot unclear"
        }
    }
}

fn time_name(secs: f64) -> String {
    format_duration(Duration::try_from_secs_f64(secs).unwrap_or_default())
}

fn latency_name(value_ms: f64) -> String {
    match value_ms {
        0.0 => "0".to_string(),
        _ => without_zeros(&format_latency(ns_of_ms(value_ms))),
    }
}

fn rate_name(per_second: f64) -> String {
    match per_second {
        0.0 => "0".to_string(),
        _ => without_zeros(&format_rate(per_second)),
    }
}

fn percent_name(percent: f64) -> String {
    format_percent(percent / 100.0)
}

fn load_name(load: f64) -> String {
    without_zeros(format_rate(load).trim_end_matches("/s"))
}

#[cfg(test)]
mod tests {
    use super::canvas::number;
    use super::*;
    use crate::report::envelope::Reported;
    use crate::report::find::samples::{found, report as find};
    use crate::report::samples::{outcome, plan, report};
    use crate::terminal::in_memory;
    use quick_xml::Reader;
    use quick_xml::events::Event;
    use serde_json::json;

    /// The picture, its texts without their escapes, and how many elements have a class.
    fn drawn(report: AnyReport<'_>) -> (String, Vec<String>, impl Fn(&str) -> usize) {
        let bytes = in_memory(false, |out| Svg.write(report, out)).expect("a picture");
        let picture = String::from_utf8(bytes).expect("UTF-8");
        let mut reader = Reader::from_str(&picture);
        let (mut texts, mut classes) = (vec![String::new()], Vec::new());
        loop {
            match reader.read_event().expect("well-formed") {
                Event::Start(start) | Event::Empty(start) => {
                    let class = start.try_get_attribute("class").expect("attributes");
                    classes.push(class.map_or(String::new(), |it| it.value.to_string()));
                    if start.name().as_ref() != "tspan" {
                        texts.push(String::new());
                    }
                }
                Event::Text(text) => {
                    let last = texts.last_mut().expect("one");
                    *last += &text;
                }
                Event::GeneralRef(reference) => {
                    let last = texts.last_mut().expect("one");
                    *last += match &*reference {
                        "lt" => "<",
                        "gt" => ">",
                        "amp" => "&",
                        "quot" => "\"",
                        "apos" => "'",
                        other => panic!("{other}"),
                    };
                }
                Event::Eof => break,
                _ => {}
            }
        }
        let texts = texts.iter().map(|it| it.trim_end().to_string()).collect();
        let n_of = move |class: &str| classes.iter().filter(|it| *it == class).count();
        (picture.clone(), texts, n_of)
    }

    fn stored(json: &str) -> Report {
        serde_json::from_str(json).expect("a stored report")
    }

    #[test]
    fn a_run_has_its_figures_its_stages_and_a_bar_for_each_class() {
        let report = stored(include_str!(
            "../../../../tests/reports/run-2.0-stages.json"
        ));
        let (_, texts, n_of) = drawn(report.any());
        let has = |text: &str| assert!(texts.iter().any(|it| it == text), "{text}: {texts:?}");
        // Word for word what the summary says, on as many lines as it takes.
        let at = texts.iter().position(|it| *it == report.target_url);
        let at = at.expect("a target");
        let n_lines = n_of("head");
        assert_eq!(
            texts[at - n_lines..at].join(" "),
            conclusion(&report).text()
        );
        assert!(n_lines > 1, "{texts:?}");
        has(&report.target_url);
        has("Latency ● p50 ● p99");
        assert_eq!(n_of("bar"), report.distribution.len());
        assert_eq!(n_of("stage"), 2 * (report.stages.len() - 1));
        assert_eq!(
            (n_of("line p50"), n_of("line p99"), n_of("line rate")),
            (2, 2, 1)
        );
    }

    #[test]
    fn a_limit_of_a_line_is_drawn_and_those_of_others_are_not() {
        let (mut report, _) = staged();
        let limit = |metric: &str, comparison: &str| {
            let threshold = json!({
                "text": "", "selector": null,
                "metric": metric, "comparison": comparison, "limit": 50.0, "unit": "ms",
                "value": 7.0, "margin": null, "severity": "fail", "grade": "passed",
                "few": false, "interval": null, "why": null, "aborted": false,
            });
            serde_json::from_value(threshold).expect("a threshold")
        };
        report.thresholds = vec![limit("p99", "<"), limit("p95", "<"), limit("p50", ">")];
        let (_, texts, n_of) = drawn(report.any());
        let title = "Latency ● p50 ● p99 ┄ p99 limit 50 ms";
        assert!(texts.iter().any(|it| it == title), "{texts:?}");
        assert_eq!(n_of("limit"), 1);
    }

    /// A run with stages, and its first second.
    fn staged() -> (Report, SecondFigures) {
        let report = stored(include_str!(
            "../../../../tests/reports/run-2.0-stages.json"
        ));
        let first = report.seconds[0].clone();
        (report, first)
    }

    #[test]
    fn a_second_without_answers_breaks_the_line_and_failures_show() {
        let (mut report, first) = staged();
        report.seconds = (0..5u8)
            .map(|at| SecondFigures {
                at_secs: f64::from(at),
                failed: 0,
                limited_by: None,
                ..first.clone()
            })
            .collect();
        let (picture, ..) = drawn(report.any());
        let lines = |picture: &str| {
            let line = picture.lines().find(|it| it.contains("\"line p99\""));
            line.expect("a line").matches('M').count()
        };
        assert_eq!(lines(&picture), 1);
        let second = &mut report.seconds[2];
        (second.p50_ms, second.p99_ms) = (None, None);
        second.failed = 7;
        second.limited_by = Some("slow_reading".to_string());
        let (picture, texts, n_of) = drawn(report.any());
        assert_eq!(lines(&picture), 2);
        assert_eq!((n_of("fill"), n_of("limited")), (1, 1));
        let title = "Rate ● calls ● failed ● generator limited";
        assert!(texts.iter().any(|it| it == title), "{texts:?}");
    }

    #[test]
    fn a_last_piece_of_a_second_makes_no_rate() {
        let (mut report, first) = staged();
        let piece = SecondFigures {
            at_secs: 3.0,
            length_secs: 0.001,
            rate_per_sec: 9e6,
            ..first.clone()
        };
        let whole = |at_secs| SecondFigures {
            at_secs,
            length_secs: 1.0,
            ..first.clone()
        };
        report.seconds = vec![whole(0.0), whole(1.0), whole(2.0), piece];
        let (_, texts, _) = drawn(report.any());
        assert!(
            !texts.iter().any(|it| it.contains("000,000/s")),
            "{texts:?}"
        );
    }

    #[test]
    fn a_run_without_any_call_is_drawn_and_says_so() {
        let report = report(&plan(), &outcome(&[]));
        let (_, texts, n_of) = drawn(report.any());
        assert!(
            texts.iter().any(|it| it.starts_with("no call ended")),
            "{texts:?}"
        );
        assert_eq!(n_of("bar"), 0);
    }

    #[test]
    fn where_all_calls_failed_it_is_said_and_failures_reach_both_ends() {
        let (mut report, first) = staged();
        report.seconds = (0..2u8)
            .map(|at| SecondFigures {
                at_secs: f64::from(at),
                length_secs: 1.0,
                failed: 20,
                rate_per_sec: 20.0,
                p50_ms: None,
                p99_ms: None,
                ..first.clone()
            })
            .collect();
        report.distribution.clear();
        (report.totals.ok, report.totals.failed) = (0, 40);
        let (picture, texts, n_of) = drawn(report.any());
        let has = |text: &str| texts.iter().any(|it| it == text);
        assert!(has("no call succeeded"), "{texts:?}");
        assert!(has("Latency"), "{texts:?}");
        assert!(!has("1 ms"), "{texts:?}");
        assert_eq!((n_of("line p50"), n_of("k50")), (0, 0));
        let area = picture.lines().find(|it| it.contains("\"fill\""));
        let area = area.expect("an area");
        let right = number(WIDTH - RIGHT);
        assert!(area.contains(&format!("\"M{} ", number(LEFT))), "{area}");
        assert!(area.contains(&format!("L{right} ")), "{area}");
    }

    #[test]
    fn a_long_line_is_cut_where_the_picture_is_small_alone() {
        let mut report = report(&plan(), &outcome(&[]));
        report.target_url = format!("http://x/{}", "long/".repeat(14));
        report.warm_up = stored(include_str!("../../../../tests/reports/run-2.0.json")).warm_up;
        let (_, texts, n_of) = drawn(report.any());
        assert!(texts.contains(&report.target_url), "{texts:?}");
        let n_cut = texts.iter().filter(|it| it.ends_with('…')).count();
        assert_eq!((n_of("small"), n_cut), (1, 1), "{texts:?}");
        assert_eq!(n_of("kstrip"), n_of("strip").min(1));
    }

    #[test]
    fn a_picture_of_a_day_is_small() {
        let (mut report, first) = staged();
        report.seconds = (0..86_400)
            .map(|at| SecondFigures {
                at_secs: f64::from(at),
                p99_ms: Some(f64::from(at % 977)),
                limited_by: Some("slow_reading".to_string()),
                ..first.clone()
            })
            .collect();
        let (picture, ..) = drawn(report.any());
        assert!(picture.len() < 64 << 10, "{}", picture.len());
    }

    #[test]
    fn texts_of_strangers_are_texts_and_a_line_at_most() {
        let mut report = report(&plan(), &outcome(&[]));
        report.target_url = "http://x/?a=<script>&b=\"'\u{1b}[1m\u{ffff}]]>".to_string();
        report.run.load = "x".repeat(1 << 20);
        let (picture, texts, _) = drawn(report.any());
        let url = "http://x/?a=<script>&b=\"' [1m\u{fffd}]]>";
        assert!(texts.iter().any(|it| it == url), "{texts:?}");
        assert!(!picture.contains("<script"), "{picture}");
        assert!(picture.len() < 16 << 10, "{}", picture.len());
    }

    #[test]
    fn a_search_has_a_mark_for_each_level_and_its_limit() {
        let report = find(&found());
        let (_, texts, n_of) = drawn(report.any());
        let n_marks: usize = ["dot passed", "dot failed", "dot unclear"]
            .map(&n_of)
            .iter()
            .sum();
        assert_eq!(n_marks, by_level(&report.trials).len());
        assert!(n_of("dot failed") > 0);
        assert_eq!((n_of("limit"), n_of("dot unclear")), (1, 0));
        let title = "p99 by virtual users ● kept ● failed ┄ limit 50 ms";
        assert!(texts.iter().any(|it| it == title), "{texts:?}");
        assert!(
            texts.iter().any(|it| it.starts_with("Rate by ")),
            "{texts:?}"
        );
    }

    #[test]
    fn a_search_is_drawn_by_the_percentile_that_its_limit_is_of() {
        for (quantile, title) in [
            (0.95, "p95 by virtual users ● kept ● failed ┄ limit 50 ms"),
            (0.5, "p50 by virtual users ● kept ● failed ┄ limit 50 ms"),
        ] {
            let mut report = find(&found());
            report.search.latency[0].quantile = quantile;
            let (_, texts, n_of) = drawn(report.any());
            assert!(texts.iter().any(|it| it == title), "{texts:?}");
            assert_eq!(n_of("limit"), 1);
        }
        let mut report = find(&found());
        report.search.latency.clear();
        report.trials[0].verdict = TrialVerdict::Undecided;
        let (_, texts, n_of) = drawn(report.any());
        let title = "p99 by virtual users ● kept ● failed ● unclear";
        assert!(texts.iter().any(|it| it == title), "{texts:?}");
        assert_eq!(n_of("limit"), 0);
    }
}
