//! Connections that want a turn, those that carry little before those that carry bulk.
//!
//! ```text
//!   event, or had its turn and is not done
//!        │
//!        ├─ moved little last time ──▶ light ──▶ all of them, in every turn
//!        ├─ moved much ──────────────▶ heavy ──▶ until the bytes of the turn are spent
//!        └─ is no connection yet ────▶ greetings ──▶ a few of them, after all others
//! ```
//!
//! Between two turns the worker looks at events. So a message waits for what one turn moves,
//! however many bulk flows there are; and the first of the heavy runs in every turn, however many
//! messages.
//!
//! One heavy flow may take the whole turn. Smaller pieces of more flows would be as fair, but each
//! piece wakes a sender and a receiver: with a quarter for each of 64 flows there were four times
//! as many wake-ups, and the CPU time for a byte doubled.

use std::collections::VecDeque;

use crate::id::ConnectionId;

/// A connection that moved so many bytes when it last ran is heavy.
pub const HEAVY_BYTES_MIN: usize = 256 * 1024;

/// Greetings that are run in one turn. A full handshake takes 100 to 800 microseconds.
pub const GREETINGS_PER_TURN_MAX: usize = 8;

/// What a connection was found to carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Weight {
    /// Little, when it last ran.
    #[default]
    Light,
    /// [`HEAVY_BYTES_MIN`] or more.
    Heavy,
    /// It is to shake hands first, which takes as much time as a thousand messages.
    Greeting,
}

impl Weight {
    /// The weight of a connection that moved so many bytes.
    pub fn of(bytes: usize) -> Weight {
        if bytes < HEAVY_BYTES_MIN { Weight::Light } else { Weight::Heavy }
    }
}

/// The queue of one worker. That nobody stands in it twice is the caller's to see to.
#[derive(Debug, Default)]
pub struct RunQueue {
    light: VecDeque<ConnectionId>,
    heavy: VecDeque<ConnectionId>,
    greetings: VecDeque<ConnectionId>,
}

impl RunQueue {
    /// Adds a connection at the end.
    pub fn push(&mut self, id: ConnectionId, weight: Weight) {
        match weight {
            Weight::Light => self.light.push_back(id),
            Weight::Heavy => self.heavy.push_back(id),
            Weight::Greeting => self.greetings.push_back(id),
        }
    }

    /// The first of the light ones.
    pub fn pop_light(&mut self) -> Option<ConnectionId> {
        self.light.pop_front()
    }

    /// The first of the heavy ones.
    pub fn pop_heavy(&mut self) -> Option<ConnectionId> {
        self.heavy.pop_front()
    }

    /// The first of those that are no connections yet.
    pub fn pop_greeting(&mut self) -> Option<ConnectionId> {
        self.greetings.pop_front()
    }

    /// How many light ones there are.
    pub fn light_count(&self) -> usize {
        self.light.len()
    }

    /// Nobody wants a turn.
    pub fn is_empty(&self) -> bool {
        self.light.is_empty() && self.heavy.is_empty() && self.greetings.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Generation;

    fn id(index: u32) -> ConnectionId {
        ConnectionId { index, generation: Generation::default() }
    }

    #[test]
    fn each_weight_keeps_its_order() {
        let mut queue = RunQueue::default();
        for index in 0..4 {
            let weight = if index % 2 == 0 { Weight::Heavy } else { Weight::Light };
            queue.push(id(index), weight);
        }
        assert_eq!(queue.light_count(), 2);
        assert_eq!(Weight::of(HEAVY_BYTES_MIN - 1), Weight::Light);
        assert_eq!(Weight::of(HEAVY_BYTES_MIN), Weight::Heavy);
        assert_eq!([queue.pop_light(), queue.pop_light()], [Some(id(1)), Some(id(3))]);
        assert_eq!([queue.pop_heavy(), queue.pop_heavy()], [Some(id(0)), Some(id(2))]);
        assert!(queue.is_empty());
    }
}
