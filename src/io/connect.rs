//! From an accepted client to a connection with one of the upstream's servers.

use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::time::Instant;

use crate::address::Address;
use crate::balance::attempts::AfterFailure;
use crate::balance::random;
use crate::config::{RelayMode, Upstream};
use crate::error::{CloseReason, Direction, FaultKind, Side, is_exhaustion};
use crate::id::{ConnectionId, ServerId, Token, UpstreamId};
use crate::io::balancer::{needs_budget, refusal};
use crate::io::channel::{Channel, Handshake};
use crate::io::conduit::Supplies;
use crate::io::introduction::Introduced;
use crate::io::kernel::{Connecting, Kernel};
use crate::io::worker::{Worker, lookup};
use crate::relay::Readiness;
use crate::roster::assign::{Assigned, Request};
use crate::roster::state::milliseconds;
use crate::session::Session;
use crate::tls::session::Session as TlsSession;

/// Begins to connect to a server. Where this machine has run out of something, idle pipes give it
/// back.
///
/// # Errors
/// As [`Kernel::connect`].
pub(super) fn begin_to_connect<K: Kernel>(
    kernel: &mut K,
    supplies: &mut Supplies<K>,
    upstream: &Upstream,
    address: &Address,
) -> io::Result<Connecting<K::Socket>> {
    let begun = kernel.connect(address, upstream.source);
    let is_short = |error: &io::Error| error.raw_os_error().is_some_and(is_exhaustion);
    if begun.as_ref().is_err_and(is_short) && supplies.pipes.usage().idle > 0 {
        supplies.pipes.clear();
        return kernel.connect(address, upstream.source);
    }
    begun
}

impl<K: Kernel> Worker<K> {
    /// Has a server picked and begins to connect to it, and to others if that fails at once.
    /// `failed` is how the attempt before has failed, if there was one.
    pub(super) fn begin_connect(
        &mut self,
        id: ConnectionId,
        mut failed: Option<FaultKind>,
        now: Instant,
    ) {
        loop {
            match self.assign(id, now) {
                Some(Assigned::Server(server)) => {
                    let Err(kind) = self.connect_to(id, server, now) else { break };
                    if !self.connect_failed(id, kind, now) {
                        break;
                    }
                    failed = Some(kind);
                }
                Some(Assigned::Full) => {
                    self.enter_queue(id, now);
                    break;
                }
                Some(Assigned::Nobody) => {
                    self.with_session(id, |session| session.refused(refusal(failed)));
                    break;
                }
                None => return,
            }
        }
        self.settle(id, now);
    }

    /// Begins to connect to a server that was picked.
    pub(super) fn connect_assigned(&mut self, id: ConnectionId, server: ServerId, now: Instant) {
        match self.connect_to(id, server, now) {
            Ok(()) => self.settle(id, now),
            Err(kind) => self.retry_connect(id, kind, now),
        }
    }

    /// Has a server picked for a session, which it counts from now on.
    pub(super) fn assign(&mut self, id: ConnectionId, now: Instant) -> Option<Assigned> {
        let connection = lookup(&mut self.connections, id)?;
        let servers = self.roster.upstream(connection.target);
        let settings = &self.config.upstreams[connection.target.index()];
        let request = Request {
            key: hash_of_ip(connection.client_address.map(|it| it.ip())),
            bound_to: None,
            tried: connection.session.attempts().tried(),
        };
        let assigned = self.balancer.assign(settings, servers, &request, now);
        if let Assigned::Server(server) = assigned {
            connection.session.assigned(server, now);
        }
        Some(assigned)
    }

    /// Every server has as much to do as it may have: the session waits, if there is room for it.
    fn enter_queue(&mut self, id: ConnectionId, now: Instant) {
        let Some(connection) = lookup(&mut self.connections, id) else { return };
        let target = connection.target;
        let settings = &self.config.upstreams[target.index()];
        let servers = self.roster.upstream(target);
        if self.balancer.enter(settings, servers, target, id) {
            connection.session.queued(now + settings.balancing.queue.timeout);
        } else {
            connection.session.refused(CloseReason::QueueFull);
        }
    }

    /// A session is over: no server counts it any more, and no queue.
    pub(super) fn release(&mut self, target: UpstreamId, session: &mut Session) {
        let servers = self.roster.upstream(target);
        if let Some(server) = session.take_place() {
            self.balancer.release(servers, target, server);
        }
        if session.take_queued() {
            self.balancer.leave(servers, target);
        }
    }

