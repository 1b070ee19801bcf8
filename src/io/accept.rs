//! Listening sockets of one worker, and when accepting pauses.
//!
//! Accepting pauses at the connection limit and when descriptors have run out. It resumes when a
//! connection of this worker ends, and in any case after [`ACCEPT_RETRY_INTERVAL`], since the
//! connection that ends may be another worker's. Clients wait in the kernel's backlog meanwhile.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::error::is_exhaustion;
use crate::id::ListenerId;
use crate::metrics::AcceptPause;

/// Connections that one listener may bring in one turn, so that a flood of new ones does not
/// starve those that exist.
pub const ACCEPTS_PER_TURN_MAX: usize = 64;

/// How long accepting stays paused when no connection of this worker ends.
pub const ACCEPT_RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// A listening socket of a worker.
#[derive(Debug)]
pub struct Acceptor<L> {
    /// The socket.
    pub socket: L,
    /// The listener of the config that it belongs to.
    pub listener: ListenerId,
    /// Clients come over a unix socket, where a short read proves nothing.
    pub is_unix: bool,
    /// The backlog may hold a connection.
    pub ready: bool,
}

/// A pause of accepting. It lasts until an accept succeeds or finds the backlog empty, and is
/// counted once however often that was tried in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// Why.
    pub reason: AcceptPause,
    /// When to try again.
    pub until: Instant,
}

/// What an error of accept asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterError {
    /// The backlog is empty: wait for an event.
    Wait,
    /// Pause: the machine has run out of something.
    Pause,
    /// That connection was lost before it was accepted; the next may be fine (accept(2)).
    Next,
}

/// Sorts an error of accept.
pub fn after_error(error: &io::Error) -> AfterError {
    match error.raw_os_error() {
        _ if error.kind() == io::ErrorKind::WouldBlock => AfterError::Wait,
        Some(errno) if is_exhaustion(errno) => AfterError::Pause,
        _ => AfterError::Next,
    }
}

/// The bound on client connections of all workers together. Touched once for each connection,
/// never for bytes.
#[derive(Debug)]
pub struct ConnectionLimit {
    open: AtomicUsize,
    max: usize,
}

impl ConnectionLimit {
    /// None open yet, `max` allowed.
    pub fn new(max: usize) -> ConnectionLimit {
        ConnectionLimit { open: AtomicUsize::new(0), max }
    }

    /// Takes a place for one connection, if there is one.
    #[must_use]
    pub fn take(&self) -> bool {
        // A count and nothing else: no other memory is published with it.
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        if before >= self.max {
            self.give_back();
            return false;
        }
        true
    }

    /// Gives a place back.
    pub fn give_back(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Connections open now.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds() {
        let limit = ConnectionLimit::new(2);
        assert!(limit.take() && limit.take());
        assert!(!limit.take());
        assert_eq!(limit.open(), 2);
        limit.give_back();
        assert!(limit.take());
    }

    #[test]
    fn errors_are_sorted() {
        let check = |errno, expected| {
            assert_eq!(after_error(&io::Error::from_raw_os_error(errno)), expected, "{errno}");
        };
        check(11, AfterError::Wait); // EAGAIN
        check(24, AfterError::Pause); // EMFILE
        check(23, AfterError::Pause); // ENFILE
        check(12, AfterError::Pause); // ENOMEM
        check(103, AfterError::Next); // ECONNABORTED
        check(113, AfterError::Next); // EHOSTUNREACH
    }
}
