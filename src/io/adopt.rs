//! A worker takes over what the control plane has published: a configuration that follows the one
//! in force, servers that came or went, sockets to accept from.
//!
//! ```text
//!   adopt():  cut what has lost its place ─▶ books, pools, bounds ─▶ sockets ─▶ connections
//!                                                                                 │
//!        TCP: mode and timeouts at once     HTTP: between requests      retired: ─┴▶ drain, and
//!                                                                        cut at their deadline
//! ```
//!
//! Connections of listeners that have not changed are not even looked into.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::balance::attempts::Attempts;
use crate::config::Config;
use crate::config::succession::Standing;
use crate::error::Direction;
use crate::id::{ConnectionId, ListenerId, ServerId, SocketId, Token, UpstreamId};
use crate::io::accept::{Acceptor, DRAIN_ACCEPT_ROUNDS_MAX};
use crate::io::connection::Slot;
use crate::io::kernel::Kernel;
use crate::io::listener_settings::ListenerSettings;
use crate::io::worker::Worker;
use crate::roster::{Roster, Server};
use crate::snapshot::Snapshot;

/// A listening socket that a worker is to accept from.
#[derive(Debug)]
pub struct Offer<L> {
    /// Tells it apart from all others.
    pub id: SocketId,
    /// The socket.
    pub socket: L,
    /// The listener that it belongs to now.
    pub listener: ListenerId,
    /// Clients come over a unix socket.
    pub is_unix: bool,
}

/// What a connection stands on.
#[derive(Debug, Clone, Copy)]
struct Footing {
    listener: ListenerId,
    upstream: Option<UpstreamId>,
    server: Option<ServerId>,
}

impl Footing {
    fn of<K: Kernel>(slot: &Slot<K>) -> Option<Footing> {
        Some(match slot {
            Slot::Greeting(greeting) => Footing {
                listener: greeting.accepted.listener,
                upstream: greeting.target,
                server: None,
            },
            Slot::Tcp(connection) => Footing {
                listener: connection.listener,
                upstream: Some(connection.target),
                server: connection.session.server(),
            },
            Slot::Http(connection) => {
                let exchange = connection.exchange.as_deref();
                let upstream = exchange.and_then(|it| it.upstream);
                let attempts = exchange.and_then(|it| it.progress.attempts());
                let server = attempts.and_then(Attempts::server);
                Footing { listener: connection.listener, upstream, server }
            }
            Slot::Changing => return None,
        })
    }

    /// Until when the connection may go on; `None` while all that it stands on is in force.
    fn retired_until(self, config: &Config, roster: &Roster) -> Option<Instant> {
        let listener = config.listeners.get(self.listener.index()).map(|it| it.standing);
        let upstream = self.upstream.and_then(|id| config.upstreams.get(id.index()));
        let server = self.upstream.zip(self.server);
        let server = server.map(|(upstream, server)| roster.server(upstream, server).standing);
        let standings = [listener, upstream.map(|it| it.standing), server];
        standings.into_iter().flatten().filter_map(Standing::retired_until).min()
    }
}

/// The places that others have from now on.
#[derive(Debug)]
struct Reassigned {
    listeners: Vec<bool>,
    upstreams: Vec<bool>,
    servers: Vec<Vec<bool>>,
}

impl Reassigned {
    fn between(before: (&Config, &Roster), after: (&Config, &Roster)) -> Reassigned {
        let listeners = before.0.listeners.iter().zip(&after.0.listeners);
        let upstreams = before.0.upstreams.iter().zip(&after.0.upstreams);
        let rosters = before.1.upstreams().iter().zip(after.1.upstreams());
        let is_another = |(was, is): (&Arc<Server>, &Arc<Server>)| {
            was.settings.name != is.settings.name || was.settings.address != is.settings.address
        };
        let servers = rosters.map(|(was, is)| match Arc::ptr_eq(was, is) {
            true => Vec::new(),
            false => was.servers().iter().zip(is.servers()).map(is_another).collect(),
        });
        Reassigned {
            listeners: listeners.map(|(was, is)| was.identity() != is.identity()).collect(),
            upstreams: upstreams.map(|(was, is)| was.name != is.name).collect(),
            servers: servers.collect(),
        }
    }

    fn is_any(&self) -> bool {
        let servers = self.servers.iter().flatten();
        self.listeners.iter().chain(&self.upstreams).chain(servers).any(|is| *is)
    }

    fn has(&self, footing: Footing) -> bool {
        let is = |list: &[bool], place: usize| list.get(place).copied().unwrap_or(false);
        let upstream = footing.upstream.map(UpstreamId::index);
        let servers = upstream.and_then(|place| self.servers.get(place));
        is(&self.listeners, footing.listener.index())
            || upstream.is_some_and(|place| is(&self.upstreams, place))
            || servers.zip(footing.server).is_some_and(|(list, server)| is(list, server.index()))
    }
}

