//! What is an answer: hundreds of variants of one, each with its right value, on a
//! connection's first exchange, on a later one, and where each byte comes alone.
//!
//! RFC 9112 decides. Where it lets a recipient choose, the choice is noted beside
//! the variant.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::http::{HeaderLines, HeaderMap, Method, resolve};
use crate::metrics::{ConnectionFailure, Failure, ProtocolFailure};
use crate::network::Network;
use crate::scheduler::block_on;

/// More than any machine needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is sent, and what it is.
struct AnswerVariant {
    name: String,
    wire: Vec<u8>,
    /// The server closes the connection behind it.
    closes: bool,
    right: Judged,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Judged {
    /// The status, the body, and whether another exchange may follow.
    Answer(u16, Vec<u8>, bool),
    /// As `Answer`, with this content type.
    Typed(String),
    /// Not HTTP/1.1.
    Bad,
    /// The connection died in the midst of the answer.
    Early,
    /// It died before any byte of it.
    Lost,
}

use Judged::{Answer as Ok_, Bad, Early, Lost, Typed};

/// How the answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    First,
    Later,
    ByteByByte,
}

fn hello(keeps_alive: bool) -> Judged {
    Ok_(200, b"hello".to_vec(), keeps_alive)
}

fn empty(status: u16, keeps_alive: bool) -> Judged {
    Ok_(status, Vec::new(), keeps_alive)
}

struct VariantTable(Vec<AnswerVariant>);

impl VariantTable {
    fn add(&mut self, name: &str, wire: impl AsRef<[u8]>, closes: bool, right: Judged) {
        self.0.push(AnswerVariant {
            name: name.to_string(),
            wire: wire.as_ref().to_vec(),
            closes,
            right,
        });
    }

    /// The first line is this one.
    fn line(&mut self, line: &str, right: Judged) {
        let wire = format!("{line}\r\nContent-Length: 5\r\n\r\nhello");
        self.add(line, wire, false, right);
    }

    /// These headers stand before a body of five bytes, which the close ends where
    /// nothing else does.
    fn headers(&mut self, headers: &str, right: Judged) {
        let wire = format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\nhello");
        self.add(headers, wire, true, right);
    }

    /// The same, left open.
    fn open(&mut self, headers: &str, right: Judged) {
        let wire = format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\nhello");
        self.add(headers, wire, false, right);
    }

    fn chunks(&mut self, chunks: &str, closes: bool, right: Judged) {
        let wire = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
        let name: String = chunks.chars().take(60).collect();
        self.add(&name, wire, closes, right);
    }

    fn content_type(&mut self, headers: &str, right: &str) {
        self.open(
            &format!("Content-Length: 5\r\n{headers}"),
            Typed(right.to_string()),
        );
    }

    /// Cut at each byte, and closed there.
    fn cut(&mut self, wire: &str, right: impl Fn(usize) -> Judged) {
        for n in 0..=wire.len() {
            let name = format!("{n} bytes of {wire:?}");
            self.add(&name, &wire.as_bytes()[..n], true, right(n));
        }
    }
}

