//! What the proxy decides from the machine and the configuration.

// Helpers of tests may panic as tests do; clippy.toml lets only the tests themselves.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use spliceway::capacity::{Machine, Plan, plan};
use spliceway::config::files::Files;
use spliceway::config::{Action, Config, Protocol, RelayMode, Route};
use spliceway::load::{Assignment, Base, Sources, load};

fn machine() -> Machine {
    Machine {
        kernel: "6.1.0".to_owned(),
        page_size: 4096,
        cpus: 2,
        splice: Ok(()),
        pipe_size_max: 1 << 20,
        pipe_user_pages_soft: 0,
        pipe_limits_waived: false,
        descriptors_max: 65_536,
    }
}

/// A configuration of one listener, with these values.
fn config(values: &[(&str, &str)]) -> Config {
    let needed = [
        ("listeners.a.bind", "127.0.0.1:1"),
        ("listeners.a.upstream", "a"),
        ("upstreams.a.servers", "127.0.0.1:2"),
        // Not the default, but a size with others above and below it.
        ("relay.pipe_size", "256KiB"),
        ("relay.mode", "splice"),
    ];
    let flags = needed.iter().chain(values);
    let flags = flags.map(|(key, value)| Assignment::flag(key, *value, "--set")).collect();
    let (supplied, environment) = (Vec::new(), Vec::new());
    load(Sources { base: Base::Flags, supplied, environment, flags }).unwrap().config
}

#[test]
fn a_machine_that_offers_enough_changes_nothing() {
    let plan = plan(&config(&[]), &machine());
    assert_eq!(plan.workers, 2);
    assert_eq!(plan.pipe_memory_per_worker, 128 << 20);
    assert_eq!(plan.buffer_memory_per_worker, 128 << 20);
    assert_eq!(plan.listeners[0].relay.mode, RelayMode::Splice);
    assert_eq!(plan.listeners[0].relay.pipe_size, 256 << 10);
    assert_eq!(plan.listeners[0].relay.reason, "as configured: spliced through pipes of 256KiB");
    assert_eq!(plan.notes, [""; 0]);
    // 2 workers x 512 pipes x 2 ends, 64 for the rest, 2 a connection.
    assert_eq!(plan.connections_max, (65_536 - 64 - 2_048) / 2);
}

#[test]
fn workers_are_as_many_as_asked_for() {
    let check = |written: &str, cpus: usize, expected: usize| {
        let machine = Machine { cpus, ..machine() };
        assert_eq!(plan(&config(&[("process.workers", written)]), &machine).workers, expected);
    };
    check("auto", 8, 8);
    check("auto", 0, 1);
    check("3", 8, 3);
}

#[test]
fn connections_fit_the_descriptors() {
    let check = |written: &str, descriptors_max: u64, expected: usize, noted: bool| {
        let config = config(&[("process.connections_max", written), ("relay.mode", "copy")]);
        let plan = plan(&config, &Machine { descriptors_max, ..machine() });
        assert_eq!(plan.connections_max, expected, "{written} {descriptors_max}");
        assert_eq!(!plan.notes.is_empty(), noted, "{:?}", plan.notes);
    };
    check("auto", 1_064, 500, false);
    check("auto", 10, 1, false);
    check("auto", u64::MAX, 10_000_000, false);
    check("500", 1_064, 500, false);
    check("501", 1_064, 500, true);
}

#[test]
fn pipes_never_take_more_than_a_quarter_of_the_descriptors() {
    for descriptors_max in [256, 1_024, 4_096, 65_536, 1 << 20] {
        for workers in ["1", "2", "7"] {
            let config = config(&[
                ("process.workers", workers),
                ("relay.pipe_memory", "64GiB"),
                ("relay.pipe_size", "64KiB"),
            ]);
            let plan = plan(&config, &Machine { descriptors_max, ..machine() });
            let pipes = plan.pipe_memory_per_worker / (64 << 10) * plan.workers as u64;
            assert!(pipes * 2 <= descriptors_max / 4, "{descriptors_max} {workers}");
            let used = pipes * 2 + plan.connections_max as u64 * 2 + 64;
            assert!(used <= descriptors_max, "{descriptors_max} {workers}: {used}");
        }
    }
}

