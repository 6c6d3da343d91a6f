//! What went wrong with TLS, and what to do about it, in words.

use std::error::Error as StdError;
use std::fmt;

use rustls::pki_types::{ServerName, UnixTime};
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

use super::certificate::{Certificate, name_for_people};
use super::person::Person;
use crate::clock::Utc;
use crate::http::hint::with_hint;

/// A handshake that failed, or a connection that TLS ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) struct TlsFault(String);

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for TlsFault {}

const NO_TLS: &str = "check the scheme: `http://` for a server without TLS";

/// What to try with a server that wants a certificate of the client.
pub const GIVE_CERTIFICATE: &str =
    "give one with `--client-cert FILE --client-key FILE` that an authority of the server's issued";

/// What to look at where a server does not take the client's certificate.
pub const CHECK_CERTIFICATE: &str = "it must come from an authority of the server's, with all \
                                     certificates between in `--client-cert`; check its dates \
                                     and its use (`clientAuth`), too, and the server's log";

const TOO_OLD: &str = "1.2 and 1.3 are spoken here: enable one of them at the server";

const STOOD: &str = "handshakes with this server went well before: it, or what stands in front \
                     of it, may be restarting, or have too many connections";

const BEGUN: &str = "the server speaks TLS at this port and did not finish the handshake: its \
                     log may say why; it, or what stands in front of it, may have too much to do";

/// What to try where no handshake came about; `has_stood`: one with this server went well
/// before; `has_begun`: bytes of the server's part came.
fn no_handshake(has_stood: bool, has_begun: bool) -> &'static str {
    match (has_stood, has_begun) {
        (true, _) => STOOD,
        (false, true) => BEGUN,
        (false, false) => NO_TLS,
    }
}

/// The server has closed or reset the connection in the midst of the handshake.
pub(in crate::http) fn closed(how: &str, has_stood: bool, has_begun: bool) -> String {
    let what = format!("the connection {how} during the TLS handshake");
    with_hint(what, no_handshake(has_stood, has_begun))
}

/// The server has not said enough in time.
pub(in crate::http) fn stalled(has_stood: bool, has_begun: bool) -> String {
    let what = "timed out while making the TLS connection";
    with_hint(what, no_handshake(has_stood, has_begun))
}

impl TlsFault {
    /// One of these words, as an error of ureq's.
    pub(super) fn said(message: String) -> ureq::Error {
        ureq::Error::Other(Box::new(Self(message)))
    }

    fn new(what: impl fmt::Display, hint: impl fmt::Display) -> Self {
        Self(with_hint(what, hint))
    }

    /// A server that demands what TLS 1.3 has no more and we never do.
    pub(super) fn renegotiation() -> Self {
        Self::new(
            "the server demands a new handshake within the connection (a renegotiation of TLS \
             1.2), which is not done",
            "servers do so to ask for a client's certificate late: let it ask in the first \
             handshake, or speak TLS 1.3",
        )
    }

    /// The server has hung up after it had asked for a certificate in vain.
    pub(super) fn certificate_missing() -> Self {
        Self::new(
            "the server asked for a certificate of the client, got none, and ended the connection",
            GIVE_CERTIFICATE,
        )
    }

    pub(super) fn of(error: &Error, person: &Person, has_stood: bool) -> Self {
        match error {
            Error::InvalidCertificate(CertificateError::Other(other)) => {
                match other.0.downcast_ref::<Self>() {
                    Some(fault) => fault.clone(),
                    None => Self::not_accepted(error),
                }
            }
            Error::AlertReceived(alert) => Self::of_alert(*alert, person),
            Error::InvalidMessage(InvalidMessage::InvalidContentType)
            | Error::InvalidMessage(InvalidMessage::UnknownProtocolVersion) => {
                let what = match has_stood {
                    true => "the server sent something that is not TLS",
                    false => "the server does not speak TLS at this port",
                };
                Self::new(what, no_handshake(has_stood, false))
            }
            Error::PeerIncompatible(
                PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
            ) => Self::new("the server's TLS is older than 1.2", TOO_OLD),
            Error::PeerIncompatible(_) => Self(format!("no TLS in common: {}", in_words(error))),
            Error::InvalidCertificate(_) => Self::not_accepted(error),
            other => Self(format!("TLS broke: {}", in_words(other))),
        }
    }

