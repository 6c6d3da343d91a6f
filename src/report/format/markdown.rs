//! Markdown for the comment of a pull request, a wiki, or the summary of a CI job:
//! the conclusion first.
//!
//! What a stranger may have worded (names, addresses, messages) is in code
//! spans, where nothing has a meaning: no pipes, no HTML, no mentions of users.
//! Sentences of our own are escaped ([`prose`]).

use std::io;

use super::Format;
use super::text::{SummaryOptions, Text};
use crate::error::UserError;
use crate::outcome::{ComparedRun, ComparisonOutcome};
use crate::report::checks::{Check, CheckGrade, checks, not_made, worst};
use crate::report::compare::{
    ComparisonReport, answer, change, columns, interval, is_told, row_name, value,
};
use crate::report::envelope::AnyReport;
use crate::report::measure::unchecked_text;
use crate::report::model::{CauseCount, Figures, LatencyFigures, PopulationFigures, Report};
use crate::report::page::{
    OPERATION_COLUMNS, P50_NEEDS, P95_NEEDS, P99_NEEDS, ms_text, percentile_text, rate_text,
};
use crate::report::summary::OperationOrder;
use crate::report::summary::conclusion::conclusion;
use crate::report::summary::failures::places;
use crate::report::summary::head::secs_text;
use crate::terminal::{Drawing, Line, WriteColor, shorten};
use crate::text::blanked;
use crate::units::{format_count, format_percent, part_of, plural};

/// Markdown of at most this many bytes.
#[derive(Debug, Clone, Copy)]
pub(in crate::report) struct Markdown {
    /// Where it does not fit, it ends at a line and says so.
    pub(in crate::report) bytes_max: usize,
    /// By what the operations of a run are sorted.
    pub(in crate::report) order: OperationOrder,
}

/// What GitHub takes as a comment (in characters, of which no text has more than
/// bytes).
pub(in crate::report) const COMMENT_BYTES_MAX: usize = 65_536;

/// Exchanges that violated an expectation; the JSON has more.
const EXCHANGES_TOLD: usize = 3;

/// Columns of a name or an example; a longer one is cut in its middle.
const NAME_WIDTH_MAX: usize = 200;

impl Format for Markdown {
    fn write(&self, report: AnyReport<'_>, out: &mut dyn WriteColor) -> io::Result<()> {
        out.write_all(self.text(report).as_bytes())
    }
}

impl Markdown {
    /// The text; empty where not even the conclusion fits.
    pub(in crate::report) fn text(&self, report: AnyReport<'_>) -> String {
        let mut sheet = Sheet::default();
        sheet.conclusion(report);
        match report {
            AnyReport::Run(report) => run(&mut sheet, report, self.order),
            AnyReport::Comparison(report) => comparison(&mut sheet, report),
            // Their tables are made for a reader's eye as they are.
            AnyReport::Find(_) | AnyReport::Calibration(_) => sheet.summary(report),
        }
        sheet.fitted(self.bytes_max)
    }
}

