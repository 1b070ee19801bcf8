//! A token bucket in one atomic word, without a timer that fills it: the generic cell rate
//! algorithm (GCRA; ITU-T I.371, annex A).
//!
//! ```text
//!             now                full_at                        tokens are time here:
//!   ───────────┼────────────────────┼──────────▶                 what costs 3 ms fills the
//!              │◀──── missing ─────▶│                            bucket 3 ms later
//!              │◀────────────── capacity ──────────────▶│
//!              │                    │◀── there now ────▶│
//! ```
//!
//! Kept is only when the bucket will be full again. What is taken moves that away by its cost;
//! time brings it nearer by passing. In any span of time no more is taken than fits into the
//! bucket and flows in meanwhile, whoever takes: all workers share a bucket, and a
//! compare-and-swap is all that they need for it.

use std::sync::atomic::{AtomicU64, Ordering};

/// Nanoseconds: a moment since [`super::Limits`] began, or what something costs.
pub type Nanos = u64;

/// A bucket. Full in the beginning.
#[derive(Debug, Default)]
pub struct Bucket {
    full_at: AtomicU64,
}

/// What is asked of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// What would be best.
    pub most: Nanos,
    /// Less than this is of no use.
    pub least: Nanos,
    /// What the bucket holds when it is full.
    pub capacity: Nanos,
}

/// So far apart the clocks of two workers may be, each of which looks at it once a turn.
const CLOCKS_APART_MAX: Nanos = 1_000_000_000;

impl Bucket {
    /// Takes as much as there is of what is asked for.
    ///
    /// # Errors
    /// The least is not there: how long until it is, if nobody else takes any.
    pub fn take(&self, demand: Demand, now: Nanos) -> Result<Nanos, Nanos> {
        let Demand { most, least, capacity } = demand;
        // Nothing else is published with a bucket, so no ordering is needed. A worker whose clock
        // is a little behind finds the bucket less full than it is, never fuller.
        let mut full_at = self.full_at.load(Ordering::Relaxed);
        loop {
            let empty = now.saturating_add(capacity);
            if full_at > empty.saturating_add(CLOCKS_APART_MAX) {
                // Taken at a slower rate, before a reload: no more is owed than the bucket holds.
                let swapped = self.full_at.compare_exchange(
                    full_at,
                    empty,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                );
                full_at = swapped.map_or_else(|found| found, |_| empty);
                continue;
            }
            let there = capacity.saturating_sub(full_at.saturating_sub(now));
            if there < least {
                return Err(least - there);
            }
            let taken = most.min(there);
            let after = full_at.max(now).saturating_add(taken);
            let swapped = self.full_at.compare_exchange_weak(
                full_at,
                after,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            match swapped {
                Ok(_) => return Ok(taken),
                Err(found) => full_at = found,
            }
        }
    }

    /// Gives back what was taken and not used. More than the bucket holds runs over.
    pub fn give_back(&self, unused: Nanos) {
        let subtract = |full_at: u64| Some(full_at.saturating_sub(unused));
        let _always =
            self.full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, subtract).is_ok();
    }

    /// When it is full again: as if nobody had ever taken anything.
    pub fn full_at(&self) -> Nanos {
        self.full_at.load(Ordering::Relaxed)
    }

    /// Fills it.
    pub fn fill(&self) {
        self.full_at.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn take(bucket: &Bucket, cost: Nanos, now: Nanos) -> Result<Nanos, Nanos> {
        bucket.take(Demand { most: cost, least: cost, capacity: 100 }, now)
    }

    #[test]
    fn a_full_bucket_is_emptied_and_fills_with_time() {
        let bucket = Bucket::default();
        assert_eq!(take(&bucket, 60, 1000), Ok(60));
        assert_eq!(take(&bucket, 60, 1000), Err(20));
        assert_eq!(take(&bucket, 40, 1000), Ok(40));
        assert_eq!(take(&bucket, 1, 1000), Err(1));
        assert_eq!(take(&bucket, 60, 1020), Err(40));
        assert_eq!(take(&bucket, 60, 1060), Ok(60));
        assert_eq!(bucket.full_at(), 1160);
        assert_eq!(take(&bucket, 101, 5000), Err(1), "more than it holds never comes");
    }

    #[test]
    fn what_is_owed_is_no_more_than_the_bucket_holds() {
        let bucket = Bucket::default();
        let hour = 3_600_000_000_000;
        let slow = Demand { most: hour, least: hour, capacity: hour };
        assert_eq!(bucket.take(slow, 50), Ok(hour));
        assert_eq!(take(&bucket, 60, 50), Err(60), "another rate holds: empty, and no more");
        assert_eq!(take(&bucket, 60, 110), Ok(60));
    }

    #[test]
    fn what_is_given_back_is_there_again() {
        let bucket = Bucket::default();
        assert_eq!(take(&bucket, 100, 50), Ok(100));
        bucket.give_back(30);
        assert_eq!(take(&bucket, 31, 50), Err(1));
        assert_eq!(take(&bucket, 30, 50), Ok(30));
        bucket.give_back(1000);
        assert_eq!(take(&bucket, 101, 50), Err(1), "what is too much runs over");
    }

    proptest! {
        /// What counts: in no span of time is more taken than the bucket holds and what flows in.
        #[test]
        fn never_more_than_capacity_and_time(
            capacity in 1u64..10_000,
            steps in prop::collection::vec((0u64..500, 1u64..800, 0u64..100), 1..200),
        ) {
            let bucket = Bucket::default();
            let (mut now, mut taken) = (0, Vec::new());
            for (pause, most, unused) in steps {
                now += pause;
                let demand = Demand { most, least: most.min(3), capacity };
                if let Ok(got) = bucket.take(demand, now) {
                    let unused = unused.min(got);
                    bucket.give_back(unused);
                    taken.push((now, got - unused));
                }
            }
            for (start, (begin, _)) in taken.iter().enumerate() {
                let mut sum = 0;
                for (end, got) in &taken[start..] {
                    sum += got;
                    prop_assert!(sum <= capacity + (end - begin), "{sum} in {}", end - begin);
                }
            }
        }

        /// Whoever comes when he was told to finds what he asked for.
        #[test]
        fn the_wait_is_right(capacity in 1u64..10_000, cost in 1u64..10_000, now in 0u64..1000) {
            let (bucket, cost) = (Bucket::default(), cost.min(capacity));
            let all = Demand { most: capacity, least: capacity, capacity };
            prop_assert_eq!(bucket.take(all, now), Ok(capacity));
            let one = Demand { most: cost, least: cost, capacity };
            prop_assert_eq!(bucket.take(one, now), Err(cost));
            prop_assert_eq!(bucket.take(one, now + cost - 1), Err(1));
            prop_assert_eq!(bucket.take(one, now + cost), Ok(cost));
        }
    }

    #[test]
    fn threads_together_take_no_more_than_one_would() {
        let bucket = Bucket::default();
        let demand = Demand { most: 1, least: 1, capacity: 10_000 };
        let count = || (0..5_000).filter(|_| bucket.take(demand, 7).is_ok()).count();
        let taken = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
        });
        assert_eq!(taken, 10_000);
    }
}
