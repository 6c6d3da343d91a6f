//! TLS in front of a plain server, with certificates of all kinds.
//!
//! A thread for each direction of each connection, and rustls between: what the program
//! meets is a TLS server as there are many. Start at [`Party::root`] and
//! [`TlsFront::start`].

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair,
};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    HandshakeKind, RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion,
};

use crate::acceptor::Acceptor;

/// One who has a key and a certificate.
pub(crate) struct Party {
    params: CertificateParams,
    key: KeyPair,
    certificate: Certificate,
}

impl Party {
    /// An authority that signs itself.
    pub(crate) fn root(name: &str) -> Self {
        Self::signed_by_itself(authority(name))
    }

    /// A server that signs itself.
    pub(crate) fn self_signed(name: &str, hosts: &[&str], is_authority: bool) -> Self {
        let mut params = server(name, hosts);
        if is_authority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        Self::signed_by_itself(params)
    }

    fn signed_by_itself(params: CertificateParams) -> Self {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self {
            params,
            key,
            certificate,
        }
    }

    /// An authority below this one.
    pub(crate) fn intermediate(&self, name: &str) -> Self {
        self.certify(authority(name), KeyPair::generate().expect("a key"))
    }

    /// A server with a certificate of this authority's, for these hosts.
    pub(crate) fn server(&self, hosts: &[&str]) -> Self {
        self.server_with(hosts, |_| {})
    }

    /// The same with something peculiar.
    pub(crate) fn server_with(
        &self,
        hosts: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        let mut params = server("Test Server", hosts);
        change(&mut params);
        self.certify(params, KeyPair::generate().expect("a key"))
    }

    /// A client with a certificate of this authority's, and this key.
    pub(crate) fn client(&self, key: KeyPair) -> Self {
        let mut params = server("Test Client", &[]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.certify(params, key)
    }

    /// The key of another authority certified by this one, with something peculiar.
    pub(crate) fn cross_sign(
        &self,
        other: &Self,
        change: impl FnOnce(&mut CertificateParams),
    ) -> CertificateDer<'static> {
        let mut params = other.params.clone();
        change(&mut params);
        let certificate = params.signed_by(&other.key, &self.issuer());
        certificate.expect("a certificate").der().clone()
    }

    fn certify(&self, params: CertificateParams, key: KeyPair) -> Self {
        let certificate = params.signed_by(&key, &self.issuer());
        Self {
            params,
            key,
            certificate: certificate.expect("a certificate"),
        }
    }

    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }

    /// Its certificate in PEM.
    pub(crate) fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// Its private key in PEM, PKCS#8.
    pub(crate) fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// Its certificate.
    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn server(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(hosts).expect("good names");
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    params
}

/// How a server speaks TLS.
pub(crate) struct Speaks {
    versions: Vec<&'static SupportedProtocolVersion>,
    alpn: Vec<Vec<u8>>,
    /// Clients must have a certificate of this authority's.
    clients: Option<CertificateDer<'static>>,
}

impl Speaks {
    /// TLS 1.2 and 1.3, as most do.
    pub(crate) fn usual() -> Self {
        Self {
            versions: rustls::ALL_VERSIONS.to_vec(),
            alpn: Vec::new(),
            clients: None,
        }
    }

    /// Nothing but TLS 1.2.
    pub(crate) fn only_tls12(mut self) -> Self {
        self.versions = vec![&rustls::version::TLS12];
        self
    }

    /// Of protocols on top nothing but this.
    pub(crate) fn only_alpn(mut self, protocol: &str) -> Self {
        self.alpn = vec![protocol.as_bytes().to_vec()];
        self
    }

    /// Only with those whom this authority knows.
    pub(crate) fn only_to_clients_of(mut self, authority: &Party) -> Self {
        self.clients = Some(authority.der());
        self
    }

    /// With this chain, whose first certificate is this party's.
    pub(crate) fn config(
        self,
        party: &Party,
        above: Vec<CertificateDer<'static>>,
        provider: CryptoProvider,
    ) -> ServerConfig {
        let provider = Arc::new(provider);
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&self.versions)
            .expect("versions of the provider's");
        let builder = match self.clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority).expect("a good root");
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
                builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
            }
        };
        let mut chain = vec![party.der()];
        chain.extend(above);
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(party.key.serialize_der()));
        let mut config = builder
            .with_single_cert(chain, key)
            .expect("a certificate with its key");
        config.alpn_protocols = self.alpn;
        config
    }
}

