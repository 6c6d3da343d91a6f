//! Certificates and keys out of the files that the user named.
//!
//! Each fault says what the file holds in place of what was wanted, since that is what
//! people mix up.

use std::path::Path;

use rustls::pki_types::pem::{self, PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::certificate::Certificate;
use crate::files;

/// The largest file: a bundle of all public authorities has a quarter of it.
const BYTES_MAX: u64 = 1 << 20;

/// Each value in DER begins with it, and no text in PEM does.
const DER_SEQUENCE: u8 = 0x30;

/// Of a file in which no key is found.
pub(super) const NO_KEY: &str = "has no private key in it";

/// Why a file is of no use.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FileFault {
    /// A fragment that follows the file's name.
    pub(super) what: String,
    /// What to try next.
    pub(super) hint: Option<String>,
}

impl FileFault {
    fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            hint: None,
        }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The certificates of a file: in PEM as many as there are, in DER one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, FileFault> {
    let bytes = files::read(path, BYTES_MAX).map_err(FileFault::new)?;
    let found = if bytes.first() == Some(&DER_SEQUENCE) {
        vec![CertificateDer::from(bytes)]
    } else {
        let list: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
        let list = list.map_err(|error| broken(&error))?;
        if list.is_empty() {
            return Err(
                FileFault::new(format!("has no certificate in it{}", but_has(&bytes)))
                    .hint("it must begin with `-----BEGIN CERTIFICATE-----`"),
            );
        }
        list
    };
    if let Some(odd) = found
        .iter()
        .position(|der| Certificate::read(der).is_none())
    {
        let which = match found.len() {
            1 => "is not a certificate".to_string(),
            _ => format!(
                "has something broken in place of its certificate {}",
                odd + 1
            ),
        };
        let hint = "a store of PKCS#12 (`.p12`, `.pfx`) is unpacked by `openssl pkcs12 -in FILE \
                    -nodes -out FILE.pem`";
        return Err(FileFault::new(which).hint(hint));
    }
    Ok(found)
}

/// The private key of a file.
pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, FileFault> {
    let bytes = files::read(path, BYTES_MAX).map_err(FileFault::new)?;
    if bytes.first() == Some(&DER_SEQUENCE) {
        return PrivateKeyDer::try_from(bytes).map_err(|_| {
            FileFault::new("is not a private key of a supported form")
                .hint("read are PKCS#8, SEC1 and PKCS#1")
        });
    }
    let text = String::from_utf8_lossy(&bytes);
    // The second is the form of SEC1 and PKCS#1.
    if text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(
            FileFault::new("is an encrypted private key, for which there is no password").hint(
                "decrypt it: `openssl pkey -in FILE -out FILE.plain`, readable for you alone",
            ),
        );
    }
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        pem::Error::NoItemsFound => FileFault::new(format!("{NO_KEY}{}", but_has(&bytes))).hint(
            "it must begin with `-----BEGIN PRIVATE KEY-----`, or the same with `EC` or `RSA`",
        ),
        other => broken(&other),
    })
}

/// The private key of a text in PEM, in DER of whatever form it has; `None` where there is
/// none, or it is encrypted.
pub fn private_key_of_pem(text: &str) -> Option<Vec<u8>> {
    let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).ok()?;
    Some(key.secret_der().to_vec())
}

fn broken(error: &pem::Error) -> FileFault {
    let what = match error {
        pem::Error::MissingSectionEnd { .. } => "breaks off in the midst of a section of PEM",
        pem::Error::IllegalSectionStart { .. } => "has a line that begins no section of PEM",
        pem::Error::Base64Decode(_) => "is broken: not all between BEGIN and END is Base64",
        _ => "is not PEM",
    };
    FileFault::new(what)
}

/// What a file in PEM holds instead.
fn but_has(bytes: &[u8]) -> &'static str {
    let mut kinds = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(bytes).flatten() {
        kinds.push(section.0);
    }
    match kinds.first() {
        Some(SectionKind::Certificate) => ", but a certificate",
        Some(SectionKind::PublicKey) => ", but a public key",
        Some(SectionKind::Csr) => ", but the request for a certificate",
        Some(SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey) => {
            ", but a private key"
        }
        _ => "",
    }
}
