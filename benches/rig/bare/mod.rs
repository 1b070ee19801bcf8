//! The least that a relay can be: one thread, one edge-triggered epoll, pairs of sockets.
//!
//! No timers, no limits, no metrics, no fairness. What a real proxy costs beyond this is the
//! price of those; how the bytes move is the [`Mover`]'s part.

// `accept4` returns a number; only unsafe code can make an owned descriptor of it. No crate here
// knows SO_RCVLOWAT.
#![allow(unsafe_code)]

pub mod copy;
pub mod splice;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, accept4, connect, setsockopt, socket,
    sockopt,
};
use slab::Slab;

use super::arguments::Mode;

/// One way to move bytes from a socket to a socket.
pub trait Mover {
    /// What one direction of a connection keeps between two wakes.
    type Lane: Default;

    /// Moves what can be moved now, until the source is empty or the sink full. `ending` says
    /// that the source has announced its end, which only a read to the end will meet.
    ///
    /// # Errors
    /// Whatever the sockets report but EAGAIN.
    fn pump(
        &mut self,
        lane: &mut Self::Lane,
        from: &OwnedFd,
        to: &OwnedFd,
        ending: bool,
    ) -> nix::Result<Flow>;

    /// Whether the lane waits for its sink.
    fn is_stuck(lane: &Self::Lane) -> bool;

    /// Takes back what the lane of a connection that is gone has held.
    fn retire(&mut self, lane: Self::Lane);
}

/// What a pump left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// More may come.
    Open,
    /// The source has ended, and all that it sent was written.
    Ended,
}

struct Pair<L> {
    /// Client, upstream.
    sockets: [OwnedFd; 2],
    /// From the client, from the upstream.
    lanes: [L; 2],
    /// The source of the lane has announced its end.
    ending: [bool; 2],
    /// The sink of the lane was told.
    ended: [bool; 2],
}

const LISTENER: u64 = u64::MAX;
const EVENTS_PER_WAIT: usize = 256;

/// What a process does that was started as a bare loop.
///
/// # Errors
/// When it cannot listen, or epoll fails.
pub fn relay(mode: &Mode) -> io::Result<()> {
    match mode {
        Mode::BareSplice { listen, to, pipe_size, low_water } => {
            let low_water = Some(*low_water).filter(|bytes| *bytes > 0);
            run(*listen, *to, low_water, &mut splice::Splice::new(*pipe_size))
        }
        Mode::BareCopy { listen, to } => run(*listen, *to, None, &mut copy::Copy::new()),
    }
}

/// Relays between `listen` and `to` until it is killed. `low_water` is `SO_RCVLOWAT` for every
/// socket, in bytes: with it, less than so much is never relayed before the stream ends.
fn run<M: Mover>(
    listen: SocketAddr,
    to: SocketAddr,
    low_water: Option<i32>,
    mover: &mut M,
) -> io::Result<()> {
    let listener = TcpListener::bind(listen)?;
    listener.set_nonblocking(true)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
    let mut pairs: Slab<Pair<M::Lane>> = Slab::new();
    let mut events = [EpollEvent::empty(); EVENTS_PER_WAIT];
    let mut gone = Vec::new();
    loop {
        let count = match epoll.wait(&mut events, EpollTimeout::NONE) {
            Ok(count) => count,
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
        };
        for event in &events[..count] {
            if event.data() == LISTENER {
                accept_all(&listener, to, low_water, &epoll, &mut pairs)?;
            } else if let Some(key) = serve(*event, &mut pairs, mover) {
                gone.push(key);
            }
        }
        // Only now: an event later in the same batch may still name the pair.
        for key in gone.drain(..) {
            if let Some(pair) = pairs.try_remove(key) {
                pair.lanes.into_iter().for_each(|lane| mover.retire(lane));
            }
        }
    }
}

fn accept_all<L: Default>(
    listener: &TcpListener,
    to: SocketAddr,
    low_water: Option<i32>,
    epoll: &Epoll,
    pairs: &mut Slab<Pair<L>>,
) -> io::Result<()> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    loop {
        let client = match accept4(listener.as_raw_fd(), flags) {
            // SAFETY: the descriptor is new, open, and known to nobody else.
            Ok(descriptor) => unsafe { OwnedFd::from_raw_fd(descriptor) },
            Err(Errno::EAGAIN) => return Ok(()),
            Err(Errno::ECONNABORTED | Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
        };
        let upstream = socket(AddressFamily::Inet, SockType::Stream, flags, None)?;
        match connect(upstream.as_raw_fd(), &SockaddrStorage::from(to)) {
            Ok(()) | Err(Errno::EINPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let entry = pairs.vacant_entry();
        let interest = EpollFlags::EPOLLIN
            | EpollFlags::EPOLLOUT
            | EpollFlags::EPOLLRDHUP
            | EpollFlags::EPOLLET;
        for (side, socket) in [&client, &upstream].into_iter().enumerate() {
            setsockopt(socket, sockopt::TcpNoDelay, &true)?;
            if let Some(bytes) = low_water {
                set_low_water(socket, bytes)?;
            }
            epoll.add(socket, EpollEvent::new(interest, (entry.key() * 2 + side) as u64))?;
        }
        entry.insert(Pair {
            sockets: [client, upstream],
            lanes: [L::default(), L::default()],
            ending: [false, false],
            ended: [false, false],
        });
    }
}

fn set_low_water(socket: &OwnedFd, bytes: libc::c_int) -> io::Result<()> {
    let length = size_of_val(&bytes) as libc::socklen_t;
    let value = (&raw const bytes).cast();
    // SAFETY: the descriptor is open, and the kernel reads one int from the pointer.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVLOWAT, value, length)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Moves what the event allows; the key of the pair when it has come to its end.
fn serve<M: Mover>(
    event: EpollEvent,
    pairs: &mut Slab<Pair<M::Lane>>,
    mover: &mut M,
) -> Option<usize> {
    let (key, side) = (event.data() as usize / 2, event.data() as usize % 2);
    let pair = pairs.get_mut(key)?;
    let ending = EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR;
    pair.ending[side] |= event.events().intersects(ending);
    if event.events().intersects(ending | EpollFlags::EPOLLIN) && pair.pump(side, mover).is_err() {
        return Some(key);
    }
    let other = 1 - side;
    let may_write = event.events().contains(EpollFlags::EPOLLOUT);
    if may_write && M::is_stuck(&pair.lanes[other]) && pair.pump(other, mover).is_err() {
        return Some(key);
    }
    (pair.ended == [true, true]).then_some(key)
}

impl<L> Pair<L> {
    fn pump<M: Mover<Lane = L>>(&mut self, source: usize, mover: &mut M) -> nix::Result<()> {
        if self.ended[source] {
            return Ok(());
        }
        let (from, to) = (&self.sockets[source], &self.sockets[1 - source]);
        let lane = &mut self.lanes[source];
        if mover.pump(lane, from, to, self.ending[source])? == Flow::Ended {
            self.ended[source] = true;
            nix::sys::socket::shutdown(to.as_raw_fd(), nix::sys::socket::Shutdown::Write)?;
        }
        Ok(())
    }
}
