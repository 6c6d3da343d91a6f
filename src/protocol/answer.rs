//! Judges one message as the answer to one request.
//!
//! An answer is only a message with our id, with `result` or `error`, and
//! without `method`. Where the message came from, a JSON body or an event of a
//! stream, is all that is known of HTTP here; how bytes arrive is the reader's
//! business.

use std::ops::ControlFlow;

use super::fault::{FaultKind, ProtocolFault, excerpt};
use super::fields::{Looked, look_at_elements, read_fields, read_string};
use super::input::InputRequired;
use super::jsonrpc::{
    ErrorFlag, Glance, Id, Message, ResultForm, ResultType, RpcError, has_error_code, read_message,
};
use super::operation::Method;
use super::requests::ServerRequest;
use super::scan::Scan;
use super::tasks::TaskState;
use crate::text::shown_text;

/// What answer is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expect {
    /// The id of the request.
    pub id: u64,
    /// Its method; `None` for the handshake's, and for one that is not known here.
    pub method: Option<Method>,
    /// Whether the result's text is kept.
    pub kept: KeptAnswers,
}

/// Of which answers the text is kept. It costs a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptAnswers {
    /// Of none: only the outcome matters.
    None,
    /// Of those that say that the call failed.
    Failed,
    /// Of all.
    All,
}

impl KeptAnswers {
    /// Whether the text of an answer that failed, or did not, is kept.
    pub fn keeps(self, has_failed: bool) -> bool {
        match self {
            Self::None => false,
            Self::Failed => has_failed,
            Self::All => true,
        }
    }
}

impl Expect {
    /// The answer to a measured call: only its outcome matters.
    pub fn reply(id: u64, method: Method) -> Self {
        Self {
            id,
            method: Some(method),
            kept: KeptAnswers::None,
        }
    }

    /// The answer to a request of the handshake, or to a list that is read:
    /// the result is kept.
    pub fn result(id: u64, method: Option<Method>) -> Self {
        Self {
            id,
            method,
            kept: KeptAnswers::All,
        }
    }
}

/// How a request was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// With a result.
    Complete,
    /// With a tool's result without a list of `content`, which the protocol demands.
    WithoutContent,
    /// With a result that says that the tool failed.
    ToolError {
        /// The first text of its content, on one line, cut to 300 characters.
        message: String,
    },
    /// With questions that a retry must answer (modern only).
    InputRequired(InputRequired),
    /// With a task that will have the result (modern only).
    Task(Box<TaskState>),
    /// With an error of JSON-RPC.
    Error(RpcError),
}

/// The answer in a body that was read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<'a> {
    /// How the request was answered.
    pub reply: Reply,
    /// The result's text, where [`Expect::kept`] says so and there is a result.
    pub result: Option<&'a str>,
}

/// Reads the answer in a JSON body that was read whole, without copying.
///
/// # Errors
/// The body is not our answer.
pub fn read_json_reply<'a>(body: &'a [u8], expect: &Expect) -> Result<Answer<'a>, ProtocolFault> {
    let text = std::str::from_utf8(body).map_err(|_| ProtocolFault::not_json(body))?;
    let text = match body {
        // By far the usual: nothing around the message.
        [b'{', .., b'}'] => text,
        // JavaScript's `fetch` drops a BOM too.
        _ => text.trim_start_matches('\u{feff}').trim(),
    };
    if !text.starts_with('[') {
        return read_single(text, expect);
    }
    // A batch, as 2025-03-26 allowed it: ours is looked for among them.
    let mut answer = None;
    let mut fault = None;
    let mut is_empty = true;
    let looked = look_at_elements(text, BATCH_MAX, |message| {
        is_empty = false;
        if !is_object(message) {
            return ControlFlow::Continue(());
        }
        match read_single(message, expect) {
            Ok(found) => {
                answer = Some(found);
                return ControlFlow::Break(());
            }
            Err(other) if fault.is_none() => fault = Some(other),
            Err(_) => {}
        }
        ControlFlow::Continue(())
    });
    let looked = looked.ok_or_else(|| ProtocolFault::not_json(body))?;
    match (answer, looked) {
        (Some(answer), _) => Ok(answer),
        (None, Looked::Cut) => Err(batch_too_large()),
        (None, Looked::Enough) => Err(fault.unwrap_or_else(|| {
            ProtocolFault::new(
                FaultKind::NotAMessage,
                match is_empty {
                    true => "an empty batch".to_string(),
                    false => excerpt(text.as_bytes()),
                },
            )
        })),
    }
}

