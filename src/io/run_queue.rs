//! Connections that want a turn, those that carry little before those that carry bulk.
//!
//! ```text
//!   event, or had its share and is not done
//!        │
//!        ├─ moved little last time ──▶ light ──▶ all of them, in every turn
//!        └─ moved its share ─────────▶ heavy ──▶ until the bytes of the turn are spent
//! ```
//!
//! Between two turns the worker looks at events. So a message waits for what one turn moves,
//! however many bulk flows there are; and the first of the heavy has its share in every turn,
//! however many messages.

use std::collections::VecDeque;

use crate::id::ConnectionId;

/// One of so many parts of a turn is the share of a connection that is not alone.
pub const SHARES: usize = 4;

/// So many shares are moved in a turn while several heavy connections wait: the fewer, the sooner
/// a message is seen.
pub const SHARES_WHILE_MANY_WAIT: usize = 2;

/// What a connection was found to carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Weight {
    /// Less than its share when it last ran.
    #[default]
    Light,
    /// Its share, or more.
    Heavy,
}

impl Weight {
    /// The weight of a connection that moved `bytes` when `share` was its share.
    pub fn of(bytes: usize, share: usize) -> Weight {
        if bytes < share { Weight::Light } else { Weight::Heavy }
    }
}

/// The queue of one worker. That nobody stands in it twice is the caller's to see to.
#[derive(Debug, Default)]
pub struct RunQueue {
    light: VecDeque<ConnectionId>,
    heavy: VecDeque<ConnectionId>,
}

impl RunQueue {
    /// Adds a connection at the end.
    pub fn push(&mut self, id: ConnectionId, weight: Weight) {
        match weight {
            Weight::Light => self.light.push_back(id),
            Weight::Heavy => self.heavy.push_back(id),
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

    /// How many light ones there are.
    pub fn light_count(&self) -> usize {
        self.light.len()
    }

    /// Nobody wants a turn.
    pub fn is_empty(&self) -> bool {
        self.light.is_empty() && self.heavy.is_empty()
    }

    /// What a connection may move when it runs now, of `turn_bytes_max` in a turn: all of it
    /// where nobody else waits.
    pub fn share(&self, turn_bytes_max: usize) -> usize {
        if self.is_empty() { turn_bytes_max } else { part(turn_bytes_max) }
    }

    /// What the heavy connections together may move in a turn.
    pub fn heavy_bytes(&self, turn_bytes_max: usize) -> usize {
        match self.heavy.len() {
            0 | 1 => turn_bytes_max,
            _ => SHARES_WHILE_MANY_WAIT * part(turn_bytes_max),
        }
    }
}

/// What a share is of a turn of `turn_bytes_max`.
fn part(turn_bytes_max: usize) -> usize {
    (turn_bytes_max / SHARES).max(1)
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
        assert_eq!([queue.pop_light(), queue.pop_light()], [Some(id(1)), Some(id(3))]);
        assert_eq!([queue.pop_heavy(), queue.pop_heavy()], [Some(id(0)), Some(id(2))]);
        assert!(queue.is_empty());
    }

    #[test]
    fn whoever_is_alone_has_the_whole_turn() {
        let mut queue = RunQueue::default();
        assert_eq!((queue.share(1000), queue.heavy_bytes(1000)), (1000, 1000));
        queue.push(id(1), Weight::Heavy);
        assert_eq!(queue.share(1000), 250);
        assert_eq!(queue.share(1), 1, "never nothing");
        assert_eq!(queue.heavy_bytes(1000), 1000);
        queue.push(id(2), Weight::Heavy);
        assert_eq!(queue.heavy_bytes(1000), 500);
        assert_eq!(Weight::of(249, queue.share(1000)), Weight::Light);
        assert_eq!(Weight::of(250, queue.share(1000)), Weight::Heavy);
    }
}
