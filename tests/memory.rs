//! What connections cost in memory: next to nothing while they are idle, and what an active hour
//! took comes back.

// A failed `unwrap` or `panic!` is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use spliceway::address::Address;
use support::proxy::{Launch, Proxy};
use support::{MODES, PATIENCE, eventually};

/// As many as this, where the limit on open files allows it.
const CONNECTIONS_WANTED: u64 = 10_000;
/// Descriptors of this process that no connection may take.
const DESCRIPTORS_RESERVED: u64 = 256;
/// Open and used before anything is counted: what the first connections bring to life (pools,
/// the allocator's arenas) is not the price of one more.
const WARM_UP: usize = 64;
/// What a connection at rest may take, in KiB.
const IDLE_KIB_MAX: f64 = 1.0;
/// What a burst over all connections may leave behind, in KiB for the whole process: far less
/// than one buffer or pipe for each.
const LEFT_BEHIND_KIB_MAX: u64 = 2048;
/// What each end of each connection sends in the burst, and how much of it before anybody reads.
const BURST_BYTES: usize = 64 << 10;
const UNREAD_BYTES: usize = 16 << 10;
/// Connections that are stuck after it, for want of a reader. Not more: with receive buffers of
/// 32 MiB, as `net.ipv4.tcp_rmem` allows them on some machines, a hundred spend `tcp_mem`, and the
/// kernel then drops segments for minutes, with or without a proxy.
const STUCK: usize = 32;

/// Both ends of a connection through the proxy.
struct Connection {
    client: TcpStream,
    server: TcpStream,
}

/// One end of a connection.
type End = fn(&Connection) -> &TcpStream;

/// Through how many connections the limits let both ends and the proxy go.
fn connections_possible(proxy: &Proxy) -> usize {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let here = hard.saturating_sub(DESCRIPTORS_RESERVED) / 2;
    let there = status(proxy, "/connections/max");
    CONNECTIONS_WANTED.min(here).min(there) as usize - WARM_UP
}

/// A number of `/status`.
fn status(proxy: &Proxy, pointer: &str) -> u64 {
    let response = proxy.get("/status").expect("/status answers");
    let document: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    let number = document.pointer(pointer).and_then(serde_json::Value::as_u64);
    number.unwrap_or_else(|| panic!("{pointer} is no number in {document:#}"))
}

