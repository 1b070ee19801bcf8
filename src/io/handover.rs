//! New connections go to the worker that has the fewest.
//!
//! The kernel spreads connections over the listening sockets of a port (`SO_REUSEPORT`) by a hash
//! of their addresses, and wakes whoever comes first where workers share one socket. Over many
//! short connections that evens out; eight that live long may well land on one worker. So whoever
//! accepts a connection hands it over, before anything else is done with it, if another worker has
//! notably fewer.
//!
//! ```text
//!   worker 0: accept ─▶ hand_over ─┬─▶ open                        worker 1
//!                                  └─▶ mailbox of worker 1 ─ wake ─▶ take ─▶ open
//! ```
//!
//! What is shared is touched once for each connection, never for bytes.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::id::ListenerId;

/// A worker keeps what it accepts unless it has more connections than the one with the fewest, and
/// more by this part of its own: one in eight. With less than eight the split is exact; with many
/// short ones hardly any changes hands.
pub const SLACK_PART: usize = 8;

/// A connection that was accepted, and nothing more.
#[derive(Debug)]
pub struct Arrival<S> {
    /// Where it was accepted.
    pub listener: ListenerId,
    /// The client came over a unix socket.
    pub is_unix: bool,
    /// The client's socket.
    pub socket: S,
    /// The client's IP address, if it has one.
    pub address: Option<SocketAddr>,
}

/// All workers, as far as they know each other.
#[derive(Debug)]
pub struct Crew<S> {
    mailboxes: Box<[Mailbox<S>]>,
}

/// What the others may touch of a worker. On a cache line of its own.
#[repr(align(128))]
struct Mailbox<S> {
    /// Connections that the worker has, or is about to take.
    connections: AtomicUsize,
    /// There may be arrivals.
    is_marked: AtomicBool,
    /// A client of the worker waits for a server to have room.
    awaits_room: AtomicBool,
    arrivals: Mutex<Arrivals<S>>,
    wake: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

#[derive(Debug)]
enum Arrivals<S> {
    /// What is to be taken. The bound on connections bounds it too.
    Open(Vec<Arrival<S>>),
    /// The worker takes nothing any more.
    Closed,
}

impl<S> Crew<S> {
    /// So many workers, without connections.
    pub fn new(workers: usize) -> Crew<S> {
        Crew { mailboxes: (0..workers).map(|_| Mailbox::new()).collect() }
    }
}

impl<S> Mailbox<S> {
    fn new() -> Mailbox<S> {
        Mailbox {
            connections: AtomicUsize::new(0),
            is_marked: AtomicBool::new(false),
            awaits_room: AtomicBool::new(false),
            arrivals: Mutex::new(Arrivals::Open(Vec::new())),
            wake: OnceLock::new(),
        }
    }

    fn arrivals(&self) -> MutexGuard<'_, Arrivals<S>> {
        // Whoever panicked with it has left a list that is whole.
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves an arrival for the worker, unless it takes none any more.
    fn leave(&self, arrival: Arrival<S>) -> Result<(), Arrival<S>> {
        match &mut *self.arrivals() {
            Arrivals::Closed => return Err(arrival),
            Arrivals::Open(arrivals) => {
                // Before the worker can take it, and count that it has ended.
                self.connections.fetch_add(1, Ordering::Relaxed);
                arrivals.push(arrival);
            }
        }
        // The first of several wakes for all of them.
        let was_marked = self.is_marked.swap(true, Ordering::AcqRel);
        if let Some(wake) = self.wake.get().filter(|_| !was_marked) {
            wake();
        }
        Ok(())
    }
}

impl<S> fmt::Debug for Mailbox<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connections = self.connections.load(Ordering::Relaxed);
        f.debug_struct("Mailbox").field("connections", &connections).finish_non_exhaustive()
    }
}

/// One worker among all.
#[derive(Debug)]
pub struct Member<S> {
    crew: Arc<Crew<S>>,
    index: usize,
}

impl<S> Member<S> {
    /// A worker that is alone.
    pub fn alone() -> Member<S> {
        Member { crew: Arc::new(Crew::new(1)), index: 0 }
    }

