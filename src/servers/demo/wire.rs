//! The least of HTTP/1.1 that an MCP server needs: bytes in, requests out, and
//! answers as bytes.
//!
//! Pure: it knows no socket, no clock, no JSON and no MCP. Start at
//! [`RequestReader::feed`]. Bytes that are not HTTP, or too many of them, end in
//! a [`HttpRefusal`] and never in a panic.

use super::super::head::{
    BodyFraming, HEAD_MAX, HttpRefusal, body_framing, find_head_end, parse_head, path_of, refuse,
};

/// The largest request body; real servers draw the line here too.
pub(super) const BODY_MAX: usize = 4 * 1024 * 1024;
/// The longest chunk-size or trailer line: a size needs 16 digits, the rest is
/// room for extensions that nobody sends.
const LINE_MAX: usize = 4 * 1024;
/// Bytes of blank lines that are skipped before a request.
const BLANKS_MAX: usize = 64;
/// How many trailer lines are skipped before the request is refused.
const TRAILERS_MAX: usize = 64;

/// The method of a request, as far as this server tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum HttpMethod {
    Post,
    Get,
    Delete,
    #[default]
    Other,
}

/// A request with its whole body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HttpRequest {
    pub(super) head: DemoRequestHead,
    pub(super) body: Vec<u8>,
}

/// The request line and the headers that matter here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct DemoRequestHead {
    pub(super) method: HttpMethod,
    /// The target without its query.
    pub(super) path: String,
    /// `Accept` names both media types of MCP.
    pub(super) accepts_both: bool,
    /// `Accept` names event streams.
    pub(super) accepts_stream: bool,
    /// `Last-Event-ID`, where it is one of ours.
    pub(super) last_event_id: Option<u64>,
    /// `Content-Type` is `application/json`, whatever its parameters.
    pub(super) is_json: bool,
    /// `Mcp-Session-Id`.
    pub(super) session: Option<String>,
    /// `MCP-Protocol-Version`.
    pub(super) version: Option<String>,
    /// `Mcp-Method`.
    pub(super) mcp_method: Option<String>,
    /// `Mcp-Name`, as written.
    pub(super) mcp_name: Option<String>,
    /// `Mcp-Param-…`: the rest of the name in lower case, and the value as written.
    pub(super) mcp_params: Vec<(String, String)>,
    /// A routing header that came more than once.
    pub(super) duplicate: Option<&'static str>,
    /// The client wants the connection closed after the answer.
    pub(super) closes: bool,
    /// Not of the bytes: which of the servers behind a balancer the connection leads to.
    pub(super) backend: u16,
}

/// Reads one request after another from a connection's bytes.
#[derive(Debug, Default)]
pub(super) struct RequestReader {
    phase: ReadPhase,
}

#[derive(Debug)]
enum ReadPhase {
    /// Nothing of the head is consumed before all of it is there. `scanned`
    /// bytes of it were searched for its end already: `0 <= scanned <= len`; `n_blank`
    /// bytes of blank lines came before it.
    Head { scanned: usize, n_blank: usize },
    Body {
        head: Box<DemoRequestHead>,
        body: Vec<u8>,
        part: BodyPart,
    },
}

impl Default for ReadPhase {
    fn default() -> Self {
        Self::Head {
            scanned: 0,
            n_blank: 0,
        }
    }
}

/// What of a body comes next.
#[derive(Debug, Clone, Copy)]
enum BodyPart {
    /// This number of bytes of a body of known length, at least 1.
    Rest(usize),
    /// The line with a chunk's size.
    ChunkSize,
    /// This number of bytes of a chunk, at least 1.
    Chunk(usize),
    /// The line end after a chunk.
    ChunkEnd,
    /// Lines after the last chunk: how many of them were read.
    Trailer(usize),
}

