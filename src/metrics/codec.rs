//! A histogram as bytes and as text: the public form *HdrHistogram V2, compressed*,
//! that the readers of Java, Python and others take, and its counts alone, for keeping
//! many in memory.
//!
//! The form is written here rather than by `hdrhistogram`, whose buckets are the same
//! (a test reads each with the other): its writer walks all 33,792 buckets, and its
//! reader believes the lengths that it is told. What is read here is a stranger's:
//! each length, count and bound is checked before anything is made of it.
//!
//! Source of the form: `EncodableHistogram` and `AbstractHistogram.encodeIntoByteBuffer`
//! of HdrHistogram (Java) 2.1.

use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

use super::histogram::{Extent, Histogram};
use super::pages::{LATENCY_MAX_NS, N_BUCKETS};

const COOKIE: u32 = 0x1c84_9303 | 0x10;
const COMPRESSED_COOKIE: u32 = 0x1c84_9304 | 0x10;
const SIGNIFICANT_DIGITS: u32 = 3;
/// Cookie, length of the counts, offset, digits, lowest and highest value, ratio.
const HEADER_BYTES: usize = 40;
/// A count takes as many at most.
const VARINT_BYTES_MAX: usize = 9;
/// A whole histogram before it is compressed.
const PLAIN_BYTES_MAX: usize = HEADER_BYTES + N_BUCKETS * VARINT_BYTES_MAX;
/// What a decoder looks at: no histogram of this program takes as much.
const TEXT_BYTES_MAX: usize = 2 * PLAIN_BYTES_MAX;
/// A million calls a second take twelve days for as many. Above it counters would
/// take memory by the value.
const COUNT_MAX: u64 = 1 << 40;

impl Histogram {
    /// The histogram as text: base64 of the compressed form. Minimum, maximum and sum
    /// are in it within 0.1 % only; [`Histogram::extent`] has them exactly.
    pub fn to_text(&self) -> String {
        Packed::of(self).to_text()
    }

    /// Reads what [`Histogram::to_text`] has written. Minimum, maximum and sum are
    /// those of `extent`; without one, those of the buckets.
    ///
    /// # Errors
    /// Where the text is not such a histogram, has other bounds, or does not fit
    /// `extent`: why, as a fragment.
    pub fn from_text(text: &str, extent: Option<Extent>) -> Result<Self, String> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(format!(
                "is longer than a histogram: {} bytes, at most {TEXT_BYTES_MAX}",
                text.len()
            ));
        }
        let bytes = STANDARD
            .decode(text)
            .map_err(|error| format!("is not base64: {error}"))?;
        let plain = inflated(&bytes)?;
        let buckets = read_counts(counts_of(&plain)?, COUNT_MAX)?;
        Self::of_buckets(&buckets, extent)
    }
}

/// A histogram's buckets in some three bytes each, for keeping many. Of minimum, mean
/// and maximum it keeps the two that bound the percentiles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packed {
    counts: Box<[u8]>,
    /// Meaningless where there are no counts, as `max_ns` is.
    min_ns: u64,
    max_ns: u64,
}

impl Packed {
    /// Keeps a histogram.
    pub fn of(histogram: &Histogram) -> Self {
        let mut counts = Vec::new();
        {
            let mut write = writer_of(&mut counts);
            let buckets = histogram.buckets();
            buckets.for_each(|(bucket, count)| write(bucket, count));
        }
        Self {
            counts: counts.into(),
            min_ns: histogram.min_ns().unwrap_or(0),
            max_ns: histogram.max_ns().unwrap_or(0),
        }
    }

