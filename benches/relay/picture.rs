//! The measured curve as a picture: CPU for each GiB over the size of the messages, and bulk as
//! bars below.

use spliceway::picture::{BarRow, Bars, Chart, Curve, Picture, decades};

use super::kind::{Kind, MESSAGE_BYTES};
use crate::rig::kind::{Sender, show_bytes};
use crate::rig::names::{AUTO, BARE_COPY, BARE_SPLICE, COPY, SPLICE};
use crate::rig::picture;
use crate::rig::results::Results;

/// What is drawn as a curve: its name, its class in the style sheet.
const CURVES: [(&str, &str); 5] =
    [(BARE_SPLICE, "c1"), (BARE_COPY, "c2"), (SPLICE, "c3"), (COPY, "c4"), (AUTO, "c5")];

/// The connections of the curve.
const CURVE_CONNECTIONS: usize = 64;

/// The picture; `None` when neither round trips over many connections nor bulk were measured.
pub fn draw(results: &Results<Kind>) -> Option<String> {
    let curves = curves(results);
    let bars = Bars {
        title: "Bulk, CPU seconds for each GiB",
        legend: ["upstream to client", "client to upstream"].map(str::to_owned),
        digits: 3,
        rows: rows(results),
    };
    let chart = Chart {
        x_title: "size of the message (log)",
        x_ticks: MESSAGE_BYTES.map(|bytes| (share(bytes), show_bytes(bytes))).into(),
        y_title: "CPU seconds for each GiB (log)",
        y_ticks: decades(curves.iter().flat_map(|it| it.points.iter().map(|it| it.1))),
        curves,
    };
    let picture = Picture {
        title: "CPU time of the proxy for each GiB",
        by: format!("Round trips over {CURVE_CONNECTIONS} connections, by the size of the message"),
        chart,
        bars,
    };
    picture::draw(&picture, &results.machine)
}

/// Where the size stands on a logarithmic axis from the smallest to the largest.
fn share(bytes: usize) -> f64 {
    let (first, last) = (MESSAGE_BYTES[0] as f64, MESSAGE_BYTES[MESSAGE_BYTES.len() - 1] as f64);
    (bytes as f64 / first).ln() / (last / first).ln()
}

fn curves(results: &Results<Kind>) -> Vec<Curve> {
    let curve = |(name, class)| {
        let point = |bytes: usize| {
            let kind = Kind::RoundTrips { bytes, connections: CURVE_CONNECTIONS };
            let cpu = kind.cpu_seconds_per_gib(results.median(kind, name, 0)?)?;
            Some((share(bytes), cpu)).filter(|_| cpu > 0.0)
        };
        let points = MESSAGE_BYTES.into_iter().filter_map(point).collect();
        Curve { name, class, points, ranges: Vec::new() }
    };
    CURVES.map(curve).into_iter().filter(|curve| !curve.points.is_empty()).collect()
}

fn rows(results: &Results<Kind>) -> Vec<BarRow> {
    let of = |name: &'static str| {
        let values = [Sender::Origin, Sender::Client].map(|sender| {
            // The single connection, or else the many where only those were measured.
            let cpu = |connections| results.median(Kind::Bulk { sender, connections }, name, 0);
            cpu(1).or_else(|| cpu(CURVE_CONNECTIONS))
        });
        BarRow { name, values, ranges: [None; 2] }
    };
    let all = results.contestants.iter().map(|it| of(it.name));
    all.filter(|row| row.values.iter().any(Option::is_some)).collect()
}
