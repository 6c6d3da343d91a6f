//! Reading from a socket together with the moment the kernel received it.
//!
//! Linux stamps received data (`SO_TIMESTAMPNS`) with the wall clock; for TCP
//! the stamp is that of the last segment handed over by the read. The age of
//! the stamp, by the wall clock at the time of reading, is what is used;
//! `clock_watch.rs` notices when that clock was set in between, and then the
//! moment of reading has to do. How reads were timed is counted for each
//! thread. `nix` wraps the calls, so no `unsafe` is needed.

use std::cell::RefCell;
use std::io;
use std::time::{Duration, Instant, SystemTime};

use mio::net::TcpStream;

use super::clock_watch::{ClockReading, ClockWatch};
use crate::metrics::ReadTimes;
use crate::units::nanos;

/// What was read, and when it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Received {
    /// 0: the peer has closed.
    pub(super) n_bytes: usize,
    /// When it was read.
    pub(super) at: Instant,
    /// How long before that the last of it had reached the kernel; `None` where
    /// the kernel does not tell, or cannot be believed.
    pub(super) age: Option<Duration>,
}

/// What one thread knows of its clocks and reads.
struct Stamping {
    /// Room for the stamp.
    #[cfg(all(target_os = "linux", not(pmcp_portable)))]
    control: Vec<u8>,
    /// The monotonic clock's zero.
    base: Instant,
    clocks: ClockWatch,
    reads: ReadTimes,
}

thread_local! {
    static LOCAL: RefCell<Stamping> = RefCell::new(Stamping {
        #[cfg(all(target_os = "linux", not(pmcp_portable)))]
        control: nix::cmsg_space!(nix::sys::time::TimeSpec),
        base: Instant::now(),
        clocks: ClockWatch::default(),
        reads: ReadTimes::default(),
    });
}

/// Whether this system takes the wish for receive timestamps, asked on a socket
/// of its own. Whether it then gives them, the counts of [`take_counts`] tell.
pub fn is_supported() -> bool {
    #[cfg(all(target_os = "linux", not(pmcp_portable)))]
    {
        use nix::sys::socket::{setsockopt, sockopt};
        std::net::UdpSocket::bind((std::net::Ipv4Addr::LOCALHOST, 0))
            .is_ok_and(|socket| setsockopt(&socket, sockopt::ReceiveTimestampns, &true).is_ok())
    }
    #[cfg(not(all(target_os = "linux", not(pmcp_portable))))]
    false
}

/// How this thread's reads were timed, how often the wall clock was set, and by
/// how many nanoseconds at most, since this was last asked. Looks at the clocks
/// once more, so that a step is noticed where nothing is read, too.
pub fn take_counts() -> (ReadTimes, u64, u64) {
    LOCAL.with_borrow_mut(|local| {
        let reading = local.close_reading();
        local.clocks.settle(&reading);
        let (n_steps, step_max_ns) = local.clocks.take_steps();
        (std::mem::take(&mut local.reads), n_steps, step_max_ns)
    })
}

/// The age of the last read that had one was not believable after all.
pub(super) fn disbelieve() {
    LOCAL.with_borrow_mut(|local| {
        local.reads.kernel = local.reads.kernel.saturating_sub(1);
        local.reads.unusable += 1;
    });
}

impl Stamping {
    /// Both clocks, the wall clock first.
    fn reading(&self) -> (ClockReading, Instant) {
        let wall_ns = wall_ns();
        let at = Instant::now();
        let reading = ClockReading {
            wall_ns,
            mono_ns: self.mono_ns(at),
            apart_ns: 0,
        };
        (reading, at)
    }

    /// Both clocks with as little between them as can be had: nothing may have
    /// held the thread up between the two.
    fn close_reading(&self) -> ClockReading {
        const TRIES: usize = 5;
        const CLOSE_NS: u64 = 2_000;
        let mut closest: Option<ClockReading> = None;
        for _ in 0..TRIES {
            let before = Instant::now();
            let wall_ns = wall_ns();
            let after = Instant::now();
            let apart_ns = nanos(after.saturating_duration_since(before));
            if closest.is_none_or(|closest| apart_ns < closest.apart_ns) {
                closest = Some(ClockReading {
                    wall_ns,
                    mono_ns: self.mono_ns(after),
                    apart_ns,
                });
            }
            if apart_ns <= CLOSE_NS {
                break;
            }
        }
        closest.unwrap_or_else(|| self.reading().0)
    }

    fn mono_ns(&self, at: Instant) -> u64 {
        nanos(at.saturating_duration_since(self.base))
    }

    /// When something that carries this stamp of the wall clock came.
    #[cfg(all(target_os = "linux", not(pmcp_portable)))]
    fn received(&mut self, n_bytes: usize, stamp_ns: Option<u64>) -> Received {
        let Some(stamp_ns) = stamp_ns else {
            self.reads.user_space += u64::from(n_bytes > 0);
            return Received {
                n_bytes,
                at: Instant::now(),
                age: None,
            };
        };
        let (mut reading, mut at) = self.reading();
        if !self.clocks.agrees(&reading) {
            let close = self.close_reading();
            self.clocks.settle(&close);
            (reading, at) = self.reading();
        }
        let age = self.clocks.age(stamp_ns, &reading);
        match age {
            Some(_) => self.reads.kernel += 1,
            None => self.reads.unusable += 1,
        }
        Received { n_bytes, at, age }
    }
}

/// Since 1970.
fn wall_ns() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    nanos(since.unwrap_or_default())
}

/// Asks for receive timestamps. Where that fails, reads go without, and are
/// counted as such.
pub(super) fn enable(stream: &TcpStream) {
    #[cfg(all(target_os = "linux", not(pmcp_portable)))]
    {
        use nix::sys::socket::{setsockopt, sockopt};
        setsockopt(stream, sockopt::ReceiveTimestampns, &true).ok();
    }
    #[cfg(not(all(target_os = "linux", not(pmcp_portable))))]
    let _ = stream;
}

/// Reads what is there, and tells when the last of it reached the kernel.
#[cfg(all(target_os = "linux", not(pmcp_portable)))]
pub(super) fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<Received> {
    use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
    use std::io::IoSliceMut;
    use std::os::fd::AsRawFd;

    LOCAL.with_borrow_mut(|local| {
        let mut slices = [IoSliceMut::new(buffer)];
        let message = recvmsg::<()>(
            stream.as_raw_fd(),
            &mut slices,
            Some(&mut local.control),
            MsgFlags::empty(),
        )?;
        let stamp = message
            .cmsgs()
            .ok()
            .into_iter()
            .flatten()
            .find_map(|c| match c {
                ControlMessageOwned::ScmTimestampns(stamp) => Some(Duration::from(stamp)),
                _ => None,
            });
        let n_bytes = message.bytes;
        Ok(local.received(n_bytes, stamp.map(nanos)))
    })
}

/// Reads what is there.
#[cfg(not(all(target_os = "linux", not(pmcp_portable))))]
pub(super) fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<Received> {
    let n_bytes = std::io::Read::read(stream, buffer)?;
    LOCAL.with_borrow_mut(|local| local.reads.user_space += u64::from(n_bytes > 0));
    Ok(Received {
        n_bytes,
        at: Instant::now(),
        age: None,
    })
}
