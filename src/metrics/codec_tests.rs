//! The form is the public one, figures survive it, and no bytes break the reader.

use super::*;
use hdrhistogram::Histogram as Hdr;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};
use proptest::prelude::*;

fn of(values: &[u64]) -> Histogram {
    let mut histogram = Histogram::new();
    values.iter().for_each(|value| histogram.record(*value));
    histogram
}

fn buckets(histogram: &Histogram) -> Vec<(u64, u64)> {
    histogram.recorded().collect()
}

fn any_values() -> impl Strategy<Value = Vec<u64>> {
    let any_size = (0_u32..64, any::<u64>()).prop_map(|(bits, value)| value >> bits);
    prop_oneof![
        prop::collection::vec(any_size, 0..400),
        prop::collection::vec(900_000_u64..1_500_000, 0..800),
    ]
}

/// The text of a histogram whose plain form was changed before it was compressed.
fn text_of(plain: &[u8]) -> String {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(plain).expect("a `Vec` takes all");
    let compressed = zlib.finish().expect("a `Vec` takes all");
    let mut bytes = COMPRESSED_COOKIE.to_be_bytes().to_vec();
    bytes.extend((compressed.len() as u32).to_be_bytes());
    bytes.extend(compressed);
    STANDARD.encode(bytes)
}

fn plain_of(values: &[u64]) -> Vec<u8> {
    inflated(&compressed(&Packed::of(&of(values)).counts)).expect("what was just written")
}

/// The plain form with these numbers as its counts.
fn with_counts(numbers: &[i64]) -> Vec<u8> {
    let mut counts = Vec::new();
    numbers
        .iter()
        .for_each(|number| write_number(*number, &mut counts));
    let mut plain = plain_of(&[])[..HEADER_BYTES].to_vec();
    plain[4..8].copy_from_slice(&(counts.len() as u32).to_be_bytes());
    plain.extend(counts);
    plain
}

/// They share a bucket, which lies below all of them.
#[test]
fn percentiles_of_values_beyond_all_buckets_are_kept() {
    let beyond = of(&[LATENCY_MAX_NS + 900_000_000_000]);
    let kept = Packed::of(&beyond);
    for other in [
        kept.unpacked(),
        Packed::sum(&[&kept, &Packed::default()]).unpacked(),
    ] {
        assert_eq!(other.quantile_ns(0.5), beyond.quantile_ns(0.5));
    }
}

proptest! {
    #![proptest_config(crate::seeds::cases(16, 512))]

    /// All figures of the report are the same after it: percentiles, counts above a
    /// limit, minimum, mean and maximum.
    #[test]
    fn what_is_written_reads_back(values in any_values(), q in 0.0_f64..=1.0) {
        let histogram = of(&values);
        let extent = histogram.extent();
        let read = Histogram::from_text(&histogram.to_text(), extent).expect("our own");
        prop_assert_eq!(read.extent(), extent);
        let kept = Packed::of(&histogram).unpacked();
        prop_assert_eq!(kept.max_ns(), histogram.max_ns());
        prop_assert_eq!(kept.min_ns(), histogram.min_ns());
        for other in [&read, &kept] {
            prop_assert_eq!(buckets(other), buckets(&histogram));
            prop_assert_eq!(other.len(), histogram.len());
            for q in [q.max(1e-9), 0.5, 0.9, 0.95, 0.99, 0.999, 1.0] {
                prop_assert_eq!(other.quantile_ns(q), histogram.quantile_ns(q));
            }
        }
        prop_assert_eq!(read.quantile_ns(0.0), histogram.quantile_ns(0.0));
    }

    /// Both ways: `hdrhistogram` has the same buckets.
    #[test]
    fn the_form_is_that_of_hdrhistogram(values in any_values()) {
        let ours = of(&values);
        let mut theirs = Hdr::<u64>::new_with_bounds(1, LATENCY_MAX_NS, 3).expect("accepted");
        values.iter().for_each(|value| theirs.saturating_record(*value));
        let bytes = STANDARD.decode(ours.to_text()).expect("base64");
        let read: Hdr<u64> = Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .expect("they read ours");
        prop_assert!(read == theirs);
        let mut written = Vec::new();
        V2DeflateSerializer::new()
            .serialize(&theirs, &mut written)
            .expect("a `Vec` takes all");
        let read = Histogram::from_text(&STANDARD.encode(written), ours.extent()).expect("we read theirs");
        prop_assert_eq!(buckets(&read), buckets(&ours));
    }

    #[test]
    fn no_bytes_break_the_reader(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        values in any_values(),
        at in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let _ = Histogram::from_text(&STANDARD.encode(&bytes), None);
        let _ = Histogram::from_text(&text_of(&bytes), None);
        let mut plain = plain_of(&values);
        let at = at.index(plain.len());
        plain[at] ^= 1 << bit;
        if let Ok(read) = Histogram::from_text(&text_of(&plain), None) {
            prop_assert!(read.len() <= COUNT_MAX);
        }
    }

    #[test]
    fn the_sum_of_what_is_kept_is_what_is_kept_of_the_sum(
        all in prop::collection::vec(any_values(), 0..4),
    ) {
        let parts: Vec<Packed> = all.iter().map(|values| Packed::of(&of(values))).collect();
        let sum = Packed::sum(&parts.iter().collect::<Vec<_>>());
        prop_assert_eq!(sum, Packed::of(&of(&all.concat())));
    }

    #[test]
    fn numbers_read_back(number in any::<i64>(), bits in 0_u32..64) {
        let number = number >> bits;
        let mut bytes = Vec::new();
        write_number(number, &mut bytes);
        prop_assert_eq!(read_number(&mut bytes.as_slice()), Ok(number));
    }
}

