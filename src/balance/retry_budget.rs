//! How many requests may be sent again: a share of all requests, so that servers that fail under
//! load are not given the finishing stroke by retries (Finagle's and linkerd's budget).
//!
//! Each request puts a part of a token into a bucket, and each retry takes a whole one out. A few
//! come by themselves with time, or an upstream with few requests could never retry. All workers
//! share the bucket; while it is full, which is nearly always, requests only look at it.

use std::sync::atomic::{AtomicU64, Ordering};

/// A token, in the unit of the bucket.
const TOKEN: u64 = 1000;

/// What the bucket holds at most: so many retries may come at once, as when a server dies that
/// had as many requests under way.
pub const BURST: u64 = 1000;

/// Retries that each second allows, however few requests there are.
pub const RETRIES_PER_SECOND: u64 = 10;

/// The bucket of one upstream.
#[derive(Debug)]
pub struct RetryBudget {
    tokens: AtomicU64,
    /// Up to when time has brought its tokens, in milliseconds.
    filled_at: AtomicU64,
}

impl Default for RetryBudget {
    /// A full bucket.
    fn default() -> RetryBudget {
        RetryBudget { tokens: AtomicU64::new(BURST * TOKEN), filled_at: AtomicU64::new(0) }
    }
}

impl RetryBudget {
    /// A request begins, of which each earns `share` thousandths of a retry.
    pub fn deposit(&self, share: u32) {
        if self.tokens.load(Ordering::Relaxed) < BURST * TOKEN {
            self.add(u64::from(share));
        }
    }

    /// Takes the token for a retry, `now` milliseconds after the same beginning each time, if
    /// there is one.
    #[must_use]
    pub fn withdraw(&self, now: u64) -> bool {
        self.fill(now);
        let take = |tokens: u64| tokens.checked_sub(TOKEN);
        self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    fn fill(&self, now: u64) {
        let before = self.filled_at.fetch_max(now, Ordering::Relaxed);
        if now > before {
            self.add((now - before).saturating_mul(RETRIES_PER_SECOND * TOKEN / 1000));
        }
    }

    fn add(&self, more: u64) {
        let add = |tokens: u64| Some(tokens.saturating_add(more).min(BURST * TOKEN));
        // It always has an answer.
        let _before = self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }
}
