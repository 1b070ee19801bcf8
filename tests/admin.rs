//! The admin endpoint: what it answers, and what it makes of slow and hostile clients.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]
mod control_plane;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::Instant;

use control_plane::{Answer, DEADLINE, serving};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use spliceway::control::{CONNECTIONS_MAX, ControlError, HEAD_BYTES_MAX, HEADERS_MAX};

#[test]
fn every_path_answers_as_documented() {
    let plane = serving();
    let check = |path: &str, status: u16, content_type: &str, body: &str| {
        let answer = plane.get(path);
        assert_eq!(answer.status, status, "{path}");
        let found = answer.header("content-type").unwrap_or_default();
        assert!(found.starts_with(content_type), "{path}: {found}");
        assert!(answer.body.contains(body), "{path}: {}", answer.body);
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
    };
    check("/", 200, "text/plain", "/metrics");
    check("/healthz", 200, "text/plain", "ok");
    check("/readyz", 200, "text/plain", "ready");
    check("/status", 200, "application/json", "\"web\"");
    check("/metrics", 200, "text/plain; version=0.0.4", "spliceway_workers 2\n");
    check("/metrics?x=y", 200, "text/plain; version=0.0.4", "process_open_fds ");
    check("/nothing", 404, "text/plain", "not found");
    check("/metrics/", 404, "text/plain", "not found");
    check("/../etc/passwd", 404, "text/plain", "not found");
}

#[test]
fn only_get_and_head_are_served() {
    let plane = serving();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT.ME"] {
        let answer = plane.request(method, "/metrics", "Content-Length: 0\r\n");
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("allow"), Some("get, head"), "{method}");
    }
    let head = plane.request("HEAD", "/healthz", "");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("content-length"), Some("3"));
}

#[test]
fn the_scrape_has_the_format_that_was_asked_for() {
    let plane = serving();
    let (first, second) = (&plane.workers[0].report, &plane.workers[1].report);
    first.pipes_busy.store(3, Ordering::Relaxed);
    second.pipes_busy.store(4, Ordering::Relaxed);
    second.pipe_held_bytes.store(5000, Ordering::Relaxed);
    let text = plane.get("/metrics");
    let bytes =
        "relay_bytes_total{listener=\"web\",direction=\"downstream\",path=\"splice\"} 12345";
    for line in [
        bytes,
        "# TYPE spliceway_relay_bytes_total counter",
        "spliceway_pipes{state=\"busy\"} 7",
        "spliceway_pipes{state=\"idle\"} 0",
        "spliceway_pipe_held_bytes 5000",
        "spliceway_draining 0",
        "spliceway_access_log_dropped_total 0",
        "spliceway_connection_duration_seconds_count{listener=\"web\"} 0",
    ] {
        assert!(text.body.contains(&format!("{line}\n")), "{line} in\n{}", text.body);
    }
    let open = plane.request(
        "GET",
        "/metrics",
        "Accept: text/plain;q=0.3\r\nAccept: application/openmetrics-text;version=1.0.0;q=0.5\r\n",
    );
    let content_type = open.header("content-type").unwrap();
    assert!(content_type.starts_with("application/openmetrics-text; version=1.0.0"));
    assert!(open.body.contains(bytes), "{}", open.body);
    assert!(open.body.contains("# TYPE spliceway_relay_bytes counter\n"), "{}", open.body);
    assert!(open.body.ends_with("\n# EOF\n"), "{}", open.body);
}

