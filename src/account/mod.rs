//! The one way out of a connection and of an exchange: its end becomes a counter, an observation
//! of the duration and a line of the access log, here and nowhere else.
//!
//! A worker counts in plain numbers of its own, durations by bucket. They are added to the shared
//! metrics a few times a second ([`Account::flush`]), so a scrape never touches what the data plane
//! writes for each event. Only the failure of a server goes there at once.

mod closed;
mod count;
mod exchanged;
mod http;
mod listener;
mod tls;
mod upstream;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::access_log::AccessLogSink;
use crate::config::Config;
use crate::error::{CloseReason, Direction, FallbackReason, FaultKind, LimitReason, Path, Side};
use crate::id::{ListenerId, ServerId, UpstreamId};
use crate::limits::TableMiss;
use crate::metrics::AcceptPause;
use crate::relay::choice::Fallbacks;
use crate::roster::Roster;
use crate::tls::failure::TlsFailure;
use crate::tls::session::Agreement;

pub use closed::{Closed, Refused};
pub use exchanged::Exchanged;
use http::HttpAccount;
use listener::ListenerAccount;
use upstream::{ServerAccount, UpstreamAccount};

/// How often a worker that has counted something adds it to the shared metrics.
pub const FLUSH_INTERVAL: Duration = Duration::from_millis(250);

/// The books of one worker.
#[derive(Debug)]
pub struct Account {
    config: Arc<Config>,
    roster: Arc<Roster>,
    listeners: Vec<ListenerAccount>,
    upstreams: Vec<UpstreamAccount>,
    access_log: AccessLogSink,
    /// Used again for each line of the access log.
    line: Vec<u8>,
    /// Something was counted that the shared metrics do not have.
    is_dirty: bool,
}

impl Account {
    /// Books with every number at zero. The metrics are those of the recorder that is installed.
    pub fn new(config: Arc<Config>, roster: Arc<Roster>, access_log: AccessLogSink) -> Account {
        let listener = |listener| ListenerAccount::new(listener, &config);
        let upstreams = config.upstreams.iter().zip(roster.upstreams());
        Account {
            listeners: config.listeners.iter().map(listener).collect(),
            upstreams: upstreams
                .map(|(upstream, servers)| UpstreamAccount::new(upstream, servers))
                .collect(),
            config,
            roster,
            access_log,
            line: Vec::new(),
            is_dirty: false,
        }
    }

    /// Another configuration is in force, and other servers: books are opened for what is new, and
    /// go on for what is not.
    pub fn adopt(&mut self, config: Arc<Config>, roster: Arc<Roster>, access_log: AccessLogSink) {
        self.access_log = access_log;
        // What was counted so far belongs to those who had the places until now.
        self.flush();
        for (place, listener) in config.listeners.iter().enumerate() {
            let was = self.config.listeners.get(place);
            let is_same = was.is_some_and(|was| was.identity() == listener.identity());
            match self.listeners.get_mut(place) {
                Some(account) if is_same => account.adopt(listener, &self.config, &config),
                Some(account) => *account = ListenerAccount::new(listener, &config),
                None => self.listeners.push(ListenerAccount::new(listener, &config)),
            }
        }
        let upstreams = config.upstreams.iter().zip(roster.upstreams()).enumerate();
        for (place, (upstream, servers)) in upstreams {
            let was = self.config.upstreams.get(place);
            let is_same = was.is_some_and(|was| was.name == upstream.name);
            match self.upstreams.get_mut(place) {
                Some(account) if is_same => account.adopt(upstream, servers),
                Some(account) => *account = UpstreamAccount::new(upstream, servers),
                None => self.upstreams.push(UpstreamAccount::new(upstream, servers)),
            }
        }
        (self.config, self.roster) = (config, roster);
    }

    fn listener(&mut self, listener: ListenerId) -> &mut ListenerAccount {
        self.is_dirty = true;
        &mut self.listeners[listener.index()]
    }

    fn server(&mut self, upstream: UpstreamId, server: ServerId) -> &mut ServerAccount {
        self.is_dirty = true;
        &mut self.upstreams[upstream.index()].servers[server.index()]
    }

    /// A client was accepted.
    pub fn opened(&mut self, listener: ListenerId) {
        let account = self.listener(listener);
        account.opened.add(1);
        account.open.now += 1;
    }

    /// Accepting paused.
    pub fn accept_paused(&mut self, listener: ListenerId, reason: AcceptPause) {
        self.listener(listener).accept_paused[reason.index()].add(1);
    }

    /// A connection or a request was refused at a limit.
    pub fn limit_refused(&mut self, listener: ListenerId, reason: LimitReason) {
        self.listener(listener).limit_refusals[reason.index()].add(1);
    }

