//! Workers and the control plane at the same servers, with time as an argument.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use super::assign::{Assigned, Request};
use super::state::Order;
use super::*;
use crate::balance::attempts::Tried;
use crate::balance::pick::Standing;
use crate::balance::random::Random;
use crate::config::balancing::{Balancing, HealthCheck, Probe};
use crate::health::checker::{Health, Thresholds};
use crate::health::passive::Ejection;

const APP: UpstreamId = UpstreamId(0);
const SECOND: Duration = Duration::from_secs(1);

struct Case {
    roster: Roster,
    balancing: Balancing,
    random: Random,
    start: Instant,
}

impl Case {
    fn new(servers: usize, change: impl Fn(usize, &mut ServerSettings)) -> Case {
        let start = Instant::now();
        let server = |index: usize| {
            let address = format!("10.0.0.{}:80", index + 1).parse().unwrap();
            let mut settings = ServerSettings::new(address);
            change(index, &mut settings);
            settings
        };
        let servers: Vec<_> = (0..servers).map(server).collect();
        let roster = Roster::default().with_servers(APP, &servers, start, start);
        let balancing = Balancing::default();
        Case { roster, balancing, random: Random::new(1), start }
    }

    fn servers(&self) -> &UpstreamRoster {
        self.roster.upstream(APP)
    }

    fn assign(&mut self, at: Duration) -> Assigned {
        let tried = Tried::default();
        let request = Request { key: 0, bound_to: None, tried: &tried };
        let servers = Arc::clone(self.roster.upstream(APP));
        servers.assign(&self.balancing, &request, &mut self.random, self.start + at)
    }

    /// Who gets how many of `requests`, each over at once.
    fn count(&mut self, requests: usize, at: Duration) -> Vec<usize> {
        let mut counts = vec![0; self.servers().servers().len()];
        for _ in 0..requests {
            if let Assigned::Server(server) = self.assign(at) {
                counts[server.index()] += 1;
                self.servers().release(server);
            }
        }
        counts
    }

    fn observe(&self, server: u32, succeeded: bool, at: Duration) -> Option<Ejection> {
        let ejection = &self.balancing.ejection;
        self.servers().observe(ServerId(server), ejection, succeeded, self.start + at)
    }

    fn standing(&self, server: u32, at: Duration) -> Standing {
        self.servers().standing(ServerId(server), &self.balancing, self.start + at)
    }
}

/// Shares begin anew wherever a turn was interrupted: one more or less is as it should be.
fn expect_about(counts: &[usize], expected: [usize; 2]) {
    let off = counts.iter().zip(expected).map(|(count, it)| count.abs_diff(it));
    assert!(off.max() <= Some(1), "{counts:?}, and not {expected:?}");
}

#[test]
fn places_are_taken_and_given_back() {
    let max = NonZeroU32::new(2);
    let mut case = Case::new(2, |_, server| server.connections_max = max);
    let now = Duration::ZERO;
    let taken: Vec<_> = (0..4).map(|_| case.assign(now)).collect();
    assert!(taken.iter().all(|it| matches!(it, Assigned::Server(_))), "{taken:?}");
    assert_eq!(case.assign(now), Assigned::Full);
    case.servers().release(ServerId(1));
    assert_eq!(case.assign(now), Assigned::Server(ServerId(1)));
    assert_eq!(case.assign(now), Assigned::Full);
    assert!(case.servers().servers().iter().all(|server| server.state.active() == 2));
}

#[test]
fn an_operator_has_the_last_word() {
    let mut case = Case::new(2, |_, _| {});
    let state = Arc::clone(&case.roster.server(APP, ServerId(0)).state);
    let now = case.start;
    for order in [Order::Drain, Order::Down] {
        state.set_order(order, now);
        assert_eq!(case.count(4, SECOND), [0, 4]);
    }
    state.set_order(Order::Up, now);
    expect_about(&case.count(40, SECOND), [20, 20]);
    state.set_weight(Some(3));
    expect_about(&case.count(40, SECOND), [30, 10]);
    state.set_weight(Some(0));
    assert_eq!(case.count(4, SECOND), [0, 4]);
    state.set_weight(None);
    expect_about(&case.count(40, SECOND), [20, 20]);
}

