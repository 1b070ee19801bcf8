//! The bandwidth of one connection for the moment: what of it a lane may read now.

use std::time::Instant;

use super::bandwidth::{Bandwidth, BandwidthBucket, Grant};
use super::bucket::Nanos;
use super::table::Buckets;
use super::{Limits, Quota};
use crate::error::Direction;

/// A bucket, and how fast it fills.
type Shared<'a> = Option<(&'a BandwidthBucket, Bandwidth)>;

/// Holds up the bytes of a connection: its client's bandwidth and its listener's, by direction.
#[derive(Debug, Clone, Copy)]
pub struct Throttle<'a> {
    limits: Option<&'a Limits>,
    /// The client's first.
    buckets: [[Shared<'a>; 2]; 2],
    now: Nanos,
}

/// Bytes that a lane may read. To be given to [`Throttle::settle`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// How many at most; at least one.
    pub bytes: usize,
    grants: [Option<Grant>; 2],
}

impl<'a> Throttle<'a> {
    /// Holds up nothing.
    pub const NONE: Throttle<'static> = Throttle { limits: None, buckets: [[None; 2]; 2], now: 0 };

    pub(super) fn new(
        limits: &'a Limits,
        parties: [(Option<&'a Buckets>, &Quota); 2],
        now: Instant,
    ) -> Throttle<'a> {
        let buckets = parties.map(|(buckets, quota)| {
            Direction::ALL.map(|direction| {
                let index = direction.index();
                buckets.map(|it| &it.bandwidth[index]).zip(quota.bandwidth[index])
            })
        });
        Throttle { limits: Some(limits), buckets, now: limits.nanos(now) }
    }

    /// Asks for up to `most` bytes of a direction.
    ///
    /// # Errors
    /// None can be had: when to ask again.
    pub fn reserve(&self, direction: Direction, most: usize) -> Result<Allowance, Instant> {
        let Some(limits) = self.limits else {
            return Ok(Allowance { bytes: most, grants: [None; 2] });
        };
        let mut allowance = Allowance { bytes: most, grants: [None; 2] };
        for (party, grant) in self.buckets.iter().zip(0..) {
            let Some((bucket, bandwidth)) = party[direction.index()] else { continue };
            match bucket.reserve(bandwidth, allowance.bytes as u64, self.now) {
                Ok(granted) => {
                    allowance.bytes = usize::try_from(granted.bytes).unwrap_or(usize::MAX);
                    allowance.grants[grant] = Some(granted);
                }
                Err(again) => {
                    self.settle(direction, allowance, 0);
                    return Err(limits.instant(again));
                }
            }
        }
        Ok(allowance)
    }

    /// Gives back what was allowed but for `used` bytes.
    pub fn settle(&self, direction: Direction, allowance: Allowance, used: usize) {
        for (party, grant) in self.buckets.iter().zip(allowance.grants) {
            if let (Some((bucket, bandwidth)), Some(grant)) = (party[direction.index()], grant) {
                bucket.settle(bandwidth, grant, used as u64);
            }
        }
    }
}
