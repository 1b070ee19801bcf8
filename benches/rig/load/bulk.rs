//! As many bytes as go through, in one direction, over some connections.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};

use crate::rig::kind::Sender;
use crate::rig::load::{Gauge, Latencies, Load, Priority, accept, connect, describe};

const SEND_BYTES: usize = 256 << 10;
const RECEIVE_BYTES: usize = 1 << 20;

/// Sends through `proxy` over `connections` connections at once.
///
/// # Errors
/// When a client cannot connect.
pub fn start(
    origin: &TcpListener,
    proxy: SocketAddr,
    sender: Sender,
    connections: usize,
    priority: Priority,
) -> io::Result<Load> {
    // All are open before the first byte: the next would have to queue behind the flows of those
    // before it.
    let mut ends = Vec::new();
    for _ in 0..connections {
        let client = connect(proxy)?;
        let upstream = accept(origin)?;
        ends.push(match sender {
            Sender::Origin => (upstream, client),
            Sender::Client => (client, upstream),
        });
    }
    Ok(start_over(ends, &vec![0x5a; SEND_BYTES].into(), priority))
}

/// Sends `bytes` again and again over connections that are open already, each as its sender and its
/// receiver, and each of those a thread of its own.
pub fn start_over(
    ends: Vec<(TcpStream, TcpStream)>,
    bytes: &Arc<[u8]>,
    priority: Priority,
) -> Load {
    let mut load = Load::new();
    for (from, to) in ends {
        let bytes = Arc::clone(bytes);
        load.spawn_at(priority, move |_| send_until_closed(&from, &bytes));
        load.spawn_at(priority, move |gauge| receive(&to, gauge));
    }
    load
}

fn send_until_closed(socket: &TcpStream, bytes: &[u8]) -> io::Result<Latencies> {
    loop {
        match send(socket.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL) {
            Ok(_) | Err(Errno::EINTR) => {}
            // How every run ends: the receiver has closed.
            Err(Errno::EPIPE | Errno::ECONNRESET) => return Ok(Latencies::new()),
            Err(error) => return Err(describe("the sender", &error.into())),
        }
    }
}

/// Takes bytes off the socket without copying them: `MSG_TRUNC` on a TCP socket discards what it
/// counts (tcp(7)), so that the receiver costs its CPU as little as can be.
fn receive(socket: &TcpStream, gauge: &Gauge) -> io::Result<Latencies> {
    let mut buffer = vec![0; RECEIVE_BYTES];
    while !gauge.is_stopping() {
        match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_TRUNC) {
            Ok(0) => return Err(io::Error::other("the proxy ended the stream")),
            Ok(count) => gauge.add(count as u64),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(describe("the receiver", &error.into())),
        }
    }
    Ok(Latencies::new())
}
