//! What a modern server asks within a result, and the answers that go with the retry.
//!
//! What is answered to which question is said in `requests.rs`.

use serde_json::{Map, Value};

use super::fault::{FaultKind, ProtocolFault, excerpt};
use super::fields::{json_text, read_fields, read_members, read_string};
use super::requests::{self, Unanswered};

/// One question of a modern server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputRequest {
    /// The server's name for it, which the answer carries too.
    pub key: String,
    /// `elicitation/create`, `sampling/createMessage` or `roots/list`.
    pub method: String,
    /// Its params as JSON; `null` where there are none.
    pub params_json: String,
}

/// A result of the type `input_required`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputRequired {
    /// The questions; empty where the server only wants to be asked again.
    pub requests: Vec<InputRequest>,
    /// How many there are: of more than can be answered only the first are
    /// kept.
    n_requests: usize,
    /// Whether there was an `inputRequests` at all: the retry mirrors it.
    has_requests: bool,
    /// `requestState` as JSON, which goes back byte by byte.
    state_json: Option<String>,
}

impl InputRequired {
    /// Reads it from the text of a result.
    pub(super) fn read(result: &str) -> Result<Self, ProtocolFault> {
        let bad = || ProtocolFault::new(FaultKind::BadResult, excerpt(result.as_bytes()));
        let [requests, state] =
            read_fields(result, ["inputRequests", "requestState"]).ok_or_else(bad)?;
        if requests.is_none() && state.is_none() {
            return Err(bad());
        }
        let (questions, n_requests) = requests
            .map_or(Some((Vec::new(), 0)), read_questions)
            .ok_or_else(bad)?;
        Ok(Self {
            requests: questions,
            n_requests,
            has_requests: requests.is_some(),
            state_json: state.map(str::to_string),
        })
    }

    /// Answers every question.
    ///
    /// # Errors
    /// `UnknownInput` where a question is of a kind that we did not declare, or
    /// there are more than a hundred.
    pub fn answer(&self) -> Result<InputAnswers, ProtocolFault> {
        let n_questions = self.n_requests;
        if n_questions > QUESTIONS_MAX {
            return Err(ProtocolFault::new(
                FaultKind::UnknownInput,
                format!("{n_questions} questions at once; at most {QUESTIONS_MAX} are answered"),
            ));
        }
        let responses = answers_json(&self.requests)?;
        Ok(InputAnswers::new(
            self.has_requests.then_some(responses),
            self.state_json.clone(),
        ))
    }
}

/// The first hundred questions of an `inputRequests`, and how many there are.
pub(super) fn read_questions(json: &str) -> Option<(Vec<InputRequest>, usize)> {
    let (members, n_questions) = read_members(json, QUESTIONS_MAX)?;
    let questions = members.into_iter().map(|(key, request)| {
        let [method, params] = read_fields(request, ["method", "params"])?;
        Some(InputRequest {
            key,
            method: read_string(method?)?,
            params_json: params.unwrap_or("null").to_string(),
        })
    });
    Some((questions.collect::<Option<_>>()?, n_questions))
}

/// The answers of one round trip, for [`super::RequestBody::retry`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputAnswers {
    pub(super) responses_json: Option<String>,
    pub(super) state_json: Option<String>,
}

impl InputAnswers {
    pub(super) fn new(responses_json: Option<String>, state_json: Option<String>) -> Self {
        Self {
            responses_json,
            state_json,
        }
    }
}

/// The most questions of one result that are answered: a person is asked for a handful.
const QUESTIONS_MAX: usize = 100;

/// The JSON of the answers to questions, by their keys.
///
/// # Errors
/// `UnknownInput` where a question is of a kind that we did not declare.
pub fn answers_json<'a>(
    questions: impl IntoIterator<Item = &'a InputRequest>,
) -> Result<String, ProtocolFault> {
    let mut answers = Map::new();
    for question in questions {
        answers.insert(question.key.clone(), answer_input(question)?);
    }
    Ok(json_text(&answers))
}

