//! Limits of listeners and clients over real sockets, with the real binary: counts are exact, who
//! is over a limit takes nothing from others, and however many come, memory stays.

// A failed `unwrap` or `panic!` is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::io::{Read, Write};
use std::time::Instant;

use spliceway::io::admission::TURNED_AWAY_MAX;
use support::certificates::{Authority, Wanted};
use support::http::{Connection, HttpOrigin, get};
use support::origin::{Origin, echo, exchange, sink};
use support::pattern::{digest, read_digest, write_pattern};
use support::proxy::{Launch, Proxy, logged};
use support::stream::Stream;
use support::{eventually, in_each_mode};

const REFUSALS: &str = "spliceway_limit_refusals_total";

/// A listener of TCP with limits, to an origin.
fn tcp(origin: &Origin, mode: &str, more: &str, limits: &str) -> Proxy {
    Launch::configured(&format!(
        "[access_log]\npath = \"stdout\"\n\
         [listeners.web]\nbind = \"127.0.0.1:0\"\nupstream = \"app\"\nrelay.mode = \"{mode}\"\n\
         {more}\n[listeners.web.limits]\n{limits}\n\
         [upstreams.app]\nservers = [\"{}\"]\n",
        origin.address()
    ))
    .start()
}

/// A listener of HTTP with limits that answers by itself.
fn http(more: &str, limits: &str) -> Proxy {
    Launch::configured(&format!(
        "[access_log]\npath = \"stdout\"\n\
         [listeners.web]\nbind = \"127.0.0.1:0\"\nprotocol = \"http\"\n{more}\n\
         [listeners.web.limits]\n{limits}\n\
         [[listeners.web.routes]]\nrespond.status = 200\nrespond.body = \"here\"\n"
    ))
    .start()
}

/// A connection whose client is the one that a PROXY header names.
fn from(proxy: &Proxy, client: &str) -> Stream {
    let family = if client.contains(':') { "TCP6" } else { "TCP4" };
    let to = if client.contains(':') { "2001:db8::1" } else { "198.51.100.1" };
    let mut stream = proxy.connect();
    let header = format!("PROXY {family} {client} {to} 5000 443\r\n");
    // One that is sent away may be gone before it has said more.
    let _written = stream.write_all(header.as_bytes()).is_ok();
    stream
}

/// Whether the origin answers.
fn is_served(stream: &mut Stream) -> bool {
    let mut answer = [0; 4];
    stream.write_all(b"ping").is_ok()
        && stream.read_exact(&mut answer).is_ok()
        && &answer == b"ping"
}

const PROXY_HEADER: &str = "proxy_protocol = { accept = \"required\", trust = [\"127.0.0.1\"] }";

fn await_refusals(proxy: &Proxy, reason: &str, count: f64) {
    let seen = proxy.await_metric(REFUSALS, &[("reason", reason)], |seen| seen >= count);
    assert_eq!(seen, count, "{reason}");
}

#[test]
fn connections_at_once_are_counted_for_each_client() {
    let origin = Origin::start(echo);
    let proxy = tcp(&origin, "auto", PROXY_HEADER, "client_connections = 3\nconnections = 8");
    let open = |client: &str, count: usize| -> Vec<Stream> {
        (0..count)
            .filter_map(|_| {
                let mut stream = from(&proxy, client);
                is_served(&mut stream).then_some(stream)
            })
            .collect()
    };
    let mut first = open("192.0.2.1", 10);
    assert_eq!(first.len(), 3, "exactly as many as it may");
    await_refusals(&proxy, "client_connections", 7.0);
    // A subscriber of IPv6 is one client, whichever of his addresses he takes.
    let of_network: Vec<Stream> =
        (1..=5).flat_map(|it| open(&format!("2001:db8:1:1:{it}::7"), 1)).collect();
    assert_eq!(of_network.len(), 3);
    let others = open("2001:db8:1:2::7", 3);
    assert_eq!(others.len(), 2, "the listener's own limit");
    await_refusals(&proxy, "connections", 1.0);
    await_refusals(&proxy, "client_connections", 9.0);
    let line = logged(&proxy, "reason", "connection_limit");
    assert_eq!(line["client"], "192.0.2.1:5000");
    assert_eq!(origin.accepted(), 8, "nothing of those who were refused reaches a server");
    drop(first.pop());
    eventually("a place that is free is taken", || open("192.0.2.1", 1).pop());
}

