//! Which tables the report has, and in which order.

use super::kind::{BODY_BYTES, CHUNKED_BYTES, Kind, REQUEST_PERCENTILES};
use crate::rig::kind::{Sender, show_bytes};
use crate::rig::load::http::wire::Framing;
use crate::rig::markdown::{cpu_cell, kind_table, kinds_table, medians_cell, ratio_cell};
use crate::rig::results::Results;

/// All tables of what was measured.
pub fn write(results: &Results<Kind>) -> String {
    let kinds = results.kinds();
    let mut text = String::new();
    for (sender, what) in [(Sender::Origin, "Responses"), (Sender::Client, "Uploads")] {
        let mut measured = body_kinds(sender);
        measured.retain(|(_, kind)| kinds.contains(kind));
        text.push_str(&body_tables(results, &measured, what));
    }
    let rest = kinds.into_iter().filter(|kind| !matches!(kind, Kind::Body { .. }));
    text.extend(rest.map(|kind| kind_table(results, kind)));
    text
}

/// Every size one way, with the head of its column.
fn body_kinds(sender: Sender) -> Vec<(String, Kind)> {
    let whole = BODY_BYTES.map(|bytes| (show_bytes(bytes), Kind::body(sender, bytes)));
    let chunked = CHUNKED_BYTES.map(|bytes| {
        let kind = Kind::Body { sender, bytes, framing: Framing::Chunked };
        (format!("{}, chunked", show_bytes(bytes)), kind)
    });
    whole.into_iter().chain(chunked).collect()
}

/// CPU and latency: sizes side by side.
fn body_tables(results: &Results<Kind>, kinds: &[(String, Kind)], what: &str) -> String {
    let title = format!("{what}: CPU us for each, by the size of the body");
    let mut text = kinds_table(results, &title, kinds, cpu_cell);
    for reference in results.marks.references {
        let title = format!("{what}: CPU, {}", reference.title);
        let cell = |entry: &_| ratio_cell(results, entry, reference);
        text.push_str(&kinds_table(results, &title, kinds, cell));
    }
    let title = format!("{what}: p50 / p99 / p99.9 in us");
    let percentiles = |entry: &_| medians_cell(entry, &REQUEST_PERCENTILES);
    text.push_str(&kinds_table(results, &title, kinds, percentiles));
    text
}
