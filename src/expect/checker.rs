//! One answer judged: by what is awaited of it, then by what is taken out of it.

use std::borrow::Cow;
use std::fmt;

use super::schema::ResultSchema;
use super::source::TEXT_BYTES_MAX;
use super::texts::{any_text, is_equal};
use super::{Answer, Awaited, Expectations, Extract, SchemaShare, Unchecked};
use crate::error::shortened;
use crate::metrics::{ExpectFailure, ExtractFailure, Failure};
use crate::protocol::excerpt;

/// The output schema of the tool that is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputSchema<'a> {
    /// It is not known: the server did not list the tool, or it is no tool.
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
        let missed = match (awaited.status, awaited.code) {
            (Some(status), _) if answer.status != Some(status) => {
                Some((ExpectFailure::Status, format!("status {status}")))
            }
            (_, Some(code)) if answer.code != Some(code) => {
                Some((ExpectFailure::Code, format!("JSON-RPC error {code}")))
            }
            _ if awaited.is_error && !answer.is_tool_error => {
                Some((ExpectFailure::IsError, "`isError: true`".to_string()))
            }
            _ => None,
        };
        let text = |(_, what): &(_, String)| format!("{what} is awaited; ");
        let text = missed.as_ref().map_or_else(String::new, text) + &came(answer.body());
        match (answer.failure(), missed) {
            (Some(own), missed) if missed.is_some() || !awaited.awaits_failure() => {
                Err((own, text))
            }
            (None, Some((missed, _))) => Err((Failure::Expect(missed), text)),
            _ => Ok(()),
        }
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
