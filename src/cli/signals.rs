//! SIGINT, SIGTERM and SIGHUP end a run: the first in good order, the second at
//! once, and the third ends the process. What has nothing to finish (`try`, `demo`) ends at
//! once by the first. On Windows Ctrl-C is SIGINT, and there is no
//! SIGHUP.
//!
//! The main thread may wait for a reader of its output that never reads. So the second
//! signal, and one after the load, end the process from the signals' own thread where the
//! main thread does not: see [`Urgency`].
//!
//! Before Ctrl-Z (SIGTSTP) and Ctrl-\ (SIGQUIT) do what they always do, what is drawn is
//! taken away, so that the shell finds its screen; after `fg` it is drawn anew.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use signal_hook::low_level;

use super::exit;
use crate::coordinator::Interrupter;
use crate::terminal::{Canvas, are_streams_taken};

/// How often a process that is to end is looked at, to see whether its output is read.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Looks in a row that find a stream which nobody reads: what waits for it waits for ever.
const STUCK_LOOKS_MAX: u32 = 6;

/// Looks at all, which is half a minute: what a program does at its end takes less.
const LOOKS_MAX: u32 = 120;

/// The thread that hears signals. It outlives its [`Listener`]: what is written after a
/// load may wait for a reader, and a signal has to end that as well.
static LAST: Mutex<Option<SignalThread>> = Mutex::new(None);

/// Signals end what it was started for in good order while it lives. Once it is dropped
/// they end the process, when what is left to do was done or waits for ever.
pub(super) struct Listener {
    signaled: Arc<Signaled>,
}

impl Listener {
    /// Passes signals on. Where the system does not let us listen, signals end
    /// the program as they always do.
    pub(super) fn start(interrupter: Interrupter, canvas: Canvas) -> Self {
        Self::heed(interrupter, canvas, Urgency::default())
    }

    /// The same for what has nothing to finish: the first signal is as urgent as the second
    /// one.
    pub(super) fn at_once(interrupter: Interrupter, canvas: Canvas) -> Self {
        Self::heed(interrupter, canvas, Urgency::hasty())
    }

    fn heed(interrupter: Interrupter, canvas: Canvas, urgency: Urgency) -> Self {
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        // The one before hears no more.
        drop(last.take());
        let (closes, closed) = bounded(0);
        let signaled = Arc::new(Signaled {
            interrupter,
            canvas,
            urgency: Mutex::new(urgency),
            closed,
        });
        if let Ok((handle, signals)) = system::listen() {
            let heard = Arc::clone(&signaled);
            let thread = thread::Builder::new()
                .name("signals".to_string())
                .spawn(move || system::for_each(signals, &heard));
            *last = Some(SignalThread {
                handle,
                thread: thread.ok(),
                _closes: closes,
            });
        }
        Self { signaled }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.signaled.act(Urgency::over);
    }
}

struct SignalThread {
    handle: system::Handle,
    thread: Option<thread::JoinHandle<()>>,
    /// Dropped, it ends the wait of who would end the process.
    _closes: Sender<()>,
}

impl Drop for SignalThread {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            // It waits for nothing but signals.
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

/// What signals are told to.
struct Signaled {
    interrupter: Interrupter,
    canvas: Canvas,
    urgency: Mutex<Urgency>,
    /// Is disconnected when nobody listens any more.
    closed: Receiver<()>,
}

impl Signaled {
    /// A signal that ends programs came. `is_final`: whoever sent it sends no other, as
    /// those who stop services do.
    fn hear(self: &Arc<Self>, is_final: bool) {
        self.interrupter.interrupt();
        self.act(|urgency| urgency.signal(is_final));
    }

    fn act(self: &Arc<Self>, change: impl FnOnce(&mut Urgency) -> Ending) {
        let mut urgency = self.urgency.lock().unwrap_or_else(PoisonError::into_inner);
        match change(&mut urgency) {
            Ending::None => {}
            Ending::Soon => {
                let own = Arc::clone(self);
                // Without a thread the next signal ends it.
                let _ = thread::Builder::new()
                    .name("the end".to_string())
                    .spawn(move || own.end_soon());
            }
            Ending::Now => self.end_now(),
        }
    }

    /// Ends the process where it waits for a reader, or has not ended in time.
    fn end_soon(&self) {
        let mut n_stuck = 0;
        for _ in 0..LOOKS_MAX {
            match self.closed.recv_timeout(LOOK_EVERY) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
            }
            n_stuck = if are_streams_taken() { 0 } else { n_stuck + 1 };
            if n_stuck == STUCK_LOOKS_MAX {
                break;
            }
        }
        self.end_now();
    }

