//! What holds for the algorithms, whatever the servers: shares, bounds, and who is asked at all.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use proptest::prelude::*;

use super::attempts::{Attempts, Tried};
use super::candidate::{Candidate, WEIGHT_UNIT};
use super::consistent_hash::{self, BalanceFactor};
use super::pick::{Algorithm, Picked, Standing, View, Wanted, pick};
use super::queue::{Queue, Waiting};
use super::random::{Random, hash};
use super::retry_budget::{BURST, RETRIES_PER_SECOND, RetryBudget};
use super::round_robin::{RoundRobin, Turn};
use super::{least_connections, random_two, slow_start};
use crate::id::ServerId;

struct Server {
    weight: u32,
    active: AtomicU32,
    turn: Turn,
    identity: u64,
}

struct Servers(Vec<Server>);

impl Servers {
    fn new(weights: &[u32]) -> Servers {
        let server = |(index, weight): (usize, &u32)| Server {
            weight: weight * WEIGHT_UNIT,
            active: AtomicU32::new(0),
            turn: Turn::default(),
            identity: hash(format!("10.0.0.{index}:80").as_bytes()),
        };
        Servers(weights.iter().enumerate().map(server).collect())
    }

    fn candidate(&self, index: usize) -> Candidate<'_> {
        let Server { weight, active, turn, identity } = &self.0[index];
        let id = ServerId(u32::try_from(index).unwrap());
        let active = active.load(Ordering::Relaxed);
        Candidate { id, weight: *weight, active, turn, identity: *identity }
    }

    fn candidates(&self) -> impl Iterator<Item = Candidate<'_>> + Clone {
        (0..self.0.len()).map(|index| self.candidate(index))
    }

    fn views<'a>(&'a self, standings: &'a [Standing]) -> impl Iterator<Item = View<'a>> + Clone {
        self.candidates().zip(standings).map(|(candidate, standing)| View {
            candidate,
            standing: *standing,
            is_backup: false,
        })
    }

    fn begin(&self, server: ServerId) {
        self.0[server.index()].active.fetch_add(1, Ordering::Relaxed);
    }
}

fn weights() -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(1..=20u32, 1..12)
}

/// How often each server is picked in `picks` turns.
fn count(servers: usize, picks: usize, mut pick: impl FnMut() -> ServerId) -> Vec<usize> {
    let mut counts = vec![0; servers];
    for _ in 0..picks {
        counts[pick().index()] += 1;
    }
    counts
}

fn picks_of(weights: &[u32], picks: usize) -> String {
    let (servers, turns) = (Servers::new(weights), RoundRobin::default());
    let name = |server: ServerId| char::from(b'a' + u8::try_from(server.0).unwrap());
    (0..picks).map(|_| name(turns.pick(&servers.candidates()).unwrap())).collect()
}

#[test]
fn equal_servers_take_turns() {
    assert_eq!(picks_of(&[1, 1, 1], 7), "abcabca");
    assert_eq!(picks_of(&[3], 3), "aaa");
}

#[test]
fn the_turns_of_a_heavy_server_are_spread() {
    assert_eq!(picks_of(&[5, 1, 1], 14), "aaabcaaaaabcaa");
    assert_eq!(picks_of(&[2, 1], 6), "abaaba");
}

