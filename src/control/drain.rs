//! From serving to the end: what a signal and the passing of time lead to. Pure: the time is an
//! argument.
//!
//! ```text
//!             all workers answer            TERM, INT              drain_grace over
//!  Starting ────────────────────▶ Serving ───────────▶ Grace{until} ───────────▶ Draining{until}
//!   │  │                           ▲   │                   │                        │       ▲
//!   │  └──────── TERM, INT: as from│Serving                └──── a second signal: ──┴───────┤
//!   │                              │   │                         until = now                │
//!   └─▶ Standby ───────────────────┘   └─▶ HandedOver{until} ──── TERM, INT ────────────────┘
//!     in an upgrade      the predecessor   a successor serves
//!                        lets go
//! ```
//!
//! In `Grace` the process serves as before and only says that it is not ready, so that load
//! balancers turn away before anybody is refused. In `Draining` the workers accept nothing more;
//! at `until` they cut what is left.

use std::time::{Duration, Instant};

use crate::snapshot::Stage;

/// How far the process is in its life, as the control plane sees it. The workers know less: see
/// [`crate::snapshot::Stage`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not every worker has answered yet.
    Starting,
    /// Every worker has answered, and a predecessor accepts still.
    Standby,
    /// Ready.
    Serving,
    /// Told to end, and still accepting.
    Grace { until: Instant },
    /// A successor accepts.
    HandedOver { until: Instant },
    /// Accepting no more.
    Draining { until: Instant },
}

/// `process.drain_grace` and `process.drain_timeout`.
#[derive(Debug, Clone, Copy)]
pub(super) struct DrainTimes {
    pub(super) grace: Duration,
    pub(super) timeout: Duration,
}

impl Phase {
    /// The phase after a signal to end.
    pub(super) fn told_to_end(self, now: Instant, times: DrainTimes) -> Phase {
        match self {
            Phase::Starting | Phase::Serving => {
                Phase::Grace { until: now + times.grace }.at(now, times)
            }
            // Clients are the predecessor's.
            Phase::Standby | Phase::Grace { .. } => Phase::Draining { until: now },
            Phase::HandedOver { until } => {
                Phase::Draining { until: until.min(now + times.timeout) }
            }
            Phase::Draining { until } => Phase::Draining { until: until.min(now) },
        }
    }

    /// The phase at an instant, if nothing else happens.
    pub(super) fn at(self, now: Instant, times: DrainTimes) -> Phase {
        match self {
            Phase::Grace { until } if until <= now => {
                Phase::Draining { until: now + times.timeout }
            }
            other => other,
        }
    }

    /// As `/status` and the log call it.
    pub(super) fn label(self) -> &'static str {
        match self {
            Phase::Starting => "starting",
            Phase::Standby => "standby",
            Phase::Serving => "serving",
            Phase::Grace { .. } => "grace",
            Phase::HandedOver { .. } => "handed_over",
            Phase::Draining { .. } => "draining",
        }
    }

    /// Whether the process is about to end.
    pub(super) fn is_ending(self) -> bool {
        matches!(self, Phase::Grace { .. } | Phase::HandedOver { .. } | Phase::Draining { .. })
    }

    /// When connections that are left are cut, where that is decided.
    pub(super) fn cuts_at(self) -> Option<Instant> {
        match self {
            Phase::HandedOver { until } | Phase::Draining { until } => Some(until),
            Phase::Starting | Phase::Standby | Phase::Serving | Phase::Grace { .. } => None,
        }
    }

    /// What the workers are to do in it; `None` where nothing changes for them.
    pub(super) fn stage(self) -> Option<Stage> {
        match self {
            Phase::Starting | Phase::Standby | Phase::Grace { .. } => None,
            Phase::Serving => Some(Stage::Serving),
            Phase::HandedOver { until } => Some(Stage::HandedOver { until }),
            Phase::Draining { until } => Some(Stage::Draining { until }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_and_time_lead_to_the_end() {
        let start = Instant::now();
        let second = |count| start + Duration::from_secs(count);
        let times = DrainTimes { grace: Duration::from_secs(5), timeout: Duration::from_secs(30) };
        let signal = |phase: Phase, at: u64, expected: Phase| {
            assert_eq!(phase.told_to_end(second(at), times), expected, "{phase:?}");
        };
        signal(Phase::Serving, 1, Phase::Grace { until: second(6) });
        signal(Phase::Starting, 1, Phase::Grace { until: second(6) });
        signal(Phase::Grace { until: second(6) }, 3, Phase::Draining { until: second(3) });
        signal(Phase::Standby, 1, Phase::Draining { until: second(1) });
        signal(Phase::HandedOver { until: second(99) }, 3, Phase::Draining { until: second(33) });
        signal(Phase::HandedOver { until: second(9) }, 3, Phase::Draining { until: second(9) });
        signal(Phase::Draining { until: second(36) }, 9, Phase::Draining { until: second(9) });
        signal(Phase::Draining { until: second(2) }, 9, Phase::Draining { until: second(2) });

        let time = |phase: Phase, at: u64, expected: Phase| {
            assert_eq!(phase.at(second(at), times), expected, "{phase:?}");
        };
        time(Phase::Serving, 99, Phase::Serving);
        time(Phase::Grace { until: second(6) }, 5, Phase::Grace { until: second(6) });
        time(Phase::Grace { until: second(6) }, 6, Phase::Draining { until: second(36) });
        time(Phase::Draining { until: second(6) }, 9, Phase::Draining { until: second(6) });
    }

    #[test]
    fn without_grace_the_drain_begins_at_once() {
        let now = Instant::now();
        let times = DrainTimes { grace: Duration::ZERO, timeout: Duration::from_secs(30) };
        let expected = Phase::Draining { until: now + times.timeout };
        assert_eq!(Phase::Serving.told_to_end(now, times), expected);
    }
}
