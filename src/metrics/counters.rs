//! What is counted beside the requests: one table, from which recorders, sessions
//! and the report all have the same fields.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Events that are counted beside the requests, by the names that they
        /// have in the report.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        pub struct Counters {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            /// Adds another interval.
            pub fn merge(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }

            /// What was counted since an earlier moment of the same counters.
            #[must_use]
            pub fn since(&self, earlier: &Self) -> Self {
                // Once a call: without checks the compiler subtracts several at once.
                Self {
                    $($name: self.$name.wrapping_sub(earlier.$name),)*
                }
            }
        }
    };
}

counters! {
    /// Iterations begun.
    iterations_started,
    /// Iterations whose last step has ended, whatever the outcome.
    iterations_completed,
    /// Arrivals whose intended start has come (open model).
    arrivals,
    /// Arrivals given up: no virtual user was free and the queue was full, or the
    /// run ended.
    arrivals_dropped,
    /// Connections opened.
    connections,
    /// Connections opened to replace one that had been in use.
    reconnects,
    /// Of these, the ones that replaced a connection that the server had ended.
    reconnects_server_closed,
    /// Sessions opened (handshakes that succeeded).
    sessions_opened,
    /// Sessions opened again after the server had dropped one.
    sessions_reopened,
    /// Sessions that the server no longer knew.
    sessions_expired,
    /// Multi round trips answered and sent again.
    round_trips,
    /// Event streams resumed with `Last-Event-ID`.
    streams_resumed,
    /// Event streams that the server left open after the final answer.
    streams_left_open,
    /// Requests of the server that were answered.
    server_requests,
    /// Answers in which the server set a cookie. Absent in older reports.
    #[serde(default)]
    cookies_set,
    /// Results of `tools/call` without a list of `content`, which MCP demands; they are
    /// ok. Absent in older reports.
    #[serde(default)]
    results_without_content,
    /// Bytes of HTTP heads and bodies handed to the kernel.
    bytes_sent,
    /// Bytes of HTTP heads and bodies read.
    bytes_received,
}

impl Counters {
    /// Of what was counted in a warm-up: what is its own, and what is the whole run's.
    /// Sessions and connections are opened once and used beyond it.
    pub fn split_warm_up(&self) -> (Self, Self) {
        let own = Self {
            iterations_started: self.iterations_started,
            iterations_completed: self.iterations_completed,
            arrivals: self.arrivals,
            arrivals_dropped: self.arrivals_dropped,
            ..Self::default()
        };
        (own, self.since(&own))
    }
}