#[test]
fn status_says_what_runs_and_why() {
    let plane = serving();
    plane.workers[1].report.connections.store(9, Ordering::Relaxed);
    plane.workers[1].report.accept_paused.store(1, Ordering::Relaxed);
    let status: serde_json::Value = serde_json::from_str(&plane.get("/status").body).unwrap();
    let check = |pointer: &str, expected: serde_json::Value| {
        assert_eq!(status.pointer(pointer), Some(&expected), "{pointer} in {status:#}");
    };
    check("/version", env!("CARGO_PKG_VERSION").into());
    check("/pid", std::process::id().into());
    check("/kernel", "6.1.0-test".into());
    check("/stage", "serving".into());
    check("/ready", true.into());
    check("/notes/0", "a note".into());
    check("/connections/open", 9.into());
    check("/connections/max", 400.into());
    check("/listeners/0/name", "web".into());
    check("/listeners/0/bind/0", "127.0.0.1:4711".into());
    check("/listeners/0/protocol", "tcp".into());
    check("/listeners/0/upstream", "app".into());
    check("/listeners/0/relay/configured", "splice".into());
    check("/listeners/0/relay/in_force", "copy".into());
    check("/listeners/0/relay/reason", "splice is refused here".into());
    check("/listeners/0/relay/pipe_size", 65536.into());
    check("/workers/0/accept_paused", false.into());
    check("/workers/1/connections", 9.into());
    check("/workers/1/accept_paused", true.into());
    check("/upstreams/0/servers/1/address", "unix:/run/app".into());
    check("/upstreams/0/servers/1/state", "up".into());
    check("/upstreams/0/servers/1/health", "unchecked".into());
    check("/upstreams/0/queued", 0.into());
    check("/upstreams/0/balance", "round_robin".into());
    assert!(status["uptime_seconds"].is_u64());
}

#[test]
fn a_worker_that_does_not_answer_makes_the_process_unready() {
    let plane = serving();
    plane.workers[1].mute.store(true, Ordering::Relaxed);
    let answer = plane.wait_until("/readyz", |answer| answer.status == 503);
    assert!(answer.body.contains("worker 1 has not answered"), "{answer:?}");
    assert_eq!(plane.get("/healthz").status, 200);
    plane.workers[1].mute.store(false, Ordering::Relaxed);
    plane.wait_until("/readyz", |answer| answer.status == 200);
}

