//! What the proxy decides from the machine and the configuration.

// Helpers of tests may panic as tests do; clippy.toml lets only the tests themselves.
#![allow(clippy::unwrap_used)]

use spliceway::capacity::{Machine, plan};
use spliceway::config::{Config, RelayMode};
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
