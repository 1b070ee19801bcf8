//! The circuit breaker of a server: open while it is ejected, half-open while one request tries
//! whether it is well again.
//!
//! ```text
//!             too many errors                  its time is over, a request is spared
//!   Closed ───────────────────▶ Open{until} ──────────────────────────────────────▶ HalfOpen{until}
//!     ▲                            ▲                                                   │ │
//!     │                            └────────────────── it fails: longer ───────────────┘ │
//!     └─────────────────────────────────────────────── it succeeds ──────────────────────┘
//! ```
//!
//! A trial that nobody hears of again, because its client has left, is given up after a while: then
//! another one may be made.

/// Where a circuit is. Times are milliseconds since the same beginning each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The server gets its share.
    Closed {
        /// Since when; 0 for ever.
        since: u64,
    },
    /// It gets nothing.
    Open {
        /// Until when.
        until: u64,
    },
    /// One request tries it.
    HalfOpen {
        /// When that is given up.
        until: u64,
    },
}

/// A circuit: where it is, and how often in a row it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circuit {
    /// Where it is.
    pub state: State,
    /// How often it was opened, lately.
    pub trips: u8,
}

/// How long a circuit stays open, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenTimes {
    /// The first time; then twice as long each time, until it has been closed for `max`.
    pub base: u64,
    /// The longest.
    pub max: u64,
}

impl OpenTimes {
    fn nth(self, trips: u8) -> u64 {
        let doubled = self.base.saturating_mul(1 << u32::from(trips.clamp(1, 40) - 1));
        doubled.min(self.max.max(self.base))
    }
}

impl Circuit {
    /// That of a server that was never ejected.
    pub const CLOSED: Circuit = Circuit { state: State::Closed { since: 0 }, trips: 0 };

    /// Whether the server is ejected, on trial or not.
    pub fn is_open(self) -> bool {
        !matches!(self.state, State::Closed { .. })
    }

    /// Whether a request may try the server now.
    pub fn awaits_trial(self, now: u64) -> bool {
        match self.state {
            State::Closed { .. } => false,
            State::Open { until } | State::HalfOpen { until } => now >= until,
        }
    }

    /// Opens it, for longer than the last time.
    #[must_use]
    pub fn opened(self, now: u64, times: OpenTimes) -> Circuit {
        let is_forgotten = matches!(
            self.state, State::Closed { since } if now.saturating_sub(since) > times.max
        );
        let trips = if is_forgotten { 1 } else { self.trips.saturating_add(1) };
        Circuit { state: State::Open { until: now + times.nth(trips) }, trips }
    }

    /// One request tries the server.
    #[must_use]
    pub fn tried(self, now: u64, times: OpenTimes) -> Circuit {
        Circuit { state: State::HalfOpen { until: now + times.base }, ..self }
    }

    /// The trial went well.
    #[must_use]
    pub fn closed(self, now: u64) -> Circuit {
        Circuit { state: State::Closed { since: now.max(1) }, ..self }
    }

    /// The 64 bits that stand for it: 54 of a time, 8 of the trips, 2 of the state. So workers can
    /// change it together, one by one.
    pub fn pack(self) -> u64 {
        let (kind, at) = match self.state {
            State::Closed { since } => (0, since),
            State::Open { until } => (1, until),
            State::HalfOpen { until } => (2, until),
        };
        at << 10 | u64::from(self.trips) << 2 | kind
    }

    /// The circuit that `bits`, made by [`Circuit::pack`], stand for.
    pub fn unpack(bits: u64) -> Circuit {
        let at = bits >> 10;
        let state = match bits & 3 {
            0 => State::Closed { since: at },
            1 => State::Open { until: at },
            _ => State::HalfOpen { until: at },
        };
        Circuit { state, trips: (bits >> 2) as u8 }
    }
}
