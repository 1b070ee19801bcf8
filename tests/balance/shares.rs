//! Who gets how much.

use std::collections::BTreeMap;

use crate::backend::release;
use crate::support::eventually;
use crate::support::http::{Connection, get};
use crate::{Backend, addresses, ask, backends, count, proxy};

fn expect(counts: &BTreeMap<String, usize>, expected: &[(&str, usize)]) {
    let expected: BTreeMap<_, _> =
        expected.iter().map(|(name, it)| ((*name).to_owned(), *it)).collect();
    assert_eq!(*counts, expected);
}

#[test]
fn two_workers_take_turns_as_one() {
    let backends = backends(3);
    let proxy = proxy(&addresses(&backends), "");
    expect(&count(&proxy, 30), &[("a", 10), ("b", 10), ("c", 10)]);
}

#[test]
fn shares_follow_weights() {
    let backends = backends(2);
    let servers =
        [format!("{{ address = {}, weight = 3 }}", backends[0].quoted()), backends[1].quoted()];
    for algorithm in ["round_robin", "least_conn"] {
        let proxy = proxy(&servers, &format!("balance = \"{algorithm}\""));
        expect(&count(&proxy, 40), &[("a", 30), ("b", 10)]);
    }
}

#[test]
fn at_random_everybody_gets_something() {
    let backends = backends(3);
    let proxy = proxy(&addresses(&backends), "balance = \"random_two\"");
    let counts = count(&proxy, 90);
    assert!(counts.len() == 3 && counts.values().all(|count| *count > 9), "{counts:?}");
}

#[test]
fn a_key_has_its_server() {
    let backends = backends(4);
    let settings = "balance = \"consistent_hash\"\nhash_key = \"header:X-User\"";
    let proxy = proxy(&addresses(&backends), settings);
    let of = |user: usize| {
        let mut client = Connection::open(&proxy.address());
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nX-User: u{user}\r\n\r\n");
        client.exchange(request).text()
    };
    let first: Vec<String> = (0..40).map(of).collect();
    let again: Vec<String> = (0..40).map(of).collect();
    assert_eq!(first, again);
    let mut names = first;
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 4, "forty users meet all servers");
    // Without the header the client's address is the key, which is always the same here.
    assert_eq!(count(&proxy, 10).len(), 1);
}

#[test]
fn the_idle_one_gets_what_comes_while_another_is_busy() {
    let backends = [Backend::start("idle-a"), Backend::start("idle-b")];
    let proxy = proxy(&addresses(&backends), "balance = \"least_conn\"");
    let mut waiting = Connection::open(&proxy.address());
    waiting.send(get("/wait"));
    let busy = eventually("one is busy", || backends.iter().find(|it| it.under_way() == 1));
    let idle = backends.iter().find(|it| it.name() != busy.name()).unwrap();
    for _ in 0..10 {
        assert_eq!(ask(&proxy), (200, idle.name().to_owned()));
    }
    release(busy.name());
    assert_eq!(waiting.read_response("GET").text(), busy.name());
}

#[test]
fn backups_stand_in_for_all_others() {
    let mut backends = backends(3);
    let servers = [
        backends[0].quoted(),
        backends[1].quoted(),
        format!("{{ address = {}, backup = true }}", backends[2].quoted()),
    ];
    let proxy = proxy(&servers, "");
    expect(&count(&proxy, 10), &[("a", 5), ("b", 5)]);
    backends[0].kill();
    expect(&count(&proxy, 10), &[("b", 10)]);
    backends[1].kill();
    expect(&count(&proxy, 10), &[("c", 10)]);
}