proptest! {
    #[test]
    fn shares_of_round_robin_match_weights(weights in weights(), rounds in 1..5usize) {
        let (servers, turns) = (Servers::new(&weights), RoundRobin::default());
        let total = weights.iter().sum::<u32>() as usize;
        let counts = count(weights.len(), total * rounds, || {
            turns.pick(&servers.candidates()).unwrap()
        });
        for (count, weight) in counts.iter().zip(&weights) {
            let share = *weight as usize * rounds;
            prop_assert!(count.abs_diff(share) <= 1, "{counts:?} for {weights:?}");
        }
    }

    #[test]
    fn shares_match_among_those_that_are_left(weights in weights(), away in any::<prop::sample::Index>()) {
        let (servers, turns) = (Servers::new(&weights), RoundRobin::default());
        let away = away.index(weights.len());
        prop_assume!(weights.len() > 1);
        for _ in 0..50 {
            turns.pick(&servers.candidates()).unwrap();
        }
        let left = servers.candidates().filter(|candidate| candidate.id.index() != away);
        let total = (weights.iter().sum::<u32>() - weights[away]) as usize;
        let counts = count(weights.len(), 3 * total, || turns.pick(&left).unwrap());
        for (index, (count, weight)) in counts.iter().zip(&weights).enumerate() {
            let share = if index == away { 0 } else { 3 * *weight as usize };
            prop_assert!(count.abs_diff(share) <= 2, "{counts:?} for {weights:?} without {away}");
        }
        // It comes back, and does not make up for its absence.
        let total = weights.iter().sum::<u32>() as usize;
        let counts = count(weights.len(), total, || turns.pick(&servers.candidates()).unwrap());
        prop_assert!(counts[away] <= weights[away] as usize + 2, "{counts:?} for {weights:?}");
    }

    #[test]
    fn load_is_even_with_least_connections(weights in weights(), picks in 1..300usize) {
        let (servers, turns) = (Servers::new(&weights), RoundRobin::default());
        let total = f64::from(weights.iter().sum::<u32>());
        for _ in 0..picks {
            servers.begin(least_connections::pick(servers.candidates(), &turns).unwrap());
        }
        for candidate in servers.candidates() {
            let share = picks as f64 * f64::from(candidate.weight / WEIGHT_UNIT) / total;
            let off = (f64::from(candidate.active) - share).abs();
            prop_assert!(off <= weights.len() as f64, "{} for {share}", candidate.active);
        }
    }

    #[test]
    fn nobody_has_fewer_than_the_one_that_is_picked(
        weights in weights(),
        active in prop::collection::vec(0..50u32, 12),
    ) {
        let (servers, turns) = (Servers::new(&weights), RoundRobin::default());
        for (server, active) in servers.0.iter().zip(active) {
            server.active.store(active, Ordering::Relaxed);
        }
        let picked = least_connections::pick(servers.candidates(), &turns).unwrap();
        let picked = servers.candidate(picked.index());
        prop_assert!(!servers.candidates().any(|other| other.is_less_loaded_than(&picked)));
    }

    #[test]
    fn the_more_loaded_of_two_is_never_picked_at_random(seed: u64, active in 1..50u32) {
        let servers = Servers::new(&[1, 1]);
        servers.0[0].active.store(active, Ordering::Relaxed);
        let picked = random_two::pick(servers.candidates(), &mut Random::new(seed));
        prop_assert_eq!(picked, Some(ServerId(1)));
    }

    #[test]
    fn only_keys_of_a_server_that_leaves_move(weights in weights(), keys in prop::collection::vec(any::<u64>(), 200)) {
        let servers = Servers::new(&weights);
        let left = servers.candidates().filter(|candidate| candidate.id.0 != 0);
        for key in keys {
            let before = consistent_hash::pick(servers.candidates(), key, None).unwrap();
            let after = consistent_hash::pick(left.clone(), key, None);
            if before.0 != 0 {
                prop_assert_eq!(after, Some(before));
            }
        }
    }

    #[test]
    fn no_server_is_loaded_beyond_its_share_times_the_factor(
        weights in weights(),
        keys in prop::collection::vec(0..5u64, 1..200),
        factor in 1000..3000u32,
    ) {
        let servers = Servers::new(&weights);
        let total = u64::from(weights.iter().sum::<u32>());
        for (begun, key) in keys.iter().enumerate() {
            let factor = BalanceFactor(factor);
            let key = hash(&key.to_be_bytes());
            servers.begin(consistent_hash::pick(servers.candidates(), key, Some(factor)).unwrap());
            for candidate in servers.candidates() {
                let weight = u64::from(candidate.weight / WEIGHT_UNIT);
                let share = (begun as u64 + 1) * weight * u64::from(factor.0);
                let bound = share.div_ceil(total * 1000);
                prop_assert!(u64::from(candidate.active) <= bound);
            }
        }
    }

    #[test]
    fn a_queue_never_exceeds_its_bound_and_keeps_its_order(
        max in 0..20u32,
        steps in prop::collection::vec((0..3u8, any::<prop::sample::Index>()), 0..300),
    ) {
        let waiting = Waiting::default();
        let mut queue = Queue::default();
        let mut waits: Vec<usize> = Vec::new();
        for (id, (step, which)) in steps.into_iter().enumerate() {
            match step {
                0 => {
                    let has_room = waiting.enter(max);
                    prop_assert_eq!(has_room, waits.len() < max as usize);
                    if has_room {
                        queue.push(id);
                        waits.push(id);
                    }
                }
                1 => {
                    let expected = waits.first().copied();
                    prop_assert_eq!(queue.pop(|id| waits.contains(id)), expected);
                    if expected.is_some() {
                        waits.remove(0);
                        waiting.leave();
                    }
                }
                _ if waits.is_empty() => {}
                _ => {
                    waits.remove(which.index(waits.len()));
                    waiting.leave();
                    queue.left_one();
                }
            }
            prop_assert_eq!(waiting.count() as usize, waits.len());
            prop_assert!(waiting.count() <= max);
        }
    }

    #[test]
    fn retries_stay_within_their_budget(
        share in 0..1000u32,
        steps in prop::collection::vec((0..200u64, any::<bool>()), 0..1000),
    ) {
        let budget = RetryBudget::default();
        let (mut now, mut requests, mut retries) = (0, 0, 0);
        for (passed, is_request) in steps {
            now += passed;
            if is_request {
                budget.deposit(share);
                requests += 1;
            } else if budget.withdraw(now) {
                retries += 1;
            }
            let of_time = now * RETRIES_PER_SECOND / 1000;
            let allowed = BURST + of_time + requests * u64::from(share) / 1000;
            prop_assert!(retries <= allowed + 1, "{retries} of {allowed}");
        }
    }

    #[test]
    fn a_slow_start_never_falls_and_ends_whole(weight in 1..=256u32, slow_start in 1..100_000u64) {
        let slow = Duration::from_millis(slow_start);
        let at = |part: u64| {
            slow_start::weight(weight, Duration::from_millis(slow_start * part / 10), slow)
        };
        let weights: Vec<u32> = (0..=10).map(at).collect();
        prop_assert!(weights.is_sorted(), "{weights:?}");
        prop_assert!(weights[0] > 0);
        prop_assert!(weights[0] <= weight * WEIGHT_UNIT / 10 + 1);
        prop_assert_eq!(weights[10], weight * WEIGHT_UNIT);
    }

    /// Nobody is picked who may not be, and somebody is whenever there is anybody.
    #[test]
    fn only_those_are_picked_that_may_be(
        standings in prop::collection::vec((0..7usize, any::<bool>(), any::<bool>()), 1..8),
        which in 0..4usize,
        key: u64,
        fails_open: bool,
    ) {
        let all = [
            Standing::Ready, Standing::Trial, Standing::Full, Standing::Draining,
            Standing::Ejected, Standing::Down, Standing::Withdrawn,
        ];
        let servers = Servers::new(&vec![1; standings.len()]);
        let turns = RoundRobin::default();
        let mut attempts = Attempts::new(7, std::time::Instant::now());
        for (index, _) in standings.iter().enumerate().filter(|(_, (.., tried))| *tried).take(7) {
            attempts.begin(ServerId(u32::try_from(index).unwrap()), std::time::Instant::now());
            let _place = attempts.take_place();
            let _next = attempts.failed();
        }
        let views = servers.candidates().zip(&standings).map(|(candidate, standing)| View {
            candidate,
            standing: all[standing.0],
            is_backup: standing.1,
        });
        let algorithm = [
            Algorithm::RoundRobin, Algorithm::LeastConnections, Algorithm::RandomTwo,
            Algorithm::ConsistentHash(Some(BalanceFactor(1250))),
        ][which];
        let mut random = Random::new(key);
        let tried = attempts.tried();
        let mut wanted = Wanted { key, bound_to: None, tried, random: &mut random };
        let picked = pick(views.clone(), algorithm, fails_open, &turns, &mut wanted);
        let has = |standing: Standing, is_backup: bool| views.clone().any(|view| {
            view.standing == standing && view.is_backup == is_backup
                && !tried.contains(view.candidate.id)
        });
        let any = |standing| has(standing, false) || has(standing, true);
        match picked {
            Picked::Server(server) => {
                let view = views.clone().nth(server.index()).unwrap();
                prop_assert!(!tried.contains(server));
                match view.standing {
                    Standing::Ready => {
                        prop_assert!(!view.is_backup || !has(Standing::Ready, false));
                    }
                    Standing::Down | Standing::Ejected => {
                        prop_assert!(fails_open && !any(Standing::Ready) && !any(Standing::Full));
                    }
                    other => prop_assert!(false, "picked one that is {other:?}"),
                }
            }
            Picked::Trial(server) => {
                let view = views.clone().nth(server.index()).unwrap();
                prop_assert_eq!(view.standing, Standing::Trial);
                prop_assert!(!tried.contains(server));
                prop_assert!(!view.is_backup || !any(Standing::Ready));
            }
            Picked::Full => prop_assert!(any(Standing::Full) && !any(Standing::Ready)),
            Picked::Nobody => {
                prop_assert!(!any(Standing::Ready) && !any(Standing::Full) && !any(Standing::Trial));
                prop_assert!(!fails_open || !(any(Standing::Down) || any(Standing::Ejected)));
            }
        }
    }
}

