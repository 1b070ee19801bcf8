//! Whether the workers still answer. The control plane pulls their wakers at intervals; each
//! worker that runs its loop raises its heartbeat in return. Pure: heartbeats and the time are
//! arguments.

use std::time::{Duration, Instant};

/// What is known about the heartbeats of all workers.
#[derive(Debug)]
pub(super) struct Pulse(Vec<Beat>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beat {
    /// Every question was answered; `ever` tells apart that none was asked yet.
    Answered { heartbeat: u64, ever: bool },
    /// Was asked at `since`, perhaps again later, and has not answered.
    Silent { heartbeat: u64, ever: bool, since: Instant },
    /// Has ended in good order.
    Ended,
}

/// A worker that does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Silence {
    pub(super) worker: usize,
    pub(super) lasts: Duration,
}

impl Pulse {
    /// Nobody was asked yet; `heartbeats` are the present ones.
    pub(super) fn new(heartbeats: impl IntoIterator<Item = u64>) -> Pulse {
        let beat = |heartbeat| Beat::Answered { heartbeat, ever: false };
        Pulse(heartbeats.into_iter().map(beat).collect())
    }

    /// Takes note of the present heartbeat of a worker.
    pub(super) fn heard(&mut self, worker: usize, now: u64) {
        let beat = &mut self.0[worker];
        match *beat {
            Beat::Answered { heartbeat, .. } | Beat::Silent { heartbeat, .. }
                if heartbeat != now =>
            {
                *beat = Beat::Answered { heartbeat: now, ever: true };
            }
            _ => {}
        }
    }

    /// A worker's waker is pulled now.
    pub(super) fn asked(&mut self, worker: usize, now: Instant) {
        let beat = &mut self.0[worker];
        if let Beat::Answered { heartbeat, ever } = *beat {
            *beat = Beat::Silent { heartbeat, ever, since: now };
        }
    }

    /// A worker has ended in good order and is not expected to answer any more.
    pub(super) fn ended(&mut self, worker: usize) {
        self.0[worker] = Beat::Ended;
    }

    /// Whether every worker has answered at least once.
    pub(super) fn all_have_answered(&self) -> bool {
        self.0.iter().all(|beat| match beat {
            Beat::Answered { ever, .. } | Beat::Silent { ever, .. } => *ever,
            Beat::Ended => true,
        })
    }

    /// The worker that has been silent for longest, if any is.
    pub(super) fn longest_silence(&self, now: Instant) -> Option<Silence> {
        let silences = self.0.iter().enumerate().filter_map(|(worker, beat)| match beat {
            Beat::Silent { since, .. } => {
                Some(Silence { worker, lasts: now.saturating_duration_since(*since) })
            }
            _ => None,
        });
        silences.max_by_key(|silence| silence.lasts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn silence_lasts_from_the_first_question_without_an_answer() {
        let start = Instant::now();
        let mut pulse = Pulse::new([7, 0]);
        assert_eq!(pulse.longest_silence(start), None);
        for worker in [0, 1] {
            pulse.asked(worker, start);
        }
        pulse.heard(0, 8);
        pulse.heard(1, 0);
        pulse.asked(0, start + SECOND);
        pulse.asked(1, start + SECOND);
        let silence = pulse.longest_silence(start + 3 * SECOND);
        assert_eq!(silence, Some(Silence { worker: 1, lasts: 3 * SECOND }));
        pulse.heard(1, 1);
        let silence = pulse.longest_silence(start + 3 * SECOND);
        assert_eq!(silence, Some(Silence { worker: 0, lasts: 2 * SECOND }));
        pulse.ended(0);
        assert_eq!(pulse.longest_silence(start + 9 * SECOND), None);
    }

    #[test]
    fn everybody_has_to_answer_once() {
        let start = Instant::now();
        let mut pulse = Pulse::new([5, 5]);
        assert!(!pulse.all_have_answered());
        pulse.asked(0, start);
        pulse.heard(0, 6);
        assert!(!pulse.all_have_answered());
        pulse.heard(1, 6);
        assert!(pulse.all_have_answered());
        pulse.asked(0, start + SECOND);
        assert!(pulse.all_have_answered(), "a new question takes back no answer");
    }

    #[test]
    fn a_worker_that_has_ended_stays_so() {
        let mut pulse = Pulse::new([0]);
        pulse.ended(0);
        pulse.asked(0, Instant::now());
        pulse.heard(0, 1);
        assert_eq!(pulse.longest_silence(Instant::now() + SECOND), None);
        assert!(pulse.all_have_answered());
    }
}
