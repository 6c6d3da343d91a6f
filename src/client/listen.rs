//! The listening stream of a legacy session: a GET that is held for as long as the session
//! lives, on a connection of its own, as the client of every SDK holds one. Servers tell
//! and ask there what belongs to no call. In the modern era it is the answer to
//! `subscriptions/listen`, where the user wants to be told of something: acknowledged
//! before it counts as open, ended by the server with a result.
//!
//! Who holds one waits most of the time, and there may be thousands. So a stream that
//! waits has neither a buffer nor a timer: it waits first, and borrows after. When to open
//! a stream again, and what is counted, is the holder's business (`user/listen.rs`).

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::content::Content;
use super::identity::Identity;
use super::lane::{Exchanged, Lane, Outgoing};
use super::mailbox::Mailbox;
use super::server::{PreparedCall, Server};
use super::session::{CallReport, RequestsOfServer, Session};
use super::token::RefusedToken;
use crate::http::{HeaderName, HeaderValue, Trouble};
use crate::marker::{FoundMarkers, MarkerKey, MarkerSearch};
use crate::protocol::{
    FaultKind, Heard, ProtocolFault, Reply, RequestBody, StreamReader, SubscriptionEnd,
};
use crate::scheduler::trim_stack;

/// An event that is larger ends the stream: there is one for each user, and it need never
/// be whole.
const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// What a stream brings beyond this without a pause is read at a bounded rate: nobody waits
/// for it.
const UNPACED_BYTES: usize = 64 * 1024;

/// What bounds the requests of the server's within a call bounds them within this time here.
const ASKED_WITHIN: Duration = Duration::from_secs(1);

/// One session's listening stream, which is opened again where it ends.
pub struct HeldStream {
    server: Server,
    identity: Rc<Identity>,
    lane: Lane,
    /// For answers to the server's requests: the stream's connection is busy.
    side_lane: Option<Box<Lane>>,
    /// The stream that is open.
    content: Option<Content>,
    /// Something may have come with the head.
    may_have_come: bool,
    /// How the stream broke in the same breath in which it was acknowledged.
    broke_at_once: Option<Trouble>,
    /// The last subscription was answered with 200, and neither acknowledged nor refused.
    pub is_unacknowledged: bool,
    reader: StreamReader,
    /// What asks for the stream, where that is a subscription.
    subscription: Option<Arc<PreparedCall>>,
    mailbox: Rc<Mailbox>,
    asked: RequestsOfServer,
    asked_since: Instant,
    n_answered: u64,
    taken: StreamDone,
    /// Whose markers are those of others, where they are looked for.
    marked_as: Option<Box<(MarkerKey, u32)>>,
}

/// What a listener has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamDone {
    /// Connections opened.
    pub connects: u64,
    /// Bytes written.
    pub bytes_sent: u64,
    /// Bytes read.
    pub bytes_received: u64,
    /// Requests of the server that were answered.
    pub n_answered: u64,
}

impl HeldStream {
    /// The stream of this session, still to be opened; asked for with `subscription` where
    /// there is one.
    pub fn of(session: &Session, subscription: Option<Arc<PreparedCall>>) -> Self {
        let mailbox = match subscription {
            None => session.open_mailbox(),
            // No answer to a call comes there.
            Some(_) => Rc::default(),
        };
        let (server, identity) = (session.server(), &session.identity);
        let bytes_max = server.settings().message_bytes_max.min(EVENT_BYTES_MAX);
        let unpaced = UNPACED_BYTES.min(bytes_max);
        let marked_as = session.marked_as.as_deref().map(|it| Box::new(it.clone()));
        let mut lane = Lane::unpaced_to(server, Rc::clone(identity), unpaced);
        search(&mut lane, marked_as.as_deref());
        Self {
            server: server.clone(),
            identity: Rc::clone(identity),
            lane,
            side_lane: None,
            content: None,
            may_have_come: false,
            broke_at_once: None,
            is_unacknowledged: false,
            reader: StreamReader::new(bytes_max),
            subscription,
            mailbox,
            asked: RequestsOfServer::NOTHING,
            asked_since: crate::clock::now(),
            n_answered: 0,
            taken: StreamDone::default(),
            marked_as,
        }
    }

    /// Whether the next stream goes on where the last one ended. No subscription does.
    pub fn resumes(&self) -> bool {
        self.subscription.is_none() && self.reader.last_event_id().is_some()
    }

    /// How long the server wants to be left alone before the next stream.
    pub fn retry(&self) -> Option<Duration> {
        self.reader.retry()
    }

    /// How long the last refusal asked to be left alone.
    pub fn take_retry_after(&mut self) -> Option<Duration> {
        self.lane.take_retry_after()?.wait
    }