#[test]
fn shares_of_random_two_and_of_keys_match_weights() {
    let weights = [1, 2, 5];
    let servers = Servers::new(&weights);
    let mut random = Random::new(1);
    let picks = 80_000;
    let drawn = count(3, picks, || random_two::pick(servers.candidates(), &mut random).unwrap());
    let mut key = 0u64;
    let hashed = count(3, picks, || {
        key += 1;
        consistent_hash::pick(servers.candidates(), hash(&key.to_be_bytes()), None).unwrap()
    });
    for counts in [drawn, hashed] {
        for (count, weight) in counts.iter().zip(weights) {
            let share = picks * weight as usize / 8;
            assert!(count.abs_diff(share) < picks / 100, "{counts:?}");
        }
    }
}

/// As many threads as workers of a large machine pick as one: the counts are those of one.
#[test]
fn many_workers_balance_as_one() {
    let weights = [1, 2, 3, 4];
    let (servers, turns) = (Servers::new(&weights), RoundRobin::default());
    let picked: Vec<AtomicU32> = weights.iter().map(|_| AtomicU32::new(0)).collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5_000 {
                    let server = turns.pick(&servers.candidates()).unwrap();
                    picked[server.index()].fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    for (count, weight) in picked.iter().zip(weights) {
        let (count, share) = (count.load(Ordering::Relaxed), weight * 2_000);
        assert!(count.abs_diff(share) <= share / 20, "{picked:?}");
    }
}

#[test]
fn a_client_stays_with_its_server_while_that_is_drained() {
    let servers = Servers::new(&[1, 1]);
    let turns = RoundRobin::default();
    let picks = |standing, bound_to: usize| {
        let standings = [standing, Standing::Ready];
        let bound_to = Some(servers.0[bound_to].identity);
        let (tried, mut random) = (Tried::default(), Random::new(0));
        let mut wanted = Wanted { key: 0, bound_to, tried: &tried, random: &mut random };
        pick(servers.views(&standings), Algorithm::RoundRobin, false, &turns, &mut wanted)
    };
    assert_eq!(picks(Standing::Ready, 0), Picked::Server(ServerId(0)));
    assert_eq!(picks(Standing::Draining, 0), Picked::Server(ServerId(0)));
    for gone in [Standing::Down, Standing::Ejected, Standing::Withdrawn, Standing::Full] {
        assert_eq!(picks(gone, 0), Picked::Server(ServerId(1)), "{gone:?}");
    }
}
