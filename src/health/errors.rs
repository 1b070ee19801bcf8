//! What becomes of the traffic of one server: errors in a row, and their share of a window of time.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// What are too many errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorLimits {
    /// So many in a row; 0 for no such limit.
    pub consecutive: u32,
    /// So many thousandths of what was tried in a window; 0 for no such limit.
    pub rate: u32,
    /// The length of a window, in milliseconds.
    pub window: u64,
    /// With less than so many in a window, their share says nothing.
    pub volume_min: u32,
}

/// The counts of one server, written by all workers. A window that ends while several of them
/// count may lose a few.
#[derive(Debug, Default)]
pub struct Errors {
    consecutive: AtomicU32,
    began_at: AtomicU64,
    failed: AtomicU32,
    total: AtomicU32,
}

impl Errors {
    /// Something went well at `now`, in milliseconds.
    pub fn succeeded(&self, limits: &ErrorLimits, now: u64) {
        if self.consecutive.load(Ordering::Relaxed) != 0 {
            self.consecutive.store(0, Ordering::Relaxed);
        }
        if limits.rate > 0 {
            self.turn_window(limits, now);
            self.total.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Something failed at `now`, in milliseconds. Says whether that is too much.
    #[must_use]
    pub fn failed(&self, limits: &ErrorLimits, now: u64) -> bool {
        let consecutive = self.consecutive.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if limits.consecutive > 0 && consecutive >= limits.consecutive {
            return true;
        }
        if limits.rate == 0 {
            return false;
        }
        self.turn_window(limits, now);
        let total = self.total.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let failed = self.failed.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        total >= limits.volume_min
            && u64::from(failed) * 1000 >= u64::from(total) * u64::from(limits.rate)
    }

    /// Forgets all: a server that comes back is not held responsible for what was.
    pub fn clear(&self) {
        self.consecutive.store(0, Ordering::Relaxed);
        self.failed.store(0, Ordering::Relaxed);
        self.total.store(0, Ordering::Relaxed);
    }

    fn turn_window(&self, limits: &ErrorLimits, now: u64) {
        let began_at = self.began_at.load(Ordering::Relaxed);
        if now.saturating_sub(began_at) < limits.window {
            return;
        }
        let turned =
            self.began_at.compare_exchange(began_at, now, Ordering::Relaxed, Ordering::Relaxed);
        if turned.is_ok() {
            self.failed.store(0, Ordering::Relaxed);
            self.total.store(0, Ordering::Relaxed);
        }
    }
}
