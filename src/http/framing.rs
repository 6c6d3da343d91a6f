//! Where an HTTP/1.1 answer's head and body end. Bytes in, count consumed out.
//!
//! This is for the steady exchange (`steady.rs`), which goes without ureq's
//! header maps. What is read here follows RFC 9112: section 6.3 for the body's
//! length, section 7.1 for chunks. It knows no socket, no clock and no MCP, and
//! never panics on any bytes.

use std::mem::MaybeUninit;

/// Headers of an answer that are read without further ado. More of them, up to
/// [`HEADERS_MAX`], take a deeper stack frame.
const HEADERS_USUAL: usize = 24;

/// As many as ureq accepts.
const HEADERS_MAX: usize = 128;

/// A head that is longer is refused, as by ureq.
pub(super) const HEAD_BYTES_MAX: usize = 64 * 1024;

/// A chunk's size with its extensions, or a trailer line, at most.
const CHUNK_LINE_BYTES_MAX: u32 = 4 * 1024;

/// Sixteen hexadecimal digits are all that 64 bits hold.
const CHUNK_DIGITS_MAX: u8 = 16;

/// Why bytes are no HTTP/1.1 answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FramingFault(pub(super) &'static str);

/// What an answer's head says about what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// The bytes of the head, its empty line included.
    pub(super) n_bytes: usize,
    /// The status code.
    pub(super) status: u16,
    /// Another exchange may follow on the connection.
    pub(super) keeps_alive: bool,
    /// How the body ends.
    pub(super) body: Body,
    /// Where the value of `Content-Type` stands in the head; empty without one.
    pub(super) content_type: Span,
    /// The same of `Content-Encoding`.
    pub(super) content_encoding: Span,
    /// It has a `Set-Cookie` header.
    pub(super) sets_cookie: bool,
}

/// A part of a head, as offsets from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Span {
    start: usize,
    end: usize,
}

impl Span {
    /// `value` is a part of `head`.
    fn of(value: &[u8], head: &[u8]) -> Self {
        let start = value.as_ptr().addr().wrapping_sub(head.as_ptr().addr());
        Self {
            start,
            end: start.wrapping_add(value.len()),
        }
    }

    /// The part of this head, or of a copy of it; `None` where it is empty.
    pub(super) fn within(self, head: &[u8]) -> Option<&[u8]> {
        head.get(self.start..self.end)
            .filter(|value| !value.is_empty())
    }
}

/// Reads a head; `None` while it is incomplete.
///
/// # Errors
/// When the bytes cannot become a head, however many follow.
pub(super) fn read_head(input: &[u8]) -> Result<Option<Head>, FramingFault> {
    match parse::<HEADERS_USUAL>(input) {
        Err(httparse::Error::TooManyHeaders) => parse_large(input),
        result => result.map_err(fault).and_then(Option::transpose),
    }
}

type Parsed = Result<Option<Result<Head, FramingFault>>, httparse::Error>;

#[cold]
#[inline(never)]
fn parse_large(input: &[u8]) -> Result<Option<Head>, FramingFault> {
    parse::<HEADERS_MAX>(input)
        .map_err(fault)
        .and_then(Option::transpose)
}

fn parse<const N: usize>(input: &[u8]) -> Parsed {
    let mut headers = [const { MaybeUninit::uninit() }; N];
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        input,
        &mut headers,
    )?;
    let httparse::Status::Complete(n_bytes) = parsed else {
        return Ok(None);
    };
    let status = response.code.unwrap_or(0);
    let is_http10 = response.version == Some(0);
    Ok(Some(facts(
        &input[..n_bytes],
        status,
        is_http10,
        response.headers,
    )))
}

