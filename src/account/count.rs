//! Numbers that a worker has to itself, and how they come to the shared metrics.

use std::time::Duration;

use crate::metrics::{Family, bucket_of};

/// A number that goes up, and how much of it the shared metrics have.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Count {
    pub(super) total: u64,
    flushed: u64,
}

impl Count {
    pub(super) fn add(&mut self, more: u64) {
        self.total += more;
    }

    pub(super) fn flush(&mut self, counter: &metrics::Counter) {
        if self.total != self.flushed {
            counter.increment(self.total - self.flushed);
            self.flushed = self.total;
        }
    }
}

/// Flushes the numbers of a list, each to the counter at its place.
pub(super) fn flush_all(counts: &mut [Count], counters: &[metrics::Counter]) {
    for (count, counter) in counts.iter_mut().zip(counters) {
        count.flush(counter);
    }
}

/// A number that goes up and down, and what the shared metrics have of it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Level {
    pub(super) now: i64,
    flushed: i64,
}

impl Level {
    pub(super) fn flush(&mut self, gauge: &metrics::Gauge) {
        if self.now != self.flushed {
            gauge.increment((self.now - self.flushed) as f64);
            self.flushed = self.now;
        }
    }
}

/// Durations by bucket that the shared metrics do not have yet.
#[derive(Debug)]
pub(super) struct Durations {
    bounds: &'static [f64],
    /// How many fell into each bucket, and their sum in seconds; the last one has no bound.
    buckets: Box<[(usize, f64)]>,
}

impl Durations {
    /// With the buckets of a family.
    pub(super) fn new(family: &Family) -> Durations {
        let bounds = family.bounds();
        Durations { bounds, buckets: vec![(0, 0.0); bounds.len() + 1].into() }
    }

    pub(super) fn record(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let (count, sum) = &mut self.buckets[bucket_of(self.bounds, seconds)];
        *count += 1;
        *sum += seconds;
    }

    /// What fell into one bucket goes out as so many times its mean: the same bucket, and the
    /// same sum.
    pub(super) fn flush(&mut self, histogram: &metrics::Histogram) {
        for (index, bucket) in self.buckets.iter_mut().enumerate() {
            let (count, sum) = std::mem::take(bucket);
            if count > 0 {
                // Rounding must not lift a mean over the bound of its bucket, nor under it.
                let lowest = index.checked_sub(1).map_or(0.0, |below| self.bounds[below].next_up());
                let highest = self.bounds.get(index).copied().unwrap_or(f64::MAX);
                histogram.record_many((sum / count as f64).clamp(lowest, highest), count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{HTTP_REQUEST_DURATION, Recorder, RequestMetrics};

    fn rendered(batches: &[&[u64]]) -> String {
        let recorder = Recorder::new();
        let metrics = metrics::with_local_recorder(&recorder, || RequestMetrics::new("web", None));
        let mut durations = Durations::new(&HTTP_REQUEST_DURATION);
        for batch in batches {
            for micros in *batch {
                durations.record(Duration::from_micros(*micros));
            }
            durations.flush(&metrics.duration);
        }
        recorder.exposition().render()
    }

    /// What comes in batches is what would have come one by one.
    #[test]
    fn batches_change_neither_buckets_nor_sum() {
        let micros = [0, 1, 499, 500, 501, 1_000, 70_000, 100_000, 100_001, 400_000_000];
        let text = rendered(&[&micros, &[], &[250_000]]);
        let check = |bound: &str, expected: u32| {
            let labels = format!("listener=\"web\",upstream=\"\",le=\"{bound}\"");
            let line = format!("{}_bucket{{{labels}}} {expected}\n", HTTP_REQUEST_DURATION.name);
            assert!(text.contains(&line), "{line} in\n{text}");
        };
        check("0.0005", 4);
        check("0.001", 6);
        check("0.05", 6);
        check("0.1", 8);
        check("0.25", 10);
        check("300", 10);
        check("+Inf", 11);
        let sum = text.lines().find_map(|line| line.split_once("_sum{")).unwrap().1;
        let sum: f64 = sum.rsplit(' ').next().unwrap().parse().unwrap();
        let expected = (micros.iter().sum::<u64>() + 250_000) as f64 / 1e6;
        assert!((sum - expected).abs() < 1e-6, "{sum} is not {expected}");
    }

    #[test]
    fn a_mean_stays_in_its_bucket() {
        let bound = HTTP_REQUEST_DURATION.bounds()[6];
        let all_at_the_bound = vec![(bound * 1e6) as u64; 1001];
        let text = rendered(&[&all_at_the_bound]);
        assert!(text.contains(&format!("le=\"{bound}\"}} 1001\n")), "{text}");
    }
}
