//! Whether a silence is one: a peer that reads slowly empties its side's send queue without a byte
//! moving here. So before silence ends anything, the send queue is looked at twice; one that has
//! shrunk is a sign of life.

use std::time::{Duration, Instant};

/// How long after a silence the send queue is looked at again.
pub const QUEUE_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What a look at the send queue shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// The peer has taken something: the silence begins anew.
    Alive,
    /// Look again at [`QueueLook::deadline`].
    Again,
    /// Nobody is there.
    Silent,
}

/// What the send queue held when silence had lasted long enough, and when to look whether that
/// has shrunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueLook(Option<(usize, Instant)>);

impl QueueLook {
    /// A byte moved.
    pub fn clear(&mut self) {
        self.0 = None;
    }

    /// When to look next, where the silence has lasted long enough at `silent_at`.
    pub fn deadline(&self, silent_at: Instant) -> Instant {
        self.0.map_or(silent_at, |(_, look_at)| look_at)
    }

    /// The send queue holds `left` bytes. `silence_max` is how long nothing may move.
    pub fn seen(&mut self, left: usize, silence_max: Duration, now: Instant) -> Look {
        match self.0 {
            Some((before, _)) if left < before => {
                self.0 = None;
                Look::Alive
            }
            None if left > 0 => {
                self.0 = Some((left, now + QUEUE_LOOK_INTERVAL.min(silence_max)));
                Look::Again
            }
            _ => Look::Silent,
        }
    }
}
