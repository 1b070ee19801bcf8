//! From a request to the server that gets it: a connection that waits, or a new one; and what
//! follows when it fails.

use std::io::IoSlice;

use crate::balance::attempts::{AfterFailure, Attempts};
use crate::config::{Forward, Http, RelayMode};
use crate::error::{CloseReason, Direction, FallbackReason, FaultKind, Side};
use crate::exchange::Exchange;
use crate::exchange::phase::{End, Phase};
use crate::exchange::progress::{
    AfterLoss, Progress, RequestProgress, TryTimeouts, status_of_connect,
};
use crate::http::client::Client;
use crate::http::context::Context;
use crate::http::edits::HeaderEdits;
use crate::http::rewrite::{self, RequestRewrite};
use crate::id::{ServerId, Token, UpstreamId};
use crate::io::balancer::{needs_budget, refusal};
use crate::io::channel::Handshake;
use crate::io::connect::begin_to_connect;
use crate::io::http::connection::{HttpConnection, Used};
use crate::io::http::run::Turn;
use crate::io::introduction::Introduced;
use crate::io::kernel::Kernel;
use crate::relay::Readiness;
use crate::relay::lane::Extent;
use crate::roster::assign::{Assigned, Request};
use crate::roster::state::milliseconds;
use crate::tls::session::Session;

