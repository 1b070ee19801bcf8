//! The end of one direction never cuts the other, and never overtakes its bytes.

// A failed `unwrap` or `panic!` is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use support::origin::{Origin, Report, answer_after_end, half_close_first, sink};
use support::pattern::{digest, read_digest, read_digest_slowly, write_pattern};
use support::proxy::Launch;
use support::stream::Stream;
use support::{MODES, PATIENCE, in_each_mode, settled};

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
    in_each_mode(|mode| {
        let (_hold, held) = channel();
        let origin = Origin::start(support::origin::idle_until(held));
        let proxy = Launch::tcp(mode, &[origin.address()])
            .set("timeouts.half_closed", "200ms")
            .set("timeouts.idle", "10m")
            .start();
        let mut client = proxy.connect();
        client.end_writing().unwrap();
        assert_cut(&mut client, mode);
        proxy.await_closed("half_closed_timeout", 1.0);
    });
}

#[test]
fn a_silent_connection_ends_by_the_idle_timeout() {
    in_each_mode(|mode| {
        let origin = Origin::start(sink);
        let proxy = Launch::tcp(mode, &[origin.address()]).set("timeouts.idle", "200ms").start();
        assert_cut(&mut proxy.connect(), mode);
        let report = origin.report();
        assert_eq!(report.received.bytes, 0, "{mode}");
        let ending = report.ending.expect_err("a cut must not look like an end to the upstream");
        assert_eq!(ending.kind(), ErrorKind::ConnectionReset, "{mode}");
        proxy.await_closed("idle_timeout", 1.0);
    });
}

/// The client is told, without a byte, that this is no orderly end.
fn assert_cut(client: &mut Stream, mode: &str) {
    let (received, ending) = read_digest(client);
    assert_eq!(received.bytes, 0, "{mode}");
    let ending = ending.expect_err("a cut must not look like an end");
    assert_eq!(ending.kind(), ErrorKind::ConnectionReset, "{mode}");
}

/// The time that the other side has begins with the end of the one side, not with the last byte:
/// a pause that was fine before the end is not held against the answer.
#[test]
fn a_long_silence_before_the_end_leaves_time_for_the_answer() {
    const ANSWER: u64 = 64 << 10;
    in_each_mode(|mode| {
        let origin = Origin::start(|mut stream| {
            let mut question = [0; 4];
            stream.read_exact(&mut question).ok()?;
            stream.write_all(&question).ok()?;
            let (received, ending) = read_digest(&mut stream);
            // The silence is what this test is about; a part of what `half_closed` allows.
            std::thread::sleep(Duration::from_millis(300));
            let written = write_pattern(&mut stream, 2, ANSWER);
            Some(Report { received, ending: ending.and(written) })
        });
        let proxy = Launch::tcp(mode, &[origin.address()])
            .set("timeouts.half_closed", "1s")
            .set("timeouts.idle", "1m")
            .start();
        let mut client = proxy.connect();
        client.write_all(b"ping").unwrap();
        client.read_exact(&mut [0; 4]).unwrap();
        // Again the silence itself: nothing that could be asked grows during it. More of it than
        // meant makes the test no weaker, and is far from `idle`.
        std::thread::sleep(Duration::from_millis(1500));
        client.end_writing().unwrap();
        let (received, ending) = read_digest(&mut client);
        assert!(ending.is_ok(), "{mode}: after {} bytes: {ending:?}", received.bytes);
        assert_eq!(received, digest(2, ANSWER), "{mode}");
        origin.report().ending.unwrap();
        proxy.await_closed("completed", 1.0);
    });
}

/// Sends `bytes` bytes of the pattern of `seed` and says nothing more, until `released` is dropped.
fn send_and_stay(
    seed: u64,
    bytes: u64,
    released: Receiver<()>,
) -> impl Fn(Stream) -> Option<Report> + Send + Sync {
    let released = std::sync::Mutex::new(released);
    move |mut stream| {
        write_pattern(&mut stream, seed, bytes).ok()?;
        let _ended = released.lock().map(|released| released.recv_timeout(PATIENCE));
        drop(stream);
        None
    }
}

/// Long after the proxy has handed its kernel the last byte, the client still takes some: that is
/// no silence, though no byte moves inside the proxy.
#[test]
fn a_half_closed_client_that_reads_slowly_gets_every_byte() {
    const BYTES: u64 = 1_500_000;
    in_each_mode(|mode| {
        let (_hold, held) = channel();
        let origin = Origin::start(send_and_stay(4, BYTES, held));
        let proxy = Launch::tcp(mode, &[origin.address()])
            .set("timeouts.half_closed", "1s")
            .set("timeouts.idle", "1m")
            .start();
        let mut client = proxy.connect();
        client.receive_little_ahead();
        client.end_writing().unwrap();
        let (received, ending) = read_digest_slowly(&mut client);
        assert_eq!(received.bytes, BYTES, "{mode}: cut off while it still took bytes: {ending:?}");
        assert_eq!(received, digest(4, BYTES), "{mode}");
        // The silence begins with the last byte that was taken.
        let ending = ending.expect_err("the server has not ended");
        assert_eq!(ending.kind(), ErrorKind::ConnectionReset, "{mode}");
        proxy.await_closed("half_closed_timeout", 1.0);
    });
}

/// Both where all that was sent fits into the kernel's queues, and where it does not.
#[test]
fn a_half_closed_client_that_does_not_read_is_cut() {
    in_each_mode(|mode| {
        for bytes in [1_500_000, 32 * MIB] {
            let (_hold, held) = channel();
            let origin = Origin::start(send_and_stay(4, bytes, held));
            let proxy = Launch::tcp(mode, &[origin.address()])
                .set("timeouts.half_closed", "1s")
                .set("timeouts.idle", "1m")
                .start();
            let mut client = proxy.connect();
            client.receive_little_ahead();
            client.end_writing().unwrap();
            proxy.await_closed("half_closed_timeout", 1.0);
            let (received, ending) = read_digest(&mut client);
            assert!(received.bytes < bytes, "{mode}: what it did not take is gone");
            let ending = ending.expect_err("a cut must not look like an end");
            assert_eq!(ending.kind(), ErrorKind::ConnectionReset, "{mode}");
        }
    });
}
