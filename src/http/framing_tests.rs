//! Tests of `framing.rs`.

use super::*;
use proptest::prelude::*;

fn head(text: &str) -> ResponseHead {
    read_head(text.as_bytes())
        .expect("a head")
        .expect("complete")
}

fn ok(headers: &str) -> ResponseHead {
    head(&format!("HTTP/1.1 200 OK\r\n{headers}\r\n"))
}

/// All of a body's content, and how many bytes it took; fed in pieces.
fn decode(mut body: Body, pieces: &[&[u8]], room: usize) -> Result<(Vec<u8>, usize), FramingFault> {
    let (mut content, mut n_used) = (Vec::new(), 0);
    let mut output = vec![0; room];
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() && !body.is_ended() {
            let (used, filled) = body.read(rest, &mut output)?;
            assert!(used > 0, "it goes on: {body:?}");
            content.extend_from_slice(&output[..filled]);
            n_used += used;
            rest = &rest[used..];
        }
    }
    Ok((content, n_used))
}

const CHUNKED: Body = Body::Chunked(Chunks::START);

#[test]
fn the_length_of_a_body_follows_rfc_9112() {
    assert_eq!(ok("Content-Length: 12\r\n").body, Body::Length(12));
    assert_eq!(ok("content-length: 7, 7\r\n").body, Body::Length(7));
    assert_eq!(
        ok("Content-Length: 7\r\nContent-Length: 07\r\n").body,
        Body::Length(7)
    );
    assert_eq!(ok("Transfer-Encoding: Chunked\r\n").body, CHUNKED);
    assert_eq!(
        ok("Content-Length: 3\r\nTransfer-Encoding: identity, chunked\r\n").body,
        CHUNKED
    );
    for (codings, named) in [
        ("gzip, chunked", "`gzip`"),
        ("GZIP", "`gzip`"),
        ("chunked, deflate", "`deflate`"),
        ("chunked, chunked", "twice"),
        ("chunked\r\nTransfer-Encoding: chunked", "twice"),
        ("xchunked", "other than `chunked`"),
    ] {
        let text = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: {codings}\r\n\r\n");
        let fault = read_head(text.as_bytes()).expect_err(codings);
        assert!(fault.0.contains(named), "{codings}: {}", fault.0);
    }
    assert_eq!(ok("").body, Body::ToEnd);
    for status in [204, 304] {
        let text = format!("HTTP/1.1 {status} X\r\nContent-Length: 9\r\n\r\n");
        assert_eq!(head(&text).body, Body::Length(0));
    }
    for bad in ["-1", "", "1x", "1,2", "99999999999999999999", "+5", "1 2"] {
        let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {bad}\r\n\r\n");
        assert!(read_head(text.as_bytes()).is_err(), "{bad:?}");
    }
}

#[test]
fn a_connection_is_kept_where_http_keeps_it() {
    let check = |text: &str, keeps_alive| assert_eq!(head(text).keeps_alive, keeps_alive, "{text}");
    check("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true);
    check(
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: Close\r\n\r\n",
        false,
    );
    check(
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x, close\r\n\r\n",
        false,
    );
    check("HTTP/1.1 200 OK\r\n\r\n", false);
    check("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false);
    check(
        "HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n",
        true,
    );
    check("HTTP/1.1 101 Switching Protocols\r\n\r\n", false);
}

#[test]
fn many_headers_are_read_and_too_many_refused() {
    let headers = |n| "X-Header: value\r\n".repeat(n);
    let text = |n| format!("HTTP/1.1 200 OK\r\n{}Content-Length: 5\r\n\r\n", headers(n));
    assert_eq!(head(&text(100)).body, Body::Length(5));
    let fault = read_head(text(HEADERS_MAX).as_bytes()).expect_err("too many");
    assert_eq!(fault.0, "the answer has too many headers");
}

#[test]
fn a_head_is_incomplete_until_its_empty_line() {
    let text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    let n_head = text.len() - 5;
    for cut in 0..n_head {
        assert_eq!(read_head(&text.as_bytes()[..cut]), Ok(None), "{cut}");
    }
    assert_eq!(head(text).n_bytes, n_head);
    assert!(read_head(b"SSH-2.0-OpenSSH_9.2\r\n\r\n").is_err());
    assert!(read_head(b"HTTP/2 200 OK\r\n\r\n").is_err());
}

#[test]
fn values_are_found_by_name() {
    let text = b"HTTP/1.1 200 OK\r\nContent-Type:  text/event-stream \r\nX: 1\r\nx: 2\r\n\r\n";
    assert_eq!(
        header_value(text, "content-type"),
        Some(&b"text/event-stream"[..])
    );
    assert_eq!(header_value(text, "x"), Some(&b"1"[..]));
    assert_eq!(header_value(text, "content"), None);
    assert_eq!(header_value(text, "HTTP/1.1 200 OK"), None);
}

#[test]
fn chunks_are_put_together() {
    let check = |wire: &str, content: &str| {
        let (found, used) = decode(CHUNKED, &[wire.as_bytes()], 64).expect(wire);
        assert_eq!(String::from_utf8_lossy(&found), content, "{wire:?}");
        assert_eq!(used, wire.len(), "{wire:?}");
    };
    check("5\r\nhello\r\n0\r\n\r\n", "hello");
    check(
        "5;name=\"v\"\r\nhello\r\n006 \r\n world\r\n0\r\n\r\n",
        "hello world",
    );
    check(
        "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
        "01234567890123456789",
    );
    check("0\r\nTrailer: x\r\nAnother: y\r\n\r\n", "");
    for bad in [
        "\r\n",
        "g\r\n",
        "5hello",
        "5\nhello",
        "2\r\nhello\r\n",
        "5\r\nhello0\r\n\r\n",
        "11111111111111111\r\n",
        "-5\r\nhello\r\n",
        "5\r\nhello\rX",
        "0\r\n\rX",
    ] {
        assert!(decode(CHUNKED, &[bad.as_bytes()], 64).is_err(), "{bad:?}");
    }
    let endless = format!("5;{}\r\n", "x".repeat(5000));
    assert!(decode(CHUNKED, &[endless.as_bytes()], 64).is_err());
}

#[test]
fn nothing_is_taken_beyond_the_end() {
    let (content, used) = decode(Body::Length(5), &[b"hello, HTTP"], 64).expect("a body");
    assert_eq!((content.as_slice(), used), (&b"hello"[..], 5));
    let wire = b"1\r\nx\r\n0\r\n\r\nHTTP/1.1";
    let (_, used) = decode(CHUNKED, &[wire], 64).expect("a body");
    assert_eq!(&wire[used..], b"HTTP/1.1");
}

proptest! {
    /// Any bytes: an answer or a fault.
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read_head(&bytes);
        let _ = header_value(&bytes, "content-type");
        let mut output = [0; 16];
        let mut body = CHUNKED;
        let mut rest = bytes.as_slice();
        while let Ok((used, _)) = body.read(rest, &mut output) {
            if used == 0 {
                break;
            }
            rest = &rest[used..];
        }
    }

    /// Any split of the wire, and any room to read into, gives the same content.
    #[test]
    fn splits_do_not_matter(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
        cut in 0_usize..400,
        room in 1_usize..50,
    ) {
        let mut wire = Vec::new();
        for chunk in &chunks {
            wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b"0\r\n\r\n");
        let (first, second) = wire.split_at(cut.min(wire.len()));
        let (content, used) = decode(CHUNKED, &[first, second], room).expect("chunks");
        prop_assert_eq!(content, chunks.concat());
        prop_assert_eq!(used, wire.len());
    }
}