    /// All that several have kept.
    pub fn sum(parts: &[&Self]) -> Self {
        let mut buckets: Vec<(usize, u64)> = parts.iter().flat_map(|part| part.buckets()).collect();
        // Stable: those of each part are in order already.
        buckets.sort_by_key(|(bucket, _)| *bucket);
        let mut counts = Vec::new();
        {
            let mut write = writer_of(&mut counts);
            for same in buckets.chunk_by(|a, b| a.0 == b.0) {
                write(same[0].0, same.iter().map(|(_, count)| count).sum());
            }
        }
        Self {
            counts: counts.into(),
            min_ns: parts
                .iter()
                .filter(|part| !part.is_empty())
                .map(|part| part.min_ns)
                .min()
                .unwrap_or(0),
            max_ns: parts.iter().map(|part| part.max_ns).max().unwrap_or(0),
        }
    }

    /// The histogram, with the exact minimum and maximum.
    pub fn unpacked(&self) -> Histogram {
        let histogram = Histogram::of_buckets(&self.buckets(), None);
        let bounded = histogram.and_then(|histogram| match histogram.is_empty() {
            true => Ok(histogram),
            false => histogram.with_max(self.max_ns)?.with_min(self.min_ns),
        });
        bounded.expect("it was a histogram")
    }

    /// The same as [`Histogram::to_text`].
    pub fn to_text(&self) -> String {
        STANDARD.encode(compressed(&self.counts))
    }

    /// The greatest value, exactly; 0 where there is none.
    pub fn max_ns(&self) -> u64 {
        self.max_ns
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// What it takes beside itself, in bytes.
    pub fn n_bytes(&self) -> usize {
        self.counts.len()
    }

    fn buckets(&self) -> Vec<(usize, u64)> {
        // A sum of strangers' histograms may have more than one of them can.
        read_counts(&self.counts, u64::MAX).expect("they were written by `writer_of`")
    }
}

fn compressed(counts: &[u8]) -> Vec<u8> {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    let head = [
        &COOKIE.to_be_bytes()[..],
        &(counts.len() as u32).to_be_bytes(),
        // The offset of the first bucket.
        &0_u32.to_be_bytes(),
        &SIGNIFICANT_DIGITS.to_be_bytes(),
        &1_u64.to_be_bytes(),
        &LATENCY_MAX_NS.to_be_bytes(),
        // From whole to fractional values.
        &1_f64.to_be_bytes(),
        counts,
    ];
    for part in head {
        zlib.write_all(part).expect("a `Vec` takes all");
    }
    let compressed = zlib.finish().expect("a `Vec` takes all");
    let mut bytes = COMPRESSED_COOKIE.to_be_bytes().to_vec();
    bytes.extend((compressed.len() as u32).to_be_bytes());
    bytes.extend(compressed);
    bytes
}

/// The plain form, of bounded size whatever was compressed.
fn inflated(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let (cookie, rest) = take(bytes, u32::from_be_bytes)?;
    if cookie != COMPRESSED_COOKIE {
        return Err(format!(
            "is not a compressed V2 histogram: it begins with {cookie:#010x}, not \
             {COMPRESSED_COOKIE:#010x}"
        ));
    }
    let (len, rest) = take(rest, u32::from_be_bytes)?;
    if len as usize != rest.len() {
        let n_bytes = rest.len();
        return Err(format!("announces {len} bytes and has {n_bytes}"));
    }
    let mut plain = Vec::new();
    let mut zlib = ZlibDecoder::new(rest);
    (&mut zlib)
        .take(PLAIN_BYTES_MAX as u64 + 1)
        .read_to_end(&mut plain)
        .map_err(|error| format!("cannot be decompressed: {error}"))?;
    if plain.len() > PLAIN_BYTES_MAX {
        return Err(format!(
            "has more than {PLAIN_BYTES_MAX} bytes decompressed"
        ));
    }
    if zlib.total_in() != u64::from(len) {
        return Err("has bytes after its end".to_string());
    }
    Ok(plain)
}

/// The counts of the plain form, whose bounds must be ours.
fn counts_of(plain: &[u8]) -> Result<&[u8], String> {
    let (cookie, rest) = take(plain, u32::from_be_bytes)?;
    let (len, rest) = take(rest, u32::from_be_bytes)?;
    let (offset, rest) = take(rest, u32::from_be_bytes)?;
    let (digits, rest) = take(rest, u32::from_be_bytes)?;
    let (lowest, rest) = take(rest, u64::from_be_bytes)?;
    let (highest, rest) = take(rest, u64::from_be_bytes)?;
    let (ratio, counts) = take(rest, f64::from_be_bytes)?;
    if cookie != COOKIE {
        return Err(format!(
            "is not of the form V2: it begins with {cookie:#010x}"
        ));
    }
    let bounds = (digits, lowest, highest, offset);
    if bounds != (SIGNIFICANT_DIGITS, 1, LATENCY_MAX_NS, 0) || ratio != 1.0 {
        return Err(format!(
            "has other bounds: {lowest} to {highest} with {digits} digits, not 1 to \
             {LATENCY_MAX_NS} with {SIGNIFICANT_DIGITS}"
        ));
    }
    if len as usize != counts.len() {
        let n_bytes = counts.len();
        return Err(format!("announces {len} bytes of counts and has {n_bytes}"));
    }
    Ok(counts)
}

/// A number from the front, and what is after it.
fn take<const N: usize, T>(bytes: &[u8], read: fn([u8; N]) -> T) -> Result<(T, &[u8]), String> {
    match bytes.split_first_chunk() {
        Some((number, rest)) => Ok((read(*number), rest)),
        None => Err("is cut off".to_string()),
    }
}

/// Writes buckets that come in order. A count above zero stands for its bucket, a number
/// below zero for as many empty ones, and 0 for one of them.
fn writer_of(out: &mut Vec<u8>) -> impl FnMut(usize, u64) + '_ {
    let mut next = 0;
    move |bucket, count| {
        match bucket - next {
            0 => {}
            1 => write_number(0, out),
            n_empty => write_number(-(n_empty as i64), out),
        }
        write_number(count.min(i64::MAX as u64) as i64, out);
        next = bucket + 1;
    }
}

