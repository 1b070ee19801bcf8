//! Connections that leave HTTP: WebSocket with a client and a server of another project, and what
//! goes with it.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::http::{Connection, HttpOrigin, get, ok};
use crate::support::proxy::Launch;
use crate::support::python::{Script, python_with};
use crate::support::{eventually, in_each_mode};
use crate::{await_none_in_flight, logged};

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\n\
                       Upgrade: echo\r\n\r\n";
const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";

#[test]
fn websockets_of_another_project_talk_through_it() {
    let Some(python) = python_with("websockets") else { return };
    let server = Script::start(python, include_str!("websocket_server.py"), &[]);
    in_each_mode(|mode| {
        let proxy = Launch::http(mode, &[&server.address()]).start();
        let url = format!("ws://{}/chat?room=1", proxy.address());
        let output = Command::new(python)
            .args(["-c", include_str!("websocket_client.py"), &url])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{mode}: {errors}");
        let line = logged(&proxy, "status", 101);
        assert_eq!((&line["path"], &line["reason"]), (&"/chat?room=1".into(), &"completed".into()));
        let total = line["total_seconds"].as_f64().unwrap();
        let head = line["head_seconds"].as_f64().unwrap();
        assert!(head < total, "{mode}: it is logged when it ends: {line}");
        await_none_in_flight(&proxy);
        let labels = [("code", "101"), ("method", "GET")];
        proxy.await_metric("spliceway_http_requests_total", &labels, |count| count == 1.0);
        assert_eq!(
            proxy.metrics().sum("spliceway_http_request_duration_seconds_count", &[]),
            0.0,
            "{mode}: a tunnel's life is no request's duration"
        );
    });
}

/// Switches, and from then on echoes bytes that are no HTTP.
fn echo() -> HttpOrigin {
    HttpOrigin::by_connection(|connection| {
        let Ok(Some(request)) = connection.read_head() else { return };
        if request.values("upgrade") != ["echo"] {
            connection.send(ok("no upgrade"));
            return;
        }
        connection.send(SWITCH);
        while let Ok(some) = connection.read_some() {
            if some.is_empty() || connection.try_send(some).is_err() {
                return;
            }
        }
    })
}

#[test]
fn a_tunnel_carries_anything_in_both_directions() {
    in_each_mode(|mode| {
        let origin = echo();
        let proxy = Launch::http(mode, &[origin.address()]).start();
        let mut client = Connection::open(&proxy.address());
        client.send(UPGRADE);
        let response = client.read_response("GET");
        assert_eq!(response.status(), 101, "{mode}");
        assert_eq!(response.field("upgrade"), Some("echo"), "{mode}");
        assert_eq!(response.field("connection").map(str::to_lowercase).as_deref(), Some("upgrade"));
        for message in ["GET / HTTP/1.1\r\n\r\n", "\0\u{1}\n", "x"] {
            client.send(message);
            assert_eq!(client.read_bytes(message.len() as u64).unwrap(), message.as_bytes());
        }
        proxy.await_metric("spliceway_http_requests_in_flight", &[], |count| count == 1.0);
        assert!(proxy.stdout_lines().is_empty(), "{mode}: it is not over");
        client.end_sending();
        client.expect_end();
        let line = logged(&proxy, "path", "/chat");
        assert_eq!(
            (&line["status"], &line["reason"]),
            (&101.into(), &"completed".into()),
            "{mode}"
        );
        await_none_in_flight(&proxy);
        proxy.await_metric("spliceway_connections", &[], |count| count == 0.0);
        proxy.await_metric("spliceway_upstream_connections", &[], |count| count == 0.0);
    });
}

/// What a client sends right behind its request, in the hope that the server will switch.
#[test]
fn bytes_that_come_early_are_not_lost() {
    in_each_mode(|mode| {
        let origin = HttpOrigin::by_connection(|connection| {
            let Ok(Some(_)) = connection.read_head() else { return };
            connection.send(format!("{SWITCH}server first"));
            let Ok(early) = connection.read_bytes(12) else { return };
            connection.send(early);
        });
        let proxy = Launch::http(mode, &[origin.address()]).start();
        let mut client = Connection::open(&proxy.address());
        client.send(format!("{UPGRADE}client first"));
        assert_eq!(client.read_response("GET").status(), 101, "{mode}");
        assert_eq!(client.read_to_end().unwrap(), b"server firstclient first", "{mode}");
    });
}

#[test]
fn a_server_may_decline() {
    let origin = HttpOrigin::answering(ok("plain"));
    let proxy = Launch::http("splice", &[origin.address()]).start();
    let mut client = Connection::open(&proxy.address());
    assert_eq!(client.exchange(UPGRADE).text(), "plain");
    assert_eq!(client.exchange(get("/")).text(), "plain", "and HTTP goes on");
}

/// An upgrade to another HTTP would carry requests past all rules.
#[test]
fn an_upgrade_to_http_2_is_not_passed_on() {
    let origin = HttpOrigin::echo();
    let proxy = Launch::http("splice", &[origin.address()]).start();
    let mut client = Connection::open(&proxy.address());
    let response = client.exchange(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
         HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
    );
    assert_eq!(response.status(), 200);
    let request = &origin.requests()[0];
    assert_eq!((request.field("upgrade"), request.field("http2-settings")), (None, None));
}

/// A tunnel that breaks ends with the reason of what broke.
#[test]
fn a_tunnel_that_breaks_says_why() {
    let origin = echo();
    let proxy = Launch::http("splice", &[origin.address()]).start();
    let mut client = Connection::open(&proxy.address());
    client.send(UPGRADE);
    assert_eq!(client.read_response("GET").status(), 101);
    client.reset();
    let line: Value = logged(&proxy, "path", "/chat");
    assert_eq!(line["reason"], "client_reset");
    eventually("one line", || (proxy.stdout_lines().len() == 1).then_some(()));
}

#[test]
fn a_silent_tunnel_ends_after_the_idle_time_of_tcp() {
    let origin = echo();
    let proxy = Launch::http("splice", &[origin.address()]).set("timeouts.idle", "300ms").start();
    let mut client = Connection::open(&proxy.address());
    client.send(UPGRADE);
    assert_eq!(client.read_response("GET").status(), 101);
    assert!(client.read_to_end().is_err(), "a reset");
    assert_eq!(logged(&proxy, "path", "/chat")["reason"], "idle_timeout");
}
