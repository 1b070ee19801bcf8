//! What holds for the state machines, over any sequence of outcomes and any passing of time.

use proptest::prelude::*;

use super::checker::{Checker, Health, Thresholds};
use super::circuit::{Circuit, OpenTimes, State};
use super::errors::ErrorLimits;
use super::passive::{EjectedCount, Ejection, EjectionPolicy, PassiveHealth};

const POLICY: EjectionPolicy = EjectionPolicy {
    limits: ErrorLimits { consecutive: 3, rate: 500, window: 1000, volume_min: 10 },
    times: OpenTimes { base: 100, max: 1000 },
    ejected_max: 1,
};

proptest! {
    #[test]
    fn health_changes_only_after_enough_in_a_row(
        rise in 1..5u32,
        fall in 1..5u32,
        probes in prop::collection::vec(any::<bool>(), 1..200),
    ) {
        let thresholds = Thresholds { rise, fall };
        let mut checker = Checker::new(Health::Up);
        for (index, passed) in probes.iter().enumerate() {
            let before = checker.health();
            let changed = checker.observe(*passed, thresholds);
            let in_a_row = probes[..=index].iter().rev().take_while(|it| *it == passed).count();
            match changed {
                Some(health) => {
                    let (expected, enough) =
                        if *passed { (Health::Up, rise) } else { (Health::Down, fall) };
                    prop_assert_eq!(health, expected);
                    prop_assert_ne!(health, before);
                    prop_assert!(in_a_row >= enough as usize);
                }
                None => prop_assert_eq!(checker.health(), before),
            }
        }
    }

    /// Fewer than `fall` failures in a row never take a server out.
    #[test]
    fn health_does_not_flap_inside_its_thresholds(runs in prop::collection::vec(1..3usize, 1..50)) {
        let mut checker = Checker::new(Health::Up);
        for (index, length) in runs.into_iter().enumerate() {
            for _ in 0..length {
                prop_assert_eq!(checker.observe(index % 2 == 0, Thresholds { rise: 3, fall: 3 }), None);
            }
        }
    }

    #[test]
    fn a_circuit_survives_packing(kind in 0..3u8, at in 0..1u64 << 54, trips: u8) {
        let state = match kind {
            0 => State::Closed { since: at },
            1 => State::Open { until: at },
            _ => State::HalfOpen { until: at },
        };
        let circuit = Circuit { state, trips };
        prop_assert_eq!(Circuit::unpack(circuit.pack()), circuit);
    }

    /// Whatever happens to three servers, no more are ejected than may be, the count is right, and
    /// none is ejected for longer than allowed.
    #[test]
    fn never_more_are_ejected_than_may_be(
        ejected_max in 0..4u32,
        steps in prop::collection::vec((0..3usize, 0..4u8, 0..400u64), 0..400),
    ) {
        let policy = EjectionPolicy { ejected_max, ..POLICY };
        let servers: Vec<PassiveHealth> = (0..3).map(|_| PassiveHealth::default()).collect();
        let ejected = EjectedCount::default();
        let mut now = 0;
        for (index, what, passed) in steps {
            now += passed;
            let server = &servers[index];
            match what {
                0 => { server.succeeded(&policy, &ejected, now); }
                1 | 2 => {
                    if let Some(Ejection::Ejected { duration }) = server.failed(&policy, &ejected, now) {
                        prop_assert!((100..=1000).contains(&duration));
                    }
                }
                _ => { let _took = server.take_trial(&policy, now); }
            }
            let open = servers.iter().filter(|server| server.circuit().is_open()).count();
            prop_assert_eq!(ejected.now() as usize, open);
            prop_assert!(ejected.now() <= ejected_max);
        }
        // Once all is well again, everybody comes back.
        for server in &servers {
            now += 2000;
            if server.circuit().is_open() {
                prop_assert!(server.take_trial(&policy, now));
                prop_assert_eq!(server.succeeded(&policy, &ejected, now), Some(Ejection::Returned));
            }
        }
        prop_assert_eq!(ejected.now(), 0);
    }
}

#[test]
fn the_first_probe_decides() {
    let thresholds = Thresholds { rise: 3, fall: 3 };
    let mut checker = Checker::new(Health::Unchecked);
    assert_eq!(checker.observe(false, thresholds), Some(Health::Down));
    let mut checker = Checker::new(Health::Unchecked);
    assert_eq!(checker.observe(true, thresholds), Some(Health::Up));
}

#[test]
fn each_trip_lasts_longer_until_a_server_was_well_for_long() {
    let (server, ejected) = (PassiveHealth::default(), EjectedCount::default());
    let mut now = 0;
    let eject =
        |server: &PassiveHealth, now| (0..3).find_map(|_| server.failed(&POLICY, &ejected, now));
    let expect = |duration| Some(Ejection::Ejected { duration });
    assert_eq!(eject(&server, now), expect(100));
    for duration in [200, 400, 800, 1000, 1000] {
        now += 1000;
        assert!(server.take_trial(&POLICY, now));
        assert!(!server.take_trial(&POLICY, now), "one at a time");
        assert_eq!(server.failed(&POLICY, &ejected, now), expect(duration));
        assert_eq!(server.failed(&POLICY, &ejected, now), None, "ejected already");
    }
    now += 1000;
    assert!(server.take_trial(&POLICY, now));
    assert_eq!(server.succeeded(&POLICY, &ejected, now), Some(Ejection::Returned));
    now += 1001;
    assert_eq!(eject(&server, now), expect(100), "what was is forgotten");
}

#[test]
fn a_trial_that_nobody_hears_of_is_given_up() {
    let (server, ejected) = (PassiveHealth::default(), EjectedCount::default());
    for _ in 0..3 {
        let _ejected = server.failed(&POLICY, &ejected, 0);
    }
    assert!(!server.take_trial(&POLICY, 99) && server.take_trial(&POLICY, 100));
    assert!(!server.take_trial(&POLICY, 199) && server.take_trial(&POLICY, 200));
}

#[test]
fn a_share_of_errors_ejects_where_none_come_in_a_row() {
    let (server, ejected) = (PassiveHealth::default(), EjectedCount::default());
    let mut outcomes = (0..).map(|index| match index % 2 {
        0 => server.succeeded(&POLICY, &ejected, 1),
        _ => server.failed(&POLICY, &ejected, 1),
    });
    let ejected_at = outcomes.position(|change| change.is_some());
    assert_eq!(ejected_at, Some(9), "the tenth is the fifth error, and before ten nothing is said");
}

#[test]
fn a_window_forgets() {
    let policy =
        EjectionPolicy { limits: ErrorLimits { consecutive: 0, ..POLICY.limits }, ..POLICY };
    let (server, ejected) = (PassiveHealth::default(), EjectedCount::default());
    for now in 0..20u64 {
        for _ in 0..9 {
            assert_eq!(server.failed(&policy, &ejected, now * 1000 + 1000), None);
        }
    }
}
