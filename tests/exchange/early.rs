//! Answers that come before the request is whole, and `Expect: 100-continue`.

use crate::logged;
use crate::support::http::{Connection, HttpOrigin, get, ok};
use crate::support::in_each_mode;
use crate::support::proxy::Launch;

/// The body is sent only after the server has asked for it.
#[test]
fn a_client_that_expects_100_continue_gets_the_servers() {
    in_each_mode(|mode| {
        let origin = HttpOrigin::by_connection(|connection| {
            while let Ok(Some(head)) = connection.read_head() {
                assert_eq!(head.field("expect"), Some("100-continue"));
                connection.send("HTTP/1.1 100 Continue\r\n\r\n");
                let length = head.field("content-length").unwrap().parse().unwrap();
                let body = connection.read_bytes(length).unwrap();
                connection.send(ok(&body.len().to_string()));
            }
        });
        let proxy = Launch::http(mode, &[origin.address()]).start();
        let mut client = Connection::open(&proxy.address());
        for size in [5, 100_000, 1_000_000] {
            client.send(format!(
                "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\nExpect: 100-continue\r\n\r\n"
            ));
            assert_eq!(client.read_response("PUT").status(), 100, "{mode}");
            client.send(vec![b'x'; size]);
            assert_eq!(client.read_response("PUT").text(), size.to_string(), "{mode}");
        }
    });
}

/// The server does not want the body. The client gets to know without having sent it.
#[test]
fn a_final_answer_instead_of_100_continue_is_delivered() {
    in_each_mode(|mode| {
        let origin = HttpOrigin::by_connection(|connection| {
            let _head = connection.read_head();
            connection.send("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno");
            let _rest = connection.read_to_end();
        });
        let proxy = Launch::http(mode, &[origin.address()]).start();
        let mut client = Connection::open(&proxy.address());
        client.send(
            "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n",
        );
        let response = client.read_response("PUT");
        assert_eq!((response.status(), response.text().as_str()), (417, "no"), "{mode}");
        // The client cannot know whether the proxy still waits for the body: it is told.
        assert_eq!(response.field("connection"), Some("close"), "{mode}");
        client.expect_end();
    });
}

/// A client that sends and sends, and reads the answer only then.
#[test]
fn an_early_answer_reaches_a_client_that_is_still_sending() {
    in_each_mode(|mode| {
        let origin = HttpOrigin::by_connection(|connection| {
            let _head = connection.read_head();
            connection.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 4\r\n\r\nwho?");
            // Keeps the connection and reads nothing of the body any more.
            connection.stream().await_delivered();
        });
        let proxy = Launch::http(mode, &[origin.address()]).start();
        let mut client = Connection::open(&proxy.address());
        client.send("PUT /early HTTP/1.1\r\nHost: a\r\nContent-Length: 8000000\r\n\r\n");
        let piece = vec![b'x'; 100_000];
        for _ in 0..80 {
            if client.try_send(&piece).is_err() {
                break;
            }
        }
        let response = client.try_read_response("PUT");
        let response = response.unwrap_or_else(|error| panic!("{mode}: no answer: {error}"));
        assert_eq!((response.status(), response.text().as_str()), (401, "who?"), "{mode}");
        assert_eq!(logged(&proxy, "path", "/early")["status"], 401, "{mode}");
        // Nobody's connection is spoilt by it.
        let mut other = Connection::open(&proxy.address());
        other.send(get("/"));
        assert_eq!(other.read_response("GET").status(), 401, "{mode}");
    });
}

/// An answer that begins early and goes on while the request does: both flow at the same time.
#[test]
fn request_and_response_flow_at_the_same_time() {
    in_each_mode(|mode| {
        let origin = HttpOrigin::by_connection(|connection| {
            let Ok(Some(_)) = connection.read_head() else { return };
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
            for _ in 0..10 {
                let piece = connection.read_bytes(100_000).unwrap();
                connection.send(piece);
            }
        });
        let proxy = Launch::http(mode, &[origin.address()]).start();
        let mut client = Connection::open(&proxy.address());
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
        let head = client.read_head().unwrap().unwrap();
        assert_eq!(head.status(), 200, "{mode}: the head comes before the body has begun");
        for round in 0..10u8 {
            let piece = vec![round; 100_000];
            client.send(&piece);
            assert!(client.read_bytes(100_000).unwrap() == piece, "{mode}: what goes comes back");
        }
    });
}

/// Other interim responses go through, and are no end of anything.
#[test]
fn early_hints_are_passed_on() {
    let origin = HttpOrigin::start(|_, connection| {
        connection.send("HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n");
        connection.send("HTTP/1.1 103 Early Hints\r\nLink: </b>; rel=preload\r\n\r\n");
        connection.try_send(ok("hi")).is_ok()
    });
    let proxy = Launch::http("splice", &[origin.address()]).start();
    let mut client = Connection::open(&proxy.address());
    for _ in 0..2 {
        let hints = client.exchange(get("/"));
        assert_eq!((hints.status(), hints.field("link")), (103, Some("</a>; rel=preload")));
        assert_eq!(client.read_response("GET").status(), 103);
        assert_eq!(client.read_response("GET").text(), "hi");
    }
    // HTTP/1.0 does not know them.
    let response = client.exchange("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    assert_eq!(response.status(), 200);
}
