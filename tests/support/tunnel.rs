//! A proxy that opens ways: whoever asks for one by CONNECT is led to one server, whatever
//! its name.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// A proxy that leads to a server.
pub(crate) struct Tunnel {
    address: SocketAddr,
    ways: Arc<Mutex<Ways>>,
    is_over: Arc<AtomicBool>,
}

#[derive(Default)]
struct Ways {
    /// Where they were to lead.
    asked: Vec<String>,
    open: Vec<TcpStream>,
}

impl Tunnel {
    pub(crate) fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let ways: Arc<Mutex<Ways>> = Arc::default();
        let is_over = Arc::new(AtomicBool::new(false));
        let (kept, over) = (Arc::clone(&ways), Arc::clone(&is_over));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let kept = Arc::clone(&kept);
                // One that breaks off is the client's affair.
                thread::spawn(move || lead(client, server, &kept));
            }
        });
        Self {
            address,
            ways,
            is_over,
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Where clients wanted to be led, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        let ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
        ways.asked.clone()
    }

    /// Says this to all who were led, in the midst of what they do.
    pub(crate) fn inject(&self, text: &str) {
        let mut ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
        for way in &mut ways.open {
            drop(way.write_all(text.as_bytes()));
        }
    }

    /// Cuts all ways that are open.
    pub(crate) fn cut(&self) {
        let mut ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
        for way in ways.open.drain(..) {
            drop(way.shutdown(Shutdown::Both));
        }
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // Wakes who waits for the next connection.
        drop(TcpStream::connect(self.address));
    }
}

fn lead(mut client: TcpStream, to: SocketAddr, ways: &Mutex<Ways>) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head);
    let mut words = head.split(' ');
    assert_eq!(words.next(), Some("CONNECT"), "{head}");
    {
        let mut ways = ways.lock().unwrap_or_else(PoisonError::into_inner);
        ways.asked.extend(words.next().map(str::to_string));
        ways.open.push(client.try_clone()?);
    }
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    relay(client, to)
}

/// Carries bytes both ways between a client and a server until one of them ends.
pub(crate) fn relay(client: TcpStream, to: SocketAddr) -> io::Result<()> {
    let server = TcpStream::connect(to)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from, back) = (server.try_clone()?, client.try_clone()?);
    let answers = thread::spawn(move || carry(from, back));
    carry(client, server);
    drop(answers.join());
    Ok(())
}

/// Carries bytes one way until it ends.
fn carry(mut from: TcpStream, mut to: TcpStream) {
    drop(io::copy(&mut from, &mut to));
    drop(to.shutdown(Shutdown::Both));
    drop(from.shutdown(Shutdown::Both));
}
