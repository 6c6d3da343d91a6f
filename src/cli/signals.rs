//! SIGINT, SIGTERM and SIGHUP end a run: the first in good order, the second at
//! once.

use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use crate::coordinator::Interrupter;

/// Listens while it lives.
pub(super) struct Listener {
    handle: Option<Handle>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Listener {
    /// Passes signals on. Where the system does not let us listen, signals end
    /// the program as they always do.
    pub(super) fn start(interrupter: Interrupter) -> Self {
        let mut wanted = vec![SIGINT, SIGTERM];
        // Under `nohup` a terminal that goes away ends nothing.
        if !is_hangup_ignored() {
            wanted.push(SIGHUP);
        }
        let Ok(mut signals) = Signals::new(wanted) else {
            return Self {
                handle: None,
                thread: None,
            };
        };
        let handle = signals.handle();
        let thread = thread::Builder::new()
            .name("signals".to_string())
            .spawn(move || {
                for _ in &mut signals {
                    interrupter.interrupt();
                }
            });
        Self {
            handle: Some(handle),
            thread: thread.ok(),
        }
    }
}

/// Whether this process was started so that SIGHUP does not reach it.
fn is_hangup_ignored() -> bool {
    // Other systems tell it only to calls that need `unsafe`.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    is_ignored(&status, SIGHUP)
}

/// `status` is that of a process, as Linux tells it.
fn is_ignored(status: &str, signal: i32) -> bool {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(handle) = &self.handle {
            handle.close();
        }
        if let Some(thread) = self.thread.take() {
            // It only ever passes signals on.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_status() {
        assert!(is_ignored("Name:\tx\nSigIgn:\t0000000000001001\n", SIGHUP));
        assert!(!is_ignored("SigIgn:\t0000000000001000\n", SIGHUP));
        assert!(!is_ignored("", SIGHUP));
    }
}