/// The most messages of one batch that are looked at: a client that sends one
/// request at a time gets a handful.
pub(super) const BATCH_MAX: usize = 1000;

/// Whether an element of a batch can be a message at all. What cannot is passed
/// over: a fault for each of millions would take seconds.
pub(super) fn is_object(element: &str) -> bool {
    element.starts_with('{')
}

fn batch_too_large() -> ProtocolFault {
    ProtocolFault::new(
        FaultKind::TooLarge,
        format!("the answer is not among the first {BATCH_MAX} messages of a batch"),
    )
}

/// The most parts of a failed tool's content in which a text is looked for.
const CONTENT_MAX: usize = 100;

/// The JSON-RPC error in the body of an HTTP error, whatever its id; `None`
/// where the body holds something else, such as the errors of OAuth, or an
/// error without a code: none is made up.
pub fn read_error_body(body: &[u8]) -> Option<RpcError> {
    let text = std::str::from_utf8(body).ok()?;
    let text = text.trim_start_matches('\u{feff}');
    match read_message::<Glance<'_>>(text) {
        Ok(Message::Error { error, .. }) if has_error_code(text) => Some(error),
        _ => None,
    }
}

/// The most bytes of a server request's id.
const SERVER_ID_MAX: usize = 1024;
/// The most characters of a server request's method that are kept.
pub(super) const METHOD_MAX: usize = 100;

/// What one event of a stream holds.
pub(super) enum EventContent<'a> {
    Answer(Answer<'a>),
    ServerRequest(ServerRequest),
    Notification,
    /// An answer to another request, with its id.
    Foreign(String),
}

pub(super) fn read_event<'a>(
    data: &'a [u8],
    expect: &Expect,
) -> Result<EventContent<'a>, ProtocolFault> {
    let text = std::str::from_utf8(data.trim_ascii()).map_err(|_| ProtocolFault::not_json(data))?;
    if !text.starts_with('[') {
        return read_message_of_event(text, expect);
    }
    // A batch, as 2025-03-26 allowed it: of many, what matters most is found.
    let mut found = Ok(EventContent::Notification);
    let looked = look_at_elements(text, BATCH_MAX, |message| {
        match read_message_of_event(message, expect) {
            Ok(EventContent::Notification | EventContent::Foreign(_)) => ControlFlow::Continue(()),
            request @ Ok(EventContent::ServerRequest(_)) => {
                found = request;
                ControlFlow::Continue(())
            }
            last => {
                found = last;
                ControlFlow::Break(())
            }
        }
    });
    match looked.ok_or_else(|| ProtocolFault::not_json(data))? {
        Looked::Enough => found,
        Looked::Cut => Err(batch_too_large()),
    }
}

/// What does not parse ends the exchange at once, though SDKs would skip it:
/// it is most likely the answer, and a timeout would hide the cause.
pub(super) fn read_message_of_event<'a>(
    text: &'a str,
    expect: &Expect,
) -> Result<EventContent<'a>, ProtocolFault> {
    match read_message::<Glance<'_>>(text)? {
        Message::Response { id, result } if id.is(expect.id) => {
            answer_of(text, result, expect).map(EventContent::Answer)
        }
        Message::Response { id, .. } => Ok(EventContent::Foreign(excerpt(id.as_json().as_bytes()))),
        Message::Error { id, error } if is_error_ours(id, expect) => {
            Ok(EventContent::Answer(Answer {
                reply: Reply::Error(error),
                result: None,
            }))
        }
        Message::Error { id, .. } => Ok(EventContent::Foreign(
            id.map_or_else(|| "null".to_string(), |id| excerpt(id.as_json().as_bytes())),
        )),
        // An id that no sane server sends would have to be sent back as it is.
        Message::Request { id, .. } if id.len() > SERVER_ID_MAX => Ok(EventContent::Notification),
        Message::Request { id, method } => {
            let method = shown_text(&method, METHOD_MAX);
            let request = ServerRequest::new(text, id, method);
            Ok(EventContent::ServerRequest(request))
        }
        Message::Notification => Ok(EventContent::Notification),
    }
}

