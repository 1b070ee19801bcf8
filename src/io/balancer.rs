//! What a worker needs to have servers picked: random numbers of its own, and who waits while all
//! servers have as much to do as they may have.
//!
//! ```text
//!   assign ─┬─ a server ─▶ connect …  ─▶ release ─▶ whoever waits, here or in another worker
//!           ├─ all full ─▶ enter ─▶ queue ─▶ serve_queues, after each turn ─▶ assign again
//!           └─ nobody   ─▶ refused
//! ```

use std::hash::{BuildHasher, RandomState};
use std::time::Instant;

use crate::balance::queue::Queue;
use crate::balance::random::Random;
use crate::config::Upstream;
use crate::error::{CloseReason, FaultKind};
use crate::id::{ConnectionId, ServerId, UpstreamId};
use crate::roster::UpstreamRoster;
use crate::roster::assign::{Assigned, Request};

/// What one worker has of it.
#[derive(Debug)]
pub struct Balancer {
    random: Random,
    /// By upstream. Those that have left in the meantime are still in it.
    queues: Vec<Queue<ConnectionId>>,
    /// Another worker's queue may have got something.
    has_freed: bool,
}

/// Why a client cannot have a server, as it stands in the log.
pub fn refusal(failed: Option<FaultKind>) -> CloseReason {
    failed.map_or(CloseReason::NoServer, CloseReason::of_connect)
}

/// Whether a failed attempt to connect costs more than this proxy's own time: the next one needs
/// a token of the budget for retries then. One that is refused at once has cost nobody anything,
/// and another server could well serve the client.
pub fn needs_budget(kind: FaultKind) -> bool {
    matches!(kind, FaultKind::TimedOut | FaultKind::Tls | FaultKind::Truncated)
}

impl Default for Balancer {
    fn default() -> Balancer {
        let seed = RandomState::new().hash_one(0);
        Balancer { random: Random::new(seed), queues: Vec::new(), has_freed: false }
    }
}

impl Balancer {
    /// Picks a server.
    pub fn assign(
        &mut self,
        settings: &Upstream,
        servers: &UpstreamRoster,
        request: &Request<'_>,
        now: Instant,
    ) -> Assigned {
        servers.assign(&settings.balancing, request, &mut self.random, now)
    }

    /// What a server was picked for is over.
    pub fn release(&mut self, servers: &UpstreamRoster, upstream: UpstreamId, server: ServerId) {
        servers.release(server);
        let here = self.queues.get(upstream.index()).map_or(0, Queue::len);
        self.has_freed |= servers.state.waiting.count() as usize > here;
    }

    /// Whether to wake other workers, because one of their clients may be served now.
    pub fn take_freed(&mut self) -> bool {
        std::mem::take(&mut self.has_freed)
    }

    /// Has a connection wait, which is told by [`Queue::pop`]. Says whether there was room; if
    /// so, its wait ends with [`Balancer::leave`], or with [`Balancer::served`].
    #[must_use]
    pub fn enter(
        &mut self,
        settings: &Upstream,
        servers: &UpstreamRoster,
        upstream: UpstreamId,
        id: ConnectionId,
    ) -> bool {
        let has_room = servers.state.waiting.enter(settings.balancing.queue.max);
        if has_room {
            if self.queues.len() <= upstream.index() {
                self.queues.resize_with(upstream.index() + 1, Queue::default);
            }
            self.queues[upstream.index()].push(id);
        }
        has_room
    }

    /// A connection that was taken out of the queue waits no more.
    pub fn served(&mut self, servers: &UpstreamRoster) {
        servers.state.waiting.leave();
    }

    /// A connection that is in the queue waits no more.
    pub fn leave(&mut self, servers: &UpstreamRoster, upstream: UpstreamId) {
        servers.state.waiting.leave();
        if let Some(queue) = self.queues.get_mut(upstream.index()) {
            queue.left_one();
        }
    }

    /// The upstreams for which somebody may wait here.
    pub fn awaited(&self) -> impl Iterator<Item = UpstreamId> + use<> {
        let waits = |(index, queue): (usize, &Queue<ConnectionId>)| {
            (!queue.is_empty()).then(|| UpstreamId(u32::try_from(index).unwrap_or(u32::MAX)))
        };
        // Nothing is allocated where nobody waits.
        self.queues.iter().enumerate().filter_map(waits).collect::<Vec<_>>().into_iter()
    }

    /// Whether somebody waits here.
    pub fn has_waiting(&self) -> bool {
        self.queues.iter().any(|queue| !queue.is_empty())
    }

    /// The queue of an upstream for which somebody waits here.
    pub fn queue(&mut self, upstream: UpstreamId) -> &mut Queue<ConnectionId> {
        &mut self.queues[upstream.index()]
    }
}
