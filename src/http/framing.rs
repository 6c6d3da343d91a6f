//! Where an HTTP/1.1 answer's head and body end. Bytes in, count consumed out.
//!
//! What is read here follows RFC 9112: section 6.3 for the body's length, section
//! 7.1 for chunks. Where that leaves a choice, heads are read as leniently as
//! `httparse` does (a bare line feed ends a line), chunks strictly. It knows no
//! socket, no clock and no MCP, and never panics on any bytes.

use std::mem::MaybeUninit;

/// Headers of an answer that are read without further ado. More of them, up to
/// [`HEADERS_MAX`], take a deeper stack frame.
const HEADERS_USUAL: usize = 24;

/// An answer with more of them is refused.
const HEADERS_MAX: usize = 128;

/// A head that is longer is refused.
pub(super) const HEAD_BYTES_MAX: usize = 64 * 1024;

/// A chunk's size with its extensions, or a trailer line, at most.
const CHUNK_LINE_BYTES_MAX: u32 = 4 * 1024;

/// Why bytes are not an HTTP/1.1 answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FramingFault(pub(super) &'static str);

/// What an answer's head says about what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ResponseHead {
    /// The bytes of the head, its empty line included.
    pub(super) n_bytes: usize,
    /// The status code.
    pub(super) status: u16,
    /// Another exchange may follow on the connection.
    pub(super) keeps_alive: bool,
    /// How the body ends.
    pub(super) body: Body,
    /// Where the value of `Content-Type` is in the head; empty without one.
    pub(super) content_type: Span,
    /// The same of `Content-Encoding`.
    pub(super) content_encoding: Span,
    /// It has a `Set-Cookie` header.
    pub(super) sets_cookie: bool,
    /// A header goes on in a second line: [`unfold`] the bytes.
    pub(super) is_folded: bool,
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
pub(super) fn read_head(input: &[u8]) -> Result<Option<ResponseHead>, FramingFault> {
    match parse::<HEADERS_USUAL>(input, false) {
        Ok(parsed) => parsed.transpose(),
        Err(error) => read_unusual(input, error),
    }
}

type Parsed = Result<Option<Result<ResponseHead, FramingFault>>, httparse::Error>;

/// What a usual head does not have, and RFC 9112 allows all the same: many
/// headers, headers that go on in a second line (section 5.2), a later minor
/// version of HTTP/1 (RFC 9110 section 2.5).
#[cold]
#[inline(never)]
fn read_unusual(
    input: &[u8],
    error: httparse::Error,
) -> Result<Option<ResponseHead>, FramingFault> {
    let mut patched = Vec::new();
    let mut input = input;
    if error == httparse::Error::Version
        && let [
            b'H',
            b'T',
            b'T',
            b'P',
            b'/',
            b'1',
            b'.',
            b'2'..=b'9',
            b' ',
            ..,
        ] = input
    {
        patched.extend_from_slice(input);
        patched[7] = b'1';
        input = &patched;
    }
    let parsed = parse::<HEADERS_MAX>(input, false)
        .map(|parsed| (parsed, false))
        .or_else(|_| Ok((parse::<HEADERS_MAX>(input, true)?, true)))
        .map_err(fault)?;
    let (Some(head), is_folded) = parsed else {
        return Ok(None);
    };
    let head = head?;
    Ok(Some(ResponseHead { is_folded, ..head }))
}