fn first_lines(table: &mut VariantTable) {
    let ok = || hello(true);
    table.line("HTTP/1.1 200 OK", ok());
    table.line("HTTP/1.1 200 ", ok());
    // The blank before a reason that is missing is demanded, and left out by many.
    table.line("HTTP/1.1 200", ok());
    table.line("HTTP/1.1 200 all is well, \u{e9}", ok());
    // RFC 9112 section 2.2: an empty line before is for servers to ignore; a
    // client may.
    table.line("\r\nHTTP/1.1 200 OK", ok());
    // RFC 9110 section 2.5: a later minor version is taken for the one we know.
    table.line("HTTP/1.2 200 OK", ok());
    table.line("HTTP/1.9 200 OK", ok());
    table.line("HTTP/1.0 200 OK", hello(false));
    // Section 15: unknown ones are taken for an error of their class, those
    // beyond 599 for one of the server's.
    for status in [201, 299, 404, 599, 600, 999] {
        table.line(
            &format!("HTTP/1.1 {status} X"),
            Ok_(status, b"hello".to_vec(), true),
        );
    }
    for bad in [
        "HTTP/1.1 099 X",
        "HTTP/1.1 000 X",
        "HTTP/1.1 99 X",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 2x0 OK",
        "HTTP/1.1 -200 OK",
        "HTTP/1.1  200 OK",
        "HTTP/1.1\t200 OK",
        "HTTP/1.1 OK",
        "HTTP/1.1",
        "HTTP/2.0 200 OK",
        "HTTP/2 200 OK",
        "HTTP/3 200 OK",
        "HTTP/0.9 200 OK",
        "HTTP/11 200 OK",
        "HTTP/1.10 200 OK",
        "HTTP/1. 200 OK",
        "http/1.1 200 OK",
        "HTTPS/1.1 200 OK",
        "ICY 200 OK",
        " HTTP/1.1 200 OK",
        "SSH-2.0-OpenSSH_9.2",
        "220 mail.example ESMTP",
        "+OK ready",
        "{\"jsonrpc\":\"2.0\"}",
        "<html>",
        "\u{16}\u{3}\u{1}\u{2}\u{0}",
    ] {
        table.line(bad, Bad);
    }
}

fn header_lines(table: &mut VariantTable) {
    let with = |line: &str| format!("{line}\r\nContent-Length: 5");
    for good in [
        "X: y",
        "X:y",
        "X:   y  ",
        "X:\ty\t",
        "X:",
        "X: ",
        "X: a\tb",
        "X: \u{e9}",
        "x-!#$%&'*+.^_`|~: y",
        "X: y\r\nX: z",
        // Section 5.2: blanks, for a user agent.
        "X: a\r\n b",
        "X: a\r\n\tb",
        "X: a\r\n b\r\n c",
        "X:\r\n a",
        "X: a\r\n ",
        // Section 2.2: a line feed alone may be taken for a line end.
        "X: y\nY: z",
    ] {
        table.open(&with(good), hello(true));
    }
    table.open("CONTENT-LENGTH: 5", hello(true));
    table.open("content-length:5", hello(true));
    table.open("Content-Length:\r\n 5", hello(true));
    table.open("Content-Length: 5\r\n ", hello(true));
    table.open("Content-Length: 5\r\nConnection:\r\n close", hello(false));
    table.add(
        "bare line feeds",
        "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
        false,
        hello(true),
    );
    for bad in [
        "X y",
        "X",
        ": y",
        "X : y",
        "X\t: y",
        "X Y: z",
        "X\u{0}: y",
        "X: a\u{0}b",
        "X: a\u{1}b",
        "X: a\u{7f}b",
        "X: a\rb",
        "\u{e9}: y",
        "(X): y",
        "\"X\": y",
    ] {
        table.open(&with(bad), Bad);
    }
    table.open(" X: y\r\nContent-Length: 5", Bad);
    table.open("Content-Length : 5", Bad);
    let many = |n: usize| format!("{}Content-Length: 5", "X: y\r\n".repeat(n));
    table.open(&many(30), hello(true));
    table.open(&many(127), hello(true));
    table.open(&many(128), Bad);
    let long = |n: usize| format!("X: {}\r\nContent-Length: 5", "y".repeat(n));
    table.open(&long(20_000), hello(true));
    table.open(&long(65_000), hello(true));
    table.open(&long(65_600), Bad);
    table.add("a line without end", vec![b'y'; 70_000], false, Bad);
}