#[test]
fn pipes_shrink_until_enough_of_them_fit() {
    let check = |size: &str, memory: &str, expected: u32| {
        let config = config(&[("relay.pipe_size", size), ("relay.pipe_memory", memory)]);
        let waived = Machine { pipe_limits_waived: true, pipe_size_max: 1 << 31, ..machine() };
        let listener = plan(&config, &waived).listeners.remove(0).relay;
        assert_eq!(listener.mode, RelayMode::Splice, "{size} {memory}");
        assert_eq!(listener.pipe_size, expected, "{size} {memory}");
    };
    check("1MiB", "32MiB", 1 << 20);
    check("1MiB", "31MiB", 256 << 10);
    check("64MiB", "32MiB", 1 << 20);
    check("64MiB", "2GiB", 64 << 20);
    check("512KiB", "8MiB", 256 << 10);
    check("256KiB", "7MiB", 64 << 10);
    check("128KiB", "2MiB", 64 << 10);
}

/// The reason is the sentence that the operator reads, so it is checked whole; whatever is
/// not as configured is a note as well.
#[test]
fn each_deviation_has_its_reason() {
    let check = |values: &[(&str, &str)], machine: Machine, mode, expected: &str| {
        let plan = plan(&config(values), &machine);
        assert_eq!(plan.listeners[0].relay.reason, expected);
        assert_eq!(plan.listeners[0].relay.mode, mode, "{expected}");
        let note = format!("listener a: {expected}");
        assert_eq!(plan.notes.contains(&note), !expected.starts_with("as configured"));
        if mode == RelayMode::Copy {
            assert_eq!(plan.pipe_memory_per_worker, 0, "{expected}");
        }
    };
    use RelayMode::{Auto, Copy, Splice};
    let copy = [("relay.mode", "copy")];
    check(&copy, machine(), Copy, "as configured: copied through a buffer");
    let auto = [("relay.mode", "auto")];
    check(
        &auto,
        machine(),
        Auto,
        "as configured: copied while messages are small, spliced in bulk through pipes of \
         256KiB",
    );
    let refused = Machine { splice: Err("Function not implemented".to_owned()), ..machine() };
    check(&[], refused, Copy, "copied, for splice does not work here: Function not implemented");
    check(
        &[],
        Machine { descriptors_max: 255, ..machine() },
        Copy,
        "copied, for RLIMIT_NOFILE = 255 leaves a worker 15 pipes and splice needs 16; raise \
         it",
    );
    check(
        &[("relay.pipe_size", "4MiB")],
        machine(),
        Splice,
        "spliced through pipes of 1MiB instead of 4MiB: fs.pipe-max-size = 1048576 is smaller",
    );
    check(
        &[],
        Machine { pipe_size_max: 4096, ..machine() },
        Copy,
        "copied, for no pipe is to be had: fs.pipe-max-size = 4096 is smaller",
    );
    check(
        &[],
        Machine { pipe_user_pages_soft: 1_024, ..machine() },
        Splice,
        "spliced through pipes of 64KiB instead of 256KiB: fs.pipe-user-pages-soft is too \
         small for 16 pipes a worker in its share of 1536KiB",
    );
    check(
        &[("relay.pipe_memory", "1MiB")],
        machine(),
        Copy,
        "copied, for no pipe is to be had: relay.pipe_memory is too small for 16 pipes a \
         worker in its share of 512KiB",
    );
}

#[test]
fn the_soft_limit_binds_unless_it_is_waived_or_none() {
    let check = |pages: u64, waived: bool, expected: u64, noted: bool| {
        let machine =
            Machine { pipe_user_pages_soft: pages, pipe_limits_waived: waived, ..machine() };
        let plan = plan(&config(&[]), &machine);
        assert_eq!(plan.pipe_memory_per_worker, expected, "{pages} {waived}");
        assert_eq!(!plan.notes.is_empty(), noted, "{:?}", plan.notes);
    };
    check(0, false, 128 << 20, false);
    check(16_384, true, 128 << 20, false);
    check(16_384, false, 24 << 20, true);
    check(1 << 20, false, 128 << 20, false);
}

/// One HTTP listener with a route of its own to one upstream, and a default one to another.
fn http(values: &[(&str, &str)]) -> Config {
    let text = "[listeners.a]\nprotocol = \"http\"\nbind = \"127.0.0.1:1\"\nupstream = \"a\"\n\
                [[listeners.a.routes]]\npath = \"/b\"\nupstream = \"b\"\nrelay.mode = \"copy\"\n\
                [[listeners.a.routes]]\npath = \"/c\"\nrespond.status = 404\n\
                [upstreams.a]\nservers = [\"127.0.0.1:2\"]\n\
                [upstreams.b]\nservers = [\"127.0.0.1:3\", \"127.0.0.1:4\"]\n\
                [upstreams.tcp_only]\nservers = [\"127.0.0.1:5\"]\n";
    let flags = values.iter().map(|(key, value)| Assignment::flag(key, *value, "--set"));
    let (supplied, environment) = (Vec::new(), Vec::new());
    let base = Base::Embedded(text);
    load(Sources { base, supplied, environment, flags: flags.collect() }).unwrap().config
}

