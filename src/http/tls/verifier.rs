//! Who checks the server's certificate: the platform, or nobody.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};

use super::certificate::Certificate;
use super::fault::{self, TlsFault};

/// The platform's verifier, in whose place one says what is wrong with a chain, and which
/// takes a certificate that the user named itself for what it is.
#[derive(Debug)]
pub(super) struct Platform {
    pub(super) inner: Arc<dyn ServerCertVerifier>,
    /// Those of `--ca`.
    pub(super) own: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Platform {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let inner = &self.inner;
        let result = inner.verify_server_cert(end_entity, intermediates, name, ocsp_response, now);
        let cause = match result {
            Err(Error::InvalidCertificate(cause)) => cause,
            other => return other,
        };
        // `openssl req -x509` makes certificates that are an authority's, which none of a
        // server may be. Who trusts this very one trusts it.
        let cause = match fault::is_of_authority(&cause) && self.own.contains(end_entity) {
            true => match check_own(end_entity, name, now) {
                Ok(()) => return Ok(ServerCertVerified::assertion()),
                Err(cause) => cause,
            },
            false => cause,
        };
        let chain: Vec<_> = std::iter::once(end_entity)
            .chain(intermediates)
            .filter_map(Certificate::read)
            .collect();
        let fault = TlsFault::of_certificate(&cause, &chain, name, now);
        Err(CertificateError::Other(OtherError(Arc::new(fault))).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        self.inner.root_hint_subjects()
    }
}

/// What is left to be checked of a certificate that is trusted by itself.
fn check_own(
    der: &CertificateDer<'_>,
    name: &ServerName<'_>,
    now: UnixTime,
) -> Result<(), CertificateError> {
    let certificate = Certificate::read(der).ok_or(CertificateError::BadEncoding)?;
    let time = |ms: u64| UnixTime::since_unix_epoch(std::time::Duration::from_millis(ms));
    let (not_before, not_after) = (
        time(certificate.not_before_ms),
        time(certificate.not_after_ms),
    );
    if now < not_before {
        return Err(CertificateError::NotValidYetContext {
            time: now,
            not_before,
        });
    }
    if now > not_after {
        return Err(CertificateError::ExpiredContext {
            time: now,
            not_after,
        });
    }
    let parsed = ParsedCertificate::try_from(der);
    parsed
        .and_then(|parsed| verify_server_name(&parsed, name))
        .map_err(|error| match error {
            Error::InvalidCertificate(cause) => cause,
            _ => CertificateError::BadEncoding,
        })
}

/// Believes whoever answers (`--insecure`), as long as the key fits the certificate.
#[derive(Debug)]
pub(super) struct Nobody(pub(super) Arc<CryptoProvider>);

impl ServerCertVerifier for Nobody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
