//! One client's connection carries many requests, one after the other, also sent ahead.

use crate::await_none_in_flight;
use crate::support::http::{Connection, HttpOrigin, get, post};
use crate::support::in_each_mode;
use crate::support::proxy::Launch;

#[test]
fn a_connection_serves_until_the_client_says_close() {
    in_each_mode(|mode| {
        let origin = HttpOrigin::echo();
        let proxy = Launch::http(mode, &[origin.address()]).start();
        let mut client = Connection::open(&proxy.address());
        for round in 0..20 {
            let body = "x".repeat(round * 1000);
            let response = client.exchange(post("/a", &body));
            assert_eq!(response.text(), format!("POST /a {body}"), "{mode}");
            assert_eq!(response.field("connection"), None, "{mode}: 1.1 keeps by itself");
        }
        let last = client.exchange("GET /z HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert_eq!(last.field("connection"), Some("close"), "{mode}");
        client.expect_end();
        proxy.await_closed("completed", 1.0);
    });
}

/// All answers come, in order, each to its own request, though the client has sent everything
/// before it reads anything.
#[test]
fn pipelined_requests_are_answered_in_order() {
    in_each_mode(|mode| {
        const REQUESTS: usize = 500;
        let origin = HttpOrigin::echo();
        let proxy = Launch::http(mode, &[origin.address()]).start();
        let mut client = Connection::open(&proxy.address());
        let text = |round: usize| "y".repeat(round % 7 * 300);
        let mut all = String::new();
        for round in 0..REQUESTS {
            all += &match round % 3 {
                0 => get(&format!("/{round}")),
                1 => post(&format!("/{round}"), &text(round)),
                _ => format!(
                    "PUT /{round} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                     3\r\nabc\r\n0\r\n\r\n"
                ),
            };
        }
        client.send(&all);
        for round in 0..REQUESTS {
            let expected = match round % 3 {
                0 => format!("GET /{round} "),
                1 => format!("POST /{round} {}", text(round)),
                _ => format!("PUT /{round} abc"),
            };
            assert_eq!(client.read_response("GET").text(), expected, "{mode}");
        }
        assert_eq!(origin.accepted(), 1, "{mode}: one after the other, over one connection");
    });
}

/// Requests are cut anywhere into segments.
#[test]
fn requests_may_come_byte_by_byte() {
    let origin = HttpOrigin::echo();
    let proxy = Launch::http("splice", &[origin.address()]).start();
    let mut client = Connection::open(&proxy.address());
    for byte in (post("/a", "hello") + &get("/b")).bytes() {
        client.send([byte]);
    }
    assert_eq!(client.read_response("POST").text(), "POST /a hello");
    assert_eq!(client.read_response("GET").text(), "GET /b ");
}

/// A client that is done says so and still wants its answers.
#[test]
fn a_client_that_has_half_closed_is_answered() {
    in_each_mode(|mode| {
        let origin = HttpOrigin::echo();
        let proxy = Launch::http(mode, &[origin.address()]).start();
        let mut client = Connection::open(&proxy.address());
        client.send(post("/a", "hello") + &get("/b"));
        client.end_sending();
        assert_eq!(client.read_response("POST").text(), "POST /a hello", "{mode}");
        assert_eq!(client.read_response("GET").text(), "GET /b ", "{mode}");
        client.expect_end();
        await_none_in_flight(&proxy);
    });
}

/// Connections that do nothing cost next to nothing, and are not in anybody's way.
#[test]
fn idle_clients_go_in_peace() {
    let origin = HttpOrigin::echo();
    let proxy = Launch::http("splice", &[origin.address()]).start();
    let mut idle = Vec::new();
    for _ in 0..50 {
        let mut client = Connection::open(&proxy.address());
        client.exchange(get("/"));
        idle.push(client);
    }
    drop(idle);
    proxy.await_closed("completed", 50.0);
    assert!(proxy.stdout_lines().len() <= 50, "a line for each request, none for a connection");
}
