//! Medians, ranges and percentiles.

use std::cmp::Ordering;

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

/// Of all pairs of one value from each side, the share in which that of `ones` is the smaller;
/// equal ones count half (Mann and Whitney's U, as a share). NaN without pairs.
pub fn share_smaller(ones: &[f64], others: &[f64]) -> f64 {
    let pairs = ones.iter().flat_map(|one| others.iter().map(move |other| one.total_cmp(other)));
    let won = pairs.map(|order| match order {
        Ordering::Less => 1.0,
        Ordering::Equal => 0.5,
        Ordering::Greater => 0.0,
    });
    won.sum::<f64>() / (ones.len() * others.len()) as f64
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_counted() {
        let check = |ones: &[f64], others: &[f64], expected: f64| {
            assert_eq!(share_smaller(ones, others), expected, "{ones:?} {others:?}");
            assert_eq!(share_smaller(others, ones), 1.0 - expected, "{others:?} {ones:?}");
        };
        check(&[1.0, 2.0], &[3.0, 4.0], 1.0);
        check(&[1.0, 5.0], &[3.0, 4.0], 0.5);
        check(&[1.0], &[1.0], 0.5);
        check(&[1.0, 1.0, 3.5, 1.0], &[3.0, 4.0], 0.875);
        assert!(share_smaller(&[], &[1.0]).is_nan());
    }
}
