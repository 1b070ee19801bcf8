//! Which tables the report has, and in which order.

use super::kind::{CONNECTIONS, Kind, MESSAGE_BYTES, ROUND_TRIP_PERCENTILES};
use crate::rig::kind::{show_bytes, show_connections};
use crate::rig::markdown::{cpu_cell, kind_table, kinds_table, medians_cell};
use crate::rig::results::Results;

/// All tables of what was measured.
pub fn write(results: &Results<Kind>) -> String {
    let kinds = results.kinds();
    let is_round_trip = |kind: &Kind| matches!(kind, Kind::RoundTrips { .. });
    let before = kinds.iter().position(is_round_trip).unwrap_or(kinds.len());
    let (first, rest) = kinds.split_at(before);
    let mut text: String = first.iter().map(|kind| kind_table(results, *kind)).collect();
    for connections in CONNECTIONS {
        let head = |bytes| (show_bytes(bytes), Kind::RoundTrips { bytes, connections });
        let measured = MESSAGE_BYTES.map(head).into_iter();
        let measured: Vec<_> = measured.filter(|(_, kind)| kinds.contains(kind)).collect();
        text.push_str(&round_trip_tables(results, &measured, connections));
    }
    let rest = rest.iter().filter(|kind| !is_round_trip(kind));
    text.extend(rest.map(|kind| kind_table(results, *kind)));
    text
}

/// CPU and latency of the round trips: sizes side by side.
fn round_trip_tables(
    results: &Results<Kind>,
    kinds: &[(String, Kind)],
    connections: usize,
) -> String {
    let over = show_connections(connections);
    let title = format!("Round trips, {over}: CPU us for each, by the size of the message");
    let mut text = kinds_table(results, &title, kinds, cpu_cell);
    let title = format!("Round trips, {over}: p50 / p99 in us");
    let percentiles = |entry: &_| medians_cell(entry, &ROUND_TRIP_PERCENTILES);
    text.push_str(&kinds_table(results, &title, kinds, percentiles));
    text
}