fn lengths(table: &mut VariantTable) {
    table.open("Content-Length: 005", hello(true));
    table.open("Content-Length: 5, 5", hello(true));
    table.open("Content-Length: 5\r\nContent-Length: 5", hello(true));
    table.open("Content-Length: 5\r\nContent-Length: 05", hello(true));
    // More than was said is not part of it.
    let rest = |n: usize| Ok_(200, b"hello"[..n].to_vec(), false);
    table.open("Content-Length: 4", rest(4));
    table.open("Content-Length: 0", rest(0));
    for bad in [
        "",
        "-1",
        "-5",
        "+5",
        "0x5",
        "5.0",
        "5;",
        "5 5",
        "five",
        "5, 6",
        "5,",
        ", 5",
        "5,,5",
        "18446744073709551616",
        "99999999999999999999",
        "5\r\nContent-Length: 6",
        "5\r\n 5",
    ] {
        table.open(&format!("Content-Length: {bad}"), Bad);
    }
    for early in ["6", "9223372036854775807", "18446744073709551615"] {
        table.headers(&format!("Content-Length: {early}"), Early);
    }
    table.headers("X: y", hello(false));
    table.headers("Connection: keep-alive", hello(false));
    for close in [
        "close",
        "Close",
        "keep-alive, close",
        "x,close",
        "close, te",
    ] {
        table.open(
            &format!("Content-Length: 5\r\nConnection: {close}"),
            hello(false),
        );
    }
    table.open("Content-Length: 5\r\nConnection: closed", hello(true));
    let http10 = |headers: &str| format!("HTTP/1.0 200 OK\r\n{headers}\r\n\r\nhello");
    table.add("1.0, to the end", http10("X: y"), true, hello(false));
    table.add(
        "1.0, kept alive",
        http10("Content-Length: 5\r\nConnection: keep-alive"),
        false,
        hello(true),
    );
}

fn no_bodies(table: &mut VariantTable) {
    for headers in [
        "",
        "Content-Length: 0\r\n",
        "Content-Length: 5\r\n",
        "Content-Length: x\r\n",
        "Transfer-Encoding: chunked\r\n",
    ] {
        for status in [204, 304] {
            let wire = format!("HTTP/1.1 {status} X\r\n{headers}\r\n");
            table.add(&wire.clone(), wire, false, empty(status, true));
            let wire = format!("HTTP/1.1 {status} X\r\n{headers}\r\nhello");
            table.add(&wire.clone(), wire, false, empty(status, false));
        }
    }
    let then =
        |interim: &str| format!("{interim}HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    for interim in [
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 102 Processing\r\nX: y\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
        "HTTP/1.1 199 X\r\n\r\n",
        "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 100 Continue\r\nConnection: close\r\n\r\n",
    ] {
        table.add(interim, then(interim), false, hello(true));
        let often = then(&interim.repeat(50));
        table.add(&format!("50 of {interim}"), often, false, hello(true));
    }
    table.add(
        "nothing after an interim answer",
        "HTTP/1.1 100 Continue\r\n\r\n",
        true,
        Early,
    );
    // Which nobody asked for; what follows is not HTTP.
    table.add(
        "101",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        false,
        empty(101, false),
    );
}

fn transfer_codings(table: &mut VariantTable) {
    const WHOLE: &str = "5\r\nhello\r\n0\r\n\r\n";
    let coded = |headers: &str| format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n{WHOLE}");
    for chunked in [
        "Transfer-Encoding: chunked",
        "transfer-encoding:CHUNKED",
        "Transfer-Encoding: , chunked ,",
        "Transfer-Encoding: identity, chunked",
        // Section 6.3: it overrides the length.
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 3\r\nTransfer-Encoding: chunked",
        "Content-Length: x\r\nTransfer-Encoding: chunked",
        "Content-Length: 5, 6\r\nTransfer-Encoding: chunked",
    ] {
        table.add(chunked, coded(chunked), false, hello(true));
    }
    // What is coded is not a message, wherever it ends; section 6.1 forbids chunks
    // within chunks.
    for other in [
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: gzip\r\nContent-Length: 3",
    ] {
        table.add(other, coded(other), true, Bad);
    }
    // HTTP/1.1 once had it for none.
    table.open(
        "Transfer-Encoding: identity\r\nContent-Length: 5",
        hello(true),
    );
    // Section 6.1: framing at fault.
    let http10 = format!("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{WHOLE}");
    table.add("chunks of HTTP/1.0", http10, true, Bad);
}