fn open(proxy: SocketAddr, origin: &TcpListener, count: usize) -> Vec<Connection> {
    let prepared = |stream: TcpStream| {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let connect = |_| {
        let mut client = prepared(TcpStream::connect(proxy).unwrap());
        let mut server = prepared(origin.accept().unwrap().0);
        // It has lived: each direction has moved something.
        let mut message = *b"ping";
        client.write_all(&message).unwrap();
        server.read_exact(&mut message).unwrap();
        server.write_all(&message).unwrap();
        client.read_exact(&mut message).unwrap();
        Connection { client, server }
    };
    (0..count).map(connect).collect()
}

/// Every end of every connection sends [`BURST_BYTES`] and receives as much. The first part is
/// under way on all of them before anybody reads.
fn burst(connections: &[Connection]) {
    let part = |bytes: usize| vec![0x5a; bytes];
    let write = |bytes: usize, end: End| {
        let message = part(bytes);
        connections.iter().for_each(|it| end(it).write_all(&message).unwrap());
    };
    let read = |end: End| {
        let mut message = part(BURST_BYTES);
        connections.iter().for_each(|it| end(it).read_exact(&mut message).unwrap());
    };
    let (client, server): (End, End) = (|it| &it.client, |it| &it.server);
    write(UNREAD_BYTES, client);
    write(UNREAD_BYTES, server);
    std::thread::scope(|scope| {
        scope.spawn(|| write(BURST_BYTES - UNREAD_BYTES, client));
        scope.spawn(|| write(BURST_BYTES - UNREAD_BYTES, server));
        scope.spawn(|| read(client));
        scope.spawn(|| read(server));
    });
}

/// The servers send to the first connections until nothing moves any more: nobody reads, and the
/// proxy is left with bytes in its hands. How many bytes each has sent.
fn jam(connections: &[Connection]) -> Vec<usize> {
    const PASSES_IN_VAIN: u32 = 20;
    let message = vec![0x5a; 64 << 10];
    let mut sent = vec![0; connections.len()];
    let mut in_vain = 0;
    eventually("all senders are stuck", || {
        let before: usize = sent.iter().sum();
        for (connection, sent) in connections.iter().zip(&mut sent) {
            let mut server = &connection.server;
            server.set_nonblocking(true).unwrap();
            while let Ok(count) = server.write(&message) {
                *sent += count;
            }
            server.set_nonblocking(false).unwrap();
        }
        in_vain = if sent.iter().sum::<usize>() == before { in_vain + 1 } else { 0 };
        (in_vain >= PASSES_IN_VAIN).then_some(())
    });
    sent
}

/// The clients take what [`jam`] has sent.
fn unjam(connections: &[Connection], sent: &[usize]) {
    for (connection, sent) in connections.iter().zip(sent) {
        let taken =
            std::io::copy(&mut (&connection.client).take(*sent as u64), &mut std::io::sink());
        assert_eq!(taken.unwrap(), *sent as u64);
    }
}

/// Waits until no connection holds a pipe or a byte.
fn await_rest(proxy: &Proxy, mode: &str) {
    for held in ["/pipes/busy", "/pipes/held_bytes", "/buffers/held_bytes"] {
        eventually(&format!("{mode}: {held} is 0"), || (status(proxy, held) == 0).then_some(()));
    }
}

fn resident_kib_of_idle_connections(mode: &str) -> Vec<String> {
    let origin = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = Address::Ip(origin.local_addr().unwrap());
    let proxy = Launch::tcp(mode, &[&to]).start();
    let Address::Ip(address) = proxy.address() else { panic!("not an IP address") };
    let warm_up = open(address, &origin, WARM_UP);
    burst(&warm_up);
    await_rest(&proxy, mode);

    let count = connections_possible(&proxy);
    let before = proxy.resident_kib();
    let connections = open(address, &origin, count);
    await_rest(&proxy, mode);
    let idle = proxy.resident_kib();
    burst(&connections);
    let stuck = &connections[..STUCK];
    let sent = jam(stuck);
    let held = status(&proxy, "/pipes/held_bytes") + status(&proxy, "/buffers/held_bytes");
    assert!(held > 0, "{mode}: the proxy holds nothing, so nothing could come back");
    let jammed = proxy.resident_kib();
    unjam(stuck, &sent);
    await_rest(&proxy, mode);
    eventually(&format!("{mode}: pipes that nobody needs are closed"), || {
        (status(&proxy, "/pipes/idle") == 0).then_some(())
    });
    assert_eq!(status(&proxy, "/connections/open"), (WARM_UP + count) as u64, "{mode}");
    let again = proxy.resident_kib();

    let each = |now: u64| now.saturating_sub(before) as f64 / count as f64;
    // Printed also by a test that passes, with `--nocapture`.
    println!(
        "{mode}: {count} connections; resident KiB: {before} before, {idle} idle ({:.2} for each), \
         {jammed} with {} KiB held by {STUCK} that are stuck, {again} after all of that ({:.2} for \
         each)",
        each(idle),
        held >> 10,
        each(again)
    );
    let mut missed = Vec::new();
    if each(idle) > IDLE_KIB_MAX {
        missed.push(format!("{mode}: {:.2} KiB for each of {count} idle ones", each(idle)));
    }
    if again > idle + LEFT_BEHIND_KIB_MAX {
        missed.push(format!("{mode}: the burst left {} KiB behind", again - idle));
    }
    missed
}

/// One test for all modes: two at once would share the descriptors of this process.
#[test]
fn idle_connections_cost_next_to_nothing_and_a_burst_leaves_nothing_behind() {
    let missed: Vec<String> =
        MODES.into_iter().flat_map(resident_kib_of_idle_connections).collect();
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}