    /// What became of an attempt tells of the server's health.
    pub(super) fn observe(
        &mut self,
        upstream: UpstreamId,
        server: ServerId,
        succeeded: bool,
        now: Instant,
    ) {
        let ejection = &self.config.upstreams[upstream.index()].balancing.ejection;
        self.roster.upstream(upstream).observe(server, ejection, succeeded, now);
    }

    fn connect_to(
        &mut self,
        id: ConnectionId,
        server: ServerId,
        now: Instant,
    ) -> Result<(), FaultKind> {
        let Some(connection) = self.connection(id) else { return Ok(()) };
        let target = connection.target;
        let upstream = &self.config.upstreams[target.index()];
        let address = &self.roster.server(target, server).settings.address;
        let begun = begin_to_connect(&mut self.kernel, &mut self.supplies, upstream, address);
        let begun = begun.map_err(|error| FaultKind::of(&error))?;
        let watched = self.kernel.watch(&begun.socket, Token::Socket(id, Side::Upstream));
        watched.map_err(|_| FaultKind::Exhausted)?;
        let is_unix = address.is_unix();
        let settings = self.tls.client(target, address);
        let session = settings.map(|(config, name)| TlsSession::client(config, name)).transpose();
        let session = session.map_err(|_| FaultKind::Tls)?.map(Box::new);
        let is_plain = session.is_none() && upstream.proxy_protocol.is_none();
        let Some(connection) = self.connection(id) else { return Ok(()) };
        connection.upstream = Some(begun.socket);
        connection.upstream_tls = session;
        connection.connect_events = Readiness::default();
        connection.is_announced = false;
        connection.keeps_alive = false;
        let relay = connection.session.relay_mut();
        if !is_plain && connection.upstream_tls.is_some() {
            // A reload may have made it so since the session began.
            relay.secure(Side::Upstream);
            for direction in Direction::ALL {
                relay.lane_mut(direction).change_mode(RelayMode::Copy);
            }
        }
        let lane = relay.lane_mut(Direction::Downstream);
        lane.attach_source(false);
        if is_unix {
            lane.source_is_unix();
        }
        if begun.established {
            connection.connect_events.writable = true;
            if is_plain {
                self.connected(id, now);
            }
            self.enqueue(id);
        }
        Ok(())
    }

    fn connected(&mut self, id: ConnectionId, now: Instant) {
        let Some(connection) = self.connection(id) else { return };
        connection.session.connected(now);
        let target = connection.target;
        let took = connection.session.connect_took().unwrap_or_default();
        if let Some(server) = connection.session.server() {
            self.account.connected(target, server, took);
            self.observe(target, server, true, now);
        }
    }

    /// Counts a failed attempt. Says whether another one is to be made; if not, the session has
    /// ended.
    fn connect_failed(&mut self, id: ConnectionId, kind: FaultKind, now: Instant) -> bool {
        let Some(connection) = lookup(&mut self.connections, id) else { return false };
        let target = connection.target;
        connection.upstream = None;
        let session = connection.upstream_tls.take();
        let servers = self.roster.upstream(target);
        if let Some(server) = connection.session.take_place() {
            self.balancer.release(servers, target, server);
        }
        let server = connection.session.server();
        let may_retry = connection.session.connect_failed(kind) == AfterFailure::Retry;
        let has_budget =
            may_retry && (!needs_budget(kind) || servers.state.retries.withdraw(milliseconds(now)));
        if may_retry && !has_budget {
            connection.session.refused(CloseReason::of_connect(kind));
        }
        if let Some(server) = server {
            if let Some(failure) = session.and_then(|session| session.handshake_failure(kind)) {
                self.account.server_tls_failed(target, server, failure);
            }
            self.account.server_failed(target, server, kind);
            if kind != FaultKind::Exhausted {
                self.observe(target, server, false, now);
            }
        }
        if has_budget {
            self.account.retried(target);
        }
        has_budget
    }

    pub(super) fn retry_connect(&mut self, id: ConnectionId, kind: FaultKind, now: Instant) {
        match self.connect_failed(id, kind, now) {
            true => self.begin_connect(id, Some(kind), now),
            false => self.settle(id, now),
        }
    }

    /// Looks at what the events said of a connect that is under way. `EPOLLOUT` without an error
    /// is the answer by itself; only a broken socket is asked for its errno.
    pub(super) fn check_connect(&mut self, id: ConnectionId, now: Instant) {
        let Some(connection) = lookup(&mut self.connections, id) else { return };
        let Readiness { writable, broken, .. } = connection.connect_events;
        match &connection.upstream {
            Some(socket) if broken => {
                let error = self.kernel.take_error(socket);
                let kind = error.map_or(FaultKind::Other, |error| FaultKind::of(&error));
                self.retry_connect(id, kind, now);
            }
            Some(_) if writable => self.check_handshake(id, now),
            Some(_) | None => self.settle(id, now),
        }
    }