#[test]
fn new_connections_come_no_faster_than_they_may() {
    let origin = Origin::start(echo);
    let limits = "client_connection_rate = \"1/h burst 4\"\nconnection_rate = \"1/h burst 6\"";
    let proxy = tcp(&origin, "auto", PROXY_HEADER, limits);
    let served = |client: &str| (0..20).filter(|_| is_served(&mut from(&proxy, client))).count();
    assert_eq!(served("192.0.2.1"), 4);
    assert_eq!(served("192.0.2.2"), 2, "what is left of the listener's");
    await_refusals(&proxy, "client_connection_rate", 16.0);
    await_refusals(&proxy, "connection_rate", 18.0);
    proxy.await_closed("rate_limit", 34.0);
}

/// All workers share what is left, without a word about it.
#[test]
fn several_workers_count_as_one() {
    let origin = Origin::start(echo);
    let proxy = Launch::tcp("auto", &[origin.address()])
        .option("--workers", "4")
        .set("listeners.tcp.limits.client_connections", "10")
        .start();
    let served: Vec<Stream> = std::thread::scope(|scope| {
        let connect = || {
            let open = (0..10).map(|_| proxy.connect());
            open.filter_map(|mut it| is_served(&mut it).then_some(it)).collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(connect)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(served.len(), 10);
    await_refusals(&proxy, "client_connections", 70.0);
}

#[test]
fn requests_beyond_the_rate_are_told_when_to_come_back() {
    let proxy = http("forwarded.trust = [\"127.0.0.1\"]", "client_request_rate = \"1/h burst 5\"");
    let request = |client: &str| {
        format!("GET / HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: {client}\r\n\r\n")
    };
    let mut connection = Connection::open(&proxy.address());
    for number in 0..20 {
        let answer = connection.exchange(request("192.0.2.1"));
        if number < 5 {
            assert_eq!((answer.status(), answer.field("retry-after")), (200, None));
            continue;
        }
        assert_eq!(answer.status(), 429, "{number}");
        let after: u64 = answer.field("retry-after").unwrap().parse().unwrap();
        assert!((3500..=3600).contains(&after), "{after}");
    }
    // Whoever else comes over the same connection of the same proxy has its own.
    for client in ["192.0.2.2", "2001:db8:1:1::1", "2001:db8:1:1:2::2"] {
        assert_eq!(connection.exchange(request(client)).status(), 200);
    }
    let network = |last: u8| request(&format!("2001:db8:1:1:3::{last}"));
    let more = (0..10).filter(|last| connection.exchange(network(*last)).status() == 200).count();
    assert_eq!(more, 3, "five for the network");
    await_refusals(&proxy, "client_request_rate", 22.0);
    assert_eq!(logged(&proxy, "status", 429)["reason"], "rate_limit");
}

#[test]
fn a_client_of_http_is_told_why_it_may_not_connect() {
    let proxy = http("", "client_connections = 1\nclient_prefix_v4 = 24");
    let mut first = Connection::open(&proxy.address());
    assert_eq!(first.exchange(get("/")).status(), 200);
    let mut second = Connection::open(&proxy.address());
    let answer = second.exchange(get("/"));
    assert_eq!((answer.status(), answer.field("retry-after")), (429, Some("1")));
    assert_eq!(answer.field("connection"), Some("close"));
    second.expect_end();
    assert_eq!(first.exchange(get("/")).status(), 200, "the first one goes on");
    drop(first);
    eventually("it may come when the other has gone", || {
        (Connection::open(&proxy.address()).exchange(get("/")).status() == 200).then_some(())
    });
}

/// Only so many clients are told why at a time: a flood gets no answers.
#[test]
fn a_crowd_is_reset() {
    const CROWD: usize = TURNED_AWAY_MAX + 50;
    let proxy = http("", "client_connections = 1");
    let mut first = Connection::open(&proxy.address());
    assert_eq!(first.exchange(get("/")).status(), 200);
    let mut crowd: Vec<Connection> =
        (0..CROWD).map(|_| Connection::open(&proxy.address())).collect();
    proxy.await_closed("connection_limit", 50.0);
    await_refusals(&proxy, "client_connections", CROWD as f64);
    let told = crowd[..TURNED_AWAY_MAX].iter_mut().map(|it| it.exchange(get("/")).status());
    assert!(told.into_iter().all(|status| status == 429));
    proxy.await_closed("connection_limit", CROWD as f64);
    assert_eq!(first.exchange(get("/")).status(), 200, "the first one goes on");
}

#[test]
fn lists_say_who_may_come() {
    let origin = Origin::start(echo);
    let lists = "allow = [\"192.0.2.0/24\", \"2001:db8::/32\"]\ndeny = [\"192.0.2.128/25\"]";
    let proxy = tcp(&origin, "auto", PROXY_HEADER, lists);
    let check = |client: &str, expected: bool| {
        assert_eq!(is_served(&mut from(&proxy, client)), expected, "{client}");
    };
    check("192.0.2.1", true);
    check("192.0.2.200", false);
    check("198.51.100.1", false);
    check("2001:db8::7", true);
    check("2001:db9::7", false);
    await_refusals(&proxy, "denied", 3.0);
    assert_eq!(logged(&proxy, "reason", "denied")["client"], "192.0.2.200:5000");

    let proxy = http("forwarded.trust = [\"127.0.0.1\"]", "deny = [\"192.0.2.0/24\"]");
    let mut connection = Connection::open(&proxy.address());
    let ask = |connection: &mut Connection, client: &str| {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {client}\r\n\r\n");
        connection.exchange(request).status()
    };
    assert_eq!(ask(&mut connection, "192.0.2.1"), 403);
    assert_eq!(ask(&mut connection, "198.51.100.1"), 200);
    let proxy = http("", "deny = [\"127.0.0.0/8\"]");
    assert_eq!(Connection::open(&proxy.address()).exchange(get("/")).status(), 403);
}

/// Nobody who is not let in costs a handshake.
#[test]
fn over_tls_it_is_a_reset_before_the_handshake() {
    let folder = tempfile::tempdir().unwrap();
    Authority::root("Limits").issue(&Wanted::names(&["a.example"])).write(folder.path(), "web", "");
    let path = |file: &str| folder.path().join(file).display().to_string();
    let tls = format!(
        "tls = {{ certificates = [{{ chain = \"{}\", key = \"{}\" }}] }}",
        path("web.pem"),
        path("web.key")
    );
    let proxy = http(&tls, "deny = [\"127.0.0.1\"]");
    let mut stream = proxy.connect();
    let error = stream.read(&mut [0; 10]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    proxy.await_closed("denied", 1.0);
    let handshakes = proxy.metrics().sum("spliceway_tls_handshake_failures_total", &[]);
    assert_eq!(handshakes, 0.0);
}

const RATE: u64 = 8 << 20;
const BURST: u64 = 512 << 10;
const BYTES: u64 = 6 << 20;

/// No bandwidth lets so many bytes pass in less time, however fast the machine is.
fn check_time(began: Instant, moved: u64) {
    let elapsed = began.elapsed().as_secs_f64();
    let least = (moved - BURST) as f64 / RATE as f64;
    assert!(elapsed >= least, "{moved} bytes in {elapsed} s, which is less than {least} s");
}

/// The same, and those who wait are woken a bounded number of times.
fn check_bandwidth(proxy: &Proxy, began: Instant, moved: u64) {
    check_time(began, moved);
    let elapsed = began.elapsed().as_secs_f64();
    let pauses = proxy.await_metric("spliceway_bandwidth_pauses_total", &[], |it| it > 0.0);
    let most = (elapsed + 1.0) * 2.0 * 80.0;
    assert!(pauses <= most, "{pauses} pauses in {elapsed} s");
}

#[test]
fn bandwidth_holds_bytes_back_and_changes_none() {
    in_each_mode(|mode| {
        let origin = Origin::start(exchange(2, BYTES));
        let limits = "client_bandwidth = \"8MiB/s burst 512KiB\"\nbandwidth = \"64MiB/s\"";
        let proxy = tcp(&origin, mode, "", limits);
        let began = Instant::now();
        let mut client = proxy.connect();
        let mut outgoing = client.try_clone().unwrap();
        let writer = std::thread::spawn(move || {
            write_pattern(&mut outgoing, 1, BYTES).and_then(|()| outgoing.end_writing())
        });
        let (received, ending) = read_digest(&mut client);
        ending.unwrap();
        writer.join().unwrap().unwrap();
        assert_eq!(received, digest(2, BYTES), "{mode}");
        assert_eq!(origin.report().received, digest(1, BYTES), "{mode}");
        check_bandwidth(&proxy, began, BYTES);
        if mode == "splice" {
            let spliced =
                proxy.await_metric("spliceway_relay_bytes_total", &[("path", "splice")], |bytes| {
                    bytes == 2.0 * BYTES as f64
                });
            assert_eq!(spliced, 2.0 * BYTES as f64, "pipes stay");
        }
    });
}

/// All connections of a client share what it may have, and one of another client is as fast as
/// ever.
#[test]
fn the_bandwidth_is_the_client_s_and_not_the_connection_s() {
    let origin = Origin::start(sink);
    let limits = "client_bandwidth_upstream = \"8MiB/s burst 512KiB\"";
    let proxy = tcp(&origin, "splice", PROXY_HEADER, limits);
    let began = Instant::now();
    let upload = |client: &'static str| {
        let mut stream = from(&proxy, client);
        write_pattern(&mut stream, 3, BYTES / 3).and_then(|()| stream.end_writing()).unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
    };
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| upload("192.0.2.1"));
        }
        scope.spawn(|| upload("192.0.2.2"));
    });
    check_bandwidth(&proxy, began, BYTES);
    (0..4).for_each(|_| assert_eq!(origin.report().received, digest(3, BYTES / 3)));
}

