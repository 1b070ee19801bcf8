//! The measured curve as a picture: CPU for each GiB over the size of the messages, and bulk as
//! bars below. A self-contained SVG with a ground of its own, so that it can be read on any page,
//! and with darker colours where the reader prefers them.

use std::fmt::Write as _;

use crate::kind::{Kind, MESSAGE_BYTES, Sender, show_bytes};
use crate::names::{AUTO, BARE_COPY, BARE_SPLICE, COPY, SPLICE};
use crate::results::Results;

/// What is drawn as a curve: its name, its class in the style sheet.
const CURVES: [(&str, &str); 5] =
    [(BARE_SPLICE, "c1"), (BARE_COPY, "c2"), (SPLICE, "c3"), (COPY, "c4"), (AUTO, "c5")];

/// The connections of the curve.
const CURVE_CONNECTIONS: usize = 64;

const WIDTH: f64 = 820.0;
/// The plot: left, top, right, bottom.
const PLOT: [f64; 4] = [80.0, 96.0, 590.0, 400.0];
const BAR_TOP: f64 = 500.0;
const BAR_ROW: f64 = 30.0;

const STYLE: &str = "\
text{font-family:system-ui,sans-serif;font-size:13px;fill:#1f2328}\
.title{font-size:17px;font-weight:600}.small{font-size:12px;fill:#57606a}\
.ground{fill:#ffffff;stroke:#d0d7de}.grid{stroke:#d8dee4;stroke-width:1}\
.axis{stroke:#57606a;stroke-width:1}polyline[class]{fill:none;stroke-width:2.5}\
.c1{stroke:#56a0d3;fill:#56a0d3}.c2{stroke:#c98500;fill:#c98500}\
.c3{stroke:#0969a8;fill:#0969a8}.c4{stroke:#c4501b;fill:#c4501b}\
.c5{stroke:#008f68;fill:#008f68}polyline.c5{stroke-width:4}\
polyline.c1,polyline.c2{stroke-dasharray:6 4}\
.down{fill:#0969a8}.up{fill:#56a0d3}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.small{fill:#9ea7b3}\
.ground{fill:#0d1117;stroke:#30363d}.grid{stroke:#272d36}.axis{stroke:#9ea7b3}\
.c1{stroke:#8cc8f0;fill:#8cc8f0}.c2{stroke:#f0b440;fill:#f0b440}\
.c3{stroke:#3b94e0;fill:#3b94e0}.c4{stroke:#ee7744;fill:#ee7744}\
.c5{stroke:#2fc796;fill:#2fc796}.down{fill:#3b94e0}.up{fill:#8cc8f0}}";

/// A curve: what it shows, and its points as message size and CPU seconds for each GiB.
struct Curve {
    name: &'static str,
    class: &'static str,
    points: Vec<(f64, f64)>,
}

/// CPU seconds for each GiB of a contestant: down, up.
struct Bars {
    name: &'static str,
    values: [Option<f64>; 2],
}

/// The picture; `None` when neither round trips over many connections nor bulk were measured.
pub fn draw(results: &Results) -> Option<String> {
    let curves = curves(results);
    let bars = bars(results);
    if curves.is_empty() && bars.is_empty() {
        return None;
    }
    let machine = &results.machine;
    let height = BAR_TOP + BAR_ROW * bars.len() as f64 + 34.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\n<style>{STYLE}</style>\n\
         <rect class=\"ground\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"8\"/>\n",
        WIDTH - 1.0,
        height - 1.0
    );
    text(&mut svg, 24.0, 34.0, "title", "start", "CPU time of the proxy for each GiB");
    let on = format!(
        "Linux {}, {}, {} CPUs; lower is better",
        machine.kernel, machine.cpu, machine.cpus
    );
    text(&mut svg, 24.0, 54.0, "small", "start", &on);
    let by =
        format!("Round trips over {CURVE_CONNECTIONS} connections, by the size of the message");
    text(&mut svg, 24.0, 80.0, "", "start", &by);
    draw_curves(&mut svg, &curves);
    draw_bars(&mut svg, &bars);
    svg.push_str("</svg>\n");
    Some(svg)
}

fn curves(results: &Results) -> Vec<Curve> {
    let curve = |(name, class)| {
        let point = |bytes: usize| {
            let kind = Kind::RoundTrips { bytes, connections: CURVE_CONNECTIONS };
            let cpu = kind.cpu_seconds_per_gib(results.median(kind, name, 0)?)?;
            Some((bytes as f64, cpu)).filter(|_| cpu > 0.0)
        };
        let points = MESSAGE_BYTES.into_iter().filter_map(point).collect();
        Curve { name, class, points }
    };
    CURVES.map(curve).into_iter().filter(|curve| !curve.points.is_empty()).collect()
}

fn bars(results: &Results) -> Vec<Bars> {
    let of = |name: &'static str| {
        let values = [Sender::Origin, Sender::Client].map(|sender| {
            // The single connection, or else the many where only those were measured.
            let cpu = |connections| results.median(Kind::Bulk { sender, connections }, name, 0);
            cpu(1).or_else(|| cpu(CURVE_CONNECTIONS))
        });
        Bars { name, values }
    };
    let all = results.contestants.iter().map(|it| of(it.name));
    all.filter(|bars| bars.values.iter().any(Option::is_some)).collect()
}

