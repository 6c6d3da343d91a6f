//! Ends the wait of a poll at an instant, to some microseconds where the system
//! can.
//!
//! `epoll_wait` counts in milliseconds and rounds up. On Linux a timer
//! descriptor is in the poll set; elsewhere the poll's own timeout has to do.
//! This module does not know what is waited for.

use std::io;
use std::time::Duration;

use mio::{Registry, Token};

/// The alarm of one poll, set to the earliest instant that anybody waits for.
/// `T` is an instant on the owner's clock.
#[derive(Debug)]
pub(crate) struct PollAlarm<T> {
    timer: Descriptor,
    /// What the timer is set to and has not been seen to pass.
    set_to: Option<T>,
}

impl<T: Copy + Ord> PollAlarm<T> {
    /// An alarm that the poll tells of by `token`.
    ///
    /// # Errors
    /// When the system gives no timer.
    pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        Ok(Self {
            timer: Descriptor::new(registry, token)?,
            set_to: None,
        })
    }

    /// Sees to it that a poll with the returned timeout ends at `at` or before;
    /// `left` is how long that is from now. `None`: the poll needs no timeout.
    ///
    /// # Errors
    /// When the system does not set its timer.
    pub(crate) fn set(
        &mut self,
        at: Option<T>,
        left: impl FnOnce(T) -> Duration,
    ) -> io::Result<Option<Duration>> {
        let Some(at) = at else {
            return Ok(None);
        };
        // An alarm that goes off too early costs a turn, no more; that is
        // cheaper than a system call for each change.
        if self.set_to.is_some_and(|set_to| set_to <= at) {
            return Ok(None);
        }
        let left = left(at);
        if left.is_zero() || !self.timer.set(left)? {
            return Ok(Some(left));
        }
        self.set_to = Some(at);
        Ok(None)
    }

    /// The poll gave the alarm's token.
    pub(crate) fn went_off(&mut self) {
        self.set_to = None;
    }
}

/// A timer descriptor. It is never read: the poll is edge-triggered, and setting
/// the timer anew clears what has expired.
#[cfg(all(target_os = "linux", not(pmcp_portable)))]
#[derive(Debug)]
struct Descriptor(nix::sys::timerfd::TimerFd);

#[cfg(all(target_os = "linux", not(pmcp_portable)))]
impl Descriptor {
    fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};
        use std::os::fd::{AsFd, AsRawFd};
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        let raw = timer.as_fd().as_raw_fd();
        let mut source = mio::unix::SourceFd(&raw);
        registry.register(&mut source, token, mio::Interest::READABLE)?;
        Ok(Self(timer))
    }

    /// Goes off once, after `left`, which is not zero; whether there is a timer.
    fn set(&self, left: Duration) -> io::Result<bool> {
        use nix::sys::time::TimeSpec;
        use nix::sys::timerfd::{Expiration, TimerSetTimeFlags};
        let expiration = Expiration::OneShot(TimeSpec::from_duration(left));
        self.0.set(expiration, TimerSetTimeFlags::empty())?;
        Ok(true)
    }
}

#[cfg(not(all(target_os = "linux", not(pmcp_portable))))]
#[derive(Debug)]
struct Descriptor;

#[cfg(not(all(target_os = "linux", not(pmcp_portable))))]
impl Descriptor {
    fn new(_: &Registry, _: Token) -> io::Result<Self> {
        Ok(Self)
    }

    fn set(&self, _: Duration) -> io::Result<bool> {
        Ok(false)
    }
}