impl RequestReader {
    /// Takes bytes and gives how many of them are used up, and the request that
    /// they complete.
    ///
    /// The caller calls again with what is left, followed by what came since:
    /// bytes that are not used up stay first in line. `Ok((0, None))` means that
    /// more bytes are needed.
    ///
    /// # Errors
    /// Where the bytes are not an HTTP/1 request or a limit is passed. The reader
    /// must not be used after that.
    pub(super) fn feed(
        &mut self,
        input: &[u8],
    ) -> Result<(usize, Option<HttpRequest>), HttpRefusal> {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            match &mut self.phase {
                ReadPhase::Head { scanned, n_blank } => {
                    // Blank lines before a request are skipped (RFC 9112 §2.2).
                    if *scanned == 0
                        && let Some(b'\r' | b'\n') = rest.first()
                    {
                        if *n_blank == BLANKS_MAX {
                            return refuse(400, "too many blank lines before a request");
                        }
                        *n_blank += 1;
                        used += 1;
                        continue;
                    }
                    let Some(head_len) = find_head_end(rest, *scanned) else {
                        if rest.len() > HEAD_MAX {
                            return refuse(431, "the request's head is larger than 64 KiB");
                        }
                        *scanned = rest.len();
                        return Ok((used, None));
                    };
                    if head_len > HEAD_MAX {
                        return refuse(431, "the request's head is larger than 64 KiB");
                    }
                    let (head, framing) = parse_head(&rest[..head_len], read_head)?;
                    used += head_len;
                    let part = match framing {
                        BodyFraming::Length(0) => {
                            self.phase = ReadPhase::default();
                            let body = Vec::new();
                            return Ok((used, Some(HttpRequest { head, body })));
                        }
                        BodyFraming::Length(length) => BodyPart::Rest(length),
                        BodyFraming::Chunked => BodyPart::ChunkSize,
                    };
                    let body = Vec::new();
                    self.phase = ReadPhase::Body {
                        head: Box::new(head),
                        body,
                        part,
                    };
                }
                ReadPhase::Body { body, part, .. } => match read_body_part(rest, body, *part)? {
                    (step, Next::Part(next)) => {
                        used += step;
                        *part = next;
                        // A step without progress waits for more bytes.
                        if step == 0 {
                            return Ok((used, None));
                        }
                    }
                    (step, Next::Complete) => {
                        used += step;
                        let ReadPhase::Body { head, body, .. } = std::mem::take(&mut self.phase)
                        else {
                            return Ok((used, None));
                        };
                        return Ok((used, Some(HttpRequest { head: *head, body })));
                    }
                },
            }
        }
    }
}

enum Next {
    Part(BodyPart),
    Complete,
}

/// One step through a body: how many bytes it took, and what comes after. A
/// step that takes nothing needs more bytes.
fn read_body_part(
    input: &[u8],
    body: &mut Vec<u8>,
    part: BodyPart,
) -> Result<(usize, Next), HttpRefusal> {
    match part {
        BodyPart::Rest(left) | BodyPart::Chunk(left) => {
            let taken = left.min(input.len());
            body.extend_from_slice(&input[..taken]);
            let next = match (left - taken, part) {
                (0, BodyPart::Rest(_)) => Next::Complete,
                (0, _) => Next::Part(BodyPart::ChunkEnd),
                (left, BodyPart::Rest(_)) => Next::Part(BodyPart::Rest(left)),
                (left, _) => Next::Part(BodyPart::Chunk(left)),
            };
            Ok((taken, next))
        }
        BodyPart::ChunkSize => {
            let Some((line, line_len)) = take_line(input)? else {
                return Ok((0, Next::Part(part)));
            };
            let size = read_chunk_size(line)?;
            if size > BODY_MAX.saturating_sub(body.len()) {
                return refuse(413, "the request's body is larger than 4 MiB");
            }
            let next = match size {
                0 => BodyPart::Trailer(0),
                size => BodyPart::Chunk(size),
            };
            Ok((line_len, Next::Part(next)))
        }
        BodyPart::ChunkEnd => match take_line(input)? {
            None => Ok((0, Next::Part(part))),
            Some(([], line_len)) => Ok((line_len, Next::Part(BodyPart::ChunkSize))),
            Some(_) => refuse(400, "a chunk is longer than its size says"),
        },
        BodyPart::Trailer(n_lines) => match take_line(input)? {
            None => Ok((0, Next::Part(part))),
            Some(([], line_len)) => Ok((line_len, Next::Complete)),
            Some(_) if n_lines >= TRAILERS_MAX => refuse(431, "too many trailers"),
            Some((_, line_len)) => Ok((line_len, Next::Part(BodyPart::Trailer(n_lines + 1)))),
        },
    }
}

