//! Undoes the content codings of answers: gzip and deflate (RFC 9110, section 8.4.1).
//!
//! Requests ask for `identity`, but some servers and proxies compress all the
//! same. Bytes in, bytes out, at any cut: what a server flushes comes out at
//! once, so that an event is found when it arrives. It does not know what the
//! content is, nor how its bytes arrive.

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::fault::{FaultKind, ProtocolFault, excerpt};

/// What `Content-Encoding` says of an answer's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentCoding {
    /// The content is as it is.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 1950, or RFC 1951 alone, which some servers send under this name.
    Deflate,
    /// A coding that is not read here, or several codings: as named.
    Foreign(String),
    /// A name that is no coding, such as `utf-8`. Clients then take the content
    /// as it is.
    Unknown(String),
}

impl ContentCoding {
    /// Reads the value of a `Content-Encoding` header.
    pub fn read(value: &[u8]) -> Self {
        /// IANA's registry of content codings, without those that are read.
        const FOREIGN: [&[u8]; 9] = [
            b"br",
            b"zstd",
            b"compress",
            b"x-compress",
            b"dcb",
            b"dcz",
            b"exi",
            b"pack200-gzip",
            b"aes128gcm",
        ];
        let mut names = value
            .split(|byte| *byte == b',')
            .map(<[u8]>::trim_ascii)
            .filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case(b"identity"));
        let (Some(name), further) = (names.next(), names.next()) else {
            return Self::Identity;
        };
        if further.is_some() {
            return Self::Foreign(excerpt(value.trim_ascii()));
        }
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        if is(b"gzip") || is(b"x-gzip") {
            Self::Gzip
        } else if is(b"deflate") {
            Self::Deflate
        } else if FOREIGN.into_iter().any(is) {
            Self::Foreign(excerpt(name))
        } else {
            Self::Unknown(excerpt(name))
        }
    }
}

/// A stream may grow to this many times of what came, beyond the limit for one
/// message: text is packed to a tenth or a twentieth, a bomb to a thousandth.
const GROWTH_MAX: u64 = 64;

/// What the start of a gzip member costs, told as bytes that are decoded: the decoder is
/// made anew, though a member has 20 bytes and may have no content.
const MEMBER_WORK_BYTES: usize = 2 * 1024;

/// After so much work of this kind the caller is asked first.
const WORK_BYTES_AT_ONCE: usize = 16 * 1024;

/// The decoder of one answer's content.
#[derive(Debug)]
pub struct ContentDecoder {
    name: &'static str,
    state: CodingState,
    inflate: Decompress,
    /// Over the content of the current gzip member.
    crc: Crc,
    /// Bytes that were looked at to tell zlib from raw deflate, and are still
    /// to be decoded; at most two.
    lead: Vec<u8>,
    limit_bytes: usize,
    n_in: u64,
    n_out: u64,
    /// Work that no content tells of, since it was asked for.
    work_bytes: usize,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CodingState {
    GzipHeader(GzipHeader),
    /// The first bytes tell zlib from raw deflate.
    DeflateStart,
    Data,
    /// CRC and length of a gzip member, as far as they came.
    GzipTrailer {
        n: u8,
        value: u64,
    },
    /// A gzip member has ended; another may follow (RFC 1952, section 2.2).
    GzipMemberEnd,
    /// The content has ended. What follows is not looked at.
    Ended,
}

/// The parts of a gzip member's header; `flags` are what is still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GzipHeader {
    /// The first ten bytes; `n` have come.
    Fixed { n: u8, flags: u8 },
    /// The length of the extra field.
    ExtraLen { n: u8, len: u16, flags: u8 },
    /// How many bytes of it came.
    Extra { left: u16, flags: u8 },
    /// The name or the comment, up to a zero.
    Text { flags: u8 },
    /// The header's own checksum.
    Crc { n: u8 },
}

const FLAG_HEADER_CRC: u8 = 1 << 1;
const FLAG_EXTRA: u8 = 1 << 2;
const FLAG_NAME: u8 = 1 << 3;
const FLAG_COMMENT: u8 = 1 << 4;