fn facts(
    head: &[u8],
    status: u16,
    is_http10: bool,
    headers: &[httparse::Header<'_>],
) -> Result<Head, FramingFault> {
    let mut length = None;
    let mut is_chunked = false;
    let mut says_close = false;
    let mut says_keep_alive = false;
    let mut content_type = Span::default();
    let mut content_encoding = Span::default();
    let mut sets_cookie = false;
    for header in headers {
        // Told apart by length first: most headers are none of these.
        match header.name.len() {
            14 if header.name.eq_ignore_ascii_case("content-length") => {
                length = Some(content_length(header.value, length)?);
            }
            12 if header.name.eq_ignore_ascii_case("content-type") => {
                content_type = Span::of(header.value, head);
            }
            16 if header.name.eq_ignore_ascii_case("content-encoding") => {
                content_encoding = Span::of(header.value, head);
            }
            17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                is_chunked |= has_token(header.value, "chunked");
            }
            10 if header.name.eq_ignore_ascii_case("connection") => {
                says_close |= has_token(header.value, "close");
                says_keep_alive |= has_token(header.value, "keep-alive");
            }
            10 if header.name.eq_ignore_ascii_case("set-cookie") => sets_cookie = true,
            _ => {}
        }
    }
    let body = match (status, length) {
        (100..200 | 204 | 304, _) => Body::Length(0),
        _ if is_chunked && !is_http10 => Body::Chunked(Chunks::Size { digits: 0, size: 0 }),
        (_, Some(length)) => Body::Length(length),
        (_, None) => Body::ToEnd,
    };
    Ok(Head {
        n_bytes: head.len(),
        status,
        content_type,
        content_encoding,
        sets_cookie,
        keeps_alive: !says_close
            && (says_keep_alive || !is_http10)
            && body != Body::ToEnd
            && status != 101,
        body,
    })
}

/// A value of `Content-Length`, which may be a list of equal numbers (RFC 9110
/// section 8.6), as may several such headers.
fn content_length(value: &[u8], before: Option<u64>) -> Result<u64, FramingFault> {
    let mut known = before;
    for element in value.split(|byte| *byte == b',') {
        let digits = element.trim_ascii();
        let mut number: u64 = 0;
        if digits.is_empty() {
            return Err(FramingFault("the answer's `Content-Length` is no number"));
        }
        for digit in digits {
            number = digit
                .is_ascii_digit()
                .then(|| number.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
                .flatten()
                .ok_or(FramingFault("the answer's `Content-Length` is no number"))?;
        }
        if known.is_some_and(|known| known != number) {
            return Err(FramingFault(
                "the answer has several `Content-Length`s that differ",
            ));
        }
        known = Some(number);
    }
    known.ok_or(FramingFault("the answer's `Content-Length` is no number"))
}

/// Whether a comma-separated list has the token.
pub(super) fn has_token(list: &[u8], token: &str) -> bool {
    list.split(|byte| *byte == b',')
        .any(|element| element.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

fn fault(error: httparse::Error) -> FramingFault {
    FramingFault(match error {
        httparse::Error::TooManyHeaders => "the answer has too many headers",
        httparse::Error::Status | httparse::Error::Version => {
            "the answer's first line is not that of HTTP/1.1"
        }
        _ => "the answer's headers cannot be read",
    })
}

/// A header's value in the bytes of a head that [`read_head`] accepted: the
/// first of that name.
pub(super) fn header_value<'a>(head: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut lines = head.split(|byte| *byte == b'\n').skip(1);
    lines.find_map(|line| value_of(line, name))
}

/// The values of all headers of that name in such a head.
pub(super) fn header_values<'a>(head: &'a [u8], name: &str) -> Vec<&'a [u8]> {
    let lines = head.split(|byte| *byte == b'\n').skip(1);
    lines.filter_map(|line| value_of(line, name)).collect()
}

fn value_of<'a>(line: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let (found, rest) = line.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b":")?;
    found
        .eq_ignore_ascii_case(name.as_bytes())
        .then(|| value.trim_ascii())
}

/// How much of a body is still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// So many bytes.
    Length(u64),
    /// Chunks, up to the last.
    Chunked(Chunks),
    /// All until the peer closes.
    ToEnd,
}

/// What comes next in a chunked body (RFC 9112 section 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunks {
    /// The digits of a chunk's size.
    Size {
        digits: u8,
        size: u64,
    },
    /// The rest of that line: extensions, which nobody here looks at.
    SizeLine {
        size: u64,
        n_bytes: u32,
    },
    /// The line feed at its end.
    SizeLf {
        size: u64,
    },
    /// So many bytes of a chunk.
    Data {
        left: u64,
    },
    /// The line end after a chunk.
    DataCr,
    DataLf,
    /// The start of a trailer line, or of the empty one that ends the body.
    TrailerStart,
    TrailerLine {
        n_bytes: u32,
    },
    TrailerLf,
    EndLf,
    Ended,
}

