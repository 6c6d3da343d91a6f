//! The revisions with a handshake, 2025-03-26 to 2025-11-25, and their sessions.
//!
//! It is given a message that was read already, and the time.

use std::collections::HashMap;
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

use super::message::{ClientMessage, DemoReply, MessageKind};
use super::offer::{
    Asker, Catalogue, Class, INSTRUCTIONS, INVALID_PARAMS, INVALID_REQUEST, Payload, ServedEra,
    capabilities, server_info,
};
use super::stats::DemoStats;
use super::wire::DemoRequestHead;

/// The revisions that are spoken, oldest first.
pub(super) const VERSIONS: [&str; 3] = ["2025-03-26", "2025-06-18", "2025-11-25"];
const NEWEST: &str = VERSIONS[VERSIONS.len() - 1];

/// The code that SDKs use for a session that isn't there; the specification
/// names only the status.
pub(super) const SESSION_NOT_FOUND: i64 = -32001;

/// Sessions that were left without a DELETE stay; at this number, some 100 MB,
/// no more are begun.
const SESSIONS_MAX: usize = 1_000_000;

/// The sessions that are open.
pub(super) struct Sessions {
    open: HashMap<u128, OpenSession>,
    rng: Rng,
    /// How long a session lives from its begin. `None`: for ever.
    ttl: Option<Duration>,
    pub(super) is_stateless: bool,
}

#[derive(Debug, Clone, Copy)]
struct OpenSession {
    version: &'static str,
    begun_at: Duration,
    /// The only one that knows it.
    backend: u16,
}

impl Sessions {
    pub(super) fn new(seed: u64, ttl: Option<Duration>, is_stateless: bool) -> Self {
        Self {
            open: HashMap::new(),
            // Its own stream, apart from those of latencies and faults.
            rng: Rng::with_seed(seed ^ 0x5e55_1015),
            ttl,
            is_stateless,
        }
    }

    /// Begins a session and gives its id, if there is room for one more.
    fn begin(&mut self, version: &'static str, backend: u16, now: Duration) -> Option<String> {
        if self.open.len() >= SESSIONS_MAX {
            return None;
        }
        let key = self.rng.u128(..);
        let session = OpenSession {
            version,
            begun_at: now,
            backend,
        };
        self.open.insert(key, session);
        Some(format!("{key:032x}"))
    }

    /// The session that a request names, or the answer that refuses it.
    /// `Ok(None)` on a server without sessions.
    fn find(
        &mut self,
        head: &DemoRequestHead,
        now: Duration,
        stats: &mut DemoStats,
    ) -> Result<Option<(u128, OpenSession)>, Box<DemoReply>> {
        if self.is_stateless {
            return Ok(None);
        }
        let refusal = |status, code, text| Box::new(DemoReply::refusal(status, code, text));
        let no_id = || refusal(400, INVALID_REQUEST, "Bad Request: Missing session ID");
        let not_found = || refusal(404, SESSION_NOT_FOUND, "Session not found");
        let id = head.session.as_deref().ok_or_else(no_id)?;
        let key = read_key(id).ok_or_else(not_found)?;
        let session = *self.open.get(&key).ok_or_else(not_found)?;
        if session.backend != head.backend {
            stats.sessions_elsewhere += 1;
            return Err(not_found());
        }
        let age = now.saturating_sub(session.begun_at);
        if self.ttl.is_some_and(|ttl| age >= ttl) {
            self.expire(key, stats);
            return Err(not_found());
        }
        Ok(Some((key, session)))
    }

    /// Ends a session without the client's wish.
    pub(super) fn expire(&mut self, key: u128, stats: &mut DemoStats) {
        if self.open.remove(&key).is_some() {
            stats.sessions_expired += 1;
        }
    }

    /// The answer to DELETE.
    pub(super) fn delete(
        &mut self,
        head: &DemoRequestHead,
        now: Duration,
        stats: &mut DemoStats,
    ) -> Result<DemoReply, Box<DemoReply>> {
        let within = self.find(head, now, stats)?.map(|(key, _)| key);
        if let Some(key) = within {
            self.open.remove(&key);
            stats.sessions_deleted += 1;
        }
        Ok(DemoReply {
            within,
            ..DemoReply::empty(200)
        })
    }

    /// The answer to GET: the session's stream begins.
    pub(super) fn listen(
        &mut self,
        head: &DemoRequestHead,
        now: Duration,
        stats: &mut DemoStats,
    ) -> Result<DemoReply, Box<DemoReply>> {
        let stream = self.find(head, now, stats)?.map(|(key, _)| key);
        Ok(DemoReply {
            stream,
            ..DemoReply::empty(200)
        })
    }

