//! One answer judged: by what is awaited of it, then by what is taken out of it.

use std::borrow::Cow;
use std::fmt;

use super::path::TEXT_BYTES_MAX;
use super::schema::ResultSchema;
use super::texts::{any_text, is_equal};
use super::{Answer, Awaited, Expectations, Extract, SchemaShare, Unchecked};
use crate::error::shortened;
use crate::metrics::{ExpectFailure, ExtractFailure, Failure};
use crate::protocol::excerpt;

/// The output schema of the tool that is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputSchema<'a> {
    /// It is not known: the server did not list the tool, or it is not a tool.
    NotListed,
    /// The tool has none.
    Missing,
    /// The JSON text.
    Text(&'a str),
}

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checked {
    /// Why the call failed, and what is to be shown of it. The text holds what the server
    /// sent, bounded: the caller takes secrets out.
    pub failure: Option<(Failure, String)>,
    /// Why a part of it could not be judged.
    pub unchecked: Option<Unchecked>,
}

/// What is awaited of the answers of one call, and taken out of them.
#[derive(Debug)]
pub struct Checker {
    extracts: Vec<Extract>,
    expectations: Expectations,
    /// The tool's output schema, or why nothing can be held against it.
    schema: Result<ResultSchema, Unchecked>,
}

impl Checker {
    /// Compiles what is awaited of a call's answers.
    pub fn new(
        extracts: &[Extract],
        expectations: &Expectations,
        output_schema: OutputSchema<'_>,
    ) -> Self {
        let schema = match output_schema {
            OutputSchema::NotListed => Err(Unchecked::ToolNotListed),
            OutputSchema::Missing => Err(Unchecked::NoSchema),
            // Nothing is compiled that nobody asks for.
            OutputSchema::Text(_) if expectations.schema.is_none() => Err(Unchecked::NoSchema),
            OutputSchema::Text(text) => ResultSchema::new(text),
        };
        Self {
            extracts: extracts.to_vec(),
            expectations: expectations.clone(),
            schema,
        }
    }

    /// Judges an answer, and appends the values that are taken out of it, in order, as
    /// JSON texts. A call that failed with a status, a JSON-RPC error or `isError` is
    /// judged, too: it is right where the failure is awaited, and else fails with its own
    /// cause. Where the call failed, `values` holds nothing of use.
    pub fn check(
        &self,
        answer: &Answer<'_>,
        random: &mut fastrand::Rng,
        values: &mut Vec<String>,
    ) -> Checked {
        let mut unchecked = None;
        let judged = self.judge(answer, random, &mut unchecked);
        let judged = judged.and_then(|()| {
            for extract in &self.extracts {
                let value = extract.source.find(answer, random).map_err(|no_match| {
                    let text = format!("`{}`: {no_match}", extract.name);
                    (Failure::Extract(ExtractFailure::NoMatch), text)
                })?;
                values.push(value);
            }
            Ok(())
        });
        Checked {
            failure: judged.err(),
            unchecked,
        }
    }