/// Answers with a body of so many bytes, with a length or in chunks, and takes as many.
fn bodies(length: usize) -> HttpOrigin {
    HttpOrigin::start(move |request, connection| {
        assert!(request.body.is_empty() || request.body == vec![b'u'; length]);
        if request.target() == "/chunks" {
            let chunk =
                [format!("{:x}\r\n", 1000).into_bytes(), vec![b'd'; 1000], b"\r\n".to_vec()];
            let body = chunk.concat().repeat(length / 1000);
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            return connection.try_send(head).is_ok()
                && connection.try_send(body).is_ok()
                && connection.try_send("0\r\n\r\n").is_ok();
        }
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        connection.try_send(head).is_ok() && connection.try_send(vec![b'd'; length]).is_ok()
    })
}

/// Bodies of HTTP, with a length and in chunks, in either direction.
#[test]
fn bodies_of_http_are_held_back_too() {
    let length = usize::try_from(BYTES).unwrap();
    in_each_mode(|mode| {
        let origin = bodies(length);
        let proxy = Launch::configured(&format!(
            "[listeners.web]\nbind = \"127.0.0.1:0\"\nprotocol = \"http\"\nupstream = \"app\"\n\
             relay.mode = \"{mode}\"\n[listeners.web.limits]\n\
             client_bandwidth = \"8MiB/s burst 512KiB\"\n\
             [upstreams.app]\nservers = [\"{}\"]\n",
            origin.address()
        ))
        .start();
        let began = Instant::now();
        let mut connection = Connection::open(&proxy.address());
        let answer = connection.exchange(get("/length"));
        assert!(answer.body == vec![b'd'; length], "{mode}");
        let answer = connection.exchange(get("/chunks"));
        assert!(answer.body == vec![b'd'; length / 1000 * 1000], "{mode}");
        check_time(began, 2 * BYTES);
        let uploaded = Instant::now();
        connection.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"));
        connection.send(vec![b'u'; length]);
        assert_eq!(connection.read_response("POST").body.len(), length, "{mode}");
        check_time(uploaded, BYTES);
        check_bandwidth(&proxy, began, 3 * BYTES);
    });
}

