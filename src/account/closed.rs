//! What a connection leaves in the access log, and a client that never had one.

use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;

use super::collect;
use crate::access_log::{ClientTls, ConnectionRecord, Traffic};
use crate::config::Config;
use crate::error::{CloseReason, Direction, FallbackReason};
use crate::exchange::Exchange;
use crate::id::{ListenerId, UpstreamId};
use crate::roster::Roster;
use crate::session::Session;
use crate::tls::failure::TlsFailure;

/// A connection that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Closed<'a> {
    /// The listener that accepted it.
    pub listener: ListenerId,
    /// The upstream of the server that it was connected to.
    pub upstream: UpstreamId,
    /// The client's IP address, if it has one.
    pub client: Option<SocketAddr>,
    /// The client's TLS session.
    pub tls: ClientTls<'a>,
    /// The session, for its lanes and times.
    pub session: &'a Session,
    /// The exchange that has upgraded it from HTTP.
    pub upgraded_by: Option<&'a Exchange>,
    /// Why it ended.
    pub reason: CloseReason,
}

/// A client that was sent away before its connection began, whatever it would have spoken.
#[derive(Debug, Clone, Copy)]
pub struct Refused<'a> {
    /// The listener that accepted it.
    pub listener: ListenerId,
    /// Its IP address, if it has one and as far as it is known.
    pub client: Option<SocketAddr>,
    /// Where it would have gone, if that depends on what it asks for and is known.
    pub upstream: Option<UpstreamId>,
    /// What is known of its TLS session.
    pub tls: ClientTls<'a>,
    /// Why that session came to nothing, if that is what happened.
    pub failure: Option<TlsFailure>,
    /// Why it was sent away.
    pub reason: CloseReason,
}

impl Closed<'_> {
    /// Appends the line of a connection that lived for `total`.
    pub(super) fn write(
        &self,
        config: &Config,
        roster: &Roster,
        total: Duration,
        line: &mut Vec<u8>,
    ) {
        let Closed { listener, client, session, .. } = *self;
        let relay = session.relay();
        let upstream = &config.upstreams[self.upstream.index()];
        let server = session.server().map(|server| roster.server(self.upstream, server));
        let mut fallbacks = [FallbackReason::Unavailable; FallbackReason::ALL.len()];
        let record = ConnectionRecord {
            time: jiff::Timestamp::now(),
            listener: &config.listeners[listener.index()].name,
            client: shown(client.as_ref()),
            upstream: Some(&upstream.name),
            server: server.map(|server| &server.settings.name as _),
            traffic: Traffic {
                bytes: Direction::ALL.map(|direction| relay.lane(direction).totals().delivered),
                fallbacks: collect(relay.fallbacks(), &mut fallbacks),
            },
            connect: session.connect_took(),
            total,
            retries: session.retries(),
            tls: self.tls,
            tls_failure: None,
            reason: self.reason,
        };
        record.write(config.access_log.format, line);
    }
}

impl Refused<'_> {
    /// Appends the line of a client that was there for `total`.
    pub(super) fn write(&self, config: &Config, total: Duration, line: &mut Vec<u8>) {
        let upstream = self.upstream.map(|upstream| &config.upstreams[upstream.index()]);
        let record = ConnectionRecord {
            time: jiff::Timestamp::now(),
            listener: &config.listeners[self.listener.index()].name,
            client: shown(self.client.as_ref()),
            upstream: upstream.map(|upstream| upstream.name.as_str()),
            server: None,
            traffic: Traffic { bytes: [[0; 2]; 2], fallbacks: &[] },
            connect: None,
            total,
            retries: 0,
            tls: self.tls,
            tls_failure: self.failure,
            reason: self.reason,
        };
        record.write(config.access_log.format, line);
    }
}

/// A client without an IP address came over a unix socket.
fn shown(client: Option<&SocketAddr>) -> &dyn Display {
    match client {
        Some(address) => address,
        None => &"unix",
    }
}
