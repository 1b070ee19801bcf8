//! One client connection as a worker holds it: a session, its sockets and what its lanes hold.

use std::net::SocketAddr;
use std::time::Instant;

use crate::error::Side;
use crate::id::{Generation, ListenerId, UpstreamId};
use crate::io::conduit::Conduit;
use crate::io::kernel::Kernel;
use crate::relay::Readiness;
use crate::session::Session;

/// A connection in a worker's slab.
#[derive(Debug)]
pub struct Connection<K: Kernel> {
    /// Tells it apart from those that had its place before.
    pub generation: Generation,
    /// The listener that accepted it.
    pub listener: ListenerId,
    /// The upstream whose servers it is connected to.
    pub target: UpstreamId,
    /// Its phase, its lanes, its deadlines.
    pub session: Session,
    /// The client's socket.
    pub client: K::Socket,
    /// The client's IP address, if it has one.
    pub client_address: Option<SocketAddr>,
    /// The server's socket, once a connect has begun.
    pub upstream: Option<K::Socket>,
    /// What events said of the server's socket since the last turn, during the connect.
    pub connect_events: Readiness,
    /// Keepalive is on for the server's socket.
    pub keeps_alive: bool,
    /// What each lane holds, by direction.
    pub conduits: [Conduit<K::Pipe>; 2],
    /// The deadline that is armed in the worker's timers.
    pub armed: Option<Instant>,
    /// It stands in the run queue.
    pub queued: bool,
}

impl<K: Kernel> Connection<K> {
    /// An event of one of the sockets.
    pub fn on_ready(&mut self, side: Side, readiness: Readiness) {
        if side == Side::Upstream {
            let events = &mut self.connect_events;
            events.writable |= readiness.writable;
            events.broken |= readiness.broken;
        }
        self.session.on_ready(side, readiness);
    }
}
