//! The legacy era, 2024-11-05 to 2025-11-25: sessions that `initialize` opens.
//!
//! The version header is sent from the end of the handshake on, in all
//! revisions: those before 2025-06-18 do not know it and are not harmed by it. The
//! session's id belongs to the HTTP side.

use super::super::fault::{FaultKind, ProtocolFault, excerpt};
use super::super::fields::{json_text, read_fields, read_string};
use super::super::operation::{Method, Operation};
use super::super::request::{Notice, Prepared};
use super::super::revision::{Era, Revision};
use super::super::trace::CallExtras;
use super::opening::{ClientInfo, Welcome, read_capabilities, read_identity};
use super::params::{
    has_meta, meta_members, render_cursor, render_members, trace_header, version_header,
};
use crate::template::{Scope, Template};

pub(super) fn prepare(
    revision: Revision,
    operation: &Operation,
    scope: &mut Scope,
    extras: CallExtras,
) -> Prepared {
    let mut members = render_members(operation, scope);
    // Where they are not sent, no value is made for them: who has one tells of it.
    let meta = match has_meta(operation) {
        true => Template::default(),
        false => meta_members(scope, extras),
    };
    if !meta.is_empty() {
        members.push_str(if members.is_empty() { "" } else { "," });
        members.push_str(r#""_meta":{"#);
        members.push(&meta);
        members.push_str("}");
    }
    let header = trace_header(scope, extras);
    request(revision, operation.method(), &members).with_slot_headers(header)
}

pub(super) fn list(revision: Revision, method: Method, cursor: Option<&str>) -> Prepared {
    request(revision, method.as_str(), &render_cursor(cursor))
}

/// What servers may ask of us in a revision (`requests.rs` answers it): servers ask only
/// for what was declared.
fn client_capabilities(revision: Revision) -> &'static str {
    match revision {
        Revision::V2024_11_05 | Revision::V2025_03_26 => r#"{"roots":{},"sampling":{}}"#,
        Revision::V2025_06_18 => r#"{"elicitation":{},"roots":{},"sampling":{}}"#,
        // From here on there are forms and addresses.
        Revision::V2025_11_25 | Revision::V2026_07_28 => {
            r#"{"elicitation":{"form":{}},"roots":{},"sampling":{}}"#
        }
    }
}

pub(super) fn initialize(offered: Revision, client: &ClientInfo) -> Prepared {
    let params = format!(
        r#"{{"protocolVersion":"{offered}","capabilities":{},"clientInfo":{}}}"#,
        client_capabilities(offered),
        client.to_json()
    );
    Prepared::new(
        "initialize",
        Vec::new(),
        Some(&Template::from(params.as_str())),
    )
}

pub(super) fn initialized(revision: Revision) -> Notice {
    Notice {
        headers: vec![version_header(revision)],
        body: br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_vec(),
    }
}

pub(super) fn cancelled(revision: Revision, id: u64, reason: &str) -> Notice {
    let body = format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id},"reason":{}}}}}"#,
        json_text(reason)
    );
    Notice {
        headers: vec![version_header(revision)],
        body: body.into_bytes(),
    }
}

pub(super) fn read_initialize(result: &str) -> Result<Welcome, ProtocolFault> {
    let bad = || ProtocolFault::new(FaultKind::BadResult, excerpt(result.as_bytes()));
    let names = [
        "protocolVersion",
        "serverInfo",
        "capabilities",
        "instructions",
    ];
    let [version, server, capabilities, instructions] =
        read_fields(result, names).ok_or_else(bad)?;
    let version = version.and_then(read_string).ok_or_else(bad)?;
    let revision = Revision::parse(&version).ok_or_else(|| {
        let shown = excerpt(version.as_bytes());
        ProtocolFault::new(
            FaultKind::UnknownRevision,
            format!(
                "`{shown}` in answer to `initialize`; spoken are {}",
                Revision::list_of(Era::Legacy)
            ),
        )
    })?;
    if revision.era() != Era::Legacy {
        return Err(ProtocolFault::new(
            FaultKind::OtherEra,
            format!(
                "`{revision}` in answer to `initialize`, which that revision does not have: it \
                 is spoken without a handshake (`--protocol modern`); with one, {} are",
                Revision::list_of(Era::Legacy)
            ),
        ));
    }
    Ok(Welcome {
        revision,
        server: server.and_then(read_identity),
        capabilities: read_capabilities(capabilities),
        instructions: instructions.and_then(read_string),
    })
}

fn request(revision: Revision, method: &str, members: &Template) -> Prepared {
    let params = (!members.is_empty()).then(|| {
        let mut params = Template::from("{");
        params.push(members);
        params.push_str("}");
        params
    });
    Prepared::new(method, vec![version_header(revision)], params.as_ref())
}
