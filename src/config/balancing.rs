//! What `[upstreams.NAME]` says of choosing among servers, and of servers that fail.

use std::path::PathBuf;
use std::time::Duration;

use crate::balance::attempts::RETRIES_DEFAULT;
use crate::balance::consistent_hash::BalanceFactor;
use crate::balance::pick::Algorithm;
use crate::health::checker::Thresholds;
use crate::health::circuit::OpenTimes;
use crate::health::errors::ErrorLimits;
use crate::health::passive::EjectionPolicy;

/// How an upstream's server is chosen, and what follows when it fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balancing {
    /// `balance`, with `hash_balance_factor`.
    pub algorithm: Algorithm,
    /// `hash_key`: what of a client or request belongs to one server.
    pub hash_key: HashKey,
    /// `sticky`: the cookie that brings clients of HTTP back to their server.
    pub sticky: Option<Sticky>,
    /// `slow_start`: how long a server that comes back takes to get its whole share.
    pub slow_start: Duration,
    /// `queue`
    pub queue: Queue,
    /// `fail`: whether servers that are down are asked where there is no other.
    pub fails_open: bool,
    /// `retries`
    pub retries: Retries,
    /// `health`: probes that are sent to servers.
    pub health: Option<HealthCheck>,
    /// `ejection`
    pub ejection: Ejection,
}

/// `hash_key`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashKey {
    /// The client's address.
    Client,
    /// The host that a request is for.
    Host,
    /// The path of a request.
    Path,
    /// The value of a header, by its name in lower case.
    Header(Box<str>),
    /// The value of a cookie.
    Cookie(Box<str>),
}

/// `sticky`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sticky {
    /// `cookie`: its name.
    pub cookie: Box<str>,
    /// `secret_file`: what it is signed with.
    pub secret_file: PathBuf,
    /// `max_age`: how long it holds; `None` for as long as the browser runs.
    pub max_age: Option<Duration>,
}

/// `queue`: clients that wait while every server has as many connections as it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// `max`: how many, in all workers together.
    pub max: u32,
    /// `timeout`: how long one may wait.
    pub timeout: Duration,
}

/// `retries`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// `max`: attempts beyond the first.
    pub max: u32,
    /// `budget`: the share of requests that may be sent again, in thousandths.
    pub budget: u32,
    /// `try_timeout`: how long a server may take to begin its response while another could be
    /// asked instead.
    pub try_timeout: Option<Duration>,
}

/// `health`: how servers are probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is sent, and what is expected.
    pub probe: Probe,
    /// `interval`: from one probe to the next, give or take a tenth.
    pub interval: Duration,
    /// `timeout`: how long a probe may take.
    pub timeout: Duration,
    /// `rise` and `fall`
    pub thresholds: Thresholds,
}

/// What a probe is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// A connection is made, over TLS where the upstream has it.
    Tcp,
    /// A request is answered as expected.
    Http(HttpProbe),
}

/// A request that a server is to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpProbe {
    /// `http`: the path, with a query if need be.
    pub path: Box<str>,
    /// `host`: for which host; `None` for the server's address.
    pub host: Option<Box<str>>,
    /// `status`: those of a server that is well.
    pub status: Statuses,
    /// `body`: what the body must contain.
    pub body: Option<Box<str>>,
}

/// Statuses of HTTP: ranges of which the first and the last belong to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statuses(pub Vec<(u16, u16)>);

impl Statuses {
    /// Whether `status` is one of them.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&status))
    }
}

/// `ejection`: when servers get no traffic for a while because of what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ejection {
    /// `consecutive_errors`, `error_rate`, `window` and `requests_min`.
    pub limits: ErrorLimits,
    /// `base_time` and `max_time`.
    pub times: OpenTimes,
    /// `max_share` of the servers that may be ejected at once, in thousandths.
    pub max_share: u32,
    /// `status`: responses that count as errors.
    pub status: Statuses,
}

impl Ejection {
    /// Whether any server may be ejected.
    pub fn is_on(&self) -> bool {
        self.limits.consecutive > 0 || self.limits.rate > 0
    }

    /// What it means for an upstream with so many servers.
    pub fn policy(&self, servers: usize) -> EjectionPolicy {
        let ejected_max = servers as u64 * u64::from(self.max_share) / 1000;
        EjectionPolicy {
            limits: self.limits,
            times: self.times,
            ejected_max: u32::try_from(ejected_max).unwrap_or(u32::MAX),
        }
    }
}

impl Default for Ejection {
    fn default() -> Ejection {
        Ejection {
            limits: ErrorLimits { consecutive: 5, rate: 0, window: 10_000, volume_min: 20 },
            times: OpenTimes { base: 10_000, max: 300_000 },
            max_share: 500,
            status: Statuses(vec![(502, 504)]),
        }
    }
}

impl Default for Balancing {
    /// What holds where nothing is written.
    fn default() -> Balancing {
        Balancing {
            algorithm: Algorithm::RoundRobin,
            hash_key: HashKey::Client,
            sticky: None,
            slow_start: Duration::ZERO,
            queue: Queue { max: 0, timeout: Duration::from_secs(1) },
            fails_open: false,
            retries: Retries { max: RETRIES_DEFAULT, budget: 200, try_timeout: None },
            health: None,
            ejection: Ejection::default(),
        }
    }
}

/// The bound of `hash_balance_factor` unless the config says otherwise: what HAProxy and Envoy
/// recommend.
pub const BALANCE_FACTOR_DEFAULT: BalanceFactor = BalanceFactor(1250);
