//! What a worker does in each stage of the process: it stands by while a predecessor accepts, serves,
//! leaves everything to a successor, or drains.

use std::time::Instant;

use crate::io::kernel::Kernel;
use crate::io::worker::Worker;
use crate::snapshot::Stage;

impl<K: Kernel> Worker<K> {
    /// Does what a stage of the process asks for.
    pub fn enter(&mut self, stage: Stage, now: Instant) {
        match stage {
            Stage::Standby => self.is_standby = true,
            Stage::Serving => self.is_standby = false,
            Stage::HandedOver { until } => self.hand_over(until, now),
            Stage::Draining { until } => self.drain(until, now),
        }
    }

    /// Stops accepting, for good; what is in a backlog already is taken first. Connections go on
    /// until `until`.
    pub fn drain(&mut self, until: Instant, now: Instant) {
        if self.is_standby {
            // The backlogs are the predecessor's.
            self.leave_listeners(now);
        } else if self.drain_until.is_none() {
            self.stop_accepting(now);
        }
        let begins = self.drain_until.is_none() || self.is_handed_over;
        self.is_handed_over = false;
        self.drain_until = Some(until);
        if begins {
            self.drain_http(now);
        }
    }

    /// Leaves accepting to a successor, for good, with what is in the backlogs. Connections go on
    /// until `until`.
    pub fn hand_over(&mut self, until: Instant, now: Instant) {
        if self.drain_until.is_none() {
            self.leave_listeners(now);
            self.is_handed_over = true;
        }
        self.drain_until = Some(until);
    }
}
