//! The less loaded of two that are drawn at random, each as likely as it is heavy (Mitzenmacher,
//! "The power of two choices in randomized load balancing", 2001). Unlike with least connections,
//! many proxies that do so do not all run to the same server.

use super::candidate::Candidate;
use super::random::Random;
use crate::id::ServerId;

/// The better of two candidates; the only one where there is one; `None` only if there is none.
pub fn pick<'a>(
    candidates: impl Iterator<Item = Candidate<'a>> + Clone,
    random: &mut Random,
) -> Option<ServerId> {
    let one = draw(candidates.clone(), random)?;
    let others = candidates.filter(|candidate| candidate.id != one.id);
    match draw(others, random) {
        Some(other) if other.is_less_loaded_than(&one) => Some(other.id),
        _ => Some(one.id),
    }
}

fn draw<'a>(
    candidates: impl Iterator<Item = Candidate<'a>> + Clone,
    random: &mut Random,
) -> Option<Candidate<'a>> {
    let total: u64 = candidates.clone().map(|candidate| u64::from(candidate.weight)).sum();
    let mut left = random.below(total);
    let mut last = None;
    for candidate in candidates {
        last = Some(candidate);
        match left.checked_sub(u64::from(candidate.weight)) {
            Some(rest) => left = rest,
            None => break,
        }
    }
    // The last one where a weight has changed since the sum.
    last
}
