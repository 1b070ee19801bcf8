//! When to look at a connection again: one deadline for each, in the order of time.
//!
//! A deadline that moves away, as an idle timeout does with every byte, is not moved here. When
//! the old one comes, the worker asks the session and arms the new one; a busy connection costs
//! one such question in `timeouts.idle`. nginx does the same to its tree for the same reason.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::id::ConnectionId;

/// The armed deadlines of a worker.
#[derive(Debug, Default)]
pub struct Timers {
    armed: BTreeSet<(Instant, ConnectionId)>,
}

impl Timers {
    /// Arms a deadline in place of `armed`, the one that the connection has now.
    pub fn arm(&mut self, id: ConnectionId, armed: &mut Option<Instant>, deadline: Instant) {
        self.disarm(id, armed);
        self.armed.insert((deadline, id));
        *armed = Some(deadline);
    }

    /// Takes a connection's deadline back.
    pub fn disarm(&mut self, id: ConnectionId, armed: &mut Option<Instant>) {
        if let Some(deadline) = armed.take() {
            self.armed.remove(&(deadline, id));
        }
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Instant> {
        self.armed.first().map(|(deadline, _)| *deadline)
    }

    /// Takes out the earliest deadline, if it has come. The connection is disarmed thereby.
    pub fn pop_due(&mut self, now: Instant) -> Option<ConnectionId> {
        let (deadline, _) = self.armed.first()?;
        if *deadline > now {
            return None;
        }
        self.armed.pop_first().map(|(_, id)| id)
    }

    /// How many connections have a deadline.
    pub fn len(&self) -> usize {
        self.armed.len()
    }

    /// Whether no connection has a deadline.
    pub fn is_empty(&self) -> bool {
        self.armed.is_empty()
    }
}
