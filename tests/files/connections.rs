//! Files on connections that carry more than one request, or are about to end.

use nix::sys::signal::Signal;

use crate::support::http::Connection;
use crate::support::pattern::{Pattern, digest, read_digest};
use crate::support::proxy::logged;
use crate::transfers::{BIG, begin, evict, in_each_transfer, serve};
use crate::{Root, get};

/// The answers come in order, though the first file is to be read from a disk and the others are
/// at hand.
#[test]
fn requests_behind_a_cold_file_wait_for_it() {
    in_each_transfer(|transfer| {
        let root = Root::new();
        root.write_pattern("cold", 17, 3 << 20).write("hot", "hot");
        let proxy = serve(&root, transfer);
        assert_eq!(get(&proxy, "/hot", &[]).text(), "hot");
        evict(&root, "cold");
        let mut expected = vec![0; 3 << 20];
        Pattern::new(17).fill(&mut expected);
        let mut connection = Connection::open(&proxy.address());
        let paths = ["/cold", "/hot", "/none", "/cold", "/hot"];
        let requests = paths.map(|path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        connection.send(requests.concat());
        for path in paths {
            let answer = connection.read_response("GET");
            match path {
                "/cold" => assert!(answer.body == expected, "{transfer}"),
                "/hot" => assert_eq!(answer.text(), "hot", "{transfer}"),
                _ => assert_eq!(answer.status(), 404, "{transfer}"),
            }
        }
    });
}

#[test]
fn an_old_client_keeps_its_connection_if_it_asks_to() {
    let root = Root::new();
    root.write("file", "file");
    let proxy = root.serve("");
    let mut connection = Connection::open(&proxy.address());
    for _ in 0..3 {
        let answer = connection.exchange("GET /file HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(
            (answer.text().as_str(), answer.field("connection")),
            ("file", Some("keep-alive"))
        );
    }
    let last = connection.exchange("GET /file HTTP/1.0\r\n\r\n");
    assert_eq!((last.text().as_str(), last.field("connection")), ("file", Some("close")));
    connection.expect_end();
}

/// A client that has said all that it will still gets all that it asked for.
#[test]
fn a_client_that_has_ended_its_stream_gets_its_file() {
    let root = Root::new();
    root.write_pattern("big", 19, BIG);
    in_each_transfer(|transfer| {
        let proxy = serve(&root, transfer);
        let mut stream = begin(&proxy, true);
        stream.end_writing().unwrap();
        let (found, end) = read_digest(&mut stream);
        assert_eq!((found, end.is_ok()), (digest(19, BIG), true), "{transfer}");
        assert_eq!(logged(&proxy, "path", "/big")["reason"], "completed", "{transfer}");
    });
}

/// A proxy that is to end sends what it has begun.
#[test]
fn a_drain_lets_a_file_come_to_its_end() {
    let root = Root::new();
    root.write_pattern("big", 23, BIG);
    in_each_transfer(|transfer| {
        let mut proxy = serve(&root, transfer);
        let mut stream = begin(&proxy, true);
        let admin = proxy.admin();
        proxy.signal(Signal::SIGTERM);
        crate::support::eventually("readiness turns off", || {
            (crate::support::admin::get(admin, "/readyz")?.status == 503).then_some(())
        });
        let (found, end) = read_digest(&mut stream);
        assert_eq!((found, end.is_ok()), (digest(23, BIG), true), "{transfer}");
        drop(stream);
        assert_eq!(proxy.wait().code(), Some(0), "{transfer}");
    });
}
