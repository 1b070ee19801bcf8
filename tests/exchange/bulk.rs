//! A gibibyte each way: through the pipe but for the heads, with flat memory.

use std::io::Read;

use crate::logged;
use crate::support::http::{Connection, HttpOrigin, get, ok};
use crate::support::pattern::{Digested, digest, read_digest_by, write_pattern};
use crate::support::proxy::{Launch, Proxy};

const GIBIBYTE: u64 = 1 << 30;
/// What may be copied of that: heads, and what comes with them.
const COPIED_MAX: f64 = 1048576.0;
/// How much the process may grow meanwhile; pipes are the kernel's memory.
const GROWTH_MAX_KIB: u64 = 8192;
const SEED: u64 = 4711;
const READ_BYTES: usize = 1 << 20;

/// Reads a body of so many bytes; `between` is called after each read.
fn read_body(connection: &Connection, bytes: u64, between: impl FnMut()) -> Digested {
    let begun = std::io::Cursor::new(connection.unused().to_vec());
    let stream = connection.stream().try_clone().unwrap();
    let mut body = begun.chain(stream).take(bytes);
    let (received, ending) = read_digest_by(&mut body, READ_BYTES, between);
    ending.unwrap();
    received
}

/// Looks at the proxy's memory now and then.
struct Memory<'a> {
    proxy: &'a Proxy,
    before: u64,
    largest: u64,
    looks: u32,
}

impl Memory<'_> {
    fn new(proxy: &Proxy) -> Memory<'_> {
        let before = proxy.resident_kib();
        Memory { proxy, before, largest: before, looks: 0 }
    }

    fn look(&mut self) {
        self.looks += 1;
        if self.looks.is_multiple_of(64) {
            self.largest = self.largest.max(self.proxy.resident_kib());
        }
    }
}

fn check_books(proxy: &Proxy, memory: &Memory<'_>, path: &str, direction: &str) {
    let grown = memory.largest - memory.before;
    assert!(grown < GROWTH_MAX_KIB, "{grown} KiB more");
    let line = logged(proxy, "path", path);
    let spliced = line[format!("{direction}_bytes_spliced")].as_u64().unwrap();
    assert!(spliced > GIBIBYTE - (1 << 20), "{line}");
    let name = "spliceway_relay_bytes_total";
    proxy.await_metric(name, &[("direction", direction)], |bytes| bytes > GIBIBYTE as f64);
    let copied = proxy.metrics().sum(name, &[("path", "copy")]);
    assert!(copied < COPIED_MAX, "{copied} bytes were copied");
}

#[test]
fn a_gibibyte_comes_down() {
    let origin = HttpOrigin::start(|_, connection| {
        connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {GIBIBYTE}\r\n\r\n"));
        let mut stream = connection.stream().try_clone().unwrap();
        write_pattern(&mut stream, SEED, GIBIBYTE).is_ok()
    });
    let proxy = Launch::http("splice", &[origin.address()]).start();
    let mut client = Connection::open(&proxy.address());
    client.send(get("/bulk"));
    assert_eq!(client.read_head().unwrap().unwrap().status(), 200);
    let mut memory = Memory::new(&proxy);
    let received = read_body(&client, GIBIBYTE, || memory.look());
    assert_eq!(received, digest(SEED, GIBIBYTE));
    check_books(&proxy, &memory, "/bulk", "downstream");
}

#[test]
fn a_gibibyte_goes_up() {
    let origin = HttpOrigin::by_connection(|connection| {
        let Ok(Some(_)) = connection.read_head() else { return };
        let received = read_body(connection, GIBIBYTE, || {});
        connection.send(ok(&received.sha256));
    });
    let proxy = Launch::http("splice", &[origin.address()]).start();
    let mut client = Connection::open(&proxy.address());
    client.send(format!("PUT /bulk HTTP/1.1\r\nHost: a\r\nContent-Length: {GIBIBYTE}\r\n\r\n"));
    let mut memory = Memory::new(&proxy);
    let mut stream = client.stream().try_clone().unwrap();
    std::thread::scope(|scope| {
        let sending = scope.spawn(move || write_pattern(&mut stream, SEED, GIBIBYTE));
        while !sending.is_finished() {
            memory.look();
            // Looking without a pause would take the CPU from what is looked at.
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        sending.join().unwrap().unwrap();
    });
    assert_eq!(client.read_response("PUT").text(), digest(SEED, GIBIBYTE).sha256);
    check_books(&proxy, &memory, "/bulk", "upstream");
}

/// The data of large chunks is spliced as well.
#[test]
fn large_chunks_are_spliced() {
    const CHUNK: u64 = 8 << 20;
    const CHUNKS: u64 = 16;
    let origin = HttpOrigin::start(|_, connection| {
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let mut stream = connection.stream().try_clone().unwrap();
        for seed in 0..CHUNKS {
            connection.send(format!("{CHUNK:x}\r\n"));
            write_pattern(&mut stream, seed, CHUNK).unwrap();
            connection.send("\r\n");
        }
        connection.try_send("0\r\n\r\n").is_ok()
    });
    let proxy = Launch::http("splice", &[origin.address()]).start();
    let mut client = Connection::open(&proxy.address());
    let response = client.exchange(get("/chunks"));
    assert_eq!(response.body.len() as u64, CHUNK * CHUNKS);
    for (seed, chunk) in response.body.chunks(CHUNK as usize).enumerate() {
        let mut sent = Vec::new();
        write_pattern(&mut sent, seed as u64, CHUNK).unwrap();
        assert!(chunk == sent, "chunk {seed}");
    }
    let line = logged(&proxy, "path", "/chunks");
    let spliced = line["downstream_bytes_spliced"].as_u64().unwrap();
    assert!(spliced > CHUNK * CHUNKS * 9 / 10, "{line}");
}
