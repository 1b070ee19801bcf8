//! TLS on either side: what `[listeners.NAME.tls]` and `[upstreams.NAME.tls]` say.

use std::path::PathBuf;

use rustls::pki_types::ServerName;
use rustls::{CipherSuite, NamedGroup};

use crate::id::UpstreamId;
use crate::route::sni::SniRouter;
use crate::tls::algorithms::TlsVersion;

/// `[listeners.NAME.tls]`: how sessions of clients end here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerTls {
    /// `certificates`, at least one. The first is for names that none is for.
    pub certificates: Vec<CertificateFiles>,
    /// `unknown_name`
    pub unknown_name: UnknownName,
    /// `min_version`
    pub min_version: TlsVersion,
    /// `alpn`: protocols to agree on (RFC 7301), the best first; empty to agree on none.
    pub alpn: Vec<Box<str>>,
    /// `client_certificates`
    pub client_certificates: ClientCertificates,
    /// `ciphers`, the best first; empty to leave the choice to rustls.
    pub ciphers: Vec<CipherSuite>,
    /// `groups`, the best first; empty to leave the choice to rustls.
    pub groups: Vec<NamedGroup>,
    /// `tickets`: whether clients may resume a session instead of beginning a new one.
    pub tickets: bool,
}

/// A certificate and its private key, in files of PEM (RFC 7468).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CertificateFiles {
    /// `chain`: the certificate, and behind it those that lead to a root.
    pub chain: PathBuf,
    /// `key`: PKCS#8, SEC1 or PKCS#1, not encrypted.
    pub key: PathBuf,
}

/// `unknown_name`: what a client gets that asks for a name that no certificate is for, or for
/// none at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownName {
    /// The first certificate.
    Default,
    /// No session.
    Refuse,
}

/// `client_certificates`: whether clients show who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientCertificates {
    /// They are not asked.
    Off,
    /// They are asked and may have none; one that is shown must be good.
    Optional(ClientAuthority),
    /// Those without a good one get no session.
    Required(ClientAuthority),
}

impl ClientCertificates {
    /// As written in the config.
    pub fn label(&self) -> &'static str {
        match self {
            ClientCertificates::Off => "off",
            ClientCertificates::Optional(_) => "optional",
            ClientCertificates::Required(_) => "required",
        }
    }

    /// By what certificates of clients are judged, where they are asked for.
    pub fn authority(&self) -> Option<&ClientAuthority> {
        match self {
            ClientCertificates::Off => None,
            ClientCertificates::Optional(authority) | ClientCertificates::Required(authority) => {
                Some(authority)
            }
        }
    }
}

/// By what certificates of clients are judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAuthority {
    /// `ca`: a file of PEM with the authorities that may have issued them.
    pub ca: PathBuf,
    /// `revocation_lists`: files of PEM with lists of those that are good no longer (RFC 5280,
    /// section 5). With any, each authority of a chain must have one, and none may have expired.
    pub revocation_lists: Vec<PathBuf>,
}

/// `[upstreams.NAME.tls]`: how sessions with servers begin here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamTls {
    /// `ca` and `danger_skip_verification`
    pub verification: Verification,
    /// `server_name`: what the server's certificate must be for, and what is asked for by SNI.
    /// `None` for the IP address of each server, which SNI does not tell (RFC 6066, section 3).
    pub server_name: Option<ServerName<'static>>,
    /// `client_certificate`: who the proxy is.
    pub client_certificate: Option<CertificateFiles>,
    /// `min_version`
    pub min_version: TlsVersion,
    /// `alpn`: protocols to offer, the best first; empty to offer none.
    pub alpn: Vec<Box<str>>,
}

/// Whether a server must prove who it is, and by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verification {
    /// By the roots that the system trusts.
    System,
    /// By the roots in this file of PEM.
    Ca(PathBuf),
    /// `danger_skip_verification`: not at all. Whoever is on the way can read and change
    /// everything.
    Skipped,
}

/// What a TCP listener with `[[listeners.NAME.sni]]` does with a client, by what its ClientHello
/// asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sni {
    /// Which of the routes a client takes.
    pub router: SniRouter,
    /// The routes, by [`crate::id::RouteId`], in the order in which they were written.
    pub routes: Vec<SniRoute>,
}

/// What is done with a client whose ClientHello a route is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SniRoute {
    /// `upstream`: all of its bytes go there as they are, the ClientHello first. The session is
    /// the server's.
    PassThrough(UpstreamId),
    /// `terminate`: its session ends here by `[listeners.NAME.tls]`, and what is in it goes to
    /// `upstream` of the route, or of the listener.
    Terminate(UpstreamId),
}

impl SniRoute {
    /// Where the bytes go.
    pub fn upstream(self) -> UpstreamId {
        match self {
            SniRoute::PassThrough(upstream) | SniRoute::Terminate(upstream) => upstream,
        }
    }
}