    /// A client's place in the table of clients was missed.
    pub fn client_missed(&mut self, listener: ListenerId, miss: TableMiss) {
        self.listener(listener).client_misses[miss.index()].add(1);
    }

    /// A direction of a connection pauses for want of bandwidth.
    pub fn paused(&mut self, listener: ListenerId, direction: Direction) {
        self.listener(listener).bandwidth_pauses[direction.index()].add(1);
    }

    /// The directions of a connection pause until `now`, which did until `before`.
    pub fn paused_since(
        &mut self,
        listener: ListenerId,
        before: [Option<Instant>; 2],
        now: [Option<Instant>; 2],
    ) {
        for direction in Direction::ALL {
            let (before, now) = (before[direction.index()], now[direction.index()]);
            if now.is_some() && now != before {
                self.paused(listener, direction);
            }
        }
    }

    /// How often somebody was refused for `reason`, over all listeners.
    pub fn limit_refusals(&self, reason: LimitReason) -> u64 {
        self.listeners.iter().map(|listener| listener.limit_refusals[reason.index()].total).sum()
    }

    /// Bytes were delivered, by [`Path::index`].
    pub fn delivered(&mut self, listener: ListenerId, direction: Direction, bytes: [u64; 2]) {
        let counts = &mut self.listener(listener).relay_bytes[direction.index()];
        for (count, more) in counts.iter_mut().zip(bytes) {
            count.add(more);
        }
    }

    /// A connection met reasons to copy, each for the first time.
    pub fn fell_back(
        &mut self,
        listener: ListenerId,
        reasons: impl Iterator<Item = FallbackReason>,
    ) {
        for reason in reasons {
            self.listener(listener).fallbacks[reason.index()].add(1);
        }
    }

    /// A connection to a server stands.
    pub fn connected(&mut self, upstream: UpstreamId, server: ServerId, took: Duration) {
        let account = self.server(upstream, server);
        account.connections.now += 1;
        account.connects.record(took);
        self.roster.server(upstream, server).state.connected();
    }

    /// A connection to a server is closed.
    pub fn disconnected(&mut self, upstream: UpstreamId, server: ServerId) {
        self.server(upstream, server).connections.now -= 1;
        self.roster.server(upstream, server).state.disconnected();
    }

    /// A connection to a server was found for a request: a new one, or one that was there.
    pub fn assigned(&mut self, upstream: UpstreamId, server: ServerId, is_reused: bool) {
        self.server(upstream, server).requests[usize::from(is_reused)].add(1);
    }

    /// A connection to a server begins to wait for a request.
    pub fn idle_began(&mut self, upstream: UpstreamId, server: ServerId) {
        self.server(upstream, server).idle.now += 1;
    }

    /// A connection to a server waits no more.
    pub fn idle_ended(&mut self, upstream: UpstreamId, server: ServerId) {
        self.server(upstream, server).idle.now -= 1;
    }

    /// A server failed, at connecting or later.
    pub fn server_failed(&mut self, upstream: UpstreamId, server: ServerId, kind: FaultKind) {
        self.server(upstream, server).metrics.errors(kind).increment(1);
    }

    /// A connect or a request is tried again on another connection.
    pub fn retried(&mut self, upstream: UpstreamId) {
        self.is_dirty = true;
        self.upstreams[upstream.index()].retries.add(1);
    }

    /// A connection has ended.
    pub fn closed(&mut self, closed: Closed<'_>, now: Instant) {
        let Closed { listener, upstream, session, reason, .. } = closed;
        let total = now.saturating_duration_since(session.accepted_at());
        self.left(listener, reason, total);
        if let Some(server) = session.server() {
            if session.connect_took().is_some() {
                self.disconnected(upstream, server);
            }
            if let Some((Side::Upstream, kind)) = session.relay().fault() {
                self.server_failed(upstream, server, kind);
            }
        }
        match closed.upgraded_by {
            Some(exchange) => self.exchanged(&Exchanged {
                listener,
                peer: closed.client,
                tls: closed.tls,
                exchange,
                bytes: Direction::ALL
                    .map(|direction| session.relay().lane(direction).totals().delivered),
                fallbacks: session.relay().fallbacks(),
                ended_at: now,
            }),
            None => self.log(|config, roster, line| closed.write(config, roster, total, line)),
        }
    }

    /// A client was sent away after `total`, before its connection began.
    pub fn refused(&mut self, refused: &Refused<'_>, total: Duration) {
        if let Some(failure) = refused.failure {
            self.tls_failed(refused.listener, failure);
        }
        self.left(refused.listener, refused.reason, total);
        self.log(|config, _, line| refused.write(config, total, line));
    }