/// The powers of ten around all values, as exponents.
fn decades(values: impl Iterator<Item = f64>) -> (i32, i32) {
    let (low, high) =
        values.fold((f64::MAX, f64::MIN), |(low, high), it| (it.min(low), it.max(high)));
    let (low, high) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    (low, high.max(low + 1))
}

fn draw_curves(svg: &mut String, curves: &[Curve]) {
    let [left, top, right, bottom] = PLOT;
    if curves.is_empty() {
        text(svg, (left + right) / 2.0, (top + bottom) / 2.0, "small", "middle", "not measured");
        return;
    }
    let (low, high) = decades(curves.iter().flat_map(|it| it.points.iter().map(|point| point.1)));
    let (first, last) = (MESSAGE_BYTES[0] as f64, MESSAGE_BYTES[MESSAGE_BYTES.len() - 1] as f64);
    let x = |bytes: f64| left + (bytes / first).ln() / (last / first).ln() * (right - left);
    let y =
        |cpu: f64| bottom - (cpu.log10() - f64::from(low)) / f64::from(high - low) * (bottom - top);
    for exponent in low..=high {
        let value = 10_f64.powi(exponent);
        rule(svg, "grid", [left, y(value), right, y(value)]);
        text(svg, left - 8.0, y(value) + 4.0, "small", "end", &format!("{value}"));
    }
    for bytes in MESSAGE_BYTES {
        let at = x(bytes as f64);
        rule(svg, "grid", [at, top, at, bottom]);
        text(svg, at, bottom + 18.0, "small", "middle", &show_bytes(bytes));
    }
    rule(svg, "axis", [left, bottom, right, bottom]);
    rule(svg, "axis", [left, top, left, bottom]);
    text(svg, (left + right) / 2.0, bottom + 40.0, "", "middle", "size of the message (log)");
    let middle = (top + bottom) / 2.0;
    element(
        svg,
        &format!(
            "<text x=\"26\" y=\"{middle:.1}\" text-anchor=\"middle\" \
             transform=\"rotate(-90 26 {middle:.1})\">CPU seconds for each GiB (log)</text>"
        ),
    );
    for (row, curve) in curves.iter().enumerate() {
        let points: Vec<String> = curve
            .points
            .iter()
            .map(|(bytes, cpu)| format!("{:.1},{:.1}", x(*bytes), y(*cpu)))
            .collect();
        let Curve { name, class, .. } = curve;
        element(svg, &format!("<polyline class=\"{class}\" points=\"{}\"/>", points.join(" ")));
        for point in &points {
            let (x, y) = point.split_once(',').unwrap_or_default();
            element(svg, &format!("<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"3\"/>"));
        }
        let at = top + 14.0 + 24.0 * row as f64;
        let (from, to) = (right + 18.0, right + 48.0);
        element(svg, &format!("<polyline class=\"{class}\" points=\"{from},{at} {to},{at}\"/>"));
        text(svg, to + 8.0, at + 4.0, "", "start", name);
    }
}

fn draw_bars(svg: &mut String, bars: &[Bars]) {
    if bars.is_empty() {
        return;
    }
    let (left, right) = (230.0, WIDTH - 90.0);
    let head = "Bulk, CPU seconds for each GiB";
    text(svg, 24.0, BAR_TOP - 30.0, "", "start", head);
    for (at, class, name) in
        [(left, "down", "upstream to client"), (left + 170.0, "up", "client to upstream")]
    {
        let y = BAR_TOP - 40.0;
        element(
            svg,
            &format!("<rect class=\"{class}\" x=\"{at}\" y=\"{y}\" width=\"12\" height=\"12\"/>"),
        );
        text(svg, at + 18.0, BAR_TOP - 30.0, "", "start", name);
    }
    let values = bars.iter().flat_map(|bars| bars.values.into_iter().flatten());
    let scale = (right - left) / values.fold(f64::MIN_POSITIVE, f64::max);
    for (row, Bars { name, values }) in bars.iter().enumerate() {
        let top = BAR_TOP - 14.0 + BAR_ROW * row as f64;
        text(svg, left - 10.0, top + 17.0, "small", "end", name);
        for (value, (class, offset)) in values.iter().zip([("down", 2.0), ("up", 14.0)]) {
            let Some(value) = value else { continue };
            let (y, width) = (top + offset, value * scale);
            element(
                svg,
                &format!(
                    "<rect class=\"{class}\" x=\"{left}\" y=\"{y}\" width=\"{width:.1}\" \
                     height=\"11\"/>"
                ),
            );
            text(svg, left + width + 6.0, y + 10.0, "small", "start", &format!("{value:.3}"));
        }
    }
}

fn element(svg: &mut String, markup: &str) {
    // Writing to a String cannot fail.
    let _written = writeln!(svg, "{markup}");
}

fn rule(svg: &mut String, class: &str, [x1, y1, x2, y2]: [f64; 4]) {
    element(
        svg,
        &format!(
            "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
        ),
    );
}

fn text(svg: &mut String, x: f64, y: f64, class: &str, anchor: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    element(
        svg,
        &format!(
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>"
        ),
    );
}
