//! The real kernel.

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;

use mio::unix::SourceFd;
use mio::{Interest, Registry};

use crate::address::Address;
use crate::config::Keepalive;
use crate::id::Token;
use crate::io::kernel::{Connecting, Kernel, PipeState};
use crate::sys::pipe::Pipe;
use crate::sys::{socket, transfer};

// A token takes 64 bits, and mio carries it in a `usize`.
const _: () = assert!(usize::BITS >= 64, "a 64-bit machine is needed");

/// What a socket is watched for. `READABLE` includes the end of the stream (`EPOLLRDHUP`);
/// `PRIORITY` (`EPOLLPRI`) tells of urgent data, at which reads stop short.
const EVERYTHING: Interest = Interest::READABLE.add(Interest::PRIORITY).add(Interest::WRITABLE);

/// What is left of it while nobody wants to read. The kernel wakes whoever waits for `EPOLLPRI`
/// with every segment (`sock_def_readable`), so that goes as well.
const ALL_BUT_READS: Interest = Interest::WRITABLE;

/// Linux, with the registry of the worker's poll.
#[derive(Debug)]
pub struct Linux {
    registry: Registry,
}

impl Linux {
    /// The kernel, reporting events to the poll that `registry` belongs to.
    pub fn new(registry: Registry) -> Linux {
        Linux { registry }
    }

    /// Registered once, for everything: edge-triggered events cost nothing while they do not
    /// happen, and changing interests costs a system call each time. Where that pays all the same
    /// the lane says so ([`crate::relay::lane::Lane::take_hearing_change`]).
    fn register(&self, descriptor: &OwnedFd, token: Token, interest: Interest) -> io::Result<()> {
        let token = mio::Token(token.pack() as usize);
        self.registry.register(&mut SourceFd(&descriptor.as_raw_fd()), token, interest)
    }
}

impl PipeState for Pipe {
    fn held(&self) -> usize {
        Pipe::held(self)
    }

    fn capacity(&self) -> u32 {
        Pipe::capacity(self)
    }
}

impl Kernel for Linux {
    type Socket = OwnedFd;
    type Listener = Arc<OwnedFd>;
    type Pipe = Pipe;

    fn watch_listener(&mut self, listener: &Arc<OwnedFd>, token: Token) -> io::Result<()> {
        self.register(listener, token, Interest::READABLE)
    }

    fn unwatch_listener(&mut self, listener: &Arc<OwnedFd>) -> io::Result<()> {
        self.registry.deregister(&mut SourceFd(&listener.as_raw_fd()))
    }

    fn watch(&mut self, socket: &OwnedFd, token: Token) -> io::Result<()> {
        self.register(socket, token, EVERYTHING)
    }

    fn rewatch(&mut self, socket: &OwnedFd, token: Token, hears_reads: bool) -> io::Result<()> {
        let interest = if hears_reads { EVERYTHING } else { ALL_BUT_READS };
        let token = mio::Token(token.pack() as usize);
        self.registry.reregister(&mut SourceFd(&socket.as_raw_fd()), token, interest)
    }

    fn accept(&mut self, listener: &Arc<OwnedFd>) -> io::Result<(OwnedFd, Option<SocketAddr>)> {
        socket::accept(listener.as_fd())
    }

    fn connect(
        &mut self,
        address: &Address,
        source: Option<IpAddr>,
    ) -> io::Result<Connecting<OwnedFd>> {
        let (socket, established) = socket::connect(address, source)?;
        Ok(Connecting { socket, established })
    }

    fn local_address(&mut self, socket: &OwnedFd) -> Option<SocketAddr> {
        match socket::local_address(socket.as_fd()) {
            Ok(Some(Address::Ip(address))) => Some(address),
            _ => None,
        }
    }

    fn keep_alive(&mut self, socket: &OwnedFd, keepalive: Keepalive) -> io::Result<()> {
        socket::keep_alive(socket.as_fd(), keepalive)
    }

    fn set_low_water(&mut self, socket: &OwnedFd, bytes: u32) -> io::Result<()> {
        socket::set_low_water(socket.as_fd(), bytes)
    }

    fn take_error(&mut self, socket: &OwnedFd) -> Option<io::Error> {
        socket::take_error(socket.as_fd()).unwrap_or_else(Some)
    }

    fn recv(&mut self, socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
        transfer::recv(socket.as_fd(), buffer)
    }

    fn peek(&mut self, socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
        transfer::peek(socket.as_fd(), buffer)
    }

    fn send(&mut self, socket: &OwnedFd, bytes: &[u8]) -> io::Result<usize> {
        transfer::send(socket.as_fd(), bytes)
    }

    fn send_vectored(
        &mut self,
        socket: &OwnedFd,
        parts: &[IoSlice<'_>],
        more: bool,
    ) -> io::Result<usize> {
        transfer::send_vectored(socket.as_fd(), parts, more)
    }

    fn push(&mut self, socket: &OwnedFd) -> io::Result<()> {
        socket::push(socket.as_fd())
    }

    fn open_pipe(&mut self, capacity: u32) -> io::Result<Pipe> {
        Pipe::open(capacity)
    }

    fn fill_pipe(&mut self, socket: &OwnedFd, pipe: &mut Pipe, max: usize) -> io::Result<usize> {
        // A slot takes a fragment of the network stack, which may be eight pages and more. Without
        // this bound a slow reader would pin several times the pipe's capacity.
        pipe.fill_from(socket.as_fd(), max.min(pipe.capacity() as usize))
    }

    fn drain_pipe(&mut self, pipe: &mut Pipe, socket: &OwnedFd) -> io::Result<usize> {
        pipe.drain_to(socket.as_fd())
    }

    fn read_pipe(&mut self, pipe: &mut Pipe, buffer: &mut [u8]) -> io::Result<usize> {
        pipe.read(buffer)
    }

    fn shutdown_write(&mut self, socket: &OwnedFd) -> io::Result<()> {
        socket::shutdown_write(socket.as_fd())
    }

    fn unsent(&mut self, socket: &OwnedFd) -> io::Result<usize> {
        socket::unsent(socket.as_fd())
    }

    fn reset(&mut self, socket: OwnedFd) {
        socket::reset(socket);
    }
}