impl ContentDecoder {
    /// A decoder for that coding; `None` where there is nothing to undo, or
    /// nothing that can be. `limit_bytes` is the limit for one message.
    pub fn new(coding: &ContentCoding, limit_bytes: usize) -> Option<Self> {
        let (name, state) = match coding {
            ContentCoding::Gzip => ("gzip", CodingState::GzipHeader(GzipHeader::START)),
            ContentCoding::Deflate => ("deflate", CodingState::DeflateStart),
            ContentCoding::Identity | ContentCoding::Foreign(_) | ContentCoding::Unknown(_) => {
                return None;
            }
        };
        Some(Self {
            name,
            state,
            inflate: Decompress::new(false),
            crc: Crc::new(),
            lead: Vec::new(),
            limit_bytes,
            n_in: 0,
            n_out: 0,
            work_bytes: 0,
        })
    }

    /// Decodes from `input` to `output`: how much was used of the one and
    /// filled of the other. Where nothing was filled, all of the input was used, or
    /// [`take_work`](Self::take_work) has to be asked before the rest. Content may come
    /// without input, as long as the output was full.
    ///
    /// # Errors
    /// The content is not in this coding, or grows beyond all measure.
    pub fn decode(
        &mut self,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<(usize, usize), ProtocolFault> {
        let mut n_used = 0;
        loop {
            let rest = &input[n_used..];
            if self.work_bytes >= WORK_BYTES_AT_ONCE && !rest.is_empty() {
                return Ok((n_used, 0));
            }
            match self.state {
                CodingState::Data => {
                    let had_lead = !self.lead.is_empty();
                    let (used, filled) = self.inflate(rest, output)?;
                    n_used += used;
                    if filled > 0 || output.is_empty() {
                        return Ok((n_used, filled));
                    }
                    if self.state == CodingState::Data
                        && n_used == input.len()
                        && self.lead.is_empty()
                    {
                        return Ok((n_used, 0));
                    }
                    if self.state == CodingState::Data && used == 0 && !had_lead {
                        return Err(self.bad("its data cannot be decoded"));
                    }
                }
                CodingState::Ended => return Ok((input.len(), 0)),
                _ => {
                    let Some(byte) = rest.first() else {
                        return Ok((n_used, 0));
                    };
                    self.state = self.after(*byte, rest)?;
                    if self.state != CodingState::Ended {
                        self.n_in += 1;
                    }
                    n_used += 1;
                }
            }
        }
    }

    /// Work since the last time that no content tells of, as that of so many bytes of
    /// content.
    pub fn take_work(&mut self) -> usize {
        std::mem::take(&mut self.work_bytes)
    }

    /// Whether the content may end here: it is whole, or there was none.
    pub fn may_end(&self) -> bool {
        self.n_in == 0 || matches!(self.state, CodingState::GzipMemberEnd | CodingState::Ended)
    }

    /// The fault of content that ended too early.
    pub fn cut(&self) -> ProtocolFault {
        self.bad("it ends too early")
    }

    /// Decodes data; the state changes where its end was found.
    fn inflate(
        &mut self,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<(usize, usize), ProtocolFault> {
        let of_lead = !self.lead.is_empty();
        let source = if of_lead { &self.lead[..] } else { input };
        let before = (self.inflate.total_in(), self.inflate.total_out());
        let status = self
            .inflate
            .decompress(source, output, FlushDecompress::None);
        let used = usize::try_from(self.inflate.total_in() - before.0).unwrap_or(source.len());
        let filled = usize::try_from(self.inflate.total_out() - before.1).unwrap_or(output.len());
        let Ok(status) = status else {
            return Err(self.bad("its data cannot be decoded"));
        };
        let used = if of_lead {
            self.lead.drain(..used.min(self.lead.len()));
            0
        } else {
            self.n_in += used as u64;
            used
        };
        self.n_out += filled as u64;
        let most = GROWTH_MAX
            .saturating_mul(self.n_in)
            .saturating_add(self.limit_bytes as u64);
        if self.n_out > most {
            return Err(ProtocolFault::new(
                FaultKind::TooLarge,
                format!(
                    "{} bytes of `{}` are more than {most} bytes of content",
                    self.n_in, self.name
                ),
            ));
        }
        let is_gzip = self.name == "gzip";
        if is_gzip {
            self.crc.update(&output[..filled]);
        }
        if status == Status::StreamEnd {
            self.state = if is_gzip {
                CodingState::GzipTrailer { n: 0, value: 0 }
            } else {
                CodingState::Ended
            };
        }
        Ok((used, filled))
    }

    /// What follows a byte that is not data.
    fn after(&mut self, byte: u8, rest: &[u8]) -> Result<CodingState, ProtocolFault> {
        Ok(match self.state {
            CodingState::GzipHeader(header) => match header.after(byte) {
                Some(Some(next)) => CodingState::GzipHeader(next),
                Some(None) => {
                    self.inflate.reset(false);
                    self.crc.reset();
                    self.work_bytes += MEMBER_WORK_BYTES;
                    CodingState::Data
                }
                None => {
                    return Err(ProtocolFault::new(
                        FaultKind::ContentEncoding,
                        format!(
                            "the header says `{}`, the content is not: {}",
                            self.name,
                            excerpt(rest)
                        ),
                    ));
                }
            },
            CodingState::DeflateStart => {
                self.lead.push(byte);
                let [first, second] = self.lead[..] else {
                    return Ok(CodingState::DeflateStart);
                };
                let is_zlib = first & 0x0f == 8
                    && first >> 4 <= 7
                    && u16::from_be_bytes([first, second]) % 31 == 0;
                self.inflate.reset(is_zlib);
                CodingState::Data
            }
            CodingState::GzipTrailer { n, value } => {
                let value = value | u64::from(byte) << (8 * n);
                if n < 7 {
                    return Ok(CodingState::GzipTrailer { n: n + 1, value });
                }
                let ours = u64::from(self.crc.sum()) | u64::from(self.crc.amount()) << 32;
                if value != ours {
                    return Err(self.bad("its checksum or length does not agree"));
                }
                CodingState::GzipMemberEnd
            }
            // Anything but another member is padding, as browsers have it.
            CodingState::GzipMemberEnd => match GzipHeader::START.after(byte) {
                Some(Some(next)) => CodingState::GzipHeader(next),
                _ => CodingState::Ended,
            },
            CodingState::Data | CodingState::Ended => self.state,
        })
    }

    fn bad(&self, why: &str) -> ProtocolFault {
        ProtocolFault::new(
            FaultKind::ContentEncoding,
            format!("the content is broken `{}`: {why}", self.name),
        )
    }
}

impl GzipHeader {
    const START: Self = Self::Fixed { n: 0, flags: 0 };

    /// What follows a byte: another part, or `Some(None)` for the data. `None`
    /// where it is not gzip.
    fn after(self, byte: u8) -> Option<Option<Self>> {
        Some(match self {
            Self::Fixed { n, flags } => {
                let is_right = match n {
                    0 => byte == 0x1f,
                    1 => byte == 0x8b,
                    2 => byte == 8,
                    // Flags that no one has defined.
                    3 => byte < 1 << 5,
                    _ => true,
                };
                if !is_right {
                    return None;
                }
                let flags = if n == 3 { byte } else { flags };
                if n < 9 {
                    Some(Self::Fixed { n: n + 1, flags })
                } else {
                    Self::part(flags)
                }
            }
            Self::ExtraLen { n: 0, flags, .. } => Some(Self::ExtraLen {
                n: 1,
                len: u16::from(byte),
                flags,
            }),
            Self::ExtraLen { len, flags, .. } => match len | u16::from(byte) << 8 {
                0 => Self::part(flags),
                left => Some(Self::Extra { left, flags }),
            },
            Self::Extra { left: 1, flags } => Self::part(flags),
            Self::Extra { left, flags } => Some(Self::Extra {
                left: left - 1,
                flags,
            }),
            Self::Text { flags } if byte == 0 => Self::part(flags),
            Self::Text { .. } => Some(self),
            Self::Crc { n: 0 } => Some(Self::Crc { n: 1 }),
            Self::Crc { .. } => None,
        })
    }

    /// The next part that the flags announce; `None` where it is the data.
    fn part(flags: u8) -> Option<Self> {
        let without = |flag: u8| flags & !flag;
        if flags & FLAG_EXTRA != 0 {
            Some(Self::ExtraLen {
                n: 0,
                len: 0,
                flags: without(FLAG_EXTRA),
            })
        } else if flags & FLAG_NAME != 0 {
            Some(Self::Text {
                flags: without(FLAG_NAME),
            })
        } else if flags & FLAG_COMMENT != 0 {
            Some(Self::Text {
                flags: without(FLAG_COMMENT),
            })
        } else if flags & FLAG_HEADER_CRC != 0 {
            Some(Self::Crc { n: 0 })
        } else {
            None
        }
    }
}

#[cfg(test)]
#[path = "content_coding_tests.rs"]
mod tests;
