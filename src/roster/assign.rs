//! A server of an upstream is picked, and counts what it was picked for.

use std::time::Instant;

use super::state::milliseconds;
use super::{Server, UpstreamRoster};
use crate::balance::attempts::Tried;
use crate::balance::candidate::{Candidate, WEIGHT_UNIT};
use crate::balance::pick::{self, Picked, Standing, View, Wanted};
use crate::balance::random::Random;
use crate::balance::slow_start;
use crate::config::balancing::{Balancing, Ejection};
use crate::health::checker::Health;
use crate::health::passive::{self, EjectionPolicy};
use crate::id::ServerId;

/// How often to pick again because another worker was faster.
const RACES_MAX: usize = 8;

/// For whom a server is to be picked.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The key that belongs to a server, hashed.
    pub key: u64,
    /// The identity of the server that the client is bound to.
    pub bound_to: Option<u64>,
    /// The servers that have failed already.
    pub tried: &'a Tried,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assigned {
    /// This one, which counts it from now on, until [`UpstreamRoster::release`].
    Server(ServerId),
    /// All that could be picked have as much to do as they may have.
    Full,
    /// There is none that could be picked.
    Nobody,
}

impl UpstreamRoster {
    /// Picks a server.
    pub fn assign(
        &self,
        balancing: &Balancing,
        request: &Request<'_>,
        random: &mut Random,
        now: Instant,
    ) -> Assigned {
        let last_resort = request.tried.without_last_resort();
        match self.assign_untried(balancing, request, random, now) {
            Assigned::Nobody => last_resort.map_or(Assigned::Nobody, |tried| {
                let request = Request { tried: &tried, ..*request };
                self.assign_untried(balancing, &request, random, now)
            }),
            assigned => assigned,
        }
    }

    fn assign_untried(
        &self,
        balancing: &Balancing,
        request: &Request<'_>,
        random: &mut Random,
        now: Instant,
    ) -> Assigned {
        let now = milliseconds(now);
        let policy = self.policy(&balancing.ejection);
        for _ in 0..RACES_MAX {
            let views = self.members().iter().map(|id| self.view(*id, balancing, now));
            let Request { key, bound_to, tried } = *request;
            let mut wanted = Wanted { key, bound_to, tried, random };
            let (algorithm, fails_open) = (balancing.algorithm, balancing.fails_open);
            let turns = &self.state.turns;
            let picked = pick::pick(views, algorithm, fails_open, turns, &mut wanted);
            let (id, is_trial) = match picked {
                Picked::Full => return Assigned::Full,
                Picked::Nobody => return Assigned::Nobody,
                Picked::Server(id) => (id, false),
                Picked::Trial(id) => (id, true),
            };
            let server = &self.servers()[id.index()];
            // The place first: a trial that finds none would be over without a request.
            if !server.take_place() {
                continue;
            }
            if is_trial && !server.state.passive.take_trial(&policy, now) {
                // Whoever was faster has a place as well, and whoever waits is served after it.
                server.state.give_back_place();
                continue;
            }
            return Assigned::Server(id);
        }
        Assigned::Full
    }

    /// What a server was picked for is over.
    pub fn release(&self, server: ServerId) {
        self.servers()[server.index()].state.give_back_place();
    }

    /// Something that a server was picked for went well, or failed. Says whether that has ejected
    /// it or brought it back.
    pub fn observe(
        &self,
        server: ServerId,
        ejection: &Ejection,
        succeeded: bool,
        now: Instant,
    ) -> Option<passive::Ejection> {
        if !ejection.is_on() {
            return None;
        }
        let policy = self.policy(ejection);
        let server = &self.servers()[server.index()];
        if server.standing.is_retired() {
            return None;
        }
        let (passive, ejected) = (&server.state.passive, &self.state.ejected);
        let at = milliseconds(now);
        let change = match succeeded {
            true => passive.succeeded(&policy, ejected, at),
            false => passive.failed(&policy, ejected, at),
        };
        match change {
            Some(passive::Ejection::Ejected { .. }) => server.state.ejected(),
            Some(passive::Ejection::Returned) => server.state.came_up(now),
            None => {}
        }
        change
    }

    fn policy(&self, ejection: &Ejection) -> EjectionPolicy {
        ejection.policy(self.members().len())
    }

    fn view(&self, id: ServerId, balancing: &Balancing, now: u64) -> View<'_> {
        let Server { settings, state, identity, .. } = &*self.servers()[id.index()];
        let weight = state.weight().unwrap_or(settings.weight);
        let weight_now = match state.up_for(now) {
            Some(up) => slow_start::weight(weight, up, balancing.slow_start),
            None => weight * WEIGHT_UNIT,
        };
        View {
            candidate: Candidate {
                id,
                weight: weight_now.max(1),
                active: state.active(),
                turn: &state.turn,
                identity: *identity,
            },
            standing: self.servers()[id.index()].standing_now(balancing, weight, now),
            is_backup: settings.is_backup,
        }
    }

    /// Whether a server may be picked, for `/status` and metrics.
    pub fn standing(&self, id: ServerId, balancing: &Balancing, now: Instant) -> Standing {
        self.view(id, balancing, milliseconds(now)).standing
    }
}

impl Server {
    fn take_place(&self) -> bool {
        self.state.take_place(self.settings.connections_max.map(Into::into))
    }

    fn standing_now(&self, balancing: &Balancing, weight: u32, now: u64) -> Standing {
        let state = &self.state;
        let circuit = state.passive.circuit();
        let max = self.settings.connections_max;
        let is_full = max.is_some_and(|max| state.active() >= max.get());
        let is_draining = state.order() == super::state::Order::Drain || weight == 0;
        let is_down = balancing.health.is_some() && state.health() == Health::Down;
        let is_ejected = balancing.ejection.is_on() && circuit.is_open();
        if state.order() == super::state::Order::Down || is_draining && (is_down || is_ejected) {
            // Nobody tries a server that an operator has taken out, not even to see how it is.
            Standing::Withdrawn
        } else if is_draining {
            Standing::Draining
        } else if is_down {
            Standing::Down
        } else if is_ejected {
            // The trial is a request, which needs a place.
            let may_be_tried = circuit.awaits_trial(now) && !is_full;
            if may_be_tried { Standing::Trial } else { Standing::Ejected }
        } else if is_full {
            Standing::Full
        } else {
            Standing::Ready
        }
    }
}