impl<K: Kernel> Turn<'_, K> {
    /// Sends a request on to its upstream. `rest` is what came behind its head; returns how much
    /// of that was used.
    pub(super) fn forward(
        &mut self,
        http: &Http,
        exchange: &mut Exchange,
        forward: &Forward,
        rest: &[u8],
    ) -> usize {
        let upstream = forward.upstream;
        exchange.upstream = Some(upstream);
        let retries = &self.config.upstreams[upstream.index()].balancing.retries;
        let is_idempotent = exchange.request.method().is_idempotent();
        let tries = TryTimeouts {
            connect: self.settings.listener.timeouts.connect,
            response: retries.try_timeout.filter(|_| is_idempotent),
        };
        let attempts = Attempts::new(retries.max, self.now);
        exchange.progress = Progress::forwarded(http.timeouts, tries, attempts, self.now);
        self.roster.upstream(upstream).state.retries.deposit(retries.budget);
        exchange.affinity = self.affinity_of(exchange, upstream);
        self.begin_relay(exchange, forward);
        self.find_server(exchange, None);
        match exchange.progress.is_sending() {
            true => self.send_request_head(exchange, rest),
            false => 0,
        }
    }

    /// Sets both lanes up for an exchange.
    fn begin_relay(&mut self, exchange: &Exchange, forward: &Forward) {
        let plan = self.settings.relay(exchange.route);
        let low_water = forward.relay.low_water;
        let marks = [low_water.filter(|_| !self.connection.is_unix), low_water];
        self.connection.relay.restart(plan.mode, marks);
        self.connection.counted = Default::default();
        self.connection.pipe_size = plan.pipe_size;
        let is_tls = self.connection.client_tls.is_some() || self.has_tls(forward.upstream);
        let tls = (is_tls && plan.mode != RelayMode::Copy).then_some(FallbackReason::Tls);
        for reason in [plan.fallback, tls].into_iter().flatten() {
            self.connection.relay.fall_back(reason);
            self.account.fell_back(self.connection.listener, std::iter::once(reason));
        }
    }

    fn has_tls(&self, upstream: UpstreamId) -> bool {
        self.config.upstreams[upstream.index()].tls.is_some()
    }

    /// The mode in force for the bodies of an exchange.
    pub(super) fn relay_mode(&self, exchange: &Exchange) -> RelayMode {
        let server = self.connection.upstream.and_then(|id| self.upstreams.connection(id));
        let server_has_tls = match server {
            Some(server) => server.session.is_some(),
            None => exchange.upstream.is_some_and(|upstream| self.has_tls(upstream)),
        };
        if self.connection.client_tls.is_some() || server_has_tls {
            return RelayMode::Copy;
        }
        // A reload reaches bodies on their way, unless the route is another one by now.
        match self.is_outdated() && self.newest.has_routes_of(self.settings) {
            true => self.newest.relay(exchange.route).mode,
            false => self.settings.relay(exchange.route).mode,
        }
    }

    /// A reload has changed the mode, perhaps: what is left of bodies on their way goes by it.
    pub(super) fn change_mode(&mut self, exchange: &Exchange, was: RelayMode) {
        let is = self.relay_mode(exchange);
        for direction in Direction::ALL.into_iter().filter(|_| is != was) {
            let lane = self.connection.relay.lane_mut(direction);
            match (lane.extent(), is) {
                (Extent::NONE, _) => {}
                (Extent::Stream | Extent::UntilEnd, mode) => lane.change_mode(mode),
                (Extent::Message { .. }, RelayMode::Copy) => lane.change_mode(RelayMode::Copy),
                // What is certain to come needs no watching of the flow.
                (Extent::Message { .. }, _) => lane.change_mode(RelayMode::Splice),
            }
        }
    }

    /// What the route changes about the fields of a direction.
    pub(super) fn edits(&self, exchange: &Exchange, direction: Direction) -> &HeaderEdits {
        let edits = self.route(exchange).and_then(|route| match direction {
            Direction::Upstream => route.action.forward().map(|forward| &forward.request_headers),
            Direction::Downstream => Some(&route.response_headers),
        });
        edits.unwrap_or(&self.desk.no_edits)
    }

    /// The server that is tried, or was reached.
    pub(super) fn server(exchange: &Exchange) -> Option<(UpstreamId, ServerId)> {
        Some((exchange.upstream?, exchange.progress.attempts()?.server()?))
    }

    /// Has a server picked and finds a connection to it, or begins to connect; to others if that
    /// fails at once. `failed` is how the attempt before has failed, if there was one.
    fn find_server(&mut self, exchange: &mut Exchange, mut failed: Option<FaultKind>) {
        loop {
            match self.assign(exchange) {
                Assigned::Server(_) => match self.reach_server(exchange, failed.is_none()) {
                    Ok(()) => return,
                    Err(kind) if self.on_connect_failed(exchange, kind) => failed = Some(kind),
                    Err(_) => return,
                },
                Assigned::Full => return self.enter_queue(exchange),
                Assigned::Nobody => {
                    let status = failed.map_or(503, status_of_connect);
                    return self.fail(exchange, status, refusal(failed));
                }
            }
        }
    }

    /// Has a server picked for an exchange, which it counts from now on.
    fn assign(&mut self, exchange: &mut Exchange) -> Assigned {
        let Some(upstream) = exchange.upstream else { return Assigned::Nobody };
        let Some(attempts) = exchange.progress.attempts() else { return Assigned::Nobody };
        let request = Request {
            key: self.key_of(exchange, upstream),
            bound_to: exchange.affinity.map(|affinity| affinity.identity),
            tried: attempts.tried(),
        };
        let settings = &self.config.upstreams[upstream.index()];
        let servers = self.roster.upstream(upstream);
        let assigned = self.balancer.assign(settings, servers, &request, self.now);
        if let Assigned::Server(server) = assigned {
            exchange.progress.assigned(server, self.now);
        }
        assigned
    }

    /// A connection to the server that was picked: one that waits, or a new one.
    fn reach_server(&mut self, exchange: &mut Exchange, is_first: bool) -> Result<(), FaultKind> {
        let kept = Self::server(exchange).filter(|_| is_first).and_then(|(upstream, server)| {
            self.upstreams.take(upstream, server, self.id, self.now, self.account)
        });
        let Some(id) = kept else { return self.connect_once(exchange) };
        self.connection.upstream = Some(id);
        self.on_connected(exchange, true);
        Ok(())
    }

    /// Every server has as much to do as it may have: the request waits, if there is room for it.
    fn enter_queue(&mut self, exchange: &mut Exchange) {
        let Some(upstream) = exchange.upstream else { return };
        let settings = &self.config.upstreams[upstream.index()];
        let servers = self.roster.upstream(upstream);
        if self.balancer.enter(settings, servers, upstream, self.id) {
            exchange.progress.queued(self.now + settings.balancing.queue.timeout);
        } else {
            self.fail(exchange, 503, CloseReason::QueueFull);
        }
    }

    /// Serves the request if a server has room for it. Says whether it waits no more.
    pub(super) fn serve_queued(&mut self) -> bool {
        let Some(mut exchange) = self.connection.exchange.take() else { return true };
        let assigned = self.assign(&mut exchange);
        let is_served = assigned != Assigned::Full;
        if is_served {
            exchange.progress.take_queued();
            if let Some(upstream) = exchange.upstream {
                self.balancer.served(self.roster.upstream(upstream));
            }
        }
        match assigned {
            Assigned::Full => {}
            Assigned::Nobody => self.fail(&mut exchange, 503, refusal(None)),
            Assigned::Server(_) => {
                if let Err(kind) = self.reach_server(&mut exchange, true) {
                    self.retry_connect(&mut exchange, kind);
                }
            }
        }
        self.connection.exchange = Some(exchange);
        is_served
    }

    /// The server that an exchange had counts it no more, and no queue does.
    pub(super) fn release_place(&mut self, exchange: &mut Exchange) {
        let Some(upstream) = exchange.upstream else { return };
        let servers = self.roster.upstream(upstream);
        if let Some(server) = exchange.progress.take_place() {
            self.balancer.release(servers, upstream, server);
        }
        if exchange.progress.take_queued() {
            self.balancer.leave(servers, upstream);
        }
    }

    /// What became of a request tells of its server's health.
    pub(super) fn observe(&mut self, exchange: &Exchange, succeeded: bool) {
        if let Some((upstream, server)) = Self::server(exchange) {
            let ejection = &self.config.upstreams[upstream.index()].balancing.ejection;
            self.roster.upstream(upstream).observe(server, ejection, succeeded, self.now);
        }
    }

    fn connect_once(&mut self, exchange: &mut Exchange) -> Result<(), FaultKind> {
        let Some((upstream, server)) = Self::server(exchange) else {
            return Err(FaultKind::Other);
        };
        let settings = &self.config.upstreams[upstream.index()];
        let address = &self.roster.server(upstream, server).settings.address;
        let mut begun = begin_to_connect(self.kernel, self.supplies, settings, address);
        let is_short = begun.as_ref().is_err_and(|it| FaultKind::of(it) == FaultKind::Exhausted);
        if is_short && self.upstreams.idle() > 0 {
            self.upstreams.clear(self.account);
            begun = begin_to_connect(self.kernel, self.supplies, settings, address);
        }
        let begun = begun.map_err(|error| FaultKind::of(&error))?;
        let id = self.upstreams.insert(begun.socket, upstream, server, self.id);
        self.connection.upstream = Some(id);
        self.connection.connect_events = Readiness::default();
        self.connection.relay.attach(Side::Upstream, false);
        let Some(connection) = self.upstreams.connection_mut(id) else { return Ok(()) };
        connection.is_unix = address.is_unix();
        let watched = self.kernel.watch(&connection.socket, Token::Upstream(id));
        watched.map_err(|_| FaultKind::Exhausted)?;
        if let Some((config, name)) = self.tls.client(upstream, address) {
            let mut session = Session::client(config, name).map_err(|_| FaultKind::Tls)?;
            let mut header = Vec::new();
            introduced(self.connection).write_proxy_header(self.kernel, settings, &mut header);
            session.precede(&header);
            connection.session = Some(Box::new(session));
            self.connection.connect_events.writable = begun.established;
        } else if begun.established {
            self.on_connected(exchange, false);
        }
        Ok(())
    }

    /// A connection to a server is there for the request.
    fn on_connected(&mut self, exchange: &mut Exchange, is_reused: bool) {
        exchange.progress.connected(is_reused, self.now);
        exchange.times.connected_at = Some(self.now);
        if is_reused {
            self.connection.relay.attach(Side::Upstream, true);
        } else {
            // What the events have said since the connect began stays known.
            self.connection.relay.lane_mut(Direction::Upstream).on_writable();
        }
        let Some(id) = self.connection.upstream else { return };
        let Some(connection) = self.upstreams.connection_mut(id) else { return };
        if connection.is_unix {
            self.connection.relay.lane_mut(Direction::Downstream).source_is_unix();
        }
        if connection.session.is_some() {
            self.connection.relay.secure(Side::Upstream);
            // What the server has sent behind its handshake may be in the session already.
            self.connection.relay.lane_mut(Direction::Downstream).on_readable(false);
        }
        self.account.assigned(connection.upstream, connection.server, is_reused);
        if !is_reused {
            connection.is_connected = true;
            let took = exchange.progress.attempts().and_then(Attempts::took).unwrap_or_default();
            let (upstream, server) = (connection.upstream, connection.server);
            self.account.connected(upstream, server, took);
            if let Some(session) = &connection.session {
                self.account.server_tls_established(upstream, server, &session.agreement());
            }
        }
    }

    /// Looks at what the events said of a connect that is under way, as for TCP.
    fn check_connect(&mut self, exchange: &mut Exchange) {
        let Readiness { writable, broken, .. } = self.connection.connect_events;
        let Some(connection) =
            self.connection.upstream.and_then(|id| self.upstreams.connection(id))
        else {
            return;
        };
        if broken {
            let error = self.kernel.take_error(&connection.socket);
            let kind = error.map_or(FaultKind::Other, |error| FaultKind::of(&error));
            self.retry_connect(exchange, kind);
        } else if writable {
            self.check_handshake(exchange);
        }
    }

    /// The socket is connected; a TLS handshake is part of the connect, as for TCP.
    fn check_handshake(&mut self, exchange: &mut Exchange) {
        let server = self.channel(Side::Upstream);
        let shaken = server.map(|(mut server, io)| server.shake_hands(io.kernel, io.supplies));
        match shaken {
            Some(Handshake::Done) => self.on_connected(exchange, false),
            Some(Handshake::Failed(_)) => self.retry_connect(exchange, FaultKind::Tls),
            Some(Handshake::Waiting) | None => {}
        }
    }

    /// An attempt to connect has failed: another server, if there is one.
    pub(super) fn retry_connect(&mut self, exchange: &mut Exchange, kind: FaultKind) {
        if self.on_connect_failed(exchange, kind) {
            self.find_server(exchange, Some(kind));
        }
    }

    /// Says whether another attempt is to be made; if not, the client is answered.
    fn on_connect_failed(&mut self, exchange: &mut Exchange, kind: FaultKind) -> bool {
        self.has_acted = true;
        if let Some((upstream, server)) = Self::server(exchange) {
            self.account.server_failed(upstream, server, kind);
            let connection = self.connection.upstream.and_then(|id| self.upstreams.connection(id));
            let session = connection.and_then(|connection| connection.session.as_deref());
            if let Some(failure) = session.and_then(|session| session.handshake_failure(kind)) {
                self.account.server_tls_failed(upstream, server, failure);
            }
            if kind != FaultKind::Exhausted {
                self.observe(exchange, false);
            }
        }
        self.drop_server(exchange);
        let may_retry = exchange.progress.connect_failed() == AfterFailure::Retry
            && (!needs_budget(kind) || self.has_retry(exchange));
        if !may_retry {
            self.fail(exchange, status_of_connect(kind), CloseReason::of_connect(kind));
        } else if let Some(upstream) = exchange.upstream {
            self.account.retried(upstream);
        }
        may_retry
    }

    /// Takes what a retry costs from the upstream's budget, if there is enough.
    fn has_retry(&self, exchange: &Exchange) -> bool {
        exchange.upstream.is_some_and(|upstream| {
            self.roster.upstream(upstream).state.retries.withdraw(milliseconds(self.now))
        })
    }

    /// Moves the request on.
    pub(super) fn advance_request(&mut self, exchange: &mut Exchange) {
        if exchange.progress.is_waiting() {
            self.check_connect(exchange);
        }
        if exchange.progress.is_sending() && !exchange.has_sent_head {
            self.send_request_head_from_unread(exchange);
        }
        if exchange.progress.is_sending() {
            self.pump(exchange, Direction::Upstream);
        }
    }

    fn send_request_head_from_unread(&mut self, exchange: &mut Exchange) {
        self.with_unread(Direction::Upstream, |turn, bytes| {
            Used::up_to(turn.send_request_head(exchange, bytes))
        });
    }

    /// Sends the rewritten head, and with it what of the body is in `rest`. Returns how much of
    /// that was used.
    fn send_request_head(&mut self, exchange: &mut Exchange, rest: &[u8]) -> usize {
        exchange.has_sent_head = true;
        let Some(http) = self.http() else { return 0 };
        let Some(forward) = self.route(exchange).and_then(|route| route.action.forward()) else {
            return 0;
        };
        let keeps_alive = self.plan.pool_idle_max[forward.upstream.index()] > 0;
        let rewrite = RequestRewrite {
            host: &forward.host,
            path: &forward.path,
            edits: &forward.request_headers,
            forwarded: &http.forwarded,
            keeps_alive: keeps_alive && !self.is_draining,
        };
        let mut head = std::mem::take(&mut self.desk.head);
        let mut tail = std::mem::take(&mut self.desk.tail);
        head.clear();
        tail.clear();
        // With TLS it has gone out before the handshake.
        let upstream = &self.config.upstreams[forward.upstream.index()];
        if upstream.tls.is_none() {
            introduced(self.connection).write_proxy_header(self.kernel, upstream, &mut head);
        }
        rewrite::request(&exchange.request, &rewrite, &self.context(exchange), &mut head);
        let direction = Direction::Upstream;
        let taken = self.take_body(exchange, direction, rest, &mut tail);
        if let Some((_, verbatim)) = taken {
            let parts = [IoSlice::new(&head), IoSlice::new(&rest[..verbatim]), IoSlice::new(&tail)];
            let more = self.goes_on_unseen(exchange, direction);
            self.put_before(direction, &parts, more);
        }
        (self.desk.head, self.desk.tail) = (head, tail);
        taken.map_or(rest.len(), |(used, _)| used)
    }

    /// What heads may tell of the connections around an exchange.
    pub(super) fn context<'s>(&'s self, exchange: &'s Exchange) -> Context<'s> {
        let server = Self::server(exchange);
        let name = |(upstream, server)| &*self.roster.server(upstream, server).authority;
        let (peer, scheme) = (self.connection.client_address, self.connection.scheme());
        Context {
            peer,
            client: exchange.client.unwrap_or_else(|| Client::of_peer(peer, scheme)),
            local: exchange.local,
            scheme,
            tls: self.connection.tls_context(),
            request_id: &exchange.request_id,
            listener: &self.settings.listener.name,
            upstream: server.map_or("", |(id, _)| &self.config.upstreams[id.index()].name),
            server: server.map_or("", name),
        }
    }

    // When it fails.

    /// Looks whether a socket has failed in this pass.
    pub(super) fn check_faults(&mut self, exchange: &mut Exchange) {
        if self.connection.phase != Phase::Exchanging {
            return;
        }
        let [request, response] = Direction::ALL.map(|it| self.connection.relay.lane(it));
        // Either socket may fail behind the other.
        if let Some(kind) = request.source_fault().or(response.sink_fault()) {
            exchange.end = CloseReason::of_fault(Side::Client, kind);
            self.end(End::cut(exchange.end));
            return;
        }
        let lost = response.source_fault().filter(|_| response.held() == 0);
        if request.sink_fault().is_some() && exchange.progress.is_sending() {
            // The server takes no more; it may have answered all the same.
            exchange.progress.abandon(self.now);
            self.has_acted = true;
        }
        if let (Some(kind), false) = (lost, exchange.progress.is_over()) {
            self.on_server_lost(exchange, kind);
        }
    }

    /// The connection to the server has ended or failed before the response was whole.
    pub(super) fn on_server_lost(&mut self, exchange: &mut Exchange, kind: FaultKind) {
        self.has_acted = true;
        if let Some((upstream, server)) = Self::server(exchange) {
            self.account.server_failed(upstream, server, kind);
        }
        // One that was kept may have been closed for its idleness, which is no fault.
        if !exchange.progress.is_reused() {
            self.observe(exchange, false);
        }
        if !self.send_again(exchange, kind) {
            self.fail(exchange, 502, CloseReason::of_fault(Side::Upstream, kind));
        }
    }

    /// Sends a request again that its server has lost, if that is safe and within the budget. Says
    /// whether it does; the client is answered or waits for another server then.
    pub(super) fn send_again(&mut self, exchange: &mut Exchange, kind: FaultKind) -> bool {
        let is_idempotent = exchange.request.method().is_idempotent();
        let AfterLoss::Retry { is_unseen } = exchange.progress.lost(is_idempotent) else {
            return false;
        };
        if !is_unseen && !self.has_retry(exchange) {
            return false;
        }
        self.drop_server(exchange);
        if let Some(upstream) = exchange.upstream {
            self.account.retried(upstream);
        }
        self.find_server(exchange, Some(kind));
        true
    }

    /// Closes the connection to the server. What is held for it is lost.
    pub(super) fn drop_server(&mut self, exchange: &mut Exchange) {
        self.release_place(exchange);
        if let Some(id) = self.connection.upstream.take() {
            self.upstreams.remove(id, self.account);
        }
        let direction = Direction::Upstream;
        self.connection.relay.lane_mut(direction).fail_sink(FaultKind::Other);
        self.discard(direction);
        exchange.has_sent_head = false;
        exchange.moving = [0; 2];
        for direction in Direction::ALL {
            let lane = self.connection.relay.lane_mut(direction);
            lane.begin(Extent::NONE, RelayMode::Copy);
        }
        self.connection.relay.attach(Side::Upstream, false);
        self.connection.unread[Direction::Downstream.index()] = Default::default();
        if let RequestProgress::Sending { .. } = exchange.progress.request() {
            exchange.progress.abandon(self.now);
        }
    }
}

/// The client, as a server may be told of it.
fn introduced<K: Kernel>(connection: &HttpConnection<K>) -> Introduced<'_, K> {
    Introduced {
        socket: &connection.client,
        address: connection.client_address,
        session: connection.client_tls.as_deref(),
        introduction: connection.introduction.as_deref(),
    }
}
