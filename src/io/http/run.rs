//! One turn of one HTTP connection: everything that can be done now.

use std::io::IoSlice;
use std::sync::Arc;
use std::time::Instant;

use crate::account::Account;
use crate::capacity::Plan;
use crate::config::{Config, Http};
use crate::error::{CloseReason, Direction, Side};
use crate::exchange::Exchange;
use crate::exchange::phase::{End, Phase};
use crate::id::{ConnectionId, Token};
use crate::io::balancer::Balancer;
use crate::io::channel::{Channel, Outgoing};
use crate::io::conduit::{Conduit, Supplies};
use crate::io::drive::{Ends, drive};
use crate::io::http::connection::HttpConnection;
use crate::io::http::desk::Desk;
use crate::io::kernel::Kernel;
use crate::io::listener_settings::ListenerSettings;
use crate::io::upstream_pool::{UpstreamConnection, UpstreamPool};
use crate::limits::Limits;
use crate::relay::lane::{Drained, Filled};
use crate::roster::Roster;
use crate::tls::store::TlsStore;

/// Exchanges of one connection after which the others have their turn: a client that pipelines
/// many small requests must not starve them.
pub const EXCHANGES_PER_TURN_MAX: usize = 32;

/// A turn of a connection, with all of the worker that it may touch.
#[derive(Debug)]
pub(in crate::io) struct Turn<'a, K: Kernel> {
    pub(in crate::io) id: ConnectionId,
    pub(in crate::io) connection: &'a mut HttpConnection<K>,
    pub(in crate::io) kernel: &'a mut K,
    pub(in crate::io) supplies: &'a mut Supplies<K>,
    pub(in crate::io) upstreams: &'a mut UpstreamPool<K>,
    pub(in crate::io) balancer: &'a mut Balancer,
    pub(in crate::io) account: &'a mut Account,
    pub(in crate::io) desk: &'a mut Desk,
    pub(in crate::io) tls: &'a TlsStore,
    pub(in crate::io) limits: &'a Limits,
    pub(in crate::io) config: &'a Config,
    /// What holds for the exchange under way, or for the next one.
    pub(in crate::io) settings: &'a ListenerSettings,
    /// What holds for exchanges that begin now.
    pub(in crate::io) newest: &'a Arc<ListenerSettings>,
    pub(in crate::io) plan: &'a Plan,
    pub(in crate::io) roster: &'a Roster,
    pub(in crate::io) now: Instant,
    /// No exchange begins any more on a connection that is kept.
    pub(in crate::io) is_draining: bool,
    /// A connection that was promised to be kept serves one more request.
    pub(in crate::io) keeps_promises: bool,
    /// Bytes that may still be read in this turn.
    pub(in crate::io) budget: usize,
    /// Something was done, so something else may be possible.
    pub(in crate::io) has_acted: bool,
    /// A byte moved through a lane.
    pub(in crate::io) has_moved: bool,
    /// The sink of a direction keeps the end of a head back for the body behind it.
    pub(in crate::io) keeps_back: [bool; 2],
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Look at the phase again.
    Go,
    /// Nothing before an event or a deadline.
    Wait,
    /// Let others have their turn, and then go on.
    Yield,
}

/// What reading and writing needs of a worker.
pub(super) struct Means<'a, K: Kernel> {
    pub(super) kernel: &'a mut K,
    pub(super) supplies: &'a mut Supplies<K>,
}

/// What a read by the connection's owner has brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    /// So many bytes are at the beginning of the scratch buffer.
    Bytes(usize),
    /// Nothing: the source is dry, has ended or has failed, as its lane says now.
    Nothing,
}

impl Received {
    /// How many.
    pub(super) fn bytes(self) -> usize {
        match self {
            Received::Bytes(bytes) => bytes,
            Received::Nothing => 0,
        }
    }
}

