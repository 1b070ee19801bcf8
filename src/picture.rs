//! Figures as a picture: curves, and bars in pairs below them. A self-contained SVG with a ground
//! of its own, so that it can be read on any page, and with darker colours where the reader
//! prefers them.

use std::fmt::Write as _;

/// What is to be drawn.
#[derive(Debug)]
pub struct Picture {
    /// The heading.
    pub title: &'static str,
    /// What the curves are, above them.
    pub by: String,
    /// The curves.
    pub chart: Chart,
    /// The bars below them.
    pub bars: Bars,
}

/// Curves over a common ground.
#[derive(Debug)]
pub struct Chart {
    /// What the width means.
    pub x_title: &'static str,
    /// Where a vertical line stands, as a share of the width, and what it is called.
    pub x_ticks: Vec<(f64, String)>,
    /// What the height means.
    pub y_title: &'static str,
    /// Where a horizontal line stands, ascending; the first and the last bound the curves. The
    /// axis is logarithmic.
    pub y_ticks: Vec<f64>,
    /// Each with a line of the legend.
    pub curves: Vec<Curve>,
}

/// A curve.
#[derive(Debug)]
pub struct Curve {
    /// As in the legend.
    pub name: &'static str,
    /// Its class in the style sheet, `c1` to `c8`.
    pub class: &'static str,
    /// Shares of the width, and values.
    pub points: Vec<(f64, f64)>,
    /// The lowest and the highest value at each point; empty where no ranges are shown.
    pub ranges: Vec<[f64; 2]>,
}

/// Rows of bars, two in each.
#[derive(Debug)]
pub struct Bars {
    /// The heading.
    pub title: &'static str,
    /// What the first and the second of a row are.
    pub legend: [String; 2],
    /// Digits behind the point.
    pub digits: usize,
    /// From the top down.
    pub rows: Vec<BarRow>,
}

/// A row of bars.
#[derive(Debug)]
pub struct BarRow {
    /// What stands before the bars.
    pub name: &'static str,
    /// One for each entry of the legend; `None` where nothing was measured.
    pub values: [Option<f64>; 2],
    /// The lowest and the highest value of each; `None` where no range is shown.
    pub ranges: [Option<[f64; 2]>; 2],
}

const WIDTH: f64 = 820.0;
/// The plot: left, top, right, bottom.
const PLOT: [f64; 4] = [80.0, 96.0, 590.0, 400.0];
const BAR_TOP: f64 = 500.0;
const BAR_ROW: f64 = 30.0;

/// Of the curves, those that are broken are of contestants that do nothing else, and the thick one
/// is what the picture is about.
const STYLE: &str = "\
text{font-family:system-ui,sans-serif;font-size:13px;fill:#1f2328}\
.title{font-size:17px;font-weight:600}.small{font-size:12px;fill:#57606a}\
.ground{fill:#ffffff;stroke:#d0d7de}.grid{stroke:#d8dee4;stroke-width:1}\
.axis{stroke:#57606a;stroke-width:1}polyline[class]{fill:none;stroke-width:2.5}\
.c1{stroke:#56a0d3;fill:#56a0d3}.c2{stroke:#c98500;fill:#c98500}\
.c3{stroke:#0969a8;fill:#0969a8}.c4{stroke:#c4501b;fill:#c4501b}\
.c5{stroke:#008f68;fill:#008f68}polyline.c5{stroke-width:4}\
.c6{stroke:#8250df;fill:#8250df}.c7{stroke:#cf222e;fill:#cf222e}\
.c8{stroke:#6e7781;fill:#6e7781}\
polyline.c1,polyline.c2{stroke-dasharray:6 4}line[class^=\"c\"]{stroke-width:1.5;opacity:0.6}\
.range{stroke:#1f2328;stroke-width:1.5}\
.down{fill:#0969a8}.up{fill:#56a0d3}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.small{fill:#9ea7b3}\
.ground{fill:#0d1117;stroke:#30363d}.grid{stroke:#272d36}.axis{stroke:#9ea7b3}\
.range{stroke:#e6edf3}\
.c1{stroke:#8cc8f0;fill:#8cc8f0}.c2{stroke:#f0b440;fill:#f0b440}\
.c3{stroke:#3b94e0;fill:#3b94e0}.c4{stroke:#ee7744;fill:#ee7744}\
.c5{stroke:#2fc796;fill:#2fc796}.c6{stroke:#a371f7;fill:#a371f7}\
.c7{stroke:#ff7b72;fill:#ff7b72}.c8{stroke:#9ea7b3;fill:#9ea7b3}\
.down{fill:#3b94e0}.up{fill:#8cc8f0}}";

