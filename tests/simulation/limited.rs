//! Bandwidth that is limited, for each client and for all together: whatever happens, no more
//! bytes are read than there were tokens for, nobody who pauses is forgotten, and everything that
//! arrives without limits arrives with them.
//!
//! Bugs that were planted in the proxy by hand, and which check found each:
//!
//! | planted | found by |
//! |---|---|
//! | what was read is given back with the rest | no more bytes than are allowed |
//! | the deadline of a pause is not among those of a session | a lane pauses and nobody wakes it |
//! | the same, of a connection of HTTP | the same |
//!
//! Bugs that were planted in the proxy by hand, and which check found each:
//!
//! | planted | found by |
//! |---|---|
//! | PLANTED |

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use spliceway::config::{Config, RelayMode};
use spliceway::error::Direction;
use spliceway::io::worker::Wake;
use spliceway::limits::bandwidth::Bandwidth;
use spliceway::limits::{Limits, ListenerLimits, Quota};

use crate::http::{PATIENT, SHORT};
use crate::http_plan::Manners;
use crate::world::{Faults, Sabotage, World};
use crate::{MODES, Simulation, for_seeds, http};

/// Different addresses that clients have where bandwidth is limited.
const ADDRESSES: u8 = 3;

/// What may have been read by now.
pub struct Bounds {
    limits: ListenerLimits,
    pub used: Arc<Limits>,
    pub began: Instant,
}

impl Bounds {
    /// Has a configuration and its world know of them.
    pub fn new(limits: ListenerLimits, config: &mut Config, world: &mut World) -> Bounds {
        let began = Instant::now();
        config.listeners[0].limits = limits.clone();
        if limits.is_limited() {
            world.addresses = ADDRESSES;
        }
        let clients_max = config.process.limited_clients_max.get();
        let used = Limits::new([&limits], clients_max, Default::default(), began);
        Bounds { limits, used: Arc::new(used), began }
    }

    pub fn check(&self, world: &World, now: Instant) {
        if !self.limits.is_limited() {
            return;
        }
        let addresses = (0..ADDRESSES.into()).map(|id| world.address_of(id));
        let clients = addresses.map(|address| (address, &self.limits.client));
        for (of, quota) in clients.chain([(None, &self.limits.all)]) {
            self.check_quota(world, of, quota, now);
        }
    }

    fn check_quota(&self, world: &World, of: Option<SocketAddr>, quota: &Quota, now: Instant) {
        let elapsed = now.duration_since(self.began).as_nanos();
        let taken = world.taken(of);
        for direction in Direction::ALL {
            let Some(bandwidth) = quota.bandwidth[direction.index()] else { continue };
            let flown = u128::from(bandwidth.rate) * elapsed / 1_000_000_000;
            let most = u128::from(bandwidth.burst) + flown;
            let taken = u128::from(taken[direction.index()]);
            assert!(taken <= most, "{taken} bytes {direction:?} of {of:?}, and {most} are allowed");
        }
    }
}

/// Whoever pauses is woken when his time comes.
pub fn check_pause(until: Instant, now: Instant, next_wake: Wake) {
    assert!(until > now, "a lane pauses although its time has come");
    let is_armed = matches!(next_wake, Wake::At(next) if next <= until);
    assert!(is_armed, "a lane pauses and nobody wakes it: {next_wake:?}");
}

/// By seed: one of both limits, or both, fast and slow.
fn limits(seed: u64) -> ListenerLimits {
    let bandwidth = |rate: u64| Some(Bandwidth { rate, burst: 4_000 + rate / 10 });
    let quota =
        |rate: u64| Quota { bandwidth: [bandwidth(rate), bandwidth(rate * 2)], ..Quota::default() };
    let rate = [30_000, 100_000, 400_000][seed as usize / 3 % 3];
    let (all, client) = match seed % 3 {
        0 => (quota(rate), Quota::default()),
        1 => (Quota::default(), quota(rate)),
        _ => (quota(rate * 2), quota(rate)),
    };
    ListenerLimits { all, client, ..ListenerLimits::default() }
}

fn run(seed: u64, mode: RelayMode, faults: Faults) -> crate::Seen {
    Simulation::limited(seed, mode, faults, Sabotage::None, limits(seed)).run()
}

#[test]
fn limited_lanes_never_stall_and_never_exceed() {
    let faults = Faults {
        short_splice: 150,
        short_write: 150,
        interrupted_splice: 50,
        spurious_event: 100,
        no_pipe: 100,
        small_pipe: 50,
        splice_refused: 50,
        ..Faults::default()
    };
    for_seeds("limited_lanes_never_stall_and_never_exceed", 0..90, |seed| {
        for mode in MODES {
            run(seed, mode, faults);
        }
    });
}

#[test]
fn limited_lanes_in_a_storm() {
    let faults = Faults { reset: 2, connect_refused: 100, accept_fails: 100, ..Faults::default() };
    for_seeds("limited_lanes_in_a_storm", 0..90, |seed| {
        for mode in MODES {
            run(seed, mode, faults);
        }
    });
}

/// Limits change when bytes arrive, and nothing else.
#[test]
fn what_arrives_is_the_same_with_limits_and_without() {
    for_seeds("what_arrives_is_the_same_with_limits_and_without", 0..45, |seed| {
        let free = Simulation::new(seed, RelayMode::Splice, Faults::default(), Sabotage::None);
        assert_eq!(free.run(), run(seed, RelayMode::Splice, Faults::default()));
    });
}

#[test]
fn http_bodies_are_limited() {
    for_seeds("http_bodies_are_limited", 0..90, |seed| {
        for mode in MODES {
            let (manners, none) = (Manners::default(), Sabotage::None);
            http::Simulation::limited(seed, mode, SHORT, manners, none, PATIENT, limits(seed))
                .run();
        }
    });
}

#[test]
fn http_is_limited_whatever_peers_do() {
    let manners = Manners {
        servers_break: true,
        idle_close: 20,
        clients_half_close: true,
        clients_upgrade: true,
        all_hurry: false,
        ..Manners::default()
    };
    for_seeds("http_is_limited_whatever_peers_do", 0..90, |seed| {
        for mode in MODES {
            let none = Sabotage::None;
            http::Simulation::limited(seed, mode, SHORT, manners, none, PATIENT, limits(seed))
                .run();
        }
    });
}
