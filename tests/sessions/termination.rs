//! Sessions that end at a listener.

use std::io::{ErrorKind, Read, Write};

use rustls::HandshakeKind;

use crate::Site;
use crate::client::{ask, close, config, connect, connect_with};
use crate::support::http::HttpOrigin;
use crate::support::origin::{self, Origin};
use crate::support::pattern::{digest, read_digest, write_pattern};
use crate::support::proxy::{Launch, Proxy};
use crate::support::stream::Stream;

const GET: &[u8] = b"GET /x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";
const BYTES: u64 = 8 << 20;

fn start(site: &Site, protocol: &str, kind: &str, server: &impl std::fmt::Display) -> Proxy {
    let tls = site.tls(kind, "");
    Launch::configured(&format!(
        "[access_log]\npath = \"stdout\"\n\
         [listeners.web]\nbind = \"127.0.0.1:0\"\nprotocol = \"{protocol}\"\nupstream = \"app\"\n\
         tls = {tls}\n[upstreams.app]\nservers = [\"{server}\"]\n"
    ))
    .start()
}

#[test]
fn requests_pass_in_every_version_with_every_key_and_again() {
    let site = Site::new();
    let origin = HttpOrigin::echo();
    for kind in ["ecdsa", "rsa"] {
        let proxy = start(&site, "http", kind, origin.address());
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let config = config(&site, &[version]);
            for round in [HandshakeKind::Full, HandshakeKind::Resumed] {
                let to = proxy.address();
                let mut stream = connect_with(config.clone(), &to, "a.example");
                let answer = String::from_utf8(ask(&mut stream, GET).unwrap()).unwrap();
                assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
                assert!(answer.ends_with("GET /x "), "{answer}");
                let is_as_meant = |kind: HandshakeKind| match round {
                    HandshakeKind::Resumed => kind == round,
                    _ => kind != HandshakeKind::Resumed,
                };
                assert!(is_as_meant(stream.conn.handshake_kind().unwrap()), "{kind} {version:?}");
            }
            let label = if version.version == rustls::ProtocolVersion::TLSv1_2 {
                "TLSv1.2"
            } else {
                "TLSv1.3"
            };
            for resumed in ["no", "yes"] {
                let labels = [("version", label), ("resumed", resumed)];
                proxy.await_metric("spliceway_tls_handshakes_total", &labels, |n| n == 1.0);
            }
        }
    }
    let request = &origin.requests()[0];
    assert_eq!(request.field("x-forwarded-proto"), Some("https"));
}

