//! Sessions with servers: both sides of the same binary, one behind the other.

use std::io::{Read, Write};

use crate::Site;
use crate::client::{ask, connect};
use crate::support::http::{Connection, HttpOrigin, get};
use crate::support::origin::{self, Origin};
use crate::support::pattern::{digest, read_digest, write_pattern};
use crate::support::proxy::{Launch, Proxy};
use crate::support::stream::Stream;

/// `back` ends sessions and goes to the origin; `front` begins them with `back`.
fn chain(site: &Site, protocol: &str, server: &impl std::fmt::Display, trust: &str) -> [Proxy; 2] {
    let tls = site.tls("ecdsa", "");
    let back = Launch::configured(&format!(
        "[listeners.back]\nbind = \"127.0.0.1:0\"\nprotocol = \"{protocol}\"\nupstream = \"app\"\n\
         tls = {tls}\n[upstreams.app]\nservers = [\"{server}\"]\n"
    ))
    .start();
    let front = Launch::configured(&format!(
        "[listeners.front]\nbind = \"127.0.0.1:0\"\nprotocol = \"{protocol}\"\nupstream = \"back\"\n\
         [upstreams.back]\nservers = [\"{}\"]\ntls = {{ {trust} }}\n",
        back.address()
    ))
    .start();
    [front, back]
}

fn trust(site: &Site) -> String {
    format!("ca = \"{}\", server_name = \"a.example\"", site.path("ca.pem"))
}

#[test]
fn requests_share_sessions_with_a_server() {
    let site = Site::new();
    let origin = HttpOrigin::echo();
    let [front, back] = chain(&site, "http", origin.address(), &trust(&site));
    let mut client = Connection::open(&front.address());
    for target in ["/a", "/b", "/c"] {
        let answer = client.exchange(get(target));
        assert_eq!((answer.status(), answer.text()), (200, format!("GET {target} ")));
    }
    back.await_metric("spliceway_tls_handshakes_total", &[], |n| n == 1.0);
    let labels = [("connection", "reused")];
    front.await_metric("spliceway_upstream_requests_total", &labels, |n| n == 2.0);
}

#[test]
fn bulk_passes_two_sessions_and_each_direction_ends_by_itself() {
    const BYTES: u64 = 8 << 20;
    let site = Site::new();
    let origin = Origin::start(origin::exchange(7, BYTES));
    let [front, back] = chain(&site, "tcp", origin.address(), &trust(&site));
    let mut stream = Stream::connect(&front.address()).unwrap();
    write_pattern(&mut stream, 9, BYTES).unwrap();
    stream.end_writing().unwrap();
    let (received, ending) = read_digest(&mut stream);
    ending.unwrap();
    assert!(received == digest(7, BYTES));
    let report = origin.report();
    report.ending.unwrap();
    assert!(report.received == digest(9, BYTES));
    front.await_closed("completed", 1.0);
    back.await_closed("completed", 1.0);
}

#[test]
fn a_server_that_cannot_prove_who_it_is_gets_nothing() {
    let site = Site::new();
    let stranger = Site::new();
    let origin = HttpOrigin::echo();
    let [front, back] = chain(&site, "http", origin.address(), &trust(&stranger));
    let answer = Connection::open(&front.address()).exchange(get("/a"));
    assert_eq!(answer.status(), 502);
    let labels = [("reason", "tls")];
    front.await_metric("spliceway_upstream_errors_total", &labels, |n| n == 1.0);
    let labels = [("reason", "peer_certificate")];
    let failures = "spliceway_upstream_tls_handshake_failures_total";
    front.await_metric(failures, &labels, |n| n == 1.0);
    let labels = [("reason", "alert")];
    back.await_metric("spliceway_tls_handshake_failures_total", &labels, |n| n == 1.0);
    assert!(origin.requests().is_empty());
}

#[test]
fn a_server_without_tls_is_no_server() {
    let site = Site::new();
    let origin = HttpOrigin::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    for protocol in ["http", "tcp"] {
        let front = Launch::configured(&format!(
            "[listeners.front]\nbind = \"127.0.0.1:0\"\nprotocol = \"{protocol}\"\n\
             upstream = \"app\"\n\
             [upstreams.app]\nservers = [\"{}\"]\ntls = {{ {} }}\n[timeouts]\nconnect = \"1s\"\n",
            origin.address(),
            trust(&site)
        ))
        .start();
        let mut client = front.connect();
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        // TCP is cut, HTTP is answered.
        let _ending = client.read_to_end(&mut answer).is_err();
        front.await_metric("spliceway_upstream_errors_total", &[], |n| n >= 1.0);
    }
}

#[test]
fn tls_on_both_sides() {
    let site = Site::new();
    let origin = HttpOrigin::echo();
    let back = site.tls("rsa", "");
    let front = site.tls("ecdsa", "");
    let proxy = Launch::configured(&format!(
        "[listeners.a]\nbind = \"127.0.0.1:0\"\nprotocol = \"http\"\nupstream = \"app\"\ntls = {back}\n\
         [upstreams.app]\nservers = [\"{}\"]\n",
        origin.address()
    ))
    .start();
    let outer = Launch::configured(&format!(
        "[listeners.b]\nbind = \"127.0.0.1:0\"\nprotocol = \"tcp\"\nupstream = \"a\"\ntls = {front}\n\
         [upstreams.a]\nservers = [\"{}\"]\ntls = {{ {} }}\n",
        proxy.address(),
        trust(&site)
    ))
    .start();
    let mut stream = connect(&site, &outer.address());
    let answer =
        ask(&mut stream, b"GET /y HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
            .unwrap();
    assert!(answer.ends_with(b"GET /y "));
}
