//! A client of TLS, as plain as can be.

use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};
use spliceway::address::Address;

use crate::Site;
use crate::support::stream::Stream;

/// A client's stream over TLS.
pub type TlsStream = StreamOwned<ClientConnection, Stream>;

/// What clients of a site are made with: they believe its authority.
pub fn config(site: &Site, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(site.authority.pem().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

/// Begins a session; the handshake goes with the first bytes.
pub fn connect_with(config: Arc<ClientConfig>, to: &Address, name: &str) -> TlsStream {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let session = ClientConnection::new(config, name).unwrap();
    StreamOwned::new(session, Stream::connect(to).unwrap())
}

/// Begins a session with `a.example`, in any version.
pub fn connect(site: &Site, to: &Address) -> TlsStream {
    connect_with(config(site, rustls::ALL_VERSIONS), to, "a.example")
}

/// Says that nothing more comes, and goes on reading.
pub fn close(stream: &mut TlsStream) {
    stream.conn.send_close_notify();
    stream.flush().unwrap();
}

/// Sends `bytes`, and reads to the end of the session.
///
/// # Errors
/// The stream ends in another way than it should.
pub fn ask(stream: &mut TlsStream, bytes: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(bytes)?;
    stream.flush()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

/// The certificate that the server has shown.
pub fn shown(stream: &TlsStream) -> Vec<u8> {
    stream.conn.peer_certificates().unwrap()[0].as_ref().to_vec()
}
