//! Listening sockets of one worker, and when accepting pauses.
//!
//! Accepting pauses at the connection limit and when descriptors have run out. It resumes when a
//! connection of this worker ends, and in any case after [`ACCEPT_RETRY_INTERVAL`], since the
//! connection that ends may be another worker's. Clients wait in the kernel's backlog meanwhile.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::balance::attempts::Attempts;
use crate::config::{Protocol, RelayMode};
use crate::error::{CloseReason, Direction, FallbackReason, Side, is_exhaustion};
use crate::id::{ConnectionId, ListenerId, SocketId, Token, UpstreamId};
use crate::io::admission::{Gate, TURNED_AWAY_MAX};
use crate::io::connection::{Accepted, Connection, Slot};
use crate::io::handover::Arrival;
use crate::io::http::connection::HttpConnection;
use crate::io::kernel::Kernel;
use crate::io::worker::Worker;
use crate::limits::Admission;
use crate::metrics::AcceptPause;
use crate::relay::Relay;
use crate::session::Session;

/// Connections that one listener may bring in one turn, so that a flood of new ones does not
/// starve those that exist.
pub const ACCEPTS_PER_TURN_MAX: usize = 64;

/// How often each backlog is emptied before its listener closes: enough for a full one of 4096
/// connections, and an end to it while new ones keep coming.
pub const DRAIN_ACCEPT_ROUNDS_MAX: usize = 4096 / ACCEPTS_PER_TURN_MAX;

/// How long accepting stays paused when no connection of this worker ends.
pub const ACCEPT_RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// A listening socket of a worker.
#[derive(Debug)]
pub struct Acceptor<L> {
    /// Tells the socket apart from all others.
    pub id: SocketId,
    /// The socket.
    pub socket: L,
    /// The listener of the config that it belongs to.
    pub listener: ListenerId,
    /// Clients come over a unix socket, where a short read proves nothing.
    pub is_unix: bool,
    /// The backlog may hold a connection.
    pub ready: bool,
}

/// A pause of accepting. It lasts until an accept succeeds or finds the backlog empty, and is
/// counted once however often that was tried in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// Why.
    pub reason: AcceptPause,
    /// When to try again.
    pub until: Instant,
}

/// What an error of accept asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterError {
    /// The backlog is empty: wait for an event.
    Wait,
    /// Pause: the machine has run out of something, or refuses for a reason that may last.
    Pause(AcceptPause),
    /// That connection was lost before it was accepted; the next may be fine (accept(2)).
    Next,
}

/// What accept(2) reports of a connection that was lost before it was accepted: ECONNABORTED,
/// EPROTO, ENOPROTOOPT, ENETDOWN, ENONET, EHOSTDOWN, EHOSTUNREACH, EOPNOTSUPP, ENETUNREACH, and
/// EINTR.
const CONNECTION_LOST: [i32; 10] = [103, 71, 92, 100, 64, 112, 113, 95, 101, 4];

/// Sorts an error of accept.
pub fn after_error(error: &io::Error) -> AfterError {
    match error.raw_os_error() {
        _ if error.kind() == io::ErrorKind::WouldBlock => AfterError::Wait,
        Some(errno) if is_exhaustion(errno) => AfterError::Pause(AcceptPause::Descriptors),
        Some(errno) if CONNECTION_LOST.contains(&errno) => AfterError::Next,
        // Anything else may be so again at the next try, and trying at once would spin.
        _ => AfterError::Pause(AcceptPause::Refused),
    }
}

/// The bound on client connections of all workers together. Touched once for each connection,
/// never for bytes.
#[derive(Debug)]
pub struct ConnectionLimit {
    open: AtomicUsize,
    max: AtomicUsize,
}

impl ConnectionLimit {
    /// None open yet, `max` allowed.
    pub fn new(max: usize) -> ConnectionLimit {
        ConnectionLimit { open: AtomicUsize::new(0), max: AtomicUsize::new(max) }
    }

    /// Takes a place for one connection, if there is one.
    #[must_use]
    pub fn take(&self) -> bool {
        // A count and nothing else: no other memory is published with it.
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        if before >= self.max.load(Ordering::Relaxed) {
            self.give_back();
            return false;
        }
        true
    }

    /// Another bound. Connections beyond it go on.
    pub fn change(&self, max: usize) {
        self.max.store(max, Ordering::Relaxed);
    }

