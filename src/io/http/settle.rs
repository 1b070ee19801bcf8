//! HTTP connections among the others of a worker: opened, run, looked after, taken out.

use std::sync::Arc;
use std::time::Instant;

use crate::balance::attempts::Attempts;
use crate::error::{CloseReason, FaultKind, Side};
use crate::exchange::phase::{End, Phase};
use crate::exchange::progress::Overdue;
use crate::id::{ConnectionId, Token};
use crate::io::channel::Channel;
use crate::io::connection::{Connection, Slot};
use crate::io::http::run::{Turn, socket_of};
use crate::io::kernel::Kernel;
use crate::io::listener_settings::ListenerSettings;
use crate::io::run_queue::Weight;
use crate::io::worker::Worker;
use crate::relay::Readiness;
use crate::session::Session;

impl<K: Kernel> Turn<'_, K> {
    /// Time has passed: what was waited for too long is given up. Returns whether anything was.
    fn expire(&mut self) -> bool {
        if self.connection.relay.resume(self.now) {
            return true;
        }
        if self.connection.tail.take_due(self.now) {
            self.connection.relay.on_tail();
            return true;
        }
        let deadline = self.connection.phase.deadline();
        if deadline.is_some_and(|deadline| self.now < deadline) {
            return false;
        }
        let mut slot = self.connection.exchange.take();
        let has_expired = match (self.connection.phase, &mut slot) {
            (Phase::Ended(_) | Phase::Upgraded, _) => false,
            (Phase::Idle { is_first, .. }, _) => {
                let reason = match is_first {
                    true => CloseReason::RequestTimeout,
                    false => CloseReason::KeepAliveTimeout,
                };
                self.end(End::orderly(reason));
                true
            }
            (Phase::Lingering { reason, .. }, _) => {
                self.end(End::orderly(reason));
                true
            }
            (Phase::Cutting { reason, mut watch }, _) => {
                let left = self.kernel.unsent(&self.connection.client).unwrap_or(0);
                if watch.is_over(self.now) || watch.seen(left, self.now) {
                    self.end(End::cut(reason));
                } else {
                    self.connection.phase = Phase::Cutting { reason, watch };
                }
                true
            }
            (Phase::Head { .. }, Some(exchange)) => {
                self.connection.phase = Phase::Exchanging;
                exchange.keeps_client = false;
                self.fail(exchange, 408, CloseReason::RequestTimeout);
                true
            }
            (Phase::Exchanging, Some(exchange)) => match exchange.progress.expire(self.now) {
                Overdue::Nothing => false,
                Overdue::Queue => {
                    self.fail(exchange, 503, CloseReason::QueueTimeout);
                    true
                }
                Overdue::Connect => {
                    self.retry_connect(exchange, FaultKind::TimedOut);
                    true
                }
                Overdue::Silence(direction) => {
                    let socket = socket_of(self.connection, self.upstreams, direction.sink());
                    // One that cannot be asked has nothing left to send.
                    let left = socket.map_or(0, |it| self.kernel.unsent(it).unwrap_or(0));
                    match exchange.progress.send_queue(direction, left, self.now) {
                        None => false,
                        Some(timeout) => {
                            self.on_timeout(exchange, timeout);
                            true
                        }
                    }
                }
            },
            (Phase::Head { .. } | Phase::Exchanging, None) => {
                self.end(End::cut(CloseReason::ClientError));
                true
            }
        };
        self.connection.exchange = slot;
        has_expired
    }
}

impl<K: Kernel> Worker<K> {
    /// What holds for the exchange of an HTTP connection, or for its next one.
    fn http_settings(&mut self, id: ConnectionId) -> Option<Arc<ListenerSettings>> {
        let slot = self.connections.get_mut(id.index as usize)?;
        let connection = slot.http_mut().filter(|it| it.generation == id.generation)?;
        let newest = &self.listeners[connection.listener.index()];
        // Nothing was decided of a request whose head is not whole.
        let is_between =
            connection.exchange.is_none() || matches!(connection.phase, Phase::Head { .. });
        if is_between && !Arc::ptr_eq(newest, &connection.settings) {
            connection.settings = Arc::clone(newest);
        }
        Some(Arc::clone(&connection.settings))
    }

