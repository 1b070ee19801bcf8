//! One worker, two connections: a stream that never ends leaves a dialogue its turns, and the
//! dialogue does not stop the stream.

// A failed `unwrap` or `panic!` is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use support::origin::{Origin, Report, echo};
use support::proxy::Launch;
use support::stream::Stream;
use support::{eventually, in_each_mode};

const ROUND_TRIPS: usize = 2_000;
const MESSAGE_BYTES: usize = 1024;
/// What must go through the stream before the dialogue begins, during it and after it.
const STREAMED_MIN: u64 = 1 << 20;

/// The first byte says which: an answer to each message, or a stream.
fn serve(mut stream: Stream) -> Option<Report> {
    let mut wanted = [0];
    stream.read_exact(&mut wanted).ok()?;
    if wanted == *b"d" {
        return echo(stream);
    }
    let chunk = vec![0x5a; 256 << 10];
    while stream.write_all(&chunk).is_ok() {}
    None
}

/// Reads as fast as it can and counts, until the stream ends, which only its reset brings about.
fn drain(mut stream: Stream, streamed: &AtomicU64) {
    let mut buffer = vec![0; 256 << 10];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        streamed.fetch_add(count as u64, Ordering::Relaxed);
    }
}

fn await_growth(what: &str, streamed: &AtomicU64) -> u64 {
    let before = streamed.load(Ordering::Relaxed);
    eventually(what, || {
        let now = streamed.load(Ordering::Relaxed);
        (now >= before + STREAMED_MIN).then_some(now)
    })
}

#[test]
fn a_stream_and_a_dialogue_share_one_worker() {
    in_each_mode(|mode| {
        let origin = Origin::start(serve);
        let proxy = Launch::tcp(mode, &[origin.address()]).option("--workers", "1").start();
        let mut stream = proxy.connect();
        stream.write_all(b"s").unwrap();
        let ending = stream.try_clone().unwrap();
        let streamed = Arc::new(AtomicU64::new(0));
        let reader = std::thread::spawn({
            let streamed = Arc::clone(&streamed);
            move || drain(stream, &streamed)
        });
        let before = await_growth("the stream runs", &streamed);

        let mut dialogue = proxy.connect();
        dialogue.write_all(b"d").unwrap();
        let mut answer = [0; MESSAGE_BYTES];
        for round in 0..ROUND_TRIPS {
            let message = [round as u8; MESSAGE_BYTES];
            dialogue.write_all(&message).unwrap();
            dialogue.read_exact(&mut answer).unwrap();
            assert_eq!(answer, message, "{mode}");
        }
        let during = streamed.load(Ordering::Relaxed) - before;
        assert!(during >= STREAMED_MIN, "{mode}: {during} bytes during {ROUND_TRIPS} round trips");
        await_growth("the stream goes on after the dialogue", &streamed);

        ending.end_both().unwrap();
        reader.join().unwrap();
    });
}
