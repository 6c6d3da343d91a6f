//! Whether a stream takes what is written to it now, and whether somebody typed a line there.
//! A write to a pipe that nobody reads waits for ever, and so does one to a terminal that is
//! stopped.
//!
//! The streams are asked, and never set to refuse what they cannot take: others share
//! them, and would lose what they write.

/// Whether stderr takes at least a line now, without waiting.
pub fn is_stderr_taken() -> bool {
    system::is_taken(&std::io::stderr())
}

/// Whether stdout and stderr take what is written to them now.
pub fn are_streams_taken() -> bool {
    system::is_taken(&std::io::stdout()) && is_stderr_taken()
}

/// The bytes of the lines that were typed at the terminal of stderr and that nobody has read.
/// Each Enter makes them more, and moves the terminal's cursor. 0 where there is no terminal.
pub fn n_bytes_typed() -> u64 {
    system::n_bytes_typed(&std::io::stderr())
}

/// Writes a few bytes to stderr where it takes them now. Whoever writes to it may wait with
/// the lock of its stream, so this one goes without.
pub(super) fn tell_at_once(bytes: &[u8]) {
    if is_stderr_taken() {
        system::tell(bytes);
    }
}

#[cfg(unix)]
mod system {
    use std::io;
    use std::os::fd::AsFd;

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    /// A stream that is broken takes all: writing to it fails at once.
    pub(super) fn is_taken(stream: &impl AsFd) -> bool {
        let mut asked = [PollFd::new(stream.as_fd(), PollFlags::POLLOUT)];
        // Where nobody can tell, it is tried.
        poll(&mut asked, PollTimeout::ZERO) != Ok(0)
    }

    pub(super) fn n_bytes_typed(stream: &impl AsFd) -> u64 {
        rustix::io::ioctl_fionread(stream).unwrap_or(0)
    }

    pub(super) fn tell(bytes: &[u8]) {
        // Nobody is left to be told.
        let _ = nix::unistd::write(io::stderr(), bytes);
    }
}

/// Nobody can tell. What is typed is shown only where it is read.
#[cfg(not(unix))]
mod system {
    use std::io::{self, Write as _};

    pub(super) fn is_taken<T>(_: &T) -> bool {
        true
    }

    pub(super) fn n_bytes_typed<T>(_: &T) -> u64 {
        0
    }

    pub(super) fn tell(bytes: &[u8]) {
        // Nobody is left to be told.
        let _ = io::stderr().write_all(bytes);
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn a_full_pipe_takes_nothing_and_a_broken_one_all() {
        let (mut reader, mut writer) = std::io::pipe().expect("a pipe");
        let mut n_bytes = 0;
        while system::is_taken(&writer) {
            n_bytes += writer.write(&[0; 512]).expect("there is room");
        }
        assert!(n_bytes > 0);
        reader
            .read_exact(&mut vec![0; n_bytes])
            .expect("all that was written");
        assert!(system::is_taken(&writer));
        drop(reader);
        assert!(system::is_taken(&writer));
    }
}
