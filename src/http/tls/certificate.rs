//! The few fields of a certificate that an error tells: whose it is, who issued it and
//! how long it is valid.
//!
//! No judge of certificates: those are the verifier's. What cannot be read is left out.

use rustls::pki_types::CertificateDer;

use crate::clock::Utc;

/// What is told of one certificate; names are in DER, to be compared byte by byte.
#[derive(Debug, Clone, Copy)]
pub(super) struct Certificate<'a> {
    pub(super) issuer: &'a [u8],
    pub(super) subject: &'a [u8],
    /// Milliseconds since 1970.
    pub(super) not_before_ms: u64,
    /// Milliseconds since 1970.
    pub(super) not_after_ms: u64,
    /// It is of the first version of X.509, without extensions.
    pub(super) is_version_1: bool,
}

const INTEGER: u8 = 0x02;
const OBJECT_ID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// The version, which the first one leaves out.
const VERSION: u8 = 0xa0;

impl<'a> Certificate<'a> {
    pub(super) fn read(der: &'a CertificateDer<'_>) -> Option<Self> {
        let mut whole = Der(der);
        let mut signed = Der(whole.expect(SEQUENCE)?);
        let mut fields = Der(signed.expect(SEQUENCE)?);
        let is_version_1 = fields.peek() != Some(VERSION);
        if !is_version_1 {
            fields.next()?;
        }
        fields.expect(INTEGER)?;
        fields.expect(SEQUENCE)?;
        let issuer = fields.expect(SEQUENCE)?;
        let mut validity = Der(fields.expect(SEQUENCE)?);
        let subject = fields.expect(SEQUENCE)?;
        Some(Self {
            issuer,
            subject,
            not_before_ms: time(validity.next()?)?,
            not_after_ms: time(validity.next()?)?,
            is_version_1,
        })
    }

    pub(super) fn is_self_issued(&self) -> bool {
        self.issuer == self.subject
    }
}

/// The common name, else the organization, of a name in DER; for people.
pub(super) fn name_for_people(name: &[u8]) -> String {
    const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
    const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];
    attribute(name, COMMON_NAME)
        .or_else(|| attribute(name, ORGANIZATION))
        .unwrap_or_else(|| "an authority without a name".to_string())
}

/// The value of the first attribute of that kind, as far as it is worth showing.
fn attribute(name: &[u8], kind: &[u8]) -> Option<String> {
    const CHARS_MAX: usize = 64;
    let mut sets = Der(name);
    while let Some(set) = sets.expect(SET) {
        let mut pairs = Der(set);
        while let Some(pair) = pairs.expect(SEQUENCE) {
            let mut pair = Der(pair);
            if pair.expect(OBJECT_ID) != Some(kind) {
                continue;
            }
            let (_, value) = pair.next()?;
            let text = String::from_utf8_lossy(value);
            let shown = text.chars().filter(|c| !c.is_control()).take(CHARS_MAX);
            return Some(format!("`{}`", shown.collect::<String>()));
        }
    }
    None
}

/// A time of either form, in milliseconds since 1970.
fn time((tag, value): (u8, &[u8])) -> Option<u64> {
    let digits = std::str::from_utf8(value).ok()?.strip_suffix('Z')?;
    let digits = match tag {
        // Two digits of the year, of which 50 and above are of the last century.
        UTC_TIME if digits >= "50" => format!("19{digits}"),
        UTC_TIME => format!("20{digits}"),
        GENERALIZED_TIME => digits.to_string(),
        _ => return None,
    };
    if digits.len() != 14 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |from, to| &digits[from..to];
    let text = format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0, 4),
        part(4, 6),
        part(6, 8),
        part(8, 10),
        part(10, 12),
        part(12, 14)
    );
    Utc::parse_rfc3339(&text).map(Utc::unix_ms)
}

/// What is left to be read of values in DER (X.690).
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The next value, where it has that tag.
    fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, value) = self.next()?;
        (found == tag).then_some(value)
    }

    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let mut n_bytes = usize::from(first);
        if first & 0x80 != 0 {
            let n_of_length = usize::from(first & 0x7f);
            if n_of_length > 4 || n_of_length > rest.len() {
                return None;
            }
            let (length, after) = rest.split_at(n_of_length);
            let digits = length.iter();
            n_bytes = digits.fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            rest = after;
        }
        if n_bytes > rest.len() {
            return None;
        }
        let (value, after) = rest.split_at(n_bytes);
        self.0 = after;
        Some((tag, value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn own() -> Vec<u8> {
        include_bytes!("../../../tests/tls/cert.der").to_vec()
    }

    #[test]
    fn a_certificate_says_whose_it_is() {
        let der = CertificateDer::from(own());
        let found = Certificate::read(&der).expect("a certificate");
        assert!(found.is_self_issued());
        assert!(name_for_people(found.subject).starts_with('`'));
        assert!(found.not_before_ms < found.not_after_ms);
    }

    #[test]
    fn times_of_both_forms_are_read() {
        let check = |tag, text: &str, expected: Option<&str>| {
            let found = time((tag, text.as_bytes()));
            let expected = expected.and_then(Utc::parse_rfc3339).map(Utc::unix_ms);
            assert_eq!(found, expected, "{text}");
        };
        check(UTC_TIME, "260102030405Z", Some("2026-01-02T03:04:05Z"));
        check(UTC_TIME, "991231235959Z", Some("1999-12-31T23:59:59Z"));
        let late = "21000102030405Z";
        check(GENERALIZED_TIME, late, Some("2100-01-02T03:04:05Z"));
        for text in ["", "Z", "2601020304Z", "26010203040\u{e9}Z", "260102030405"] {
            check(UTC_TIME, text, None);
        }
        check(
            GENERALIZED_TIME,
            "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}Z",
            None,
        );
        check(INTEGER, "260102030405Z", None);
    }

    proptest! {
        /// No bytes of a server make it panic, nor such as are nearly right.
        #[test]
        fn no_bytes_make_it_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            at in any::<proptest::sample::Index>(),
            byte in any::<u8>(),
            n in any::<proptest::sample::Index>(),
        ) {
            let mut spoiled = own();
            let place = at.index(spoiled.len());
            spoiled[place] = byte;
            spoiled.truncate(n.index(spoiled.len() + 1).max(spoiled.len() / 2));
            for der in [bytes, spoiled] {
                let der = CertificateDer::from(der);
                if let Some(found) = Certificate::read(&der) {
                    name_for_people(found.subject);
                    name_for_people(found.issuer);
                }
            }
        }
    }
}
