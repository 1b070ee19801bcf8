//! The least and the most that each value of the configuration may be, and why.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::balance::attempts::RETRIES_MAX;
use crate::http::limits::{ChunkLimits, HeadLimits};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// `process.workers`: more threads than any machine has CPUs help nobody.
pub const WORKERS: RangeInclusive<u64> = 1..=1024;

/// `process.connections_max`: each takes two descriptors, and `fs.nr_open` rarely allows more
/// than these.
pub const CONNECTIONS: RangeInclusive<u64> = 1..=10_000_000;

/// `process.handshakes_max`: each holds some tens of KiB until it is done.
pub const HANDSHAKES: RangeInclusive<u64> = 1..=100_000;

/// `listeners.NAME.tls.certificates`: each is held in memory, and tried for each client whose
/// name it is for.
pub const CERTIFICATES: usize = 1000;

/// `process.drain_grace` and `process.drain_timeout`: none at all to a day.
pub const DRAIN: RangeInclusive<Duration> = Duration::ZERO..=DAY;

/// `process.upgrade_timeout`: a machine under load starts slowly; past some minutes nothing comes.
pub const UPGRADE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(600);

/// `process.upgrade_drain_timeout`: tunnels may stand for days.
pub const UPGRADE_DRAIN: RangeInclusive<Duration> = Duration::ZERO..=WEEK;

/// `relay.pipe_size`, in bytes: 64 KiB is what the kernel gives unasked (pipe(7)); past 64 MiB
/// one slow reader would pin as much memory as a small machine has.
pub const PIPE_SIZE: RangeInclusive<u64> = 64 * KIB..=64 * MIB;

/// `relay.low_water`, in bytes. Below a few segments it holds nothing back; above, the kernel
/// stops at half of `net.ipv4.tcp_rmem`.
pub const LOW_WATER: RangeInclusive<u64> = 16 * KIB..=16 * MIB;

/// `relay.pipe_memory` and `relay.buffer_memory`, in bytes.
pub const RELAY_MEMORY: RangeInclusive<u64> = MIB..=TIB;

/// `timeouts.*`: every timeout is finite; a millisecond is what epoll_wait(2) can tell apart.
pub const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(1)..=WEEK;

/// `http.head_size`, in bytes: each client that sends its head slowly may hold as much memory.
pub const HEAD_SIZE: RangeInclusive<u64> = wide(&HeadLimits::HEAD_SIZE);

/// `http.headers_max`
pub const HEADERS: RangeInclusive<u64> = wide(&HeadLimits::FIELDS);

/// `http.target_size`, in bytes; 8000 at least are what RFC 9112, section 3, recommends.
pub const TARGET_SIZE: RangeInclusive<u64> = wide(&HeadLimits::TARGET_SIZE);

/// `http.chunk_extension_size`, in bytes.
pub const CHUNK_EXTENSION_SIZE: RangeInclusive<u64> = wide(&ChunkLimits::EXTENSION_SIZE);

/// `http.trailer_size`, in bytes.
pub const TRAILER_SIZE: RangeInclusive<u64> = wide(&ChunkLimits::TRAILER_SIZE);

/// `http.request_body_max`, in bytes.
pub const REQUEST_BODY: RangeInclusive<u64> = 0..=TIB;

/// `listeners.NAME.routes`: a request may be compared with each of them.
pub const ROUTES: usize = 1000;

/// `respond.status`: those that end a request (RFC 9110, section 15).
pub const RESPOND_STATUS: RangeInclusive<u64> = 200..=599;

/// `respond.body`, in bytes: it is held in memory, and is for a sentence or a small page.
pub const RESPOND_BODY: usize = 64 << 10;

/// `upstreams.NAME.servers.weight`: nothing needs a finer division than a thousandth.
pub const SERVER_WEIGHT: RangeInclusive<u64> = 1..=1000;

/// `upstreams.NAME.servers.connections_max`
pub const SERVER_CONNECTIONS: RangeInclusive<u64> = 1..=1_000_000;

/// `upstreams.NAME.pool.idle_max`: none at all to more than one server should be asked to hold.
pub const POOL_IDLE: RangeInclusive<u64> = 0..=10_000;

/// `dns.ttl_min` and `dns.ttl_max`
pub const DNS_TTL: RangeInclusive<Duration> = Duration::from_millis(100)..=DAY;

