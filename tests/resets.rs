//! What one side does to its connection, the other side sees; and no byte that was received is
//! lost on the way.

// A failed `unwrap` or `panic!` is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use spliceway::address::Address;
use support::origin::{Origin, echo, idle_until, reset_after, sink};
use support::pattern::{digest, read_digest, read_digest_slowly, write_pattern};
use support::proxy::Launch;
use support::stream::refusing;
use support::{MODES, in_each_mode, settled};

/// What fits into the kernel's buffers, and what does not.
const SIZES: [u64; 2] = [50_000, 8 << 20];

#[test]
fn the_upstream_resets_after_data() {
    for mode in MODES {
        for bytes in SIZES {
            let origin = Origin::start(reset_after(5, bytes));
            let proxy = Launch::tcp(mode, &[origin.address()]).start();
            let (received, ending) = read_digest(&mut proxy.connect());
            assert_eq!(received, digest(5, bytes), "{mode}: all bytes come before the reset");
            let ending = ending.expect_err("a reset must not look like an end");
            assert_eq!(ending.kind(), ErrorKind::ConnectionReset, "{mode}");
            proxy.await_closed("upstream_reset", 1.0);
        }
    }
}

#[test]
fn the_client_resets_after_data() {
    for mode in MODES {
        for bytes in SIZES {
            let origin = Origin::start(sink);
            let proxy = Launch::tcp(mode, &[origin.address()]).start();
            let mut client = proxy.connect();
            write_pattern(&mut client, 5, bytes).unwrap();
            client.await_delivered();
            client.reset();
            let report = origin.report();
            assert_eq!(report.received, digest(5, bytes), "{mode}: all bytes before the reset");
            let ending = report.ending.expect_err("a reset must not look like an end");
            assert_eq!(ending.kind(), ErrorKind::ConnectionReset, "{mode}");
            proxy.await_closed("client_reset", 1.0);
        }
    }
}

/// The survivor may take its time: as long as its kernel queue shrinks, the reset waits, however
/// much longer than `half_closed` that takes.
#[test]
fn a_survivor_that_reads_slowly_gets_every_byte() {
    const BYTES: u64 = 1_500_000;
    in_each_mode(|mode| {
        let origin = Origin::start(reset_after(5, BYTES));
        let proxy =
            Launch::tcp(mode, &[origin.address()]).set("timeouts.half_closed", "1s").start();
        let mut client = proxy.connect();
        client.receive_little_ahead();
        let (received, ending) = read_digest_slowly(&mut client);
        assert_eq!(received.bytes, BYTES, "{mode}: all bytes come before the reset: {ending:?}");
        assert_eq!(received, digest(5, BYTES), "{mode}");
        let ending = ending.expect_err("a reset must not look like an end");
        assert_eq!(ending.kind(), ErrorKind::ConnectionReset, "{mode}");
        proxy.await_closed("upstream_reset", 1.0);
    });
}

/// The client is told without a byte, and by a reset: an end would look like an empty answer.
fn assert_turned_away(client: &mut impl Read) {
    let (received, ending) = read_digest(client);
    assert_eq!(received.bytes, 0);
    let ending = ending.expect_err("a client that is turned away must not see an end");
    assert_eq!(ending.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn an_upstream_that_refuses() {
    for mode in MODES {
        let proxy = Launch::tcp(mode, &[&refusing(), &refusing()]).start();
        assert_turned_away(&mut proxy.connect());
        proxy.await_closed("connect_refused", 1.0);
        let name = "spliceway_upstream_errors_total";
        proxy.await_metric(name, &[("reason", "refused")], |errors| errors >= 2.0);
    }
}

#[test]
fn a_refused_connection_is_tried_on_the_next_server() {
    for mode in MODES {
        let origin = Origin::start(echo);
        let proxy = Launch::tcp(mode, &[&refusing(), origin.address()]).start();
        // Round robin comes to the one that refuses at least once in two.
        for _ in 0..4 {
            let mut client = proxy.connect();
            client.write_all(b"ping").unwrap();
            client.read_exact(&mut [0; 4]).unwrap();
        }
        proxy.await_metric("spliceway_upstream_retries_total", &[], |retries| retries >= 1.0);
        proxy.await_closed("completed", 4.0);
    }
}

/// A listener that accepts nothing and whose queue is full: the kernel drops further requests to
/// connect, as a machine that is gone would.
struct Unreachable {
    listener: Socket,
    _queued: Vec<TcpStream>,
}

impl Unreachable {
    fn new() -> Unreachable {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(100)).ok();
        Unreachable { listener, _queued: std::iter::from_fn(connect).collect() }
    }

    fn address(&self) -> Address {
        Address::Ip(self.listener.local_addr().unwrap().as_socket().unwrap())
    }
}

#[test]
fn an_upstream_that_does_not_answer() {
    let silent = Unreachable::new();
    for mode in MODES {
        let proxy =
            Launch::tcp(mode, &[&silent.address()]).set("timeouts.connect", "300ms").start();
        assert_turned_away(&mut proxy.connect());
        proxy.await_closed("connect_timeout", 1.0);
    }
}

#[test]
fn an_upstream_that_never_reads() {
    const PIPE_BYTES: u64 = 64 << 10;
    in_each_mode(|mode| {
        let (release, released) = std::sync::mpsc::channel();
        let origin = Origin::start(idle_until(released));
        let proxy = Launch::tcp(mode, &[origin.address()]).set("relay.pipe_size", "64KiB").start();
        let resident_before = proxy.resident_kib();
        let mut client = proxy.connect();
        let written = Arc::new(AtomicU64::new(0));
        let writer = std::thread::spawn({
            let written = Arc::clone(&written);
            move || {
                let chunk = [0x5a; 16 << 10];
                loop {
                    match client.write(&chunk) {
                        Ok(count) => written.fetch_add(count as u64, Ordering::Relaxed),
                        Err(error) => return error,
                    };
                }
            }
        });
        settled(|| written.load(Ordering::Relaxed));
        let grown = proxy.resident_kib().saturating_sub(resident_before);
        assert!(grown < 16 << 10, "{mode}: {grown} KiB more for one connection that is stuck");
        // Pages in pipes are the kernel's, not this process's.
        if mode == "splice" {
            let held = proxy.await_metric("spliceway_pipe_held_bytes", &[], |held| held > 0.0);
            let pipes = proxy.metrics().sum("spliceway_pipes", &[]);
            let allowed = pipes * PIPE_BYTES as f64;
            assert!(held <= allowed, "{held} bytes in {pipes} pipes of {PIPE_BYTES} bytes");
        }
        // The origin closes with bytes unread, which is a reset (RFC 2525 section 2.17).
        drop(release);
        let error = writer.join().unwrap();
        let expected = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
        assert!(expected.contains(&error.kind()), "{mode}: {error}");
        proxy.await_closed("upstream_reset", 1.0);
    });
}
