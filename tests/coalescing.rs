//! Receive coalescing over real sockets: bulk arrives whole, and no tail is held back for long.

// A failed `unwrap` or `panic!` is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use spliceway::address::Address;
use support::proxy::Launch;

const BURSTS: usize = 10_000;
/// More than the sixteen times the mark that a lane must move before it has one.
const BURST_BYTES: usize = 17 * 16 * 1024;

/// A burst that turns coalescing on, and behind it a single byte for which no further bytes come:
/// it must not wait for the mark. The bound is 5 ms in the median.
#[test]
fn a_byte_behind_each_burst_does_not_wait_for_more() {
    let origin = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Address::Ip(origin.local_addr().unwrap());
    let proxy = Launch::tcp("auto", &[&server]).set("relay.low_water", "16KiB").start();
    let Address::Ip(address) = proxy.address() else { panic!("an IP address was asked for") };
    let mut client = TcpStream::connect(address).unwrap();
    let (mut upstream, _) = origin.accept().unwrap();
    upstream.set_nodelay(true).unwrap();

    let (went, come) = mpsc::channel::<Instant>();
    // A burst begins when the one before has arrived, without a byte going back: the other
    // direction stays silent, as coalescing demands.
    let (go, may_go) = mpsc::channel::<()>();
    let sender = thread::spawn(move || {
        let burst = vec![b'b'; BURST_BYTES];
        for _ in 0..BURSTS {
            may_go.recv().unwrap();
            upstream.write_all(&burst).unwrap();
            upstream.write_all(b"t").unwrap();
            went.send(Instant::now()).unwrap();
        }
    });
    let mut delays = Vec::with_capacity(BURSTS);
    let mut received = vec![0; BURST_BYTES + 1];
    for _ in 0..BURSTS {
        go.send(()).unwrap();
        client.read_exact(&mut received).unwrap();
        let arrived = Instant::now();
        assert_eq!(received.last(), Some(&b't'));
        delays.push(arrived.saturating_duration_since(come.recv().unwrap()));
    }
    sender.join().unwrap();
    delays.sort_unstable();
    let median = delays[BURSTS / 2];
    println!(
        "a tail arrives after {median:?} in the median, {:?} at p99",
        delays[BURSTS / 100 * 99]
    );
    assert!(median < Duration::from_millis(5), "{median:?}");
}