fn run(sheet: &mut Sheet, report: &Report, order: OperationOrder) {
    let server = &report.server;
    let name = server.name.iter().chain(&server.version);
    let name = name.map(String::as_str).collect::<Vec<_>>().join(" ");
    let name = if name.is_empty() {
        String::new()
    } else {
        code(&name) + ", "
    };
    sheet.paragraph(&[
        format!("target {}", code(&report.target_url)),
        format!("server {name}MCP {}", code(&server.revision)),
        format!("load {}", prose(&report.run.load)),
        format!("duration {}", secs_text(report.duration_secs)),
        format!("seed {}", report.run.seed),
    ]);
    sheet.table(
        &[
            "requests", "ok", "failed", "errors", "rate", "p50", "p95", "p99", "max",
        ],
        vec![{
            let totals = &report.totals;
            let mut cells = figures(totals);
            cells.splice(1..1, [format_count(totals.ok), format_count(totals.failed)]);
            // Errors before the rate, beside the failures.
            cells.swap(3, 4);
            cells
        }],
    );
    populations(sheet, report);
    operations(sheet, report, order);
    flows(sheet, report);
    bytes(sheet, report);
    let of_streams = report.listen.iter();
    let of_sessions = report.handshake.iter().chain(&report.close);
    let of_sessions = of_sessions.chain(of_streams.clone().map(|of| &of.opening));
    let causes: Vec<&CauseCount> = report
        .failures
        .iter()
        .chain(of_sessions.flat_map(|figures| &figures.failures))
        .chain(of_streams.flat_map(|of| &of.broken_by))
        .collect();
    if !causes.is_empty() {
        sheet.heading("Failures");
        let places = places(&report.operations);
        let row = |cause: &&CauseCount| {
            let example = cause.examples.first();
            // Of sessions and streams, which are no operations, the cause says what it was.
            let met = places.get(cause.id.as_str()).map_or(&[][..], Vec::as_slice);
            let others = match met.len() {
                0 | 1 => String::new(),
                n => format!(" and {}", plural(n as u64 - 1, "other", "others")),
            };
            let most = met.first().map(|(label, _)| cell(label) + &others);
            vec![
                cell(&cause.id),
                most.unwrap_or_default(),
                format_count(cause.count),
                format_percent(cause.share),
                example.map_or(String::new(), |text| cell(text)),
            ]
        };
        let rows = causes.iter().map(row).collect();
        sheet.table(&["cause", "operation", "count", "share", "example"], rows);
    }
    for exchange in report.evidence.iter().take(EXCHANGES_TOLD) {
        sheet.paragraph(&[
            format!("{} at {}", code(&exchange.cause), code(&exchange.operation)),
            format!("sent {}", code(&exchange.request)),
            format!("got {}", code(&exchange.answer)),
        ]);
    }
    let unchecked: Vec<String> = report.unchecked.iter().map(unchecked_text).collect();
    let unchecked = unchecked.iter().map(|text| ("not checked", text));
    let reasons = report
        .verdict
        .reasons
        .iter()
        .map(|reason| ("verdict", &reason.text));
    let breaking = report
        .breaking_point
        .detail
        .iter()
        .map(|text| ("breaking point", text));
    let notices = report.notices.iter().map(|text| ("notice", text));
    let advice = report.advice.iter().map(|note| ("hint", &note.text));
    sheet.list(
        unchecked
            .chain(reasons)
            .chain(breaking)
            .chain(notices)
            .chain(advice),
    );
    sheet.paragraph(&[format!("pmcp-loadtest {}", code(&report.run.version))]);
}

/// Each class of users; and two servers beside each other.
fn populations(sheet: &mut Sheet, report: &Report) {
    let all = &report.populations;
    if all.is_empty() {
        return;
    }
    let row = |it: &PopulationFigures| {
        let mut row = vec![cell(&it.name), format_percent(it.share)];
        row.extend(figures(&it.figures));
        row
    };
    let mut columns = vec!["population", "share"];
    columns.extend(&OPERATION_COLUMNS[1..]);
    sheet.heading("Populations");
    sheet.table(&columns, all.iter().map(row).collect());
    if let Some(outcome) = &report.ab {
        let file = |runs: &[ComparedRun]| runs.first().map_or(String::new(), |run| code(&run.file));
        sheet.heading("One beside the other");
        let (base, new) = (file(&outcome.base), file(&outcome.new));
        sheet.paragraph(&[format!("{new} beside {base}: {}", prose(&answer(outcome)))]);
        compared(sheet, outcome);
    }
}

fn comparison(sheet: &mut Sheet, report: &ComparisonReport) {
    let outcome = &report.comparison;
    for (side, runs) in [("base", &outcome.base), ("new", &outcome.new)] {
        let told =
            |run: &ComparedRun| format!("{}, of {}", code(&run.file), prose(&run.started_at));
        let runs: Vec<String> = runs.iter().map(told).collect();
        sheet.paragraph(&[format!("{side}: {}", runs.join("; "))]);
    }
    sheet.heading("All figures");
    compared(sheet, outcome);
    let notices = report.objections.iter().chain(&outcome.notices);
    sheet.list(notices.map(|text| ("notice", text)));
    sheet.paragraph(&[format!("pmcp-loadtest {}", code(&report.version))]);
}

