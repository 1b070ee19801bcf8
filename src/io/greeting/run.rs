//! Greetings among the other places of a worker: run, looked after, turned into connections.

use std::sync::Arc;
use std::time::Instant;

use slab::Slab;

use crate::config::tls::SniRoute;
use crate::config::{Listener, Protocol};
use crate::error::Side;
use crate::id::ConnectionId;
use crate::io::admission::{Gate, TURNED_AWAY_MAX};
use crate::io::channel::{Channel, Handshake};
use crate::io::connection::{Accepted, Slot};
use crate::io::greeting::look::{self, Look};
use crate::io::greeting::refuse::Refusal;
use crate::io::greeting::{Greeting, Stage};
use crate::io::handshake_gate::CROWDED_HANDSHAKE_TIME;
use crate::io::kernel::Kernel;
use crate::io::worker::Worker;
use crate::proxy_protocol::header::HeaderProblem;
use crate::tls::certificate::PeerIdentity;
use crate::tls::client_hello::ClientHello;
use crate::tls::failure::TlsFailure;
use crate::tls::session::Session;

/// What follows in a greeting.
enum Next {
    /// The next stage, at once.
    Go(Stage),
    /// Nothing before an event or a deadline.
    Wait,
    /// The connection.
    Admit,
}

impl<K: Kernel> Worker<K> {
    /// A client was accepted. Its connection begins, now or after a greeting.
    pub(in crate::io) fn welcome(
        &mut self,
        id: ConnectionId,
        accepted: Accepted<K::Socket>,
        now: Instant,
    ) {
        let config = Arc::clone(&self.config);
        let listener = &config.listeners[accepted.listener.index()];
        let Some(stage) = Stage::first(listener) else {
            return self.begin(id, accepted, None, now);
        };
        let is_trusted = look::is_trusted(listener, &accepted);
        let until = now + deadline(listener, &stage);
        let greeting = Greeting::new(accepted, stage, until);
        self.connections[id.index as usize] = Slot::Greeting(Box::new(greeting));
        match is_trusted {
            // Its first event is on its way: the socket is watched.
            true => self.settle_greeting(id),
            false => self.refuse(id, Refusal::ProxyHeader(HeaderProblem::Untrusted), now),
        }
    }

    /// Has a greeting go as far as it can.
    pub(in crate::io) fn run_greeting(&mut self, id: ConnectionId, now: Instant) {
        let config = Arc::clone(&self.config);
        let Some(greeting) = lookup(&mut self.connections, id) else { return };
        greeting.queued = false;
        let listener = &config.listeners[greeting.accepted.listener.index()];
        loop {
            match self.step(id, listener, now) {
                Ok(Next::Go(Stage::Waiting)) => return self.queue_for_handshake(id, now),
                Ok(Next::Go(stage)) => {
                    let Some(greeting) = lookup(&mut self.connections, id) else { return };
                    greeting.until = now + deadline(listener, &stage);
                    greeting.stage = stage;
                }
                Ok(Next::Wait) => return self.settle_greeting(id),
                Ok(Next::Admit) => return self.admit(id, now),
                Err(refusal) => return self.refuse(id, refusal, now),
            }
        }
    }

    fn step(
        &mut self,
        id: ConnectionId,
        listener: &Listener,
        now: Instant,
    ) -> Result<Next, Refusal> {
        let Some(greeting) = lookup(&mut self.connections, id) else { return Ok(Next::Wait) };
        let Greeting { accepted, stage, readiness, target, .. } = greeting;
        let has_ended = readiness.behind;
        let (kernel, scratch) = (&mut self.kernel, &mut self.supplies.scratch);
        match stage {
            Stage::ProxyHeader { needed } => {
                let socket = &accepted.client;
                match look::proxy_header(kernel, socket, *needed, has_ended, scratch)? {
                    Look::Needs(more) => {
                        *needed = more;
                        Ok(Next::Wait)
                    }
                    Look::Found(header) => {
                        look::introduce(accepted, header);
                        let gate = Gate {
                            limits: &self.limits,
                            account: &mut self.account,
                            listener,
                            may_answer: self.turned_away < TURNED_AWAY_MAX,
                            now,
                        };
                        gate.admit(accepted).map_err(Refusal::Limit)?;
                        Ok(Stage::after_proxy_header(listener).map_or(Next::Admit, Next::Go))
                    }
                }
            }
            Stage::ClientHello { needed } => {
                let socket = &accepted.client;
                match look::client_hello(kernel, socket, *needed, has_ended, scratch)? {
                    Look::Needs(more) => {
                        *needed = more;
                        Ok(Next::Wait)
                    }
                    Look::Found(hello) => {
                        let next = route(listener, &hello, target);
                        let introduction = accepted.introduction.get_or_insert_default();
                        introduction.alpn = hello.alpn.into_iter().next();
                        introduction.server_name = hello.server_name;
                        next
                    }
                }
            }
            Stage::Waiting if readiness.broken => Err(Refusal::Tls(TlsFailure::Closed)),
            Stage::Waiting => Ok(Next::Wait),
            Stage::Handshaking(session) => {
                let mut client = Channel { socket: &accepted.client, session: Some(session) };
                match client.shake_hands(kernel, &mut self.supplies) {
                    Handshake::Waiting => Ok(Next::Wait),
                    Handshake::Done => Ok(Next::Admit),
                    Handshake::Failed(failure) => Err(Refusal::Tls(failure)),
                }
            }
        }
    }

    // Handshakes, a bounded number of them.

