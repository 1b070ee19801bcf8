//! What an exchange leaves in the access log.

use std::net::SocketAddr;
use std::time::Instant;

use super::collect;
use crate::access_log::{ClientTls, RequestRecord, Timings, Traffic};
use crate::balance::attempts::Attempts;
use crate::config::Config;
use crate::error::FallbackReason;
use crate::exchange::Exchange;
use crate::http::client::Client;
use crate::http::context::Scheme;
use crate::id::ListenerId;
use crate::relay::choice::Fallbacks;
use crate::roster::Roster;

/// An exchange that is over.
#[derive(Debug, Clone, Copy)]
pub struct Exchanged<'a> {
    /// The listener that its request came to.
    pub listener: ListenerId,
    /// The address at the other end of the connection; `None` for a unix socket.
    pub peer: Option<SocketAddr>,
    /// The client's TLS session.
    pub tls: ClientTls<'a>,
    /// What is known of it: heads, status, upstream and server, attempts, times, rejection, end.
    pub exchange: &'a Exchange,
    /// Bytes delivered for it, heads among them, by [`crate::error::Direction::index`] and then by
    /// [`crate::error::Path::index`].
    pub bytes: [[u64; 2]; 2],
    /// Why any of them were copied although splice was chosen.
    pub fallbacks: Fallbacks,
    /// When it ended.
    pub ended_at: Instant,
}

impl Exchanged<'_> {
    /// How long it took, and its parts.
    pub(super) fn timings(&self) -> Timings {
        let times = &self.exchange.times;
        let since = |from: Instant, to: Instant| to.saturating_duration_since(from);
        let connect = self.exchange.progress.attempts().and_then(Attempts::took);
        let until_connected = times.connected_at.zip(times.head_at);
        Timings {
            queue: until_connected
                .map(|(to, from)| since(from, to).saturating_sub(connect.unwrap_or_default())),
            connect,
            head: times.response_at.map(|to| since(times.began_at, to)),
            total: since(times.began_at, self.ended_at),
        }
    }

    /// Appends its line to `line`.
    pub(super) fn write(&self, config: &Config, roster: &Roster, line: &mut Vec<u8>) {
        let Exchanged { exchange, .. } = *self;
        let request = &exchange.request;
        let attempts = exchange.progress.attempts();
        let upstream = exchange.upstream.map(|upstream| &config.upstreams[upstream.index()]);
        let server = exchange.upstream.zip(attempts);
        let server = server.and_then(|(upstream, it)| Some((upstream, it.server()?)));
        let server = server.map(|(upstream, server)| roster.server(upstream, server));
        let server = server.map(|server| &server.settings.name);
        let mut fallbacks = [FallbackReason::Unavailable; FallbackReason::ALL.len()];
        let record = RequestRecord {
            time: jiff::Timestamp::now(),
            listener: &config.listeners[self.listener.index()].name,
            client: &exchange.client_or(self.peer),
            peer: &Client::of_peer(self.peer, Scheme::Http),
            request_id: exchange.request_id.as_str(),
            method: request.method_text().as_bytes(),
            host: request.authority().as_bytes(),
            path: request.target().as_bytes(),
            protocol: request.version().label(),
            status: exchange.status,
            referer: request.value("referer"),
            user_agent: request.value("user-agent"),
            upstream: upstream.map(|upstream| upstream.name.as_str()),
            server: server.map(|server| server as &dyn std::fmt::Display),
            reused: exchange.progress.is_reused(),
            retries: attempts.map_or(0, Attempts::retries),
            traffic: Traffic {
                bytes: self.bytes,
                fallbacks: collect(self.fallbacks, &mut fallbacks),
            },
            timings: self.timings(),
            tls: self.tls,
            rejection: exchange.rejection.map(|rejection| rejection.reason),
            reason: exchange.end,
        };
        record.write(config.access_log.format, line);
    }
}
