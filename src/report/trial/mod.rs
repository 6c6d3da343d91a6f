//! What a trial shows: each request with its arguments, and its answer.
//!
//! Bodies are shown as JSON by people's eyes, not byte by byte: on few lines, without
//! the protocol's own members, and without secrets. The marks are those of `curl -v`:
//! `>` was sent, `<` came back.

mod layout;

use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::outcome::{RowKind, Seen};
use crate::protocol::no_text;
use crate::redact::{MASK, Redactor, credentials_in, each_text, without_credentials};
use crate::scenario::{Call, Flow, Plan, expectations};
use crate::terminal::{Drawing, Layout, Line, Role, cut};
use crate::units::{format_bytes, format_latency, nanos, plural};
use layout::lay_out;

/// Lines of one body; the rest is left out.
const BODY_LINES_MAX: usize = 24;

/// Columns of a body where the reader is not a terminal, and at most.
const BODY_COLUMNS_MAX: usize = 96;

/// Calls of a step that are shown, and as many more that failed. The others
/// are counted.
const CALLS_SHOWN: usize = 3;

/// Lays out what is seen, one request after the other.
#[derive(Debug)]
pub struct TrialPage {
    columns: usize,
    flows: Vec<Flow>,
    /// The step that was seen last, and what of its calls was.
    step: Option<(Option<usize>, usize)>,
    n_ok: usize,
    n_failed: usize,
    n_left_out: u64,
}

impl TrialPage {
    /// A page for a reader of what is done of a plan.
    pub fn new(layout: Layout, plan: &Plan) -> Self {
        Self::of(layout, plan.flows.clone())
    }

    fn of(layout: Layout, flows: Vec<Flow>) -> Self {
        let columns = layout.columns.unwrap_or(BODY_COLUMNS_MAX);
        Self {
            columns: columns.clamp(20, BODY_COLUMNS_MAX),
            flows,
            step: None,
            n_ok: 0,
            n_failed: 0,
            n_left_out: 0,
        }
    }

    /// The lines of a request. `redactor` should know what [`secrets`] finds in it.
    pub fn lines(&mut self, seen: &Seen, redactor: &Redactor) -> Vec<Line> {
        let mut lines = self.begin_step(seen);
        let n_alike = match seen.failure {
            None => &mut self.n_ok,
            Some(_) => &mut self.n_failed,
        };
        *n_alike += 1;
        if *n_alike > CALLS_SHOWN {
            self.n_left_out += 1;
            return lines;
        }
        if seen.row.kind != RowKind::Call {
            lines.push(session_line(seen));
            return lines;
        }
        lines.push(Line::new());
        lines.push(Line::of(Role::Strong, redactor.cleaned(&seen.row.label())));
        if let Some((failure, message)) = &seen.failure
            && failure.is_unsent()
        {
            let message = redactor.cleaned_message(message);
            lines.push(
                Line::of(Role::Error, format!("  not sent: {}", failure.id()))
                    .add(Role::Plain, format!(" ({message})")),
            );
            return lines;
        }
        let method = Line::of(Role::Dim, "  > ").add(Role::Plain, &seen.row.method);
        lines.push(method);
        let wire = &seen.wire;
        self.body(
            "  > ",
            sent(&wire.request),
            &wire.request,
            redactor,
            &mut lines,
        );
        lines.push(Line::of(Role::Dim, "  < ").add(Role::Plain, answer_head(seen)));
        self.body(
            "  < ",
            came(&wire.answer),
            &wire.answer,
            redactor,
            &mut lines,
        );
        let call = self.call_of(seen);
        for (extract, value) in call.iter().flat_map(|it| &it.extracts).zip(&seen.taken) {
            let value = match extract.is_secret {
                true => MASK.into(),
                false => redactor.cleaned(value),
            };
            let value = cut(&value, BODY_COLUMNS_MAX, Drawing::Unicode);
            lines.push(
                Line::of(Role::Accent, format!("  {} = ", extract.name))
                    .add(Role::Plain, value)
                    .add(Role::Dim, format!(" ({})", extract.source)),
            );
        }
        let awaited = call
            .map(|it| expectations(&it.expectations))
            .unwrap_or_default();
        let awaited: Vec<String> = awaited
            .iter()
            // Schemas are the only thing that may go unchecked.
            .filter(|(key, _)| seen.unchecked.is_none() || *key != "schema")
            .map(|(key, value)| format!("{key} {value}"))
            .collect();
        if let Some(why) = seen.unchecked {
            lines.push(Line::of(
                Role::Warning,
                format!("  unchecked: schema ({why})"),
            ));
        }
        if seen.failure.is_none() && !awaited.is_empty() {
            let awaited = awaited.join(", ");
            let awaited = redactor.cleaned(&awaited);
            lines.push(Line::of(Role::Plain, format!("  as expected: {awaited}")));
        }
        lines.push(match &seen.failure {
            None => Line::of(Role::Success, "  ok"),
            Some((failure, message)) => {
                let message = redactor.cleaned_message(message);
                Line::of(Role::Error, format!("  failed: {}", failure.id()))
                    .add(Role::Plain, format!(" ({message})"))
            }
        });
        lines
    }

