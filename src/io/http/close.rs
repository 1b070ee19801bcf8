//! The end of an exchange: what becomes of both connections.

use crate::account::Exchanged;
use crate::config::succession::Standing;
use crate::error::{CloseReason, Direction, Side};
use crate::exchange::Exchange;
use crate::exchange::body::Body;
use crate::exchange::phase::{End, LINGERING_BYTES_MAX, Phase};
use crate::io::channel::ShutDown;
use crate::io::http::connection::Unread;
use crate::io::http::run::{Next, Received, Turn};
use crate::io::introduction;
use crate::io::kernel::Kernel;

/// How much is read to see whether anything stands behind a response.
const PROOF_READ_BYTES: usize = 1024;

const UP: Direction = Direction::Upstream;
const DOWN: Direction = Direction::Downstream;

impl<K: Kernel> Turn<'_, K> {
    /// An exchange is over: it is logged, and its connections go on or end.
    pub(super) fn conclude(&mut self, slot: &mut Option<Box<Exchange>>) {
        let Some(mut exchange) = slot.take() else { return };
        if let Phase::Ended(end) = self.connection.phase {
            exchange.end = end.reason;
        }
        self.count(&mut exchange);
        self.release_server(&mut exchange);
        self.release_place(&mut exchange);
        self.log(&exchange);
        if self.connection.phase == Phase::Exchanging {
            self.go_on(&exchange);
        }
        self.desk.put_back(exchange);
    }

    fn log(&mut self, exchange: &Exchange) {
        let (relay, session) = (&self.connection.relay, self.connection.client_tls.as_deref());
        let introduction = self.connection.introduction.as_deref();
        self.account.exchanged(&Exchanged {
            listener: self.connection.listener,
            peer: self.connection.client_address,
            tls: introduction::client_tls(session, introduction),
            exchange,
            bytes: Direction::ALL.map(|direction| relay.lane(direction).totals().delivered),
            fallbacks: relay.fallbacks(),
            ended_at: self.now,
        });
    }

    /// Keeps the connection to the server where nothing speaks against it, and closes it where
    /// there is any doubt.
    fn release_server(&mut self, exchange: &mut Exchange) {
        let is_whole = exchange.progress.is_over()
            && exchange.progress.has_sent_all()
            && exchange.bodies.iter().all(Body::is_complete)
            && exchange.response.keeps_alive();
        let Some(id) = self.connection.upstream.filter(|_| is_whole) else {
            return self.drop_server(exchange);
        };
        let (Some(upstream), true) = (exchange.upstream, self.is_server_dry()) else {
            return self.drop_server(exchange);
        };
        self.connection.upstream = None;
        let server = Self::server(exchange).map(|(up, it)| self.roster.server(up, it).standing);
        let idle_max = match server.is_some_and(Standing::is_retired) {
            true => 0,
            false => self.plan.pool_idle_max[upstream.index()],
        };
        let idle_timeout = self.config.upstreams[upstream.index()].pool.idle_timeout;
        self.upstreams.release(id, idle_max, idle_timeout, self.now, self.account);
    }

    /// Whether the server has sent nothing behind its response. After a splice only another read
    /// can tell; without a proof, the next client could get what is left of this one's response.
    fn is_server_dry(&mut self) -> bool {
        if !self.connection.unread[DOWN.index()].is_empty() {
            return false;
        }
        if self.connection.relay.lane(DOWN).source_is_readable()
            && self.receive(DOWN, PROOF_READ_BYTES) != Received::Nothing
        {
            return false;
        }
        let lane = self.connection.relay.lane(DOWN);
        !lane.source_is_readable() && !lane.source_has_ended() && lane.source_fault().is_none()
    }

    /// What follows on the client's connection.
    fn go_on(&mut self, exchange: &Exchange) {
        let Some(http) = self.http() else { return };
        let lane = self.connection.relay.lane(UP);
        let is_read = exchange.progress.has_sent_all();
        // While draining, no answer promises to keep the connection; one before may have.
        let may_keep = !self.is_draining || self.keeps_promises;
        if exchange.keeps_client && is_read && !lane.source_has_ended() && may_keep {
            let until = self.now + http.timeouts.keep_alive;
            self.connection.phase = Phase::Idle { until, is_first: false };
            return;
        }
        let is_dry = self.connection.unread[UP.index()].is_empty() && !lane.source_is_readable();
        let reason = exchange.end;
        // What is refused may go on for a while.
        let is_whole = is_read && is_dry && reason == CloseReason::Completed;
        let may_close = is_whole || lane.source_has_ended();
        if may_close && self.connection.client_tls.is_none() {
            self.end(End::orderly(reason));
            return;
        }
        if self.shut_client_down() && may_close {
            self.end(End::orderly(reason));
            return;
        }
        self.connection.unread[UP.index()] = Unread::default();
        if let Some(bytes) = self.connection.relay.lane_mut(UP).take_low_water_change() {
            // With the mark of an upload that nobody takes, less would be heard in vain.
            let _unmarked = self.kernel.set_low_water(&self.connection.client, bytes).is_err();
        }
        let until = self.now + http.timeouts.lingering;
        self.connection.phase = Phase::Lingering { until, left: LINGERING_BYTES_MAX, reason };
    }

    /// Tells the client that nothing more comes. Says whether there was room for that.
    fn shut_client_down(&mut self) -> bool {
        let client = self.channel(Side::Client);
        client.is_none_or(|(mut client, io)| client.shut_down(io.kernel) == ShutDown::Done)
    }

    /// Reads and throws away what the client still sends.
    pub(super) fn linger(&mut self) -> Next {
        // A close_notify that found no room goes out when there is some.
        if self.connection.client_tls.is_some() {
            self.shut_client_down();
        }
        while let Phase::Lingering { left, reason, .. } = self.connection.phase {
            let lane = self.connection.relay.lane(UP);
            if left == 0 || lane.source_has_ended() || lane.source_fault().is_some() {
                return self.end(End::orderly(reason));
            }
            if !lane.source_is_readable() {
                return Next::Wait;
            }
            if self.budget == 0 {
                return Next::Yield;
            }
            let received = self.receive(UP, usize::MAX);
            if let (Phase::Lingering { left, .. }, Received::Bytes(bytes)) =
                (&mut self.connection.phase, received)
            {
                *left = left.saturating_sub(bytes as u64);
            }
        }
        Next::Go
    }

    /// The worker drains: a connection that has nothing to do is closed. A request that has come
    /// already is answered, also one whose event has not; to close on it would be a reset. Returns
    /// whether to come back without an event.
    pub(in crate::io) fn drain(&mut self) -> bool {
        let Phase::Idle { .. } = self.connection.phase else { return false };
        self.connection.relay.lane_mut(UP).on_readable(false);
        let more = self.run();
        if let Phase::Idle { .. } = self.connection.phase {
            self.end(End::orderly(CloseReason::Completed));
        }
        more
    }

    /// The connection is cut, whatever it is doing.
    pub(in crate::io) fn cut(&mut self, reason: CloseReason) {
        self.end(End::cut(reason));
        let mut slot = self.connection.exchange.take();
        self.conclude(&mut slot);
    }
}
