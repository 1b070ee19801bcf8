//! What a worker counts for one upstream and each of its servers.

use super::count::{Count, Durations, Level, flush_all};
use super::tls::HandshakeAccount;
use crate::config::Upstream;
use crate::metrics::{HandshakeMetrics, ServerMetrics, UPSTREAM_CONNECT_DURATION, UpstreamMetrics};
use crate::roster::{Server, UpstreamRoster};

#[derive(Debug)]
pub(super) struct UpstreamAccount {
    metrics: UpstreamMetrics,
    pub(super) retries: Count,
    pub(super) servers: Vec<ServerAccount>,
}

#[derive(Debug)]
pub(super) struct ServerAccount {
    name: String,
    pub(super) metrics: ServerMetrics,
    pub(super) connects: Durations,
    pub(super) connections: Level,
    /// Connections that wait for a request.
    pub(super) idle: Level,
    /// Requests over a new connection, and over one that was there.
    pub(super) requests: [Count; 2],
    /// `None` for a server that is spoken to in plain text.
    pub(super) tls: Option<HandshakeAccount>,
}

impl ServerAccount {
    fn new(upstream: &Upstream, server: &Server) -> ServerAccount {
        let name = &server.settings.name;
        let handshakes = || HandshakeMetrics::of_server(&upstream.name, name);
        ServerAccount {
            metrics: ServerMetrics::new(&upstream.name, name),
            connects: Durations::new(&UPSTREAM_CONNECT_DURATION),
            connections: Level::default(),
            idle: Level::default(),
            requests: Default::default(),
            tls: upstream.tls.as_ref().map(|_| HandshakeAccount::new(handshakes())),
            name: name.clone(),
        }
    }
}

impl UpstreamAccount {
    pub(super) fn new(upstream: &Upstream, roster: &UpstreamRoster) -> UpstreamAccount {
        let servers = roster.servers().iter().map(|server| ServerAccount::new(upstream, server));
        UpstreamAccount {
            metrics: UpstreamMetrics::new(&upstream.name),
            retries: Count::default(),
            servers: servers.collect(),
        }
    }

    /// The same upstream has other servers, perhaps, or speaks to them otherwise.
    pub(super) fn adopt(&mut self, upstream: &Upstream, roster: &UpstreamRoster) {
        for (place, server) in roster.servers().iter().enumerate() {
            match self.servers.get_mut(place) {
                Some(account) if account.name == server.settings.name => {
                    if upstream.tls.is_some() && account.tls.is_none() {
                        account.tls = ServerAccount::new(upstream, server).tls;
                    }
                }
                Some(account) => *account = ServerAccount::new(upstream, server),
                None => self.servers.push(ServerAccount::new(upstream, server)),
            }
        }
    }

    pub(super) fn flush(&mut self) {
        self.retries.flush(&self.metrics.retries);
        for server in &mut self.servers {
            let metrics = &server.metrics;
            server.connects.flush(&metrics.connect_duration);
            server.connections.flush(&metrics.connections);
            server.idle.flush(&metrics.idle);
            flush_all(&mut server.requests, &metrics.requests);
            if let Some(tls) = &mut server.tls {
                tls.flush();
            }
        }
    }
}