fn parse<const N: usize>(input: &[u8], allows_folds: bool) -> Parsed {
    let mut headers = [const { MaybeUninit::uninit() }; N];
    let mut response = httparse::Response::new(&mut []);
    let mut config = httparse::ParserConfig::default();
    config.allow_obsolete_multiline_headers_in_responses(allows_folds);
    let parsed = config.parse_response_with_uninit_headers(&mut response, input, &mut headers)?;
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

/// Puts blanks in place of the line ends within headers (RFC 9112 section 5.2);
/// what stands where does not change.
pub(super) fn unfold(head: &mut [u8]) {
    for at in 1..head.len() {
        if matches!(head[at], b' ' | b'\t') && head[at - 1] == b'\n' {
            head[at - 1] = b' ';
            if at >= 2 && head[at - 2] == b'\r' {
                head[at - 2] = b' ';
            }
        }
    }
}

fn facts(
    head: &[u8],
    status: u16,
    is_http10: bool,
    headers: &[httparse::Header<'_>],
) -> Result<ResponseHead, FramingFault> {
    // 099 is not a status; those beyond 599 are taken for errors (RFC 9110 section 15).
    if status < 100 {
        return Err(FramingFault(FIRST_LINE));
    }
    let mut length = Ok(None);
    let mut is_coded = false;
    let mut foreign_coding = None;
    let mut says_close = false;
    let mut says_keep_alive = false;
    let mut content_type = Span::default();
    let mut content_encoding = Span::default();
    let mut sets_cookie = false;
    for header in headers {
        // Told apart by length first: most headers are others.
        match header.name.len() {
            14 if header.name.eq_ignore_ascii_case("content-length") => {
                length = length.and_then(|before| content_length(header.value, before).map(Some));
            }
            12 if header.name.eq_ignore_ascii_case("content-type") => {
                if let Some(value) = last_type(header.value) {
                    content_type = Span::of(value, head);
                } else if content_type == Span::default() {
                    content_type = Span::of(header.value, head);
                }
            }
            16 if header.name.eq_ignore_ascii_case("content-encoding") => {
                content_encoding = Span::of(header.value, head);
            }
            17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                for coding in elements(header.value) {
                    // Which HTTP/1.1 once had, for none.
                    if coding.eq_ignore_ascii_case(b"identity") {
                        continue;
                    }
                    let is_chunked = coding.eq_ignore_ascii_case(b"chunked");
                    if !is_chunked || is_coded {
                        foreign_coding = foreign_coding.or(Some(coding));
                    }
                    is_coded = true;
                }
            }
            10 if header.name.eq_ignore_ascii_case("connection") => {
                says_close |= elements(header.value).any(|e| e.eq_ignore_ascii_case(b"close"));
                says_keep_alive |=
                    elements(header.value).any(|e| e.eq_ignore_ascii_case(b"keep-alive"));
            }
            10 if header.name.eq_ignore_ascii_case("set-cookie") => sets_cookie = true,
            _ => {}
        }
    }
    // RFC 9112 section 6.3, in its order.
    let body = match status {
        100..200 | 204 | 304 => Body::Length(0),
        _ if is_coded && is_http10 => {
            return Err(FramingFault(
                "the answer is of HTTP/1.0, which has no `Transfer-Encoding`",
            ));
        }
        // Not asked for (no `TE` is sent), and what is coded is not a message. Chunks
        // within chunks must not be (RFC 9112 section 6.1).
        _ if foreign_coding.is_some() => {
            return Err(unread_coding(foreign_coding.unwrap_or_default()));
        }
        _ if is_coded => Body::Chunked(Chunks::START),
        _ => length?.map_or(Body::ToEnd, Body::Length),
    };
    Ok(ResponseHead {
        n_bytes: head.len(),
        status,
        content_type,
        content_encoding,
        sets_cookie,
        is_folded: false,
        keeps_alive: !says_close
            && (says_keep_alive || !is_http10)
            && body != Body::ToEnd
            && status != 101,
        body,
    })
}

/// The fault of a transfer coding that is not undone here.
#[cold]
fn unread_coding(coding: &[u8]) -> FramingFault {
    const NAMED: [(&str, &str); 7] = [
        (
            "gzip",
            "the answer's transfer coding `gzip` is not read here, only `chunked`",
        ),
        (
            "x-gzip",
            "the answer's transfer coding `x-gzip` is not read here, only `chunked`",
        ),
        (
            "deflate",
            "the answer's transfer coding `deflate` is not read here, only `chunked`",
        ),
        (
            "compress",
            "the answer's transfer coding `compress` is not read here, only `chunked`",
        ),
        (
            "br",
            "the answer's transfer coding `br` is not read here, only `chunked`",
        ),
        (
            "zstd",
            "the answer's transfer coding `zstd` is not read here, only `chunked`",
        ),
        (
            "chunked",
            "the answer says twice that it is `chunked`, which HTTP forbids",
        ),
    ];
    let named = NAMED
        .into_iter()
        .find(|(name, _)| coding.eq_ignore_ascii_case(name.as_bytes()));
    FramingFault(named.map_or(
        "the answer has a transfer coding (`Transfer-Encoding`) other than `chunked`, which is \
         not read here",
        |(_, text)| text,
    ))
}

/// The media type in a value of `Content-Type`. Where there are several, in a list
/// or in several headers, the last that is one counts, as in browsers (RFC 9110
/// section 8.3; "extract a MIME type" of the Fetch standard).
fn last_type(value: &[u8]) -> Option<&[u8]> {
    // By far the usual ones.
    if value == b"application/json" || value == b"text/event-stream" {
        return Some(value);
    }
    last_type_of_list(value)
}

#[cold]
#[inline(never)]
fn last_type_of_list(value: &[u8]) -> Option<&[u8]> {
    let is_type = |value: &&[u8]| value.contains(&b'/') && !value.starts_with(b"*/*");
    let mut is_quoted = false;
    let parts = value.split(move |byte| {
        is_quoted ^= *byte == b'"';
        *byte == b',' && !is_quoted
    });
    let types = parts.map(<[u8]>::trim_ascii).filter(is_type);
    types.fold(None, |_, last| Some(last))
}

/// A value of `Content-Length`, which may be a list of equal numbers (RFC 9110
/// section 8.6), as may several such headers.
fn content_length(value: &[u8], before: Option<u64>) -> Result<u64, FramingFault> {
    // By far the usual: one number that no 64 bits overflow.
    if before.is_none() && (1..=18).contains(&value.len()) && value.iter().all(u8::is_ascii_digit) {
        let number = value
            .iter()
            .fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
        return Ok(number);
    }
    content_length_of_list(value, before)
}

#[cold]
#[inline(never)]
fn content_length_of_list(value: &[u8], before: Option<u64>) -> Result<u64, FramingFault> {
    let mut known = before;
    for element in value.split(|byte| *byte == b',') {
        let digits = element.trim_ascii();
        let mut number: u64 = 0;
        if digits.is_empty() {
            return Err(FramingFault(
                "the answer's `Content-Length` is not a number",
            ));
        }
        for digit in digits {
            number = digit
                .is_ascii_digit()
                .then(|| number.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
                .flatten()
                .ok_or(FramingFault(
                    "the answer's `Content-Length` is not a number",
                ))?;
        }
        if known.is_some_and(|known| known != number) {
            return Err(FramingFault(
                "the answer has several `Content-Length`s that differ",
            ));
        }
        known = Some(number);
    }
    known.ok_or(FramingFault(
        "the answer's `Content-Length` is not a number",
    ))
}

/// The elements of a comma-separated list; empty ones do not count.
fn elements(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}

const FIRST_LINE: &str = "the answer's first line is not that of HTTP/1.1";

fn fault(error: httparse::Error) -> FramingFault {
    FramingFault(match error {
        httparse::Error::TooManyHeaders => "the answer has too many headers",
        httparse::Error::Status | httparse::Error::Version => FIRST_LINE,
        _ => "the answer's headers cannot be read",
    })
}

/// A header's value in the bytes of a head that [`read_head`] accepted and that is
/// unfolded: the first of that name.
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
    /// This many bytes.
    Length(u64),
    /// Chunks, up to the last.
    Chunked(Chunks),
    /// All until the peer closes.
    ToEnd,
}

/// What comes next in a chunked body (RFC 9112 section 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunks {
    /// The digits of a chunk's size; zeros before it count as a part of its line.
    Size {
        n_bytes: u32,
        size: u64,
    },
    /// Blanks behind it.
    SizeBlank {
        size: u64,
        n_bytes: u32,
    },
    /// Extensions, which nobody here looks at.
    SizeLine {
        size: u64,
        n_bytes: u32,
    },
    /// The line feed at its end.
    SizeLf {
        size: u64,
    },
    /// This many bytes of a chunk.
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
    /// When these are not chunks.
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
    /// Before the first chunk, and after each.
    pub(super) const START: Self = Self::Size {
        n_bytes: 0,
        size: 0,
    };

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
        let bad_trailer = FramingFault("the trailer of the answer cannot be read");
        let bad_end = FramingFault("a chunk of the answer is longer than its size");
        Ok(match (self, byte) {
            (Self::Size { n_bytes, size }, _) if byte.is_ascii_hexdigit() => {
                // Sixteen digits are all that 64 bits hold.
                if size >> 60 != 0 {
                    return Err(bad_size);
                }
                Self::Size {
                    n_bytes: longer(n_bytes)?,
                    size: size << 4 | u64::from(hex_value(byte)),
                }
            }
            (Self::Size { n_bytes: 0, .. }, _) => return Err(bad_size),
            (
                Self::Size { size, .. }
                | Self::SizeBlank { size, .. }
                | Self::SizeLine { size, .. },
                b'\r',
            ) => Self::SizeLf { size },
            (Self::Size { size, n_bytes } | Self::SizeBlank { size, n_bytes }, b' ' | b'\t') => {
                Self::SizeBlank {
                    size,
                    n_bytes: longer(n_bytes)?,
                }
            }
            (Self::Size { size, n_bytes } | Self::SizeBlank { size, n_bytes }, b';') => {
                Self::SizeLine { size, n_bytes }
            }
            (Self::Size { .. } | Self::SizeBlank { .. } | Self::SizeLine { .. }, b'\n')
            | (Self::Size { .. } | Self::SizeBlank { .. }, _) => return Err(bad_size),
            (Self::SizeLine { size, n_bytes }, _) => Self::SizeLine {
                size,
                n_bytes: longer(n_bytes)?,
            },
            (Self::SizeLf { size: 0 }, b'\n') => Self::TrailerStart,
            (Self::SizeLf { size }, b'\n') => Self::Data { left: size },
            (Self::SizeLf { .. }, _) => return Err(bad_size),
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::START,
            (Self::DataCr | Self::DataLf, _) => return Err(bad_end),
            (Self::TrailerStart, b'\r') => Self::EndLf,
            (Self::TrailerStart | Self::TrailerLine { .. }, b'\n') => return Err(bad_trailer),
            (Self::TrailerStart, _) => Self::TrailerLine { n_bytes: 1 },
            (Self::TrailerLine { .. }, b'\r') => Self::TrailerLf,
            (Self::TrailerLine { n_bytes }, _) => Self::TrailerLine {
                n_bytes: longer(n_bytes)?,
            },
            (Self::TrailerLf, b'\n') => Self::TrailerStart,
            (Self::EndLf, b'\n') => Self::Ended,
            (Self::TrailerLf | Self::EndLf, _) => return Err(bad_trailer),
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
