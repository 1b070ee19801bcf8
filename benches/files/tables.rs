//! Which tables the report has, and in which order.

use super::kind::{CPU_PER_GIB, Kind};
use crate::rig::kind::show_bytes;
use crate::rig::markdown::{cpu_cell, kinds_table, medians_cell, ratio_cell};
use crate::rig::results::{Entry, Results};

/// All tables of what was measured: sizes side by side.
pub fn write(results: &Results<Kind>) -> String {
    let kinds: Vec<(String, Kind)> =
        results.kinds().into_iter().map(|kind| (show_bytes(kind.bytes), kind)).collect();
    let mut text = kinds_table(results, "Files: CPU us for each, by their size", &kinds, cpu_cell);
    for reference in results.marks.references {
        let title = format!("Files: CPU, {}", reference.title);
        text.push_str(&kinds_table(results, &title, &kinds, |entry| {
            ratio_cell(results, entry, reference)
        }));
    }
    let per_gib =
        |entry: &Entry<Kind>| entry.summary(CPU_PER_GIB).map(|it| format!("{:.2}", it.median));
    text.push_str(&kinds_table(results, "Files: CPU s for each GiB", &kinds, per_gib));
    let latencies = |entry: &_| medians_cell(entry, &[3, 4]);
    text.push_str(&kinds_table(results, "Files: p50 / p99 in us", &kinds, latencies));
    text
}
