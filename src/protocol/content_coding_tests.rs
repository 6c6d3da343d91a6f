//! Tests of the content codings: whole, cut anywhere, broken, and bombs.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;

use super::super::sse::SseDecoder;
use super::super::sse::tests::events_of;
use super::*;

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}

fn zlib(content: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}

fn raw(content: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}

/// All content of the pieces; a fault where they are broken or end too early.
fn decoded(coding: &ContentCoding, pieces: &[&[u8]], room: usize) -> Result<Vec<u8>, String> {
    let mut decoder = ContentDecoder::new(coding, 1 << 20).expect("a coding that is read");
    let mut content = Vec::new();
    for piece in pieces {
        content.extend(decoded_piece(&mut decoder, piece, room)?);
    }
    if decoder.may_end() {
        Ok(content)
    } else {
        Err(decoder.cut().to_string())
    }
}

fn decoded_piece(
    decoder: &mut ContentDecoder,
    piece: &[u8],
    room: usize,
) -> Result<Vec<u8>, String> {
    let mut content = Vec::new();
    let mut output = vec![0; room];
    let mut at = 0;
    loop {
        let (used, filled) = decoder
            .decode(&piece[at..], &mut output)
            .map_err(|fault| fault.to_string())?;
        at += used;
        content.extend_from_slice(&output[..filled]);
        let worked = decoder.take_work();
        if filled == 0 && worked < WORK_BYTES_AT_ONCE {
            assert_eq!(at, piece.len(), "all input is used");
            return Ok(content);
        }
    }
}

#[test]
fn names_are_read_as_clients_read_them() {
    let foreign = |name: &str| ContentCoding::Foreign(name.to_string());
    for (value, expected) in [
        ("", ContentCoding::Identity),
        ("identity", ContentCoding::Identity),
        ("gzip", ContentCoding::Gzip),
        ("GZip", ContentCoding::Gzip),
        ("x-gzip", ContentCoding::Gzip),
        ("identity, gzip", ContentCoding::Gzip),
        ("deflate", ContentCoding::Deflate),
        ("br", foreign("br")),
        ("zstd", foreign("zstd")),
        ("gzip, br", foreign("gzip, br")),
        ("gzip, gzip", foreign("gzip, gzip")),
        ("utf-8", ContentCoding::Unknown("utf-8".to_string())),
    ] {
        assert_eq!(ContentCoding::read(value.as_bytes()), expected, "{value}");
    }
}

#[test]
fn a_header_with_all_parts_is_skipped() {
    let plain = gzip(b"content");
    let mut full = vec![0x1f, 0x8b, 8, 0b1_1110, 1, 2, 3, 4, 0, 255];
    full.extend_from_slice(&[3, 0, b'x', b'y', b'z']);
    full.extend_from_slice(b"name\0comment\0");
    full.extend_from_slice(&[0xaa, 0xbb]);
    full.extend_from_slice(&plain[10..]);
    assert_eq!(
        decoded(&ContentCoding::Gzip, &[&full], 16),
        Ok(b"content".to_vec())
    );
}

#[test]
fn members_follow_each_other_and_padding_is_no_content() {
    let mut members = gzip(b"one ");
    members.extend(gzip(b"two"));
    members.extend_from_slice(&[0; 100]);
    assert_eq!(
        decoded(&ContentCoding::Gzip, &[&members], 16),
        Ok(b"one two".to_vec())
    );
    // An empty body, as of a 401, is not a fault.
    assert_eq!(decoded(&ContentCoding::Gzip, &[], 16), Ok(Vec::new()));
    assert_eq!(decoded(&ContentCoding::Deflate, &[], 16), Ok(Vec::new()));
}

#[test]
fn members_without_content_are_work() {
    const N_MEMBERS: usize = 100;
    let members = gzip(b"").repeat(N_MEMBERS);
    let mut decoder = ContentDecoder::new(&ContentCoding::Gzip, 1 << 20).expect("gzip");
    let (mut at, mut worked) = (0, 0);
    while at < members.len() {
        let (used, filled) = decoder.decode(&members[at..], &mut [0]).expect("gzip");
        assert!(used > 0 && filled == 0, "{used} {filled}");
        at += used;
        let piece = decoder.take_work();
        assert!(piece <= WORK_BYTES_AT_ONCE, "{piece}");
        worked += piece;
    }
    assert_eq!(worked, N_MEMBERS * MEMBER_WORK_BYTES);
    assert!(decoder.may_end());
}

