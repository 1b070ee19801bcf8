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

    /// The server whose turn it is; `None` only where there are none.
    pub fn pick_of(&mut self, servers: &[ServerId]) -> Option<ServerId> {
        let picked = (self.next as usize).checked_rem(servers.len())?;
        self.next = u32::try_from((picked + 1) % servers.len()).unwrap_or(0);
        Some(servers[picked])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_take_turns() {
        let mut turn = RoundRobin::new(7);
        let servers = [ServerId(5), ServerId(0), ServerId(2)];
        let picked: Vec<u32> = (0..7).map(|_| turn.pick_of(&servers).unwrap().0).collect();
        assert_eq!(picked, [0, 2, 5, 0, 2, 5, 0]);
        assert_eq!(turn.pick_of(&servers[..1]), Some(ServerId(5)));
        assert_eq!(turn.pick_of(&[]), None);
    }
}
