//! Made-up tables, and what they should lead to.

use super::*;
use crate::measure::results::{Counted, Dropped, Figures, Row, Setting};
use crate::measure::schedule::plan;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const SIZES: [u64; 3] = [KIB, 64 * KIB, MIB];

/// The CPU seconds of each round.
type Costs = Vec<f64>;

fn around(cost: f64) -> Costs {
    vec![cost * 0.99, cost, cost * 1.01]
}

fn setting() -> Setting {
    Setting {
        kernel: "6.1".to_owned(),
        cpu: "a processor".to_owned(),
        cpus: 2,
        keeps_apart: true,
        directory: "/var/tmp".to_owned(),
        scratch_bytes: MIB,
        dropped: Dropped::ByAdvice,
        counted: Counted::ByTracepoint { disagreement: 0.0 },
        rounds: 3,
        window_milliseconds: 10,
    }
}

/// A table in which each row costs what `cost` says; `None` for what is missing.
fn results(cost: impl Fn(Case, &str, u64) -> Option<Costs>) -> Results {
    let mut rows = plan(&SIZES);
    for row in &mut rows {
        row.outcome = match cost(row.case, row.way.key, row.bytes) {
            Some(costs) => Outcome::Measured(costs.into_iter().map(figures).collect()),
            None => Outcome::Missing("not allowed here".to_owned()),
        };
    }
    Results { setting: setting(), rows }
}

fn figures(cpu: f64) -> Figures {
    Figures {
        gib_per_second: 1.0 / cpu,
        cpu_seconds_per_gib: cpu,
        system_calls_per_gib: 10.0,
        context_switches_per_gib: 1.0,
    }
}

fn advice(results: &Results, key: &str) -> Option<Advice> {
    recommend(results).advice.into_iter().find(|it| it.key == key)
}

/// Value and what is too close to it.
fn check(results: &Results, key: &str, value: &str, close: &[&str]) {
    let advice = advice(results, key).unwrap();
    assert_eq!(advice.value, value, "{key}: {}", advice.because);
    assert_eq!(advice.close, close, "{key}: {}", advice.because);
}

fn is_splice(key: &str) -> bool {
    key.starts_with("splice")
}

#[test]
fn the_mode_follows_the_sizes() {
    let mode = |splice: [f64; 3], expected: &str, close: &[&str]| {
        let results = results(|_, key, bytes| {
            let index = SIZES.iter().position(|it| *it == bytes).unwrap();
            Some(around(if is_splice(key) { splice[index] } else { 1.0 }))
        });
        check(&results, "relay.mode", expected, close);
    };
    mode([2.0, 0.5, 0.5], "auto", &[]);
    mode([0.5, 0.5, 0.5], "splice", &[]);
    mode([2.0, 2.0, 2.0], "copy", &[]);
    mode([1.0, 1.0, 1.0], "auto", &["splice", "copy"]);
    mode([1.0, 0.5, 0.5], "auto", &["splice"]);
    mode([2.0, 1.0, 1.0], "auto", &["copy"]);
    mode([2.0, 1.0, 0.5], "auto", &[]);
}

#[test]
fn the_size_from_which_splice_wins_is_said() {
    let results = results(|_, key, bytes| {
        let splice = if bytes < 64 * KIB { 2.0 } else { 0.5 };
        Some(around(if is_splice(key) { splice } else { 1.0 }))
    });
    let remarks = recommend(&results).remarks.join("\n");
    assert!(remarks.contains("from 64KiB on") && remarks.contains("auto"), "{remarks}");
}

#[test]
fn without_splice_the_proxy_copies() {
    let results = results(|_, key, _| (!is_splice(key)).then_some(around(1.0)));
    let mode = advice(&results, "relay.mode").unwrap();
    assert_eq!(mode.value, "copy");
    assert!(mode.because.contains("not allowed here"), "{}", mode.because);
    assert_eq!(advice(&results, "relay.pipe_size"), None);
    assert_eq!(advice(&results, "relay.low_water"), None);
}

#[test]
fn pipes_and_marks_are_those_of_bulk() {
    let costs = |of: fn(&str) -> f64| results(move |_, key, _| Some(around(of(key))));
    let level = costs(|_| 1.0);
    check(&level, "relay.pipe_size", "1MiB", &["256KiB", "64KiB"]);
    check(&level, "relay.low_water", "512KiB", &["off"]);
    let small = costs(|key| if key == "splice_64k" { 0.5 } else { 1.0 });
    check(&small, "relay.pipe_size", "64KiB", &[]);
    let harmful = costs(|key| if key.ends_with("coalesced") { 2.0 } else { 1.0 });
    check(&harmful, "relay.low_water", "off", &[]);
    let middle = costs(|key| match key {
        "splice_256k" => 0.5,
        "splice_256k_coalesced" => 0.3,
        _ => 1.0,
    });
    check(&middle, "relay.pipe_size", "256KiB", &[]);
    check(&middle, "relay.low_water", "512KiB", &[]);
}