impl<'a, K: Kernel> Turn<'a, K> {
    /// What the configuration says of the listener. A connection of HTTP belongs to one of HTTP.
    pub(super) fn http(&self) -> Option<&'a Http> {
        self.settings.http()
    }

    /// Whether a reload has changed the settings since the exchange under way began.
    pub(super) fn is_outdated(&self) -> bool {
        !std::ptr::eq(self.settings, &**self.newest)
    }

    /// Does everything that can be done now. Returns whether to come back without an event.
    pub(in crate::io) fn run(&mut self) -> bool {
        let mut slot = self.connection.exchange.take();
        let mut exchanges = 0;
        let more = loop {
            let next = match (self.connection.phase, &mut slot) {
                (Phase::Ended(_) | Phase::Upgraded, _) => break false,
                // The next turn begins with what holds now.
                (Phase::Idle { .. }, None) if self.is_outdated() => break true,
                (Phase::Idle { .. } | Phase::Head { .. }, _) => self.read_request_head(&mut slot),
                (Phase::Exchanging, Some(exchange)) => {
                    let next = self.exchange(exchange);
                    if exchange.progress.is_over() {
                        exchanges += 1;
                        self.conclude(&mut slot);
                    }
                    next
                }
                (Phase::Exchanging, None) => self.end(End::cut(CloseReason::ClientError)),
                (Phase::Lingering { .. }, _) => self.linger(),
                (Phase::Cutting { reason, .. }, _) if self.connection.is_broken => {
                    self.end(End::cut(reason))
                }
                (Phase::Cutting { .. }, _) => Next::Wait,
            };
            match next {
                // An exchange that began with nothing left to read could sleep before bytes that
                // are there.
                Next::Go if exchanges >= EXCHANGES_PER_TURN_MAX || self.budget == 0 => break true,
                Next::Go => {}
                Next::Wait => break false,
                Next::Yield => break true,
            }
        };
        match self.connection.phase {
            Phase::Ended(_) | Phase::Cutting { .. } => self.conclude(&mut slot),
            _ => self.hear_client(),
        }
        self.push_kept_back();
        if let (Some(exchange), Some(_)) = (&mut slot, self.connection.relay.paused_until()) {
            exchange.progress.held_up(self.now);
        }
        self.connection.exchange = slot;
        self.connection.count_unread(self.supplies);
        let awaits_tail = self.connection.relay.awaits_tail();
        self.connection.tail.on_turn(awaits_tail, self.has_moved, self.now);
        more
    }

    /// Moves what there is to move of an exchange, until nothing more is possible.
    fn exchange(&mut self, exchange: &mut Exchange) -> Next {
        loop {
            self.has_acted = false;
            if self.connection.is_broken {
                return self.end(End::cut(CloseReason::ClientReset));
            }
            self.advance_request(exchange);
            self.advance_response(exchange);
            let is_spent = self.drive_lanes();
            self.count(exchange);
            self.check_faults(exchange);
            if exchange.progress.is_over() || self.connection.phase != Phase::Exchanging {
                return Next::Go;
            }
            if is_spent || (self.budget == 0 && self.has_acted) {
                return Next::Yield;
            }
            if !self.has_acted {
                return Next::Wait;
            }
        }
    }

    /// The connection is over.
    pub(super) fn end(&mut self, end: End) -> Next {
        self.connection.phase = Phase::Ended(end);
        Next::Go
    }

    /// Runs both lanes. Returns whether the turn's budget was spent.
    fn drive_lanes(&mut self) -> bool {
        let throttle = self.throttle();
        let connection = &mut *self.connection;
        let relay = &mut connection.relay;
        let pauses = relay.pauses();
        let (fallbacks, read, steps) = (relay.fallbacks(), relay.read(), relay.steps());
        let upstream = connection.upstream.and_then(|id| self.upstreams.connection_mut(id));
        let upstream_token = connection.upstream.map_or(Token::Waker, Token::Upstream);
        let mut ends = Ends {
            client: Channel {
                socket: &connection.client,
                session: connection.client_tls.as_deref_mut(),
            },
            upstream: upstream.map(UpstreamConnection::channel),
            tokens: [Token::Socket(self.id, Side::Client), upstream_token],
            conduits: &mut connection.conduits,
            pipe_size: connection.pipe_size,
            turn_bytes_max: self.budget,
            throttle,
        };
        let delivered = Direction::ALL.map(|direction| relay.lane(direction).delivered());
        let more = drive(self.kernel, self.supplies, &mut ends, relay);
        for direction in Direction::ALL {
            let lane = relay.lane(direction);
            // What a lane holds it will write, and that takes what was kept back along.
            let brought_nothing =
                lane.held() == 0 && lane.delivered() == delivered[direction.index()];
            self.keeps_back[direction.index()] &= brought_nothing;
        }
        let read = usize::try_from(relay.read() - read).unwrap_or(usize::MAX);
        self.budget = self.budget.saturating_sub(read);
        // A lane may have found the end of its source, and moved nothing.
        self.has_acted |= relay.steps() != steps;
        self.account.paused_since(connection.listener, pauses, relay.pauses());
        let met = relay.fallbacks().without(fallbacks);
        self.account.fell_back(connection.listener, met.iter());
        more
    }

    /// Adds what the lanes have delivered since the last time to the books and to the exchange.
    pub(super) fn count(&mut self, exchange: &mut Exchange) {
        for direction in Direction::ALL {
            let is = *self.connection.relay.lane(direction).totals();
            let was = std::mem::replace(&mut self.connection.counted[direction.index()], is);
            if is == was {
                continue;
            }
            (self.has_acted, self.has_moved) = (true, true);
            let delivered = [0, 1].map(|path| is.delivered[path] - was.delivered[path]);
            if delivered != [0, 0] {
                self.account.delivered(self.connection.listener, direction, delivered);
            }
            match direction {
                Direction::Upstream => exchange.progress.sent(delivered.iter().sum(), self.now),
                Direction::Downstream => exchange.progress.delivered(self.now),
            }
        }
    }

    /// A request that nobody takes the rest of may have left the client unheard.
    fn hear_client(&mut self) {
        let change = self.connection.relay.lane_mut(Direction::Upstream).take_hearing_change();
        if let Some(hears) = change {
            let token = Token::Socket(self.id, Side::Client);
            // A socket that is watched can be watched otherwise: the kernel needs no memory for it.
            let _heard = self.kernel.rewatch(&self.connection.client, token, hears).is_err();
        }
    }

    /// What was kept back for bytes that this turn has not brought leaves without them. A socket
    /// that cannot be told is gone, which its next read or write finds out, or is of a family that
    /// keeps nothing back.
    fn push_kept_back(&mut self) {
        for direction in Direction::ALL {
            if std::mem::take(&mut self.keeps_back[direction.index()])
                && let Some((sink, means)) = self.channel(direction.sink())
            {
                let _gone = means.kernel.push(sink.socket).is_err();
            }
        }
    }

    // Reading and writing besides the lanes.

    /// Reads from the source of a lane that is at a boundary, at most `max` bytes, into the
    /// scratch buffer.
    pub(super) fn receive(&mut self, direction: Direction, max: usize) -> Received {
        let source = self.channel(direction.source());
        let Some((mut source, io)) = source else { return Received::Nothing };
        let outcome = source.fill(io.kernel, io.supplies, max);
        self.has_acted = true;
        self.connection.relay.peeked(direction, outcome);
        match outcome {
            Filled::Moved { bytes, .. } => {
                self.budget = self.budget.saturating_sub(bytes);
                Received::Bytes(bytes)
            }
            Filled::WouldBlock | Filled::Eof | Filled::Failed(_) => Received::Nothing,
        }
    }

    /// Puts bytes into a lane, and as many of them as possible into its sink. The lane holds
    /// nothing, or bytes that were put there before.
    pub(super) fn put(&mut self, direction: Direction, parts: &[IoSlice<'_>]) {
        self.put_before(direction, parts, false);
    }

    /// The same. With `more` it is certain that the lane has bytes to bring behind them, likely at
    /// once.
    pub(super) fn put_before(&mut self, direction: Direction, parts: &[IoSlice<'_>], more: bool) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if length == 0 {
            return;
        }
        self.has_acted = true;
        let lane = self.connection.relay.lane_mut(direction);
        let may_send = lane.held() == 0 && lane.sink_is_writable();
        lane.inject(length);
        let conduits = &mut self.connection.conduits;
        let mut conduit = std::mem::replace(&mut conduits[direction.index()], Conduit::Empty);
        let outgoing = Outgoing { parts, may_send, more };
        let (outcome, keeps_back) = match self.channel(direction.sink()) {
            Some((mut sink, io)) => {
                let keeps_back = more && sink.session.is_none();
                (sink.put(io.kernel, io.supplies, &mut conduit, outgoing), keeps_back)
            }
            None => {
                self.supplies.stick(&mut conduit, parts, 0);
                (None, false)
            }
        };
        self.connection.conduits[direction.index()] = conduit;
        self.keeps_back[direction.index()] = keeps_back && outcome == Some(Drained::Moved(length));
        if let Some(outcome) = outcome {
            self.connection.relay.drained(direction, outcome);
        }
    }

    /// One side of the connection, and what is needed to read from it and to write to it.
    pub(super) fn channel(&mut self, side: Side) -> Option<(Channel<'_, K>, Means<'_, K>)> {
        let connection = &mut *self.connection;
        let channel = match side {
            Side::Client => Channel {
                socket: &connection.client,
                session: connection.client_tls.as_deref_mut(),
            },
            Side::Upstream => self.upstreams.connection_mut(connection.upstream?)?.channel(),
        };
        Some((channel, Means { kernel: self.kernel, supplies: self.supplies }))
    }

    /// Throws away what a lane holds whose sink is gone.
    pub(super) fn discard(&mut self, direction: Direction) {
        let conduit =
            std::mem::replace(&mut self.connection.conduits[direction.index()], Conduit::Empty);
        self.supplies.release(conduit);
    }
}

/// The socket of a side, if there is one.
pub(super) fn socket_of<'s, K: Kernel>(
    connection: &'s HttpConnection<K>,
    upstreams: &'s UpstreamPool<K>,
    side: Side,
) -> Option<&'s K::Socket> {
    match side {
        Side::Client => Some(&connection.client),
        Side::Upstream => {
            let upstream = upstreams.connection(connection.upstream?)?;
            Some(&upstream.socket)
        }
    }
}
