//! A server as the algorithms see it: one that may be picked.

use super::round_robin::Turn;
use crate::id::ServerId;

/// What a weight of one is counted as, so that a slow start has steps below it.
pub const WEIGHT_UNIT: u32 = 1024;

/// The largest weight of a server.
pub const WEIGHT_MAX: u32 = 1000;

/// A server that may be picked.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Which one.
    pub id: ServerId,
    /// Its share, in [`WEIGHT_UNIT`]s, as it is now: at least one.
    pub weight: u32,
    /// Its connections and requests under way.
    pub active: u32,
    /// When it had its last turn.
    pub turn: &'a Turn,
    /// Its identity, hashed: the same for as long as its name is.
    pub identity: u64,
}

impl Candidate<'_> {
    /// Whether this one has less to do for its weight than the other.
    pub fn is_less_loaded_than(&self, other: &Candidate<'_>) -> bool {
        // active / weight, multiplied out.
        u64::from(self.active) * u64::from(other.weight)
            < u64::from(other.active) * u64::from(self.weight)
    }

    /// Whether both have as much to do for their weights.
    pub fn is_as_loaded_as(&self, other: &Candidate<'_>) -> bool {
        !self.is_less_loaded_than(other) && !other.is_less_loaded_than(self)
    }
}