    /// A turn of an HTTP connection, unless it is gone.
    fn http_turn<'a>(
        &'a mut self,
        id: ConnectionId,
        settings: &'a ListenerSettings,
        now: Instant,
    ) -> Option<Turn<'a, K>> {
        let slot = self.connections.get_mut(id.index as usize)?;
        let connection = slot.http_mut().filter(|it| it.generation == id.generation)?;
        let newest = &self.listeners[connection.listener.index()];
        let is_retired = newest.listener.standing.is_retired();
        Some(Turn {
            id,
            connection,
            kernel: &mut self.kernel,
            supplies: &mut self.supplies,
            upstreams: &mut self.upstreams,
            balancer: &mut self.balancer,
            account: &mut self.account,
            desk: &mut self.desk,
            tls: &self.tls,
            limits: &self.limits,
            config: &self.config,
            settings,
            newest,
            plan: &self.plan,
            roster: &self.roster,
            now,
            is_draining: self.drain_until.is_some() || is_retired,
            keeps_promises: self.is_handed_over && !is_retired,
            budget: self.turn_bytes_max,
            has_acted: false,
            has_moved: false,
            keeps_back: [false; 2],
        })
    }

    /// Has an HTTP connection do what it can.
    pub(in crate::io) fn run_http(&mut self, id: ConnectionId, now: Instant) {
        let turn_bytes_max = self.turn_bytes_max;
        let Some(settings) = self.http_settings(id) else { return };
        let Some(mut turn) = self.http_turn(id, &settings, now) else { return };
        turn.connection.queued = false;
        let more = turn.run();
        let bytes = turn_bytes_max - turn.budget;
        turn.connection.weight = Weight::of(bytes);
        self.turn_bytes_left = self.turn_bytes_left.saturating_sub(bytes);
        if more {
            self.enqueue(id);
        }
        self.settle_http(id, now);
    }

    /// The deadline of an HTTP connection has come, or one that has moved away since.
    pub(in crate::io) fn expire_http(&mut self, id: ConnectionId, now: Instant) {
        let Some(settings) = self.http_settings(id) else { return };
        let Some(mut turn) = self.http_turn(id, &settings, now) else { return };
        turn.connection.armed = None;
        if turn.expire() && turn.run() {
            self.enqueue(id);
        }
        self.settle_http(id, now);
    }

    /// Serves a request that has waited for a server to have room. Says whether it waits no more.
    pub(in crate::io) fn serve_queued_http(&mut self, id: ConnectionId, now: Instant) -> bool {
        let Some(settings) = self.http_settings(id) else { return true };
        let Some(mut turn) = self.http_turn(id, &settings, now) else { return true };
        let is_served = turn.serve_queued();
        if is_served && turn.run() {
            self.enqueue(id);
        }
        self.settle_http(id, now);
        is_served
    }

    /// The worker drains.
    pub(in crate::io) fn drain_http(&mut self, now: Instant) {
        self.upstreams.close(&mut self.account);
        for id in self.connection_ids() {
            let Some(settings) = self.http_settings(id) else { continue };
            let Some(mut turn) = self.http_turn(id, &settings, now) else { continue };
            if turn.drain() {
                self.enqueue(id);
            }
            self.settle_http(id, now);
        }
    }

    /// A reload has changed the settings of the listener from what they `were`. An exchange under
    /// way keeps them but for the way that its bytes take.
    pub(in crate::io) fn change_http(
        &mut self,
        id: ConnectionId,
        was: &ListenerSettings,
        now: Instant,
    ) {
        let Some(settings) = self.http_settings(id) else { return };
        let Some(mut turn) = self.http_turn(id, &settings, now) else { return };
        if let Some(exchange) = turn.connection.exchange.take() {
            turn.change_mode(&exchange, was.relay(exchange.route).mode);
            turn.connection.exchange = Some(exchange);
        }
        if turn.is_draining && turn.drain() {
            self.enqueue(id);
        }
        self.settle_http(id, now);
    }

    /// An HTTP connection is cut, whatever it is doing.
    pub(in crate::io) fn cut_http(&mut self, id: ConnectionId, reason: CloseReason, now: Instant) {
        let Some(settings) = self.http_settings(id) else { return };
        let Some(mut turn) = self.http_turn(id, &settings, now) else { return };
        turn.cut(reason);
        self.settle_http(id, now);
    }

    /// After anything has happened to an HTTP connection: takes it out if it is over, makes it one
    /// of TCP if it has left HTTP, else sees to it that its deadline is armed.
    pub(in crate::io) fn settle_http(&mut self, id: ConnectionId, now: Instant) {
        let Some(slot) = self.connections.get_mut(id.index as usize) else { return };
        let Some(connection) = slot.http_mut() else { return };
        let deadline = match connection.phase {
            Phase::Ended(end) => return self.finish_http(id, end, now),
            Phase::Upgraded => return self.upgrade(id, now),
            Phase::Exchanging => {
                let exchange = connection.exchange.as_ref();
                let silent = exchange.and_then(|exchange| exchange.progress.deadline());
                [silent, connection.tail.deadline()].into_iter().flatten().min()
            }
            phase => phase.deadline(),
        };
        let deadline = [deadline, connection.relay.paused_until()].into_iter().flatten().min();
        if let Some(deadline) = deadline
            && connection.armed.is_none_or(|armed| deadline < armed)
        {
            self.timers.arm(id, &mut connection.armed, deadline);
        }
    }

    pub(in crate::io) fn finish_http(&mut self, id: ConnectionId, end: End, now: Instant) {
        let Some(Slot::Http(mut connection)) = self.connections.try_remove(id.index as usize)
        else {
            return;
        };
        self.timers.disarm(id, &mut connection.armed);
        connection.unread = Default::default();
        connection.count_unread(&mut self.supplies);
        for conduit in connection.conduits {
            self.supplies.release(conduit);
        }
        if end.is_cut {
            self.kernel.reset(connection.client);
        } else if let Some(session) = connection.client_tls.as_deref_mut() {
            // Told already, in most cases; if not, what was sent has its end in itself.
            let mut client = Channel { socket: &connection.client, session: Some(session) };
            let _is_told = client.shut_down(&mut self.kernel);
        }
        let total = now.saturating_duration_since(connection.accepted_at);
        self.account.left(connection.listener, end.reason, total);
        self.turned_away -= usize::from(connection.refusal.is_some());
        self.on_place_free(connection.listener, connection.admission, now);
    }

    /// Makes an HTTP connection that was upgraded one of TCP, in the same place.
    fn upgrade(&mut self, id: ConnectionId, now: Instant) {
        let Some(place) = self.connections.get_mut(id.index as usize) else { return };
        let Slot::Http(mut http) = std::mem::replace(place, Slot::Changing) else { return };
        let token = Token::Socket(id, Side::Upstream);
        let server = http.upstream.filter(|upstream| {
            let server = self.upstreams.connection(*upstream);
            server.is_some_and(|it| self.kernel.rewatch(&it.socket, token, true).is_ok())
        });
        let (Some(upstream), Some(mut exchange)) = (
            server.and_then(|upstream| self.upstreams.detach(upstream)),
            http.exchange.take_if(|_| server.is_some()),
        ) else {
            *place = Slot::Http(http);
            return self.cut_http(id, CloseReason::UpstreamError, now);
        };
        let settings = &http.settings.listener;
        let attempts = exchange.progress.attempts().copied();
        let attempts = attempts.unwrap_or_else(|| Attempts::new(0, now)).standing();
        // From here on it is the session that the server counts.
        let _moved = exchange.progress.take_place();
        let (timeouts, accepted_at) = (settings.timeouts, http.accepted_at);
        *place = Slot::Tcp(Connection {
            generation: http.generation,
            listener: http.listener,
            target: upstream.upstream,
            session: Session::relaying(http.relay, timeouts, attempts, accepted_at, now),
            client: http.client,
            client_tls: http.client_tls,
            introduction: http.introduction,
            client_address: http.client_address,
            admission: http.admission,
            upstream: Some(upstream.socket),
            upstream_tls: upstream.session,
            connect_events: Readiness::default(),
            is_announced: true,
            keeps_alive: upstream.keeps_alive,
            conduits: http.conduits,
            upgraded_by: Some(exchange),
            armed: http.armed,
            weight: http.weight,
            queued: http.queued,
        });
        self.enqueue(id);
        self.settle(id, now);
    }
}
