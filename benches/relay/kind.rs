//! The kinds of load, and what is measured under each.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::str::FromStr;

use crate::load::bulk::Sender;
use crate::load::{Load, bulk, connections, round_trips};
use crate::sample::Sample;
use crate::statistics::percentile;

/// A kind of load. Its name, as shown and as `--kinds` takes it, holds all of its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Bytes in one direction, as fast as they go.
    Bulk { sender: Sender, connections: usize },
    /// Messages there and back.
    RoundTrips { bytes: usize, connections: usize },
    /// New connections with one request each.
    Connections { clients: usize },
}

impl Kind {
    /// All that are measured, in the order of the report.
    pub const ALL: [Kind; 4] = [
        Kind::Bulk { sender: Sender::Origin, connections: 1 },
        Kind::Bulk { sender: Sender::Client, connections: 1 },
        Kind::RoundTrips { bytes: 1024, connections: 64 },
        Kind::Connections { clients: 16 },
    ];

    /// What the kind is, as the heading of its table.
    pub fn title(self) -> String {
        let over = |connections: usize| match connections {
            1 => "1 connection".to_owned(),
            many => format!("{many} connections"),
        };
        match self {
            Kind::Bulk { sender: Sender::Origin, connections } => {
                format!("Bulk, upstream to client, {}", over(connections))
            }
            Kind::Bulk { sender: Sender::Client, connections } => {
                format!("Bulk, client to upstream, {}", over(connections))
            }
            Kind::RoundTrips { bytes, connections } => {
                format!("Round trips of {bytes} bytes, {}", over(connections))
            }
            Kind::Connections { clients } => {
                format!("New connections with one small request, {clients} clients")
            }
        }
    }

    /// What [`Kind::figures`] gives, in its order. The first is what contestants are compared by.
    pub fn columns(self) -> &'static [Column] {
        match self {
            Kind::Bulk { .. } => &BULK_COLUMNS,
            Kind::RoundTrips { .. } => &ROUND_TRIP_COLUMNS,
            Kind::Connections { .. } => &CONNECTION_COLUMNS,
        }
    }

    /// Puts the load on `proxy`; `origin` is where the proxy connects to.
    ///
    /// # Errors
    /// When a client cannot connect.
    pub fn start(self, origin: TcpListener, proxy: SocketAddr) -> io::Result<Load> {
        match self {
            Kind::Bulk { sender, connections } => bulk::start(&origin, proxy, sender, connections),
            Kind::RoundTrips { bytes, connections } => {
                round_trips::start(&origin, proxy, bytes, connections)
            }
            Kind::Connections { clients } => connections::start(origin, proxy, clients),
        }
    }

    /// The figures of one sample.
    pub fn figures(self, sample: &Sample) -> Figures {
        let (cpu, elapsed) = (sample.cpu.as_secs_f64(), sample.elapsed.as_secs_f64());
        let microseconds = |share| {
            percentile(&sample.latencies, share).map_or(f64::NAN, |value| value as f64 / 1e3)
        };
        let units = sample.units as f64;
        let values = match self {
            Kind::Bulk { .. } => {
                let gib = units / f64::from(1 << 30);
                vec![cpu / gib, gib / elapsed]
            }
            Kind::RoundTrips { .. } => {
                vec![cpu / units * 1e6, units / elapsed, microseconds(0.5), microseconds(0.99)]
            }
            Kind::Connections { .. } => {
                vec![cpu / units * 1e6, units / elapsed, microseconds(0.5), microseconds(0.99)]
            }
        };
        Figures { columns: self.columns(), values }
    }
}

/// One thing that is measured.
#[derive(Debug)]
pub struct Column {
    /// The key in JSON.
    pub key: &'static str,
    /// The head of the column.
    pub title: &'static str,
    /// Digits behind the point.
    pub digits: usize,
}

const BULK_COLUMNS: [Column; 2] = [
    Column { key: "cpu_seconds_per_gib", title: "CPU s/GiB", digits: 3 },
    Column { key: "gib_per_second", title: "GiB/s", digits: 2 },
];
const P50: Column = Column { key: "p50_microseconds", title: "p50 us", digits: 0 };
const P99: Column = Column { key: "p99_microseconds", title: "p99 us", digits: 0 };
const ROUND_TRIP_COLUMNS: [Column; 4] = [
    Column { key: "cpu_microseconds_per_round_trip", title: "CPU us/round trip", digits: 1 },
    Column { key: "round_trips_per_second", title: "round trips/s", digits: 0 },
    P50,
    P99,
];
const CONNECTION_COLUMNS: [Column; 4] = [
    Column { key: "cpu_microseconds_per_connection", title: "CPU us/connection", digits: 1 },
    Column { key: "connections_per_second", title: "connections/s", digits: 0 },
    P50,
    P99,
];

/// What one sample came to, in the order of its columns.
#[derive(Debug, Clone)]
pub struct Figures {
    columns: &'static [Column],
    /// One for each column.
    pub values: Vec<f64>,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (column, value) in self.columns.iter().zip(&self.values) {
            write!(f, "{} {value:.*}  ", column.title, column.digits)?;
        }
        Ok(())
    }
}

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
        };
        f.pad(&name)
    }
}

impl FromStr for Kind {
    type Err = String;

    /// # Errors
    /// A sentence with the known kinds.
    fn from_str(text: &str) -> Result<Kind, String> {
        Kind::ALL.into_iter().find(|kind| kind.to_string() == text).ok_or_else(|| {
            let known: Vec<String> = Kind::ALL.iter().map(Kind::to_string).collect();
            format!("no such kind; known: {}", known.join(", "))
        })
    }
}