fn read_single<'a>(text: &'a str, expect: &Expect) -> Result<Answer<'a>, ProtocolFault> {
    match read_message::<Glance<'_>>(text)? {
        Message::Response { id, result } if id.is(expect.id) => answer_of(text, result, expect),
        Message::Error { id, error } if is_error_ours(id, expect) => Ok(Answer {
            reply: Reply::Error(error),
            result: None,
        }),
        Message::Response { id, .. } => Err(wrong_id(Some(id), expect)),
        Message::Error { id, .. } => Err(wrong_id(id, expect)),
        Message::Request { .. } | Message::Notification => Err(ProtocolFault::new(
            FaultKind::NotAMessage,
            excerpt(text.as_bytes()),
        )),
    }
}

/// Whether an error in our exchange answers our request. One with our id does,
/// and one whose id cannot be a request's of ours: servers send errors with
/// `null`, without an id, or with a string of their own, and the exchange
/// tells which call they belong to.
pub(super) fn is_error_ours(id: Option<Id<'_>>, expect: &Expect) -> bool {
    id.is_none_or(|id| id.is(expect.id) || !id.is_number())
}

fn answer_of<'a>(
    text: &'a str,
    glance: Glance<'a>,
    expect: &Expect,
) -> Result<Answer<'a>, ProtocolFault> {
    let bad = |kind| Err(ProtocolFault::new(kind, excerpt(text.as_bytes())));
    if !glance.is_object {
        return bad(FaultKind::BadResult);
    }
    let is_call = expect.method == Some(Method::CallTool);
    let reply = match glance.result_type {
        ResultType::Unknown => return bad(FaultKind::UnknownResultType),
        ResultType::InputRequired if !expect.method.is_some_and(Method::may_require_input) => {
            return bad(FaultKind::BadResult);
        }
        ResultType::InputRequired => Reply::InputRequired(InputRequired::read(glance.text)?),
        ResultType::Task if is_call => Reply::Task(Box::new(TaskState::created(glance.text)?)),
        ResultType::Task => return bad(FaultKind::UnknownResultType),
        ResultType::Complete if is_call => match glance.error_flag {
            ErrorFlag::No if !glance.has_content => Reply::WithoutContent,
            ErrorFlag::No => Reply::Complete,
            ErrorFlag::Yes => Reply::ToolError {
                message: tool_error_message(glance.text),
            },
            ErrorFlag::Unreadable => return Err(unreadable_error_flag(glance.text)),
        },
        ResultType::Complete => Reply::Complete,
    };
    let has_failed = matches!(reply, Reply::ToolError { .. });
    let is_kept = expect.kept.keeps(has_failed);
    Ok(Answer {
        reply,
        result: is_kept.then_some(glance.text),
    })
}

/// How a tool was answered whose task has this result.
///
/// # Errors
/// It is not the result of a tool.
pub fn read_task_result(result: &str) -> Result<Reply, ProtocolFault> {
    let bad = || ProtocolFault::new(FaultKind::BadResult, excerpt(result.as_bytes()));
    let glance = Scan::whole(result, Glance::read).ok_or_else(bad)?;
    let answer = answer_of(result, glance, &Expect::reply(0, Method::CallTool))?;
    match answer.reply {
        // A task has its result for good.
        Reply::InputRequired(_) | Reply::Task(_) => Err(bad()),
        reply => Ok(reply),
    }
}

/// `isError` decides whether a call went well: what cannot be read is not an answer.
#[cold]
fn unreadable_error_flag(result: &str) -> ProtocolFault {
    let [flag] = read_fields(result, ["isError"]).unwrap_or_default();
    let flag = excerpt(flag.unwrap_or("null").as_bytes());
    ProtocolFault::new(
        FaultKind::BadResult,
        format!("`isError` is neither true nor false: {flag}"),
    )
}

/// The first text in a failed tool's content, else the beginning of the result.
fn tool_error_message(result: &str) -> String {
    let text = || {
        let [content] = read_fields(result, ["content"])?;
        let text_of = |item| {
            let [text] = read_fields(item, ["text"])?;
            read_string(text?)
        };
        let mut found = None;
        look_at_elements(content?, CONTENT_MAX, |item| {
            found = text_of(item);
            match found {
                Some(_) => ControlFlow::Break(()),
                None => ControlFlow::Continue(()),
            }
        })?;
        found
    };
    match text() {
        Some(text) => shown_text(&text, RpcError::MESSAGE_MAX),
        None => excerpt(result.as_bytes()),
    }
}

fn wrong_id(id: Option<Id<'_>>, expect: &Expect) -> ProtocolFault {
    let came = id.map_or("null", |id| id.as_json());
    ProtocolFault::new(
        FaultKind::WrongId,
        format!("`{}` instead of `{}`", excerpt(came.as_bytes()), expect.id),
    )
}
