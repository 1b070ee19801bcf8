//! Connections to servers that serve one request after the other, of whichever clients.
//!
//! ```text
//!   opened ──▶ Serving(owner) ──release()──▶ Idle ──take()──▶ Serving(another owner)
//!                  │                           │
//!                  └──remove(): any doubt──▶ closed ◀──an event, too old, too many, drain
//! ```
//!
//! The kernel reports the events of such a connection under a name of its own, so that nothing has
//! to be told to it when the owner changes. An idle connection that has anything to say but
//! "writable" is over: the server has closed it, or has sent what nobody asked for. All events of
//! a poll are taken before any connection is used, so one that is still here when it is taken was
//! alive at the last poll, without a system call to ask. Should it die in between, the request is
//! tried again on another one, where that is safe.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use slab::Slab;

use crate::account::Account;
use crate::id::{ConnectionId, Generation, ServerId, UpstreamConnectionId, UpstreamId};
use crate::io::channel::Channel;
use crate::io::kernel::Kernel;
use crate::relay::Readiness;
use crate::roster::{Roster, UpstreamRoster};
use crate::tls::session::Session;

/// One connection to a server.
#[derive(Debug)]
pub struct UpstreamConnection<K: Kernel> {
    generation: Generation,
    /// The socket.
    pub socket: K::Socket,
    /// The TLS session in front of it.
    pub session: Option<Box<Session>>,
    /// Whose server it is.
    pub upstream: UpstreamId,
    /// Which server of that upstream.
    pub server: ServerId,
    /// It is a unix socket.
    pub is_unix: bool,
    /// Keepalive is on.
    pub keeps_alive: bool,
    /// The connect is over, and went well.
    pub is_connected: bool,
    /// It has served a request before the one that it serves now.
    pub is_reused: bool,
    /// [`UpstreamPool::renew`] was called so often before for its upstream.
    renewals: u32,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Serving { owner: ConnectionId },
    Idle { until: Instant },
}

impl<K: Kernel> UpstreamConnection<K> {
    /// The socket, with its session.
    pub fn channel(&mut self) -> Channel<'_, K> {
        Channel { socket: &self.socket, session: self.session.as_deref_mut() }
    }
}

/// All connections to servers of one worker.
#[derive(Debug)]
pub struct UpstreamPool<K: Kernel> {
    connections: Slab<UpstreamConnection<K>>,
    generation: Generation,
    /// By upstream, then by server: those that wait, the most recently used last.
    idle: Vec<Vec<VecDeque<UpstreamConnectionId>>>,
    idle_count: usize,
    /// By upstream: how often its connections were made anew.
    renewals: Vec<u32>,
    /// When to look for those that have waited too long.
    sweep_at: Option<Instant>,
    /// The worker drains: nothing is kept any more.
    is_closed: bool,
}

impl<K: Kernel> UpstreamPool<K> {
    /// A pool without connections for the servers of a roster.
    pub fn new(roster: &Roster) -> UpstreamPool<K> {
        let idle = |upstream: &Arc<UpstreamRoster>| {
            upstream.servers().iter().map(|_| VecDeque::new()).collect()
        };
        UpstreamPool {
            connections: Slab::new(),
            generation: Generation::default(),
            idle: roster.upstreams().iter().map(idle).collect(),
            idle_count: 0,
            renewals: vec![0; roster.upstreams().len()],
            sweep_at: None,
            is_closed: false,
        }
    }

