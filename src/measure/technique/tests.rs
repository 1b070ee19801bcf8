//! Each way brings the bytes that it should, in order, and counts its calls.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsFd;

use sha2::{Digest, Sha256};

use super::*;
use crate::measure::way::{Case, FILE_WAYS, PACED_WAYS, SOCKET_WAYS, Way};

const FILE_BYTES: usize = 3 << 20;

/// Parts of the file: offset and length. Begins and ends in the middle of pages, and at the end.
const PARTS: [(u64, u64); 5] =
    [(0, 1000), (1000, 64 << 10), (70_001, 1 << 20), (1, (3 << 20) - 1), (12_345, 2 << 20)];

fn content() -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    std::iter::repeat_with(|| random.u8(..)).take(FILE_BYTES).collect()
}

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, listener.accept().unwrap().0)
}

fn digest(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

/// A thread that hashes all that comes.
fn hash_all(mut socket: TcpStream) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut received = Vec::new();
        socket.read_to_end(&mut received).unwrap();
        digest(&received)
    })
}

/// `None` where the way is not to be had here: a container may forbid io_uring.
fn opened<'a>(way: &Way, ends: Ends<'a>) -> Option<Box<dyn Technique + 'a>> {
    match open(way.method, ends) {
        Ok(technique) => Some(technique),
        Err(reason) => {
            let may_lack = way.key.starts_with("io_uring");
            assert!(may_lack && !reason.is_empty(), "{}: {reason}", way.key);
            None
        }
    }
}

fn check_file(way: &Way, file: &File, content: &[u8]) {
    let (near, far) = pair();
    let Ok(file) = open_file(way.method, file.as_fd()) else {
        return assert_eq!(way.key, "direct", "a file system may have no direct I/O");
    };
    let from = |offset: u64| Source::File(file.as_fd(), offset);
    let ends = Ends { source: from(0), sink: near.as_fd() };
    let Some(mut technique) = opened(way, ends) else { return };
    let hashing = hash_all(far);
    let mut calls = Calls::default();
    let mut expected = Vec::new();
    for (offset, bytes) in PARTS {
        technique.transfer(from(offset), bytes, &mut calls).unwrap();
        expected.extend_from_slice(&content[offset as usize..][..bytes as usize]);
    }
    assert!(calls.made() >= PARTS.len() as u64, "{}: each transfer takes a call", way.key);
    let past = technique.transfer(from(FILE_BYTES as u64 - 10), 100, &mut calls);
    drop(technique);
    drop(near);
    let received = hashing.join().unwrap();
    // Some ways send the ten bytes before they meet the end.
    let tail = &content[FILE_BYTES - 10..];
    let with_tail = digest(&[&expected, tail].concat());
    assert!(past.is_err(), "{}: there are no hundred bytes", way.key);
    assert!(received == digest(&expected) || received == with_tail, "{}: wrong bytes", way.key);
}

#[test]
fn every_way_from_a_file_brings_the_right_bytes() {
    let content = content();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&content).unwrap();
    for way in &FILE_WAYS {
        check_file(way, &file, &content);
    }
}

fn check_sockets(way: &Way, is_blocking: bool, content: &[u8]) {
    let (near, far) = pair();
    let (source, mut sender) = pair();
    source.set_nonblocking(!is_blocking).unwrap();
    let ends = Ends { source: Source::Socket(source.as_fd()), sink: near.as_fd() };
    let Some(mut technique) = opened(way, ends) else { return };
    let hashing = hash_all(far);
    let sent = content.to_vec();
    // It stays open, so that a low-water mark is not overruled by the end of the stream.
    let sending = std::thread::spawn(move || {
        sender.write_all(&sent).unwrap();
        sender
    });
    let mut calls = Calls::default();
    let mut left = content.len() as u64;
    let mut sizes = [1_u64, 1000, 4096, 100_000, 700_000].into_iter().cycle();
    while left > 0 {
        let bytes = sizes.next().unwrap().min(left);
        // What is left at the end may be less than the mark.
        if let Source::Socket(socket) = ends.source
            && left < 1 << 20
        {
            crate::sys::socket::set_low_water(socket, 1).unwrap();
        }
        technique.transfer(ends.source, bytes, &mut calls).unwrap();
        left -= bytes;
    }
    drop(technique);
    drop(near);
    drop(sending.join().unwrap());
    assert_eq!(hashing.join().unwrap(), digest(content), "{}", way.key);
}

#[test]
fn every_way_between_sockets_brings_the_right_bytes() {
    let content = content();
    for way in SOCKET_WAYS.iter().chain(&PACED_WAYS) {
        for is_blocking in [true, false] {
            // Only splice is measured with a source that does not block.
            if is_blocking || way.key.starts_with("splice") {
                check_sockets(way, is_blocking, &content);
            }
        }
    }
}

/// The calls of a transfer are those of the textbook.
#[test]
fn calls_are_counted_where_they_are_made() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&content()).unwrap();
    let check = |key: &str, expected: u64| {
        let (near, far) = pair();
        let hashing = hash_all(far);
        let way = FILE_WAYS.iter().find(|way| way.key == key).unwrap();
        let Ok(file) = open_file(way.method, file.as_fd()) else {
            return assert_eq!(key, "direct", "a file system may have no direct I/O");
        };
        let ends = Ends { source: Source::File(file.as_fd(), 0), sink: near.as_fd() };
        let Some(mut technique) = opened(way, ends) else { return };
        let mut calls = Calls::default();
        technique.transfer(ends.source, 1000, &mut calls).unwrap();
        assert_eq!(calls.made(), expected, "{key}");
        drop(technique);
        drop(near);
        hashing.join().unwrap();
    };
    check("read_write", 2);
    check("mmap_write", 3);
    check("sendfile", 1);
    check("splice", 2);
    check("direct", 2);
    check("io_uring", 1);
}

#[test]
fn what_cannot_be_is_refused_in_words() {
    let (source, sink) = pair();
    let ends = Ends { source: Source::Socket(source.as_fd()), sink: sink.as_fd() };
    assert!(open(Method::Sendfile, ends).is_err());
    assert_eq!(Case::Sockets.label(), "sockets");
}
