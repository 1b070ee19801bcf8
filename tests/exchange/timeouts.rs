//! Every wait is bounded, and says which one it was.

use std::time::Instant;

use crate::support::PATIENCE;
use crate::support::http::{Connection, HttpOrigin, get};
use crate::support::proxy::Launch;
use crate::{await_none_in_flight, logged};

/// An origin that takes the request and says nothing.
fn silent() -> HttpOrigin {
    HttpOrigin::by_connection(|connection| {
        let _rest = connection.read_to_end();
    })
}

fn with_timeout(origin: &HttpOrigin, name: &str, value: &str) -> Launch {
    Launch::http("splice", &[origin.address()]).set(&format!("timeouts.{name}"), value)
}

#[test]
fn a_head_that_does_not_end_is_408() {
    let origin = silent();
    let proxy = with_timeout(&origin, "request_head", "200ms").start();
    let mut client = Connection::open(&proxy.address());
    client.send("GET / HTTP/1.1\r\nHost: a");
    let answer = client.read_response("GET");
    assert_eq!((answer.status(), answer.field("connection")), (408, Some("close")));
    client.expect_end();
    let line = logged(&proxy, "reason", "request_timeout");
    assert_eq!(line["status"], 408);
    assert_eq!(origin.accepted(), 0);
    await_none_in_flight(&proxy);
}

/// Its line tells of nothing that was sent for a request before it.
#[test]
fn a_head_that_does_not_end_begins_with_clean_books() {
    let origin = HttpOrigin::answering(crate::support::http::ok(&"x".repeat(100_000)));
    let proxy = with_timeout(&origin, "request_head", "200ms").start();
    let mut client = Connection::open(&proxy.address());
    assert_eq!(client.exchange(get("/")).status(), 200);
    client.send("GET / HTTP/1.1\r\nHost: a");
    assert_eq!(client.read_response("GET").status(), 408);
    let line = logged(&proxy, "status", 408);
    let sent = &line["downstream_bytes"];
    assert!(sent.as_u64().is_some_and(|sent| sent < 1000), "{line}");
}