#[test]
fn what_is_no_histogram_is_refused_with_the_reason() {
    let check = |text: &str, reason: &str| {
        let fault = Histogram::from_text(text, None).expect_err(reason);
        assert!(fault.contains(reason), "{fault}");
    };
    check("!", "is not base64");
    check("", "is cut off");
    check(
        &STANDARD.encode([7; 100]),
        "is not a compressed V2 histogram",
    );
    check(
        &"A".repeat(TEXT_BYTES_MAX + 1),
        "is longer than a histogram",
    );
    let whole = compressed(&Packed::of(&of(&[5, 6, 7])).counts);
    check(&STANDARD.encode(&whole[..whole.len() - 1]), "announces");
    let mut longer = whole.clone();
    longer.push(0);
    longer[7] += 1;
    check(&STANDARD.encode(longer), "has bytes after its end");
    check(&text_of(&[0; 12]), "is cut off");
    let mut other = plain_of(&[5]);
    other[15] = 2;
    check(&text_of(&other), "has other bounds");
    let mut other = plain_of(&[5]);
    other[3] = 0;
    check(&text_of(&other), "is not of the form V2");
    let mut longer = plain_of(&[5]);
    longer.push(2);
    check(&text_of(&longer), "bytes of counts");
}

/// A bomb is not inflated, and counts and buckets beyond all bounds are not believed.
#[test]
fn hostile_histograms_cost_nothing() {
    let check = |plain: &[u8], reason: &str| {
        let fault = Histogram::from_text(&text_of(plain), None).expect_err(reason);
        assert!(fault.contains(reason), "{fault}");
    };
    check(&vec![0; 100 << 20], "bytes decompressed");
    check(&with_counts(&[i64::MAX]), "has more than");
    check(&with_counts(&[1 << 40, 1]), "has more than");
    check(&with_counts(&[i64::MIN, 1]), "buckets");
    check(&with_counts(&[-(N_BUCKETS as i64), 1]), "buckets");
    let most = with_counts(&[-1000, 1 << 40]);
    let read = Histogram::from_text(&text_of(&most), None).expect("as much is accepted");
    assert_eq!((read.len(), read.quantile_ns(0.5)), (1 << 40, Some(1000)));
}

/// Each is as large as one may be.
#[test]
fn a_sum_may_have_more_than_one_can() {
    let most = text_of(&with_counts(&[-1000, 1 << 40]));
    let most = Packed::of(&Histogram::from_text(&most, None).expect("as much is accepted"));
    let sum = Packed::sum(&[&Packed::sum(&[&most, &most]), &most]).unpacked();
    assert_eq!((sum.len(), sum.quantile_ns(0.5)), (3 << 40, Some(1000)));
}

#[test]
fn an_extent_that_does_not_fit_is_refused() {
    let histogram = of(&[1_000_000, 2_000_000]);
    let extent = histogram.extent().expect("not empty");
    let text = histogram.to_text();
    for wrong in [
        Extent {
            min_ns: 900_000,
            ..extent
        },
        Extent {
            max_ns: 3_000_000,
            ..extent
        },
        Extent {
            sum_ns: 1_000,
            ..extent
        },
        Extent {
            sum_ns: u128::MAX,
            ..extent
        },
    ] {
        let fault = Histogram::from_text(&text, Some(wrong)).expect_err("it does not fit");
        assert!(fault.contains("do not fit"), "{fault}");
    }
    let empty = Histogram::from_text(&of(&[]).to_text(), None).expect("an empty one");
    assert!(empty.is_empty() && empty.extent().is_none());
    assert!(Histogram::from_text(&of(&[]).to_text(), Some(extent)).is_err());
    // Without one, the figures are those of the buckets.
    let read = Histogram::from_text(&text, None).expect("our own");
    let mean = read.mean_ns().expect("not empty");
    assert!((mean / 1_500_000.0 - 1.0).abs() < 1e-3, "{mean}");
}
