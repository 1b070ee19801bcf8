//! Each server in its turn, as often as its weight says, and the turns of one spread evenly among
//! those of the others (smooth weighted round robin).
//!
//! This is stride scheduling (Waldspurger and Weihl, 1995): each turn of a server takes a stride
//! of virtual time, the shorter the heavier it is, and the server whose turn is due first is next.
//! nginx's way to the same order rewrites every server at each pick, which workers could share
//! only behind a lock; here a pick writes to one server and to the common time. Servers that come,
//! go or change their weight need no new schedule, and those that stay keep their shares.

use std::sync::atomic::{AtomicU64, Ordering};

use super::candidate::{Candidate, WEIGHT_MAX, WEIGHT_UNIT};
use crate::id::ServerId;

/// The stride of a server with a weight of one [`WEIGHT_UNIT`]'s part: the heaviest has one of
/// 1024, which leaves shares exact to a thousandth. A lone server of weight 1 uses up 64 bits of
/// virtual time after 2^44 picks, which are years.
const STRIDE: u64 = 1024 * (WEIGHT_MAX * WEIGHT_UNIT) as u64;

/// When virtual time begins: later than half of the longest stride, so that a first turn may lie
/// before it.
const BEGIN: u64 = STRIDE;

/// How often a pick looks again because another worker has just taken what it found.
const CONTENDED_MAX: usize = 8;

/// When a server had its last turn, in virtual time; 0 before the first.
#[derive(Debug, Default)]
pub struct Turn {
    last: AtomicU64,
}

impl Turn {
    /// What [`Turn::last`] holds, and when the next turn of a server of this weight is due.
    fn due(&self, weight: u32, now: u64) -> (u64, u64) {
        let stride = STRIDE / u64::from(weight.max(1));
        let mut last = self.last.load(Ordering::Relaxed);
        if last == 0 {
            // One that joins is in the middle of its stride: it neither pushes in nor waits long.
            let begin = now - stride / 2;
            let begun = self.last.compare_exchange(0, begin, Ordering::Relaxed, Ordering::Relaxed);
            last = begun.map_or_else(|other| other, |_| begin);
        }
        // One that was away for a while does not make up for what it has missed.
        (last, (last + stride).max(now))
    }
}

/// The common time of an upstream's servers.
#[derive(Debug)]
pub struct RoundRobin {
    now: AtomicU64,
}

impl Default for RoundRobin {
    fn default() -> RoundRobin {
        RoundRobin { now: AtomicU64::new(BEGIN) }
    }
}

impl RoundRobin {
    /// The candidate whose turn it is; `None` only if there is none.
    pub fn pick<'a>(
        &self,
        candidates: &(impl Iterator<Item = Candidate<'a>> + Clone),
    ) -> Option<ServerId> {
        let mut next = None;
        for _ in 0..CONTENDED_MAX {
            let now = self.now.load(Ordering::Relaxed);
            let due = candidates.clone().map(|it| (it.turn.due(it.weight, now), it));
            let ((last, due), first) = due.min_by_key(|((_, due), it)| (*due, it.id))?;
            next = Some(first.id);
            let taken =
                first.turn.last.compare_exchange(last, due, Ordering::Relaxed, Ordering::Relaxed);
            if taken.is_ok() {
                self.now.fetch_max(due, Ordering::Relaxed);
                break;
            }
        }
        next
    }
}
