//! An MCP server on loopback: something to try the load tester on without a
//! server of one's own, and the server with known truth behind the end-to-end
//! tests.
//!
//! It speaks both eras on one endpoint, with seeded latencies, faults and a
//! fixed capacity, and counts what it sees, so that a report can be compared
//! with what really happened. One thread with one poll serves thousands of
//! connections and is not the limit.
//!
//! It reads and writes MCP by itself and must not import the client's protocol
//! code: a fault there would be mirrored here and stay unseen.
//!
//! Start with [`DemoOptions`] (`options.rs`), then `server.rs` (the loop), `desk.rs` (which
//! request gets which answer), `answer.rs` (how it is written),
//! `legacy.rs` and `modern.rs` (the eras),
//! `offer.rs`, `tools.rs`, `shop.rs`, `asking.rs` and `jobs.rs` (what is offered), `latency.rs`, `faults.rs` and
//! `capacity.rs` (what goes slow and wrong), `wire.rs` (HTTP).

mod answer;
mod asking;
mod capacity;
mod desk;
mod faults;
mod jobs;
mod latency;
mod legacy;
mod message;
mod modern;
mod offer;
mod options;
mod schema;
mod server;
mod shop;
mod stats;
mod subscribe;
mod tools;
mod wire;

use std::io;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;

use mio::Waker;

pub use self::capacity::{CAPACITY_FORM, Capacity};
pub use self::faults::{DemoFault, FaultCounts, FaultShares};
pub use self::latency::{DemoLatency, LATENCY_FORM};
pub use self::options::{AnswerForm, DemoOptions, Eras};
use self::server::{DemoCommand, DemoLoop};
pub use self::stats::DemoStats;

/// A running server. It stops when this is dropped.
#[derive(Debug)]
pub struct DemoServer {
    port: u16,
    commands: Sender<DemoCommand>,
    waker: Waker,
    /// `None` only after `stop`.
    thread: Option<JoinHandle<DemoStats>>,
}

impl DemoServer {
    /// Binds 127.0.0.1 and serves from a thread of its own.
    ///
    /// # Errors
    /// Where the port is taken, or the system gives no socket, poll or thread.
    pub fn start(options: DemoOptions) -> io::Result<Self> {
        let (commands, inbox) = std::sync::mpsc::channel();
        let (server, waker) = DemoLoop::bind(options, inbox)?;
        let port = server.port();
        let thread = std::thread::Builder::new()
            .name("demo".to_string())
            .spawn(move || server.run())?;
        Ok(Self {
            port,
            commands,
            waker,
            thread: Some(thread),
        })
    }

    /// The endpoint, `http://127.0.0.1:PORT/mcp`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}{}", self.port, desk::ENDPOINT)
    }

    /// The port that is listened on, never 0.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What was counted up to now. A call whose answer was read by its client
    /// is counted as finished.
    pub fn stats(&self) -> DemoStats {
        let (reply, answer) = std::sync::mpsc::channel();
        let is_sent =
            self.commands.send(DemoCommand::Stats(reply)).is_ok() && self.waker.wake().is_ok();
        // The thread ends before it is told to only where its poll fails.
        if is_sent {
            answer.recv().unwrap_or_default()
        } else {
            DemoStats::default()
        }
    }

    /// Closes all connections, waits for the thread, and gives what was counted.
    pub fn stop(mut self) -> DemoStats {
        self.end()
    }

    fn end(&mut self) -> DemoStats {
        let Some(thread) = self.thread.take() else {
            return DemoStats::default();
        };
        // Where the thread has ended already, nobody is there to be told.
        let _ = self.commands.send(DemoCommand::Stop);
        let _ = self.waker.wake();
        thread.join().unwrap_or_default()
    }
}

impl Drop for DemoServer {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests;