#[test]
fn ejection_ends_by_a_trial_and_a_slow_start() {
    let mut case = Case::new(2, |_, _| {});
    case.balancing.slow_start = 100 * SECOND;
    let errors = case.balancing.ejection.limits.consecutive;
    let ejected = (0..errors).find_map(|_| case.observe(0, false, SECOND));
    assert_eq!(ejected, Some(Ejection::Ejected { duration: 10_000 }));
    assert_eq!(case.count(4, 2 * SECOND), [0, 4]);
    assert_eq!((0..99).find_map(|_| case.observe(1, false, SECOND)), None, "half may be ejected");
    let over = 12 * SECOND;
    assert_eq!(case.standing(0, over), Standing::Trial);
    assert_eq!(case.assign(over), Assigned::Server(ServerId(0)));
    assert_eq!(case.count(4, over), [0, 4], "one request tries it");
    assert_eq!(case.observe(0, true, over), Some(Ejection::Returned));
    let counts = case.count(110, over);
    assert!((5..=15).contains(&counts[0]), "a tenth of its weight: {counts:?}");
    let counts = case.count(110, over + 100 * SECOND);
    assert!(counts[0].abs_diff(55) <= 5, "and all of it in the end: {counts:?}");
}

#[test]
fn a_server_that_is_full_keeps_its_trial() {
    let max = NonZeroU32::new(1);
    let is_first = |index| index == 0;
    let limit = |index, server: &mut ServerSettings| {
        server.connections_max = max.filter(|_| is_first(index));
    };
    let mut case = Case::new(2, limit);
    // A connection that lasts longer than its server is ejected.
    while case.assign(SECOND) != Assigned::Server(ServerId(0)) {}
    let errors = case.balancing.ejection.limits.consecutive;
    assert!((0..errors).find_map(|_| case.observe(0, false, SECOND)).is_some());
    let over = 12 * SECOND;
    assert_eq!(case.count(4, over), [0, 4]);
    assert_eq!(case.standing(0, over), Standing::Ejected, "there is no place for a trial");
    case.servers().release(ServerId(0));
    assert_eq!(case.standing(0, over), Standing::Trial);
    assert_eq!(case.assign(over), Assigned::Server(ServerId(0)));
    assert_eq!(case.observe(0, true, over), Some(Ejection::Returned));
}

#[test]
fn what_probes_say_counts_only_where_there_are_some() {
    let mut case = Case::new(2, |_, _| {});
    let now = case.start;
    case.roster.server(APP, ServerId(0)).state.set_health(Health::Down, now);
    assert_eq!(case.count(4, SECOND), [2, 2]);
    case.balancing.health = Some(HealthCheck {
        probe: Probe::Tcp,
        interval: SECOND,
        timeout: SECOND,
        thresholds: Thresholds { rise: 1, fall: 1 },
    });
    assert_eq!(case.count(4, SECOND), [0, 4]);
    case.roster.server(APP, ServerId(1)).state.set_health(Health::Down, now);
    assert_eq!(case.assign(SECOND), Assigned::Nobody);
    case.balancing.fails_open = true;
    expect_about(&case.count(40, SECOND), [20, 20]);
}

#[test]
fn a_server_that_is_gone_leaves_its_place_among_the_ejected() {
    let mut case = Case::new(2, |_, _| {});
    let errors = case.balancing.ejection.limits.consecutive;
    assert!((0..errors).find_map(|_| case.observe(0, false, SECOND)).is_some());
    assert_eq!(case.servers().state.ejected.now(), 1);
    let left = case.servers().servers()[1].settings.clone();
    let other = ServerSettings::new("10.0.0.9:80".parse().unwrap());
    let (now, until) = (case.start + SECOND, case.start + 30 * SECOND);
    let after = case.roster.with_servers(APP, &[left, other], now, until);
    assert_eq!(case.servers().state.ejected.now(), 1, "it may come to nothing");
    after.pardon_gone(now);
    case.roster = after;
    assert_eq!(case.servers().state.ejected.now(), 0);
    assert_eq!(case.observe(0, false, SECOND), None, "nobody counts what it does");
    let joined = case.servers().members()[1];
    let state = &case.roster.server(APP, joined).state;
    assert!(state.up_for(u64::MAX / 2).is_some(), "what joins warms up");
}

/// A reload lists the servers with addresses first, and then those for which names stand.
#[test]
fn a_server_that_a_reload_lists_again_stays_ejected() {
    let mut case = Case::new(2, |_, _| {});
    let errors = case.balancing.ejection.limits.consecutive;
    assert!((0..errors).find_map(|_| case.observe(0, false, SECOND)).is_some());
    let all: Vec<_> =
        case.servers().servers().iter().map(|server| server.settings.clone()).collect();
    let (now, until) = (case.start + SECOND, case.start + 30 * SECOND);
    let without_names = case.roster.with_servers(APP, &all[1..], now, until);
    case.roster = without_names.with_servers(APP, &all, now, until);
    case.roster.pardon_gone(now);
    assert_eq!(case.standing(0, SECOND), Standing::Ejected);
    assert_eq!(case.servers().state.ejected.now(), 1);
}