    /// Writes a line of the access log, unless there is none.
    fn log(&mut self, write: impl FnOnce(&Config, &Roster, &mut Vec<u8>)) {
        if self.access_log.is_on() {
            self.line.clear();
            write(&self.config, &self.roster, &mut self.line);
            self.access_log.append(&self.line);
        }
    }

    /// A client's connection has ended after `total`, whatever it spoke.
    pub fn left(&mut self, listener: ListenerId, reason: CloseReason, total: Duration) {
        self.listener(listener).closed(reason, total);
    }

    /// A TLS session with a client of a listener stands.
    pub fn tls_established(
        &mut self,
        listener: ListenerId,
        agreement: &Agreement<'_>,
        took: Duration,
    ) {
        if let Some(tls) = &mut self.listener(listener).tls {
            tls.established(agreement, took);
        }
    }

    /// A TLS session with a client of a listener came to nothing.
    fn tls_failed(&mut self, listener: ListenerId, failure: TlsFailure) {
        if let Some(tls) = &mut self.listener(listener).tls {
            tls.handshakes.failed(failure);
        }
    }

    /// A TLS session with a server stands.
    pub fn server_tls_established(
        &mut self,
        upstream: UpstreamId,
        server: ServerId,
        agreement: &Agreement<'_>,
    ) {
        if let Some(tls) = &mut self.server(upstream, server).tls {
            tls.established(agreement);
        }
    }

    /// A TLS session with a server came to nothing.
    pub fn server_tls_failed(
        &mut self,
        upstream: UpstreamId,
        server: ServerId,
        failure: TlsFailure,
    ) {
        if let Some(tls) = &mut self.server(upstream, server).tls {
            tls.failed(failure);
        }
    }

    /// The first byte of a request has come.
    pub fn exchange_began(&mut self, listener: ListenerId) {
        if let Some(http) = &mut self.listener(listener).http {
            http.began();
        }
    }

    /// An exchange is over. Each one that began ends once.
    pub fn exchanged(&mut self, exchanged: &Exchanged<'_>) {
        if let Some(http) = &mut self.listener(exchanged.listener).http {
            http.ended(exchanged.exchange, exchanged.timings().total);
        }
        self.log(|config, roster, line| exchanged.write(config, roster, line));
    }

    /// How many exchanges are over, over all listeners.
    pub fn exchanged_in_all(&self) -> u64 {
        let http = self.listeners.iter().filter_map(|listener| listener.http.as_ref());
        http.map(HttpAccount::over).sum()
    }

    /// How many exchanges have begun and are not over, over all listeners.
    pub fn exchanges_in_flight(&self) -> i64 {
        let http = self.listeners.iter().filter_map(|listener| listener.http.as_ref());
        http.map(HttpAccount::in_flight).sum()
    }

    /// How many connections to servers stand, and how many of them wait for a request.
    pub fn upstream_connections(&self) -> [i64; 2] {
        let servers = || self.upstreams.iter().flat_map(|upstream| &upstream.servers);
        [servers().map(|it| it.connections.now).sum(), servers().map(|it| it.idle.now).sum()]
    }

    /// Whether there is something to flush.
    pub fn is_dirty(&self) -> bool {
        self.is_dirty
    }

    /// Adds to the shared metrics what was counted since the last time.
    pub fn flush(&mut self) {
        if !std::mem::take(&mut self.is_dirty) {
            return;
        }
        self.listeners.iter_mut().for_each(ListenerAccount::flush);
        self.upstreams.iter_mut().for_each(UpstreamAccount::flush);
    }

    /// How many connections ended for `reason`, over all listeners.
    pub fn closed_for(&self, reason: CloseReason) -> u64 {
        self.listeners.iter().map(|listener| listener.closed[reason.index()].total).sum()
    }

    /// How many connections were accepted, over all listeners.
    pub fn opened_in_all(&self) -> u64 {
        self.listeners.iter().map(|listener| listener.opened.total).sum()
    }

    /// Bytes delivered by a path in a direction, over all listeners.
    pub fn delivered_in_all(&self, direction: Direction, path: Path) -> u64 {
        let bytes = |listener: &ListenerAccount| {
            listener.relay_bytes[direction.index()][path.index()].total
        };
        self.listeners.iter().map(bytes).sum()
    }
}

/// The reasons of a set, in memory that the caller has.
fn collect(fallbacks: Fallbacks, into: &mut [FallbackReason]) -> &[FallbackReason] {
    let mut count = 0;
    for (place, reason) in into.iter_mut().zip(fallbacks.iter()) {
        *place = reason;
        count += 1;
    }
    &into[..count]
}
