//! The picture: CPU for each file over its size, as a multiple of nginx's, and CPU for each GiB of
//! large ones as bars below.

use spliceway::picture::{BarRow, Bars, Chart, Curve, Picture};

use super::contestant::{COPY, MMAP, NGINX_CACHED, NGINX_NOPUSH, SENDFILE, SPLICE};
use super::kind::{CPU_PER_GIB, FILE_BYTES, Kind};
use crate::rig::kind::show_bytes;
use crate::rig::names::NGINX;
use crate::rig::picture;
use crate::rig::results::Results;

/// What is drawn as a curve: its name, its class in the style sheet.
const CURVES: [(&str, &str); 7] = [
    (SENDFILE, "c5"),
    (SPLICE, "c3"),
    (MMAP, "c1"),
    (COPY, "c4"),
    (NGINX, "c8"),
    (NGINX_NOPUSH, "c2"),
    (NGINX_CACHED, "c7"),
];

/// The picture; `None` when nginx was not measured.
pub fn draw(results: &Results<Kind>) -> Option<String> {
    let picture = Picture {
        title: "CPU time for each file",
        by: "As a multiple of nginx's, by the size of the file".to_owned(),
        chart: Chart {
            x_title: "size of the file",
            x_ticks: FILE_BYTES.map(|bytes| (share(bytes), show_bytes(bytes))).into(),
            y_title: "CPU, nginx = 1 (log)",
            y_ticks: vec![0.25, 0.5, 1.0, 2.0, 4.0],
            curves: curves(results),
        },
        bars: Bars {
            title: "CPU s for each GiB",
            legend: ["files of 64 KiB", "files of 1 GiB"].map(str::to_owned),
            digits: 2,
            rows: rows(results),
        },
    };
    picture::draw(&picture, &results.machine)
}

/// Where the size stands: all are equally far apart.
fn share(bytes: usize) -> f64 {
    let place = FILE_BYTES.iter().position(|it| *it == bytes).unwrap_or(0);
    place as f64 / (FILE_BYTES.len() - 1) as f64
}

fn curves(results: &Results<Kind>) -> Vec<Curve> {
    let curve = |(name, class)| {
        let point = |bytes: usize| {
            let ratio = results.ratio(Kind { bytes }, name, NGINX, 0)?;
            Some((share(bytes), ratio)).filter(|_| ratio > 0.0)
        };
        let points = FILE_BYTES.into_iter().filter_map(point).collect();
        Curve { name, class, points, ranges: Vec::new() }
    };
    CURVES.map(curve).into_iter().filter(|curve| !curve.points.is_empty()).collect()
}

fn rows(results: &Results<Kind>) -> Vec<BarRow> {
    let of = |name: &'static str| {
        let values =
            [64 << 10, 1 << 30].map(|bytes| results.median(Kind { bytes }, name, CPU_PER_GIB));
        BarRow { name, values, ranges: [None; 2] }
    };
    let all = results.contestants.iter().map(|it| of(it.name));
    all.filter(|row| row.values.iter().any(Option::is_some)).collect()
}
