//! Two lanes and what holds between them: half-close, and what the failure of one socket means
//! for both directions.
//!
//! ```text
//!            ┌───── lane upstream ─────▶┐
//!   client ──┤                          ├── upstream server
//!            └◀──── lane downstream ────┘
//! ```
//!
//! A socket that broke is dead in both directions. The lane that reads from it still delivers
//! what the kernel had queued before the failure; the lane that writes to it ends at once. Only
//! then does the relay report the fault, so that the other side sees every byte before it sees
//! the reset.

pub mod choice;
pub mod coalesce;
pub mod lane;
pub mod policy;
pub mod silence;
pub mod survivor;

use std::time::Instant;

use crate::config::RelayMode;
use crate::error::{Direction, FallbackReason, FaultKind, Side};
use crate::relay::choice::Fallbacks;
use crate::relay::lane::{Drained, Filled, Lane, Step};

/// What an event says about a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Readiness {
    /// A read may bring bytes, the end of the stream or an error.
    pub readable: bool,
    /// A write may be taken, or bring an error.
    pub writable: bool,
    /// An end of stream, an error or urgent data stands behind the bytes to read
    /// (`EPOLLRDHUP`, `EPOLLHUP`, `EPOLLERR`, `EPOLLPRI`).
    pub behind: bool,
    /// Urgent data is among the bytes to read (`EPOLLPRI`).
    pub urgent: bool,
    /// The socket holds an error (`EPOLLERR`). A mere `EPOLLHUP` is none: a unix socket reports it
    /// for a peer that has written its last bytes and closed, and those bytes are good.
    pub broken: bool,
}

/// How far a relay is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Bytes may still move in both directions.
    Open,
    /// One direction has ended in order, the other goes on.
    HalfClosed,
    /// A socket has failed; what it had sent is still being delivered.
    Failing {
        /// Whose socket.
        side: Side,
        /// How.
        kind: FaultKind,
    },
    /// Both directions have ended in order.
    Completed,
    /// The socket of `side` has failed, and all that it had sent is with the other side's kernel.
    Faulted {
        /// Whose socket.
        side: Side,
        /// How.
        kind: FaultKind,
    },
}

/// Both directions of one connection.
#[derive(Debug, Clone)]
pub struct Relay {
    lanes: [Lane; 2],
    fault: Option<(Side, FaultKind)>,
    /// How much each lane had read when its source was told that nothing more comes to it.
    read_when_told: [Option<u64>; 2],
}

impl Relay {
    /// A relay between two open sockets; see [`Lane::new`].
    pub fn new(mode: RelayMode, low_water: Option<u32>) -> Relay {
        Relay {
            lanes: [Lane::new(mode, low_water), Lane::new(mode, low_water)],
            fault: None,
            read_when_told: [None; 2],
        }
    }

    /// The lane of one direction.
    pub fn lane(&self, direction: Direction) -> &Lane {
        &self.lanes[direction.index()]
    }

    /// The lane of one direction, for what concerns only that lane.
    pub fn lane_mut(&mut self, direction: Direction) -> &mut Lane {
        &mut self.lanes[direction.index()]
    }

    /// The socket of `side` became ready.
    pub fn on_ready(&mut self, side: Side, readiness: Readiness) {
        let from = Direction::from_source(side);
        let to = Direction::from_source(side.peer());
        if readiness.readable || readiness.behind {
            self.lane_mut(from).on_readable(readiness.behind);
        }
        if readiness.urgent {
            self.lane_mut(from).on_urgent();
        }
        if readiness.writable || readiness.broken {
            self.lane_mut(to).on_writable();
        }
        // Nobody reads from a source that has ended, so nobody would find its failure before the
        // next write to it, which may never come. The kernel keeps the errno to itself until
        // asked; what breaks a half-closed connection is a reset in nearly every case.
        if readiness.broken && self.lane(from).source_has_ended() && !self.lane(to).is_done() {
            self.fail(side, FaultKind::Reset);
            self.lane_mut(to).fail_sink(FaultKind::Reset);
        }
    }

