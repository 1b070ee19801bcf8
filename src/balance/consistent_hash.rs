//! The server that belongs to a key: the same one for as long as it is there, and few keys move
//! when another comes or goes. None gets more than its share of what is under way, times a factor:
//! keys that would overload their server go to the next one in their order (Mirrokni, Thorup and
//! Zadimoghaddam, "Consistent hashing with bounded loads", 2018).
//!
//! The order is that of weighted rendezvous hashing (Thaler and Ravishankar, 1998; with weights,
//! Schindelhauer and Schomaker, 2005): each key ranks all servers by a score of its own. Unlike a
//! ring it takes no memory, its shares are exact, and the keys of a server that is gone spread over
//! all others instead of falling to its neighbour.

use super::candidate::Candidate;
use super::random::mix;
use crate::id::ServerId;

/// The bound on a server's load, in thousandths of its share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BalanceFactor(pub u32);

/// The candidate that belongs to `key`; `None` only if there is none.
pub fn pick<'a>(
    candidates: impl Iterator<Item = Candidate<'a>> + Clone,
    key: u64,
    factor: Option<BalanceFactor>,
) -> Option<ServerId> {
    let first = best(candidates.clone(), key)?;
    let Some(BalanceFactor(factor)) = factor else { return Some(first.id) };
    let (mut active, mut weight) = (1, 0);
    for candidate in candidates.clone() {
        active += u128::from(candidate.active);
        weight += u128::from(candidate.weight);
    }
    // A server's share of what is under way with this one, rounded up: so one always has room.
    let bound = |candidate: &Candidate<'_>| {
        let share = active * u128::from(candidate.weight) * u128::from(factor);
        share.div_ceil(weight.max(1) * 1000)
    };
    let has_room = |candidate: &Candidate<'_>| u128::from(candidate.active) < bound(candidate);
    if has_room(&first) {
        return Some(first.id);
    }
    // Another worker may have changed the counts since the sum.
    best(candidates.filter(has_room), key).or(Some(first)).map(|candidate| candidate.id)
}

/// The candidate with the highest score.
fn best<'a>(candidates: impl Iterator<Item = Candidate<'a>>, key: u64) -> Option<Candidate<'a>> {
    let scored = candidates.map(|candidate| (score(&candidate, key), candidate));
    let highest = scored.max_by(|(one, _), (other, _)| one.total_cmp(other));
    highest.map(|(_, candidate)| candidate)
}

/// weight / -ln(u), with u a number between 0 and 1 that belongs to the pair.
fn score(candidate: &Candidate<'_>, key: u64) -> f64 {
    let bits = mix(key ^ candidate.identity) >> 11;
    let uniform = (bits as f64 + 0.5) / (1u64 << 53) as f64;
    f64::from(candidate.weight) / -uniform.ln()
}
