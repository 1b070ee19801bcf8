//! The relay benchmark: its kinds, its report, its targets, its picture.

use crate::relay::kind::{Kind, MESSAGE_BYTES};
use crate::relay::{picture, tables, targets};
use crate::rig::kind::{Figures, Sender};
use crate::rig::machine::Machine;
use crate::rig::markdown;
use crate::rig::names::{AUTO, BARE_COPY, BARE_SPLICE, COPY, NO_PROXY, SPLICE};
use crate::rig::results::{Named, Results};
use crate::rig::targets::Verdict;

const MISSING: &str = "nginx stream";
const DOWN: Kind = Kind::Bulk { sender: Sender::Origin, connections: 1 };
const IDLE: Kind = Kind::Idle { connections: 2000 };

fn round_trips(bytes: usize) -> Kind {
    Kind::RoundTrips { bytes, connections: 64 }
}

/// Three rounds of a made-up run: `copy` is on a par with the bare loops, `auto` beats them by
/// half, `splice` is twice as dear in bulk.
fn made_up() -> Results<Kind> {
    let machine = Machine { kernel: "6.1 <&>".into(), cpu: "Made-up CPU".into(), cpus: 2 };
    let named = |name| Named { name, version: (name != MISSING).then(|| "program 1".to_owned()) };
    let all = [SPLICE, COPY, AUTO, NO_PROXY, BARE_SPLICE, BARE_COPY, MISSING].map(named);
    let mut results = Results::new(machine, all.into(), targets::marks());
    for spread in [0.9, 1.0, 1.2] {
        for (name, cpu) in [(SPLICE, 2.0), (COPY, 1.0), (AUTO, 0.5)] {
            results.add(DOWN, name, Figures::new(DOWN, vec![cpu * spread, 3.0 / cpu]));
        }
        results.add(DOWN, NO_PROXY, Figures::new(DOWN, vec![f64::NAN, 9.0]));
        for name in [BARE_SPLICE, BARE_COPY] {
            results.add(DOWN, name, Figures::new(DOWN, vec![spread, 3.0]));
        }
        for bytes in MESSAGE_BYTES {
            let kind = round_trips(bytes);
            for name in [SPLICE, COPY, AUTO, NO_PROXY, BARE_SPLICE, BARE_COPY] {
                let cpu = if name == NO_PROXY { f64::NAN } else { 10.0 * spread };
                results.add(kind, name, Figures::new(kind, vec![cpu, 1e5, 20.0, 40.0]));
            }
        }
        results.add(IDLE, SPLICE, Figures::new(IDLE, vec![0.7 * spread]));
        results.add(IDLE, COPY, Figures::new(IDLE, vec![1.7 * spread]));
    }
    results
}

#[test]
fn a_round_trip_counts_both_ways() {
    // 2^30 bytes in 2^15 messages there and back of 16 KiB; 1 us each is 2^15 us.
    let cpu = round_trips(16 << 10).cpu_seconds_per_gib(1.0).unwrap();
    assert!((cpu - 0.032_768).abs() < 1e-9, "{cpu}");
    assert_eq!(DOWN.cpu_seconds_per_gib(0.2), Some(0.2));
    assert_eq!(IDLE.cpu_seconds_per_gib(1.0), None);
}

#[test]
fn the_tables_say_what_was_measured() {
    let text = {
        let results = made_up();
        markdown::write(&results, &tables::write(&results))
    };
    for expected in [
        "| spliceway splice | 2.000 (1.800 - 2.400) | 2.00 | 2.00 | 1.50 |",
        "| no proxy at all | - | - | - | 9.00 |",
        "| | 64 B | 1 KiB | 4 KiB | 16 KiB | 64 KiB | 256 KiB | 1 MiB |",
        "| bare copy, 64 KiB | 10.0 ±15% |",
        "| no proxy at all | 20 / 40 |",
        "at most 1.05 | 7 values, round-trips-64-64: 1.00 to round-trips-1048576-64: 1.00 | reached |",
        "- nginx stream: not installed, not measured",
    ] {
        assert!(text.contains(expected), "no {expected:?} in\n{text}");
    }
    // Where a contestant has nothing to show, it has no row: no CPU without a proxy.
    assert_eq!(text.matches("| no proxy at all |").count(), 2, "{text}");
    let widths = |block: &str| {
        let rows = block.lines().filter(|line| line.starts_with('|'));
        rows.map(|row| row.matches('|').count()).collect::<std::collections::BTreeSet<_>>()
    };
    for block in text.split("\n\n") {
        assert!(widths(block).len() <= 1, "rows of different lengths:\n{block}");
    }
}

