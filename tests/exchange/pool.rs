//! Connections to servers: used again, given up, and what is tried again when one is dead.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use crate::support::http::{Connection, HttpOrigin, get, ok, post};
use crate::support::proxy::{Launch, Proxy};
use crate::support::stream::{Listener, loopback, refusing};
use crate::support::{PATIENCE, in_each_mode};
use crate::{await_none_connected, logged};

const REQUESTS: &str = "spliceway_upstream_requests_total";
const IDLE: &str = "spliceway_upstream_idle_connections";
const OPEN: &str = "spliceway_upstream_connections";

fn await_idle(proxy: &Proxy, count: f64) {
    proxy.await_metric(IDLE, &[], |idle| idle == count);
}

#[test]
fn one_connection_serves_one_client_after_the_other() {
    in_each_mode(|mode| {
        let origin = HttpOrigin::echo();
        let proxy = Launch::http(mode, &[origin.address()]).start();
        for _ in 0..10 {
            let mut client = Connection::open(&proxy.address());
            assert_eq!(client.exchange(get("/")).status(), 200, "{mode}");
            client.close();
        }
        assert_eq!(origin.accepted(), 1, "{mode}");
        await_idle(&proxy, 1.0);
        let metrics = proxy.metrics();
        assert_eq!(metrics.sum(REQUESTS, &[("connection", "new")]), 1.0, "{mode}");
        assert_eq!(metrics.sum(REQUESTS, &[("connection", "reused")]), 9.0, "{mode}");
        assert_eq!(metrics.sum(OPEN, &[]), 1.0, "{mode}");
        let reused =
            proxy.stdout_lines().iter().filter(|it| it.contains("\"reused\":true")).count();
        assert!(reused <= 9, "{mode}");
    });
}

#[test]
fn no_more_wait_than_allowed_and_not_for_longer() {
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let origin = HttpOrigin::start(move |request, connection| {
        if request.target() == "/wait" {
            // The end of the channel is what is waited for.
            let _end = released.lock().unwrap().recv_timeout(PATIENCE);
        }
        connection.try_send(ok("")).is_ok()
    });
    let proxy = Launch::http("splice", &[origin.address()])
        .set("upstreams.http.pool.idle_max", "2")
        .set("upstreams.http.pool.idle_timeout", "300ms")
        .start();
    let mut clients: Vec<Connection> = (0..5).map(|_| Connection::open(&proxy.address())).collect();
    for client in &mut clients {
        client.send(get("/wait"));
    }
    proxy.await_metric(OPEN, &[], |open| open == 5.0);
    drop(release);
    for client in &mut clients {
        assert_eq!(client.read_response("GET").status(), 200);
    }
    proxy.await_metric(OPEN, &[], |open| open <= 2.0);
    await_idle(&proxy, 0.0);
    proxy.await_metric(OPEN, &[], |open| open == 0.0);
}

#[test]
fn without_a_pool_each_request_has_its_own_connection() {
    let origin = HttpOrigin::echo();
    let proxy = Launch::http("splice", &[origin.address()])
        .set("upstreams.http.pool.idle_max", "0")
        .start();
    let mut client = Connection::open(&proxy.address());
    for _ in 0..3 {
        assert_eq!(client.exchange(get("/")).status(), 200);
    }
    assert_eq!(origin.accepted(), 3);
    assert!(origin.requests().iter().all(|it| it.field("connection") == Some("close")));
}

/// A server may close a connection whenever no request is on it.
#[test]
fn a_connection_that_the_server_has_closed_is_not_used() {
    in_each_mode(|mode| {
        let origin = HttpOrigin::start(|_, connection| {
            connection.send(ok("hi"));
            false
        });
        let proxy = Launch::http(mode, &[origin.address()]).start();
        let mut client = Connection::open(&proxy.address());
        for (round, method) in ["GET", "POST", "GET", "DELETE"].into_iter().enumerate() {
            let request = format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
            assert_eq!(client.exchange(request).text(), "hi", "{mode}: {method}");
            await_none_connected(&proxy, round as f64 + 1.0);
        }
    });
}

/// The server closes at the very moment: it takes the first request of a connection and resets at
/// the second. Safe requests are sent again, over a new connection; others are not.
fn flaky() -> HttpOrigin {
    HttpOrigin::by_connection(|connection| {
        if let Ok(Some(_)) = connection.read_request() {
            connection.send(ok("first"));
            // Resets by closing with the next request unread, or read: it is not answered.
            let _request = connection.read_head();
        }
    })
}

#[test]
fn an_idempotent_request_is_tried_again_on_a_new_connection() {
    in_each_mode(|mode| {
        let origin = flaky();
        let proxy = Launch::http(mode, &[origin.address()]).start();
        let mut client = Connection::open(&proxy.address());
        for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
            let request =
                format!("{method} /{method} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
            let response = client.exchange(request);
            assert_eq!(
                (response.status(), response.text().as_str()),
                (200, "first"),
                "{mode}: {method}"
            );
        }
        let retries =
            proxy.await_metric("spliceway_upstream_retries_total", &[], |retries| retries >= 3.0);
        assert_eq!(retries, 3.0, "{mode}");
        assert_eq!(logged(&proxy, "path", "/DELETE")["retries"], 1, "{mode}");
        assert_eq!(logged(&proxy, "path", "/DELETE")["reused"], false, "{mode}");
    });
}

