//! Reading from a socket together with the moment the kernel received it.
//!
//! Linux stamps received data (`SO_TIMESTAMPNS`) with the wall clock; for TCP
//! the stamp is that of the last segment handed over by the read. The age of
//! the stamp, by the wall clock at the time of reading, is what is used, so
//! only a clock that is set in between could falsify it. `nix` wraps the
//! calls, so no `unsafe` is needed.

use std::io;
use std::time::Duration;

use mio::net::TcpStream;

/// Whether this system gives receive timestamps.
pub fn is_supported() -> bool {
    cfg!(target_os = "linux")
}

/// Asks for receive timestamps. Where that fails, reads go without.
pub(super) fn enable(stream: &TcpStream) {
    #[cfg(target_os = "linux")]
    {
        use nix::sys::socket::{setsockopt, sockopt};
        let _ = setsockopt(stream, sockopt::ReceiveTimestampns, &true);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = stream;
}

/// Reads what is there; also how long ago the last of it reached the kernel.
#[cfg(target_os = "linux")]
pub(super) fn read(
    stream: &mut TcpStream,
    buffer: &mut [u8],
) -> io::Result<(usize, Option<Duration>)> {
    use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
    use nix::sys::time::TimeSpec;
    use std::cell::RefCell;
    use std::io::IoSliceMut;
    use std::os::fd::AsRawFd;
    use std::time::SystemTime;

    thread_local! {
        static CONTROL: RefCell<Vec<u8>> = RefCell::new(nix::cmsg_space!(TimeSpec));
    }
    CONTROL.with_borrow_mut(|control| {
        let mut slices = [IoSliceMut::new(buffer)];
        let message = recvmsg::<()>(
            stream.as_raw_fd(),
            &mut slices,
            Some(control),
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
        let age = stamp.and_then(|stamp| {
            SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .ok()?
                .checked_sub(stamp)
        });
        Ok((message.bytes, age))
    })
}

/// Reads what is there.
#[cfg(not(target_os = "linux"))]
pub(super) fn read(
    stream: &mut TcpStream,
    buffer: &mut [u8],
) -> io::Result<(usize, Option<Duration>)> {
    std::io::Read::read(stream, buffer).map(|n| (n, None))
}
