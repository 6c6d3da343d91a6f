//! Wakes the loop at an instant, to some microseconds where the system can.
//!
//! `epoll_wait` counts in milliseconds, too coarse for a server whose latency is
//! a known truth. On Linux a timerfd stands in the poll set; elsewhere, and
//! where there is none, the poll's own timeout has to do.

use std::time::Duration;

use mio::{Registry, Token};

/// One alarm, set to the earliest instant that anybody waits for.
#[derive(Debug)]
pub(super) struct Alarm {
    timer: Option<Timer>,
    /// The instant that the timer is set to and has not been seen to pass.
    armed: Option<Duration>,
}

impl Alarm {
    pub(super) fn new(registry: &Registry, token: Token) -> Self {
        Self {
            timer: Timer::new(registry, token),
            armed: None,
        }
    }

    /// Sees to it that a poll with the given timeout ends at `due`.
    pub(super) fn arm(&mut self, now: Duration, due: Option<Duration>) -> Option<Duration> {
        let due = due?;
        let left = due.saturating_sub(now);
        if left.is_zero() {
            return Some(Duration::ZERO);
        }
        // An earlier alarm may ring in vain; that is cheaper than a system call
        // for each change.
        if self.armed.is_some_and(|armed| armed <= due) {
            return None;
        }
        match &self.timer {
            Some(timer) if timer.set(left) => {
                self.armed = Some(due);
                None
            }
            _ => Some(left),
        }
    }

    /// The poll gave the alarm's token.
    pub(super) fn has_rung(&mut self) {
        self.armed = None;
    }
}

#[cfg(target_os = "linux")]
use linux::Timer;

#[cfg(target_os = "linux")]
mod linux {
    use std::os::fd::{AsFd, AsRawFd};
    use std::time::Duration;

    use mio::unix::SourceFd;
    use mio::{Interest, Registry, Token};
    use nix::sys::time::TimeSpec;
    use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

    /// A timerfd. It is never read: the poll is edge-triggered, and setting the
    /// timer anew clears what has expired.
    #[derive(Debug)]
    pub(super) struct Timer {
        fd: TimerFd,
    }

    impl Timer {
        pub(super) fn new(registry: &Registry, token: Token) -> Option<Self> {
            let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
            let fd = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags).ok()?;
            let raw = fd.as_fd().as_raw_fd();
            registry
                .register(&mut SourceFd(&raw), token, Interest::READABLE)
                .ok()?;
            Some(Self { fd })
        }

        /// Rings once, after `left`, which is not zero.
        pub(super) fn set(&self, left: Duration) -> bool {
            let expiration = Expiration::OneShot(TimeSpec::from_duration(left));
            self.fd.set(expiration, TimerSetTimeFlags::empty()).is_ok()
        }
    }
}

#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
struct Timer;

#[cfg(not(target_os = "linux"))]
impl Timer {
    fn new(_registry: &Registry, _token: Token) -> Option<Self> {
        None
    }

    fn set(&self, _left: Duration) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use mio::{Events, Poll};

    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn it_rings_again_and_again_and_never_early() {
        let mut poll = Poll::new().expect("a poll");
        let mut alarm = Alarm::new(poll.registry(), Token(7));
        let clock = SystemClock::start();
        let mut events = Events::with_capacity(4);
        for _ in 0..20 {
            let due = clock.now() + Duration::from_micros(700);
            while clock.now() < due {
                let timeout = alarm.arm(clock.now(), Some(due));
                poll.poll(&mut events, timeout).expect("a poll");
                if !events.is_empty() {
                    alarm.has_rung();
                }
            }
        }
        assert_eq!(alarm.arm(clock.now(), None), None);
        assert_eq!(
            alarm.arm(clock.now(), Some(Duration::ZERO)),
            Some(Duration::ZERO)
        );
    }
}
