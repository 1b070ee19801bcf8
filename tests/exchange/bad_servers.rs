//! Servers that are broken or mean harm: a clear answer or a cut, never one that looks whole, and
//! nothing for the next client.

use crate::support::http::{Connection, HttpOrigin, Message, get, ok};
use crate::support::in_each_mode;
use crate::support::proxy::{Launch, Proxy};
use crate::{await_none_connected, await_none_in_flight, logged};

/// An origin that answers each connection's first request with these bytes, and closes if it says
/// so; else it waits for the proxy to close.
fn saying(response: impl AsRef<[u8]>, closes: bool) -> HttpOrigin {
    let response = response.as_ref().to_vec();
    HttpOrigin::start(move |_, connection| {
        // The proxy may have had enough in the middle.
        let _enough = connection.try_send(&response);
        if !closes {
            let _rest = connection.read_to_end();
        }
        false
    })
}

fn ask(proxy: &Proxy) -> (Connection, std::io::Result<Message>) {
    let mut client = Connection::open(&proxy.address());
    client.send(get("/"));
    let response = client.try_read_response("GET");
    (client, response)
}

#[test]
fn a_head_may_come_byte_by_byte() {
    in_each_mode(|mode| {
        let origin = HttpOrigin::start(|_, connection| {
            ok("hello").bytes().all(|byte| connection.try_send([byte]).is_ok())
        });
        let proxy = Launch::http(mode, &[origin.address()]).start();
        let mut client = Connection::open(&proxy.address());
        for _ in 0..3 {
            assert_eq!(client.exchange(get("/")).text(), "hello", "{mode}");
        }
        assert_eq!(origin.accepted(), 1, "{mode}");
    });
}

