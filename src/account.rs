//! The one way out of a connection: its close reason becomes a counter, an observation of the
//! duration and a line of the access log, here and nowhere else.
//!
//! A worker counts in plain numbers of its own. They are added to the shared metrics a few times
//! a second ([`Account::flush`]), so a scrape never touches what the data plane writes for each
//! event. Only what happens once in the life of a connection goes to the shared metrics at once:
//! its two durations, and the failure of a server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::access_log::{AccessLogSink, Record};
use crate::config::Config;
use crate::error::{CloseReason, Direction, FallbackReason, FaultKind, Path, Side};
use crate::exchange::Exchange;
use crate::id::{ListenerId, ServerId, UpstreamId};
use crate::metrics::{AcceptPause, ListenerMetrics, ServerMetrics, UpstreamMetrics};
use crate::relay::choice::Fallbacks;
use crate::session::Session;

/// How often a worker that has counted something adds it to the shared metrics.
pub const FLUSH_INTERVAL: Duration = Duration::from_millis(250);

/// A number that goes up, and how much of it the shared metrics have.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    total: u64,
    flushed: u64,
}

impl Count {
    fn add(&mut self, more: u64) {
        self.total += more;
    }

    fn flush(&mut self, counter: &metrics::Counter) {
        if self.total != self.flushed {
            counter.increment(self.total - self.flushed);
            self.flushed = self.total;
        }
    }
}

/// A number that goes up and down, and what the shared metrics have of it.
#[derive(Debug, Clone, Copy, Default)]
struct Level {
    now: i64,
    flushed: i64,
}

impl Level {
    fn flush(&mut self, gauge: &metrics::Gauge) {
        if self.now != self.flushed {
            gauge.increment((self.now - self.flushed) as f64);
            self.flushed = self.now;
        }
    }
}

/// What a worker counts for one listener.
#[derive(Debug)]
struct ListenerAccount {
    metrics: ListenerMetrics,
    relay_bytes: [[Count; 2]; 2],
    fallbacks: [Count; FallbackReason::ALL.len()],
    opened: Count,
    exchanges: Count,
    open: Level,
    closed: [Count; CloseReason::ALL.len()],
    accept_paused: [Count; AcceptPause::ALL.len()],
}

impl ListenerAccount {
    fn flush(&mut self) {
        let metrics = &self.metrics;
        for direction in Direction::ALL.map(Direction::index) {
            for path in Path::ALL.map(Path::index) {
                self.relay_bytes[direction][path].flush(&metrics.relay_bytes[direction][path]);
            }
        }
        for (count, counter) in self.fallbacks.iter_mut().zip(&metrics.fallbacks) {
            count.flush(counter);
        }
        for (count, counter) in self.closed.iter_mut().zip(&metrics.closed) {
            count.flush(counter);
        }
        for (count, counter) in self.accept_paused.iter_mut().zip(&metrics.accept_paused) {
            count.flush(counter);
        }
        self.opened.flush(&metrics.opened);
        self.open.flush(&metrics.open);
    }
}

/// What a worker counts for one upstream.
#[derive(Debug)]
struct UpstreamAccount {
    metrics: UpstreamMetrics,
    retries: Count,
    servers: Vec<ServerAccount>,
}

#[derive(Debug)]
struct ServerAccount {
    metrics: ServerMetrics,
    connections: Level,
}

/// A connection that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Closed<'a> {
    /// The listener that accepted it.
    pub listener: ListenerId,
    /// The upstream of the server that it was connected to.
    pub upstream: UpstreamId,
    /// The client's IP address, if it has one.
    pub client: Option<SocketAddr>,
    /// The session, for its lanes and times.
    pub session: &'a Session,
    /// The exchange that has upgraded it from HTTP.
    pub upgraded_by: Option<&'a Exchange>,
    /// Why it ended.
    pub reason: CloseReason,
}

/// An exchange that is over.
#[derive(Debug, Clone, Copy)]
pub struct Exchanged<'a> {
    /// The listener that its request came to.
    pub listener: ListenerId,
    /// The client's IP address, if it has one.
    pub client: Option<SocketAddr>,
    /// What is known of it: heads, status, upstream and server, attempts, times, rejection, end.
    pub exchange: &'a Exchange,
    /// Bytes delivered for it, heads among them, by direction and then by [`Path::index`].
    pub bytes: [[u64; 2]; 2],
    /// Why any of them were copied although splice was chosen.
    pub fallbacks: Fallbacks,
    /// When it ended.
    pub ended_at: Instant,
}

