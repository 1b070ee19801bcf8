//! What all benchmarks share: statistics, names, and who runs where.

use nix::sched::CpuSet;

use crate::rig::kind::{select, show_bytes};
use crate::rig::machine::Cpus;
use spliceway::statistics::{Summary, percentile, percentile_microseconds};

#[test]
fn medians_and_ranges() {
    let check = |values: &[f64], expected: Option<(f64, f64, f64)>| {
        let expected = expected.map(|(median, low, high)| Summary { median, low, high });
        assert_eq!(Summary::of(values), expected, "{values:?}");
    };
    check(&[], None);
    check(&[f64::NAN], None);
    check(&[3.0], Some((3.0, 3.0, 3.0)));
    check(&[3.0, 1.0, 2.0], Some((2.0, 1.0, 3.0)));
    check(&[4.0, 1.0, f64::NAN, 2.0, 9.0], Some((3.0, 1.0, 9.0)));
    assert_eq!(Summary::of(&[8.0, 10.0, 12.0]).unwrap().half_range(), 0.2);
}

#[test]
fn percentiles_by_nearest_rank() {
    let hundred: Vec<u64> = (1..=100).collect();
    let check = |sorted: &[u64], share: f64, expected: Option<u64>| {
        assert_eq!(percentile(sorted, share), expected, "{share} of {} values", sorted.len());
    };
    check(&hundred, 0.5, Some(50));
    check(&hundred, 0.99, Some(99));
    check(&hundred, 1.0, Some(100));
    check(&[7], 0.99, Some(7));
    check(&[7, 9], 0.0, Some(7));
    check(&[], 0.5, None);
}

#[test]
fn names_are_chosen_whole_or_in_part() {
    let check = |wanted: &[&str], expected: Result<&[&str], ()>| {
        let wanted: Vec<String> = wanted.iter().map(|it| (*it).to_owned()).collect();
        let known = vec!["bulk-1", "bulk-16", "idle"];
        let chosen = select("kind", known, |it| (*it).to_owned(), &wanted);
        assert_eq!(chosen.as_deref().map_err(|_| ()), expected, "{wanted:?}");
    };
    check(&[], Ok(&["bulk-1", "bulk-16", "idle"]));
    check(&["bulk"], Ok(&["bulk-1", "bulk-16"]));
    check(&["bulk-1"], Ok(&["bulk-1"]));
    check(&["idle", "bulk-16"], Ok(&["bulk-16", "idle"]));
    check(&["idle", "sunshine"], Err(()));
}

#[test]
fn sizes_are_shown_with_their_units() {
    let check = |bytes: usize, expected: &str| assert_eq!(show_bytes(bytes), expected);
    check(0, "0");
    check(64, "64 B");
    check(1 << 10, "1 KiB");
    check(1500, "1500 B");
    check(256 << 10, "256 KiB");
    check(1 << 20, "1 MiB");
    check((1 << 20) + 1024, "1025 KiB");
}

#[test]
fn a_percentile_needs_enough_values() {
    let check = |count: u64, share: f64, expected: Option<f64>| {
        let values: Vec<u64> = (1..=count).map(|value| value * 1000).collect();
        let value = percentile_microseconds(&values, share);
        assert_eq!(Some(value).filter(|it| it.is_finite()), expected, "{share} of {count}");
    };
    check(0, 0.5, None);
    check(2, 0.5, Some(1.0));
    check(99, 0.99, None);
    check(100, 0.99, Some(99.0));
    check(999, 0.999, None);
    check(1000, 0.999, Some(999.0));
}

#[test]
fn each_worker_has_a_cpu_where_there_are_enough() {
    let set = |cpus: &[usize]| {
        let mut set = CpuSet::new();
        cpus.iter().for_each(|cpu| set.set(*cpu).unwrap());
        set
    };
    let check = |allowed: &[usize], workers: usize, proxy: &[usize], ends: &[usize]| {
        let cpus = Cpus::choose(&set(allowed), workers);
        assert_eq!((cpus.proxy, cpus.ends), (set(proxy), set(ends)), "{workers} of {allowed:?}");
    };
    check(&[0, 1], 1, &[0], &[1]);
    check(&[2, 5, 7], 1, &[2], &[5]);
    check(&[3], 1, &[3], &[3]);
    check(&[0, 1], 2, &[0, 1], &[0, 1]);
    check(&[0, 1, 2], 2, &[0, 1], &[2]);
    check(&[0, 1, 2, 3, 4], 2, &[0, 1], &[2, 3]);
}
