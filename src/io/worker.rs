//! One worker: its connections, and everything that happens to them in a turn.
//!
//! ```text
//!   on_event() ─ marks, run queue ┐
//!                                 ▼
//!   turn():  accept ──▶ run queue ──▶ deadlines ──▶ flush        next_wake(): when to come back
//!                          │   ▲
//!                          ▼   │ had its turn, not done
//!        connect or drive a connection, or http ──▶ settle ──▶ finish (account)
//! ```
//!
//! A worker shares nothing with the others but the connection limit, what is used up of other
//! limits, and a mailbox for connections that the others hand over. It does not wait: that is left
//! to the event loop, and to the simulation, which plays one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use slab::Slab;

use crate::access_log::AccessLogSink;
use crate::account::{Account, Closed, FLUSH_INTERVAL};
use crate::capacity::Plan;
use crate::config::Config;
use crate::error::{CloseReason, Direction, FaultKind, Side};
use crate::id::{ConnectionId, Generation, Token};
use crate::io::accept::{Acceptor, ConnectionLimit, Pause};
use crate::io::balancer::Balancer;
use crate::io::channel::Channel;
use crate::io::conduit::Supplies;
use crate::io::connection::{Connection, Slot};
use crate::io::drive::{Ends, drive};
use crate::io::handover::Member;
use crate::io::handshake_gate::HandshakeGate;
use crate::io::http::connection::HttpConnection;
use crate::io::http::desk::Desk;
use crate::io::introduction;
use crate::io::kernel::Kernel;
use crate::io::listener_settings::ListenerSettings;
use crate::io::run_queue::{GREETINGS_PER_TURN_MAX, RunQueue, Weight};
use crate::io::timer::Timers;
use crate::io::upstream_pool::UpstreamPool;
use crate::limits::Limits;
use crate::relay::Readiness;
use crate::roster::Roster;
use crate::session::{Expiry, Phase, Session};
use crate::snapshot::WorkerReport;
use crate::tls::store::TlsStore;

/// How often pipes that nobody needed in the meantime are closed.
pub const PIPE_TRIM_INTERVAL: Duration = Duration::from_secs(5);

/// What a worker is made of.
#[derive(Debug)]
pub struct Setup {
    /// Which of the workers this is, from 0.
    pub index: usize,
    /// The configuration.
    pub config: Arc<Config>,
    /// What the process may use.
    pub plan: Arc<Plan>,
    /// The servers.
    pub roster: Arc<Roster>,
    /// The bound that all workers share.
    pub limit: Arc<ConnectionLimit>,
    /// What is used up of the limits of listeners and clients, which all workers share.
    pub limits: Arc<Limits>,
    /// Where finished connections are logged.
    pub access_log: AccessLogSink,
    /// What the control plane reads.
    pub report: Arc<WorkerReport>,
    /// With which settings TLS sessions begin.
    pub tls: Arc<TlsStore>,
    /// [`crate::io::drive::TURN_BYTES_MAX`], or less where a simulation wants to see turns end.
    pub turn_bytes_max: usize,
}

/// When a worker wants its next turn, events aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// At once: something could move.
    Now,
    /// At that time.
    At(Instant),
    /// Not before an event.
    Never,
}

/// One worker.
#[derive(Debug)]
pub struct Worker<K: Kernel> {
    pub(super) kernel: K,
    pub(super) config: Arc<Config>,
    pub(super) plan: Arc<Plan>,
    pub(super) roster: Arc<Roster>,
    /// The settings of each listener, as this worker's own.
    pub(super) listeners: Vec<Arc<ListenerSettings>>,
    /// Of the snapshot that it goes by.
    pub(super) snapshot_generation: u64,
    pub(super) limit: Arc<ConnectionLimit>,
    pub(super) limits: Arc<Limits>,
    /// Open connections that are only told why they are sent away.
    pub(super) turned_away: usize,
    pub(super) member: Member<K::Socket>,
    pub(super) report: Arc<WorkerReport>,
    pub(super) account: Account,
    pub(super) supplies: Supplies<K>,
    /// By the place in [`Token::Listener`].
    pub(super) acceptors: Vec<Option<Acceptor<K::Listener>>>,
    /// Which acceptor was first in the last turn.
    pub(super) accept_first: usize,
    pub(super) pause: Option<Pause>,
    pub(super) connections: Slab<Slot<K>>,
    pub(super) upstreams: UpstreamPool<K>,
    pub(super) desk: Desk,
    pub(super) tls: Arc<TlsStore>,
    pub(super) handshakes: HandshakeGate,
    pub(super) generation: Generation,
    pub(super) run_queue: RunQueue,
    pub(super) timers: Timers,
    pub(super) balancer: Balancer,
    pub(super) flush_at: Option<Instant>,
    pub(super) trim_at: Option<Instant>,
    pub(super) drain_until: Option<Instant>,
    /// A predecessor accepts still.
    pub(super) is_standby: bool,
    /// The drain is one for a successor, which accepts already.
    pub(super) is_handed_over: bool,
    /// When the time of something that was removed from the configuration is over.
    pub(super) retire_at: Option<Instant>,
    pub(super) turn_bytes_max: usize,
    /// What heavy connections may still move in this turn.
    pub(super) turn_bytes_left: usize,
}

