//! SIGINT and SIGTERM end a run: the first in good order, the second at once.

use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
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
        let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) else {
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
