//! What is measured: latency histograms, counters and failures, per row.
//!
//! A *row* is a line of the report: one operation (a tool, a resource, a
//! prompt, a list), or the handshake. This module does not know which: rows
//! are numbers here, and no MCP word, no text for the user, no clock and no
//! socket occurs. Start with [`Recorder`]: a worker owns one, and everything
//! else is what it records or what it is merged into.
//!
//! All latencies are whole nanoseconds from just before the first byte of a
//! request was handed to the kernel to the arrival of the last byte of its
//! answer (*service time*), or from the intended start (*response time*).
//!
//! Memory does not grow with the length of a run: a [`Histogram`] takes what its
//! values need, at most 135 KiB, and there are a fixed number of them for each
//! row: a few in each worker and a few at the coordinator.

mod above;
mod addresses;
mod censored;
mod codec;
mod counters;
mod failure;
mod handshakes;
mod histogram;
mod isolation;
mod listening;
mod pages;
mod quantile;
mod quantile_interval;
mod recorder;
mod slowest;
mod spread;
mod streams;
mod traffic;
mod usage;
mod violations;
mod waits;

pub use above::{AboveLimits, Readings};
pub use addresses::AddressTallies;
pub use censored::CensoredReadings;
pub use codec::Packed;
pub use counters::Counters;
pub use failure::{
    AuthFailure, ConnectFailure, ConnectionFailure, ExpectFailure, ExtractFailure, Failure,
    FailureCounts, FailureGroup, IsolationFailure, ProtocolFailure, SessionFailure, TaskFailure,
    TemplateFailure, TimeoutPhase, TokenError, names_cause,
};
pub use handshakes::{HandshakeKind, TlsHandshakes};
pub use histogram::{Extent, Histogram};
pub use isolation::IsolationCounts;
pub use listening::{ListenTally, NameCounts};
pub use quantile::Quantile;
pub use quantile_interval::share_interval;
pub use recorder::{
    CallPhase, Examples, Messages, Outcome, Recorder, RowStats, Sample, SettledArrivals, Sizes,
    add_boxed,
};
pub use slowest::{CallPhases, SLOWEST_KEPT, SlowCall, SlowestCalls};
pub use spread::{ServedCall, ServerTally, Spread};
pub use streams::{AnswerPieces, AnswerTimes};
pub use traffic::Traffic;
pub use usage::{ReadTimes, WorkerUsage};
pub use violations::{VIOLATIONS_MAX, Violation, Violations};
pub use waits::{AskedWaits, WaitTally};
