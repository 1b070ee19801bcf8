//! Clients that speak TLS and mean harm: floods, alerts, dribbles. Each costs little and is over
//! soon, and the next client is served.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::Site;
use crate::client::{TlsStream, ask, config, connect, connect_with};
use crate::support::http::HttpOrigin;
use crate::support::origin::{self, Origin};
use crate::support::proxy::{Launch, Proxy};

const GET: &[u8] = b"GET /x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";
const FAILURES: &str = "spliceway_tls_handshake_failures_total";

/// A fatal alert, handshake_failure, in plain text (RFC 8446, section 6).
const ALERT: &[u8] = &[21, 3, 3, 0, 2, 2, 40];

fn start(site: &Site, protocol: &str, timeout: &str, server: &impl std::fmt::Display) -> Proxy {
    let tls = site.tls("ecdsa", "");
    Launch::configured(&format!(
        "[process]\nhandshakes_max = 4\n\
         [listeners.web]\nbind = \"127.0.0.1:0\"\nprotocol = \"{protocol}\"\nupstream = \"app\"\n\
         tls = {tls}\n\
         [listeners.web.timeouts]\ntls_handshake = \"{timeout}\"\n\
         [upstreams.app]\nservers = [\"{server}\"]\n"
    ))
    .start()
}

/// The first message of a client.
fn hello(stream: &mut TlsStream) -> Vec<u8> {
    let mut hello = Vec::new();
    stream.conn.write_tls(&mut hello).unwrap();
    hello
}

/// Reads until the proxy is done with the stream.
fn read_out(stream: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset in place of an end says the same.
    let _ending = stream.read_to_end(&mut bytes).is_err();
    bytes
}

#[test]
fn an_alert_ends_every_stage_at_once() {
    let site = Site::new();
    let origin = HttpOrigin::echo();
    // So long that it plays no part.
    let proxy = start(&site, "http", "1h", origin.address());
    let failed = |reason: &str, count: f64| {
        proxy.await_metric(FAILURES, &[("reason", reason)], |failures| failures == count);
        ask(&mut connect(&site, &proxy.address()), GET).unwrap();
    };

    let mut first = proxy.connect();
    first.write_all(ALERT).unwrap();
    read_out(&mut first);
    failed("not_tls", 1.0);

    for (count, version) in [(1.0, &rustls::version::TLS12), (2.0, &rustls::version::TLS13)] {
        let mut stream = connect_with(config(&site, &[version]), &proxy.address(), "a.example");
        let hello = hello(&mut stream);
        stream.sock.write_all(&hello).unwrap();
        // What the proxy says comes first, so the alert meets a handshake that goes on.
        let mut answer = [0; 5];
        stream.sock.read_exact(&mut answer).unwrap();
        assert_eq!(answer[..2], [22, 3], "{version:?}");
        stream.sock.write_all(ALERT).unwrap();
        read_out(&mut stream.sock);
        failed("alert", count);
    }

    // Behind a handshake, what is not sealed was put there by somebody else.
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut stream = connect_with(config(&site, &[version]), &proxy.address(), "a.example");
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").unwrap();
        stream.read_exact(&mut [0; 15]).unwrap();
        stream.sock.write_all(ALERT).unwrap();
        let ending = stream.read_to_end(&mut Vec::new()).unwrap_err().to_string();
        assert!(ending.contains("alert"), "the client is told why: {ending}");
        ask(&mut connect(&site, &proxy.address()), GET).unwrap();
    }
    proxy.await_metric("spliceway_connections", &[], |open| open == 0.0);
}