    fn judge(
        &self,
        answer: &Answer<'_>,
        random: &mut fastrand::Rng,
        unchecked: &mut Option<Unchecked>,
    ) -> Result<(), (Failure, String)> {
        let awaited = &self.expectations;
        self.judge_kind(answer)?;
        if awaited.max_bytes.is_some_and(|most| answer.n_bytes > most) {
            let most = awaited.max_bytes.unwrap_or_default();
            let text = format!("at most {most} bytes are awaited; {} came", answer.n_bytes);
            return Err((Failure::Expect(ExpectFailure::MaxBytes), text));
        }
        for equals in &awaited.equals {
            let failure = ExpectFailure::Equals;
            let json = located(equals, answer, random, failure)?;
            if !is_equal(&json, &equals.value) {
                return Err(violated(failure, equals, &equals.value, &json));
            }
        }
        for contains in &awaited.contains {
            let failure = ExpectFailure::Contains;
            let json = located(contains, answer, random, failure)?;
            if !any_text(&json, |text| text.contains(contains.value.as_str())) {
                return Err(violated(failure, contains, &contains.value, &json));
            }
        }
        for matches in &awaited.matches {
            let failure = ExpectFailure::Matches;
            let json = located(matches, answer, random, failure)?;
            if json.len() > TEXT_BYTES_MAX {
                unchecked.get_or_insert(Unchecked::LargeResult);
            } else if !any_text(&json, |text| matches.value.is_in(text)) {
                return Err(violated(failure, matches, &matches.value, &json));
            }
        }
        match (awaited.schema, answer.result) {
            (Some(share), Some(result)) if !answer.is_tool_error => {
                let is_sampled = share == SchemaShare::ALL || random.f64() < share.get();
                match is_sampled {
                    true => self.judge_schema(result, unchecked),
                    false => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// Holds the result against the tool's output schema.
    fn judge_schema(
        &self,
        result: &str,
        unchecked: &mut Option<Unchecked>,
    ) -> Result<(), (Failure, String)> {
        let judged = match &self.schema {
            Ok(schema) => schema.judge(result),
            Err(why) => Err(*why),
        };
        match judged {
            Ok(None) => Ok(()),
            Ok(Some(what)) => Err((Failure::Expect(ExpectFailure::Schema), what)),
            Err(why) => {
                unchecked.get_or_insert(why);
                Ok(())
            }
        }
    }

    /// Whether it is the sort of answer that is awaited. One that failed otherwise fails
    /// with its own cause.
    fn judge_kind(&self, answer: &Answer<'_>) -> Result<(), (Failure, String)> {
        let awaited = &self.expectations;
        let own = answer.failure();
        let is_status = awaited
            .status
            .is_none_or(|status| answer.status == Some(status));
        let is_code = awaited.code.is_none_or(|code| answer.code == Some(code));
        let missed = match (is_status, is_code) {
            (false, _) => Some(ExpectFailure::Status),
            (_, false) => Some(ExpectFailure::Code),
            _ => (awaited.is_error && !answer.is_tool_error).then_some(ExpectFailure::IsError),
        };
        let is_right = missed.is_none() && (own.is_none() || awaited.awaits_failure());
        if is_right {
            return Ok(());
        }
        // Words cost more than the judgement: only a failure has them.
        let what = match (missed, awaited.status, awaited.code) {
            (Some(ExpectFailure::Status), Some(status), _) => {
                format!("status {status} is awaited; ")
            }
            (Some(ExpectFailure::Code), _, Some(code)) => {
                format!("JSON-RPC error {code} is awaited; ")
            }
            (Some(_), ..) => "`isError: true` is awaited; ".to_string(),
            (None, ..) => String::new(),
        };
        let failure = own.or(missed.map(Failure::Expect));
        failure.map_or(Ok(()), |failure| {
            Err((failure, what + &came(answer.body())))
        })
    }
}

/// What is judged, as JSON.
fn located<'a, T>(
    awaited: &Awaited<T>,
    answer: &Answer<'a>,
    random: &mut fastrand::Rng,
    failure: ExpectFailure,
) -> Result<Cow<'a, str>, (Failure, String)> {
    let Some(source) = &awaited.source else {
        return Ok(Cow::Borrowed(answer.body()));
    };
    source
        .locate(answer, random)
        .map_err(|no_match| (Failure::Expect(failure), no_match.to_string()))
}

/// What was awaited where, and what came.
fn violated<T>(
    failure: ExpectFailure,
    awaited: &Awaited<T>,
    shown: &dyn fmt::Display,
    json: &str,
) -> (Failure, String) {
    let verb = match failure {
        ExpectFailure::Contains => "a text with ",
        ExpectFailure::Matches => "a text that matches ",
        _ => "",
    };
    let shown = shortened(&shown.to_string());
    let place = awaited.source.as_ref();
    let place = place.map_or_else(String::new, |source| format!(" at `{source}`"));
    let text = format!("{verb}`{shown}` is awaited{place}; {}", came(json));
    (Failure::Expect(failure), text)
}

fn came(json: &str) -> String {
    match json {
        "" => "nothing came".to_string(),
        _ => format!("{} came", excerpt(json.as_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expect::{Source, TextPattern};
    use serde_json::{Value, json};

    fn awaited<T>(source: &str, value: T) -> Vec<Awaited<T>> {
        let parse = |text| Source::parse(text).expect("a source");
        let source = Some(source).filter(|text| !text.is_empty()).map(parse);
        vec![Awaited { source, value }]
    }

    fn contains(source: &str, text: &str) -> Expectations {
        Expectations {
            contains: awaited(source, text.to_string()),
            ..Expectations::default()
        }
    }

    fn matches(source: &str, pattern: &str) -> Expectations {
        Expectations {
            matches: awaited(source, TextPattern::new(pattern).expect("a pattern")),
            ..Expectations::default()
        }
    }

    fn equals(source: &str, value: Value) -> Expectations {
        Expectations {
            equals: awaited(source, value),
            ..Expectations::default()
        }
    }

    fn check(expectations: &Expectations, answer: &Answer<'_>) -> Checked {
        let checker = Checker::new(&[], expectations, OutputSchema::Missing);
        checker.check(answer, &mut fastrand::Rng::with_seed(1), &mut Vec::new())
    }

    fn of_result(result: &str) -> Answer<'_> {
        Answer {
            result: Some(result),
            n_bytes: result.len() as u64,
            status: Some(200),
            ..Answer::default()
        }
    }

    const RESULT: &str = r#"{"content":[{"type":"text","text":"say \"ja\"\nok"}],"n":10.0,"big":12345678901234567890123}"#;

    #[test]
    fn what_is_awaited_is_told_with_what_came() {
        let max_bytes = |max_bytes| Expectations {
            max_bytes: Some(max_bytes),
            ..Expectations::default()
        };
        let text = "$.content[0].text";
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        for (expectations, result, expected) in [
            (Expectations::default(), RESULT, None),
            (contains("", "say \"ja\""), RESULT, None),
            (contains("", r#""n":10"#), RESULT, None),
            (contains(text, "\"ja"), RESULT, None),
            (contains(text, "\",\""), RESULT, Some("expect.contains")),
            (contains("", "nein"), RESULT, Some("expect.contains")),
            (contains("$.nothing", "a"), RESULT, Some("expect.contains")),
            (matches("", "^ok|^say"), RESULT, None),
            (matches(text, "(?m)^ok$"), RESULT, None),
            (matches(text, "^ok$"), RESULT, Some("expect.matches")),
            (equals("$.n", json!(10)), RESULT, None),
            (equals("$.n", json!(11)), RESULT, Some("expect.equals")),
            (equals("$.n", json!("10")), RESULT, Some("expect.equals")),
            (equals("$..type | count", json!(1)), RESULT, None),
            (
                equals("", json!({"b": [1, null], "a": ""})),
                r#"{"a":"","b":[1.0,null]}"#,
                None,
            ),
            (
                equals("", json!({"a": 1})),
                r#"{"a":1,"b":2}"#,
                Some("expect.equals"),
            ),
            (equals("", json!([])), &deep, Some("expect.equals")),
            (max_bytes(RESULT.len() as u64), RESULT, None),
            (max_bytes(10), RESULT, Some("expect.max_bytes")),
        ] {
            let failure = check(&expectations, &of_result(result)).failure;
            let id = failure.as_ref().map(|(failure, _)| failure.id());
            assert_eq!(id.as_deref(), expected, "{expectations:?}: {failure:?}");
            let message = failure.map(|(_, message)| message).unwrap_or_default();
            assert!(message.len() < 3000, "{message}");
        }
        let failure = check(&contains("$.n", "7"), &of_result(RESULT)).failure;
        let (_, message) = failure.expect("it is violated");
        assert_eq!(message, "a text with `7` is awaited at `$.n`; 10.0 came");
    }

    #[test]
    fn a_failure_is_right_where_it_is_awaited_and_keeps_its_cause_elsewhere() {
        let error = r#"{"code":-32602,"message":"no"}"#;
        let rpc = |code| Answer {
            error: Some(error),
            code: Some(code),
            status: Some(200),
            ..Answer::default()
        };
        let http = |status| Answer {
            status: Some(status),
            ..Answer::default()
        };
        let tool = Answer {
            is_tool_error: true,
            ..of_result(r#"{"content":[],"isError":true}"#)
        };
        let fine = of_result("{}");
        let none = Expectations::default();
        let code = Expectations {
            code: Some(-32602),
            ..none.clone()
        };
        let status = Expectations {
            status: Some(401),
            ..none.clone()
        };
        let is_error = Expectations {
            is_error: true,
            ..none.clone()
        };
        let says_no = Expectations {
            code: Some(-32602),
            ..contains("$.message", "no")
        };
        let says_yes = Expectations {
            code: Some(-32602),
            ..contains("", "yes")
        };
        for (expectations, answer, expected) in [
            (&code, rpc(-32602), None),
            (&code, rpc(-32603), Some("jsonrpc.-32603")),
            (
                &code,
                Answer {
                    status: Some(400),
                    ..rpc(-32602)
                },
                None,
            ),
            (&code, fine, Some("expect.code")),
            (&status, http(401), None),
            (&status, http(500), Some("http.500")),
            (&status, fine, Some("expect.status")),
            (&is_error, tool, None),
            (&is_error, fine, Some("expect.is_error")),
            (&is_error, rpc(-32602), Some("jsonrpc.-32602")),
            (&none, tool, Some("tool.is_error")),
            (&none, http(503), Some("http.503")),
            (&says_no, rpc(-32602), None),
            (&says_yes, rpc(-32602), Some("expect.contains")),
        ] {
            let failure = check(expectations, &answer).failure;
            let id = failure.as_ref().map(|(failure, _)| failure.id());
            assert_eq!(id.as_deref(), expected, "{expectations:?} of {answer:?}");
        }
    }

    fn by_schema(
        schema: OutputSchema<'_>,
        answer: &Answer<'_>,
    ) -> (Option<String>, Option<Unchecked>) {
        let expectations = Expectations {
            schema: Some(SchemaShare::ALL),
            ..Expectations::default()
        };
        let checker = Checker::new(&[], &expectations, schema);
        let checked = checker.check(answer, &mut fastrand::Rng::with_seed(1), &mut Vec::new());
        (
            checked.failure.map(|(_, message)| message),
            checked.unchecked,
        )
    }

    #[test]
    fn results_are_held_against_the_output_schema() {
        let schema =
            OutputSchema::Text(r#"{"type":"object","properties":{"n":{"type":"integer"}}}"#);
        let right = r#"{"content":[],"structuredContent":{"n":1}}"#;
        assert_eq!(by_schema(schema, &of_result(right)), (None, None));
        let wrong = r#"{"content":[],"structuredContent":{"n":"one"}}"#;
        let (failure, unchecked) = by_schema(schema, &of_result(wrong));
        let message = failure.expect("it breaks the schema");
        assert_eq!(
            message,
            "`structuredContent` breaks the output schema: n: value is not of type \"integer\"; \
             \"one\" came"
        );
        assert_eq!(unchecked, None);
        let (missing, _) = by_schema(schema, &of_result(r#"{"content":[]}"#));
        assert!(
            missing
                .expect("it is missing")
                .contains("no `structuredContent`")
        );
        // A failed tool has nothing to keep to, and fails as such.
        let failed = Answer {
            is_tool_error: true,
            ..of_result(wrong)
        };
        let (failure, _) = by_schema(schema, &failed);
        assert!(!failure.expect("it failed").contains("schema"));
    }

    #[test]
    fn what_cannot_be_judged_is_told_and_no_failure() {
        let right = r#"{"structuredContent":{"n":1}}"#;
        let large = format!(r#"{{"structuredContent":["{}"]}}"#, "x".repeat(300_000));
        let deep = format!(
            r#"{{"structuredContent":{}{}}}"#,
            "[".repeat(200),
            "]".repeat(200)
        );
        for (schema, result, why) in [
            (OutputSchema::NotListed, right, Unchecked::ToolNotListed),
            (OutputSchema::Missing, right, Unchecked::NoSchema),
            (OutputSchema::Text("{"), right, Unchecked::BadSchema),
            (
                OutputSchema::Text(r#"{"$schema":"urn:own"}"#),
                right,
                Unchecked::UnknownDialect,
            ),
            (
                OutputSchema::Text(r#"{"$ref":"http://a/b"}"#),
                right,
                Unchecked::RemoteReference,
            ),
            (
                OutputSchema::Text(r##"{"$ref":"#"}"##),
                right,
                Unchecked::EndlessReference,
            ),
            (
                OutputSchema::Text(r#"{"pattern":"(?!a)"}"#),
                right,
                Unchecked::Pattern,
            ),
            (OutputSchema::Text("{}"), &large, Unchecked::LargeResult),
            (OutputSchema::Text("{}"), &deep, Unchecked::DeepResult),
        ] {
            assert_eq!(
                by_schema(schema, &of_result(result)),
                (None, Some(why)),
                "{schema:?}"
            );
        }
    }

    #[test]
    fn values_are_taken_in_order_and_a_missing_one_fails_the_call() {
        let extract = |name: &str, source: &str| Extract {
            name: name.to_string(),
            source: Source::parse(source).expect("a source"),
            is_secret: false,
        };
        let extracts = [extract("n", "$.n"), extract("big", "$..big")];
        let checker = Checker::new(&extracts, &Expectations::default(), OutputSchema::Missing);
        let mut rng = fastrand::Rng::with_seed(1);
        let mut values = Vec::new();
        let checked = checker.check(&of_result(RESULT), &mut rng, &mut values);
        assert_eq!(checked, Checked::default());
        assert_eq!(values, ["10.0", "12345678901234567890123"]);
        let checked = checker.check(&of_result(r#"{"n":1,"x":2}"#), &mut rng, &mut values);
        let (failure, message) = checked.failure.expect("a value is missing");
        assert_eq!(failure.id(), "extract.no_match");
        assert_eq!(
            message,
            "`big`: `$..big` finds nothing: an object with `n`, `x`"
        );
    }

    proptest::proptest! {
        #[test]
        fn no_answer_panics(result: String, structured in "[\\[\\]{}:,\"a0-1 \\\\]{0,30}") {
            let structured = format!(r#"{{"structuredContent":{structured}}}"#);
            for result in [&result, &structured] {
                for expectations in [contains("$..a", "a"), matches("", "a"), equals("$", json!(1))] {
                    let _any = check(&expectations, &of_result(result));
                }
                let _any = by_schema(OutputSchema::Text(r#"{"items":{"type":"null"}}"#), &of_result(result));
            }
        }
    }
}