/// The answer to one question.
fn answer_input(request: &InputRequest) -> Result<Value, ProtocolFault> {
    requests::answer(&request.method, &request.params_json).map_err(|unanswered| {
        let method = excerpt(request.method.as_bytes());
        let how = match unanswered {
            Unanswered::UnknownMethod => "",
            Unanswered::ByUrl => " by url",
        };
        ProtocolFault::new(FaultKind::UnknownInput, format!("`{method}`{how}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answers(result: &str) -> (Option<String>, Option<String>) {
        let required = InputRequired::read(result).expect("an input_required result");
        let answers = required.answer().expect("known questions");
        (answers.responses_json, answers.state_json)
    }

    #[test]
    fn all_three_kinds_are_answered() {
        let (responses, state) = answers(
            r#"{"resultType":"input_required","requestState":"a\u00e9\"\\","inputRequests":{
            "e":{"method":"elicitation/create","params":{"message":"?","requestedSchema":{"properties":{"ok":{"type":"boolean"}},"required":["ok"]}}},
            "s":{"method":"sampling/createMessage","params":{"messages":[],"maxTokens":5}},
            "r":{"method":"roots/list"}}}"#,
        );
        assert_eq!(
            responses.as_deref(),
            Some(
                r#"{"e":{"action":"accept","content":{"ok":true}},"s":{"role":"assistant","content":{"type":"text","text":"A canned message of a load tester."},"model":"pmcp-loadtest","stopReason":"endTurn"},"r":{"roots":[]}}"#
            )
        );
        assert_eq!(state.as_deref(), Some(r#""a\u00e9\"\\""#));
    }

    #[test]
    fn a_retry_mirrors_what_was_there() {
        assert_eq!(
            answers(r#"{"requestState":"s"}"#),
            (None, Some("\"s\"".to_string()))
        );
        assert_eq!(
            answers(r#"{"inputRequests":{}}"#),
            (Some("{}".to_string()), None)
        );
        for bad in [
            "{}",
            "[]",
            r#"{"inputRequests":[]}"#,
            r#"{"inputRequests":{"a":1}}"#,
            r#"{"inputRequests":{"a":{}}}"#,
        ] {
            let fault = InputRequired::read(bad).expect_err(bad);
            assert_eq!(fault.kind(), FaultKind::BadResult);
        }
    }

    #[test]
    fn unknown_questions_are_a_fault() {
        for (request, detail) in [
            (r#"{"method":"ping"}"#, "`ping`"),
            (
                r#"{"method":"elicitation/create","params":{"mode":"url"}}"#,
                "`elicitation/create` by url",
            ),
        ] {
            let result = format!(r#"{{"inputRequests":{{"a":{request}}}}}"#);
            let required = InputRequired::read(&result).expect("readable");
            let fault = required.answer().expect_err("not ours to answer");
            assert_eq!(fault.kind(), FaultKind::UnknownInput);
            assert_eq!(fault.detail(), detail);
        }
    }

    #[test]
    fn questions_without_end_are_a_fault() {
        let result = |n: usize| {
            let questions: Vec<String> = (0..n)
                .map(|n| format!(r#""q{n}":{{"method":"roots/list"}}"#))
                .collect();
            format!(r#"{{"inputRequests":{{{}}}}}"#, questions.join(","))
        };
        let read = |n| InputRequired::read(&result(n)).expect("readable");
        let answered = |n| read(n).answer();
        assert_eq!(read(100_000).requests.len(), 100);
        assert!(answered(100).is_ok());
        let fault = answered(100_000).expect_err("too many");
        assert_eq!(fault.kind(), FaultKind::UnknownInput);
        assert_eq!(
            fault.detail(),
            "100000 questions at once; at most 100 are answered"
        );
    }

    proptest! {
        #[test]
        fn no_params_panic(text: String) {
            for method in ["elicitation/create", "sampling/createMessage", "x"] {
                let request = InputRequest {
                    key: "k".to_string(),
                    method: method.to_string(),
                    params_json: text.clone(),
                };
                let _any_answer_will_do = answer_input(&request);
            }
            let _any_answer_will_do = InputRequired::read(&text);
        }
    }
}
