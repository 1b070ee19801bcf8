//! The thread of a worker: wait for events, tell the worker, give it a turn.
//!
//! The only inputs are events of sockets, deadlines, and the waker through which the control
//! plane says that there is a new snapshot to look at.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use mio::event::Event;
use mio::{Events, Poll};

use crate::id::Token;
use crate::io::adopt::Offer;
use crate::io::linux::Linux;
use crate::io::worker::{Wake, Worker};
use crate::relay::Readiness;
use crate::snapshot::{Snapshot, WorkerReport};
use crate::sys::listening::ListeningSocket;

/// Events taken from the kernel at once. More wait in the kernel; nothing is lost.
pub const EVENTS_PER_POLL_MAX: usize = 1024;

/// Runs the worker with this index until it is drained.
///
/// # Errors
/// The kernel refuses to be polled, which no load can cause.
pub fn run(
    mut poll: Poll,
    mut worker: Worker<Linux>,
    index: usize,
    snapshot: &Arc<ArcSwap<Snapshot>>,
    report: &WorkerReport,
) -> io::Result<()> {
    let mut events = Events::with_capacity(EVENTS_PER_POLL_MAX);
    // One look at the clock for all events of a turn; the vDSO answers without a system call.
    let mut now = Instant::now();
    while !worker.is_drained() {
        match poll.poll(&mut events, timeout(worker.next_wake(), now)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        now = Instant::now();
        for event in &events {
            match Token::unpack(event.token().0 as u64) {
                Token::Waker => {
                    report.heartbeat.fetch_add(1, Ordering::Relaxed);
                    let snapshot = snapshot.load();
                    if snapshot.generation != worker.snapshot_generation() {
                        let sockets = snapshot.sockets.get(index).map_or(&[][..], Vec::as_slice);
                        worker.adopt(&snapshot, offers(sockets), now);
                    }
                    worker.enter(snapshot.stage, now);
                }
                token => worker.on_event(token, readiness(event)),
            }
        }
        worker.turn(now);
    }
    worker.finish_reporting();
    Ok(())
}

/// Sockets, as a worker takes them.
pub fn offers(sockets: &[ListeningSocket]) -> Vec<Offer<Arc<OwnedFd>>> {
    let offer = |it: &ListeningSocket| Offer {
        id: it.id,
        socket: Arc::clone(&it.socket),
        listener: it.listener,
        is_unix: it.asked.is_unix(),
    };
    sockets.iter().map(offer).collect()
}

fn timeout(wake: Wake, now: Instant) -> Option<Duration> {
    match wake {
        Wake::Now => Some(Duration::ZERO),
        Wake::At(deadline) => Some(deadline.saturating_duration_since(now)),
        Wake::Never => None,
    }
}

fn readiness(event: &Event) -> Readiness {
    Readiness {
        readable: event.is_readable(),
        writable: event.is_writable(),
        behind: event.is_read_closed() || event.is_error() || event.is_priority(),
        urgent: event.is_priority(),
        broken: event.is_error(),
    }
}