    /// What is left to say at the end.
    pub fn end(&mut self) -> Vec<Line> {
        let n_left_out = std::mem::take(&mut self.n_left_out);
        if n_left_out == 0 {
            return Vec::new();
        }
        let words = plural(n_left_out, "more call", "more calls");
        vec![Line::of(Role::Dim, format!("  … and {words} of this step"))]
    }

    /// What the plan says of it.
    fn call_of(&self, seen: &Seen) -> Option<&Call> {
        let step = self.flows.get(seen.flow?)?.steps.get(seen.step)?;
        step.calls.get(seen.call)
    }

    /// The values that were taken and are secret.
    pub fn secrets_taken(&self, seen: &Seen) -> Vec<String> {
        let extracts = self.call_of(seen).into_iter().flat_map(|it| &it.extracts);
        let secret = extracts.zip(&seen.taken).filter(|(it, _)| it.is_secret);
        let mut texts = Vec::new();
        secret.for_each(|(_, json)| each_text(json, |text| texts.push(text.to_string())));
        texts
    }

    fn begin_step(&mut self, seen: &Seen) -> Vec<Line> {
        let step = Some((seen.flow, seen.step));
        if self.step == step {
            return Vec::new();
        }
        self.step = step;
        (self.n_ok, self.n_failed) = (0, 0);
        self.end()
    }

    /// What was said, where it is a message; otherwise the body as it is.
    fn body(
        &self,
        mark: &str,
        said: Option<String>,
        body: &[u8],
        redactor: &Redactor,
        lines: &mut Vec<Line>,
    ) {
        let width = self.columns.saturating_sub(mark.len());
        let (texts, is_cut) = match said {
            Some(json) => {
                let json = without_credentials(&json);
                lay_out(&redactor.cleaned(&json), width, BODY_LINES_MAX)
            }
            None => {
                let text = match no_text(body) {
                    Some(told) => told.into(),
                    None => String::from_utf8_lossy(body),
                };
                let cleaned = redactor.cleaned_message(&text);
                let mut texts = cleaned
                    .lines()
                    .map(|line| cut(line, width, Drawing::Unicode));
                let shown = texts
                    .by_ref()
                    .take(BODY_LINES_MAX)
                    .map(String::from)
                    .collect();
                (shown, texts.next().is_some())
            }
        };
        let rest = is_cut.then(|| format!("… ({} in all)", format_bytes(body.len() as u64)));
        for text in texts
            .into_iter()
            .chain(rest)
            .filter(|text| !text.is_empty())
        {
            lines.push(Line::of(Role::Dim, mark).add(Role::Plain, text));
        }
    }
}

/// What is a credential by its name in a request or an answer: it may stand
/// elsewhere, too.
pub fn secrets(seen: &Seen) -> Vec<String> {
    let bodies = [sent(&seen.wire.request), came(&seen.wire.answer)];
    let said = bodies.iter().flatten();
    said.flat_map(|json| credentials_in(json)).collect()
}

fn session_line(seen: &Seen) -> Line {
    let what = match seen.row.kind {
        RowKind::Handshake => "session opened",
        _ => "session ended",
    };
    let took = format_latency(nanos(seen.latency));
    match &seen.failure {
        None => Line::of(Role::Dim, format!("{what}: {} in {took}", seen.row.method)),
        Some((failure, message)) => Line::of(Role::Error, format!("failed: {}: ", seen.row.method))
            .add(Role::Plain, format!("{} ({message})", failure.id())),
    }
}

