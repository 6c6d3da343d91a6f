//! The Model Context Protocol over Streamable HTTP, without any input or output.
//!
//! What MCP needs from a load tester: requests rendered to bytes and headers,
//! answers read from bytes that arrive in any pieces, two eras behind one
//! [`Dialect`], and a verdict on which era a server speaks. Everything here is
//! a function of bytes: no sockets, no clock, no threads, and nothing panics,
//! whatever a server sends.
//!
//! ```text
//!  legacy  ── initialize ──▶ Welcome ── initialized ──▶ open ── DELETE ──▶ gone
//!                                                       │  ▲
//!                                             request   ▼  │  answer
//!  modern  ── (discover ──▶ Discovery) ──────────────▶ exchange
//!                                                       │  ▲
//!                                      input_required   ▼  │  retry with answers
//!                                                   round trip
//!
//!  exchange: Prepared::render ─▶ HTTP ─▶ BodyKind ─▶ read_json_reply, ReplyReader ─▶ Reply
//! ```
//!
//! Start with [`Dialect::prepare`], which makes a [`Prepared`] request of an
//! [`Operation`], and [`ReplyReader`], which finds its answer in a stream:
//!
//! ```
//! # use pmcp_loadtest::internal::protocol::*;
//!
//! let client = ClientInfo::new("example", "1.0.0");
//! let dialect = Dialect::new(Revision::V2025_11_25, client);
//! let prepared = dialect.prepare(&Operation::Ping, &ToolCatalog::empty()).unwrap();
//! let mut body = RequestBody::default();
//! prepared.render(7, &[], &mut body);
//! assert_eq!(body.bytes(), br#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#);
//!
//! let mut reader = ReplyReader::new(Expect::reply(7, Method::Ping), 1024);
//! let stream = b"data: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}\n\n";
//! let (_used, item) = reader.feed(stream).unwrap();
//! assert_eq!(item, Some(Item::Reply(Reply::Complete)));
//! ```

mod answer;
mod catalog;
mod challenge;
mod content_coding;
mod content_type;
mod dialect;
mod era;
mod fault;
mod fields;
mod header_value;
mod heard;
mod input;
mod jsonrpc;
mod lists;
mod operation;
mod paging;
mod param_headers;
mod progress;
mod refusal;
mod reply;
mod request;
mod requests;
mod revision;
mod scan;
mod session_id;
mod sse;
mod subscription;
mod tasks;
mod trace;

pub use answer::{Expect, KeptAnswers, Reply, read_error_body, read_json_reply, read_task_result};
pub use catalog::ToolCatalog;
pub use challenge::{TokenRefusal, bearer_challenge, read_retry_after};
pub use content_coding::{ContentCoding, ContentDecoder};
pub use content_type::BodyKind;
pub use dialect::{Capabilities, ClientInfo, Dialect, Discovery, ServerIdentity, Welcome};
pub use era::{ProbeVerdict, is_redirect, judge_probe, judge_second_probe};
pub use fault::{FaultKind, ProtocolFault, excerpt, no_text};
pub use fields::{json_text, look_at_elements, read_fields, read_members};
pub use header_value::header_value_of_json;
pub use heard::{Heard, StreamReader};
pub use input::{InputRequest, answers_json};
pub use jsonrpc::{METHOD_NOT_FOUND, RpcError};
#[cfg(test)]
pub use lists::ToolAnnotations;
pub use lists::{
    Listable, Page, PromptArgument, PromptDescription, ResourceDescription,
    ResourceTemplateDescription, ToolDescription, ToolSchema, read_page,
};
pub use operation::{Arguments, Method, NAME_ROOT, Operation, PrepareError};
pub use paging::{NextPage, PageGuard};
pub use param_headers::is_token_byte;
pub use progress::ProgressWatch;
pub use refusal::{Refusal, judge_refusal};
pub use reply::{Item, ReplyReader};
pub use request::{Prepared, RequestBody};
pub use requests::{ServerRequest, answer_server_request};
pub use revision::{Era, ProtocolChoice, Revision};
pub use scan::Scan;
pub use session_id::{read_session_id, says_session_gone};
pub use sse::SseDecoder;
pub use subscription::{LISTEN_METHOD, SubscriptionEnd, TOPIC_FORM, Topic};
pub use tasks::{TaskRequest, TaskStage, TaskState};
pub use trace::{CallExtras, TraceMode, trace_id, trace_of_request};
