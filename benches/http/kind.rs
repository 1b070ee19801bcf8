//! The kinds of load, and what is measured under each.

use std::fmt;

use crate::rig::kind::{
    self, Column, Sender, column, connections_for, show_bytes, show_connections,
};
use crate::rig::load::http::wire::Framing;

/// A kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Requests over connections that stay open; `sender` says which way the body goes.
    Body { sender: Sender, bytes: usize, framing: Framing },
    /// A connection for each request, with a small response.
    Connections { clients: usize },
    /// Small frames there and back.
    WebSocket { connections: usize },
    /// Memory of connections that wait for their next request.
    Idle { connections: usize },
    /// Small requests at a proxy with one worker, and at one with two.
    Workers,
    /// Which of two workers serves each of a few connections.
    Spread { connections: usize },
    /// Twice as many new connections as the proxy can serve.
    Overload,
}

/// Sizes of bodies with a `Content-Length`, in bytes.
pub const BODY_BYTES: [usize; 9] =
    [0, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 16 << 20, 64 << 20];

/// Sizes of bodies that come in chunks, in bytes.
pub const CHUNKED_BYTES: [usize; 2] = [16 << 10, 1 << 20];

/// The body of a response where its size is not what is looked at, in bytes.
pub const SMALL_BYTES: usize = 1 << 10;

/// Workers of a proxy that has several.
pub const WORKERS: usize = 2;

impl Kind {
    /// A body with a `Content-Length`.
    pub const fn body(sender: Sender, bytes: usize) -> Kind {
        Kind::Body { sender, bytes, framing: Framing::Length }
    }

    /// All that the full run measures, in the order of the report.
    pub fn all() -> Vec<Kind> {
        let mut kinds = Vec::new();
        for sender in [Sender::Origin, Sender::Client] {
            kinds.extend(BODY_BYTES.map(|bytes| Kind::body(sender, bytes)));
            let framing = Framing::Chunked;
            kinds.extend(CHUNKED_BYTES.map(|bytes| Kind::Body { sender, bytes, framing }));
        }
        kinds.extend([
            Kind::Connections { clients: 16 },
            Kind::WebSocket { connections: 64 },
            Kind::Idle { connections: 2000 },
            Kind::Workers,
            Kind::Spread { connections: 8 },
            Kind::Overload,
        ]);
        kinds
    }

    /// What a quick run measures: each sort of load once, bodies in those sizes that take
    /// different ways.
    pub fn quick() -> Vec<Kind> {
        let framing = Framing::Chunked;
        vec![
            Kind::body(Sender::Origin, 1 << 10),
            Kind::body(Sender::Origin, 64 << 10),
            Kind::body(Sender::Origin, 1 << 20),
            Kind::Body { sender: Sender::Origin, bytes: 1 << 20, framing },
            Kind::body(Sender::Client, 64 << 10),
            Kind::Body { sender: Sender::Client, bytes: 16 << 10, framing },
            Kind::Connections { clients: 16 },
            Kind::WebSocket { connections: 64 },
            Kind::Idle { connections: 200 },
            Kind::Workers,
            Kind::Spread { connections: 8 },
            Kind::Overload,
        ]
    }
}

impl kind::Kind for Kind {
    fn title(self) -> String {
        match self {
            Kind::Body { sender, bytes, framing } => {
                let what = match sender {
                    Sender::Origin => "Responses",
                    Sender::Client => "Uploads",
                };
                let chunked = match framing {
                    Framing::Length => "",
                    Framing::Chunked => ", chunked",
                };
                let over = show_connections(connections_for(bytes));
                format!("{what} of {}{chunked}, {over}", show_bytes(bytes))
            }
            Kind::Connections { clients } => {
                let bytes = show_bytes(SMALL_BYTES);
                format!("A connection for each request, responses of {bytes}, {clients} clients")
            }
            Kind::WebSocket { connections } => {
                format!("WebSocket echo of small frames, {}", show_connections(connections))
            }
            Kind::Idle { connections } => {
                format!("Memory, {} idle between requests", show_connections(connections))
            }
            Kind::Workers => {
                let over = show_connections(connections_for(SMALL_BYTES));
                let bytes = show_bytes(SMALL_BYTES);
                format!("One worker and {WORKERS}, responses of {bytes}, {over}")
            }
            Kind::Spread { connections } => {
                format!("{connections} connections that live long, {WORKERS} workers")
            }
            Kind::Overload => "New connections at twice the rate that can be served".to_owned(),
        }
    }