/// A line without its end, and its length with it.
fn take_line(input: &[u8]) -> Result<Option<(&[u8], usize)>, HttpRefusal> {
    match input.iter().take(LINE_MAX).position(|byte| *byte == b'\n') {
        Some(end) => Ok(Some((trim_cr(&input[..end]), end + 1))),
        None if input.len() >= LINE_MAX => refuse(400, "a line of a chunked body is too long"),
        None => Ok(None),
    }
}

fn trim_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn read_chunk_size(line: &[u8]) -> Result<usize, HttpRefusal> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or(line);
    let size = std::str::from_utf8(digits)
        .ok()
        .map(str::trim)
        .filter(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit()))
        .ok_or(HttpRefusal {
            status: 400,
            text: "a chunk has no size",
        })?;
    // A size that does not fit is too large in any case.
    Ok(usize::from_str_radix(size, 16).unwrap_or(usize::MAX))
}

fn read_head(
    parsed: &httparse::Request<'_, '_>,
) -> Result<(DemoRequestHead, BodyFraming), HttpRefusal> {
    let target = parsed.path.unwrap_or_default();
    let mut head = DemoRequestHead {
        method: match parsed.method {
            Some("POST") => HttpMethod::Post,
            Some("GET") => HttpMethod::Get,
            Some("DELETE") => HttpMethod::Delete,
            _ => HttpMethod::Other,
        },
        path: path_of(target).to_string(),
        ..DemoRequestHead::default()
    };
    let mut accepted = (false, false);
    let mut keeps_alive = false;
    for header in parsed.headers.iter() {
        let value = header.value.trim_ascii();
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("accept") {
            let (json, stream) = read_accept(value);
            accepted = (accepted.0 || json, accepted.1 || stream);
        } else if is("content-type") {
            head.is_json = media_type(value).eq_ignore_ascii_case(b"application/json");
        } else if is("last-event-id") {
            head.last_event_id = text(value).parse().ok();
        } else if is("connection") {
            for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                head.closes |= option.eq_ignore_ascii_case(b"close");
                keeps_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            }
        } else if header.name.len() > 4 && header.name[..4].eq_ignore_ascii_case("mcp-") {
            read_mcp_header(&mut head, header.name, value);
        }
    }
    head.accepts_both = accepted == (true, true);
    head.accepts_stream = accepted.1;
    head.closes |= parsed.version == Some(0) && !keeps_alive;
    Ok((head, body_framing(parsed.headers, BODY_MAX)?))
}

fn read_mcp_header(head: &mut DemoRequestHead, name: &str, value: &[u8]) {
    let lower = name.to_ascii_lowercase();
    let (slot, name) = match lower.as_str() {
        "mcp-session-id" => (&mut head.session, "Mcp-Session-Id"),
        "mcp-protocol-version" => (&mut head.version, "MCP-Protocol-Version"),
        "mcp-method" => (&mut head.mcp_method, "Mcp-Method"),
        "mcp-name" => (&mut head.mcp_name, "Mcp-Name"),
        _ => {
            if let Some(token) = lower.strip_prefix("mcp-param-") {
                if head.mcp_params.iter().any(|(known, _)| known == token) {
                    head.duplicate = Some("Mcp-Param");
                }
                head.mcp_params.push((token.to_string(), text(value)));
            }
            return;
        }
    };
    match slot {
        Some(_) => head.duplicate = Some(name),
        None => *slot = Some(text(value)),
    }
}