/// What came in so far.
#[derive(Debug, Default, Clone)]
pub(crate) struct Seen {
    /// Handshakes that were made whole.
    pub(crate) handshakes: u64,
    /// Of these, the ones with a session of before.
    pub(crate) resumed: u64,
    /// The names that were asked for.
    pub(crate) names: Vec<String>,
    /// Connections that ended with a word, not just so.
    pub(crate) goodbyes: u64,
}

/// A server over TLS in front of a plain one.
pub(crate) struct TlsFront {
    acceptor: Acceptor,
    seen: Arc<Mutex<Seen>>,
}

impl TlsFront {
    /// With the certificate of this party and those above it.
    pub(crate) fn start(
        backend_url: &str,
        party: &Party,
        above: Vec<CertificateDer<'static>>,
        speaks: Speaks,
    ) -> Self {
        let provider = rustls::crypto::ring::default_provider();
        let config = Arc::new(speaks.config(party, above, provider));
        let host = backend_url.strip_prefix("http://").expect("a plain server");
        let backend: SocketAddr = host
            .split('/')
            .next()
            .and_then(|host| host.parse().ok())
            .expect("an address");
        let seen = Arc::new(Mutex::new(Seen::default()));
        let kept = Arc::clone(&seen);
        let acceptor = Acceptor::start(move |tcp| {
            // One that breaks off is the client's affair.
            drop(relay(tcp, backend, Arc::clone(&config), &kept));
        });
        Self { acceptor, seen }
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("https://{}/mcp", self.address())
    }

    /// The same as an address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.acceptor.address()
    }

    /// What came in so far.
    pub(crate) fn seen(&self) -> Seen {
        lock(&self.seen).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write_out(tls: &mut ServerConnection, mut tcp: &TcpStream) -> io::Result<()> {
    while tls.wants_write() {
        tls.write_tls(&mut tcp)?;
    }
    Ok(())
}

/// Carries bytes both ways until one side ends.
fn relay(
    tcp: TcpStream,
    backend: SocketAddr,
    config: Arc<ServerConfig>,
    seen: &Mutex<Seen>,
) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let tls = ServerConnection::new(config).expect("a good config");
    let tls = Arc::new(Mutex::new(tls));
    let plain = TcpStream::connect(backend)?;
    plain.set_nodelay(true)?;
    let answers = {
        let (mut plain, tcp, tls) = (plain.try_clone()?, tcp.try_clone()?, Arc::clone(&tls));
        thread::spawn(move || -> io::Result<()> {
            let mut piece = [0; 16 * 1024];
            loop {
                let n = plain.read(&mut piece)?;
                let mut tls = lock(&tls);
                if n == 0 {
                    tls.send_close_notify();
                    write_out(&mut tls, &tcp)?;
                    return tcp.shutdown(Shutdown::Write);
                }
                tls.writer().write_all(&piece[..n])?;
                write_out(&mut tls, &tcp)?;
            }
        })
    };
    let result = take_requests(&tcp, &plain, &tls, seen);
    // The other direction ends with it.
    drop(plain.shutdown(Shutdown::Both));
    drop(answers.join());
    result
}

fn take_requests(
    tcp: &TcpStream,
    mut plain: &TcpStream,
    tls: &Mutex<ServerConnection>,
    seen: &Mutex<Seen>,
) -> io::Result<()> {
    let mut is_made = false;
    let (mut tcp_in, mut piece) = (tcp, [0; 16 * 1024]);
    loop {
        let n = tcp_in.read(&mut piece)?;
        if n == 0 {
            return Ok(());
        }
        let mut came = &piece[..n];
        while !came.is_empty() {
            let mut tls = lock(tls);
            tls.read_tls(&mut came)?;
            let state = tls.process_new_packets();
            // What is wrong is said, too.
            write_out(&mut tls, tcp)?;
            let state = state.map_err(io::Error::other)?;
            if !is_made && !tls.is_handshaking() {
                is_made = true;
                let mut seen = lock(seen);
                seen.handshakes += 1;
                seen.resumed += u64::from(tls.handshake_kind() == Some(HandshakeKind::Resumed));
                seen.names
                    .extend(tls.server_name().map(ToString::to_string));
            }
            let mut request = vec![0; state.plaintext_bytes_to_read()];
            tls.reader().read_exact(&mut request)?;
            drop(tls);
            plain.write_all(&request)?;
            if state.peer_has_closed() {
                lock(seen).goodbyes += 1;
                return Ok(());
            }
        }
    }
}
