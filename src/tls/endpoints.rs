//! What the workers need to begin sessions: settings by listener and by upstream, each of which
//! the control plane may replace at any time. A worker sees the new ones at its next handshake.

use arc_swap::ArcSwap;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};

use crate::address::Address;
use crate::id::{ListenerId, UpstreamId};
use crate::tls::failure::TlsFailure;
use crate::tls::session::Session;

/// How sessions with the servers of an upstream begin.
#[derive(Debug)]
pub struct ClientEndpoint {
    /// Settings, the same for all servers.
    pub config: ArcSwap<ClientConfig>,
    /// What each server's certificate must be for; `None` for its IP address.
    pub server_name: Option<ServerName<'static>>,
}

/// All settings of a process.
#[derive(Debug, Default)]
pub struct Endpoints {
    /// By listener; `None`, or nothing, for plain text.
    pub listeners: Vec<Option<ArcSwap<ServerConfig>>>,
    /// By upstream, likewise.
    pub upstreams: Vec<Option<ClientEndpoint>>,
}

impl Endpoints {
    /// Whether clients of a listener begin with a handshake.
    pub fn accepts(&self, listener: ListenerId) -> bool {
        self.listeners.get(listener.index()).is_some_and(Option::is_some)
    }

    /// Whether servers of an upstream expect a handshake.
    pub fn connects(&self, upstream: UpstreamId) -> bool {
        self.upstreams.get(upstream.index()).is_some_and(Option::is_some)
    }

    /// A session with a client of a listener.
    ///
    /// # Errors
    /// The listener speaks plain text, or its settings cannot be used.
    pub fn accept(&self, listener: ListenerId) -> Result<Session, TlsFailure> {
        let config = self.listeners.get(listener.index()).and_then(Option::as_ref);
        Session::server(config.ok_or(TlsFailure::Internal)?.load_full())
    }

    /// A session with a server of an upstream, which was connected to at `address`.
    ///
    /// # Errors
    /// The upstream speaks plain text, or its settings cannot be used.
    pub fn connect(&self, upstream: UpstreamId, address: &Address) -> Result<Session, TlsFailure> {
        let endpoint = self.upstreams.get(upstream.index()).and_then(Option::as_ref);
        let endpoint = endpoint.ok_or(TlsFailure::Internal)?;
        let name = match (&endpoint.server_name, address) {
            (Some(name), _) => name.clone(),
            (None, Address::Ip(address)) => ServerName::IpAddress(address.ip().into()),
            (None, _) => return Err(TlsFailure::Internal),
        };
        Session::client(endpoint.config.load_full(), name)
    }
}
