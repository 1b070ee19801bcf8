//! Every byte arrives once, in order, whatever the shape of the traffic and the way of the relay.

// A failed `unwrap` or `panic!` is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use spliceway::address::Address;
use support::origin::{Origin, Report, exchange, sink};
use support::pattern::{digest, read_digest, write_pattern};
use support::proxy::{Launch, Proxy};
use support::stream::Stream;
use support::{MODES, settled};

const MIB: u64 = 1 << 20;

/// Both ways at once: `bytes` from the client, as many from the origin.
fn check_both_ways(proxy: &Proxy, origin: &Origin, bytes: u64) {
    let mut client = proxy.connect();
    let mut outgoing = client.try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        write_pattern(&mut outgoing, 1, bytes).and_then(|()| outgoing.end_writing())
    });
    let (received, ending) = read_digest(&mut client);
    writer.join().unwrap().unwrap();
    ending.unwrap();
    assert_eq!(received, digest(2, bytes), "what the client received");
    let report = origin.report();
    report.ending.unwrap();
    assert_eq!(report.received, digest(1, bytes), "what the origin received");
    proxy.await_closed("completed", 1.0);
}

/// The bytes that went each way inside the proxy, once all are counted.
fn bytes_by_path(proxy: &Proxy, expected: u64) -> (f64, f64) {
    let name = "spliceway_relay_bytes_total";
    proxy.await_metric(name, &[], |total| total >= expected as f64);
    let metrics = proxy.metrics();
    (metrics.sum(name, &[("path", "splice")]), metrics.sum(name, &[("path", "copy")]))
}

#[test]
fn tens_of_mebibytes_both_ways_at_once() {
    const BYTES: u64 = 64 * MIB;
    for mode in MODES {
        let origin = Origin::start(exchange(2, BYTES));
        let proxy = Launch::tcp(mode, &[origin.address()]).start();
        check_both_ways(&proxy, &origin, BYTES);
        let (spliced, copied) = bytes_by_path(&proxy, 2 * BYTES);
        assert_eq!(spliced + copied, (2 * BYTES) as f64, "{mode}: each byte is counted once");
        match mode {
            "splice" => assert_eq!(copied, 0.0, "splice copies nothing"),
            "copy" => assert_eq!(spliced, 0.0, "copy splices nothing"),
            _ => assert!(spliced > copied, "auto splices a flow as large as this one"),
        }
    }
}

#[test]
fn ipv6_on_both_sides() {
    if TcpListener::bind("[::1]:0").is_err() {
        support::tools::skip("this machine has no IPv6 loopback");
        return;
    }
    let any: Address = "[::1]:0".parse().unwrap();
    for mode in MODES {
        let origin = Origin::start_at(&any, exchange(2, MIB));
        let proxy = Launch::tcp_at("[::1]:0", mode, &[origin.address()]).start();
        check_both_ways(&proxy, &origin, MIB);
    }
}

#[test]
fn unix_sockets_on_both_sides() {
    let directory = tempfile::tempdir().unwrap();
    for mode in MODES {
        let upstream = Address::Unix(directory.path().join(format!("{mode}-upstream.sock")));
        let listen = Address::Unix(directory.path().join(format!("{mode}-listen.sock")));
        let origin = Origin::start_at(&upstream, exchange(2, 8 * MIB));
        let proxy = Launch::tcp_at(&listen.to_string(), mode, &[&upstream]).start();
        assert_eq!(proxy.address(), listen, "the address is printed as it was written");
        check_both_ways(&proxy, &origin, 8 * MIB);
    }
}

/// Many segments of one byte fill the slots of a pipe long before its bytes: SPLICE fact 2.
#[test]
fn segments_of_one_byte_before_a_reader_that_stalls() {
    const BYTES: u64 = 50_000;
    for mode in MODES {
        let (release, released) = std::sync::mpsc::channel::<()>();
        let released = std::sync::Mutex::new(released);
        let origin = Origin::start(move |stream: Stream| {
            // As small as the kernel allows, so that the bytes pile up in the proxy.
            let shrunk = socket2::SockRef::from(&stream).set_recv_buffer_size(2048);
            shrunk.expect("a socket takes a buffer size");
            let _ended = released.lock().map(|released| released.recv_timeout(support::PATIENCE));
            sink(stream)
        });
        let proxy = Launch::tcp(mode, &[origin.address()]).start();
        let mut client = proxy.connect();
        let written = Arc::new(AtomicU64::new(0));
        let writer = std::thread::spawn({
            let written = Arc::clone(&written);
            move || {
                let mut bytes = Vec::new();
                write_pattern(&mut bytes, 7, BYTES).unwrap();
                for byte in bytes {
                    client.write_all(&[byte]).unwrap();
                    written.fetch_add(1, Ordering::Relaxed);
                }
                client.end_writing().unwrap();
                client
            }
        });
        settled(|| written.load(Ordering::Relaxed));
        drop(release);
        let report: Report = origin.report();
        report.ending.unwrap();
        assert_eq!(report.received, digest(7, BYTES), "{mode}");
        drop(writer.join().unwrap());
    }
}

#[test]
fn a_reader_that_stalls_and_then_reads_on() {
    const BYTES: u64 = 32 * MIB;
    for mode in MODES {
        let sent = Arc::new(AtomicU64::new(0));
        let origin = Origin::start({
            let sent = Arc::clone(&sent);
            move |stream| {
                let mut counted = Counted { stream, sent: Arc::clone(&sent) };
                write_pattern(&mut counted, 3, BYTES).ok()?;
                None
            }
        });
        let proxy = Launch::tcp(mode, &[origin.address()]).start();
        let mut client = proxy.connect();
        let stalled_at = settled(|| sent.load(Ordering::Relaxed));
        assert!(stalled_at < BYTES, "{mode}: the proxy took {stalled_at} bytes that nobody reads");
        let (received, ending) = read_digest(&mut client);
        ending.unwrap();
        assert_eq!(received, digest(3, BYTES), "{mode}");
    }
}

/// Counts what its stream has taken.
struct Counted {
    stream: Stream,
    sent: Arc<AtomicU64>,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.stream.write(bytes)?;
        self.sent.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