fn chunks(table: &mut VariantTable) {
    let x = |n: usize| "x".repeat(n);
    let zeros = |n: usize| "0".repeat(n);
    for size in [
        "5".to_string(),
        "05".to_string(),
        "5;a".to_string(),
        "5;a=b".to_string(),
        "5;a=\"b;c\"".to_string(),
        "5 ; a = b".to_string(),
        "5\t;a".to_string(),
        "5;".to_string(),
        // What many write, although only an extension may have blanks before it.
        "5 ".to_string(),
        "5  \t".to_string(),
        format!("5;{}", x(20)),
        format!("5;{}", x(300)),
        format!("5;{}", x(4_000)),
        // 1*HEXDIG has no end; a line has.
        format!("{}5", zeros(15)),
        format!("{}5", zeros(16)),
        format!("{}5", zeros(19)),
        format!("{}5", zeros(4_000)),
    ] {
        let whole = format!("{size}\r\nhello\r\n0\r\n\r\n");
        table.chunks(&whole, false, hello(true));
    }
    table.chunks("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", false, hello(true));
    table.chunks(
        "1\r\nh\r\n1\r\ne\r\n1\r\nl\r\n1\r\nl\r\n1\r\no\r\n0\r\n\r\n",
        false,
        hello(true),
    );
    let ten = Ok_(200, b"0123456789".to_vec(), true);
    table.chunks("a\r\n0123456789\r\n0\r\n\r\n", false, ten.clone());
    table.chunks("A\r\n0123456789\r\n0\r\n\r\n", false, ten);
    for end in [
        "0\r\n\r\n".to_string(),
        "000\r\n\r\n".to_string(),
        "0;a=b\r\n\r\n".to_string(),
        "0 \r\n\r\n".to_string(),
        "0\r\nX: y\r\n\r\n".to_string(),
        "0\r\nX: y\r\nZ:\r\n\r\n".to_string(),
        format!("0\r\nX: {}\r\n\r\n", x(4_000)),
        format!("0\r\n{}\r\n", "X: y\r\n".repeat(1_000)),
    ] {
        table.chunks(&format!("5\r\nhello\r\n{end}"), false, hello(true));
        table.chunks(&end, false, empty(200, true));
        let then = format!("5\r\nhello\r\n{end}HTTP/1.1");
        table.chunks(&then, false, hello(false));
    }
    for size in [
        "+5".to_string(),
        "-5".to_string(),
        " 5".to_string(),
        "\t5".to_string(),
        "0x5".to_string(),
        "5 5".to_string(),
        "5 x".to_string(),
        "5x".to_string(),
        "5,5".to_string(),
        "5.0".to_string(),
        "g".to_string(),
        "five".to_string(),
        String::new(),
        " ".to_string(),
        ";a".to_string(),
        "5\u{0}".to_string(),
        "\u{ff15}".to_string(),
        "1".repeat(17),
        format!("{}5", "1".repeat(19)),
        "10000000000000005".to_string(),
        format!("5;{}", x(4_200)),
        format!("{}5", zeros(4_200)),
        "5;a\nb".to_string(),
    ] {
        let whole = format!("{size}\r\nhello\r\n0\r\n\r\n");
        table.chunks(&whole, false, Bad);
    }
    for bad in [
        "5\nhello\n0\n\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\rhello\r\n0\r\n\r\n",
        "5;a\nhello\r\n0\r\n\r\n",
        "5hello\r\n0\r\n\r\n",
        "4\r\nhello\r\n0\r\n\r\n",
        "6\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5\r\nhello\r\n0\n\r\n",
        "5\r\nhello\r\n0\r\n\n",
        "5\r\nhello\r\n0\r\nX: y\n\r\n",
        "5\r\nhello\r\n0\r\n\rX",
        "5\r\nhello\r\n\r\n",
        "5\r\nhello\r\n\r\n0\r\n\r\n",
        "hello",
    ] {
        table.chunks(bad, false, Bad);
    }
    let long_trailer = format!("0\r\nX: {}\r\n\r\n", x(4_200));
    table.chunks(&long_trailer, false, Bad);
    for early in ["ffffffffffffffff\r\nhello", "6\r\nhello", "5\r\nhello\r\n"] {
        table.chunks(early, true, Early);
    }
}

