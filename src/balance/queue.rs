//! Who waits for a server when all of them have as many connections as they may have: in the order
//! of arrival, for each worker, and never more than the bound of all workers together.

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
        // Sequentially consistent with the places of servers: see where those are taken.
        self.count.fetch_update(Ordering::SeqCst, Ordering::Relaxed, next).is_ok()
    }

    /// Gives a place back.
    pub fn leave(&self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many wait.
    pub fn count(&self) -> u32 {
        self.count.load(Ordering::SeqCst)
    }
}

/// Those of one worker that wait for one upstream. Whoever leaves before it is served stays in the
/// list until it comes to the front, or until half of the list has left.
#[derive(Debug)]
pub struct Queue<T> {
    list: VecDeque<T>,
    left: usize,
}

impl<T> Default for Queue<T> {
    fn default() -> Queue<T> {
        Queue { list: VecDeque::new(), left: 0 }
    }
}

impl<T> Queue<T> {
    /// Puts one at the end.
    pub fn push(&mut self, one: T) {
        self.list.push_back(one);
    }

    /// Who has waited longest, `waits` being what tells those that still do.
    pub fn pop(&mut self, waits: impl Fn(&T) -> bool) -> Option<T> {
        if self.left > 0 && self.left * 2 >= self.list.len() {
            self.list.retain(&waits);
            self.left = 0;
        }
        while let Some(one) = self.list.pop_front() {
            if waits(&one) {
                return Some(one);
            }
            self.left = self.left.saturating_sub(1);
        }
        None
    }

    /// Puts one back that had waited longest.
    pub fn put_back(&mut self, one: T) {
        self.list.push_front(one);
    }

    /// One waits no more, for it is served or has gone.
    pub fn left_one(&mut self) {
        self.left += 1;
    }

    /// How many are in the list, at most twice those that wait.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}