fn read_counts(mut bytes: &[u8], count_max: u64) -> Result<Vec<(usize, u64)>, String> {
    let mut buckets = Vec::new();
    let (mut next, mut n) = (0_usize, 0_u64);
    while !bytes.is_empty() {
        let number = read_number(&mut bytes)?;
        // `saturating`, for numbers that no histogram has.
        if number > 0 {
            n = n.saturating_add(number.unsigned_abs());
            if n > count_max {
                return Err(format!("has more than {count_max} values"));
            }
            buckets.push((next, number.unsigned_abs()));
        }
        let n_buckets = usize::try_from(number.min(0).unsigned_abs()).unwrap_or(usize::MAX);
        next = next.saturating_add(n_buckets.max(1));
        if next > N_BUCKETS {
            return Err(format!("has more than {N_BUCKETS} buckets"));
        }
    }
    Ok(buckets)
}

/// Zigzag, in groups of 7 bits from the low end; a ninth byte has 8 bits.
fn write_number(number: i64, out: &mut Vec<u8>) {
    let mut rest = ((number << 1) ^ (number >> 63)) as u64;
    for _ in 1..VARINT_BYTES_MAX {
        if rest < 0x80 {
            break;
        }
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn read_number(bytes: &mut &[u8]) -> Result<i64, String> {
    let mut value = 0_u64;
    for at in 0..VARINT_BYTES_MAX {
        let Some((byte, rest)) = bytes.split_first() else {
            return Err("is cut off within a count".to_string());
        };
        *bytes = rest;
        let is_last = at + 1 == VARINT_BYTES_MAX || byte & 0x80 == 0;
        let bits = if at + 1 == VARINT_BYTES_MAX {
            *byte
        } else {
            byte & 0x7f
        };
        value |= u64::from(bits) << (7 * at);
        if is_last {
            break;
        }
    }
    Ok((value >> 1) as i64 ^ -((value & 1) as i64))
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
