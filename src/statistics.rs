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

/// With more values than these together, a bound takes the place of counting.
const COUNTED_MAX: usize = 40;

/// How probable it is, were both drawn from the same distribution, that they lie at least as far
/// apart as they do, in either direction: the rank-sum test (Wilcoxon 1945, Mann and Whitney 1947).
/// Exact for 40 values together; beyond, an upper bound (Hoeffding 1963, for U-statistics). Values
/// that are equal speak against a difference. 1 where there is nothing to compare.
pub fn rank_sum_probability(one: &[f64], other: &[f64]) -> f64 {
    let pairs = || one.iter().flat_map(|a| other.iter().map(move |b| (a, b)));
    // Of all pairs, those that contradict what most of them say.
    let not_less = pairs().filter(|(a, b)| a >= b).count();
    let not_more = pairs().filter(|(a, b)| a <= b).count();
    let contrary = not_less.min(not_more);
    let (count, all) = (one.len() + other.len(), one.len() * other.len());
    if all == 0 {
        return 1.0;
    }
    let one_sided = if count <= COUNTED_MAX {
        share_of_orders(one.len(), other.len(), contrary)
    } else {
        let apart = (0.5 - contrary as f64 / all as f64).max(0.0);
        (-2.0 * one.len().min(other.len()) as f64 * apart * apart).exp()
    };
    (2.0 * one_sided).min(1.0)
}

/// Of all orders in which `n` values of one kind and `m` of another can stand, the share of those
/// with at most `contrary` pairs in the wrong order. The numbers of orders with 0, 1, 2... such
/// pairs are the coefficients of a Gaussian binomial: the product of (1 - x^(m+i)) / (1 - x^i).
fn share_of_orders(n: usize, m: usize, contrary: usize) -> f64 {
    let mut orders = vec![0.0; contrary + 1];
    orders[0] = 1.0;
    let mut all = 1.0;
    for i in 1..=n {
        for pairs in (m + i..=contrary).rev() {
            orders[pairs] -= orders[pairs - m - i];
        }
        for pairs in i..=contrary {
            orders[pairs] += orders[pairs - i];
        }
        all *= (m + i) as f64 / i as f64;
    }
    orders.iter().sum::<f64>() / all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the tables of Mann and Whitney: n, m, pairs in the wrong order, probability (one-sided).
    #[test]
    fn orders_are_counted() {
        for (n, m, contrary, expected) in [
            (3, 3, 0, 0.050),
            (4, 4, 1, 0.029),
            (5, 5, 0, 1.0 / 252.0),
            (5, 5, 4, 0.048),
            (8, 8, 13, 0.025),
            (3, 5, 2, 0.071),
            (3, 5, 15, 1.0),
        ] {
            let share = share_of_orders(n, m, contrary);
            assert!((share - expected).abs() < 0.0006, "{n}, {m}, {contrary}: {share}");
        }
    }

    #[test]
    fn what_overlaps_is_probably_the_same() {
        let low = [1.0, 2.0, 3.0, 4.0, 5.0];
        let high = low.map(|it| it + 10.0);
        assert!((rank_sum_probability(&low, &high) - 2.0 / 252.0).abs() < 1e-12);
        assert_eq!(rank_sum_probability(&low, &high), rank_sum_probability(&high, &low));
        assert_eq!(rank_sum_probability(&low, &low), 1.0);
        assert_eq!(rank_sum_probability(&[1.0; 9], &[1.0; 9]), 1.0, "equal is not less");
        assert_eq!(rank_sum_probability(&low, &[]), 1.0);
        let many: Vec<f64> = (0..100).map(f64::from).collect();
        let far: Vec<f64> = many.iter().map(|it| it + 100.0).collect();
        assert!(rank_sum_probability(&many, &far) < 1e-9);
        assert_eq!(rank_sum_probability(&many, &many), 1.0);
    }
}