impl<K: Kernel> Worker<K> {
    /// A worker without listeners and connections.
    pub fn new(setup: Setup, kernel: K) -> Worker<K> {
        let Setup {
            index: _,
            config,
            plan,
            roster,
            limit,
            limits,
            access_log,
            report,
            tls,
            turn_bytes_max,
        } = setup;
        Worker {
            kernel,
            account: Account::new(Arc::clone(&config), Arc::clone(&roster), access_log),
            supplies: Supplies::new(plan.pipe_memory_per_worker, plan.buffer_memory_per_worker),
            acceptors: Vec::new(),
            accept_first: 0,
            pause: None,
            connections: Slab::new(),
            upstreams: UpstreamPool::new(&roster),
            desk: Desk::new(config.upstreams.len()),
            tls,
            handshakes: HandshakeGate::new(config.process.handshakes_max.get()),
            generation: Generation::default(),
            run_queue: RunQueue::default(),
            timers: Timers::default(),
            balancer: Balancer::default(),
            flush_at: None,
            trim_at: None,
            drain_until: None,
            is_standby: false,
            is_handed_over: false,
            retire_at: None,
            turn_bytes_max,
            turn_bytes_left: 0,
            listeners: ListenerSettings::all(&config, &plan, &[]),
            snapshot_generation: 0,
            config,
            plan,
            roster,
            limit,
            limits,
            turned_away: 0,
            member: Member::alone(),
            report,
        }
    }

    /// Shares new connections with other workers.
    pub fn join(&mut self, member: Member<K::Socket>) {
        self.member = member;
    }

    /// Takes note of an event. One about a connection that is gone is recognised and dropped.
    pub fn on_event(&mut self, token: Token, readiness: Readiness) {
        match token {
            Token::Waker => {}
            Token::Listener(place) => {
                if let Some(Some(acceptor)) = self.acceptors.get_mut(place as usize) {
                    acceptor.ready = true;
                }
            }
            Token::Socket(id, side) => self.on_ready(id, side, readiness),
            Token::Upstream(id) => {
                if let Some(owner) = self.upstreams.on_event(id, readiness, &mut self.account) {
                    self.on_ready(owner, Side::Upstream, readiness);
                }
            }
        }
    }

    fn on_ready(&mut self, id: ConnectionId, side: Side, readiness: Readiness) {
        if let Some(slot) = self.slot(id) {
            slot.on_ready(side, readiness);
            self.enqueue(id);
        }
    }

    /// Does everything that can be done now.
    pub fn turn(&mut self, now: Instant) {
        if self.drain_until.is_some_and(|until| now >= until) {
            self.cut_all(now);
        }
        if self.retire_at.is_some_and(|at| now >= at) {
            self.cut_retired(now);
        }
        self.supplies.records.begin_turn(now);
        for arrival in self.member.take() {
            self.open(arrival, now);
        }
        self.accept_all(now);
        // Those that queue themselves again wait for the next turn, after new events.
        for _ in 0..self.run_queue.light_count() {
            let Some(id) = self.run_queue.pop_light() else { break };
            self.run(id, now);
        }
        self.turn_bytes_left = self.turn_bytes_max;
        while self.turn_bytes_left > 0 {
            let Some(id) = self.run_queue.pop_heavy() else { break };
            self.run(id, now);
        }
        for _ in 0..GREETINGS_PER_TURN_MAX {
            let Some(id) = self.run_queue.pop_greeting() else { break };
            self.run(id, now);
        }
        while let Some(id) = self.timers.pop_due(now) {
            self.expire(id, now);
        }
        self.upstreams.sweep(now, &mut self.account);
        self.serve_queues(now);
        self.keep_house(now);
    }

