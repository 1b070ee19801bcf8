//! TERM: readiness off, no new connections, what is open may finish, the rest is cut and counted.

// A failed `unwrap` or `panic!` is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::time::Instant;

use nix::sys::signal::Signal;
use spliceway::address::Address;
use support::origin::{Origin, echo};
use support::pattern::read_digest;
use support::proxy::Launch;
use support::stream::Stream;
use support::{MODES, eventually};

fn ping(client: &mut Stream) {
    client.write_all(b"ping").unwrap();
    client.read_exact(&mut [0; 4]).unwrap();
}

#[test]
fn open_connections_finish_and_the_process_ends_well() {
    for mode in MODES {
        for signal in [Signal::SIGTERM, Signal::SIGINT] {
            let origin = Origin::start(echo);
            let mut proxy = Launch::tcp(mode, &[origin.address()])
                .set("process.drain_grace", "0s")
                .set("process.drain_timeout", "60s")
                .start();
            let mut client = proxy.connect();
            ping(&mut client);
            assert_eq!(proxy.get("/readyz").unwrap().status, 200);
            let (address, admin) = (proxy.address(), proxy.admin());
            proxy.signal(signal);
            eventually("readiness turns off", || {
                let response = support::admin::get(admin, "/readyz")?;
                (response.status == 503).then_some(())
            });
            eventually("it listens no more", || Stream::connect(&address).err());
            ping(&mut client);
            drop(client);
            assert_eq!(proxy.wait().code(), Some(0), "{mode} {signal}");
        }
    }
}

#[test]
fn during_the_grace_period_it_still_accepts() {
    let origin = Origin::start(echo);
    let mut proxy = Launch::tcp("splice", &[origin.address()])
        .set("process.drain_grace", "1m")
        .set("process.drain_timeout", "1m")
        .start();
    let admin = proxy.admin();
    proxy.signal(Signal::SIGTERM);
    eventually("readiness turns off", || {
        (support::admin::get(admin, "/readyz")?.status == 503).then_some(())
    });
    ping(&mut proxy.connect());
    proxy.signal(Signal::SIGTERM);
    proxy.wait();
}

#[test]
fn what_outlives_the_drain_is_cut() {
    for mode in MODES {
        let origin = Origin::start(echo);
        let mut proxy = Launch::tcp(mode, &[origin.address()])
            .set("process.drain_grace", "0s")
            .set("process.drain_timeout", "300ms")
            .start();
        let mut client = proxy.connect();
        ping(&mut client);
        proxy.signal(Signal::SIGTERM);
        assert_eq!(proxy.wait().code(), Some(0), "{mode}: cutting is no failure");
        let (received, ending) = read_digest(&mut client);
        assert_eq!(received.bytes, 0);
        let ending = ending.expect_err("a cut must not look like an end");
        assert_eq!(ending.kind(), ErrorKind::ConnectionReset, "{mode}");
        let logged = eventually("the cut connection's line", || {
            proxy.stdout_lines().into_iter().find(|line| line.contains("drain_timeout"))
        });
        assert!(serde_json::from_str::<serde_json::Value>(&logged).is_ok(), "{mode}: {logged}");
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    for mode in MODES {
        let origin = Origin::start(echo);
        let mut proxy = Launch::tcp(mode, &[origin.address()])
            .set("process.drain_grace", "10m")
            .set("process.drain_timeout", "10m")
            .start();
        let mut client = proxy.connect();
        ping(&mut client);
        let admin = proxy.admin();
        proxy.signal(Signal::SIGTERM);
        eventually("the drain begins", || {
            (support::admin::get(admin, "/readyz")?.status == 503).then_some(())
        });
        assert!(proxy.is_running(), "{mode}: the first signal lets connections go on");
        let second = Instant::now();
        proxy.signal(Signal::SIGTERM);
        proxy.wait();
        // Not a test of speed: without the second signal it would take twenty minutes.
        assert!(second.elapsed() < support::PATIENCE, "{mode}");
    }
}

/// A rolling restart on a unix socket: the successor takes the path over while the predecessor
/// still serves what is open. The file is the successor's from then on, so the predecessor's end
/// must leave it alone; and whose file it is at the end removes it.
#[test]
fn a_successor_on_the_same_path_outlives_its_predecessor() {
    let directory = tempfile::tempdir().unwrap();
    let origin = Origin::start(echo);
    let path = directory.path().join("listen.sock");
    let listen = Address::Unix(path.clone());
    let start = || {
        Launch::tcp_at(&listen.to_string(), "auto", &[origin.address()])
            .set("process.drain_grace", "0s")
            .set("process.drain_timeout", "60s")
            .start()
    };
    let mut predecessor = start();
    let mut lasting = predecessor.connect();
    ping(&mut lasting);
    predecessor.signal(Signal::SIGTERM);
    eventually("it listens no more", || Stream::connect(&listen).err());

    let mut successor = start();
    ping(&mut Stream::connect(&listen).unwrap());
    ping(&mut lasting);
    assert!(predecessor.is_running(), "it drains: a connection is open");
    drop(lasting);
    assert_eq!(predecessor.wait().code(), Some(0));

    let reached = Stream::connect(&listen);
    let mut client = reached.expect("the successor is still at its path");
    ping(&mut client);
    drop(client);
    successor.signal(Signal::SIGTERM);
    assert_eq!(successor.wait().code(), Some(0));
    assert!(!path.exists(), "the last one takes its file away");
}
