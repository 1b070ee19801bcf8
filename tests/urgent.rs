//! Urgent data (`MSG_OOB`) stays in the stream: its byte keeps its place, and what stands behind
//! its mark is neither held back nor lost. Splice never moves past such a mark, and takes an end
//! of stream behind it for the end right there.

// A failed `unwrap` or `panic!` is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::io::{Read, Write};

use spliceway::error::Direction;
use support::origin::{Origin, Report};
use support::pattern::{Digested, digest, read_digest, write_pattern};
use support::proxy::Launch;
use support::stream::Stream;

const MIB: u64 = 1 << 20;
/// How often each stream is sent: whether the mark stands before, within or behind what a read
/// finds is a matter of luck.
const ROUNDS: usize = 10;

/// What a side of a connection does.
type Part = fn(&mut Stream);

fn play(part: Part) -> impl Fn(Stream) -> Option<Report> + Send + Sync {
    move |mut stream| {
        part(&mut stream);
        // The report says that this part came to its end; what was received it has checked.
        let received = Digested { bytes: 0, sha256: String::new() };
        Some(Report { received, ending: Ok(()) })
    }
}

/// Connections with `speaks` on the side where `direction` begins, `listens` on the other.
fn check(mode: &str, direction: Direction, speaks: Part, listens: Part) {
    let (client_part, origin_part) = match direction {
        Direction::Upstream => (speaks, listens),
        Direction::Downstream => (listens, speaks),
    };
    let origin = Origin::start(play(origin_part));
    let proxy = Launch::tcp(mode, &[origin.address()]).start();
    for _ in 0..ROUNDS {
        client_part(&mut proxy.connect());
        origin.report();
    }
    proxy.await_closed("completed", ROUNDS as f64);
}

fn read_word(stream: &mut Stream, word: &[u8]) {
    let mut received = vec![0; word.len()];
    stream.read_exact(&mut received).unwrap();
    assert_eq!(received, word, "{:?}", String::from_utf8_lossy(&received));
}

fn read_rest(stream: &mut Stream, rest: &[u8]) {
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    assert_eq!(received, rest, "{:?}", String::from_utf8_lossy(&received));
}

fn speak_and_end(stream: &mut Stream) {
    stream.write_all(b"A").unwrap();
    stream.write_urgent(b'U').unwrap();
    stream.write_all(b"tail").unwrap();
    stream.end_writing().unwrap();
    read_rest(stream, b"answer");
}

fn listen_to_the_end(stream: &mut Stream) {
    read_rest(stream, b"AUtail");
    stream.write_all(b"answer").unwrap();
    stream.end_writing().unwrap();
}

fn speak_and_go_on(stream: &mut Stream) {
    stream.write_all(b"A").unwrap();
    stream.write_urgent(b'U').unwrap();
    stream.write_all(b"tail").unwrap();
    read_word(stream, b"answer");
    // A mark with nothing before it and, until it is answered, nothing behind it.
    stream.write_urgent(b'V').unwrap();
    read_word(stream, b"again");
    stream.write_all(b"more").unwrap();
    stream.end_writing().unwrap();
    read_rest(stream, b"");
}

fn listen_and_go_on(stream: &mut Stream) {
    read_word(stream, b"AUtail");
    stream.write_all(b"answer").unwrap();
    read_word(stream, b"V");
    stream.write_all(b"again").unwrap();
    read_rest(stream, b"more");
    stream.end_writing().unwrap();
}

fn speak_in_bulk(stream: &mut Stream) {
    write_pattern(stream, 1, MIB).unwrap();
    stream.write_urgent(b'U').unwrap();
    write_pattern(stream, 2, MIB).unwrap();
    stream.write_urgent(b'V').unwrap();
    stream.write_all(b"tail").unwrap();
    stream.end_writing().unwrap();
    read_rest(stream, b"answer");
}

fn listen_in_bulk(stream: &mut Stream) {
    for (seed, urgent) in [(1, b"U"), (2, b"V")] {
        let (received, ending) = read_digest(&mut stream.take(MIB));
        ending.unwrap();
        assert_eq!(received, digest(seed, MIB));
        read_word(stream, urgent);
    }
    read_rest(stream, b"tail");
    stream.write_all(b"answer").unwrap();
    stream.end_writing().unwrap();
}

fn check_both_ways(mode: &str, speaks: Part, listens: Part) {
    // Each in a thread of its own, so that the failure of one does not hide the other's.
    std::thread::scope(|scope| {
        for direction in Direction::ALL {
            let named = std::thread::Builder::new().name(format!("{mode}, {direction:?}"));
            named.spawn_scoped(scope, move || check(mode, direction, speaks, listens)).unwrap();
        }
    });
}

#[test]
fn before_the_end_by_splice() {
    check_both_ways("splice", speak_and_end, listen_to_the_end);
}

#[test]
fn before_the_end_by_copy() {
    check_both_ways("copy", speak_and_end, listen_to_the_end);
}

#[test]
fn before_the_end_by_auto() {
    check_both_ways("auto", speak_and_end, listen_to_the_end);
}

#[test]
fn within_a_dialogue_by_splice() {
    check_both_ways("splice", speak_and_go_on, listen_and_go_on);
}

#[test]
fn within_a_dialogue_by_copy() {
    check_both_ways("copy", speak_and_go_on, listen_and_go_on);
}

#[test]
fn within_a_dialogue_by_auto() {
    check_both_ways("auto", speak_and_go_on, listen_and_go_on);
}

#[test]
fn within_bulk_by_splice() {
    check_both_ways("splice", speak_in_bulk, listen_in_bulk);
}

#[test]
fn within_bulk_by_copy() {
    check_both_ways("copy", speak_in_bulk, listen_in_bulk);
}

/// Bulk has turned the direction to splice when it comes to the mark.
#[test]
fn within_bulk_by_auto() {
    check_both_ways("auto", speak_in_bulk, listen_in_bulk);
}