    /// Whether the last refusal was of the token.
    pub fn take_refusal(&self) -> Option<RefusedToken> {
        self.identity.take_refusal()
    }

    /// Asks for a stream, and waits for its head, and where it is a subscription for the
    /// acknowledgement; says what comes behind that at once. What is answered in its place
    /// is a failure.
    // Deep and seldom: what follows is held for long, on a stack as small as can be.
    #[inline(never)]
    pub fn open(&mut self, deadline: Instant, say: &mut dyn FnMut(&Heard<'_>)) -> CallReport {
        let began = crate::clock::now();
        self.is_unacknowledged = false;
        let asked = match self.subscription.clone() {
            None => self.ask_to_listen(deadline),
            Some(subscription) => self.ask_to_subscribe(&subscription, deadline),
        };
        let content = match asked {
            Ok(content) => content,
            Err(refused) => {
                let (result, report) = CallReport::of(*refused, began);
                let result = match result {
                    Ok(Reply::Error(error)) => Err(error.into()),
                    // A message in place of a stream, which would have begun otherwise.
                    Ok(_) => {
                        self.is_unacknowledged = true;
                        Err(not_acknowledged("a result came first"))
                    }
                    Err(trouble) => Err(trouble),
                };
                return CallReport {
                    result,
                    session_gone: false,
                    ..report
                };
            }
        };
        let timing = content.answer.timing();
        let sent = timing.sent.unwrap_or(began);
        self.content = Some(content);
        self.may_have_come = true;
        let mut report = CallReport {
            end: timing.first_byte.unwrap_or(sent).max(sent),
            status: Some(200),
            ..CallReport::began(sent)
        };
        if let Err(trouble) = self.await_acknowledgement(say) {
            let is_refused = matches!(
                self.reader.subscription_end(),
                Some(SubscriptionEnd::Refused(_))
            );
            self.is_unacknowledged = !is_refused && trouble != Trouble::Cancelled;
            self.content = None;
            report.end = crate::clock::now();
            report.result = Err(trouble);
            return report;
        }
        if let Some(content) = &self.content {
            if self.subscription.is_some() {
                let came = content.answer.timing().last_byte;
                report.end = came.unwrap_or(report.end).max(sent);
            }
            content.answer.go_on_for_ever();
            self.mailbox.set_open(true);
        }
        report
    }

    fn ask_to_listen(&mut self, deadline: Instant) -> Result<Content, Box<Exchanged>> {
        const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
        let mut lines = self.server.bare().clone();
        let event_id = self.reader.last_event_id();
        if let Some(event_id) = event_id.and_then(|id| HeaderValue::try_from(id).ok()) {
            lines.push(&LAST_EVENT_ID, &event_id);
        }
        self.reader.resume();
        let message = Outgoing {
            head: &self.server.heads().get,
            lines: &lines,
            body: &[],
            deadline,
            kept: None,
        };
        self.lane.open_stream(&message, None)
    }

    fn ask_to_subscribe(
        &mut self,
        subscription: &PreparedCall,
        deadline: Instant,
    ) -> Result<Content, Box<Exchanged>> {
        let id = self.identity.take_request_id();
        self.reader.resume();
        self.reader.subscribe(id);
        let mut body = RequestBody::default();
        subscription.render(id, &[], &mut body);
        let message = Outgoing {
            head: &self.server.heads().post,
            lines: &subscription.lines(&self.server, &[]),
            body: body.bytes(),
            deadline,
            kept: None,
        };
        let expect = subscription.expect(id);
        self.lane.open_stream(&message, Some(expect))
    }

    fn await_acknowledgement(&mut self, say: &mut dyn FnMut(&Heard<'_>)) -> Result<(), Trouble> {
        while !self.reader.is_acknowledged() {
            let heard = self.hear(say);
            match (heard, self.reader.is_acknowledged()) {
                (Ok(false), false) => return Ok(self.reader.check_end()?),
                // The head was there in time: what is late is this one message.
                (Err(trouble), false) if trouble.is_timeout() => {
                    return Err(not_acknowledged("the timeout came first"));
                }
                (Err(trouble), false) => return Err(trouble),
                (Err(trouble), true) => self.broke_at_once = Some(trouble),
                (Ok(_), _) => {}
            }
        }
        Ok(())
    }

    /// Waits until something comes, and says each message of it; requests of the server's
    /// are answered. False at the end of the stream, which closes its connection unless
    /// the end was in good order.
    ///
    /// # Errors
    /// How the stream broke.
    pub fn hear(&mut self, say: &mut dyn FnMut(&Heard<'_>)) -> Result<bool, Trouble> {
        let Some(content) = &mut self.content else {
            return self.broke_at_once.take().map_or(Ok(false), Err);
        };
        let waited = match std::mem::take(&mut self.may_have_come) {
            true => Ok(()),
            false => content.await_more(),
        };
        let heard = waited.and_then(|()| self.read_arrived(say));
        let heard = match self.reader.subscription_end() {
            // Whatever becomes of the stream then.
            Some(SubscriptionEnd::Graceful) => Ok(false),
            Some(SubscriptionEnd::Refused(error)) => Err(error.clone().into()),
            None if heard == Ok(false) => {
                let end = self.reader.check_end();
                end.map(|()| false).map_err(Trouble::from)
            }
            None => heard,
        };
        if heard != Ok(true) {
            self.content = None;
            self.mailbox.set_open(false);
        }
        heard
    }

    #[inline(never)]
    fn read_arrived(&mut self, say: &mut dyn FnMut(&Heard<'_>)) -> Result<bool, Trouble> {
        let Self {
            server,
            identity,
            lane,
            side_lane,
            content,
            reader,
            mailbox,
            asked,
            asked_since,
            n_answered,
            marked_as,
            ..
        } = self;
        let Some(content) = content else {
            return Ok(false);
        };
        // What is in a coding is waited for while it is read.
        let came = content.answer.timing().last_byte;
        let came = came.filter(|_| !content.has_coding());
        let mut has_asked = false;
        let mut of_calls = Vec::new();
        let mut on_message = |heard: Heard<'_>| {
            say(&heard);
            match heard {
                // The modern era has no requests of servers.
                Heard::Request(_) if !server.dialect().has_session() => {}
                Heard::Request(request) => {
                    let lane = side_lane.get_or_insert_with(|| {
                        let mut lane = Box::new(Lane::new(server, Rc::clone(identity)));
                        search(&mut lane, marked_as.as_deref());
                        lane
                    });
                    let now = crate::clock::now();
                    if now.saturating_duration_since(*asked_since) >= ASKED_WITHIN {
                        *asked = asked.of_next_call(lane.counters().connects);
                        *asked_since = now;
                    }
                    let deadline = now + server.settings().timeout;
                    *n_answered += u64::from(asked.answer(server, lane, &request, deadline));
                    has_asked = true;
                }
                Heard::Answer { id, text } => {
                    let came = came.unwrap_or_else(crate::clock::now);
                    if mailbox.put(id, text, came) && marked_as.is_some() {
                        of_calls.push(text.to_string());
                    }
                }
                Heard::Notification(_) | Heard::Unreadable => {}
            }
        };
        let goes_on = lane.read_arrived(content, |bytes| reader.feed(bytes, &mut on_message));
        reader.give_back();
        // What came for a call is searched once more by who made the call.
        of_calls.iter().for_each(|text| lane.disown_text(text));
        if has_asked {
            // Another connection may have been opened for the answer.
            trim_stack();
        }
        goes_on
    }

    /// The markers in what came since this was last asked.
    pub fn take_markers(&mut self) -> FoundMarkers {
        let found = self.lane.take_markers();
        match &mut self.side_lane {
            Some(side_lane) => found.and(side_lane.take_markers()),
            None => found,
        }
    }

    /// Markers in whole events that came on the stream since this or
    /// [`take_markers`](Self::take_markers) was last asked; the stream goes on. Of an event
    /// that is not whole nobody knows yet whether it is a call's answer.
    pub fn take_markers_so_far(&mut self) -> FoundMarkers {
        match self.reader.is_inside_event() {
            true => FoundMarkers::default(),
            false => self.lane.take_markers_so_far(),
        }
    }

    /// What it has done since this was last asked.
    pub fn take_done(&mut self) -> StreamDone {
        let mut now = StreamDone {
            n_answered: self.n_answered,
            ..StreamDone::default()
        };
        for lane in std::iter::once(&self.lane).chain(self.side_lane.as_deref()) {
            let http = lane.counters();
            now.connects += http.connects;
            now.bytes_sent += http.bytes_sent;
            now.bytes_received += http.bytes_received;
        }
        let before = std::mem::replace(&mut self.taken, now);
        StreamDone {
            connects: now.connects - before.connects,
            bytes_sent: now.bytes_sent - before.bytes_sent,
            bytes_received: now.bytes_received - before.bytes_received,
            n_answered: now.n_answered - before.n_answered,
        }
    }
}

/// The server said 200 to a subscription, and no more.
fn not_acknowledged(what: &str) -> Trouble {
    ProtocolFault::new(FaultKind::NotAcknowledged, what).into()
}

/// Has a lane search what comes, where markers are looked for.
fn search(lane: &mut Lane, marked_as: Option<&(MarkerKey, u32)>) {
    if let Some((key, user)) = marked_as {
        lane.search(MarkerSearch::new(key.clone(), *user));
    }
}
