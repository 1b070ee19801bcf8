//! A seeded run of the fuzz targets for the first bytes of a connection. Real fuzzing is described
//! in `fuzz/Cargo.toml`.

use std::sync::Arc;

use rustls::ClientConnection;
use rustls::version::{TLS12, TLS13};

use crate::peek_targets::{client_hello, proxy_header};
use crate::{ECDSA, RSA, client};

const ROUNDS: usize = 20_000;

const HEADERS: [&[u8]; 5] = [
    b"PROXY TCP4 192.0.2.1 198.51.100.2 1 65535\r\nGET / HTTP/1.1",
    b"PROXY TCP6 2001:db8::1 ::ffff:192.0.2.1 56324 443\r\n",
    b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x14\xc0\0\x02\x01\xc6\x33\x64\x02\0\x01\x01\xbb\x02\0\x05a.comGET",
    b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
];

/// What rustls itself would send. Its order and its keys differ each time; a failure prints what
/// it was.
fn hellos() -> Vec<Vec<u8>> {
    let versions = [&[&TLS13][..], &[&TLS12], &[&TLS13, &TLS12]];
    let hello = |versions| {
        let mut config = client(versions, &[ECDSA, RSA]);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let name = "Www.a-1.example".try_into().unwrap();
        let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut bytes = Vec::new();
        connection.write_tls(&mut bytes).unwrap();
        bytes
    };
    versions.into_iter().map(hello).collect()
}

/// One of the samples with a few bytes changed, doubled, cut or put in.
fn mutated<S: AsRef<[u8]>>(random: &mut fastrand::Rng, samples: &[S]) -> Vec<u8> {
    let mut bytes = samples[random.usize(..samples.len())].as_ref().to_vec();
    for _ in 0..random.usize(..4) {
        let at = random.usize(..=bytes.len());
        let end = random.usize(at..=bytes.len().min(at + 8));
        match random.u8(..4) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let copied = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, copied));
            }
            _ => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = random.u8(..)),
        }
    }
    bytes
}

fn run<S: AsRef<[u8]>>(target: fn(&[u8]), samples: &[S]) {
    let mut random = fastrand::Rng::with_seed(0x5eed);
    for _ in 0..ROUNDS {
        let input = mutated(&mut random, samples);
        let outcome = std::panic::catch_unwind(|| target(&input));
        assert!(outcome.is_ok(), "the target fails on \"{}\"", input.escape_ascii());
    }
}

#[test]
fn client_hellos() {
    run(client_hello, &hellos());
}

#[test]
fn proxy_headers() {
    run(proxy_header, &HEADERS);
}