    /// When [`Worker::turn`] should be called next if no event comes before.
    pub fn next_wake(&self) -> Wake {
        let can_accept = self.acceptors.iter().flatten().any(|acceptor| acceptor.ready);
        let can_accept = can_accept && !self.is_standby;
        if (can_accept && self.pause.is_none()) || !self.run_queue.is_empty() {
            return Wake::Now;
        }
        let resume = self.pause.filter(|_| can_accept).map(|pause| pause.until);
        let sweep_at = self.upstreams.next_sweep();
        let ends = [self.drain_until, self.retire_at];
        [self.timers.next(), resume, self.flush_at, self.trim_at, sweep_at]
            .into_iter()
            .chain(ends)
            .flatten()
            .min()
            .map_or(Wake::Never, Wake::At)
    }

    /// Whether the worker was told to drain and nothing is left.
    pub fn is_drained(&self) -> bool {
        self.drain_until.is_some() && self.connections.is_empty()
    }

    /// The books.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Adds the last counts to the shared metrics; the worker ends.
    pub fn finish_reporting(&mut self) {
        self.account.flush();
        self.publish();
    }

    /// The kernel, for a simulation that plays the other side of it.
    pub fn kernel_mut(&mut self) -> &mut K {
        &mut self.kernel
    }

    /// The supplies, for a simulation that checks what is held.
    pub fn supplies(&self) -> &Supplies<K> {
        &self.supplies
    }

    /// The open connections of TCP, for a simulation that checks what they hold.
    pub fn connections(&self) -> impl Iterator<Item = &Connection<K>> {
        self.connections.iter().filter_map(|(_, slot)| slot.tcp())
    }

    /// The open connections of HTTP, for the same.
    pub fn http_connections(&self) -> impl Iterator<Item = &HttpConnection<K>> {
        self.connections.iter().filter_map(|(_, slot)| slot.http())
    }

    /// The connections to servers that HTTP uses, for the same.
    pub fn upstreams(&self) -> &UpstreamPool<K> {
        &self.upstreams
    }

    pub(super) fn slot(&mut self, id: ConnectionId) -> Option<&mut Slot<K>> {
        let slot = self.connections.get_mut(id.index as usize)?;
        (slot.generation() == Some(id.generation)).then_some(slot)
    }

    pub(super) fn connection(&mut self, id: ConnectionId) -> Option<&mut Connection<K>> {
        lookup(&mut self.connections, id)
    }

    pub(super) fn enqueue(&mut self, id: ConnectionId) {
        let Some(slot) = self.slot(id) else { return };
        if !slot.queue() {
            let weight = slot.weight();
            self.run_queue.push(id, weight);
        }
    }

    // Relaying.

    fn run(&mut self, id: ConnectionId, now: Instant) {
        match self.connections.get(id.index as usize) {
            Some(Slot::Greeting(_)) => return self.run_greeting(id, now),
            Some(Slot::Http(_)) => return self.run_http(id, now),
            Some(Slot::Tcp(_) | Slot::Changing) | None => {}
        }
        let Some(connection) = self.connection(id) else { return };
        connection.queued = false;
        match connection.session.phase() {
            Phase::Queued { .. } => self.settle(id, now),
            Phase::Connecting { .. } => self.check_connect(id, now),
            Phase::Relaying => self.drive(id, now),
            Phase::Resetting { .. } | Phase::Ended(_) => self.settle(id, now),
        }
    }

