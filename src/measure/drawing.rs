//! The figures as a picture: CPU time over the size of a file, and sockets as bars below.

use crate::config::units::show_size;
use crate::measure::results::Results;
use crate::measure::way::{Case, FILE_WAYS, SOCKET_WAYS, Way};
use crate::picture::{self, BarRow, Bars, Chart, Curve, Picture};

/// The class in the style sheet of each way from a file, in their order. The thick one is
/// sendfile's, the broken ones are of ways that the proxy does not have.
const CLASSES: [&str; 7] = ["c4", "c7", "c5", "c3", "c8", "c1", "c2"];

/// The picture; `None` where nothing was measured.
pub fn draw(results: &Results) -> Option<String> {
    let sizes = results.sizes(Case::FileCached);
    let curves = curves(results, &sizes);
    let values = curves.iter().flat_map(|curve| curve.ranges.as_flattened().iter().copied());
    let socket_sizes = bar_sizes(results);
    let bars = Bars {
        title: "Socket to socket",
        legend: socket_sizes.unwrap_or_default().map(|it| format!("{} each", show_size(it))),
        digits: 3,
        rows: bar_rows(results, socket_sizes),
    };
    let chart = Chart {
        x_title: "size of each transfer (log)",
        x_ticks: sizes.iter().map(|it| (share(*it, &sizes), show_size(*it))).collect(),
        y_title: "CPU seconds for each GiB (log)",
        y_ticks: picture::decades(values),
        curves,
    };
    let picture = Picture {
        title: "CPU time for each GiB, by the way that bytes take",
        by: "File in the page cache to socket, by size".to_owned(),
        chart,
        bars,
    };
    let setting = &results.setting;
    let on = format!(
        "Linux {}, {}, {} CPUs; median and range of {} rounds; lower is better",
        setting.kernel, setting.cpu, setting.cpus, setting.rounds
    );
    picture::draw(&picture, &on)
}

/// Where the size stands on a logarithmic axis from the smallest to the largest.
fn share(bytes: u64, sizes: &[u64]) -> f64 {
    match (sizes.first(), sizes.last()) {
        (Some(first), Some(last)) if first < last => {
            (bytes as f64 / *first as f64).ln() / (*last as f64 / *first as f64).ln()
        }
        _ => 0.5,
    }
}

fn curves(results: &Results, sizes: &[u64]) -> Vec<Curve> {
    let curve = |(way, class): (&'static Way, &'static str)| {
        let point = |bytes: &u64| {
            let cpu = results.cpu(Case::FileCached, way.key, *bytes)?;
            let point = ((share(*bytes, sizes), cpu.median), [cpu.low, cpu.high]);
            Some(point).filter(|_| cpu.low > 0.0)
        };
        let (points, ranges) = sizes.iter().filter_map(point).unzip();
        Curve { name: way.name, class, points, ranges }
    };
    let curves = FILE_WAYS.iter().zip(CLASSES).map(curve);
    curves.filter(|curve| !curve.points.is_empty()).collect()
}

/// The sizes of the bars. The smallest would dwarf all others.
fn bar_sizes(results: &Results) -> Option<[u64; 2]> {
    let sizes = results.sizes(Case::Sockets);
    Some([*sizes.get(sizes.len() / 2)?, *sizes.last()?])
}

fn bar_rows(results: &Results, sizes: Option<[u64; 2]>) -> Vec<BarRow> {
    let Some(sizes) = sizes else { return Vec::new() };
    let row = |way: &'static Way| {
        let cpu = sizes.map(|bytes| results.cpu(Case::Sockets, way.key, bytes));
        let values = cpu.map(|it| it.map(|it| it.median));
        BarRow { name: way.name, values, ranges: cpu.map(|it| it.map(|it| [it.low, it.high])) }
    };
    let rows = SOCKET_WAYS.iter().map(row);
    rows.filter(|row| row.values.iter().any(Option::is_some)).collect()
}
