//! The kinds of load, and what is measured under each.

use std::fmt;

use crate::rig::kind::{self, Column, Sender, column, show_bytes, show_connections};

/// A kind of load. Its name, as shown and as `--kinds` takes it, holds all of its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Bytes in one direction, as fast as they go.
    Bulk { sender: Sender, connections: usize },
    /// Messages there and back.
    RoundTrips { bytes: usize, connections: usize },
    /// New connections with one request each.
    Connections { clients: usize },
    /// Memory of connections on which nothing moves.
    Idle { connections: usize },
    /// Round trips of 1 KiB on one connection, alone and then beside bulk flows.
    Fairness { flows: usize },
}

/// Message sizes of the round trips, in bytes.
pub const MESSAGE_BYTES: [usize; 7] =
    [64, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20];

/// Connections at once, where a kind is measured with one and with many.
pub const CONNECTIONS: [usize; 2] = [1, 64];

const GIB: f64 = (1 << 30) as f64;

impl Kind {
    /// All that the full run measures, in the order of the report.
    pub fn all() -> Vec<Kind> {
        let mut kinds = Vec::new();
        for connections in CONNECTIONS {
            for sender in [Sender::Origin, Sender::Client] {
                kinds.push(Kind::Bulk { sender, connections });
            }
        }
        for connections in CONNECTIONS {
            kinds.extend(MESSAGE_BYTES.map(|bytes| Kind::RoundTrips { bytes, connections }));
        }
        kinds.push(Kind::Connections { clients: 16 });
        kinds.push(Kind::Idle { connections: 2000 });
        kinds.push(Kind::Fairness { flows: 100 });
        kinds
    }

    /// What a quick run measures: each sort of load once, in its smallest and largest form where
    /// they take different ways.
    pub fn quick() -> Vec<Kind> {
        vec![
            Kind::Bulk { sender: Sender::Origin, connections: 1 },
            Kind::Bulk { sender: Sender::Client, connections: 64 },
            Kind::RoundTrips { bytes: 1 << 20, connections: 1 },
            Kind::RoundTrips { bytes: 1 << 10, connections: 64 },
            Kind::RoundTrips { bytes: 64 << 10, connections: 64 },
            Kind::Connections { clients: 16 },
            Kind::Idle { connections: 200 },
            Kind::Fairness { flows: 100 },
        ]
    }

    /// CPU seconds for each GiB that goes through the proxy, of a value of the first column; of
    /// a round trip, both ways count.
    pub fn cpu_seconds_per_gib(self, first_column: f64) -> Option<f64> {
        match self {
            Kind::Bulk { .. } => Some(first_column),
            Kind::RoundTrips { bytes, .. } => Some(first_column / 1e6 / (2.0 * bytes as f64) * GIB),
            _ => None,
        }
    }
}

impl kind::Kind for Kind {
    fn title(self) -> String {
        let over = show_connections;
        match self {
            Kind::Bulk { sender: Sender::Origin, connections } => {
                format!("Bulk, upstream to client, {}", over(connections))
            }
            Kind::Bulk { sender: Sender::Client, connections } => {
                format!("Bulk, client to upstream, {}", over(connections))
            }
            Kind::RoundTrips { bytes, connections } => {
                format!("Round trips of {}, {}", show_bytes(bytes), over(connections))
            }
            Kind::Connections { clients } => {
                format!("New connections with one small request, {clients} clients")
            }
            Kind::Idle { connections } => format!("Memory, {} idle", over(connections)),
            Kind::Fairness { flows } => {
                format!("Round trips of 1 KiB, 1 connection, alone and beside {flows} bulk flows")
            }
        }
    }

    fn columns(self) -> &'static [Column] {
        match self {
            Kind::Bulk { .. } => &BULK_COLUMNS,
            Kind::RoundTrips { .. } => &ROUND_TRIP_COLUMNS,
            Kind::Connections { .. } => &CONNECTION_COLUMNS,
            Kind::Idle { .. } => &IDLE_COLUMNS,
            Kind::Fairness { .. } => &FAIRNESS_COLUMNS,
        }
    }

    fn compares_cpu(self) -> bool {
        !matches!(self, Kind::Idle { .. } | Kind::Fairness { .. })
    }

    fn explanation(self) -> Option<&'static str> {
        match self {
            Kind::Idle { .. } => Some(kind::IDLE_EXPLANATION),
            Kind::Fairness { .. } => Some(
                "One worker. Both ends of the bulk flows run at idle priority, so that they keep \
                 the ends of the round trips from their CPU as little as can be.",
            ),
            _ => None,
        }
    }
}

/// Index of the throughput in the columns of [`Kind::Bulk`].
pub const BULK_THROUGHPUT: usize = 1;
/// Indices of the median and of the 99th percentile in the columns of [`Kind::RoundTrips`].
pub const ROUND_TRIP_PERCENTILES: [usize; 2] = [2, 3];
/// Index of the ratio of the 99th percentiles in the columns of [`Kind::Fairness`].
pub const FAIRNESS_RATIO: usize = 4;

const BULK_COLUMNS: [Column; 2] =
    [column("cpu_seconds_per_gib", "CPU s/GiB", 3), column("gib_per_second", "GiB/s", 2)];
const P50: Column = column("p50_microseconds", "p50 us", 0);
const P99: Column = column("p99_microseconds", "p99 us", 0);
const ROUND_TRIP_COLUMNS: [Column; 4] = [
    column("cpu_microseconds_per_round_trip", "CPU us/round trip", 1),
    column("round_trips_per_second", "round trips/s", 0),
    P50,
    P99,
];
const CONNECTION_COLUMNS: [Column; 4] = [
    column("cpu_microseconds_per_connection", "CPU us/connection", 1),
    column("connections_per_second", "connections/s", 0),
    P50,
    P99,
];
const IDLE_COLUMNS: [Column; 1] = [column("kib_per_connection", "KiB resident/connection", 2)];
const FAIRNESS_COLUMNS: [Column; 6] = [
    column("alone_p50_microseconds", "alone p50 us", 0),
    column("alone_p99_microseconds", "alone p99 us", 0),
    column("beside_p50_microseconds", "beside p50 us", 0),
    column("beside_p99_microseconds", "beside p99 us", 0),
    column("p99_ratio", "p99, beside/alone", 1),
    column("bulk_gib_per_second", "bulk GiB/s", 2),
];

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Kind::Bulk { sender: Sender::Origin, connections } => {
                format!("bulk-down-{connections}")
            }
            Kind::Bulk { sender: Sender::Client, connections } => format!("bulk-up-{connections}"),
            Kind::RoundTrips { bytes, connections } => {
                format!("round-trips-{bytes}-{connections}")
            }
            Kind::Connections { clients } => format!("connections-{clients}"),
            Kind::Idle { connections } => format!("idle-{connections}"),
            Kind::Fairness { flows } => format!("fairness-{flows}"),
        };
        f.pad(&name)
    }
}