    /// Gives a place back.
    pub fn give_back(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Connections open now.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

impl<K: Kernel> Worker<K> {
    /// Accepts from every listener that may have something, a bounded number from each.
    pub(super) fn accept_all(&mut self, now: Instant) {
        if self.is_standby {
            return;
        }
        // Each turn another one is first, or the first would take every place that becomes free
        // at the limit of connections.
        self.accept_first = self.accept_first.wrapping_add(1);
        for offset in 0..self.acceptors.len() {
            if self.pause.is_some_and(|pause| now < pause.until) {
                return;
            }
            let place = self.accept_first.wrapping_add(offset) % self.acceptors.len();
            if self.acceptors[place].as_ref().is_some_and(|acceptor| acceptor.ready) {
                self.accept_from(place, now);
            }
        }
    }

    /// Accepts a bounded number of connections. Returns whether there may be more at once.
    pub(super) fn accept_from(&mut self, place: usize, now: Instant) -> bool {
        for _ in 0..ACCEPTS_PER_TURN_MAX {
            let Some(acceptor) = &mut self.acceptors[place] else { return false };
            if !self.limit.take() {
                let listener = acceptor.listener;
                self.pause_accepting(listener, AcceptPause::Connections, now);
                return false;
            }
            match self.kernel.accept(&acceptor.socket) {
                Ok((socket, address)) => {
                    let (listener, is_unix) = (acceptor.listener, acceptor.is_unix);
                    self.pause = None;
                    let arrival = Arrival { listener, is_unix, socket, address };
                    if let Some(arrival) = self.member.hand_over(arrival) {
                        self.open(arrival, now);
                    }
                }
                Err(error) => {
                    self.limit.give_back();
                    match after_error(&error) {
                        AfterError::Next => {}
                        AfterError::Wait => {
                            acceptor.ready = false;
                            self.pause = None;
                            return false;
                        }
                        AfterError::Pause(AcceptPause::Descriptors)
                            if self.supplies.pipes.usage().idle > 0 =>
                        {
                            self.supplies.pipes.clear();
                        }
                        AfterError::Pause(AcceptPause::Descriptors)
                            if self.upstreams.idle() > 0 =>
                        {
                            self.upstreams.clear(&mut self.account);
                        }
                        AfterError::Pause(reason) => {
                            let listener = acceptor.listener;
                            self.pause_accepting(listener, reason, now);
                            return false;
                        }
                    }
                }
            }
        }
        true
    }

    fn pause_accepting(&mut self, listener: ListenerId, reason: AcceptPause, now: Instant) {
        if self.pause.is_none_or(|pause| pause.reason != reason) {
            self.account.accept_paused(listener, reason);
        }
        self.pause = Some(Pause { reason, until: now + ACCEPT_RETRY_INTERVAL });
    }

    pub(super) fn open(&mut self, arrival: Arrival<K::Socket>, now: Instant) {
        let Arrival { listener, is_unix, socket: client, address: client_address } = arrival;
        self.account.opened(listener);
        self.generation = self.generation.next();
        let generation = self.generation;
        let mut accepted = Accepted {
            generation,
            listener,
            client,
            client_address,
            is_unix,
            accepted_at: now,
            admission: Admission::NONE,
            refusal: None,
            session: None,
            introduction: None,
        };
        let settings = &self.config.listeners[listener.index()];
        // Who comes through a proxy is not known before its header.
        if settings.proxy_protocol.is_none() {
            let gate = Gate {
                limits: &self.limits,
                account: &mut self.account,
                listener: settings,
                may_answer: self.turned_away < TURNED_AWAY_MAX,
                now,
            };
            if let Err(reason) = gate.admit(&mut accepted) {
                return self.refuse_at_accept(accepted, reason, now);
            }
        }
        let index = u32::try_from(self.connections.insert(Slot::Changing)).unwrap_or(u32::MAX);
        let id = ConnectionId { index, generation };
        if self.kernel.watch(&accepted.client, Token::Socket(id, Side::Client)).is_err() {
            self.connections.remove(index as usize);
            self.kernel.reset(accepted.client);
            self.account.left(listener, CloseReason::ConnectFailed, Duration::ZERO);
            return self.on_place_free(listener, accepted.admission, now);
        }
        self.welcome(id, accepted, now);
    }

    /// The connection of a client begins that is known well enough, in a place that is kept for
    /// it. `target` is where its bytes go, where that depends on what it asks for.
    pub(super) fn begin(
        &mut self,
        id: ConnectionId,
        accepted: Accepted<K::Socket>,
        target: Option<UpstreamId>,
        now: Instant,
    ) {
        let settings = Arc::clone(&self.listeners[accepted.listener.index()]);
        let place = id.index as usize;
        match &settings.listener.protocol {
            Protocol::Tcp(target) => self.begin_tcp(id, accepted, *target, now),
            Protocol::Sni(sni) => {
                // A greeting has found one of the routes, of which there is always one.
                let target = target.unwrap_or_else(|| sni.routes[0].upstream());
                self.begin_tcp(id, accepted, target, now);
            }
            Protocol::Http(http) => {
                self.turned_away += usize::from(accepted.refusal.is_some());
                let connection = HttpConnection::new(accepted, Arc::clone(&settings), http, now);
                self.connections[place] = Slot::Http(connection);
                self.settle_http(id, now);
            }
        }
    }

    fn begin_tcp(
        &mut self,
        id: ConnectionId,
        accepted: Accepted<K::Socket>,
        target: UpstreamId,
        now: Instant,
    ) {
        let session = self.new_session(&accepted, target, now);
        let connection = Connection::new(accepted, target, session);
        self.connections[id.index as usize] = Slot::Tcp(connection);
        self.roster.upstream(target).state.retries.deposit(self.retry_share(target));
        self.begin_connect(id, None, now);
    }

    /// What each client or request earns of a retry, in thousandths.
    fn retry_share(&self, target: UpstreamId) -> u32 {
        self.config.upstreams[target.index()].balancing.retries.budget
    }

    /// The session of a client that is about to be connected to a server of `target`.
    fn new_session(
        &mut self,
        accepted: &Accepted<K::Socket>,
        target: UpstreamId,
        now: Instant,
    ) -> Session {
        let Accepted { listener, is_unix, accepted_at, .. } = *accepted;
        let settings = &self.listeners[listener.index()];
        let mode = settings.tcp_mode(accepted.session.is_some());
        let timeouts = settings.listener.timeouts;
        let mut relay = Relay::new(mode, settings.listener.relay.low_water);
        if let Some(reason) = settings.fallback() {
            relay.fall_back(reason);
            self.account.fell_back(listener, std::iter::once(reason));
        }
        let has_tls =
            [accepted.session.is_some(), self.config.upstreams[target.index()].tls.is_some()];
        for side in Side::ALL.into_iter().filter(|side| has_tls[side.index()]) {
            relay.secure(side);
        }
        if has_tls != [false; 2] && mode != RelayMode::Copy {
            relay.fall_back(FallbackReason::Tls);
            self.account.fell_back(listener, std::iter::once(FallbackReason::Tls));
        }
        if is_unix {
            relay.lane_mut(Direction::Upstream).source_is_unix();
        }
        let retries = self.config.upstreams[target.index()].balancing.retries.max;
        let attempts = Attempts::new(retries, now);
        Session::new(relay, timeouts, attempts, accepted_at, now)
    }

    /// Takes what is in the backlogs already, and closes the listeners.
    pub(super) fn stop_accepting(&mut self, now: Instant) {
        for acceptor in self.acceptors.iter_mut().flatten() {
            // The event of a client that has just come may stand behind the word to drain.
            acceptor.ready = true;
        }
        for _ in 0..DRAIN_ACCEPT_ROUNDS_MAX {
            self.accept_all(now);
        }
        self.leave_listeners(now);
    }

    /// Closes the listeners. Where another process holds their sockets too, what is in the backlogs
    /// stays there.
    pub(super) fn leave_listeners(&mut self, now: Instant) {
        for acceptor in self.acceptors.drain(..).flatten() {
            // Closing is not enough where workers share a socket: the poll would go on reporting
            // it for as long as another worker has it open (epoll(7)).
            let _unwatched = self.kernel.unwatch_listener(&acceptor.socket).is_ok();
        }
        self.pause = None;
        for arrival in self.member.close() {
            self.open(arrival, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds() {
        let limit = ConnectionLimit::new(2);
        assert!(limit.take() && limit.take());
        assert!(!limit.take());
        assert_eq!(limit.open(), 2);
        limit.give_back();
        assert!(limit.take());
    }

    #[test]
    fn errors_are_sorted() {
        let check = |errno, expected| {
            assert_eq!(after_error(&io::Error::from_raw_os_error(errno)), expected, "{errno}");
        };
        check(11, AfterError::Wait); // EAGAIN
        check(24, AfterError::Pause(AcceptPause::Descriptors)); // EMFILE
        check(23, AfterError::Pause(AcceptPause::Descriptors)); // ENFILE
        check(12, AfterError::Pause(AcceptPause::Descriptors)); // ENOMEM
        check(22, AfterError::Pause(AcceptPause::Refused)); // EINVAL
        check(13, AfterError::Pause(AcceptPause::Refused)); // EACCES
        check(103, AfterError::Next); // ECONNABORTED
        check(113, AfterError::Next); // EHOSTUNREACH
    }
}
