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
/// its end at the origin.
///
/// One thread drives both ends. They share a CPU; as two threads, each would wait for the other's
/// time slice to end, and the slowest round trips would tell of that rather than of the proxy.
pub fn start_over(ends: Vec<(TcpStream, TcpStream)>, request: Vec<u8>, response: Vec<u8>) -> Load {
    let mut load = Load::new();
    load.spawn(move |gauge| drive(ends, &request, &response, gauge));
    load
}

/// One end of a connection.
struct Peer<'a> {
    socket: TcpStream,
    role: Role,
    /// What it sends again and again.
    message: &'a [u8],
    /// Bytes of it that are not sent yet.
    to_send: usize,
    /// How long the message is that it gets in return.
    awaited: usize,
    /// Bytes of that which have not come yet.
    to_receive: usize,
    sent_at: Instant,
}

fn drive(
    ends: Vec<(TcpStream, TcpStream)>,
    request: &[u8],
    response: &[u8],
    gauge: &Gauge,
) -> io::Result<Latencies> {
    let mut scratch = vec![0; request.len().max(response.len())];
    let mut latencies = Latencies::new();
    let mut events = Events::new()?;
    let mut peers = Vec::new();
    for (client, upstream) in ends {
        let origin = Peer::new(upstream, Role::Origin, response, request.len());
        for peer in [origin, Peer::new(client, Role::Client, request, response.len())] {
            peer.socket.set_nonblocking(true)?;
            events.add(&peer.socket, peers.len())?;
            peers.push(peer);
        }
    }
    while !gauge.is_stopping() {
        for index in 0..events.wait_busy()? {
            let peer = &mut peers[events.get(index).key];
            peer.advance(&mut scratch, gauge, &mut latencies)
                .map_err(|error| describe("a message", &error))?;
        }
    }
    Ok(latencies)
}

impl<'a> Peer<'a> {
    fn new(socket: TcpStream, role: Role, message: &'a [u8], awaited: usize) -> Peer<'a> {
        let to_send = if role == Role::Client { message.len() } else { 0 };
        let sent_at = Instant::now();
        Peer { socket, role, message, to_send, awaited, to_receive: awaited, sent_at }
    }

    /// Sends and receives until the socket says EAGAIN.
    fn advance(
        &mut self,
        scratch: &mut [u8],
        gauge: &Gauge,
        latencies: &mut Latencies,
    ) -> io::Result<()> {
        let socket = self.socket.as_raw_fd();
        loop {
            if self.to_send > 0 {
                let rest = &self.message[self.message.len() - self.to_send..];
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
            if self.role == Role::Client {
                gauge.add(1);
                let now = Instant::now();
                if gauge.is_window_open() {
                    latencies.push(now.duration_since(self.sent_at).as_nanos() as u64);
                }
                self.sent_at = now;
            }
            self.to_send = self.message.len();
            self.to_receive = self.awaited;
        }
    }
}