    /// What the lane of `direction` wants to be done.
    ///
    /// The last end of stream is not passed on by a shutdown of its own: both sockets are closed
    /// next, which says the same with one system call less.
    pub fn next(&mut self, direction: Direction) -> Step {
        let step = self.lane(direction).next();
        let other = self.lane(direction.opposite());
        let says_enough = !self.lane(direction).announces_end();
        if step == Step::ShutdownWrite && says_enough && self.fault.is_none() && other.is_done() {
            self.lane_mut(direction).shut_down();
            return Step::Done;
        }
        step
    }

    /// What came of filling; see [`Lane::filled`].
    ///
    /// A TLS stream that ends without close_notify was cut, unless its peer had nothing left to
    /// say: it was told that nothing more comes to it, has sent nothing since, and closes. Many
    /// peers do so without a word, and none of their bytes can be missing that way.
    pub fn filled(&mut self, direction: Direction, outcome: Filled) -> Option<FallbackReason> {
        let outcome = match outcome {
            Filled::Failed(FaultKind::Truncated) if self.has_said_all(direction) => Filled::Eof,
            outcome => outcome,
        };
        let demoted = self.lane_mut(direction).filled(outcome);
        if let Filled::Moved { .. } = outcome {
            self.lane_mut(direction.opposite()).on_dialogue();
        }
        self.note_source_fault(direction);
        demoted
    }

    fn has_said_all(&self, direction: Direction) -> bool {
        let read = self.lane(direction).totals().read;
        self.read_when_told[direction.index()].is_some_and(|then| then == read)
    }

    /// A TLS session ends at the socket of `side`: what is read there has been decrypted, and what
    /// is written will be encrypted. Nothing of it can be spliced, which is the owner's to see to.
    pub fn secure(&mut self, side: Side) {
        self.lane_mut(Direction::from_source(side.peer())).sink_is_tls();
    }

    /// What came of reading from the source of a lane besides it; see [`Lane::peeked`].
    pub fn peeked(&mut self, direction: Direction, outcome: Filled) {
        self.lane_mut(direction).peeked(outcome);
        self.note_source_fault(direction);
    }

    fn note_source_fault(&mut self, direction: Direction) {
        if let Some(kind) = self.lane(direction).source_fault() {
            self.fail(direction.source(), kind);
            self.lane_mut(direction.opposite()).fail_sink(kind);
        }
    }

    /// What came of draining; see [`Lane::drained`].
    pub fn drained(&mut self, direction: Direction, outcome: Drained) {
        self.lane_mut(direction).drained(outcome);
        if let Drained::Failed(kind) = outcome {
            self.fail(direction.sink(), kind);
            self.lane_mut(direction.opposite()).doom_source(kind);
        }
    }

    /// The socket of `side` is another one now, or there is none: nothing is known of what it has
    /// to read, and it takes bytes if it `is_writable`. Nothing may be held for it.
    pub fn attach(&mut self, side: Side, is_writable: bool) {
        self.lane_mut(Direction::from_source(side)).attach_source(false);
        self.lane_mut(Direction::from_source(side.peer())).attach_sink(is_writable);
        self.fault = self.fault.filter(|(failed, _)| *failed != side);
    }

    /// Both lanes count anew; see [`Lane::restart`].
    pub fn restart(&mut self, mode: RelayMode, low_water: [Option<u32>; 2]) {
        for (lane, low_water) in self.lanes.iter_mut().zip(low_water) {
            lane.restart(mode, low_water);
        }
        self.read_when_told = [None; 2];
    }

    /// What both lanes want to be done.
    pub fn steps(&self) -> [Step; 2] {
        [self.lanes[0].next(), self.lanes[1].next()]
    }