/// Each figure on both sides.
fn compared(sheet: &mut Sheet, outcome: &ComparisonOutcome) {
    let rows = outcome.rows.iter().flat_map(|row| {
        row.figures.iter().filter(|it| is_told(it)).map(|figure| {
            let verdict = figure.verdict.map_or("-", |verdict| verdict.word());
            vec![
                cell(&row_name(row)),
                figure.name().to_string(),
                value(figure, figure.base),
                value(figure, figure.new),
                change(figure, figure.change),
                interval(figure),
                match figure.decides {
                    true => format!("**{verdict}**"),
                    false => verdict.to_string(),
                },
            ]
        })
    });
    sheet.table(
        &[
            "operation",
            "figure",
            "base",
            "new",
            "change",
            "interval",
            "verdict",
        ],
        rows.collect(),
    );
    sheet.paragraph(&[prose(&columns(outcome))]);
    let alone = [
        ("only in the base", &outcome.only_base),
        ("only in the new", &outcome.only_new),
    ];
    for (side, labels) in alone.into_iter().filter(|(_, labels)| !labels.is_empty()) {
        let labels: Vec<String> = labels.iter().map(|label| code(label)).collect();
        sheet.paragraph(&[format!("{side}, and in no total: {}", labels.join(", "))]);
    }
}

fn operations(sheet: &mut Sheet, report: &Report, order: OperationOrder) {
    let calls = order.sorted(&report.operations);
    let calls = calls.iter().map(|call| (call.full_label(), &call.figures));
    let parts = || report.beside_totals();
    let labels = calls.clone().map(|(label, _)| label);
    let labels: Vec<String> = labels
        .chain(parts().map(|(_, part)| part.full_label()))
        .collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    // What is cut stays apart from the others.
    let shown = shorten(&labels, NAME_WIDTH_MAX, Drawing::Unicode);
    let row = |name: String, of: &Figures| {
        let mut row = vec![name];
        row.extend(figures(of));
        row
    };
    let (of_calls, of_parts) = shown.split_at(report.operations.len());
    let mut rows: Vec<Vec<String>> = of_calls
        .iter()
        .zip(calls)
        .map(|(name, (_, of))| row(cell(name), of))
        .collect();
    let sessions = [
        ("handshake", report.handshake.as_ref()),
        ("session end", report.close.as_ref()),
        ("listen", report.listen.as_ref().map(|of| &of.opening)),
    ];
    for (name, of) in sessions {
        let begun = of.iter().filter(|of| of.started > 0);
        rows.extend(begun.map(|of| row(name.to_string(), of)));
    }
    let parts = of_parts.iter().zip(parts());
    rows.extend(parts.map(|(name, (of, part))| row(format!("{of} {}", cell(name)), &part.figures)));
    sheet.heading("Operations");
    sheet.table(&OPERATION_COLUMNS, rows);
}

/// Iterations of each flow, with thinking and without.
fn flows(sheet: &mut Sheet, report: &Report) {
    if report.flows.is_empty() {
        return;
    }
    let names: Vec<String> = report.flows.iter().map(|it| it.full_name()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let shown = shorten(&names, NAME_WIDTH_MAX, Drawing::Unicode);
    let rows = report.flows.iter().zip(&shown).flat_map(|(flow, name)| {
        let mut whole = vec![cell(name)];
        whole.extend(figures(&flow.figures));
        let mut busy = vec![format!("{} without thinking", cell(name))];
        busy.extend([String::new(), String::new(), String::new()]);
        busy.extend(latencies(&flow.busy));
        [whole, busy]
    });
    let mut columns = OPERATION_COLUMNS;
    columns[0] = "flow";
    columns[1] = "iterations";
    sheet.heading("Flows");
    sheet.table(&columns, rows.collect());
}

/// What went over the wire for a successful call of each operation.
fn bytes(sheet: &mut Sheet, report: &Report) {
    let some = report.operations.iter();
    let some: Vec<_> = some
        .filter_map(|it| Some((it.full_label(), it.bytes?)))
        .collect();
    if some.is_empty() {
        return;
    }
    let labels: Vec<&str> = some.iter().map(|(label, _)| label.as_str()).collect();
    let shown = shorten(&labels, NAME_WIDTH_MAX, Drawing::Unicode);
    let rows = some.iter().zip(&shown).map(|((_, bytes), name)| {
        let mut row = vec![cell(name)];
        row.extend(bytes.texts());
        row
    });
    sheet.heading("Bytes");
    let columns = ["operation", "request", "largest", "answer", "largest"];
    sheet.table(&columns, rows.collect());
}

/// Requests, rate, errors, and latency.
fn figures(figures: &Figures) -> Vec<String> {
    let mut cells = vec![
        format_count(figures.ended()),
        rate_text(figures.rate_per_sec),
        figures.error_rate.map_or("-".to_string(), format_percent),
    ];
    cells.extend(latencies(&figures.latency));
    cells
}

fn latencies(latency: &LatencyFigures) -> [String; 4] {
    let percentile = |value, n_needed| percentile_text(latency, value, n_needed).0;
    [
        percentile(latency.p50_ms, P50_NEEDS),
        percentile(latency.p95_ms, P95_NEEDS),
        percentile(latency.p99_ms, P99_NEEDS),
        ms_text(latency.max_ms),
    ]
}

fn mark(grade: CheckGrade) -> &'static str {
    match grade {
        CheckGrade::Passed => "✅",
        CheckGrade::Warned | CheckGrade::Unclear => "⚠️",
        CheckGrade::Failed | CheckGrade::Broken => "❌",
    }
}