    fn columns(self) -> &'static [Column] {
        match self {
            Kind::Body { .. } | Kind::Connections { .. } => &REQUEST_COLUMNS,
            Kind::WebSocket { .. } => &FRAME_COLUMNS,
            Kind::Idle { .. } => &IDLE_COLUMNS,
            Kind::Workers => &WORKERS_COLUMNS,
            Kind::Spread { .. } => &SPREAD_COLUMNS,
            Kind::Overload => &OVERLOAD_COLUMNS,
        }
    }

    fn compares_cpu(self) -> bool {
        matches!(self, Kind::Body { .. } | Kind::Connections { .. } | Kind::WebSocket { .. })
    }

    fn explanation(self) -> Option<&'static str> {
        match self {
            Kind::Idle { .. } => Some(kind::IDLE_EXPLANATION),
            Kind::Workers => Some(
                "On a machine with fewer than three CPUs, the workers and both ends share all of \
                 them: CPU time still compares, throughput does not.",
            ),
            Kind::Spread { .. } => Some(
                "Opened one after the other. Each then carries requests alone, and the worker \
                 whose CPU time grows is the one that serves it.",
            ),
            Kind::Overload => Some(
                "Each request comes on a connection of its own, when its time has come, whatever \
                 became of those before it; a client gives up after a second. The proxies may have \
                 512 clients, and 512 more in the backlog. Busy threads beside the proxy leave it \
                 a quarter of its CPU, so that the clients have the time to offer twice of what it \
                 serves. Best is what 64 clients get that wait for their answers.",
            ),
            _ => None,
        }
    }
}

/// Indices of the percentiles in the columns of [`Kind::Body`].
pub const REQUEST_PERCENTILES: [usize; 3] = [2, 3, 4];
/// Index of the ratio in the columns of [`Kind::Workers`].
pub const WORKERS_RATIO: usize = 2;
/// Index of the goodput's ratio to the best in the columns of [`Kind::Overload`].
pub const OVERLOAD_GOODPUT: usize = 2;
/// Index of the 99th percentile in the columns of [`Kind::Overload`].
pub const OVERLOAD_P99: usize = 4;
/// Index of the memory in the columns of [`Kind::Overload`].
pub const OVERLOAD_MEMORY: usize = 6;

const P50: Column = column("p50_microseconds", "p50 us", 0);
const P99: Column = column("p99_microseconds", "p99 us", 0);
const P99_9: Column = column("p99_9_microseconds", "p99.9 us", 0);
const REQUEST_COLUMNS: [Column; 5] = [
    column("cpu_microseconds_per_request", "CPU us/request", 1),
    column("requests_per_second", "requests/s", 0),
    P50,
    P99,
    P99_9,
];
const FRAME_COLUMNS: [Column; 5] = [
    column("cpu_microseconds_per_echo", "CPU us/echo", 1),
    column("echoes_per_second", "echoes/s", 0),
    P50,
    P99,
    P99_9,
];
const IDLE_COLUMNS: [Column; 1] = [column("kib_per_connection", "KiB resident/connection", 2)];
const WORKERS_COLUMNS: [Column; 5] = [
    column("one_requests_per_cpu_second", "requests/CPU s, one", 0),
    column("two_requests_per_cpu_second", "two", 0),
    column("requests_per_cpu_second_ratio", "two/one", 2),
    column("one_requests_per_second", "requests/s, one", 0),
    column("two_requests_per_second", "two", 0),
];
const SPREAD_COLUMNS: [Column; 1] =
    [column("share_of_the_busiest", "share of the busiest worker", 2)];
const OVERLOAD_COLUMNS: [Column; 7] = [
    column("best_requests_per_second", "best requests/s", 0),
    column("offered_to_best", "offered/best", 2),
    column("goodput_to_best", "served/best", 2),
    column("p50_milliseconds", "p50 ms", 0),
    column("p99_milliseconds", "p99 ms", 0),
    column("refused_share", "refused", 2),
    column("mib_grown", "MiB more", 1),
];

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Kind::Body { sender, bytes, framing } => {
                let way = match sender {
                    Sender::Origin => "down",
                    Sender::Client => "up",
                };
                let chunked = match framing {
                    Framing::Length => "",
                    Framing::Chunked => "-chunked",
                };
                format!("{way}-{bytes}{chunked}")
            }
            Kind::Connections { clients } => format!("connections-{clients}"),
            Kind::WebSocket { connections } => format!("websocket-{connections}"),
            Kind::Idle { connections } => format!("idle-{connections}"),
            Kind::Workers => format!("workers-{WORKERS}"),
            Kind::Spread { connections } => format!("spread-{connections}"),
            Kind::Overload => "overload".to_owned(),
        };
        f.pad(&name)
    }
}