    /// Bytes read by both lanes together.
    pub fn read(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.totals().read).sum()
    }

    /// The sink of `direction` has been told that nothing more comes.
    pub fn shut_down(&mut self, direction: Direction) {
        let answers = direction.opposite();
        self.read_when_told[answers.index()] = Some(self.lane(answers).totals().read);
        self.lane_mut(direction).shut_down();
    }

    fn fail(&mut self, side: Side, kind: FaultKind) {
        self.fault.get_or_insert((side, kind));
    }

    /// Which socket failed first, and how.
    pub fn fault(&self) -> Option<(Side, FaultKind)> {
        self.fault
    }

    /// How far the relay is.
    pub fn progress(&self) -> Progress {
        let [upstream, downstream] = [self.lanes[0].is_done(), self.lanes[1].is_done()];
        match (self.fault, upstream && downstream, upstream || downstream) {
            (Some((side, kind)), true, _) => Progress::Faulted { side, kind },
            (Some((side, kind)), false, _) => Progress::Failing { side, kind },
            (None, true, _) => Progress::Completed,
            (None, false, true) => Progress::HalfClosed,
            (None, false, false) => Progress::Open,
        }
    }

    /// Until when each lane pauses, by [`Direction::index`].
    pub fn pauses(&self) -> [Option<Instant>; 2] {
        self.lanes.each_ref().map(Lane::paused_until)
    }

    /// When the first lane that pauses may read again.
    pub fn paused_until(&self) -> Option<Instant> {
        self.pauses().into_iter().flatten().min()
    }

    /// Ends the pauses whose time has come. Says whether there was one.
    pub fn resume(&mut self, now: Instant) -> bool {
        let ended = self.lanes.each_mut().map(|lane| lane.resume(now));
        ended[0] || ended[1]
    }

    /// Whether a lane's source keeps bytes back; see [`Lane::awaits_tail`].
    pub fn awaits_tail(&self) -> bool {
        self.lanes.iter().any(Lane::awaits_tail)
    }

    /// Nothing came for [`coalesce::PATIENCE`].
    pub fn on_tail(&mut self) {
        self.lanes.iter_mut().for_each(Lane::on_tail);
    }

    /// Splice cannot be had for any byte of this relay.
    pub fn fall_back(&mut self, reason: FallbackReason) {
        for lane in &mut self.lanes {
            lane.fall_back(reason);
        }
    }

    /// Why any byte of this relay was copied although splice was chosen.
    pub fn fallbacks(&self) -> Fallbacks {
        self.lanes[0].fallbacks().union(self.lanes[1].fallbacks())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Path;

    const UP: Direction = Direction::Upstream;
    const DOWN: Direction = Direction::Downstream;
    const READABLE: Readiness =
        Readiness { readable: true, writable: false, behind: false, urgent: false, broken: false };

    fn copied(bytes: usize) -> Filled {
        Filled::Moved { bytes, path: Path::Copy, short: false }
    }

    #[test]
    fn each_direction_ends_by_itself() {
        let mut relay = Relay::new(RelayMode::Copy, None);
        relay.on_ready(Side::Client, READABLE);
        relay.filled(UP, Filled::Eof);
        assert_eq!(relay.next(UP), Step::ShutdownWrite);
        relay.shut_down(UP);
        assert_eq!(relay.progress(), Progress::HalfClosed);

        relay.on_ready(Side::Upstream, READABLE);
        relay.filled(DOWN, copied(7));
        relay.drained(DOWN, Drained::Moved(7));
        relay.filled(DOWN, Filled::Eof);
        assert_eq!(relay.next(DOWN), Step::Done, "the close that follows says it");
        assert_eq!(relay.progress(), Progress::Completed);
    }

    #[test]
    fn a_reset_is_reported_after_the_bytes_before_it() {
        let mut relay = Relay::new(RelayMode::Copy, None);
        relay.on_ready(Side::Upstream, READABLE);
        relay.filled(DOWN, copied(5));
        relay.drained(DOWN, Drained::WouldBlock);
        relay.on_ready(Side::Upstream, Readiness { behind: true, broken: true, ..READABLE });
        assert_eq!(relay.progress(), Progress::Open);
        relay.lane_mut(DOWN).on_writable();
        relay.drained(DOWN, Drained::Moved(5));
        assert_eq!(relay.next(DOWN), Step::Fill { path: Path::Copy, max: usize::MAX });
        relay.filled(DOWN, Filled::Failed(FaultKind::Reset));
        let expected = Progress::Faulted { side: Side::Upstream, kind: FaultKind::Reset };
        assert_eq!(relay.progress(), expected);
    }

    #[test]
    fn a_reset_that_a_write_found_first_still_lets_the_queued_bytes_through() {
        let mut relay = Relay::new(RelayMode::Copy, None);
        relay.on_ready(Side::Client, READABLE);
        relay.filled(UP, copied(9));
        relay.drained(UP, Drained::Failed(FaultKind::Reset));
        assert!(matches!(relay.progress(), Progress::Failing { side: Side::Upstream, .. }));
        assert_eq!(relay.next(DOWN), Step::Fill { path: Path::Copy, max: usize::MAX });
        relay.filled(DOWN, copied(4));
        relay.drained(DOWN, Drained::Moved(4));
        relay.filled(DOWN, Filled::Eof);
        let expected = Progress::Faulted { side: Side::Upstream, kind: FaultKind::Reset };
        assert_eq!(relay.progress(), expected);
        assert_eq!(relay.lane(DOWN).totals().delivered, [0, 4]);
    }

    #[test]
    fn a_stream_that_is_cut_is_an_end_only_for_who_has_said_all() {
        let check = |is_told: bool, bytes_after: usize, expected: Progress| {
            let mut relay = Relay::new(RelayMode::Copy, None);
            relay.on_ready(Side::Client, READABLE);
            relay.filled(UP, copied(3));
            relay.drained(UP, Drained::Moved(3));
            if is_told {
                relay.on_ready(Side::Upstream, READABLE);
                relay.filled(DOWN, Filled::Eof);
                relay.shut_down(DOWN);
            }
            if bytes_after > 0 {
                relay.filled(UP, copied(bytes_after));
                relay.drained(UP, Drained::Moved(bytes_after));
            }
            relay.filled(UP, Filled::Failed(FaultKind::Truncated));
            let _last = relay.next(UP);
            assert_eq!(relay.progress(), expected, "{is_told} {bytes_after}");
        };
        let (side, kind) = (Side::Client, FaultKind::Truncated);
        check(true, 0, Progress::Completed);
        check(true, 1, Progress::Faulted { side, kind });
        check(false, 0, Progress::Faulted { side, kind });
    }

    #[test]
    fn a_half_closed_peer_that_resets_is_noticed_without_a_write() {
        let mut relay = Relay::new(RelayMode::Copy, None);
        relay.on_ready(Side::Client, READABLE);
        relay.filled(UP, Filled::Eof);
        relay.shut_down(UP);
        relay.on_ready(Side::Client, Readiness { behind: true, broken: true, ..READABLE });
        let expected = Progress::Faulted { side: Side::Client, kind: FaultKind::Reset };
        assert_eq!(relay.progress(), expected);
    }

    #[test]
    fn a_fault_after_a_half_close_is_still_a_fault() {
        let mut relay = Relay::new(RelayMode::Copy, None);
        relay.on_ready(Side::Client, READABLE);
        relay.filled(UP, Filled::Eof);
        relay.shut_down(UP);
        relay.on_ready(Side::Upstream, READABLE);
        relay.filled(DOWN, copied(4));
        relay.drained(DOWN, Drained::Failed(FaultKind::Reset));
        let expected = Progress::Faulted { side: Side::Client, kind: FaultKind::Reset };
        assert_eq!(relay.progress(), expected);
    }
}
