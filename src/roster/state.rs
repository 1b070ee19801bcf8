//! What workers and the control plane know of servers, and tell each other: atomics alone.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use crate::balance::candidate::WEIGHT_MAX;
use crate::balance::queue::Waiting;
use crate::balance::retry_budget::RetryBudget;
use crate::balance::round_robin::{RoundRobin, Turn};
use crate::balance::sticky::Signer;
use crate::health::checker::Health;
use crate::health::passive::{EjectedCount, PassiveHealth};

/// Milliseconds from the first call in the process to `now`: what atomics can hold of a time.
/// Never 0.
pub fn milliseconds(now: Instant) -> u64 {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    let passed = now.saturating_duration_since(*ORIGIN.get_or_init(|| now));
    u64::try_from(passed.as_millis()).unwrap_or(u64::MAX).saturating_add(1)
}

/// What an operator has said of a server; HAProxy calls them `ready`, `drain` and `maint`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// It gets its share.
    Up,
    /// It gets nothing new but from clients that are bound to it by a cookie.
    Drain,
    /// It gets nothing new.
    Down,
}

impl Order {
    const ALL: [Order; 3] = [Order::Up, Order::Drain, Order::Down];

    /// As commands, logs and `/status` call it.
    pub fn label(self) -> &'static str {
        match self {
            Order::Up => "up",
            Order::Drain => "drain",
            Order::Down => "down",
        }
    }
}

const HEALTHS: [Health; 3] = [Health::Unchecked, Health::Up, Health::Down];

/// Stands for no weight of an operator's.
const NO_WEIGHT: u32 = u32::MAX;

/// What is known of one server, by all workers and the control plane. It stays while the address
/// does.
#[derive(Debug)]
#[repr(align(128))]
pub struct ServerState {
    /// Connections to it that stand, of all workers. Touched once for each connection, never for
    /// bytes or requests.
    connections: AtomicU64,
    /// Connections of TCP and requests that it was picked for and that are not over.
    active: AtomicU32,
    weight: AtomicU32,
    health: AtomicU8,
    order: AtomicU8,
    up_since: AtomicU64,
    ejections: AtomicU64,
    pub(super) turn: Turn,
    pub(super) passive: PassiveHealth,
}

impl Default for ServerState {
    fn default() -> ServerState {
        ServerState {
            connections: AtomicU64::new(0),
            active: AtomicU32::new(0),
            weight: AtomicU32::new(NO_WEIGHT),
            health: AtomicU8::new(0),
            order: AtomicU8::new(0),
            up_since: AtomicU64::new(0),
            ejections: AtomicU64::new(0),
            turn: Turn::default(),
            passive: PassiveHealth::default(),
        }
    }
}

impl ServerState {
    /// A connection to it stands.
    pub fn connected(&self) {
        // A count and nothing else: no other memory is published with it.
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection to it is closed.
    pub fn disconnected(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// Connections to it that stand, of all workers.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Connections of TCP and requests that it was picked for and that are not over.
    pub fn active(&self) -> u32 {
        self.active.load(Ordering::Relaxed)
    }

    /// Takes one of `max` places, or one without a bound.
    #[must_use]
    pub(super) fn take_place(&self, max: Option<u32>) -> bool {
        let Some(max) = max else {
            self.active.fetch_add(1, Ordering::Relaxed);
            return true;
        };
        let next = |active: u32| (active < max).then_some(active + 1);
        // Sequentially consistent with the look at the queue behind a place that is given back:
        // whoever finds no place is in the queue by then, or sees that one is free.
        self.active.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next).is_ok()
    }

    /// Gives a place back.
    pub(super) fn give_back_place(&self) {
        self.active.fetch_sub(1, Ordering::SeqCst);
    }

    /// What its probes say.
    pub fn health(&self) -> Health {
        HEALTHS[usize::from(self.health.load(Ordering::Relaxed)) % HEALTHS.len()]
    }

    /// Its probes say something else.
    pub fn set_health(&self, health: Health, now: Instant) {
        let is_return = self.health() == Health::Down && health == Health::Up;
        self.health.store(health as u8, Ordering::Relaxed);
        if is_return {
            self.came_up(now);
        }
    }

    /// What an operator has said.
    pub fn order(&self) -> Order {
        Order::ALL[usize::from(self.order.load(Ordering::Relaxed)) % Order::ALL.len()]
    }

    /// An operator has spoken.
    pub fn set_order(&self, order: Order, now: Instant) {
        let is_return = self.order() == Order::Down && order == Order::Up;
        self.order.store(order as u8, Ordering::Relaxed);
        if is_return {
            self.came_up(now);
        }
    }

    /// The weight that an operator has given it in place of the configured one. With 0 it gets
    /// nothing new but from clients that are bound to it.
    pub fn weight(&self) -> Option<u32> {
        Some(self.weight.load(Ordering::Relaxed)).filter(|weight| *weight != NO_WEIGHT)
    }

    /// Gives it another weight, [`WEIGHT_MAX`] at most; `None` for the configured one.
    pub fn set_weight(&self, weight: Option<u32>) {
        let weight = weight.map_or(NO_WEIGHT, |weight| weight.min(WEIGHT_MAX));
        self.weight.store(weight, Ordering::Relaxed);
    }

    /// It gets traffic from now on, after a time without.
    pub fn came_up(&self, now: Instant) {
        self.up_since.store(milliseconds(now), Ordering::Relaxed);
    }

    /// For how long it has been getting traffic; `None` if it was never without.
    pub fn up_for(&self, now: u64) -> Option<Duration> {
        let since = self.up_since.load(Ordering::Relaxed);
        (since > 0).then(|| Duration::from_millis(now.saturating_sub(since)))
    }

    /// Whether it is ejected for its errors.
    pub fn is_ejected(&self) -> bool {
        self.passive.circuit().is_open()
    }

    /// How often it was ejected.
    pub fn ejections(&self) -> u64 {
        self.ejections.load(Ordering::Relaxed)
    }

    pub(super) fn ejected(&self) {
        self.ejections.fetch_add(1, Ordering::Relaxed);
    }
}

/// What the servers of an upstream share. It stays while the upstream does.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct UpstreamState {
    pub(super) turns: RoundRobin,
    /// How many servers are ejected.
    pub ejected: EjectedCount,
    /// Who waits for a server.
    pub waiting: Waiting,
    /// What may be sent again.
    pub retries: RetryBudget,
    /// Signs the cookies of clients that are bound to a server.
    pub signer: ArcSwapOption<Signer>,
}
