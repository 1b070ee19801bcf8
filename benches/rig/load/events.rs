//! What one thread of a load waits for.

use std::io;
use std::os::fd::AsFd;
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

use super::PATIENCE;

const EVENTS_PER_WAIT: usize = 256;
const WAIT_MILLISECONDS: u16 = 50;

/// An edge-triggered epoll, and what it said last.
pub struct Events {
    epoll: Epoll,
    events: [EpollEvent; EVENTS_PER_WAIT],
    last_event: Instant,
}

/// What has happened to a socket.
#[derive(Debug, Clone, Copy)]
pub struct Event {
    /// The number that the socket was added with.
    pub key: usize,
    pub readable: bool,
    pub writable: bool,
    /// The other side sends no more, or the connection has broken.
    pub ending: bool,
}

impl Events {
    /// # Errors
    /// As epoll_create1(2).
    pub fn new() -> io::Result<Events> {
        Ok(Events {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            events: [EpollEvent::empty(); EVENTS_PER_WAIT],
            last_event: Instant::now(),
        })
    }

    /// Everything that happens to `socket` will be told, until it is closed.
    ///
    /// # Errors
    /// As epoll_ctl(2).
    pub fn add(&self, socket: impl AsFd, key: usize) -> io::Result<()> {
        let interest = EpollFlags::EPOLLIN
            | EpollFlags::EPOLLOUT
            | EpollFlags::EPOLLRDHUP
            | EpollFlags::EPOLLET;
        Ok(self.epoll.add(socket, EpollEvent::new(interest, key as u64))?)
    }

    /// How many events there are, after a wait of so many milliseconds at most.
    ///
    /// # Errors
    /// As epoll_wait(2).
    pub fn wait(&mut self, milliseconds: u16) -> io::Result<usize> {
        match self.epoll.wait(&mut self.events, milliseconds) {
            Ok(count) => Ok(count),
            Err(Errno::EINTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// The same for a load that never rests.
    ///
    /// # Errors
    /// As epoll_wait(2), and when nothing has happened for [`PATIENCE`].
    pub fn wait_busy(&mut self) -> io::Result<usize> {
        let count = self.wait(WAIT_MILLISECONDS)?;
        if count > 0 {
            self.last_event = Instant::now();
        } else if self.last_event.elapsed() > PATIENCE {
            return Err(io::Error::other("nothing moved for five seconds: a stall"));
        }
        Ok(count)
    }

    /// One of those that the last wait has counted.
    pub fn get(&self, index: usize) -> Event {
        let (flags, key) = (self.events[index].events(), self.events[index].data() as usize);
        let ending = EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR;
        Event {
            key,
            readable: flags.intersects(ending | EpollFlags::EPOLLIN),
            writable: flags.contains(EpollFlags::EPOLLOUT),
            ending: flags.intersects(ending),
        }
    }
}
