//! Histograms with fixed buckets: their memory is the same whether nothing was observed or
//! everything, and whether anybody scrapes or not.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{HistogramFn, Key};

/// Observations by bucket, of all workers.
#[derive(Debug)]
pub(super) struct FixedHistogram {
    bounds: &'static [f64],
    /// How many fell into each bucket and into none before it; the last one has no bound.
    counts: Box<[AtomicU64]>,
    /// The bits of an `f64`.
    sum: AtomicU64,
}

impl FixedHistogram {
    /// `bounds` are the upper ones of the buckets, ascending.
    pub(super) fn new(bounds: &'static [f64]) -> FixedHistogram {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        FixedHistogram { bounds, counts, sum: AtomicU64::new(0f64.to_bits()) }
    }

    /// Writes its samples as Prometheus text; `labels` as [`labels_text`] makes them.
    pub(super) fn write(&self, name: &str, labels: &str, out: &mut String) -> fmt::Result {
        let comma = if labels.is_empty() { "" } else { "," };
        // Observations that come meanwhile may be in some of the numbers: each is read once, so
        // that buckets and count agree.
        let mut count = 0;
        for (index, observed) in self.counts.iter().enumerate() {
            count += observed.load(Ordering::Relaxed);
            write!(out, "{name}_bucket{{{labels}{comma}le=\"")?;
            match self.bounds.get(index) {
                Some(bound) => write!(out, "{bound}")?,
                None => out.push_str("+Inf"),
            }
            writeln!(out, "\"}} {count}")?;
        }
        let braced = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let sum = f64::from_bits(self.sum.load(Ordering::Relaxed));
        writeln!(out, "{name}_sum{braced} {sum}\n{name}_count{braced} {count}")
    }
}

impl HistogramFn for FixedHistogram {
    fn record(&self, value: f64) {
        self.record_many(value, 1);
    }

    fn record_many(&self, value: f64, count: usize) {
        self.counts[bucket_of(self.bounds, value)].fetch_add(count as u64, Ordering::Relaxed);
        let add = |bits| Some((f64::from_bits(bits) + value * count as f64).to_bits());
        let added = self.sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        debug_assert!(added.is_ok(), "there is always a sum");
    }
}

/// Which bucket a value falls into: that of the lowest bound that is not below it, or the one
/// without a bound.
pub fn bucket_of(bounds: &[f64], value: f64) -> usize {
    bounds.partition_point(|bound| *bound < value)
}

/// The labels of a series as Prometheus text has them between braces.
pub(super) fn labels_text(key: &Key) -> String {
    let mut text = String::new();
    for label in key.labels() {
        let comma = if text.is_empty() { "" } else { "," };
        let value = label.value().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let written = write!(text, "{comma}{}=\"{value}\"", label.key());
        debug_assert!(written.is_ok(), "writing to memory does not fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use metrics::Label;

    use super::*;

    fn written(histogram: &FixedHistogram, labels: &str) -> String {
        let mut text = String::new();
        histogram.write("h", labels, &mut text).unwrap();
        text
    }

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let check = |value: f64, expected: usize| {
            assert_eq!(bucket_of(&[0.5, 1.0], value), expected, "{value}");
        };
        check(0.0, 0);
        check(0.5, 0);
        check(0.500_001, 1);
        check(1.0, 1);
        check(1.1, 2);
        check(f64::INFINITY, 2);
    }

    #[test]
    fn buckets_are_cumulative_and_agree_with_the_count() {
        let histogram = FixedHistogram::new(&[0.5, 10.0]);
        histogram.record(0.25);
        histogram.record_many(2.5, 4);
        histogram.record(11.0);
        let expected = "h_bucket{le=\"0.5\"} 1\nh_bucket{le=\"10\"} 5\nh_bucket{le=\"+Inf\"} 6\n\
                        h_sum 21.25\nh_count 6\n";
        assert_eq!(written(&histogram, ""), expected);
    }

    #[test]
    fn labels_stand_before_the_bound_and_are_escaped() {
        let labels = vec![Label::new("a", "x\"\\\n"), Label::new("b", "y")];
        let labels = labels_text(&Key::from_parts("h", labels));
        assert_eq!(labels, "a=\"x\\\"\\\\\\n\",b=\"y\"");
        let text = written(&FixedHistogram::new(&[]), "b=\"y\"");
        assert_eq!(text, "h_bucket{b=\"y\",le=\"+Inf\"} 0\nh_sum{b=\"y\"} 0\nh_count{b=\"y\"} 0\n");
    }
}
