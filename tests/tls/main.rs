//! TLS without the proxy around it: certificates from files, which one a client is shown, what is
//! said of them, and how they are replaced. Sessions run from memory to memory.

// Helpers of tests may panic as tests do; clippy.toml lets only the tests themselves.
#![allow(clippy::panic, clippy::unwrap_used, unreachable_pub)]

mod certificate;
mod check;
mod fuzzed;
mod keeper;
#[path = "../../fuzz/peek_targets.rs"]
mod peek_targets;
mod sessions;
#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, HandshakeKind, ServerConfig,
    ServerConnection, SignatureScheme,
};
use spliceway::config::Config;
use spliceway::load::{Base, Sources, load};
use tempfile::TempDir;

/// A folder with files, and a config in it.
pub(crate) struct Case {
    pub(crate) directory: TempDir,
}

impl Case {
    pub(crate) fn new() -> Case {
        Case { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder().join(name), text).unwrap();
    }

    /// The configuration of one listener with this in its `tls`, and of one upstream with that.
    pub(crate) fn config(&self, listener: &str, upstream: &str) -> Config {
        self.config_of(&format!(
            "[listeners.web]\nbind = \"127.0.0.1:0\"\nupstream = \"app\"\n\
             [listeners.web.tls]\n{listener}\n\
             [upstreams.app]\nservers = [\"127.0.0.1:9001\"]\n{upstream}\n"
        ))
    }

    pub(crate) fn config_of(&self, text: &str) -> Config {
        self.write("spliceway.toml", text);
        let base = Base::Files(vec![self.folder().join("spliceway.toml")]);
        let (supplied, environment, flags) = (Vec::new(), Vec::new(), Vec::new());
        load(Sources { base, supplied, environment, flags }).unwrap().config
    }
}

/// What came of a handshake.
#[derive(Debug)]
pub(crate) struct Met {
    /// The certificate that the client was shown.
    pub(crate) shown: CertificateDer<'static>,
    pub(crate) alpn: Option<Vec<u8>>,
    pub(crate) version: rustls::ProtocolVersion,
    pub(crate) is_resumed: bool,
    /// The certificate that the server was shown.
    pub(crate) client: Option<CertificateDer<'static>>,
}

/// A client with `client` meets a server with `server` and asks for `name`.
///
/// # Errors
/// What the one that gave up says.
pub(crate) fn meet(
    server: &Arc<ServerConfig>,
    client: &Arc<ClientConfig>,
    name: &str,
) -> Result<Met, Error> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    for _ in 0..10 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut unread = wire.as_slice();
        while !unread.is_empty() {
            server.read_tls(&mut unread).unwrap();
            server.process_new_packets()?;
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut unread = wire.as_slice();
        while !unread.is_empty() {
            client.read_tls(&mut unread).unwrap();
            client.process_new_packets()?;
        }
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok(Met {
        shown: client.peer_certificates().unwrap()[0].clone().into_owned(),
        alpn: server.alpn_protocol().map(<[u8]>::to_vec),
        version: server.protocol_version().unwrap(),
        is_resumed: server.handshake_kind() == Some(HandshakeKind::Resumed),
        client: server.peer_certificates().map(|chain| chain[0].clone().into_owned()),
    })
}

/// A client that believes everybody, speaks these versions, and verifies these signatures alone.
pub(crate) fn client(
    versions: &[&'static rustls::SupportedProtocolVersion],
    schemes: &[SignatureScheme],
) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let believer = Believer { schemes: schemes.to_vec() };
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(believer))
        .with_no_client_auth()
}

#[derive(Debug)]
struct Believer {
    schemes: Vec<SignatureScheme>,
}

impl ServerCertVerifier for Believer {
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
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

pub(crate) const ECDSA: SignatureScheme = SignatureScheme::ECDSA_NISTP256_SHA256;
pub(crate) const RSA: SignatureScheme = SignatureScheme::RSA_PSS_SHA256;

/// The first certificate in a text of PEM.
pub(crate) fn der(pem: &str) -> CertificateDer<'static> {
    use rustls::pki_types::pem::PemObject;
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}
