//! The real kernel.

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use mio::unix::SourceFd;
use mio::{Interest, Registry};

use crate::address::Address;
use crate::config::Keepalive;
use crate::files::lookup::{self, Found, Wanted};
use crate::http::range::ByteRange;
use crate::id::Token;
use crate::io::errand::{Claim, Errand, Finished, Ticket};
use crate::io::file_threads::Errands;
use crate::io::kernel::{Connecting, Kernel, PipeState};
use crate::io::residency::Residency;
use crate::io::roots::Roots;
use crate::sys::file::{File, Waiting, resolves_cached};
use crate::sys::pipe::Pipe;
use crate::sys::tree::Beneath;
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
    roots: Roots,
    residency: Residency,
    errands: Errands,
    /// Paths can be resolved without waiting. Where they cannot, every lookup is an errand.
    resolves_cached: bool,
}

impl Linux {
    /// The kernel, reporting events to the poll that `registry` belongs to. What may wait for a
    /// disk is left to `errands`.
    pub fn new(registry: Registry, errands: Errands) -> Linux {
        let (roots, residency) = (Roots::default(), Residency::default());
        Linux { registry, roots, residency, errands, resolves_cached: resolves_cached() }
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
    type File = File;

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

    fn look_up(&mut self, wanted: &Wanted, now: Instant) -> io::Result<Found<File>> {
        if !self.resolves_cached {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let root = self.roots.directory(&wanted.files.root, now)?;
        lookup::look_up(&mut Beneath::new(root, Waiting::Never), wanted)
    }

    fn begin(&mut self, ticket: Ticket, errand: Errand<File>) -> io::Result<Claim> {
        self.errands.begin(ticket, errand)
    }

    fn finished(&mut self) -> Option<Finished<File>> {
        self.errands.finished()
    }

    fn is_unchanged(&mut self, file: &File) -> bool {
        file.is_unchanged()
    }

    fn is_cached(&mut self, file: &File, range: ByteRange, now: Instant) -> bool {
        self.residency.is_cached(file, range, now)
    }

    fn send_file(&mut self, file: &File, range: ByteRange, socket: &OwnedFd) -> io::Result<usize> {
        file.send(range, socket.as_fd())
    }

    fn send_mapped(
        &mut self,
        file: &mut File,
        range: ByteRange,
        socket: &OwnedFd,
    ) -> io::Result<usize> {
        file.send_mapped(range, socket.as_fd())
    }

    fn fill_pipe_from_file(
        &mut self,
        file: &File,
        range: ByteRange,
        pipe: &mut Pipe,
    ) -> io::Result<usize> {
        let max = usize::try_from(range.length()).unwrap_or(usize::MAX);
        pipe.fill_from_offset(file.as_fd(), range.start, max)
    }

    fn read_file(&mut self, file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        file.read(offset, buffer)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::file_threads::FileThreads;

    /// As on Linux 5.6 to 5.11: what a worker cannot find without waiting, a thread finds.
    #[test]
    fn a_kernel_that_always_waits_leaves_lookups_to_threads() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("file"), "12345").unwrap();
        let wanted = Wanted::of(directory.path(), "file");
        let poll = mio::Poll::new().unwrap();
        let errands = FileThreads::start(1, 1).unwrap().errands(|| {});
        let mut kernel = Linux::new(poll.registry().try_clone().unwrap(), errands);
        assert!(kernel.resolves_cached, "tests need Linux 5.12");
        let found = kernel.look_up(&wanted, Instant::now());
        assert!(matches!(found, Ok(Found::File { .. })), "{found:?}");
        kernel.resolves_cached = false;
        let found = kernel.look_up(&wanted, Instant::now());
        assert!(found.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock));
    }
}
