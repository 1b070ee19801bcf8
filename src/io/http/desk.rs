//! What the exchanges of a worker share, so that nothing is allocated for one in the steady
//! state: memory that is used again, request ids, the date.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant, SystemTime};

use crate::config::HttpTimeouts;
use crate::exchange::Exchange;
use crate::http::date::HttpDate;
use crate::http::edits::HeaderEdits;
use crate::http::request_id::RequestId;
use crate::relay::policy::Expectation;

/// Exchanges whose memory is kept for others.
pub const EXCHANGES_KEPT_MAX: usize = 256;

/// The memory of an exchange with larger heads is not kept, in bytes.
pub const EXCHANGE_MEMORY_KEPT_MAX: usize = 16 * 1024;

/// How old the date of an answer may be.
const DATE_AGE_MAX: Duration = Duration::from_millis(500);

/// What the exchanges of one worker share.
#[derive(Debug)]
pub struct Desk {
    /// In boxes, so that nothing is moved or allocated where one changes hands.
    #[allow(clippy::vec_box)]
    exchanges: Vec<Box<Exchange>>,
    /// Where heads are written.
    pub(super) head: Vec<u8>,
    /// Where the value of a cookie is written.
    pub(super) cookie: Vec<u8>,
    /// Where what follows a body's own bytes is written.
    pub(super) tail: Vec<u8>,
    /// For a request without a route.
    pub(super) no_edits: HeaderEdits,
    /// By upstream: what its responses so far tell of the size of the next.
    pub(super) expectations: Vec<Expectation>,
    random: RandomState,
    requests: u64,
    date: HttpDate,
    unix_seconds: u64,
    date_at: Option<Instant>,
}

impl Desk {
    /// An empty desk, for so many upstreams.
    pub fn new(upstreams: usize) -> Desk {
        Desk {
            exchanges: Vec::new(),
            head: Vec::new(),
            cookie: Vec::new(),
            tail: Vec::new(),
            no_edits: HeaderEdits::default(),
            expectations: vec![Expectation::default(); upstreams],
            random: RandomState::new(),
            requests: 0,
            date: HttpDate::from_unix(0),
            unix_seconds: 0,
            date_at: None,
        }
    }

    /// There are so many upstreams now.
    pub fn adopt(&mut self, upstreams: usize) {
        self.expectations.resize(upstreams, Expectation::default());
    }

    /// An exchange to begin, with a name of its own.
    pub fn take(&mut self, timeouts: HttpTimeouts, now: Instant) -> Box<Exchange> {
        let mut exchange = match self.exchanges.pop() {
            Some(mut exchange) => {
                exchange.restart(timeouts, now);
                exchange
            }
            None => Box::new(Exchange::new(timeouts, now)),
        };
        exchange.request_id = self.request_id();
        exchange
    }

    /// Takes back an exchange that is over.
    pub fn put_back(&mut self, exchange: Box<Exchange>) {
        let is_small = exchange.memory() <= EXCHANGE_MEMORY_KEPT_MAX;
        if is_small && self.exchanges.len() < EXCHANGES_KEPT_MAX {
            self.exchanges.push(exchange);
        }
    }

    /// An id that no other request has: a keyed hash of a count, so that none tells of another.
    fn request_id(&mut self) -> RequestId {
        self.requests += 1;
        let half = |which: u8| u128::from(self.random.hash_one((self.requests, which)));
        RequestId::new(half(0) << 64 | half(1))
    }

    /// The date, brought up to date at most twice a second.
    pub fn refresh_date(&mut self, now: Instant) {
        let is_old = |at: Instant| now.saturating_duration_since(at) >= DATE_AGE_MAX;
        if self.date_at.is_none_or(is_old) {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            // A clock that stands before 1970 is not worth a failure.
            self.unix_seconds = since.unwrap_or_default().as_secs();
            self.date = HttpDate::from_unix(self.unix_seconds);
            self.date_at = Some(now);
        }
    }

    /// The time as [`Desk::refresh_date`] left it, in seconds since 1970.
    pub fn unix_seconds(&self) -> u64 {
        self.unix_seconds
    }

    /// The date as [`Desk::refresh_date`] left it.
    pub fn date(&self) -> &str {
        self.date.as_str()
    }
}