#[test]
fn a_post_that_the_server_has_read_is_not_sent_twice() {
    in_each_mode(|mode| {
        let seen = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&seen);
        let origin = HttpOrigin::by_connection(move |connection| {
            if let Ok(Some(_)) = connection.read_request() {
                connection.send(ok("first"));
                if let Ok(Some(_)) = connection.read_request() {
                    counted.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        let proxy = Launch::http(mode, &[origin.address()]).start();
        let mut client = Connection::open(&proxy.address());
        assert_eq!(client.exchange(get("/")).status(), 200, "{mode}");
        assert_eq!(client.exchange(post("/pay", "money")).status(), 502, "{mode}");
        assert_eq!(seen.load(Ordering::SeqCst), 1, "{mode}");
        assert_eq!(origin.accepted(), 1, "{mode}");
        assert_eq!(logged(&proxy, "path", "/pay")["reason"], "upstream_error", "{mode}");
    });
}

/// A server that never answers is not asked for ever.
#[test]
fn tries_are_few() {
    let origin = HttpOrigin::by_connection(|connection| {
        let _request = connection.read_request();
    });
    let proxy = Launch::http("splice", &[origin.address()]).start();
    let mut client = Connection::open(&proxy.address());
    assert_eq!(client.exchange(get("/")).status(), 502);
    assert!(origin.accepted() <= 3, "{} connections for one request", origin.accepted());
}

#[test]
fn a_server_that_refuses_is_passed_over() {
    let origin = HttpOrigin::echo();
    let refuses = refusing();
    let proxy = Launch::http("splice", &[&refuses, origin.address()]).start();
    for _ in 0..4 {
        let mut client = Connection::open(&proxy.address());
        assert_eq!(client.exchange(get("/")).status(), 200);
    }
    proxy.await_metric("spliceway_upstream_retries_total", &[], |retries| retries > 0.0);
}

#[test]
fn nobody_up_is_503() {
    let refuses = refusing();
    let proxy = Launch::http("splice", &[&refuses]).start();
    let mut client = Connection::open(&proxy.address());
    let answer = client.exchange(get("/"));
    assert_eq!(answer.status(), 503);
    assert_eq!(client.exchange(get("/again")).status(), 503, "the client's connection goes on");
    let line = logged(&proxy, "path", "/again");
    assert_eq!((&line["reason"], &line["status"]), (&"connect_refused".into(), &503.into()));
    assert_eq!(line["server"], refuses.to_string());
}

/// `Connection: close` of the server holds for its connection, not for the client's.
#[test]
fn a_close_of_the_server_is_not_the_clients() {
    let origin = HttpOrigin::start(|_, connection| {
        connection.send("HTTP/1.1 200 OK\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nContent-Length: 2\r\n\r\nhi");
        false
    });
    let proxy = Launch::http("splice", &[origin.address()]).start();
    let mut client = Connection::open(&proxy.address());
    for _ in 0..3 {
        let response = client.exchange(get("/"));
        assert_eq!((response.field("connection"), response.field("x-hop")), (None, None));
    }
    assert_eq!(origin.accepted(), 3);
}

/// A server that dies with a connection of the pool in use: another one is asked instead.
#[test]
fn another_server_takes_over_from_one_that_dies() {
    let listener = Listener::bind(&loopback()).unwrap();
    let address = listener.address();
    let dying = std::thread::spawn(move || {
        let mut connection = Connection::new(listener.accept().unwrap());
        drop(listener);
        connection.read_request().unwrap();
        connection.send(ok("dying"));
        let _second = connection.read_request();
    });
    let lasting = HttpOrigin::answering(ok("lasting"));
    let proxy = Launch::http("splice", &[&address, lasting.address()]).start();
    let mut client = Connection::open(&proxy.address());
    let answers: Vec<String> = (0..4).map(|_| client.exchange(get("/")).text()).collect();
    assert_eq!(answers.iter().filter(|it| *it == "dying").count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|it| *it == "lasting").count(), 3, "{answers:?}");
    dying.join().unwrap();
}

/// Each upstream has its own time, whichever was used first.
#[test]
fn a_short_wait_is_not_made_longer_by_another_upstream() {
    let origin = HttpOrigin::echo();
    let address = origin.address();
    let proxy = Launch::configured(&format!(
        r#"
        [process]
        workers = 1
        [admin]
        bind = "127.0.0.1:0"
        [listeners.http]
        bind = ["127.0.0.1:0"]
        protocol = "http"
        upstream = "long"
        [[listeners.http.routes]]
        path = "/short"
        upstream = "short"
        [upstreams.long]
        servers = ["{address}"]
        pool.idle_timeout = "1h"
        [upstreams.short]
        servers = ["{address}"]
        pool.idle_timeout = "200ms"
        "#
    ))
    .start();
    let mut client = Connection::open(&proxy.address());
    assert_eq!(client.exchange(get("/")).status(), 200);
    assert_eq!(client.exchange(get("/short")).status(), 200);
    proxy.await_metric(REQUESTS, &[], |requests| requests == 2.0);
    await_idle(&proxy, 1.0);
}
