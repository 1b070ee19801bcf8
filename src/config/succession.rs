//! Who gets which place when one configuration follows another. Listeners, upstreams and servers
//! are known by their places, which connections hold for as long as they live; so a place stays
//! whose it is:
//!
//! ```text
//!   before     a          b              c (retired, its time is over)
//!   wanted     b, d, e
//!   after      a (retired)    b          d                                  e
//! ```
//!
//! What is gone stays where it was until its last connection is gone for sure, and what is new
//! takes the place of such a one, or a new one at the end. So lists grow by no more than what
//! comes within `process.drain_timeout`, and by [`PLACES_MAX`] at most.

use std::time::Instant;

/// Places in one list, those of what is gone included. A config that would need more is not taken
/// before connections have drained.
pub const PLACES_MAX: usize = 10_000;

/// Whether something is part of the configuration in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Standing {
    /// It is.
    #[default]
    Active,
    /// It was, and gets nothing new. The connections that it has may go on until then, and are cut
    /// after that.
    Retired {
        /// When it is over.
        until: Instant,
    },
}

impl Standing {
    /// Whether it is not part of the configuration any more.
    pub fn is_retired(self) -> bool {
        self != Standing::Active
    }

    /// Until when what is left of it may go on; `None` while it is part of the configuration.
    pub fn retired_until(self) -> Option<Instant> {
        match self {
            Standing::Active => None,
            Standing::Retired { until } => Some(until),
        }
    }

    /// The standing of what the next configuration has no more. What was gone before gets no more
    /// time by that.
    #[must_use]
    pub fn retire(self, until: Instant) -> Standing {
        match self {
            Standing::Active => Standing::Retired { until },
            Standing::Retired { .. } => self,
        }
    }
}

/// The place of each of `wanted`, which are all different. `present` are those who have the places
/// so far.
pub fn places<K: PartialEq>(present: &[(K, Standing)], wanted: &[K], now: Instant) -> Vec<usize> {
    let place_of = |key: &K| present.iter().position(|(it, _)| it == key);
    let kept: Vec<Option<usize>> = wanted.iter().map(place_of).collect();
    let is_over = |place: &usize| {
        let until = present[*place].1.retired_until();
        until.is_some_and(|until| until <= now) && !kept.contains(&Some(*place))
    };
    let mut free = (0..present.len()).filter(is_over).chain(present.len()..);
    kept.iter().map(|place| place.or_else(|| free.next()).unwrap_or(usize::MAX)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_place_stays_whose_it_is() {
        let now = Instant::now();
        let over = Standing::Retired { until: now };
        let draining = Standing::Retired { until: now + Duration::from_secs(1) };
        let check = |present: &[(char, Standing)], wanted: &str, expected: &[usize]| {
            let wanted: Vec<char> = wanted.chars().collect();
            assert_eq!(places(present, &wanted, now), expected, "{present:?} {wanted:?}");
        };
        let active = Standing::Active;
        check(&[], "ab", &[0, 1]);
        check(&[('a', active), ('b', active)], "ba", &[1, 0]);
        check(&[('a', active), ('b', active), ('c', over)], "bde", &[1, 2, 3]);
        check(&[('a', draining), ('b', active)], "bc", &[1, 2]);
        check(&[('a', draining), ('b', active)], "ab", &[0, 1]);
        check(&[('a', over), ('b', active)], "ba", &[1, 0]);
    }

    /// Any row of configurations: no two share a place, whoever stays keeps his, a place that may
    /// have connections is given to nobody else, and the list is no longer than what there was at
    /// most within the time of a drain.
    #[test]
    fn places_hold_over_any_row_of_configurations() {
        let drain = Duration::from_secs(3);
        for seed in 0..500 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut now = Instant::now();
            let mut present: Vec<(u8, Standing)> = Vec::new();
            let mut most = 0;
            for _ in 0..40 {
                now += Duration::from_secs(random.u64(0..3));
                let wanted: BTreeSet<u8> =
                    (0..random.usize(1..8)).map(|_| random.u8(0..20)).collect();
                let mut wanted: Vec<u8> = wanted.into_iter().collect();
                random.shuffle(&mut wanted);
                let before = present.clone();
                let found = places(&before, &wanted, now);
                let distinct: BTreeSet<usize> = found.iter().copied().collect();
                assert_eq!(distinct.len(), wanted.len(), "seed {seed}");
                for (_, standing) in &mut present {
                    *standing = standing.retire(now + drain);
                }
                for (key, place) in wanted.iter().zip(&found) {
                    match before.get(*place) {
                        Some((it, _)) if it == key => {}
                        Some((_, standing)) => {
                            let until = standing.retired_until();
                            assert!(until.is_some_and(|until| until <= now), "seed {seed}");
                            assert!(before.iter().all(|(it, _)| it != key), "seed {seed}");
                        }
                        None => assert!(before.iter().all(|(it, _)| it != key), "seed {seed}"),
                    }
                    if *place >= present.len() {
                        present.resize(*place + 1, (u8::MAX, Standing::Active));
                    }
                    present[*place] = (*key, Standing::Active);
                }
                assert!(present.iter().all(|(key, _)| *key != u8::MAX), "seed {seed}: a gap");
                let needed = present.iter().filter(|(_, standing)| {
                    standing.retired_until().is_none_or(|until| until > now)
                });
                most = most.max(needed.count());
                assert!(present.len() <= most.max(before.len()), "seed {seed}");
            }
        }
    }
}