    /// Servers have come and gone: `after` follows `before`. What waits for those that are gone is
    /// closed.
    pub fn adopt(&mut self, before: &Roster, after: &Roster, account: &mut Account) {
        self.renewals.resize(after.upstreams().len(), 0);
        self.idle.resize_with(after.upstreams().len(), Vec::new);
        for (place, upstream) in after.upstreams().iter().enumerate() {
            let was = before.upstreams().get(place);
            if was.is_some_and(|was| Arc::ptr_eq(was, upstream)) {
                continue;
            }
            let servers = upstream.servers();
            self.idle[place].resize_with(servers.len(), VecDeque::new);
            for (index, server) in servers.iter().enumerate() {
                let is_same = was.and_then(|was| was.servers().get(index)).is_some_and(|was| {
                    was.settings.address == server.settings.address
                        && was.settings.name == server.settings.name
                });
                if server.standing.is_retired() || !is_same {
                    self.close_idle(place, index, account);
                }
            }
        }
    }

    /// The connections to an upstream's servers are made otherwise from now on: none of those that
    /// exist serves another request.
    pub fn renew(&mut self, upstream: UpstreamId, account: &mut Account) {
        let Some(renewals) = self.renewals.get_mut(upstream.index()) else { return };
        *renewals = renewals.wrapping_add(1);
        for server in 0..self.idle[upstream.index()].len() {
            self.close_idle(upstream.index(), server, account);
        }
    }

    fn close_idle(&mut self, upstream: usize, server: usize, account: &mut Account) {
        for id in std::mem::take(&mut self.idle[upstream][server]) {
            self.idle_count -= 1;
            self.remove(id, account);
        }
    }

    /// Adds a connection that is being made, for `owner`.
    pub fn insert(
        &mut self,
        socket: K::Socket,
        upstream: UpstreamId,
        server: ServerId,
        owner: ConnectionId,
    ) -> UpstreamConnectionId {
        self.generation = self.generation.next();
        let index = self.connections.insert(UpstreamConnection {
            generation: self.generation,
            socket,
            session: None,
            upstream,
            server,
            is_unix: false,
            keeps_alive: false,
            is_connected: false,
            is_reused: false,
            renewals: self.renewals[upstream.index()],
            state: State::Serving { owner },
        });
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        UpstreamConnectionId { index, generation: self.generation }
    }

    /// The connection that an id names, unless it is closed.
    pub fn connection(&self, id: UpstreamConnectionId) -> Option<&UpstreamConnection<K>> {
        let connection = self.connections.get(id.index as usize)?;
        (connection.generation == id.generation).then_some(connection)
    }

    /// The same, to be changed.
    pub fn connection_mut(
        &mut self,
        id: UpstreamConnectionId,
    ) -> Option<&mut UpstreamConnection<K>> {
        let connection = self.connections.get_mut(id.index as usize)?;
        (connection.generation == id.generation).then_some(connection)
    }

    /// Takes a connection out, to be closed or used otherwise. It is idle no more.
    pub fn remove(
        &mut self,
        id: UpstreamConnectionId,
        account: &mut Account,
    ) -> Option<UpstreamConnection<K>> {
        self.connection(id)?;
        let connection = self.connections.try_remove(id.index as usize)?;
        if connection.is_connected {
            account.disconnected(connection.upstream, connection.server);
        }
        if let State::Idle { .. } = connection.state {
            account.idle_ended(connection.upstream, connection.server);
        }
        Some(connection)
    }

    /// Takes a connection out that leaves HTTP, and goes on being counted.
    pub fn detach(&mut self, id: UpstreamConnectionId) -> Option<UpstreamConnection<K>> {
        self.connection(id)?;
        self.connections.try_remove(id.index as usize)
    }

    /// The idle connection to a server that was used last, for `owner`.
    pub fn take(
        &mut self,
        upstream: UpstreamId,
        server: ServerId,
        owner: ConnectionId,
        now: Instant,
        account: &mut Account,
    ) -> Option<UpstreamConnectionId> {
        loop {
            let id = self.idle[upstream.index()][server.index()].pop_back()?;
            self.idle_count -= 1;
            let connection = self.connection_mut(id)?;
            if matches!(connection.state, State::Idle { until } if now < until) {
                connection.state = State::Serving { owner };
                connection.is_reused = true;
                account.idle_ended(upstream, server);
                return Some(id);
            }
            self.remove(id, account);
        }
    }

