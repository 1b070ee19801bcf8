//! What workers make sessions with: read by them for each handshake, replaced by the control
//! plane where files have changed. Sessions that exist go on with what they began with.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};

use super::upstream_settings;
use crate::address::Address;
use crate::config::tls::UpstreamTls;
use crate::id::{ListenerId, UpstreamId};

/// The settings of all sessions, by listener and by upstream.
#[derive(Debug)]
pub struct TlsStore {
    pub(super) listeners: Vec<Option<ArcSwap<ServerConfig>>>,
    pub(super) upstreams: Vec<Option<UpstreamSlot>>,
}

#[derive(Debug)]
pub(super) struct UpstreamSlot {
    pub(super) settings: UpstreamTls,
    pub(super) config: ArcSwap<ClientConfig>,
}

impl TlsStore {
    /// One in which nothing has TLS.
    pub fn empty() -> TlsStore {
        TlsStore { listeners: Vec::new(), upstreams: Vec::new() }
    }

    /// The settings of a listener for another store, in which it has the same place.
    pub(super) fn listener_again(&self, place: usize) -> Option<ArcSwap<ServerConfig>> {
        let slot = self.listeners.get(place)?.as_ref()?;
        Some(ArcSwap::new(slot.load_full()))
    }

    /// The same for an upstream.
    pub(super) fn upstream_again(&self, place: usize) -> Option<UpstreamSlot> {
        let slot = self.upstreams.get(place)?.as_ref()?;
        let config = ArcSwap::new(slot.config.load_full());
        Some(UpstreamSlot { settings: slot.settings.clone(), config })
    }

    /// For the next client of a listener; `None` where the listener has no TLS.
    pub fn server(&self, listener: ListenerId) -> Option<Arc<ServerConfig>> {
        self.listeners.get(listener.index())?.as_ref().map(ArcSwap::load_full)
    }

    /// For the next session with a server of an upstream, and whom it must prove to be; `None`
    /// where the upstream has no TLS.
    pub fn client(
        &self,
        upstream: UpstreamId,
        server: &Address,
    ) -> Option<(Arc<ClientConfig>, ServerName<'static>)> {
        let slot = self.upstreams.get(upstream.index())?.as_ref()?;
        let name = upstream_settings::server_name(&slot.settings, server);
        Some((slot.config.load_full(), name))
    }
}
