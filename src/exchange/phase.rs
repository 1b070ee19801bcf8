//! Where a client's connection is between and during its exchanges.
//!
//! ```text
//!            ┌────────────────────── kept ───────────────────────┐
//!            ▼                                                   │
//!   Idle ─first byte─▶ Head ─whole, or refused─▶ Exchanging ─────┤
//!     │                                           │    │         │
//!     │ keep_alive, client gone          broken   │    │     not kept, and the client
//!     ▼                                           ▼    ▼     may still send
//!   Ended ◀─────────────────────────────────── Ended  Ended      ▼
//!     ▲                                          Cutting    Lingering
//!     ├─────────what was sent before has arrived────┘            │
//!     └───────────the client has closed, enough of it────────────┘
//! ```
//!
//! An exchange that switches to another protocol ends all that: the connection is `Upgraded`, and
//! relays bytes from then on.
//!
//! A connection that lingers is closed towards the client, which can still read the answer; what
//! the client sends is thrown away. To close at once while bytes are unread would be a reset, and
//! that would take the answer from it (RFC 9112, section 9.6).

use std::time::Instant;

use crate::error::CloseReason;
use crate::relay::survivor::QueueWatch;

/// What may be thrown away after the last answer, in bytes. Past it the client is not listening.
pub const LINGERING_BYTES_MAX: u64 = 16 << 20;

/// Where a client's connection is; the diagram stands above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing of a request has come.
    Idle {
        /// When it is closed.
        until: Instant,
        /// No request has come yet, so that the time for a head is running already.
        is_first: bool,
    },
    /// Part of a request's head has come.
    Head {
        /// When it is refused.
        until: Instant,
    },
    /// An exchange is under way; its deadlines are its own.
    Exchanging,
    /// The last answer is out; what still comes is thrown away.
    Lingering {
        /// When that ends.
        until: Instant,
        /// How many bytes more are read.
        left: u64,
        /// What the connection will have ended with.
        reason: CloseReason,
    },
    /// A response that has begun cannot go on. The client is reset once its kernel has sent all
    /// that it was given: there may be whole responses in front of the broken one.
    Cutting {
        /// What the connection will have ended with.
        reason: CloseReason,
        /// What the client's send queue holds meanwhile.
        watch: QueueWatch,
    },
    /// Both sides have left HTTP.
    Upgraded,
    /// Over.
    Ended(End),
}

impl Phase {
    /// When the phase has lasted too long; `None` where that is the exchange's to say.
    pub fn deadline(self) -> Option<Instant> {
        match self {
            Phase::Idle { until, .. } | Phase::Head { until } | Phase::Lingering { until, .. } => {
                Some(until)
            }
            Phase::Cutting { watch, .. } => Some(watch.deadline()),
            Phase::Exchanging | Phase::Upgraded | Phase::Ended(_) => None,
        }
    }
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Why.
    pub reason: CloseReason,
    /// By a reset: what was sent last must not look complete.
    pub is_cut: bool,
}

impl End {
    /// By a close: all that was said is whole.
    pub fn orderly(reason: CloseReason) -> End {
        End { reason, is_cut: false }
    }

    /// By a reset.
    pub fn cut(reason: CloseReason) -> End {
        End { reason, is_cut: true }
    }
}
