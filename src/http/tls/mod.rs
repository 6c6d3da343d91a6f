//! TLS over our transport, by rustls: who is trusted, who we are, and what was agreed.
//!
//! [`TlsSetup::load`] reads the user's files before any load, so that each fault of theirs
//! is told then. A user has a [`Tls`] of its own, with its own sessions to resume.

mod blocking;
mod certificate;
mod fault;
mod files;
mod person;
mod transport;
mod verifier;

use std::cell::RefCell;
use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use rustls::client::{Resumption, UnbufferedClientConnection};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{
    CipherSuite, ClientConfig, Error, HandshakeKind as RustlsKind, InconsistentKeys,
    ProtocolVersion,
};
use rustls_platform_verifier::Verifier;

pub(super) use blocking::BlockingTls;
use certificate::Certificate;
pub use fault::{CHECK_CERTIFICATE, GIVE_CERTIFICATE};
pub(super) use fault::{TlsFault, closed, stalled};
use files::FileFault;
pub use files::private_key_of_pem;
use person::Person;
use transport::TlsTransport;
use verifier::{Nobody, Platform};

use super::exchange::Exchange;
use super::transport::TaskTransport;
use crate::error::{ErrorKind, UserError};
use crate::metrics::{HandshakeKind, TlsHandshakes};
use crate::network::TlsOptions;
use crate::units::nanos;

/// What all users of a server have in common.
#[derive(Debug)]
pub struct TlsSetup {
    config: ClientConfig,
    certificate: Option<Arc<CertifiedKey>>,
    name: ServerName<'static>,
    resumption: bool,
    /// A handshake went well.
    has_stood: Arc<AtomicBool>,
}

thread_local! {
    /// Those of this thread since they were last taken.
    static HANDSHAKES: RefCell<Option<Box<TlsHandshakes>>> = const { RefCell::new(None) };
}

/// The handshakes that this thread made since this was last asked.
pub fn take_handshakes() -> Option<Box<TlsHandshakes>> {
    HANDSHAKES.take()
}

/// Reads the files that these options name, as before a run, and says what is wrong with
/// them.
///
/// # Errors
/// All faults at once.
pub fn check_tls(options: &TlsOptions) -> Result<(), UserError> {
    Material::load(options).map(|_| ())
}

/// What the user's files hold.
struct Material {
    own: Vec<CertificateDer<'static>>,
    /// Of `SSL_CERT_FILE`, where the platform's verifier does not read it by itself.
    by_environment: Vec<CertificateDer<'static>>,
    certificate: Option<Arc<CertifiedKey>>,
    provider: Arc<CryptoProvider>,
}

/// By convention the file with all authorities that are trusted, in place of the system's.
const CERT_FILE_VARIABLE: &str = "SSL_CERT_FILE";

impl Material {
    fn load(options: &TlsOptions) -> Result<Self, UserError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut faults = Faults::default();
        let places = &options.places;
        let mut own = Vec::new();
        for path in &options.ca {
            let found = files::certificates(path).and_then(|list| match are_anchors(&list) {
                true => Ok(list),
                false => Err(FileFault {
                    what: "has a certificate that cannot be trusted: it is broken".to_string(),
                    hint: None,
                }),
            });
            own.extend(faults.take(&places.ca, path, found).unwrap_or_default());
        }
        let mut by_environment = Vec::new();
        if let Some(path) = env::var_os(CERT_FILE_VARIABLE).filter(|path| !path.is_empty()) {
            let path = PathBuf::from(path);
            let found = files::certificates(&path);
            let found = faults.take(CERT_FILE_VARIABLE, &path, found);
            if !cfg!(target_os = "linux") {
                by_environment = found.unwrap_or_default();
            }
        }
        let certificate = options.client.as_ref().and_then(|(certificate, key)| {
            let chain = files::certificates(certificate);
            let chain = faults.take(&places.client_cert, certificate, chain);
            // Both in one file, unless two are named.
            let is_one_file = key == certificate;
            let of_key = match is_one_file {
                true => &places.client_cert,
                false => &places.client_key,
            };
            let mut found = files::private_key(key);
            if let Err(fault) = &mut found
                && is_one_file
                && fault.what.starts_with(files::NO_KEY)
            {
                let hint = "name the file of its key with `--client-key FILE`, or put the key \
                            into this one";
                fault.hint = Some(hint.to_string());
            }
            let private = match is_one_file && chain.is_none() {
                // The same file has been found fault with.
                true => None,
                false => faults.take(of_key, key, found),
            };
            let signs = provider.key_provider.load_private_key(private?);
            let signs = signs.map_err(|error| FileFault {
                what: format!("has a key that cannot be used: {}", fault::in_words(&error)),
                hint: None,
            });
            let certified = CertifiedKey::new(chain?, faults.take(of_key, key, signs)?);
            match certified.keys_match() {
                // Not every kind of key can say whose it is.
                Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {
                    Some(Arc::new(certified))
                }
                Err(Error::InconsistentKeys(_)) => {
                    faults.take(of_key, key, Err(mismatch(certificate)))
                }
                Err(error) => {
                    let fault = certificate_fault(&error, &certified);
                    faults.take(&places.client_cert, certificate, Err(fault))
                }
            }
        });
        if let Some(name) = &options.server_name
            && ServerName::try_from(name.as_str()).is_err()
        {
            let place = &places.server_name;
            faults.what.push(format!("{place}: {}", no_name(name)));
            faults.hints.push(NAME_FORM.to_string());
        }
        faults.none()?;
        Ok(Self {
            own,
            by_environment,
            certificate,
            provider,
        })
    }
}