#[test]
fn each_route_has_a_way_of_its_own() {
    let config = http(&[]);
    let plan = plan(&config, &machine());
    let routes = &plan.listeners[0].routes;
    let modes: Vec<_> = routes.iter().map(|relay| relay.as_ref().map(|it| it.mode)).collect();
    assert_eq!(modes, [Some(RelayMode::Copy), None, Some(RelayMode::Auto)]);
    assert_eq!(plan.notes, [""; 0]);
    // Only the routes count: a listener whose routes all copy needs no pipes.
    let copied = plan_of(&[("listeners.a.upstream", "b"), ("relay.mode", "copy")]);
    assert_eq!(copied.pipe_memory_per_worker, 0);
}

fn plan_of(values: &[(&str, &str)]) -> Plan {
    plan(&http(values), &machine())
}

#[test]
fn a_route_that_is_not_as_configured_is_noted_once() {
    let broken = Machine { splice: Err("refused".to_owned()), ..machine() };
    let reason = "copied, for splice does not work here: refused";
    assert_eq!(plan(&http(&[]), &broken).notes, [format!("listener a: {reason}")]);
    let mut config = http(&[("listeners.a.relay.mode", "copy")]);
    let Protocol::Http(http) = &mut config.listeners[0].protocol else { unreachable!() };
    let Action::Forward(forward) = &mut http.routes[0].action else { unreachable!() };
    forward.relay.mode = RelayMode::Auto;
    assert_eq!(plan(&config, &broken).notes, [format!("listener a, routes[0]: {reason}")]);
}

#[test]
fn pools_fit_the_descriptors() {
    let check = |idle_max: &str, descriptors_max: u64, expected: [u32; 3]| {
        let config = http(&[
            ("upstreams.a.pool.idle_max", idle_max),
            ("relay.mode", "copy"),
            ("process.workers", "2"),
        ]);
        let plan = plan(&config, &Machine { descriptors_max, ..machine() });
        assert_eq!(plan.pool_idle_max, expected, "{idle_max} {descriptors_max}");
        let pooled = u64::from(expected[0] + 2 * expected[1]) * 2;
        assert!(pooled <= descriptors_max / 4, "{pooled}");
        let connections = plan.connections_max as u64 * 2;
        assert_eq!(connections, descriptors_max - 64 - pooled, "{descriptors_max}");
        assert_eq!(plan.notes.is_empty(), expected[..2] == [idle_max.parse().unwrap(), 64]);
    };
    // Two workers; one server in the first, two in the second, which has the default of 64.
    check("64", 65_536, [64, 64, 0]);
    check("0", 65_536, [0, 64, 0]);
    check("64", 1_536, [64, 64, 0]);
    check("64", 1_024, [42, 42, 0]);
    check("10000", 4_096, [505, 3, 0]);
}

#[test]
fn a_smaller_pool_says_so() {
    let machine = Machine { descriptors_max: 1_024, ..machine() };
    let notes = plan(&http(&[("relay.mode", "copy")]), &machine).notes;
    assert_eq!(
        notes[0],
        "upstream a: each worker keeps 42 idle connections to each server instead of \
         pool.idle_max = 64: RLIMIT_NOFILE = 1024 leaves no descriptors for more"
    );
}

/// Each worker holds the directories open that routes serve, and a file that it looks at besides.
#[test]
fn directories_that_are_served_need_descriptors() {
    let mut config = http(&[("relay.mode", "copy"), ("process.workers", "2")]);
    let before = plan(&config, &machine()).connections_max;
    let Protocol::Http(http) = &mut config.listeners[0].protocol else { unreachable!() };
    let route = http.routes[0].clone();
    for root in ["/a", "/b", "/a"] {
        let action = Action::Files(Arc::new(Files::of_root(root)));
        http.routes.push(Route { action, ..route.clone() });
    }
    assert_eq!(plan(&config, &machine()).connections_max, before - (2 + 1) * 2 / 2);
}
