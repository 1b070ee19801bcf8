//! Who waits for a server when all of them are at their limit of connections: in the order of
//! arrival, for each worker, and never more than the bound of all workers together.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many wait for an upstream, in all workers.
#[derive(Debug, Default)]
pub struct Waiting {
    count: AtomicU32,
}

impl Waiting {
    /// Takes a place in the queue, if there is one below `max`.
    #[must_use]
    pub fn enter(&self, max: u32) -> bool {
        let next = |count: u32| (count < max).then_some(count + 1);
        self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }

    /// Gives a place back.
    pub fn leave(&self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many wait.
    pub fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }
}

/// Those of one worker that wait for one upstream, bounded by [`Waiting`].
#[derive(Debug)]
pub struct Queue<T> {
    waiting: VecDeque<T>,
}

impl<T> Default for Queue<T> {
    fn default() -> Queue<T> {
        Queue { waiting: VecDeque::new() }
    }
}

impl<T: Copy + PartialEq> Queue<T> {
    /// Puts one at the end.
    pub fn push(&mut self, one: T) {
        self.waiting.push_back(one);
    }

    /// Who has waited longest.
    pub fn pop(&mut self) -> Option<T> {
        self.waiting.pop_front()
    }

    /// Puts one back who had waited longest.
    pub fn put_back(&mut self, one: T) {
        self.waiting.push_front(one);
    }

    /// Takes one out, wherever it stands. Says whether it was there.
    pub fn remove(&mut self, one: T) -> bool {
        let place = self.waiting.iter().position(|other| *other == one);
        place.and_then(|place| self.waiting.remove(place)).is_some()
    }

    /// How many wait here.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nobody waits here.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
