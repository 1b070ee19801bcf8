//! Clients that wait because every server has as much to do as it may have: served in the order in
//! which they came, as soon as a place is free.
//!
//! Each worker has queues of its own. A worker that frees a place while others have somebody who
//! waits wakes those; who is first then gets the place.

use std::time::Instant;

use crate::error::CloseReason;
use crate::id::{ConnectionId, UpstreamId};
use crate::io::balancer::refusal;
use crate::io::connection::Slot;
use crate::io::kernel::Kernel;
use crate::io::worker::{Worker, lookup};
use crate::roster::assign::Assigned;

/// Clients that one turn may serve from a queue: the others of the worker come in between.
const SERVED_PER_TURN_MAX: usize = 256;

impl<K: Kernel> Worker<K> {
    /// Gives places that are free to those who wait for them, and has other workers do so.
    pub(super) fn serve_queues(&mut self, now: Instant) {
        // Before the last look at the servers: a place that is freed after it wakes this worker.
        self.member.set_waiting(self.balancer.has_waiting());
        for upstream in self.balancer.awaited() {
            for _ in 0..SERVED_PER_TURN_MAX {
                let connections = &self.connections;
                let waits = |id: &ConnectionId| {
                    let slot = connections.get(id.index as usize);
                    slot.is_some_and(|slot| slot.waits_as(id.generation))
                };
                let Some(id) = self.balancer.queue(upstream).pop(waits) else { break };
                if !self.serve_queued(id, upstream, now) {
                    self.balancer.queue(upstream).put_back(id);
                    break;
                }
            }
        }
        if self.balancer.take_freed() {
            self.member.wake_waiting();
        }
    }

    /// Serves one that has waited. Says whether it waits no more.
    fn serve_queued(&mut self, id: ConnectionId, upstream: UpstreamId, now: Instant) -> bool {
        if let Some(Slot::Http(_)) = self.connections.get(id.index as usize) {
            return self.serve_queued_http(id, now);
        }
        let assigned = match self.assign(id, now) {
            Some(Assigned::Full) => return false,
            Some(assigned) => assigned,
            None => return true,
        };
        let Some(connection) = lookup(&mut self.connections, id) else { return true };
        connection.session.take_queued();
        self.balancer.served(self.roster.upstream(upstream));
        match assigned {
            Assigned::Server(server) => self.connect_assigned(id, server, now),
            Assigned::Nobody | Assigned::Full => {
                connection.session.refused(refusal(None));
                self.settle(id, now);
            }
        }
        true
    }

    /// A session of TCP ends that waits in a queue.
    pub(super) fn leave_queue(&mut self, id: ConnectionId, reason: CloseReason, now: Instant) {
        self.with_session(id, |session| session.refused(reason));
        self.settle(id, now);
    }
}