#[test]
fn what_is_not_to_be_understood_is_502_and_goes_to_nobody() {
    const BODY: &str = "INJECTED";
    let heads = [
        ("both_framings", "HTTP/1.1 200 OK\r\nContent-Length: 8\r\nTransfer-Encoding: chunked"),
        ("content_length_differing", "HTTP/1.1 200 OK\r\nContent-Length: 8\r\nContent-Length: 9"),
        ("content_length", "HTTP/1.1 200 OK\r\nContent-Length: 8x"),
        ("transfer_encoding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, identity"),
        ("field", "HTTP/1.1 200 OK\r\nX : y"),
        ("field", "HTTP/1.1 200 OK\r\nX: y\r\n folded"),
        ("bare_line_feed", "HTTP/1.1 200 OK\nX: y"),
        ("start_line", "HTTP/2.0 200 OK"),
        ("start_line", "220 mail.example ESMTP"),
        ("upgrade", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade"),
    ];
    for (reason, head) in heads {
        let origin = saying(format!("{head}\r\n\r\n{BODY}"), false);
        let proxy = Launch::http("splice", &[origin.address()]).start();
        let (mut client, response) = ask(&proxy);
        let response = response.unwrap_or_else(|error| panic!("{head}: {error}"));
        assert_eq!(response.status(), 502, "{head}");
        assert!(!response.text().contains(BODY), "{head}");
        // The framing of the request was in order: the client may go on.
        client.send(get("/next"));
        assert_eq!(client.read_response("GET").status(), 502, "{head}");
        let line = logged(&proxy, "rejection", reason);
        assert_eq!((&line["status"], &line["reason"]), (&502.into(), &"upstream_error".into()));
        let labels = [("message", "response"), ("reason", reason)];
        proxy.await_metric("spliceway_http_messages_rejected_total", &labels, |it| it == 2.0);
        proxy.await_metric("spliceway_upstream_connections", &[], |open| open == 0.0);
    }
}

#[test]
fn a_response_head_without_end_is_502() {
    let origin = HttpOrigin::start(|_, connection| {
        connection.send("HTTP/1.1 200 OK\r\n");
        while connection.try_send("X: y\r\n".repeat(100)).is_ok() {}
        false
    });
    let proxy = Launch::http("splice", &[origin.address()]).start();
    let (_, response) = ask(&proxy);
    assert_eq!(response.unwrap().status(), 502);
    await_none_in_flight(&proxy);
}

#[test]
fn a_server_that_closes_without_an_answer_is_502() {
    for partial in ["", "HTTP/1.1 200 OK\r\nX-Half: "] {
        let origin = saying(partial, true);
        let proxy = Launch::http("splice", &[origin.address()]).start();
        let (mut client, response) = ask(&proxy);
        assert_eq!(response.unwrap().status(), 502, "{partial:?}");
        client.send(get("/next"));
        assert_eq!(client.read_response("GET").status(), 502, "{partial:?}");
        assert_eq!(logged(&proxy, "path", "/next")["reason"], "upstream_error");
    }
}

/// The client must see a broken connection, never a body that looks whole.
#[test]
fn a_body_that_breaks_off_is_cut() {
    in_each_mode(|mode| {
        let long = "x".repeat(200_000);
        for sent in [
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123".to_owned(),
            format!("HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n{long}"),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n123\r\n".to_owned(),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n123".to_owned(),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ".to_owned(),
        ] {
            let origin = saying(&sent, true);
            let proxy = Launch::http(mode, &[origin.address()]).start();
            let (_, response) = ask(&proxy);
            assert!(response.is_err(), "{mode}: {sent:.60}: looks whole: {response:?}");
            let line = logged(&proxy, "reason", "upstream_error");
            assert_eq!(line["status"], 200, "{mode}: {sent:.60}");
            await_none_in_flight(&proxy);
        }
    });
}

/// To a client of HTTP/1.0 the end of the connection is the end of the body: it must be no
/// orderly one.
#[test]
fn a_body_that_breaks_off_is_a_reset_to_http_1_0() {
    in_each_mode(|mode| {
        let origin =
            saying("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n123\r\n", true);
        let proxy = Launch::http(mode, &[origin.address()]).start();
        let mut client = Connection::open(&proxy.address());
        client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
        let ending = client.read_to_end();
        assert_eq!(ending.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset, "{mode}");
    });
}

#[test]
fn a_chunk_that_is_malformed_cuts_the_response() {
    in_each_mode(|mode| {
        for bad in ["xyz\r\n", "3\r\n1234\r\n", "-1\r\n", "0\r\nX : y\r\n\r\n"] {
            let sent =
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n".to_string();
            let origin = HttpOrigin::start(move |_, connection| {
                connection.send(&sent);
                connection.stream().await_delivered();
                connection.send(bad);
                let _rest = connection.read_to_end();
                false
            });
            let proxy = Launch::http(mode, &[origin.address()]).start();
            let (_, response) = ask(&proxy);
            // It may not even have begun.
            let is_502 = response.as_ref().is_ok_and(|response| response.status() == 502);
            assert!(response.is_err() || is_502, "{mode}: {bad:?}: {response:?}");
            await_none_in_flight(&proxy);
        }
    });
}

/// What stands behind the body of one response is no response to anybody.
#[test]
fn a_second_answer_goes_to_nobody() {
    in_each_mode(|mode| {
        for size in [5, 100_000] {
            let body = "a".repeat(size);
            let twice = ok(&body) + &ok("FOR NOBODY");
            let origin = HttpOrigin::start(move |_, connection| {
                let _enough = connection.try_send(&twice);
                let _rest = connection.read_to_end();
                false
            });
            let proxy = Launch::http(mode, &[origin.address()]).start();
            let mut client = Connection::open(&proxy.address());
            for round in 0..5 {
                let text = client.exchange(get("/")).text();
                assert!(text == body, "{mode} {round}: {text:.20}");
            }
            assert_eq!(client.unused(), b"");
            assert_eq!(origin.accepted(), 5, "{mode}: no such connection is used again");
        }
    });
}

/// The same where it comes after the connection has gone back to the pool.
#[test]
fn a_late_second_answer_goes_to_nobody() {
    in_each_mode(|mode| {
        let origin = HttpOrigin::start(|_, connection| {
            connection.send(ok("first"));
            connection.stream().await_delivered();
            // Sooner or later than the next request: both must be right.
            let _enough = connection.try_send(ok("FOR NOBODY"));
            let _rest = connection.read_to_end();
            false
        });
        let proxy = Launch::http(mode, &[origin.address()]).start();
        let mut client = Connection::open(&proxy.address());
        for round in 0..10u8 {
            assert_eq!(client.exchange(get("/")).text(), "first", "{mode} {round}");
            await_none_connected(&proxy, f64::from(round) + 1.0);
        }
    });
}

#[test]
fn bytes_beyond_the_length_go_to_nobody() {
    in_each_mode(|mode| {
        let origin = saying(ok("hello") + "and more", false);
        let proxy = Launch::http(mode, &[origin.address()]).start();
        let mut client = Connection::open(&proxy.address());
        for _ in 0..3 {
            assert_eq!(client.exchange(get("/")).text(), "hello", "{mode}");
        }
        client.end_sending();
        client.expect_end();
    });
}

/// A body where none may be is the beginning of nobody's response.
#[test]
fn a_body_behind_head_204_and_304_goes_to_nobody() {
    in_each_mode(|mode| {
        let origin = HttpOrigin::start(|request, connection| {
            let status = &request.target()[1..];
            let _enough = connection
                .try_send(format!("HTTP/1.1 {status} X\r\nContent-Length: 8\r\n\r\nINJECTED"));
            request.target() == "/200" && request.method() == "GET"
        });
        let proxy = Launch::http(mode, &[origin.address()]).start();
        let mut client = Connection::open(&proxy.address());
        for (method, status) in [("HEAD", 200), ("GET", 204), ("GET", 304), ("GET", 200)] {
            let response =
                client.exchange(format!("{method} /{status} HTTP/1.1\r\nHost: a\r\n\r\n"));
            assert_eq!(response.status(), status, "{mode}: {method} {status}");
        }
        assert_eq!(client.unused(), b"", "{mode}");
    });
}

/// Resets in the middle: of the head, of a spliced body.
#[test]
fn a_server_that_resets_is_502_or_a_cut() {
    in_each_mode(|mode| {
        let origin = HttpOrigin::start(|request, connection| {
            if request.target() == "/body" {
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
                connection.send(vec![b'x'; 300_000]);
                connection.stream().await_delivered();
            }
            connection.stream().reset_at_close();
            false
        });
        let proxy = Launch::http(mode, &[origin.address()]).start();
        let mut client = Connection::open(&proxy.address());
        assert_eq!(client.exchange(get("/head")).status(), 502, "{mode}");
        client.send(get("/body"));
        assert_eq!(client.read_head().unwrap().unwrap().status(), 200, "{mode}");
        assert!(client.read_bytes(1_000_000).is_err(), "{mode}");
        let line = logged(&proxy, "path", "/body");
        assert_eq!(line["reason"], "upstream_reset", "{mode}: {line}");
    });
}
