//! What the demo server counts.

use super::faults::FaultCounts;

/// What the server itself saw and did. Calls are requests with an id that are
/// neither `initialize` nor `server/discover`; at any time
/// `calls = finished + abandoned + in_flight`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DemoStats {
    /// HTTP requests read in full.
    pub requests: u64,
    /// Bytes that were not an HTTP request, or a request that was too large.
    pub malformed: u64,
    /// Calls of any kind, those refused too.
    pub calls: u64,
    /// `tools/call`.
    pub tool_calls: u64,
    /// `resources/read`.
    pub resource_reads: u64,
    /// `prompts/get`.
    pub prompt_gets: u64,
    /// The four list methods.
    pub lists: u64,
    /// `ping`.
    pub pings: u64,
    /// `tasks/get`.
    pub task_gets: u64,
    /// `tasks/update`.
    pub task_updates: u64,
    /// `tasks/cancel`.
    pub task_cancels: u64,
    /// Calls whose answer, good or bad, was handed to the kernel, or whose
    /// connection was closed on purpose.
    pub finished: u64,
    /// Calls whose client went away before the answer.
    pub abandoned: u64,
    /// Calls read and not answered yet, hanging ones too.
    pub in_flight: u64,
    /// The most at one time.
    pub in_flight_max: u64,
    /// Calls in a slot of the capacity.
    pub in_service: u64,
    /// The most at one time; never more than there are slots.
    pub in_service_max: u64,
    /// Calls that wait for a slot.
    pub waiting: u64,
    /// The most at one time.
    pub waiting_max: u64,
    /// Calls refused because the queue was full.
    pub turned_away: u64,
    /// Calls whose answer asked back (`input_required`).
    pub input_required: u64,
    /// Tokens given out by the tool `login`.
    pub sign_ins: u64,
    /// Answers of the tool `stock` that broke its output schema.
    pub off_schema: u64,
    /// Answers with what was another client's result, handed to the kernel.
    pub mixed: u64,
    /// Connections accepted.
    pub connections_opened: u64,
    /// Connections that are open.
    pub connections_open: u64,
    /// The most at one time.
    pub connections_open_max: u64,
    /// `initialize` requests.
    pub initializes: u64,
    /// `server/discover` requests.
    pub discovers: u64,
    /// Sessions given out.
    pub sessions_opened: u64,
    /// Sessions ended by DELETE.
    pub sessions_deleted: u64,
    /// Sessions found too old, or ended by a fault.
    pub sessions_expired: u64,
    /// Requests in a session that another server behind the balancer has.
    pub sessions_elsewhere: u64,
    /// Listening streams begun: by GET, or by a subscription.
    pub streams_opened: u64,
    /// Listening streams that are open.
    pub streams_open: u64,
    /// The most at one time.
    pub streams_open_max: u64,
    /// Notifications sent on them.
    pub notices_sent: u64,
    /// Notifications of any kind.
    pub notifications: u64,
    /// `notifications/initialized`.
    pub initialized: u64,
    /// `notifications/cancelled`.
    pub cancels: u64,
    /// Requests to clients, on streams of their calls.
    pub asked: u64,
    /// Requests to clients on GET streams.
    pub stream_asked: u64,
    /// Of these, those that were answered with what fits.
    pub stream_answered: u64,
    /// Responses of clients.
    pub responses: u64,
    /// The faults that were done.
    pub faults: FaultCounts,
    /// For the first calls, `DemoOptions::service_times_max` at most: the
    /// nanoseconds from the request's last byte read to the answer handed to
    /// the kernel.
    pub service_times: Vec<u64>,
}
