//! Clients that get no session: each has a bounded time, a reason, and harms nobody.

use std::io::{Read, Write};

use spliceway::tls::failure::TlsFailure;

use crate::Site;
use crate::client::{TlsStream, ask, config, connect, connect_with};
use crate::support::http::HttpOrigin;
use crate::support::proxy::{Launch, Proxy};

const GET: &[u8] = b"GET /x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";

fn start(site: &Site, more: &str, process: &str, origin: &HttpOrigin) -> Proxy {
    start_with(site, more, process, "500ms", origin)
}

fn start_with(
    site: &Site,
    more: &str,
    process: &str,
    tls_handshake: &str,
    origin: &HttpOrigin,
) -> Proxy {
    let tls = site.tls("ecdsa", more);
    let server = origin.address();
    Launch::configured(&format!(
        "[process]\n{process}\n\
         [listeners.web]\nbind = \"127.0.0.1:0\"\nprotocol = \"http\"\nupstream = \"app\"\n\
         tls = {tls}\n\
         [listeners.web.timeouts]\ntls_handshake = \"{tls_handshake}\"\n\
         [upstreams.app]\nservers = [\"{server}\"]\n"
    ))
    .start()
}

fn await_failure(proxy: &Proxy, reason: &str, count: f64) {
    const NAME: &str = "spliceway_tls_handshake_failures_total";
    proxy.await_metric(NAME, &[], |n| n >= count);
    let metrics = proxy.metrics();
    let met =
        TlsFailure::ALL.map(TlsFailure::label).map(|it| (it, metrics.sum(NAME, &[("reason", it)])));
    let met: Vec<_> = met.into_iter().filter(|(_, count)| *count > 0.0).collect();
    assert_eq!(met, [(reason, count)]);
    proxy.await_closed("tls_handshake", 1.0);
}

/// What comes back for these bytes.
fn answer_to(proxy: &Proxy, bytes: &[u8]) -> Vec<u8> {
    let mut stream = proxy.connect();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    // A reset in place of an end says the same.
    let _ending = stream.read_to_end(&mut answer).is_err();
    answer
}

#[test]
fn what_is_no_tls_is_named() {
    let site = Site::new();
    let check = |bytes: &[u8], reason: &str, expected: &str| {
        let origin = HttpOrigin::echo();
        let proxy = start(&site, "", "", &origin);
        let answer = answer_to(&proxy, bytes);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with(expected), "{answer}");
        await_failure(&proxy, reason, 1.0);
        ask(&mut connect(&site, &proxy.address()), GET).unwrap();
        assert_eq!(origin.requests().len(), 1, "nothing of it has reached the server");
    };
    check(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "plain_http", "HTTP/1.1 400 Bad Request\r\n");
    check(b"SSH-2.0-OpenSSH\r\n", "not_tls", "");
    check(&[22, 3, 1, 0, 4, 2, 0, 0, 0], "protocol", "");
    // Nothing, and half a record.
    check(b"", "timed_out", "");
    check(&[22, 3, 1, 2, 0, 1, 0, 1], "timed_out", "");
}

#[test]
fn names_and_versions_are_held() {
    let site = Site::new();
    let origin = HttpOrigin::echo();
    let more = ", unknown_name = \"refuse\", min_version = \"1.3\"";
    let proxy = start(&site, more, "", &origin);
    let tls12 = config(&site, &[&rustls::version::TLS12]);
    ask(&mut connect_with(tls12, &proxy.address(), "a.example"), GET).unwrap_err();
    await_failure(&proxy, "version", 1.0);
    let any = config(&site, rustls::ALL_VERSIONS);
    ask(&mut connect_with(any, &proxy.address(), "b.example"), GET).unwrap_err();
    let labels = [("reason", "no_certificate")];
    proxy.await_metric("spliceway_tls_handshake_failures_total", &labels, |n| n == 1.0);
    ask(&mut connect(&site, &proxy.address()), GET).unwrap();
}

#[test]
fn a_client_that_does_not_believe_says_so() {
    let site = Site::new();
    let origin = HttpOrigin::echo();
    let proxy = start(&site, "", "", &origin);
    let stranger = config(&Site::new(), rustls::ALL_VERSIONS);
    let mut stream = connect_with(stranger, &proxy.address(), "a.example");
    ask(&mut stream, GET).unwrap_err();
    while stream.conn.wants_write() {
        stream.conn.write_tls(&mut stream.sock).unwrap();
    }
    await_failure(&proxy, "alert", 1.0);
}

/// Clients that send a whole ClientHello and nothing more: they take their places, or wait for
/// them.
fn fall_silent(site: &Site, proxy: &Proxy, count: usize) -> Vec<TlsStream> {
    let config = config(site, rustls::ALL_VERSIONS);
    let silent = (0..count).map(|_| {
        let mut stream = connect_with(config.clone(), &proxy.address(), "a.example");
        let mut hello = Vec::new();
        stream.conn.write_tls(&mut hello).unwrap();
        stream.sock.write_all(&hello).unwrap();
        stream
    });
    silent.collect()
}

#[test]
fn those_who_fall_silent_cannot_keep_every_place_for_long() {
    let site = Site::new();
    let origin = HttpOrigin::echo();
    let places = "workers = 1\nhandshakes_max = 2";
    let proxy = start_with(&site, "", places, "1h", &origin);
    let silent = fall_silent(&site, &proxy, 2);
    ask(&mut connect(&site, &proxy.address()), GET).unwrap();
    let labels = [("reason", "timed_out")];
    proxy.await_metric("spliceway_tls_handshake_failures_total", &labels, |n| n >= 1.0);
    drop(silent);
}

#[test]
fn a_flood_of_handshakes_waits_for_its_turn() {
    let site = Site::new();
    let origin = HttpOrigin::echo();
    let proxy = start(&site, "", "handshakes_max = 2", &origin);
    let mut established = connect(&site, &proxy.address());
    established.write_all(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").unwrap();
    let mut some = [0; 15];
    established.read_exact(&mut some).unwrap();

    let dumb = fall_silent(&site, &proxy, 8);
    established.write_all(GET).unwrap();
    established.read_exact(&mut some).unwrap();
    let labels = [("reason", "timed_out")];
    proxy.await_metric("spliceway_tls_handshake_failures_total", &labels, |n| n == 8.0);
    drop(dumb);
    ask(&mut connect(&site, &proxy.address()), GET).unwrap();
}
