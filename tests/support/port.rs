//! Ports that no other test is given.
//!
//! A port that a listener gave back goes to the next test that asks the system
//! for a free one, or to a connection. A test that needs a port with nobody
//! behind it, or the same port twice, takes it from here.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// From where on the system chooses ports for those who ask for any: Linux's
/// default, and below that of the others.
const CHOSEN_BY_THE_SYSTEM: u32 = 32_768;

/// Below, ports have names or need rights.
const FIRST: u32 = 10_000;

/// A port on which nobody listens, and which is given to nobody else.
pub(crate) fn unused() -> u16 {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let n = CHOSEN_BY_THE_SYSTEM - FIRST;
    for _ in 0..n {
        let n_taken = TAKEN.fetch_add(1, Ordering::Relaxed);
        let at = process::id().wrapping_mul(97).wrapping_add(n_taken);
        let port = u16::try_from(FIRST + at % n).expect("below 32,768");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port from {FIRST} to {CHOSEN_BY_THE_SYSTEM} is free");
}

/// Whether one of three attempts, each a server that has ended, leaves its port closed.
/// A process that another test starts holds all sockets for a moment, and another test
/// may be given the port before we look at it.
pub(crate) fn is_closed_in_one_of_three(mut attempt: impl FnMut() -> SocketAddr) -> bool {
    (0..3).any(|_| {
        let address = attempt();
        let began = Instant::now();
        loop {
            match TcpStream::connect(address) {
                Err(_) => return true,
                Ok(_) if began.elapsed() > CLOSES_WITHIN => return false,
                Ok(_) => thread::yield_now(),
            }
        }
    })
}

/// For how long one port is looked at.
const CLOSES_WITHIN: Duration = Duration::from_secs(5);