impl Body {
    /// Whether all of it was read. One that the peer's close ends is never.
    pub(super) fn is_ended(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunks::Ended))
    }

    /// Moves content from `input` to `output`: how much was consumed of the
    /// one and filled of the other. Nothing of either only where one is empty,
    /// or the body has ended.
    ///
    /// # Errors
    /// When the chunks are none.
    pub(super) fn read(
        &mut self,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<(usize, usize), FramingFault> {
        match self {
            Self::Length(left) => {
                let n = transfer(input, output, *left);
                *left -= n as u64;
                Ok((n, n))
            }
            Self::ToEnd => {
                let n = transfer(input, output, u64::MAX);
                Ok((n, n))
            }
            Self::Chunked(chunks) => chunks.read(input, output),
        }
    }
}

/// Copies as much as there is, as fits, and as is wanted.
fn transfer(input: &[u8], output: &mut [u8], wanted: u64) -> usize {
    let n = input
        .len()
        .min(output.len())
        .min(usize::try_from(wanted).unwrap_or(usize::MAX));
    output[..n].copy_from_slice(&input[..n]);
    n
}

impl Chunks {
    fn read(&mut self, input: &[u8], output: &mut [u8]) -> Result<(usize, usize), FramingFault> {
        let (mut n_used, mut n_filled) = (0, 0);
        while n_used < input.len() && *self != Self::Ended {
            if let Self::Data { left } = self {
                let n = transfer(&input[n_used..], &mut output[n_filled..], *left);
                if n == 0 {
                    break;
                }
                *left -= n as u64;
                n_used += n;
                n_filled += n;
                if *left == 0 {
                    *self = Self::DataCr;
                }
            } else {
                *self = self.after(input[n_used])?;
                n_used += 1;
            }
        }
        Ok((n_used, n_filled))
    }

    /// What follows a byte that is not content.
    fn after(self, byte: u8) -> Result<Self, FramingFault> {
        let bad_size = FramingFault("a chunk of the answer has no size");
        let bad_end = FramingFault("a chunk of the answer is longer than its size");
        Ok(match (self, byte) {
            (Self::Size { digits, size }, _) if byte.is_ascii_hexdigit() => {
                if digits == CHUNK_DIGITS_MAX {
                    return Err(bad_size);
                }
                Self::Size {
                    digits: digits + 1,
                    size: size << 4 | u64::from(hex_value(byte)),
                }
            }
            (Self::Size { digits: 0, .. }, _) => return Err(bad_size),
            (Self::Size { size, .. } | Self::SizeLine { size, .. }, b'\r') => Self::SizeLf { size },
            (Self::Size { size, .. }, b' ' | b'\t' | b';') => Self::SizeLine { size, n_bytes: 0 },
            (Self::Size { .. }, _) => return Err(bad_size),
            (Self::SizeLine { size, n_bytes }, _) => Self::SizeLine {
                size,
                n_bytes: longer(n_bytes)?,
            },
            (Self::SizeLf { size: 0 }, b'\n') => Self::TrailerStart,
            (Self::SizeLf { size }, b'\n') => Self::Data { left: size },
            (Self::SizeLf { .. }, _) => return Err(bad_size),
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::Size { digits: 0, size: 0 },
            (Self::DataCr | Self::DataLf, _) => return Err(bad_end),
            (Self::TrailerStart, b'\r') => Self::EndLf,
            (Self::TrailerStart, _) => Self::TrailerLine { n_bytes: 1 },
            (Self::TrailerLine { .. }, b'\r') => Self::TrailerLf,
            (Self::TrailerLine { n_bytes }, _) => Self::TrailerLine {
                n_bytes: longer(n_bytes)?,
            },
            (Self::TrailerLf, b'\n') => Self::TrailerStart,
            (Self::EndLf, b'\n') => Self::Ended,
            (Self::TrailerLf | Self::EndLf, _) => {
                return Err(FramingFault("the trailer of the answer cannot be read"));
            }
            // No byte but content is taken in these.
            (Self::Data { .. } | Self::Ended, _) => self,
        })
    }
}

fn longer(n_bytes: u32) -> Result<u32, FramingFault> {
    if n_bytes >= CHUNK_LINE_BYTES_MAX {
        return Err(FramingFault(
            "a line between the answer's chunks is too long",
        ));
    }
    Ok(n_bytes + 1)
}

fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

#[cfg(test)]
#[path = "framing_tests.rs"]
mod tests;