#[test]
fn a_hello_that_dribbles_has_one_deadline() {
    let site = Site::new();
    let origin = HttpOrigin::echo();
    let proxy = start(&site, "http", "300ms", origin.address());
    let mut stream = connect(&site, &proxy.address());
    let hello = hello(&mut stream);
    let mut sent = 0;
    for byte in &hello {
        if stream.sock.has_input() || stream.sock.write_all(&[*byte]).is_err() {
            break;
        }
        sent += 1;
        // The pace of the client, not a time to wait for something.
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(sent < hello.len(), "all {sent} bytes were waited for");
    proxy.await_metric(FAILURES, &[("reason", "timed_out")], |failures| failures == 1.0);
    ask(&mut connect(&site, &proxy.address()), GET).unwrap();
}

#[test]
fn a_hello_that_is_too_long_is_not_read() {
    let site = Site::new();
    let origin = HttpOrigin::echo();
    let proxy = start(&site, "http", "1h", origin.address());
    // It would be 60 KB, and comes in records that are right.
    let mut bytes = Vec::new();
    for index in 0..4 {
        bytes.extend([22, 3, 1, 0x3a, 0x98]);
        let mut record = vec![0; 15_000];
        if index == 0 {
            record[..4].copy_from_slice(&[1, 0, 0xea, 0x5c]);
        }
        bytes.extend(record);
    }
    let mut stream = proxy.connect();
    // The proxy may be gone before it has all.
    let _written = stream.write_all(&bytes).is_ok();
    read_out(&mut stream);
    proxy.await_metric(FAILURES, &[("reason", "protocol")], |failures| failures == 1.0);
    ask(&mut connect(&site, &proxy.address()), GET).unwrap();
}

/// Established clients go on while others do nothing but shake hands.
#[test]
fn a_flood_of_handshakes_starves_nobody() {
    const ROUND_TRIPS: usize = 300;
    let site = Site::new();
    let origin = Origin::start(origin::echo);
    let proxy = start(&site, "tcp", "10s", origin.address());
    let mut established = connect(&site, &proxy.address());
    let (is_over, handshakes) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    // Without resumption: a new config knows of no session.
                    let mut stream = connect(&site, &proxy.address());
                    stream.conn.complete_io(&mut stream.sock).unwrap();
                    handshakes.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for trip in 0..ROUND_TRIPS {
            let sent = [trip as u8; 100];
            established.write_all(&sent).unwrap();
            let mut received = [0; 100];
            established.read_exact(&mut received).unwrap();
            assert_eq!(received, sent);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let flood = handshakes.load(Ordering::Relaxed) as f64;
    assert!(flood > 8.0, "{flood}");
    proxy.await_metric("spliceway_tls_handshakes_total", &[], |count| count == flood + 1.0);
    assert_eq!(proxy.metrics().sum(FAILURES, &[]), 0.0);
}

/// New keys, over and over, without a word between: the session is ended.
#[test]
fn a_flood_of_key_updates_ends_the_session() {
    let site = Site::new();
    let origin = Origin::start(origin::echo);
    let proxy = start(&site, "tcp", "10s", origin.address());
    let mut stream = connect(&site, &proxy.address());
    stream.write_all(b"x").unwrap();
    stream.read_exact(&mut [0]).unwrap();
    for _ in 0..1000 {
        stream.conn.refresh_traffic_keys().unwrap();
        if stream.flush().is_err() {
            break;
        }
    }
    assert!(stream.read_to_end(&mut Vec::new()).is_err());
    proxy.await_metric("spliceway_connections", &[], |open| open == 0.0);
    connect(&site, &proxy.address()).conn.send_close_notify();
}

/// New keys with a word between each time, from a client that reads nothing: what it would have to
/// be told is not piled up.
#[test]
fn key_updates_of_a_client_that_does_not_read_take_no_memory() {
    const UPDATES: usize = 100_000;
    /// Each answer would be a record; together they would take twice this.
    const GROWTH_KIB_MAX: u64 = 1024;
    let site = Site::new();
    let origin = Origin::start(origin::sink);
    let proxy = start(&site, "tcp", "10s", origin.address());
    let mut stream = connect(&site, &proxy.address());
    stream.conn.complete_io(&mut stream.sock).unwrap();
    let update = |stream: &mut TlsStream| {
        stream.conn.refresh_traffic_keys().unwrap();
        stream.write_all(b"x").unwrap();
    };
    for _ in 0..1000 {
        update(&mut stream);
    }
    stream.sock.await_delivered();
    let before = proxy.resident_kib();
    for _ in 0..UPDATES {
        update(&mut stream);
    }
    stream.sock.await_delivered();
    let grown = proxy.resident_kib().saturating_sub(before);
    assert!(grown < GROWTH_KIB_MAX, "{grown} KiB");
}