/// Whether `application/json` and `text/event-stream` are accepted.
fn read_accept(value: &[u8]) -> (bool, bool) {
    let mut found = (false, false);
    for range in value.split(|byte| *byte == b',').map(media_type) {
        found.0 |= range.eq_ignore_ascii_case(b"application/json");
        found.1 |= range.eq_ignore_ascii_case(b"text/event-stream");
    }
    found
}

fn media_type(value: &[u8]) -> &[u8] {
    value
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or(value)
        .trim_ascii()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An answer whose body is known in full.
pub(super) struct HttpAnswer<'a> {
    pub(super) status: u16,
    /// `None` for an empty body.
    pub(super) content_type: Option<&'a str>,
    /// Further headers, by name and value.
    pub(super) headers: &'a [(&'a str, &'a str)],
    /// The connection ends after the answer.
    pub(super) closes: bool,
    pub(super) body: &'a [u8],
}

/// Appends head and body, so that both travel in one write.
pub(super) fn write_answer(out: &mut Vec<u8>, answer: &HttpAnswer<'_>) {
    write_status_line(out, answer.status);
    if let Some(content_type) = answer.content_type {
        write_header(out, "content-type", content_type);
    }
    write_header(out, "content-length", &answer.body.len().to_string());
    if answer.closes {
        write_header(out, "connection", "close");
    }
    for (name, value) in answer.headers {
        write_header(out, name, value);
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(answer.body);
}

/// Appends the head of an event stream, sent in chunks.
pub(super) fn write_stream_head(out: &mut Vec<u8>, headers: &[(&str, &str)], closes: bool) {
    write_status_line(out, 200);
    write_header(out, "content-type", "text/event-stream");
    write_header(out, "cache-control", "no-cache");
    write_header(out, "transfer-encoding", "chunked");
    if closes {
        write_header(out, "connection", "close");
    }
    for (name, value) in headers {
        write_header(out, name, value);
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends one chunk; nothing for no bytes, since an empty chunk ends a stream.
pub(super) fn write_chunk(out: &mut Vec<u8>, bytes: &[u8]) {
    if !bytes.is_empty() {
        out.extend_from_slice(format!("{:x}\r\n", bytes.len()).as_bytes());
        out.extend_from_slice(bytes);
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends the chunk that ends a stream.
pub(super) fn write_stream_end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n\r\n");
}

/// Appends a message with an id as a chunk of a stream that goes on.
pub(super) fn write_stream_event(out: &mut Vec<u8>, id: u64, message: &[u8]) {
    let mut event = Vec::with_capacity(message.len() + 64);
    event.extend_from_slice(format!("id: {id}\n").as_bytes());
    write_event(&mut event, message, "\n");
    write_chunk(out, &event);
}

/// Appends one event that carries a message. `line_end` is LF or CRLF.
pub(super) fn write_event(out: &mut Vec<u8>, message: &[u8], line_end: &str) {
    out.extend_from_slice(b"event: message");
    out.extend_from_slice(line_end.as_bytes());
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(message);
    out.extend_from_slice(line_end.as_bytes());
    out.extend_from_slice(line_end.as_bytes());
}

fn write_status_line(out: &mut Vec<u8>, status: u16) {
    let line = match status {
        200 => "HTTP/1.1 200 OK\r\n",
        202 => "HTTP/1.1 202 Accepted\r\n",
        400 => "HTTP/1.1 400 Bad Request\r\n",
        404 => "HTTP/1.1 404 Not Found\r\n",
        405 => "HTTP/1.1 405 Method Not Allowed\r\n",
        406 => "HTTP/1.1 406 Not Acceptable\r\n",
        409 => "HTTP/1.1 409 Conflict\r\n",
        413 => "HTTP/1.1 413 Content Too Large\r\n",
        415 => "HTTP/1.1 415 Unsupported Media Type\r\n",
        431 => "HTTP/1.1 431 Request Header Fields Too Large\r\n",
        500 => "HTTP/1.1 500 Internal Server Error\r\n",
        501 => "HTTP/1.1 501 Not Implemented\r\n",
        503 => "HTTP/1.1 503 Service Unavailable\r\n",
        other => {
            out.extend_from_slice(format!("HTTP/1.1 {other} \r\n").as_bytes());
            return;
        }
    };
    out.extend_from_slice(line.as_bytes());
}

fn write_header(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads all requests of `input`, given in pieces of the lengths that the
    /// cuts leave between them.
    fn read_all(input: &[u8], cuts: &[usize]) -> Result<Vec<HttpRequest>, HttpRefusal> {
        let mut reader = RequestReader::default();
        let mut requests = Vec::new();
        let mut kept: Vec<u8> = Vec::new();
        let mut from = 0;
        for to in cuts.iter().copied().chain([input.len()]) {
            kept.extend_from_slice(&input[from..to]);
            from = to;
            loop {
                let (used, request) = reader.feed(&kept)?;
                assert!(used <= kept.len());
                kept.drain(..used);
                let Some(request) = request else { break };
                requests.push(request);
            }
        }
        Ok(requests)
    }

    const RECORDED: &[u8] = b"POST /mcp?x=1 HTTP/1.1\r\n\
        Host: localhost\r\n\
        accept: application/json;q=0.9, text/event-stream\r\n\
        Content-Type: application/json; charset=utf-8\r\n\
        MCP-Protocol-Version:  2026-07-28 \r\n\
        Mcp-Method: tools/call\r\n\
        Mcp-Name: echo\r\n\
        Mcp-Param-Region: eu\r\n\
        Expect: 100-continue\r\n\
        Content-Length: 7\r\n\r\n{\"a\":1}\
        \r\nPOST /mcp HTTP/1.1\r\n\
        Transfer-Encoding: chunked\r\nMcp-Session-Id: 7\r\n\r\n\
        3;name=value\r\n{\"b\r\n4\r\n\":2}\r\n0\r\nTrailer: yes\r\n\r\n\
        DELETE /mcp HTTP/1.0\n\nGET /other HTTP/1.1\r\nConnection: x, close\r\n\r\n";

    #[test]
    fn requests_are_read() {
        let requests = read_all(RECORDED, &[]).expect("well formed");
        assert_eq!(requests.len(), 4);
        let first = &requests[0];
        assert_eq!(first.body, b"{\"a\":1}");
        assert_eq!(first.head.path, "/mcp");
        assert_eq!(first.head.method, HttpMethod::Post);
        assert!(first.head.accepts_both && first.head.is_json && !first.head.closes);
        assert_eq!(first.head.version.as_deref(), Some("2026-07-28"));
        assert_eq!(first.head.mcp_method.as_deref(), Some("tools/call"));
        assert_eq!(first.head.mcp_name.as_deref(), Some("echo"));
        assert_eq!(
            first.head.mcp_params,
            [("region".to_string(), "eu".to_string())]
        );
        assert_eq!(requests[1].body, b"{\"b\":2}");
        assert_eq!(requests[1].head.session.as_deref(), Some("7"));
        assert!(!requests[1].head.accepts_both && !requests[1].head.is_json);
        assert_eq!(requests[2].head.method, HttpMethod::Delete);
        assert!(requests[2].head.closes);
        assert_eq!(requests[3].head.path, "/other");
        assert!(requests[3].head.closes);
    }

    #[test]
    fn every_split_gives_the_same_requests() {
        let whole = read_all(RECORDED, &[]);
        for cut in 0..=RECORDED.len() {
            assert_eq!(read_all(RECORDED, &[cut]), whole, "cut at {cut}");
        }
        let each_byte: Vec<usize> = (0..RECORDED.len()).collect();
        assert_eq!(read_all(RECORDED, &each_byte), whole);
    }

    #[test]
    fn refusals_name_their_status() {
        let check = |input: &str, status: u16| {
            let refusal = read_all(input.as_bytes(), &[]).expect_err(input);
            assert_eq!(refusal.status, status, "{input}");
        };
        check("hello\r\n\r\n", 400);
        check("POST /mcp HTTP/2.0\r\n\r\n", 400);
        check("POST /mcp HTTP/1.1\r\nno colon\r\n\r\n", 400);
        check("POST /mcp HTTP/1.1\r\nbad name: 1\r\n\r\n", 400);
        check("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400);
        check(
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            400,
        );
        check("POST / HTTP/1.1\r\nContent-Length: 4194305\r\n\r\n", 413);
        check(
            "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
            413,
        );
        check("POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501);
        check(
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n400001\r\n",
            413,
        );
        check(
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
            400,
        );
        check(
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
            400,
        );
        check(
            &format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(HEAD_MAX)),
            431,
        );
        check(&"x".repeat(HEAD_MAX + 1), 431);
        check(&"\r\n".repeat(40), 400);
    }

    #[test]
    fn the_largest_body_is_read() {
        let mut input =
            format!("POST / HTTP/1.1\r\nContent-Length: {BODY_MAX}\r\n\r\n").into_bytes();
        input.resize(input.len() + BODY_MAX, b'x');
        let cuts: Vec<usize> = (0..input.len()).step_by(64 * 1024).collect();
        let requests = read_all(&input, &cuts).expect("within the limit");
        assert_eq!(requests.len(), 1);
        assert_eq!(requests[0].body.len(), BODY_MAX);
    }

    #[test]
    fn answers_are_written_in_one_piece() {
        let mut out = Vec::new();
        let answer = HttpAnswer {
            status: 200,
            content_type: Some("application/json"),
            headers: &[("Mcp-Session-Id", "7")],
            closes: false,
            body: b"{}",
        };
        write_answer(&mut out, &answer);
        assert_eq!(
            String::from_utf8_lossy(&out),
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\
             Mcp-Session-Id: 7\r\n\r\n{}"
        );
        out.clear();
        let mut event = Vec::new();
        write_event(&mut event, b"{}", "\n");
        write_chunk(&mut out, &event);
        write_chunk(&mut out, b"");
        write_stream_end(&mut out);
        assert_eq!(
            String::from_utf8_lossy(&out),
            "19\r\nevent: message\ndata: {}\n\n\r\n0\r\n\r\n"
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            input in prop::collection::vec(any::<u8>(), 0..400),
            cut in 0_usize..400,
        ) {
            let cut = cut.min(input.len());
            let split = read_all(&input, &[cut]);
            prop_assert_eq!(split, read_all(&input, &[]));
        }

        #[test]
        fn no_line_noise_makes_it_panic(
            input in r"(POST|GET) /[a-z]* HTTP/1\.[01](\r?\n(Accept|Content-Length|Transfer-Encoding|Mcp-Name|x): ?[a-z0-9,;/]*){0,4}\r?\n\r?\n[0-9a-f\r\n;]{0,40}",
            cuts in prop::collection::vec(0_usize..300, 0..4),
        ) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| (*cut).min(input.len())).collect();
            cuts.sort_unstable();
            let split = read_all(input.as_bytes(), &cuts);
            prop_assert_eq!(split, read_all(input.as_bytes(), &[]));
        }

        #[test]
        fn bodies_come_out_as_they_went_in(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..4),
            chunk_len in 1_usize..50,
            cuts in prop::collection::vec(0_usize..2000, 0..6),
        ) {
            let mut input = Vec::new();
            for (i, body) in bodies.iter().enumerate() {
                if i % 2 == 0 {
                    let head = format!("POST /mcp HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len());
                    input.extend_from_slice(head.as_bytes());
                    input.extend_from_slice(body);
                } else {
                    input.extend_from_slice(b"POST /mcp HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
                    for chunk in body.chunks(chunk_len) {
                        write_chunk(&mut input, chunk);
                    }
                    write_stream_end(&mut input);
                }
            }
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| (*cut).min(input.len())).collect();
            cuts.sort_unstable();
            let read: Vec<Vec<u8>> = read_all(&input, &cuts)
                .expect("well formed")
                .into_iter()
                .map(|request| request.body)
                .collect();
            prop_assert_eq!(read, bodies);
        }
    }
}