fn content_types(table: &mut VariantTable) {
    table.content_type("Content-Type: application/json", "application/json");
    table.content_type("CONTENT-TYPE:a/b ", "a/b");
    table.content_type("X: y", "");
    table.content_type("Content-Type:", "");
    table.content_type("Content-Type: json", "json");
    // The last that is one counts, as in browsers.
    let two = |a: &str, b: &str| format!("Content-Type: {a}\r\nContent-Type: {b}");
    table.content_type(&two("text/html", "application/json"), "application/json");
    table.content_type(&two("application/json", "text/html"), "text/html");
    table.content_type(&two("application/json", ""), "application/json");
    table.content_type(&two("application/json", "*/*"), "application/json");
    table.content_type(&two("application/json", "nonsense"), "application/json");
    table.content_type("Content-Type: text/html, a/b", "a/b");
    table.content_type("Content-Type: a/b; x=\"1,c/d\"", "a/b; x=\"1,c/d\"");
    table.content_type("Content-Type: a/b,", "a/b");
    table.content_type("Content-Type:\r\n a/b", "a/b");
    table.content_type("Content-Type: a/b;\r\n x=y", "a/b;   x=y");
}

fn cuts(table: &mut VariantTable) {
    let early = |n: usize| if n == 0 { Lost } else { Early };
    let wire = "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 5\r\n\r\nhello";
    table.cut(wire, |n| match n == wire.len() {
        true => hello(false),
        false => early(n),
    });
    let wire = "HTTP/1.1 103 X\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                3;a=b\r\nhel\r\n02\r\nlo\r\n0\r\nX: y\r\n\r\n";
    table.cut(wire, |n| match n == wire.len() {
        true => hello(false),
        false => early(n),
    });
    let head = "HTTP/1.1 200 OK\r\nX: y\r\n\r\n";
    table.cut(&format!("{head}hello"), |n| match n < head.len() {
        true => early(n),
        false => Ok_(200, b"hello"[..n - head.len()].to_vec(), false),
    });
}

fn variants() -> Vec<AnswerVariant> {
    let mut table = VariantTable(Vec::new());
    first_lines(&mut table);
    header_lines(&mut table);
    lengths(&mut table);
    no_bodies(&mut table);
    transfer_codings(&mut table);
    chunks(&mut table);
    content_types(&mut table);
    cuts(&mut table);
    table.0
}

/// Answers each request by the number in its body: that variant, or a good one.
fn serve(mut stream: TcpStream, variants: &[AnswerVariant]) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let mut request = Vec::new();
        while !request.ends_with(b".") {
            let mut piece = [0; 1024];
            match stream.read(&mut piece)? {
                0 => return Ok(()),
                n => request.extend_from_slice(&piece[..n]),
            }
        }
        let text = String::from_utf8_lossy(&request);
        let body = text.rsplit("\r\n").next().unwrap_or_default();
        let mut words = body.trim_end_matches('.').split(' ');
        let number = words.next().and_then(|word| word.parse::<usize>().ok());
        let Some(variant) = number.map(|number| &variants[number]) else {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")?;
            continue;
        };
        match words.next() {
            Some(_) => variant
                .wire
                .iter()
                .try_for_each(|byte| stream.write_all(&[*byte]))?,
            None => stream.write_all(&variant.wire)?,
        }
        if variant.closes {
            return stream.shutdown(Shutdown::Both);
        }
    }
}