/// `200, 1.3 KiB in 8.1 ms`.
fn answer_head(seen: &Seen) -> String {
    let took = format_latency(nanos(seen.latency));
    match seen.wire.status {
        Some(status) => format!("{status}, {} in {took}", format_bytes(seen.n_bytes)),
        None => format!("no answer in {took}"),
    }
}

/// The parameters of a request, without the protocol's own.
fn sent(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Request<'a> {
        #[serde(borrow)]
        params: Option<Members<'a>>,
    }
    let request: Request<'_> = serde_json::from_slice(body).ok()?;
    Some(
        request
            .params
            .map(|params| params.without("_meta"))
            .unwrap_or_default(),
    )
}

/// The result or the error of an answer: of JSON, or of the last event of a stream
/// that has one.
fn came(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    if let Some(answer) = answer(text) {
        return Some(answer);
    }
    let text = text.replace("\r\n", "\n");
    let events = text.split("\n\n").map(|event| {
        let data = event.lines().filter_map(|line| line.strip_prefix("data:"));
        data.map(|data| data.strip_prefix(' ').unwrap_or(data))
            .collect::<Vec<_>>()
            .join("\n")
    });
    events.filter_map(|event| answer(&event)).last()
}

fn answer(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        result: Option<&'a RawValue>,
        #[serde(borrow)]
        error: Option<&'a RawValue>,
    }
    let answer: Answer<'_> = serde_json::from_str(text).ok()?;
    let shown = answer.result.or(answer.error)?;
    Some(shown.get().to_string())
}

