//! PROXY headers, in and out.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::Site;
use crate::client::{ask, connect};
use crate::support::eventually;
use crate::support::http::HttpOrigin;
use crate::support::proxy::{Launch, Proxy};

const GET: &[u8] = b"GET /x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";
const TRUSTED: &str = "proxy_protocol = { accept = \"required\", trust = [\"127.0.0.1\"] }";

fn web(origin: &HttpOrigin, more: &str) -> Proxy {
    Launch::configured(&format!(
        "[access_log]\npath = \"stdout\"\n\
         [listeners.web]\nbind = \"127.0.0.1:0\"\nprotocol = \"http\"\nupstream = \"app\"\n{more}\n\
         [listeners.web.timeouts]\nproxy_header = \"500ms\"\n\
         [upstreams.app]\nservers = [\"{}\"]\n",
        origin.address()
    ))
    .start()
}

fn forwarded_for(origin: &HttpOrigin) -> Option<String> {
    origin.requests().last()?.field("x-forwarded-for").map(str::to_owned)
}

#[test]
fn the_address_comes_with_the_header_in_any_pieces() {
    let origin = HttpOrigin::echo();
    let proxy = web(&origin, TRUSTED);
    let header = b"PROXY TCP4 192.0.2.7 198.51.100.1 5000 443\r\n";
    for piece in [1, 5, 44, 200] {
        let mut stream = proxy.connect();
        let bytes = [&header[..], GET].concat();
        for piece in bytes.chunks(piece) {
            stream.write_all(piece).unwrap();
        }
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert!(answer.ends_with(b"GET /x "), "{piece}");
        assert_eq!(forwarded_for(&origin).as_deref(), Some("192.0.2.7"));
    }
    eventually("a line with the client's address", || {
        proxy.stdout_lines().concat().contains("192.0.2.7:5000").then_some(())
    });
}

#[test]
fn nothing_is_guessed() {
    let origin = HttpOrigin::echo();
    let check = |more: &str, bytes: &[u8], reason: &str| {
        let proxy = web(&origin, more);
        let mut stream = proxy.connect();
        // The proxy may be gone before it has all.
        let _written = stream.write_all(bytes).is_ok();
        let mut answer = Vec::new();
        let _ending = stream.read_to_end(&mut answer).is_err();
        assert!(answer.is_empty(), "{answer:?}");
        proxy.await_closed(reason, 1.0);
    };
    check(TRUSTED, GET, "proxy_header_missing");
    check(TRUSTED, b"", "proxy_header_timeout");
    check(TRUSTED, b"PROXY TCP4 192.0.2.7 ", "proxy_header_timeout");
    check(TRUSTED, &[b'P'; 5000], "proxy_header_missing");
    let untrusted = TRUSTED.replace("127.0.0.1", "192.0.2.0/24");
    let header = b"PROXY TCP4 192.0.2.7 198.51.100.1 5000 443\r\n";
    check(&untrusted, header, "proxy_untrusted");
    assert!(origin.requests().is_empty());
}

#[test]
fn an_address_passes_through_a_chain_of_two() {
    let site = Site::new();
    let tls = site.tls("ecdsa", "");
    for version in ["v1", "v2"] {
        for is_tls in [false, true] {
            let origin = HttpOrigin::echo();
            let inner = web(&origin, TRUSTED);
            let more = if is_tls { format!("tls = {tls}\n") } else { String::new() };
            for protocol in ["tcp", "http"] {
                let outer = Launch::configured(&format!(
                    "[listeners.a]\nbind = \"127.0.0.1:0\"\nprotocol = \"{protocol}\"\n\
                     upstream = \"b\"\n{TRUSTED}\n{more}\
                     [upstreams.b]\nservers = [\"{}\"]\nproxy_protocol = \"{version}\"\n",
                    inner.address()
                ))
                .start();
                let header = b"PROXY TCP4 203.0.113.9 198.51.100.1 5000 443\r\n";
                let answer = if is_tls {
                    let mut stream = connect(&site, &outer.address());
                    stream.sock.write_all(header).unwrap();
                    ask(&mut stream, GET).unwrap()
                } else {
                    let mut stream = outer.connect();
                    stream.write_all(&[&header[..], GET].concat()).unwrap();
                    let mut answer = Vec::new();
                    stream.read_to_end(&mut answer).unwrap();
                    answer
                };
                assert!(answer.ends_with(b"GET /x "), "{version} {protocol} {is_tls}");
                let forwarded = forwarded_for(&origin).unwrap();
                assert!(forwarded.ends_with("203.0.113.9"), "{forwarded}");
            }
        }
    }
}

/// The kernel would keep it for 200 ms for the bytes that may follow it. The fastest of a few
/// counts, since a busy machine only makes them slower.
#[test]
fn the_header_of_a_silent_client_does_not_wait() {
    let site = Site::new();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Launch::configured(&format!(
        "[listeners.a]\nbind = \"127.0.0.1:0\"\nupstream = \"b\"\ntls = {}\n\
         [upstreams.b]\nservers = [\"{}\"]\nproxy_protocol = \"v1\"\n",
        site.tls("ecdsa", ""),
        server.local_addr().unwrap()
    ))
    .start();
    let took = (0..5).map(|_| {
        let mut client = connect(&site, &proxy.address());
        while client.conn.is_handshaking() {
            client.conn.complete_io(&mut client.sock).unwrap();
        }
        let (mut server, _) = server.accept().unwrap();
        let accepted_at = Instant::now();
        let mut start = [0; 6];
        server.read_exact(&mut start).unwrap();
        assert_eq!(&start, b"PROXY ");
        accepted_at.elapsed()
    });
    assert!(took.min().unwrap() < Duration::from_millis(150));
}
