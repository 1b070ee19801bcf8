//! One client connection from accept to close, without any I/O.
//!
//! ```text
//!      all full     refused, timed out …: next server
//!     ┌─▶ Queued ─┐    ┌───┐
//!     │           ▼    ▼   │
//!   accepted ──▶ Connecting ──connected──▶ Relaying ──both ended──────────▶ Ended(completed)
//!                    │                       │   │
//!                    │                       │   └─one side broke──▶ Resetting ──▶ Ended(…_reset …)
//!                    │                       │                        waits while the survivor
//!                    │                       │                        takes what was sent to it
//!                    └──no server left,──────┴──idle, half-closed, drain: cut──▶ Ended(…)
//!                       client gone
//! ```
//!
//! Before silence ends a session, the send queues are looked at; see [`crate::relay::silence`].
//!
//! Whatever ends other than `completed` ends with a reset towards every side that is still
//! there. An orderly end (a FIN) would make a stream that was cut look complete.

use std::time::{Duration, Instant};

use crate::balance::attempts::{AfterFailure, Attempts};
use crate::config::Timeouts;
use crate::error::{CloseReason, FaultKind, Side};
use crate::id::ServerId;
use crate::relay::coalesce::TailWatch;
use crate::relay::silence::{Look, QueueLook};
use crate::relay::survivor::QueueWatch;
use crate::relay::{Progress, Readiness, Relay};

/// Where a session is; the diagram stands above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Every server has as many connections as it may have.
    Queued {
        /// When nobody waits any longer.
        until: Instant,
    },
    /// An attempt to connect to a server is under way.
    Connecting {
        /// When it counts as failed.
        until: Instant,
    },
    /// Bytes move.
    Relaying,
    /// One side broke. The other is reset once its kernel has sent all that it was given, because
    /// a reset throws away what is still queued.
    Resetting {
        /// The side that is still there.
        survivor: Side,
        /// What the session will have ended with.
        reason: CloseReason,
        /// What its send queue holds meanwhile.
        watch: QueueWatch,
    },
    /// Over.
    Ended(CloseReason),
}

/// What to do after a deadline has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// Nothing: something moved in the meantime.
    NotYet,
    /// Run the lanes.
    Run,
    /// Treat the attempt to connect as failed with [`FaultKind::TimedOut`].
    ConnectTimedOut,
    /// Leave the queue: no server had room in time.
    QueueTimedOut,
    /// Look at the send queue of this side and tell [`Session::survivor_queue`].
    CheckSurvivorQueue(Side),
    /// Look at the send queues of both sides and tell [`Session::send_queues`].
    CheckSendQueues,
    /// Nothing: the session has ended.
    Ended,
}

/// One client connection.
#[derive(Debug, Clone)]
pub struct Session {
    phase: Phase,
    relay: Relay,
    timeouts: Timeouts,
    accepted_at: Instant,
    active_at: Instant,
    /// When to look after bytes that a source keeps back.
    tail: TailWatch,
    /// Both directions are open; the time of silence changes when that ends.
    is_open: bool,
    /// What the send queues of both sides held together after a silence.
    look: QueueLook,
    connect: Attempts,
}

impl Session {
    /// A session for a client that was accepted at `accepted_at` and is about to be connected, to
    /// whichever server [`Session::assigned`] names.
    pub fn new(
        relay: Relay,
        timeouts: Timeouts,
        connect: Attempts,
        accepted_at: Instant,
        now: Instant,
    ) -> Session {
        Session {
            phase: Phase::Connecting { until: now + timeouts.connect },
            relay,
            timeouts,
            accepted_at,
            active_at: now,
            tail: TailWatch::default(),
            is_open: true,
            look: QueueLook::default(),
            connect,
        }
    }

