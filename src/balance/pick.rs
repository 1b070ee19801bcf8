//! Which of an upstream's servers is asked: those that may be picked at all, by their standing,
//! and of these one by the algorithm.
//!
//! ```text
//!   the server that the client had ─▶ primaries ─▶ backups ─▶ full? wait
//!                                                         └─▶ fail open: those that are down
//! ```

use super::attempts::Tried;
use super::candidate::Candidate;
use super::consistent_hash::{self, BalanceFactor};
use super::least_connections;
use super::random::Random;
use super::random_two;
use super::round_robin::RoundRobin;
use crate::id::ServerId;

/// How a server is chosen among those that may be picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// [`super::round_robin`]
    RoundRobin,
    /// [`super::least_connections`]
    LeastConnections,
    /// [`super::random_two`]
    RandomTwo,
    /// [`super::consistent_hash`], with the bound on a server's load.
    ConsistentHash(Option<BalanceFactor>),
}

/// Whether a server may be picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It may.
    Ready,
    /// It was ejected, and may be tried with one request.
    Trial,
    /// It has as many connections as it may have.
    Full,
    /// An operator drains it: only clients that are bound to it get there.
    Draining,
    /// It is ejected for its errors.
    Ejected,
    /// Its probes fail.
    Down,
    /// An operator has taken it out, or it is no part of the upstream any more.
    Withdrawn,
}

/// A server, and whether it may be picked.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// What the algorithms see of it.
    pub candidate: Candidate<'a>,
    /// Whether it may be picked.
    pub standing: Standing,
    /// It stands in for the others.
    pub is_backup: bool,
}

/// What is asked for.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// The key of the request, hashed.
    pub key: u64,
    /// The identity of the server that the client had before.
    pub bound_to: Option<u64>,
    /// The servers that have failed already.
    pub tried: &'a Tried,
    /// Of the worker.
    pub random: &'a mut Random,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Picked {
    /// This one.
    Server(ServerId),
    /// This one, if its trial can be had.
    Trial(ServerId),
    /// None now: those that could be picked have as many connections as they may have.
    Full,
    /// None: there is no server that could be picked.
    Nobody,
}

/// Picks a server. With `fails_open`, those that are down are asked before nobody is.
pub fn pick<'a>(
    servers: impl Iterator<Item = View<'a>> + Clone,
    algorithm: Algorithm,
    fails_open: bool,
    turns: &RoundRobin,
    wanted: &mut Wanted<'_>,
) -> Picked {
    let tried = wanted.tried;
    let untried = servers.filter(|view| !tried.contains(view.candidate.id));
    if let Some(server) = bound(untried.clone(), wanted.bound_to) {
        return Picked::Server(server);
    }
    // One request is spared for a server that may be well again.
    let trial = untried.clone().find(|view| view.standing == Standing::Trial && !view.is_backup);
    if let Some(view) = trial {
        return Picked::Trial(view.candidate.id);
    }
    let (mut is_full, mut has_trial) = (false, None);
    for view in untried.clone() {
        is_full |= view.standing == Standing::Full;
        if view.standing == Standing::Trial {
            has_trial = Some(view.candidate.id);
        }
    }
    for is_backup in [false, true] {
        let ready =
            |view: &View<'_>| view.is_backup == is_backup && view.standing == Standing::Ready;
        let ready = untried.clone().filter(ready).map(|view| view.candidate);
        if let Some(server) = choose(ready, algorithm, turns, wanted) {
            return Picked::Server(server);
        }
    }
    if let Some(server) = has_trial {
        return Picked::Trial(server);
    }
    if is_full {
        return Picked::Full;
    }
    let failing = untried
        .filter(|view| fails_open && matches!(view.standing, Standing::Down | Standing::Ejected));
    for is_backup in [false, true] {
        let failing = failing.clone().filter(|view| view.is_backup == is_backup);
        let failing = failing.map(|view| view.candidate);
        if let Some(server) = choose(failing, algorithm, turns, wanted) {
            return Picked::Server(server);
        }
    }
    Picked::Nobody
}

/// The server that a client is bound to, if it can have it.
fn bound<'a>(
    mut servers: impl Iterator<Item = View<'a>>,
    identity: Option<u64>,
) -> Option<ServerId> {
    let identity = identity?;
    let bound = servers.find(|view| view.candidate.identity == identity)?;
    let may_be = matches!(bound.standing, Standing::Ready | Standing::Draining);
    may_be.then_some(bound.candidate.id)
}

fn choose<'a>(
    candidates: impl Iterator<Item = Candidate<'a>> + Clone,
    algorithm: Algorithm,
    turns: &RoundRobin,
    wanted: &mut Wanted<'_>,
) -> Option<ServerId> {
    match algorithm {
        Algorithm::RoundRobin => turns.pick(&candidates),
        Algorithm::LeastConnections => least_connections::pick(candidates, turns),
        Algorithm::RandomTwo => random_two::pick(candidates, wanted.random),
        Algorithm::ConsistentHash(factor) => consistent_hash::pick(candidates, wanted.key, factor),
    }
}
