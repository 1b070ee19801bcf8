//! How many may come in a time: `"20/s"`, or `"20/s burst 100"`.

use std::time::Duration;

use super::bucket::{Bucket, Demand, Nanos};

/// So many in a period, and so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many in a period, at least one.
    pub count: u32,
    /// The period.
    pub period: Period,
    /// How many at once after a time of rest, at least one.
    pub burst: u32,
}

/// What a rate is said of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// `/s`
    Second,
    /// `/m`
    Minute,
    /// `/h`
    Hour,
}

impl Period {
    /// Every period, with the letter that it is written with.
    pub const ALL: [(&str, Period); 3] =
        [("s", Period::Second), ("m", Period::Minute), ("h", Period::Hour)];

    /// How long it is.
    pub fn length(self) -> Duration {
        Duration::from_secs(match self {
            Period::Second => 1,
            Period::Minute => 60,
            Period::Hour => 3600,
        })
    }
}

impl Rate {
    /// So many in a period, and at once as many as in a period.
    pub fn new(count: u32, period: Period) -> Rate {
        Rate { count, period, burst: count }
    }

    /// What one costs: rounded up, so that never more come than was said.
    fn cost(self) -> Nanos {
        let period = u64::try_from(self.period.length().as_nanos()).unwrap_or(Nanos::MAX);
        period.div_ceil(u64::from(self.count.max(1)))
    }

    /// Takes one.
    ///
    /// # Errors
    /// None is there: how long until one is.
    pub fn take(self, bucket: &Bucket, now: Nanos) -> Result<(), Duration> {
        let cost = self.cost();
        let capacity = cost.saturating_mul(u64::from(self.burst.max(1)));
        let taken = bucket.take(Demand { most: cost, least: cost, capacity }, now);
        taken.map(|_| ()).map_err(Duration::from_nanos)
    }

    /// Gives one back that came to nothing.
    pub fn give_back(self, bucket: &Bucket) {
        bucket.give_back(self.cost());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    #[test]
    fn a_burst_and_then_the_rate() {
        let (rate, bucket) =
            (Rate { count: 2, period: Period::Second, burst: 5 }, Bucket::default());
        let come = |now| (0..100).filter(|_| rate.take(&bucket, now).is_ok()).count();
        assert_eq!(come(SECOND), 5);
        assert_eq!(rate.take(&bucket, SECOND), Err(Duration::from_millis(500)));
        assert_eq!(come(2 * SECOND), 2);
        assert_eq!(come(2 * SECOND + SECOND / 2), 1);
        assert_eq!(come(100 * SECOND), 5);
        rate.give_back(&bucket);
        assert_eq!(come(100 * SECOND), 1);
    }

    #[test]
    fn the_slowest_and_the_fastest() {
        let slow = Rate { count: 1, period: Period::Hour, burst: u32::MAX };
        let bucket = Bucket::default();
        assert!(
            (0..1000).all(|_| slow.take(&bucket, 5).is_ok()),
            "a great burst does not overflow"
        );
        let fast = Rate::new(u32::MAX, Period::Second);
        assert!(fast.take(&Bucket::default(), 5).is_ok());
    }

    proptest! {
        #[test]
        fn never_more_than_burst_and_rate(
            count in 1u32..5_000,
            burst in 1u32..100,
            pauses in prop::collection::vec(0u64..SECOND / 50, 1..500),
        ) {
            let (rate, bucket) = (Rate { count, period: Period::Second, burst }, Bucket::default());
            let (mut now, mut come) = (0, 0u64);
            for pause in pauses {
                now += pause;
                come += u64::from(rate.take(&bucket, now).is_ok());
                let most = u64::from(burst) + now * u64::from(count) / SECOND;
                prop_assert!(come <= most, "{come} of {most}");
            }
        }
    }
}
