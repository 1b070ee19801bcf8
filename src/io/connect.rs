//! From an accepted client to a connection with one of the upstream's servers.

use std::io::{self, IoSlice};
use std::time::Instant;

use crate::address::Address;
use crate::balance::attempts::AfterFailure;
use crate::config::Upstream;
use crate::error::{Direction, FaultKind, Side, is_exhaustion};
use crate::id::{ConnectionId, ServerId, Token, UpstreamId};
use crate::io::channel::{Channel, Handshake};
use crate::io::conduit::Supplies;
use crate::io::introduction::Introduced;
use crate::io::kernel::{Connecting, Kernel};
use crate::io::worker::{Worker, lookup};
use crate::relay::Readiness;
use crate::tls::session::Session;

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
    /// Begins to connect to the session's server, and to the next ones if that fails at once.
    pub(super) fn begin_connect(&mut self, id: ConnectionId, now: Instant) {
        loop {
            let Some(connection) = self.connection(id) else { return };
            let (target, server) = (connection.target, connection.session.server());
            match self.connect_to(id, target, server, now) {
                Ok(()) => return self.settle(id, now),
                Err(kind) => {
                    if self.connect_failed(id, kind, now) == AfterFailure::GiveUp {
                        return self.settle(id, now);
                    }
                }
            }
        }
    }

    fn connect_to(
        &mut self,
        id: ConnectionId,
        target: UpstreamId,
        server: ServerId,
        now: Instant,
    ) -> Result<(), FaultKind> {
        let upstream = &self.config.upstreams[target.index()];
        let address = &self.roster.server(target, server).settings.address;
        let begun = begin_to_connect(&mut self.kernel, &mut self.supplies, upstream, address);
        let begun = begun.map_err(|error| FaultKind::of(&error))?;
        let watched = self.kernel.watch(&begun.socket, Token::Socket(id, Side::Upstream));
        watched.map_err(|_| FaultKind::Exhausted)?;
        let is_unix = address.is_unix();
        let settings = self.tls.client(target, address);
        let session = settings.map(|(config, name)| Session::client(config, name)).transpose();
        let session = session.map_err(|_| FaultKind::Tls)?.map(Box::new);
        let is_plain = session.is_none() && upstream.proxy_protocol.is_none();
        let Some(connection) = self.connection(id) else { return Ok(()) };
        connection.upstream = Some(begun.socket);
        connection.upstream_tls = session;
        connection.connect_events = Readiness::default();
        connection.is_announced = false;
        connection.keeps_alive = false;
        let lane = connection.session.relay_mut().lane_mut(Direction::Downstream);
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
        let (target, server) = (connection.target, connection.session.server());
        let took = connection.session.connect_took().unwrap_or_default();
        self.account.connected(target, server, took);
    }

    /// Counts a failed attempt and asks the session for what follows.
    fn connect_failed(&mut self, id: ConnectionId, kind: FaultKind, now: Instant) -> AfterFailure {
        let Some(connection) = lookup(&mut self.connections, id) else {
            return AfterFailure::GiveUp;
        };
        let (target, server) = (connection.target, connection.session.server());
        let next_server = self.roster.upstream(target).after(server);
        connection.upstream = None;
        let session = connection.upstream_tls.take();
        let next = connection.session.connect_failed(kind, next_server, now);
        if let Some(failure) = session.and_then(|session| session.handshake_failure(kind)) {
            self.account.server_tls_failed(target, server, failure);
        }
        self.account.server_failed(target, server, kind);
        if next == AfterFailure::Retry {
            self.account.retried(target);
        }
        next
    }

    pub(super) fn retry_connect(&mut self, id: ConnectionId, kind: FaultKind, now: Instant) {
        match self.connect_failed(id, kind, now) {
            AfterFailure::Retry => self.begin_connect(id, now),
            AfterFailure::GiveUp => self.settle(id, now),
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
                    let (target, server) = (connection.target, connection.session.server());
                    self.account.server_tls_established(target, server, &session.agreement());
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
