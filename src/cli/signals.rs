//! SIGINT, SIGTERM and SIGHUP end a run: the first in good order, the second at
//! once. On Windows Ctrl-C is SIGINT, and there is no SIGHUP.
//!
//! Before Ctrl-Z (SIGTSTP) and Ctrl-\ (SIGQUIT) do what they always do, what is drawn is
//! taken away, so that the shell finds its screen; after `fg` it is drawn anew.

use std::thread;

use crate::coordinator::Interrupter;
use crate::terminal::Canvas;

/// Listens while it lives.
pub(super) struct Listener {
    handle: Option<system::Handle>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Listener {
    /// Passes signals on. Where the system does not let us listen, signals end
    /// the program as they always do.
    pub(super) fn start(interrupter: Interrupter, canvas: Canvas) -> Self {
        let Ok((handle, signals)) = system::listen() else {
            return Self {
                handle: None,
                thread: None,
            };
        };
        let thread = thread::Builder::new()
            .name("signals".to_string())
            .spawn(move || system::for_each(signals, &canvas, &interrupter));
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

/// A file that grows beyond what this process may write (`ulimit -f`) fails as a full disk
/// does, where the signal for it would end the process and its report. Asked for as often as
/// one likes.
pub(super) fn outlive_large_files() {
    system::outlive_large_files();
}

/// Whether the terminal that stderr is takes what is typed for this program: not behind `&`
/// or `bg`. Where nobody can tell, it does.
pub(super) fn is_in_foreground() -> bool {
    system::is_in_foreground()
}

#[cfg(all(unix, not(pmcp_portable)))]
mod system {
    use std::io;
    use std::sync::{Arc, Once};

    use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGXFSZ};
    use signal_hook::flag;
    pub(super) use signal_hook::iterator::Handle;
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::emulate_default_handler;

    use crate::coordinator::Interrupter;
    use crate::terminal::Canvas;

    pub(super) fn is_in_foreground() -> bool {
        let group = nix::unistd::tcgetpgrp(io::stderr());
        group.map_or(true, |group| group == nix::unistd::getpgrp())
    }

    pub(super) fn outlive_large_files() {
        static HAS_ASKED: Once = Once::new();
        HAS_ASKED.call_once(|| {
            // Caught, it ends nothing, and the write fails. Programs that we start begin with
            // what the system does.
            let caught = flag::register(SIGXFSZ, Arc::default());
            debug_assert!(caught.is_ok(), "{caught:?}");
        });
    }

    pub(super) fn listen() -> io::Result<(Handle, Signals)> {
        // What whoever started us wants to be ignored is: under `nohup`, a terminal that
        // goes away ends nothing.
        let wanted = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT];
        let is_wanted = |signal: &i32| match *signal {
            SIGINT | SIGTERM | SIGCONT => true,
            // Where no shell waits for us, nobody could let us go on.
            SIGTSTP => has_shell() && !is_ignored_by_us(SIGTSTP),
            signal => !is_ignored_by_us(signal),
        };
        let wanted: Vec<i32> = wanted.into_iter().filter(is_wanted).collect();
        let signals = Signals::new(wanted)?;
        Ok((signals.handle(), signals))
    }

    /// Until the handle is closed.
    pub(super) fn for_each(mut signals: Signals, canvas: &Canvas, interrupter: &Interrupter) {
        for signal in &mut signals {
            match signal {
                SIGQUIT | SIGTSTP => canvas.leave(|| {
                    // It ends or stops us, or does nothing.
                    let _ = emulate_default_handler(signal);
                }),
                // The kernel lets us go on without us. It is heard after a SIGSTOP, too.
                SIGCONT => interrupter.resumed(),
                _ => interrupter.interrupt(),
            }
        }
    }

    /// Whether this process was started so that a signal does not reach it.
    fn is_ignored_by_us(signal: i32) -> bool {
        // Other systems tell it only to calls that need `unsafe`.
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        is_ignored(&status, signal)
    }

    /// Whether a process of this session waits for us: else the kernel stops nobody by
    /// SIGTSTP, and we would stop for ever.
    #[cfg(target_os = "linux")]
    fn has_shell() -> bool {
        use nix::unistd::{getppid, getsid};
        getsid(None).is_ok_and(|own| getsid(Some(getppid())) == Ok(own))
    }

    #[cfg(not(target_os = "linux"))]
    fn has_shell() -> bool {
        false
    }

    /// `status` is that of a process, as Linux tells it.
    fn is_ignored(status: &str, signal: i32) -> bool {
        let mask = status
            .lines()
            .find_map(|line| line.strip_prefix("SigIgn:"))
            .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
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
}

/// A signal sets a flag, which a thread looks at: all that `signal-hook` does on every
/// system.
#[cfg(not(all(unix, not(pmcp_portable))))]
mod system {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    use std::thread;
    use std::time::Duration;

    use signal_hook::SigId;
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::{flag, low_level};

    use crate::coordinator::Interrupter;
    use crate::terminal::Canvas;

    pub(super) fn is_in_foreground() -> bool {
        true
    }

    /// Windows has no such signal.
    pub(super) fn outlive_large_files() {}

    /// A user who presses Ctrl-C notices no less than this.
    const LOOK_EVERY: Duration = Duration::from_millis(50);

    pub(super) struct Handle {
        ids: Vec<SigId>,
        signals: Signals,
    }

    #[derive(Clone, Default)]
    pub(super) struct Signals {
        raised: Arc<AtomicBool>,
        is_closed: Arc<AtomicBool>,
    }

    impl Handle {
        pub(super) fn close(&self) {
            self.signals.is_closed.store(true, Relaxed);
            for id in &self.ids {
                low_level::unregister(*id);
            }
        }
    }

    pub(super) fn listen() -> io::Result<(Handle, Signals)> {
        let signals = Signals::default();
        let mut handle = Handle {
            ids: Vec::new(),
            signals: signals.clone(),
        };
        for signal in [SIGINT, SIGTERM] {
            let id = flag::register(signal, Arc::clone(&signals.raised));
            handle.ids.push(id?);
        }
        Ok((handle, signals))
    }

    /// Until the handle is closed.
    pub(super) fn for_each(signals: Signals, _: &Canvas, interrupter: &Interrupter) {
        while !signals.is_closed.load(Relaxed) {
            if signals.raised.swap(false, Relaxed) {
                interrupter.interrupt();
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::coordinator::Interrupts;

        #[test]
        fn a_flag_that_was_raised_is_acted_on_once() {
            let signals = Signals::default();
            signals.raised.store(true, Relaxed);
            let (interrupter, interrupts) = Interrupts::new();
            let closer = signals.clone();
            thread::scope(|scope| {
                scope.spawn(|| for_each(signals, &Canvas::default(), &interrupter));
                interrupts.wait(Duration::MAX);
                closer.is_closed.store(true, Relaxed);
            });
            assert!(interrupts.is_pending());
            assert!(!closer.raised.load(Relaxed));
        }
    }
}