/// What there is where nothing could be measured.
pub(in crate::report) fn could_not_run(error: &UserError) -> String {
    let check = not_made(error);
    let (mark, what) = (mark(check.grade), prose(&check.text));
    let hints = check
        .details
        .iter()
        .map(|hint| format!("\n{}\n", prose(hint)));
    format!(
        "## {mark} Load test: nothing was measured\n\n{what}\n{}",
        hints.collect::<String>()
    )
}

/// The whole, in a line of plain words and a mark before it.
fn headline(report: AnyReport<'_>, checks: &[Check]) -> String {
    let what = match report {
        AnyReport::Run(_) => "Load test",
        AnyReport::Find(_) => "Capacity search",
        AnyReport::Calibration(_) => return "Calibration of a host".to_string(),
        AnyReport::Comparison(report) => {
            let mark = worst(checks).map_or("", |worst| mark(worst.grade));
            return format!("{mark} Comparison of load tests: {}", prose(&report.answer));
        }
    };
    let Some(worst) = worst(checks) else {
        return what.to_string();
    };
    let n_alike = checks
        .iter()
        .filter(|check| check.grade == worst.grade)
        .count();
    let of_all = part_of(n_alike as u64, checks.len() as u64, "check", "checks");
    let words = match worst.grade {
        CheckGrade::Passed => "passed".to_string(),
        CheckGrade::Warned => format!("passed, {of_all} to be warned of"),
        CheckGrade::Unclear => {
            "says nothing of the server: the generator was the limit".to_string()
        }
        CheckGrade::Failed => format!("failed: {of_all}"),
        CheckGrade::Broken => format!("not done: {}", prose(&worst.text)),
    };
    format!("{} {what} {words}", mark(worst.grade))
}

/// Markdown while it grows, line by line.
#[derive(Default)]
struct Sheet {
    lines: Vec<String>,
    /// What begins and ends the block of lines that stand as they are.
    fence: Option<String>,
}

impl Sheet {
    fn conclusion(&mut self, report: AnyReport<'_>) {
        let checks = checks(report);
        self.lines.push(format!("## {}", headline(report, &checks)));
        self.lines.push(String::new());
        if let AnyReport::Run(report) = report {
            self.paragraph(&[prose(&conclusion(report).text())]);
        }
        if checks.is_empty() {
            return;
        }
        // The worst first; of equals as they came.
        let mut sorted: Vec<&Check> = checks.iter().collect();
        sorted.sort_by_key(|check| std::cmp::Reverse(check.grade));
        let row = |check: &&Check| {
            let name = match check.group {
                "thresholds" => cell(&check.name),
                _ => prose(&check.name),
            };
            vec![mark(check.grade).to_string(), name, prose(&check.text)]
        };
        self.table(&["", "check", "result"], sorted.iter().map(row).collect());
    }

    fn heading(&mut self, text: &str) {
        self.lines.extend([format!("### {text}"), String::new()]);
    }

    fn paragraph(&mut self, parts: &[String]) {
        self.lines.extend([parts.join(" · "), String::new()]);
    }