impl<K: Kernel> Worker<K> {
    /// Goes by `snapshot` from now on, and accepts from `sockets` and from no others. What is in
    /// the backlog of one that is not among them is taken first.
    pub fn adopt(&mut self, snapshot: &Snapshot, sockets: Vec<Offer<K::Listener>>, now: Instant) {
        self.snapshot_generation = snapshot.generation;
        self.cut_what_has_lost_its_place(snapshot, now);
        let before = self.take_over(snapshot);
        self.change_sockets(sockets, now);
        self.change_connections(&before, now);
        self.retire_at = self.next_retirement(now);
        self.report.generation.store(snapshot.generation, Ordering::Relaxed);
        self.publish();
    }

    /// The generation of the snapshot that it goes by.
    pub fn snapshot_generation(&self) -> u64 {
        self.snapshot_generation
    }

    /// A place is given to another only after the time of whoever had it is over. A worker that
    /// has not seen that time pass catches up here.
    fn cut_what_has_lost_its_place(&mut self, snapshot: &Snapshot, now: Instant) {
        let reassigned =
            Reassigned::between((&self.config, &self.roster), (&snapshot.config, &snapshot.roster));
        if reassigned.is_any() {
            self.cut_where(|footing| reassigned.has(footing), now);
        }
    }

    /// Takes over everything that is not a connection or a socket. Returns the settings of the
    /// listeners as they were.
    fn take_over(&mut self, snapshot: &Snapshot) -> Vec<Arc<ListenerSettings>> {
        // The books first: pools close what is in them.
        let config = Arc::clone(&snapshot.config);
        let roster = Arc::clone(&snapshot.roster);
        self.account.adopt(Arc::clone(&config), roster, snapshot.access_log.clone());
        self.upstreams.adopt(&self.roster, &snapshot.roster, &mut self.account);
        for (place, (was, is)) in self.config.upstreams.iter().zip(&config.upstreams).enumerate() {
            let is_reached_otherwise = (&was.tls, was.proxy_protocol, was.source)
                != (&is.tls, is.proxy_protocol, is.source);
            // What waits for an upstream that is gone must not be there when its place is given
            // to another.
            if is_reached_otherwise || is.standing.is_retired() {
                let upstream = UpstreamId(u32::try_from(place).unwrap_or(u32::MAX));
                self.upstreams.renew(upstream, &mut self.account);
            }
        }
        self.config = config;
        self.plan = Arc::clone(&snapshot.plan);
        self.roster = Arc::clone(&snapshot.roster);
        self.limits = Arc::clone(&snapshot.limits);
        self.tls = Arc::clone(&snapshot.tls);
        let upstreams = self.config.upstreams.len();
        self.desk.adopt(upstreams);
        self.limit.change(self.plan.connections_max);
        self.handshakes.limit(self.config.process.handshakes_max.get());
        self.supplies.pipes.limit_memory(self.plan.pipe_memory_per_worker);
        self.supplies.stuck_bytes_max = self.plan.buffer_memory_per_worker;
        let settings = ListenerSettings::all(&self.config, &self.plan, &self.listeners);
        std::mem::replace(&mut self.listeners, settings)
    }

    fn change_sockets(&mut self, sockets: Vec<Offer<K::Listener>>, now: Instant) {
        if self.drain_until.is_some() {
            return;
        }
        let mut offered: Vec<Option<Offer<K::Listener>>> = sockets.into_iter().map(Some).collect();
        for place in 0..self.acceptors.len() {
            let Some(acceptor) = &mut self.acceptors[place] else { continue };
            let kept =
                offered.iter_mut().find_map(|offer| offer.take_if(|offer| offer.id == acceptor.id));
            match kept {
                // The same socket may belong to a listener that has taken its address over.
                Some(offer) => acceptor.listener = offer.listener,
                None => self.leave(place, now),
            }
        }
        for offer in offered.into_iter().flatten() {
            let listener = offer.listener;
            if let Err(error) = self.add_socket(offer) {
                // Others have the address too, and a reload that comes tries again.
                let name = &self.config.listeners[listener.index()].name;
                tracing::error!(listener = name, %error, "a worker cannot watch a socket");
            }
        }
    }

    /// Takes what is in a backlog already, and lets go of the socket.
    fn leave(&mut self, place: usize, now: Instant) {
        // What is in a backlog is the predecessor's while there is one.
        let rounds = if self.is_standby { 0 } else { DRAIN_ACCEPT_ROUNDS_MAX };
        for _ in 0..rounds {
            match &mut self.acceptors[place] {
                // The event of a client that has just come may stand behind the word to leave.
                Some(acceptor) => acceptor.ready = true,
                None => return,
            }
            if !self.accept_from(place, now) {
                break;
            }
        }
        if let Some(acceptor) = self.acceptors[place].take() {
            // Closing is not enough where workers share a socket: see `stop_accepting`.
            let _unwatched = self.kernel.unwatch_listener(&acceptor.socket).is_ok();
        }
    }