#[test]
fn many_requests_pass_on_one_session() {
    let site = Site::new();
    let origin = HttpOrigin::start(|request, connection| {
        let size: usize = request.target()[1..].parse().unwrap();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
        connection.try_send(head).is_ok() && connection.try_send(vec![b'x'; size]).is_ok()
    });
    let proxy = start(&site, "http", "ecdsa", origin.address());
    let mut stream = connect(&site, &proxy.address());
    for size in [0, 1, 1000, 16_384, 100_000, 1_000_000] {
        let request = format!("GET /{size} HTTP/1.1\r\nHost: a.example\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let mut body = vec![0; size];
        stream.read_exact(&mut body).unwrap();
        assert!(body.iter().all(|byte| *byte == b'x'), "{size}");
    }
    proxy.await_metric("spliceway_relay_fallbacks_total", &[("reason", "tls")], |n| n >= 1.0);
}

#[test]
fn bulk_passes_in_both_directions_and_each_ends_by_itself() {
    let site = Site::new();
    let origin = Origin::start(origin::exchange(7, BYTES));
    let proxy = start(&site, "tcp", "ecdsa", origin.address());
    let mut stream = connect(&site, &proxy.address());
    write_pattern(&mut stream, 9, BYTES).unwrap();
    close(&mut stream);
    let (received, ending) = read_digest(&mut stream);
    ending.unwrap();
    assert!(received == digest(7, BYTES));
    let report = origin.report();
    report.ending.unwrap();
    assert!(report.received == digest(9, BYTES));
    proxy.await_closed("completed", 1.0);
}

#[test]
fn a_server_that_is_cut_off_does_not_look_whole() {
    let site = Site::new();
    let origin = Origin::start(origin::reset_after(5, 100_000));
    let proxy = start(&site, "tcp", "ecdsa", origin.address());
    let mut stream = connect(&site, &proxy.address());
    stream.write_all(b"x").unwrap();
    let (_, ending) = read_digest(&mut stream);
    assert!(ending.is_err(), "no close_notify came");
    proxy.await_closed("upstream_reset", 1.0);
}

#[test]
fn a_body_without_a_length_ends_with_close_notify_or_not_at_all() {
    let site = Site::new();
    for is_cut in [false, true] {
        let origin = HttpOrigin::start(move |_, connection| {
            connection.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n0123456789");
            if is_cut {
                connection.stream().await_delivered();
                connection.stream().reset_at_close();
            }
            false
        });
        let proxy = start(&site, "http", "ecdsa", origin.address());
        let answer = ask(&mut connect(&site, &proxy.address()), GET);
        match is_cut {
            false => assert!(answer.unwrap().ends_with(b"0123456789")),
            true => assert!(answer.is_err(), "{answer:?}"),
        }
    }
}

#[test]
fn a_client_that_goes_without_a_word_is_passed_on_as_cut() {
    let site = Site::new();
    let origin = Origin::start(origin::sink);
    let proxy = start(&site, "tcp", "ecdsa", origin.address());
    let mut stream = connect(&site, &proxy.address());
    stream.write_all(b"half a sentence").unwrap();
    stream.flush().unwrap();
    stream.sock.end_writing().unwrap();
    let ending = origin.report().ending.unwrap_err();
    assert_eq!(ending.kind(), ErrorKind::ConnectionReset);
    proxy.await_closed("client_error", 1.0);
}

#[test]
fn a_client_that_has_said_all_may_go_without_a_word() {
    let site = Site::new();
    // The byte must have come before the end of the other direction is told.
    let origin = Origin::start(|mut stream| {
        stream.read_exact(&mut [0]).ok()?;
        origin::half_close_first(3, 100_000)(stream)
    });
    let proxy = start(&site, "tcp", "ecdsa", origin.address());
    let mut stream = connect(&site, &proxy.address());
    stream.write_all(b"x").unwrap();
    let (received, ending) = read_digest(&mut stream);
    ending.unwrap();
    assert!(received == digest(3, 100_000));
    stream.sock.end_writing().unwrap();
    origin.report().ending.unwrap();
    proxy.await_closed("completed", 1.0);
}

#[test]
fn a_client_that_reads_nothing_is_given_little() {
    let site = Site::new();
    let origin = Origin::start(origin::exchange(3, 256 << 20));
    let proxy = start(&site, "tcp", "ecdsa", origin.address());
    let mut stream = connect(&site, &proxy.address());
    stream.write_all(b"x").unwrap();
    let held = || proxy.metrics().sum("spliceway_buffer_held_bytes", &[]) as u64;
    let settled = crate::support::settled(held);
    assert!(settled <= 128 * 1024, "{settled}");
    // And all of it comes in the end, as far as it is asked for.
    let mut some = vec![0; 4 << 20];
    stream.read_exact(&mut some).unwrap();
    let mut expected = Vec::new();
    write_pattern(&mut expected, 3, some.len() as u64).unwrap();
    assert!(some == expected);
}

#[test]
fn between_requests_a_client_may_go_without_a_word() {
    let site = Site::new();
    let origin = HttpOrigin::echo();
    let proxy = start(&site, "http", "ecdsa", origin.address());
    let mut stream = connect(&site, &proxy.address());
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").unwrap();
    let mut some = [0; 12];
    stream.read_exact(&mut some).unwrap();
    let socket: &Stream = &stream.sock;
    socket.end_both().unwrap();
    proxy.await_closed("completed", 1.0);
}