    fn queue_for_handshake(&mut self, id: ConnectionId, now: Instant) {
        if self.handshakes.enter() {
            return self.begin_handshake(id, now);
        }
        if let Some(greeting) = lookup(&mut self.connections, id) {
            greeting.stage = Stage::Waiting;
            self.handshakes.wait(id);
        }
        self.settle_greeting(id);
    }

    /// One that was greeted leaves: what it had of the bound on handshakes is free.
    pub(super) fn leave_handshakes(&mut self, stage: &Stage) {
        let Worker { handshakes, connections, .. } = self;
        match stage {
            Stage::Handshaking(_) => handshakes.leave(),
            Stage::Waiting => handshakes.give_up(|id| {
                let place = connections.get(id.index as usize).and_then(Slot::greeting);
                place.is_some_and(|it| it.accepted.generation == id.generation)
            }),
            Stage::ProxyHeader { .. } | Stage::ClientHello { .. } => {}
        }
    }

    /// Those whose turn it is begin to shake hands.
    pub(super) fn call_waiting(&mut self, now: Instant) {
        while let Some(id) = self.handshakes.call() {
            match lookup(&mut self.connections, id) {
                Some(Greeting { stage: Stage::Waiting, .. }) => self.begin_handshake(id, now),
                _ => self.handshakes.leave_uncalled(),
            }
        }
    }

    /// A place among the handshakes was taken.
    fn begin_handshake(&mut self, id: ConnectionId, now: Instant) {
        let Some(greeting) = lookup(&mut self.connections, id) else {
            return self.handshakes.leave();
        };
        if self.handshakes.is_crowded() {
            greeting.until = greeting.until.min(now + CROWDED_HANDSHAKE_TIME);
        }
        let settings = self.tls.server(greeting.accepted.listener);
        match settings.ok_or(TlsFailure::Internal).and_then(Session::server) {
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

    /// The greeting is over: the connection begins.
    fn admit(&mut self, id: ConnectionId, now: Instant) {
        let Some(place) = self.connections.get_mut(id.index as usize) else { return };
        let Slot::Greeting(mut greeting) = std::mem::replace(place, Slot::Changing) else { return };
        self.timers.disarm(id, &mut greeting.armed);
        let Greeting { mut accepted, stage, target, mut readiness, .. } = *greeting;
        if let Stage::Handshaking(session) = stage {
            self.handshakes.leave();
            let agreement = session.agreement();
            let took = now.saturating_duration_since(accepted.accepted_at);
            self.account.tls_established(accepted.listener, &agreement, took);
            let introduction = accepted.introduction.get_or_insert_default();
            introduction.identity = agreement.peer_certificate.and_then(PeerIdentity::of);
            accepted.session = Some(session);
        }
        // What the client has sent was announced before, and may be in the session already.
        readiness.readable = true;
        self.begin(id, accepted, target, now);
        if let Some(slot) = self.slot(id) {
            slot.on_ready(Side::Client, readiness);
            self.enqueue(id);
        }
        self.call_waiting(now);
    }

    // Deadlines and the end.

    /// The deadline of a greeting has come, or one that has moved away since.
    pub(in crate::io) fn expire_greeting(&mut self, id: ConnectionId, now: Instant) {
        let Some(greeting) = lookup(&mut self.connections, id) else { return };
        greeting.armed = None;
        match (now < greeting.until, &greeting.stage) {
            (true, _) => self.settle_greeting(id),
            (false, Stage::ProxyHeader { .. }) => {
                self.refuse(id, Refusal::ProxyHeader(HeaderProblem::TimedOut), now);
            }
            (false, _) => self.refuse(id, Refusal::Tls(TlsFailure::TimedOut), now),
        }
    }

    /// A greeting is cut, because the process ends.
    pub(in crate::io) fn cut_greeting(&mut self, id: ConnectionId, now: Instant) {
        self.refuse(id, Refusal::Drain, now);
    }

    fn settle_greeting(&mut self, id: ConnectionId) {
        let Some(greeting) = lookup(&mut self.connections, id) else { return };
        let until = greeting.until;
        if greeting.armed.is_none_or(|armed| until < armed) {
            self.timers.arm(id, &mut greeting.armed, until);
        }
    }
}

/// How long a stage may take. From the ClientHello to the end of the handshake it is one time.
fn deadline(listener: &Listener, stage: &Stage) -> std::time::Duration {
    match stage {
        Stage::ProxyHeader { .. } => listener.timeouts.proxy_header,
        Stage::ClientHello { .. } | Stage::Waiting | Stage::Handshaking(_) => {
            listener.timeouts.tls_handshake
        }
    }
}

/// Where a client goes, by what it asks for.
fn route(
    listener: &Listener,
    hello: &ClientHello,
    target: &mut Option<crate::id::UpstreamId>,
) -> Result<Next, Refusal> {
    let Protocol::Sni(sni) = &listener.protocol else { return Ok(Next::Go(Stage::Waiting)) };
    let found = sni.router.find(hello.server_name.as_deref(), &hello.alpn);
    let Some(route) = found.and_then(|route| sni.routes.get(route.index())) else {
        return Err(Refusal::UnknownName);
    };
    *target = Some(route.upstream());
    Ok(match route {
        SniRoute::PassThrough(_) => Next::Admit,
        SniRoute::Terminate(_) => Next::Go(Stage::Waiting),
    })
}

fn lookup<K: Kernel>(
    connections: &mut Slab<Slot<K>>,
    id: ConnectionId,
) -> Option<&mut Greeting<K>> {
    let slot = connections.get_mut(id.index as usize)?;
    slot.greeting_mut().filter(|it| it.accepted.generation == id.generation)
}