/// `dns.addresses_max`: each is a server of its own, with metrics of its own.
pub const DNS_ADDRESSES: RangeInclusive<u64> = 1..=1000;

/// `upstreams.NAME.slow_start`: none at all to a day.
pub const SLOW_START: RangeInclusive<Duration> = Duration::ZERO..=DAY;

/// `upstreams.NAME.queue.max`: each that waits holds a connection.
pub const QUEUE: RangeInclusive<u64> = 0..=1_000_000;

/// `upstreams.NAME.retries.max`: further attempts would find what these have found.
pub const RETRIES: RangeInclusive<u64> = 0..=RETRIES_MAX as u64;

/// `upstreams.NAME.sticky.max_age`: browsers shorten what is longer than 400 days.
pub const STICKY_MAX_AGE: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(400 * 24 * 60 * 60);

/// `upstreams.NAME.health.interval` and `timeout`: more often would be load, and more seldom
/// would be no news.
pub const PROBE_INTERVAL: RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_secs(60 * 60);

/// `upstreams.NAME.health.rise` and `fall`
pub const PROBES: RangeInclusive<u64> = 1..=100;

/// `upstreams.NAME.ejection.consecutive_errors`
pub const CONSECUTIVE_ERRORS: RangeInclusive<u64> = 1..=10_000;

/// `upstreams.NAME.ejection.requests_min`
pub const REQUESTS_MIN: RangeInclusive<u64> = 1..=1_000_000;

/// `upstreams.NAME.ejection.base_time`, `max_time` and `window`
pub const EJECTION: RangeInclusive<Duration> = Duration::from_millis(10)..=DAY;

/// `keepalive.idle` and `keepalive.interval`, in whole seconds: `MAX_TCP_KEEPIDLE` and
/// `MAX_TCP_KEEPINTVL` of the kernel's `include/net/tcp.h`.
pub const KEEPALIVE: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(32_767);

/// `keepalive.probes`: `MAX_TCP_KEEPCNT` of the kernel's `include/net/tcp.h`.
pub const KEEPALIVE_PROBES: RangeInclusive<u64> = 1..=127;

/// `process.limited_clients_max`: each takes a cache line of 64 bytes; 16 million are a gibibyte.
pub const LIMITED_CLIENTS: RangeInclusive<u64> = 1024..=1 << 24;

/// `connection_rate`, `request_rate` and those of clients, with their bursts: past a million in a
/// second nothing is held back.
pub const RATE: RangeInclusive<u64> = 1..=1_000_000;

/// `bandwidth` and those of clients, with their bursts, in bytes in a second. With less than
/// 4 KiB a response would take longer than any timeout.
pub const BANDWIDTH: RangeInclusive<u64> = 4 * KIB..=TIB;

/// The least burst of a bandwidth, as a part of a second's worth: whoever waits is woken a few
/// times for each burst.
pub const BANDWIDTH_BURST_PART: u64 = 100;

/// `client_prefix_v4`, in bits.
pub const PREFIX_V4: RangeInclusive<u64> = 8..=32;

/// `client_prefix_v6`, in bits.
pub const PREFIX_V6: RangeInclusive<u64> = 16..=128;

/// `allow` and `deny`, networks in each: an address is compared with all of them.
pub const NETWORKS: usize = 1000;

/// `listeners.NAME.backlog`: the kernel lowers it to `net.core.somaxconn` (listen(2)).
pub const BACKLOG: RangeInclusive<u64> = 1..=65_535;

/// `control.socket`, in bytes: what an address of the unix family holds (unix(7)).
pub const SOCKET_PATH_BYTES: usize = 107;

/// `control.mode`: the permissions of a file (chmod(2)).
pub const MODE: RangeInclusive<u32> = 0..=0o777;

/// Names of listeners and upstreams, in bytes: as long as a label of a host name may be
/// (RFC 1035, section 2.3.4), for they end up in labels of metrics.
pub const NAME_BYTES: RangeInclusive<usize> = 1..=63;

/// A range of numbers of memory as one of numbers of a config.
const fn wide(range: &RangeInclusive<usize>) -> RangeInclusive<u64> {
    *range.start() as u64..=*range.end() as u64
}
