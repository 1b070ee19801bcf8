//! Carries out what the lanes of a relay say.
//!
//! This is the only place that knows whether a conduit is a pipe or a buffer. The lanes decide
//! what happens next; this decides by which system call, and turns its outcome into their words.

use std::io;

use crate::capacity::PIPE_BYTES_UNPROVEN_MAX;
use crate::error::{Direction, FallbackReason, FaultKind, Path, Side};
use crate::id::Token;
use crate::io::channel::{Channel, ShutDown};
use crate::io::conduit::{Conduit, Supplies};
use crate::io::kernel::{Kernel, PipeState};
use crate::limits::throttle::Throttle;
use crate::relay::Relay;
use crate::relay::lane::{Drained, Filled, Step};

/// Bytes that one direction of a connection may move before it lets others have their turn, and
/// that bulk flows may move together before the worker looks at events again
/// ([`crate::io::run_queue`]). With edge-triggered events nobody would call it again, so it queues
/// itself. The last read may go beyond by a conduit's worth: cutting it short would only cost a
/// system call more.
pub const TURN_BYTES_MAX: usize = 1 << 20;

/// Both sockets of a connection that is being relayed, and what its lanes hold.
#[derive(Debug)]
pub struct Ends<'a, K: Kernel> {
    /// The client's side.
    pub client: Channel<'a, K>,
    /// The upstream server's; `None` while there is none, and nothing moves from or to it.
    pub upstream: Option<Channel<'a, K>>,
    /// Under which token each is watched, by [`Side::index`].
    pub tokens: [Token; 2],
    /// What each lane holds, by [`Direction::index`].
    pub conduits: &'a mut [Conduit<K::Pipe>; 2],
    /// The size of the pipes to ask for where a lane carries bulk.
    pub pipe_size: u32,
    /// Bytes after which a direction lets others have their turn.
    pub turn_bytes_max: usize,
    /// How much may be read at all.
    pub throttle: Throttle<'a>,
}

impl<'a, K: Kernel> Ends<'a, K> {
    fn channel(&mut self, side: Side) -> Option<&mut Channel<'a, K>> {
        match side {
            Side::Client => Some(&mut self.client),
            Side::Upstream => self.upstream.as_mut(),
        }
    }
}

/// Runs both lanes until each waits, is done, or has had its turn. Returns whether one has had
/// its turn and must be run again without waiting for an event.
pub fn drive<K: Kernel>(
    kernel: &mut K,
    supplies: &mut Supplies<K>,
    ends: &mut Ends<'_, K>,
    relay: &mut Relay,
) -> bool {
    let mut budgets = [ends.turn_bytes_max; 2];
    let mut drive = Drive { kernel, supplies, ends, relay };
    loop {
        let [upstream, downstream] = Direction::ALL
            .map(|direction| drive.run_lane(direction, &mut budgets[direction.index()]));
        // A fault that one lane met may have given the other something to do.
        if upstream || downstream || !drive.can_go_on() {
            return upstream || downstream;
        }
    }
}

struct Drive<'a, 'b, K: Kernel> {
    kernel: &'a mut K,
    supplies: &'a mut Supplies<K>,
    ends: &'a mut Ends<'b, K>,
    relay: &'a mut Relay,
}