/// Bytes that keep coming do not make the time for a head longer.
#[test]
fn a_slow_head_is_408_however_steady_it_is() {
    let origin = silent();
    let proxy = with_timeout(&origin, "request_head", "300ms").start();
    let mut client = Connection::open(&proxy.address());
    let began = Instant::now();
    client.send("GET / HTTP/1.1\r\n");
    while client.try_send("X: y\r\n").is_ok() && began.elapsed() < PATIENCE {
        // The pace is the subject: a byte now and then, for ever.
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(began.elapsed() < PATIENCE, "it may go on for ever");
    assert_eq!(logged(&proxy, "reason", "request_timeout")["status"], 408);
}

/// Nothing was asked, so nothing is answered: the connection just ends.
#[test]
fn a_client_that_says_nothing_is_closed_without_a_word() {
    let origin = silent();
    let proxy = with_timeout(&origin, "request_head", "100ms").start();
    Connection::open(&proxy.address()).expect_end();
    proxy.await_closed("request_timeout", 1.0);
    assert!(proxy.stdout_lines().is_empty(), "no request, no line");
}

#[test]
fn between_requests_a_client_is_kept_for_a_while() {
    let origin = HttpOrigin::echo();
    let proxy = with_timeout(&origin, "keep_alive", "200ms").start();
    let mut client = Connection::open(&proxy.address());
    assert_eq!(client.exchange(get("/")).status(), 200);
    client.expect_end();
    proxy.await_closed("keep_alive_timeout", 1.0);
}

#[test]
fn a_body_that_stalls_is_408() {
    let origin = silent();
    let proxy = with_timeout(&origin, "request_body", "200ms").start();
    for body in ["Content-Length: 10\r\n\r\n123", "Transfer-Encoding: chunked\r\n\r\n5\r\n123"] {
        let mut client = Connection::open(&proxy.address());
        client.send(format!("PUT / HTTP/1.1\r\nHost: a\r\n{body}"));
        let answer = client.read_response("PUT");
        assert_eq!((answer.status(), answer.field("connection")), (408, Some("close")), "{body}");
    }
    assert_eq!(logged(&proxy, "reason", "request_timeout")["status"], 408);
    assert!(origin.requests().is_empty());
}

/// A server that takes nothing of the body for so long.
#[test]
fn a_server_that_does_not_read_the_body_is_504_or_408() {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let origin = HttpOrigin::by_connection(move |connection| {
        connection.stream().receive_little_ahead();
        // The end of the channel is what is waited for.
        let _end = released.lock().unwrap().recv_timeout(PATIENCE);
    });
    let proxy = with_timeout(&origin, "request_body", "500ms").start();
    let mut client = Connection::open(&proxy.address());
    client.send("PUT /stuck HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n");
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..100 {
        if client.try_send(&piece).is_err() {
            break;
        }
    }
    let line = logged(&proxy, "path", "/stuck");
    assert!([504, 408].map(Into::into).contains(&line["status"]), "{line}");
    drop(release);
}

#[test]
fn a_server_that_does_not_answer_is_504() {
    let origin = silent();
    let proxy = with_timeout(&origin, "response_head", "200ms").start();
    let mut client = Connection::open(&proxy.address());
    assert_eq!(client.exchange(get("/")).status(), 504);
    let line = logged(&proxy, "reason", "response_timeout");
    assert_eq!(
        (&line["status"], line["server"].as_str()),
        (&504.into(), Some(&*origin.address().to_string()))
    );
    proxy.await_metric("spliceway_upstream_errors_total", &[("reason", "timed_out")], |count| {
        count == 1.0
    });
    // The client is not to blame: its connection goes on.
    assert_eq!(client.exchange(get("/")).status(), 504);
}

/// The head is out; all that is left is to cut the response, which must not look whole.
#[test]
fn a_response_that_stalls_is_cut() {
    for framing in
        ["Content-Length: 10\r\n\r\n123", "Transfer-Encoding: chunked\r\n\r\n5\r\n123", "\r\n123"]
    {
        let origin = HttpOrigin::start(move |_, connection| {
            connection.send(format!("HTTP/1.1 200 OK\r\n{framing}"));
            let _rest = connection.read_to_end();
            false
        });
        let proxy = with_timeout(&origin, "response_body", "200ms").start();
        let mut client = Connection::open(&proxy.address());
        client.send(get("/"));
        let response = client.try_read_response("GET");
        assert!(response.is_err(), "{framing}: a response that was cut looks whole: {response:?}");
        let line = logged(&proxy, "reason", "response_timeout");
        assert_eq!(line["status"], 200, "{framing}");
        await_none_in_flight(&proxy);
    }
}

/// A client that does not read its response.
#[test]
fn a_client_that_does_not_read_is_cut() {
    let origin = HttpOrigin::start(|_, connection| {
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        let piece = vec![b'x'; 1 << 20];
        while connection.try_send(&piece).is_ok() {}
        false
    });
    let proxy = with_timeout(&origin, "response_body", "500ms").start();
    let mut client = Connection::open(&proxy.address());
    client.stream().receive_little_ahead();
    client.send(get("/unread"));
    assert_eq!(client.read_head().unwrap().unwrap().status(), 200);
    let line = logged(&proxy, "path", "/unread");
    assert_eq!(line["reason"], "response_timeout", "{line}");
}

/// Slow is not silent: what moves at all, however slowly, goes on.
#[test]
fn what_moves_is_never_too_slow() {
    let origin = HttpOrigin::start(|_, connection| {
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
        for byte in 0..10u8 {
            // The pace is the subject.
            std::thread::sleep(std::time::Duration::from_millis(150));
            connection.send([b'0' + byte]);
        }
        true
    });
    let proxy = with_timeout(&origin, "response_body", "600ms")
        .set("timeouts.request_body", "600ms")
        .set("timeouts.response_head", "600ms")
        .start();
    let mut client = Connection::open(&proxy.address());
    assert_eq!(client.exchange(get("/")).text(), "0123456789");
}

/// An address that drops what it gets: the backlog of a listener that accepts nobody.
#[test]
fn a_connect_without_an_answer_is_504() {
    let listener =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    // Fills the backlog, so that the next one waits.
    let _queued: Vec<_> = (0..4)
        .map(|_| {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
            let socket = socket.unwrap();
            socket.set_nonblocking(true).unwrap();
            // In progress, or done.
            let _begun = socket.connect(&address.into());
            socket
        })
        .collect();
    let address: spliceway::address::Address = address.to_string().parse().unwrap();
    let proxy = Launch::http("splice", &[&address]).set("timeouts.connect", "200ms").start();
    let mut client = Connection::open(&proxy.address());
    assert_eq!(client.exchange(get("/")).status(), 504);
    assert_eq!(logged(&proxy, "reason", "connect_timeout")["status"], 504);
}
