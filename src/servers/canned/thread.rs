//! The server on a thread of its own, pinned to a CPU if so wished.
//!
//! It does not know requests or answers.

use std::io;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use core_affinity::CoreId;
use mio::Waker;

use super::{CannedServer, Options};

/// A running server. It stops, and its thread is joined, when this is dropped.
#[derive(Debug)]
pub struct ServerThread {
    url: String,
    waker: Arc<Waker>,
    cpu: Option<usize>,
    system_id: Option<u32>,
    /// `None` only after the end.
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// What the thread tells of itself before it serves.
struct Started {
    is_pinned: bool,
    system_id: Option<u32>,
}

impl ServerThread {
    /// Binds a free loopback port and serves it from a thread of its own, which
    /// keeps to `cpu` (`None`: wherever the system likes).
    ///
    /// # Errors
    /// When the system gives no socket, poll instance or thread. A thread that
    /// could not be pinned is not an error: see [`cpu`](Self::cpu).
    pub fn start(options: Options, cpu: Option<usize>) -> io::Result<Self> {
        let server = CannedServer::bind(options)?;
        let (url, waker) = (server.url(), server.waker());
        let (tell, started) = mpsc::channel();
        let thread = Builder::new()
            .name("canned server".to_string())
            .spawn(move || {
                let is_pinned = cpu.is_some_and(pin);
                // Whoever started it waits for this.
                let _ = tell.send(Started {
                    is_pinned,
                    system_id: system::thread_id(),
                });
                server.serve()
            })?;
        let started = started
            .recv()
            .map_err(|_| io::Error::other("the canned server's thread ended at once"))?;
        Ok(Self {
            url,
            waker,
            cpu: cpu.filter(|_| started.is_pinned),
            system_id: started.system_id,
            thread: Some(thread),
        })
    }

    /// The endpoint's URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The CPU that the thread really keeps to; `None`: not pinned.
    pub fn cpu(&self) -> Option<usize> {
        self.cpu
    }

    /// CPU time of the thread so far, user and system; `None` where the system
    /// does not tell. Linux updates it at least once a tick of the scheduler, so
    /// it may be some milliseconds behind.
    pub fn cpu_time(&self) -> Option<Duration> {
        system::cpu_time_of(self.system_id?)
    }

    /// Closes all connections and waits for the thread.
    ///
    /// # Errors
    /// When the server's poll had failed.
    pub fn stop(mut self) -> io::Result<()> {
        self.end()
    }

    fn end(&mut self) -> io::Result<()> {
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        // Where it fails the thread has ended, and its poll is gone.
        let _ = self.waker.wake();
        thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the canned server panicked")))
    }
}

impl Drop for ServerThread {
    fn drop(&mut self) {
        // Nobody asked how it went.
        let _ = self.end();
    }
}

/// Pins the calling thread; whether it worked. The dependency accepts only
/// CPUs that there can be.
fn pin(cpu: usize) -> bool {
    let core = CoreId { id: cpu };
    core_affinity::get_core_ids().is_some_and(|allowed| allowed.contains(&core))
        && core_affinity::set_for_current(core)
}

#[cfg(all(target_os = "linux", not(pmcp_portable)))]
mod system {
    use std::fs;
    use std::time::Duration;

    /// The kernel's id of the calling thread.
    pub(super) fn thread_id() -> Option<u32> {
        u32::try_from(nix::unistd::gettid().as_raw()).ok()
    }

    /// The first number of `schedstat` is time on the CPU in nanoseconds
    /// (Documentation/scheduler/sched-stats.rst).
    pub(super) fn cpu_time_of(thread_id: u32) -> Option<Duration> {
        let text = fs::read_to_string(format!("/proc/self/task/{thread_id}/schedstat")).ok()?;
        let ns = text.split_whitespace().next()?.parse().ok()?;
        Some(Duration::from_nanos(ns))
    }
}

#[cfg(not(all(target_os = "linux", not(pmcp_portable))))]
mod system {
    use std::time::Duration;

    pub(super) fn thread_id() -> Option<u32> {
        None
    }

    pub(super) fn cpu_time_of(_: u32) -> Option<Duration> {
        None
    }
}