/// Whether certificates can be trusted at all: their public key is readable.
fn are_anchors(list: &[CertificateDer<'static>]) -> bool {
    let mut store = rustls::RootCertStore::empty();
    list.iter().all(|der| store.add(der.clone()).is_ok())
}

fn mismatch(certificate: &Path) -> FileFault {
    FileFault {
        what: format!(
            "is not the key of the certificate in `{}`",
            certificate.display()
        ),
        hint: Some("the first certificate of that file must be the client's own".to_string()),
    }
}

fn certificate_fault(error: &Error, certified: &CertifiedKey) -> FileFault {
    let own = certified.cert.first().and_then(Certificate::read);
    match own.is_some_and(|own| own.is_version_1) {
        true => FileFault {
            what: "is of X.509 version 1, which cannot be used".to_string(),
            hint: Some(
                "let its authority issue it as version 3, which it is with any extension: \
                 `openssl x509 -req … -extfile FILE`, where FILE has a line such as \
                 `extendedKeyUsage = clientAuth`"
                    .to_string(),
            ),
        },
        false => FileFault {
            what: format!("cannot be used: {}", fault::in_words(error)),
            hint: None,
        },
    }
}

/// All that is wrong with files.
#[derive(Default)]
struct Faults {
    what: Vec<String>,
    hints: Vec<String>,
}

impl Faults {
    fn take<T>(&mut self, place: &str, path: &Path, found: Result<T, FileFault>) -> Option<T> {
        let fault = match found {
            Ok(found) => return Some(found),
            Err(fault) => fault,
        };
        self.what
            .push(format!("{place}: `{}` {}", path.display(), fault.what));
        let is_new = |hint: &String| !self.hints.contains(hint);
        self.hints.extend(fault.hint.filter(is_new));
        None
    }

    fn none(self) -> Result<(), UserError> {
        if self.what.is_empty() {
            return Ok(());
        }
        let error = UserError::new(ErrorKind::Usage, self.what.join("\n"));
        Err(self.hints.into_iter().fold(error, UserError::hint))
    }
}

impl Material {
    /// Settings that trust whom the user trusts, or anybody where it is `insecure`.
    ///
    /// # Errors
    /// When nobody is trusted.
    fn config(&self, insecure: bool) -> Result<ClientConfig, UserError> {
        let provider = || Arc::clone(&self.provider);
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| UserError::could_not_run(format!("no TLS: {error}")))?
            .dangerous();
        let builder = match insecure {
            true => builder.with_custom_certificate_verifier(Arc::new(Nobody(provider()))),
            false => {
                let extra = self.own.iter().chain(&self.by_environment).cloned();
                let inner = Verifier::new_with_extra_roots(extra, provider());
                let inner = inner.map_err(|error| nobody_trusted(&error))?;
                builder.with_custom_certificate_verifier(Arc::new(Platform {
                    inner: Arc::new(inner),
                    own: self.own.clone(),
                }))
            }
        };
        let mut config = builder.with_no_client_auth();
        // HTTP/2 is not spoken; a server that has nothing else says so.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// The name that a certificate must have.
///
/// # Errors
/// When none could have it.
fn server_name(name: &str) -> Result<ServerName<'static>, UserError> {
    ServerName::try_from(name.to_string())
        .map_err(|_| UserError::usage(no_name(name)).hint(NAME_FORM))
}

fn no_name(name: &str) -> String {
    format!("`{name}` is not a name that a certificate can have")
}

const NAME_FORM: &str = "give the name of a host or an IP address, as it stands in the \
                         certificate, with `--server-name NAME`";

/// One user's own settings, and what it brings to a handshake.
fn of_person(
    config: &ClientConfig,
    certificate: Option<Arc<CertifiedKey>>,
    resumption: bool,
) -> (Arc<ClientConfig>, Arc<Person>) {
    let person = Arc::new(Person::new(certificate));
    let mut config = config.clone();
    config.client_auth_cert_resolver = person.clone();
    config.resumption = match resumption {
        true => Resumption::store(person.clone()),
        false => Resumption::disabled(),
    };
    (Arc::new(config), person)
}

impl TlsSetup {
    /// Makes all ready for connections to that host, an address or a name.
    ///
    /// # Errors
    /// When a file of the user's cannot be used, nobody is trusted, or the name that is to
    /// be asked for is not the name of a host.
    pub fn load(options: &TlsOptions, host: &str) -> Result<Self, UserError> {
        let material = Material::load(options)?;
        let name = server_name(options.server_name.as_deref().unwrap_or(host))?;
        Ok(Self {
            config: material.config(options.insecure)?,
            certificate: material.certificate,
            name,
            resumption: options.resumption,
            has_stood: Arc::default(),
        })
    }
}

fn nobody_trusted(error: &Error) -> UserError {
    UserError::could_not_run(format!(
        "no authority for certificates is trusted here: {}",
        fault::in_words(error)
    ))
    .hint("install the system's authorities (the package is mostly called `ca-certificates`)")
    .hint("or name them: `--ca FILE`, or `SSL_CERT_FILE`")
}

/// One user's TLS: its settings, and the sessions that it may resume.
pub(super) struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    person: Arc<Person>,
    has_stood: Arc<AtomicBool>,
}