fn post(client: &mut Client, body: &str) -> Result<Response, Trouble> {
    let head = client
        .endpoint
        .request_head(&Method::POST, &HeaderMap::new());
    client.send(&Request {
        head: &head,
        user: &HeaderLines::default(),
        call: &HeaderLines::default(),
        body: body.as_bytes(),
        deadline: Instant::now() + PATIENCE,
    })
}

fn whole(answer: &mut Response) -> Result<Vec<u8>, Trouble> {
    let mut body = Vec::new();
    // Small, so that it takes several reads.
    let mut piece = [0; 3];
    loop {
        match answer.read(&mut piece)? {
            0 => return Ok(body),
            n => body.extend_from_slice(&piece[..n]),
        }
    }
}

fn judge(endpoint: &Endpoint, number: usize, variant: &AnswerVariant, way: Way) -> Judged {
    let mut client = Client::new(endpoint, 1024 * 1024, &Arc::default(), &Rc::default());
    if way == Way::Later {
        let mut answer = post(&mut client, "first.").expect("a good answer");
        assert_eq!(whole(&mut answer).expect("its body"), b"hi");
    }
    let body = match way {
        Way::ByteByByte => format!("{number} bytes."),
        _ => format!("{number}."),
    };
    let mut content_type = None;
    let result = post(&mut client, &body).and_then(|mut answer| {
        content_type = answer.content_type().map(<[u8]>::to_vec);
        Ok((answer.status, whole(&mut answer)?))
    });
    if way == Way::Later {
        assert_eq!(client.counters().connects, 1, "{}", variant.name);
    }
    match result {
        Ok(_) if matches!(variant.right, Typed(_)) => {
            let found = content_type.unwrap_or_default();
            Typed(String::from_utf8_lossy(&found).into_owned())
        }
        Ok((status, body)) => {
            let keeps_alive = client.idle.take().is_some();
            let keeps_alive = match &variant.right {
                // Bytes that nobody asked for may be still on their way.
                Ok_(_, _, right) if way == Way::ByteByByte => *right,
                // Where the server closed, we may have noticed, or not.
                _ => keeps_alive && !variant.closes,
            };
            Ok_(status, body, keeps_alive)
        }
        Err(Trouble::Failed { failure, message }) => match failure {
            Failure::Protocol(ProtocolFailure::BadHttp) => Bad,
            Failure::Protocol(ProtocolFailure::ClosedEarly) => Early,
            Failure::Connection(lost) => {
                let is_reused = lost == ConnectionFailure::LostReused;
                assert_eq!(is_reused, way == Way::Later, "{}", variant.name);
                Lost
            }
            other => panic!("{}: {other:?}, {message}", variant.name),
        },
        Err(Trouble::Cancelled) => panic!("{}: cancelled", variant.name),
    }
}

#[test]
fn every_connection_judges_alike_and_rightly() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound socket");
    let all = Arc::new(variants());
    assert!(all.len() >= 200, "{}", all.len());
    let served = Arc::clone(&all);
    // It ends with the test's process.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let variants = Arc::clone(&served);
            thread::spawn(move || serve(stream.expect("a connection"), &variants));
        }
    });
    let endpoint = resolve(
        &format!("http://{address}/mcp"),
        &Network::default(),
        &|| true,
    )
    .expect("a good URL");
    let wrong = block_on(&|| true, move || {
        let mut wrong = Vec::new();
        for (number, variant) in all.iter().enumerate() {
            for way in [Way::First, Way::Later, Way::ByteByByte] {
                let found = judge(&endpoint, number, variant, way);
                if found != variant.right {
                    let (name, right) = (&variant.name, &variant.right);
                    wrong.push(format!("{name:?}, {way:?}: {found:?}, not {right:?}"));
                }
            }
        }
        wrong
    });
    let wrong = wrong.expect("a scheduler");
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