    fn not_accepted(error: &Error) -> Self {
        let why = in_words(error);
        Self(format!("the server's certificate is not accepted: {why}"))
    }

    /// The server's last word.
    fn of_alert(alert: AlertDescription, person: &Person) -> Self {
        use AlertDescription as Alert;
        let about_certificate = matches!(
            alert,
            Alert::CertificateRequired
                | Alert::NoCertificate
                | Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA
                | Alert::AccessDenied
                | Alert::DecryptError
        );
        let is_refusal = about_certificate || alert == Alert::HandshakeFailure;
        let name = format!("{alert:?}");
        if person.was_asked() && is_refusal {
            return match person.has_certificate() {
                false => Self::new(
                    format_args!("the server wants a certificate of the client (alert {name})"),
                    GIVE_CERTIFICATE,
                ),
                true => Self::new(
                    format_args!("the server refuses the client's certificate (alert {name})"),
                    match alert {
                        Alert::UnknownCA => {
                            "it must come from an authority of the server's, with \
                                             all certificates between in `--client-cert`"
                        }
                        Alert::CertificateExpired => "it has expired by the server's clock",
                        Alert::CertificateRevoked => "its authority has revoked it",
                        _ => CHECK_CERTIFICATE,
                    },
                ),
            };
        }
        match alert {
            Alert::NoApplicationProtocol => Self::new(
                "the server does not speak HTTP/1.1 (it refused the protocol in ALPN)",
                "a server or gateway that has HTTP/2 only must have HTTP/1.1 enabled to be tested",
            ),
            Alert::ProtocolVersion => Self::new(
                "the server refuses our versions of TLS, so its own is older",
                TOO_OLD,
            ),
            Alert::HandshakeFailure | Alert::InsufficientSecurity => Self::new(
                format_args!("the server found no cipher or key in common (alert {name})"),
                "it may want a cipher or an RSA key exchange that is not safe any more",
            ),
            Alert::UnrecognisedName => Self::new(
                "the server has no site of that name",
                "ask for the name that it knows with `--server-name NAME`",
            ),
            _ => Self::new(
                format_args!("the server ended the connection with the TLS alert {name}"),
                "its log says why",
            ),
        }
    }

