//! Messages there and back over open connections: the next is sent when the last has returned.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::socket::{MsgFlags, recv, send};

use super::{Gauge, Latencies, Load, PATIENCE, accept, connect, describe};

const EVENTS_PER_WAIT: usize = 256;
const WAIT_MILLISECONDS: u16 = 50;

/// Who speaks first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Client,
    Origin,
}

/// Messages of `bytes` bytes over `connections` connections at once: one thread drives all
/// clients, another is the origin.
///
/// # Errors
/// When a client cannot connect.
pub fn start(
    origin: &TcpListener,
    proxy: SocketAddr,
    bytes: usize,
    connections: usize,
) -> io::Result<Load> {
    let mut clients = Vec::new();
    let mut upstreams = Vec::new();
    for _ in 0..connections {
        clients.push(connect(proxy)?);
        upstreams.push(accept(origin)?);
    }
    let mut load = Load::new();
    load.spawn(move |gauge| drive(upstreams, bytes, Role::Origin, gauge));
    load.spawn(move |gauge| drive(clients, bytes, Role::Client, gauge));
    Ok(load)
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

fn drive(
    sockets: Vec<TcpStream>,
    bytes: usize,
    role: Role,
    gauge: &Gauge,
) -> io::Result<Latencies> {
    let message = vec![0x5a; bytes];
    let mut scratch = vec![0; bytes];
    let mut latencies = Latencies::new();
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let mut peers = Vec::new();
    for (key, socket) in sockets.into_iter().enumerate() {
        socket.set_nonblocking(true)?;
        let interest = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
        epoll.add(&socket, EpollEvent::new(interest, key as u64))?;
        let to_send = if role == Role::Client { bytes } else { 0 };
        peers.push(Peer { socket, to_send, to_receive: bytes, sent_at: Instant::now() });
    }
    let mut events = [EpollEvent::empty(); EVENTS_PER_WAIT];
    let mut last_event = Instant::now();
    while !gauge.is_stopping() {
        let count = match epoll.wait(&mut events, WAIT_MILLISECONDS) {
            Ok(count) => count,
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
        };
        if count > 0 {
            last_event = Instant::now();
        } else if last_event.elapsed() > PATIENCE {
            return Err(io::Error::other("no message moved for five seconds: a stall"));
        }
        for event in &events[..count] {
            let peer = &mut peers[event.data() as usize];
            match peer.advance(&message, &mut scratch, role, gauge, &mut latencies) {
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
            self.to_receive = message.len();
        }
    }
}
