//! Greetings among the other places of a worker: run, looked after, turned into connections.

use std::time::Instant;

use crate::error::{CloseReason, Side};
use crate::id::ConnectionId;
use crate::io::channel::{Channel, Handshake};
use crate::io::connection::Slot;
use crate::io::greeting::{Greeting, Stage};
use crate::io::kernel::Kernel;
use crate::io::worker::Worker;
use crate::tls::failure::TlsFailure;

/// Why a greeting came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// The handshake.
    Tls(TlsFailure),
    /// The process ends.
    Drain,
}

impl Refusal {
    fn close_reason(self) -> CloseReason {
        match self {
            Refusal::Tls(_) => CloseReason::TlsHandshake,
            Refusal::Drain => CloseReason::DrainTimeout,
        }
    }
}

impl<K: Kernel> Worker<K> {
    fn greeting(&mut self, id: ConnectionId) -> Option<&mut Greeting<K>> {
        let slot = self.connections.get_mut(id.index as usize)?;
        slot.greeting_mut().filter(|it| it.accepted.generation == id.generation)
    }

    /// A client was accepted that has to be greeted.
    pub(in crate::io) fn begin_greeting(&mut self, id: ConnectionId, now: Instant) {
        if self.handshakes.enter() {
            self.begin_handshake(id, now);
        } else {
            self.handshakes.wait(id);
            self.settle_greeting(id);
        }
    }

    /// Those whose turn it is begin to shake hands.
    pub(in crate::io) fn call_waiting(&mut self, now: Instant) {
        while let Some(id) = self.handshakes.next() {
            match self.greeting(id) {
                Some(Greeting { stage: Stage::Waiting, .. }) => self.begin_handshake(id, now),
                _ => self.handshakes.leave(),
            }
        }
    }

    fn begin_handshake(&mut self, id: ConnectionId, now: Instant) {
        let Some(greeting) = lookup(&mut self.connections, id) else {
            return self.handshakes.leave();
        };
        match self.tls.accept(greeting.accepted.listener) {
            Ok(session) => {
                greeting.stage = Stage::Handshaking(Box::new(session));
                self.enqueue(id);
                self.settle_greeting(id);
            }
            Err(failure) => {
                self.handshakes.leave();
                self.refuse(id, Refusal::Tls(failure), now);
            }
        }
    }

    /// Has a greeting go as far as it can.
    pub(in crate::io) fn run_greeting(&mut self, id: ConnectionId, now: Instant) {
        let Some(greeting) = lookup(&mut self.connections, id) else { return };
        greeting.queued = false;
        let Stage::Handshaking(session) = &mut greeting.stage else {
            if greeting.readiness.broken {
                self.refuse(id, Refusal::Tls(TlsFailure::Closed), now);
            }
            return;
        };
        let mut channel =
            Channel { socket: &greeting.accepted.client, session: Some(&mut **session) };
        match channel.shake_hands(&mut self.kernel, &mut self.supplies) {
            Handshake::Waiting => self.settle_greeting(id),
            Handshake::Failed(failure) => self.refuse(id, Refusal::Tls(failure), now),
            Handshake::Done => self.admit(id, now),
        }
    }

    /// The greeting is over: the connection begins.
    fn admit(&mut self, id: ConnectionId, now: Instant) {
        let Some(place) = self.connections.get_mut(id.index as usize) else { return };
        let Slot::Greeting(mut greeting) = std::mem::replace(place, Slot::Changing) else { return };
        self.timers.disarm(id, &mut greeting.armed);
        let Greeting { mut accepted, stage, mut readiness, .. } = *greeting;
        if let Stage::Handshaking(session) = stage {
            self.handshakes.leave();
            accepted.session = Some(session);
            // What the client has sent behind its handshake may be in the session already.
            readiness.readable = true;
        }
        self.begin(id, accepted, now);
        if let Some(slot) = self.connections.get_mut(id.index as usize) {
            slot.on_ready(Side::Client, readiness);
            self.enqueue(id);
        }
        self.call_waiting(now);
    }

    /// The time of a greeting is over.
    pub(in crate::io) fn expire_greeting(&mut self, id: ConnectionId, now: Instant) {
        let Some(greeting) = self.greeting(id) else { return };
        greeting.armed = None;
        match now < greeting.until {
            true => self.settle_greeting(id),
            false => self.refuse(id, Refusal::Tls(TlsFailure::TimedOut), now),
        }
    }

    /// A greeting is cut, because the process ends.
    pub(in crate::io) fn cut_greeting(&mut self, id: ConnectionId, now: Instant) {
        self.refuse(id, Refusal::Drain, now);
    }

    fn settle_greeting(&mut self, id: ConnectionId) {
        let Some(greeting) = lookup(&mut self.connections, id) else { return };
        if greeting.armed.is_none() {
            self.timers.arm(id, &mut greeting.armed, greeting.until);
        }
    }

    /// The client is sent away. What it has to be told was sent as far as the socket took it.
    fn refuse(&mut self, id: ConnectionId, refusal: Refusal, now: Instant) {
        let Some(Slot::Greeting(mut greeting)) = self.connections.try_remove(id.index as usize)
        else {
            return;
        };
        self.timers.disarm(id, &mut greeting.armed);
        if let Stage::Handshaking(_) = greeting.stage {
            self.handshakes.leave();
        }
        let accepted = greeting.accepted;
        // With unread bytes the close would be a reset, which could overtake an alert.
        while self.kernel.recv(&accepted.client, &mut self.supplies.scratch).is_ok_and(|it| it > 0)
        {
        }
        let total = now.saturating_duration_since(accepted.accepted_at);
        self.account.left(accepted.listener, refusal.close_reason(), total);
        self.on_place_free(now);
        self.call_waiting(now);
    }
}

fn lookup<K: Kernel>(
    connections: &mut slab::Slab<Slot<K>>,
    id: ConnectionId,
) -> Option<&mut Greeting<K>> {
    let slot = connections.get_mut(id.index as usize)?;
    slot.greeting_mut().filter(|it| it.accepted.generation == id.generation)
}