/// The members of a JSON object as they are written, in their order.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl Members<'_> {
    /// The object without this member; empty where nothing is left.
    fn without(&self, name: &str) -> String {
        let members = self.0.iter().filter(|(member, _)| member != name);
        let members: Vec<String> = members
            .map(|(name, value)| format!("{}:{}", serde_json::Value::from(name.as_str()), value))
            .collect();
        match members.is_empty() {
            true => String::new(),
            false => format!("{{{}}}", members.join(",")),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expect::Unchecked;
    use crate::metrics::Failure;
    use crate::outcome::{Row, WireCopy};
    use crate::scenario::{Overrides, Source, load};
    use std::time::Duration;

    fn seen(request: &str, answer: &str) -> Seen {
        Seen {
            flow: Some(0),
            step: 0,
            call: 0,
            taken: Vec::new(),
            row: Row {
                subject: Some("whoami".to_string()),
                ..Row::new(RowKind::Call, "tools/call")
            },
            wire: WireCopy {
                request: request.into(),
                answer: answer.into(),
                status: Some(200),
            },
            n_bytes: 343,
            latency: Duration::from_micros(810),
            unchecked: None,
            failure: None,
        }
    }

    fn shown(page: &mut TrialPage, seen: &Seen) -> Vec<String> {
        let secrets = secrets(seen);
        let redactor = Redactor::new(secrets.iter().map(String::as_str));
        let lines = page.lines(seen, &redactor);
        lines.iter().map(Line::text).collect()
    }

    const REQUEST: &str = r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"_meta":{"a":1},
        "name":"whoami","arguments":{"token":"t0ps3cret","n":12345678901234567890123}}}"#;

    #[test]
    fn a_call_is_shown_as_it_was_sent_without_secrets() {
        let answer = r#"{"jsonrpc":"2.0","id":3,"result":{"content":[{"type":"text","text":"u of t0ps3cret"}]}}"#;
        let mut page = TrialPage::of(Layout::endless(), Vec::new());
        assert_eq!(
            shown(&mut page, &seen(REQUEST, answer)),
            [
                "",
                "tools/call whoami",
                "  > tools/call",
                r#"  > { "name": "whoami", "arguments": { "token": "***", "n": 12345678901234567890123 } }"#,
                "  < 200, 343 B in 810 us",
                r#"  < { "content": [{ "type": "text", "text": "u of ***" }] }"#,
                "  ok",
            ]
        );
    }

    #[test]
    fn what_was_not_sent_is_not_shown_as_a_request() {
        use crate::metrics::TemplateFailure;
        let mut page = TrialPage::of(Layout::endless(), Vec::new());
        let mut unsent = seen("", "");
        unsent.wire.status = None;
        let failure = Failure::Template(TemplateFailure::NoValue);
        unsent.failure = Some((failure, "no answer brought `token`".to_string()));
        assert_eq!(
            shown(&mut page, &unsent),
            [
                "",
                "tools/call whoami",
                "  not sent: template.no_value (no answer brought `token`)",
            ]
        );
    }

    #[test]
    fn of_a_stream_the_answer_is_shown() {
        let event = "event: message\r\ndata: {\"method\":\"notifications/progress\"}\r\n\r\n\
                     id: 7\r\ndata: {\"id\":3,\r\ndata: \"error\":{\"code\":-1}}\r\n\r\n";
        assert_eq!(came(event.as_bytes()).as_deref(), Some(r#"{"code":-1}"#));
        assert_eq!(came(b"<html>"), None);
        assert_eq!(came(b"\xff"), None);
    }

    #[test]
    fn what_is_no_answer_is_shown_too() {
        let mut page = TrialPage::of(Layout::endless(), Vec::new());
        let mut bad = seen("", "<html>\u{1b}[31m \u{202e}no</html>");
        bad.failure = Some((Failure::Tool, "it said no".to_string()));
        let lines = shown(&mut page, &bad);
        let tail = &lines[lines.len() - 2..];
        assert_eq!(
            tail,
            [
                "  < <html>\u{20}[31m  no</html>",
                "  failed: tool.is_error (it said no)"
            ]
        );
    }

    #[test]
    fn what_went_unchecked_is_not_called_as_expected() {
        let plan = trial_of("expect = { schema = true, contains = \"a\" }");
        let mut page = TrialPage::of(Layout::endless(), plan.flows);
        let mut unchecked = seen("{}", "{}");
        let lines = shown(&mut page, &unchecked);
        assert!(
            lines.contains(&"  as expected: contains \"a\", schema true".to_string()),
            "{lines:?}"
        );
        unchecked.unchecked = Some(Unchecked::NoSchema);
        let lines = shown(&mut page, &unchecked);
        let tail = &lines[lines.len() - 3..];
        assert_eq!(
            tail,
            [
                "  unchecked: schema (the tool has no output schema)",
                "  as expected: contains \"a\"",
                "  ok",
            ]
        );
    }

    #[test]
    fn a_secret_that_is_a_list_is_hidden_in_its_parts() {
        let plan = trial_of("extract = { keys = \"$.structuredContent\" }\nsecret = [\"keys\"]");
        let page = TrialPage::of(Layout::endless(), plan.flows);
        let mut with_keys = seen("{}", "{}");
        with_keys.taken = vec![r#"{"a": "leaf-1", "b": ["leaf-2", 4711, "x"]}"#.to_string()];
        let mut found = page.secrets_taken(&with_keys);
        found.sort_unstable();
        assert_eq!(found, ["4711", "leaf-1", "leaf-2"]);
    }

    fn trial_of(step: &str) -> Plan {
        let source = Source {
            path: "a.toml".into(),
            text: format!(
                "[settings]\nurl = \"http://127.0.0.1:1/mcp\"\niterations = 1\n\
                 [[scenario]]\ntype = \"tools/call\"\ntool = \"whoami\"\n{step}\n"
            ),
        };
        match load(Some(&source), &Overrides::default(), &|_| None, 1) {
            Ok(plan) => plan,
            Err(faults) => panic!("{faults}"),
        }
    }

    #[test]
    fn of_many_calls_a_few_are_shown() {
        let mut page = TrialPage::of(Layout::endless(), Vec::new());
        let ok = seen("{}", "{}");
        let failed = Seen {
            failure: Some((Failure::Tool, "no".to_string())),
            ..ok.clone()
        };
        let calls = std::iter::repeat_n(&ok, 10).chain(std::iter::repeat_n(&failed, 10));
        let n_shown = calls
            .filter(|call| !shown(&mut page, call).is_empty())
            .count();
        assert_eq!(n_shown, 6);
        let next = Seen { step: 1, ..ok };
        assert_eq!(
            shown(&mut page, &next)[0],
            "  … and 14 more calls of this step"
        );
        assert_eq!(page.end(), []);
    }
}