#[test]
fn what_is_broken_is_named() {
    let whole = gzip(b"some content that is worth it");
    let told = |bytes: &[u8]| decoded(&ContentCoding::Gzip, &[bytes], 64).expect_err("a fault");
    assert!(told(b"{\"jsonrpc\":\"2.0\"}").contains("the content is not: {\"jsonrpc\""));
    assert!(told(&whole[..whole.len() - 1]).contains("ends too early"));
    let mut wrong_sum = whole.clone();
    let at = wrong_sum.len() - 8;
    wrong_sum[at] ^= 1;
    assert!(told(&wrong_sum).contains("checksum"));
    let mut wrong_data = whole;
    wrong_data[12] ^= 0xff;
    let _any_fault_will_do = told(&wrong_data);
    let told = |bytes: &[u8]| decoded(&ContentCoding::Deflate, &[bytes], 64).expect_err("a fault");
    assert!(told(b"{\"jsonrpc\":\"2.0\"}").contains("`deflate`"));
    let mut wrong_sum = zlib(b"some content");
    *wrong_sum.last_mut().expect("a checksum") ^= 1;
    assert!(told(&wrong_sum).contains("cannot be decoded"));
}

#[test]
fn a_bomb_is_defused() {
    let bomb = gzip(&vec![b':'; 64 << 20]);
    let fault = decoded(&ContentCoding::Gzip, &[&bomb], 4096).expect_err("a fault");
    assert!(fault.starts_with("message too large"), "{fault}");
}

/// Takes an event, gives what comes out of a flush after it.
type Flushing = Box<dyn FnMut(&[u8]) -> Vec<u8>>;

#[test]
fn what_is_flushed_comes_out_at_once() {
    for coding in [ContentCoding::Gzip, ContentCoding::Deflate] {
        let mut sent = Vec::new();
        let mut decoder = ContentDecoder::new(&coding, 1 << 20).expect("a coding that is read");
        let mut encoder: Flushing = if coding == ContentCoding::Gzip {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            Box::new(move |event| {
                encoder.write_all(event).expect("a vector takes all");
                encoder.flush().expect("a vector takes all");
                std::mem::take(encoder.get_mut())
            })
        } else {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
            Box::new(move |event| {
                encoder.write_all(event).expect("a vector takes all");
                encoder.flush().expect("a vector takes all");
                std::mem::take(encoder.get_mut())
            })
        };
        for n in 0..20 {
            let event = format!("data: event {n}\n\n");
            sent.push(encoder(event.as_bytes()));
            let content = decoded_piece(&mut decoder, &sent[n], 7);
            assert_eq!(content, Ok(event.into_bytes()), "{coding:?} {n}");
        }
    }
}

fn coded() -> impl Strategy<Value = (ContentCoding, Vec<u8>, Vec<u8>)> {
    (
        prop::collection::vec(prop::sample::select(b"data: x\n\r\n:".to_vec()), 0..400),
        0..3,
    )
        .prop_map(|(content, which)| match which {
            0 => (ContentCoding::Gzip, gzip(&content), content),
            1 => (ContentCoding::Deflate, zlib(&content), content),
            _ => (ContentCoding::Deflate, raw(&content), content),
        })
}

proptest! {
    #![proptest_config(crate::seeds::cases(64, 256))]

    #[test]
    fn cuts_change_nothing((coding, bytes, content) in coded(), room in 1_usize..50) {
        let events = events_of(&mut SseDecoder::new(1 << 16), &[&content]);
        for cut in 0..=bytes.len() {
            let pieces = [&bytes[..cut], &bytes[cut..]];
            let decoded = decoded(&coding, &pieces, room);
            prop_assert_eq!(decoded.as_deref(), Ok(&content[..]));
            let decoded = decoded.unwrap_or_default();
            prop_assert_eq!(events_of(&mut SseDecoder::new(1 << 16), &[&decoded]), events.clone());
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(decoded(&coding, &single, room), Ok(content));
    }

    #[test]
    fn no_bytes_panic_and_all_work_ends(bytes: Vec<u8>, is_gzip: bool, room in 1_usize..50) {
        let coding = if is_gzip { ContentCoding::Gzip } else { ContentCoding::Deflate };
        let _any_answer_will_do = decoded(&coding, &[&bytes], room);
        let mut with_head = gzip(b"");
        with_head.truncate(10);
        with_head.extend_from_slice(&bytes);
        let _any_answer_will_do = decoded(&ContentCoding::Gzip, &[&with_head], room);
    }

    #[test]
    fn no_header_panics(value: Vec<u8>) {
        let _any_answer_will_do = ContentCoding::read(&value);
    }
}
