//! A peer that is to be reset, because what it got is not whole: a reset throws away what its send
//! queue holds, so the queue is watched until it is empty, or nobody takes anything out of it.

use std::time::{Duration, Instant};

/// The first wait before the send queue is looked at again; each further wait is twice as long, up
/// to [`CHECK_INTERVAL_MAX`].
pub const CHECK_INTERVAL_MIN: Duration = Duration::from_millis(1);

/// The longest wait between two looks at the send queue.
pub const CHECK_INTERVAL_MAX: Duration = Duration::from_millis(100);

/// The watch over one send queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueWatch {
    /// How long the queue may stay as it is.
    patience: Duration,
    /// When to look again.
    check_at: Instant,
    /// The wait that `check_at` came from.
    interval: Duration,
    /// What the queue held at the last look.
    unsent: usize,
    /// When the wait is over if the queue does not shrink.
    until: Instant,
}

impl QueueWatch {
    /// The first look is due at once.
    pub fn new(patience: Duration, now: Instant) -> QueueWatch {
        QueueWatch {
            patience,
            check_at: now,
            interval: CHECK_INTERVAL_MIN,
            unsent: usize::MAX,
            until: now + patience,
        }
    }

    /// When to look next, or to give up.
    pub fn deadline(&self) -> Instant {
        self.check_at.min(self.until)
    }

    /// Whether nothing has moved for so long that nothing will.
    pub fn is_over(&self, now: Instant) -> bool {
        now >= self.until
    }

    /// The queue holds `left` bytes that the peer has not acknowledged. As long as they become
    /// fewer, it has time. Says whether the queue is empty.
    pub fn seen(&mut self, left: usize, now: Instant) -> bool {
        if left < self.unsent {
            self.unsent = left;
            self.until = now + self.patience;
        }
        self.check_at = now + self.interval;
        self.interval = (self.interval * 2).min(CHECK_INTERVAL_MAX);
        left == 0
    }
}