    /// The worker with this index, which `wake` wakes from its wait for events.
    pub fn new(
        crew: &Arc<Crew<S>>,
        index: usize,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Member<S> {
        let member = Member { crew: Arc::clone(crew), index };
        // Nobody else sets it.
        let _first = member.mailbox().wake.set(Box::new(wake)).is_ok();
        member
    }

    fn mailbox(&self) -> &Mailbox<S> {
        &self.crew.mailboxes[self.index]
    }

    /// Hands a connection over to the worker that has the fewest. Gives it back, counted as this
    /// worker's, if that is this one.
    pub fn hand_over(&self, arrival: Arrival<S>) -> Option<Arrival<S>> {
        let others =
            self.crew.mailboxes.iter().enumerate().filter(|(index, _)| *index != self.index);
        let counted = others.map(|(_, it)| (it.connections.load(Ordering::Relaxed), it));
        let fewest = counted.min_by_key(|(connections, _)| *connections);
        let own = self.mailbox().connections.load(Ordering::Relaxed);
        let arrival = match fewest {
            Some((fewest, other)) if own > fewest + own / SLACK_PART => other.leave(arrival).err(),
            _ => Some(arrival),
        };
        if arrival.is_some() {
            self.mailbox().connections.fetch_add(1, Ordering::Relaxed);
        }
        arrival
    }

    /// What the others have handed over since the last time.
    pub fn take(&self) -> Vec<Arrival<S>> {
        let mailbox = self.mailbox();
        // Whoever sets the mark wakes this worker, so a look that comes too early is not the last.
        let is_marked = mailbox.is_marked.load(Ordering::Relaxed)
            && mailbox.is_marked.swap(false, Ordering::AcqRel);
        match &mut *mailbox.arrivals() {
            Arrivals::Open(arrivals) if is_marked => std::mem::take(arrivals),
            Arrivals::Open(_) | Arrivals::Closed => Vec::new(),
        }
    }

    /// The same for the last time: nothing is handed over to this worker from now on.
    pub fn close(&self) -> Vec<Arrival<S>> {
        match std::mem::replace(&mut *self.mailbox().arrivals(), Arrivals::Closed) {
            Arrivals::Open(arrivals) => arrivals,
            Arrivals::Closed => Vec::new(),
        }
    }

    /// Says whether a client of this worker waits for a server to have room.
    pub fn set_waiting(&self, awaits_room: bool) {
        let shared = &self.mailbox().awaits_room;
        if shared.load(Ordering::Relaxed) != awaits_room {
            shared.store(awaits_room, Ordering::SeqCst);
        }
    }

    /// A server has room again: wakes the other workers that have clients who wait for that.
    pub fn wake_waiting(&self) {
        for (index, other) in self.crew.mailboxes.iter().enumerate() {
            if index != self.index
                && other.awaits_room.load(Ordering::SeqCst)
                && let Some(wake) = other.wake.get()
            {
                wake();
            }
        }
    }

    /// A connection of this worker has ended.
    pub fn on_closed(&self) {
        self.mailbox().connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(socket: u32) -> Arrival<u32> {
        Arrival { listener: ListenerId(0), is_unix: false, socket, address: None }
    }

    fn crew(workers: usize) -> (Vec<Member<u32>>, Arc<AtomicUsize>) {
        let crew = Arc::new(Crew::new(workers));
        let wakes = Arc::new(AtomicUsize::new(0));
        let member = |index| {
            let wakes = Arc::clone(&wakes);
            Member::new(&crew, index, move || {
                wakes.fetch_add(1, Ordering::Relaxed);
            })
        };
        ((0..workers).map(member).collect(), wakes)
    }

    #[test]
    fn a_few_that_land_on_one_worker_are_split_evenly() {
        let (members, wakes) = crew(4);
        let kept = (0..8).filter(|socket| members[0].hand_over(arrival(*socket)).is_some());
        assert_eq!(kept.count(), 2);
        for member in &members[1..] {
            assert_eq!(member.take().len(), 2);
            assert!(member.take().is_empty());
        }
        assert_eq!(wakes.load(Ordering::Relaxed), 3, "one wake for all that wait");
    }

    #[test]
    fn among_many_a_small_difference_is_left_alone() {
        let (members, _) = crew(2);
        let fill = |member: &Member<u32>, count| {
            member.mailbox().connections.fetch_add(count, Ordering::Relaxed);
        };
        fill(&members[0], 80);
        fill(&members[1], 70);
        assert!(members[0].hand_over(arrival(0)).is_some(), "80 are not more than 70 + 10");
        assert!(members[0].hand_over(arrival(1)).is_none(), "81 are");
        members[0].on_closed();
        assert!(members[1].hand_over(arrival(2)).is_some());
    }

    #[test]
    fn a_worker_that_ends_is_handed_nothing_and_nothing_is_lost() {
        let (members, _) = crew(2);
        assert!(members[0].hand_over(arrival(0)).is_some());
        assert!(members[0].hand_over(arrival(1)).is_none());
        let left = members[1].close();
        assert_eq!(left.len(), 1);
        members[1].on_closed();
        let kept = members[0].hand_over(arrival(2)).map(|arrival| arrival.socket);
        assert_eq!(kept, Some(2));
        assert!(members[1].take().is_empty() && members[1].close().is_empty());
    }

    #[test]
    fn one_alone_keeps_everything() {
        let member = Member::alone();
        assert!((0..100).all(|socket| member.hand_over(arrival(socket)).is_some()));
    }
}
