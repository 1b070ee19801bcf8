//! A server that has just come back gets its share little by little: its caches are cold, and its
//! pools empty.

use std::time::Duration;

use super::candidate::WEIGHT_UNIT;

/// The least part of its weight that a server has: a tenth, as Envoy has it. Less would leave it
/// without a request to warm up with.
const PART_MIN: u64 = 10;

/// The weight of a server that has been there for `up`, in [`WEIGHT_UNIT`]s: a part of `weight`
/// that grows evenly until `slow_start` has passed.
pub fn weight(weight: u32, up: Duration, slow_start: Duration) -> u32 {
    let full = u64::from(weight) * u64::from(WEIGHT_UNIT);
    let (up, slow_start) = (up.as_millis(), slow_start.as_millis());
    if up >= slow_start {
        return u32::try_from(full).unwrap_or(u32::MAX);
    }
    let grown = u128::from(full) * up / slow_start;
    let grown = u64::try_from(grown).unwrap_or(full).max(full / PART_MIN);
    u32::try_from(grown).unwrap_or(u32::MAX).max(1)
}
