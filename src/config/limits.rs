//! The least and the most that each value of the configuration may be, and why.

use std::ops::RangeInclusive;
use std::time::Duration;

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

/// `process.drain_grace` and `process.drain_timeout`: none at all to a day.
pub const DRAIN: RangeInclusive<Duration> = Duration::ZERO..=DAY;

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

/// `keepalive.idle` and `keepalive.interval`, in whole seconds: `MAX_TCP_KEEPIDLE` and
/// `MAX_TCP_KEEPINTVL` of the kernel's `include/net/tcp.h`.
pub const KEEPALIVE: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(32_767);

/// `keepalive.probes`: `MAX_TCP_KEEPCNT` of the kernel's `include/net/tcp.h`.
pub const KEEPALIVE_PROBES: RangeInclusive<u64> = 1..=127;

/// `listeners.NAME.backlog`: the kernel lowers it to `net.core.somaxconn` (listen(2)).
pub const BACKLOG: RangeInclusive<u64> = 1..=65_535;

/// Names of listeners and upstreams, in bytes: as long as a label of a host name may be
/// (RFC 1035, section 2.3.4), for they end up in labels of metrics.
pub const NAME_BYTES: RangeInclusive<usize> = 1..=63;