    /// What a verifier found in the chain, of which the server's own certificate is the
    /// first.
    pub(super) fn of_certificate(
        cause: &CertificateError,
        chain: &[Certificate<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Self {
        use CertificateError as E;
        let leaf = chain.first();
        match cause {
            _ if is_of_authority(cause) => match leaf.is_some_and(Certificate::is_self_issued) {
                true => self_signed(leaf),
                false => Self::new(
                    format_args!(
                        "the server shows the certificate of an authority ({}) as its own",
                        subject(leaf)
                    ),
                    "let that authority issue one for the server (`CA:FALSE`)",
                ),
            },
            E::UnknownIssuer | E::BadSignature => unknown_issuer(chain),
            E::ExpiredContext { not_after, .. } => {
                let of = with_time(chain, |one| one.not_after_ms, *not_after);
                Self::new(
                    format_args!("{of} expired on {} (it is {})", day(*not_after), day(now)),
                    "renew it at the server (or set this machine's clock)",
                )
            }
            E::NotValidYetContext { not_before, .. } => {
                let of = with_time(chain, |one| one.not_before_ms, *not_before);
                Self::new(
                    format_args!(
                        "{of} is valid from {} on only (it is {})",
                        day(*not_before),
                        day(now)
                    ),
                    "set this machine's clock, or the one of the machine that issued it",
                )
            }
            E::NotValidForNameContext { presented, .. } => not_for_name(name, presented),
            E::NotValidForName => not_for_name(name, &[]),
            E::Revoked => Self::new(
                "the server's certificate was revoked by its authority",
                "replace it at the server",
            ),
            other => {
                let what = match format!("{other:?}") {
                    text if text.contains("EkuError") || text.contains("InvalidPurpose") => {
                        "the server's certificate is not made for servers (no `serverAuth` among \
                         its uses)"
                            .to_string()
                    }
                    text if text.contains("UnsupportedCertVersion") => {
                        "the server's certificate is of X.509 version 1, which names no host"
                            .to_string()
                    }
                    text if text.contains("UnsupportedSignatureAlgorithm") => {
                        "a certificate of the server's is signed in a way that is not safe any \
                         more (SHA-1, or a short key)"
                            .to_string()
                    }
                    text => {
                        let why = words(&text);
                        format!("the server's certificate is not accepted: {why}")
                    }
                };
                Self::new(what, "replace it at the server")
            }
        }
    }
}

/// An error of the library's, without the names of its types.
pub(super) fn in_words(error: &Error) -> String {
    let named = |what: &dyn fmt::Debug| words(&format!("{what:?}"));
    match error {
        Error::InvalidCertificate(what) => named(what),
        Error::PeerIncompatible(what) => named(what),
        Error::PeerMisbehaved(what) => {
            format!("the server broke the rules of TLS ({})", named(what))
        }
        Error::InvalidMessage(what) => format!(
            "the server sent a message that cannot be read ({})",
            named(what)
        ),
        Error::General(text) => text.clone(),
        other => other.to_string(),
    }
}

/// `Other(OtherError(UnsupportedCertVersion))` → `unsupported cert version`: what the
/// library names in its code.
fn words(debug: &str) -> String {
    let is_letter = |c: char| c.is_ascii_alphanumeric();
    let mut name = debug;
    loop {
        let end = name.find(|c| !is_letter(c)).unwrap_or(name.len());
        let (outer, rest) = name.split_at(end);
        match rest.strip_prefix('(') {
            Some(inner) if inner.starts_with(|c: char| c.is_ascii_uppercase()) => name = inner,
            _ => {
                name = outer.strip_suffix("Context").unwrap_or(outer);
                break;
            }
        }
    }
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() {
            text.push(' ');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

/// A certificate of an authority is where one of a server should be.
pub(super) fn is_of_authority(cause: &CertificateError) -> bool {
    matches!(cause, CertificateError::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity"))
}

fn subject(certificate: Option<&Certificate<'_>>) -> String {
    certificate.map_or_else(String::new, |one| name_for_people(one.subject))
}

fn self_signed(leaf: Option<&Certificate<'_>>) -> TlsFault {
    TlsFault::new(
        format_args!(
            "the server's certificate {} is signed by itself",
            subject(leaf)
        ),
        "trust it with `--ca FILE`, where FILE is that certificate",
    )
}

/// No path leads from the server's certificate to somebody trusted.
fn unknown_issuer(chain: &[Certificate<'_>]) -> TlsFault {
    let Some(leaf) = chain.first() else {
        return TlsFault::new(
            "the server's certificate was issued by nobody who is trusted here",
            "trust its authority with `--ca FILE`",
        );
    };
    if leaf.is_self_issued() {
        return self_signed(Some(leaf));
    }
    // As far up as the server's own words lead. Each step takes one of them, so that a
    // circle ends.
    let mut top = leaf;
    for _ in chain {
        match chain.iter().find(|one| one.subject == top.issuer) {
            Some(issuer) if !issuer.is_self_issued() => top = issuer,
            Some(_) | None => break,
        }
    }
    let issuer = name_for_people(top.issuer);
    if chain.len() == 1 {
        // Whether it is an authority at the top, or one between that the server keeps to
        // itself, does not show.
        return TlsFault::new(
            format_args!(
                "the server's certificate was issued by {issuer}, which is not trusted here, and \
                 the server sent no intermediate certificate: either {issuer} is an authority of \
                 your own, or its certificate is missing between the server's and an authority's"
            ),
            format_args!(
                "trust {issuer} with `--ca FILE`, where FILE has its certificate; if it is not an \
                 authority of your own, let the server send its whole chain (a `fullchain` file)"
            ),
        );
    }
    TlsFault::new(
        format_args!(
            "the server's certificate was issued by an authority that is not trusted here: \
             {issuer}"
        ),
        "trust it with `--ca FILE`, where FILE has the authority's certificate",
    )
}

fn not_for_name(name: &ServerName<'_>, presented: &[String]) -> TlsFault {
    const NAMES_MAX: usize = 5;
    let mut names: Vec<String> = presented
        .iter()
        .take(NAMES_MAX)
        .map(|name| format!("`{}`", bare(name)))
        .collect();
    if presented.len() > NAMES_MAX {
        names.push("…".to_string());
    }
    let name = name.to_str();
    if names.is_empty() {
        return TlsFault::new(
            format_args!("the server's certificate is not made out for `{name}`: it names no host"),
            "its hosts must stand in `subjectAltName`; the common name does not count",
        );
    }
    TlsFault::new(
        format_args!(
            "the server's certificate is not made out for `{name}`, but for {}",
            names.join(", ")
        ),
        "give the URL with the name that it is made out for, or ask for that name with \
         `--server-name NAME`",
    )
}

/// `DnsName("a")` is how rustls has it.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').map_or(name, |(_, inner)| inner);
    inner.trim_end_matches(')').trim_matches('"')
}

/// Whose time that is.
fn with_time(
    chain: &[Certificate<'_>],
    time_ms: impl Fn(&Certificate<'_>) -> u64,
    at: UnixTime,
) -> String {
    match chain
        .iter()
        .position(|one| time_ms(one) / 1000 == at.as_secs())
    {
        Some(0) => format!("the server's certificate {}", subject(chain.first())),
        Some(position) => format!(
            "the intermediate certificate {} of the server",
            subject(chain.get(position))
        ),
        None => "a certificate that the server's depends on".to_string(),
    }
}

fn day(at: UnixTime) -> String {
    let text = Utc::from_unix_ms(at.as_secs().saturating_mul(1000)).rfc3339();
    let (day, _) = text.split_once('T').unwrap_or((&text, ""));
    day.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_library_are_told_in_words() {
        use rustls::PeerMisbehaved;
        for (error, expected) in [
            (
                Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon),
                "no cipher suites in common",
            ),
            (
                Error::InvalidCertificate(CertificateError::BadEncoding),
                "bad encoding",
            ),
            (
                Error::PeerMisbehaved(PeerMisbehaved::TooManyEmptyFragments),
                "the server broke the rules of TLS (too many empty fragments)",
            ),
            (Error::General("no key".to_string()), "no key"),
        ] {
            assert_eq!(in_words(&error), expected);
        }
        for (debug, expected) in [
            (
                "Other(OtherError(UnsupportedCertVersion))",
                "unsupported cert version",
            ),
            (
                "UnsupportedSignatureAlgorithmContext { signature_algorithm_id: [1] }",
                "unsupported signature algorithm",
            ),
            ("Tls12NotOffered", "tls12 not offered"),
            ("TrailingData(17)", "trailing data"),
            ("", ""),
        ] {
            assert_eq!(words(debug), expected);
        }
    }

    #[test]
    fn names_of_certificates_are_bare() {
        assert_eq!(bare("DnsName(\"*.example.test\")"), "*.example.test");
        assert_eq!(bare("IpAddress(127.0.0.1)"), "127.0.0.1");
        assert_eq!(bare("plain"), "plain");
    }
}