impl<'b, K: Kernel> Drive<'_, 'b, K> {
    /// Runs one lane. Returns whether its budget was spent before it had to wait.
    ///
    /// What it holds is parked before the other lane runs, since both use the same scratch buffer
    /// and may use the same pipe.
    fn run_lane(&mut self, direction: Direction, budget: &mut usize) -> bool {
        self.supplies.unpark(&self.ends.conduits[direction.index()]);
        let more = self.run_steps(direction, budget);
        self.supplies.park(&mut self.ends.conduits[direction.index()]);
        more
    }

    fn run_steps(&mut self, direction: Direction, budget: &mut usize) -> bool {
        loop {
            match self.relay.next(direction) {
                Step::Fill { .. } if *budget == 0 => return true,
                Step::Fill { path, max } => {
                    let throttle = self.ends.throttle;
                    let allowance = match throttle.reserve(direction, max) {
                        Ok(allowance) => allowance,
                        Err(until) => {
                            self.relay.lane_mut(direction).pause(until);
                            continue;
                        }
                    };
                    let outcome = self.fill(direction, path, allowance.bytes);
                    let bytes = outcome.bytes();
                    throttle.settle(direction, allowance, bytes);
                    *budget = budget.saturating_sub(bytes);
                    // The lane has noted a demotion; it is counted with its other fallbacks.
                    let _demoted = self.relay.filled(direction, outcome);
                }
                Step::Drain => {
                    let outcome = self.drain(direction);
                    self.relay.drained(direction, outcome);
                }
                Step::Done => {
                    self.discard(direction);
                    return false;
                }
                Step::ShutdownWrite => {
                    let sink = self.ends.channel(direction.sink());
                    match sink.map(|sink| sink.shut_down(self.kernel)) {
                        Some(ShutDown::WouldBlock) => {
                            self.relay.drained(direction, Drained::WouldBlock);
                        }
                        Some(ShutDown::Done) | None => self.relay.shut_down(direction),
                    }
                }
                Step::Wait { readable: false, .. } | Step::Pause { .. } => {
                    self.set_hearing(direction);
                    return false;
                }
                Step::Wait { readable: true, .. } | Step::Boundary => {
                    self.set_low_water(direction);
                    self.set_hearing(direction);
                    return false;
                }
            }
            debug_assert!(
                self.relay.lane(direction).held() == self.conduit(direction).held()
                    || self.relay.lane(direction).is_done(),
                "a lane and its conduit disagree on what is held"
            );
        }
    }

    /// What a lane holds that is done, because its sink broke, is nobody's any more.
    fn discard(&mut self, direction: Direction) {
        let held = std::mem::replace(self.conduit(direction), Conduit::Empty);
        if let Conduit::Pipe { pipe, size } = held {
            self.supplies.pipes.put_back(size, pipe);
        }
    }

    fn set_low_water(&mut self, direction: Direction) {
        let change = self.relay.lane_mut(direction).take_low_water_change();
        if let (Some(bytes), Some(source)) = (change, self.source(direction)) {
            // Without its mark a source wakes the lane more often, and that is all.
            let _unmarked = self.kernel.set_low_water(source, bytes).is_err();
        }
    }

    fn set_hearing(&mut self, direction: Direction) {
        let change = self.relay.lane_mut(direction).take_hearing_change();
        if let Some(hears) = change {
            let token = self.ends.tokens[direction.source().index()];
            // A socket that is watched can be watched otherwise: the kernel needs no memory for it.
            let source = self.source(direction);
            let _heard = source.map(|it| self.kernel.rewatch(it, token, hears).is_err());
        }
    }

    fn can_go_on(&self) -> bool {
        Direction::ALL.into_iter().any(|direction| match self.relay.lane(direction).next() {
            Step::Wait { .. } | Step::Pause { .. } | Step::Boundary => false,
            Step::Done => self.ends.conduits[direction.index()].held() > 0,
            Step::Fill { .. } | Step::Drain | Step::ShutdownWrite => true,
        })
    }

    fn conduit(&mut self, direction: Direction) -> &mut Conduit<K::Pipe> {
        &mut self.ends.conduits[direction.index()]
    }

    fn socket(&self, side: Side) -> Option<&'b K::Socket> {
        match side {
            Side::Client => Some(self.ends.client.socket),
            Side::Upstream => self.ends.upstream.as_ref().map(|upstream| upstream.socket),
        }
    }

    fn source(&self, direction: Direction) -> Option<&'b K::Socket> {
        self.socket(direction.source())
    }

    fn fill(&mut self, direction: Direction, path: Path, max: usize) -> Filled {
        if path == Path::Splice {
            match self.fill_by_splice(direction, max) {
                Ok(filled) => return filled,
                Err(reason) => {
                    if reason == FallbackReason::Unavailable {
                        self.supplies.splice_unavailable = true;
                    }
                    self.relay.lane_mut(direction).fall_back(reason);
                }
            }
        }
        self.fill_by_copy(direction, max)
    }

    /// # Errors
    /// Why this must be copied.
    fn fill_by_splice(
        &mut self,
        direction: Direction,
        max: usize,
    ) -> Result<Filled, FallbackReason> {
        let Some(source) = self.source(direction) else { return Ok(Filled::WouldBlock) };
        let conduit = &mut self.ends.conduits[direction.index()];
        if !matches!(conduit, Conduit::Pipe { .. }) {
            let is_bulk = self.relay.lane(direction).is_bulk();
            let size_max = if is_bulk { u32::MAX } else { PIPE_BYTES_UNPROVEN_MAX };
            let size = self.ends.pipe_size.min(size_max);
            *conduit = self.supplies.pipe_conduit(self.kernel, size)?;
        }
        let Conduit::Pipe { pipe, .. } = conduit else { return Err(FallbackReason::Unavailable) };
        match self.kernel.fill_pipe(source, pipe, max) {
            // Splice says the same of urgent data with the end behind it. `recv` tells.
            Ok(0) => match self.fill_by_copy(direction, max) {
                filled @ Filled::Moved { .. } => {
                    self.relay.lane_mut(direction).on_urgent();
                    Ok(filled)
                }
                filled => Ok(filled),
            },
            Ok(bytes) => {
                let short = bytes < max.min(pipe.capacity() as usize);
                Ok(Filled::Moved { bytes, path: Path::Splice, short })
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Filled::WouldBlock),
            Err(error) => match splice_refusal(&error) {
                Some(reason) => Err(reason),
                None => Ok(Filled::Failed(FaultKind::of(&error))),
            },
        }
    }

    fn fill_by_copy(&mut self, direction: Direction, max: usize) -> Filled {
        // An empty pipe of earlier in this turn goes back first.
        let index = direction.index();
        if let Conduit::Pipe { pipe, size } =
            std::mem::replace(&mut self.ends.conduits[index], Conduit::Empty)
        {
            self.supplies.pipes.put_back(size, pipe);
        }
        let Some(source) = self.ends.channel(direction.source()) else { return Filled::WouldBlock };
        let filled = source.fill(self.kernel, self.supplies, max);
        if let Filled::Moved { bytes, .. } = filled {
            *self.conduit(direction) = Conduit::Scratch { start: 0, end: bytes };
        }
        filled
    }

    fn drain(&mut self, direction: Direction) -> Drained {
        let Ends { client, upstream, conduits, .. } = &mut *self.ends;
        let sink = match direction.sink() {
            Side::Client => Some(client),
            Side::Upstream => upstream.as_mut(),
        };
        let Some(sink) = sink else { return Drained::WouldBlock };
        let conduit = &mut conduits[direction.index()];
        let Conduit::Pipe { pipe, .. } = conduit else {
            return sink.drain(self.kernel, self.supplies, conduit);
        };
        match self.kernel.drain_pipe(pipe, sink.socket) {
            // Nothing was taken although something was offered: no progress, so wait for an edge.
            Ok(0) => Drained::WouldBlock,
            Ok(bytes) => Drained::Moved(bytes),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Drained::WouldBlock,
            Err(error) => match splice_refusal(&error) {
                Some(reason) => self.rescue(direction, reason),
                None => Drained::Failed(FaultKind::of(&error)),
            },
        }
    }

    /// The sink cannot be spliced to, and the pipe holds bytes: they are read out of it, and the
    /// lane copies from now on.
    fn rescue(&mut self, direction: Direction, reason: FallbackReason) -> Drained {
        if reason == FallbackReason::Unavailable {
            self.supplies.splice_unavailable = true;
        }
        self.relay.lane_mut(direction).fall_back(reason);
        let index = direction.index();
        let Conduit::Pipe { mut pipe, size } =
            std::mem::replace(&mut self.ends.conduits[index], Conduit::Empty)
        else {
            return Drained::Failed(FaultKind::Other);
        };
        let mut bytes = vec![0; pipe.held()].into_boxed_slice();
        let mut read = 0;
        while read < bytes.len() {
            match self.kernel.read_pipe(&mut pipe, &mut bytes[read..]) {
                Ok(more) if more > 0 => read += more,
                Ok(_) | Err(_) => {
                    self.supplies.pipes.put_back(size, pipe);
                    return Drained::Failed(FaultKind::Other);
                }
            }
        }
        self.supplies.pipes.put_back(size, pipe);
        self.ends.conduits[index] = Conduit::Stuck { bytes, sent: 0 };
        self.relay.lane_mut(direction).rescued();
        self.drain(direction)
    }
}

/// Whether an error of splice means that bytes must be copied: `EINVAL` for this socket, `ENOSYS`
/// or `EPERM` (a seccomp filter) for every one.
fn splice_refusal(error: &io::Error) -> Option<FallbackReason> {
    const EPERM: i32 = 1;
    const EINVAL: i32 = 22;
    const ENOSYS: i32 = 38;
    match error.raw_os_error()? {
        EINVAL => Some(FallbackReason::Refused),
        EPERM | ENOSYS => Some(FallbackReason::Unavailable),
        _ => None,
    }
}
