//! Attempts to reach a server: each server in turn, until one answers or enough were tried.

use std::time::{Duration, Instant};

use crate::id::ServerId;

/// Attempts for one client or one request, on different servers, before it is refused.
pub const ATTEMPTS_MAX: u32 = 3;

/// What to do after an attempt has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterFailure {
    /// Try [`Attempts::server`], which is another one now where there is another.
    Retry,
    /// Nothing: enough were tried.
    GiveUp,
}

/// The attempts so far.
#[derive(Debug, Clone, Copy)]
pub struct Attempts {
    /// How many servers the upstream had.
    servers: u32,
    /// The one that is tried now, or that was reached.
    server: ServerId,
    /// Attempts begun.
    begun: u32,
    /// Servers that were tried and did not answer.
    down: u32,
    /// When the current attempt was begun.
    began_at: Instant,
    /// How long the successful attempt took.
    took: Option<Duration>,
}

impl Attempts {
    /// The first attempt begins now, on server `first` of an upstream with `servers` servers.
    pub fn new(servers: u32, first: ServerId, now: Instant) -> Attempts {
        Attempts { servers, server: first, begun: 1, down: 0, began_at: now, took: None }
    }

    /// The server that is tried now, or that was reached.
    pub fn server(&self) -> ServerId {
        self.server
    }

    /// Attempts beyond the first.
    pub fn retries(&self) -> u32 {
        self.begun - 1
    }

    /// How long the successful attempt took.
    pub fn took(&self) -> Option<Duration> {
        self.took
    }

    /// The attempt has succeeded.
    pub fn succeeded(&mut self, now: Instant) {
        self.took = Some(now.saturating_duration_since(self.began_at));
    }

    /// The same where the connection stood before: it took no time.
    #[must_use]
    pub fn standing(self) -> Attempts {
        Attempts { took: self.took.or(Some(Duration::ZERO)), ..self }
    }

    /// The server does not answer: `next`, whose turn it is after it, is tried, each once at most.
    pub fn failed(&mut self, next: ServerId, now: Instant) -> AfterFailure {
        self.down += 1;
        if self.down >= self.servers || self.begun >= ATTEMPTS_MAX {
            return AfterFailure::GiveUp;
        }
        self.begin(next, now);
        AfterFailure::Retry
    }

    /// A connection that was made has died before it was of use: the same server is asked again,
    /// for there may be no other.
    pub fn lost(&mut self, now: Instant) -> AfterFailure {
        if self.begun >= ATTEMPTS_MAX {
            return AfterFailure::GiveUp;
        }
        self.begin(self.server, now);
        AfterFailure::Retry
    }

    fn begin(&mut self, server: ServerId, now: Instant) {
        self.begun += 1;
        self.server = server;
        self.began_at = now;
        self.took = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_is_tried_once_and_three_at_most() {
        let check = |servers, expected: &[u32]| {
            let now = Instant::now();
            let mut attempts = Attempts::new(servers, ServerId(servers - 1), now);
            let mut tried = vec![attempts.server().0];
            let next = |attempts: &Attempts| ServerId((attempts.server().0 + 1) % servers);
            while attempts.failed(next(&attempts), now) == AfterFailure::Retry {
                tried.push(attempts.server().0);
            }
            assert_eq!(tried, expected);
            assert_eq!(attempts.retries() as usize, expected.len() - 1);
        };
        check(1, &[0]);
        check(2, &[1, 0]);
        check(9, &[8, 0, 1]);
    }

    #[test]
    fn a_lost_connection_is_made_again_to_the_same_server() {
        let now = Instant::now();
        let mut attempts = Attempts::new(1, ServerId(0), now);
        assert_eq!(attempts.lost(now), AfterFailure::Retry);
        assert_eq!(attempts.server(), ServerId(0));
        let refused = attempts.failed(ServerId(0), now);
        assert_eq!(refused, AfterFailure::GiveUp, "it refuses now");
        assert_eq!(attempts.lost(now), AfterFailure::Retry);
        assert_eq!(attempts.lost(now), AfterFailure::GiveUp);
    }

    #[test]
    fn a_server_that_dies_leaves_the_others_to_be_tried() {
        let now = Instant::now();
        let mut attempts = Attempts::new(2, ServerId(0), now);
        assert_eq!(attempts.lost(now), AfterFailure::Retry);
        let refused = attempts.failed(ServerId(1), now);
        assert_eq!(refused, AfterFailure::Retry, "the other one was not asked yet");
        assert_eq!(attempts.server(), ServerId(1));
        assert_eq!(attempts.failed(ServerId(0), now), AfterFailure::GiveUp);
    }
}
