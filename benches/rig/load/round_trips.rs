//! Messages there and back over open connections: the next is sent when the last has returned.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};

use super::events::Events;
use super::{Gauge, Latencies, Load, accept, connect, describe};

/// Who speaks first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Client,
    Origin,
}

/// Messages of `bytes` bytes over `connections` connections at once.
///
/// # Errors
/// When a client cannot connect.
pub fn start(
    origin: &TcpListener,
    proxy: SocketAddr,
    bytes: usize,
    connections: usize,
) -> io::Result<Load> {
    let pair = |_| Ok((connect(proxy)?, accept(origin)?));
    let ends: io::Result<_> = (0..connections).map(pair).collect();
    Ok(start_over(ends?, vec![0x5a; bytes], vec![0x5a; bytes]))
}

/// Sends `request` and `response` over connections that are open already, each as its client and
/// its end at the origin: one thread drives all clients, another is the origin.
pub fn start_over(ends: Vec<(TcpStream, TcpStream)>, request: Vec<u8>, response: Vec<u8>) -> Load {
    let (clients, upstreams) = ends.into_iter().unzip();
    let (request_bytes, response_bytes) = (request.len(), response.len());
    let mut load = Load::new();
    load.spawn(move |gauge| drive(upstreams, &response, request_bytes, Role::Origin, gauge));
    load.spawn(move |gauge| drive(clients, &request, response_bytes, Role::Client, gauge));
    load
}

/// One connection, seen from one end.
struct Peer {
    socket: TcpStream,
    /// Bytes of the message on its way out that are not sent yet.
    to_send: usize,
    /// Bytes of the message on its way in that have not come yet.
    to_receive: usize,
    sent_at: Instant,
}

/// Sends `message` again and again, and each time takes `awaited` bytes in return.
fn drive(
    sockets: Vec<TcpStream>,
    message: &[u8],
    awaited: usize,
    role: Role,
    gauge: &Gauge,
) -> io::Result<Latencies> {
    let mut scratch = vec![0; awaited];
    let mut latencies = Latencies::new();
    let mut events = Events::new()?;
    let mut peers = Vec::new();
    for (key, socket) in sockets.into_iter().enumerate() {
        socket.set_nonblocking(true)?;
        events.add(&socket, key)?;
        let to_send = if role == Role::Client { message.len() } else { 0 };
        peers.push(Peer { socket, to_send, to_receive: awaited, sent_at: Instant::now() });
    }
    while !gauge.is_stopping() {
        for index in 0..events.wait_busy()? {
            let peer = &mut peers[events.get(index).key];
            match peer.advance(message, &mut scratch, role, gauge, &mut latencies) {
                Ok(()) => {}
                // The other end stops first and closes; this one has not looked yet.
                Err(_) if gauge.is_stopping() => return Ok(latencies),
                Err(error) => return Err(describe("a message", &error)),
            }
        }
    }
    Ok(latencies)
}

impl Peer {
    /// Sends and receives until the socket says EAGAIN.
    fn advance(
        &mut self,
        message: &[u8],
        scratch: &mut [u8],
        role: Role,
        gauge: &Gauge,
        latencies: &mut Latencies,
    ) -> io::Result<()> {
        let socket = self.socket.as_raw_fd();
        loop {
            if self.to_send > 0 {
                let rest = &message[message.len() - self.to_send..];
                match send(socket, rest, MsgFlags::MSG_NOSIGNAL) {
                    Ok(count) => self.to_send -= count,
                    Err(Errno::EAGAIN) => return Ok(()),
                    Err(error) => return Err(error.into()),
                }
                continue;
            }
            match recv(socket, &mut scratch[..self.to_receive], MsgFlags::MSG_TRUNC) {
                Ok(0) => return Err(io::Error::other("the proxy ended the stream")),
                Ok(count) => self.to_receive -= count,
                Err(Errno::EAGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            if self.to_receive > 0 {
                continue;
            }
            if role == Role::Client {
                gauge.add(1);
                let now = Instant::now();
                if gauge.is_window_open() {
                    latencies.push(now.duration_since(self.sent_at).as_nanos() as u64);
                }
                self.sent_at = now;
            }
            self.to_send = message.len();
            self.to_receive = scratch.len();
        }
    }
}
