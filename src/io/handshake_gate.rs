//! A bound on the TLS handshakes that a worker carries on at once. Those beyond it wait for their
//! turn, in the order in which they came, so a flood of them takes neither the memory nor the time
//! of connections that exist.

use std::collections::VecDeque;

use crate::id::ConnectionId;

/// Who may shake hands.
#[derive(Debug)]
pub struct HandshakeGate {
    in_flight: usize,
    max: usize,
    /// At most one entry for each connection; some of them may be gone.
    waiting: VecDeque<ConnectionId>,
}

impl HandshakeGate {
    /// None in flight, `max` allowed.
    pub fn new(max: usize) -> HandshakeGate {
        HandshakeGate { in_flight: 0, max, waiting: VecDeque::new() }
    }

    /// Takes a place, if there is one and nobody waits for it.
    #[must_use]
    pub fn enter(&mut self) -> bool {
        let may_enter = self.in_flight < self.max && self.waiting.is_empty();
        self.in_flight += usize::from(may_enter);
        may_enter
    }

    /// Waits for a place.
    pub fn wait(&mut self, id: ConnectionId) {
        self.waiting.push_back(id);
    }

    /// Gives a place back.
    pub fn leave(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Whose turn it is, if there is a place; that place is taken with it. Who is gone in the
    /// meantime must give it back.
    pub fn call(&mut self) -> Option<ConnectionId> {
        if self.in_flight >= self.max {
            return None;
        }
        let id = self.waiting.pop_front()?;
        self.in_flight += 1;
        Some(id)
    }

    /// Handshakes in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Generation;

    #[test]
    fn those_who_wait_come_in_their_order() {
        let id = |index| ConnectionId { index, generation: Generation::default() };
        let mut gate = HandshakeGate::new(2);
        assert!(gate.enter() && gate.enter() && !gate.enter());
        gate.wait(id(1));
        gate.wait(id(2));
        assert_eq!(gate.call(), None);
        gate.leave();
        assert!(!gate.enter(), "nobody overtakes");
        assert_eq!((gate.call(), gate.call()), (Some(id(1)), None));
        gate.leave();
        gate.leave();
        assert_eq!(gate.call(), Some(id(2)));
        assert_eq!(gate.in_flight(), 1);
        assert!(gate.enter());
    }
}