    fn list<'a>(&mut self, texts: impl Iterator<Item = (&'a str, &'a String)>) {
        let n_before = self.lines.len();
        self.lines
            .extend(texts.map(|(label, text)| format!("- **{label}:** {}", prose(text))));
        if self.lines.len() > n_before {
            self.lines.push(String::new());
        }
    }

    /// The first columns are texts, those after the name figures.
    fn table(&mut self, headings: &[&str], rows: Vec<Vec<String>>) {
        let line = |cells: &[String]| format!("| {} |", cells.join(" | "));
        let headings: Vec<String> = headings.iter().map(ToString::to_string).collect();
        let rules = vec!["---".to_string(); headings.len()];
        self.lines.extend([line(&headings), line(&rules)]);
        self.lines.extend(rows.iter().map(|row| line(row)));
        self.lines.push(String::new());
    }

    /// The summary for people, as it is.
    fn summary(&mut self, report: AnyReport<'_>) {
        let options = SummaryOptions::endless();
        let lines: Vec<String> = Text(options).lines(report).iter().map(Line::text).collect();
        let longest = lines.iter().map(|line| backticks(line)).max().unwrap_or(0);
        let fence = "`".repeat((longest + 1).max(3));
        self.lines.push(format!("{fence}text"));
        self.lines.extend(lines);
        self.lines.extend([fence.clone(), String::new()]);
        self.fence = Some(fence);
    }

    fn fitted(self, bytes_max: usize) -> String {
        let n_bytes: usize = self.lines.iter().map(|line| line.len() + 1).sum();
        let mut text = self.lines.join("\n");
        if n_bytes <= bytes_max {
            return text;
        }
        const REST: &str = "\n\nThe rest did not fit here: the JSON report has all of it.\n";
        let fence = self.fence.unwrap_or_default();
        let room = bytes_max.saturating_sub(REST.len() + fence.len() + 1);
        let mut end = 0;
        let mut is_fenced = false;
        for line in &self.lines {
            if end + line.len() + 1 > room {
                break;
            }
            end += line.len() + 1;
            is_fenced ^= !fence.is_empty() && line.starts_with(&fence);
        }
        text.truncate(end);
        // Not even the conclusion: half of it would be none.
        if text.lines().count() < 2 {
            return String::new();
        }
        if is_fenced {
            text += &fence;
        }
        text + REST
    }
}

/// The longest run of backticks.
fn backticks(text: &str) -> usize {
    let runs = text.split(|c| c != '`').map(str::len);
    runs.max().unwrap_or(0)
}

