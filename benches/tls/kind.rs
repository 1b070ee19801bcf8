//! The kinds of load, and what is measured under each.

use std::fmt;

use crate::rig::kind::{self, Column, column, show_bytes, show_connections};
use crate::rig::tls::Tickets;

/// A kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Requests over sessions that stay open, with responses of so many bytes.
    Responses { bytes: usize },
    /// New sessions, resumed where clients keep their tickets.
    Handshakes { tickets: Tickets, clients: usize },
    /// Memory of sessions that wait for their next request.
    Idle { connections: usize },
    /// Bulk from the origin over sessions that the proxy is no end of.
    Passthrough { connections: usize },
}

/// Sizes of responses, in bytes.
pub const RESPONSE_BYTES: [usize; 6] = [1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20];

/// The body of a response where its size is not what is looked at, in bytes.
pub const SMALL_BYTES: usize = 1 << 10;

/// Clients that establish sessions at once.
const HANDSHAKE_CLIENTS: usize = 16;

/// Connections of bulk at once.
const PASSTHROUGH_CONNECTIONS: usize = 4;

impl Kind {
    /// New sessions.
    pub const fn handshakes(tickets: Tickets) -> Kind {
        Kind::Handshakes { tickets, clients: HANDSHAKE_CLIENTS }
    }

    /// All that the full run measures, in the order of the report.
    pub fn all() -> Vec<Kind> {
        let mut kinds: Vec<Kind> =
            RESPONSE_BYTES.into_iter().map(|bytes| Kind::Responses { bytes }).collect();
        kinds.extend([
            Kind::handshakes(Tickets::Ignored),
            Kind::handshakes(Tickets::Kept),
            Kind::Idle { connections: 2000 },
            Kind::Passthrough { connections: PASSTHROUGH_CONNECTIONS },
        ]);
        kinds
    }

    /// What a quick run measures: each sort of load once, responses in those sizes that are to
    /// reach something.
    pub fn quick() -> Vec<Kind> {
        vec![
            Kind::Responses { bytes: 1 << 10 },
            Kind::Responses { bytes: 16 << 10 },
            Kind::Responses { bytes: 1 << 20 },
            Kind::handshakes(Tickets::Ignored),
            Kind::handshakes(Tickets::Kept),
            Kind::Idle { connections: 200 },
            Kind::Passthrough { connections: PASSTHROUGH_CONNECTIONS },
        ]
    }
}

impl kind::Kind for Kind {
    fn title(self) -> String {
        match self {
            Kind::Responses { bytes } => {
                let over = show_connections(kind::connections_for(bytes));
                format!("Responses of {}, {over}", show_bytes(bytes))
            }
            Kind::Handshakes { tickets: Tickets::Ignored, clients } => {
                format!("Full handshakes, {clients} clients")
            }
            Kind::Handshakes { tickets: Tickets::Kept, clients } => {
                format!("Resumed handshakes, {clients} clients")
            }
            Kind::Idle { connections } => {
                format!("Memory, {} idle between requests", show_connections(connections))
            }
            Kind::Passthrough { connections } => {
                format!("Bulk from end to end, {}", show_connections(connections))
            }
        }
    }

    fn columns(self) -> &'static [Column] {
        match self {
            Kind::Responses { .. } => &RESPONSE_COLUMNS,
            Kind::Handshakes { .. } => &HANDSHAKE_COLUMNS,
            Kind::Idle { .. } => &IDLE_COLUMNS,
            Kind::Passthrough { .. } => &PASSTHROUGH_COLUMNS,
        }
    }

    fn compares_cpu(self) -> bool {
        matches!(self, Kind::Responses { .. } | Kind::Handshakes { .. })
    }

    fn explanation(self) -> Option<&'static str> {
        match self {
            Kind::Responses { .. } => None,
            Kind::Handshakes { .. } => Some(
                "A connection, a session and its end, without a request. A handshake is over when \
                 the client has its first ticket.",
            ),
            Kind::Idle { .. } => Some(kind::IDLE_EXPLANATION),
            Kind::Passthrough { .. } => Some(
                "The session is that of client and origin. One of the two relays reads of its \
                 ClientHello where to connect to, the other reads nothing.",
            ),
        }
    }
}

/// Indices of the percentiles in the columns of [`Kind::Responses`].
pub const RESPONSE_PERCENTILES: [usize; 3] = [2, 3, 4];
/// Index of the rate by CPU time in the columns of [`Kind::Handshakes`].
pub const HANDSHAKES_PER_CPU_SECOND: usize = 1;

const P50: Column = column("p50_microseconds", "p50 us", 0);
const P99: Column = column("p99_microseconds", "p99 us", 0);
const P99_9: Column = column("p99_9_microseconds", "p99.9 us", 0);
const RESPONSE_COLUMNS: [Column; 5] = [
    column("cpu_microseconds_per_request", "CPU us/request", 1),
    column("requests_per_second", "requests/s", 0),
    P50,
    P99,
    P99_9,
];
const HANDSHAKE_COLUMNS: [Column; 5] = [
    column("cpu_microseconds_per_handshake", "CPU us/handshake", 1),
    column("handshakes_per_cpu_second", "handshakes/CPU s", 0),
    column("handshakes_per_second", "handshakes/s", 0),
    P50,
    P99,
];
const IDLE_COLUMNS: [Column; 1] = [column("kib_per_connection", "KiB resident/connection", 2)];
const PASSTHROUGH_COLUMNS: [Column; 2] =
    [column("cpu_seconds_per_gib", "CPU s/GiB", 3), column("gib_per_second", "GiB/s", 2)];

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Kind::Responses { bytes } => format!("down-{bytes}"),
            Kind::Handshakes { tickets: Tickets::Ignored, clients } => {
                format!("full-handshakes-{clients}")
            }
            Kind::Handshakes { tickets: Tickets::Kept, clients } => {
                format!("resumed-handshakes-{clients}")
            }
            Kind::Idle { connections } => format!("idle-{connections}"),
            Kind::Passthrough { connections } => format!("passthrough-{connections}"),
        };
        f.pad(&name)
    }
}
