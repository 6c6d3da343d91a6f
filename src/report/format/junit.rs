//! JUnit XML, as CI systems show it: what the report is judged by as test cases.
//!
//! There is no schema of it, so it keeps to what all readers know: `testsuites`,
//! `testsuite` with counts, `testcase` with `failure`, `error`, `skipped` or
//! `system-out`.

use std::io;

use quick_xml::Writer;
use quick_xml::events::BytesText;

use super::Format;
use super::xml::xml_text;
use crate::clock::Utc;
use crate::error::UserError;
use crate::report::checks::{Check, CheckGrade, checks, not_made};
use crate::report::envelope::AnyReport;
use crate::terminal::WriteColor;

/// Test cases in JUnit's form.
#[derive(Debug, Clone, Copy)]
pub(in crate::report) struct Junit;

/// The name of the whole, which readers show first.
const NAME: &str = "pmcp-loadtest";

impl Format for Junit {
    fn refusal(&self, report: AnyReport<'_>) -> Option<&'static str> {
        let is_refused = matches!(report, AnyReport::Calibration(_));
        is_refused.then_some("a calibration decides nothing, so it makes no test cases")
    }

    fn write(&self, report: AnyReport<'_>, out: &mut dyn WriteColor) -> io::Result<()> {
        let (time_secs, timestamp, properties) = facts(report);
        write_suites(out, &checks(report), (time_secs, timestamp), &properties)
    }
}

/// What there is where nothing could be measured: one case with an error.
pub(in crate::report) fn could_not_run(
    error: &UserError,
    out: &mut dyn WriteColor,
) -> io::Result<()> {
    let check = not_made(error);
    let now = Utc::now().rfc3339();
    let version = [("version", env!("CARGO_PKG_VERSION").to_string())];
    write_suites(out, &[check], (0.0, &now), &version)
}

/// The cases, by their groups; of how long it took and when it began.
fn write_suites(
    out: &mut dyn WriteColor,
    checks: &[Check],
    (time_secs, timestamp): (f64, &str),
    properties: &[(&'static str, String)],
) -> io::Result<()> {
    let time = format!("{time_secs:.3}");
    let mut groups: Vec<&str> = checks.iter().map(|check| check.group).collect();
    groups.dedup();
    out.write_all(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")?;
    let mut writer = Writer::new_with_indent(&mut *out, b' ', 2);
    let all: Vec<&Check> = checks.iter().collect();
    let suites = writer.create_element("testsuites");
    let suites = suites.with_attribute(("name", NAME));
    let suites = suites.with_attributes(borrowed(&counts(&all)));
    suites
        .with_attribute(("time", time.as_str()))
        .write_inner_content(|writer| {
            for group in groups {
                let of_group = checks.iter().filter(|check| check.group == group);
                let of_group: Vec<&Check> = of_group.collect();
                let suite = writer.create_element("testsuite");
                let suite = suite.with_attribute(("name", group));
                let suite = suite.with_attributes(borrowed(&counts(&of_group)));
                let suite = suite.with_attribute(("time", time.as_str()));
                suite
                    .with_attribute(("timestamp", xml_text(timestamp).as_str()))
                    .write_inner_content(|writer| {
                        write_properties(writer, properties)?;
                        of_group
                            .iter()
                            .try_for_each(|check| write_case(writer, check))
                    })?;
            }
            Ok(())
        })?;
    out.write_all(b"\n")
}

/// How long it took, when it began, and what it was.
fn facts(report: AnyReport<'_>) -> (f64, &str, Vec<(&'static str, String)>) {
    match report {
        AnyReport::Run(report) => {
            let properties = vec![
                ("target", report.target_url.clone()),
                ("load", report.run.load.clone()),
                ("seed", report.run.seed.to_string()),
                ("version", report.run.version.clone()),
            ];
            (report.duration_secs, &report.run.started_at, properties)
        }
        AnyReport::Find(report) => {
            let properties = vec![
                ("target", report.target_url.clone()),
                ("version", report.version.clone()),
            ];
            (report.elapsed_secs, &report.started_at, properties)
        }
        AnyReport::Calibration(report) => (report.elapsed_secs, &report.started_at, Vec::new()),
        AnyReport::Comparison(report) => {
            let version = vec![("version", report.version.clone())];
            (0.0, &report.timestamp, version)
        }
    }
}

fn counts(checks: &[&Check]) -> [(&'static str, String); 4] {
    let n = |grade| {
        checks
            .iter()
            .filter(|check| check.grade == grade)
            .count()
            .to_string()
    };
    [
        ("tests", checks.len().to_string()),
        ("failures", n(CheckGrade::Failed)),
        ("errors", n(CheckGrade::Broken)),
        ("skipped", n(CheckGrade::Unclear)),
    ]
}

fn borrowed<'a>(
    attributes: &'a [(&'static str, String)],
) -> impl Iterator<Item = (&'a str, &'a str)> {
    attributes
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
}

fn write_properties<W: io::Write>(
    writer: &mut Writer<W>,
    properties: &[(&'static str, String)],
) -> io::Result<()> {
    let element = writer.create_element("properties");
    element.write_inner_content(|writer| {
        for (name, value) in properties {
            let property = writer
                .create_element("property")
                .with_attribute(("name", *name));
            property
                .with_attribute(("value", xml_text(value).as_str()))
                .write_empty()?;
        }
        Ok(())
    })?;
    Ok(())
}

fn write_case<W: io::Write>(writer: &mut Writer<W>, check: &Check) -> io::Result<()> {
    let class = format!("{NAME}.{}", check.group);
    let text = xml_text(&check.text);
    let (element, note) = match check.grade {
        CheckGrade::Failed => ("failure", ""),
        CheckGrade::Broken => ("error", ""),
        CheckGrade::Unclear => ("skipped", ""),
        CheckGrade::Warned => ("system-out", "warning: "),
        CheckGrade::Passed => ("system-out", ""),
    };
    let details = check
        .details
        .iter()
        .map(|line| format!("\n{}", xml_text(line)));
    let body = format!("{note}{text}{}", details.collect::<String>());
    let case = writer
        .create_element("testcase")
        .with_attribute(("classname", class.as_str()));
    case.with_attribute(("name", xml_text(&check.name).as_str()))
        .write_inner_content(|writer| {
            let mut result = writer.create_element(element);
            if element != "system-out" {
                result = result.with_attribute(("message", text.as_str()));
            }
            result.write_text_content(BytesText::new(&body)).map(|_| ())
        })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use quick_xml::events::Event;
    use quick_xml::{Reader, XmlVersion};

    fn case(name: &str, text: &str) -> String {
        let check = Check {
            group: "thresholds",
            name: name.to_string(),
            grade: CheckGrade::Failed,
            text: text.to_string(),
            details: Vec::new(),
        };
        let mut out = Vec::new();
        write_case(&mut Writer::new(&mut out), &check).expect("a vector takes all");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn texts_that_xml_gives_a_meaning_are_texts() {
        let found = case("a\"<b>&'", "]]> \u{1b}[1m\u{0}\u{ffff}\n::error::x");
        assert_eq!(
            found,
            "<testcase classname=\"pmcp-loadtest.thresholds\" name=\"a&quot;&lt;b&gt;&amp;&apos;\">\
             <failure message=\"]]&gt;  [1m \u{fffd} ::error::x\">\
             ]]&gt;  [1m \u{fffd} ::error::x</failure></testcase>"
        );
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(name: String, text: String) {
            let found = case(&name, &text);
            let forbidden = |c: char| {
                matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
            };
            prop_assert!(!found.contains(forbidden), "{found:?}");
            let mut reader = Reader::from_str(&found);
            let mut names = Vec::new();
            loop {
                match reader.read_event().expect("well-formed") {
                    Event::Start(start) => for attribute in start.attributes() {
                        let attribute = attribute.expect("an attribute");
                        let value = attribute.normalized_value(XmlVersion::Explicit1_0);
                        let value = value.expect("escapes").into_owned();
                        names.push(value);
                    },
                    Event::Eof => break,
                    _ => {}
                }
            }
            prop_assert_eq!(&names[1..], &[xml_text(&name), xml_text(&text)]);
        }
    }
}