/// The books of one worker.
#[derive(Debug)]
pub struct Account {
    config: Arc<Config>,
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
    pub fn new(config: Arc<Config>, access_log: AccessLogSink) -> Account {
        let listeners = config.listeners.iter().map(|listener| ListenerAccount {
            metrics: ListenerMetrics::new(&listener.name),
            relay_bytes: Default::default(),
            fallbacks: Default::default(),
            opened: Count::default(),
            exchanges: Count::default(),
            open: Level::default(),
            closed: Default::default(),
            accept_paused: Default::default(),
        });
        let upstreams = config.upstreams.iter().map(|upstream| UpstreamAccount {
            metrics: UpstreamMetrics::new(&upstream.name),
            retries: Count::default(),
            servers: (upstream.servers.iter())
                .map(|server| ServerAccount {
                    metrics: ServerMetrics::new(&upstream.name, &server.to_string()),
                    connections: Level::default(),
                })
                .collect(),
        });
        Account {
            listeners: listeners.collect(),
            upstreams: upstreams.collect(),
            config,
            access_log,
            line: Vec::new(),
            is_dirty: false,
        }
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
        account.metrics.connect_duration.record(took);
    }

    /// A connection to a server that served HTTP is closed.
    pub fn disconnected(&mut self, upstream: UpstreamId, server: ServerId) {
        self.server(upstream, server).connections.now -= 1;
    }

    /// A server failed, at connecting or later.
    pub fn server_failed(&mut self, upstream: UpstreamId, server: ServerId, kind: FaultKind) {
        self.server(upstream, server).metrics.errors(kind).increment(1);
    }

    /// A connect is tried again on another server.
    pub fn retried(&mut self, upstream: UpstreamId) {
        self.is_dirty = true;
        self.upstreams[upstream.index()].retries.add(1);
    }

    /// A connection has ended.
    pub fn closed(&mut self, closed: Closed<'_>, now: Instant) {
        let Closed { listener, upstream, session, reason, .. } = closed;
        let total = now.saturating_duration_since(session.accepted_at());
        self.left(listener, reason, total);
        if session.connect_took().is_some() {
            self.server(upstream, session.server()).connections.now -= 1;
        }
        if let Some((Side::Upstream, kind)) = session.relay().fault() {
            self.server_failed(upstream, session.server(), kind);
        }
        match closed.upgraded_by {
            Some(exchange) => self.exchanged(&Exchanged {
                listener,
                client: closed.client,
                exchange,
                bytes: Direction::ALL
                    .map(|direction| session.relay().lane(direction).totals().delivered),
                fallbacks: session.relay().fallbacks(),
                ended_at: now,
            }),
            None if self.access_log.is_on() => self.log(closed, total),
            None => {}
        }
    }

    /// A client's connection has ended after `total`, whatever it spoke.
    pub fn left(&mut self, listener: ListenerId, reason: CloseReason, total: Duration) {
        let account = self.listener(listener);
        account.closed[reason.index()].add(1);
        account.open.now -= 1;
        account.metrics.duration.record(total);
    }

    /// An exchange is over.
    pub fn exchanged(&mut self, exchanged: &Exchanged<'_>) {
        self.listener(exchanged.listener).exchanges.add(1);
    }

    /// How many exchanges are over, over all listeners.
    pub fn exchanged_in_all(&self) -> u64 {
        self.listeners.iter().map(|listener| listener.exchanges.total).sum()
    }

    fn log(&mut self, closed: Closed<'_>, total: Duration) {
        let Closed { listener, upstream, client, session, reason, .. } = closed;
        let relay = session.relay();
        let upstream = &self.config.upstreams[upstream.index()];
        let mut fallbacks = [FallbackReason::Unavailable; FallbackReason::ALL.len()];
        let fallbacks = collect(relay.fallbacks(), &mut fallbacks);
        let record = Record {
            time: jiff::Timestamp::now(),
            listener: &self.config.listeners[listener.index()].name,
            client: match &client {
                Some(address) => address,
                None => &"unix",
            },
            upstream: &upstream.name,
            server: Some(&upstream.servers[session.server().index()]),
            bytes: Direction::ALL.map(|direction| relay.lane(direction).totals().delivered),
            fallbacks,
            connect: session.connect_took(),
            total,
            retries: session.retries(),
            reason,
        };
        self.line.clear();
        record.write(self.config.access_log.format, &mut self.line);
        self.access_log.append(&self.line);
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
        for upstream in &mut self.upstreams {
            upstream.retries.flush(&upstream.metrics.retries);
            for server in &mut upstream.servers {
                server.connections.flush(&server.metrics.connections);
            }
        }
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
