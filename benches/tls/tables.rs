//! Which tables the report has, and in which order.

use super::kind::{Kind, RESPONSE_BYTES, RESPONSE_PERCENTILES};
use crate::rig::kind::show_bytes;
use crate::rig::markdown::{cpu_cell, kind_table, kinds_table, medians_cell, ratio_cell};
use crate::rig::results::Results;
use crate::rig::tls::PARAMETERS;

/// All tables of what was measured.
pub fn write(results: &Results<Kind>) -> String {
    let kinds = results.kinds();
    let mut text = format!("{PARAMETERS}.\n\n");
    text.push_str(&response_tables(results, &kinds));
    let rest = kinds.into_iter().filter(|kind| !matches!(kind, Kind::Responses { .. }));
    text.extend(rest.map(|kind| kind_table(results, kind)));
    text
}

/// CPU and latency: sizes side by side.
fn response_tables(results: &Results<Kind>, kinds: &[Kind]) -> String {
    let head = |bytes| (show_bytes(bytes), Kind::Responses { bytes });
    let measured = RESPONSE_BYTES.map(head).into_iter();
    let measured: Vec<_> = measured.filter(|(_, kind)| kinds.contains(kind)).collect();
    let title = "Responses: CPU us for each, by the size of the body";
    let mut text = kinds_table(results, title, &measured, cpu_cell);
    for reference in results.marks.references {
        let title = format!("Responses: CPU, {}", reference.title);
        let cell = |entry: &_| ratio_cell(results, entry, reference);
        text.push_str(&kinds_table(results, &title, &measured, cell));
    }
    let title = "Responses: p50 / p99 / p99.9 in us";
    let percentiles = |entry: &_| medians_cell(entry, &RESPONSE_PERCENTILES);
    text.push_str(&kinds_table(results, title, &measured, percentiles));
    text
}
