//! TLS as all ends of a benchmark speak it: one certificate, and both sides' settings.
//!
//! Clients offer TLS 1.3 with one cipher suite and one group alone, so that no server's preference
//! makes its work differ from that of its peers.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::TLS13;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};

/// The name that the certificate is for, and that clients ask for.
pub const NAME: &str = "bench.example";

/// What is agreed on, in words.
pub const PARAMETERS: &str = "TLS 1.3, AES-256-GCM, X25519, a certificate with ECDSA P-256";

/// Whether clients use tickets of earlier sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tickets {
    Kept,
    Ignored,
}

/// The certificate below a directory, as programs want it.
#[derive(Debug, Clone)]
pub struct Files {
    /// The certificate.
    pub chain: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Both in one.
    pub both: PathBuf,
}

struct Identity {
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    key: KeyPair,
}

/// Made once in a run: the same for every contestant.
static IDENTITY: LazyLock<Result<Identity, String>> =
    LazyLock::new(|| make_identity().map_err(|error| error.to_string()));

fn make_identity() -> Result<Identity, rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = CertificateParams::new(vec![NAME.to_owned()])?.self_signed(&key)?;
    let certificate_pem = certificate.pem();
    Ok(Identity { certificate: certificate.into(), certificate_pem, key })
}

fn identity() -> io::Result<&'static Identity> {
    IDENTITY.as_ref().map_err(|error| io::Error::other(format!("the certificate: {error}")))
}

/// Writes the certificate and its key below `at`.
///
/// # Errors
/// When they cannot be made or written.
pub fn write_files(at: &Path) -> io::Result<Files> {
    let Identity { certificate_pem, key, .. } = identity()?;
    let key_pem = key.serialize_pem();
    let [chain, key, both] = ["chain.pem", "key.pem", "both.pem"].map(|name| at.join(name));
    fs::write(&chain, certificate_pem)?;
    fs::write(&key, &key_pem)?;
    fs::write(&both, format!("{certificate_pem}{key_pem}"))?;
    Ok(Files { chain, key, both })
}

/// What clients offer. Those that share it share their tickets.
///
/// # Errors
/// When there is no certificate to trust.
pub fn client_config(tickets: Tickets) -> io::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(identity()?.certificate.clone()).map_err(io::Error::other)?;
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(io::Error::other)?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    if tickets == Tickets::Ignored {
        config.resumption = Resumption::disabled();
    }
    Ok(Arc::new(config))
}

/// A session of a client that has yet to be established.
///
/// # Errors
/// When rustls refuses the name.
pub fn client_connection(config: &Arc<ClientConfig>) -> io::Result<ClientConnection> {
    let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
    ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)
}

/// The settings of an origin, which sends no tickets: behind the handshake come data alone.
///
/// # Errors
/// When there is no certificate to show.
pub fn server_config() -> io::Result<Arc<ServerConfig>> {
    let Identity { certificate, key, .. } = identity()?;
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(io::Error::other)?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(io::Error::other)?;
    let config = config.with_no_client_auth();
    let mut config =
        config.with_single_cert(vec![certificate.clone()], key).map_err(io::Error::other)?;
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384],
        kx_groups: vec![aws_lc_rs::kx_group::X25519],
        ..aws_lc_rs::default_provider()
    })
}