    /// A session that begins with bytes moving already: another protocol has opened both sides,
    /// and is left behind. `accepted_at` is when the client was accepted.
    pub fn relaying(
        relay: Relay,
        timeouts: Timeouts,
        connect: Attempts,
        accepted_at: Instant,
        now: Instant,
    ) -> Session {
        Session {
            phase: Phase::Relaying,
            relay,
            timeouts,
            accepted_at,
            active_at: now,
            tail: TailWatch::default(),
            is_open: true,
            look: QueueLook::default(),
            connect,
        }
    }

    /// Other timeouts hold from now on; an attempt to connect keeps the one it began with.
    pub fn change_timeouts(&mut self, timeouts: Timeouts) {
        self.timeouts = timeouts;
    }

    /// Where the session is.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The two lanes.
    pub fn relay(&self) -> &Relay {
        &self.relay
    }

    /// The two lanes, to be told what happened.
    pub fn relay_mut(&mut self) -> &mut Relay {
        &mut self.relay
    }

    /// The server that is being connected to, or that was; `None` before the first.
    pub fn server(&self) -> Option<ServerId> {
        self.connect.server()
    }

    /// The attempts to connect.
    pub fn attempts(&self) -> &Attempts {
        &self.connect
    }

    /// The server that counts this session, which is to be told that it is over. Answers once for
    /// each attempt.
    pub fn take_place(&mut self) -> Option<ServerId> {
        self.connect.take_place()
    }

    /// Whether the session waited in a queue, which is to be told that it does no more. Answers
    /// once.
    pub fn take_queued(&mut self) -> bool {
        self.connect.take_queued()
    }

    /// Attempts to connect beyond the first.
    pub fn retries(&self) -> u32 {
        self.connect.retries()
    }

    /// How long the successful attempt to connect took.
    pub fn connect_took(&self) -> Option<Duration> {
        self.connect.took()
    }

    /// When the client was accepted.
    pub fn accepted_at(&self) -> Instant {
        self.accepted_at
    }

    /// A socket became ready. During the connect only a broken client matters; everything else
    /// is remembered for the relay.
    pub fn on_ready(&mut self, side: Side, readiness: Readiness) {
        self.relay.on_ready(side, readiness);
        match self.phase {
            Phase::Queued { .. } | Phase::Connecting { .. }
                if side == Side::Client && readiness.broken =>
            {
                self.phase = Phase::Ended(CloseReason::ClientReset);
            }
            Phase::Resetting { survivor, reason, .. } if side == survivor && readiness.broken => {
                self.phase = Phase::Ended(reason);
            }
            _ => {}
        }
    }

    /// An attempt to connect begins, to this server.
    pub fn assigned(&mut self, server: ServerId, now: Instant) {
        self.connect.begin(server, now);
        self.phase = Phase::Connecting { until: now + self.timeouts.connect };
    }

    /// Every server has as many connections as it may have: the session waits until one has room,
    /// but not for longer than until then.
    pub fn queued(&mut self, until: Instant) {
        self.connect.queue();
        self.phase = Phase::Queued { until };
    }

    /// No server can be had.
    pub fn refused(&mut self, reason: CloseReason) {
        self.phase = Phase::Ended(reason);
    }

    /// The attempt to connect succeeded.
    pub fn connected(&mut self, now: Instant) {
        debug_assert!(matches!(self.phase, Phase::Connecting { .. }));
        self.connect.succeeded(now);
        self.active_at = now;
        self.phase = Phase::Relaying;
    }

    /// The attempt to connect failed. After the last one the session has ended.
    pub fn connect_failed(&mut self, kind: FaultKind) -> AfterFailure {
        debug_assert!(matches!(self.phase, Phase::Connecting { .. }));
        let next = self.connect.failed();
        if next == AfterFailure::GiveUp {
            self.phase = Phase::Ended(CloseReason::of_connect(kind));
        }
        next
    }

