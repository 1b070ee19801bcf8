//! A worker goes over to a new snapshot.

use std::sync::Arc;

use crate::io::kernel::Kernel;
use crate::io::worker::Worker;
use crate::snapshot::Snapshot;

impl<K: Kernel> Worker<K> {
    /// Goes by this snapshot from now on. What is under way goes on; servers that are gone get
    /// nothing new, and connections that wait for them are closed.
    pub fn adopt(&mut self, snapshot: &Snapshot) {
        self.snapshot_generation = snapshot.generation;
        let before = std::mem::replace(&mut self.roster, Arc::clone(&snapshot.roster));
        self.account.adopt(Arc::clone(&snapshot.roster));
        self.upstreams.adopt(&before, &snapshot.roster, &mut self.account);
    }

    /// [`Snapshot::generation`] of the one that it goes by.
    pub fn snapshot_generation(&self) -> u64 {
        self.snapshot_generation
    }
}