#[test]
fn a_worker_that_dies_ends_the_control_plane() {
    let plane = serving();
    plane.workers[1].panics.store(true, Ordering::Relaxed);
    plane.workers[1].waker.wake().unwrap();
    let error = plane.thread.join().unwrap().unwrap_err();
    match &error {
        ControlError::WorkerPanicked { worker: 1, message } => {
            assert!(message.contains("as the test asked"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    assert!(error.to_string().contains("worker 1 panicked"), "{error}");
}

#[test]
fn a_worker_that_leaves_ends_the_control_plane() {
    let plane = serving();
    plane.workers[0].ends.store(true, Ordering::Relaxed);
    plane.workers[0].waker.wake().unwrap();
    let error = plane.thread.join().unwrap().unwrap_err();
    assert!(matches!(error, ControlError::WorkerEnded { worker: 0 }), "{error:?}");
}

/// Reads until the other side ends the connection, in whatever way; at the deadline the test
/// fails.
fn read_to_close(socket: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match socket.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
    }
    bytes
}

#[test]
fn a_head_that_never_ends_is_cut_off() {
    let plane = serving();
    let mut silent = plane.connect();
    let mut slow = plane.connect();
    let mut idle = plane.connect();
    write!(slow, "GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ").unwrap();
    write!(idle, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(!read_to_close(&mut slow).starts_with(b"HTTP/1.1 200"));
    assert_eq!(read_to_close(&mut silent), b"");
    assert!(read_to_close(&mut idle).ends_with(b"ok\n"), "an idle connection ends without a word");
}

#[test]
fn a_head_that_drips_does_not_buy_time() {
    let plane = serving();
    let mut socket = plane.connect();
    socket.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    // A header byte now and then, among the requests of somebody else, and too seldom to reach
    // the limit of bytes: progress, but never an end.
    let start = Instant::now();
    let mut dripped = 0;
    while socket.write_all(b"X").is_ok() && !has_ended(&socket) {
        dripped += 1;
        assert!(start.elapsed() < DEADLINE, "the connection still stands");
        for _ in 0..16 {
            assert_eq!(plane.get("/healthz").status, 200);
        }
    }
    assert!(dripped < HEAD_BYTES_MAX / 2, "ended by the limit of bytes, not by that of time");
}

/// Whether the other side has ended a connection on which it had nothing to say.
fn has_ended(mut socket: &TcpStream) -> bool {
    socket.set_nonblocking(true).unwrap();
    let read = socket.read(&mut [0; 512]);
    socket.set_nonblocking(false).unwrap();
    !matches!(read, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let plane = serving();
    let answer_to = |headers: &str| {
        let mut socket = plane.connect();
        let close = "Connection: close\r\n";
        let head = format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{close}{headers}\r\n");
        // The server may hang up before all of it was sent.
        let _may_be_cut = socket.write_all(head.as_bytes());
        String::from_utf8(read_to_close(&mut socket)).unwrap()
    };
    let own_headers = 2;
    let answer = answer_to(&"X-Many: 1\r\n".repeat(HEADERS_MAX - own_headers));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let answer = answer_to(&"X-Many: 1\r\n".repeat(HEADERS_MAX - own_headers + 1));
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let answer = answer_to(&format!("X-Long: {}\r\n", "x".repeat(HEAD_BYTES_MAX / 2)));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // Here a reset may overtake the answer, because not all of the head was read.
    let answer = answer_to(&format!("X-Long: {}\r\n", "x".repeat(2 * HEAD_BYTES_MAX)));
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    let mut endless = plane.connect();
    let written = (0..100_000).take_while(|_| endless.write_all(&[b'x'; 1024]).is_ok()).count();
    assert!(written < 100_000, "a hundred megabytes of head were taken");
    assert_eq!(plane.get("/healthz").status, 200);
}

#[test]
fn a_body_is_refused_before_it_comes() {
    let plane = serving();
    for announced in ["Content-Length: 1000000000000\r\n", "Transfer-Encoding: chunked\r\n"] {
        let mut socket = plane.connect();
        write!(socket, "GET /metrics HTTP/1.1\r\nHost: x\r\n{announced}\r\n").unwrap();
        let answer = Answer::read(&mut socket);
        assert_eq!(answer.status, 413, "{answer:?}");
        assert_eq!(answer.header("connection"), Some("close"));
    }
}

#[test]
fn random_bytes_harm_nobody() {
    let plane = serving();
    for garbage in
        [&b"\x16\x03\x01\x02\x00\x01\x00"[..], b"\0\0\0\0\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\n"]
    {
        let mut socket = plane.connect();
        socket.write_all(garbage).unwrap();
        let answer = read_to_close(&mut socket);
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(plane.get("/readyz").status, 200);
}

#[test]
fn answers_that_nobody_reads_do_not_pile_up() {
    let plane = serving();
    let mut socket = plane.connect();
    socket.set_nonblocking(true).unwrap();
    let requests = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000);
    let mut written = 0_usize;
    let mut refusals = 0;
    // A server that went on reading would take everything; this one stops, so that the socket
    // stays full however often others are served in between.
    while refusals < 50 {
        match socket.write(requests.as_bytes()) {
            Ok(count) => (written, refusals) = (written + count, 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => refusals += 1,
            Err(error) => panic!("{error}"),
        }
        assert_eq!(plane.get("/healthz").status, 200);
        assert!(written < 64 << 20, "{written} bytes of requests were taken");
    }
}

#[test]
fn a_thousand_idle_connections_do_not_shut_out_the_health_check() {
    const IDLE: usize = 1000;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let plane = serving();
    let idle: Vec<TcpStream> = (0..IDLE).map(|_| plane.connect()).collect();
    assert_eq!(plane.get("/healthz").status, 200);
    assert_eq!(plane.get("/readyz").status, 200);
    // Descriptors of both ends of every connection, of this test and of those beside it.
    let scrape = plane.get("/metrics").body;
    let line = scrape.lines().find_map(|line| line.strip_prefix("process_open_fds ")).unwrap();
    let open: usize = line.parse().unwrap();
    assert!(open < IDLE + CONNECTIONS_MAX + 500, "{open} descriptors are open");
    let start = Instant::now();
    while idle.iter().filter(|socket| !has_ended(socket)).count() > CONNECTIONS_MAX {
        assert!(start.elapsed() < DEADLINE, "more connections are open than are allowed");
        assert_eq!(plane.get("/healthz").status, 200);
    }
}
