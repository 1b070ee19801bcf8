//! From serving to the end: what a signal and the passing of time lead to. Pure: the time is an
//! argument.
//!
//! ```text
//!             all workers answer            TERM, INT              drain_grace over
//!  Starting ────────────────────▶ Serving ───────────▶ Grace{until} ───────────▶ Draining{until}
//!      │                                                   │                        │       ▲
//!      └──────────── TERM, INT: as from Serving            └──── a second signal: ──┴───────┘
//!                                                                until = now
//! ```
//!
//! In `Grace` the process serves as before and only says that it is not ready, so that load
//! balancers turn away before anybody is refused. In `Draining` the workers accept nothing more;
//! at `until` they cut what is left.

use std::time::{Duration, Instant};

/// How far the process is in its life, as the control plane sees it. The workers know less: see
/// [`crate::snapshot::Stage`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not every worker has answered yet.
    Starting,
    /// Ready.
    Serving,
    /// Told to end, and still accepting.
    Grace { until: Instant },
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
            Phase::Grace { .. } => Phase::Draining { until: now },
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
            Phase::Serving => "serving",
            Phase::Grace { .. } => "grace",
            Phase::Draining { .. } => "draining",
        }
    }

    /// Whether the process was told to end.
    pub(super) fn is_ending(self) -> bool {
        matches!(self, Phase::Grace { .. } | Phase::Draining { .. })
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
