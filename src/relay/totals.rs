//! The books of one direction.

use crate::error::{BytesByPath, Path};

/// Bytes that a lane has accounted for.
///
/// `read == delivered + held + discarded`, at every step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Taken from the source.
    pub read: u64,
    /// Taken by the sink, by [`Path::index`].
    pub delivered: BytesByPath,
    /// Lost because the sink broke while they were held.
    pub discarded: u64,
}

impl Totals {
    /// What the sink has taken since there were `earlier` totals.
    pub fn delivered_since(&self, earlier: &Totals) -> BytesByPath {
        Path::ALL.map(|path| self.delivered[path.index()] - earlier.delivered[path.index()])
    }
}
