//! Nothing is held back: server-sent events, long polls, and uploads that trickle.

use std::sync::Mutex;
use std::sync::mpsc::channel;

use crate::support::http::{Connection, HttpOrigin, get, ok};
use crate::support::proxy::Launch;
use crate::support::{PATIENCE, in_each_mode};

/// Each event arrives before the server has sent the next one.
#[test]
fn server_sent_events_arrive_one_by_one() {
    for framing in ["Transfer-Encoding: chunked\r\n", "", "Content-Length: 70\r\n"] {
        in_each_mode(|mode| {
            let (seen, to_go_on) = channel::<()>();
            let to_go_on = Mutex::new(to_go_on);
            let origin = HttpOrigin::start(move |_, connection| {
                let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";
                connection.send(format!("{head}{framing}\r\n"));
                for event in 0..7 {
                    to_go_on.lock().unwrap().recv_timeout(PATIENCE).unwrap();
                    let event = format!("data: {event}\n\n");
                    assert_eq!(event.len(), 9);
                    let event = if framing.starts_with('T') {
                        format!("{:x}\r\n{event}\r\n", event.len())
                    } else {
                        event + "\n"
                    };
                    connection.send(event);
                }
                if framing.starts_with('T') {
                    connection.send("0\r\n\r\n");
                }
                false
            });
            let proxy = Launch::http(mode, &[origin.address()]).start();
            let mut client = Connection::open(&proxy.address());
            client.send(get("/events"));
            let head = client.read_head().unwrap().unwrap();
            assert_eq!(head.field("content-type"), Some("text/event-stream"), "{mode}");
            for event in 0..7 {
                seen.send(()).unwrap();
                // Whatever the framing to the client is, the line arrives.
                let expected = format!("data: {event}\n\n");
                let mut got = String::new();
                while !got.contains(&expected) {
                    got += &String::from_utf8(client.read_bytes(1).unwrap()).unwrap();
                }
            }
        });
    }
}

#[test]
fn a_long_poll_is_answered_when_there_is_something() {
    in_each_mode(|mode| {
        let (tell, told) = channel::<String>();
        let told = Mutex::new(told);
        let origin = HttpOrigin::start(move |_, connection| {
            let news = told.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            connection.try_send(ok(&news)).is_ok()
        });
        let proxy = Launch::http(mode, &[origin.address()]).start();
        let mut client = Connection::open(&proxy.address());
        for news in ["one", "two"] {
            client.send(get("/poll"));
            proxy.await_metric("spliceway_http_requests_in_flight", &[], |count| count == 1.0);
            tell.send(news.to_owned()).unwrap();
            assert_eq!(client.read_response("GET").text(), news, "{mode}");
        }
    });
}

/// Each piece of an upload reaches the server before the client has sent the next one.
#[test]
fn an_upload_trickles_through() {
    in_each_mode(|mode| {
        let (arrived, arrivals) = channel::<Vec<u8>>();
        let arrived = Mutex::new(arrived);
        let origin = HttpOrigin::by_connection(move |connection| {
            while let Ok(Some(head)) = connection.read_head() {
                for _ in 0..5 {
                    let piece = if head.field("content-length").is_some() {
                        connection.read_bytes(10).unwrap()
                    } else {
                        connection.read_bytes(15).unwrap()[3..13].to_vec()
                    };
                    arrived.lock().unwrap().send(piece).unwrap();
                }
                if head.field("content-length").is_none() {
                    assert_eq!(connection.read_bytes(5).unwrap(), b"0\r\n\r\n");
                }
                connection.send(ok("thanks"));
            }
        });
        let proxy = Launch::http(mode, &[origin.address()]).start();
        for is_chunked in [false, true] {
            let mut client = Connection::open(&proxy.address());
            let framing =
                if is_chunked { "Transfer-Encoding: chunked" } else { "Content-Length: 50" };
            client.send(format!("PUT / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n"));
            for piece in [b"0123456789", b"abcdefghij", b"ABCDEFGHIJ", b"..........", b"zzzzzzzzzz"]
            {
                if is_chunked {
                    client.send([b"a\r\n", &piece[..], b"\r\n"].concat());
                } else {
                    client.send(piece);
                }
                assert_eq!(arrivals.recv_timeout(PATIENCE).unwrap(), piece, "{mode}");
            }
            if is_chunked {
                client.send("0\r\n\r\n");
            }
            assert_eq!(client.read_response("PUT").text(), "thanks", "{mode}");
        }
    });
}

/// A body of known length whose sender is slow, after it was fast: what has come is not held back
/// until there is much of it.
#[test]
fn a_slow_part_of_a_large_body_is_not_held_back() {
    const FAST: usize = 20 << 20;
    const LENGTH: usize = FAST + (5 << 20);
    in_each_mode(|mode| {
        let (arrived, arrivals) = channel::<()>();
        let arrived = Mutex::new(arrived);
        let (seen, to_go_on) = channel::<()>();
        let to_go_on = Mutex::new(to_go_on);
        let origin = HttpOrigin::by_connection(move |connection| {
            let Ok(Some(_)) = connection.read_head() else { return };
            connection.read_bytes(FAST as u64).unwrap();
            for _ in 0..20 {
                connection.read_bytes(1000).unwrap();
                arrived.lock().unwrap().send(()).unwrap();
            }
            connection.read_bytes((LENGTH - FAST - 20_000) as u64).unwrap();
            connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n"));
            connection.send(vec![b'x'; FAST]);
            for _ in 0..20 {
                connection.send(vec![b'y'; 1000]);
                to_go_on.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            }
            connection.send(vec![b'z'; LENGTH - FAST - 20_000]);
        });
        let proxy = Launch::http(mode, &[origin.address()]).start();
        let mut client = Connection::open(&proxy.address());
        client.send(format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {LENGTH}\r\n\r\n"));
        client.send(vec![b'x'; FAST]);
        for _ in 0..20 {
            client.send(vec![b'y'; 1000]);
            arrivals.recv_timeout(PATIENCE).expect("what was sent arrives");
        }
        client.send(vec![b'z'; LENGTH - FAST - 20_000]);
        assert_eq!(client.read_head().unwrap().unwrap().status(), 200, "{mode}");
        client.read_bytes(FAST as u64).unwrap();
        for _ in 0..20 {
            assert!(client.read_bytes(1000).unwrap() == [b'y'; 1000], "{mode}");
            seen.send(()).unwrap();
        }
        client.read_bytes((LENGTH - FAST - 20_000) as u64).unwrap();
    });
}
