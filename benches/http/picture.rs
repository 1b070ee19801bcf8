//! The picture: CPU for each response over the size of its body, as a multiple of nginx's, and
//! large bodies both ways as bars below.

use spliceway::picture::{BarRow, Bars, Chart, Curve, Picture};

use super::kind::{BODY_BYTES, Kind};
use crate::rig::kind::{Sender, show_bytes};
use crate::rig::names::{
    AUTO, BARE_COPY, BARE_SPLICE, COPY, HAPROXY_COPY, HAPROXY_SPLICE, NGINX, SPLICE,
};
use crate::rig::picture;
use crate::rig::results::Results;

/// What is drawn as a curve: its name, its class in the style sheet.
const CURVES: [(&str, &str); 8] = [
    (AUTO, "c5"),
    (SPLICE, "c3"),
    (COPY, "c4"),
    (NGINX, "c8"),
    (HAPROXY_COPY, "c7"),
    (HAPROXY_SPLICE, "c6"),
    (BARE_SPLICE, "c1"),
    (BARE_COPY, "c2"),
];

/// The body of the bars, in bytes.
const BAR_BYTES: usize = 1 << 20;

/// The picture; `None` when neither nginx nor a large body was measured.
pub fn draw(results: &Results<Kind>) -> Option<String> {
    let picture = Picture {
        title: "CPU time of the proxy for each response",
        by: "As a multiple of nginx's, by the size of the body".to_owned(),
        chart: Chart {
            x_title: "size of the body",
            x_ticks: BODY_BYTES.map(|bytes| (share(bytes), show_bytes(bytes))).into(),
            y_title: "CPU, nginx = 1 (log)",
            y_ticks: vec![0.125, 0.25, 0.5, 1.0, 2.0, 4.0],
            curves: curves(results),
        },
        bars: Bars {
            title: "Bodies of 1 MiB, CPU us",
            legend: ["responses", "uploads"].map(str::to_owned),
            digits: 0,
            rows: rows(results),
        },
    };
    picture::draw(&picture, &results.machine)
}

/// Where the size stands: all are equally far apart, the empty body among them.
fn share(bytes: usize) -> f64 {
    let place = BODY_BYTES.iter().position(|it| *it == bytes).unwrap_or(0);
    place as f64 / (BODY_BYTES.len() - 1) as f64
}

fn curves(results: &Results<Kind>) -> Vec<Curve> {
    let curve = |(name, class)| {
        let point = |bytes: usize| {
            let ratio = results.ratio(Kind::body(Sender::Origin, bytes), name, NGINX, 0)?;
            Some((share(bytes), ratio)).filter(|_| ratio > 0.0)
        };
        let points = BODY_BYTES.into_iter().filter_map(point).collect();
        Curve { name, class, points, ranges: Vec::new() }
    };
    CURVES.map(curve).into_iter().filter(|curve| !curve.points.is_empty()).collect()
}

fn rows(results: &Results<Kind>) -> Vec<BarRow> {
    let of = |name: &'static str| {
        let values = [Sender::Origin, Sender::Client]
            .map(|sender| results.median(Kind::body(sender, BAR_BYTES), name, 0));
        BarRow { name, values, ranges: [None; 2] }
    };
    let all = results.contestants.iter().map(|it| of(it.name));
    all.filter(|row| row.values.iter().any(Option::is_some)).collect()
}