    /// Whether the session has not ended.
    pub(super) fn is_open(&self, key: u128) -> bool {
        self.open.contains_key(&key)
    }
}

/// An id as it was given out: 32 digits, so that no two texts name one session.
fn read_key(id: &str) -> Option<u128> {
    let is_ours = id.len() == 32
        && id
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if is_ours {
        u128::from_str_radix(id, 16).ok()
    } else {
        None
    }
}

/// The answer to a legacy message.
pub(super) fn answer(
    offer: &mut Catalogue,
    sessions: &mut Sessions,
    head: &DemoRequestHead,
    message: &ClientMessage,
    now: Duration,
    stats: &mut DemoStats,
) -> DemoReply {
    if let (MessageKind::Request(id), "initialize") = (&message.kind, message.method.as_str()) {
        return initialize(sessions, id, head.backend, &message.params, now, stats);
    }
    // The version comes first: a modern client learns from it that this server
    // is a legacy one.
    let version = head.version.as_deref();
    if let Some(version) = version.filter(|version| !VERSIONS.contains(version)) {
        let text = format!(
            "Bad Request: Unsupported protocol version: {version} (supported versions: {})",
            VERSIONS.join(", ")
        );
        return DemoReply::refusal(400, INVALID_REQUEST, text);
    }
    let session = match sessions.find(head, now, stats) {
        Ok(session) => session,
        Err(refusal) => return *refusal,
    };
    if let (Some((_, session)), Some(version)) = (session, version)
        && session.version != version
    {
        let text = format!(
            "Bad Request: MCP-Protocol-Version is {version}, but {} was negotiated",
            session.version
        );
        return DemoReply::refusal(400, INVALID_REQUEST, text);
    }
    let within = session.map(|(key, _)| key);
    let id = match &message.kind {
        MessageKind::Request(id) => id,
        MessageKind::Notification => return DemoReply::empty(202),
        MessageKind::Response(answer) => {
            return DemoReply {
                within,
                answers: answer.clone(),
                ..DemoReply::empty(202)
            };
        }
    };
    if message.method == "ping" {
        return DemoReply::message(200, id.clone(), Payload::Result(json!({})));
    }
    let asker = Asker {
        can_elicit: false,
        has_tasks: false,
        now,
    };
    let (method, params) = (&message.method, &message.params);
    let served = offer.serve(ServedEra::Legacy, method, params, asker);
    let mut reply = DemoReply::message(200, id.clone(), served.payload);
    if served.class != Class::Unknown {
        reply.work = Some(served.extra);
        reply.progress = served.progress;
    }
    reply.within = within;
    reply.ask = served.ask;
    reply
}

fn initialize(
    sessions: &mut Sessions,
    id: &Value,
    backend: u16,
    params: &Value,
    now: Duration,
    stats: &mut DemoStats,
) -> DemoReply {
    let Some(asked) = params["protocolVersion"].as_str() else {
        let error = Payload::error(INVALID_PARAMS, "params.protocolVersion must be a string");
        return DemoReply::message(200, id.clone(), error);
    };
    let version = VERSIONS
        .into_iter()
        .find(|version| *version == asked)
        .unwrap_or(NEWEST);
    let session = if sessions.is_stateless {
        None
    } else {
        let session = sessions.begin(version, backend, now);
        if session.is_none() {
            return DemoReply::text(503, "Service Unavailable: too many sessions are open");
        }
        stats.sessions_opened += 1;
        session
    };
    let result = json!({
        "protocolVersion": version,
        "capabilities": capabilities(ServedEra::Legacy),
        "serverInfo": server_info(),
        "instructions": INSTRUCTIONS,
    });
    let mut reply = DemoReply::message(200, id.clone(), Payload::Result(result));
    reply.session = session;
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_repeat_with_the_seed_and_never_within_one() {
        let ids = |seed| -> Vec<Option<String>> {
            let mut sessions = Sessions::new(seed, None, false);
            (0..3)
                .map(|_| sessions.begin(NEWEST, 0, Duration::ZERO))
                .collect()
        };
        let first = ids(1);
        assert_eq!(first, ids(1));
        assert_ne!(first, ids(2));
        assert_ne!(first[0], first[1]);
    }

    #[test]
    fn only_ids_as_given_out_are_read() {
        assert_eq!(read_key(&format!("{:032x}", 7)), Some(7));
        for id in [
            "",
            "7",
            "0000000000000000000000000000000A",
            "ü",
            &"f".repeat(33),
        ] {
            assert_eq!(read_key(id), None, "{id}");
        }
    }
}