/// A hundred thousand addresses, a request each: memory stays as it was, all are served, and
/// whoever has used up what he may is not forgotten for them.
#[test]
fn a_flood_of_addresses_takes_no_memory_and_frees_nobody() {
    const ADDRESSES: usize = 100_000;
    const BATCH: usize = 500;
    let proxy = http(
        "forwarded.trust = [\"127.0.0.1\"]",
        "client_request_rate = \"1/h burst 20\"\n[process]\nlimited_clients_max = 1024",
    );
    let mut connection = Connection::open(&proxy.address());
    let request =
        |client: &str| format!("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {client}\r\n\r\n");
    let abuse = request("192.0.2.66");
    while connection.exchange(&abuse).status() == 200 {}
    let mut flood = |from: usize, to: usize| {
        for batch in (from..to).step_by(BATCH) {
            let each = |number: usize| {
                request(&format!("2001:db8:{:x}:{:x}::1", number >> 16, number & 0xffff))
            };
            connection.send((batch..batch + BATCH).map(each).collect::<String>());
            for _ in 0..BATCH {
                assert_eq!(connection.read_response("GET").status(), 200);
            }
        }
        assert_eq!(connection.exchange(&abuse).status(), 429, "he is still known");
    };
    flood(0, 10_000);
    let before = proxy.resident_kib();
    flood(10_000, ADDRESSES);
    let grown = proxy.resident_kib().saturating_sub(before);
    assert!(grown < 2048, "{grown} KiB more");
    let misses = "spliceway_limited_client_misses_total";
    proxy.await_metric(misses, &[("outcome", "evicted")], |it| it > 90_000.0);
    assert_eq!(proxy.metrics().sum(misses, &[("outcome", "untracked")]), 0.0);
}