#[test]
fn targets_are_reached_or_not() {
    let verdicts = made_up().verdicts();
    let check = |what: &str, kind: Kind, expected: bool| {
        let of_kind = |it: &&Verdict<Kind>| it.measured.iter().any(|(it, _)| *it == kind);
        let found = verdicts.iter().filter(of_kind).find(|it| it.what == what);
        let found = found.unwrap_or_else(|| panic!("no target {what:?} for {kind}"));
        assert_eq!(found.is_reached(), expected, "{what}: {:?}", found.measured);
    };
    check("`splice`, CPU to bare splice", DOWN, false);
    check("`copy`, CPU to bare copy", DOWN, true);
    check("`auto`, CPU to bare splice", DOWN, true);
    check("`auto`, throughput to bare splice", DOWN, true);
    check("`auto`, CPU to bare copy", round_trips(1024), true);
    check("`auto`, CPU to `splice` or `copy`", round_trips(64), true);
    check("`splice`, KiB resident", IDLE, true);
    check("`copy`, KiB resident", IDLE, false);
    // HAProxy was not there: nothing is said of it.
    assert!(verdicts.iter().all(|verdict| !verdict.what.contains("HAProxy")));
}

#[test]
fn json_has_every_sample_and_null_where_there_is_none() {
    let json = made_up().to_json();
    let result = |name: &str, kind: Kind| {
        let results = json["results"].as_array().unwrap().iter();
        let mut fitting =
            results.filter(|it| it["contestant"] == name && it["kind"] == kind.to_string());
        fitting.next().unwrap_or_else(|| panic!("no {name}, {kind}")).clone()
    };
    let copy = result(COPY, DOWN);
    let rounds = &copy["figures"]["cpu_seconds_per_gib"]["rounds"];
    assert_eq!(*rounds, serde_json::json!([0.9, 1.0, 1.2]));
    assert_eq!(copy["cpu_to_bare_copy"], 1.0);
    let direct = result(NO_PROXY, DOWN);
    assert!(
        direct["cpu_to_bare_copy"].is_null() && direct["figures"]["gib_per_second"].is_object()
    );
    assert!(json["targets"].as_array().unwrap().iter().any(|target| target["reached"] == false));
}

#[test]
fn the_picture_has_curves_bars_and_labels() {
    let svg = picture::draw(&made_up()).unwrap();
    for expected in [
        "<svg xmlns=\"http://www.w3.org/2000/svg\"",
        "Linux 6.1 &lt;&amp;&gt;, Made-up CPU, 2 CPUs",
        "CPU seconds for each GiB (log)",
        "size of the message (log)",
        ">spliceway auto</text>",
        ">2.000</text>",
    ] {
        assert!(svg.contains(expected), "no {expected:?} in\n{svg}");
    }
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    // A curve and its line in the legend for each of the five.
    assert_eq!(svg.matches("<polyline").count(), 10);
    assert_eq!(svg.matches("<circle").count(), 5 * MESSAGE_BYTES.len());
    assert_eq!(svg.matches('<').count(), svg.matches('>').count());

    let machine = Machine { kernel: String::new(), cpu: String::new(), cpus: 1 };
    assert!(picture::draw(&Results::new(machine, Vec::new(), targets::marks())).is_none());
}

#[test]
fn no_two_kinds_have_the_same_name() {
    let names: Vec<String> = Kind::all().iter().map(Kind::to_string).collect();
    let unique: std::collections::BTreeSet<&String> = names.iter().collect();
    assert_eq!(unique.len(), names.len(), "{names:?}");
}