impl Tls {
    pub(super) fn new(setup: &TlsSetup) -> Self {
        let certificate = setup.certificate.clone();
        let (config, person) = of_person(&setup.config, certificate, setup.resumption);
        Self {
            config,
            name: setup.name.clone(),
            person,
            has_stood: Arc::clone(&setup.has_stood),
        }
    }

    /// Makes the handshake, and counts it. Deadlines are the transport's.
    // Out of line: deep and seldom.
    #[inline(never)]
    pub(super) fn secure(
        &self,
        tcp: TaskTransport,
        exchange: &Arc<Exchange>,
    ) -> Result<TlsTransport, ureq::Error> {
        self.person.begin();
        exchange.securing(self.has_stood.load(Relaxed));
        let began = Instant::now();
        let state = UnbufferedClientConnection::new(Arc::clone(&self.config), self.name.clone());
        let state = state.map_err(|error| {
            let fault = TlsFault::of(&error, &self.person, exchange.has_tls_stood());
            ureq::Error::Other(Box::new(fault))
        })?;
        let exchange = Arc::clone(exchange);
        let person = Arc::clone(&self.person);
        let mut transport = TlsTransport::new(state, tcp, Arc::clone(&exchange), person);
        transport.shake_hands()?;
        let came = exchange.handshake_came().unwrap_or_else(Instant::now);
        if !self.has_stood.load(Relaxed) {
            self.has_stood.store(true, Relaxed);
        }
        let kind = kind_of(&transport.tls);
        let ns = nanos(came.saturating_duration_since(began));
        HANDSHAKES.with_borrow_mut(|all| all.get_or_insert_default().record(kind, ns));
        Ok(transport)
    }
}

/// What it agreed upon.
fn kind_of(state: &UnbufferedClientConnection) -> HandshakeKind {
    let protocol = match state.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
        Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
        _ => "TLS",
    };
    let cipher = match state.negotiated_cipher_suite().map(|suite| suite.suite()) {
        // As IANA writes them.
        Some(CipherSuite::TLS13_AES_128_GCM_SHA256) => "TLS_AES_128_GCM_SHA256",
        Some(CipherSuite::TLS13_AES_256_GCM_SHA384) => "TLS_AES_256_GCM_SHA384",
        Some(CipherSuite::TLS13_CHACHA20_POLY1305_SHA256) => "TLS_CHACHA20_POLY1305_SHA256",
        Some(suite) => suite.as_str().unwrap_or("unknown"),
        None => "unknown",
    };
    HandshakeKind {
        protocol,
        cipher,
        is_resumed: state.handshake_kind() == Some(RustlsKind::Resumed),
    }
}
