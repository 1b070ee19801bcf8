//! The picture: CPU for each response over the size of its body, as a multiple of nginx's, and
//! handshakes as bars below.

use spliceway::picture::{BarRow, Bars, Chart, Curve, Picture};

use super::kind::{Kind, RESPONSE_BYTES};
use crate::rig::kind::show_bytes;
use crate::rig::names::{AUTO, HAPROXY, HAPROXY_LARGE_BUFFERS, NGINX};
use crate::rig::picture;
use crate::rig::results::Results;
use crate::rig::tls::Tickets;

/// What is drawn as a curve: its name, its class in the style sheet.
const CURVES: [(&str, &str); 4] =
    [(AUTO, "c5"), (NGINX, "c8"), (HAPROXY, "c7"), (HAPROXY_LARGE_BUFFERS, "c6")];

/// The picture; `None` when neither nginx nor handshakes were measured.
pub fn draw(results: &Results<Kind>) -> Option<String> {
    let picture = Picture {
        title: "CPU time of the proxy for each response over TLS 1.3",
        by: "As a multiple of nginx's, by the size of the body".to_owned(),
        chart: Chart {
            x_title: "size of the body",
            x_ticks: RESPONSE_BYTES.map(|bytes| (share(bytes), show_bytes(bytes))).into(),
            y_title: "CPU, nginx = 1 (log)",
            y_ticks: vec![0.25, 0.5, 1.0, 2.0],
            curves: curves(results),
        },
        bars: Bars {
            title: "Handshakes, CPU us",
            legend: ["full", "resumed"].map(str::to_owned),
            digits: 0,
            rows: rows(results),
        },
    };
    picture::draw(&picture, &results.machine)
}

/// Where the size stands: all are equally far apart.
fn share(bytes: usize) -> f64 {
    let place = RESPONSE_BYTES.iter().position(|it| *it == bytes).unwrap_or(0);
    place as f64 / (RESPONSE_BYTES.len() - 1) as f64
}

fn curves(results: &Results<Kind>) -> Vec<Curve> {
    let curve = |(name, class)| {
        let point = |bytes: usize| {
            let ratio = results.ratio(Kind::Responses { bytes }, name, NGINX, 0)?;
            Some((share(bytes), ratio)).filter(|_| ratio > 0.0)
        };
        let points = RESPONSE_BYTES.into_iter().filter_map(point).collect();
        Curve { name, class, points, ranges: Vec::new() }
    };
    CURVES.map(curve).into_iter().filter(|curve| !curve.points.is_empty()).collect()
}

fn rows(results: &Results<Kind>) -> Vec<BarRow> {
    let of = |name: &'static str| {
        let values = [Tickets::Ignored, Tickets::Kept]
            .map(|tickets| results.median(Kind::handshakes(tickets), name, 0));
        BarRow { name, values, ranges: [None; 2] }
    };
    let all = results.contestants.iter().map(|it| of(it.name));
    all.filter(|row| row.values.iter().any(Option::is_some)).collect()
}