#[test]
fn a_file_takes_what_costs_the_least() {
    let costs = |of: fn(&str, u64) -> f64| results(move |_, key, it| Some(around(of(key, it))));
    let sendfile = costs(|key, _| if key == "sendfile" { 0.5 } else { 1.0 });
    check(&sendfile, "files.transfer", "sendfile", &[]);
    let level = costs(|_, _| 1.0);
    check(&level, "files.transfer", "sendfile", &["splice", "mmap", "copy"]);
    let copy = costs(|key, _| if key == "read_write" { 0.5 } else { 1.0 });
    check(&copy, "files.transfer", "copy", &[]);
    let mixed = costs(|key, bytes| match (key, bytes) {
        ("sendfile", _) => 0.5,
        ("read_write", KIB) => 0.4,
        _ => 1.0,
    });
    check(&mixed, "files.transfer", "sendfile", &[]);
    let because = advice(&mixed, "files.transfer").unwrap().because;
    assert!(because.contains("but copy takes less at 1KiB"), "{because}");
    let ring = costs(|key, _| if key == "io_uring" { 0.2 } else { 1.0 });
    let remarks = recommend(&ring).remarks.join("\n");
    assert!(remarks.contains("io_uring with send takes less"), "{remarks}");
}

/// A way that was missing at some size is judged by the others.
#[test]
fn what_is_missing_is_left_out() {
    let results = results(|case, key, _| {
        let is_there = case == Case::Sockets || key == "mmap_write";
        is_there.then_some(around(1.0))
    });
    check(&results, "files.transfer", "mmap", &[]);
}

#[test]
fn a_range_that_overlaps_decides_nothing() {
    let results = results(|_, key, _| {
        // A median of half the cost, and one round that cost as much.
        Some(if key == "splice" { vec![0.4, 0.5, 0.995] } else { around(1.0) })
    });
    check(&results, "files.transfer", "sendfile", &["splice", "mmap", "copy"]);
}

#[test]
fn a_single_disturbed_round_takes_no_decision_away() {
    let five = |disturbed: usize| {
        results(move |_, key, _| {
            let mut splice = vec![0.5, 0.51, 0.49, 0.5, 0.52];
            splice[..disturbed].fill(1.005);
            let others = vec![1.0, 1.02, 1.01, 1.03, 1.04];
            Some(if key == "splice" { splice } else { others })
        })
    };
    check(&five(1), "files.transfer", "splice", &[]);
    check(&five(3), "files.transfer", "sendfile", &["splice", "mmap", "copy"]);
}

#[test]
fn it_ends_in_a_sentence() {
    let sentence = |of: fn(&str) -> f64| {
        recommend(&results(move |_, key, _| Some(around(of(key))))).sentence()
    };
    assert_eq!(
        sentence(|_| 1.0),
        "In short: keep the defaults, relay.mode = \"auto\", relay.pipe_size = \"1MiB\", \
         relay.low_water = \"512KiB\", files.transfer = \"sendfile\"."
    );
    let splice = sentence(|key| if is_splice(key) { 0.5 } else { 1.0 });
    let expected = "In short: set relay.mode = \"splice\", files.transfer = \"splice\"; keep";
    assert!(splice.starts_with(expected), "{splice}");
    assert!(Recommendation::default().sentence().contains("too little"));
}

#[test]
fn one_round_decides_nothing() {
    let mut results = results(|_, key, _| Some(around(if is_splice(key) { 0.1 } else { 1.0 })));
    results.setting.rounds = 1;
    check(&results, "relay.mode", "auto", &["splice", "copy"]);
    assert!(recommend(&results).remarks.join("\n").contains("One round"));
}

#[test]
fn the_configuration_says_why() {
    let results = results(|_, key, _| Some(around(if is_splice(key) { 0.1 } else { 1.0 })));
    let toml = recommend(&results).as_toml(&results);
    assert!(toml.contains("\n[relay]\n"), "{toml}");
    assert!(toml.contains("\nmode = \"splice\"\n"), "{toml}");
    assert!(toml.contains("\npipe_size = \"1MiB\"\n"), "{toml}");
    assert!(toml.contains("\nlow_water = \"512KiB\"\n"), "{toml}");
    assert!(toml.contains("transfer = \"splice\""), "{toml}");
    assert!(toml.contains("# Too close to call: 256KiB, 64KiB."), "{toml}");
    let values: Vec<&str> = toml.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(values.iter().filter(|line| line.contains('=')).count(), 3, "{toml}");
}

#[test]
fn nothing_measured_is_no_advice() {
    let mut empty = results(|_, _, _| None);
    empty.rows.retain(|row: &Row| row.case != Case::Sockets);
    assert_eq!(recommend(&empty).advice, []);
}