    /// The server's socket is connected; where a TLS session begins there, its handshake is part
    /// of the connect, and of its time.
    fn check_handshake(&mut self, id: ConnectionId, now: Instant) {
        let keeps_back = match self.announce(id) {
            Ok(keeps_back) => keeps_back,
            Err(kind) => return self.retry_connect(id, kind, now),
        };
        let Some(connection) = lookup(&mut self.connections, id) else { return };
        let Some(socket) = &connection.upstream else { return };
        let mut server = Channel { socket, session: connection.upstream_tls.as_deref_mut() };
        match server.shake_hands(&mut self.kernel, &mut self.supplies) {
            Handshake::Waiting => self.settle(id, now),
            Handshake::Failed(_) => self.retry_connect(id, FaultKind::Tls, now),
            Handshake::Done => {
                if let Some(session) = &connection.upstream_tls {
                    let target = connection.target;
                    if let Some(server) = connection.session.server() {
                        self.account.server_tls_established(target, server, &session.agreement());
                    }
                    // What the server has sent behind its handshake may be in the session already.
                    let relay = connection.session.relay_mut();
                    relay.lane_mut(Direction::Downstream).on_readable(false);
                }
                self.connected(id, now);
                self.drive(id, now);
                if keeps_back {
                    self.push_header(id);
                }
            }
        }
    }

    /// Has a PROXY header leave for which no bytes of the client came, although some were
    /// announced. What the lane holds it will write, and that takes the header along.
    fn push_header(&mut self, id: ConnectionId) {
        let Some(connection) = lookup(&mut self.connections, id) else { return };
        let lane = connection.session.relay().lane(Direction::Upstream);
        if let (Some(socket), 0, 0) = (&connection.upstream, lane.held(), lane.delivered()) {
            // One that cannot be told is gone, or is of a family that keeps nothing back.
            let _gone = self.kernel.push(socket).is_err();
        }
    }

    /// Tells a server who the client is, by a PROXY header before all other bytes. Where bytes of
    /// the client wait to be spliced, the header shares a segment with the first of them: it is
    /// kept back for them then, which is what this returns.
    fn announce(&mut self, id: ConnectionId) -> Result<bool, FaultKind> {
        let Some(connection) = lookup(&mut self.connections, id) else { return Ok(false) };
        let upstream = &self.config.upstreams[connection.target.index()];
        let Some(socket) = &connection.upstream else { return Ok(false) };
        if upstream.proxy_protocol.is_none()
            || std::mem::replace(&mut connection.is_announced, true)
        {
            return Ok(false);
        }
        let introduced = Introduced {
            socket: &connection.client,
            address: connection.client_address,
            session: connection.client_tls.as_deref(),
            introduction: connection.introduction.as_deref(),
        };
        let mut header = Vec::new();
        introduced.write_proxy_header(&mut self.kernel, upstream, &mut header);
        if let Some(session) = &mut connection.upstream_tls {
            session.precede(&header);
            return Ok(false);
        }
        let more = connection.session.relay().lane(Direction::Upstream).source_is_readable();
        let sent = self.kernel.send_vectored(socket, &[IoSlice::new(&header)], more);
        // A new socket has room for it, or is broken.
        match sent.map_err(|error| FaultKind::of(&error))? {
            sent if sent == header.len() => Ok(more),
            _ => Err(FaultKind::Other),
        }
    }

    /// Switches keepalive on for the server's socket of a connection that has lived for a while.
    /// It takes four system calls, which a short connection does without. The client's socket has
    /// it from the listener.
    pub(super) fn keep_upstream_alive(&mut self, id: ConnectionId) {
        let Some(connection) = lookup(&mut self.connections, id) else { return };
        let keepalive = self.config.listeners[connection.listener.index()].keepalive;
        if let (Some(socket), Some(keepalive), false) =
            (&connection.upstream, keepalive, connection.keeps_alive)
        {
            // A socket that cannot be told is gone, or of the unix family and needs none.
            let _gone = self.kernel.keep_alive(socket, keepalive).is_err();
            connection.keeps_alive = true;
        }
    }
}

/// The key by which a client belongs to a server.
pub(super) fn hash_of_ip(client: Option<IpAddr>) -> u64 {
    match client {
        Some(IpAddr::V4(ip)) => random::hash(&ip.octets()),
        Some(IpAddr::V6(ip)) => random::hash(&ip.octets()),
        None => 0,
    }
}