/// The picture, with `on` below its title: where the figures come from. `None` where it would be
/// empty.
pub fn draw(picture: &Picture, on: &str) -> Option<String> {
    let Picture { title, by, chart, bars } = picture;
    if chart.curves.is_empty() && bars.rows.is_empty() {
        return None;
    }
    let height = BAR_TOP + BAR_ROW * bars.rows.len() as f64 + 34.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\n<style>{STYLE}</style>\n\
         <rect class=\"ground\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"8\"/>\n",
        WIDTH - 1.0,
        height - 1.0
    );
    text(&mut svg, 24.0, 34.0, "title", "start", title);
    text(&mut svg, 24.0, 54.0, "small", "start", on);
    text(&mut svg, 24.0, 80.0, "", "start", by);
    draw_chart(&mut svg, chart);
    draw_bars(&mut svg, bars);
    svg.push_str("</svg>\n");
    Some(svg)
}

/// The powers of ten around all values, ascending.
pub fn decades(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let (low, high) =
        values.fold((f64::MAX, f64::MIN), |(low, high), it| (it.min(low), it.max(high)));
    let (low, high) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    (low..=high.max(low + 1)).map(|exponent| 10_f64.powi(exponent)).collect()
}

fn draw_chart(svg: &mut String, chart: &Chart) {
    let [left, top, right, bottom] = PLOT;
    let (Some(low), Some(high), false) =
        (chart.y_ticks.first(), chart.y_ticks.last(), chart.curves.is_empty())
    else {
        text(svg, (left + right) / 2.0, (top + bottom) / 2.0, "small", "middle", "not measured");
        return;
    };
    let x = |share: f64| left + share * (right - left);
    let y = |value: f64| bottom - (value / low).ln() / (high / low).ln() * (bottom - top);
    for value in &chart.y_ticks {
        rule(svg, "grid", [left, y(*value), right, y(*value)]);
        text(svg, left - 8.0, y(*value) + 4.0, "small", "end", &format!("{value}"));
    }
    for (share, name) in &chart.x_ticks {
        rule(svg, "grid", [x(*share), top, x(*share), bottom]);
        text(svg, x(*share), bottom + 18.0, "small", "middle", name);
    }
    rule(svg, "axis", [left, bottom, right, bottom]);
    rule(svg, "axis", [left, top, left, bottom]);
    text(svg, (left + right) / 2.0, bottom + 40.0, "", "middle", chart.x_title);
    let middle = (top + bottom) / 2.0;
    element(
        svg,
        &format!(
            "<text x=\"26\" y=\"{middle:.1}\" text-anchor=\"middle\" \
             transform=\"rotate(-90 26 {middle:.1})\">{}</text>",
            escaped(chart.y_title)
        ),
    );
    for (row, Curve { name, class, points, ranges }) in chart.curves.iter().enumerate() {
        for ((share, _), range) in points.iter().zip(ranges) {
            let [from, to] = range.map(|value| y(value.clamp(*low, *high)));
            rule(svg, class, [x(*share), from, x(*share), to]);
        }
        let points: Vec<String> = points
            .iter()
            .map(|(share, value)| format!("{:.1},{:.1}", x(*share), y(value.clamp(*low, *high))))
            .collect();
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

fn draw_bars(svg: &mut String, bars: &Bars) {
    let Bars { title, legend, digits, rows } = bars;
    if rows.is_empty() {
        return;
    }
    let (left, right) = (230.0, WIDTH - 90.0);
    text(svg, 24.0, BAR_TOP - 30.0, "", "start", title);
    for (at, class, name) in [(left, "down", &legend[0]), (left + 170.0, "up", &legend[1])] {
        let y = BAR_TOP - 40.0;
        element(
            svg,
            &format!("<rect class=\"{class}\" x=\"{at}\" y=\"{y}\" width=\"12\" height=\"12\"/>"),
        );
        text(svg, at + 18.0, BAR_TOP - 30.0, "", "start", name);
    }
    let values = rows.iter().flat_map(|row| row.values.into_iter().flatten());
    let highest = rows.iter().flat_map(|row| row.ranges.into_iter().flatten().map(|[_, it]| it));
    let scale = (right - left) / values.chain(highest).fold(f64::MIN_POSITIVE, f64::max);
    for (row, BarRow { name, values, ranges }) in rows.iter().enumerate() {
        let top = BAR_TOP - 14.0 + BAR_ROW * row as f64;
        text(svg, left - 10.0, top + 17.0, "small", "end", name);
        let places = ranges.iter().zip([("down", 2.0), ("up", 14.0)]);
        for (value, (range, (class, offset))) in values.iter().zip(places) {
            let y = top + offset;
            let Some(value) = value else {
                text(svg, left + 6.0, y + 10.0, "small", "start", "not measured");
                continue;
            };
            let width = value * scale;
            element(
                svg,
                &format!(
                    "<rect class=\"{class}\" x=\"{left}\" y=\"{y}\" width=\"{width:.1}\" \
                     height=\"11\"/>"
                ),
            );
            let mut end = width;
            if let Some(range) = range {
                let [low, high] = range.map(|value| value * scale);
                rule(svg, "range", [left + low, y + 5.5, left + high, y + 5.5]);
                end = end.max(high);
            }
            let shown = format!("{value:.digits$}");
            text(svg, left + end + 6.0, y + 10.0, "small", "start", &shown);
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
    let words = escaped(words);
    element(
        svg,
        &format!(
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>"
        ),
    );
}

fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
