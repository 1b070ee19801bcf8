//! The server with the fewest connections and requests under way, for its weight. Those that have
//! as few take turns.

use super::candidate::Candidate;
use super::round_robin::RoundRobin;
use crate::id::ServerId;

/// The candidate with the least load; `None` only if there is none.
pub fn pick<'a>(
    candidates: impl Iterator<Item = Candidate<'a>> + Clone,
    turns: &RoundRobin,
) -> Option<ServerId> {
    let less = |one: Candidate<'a>, other: Candidate<'a>| match other.is_less_loaded_than(&one) {
        true => other,
        false => one,
    };
    let least = candidates.clone().reduce(less)?;
    let ties = candidates.filter(|candidate| candidate.is_as_loaded_as(&least));
    // Another worker may have changed the counts between the two looks.
    turns.pick(&ties).or(Some(least.id))
}
