//! A proxy that opens ways: whoever asks for one by CONNECT is led to one server, whatever
//! its name.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::acceptor::Acceptor;

/// A proxy that leads to a server.
pub(crate) struct Tunnel {
    acceptor: Acceptor,
    ways: Arc<Mutex<Ways>>,
}

#[derive(Default)]
struct Ways {
    /// Where they were to lead.
    asked: Vec<String>,
    open: Vec<TcpStream>,
}

impl Tunnel {
    pub(crate) fn to(server: SocketAddr) -> Self {
        let ways: Arc<Mutex<Ways>> = Arc::default();
        let kept = Arc::clone(&ways);
        // One that breaks off is the client's affair.
        let acceptor = Acceptor::start(move |client| drop(lead(client, server, &kept)));
        Self { acceptor, ways }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> String {
        self.acceptor.address().to_string()
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

/// The head of a request, and no byte of what follows it.
pub(crate) fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn lead(mut client: TcpStream, to: SocketAddr, ways: &Mutex<Ways>) -> io::Result<()> {
    let head = read_head(&mut client)?;
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
