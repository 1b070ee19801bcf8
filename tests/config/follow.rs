//! One configuration after another: the same names have the same ids.

use std::time::{Duration, Instant};

use spliceway::config::{Config, Protocol};
use spliceway::id::UpstreamId;
use spliceway::roster::Roster;

use crate::Case;

const DRAIN: Duration = Duration::from_secs(5);

/// Listeners of TCP and of HTTP, each with an upstream of its own name.
fn config(tcp: &[&str], http: &[&str]) -> Config {
    let mut text = String::new();
    for (protocol, names) in [("tcp", tcp), ("http", http)] {
        for name in names {
            text.push_str(&format!(
                "[listeners.{name}]\nbind = \"127.0.0.1:0\"\nprotocol = \"{protocol}\"\n\
                 upstream = \"{name}\"\n[upstreams.{name}]\nservers = [\"10.0.0.1:1\"]\n"
            ));
        }
    }
    Case::file("a.toml", &text).loaded().config
}

/// `name`, or `-name` for what is retired, by place.
fn shown(config: &Config) -> (Vec<String>, Vec<String>) {
    let mark = |name: &str, is_retired| if is_retired { format!("-{name}") } else { name.into() };
    let listeners = config.listeners.iter().map(|it| mark(&it.name, it.standing.is_retired()));
    let upstreams = config.upstreams.iter().map(|it| mark(&it.name, it.standing.is_retired()));
    (listeners.collect(), upstreams.collect())
}

fn follow(before: &Config, after: Config, now: Instant) -> Config {
    after.following(before, now, now + DRAIN).unwrap()
}

#[test]
fn ids_stay_and_lead_where_they_led() {
    let start = Instant::now();
    let first = config(&["b", "d"], &[]);
    let second = follow(&first, config(&["a", "d"], &["c"]), start);
    let names = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    assert_eq!(shown(&second).0, names(&["-b", "d", "a", "c"]));
    assert_eq!(shown(&second).1, names(&["-b", "d", "a", "c"]));
    for (place, listener) in second.active_listeners() {
        let upstream = listener.upstream().unwrap();
        assert_eq!(upstream, UpstreamId(u32::try_from(place).unwrap()), "{}", listener.name);
        assert_eq!(second.upstreams[upstream.index()].name, listener.name);
    }
    let Protocol::Tcp(upstream) = second.listeners[0].protocol else { panic!() };
    assert_eq!(upstream, UpstreamId(0), "what drains leads where it led");

    // The same again changes nothing, and what is gone gets no more time by it.
    let again = follow(&second, config(&["a", "d"], &["c"]), start + DRAIN / 2);
    assert_eq!(again, second);

    // One that speaks something else is another, as far as its listener goes.
    let third = follow(&second, config(&["d", "c"], &["a"]), start + DRAIN);
    assert_eq!(shown(&third).0, names(&["a", "d", "-a", "-c", "c"]));
    assert_eq!(shown(&third).1, names(&["-b", "d", "a", "c"]));
    assert_eq!(third.listeners[0].upstream(), Some(UpstreamId(2)));
    assert_eq!(third.listeners[4].upstream(), Some(UpstreamId(3)));
}

/// Any row of configurations, as fast or slowly as may be: each name leads to the upstream of that
/// name, and the roster has the servers of each at the same place.
#[test]
fn names_lead_to_their_upstreams_over_any_row_of_configurations() {
    const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
    for seed in 0..50 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut now = Instant::now();
        let pick = |random: &mut fastrand::Rng| {
            let names: Vec<&str> = NAMES.into_iter().filter(|_| random.bool()).collect();
            let (tcp, http): (Vec<&str>, Vec<&str>) = names.iter().partition(|_| random.bool());
            if names.is_empty() { config(&["a"], &[]) } else { config(&tcp, &http) }
        };
        let mut present = pick(&mut random);
        let mut roster = Roster::new(&present);
        for _ in 0..10 {
            now += Duration::from_secs(random.u64(0..4));
            let wanted = pick(&mut random);
            let expected: Vec<String> = wanted.listeners.iter().map(|it| it.name.clone()).collect();
            let next = follow(&present, wanted, now);
            roster = roster.following(&present, &next, now, now + DRAIN);
            let mut active: Vec<String> =
                next.active_listeners().map(|(_, it)| it.name.clone()).collect();
            active.sort();
            assert_eq!(active, expected, "seed {seed}");
            for (_, listener) in next.active_listeners() {
                let upstream = listener.upstream().unwrap();
                let settings = &next.upstreams[upstream.index()];
                assert_eq!(settings.name, listener.name, "seed {seed}");
                assert!(!settings.standing.is_retired(), "seed {seed}");
                assert_eq!(roster.upstream(upstream).members().len(), 1, "seed {seed}");
            }
            assert_eq!(roster.upstreams().len(), next.upstreams.len(), "seed {seed}");
            // Whoever had a place keeps it until its time is over.
            for (was, is) in present.listeners.iter().zip(&next.listeners) {
                let may_go = was.standing.retired_until().is_some_and(|until| until <= now);
                assert!(may_go || was.identity() == is.identity(), "seed {seed}");
            }
            present = next;
        }
    }
}
