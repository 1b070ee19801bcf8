//! What was learnt of a client before its connection began, and what of it a server is told.

use std::net::SocketAddr;

use crate::access_log::ClientTls;
use crate::config::Upstream;
use crate::io::kernel::Kernel;
use crate::proxy_protocol::attributes::Attributes;
use crate::proxy_protocol::write::{self, AnnouncedSession, Announcement};
use crate::tls::certificate::PeerIdentity;
use crate::tls::session::Session;

/// What was learnt. Most clients say nothing of the kind.
#[derive(Debug, Default)]
pub struct Introduction {
    /// The name that the client asks for (SNI), in small letters.
    pub server_name: Option<Box<str>>,
    /// The protocol that the client likes best (RFC 7301).
    pub alpn: Option<Box<[u8]>>,
    /// The address that the client connected to, as a PROXY header says.
    pub destination: Option<SocketAddr>,
    /// Who the client is, by its certificate.
    pub identity: Option<PeerIdentity>,
    /// What else the PROXY header says.
    pub attributes: Attributes,
}

/// A client's TLS session, as the access log tells of it.
pub fn client_tls<'a>(
    session: Option<&Session>,
    introduction: Option<&'a Introduction>,
) -> ClientTls<'a> {
    let agreement = session.map(Session::agreement);
    let identity = introduction.and_then(|it| it.identity.as_ref());
    ClientTls {
        version: agreement.map(|it| it.version),
        cipher: agreement.map(|it| it.cipher_suite),
        is_resumed: agreement.map(|it| it.is_resumed),
        server_name: introduction.and_then(|it| it.server_name.as_deref()),
        client_subject: identity.map(|it| it.subject.as_str()),
    }
}

/// A client, as a server may be told of it.
#[derive(Debug)]
pub struct Introduced<'a, K: Kernel> {
    /// Its socket.
    pub socket: &'a K::Socket,
    /// Its address.
    pub address: Option<SocketAddr>,
    /// Its session, if that ends here.
    pub session: Option<&'a Session>,
    /// What else was learnt of it.
    pub introduction: Option<&'a Introduction>,
}

impl<K: Kernel> Introduced<'_, K> {
    /// Appends the PROXY header that the servers of `upstream` get, if they get one.
    pub fn write_proxy_header(&self, kernel: &mut K, upstream: &Upstream, out: &mut Vec<u8>) {
        let Some(version) = upstream.proxy_protocol else { return };
        let told = self.introduction.and_then(|it| it.destination);
        let destination = told.or_else(|| kernel.local_address(self.socket));
        let agreement = self.session.map(Session::agreement);
        let identity = self.introduction.and_then(|it| it.identity.as_ref());
        let announcement = Announcement {
            addresses: self.address.zip(destination),
            server_name: self.introduction.and_then(|it| it.server_name.as_deref()),
            alpn: match agreement {
                Some(agreement) => agreement.alpn,
                None => self.introduction.and_then(|it| it.alpn.as_deref()),
            },
            session: agreement.map(|agreement| AnnouncedSession {
                version: agreement.version,
                cipher: agreement.cipher_suite,
                client_common_name: identity.map(|it| it.common_name.as_str()),
            }),
            received: self.introduction.map(|it| &it.attributes),
        };
        let start = out.len();
        if write::header(version, &announcement, out).is_err() {
            // More attributes than a header can hold: those of others are the ones to leave out.
            out.truncate(start);
            let own = Announcement { received: None, ..announcement };
            let _written = write::header(version, &own, out).is_ok();
        }
    }
}