    /// The lanes were run; `moved` says whether any byte did. Nobody is silent whom this proxy
    /// does not hear, because there is no bandwidth left for him.
    pub fn on_turn(&mut self, moved: bool, now: Instant) {
        debug_assert_eq!(self.phase, Phase::Relaying);
        // The end of one direction begins a time of its own: it may come after a long silence.
        let is_open = self.relay.progress() == Progress::Open;
        if moved || is_open != self.is_open || self.relay.paused_until().is_some() {
            self.is_open = is_open;
            self.active_at = now;
            self.look.clear();
        }
        self.tail.on_turn(self.relay.awaits_tail(), moved, now);
        match self.relay.progress() {
            Progress::Open | Progress::HalfClosed | Progress::Failing { .. } => {}
            Progress::Completed => self.phase = Phase::Ended(CloseReason::Completed),
            Progress::Faulted { side, kind } => {
                self.phase = Phase::Resetting {
                    survivor: side.peer(),
                    reason: CloseReason::of_fault(side, kind),
                    watch: QueueWatch::new(self.timeouts.half_closed, now),
                };
            }
        }
    }

    /// What the survivor's send queue holds, after [`Expiry::CheckSurvivorQueue`].
    pub fn survivor_queue(&mut self, left: usize, now: Instant) {
        if let Phase::Resetting { reason, watch, .. } = &mut self.phase
            && watch.seen(left, now)
        {
            self.phase = Phase::Ended(*reason);
        }
    }

    /// What both send queues hold together, after [`Expiry::CheckSendQueues`].
    pub fn send_queues(&mut self, left: usize, now: Instant) {
        let (silence, reason) = self.silence_max();
        match self.look.seen(left, silence, now) {
            Look::Alive => self.active_at = now,
            Look::Again => {}
            Look::Silent => self.phase = Phase::Ended(reason),
        }
    }

    /// When [`Session::expire`] should be called next. Never for a session that has ended.
    pub fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Queued { until } | Phase::Connecting { until } => Some(until),
            Phase::Relaying => {
                let early = [self.tail.deadline(), self.relay.paused_until()];
                early.into_iter().flatten().chain([self.silent_at()]).min()
            }
            Phase::Resetting { watch, .. } => Some(watch.deadline()),
            Phase::Ended(_) => None,
        }
    }

    /// When silence ends the session, unless its send queues show life.
    fn silent_at(&self) -> Instant {
        self.look.deadline(self.active_at + self.silence_max().0)
    }

    /// How long no byte may move, and what it is called if none does.
    fn silence_max(&self) -> (Duration, CloseReason) {
        let Timeouts { idle, half_closed, .. } = self.timeouts;
        match self.relay.progress() {
            Progress::Open => (idle, CloseReason::IdleTimeout),
            // The survivor does not take what is left for it.
            Progress::Failing { side, kind } => {
                (idle.min(half_closed), CloseReason::of_fault(side, kind))
            }
            Progress::HalfClosed | Progress::Completed | Progress::Faulted { .. } => {
                (idle.min(half_closed), CloseReason::HalfClosedTimeout)
            }
        }
    }

    /// Time has passed.
    pub fn expire(&mut self, now: Instant) -> Expiry {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return Expiry::NotYet;
        }
        match self.phase {
            Phase::Queued { .. } => Expiry::QueueTimedOut,
            Phase::Connecting { .. } => Expiry::ConnectTimedOut,
            Phase::Relaying if self.relay.resume(now) => Expiry::Run,
            Phase::Relaying if now < self.silent_at() && self.tail.take_due(now) => {
                self.relay.on_tail();
                Expiry::Run
            }
            Phase::Relaying => Expiry::CheckSendQueues,
            Phase::Resetting { reason, watch, .. } if watch.is_over(now) => {
                self.phase = Phase::Ended(reason);
                Expiry::Ended
            }
            Phase::Resetting { survivor, .. } => Expiry::CheckSurvivorQueue(survivor),
            Phase::Ended(_) => Expiry::Ended,
        }
    }

    /// Cuts the session because the process ends. One that has ended already keeps its reason.
    pub fn cut(&mut self) {
        if !matches!(self.phase, Phase::Ended(_)) {
            self.phase = Phase::Ended(CloseReason::DrainTimeout);
        }
    }
}

#[cfg(test)]
mod tests;
