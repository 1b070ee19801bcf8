//! A bound on the TLS handshakes that a worker carries on at once. Those beyond it wait for their
//! turn, in the order in which they came, so a flood of them takes neither the memory nor the time
//! of connections that exist.

use std::collections::VecDeque;
use std::time::Duration;

use crate::id::ConnectionId;

/// How long a handshake may take at most that begins while more than half of the places are taken,
/// however long `timeouts.tls_handshake` is. Clients that say hello and nothing more could keep all
/// places for that long otherwise, and it costs them nothing.
pub const CROWDED_HANDSHAKE_TIME: Duration = Duration::from_secs(2);

/// Who may shake hands.
#[derive(Debug)]
pub struct HandshakeGate {
    in_flight: usize,
    max: usize,
    /// At most two entries for each connection that waits: half of them may be gone.
    waiting: VecDeque<ConnectionId>,
    /// How many of them are gone.
    gone: usize,
}

impl HandshakeGate {
    /// None in flight, `max` allowed.
    pub fn new(max: usize) -> HandshakeGate {
        HandshakeGate { in_flight: 0, max, waiting: VecDeque::new(), gone: 0 }
    }

    /// Another bound. Those beyond it that are in flight go on.
    pub fn limit(&mut self, max: usize) {
        self.max = max;
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

    /// One of those who wait has gone. Clients may come and go faster than places become free, so
    /// the entries of the gone are swept out once they outnumber the others; `is_waiting` tells
    /// them apart.
    pub fn give_up(&mut self, is_waiting: impl Fn(ConnectionId) -> bool) {
        self.gone += 1;
        if self.gone * 2 > self.waiting.len() {
            self.waiting.retain(|id| is_waiting(*id));
            self.gone = 0;
        }
    }

    /// Gives a place back that was taken for one who is gone.
    pub fn leave_uncalled(&mut self) {
        self.gone = self.gone.saturating_sub(1);
        self.leave();
    }

    /// Whose turn it is, if there is a place; that place is taken with it. Who is gone in the
    /// meantime must give it back, by [`HandshakeGate::leave_uncalled`].
    pub fn call(&mut self) -> Option<ConnectionId> {
        if self.in_flight >= self.max {
            return None;
        }
        let id = self.waiting.pop_front()?;
        self.in_flight += 1;
        Some(id)
    }

    /// Whether more than half of the places are taken.
    pub fn is_crowded(&self) -> bool {
        self.in_flight > self.max.div_ceil(2)
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

    #[test]
    fn those_who_came_and_went_leave_nothing() {
        let id = |index| ConnectionId { index, generation: Generation::default() };
        let mut gate = HandshakeGate::new(1);
        assert!(gate.enter());
        gate.wait(id(0));
        for index in 1..1000 {
            gate.wait(id(index));
            gate.give_up(|id| id.index == 0);
            assert!(gate.waiting.len() <= 2);
        }
        gate.leave();
        assert_eq!(gate.call(), Some(id(0)));
    }
}
