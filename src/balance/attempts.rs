//! Attempts to reach a server: one after the other on different servers, until one answers or
//! enough were tried.

use std::time::{Duration, Instant};

use crate::id::ServerId;

/// The most that `retries.max` may be: further attempts would find what these have found.
pub const RETRIES_MAX: usize = 7;

/// Attempts beyond the first unless the config says otherwise.
pub const RETRIES_DEFAULT: u32 = 2;

/// What to do after an attempt has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterFailure {
    /// Pick another server, and [`Attempts::begin`] again.
    Retry,
    /// Nothing: enough were tried.
    GiveUp,
}

/// Servers that need not be asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tried {
    servers: [ServerId; RETRIES_MAX],
    count: u8,
    /// Asked again only where there is no other.
    last_resort: Option<ServerId>,
}

impl Tried {
    /// Whether a server need not be asked again.
    pub fn contains(&self, server: ServerId) -> bool {
        self.servers[..usize::from(self.count)].contains(&server)
            || self.last_resort == Some(server)
    }

    /// The same, where there is no other.
    #[must_use]
    pub fn without_last_resort(self) -> Option<Tried> {
        let has_one = self.last_resort.is_some();
        let mut without = self;
        without.last_resort = None;
        has_one.then_some(without)
    }

    fn insert(&mut self, server: ServerId) {
        if let Some(place) = self.servers.get_mut(usize::from(self.count)) {
            *place = server;
            self.count += 1;
        }
    }
}

/// The attempts so far.
#[derive(Debug, Clone, Copy)]
pub struct Attempts {
    /// The server that is tried now, or that was reached.
    server: Option<ServerId>,
    /// It counts as one of that server's connections.
    holds_place: bool,
    /// It waits for a server that has room.
    is_queued: bool,
    tried: Tried,
    /// Attempts begun, and how many there may be.
    begun: u32,
    max: u32,
    /// When the current attempt was begun.
    began_at: Instant,
    /// How long the successful attempt took.
    took: Option<Duration>,
}

impl Attempts {
    /// None yet; `retries` more than the first may follow.
    pub fn new(retries: u32, now: Instant) -> Attempts {
        Attempts {
            server: None,
            holds_place: false,
            is_queued: false,
            tried: Tried::default(),
            begun: 0,
            max: retries.min(RETRIES_MAX as u32) + 1,
            began_at: now,
            took: None,
        }
    }

    /// The server that is tried now, or that was reached; `None` while there is none yet.
    pub fn server(&self) -> Option<ServerId> {
        self.server
    }

    /// The servers that failed.
    pub fn tried(&self) -> &Tried {
        &self.tried
    }

    /// Attempts beyond the first.
    pub fn retries(&self) -> u32 {
        self.begun.saturating_sub(1)
    }

    /// How long the successful attempt took.
    pub fn took(&self) -> Option<Duration> {
        self.took
    }

    /// An attempt begins, on a server that was picked and counts it from now on.
    pub fn begin(&mut self, server: ServerId, now: Instant) {
        debug_assert!(!self.holds_place, "the place on the server before was given back");
        self.begun += 1;
        self.server = Some(server);
        self.holds_place = true;
        self.began_at = now;
        self.took = None;
    }

    /// The server that counts this attempt, which whoever asks is to tell that it is over. Answers
    /// once for each attempt.
    pub fn take_place(&mut self) -> Option<ServerId> {
        self.server.filter(|_| std::mem::take(&mut self.holds_place))
    }

    /// No server has room: it waits in a queue.
    pub fn queue(&mut self) {
        self.is_queued = true;
    }

    /// Whether it waits in a queue.
    pub fn is_queued(&self) -> bool {
        self.is_queued
    }

    /// Whether it waited in a queue, which whoever asks is to tell that it does no more. Answers
    /// once.
    pub fn take_queued(&mut self) -> bool {
        std::mem::take(&mut self.is_queued)
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

    /// The server could not be connected to: it is not asked again.
    pub fn failed(&mut self) -> AfterFailure {
        debug_assert!(!self.holds_place, "its place is given back first");
        if let Some(server) = self.server {
            self.tried.insert(server);
        }
        self.after_failure()
    }

    /// A connection has died before it was of use. Its server is asked again where there is no
    /// other.
    pub fn lost(&mut self) -> AfterFailure {
        self.tried.last_resort = self.server;
        self.after_failure()
    }

    /// A connection that was kept has died before it took a byte, which says nothing of its
    /// server: that is asked again.
    pub fn went_stale(&mut self) -> AfterFailure {
        self.tried.last_resort = None;
        self.after_failure()
    }

    /// Whether another attempt may follow this one.
    pub fn may_retry(&self) -> bool {
        self.begun < self.max
    }

    fn after_failure(&self) -> AfterFailure {
        if self.may_retry() { AfterFailure::Retry } else { AfterFailure::GiveUp }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Picks as a balancer does that has no opinion.
    fn next(attempts: &Attempts, servers: u32) -> Option<ServerId> {
        let all = || (0..servers).map(ServerId);
        let untried = |tried: &Tried| all().find(|server| !tried.contains(*server));
        let tried = attempts.tried();
        untried(tried).or_else(|| untried(&tried.without_last_resort()?))
    }

    fn begin(attempts: &mut Attempts, server: u32) {
        attempts.begin(ServerId(server), Instant::now());
        assert_eq!(attempts.take_place(), Some(ServerId(server)));
    }

    #[test]
    fn each_server_is_tried_once_and_no_more_than_allowed() {
        let check = |servers, retries, expected: &[u32]| {
            let now = Instant::now();
            let mut attempts = Attempts::new(retries, now);
            let mut tried = Vec::new();
            while let Some(server) = next(&attempts, servers) {
                attempts.begin(server, now);
                tried.push(server.0);
                assert_eq!(attempts.take_place(), Some(server));
                assert_eq!(attempts.take_place(), None);
                if attempts.failed() == AfterFailure::GiveUp {
                    break;
                }
            }
            assert_eq!(tried, expected);
            assert_eq!(attempts.retries() as usize, expected.len() - 1);
        };
        check(1, 2, &[0]);
        check(2, 2, &[0, 1]);
        check(9, 2, &[0, 1, 2]);
        check(9, 0, &[0]);
        check(99, 99, &[0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn a_server_that_lost_a_request_is_the_last_resort() {
        let now = Instant::now();
        let mut attempts = Attempts::new(3, now);
        begin(&mut attempts, 0);
        assert_eq!(attempts.lost(), AfterFailure::Retry);
        assert_eq!(next(&attempts, 2), Some(ServerId(1)), "the other one first");
        begin(&mut attempts, 1);
        assert_eq!(attempts.failed(), AfterFailure::Retry);
        assert_eq!(next(&attempts, 2), Some(ServerId(0)), "there is no other any more");
        begin(&mut attempts, 0);
        assert_eq!(attempts.failed(), AfterFailure::Retry);
        assert_eq!(next(&attempts, 2), None);
    }

    #[test]
    fn a_stale_connection_says_nothing_of_its_server() {
        let now = Instant::now();
        let mut attempts = Attempts::new(2, now);
        begin(&mut attempts, 0);
        assert_eq!(attempts.went_stale(), AfterFailure::Retry);
        assert_eq!(next(&attempts, 2), Some(ServerId(0)));
    }
}
