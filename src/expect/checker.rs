//! One answer judged: by what is awaited of it, then by what is taken out of it.

use super::{Answer, Awaited, Expectations, Extract, Unchecked};
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
    /// Why results cannot be held against the schema.
    unchecked: Option<Unchecked>,
}

impl Checker {
    /// Compiles what is awaited of a call's answers.
    pub fn new(
        extracts: &[Extract],
        expectations: &Expectations,
        output_schema: OutputSchema<'_>,
    ) -> Self {
        let unchecked = match output_schema {
            OutputSchema::NotListed => Unchecked::ToolNotListed,
            OutputSchema::Missing => Unchecked::NoSchema,
            OutputSchema::Text(_) => Unchecked::BadSchema,
        };
        Self {
            extracts: extracts.to_vec(),
            expectations: expectations.clone(),
            unchecked: expectations.schema.map(|_| unchecked),
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
        let judged = self.judge(answer, random).and_then(|()| {
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
            unchecked: self.unchecked,
        }
    }

    fn judge(
        &self,
        answer: &Answer<'_>,
        random: &mut fastrand::Rng,
    ) -> Result<(), (Failure, String)> {
        let awaited = &self.expectations;
        self.judge_kind(answer)?;
        let fails = |what, text| Err((Failure::Expect(what), text));
        if awaited.max_bytes.is_some_and(|most| answer.n_bytes > most) {
            let most = awaited.max_bytes.unwrap_or_default();
            let text = format!("{} bytes, at most {most} are awaited", answer.n_bytes);
            return fails(ExpectFailure::MaxBytes, text);
        }
        for expected in &awaited.equals {
            let (text, place) = found(expected, answer, random, ExpectFailure::Equals)?;
            let value: Option<serde_json::Value> = serde_json::from_str(&text).ok();
            if value.as_ref() != Some(&expected.value) {
                let text = format!("{place}`{}` is awaited; {}", expected.value, came(&text));
                return fails(ExpectFailure::Equals, text);
            }
        }
        for expected in &awaited.contains {
            let (text, place) = found(expected, answer, random, ExpectFailure::Contains)?;
            if !text.contains(&expected.value) {
                let text = format!("{place}`{}` is awaited; {}", expected.value, came(&text));
                return fails(ExpectFailure::Contains, text);
            }
        }
        for expected in &awaited.matches {
            let (text, place) = found(expected, answer, random, ExpectFailure::Matches)?;
            if !expected.value.is_in(&text) {
                let text = format!("{place}`{}` is awaited; {}", expected.value, came(&text));
                return fails(ExpectFailure::Matches, text);
            }
        }
        Ok(())
    }

    /// Whether it is the sort of answer that is awaited.
    fn judge_kind(&self, answer: &Answer<'_>) -> Result<(), (Failure, String)> {
        let awaited = &self.expectations;
        let missed = if awaited.status.is_some() && awaited.status != answer.status {
            Some(ExpectFailure::Status)
        } else if awaited.code.is_some() && awaited.code != answer.code {
            Some(ExpectFailure::Code)
        } else {
            (awaited.is_error && !answer.is_tool_error).then_some(ExpectFailure::IsError)
        };
        match (answer.failure(), missed) {
            (None, None) => Ok(()),
            (Some(_), None) if awaited.awaits_failure() => Ok(()),
            (Some(own), _) => Err((own, came(answer.body()))),
            (None, Some(missed)) => Err((Failure::Expect(missed), came(answer.body()))),
        }
    }
}

fn came(text: &str) -> String {
    format!("what came: {}", excerpt(text.as_bytes()))
}

/// What is judged, and the words for its place.
fn found<T>(
    awaited: &Awaited<T>,
    answer: &Answer<'_>,
    random: &mut fastrand::Rng,
    failure: ExpectFailure,
) -> Result<(String, String), (Failure, String)> {
    let Some(source) = &awaited.source else {
        return Ok((answer.body().to_string(), String::new()));
    };
    match source.find(answer, random) {
        Ok(text) => Ok((text, format!("at `{source}` "))),
        Err(no_match) => Err((Failure::Expect(failure), no_match.to_string())),
    }
}