    pub(super) fn drive(&mut self, id: ConnectionId, now: Instant) {
        let Some(connection) = lookup(&mut self.connections, id) else { return };
        let Some(upstream) = &connection.upstream else { return };
        let listener = connection.listener;
        let limits = &self.config.listeners[listener.index()].limits;
        let throttle = self.limits.throttle(listener, limits, &connection.admission, now);
        let relay = connection.session.relay_mut();
        let pauses = relay.pauses();
        let before = Direction::ALL.map(|direction| *relay.lane(direction).totals());
        let fallbacks = relay.fallbacks();
        let mut ends = Ends {
            client: Channel {
                socket: &connection.client,
                session: connection.client_tls.as_deref_mut(),
            },
            upstream: Some(Channel {
                socket: upstream,
                session: connection.upstream_tls.as_deref_mut(),
            }),
            tokens: Side::ALL.map(|side| Token::Socket(id, side)),
            conduits: &mut connection.conduits,
            pipe_size: self.listeners[listener.index()].plan.relay.pipe_size,
            turn_bytes_max: self.turn_bytes_max,
            throttle,
        };
        let more = drive(&mut self.kernel, &mut self.supplies, &mut ends, relay);

        let (mut has_moved, mut bytes_moved) = (false, 0);
        for direction in Direction::ALL {
            let (was, is) = (before[direction.index()], *relay.lane(direction).totals());
            has_moved |= is != was;
            bytes_moved += (is.read - was.read) as usize;
            if is.delivered != was.delivered {
                let delivered = [0, 1].map(|path| is.delivered[path] - was.delivered[path]);
                self.account.delivered(listener, direction, delivered);
            }
        }
        self.account.paused_since(listener, pauses, relay.pauses());
        let met = relay.fallbacks().without(fallbacks);
        self.account.fell_back(listener, met.iter());
        connection.weight = Weight::of(bytes_moved);
        self.turn_bytes_left = self.turn_bytes_left.saturating_sub(bytes_moved);
        connection.session.on_turn(has_moved, now);
        if more {
            self.enqueue(id);
        }
        self.settle(id, now);
    }

    // Deadlines and the end.

    fn expire(&mut self, id: ConnectionId, now: Instant) {
        match self.connections.get(id.index as usize) {
            Some(Slot::Greeting(_)) => return self.expire_greeting(id, now),
            Some(Slot::Http(_)) => return self.expire_http(id, now),
            Some(Slot::Tcp(_) | Slot::Changing) | None => {}
        }
        let Some(connection) = self.connection(id) else { return };
        connection.armed = None;
        match connection.session.expire(now) {
            Expiry::QueueTimedOut => self.leave_queue(id, CloseReason::QueueTimeout, now),
            Expiry::ConnectTimedOut => self.retry_connect(id, FaultKind::TimedOut, now),
            Expiry::CheckSurvivorQueue(side) => {
                let unsent = self.unsent(id, side);
                self.with_session(id, |session| session.survivor_queue(unsent, now));
                self.settle(id, now);
            }
            Expiry::CheckSendQueues => {
                let unsent = self.unsent(id, Side::Client) + self.unsent(id, Side::Upstream);
                self.with_session(id, |session| session.send_queues(unsent, now));
                self.settle(id, now);
            }
            Expiry::Run => {
                self.keep_upstream_alive(id);
                self.drive(id, now);
            }
            // The first deadline is that of the connect, and it stays armed when the connection
            // stands; only that of a bulk flow comes earlier. So a connection that meets either
            // has lasted.
            Expiry::NotYet => {
                self.keep_upstream_alive(id);
                self.settle(id, now);
            }
            Expiry::Ended => self.settle(id, now),
        }
    }

    pub(super) fn with_session(&mut self, id: ConnectionId, act: impl FnOnce(&mut Session)) {
        if let Some(connection) = self.connection(id) {
            act(&mut connection.session);
        }
    }

    /// What a socket's send queue holds. One that cannot be asked has nothing left to send.
    fn unsent(&mut self, id: ConnectionId, side: Side) -> usize {
        let Some(connection) = lookup(&mut self.connections, id) else { return 0 };
        let socket = match side {
            Side::Client => Some(&connection.client),
            Side::Upstream => connection.upstream.as_ref(),
        };
        socket.map_or(0, |socket| self.kernel.unsent(socket).unwrap_or(0))
    }

    /// After anything has happened to a connection: ends it if it is over, else sees to it that
    /// its deadline is armed. A deadline that has moved away is left to come.
    pub(super) fn settle(&mut self, id: ConnectionId, now: Instant) {
        let Some(connection) = lookup(&mut self.connections, id) else { return };
        match (connection.session.phase(), connection.session.deadline()) {
            (Phase::Ended(reason), _) => self.finish(id, reason, now),
            (_, Some(deadline)) if connection.armed.is_none_or(|armed| deadline < armed) => {
                self.timers.arm(id, &mut connection.armed, deadline);
            }
            _ => {}
        }
    }