/// A text as a code span: as it is, but for what is not seen, and for the middle of
/// a long one.
fn code(text: &str) -> String {
    let text = blanked(text);
    let shown = shorten(&[&text], NAME_WIDTH_MAX, Drawing::Unicode);
    let text = shown.first().map_or("", String::as_str);
    if text.trim().is_empty() {
        return "` `".to_string();
    }
    let fence = "`".repeat(backticks(text) + 1);
    // Blanks at both ends are taken for ours.
    let is_padded = text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']);
    let pad = if is_padded { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// The same in a table, whose cells end at a pipe wherever it stands.
fn cell(text: &str) -> String {
    code(text).replace('|', "\\|")
}

/// A sentence of our own, which may hold a stranger's words: no character has a
/// meaning, and none mentions a user or an issue.
fn prose(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let text = blanked(text);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '&' | '~' | '|' | '$' | '!' | '^'
            | '{' | '}' => shown.extend(['\\', c]),
            '@' | '#' => {
                shown.extend(['`', c]);
                while let Some(c) = chars.next_if(|c| matches!(c, '@' | '#')) {
                    shown.push(c);
                }
                shown.push('`');
            }
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::envelope::Reported;
    use crate::report::model::{ByteFigures, BytesFigures};
    use crate::report::samples::{busy_outcome, plan, report};
    use crate::validity::Grade;
    use proptest::prelude::*;
    use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

    /// The cells of all tables, as texts; nothing of it is HTML or a link.
    fn cells(markdown: &str) -> Vec<String> {
        let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
        let (mut cells, mut cell) = (Vec::new(), None);
        for event in Parser::new_ext(markdown, options) {
            match event {
                Event::Start(Tag::TableCell) => cell = Some(String::new()),
                Event::End(TagEnd::TableCell) => cells.extend(cell.take()),
                Event::Code(text) | Event::Text(text) => {
                    if let Some(cell) = &mut cell {
                        cell.push_str(&text);
                    }
                }
                Event::Html(_) | Event::InlineHtml(_) => panic!("HTML in {markdown}"),
                Event::Start(Tag::Link { .. } | Tag::Image { .. } | Tag::Strikethrough) => {
                    panic!("a meaning in {markdown}")
                }
                _ => {}
            }
        }
        cells
    }

    #[test]
    fn names_stand_as_they_are() {
        let check = |text: &str, expected: &str| assert_eq!(cell(text), expected);
        check("echo", "`echo`");
        check("a|b", "`a\\|b`");
        check("a`b``c", "```a`b``c```");
        check("`", "`` ` ``");
        check("", "` `");
        check("<b>@user #1 $x$ ${y} {{z}}", "`<b>@user #1 $x$ ${y} {{z}}`");
        check("a\nb\u{202e}", "` a b  `");
        assert!(cell(&"x".repeat(100_000)).len() < 500);
    }

    #[test]
    fn bytes_of_calls_have_a_table() {
        let mut report = report(&plan(), &busy_outcome());
        for operation in &mut report.operations {
            operation.bytes = None;
        }
        let text = |report: &Report| {
            let whole = Markdown {
                bytes_max: usize::MAX,
                order: OperationOrder::default(),
            };
            whole.text(report.any())
        };
        assert!(!text(&report).contains("### Bytes"));
        report.operations[0].bytes = Some(BytesFigures {
            request: ByteFigures::of(1_000, 600, 2),
            answer: ByteFigures::of(40_960, 30_720, 2),
        });
        let text = text(&report);
        assert!(
            text.contains("| 500 B | 600 B | 20.0 KiB | 30.0 KiB |"),
            "{text}"
        );
    }

    #[test]
    fn the_summarys_conclusion_stands_first_and_doubts_are_no_check_mark() {
        let mut report = report(&plan(), &busy_outcome());
        report.thresholds.clear();
        report.gate.why = None;
        let head = |report: &Report| {
            let order = OperationOrder::default();
            let bytes_max = usize::MAX;
            let text = Markdown { bytes_max, order }.text(report.any());
            text.lines().take(8).collect::<Vec<_>>().join("\n")
        };
        report.totals.failed = 2;
        let doubted = head(&report);
        assert!(doubted.starts_with("## ⚠️ Load test passed, "), "{doubted}");
        assert!(doubted.contains("| ⚠️ | calls succeed | "), "{doubted}");
        let conclusion = prose(&conclusion(&report).text());
        assert_eq!(doubted.lines().nth(2), Some(&*conclusion));
        report.totals.failed = 0;
        report.totals.ok = report.totals.ended();
        report.verdict.grade = Grade::Suspect;
        let doubted = head(&report);
        assert!(
            doubted.contains("| ⚠️ | the result is valid | suspect"),
            "{doubted}"
        );
        report.verdict.grade = Grade::Valid;
        let clean = head(&report);
        assert!(clean.starts_with("## ✅ Load test passed\n"), "{clean}");
    }

    #[test]
    fn it_is_cut_at_a_line_and_the_conclusion_stays() {
        let report = report(&plan(), &busy_outcome());
        let whole = Markdown {
            bytes_max: usize::MAX,
            order: OperationOrder::default(),
        }
        .text(report.any());
        let check = |bytes_max: usize| {
            let order = OperationOrder::default();
            let text = Markdown { bytes_max, order }.text(report.any());
            assert!(text.len() <= bytes_max, "{bytes_max}");
            text
        };
        assert_eq!(check(whole.len() + 1), whole);
        let mut n_cut = 0;
        for bytes_max in (0..whole.len()).step_by(crate::seeds::n_seeds(7, 1) as usize) {
            let text = check(bytes_max);
            if let Some((kept, _)) = text.split_once("\n\nThe rest did not fit") {
                assert!(whole.starts_with(kept), "{text}");
                assert!(text.starts_with("## "), "{text}");
                n_cut += 1;
            } else {
                assert!(text.is_empty(), "{text}");
            }
        }
        assert!(n_cut > 100);
    }

    proptest! {
        #[test]
        fn no_text_changes_the_table_around_it(texts in prop::collection::vec("[a-z|`\\\\ *<>\\[\\]()!&#@_~$\\n-]{0,12}|\\PC{0,8}", 1..6)) {
            let mut sheet = Sheet::default();
            let rows = texts.iter().map(|text| vec![cell(text), prose(text)]).collect();
            sheet.table(&["a", "b"], rows);
            let found = cells(&sheet.fitted(usize::MAX));
            prop_assert_eq!(found.len(), 2 + 2 * texts.len());
            for (text, pair) in texts.iter().zip(found[2..].chunks(2)) {
                let text = blanked(text);
                prop_assert_eq!(pair[0].trim(), text.trim());
                prop_assert_eq!(pair[1].trim(), text.trim());
            }
        }
    }
}
