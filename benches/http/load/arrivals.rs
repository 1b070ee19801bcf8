//! Clients that come when their time has come, each with a connection and a request, whatever
//! became of those before them.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use slab::Slab;

use crate::rig::load::events::{Event, Events};
use crate::rig::load::http::clients;
use crate::rig::load::http::endpoint::{Endpoint, Received, Scratch};
use crate::rig::load::http::ends::{self, Clients};
use crate::rig::load::http::origin::Origin;
use crate::rig::load::http::transport::Proxy;
use crate::rig::load::http::wire::Exchange;
use crate::rig::load::{Gauge, Latencies, Load};

/// How long a client waits for all of its response.
const CLIENT_PATIENCE: Duration = Duration::from_secs(1);

/// Clients at once. With this many waiting, those to come do not come.
const CLIENTS_MAX: usize = 8192;

/// How often it is looked whose time has come.
const TICK_MILLISECONDS: u16 = 1;

/// What became of clients, those that were served aside: the load's units count them.
#[derive(Debug, Default)]
pub struct Outcomes {
    offered: AtomicU64,
    turned_away: AtomicU64,
}

impl Outcomes {
    /// Clients that came.
    pub fn offered(&self) -> u64 {
        self.offered.load(Ordering::Relaxed)
    }

    /// Clients whose connection was refused or broken, or whose patience came to its end.
    pub fn turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::Relaxed)
    }
}

/// `rate` clients a second at `proxy`, and the origin behind it. The load's units are responses
/// that came in time, and latencies are theirs.
pub fn start(
    origin: TcpListener,
    proxy: SocketAddr,
    exchange: Exchange,
    rate: f64,
    outcomes: &Arc<Outcomes>,
) -> Load {
    let mut load = Load::new();
    let outcomes = Arc::clone(outcomes);
    load.spawn(move |gauge| {
        let crowd = Crowd {
            proxy: proxy.into(),
            exchange: &exchange,
            gauge,
            outcomes: &outcomes,
            rate,
            started: Instant::now(),
            come: 0,
            scratch: Scratch::new(),
            clients: Slab::new(),
            waiting: VecDeque::new(),
            latencies: Latencies::new(),
        };
        ends::drive(Origin::new(origin, &exchange, gauge), crowd, gauge)
    });
    load
}

struct Crowd<'a> {
    proxy: Proxy,
    exchange: &'a Exchange,
    gauge: &'a Gauge,
    outcomes: &'a Outcomes,
    /// Clients a second.
    rate: f64,
    started: Instant,
    /// Clients whose time has come.
    come: u64,
    scratch: Scratch,
    clients: Slab<Client>,
    /// When each of the clients came, in that order; some are gone already.
    waiting: VecDeque<(Instant, usize)>,
    latencies: Latencies,
}

struct Client {
    endpoint: Endpoint,
    came_at: Instant,
}

/// What became of a client.
enum Outcome {
    Served,
    TurnedAway,
}

impl Clients for Crowd<'_> {
    fn wait(&mut self, events: &mut Events) -> io::Result<usize> {
        self.lose_patience();
        let due = (self.started.elapsed().as_secs_f64() * self.rate) as u64;
        while self.come < due {
            self.come += 1;
            if self.clients.len() < CLIENTS_MAX {
                self.enter(events);
            }
        }
        events.wait(TICK_MILLISECONDS)
    }

    fn advance(&mut self, event: Event, _events: &Events) -> io::Result<()> {
        if let Some(outcome) = self.outcome(event) {
            self.leave(event.key, &outcome);
        }
        Ok(())
    }

    fn into_latencies(self) -> Latencies {
        self.latencies
    }
}

impl Crowd<'_> {
    fn enter(&mut self, events: &Events) {
        self.outcomes.offered.fetch_add(1, Ordering::Relaxed);
        let came_at = Instant::now();
        let entry = self.clients.vacant_entry();
        let key = entry.key();
        match clients::open(&self.proxy, self.exchange, events, key) {
            Ok(endpoint) => {
                entry.insert(Client { endpoint, came_at });
                self.waiting.push_back((came_at, key));
            }
            Err(_) => self.turn_away(),
        }
    }

    /// What the event means for its client, if it is there to the end.
    fn outcome(&mut self, event: Event) -> Option<Outcome> {
        let client = self.clients.get_mut(event.key)?;
        let endpoint = &mut client.endpoint;
        if endpoint.is_sending() && event.writable && endpoint.send(&self.exchange.request).is_err()
        {
            return Some(Outcome::TurnedAway);
        }
        if !event.readable {
            return None;
        }
        match endpoint.receive(&mut self.scratch, event.ending) {
            Ok(Received::Part) => None,
            Ok(Received::Whole) if endpoint.message.body() == self.exchange.response_body => {
                Some(Outcome::Served)
            }
            // Another status than 200 is an error as well.
            Ok(Received::Whole | Received::End) | Err(_) => Some(Outcome::TurnedAway),
        }
    }

    /// Its socket is closed with it.
    fn leave(&mut self, key: usize, outcome: &Outcome) {
        let client = self.clients.remove(key);
        match outcome {
            Outcome::Served => {
                self.gauge.add(1);
                if self.gauge.is_window_open() {
                    self.latencies.push(client.came_at.elapsed().as_nanos() as u64);
                }
            }
            Outcome::TurnedAway => self.turn_away(),
        }
    }

    fn turn_away(&self) {
        self.outcomes.turned_away.fetch_add(1, Ordering::Relaxed);
    }

    fn lose_patience(&mut self) {
        while let Some((came_at, key)) = self.waiting.front().copied() {
            if came_at.elapsed() < CLIENT_PATIENCE {
                return;
            }
            self.waiting.pop_front();
            // The place may have a later client by now.
            if self.clients.get(key).is_some_and(|client| client.came_at == came_at) {
                self.leave(key, &Outcome::TurnedAway);
            }
        }
    }
}