    /// Begins to accept from a socket.
    ///
    /// # Errors
    /// The kernel cannot watch it.
    pub fn add_socket(&mut self, offer: Offer<K::Listener>) -> std::io::Result<()> {
        let Offer { id, socket, listener, is_unix } = offer;
        let free = self.acceptors.iter().position(Option::is_none);
        let place = free.unwrap_or(self.acceptors.len());
        let token = Token::Listener(u32::try_from(place).unwrap_or(u32::MAX));
        self.kernel.watch_listener(&socket, token)?;
        let acceptor = Some(Acceptor { id, socket, listener, is_unix, ready: true });
        match self.acceptors.get_mut(place) {
            Some(empty) => *empty = acceptor,
            None => self.acceptors.push(acceptor),
        }
        Ok(())
    }

    /// New values reach connections that exist, as far as they may.
    fn change_connections(&mut self, before: &[Arc<ListenerSettings>], now: Instant) {
        let listeners = self.listeners.clone();
        let is_changed: Vec<bool> = listeners
            .iter()
            .enumerate()
            .map(|(place, is)| before.get(place).is_none_or(|was| !Arc::ptr_eq(was, is)))
            .collect();
        if !is_changed.contains(&true) {
            return;
        }
        for id in self.connection_ids() {
            let Some(footing) = self.slot(id).and_then(|slot| Footing::of(slot)) else { continue };
            let place = footing.listener.index();
            if !is_changed[place] {
                continue;
            }
            let Some(was) = before.get(place) else { continue };
            self.join_limits(id, footing.listener, now);
            self.change_connection(id, was, &listeners[place], now);
        }
    }

    fn change_connection(
        &mut self,
        id: ConnectionId,
        was: &Arc<ListenerSettings>,
        is: &Arc<ListenerSettings>,
        now: Instant,
    ) {
        match self.slot(id) {
            Some(Slot::Tcp(connection)) => {
                let route = connection.upgraded_by.as_ref().and_then(|it| it.route);
                let has_session = connection.client_tls.is_some();
                // Records cannot be spliced, whatever is wanted.
                let has_records = has_session || connection.upstream_tls.is_some();
                let mode_in = |settings: &ListenerSettings| match route {
                    Some(_) => settings.relay(route).mode,
                    None => settings.tcp_mode(has_session),
                };
                let mode = mode_in(is);
                let is_same_route = route.is_none() || is.has_routes_of(was);
                if mode != mode_in(was) && is_same_route && !has_records {
                    let relay = connection.session.relay_mut();
                    for direction in Direction::ALL {
                        relay.lane_mut(direction).change_mode(mode);
                    }
                }
                connection.session.change_timeouts(is.listener.timeouts);
                self.settle(id, now);
            }
            Some(Slot::Http(_)) => self.change_http(id, was, now),
            Some(Slot::Greeting(_) | Slot::Changing) | None => {}
        }
    }

    // What is retired.

    /// Cuts what has gone on beyond its time.
    pub(super) fn cut_retired(&mut self, now: Instant) {
        let (config, roster) = (Arc::clone(&self.config), Arc::clone(&self.roster));
        let is_over = |footing: Footing| {
            let until = footing.retired_until(&config, &roster);
            until.is_some_and(|until| until <= now)
        };
        self.cut_where(is_over, now);
        self.retire_at = self.next_retirement(now);
        self.publish();
    }

    fn cut_where(&mut self, is_over: impl Fn(Footing) -> bool, now: Instant) {
        for id in self.connection_ids() {
            let footing = self.slot(id).and_then(|slot| Footing::of(slot));
            if footing.is_some_and(&is_over) {
                self.cut(id, now);
            }
        }
    }

    /// When the time of something that is retired is over next.
    fn next_retirement(&self, now: Instant) -> Option<Instant> {
        let listeners = self.config.listeners.iter().map(|it| it.standing);
        let upstreams = self.config.upstreams.iter().map(|it| it.standing);
        let servers = self.roster.upstreams().iter().flat_map(|it| it.servers());
        let standings = listeners.chain(upstreams).chain(servers.map(|it| it.standing));
        standings.filter_map(Standing::retired_until).filter(|until| *until > now).min()
    }

    /// Connections whose listener, upstream or server is no part of the configuration any more.
    pub(super) fn retired_connections(&self) -> u64 {
        if self.retire_at.is_none() {
            return 0;
        }
        let is_retired = |slot: &Slot<K>| {
            Footing::of(slot)
                .is_some_and(|it| it.retired_until(&self.config, &self.roster).is_some())
        };
        self.connections.iter().filter(|(_, slot)| is_retired(slot)).count() as u64
    }
}