    pub(super) fn finish(&mut self, id: ConnectionId, reason: CloseReason, now: Instant) {
        let Some(Slot::Tcp(mut connection)) = self.connections.try_remove(id.index as usize) else {
            return;
        };
        self.timers.disarm(id, &mut connection.armed);
        let Connection {
            listener,
            target,
            mut session,
            client,
            client_address,
            admission,
            client_tls,
            introduction,
            upstream,
            conduits,
            mut upgraded_by,
            ..
        } = connection;
        if let Some(exchange) = &mut upgraded_by {
            exchange.end = reason;
        }
        self.release(target, &mut session);
        for conduit in conduits {
            self.supplies.release(conduit);
        }
        if reason != CloseReason::Completed {
            self.kernel.reset(client);
            if let Some(upstream) = upstream {
                self.kernel.reset(upstream);
            }
        }
        let closed = Closed {
            listener,
            upstream: target,
            client: client_address,
            tls: introduction::client_tls(client_tls.as_deref(), introduction.as_deref()),
            session: &session,
            upgraded_by: upgraded_by.as_deref(),
            reason,
        };
        self.account.closed(closed, now);
        self.on_place_free(listener, admission, now);
    }

    pub(super) fn connection_ids(&self) -> Vec<ConnectionId> {
        let ids = self.connections.iter().filter_map(|(index, slot)| {
            let index = u32::try_from(index).ok()?;
            Some(ConnectionId { index, generation: slot.generation()? })
        });
        ids.collect()
    }

    fn cut_all(&mut self, now: Instant) {
        let ids = self.connection_ids();
        self.report.drain_cut.fetch_add(ids.len() as u64, Ordering::Relaxed);
        for id in ids {
            self.cut(id, now);
        }
    }

    /// Cuts a connection whose time to end by itself is over.
    pub(super) fn cut(&mut self, id: ConnectionId, now: Instant) {
        match self.slot(id) {
            Some(Slot::Tcp(connection)) => {
                connection.session.cut();
                self.settle(id, now);
            }
            Some(Slot::Http(_)) => self.cut_http(id, CloseReason::DrainTimeout, now),
            Some(Slot::Greeting(_)) => self.cut_greeting(id, now),
            Some(Slot::Changing) | None => {}
        }
    }

    // Housekeeping.

    fn keep_house(&mut self, now: Instant) {
        match self.flush_at {
            Some(due) if now >= due => {
                self.account.flush();
                self.publish();
                self.flush_at = None;
            }
            None if self.account.is_dirty() => self.flush_at = Some(now + FLUSH_INTERVAL),
            _ => {}
        }
        let needs_trim = self.supplies.pipes.needs_trim();
        match self.trim_at {
            Some(due) if now >= due => {
                self.supplies.pipes.trim();
                self.publish();
                self.trim_at = None;
            }
            None if needs_trim => self.trim_at = Some(now + PIPE_TRIM_INTERVAL),
            _ => {}
        }
    }

    /// Writes the gauges that the control plane reads.
    pub(super) fn publish(&self) {
        let write = |gauge: &std::sync::atomic::AtomicU64, value| {
            gauge.store(value, Ordering::Relaxed);
        };
        let report = &self.report;
        let pipes = self.supplies.pipes.usage();
        write(&report.connections, self.connections.len() as u64);
        write(&report.connections_retired, self.retired_connections());
        write(&report.pipes_busy, pipes.busy);
        write(&report.pipes_idle, pipes.idle);
        write(&report.pipe_memory_bytes, pipes.memory_bytes);
        write(&report.pipe_held_bytes, self.supplies.piped_bytes);
        write(&report.buffer_held_bytes, self.supplies.stuck_bytes);
        write(&report.accept_paused, u64::from(self.pause.is_some()));
    }
}

/// The connection of TCP that an id names, unless it is gone and its place taken by another.
pub(super) fn lookup<K: Kernel>(
    connections: &mut Slab<Slot<K>>,
    id: ConnectionId,
) -> Option<&mut Connection<K>> {
    let connection = connections.get_mut(id.index as usize)?.tcp_mut()?;
    (connection.generation == id.generation).then_some(connection)
}
