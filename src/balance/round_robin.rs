//! Each server in its turn.

use crate::id::ServerId;

/// The turn of one upstream, as one worker keeps it.
#[derive(Debug, Clone, Copy)]
pub struct RoundRobin {
    next: u32,
}

impl RoundRobin {
    /// Begins at server `first` (taken modulo the number of servers). Workers begin at different
    /// ones, or else each server would get its first connections from all of them at once.
    pub fn new(first: u32) -> RoundRobin {
        RoundRobin { next: first }
    }

    /// The server whose turn it is among `servers`, of which there is at least one.
    pub fn pick(&mut self, servers: u32) -> ServerId {
        let picked = self.next % servers;
        self.next = (picked + 1) % servers;
        ServerId(picked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_take_turns() {
        let mut turn = RoundRobin::new(7);
        let picked: Vec<u32> = (0..7).map(|_| turn.pick(3).0).collect();
        assert_eq!(picked, [1, 2, 0, 1, 2, 0, 1]);
    }
}