    /// Ends the process, whatever its threads wait for. Nothing is unwound and nothing
    /// flushed, which might wait as well.
    fn end_now(&self) -> ! {
        self.canvas.abandon();
        low_level::exit(i32::from(exit::INTERRUPTED))
    }
}

/// How urgently the process is to end, from the signals so far.
#[derive(Debug, Default)]
struct Urgency {
    n_signals: u32,
    has_final: bool,
    /// There is nothing to finish after the first signal.
    is_hasty: bool,
    is_over: bool,
    is_ending: bool,
}

/// What ends the process besides its main thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    None,
    /// Where the main thread does not end it in time.
    Soon,
    Now,
}

impl Urgency {
    fn hasty() -> Self {
        Self {
            is_hasty: true,
            ..Self::default()
        }
    }

    /// Another signal came.
    fn signal(&mut self, is_final: bool) -> Ending {
        self.n_signals = self.n_signals.saturating_add(1);
        self.has_final |= is_final;
        match (self.is_ending, self.n_signals) {
            (true, _) => Ending::Now,
            // The load ends in good order, which takes as long as the user allows it.
            (false, 1) if !self.is_over && !self.is_hasty => Ending::None,
            (false, _) => self.soon(),
        }
    }

    /// What was to end in good order has ended.
    fn over(&mut self) -> Ending {
        self.is_over = true;
        match self.has_final && !self.is_ending {
            true => self.soon(),
            false => Ending::None,
        }
    }

    fn soon(&mut self) -> Ending {
        self.is_ending = true;
        Ending::Soon
    }
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

    use super::Signaled;

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
    pub(super) fn for_each(mut signals: Signals, signaled: &Arc<Signaled>) {
        for signal in &mut signals {
            match signal {
                SIGQUIT | SIGTSTP => signaled.canvas.leave(|| {
                    // It ends or stops us, or does nothing.
                    let _ = emulate_default_handler(signal);
                }),
                // The kernel lets us go on without us. It is heard after a SIGSTOP, too.
                SIGCONT => signaled.interrupter.resumed(),
                signal => signaled.hear(signal != SIGINT),
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

    use super::Signaled;

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
    pub(super) fn for_each(signals: Signals, signaled: &Arc<Signaled>) {
        while !signals.is_closed.load(Relaxed) {
            if signals.raised.swap(false, Relaxed) {
                signaled.hear(false);
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    #[cfg(test)]
    mod tests {
        use std::sync::Mutex;

        use super::*;
        use crate::coordinator::Interrupts;
        use crate::terminal::Canvas;

        #[test]
        fn a_flag_that_was_raised_is_acted_on_once() {
            let signals = Signals::default();
            signals.raised.store(true, Relaxed);
            let (interrupter, interrupts) = Interrupts::new();
            let signaled = Arc::new(Signaled {
                interrupter,
                canvas: Canvas::default(),
                urgency: Mutex::default(),
                closed: crossbeam_channel::never(),
            });
            let closer = signals.clone();
            thread::scope(|scope| {
                scope.spawn(|| for_each(signals, &signaled));
                interrupts.wait(Duration::MAX);
                closer.is_closed.store(true, Relaxed);
            });
            assert!(interrupts.is_pending());
            assert!(!closer.raised.load(Relaxed));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of signals (`i`: SIGINT, `t`: SIGTERM) and of the end (`.`). After `!`
    /// there is nothing to finish.
    fn endings(events: &str) -> Vec<Ending> {
        let (mut urgency, events) = match events.strip_prefix('!') {
            Some(events) => (Urgency::hasty(), events),
            None => (Urgency::default(), events),
        };
        let ending = |event| match event {
            '.' => urgency.over(),
            signal => urgency.signal(signal == 't'),
        };
        events.chars().map(ending).collect()
    }

    #[test]
    fn each_signal_is_more_urgent() {
        use Ending::{None, Now, Soon};
        assert_eq!(endings("iii"), [None, Soon, Now]);
        assert_eq!(endings("ttt"), [None, Soon, Now]);
        // The report is written after one of a user, who can send another.
        assert_eq!(endings("i.ii"), [None, None, Soon, Now]);
        assert_eq!(endings("t.i"), [None, Soon, Now]);
        assert_eq!(endings("ti.i"), [None, Soon, None, Now]);
        assert_eq!(endings(".it"), [None, Soon, Now]);
        assert_eq!(endings("!ii"), [Soon, Now]);
        assert_eq!(endings("!t.t"), [Soon, None, Now]);
    }
}
