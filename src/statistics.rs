//! Medians, ranges and percentiles.

/// The middle of several measurements, and how far they were apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// The median.
    pub median: f64,
    /// The smallest.
    pub low: f64,
    /// The largest.
    pub high: f64,
}

impl Summary {
    /// Of those values that are numbers; `None` without any.
    pub fn of(values: &[f64]) -> Option<Summary> {
        let mut sorted: Vec<f64> = values.iter().copied().filter(|it| it.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let (low, high) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            (sorted[middle - 1] + sorted[middle]) / 2.0
        };
        Some(Summary { median, low, high })
    }

    /// Half of the range, as a share of the median.
    pub fn half_range(self) -> f64 {
        if self.median > 0.0 { (self.high - self.low) / 2.0 / self.median } else { 0.0 }
    }
}

/// The value below which `share` (0 to 1) of the sorted values lie, by the nearest-rank method.
pub fn percentile(sorted: &[u64], share: f64) -> Option<u64> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

/// The same of nanoseconds, in microseconds; NaN where there are too few values to tell it from
/// the largest of them.
pub fn percentile_microseconds(sorted: &[u64], share: f64) -> f64 {
    let enough = sorted.len() as f64 * (1.0 - share) >= 1.0 - f64::EPSILON;
    let value = percentile(sorted, share).filter(|_| enough);
    value.map_or(f64::NAN, |value| value as f64 / 1e3)
}
