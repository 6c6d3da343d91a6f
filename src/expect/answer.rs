//! An answer as it is judged.

use crate::metrics::Failure;

/// An answer, as far as it can be judged.
#[derive(Debug, Clone, Copy, Default)]
pub struct Answer<'a> {
    /// The JSON text of the result, where there is one.
    pub result: Option<&'a str>,
    /// The JSON text of the JSON-RPC error, where there is one.
    pub error: Option<&'a str>,
    /// Whether the result says that the tool failed.
    pub is_tool_error: bool,
    /// The code of the JSON-RPC error.
    pub code: Option<i64>,
    /// The HTTP status.
    pub status: Option<u16>,
    /// The bytes of the body.
    pub n_bytes: u64,
    /// Those that sources name, at least.
    pub headers: &'a [(String, String)],
}

impl<'a> Answer<'a> {
    /// What sources without a header look at: the result, else the error.
    pub(super) fn body(&self) -> &'a str {
        self.result.or(self.error).unwrap_or_default()
    }

    /// The failure that it is where none is awaited.
    pub(super) fn failure(&self) -> Option<Failure> {
        match (self.status, self.code) {
            (Some(status), rpc_code) if status >= 400 => Some(Failure::Http { status, rpc_code }),
            (_, Some(code)) => Some(Failure::Rpc(code)),
            _ if self.error.is_some() => Some(Failure::RpcWithoutCode),
            _ => self.is_tool_error.then_some(Failure::Tool),
        }
    }
}
