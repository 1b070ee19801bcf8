//! The end of one direction never cuts the other, and never overtakes its bytes.

// A failed `unwrap` or `panic!` is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use support::origin::{Origin, answer_after_end, half_close_first};
use support::pattern::{digest, read_digest, write_pattern};
use support::proxy::Launch;
use support::{MODES, settled};

const MIB: u64 = 1 << 20;

#[test]
fn the_client_ends_first() {
    for mode in MODES {
        let origin = Origin::start(answer_after_end(2, 4 * MIB));
        let proxy = Launch::tcp(mode, &[origin.address()]).start();
        let mut client = proxy.connect();
        write_pattern(&mut client, 1, MIB).unwrap();
        client.end_writing().unwrap();
        // The origin answers only when it has seen the end, so this cannot pass without it.
        let (received, ending) = read_digest(&mut client);
        ending.unwrap();
        assert_eq!(received, digest(2, 4 * MIB), "{mode}");
        assert_eq!(origin.report().received, digest(1, MIB), "{mode}");
        proxy.await_closed("completed", 1.0);
    }
}

#[test]
fn the_upstream_ends_first() {
    for mode in MODES {
        let origin = Origin::start(half_close_first(2, MIB));
        let proxy = Launch::tcp(mode, &[origin.address()]).start();
        let mut client = proxy.connect();
        let (received, ending) = read_digest(&mut client);
        ending.unwrap();
        assert_eq!(received, digest(2, MIB), "{mode}");
        write_pattern(&mut client, 1, 4 * MIB).unwrap();
        client.end_writing().unwrap();
        let report = origin.report();
        report.ending.unwrap();
        assert_eq!(report.received, digest(1, 4 * MIB), "{mode}");
        proxy.await_closed("completed", 1.0);
    }
}

/// The end comes while the proxy can take no more; no new edge tells of it after the drain: SPLICE
/// fact 4. Which of the sizes leaves the end right behind a full pipe depends on the kernel's
/// buffers, so there are many.
#[test]
fn the_end_waits_behind_a_full_pipe() {
    let sizes = [100, 200, 400, 800, 1600, 3200, 6400, 12800].map(|kib| kib * 1024);
    for mode in MODES {
        for bytes in sizes {
            let sent = Arc::new(AtomicU64::new(0));
            let origin = Origin::start({
                let sent = Arc::clone(&sent);
                move |mut stream| {
                    for chunk in 0..bytes / 1024 {
                        write_pattern(&mut stream, chunk, 1024).ok()?;
                        sent.fetch_add(1024, Ordering::Relaxed);
                    }
                    stream.end_writing().ok()?;
                    // Open for reading until the client has gone.
                    let _gone = stream.read(&mut [0]);
                    None
                }
            });
            let proxy = Launch::tcp(mode, &[origin.address()]).start();
            let mut client = proxy.connect();
            settled(|| sent.load(Ordering::Relaxed));
            let (received, ending) = read_digest(&mut client);
            ending.unwrap();
            assert_eq!(received.bytes, bytes, "{mode}");
        }
    }
}

#[test]
fn a_half_open_connection_ends_by_its_own_timeout() {
    for mode in MODES {
        let (_hold, held) = std::sync::mpsc::channel();
        let origin = Origin::start(support::origin::idle_until(held));
        let proxy = Launch::tcp(mode, &[origin.address()])
            .set("timeouts.half_closed", "200ms")
            .set("timeouts.idle", "10m")
            .start();
        let client = proxy.connect();
        client.end_writing().unwrap();
        proxy.await_closed("half_closed_timeout", 1.0);
    }
}

#[test]
fn a_silent_connection_ends_by_the_idle_timeout() {
    for mode in MODES {
        let (_hold, held) = std::sync::mpsc::channel();
        let origin = Origin::start(support::origin::idle_until(held));
        let proxy = Launch::tcp(mode, &[origin.address()]).set("timeouts.idle", "200ms").start();
        let _client = proxy.connect();
        proxy.await_closed("idle_timeout", 1.0);
    }
}