    /// Gives a connection back that is beyond doubt: connected, all of its last response read and
    /// nothing behind that, and the whole request sent. At the bound, the one that has waited
    /// longest makes room.
    pub fn release(
        &mut self,
        id: UpstreamConnectionId,
        idle_max: u32,
        idle_timeout: Duration,
        now: Instant,
        account: &mut Account,
    ) {
        let is_outdated =
            self.connection(id).is_some_and(|it| it.renewals != self.renewals[it.upstream.index()]);
        if self.is_closed || idle_max == 0 || is_outdated {
            self.remove(id, account);
            return;
        }
        let until = now + idle_timeout;
        let Some(connection) = self.connection_mut(id) else { return };
        connection.state = State::Idle { until };
        let (upstream, server) = (connection.upstream, connection.server);
        account.idle_began(upstream, server);
        let idle = &mut self.idle[upstream.index()][server.index()];
        idle.push_back(id);
        let oldest = if idle.len() > idle_max as usize { idle.pop_front() } else { None };
        match oldest {
            Some(oldest) => {
                self.remove(oldest, account);
            }
            None => self.idle_count += 1,
        }
        self.sweep_at = Some(self.sweep_at.map_or(until, |sweep_at| sweep_at.min(until)));
    }

    /// An event. Returns the connection's owner; one without has ended by it.
    pub fn on_event(
        &mut self,
        id: UpstreamConnectionId,
        readiness: Readiness,
        account: &mut Account,
    ) -> Option<ConnectionId> {
        let connection = self.connection(id)?;
        match connection.state {
            State::Serving { owner } => Some(owner),
            State::Idle { .. } => {
                if readiness.readable || readiness.behind || readiness.broken {
                    let (upstream, server) = (connection.upstream, connection.server);
                    let idle = &mut self.idle[upstream.index()][server.index()];
                    // At most `pool.idle_max` of them.
                    idle.retain(|other| *other != id);
                    self.idle_count -= 1;
                    self.remove(id, account);
                }
                None
            }
        }
    }

    /// Closes those that have waited too long.
    pub fn sweep(&mut self, now: Instant, account: &mut Account) {
        if self.sweep_at.is_none_or(|sweep_at| now < sweep_at) {
            return;
        }
        self.sweep_at = None;
        for upstream in 0..self.idle.len() {
            for server in 0..self.idle[upstream].len() {
                while let Some(&id) = self.idle[upstream][server].front() {
                    match self.connection(id).map(|connection| connection.state) {
                        Some(State::Idle { until }) if now < until => {
                            let next = self.sweep_at.map_or(until, |next| next.min(until));
                            self.sweep_at = Some(next);
                            break;
                        }
                        _ => {
                            self.idle[upstream][server].pop_front();
                            self.idle_count -= 1;
                            self.remove(id, account);
                        }
                    }
                }
            }
        }
    }

    /// When [`UpstreamPool::sweep`] should be called next.
    pub fn next_sweep(&self) -> Option<Instant> {
        self.sweep_at
    }

    /// Closes all that wait, and keeps none from now on.
    pub fn close(&mut self, account: &mut Account) {
        self.is_closed = true;
        self.clear(account);
    }

    /// Closes all that wait: their descriptors are needed elsewhere.
    pub fn clear(&mut self, account: &mut Account) {
        let waiting: Vec<_> =
            self.idle.iter_mut().flatten().flat_map(|idle| idle.drain(..)).collect();
        self.idle_count = 0;
        self.sweep_at = None;
        for id in waiting {
            self.remove(id, account);
        }
    }

    /// How many wait.
    pub fn idle(&self) -> usize {
        self.idle_count
    }

    /// How many stand: the others are being made.
    pub fn connected(&self) -> usize {
        self.connections.iter().filter(|(_, connection)| connection.is_connected).count()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.connections.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }
}
