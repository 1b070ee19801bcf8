//! A seeded run of the fuzz targets: enough to notice that one no longer holds. Real fuzzing is
//! described in `fuzz/Cargo.toml`.

use crate::targets;

/// Inputs for each target.
const ROUNDS: usize = 20_000;

/// Well-formed input to begin with: noise alone would never get past the first byte.
const REQUESTS: [&str; 4] = [
    "GET /a/../b?c HTTP/1.1\r\nHost: a.example:80\r\nX-A: b\r\n\r\n",
    "POST http://a/%41 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n",
    "PUT / HTTP/1.0\r\nContent-Length: 5\r\nConnection: keep-alive, x\r\nX: y\r\n\r\nhello",
    "GET / HTTP/1.1\r\nHost: [::1]\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
];
const RESPONSES: [&str; 4] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a\r\n\r\nhello",
    "HTTP/1.1 404 \r\nTransfer-Encoding: chunked\r\nTrailer: x\r\nConnection: close\r\n\r\n",
    "HTTP/1.0 304 Not Modified\r\nETag: \"a\"\r\n\r\n",
    "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
];
const BODIES: [&str; 3] = [
    "5\r\nhello\r\n0\r\n\r\nGET",
    "a;b=c\r\n0123456789\r\n1\r\nx\r\n000;d\r\nX-A: b\r\nHost: c\r\n\r\n",
    "0\r\nX: y\r\n\r\n",
];
const TARGETS: [&str; 4] =
    ["/a/./b/../c//d?e=/../f", "http://User.Example:80/%2e%41%2f?", "*", "/..;/%5c..//../%zz"];
const FILE_REQUESTS: [&str; 6] = [
    "Range: bytes=0-0,5-6,-2\r\nIf-Range: \"1.0-a-7\"",
    "Range: bytes=1-\r\nIf-Range: Sun, 06 Nov 1994 08:49:37 GMT",
    "If-None-Match: W/\"a\", \"b,c\", *\r\nRange: bytes=0-1048576, 3-2",
    "If-Match: \"x\"\r\nIf-Unmodified-Since: Sunday, 06-Nov-94 08:49:37 GMT",
    "If-Modified-Since: Sun Nov  6 08:49:37 1994\r\nAccept-Encoding: br;q=0.5, x-gzip, *;q=0",
    "Accept-Encoding: zstd, br;q=1.000, identity;q=0.001\r\nRange: bytes=-18446744073709551616",
];

/// Pieces that parsers stumble over.
const PIECES: [&[u8]; 24] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b",",
    b";",
    b"\r\n\r\n",
    b"0\r\n",
    b"%2e%2e",
    b"/..",
    b"//",
    b"chunked",
    b"Transfer-Encoding: ",
    b"Content-Length: 1",
    b"Host: b",
    b"\xff",
    b"_",
    b"HTTP/1.0",
    b"Connection: close",
    b"ffffffffffffffff",
    b"#",
];

/// One of the samples with a few bytes changed, doubled, cut or put in.
fn mutated(random: &mut fastrand::Rng, samples: &[&str]) -> Vec<u8> {
    let mut bytes = samples[random.usize(..samples.len())].as_bytes().to_vec();
    for _ in 0..random.usize(..6) {
        let at = random.usize(..=bytes.len());
        let end = random.usize(at..=bytes.len().min(at + 12));
        match random.u8(..5) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let piece = PIECES[random.usize(..PIECES.len())];
                drop(bytes.splice(at..at, piece.iter().copied()));
            }
            3 => {
                let copied = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, copied));
            }
            _ => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = random.u8(..)),
        }
    }
    bytes
}

/// Runs a target on many inputs; a failure names the input.
fn run(target: fn(&[u8]), samples: &[&str]) {
    let mut random = fastrand::Rng::with_seed(0x5eed);
    for _ in 0..ROUNDS {
        let input = mutated(&mut random, samples);
        let outcome = std::panic::catch_unwind(|| target(&input));
        assert!(outcome.is_ok(), "the target fails on \"{}\"", input.escape_ascii());
    }
}

#[test]
fn request_heads() {
    run(targets::request_head, &REQUESTS);
}

#[test]
fn response_heads() {
    run(targets::response_head, &RESPONSES);
}

#[test]
fn chunks() {
    run(targets::chunks, &BODIES);
}

#[test]
fn request_targets() {
    run(targets::target, &TARGETS);
}

#[test]
fn requests_for_files() {
    run(targets::file_request, &FILE_REQUESTS);
}
